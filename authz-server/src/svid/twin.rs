//! The other certificate that an ECDSA signature makes.
//!
//! Of an ECDSA signature (r, s), (r, n − s) is as good (SEC 1, section 4.1): whoever
//! holds a certificate can turn it, without any key, into another one that verifies and
//! has another SHA-256. A list of fingerprints must therefore be asked for both. There
//! is no third: r and s are DER integers, which have one form, the algorithms that are
//! verified here other than ECDSA have one signature for one message and key that
//! outsiders can know, and everything else in a certificate is signed.

/// Order of the group of P-256 (SEC 2, section 2.4.2).
const P256: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
/// Order of the group of P-384 (SEC 2, section 2.5.1).
const P384: [u8; 48] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf,
    0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73,
];

/// 1.2.840.10045.4.3, ecdsa-with-SHA2 (RFC 5758, section 3.2), whatever the hash.
const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

/// The DER of every other certificate that an outsider can make of `der`. The curve of
/// its issuer is not in it, so there may be one for each, of which one verifies.
pub(super) fn twins(der: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let parts = Parts::of(der);
    [&P256[..], &P384[..]].into_iter().filter_map(move |order| {
        let parts = parts.as_ref()?;
        let s = difference(order, parts.s)?;
        let pair = [parts.r, &integer(&s)].concat();
        let signature = [&[0], &*tlv(SEQUENCE, &pair)].concat();
        let whole = [parts.signed, &tlv(BIT_STRING, &signature)].concat();
        Some(tlv(SEQUENCE, &whole))
    })
}

/// A certificate with an ECDSA signature.
struct Parts<'d> {
    /// `tbsCertificate` and `signatureAlgorithm`, as they stand.
    signed: &'d [u8],
    /// The whole of r.
    r: &'d [u8],
    /// The value of s.
    s: &'d [u8],
}

impl<'d> Parts<'d> {
    /// RFC 5280, section 4.1, and RFC 3279, section 2.2.3.
    fn of(der: &'d [u8]) -> Option<Self> {
        let (content, []) = read(SEQUENCE, der)? else {
            return None;
        };
        let (_, after_tbs) = read(SEQUENCE, content)?;
        let (algorithm, after_algorithm) = read(SEQUENCE, after_tbs)?;
        let (oid, _) = read(OBJECT_IDENTIFIER, algorithm)?;
        if !oid.starts_with(ECDSA) {
            return None;
        }
        let (bits, []) = read(BIT_STRING, after_algorithm)? else {
            return None;
        };
        let (pair, []) = read(SEQUENCE, bits.strip_prefix(&[0])?)? else {
            return None;
        };
        let (_, after_r) = read(INTEGER, pair)?;
        let (s, []) = read(INTEGER, after_r)? else {
            return None;
        };
        Some(Self {
            signed: before(content, after_algorithm)?,
            r: before(pair, after_r)?,
            s,
        })
    }
}

/// What stands in `whole` before its end `rest`.
fn before<'d>(whole: &'d [u8], rest: &[u8]) -> Option<&'d [u8]> {
    whole.get(..whole.len().checked_sub(rest.len())?)
}

/// The content of one element of that type, and what follows it.
fn read(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.strip_prefix(&[tag])?.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        // At most 16 KiB are read as a certificate.
        0x81 | 0x82 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = length
                .iter()
                .fold(0, |all, byte| all << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = length.iter().skip_while(|byte| **byte == 0);
    let significant: Vec<u8> = significant.copied().collect();
    let mut der = vec![tag];
    match (content.len(), u8::try_from(significant.len())) {
        (0..=0x7f, _) => der.extend(length.last()),
        (_, Ok(bytes)) => der.extend([0x80 | bytes].iter().chain(&significant)),
        // A length has at most eight bytes.
        (_, Err(_)) => {}
    }
    der.extend_from_slice(content);
    der
}

/// The element for a number that is not negative.
fn integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let digits = number.get(zeros..).unwrap_or_default();
    match digits.first() {
        Some(0..=0x7f) => tlv(INTEGER, digits),
        _ => tlv(INTEGER, &[&[0], digits].concat()),
    }
}

