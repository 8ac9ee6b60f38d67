use super::*;
use crate::{
    Caller, Reason, TrustDomain,
    spec::{AliasSpec, ForwarderSpec, GatewaySpec, MeshSpec, RuleSpec},
    testing::{NOW, caller, id, mesh, orders, request, rule, set},
};

fn gateway(name: &str, services: &[&str]) -> GatewaySpec {
    GatewaySpec {
        id: id(name),
        for_services: services.iter().map(|text| caller(text)).collect(),
    }
}

#[test]
fn a_proxy_asks_about_its_own_service_and_a_gateway_about_those_it_is_listed_for() {
    let mut spec = mesh(vec![], vec![]);
    spec.trust.gateways = vec![
        gateway("/ns/edge/sa/gateway", &["/ns/shop/sa/*", "/ns/mail/**"]),
        gateway("/ns/edge/sa/other", &["spiffe://partner.example/depot"]),
    ];
    let set = set(Some(spec), vec![]);
    let cases = [
        ("/ns/shop/sa/orders", "/ns/shop/sa/orders", true),
        ("/ns/shop/sa/orders", "/ns/shop/sa/web", false),
        ("/ns/edge/sa/gateway", "/ns/edge/sa/gateway", true),
        ("/ns/edge/sa/gateway", "/ns/shop/sa/orders", true),
        ("/ns/edge/sa/gateway", "/ns/mail", true),
        ("/ns/edge/sa/gateway", "/ns/shop/sa/orders/x", false),
        (
            "/ns/edge/sa/gateway",
            "spiffe://partner.example/ns/shop/sa/orders",
            false,
        ),
        ("/ns/edge/sa/other", "/ns/shop/sa/orders", false),
        ("/ns/edge/sa/other", "spiffe://partner.example/depot", true),
        (
            "spiffe://partner.example/ns/edge/sa/gateway",
            "/ns/shop/sa/orders",
            false,
        ),
    ];
    for (proxy, service, wanted) in cases {
        assert_eq!(
            set.may_ask(&id(proxy), &id(service)),
            wanted,
            "{proxy} {service}"
        );
    }
}

#[test]
fn without_a_mesh_policy_every_proxy_asks_about_itself_only() {
    let set = PolicySet::default();
    assert!(set.may_ask(&id("/a"), &id("/a")));
    assert!(!set.may_ask(&id("/a"), &id("/b")));
}

/// Rules, aliases and forwarders as `MeshPolicy` has them.
struct Scene {
    mesh: MeshSpec,
    allow: Vec<RuleSpec>,
    deny: Vec<RuleSpec>,
}

impl Scene {
    fn new() -> Self {
        Self {
            mesh: mesh(vec![], vec![]),
            allow: vec![],
            deny: vec![],
        }
    }

    fn allow(mut self, from: &[&str]) -> Self {
        self.allow
            .push(rule("allowed", 10, from, &["GET /orders/**"]));
        self
    }

    fn deny(mut self, from: &[&str]) -> Self {
        self.deny
            .push(rule("denied", 20, from, &["GET /orders/secret"]));
        self
    }

    fn mesh_deny(mut self, from: &[&str]) -> Self {
        let deny = &mut self.mesh.deny;
        deny.push(rule("guarded", 30, from, &["GET /orders/secret"]));
        self
    }

    fn alias(mut self, domain: &str, other: &str, paths: &[&str]) -> Self {
        let callers = paths
            .iter()
            .map(|path| caller(&format!("spiffe://{domain}{path}")));
        self.mesh.trust.aliases.push(AliasSpec {
            other: TrustDomain::parse(other).unwrap(),
            callers: callers.collect(),
        });
        self
    }

    fn accepted(mut self, domains: &[&str]) -> Self {
        let domains = domains.iter().map(|one| TrustDomain::parse(one).unwrap());
        self.mesh.trust.accepted = Some(domains.collect());
        self
    }

