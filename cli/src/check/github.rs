//! Findings as annotations: what GitHub Actions takes from the output of a step as
//! workflow commands.

use callgate_policy::document::Diagnostic;

pub(super) fn print(found: &[Diagnostic]) -> String {
    found.iter().map(annotation).collect()
}

fn annotation(found: &Diagnostic) -> String {
    let place = &found.place;
    let mut message = found.message.clone();
    if !found.label.is_empty() {
        message = format!("{message} ({})", found.label);
    }
    if let Some(help) = &found.help {
        message = format!("{message}\nhelp: {help}");
    }
    format!(
        "::{} file={},line={},endLine={},col={},endColumn={},title={}::{}\n",
        found.severity(),
        property(&place.file),
        place.start.line,
        place.end.line,
        place.start.column,
        // Theirs is the last column; a range without a character has its first.
        place.end.column.saturating_sub(1).max(place.start.column),
        found.code,
        data(&message),
    )
}

/// What would end a command, as the runner's own toolkit escapes it.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
