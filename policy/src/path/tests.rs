use proptest::prelude::*;

use super::{CanonicalPath, PathError as E, PathOptions};

const STRICT: PathOptions = PathOptions {
    keep_encoded_slash: false,
    keep_parameters: false,
    ignore_trailing_slash: false,
};
const BOTH: PathOptions = PathOptions {
    keep_encoded_slash: true,
    keep_parameters: true,
    ..STRICT
};

/// What rules see of a path: its segments, and `/` if it ends in one.
fn seen(target: &str, options: PathOptions) -> Result<Vec<String>, E> {
    let path = CanonicalPath::parse(target, options)?;
    let slash = path.has_trailing_slash().then(|| "/".to_owned());
    Ok(path
        .segments()
        .map(ToOwned::to_owned)
        .chain(slash)
        .collect())
}

#[test]
fn reads_segments_decoded() {
    let cases: [(&str, &[&str]); 14] = [
        ("/", &["/"]),
        ("/?/a", &["/"]),
        ("/a", &["a"]),
        ("/a/", &["a", "/"]),
        ("/a/b?c/../%", &["a", "b"]),
        ("/a:b@c!$&'()*+,=-._~", &["a:b@c!$&'()*+,=-._~"]),
        ("/caf%C3%A9", &["caf\u{e9}"]),
        ("/caf%c3%a9/x", &["caf\u{e9}", "x"]),
        ("/caf\u{e9}", &["caf\u{e9}"]),
        ("/a%20b/%7Bc%7d", &["a b", "{c}"]),
        ("/{c}\"<>^`|", &["{c}\"<>^`|"]),
        ("/100%25/%25zz", &["100%", "%zz"]),
        ("/.../..a/.b", &["...", "..a", ".b"]),
        ("/a%23b%3Fc%5Bd", &["a#b?c[d"]),
    ];
    for (target, segments) in cases {
        assert_eq!(seen(target, STRICT).unwrap(), segments, "{target}");
        assert_eq!(seen(target, BOTH).unwrap(), segments, "{target}");
    }
}

#[test]
fn refuses_what_has_two_readings() {
    let needless = |at, found| E::NeedlessEncoding { at, found };
    let cases = [
        ("", E::NotAbsolute),
        ("*", E::NotAbsolute),
        ("a", E::NotAbsolute),
        ("http://h/a", E::NotAbsolute),
        ("//a", E::EmptySegment { at: 1 }),
        ("/a//b", E::EmptySegment { at: 3 }),
        ("/a//", E::EmptySegment { at: 3 }),
        ("/.", E::DotSegment { at: 1 }),
        ("/a/../b", E::DotSegment { at: 3 }),
        ("/a/..?b", E::DotSegment { at: 3 }),
        ("/a\\b", E::Backslash { at: 2 }),
        ("/a%5Cb", E::Backslash { at: 2 }),
        ("/a#b", E::Fragment { at: 2 }),
        ("/a?b#c", E::Fragment { at: 4 }),
        ("/a b", E::Space { at: 2 }),
        ("/a\tb", E::Control { at: 2 }),
        ("/a\u{7f}b", E::Control { at: 2 }),
        ("/a%00b", E::Control { at: 2 }),
        ("/a%0d%0ab", E::Control { at: 2 }),
        ("/a%7Fb", E::Control { at: 2 }),
        ("/x/a\u{85}b", E::Control { at: 3 }),
        ("/x/a%C2%85b", E::Control { at: 3 }),
        ("/a%2Fb", E::EncodedSlash { at: 2 }),
        ("/a;b", E::Parameters { at: 2 }),
        ("/%61", needless(1, 'a')),
        ("/a/%2e%2E", needless(3, '.')),
        ("/a%3Bb", needless(2, ';')),
        ("/a%7eb", needless(2, '~')),
        ("/%252f", E::DoubleEncoding { at: 1 }),
        ("/%25%32f", needless(4, '2')),
        ("/a%", E::BrokenEncoding { at: 2 }),
        ("/a%4", E::BrokenEncoding { at: 2 }),
        ("/a%4g", E::BrokenEncoding { at: 2 }),
        ("/a%+1", E::BrokenEncoding { at: 2 }),
        ("/x/%C3", E::NotUtf8 { at: 3 }),
        ("/%c0%af", E::NotUtf8 { at: 1 }),
        ("/%ed%a0%80", E::NotUtf8 { at: 1 }),
    ];
    for (target, error) in cases {
        assert_eq!(seen(target, STRICT), Err(error), "{target:?}");
        assert!(!error.to_string().ends_with('.'));
    }
}

#[test]
fn keeps_only_what_the_service_keeps() {
    let slash = PathOptions {
        keep_parameters: false,
        ..BOTH
    };
    let parameters = PathOptions {
        keep_encoded_slash: false,
        ..BOTH
    };
    let cases = [
        ("/a%2Fb", slash, Ok(vec!["a/b"])),
        ("/%2f", slash, Ok(vec!["/"])),
        ("/a;b", slash, Err(E::Parameters { at: 2 })),
        ("/a%2F..", slash, Err(E::DotSegment { at: 1 })),
        ("/a%5Cb", slash, Err(E::Backslash { at: 2 })),
        ("/a;b=c;d", parameters, Ok(vec!["a;b=c;d"])),
        ("/a%2Fb", parameters, Err(E::EncodedSlash { at: 2 })),
        ("/;a", parameters, Err(E::EmptySegment { at: 1 })),
        ("/.;a", parameters, Err(E::DotSegment { at: 1 })),
        ("/a/..;a", parameters, Err(E::DotSegment { at: 3 })),
        ("/a%2F..;b", BOTH, Err(E::DotSegment { at: 1 })),
        ("/a%2F;b", BOTH, Err(E::EmptySegment { at: 1 })),
        ("/a;%2Fb", BOTH, Ok(vec!["a;/b"])),
    ];
    for (target, options, expected) in cases {
        let expected = expected.map(|texts| texts.iter().map(ToString::to_string).collect());
        assert_eq!(seen(target, options), expected, "{target}");
    }
}