/// `order` − `s`, if s is one of the numbers from 1 to below `order`.
fn difference(order: &[u8], s: &[u8]) -> Option<Vec<u8>> {
    let zeros = s.iter().take_while(|byte| **byte == 0).count();
    let digits = s.get(zeros..)?;
    let padding = order.len().checked_sub(digits.len())?;
    let mut result = order.to_vec();
    let mut borrow = false;
    let subtrahend = std::iter::repeat_n(&0, padding).chain(digits);
    let subtrahend: Vec<u8> = subtrahend.copied().collect();
    for (digit, less) in result.iter_mut().zip(&subtrahend).rev() {
        let (once, under) = digit.overflowing_sub(*less);
        let (twice, again) = once.overflowing_sub(u8::from(borrow));
        *digit = twice;
        borrow = under || again;
    }
    let is_between = !borrow && !digits.is_empty() && result.iter().any(|byte| *byte != 0);
    is_between.then_some(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_right() {
        let order = &[0x01, 0x00, 0x05][..];
        for (s, expected) in [
            (&[0x01][..], Some(vec![0x01, 0x00, 0x04])),
            (&[0x00, 0x06], Some(vec![0x00, 0xff, 0xff])),
            (&[0x01, 0x00, 0x04], Some(vec![0x00, 0x00, 0x01])),
            (&[0x01, 0x00, 0x05], None),
            (&[0x01, 0x00, 0x06], None),
            (&[0x00, 0x01, 0x00, 0x00, 0x00], None),
            (&[0x00], None),
            (&[], None),
        ] {
            assert_eq!(difference(order, s), expected, "{s:x?}");
        }
    }

    #[test]
    fn numbers_have_one_form() {
        for (number, der) in [
            (&[0x7f][..], &[2, 1, 0x7f][..]),
            (&[0x80], &[2, 2, 0, 0x80]),
            (&[0, 0, 0x12, 0x34], &[2, 2, 0x12, 0x34]),
            (&[0, 0], &[2, 1, 0]),
        ] {
            assert_eq!(integer(number), der, "{number:x?}");
        }
        assert_eq!(tlv(4, &[0; 0x7f]).get(..2), Some(&[4, 0x7f][..]));
        assert_eq!(tlv(4, &[0; 0x80]).get(..3), Some(&[4, 0x81, 0x80][..]));
        assert_eq!(
            tlv(4, &[0; 0x1234]).get(..4),
            Some(&[4, 0x82, 0x12, 0x34][..])
        );
    }

    #[test]
    fn nonsense_has_no_twin() {
        for der in [
            &[][..],
            &[0x30],
            &[0x30, 0],
            &[0x30, 0x82, 1],
            &[0x30, 3, 0x30, 1, 0],
        ] {
            assert_eq!(twins(der).count(), 0, "{der:x?}");
        }
    }

    /// What an outsider might try besides: other encodings of the same numbers, numbers
    /// beyond the group, other lengths, bytes behind.
    #[test]
    fn no_third_certificate_verifies() {
        use crate::{
            mint::{Authority, now},
            svid::{PeerCertificate, Verifier},
        };
        let root = Authority::root("root");
        let verifier = Verifier::new([root.bundle("example.org")]);
        let leaf = root.leaf(|_| {}).der().to_vec();
        let verifies = |der: Vec<u8>| {
            let leaf = PeerCertificate::from_der(der);
            verifier.verify(&leaf, Vec::new, now()).is_ok()
        };
        let parts = Parts::of(&leaf).unwrap();
        let (r, []) = read(INTEGER, parts.r).unwrap() else {
            panic!("more than r")
        };
        let sealed = |pair: Vec<u8>, unused: u8| {
            let bits = [&[unused], &*tlv(SEQUENCE, &pair)].concat();
            tlv(SEQUENCE, &[parts.signed, &tlv(BIT_STRING, &bits)].concat())
        };
        let (r_der, s_der) = (integer(r), integer(parts.s));
        let zero = |number: &[u8]| tlv(INTEGER, &[&[0, 0], number].concat());
        let beyond = |number: &[u8]| {
            // n + s: n − (n − s), with n added instead.
            let mut sum = vec![0; P256.len() + 1];
            let padded = [vec![0; 33 - number.len()], number.to_vec()].concat();
            let order = [&[0], &P256[..]].concat();
            let mut carry = 0_u16;
            for at in (0..sum.len()).rev() {
                let digit = u16::from(padded[at]) + u16::from(order[at]) + carry;
                sum[at] = digit.to_le_bytes()[0];
                carry = digit >> 8;
            }
            integer(&sum)
        };
        assert!(verifies(sealed([&*r_der, &s_der].concat(), 0)), "itself");
        let (content, _) = read(SEQUENCE, &leaf).unwrap();
        let long = content.len().to_be_bytes();
        for (name, der) in [
            ("r with a zero", sealed([&*zero(r), &s_der].concat(), 0)),
            (
                "s with a zero",
                sealed([&*r_der, &zero(parts.s)].concat(), 0),
            ),
            (
                "s beyond the group",
                sealed([&*r_der, &beyond(parts.s)].concat(), 0),
            ),
            (
                "r beyond the group",
                sealed([&*beyond(r), &s_der].concat(), 0),
            ),
            ("exchanged", sealed([&*s_der, &r_der].concat(), 0)),
            (
                "a third number",
                sealed([&*r_der, &s_der, &s_der].concat(), 0),
            ),
            ("unused bits", sealed([&*r_der, &s_der].concat(), 1)),
            ("bytes behind", [&*leaf, &[0]].concat()),
            (
                "a longer length",
                [&[SEQUENCE, 0x83], &long[long.len() - 3..], content].concat(),
            ),
            (
                "an indefinite length",
                [&[SEQUENCE, 0x80], content, &[0, 0]].concat(),
            ),
        ] {
            assert!(!verifies(der), "{name}");
        }
    }
}
