//! Rules in Shadow, and conditions, where they meet the rest of a decision.

use std::collections::BTreeMap;

use crate::{
    Caller, Clause, Condition, NoHeaders, PolicySet, Reason, Request, SpiffeId, Verdict,
    spec::{Enforcement, MeshSpec, RuleSpec, ServiceSpec, WhenSpec},
    testing::{NOW, id, mesh, orders, request, rule, set},
};

const FROM: [&str; 3] = ["/ns/shop/sa/web", "/ns/shop/sa/api", "/ns/batch/sa/export"];
const CALLS: [&str; 4] = [
    "GET /orders",
    "DELETE /orders",
    "GET /admin",
    "GET /metrics",
];

/// Mesh deny, service deny, service allow, mesh allow.
fn rules() -> [Vec<RuleSpec>; 4] {
    [
        vec![rule("no-admin", 1, &["/ns/batch/**"], &["ANY /admin"])],
        vec![
            rule("no-deletes", 1, &["/ns/shop/**"], &["DELETE /**"]),
            rule("no-api", 5, &["/ns/shop/sa/api"], &["ANY /orders"]),
        ],
        vec![
            rule("shop", 10, &["/ns/shop/**"], &["ANY /orders"]),
            rule(
                "web",
                20,
                &["/ns/shop/sa/web"],
                &["GET /orders", "GET /admin"],
            ),
            rule("batch", 30, &["/ns/batch/**"], &["ANY /**"]),
        ],
        vec![rule("metrics", 1, &["/ns/**"], &["GET /metrics"])],
    ]
}

fn built([mesh_deny, deny, allow, mesh_allow]: [Vec<RuleSpec>; 4]) -> PolicySet {
    set(Some(mesh(mesh_allow, mesh_deny)), vec![orders(allow, deny)])
}

type Answer = (Reason, bool, Option<String>);

fn answer(set: &PolicySet, caller: &SpiffeId, call: &str) -> (Answer, Option<(Verdict, String)>) {
    let service = id("/ns/shop/sa/orders");
    let decision = set.decide(&request(caller, &service, call), NOW);
    let rule = decision.rule.map(|rule| rule.name.to_owned());
    let shadow = decision
        .shadow
        .map(|shadow| (shadow.verdict, shadow.rule.name.to_owned()));
    ((decision.reason, decision.enforced, rule), shadow)
}

/// Every choice of rules in Shadow, every caller, every call: what is decided is what is
/// decided without them, and what is told beside it is what all of them together decide.
#[test]
fn a_rule_in_shadow_changes_nothing_and_tells_what_it_would() {
    let count: usize = rules().iter().map(Vec::len).sum();
    let live = built(rules());
    for mask in 0_u32..1 << count {
        let mut bit = 0;
        let mut is_shadow = || {
            bit += 1;
            mask & (1 << (bit - 1)) != 0
        };
        let (mut shadowed, mut without) = (rules(), rules());
        for (shadowed, without) in shadowed.iter_mut().zip(&mut without) {
            let mut kept = Vec::new();
            for (rule, same) in shadowed.iter_mut().zip(without.drain(..)) {
                if is_shadow() {
                    rule.enforcement = Enforcement::Shadow;
                } else {
                    kept.push(same);
                }
            }
            *without = kept;
        }
        let (shadowed, without) = (built(shadowed), built(without));
        for (caller, call) in FROM
            .iter()
            .flat_map(|from| CALLS.map(|call| (id(from), call)))
        {
            let (decided, shadow) = answer(&shadowed, &caller, call);
            assert_eq!(
                decided,
                answer(&without, &caller, call).0,
                "{mask:b} {caller} {call}"
            );
            let ((all, ..), _) = answer(&live, &caller, call);
            match &shadow {
                Some((Verdict::Allow, _)) => {
                    assert_eq!(all, Reason::Allow, "{mask:b} {caller} {call}");
                }
                Some((Verdict::Deny, _)) => {
                    assert_eq!(all, Reason::DenyRule, "{mask:b} {caller} {call}");
                }
                None => assert_eq!(all, decided.0, "{mask:b} {caller} {call}"),
            }
        }
    }
}

fn when(mut rule: RuleSpec, text: &str) -> RuleSpec {
    let condition = Condition::parse(text).unwrap();
    rule.when = Some(WhenSpec {
        line: rule.line + 5,
        text: text.to_owned(),
        condition,
    });
    rule
}

fn purpose(value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("x-purpose".to_owned(), value.to_owned())])
}

#[test]
fn the_next_rule_is_tried_when_a_condition_does_not_hold() {
    let rules = vec![
        when(
            rule("on-purpose", 1, &["/a"], &["GET /x"]),
            "request.headers['x-purpose'] == 'a'",
        ),
        when(
            rule("number", 10, &["/a"], &["GET /x"]),
            "int(request.headers['x-purpose']) == 7",
        ),
        when(
            rule("any", 20, &["/*"], &["GET /{x}"]),
            "captures.x == 'x' && request.headers['x-purpose'] == 'b'",
        ),
    ];
    let set = set(None, vec![orders(rules, vec![])]);
    let (caller, service) = (id("/a"), id("/ns/shop/sa/orders"));
    for (value, rule, errors) in [
        ("a", Some("on-purpose"), &[][..]),
        ("7", Some("number"), &[]),
        ("b", Some("any"), &["number"]),
        ("c", None, &["number"]),
    ] {
        let headers = purpose(value);
        let request = Request {
            headers: &headers,
            ..request(&caller, &service, "GET /x")
        };
        let decision = set.decide(&request, NOW);
        assert_eq!(decision.rule.map(|rule| rule.name), rule, "{value}");
        let names: Vec<_> = decision
            .condition_errors
            .iter()
            .map(|error| error.rule.name)
            .collect();
        assert_eq!(names, errors, "{value}");
        assert_eq!(decision.inputs.iter().count(), 1);
        assert_eq!(decision.undecided(), None);
    }
}

