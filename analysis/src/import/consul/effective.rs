//! Which intention decides: the one for the more exact destination, and then the one for
//! the more exact source.

use crate::import::report::{Finding, Kind};

use super::intentions::{Effect, Intention};

/// Intentions that may decide about one destination, the first that fits a source decides.
#[derive(Debug)]
pub(super) struct Order<'i, 'n> {
    intentions: Vec<&'i Intention<'n>>,
}

/// An intention among the others.
#[derive(Debug)]
pub(super) struct Effective<'i, 'n> {
    pub(super) one: &'i Intention<'n>,
    /// One that comes before, for all of its sources.
    pub(super) hidden_by: Option<&'i Intention<'n>>,
    /// Those that come before, for some of its sources.
    pub(super) inner: Vec<&'i Intention<'n>>,
}

impl<'i, 'n> Order<'i, 'n> {
    pub(super) fn new(mut intentions: Vec<&'i Intention<'n>>) -> Self {
        intentions.sort_by_key(|one| (one.destination.wildness(), one.source_wildness));
        Self { intentions }
    }

    /// Each of them with those that come before it.
    pub(super) fn all(&self) -> impl Iterator<Item = Effective<'i, 'n>> {
        self.intentions.iter().enumerate().map(|(at, one)| {
            let before: Vec<&'i Intention<'n>> = self.intentions.iter().take(at).copied().collect();
            let hidden_by = before.iter().find(|other| other.source.covers(&one.source));
            let inner = before.iter().filter(|other| {
                one.source.meet(&other.source).is_some() && !other.source.covers(&one.source)
            });
            Effective {
                one,
                hidden_by: hidden_by.copied(),
                inner: inner.copied().collect(),
            }
        })
    }
}

impl Effective<'_, '_> {
    /// Why the intention cannot be said beside the more specific ones.
    pub(super) fn conflict(&self) -> Option<Finding> {
        // Whom a more specific intention lets in to some calls would be let in to all that
        // this one lets everybody in to.
        let partly = |inner: &&&Intention<'_>| matches!(inner.effect, Effect::Permissions(_));
        if let Some(inner) = self.inner.iter().find(partly) {
            let message = format!(
                "`{}` has permissions of its own, and would be let in by this one too",
                inner.source_name
            );
            let finding = Finding::new(Kind::Precedence, self.one.at, message);
            return Some(finding.instead("name the sources that this is for, instead of `*`"));
        }
        // A deny rule for everybody in a namespace would hold for one that is let in.
        let denied = self
            .inner
            .iter()
            .filter(|inner| inner.effect == Effect::Deny);
        let allowed = self
            .inner
            .iter()
            .filter(|inner| inner.effect == Effect::Allow);
        let allowed: Vec<_> = allowed.collect();
        for denied in denied {
            if allowed
                .iter()
                .any(|other| denied.source.covers(&other.source))
            {
                let message = format!(
                    "`{}` is kept out but for some, and let in by this one",
                    denied.source_name
                );
                let finding = Finding::new(Kind::Precedence, self.one.at, message);
                return Some(finding.instead("name the sources that this is for, instead of `*`"));
            }
        }
        None
    }
}