#[test]
fn length_is_bounded() {
    let longest = format!("/{}", "a".repeat(65_534));
    assert!(seen(&longest, STRICT).is_ok());
    assert!(seen(&format!("{longest}?{longest}"), STRICT).is_ok());
    assert_eq!(seen(&format!("{longest}a"), STRICT), Err(E::TooLong));
}

#[test]
fn other_readings() {
    let cases: [(&str, &[&str]); 6] = [
        ("/a/b", &[]),
        ("/a%2Fb", &["/a/b"]),
        ("/a;x/b;y", &["/a/b"]),
        ("/a;x%2Fb/c", &["/a/b/c", "/a/c", "/a;x/b/c"]),
        ("/%2Fa%2F%2Fb%2F", &["/a/b"]),
        ("/%2F/", &["/"]),
    ];
    for (target, expected) in cases {
        let path = CanonicalPath::parse(target, BOTH).unwrap();
        let mut readings: Vec<_> = path
            .other_readings()
            .iter()
            .map(ToString::to_string)
            .collect();
        readings.sort();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(readings, expected, "{target}");
    }
}

/// Every byte at every place of a path, raw and encoded.
#[test]
fn byte_sweep() {
    let text = "/ab/c/d.e";
    for at in 0..=text.len() {
        for byte in 0..=u8::MAX {
            let raw = char::from(byte).to_string();
            for middle in [
                raw,
                format!("%{byte:02X}"),
                format!("%{byte:02x}"),
                format!("%25{byte:02x}"),
            ] {
                let swept = format!("{}{middle}{}", &text[..at], &text[at..]);
                for options in [STRICT, BOTH] {
                    assert_eq!(
                        seen(&swept, options).ok(),
                        reference(&swept, options),
                        "{swept:?}"
                    );
                }
            }
        }
    }
}

/// The contract again, by pieces rather than by bytes.
fn reference(target: &str, options: PathOptions) -> Option<Vec<String>> {
    let path = target.split('?').next()?;
    let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let control = |c: char| c.is_control() || c == ' ' || c == '\\';
    if target.contains('#') || path.contains(control) || target.len() > 65_535 {
        return None;
    }
    if path.contains(';') && !options.keep_parameters {
        return None;
    }
    let (last, inner) = segments.split_last()?;
    let mut seen: Vec<String> = Vec::new();
    for segment in inner {
        seen.push(reference_segment(segment, options)?);
    }
    match *last {
        "" => seen.push("/".to_owned()),
        last => seen.push(reference_segment(last, options)?),
    }
    Some(seen)
}

fn reference_segment(raw: &str, options: PathOptions) -> Option<String> {
    let mut pieces = raw.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for (rest, piece) in raw
        .match_indices('%')
        .map(|(at, _)| &raw[at + 1..])
        .zip(pieces)
    {
        let digits = rest
            .get(..2)
            .filter(|hex| hex.chars().all(|c| c.is_ascii_hexdigit()))?;
        let byte = u8::from_str_radix(digits, 16).ok()?;
        let needless = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte);
        let twice = rest
            .get(2..4)
            .is_some_and(|hex| hex.chars().all(|c| c.is_ascii_hexdigit()));
        let slash = byte == b'/' && !options.keep_encoded_slash;
        if needless || byte == b'\\' || slash || (byte == b'%' && twice) {
            return None;
        }
        bytes.push(byte);
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    let text = String::from_utf8(bytes).ok()?;
    let name = |piece: &str| piece.split(';').next().unwrap().to_owned();
    let resolved = |piece: &str| ["", ".", ".."].contains(&name(piece).as_str());
    let refused = if text.contains('/') {
        text.split('/')
            .any(|piece| !piece.is_empty() && resolved(piece))
    } else {
        resolved(&text)
    };
    (!refused && !text.chars().any(char::is_control)).then_some(text)
}

fn options() -> impl Strategy<Value = PathOptions> {
    any::<(bool, bool)>().prop_map(|(keep_encoded_slash, keep_parameters)| PathOptions {
        keep_encoded_slash,
        keep_parameters,
        ignore_trailing_slash: false,
    })
}

/// Targets of pieces that matter, so that many are canonical and many just not.
fn target() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-c]{1,2}",
        3 => Just("/".to_owned()),
        1 => prop_oneof![
            Just("."), Just(".."), Just(";"), Just("%2F"), Just("%2f"), Just("%C3%A9"),
            Just("\u{e9}"), Just("%20"), Just("%25"), Just("%"), Just("%61"), Just("{"),
            Just("?"), Just("%5C"), Just("%3B"), Just("41"), Just("%00"), Just("%C2%85"),
        ].prop_map(ToOwned::to_owned),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #[test]
    fn agrees_with_the_reference(target in target(), options in options()) {
        prop_assert_eq!(seen(&target, options).ok(), reference(&target, options));
    }

    #[test]
    fn what_is_canonical_stays(target in target(), options in options()) {
        if let Ok(path) = CanonicalPath::parse(&target, options) {
            let spelled = path.to_string();
            let again = CanonicalPath::parse(&spelled, options).unwrap();
            prop_assert_eq!(&again, &path);
            prop_assert_eq!(again.to_string(), spelled);
        }
    }

    #[test]
    fn no_text_makes_it_panic(target in any::<String>(), options in options()) {
        prop_assert_eq!(seen(&target, options).ok(), reference(&target, options));
    }
}
