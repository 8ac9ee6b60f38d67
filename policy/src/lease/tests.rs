use prost::Message as _;

use super::{Slice, SliceError, encoded};
use crate::{
    Caller, Decision, IdentityFault, PolicySet, Reason, Request, SpiffeId, Timestamp,
    spec::{Enforcement, RuleSpec},
    testing::{NOW, id, mesh, orders, request, rule, set},
};

fn shop() -> PolicySet {
    let allow = vec![
        rule("web", 10, &["/ns/shop/sa/web"], &["GET /orders/{order}"]),
        rule("all", 20, &["/ns/shop/**"], &["GET /orders"]),
        rule("own", 30, &["/ns/{t}/sa/*"], &["GET /tenants/{t}/**"]),
        rule("other", 40, &["/ns/batch/**"], &["GET /secret"]),
    ];
    let deny = vec![rule("no-admin", 50, &["/**"], &["ANY /admin/**"])];
    let metrics = vec![rule("metrics", 1, &["/ns/**"], &["GET /metrics"])];
    set(Some(mesh(metrics, vec![])), vec![orders(allow, deny)])
}

fn service() -> SpiffeId {
    id("/ns/shop/sa/orders")
}

fn cut(set: &PolicySet, caller: &SpiffeId) -> Slice {
    let bytes = set.slice(caller, Some(&service())).unwrap();
    Slice::decode(&bytes).unwrap()
}

fn told<'d>(decision: &Decision<'d>) -> (Reason, Option<&'d str>) {
    (decision.reason, decision.rule.map(|rule| rule.name))
}

#[test]
fn a_slice_decides_as_the_set() {
    let set = shop();
    let (caller, service) = (id("/ns/shop/sa/web"), service());
    let slice = cut(&set, &caller);
    for (line, reason, rule) in [
        ("GET /orders", Reason::Allow, Some("all")),
        ("GET /orders/7", Reason::Allow, Some("web")),
        ("GET /tenants/shop/x", Reason::Allow, Some("own")),
        ("GET /tenants/batch/x", Reason::NoRule, None),
        ("GET /metrics", Reason::Allow, Some("metrics")),
        ("GET /secret", Reason::NoRule, None),
        ("GET /admin/x", Reason::DenyRule, Some("no-admin")),
        ("GET /a//b", Reason::PathAmbiguous, None),
    ] {
        let request = request(&caller, &service, line);
        let decision = slice.decide(&request, NOW, NOW).unwrap();
        assert_eq!(told(&decision), (reason, rule), "{line}");
        assert_eq!(told(&set.decide(&request, NOW)), (reason, rule), "{line}");
        assert_eq!(decision.permit().is_some(), reason == Reason::Allow);
        assert_eq!(decision.owner, Some("team-orders"));
    }
}

#[test]
fn callers_with_the_same_rules_have_the_same_bytes() {
    let set = shop();
    let slice = |caller| set.slice(&id(caller), Some(&service())).unwrap();
    assert_eq!(slice("/ns/shop/sa/api"), slice("/ns/shop/sa/job"));
    assert_ne!(slice("/ns/shop/sa/api"), slice("/ns/shop/sa/web"));
}

/// One slice, taken apart.
fn message(set: &PolicySet, caller: &str) -> encoded::Slice {
    let bytes = set.slice(&id(caller), Some(&service())).unwrap();
    encoded::Slice::decode(&*bytes).unwrap()
}

