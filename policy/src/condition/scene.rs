//! What a condition reads of a request.

use std::borrow::Cow;

use super::{
    ConditionFault as Fault, Header, Input, InputPart, Notes, Scene, Unreadable, node::Field,
    query, value::Value,
};
use crate::SpiffeId;

/// Bytes of a header or of a query value that conditions read. Proxies and services take
/// 8 KiB for a whole request line or header block by default, so what is longer than half
/// of that is no purpose and no tenant.
pub(super) const LONGEST_INPUT: usize = 4_096;

impl<'a> Scene<'a> {
    /// The same, with what is read noted elsewhere.
    pub(super) const fn noting<'n>(&self, notes: &'n Notes) -> Scene<'n>
    where
        'a: 'n,
    {
        Scene { notes, ..*self }
    }

    pub(super) fn field(&self, field: Field) -> Value<'a> {
        let text = |text: &'a str| Value::Text(Cow::Borrowed(text));
        match field {
            Field::Method => text(self.request.method),
            Field::Path => Value::Text(Cow::Owned(self.path.to_string())),
            Field::Host => text(self.request.host.unwrap_or_default()),
            Field::Time => Value::Time(self.now.as_millis()),
            Field::SourceId => text(self.caller.as_str()),
            Field::SourceTrustDomain => text(self.caller.trust_domain()),
            Field::SourceSegments => Value::List(self.caller.segments().map(text).collect()),
            Field::DestinationId => text(self.request.service.map_or("", SpiffeId::as_str)),
        }
    }

    pub(super) fn capture(&self, name: &str) -> Value<'a> {
        // A rule loads only if every way to match it binds this name.
        let mut bindings = self.bindings.iter();
        let bound = bindings.find(|(known, _)| *known == name);
        Value::Text(Cow::Borrowed(bound.map_or("", |(_, value)| *value)))
    }

    /// The header `name`; one that is absent reads as nothing.
    pub(super) fn header(&self, name: &str) -> Result<Value<'a>, Fault> {
        self.text_of(InputPart::Header, name)
    }

    pub(super) fn has_header(&self, name: &str) -> Result<Value<'a>, Fault> {
        self.has(InputPart::Header, name)
    }

    /// The query parameter `name`; one that is absent reads as nothing.
    pub(super) fn query(&self, name: &str) -> Result<Value<'a>, Fault> {
        self.text_of(InputPart::Query, name)
    }

    pub(super) fn has_query(&self, name: &str) -> Result<Value<'a>, Fault> {
        self.has(InputPart::Query, name)
    }

    fn text_of(&self, part: InputPart, name: &str) -> Result<Value<'a>, Fault> {
        match self.read(part, name) {
            Found::Absent => Ok(Value::Text(Cow::Borrowed(""))),
            Found::Text(text) => Ok(Value::Text(text)),
            Found::Unreadable(why) => Err(unreadable(part, name, why)),
        }
    }

    /// What is there but cannot be read is there.
    fn has(&self, part: InputPart, name: &str) -> Result<Value<'a>, Fault> {
        match self.read(part, name) {
            Found::Absent => Ok(Value::Bool(false)),
            Found::Unreadable(why @ (Unreadable::Unknown | Unreadable::Semicolon)) => {
                Err(unreadable(part, name, why))
            }
            Found::Text(_) | Found::Unreadable(_) => Ok(Value::Bool(true)),
        }
    }

    /// Reads, and notes what was read.
    fn read(&self, part: InputPart, name: &str) -> Found<'a> {
        let found = match part {
            InputPart::Header => self.request.headers.header(name).into(),
            InputPart::Query => {
                let known = self.request.headers.parameter(name);
                let parameter = known.unwrap_or_else(|| query::parameter(self.request.path, name));
                parameter.into()
            }
        };
        let mut inputs = self.notes.inputs.borrow_mut();
        inputs.note(part, name, || match &found {
            Found::Absent => Input::Absent,
            Found::Text(text) => Input::Text(text.clone().into_owned()),
            Found::Unreadable(why) => Input::Unreadable(*why),
        });
        found
    }
}

/// As [`Input`], but not always owned.
enum Found<'a> {
    Absent,
    Text(Cow<'a, str>),
    Unreadable(Unreadable),
}

impl<'a> From<Header<'a>> for Found<'a> {
    fn from(header: Header<'a>) -> Self {
        match header {
            Header::Absent => Self::Absent,
            Header::Text(text) if text.len() > LONGEST_INPUT => {
                Self::Unreadable(Unreadable::TooLong)
            }
            Header::Text(text) => Self::Text(text),
            Header::Unreadable(why) => Self::Unreadable(why),
        }
    }
}

impl From<Input> for Found<'_> {
    fn from(input: Input) -> Self {
        match input {
            Input::Absent => Self::Absent,
            Input::Text(text) => Self::Text(Cow::Owned(text)),
            Input::Unreadable(why) => Self::Unreadable(why),
        }
    }
}

fn unreadable(part: InputPart, name: &str, why: Unreadable) -> Fault {
    Fault::Unreadable {
        part,
        name: name.to_owned(),
        why,
    }
}
