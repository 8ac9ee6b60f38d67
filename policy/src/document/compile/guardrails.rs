//! What the operator's policy holds the documents of others to.

use super::{
    super::{
        finding::{Finding, Quoted},
        raw::{Author, Exception, Mesh, Written},
        source::{Source, Span},
    },
    Code, Compiler, trust,
};
use crate::{
    CallerPattern, SpiffeId, Timestamp, TrustDomain,
    spec::{AliasSpec, Callers, TrustSpec},
};

/// The guardrails of the mesh, and where they stand; the default holds nobody to
/// anything.
#[derive(Debug, Default)]
pub(super) struct Guard<'a> {
    accepted: Option<(Vec<TrustDomain>, Span)>,
    aliases: Vec<AliasSpec>,
    longest_exception: Option<(i64, Span)>,
    forbidden: Vec<(CallerPattern, &'a Written<'a>)>,
    authors: Option<(Vec<Permission<'a>>, Span)>,
}

/// Whose policies one author writes.
#[derive(Debug)]
struct Permission<'a> {
    author: &'a Author<'a>,
    services: Vec<CallerPattern>,
}

/// Which list a rule stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    ServiceAllow,
    /// The operator's own.
    MeshAllow,
    Deny,
}

impl<'a> Compiler<'a, '_> {
    /// What `mesh` holds the other documents to.
    pub(super) fn guard(&mut self, mesh: &'a Mesh<'a>, trust: Option<&TrustSpec>) -> Guard<'a> {
        let accepted = trust.and_then(|trust| trust.accepted.clone());
        let authors = mesh.authors.as_ref().map(|(authors, span)| {
            let permissions = authors.iter().map(|author| Permission {
                author,
                services: self.identities(&author.for_services),
            });
            (permissions.collect(), *span)
        });
        let forbidden = mesh.guardrails.forbidden_from.iter();
        let guard = Guard {
            accepted: accepted.zip(mesh.accepted.as_ref().map(|(_, span)| *span)),
            aliases: trust.map_or_else(Vec::new, |trust| trust.aliases.clone()),
            longest_exception: mesh.guardrails.longest_exception,
            forbidden: forbidden
                .filter_map(|one| Some((self.plain(one, self.domain)?, one)))
                .collect(),
            authors,
        };
        self.guard_trust(mesh, &guard);
        guard
    }

    /// Whether the lists of the mesh itself are about identities that it accepts.
    fn guard_trust(&mut self, mesh: &'a Mesh<'a>, guard: &Guard<'a>) {
        let Some((accepted, at)) = &guard.accepted else {
            return;
        };
        let domains = mesh.aliases.iter();
        let domains = domains.filter_map(|alias| alias.trust_domain.as_ref());
        for (domain, span) in domains {
            if !accepted.contains(domain) {
                self.unaccepted(*span, domain.as_str(), accepted, *at);
            }
        }
        let forwarders = mesh.forwarders.iter();
        let named = forwarders.flat_map(|one| one.id.iter().chain(&one.may_assert));
        for written in named {
            // What is wrong with it otherwise has been told.
            let Ok(pattern) = CallerPattern::parse(&written.text, self.domain) else {
                continue;
            };
            if !accepts(accepted, &pattern) {
                self.unaccepted(written.span, pattern.trust_domain(), accepted, *at);
            }
        }
    }

    /// Holds one entry of `from` to the guardrails.
    pub(super) fn guard_from(&mut self, written: &Written<'_>, callers: &Callers, side: Side) {
        if side == Side::Deny {
            return;
        }
        if let Some((accepted, at)) = &self.guard.accepted {
            let mut patterns = callers.patterns().iter();
            if let Some(foreign) = patterns.find(|one| !accepts(accepted, one)) {
                let (accepted, at) = (accepted.clone(), *at);
                self.unaccepted(written.span, foreign.trust_domain(), &accepted, at);
            }
        }
        if side == Side::ServiceAllow {
            self.guard_width(written, callers);
        }
    }

    fn guard_width(&mut self, written: &Written<'_>, callers: &Callers) {
        for (forbidden, at) in &self.guard.forbidden {
            let mut patterns = callers.patterns().iter();
            let Some(wide) = patterns.find(|one| self.guard.admits_all(one, forbidden)) else {
                continue;
            };
            let message = format!("`{wide}` takes in all of `{forbidden}`");
            let finding = Finding::new(Code::ForbiddenFrom, written.span, message);
            let finding = finding.related(at.span, "forbidden here");
            self.sink
                .push(finding.help("name the callers more narrowly; the operator forbids this"));
            return;
        }
    }

    /// Holds the exception of an allow rule to the longest that may be.
    pub(super) fn guard_exception(&mut self, exception: Exception) {
        let Some((longest, at)) = self.guard.longest_exception else {
            return;
        };
        let latest = Timestamp::from_millis(self.now.as_millis().saturating_add(longest));
        if exception.expires > latest {
            let message = format!("the exception lasts until {}", exception.expires);
            let finding = Finding::new(Code::ExceptionTooLong, exception.span, message);
            let finding = finding.label(format!("it may last until {latest}, as of now"));
            self.sink
                .push(finding.related(at, "how long one may last, here"));
        }
    }

    /// Whether this document may decide about the service that `written` names.
    pub(super) fn guard_author(
        &mut self,
        written: &Written<'_>,
        namespace: Option<&Written<'_>>,
        service: &SpiffeId,
    ) {
        let Some((authors, at)) = &self.guard.authors else {
            return;
        };
        let source = self.sources.get(written.span.file as usize);
        let place = source.and_then(Source::place);
        let mut entitled = authors.iter().filter(|one| one.is_about(service));
        if entitled.clone().any(|one| one.is_by(place, namespace)) {
            return;
        }
        let message = format!("this document may not be the policy of `{service}`");
        let finding = Finding::new(Code::NotAnAuthor, written.span, message);
        let finding = finding.related(*at, "who may write which, here");
        self.sink.push(match entitled.next() {
            Some(one) => finding.help(format!("it is written {}", one.place())),
            None => finding.help("no entry of `authors` is about this service"),
        });
    }

    fn unaccepted(&mut self, at: Span, domain: &str, accepted: &[TrustDomain], list: Span) {
        let message = format!("the mesh does not accept callers of `{domain}`");
        let finding = Finding::new(Code::UnacceptedTrustDomain, at, message);
        let finding = finding.related(list, "the list of those it does");
        let accepted = trust::named(accepted);
        self.sink
            .push(finding.help(format!("it accepts those of {accepted}")));
    }
}

