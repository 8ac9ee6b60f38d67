//! URI name constraints (RFC 5280 section 4.2.1.10), which webpki does not know.
//!
//! webpki refuses every path on which a CA constrains URIs and somebody below has
//! one, and everybody here has one. So the URI subtrees of a CA are taken out of
//! its `nameConstraints` before webpki sees it and are applied here, to the same
//! path; every other constraint stays webpki's.
//!
//! They are taken out by changing one byte each, the tag of the subtree's base, from
//! `uniformResourceIdentifier` to `registeredID`: nothing moves, and webpki, which
//! does not know that form either, still refuses a certificate that carries one.
//! [`super::path`] sees to it that signatures are checked over the bytes that were
//! signed.

use std::ops::Range;

/// `permittedSubtrees`, and `excludedSubtrees` with the next one.
const PERMITTED: u8 = 0xa0;
const EXCLUDED: u8 = 0xa1;
const SEQUENCE: u8 = 0x30;
const URI: u8 = 0x86;
const REGISTERED_ID: u8 = 0x88;

/// What one CA says about the hosts of URIs below it. For a SPIFFE ID the host is
/// the trust domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct UriConstraints {
    permitted: Vec<Subtree>,
    excluded: Vec<Subtree>,
}

/// A `nameConstraints` that cannot be read. Its CA vouches for nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Subtree {
    /// `example.org`: that host.
    Host(String),
    /// `.example.org`: every host below it, but not itself.
    Below(String),
}

/// One DER element: where its tag stands, and its value.
struct Element {
    tag: u8,
    at: usize,
    value: Range<usize>,
}

impl UriConstraints {
    /// Takes the URI subtrees out of `constraints`, the content of a
    /// `NameConstraints` sequence. None if there are none.
    ///
    /// # Errors
    /// If it is not DER, or a URI subtree is not the name of a host or a domain.
    pub(super) fn take(constraints: &mut [u8]) -> Result<Option<Self>, Malformed> {
        let mut found = Self::default();
        let mut uris = Vec::new();
        for list in elements(constraints, 0..constraints.len())? {
            let subtrees = match list.tag {
                PERMITTED => &mut found.permitted,
                EXCLUDED => &mut found.excluded,
                _ => return Err(Malformed),
            };
            for subtree in elements(constraints, list.value)? {
                let base = element(constraints, &subtree.value)?;
                if subtree.tag != SEQUENCE {
                    return Err(Malformed);
                }
                if base.tag == URI {
                    let text = constraints.get(base.value).ok_or(Malformed)?;
                    subtrees.push(Subtree::parse(text)?);
                    uris.push(base.at);
                }
            }
        }
        for at in &uris {
            *constraints.get_mut(*at).ok_or(Malformed)? = REGISTERED_ID;
        }
        Ok((!uris.is_empty()).then_some(found))
    }

    /// The same for the value of the extension, the sequence itself.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub(super) fn take_from_extension(value: &mut [u8]) -> Result<Option<Self>, Malformed> {
        let sequence = element(value, &(0..value.len()))?;
        if sequence.tag != SEQUENCE || sequence.value.end != value.len() {
            return Err(Malformed);
        }
        Self::take(value.get_mut(sequence.value).ok_or(Malformed)?)
    }

    /// Whether a certificate below may carry `uri`. One without a host, or with an
    /// address for a host, may not (RFC 5280 section 4.2.1.10).
    pub(super) fn admit(&self, uri: &str) -> bool {
        let Some(host) = host(uri) else {
            return false;
        };
        let within = |subtrees: &[Subtree]| subtrees.iter().any(|subtree| subtree.contains(host));
        !within(&self.excluded) && (self.permitted.is_empty() || within(&self.permitted))
    }
}

impl Subtree {
    fn parse(text: &[u8]) -> Result<Self, Malformed> {
        let text = str::from_utf8(text).map_err(|_| Malformed)?;
        let (domain, below) = match text.strip_prefix('.') {
            Some(domain) => (domain, true),
            None => (text, false),
        };
        // `spiffe://example.org` as a constraint is a mistake that reads like sense.
        if !is_name(domain) {
            return Err(Malformed);
        }
        let domain = domain.to_ascii_lowercase();
        Ok(if below {
            Self::Below(domain)
        } else {
            Self::Host(domain)
        })
    }

    fn contains(&self, host: &str) -> bool {
        match self {
            Self::Host(name) => host.eq_ignore_ascii_case(name),
            Self::Below(domain) => host
                .len()
                .checked_sub(domain.len())
                .and_then(|split| host.split_at_checked(split))
                .is_some_and(|(labels, rest)| {
                    rest.eq_ignore_ascii_case(domain) && labels.len() > 1 && labels.ends_with('.')
                }),
        }
    }
}

/// The host of `scheme://user@host:port/…`, if it has one that is a name.
fn host(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = match host.split_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) => return None,
        None => host,
    };
    is_name(host).then_some(host)
}

/// Labels of letters, digits, `-` and `_`, as trust domains have them, and not the
/// dotted digits of an address.
fn is_name(host: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    host.len() <= 255 && host.split('.').all(label) && host.parse::<std::net::Ipv4Addr>().is_err()
}

/// The elements that fill `range`, one behind the other.
fn elements(der: &[u8], range: Range<usize>) -> Result<Vec<Element>, Malformed> {
    let mut found = Vec::new();
    let mut rest = range;
    while !rest.is_empty() {
        let element = element(der, &rest)?;
        rest.start = element.value.end;
        found.push(element);
    }
    Ok(found)
}

