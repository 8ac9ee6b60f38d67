//! Whether what came out is what must come out.
//!
//! Beside what a row says, every answer is held to the whole of its form: statuses,
//! headers, body, what reaches the service.

use std::fmt;

use anyhow::{Result, bail, ensure};
use callgate_policy::{Reason, Verdict};
use serde_json::Value;

use super::{Answer, Bare, Expect, Form, Level, Miss, Place, Row, Workloads};

/// What came out.
#[derive(Clone, Debug)]
pub enum Got {
    /// A decision, where nothing else can be seen.
    Decided(Decided),
    /// The call reached the service.
    Forwarded(Box<Forwarded>),
    /// The call was answered before the service.
    Refused(Box<Refusal>),
    /// The handshake was refused.
    HandshakeRefused,
    /// The stream or connection was reset or closed.
    Reset,
    /// The level cannot be asked this.
    Cannot,
}

/// A decision, or its record.
#[derive(Clone, Debug)]
pub struct Decided {
    /// What the rules say.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// False if a Shadow setting lets pass what the verdict refuses.
    pub enforced: bool,
    /// The rule that decided.
    pub rule: Option<String>,
    /// What came closest.
    pub miss: Option<Miss>,
}

/// A call that went on.
#[derive(Clone, Debug)]
pub struct Forwarded {
    /// The path that the service sees, where there is a service.
    pub path: Option<Vec<u8>>,
    /// The headers that the service sees.
    pub headers: Headers,
    /// What the server recorded.
    pub record: Option<Decided>,
}

/// A call that was answered before the service.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The HTTP status, unless the answer has the form of gRPC.
    pub http: Option<u16>,
    /// The gRPC status, unless the answer has the form of HTTP.
    pub grpc: Option<i32>,
    /// The answer's headers.
    pub headers: Headers,
    /// The body or the `grpc-message`.
    pub body: Vec<u8>,
    /// What the server recorded.
    pub record: Option<Decided>,
}

/// Names in lower case, and values, in order.
#[derive(Clone, Debug, Default)]
pub struct Headers(pub Vec<(String, Vec<u8>)>);

impl Headers {
    /// Every value of `name`.
    pub fn all<'h, 'n>(&'h self, name: &'n str) -> impl Iterator<Item = &'h [u8]> + use<'h, 'n> {
        self.0
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, value)| value.as_slice())
    }

    /// The value of `name`, as text, if it has exactly one.
    #[must_use]
    pub fn one(&self, name: &str) -> Option<&str> {
        let mut values = self.all(name);
        let one = values.next()?;
        values
            .next()
            .is_none()
            .then(|| std::str::from_utf8(one).ok())
            .flatten()
    }
}

impl Got {
    /// The id of the decision, where the outcome names one.
    #[must_use]
    pub fn decision(&self) -> Option<&str> {
        match self {
            Self::Forwarded(forwarded) => forwarded.headers.one("x-callgate-decision"),
            Self::Refused(refusal) => refusal.headers.one("x-callgate-decision"),
            _ => None,
        }
    }

    /// Adds what the server recorded.
    pub fn recorded(&mut self, record: Decided) {
        match self {
            Self::Forwarded(forwarded) => forwarded.record = Some(record),
            Self::Refused(refusal) => refusal.record = Some(record),
            _ => {}
        }
    }
}

impl Row {
    /// Holds `got` to what must come out at `place`.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn judge(&self, workloads: &Workloads, place: Place, got: &Got) -> Result<()> {
        let case = Case {
            row: self,
            place,
            caller: self.verified(workloads)?,
        };
        match (self.expect(place), got) {
            (Expect::Cannot, Got::Cannot)
            | (Expect::HandshakeRefused, Got::HandshakeRefused)
            | (Expect::Reset, Got::Reset) => Ok(()),
            (Expect::Bare(status), Got::Refused(refusal)) => bare(*status, refusal),
            (Expect::Answer(answer), Got::Decided(decided)) => case.decided(answer, decided),
            (Expect::Answer(answer), Got::Forwarded(forwarded)) => {
                case.forwarded(answer, forwarded)
            }
            (Expect::Answer(answer), Got::Refused(refusal)) => case.refused(answer, refusal),
            (expect, got) => bail!("expected {expect}, got {got}"),
        }
    }

    /// The verified caller's SPIFFE ID.
    fn verified(&self, workloads: &Workloads) -> Result<Option<String>> {
        let identity = workloads
            .caller(&self.caller)?
            .map(super::CallerSpec::identity)
            .transpose()?;
        Ok(identity.and_then(Result::ok).map(|id| id.to_string()))
    }
}

