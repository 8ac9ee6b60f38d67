//! `x-forwarded-client-cert`: what the service gets of it, and what the server is told.

use std::{borrow::Cow, collections::VecDeque, rc::Rc};

use callgate_wire::xfcc::{self, Xfcc};

/// The longest `Chain` that is sent as a hint: four certificates, the most that
/// the server looks at, rarely reach 3 KiB each once URL-encoded.
const MAX_CHAIN: usize = 16 * 1024;

/// The header of a request, read.
#[derive(Debug)]
pub(crate) enum ClientCert<'a> {
    /// There is none.
    Absent,
    /// It is of the grammar.
    Read(Xfcc<'a>),
    /// It is not, so that nobody can tell what is in it.
    Unreadable,
}

/// The change that leaves of the header what the proxy itself said, and no `Chain`. If
/// what others said is believed, the answer to the Check says so.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// There is nothing else in it.
    Keep,
    /// The same without it.
    Replace(String),
    /// There is only that in it, or nobody can tell.
    Remove,
}

/// What the header of one request comes to, where a lease decides.
#[derive(Debug)]
pub(crate) struct Reading {
    /// [`ClientCert::is_forwarded`].
    pub(crate) forwarded: bool,
    pub(crate) change: Change,
}

/// What the last headers came to. A proxy writes the same for every request of a
/// connection, most of it a certificate, which is found faster than read.
#[derive(Debug, Default)]
pub(crate) struct Readings(VecDeque<(Box<[u8]>, Rc<Reading>)>);

impl Readings {
    /// How many are remembered: the connections of a busy proxy's busiest callers.
    const MAX: usize = 32;
    /// The longest that is remembered: a leaf and an intermediate, URL-encoded.
    const MAX_BYTES: usize = 4 * 1024;

    pub(crate) fn of(&mut self, header: Option<&[u8]>) -> Rc<Reading> {
        let known = header.and_then(|header| self.0.iter().find(|(known, _)| **known == *header));
        if let Some((_, reading)) = known {
            return Rc::clone(reading);
        }
        let read = ClientCert::read(header);
        let reading = Rc::new(Reading {
            forwarded: read.is_forwarded(),
            change: read.change(),
        });
        if let Some(header) = header.filter(|header| header.len() <= Self::MAX_BYTES) {
            if self.0.len() >= Self::MAX {
                self.0.pop_front();
            }
            self.0.push_back((header.into(), Rc::clone(&reading)));
        }
        reading
    }
}

impl<'a> ClientCert<'a> {
    pub(crate) fn read(header: Option<&'a [u8]>) -> Self {
        let Some(header) = header else {
            return Self::Absent;
        };
        let text = std::str::from_utf8(header).unwrap_or(xfcc::UNREADABLE);
        match Xfcc::parse(text) {
            Ok(header) => Self::Read(header),
            Err(_) => Self::Unreadable,
        }
    }

    /// Whether it may be about more than this connection: then it takes the server to say
    /// who calls.
    pub(crate) fn is_forwarded(&self) -> bool {
        match self {
            Self::Absent => false,
            Self::Read(header) => header.forwarded().is_some(),
            Self::Unreadable => true,
        }
    }

    /// What happens to it before the service.
    pub(crate) fn change(&self) -> Change {
        match self {
            Self::Absent => Change::Keep,
            // The rule, on the way of every request: nothing is written for it.
            Self::Read(header) if header.is_own_without_chain() => Change::Keep,
            Self::Read(header) => match xfcc::without_chains(header.own()) {
                Some(rest) => Change::Replace(rest),
                None => Change::Remove,
            },
            Self::Unreadable => Change::Remove,
        }
    }

    /// What the server is told: the two last elements, if there are two; else the `Chain`,
    /// if there is more than the leaf in it.
    pub(crate) fn told(&self) -> Option<String> {
        match self {
            Self::Absent => None,
            Self::Read(header) => match (header.forwarded(), header.own()) {
                (Some(forwarded), Some(own)) => {
                    Some(format!("{},{}", forwarded.to_text(), own.to_text()))
                }
                _ => header.chain().and_then(hint),
            },
            Self::Unreadable => Some(xfcc::UNREADABLE.to_owned()),
        }
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
        let header = ClientCert::read(Some(header));
        (header.change(), header.told())
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
    fn what_is_remembered_is_what_is_read() {
        let mut readings = Readings::default();
        let headers: Vec<String> = (0..40).map(|n| format!("By={n};Chain=x")).collect();
        let long = format!("By=x;Chain=\"{}\"", "y".repeat(Readings::MAX_BYTES));
        for _ in 0..2 {
            for header in headers.iter().chain([&long, &headers[0]]) {
                let header = header.as_bytes();
                let reading = readings.of(Some(header));
                assert_eq!(reading.change, client_cert(header).0);
                assert!(!reading.forwarded);
                assert!(readings.0.len() <= Readings::MAX);
                assert!(
                    readings
                        .0
                        .iter()
                        .all(|(known, _)| known.len() <= Readings::MAX_BYTES)
                );
            }
        }
        assert!(Rc::ptr_eq(
            &readings.of(Some(headers[0].as_bytes())),
            &readings.of(Some(headers[0].as_bytes()))
        ));
        assert!(readings.of(Some(b"By=g,By=x")).forwarded);
        let absent = readings.of(None);
        assert!(!absent.forwarded && absent.change == Change::Keep);
    }

    #[test]
    fn what_is_about_more_than_this_connection() {
        for (header, forwarded) in [
            (Some(&b"By=x;URI=y"[..]), false),
            (Some(b"By=g,By=x"), true),
            (Some(b"nonsense"), true),
            (None, false),
        ] {
            assert_eq!(ClientCert::read(header).is_forwarded(), forwarded);
        }
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
