//! One row.

use std::path::PathBuf;

use anyhow::Result;
use callgate_policy::Timestamp;
use callgate_wire::headers;
use serde::Deserialize;

use super::{Call, Expect, Place, Protocol, Via, Wallet, Workloads, expect::Difference};

/// What a row meets: a directory of documents, or what is wrong in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum World {
    /// Everything is enforced.
    Strict,
    /// Callers whose identity fails go on.
    IdentityShadow,
    /// Services without a policy are not guarded.
    UnpoliciedShadow,
    /// Behind a gateway: sidecars append to `x-forwarded-client-cert`. Two trust domains,
    /// with an alias from one to the other.
    Forwarding,
    /// Callers of one trust domain only, whatever bundles there are.
    OwnDomain,
    /// The service has never seen a valid set of documents.
    NoPolicies,
    /// Nobody is where the service should be.
    Unreachable,
    /// The service never answers.
    Silent,
    /// The service answers with a gRPC error of its own.
    Failing,
    /// The filter's configuration cannot be used.
    Misconfigured,
}

impl World {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Strict,
        Self::IdentityShadow,
        Self::UnpoliciedShadow,
        Self::Forwarding,
        Self::OwnDomain,
        Self::NoPolicies,
        Self::Unreachable,
        Self::Silent,
        Self::Failing,
        Self::Misconfigured,
    ];

    /// Its documents, if it has any.
    #[must_use]
    pub fn policies(self) -> Option<PathBuf> {
        let name = match self {
            Self::Strict => "strict",
            Self::IdentityShadow => "identity-shadow",
            Self::UnpoliciedShadow => "unpolicied-shadow",
            Self::Forwarding => "forwarding",
            Self::OwnDomain => "own-domain",
            _ => return None,
        };
        Some(super::directory().join("policies").join(name))
    }

    /// Whether its sidecars append to `x-forwarded-client-cert`, instead of replacing it.
    #[must_use]
    pub fn appends(self) -> bool {
        self == Self::Forwarding
    }

    /// Whether a working service answers in it.
    #[must_use]
    pub fn is_served(self) -> bool {
        self == Self::NoPolicies || self.policies().is_some()
    }
}

/// One row.
#[derive(Debug)]
pub struct Row {
    /// Unique in its file.
    pub name: String,
    /// For example `paths.yaml`.
    pub file: String,
    /// Where the row begins, from 1.
    pub line: usize,
    /// What it is decided by.
    pub world: World,
    /// A caller of [`super::Workloads`].
    pub caller: String,
    /// Who calls in its place.
    pub via: Option<Via>,
    /// A callee of [`super::Workloads`].
    pub to: String,
    /// What is called.
    pub call: Call,
    /// The protocols on which real Envoy is asked.
    pub over: Vec<Protocol>,
    /// When, where no certificate has to be valid then.
    pub at: Option<Timestamp>,
    pub(super) expect: Expect,
    pub(super) differs: Vec<Difference>,
}

impl Row {
    /// Who makes the connection.
    #[must_use]
    pub fn peer(&self) -> &str {
        self.via.as_ref().map_or(&self.caller, |via| &via.peer)
    }

    /// The request as the peer sends it.
    ///
    /// # Errors
    /// When somebody calls in the place of somebody who cannot be.
    pub fn asked(&self, wallet: &Wallet, workloads: &Workloads) -> Result<Call> {
        let mut call = self.call.clone();
        if let Some(via) = &self.via {
            let said = via.header(&self.caller, wallet, workloads)?;
            call.headers
                .push((headers::CLIENT_CERT.to_owned(), said.into_bytes()));
        }
        Ok(call)
    }

    /// What must come out at `place`.
    #[must_use]
    pub fn expect(&self, place: Place) -> &Expect {
        let close = |d: &&Difference| d.scope.closeness(place);
        let closest = self
            .differs
            .iter()
            .filter(|d| close(d).is_some())
            .max_by_key(close);
        closest.map_or(&self.expect, |difference| &difference.expect)
    }
}
