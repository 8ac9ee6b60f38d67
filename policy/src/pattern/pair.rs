//! One way into a rule: an entry of `from` with a line of `to`, held against one request.
//!
//! What decides holds requests against whole tables of rules. This is for who asks about
//! one pair of them, with the code that decides.

use super::{Bindings, CallerPattern, Operation, TrailingSlash};
use crate::{
    PathOptions, Request, SpiffeId,
    call::{self, Call},
    condition::Notes,
};

/// Which rules a pattern stands in: the two read a request differently where the doubt
/// has to favour a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// `allow`.
    Allow,
    /// `deny`.
    Deny,
}

impl Operation {
    /// Whether an entry of `from` and this line of one rule are together about `request`,
    /// made by `caller` to a service with these path options. A request that has several
    /// readings is about nothing.
    #[must_use]
    pub fn is_about(
        &self,
        from: &CallerPattern,
        caller: &SpiffeId,
        request: &Request<'_>,
        side: Side,
        options: PathOptions,
    ) -> bool {
        let Ok((method, path)) = call::read(request, options) else {
            return false;
        };
        let notes = Notes::default();
        let call = Call::new(caller, request, method, &path, &notes);
        match side {
            Side::Allow => {
                self.verb.admits(&call) && self.agrees(from, &call, options.trailing_slash())
            }
            Side::Deny => {
                let mut others = path.other_readings().into_iter();
                let slash = TrailingSlash::Ignore;
                self.verb.catches(&call)
                    && (self.agrees(from, &call, slash)
                        || others.any(|path| self.agrees(from, &call.reading(&path), slash)))
            }
        }
    }

    /// Whether a line of this verb is about requests that come like this one, whatever
    /// their path.
    #[must_use]
    pub fn takes(&self, caller: &SpiffeId, request: &Request<'_>, side: Side) -> bool {
        let Ok((method, path)) = call::read(request, PathOptions::default()) else {
            return false;
        };
        let notes = Notes::default();
        let call = Call::new(caller, request, method, &path, &notes);
        match side {
            Side::Allow => self.verb.admits(&call),
            Side::Deny => self.verb.catches(&call),
        }
    }

    fn agrees(&self, from: &CallerPattern, call: &Call<'_>, slash: TrailingSlash) -> bool {
        let mut bindings = Bindings::default();
        self.path.fits(call.path, slash)
            && from.bind(call.caller, &mut bindings)
            && self.path.bind(call.path, &mut bindings)
    }
}