    /// `/ns/edge/sa/gateway` may assert the shop's callers to the service of the rules.
    fn forwarder(mut self) -> Self {
        let patterns = |texts: &[&str]| texts.iter().map(|text| caller(text)).collect();
        self.mesh.trust.forwarders.push(ForwarderSpec {
            id: id(GATEWAY),
            may_assert: patterns(&["/ns/shop/**", "spiffe://old.example/ns/shop/**"]),
            for_services: patterns(&["/ns/shop/sa/orders"]),
        });
        self
    }

    fn set(self) -> PolicySet {
        set(Some(self.mesh), vec![orders(self.allow, self.deny)])
    }
}

const GATEWAY: &str = "/ns/edge/sa/gateway";

fn told(set: &PolicySet, caller: Caller<'_>, path: &str) -> (Reason, Option<String>, bool) {
    let (nobody, orders) = (id("/nobody"), id("/ns/shop/sa/orders"));
    let line = format!("GET {path}");
    let mut request = request(&nobody, &orders, &line);
    request.caller = caller;
    let decision = set.decide(&request, NOW);
    let rule = decision.rule.map(|rule| rule.name.to_owned());
    assert_eq!(
        decision.permit().is_some(),
        decision.reason == Reason::Allow
    );
    assert_eq!(decision.owner.is_some(), decision.recognized);
    (decision.reason, rule, decision.recognized)
}

fn reason(set: &PolicySet, from: &str, path: &str) -> Reason {
    told(set, Caller::Verified(&id(from)), path).0
}

fn forwarded(set: &PolicySet, original: &str, forwarder: &str, path: &str) -> Reason {
    let (original, forwarder) = (id(original), id(forwarder));
    let caller = Caller::Forwarded {
        original: &original,
        forwarder: &forwarder,
    };
    told(set, caller, path).0
}

#[test]
fn an_alias_goes_one_way_one_step_and_only_for_its_paths() {
    let set = Scene::new()
        .allow(&["spiffe://new.example/ns/**", "spiffe://newest.example/**"])
        .alias("old.example", "new.example", &["/ns/shop/**"])
        .alias("ancient.example", "old.example", &["/**"])
        .alias("new.example", "newest.example", &["/other/**"])
        .set();
    let cases = [
        ("spiffe://new.example/ns/shop/sa/web", Reason::Allow),
        ("spiffe://old.example/ns/shop/sa/web", Reason::Allow),
        ("spiffe://old.example/ns/mail/sa/web", Reason::NoRule),
        // Not transitive.
        ("spiffe://ancient.example/ns/shop/sa/web", Reason::NoRule),
        ("spiffe://old.example/other/x", Reason::NoRule),
        ("spiffe://new.example/other/x", Reason::Allow),
    ];
    for (from, wanted) in cases {
        assert_eq!(reason(&set, from, "/orders/7"), wanted, "{from}");
    }
    let one_way = Scene::new()
        .allow(&["spiffe://old.example/**"])
        .alias("old.example", "new.example", &["/**"])
        .set();
    assert_eq!(
        reason(&one_way, "spiffe://old.example/a", "/orders/7"),
        Reason::Allow
    );
    assert_eq!(
        reason(&one_way, "spiffe://new.example/a", "/orders/7"),
        Reason::NoRule
    );
}

#[test]
fn a_deny_rule_holds_for_either_name() {
    for (denied, by_mesh) in [
        ("spiffe://new.example/**", false),
        ("spiffe://old.example/**", false),
        ("spiffe://new.example/**", true),
        ("spiffe://old.example/**", true),
    ] {
        let scene = Scene::new()
            .allow(&["spiffe://new.example/**", "spiffe://old.example/**"])
            .alias("old.example", "new.example", &["/ns/**"]);
        let scene = if by_mesh {
            scene.mesh_deny(&[denied])
        } else {
            scene.deny(&[denied])
        };
        let set = scene.set();
        let old = reason(&set, "spiffe://old.example/ns/a", "/orders/secret");
        assert_eq!(old, Reason::DenyRule, "{denied}");
        assert_eq!(
            reason(&set, "spiffe://old.example/ns/a", "/orders/7"),
            Reason::Allow
        );
    }
}

