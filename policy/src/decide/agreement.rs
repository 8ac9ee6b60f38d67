//! Random small sets and requests: the compiled form decides as the reference does.

use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{Index, select},
};

use super::reference::{self, RequestText, RuleText};
use crate::{
    Addition, Clause, Decision, PathOptions, PolicySet, Reason, Request, SpiffeId, Timestamp,
    TrustDomain, check_captures,
    spec::{
        AliasSpec, Callers, Enforcement, ForwarderSpec, FromSpec, MeshSpec, RuleSpec, ServiceSpec,
        TrustSpec,
    },
    testing::{NOW, caller, id, mesh, orders, rule_with, set},
};

/// Small alphabets, so that much matches and much nearly does.
fn from_pattern(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    let segment = select([&["a", "b", "*"], names].concat());
    let domain = prop_oneof![4 => Just(""), 1 => Just("spiffe://other.org")];
    let tail = prop_oneof![Just(""), Just("/**")];
    let parts = (domain, vec(segment, 1..4), tail);
    parts.prop_map(|(domain, segments, tail)| format!("{domain}/{}{tail}", segments.join("/")))
}

fn line(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    let verb = select(vec!["GET", "POST", "GET,PUT", "ANY", "WEBSOCKET", "BREW"]);
    let segment = select([&["a", "b", "c", "{u}", "x{v}"], names].concat());
    let end = select(vec!["", "", "", "/", "/**"]);
    let http = (verb, vec(segment, 0..4), end).prop_map(|(verb, segments, end)| {
        let path: String = segments
            .iter()
            .map(|segment| format!("/{segment}"))
            .collect();
        match (&*path, end) {
            ("", "") => format!("{verb} /"),
            _ => format!("{verb} {path}{end}"),
        }
    });
    let grpc = select(vec!["GRPC a/b", "GRPC a/*", "GRPC b/a"]).prop_map(ToOwned::to_owned);
    prop_oneof![6 => http, 1 => grpc]
}

fn rule_text(names: &'static [&'static str]) -> impl Strategy<Value = RuleText> {
    let entry = prop_oneof![
        5 => from_pattern(names).prop_map(|pattern| vec![pattern]),
        1 => vec(from_pattern(&[]), 1..4),
    ];
    let parts = (
        vec(entry, 1..3),
        vec(line(names), 1..4),
        prop::bool::weighted(0.2),
    );
    parts.prop_map(|(from, to, expired)| RuleText {
        name: String::new(),
        from,
        to,
        expired,
    })
}

/// Rules whose captures bind: only those load.
fn rules(at_most: usize) -> impl Strategy<Value = Vec<RuleText>> {
    let bound: &[&str] = &["{s}", "{s}", "{s}:x"];
    let rule = prop_oneof![rule_text(&[]), rule_text(&["{s}"]), rule_text(bound)];
    vec(rule, 0..=at_most).prop_map(|mut rules| {
        rules.retain(valid);
        for (number, rule) in rules.iter_mut().enumerate() {
            rule.name = format!("rule-{number}");
        }
        rules
    })
}

fn valid(rule: &RuleText) -> bool {
    // A part of a segment can be captured in a path only.
    let parses = rule
        .from
        .iter()
        .flatten()
        .all(|pattern| !pattern.contains(":x"));
    parses && check_captures(&spec(rule, PathOptions::default())).is_ok()
}

fn spec(text: &RuleText, options: PathOptions) -> RuleSpec {
    let to: Vec<&str> = text.to.iter().map(String::as_str).collect();
    let mut spec = rule_with(options, &text.name, 1, &[], &to);
    spec.from = text.from.iter().map(|entry| from_spec(entry)).collect();
    if text.expired {
        return spec.expires(NOW);
    }
    spec
}

fn from_spec(entry: &[String]) -> FromSpec {
    FromSpec {
        line: 1,
        text: entry.join(" "),
        callers: match entry {
            [pattern] => Callers::Pattern(caller(pattern)),
            members => Callers::Group(members.iter().map(|member| caller(member)).collect()),
        },
    }
}

