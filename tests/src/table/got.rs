//! What came out, and how it is told.

use std::fmt;

use callgate_policy::{Reason, Verdict};

use super::{Answer, Bare, Expect, Miss};

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
    /// Who called, of a record.
    pub parties: Option<Parties>,
}

/// Who called, as a record has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parties {
    /// The caller.
    pub source: Option<String>,
    /// Who passed the call on.
    pub forwarder: Option<String>,
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
