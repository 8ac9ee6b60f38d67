//! A slice as it travels: protocol buffers. Shared by both ends, which are of one version;
//! a change to what is here is a new version of `callgate.terms`.

/// A [`Slice`](super::Slice).
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Slice {
    /// The trust domain of the caller.
    #[prost(string, tag = "1")]
    pub(super) trust_domain: String,
    /// Those in which the caller has other names.
    #[prost(string, repeated, tag = "2")]
    pub(super) aliases: Vec<String>,
    #[prost(message, required, tag = "3")]
    pub(super) mesh: Document,
    /// Refusals of services without a policy are recorded only.
    #[prost(bool, tag = "4")]
    pub(super) unpolicied_shadow: bool,
    /// Absent: the service has no policy.
    #[prost(message, optional, tag = "5")]
    pub(super) service: Option<Service>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Service {
    #[prost(message, required, tag = "1")]
    pub(super) document: Document,
    #[prost(string, optional, tag = "2")]
    pub(super) owner: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub(super) help: Option<String>,
    /// Its refusals are recorded only.
    #[prost(bool, tag = "4")]
    pub(super) shadow: bool,
    #[prost(bool, tag = "5")]
    pub(super) keep_encoded_slash: bool,
    #[prost(bool, tag = "6")]
    pub(super) keep_parameters: bool,
    #[prost(bool, tag = "7")]
    pub(super) ignore_trailing_slash: bool,
    #[prost(bool, tag = "8")]
    pub(super) keep_override_headers: bool,
}

/// The rules of one document that are about the caller.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Document {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) file: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) allow: Vec<Rule>,
    #[prost(message, repeated, tag = "4")]
    pub(super) deny: Vec<Rule>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Rule {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(uint32, tag = "2")]
    pub(super) line: u32,
    /// Patterns in full. One that captures nothing is that of everybody in its trust
    /// domain: it was found to match, and callers with the same rules shall have the same
    /// bytes.
    #[prost(string, repeated, tag = "3")]
    pub(super) from: Vec<String>,
    /// As written.
    #[prost(string, repeated, tag = "4")]
    pub(super) to: Vec<String>,
    #[prost(message, optional, tag = "5")]
    pub(super) when: Option<When>,
    /// When its exception ends, Unix milliseconds.
    #[prost(sint64, optional, tag = "6")]
    pub(super) expires: Option<i64>,
    /// It decides nothing.
    #[prost(bool, tag = "7")]
    pub(super) shadow: bool,
}

/// A condition, which is for the server.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct When {
    /// The captures that it reads: a name that a condition reads binds there.
    #[prost(string, repeated, tag = "1")]
    pub(super) captures: Vec<String>,
}
