//! Where a row is run: a level, and what distinguishes one run on it from another.

use std::{fmt, str::FromStr};

use anyhow::{Result, bail};

/// The four levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// `PolicySet::decide`.
    Decide,
    /// The filter behind a host made for tests, asking the service in process.
    Filter,
    /// The gRPC service over a socket.
    Server,
    /// Real Envoy, real mTLS.
    Envoy,
}

/// Who asks the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Callgate's filter, or a Check as it sends it.
    Ours,
    /// Envoy's own `ext_authz`, or a Check as that sends it.
    Native,
}

/// The protocol of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// One place where rows are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The level.
    pub level: Level,
    /// On the levels where there are two.
    pub form: Option<Form>,
    /// On the level where there are two.
    pub protocol: Option<Protocol>,
    /// It decides by the machine's clock, whatever time a row names: certificates are of
    /// today.
    pub clock: bool,
}

impl Place {
    /// `PolicySet::decide`.
    pub const DECIDE: Self = Self {
        level: Level::Decide,
        form: None,
        protocol: None,
        clock: false,
    };
    /// The filter behind a host made for tests.
    pub const FILTER: Self = Self {
        level: Level::Filter,
        form: None,
        protocol: None,
        clock: true,
    };

    /// The gRPC service.
    #[must_use]
    pub const fn server(form: Form) -> Self {
        Self {
            level: Level::Server,
            form: Some(form),
            protocol: None,
            clock: true,
        }
    }

    /// Real Envoy.
    #[must_use]
    pub const fn envoy(form: Form, protocol: Protocol) -> Self {
        Self {
            level: Level::Envoy,
            form: Some(form),
            protocol: Some(protocol),
            clock: true,
        }
    }

    fn words(self) -> impl Iterator<Item = Word> {
        let level = match self.level {
            Level::Decide => Word::Decide,
            Level::Filter => Word::Filter,
            Level::Server => Word::Server,
            Level::Envoy => Word::Envoy,
        };
        let form = self.form.map(|form| match form {
            Form::Ours => Word::Ours,
            Form::Native => Word::Native,
        });
        let protocol = self.protocol.map(|protocol| match protocol {
            Protocol::Http1 => Word::H1,
            Protocol::Http2 => Word::H2,
        });
        let clock = self.clock.then_some(Word::Clock);
        [Some(level), form, protocol, clock].into_iter().flatten()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self
            .words()
            .filter(|word| *word != Word::Clock)
            .map(Word::as_str)
            .collect();
        f.write_str(&words.join("-"))
    }
}

/// Some places, as a row's `differs` names them: `envoy`, `envoy-native-h1`, `clock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope(Vec<Word>);

impl Scope {
    /// How closely this names `place`; nothing if it does not.
    pub(super) fn closeness(&self, place: Place) -> Option<usize> {
        let words: Vec<Word> = place.words().collect();
        self.0
            .iter()
            .all(|word| words.contains(word))
            .then_some(self.0.len())
    }
}

impl FromStr for Scope {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        text.split('-')
            .map(str::parse)
            .collect::<Result<_>>()
            .map(Self)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Decide,
    Filter,
    Server,
    Envoy,
    Ours,
    Native,
    H1,
    H2,
    Clock,
}

impl Word {
    const ALL: [Self; 9] = [
        Self::Decide,
        Self::Filter,
        Self::Server,
        Self::Envoy,
        Self::Ours,
        Self::Native,
        Self::H1,
        Self::H2,
        Self::Clock,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Decide => "decide",
            Self::Filter => "filter",
            Self::Server => "server",
            Self::Envoy => "envoy",
            Self::Ours => "ours",
            Self::Native => "native",
            Self::H1 => "h1",
            Self::H2 => "h2",
            Self::Clock => "clock",
        }
    }
}

impl FromStr for Word {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|word| word.as_str() == text) {
            Some(word) => Ok(word),
            None => bail!("no place is `{text}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closer_scope_names_more() {
        let place = Place::envoy(Form::Native, Protocol::Http1);
        let closeness = |text: &str| text.parse::<Scope>().unwrap().closeness(place);
        assert_eq!(closeness("envoy"), Some(1));
        assert_eq!(closeness("envoy-native-h1"), Some(3));
        assert_eq!(closeness("clock"), Some(1));
        assert_eq!(closeness("envoy-ours"), None);
        assert_eq!(closeness("server-native"), None);
    }

    #[test]
    fn a_scope_of_no_place_is_an_error() {
        assert!("envoy-h3".parse::<Scope>().is_err());
    }
}
