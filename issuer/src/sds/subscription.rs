//! One stream's side of the discovery protocol.
//!
//! A request asks for names, or answers a response: with its nonce and no error it
//! accepts it, with an error it refuses it, with an older nonce it was overtaken.

use prost_types::{Any, value::Kind};
use tonic::Status;

use super::secrets::{SECRET, Validation, secrets};
use crate::{
    proto::{
        discovery::{DiscoveryRequest, DiscoveryResponse},
        tls::Node,
    },
    registry::Snapshot,
};

/// An SVID, a bundle, and the bundles of all trust domains, under either name.
const MAX_NAMES: usize = 64;
/// Node metadata by which a proxy asks SPIRE for plain lists of roots.
const DISABLE_VALIDATOR: &str = "disable_spiffe_cert_validation";

/// What a stream wants and has.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    names: Option<Vec<String>>,
    validation: Validation,
    sent: Option<Sent>,
    version: u64,
}

#[derive(Debug)]
struct Sent {
    nonce: String,
    resources: Vec<Any>,
}

impl Subscription {
    /// What to say to a request; nothing to one that says enough itself.
    pub(super) fn request(
        &mut self,
        request: DiscoveryRequest,
        told: Option<&Snapshot>,
    ) -> Result<Option<DiscoveryResponse>, Status> {
        check(&request)?;
        // Only the first request of a stream needs to carry it.
        if let Some(node) = &request.node {
            self.validation = validation(node);
        }
        let overtaken = self
            .sent
            .as_ref()
            .is_some_and(|sent| sent.nonce != request.response_nonce);
        if overtaken {
            return Ok(None);
        }
        if let Some(error) = &request.error_detail {
            tracing::warn!(
                error = %error.message,
                names = ?request.resource_names,
                "a proxy refuses its secrets"
            );
        }
        if self.names.as_ref() == Some(&request.resource_names) {
            return Ok(None);
        }
        self.names = Some(request.resource_names);
        self.answer(told)
    }

    /// What to say when the workload's entry has changed.
    pub(super) fn change(
        &mut self,
        told: Option<&Snapshot>,
    ) -> Result<Option<DiscoveryResponse>, Status> {
        match self.names {
            Some(_) => self.answer(told),
            None => Ok(None),
        }
    }

    fn answer(&mut self, told: Option<&Snapshot>) -> Result<Option<DiscoveryResponse>, Status> {
        let names = self.names.as_deref().unwrap_or_default();
        let resources = secrets(names, self.validation, told)?;
        // A bundle alone does not change with the SVID.
        if let Some(sent) = &self.sent
            && sent.resources == resources
        {
            return Ok(None);
        }
        self.version += 1;
        let nonce = self.version.to_string();
        self.sent = Some(Sent {
            nonce: nonce.clone(),
            resources: resources.clone(),
        });
        Ok(Some(DiscoveryResponse {
            version_info: nonce.clone(),
            resources,
            type_url: SECRET.to_owned(),
            nonce,
        }))
    }
}

fn check(request: &DiscoveryRequest) -> Result<(), Status> {
    if request.type_url != SECRET {
        return Err(Status::invalid_argument(format!(
            "`{}` is not `{SECRET}`",
            request.type_url
        )));
    }
    if request.resource_names.len() > MAX_NAMES {
        return Err(Status::invalid_argument(format!(
            "more than {MAX_NAMES} names"
        )));
    }
    Ok(())
}

