//! What runs: two callers' sidecars, the callee's, the server, the service.

use std::{fs, net::SocketAddr, path::Path};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Provider, Workload};
use crate::{
    Host, Validation, artifact,
    caller::{Answer, Call, Connection},
    callgate::{Callgate, Own, Setup},
    envoy::{Envoy, Template, config_path, merge},
    sidecar::Credentials,
    upstream::Upstream,
};

const POLICIES: &str = "
kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [/ns/shop/sa/orders]
  allow:
    - name: checkout-reads
      from: [/ns/shop/sa/checkout]
      to: [GET /orders/**]
    - name: partner-reads
      from: [spiffe://partner.example/ns/depot/sa/picker]
      to: [GET /orders/**]
---
kind: MeshPolicy
metadata: {name: mesh}
spec: {trustDomain: example.org}
";

/// How a caller's sidecar comes by its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// As shipped: it keeps them.
    Pooled,
    /// A new one for each request, resuming the TLS session.
    Resumed,
    /// A new one for each request, with a full handshake.
    New,
}

impl Way {
    pub(super) const ALL: [Self; 3] = [Self::Pooled, Self::Resumed, Self::New];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pooled => "pooled",
            Self::Resumed => "resumed",
            Self::New => "new",
        }
    }
}

/// Everything that runs.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) orders: Envoy,
    pub(super) checkout: Envoy,
    picker: Envoy,
    pub(super) server: Callgate,
    _upstream: Upstream,
}

impl Stage {
    /// Starts it; files are in `directory`.
    pub(super) async fn start(provider: &Provider, directory: &Path) -> Result<Self> {
        let policies = directory.join("policies");
        fs::create_dir_all(&policies)?;
        fs::write(policies.join("all.yaml"), POLICIES)?;
        let setup = Setup {
            policies,
            bundles: Vec::new(),
            identity: Some(Own::Agent(provider.socket(Workload::Callgate)?)),
            directory: directory.join("callgate"),
        };
        let program = provider.program(Workload::Callgate)?;
        let server = Callgate::start_as(program, setup).await?;
        let upstream = Upstream::start().await?;

        let orders = sidecar(provider, &upstream, &server, directory).await?;
        let callee = orders.listener("orders_inbound")?;
        Ok(Self {
            checkout: client(provider, Workload::Checkout, callee, directory).await?,
            picker: client(provider, Workload::Picker, callee, directory).await?,
            orders,
            server,
            _upstream: upstream,
        })
    }

    /// Where `caller` calls orders, that way.
    pub(super) fn address(&self, caller: Workload, way: Way) -> Result<SocketAddr> {
        let envoy = match caller {
            Workload::Picker => &self.picker,
            _ => &self.checkout,
        };
        envoy.listener(&format!("{}_outbound", way.name()))
    }

    /// One call.
    pub(super) async fn call(&self, caller: Workload, way: Way, path: &str) -> Result<Answer> {
        let mut connection = Connection::plain(self.address(caller, way)?).await?;
        connection.call(Call::new("GET", path)).await
    }

    /// How often Envoy took a new certificate of its own, the first one included.
    pub(super) async fn renewals(envoy: &Envoy) -> Result<u64> {
        envoy.stat("sds.default.update_success").await
    }

    pub(super) fn report(&self) -> String {
        let envoys = [&self.orders, &self.checkout, &self.picker].map(|e| e.process().tail());
        format!("{}\n{}", envoys.join("\n"), self.server.process().tail())
    }
}

/// Everything comes from the agent: no roots in files.
fn credentials(provider: &Provider, workload: Workload, directory: &Path) -> Result<Credentials> {
    let socket = provider.socket(workload)?;
    let own = Credentials::served(workload.id(), socket, "", directory)?;
    Ok(own.believing_all())
}

/// In front of orders.
async fn sidecar(
    provider: &Provider,
    upstream: &Upstream,
    server: &Callgate,
    directory: &Path,
) -> Result<Envoy> {
    let own = credentials(provider, Workload::Orders, directory)?;
    let names = own.name(Template::new(), Validation::Spiffe)?;
    let names = names
        .with("NODE", "orders")
        .with("SERVICE", "orders")
        .with("ADMIN_PORT", 0)
        .with("INBOUND_ADDRESS", "127.0.0.1")
        .with("INBOUND_PORT", 0)
        .with("APP_PORT", upstream.address.port())
        .with("CALLGATE_ADDRESS", server.listen.ip())
        .with("CALLGATE_PORT", server.listen.port())
        .with("CALLGATE_ID", Workload::Callgate.id())
        .with("CALLGATE_TIMEOUT", "5s")
        .with("CALLGATE_FILTER", artifact::filter()?.display());
    let mut config = names.parse(&Host::Filter.config())?;
    own.reach(&mut config)?;
    let program = provider.program(Workload::Orders)?;
    Envoy::start_as(&program, &config, &directory.join("orders")).await
}

async fn client(
    provider: &Provider,
    caller: Workload,
    callee: SocketAddr,
    directory: &Path,
) -> Result<Envoy> {
    let own = credentials(provider, caller, directory)?;
    let mut config = json!({});
    for way in Way::ALL {
        let names = own.name(Template::new(), Validation::Spiffe)?;
        let names = names
            .with("NODE", caller.name())
            .with("SERVICE", way.name())
            .with("ADMIN_PORT", 0)
            .with("OUTBOUND_PORT", 0)
            .with("CALLEE_ADDRESS", callee.ip())
            .with("CALLEE_PORT", callee.port())
            .with("CALLEE_ID", Workload::Orders.id())
            .with(
                "CONNECTION_AGE",
                format!("{}s", provider.life().as_secs() * 2 / 5),
            );
        let mut client = names.parse(&config_path("client.yaml"))?;
        connect_by(&mut client, way)?;
        merge(&mut config, client)?;
    }
    own.reach(&mut config)?;
    let program = provider.program(caller)?;
    Envoy::start_as(&program, &config, &directory.join(caller.name())).await
}

fn connect_by(config: &mut Value, way: Way) -> Result<()> {
    let mut set = |path: &str, name: &str, value: Value| -> Result<()> {
        let at = format!("/static_resources/clusters/0/{path}");
        let fields = config.pointer_mut(&at).and_then(Value::as_object_mut);
        fields.context(at)?.insert(name.to_owned(), value);
        Ok(())
    };
    if way != Way::Pooled {
        let path = "typed_extension_protocol_options/\
                    envoy.extensions.upstreams.http.v3.HttpProtocolOptions/\
                    common_http_protocol_options";
        set(path, "max_requests_per_connection", json!(1))?;
    }
    if way == Way::New {
        set(
            "transport_socket/typed_config",
            "max_session_keys",
            json!(0),
        )?;
    }
    Ok(())
}
