//! Headers that a decision reads besides those that every Check has.
//!
//! The filter sends few headers. It says which others it looked for; if a decision reads
//! one that it did not, the server answers with the names of all that decisions about
//! this service may read, and the filter asks again, with these. A proxy that says nothing
//! of the kind, such as Envoy's own `ext_authz`, sends all there are. To a proxy that does
//! not know the answer, it is a refusal.
//!
//! ```text
//!  Check {context_extensions: {"callgate.headers": ""}}                 ──►
//!       ◄── status 14, dynamic_metadata {"callgate": {"headers": ["x-purpose"]}}
//!  Check {…: {"callgate.headers": "x-purpose"}, headers: {"x-purpose": "reporting"}} ──►
//! ```

use prost_types::{ListValue, Struct, Value, value::Kind};

use crate::headers;

/// The context extension with the names that were looked for, divided by `,`.
pub const LOOKED_FOR: &str = "callgate.headers";
/// The context extension with those of them that are there but not UTF-8.
pub const NOT_UTF8: &str = "callgate.headers-not-utf8";

/// The most names: more than the headers of an ordinary request.
pub const MAX_NAMES: usize = 64;
/// The longest name. Registered ones have up to 40 bytes.
pub const MAX_NAME: usize = 128;

/// The key of our part of the dynamic metadata.
const CALLGATE: &str = "callgate";
/// The key of the names in it.
const NAMES: &str = "headers";

/// Whether `names`, the value of a context extension, has `name`.
#[must_use]
pub fn has(names: &str, name: &str) -> bool {
    names.split(',').any(|one| one == name)
}

/// The dynamic metadata of the answer that wants `names` looked for.
pub fn ask(names: impl IntoIterator<Item = String>) -> Struct {
    let names = names.into_iter().take(MAX_NAMES);
    let values = names.map(|name| value(Kind::StringValue(name))).collect();
    let object = |key: &str, kind| Struct {
        fields: [(key.to_owned(), value(kind))].into(),
    };
    let names = object(NAMES, Kind::ListValue(ListValue { values }));
    object(CALLGATE, Kind::StructValue(names))
}

/// What an answer's dynamic metadata wants looked for; `None` if it is no such answer.
///
/// # Errors
/// If it is one, but no names that a filter may look for: none at all, too many, not names
/// of headers in lower case, or secrets.
#[must_use]
pub fn asked(metadata: &Struct) -> Option<Result<Vec<String>, InvalidNames>> {
    let ours = metadata.fields.get(CALLGATE)?.kind.as_ref();
    let Some(Kind::StructValue(ours)) = ours else {
        return None;
    };
    let names = ours.fields.get(NAMES)?.kind.as_ref();
    Some(match names {
        Some(Kind::ListValue(ListValue { values })) => checked(values),
        _ => Err(InvalidNames),
    })
}

/// An answer wants headers that no filter looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidNames;

fn checked(values: &[Value]) -> Result<Vec<String>, InvalidNames> {
    if values.is_empty() || values.len() > MAX_NAMES {
        return Err(InvalidNames);
    }
    let names = values.iter().map(|value| match &value.kind {
        Some(Kind::StringValue(name)) if may_be_read(name) => Ok(name.clone()),
        _ => Err(InvalidNames),
    });
    names.collect()
}

/// Whether a filter tells the server the header `name`: never a secret, whatever it is
/// asked for.
#[must_use]
pub fn may_be_read(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() <= MAX_NAME
        && headers::is_name(bytes)
        && !bytes
            .iter()
            .any(|byte| byte.is_ascii_uppercase() || *byte == b',')
        && !headers::is_secret(bytes)
        && !headers::is_callgate(bytes)
}

const fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_asked_for_is_read() {
        let wanted = names(&["x-purpose", "origin"]);
        assert_eq!(asked(&ask(wanted.clone())), Some(Ok(wanted)));
        assert_eq!(asked(&Struct::default()), None);
    }

    #[test]
    fn nobody_gets_a_secret_by_asking() {
        let cases: [&[&str]; 11] = [
            &[],
            &["authorization"],
            &["x-a", "cookie"],
            &["x-forwarded-client-cert"],
            &["x_forwarded_client_cert"],
            &["proxy-authorization"],
            &["X-Purpose"],
            &[":path"],
            &["x-callgate-caller"],
            &["a,b"],
            &["a b"],
        ];
        for case in cases {
            assert_eq!(
                asked(&ask(names(case))),
                Some(Err(InvalidNames)),
                "{case:?}"
            );
        }
        let long = "x".repeat(MAX_NAME + 1);
        assert_eq!(asked(&ask([long])), Some(Err(InvalidNames)));
        let many: Vec<Value> = (0..=MAX_NAMES)
            .map(|n| value(Kind::StringValue(format!("x-{n}"))))
            .collect();
        assert_eq!(checked(&many), Err(InvalidNames));
    }

    #[test]
    fn names_in_a_list() {
        assert!(has("a,b", "b") && has("a", "a") && !has("a,bc", "b") && !has("", "a"));
    }
}