impl Guard<'_> {
    /// Whether a rule for `pattern` lets in every caller that fits `forbidden`, be it by
    /// another name.
    fn admits_all(&self, pattern: &CallerPattern, forbidden: &CallerPattern) -> bool {
        pattern.covers(forbidden)
            || self.aliases.iter().any(|alias| {
                alias.other.as_str() == pattern.trust_domain()
                    && alias.callers.iter().any(|callers| {
                        callers.covers(forbidden) && pattern.covers_paths_of(forbidden)
                    })
            })
    }
}

impl Permission<'_> {
    fn is_about(&self, service: &SpiffeId) -> bool {
        self.services.iter().any(|one| one.matches(service))
    }

    /// Whether a document in the file at `place` is by this author. An entry without a place, which
    /// was found to be wrong, is nobody's.
    fn is_by(&self, place: Option<&str>, namespace: Option<&Written<'_>>) -> bool {
        let Author {
            directory,
            namespace: wanted,
            for_services: _,
        } = self.author;
        let in_directory = directory.as_ref().is_none_or(|directory| {
            directory.text == "."
                || place.is_none_or(|place| {
                    let below = place.strip_prefix(&*directory.text);
                    below.is_some_and(|rest| rest.starts_with('/'))
                })
        });
        let in_namespace = wanted
            .as_ref()
            .is_none_or(|wanted| namespace.is_some_and(|seen| seen.text == wanted.text));
        (directory.is_some() || wanted.is_some()) && in_directory && in_namespace
    }

    /// Where its documents are, in words.
    fn place(&self) -> String {
        let told = |label: &str, written: Option<&Written<'_>>| {
            written.map(|one| format!("{label} `{}`", Quoted(&one.text)))
        };
        let directory = told("in", self.author.directory.as_ref());
        let namespace = told("with the namespace", self.author.namespace.as_ref());
        let places: Vec<String> = directory.into_iter().chain(namespace).collect();
        places.join(" ")
    }
}

fn accepts(accepted: &[TrustDomain], pattern: &CallerPattern) -> bool {
    let mut accepted = accepted.iter();
    accepted.any(|one| one.as_str() == pattern.trust_domain())
}
