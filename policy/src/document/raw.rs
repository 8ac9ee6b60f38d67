//! Documents as they were read, before anything is known about the others.
//!
//! Texts are borrowed from the sources. What a document leaves out, or has wrong, has
//! its default here: a finding has been made of it, so no set will come of it.

use std::borrow::Cow;

use super::{
    request::{Header, RequestLine},
    source::{Source, Span, offset},
};
use crate::{PathOptions, Reason, Timestamp, TrustDomain, Verdict, spec::Enforcement};

/// A text of a document and where it stands, quotes included.
#[derive(Clone, Debug)]
pub(super) struct Written<'s> {
    pub(super) text: Cow<'s, str>,
    pub(super) span: Span,
}

/// Every document of a set.
#[derive(Debug, Default)]
pub(super) struct Documents<'s> {
    pub(super) services: Vec<Service<'s>>,
    pub(super) groups: Vec<Group<'s>>,
    pub(super) meshes: Vec<Mesh<'s>>,
    pub(super) revocations: Vec<Revocation<'s>>,
    pub(super) tests: Vec<PolicyTest<'s>>,
    /// What they are read for.
    pub(super) role: Role,
    /// How many documents there are, with those that are nothing of the above.
    pub(super) count: usize,
    /// False if some file was not read to its end: what seems to be missing may be there.
    pub(super) whole: bool,
}

/// What documents are read for: tests stand in files of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Role {
    /// To decide by them.
    #[default]
    Policies,
    /// To test what decides.
    Tests,
}

/// A `ServicePolicy`.
#[derive(Debug)]
pub(super) struct Service<'s> {
    pub(super) name: Option<Written<'s>>,
    pub(super) namespace: Option<Written<'s>>,
    /// The document.
    pub(super) span: Span,
    pub(super) services: Vec<Written<'s>>,
    pub(super) owner: Option<String>,
    pub(super) help: Option<String>,
    pub(super) enforcement: Enforcement,
    /// `Shadow`, where it is written.
    pub(super) shadow: Option<Span>,
    pub(super) paths: PathOptions,
    pub(super) keep_override_headers: bool,
    pub(super) rules: Rules<'s>,
}

/// A `CallerGroup`.
#[derive(Debug)]
pub(super) struct Group<'s> {
    pub(super) name: Option<Written<'s>>,
    pub(super) members: Vec<Written<'s>>,
}

/// A `MeshPolicy`.
#[derive(Debug)]
pub(super) struct Mesh<'s> {
    pub(super) name: Option<Written<'s>>,
    /// The document.
    pub(super) span: Span,
    pub(super) trust_domain: TrustDomainField,
    pub(super) unpolicied: Enforcement,
    pub(super) identity: Enforcement,
    /// `acceptedTrustDomains`, and where it is written.
    pub(super) accepted: Option<(Vec<TrustDomain>, Span)>,
    pub(super) aliases: Vec<Alias<'s>>,
    pub(super) gateways: Vec<Gateway<'s>>,
    pub(super) forwarders: Vec<Forwarder<'s>>,
    pub(super) guardrails: Guardrails<'s>,
    /// `authors`, and where it is written.
    pub(super) authors: Option<(Vec<Author<'s>>, Span)>,
    pub(super) rules: Rules<'s>,
}

/// An entry of `spec.gateways` of a `MeshPolicy`.
#[derive(Debug)]
pub(super) struct Gateway<'s> {
    pub(super) id: Option<Written<'s>>,
    pub(super) for_services: Vec<Written<'s>>,
}

/// An entry of `spec.aliases`.
#[derive(Debug)]
pub(super) struct Alias<'s> {
    /// The entry.
    pub(super) span: Span,
    /// `trustDomain`: whose callers have the other name.
    pub(super) trust_domain: Option<(TrustDomain, Span)>,
    /// `as`: where that name is.
    pub(super) other: Option<(TrustDomain, Span)>,
    pub(super) paths: Vec<Written<'s>>,
}

/// An entry of `spec.forwarders`.
#[derive(Debug)]
pub(super) struct Forwarder<'s> {
    pub(super) id: Option<Written<'s>>,
    pub(super) may_assert: Vec<Written<'s>>,
    pub(super) for_services: Vec<Written<'s>>,
}

/// `spec.guardrails`.
#[derive(Debug, Default)]
pub(super) struct Guardrails<'s> {
    /// `shadow: Forbid`, where it is written.
    pub(super) forbids_shadow: Option<Span>,
    /// `longestException` in milliseconds, and where it is written.
    pub(super) longest_exception: Option<(i64, Span)>,
    pub(super) forbidden_from: Vec<Written<'s>>,
}

/// An entry of `spec.authors`.
#[derive(Debug)]
pub(super) struct Author<'s> {
    pub(super) directory: Option<Written<'s>>,
    pub(super) namespace: Option<Written<'s>>,
    pub(super) for_services: Vec<Written<'s>>,
}

