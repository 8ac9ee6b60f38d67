//! What a change of documents changes: every access that widens or narrows, each with a
//! request that both versions really decide differently.
//!
//! ```text
//!  two versions ──per service──► Survey: the requests that have to be asked about
//!                                   │  both versions decide them
//!                                   ▼
//!                                Found ──report──► Diff: by service and caller
//! ```
//!
//! Not the texts are compared but what they mean, so renames, another order and rules
//! that add nothing show nothing. What may differ is asked of the code that decides, so
//! nothing is shown that is not so.

mod asking;
mod change;
pub(crate) mod condition;
mod forwarded;
mod operation;
mod report;
pub(crate) mod scene;
mod settings;
mod survey;
#[cfg(test)]
mod tests;
pub(crate) mod way;
mod whom;
mod witness;
pub(crate) mod world;

use std::collections::BTreeSet;

use callgate_policy::{SpiffeId, Timestamp};

pub use change::{
    AccessChange, Answer, CallerChange, Diff, Direction, Level, RulePlace, ServiceChange,
    SettingChange, Who, Witness,
};
pub use world::Version;

use asking::Budget;
use survey::Survey;

/// Requests that both versions are asked about, at most: some seconds of them.
const MAX_QUESTIONS: usize = 20_000_000;

/// Compares two versions as of `now` and of every later moment at which an exception or
/// a revocation ends.
#[must_use]
pub fn compare(old: &Version, new: &Version, now: Timestamp) -> Diff {
    let mut budget = Budget {
        left: MAX_QUESTIONS,
    };
    let mut diff = Diff {
        settings: settings::changes(old, new, now),
        complete: true,
        ..Diff::default()
    };
    for (service, is_named) in services(old, new) {
        let Some(survey) = Survey::of(&service, old, new, now) else {
            continue;
        };
        let findings = survey.findings(&mut budget);
        let callers = report::by_caller(&survey, &findings, now);
        diff.complete &= survey.is_complete();
        if !callers.is_empty() {
            report::add(&mut diff.services, &survey, is_named, callers);
        }
    }
    diff.complete &= budget.left > 0;
    diff
}

/// Every service that a version names, in the order of names, and one that none does.
fn services(old: &Version, new: &Version) -> Vec<(SpiffeId, bool)> {
    let policies = old.services().iter().chain(new.services());
    let named: BTreeSet<&SpiffeId> = policies.flat_map(|policy| &policy.services).collect();
    let mut others = (0..).filter_map(|number: u32| {
        let number = if number == 0 {
            String::new()
        } else {
            number.to_string()
        };
        SpiffeId::parse(&format!("spiffe://any.example/any-service{number}")).ok()
    });
    let other = others.find(|id| !named.contains(id));
    let named = named.iter().map(|id| ((*id).clone(), true));
    named.chain(other.map(|id| (id, false))).collect()
}
