//! Random sets: whatever is decided differently is told, and whatever is told is so.

use callgate_policy::{CallerPattern, Operation, PathOptions, Side, SpiffeId, TrustDomain};
use proptest::{collection::vec, prelude::*, sample::select};

use super::{Diff, Who, compare, now, orders, version};
use crate::{
    diff::{
        AccessChange, Level, Version,
        world::{Asked, Party},
    },
    language::{Access, Point},
};

/// An allow rule or a deny rule, each with one `from` and some lines.
#[derive(Clone, Debug)]
struct Rules {
    allow: Vec<(String, Vec<String>)>,
    deny: Vec<(String, Vec<String>)>,
    mesh_allow: Vec<(String, Vec<String>)>,
    mesh_deny: Vec<(String, Vec<String>)>,
    shadow: bool,
    ignore_slash: bool,
    alias: bool,
    keep: bool,
}

fn caller() -> impl Strategy<Value = String> {
    let segment = select(vec!["a", "b", "*"]);
    let tail = select(vec!["", "", "/**"]);
    let domain = select(vec!["", "", "", "spiffe://old.org"]);
    (domain, vec(segment, 1..3), tail)
        .prop_map(|(domain, segments, tail)| format!("{domain}/{}{tail}", segments.join("/")))
}

fn line(segments: &'static [&'static str]) -> impl Strategy<Value = String> {
    let verb = select(vec![
        "GET",
        "GET",
        "POST",
        "GET,PUT",
        "ANY",
        "WEBSOCKET",
        "BREW",
    ]);
    let end = select(vec!["", "", "", "/", "/**"]);
    (verb, vec(select(segments), 0..3), end).prop_map(|(verb, segments, end)| {
        let path: String = segments.iter().map(|one| format!("/{one}")).collect();
        match (&*path, end) {
            ("", "/**") => format!("{verb} /**"),
            ("", _) => format!("{verb} /"),
            _ => format!("{verb} {path}{end}"),
        }
    })
}

fn rule() -> impl Strategy<Value = (String, Vec<String>)> {
    let plain = (
        caller(),
        vec(line(&["a", "b", "ab", "{u}", "{u}a", "b{v}"]), 1..3),
    );
    // One whose captures bind.
    let bound = (
        select(vec!["/{s}", "/{s}/*", "/a/{s}", "/{s}/**"]).prop_map(str::to_owned),
        vec(
            line(&["{s}", "x{s}"]).prop_filter("a capture", |line| line.contains("{s}")),
            1..2,
        ),
    );
    prop_oneof![4 => plain, 1 => bound]
}

fn rules() -> impl Strategy<Value = Rules> {
    let lists = (
        vec(rule(), 0..4),
        vec(rule(), 0..2),
        vec(rule(), 0..2),
        vec(rule(), 0..2),
    );
    let flags = (
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
        Just(false),
    );
    (lists, flags).prop_map(
        |((allow, deny, mesh_allow, mesh_deny), (shadow, ignore_slash, alias, keep))| Rules {
            allow,
            deny,
            mesh_allow,
            mesh_deny,
            shadow,
            ignore_slash,
            alias,
            keep,
        },
    )
}

/// The same with a little of `other`: what changes of documents look like.
fn changed(rules: Rules, other: Rules, which: u8) -> Rules {
    let mut changed = rules;
    match which {
        0 => changed.allow.extend(other.allow),
        1 => changed.deny = other.deny,
        2 => changed.mesh_deny = other.mesh_deny,
        3 => {
            changed.shadow = other.shadow;
            changed.ignore_slash = other.ignore_slash;
        }
        4 => changed.alias = other.alias,
        5 => changed.mesh_allow = other.mesh_allow,
        _ => return other,
    }
    changed
}

fn texts(rules: &[(String, Vec<String>)], name: &str) -> String {
    let rules = rules.iter().enumerate().map(|(number, (from, to))| {
        let to: Vec<String> = to.iter().map(|line| format!("'{line}'")).collect();
        super::rule(
            &format!("{name}-{number}"),
            &format!("'{from}'"),
            &to.join(", "),
        )
    });
    rules.collect()
}

fn built(rules: &Rules) -> Version {
    let part = |name: &str, list: &[(String, Vec<String>)]| match list {
        [] => String::new(),
        list => format!("  {name}:\n{}", texts(list, name)),
    };
    let mut mesh = part("allow", &rules.mesh_allow) + &part("deny", &rules.mesh_deny);
    if rules.alias {
        mesh += "  aliases: [{trustDomain: old.org, as: example.org, paths: ['/a/**', '/*/b']}]\n";
    }
    let mut spec = part("allow", &rules.allow) + &part("deny", &rules.deny);
    if rules.shadow {
        spec += "  enforcement: Shadow\n";
    }
    if rules.ignore_slash {
        spec += "  paths: {trailingSlash: Ignore}\n";
    } else if rules.keep {
        spec += "  paths: {parameters: Keep, encodedSlash: Keep}\n";
    }
    version(&orders(&mesh, &spec))
}

