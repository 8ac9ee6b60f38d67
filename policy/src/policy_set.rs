//! Every document, compiled.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::{
    Location, PathOptions, RuleRef, SpiffeId,
    identity::Key,
    spec::Enforcement,
    table::{Rule, RuleTable, allocated},
    trust::Trust,
};

/// Every document of one directory, compiled. Immutable, `Send` and `Sync`; a new
/// revision is a new set. An empty one denies everything.
#[derive(Debug, Default)]
pub struct PolicySet {
    /// Indexes into `policies`. The hash needs no secret: what is in the map comes
    /// from documents, and callers only look things up.
    pub(crate) services: HashMap<Key, usize, FixedState>,
    pub(crate) policies: Box<[ServicePolicy]>,
    pub(crate) mesh: Mesh,
}

/// One team's rules for calls to its services.
#[derive(Debug)]
pub(crate) struct ServicePolicy {
    pub(crate) document: Document,
    pub(crate) owner: Option<Box<str>>,
    pub(crate) help: Option<Box<str>>,
    pub(crate) enforcement: Enforcement,
    pub(crate) paths: PathOptions,
    pub(crate) keep_override_headers: bool,
    pub(crate) allow: RuleTable,
    pub(crate) deny: RuleTable,
    pub(crate) shadow: Option<Box<ShadowRules>>,
    /// The headers that its conditions read.
    pub(crate) headers: Box<[Box<str>]>,
    #[cfg(feature = "documents")]
    pub(crate) digest: [u8; 16],
}

/// Rules with `enforcement: Shadow`: they decide nothing.
#[derive(Debug, Default)]
pub(crate) struct ShadowRules {
    pub(crate) allow: RuleTable,
    pub(crate) deny: RuleTable,
}

/// The operator's rules; without a document, no rules and everything enforced.
#[derive(Debug, Default)]
pub(crate) struct Mesh {
    pub(crate) document: Document,
    pub(crate) unpolicied: Enforcement,
    pub(crate) identity: Enforcement,
    pub(crate) trust: Trust,
    pub(crate) allow: RuleTable,
    pub(crate) deny: RuleTable,
    pub(crate) shadow: Option<Box<ShadowRules>>,
    /// The headers that its conditions read.
    pub(crate) headers: Box<[Box<str>]>,
    #[cfg(feature = "documents")]
    pub(crate) digest: [u8; 16],
}

/// What rules are named by.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub(crate) name: Box<str>,
    pub(crate) file: Box<str>,
}

impl PolicySet {
    /// The policy for calls to `service`. A callee without an ID has none.
    pub(crate) fn policy_for(&self, service: Option<&SpiffeId>) -> Option<&ServicePolicy> {
        let index = self.services.get(service?.as_str().as_bytes())?;
        self.policies.get(*index)
    }

    /// About how many bytes it takes beyond its own size; of whom the mesh trusts, only
    /// the names of callers.
    pub(crate) fn footprint(&self) -> usize {
        let policies = self.policies.iter().map(|policy| {
            let texts = [&policy.owner, &policy.help].into_iter().flatten();
            let texts = texts.map(|text| allocated(text.len()));
            policy.document.footprint()
                + texts.sum::<usize>()
                + [&policy.allow, &policy.deny]
                    .map(RuleTable::footprint)
                    .iter()
                    .sum::<usize>()
                + shadow_footprint(policy.shadow.as_deref())
        });
        let mesh = &self.mesh;
        allocated(size_of_val(&*self.policies))
            + policies.sum::<usize>()
            + mesh.document.footprint()
            + [&mesh.allow, &mesh.deny]
                .map(RuleTable::footprint)
                .iter()
                .sum::<usize>()
            + shadow_footprint(mesh.shadow.as_deref())
            + mesh.trust.footprint()
    }

    /// The headers that a decision about calls to `service` may read, besides those that
    /// operations look at; some perhaps twice.
    pub fn headers_for(&self, service: Option<&SpiffeId>) -> impl Iterator<Item = &str> {
        let of_service = self.policy_for(service).map(|policy| &*policy.headers);
        let of_service = of_service.unwrap_or_default().iter();
        of_service.chain(&self.mesh.headers).map(|name| &**name)
    }
}

fn shadow_footprint(shadow: Option<&ShadowRules>) -> usize {
    shadow.map_or(0, |shadow| {
        let tables = [&shadow.allow, &shadow.deny].map(RuleTable::footprint);
        allocated(size_of_val(shadow)) + tables.iter().sum::<usize>()
    })
}

impl Document {
    fn footprint(&self) -> usize {
        allocated(self.name.len()) + allocated(self.file.len())
    }

    pub(crate) fn rule_ref<'p>(&'p self, rule: &'p Rule) -> RuleRef<'p> {
        RuleRef {
            name: &rule.name,
            policy: &self.name,
            location: Location {
                file: &self.file,
                line: rule.line,
            },
        }
    }
}