/// The element that `range` begins with. Lengths of up to two bytes; a certificate
/// has no room for more.
fn element(der: &[u8], range: &Range<usize>) -> Result<Element, Malformed> {
    let bytes = der.get(range.clone()).ok_or(Malformed)?;
    let (tag, header, length) = match *bytes {
        [tag, length @ 0..=0x7f, ..] => (tag, 2, usize::from(length)),
        [tag, 0x81, length, ..] => (tag, 3, usize::from(length)),
        [tag, 0x82, high, low, ..] => (tag, 4, usize::from(u16::from_be_bytes([high, low]))),
        _ => return Err(Malformed),
    };
    let start = range.start + header;
    let end = start + length;
    if end > range.end {
        return Err(Malformed);
    }
    Ok(Element {
        tag,
        at: range.start,
        value: start..end,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
        let mut der = vec![tag, u8::try_from(value.len()).unwrap()];
        der.extend_from_slice(value);
        der
    }

    fn subtrees(tag: u8, bases: &[(u8, &str)]) -> Vec<u8> {
        let subtrees = bases
            .iter()
            .flat_map(|(tag, text)| tlv(SEQUENCE, &tlv(*tag, text.as_bytes())));
        tlv(tag, &subtrees.collect::<Vec<_>>())
    }

    fn taken(permitted: &[(u8, &str)], excluded: &[(u8, &str)]) -> UriConstraints {
        let mut der = subtrees(PERMITTED, permitted);
        der.extend(subtrees(EXCLUDED, excluded));
        UriConstraints::take(&mut der).unwrap().unwrap()
    }

    #[test]
    fn hosts_are_held_against_permitted_and_excluded_subtrees() {
        type Hosts = &'static [&'static str];
        let cases: [(&str, Hosts, Hosts, &str, bool); 13] = [
            (
                "the host",
                &["example.org"],
                &[],
                "spiffe://example.org/a",
                true,
            ),
            (
                "another",
                &["example.org"],
                &[],
                "spiffe://example.com/a",
                false,
            ),
            (
                "below a host",
                &["example.org"],
                &[],
                "spiffe://a.example.org/a",
                false,
            ),
            (
                "below a domain",
                &[".example.org"],
                &[],
                "spiffe://a.example.org/a",
                true,
            ),
            (
                "the domain itself",
                &[".example.org"],
                &[],
                "spiffe://example.org/a",
                false,
            ),
            (
                "a longer label",
                &[".example.org"],
                &[],
                "spiffe://aexample.org/a",
                false,
            ),
            (
                "one of two",
                &["a.example", "b.example"],
                &[],
                "spiffe://b.example/a",
                true,
            ),
            (
                "excluded",
                &[],
                &["example.org"],
                "spiffe://example.org/a",
                false,
            ),
            (
                "not excluded",
                &[],
                &["example.org"],
                "spiffe://example.com/a",
                true,
            ),
            (
                "both",
                &["example.org"],
                &["example.org"],
                "spiffe://example.org/a",
                false,
            ),
            (
                "letters of any case",
                &["Example.ORG"],
                &[],
                "spiffe://example.org/a",
                true,
            ),
            ("no host", &[], &["example.org"], "urn:example.org:a", false),
            (
                "an address",
                &[],
                &["example.org"],
                "https://127.0.0.1/a",
                false,
            ),
        ];
        for (name, permitted, excluded, uri, expected) in cases {
            let with_tag = |texts: &[&'static str]| -> Vec<(u8, &'static str)> {
                texts.iter().map(|text| (URI, *text)).collect()
            };
            let constraints = taken(&with_tag(permitted), &with_tag(excluded));
            assert_eq!(constraints.admit(uri), expected, "{name}");
        }
    }

    #[test]
    fn only_the_tags_of_uri_subtrees_change() {
        let dns = (0x82, "example.org");
        let mut der = subtrees(PERMITTED, &[dns, (URI, "a.example"), (URI, "b.example")]);
        let before = der.clone();
        let constraints = UriConstraints::take(&mut der).unwrap().unwrap();
        assert_eq!(constraints.permitted.len(), 2);
        assert_eq!(
            der,
            subtrees(
                PERMITTED,
                &[
                    dns,
                    (REGISTERED_ID, "a.example"),
                    (REGISTERED_ID, "b.example")
                ],
            )
        );
        assert_eq!(before.len(), der.len());

        let mut others = subtrees(EXCLUDED, &[dns]);
        let before = others.clone();
        assert_eq!(UriConstraints::take(&mut others), Ok(None));
        assert_eq!(others, before);
    }

    #[test]
    fn constraints_that_cannot_be_read_are_errors() {
        let cases = [
            ("empty host", subtrees(PERMITTED, &[(URI, "")])),
            ("a dot", subtrees(PERMITTED, &[(URI, ".")])),
            (
                "a URI",
                subtrees(PERMITTED, &[(URI, "spiffe://example.org")]),
            ),
            ("an address", subtrees(PERMITTED, &[(URI, "10.0.0.1")])),
            ("another list", subtrees(0xa2, &[(URI, "example.org")])),
            ("cut short", vec![PERMITTED, 9, SEQUENCE]),
            ("no base", tlv(PERMITTED, &[SEQUENCE, 0])),
        ];
        for (name, mut der) in cases {
            assert_eq!(UriConstraints::take(&mut der), Err(Malformed), "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut der in prop::collection::vec(any::<u8>(), 0..64), uri in "\\PC{0,40}") {
            if let Ok(Some(constraints)) = UriConstraints::take(&mut der) {
                let _ = constraints.admit(&uri);
            }
            let _ = host(&uri);
        }
    }
}
