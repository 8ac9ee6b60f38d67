//! Identities that nobody has seen, by a decision log.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    io::{self, Read},
};

use callgate_policy::{
    CallerPattern, Side, SpiffeId,
    document::{Code, Finding, Span, Specified, nearest, syntax::Node},
    spec::{Callers, PolicySetSpec},
};

use super::{
    Remarks,
    set::{Set, field, items, text},
};
use crate::log::{self, OddLines};

/// Identities that are kept of a log: more than a mesh has, and some 100 MB.
const MOST: usize = 1_000_000;

/// Who called, by a log: original callers and those who passed calls on.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    callers: HashSet<String>,
    /// Records that were read.
    records: u64,
    odd: OddLines,
}

/// Why nobody can say who was seen.
#[derive(Debug)]
pub enum SeenError {
    /// The log cannot be read.
    Io(io::Error),
    /// It has more callers than are kept.
    TooMany,
}

impl Seen {
    /// Notes every caller of `log`, which may be compressed.
    ///
    /// # Errors
    /// If it cannot be read, or has more than a million callers.
    pub fn read(&mut self, log: impl Read + Send + 'static) -> Result<(), SeenError> {
        let mut odd = OddLines::default();
        log::read(log, |line| match line.content {
            Ok(record) => {
                self.records = self.records.saturating_add(1);
                let forwarder = record.forwarder.iter();
                for id in forwarder
                    .chain([&record.source])
                    .filter_map(|one| one.id.as_deref())
                {
                    if self.callers.len() <= MOST && !self.callers.contains(id) {
                        self.callers.insert(id.to_owned());
                    }
                }
            }
            Err(why) => odd.note(line.number, why),
        })
        .map_err(SeenError::Io)?;
        self.odd.merge(odd);
        if self.callers.len() > MOST {
            return Err(SeenError::TooMany);
        }
        Ok(())
    }

    /// How many records there were.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// The lines that were none.
    #[must_use]
    pub const fn odd(&self) -> &OddLines {
        &self.odd
    }
}

pub(super) fn check(
    set: &Set<'_>,
    specified: &Specified,
    seen: Option<&Seen>,
    remarks: &mut Remarks,
) {
    let Some(seen) = seen else {
        remarks.did_not_run.push(Code::UnseenIdentity);
        return;
    };
    let known = Known::of(seen, &specified.spec);
    let members = members(set);
    for (rule, side) in set.rules_by_side() {
        for (index, from) in rule.spec.from.iter().enumerate() {
            match &from.callers {
                Callers::Pattern(pattern) => {
                    let at = rule.at_from(index);
                    remarks
                        .found
                        .extend(known.unseen(pattern, &from.text, side, at));
                }
                Callers::Group(patterns) => {
                    let places = members.get(from.text.as_str()).into_iter().flatten();
                    for (pattern, (written, at)) in patterns.iter().zip(places) {
                        remarks
                            .found
                            .extend(known.unseen(pattern, written, side, *at));
                    }
                }
            }
        }
    }
}

/// Where the members of each group stand, in their order.
fn members<'s>(set: &'s Set<'_>) -> HashMap<&'s str, Vec<(&'s str, Span)>> {
    let groups = set.documents().filter(|document| {
        text(document, &["kind"]).is_some_and(|(kind, _)| kind == "CallerGroup")
    });
    groups
        .filter_map(|group| {
            let (name, _) = text(group, &["metadata", "name"])?;
            let list = field(group, &["spec", "members"]).map_or(&[][..], items);
            let written = |node: &'s Node<'_>| text(node, &[]);
            Some((name, list.iter().filter_map(written).collect()))
        })
        .collect()
}

/// Everybody who was seen, under every name that rules may know them by.
struct Known(Vec<SpiffeId>);

impl Known {
    fn of(seen: &Seen, spec: &PolicySetSpec) -> Self {
        let mut ids: Vec<SpiffeId> = seen
            .callers
            .iter()
            .filter_map(|id| SpiffeId::parse(id).ok())
            .collect();
        ids.sort_unstable();
        let aliases = spec.mesh.iter().flat_map(|mesh| &mesh.trust.aliases);
        let mut others = Vec::new();
        for alias in aliases {
            let callers = ids
                .iter()
                .filter(|id| alias.callers.iter().any(|one| one.matches(id)));
            others.extend(callers.filter_map(|id| {
                SpiffeId::parse(&format!("spiffe://{}{}", alias.other, id.path())).ok()
            }));
        }
        ids.extend(others);
        Self(ids)
    }

    /// The finding for a pattern that nobody fits. A deny rule may be about nobody, for good;
    /// but not by a slip.
    fn unseen(
        &self,
        pattern: &CallerPattern,
        written: &str,
        side: Side,
        at: Span,
    ) -> Option<Finding> {
        if self.0.iter().any(|id| pattern.matches(id)) {
            return None;
        }
        let meant = pattern.exact().and_then(|id| self.meant(id));
        if side == Side::Deny && meant.is_none() {
            return None;
        }
        let message = match pattern.exact() {
            Some(_) => format!("`{written}` was not seen calling anything"),
            None => format!("nobody who fits `{written}` was seen calling anything"),
        };
        let finding = Finding::new(Code::UnseenIdentity, at, message);
        Some(match meant {
            Some(meant) => finding.label(format!("did you mean `{meant}`?")),
            None => finding.help(
                "remove it if it is not needed, or say why it is: `# callgate: allow CG507 REASON`",
            ),
        })
    }

    /// Somebody who was seen and differs in one segment, by little.
    fn meant(&self, id: &SpiffeId) -> Option<&SpiffeId> {
        let own: Vec<&str> = parts(id);
        self.0.iter().find(|seen| {
            let theirs = parts(seen);
            let mut differ = own.iter().zip(&theirs).filter(|(a, b)| a != b);
            theirs.len() == own.len()
                && differ
                    .next()
                    .is_some_and(|(a, b)| nearest(a, [*b]).is_some())
                && differ.next().is_none()
        })
    }
}

/// The trust domain and the segments.
fn parts(id: &SpiffeId) -> Vec<&str> {
    std::iter::once(id.trust_domain())
        .chain(id.segments())
        .collect()
}

impl fmt::Display for SeenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::TooMany => write!(f, "more than {MOST} callers"),
        }
    }
}

impl std::error::Error for SeenError {}
