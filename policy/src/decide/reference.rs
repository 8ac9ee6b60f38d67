//! The contract again, from the text of the rules and without any index: slow, plain,
//! and written apart from what it is compared with.

use std::collections::BTreeMap;

/// A rule as a document has it. An entry of `from` is a list of patterns: one, or the
/// members of a group.
#[derive(Clone, Debug)]
pub(crate) struct RuleText {
    pub(super) name: String,
    pub(super) from: Vec<Vec<String>>,
    pub(super) to: Vec<String>,
    pub(super) expired: bool,
}

/// A request as its parts.
#[derive(Clone, Debug)]
pub(crate) struct RequestText {
    pub(crate) caller: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) upgrade: Option<String>,
    pub(super) content_type: Option<String>,
}

type Bound = BTreeMap<String, String>;

/// Adds `text` as `name`, unless it stands for another text.
fn bind(mut bound: Bound, name: &str, text: &str) -> Option<Bound> {
    match bound.insert(name.to_owned(), text.to_owned()) {
        Some(before) if before != text => None,
        _ => Some(bound),
    }
}

/// Matches lists of segments, the last pattern perhaps `**`.
fn segments(patterns: &[&str], texts: &[&str], bound: Bound) -> Option<Bound> {
    match (patterns, texts) {
        (["**"], _) | ([], []) => Some(bound),
        ([pattern, patterns @ ..], [text, texts @ ..]) if !text.is_empty() => {
            let bound = match pattern.split_once('{') {
                None if *pattern == "*" => bound,
                None => (pattern == text).then_some(bound)?,
                Some((prefix, rest)) => {
                    let (name, suffix) = rest.split_once('}')?;
                    let value = text.strip_prefix(prefix)?.strip_suffix(suffix)?;
                    bind(bound, name, Some(value).filter(|value| !value.is_empty())?)?
                }
            };
            segments(patterns, texts, bound)
        }
        // What is left of both is a trailing slash.
        ([""], [""]) => Some(bound),
        _ => None,
    }
}

fn split(path: &str) -> Vec<&str> {
    path.split('/').skip(1).collect()
}

pub(super) fn caller(pattern: &str, id: &str) -> Option<Bound> {
    let full = match pattern.strip_prefix('/') {
        Some(path) => format!("spiffe://example.org/{path}"),
        None => pattern.to_owned(),
    };
    // The trust domain is literal, so it is like any other segment.
    let pieces = |text: &str| text.strip_prefix("spiffe://").map(str::to_owned).unwrap();
    let (pattern, id) = (pieces(&full), pieces(id));
    let split = |text| str::split(text, '/').collect::<Vec<_>>();
    segments(&split(&pattern), &split(&id), Bound::new())
}

pub(super) fn path(pattern: &str, path: &str, ignore_slash: bool, bound: Bound) -> Option<Bound> {
    let trim = |text| match ignore_slash {
        true if text != "/" => str::strip_suffix(text, "/").unwrap_or(text),
        _ => text,
    };
    let (pattern, trimmed) = (trim(pattern), trim(path));
    let texts = split(trimmed);
    segments(&split(pattern), &texts, bound.clone()).or_else(|| {
        // `/a/**` takes `/a` and `/a/`.
        let (last, texts) = texts.split_last()?;
        let tail = pattern.ends_with("/**") && last.is_empty();
        tail.then(|| segments(&split(pattern), texts, bound))?
    })
}

/// The pattern of a line's path.
pub(super) fn path_of(line: &str) -> String {
    let (verb, rest) = line.split_once(' ').unwrap();
    let slash = if verb == "GRPC" { "/" } else { "" };
    format!("{slash}{rest}")
}

pub(super) fn admits(line: &str, request: &RequestText) -> bool {
    let method = &*request.method;
    let kind = request.content_type.as_deref().unwrap_or_default();
    match (line.split_once(' ').unwrap().0, request.upgrade.as_deref()) {
        ("WEBSOCKET", Some(upgrade)) => method == "GET" && upgrade.to_lowercase() == "websocket",
        ("WEBSOCKET", None) | (_, Some(_)) => false,
        ("ANY", None) => true,
        ("GRPC", None) => {
            method == "POST"
                && (kind == "application/grpc" || kind.starts_with("application/grpc+"))
        }
        (methods, None) => has_method(methods, method),
    }
}

fn has_method(methods: &str, method: &str) -> bool {
    let mut methods = methods.split(',');
    methods.any(|one| one == method || (one == "GET" && method == "HEAD"))
}

fn catches(line: &str, request: &RequestText) -> bool {
    match line.split_once(' ').unwrap().0 {
        "ANY" | "GRPC" => true,
        "WEBSOCKET" => request.upgrade.as_deref().is_some_and(|upgrade| {
            upgrade
                .to_lowercase()
                .split(',')
                .any(|one| one.trim() == "websocket")
        }),
        methods => has_method(methods, &request.method),
    }
}

/// Every way in which a server could read a path.
fn readings(path: &str) -> Vec<String> {
    let cut = |path: &str| {
        let names = path
            .split('/')
            .map(|segment| segment.split(';').next().unwrap());
        names.collect::<Vec<_>>().join("/")
    };
    let decode = |path: &str| {
        let slashes = path.replace("%2F", "/");
        let trailing = if path.ends_with('/') { "/" } else { "" };
        let segments = slashes.split('/').filter(|segment| !segment.is_empty());
        let joined: String = segments.map(|segment| format!("/{segment}")).collect();
        match joined.as_str() {
            "" => "/".to_owned(),
            _ => joined + trailing,
        }
    };
    vec![
        path.to_owned(),
        decode(path),
        cut(path),
        cut(&decode(path)),
        decode(&cut(path)),
    ]
}

fn rule_matches(
    rule: &RuleText,
    request: &RequestText,
    line_fits: impl Fn(&str, Bound) -> bool,
) -> bool {
    let callers = rule.from.iter().flatten();
    let mut bound = callers.filter_map(|pattern| caller(pattern, &request.caller));
    bound.any(|bound| rule.to.iter().any(|line| line_fits(line, bound.clone())))
}

pub(super) fn allows(rule: &RuleText, request: &RequestText, ignore_slash: bool) -> bool {
    rule_matches(rule, request, |line, bound| {
        admits(line, request) && path(&path_of(line), &request.path, ignore_slash, bound).is_some()
    })
}

pub(super) fn denies(rule: &RuleText, request: &RequestText) -> bool {
    let readings = readings(&request.path);
    rule_matches(rule, request, |line, bound| {
        let fits = |read: &String| path(&path_of(line), read, true, bound.clone()).is_some();
        catches(line, request) && readings.iter().any(fits)
    })
}