#[test]
fn a_name_too_long_for_an_id_is_denied_like_any_other() {
    let long = format!("spiffe://o.example/{}", "a".repeat(2_029));
    assert_eq!(long.len(), 2_048);
    let set = Scene::new()
        .allow(&["spiffe://o.example/**"])
        .deny(&["spiffe://much-longer.example/**"])
        .alias("o.example", "much-longer.example", &["/**"])
        .set();
    assert_eq!(reason(&set, &long, "/orders/secret"), Reason::DenyRule);
}

#[test]
fn an_alias_is_told_as_the_nearest_miss_if_it_came_closer() {
    let set = Scene::new()
        .allow(&["spiffe://new.example/ns/shop/sa/web"])
        .alias("old.example", "new.example", &["/**"])
        .set();
    let (old, orders) = (
        id("spiffe://old.example/ns/shop/sa/web"),
        id("/ns/shop/sa/orders"),
    );
    let request = request(&old, &orders, "POST /orders/7");
    let miss = set.decide(&request, NOW).nearest_miss.unwrap();
    assert_eq!(miss.clause, crate::Clause::Method);
    let story = miss.story(&request, NOW).unwrap();
    assert!(story.checks[0].passed);
    assert_eq!(
        story.checks[0].actual,
        "spiffe://new.example/ns/shop/sa/web"
    );
}

#[test]
fn only_accepted_domains_get_in() {
    let set = Scene::new()
        .allow(&[
            "/**",
            "spiffe://partner.example/**",
            "spiffe://other.example/**",
        ])
        .accepted(&["example.org", "partner.example"])
        .set();
    assert_eq!(reason(&set, "/a", "/orders/7"), Reason::Allow);
    assert_eq!(
        reason(&set, "spiffe://partner.example/a", "/orders/7"),
        Reason::Allow
    );
    let other = id("spiffe://other.example/a");
    let (reason, _, recognized) = told(&set, Caller::Verified(&other), "/orders/7");
    assert_eq!((reason, recognized), (Reason::IdentityUntrusted, false));
    // An alias is a name for rules, not for this list.
    let aliased = Scene::new()
        .allow(&["/**"])
        .accepted(&["example.org"])
        .alias("other.example", "example.org", &["/**"])
        .set();
    let got = told(&aliased, Caller::Verified(&other), "/orders/7").0;
    assert_eq!(got, Reason::IdentityUntrusted);
}

#[test]
fn a_forwarder_is_believed_about_its_callers_at_its_services() {
    let set = Scene::new().forwarder().allow(&["/ns/shop/sa/web"]).set();
    let cases = [
        ("/ns/shop/sa/web", GATEWAY, Reason::Allow),
        ("/ns/shop/sa/cart", GATEWAY, Reason::NoRule),
        // It may not assert these.
        ("/ns/bank/sa/web", GATEWAY, Reason::IdentityUntrusted),
        (
            "spiffe://partner.example/ns/shop/sa/web",
            GATEWAY,
            Reason::IdentityUntrusted,
        ),
        // And nobody else may assert anyone.
        (
            "/ns/shop/sa/web",
            "/ns/edge/sa/other",
            Reason::IdentityUntrusted,
        ),
        (
            "/ns/shop/sa/web",
            "/ns/shop/sa/web",
            Reason::IdentityUntrusted,
        ),
        (
            "/ns/shop/sa/web",
            "spiffe://partner.example/ns/edge/sa/gateway",
            Reason::IdentityUntrusted,
        ),
    ];
    for (original, forwarder, wanted) in cases {
        let got = forwarded(&set, original, forwarder, "/orders/7");
        assert_eq!(got, wanted, "{original} by {forwarder}");
    }
    assert!(set.is_forwarder(&id(GATEWAY), &id("/ns/shop/sa/orders")));
    assert!(!set.is_forwarder(&id(GATEWAY), &id("/ns/shop/sa/web")));
    assert!(!set.is_forwarder(&id("/ns/edge/sa/other"), &id("/ns/shop/sa/orders")));
}

