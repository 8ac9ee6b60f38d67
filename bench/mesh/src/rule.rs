//! Rules as data, before any engine's language.

/// Every service of the mesh.
#[derive(Clone, Debug)]
pub struct Mesh {
    /// The services, each with a policy.
    pub services: Vec<Service>,
}

/// One called service and what its team allows.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its short name, unique in the mesh.
    pub name: String,
    /// Its SPIFFE ID.
    pub id: String,
    /// The rules, in the order of the document.
    pub rules: Vec<Rule>,
}

/// One rule: any of `from` may (or may never) call any of `to`.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Unique in its service.
    pub name: String,
    /// What a match means.
    pub effect: Effect,
    /// Who calls.
    pub from: Vec<Callers>,
    /// What is called.
    pub to: Vec<Operation>,
}

/// What a matching rule means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The call may go on, if no deny rule matches.
    Allow,
    /// The call may not go on.
    Deny,
}

/// A set of callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Callers {
    /// One workload.
    One {
        /// Its namespace.
        namespace: String,
        /// Its service account.
        account: String,
    },
    /// Every workload of a namespace.
    Namespace(String),
}

/// One operation of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The verb.
    pub verb: Verb,
    /// The path's segments.
    pub path: Vec<Segment>,
    /// Whether any further segments may follow (`/**`).
    pub rest: bool,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `GET`, which covers `HEAD`.
    Get,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `DELETE`.
    Delete,
    /// A gRPC call: `POST` with the content type `application/grpc`.
    Grpc,
    /// Any method.
    Any,
}

/// One segment of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// This text.
    Literal(String),
    /// Any one segment, named.
    Capture(&'static str),
}

impl Callers {
    /// Whether the workload `namespace`/`account` is one of these.
    #[must_use]
    pub fn contains(&self, namespace: &str, account: &str) -> bool {
        match self {
            Self::One {
                namespace: n,
                account: a,
            } => n == namespace && a == account,
            Self::Namespace(n) => n == namespace,
        }
    }
}

impl Verb {
    /// The methods that this verb takes, or none if it takes every one.
    #[must_use]
    pub const fn methods(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Get => Some(&["GET", "HEAD"]),
            Self::Post | Self::Grpc => Some(&["POST"]),
            Self::Put => Some(&["PUT"]),
            Self::Delete => Some(&["DELETE"]),
            Self::Any => None,
        }
    }
}

impl Operation {
    /// Whether this is the operation called: compared one by one, the way that
    /// needs no proof.
    #[must_use]
    pub fn covers(&self, method: &str, segments: &[&str], grpc: bool) -> bool {
        self.verb.methods().is_none_or(|m| m.contains(&method))
            && (self.verb != Verb::Grpc || grpc)
            && (segments.len() == self.path.len() || self.rest && segments.len() > self.path.len())
            && self
                .path
                .iter()
                .zip(segments)
                .all(|(want, saw)| match want {
                    Segment::Literal(text) => text == saw,
                    Segment::Capture(_) => !saw.is_empty(),
                })
    }
}

impl Rule {
    /// Whether this rule takes a call of `account` in `namespace`.
    #[must_use]
    pub fn covers(&self, caller: (&str, &str), call: (&str, &[&str], bool)) -> bool {
        let (method, segments, grpc) = call;
        self.from.iter().any(|f| f.contains(caller.0, caller.1))
            && self.to.iter().any(|o| o.covers(method, segments, grpc))
    }
}
