//! The query of a request, one parameter at a time.
//!
//! Read as `application/x-www-form-urlencoded` (WHATWG URL, section 5.1), which is what
//! services take it for; where they differ, nothing is read.

use super::{Input, Unreadable, scene::LONGEST_INPUT};

/// The parameter `name` of the request target `target`.
pub(super) fn parameter(target: &str, name: &str) -> Input {
    let Some((_, query)) = target.split_once('?') else {
        return Input::Absent;
    };
    let mut values = query.split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let is_it = !pair.is_empty() && decode(key).is_ok_and(|key| key == name.as_bytes());
        is_it.then_some(value)
    });
    if query.contains(';') {
        return Input::Unreadable(Unreadable::Semicolon);
    }
    match (values.next(), values.next()) {
        (None, _) => Input::Absent,
        (Some(_), Some(_)) => Input::Unreadable(Unreadable::Repeated),
        (Some(value), None) => value_of(value),
    }
}

fn value_of(written: &str) -> Input {
    let text = decode(written).and_then(|value| {
        let text = String::from_utf8(value).map_err(|_| Unreadable::NotUtf8)?;
        if text.len() > LONGEST_INPUT {
            return Err(Unreadable::TooLong);
        }
        Ok(text)
    });
    text.map_or_else(Input::Unreadable, Input::Text)
}

/// Undoes percent-encoding, and takes `+` for a space.
fn decode(written: &str) -> Result<Vec<u8>, Unreadable> {
    let mut decoded = Vec::with_capacity(written.len().min(LONGEST_INPUT));
    let mut bytes = written.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
                let value = digit().zip(digit()).map(|(high, low)| high * 16 + low);
                let value = value.and_then(|value| u8::try_from(value).ok());
                value.ok_or(Unreadable::BrokenEncoding)?
            }
            other => other,
        });
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::{super::Unreadable as U, *};

    #[test]
    fn parameters() {
        let text = |text: &str| Input::Text(text.to_owned());
        let no = Input::Unreadable;
        let cases = [
            ("/a", Input::Absent),
            ("/a?", Input::Absent),
            ("/a?kk=1&K=2", Input::Absent),
            ("/a?k=1", text("1")),
            ("/a?x=2&k=a%20b+c&&", text("a b c")),
            ("/a?%6b=caf%C3%A9", text("café")),
            ("/a?k", text("")),
            ("/a?k=a=b?c", text("a=b?c")),
            ("/a?k=1&k=1", no(U::Repeated)),
            ("/a?k=1&%6B=2", no(U::Repeated)),
            ("/a?k=%ff", no(U::NotUtf8)),
            ("/a?k=%zz", no(U::BrokenEncoding)),
            ("/a?k=%4", no(U::BrokenEncoding)),
            ("/a?x=1;k=2", no(U::Semicolon)),
        ];
        for (target, expected) in cases {
            assert_eq!(parameter(target, "k"), expected, "{target}");
        }
        let long = format!("/a?k={}", "x".repeat(LONGEST_INPUT + 1));
        assert_eq!(parameter(&long, "k"), no(U::TooLong));
        assert_eq!(
            parameter(&long[..long.len() - 1], "k"),
            text(&"x".repeat(LONGEST_INPUT))
        );
    }
}