#[test]
fn bytes_that_are_no_slice() {
    let good = || message(&shop(), "/ns/shop/sa/web");
    let error = |slice: &encoded::Slice| Slice::decode(&slice.encode_to_vec()).unwrap_err();
    assert!(Slice::decode(&good().encode_to_vec()).is_ok());

    let unknown_field = [&*good().encode_to_vec(), &[0x98, 0x06, 1]].concat();
    let encoding = [&b""[..], b"?", &unknown_field];
    for bytes in encoding {
        assert_eq!(Slice::decode(bytes).unwrap_err(), SliceError::Encoding);
    }
    let large = vec![0; Slice::MAX_BYTES + 1];
    assert_eq!(Slice::decode(&large).unwrap_err(), SliceError::TooLarge);

    let mut slice = good();
    slice.trust_domain.clear();
    assert!(matches!(error(&slice), SliceError::TrustDomain(_)));
    let mut slice = good();
    slice.aliases.push("Example.org".to_owned());
    assert!(matches!(error(&slice), SliceError::TrustDomain(_)));

    type Change = fn(&mut encoded::Rule);
    let changes: [(Change, &str); 8] = [
        (|rule| rule.from[0] = "/ns/a".to_owned(), "trust domain"),
        (|rule| rule.from[0] = "group".to_owned(), "identity"),
        (|rule| rule.to[0] = "get /orders".to_owned(), "upper case"),
        (|rule| rule.to[0] = "GET /a;b".to_owned(), ";"),
        (|rule| rule.from.clear(), "at least one"),
        (|rule| rule.to.clear(), "at least one"),
        (
            |rule| rule.from[0] = "spiffe://example.org/{t}".to_owned(),
            "open to every `t`",
        ),
        (
            |rule| {
                rule.from = vec!["spiffe://example.org/**".to_owned(); 65];
                rule.to = vec!["GET /".to_owned(); 65];
            },
            "4096 ways",
        ),
    ];
    for (change, told) in changes {
        let mut slice = good();
        change(&mut slice.service.as_mut().unwrap().document.allow[0]);
        let error = error(&slice).to_string();
        assert!(error.contains(told), "{error}");
    }
    let mut slice = good();
    slice.service.as_mut().unwrap().document.deny[0].expires = Some(0);
    assert!(matches!(error(&slice), SliceError::Rules(_)));
}

#[test]
fn only_a_verified_caller_itself_is_decided_about() {
    let (caller, service) = (id("/ns/shop/sa/web"), service());
    let slice = cut(&shop(), &caller);
    let asked = Request {
        caller: Caller::Forwarded {
            original: &caller,
            forwarder: &id("/ns/shop/sa/gateway"),
        },
        ..request(&caller, &service, "GET /orders")
    };
    assert!(slice.decide(&asked, NOW, NOW).is_none());
    let asked = Request {
        caller: Caller::Unverified(IdentityFault::Expired),
        ..asked
    };
    assert!(slice.decide(&asked, NOW, NOW).is_none());
}

fn lately(allow: Vec<RuleSpec>) -> PolicySet {
    set(Some(mesh(vec![], vec![])), vec![orders(allow, vec![])])
}

#[test]
fn an_exception_is_over_only_if_it_was_when_the_slice_was_cut() {
    let after = |millis| Timestamp::from_millis(NOW.as_millis() + millis);
    let late = || rule("late", 1, &["/ns/**"], &["GET /late"]).expires(after(5));
    let (caller, service) = (id("/ns/shop/sa/web"), service());
    let asked = request(&caller, &service, "GET /late");
    let slice = cut(&lately(vec![late()]), &caller);
    let decide = |slice: &Slice, cut, now| {
        let decision = slice.decide(&asked, after(cut), after(now))?;
        Some((decision.reason, decision.expires))
    };
    let allowed = Some((Reason::Allow, Some(after(5))));
    assert_eq!(decide(&slice, 0, 0), allowed);
    assert_eq!(decide(&slice, 0, 4), allowed);
    assert_eq!(decide(&slice, 0, 5), None);
    assert_eq!(decide(&slice, 4, 60), None);
    let expired = Some((Reason::ExceptionExpired, None));
    assert_eq!(decide(&slice, 5, 5), expired);
    // A clock that went back proves nothing.
    assert_eq!(decide(&slice, 5, 0), expired);
    // What stands before it does not depend on it.
    let before = rule("before", 0, &["/ns/**"], &["GET /late"]);
    let slice = cut(&lately(vec![before, late()]), &caller);
    assert_eq!(decide(&slice, 0, 5), Some((Reason::Allow, None)));
}

