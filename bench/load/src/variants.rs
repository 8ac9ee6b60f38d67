//! The shipped sidecar, and what it is measured against, as listeners of one Envoy.
//!
//! All are copies of `envoy/sidecar.yaml` or `envoy/native-ext-authz.yaml`, as they
//! ship, but that Envoy answers itself instead of asking a service, and writes no
//! access log: both cost every variant the same, and would make ratios look better.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use callgate_tests::{Gate, GateBuilder, Host, Validation};
use serde_json::{Value, json};

/// What stands between the caller and the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Nothing: TLS and HTTP only.
    Nothing,
    /// Envoy's own RBAC filter, one rule.
    Rbac,
    /// A WebAssembly filter that does nothing.
    EmptyWasm,
    /// Callgate's filter, deciding by leases of `callgate serve`.
    Leases,
    /// Envoy's own ext_authz, asking `callgate serve`.
    ExtAuthz,
    /// Callgate's filter, asking the same `callgate serve` each time.
    Asking,
    /// Envoy's own ext_authz, asking OPA.
    Opa,
}

impl Variant {
    /// For people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Rbac => "native RBAC, one rule",
            Self::EmptyWasm => "empty wasm filter",
            Self::Leases => "Callgate filter, leases",
            Self::ExtAuthz => "native ext_authz → callgate serve",
            Self::Asking => "Callgate filter → callgate serve",
            Self::Opa => "native ext_authz → OPA",
        }
    }

    /// The listener in Envoy's configuration.
    #[must_use]
    pub const fn listener(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Rbac => "rbac",
            Self::EmptyWasm => "empty-wasm",
            Self::Leases => "leases",
            Self::ExtAuthz => "ext-authz",
            Self::Asking => "asking",
            Self::Opa => "opa",
        }
    }

    /// Whether it is Callgate's own filter.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Leases | Self::Asking)
    }
}

/// The listeners that the harness makes: one with each gate.
const FACES: [(Host, Validation); 2] = [
    (Host::Filter, Validation::Spiffe),
    (Host::Native, Validation::Spiffe),
];

/// The gates of `callee`, with a listener for each of `variants` in place of the shipped
/// ones; `opa` is where OPA answers, if it is among them.
#[must_use]
pub fn gate(callee: &str, variants: &[Variant], opa: Option<SocketAddr>) -> GateBuilder {
    let variants = variants.to_vec();
    // Nothing is renewed while it is measured.
    let gate = Gate::of(&[callee]).faces(&FACES).in_files();
    gate.adapt(move |config| {
        replace_listeners(config, &variants)?;
        match opa {
            Some(address) => add_opa(config, address),
            None => Ok(()),
        }
    })
}

fn replace_listeners(config: &mut Value, variants: &[Variant]) -> Result<()> {
    let listeners = config
        .pointer_mut("/static_resources/listeners")
        .and_then(Value::as_array_mut)
        .context("no listeners")?;
    let gated: Vec<Value> = std::mem::take(listeners);
    let [filter, native] = gated.as_slice() else {
        anyhow::bail!("{} listeners, two wanted", gated.len());
    };
    for &variant in variants {
        let shipped = match variant {
            Variant::ExtAuthz | Variant::Opa => native,
            _ => filter,
        };
        listeners.push(listener(variant, shipped.clone())?);
    }
    Ok(())
}

/// In plain text: what it would cost to encrypt is nothing that OPA is to be blamed for.
fn add_opa(config: &mut Value, address: SocketAddr) -> Result<()> {
    let clusters = config
        .pointer_mut("/static_resources/clusters")
        .and_then(Value::as_array_mut)
        .context("no clusters")?;
    let is_callgate = |cluster: &&Value| {
        let name = cluster["name"].as_str();
        name.is_some_and(|name| name.ends_with("_callgate"))
    };
    let asked = clusters.iter().find(is_callgate).context("nobody asked")?;
    let mut opa = asked.clone();
    *at(&mut opa, "/name")? = json!(OPA_CLUSTER);
    let endpoint = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address";
    *at(&mut opa, endpoint)? = json!({"address": address.ip(), "port_value": address.port()});
    let opa_fields = opa.as_object_mut().context("no cluster")?;
    opa_fields.remove("transport_socket");
    clusters.push(opa);
    Ok(())
}

const OPA_CLUSTER: &str = "opa";
const MANAGER: &str = "/filter_chains/0/filters/0/typed_config";

fn listener(variant: Variant, mut listener: Value) -> Result<Value> {
    *at(&mut listener, "/name")? = json!(variant.listener());
    let manager = at(&mut listener, MANAGER)?;
    *at(manager, "/stat_prefix")? = json!(variant.listener());
    *at(manager, "/access_log")? = json!([]);
    *at(manager, "/route_config/virtual_hosts/0/routes")? = json!([{
        "match": {"prefix": "/"},
        "direct_response": {"status": 200, "body": {"inline_string": "ok"}},
    }]);
    let filters = at(manager, "/http_filters")?;
    match variant {
        Variant::ExtAuthz | Variant::Leases => {}
        Variant::Asking => *configuration(filters, "leases")? = json!(false),
        Variant::Opa => {
            let service = "/0/typed_config/grpc_service/envoy_grpc/cluster_name";
            *at(filters, service)? = json!(OPA_CLUSTER);
        }
        Variant::Nothing => instead(filters, None)?,
        Variant::Rbac => instead(filters, Some(rbac()))?,
        Variant::EmptyWasm => instead(filters, Some(empty_wasm()?))?,
    }
    Ok(listener)
}

/// A value of the filter's configuration.
fn configuration<'v>(filters: &'v mut Value, name: &str) -> Result<&'v mut Value> {
    let value = at(filters, "/0/typed_config/config/configuration/value")?;
    let value = value.as_object_mut().context("no configuration")?;
    Ok(value.entry(name).or_insert(Value::Null))
}

/// `filter`, if any, takes the gate's place.
fn instead(filters: &mut Value, filter: Option<Value>) -> Result<()> {
    let filters = filters.as_array_mut().context("http_filters is no list")?;
    let router = filters.split_off(filters.len().saturating_sub(1));
    *filters = filter.into_iter().chain(router).collect();
    Ok(())
}

fn at<'v>(value: &'v mut Value, pointer: &str) -> Result<&'v mut Value> {
    value
        .pointer_mut(pointer)
        .with_context(|| format!("the shipped configuration has no `{pointer}`"))
}

fn rbac() -> Value {
    let caller = json!({"authenticated": {"principal_name": {"prefix": "spiffe://example.org/"}}});
    let path = json!({"url_path": {"path": {"prefix": "/v1/"}}});
    json!({
        "name": "envoy.filters.http.rbac",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
            "rules": {
                "action": "ALLOW",
                "policies": {"one": {"permissions": [path], "principals": [caller]}},
            },
        },
    })
}

fn empty_wasm() -> Result<Value> {
    let module = wat::parse_str(include_str!("empty.wat"))?;
    Ok(json!({
        "name": "empty",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "empty",
                "root_id": "empty",
                "vm_config": {
                    "vm_id": "empty",
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"inline_bytes": base64(&module)}},
                },
            },
        },
    }))
}

fn base64(bytes: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}
