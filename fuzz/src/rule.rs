//! Rules: patterns over callers and over requests, and what they decide.

mod reference;

use anyhow::{Result, ensure};
use callgate_policy::{
    Caller, CallerPattern, CanonicalPath, NoHeaders, Operation, PathOptions, PolicySet, Reason,
    Request, SpiffeId, Timestamp, TrustDomain,
    spec::{Callers, Enforcement, FromSpec, PolicySetSpec, RuleSpec, ServiceSpec, ToSpec},
};

use self::reference::Case;

const TRUST_DOMAIN: &str = "example.org";
const SERVICE: &str = "spiffe://example.org/service";

/// Six lines: an entry of `from`, a line of `to`, a caller, `METHOD target`, a content
/// type, an upgrade (`-` for none). If it is a rule, it allows, and it denies, exactly
/// what a reference that knows nothing of indexes says.
///
/// # Errors
/// When the rule decides otherwise.
pub fn rule(bytes: &[u8]) -> Result<()> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Ok(());
    };
    let lines: Vec<&str> = text.split('\n').collect();
    let &[from, to, caller, call, content_type, upgrade] = lines.as_slice() else {
        return Ok(());
    };
    let (Some((method, target)), Ok(caller)) = (call.split_once(' '), SpiffeId::parse(caller))
    else {
        return Ok(());
    };
    let Some(rule) = parse(from, to)? else {
        return Ok(());
    };
    let named = |text| (text != "-").then_some(text);
    let case = Case {
        from,
        to,
        caller: &caller,
        method,
        target,
        upgrade: named(upgrade),
        content_type: named(content_type),
    };
    let Some((allowed, denied)) = decided(&case, rule)? else {
        ensure!(!case.binds(), "`{from}` and `{to}` bind, but do not build");
        return Ok(());
    };
    ensure!(case.binds(), "`{from}` and `{to}` build, but do not bind");
    agrees(&case, allowed, denied)
}

/// The reasons that come of it as an allow rule and as a deny rule; nothing if it does
/// not build.
fn decided(case: &Case<'_>, rule: RuleSpec) -> Result<Option<(Reason, Reason)>> {
    let service = SpiffeId::parse(SERVICE)?;
    let request = Request {
        caller: Caller::Verified(case.caller),
        service: Some(&service),
        method: case.method,
        path: case.target,
        upgrade: case.upgrade,
        content_type: case.content_type,
        host: None,
        headers: &NoHeaders,
    };
    let everything = everything(case.caller)?;
    let allowing = PolicySet::build(set(&service, vec![rule.clone()], Vec::new()));
    let denying = PolicySet::build(set(&service, everything, vec![rule]));
    let (Ok(allowing), Ok(denying)) = (allowing, denying) else {
        return Ok(None);
    };
    let now = Timestamp::from_secs(0);
    Ok(Some((
        allowing.decide(&request, now).reason,
        denying.decide(&request, now).reason,
    )))
}

fn agrees(case: &Case<'_>, allowed: Reason, denied: Reason) -> Result<()> {
    let path = CanonicalPath::parse(case.target, PathOptions::default());
    let (Ok(path), true) = (path, is_method(case.method)) else {
        let ambiguous = [allowed, denied] == [Reason::PathAmbiguous; 2];
        ensure!(ambiguous, "ambiguous, but {allowed} and {denied}");
        return Ok(());
    };
    let allow = if case.allows(&path) {
        Reason::Allow
    } else {
        Reason::NoRule
    };
    ensure!(
        allowed == allow,
        "as an allow rule {allowed}, by the reference {allow}"
    );
    let deny = case.denies(&path);
    let same = (denied == Reason::DenyRule) == deny;
    ensure!(same, "as a deny rule {denied}, by the reference {deny}");
    Ok(())
}

fn parse(from: &str, to: &str) -> Result<Option<RuleSpec>> {
    let trust_domain = TrustDomain::parse(TRUST_DOMAIN)?;
    let pattern = CallerPattern::parse(from, Some(&trust_domain));
    let (Ok(pattern), Ok(operation)) = (pattern, Operation::parse(to, PathOptions::default()))
    else {
        return Ok(None);
    };
    let shown = pattern.to_string();
    let again = CallerPattern::parse(&shown, None);
    ensure!(
        again.as_ref() == Ok(&pattern),
        "`{from}` is shown as `{shown}`: {again:?}"
    );
    Ok(Some(spec("rule", from, pattern, vec![(to, operation)])))
}

fn spec(name: &str, from: &str, pattern: CallerPattern, to: Vec<(&str, Operation)>) -> RuleSpec {
    let to = to.into_iter().map(|(text, operation)| ToSpec {
        line: 1,
        text: text.to_owned(),
        operation,
    });
    RuleSpec {
        name: name.to_owned(),
        line: 1,
        from: vec![FromSpec {
            line: 1,
            text: from.to_owned(),
            callers: Callers::Pattern(pattern),
        }],
        to: to.collect(),
        when: None,
        exception: None,
        enforcement: Enforcement::Enforce,
    }
}

/// Allows `caller` whatever can be allowed, so that only a deny rule refuses.
fn everything(caller: &SpiffeId) -> Result<Vec<RuleSpec>> {
    let all = ["ANY /**", "WEBSOCKET /**"];
    let mut to = Vec::new();
    for text in all {
        to.push((text, Operation::parse(text, PathOptions::default())?));
    }
    let pattern = CallerPattern::parse(caller.as_str(), None)?;
    Ok(vec![spec("everything", caller.as_str(), pattern, to)])
}

fn set(service: &SpiffeId, allow: Vec<RuleSpec>, deny: Vec<RuleSpec>) -> PolicySetSpec {
    let service = ServiceSpec {
        name: "service".to_owned(),
        file: "service.yaml".to_owned(),
        services: vec![service.clone()],
        owner: None,
        help: None,
        enforcement: Enforcement::Enforce,
        paths: PathOptions::default(),
        keep_override_headers: false,
        allow,
        deny,
    };
    PolicySetSpec {
        mesh: None,
        services: vec![service],
    }
}

/// RFC 9110 section 9.1, and short; CONNECT names no path.
fn is_method(text: &str) -> bool {
    let tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    (1..=32).contains(&text.len()) && text.bytes().all(tchar) && text != "CONNECT"
}
