//! What there is to tell of one decision.

use callgate_analysis::{
    names::ShortNames,
    trial::{Outcome, Placed, Rules, Side, Trial},
};
use callgate_policy::{
    Decision, MissStory, Reason, Request, SpiffeId, Timestamp, Verdict,
    document::{Revocation, Source},
    spec::Enforcement,
};

use crate::set::Documents;

/// Whom a decision is about.
#[derive(Clone, Copy)]
pub(crate) struct Parties<'a> {
    /// Who calls; nobody knows, of some that are recorded.
    pub(crate) from: Option<&'a SpiffeId>,
    /// Who passes the call on.
    pub(crate) forwarder: Option<&'a SpiffeId>,
    /// Why one of them is believed no longer.
    pub(crate) revoked: Option<&'a Revocation>,
}

/// What decisions are explained with.
pub(crate) struct Explainer<'a> {
    pub(crate) documents: &'a Documents,
    pub(crate) rules: Rules<'a>,
    pub(crate) names: ShortNames,
}

/// One decision, and what there is to tell of it.
pub(crate) struct Explanation<'a> {
    pub(crate) parties: Parties<'a>,
    /// The service that is called.
    pub(crate) to: Option<&'a SpiffeId>,
    /// The call on one line.
    pub(crate) call: String,
    pub(crate) decision: Decision<'a>,
    /// The rest of the nearest miss.
    pub(crate) story: Option<MissStory>,
    /// The rule that decided, and by which of its lines.
    pub(crate) decided_by: Option<Trial<'a>>,
    /// Of a call that a deny rule refuses: the allow rule that would let it in.
    pub(crate) would_allow: Option<Placed<'a>>,
    /// Every rule about the service, where it is asked for and rules were looked at.
    pub(crate) all: Option<Vec<Trial<'a>>>,
}

impl<'a> Explainer<'a> {
    /// Explains what `documents` decide. Names are short among their identities and
    /// `others`.
    pub(crate) fn new<'i>(
        documents: &'a Documents,
        others: impl IntoIterator<Item = &'i SpiffeId>,
    ) -> Self {
        Self {
            documents,
            rules: Rules::of(&documents.specified.spec),
            names: names(documents, others),
        }
    }

    /// Decides `request`, which is `call` on one line, and gathers what there is to tell.
    pub(crate) fn explain(
        &self,
        parties: Parties<'a>,
        request: &Request<'a>,
        call: String,
        now: Timestamp,
    ) -> Explanation<'a> {
        let decision = self.documents.policies.decide(request, now);
        let miss = decision.nearest_miss.as_deref();
        let story = miss.and_then(|miss| miss.story(request, now));
        let placed = decision.rule.and_then(|rule| self.rules.find(&rule));
        Explanation {
            parties,
            to: request.service,
            call,
            story,
            decided_by: placed.and_then(|placed| self.rules.try_one(placed, request, now)),
            would_allow: match decision.reason {
                Reason::DenyRule => self.would_allow(request, now),
                _ => None,
            },
            all: None,
            decision,
        }
    }

    /// The same, with how every rule fared.
    pub(crate) fn explain_all(
        &self,
        parties: Parties<'a>,
        request: &Request<'a>,
        call: String,
        now: Timestamp,
    ) -> Explanation<'a> {
        Explanation {
            all: self.rules.try_all(request, now),
            ..self.explain(parties, request, call, now)
        }
    }

    fn would_allow(&self, request: &Request<'_>, now: Timestamp) -> Option<Placed<'a>> {
        let rules = self.rules.about(request.service?);
        let mut allowing = rules
            .into_iter()
            .filter(|one| one.side == Side::Allow && one.rule.enforcement == Enforcement::Enforce);
        allowing.find(|placed| {
            let trial = self.rules.try_one(*placed, request, now);
            trial.is_some_and(|trial| trial.outcome == Outcome::Matches)
        })
    }

    /// The file that a decision names.
    pub(crate) fn source(&self, file: &str) -> Option<&'a Source> {
        let mut sources = self.documents.sources.iter();
        sources.find(|source| source.name() == file)
    }
}

fn names<'i>(documents: &Documents, others: impl IntoIterator<Item = &'i SpiffeId>) -> ShortNames {
    let others: Vec<SpiffeId> = others.into_iter().cloned().collect();
    ShortNames::of(&documents.specified.spec, &others)
}

impl Explanation<'_> {
    /// Whether somebody was let in that the rules refuse.
    pub(crate) fn is_let_pass(&self) -> bool {
        self.decision.verdict == Verdict::Deny && !self.decision.enforced
    }
}
