//! Replays, held against deciding record by record.

use std::io::Cursor;

use callgate_policy::{
    PolicySet, TrustDomain,
    document::{LoadOptions, Source, load, parse_time},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Change, Outcome, Replay, Replayed, Window};
use crate::log::{Odd, Undecidable};

const SHOP: &str = "spiffe://example.org/ns/shop/sa/";

fn set(text: &str) -> PolicySet {
    let sources = [Source::new("orders.yaml", text)];
    let options = LoadOptions {
        trust_domain: TrustDomain::parse("example.org").ok(),
        ..LoadOptions::default()
    };
    load(&sources, &options).unwrap().policies
}

fn orders(enforcement: &str, rules: &str) -> PolicySet {
    set(&format!(
        "kind: ServicePolicy\nmetadata: {{name: orders}}\nspec:\n  services: [/ns/shop/sa/orders]\n  \
         enforcement: {enforcement}\n  allow:\n{rules}"
    ))
}

const READS: &str =
    "    - {name: reads, from: [/ns/shop/sa/checkout], to: [\"GET /orders/{order}\"]}\n";

fn record(verdict: &str, enforced: bool, method: &str, path: &str) -> Value {
    let (reason, rule) = match verdict {
        "Allow" => ("allow", json!("old")),
        _ => ("no-rule", json!(null)),
    };
    json!({
        "time": "2027-01-01T12:00:00.000Z", "id": "01MB78QN0034HNN2TFXAVGGFD1",
        "verdict": verdict, "reason": reason, "rule": rule, "policy": rule.as_str().map(|_| "orders.yaml:3"),
        "enforced": enforced, "leased": false,
        "source": {"id": format!("{SHOP}checkout")}, "destination": format!("{SHOP}orders"),
        "method": method, "path": path, "inputs": {}, "host": "", "grpc": false, "revision": "r",
    })
}

fn replay_in(set: &PolicySet, window: Window, logs: &[&[Value]]) -> Replayed {
    let mut replay = Replay::new(set, window);
    for log in logs {
        let text: String = log.iter().map(|record| format!("{record}\n")).collect();
        replay.read(Cursor::new(text.into_bytes())).unwrap();
    }
    replay.finish()
}

fn replay(set: &PolicySet, records: &[Value]) -> Replayed {
    replay_in(set, Window::default(), &[records])
}

#[test]
fn every_change_has_its_name() {
    use Outcome::{Allowed, LetPass, Refused};
    let table = [
        (Allowed, Allowed, None),
        (Allowed, LetPass, Some(Change::OnlyShadow)),
        (Allowed, Refused, Some(Change::NowRefused)),
        (LetPass, Allowed, Some(Change::NowAllowed)),
        (LetPass, LetPass, None),
        (LetPass, Refused, Some(Change::NowRefused)),
        (Refused, Allowed, Some(Change::NowPasses)),
        (Refused, LetPass, Some(Change::NowPasses)),
        (Refused, Refused, None),
    ];
    for (was, now, change) in table {
        assert_eq!(was.change_to(now), change, "{was} to {now}");
        let (verdict, enforced) = match was {
            Allowed => ("Allow", true),
            LetPass => ("Deny", false),
            Refused => ("Deny", true),
        };
        let (enforcement, method) = match now {
            Allowed => ("Enforce", "GET"),
            LetPass => ("Shadow", "POST"),
            Refused => ("Enforce", "POST"),
        };
        let set = orders(enforcement, READS);
        let replayed = replay(&set, &[record(verdict, enforced, method, "/orders/7")]);
        let counts: Vec<_> = replayed.counts.into_iter().collect();
        let expected: Vec<_> = change.map(|change| (change, 1)).into_iter().collect();
        assert_eq!(counts, expected, "{was} to {now}");
        assert_eq!(replayed.unchanged, u64::from(change.is_none()));
    }
}