/// What nobody looked for matters where it might have let the call in, and nowhere else.
#[test]
fn a_refusal_for_want_of_a_header_is_none_yet() {
    let reads = |rule| when(rule, "request.headers['x-purpose'] == 'a'");
    let conditional = |name, line| reads(rule(name, line, &["/a"], &["GET /x"]));
    let plain = |name, line| rule(name, line, &["/a"], &["GET /x"]);
    let (caller, service) = (id("/a"), id("/ns/shop/sa/orders"));
    let cases = [
        (vec![conditional("a", 1)], vec![], Reason::NoRule, true),
        (
            vec![conditional("a", 1), plain("b", 10)],
            vec![],
            Reason::Allow,
            false,
        ),
        (
            vec![plain("b", 1)],
            vec![conditional("d", 10)],
            Reason::DenyRule,
            true,
        ),
        (
            vec![conditional("b", 1)],
            vec![plain("d", 10)],
            Reason::DenyRule,
            false,
        ),
    ];
    for (allow, deny, reason, undecided) in cases {
        let set = set(None, vec![orders(allow, deny)]);
        let unknown = crate::Inputs::new();
        let request = Request {
            headers: &unknown,
            ..request(&caller, &service, "GET /x")
        };
        let decision = set.decide(&request, NOW);
        assert_eq!(decision.reason, reason);
        assert_eq!(decision.undecided().is_some(), undecided, "{reason}");
        if let Some((_, name)) = decision.undecided() {
            assert_eq!(name, "x-purpose");
        }
    }
}

#[test]
fn a_condition_is_about_whom_the_rule_is_held_against() {
    let deny = when(
        rule("no-gateway", 1, &["/**"], &["ANY /**"]),
        "source.segments[0] == 'edge'",
    );
    let allow = rule("all", 1, &["/**"], &["ANY /**"]);
    let trust = crate::spec::TrustSpec {
        forwarders: vec![crate::spec::ForwarderSpec {
            id: id("/edge/gateway"),
            may_assert: vec![crate::testing::caller("/**")],
            for_services: vec![crate::testing::caller("/**")],
        }],
        ..Default::default()
    };
    let mesh = MeshSpec {
        trust,
        ..mesh(vec![], vec![])
    };
    let set = set(Some(mesh), vec![orders(vec![allow], vec![deny])]);
    let (original, gateway, service) = (id("/web"), id("/edge/gateway"), id("/ns/shop/sa/orders"));
    let direct = request(&original, &service, "GET /x");
    assert_eq!(set.decide(&direct, NOW).reason, Reason::Allow);
    let forwarded = Request {
        caller: Caller::Forwarded {
            original: &original,
            forwarder: &gateway,
        },
        ..direct
    };
    assert_eq!(set.decide(&forwarded, NOW).reason, Reason::DenyRule);
}

#[test]
fn the_clause_that_failed_is_told_with_what_was_there() {
    let text = "request.headers['x-tenant'] == captures.tenant && request.method == 'GET'";
    let rules = vec![when(
        rule("own", 1, &["/ns/{tenant}/**"], &["GET /x"]),
        text,
    )];
    let service: ServiceSpec = orders(rules, vec![]);
    let set = set(None, vec![service]);
    let (caller, service) = (id("/ns/shop/sa/web"), id("/ns/shop/sa/orders"));
    let told = |headers: &dyn crate::Headers| {
        let request = Request {
            headers,
            ..request(&caller, &service, "GET /x")
        };
        let decision = set.decide(&request, NOW);
        let miss = decision.nearest_miss.unwrap();
        assert_eq!((miss.clause, miss.location.line), (Clause::When, 6));
        assert_eq!(
            miss.expected,
            "request.headers['x-tenant'] == captures.tenant"
        );
        let story = miss.story(&request, NOW).unwrap();
        let last = story.checks.last().unwrap();
        assert_eq!((last.clause, last.passed), (Clause::When, false));
        assert_eq!(last.actual, miss.actual);
        assert_eq!(story.addition, None);
        miss.actual
    };
    assert_eq!(
        told(&NoHeaders),
        "header x-tenant is absent, captures.tenant is \"shop\""
    );
    let other = BTreeMap::from([("x-tenant".to_owned(), "mail\u{7}".to_owned())]);
    assert_eq!(
        told(&other),
        "header x-tenant is \"mail\\u{7}\", captures.tenant is \"shop\""
    );
    let long = BTreeMap::from([("x-tenant".to_owned(), "x".repeat(5_000))]);
    assert_eq!(
        told(&long),
        "it has no result: header x-tenant has more than 4096 bytes"
    );
}
