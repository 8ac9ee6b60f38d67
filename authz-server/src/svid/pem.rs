//! PEM to DER (RFC 7468), as proxies send it: plain, or percent-encoded as a whole.

use std::{borrow::Cow, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Bytes of a leaf as it is sent. An SVID is 700 to 2,000 bytes of PEM; an RSA one
/// with many DNS names, percent-encoded, stays below half of this.
const MAX_LEAF_BYTES: usize = 32 * 1024;
/// Bytes of a whole chain as it is sent: Envoy takes 60 KiB of request headers by
/// default, and the chain travels in one.
const MAX_CHAIN_BYTES: usize = 64 * 1024;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Why a text is not the certificate that it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PemError {
    /// More bytes than the limit.
    TooLarge,
    /// A `%` without two hex digits, or not UTF-8 once decoded.
    Encoding,
    /// No block labelled `CERTIFICATE`, an unfinished one, or text around it.
    NoBlock,
    /// A second block where one belongs.
    SeveralBlocks,
    /// The block's content is not base64.
    Base64,
}

/// The DER of a text that is exactly one certificate and nothing else.
///
/// # Errors
/// Whatever else the text is, and if it is over 32 KiB.
pub(super) fn one_certificate(text: &str) -> Result<Vec<u8>, PemError> {
    if text.len() > MAX_LEAF_BYTES {
        return Err(PemError::TooLarge);
    }
    let text = percent_decoded(text)?;
    let (der, rest) = block(text.trim_ascii_start())?;
    match rest.trim_ascii() {
        "" => Ok(der),
        more if more.starts_with(BEGIN) => Err(PemError::SeveralBlocks),
        _ => Err(PemError::NoBlock),
    }
}

/// The DER of the certificates of a chain, in their order, `limit` at most; those
/// behind are not looked at.
///
/// # Errors
/// If the text is over 64 KiB, or something between the blocks read is no
/// certificate.
pub(super) fn certificates(text: &str, limit: usize) -> Result<Vec<Vec<u8>>, PemError> {
    if text.len() > MAX_CHAIN_BYTES {
        return Err(PemError::TooLarge);
    }
    let text = percent_decoded(text)?;
    let mut rest = text.trim_ascii();
    let mut found = Vec::new();
    while !rest.is_empty() && found.len() < limit {
        let (der, behind) = block(rest)?;
        found.push(der);
        rest = behind.trim_ascii_start();
    }
    Ok(found)
}

/// The DER of every certificate of a file, which may carry other text between its
/// blocks (RFC 7468 section 5.2), but no block of another kind: a key that got into
/// a trust bundle is better found than ignored.
///
/// # Errors
/// At the first block that is not a whole certificate.
pub(crate) fn certificates_of_file(text: &str) -> Result<Vec<Vec<u8>>, PemError> {
    let mut rest = text;
    let mut found = Vec::new();
    while let Some(begin) = rest.find("-----BEGIN ") {
        let (der, behind) = block(rest.get(begin..).unwrap_or_default())?;
        found.push(der);
        rest = behind;
    }
    Ok(found)
}

/// The block that `text` begins with, and what is behind it.
fn block(text: &str) -> Result<(Vec<u8>, &str), PemError> {
    let body = text.strip_prefix(BEGIN).ok_or(PemError::NoBlock)?;
    // Base64 has no `-`, so the first one begins the end.
    let end = body.find('-').ok_or(PemError::NoBlock)?;
    let (body, rest) = body.split_at_checked(end).ok_or(PemError::NoBlock)?;
    let rest = rest.strip_prefix(END).ok_or(PemError::NoBlock)?;
    let mut base64 = Vec::with_capacity(body.len());
    for line in body.split('\n') {
        base64.extend_from_slice(line.trim_ascii().as_bytes());
    }
    // Strict about padding and trailing bits, so that one certificate has few texts.
    let der = STANDARD.decode(&base64).map_err(|_| PemError::Base64)?;
    if der.is_empty() {
        return Err(PemError::NoBlock);
    }
    Ok((der, rest))
}

/// PEM itself never holds a `%`, so one says that the text is encoded. A `+` stays
/// one: this is RFC 3986 encoding, not that of forms.
fn percent_decoded(text: &str) -> Result<Cow<'_, str>, PemError> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || {
                    let digit = char::from(bytes.next()?).to_digit(16)?;
                    u8::try_from(digit).ok()
                };
                let (high, low) = digit().zip(digit()).ok_or(PemError::Encoding)?;
                high << 4 | low
            }
            other => other,
        });
    }
    String::from_utf8(decoded)
        .map(Cow::Owned)
        .map_err(|_| PemError::Encoding)
}

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "too large",
            Self::Encoding => "broken percent-encoding",
            Self::NoBlock => "not a `CERTIFICATE` block",
            Self::SeveralBlocks => "more than one `CERTIFICATE` block",
            Self::Base64 => "a `CERTIFICATE` block that is not base64",
        })
    }
}

