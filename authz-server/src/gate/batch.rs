//! A batch of records as it comes over the wire, read once and whole: a bad element is an
//! error of all of it, and never left out.

use std::fmt;

use callgate_policy::{Location, Reason, RuleRef, SpiffeId, Timestamp};
use callgate_wire::{
    batch::{MAX_ENTRIES, MAX_TEXT_BYTES, REVISION_BYTES, WORKER_BYTES},
    callgate::v1::{Caller, Decided, RecordRequest, Rule},
};
use ulid::Ulid;

use crate::{
    live::ServiceRevision,
    metrics::is_leased,
    record::{Leaf, SourceNote},
    svid::{fingerprint_of_hex, hex},
};

/// The longest name of an issuer; an SVID has at most the first 128 characters of it.
const MAX_ISSUER_BYTES: usize = 1_024;

/// What a proxy decided by leases, borrowed from its message.
#[derive(Debug)]
pub(super) struct Batch<'r> {
    pub(super) worker: Worker,
    pub(super) sequence: u64,
    pub(super) dropped: Dropped,
    callers: Vec<(SpiffeId, SourceNote)>,
    decisions: Vec<Leased<'r>>,
}

/// Names the VM that sends.
pub(super) type Worker = [u8; WORKER_BYTES];

/// Decisions that were never recorded, since the worker began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) allowed: u64,
    pub(super) denied: u64,
}

/// One decision.
#[derive(Debug)]
pub(super) struct Leased<'r> {
    pub(super) id: &'r str,
    pub(super) time: Timestamp,
    caller: usize,
    pub(super) reason: Reason,
    pub(super) rule: Option<RuleRef<'r>>,
    pub(super) revision: ServiceRevision,
    pub(super) call: &'r Decided,
}

/// Why a message is no batch. Nothing of it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidBatch {
    /// `service` is longer than any name.
    Service,
    /// `worker` has not 16 bytes.
    Worker,
    /// `sequence` is 0.
    Sequence,
    /// More than 16,384 callers, rules or decisions.
    TooMany,
    /// One of `callers` is none.
    Caller {
        /// Its place, from 0.
        place: usize,
    },
    /// One of `decisions` is none.
    Decision {
        /// Its place, from 0.
        place: usize,
        /// What is wrong.
        field: &'static str,
    },
}

impl<'r> Batch<'r> {
    /// # Errors
    /// The first thing that is wrong with it.
    pub(super) fn read(request: &'r RecordRequest) -> Result<Self, InvalidBatch> {
        let RecordRequest {
            service: _,
            worker,
            sequence,
            callers,
            rules,
            decisions,
            dropped_allowed,
            dropped_denied,
        } = request;
        let worker = worker.as_slice().try_into();
        let worker = worker.map_err(|_| InvalidBatch::Worker)?;
        if *sequence == 0 {
            return Err(InvalidBatch::Sequence);
        }
        let most = callers.len().max(rules.len()).max(decisions.len());
        if most > MAX_ENTRIES {
            return Err(InvalidBatch::TooMany);
        }
        let read = callers.iter().enumerate().map(|(place, caller)| {
            let caller = self::caller(caller);
            caller.ok_or(InvalidBatch::Caller { place })
        });
        let callers: Vec<_> = read.collect::<Result<_, _>>()?;
        let read = decisions.iter().enumerate().map(|(place, decided)| {
            let leased = Leased::read(decided, callers.len(), rules);
            leased.map_err(|field| InvalidBatch::Decision { place, field })
        });
        Ok(Self {
            worker,
            sequence: *sequence,
            dropped: Dropped {
                allowed: *dropped_allowed,
                denied: *dropped_denied,
            },
            decisions: read.collect::<Result<_, _>>()?,
            callers,
        })
    }

