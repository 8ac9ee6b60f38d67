//! The first word of an operation: which methods, or which protocol.

use super::{PatternError, PatternErrorKind as Kind, source::Part};
use crate::{
    call::{Call, Method, Upgrade},
    table::allocated,
};

/// How a request has to come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Verb {
    Methods(MethodSet),
    Any,
    Grpc,
    WebSocket,
}

/// The methods of one line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct MethodSet {
    /// Those with a bit of their own.
    known: u16,
    /// The rest, by name.
    others: Box<[Box<str>]>,
}

impl Verb {
    pub(super) fn parse(word: Part<'_>) -> Result<Self, PatternError> {
        match word.text {
            "ANY" => Ok(Self::Any),
            "GRPC" => Ok(Self::Grpc),
            "WEBSOCKET" => Ok(Self::WebSocket),
            _ => MethodSet::parse(word).map(Self::Methods),
        }
    }

    /// About how many bytes it takes beyond its own size.
    pub(super) fn footprint(&self) -> usize {
        let Self::Methods(methods) = self else {
            return 0;
        };
        let others = methods.others.iter().map(|other| allocated(other.len()));
        allocated(size_of_val(&*methods.others)) + others.sum::<usize>()
    }

    /// Whether an allow rule with this verb is about such a request. One that asks
    /// for an upgrade leaves HTTP, so no method stands for it; a WebSocket opens
    /// with GET (RFC 6455 section 4.1), and extended CONNECT arrives as GET.
    pub(crate) fn admits(&self, call: &Call<'_>) -> bool {
        match (self, call.upgrade) {
            (Self::WebSocket, Upgrade::WebSocket) => call.method.is("GET"),
            (Self::WebSocket, _) | (_, Upgrade::WebSocket | Upgrade::Other { .. }) => false,
            (Self::Any, Upgrade::None) => true,
            (Self::Methods(methods), Upgrade::None) => methods.contains(call.method),
            (Self::Grpc, Upgrade::None) => call.grpc && call.method.is("POST"),
        }
    }

    /// Whether a deny rule with this verb is about such a request. Wider than
    /// [`Self::admits`], since what the caller sends must not take it out of a deny
    /// rule's reach: an `upgrade` header does not hide the method, and a gRPC
    /// method is reached by Connect, gRPC-Web and JSON as well.
    pub(crate) fn catches(&self, call: &Call<'_>) -> bool {
        match self {
            Self::Any | Self::Grpc => true,
            Self::Methods(methods) => methods.contains(call.method),
            Self::WebSocket => matches!(
                call.upgrade,
                Upgrade::WebSocket | Upgrade::Other { websocket: true }
            ),
        }
    }
}

impl MethodSet {
    fn parse(list: Part<'_>) -> Result<Self, PatternError> {
        let (mut seen, mut known, mut others) = (Vec::new(), 0, Vec::new());
        for word in list.split(',') {
            check_method(word, list)?;
            if seen.contains(&word.text) {
                return Err(word.error(Kind::RedundantMethod));
            }
            seen.push(word.text);
            match Method::bit(word.text) {
                0 => others.push(word.text.into()),
                bit => known |= bit,
            }
        }
        if known & Method::bit("GET") != 0 {
            known |= Method::bit("HEAD");
        }
        Ok(Self {
            known,
            others: others.into(),
        })
    }

    /// The names of all, HEAD included where GET stands for it.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let known = Method::USUAL.into_iter();
        let known = known.filter(|name| self.known & Method::bit(name) != 0);
        known.chain(self.others.iter().map(|name| &**name))
    }

    fn contains(&self, method: Method<'_>) -> bool {
        match method.known {
            0 => self.others.iter().any(|other| **other == *method.text),
            bit => self.known & bit != 0,
        }
    }
}

fn check_method(word: Part<'_>, list: Part<'_>) -> Result<(), PatternError> {
    let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b"-_".contains(&b);
    match word.text {
        "ANY" => {
            return Err(word
                .error(Kind::RedundantMethod)
                .suggest(|| list.replaced("ANY")));
        }
        "GRPC" | "WEBSOCKET" => return Err(word.error(Kind::VerbInList)),
        "CONNECT" => return Err(word.error(Kind::Connect)),
        _ => {}
    }
    let upper = word.text.to_ascii_uppercase();
    let fits = |text: &str| {
        text.len() <= Method::MAX_BYTES
            && text.starts_with(|c: char| c.is_ascii_uppercase())
            && text.bytes().all(allowed)
    };
    if fits(word.text) {
        Ok(())
    } else if fits(&upper) {
        let error = word.error(Kind::LowerCaseMethod);
        Err(error.suggest(|| list.replaced(&list.text.to_ascii_uppercase())))
    } else {
        Err(word.error(Kind::Method))
    }
}