#[test]
fn changes_are_grouped_with_the_first_as_sample() {
    let set = orders("Enforce", READS);
    let log = [
        record("Allow", true, "GET", "/orders/1"),
        record("Allow", true, "DELETE", "/orders/2"),
        record("Allow", true, "DELETE", "/orders/3"),
        record("Deny", true, "GET", "/orders/4"),
        record("Allow", true, "GET", "/elsewhere"),
    ];
    let replayed = replay_in(&set, Window::default(), &[&log[..1], &log]);
    assert_eq!((replayed.records, replayed.unchanged), (6, 2));
    assert_eq!(replayed.changed(), 4);
    let told: Vec<_> = replayed
        .changes
        .iter()
        .map(|one| {
            (
                one.change,
                one.count,
                &*one.sample.path,
                one.sample.log,
                one.sample.line,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (Change::NowRefused, 2, "/orders/2", 1, 2),
            (Change::NowRefused, 1, "/elsewhere", 1, 5),
            (Change::NowPasses, 1, "/orders/4", 1, 4),
        ]
    );
    let refused = &replayed.changes[0];
    assert_eq!(refused.was.rule.as_deref(), Some("old"));
    assert_eq!(
        refused.parties.source.as_deref(),
        Some(&*format!("{SHOP}checkout"))
    );
    let (rule, place, clause) = refused.now.nearest.as_ref().unwrap();
    assert_eq!(
        (&**rule, &**place, *clause),
        ("reads", "orders.yaml:7", "method")
    );
    let (expected, actual) = refused.sample.wants.as_ref().unwrap();
    assert_eq!((&**expected, &**actual), ("GET", "DELETE"));
    assert_eq!(replayed.changes[2].now.rule.as_deref(), Some("reads"));
}

#[test]
fn exceptions_hold_at_the_time_of_the_record() {
    let set = orders(
        "Enforce",
        "    - name: late\n      from: [/ns/shop/sa/checkout]\n      to: [GET /orders]\n      \
         exception: {reason: r, ticket: T-1, approvedBy: dana@example.org, expires: 2027-01-01T12:00:00Z}\n",
    );
    let mut early = record("Allow", true, "GET", "/orders");
    early["time"] = json!("2027-01-01T11:59:59.999Z");
    let late = record("Allow", true, "GET", "/orders");
    let replayed = replay(&set, &[early, late]);
    assert_eq!((replayed.unchanged, replayed.changed()), (1, 1));
    let change = &replayed.changes[0];
    assert_eq!(change.sample.line, 2);
    assert_eq!(change.now.reason, callgate_policy::Reason::ExceptionExpired);
}

#[test]
fn what_cannot_be_decided_again_is_no_pass() {
    let set = orders("Enforce", READS);
    let mut unasked = record("Deny", true, "GET", "/orders/1");
    unasked["reason"] = json!("policy-unavailable");
    unasked["source"] = json!({});
    let log = [
        record("Allow", true, "GET", "/orders/1"),
        unasked.clone(),
        unasked,
    ];
    let replayed = replay(&set, &log);
    assert_eq!((replayed.unchanged, replayed.undecided()), (1, 2));
    let (count, sample) = &replayed.undecided[&Undecidable::NobodyAsked];
    assert_eq!((*count, sample.line), (2, 2));
}

#[test]
fn what_proxies_decided_and_what_was_decided_anew_is_counted() {
    let set = orders("Enforce", READS);
    let leased = |rechecks: Option<&str>| {
        let mut record = record("Allow", true, "GET", "/orders/1");
        record["leased"] = json!(true);
        record["rechecks"] = json!(rechecks);
        record
    };
    let log = [
        record("Allow", true, "GET", "/orders/1"),
        leased(None),
        leased(Some("01MB78QN0034HNN2TFXAVGGFD1")),
    ];
    let replayed = replay(&set, &log);
    assert_eq!((replayed.records, replayed.unchanged), (3, 3));
    assert_eq!((replayed.leased, replayed.rechecks), (2, 1));
}

#[test]
fn other_lines_are_counted_and_a_window_leaves_records_out() {
    let set = orders("Enforce", READS);
    let at = |time: &str| {
        let mut record = record("Allow", true, "GET", "/orders/1");
        record["time"] = json!(time);
        record
    };
    let log = [
        json!("not a record"),
        at("2027-01-01T00:00:00Z"),
        at("2027-01-02T00:00:00Z"),
        at("2027-01-03T00:00:00Z"),
        json!({}),
    ];
    let time = |text: &str| parse_time(text).ok();
    let window = Window {
        since: time("2027-01-02T00:00:00Z"),
        until: time("2027-01-03T00:00:00Z"),
    };
    let replayed = replay_in(&set, window, &[&log[1..2], &log]);
    assert_eq!((replayed.records, replayed.outside), (1, 3));
    assert_eq!(replayed.span.map(|(from, to)| from == to), Some(true));
    assert_eq!((replayed.odd.foreign, replayed.odd.torn), (2, 0));
    let (line, why) = replayed.odd.first.unwrap();
    assert_eq!((replayed.first_odd_log, line), (1, 1));
    assert!(matches!(why, Odd::Foreign(_)), "{why}");
}

#[test]
fn a_long_log_counts_as_if_it_were_read_line_by_line() {
    let set = orders("Enforce", READS);
    let methods = ["GET", "PUT", "DELETE"];
    let log: Vec<Value> = (0..9_000)
        .map(|n| record("Allow", true, methods[n % 3], &format!("/orders/{n}")))
        .collect();
    let replayed = replay(&set, &log);
    assert_eq!((replayed.records, replayed.unchanged), (9_000, 3_000));
    let counts: Vec<_> = replayed
        .changes
        .iter()
        .map(|one| (one.count, one.sample.line))
        .collect();
    assert_eq!(counts, [(3_000, 3), (3_000, 2)]);
}

proptest! {
    /// Whatever was recorded, every record is counted once, and what is counted as
    /// unchanged is what the rules decide.
    #[test]
    fn each_record_counts_once(
        calls in prop::collection::vec((0..3_usize, 0..3_usize, any::<bool>(), any::<bool>()), 0..60)
    ) {
        let set = orders("Enforce", READS);
        let methods = ["GET", "POST", "get"];
        let paths = ["/orders/7", "/orders", "/orders//7"];
        let log: Vec<Value> = calls
            .iter()
            .map(|(method, path, allow, enforced)| {
                let verdict = if *allow { "Allow" } else { "Deny" };
                record(verdict, *allow || *enforced, methods[*method], paths[*path])
            })
            .collect();
        let replayed = replay(&set, &log);
        let unchanged = calls.iter().filter(|(method, path, allow, enforced)| {
            let allowed = *method == 0 && *path == 0;
            allowed == *allow && (allowed || *enforced)
        });
        prop_assert_eq!(replayed.unchanged, unchanged.count() as u64);
        prop_assert_eq!(replayed.records, log.len() as u64);
        prop_assert_eq!(replayed.unchanged + replayed.changed() + replayed.undecided(), replayed.records);
    }
}
