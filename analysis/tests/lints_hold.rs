//! What warnings say of rules is so: held against decisions, request by request.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "in a test, a panic is the report"
)]

use callgate_analysis::lint::{LintOptions, lint};
use callgate_policy::{
    Caller, NoHeaders, PolicySet, Request, SpiffeId, Timestamp, Verdict,
    document::{Code, Diagnostic, LoadOptions, Source, load, specify},
};
use proptest::prelude::*;

const SERVICE: &str = "spiffe://example.org/ns/shop/sa/orders";

const CALLERS: [&str; 6] = [
    "/ns/a/sa/web",
    "/ns/b/sa/web",
    "/ns/a/sa/app",
    "/ns/*/sa/web",
    "/ns/a/**",
    "/ns/{t}/sa/*",
];

const LINES: [&str; 11] = [
    "GET /o",
    "POST /o",
    "GET,POST /o/{x}",
    "POST /o/{x}:go",
    "GET /o/7",
    "ANY /o/**",
    "ANY /**",
    "GET /{t}/o",
    "GET /a/o",
    "ANY /{x}/{x}",
    "GET /o/",
];

/// Lines that say whose they are, as a caller that is captured needs.
const BOUND: [&str; 3] = ["GET /{t}/o", "ANY /{t}/**", "POST /o/{t}:go"];

/// A rule by what it picks of each list.
#[derive(Clone, Debug)]
struct Rule {
    callers: Vec<usize>,
    lines: Vec<usize>,
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let rule = (
        prop::collection::vec(0..CALLERS.len(), 1..3),
        prop::collection::vec(0..LINES.len(), 1..3),
    );
    prop::collection::vec(
        rule.prop_map(|(callers, lines)| Rule { callers, lines }),
        0..5,
    )
}

/// One rule a line, without those of `without`.
fn document(allow: &[Rule], deny: &[Rule], without: Option<&str>) -> String {
    let mut text = format!(
        "kind: ServicePolicy\nmetadata: {{name: orders}}\nspec:\n  services: [{SERVICE:?}]\n"
    );
    for (list, letter, rules) in [("allow", 'a', allow), ("deny", 'd', deny)] {
        text.push_str(&format!("  {list}:\n"));
        let mut written = 0;
        for (index, rule) in rules.iter().enumerate() {
            let name = format!("{letter}{index}");
            if without == Some(name.as_str()) {
                continue;
            }
            let binds = rule.callers.contains(&5);
            let callers: Vec<String> = if binds {
                vec!["\"spiffe://example.org/ns/{t}/sa/*\"".to_owned()]
            } else {
                rule.callers
                    .iter()
                    .map(|one| format!("\"spiffe://example.org{}\"", CALLERS[*one]))
                    .collect()
            };
            let line = |one: &usize| {
                if binds {
                    BOUND[one % BOUND.len()]
                } else {
                    LINES[*one]
                }
            };
            let lines: Vec<String> = rule
                .lines
                .iter()
                .map(|one| format!("{:?}", line(one)))
                .collect();
            text.push_str(&format!(
                "    - {{name: {name}, from: [{}], to: [{}]}}\n",
                callers.join(", "),
                lines.join(", ")
            ));
            written += 1;
        }
        if written == 0 {
            text.truncate(text.len() - 1);
            text.push_str(" []\n");
        }
    }
    text
}

fn compiled(text: &str) -> PolicySet {
    match load(&[Source::new("a.yaml", text)], &LoadOptions::default()) {
        Ok(loaded) => loaded.policies,
        Err(error) => panic!("{error}\n{text}"),
    }
}

/// Verdict and rule of every request that the lists above tell apart, and of some more.
fn decisions(policies: &PolicySet) -> Vec<(Verdict, Option<String>, String)> {
    let service = SpiffeId::parse(SERVICE).unwrap();
    let mut decisions = Vec::new();
    for caller in [
        "/ns/a/sa/web",
        "/ns/b/sa/web",
        "/ns/a/sa/app",
        "/ns/o/sa/x",
        "/ns/a",
        "/ns/c/sa/web",
        "/else",
    ] {
        let caller = SpiffeId::parse(&format!("spiffe://example.org{caller}")).unwrap();
        for method in ["GET", "HEAD", "POST", "PUT"] {
            for path in [
                "/", "/o", "/o/", "/O", "/o/7", "/o/8", "/o/7:go", "/o/a:go", "/a/o", "/b/o",
                "/a/a", "/o/o", "/a/b/c", "/o/7/x",
            ] {
                for upgrade in [None, Some("websocket")] {
                    let request = Request {
                        caller: Caller::Verified(&caller),
                        service: Some(&service),
                        method,
                        path,
                        upgrade,
                        content_type: None,
                        host: None,
                        headers: &NoHeaders,
                    };
                    let decision = policies.decide(&request, Timestamp::default());
                    let rule = decision.rule.map(|rule| rule.name.to_owned());
                    decisions.push((
                        decision.verdict,
                        rule,
                        format!("{caller} {method} {path} {upgrade:?}"),
                    ));
                }
            }
        }
    }
    decisions
}

/// The name that a finding about a whole rule is at.
fn whole_rule<'t>(text: &'t str, found: &Diagnostic) -> Option<&'t str> {
    let line = text.lines().nth(found.place.start.line as usize - 1)?;
    let name = line.split("name: ").nth(1)?.split(',').next()?;
    let column = line.find("name: ")? + "name: ".len() + 1;
    (found.place.start.column as usize == column).then_some(name)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn what_is_said_of_rules_is_so(allow in rules(), deny in rules()) {
        let text = document(&allow, &deny, None);
        let sources = [Source::new("a.yaml", text.as_str())];
        let specified = specify(&sources, &LoadOptions::default()).unwrap();
        let Some(found) = lint(&sources, &specified, &LintOptions::default()).unwrap() else {
            return Ok(());
        };
        let before = decisions(&compiled(&text));
        for one in found.diagnostics() {
            let Some(name) = whole_rule(&text, one) else { continue };
            match one.code {
                Code::Needless => {
                    let without = decisions(&compiled(&document(&allow, &deny, Some(name))));
                    for (a, b) in before.iter().zip(&without) {
                        prop_assert_eq!((a.0, &a.2), (b.0, &b.2), "without {}\n{}", name, text);
                    }
                }
                Code::DeniedWhole | Code::NeverMatches => {
                    for (verdict, rule, request) in &before {
                        let by = *verdict == Verdict::Allow && rule.as_deref() == Some(name);
                        prop_assert!(!by, "{} allows {}\n{}", name, request, text);
                    }
                }
                _ => {}
            }
        }
    }
}

/// And the other way around, where one look tells: a rule that stands twice is found.
#[test]
fn a_rule_that_stands_twice_is_found() {
    for callers in 0..CALLERS.len() {
        for lines in 0..LINES.len() {
            let rule = Rule {
                callers: vec![callers],
                lines: vec![lines],
            };
            let text = document(&[rule.clone(), rule], &[], None);
            let sources = [Source::new("a.yaml", text.as_str())];
            let specified = specify(&sources, &LoadOptions::default()).unwrap();
            let found = lint(&sources, &specified, &LintOptions::default())
                .unwrap()
                .unwrap();
            let told: Vec<_> = found
                .diagnostics()
                .iter()
                .filter(|one| one.code == Code::Needless)
                .collect();
            assert_eq!(told.len(), 1, "{text}");
            assert_eq!(whole_rule(&text, told[0]), Some("a1"), "{text}");
        }
    }
}
