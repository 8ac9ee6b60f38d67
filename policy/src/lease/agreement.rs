//! Random sets, callers and requests: a slice decides as the whole set does, and asks only
//! about what depends on what it cannot know.

use std::collections::BTreeMap;

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::Slice;
use crate::{
    Condition, Decision, Location, PolicySet, Reason, Request, SpiffeId, Timestamp, Verdict,
    decide::agreement::{World, aimed, alias_path, requests, trust, world},
    spec::{Enforcement, ExceptionSpec, MeshSpec, PolicySetSpec, RuleSpec, ServiceSpec, WhenSpec},
    testing::{NOW, id},
};

/// When slices are cut, and up to when they are used.
const SPAN: [i64; 3] = [0, 30_000, 60_000];

/// What is done to a rule.
#[derive(Clone, Copy, Debug)]
enum Twist {
    None,
    /// It gets a condition, which a header of the request decides.
    When,
    /// It decides nothing.
    Shadow,
    /// Its exception ends while slices are in use.
    Ends,
    /// Its exception ends long after, or has ended long before.
    Exception(bool),
    /// Two of them.
    WhenThatEnds,
    WhenThatEnded,
    WhenInShadow,
}

fn twist() -> impl Strategy<Value = Twist> {
    prop_oneof![
        6 => Just(Twist::None),
        2 => Just(Twist::When),
        1 => Just(Twist::Shadow),
        1 => Just(Twist::Ends),
        1 => any::<bool>().prop_map(Twist::Exception),
        1 => select(vec![Twist::WhenThatEnds, Twist::WhenThatEnded, Twist::WhenInShadow]),
    ]
}

/// All that a mesh and a service may say besides their rules.
#[derive(Clone, Debug)]
struct Rest {
    twists: Vec<Twist>,
    aliases: Vec<String>,
    /// Who is believed when it says for whom it calls.
    gateway: Option<&'static str>,
    has_policy: bool,
    enforced: bool,
    unpolicied: bool,
    told: bool,
}

fn rest() -> impl Strategy<Value = Rest> {
    let mostly = || prop::bool::weighted(0.9);
    let gateways = vec!["spiffe://example.org/a", "spiffe://other.org/a/b"];
    let parts = (
        vec(twist(), 12),
        vec(alias_path(), 0..3),
        option::weighted(0.3, select(gateways)),
        mostly(),
        mostly(),
        mostly(),
        any::<bool>(),
    );
    parts.prop_map(
        |(twists, aliases, gateway, has_policy, enforced, unpolicied, told)| Rest {
            twists,
            aliases,
            gateway,
            has_policy,
            enforced,
            unpolicied,
            told,
        },
    )
}

fn switch(enforced: bool) -> Enforcement {
    match enforced {
        true => Enforcement::Enforce,
        false => Enforcement::Shadow,
    }
}

/// The set, and the headers that its conditions read.
fn build(world: &World, rest: &Rest) -> (PolicySet, Vec<String>) {
    let mut mesh = MeshSpec {
        unpolicied: switch(rest.unpolicied),
        ..world.mesh(trust(&rest.aliases, rest.gateway))
    };
    let mut service = ServiceSpec {
        enforcement: switch(rest.enforced),
        keep_override_headers: rest.told,
        ..world.service()
    };
    if rest.told {
        (service.owner, service.help) = (None, None);
    }
    // Of crowds, as much as fits into a slice and is still found by path.
    for rules in [&mut mesh.deny, &mut mesh.allow, &mut service.deny] {
        rules.retain(|rule| !is_crowd(rule));
    }
    let mut crowd = 0;
    service.allow.retain(|rule| {
        crowd += usize::from(is_crowd(rule));
        !is_crowd(rule) || crowd <= 140
    });
    let rules = mesh.deny.iter_mut().map(|rule| (rule, true));
    let rules = rules.chain(service.deny.iter_mut().map(|rule| (rule, true)));
    let rules = rules.chain(service.allow.iter_mut().map(|rule| (rule, false)));
    let rules = rules.chain(mesh.allow.iter_mut().map(|rule| (rule, false)));
    let mut headers = Vec::new();
    let twists = rest.twists.iter().cycle();
    for ((line, (rule, denies)), twist) in (1..).zip(rules).zip(twists) {
        rule.line = line;
        if !is_crowd(rule) {
            twisted(rule, denies, *twist, &mut headers);
        }
    }
    let services = Vec::from_iter(rest.has_policy.then_some(service));
    let mesh = Some(mesh);
    (
        PolicySet::build(PolicySetSpec { mesh, services }).unwrap(),
        headers,
    )
}

/// Rules that are there for the indexes.
fn is_crowd(rule: &RuleSpec) -> bool {
    rule.name.starts_with("crowd")
}

