//! Findings, as they are shown: what must be changed, where, and how.

use std::{fmt, sync::Arc};

use super::{
    Code, Position, Severity, Source,
    finding::{Finding, Quoted, Sink},
    source::Span,
};

/// Something in a document that must be changed before the set loads. Prints as one
/// line, `orders.yaml:9:5: error[CG103]: unknown field …`; [`Findings::render`] shows
/// the same with an excerpt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of finding.
    pub code: Code,
    /// What is wrong: lower-case, no full stop, the document's words in backticks.
    pub message: String,
    /// Where.
    pub place: Place,
    /// A word at that place, for an excerpt; may be empty.
    pub label: String,
    /// Other places that have to do with it, each with a word.
    pub related: Vec<(Place, String)>,
    /// What to do about it.
    pub help: Option<String>,
}

/// A range in a file, within one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named to the loader.
    pub file: Arc<str>,
    /// The first character.
    pub start: Position,
    /// After the last character.
    pub end: Position,
    pub(super) span: Span,
}

/// Every finding in a set of documents, in the order of files and lines; as many as
/// [`Limits::findings`](super::Limits) allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    diagnostics: Vec<Diagnostic>,
    omitted: usize,
}

impl Findings {
    /// The findings, first things first. Never empty.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// How many more there are than are kept here.
    #[must_use]
    pub const fn omitted(&self) -> usize {
        self.omitted
    }

    /// The first `limit` of `found` by place, without repetition; `None` if there is none.
    ///
    /// `sources` are those that the findings' spans are about.
    #[must_use]
    pub fn of(
        found: impl IntoIterator<Item = Finding>,
        sources: &[Source],
        limit: usize,
    ) -> Option<Self> {
        let mut sink = Sink::default();
        found.into_iter().for_each(|one| sink.push(one));
        sink.into_findings(sources, limit)
    }

    pub(super) fn new(found: &[Finding], omitted: usize, sources: &[Source]) -> Self {
        let diagnostics = found
            .iter()
            .filter_map(|one| diagnostic(one, sources))
            .collect();
        Self {
            diagnostics,
            omitted,
        }
    }
}

impl Diagnostic {
    /// How much it matters.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }

    /// The same, of a text that stands `lines` further down in its file.
    pub(super) fn further_down(mut self, lines: u32) -> Self {
        let places = self.related.iter_mut().map(|(place, _)| place);
        for place in places.chain([&mut self.place]) {
            place.start.line = place.start.line.saturating_add(lines);
            place.end.line = place.end.line.saturating_add(lines);
        }
        self
    }
}

/// `None` only for a finding about a source that was not given, which nothing makes.
fn diagnostic(finding: &Finding, sources: &[Source]) -> Option<Diagnostic> {
    let related = finding.related.iter();
    let related = related.filter_map(|(span, label)| Some((place(*span, sources)?, label.clone())));
    Some(Diagnostic {
        code: finding.code,
        message: finding.message.clone(),
        place: place(finding.span, sources)?,
        label: finding.label.clone(),
        related: related.collect(),
        help: finding.help.clone(),
    })
}

/// `span` as far as its first line goes: a caret under a whole document tells nothing.
fn place(span: Span, sources: &[Source]) -> Option<Place> {
    let source = sources.get(span.file as usize)?;
    let span = source.first_line(span);
    Some(Place {
        file: source.name().into(),
        start: source.position(span.start),
        end: source.position(span.end),
        span,
    })
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}",
            Quoted(&self.file),
            self.start.line,
            self.start.column
        )
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            code,
            message,
            ..
        } = self;
        write!(f, "{place}: {}[{code}]: {message}", self.severity())
    }
}

/// One line for each finding.
impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{diagnostic}")?;
        }
        if self.omitted > 0 {
            write!(f, "\nand {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for Findings {}
