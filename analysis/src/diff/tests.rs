//! Small sets that people can check, and random ones against what is decided.

mod brute;

use callgate_policy::{
    Timestamp,
    document::{LoadOptions, Source, load_revocations, parse_time, specify},
};

use super::{AccessChange, CallerChange, Diff, Level, Version, Who, compare};

const NOW: &str = "2026-11-22T12:00:00Z";

fn now() -> Timestamp {
    parse_time(NOW).unwrap()
}

fn version(text: &str) -> Version {
    let source = Source::new("orders.yaml", text);
    let options = LoadOptions {
        now: now(),
        without_revocations: true,
        ..LoadOptions::default()
    };
    let revocations = load_revocations(&source, &options).revocations;
    let specified = match specify(&[source], &options) {
        Ok(specified) => specified,
        Err(error) => panic!("{error}\n{text}"),
    };
    Version::new(specified, revocations).unwrap()
}

/// `spec` of the orders' policy, in a mesh whose spec has `mesh` besides.
fn orders(mesh: &str, spec: &str) -> String {
    format!(
        "kind: MeshPolicy\nmetadata: {{name: mesh}}\nspec:\n  trustDomain: example.org\n{mesh}\
         ---\nkind: ServicePolicy\nmetadata: {{name: orders}}\nspec:\n  \
         services: [/ns/shop/sa/orders]\n{spec}"
    )
}

fn rule(name: &str, from: &str, to: &str) -> String {
    format!("    - {{name: {name}, from: [{from}], to: [{to}]}}\n")
}

fn short(text: &str) -> String {
    text.replace("spiffe://example.org", "")
}

fn who(who: &Who) -> String {
    match who {
        Who::Pattern {
            pattern,
            group,
            alias,
            also,
        } => {
            let also = also.as_ref().map(|other| format!(" also {}", short(other)));
            let group = group.as_ref().map(|name| format!(" of {name}"));
            let alias = alias.as_ref().map(|name| format!(" as {}", short(name)));
            short(pattern)
                + &group.unwrap_or_default()
                + &alias.unwrap_or_default()
                + &also.unwrap_or_default()
        }
        Who::Group { name, members } => format!("{name} ({members})"),
        Who::Everyone { trust_domain } => format!("everyone of {trust_domain}"),
        Who::Unverified => "unverified".to_owned(),
        Who::Forwarded { by, caller } => {
            format!("{} by {}", self::who(caller), short(by.as_str()))
        }
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Refused => "refused",
        Level::LetPass => "let pass",
        Level::Allowed => "allowed",
    }
}

fn told(access: &AccessChange) -> String {
    let mut text = format!(
        "{} -> {}: {}",
        level(access.levels.0),
        level(access.levels.1),
        access.what.as_deref().unwrap_or("everything")
    );
    if !access.except.is_empty() {
        text += &format!(" except {}", short(&access.except.join("; ")));
    }
    text += &format!(" [{}]", access.witness.point);
    for (name, value) in &access.witness.headers {
        text += &format!(" {name}: {value}");
    }
    if !access.is_certain() {
        text += if access.witness.is_proof {
            " differs"
        } else {
            " may differ"
        };
        text += &format!(" when {}", access.conditions.join(" / "));
    }
    if let Some(from) = access.from {
        text += &format!(" from {from}");
    }
    if let Some(until) = access.until {
        text += &format!(" until {until}");
    }
    text
}

fn lines(diff: &Diff) -> Vec<String> {
    let mut lines = Vec::new();
    for service in &diff.services {
        for CallerChange { who, accesses } in &service.callers {
            let names: Vec<String> = who.iter().map(self::who).collect();
            lines.extend(
                accesses
                    .iter()
                    .map(|access| format!("{}: {}", names.join(", "), told(access))),
            );
        }
    }
    lines.extend(diff.settings.iter().map(|setting| short(&setting.text)));
    lines
}

fn compared(old: &str, new: &str) -> Vec<String> {
    let diff = compare(&version(old), &version(new), now());
    assert!(diff.complete);
    lines(&diff)
}