#[test]
fn what_is_let_pass_is_for_the_server() {
    let (caller, service) = (id("/ns/shop/sa/web"), service());
    let allow = || vec![rule("web", 1, &["/ns/**"], &["GET /orders"])];
    let mut shadowed = orders(allow(), vec![]);
    shadowed.enforcement = Enforcement::Shadow;
    let slice = cut(&set(Some(mesh(vec![], vec![])), vec![shadowed]), &caller);
    let allowed = request(&caller, &service, "GET /orders");
    assert!(slice.decide(&allowed, NOW, NOW).is_some());
    let refused = request(&caller, &service, "GET /x");
    assert!(slice.decide(&refused, NOW, NOW).is_none());

    let mut unpolicied = mesh(vec![], vec![]);
    assert_eq!(no_policy(unpolicied.clone()), Some(Reason::NoPolicy));
    unpolicied.unpolicied = Enforcement::Shadow;
    assert_eq!(no_policy(unpolicied), None);
}

fn no_policy(mesh: crate::spec::MeshSpec) -> Option<Reason> {
    let (caller, service) = (id("/ns/shop/sa/web"), service());
    let slice = cut(&set(Some(mesh), vec![]), &caller);
    let request = request(&caller, &service, "GET /orders");
    Some(slice.decide(&request, NOW, NOW)?.reason)
}

/// Who is named in ten thousand rules asks each time, and finding that out is quick.
#[test]
fn slices_are_bounded() {
    let (caller, service) = (id("/ns/shop/sa/web"), service());
    let size = |count: usize, from: &[&str]| {
        let rules = (0..count).map(|n| rule(&format!("r{n}"), 1, from, &[&format!("GET /{n}")]));
        let set = lately(rules.collect());
        Some(set.slice(&caller, Some(&service))?.len())
    };
    assert!(size(200, &["/ns/**"]).is_some_and(|size| size < Slice::MAX_BYTES));
    assert_eq!(size(1_000, &["/ns/**"]), None);
    assert_eq!(size(10_000, &["/ns/shop/sa/web"]), None);
    assert!(size(10_000, &["/ns/other/sa/web"]).is_some_and(|size| size < 100));
}

#[test]
fn a_footprint_grows_with_what_there_is() {
    let footprint = |count: usize| {
        let to = (0..count).map(|n| format!("GET /a/long/way/to/orders/{n}/lines"));
        let to: Vec<_> = to.collect();
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        let set = lately(vec![rule("r", 1, &["/ns/**"], &to)]);
        cut(&set, &id("/ns/shop/sa/web")).footprint()
    };
    let (one, hundred, more) = (footprint(1), footprint(100), footprint(400));
    assert!(one > size_of::<Slice>() && one < 4_096, "{one}");
    assert!(hundred > one + 100 * 100 && hundred < 40_000, "{hundred}");
    // With an index by path.
    assert!(more > 4 * hundred && more < 1 << 18, "{more}");
}

/// A name that a condition reads binds there, so lines of its rule need not have it.
#[cfg(feature = "documents")]
#[test]
fn captures_that_a_condition_reads_are_for_the_server() {
    use crate::{Condition, spec::WhenSpec};
    let mut own = rule("own", 1, &["/ns/{t}/sa/*"], &["GET /own"]);
    let text = "request.headers['x-tenant'] == captures.t".to_owned();
    own.when = Some(WhenSpec {
        line: 2,
        condition: Condition::parse(&text).unwrap(),
        text,
    });
    let (caller, service) = (id("/ns/shop/sa/web"), service());
    let slice = cut(&lately(vec![own]), &caller);
    let decide = |line| {
        let request = request(&caller, &service, line);
        let decision = slice.decide(&request, NOW, NOW);
        decision.map(|decision| decision.reason)
    };
    assert_eq!(decide("GET /own"), None);
    assert_eq!(decide("GET /other"), Some(Reason::NoRule));
}
