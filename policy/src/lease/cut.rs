//! Cutting a slice: what of a whole set is about one caller and one service.

use prost::Message as _;

use super::{Slice, encoded};
use crate::{
    PathOptions, PolicySet, SpiffeId,
    policy_set::{Document, ServicePolicy, ShadowRules},
    spec::Enforcement,
    table::{Excerpt, RuleTable},
    trust::Parties,
};

impl PolicySet {
    /// What a proxy needs to decide about calls by `caller` to `service` itself, encoded;
    /// see [`Slice::decode`]. Callers to whom the same rules apply have the same bytes.
    ///
    /// `None` of those that are to be asked about each time: callers that the mesh does
    /// not believe, forwarders, and those about whom too much is said.
    #[must_use]
    pub fn slice(&self, caller: &SpiffeId, service: Option<&SpiffeId>) -> Option<Vec<u8>> {
        let trust = &self.mesh.trust;
        let parties = Parties {
            caller,
            forwarder: None,
        };
        if !trust.believes(parties, service) || trust.forwarder(caller, service).is_some() {
            return None;
        }
        let also = trust.also(parties);
        let mut cutter = Cutter {
            names: std::iter::once(caller).chain(&also.names).collect(),
            ways: 0,
            bytes: 0,
        };
        let mesh = &self.mesh;
        let policy = self.policy_for(service);
        let slice = encoded::Slice {
            trust_domain: caller.trust_domain().to_owned(),
            aliases: also
                .names
                .iter()
                .map(|name| name.trust_domain().to_owned())
                .collect(),
            mesh: cutter.document(
                &mesh.document,
                [&mesh.allow, &mesh.deny],
                mesh.shadow.as_deref(),
            )?,
            unpolicied_shadow: mesh.unpolicied == Enforcement::Shadow,
            service: match policy {
                Some(policy) => Some(cutter.service(policy)?),
                None => None,
            },
        };
        (slice.encoded_len() <= Slice::MAX_BYTES).then(|| slice.encode_to_vec())
    }
}

/// What is known while a slice is cut.
struct Cutter<'c> {
    /// The caller's, its own first.
    names: Vec<&'c SpiffeId>,
    /// So far.
    ways: usize,
    bytes: usize,
}

impl Cutter<'_> {
    fn service(&mut self, policy: &ServicePolicy) -> Option<encoded::Service> {
        let PathOptions {
            keep_encoded_slash,
            keep_parameters,
            ignore_trailing_slash,
        } = policy.paths;
        Some(encoded::Service {
            document: self.document(
                &policy.document,
                [&policy.allow, &policy.deny],
                policy.shadow.as_deref(),
            )?,
            owner: policy.owner.as_deref().map(str::to_owned),
            help: policy.help.as_deref().map(str::to_owned),
            shadow: policy.enforcement == Enforcement::Shadow,
            keep_encoded_slash,
            keep_parameters,
            ignore_trailing_slash,
            keep_override_headers: policy.keep_override_headers,
        })
    }

    fn document(
        &mut self,
        document: &Document,
        [allow, deny]: [&RuleTable; 2],
        shadow: Option<&ShadowRules>,
    ) -> Option<encoded::Document> {
        let mut cut = encoded::Document {
            name: document.name.to_string(),
            file: document.file.to_string(),
            allow: self.rules(allow, false)?,
            deny: self.rules(deny, false)?,
        };
        if let Some(shadow) = shadow {
            cut.allow.extend(self.rules(&shadow.allow, true)?);
            cut.deny.extend(self.rules(&shadow.deny, true)?);
        }
        Some(cut)
    }

    /// The rules of a table that are about the caller; `None` if they are too many.
    fn rules(&mut self, table: &RuleTable, shadow: bool) -> Option<Vec<encoded::Rule>> {
        let excerpts = table.excerpts(&self.names, Slice::MAX_WAYS)?;
        let rules = excerpts.into_iter().map(|excerpt| {
            let rule = rule(excerpt, shadow);
            let ways = rule.from.len().saturating_mul(rule.to.len());
            self.ways = self.ways.saturating_add(ways);
            self.bytes = self.bytes.saturating_add(rule.encoded_len());
            let fits = self.ways <= Slice::MAX_WAYS && self.bytes <= Slice::MAX_BYTES;
            fits.then_some(rule)
        });
        rules.collect()
    }
}

fn rule(excerpt: Excerpt<'_>, shadow: bool) -> encoded::Rule {
    let Excerpt { rule, from, to } = excerpt;
    let when = rule.when.as_ref().map(|when| encoded::When {
        captures: when
            .condition
            .captures()
            .iter()
            .map(|(name, _)| name.clone())
            .collect(),
    });
    encoded::Rule {
        name: rule.name.to_string(),
        line: rule.line,
        from,
        to: to.iter().map(|line| line.text.to_string()).collect(),
        when,
        expires: rule.exception.map(|one| one.expires.as_millis()),
        shadow,
    }
}