/// Sets that differ in the allow rules of the orders alone.
fn allows(old: &str, new: &str) -> Vec<String> {
    let set = |rules: &str| {
        let none = if rules.is_empty() { " []" } else { "" };
        orders("", &format!("  allow:{none}\n{rules}"))
    };
    compared(&set(old), &set(new))
}

#[test]
fn what_one_rule_adds() {
    let old = rule("r", "/ns/shop/sa/web", "GET /orders");
    let new = rule(
        "r",
        "/ns/shop/sa/web",
        "GET /orders, 'DELETE /orders/{order}'",
    );
    let line = "DELETE /orders/{order} [DELETE /orders/any-order]";
    assert_eq!(
        allows(&old, &new),
        [format!("/ns/shop/sa/web: refused -> allowed: {line}")]
    );
    assert_eq!(
        allows(&new, &old),
        [format!("/ns/shop/sa/web: allowed -> refused: {line}")]
    );
}

#[test]
fn renames_order_and_redundant_rules_show_nothing() {
    let old = rule("one", "/ns/a/sa/x", "'GET /orders/{order}'")
        + &rule("two", "'/ns/{tenant}/sa/y'", "'GET /tenants/{tenant}/**'");
    let new = rule("zwei", "'/ns/{t}/sa/y'", "'GET /tenants/{t}/**'")
        + &rule("eins", "/ns/a/sa/x", "'GET /orders/{id}'")
        + &rule("mehr", "/ns/a/sa/x", "GET /orders/7, HEAD /orders/8");
    assert_eq!(allows(&old, &new), Vec::<String>::new());
    // The same callers and methods, written in another way.
    let old = rule("r", "/ns/a/sa/x", "'GET,POST /x/**'");
    let new = rule("r", "/ns/a/sa/x", "GET /x, POST /x, GET /x/, POST /x/")
        + &rule("s", "/ns/a/sa/*", "'GET /x/{y}/**', 'POST /x/{y}/**'")
        + &rule("t", "/ns/b/sa/x", "GET /z");
    let found = allows(&old, &new);
    assert_eq!(
        found,
        [
            "/ns/a/sa/*: refused -> allowed: GET /x/{y}/** except from /ns/a/sa/x \
             [GET /x/any-y]",
            "/ns/a/sa/*: refused -> allowed: POST /x/{y}/** except from /ns/a/sa/x \
             [POST /x/any-y]",
            "/ns/b/sa/x: refused -> allowed: GET /z [GET /z]",
        ]
    );
}

#[test]
fn methods_and_paths_that_stay_are_left_out() {
    let old = rule("r", "/ns/a/sa/x", "GET /x");
    let new = rule("r", "/ns/a/sa/x", "'GET,POST,HEAD /x'");
    assert_eq!(
        allows(&old, &new),
        ["/ns/a/sa/x: refused -> allowed: POST /x [POST /x]"]
    );
    let new = rule("r", "/ns/a/sa/x", "ANY /x");
    assert_eq!(
        allows(&old, &new),
        ["/ns/a/sa/x: refused -> allowed: ANY /x except GET [POST /x]"]
    );
    let new = rule("r", "/ns/a/sa/x", "GET /**");
    assert_eq!(
        allows(&old, &new),
        ["/ns/a/sa/x: refused -> allowed: GET /** except GET /x [GET /]"]
    );
}

#[test]
fn groups_are_named_where_all_members_fare_alike() {
    let group = |members: &str| {
        format!(
            "---\nkind: CallerGroup\nmetadata: {{name: readers}}\nspec: {{members: [{members}]}}\n"
        )
    };
    let set = |members: &str, to: &str| {
        orders("", &format!("  allow:\n{}", rule("r", "readers", to))) + &group(members)
    };
    let (two, three) = (
        "/ns/a/sa/x, /ns/b/sa/x",
        "/ns/a/sa/x, /ns/b/sa/x, /ns/c/sa/*",
    );
    assert_eq!(
        compared(&set(two, "GET /x"), &set(two, "GET /x, GET /y")),
        ["readers (2): refused -> allowed: GET /y [GET /y]"]
    );
    assert_eq!(
        compared(&set(two, "GET /x"), &set(three, "GET /x")),
        ["/ns/c/sa/* of readers: refused -> allowed: GET /x [GET /x]"]
    );
}

