//! Tests of policies: whose calls they are, in full.

use super::{
    super::{
        finding::{Finding, Quoted},
        policy_test::{Expectation, PolicyTest, TestCase, TestRequest},
        raw::{self, Expect, Written},
    },
    Code, Compiler,
};
use crate::{SpiffeId, Timestamp};

/// Calls of one case. A case of so many is a mistake, and would run for a second.
const CALLS: usize = 100_000;

impl<'a> Compiler<'a, '_> {
    /// `None` if a finding was made of it, here or when it was read.
    pub(super) fn test(&mut self, raw: &'a raw::PolicyTest<'a>) -> Option<PolicyTest> {
        let cases = raw.cases.iter();
        let cases = cases.filter_map(|one| self.case(one, raw.now)).collect();
        Some(PolicyTest {
            name: raw.name.as_ref()?.text.to_string(),
            file: self.file(raw.span),
            cases,
        })
    }

    fn case(&mut self, raw: &'a raw::TestCase<'a>, now: Option<Timestamp>) -> Option<TestCase> {
        let from: Vec<_> = raw.from.iter().map(|one| self.party(one)).collect();
        let forwarder = raw.forwarder.as_ref().map(|one| self.party(one));
        let to = raw.to.as_ref().and_then(|one| self.party(one));
        self.bound_calls(raw);
        let requests = raw.requests.iter();
        let requests = requests.map(|(request, span)| TestRequest {
            request: request.clone(),
            line: self.line(*span),
        });
        Some(TestCase {
            requests: requests.collect(),
            name: raw.name.as_ref()?.text.to_string(),
            line: self.line(raw.span),
            from: from.into_iter().collect::<Option<_>>()?,
            forwarder: match forwarder {
                Some(forwarder) => Some(forwarder?),
                None => None,
            },
            to: to?,
            headers: raw.headers.clone(),
            now: raw.now.or(now),
            expect: self.expectation(raw.expect.as_ref()?),
        })
    }

    /// One who takes part in a call.
    fn party(&mut self, written: &'a Written<'a>) -> Option<SpiffeId> {
        let why = "a call has one caller: write down each that matters";
        self.exact(written, "caller or service", why)
    }

    fn bound_calls(&mut self, raw: &raw::TestCase<'_>) {
        let calls = raw.from.len().saturating_mul(raw.requests.len());
        if calls > CALLS {
            let name = raw.name.as_ref().map_or("", |name| &name.text);
            let message = format!(
                "the case `{}` stands for {calls} calls, more than the {CALLS} allowed",
                Quoted(name)
            );
            let finding = Finding::new(Code::CaseTooLarge, raw.span, message);
            self.sink
                .push(finding.help("every caller makes every request: split it"));
        }
    }

    fn expectation(&self, raw: &Expect) -> Expectation {
        Expectation {
            line: self.line(raw.span),
            verdict: raw.verdict,
            reason: raw.reason,
            rule: raw.rule.clone(),
            enforced: raw.enforced,
        }
    }
}
