//! Why an answer cannot be used.

use std::fmt;

use super::{MAX_ANSWER, MAX_HEADERS};

/// What is wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerFault {
    /// Longer than [`MAX_ANSWER`].
    TooLong,
    /// Not a `CheckResponse`: cut off, or bytes where text should be.
    NotAnAnswer(String),
    /// No `status`: native ext_authz would let the call go on.
    NoStatus,
    /// A status that is not a gRPC status code.
    UnknownStatus(i32),
    /// Status OK with a refusal beside it, or the other way round.
    Contradiction,
    /// A refusal without its response.
    NoDenial,
    /// A refusal whose HTTP status is not 400 to 599.
    HttpStatus(i32),
    /// More headers than anyone needs.
    TooManyHeaders,
    /// A header option without its header.
    NoHeader,
    /// A header that no answer may touch.
    OffLimits(String),
    /// A name or value that could not stand in a message.
    InvalidHeader(String),
    /// Both a text and a byte value, or an action this filter does not know.
    UnclearHeader(String),
    /// Headers for the response, which this filter has no part in.
    ResponseHeaders,
    /// `overrideHeaders` with a value other than `Keep`.
    OverrideHeaders,
    /// It says how long it stands in words that make no sense.
    Terms,
    /// It asks for headers that no filter tells.
    WantedHeaders,
    /// It asks again for headers that it was told.
    AskedInCircles,
}

impl fmt::Display for AnswerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the answer is longer than {MAX_ANSWER} bytes"),
            Self::NotAnAnswer(error) => write!(f, "the answer is not a CheckResponse: {error}"),
            Self::NoStatus => f.write_str("the answer has no status"),
            Self::UnknownStatus(code) => write!(f, "the answer refuses with status {code}"),
            Self::Contradiction => f.write_str("the answer allows and refuses at once"),
            Self::NoDenial => f.write_str("the answer refuses without a response"),
            Self::HttpStatus(code) => write!(f, "the answer refuses with HTTP status {code}"),
            Self::TooManyHeaders => write!(f, "the answer changes more than {MAX_HEADERS} headers"),
            Self::NoHeader => f.write_str("the answer has a header option without a header"),
            // Debug: a name that is not one must not break the log line.
            Self::OffLimits(name) => write!(f, "the answer may not touch {name:?}"),
            Self::InvalidHeader(name) => write!(f, "the answer's header {name:?} is not valid"),
            Self::UnclearHeader(name) => write!(f, "the answer's header {name:?} is not clear"),
            Self::ResponseHeaders => f.write_str("the answer wants headers on the response"),
            Self::OverrideHeaders => {
                f.write_str("the answer's `overrideHeaders` is something else than `Keep`")
            }
            Self::Terms => f.write_str("the answer's terms cannot be read"),
            Self::WantedHeaders => f.write_str("the answer asks for headers that are not told"),
            Self::AskedInCircles => f.write_str("the answer asks for headers that it was told"),
        }
    }
}

impl std::error::Error for AnswerFault {}
