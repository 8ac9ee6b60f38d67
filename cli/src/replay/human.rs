//! What changes, for people.
//!
//! ```text
//! Replayed 1,000 records of decisions.jsonl by the rules in policies
//! recorded 2027-01-01T00:00:00Z to 2027-01-07T23:59:59Z
//!
//!       988  come out as they were recorded
//!        12  are refused now, and passed
//!
//! REFUSED NOW
//!
//!   spiffe://example.org/ns/shop/sa/checkout → spiffe://example.org/ns/shop/sa/orders
//!        12 calls, such as  DELETE /orders/7
//!           was  allowed by cancel   orders.yaml:9
//!           now  refused, no-rule; nearest is places-orders
//!                orders.yaml:14   method wants POST, saw DELETE
//!           see  decisions.jsonl:41   2027-01-01T12:00:00.250Z   01MB78QN0034HNN2TFXAVGGFD1
//! ```

use callgate_analysis::{
    figure::{counted, grouped},
    log::OddLines,
    replay::{Change, Changed, Now, Outcome, Parties, Replayed, Sample, Was},
};

use super::Shown;
use crate::output::printable;

/// Kinds of change that one section tells unless it is asked for all.
const TOLD: usize = 20;

pub(super) fn show(shown: &Shown<'_>, colour: bool) -> String {
    let mut lines = head(shown);
    for change in Change::ALL {
        if shown.tells(change.direction()) {
            lines.extend(section(shown, change, colour));
        }
    }
    lines.extend(undecided(shown, colour));
    lines.extend(notes(shown));
    lines.join("\n") + "\n"
}

fn head(shown: &Shown<'_>) -> Vec<String> {
    let replayed = shown.replayed;
    let logs = match shown.logs {
        [_] => shown.log(0),
        many => format!("{} logs", many.len()),
    };
    let mut lines = vec![format!(
        "Replayed {} of {logs} by the rules in {}",
        counted(replayed.records, "record"),
        shown.policies.display()
    )];
    if let Some((from, to)) = replayed.span {
        lines.push(format!("recorded {from} to {to}"));
    }
    lines.push(String::new());
    let mut count = |n: u64, what: &str| lines.push(format!("{:>11}  {what}", grouped(n)));
    let other = match replayed.other_reason {
        0 => String::new(),
        n => format!(" ({} of them refused for another reason)", grouped(n)),
    };
    count(
        replayed.unchanged,
        &format!("come out as they were recorded{other}"),
    );
    for (change, n) in &replayed.counts {
        count(*n, what_happens(*change));
    }
    if replayed.undecided() > 0 {
        count(replayed.undecided(), "cannot be decided again");
    }
    if replayed.rechecks > 0 {
        let what = "of them decided a stream anew that was open";
        count(replayed.rechecks, what);
    }
    lines
}

const fn what_happens(change: Change) -> &'static str {
    match change {
        Change::NowRefused => "are refused now, and passed",
        Change::OnlyShadow => "pass only by Shadow now, and were allowed",
        Change::NowPasses => "pass now, and were refused",
        Change::NowAllowed => "are allowed now, and passed only by Shadow",
    }
}

fn section(shown: &Shown<'_>, change: Change, colour: bool) -> Vec<String> {
    let (title, code) = match change {
        Change::NowRefused => ("REFUSED NOW", "31"),
        Change::OnlyShadow => ("PASS ONLY BY SHADOW NOW", "33"),
        Change::NowPasses => ("PASS NOW", "33"),
        Change::NowAllowed => ("ALLOWED NOW", "32"),
    };
    let kinds = shown.replayed.changes.iter();
    let kinds: Vec<&Changed> = kinds.filter(|kind| kind.change == change).collect();
    if kinds.is_empty() {
        return Vec::new();
    }
    let told = if shown.all { kinds.len() } else { TOLD };
    let mut lines = vec![String::new(), heading(title, code, colour)];
    let mut parties = None;
    for kind in kinds.iter().take(told) {
        if parties != Some(&kind.parties) {
            parties = Some(&kind.parties);
            lines.extend([String::new(), who(&kind.parties)]);
        }
        lines.extend(entry(shown, kind));
    }
    if let Some(rest) = kinds.get(told..).filter(|rest| !rest.is_empty()) {
        let calls = rest.iter().map(|kind| kind.count).sum();
        lines.push(String::new());
        lines.push(format!(
            "  and {} of {} other kinds (--all tells them)",
            counted(calls, "call"),
            grouped(rest.len() as u64)
        ));
    }
    lines
}

fn heading(title: &str, code: &str, colour: bool) -> String {
    if colour {
        format!("\u{1b}[1;{code}m{title}\u{1b}[0m")
    } else {
        title.to_owned()
    }
}

