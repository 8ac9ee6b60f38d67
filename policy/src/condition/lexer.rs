//! From text to tokens (CEL language definition, "Syntax").

use std::ops::Range;

use super::{ConditionFinding as Finding, ConditionFindingKind as Kind};

/// A token and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) range: Range<usize>,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    Word(String),
    Text(String),
    /// As written: only with a sign before it is it known whether it fits.
    Int(u64),
    /// A literal of a type that no part of a request has.
    Foreign(&'static str),
    /// An operator, a bracket, a dot, a comma.
    Sign(&'static str),
    End,
}

/// Longer signs before those that they begin with.
const SIGNS: [&str; 26] = [
    "&&", "||", "==", "!=", "<=", ">=", "(", ")", "[", "]", "{", "}", ".", ",", "<", ">", "+", "-",
    "*", "/", "%", "!", "?", ":", "=", "&",
];

/// Cuts `text` into tokens; the last one is the end.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Finding> {
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        at += rest.len() - rest.trim_start_matches([' ', '\n', '\r', '\t']).len();
        let token = token(text, at)?;
        at = token.range.end;
        let end = token.kind == TokenKind::End;
        tokens.push(token);
        if end {
            return Ok(tokens);
        }
    }
}

fn token(text: &str, at: usize) -> Result<Token, Finding> {
    let rest = text.get(at..).unwrap_or_default();
    let made = |kind, len: usize| Token {
        kind,
        range: at..at + len,
    };
    let Some(first) = rest.chars().next() else {
        return Ok(made(TokenKind::End, 0));
    };
    if let Some((prefix, quote)) = opening(rest) {
        return literal(at, rest, prefix, quote);
    }
    if is_word(first) && !first.is_ascii_digit() {
        let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let word = rest.get(..len).unwrap_or_default();
        return Ok(made(TokenKind::Word(word.to_owned()), len));
    }
    if first.is_ascii_digit() {
        return number(at, rest);
    }
    if rest.starts_with("//") {
        let finding = Finding::new(Kind::Syntax, at..at + 2, "a comment within a condition");
        return Err(finding.help(
            "write it as a `#` comment above `when`: where lines are folded, it would swallow the rest of the condition",
        ));
    }
    match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        Some(sign) => Ok(made(TokenKind::Sign(sign), sign.len())),
        None => Err(Finding::new(
            Kind::Syntax,
            at..at + first.len_utf8(),
            format!("`{}` is not expected here", first.escape_debug()),
        )),
    }
}

const fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// A whole number, in decimal or as `0x1F`.
fn number(at: usize, rest: &str) -> Result<Token, Finding> {
    let len = rest
        .find(|c: char| !is_word(c) && c != '.')
        .unwrap_or(rest.len());
    let written = rest.get(..len).unwrap_or_default();
    let range = at..at + len;
    let hexadecimal = written.strip_prefix("0x").or(written.strip_prefix("0X"));
    let parsed = match hexadecimal {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => written.parse(),
    };
    let kind = match parsed {
        Ok(number) => TokenKind::Int(number),
        Err(_) if written.ends_with(['u', 'U']) => TokenKind::Foreign("a uint"),
        Err(_) if written.contains(['.', 'e', 'E']) => TokenKind::Foreign("a double"),
        Err(_) => {
            let message = format!("`{written}` is not a whole number of 64 bits");
            return Err(Finding::new(Kind::Syntax, range, message));
        }
    };
    Ok(Token { kind, range })
}

/// The letters before a text and its quote.
fn opening(rest: &str) -> Option<(&str, char)> {
    let quote = rest.find(['"', '\''])?;
    let prefix = rest.get(..quote)?;
    let known = ["", "r", "b", "rb", "br"];
    known
        .contains(&prefix.to_ascii_lowercase().as_str())
        .then(|| Some((prefix, rest.get(quote..)?.chars().next()?)))?
}

fn literal(at: usize, rest: &str, prefix: &str, quote: char) -> Result<Token, Finding> {
    let start = prefix.len() + 1;
    let body = rest.get(start..).unwrap_or_default();
    if body.starts_with(&format!("{quote}{quote}")) {
        let finding = Finding::new(Kind::Syntax, at..at + start + 2, "a text in triple quotes");
        return Err(finding.help("write it in one pair of quotes"));
    }
    let raw = prefix.contains(['r', 'R']);
    let mut text = String::new();
    let mut characters = body.char_indices();
    while let Some((place, c)) = characters.next() {
        let here = at + start + place;
        match c {
            c if c == quote => {
                let kind = if prefix.contains(['b', 'B']) {
                    TokenKind::Foreign("bytes")
                } else {
                    TokenKind::Text(text)
                };
                let range = at..here + 1;
                return Ok(Token { kind, range });
            }
            '\n' | '\r' => break,
            '\\' if !raw => {
                let rest = body.get(place + 1..).unwrap_or_default();
                let (escaped, len) = escape(rest).ok_or_else(|| bad_escape(here, rest))?;
                text.push(escaped);
                for _ in 0..len {
                    characters.next();
                }
            }
            c => text.push(c),
        }
    }
    let finding = Finding::new(Kind::Syntax, at..at + start, "a text that is not closed");
    Err(finding.help(format!("it needs another `{quote}` on its line")))
}

fn bad_escape(at: usize, rest: &str) -> Finding {
    let seen: String = rest.chars().take(1).collect();
    let range = at..at + 1 + seen.len();
    let finding = Finding::new(
        Kind::Syntax,
        range,
        format!("`\\{}` is no escape", seen.escape_debug()),
    );
    finding.help("write `\\\\` for a backslash, or a raw text such as `r\"\\d+\"`")
}

/// What an escape stands for, and how many characters it has after the backslash.
fn escape(rest: &str) -> Option<(char, usize)> {
    let first = rest.chars().next()?;
    let code = |start: usize, len: usize, radix| {
        let digits = rest.get(start..start + len)?;
        let all = digits.chars().all(|c| c.is_digit(radix));
        let code = all.then(|| u32::from_str_radix(digits, radix).ok())??;
        Some((char::from_u32(code)?, start + len))
    };
    let simple = |c| Some((c, 1));
    match first {
        'a' => simple('\u{7}'),
        'b' => simple('\u{8}'),
        'f' => simple('\u{c}'),
        'n' => simple('\n'),
        'r' => simple('\r'),
        't' => simple('\t'),
        'v' => simple('\u{b}'),
        '\\' | '?' | '"' | '\'' | '`' => simple(first),
        'x' | 'X' => code(1, 2, 16),
        'u' => code(1, 4, 16),
        'U' => code(1, 8, 16),
        '0'..='3' => code(0, 3, 8),
        _ => None,
    }
}
