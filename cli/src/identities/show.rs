//! Callers as a table, and for programs.

use std::collections::BTreeMap;

use callgate_policy::Timestamp;
use serde::Serialize;

use super::Caller;
use crate::output::{columns, printable};

pub(super) fn table(callers: &BTreeMap<String, Caller>, at: Timestamp) -> String {
    if callers.is_empty() {
        return "nobody was seen\n".to_owned();
    }
    let head = [
        "CALLER",
        "LAST SEEN",
        "ENDS",
        "LIFE",
        "CERTIFICATES",
        "CALLS",
        "REFUSED",
        "ISSUER",
    ];
    let rows = callers.iter().map(|(id, caller)| {
        let seen = &caller.latest;
        let ends = seen.not_after.map(|end| until(at, end));
        let life = seen.not_before.zip(seen.not_after);
        let life = life.map(|(from, to)| span(to.as_millis() - from.as_millis()));
        [
            printable(id),
            format!("{} ago", span(at.as_millis() - seen.last_seen.as_millis())),
            ends.unwrap_or_else(unknown),
            life.unwrap_or_else(unknown),
            caller.certificates.len().to_string(),
            caller.calls.to_string(),
            caller.refused.to_string(),
            seen.issuer.as_deref().map_or_else(unknown, printable),
        ]
    });
    columns(head, rows)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    id: &'a str,
    last_seen: String,
    certificate_sha256: Option<&'a str>,
    not_before: Option<String>,
    not_after: Option<String>,
    issuer: Option<&'a str>,
    certificates: usize,
    calls: u64,
    refused: u64,
}

pub(super) fn json(callers: &BTreeMap<String, Caller>) -> serde_json::Result<String> {
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let rows = callers.iter().map(|(id, caller)| {
        let seen = &caller.latest;
        Row {
            id,
            last_seen: seen.last_seen.to_string(),
            certificate_sha256: seen.certificate_sha256.as_deref(),
            not_before: text(seen.not_before),
            not_after: text(seen.not_after),
            issuer: seen.issuer.as_deref(),
            certificates: caller.certificates.len(),
            calls: caller.calls,
            refused: caller.refused,
        }
    });
    Ok(serde_json::to_string_pretty(&rows.collect::<Vec<_>>())? + "\n")
}

/// `in 12m`, or `5s ago`.
fn until(at: Timestamp, end: Timestamp) -> String {
    let left = end.as_millis() - at.as_millis();
    if left < 0 {
        format!("{} ago", span(-left))
    } else {
        format!("in {}", span(left))
    }
}

/// A span of time in its largest unit that leaves a number above 1: `90s`, `12m`, `36h`.
fn span(millis: i64) -> String {
    let seconds = millis.max(0) / 1_000;
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

fn unknown() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        for (seconds, text) in [
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (7_199, "119m"),
            (7_200, "2h"),
            (172_799, "47h"),
            (172_800, "2d"),
        ] {
            assert_eq!(span(seconds * 1_000), text, "{seconds}");
        }
    }
}
