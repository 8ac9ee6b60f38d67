//! The table of cases as tests of policies: what `callgate test` reads and runs comes out
//! as it does everywhere else. And every rule, tried alone, says what the decision says.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "in a test, a panic is the report"
)]

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use callgate_analysis::{
    suite::{Got, Report, Run},
    trial::{Outcome, Rules},
};
use callgate_policy::{
    Caller, PolicySet, Reason, SpiffeId, Verdict,
    document::{LoadOptions, PolicyTest, Source, Specified, load_tests, specify},
    spec::Enforcement,
};
use callgate_server::{clock, store::read_sources};
use callgate_tests::table::{AUTHORITY, Answer, CallerSpec, Expect, Place, Row, Table, World};

/// Rows that can be written as a test: most of those with a verified caller.
const LEAST: usize = 350;

#[test]
fn the_table_runs_as_tests_of_policies() {
    let table = Table::load().unwrap();
    let mut cases = 0;
    for world in World::ALL
        .into_iter()
        .filter(|one| one.policies().is_some())
    {
        let specified = specified(world).unwrap();
        let policies = PolicySet::build(specified.spec.clone()).unwrap();
        let tests = tests(&table, world, &specified, &policies).unwrap();
        let rules = Rules::of(&specified.spec);
        let run = Run {
            policies: &policies,
            rules: &rules,
            now: clock::now(),
            filter: None,
        };
        let report = Report::of(run, &tests);
        cases += report.cases.len();
        for case in &report.cases {
            let told: Vec<String> = case
                .failures
                .iter()
                .map(|failure| match &failure.got {
                    Got::Decided(decision) => format!("{:?} {}", decision.verdict, decision.reason),
                    Got::NoForwarder => "no forwarder".to_owned(),
                })
                .collect();
            assert!(
                case.passed(),
                "{world:?}, {}: expected {:?}, but {told:?}",
                case.case.name,
                case.case.expect
            );
        }
        for test in &tests {
            agree(&policies, &rules, test);
        }
    }
    assert!(cases >= LEAST, "only {cases} rows are tests");
}

/// The first rule that matches alone is the one that decides; those in Shadow do not.
fn agree(policies: &PolicySet, rules: &Rules<'_>, test: &PolicyTest) {
    for case in &test.cases {
        let ([from], [line]) = (&case.from[..], &case.requests[..]) else {
            panic!("{case:?}")
        };
        let caller = match &case.forwarder {
            Some(forwarder) => Caller::Forwarded {
                original: from,
                forwarder,
            },
            None => Caller::Verified(from),
        };
        let asked = line.request.with(&case.headers);
        let request = asked.by(caller, Some(&case.to));
        let now = case.now.unwrap_or_else(clock::now);
        let decision = policies.decide(&request, now);
        let trials = rules.try_all(&request, now).unwrap_or_default();
        let mut matching = trials.iter().filter(|one| {
            let live = one.placed.rule.enforcement == Enforcement::Enforce;
            live && one.outcome == Outcome::Matches
        });
        let first = matching.next().map(|one| &*one.placed.rule.name);
        let decided = match decision.reason {
            Reason::Allow | Reason::DenyRule => decision.rule.map(|rule| rule.name),
            _ => None,
        };
        assert_eq!(first, decided, "{}", case.name);
    }
}

fn specified(world: World) -> Result<Specified> {
    let sources = read_sources(&world.policies().context("no policies")?)?;
    let options = LoadOptions {
        now: clock::now(),
        without_revocations: true,
        ..LoadOptions::default()
    };
    Ok(specify(&sources, &options)?)
}

/// The rows of a world as one document.
fn tests(
    table: &Table,
    world: World,
    specified: &Specified,
    policies: &PolicySet,
) -> Result<Vec<PolicyTest>> {
    let mut text =
        "kind: PolicyTest\nmetadata: {name: table}\nspec:\n  now: 2026-11-22T12:00:00Z\n  cases:\n"
            .to_owned();
    let mut any = false;
    for row in table.of(world) {
        if let Some(case) = case(table, policies, row)? {
            text.push_str(&case);
            any = true;
        }
    }
    if !any {
        return Ok(Vec::new());
    }
    let options = LoadOptions {
        trust_domain: specified.trust_domain.clone(),
        ..LoadOptions::default()
    };
    let source = [Source::new("table_test.yaml", text)];
    Ok(load_tests(&source, &options)?)
}