fn point() -> impl Strategy<Value = Point> {
    let domain = select(vec!["example.org", "example.org", "old.org", "other.org"]);
    let caller = vec(select(vec!["a", "b", "c", "ab"]), 1..4);
    let segment = select(vec!["a", "b", "c", "ab", "xa", "xb", "bca", "ba", "aa"]);
    let kind = select(vec![
        ("GET", None),
        ("HEAD", None),
        ("POST", None),
        ("PUT", None),
        ("BREW", None),
        ("LINK", None),
        ("GET", Some("websocket")),
    ]);
    (domain, caller, vec(segment, 0..4), any::<bool>(), kind).prop_map(
        |(domain, caller, segments, slash, (method, upgrade))| {
            let id = SpiffeId::parse(&format!("spiffe://{domain}/{}", caller.join("/"))).unwrap();
            let segments: Vec<String> = segments.iter().map(|one| (*one).to_owned()).collect();
            Point::example(id, method, upgrade, &segments, slash)
        },
    )
}

/// Whether `access` of `who` is about the request, by its words alone.
///
/// Where a trailing slash means something, what stays as it was is meant as allow rules
/// read it: deny rules take more.
fn is_about(
    who: &Who,
    access: &AccessChange,
    point: &Point,
    (options, strict): (PathOptions, bool),
) -> bool {
    let Who::Pattern { pattern, also, .. } = who else {
        let domain = point.caller().trust_domain();
        return match who {
            Who::Everyone { trust_domain } => {
                trust_domain == domain || trust_domain == "any.example"
            }
            _ => false,
        };
    };
    let domain = TrustDomain::parse("example.org").unwrap();
    let parsed = |text: &str| CallerPattern::parse(text, Some(&domain)).unwrap();
    let holds = |from: &CallerPattern, line: &str, side: Side| {
        let caller = point.caller();
        // What two rules share is told with both paths, the methods with the first.
        let (line, also) = line.split_once(" that is also ").unwrap_or((line, ""));
        let line = line.strip_suffix(" in other spellings").unwrap_or(line);
        let operation = |line: &str| Operation::parse(line, options).unwrap();
        let request = point.request(None);
        operation(line).is_about(from, caller, &request, side, options)
            && (also.is_empty()
                || operation(&format!("ANY {also}")).is_about(
                    &parsed("/**"),
                    caller,
                    &request,
                    Side::Deny,
                    options,
                ))
    };
    let fits_both = also
        .as_ref()
        .is_none_or(|also| parsed(also).matches(point.caller()));
    let what = access.what.as_deref().unwrap();
    let stays = access.except.iter().any(|text| {
        let (line, from) = match text.split_once("from ") {
            Some((line, from)) => (line.trim(), parsed(from)),
            None => (text.as_str(), parsed(pattern)),
        };
        match line {
            "" => from.matches(point.caller()),
            line if line.contains(' ') => {
                let exact = line.starts_with("WEBSOCKET") || point.upgrade().is_none();
                let ends_alike = line.ends_with('/') == point.path().ends_with('/');
                let slash = !strict || ends_alike || line.ends_with("/**");
                holds(&from, line, Side::Deny) && exact && slash
            }
            methods => methods.split(',').any(|method| {
                method == point.method() || (method == "GET" && point.method() == "HEAD")
            }),
        }
    });
    let side = if what.starts_with("WEBSOCKET") {
        Side::Allow
    } else {
        Side::Deny
    };
    fits_both && holds(&parsed(pattern), what, side) && !stays
}

