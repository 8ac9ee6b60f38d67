//! What a server may know, and the answers that follow from it.
//!
//! A [`State`] is a choice of documents, revocations and bundles. The server's own
//! `Authorizer` answers for each, here as the servers of the model and as its oracle.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

use callgate_policy::{
    SpiffeId, Timestamp, TrustDomain,
    document::{LoadOptions, Source, load, load_revocations},
};
use callgate_server::{
    bundle::TrustBundle,
    check::{Authorizer, LeaseTtl},
    clock,
    identity::Asker,
    live::{Live, Policies},
    metrics::Metrics,
    record::{Recorder, Sink},
    revocation::Revocations,
    svid::Verifier,
};
use callgate_tests::pki::{Authority, TRUST_DOMAIN};
use callgate_wire::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::callers::{Callers, EXPORT};

/// When every run of the model begins, by everybody's wall clock. No time is stepped back
/// further than certificates reach.
pub(crate) static BASE: LazyLock<Timestamp> =
    LazyLock::new(|| Timestamp::from_secs(clock::now().as_millis() / 1_000));

/// What leases are granted for: longer than `maxStale`, and short enough to end in a run.
const TTL: Duration = Duration::from_secs(12);

/// How many choices there are of each kind.
pub(crate) const DOCUMENTS: u8 = 12;
pub(crate) const REVOKED: u8 = 4;
pub(crate) const BUNDLES: u8 = 2;

/// What is known to a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct State {
    /// Below [`DOCUMENTS`].
    pub(crate) documents: u8,
    /// Below [`REVOKED`].
    pub(crate) revoked: u8,
    /// Below [`BUNDLES`].
    pub(crate) bundles: u8,
}

/// Who answers, for each state that was asked about so far.
pub(crate) struct Answers {
    callers: Arc<Callers>,
    known: BTreeMap<State, Known>,
}

struct Known {
    authorizer: Authorizer,
    live: Arc<Live>,
}

impl Answers {
    pub(crate) fn new(callers: Arc<Callers>) -> Self {
        Self {
            callers,
            known: BTreeMap::new(),
        }
    }

    /// What a server in that state answers at `now`.
    pub(crate) fn answer(
        &mut self,
        state: State,
        check: &CheckRequest,
        now: Timestamp,
    ) -> CheckResponse {
        let known = self.known(state);
        known.authorizer.check(Asker::Unnamed, check, now).unwrap()
    }

    /// What a server in that state announces for `service`.
    pub(crate) fn revision(&mut self, state: State, service: &SpiffeId) -> Vec<u8> {
        let live = &self.known(state).live;
        live.current().service_revision(Some(service)).to_vec()
    }

    fn known(&mut self, state: State) -> &Known {
        let callers = &self.callers;
        self.known
            .entry(state)
            .or_insert_with(|| Known::of(state, callers))
    }
}

impl Known {
    fn of(state: State, callers: &Callers) -> Self {
        let live = Arc::new(Live::new(Verifier::new([bundle(state, callers)])));
        let text = documents(state.documents);
        let sources = [Source::new("mesh.yaml", text.as_str())];
        let loaded = load(&sources, &LoadOptions::default()).unwrap();
        live.set_policies(Policies {
            set: loaded.policies,
            counts: loaded.counts,
            trust_domain: loaded.trust_domain,
            digest: state.documents.to_string(),
        });
        live.set_revocations(revocations(state, callers));
        let recorder = Recorder::start(Sink::stream(std::io::sink())).unwrap();
        let authorizer = Authorizer::new(Arc::clone(&live), recorder, Arc::new(Metrics::default()));
        let authorizer = authorizer.with_lease_ttl(LeaseTtl::new(TTL).unwrap());
        Self { authorizer, live }
    }
}

fn bundle(state: State, callers: &Callers) -> TrustBundle {
    let [root, second] = [&callers.root, &callers.second].map(Authority::bundle_pem);
    let roots = match state.bundles {
        0 => format!("{root}{second}"),
        _ => root,
    };
    TrustBundle::parse(TrustDomain::parse(TRUST_DOMAIN).unwrap(), &roots).unwrap()
}