/// Envoy's own answer says nothing in our name.
fn bare(status: Bare, refusal: &Refusal) -> Result<()> {
    let same = match status {
        Bare::Http(status) => refusal.http == Some(status),
        Bare::Grpc(status) => refusal.grpc == Some(status),
    };
    let ours = refusal
        .headers
        .0
        .iter()
        .any(|(name, _)| name.starts_with("x-callgate-"));
    ensure!(same && !ours, "expected {status}, got {refusal}");
    Ok(())
}

/// One row at one place.
struct Case<'r> {
    row: &'r Row,
    place: Place,
    caller: Option<String>,
}

impl Case<'_> {
    fn decided(&self, want: &Answer, got: &Decided) -> Result<()> {
        let same =
            (want.verdict, want.reason, want.enforced) == (got.verdict, got.reason, got.enforced);
        ensure!(same, "expected {want}, got {got}");
        if let Some(rule) = &want.rule {
            ensure!(
                got.rule.as_ref() == Some(rule),
                "expected {want}, got {got}"
            );
        }
        if let Some(miss) = &want.miss {
            let Some(near) = &got.miss else {
                bail!("expected a nearest miss, got {got}")
            };
            let rule = miss.rule.is_none() || miss.rule == near.rule;
            ensure!(
                rule && miss.clause == near.clause,
                "expected nearest {miss:?}, got {near:?}"
            );
        }
        Ok(())
    }

    fn forwarded(&self, want: &Answer, got: &Forwarded) -> Result<()> {
        ensure!(want.goes_on(), "expected {want}, but it went on");
        self.recorded(want, got.record.as_ref())?;
        self.callers_name(got)?;
        let id = got.headers.one("x-callgate-decision");
        ensure!(
            id.is_some_and(is_ulid),
            "the service sees no decision id but {id:?}"
        );
        self.headers(want, got)?;
        self.chain(got)?;
        self.path(want, got)
    }

    /// One verified ID, or none of an anonymous caller.
    fn callers_name(&self, got: &Forwarded) -> Result<()> {
        let seen: Vec<&[u8]> = got.headers.all("x-callgate-caller").collect();
        let wanted: Vec<&[u8]> = self.caller.iter().map(String::as_bytes).collect();
        ensure!(
            seen == wanted,
            "the service sees the caller as {}",
            shown(&seen)
        );
        Ok(())
    }

    /// What the filter asks, it cleans itself; an answer to it says nothing of that.
    fn headers(&self, want: &Answer, got: &Forwarded) -> Result<()> {
        if self.place == Place::server(Form::Ours) {
            return Ok(());
        }
        for (name, value) in &want.upstream {
            let seen: Vec<&[u8]> = got.headers.all(name).collect();
            let wanted: Vec<&[u8]> = value.iter().map(Vec::as_slice).collect();
            ensure!(
                seen == wanted,
                "the service sees `{name}` as {}",
                shown(&seen)
            );
        }
        Ok(())
    }

    /// Native ext_authz cannot edit a header it has not set, so there the caller's
    /// certificates do reach the service.
    fn chain(&self, got: &Forwarded) -> Result<()> {
        let ours = self.place.level != Level::Server && self.place.form != Some(Form::Native);
        let chained = got
            .headers
            .all("x-forwarded-client-cert")
            .any(|value| contains(value, b"Chain="));
        ensure!(!(ours && chained), "the service sees the caller's chain");
        Ok(())
    }

    /// What was decided is what is forwarded.
    fn path(&self, want: &Answer, got: &Forwarded) -> Result<()> {
        let sent = self.row.call.target.as_slice();
        let wanted = want.path.as_ref().map_or(sent, String::as_bytes);
        match &got.path {
            Some(path) if path != wanted => bail!("the service sees `{}`", path.escape_ascii()),
            _ => Ok(()),
        }
    }

    fn recorded(&self, want: &Answer, record: Option<&Decided>) -> Result<()> {
        record.map_or(Ok(()), |record| self.decided(want, record))
    }

    fn refused(&self, want: &Answer, got: &Refusal) -> Result<()> {
        ensure!(!want.goes_on(), "expected {want}, got {got}");
        ensure!(
            got.headers.one("x-callgate-reason") == Some(want.reason.as_str()),
            "expected {want}, got {got}"
        );
        self.recorded(want, got.record.as_ref())?;
        self.statuses(want, got)?;
        let id = got.headers.one("x-callgate-decision");
        ensure!(id.is_some_and(is_ulid), "no decision id but {id:?}");
        ensure!(
            got.headers.one("x-callgate-caller").is_none(),
            "the caller is told its name"
        );
        if got.http.is_some() && !self.row.call.is_grpc() {
            self.problem(want, got, id)?;
        }
        Ok(())
    }

    /// The caller's own form on real Envoy, both below it.
    fn statuses(&self, want: &Answer, got: &Refusal) -> Result<()> {
        let (http, grpc) = (
            want.reason.http_status(),
            want.grpc.unwrap_or(want.reason.grpc_status()),
        );
        let expected = match (self.place.level, self.row.call.is_grpc()) {
            (Level::Envoy, true) => (None, Some(grpc)),
            (Level::Envoy, false) => (Some(http), None),
            _ => (Some(http), Some(grpc)),
        };
        ensure!(
            (got.http, got.grpc) == expected,
            "expected statuses {expected:?}, got {got}"
        );
        Ok(())
    }

    /// RFC 9457, and only what the caller may know.
    fn problem(&self, want: &Answer, got: &Refusal, id: Option<&str>) -> Result<()> {
        ensure!(
            got.headers.one("content-type") == Some("application/problem+json"),
            "not a problem: {got}"
        );
        if self.row.call.method == "HEAD" && self.place.level == Level::Envoy {
            ensure!(got.body.is_empty(), "a body for HEAD");
            return Ok(());
        }
        let body: Value = serde_json::from_slice(&got.body)?;
        let reason = want.reason.as_str();
        let expected = [
            ("type", Value::from(format!("urn:callgate:{reason}"))),
            ("reason", Value::from(reason)),
            ("status", Value::from(want.reason.http_status())),
            ("decision", Value::from(id)),
        ];
        for (field, value) in expected {
            ensure!(
                body.get(field) == Some(&value),
                "`{field}` is not {value} in {body}"
            );
        }
        let title = body.get("title").and_then(Value::as_str);
        ensure!(
            title.is_some_and(|title| !title.is_empty()),
            "no title in {body}"
        );
        self.told(want, &body)
    }

    /// Owner and help are for verified callers.
    fn told(&self, want: &Answer, body: &Value) -> Result<()> {
        for (field, wanted) in [("owner", &want.owner), ("help", &want.help)] {
            let seen = body
                .get(field)
                .map(|value| value.as_str().unwrap_or_default().to_owned());
            ensure!(
                self.caller.is_some() || seen.is_none(),
                "a caller without a name is told {seen:?}"
            );
            if let Some(wanted) = wanted {
                ensure!(seen == *wanted, "`{field}` is {seen:?}");
            }
        }
        Ok(())
    }
}