fn request() -> impl Strategy<Value = RequestText> {
    let domain = prop_oneof![4 => Just("example.org"), 1 => Just("other.org")];
    let caller = (domain, vec(select(vec!["a", "b", "c"]), 1..4))
        .prop_map(|(domain, segments)| format!("spiffe://{domain}/{}", segments.join("/")));
    let segment = select(vec![
        "a", "a", "b", "b", "c", "a:x", "b:x", "xa", "x", "a;b", "a%2Fb", "%2F", "b;a%2Fa",
    ]);
    let slash = prop_oneof![3 => Just(""), 1 => Just("/")];
    let path = (vec(segment, 0..4), slash).prop_map(|(segments, slash)| match &*segments {
        [] => "/".to_owned(),
        segments => format!("/{}{slash}", segments.join("/")),
    });
    let method = select(vec!["GET", "GET", "HEAD", "POST", "PUT", "BREW"]);
    let upgrade = prop_oneof![
        4 => Just(None),
        1 => select(vec!["websocket", "WebSocket", "h2c", "", "h2c, websocket"]).prop_map(Some),
    ];
    let kinds = [
        "application/grpc",
        "application/grpc+json",
        "application/grpc-web",
        "text/html",
    ];
    let parts = (
        caller,
        method,
        path,
        upgrade,
        option::of(select(kinds.to_vec())),
    );
    parts.prop_map(
        |(caller, method, path, upgrade, content_type)| RequestText {
            caller,
            method: method.to_owned(),
            path,
            upgrade: upgrade.map(ToOwned::to_owned),
            content_type: content_type.map(ToOwned::to_owned),
        },
    )
}

/// What takes a request into the reach of a rule, or of two: which rule's caller and
/// which rule's operation it takes on, and what captures stand for.
pub(crate) type Aim = (Option<Index>, Option<Index>, bool);

pub(crate) fn requests() -> impl Strategy<Value = Vec<(RequestText, Aim)>> {
    vec(
        (
            request(),
            (
                option::of(any::<Index>()),
                option::of(any::<Index>()),
                any::<bool>(),
            ),
        ),
        1..12,
    )
}

/// A text that fits a pattern, with every capture standing for the same.
fn instance(pattern: &str, value: bool) -> String {
    let value = if value { "a" } else { "b" };
    let names = ["{s}", "{u}", "{v}", "{c}", "*"];
    let text = pattern.replace("/**", if value == "a" { "" } else { "/a" });
    names
        .iter()
        .fold(text, |text, name| text.replace(name, value))
}

pub(crate) fn aimed(mut request: RequestText, aim: &Aim, world: &World) -> RequestText {
    let rules: Vec<_> = world.rules().collect();
    let (caller, operation, value) = aim;
    if let Some(rule) = caller
        .as_ref()
        .filter(|_| !rules.is_empty())
        .map(|at| at.get(&rules))
    {
        let pattern = instance(&rule.from[0][0], *value);
        let absolute = pattern.starts_with("spiffe:");
        let scheme = if absolute { "" } else { "spiffe://example.org" };
        request.caller = format!("{scheme}{pattern}");
        // A bare trust domain is no caller.
        if SpiffeId::parse(&request.caller).is_err() {
            request.caller += "/a";
        }
    }
    if let Some(rule) = operation
        .as_ref()
        .filter(|_| !rules.is_empty())
        .map(|at| at.get(&rules))
    {
        let (verb, _) = rule.to[0].split_once(' ').unwrap();
        let path = instance(&reference::path_of(&rule.to[0]), *value);
        request.path = if path.is_empty() {
            "/".to_owned()
        } else {
            path
        };
        request.upgrade = (verb == "WEBSOCKET").then(|| "websocket".to_owned());
        request.method = match verb {
            "ANY" | "WEBSOCKET" => "GET".to_owned(),
            "GRPC" => "POST".to_owned(),
            methods => methods.split(',').next_back().unwrap().to_owned(),
        };
        if verb == "GRPC" {
            request.content_type = Some("application/grpc".to_owned());
        }
    }
    request
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) ignore_slash: bool,
    pub(crate) mesh_deny: Vec<RuleText>,
    pub(crate) deny: Vec<RuleText>,
    pub(crate) allow: Vec<RuleText>,
    pub(crate) mesh_allow: Vec<RuleText>,
    /// With rules that no request matches, so many that every index is in use.
    pub(crate) crowded: bool,
}

