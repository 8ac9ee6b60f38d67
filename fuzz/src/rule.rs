//! Rules: patterns over callers and over requests, and what they decide.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use callgate_policy::{
    Caller, CallerPattern, CanonicalPath, Operation, PathOptions, PolicySet, Reason, Request,
    SpiffeId, Timestamp, TrustDomain,
    spec::{Callers, Enforcement, FromSpec, PolicySetSpec, RuleSpec, ServiceSpec, ToSpec},
};
use percent_encoding::percent_decode_str;

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
    let Some((method, target)) = call.split_once(' ') else {
        return Ok(());
    };
    let (Some(rule), Ok(caller)) = (parse(from, to)?, SpiffeId::parse(caller)) else {
        return Ok(());
    };

    let named = |text| (text != "-").then_some(text);
    let case = Case {
        from,
        to,
        caller: &caller,
        method,
        upgrade: named(upgrade),
        content_type: named(content_type),
    };
    let service = SpiffeId::parse(SERVICE)?;
    let request = Request {
        caller: Caller::Verified(&caller),
        service: Some(&service),
        method,
        path: target,
        upgrade: case.upgrade,
        content_type: case.content_type,
    };
    let reason = |allow, deny| -> Result<Option<Reason>> {
        let Ok(set) = PolicySet::build(set(&service, allow, deny)) else {
            return Ok(None);
        };
        Ok(Some(set.decide(&request, Timestamp::from_secs(0)).reason))
    };
    let (allowed, denied) = (
        reason(vec![rule.clone()], vec![])?,
        reason(everything(&caller)?, vec![rule])?,
    );
    let (Some(allowed), Some(denied)) = (allowed, denied) else {
        ensure!(!case.binds(), "`{from}` and `{to}` bind, but do not build");
        return Ok(());
    };
    ensure!(case.binds(), "`{from}` and `{to}` build, but do not bind");

    let path = CanonicalPath::parse(target, PathOptions::default());
    let (Ok(path), true) = (path, is_method(method)) else {
        let ambiguous = [allowed, denied] == [Reason::PathAmbiguous; 2];
        ensure!(ambiguous, "`{call}` is {allowed} and {denied}");
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
    ensure!(
        (denied == Reason::DenyRule) == deny,
        "as a deny rule {denied}, by the reference {deny}"
    );
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
        exception: None,
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

/// What a name stands for.
type Bound = BTreeMap<String, String>;

/// The reference: texts and lists, every time anew.
struct Case<'t> {
    from: &'t str,
    to: &'t str,
    caller: &'t SpiffeId,
    method: &'t str,
    upgrade: Option<&'t str>,
    content_type: Option<&'t str>,
}

impl Case<'_> {
    /// Every name of `from` is in `to`.
    fn binds(&self) -> bool {
        names(self.from)
            .iter()
            .all(|name| names(self.verb().1).contains(name))
    }

    fn allows(&self, path: &CanonicalPath<'_>) -> bool {
        let (verb, pattern) = self.verb();
        let grpc = self.content_type.is_some_and(is_grpc);
        let verb_fits = match verb {
            "WEBSOCKET" => {
                self.upgrade
                    .is_some_and(|u| u.eq_ignore_ascii_case("websocket"))
                    && self.method == "GET"
            }
            _ if self.upgrade.is_some() => false,
            "GRPC" => grpc && self.method == "POST",
            "ANY" => true,
            methods => has_method(methods, self.method),
        };
        verb_fits && self.fits(verb, pattern, path, false)
    }

    fn denies(&self, path: &CanonicalPath<'_>) -> bool {
        let (verb, pattern) = self.verb();
        let verb_fits = match verb {
            "ANY" | "GRPC" => true,
            "WEBSOCKET" => self.upgrade.is_some_and(|upgrade| {
                let names = upgrade
                    .split(',')
                    .map(|p| p.split('/').next().unwrap_or(p).trim());
                names
                    .into_iter()
                    .any(|name| name.eq_ignore_ascii_case("websocket"))
            }),
            methods => has_method(methods, self.method),
        };
        verb_fits && self.fits(verb, pattern, path, true)
    }

    fn verb(&self) -> (&str, &str) {
        self.to.split_once(' ').unwrap_or((self.to, ""))
    }

    fn fits(
        &self,
        verb: &str,
        pattern: &str,
        path: &CanonicalPath<'_>,
        ignore_slash: bool,
    ) -> bool {
        let mut bound = Bound::new();
        if !fits_caller(self.from, self.caller, &mut bound) {
            return false;
        }
        let pattern = if verb == "GRPC" {
            format!("/{pattern}")
        } else {
            pattern.to_owned()
        };
        let mut wanted: Vec<&str> = pattern.split('/').skip(1).collect();
        let last = wanted.last().copied();
        let (tail, slash) = (last == Some("**"), last == Some(""));
        if tail || slash {
            wanted.pop();
        }
        let seen: Vec<&str> = path.segments().collect();
        let length = if tail {
            seen.len() >= wanted.len()
        } else {
            seen.len() == wanted.len()
        };
        let slash = tail || ignore_slash || slash == path.has_trailing_slash();
        let any = |segment: &str| verb == "GRPC" && segment == "*";
        let mut pairs = wanted.iter().zip(&seen);
        length && slash && pairs.all(|(w, s)| any(w) || fits_segment(w, s, &mut bound))
    }
}

fn fits_caller(pattern: &str, id: &SpiffeId, bound: &mut Bound) -> bool {
    let absolute = match pattern.strip_prefix("spiffe://") {
        Some(rest) => rest.to_owned(),
        None => format!("{TRUST_DOMAIN}{pattern}"),
    };
    let mut wanted: Vec<&str> = absolute.split('/').collect();
    let tail = wanted.last() == Some(&"**");
    if tail {
        wanted.pop();
    }
    let seen: Vec<&str> = std::iter::once(id.trust_domain())
        .chain(id.segments())
        .collect();
    let length = if tail {
        seen.len() >= wanted.len()
    } else {
        seen.len() == wanted.len()
    };
    let mut pairs = wanted.iter().zip(&seen);
    length && pairs.all(|(w, s)| *w == "*" || fits_segment(w, s, bound))
}

/// `wanted` as written, with at most one capture; `seen` decoded.
fn fits_segment(wanted: &str, seen: &str, bound: &mut Bound) -> bool {
    let literal = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let Some((before, rest)) = wanted.split_once('{') else {
        return literal(wanted) == seen;
    };
    let Some((name, after)) = rest.split_once('}') else {
        return false;
    };
    let value = seen
        .strip_prefix(&literal(before))
        .and_then(|v| v.strip_suffix(&literal(after)));
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return false;
    };
    bound
        .entry(name.to_owned())
        .or_insert_with(|| value.to_owned())
        == value
}

fn names(pattern: &str) -> Vec<&str> {
    let pieces = pattern.split('{').skip(1);
    pieces.filter_map(|piece| piece.split('}').next()).collect()
}

fn has_method(methods: &str, method: &str) -> bool {
    methods
        .split(',')
        .any(|one| one == method || (one, method) == ("GET", "HEAD"))
}

fn is_grpc(content_type: &str) -> bool {
    let tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let format = content_type.strip_prefix("application/grpc+");
    content_type == "application/grpc"
        || format.is_some_and(|f| !f.is_empty() && f.bytes().all(tchar))
}
