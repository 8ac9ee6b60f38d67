//! Decision logs, by the names that are given on the command line.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use anyhow::Context as _;
use callgate_analysis::log::{self, Line};

/// Gives every line of the log at `path` to `take`; `-` is standard input.
pub(crate) fn read(path: &Path, take: impl FnMut(Line<'_>)) -> anyhow::Result<()> {
    log::read(open(path)?, take).with_context(|| unreadable(path))
}

/// The log at `path`, packed as it is.
pub(crate) fn open(path: &Path) -> anyhow::Result<Box<dyn Read + Send>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdin()));
    }
    let log = File::open(path).with_context(|| unreadable(path))?;
    Ok(Box::new(log))
}

/// What is said of a log that cannot be read.
pub(crate) fn unreadable(path: &Path) -> String {
    format!("cannot read `{}`", path.display())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use callgate_analysis::log;
    use callgate_policy::{
        Input, InputPart, Inputs, Location, Reason, RuleRef, Timestamp, Unreadable, Verdict,
    };
    use callgate_server::record::{Leaf, Record, Source, SourceNote};

    #[test]
    fn what_a_server_writes_is_what_is_read() {
        let leaf = Leaf {
            id: "spiffe://example.org/ns/shop/sa/checkout",
            certificate_sha256: "ab",
            not_before: Timestamp::from_millis(1_800_000_000_000),
            not_after: Timestamp::from_millis(1_800_003_600_000),
            issuer: "O=\"SPIRE\",C=US",
        };
        let noted = SourceNote::new(&leaf);
        let mut inputs = Inputs::new();
        for (part, name, input) in [
            (
                InputPart::Header,
                "x-purpose",
                Input::Text("a \"b\"".to_owned()),
            ),
            (InputPart::Header, "x-gone", Input::Absent),
            (
                InputPart::Query,
                "k",
                Input::Unreadable(Unreadable::Repeated),
            ),
        ] {
            inputs.note(part, name, || input);
        }
        let written = Record {
            time: Timestamp::from_millis(1_800_000_000_123),
            id: "01MB78QN0034HNN2TFXAVGGFD1",
            verdict: Verdict::Deny,
            reason: Reason::DenyRule,
            rule: Some(RuleRef {
                name: "guard",
                policy: "orders",
                location: Location {
                    file: "orders.yaml",
                    line: 7,
                },
            }),
            nearest_miss: None,
            enforced: false,
            leased: true,
            rechecks: Some("01MB78QN0034HNN2TFXAVGGFD0"),
            source: Source::Verified(&noted),
            forwarder: Some(Source::UNKNOWN),
            revocation: Some("leaked-key"),
            destination: "spiffe://example.org/ns/shop/sa/orders",
            method: "GET",
            path: "/caf\u{e9}",
            upgrade: Some("websocket"),
            inputs: &inputs,
            condition_errors: &[],
            shadow: None,
            candidate: None,
            host: "orders",
            grpc: true,
            traceparent: None,
            proxy: Some("spiffe://example.org/ns/shop/sa/orders"),
            revision: "r1",
        };
        let line = serde_json::to_vec(&written).unwrap();
        let mut read = 0;
        log::read(Cursor::new(line), |line| {
            let record = line.content.unwrap();
            read += 1;
            assert_eq!(record.time, written.time);
            assert_eq!(record.id, written.id);
            assert_eq!(record.leased, written.leased);
            assert_eq!(record.rechecks.as_deref(), written.rechecks);
            let again = record.inputs.read();
            assert_eq!(again.iter().count(), 3);
            for (part, name, input) in inputs.iter() {
                assert_eq!(again.found(part, name), Some(input), "{name}");
            }
            assert_eq!(record.verdict, written.verdict);
            assert_eq!(record.reason, written.reason);
            assert!(!record.enforced && record.grpc);
            assert_eq!(record.rule.as_deref(), Some("guard"));
            assert_eq!(record.policy.as_deref(), Some("orders.yaml:7"));
            assert_eq!(record.source.id.as_deref(), Some(leaf.id));
            assert_eq!(record.source.not_before(), Some(leaf.not_before));
            assert_eq!(record.source.not_after(), Some(leaf.not_after));
            assert_eq!(record.source.issuer.as_deref(), Some(leaf.issuer));
            assert!(record.forwarder.is_some_and(|one| one.id.is_none()));
            assert_eq!(record.revocation.as_deref(), written.revocation);
            assert_eq!(record.destination, written.destination);
            assert_eq!((&*record.method, &*record.path), ("GET", "/caf\u{e9}"));
            assert_eq!(record.upgrade.as_deref(), written.upgrade);
            assert_eq!(record.proxy.as_deref(), written.proxy);
            assert_eq!((&*record.host, &*record.revision), ("orders", "r1"));
        })
        .unwrap();
        assert_eq!(read, 1);
    }
}