pub(crate) fn world() -> impl Strategy<Value = World> {
    let parts = (
        any::<bool>(),
        rules(1),
        rules(2),
        rules(5),
        rules(1),
        prop::bool::weighted(0.3),
    );
    parts.prop_map(
        |(ignore_slash, mesh_deny, deny, allow, mesh_allow, crowded)| World {
            ignore_slash,
            mesh_deny,
            deny,
            allow,
            mesh_allow,
            crowded,
        },
    )
}

impl World {
    fn rules(&self) -> impl Iterator<Item = &RuleText> {
        let documents = [&self.mesh_deny, &self.deny, &self.allow, &self.mesh_allow];
        documents.into_iter().flatten()
    }

    fn options(&self) -> PathOptions {
        PathOptions {
            keep_encoded_slash: true,
            keep_parameters: true,
            ignore_trailing_slash: self.ignore_slash,
        }
    }

    fn specs(&self, rules: &[RuleText]) -> Vec<RuleSpec> {
        let everybody = ["/**", "spiffe://other.org/**"].map(|text| vec![text.to_owned()]);
        let crowd = (0..300).map(|number| RuleText {
            name: format!("crowd-{number}"),
            from: everybody.to_vec(),
            to: vec![
                format!("GET /a/crowd/{number}"),
                format!("POST /crowd/{{c}}/{number}"),
            ],
            expired: false,
        });
        let crowd: Vec<_> = crowd.take(if self.crowded { 300 } else { 0 }).collect();
        let (before, after) = crowd.split_at(crowd.len() / 2);
        let all = before.iter().chain(rules).chain(after);
        all.map(|rule| spec(rule, self.options())).collect()
    }

    pub(crate) fn service(&self) -> ServiceSpec {
        let deny = self.deny.iter().map(|rule| RuleText {
            expired: false,
            ..rule.clone()
        });
        let deny: Vec<_> = deny.collect();
        let mut service = orders(self.specs(&self.allow), self.specs(&deny));
        service.paths = self.options();
        service
    }

    fn build(&self, service: ServiceSpec) -> PolicySet {
        self.build_with(service, TrustSpec::default())
    }

    fn build_with(&self, service: ServiceSpec, trust: TrustSpec) -> PolicySet {
        set(Some(self.mesh(trust)), vec![service])
    }

    pub(crate) fn mesh(&self, trust: TrustSpec) -> MeshSpec {
        let deny = self.mesh_deny.iter().map(|rule| RuleText {
            expired: false,
            ..rule.clone()
        });
        let deny: Vec<_> = deny.map(|rule| spec(&rule, self.options())).collect();
        let allow = self
            .mesh_allow
            .iter()
            .map(|rule| spec(rule, self.options()))
            .collect();
        MeshSpec {
            trust,
            ..mesh(allow, deny)
        }
    }

    /// The reference's answer: the reason, and the rule's document and name.
    fn answer(&self, request: &RequestText) -> (Reason, Option<(&'static str, String)>) {
        self.answer_to(std::slice::from_ref(request), &[])
    }

    /// The same of a caller with several names, and of others whom deny rules look at.
    fn answer_to(
        &self,
        names: &[RequestText],
        others: &[RequestText],
    ) -> (Reason, Option<(&'static str, String)>) {
        let denied = |rules: &[RuleText], document| {
            let rule = rules.iter().find(|rule| {
                let mut parties = names.iter().chain(others);
                parties.any(|request| reference::denies(rule, request))
            })?;
            Some((Reason::DenyRule, Some((document, rule.name.clone()))))
        };
        let allowed = |rules: &[RuleText], document, expired, reason| {
            let mut rules = rules.iter().filter(|rule| rule.expired == expired);
            let rule = rules.find(|rule| {
                let mut names = names.iter();
                names.any(|request| reference::allows(rule, request, self.ignore_slash))
            })?;
            Some((reason, Some((document, rule.name.clone()))))
        };
        let late = Reason::ExceptionExpired;
        denied(&self.mesh_deny, "mesh")
            .or_else(|| denied(&self.deny, "orders"))
            .or_else(|| allowed(&self.allow, "orders", false, Reason::Allow))
            .or_else(|| allowed(&self.mesh_allow, "mesh", false, Reason::Allow))
            .or_else(|| allowed(&self.allow, "orders", true, late))
            .or_else(|| allowed(&self.mesh_allow, "mesh", true, late))
            .unwrap_or((Reason::NoRule, None))
    }
}

fn ask<'p>(set: &'p PolicySet, text: &RequestText, now: Timestamp) -> Decision<'p> {
    let caller = SpiffeId::parse(&text.caller).unwrap();
    let service = id("/ns/shop/sa/orders");
    set.decide(&text.request(&caller, &service), now)
}

