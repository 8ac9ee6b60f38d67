//! One segment of a path: decoding, encoding, and what must not stand in it.

use std::{borrow::Cow, fmt};

use super::{PathError, PathOptions};

/// What a raw byte of a request target is to the reader.
#[derive(Clone, Copy)]
pub(super) enum Class {
    /// It stands for itself. What RFC 3986 would have encoded (`{`, `"`, …) has one
    /// reading all the same, and proxies pass it on: it is the character itself.
    Plain,
    Percent,
    /// Part of a character beyond ASCII.
    Wide,
    Slash,
    Query,
    /// Ambiguous, unless the service keeps it.
    Refused,
}

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated when compiled, and bounded by the length"
)]
static CLASSES: [Class; 256] = {
    let mut classes = [Class::Refused; 256];
    let mut byte = 0;
    while byte < classes.len() {
        classes[byte] = match byte {
            0x25 => Class::Percent,
            0x2f => Class::Slash,
            0x3f => Class::Query,
            // Controls and space, `#`, `;` and `\`.
            0x00..=0x20 | 0x7f | 0x23 | 0x3b | 0x5c => Class::Refused,
            0x80.. => Class::Wide,
            _ => Class::Plain,
        };
        byte += 1;
    }
    classes
};

#[expect(
    clippy::indexing_slicing,
    reason = "there is a class for each of the 256 bytes"
)]
pub(super) fn class(byte: u8) -> Class {
    CLASSES[usize::from(byte)]
}

/// How many bytes at the beginning stand for themselves.
pub(super) fn plain_bytes(bytes: &[u8]) -> usize {
    let other = |byte: &u8| !matches!(class(*byte), Class::Plain);
    bytes.iter().position(other).unwrap_or(bytes.len())
}

/// Whether a byte that is [`Class::Refused`] is one that the service keeps.
pub(super) const fn check_byte(byte: u8, options: PathOptions, at: usize) -> Result<(), PathError> {
    match byte {
        b';' if options.keep_parameters => Ok(()),
        b';' => Err(PathError::Parameters { at }),
        b' ' => Err(PathError::Space { at }),
        b'\\' => Err(PathError::Backslash { at }),
        b'#' => Err(PathError::Fragment { at }),
        _ => Err(PathError::Control { at }),
    }
}

/// RFC 3986 section 3.3: what stands for itself in a segment.
const fn is_pchar(byte: u8) -> bool {
    matches!(
        byte,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9'
            | b'-' | b'.' | b'_' | b'~'
            | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
            | b':' | b'@'
    )
}

/// Decodes a raw segment, which stands at byte `at` of the request target.
pub(crate) fn decode(
    raw: &str,
    options: PathOptions,
    at: usize,
) -> Result<Cow<'_, str>, PathError> {
    let (mut encoded, mut wide) = (false, false);
    for (offset, byte) in raw.bytes().enumerate() {
        match class(byte) {
            Class::Plain | Class::Slash | Class::Query => {}
            Class::Percent => encoded = true,
            Class::Wide => wide = true,
            Class::Refused => check_byte(byte, options, at + offset)?,
        }
    }
    let decoded = if encoded {
        Cow::Owned(percent_decode(raw, options, at)?)
    } else {
        Cow::Borrowed(raw)
    };
    // ASCII ones are refused byte by byte; this is for U+0080 to U+009F.
    if (encoded || wide) && decoded.chars().any(char::is_control) {
        return Err(PathError::Control { at });
    }
    Ok(decoded)
}

fn percent_decode(raw: &str, options: PathOptions, at: usize) -> Result<String, PathError> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let at = at + raw.len() - after.len() - 1;
            let (value, after) = octet(after).ok_or(PathError::BrokenEncoding { at })?;
            check_octet(value, after, options, at)?;
            decoded.push(value);
            rest = after;
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).map_err(|_| PathError::NotUtf8 { at })
}

/// Two hex digits (RFC 3986 section 2.1, either case) and what follows them.
fn octet(text: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (&[high, low], after) = text.split_first_chunk::<2>()?;
    let value = digit(high)? * 16 + digit(low)?;
    Some((u8::try_from(value).ok()?, after))
}

/// Refuses an encoded octet that some reader would treat otherwise than its
/// neighbours do; `after` is the raw text that follows.
fn check_octet(value: u8, after: &[u8], options: PathOptions, at: usize) -> Result<(), PathError> {
    match value {
        b'/' if options.keep_encoded_slash => Ok(()),
        b'/' => Err(PathError::EncodedSlash { at }),
        b'\\' => Err(PathError::Backslash { at }),
        b'%' if octet(after).is_some() => Err(PathError::DoubleEncoding { at }),
        0..=0x1f | 0x7f => Err(PathError::Control { at }),
        _ if is_pchar(value) => Err(PathError::NeedlessEncoding {
            at,
            found: char::from(value),
        }),
        _ => Ok(()),
    }
}

/// Refuses a segment that a server would resolve away, in any reading of it.
pub(crate) fn check(decoded: &str, options: PathOptions, at: usize) -> Result<(), PathError> {
    if !options.keeps_any() || !decoded.contains(['/', ';']) {
        return check_name(decoded, at);
    }
    // Empty pieces around a kept `/` are dropped by readers that split there.
    let pieces = decoded.split('/').filter(|piece| !piece.is_empty());
    for piece in pieces {
        let name = piece.split(';').next().unwrap_or_default();
        check_name(name, at)?;
    }
    Ok(())
}

pub(super) const fn check_name(name: &str, at: usize) -> Result<(), PathError> {
    match name.as_bytes() {
        [] => Err(PathError::EmptySegment { at }),
        [b'.'] | [b'.', b'.'] => Err(PathError::DotSegment { at }),
        _ => Ok(()),
    }
}

/// Writes a decoded segment in its one raw spelling.
pub(super) fn encode(decoded: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut rest = decoded;
    loop {
        let plain = rest.bytes().position(|byte| !is_pchar(byte));
        let (raw, others) = rest.split_at(plain.unwrap_or(rest.len()));
        f.write_str(raw)?;
        let Some(first) = others.chars().next() else {
            return Ok(());
        };
        let (encoded, behind) = others.split_at(first.len_utf8());
        for byte in encoded.bytes() {
            write!(f, "%{byte:02X}")?;
        }
        rest = behind;
    }
}
