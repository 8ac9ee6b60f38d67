use super::{Slice, SliceError};
use crate::{
    Decision, PolicySet, Reason, SpiffeId,
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

#[test]
fn bytes_that_are_no_slice() {
    let bytes = shop().slice(&id("/ns/a"), Some(&service())).unwrap();
    let more = [&*bytes, &[0x98, 0x06, 1]].concat();
    assert_eq!(Slice::decode(&more).unwrap_err(), SliceError::Encoding);
    let large = vec![0; Slice::MAX_BYTES + 1];
    assert_eq!(Slice::decode(&large).unwrap_err(), SliceError::TooLarge);
}
