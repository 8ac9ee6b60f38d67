//! Slices: what a proxy decides from, as bytes from whoever answers it.

use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};
use callgate_policy::{
    Caller, IdentityFault, NoHeaders, Reason, Request, Slice, SpiffeId, Timestamp,
};

use crate::Corpus;

/// The longest that the memory of a slice may be. Bytes buy the most where they say much
/// in little: `/a/a/a…`, or sixty entries beside sixty lines.
const MOST_MEMORY: usize = 2 << 20;

const CALLERS: [&str; 3] = [
    "spiffe://example.org/ns/shop/sa/web",
    "spiffe://example.org/ns/shop/sa/checkout",
    "spiffe://partner.example/depot/7",
];

const CALLS: [(&str, &str, Option<&str>, Option<&str>); 8] = [
    ("GET", "/orders/7?x=1", None, None),
    ("HEAD", "/orders/7", None, None),
    ("POST", "/orders", Some("application/json"), None),
    ("DELETE", "/admin/users", None, None),
    (
        "POST",
        "/shop.v1.Orders/Watch",
        Some("application/grpc"),
        None,
    ),
    ("GET", "/ui/live", None, Some("websocket")),
    ("GET", "/files/a%2Fb;v=1/", None, None),
    ("GET", "/%61", None, None),
];

/// Moments at which slices are cut and used.
const MOMENTS: [i64; 4] = [0, 1_000, 1_800_000_000_000, i64::MAX];

/// Bytes that are a slice are a bounded one, written as it would be written; it decides
/// only about callers that are who they say, names no rule that it does not have, and
/// what it decides for a while is what it decides at both ends of it.
///
/// # Errors
/// When the decoder or the slice is wrong.
pub fn slice(bytes: &[u8]) -> Result<()> {
    static CORPUS: OnceLock<Option<Corpus>> = OnceLock::new();
    let corpus = CORPUS.get_or_init(|| Corpus::read("slice").ok());
    hold(bytes)?;
    hold(&respelled(corpus.as_ref().context("no corpus")?, bytes))
}

/// A seed with other bytes in a few places. Lengths are written into slices, so what
/// changes them is seldom one.
fn respelled(corpus: &Corpus, instructions: &[u8]) -> Vec<u8> {
    let Some((first, changes)) = instructions.split_at_checked(1) else {
        return Vec::new();
    };
    let mut bytes = corpus.mutant(first);
    for change in changes.chunks_exact(3).take(4) {
        if let [high, low, what] = *change {
            let at = usize::from(u16::from_be_bytes([high, low])) % bytes.len().max(1);
            let meant = LETTERS.get(usize::from(what)).copied();
            bytes
                .iter_mut()
                .skip(at)
                .take(1)
                .for_each(|byte| *byte = meant.unwrap_or(what));
        }
    }
    bytes
}

/// What patterns are made of.
const LETTERS: &[u8] =
    b"//**{}{}tabcxyz0179:.-_%25;=,GETPOSANY \"\x08\x0a\x12\x18\x1a\x22\x30\x38\x01";

fn hold(bytes: &[u8]) -> Result<()> {
    let Ok(slice) = Slice::decode(bytes) else {
        return Ok(());
    };
    ensure!(bytes.len() <= Slice::MAX_BYTES, "{} bytes", bytes.len());
    let footprint = slice.footprint();
    ensure!(footprint <= MOST_MEMORY, "{footprint} bytes of memory");
    for caller in CALLERS {
        let caller = SpiffeId::parse(caller)?;
        for call in CALLS {
            let request = request(&caller, call);
            for (at, cut) in MOMENTS.iter().enumerate() {
                for now in MOMENTS.iter().skip(at) {
                    lasts(&slice, bytes, &request, *cut, *now)?;
                }
            }
            nobody(&slice, &caller, request)?;
        }
    }
    Ok(())
}

fn request<'a>(
    caller: &'a SpiffeId,
    (method, path, content_type, upgrade): (&'a str, &'a str, Option<&'a str>, Option<&'a str>),
) -> Request<'a> {
    Request {
        caller: Caller::Verified(caller),
        service: None,
        method,
        path,
        upgrade,
        content_type,
        host: None,
        headers: &NoHeaders,
    }
}

fn lasts(slice: &Slice, bytes: &[u8], request: &Request<'_>, cut: i64, now: i64) -> Result<()> {
    let decide = |cut, now| {
        let [cut, now] = [cut, now].map(Timestamp::from_millis);
        slice.decide(request, cut, now)
    };
    let Some(decision) = decide(cut, now) else {
        return Ok(());
    };
    let (reason, rule) = (decision.reason, decision.rule);
    let of_rules = [
        Reason::Allow,
        Reason::PathAmbiguous,
        Reason::NoPolicy,
        Reason::NoRule,
        Reason::DenyRule,
        Reason::ExceptionExpired,
    ];
    ensure!(of_rules.contains(&reason), "{reason}");
    let goes_on = decision.permit().is_some();
    ensure!(goes_on == (reason == Reason::Allow), "{decision:?}");
    ensure!(
        decision.enforced && decision.shadow.is_none(),
        "{decision:?}"
    );
    if let Some(rule) = rule {
        let name = rule.name.as_bytes();
        let mut windows = bytes.windows(name.len().max(1));
        ensure!(
            name.is_empty() || windows.any(|text| text == name),
            "{rule:?}"
        );
    }
    let named = matches!(
        reason,
        Reason::Allow | Reason::DenyRule | Reason::ExceptionExpired
    );
    ensure!(rule.is_some() == named, "{decision:?}");
    for moment in [cut, now] {
        let then = decide(moment, moment);
        let same = then.is_some_and(|then| (then.reason, then.rule) == (reason, rule));
        ensure!(same, "otherwise at {moment}: {decision:?}");
    }
    Ok(())
}

/// Whoever is not verified, or called for by another, is for the server.
fn nobody(slice: &Slice, caller: &SpiffeId, request: Request<'_>) -> Result<()> {
    let now = Timestamp::from_secs(1);
    for caller in [
        Caller::Unverified(IdentityFault::Revoked),
        Caller::Forwarded {
            original: caller,
            forwarder: caller,
        },
    ] {
        let request = Request { caller, ..request };
        ensure!(slice.decide(&request, now, now).is_none());
    }
    Ok(())
}
