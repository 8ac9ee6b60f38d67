//! An issuer in a directory of its own.

use std::path::Path;

use callgate_issuer::{Config, Domain, Issuer, Workload};
use callgate_policy::{SpiffeId, TrustDomain};
use tempfile::TempDir;

pub(crate) const ORDERS: &str = "spiffe://example.org/ns/shop/sa/orders";
pub(crate) const DOMAIN: &str = "example.org";

/// A running issuer and the directory that goes with it.
pub(crate) struct Stage {
    pub(crate) issuer: Issuer,
    pub(crate) directory: TempDir,
}

/// Issues for `orders` in `example.org`, and for `partner.example`.
pub(crate) fn config(directory: &Path) -> Config {
    let mut config = Config::new(directory.join("issuer"));
    config.domains = vec![domain(DOMAIN), domain("partner.example")];
    config.workloads = vec![workload("orders", ORDERS)];
    config
}

pub(crate) fn domain(name: &str) -> Domain {
    Domain::new(TrustDomain::parse(name).unwrap())
}

pub(crate) fn workload(name: &str, id: &str) -> Workload {
    Workload {
        name: name.to_owned(),
        id: SpiffeId::parse(id).unwrap(),
    }
}

pub(crate) async fn start(edit: impl FnOnce(&mut Config)) -> Stage {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    edit(&mut config);
    let issuer = Issuer::start(config).await.unwrap();
    Stage { issuer, directory }
}