impl RequestText {
    pub(crate) fn request<'a>(
        &'a self,
        caller: &'a SpiffeId,
        service: &'a SpiffeId,
    ) -> Request<'a> {
        Request {
            caller: crate::Caller::Verified(caller),
            service: Some(service),
            method: &self.method,
            path: &self.path,
            upgrade: self.upgrade.as_deref(),
            content_type: self.content_type.as_deref(),
            host: None,
            headers: &crate::NoHeaders,
        }
    }
}

/// The paths of an alias.
pub(crate) fn alias_path() -> impl Strategy<Value = String> {
    let parts = (vec(select(vec!["a", "b", "*"]), 0..3), prop::bool::ANY);
    parts.prop_map(|(segments, tail)| {
        let path: String = segments.iter().map(|one| format!("/{one}")).collect();
        match path.as_str() {
            "" => "/**".to_owned(),
            _ if tail => path + "/**",
            _ => path,
        }
    })
}

/// Callers of other.org with these paths have a name in example.org, and `gateway` may
/// assert anybody.
pub(crate) fn trust(paths: &[String], gateway: Option<&str>) -> TrustSpec {
    let everyone = ["/**", "spiffe://other.org/**"].map(caller).to_vec();
    TrustSpec {
        aliases: vec![AliasSpec {
            other: TrustDomain::parse("example.org").unwrap(),
            callers: paths
                .iter()
                .map(|path| caller(&format!("spiffe://other.org{path}")))
                .collect(),
        }],
        forwarders: Vec::from_iter(gateway.map(|gateway| ForwarderSpec {
            id: id(gateway),
            may_assert: everyone.clone(),
            for_services: everyone,
        })),
        ..TrustSpec::default()
    }
}

/// The request under each of its caller's names.
fn names(request: &RequestText, paths: &[String]) -> Vec<RequestText> {
    let path = request.caller.strip_prefix("spiffe://other.org");
    let fits = |path: &&str| {
        let own = format!("spiffe://example.org{path}");
        let mut paths = paths.iter();
        paths.any(|pattern| reference::caller(pattern, &own).is_some())
    };
    let other = path.filter(fits).map(|path| RequestText {
        caller: format!("spiffe://example.org{path}"),
        ..request.clone()
    });
    std::iter::once(request.clone()).chain(other).collect()
}

