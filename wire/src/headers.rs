//! Header names that the filter, the server and the called services agree on.
//!
//! Names compare without case and with `_` read as `-`: CGI and WSGI fold both to
//! one variable, so `x_callgate_caller` would otherwise pass for ours.

/// The verified caller's SPIFFE ID, set on a call that goes on.
pub const CALLER: &str = "x-callgate-caller";
/// The SPIFFE ID of who passed the call on for that caller, set if somebody did.
pub const FORWARDER: &str = "x-callgate-forwarder";
/// The decision's id (a ULID), set on a call that goes on and on a refusal.
pub const DECISION: &str = "x-callgate-decision";
/// Why a call is refused.
pub const REASON: &str = "x-callgate-reason";
/// Envoy's description of the client certificate; see [`crate::xfcc`].
pub const CLIENT_CERT: &str = "x-forwarded-client-cert";

/// The beginning of every name that only Callgate may set.
const PREFIX: &[u8] = b"x-callgate-";

/// Names by which a framework lets a caller replace the method or the URL that
/// the proxy saw and that was decided: Rack, Express and Symfony
/// (`x-http-method-override`), OData (`x-http-method`), IBM (`x-method-override`),
/// IIS, Zend and old Symfony (`x-original-url`, `x-rewrite-url`), and what
/// forward-auth proxies write for the service behind them.
///
/// `x-forwarded-prefix` and `x-forwarded-host` are not among them: they change the
/// links in a page, not the handler that is reached.
pub const OVERRIDES: [&[u8]; 12] = [
    b"x-http-method-override",
    b"x-http-method",
    b"x-method-override",
    b"x-original-method",
    b"x-forwarded-method",
    b"x-original-url",
    b"x-original-uri",
    b"x-original-path",
    b"x-override-url",
    b"x-rewrite-url",
    b"x-rewrite-uri",
    b"x-forwarded-uri",
];

/// Names that frame a message or say where it goes (RFC 9110 section 7, RFC 9113
/// section 8.2.2): an answer that changes one changes what was decided.
const OFF_LIMITS: [&[u8]; 6] = [
    b"host",
    b"connection",
    b"te",
    b"upgrade",
    b"content-length",
    b"transfer-encoding",
];

/// Whether only Callgate may set this header.
#[must_use]
pub fn is_callgate(name: &[u8]) -> bool {
    name.get(..PREFIX.len())
        .is_some_and(|start| same(start, PREFIX))
}

/// Whether a service may read this header as the description of a client certificate.
#[must_use]
pub fn is_client_cert(name: &[u8]) -> bool {
    same(name, CLIENT_CERT.as_bytes())
}

/// Names whose values are secrets, or say who calls: they never leave the proxy.
pub const SECRETS: [&[u8]; 4] = [
    b"authorization",
    b"proxy-authorization",
    b"cookie",
    b"x-forwarded-client-cert",
];

/// Whether this header never leaves the proxy.
#[must_use]
pub fn is_secret(name: &[u8]) -> bool {
    SECRETS.iter().any(|known| same(name, known))
}

/// Whether a service may read this header as another method or URL.
#[must_use]
pub fn overrides_request(name: &[u8]) -> bool {
    // Every one begins `x-`; most headers of a request do not.
    matches!(name, [b'x' | b'X', b'-' | b'_', ..])
        && OVERRIDES.iter().any(|known| same(name, known))
}

/// Whether the answer to a Check may not touch this header.
#[must_use]
pub fn is_off_limits(name: &[u8]) -> bool {
    name.first() == Some(&b':')
        || OFF_LIMITS
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
}

/// Whether `name` is a field name: a token (RFC 9110 section 5.6.2).
#[must_use]
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().copied().all(is_token)
}

/// Whether `value` is a field value (RFC 9110 section 5.5): no control byte but
/// the tab, so no line end either.
#[must_use]
pub fn is_value(value: &[u8]) -> bool {
    value
        .iter()
        .all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

/// A `tchar` of RFC 9110 section 5.6.2.
pub(crate) fn is_token(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'!' | b'#'..=b'\'' | b'*' | b'+')
        || matches!(byte, b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

/// Equal without case and with `_` read as `-`; `known` is written in lower case.
fn same(name: &[u8], known: &[u8]) -> bool {
    name.len() == known.len()
        && name.iter().zip(known).all(|(&seen, &wanted)| {
            let seen = if seen == b'_' {
                b'-'
            } else {
                seen.to_ascii_lowercase()
            };
            seen == wanted
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callgate_names_in_every_spelling() {
        for name in [
            "x-callgate-caller",
            "X-Callgate-Caller",
            "x_callgate_caller",
            "x-callgate_",
        ] {
            assert!(is_callgate(name.as_bytes()), "{name}");
        }
        for name in ["x-callgate", "xx-callgate-caller", "callgate-caller", ""] {
            assert!(!is_callgate(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn the_client_certificate_in_every_spelling() {
        for name in [
            "x-forwarded-client-cert",
            "X_Forwarded_Client_Cert",
            "x-forwarded_client-cert",
        ] {
            assert!(is_client_cert(name.as_bytes()), "{name}");
        }
        for name in ["x-forwarded-client", "x-forwarded-client-cert-", ""] {
            assert!(!is_client_cert(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn names_that_override_in_every_spelling() {
        for name in [
            "x-http-method-override",
            "X_HTTP_Method",
            "x-original_url",
            "x-rewrite-url",
        ] {
            assert!(overrides_request(name.as_bytes()), "{name}");
        }
        for name in [
            "x-forwarded-prefix",
            "x-forwarded-host",
            "x-request-id",
            "x-",
            "accept",
        ] {
            assert!(!overrides_request(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn what_an_answer_may_not_touch() {
        for name in [
            ":path",
            ":authority",
            ":",
            "Host",
            "te",
            "transfer-encoding",
            "upgrade",
        ] {
            assert!(is_off_limits(name.as_bytes()), "{name}");
        }
        for name in ["x-callgate-caller", "tea", "hosts", "content-type"] {
            assert!(!is_off_limits(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_name_is_made_of_token_characters() {
        for byte in 0..=u8::MAX {
            let wanted = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(is_name(&[byte]), wanted, "{byte:#04x}");
        }
    }

    #[test]
    fn names_and_values_that_could_split_a_message() {
        for name in [
            &b""[..],
            b"a b",
            b"a:",
            b"a\r\n",
            b"\x00",
            b"\xc3\xa9",
            b"a\t",
        ] {
            assert!(!is_name(name), "{name:?}");
        }
        assert!(is_name(b"x-callgate-caller"));
        for value in [&b"a\r\nb"[..], b"\n", b"\0", b"\x7f", b"\x1b[0m"] {
            assert!(!is_value(value), "{value:?}");
        }
        for value in [&b""[..], b"a\tb c", b"\xff\xfe"] {
            assert!(is_value(value), "{value:?}");
        }
    }
}
