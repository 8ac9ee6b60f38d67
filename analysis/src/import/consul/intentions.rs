//! Intentions: who may call whom, and how exactly both are named.

use callgate_policy::TrustDomain;

use crate::import::{
    Options,
    document::Span,
    shape::{Segment, Shape},
};

use super::permissions::Permission;

/// The namespace and the partition where nothing else is said.
pub(super) const DEFAULT: &str = "default";

/// A service, or all of some, by `*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Service {
    pub(super) partition: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// One source of one destination.
#[derive(Debug)]
pub(super) struct Intention<'n> {
    /// What rules are called.
    pub(super) name: String,
    pub(super) at: Span,
    pub(super) destination: Service,
    pub(super) source: Shape,
    pub(super) source_service: Service,
    pub(super) source_name: &'n str,
    /// How many of namespace and name the source leaves open.
    pub(super) source_wildness: u8,
    pub(super) effect: Effect,
}

/// What an intention does.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    Allow,
    Deny,
    /// The first permission that fits decides; none, and the call is denied.
    Permissions(Vec<Permission>),
}

impl PartialEq for Effect {
    fn eq(&self, other: &Self) -> bool {
        matches!(
            (self, other),
            (Self::Allow, Self::Allow) | (Self::Deny, Self::Deny)
        )
    }
}

impl Intention<'_> {
    /// Whether it names a namespace or a partition that is not the default.
    pub(super) fn names_a_place(&self) -> bool {
        let is_default = |service: &Service| {
            service.partition == DEFAULT && matches!(service.namespace.as_str(), DEFAULT | "*")
        };
        !(is_default(&self.destination) && is_default(&self.source_service))
    }
}

impl Service {
    /// How many of namespace and name are open.
    pub(super) fn wildness(&self) -> u8 {
        u8::from(self.name == "*").saturating_add(u8::from(self.namespace == "*"))
    }

    /// Whether it stands for several.
    pub(super) fn is_wild(&self) -> bool {
        self.wildness() > 0
    }

    /// Whether `other` is among what it stands for.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.partition == other.partition
            && (self.namespace == "*" || self.namespace == other.namespace)
            && (self.name == "*" || self.name == other.name)
    }

    /// The identities that Consul gives it: the datacenter is not compared.
    pub(super) fn shape(&self, domain: &str) -> Shape {
        let segment = |text: &str| match text {
            "*" => Segment::Any,
            text => Segment::Literal(text.to_owned()),
        };
        let mut shape = Shape::exact([domain]);
        if self.partition != DEFAULT {
            shape = shape.then(segment("ap")).then(segment(&self.partition));
        }
        let shape = shape.then(segment("ns")).then(segment(&self.namespace));
        let shape = shape.then(segment("dc")).then(Segment::Any);
        shape.then(segment("svc")).then(segment(&self.name))
    }
}

/// The trust domain of the mesh. The command always gives one.
pub(super) fn domain(options: &Options) -> &str {
    options
        .trust_domain
        .as_ref()
        .map_or("consul", TrustDomain::as_str)
}
