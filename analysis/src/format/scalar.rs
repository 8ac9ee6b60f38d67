//! Texts, as they are written.

use callgate_policy::document::syntax::{Style, Text, read_as};

/// Characters of a line, beyond which a condition is broken at `&&` and `||`.
const LINE: usize = 80;

/// A text on one line. What the author left unquoted stays so: the loader has its own word
/// on that. Quotes that nobody needs go.
pub(super) fn inline(text: &Text<'_>, in_brackets: bool) -> String {
    let plain = match text.style {
        Style::Plain => true,
        Style::Quoted | Style::Block => is_plain(&text.text, in_brackets),
    };
    if plain {
        text.text.to_string()
    } else {
        quoted(&text.text)
    }
}

/// A key, which is a text that is always quoted or never.
pub(super) fn key(key: &str, in_brackets: bool) -> String {
    if is_plain(key, in_brackets) {
        key.to_owned()
    } else {
        quoted(key)
    }
}

/// Whether every reader of YAML takes an unquoted `text` for itself (YAML 1.2, section 7.3.3).
fn is_plain(text: &str, in_brackets: bool) -> bool {
    let mut chars = text.chars();
    let first = chars.next();
    let begins = match first {
        None => false,
        Some('-' | '?' | ':') => chars
            .next()
            .is_some_and(|c| !c.is_whitespace() && !in_brackets),
        Some(c) => !"!&*|>'\"%@`#,[]{}=<".contains(c) && !c.is_whitespace(),
    };
    let brackets = in_brackets && text.contains([',', '[', ']', '{', '}']);
    let colon = text.contains(": ") || text.ends_with(':') || (in_brackets && text.contains(":,"));
    begins
        && !brackets
        && !colon
        && !text.contains(" #")
        // Lone indicators: not all readers agree that they are words here.
        && !text.split(' ').any(|word| matches!(word, "" | "-" | "?" | ":"))
        && !text.starts_with("---")
        && !text.starts_with("...")
        && !text.ends_with(char::is_whitespace)
        && text
            .chars()
            .all(|c| c == ' ' || (c.is_ascii_graphic()) || (!c.is_ascii() && c.is_alphanumeric()))
        && read_as(text).is_none()
}

/// In the quotes that need no escapes, if there are such.
fn quoted(text: &str) -> String {
    let is_printable =
        |c: char| c == ' ' || c.is_ascii_graphic() || (!c.is_ascii() && c.is_alphanumeric());
    if text.contains(['"', '\\']) && text.chars().all(is_printable) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if is_printable(c) || !(c.is_control() || c.is_whitespace() || is_invisible(c)) => {
                quoted.push(c);
            }
            c if u32::from(c) <= 0xffff => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

/// What no reader sees: format characters and the like.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A block text: its header, and its lines without indentation.
pub(super) struct Block {
    pub(super) header: String,
    pub(super) lines: Vec<String>,
}

/// The condition of a rule. It is a block, so that quotes and `: ` in it mean nothing to YAML.
pub(super) fn condition(text: &Text<'_>, written: &str) -> Option<Block> {
    let said = text.text.trim();
    if !fits_block(said) {
        return None;
    }
    if said.contains('\n') {
        let lines = said.split('\n').map(str::to_owned).collect();
        return Some(Block {
            header: "|-".to_owned(),
            lines,
        });
    }
    // Where the author broke the line, it stays broken.
    let own: Vec<String> = written
        .lines()
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    let is_own = matches!(text.style, Style::Block | Style::Plain) && own.join(" ") == said;
    let lines = if is_own && own.len() > 1 {
        own
    } else {
        broken(said)
    };
    Some(Block {
        header: ">-".to_owned(),
        lines,
    })
}

/// A text that was a block, as one; `header` is its `|` or `>` with what follows.
pub(super) fn block(text: &Text<'_>, written: &str, header: &str) -> Option<Block> {
    if header.contains(|c: char| c.is_ascii_digit())
        || !fits_block(text.text.trim_end_matches('\n'))
    {
        return None;
    }
    let depth = |line: &str| line.len() - line.trim_start_matches(' ').len();
    // The first line begins where the text does, which is after its indentation.
    let mut lines = written.split('\n');
    let first = lines.next().unwrap_or_default().trim_end_matches('\r');
    let rest: Vec<&str> = lines.map(|line| line.trim_end_matches('\r')).collect();
    let least = rest
        .iter()
        .filter(|line| !line.trim().is_empty())
        .map(|line| depth(line))
        .min();
    let dedented = rest.iter().map(|line| {
        line.get(least.unwrap_or(0)..)
            .unwrap_or_default()
            .to_owned()
    });
    let mut lines: Vec<String> = std::iter::once(first.to_owned()).chain(dedented).collect();
    while lines.last().is_some_and(|line| line.trim().is_empty()) {
        lines.pop();
    }
    // `+` keeps empty lines at the end, which are not to be seen.
    (!header.contains('+')).then(|| Block {
        header: header.to_owned(),
        lines,
    })
}

/// Whether a block text can be written without an indentation indicator or escapes.
fn fits_block(text: &str) -> bool {
    let visible = |c: char| c == '\n' || !(c.is_control() || is_invisible(c));
    let mut lines = text.split('\n');
    !text.is_empty()
        && text.chars().all(visible)
        && !text.starts_with([' ', '\n'])
        && lines.all(|line| !line.ends_with([' ', '\t']))
}

/// A condition in lines, none of which begins or ends with space.
fn broken(text: &str) -> Vec<String> {
    if text.chars().count() <= LINE {
        return vec![text.to_owned()];
    }
    let mut lines = vec![String::new()];
    let mut depth_of_quotes = Quotes::default();
    let words: Vec<&str> = text.split(' ').collect();
    for (index, word) in words.iter().enumerate() {
        // Two spaces in a row are part of a text, and stay on one line.
        let is_between = matches!(*word, "&&" | "||")
            && !depth_of_quotes.open
            && words
                .get(index.wrapping_sub(1))
                .is_some_and(|before| !before.is_empty())
            && words.get(index + 1).is_some_and(|after| !after.is_empty());
        depth_of_quotes.read(word);
        match lines.last_mut() {
            Some(line) if !is_between || line.is_empty() => {
                if index > 0 {
                    line.push(' ');
                }
                line.push_str(word);
            }
            _ => lines.push((*word).to_owned()),
        }
    }
    lines
}

/// Whether a place is within a text of a condition.
#[derive(Default)]
struct Quotes {
    open: bool,
    by: char,
    escaped: bool,
}

impl Quotes {
    fn read(&mut self, word: &str) {
        for c in word.chars() {
            if self.escaped {
                self.escaped = false;
            } else if self.open {
                self.escaped = c == '\\';
                self.open = c != self.by;
            } else if matches!(c, '"' | '\'') {
                (self.open, self.by) = (true, c);
            }
        }
    }
}
