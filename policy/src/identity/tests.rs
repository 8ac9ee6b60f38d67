use proptest::prelude::*;

use super::{MAX_ID_BYTES, SpiffeId, SpiffeIdError as E, TrustDomain};

#[test]
fn takes_what_the_standard_takes() {
    let domain = "d".repeat(255);
    let longest = format!("spiffe://a/{}", "p".repeat(MAX_ID_BYTES - 11));
    let cases = [
        (
            "spiffe://example.org/ns/shop/sa/web",
            "example.org",
            "/ns/shop/sa/web",
        ),
        ("spiffe://a/b", "a", "/b"),
        ("spiffe://0-_.9/A.z-_", "0-_.9", "/A.z-_"),
        ("spiffe://example.org/...", "example.org", "/..."),
        ("spiffe://example.org/.a/a.", "example.org", "/.a/a."),
        (&format!("spiffe://{domain}/x"), &domain, "/x"),
        (&longest, "a", longest.strip_prefix("spiffe://a").unwrap()),
    ];
    for (text, domain, path) in cases {
        let id = SpiffeId::parse(text).unwrap();
        assert_eq!(
            (id.as_str(), id.trust_domain(), id.path()),
            (text, domain, path)
        );
        assert!(id.segments().eq(path.split('/').skip(1)), "{text}");
    }
}

#[test]
fn names_the_clause_that_is_broken() {
    let (long_domain, long) = ("d".repeat(256), "p".repeat(MAX_ID_BYTES));
    let character = |at, found| E::PathCharacter { at, found };
    let domain_character = |at, found| E::TrustDomainCharacter { at, found };
    let cases = [
        ("", E::Empty),
        (
            &format!("spiffe://a/{long}"),
            E::TooLong {
                len: MAX_ID_BYTES + 11,
            },
        ),
        ("example.org/a", E::Scheme),
        ("SPIFFE://example.org/a", E::Scheme),
        ("spiffe:/example.org/a", E::Scheme),
        ("https://example.org/a", E::Scheme),
        (" spiffe://example.org/a", E::Scheme),
        ("spiffe://", E::TrustDomainEmpty),
        ("spiffe:///a", E::TrustDomainEmpty),
        (
            &format!("spiffe://{long_domain}/x"),
            E::TrustDomainTooLong { len: 256 },
        ),
        ("spiffe://Example.org/a", E::TrustDomainUpperCase { at: 9 }),
        ("spiffe://exam ple/a", domain_character(13, ' ')),
        ("spiffe://ex\u{e4}mple/a", domain_character(11, '\u{e4}')),
        ("spiffe://example.org\0/a", domain_character(20, '\0')),
        ("spiffe://user@example.org/a", E::UserInfo { at: 13 }),
        ("spiffe://user:pw@example.org/a", E::UserInfo { at: 16 }),
        ("spiffe://example.org:443/a", E::Port { at: 20 }),
        ("spiffe://example%2eorg/a", E::PercentEncoding { at: 16 }),
        ("spiffe://example.org/a%20b", E::PercentEncoding { at: 22 }),
        ("spiffe://example.org?a", E::Query { at: 20 }),
        ("spiffe://example.org/a?b", E::Query { at: 22 }),
        ("spiffe://example.org#a", E::Fragment { at: 20 }),
        ("spiffe://example.org/a#b", E::Fragment { at: 22 }),
        ("spiffe://example.org", E::PathMissing),
        ("spiffe://example.org/", E::TrailingSlash),
        ("spiffe://example.org/a/", E::TrailingSlash),
        ("spiffe://example.org//a", E::EmptySegment { at: 21 }),
        ("spiffe://example.org/a//b", E::EmptySegment { at: 23 }),
        ("spiffe://example.org/./a", E::DotSegment { at: 21 }),
        ("spiffe://example.org/a/..", E::DotSegment { at: 23 }),
        ("spiffe://example.org/a~b", character(22, '~')),
        ("spiffe://example.org/a b", character(22, ' ')),
        ("spiffe://example.org/a\u{e4}", character(22, '\u{e4}')),
        ("spiffe://example.org/a\n", character(22, '\n')),
    ];
    for (text, error) in cases {
        assert_eq!(SpiffeId::parse(text), Err(error), "{text:?}");
        if let Some(at) = error.position() {
            assert!(text.is_char_boundary(at) && at <= text.len(), "{text:?}");
        }
        let told = error.to_string();
        assert!(!told.ends_with('.') && !told.is_empty(), "{told}");
    }
}

/// Every character up to U+00FF at every place, replacing and inserted.
#[test]
fn byte_sweep() {
    let text = "spiffe://ab.c/de/f";
    for at in 0..=text.len() {
        for found in (0..=255).map(char::from) {
            for replaced in 0..=usize::from(at < text.len()) {
                let swept = format!("{}{found}{}", &text[..at], &text[at + replaced..]);
                assert_eq!(SpiffeId::parse(&swept).is_ok(), is_id(&swept), "{swept:?}");
            }
        }
    }
}

/// The standard again, by pieces rather than by bytes.
fn is_id(text: &str) -> bool {
    let Some((domain, path)) = text
        .strip_prefix("spiffe://")
        .and_then(|t| t.split_once('/'))
    else {
        return false;
    };
    let common = |c: char| c.is_ascii_digit() || "._-".contains(c);
    let domain_ok = domain.chars().all(|c| c.is_ascii_lowercase() || common(c));
    let segment_ok = |segment: &str| {
        !["", ".", ".."].contains(&segment)
            && segment
                .chars()
                .all(|c| c.is_ascii_alphabetic() || common(c))
    };
    let lengths = !domain.is_empty() && domain.len() <= 255 && text.len() <= MAX_ID_BYTES;
    lengths && domain_ok && path.split('/').all(segment_ok)
}

proptest! {
    #[test]
    fn ids_round_trip(text in "spiffe://[a-z0-9._-]{1,12}(/[a-zA-Z0-9._-]{1,8}){1,5}") {
        let parsed = SpiffeId::parse(&text);
        prop_assert_eq!(parsed.is_ok(), is_id(&text));
        if let Ok(id) = parsed {
            prop_assert_eq!(id.to_string(), text);
            let rebuilt = format!("spiffe://{}{}", id.trust_domain(), id.path());
            prop_assert_eq!(SpiffeId::parse(&rebuilt).unwrap(), id.clone());
            let domain = TrustDomain::parse(id.trust_domain()).unwrap();
            prop_assert_eq!(domain.as_str(), id.trust_domain());
        }
    }

    #[test]
    fn nothing_else_gets_through(text in "(spiffe://)?[a-cA-C./:@%?#~ _-]{0,16}") {
        prop_assert_eq!(SpiffeId::parse(&text).is_ok(), is_id(&text));
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        prop_assert_eq!(SpiffeId::parse(&text).is_ok(), is_id(&text));
    }
}