/// A row as a case, if it can be one.
fn case(table: &Table, policies: &PolicySet, row: &Row) -> Result<Option<String>> {
    let Expect::Answer(expect) = row.expect(Place::DECIDE) else {
        return Ok(None);
    };
    let Some(to) = table.workloads.callee(&row.to)? else {
        return Ok(None);
    };
    let Some((from, forwarder)) = parties(table, policies, row, to)? else {
        return Ok(None);
    };
    let (Some(request), Some(headers), Some(expect)) =
        (request(row), headers(row), expected(expect))
    else {
        return Ok(None);
    };
    let (name, from, to) = (
        quoted(&format!("{}: {}", row.file, row.name)),
        quoted(from.as_str()),
        quoted(to.as_str()),
    );
    let mut text = format!("    - name: {name}\n      from: {from}\n      to: {to}\n");
    if let Some(forwarder) = forwarder {
        writeln!(text, "      forwarder: {}", quoted(forwarder.as_str()))?;
    }
    if let Some(at) = row.at {
        writeln!(text, "      now: {at}")?;
    }
    writeln!(text, "      headers: {headers}")?;
    writeln!(text, "      requests: [{request}]")?;
    writeln!(text, "      expect: {expect}")?;
    Ok(Some(text))
}

/// Who calls, and for whom; None if that is no verified caller.
fn parties(
    table: &Table,
    policies: &PolicySet,
    row: &Row,
    to: &SpiffeId,
) -> Result<Option<(SpiffeId, Option<SpiffeId>)>> {
    let Some(Ok(peer)) = table
        .workloads
        .caller(row.peer())?
        .map(CallerSpec::identity)
        .transpose()?
    else {
        return Ok(None);
    };
    let Some(via) = row
        .via
        .as_ref()
        .filter(|_| policies.is_forwarder(&peer, to))
    else {
        return Ok(Some((peer, None)));
    };
    let caller = table.workloads.caller(&row.caller)?;
    let original = via.original(caller.context("nobody to forward")?)?;
    Ok(original.ok().map(|original| (original, Some(peer))))
}

/// The request with its method; what GRPC and WEBSOCKET imply is among the headers.
fn request(row: &Row) -> Option<String> {
    let method = &row.call.method;
    let target = std::str::from_utf8(&row.call.target).ok()?;
    let line = format!("{method} {target}");
    let is_written = !method.is_empty()
        && !target.is_empty()
        && !method.contains([' ', ','])
        && !["ANY", "GRPC", "WEBSOCKET"].contains(&method.as_str());
    is_written.then(|| quoted(&line))
}

/// As a flow mapping; repeated ones as lists.
fn headers(row: &Row) -> Option<String> {
    let mut names: Vec<&str> = row.call.headers.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    names.dedup();
    let mut written = Vec::new();
    if row.call.authority && !names.contains(&"host") {
        written.push(format!("host: {AUTHORITY}"));
    }
    for name in names {
        let values = row.call.headers.iter().filter(|(n, _)| n == name);
        let values = values
            .map(|(_, value)| std::str::from_utf8(value).ok().map(quoted))
            .collect::<Option<Vec<_>>>()?;
        written.push(format!("{}: [{}]", quoted(name), values.join(", ")));
    }
    Some(format!("{{{}}}", written.join(", ")))
}

/// What a test can expect of an answer.
fn expected(answer: &Answer) -> Option<String> {
    let verdict = match answer.verdict {
        Verdict::Allow => "Allow",
        Verdict::Deny => "Deny",
    };
    let decides = [
        Reason::Allow,
        Reason::DenyRule,
        Reason::ExceptionExpired,
        Reason::NoRule,
        Reason::NoPolicy,
        Reason::PathAmbiguous,
        Reason::IdentityUntrusted,
    ];
    if !decides.contains(&answer.reason) {
        return None;
    }
    let mut text = format!("{{verdict: {verdict}, reason: {}", answer.reason);
    if let Some(rule) = &answer.rule {
        write!(text, ", rule: {}", quoted(rule)).ok()?;
    }
    write!(text, ", enforced: {}}}", answer.enforced).ok()?;
    Some(text)
}

/// Text that YAML reads as JSON does; what is not ASCII, or cannot be seen, is escaped.
fn quoted(text: &str) -> String {
    let json = serde_json::to_string(text).unwrap();
    let mut quoted = String::new();
    for c in json.chars() {
        if c.is_ascii() && c != '\u{7f}' {
            quoted.push(c);
        } else {
            write!(quoted, "\\U{:08X}", u32::from(c)).unwrap();
        }
    }
    quoted
}