/// 26 characters of Crockford's base 32.
fn is_ulid(text: &str) -> bool {
    text.len() == 26
        && text
            .bytes()
            .all(|b| b"0123456789ABCDEFGHJKMNPQRSTVWXYZ".contains(&b))
}

fn contains(text: &[u8], what: &[u8]) -> bool {
    text.windows(what.len()).any(|window| window == what)
}

fn shown(values: &[&[u8]]) -> String {
    let values: Vec<String> = values
        .iter()
        .map(|v| format!("`{}`", v.escape_ascii()))
        .collect();
    if values.is_empty() {
        "absent".to_owned()
    } else {
        values.join(" and ")
    }
}

fn decision(
    f: &mut fmt::Formatter<'_>,
    (verdict, reason, enforced): (Verdict, Reason, bool),
    rule: Option<&str>,
) -> fmt::Result {
    write!(f, "{verdict:?} {reason}")?;
    if let Some(rule) = rule {
        write!(f, " by `{rule}`")?;
    }
    f.write_str(if enforced { "" } else { ", not enforced" })
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        decision(
            f,
            (self.verdict, self.reason, self.enforced),
            self.rule.as_deref(),
        )
    }
}

impl fmt::Display for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        decision(
            f,
            (self.verdict, self.reason, self.enforced),
            self.rule.as_deref(),
        )
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let http = status(self.http.map(|code| code.to_string()));
        let grpc = status(self.grpc.map(|code| code.to_string()));
        let reason = self.headers.one("x-callgate-reason").unwrap_or("no reason");
        write!(
            f,
            "HTTP {http}, gRPC {grpc}, {reason}: {}",
            self.body.escape_ascii()
        )
    }
}

impl fmt::Display for Bare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(status) => write!(f, "Envoy's own {status}"),
            Self::Grpc(status) => write!(f, "Envoy's own gRPC {status}"),
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(answer) => answer.fmt(f),
            Self::Bare(status) => status.fmt(f),
            Self::HandshakeRefused => f.write_str("a refused handshake"),
            Self::Reset => f.write_str("a reset"),
            Self::Cannot => f.write_str("no way to ask"),
        }
    }
}

impl fmt::Display for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decided(decided) => decided.fmt(f),
            Self::Forwarded(_) => f.write_str("it went on"),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::HandshakeRefused => f.write_str("a refused handshake"),
            Self::Reset => f.write_str("a reset"),
            Self::Cannot => f.write_str("no way to ask"),
        }
    }
}
