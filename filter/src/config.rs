//! The filter's configuration: one object, as JSON text (a
//! `google.protobuf.StringValue` in Envoy) or as an encoded `google.protobuf.Struct`,
//! which Envoy 1.40 passes on as it is.
//!
//! | key | default | bounds |
//! |---|---|---|
//! | `cluster` | required | not empty |
//! | `timeout` | `100ms` | `1ms` to `10s` |
//! | `leases` | `true` | |
//! | `maxStale` | `5s` | `100ms` to `60s` |
//! | `danger_allow_on_error` | `false` | |
//!
//! Anything else is an error: a typo must not become a default.

use std::{fmt, time::Duration};

use prost::Message as _;
use prost_types::{Struct, value::Kind};
use serde::Deserialize;
use serde_json::Value;

/// A configuration that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    cluster: String,
    timeout: Duration,
    leases: bool,
    max_stale: Duration,
    danger_allow_on_error: bool,
}

/// Why a configuration cannot be used.
#[derive(Debug)]
pub enum ConfigError {
    /// There is none.
    Absent,
    /// Not JSON, or not of the shape above; the parser's own words, which name
    /// the key, the line and the column.
    Json(serde_json::Error),
    /// A list of values without their keys.
    NotAnObject,
    /// `cluster` is the empty string.
    EmptyCluster,
    /// A value that is not a duration.
    NotADuration {
        /// The key.
        key: &'static str,
        /// What stands there.
        value: String,
    },
    /// A duration outside its bounds.
    OutOfBounds {
        /// The key.
        key: &'static str,
        /// What stands there.
        value: String,
        /// The bounds, for people.
        bounds: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    cluster: String,
    #[serde(default = "default_timeout")]
    timeout: String,
    #[serde(default = "default_leases")]
    leases: bool,
    #[serde(default = "default_max_stale", rename = "maxStale")]
    max_stale: String,
    #[serde(default)]
    danger_allow_on_error: bool,
}

fn default_timeout() -> String {
    "100ms".to_owned()
}

fn default_leases() -> bool {
    true
}

fn default_max_stale() -> String {
    "5s".to_owned()
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        let document = read(bytes)?;
        if document.cluster.is_empty() {
            return Err(ConfigError::EmptyCluster);
        }
        Ok(Self {
            timeout: TIMEOUT.read(document.timeout)?,
            max_stale: MAX_STALE.read(document.max_stale)?,
            cluster: document.cluster,
            leases: document.leases,
            danger_allow_on_error: document.danger_allow_on_error,
        })
    }

    /// The proxy's name for the authorization server.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// How long a request waits for its decision, retry included.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether decisions may be reused.
    #[must_use]
    pub fn leases(&self) -> bool {
        self.leases
    }

    /// How long decisions may be reused without a word from the server.
    #[must_use]
    pub fn max_stale(&self) -> Duration {
        self.max_stale
    }

    /// Whether a request goes on when the server is unreachable or too slow.
    #[must_use]
    pub fn danger_allow_on_error(&self) -> bool {
        self.danger_allow_on_error
    }
}

/// Reads JSON text; what is none may be a `Struct`, whose first byte (the tag of its
/// first entry) is a line feed to JSON.
fn read(bytes: &[u8]) -> Result<Document, ConfigError> {
    match bytes.trim_ascii_start().first() {
        None => return Err(ConfigError::Absent),
        // An array would be read as the values in order.
        Some(b'[') => return Err(ConfigError::NotAnObject),
        Some(_) => {}
    }
    let error = match serde_json::from_slice(bytes) {
        Ok(document) => return Ok(document),
        Err(error) => error,
    };
    match Struct::decode(bytes) {
        Ok(fields) if bytes.first() == Some(&b'\n') => {
            serde_json::from_value(object(fields)).map_err(ConfigError::Json)
        }
        _ => Err(ConfigError::Json(error)),
    }
}

fn object(fields: Struct) -> Value {
    let entries = fields.fields.into_iter();
    entries
        .map(|(key, value)| (key, value.kind.map_or(Value::Null, json)))
        .collect()
}

fn json(kind: Kind) -> Value {
    match kind {
        Kind::NullValue(_) => Value::Null,
        Kind::NumberValue(number) => number.into(),
        Kind::StringValue(text) => text.into(),
        Kind::BoolValue(truth) => truth.into(),
        Kind::StructValue(fields) => object(fields),
        Kind::ListValue(list) => {
            let values = list.values.into_iter();
            values
                .map(|value| value.kind.map_or(Value::Null, json))
                .collect()
        }
    }
}

/// A key whose value is a duration, with the bounds that it must keep.
struct DurationKey {
    key: &'static str,
    least: Duration,
    most: Duration,
    bounds: &'static str,
}

/// A gated route's `stream_idle_timeout` is at most 15 s; the filter answers first.
const TIMEOUT: DurationKey = DurationKey {
    key: "timeout",
    least: Duration::from_millis(1),
    most: Duration::from_secs(10),
    bounds: "`1ms` to `10s`",
};

const MAX_STALE: DurationKey = DurationKey {
    key: "maxStale",
    least: Duration::from_millis(100),
    most: Duration::from_secs(60),
    bounds: "`100ms` to `60s`",
};

impl DurationKey {
    fn read(&self, value: String) -> Result<Duration, ConfigError> {
        let Some(duration) = parse_duration(&value) else {
            return Err(ConfigError::NotADuration {
                key: self.key,
                value,
            });
        };
        if duration < self.least || duration > self.most {
            return Err(ConfigError::OutOfBounds {
                key: self.key,
                value,
                bounds: self.bounds,
            });
        }
        Ok(duration)
    }
}

/// Digits, at most nine more after a point, and `ms` or `s`: `100ms`, `5s`, `0.25s`.
fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1_000_000),
        None => (text.strip_suffix('s')?, 1_000_000_000),
    };
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) => (whole, fraction),
        None => (number, "0"),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let scale = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let rest = fraction
        .parse::<u64>()
        .ok()?
        .checked_mul(unit)?
        .checked_div(scale)?;
    let nanos = whole
        .parse::<u64>()
        .ok()?
        .checked_mul(unit)?
        .checked_add(rest)?;
    Some(Duration::from_nanos(nanos))
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("filter configuration: ")?;
        match self {
            Self::Absent => f.write_str("there is none, and `cluster` is required"),
            Self::Json(error) => write!(f, "{error}"),
            Self::NotAnObject => f.write_str("expected an object, saw a list"),
            Self::EmptyCluster => f.write_str("`cluster` is empty"),
            Self::NotADuration { key, value } => {
                write!(
                    f,
                    "`{key}`: `{value}` is not a duration such as `100ms`, `5s` or `0.25s`"
                )
            }
            Self::OutOfBounds { key, value, bounds } => {
                write!(f, "`{key}`: `{value}` is not within {bounds}")
            }
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Json(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