fn who(parties: &Parties) -> String {
    let source = parties.source.as_deref();
    let source = source.map_or_else(|| "a caller without identity".to_owned(), printable);
    let by = parties.forwarder.as_deref();
    let by = by.map_or_else(String::new, |by| format!("{} → ", printable(by)));
    format!("  {source} → {by}{}", printable(&parties.destination))
}

fn entry(shown: &Shown<'_>, kind: &Changed) -> Vec<String> {
    let calls = match kind.count {
        1 => "call,",
        _ => "calls, such as",
    };
    let sample = &kind.sample;
    let mut lines = vec![
        format!("{:>11} {calls} {}", grouped(kind.count), call(sample)),
        format!("            was  {}", was(&kind.was)),
        format!("            now  {}", now(&kind.now)),
    ];
    if let (Some((_, place, clause)), Some((expected, actual))) = (&kind.now.nearest, &sample.wants)
    {
        let (expected, actual) = (printable(expected), printable(actual));
        lines.push(format!(
            "                 {}   {clause} wants {expected}, saw {actual}",
            printable(place)
        ));
    }
    lines.push(format!("            see  {}", place(shown, sample)));
    lines
}

fn call(sample: &Sample) -> String {
    format!("{} {}", printable(&sample.method), printable(&sample.path))
}

/// Where to look a record up.
fn place(shown: &Shown<'_>, sample: &Sample) -> String {
    let (log, line) = (shown.log(sample.log), sample.line);
    format!("{log}:{line}   {}   {}", sample.time, printable(&sample.id))
}

fn was(was: &Was) -> String {
    let rule = rule(was.rule.as_deref(), was.policy.as_deref());
    verdict(was.outcome, was.reason.as_str(), &rule)
}

fn now(now: &Now) -> String {
    let rule = rule(now.rule.as_deref(), now.policy.as_deref());
    let nearest = now.nearest.as_ref();
    let nearest = nearest.map_or_else(String::new, |(rule, _, _)| {
        format!("; nearest is {}", printable(rule))
    });
    verdict(now.outcome, now.reason.as_str(), &rule) + &nearest
}

fn verdict(outcome: Outcome, reason: &str, rule: &str) -> String {
    match outcome {
        Outcome::Allowed => format!("allowed{rule}"),
        Outcome::LetPass => format!("let pass by Shadow, {reason}{rule}"),
        Outcome::Refused => format!("refused, {reason}{rule}"),
    }
}

fn rule(name: Option<&str>, place: Option<&str>) -> String {
    match (name, place) {
        (Some(name), Some(place)) => format!(" by {}   {}", printable(name), printable(place)),
        (Some(name), None) => format!(" by {}", printable(name)),
        (None, _) => String::new(),
    }
}

fn undecided(shown: &Shown<'_>, colour: bool) -> Vec<String> {
    let undecided = &shown.replayed.undecided;
    if undecided.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![
        String::new(),
        heading("NOT DECIDED AGAIN", "33", colour),
        String::new(),
    ];
    for (why, (count, sample)) in undecided {
        lines.push(format!(
            "{:>11}  {}",
            grouped(*count),
            printable(&why.to_string())
        ));
        lines.push(format!(
            "            see  {}   {}",
            call(sample),
            place(shown, sample)
        ));
    }
    lines
}

/// What does not count, below everything else.
fn notes(shown: &Shown<'_>) -> Vec<String> {
    let Replayed {
        odd,
        first_odd_log,
        beyond,
        outside,
        ..
    } = shown.replayed;
    let mut notes = odd_lines(odd, &shown.log(*first_odd_log));
    if *beyond > 0 {
        notes.push(format!(
            "{} changed in more ways than are told apart",
            counted(*beyond, "more record")
        ));
    }
    if *outside > 0 {
        notes.push(format!("{} of another time", counted(*outside, "record")));
    }
    let mut lines: Vec<String> = notes.iter().map(|note| format!("note: {note}")).collect();
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines
}

fn odd_lines(odd: &OddLines, log: &str) -> Vec<String> {
    let mut notes = Vec::new();
    if odd.foreign > 0 {
        let lines = match odd.foreign {
            1 => "1 line that is".to_owned(),
            n => format!("{} lines that are", grouped(n)),
        };
        notes.push(format!("passed over {lines} no decision record"));
    }
    if odd.torn > 0 {
        notes.push(match odd.torn {
            1 => "the last line is torn: a log ends within it".to_owned(),
            n => format!("{} last lines are torn", grouped(n)),
        });
    }
    if let Some((line, why)) = &odd.first {
        notes.push(format!(
            "the first such line is {log}:{line}: {}",
            printable(&why.to_string())
        ));
    }
    notes
}
