//! `exception`: why a rule that should not be there is, and until when.

use super::{
    super::{
        Code,
        finding::{Finding, Quoted, Sink},
        raw::{Exception, Written},
        suggest::all_of,
        time::{TimeError, parse_time},
        yaml::{Entry, Node},
    },
    Fields, Shape, What,
    values::{prose, unquoted},
};

/// What is missing is told as an exception's own fault, so nothing is required here.
pub(super) const SHAPE: Shape = Shape {
    name: "an exception",
    known: &["reason", "ticket", "approvedBy", "expires"],
    required: &[],
};

/// Characters of each text: a paragraph.
const LONGEST: usize = 1_024;

/// Reads the exception of an allow rule.
pub(super) fn read(entry: Entry<'_>, sink: &mut Sink) -> Option<Exception> {
    let what = What::Field("exception");
    let mut fields = Fields::open(entry.value, what, &SHAPE, sink)?;
    let known = SHAPE.known.iter().copied();
    let missing: Vec<&str> = known.filter(|field| fields.lacks(field)).collect();
    if !missing.is_empty() {
        let message = format!("the exception lacks {}", all_of(&missing));
        let finding = Finding::new(Code::IncompleteException, entry.key_span, message);
        sink.push(
            finding.help("an exception has all of `reason`, `ticket`, `approvedBy` and `expires`"),
        );
    }
    for field in ["reason", "ticket", "approvedBy"] {
        if let Some(entry) = fields.take(field) {
            prose(entry.value, What::Field(field), LONGEST, sink);
        }
    }
    expires(fields.take("expires")?.value, sink)
}

/// The finding for an exception of a deny rule.
pub(super) fn on_deny(entry: &Entry<'_>) -> Finding {
    let message = "a deny rule has no exception";
    Finding::new(Code::ExceptionOnDeny, entry.key_span, message)
        .help("an exception lets an allow rule end; to let somebody pass for a time, write an allow rule that the deny rule does not match")
}

fn expires(node: Node<'_>, sink: &mut Sink) -> Option<Exception> {
    let written = unquoted(node, What::Field("expires"), sink)?;
    match parse_time(&written.text) {
        Ok(expires) => Some(Exception {
            expires,
            span: written.span,
        }),
        Err(error) => {
            sink.push(invalid_time(&written, error));
            None
        }
    }
}

/// The finding for a text that is not a point in time.
pub(super) fn invalid_time(written: &Written<'_>, error: TimeError) -> Finding {
    let message = format!(
        "`{}` is not a point in time: {error}",
        Quoted(&written.text)
    );
    let finding = Finding::new(Code::InvalidTime, written.span, message);
    match error.suggestion(&written.text) {
        Some(meant) => finding.label(format!("did you mean `{meant}`?")),
        None => finding.help("write date, time and offset: `2027-02-01T00:00:00Z`"),
    }
}
