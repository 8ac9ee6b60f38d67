//! Access as a table.
//!
//! ```text
//! GET /orders/7 → spiffe://example.org/ns/shop/sa/orders   at 2026-11-22T12:00:00Z
//!
//! CALLER                                    BY RULE                 AT              NOTE
//! spiffe://example.org/ns/shop/sa/checkout  checkout-places-orders  orders.yaml:14
//! flag-readers, a group of 2 members        readers                 orders.yaml:18  until 2027-02-01T00:00:00Z
//! ```

use callgate_analysis::reach::{Can, CanCall, Grant, Reachable, WhoCan};
use callgate_policy::{SpiffeId, Timestamp, document::RequestLine};

use crate::output::{columns, counted, printable};

pub(super) fn who(found: &WhoCan, call: &RequestLine, to: &SpiffeId, now: Timestamp) -> String {
    let mut text = format!("{call} → {to}   at {now}\n\n");
    if found.callers.is_empty() {
        text.push_str("no rule allows it to anybody\n");
    } else {
        let rows = found.callers.iter().map(|can| {
            let grant = &can.grant;
            [caller(can), rule(grant), place(grant), note(grant)]
        });
        text.push_str(&columns(["CALLER", "BY RULE", "AT", "NOTE"], rows));
    }
    if found.lets_pass {
        text.push_str("\neverybody else is refused, but let pass: the service is in Shadow\n");
    }
    if !found.callers.is_empty() {
        for forwarder in &found.forwarders {
            text.push_str(&format!(
                "\n{} may call for those of them that fit {}\n",
                forwarder.id,
                forwarder.may_assert.join(", ")
            ));
        }
    }
    text
}

fn caller(can: &CanCall) -> String {
    let mut text = match (&can.group, &*can.pattern) {
        (Some((name, members)), "") => {
            format!("{name}, a group of {}", counted(*members, "member"))
        }
        (Some((name, _)), pattern) => format!("{pattern} of {name}"),
        (None, pattern) => pattern.to_owned(),
    };
    if let Some(alias) = &can.alias {
        text += &format!(", by its alias {alias}");
    }
    printable(&text)
}

pub(super) fn what(found: &Reachable, caller: &SpiffeId, now: Timestamp) -> String {
    let mut text = format!("{caller} can, at {now}:\n\n");
    let mut rows: Vec<[String; 5]> = Vec::new();
    for (service, cans) in &found.services {
        rows.extend(cans.iter().map(|can| row(service.to_string(), can)));
    }
    let elsewhere = "(services without a policy)";
    rows.extend(
        found
            .elsewhere
            .iter()
            .map(|can| row(elsewhere.to_owned(), can)),
    );
    if rows.is_empty() {
        text.push_str("nothing: no rule is about it\n");
    } else {
        text.push_str(&columns(["SERVICE", "CALL", "BY RULE", "AT", "NOTE"], rows));
    }
    for service in &found.let_pass {
        text.push_str(&format!(
            "\n{service} refuses everything else, but lets it pass: it is in Shadow\n"
        ));
    }
    text
}

fn row(service: String, can: &Can) -> [String; 5] {
    let grant = &can.grant;
    [
        service,
        printable(&can.what),
        rule(grant),
        place(grant),
        note(grant),
    ]
}

fn rule(grant: &Grant) -> String {
    printable(&grant.rule)
}

fn place(grant: &Grant) -> String {
    format!("{}:{}", grant.file, grant.line)
}

/// On what it depends.
fn note(grant: &Grant) -> String {
    let when = grant.when.as_ref().map(|when| format!("when {when}"));
    let until = grant.until.map(|until| format!("until {until}"));
    let except = (!grant.except.is_empty()).then(|| format!("except {}", grant.except.join(", ")));
    let notes: Vec<String> = [when, until, except].into_iter().flatten().collect();
    printable(&notes.join("; ").replace('\n', " "))
}