fn validation(node: &Node) -> Validation {
    let fields = node.metadata.as_ref().map(|metadata| &metadata.fields);
    let value = fields.and_then(|fields| fields.get(DISABLE_VALIDATOR)?.kind.as_ref());
    let disabled = match value {
        Some(Kind::BoolValue(disabled)) => *disabled,
        Some(Kind::StringValue(text)) => text == "true",
        _ => false,
    };
    if disabled {
        Validation::Plain
    } else {
        Validation::Spiffe
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use callgate_policy::{SpiffeId, TrustDomain};
    use prost::Message as _;
    use time::OffsetDateTime;

    use super::*;
    use crate::{
        config::{Config, Domain, Workload},
        proto::tls::{Secret, SpiffeCertValidatorConfig, secret},
        registry::{Registry, View},
    };

    const ID: &str = "spiffe://example.org/orders";

    fn start() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_798_761_600).unwrap()
    }

    fn registry() -> (Registry, View) {
        let mut config = Config::new("/nowhere".into());
        for name in ["example.org", "partner.example"] {
            let name = TrustDomain::parse(name).unwrap();
            config.domains.push(Domain::new(name));
        }
        let mut registry = Registry::new(&config, start()).unwrap();
        let workload = Workload {
            name: "orders".into(),
            id: SpiffeId::parse(ID).unwrap(),
        };
        let view = registry.add(&workload, start()).unwrap();
        (registry, view)
    }

    fn told(view: &View) -> Option<Arc<Snapshot>> {
        view.borrow().clone()
    }

    fn ask(names: &[&str]) -> DiscoveryRequest {
        DiscoveryRequest {
            resource_names: names.iter().map(ToString::to_string).collect(),
            type_url: SECRET.to_owned(),
            ..DiscoveryRequest::default()
        }
    }

    fn named(answer: &DiscoveryResponse) -> Vec<Secret> {
        let secrets = answer.resources.iter();
        secrets
            .map(|any| Secret::decode(any.value.as_slice()).unwrap())
            .collect()
    }

    /// The trust domains of a bundle with the SPIFFE validator; none if it is plain.
    fn validated(secret: &Secret) -> Option<Vec<String>> {
        let Some(secret::Type::ValidationContext(context)) = &secret.r#type else {
            panic!("{secret:?}");
        };
        let Some(validator) = &context.custom_validator_config else {
            assert!(context.trusted_ca.is_some());
            return None;
        };
        assert_eq!(validator.name, "envoy.tls.cert_validator.spiffe");
        let config = validator.typed_config.as_ref().unwrap();
        let config = SpiffeCertValidatorConfig::decode(config.value.as_slice()).unwrap();
        Some(config.trust_domains.into_iter().map(|d| d.name).collect())
    }

    #[test]
    fn each_name_means_what_it_means_to_spire() {
        let (_, view) = registry();
        let own = Some(vec!["example.org".to_owned()]);
        let partner = Some(vec!["partner.example".to_owned()]);
        let all = Some(vec!["example.org".to_owned(), "partner.example".to_owned()]);
        let cases = [
            ("ROOTCA", own.clone()),
            ("spiffe://example.org", own),
            ("spiffe://partner.example", partner),
            ("ALL", all),
        ];
        for (name, domains) in cases {
            let answer = Subscription::default().request(ask(&[name]), told(&view).as_deref());
            let secrets = named(&answer.unwrap().unwrap());
            assert_eq!(secrets[0].name, name);
            assert_eq!(validated(&secrets[0]), domains, "{name}");
        }
        for name in ["default", ID] {
            let answer = Subscription::default().request(ask(&[name]), told(&view).as_deref());
            let secrets = named(&answer.unwrap().unwrap());
            assert_eq!(secrets[0].name, name);
            let certificate = matches!(secrets[0].r#type, Some(secret::Type::TlsCertificate(_)));
            assert!(certificate, "{name}");
        }
    }

    #[test]
    fn a_name_that_is_not_the_workloads_ends_the_stream() {
        let (_, view) = registry();
        for name in [
            "spiffe://example.org/stock",
            "spiffe://other.example",
            "svid",
            "",
        ] {
            let answer = Subscription::default().request(ask(&[name]), told(&view).as_deref());
            assert_eq!(
                answer.unwrap_err().code(),
                tonic::Code::InvalidArgument,
                "{name}"
            );
        }
    }

    #[test]
    fn without_names_everything_is_told() {
        let (_, view) = registry();
        let answer = Subscription::default().request(ask(&[]), told(&view).as_deref());
        let names: Vec<_> = named(&answer.unwrap().unwrap())
            .into_iter()
            .map(|secret| secret.name)
            .collect();
        assert_eq!(
            names,
            [ID, "spiffe://example.org", "spiffe://partner.example"]
        );
    }

    #[test]
    fn a_proxy_may_want_plain_roots() {
        use prost_types::{Struct, Value};
        let (_, view) = registry();
        let value = Value {
            kind: Some(Kind::BoolValue(true)),
        };
        let mut request = ask(&["ROOTCA"]);
        request.node = Some(Node {
            id: "orders".into(),
            metadata: Some(Struct {
                fields: [(DISABLE_VALIDATOR.to_owned(), value)].into(),
            }),
        });
        let answer = Subscription::default().request(request, told(&view).as_deref());
        assert_eq!(validated(&named(&answer.unwrap().unwrap())[0]), None);
    }

    #[test]
    fn an_acknowledgement_is_not_answered_and_a_change_is_told() {
        let (mut registry, view) = registry();
        let mut subscription = Subscription::default();
        let first = subscription.request(ask(&["default"]), told(&view).as_deref());
        let first = first.unwrap().unwrap();
        let mut accepted = ask(&["default"]);
        accepted.response_nonce.clone_from(&first.nonce);
        accepted.version_info.clone_from(&first.version_info);
        let answer = subscription.request(accepted, told(&view).as_deref());
        assert_eq!(answer.unwrap(), None);

        registry.renew(start()).unwrap();
        let second = subscription
            .change(told(&view).as_deref())
            .unwrap()
            .unwrap();
        assert_ne!(first.nonce, second.nonce);
        assert_ne!(first.resources, second.resources);
    }

    #[test]
    fn a_refusal_is_not_answered_with_the_same_again() {
        let (_, view) = registry();
        let mut subscription = Subscription::default();
        let first = subscription.request(ask(&["ROOTCA"]), told(&view).as_deref());
        let mut refused = ask(&["ROOTCA"]);
        refused.response_nonce = first.unwrap().unwrap().nonce;
        refused.error_detail = Some(Default::default());
        let answer = subscription.request(refused, told(&view).as_deref());
        assert_eq!(answer.unwrap(), None);
    }

    #[test]
    fn an_answer_to_an_older_response_changes_nothing() {
        let (mut registry, view) = registry();
        let mut subscription = Subscription::default();
        let first = subscription.request(ask(&["default"]), told(&view).as_deref());
        registry.renew(start()).unwrap();
        subscription.change(told(&view).as_deref()).unwrap();
        let mut late = ask(&["default", "ROOTCA"]);
        late.response_nonce = first.unwrap().unwrap().nonce;
        let answer = subscription.request(late, told(&view).as_deref());
        assert_eq!(answer.unwrap(), None);
        assert_eq!(
            subscription.names.as_deref(),
            Some(&["default".to_owned()][..])
        );
    }

    #[test]
    fn more_names_are_answered_at_once() {
        let (_, view) = registry();
        let mut subscription = Subscription::default();
        let first = subscription.request(ask(&["default"]), told(&view).as_deref());
        let mut more = ask(&["default", "ALL"]);
        more.response_nonce = first.unwrap().unwrap().nonce;
        let answer = subscription.request(more, told(&view).as_deref());
        assert_eq!(named(&answer.unwrap().unwrap()).len(), 2);
    }

    #[test]
    fn a_bundle_is_not_told_again_when_only_the_svid_changed() {
        let (mut registry, view) = registry();
        let mut subscription = Subscription::default();
        let first = subscription.request(ask(&["ALL"]), told(&view).as_deref());
        assert!(first.unwrap().is_some());
        registry.renew(start()).unwrap();
        assert_eq!(subscription.change(told(&view).as_deref()).unwrap(), None);
        registry.rotate("partner.example", true, start()).unwrap();
        assert!(
            subscription
                .change(told(&view).as_deref())
                .unwrap()
                .is_some()
        );
    }

    #[test]
    fn a_removed_entry_ends_the_stream_as_spire_does() {
        let (mut registry, view) = registry();
        let mut subscription = Subscription::default();
        subscription
            .request(ask(&["default"]), told(&view).as_deref())
            .unwrap();
        registry.remove("orders");
        let ended = subscription.change(told(&view).as_deref()).unwrap_err();
        assert_eq!(ended.code(), tonic::Code::InvalidArgument);
    }

    #[test]
    fn another_type_and_too_many_names_are_refused() {
        let (_, view) = registry();
        let mut other = ask(&["default"]);
        other.type_url = "type.googleapis.com/envoy.config.cluster.v3.Cluster".into();
        let names: Vec<String> = (0..=MAX_NAMES).map(|n| n.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for request in [other, ask(&names)] {
            let answer = Subscription::default().request(request, told(&view).as_deref());
            assert_eq!(answer.unwrap_err().code(), tonic::Code::InvalidArgument);
        }
    }
}
