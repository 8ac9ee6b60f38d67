//! What conditions may ask of a request, and what they did ask.

use std::{borrow::Cow, collections::BTreeMap, fmt};

/// The headers of a request, as far as whoever decides has them. Names are in lower case.
pub trait Headers: fmt::Debug {
    /// The header `name`; repeated ones joined with `,`.
    fn header(&self, name: &str) -> Header<'_>;

    /// The query parameter `name`, where it is known apart from the request's target, as
    /// of a record.
    fn parameter(&self, _name: &str) -> Option<Input> {
        None
    }
}

/// One header of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header<'a> {
    /// The request does not have it.
    Absent,
    /// Its value.
    Text(Cow<'a, str>),
    /// It cannot be read.
    Unreadable(Unreadable),
}

/// No headers at all: none that is asked for is there.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHeaders;

impl Headers for NoHeaders {
    fn header(&self, _: &str) -> Header<'_> {
        Header::Absent
    }
}

/// Every header that the request has.
impl Headers for BTreeMap<String, String> {
    fn header(&self, name: &str) -> Header<'_> {
        self.get(name).map_or(Header::Absent, |value| {
            Header::Text(Cow::Borrowed(value.as_str()))
        })
    }
}

/// What was read once, and nothing else, is known again.
impl Headers for Inputs {
    fn header(&self, name: &str) -> Header<'_> {
        match self.found(InputPart::Header, name) {
            None => Header::Unreadable(Unreadable::Unknown),
            Some(Input::Absent) => Header::Absent,
            Some(Input::Text(text)) => Header::Text(Cow::Borrowed(text)),
            Some(Input::Unreadable(why)) => Header::Unreadable(*why),
        }
    }

    fn parameter(&self, name: &str) -> Option<Input> {
        let found = self.found(InputPart::Query, name).cloned();
        Some(found.unwrap_or(Input::Unreadable(Unreadable::Unknown)))
    }
}

/// The header and query values that the conditions of a decision read: what else it takes
/// to decide again. In the order in which they were read, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    read: Vec<Read>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Read {
    part: InputPart,
    name: Box<str>,
    input: Input,
}

/// Where a condition reads by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InputPart {
    /// `request.headers`.
    Header,
    /// `request.query`.
    Query,
}

/// What a condition found under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Nothing.
    Absent,
    /// This value; at most 4,096 bytes.
    Text(String),
    /// Something that cannot be read, and why.
    Unreadable(Unreadable),
}

/// Why a header or a query value cannot be read. A condition that reads it has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unreadable {
    /// It is not UTF-8.
    NotUtf8,
    /// It has more than 4,096 bytes.
    TooLong,
    /// A parameter that the query has more than once: services differ in which one counts.
    Repeated,
    /// Its percent-encoding is broken.
    BrokenEncoding,
    /// The query has a raw `;`, at which some services divide parameters.
    Semicolon,
    /// Nobody looked whether the request has it.
    Unknown,
}

impl Inputs {
    /// Nothing was read.
    #[must_use]
    pub const fn new() -> Self {
        Self { read: Vec::new() }
    }

    /// Whether nothing was read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.read.is_empty()
    }

    /// Part, name and what was found there, in the order of reading.
    pub fn iter(&self) -> impl Iterator<Item = (InputPart, &str, &Input)> {
        let read = self.read.iter();
        read.map(|read| (read.part, &*read.name, &read.input))
    }

    /// What was found under `name`; `None` if that was not read.
    #[must_use]
    pub fn found(&self, part: InputPart, name: &str) -> Option<&Input> {
        let mut read = self.read.iter();
        let read = read.find(|read| read.part == part && &*read.name == name)?;
        Some(&read.input)
    }

    /// What a condition asked for and nobody had looked for: the decision is not one until
    /// somebody has.
    pub fn unknown(&self) -> impl Iterator<Item = (InputPart, &str)> {
        self.iter().filter_map(|(part, name, input)| {
            let unknown = *input == Input::Unreadable(Unreadable::Unknown);
            unknown.then_some((part, name))
        })
    }

    /// Notes what was found under a name, unless that is known already.
    pub fn note(&mut self, part: InputPart, name: &str, input: impl FnOnce() -> Input) {
        if self.found(part, name).is_none() {
            self.read.push(Read {
                part,
                name: name.into(),
                input: input(),
            });
        }
    }
}

impl Unreadable {
    /// The word for it in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotUtf8 => "not-utf8",
            Self::TooLong => "too-long",
            Self::Repeated => "repeated",
            Self::BrokenEncoding => "broken-encoding",
            Self::Semicolon => "semicolon",
            Self::Unknown => "unknown",
        }
    }

    /// The one that records call `word`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [
            Self::NotUtf8,
            Self::TooLong,
            Self::Repeated,
            Self::BrokenEncoding,
            Self::Semicolon,
            Self::Unknown,
        ];
        all.into_iter().find(|one| one.as_str() == word)
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotUtf8 => "is not UTF-8",
            Self::TooLong => "has more than 4096 bytes",
            Self::Repeated => "is there more than once",
            Self::BrokenEncoding => "has broken percent-encoding",
            Self::Semicolon => "cannot be told apart: the query has a raw `;`",
            Self::Unknown => "was not looked for",
        })
    }
}

/// What it is a part of: `header` or `query parameter`.
impl fmt::Display for InputPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Query => "query parameter",
        })
    }
}
