//! Documents in one form, with every comment kept.
//!
//! ```text
//!  text ──Syntax──► nodes and comments ──print──► text ──Syntax──► the same, or nothing
//! ```
//!
//! The order of documents, fields and entries is the author's, and so is the choice
//! between `[a, b]` and one entry a line, as long as it fits. What is made one: indentation,
//! quotes, empty lines, line ends, and `when`, which is a block. What comes out is read
//! again before anybody sees it: if it does not say the same, the text is refused.

mod print;
mod same;
mod scalar;

use std::fmt;

use callgate_policy::document::{
    Findings, Limits, Source,
    syntax::{Syntax, Value},
};

/// Why a text stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// It is not read in one way only: what `callgate check` finds in it first.
    Findings(Findings),
    /// A line, counted from 1, that begins with `%`: a directive, which no document needs.
    Directive {
        /// Where.
        line: u32,
    },
    /// What would come out does not say the same.
    NotTheSame,
}

/// The text of `source` in the one form.
///
/// # Errors
/// If the text cannot be read, or would not say the same any more.
pub fn format(source: &Source, limits: &Limits) -> Result<String, FormatError> {
    let syntax = Syntax::parse(0, source, limits).map_err(FormatError::Findings)?;
    if let Some(line) = directive(source, &syntax) {
        return Err(FormatError::Directive { line });
    }
    let text = print::print(source, &syntax);
    let printed = Source::new(source.name(), text.as_str());
    let again = Syntax::parse(0, &printed, limits).map_err(|_| FormatError::NotTheSame)?;
    if same::say_the_same(&syntax, &again) {
        Ok(text)
    } else {
        Err(FormatError::NotTheSame)
    }
}

/// The first line that is a directive (YAML 1.2, section 6.8). In a text that begins at the
/// margin `%` may begin a line as well; so much is refused with it.
fn directive(source: &Source, syntax: &Syntax<'_>) -> Option<u32> {
    let within = |at: usize| {
        let mut documents = syntax.documents.iter();
        documents
            .any(|node| !matches!(node.value, Value::Refused) && node.span.bytes().contains(&at))
    };
    let mut at = 0;
    for (number, line) in (1..).zip(source.text().split_inclusive('\n')) {
        if line.starts_with('%') && !within(at) {
            return Some(number);
        }
        at += line.len();
    }
    None
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Findings(findings) => findings.fmt(f),
            Self::Directive { line } => write!(
                f,
                "line {line} is a directive of YAML, which no document needs"
            ),
            Self::NotTheSame => {
                f.write_str("it cannot be written in another form without a change in what it says")
            }
        }
    }
}

impl std::error::Error for FormatError {}

#[cfg(test)]
mod tests;
