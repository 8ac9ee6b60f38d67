//! Documents, parsed but not yet compiled: what [`PolicySet::build`] takes.
//!
//! Every entry keeps its text and its line, because a refusal is explained in
//! the words and at the place of the document that caused it.
//!
//! [`PolicySet::build`]: crate::PolicySet::build

use crate::{CallerPattern, Condition, Operation, PathOptions, SpiffeId, Timestamp, TrustDomain};

/// Every document of one directory.
#[derive(Clone, Debug, Default)]
pub struct PolicySetSpec {
    /// The `MeshPolicy`, if there is one.
    pub mesh: Option<MeshSpec>,
    /// Every `ServicePolicy`.
    pub services: Vec<ServiceSpec>,
}

/// A `MeshPolicy`: the operator's rules, for every service.
#[derive(Clone, Debug, Hash)]
pub struct MeshSpec {
    /// `metadata.name`.
    pub name: String,
    /// The file, as records and explanations will show it.
    pub file: String,
    /// `spec.unpolicied`: what happens to services without a policy.
    pub unpolicied: Enforcement,
    /// `spec.identity`: what happens to callers without a valid identity.
    pub identity: Enforcement,
    /// Whom the mesh believes.
    pub trust: TrustSpec,
    /// `spec.allow`.
    pub allow: Vec<RuleSpec>,
    /// `spec.deny`.
    pub deny: Vec<RuleSpec>,
}

/// Whom a mesh believes. The default is nobody but the certificates themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TrustSpec {
    /// `spec.acceptedTrustDomains` with the mesh's own; callers of other domains are
    /// untrusted. Without it, every domain that there is a bundle for is accepted.
    pub accepted: Option<Vec<TrustDomain>>,
    /// `spec.aliases`.
    pub aliases: Vec<AliasSpec>,
    /// `spec.gateways`.
    pub gateways: Vec<GatewaySpec>,
    /// `spec.forwarders`.
    pub forwarders: Vec<ForwarderSpec>,
}

/// Callers that rules may also match under a name in another trust domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AliasSpec {
    /// `as`: where the other name is; its path is the caller's own.
    pub other: TrustDomain,
    /// `paths`, in the `trustDomain` whose callers they are.
    pub callers: Vec<CallerPattern>,
}

/// A proxy that is believed when it says for whom it forwards a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ForwarderSpec {
    /// `id`.
    pub id: SpiffeId,
    /// `mayAssert`: the callers it may name.
    pub may_assert: Vec<CallerPattern>,
    /// `forServices`: the services that believe it.
    pub for_services: Vec<CallerPattern>,
}

/// A proxy that asks about services other than its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatewaySpec {
    /// `id`.
    pub id: SpiffeId,
    /// `forServices`: the services it may ask about.
    pub for_services: Vec<CallerPattern>,
}

/// A `ServicePolicy`: one team's rules for calls to its services.
#[derive(Clone, Debug, Hash)]
pub struct ServiceSpec {
    /// `metadata.name`.
    pub name: String,
    /// The file, as records and explanations will show it.
    pub file: String,
    /// `spec.services`: the callees, exactly.
    pub services: Vec<SpiffeId>,
    /// `spec.owner`.
    pub owner: Option<String>,
    /// `spec.help`.
    pub help: Option<String>,
    /// `spec.enforcement`.
    pub enforcement: Enforcement,
    /// `spec.paths`.
    pub paths: PathOptions,
    /// `spec.overrideHeaders: Keep`.
    pub keep_override_headers: bool,
    /// `spec.allow`.
    pub allow: Vec<RuleSpec>,
    /// `spec.deny`.
    pub deny: Vec<RuleSpec>,
}

/// Whether a refusal is carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Enforcement {
    /// Refusals are carried out.
    #[default]
    Enforce,
    /// Refusals are recorded and let pass.
    Shadow,
}

/// One allow or deny rule: it matches when one `from`, one `to` and `when` do.
#[derive(Clone, Debug, Hash)]
pub struct RuleSpec {
    /// `name`.
    pub name: String,
    /// The line where the rule begins, counted from 1.
    pub line: u32,
    /// `from`; never empty.
    pub from: Vec<FromSpec>,
    /// `to`; never empty.
    pub to: Vec<ToSpec>,
    /// `when`.
    pub when: Option<WhenSpec>,
    /// `exception`; on allow rules only.
    pub exception: Option<ExceptionSpec>,
    /// `enforcement`: a rule in Shadow decides nothing, and what it would have decided is
    /// told beside the decision.
    pub enforcement: Enforcement,
}

/// The condition of a rule.
#[derive(Clone, Debug, Hash)]
pub struct WhenSpec {
    /// The line of `when`, counted from 1.
    pub line: u32,
    /// Its text, as YAML reads it.
    pub text: String,
    /// What it means.
    pub condition: Condition,
}

/// One entry of `from`.
#[derive(Clone, Debug, Hash)]
pub struct FromSpec {
    /// Its line, counted from 1.
    pub line: u32,
    /// Its text, as written.
    pub text: String,
    /// Whom it stands for.
    pub callers: Callers,
}

/// Whom an entry of `from` stands for.
#[derive(Clone, Debug, Hash)]
pub enum Callers {
    /// An identity or a pattern over identities.
    Pattern(CallerPattern),
    /// A `CallerGroup`, by its members; they capture nothing.
    Group(Vec<CallerPattern>),
}

/// One line of `to`.
#[derive(Clone, Debug, Hash)]
pub struct ToSpec {
    /// Its line, counted from 1.
    pub line: u32,
    /// Its text, as written.
    pub text: String,
    /// What it means.
    pub operation: Operation,
}

/// When an exception ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExceptionSpec {
    /// The line of `expires`, counted from 1.
    pub line: u32,
    /// From this moment on the rule no longer matches.
    pub expires: Timestamp,
}

impl Callers {
    /// The patterns that an identity may fit.
    #[must_use]
    pub fn patterns(&self) -> &[CallerPattern] {
        match self {
            Self::Pattern(pattern) => std::slice::from_ref(pattern),
            Self::Group(members) => members,
        }
    }
}
