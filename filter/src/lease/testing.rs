//! Leases for the tests of this crate, cut from documents as the server does.

use std::time::Duration;

use callgate_policy::{
    SpiffeId, Timestamp,
    document::{LoadOptions, Source, load},
};
use callgate_wire::callgate::v1::{self, Announcement, Caller};
use prost::Message as _;

use crate::{CallId, Plugin, Revision, answer::Terms, lease::Fingerprint};

pub(crate) const ORDERS: &str = "spiffe://example.org/ns/shop/sa/orders";
pub(crate) const WEB: &str = "spiffe://example.org/ns/shop/sa/web";
pub(crate) const REVISION: Revision = [1; 32];
/// That of [`crate::fake::FakeHost`].
pub(crate) const LEAF: Fingerprint = [0xaa; 32];
/// The server's clock when it decided.
pub(crate) const DECIDED_AT: i64 = 1_800_000_000_000;

pub(crate) const MS: fn(u64) -> Duration = Duration::from_millis;

const RULES: &str = r##"
kind: MeshPolicy
metadata: {name: mesh}
spec: {trustDomain: example.org}
---
kind: ServicePolicy
metadata: {name: orders}
spec:
  services: [/ns/shop/sa/orders]
  owner: team-orders
  help: "#team-orders"
  allow:
    - name: reads
      from: [/ns/shop/sa/*]
      to: ["GET /orders/{order}", WEBSOCKET /live]
    - name: asks
      from: [/ns/shop/sa/*]
      to: [GET /reports/**]
      when: request.headers["x-purpose"] == "reporting"
    - name: for-now
      from: [/ns/shop/sa/*]
      to: [GET /export]
      exception:
        reason: until it is split
        ticket: SEC-1
        approvedBy: dana@example.org
        expires: 2027-01-15T08:00:10Z
  deny:
    - name: no-admin
      from: [/ns/**]
      to: [ANY /admin/**]
"##;

/// The caller's slice of the rules above.
pub(crate) fn slice(caller: &str) -> Vec<u8> {
    let loaded = load(
        &[Source::new("orders.yaml", RULES)],
        &LoadOptions::default(),
    )
    .unwrap();
    let [caller, orders] = [caller, ORDERS].map(|id| SpiffeId::parse(id).unwrap());
    loaded.policies.slice(&caller, Some(&orders)).unwrap()
}

/// A lease for a minute, of a certificate that is valid for ten.
pub(crate) fn lease(caller: &str, leaf: &Fingerprint) -> v1::Lease {
    let hex: String = leaf.iter().map(|byte| format!("{byte:02x}")).collect();
    v1::Lease {
        ttl_ms: 60_000,
        valid_until_ms: DECIDED_AT + 600_000,
        caller: Some(Caller {
            id: caller.to_owned(),
            certificate_sha256: hex,
            not_before_ms: DECIDED_AT - 1,
            not_after_ms: DECIDED_AT + 600_000,
            issuer: "CN=ca".to_owned(),
        }),
        slice: slice(caller),
    }
}

pub(crate) fn terms(lease: v1::Lease) -> Terms {
    Terms {
        revision: REVISION,
        decided_at: Timestamp::from_millis(DECIDED_AT),
        ends_at: None,
        lease: Some(lease),
    }
}

/// The call of the Watch that [`announce`] opens.
pub(crate) const WATCH: CallId = CallId(1_000);

/// Announces a revision of [`ORDERS`], as said at the moment `now`.
pub(crate) fn announce(plugin: &Plugin, revision: Revision, now: Duration) {
    plugin.watches().want(ORDERS);
    plugin.watches().opened(ORDERS, WATCH, now);
    let announcement = Announcement {
        revision: revision.to_vec(),
        elapsed_ms: 0,
    };
    let message = announcement.encode_to_vec();
    let _ = plugin.watches().announced_by(WATCH, &message, now);
}
