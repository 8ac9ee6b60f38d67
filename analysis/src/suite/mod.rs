//! Tests of policies, run: every call of every case, decided by the code that decides.
//!
//! ```text
//!  PolicyTest ──from × requests──► calls ──decide──► as expected, or a failure
//!                                             └────► the lines that decided: coverage
//! ```

mod coverage;
#[cfg(test)]
mod tests;

use callgate_policy::{
    Caller, Decision, PolicySet, Request, SpiffeId, Timestamp,
    document::{OwnedRequest, PolicyTest, TestCase, TestRequest},
};

pub use coverage::{Coverage, Share, Unmet};

use crate::trial::Rules;

/// What tests are run with.
#[derive(Clone, Copy, Debug)]
pub struct Run<'r> {
    /// What decides.
    pub policies: &'r PolicySet,
    /// The same, for coverage.
    pub rules: &'r Rules<'r>,
    /// When calls are made of which neither case nor document says it.
    pub now: Timestamp,
    /// Cases whose name, document or file has this text; all of them without it.
    pub filter: Option<&'r str>,
}

/// What became of the tests.
#[derive(Debug)]
pub struct Report<'r> {
    /// Every case that was run, in the order of the files.
    pub cases: Vec<CaseReport<'r>>,
    /// Which rules they met.
    pub coverage: Coverage<'r>,
}

/// What became of one case.
#[derive(Debug)]
pub struct CaseReport<'r> {
    /// Its document.
    pub test: &'r PolicyTest,
    /// The case.
    pub case: &'r TestCase,
    /// How many calls it stands for.
    pub calls: usize,
    /// The calls that came out otherwise than expected.
    pub failures: Vec<Failure<'r>>,
}

/// A call that came out otherwise than expected.
#[derive(Debug)]
pub struct Failure<'r> {
    /// Who calls.
    pub from: &'r SpiffeId,
    /// What it asks for.
    pub request: &'r TestRequest,
    /// The same with its headers.
    pub asked: OwnedRequest,
    /// When.
    pub now: Timestamp,
    /// What came out.
    pub got: Got<'r>,
}

/// What came out of a call.
#[derive(Debug)]
pub enum Got<'r> {
    /// A decision.
    Decided(Box<Decision<'r>>),
    /// Nothing: the case's `forwarder` is none for this service, so nobody hears for whom
    /// it calls.
    NoForwarder,
}

impl<'r> Report<'r> {
    /// Runs `tests`.
    #[must_use]
    pub fn of(run: Run<'r>, tests: &'r [PolicyTest]) -> Self {
        let mut coverage = Coverage::of(run.rules);
        let mut cases = Vec::new();
        for test in tests {
            for case in &test.cases {
                if run.wants(test, case) {
                    cases.push(run.case(test, case, &mut coverage));
                }
            }
        }
        Self { cases, coverage }
    }

    /// How many cases failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        let failed = self.cases.iter().filter(|case| !case.passed());
        failed.count()
    }

    /// How many calls were decided.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.cases.iter().map(|case| case.calls).sum()
    }
}

impl CaseReport<'_> {
    /// Whether every call came out as expected.
    #[must_use]
    pub const fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

impl Failure<'_> {
    /// The call, as it was decided.
    #[must_use]
    pub fn request<'c>(&'c self, case: &'c TestCase) -> Request<'c> {
        self.asked.by(caller(self.from, case), Some(&case.to))
    }
}

impl<'r> Run<'r> {
    fn wants(&self, test: &PolicyTest, case: &TestCase) -> bool {
        self.filter.is_none_or(|text| {
            let mut told = [&case.name, &test.name, &test.file].into_iter();
            told.any(|one| one.contains(text))
        })
    }

    fn case(
        &self,
        test: &'r PolicyTest,
        case: &'r TestCase,
        coverage: &mut Coverage<'r>,
    ) -> CaseReport<'r> {
        let mut report = CaseReport {
            test,
            case,
            calls: 0,
            failures: Vec::new(),
        };
        for from in &case.from {
            for request in &case.requests {
                report.calls += 1;
                let failure = self.call(case, from, request, coverage);
                report.failures.extend(failure);
            }
        }
        report
    }

    fn call(
        &self,
        case: &'r TestCase,
        from: &'r SpiffeId,
        request: &'r TestRequest,
        coverage: &mut Coverage<'r>,
    ) -> Option<Failure<'r>> {
        let now = case.now.unwrap_or(self.now);
        let asked = request.request.with(&case.headers);
        let forwarder = case.forwarder.as_ref();
        let got = if forwarder.is_none_or(|one| self.policies.is_forwarder(one, &case.to)) {
            let request = asked.by(caller(from, case), Some(&case.to));
            let decision = self.policies.decide(&request, now);
            coverage.add(&decision, &request, now);
            if case.expect.is_met_by(&decision) {
                return None;
            }
            Got::Decided(Box::new(decision))
        } else {
            Got::NoForwarder
        };
        Some(Failure {
            from,
            request,
            asked,
            now,
            got,
        })
    }
}

fn caller<'c>(from: &'c SpiffeId, case: &'c TestCase) -> Caller<'c> {
    match &case.forwarder {
        None => Caller::Verified(from),
        Some(forwarder) => Caller::Forwarded {
            original: from,
            forwarder,
        },
    }
}