#[test]
fn deny_rules_count_by_what_they_take_away() {
    let allow = "  allow:\n".to_owned()
        + &rule("web", "/ns/shop/sa/web", "GET /orders/**")
        + &rule("batch", "'/ns/batch/**'", "GET /export/**");
    let deny = rule("never", "'/ns/*/sa/*'", "ANY /orders/secret");
    let with = format!("{allow}  deny:\n{deny}");
    let line = "GET /orders/secret [GET /orders/secret]";
    assert_eq!(
        compared(&orders("", &allow), &orders("", &with)),
        [format!("/ns/shop/sa/web: allowed -> refused: {line}")]
    );
    assert_eq!(
        compared(&orders("", &with), &orders("", &allow)),
        [format!("/ns/shop/sa/web: refused -> allowed: {line}")]
    );
    let tenants =
        "  allow:\n".to_owned() + &rule("t", "'/ns/{tenant}/sa/*'", "'GET /tenants/{tenant}/**'");
    let test = format!(
        "{tenants}  deny:\n{}",
        rule("d", "'/ns/test/**'", "ANY /tenants/**")
    );
    assert_eq!(
        compared(&orders("", &tenants), &orders("", &test)),
        [
            "/ns/{tenant}/sa/* also /ns/test/**: allowed -> refused: GET /tenants/{tenant}/** \
          [GET /tenants/test]"
        ]
    );
    // From the service to the mesh: nobody is refused who was not before.
    let mesh = format!("  deny:\n{deny}");
    assert_eq!(
        compared(&orders("", &with), &orders(&mesh, &allow)),
        Vec::<String>::new()
    );
}

#[test]
fn exceptions_change_what_is_allowed_in_time() {
    let set = |expires: &str| {
        let exception = format!("{{reason: a, ticket: b, approvedBy: c, expires: {expires}}}");
        format!("    - {{name: r, from: [/ns/a/sa/x], to: [GET /x], exception: {exception}}}\n")
    };
    let (soon, late) = (set("2027-01-01T00:00:00Z"), set("2027-02-01T00:00:00Z"));
    let for_good = rule("r", "/ns/a/sa/x", "GET /x");
    let past = set("2026-01-01T00:00:00Z");
    assert_eq!(
        allows(&soon, &late),
        [
            "/ns/a/sa/x: refused -> allowed: GET /x [GET /x] from 2027-01-01T00:00:00Z \
          until 2027-02-01T00:00:00Z"
        ]
    );
    assert_eq!(
        allows(&for_good, &late),
        ["/ns/a/sa/x: allowed -> refused: GET /x [GET /x] from 2027-02-01T00:00:00Z"]
    );
    assert_eq!(
        allows(&past, &late),
        ["/ns/a/sa/x: refused -> allowed: GET /x [GET /x] until 2027-02-01T00:00:00Z"]
    );
    assert_eq!(allows(&past, &past), Vec::<String>::new());
}

#[test]
fn settings_of_a_document_change_what_is_decided() {
    let allow = "  allow:\n".to_owned() + &rule("r", "/ns/a/sa/x", "'GET /x/{y}'");
    let plain = orders("", &allow);
    let with = |setting: &str| orders("", &format!("  {setting}\n{allow}"));
    assert_eq!(
        compared(&plain, &with("paths: {trailingSlash: Ignore}")),
        ["/ns/a/sa/x: refused -> allowed: GET /x/{y}/ [GET /x/any-y/]"]
    );
    assert_eq!(
        compared(&plain, &with("paths: {parameters: Keep}")),
        ["/ns/a/sa/x: refused -> allowed: GET /x/{y} with `;` [GET /x/any-y;any]"]
    );
    assert_eq!(
        compared(&plain, &with("overrideHeaders: Keep")),
        [
            "headers that override method or URL (x-http-method-override, …) now reach \
          /ns/shop/sa/orders"
        ]
    );
    assert_eq!(
        compared(&plain, &with("enforcement: Shadow")),
        [
            "everyone of example.org, everyone of any.example: refused -> let pass: \
             everything [GET /]"
        ]
    );
}