fn is_told(
    diff: &Diff,
    point: &Point,
    levels: (Level, Level),
    options: (PathOptions, bool),
) -> bool {
    let callers = diff.services.iter().flat_map(|service| &service.callers);
    let mut all = callers.flat_map(|caller| {
        let pairs = caller.who.iter().map(move |who| (who, caller));
        pairs.flat_map(|(who, caller)| caller.accesses.iter().map(move |access| (who, access)))
    });
    all.any(|(who, access)| access.levels == levels && is_about(who, access, point, options))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn all_that_differs_is_told_and_nothing_else(
        one in rules(),
        other in rules(),
        which in 0u8..8,
        points in vec(point(), 300),
    ) {
        let new_rules = changed(one.clone(), other, which);
        let (old, new) = (built(&one), built(&new_rules));
        let diff = compare(&old, &new, now());
        prop_assert!(diff.complete);
        let service = SpiffeId::parse("spiffe://example.org/ns/shop/sa/orders").unwrap();
        let levels = |point: &Point| {
            let level = |version: &Version| {
                let asked = Asked {
                    point,
                    party: Party::Direct,
                    service: &service,
                    at: now(),
                    extras: None,
                };
                version.answer(&asked).level
            };
            (level(&old), level(&new))
        };
        for access in diff.accesses() {
            let witness = &access.witness;
            if witness.service == service {
                prop_assert_eq!(levels(&witness.point), access.levels, "{:?}", access);
            }
            prop_assert_ne!(access.levels.0, access.levels.1);
        }
        let options = PathOptions {
            ignore_trailing_slash: one.ignore_slash || new_rules.ignore_slash,
            ..PathOptions::default()
        };
        let strict = !one.ignore_slash || !new_rules.ignore_slash;
        for point in &points {
            let levels = levels(point);
            if levels.0 != levels.1 {
                let told = is_told(&diff, point, levels, (options, strict));
                prop_assert!(told, "{} {} {:?}\n{:#?}", point.caller(), point, levels, super::lines(&diff));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// One rule alone decides as its patterns are held against requests one by one.
    #[test]
    fn a_rule_is_about_what_it_decides(
        rule in rule(),
        denies in any::<bool>(),
        ignore_slash in any::<bool>(),
        points in vec(point(), 100),
    ) {
        let everything = ("/**".to_owned(), vec!["ANY /**".to_owned(), "WEBSOCKET /**".to_owned()]);
        let (allow, deny, side) = match denies {
            true => (vec![everything], vec![rule], Side::Deny),
            false => (vec![rule], Vec::new(), Side::Allow),
        };
        let (mesh_allow, mesh_deny) = (Vec::new(), Vec::new());
        let rules = Rules {
            allow, deny, mesh_allow, mesh_deny, shadow: false, ignore_slash, alias: false,
            keep: false,
        };
        let version = built(&rules);
        let policy = &version.services()[0];
        let own = if denies { &policy.deny[0] } else { &policy.allow[0] };
        let ways = Access::of_rule(own, side, policy.paths);
        for point in &points {
            // Only of its own domain the rule that allows everything is about all.
            if point.caller().trust_domain() != "example.org" && denies {
                continue;
            }
            let asked = Asked {
                point,
                party: Party::Direct,
                service: &policy.services[0],
                at: now(),
                extras: None,
            };
            let answer = version.answer(&asked);
            let decides = answer.rule.as_ref() == Some(&own.name);
            prop_assert_eq!(ways.iter().any(|way| way.holds(point)), decides, "{}", point);
        }
    }
}

/// Whatever stands around a capture, what it may newly hold is told.
#[test]
fn what_is_kept_within_a_capture_is_told() {
    for line in ["GET /{u}a", "GET /a{u}", "GET /a{u}b", "GET /{u}"] {
        let rules = |keep| Rules {
            allow: vec![("/a".to_owned(), vec![line.to_owned()])],
            deny: Vec::new(),
            mesh_allow: Vec::new(),
            mesh_deny: Vec::new(),
            shadow: false,
            ignore_slash: false,
            alias: false,
            keep,
        };
        let diff = compare(&built(&rules(false)), &built(&rules(true)), now());
        let levels = (Level::Refused, Level::Allowed);
        let told = diff.accesses().any(|access| access.levels == levels);
        assert!(told, "{line}\n{:#?}", super::lines(&diff));
    }
}

/// Requests with what only some services keep in their paths.
fn kept_point() -> impl Strategy<Value = Point> {
    let segment = select(vec![
        "a", "b", "c", "a;c", "b;a", "a/b", "b/a;c", "ab;c", "c/c", ";/a",
    ]);
    let caller = vec(select(vec!["a", "b"]), 1..3);
    (caller, vec(segment, 1..3)).prop_map(|(caller, segments)| {
        let id = SpiffeId::parse(&format!("spiffe://example.org/{}", caller.join("/"))).unwrap();
        let segments: Vec<String> = segments.iter().map(|one| (*one).to_owned()).collect();
        Point::example(id, "GET", None, &segments, false)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Where a service keeps what others refuse, some change of that kind is told.
    #[test]
    fn kept_paths_that_differ_are_told(
        one in rules(),
        other in rules(),
        which in 0u8..7,
        keeps in select(vec![(true, true), (false, true), (true, false)]),
        points in vec(kept_point(), 100),
    ) {
        let mut new_rules = changed(one.clone(), other, which);
        let mut one = one;
        (one.keep, new_rules.keep) = keeps;
        (one.ignore_slash, new_rules.ignore_slash) = (false, false);
        let (old, new) = (built(&one), built(&new_rules));
        let diff = compare(&old, &new, now());
        let service = SpiffeId::parse("spiffe://example.org/ns/shop/sa/orders").unwrap();
        for point in &points {
            let level = |version: &Version| {
                let asked = Asked {
                    point,
                    party: Party::Direct,
                    service: &service,
                    at: now(),
                    extras: None,
                };
                version.answer(&asked).level
            };
            let levels = (level(&old), level(&new));
            if levels.0 != levels.1 {
                let told = diff.accesses().any(|access| access.levels == levels);
                prop_assert!(told, "{} {} {:?}\n{:#?}", point.caller(), point, levels, super::lines(&diff));
            }
        }
    }
}