fn twisted(rule: &mut RuleSpec, denies: bool, twist: Twist, headers: &mut Vec<String>) {
    let after = |millis| Timestamp::from_millis(NOW.as_millis() + millis);
    let ends = match twist {
        Twist::Ends | Twist::WhenThatEnds => Some(after(30_000)),
        Twist::Exception(false) => Some(after(60_001)),
        Twist::Exception(true) | Twist::WhenThatEnded => Some(NOW),
        _ => None,
    };
    if let Some(expires) = ends.filter(|_| !denies) {
        rule.exception = Some(ExceptionSpec { line: 9, expires });
    }
    if matches!(twist, Twist::Shadow | Twist::WhenInShadow) {
        rule.enforcement = Enforcement::Shadow;
    }
    let when = matches!(
        twist,
        Twist::When | Twist::WhenThatEnds | Twist::WhenThatEnded | Twist::WhenInShadow
    );
    if when {
        let header = format!("x-{}", headers.len());
        let text = format!("request.headers['{header}'] == '1'");
        rule.when = Some(WhenSpec {
            line: 8,
            condition: Condition::parse(&text).unwrap(),
            text,
        });
        headers.push(header);
    }
}

/// All that an answer tells, and a lease has to tell as well.
#[derive(Debug, PartialEq)]
struct Told<'d> {
    verdict: Verdict,
    reason: Reason,
    enforced: bool,
    rule: Option<(&'d str, &'d str, Location<'d>)>,
    policy: Option<&'d str>,
    owner: Option<&'d str>,
    help: Option<&'d str>,
    keep_override_headers: bool,
    expires: Option<Timestamp>,
    recognized: bool,
    goes_on: bool,
    shadow: bool,
}

fn told<'d>(decision: &Decision<'d>) -> Told<'d> {
    let rule = decision.rule;
    Told {
        verdict: decision.verdict,
        reason: decision.reason,
        enforced: decision.enforced,
        rule: rule.map(|rule| (rule.name, rule.policy, rule.location)),
        policy: decision.policy,
        owner: decision.owner,
        help: decision.help,
        keep_override_headers: decision.keep_override_headers,
        expires: decision.expires,
        recognized: decision.recognized,
        goes_on: decision.permit().is_some(),
        shadow: decision.shadow.is_some(),
    }
}

/// What the set says at any time in the span, whatever the headers are.
fn everything<'p>(
    set: &'p PolicySet,
    request: &Request<'_>,
    headers: &[String],
    until: i64,
) -> Vec<Told<'p>> {
    let mut all = Vec::new();
    for choice in 0..1_u32 << headers.len() {
        let chosen = headers.iter().enumerate();
        let chosen = chosen.filter(|(bit, _)| choice & (1 << bit) != 0);
        let values: BTreeMap<_, _> = chosen
            .map(|(_, name)| (name.clone(), "1".to_owned()))
            .collect();
        let request = Request {
            headers: &values,
            ..*request
        };
        for millis in SPAN.into_iter().filter(|millis| *millis <= until) {
            let now = Timestamp::from_millis(NOW.as_millis() + millis);
            all.push(told(&set.decide(&request, now)));
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_slice_agrees_with_its_set_or_asks_where_it_has_to(
        world in world(),
        rest in rest(),
        requests in requests(),
        until in select(SPAN.to_vec()),
    ) {
        let (set, headers) = build(&world, &rest);
        // Few enough to try every choice.
        prop_assume!(headers.len() <= 5);
        let service = id("/ns/shop/sa/orders");
        let now = Timestamp::from_millis(NOW.as_millis() + until);
        for (request, aim) in requests {
            let request = aimed(request, &aim, &world);
            let caller = SpiffeId::parse(&request.caller).unwrap();
            let Some(bytes) = set.slice(&caller, Some(&service)) else {
                prop_assert!(rest.gateway == Some(caller.as_str()));
                continue;
            };
            prop_assert!(rest.gateway != Some(caller.as_str()));
            let slice = Slice::decode(&bytes).unwrap();
            let request = request.request(&caller, &service);
            let all = everything(&set, &request, &headers, until);
            let one = all.iter().all(|told| *told == all[0]);
            let lasting = all[0].enforced && !all[0].shadow;
            match slice.decide(&request, NOW, now) {
                Some(decision) => {
                    let told = told(&decision);
                    prop_assert!(told.enforced && !told.shadow, "{told:?}");
                    prop_assert!(all.iter().all(|one| *one == told), "{told:?} but {all:#?}");
                }
                None => prop_assert!(!one || !lasting, "asks, but always {:?}", all[0]),
            }
        }
    }
}
