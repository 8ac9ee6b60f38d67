//! What of a record goes into rules.

use std::fmt;

use callgate_policy::{
    Ambiguity, CanonicalPath, Operation, PathOptions, PolicySet, Reason, Verdict,
};

use super::tree::{End, Verb};
use crate::{
    figure::counted,
    log::{Record, Recorded},
};

/// Segments of a path. Rules for longer ones are nobody's plan.
const MAX_SEGMENTS: usize = 32;

/// Bytes of a path: a pattern has 8,000 at most, and captures have names.
const MAX_BYTES: usize = 4_000;

/// A call that passed.
#[derive(Debug)]
pub(super) struct Seen<'r> {
    pub(super) caller: &'r str,
    pub(super) end: End,
    /// In its one spelling, percent-encoded.
    pub(super) path: String,
    /// Of a gRPC call: what stands behind `GRPC`.
    pub(super) grpc: Option<String>,
    /// What the service must keep for the path to have one reading.
    pub(super) options: PathOptions,
}

/// Why a call is not in the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum LeftOut {
    /// It was refused.
    Refused(Reason),
    /// It passed without an identity, by a Shadow setting.
    NoIdentity,
    /// A rule of the mesh allows it.
    Mesh,
    /// It upgrades to something other than WebSocket, which no rule can allow.
    Upgrade,
    /// Its path has more than 32 segments or 4,000 bytes, or more than one reading.
    Path,
    /// Its method is none.
    Method,
    /// There are more different paths than are told apart.
    TooManyPaths,
    /// There are more callers than are told apart.
    TooManyCallers,
}

/// What `record` says was called and passed.
pub(super) fn read<'r>(
    record: &'r Record<'_>,
    mesh: Option<&PolicySet>,
) -> Result<Seen<'r>, LeftOut> {
    if record.verdict == Verdict::Deny && record.enforced {
        return Err(LeftOut::Refused(record.reason));
    }
    let recorded = Recorded::of(record).map_err(|_| LeftOut::NoIdentity)?;
    if recorded.source().is_none() || record.reason == Reason::IdentityUntrusted {
        return Err(LeftOut::NoIdentity);
    }
    if mesh.is_some_and(|mesh| allows(mesh, &recorded)) {
        return Err(LeftOut::Mesh);
    }
    let (path, options) = path(&record.path).ok_or(LeftOut::Path)?;
    let verb = verb(record)?;
    let slash = path.len() > 1 && path.ends_with('/');
    Ok(Seen {
        caller: record.source.id.as_deref().unwrap_or_default(),
        grpc: grpc(record, &path, &verb),
        end: End { slash, verb },
        path,
        options,
    })
}

fn allows(mesh: &PolicySet, recorded: &Recorded<'_>) -> bool {
    let decision = recorded.decide(mesh);
    decision.is_ok_and(|decision| decision.verdict == Verdict::Allow)
}

/// The path in its one spelling, and what must be kept for it to have one.
fn path(text: &str) -> Option<(String, PathOptions)> {
    let kept = [(false, false), (true, false), (false, true), (true, true)];
    kept.into_iter().find_map(|(slash, parameters)| {
        let options = PathOptions {
            keep_encoded_slash: slash,
            keep_parameters: parameters,
            ..PathOptions::default()
        };
        let path = CanonicalPath::parse(text, options).ok()?;
        let spelled = path.to_string();
        let fits = path.segments().len() <= MAX_SEGMENTS && spelled.len() <= MAX_BYTES;
        fits.then_some((spelled, options))
    })
}

fn verb(record: &Record<'_>) -> Result<Verb, LeftOut> {
    if Ambiguity::of_method(&record.method).is_some() {
        return Err(LeftOut::Method);
    }
    match record.upgrade.as_deref() {
        Some(upgrade) if upgrade.eq_ignore_ascii_case("websocket") && record.method == "GET" => {
            Ok(Verb::WebSocket)
        }
        Some(_) => Err(LeftOut::Upgrade),
        None => {
            let line = format!("{} /", record.method);
            let word = matches!(&*record.method, "ANY" | "GRPC" | "WEBSOCKET");
            let nameable = Operation::parse(&line, PathOptions::default()).is_ok();
            Ok(if nameable && !word {
                Verb::Method((&*record.method).into())
            } else {
                Verb::Any
            })
        }
    }
}

/// What stands behind `GRPC` in the rule for this call, if it is one.
fn grpc(record: &Record<'_>, path: &str, verb: &Verb) -> Option<String> {
    let method = path.strip_prefix('/')?;
    let is_call = record.grpc && *verb == Verb::Method("POST".into());
    let line = format!("GRPC {method}");
    let nameable = is_call && Operation::parse(&line, PathOptions::default()).is_ok();
    nameable.then(|| method.to_owned())
}

impl LeftOut {
    /// `n` calls of this kind, as a note says it.
    #[must_use]
    pub fn counted(self, n: u64) -> String {
        format!("{} {self}", counted(n, "call"))
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) => write!(f, "refused: {reason}"),
            Self::NoIdentity => f.write_str("without an identity, let pass by Shadow"),
            Self::Mesh => f.write_str("allowed by rules of the mesh"),
            Self::Upgrade => f.write_str("upgrading to what no rule can allow"),
            Self::Path => f.write_str("with a path that no rule can name"),
            Self::Method => f.write_str("with a method that no rule can name"),
            Self::TooManyPaths => f.write_str("beyond 100,000 different segments of paths"),
            Self::TooManyCallers => f.write_str("beyond 100,000 callers"),
        }
    }
}
