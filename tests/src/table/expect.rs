//! What must come out.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use callgate_policy::{Reason, Verdict};
use serde::{Deserialize, Deserializer};

use super::{place::Scope, request::latin1};

/// What must come out at a place.
#[derive(Clone, Debug, PartialEq)]
pub enum Expect {
    /// Callgate's answer.
    Answer(Answer),
    /// Envoy's own answer, without a reason: an HTTP status, or a gRPC status.
    Bare(Bare),
    /// No answer: Envoy ends the stream or the connection.
    Reset,
    /// The place has no way to be asked this.
    Cannot,
}

/// The status of an answer that is not Callgate's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bare {
    /// HTTP.
    Http(u16),
    /// gRPC.
    Grpc(i32),
}

/// Callgate's answer, as far as the row is about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// What the rules say.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// Shadow lets pass what the verdict refuses if not.
    pub enforced: bool,
    /// The rule that decided.
    pub rule: Option<String>,
    /// What came closest.
    pub miss: Option<Miss>,
    /// The refusal's owner, or that it has none.
    pub owner: Option<Option<String>>,
    /// The refusal's help, or that it has none.
    pub help: Option<Option<String>>,
    /// Headers that reach the service, or do not.
    pub upstream: Vec<(String, Option<Vec<u8>>)>,
    /// Whom the service is told, where it is not the row's caller.
    pub caller: Option<String>,
    /// The path that reaches the service, where it is not the one that was sent.
    pub path: Option<String>,
    /// The gRPC status, where it is not the reason's own.
    pub grpc: Option<i32>,
}

/// What came closest.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Miss {
    /// The rule's name.
    #[serde(default)]
    pub rule: Option<String>,
    /// The clause that failed.
    pub clause: String,
}

/// What must come out instead at some places, and why.
#[derive(Clone, Debug)]
pub(super) struct Difference {
    pub(super) scope: Scope,
    pub(super) expect: Expect,
}

impl Answer {
    /// Whether the call reaches the service.
    #[must_use]
    pub const fn goes_on(&self) -> bool {
        matches!(self.verdict, Verdict::Allow) || !self.enforced
    }
}

/// `expect` and each of `differs`, as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawExpect {
    verdict: Option<String>,
    reason: Option<String>,
    enforced: Option<bool>,
    rule: Option<String>,
    miss: Option<Miss>,
    #[serde(default, deserialize_with = "present")]
    owner: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    help: Option<Option<String>>,
    #[serde(default)]
    upstream: BTreeMap<String, Option<String>>,
    caller: Option<String>,
    path: Option<String>,
    grpc: Option<i32>,
    status: Option<u16>,
    reset: Option<bool>,
    cannot: Option<bool>,
    why: Option<String>,
}

/// Tells `owner: ~` from no `owner` at all.
fn present<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(d).map(Some)
}

impl RawExpect {
    /// The row's own expectation.
    pub(super) fn main(self) -> Result<Expect> {
        ensure!(self.why.is_none(), "`why` belongs to `differs`");
        let expect = self.expect()?;
        ensure!(
            matches!(expect, Expect::Answer(_)),
            "the main expectation is Callgate's answer"
        );
        Ok(expect)
    }

    /// One of `differs`, which must differ from `main` and say why.
    pub(super) fn difference(self, scope: &str, main: &Expect) -> Result<Difference> {
        let why = self.why.clone().unwrap_or_default();
        ensure!(
            !why.trim().is_empty(),
            "`{scope}` differs without saying why"
        );
        let expect = self.expect()?;
        ensure!(expect != *main, "`{scope}` does not differ");
        Ok(Difference {
            scope: scope.parse()?,
            expect,
        })
    }

    fn expect(self) -> Result<Expect> {
        let others = (self.status, self.reset, self.cannot);
        match (self.verdict.is_some(), self.grpc, others) {
            (true, _, (None, None, None)) => self.answer().map(Expect::Answer),
            (false, None, (Some(status), None, None)) => Ok(Expect::Bare(Bare::Http(status))),
            (false, Some(grpc), (None, None, None)) => Ok(Expect::Bare(Bare::Grpc(grpc))),
            (false, None, (None, Some(true), None)) => Ok(Expect::Reset),
            (false, None, (None, None, Some(true))) => Ok(Expect::Cannot),
            _ => bail!("give `verdict`, or one of `status`, `grpc`, `reset: true`, `cannot: true`"),
        }
    }

    fn answer(self) -> Result<Answer> {
        let verdict = verdict(self.verdict.as_deref().unwrap_or_default())?;
        let reason = match (self.reason.as_deref(), verdict) {
            (None, Verdict::Allow) => Reason::Allow,
            (None, Verdict::Deny) => bail!("a denial has a reason"),
            (Some(reason), _) => self::reason(reason)?,
        };
        ensure!(
            (reason == Reason::Allow) == (verdict == Verdict::Allow),
            "verdict and reason differ"
        );
        let value = |value: Option<String>| value.as_deref().map(latin1).transpose();
        let upstream = self
            .upstream
            .into_iter()
            .map(|(name, v)| Ok((name, value(v)?)));
        Ok(Answer {
            verdict,
            reason,
            enforced: self.enforced.unwrap_or(true),
            rule: self.rule,
            miss: self.miss,
            owner: self.owner,
            help: self.help,
            upstream: upstream.collect::<Result<_>>()?,
            caller: self.caller,
            path: self.path,
            grpc: self.grpc,
        })
    }
}

pub(super) fn verdict(text: &str) -> Result<Verdict> {
    match text {
        "Allow" => Ok(Verdict::Allow),
        "Deny" => Ok(Verdict::Deny),
        _ => bail!("`{text}` is no verdict"),
    }
}

pub(super) fn reason(text: &str) -> Result<Reason> {
    let found = Reason::ALL
        .into_iter()
        .find(|reason| reason.as_str() == text);
    found.with_context(|| format!("`{text}` is no reason"))
}
