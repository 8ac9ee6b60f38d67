//! `x-forwarded-client-cert`, as Envoy writes and documents it.
//!
//! ```text
//! header  = element *( "," element )     one element a proxy, the nearest last
//! element = pair *( ";" pair )
//! pair    = key "=" ( bare / DQUOTE *( "\" any / other ) DQUOTE )
//! ```
//!
//! Exact: what does not follow the grammar is an error, not a guess. Values are
//! kept as they were written, so that a header is written back byte by byte.
//!
//! The last element is of this hop: what our own proxy saw of the connection. The one
//! before it is what the peer of that connection says of the connection that it had
//! itself; who may say so is for the server to decide. Whatever stands before those two
//! nobody vouches for.

use std::{borrow::Cow, fmt};

use memchr::{memchr, memchr2, memchr3};

use crate::headers::is_token;

/// One header, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Xfcc<'a> {
    elements: Vec<Element<'a>>,
}

/// What one proxy said of the certificate it saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    pairs: Vec<Pair<'a>>,
}

/// A key and its value as written, quotes included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair<'a> {
    key: &'a str,
    raw: &'a str,
}

/// Where a header leaves the grammar; `at` counts bytes from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XfccError {
    /// No key before `=`, or none at all.
    MissingKey {
        /// Where the key should be.
        at: usize,
    },
    /// A key that `=` does not follow.
    MissingValue {
        /// Where `=` should be.
        at: usize,
    },
    /// A quoted value that does not end.
    UnclosedQuote {
        /// Where the quote opens.
        at: usize,
    },
    /// A byte after a value that neither ends its pair nor its element.
    Unexpected {
        /// Where it stands.
        at: usize,
    },
    /// An element with two `Chain` keys: neither is better than the other.
    TwoChains,
}

/// What the filter sends in place of a header that it cannot read. It does not follow
/// the grammar either: the server must not take it for a header without elements.
pub const UNREADABLE: &str = "unreadable";

/// The key under which Envoy puts the certificates that the peer presented.
const CHAIN: &str = "chain";

impl<'a> Xfcc<'a> {
    /// Parses a header value; repeated headers are joined with `,` first.
    ///
    /// # Errors
    /// The first place where `text` leaves the grammar.
    pub fn parse(text: &'a str) -> Result<Self, XfccError> {
        let mut rest = Cursor { text, at: 0 };
        let mut elements = Vec::new();
        loop {
            let (element, more) = rest.element()?;
            elements.push(element);
            if !more {
                return Ok(Self { elements });
            }
        }
    }

    /// The elements, the nearest proxy's last.
    #[must_use]
    pub fn elements(&self) -> &[Element<'a>] {
        &self.elements
    }

    /// The `Chain` of the last element, the one that our own proxy wrote.
    #[must_use]
    pub fn chain(&self) -> Option<Cow<'a, str>> {
        self.own()?.value(CHAIN)
    }

    /// Whether it is what this hop's own proxy says and nothing else, and no `Chain` in it.
    #[must_use]
    pub fn is_own_without_chain(&self) -> bool {
        match self.elements.as_slice() {
            [own] => own.pairs.iter().all(|pair| !is(pair.key, CHAIN)),
            _ => false,
        }
    }

    /// What this hop's own proxy says.
    #[must_use]
    pub fn own(&self) -> Option<&Element<'a>> {
        self.elements.last()
    }

    /// What the peer of the connection says of whom it forwards.
    #[must_use]
    pub fn forwarded(&self) -> Option<&Element<'a>> {
        self.elements.iter().nth_back(1)
    }
}

/// Writes a header of `elements`, without any `Chain`; `None` if nothing else is in it.
#[must_use]
pub fn without_chains<'e>(elements: impl IntoIterator<Item = &'e Element<'e>>) -> Option<String> {
    let elements = elements
        .into_iter()
        .map(|element| element.written(|key| !is(key, CHAIN)));
    let elements: Vec<String> = elements.filter(|text| !text.is_empty()).collect();
    (!elements.is_empty()).then(|| elements.join(","))
}

