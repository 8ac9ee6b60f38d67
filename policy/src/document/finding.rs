//! Findings while they are being made, and the sink that they go into.

use std::fmt;

use super::{Code, Findings, Source, source::Span};

/// A finding whose lines and columns nobody has counted yet: counting costs a look
/// through the line, and most findings of a file that is wholly wrong are never shown.
/// [`Findings::of`] counts them.
#[derive(Clone, Debug)]
pub struct Finding {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) span: Span,
    pub(super) label: String,
    pub(super) related: Vec<(Span, String)>,
    pub(super) help: Option<String>,
}

/// Where readers put what they find.
#[derive(Debug, Default)]
pub(super) struct Sink {
    kept: Vec<Finding>,
    dropped: usize,
}

impl Finding {
    /// A finding at `span`. The message is lower-case, without a full stop, with the document's
    /// words in backticks.
    #[must_use]
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            span,
            label: String::new(),
            related: Vec::new(),
            help: None,
        }
    }

    /// A word at the place itself.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// What to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Another place that has to do with it.
    #[must_use]
    pub fn related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    /// What kind of finding.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// Where.
    #[must_use]
    pub const fn span(&self) -> Span {
        self.span
    }

    fn order(&self) -> (Span, Code, &str) {
        (self.span, self.code, &self.message)
    }
}

impl Sink {
    /// Findings kept until they are sorted; what is past it is only counted. Files
    /// come in their order, so it is the later ones that are lost.
    const KEPT: usize = 10_000;

    pub(super) fn push(&mut self, finding: Finding) {
        if self.kept.len() < Self::KEPT {
            self.kept.push(finding);
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// Takes back the latest findings for as long as they fit.
    pub(super) fn retract(&mut self, fits: impl Fn(&Finding) -> bool) {
        while self.kept.pop_if(|last| fits(last)).is_some() {}
    }

    /// Takes out what fits.
    pub(super) fn take(&mut self, fits: impl Fn(&Finding) -> bool) -> Self {
        Self {
            kept: self.kept.extract_if(.., |one| fits(one)).collect(),
            dropped: 0,
        }
    }

    /// What was found, by place.
    pub(super) fn into_kept(mut self) -> Vec<Finding> {
        self.kept.sort_by(|a, b| a.order().cmp(&b.order()));
        self.kept.dedup_by(|a, b| a.order() == b.order());
        self.kept
    }

    /// Whether there are so many that nobody will read a suggestion to the next.
    pub(super) fn is_crowded(&self) -> bool {
        /// As many as are shown by default. A suggestion looks through all names of a kind.
        const CROWD: usize = 100;
        self.kept.len() >= CROWD
    }

    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The first `limit` findings by place, without repetition; `None` if there is none.
    pub(super) fn into_findings(mut self, sources: &[Source], limit: usize) -> Option<Findings> {
        self.kept.sort_by(|a, b| a.order().cmp(&b.order()));
        self.kept.dedup_by(|a, b| a.order() == b.order());
        let omitted = self
            .kept
            .len()
            .saturating_sub(limit)
            .saturating_add(self.dropped);
        self.kept.truncate(limit);
        (!self.kept.is_empty()).then(|| Findings::new(&self.kept, omitted, sources))
    }
}

/// Text from a document or a file name, fit for one line of a message: escaped, and
/// cut where nobody reads on.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Characters; the excerpt beside the message shows the whole line.
        const LONGEST: usize = 80;
        for (index, c) in self.0.chars().enumerate() {
            if index == LONGEST {
                return f.write_str("…");
            }
            if c.is_control() || is_hidden(c) {
                write!(f, "{}", c.escape_unicode())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

/// Characters that print as nothing or turn the order of others: bidirectional
/// formatting (Unicode Standard Annex 9), line and paragraph separators, byte order marks.
pub(super) const fn is_hidden(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}'
        | '\u{061c}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}