impl std::error::Error for PemError {}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    fn pem(der: &[u8]) -> String {
        let mut text = format!("{BEGIN}\n");
        for line in STANDARD.encode(der).as_bytes().chunks(64) {
            text.push_str(str::from_utf8(line).unwrap());
            text.push('\n');
        }
        text + END + "\n"
    }

    #[test]
    fn what_is_not_exactly_one_certificate_is_refused() {
        let one = pem(&[7; 100]);
        let cases = [
            ("empty", String::new(), PemError::NoBlock),
            ("two blocks", one.repeat(2), PemError::SeveralBlocks),
            ("text before", format!("x{one}"), PemError::NoBlock),
            ("text behind", format!("{one}x"), PemError::NoBlock),
            (
                "another label",
                one.replace("CERTIFICATE", "X509 CRL"),
                PemError::NoBlock,
            ),
            ("no end", one.replace(END, ""), PemError::NoBlock),
            ("empty block", format!("{BEGIN}\n{END}"), PemError::NoBlock),
            (
                "no base64",
                format!("{BEGIN}\n!!!!\n{END}"),
                PemError::Base64,
            ),
            (
                "header lines",
                format!("{BEGIN}\nA: b\n\nAAAA\n{END}"),
                PemError::Base64,
            ),
            (
                "broken encoding",
                format!("{one}%2").replace(' ', "%20"),
                PemError::Encoding,
            ),
            ("encoded not UTF-8", "%ff".to_owned(), PemError::Encoding),
            ("large", one.repeat(400), PemError::TooLarge),
        ];
        for (name, text, expected) in cases {
            assert_eq!(one_certificate(&text), Err(expected), "{name}");
        }
    }

    #[test]
    fn a_chain_is_read_up_to_its_limit() {
        let chain = [pem(b"leaf"), pem(b"one"), pem(b"two")].concat();
        assert_eq!(
            certificates(&chain, 2).unwrap(),
            [b"leaf".to_vec(), b"one".to_vec()]
        );
        assert_eq!(certificates(&chain, 9).unwrap().len(), 3);
        assert_eq!(certificates("", 9).unwrap(), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn a_file_may_explain_itself_but_holds_certificates_only() {
        let file = format!("# roots\n{}Subject: two\n{}", pem(b"a"), pem(b"b"));
        assert_eq!(certificates_of_file(&file).unwrap().len(), 2);
        let key = file + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert_eq!(certificates_of_file(&key), Err(PemError::NoBlock));
    }

    proptest! {
        #[test]
        fn plain_and_encoded_text_give_the_same_bytes(der in prop::collection::vec(any::<u8>(), 1..2_000)) {
            let text = pem(&der);
            prop_assert_eq!(&one_certificate(&text), &Ok(der.clone()));
            let encoded = utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string();
            prop_assert_eq!(&one_certificate(&encoded), &Ok(der));
        }

        #[test]
        fn no_text_panics(text in "(-----BEGIN CERTIFICATE-----|-----END CERTIFICATE-----|%|[ -~\\n]|\\PC){0,40}") {
            let _ = one_certificate(&text);
            let _ = certificates(&text, 4);
            let _ = certificates_of_file(&text);
        }
    }
}