#[test]
fn at_another_service_a_forwarder_is_not_believed() {
    let set = Scene::new().forwarder().set();
    let (web, gateway) = (id("/ns/shop/sa/web"), id(GATEWAY));
    for service in [Some(&web), None] {
        let decision = set.decide(
            &crate::Request {
                caller: Caller::Forwarded {
                    original: &web,
                    forwarder: &gateway,
                },
                service,
                method: "GET",
                path: "/",
                upgrade: None,
                content_type: None,
                host: None,
                headers: &crate::NoHeaders,
            },
            NOW,
        );
        assert_eq!(decision.reason, Reason::IdentityUntrusted);
    }
}

#[test]
fn what_a_forwarder_itself_may_do_is_not_what_its_callers_may() {
    let set = Scene::new().forwarder().allow(&[GATEWAY]).set();
    assert_eq!(reason(&set, GATEWAY, "/orders/7"), Reason::Allow);
    let got = forwarded(&set, "/ns/shop/sa/web", GATEWAY, "/orders/7");
    assert_eq!(got, Reason::NoRule);
}

#[test]
fn deny_rules_hold_for_the_caller_and_its_forwarder_under_every_name() {
    let denials = [
        "/ns/shop/sa/web",
        GATEWAY,
        "spiffe://alias.example/ns/shop/**",
        "spiffe://alias.example/ns/edge/**",
    ];
    for denied in denials {
        for by_mesh in [false, true] {
            let scene = Scene::new().forwarder().allow(&["/ns/shop/sa/web"]).alias(
                "example.org",
                "alias.example",
                &["/**"],
            );
            let scene = if by_mesh {
                scene.mesh_deny(&[denied])
            } else {
                scene.deny(&[denied])
            };
            let set = scene.set();
            let ask = |path| forwarded(&set, "/ns/shop/sa/web", GATEWAY, path);
            assert_eq!(ask("/orders/secret"), Reason::DenyRule, "{denied}");
            assert_eq!(ask("/orders/7"), Reason::Allow, "{denied}");
        }
    }
}

#[test]
fn a_forwarded_caller_has_its_aliases_and_has_to_be_accepted() {
    let scene = || {
        Scene::new().forwarder().allow(&["/ns/shop/sa/web"]).alias(
            "old.example",
            "example.org",
            &["/**"],
        )
    };
    let web = "spiffe://old.example/ns/shop/sa/web";
    assert_eq!(
        forwarded(&scene().set(), web, GATEWAY, "/orders/7"),
        Reason::Allow
    );
    let strict = scene().accepted(&["example.org"]).set();
    let got = forwarded(&strict, web, GATEWAY, "/orders/7");
    assert_eq!(got, Reason::IdentityUntrusted);
}

#[test]
fn with_identity_in_shadow_an_unbelieved_assertion_is_nobody() {
    let mut scene = Scene::new().forwarder().allow(&["/**"]);
    scene.mesh.identity = crate::spec::Enforcement::Shadow;
    let set = scene.set();
    let (bank, gateway, orders) = (id("/ns/bank/a"), id(GATEWAY), id("/ns/shop/sa/orders"));
    let mut request = request(&bank, &orders, "GET /orders/7");
    request.caller = Caller::Forwarded {
        original: &bank,
        forwarder: &gateway,
    };
    let decision = set.decide(&request, NOW);
    assert_eq!(decision.reason, Reason::IdentityUntrusted);
    assert!(!decision.enforced && !decision.recognized && decision.permit().is_some());
}

#[test]
fn the_other_names_of_an_identity() {
    let set = Scene::new()
        .alias("old.example", "new.example", &["/ns/**"])
        .alias("old.example", "newer.example", &["/ns/shop/**"])
        .set();
    let names = |text: &str| -> Vec<String> {
        let id = id(text);
        set.aliases_of(&id).map(|one| one.to_string()).collect()
    };
    assert_eq!(
        names("spiffe://old.example/ns/shop/a"),
        [
            "spiffe://new.example/ns/shop/a",
            "spiffe://newer.example/ns/shop/a"
        ]
    );
    assert_eq!(names("spiffe://old.example/x"), Vec::<String>::new());
    assert_eq!(
        names("spiffe://new.example/ns/shop/a"),
        Vec::<String>::new()
    );
}