/// What the reference says of the clause that a miss names.
fn fails(miss: &crate::NearestMiss<'_>, request: &RequestText, ignore_slash: bool) -> bool {
    let pattern = reference::path_of(miss.to.text);
    let shape = |bound| reference::path(&pattern, &request.path, ignore_slash, bound);
    match miss.clause {
        Clause::From => {
            let mut patterns = miss.from.text.split(' ');
            patterns.all(|pattern| reference::caller(pattern, &request.caller).is_none())
        }
        Clause::Method => !reference::admits(miss.to.text, request),
        Clause::Path => shape(Default::default()).is_none(),
        Clause::Captures => {
            let bound = reference::caller(miss.from.text, &request.caller);
            bound.and_then(shape).is_none()
        }
        Clause::Exception | Clause::When => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn decides_as_the_reference_does(world in world(), requests in requests()) {
        let set = world.build(world.service());
        for (request, aim) in requests {
            let request = aimed(request, &aim, &world);
            let decision = ask(&set, &request, NOW);
            let rule = decision.rule.map(|rule| (rule.policy, rule.name.to_owned()));
            let (reason, expected) = world.answer(&request);
            prop_assert_eq!(decision.reason, reason, "{:?}", &request);
            prop_assert_eq!(rule, expected, "{:?}", &request);
            prop_assert_eq!(decision.permit().is_some(), reason == Reason::Allow);
        }
    }

    /// Callers of other.org with names in example.org, and a gateway of either domain that
    /// calls for them.
    #[test]
    fn decides_for_every_name_and_for_forwarders_as_the_reference_does(
        world in world(),
        requests in requests(),
        paths in vec(alias_path(), 0..3),
        gateway in option::of(select(vec![
            "spiffe://example.org/a", "spiffe://other.org/a/b", "spiffe://other.org/b",
        ])),
    ) {
        let set = world.build_with(world.service(), trust(&paths, gateway));
        for (request, aim) in requests {
            let request = aimed(request, &aim, &world);
            let names = names(&request, &paths);
            let by = gateway.map(|gateway| RequestText { caller: gateway.to_owned(), ..request.clone() });
            let others: Vec<_> = by.iter().flat_map(|by| self::names(by, &paths)).collect();
            let (caller, service) = (id(&request.caller), id("/ns/shop/sa/orders"));
            let forwarder = gateway.map(id);
            let mut asked = request.request(&caller, &service);
            if let Some(forwarder) = &forwarder {
                asked.caller = crate::Caller::Forwarded { original: &caller, forwarder };
            }
            let decision = set.decide(&asked, NOW);
            let rule = decision.rule.map(|rule| (rule.policy, rule.name.to_owned()));
            let (reason, expected) = world.answer_to(&names, &others);
            prop_assert_eq!(decision.reason, reason, "{:?} by {:?}", &names, &others);
            prop_assert_eq!(rule, expected, "{:?} by {:?}", &names, &others);
        }
    }

    /// The clause that a nearest miss names does fail, and what it says to add is enough.
    #[test]
    fn misses_are_true(world in world(), requests in requests()) {
        let set = world.build(world.service());
        for (request, aim) in requests {
            let request = aimed(request, &aim, &world);
            let decision = ask(&set, &request, NOW);
            let rules = world.crowded || !world.allow.is_empty() || !world.mesh_allow.is_empty();
            let expected = match decision.reason {
                Reason::NoRule => rules,
                reason => reason == Reason::ExceptionExpired,
            };
            prop_assert_eq!(decision.nearest_miss.is_some(), expected);
            let Some(miss) = decision.nearest_miss else { continue };
            if decision.reason == Reason::ExceptionExpired {
                prop_assert_eq!(miss.clause, Clause::Exception);
                prop_assert_eq!(Some(miss.rule), decision.rule);
                continue;
            }
            prop_assert!(fails(&miss, &request, world.ignore_slash), "{:?} {:?}", miss, request);
            let (caller, service) = (id(&request.caller), id("/ns/shop/sa/orders"));
            let story = miss.story(&request.request(&caller, &service), NOW).unwrap();
            let first = story.checks.iter().find(|check| !check.passed).unwrap();
            prop_assert_eq!((first.clause, &first.expected), (miss.clause, &miss.expected));
            let Some(addition) = story.addition.filter(|_| miss.rule.policy == "orders") else {
                continue;
            };
            let mut service = world.service();
            let name = miss.rule.name;
            let rule = service.allow.iter_mut().find(|rule| rule.name == name).unwrap();
            let added = match &addition {
                Addition::From(line) => rule_with(world.options(), "", 1, &[line], &[]),
                Addition::To(line) => rule_with(world.options(), "", 1, &[], &[line]),
            };
            rule.from.extend(added.from);
            rule.to.extend(added.to);
            prop_assert!(check_captures(rule).is_ok(), "{:?}", rule);
            rule.exception = None;
            service.enforcement = Enforcement::Enforce;
            let set = world.build(service);
            prop_assert_eq!(ask(&set, &request, NOW).reason, Reason::Allow, "{:?}", addition);
        }
    }
}
