//! The shipped sidecar, and what it is measured against, as listeners of one Envoy.
//!
//! All are copies of `envoy/sidecar.yaml` or `envoy/native-ext-authz.yaml`, as they
//! ship, but that Envoy answers itself instead of asking a service, and writes no
//! access log: both cost every variant the same, and would make ratios look better.

use anyhow::{Context as _, Result};
use callgate_tests::{Gate, Host, Validation};
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
    /// Envoy's own ext_authz, asking `callgate serve`.
    ExtAuthz,
    /// Callgate's filter, asking the same `callgate serve`.
    Callgate,
}

impl Variant {
    /// In the order of the table.
    pub const ALL: [Self; 5] = [
        Self::Nothing,
        Self::Rbac,
        Self::EmptyWasm,
        Self::ExtAuthz,
        Self::Callgate,
    ];

    /// For people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Rbac => "native RBAC, one rule",
            Self::EmptyWasm => "empty wasm filter",
            Self::ExtAuthz => "native ext_authz → callgate serve",
            Self::Callgate => "Callgate filter → callgate serve",
        }
    }

    /// The listener in Envoy's configuration.
    #[must_use]
    pub const fn listener(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Rbac => "rbac",
            Self::EmptyWasm => "empty-wasm",
            Self::ExtAuthz => "ext-authz",
            Self::Callgate => "callgate",
        }
    }

    /// The filter that takes the gate's place, or none if the gate stays.
    fn filter(self) -> Result<Option<Value>> {
        Ok(match self {
            Self::Nothing | Self::ExtAuthz | Self::Callgate => None,
            Self::Rbac => Some(rbac()),
            Self::EmptyWasm => Some(empty_wasm()?),
        })
    }
}

/// The listeners that the harness makes: one with each gate.
pub const FACES: [(Host, Validation); 2] = [
    (Host::Filter, Validation::Spiffe),
    (Host::Native, Validation::Spiffe),
];

/// Replaces the two gated listeners of a configuration by one for each variant.
///
/// # Errors
/// When the configuration is not the one that ships.
pub fn adapt(config: &mut Value) -> Result<()> {
    let listeners = config
        .pointer_mut("/static_resources/listeners")
        .and_then(Value::as_array_mut)
        .context("no listeners")?;
    let gated: Vec<Value> = std::mem::take(listeners);
    let [filter, native] = gated.as_slice() else {
        anyhow::bail!("{} listeners, two wanted", gated.len());
    };
    for variant in Variant::ALL {
        let shipped = if variant == Variant::ExtAuthz {
            native
        } else {
            filter
        };
        listeners.push(listener(variant, shipped.clone())?);
    }
    Ok(())
}

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
    let filters = at(manager, "/http_filters")?
        .as_array_mut()
        .context("http_filters is no list")?;
    let keeps = matches!(variant, Variant::ExtAuthz | Variant::Callgate);
    if !keeps {
        let router = filters.split_off(filters.len().saturating_sub(1));
        *filters = variant.filter()?.into_iter().chain(router).collect();
    }
    Ok(listener)
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

/// The gates of `callee`, less their listeners, which [`adapt`] replaces.
#[must_use]
pub fn gate(callee: &str) -> callgate_tests::GateBuilder {
    // Nothing is renewed while it is measured.
    Gate::of(&[callee]).faces(&FACES).in_files().adapt(adapt)
}
