//! A small mesh for tests: an authority, documents, and Checks about them.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use callgate_policy::{
    TrustDomain,
    document::{LoadOptions, Source, load},
};
use callgate_wire::envoy::service::auth::v3::{
    AttributeContext, CheckRequest,
    attribute_context::{HttpRequest, Peer, Request},
};
use rcgen::Certificate;
use tempfile::TempDir;

use crate::{
    live::{Live, Policies},
    mint::Authority,
    svid::Verifier,
};

pub(crate) const ORDERS: &str = "spiffe://example.org/ns/shop/sa/orders";
pub(crate) const SHADOWED: &str = "spiffe://example.org/ns/shop/sa/shadowed";

/// Two services: one whose rules are enforced, one whose are not.
pub(crate) const DOCUMENTS: &str = r##"
kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [/ns/shop/sa/orders]
  owner: team-orders
  help: "#team-orders"
  allow:
    - name: checkout-reads
      from: [/ns/shop/sa/checkout]
      to: [GET /orders]
---
kind: ServicePolicy
metadata: {name: shadowed}
spec:
  services: [/ns/shop/sa/shadowed]
  enforcement: Shadow
  overrideHeaders: Keep
  allow:
    - name: nobody
      from: [/ns/shop/sa/nobody]
      to: [GET /orders]
---
kind: MeshPolicy
metadata: {name: mesh}
spec: {trustDomain: example.org}
"##;

/// A directory with documents and a trust bundle, as a server reads them.
pub(crate) struct Mesh {
    pub(crate) root: Authority,
    directory: TempDir,
}

impl Mesh {
    /// Whose certificates are valid now.
    pub(crate) fn of_today() -> Self {
        let root = Authority::root_of_today("root");
        let directory = tempfile::tempdir().unwrap();
        let mesh = Self { root, directory };
        fs::create_dir(mesh.policies()).unwrap();
        mesh.write_policies(DOCUMENTS);
        fs::write(mesh.bundle(), mesh.root.certificate.pem()).unwrap();
        mesh
    }

    pub(crate) fn policies(&self) -> PathBuf {
        self.path("policies")
    }

    pub(crate) fn write_policies(&self, text: &str) {
        fs::write(self.policies().join("mesh.yaml"), text).unwrap();
    }

    pub(crate) fn bundle(&self) -> PathBuf {
        self.path("ca.pem")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// [`DOCUMENTS`], or others, with `root` trusted for `example.org`.
pub(crate) fn live(root: &Authority, documents: &str) -> Arc<Live> {
    let live = Live::new(Verifier::new([root.bundle("example.org")]));
    let sources = [Source::new("mesh.yaml", documents)];
    let loaded = load(&sources, &LoadOptions::default()).unwrap();
    live.set_policies(Policies {
        set: loaded.policies,
        counts: loaded.counts,
        trust_domain: loaded.trust_domain,
        digest: String::new(),
    });
    Arc::new(live)
}

pub(crate) fn trust_domain() -> TrustDomain {
    TrustDomain::parse("example.org").unwrap()
}

/// A Check as the filter sends it.
pub(crate) fn ask(leaf: Option<&Certificate>, service: &str, call: &str) -> CheckRequest {
    let (method, path) = call.split_once(' ').unwrap();
    let http = HttpRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        host: "orders.example".to_owned(),
        ..HttpRequest::default()
    };
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(Peer {
                certificate: leaf.map(Certificate::pem).unwrap_or_default(),
                ..Peer::default()
            }),
            destination: Some(Peer {
                principal: service.to_owned(),
                ..Peer::default()
            }),
            request: Some(Request {
                time: None,
                http: Some(http),
            }),
            ..AttributeContext::default()
        }),
    }
}

/// The HTTP request in a Check.
pub(crate) fn http(check: &mut CheckRequest) -> &mut HttpRequest {
    let attributes = check.attributes.as_mut().unwrap();
    attributes.request.as_mut().unwrap().http.as_mut().unwrap()
}

/// A stream that keeps what is written to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    pub(crate) fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(kept.clone()).unwrap()
    }

    /// Every line as JSON.
    pub(crate) fn records(&self) -> Vec<serde_json::Value> {
        let text = self.text();
        let lines = text.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().unwrap()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