impl<'a> Element<'a> {
    /// The first value under `key`.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<Cow<'a, str>> {
        self.values(key).next()
    }

    /// Every value under `key`, which is compared without case; quotes and escapes
    /// removed.
    pub fn values(&self, key: &str) -> impl Iterator<Item = Cow<'a, str>> {
        let pairs = self.pairs.iter().filter(move |pair| is(pair.key, key));
        pairs.map(|pair| unquote(pair.raw))
    }

    /// The element as it was written.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.written(|_| true)
    }

    fn written(&self, kept: impl Fn(&str) -> bool) -> String {
        let mut text = String::new();
        for pair in self.pairs.iter().filter(|pair| kept(pair.key)) {
            let separator = if text.is_empty() { "" } else { ";" };
            text.extend([separator, pair.key, "=", pair.raw]);
        }
        text
    }

    fn checked(self) -> Result<Self, XfccError> {
        match self.pairs.iter().filter(|pair| is(pair.key, CHAIN)).count() {
            0 | 1 => Ok(self),
            _ => Err(XfccError::TwoChains),
        }
    }
}

fn is(key: &str, known: &str) -> bool {
    key.eq_ignore_ascii_case(known)
}

fn unquote(raw: &str) -> Cow<'_, str> {
    let Some(inner) = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')) else {
        return Cow::Borrowed(raw);
    };
    if memchr(b'\\', inner.as_bytes()).is_none() {
        return Cow::Borrowed(inner);
    }
    let mut text = String::with_capacity(inner.len());
    let mut escaped = false;
    for char in inner.chars() {
        escaped = !escaped && char == '\\';
        if !escaped {
            text.push(char);
        }
    }
    Cow::Owned(text)
}

/// The text from a byte on; every step lands behind an ASCII byte.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let taken = self.rest().get(..bytes).unwrap_or_default();
        self.at = self.at.saturating_add(taken.len());
        taken
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.take(rest.len() - rest.trim_start_matches([' ', '\t']).len());
    }

    /// One element, and whether another follows.
    fn element(&mut self) -> Result<(Element<'a>, bool), XfccError> {
        let mut pairs = Vec::new();
        loop {
            self.skip_blanks();
            pairs.push(self.pair()?);
            self.skip_blanks();
            let at = self.at;
            match self.take(1) {
                ";" => {}
                "," => return Ok((Element { pairs }.checked()?, true)),
                "" if self.rest().is_empty() => return Ok((Element { pairs }.checked()?, false)),
                _ => return Err(XfccError::Unexpected { at }),
            }
        }
    }

    fn pair(&mut self) -> Result<Pair<'a>, XfccError> {
        let length = self
            .rest()
            .bytes()
            .take_while(|&byte| is_token(byte))
            .count();
        if length == 0 {
            return Err(XfccError::MissingKey { at: self.at });
        }
        let key = self.take(length);
        if !self.rest().starts_with('=') {
            return Err(XfccError::MissingValue { at: self.at });
        }
        self.take(1);
        let raw = if self.rest().starts_with('"') {
            self.quoted()?
        } else {
            self.bare()
        };
        Ok(Pair { key, raw })
    }

    fn bare(&mut self) -> &'a str {
        let rest = self.rest();
        let end = memchr3(b',', b';', b'"', rest.as_bytes()).unwrap_or(rest.len());
        let value = rest
            .get(..end)
            .unwrap_or_default()
            .trim_end_matches([' ', '\t']);
        self.take(value.len())
    }

    /// A backslash takes the next character with it: Envoy's own escape is `\"`,
    /// and a subject in RFC 2253 form brings `\\` and `\,` of its own.
    fn quoted(&mut self) -> Result<&'a str, XfccError> {
        let rest = self.rest();
        let mut at = 1;
        while let Some(tail) = rest.get(at..)
            && let Some(found) = memchr2(b'"', b'\\', tail.as_bytes())
        {
            at += found;
            if rest.as_bytes().get(at) == Some(&b'"') {
                return Ok(self.take(at + 1));
            }
            let escaped = rest.get(at + 1..).and_then(|tail| tail.chars().next());
            at += 1 + escaped.map_or(0, char::len_utf8);
        }
        Err(XfccError::UnclosedQuote { at: self.at })
    }
}

impl fmt::Display for XfccError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingKey { at } => write!(f, "no key at byte {at}"),
            Self::MissingValue { at } => write!(f, "no `=` after the key at byte {at}"),
            Self::UnclosedQuote { at } => write!(f, "the quote at byte {at} is not closed"),
            Self::Unexpected { at } => write!(f, "unexpected text after a value at byte {at}"),
            Self::TwoChains => f.write_str("two `Chain` keys in one element"),
        }
    }
}

impl std::error::Error for XfccError {}

#[cfg(test)]
mod tests;