    /// Every decision, with its caller.
    pub(super) fn decisions(&self) -> impl Iterator<Item = (&Leased<'r>, &(SpiffeId, SourceNote))> {
        let known = |leased: &Leased<'_>| self.callers.get(leased.caller);
        let decisions = self.decisions.iter();
        decisions.filter_map(move |leased| Some((leased, known(leased)?)))
    }
}

impl<'r> Leased<'r> {
    /// # Errors
    /// The field that is wrong.
    fn read(decided: &'r Decided, callers: usize, rules: &'r [Rule]) -> Result<Self, &'static str> {
        let Decided {
            id,
            time_ms,
            caller,
            reason,
            rule,
            revision,
            method,
            path,
            upgrade,
            content_type,
            host,
            traceparent,
            rechecks,
        } = decided;
        let optional = [upgrade, content_type, traceparent].map(Option::as_deref);
        let texts = [Some(method.as_str()), Some(path), Some(host)];
        let mut texts = texts.into_iter().chain(optional).flatten();
        if texts.any(|text| text.len() > MAX_TEXT_BYTES) {
            return Err("text");
        }
        if rechecks.as_deref().is_some_and(|id| !is_id(id)) {
            return Err("rechecks");
        }
        let revision = revision.as_slice();
        Ok(Self {
            id: Some(id.as_str()).filter(|id| is_id(id)).ok_or("id")?,
            time: Timestamp::from_millis(*time_ms),
            caller: usize::try_from(*caller)
                .ok()
                .filter(|caller| *caller < callers)
                .ok_or("caller")?,
            reason: Reason::of_word(reason)
                .filter(|reason| is_leased(*reason))
                .ok_or("reason")?,
            rule: self::rule(*rule, rules)?,
            revision: revision.try_into().map_err(|_| "revision")?,
            call: decided,
        })
    }
}

fn is_id(text: &str) -> bool {
    Ulid::from_string(text).is_ok()
}

fn caller(caller: &Caller) -> Option<(SpiffeId, SourceNote)> {
    let Caller {
        id,
        certificate_sha256,
        not_before_ms,
        not_after_ms,
        issuer,
    } = caller;
    fingerprint_of_hex(certificate_sha256)?;
    if issuer.len() > MAX_ISSUER_BYTES {
        return None;
    }
    let noted = SourceNote::new(&Leaf {
        id,
        certificate_sha256,
        not_before: Timestamp::from_millis(*not_before_ms),
        not_after: Timestamp::from_millis(*not_after_ms),
        issuer,
    });
    Some((SpiffeId::parse(id).ok()?, noted))
}

/// The rule that `place` counts from 1; 0 is none.
fn rule(place: u32, rules: &[Rule]) -> Result<Option<RuleRef<'_>>, &'static str> {
    let Some(place) = place.checked_sub(1) else {
        return Ok(None);
    };
    let place = usize::try_from(place).ok();
    let Rule {
        name,
        policy,
        file,
        line,
    } = place.and_then(|place| rules.get(place)).ok_or("rule")?;
    if [name, policy, file]
        .iter()
        .any(|text| text.len() > MAX_TEXT_BYTES)
    {
        return Err("rule");
    }
    Ok(Some(RuleRef {
        name,
        policy,
        location: Location { file, line: *line },
    }))
}

/// A service revision as records say it.
pub(super) fn shown(revision: &ServiceRevision) -> String {
    const { assert!(size_of::<ServiceRevision>() == REVISION_BYTES) };
    hex(revision)
}

impl fmt::Display for InvalidBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service => f.write_str("`service` is too long"),
            Self::Worker => write!(f, "`worker` has not {WORKER_BYTES} bytes"),
            Self::Sequence => f.write_str("`sequence` is 0"),
            Self::TooMany => write!(f, "more than {MAX_ENTRIES} callers, rules or decisions"),
            Self::Caller { place } => write!(f, "`callers[{place}]` is no caller"),
            Self::Decision { place, field } => {
                write!(f, "`decisions[{place}]`: its {field} is none")
            }
        }
    }
}

impl std::error::Error for InvalidBatch {}
