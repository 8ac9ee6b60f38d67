//! `x-forwarded-client-cert`: what the service gets of it, and what the server is told.

use std::borrow::Cow;

use callgate_wire::xfcc::{self, Xfcc};

/// The longest `Chain` that is sent as a hint: four certificates, the most that
/// the server looks at, rarely reach 3 KiB each once URL-encoded.
const MAX_CHAIN: usize = 16 * 1024;

/// The header of a request, read. By default there is none.
#[derive(Debug, Default)]
pub(crate) struct ClientCert {
    text: Option<Vec<u8>>,
    is_forwarded: bool,
    change: Change,
    told: Option<String>,
}

/// The change that leaves of the header what the proxy itself said, and no `Chain`. If
/// what others said is believed, the answer to the Check says so.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Change {
    /// There is nothing else in it.
    #[default]
    Keep,
    /// The same without it.
    Replace(String),
    /// There is only that in it, or nobody can tell.
    Remove,
}

impl ClientCert {
    pub(crate) fn read(text: Vec<u8>) -> Self {
        let header = std::str::from_utf8(&text).ok().map(Xfcc::parse);
        let (is_forwarded, change, told) = match header {
            Some(Ok(header)) => (header.forwarded().is_some(), change(&header), told(&header)),
            // Not of the grammar, so that nobody can tell what is in it.
            Some(Err(_)) | None => (true, Change::Remove, Some(xfcc::UNREADABLE.to_owned())),
        };
        Self {
            text: Some(text),
            is_forwarded,
            change,
            told,
        }
    }

    /// As it came.
    pub(crate) fn text(&self) -> Option<&[u8]> {
        self.text.as_deref()
    }

    /// Whether it may be about more than this connection: then it takes the server to say
    /// who calls.
    pub(crate) fn is_forwarded(&self) -> bool {
        self.is_forwarded
    }

    /// What happens to it before the service.
    pub(crate) fn change(&self) -> &Change {
        &self.change
    }

    /// What the server is told: the two last elements, if there are two; else the `Chain`,
    /// if there is more than the leaf in it.
    pub(crate) fn told(&self) -> Option<&str> {
        self.told.as_deref()
    }
}

fn change(header: &Xfcc<'_>) -> Change {
    // The rule where the proxy adds no chain: nothing is written for it.
    if header.is_own_without_chain() {
        return Change::Keep;
    }
    match xfcc::without_chains(header.own()) {
        Some(rest) => Change::Replace(rest),
        None => Change::Remove,
    }
}

fn told(header: &Xfcc<'_>) -> Option<String> {
    match (header.forwarded(), header.own()) {
        (Some(forwarded), Some(own)) => Some(format!("{},{}", forwarded.to_text(), own.to_text())),
        _ => header.chain().and_then(hint),
    }
}

fn hint(chain: Cow<'_, str>) -> Option<String> {
    // URL-encoded text has nothing in it that a quoted value would escape.
    let sendable = chain.len() <= MAX_CHAIN && has_more_than_one(&chain);
    (sendable && !chain.contains(['"', '\\'])).then(|| format!("Chain=\"{chain}\""))
}

/// Whether another certificate follows the first. Base 64 has no dash: the first
/// one behind the opening line begins the closing line.
fn has_more_than_one(chain: &str) -> bool {
    let Some(body) = chain.strip_prefix("-----BEGIN%20CERTIFICATE-----") else {
        return false;
    };
    let closing = body
        .find('-')
        .and_then(|at| body.get(at..))
        .unwrap_or_default();
    let after = closing.strip_prefix("-----END%20CERTIFICATE-----");
    after.is_some_and(|after| after.contains("-----BEGIN%20CERTIFICATE-----"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client_cert(header: &[u8]) -> (Change, Option<String>) {
        let header = ClientCert::read(header.to_vec());
        (header.change, header.told)
    }

    #[test]
    fn a_chain_is_a_hint_only_beyond_the_leaf_and_never_goes_upstream() {
        let one = "-----BEGIN%20CERTIFICATE-----%0AMII%3D%0A-----END%20CERTIFICATE-----%0A";
        let two = format!("{one}{one}");
        assert_eq!(
            client_cert(format!("By=x;Chain=\"{one}\"").as_bytes()),
            (Change::Replace("By=x".to_owned()), None)
        );
        assert_eq!(
            client_cert(format!("Chain=\"{two}\"").as_bytes()),
            (Change::Remove, Some(format!("Chain=\"{two}\"")))
        );
        assert_eq!(client_cert(b"By=x;URI=y"), (Change::Keep, None));
        assert_eq!(
            client_cert(format!("Chain=\"{}\"", two.repeat(200)).as_bytes()),
            (Change::Remove, None)
        );
        assert_eq!(
            client_cert(format!("Chain=\"{two}\\\"\"").as_bytes()),
            (Change::Remove, None)
        );
    }

    #[test]
    fn a_header_that_cannot_be_read_is_removed_and_the_server_told() {
        for header in [
            &b"Chain=\"open"[..],
            b"nonsense",
            b"",
            b"By=\xff;Chain=x",
            b"A=1,,B=2",
            b"A=1,",
        ] {
            assert_eq!(
                client_cert(header),
                (Change::Remove, Some("unreadable".to_owned())),
                "{header:?}"
            );
        }
    }

    #[test]
    fn what_others_say_goes_to_the_server_and_not_to_the_service() {
        let (change, told) = client_cert(b"A=0,By=g;Chain=\"x\",By=s;Hash=1;Chain=y;URI=g");
        assert_eq!(change, Change::Replace("By=s;Hash=1;URI=g".to_owned()));
        let told = told.unwrap();
        assert_eq!(told, "By=g;Chain=\"x\",By=s;Hash=1;Chain=y;URI=g");
        assert_eq!(
            client_cert(b"By=g,Chain=y"),
            (Change::Remove, Some("By=g,Chain=y".to_owned()))
        );
    }

    #[test]
    fn what_is_about_more_than_this_connection() {
        for (header, forwarded) in [
            (&b"By=x;URI=y"[..], false),
            (b"By=g,By=x", true),
            (b"nonsense", true),
        ] {
            assert_eq!(ClientCert::read(header.to_vec()).is_forwarded(), forwarded);
        }
        let absent = ClientCert::default();
        assert!(!absent.is_forwarded() && *absent.change() == Change::Keep);
        assert_eq!((absent.text(), absent.told()), (None, None));
    }

    proptest! {
        #[test]
        fn no_chain_survives(header in prop::collection::vec(any::<u8>(), 0..64)) {
            match client_cert(&header).0 {
                Change::Remove => {}
                Change::Replace(rest) => {
                    prop_assert_eq!(client_cert(rest.as_bytes()).0, Change::Keep);
                }
                Change::Keep => {
                    let text = String::from_utf8(header).unwrap();
                    prop_assert_eq!(Xfcc::parse(&text).unwrap().chain(), None);
                }
            }
        }
    }
}
