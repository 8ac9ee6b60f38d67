//! Revocations, read apart from policies.
//!
//! A set of policies is taken whole or not at all. Of revocations, every one that is in
//! order counts, whatever stands beside it: somebody's slip in a policy must not keep a
//! leaked key alive. What is not in order is told.

use std::fmt;

use super::{
    Code, Diagnostic, Findings, LoadOptions, Source, compile,
    finding::{Finding, Sink},
    raw::Documents,
    read,
    source::{Span, offset},
    yaml::{self, Node, Value},
};
use crate::{SpiffeId, Timestamp, TrustDomain};

/// The kind, as documents write it.
const KIND: &str = "Revocation";

/// Findings that are kept of one file; nobody reads more of a log.
const FINDINGS: usize = 100;

/// A `Revocation` document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// `metadata.name`.
    pub name: String,
    /// What is revoked.
    pub revoked: Revoked,
    /// `spec.reason`.
    pub reason: String,
    /// `spec.revokedBy`.
    pub revoked_by: String,
    /// `spec.expires`: from then on it is without effect.
    pub expires: Option<Timestamp>,
    /// The file, as it was named to the loader.
    pub file: String,
    /// The line at which the document begins, counted from 1.
    pub line: u32,
}

/// What a [`Revocation`] is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Revoked {
    /// A workload, whatever certificate it shows.
    Identity(SpiffeId),
    /// The same by its path, in the mesh's own trust domain.
    OwnIdentity(String),
    /// One certificate, by the SHA-256 of its DER.
    Certificate([u8; 32]),
}

/// What one file says of revocations.
#[derive(Clone, Debug, Default)]
pub struct LoadedRevocations {
    /// Those that are in order.
    pub revocations: Vec<Revocation>,
    /// What is wrong with others, and with parts of the file that may hold some; the
    /// first 100.
    pub findings: Vec<Diagnostic>,
}

impl Revocation {
    /// Whether it has effect at `now`.
    #[must_use]
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }

    /// The identity that is revoked, in full, if it is one and if it is known to which
    /// trust domain (`own` is the mesh's) a relative one belongs.
    #[must_use]
    pub fn identity(&self, own: Option<&TrustDomain>) -> Option<SpiffeId> {
        match &self.revoked {
            Revoked::Identity(id) => Some(id.clone()),
            Revoked::OwnIdentity(path) => SpiffeId::parse(&format!("spiffe://{}{path}", own?)).ok(),
            Revoked::Certificate(_) => None,
        }
    }
}

/// Whether a file of this text can hold a revocation at all. YAML writes the word as
/// it reads, or with escapes; most files have neither.
#[must_use]
pub fn may_hold_revocations(text: &str) -> bool {
    text.contains(KIND) || text.contains('\\')
}

/// Whether a file has revocations and nothing else: then it is no part of a set of
/// policies, and a change in it is none of theirs.
#[must_use]
pub fn holds_only_revocations(source: &Source, options: &LoadOptions) -> bool {
    if !may_hold_revocations(source.text()) {
        return false;
    }
    let parsed = yaml::parse(0, source, &options.limits, &mut Sink::default());
    parsed.whole && !parsed.documents.is_empty() && parsed.documents.iter().all(is_revocation)
}

/// Reads the revocations of one file, each document by itself: what cannot be parsed
/// in one is no matter to the next. Other documents are passed over.
#[must_use]
pub fn load_revocations(source: &Source, options: &LoadOptions) -> LoadedRevocations {
    let mut loaded = LoadedRevocations::default();
    for (skipped, text) in parts(source.text()) {
        if may_hold_revocations(text) {
            let part = Source::new(source.name(), text);
            let is_damaged =
                source.not_utf8_at().is_some() && text.contains(char::REPLACEMENT_CHARACTER);
            if is_damaged {
                loaded.tell(&[not_utf8(text)], &part, skipped);
            } else {
                read_part(&part, skipped, options, &mut loaded);
            }
        }
    }
    loaded
}

