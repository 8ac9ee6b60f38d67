//! What changes, in the words of rules, and what of it stays as it was.

use callgate_policy::{Side, SpiffeId};

use super::{
    asking::{Found, Subject},
    survey::Survey,
    way::Way,
    world::Party,
};
use crate::language::Shape;

/// What of an access stays as it was is told by so many entries.
pub(super) const MAX_EXCEPTIONS: usize = 8;

impl<'v> Survey<'v> {
    /// The operation, as a line of a rule would say it, and methods that are no part.
    pub(super) fn what(&self, found: &Found<'_>) -> (Option<String>, Vec<String>) {
        let way = match found.subject {
            Subject::Everything => return (None, Vec::new()),
            Subject::Allow(way) | Subject::Deny(way) | Subject::Revoked { allow: way } => way,
            Subject::Denied { allow, .. } => allow,
        };
        let path = match found.subject {
            Subject::Denied { allow, deny } => common_path(allow, deny),
            _ => way.path().to_owned(),
        };
        let verb = way.access.to().verb();
        let all = self.language.kinds_of(&way.access);
        if all.iter().all(|kind| found.kinds.contains(kind)) {
            return (Some(format!("{verb} {path}")), Vec::new());
        }
        let methods = |changed: bool| -> Vec<&str> {
            let kinds = all
                .iter()
                .filter(|kind| found.kinds.contains(kind) == changed);
            let methods = kinds.flat_map(|kind| self.language.methods_of(*kind));
            let mut methods: Vec<&str> = methods.map(String::as_str).collect();
            if methods.contains(&"GET") {
                methods.retain(|method| *method != "HEAD");
            }
            methods
        };
        let (changed, same) = (methods(true), methods(false));
        if changed.is_empty() || same.is_empty() {
            (Some(format!("{verb} {path}")), Vec::new())
        } else if verb == "ANY" && changed.len() > same.len() {
            (Some(format!("ANY {path}")), vec![same.join(",")])
        } else {
            (Some(format!("{} {path}", changed.join(","))), Vec::new())
        }
    }

    /// Rules by which part of what a difference is about stays as it was.
    pub(super) fn exceptions<'w>(&'w self, found: &Found<'w>) -> Vec<&'w Way<'w>>
    where
        'v: 'w,
    {
        let Subject::Allow(way) = found.subject else {
            return Vec::new();
        };
        let (own, other) = if found.is_new {
            (&self.new, &self.old)
        } else {
            (&self.old, &self.new)
        };
        let allowed = other.ways.iter().filter(|way| way.side() == Side::Allow);
        let denied = own.ways.iter().filter(|way| way.side() == Side::Deny);
        let mut kept: Vec<&Way<'_>> = Vec::new();
        for exception in allowed.chain(denied) {
            let texts = |way: &Way<'_>| (way.pattern.to_string(), way.to.text.clone());
            // One more than is told, to know of it.
            if kept.len() <= MAX_EXCEPTIONS
                && self.stays(found, way, exception)
                && !kept.iter().any(|known| texts(known) == texts(exception))
            {
                kept.push(exception);
            }
        }
        kept
    }

    /// Whether some of what both ways are about is decided alike at that time.
    fn stays(&self, found: &Found<'_>, way: &Way<'_>, exception: &Way<'_>) -> bool {
        let (mine, theirs) = (way.shapes(), exception.shapes());
        let meet = |shape: &&Shape| theirs.iter().all(|other| shape.may_meet(other));
        if !mine.iter().all(meet) {
            return false;
        }
        let asserted = match found.party {
            Party::Via { may, .. } => Some(Shape::of_callers(may)),
            Party::Direct | Party::Unverified => None,
        };
        let shapes: Vec<&Shape> = mine.into_iter().chain(theirs).chain(&asserted).collect();
        let accesses = [&way.access, &exception.access];
        let questions = self.language.questions(&shapes, &accesses, &[]);
        let mut assumed = found.subject.assumed();
        assumed.extend(exception.predicate.clone());
        let other = found.run;
        questions.iter().any(|(kind, point)| {
            let mut runs = self.runs(point, found.party, &assumed).into_iter();
            found.kinds.contains(kind)
                && !runs.any(|run| run.levels == other.levels && run.from <= other.from)
        })
    }

    /// Whom a proxy may name in the version that allows less.
    pub(super) fn asserted(&self, found: &Found<'_>, by: &SpiffeId) -> Vec<String> {
        let widens = found.run.levels.0 < found.run.levels.1;
        let version = self.world(!widens).version;
        let listed = version
            .mesh()
            .map_or(&[][..], |mesh| &mesh.trust.forwarders);
        let of_proxy = listed.iter().filter(|one| one.id == *by);
        let patterns = of_proxy.flat_map(|one| &one.may_assert);
        patterns.map(|pattern| format!("from {pattern}")).collect()
    }

    /// Where the same line is about more or fewer paths than before: which.
    pub(super) fn spelling(&self, what: &str) -> &'static str {
        let (old, new) = (self.old.options(), self.new.options());
        let slash = old.ignore_trailing_slash != new.ignore_trailing_slash;
        let encoded = old.keep_encoded_slash != new.keep_encoded_slash;
        let parameters = old.keep_parameters != new.keep_parameters;
        match (slash, encoded, parameters) {
            (true, false, false) if !what.ends_with('/') => "/",
            (false, true, false) => " with `%2F`",
            (false, false, true) => " with `;`",
            _ => " in other spellings",
        }
    }

    /// What of an access stays as it was, in the words of the rule that says so.
    pub(super) fn exception(&self, found: &Found<'_>, way: &Way<'_>) -> String {
        let Subject::Allow(own) = found.subject else {
            return way.to.text.clone();
        };
        let kinds = self.language.kinds_of(&way.access);
        let same_path = way.access.shape().has_paths_of(own.access.shape())
            && found.kinds.iter().all(|kind| kinds.contains(kind));
        // What is captured says which of the paths are meant.
        let binds = way.pattern.captures().next().is_some();
        let same_caller = way.alias.is_none()
            && (way.pattern == own.pattern || (!binds && way.pattern.covers(own.pattern)));
        let when = way.predicate.as_ref();
        let when = when.map_or_else(String::new, |when| format!(" when {}", when.text()));
        match (same_caller, same_path) {
            (true, _) => format!("{}{when}", way.to.text),
            (false, true) => format!("from {}{when}", way.pattern),
            (false, false) => format!("{} from {}{when}", way.to.text, way.pattern),
        }
    }
}

/// The narrower of two paths; both, if neither is.
fn common_path(allow: &Way<'_>, deny: &Way<'_>) -> String {
    let (allowed, denied) = (allow.access.shape(), deny.access.shape());
    let (one, other) = (allow.path(), deny.path());
    if denied.has_paths_of(allowed) {
        one.to_owned()
    } else if allowed.has_paths_of(denied) {
        other.to_owned()
    } else {
        format!("{one} that is also {other}")
    }
}
