//! What a record says of conditions, and of what decides nothing: rules in Shadow, and the
//! candidate.

use callgate_policy::{ConditionError, Decision, Input, InputPart, Inputs, ShadowMatch, Verdict};
use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::{Shown, verdict_of};

/// `{"headers": {"x-purpose": "reporting", "x-gone": null}, "query": {"k": {"unreadable": "repeated"}}}`
pub(super) fn inputs<S: Serializer>(inputs: &&Inputs, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    for (part, name) in [(InputPart::Header, "headers"), (InputPart::Query, "query")] {
        let part = Part { inputs, part };
        if part.values().next().is_some() {
            map.serialize_entry(name, &part)?;
        }
    }
    map.end()
}

/// One part of what was read.
struct Part<'a> {
    inputs: &'a Inputs,
    part: InputPart,
}

impl<'a> Part<'a> {
    fn values(&self) -> impl Iterator<Item = (&'a str, &'a Input)> {
        let wanted = self.part;
        let read = self.inputs.iter();
        read.filter_map(move |(part, name, input)| (part == wanted).then_some((name, input)))
    }
}

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, input) in self.values() {
            match input {
                Input::Absent => map.serialize_entry(name, &None::<&str>)?,
                Input::Text(text) => map.serialize_entry(name, text)?,
                Input::Unreadable(why) => {
                    let why = Unreadable {
                        unreadable: why.as_str(),
                    };
                    map.serialize_entry(name, &why)?;
                }
            }
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Unreadable {
    unreadable: &'static str,
}

/// `[{"rule": "reports", "policy": "orders.yaml:14", "error": "header x-purpose is not UTF-8"}]`
pub(super) fn condition_errors<S: Serializer>(
    errors: &&[ConditionError<'_>],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(errors.iter().map(Failed))
}

struct Failed<'a>(&'a ConditionError<'a>);

impl Serialize for Failed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(ConditionError { rule, fault }) = self;
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("rule", rule.name)?;
        map.serialize_entry("policy", &Shown(rule.location))?;
        map.serialize_entry("error", &fault.to_string())?;
        map.end()
    }
}

/// `{"verdict": "Deny", "reason": "deny-rule", "rule": "no-exports", "policy": "orders.yaml:14"}`
pub(super) fn shadow<S: Serializer>(
    shadow: &Option<&ShadowMatch<'_>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let Some(ShadowMatch { verdict, rule }) = shadow else {
        return serializer.serialize_none();
    };
    let mut map = serializer.serialize_map(Some(4))?;
    map.serialize_entry("verdict", verdict_of(*verdict))?;
    let reason = match verdict {
        Verdict::Allow => callgate_policy::Reason::Allow,
        Verdict::Deny => callgate_policy::Reason::DenyRule,
    };
    map.serialize_entry("reason", reason.as_str())?;
    map.serialize_entry("rule", rule.name)?;
    map.serialize_entry("policy", &Shown(rule.location))?;
    map.end()
}

/// `{"verdict": "Deny", "reason": "no-rule", "rule": null, "policy": null, "enforced": true}`
pub(super) fn candidate<S: Serializer>(
    candidate: &Option<&Decision<'_>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let Some(candidate) = candidate else {
        return serializer.serialize_none();
    };
    let mut map = serializer.serialize_map(Some(5))?;
    map.serialize_entry("verdict", verdict_of(candidate.verdict))?;
    map.serialize_entry("reason", candidate.reason.as_str())?;
    map.serialize_entry("rule", &candidate.rule.map(|rule| rule.name))?;
    map.serialize_entry("policy", &candidate.rule.map(|rule| Shown(rule.location)))?;
    map.serialize_entry("enforced", &candidate.enforced)?;
    map.end()
}