/// Adds what `source` says, which begins after line `skipped` of its file. If it cannot
/// be parsed to its end, nothing in it counts.
fn read_part(source: &Source, skipped: u32, options: &LoadOptions, loaded: &mut LoadedRevocations) {
    let mut sink = Sink::default();
    let parsed = yaml::parse(0, source, &options.limits, &mut sink);
    if !parsed.whole {
        // Of a document of another kind, others tell.
        if source.text().contains(KIND) {
            loaded.tell(&sink.into_kept(), source, skipped);
        }
        return;
    }
    let extents = extents(&parsed.documents, parsed.whole);
    for (node, extent) in parsed.documents.into_iter().zip(extents) {
        if is_revocation(&node) {
            let mut own = sink.take(|finding| extent.holds(finding.span));
            let revocation = compiled(node, source, options, &mut own);
            if own.is_empty() {
                loaded.revocations.extend(revocation.map(|one| Revocation {
                    line: one.line.saturating_add(skipped),
                    ..one
                }));
            }
            loaded.tell(&own.into_kept(), source, skipped);
        }
    }
}

impl LoadedRevocations {
    fn tell(&mut self, found: &[Finding], source: &Source, skipped: u32) {
        let left = FINDINGS.saturating_sub(self.findings.len());
        let found = found.get(..left.min(found.len())).unwrap_or_default();
        let findings = Findings::new(found, 0, std::slice::from_ref(source));
        let diagnostics = findings.diagnostics().iter().cloned();
        self.findings
            .extend(diagnostics.map(|one| one.further_down(skipped)));
    }
}

/// The revocation of one document; what is wrong with it goes into `sink`.
fn compiled(
    node: Node<'_>,
    source: &Source,
    options: &LoadOptions,
    sink: &mut Sink,
) -> Option<Revocation> {
    let mut documents = Documents::default();
    read::document(node, &mut documents, sink);
    compile::revocations(&documents, std::slice::from_ref(source), options, sink).pop()
}

/// The finding for bytes that stand as U+FFFD in `text`.
fn not_utf8(text: &str) -> Finding {
    let start = offset(text.find(char::REPLACEMENT_CHARACTER).unwrap_or_default());
    let span = Span {
        file: 0,
        start,
        end: start,
    };
    Finding::new(Code::NotUtf8, span, "the file is not UTF-8").help("save it as UTF-8")
}

/// Where findings of each document can stand: to the next document, or to the end.
fn extents(documents: &[Node<'_>], whole: bool) -> Vec<Span> {
    let starts = documents.iter().map(|node| node.span.start);
    let next = starts.skip(1).map(Some).chain([None]);
    let extent = |(node, next): (&Node<'_>, Option<u32>)| Span {
        end: match next {
            Some(next) => next.saturating_sub(1),
            None if whole => u32::MAX,
            None => node.span.end,
        },
        ..node.span
    };
    documents.iter().zip(next).map(extent).collect()
}

/// Takes revocations out of `documents`, and what was found of them out of `sink`.
pub(super) fn pass_over(documents: &mut Vec<Node<'_>>, whole: bool, sink: &mut Sink) {
    if documents.iter().any(is_revocation) {
        let extents = extents(documents, whole);
        for (_, extent) in documents
            .iter()
            .zip(extents)
            .filter(|(node, _)| is_revocation(node))
        {
            drop(sink.take(|finding| extent.holds(finding.span)));
        }
        documents.retain(|node| !is_revocation(node));
    }
}

fn is_revocation(node: &Node<'_>) -> bool {
    let Value::Map(entries) = &node.value else {
        return false;
    };
    entries.iter().any(|entry| {
        entry.key == "kind" && matches!(&entry.value.value, Value::Text(text) if text.text == KIND)
    })
}

/// The documents of a text, each with the number of lines before it. A line that begins
/// with `---` is a marker wherever it stands, within a quoted or a block text too
/// (YAML 1.2, section 9.1.2), so nothing has to be parsed to find them; and nothing is,
/// because the parser takes one for text after a lone `>`.
fn parts(text: &str) -> impl Iterator<Item = (u32, &str)> {
    let mut rest = Some((0_u32, text));
    std::iter::from_fn(move || {
        let (skipped, text) = rest?;
        let (mut at, mut lines) = (0_usize, 0_u32);
        for line in text.split_inclusive('\n') {
            if at > 0 && is_marker(line) {
                break;
            }
            at = at.saturating_add(line.len());
            lines = lines.saturating_add(1);
        }
        let (part, after) = text.split_at_checked(at)?;
        rest = (!after.is_empty()).then_some((skipped.saturating_add(lines), after));
        Some((skipped, part))
    })
}

fn is_marker(line: &str) -> bool {
    line.strip_prefix("---")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\n', '\r']))
}

impl fmt::Display for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(id) => id.fmt(f),
            Self::OwnIdentity(path) => f.write_str(path),
            Self::Certificate(sha256) => {
                f.write_str("sha256:")?;
                sha256.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
