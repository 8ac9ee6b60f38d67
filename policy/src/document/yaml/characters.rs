//! What a file may consist of at all.

use crate::document::{
    Code, Limits, Source,
    finding::{Finding, is_hidden},
    source::{Span, offset},
};

/// The finding that keeps a file from being parsed, if there is one.
pub(super) fn check(file: u32, source: &Source, limits: &Limits) -> Option<Finding> {
    let at = |start: u32, bytes: usize| Span {
        file,
        start,
        end: start.saturating_add(offset(bytes)),
    };
    let bytes = source.text().len();
    if bytes > limits.file_bytes {
        let message = format!(
            "the file has {bytes} bytes, more than the {} allowed",
            limits.file_bytes
        );
        return Some(
            Finding::new(Code::FileTooLarge, at(0, 0), message)
                .help("split it: documents of one set may be in many files"),
        );
    }
    if let Some(start) = source.not_utf8_at() {
        return Some(not_utf8(source, at(start, 0)));
    }
    let (start, c) = first_hidden(source.text())?;
    Some(hidden(at(offset(start), c.len_utf8()), c))
}

fn not_utf8(source: &Source, span: Span) -> Finding {
    let help = if source.text().contains('\0') {
        "it looks like UTF-16; save it as UTF-8"
    } else {
        "save it as UTF-8"
    };
    Finding::new(Code::NotUtf8, span, "the file is not UTF-8")
        .label("the first byte that is not")
        .help(help)
}

fn hidden(span: Span, c: char) -> Finding {
    let code = u32::from(c);
    let message = format!("the hidden character U+{code:04X} ({})", name(c));
    let help = if c == '\r' {
        "end lines with a line feed; YAML would begin a new line here, where an editor may not"
    } else {
        "remove it; in a quoted text it can be written as an escape, such as \"\\u202e\""
    };
    Finding::new(Code::HiddenCharacter, span, message)
        .label("here")
        .help(help)
}

/// The first character that a reader of the file does not see: controls other than
/// tab and line breaks (YAML 1.2, section 5.1, forbids most of them too), a carriage
/// return that ends no line, and what [`is_hidden`] lists.
fn first_hidden(text: &str) -> Option<(usize, char)> {
    let suspicious = |b: u8| (b < b' ' && b != b'\n' && b != b'\t') || b >= 0x7f;
    // Most files have none of these bytes but carriage returns and a few letters.
    let mut from = 0;
    while let Some(found) = text
        .as_bytes()
        .get(from..)?
        .iter()
        .position(|&b| suspicious(b))
    {
        let start = from.saturating_add(found);
        let rest = text.get(start..)?;
        let c = rest.chars().next()?;
        let lone_return = c == '\r' && !rest.starts_with("\r\n");
        if lone_return || (c.is_control() && c != '\r') || is_hidden(c) {
            return Some((start, c));
        }
        from = start.saturating_add(c.len_utf8());
    }
    None
}

const fn name(c: char) -> &'static str {
    match c {
        '\0' => "null",
        '\r' => "a carriage return without a line feed",
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => "it changes the direction of text",
        '\u{200e}' | '\u{200f}' | '\u{061c}' => "a direction mark",
        '\u{2028}' | '\u{2029}' => "a line or paragraph separator",
        '\u{feff}' => "a byte order mark that is not at the beginning",
        _ => "a control character",
    }
}
