//! One way into a rule.

use callgate_policy::{
    Caller, CallerPattern, Operation, PathOptions, Request, Side,
    spec::{Callers, RuleSpec},
};

use super::{Point, Shape};

/// One way into a rule: a pattern of `from` with a line of `to`.
#[derive(Clone, Debug)]
pub struct Access {
    from: CallerPattern,
    to: Operation,
    side: Side,
    options: PathOptions,
    shape: Shape,
}

impl Access {
    /// What `from` and `to` of one rule are about, at a service with these path options.
    #[must_use]
    pub fn new(from: &CallerPattern, to: &Operation, side: Side, options: PathOptions) -> Self {
        Self {
            from: from.clone(),
            to: to.clone(),
            side,
            options,
            shape: Shape::of(from, to, side, options),
        }
    }

    /// Every way into `rule`: each pattern of `from`, members of groups included, with
    /// each line of `to`, in the order of the document. Exceptions and conditions are not
    /// looked at.
    #[must_use]
    pub fn of_rule(rule: &RuleSpec, side: Side, options: PathOptions) -> Vec<Self> {
        let patterns = rule.from.iter().map(|from| &from.callers);
        let patterns = patterns.flat_map(Callers::patterns);
        let pairs = patterns.flat_map(|from| rule.to.iter().map(move |to| (from, to)));
        pairs
            .map(|(from, to)| Self::new(from, &to.operation, side, options))
            .collect()
    }

    /// Whether the rule is about such a request, by the code that decides.
    #[must_use]
    pub fn holds(&self, point: &Point) -> bool {
        let request = point.request(None);
        let Caller::Verified(caller) = request.caller else {
            return false;
        };
        self.to
            .is_about(&self.from, caller, &request, self.side, self.options)
    }

    /// Whether requests that come like this one are meant, whatever their path.
    pub(super) fn takes(&self, request: &Request<'_>) -> bool {
        match request.caller {
            Caller::Verified(caller) => self.to.takes(caller, request, self.side),
            _ => false,
        }
    }

    pub(crate) const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The pattern of `from`.
    #[must_use]
    pub const fn from(&self) -> &CallerPattern {
        &self.from
    }

    /// The line of `to`.
    #[must_use]
    pub const fn to(&self) -> &Operation {
        &self.to
    }

    /// Whether it stands in `allow` or `deny`.
    #[must_use]
    pub const fn side(&self) -> Side {
        self.side
    }
}