fn revocations(state: State, callers: &Callers) -> Revocations {
    let spec = match state.revoked {
        0 => return Revocations::default(),
        1 => "id: /ns/shop/sa/checkout".to_owned(),
        2 => format!("certificateSha256: {}", callers.web_sha256()),
        // One that lapses.
        _ => format!("id: {EXPORT}, expires: {}", after(15)),
    };
    let text = format!(
        "kind: Revocation\nmetadata: {{name: leaked}}\n\
         spec: {{{spec}, reason: a test, revokedBy: dana@example.org}}\n"
    );
    let source = Source::new("revocation.yaml", text.as_str());
    let loaded = load_revocations(&source, &LoadOptions::default());
    assert_eq!(loaded.findings, []);
    Revocations::new(loaded.revocations)
}

/// The documents of a server: the first, and others that differ in one thing each.
fn documents(version: u8) -> String {
    let mut parts = Parts {
        expires: after(20),
        ..Parts::default()
    };
    match version {
        0 => {}
        1 => parts.places = "",
        2 => parts.deny = "  deny: [{name: seven, from: [/ns/**], to: [ANY /orders/7]}]",
        3 => parts.expires = after(60),
        4 => parts.enforcement = "Shadow",
        5 => parts.readers = "/ns/shop/sa/guest",
        6 => parts.services = "/ns/shop/sa/others",
        7 => parts.mesh = "  deny: [{name: no-batch, from: [/ns/batch/**], to: [ANY /**]}]",
        8 => {
            parts.mesh = "  forwarders: [{id: /ns/shop/sa/checkout, mayAssert: [/ns/mobile/**], \
                          forServices: [/ns/shop/sa/*]}]";
        }
        9 => parts.settings = "  paths: {trailingSlash: Ignore}",
        10 => parts.settings = "  overrideHeaders: Keep",
        // Of no concern to orders.
        _ => parts.stock = "GET /orders/7",
    }
    parts.text()
}

struct Parts {
    mesh: &'static str,
    services: &'static str,
    enforcement: &'static str,
    settings: &'static str,
    places: &'static str,
    deny: &'static str,
    readers: &'static str,
    stock: &'static str,
    expires: String,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            mesh: "",
            services: "/ns/shop/sa/orders",
            enforcement: "Enforce",
            settings: "",
            places: "    - {name: places, from: [/ns/shop/sa/checkout], to: [POST /orders]}",
            deny: "",
            readers: "/ns/shop/sa/web, /ns/shop/sa/guest",
            stock: "ANY /orders/{order}",
            expires: String::new(),
        }
    }
}

impl Parts {
    fn text(&self) -> String {
        let Self {
            mesh,
            services,
            enforcement,
            settings,
            places,
            deny,
            readers,
            stock,
            expires,
        } = self;
        format!(
            r##"
kind: MeshPolicy
metadata: {{name: mesh}}
spec:
  trustDomain: example.org
{mesh}
---
kind: CallerGroup
metadata: {{name: readers}}
spec: {{members: [{readers}]}}
---
kind: ServicePolicy
metadata: {{name: orders}}
spec:
  services: [{services}]
  owner: team-orders
  help: "#team-orders"
  enforcement: {enforcement}
{settings}
  allow:
    - {{name: reads, from: [/ns/shop/sa/checkout, readers], to: ["GET /orders/{{order}}"]}}
{places}
    - name: exports
      from: ["/ns/{{team}}/sa/export"]
      to: ["GET /export/{{team}}/**"]
      exception:
        reason: until it is split
        ticket: SEC-123
        approvedBy: dana@example.org
        expires: {expires}
    - name: reports
      from: [/ns/shop/sa/web]
      to: ["GET /reports/{{report}}"]
      when: request.headers["x-purpose"] == "reporting"
{deny}
---
kind: ServicePolicy
metadata: {{name: stock}}
spec:
  services: [/ns/shop/sa/stock]
  allow:
    - {{name: all, from: [/ns/shop/sa/*], to: ["{stock}"]}}
"##
        )
    }
}

/// That many seconds after [`BASE`], as documents say it.
fn after(seconds: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(BASE.as_millis() / 1_000 + seconds).unwrap();
    at.format(&Rfc3339).unwrap()
}