#[test]
fn revocations_and_trust_change_what_is_decided() {
    let allow = "  allow:\n".to_owned() + &rule("r", "/ns/a/sa/x, spiffe://old.org/y", "GET /x");
    let plain = orders("", &allow);
    let revoked = plain.clone()
        + "---\nkind: Revocation\nmetadata: {name: leak}\nspec: {id: /ns/a/sa/x, reason: a, \
           revokedBy: b}\n";
    assert_eq!(
        compared(&plain, &revoked),
        ["/ns/a/sa/x: allowed -> refused: GET /x [GET /x]"]
    );
    let accepted = orders("  acceptedTrustDomains: [old.org]\n", &allow);
    assert_eq!(compared(&plain, &accepted), Vec::<String>::new());
    let alias = "  aliases: [{trustDomain: old.org, as: example.org, paths: ['/ns/a/**']}]\n";
    assert_eq!(
        compared(&plain, &orders(alias, &allow)),
        ["spiffe://old.org/ns/a/sa/x as /ns/a/sa/x: refused -> allowed: GET /x [GET /x]"]
    );
    let gateways = "  gateways: [{id: /ns/edge/sa/gw, forServices: ['/ns/shop/sa/*']}]\n";
    assert_eq!(
        compared(&plain, &orders(gateways, &allow)),
        ["gateway /ns/edge/sa/gw may now ask about calls to /ns/shop/sa/*"]
    );
    assert_eq!(
        compared(&plain, &orders("  identity: Shadow\n", &allow)),
        ["unverified: refused -> let pass: everything [GET /]"]
    );
}

#[test]
fn rules_of_the_mesh_are_told_once() {
    let two = orders("", "  allow: []\n").replace(
        "[/ns/shop/sa/orders]",
        "[/ns/shop/sa/orders, /ns/shop/sa/canary]",
    );
    let mesh = format!(
        "  allow:\n{}",
        rule("m", "/ns/monitoring/sa/p", "GET /metrics")
    );
    let new = two.replacen(
        "trustDomain: example.org\n",
        &format!("trustDomain: example.org\n{mesh}"),
        1,
    );
    let diff = compare(&version(&two), &version(&new), now());
    let services: Vec<_> = diff.services.iter().map(|one| one.services.len()).collect();
    assert_eq!(services, [3]);
    assert_eq!(
        lines(&diff),
        ["/ns/monitoring/sa/p: refused -> allowed: GET /metrics [GET /metrics]"]
    );
}

#[test]
fn who_forwards_for_whom_changes_what_is_decided() {
    let allow = "  allow:\n".to_owned()
        + &rule("gateway", "/ns/edge/sa/gw", "GET /health")
        + &rule("mobile", "'/ns/mobile/**'", "GET /orders");
    let trusted = "  forwarders: [{id: /ns/edge/sa/gw, mayAssert: ['/ns/mobile/*'], \
                   forServices: ['/ns/shop/sa/*']}]\n";
    assert_eq!(
        compared(&orders("", &allow), &orders(trusted, &allow)),
        [
            "/ns/mobile/* by /ns/edge/sa/gw: allowed -> refused: GET /health [GET /health]",
            "/ns/mobile/* by /ns/edge/sa/gw: refused -> allowed: GET /orders [GET /orders]",
        ]
    );
    let deny = format!(
        "{allow}  deny:\n{}",
        rule("d", "/ns/edge/sa/gw", "ANY /orders")
    );
    assert_eq!(
        compared(&orders(trusted, &allow), &orders(trusted, &deny)),
        ["/ns/mobile/* by /ns/edge/sa/gw: allowed -> refused: GET /orders [GET /orders]"]
    );
    let more = trusted.replace("/ns/mobile/*", "/ns/mobile/**");
    assert_eq!(
        compared(&orders(trusted, &allow), &orders(&more, &allow)),
        [
            "/ns/mobile/** by /ns/edge/sa/gw: refused -> allowed: GET /orders except from \
          /ns/mobile/* [GET /orders]"
        ]
    );
}

