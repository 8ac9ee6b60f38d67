//! What an answer says of its own future, where it travels.
//!
//! A filter says that it understands [`Terms`]; only then does an answer carry them, in its
//! dynamic metadata. A proxy that does not ask for them, such as Envoy's own `ext_authz`,
//! asks the server each time, and so does a filter of another version.
//!
//! ```text
//!  Check {context_extensions: {"callgate.terms": "1"}}                        ──►
//!       ◄── dynamic_metadata {"callgate": {"terms": "<base 64 of callgate.v1.Terms>"}}
//!  Check {…: {"callgate.terms": "1", "callgate.rechecks": "01JD8M3Q…"}}       ──►
//!  Check {…: {"callgate.terms": "1", "callgate.leases": "false"}}             ──►
//! ```

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD as BASE64};
use prost::Message as _;
use prost_types::{Struct, Value, value::Kind};

use crate::callgate::v1::Terms;

/// The context extension that asks for terms; its value is the [`VERSION`].
pub const WANTED: &str = "callgate.terms";
/// The context extension of a Check for a stream that is open: the id of the decision that
/// let it in.
pub const RECHECKS: &str = "callgate.rechecks";
/// The context extension of a filter that keeps no leases, and its value: then nobody cuts
/// one, encodes it and reads it for nothing.
pub const NO_LEASES: (&str, &str) = ("callgate.leases", "false");
/// The version of [`Terms`] and of all in them. What is decided from another one is
/// nobody's guess, so it is not decided from.
pub const VERSION: &str = "1";

/// The most bytes of encoded terms: a lease of the greatest size and its envelope.
pub const MAX_BYTES: usize = 32 * 1024;

/// The key of our part of the dynamic metadata.
const CALLGATE: &str = "callgate";
/// The key of the terms in it.
const TERMS: &str = "terms";

/// An answer carries something in place of terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTerms;

/// Adds `terms` to the dynamic metadata of an answer.
pub fn add(metadata: &mut Option<Struct>, terms: &Terms) {
    let metadata = metadata.get_or_insert_default();
    let ours = metadata.fields.entry(CALLGATE.to_owned()).or_default();
    let text = BASE64.encode(terms.encode_to_vec());
    let text = Value {
        kind: Some(Kind::StringValue(text)),
    };
    match &mut ours.kind {
        Some(Kind::StructValue(ours)) => {
            ours.fields.insert(TERMS.to_owned(), text);
        }
        other => {
            *other = Some(Kind::StructValue(Struct {
                fields: [(TERMS.to_owned(), text)].into(),
            }));
        }
    }
}

/// The terms in an answer's dynamic metadata; `None` if there are none.
///
/// # Errors
/// If what is there cannot be read as terms.
#[must_use]
pub fn of(metadata: &Struct) -> Option<Result<Terms, InvalidTerms>> {
    let ours = metadata.fields.get(CALLGATE)?.kind.as_ref();
    let Some(Kind::StructValue(ours)) = ours else {
        return None;
    };
    let terms = ours.fields.get(TERMS)?.kind.as_ref();
    Some(match terms {
        Some(Kind::StringValue(text)) => read(text),
        _ => Err(InvalidTerms),
    })
}

fn read(text: &str) -> Result<Terms, InvalidTerms> {
    if text.len() > MAX_BYTES.div_ceil(3) * 4 {
        return Err(InvalidTerms);
    }
    let bytes = BASE64.decode(text).map_err(|_| InvalidTerms)?;
    Terms::decode(bytes.as_slice()).map_err(|_| InvalidTerms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{callgate::v1::Lease, wanted};

    fn terms() -> Terms {
        Terms {
            revision: vec![7; 32],
            decided_at_ms: 1_700_000_000_000,
            ends_at_ms: 0,
            lease: Some(Lease {
                ttl_ms: 60_000,
                slice: vec![0xff; 300],
                ..Lease::default()
            }),
        }
    }

    #[test]
    fn terms_stand_beside_what_else_an_answer_says() {
        let mut metadata = None;
        add(&mut metadata, &terms());
        assert_eq!(of(metadata.as_ref().unwrap()), Some(Ok(terms())));
        let mut metadata = Some(wanted::ask(["x-purpose".to_owned()]));
        add(&mut metadata, &terms());
        let metadata = metadata.unwrap();
        assert_eq!(of(&metadata), Some(Ok(terms())));
        let asked = wanted::asked(&metadata).unwrap().unwrap();
        assert_eq!(asked, ["x-purpose"]);
    }

    #[test]
    fn what_is_no_terms_is_told_from_none() {
        assert_eq!(of(&Struct::default()), None);
        assert_eq!(of(&wanted::ask(["x".to_owned()])), None);
        let long = BASE64.encode(vec![0; MAX_BYTES + 1]);
        let cases = [
            Kind::NumberValue(1.0),
            Kind::StringValue("?".to_owned()),
            Kind::StringValue(BASE64.encode([0xff])),
            Kind::StringValue(long),
        ];
        for kind in cases {
            let value = |kind| Value { kind: Some(kind) };
            let ours = Struct {
                fields: [(TERMS.to_owned(), value(kind))].into(),
            };
            let all = Struct {
                fields: [(CALLGATE.to_owned(), value(Kind::StructValue(ours)))].into(),
            };
            assert_eq!(of(&all), Some(Err(InvalidTerms)));
        }
    }
}
