//! Findings for a program.

use callgate_policy::document::{Diagnostic, Place};
use serde::Serialize;

pub(super) fn print(found: &[Diagnostic]) -> anyhow::Result<String> {
    let found: Vec<Finding<'_>> = found.iter().map(Finding::from).collect();
    Ok(serde_json::to_string_pretty(&found)? + "\n")
}

/// A finding. Lines and columns are counted from 1, columns in characters; the end is
/// after the last character.
#[derive(Serialize)]
struct Finding<'a> {
    code: &'static str,
    severity: &'static str,
    #[serde(flatten)]
    range: Range<'a>,
    message: &'a str,
    help: Option<&'a str>,
    related: Vec<Related<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Range<'a> {
    file: &'a str,
    line: u32,
    column: u32,
    end_line: u32,
    end_column: u32,
}

/// Another place that has to do with it.
#[derive(Serialize)]
struct Related<'a> {
    #[serde(flatten)]
    range: Range<'a>,
    message: &'a str,
}

impl<'a> From<&'a Diagnostic> for Finding<'a> {
    fn from(found: &'a Diagnostic) -> Self {
        let related = found.related.iter();
        Self {
            code: found.code.as_str(),
            severity: found.severity().as_str(),
            range: Range::from(&found.place),
            message: &found.message,
            help: found.help.as_deref(),
            related: related
                .map(|(place, message)| Related {
                    range: Range::from(place),
                    message,
                })
                .collect(),
        }
    }
}

impl<'a> From<&'a Place> for Range<'a> {
    fn from(place: &'a Place) -> Self {
        Self {
            file: &place.file,
            line: place.start.line,
            column: place.start.column,
            end_line: place.end.line,
            end_column: place.end.column,
        }
    }
}
