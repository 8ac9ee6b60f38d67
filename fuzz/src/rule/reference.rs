//! What a rule decides, read from its text anew every time.

use std::collections::BTreeMap;

use callgate_policy::{CanonicalPath, SpiffeId};
use percent_encoding::percent_decode_str;

use super::TRUST_DOMAIN;

/// What a name stands for.
type Bound = BTreeMap<String, String>;

/// The reference: texts and lists, every time anew.
pub(super) struct Case<'t> {
    pub(super) from: &'t str,
    pub(super) to: &'t str,
    pub(super) caller: &'t SpiffeId,
    pub(super) method: &'t str,
    pub(super) target: &'t str,
    pub(super) upgrade: Option<&'t str>,
    pub(super) content_type: Option<&'t str>,
}

impl Case<'_> {
    /// Every name of `from` is in `to`.
    pub(super) fn binds(&self) -> bool {
        names(self.from)
            .iter()
            .all(|name| names(self.verb().1).contains(name))
    }

    pub(super) fn allows(&self, path: &CanonicalPath<'_>) -> bool {
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

    pub(super) fn denies(&self, path: &CanonicalPath<'_>) -> bool {
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