fn when(name: &str, to: &str, condition: &str) -> String {
    format!("    - {{name: {name}, from: [/ns/a/sa/x], to: [{to}], when: '{condition}'}}\n")
}

#[test]
fn conditions_may_make_a_difference() {
    let (reporting, billing) = (
        "request.headers[\"x-purpose\"] == \"reporting\"",
        "request.headers[\"x-purpose\"] == \"billing\"",
    );
    let (one, other) = (when("r", "GET /x", reporting), when("r", "GET /x", billing));
    assert_eq!(allows(&one, &one), Vec::<String>::new());
    assert_eq!(
        allows(&one, &other),
        [
            format!(
                "/ns/a/sa/x: allowed -> refused: GET /x [GET /x] x-purpose: reporting differs \
                 when {reporting} / {billing}"
            ),
            format!(
                "/ns/a/sa/x: refused -> allowed: GET /x [GET /x] x-purpose: billing differs \
                 when {reporting} / {billing}"
            ),
        ]
    );
    let always = rule("r", "/ns/a/sa/x", "GET /x");
    assert_eq!(
        allows(&one, &always),
        [format!(
            "/ns/a/sa/x: refused -> allowed: GET /x [GET /x] \
                  differs when {reporting}"
        )]
    );
    // What conditions have no say in is certain.
    assert_eq!(
        allows(
            &one,
            &format!("{one}{}", rule("s", "/ns/a/sa/x", "POST /x"))
        ),
        ["/ns/a/sa/x: refused -> allowed: POST /x [POST /x]"]
    );
    // So is the time: 2026-11-22 is a Sunday.
    let monday = when("r", "GET /x", "request.time.getDayOfWeek() == 1");
    let diff = compare(
        &version(&orders("", "  allow: []\n")),
        &version(&orders("", &format!("  allow:\n{monday}"))),
        now(),
    );
    let witness = &diff.accesses().next().unwrap().witness;
    assert!(witness.is_proof);
    assert_eq!(witness.at.to_string(), "2026-11-23T00:00:00Z");
    // Of what cannot be tried out, nobody claims to know.
    let ticket = when(
        "r",
        "GET /x",
        "request.headers[\"x-ticket\"].matches(\"^SUP-[0-9]+$\")",
    );
    let found = allows("", &ticket);
    assert!(found[0].contains("may differ"), "{found:?}");
}

#[test]
fn rules_in_shadow_decide_nothing() {
    let live = rule("r", "/ns/a/sa/x", "GET /x");
    let shadow = live.replace("to:", "enforcement: Shadow, to:");
    assert_eq!(
        allows(&live, &shadow),
        ["/ns/a/sa/x: allowed -> refused: GET /x [GET /x]"]
    );
    assert_eq!(allows(&shadow, ""), Vec::<String>::new());
}

#[test]
fn a_long_list_of_what_stays_is_cut() {
    let few: String = (0..12).map(|n| format!("GET /x/{n}, ")).collect();
    let old = rule("r", "/ns/a/sa/x", few.trim_end_matches(", "));
    let found = allows(&old, &rule("r", "/ns/a/sa/x", "'GET /x/{y}'"));
    let stays = (0..8).map(|n| format!("GET /x/{n}; ")).collect::<String>();
    assert_eq!(
        found,
        [format!(
            "/ns/a/sa/x: refused -> allowed: GET /x/{{y}} except {stays}more that other rules \
             say [GET /x/any-y]"
        )]
    );
}

#[test]
fn a_service_with_a_first_policy_or_none_any_more() {
    let allow = "  allow:\n".to_owned() + &rule("r", "/ns/a/sa/x", "GET /x");
    let with = orders("", &allow);
    let (without, _) = with.split_once("---").unwrap();
    assert_eq!(
        compared(without, &with),
        ["/ns/a/sa/x: refused -> allowed: GET /x [GET /x]"]
    );
    assert_eq!(
        compared(&with, without),
        ["/ns/a/sa/x: allowed -> refused: GET /x [GET /x]"]
    );
    let empty = compare(&Version::empty(), &version(&with), now());
    assert_eq!(
        lines(&empty),
        ["/ns/a/sa/x: refused -> allowed: GET /x [GET /x]"]
    );
}
