//! Who: callees, callers and groups of them.

use super::{
    super::{
        finding::{Finding, Quoted},
        raw::{Group, Written},
        suggest::nearest,
    },
    Code, Compiler,
};
use crate::{
    CallerPattern, PatternErrorKind, SpiffeId, TrustDomain,
    spec::{Callers, FromSpec},
};

impl<'a> Compiler<'a, '_> {
    /// A service that is called: one exact identity, which no other document names.
    pub(super) fn callee(&mut self, written: &'a Written<'a>) -> Option<SpiffeId> {
        let id = self.exact(
            written,
            "service",
            "name each service: two documents must never decide about one",
        )?;
        let first = *self.services.entry(id.clone()).or_insert(written.span);
        if first != written.span {
            let message = format!("a second policy for `{id}`");
            let finding = Finding::new(Code::DuplicateService, written.span, message);
            let finding = finding.label("again here").related(first, "first here");
            self.sink
                .push(finding.help("a service has one policy: put the rules into one document"));
        }
        Some(id)
    }

    /// One exact identity, of what is called a `noun`; `why` a pattern is none.
    pub(super) fn exact(
        &mut self,
        written: &'a Written<'a>,
        noun: &str,
        why: &str,
    ) -> Option<SpiffeId> {
        if is_group_name(written) {
            let message = format!("`{}` is not a {noun}: it has no `/`", Quoted(&written.text));
            let finding = Finding::new(Code::NotExact, written.span, message);
            self.sink.push(finding.help(format!(
                "a {noun} is one exact identity, as in `/ns/shop/sa/orders`"
            )));
            return None;
        }
        let pattern = self.pattern(written)?;
        let id = pattern.exact().cloned();
        if id.is_none() {
            let message = format!("`{}` is a pattern, not one {noun}", Quoted(&written.text));
            let finding = Finding::new(Code::NotExact, written.span, message);
            self.sink.push(finding.help(why));
        }
        id
    }

    /// Identities where nothing is captured and groups have no place.
    pub(super) fn identities(&mut self, list: &'a [Written<'a>]) -> Vec<CallerPattern> {
        let list = list.iter();
        list.filter_map(|one| self.plain(one, self.domain))
            .collect()
    }

    /// One of them, relative to `domain`.
    pub(super) fn plain(
        &mut self,
        written: &'a Written<'a>,
        domain: Option<&TrustDomain>,
    ) -> Option<CallerPattern> {
        let pattern = self.pattern_in(written, domain)?;
        if let Some(name) = pattern.captures().next() {
            let message = format!("nothing can be bound here, but `{{{name}}}` is captured");
            let finding = Finding::new(Code::IdleCapture, written.span, message);
            self.sink.push(finding.help("write `*` for any segment"));
            return None;
        }
        Some(pattern)
    }

    /// A `CallerGroup`, to be found by its name.
    pub(super) fn group(&mut self, group: &'a Group<'a>) {
        let members = group
            .members
            .iter()
            .filter_map(|member| self.member(member))
            .collect();
        if let Some(name) = &group.name {
            self.groups.entry(&name.text).or_insert(members);
        }
    }

    fn member(&mut self, written: &'a Written<'a>) -> Option<CallerPattern> {
        if is_group_name(written) {
            let message = format!(
                "`{}` is not an identity, and groups do not nest",
                Quoted(&written.text)
            );
            self.sink
                .push(Finding::new(Code::InvalidCaller, written.span, message));
            return None;
        }
        let pattern = self.pattern(written)?;
        if let Some(name) = pattern.captures().next() {
            let message =
                format!("a group captures nothing, but this member captures `{{{name}}}`");
            let finding = Finding::new(Code::CaptureInGroup, written.span, message);
            self.sink.push(
                finding.help("write `*` for any segment, or the pattern into the rule itself"),
            );
            return None;
        }
        Some(pattern)
    }

    /// One entry of `from`.
    pub(super) fn caller(&mut self, written: &'a Written<'a>) -> Option<FromSpec> {
        let callers = if is_group_name(written) {
            Callers::Group(self.members(written)?)
        } else {
            Callers::Pattern(self.pattern(written)?)
        };
        Some(FromSpec {
            line: self.line(written.span),
            text: written.text.to_string(),
            callers,
        })
    }

    fn members(&mut self, written: &'a Written<'a>) -> Option<Vec<CallerPattern>> {
        let Some(members) = self.groups.get(&*written.text) else {
            // No entry is ever left out without a finding somewhere.
            if self.whole || self.sink.is_empty() {
                let finding = self.unknown_group(written);
                self.sink.push(finding);
            }
            return None;
        };
        let Some(left) = self.members_left.checked_sub(members.len()) else {
            let message = "the groups of all rules stand for too many members";
            let finding = Finding::new(Code::SetTooLarge, written.span, message);
            self.sink.push(
                finding.help(
                    "name callers by a pattern, such as `/ns/batch/*`, instead of one by one",
                ),
            );
            return None;
        };
        self.members_left = left;
        Some(members.clone())
    }

    fn unknown_group(&self, written: &Written<'_>) -> Finding {
        let name = Quoted(&written.text);
        let finding = |code, message| Finding::new(code, written.span, message);
        if matches!(&*written.text, "*" | "**") {
            let message = format!("`{name}` alone is not a caller");
            return finding(Code::InvalidCaller, message)
                .help("`/**` is every verified caller of the mesh's own trust domain");
        }
        let is_name = written
            .text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
        if !is_name {
            let message = format!("`{name}` is neither an identity nor the name of a group");
            return finding(Code::InvalidCaller, message)
                .help("an identity begins with `/` or `spiffe://`");
        }
        let message = format!("there is no CallerGroup `{name}`");
        let unknown = finding(Code::UnknownGroup, message);
        let names = self.groups.keys().copied();
        let meant = if self.sink.is_crowded() {
            None
        } else {
            nearest(&written.text, names)
        };
        match meant {
            Some(meant) => unknown.label(format!("did you mean `{meant}`?")),
            None => unknown.help(
                "a name without `/` is a group's; an identity begins with `/` or `spiffe://`",
            ),
        }
    }

    pub(super) fn pattern(&mut self, written: &'a Written<'a>) -> Option<CallerPattern> {
        self.pattern_in(written, self.domain)
    }

    fn pattern_in(
        &mut self,
        written: &Written<'_>,
        domain: Option<&TrustDomain>,
    ) -> Option<CallerPattern> {
        let parsed = match (domain, written.text.starts_with('/')) {
            (None, true) => {
                self.relative.push(written.span);
                // What else is wrong with it does not depend on the domain.
                CallerPattern::parse(&written.text, placeholder().as_ref())
            }
            (domain, _) => CallerPattern::parse(&written.text, domain),
        };
        parsed
            .map_err(|error| {
                let message = format!("`{}` is not a caller: {error}", Quoted(&written.text));
                let place = written.part(self.sources, error.span());
                let finding = Finding::new(Code::InvalidCaller, place, message);
                self.sink.push(match (error.suggestion(), error.kind()) {
                    (Some(meant), _) => finding.help(format!("did you mean `{}`?", Quoted(meant))),
                    (None, PatternErrorKind::NotAnIdentity) => finding.help(
                        "an identity begins with `/` or `spiffe://`; a group's name has no `/`",
                    ),
                    (None, _) => finding,
                });
            })
            .ok()
    }
}

/// A name without a slash is a group.
fn is_group_name(written: &Written<'_>) -> bool {
    !written.text.contains('/')
}

fn placeholder() -> Option<TrustDomain> {
    TrustDomain::parse("unknown.invalid").ok()
}