/// A `Revocation`.
#[derive(Debug)]
pub(super) struct Revocation<'s> {
    pub(super) name: Option<Written<'s>>,
    /// The document.
    pub(super) span: Span,
    pub(super) target: Option<Target<'s>>,
    pub(super) reason: String,
    pub(super) revoked_by: String,
    pub(super) expires: Option<Timestamp>,
}

/// A `PolicyTest`.
#[derive(Debug)]
pub(super) struct PolicyTest<'s> {
    pub(super) name: Option<Written<'s>>,
    /// The document.
    pub(super) span: Span,
    pub(super) now: Option<Timestamp>,
    pub(super) cases: Vec<TestCase<'s>>,
}

/// A case of a `PolicyTest`.
#[derive(Debug)]
pub(super) struct TestCase<'s> {
    pub(super) name: Option<Written<'s>>,
    pub(super) span: Span,
    pub(super) from: Vec<Written<'s>>,
    pub(super) forwarder: Option<Written<'s>>,
    pub(super) to: Option<Written<'s>>,
    pub(super) headers: Vec<Header>,
    pub(super) requests: Vec<(RequestLine, Span)>,
    pub(super) now: Option<Timestamp>,
    pub(super) expect: Option<Expect>,
}

/// `expect` of a case.
#[derive(Debug)]
pub(super) struct Expect {
    pub(super) span: Span,
    pub(super) verdict: Verdict,
    pub(super) reason: Option<Reason>,
    pub(super) rule: Option<String>,
    pub(super) enforced: Option<bool>,
}

/// What is revoked.
#[derive(Debug)]
pub(super) enum Target<'s> {
    /// `id`.
    Id(Written<'s>),
    /// `certificateSha256`.
    Certificate([u8; 32]),
}

/// `spec.trustDomain` of a `MeshPolicy`.
#[derive(Debug, Default)]
pub(super) enum TrustDomainField {
    /// It is not there.
    #[default]
    Absent,
    /// It is there, but not a trust domain.
    Invalid,
    /// It is there.
    Given(TrustDomain, Span),
}

/// `allow` and `deny`.
#[derive(Debug, Default)]
pub(super) struct Rules<'s> {
    pub(super) allow: Vec<Rule<'s>>,
    pub(super) deny: Vec<Rule<'s>>,
}

/// A rule.
#[derive(Debug)]
pub(super) struct Rule<'s> {
    pub(super) name: Option<Written<'s>>,
    pub(super) span: Span,
    pub(super) from: Vec<Written<'s>>,
    pub(super) to: Vec<Written<'s>>,
    pub(super) when: Option<When<'s>>,
    pub(super) exception: Option<Exception>,
    pub(super) enforcement: Enforcement,
}

/// The condition of a rule.
#[derive(Debug)]
pub(super) struct When<'s> {
    pub(super) written: Written<'s>,
    /// `when` itself.
    pub(super) key: Span,
}

/// When an exception ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exception {
    pub(super) expires: Timestamp,
    pub(super) span: Span,
}

impl Written<'_> {
    /// The place of some bytes of a text that may be folded over several lines: there and
    /// here, the same characters follow each other, spaces aside.
    pub(super) fn folded_part(&self, sources: &[Source], range: std::ops::Range<usize>) -> Span {
        let whole = self.part(sources, range.clone());
        if whole != self.span {
            return whole;
        }
        let written = sources
            .get(self.span.file as usize)
            .map_or("", |one| one.slice(self.span));
        // The first line of a block says how it is folded.
        let header = match written.starts_with(['|', '>']) {
            true => written.find('\n').unwrap_or(0),
            false => 0,
        };
        let ink = |text: &'_ str, start: usize| {
            let body = text.get(start..).unwrap_or_default();
            let inked = body.char_indices().filter(|(_, c)| !c.is_whitespace());
            inked.map(|(at, c)| (at + start, c)).collect::<Vec<_>>()
        };
        let (read, there) = (ink(&self.text, 0), ink(written, header));
        let same = read.iter().map(|(_, c)| c).eq(there.iter().map(|(_, c)| c));
        let first = read.partition_point(|(at, _)| *at < range.start);
        let last = read.partition_point(|(at, _)| *at < range.end);
        let ends = there.get(first).zip(there.get(last.saturating_sub(1)));
        match ends {
            Some(((start, _), (end, c))) if same && first < last => Span {
                start: self.span.start.saturating_add(offset(*start)),
                end: self.span.start.saturating_add(offset(end + c.len_utf8())),
                ..self.span
            },
            _ => self.span,
        }
    }

    /// The place of some bytes of the text; of all of it if the text is not written as
    /// it reads, as with escapes or over several lines.
    pub(super) fn part(&self, sources: &[Source], range: std::ops::Range<usize>) -> Span {
        let written = sources
            .get(self.span.file as usize)
            .map_or("", |one| one.slice(self.span));
        let skipped = if written == self.text {
            0
        } else if written.get(1..written.len().saturating_sub(1)) == Some(&*self.text) {
            1
        } else {
            return self.span;
        };
        let at = |byte: usize| {
            self.span
                .start
                .saturating_add(offset(byte))
                .saturating_add(skipped)
        };
        Span {
            start: at(range.start),
            end: at(range.end),
            ..self.span
        }
    }
}
