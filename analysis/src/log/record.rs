//! One record, as it is written: borrowed from its line.

use std::{borrow::Cow, collections::BTreeMap};

use callgate_policy::{
    Input, InputPart, Reason, Timestamp, Unreadable, Verdict, document::parse_time,
};
use serde::{Deserialize, Deserializer, de::Error as _};

/// A decision, as a server recorded it. What explains a decision (`nearestMiss`) is left
/// out: whoever decides again explains anew.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record<'l> {
    /// When it was decided, by the clock of who decided.
    #[serde(deserialize_with = "time")]
    pub time: Timestamp,
    /// The ULID that the answer carried.
    #[serde(borrow)]
    pub id: Cow<'l, str>,
    /// What the rules said.
    #[serde(deserialize_with = "verdict")]
    pub verdict: Verdict,
    /// The cause.
    #[serde(deserialize_with = "reason")]
    pub reason: Reason,
    /// False if a Shadow setting let pass what the verdict refuses.
    pub enforced: bool,
    /// Whether the proxy decided by a lease.
    #[serde(default)]
    pub leased: bool,
    /// Of a stream that was open: the id of the decision that had let it in.
    #[serde(borrow, default, deserialize_with = "optional")]
    pub rechecks: Option<Cow<'l, str>>,
    /// The rule that decided, by its name.
    #[serde(borrow, default, deserialize_with = "optional")]
    pub rule: Option<Cow<'l, str>>,
    /// Where that rule stood, `file:line`.
    #[serde(borrow, default, deserialize_with = "optional")]
    pub policy: Option<Cow<'l, str>>,
    /// Who called: the original caller, if somebody passed the call on.
    #[serde(borrow)]
    pub source: Source<'l>,
    /// Who passed the call on.
    #[serde(borrow, default)]
    pub forwarder: Option<Source<'l>>,
    /// Of a caller who was revoked: the name of the document that said so.
    #[serde(borrow, default, deserialize_with = "optional")]
    pub revocation: Option<Cow<'l, str>>,
    /// The callee, as the proxy named it.
    #[serde(borrow)]
    pub destination: Cow<'l, str>,
    /// The HTTP method.
    #[serde(borrow)]
    pub method: Cow<'l, str>,
    /// The path, without its query.
    #[serde(borrow)]
    pub path: Cow<'l, str>,
    /// The `upgrade` header.
    #[serde(borrow, default, deserialize_with = "optional")]
    pub upgrade: Option<Cow<'l, str>>,
    /// What a `when` read.
    #[serde(borrow, default)]
    pub inputs: Inputs<'l>,
    /// The authority that was asked for.
    #[serde(borrow, default)]
    pub host: Cow<'l, str>,
    /// Whether the caller spoke gRPC.
    pub grpc: bool,
    /// The SPIFFE ID that the proxy proved.
    #[serde(borrow, default, deserialize_with = "optional")]
    pub proxy: Option<Cow<'l, str>>,
    /// What it was decided by.
    #[serde(borrow, default)]
    pub revision: Cow<'l, str>,
}

/// A caller in a record. The certificate's times are read only when they are asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Source<'l> {
    /// The SPIFFE ID, if the certificate verified or the forwarder was believed.
    #[serde(borrow, deserialize_with = "optional")]
    pub id: Option<Cow<'l, str>>,
    /// The leaf's SHA-256, in hex.
    #[serde(borrow, deserialize_with = "optional")]
    pub certificate_sha256: Option<Cow<'l, str>>,
    #[serde(borrow, deserialize_with = "optional")]
    not_before: Option<Cow<'l, str>>,
    #[serde(borrow, deserialize_with = "optional")]
    not_after: Option<Cow<'l, str>>,
    /// Who signed the leaf.
    #[serde(borrow, deserialize_with = "optional")]
    pub issuer: Option<Cow<'l, str>>,
}

/// The headers and query values that a `when` read. One that was looked for and was not
/// there is in it as well, with null: that it is absent is what decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Inputs<'l> {
    /// Headers, by their names in lower case.
    #[serde(borrow)]
    pub headers: BTreeMap<Cow<'l, str>, Option<InputValue<'l>>>,
    /// Query values, by their names.
    #[serde(borrow)]
    pub query: BTreeMap<Cow<'l, str>, Option<InputValue<'l>>>,
}

/// What a `when` found under a name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum InputValue<'l> {
    /// A value.
    Text(Cow<'l, str>),
    /// Something that cannot be read.
    Unreadable {
        /// Why, in a word.
        unreadable: Cow<'l, str>,
    },
}

impl Inputs<'_> {
    /// The same, for deciding.
    #[must_use]
    pub fn read(&self) -> callgate_policy::Inputs {
        let mut inputs = callgate_policy::Inputs::default();
        let parts = [
            (InputPart::Header, &self.headers),
            (InputPart::Query, &self.query),
        ];
        for (part, values) in parts {
            for (name, value) in values {
                inputs.note(part, name, || match value {
                    None => Input::Absent,
                    Some(InputValue::Text(text)) => Input::Text(text.clone().into_owned()),
                    // A word that this release does not know is none that it could read.
                    Some(InputValue::Unreadable { unreadable }) => Input::Unreadable(
                        Unreadable::from_word(unreadable).unwrap_or(Unreadable::NotUtf8),
                    ),
                });
            }
        }
        inputs
    }
}

impl<'l> Record<'l> {
    /// Reads one line.
    pub(super) fn parse(line: &'l [u8]) -> Result<Self, serde_json::Error> {
        // All of it is text (RFC 8259 section 8.1), also what nobody reads here.
        let line = str::from_utf8(line).map_err(serde_json::Error::custom)?;
        serde_json::from_str(line)
    }
}

impl Source<'_> {
    /// The leaf's first moment, if it is known and is a time.
    #[must_use]
    pub fn not_before(&self) -> Option<Timestamp> {
        moment(self.not_before.as_deref())
    }

    /// The leaf's last moment, if it is known and is a time.
    #[must_use]
    pub fn not_after(&self) -> Option<Timestamp> {
        moment(self.not_after.as_deref())
    }
}

fn moment(text: Option<&str>) -> Option<Timestamp> {
    parse_time(text?).ok()
}

/// Texts without escapes are borrowed; `borrow` alone does not reach into an `Option`.
fn optional<'de: 'l, 'l, D>(deserializer: D) -> Result<Option<Cow<'l, str>>, D::Error>
where
    D: Deserializer<'de>,
{
    let text = Option::<Text<'l>>::deserialize(deserializer)?;
    Ok(text.map(|Text(text)| text))
}

#[derive(Deserialize)]
struct Text<'l>(#[serde(borrow)] Cow<'l, str>);

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let Text(text) = Text::deserialize(deserializer)?;
    parse_time(&text).map_err(|error| D::Error::custom(format!("`time`: {error}")))
}

fn verdict<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Verdict, D::Error> {
    let Text(text) = Text::deserialize(deserializer)?;
    match &*text {
        "Allow" => Ok(Verdict::Allow),
        "Deny" => Ok(Verdict::Deny),
        _ => Err(D::Error::custom("`verdict` is neither `Allow` nor `Deny`")),
    }
}

fn reason<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Reason, D::Error> {
    let Text(text) = Text::deserialize(deserializer)?;
    Reason::of_word(&text).ok_or_else(|| D::Error::custom("`reason` is none of this release"))
}
