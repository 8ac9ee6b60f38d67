//! Identities as they are written on a command line.

use std::str::FromStr;

use anyhow::Context as _;
use callgate_policy::{SpiffeId, SpiffeIdError, TrustDomain};

/// A SPIFFE ID, or the path of one.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    Full(SpiffeId),
    Relative(String),
}

impl Identity {
    /// The whole ID; `option` is where it was written.
    pub(crate) fn resolve(
        &self,
        option: &str,
        domain: Option<&TrustDomain>,
    ) -> anyhow::Result<SpiffeId> {
        match self {
            Self::Full(id) => Ok(id.clone()),
            Self::Relative(path) => {
                let domain = domain.with_context(|| {
                    format!(
                        "nothing says which trust domain `{path}` belongs to: \
                         set `spec.trustDomain` in a MeshPolicy, or give --trust-domain"
                    )
                })?;
                SpiffeId::parse(&format!("spiffe://{domain}{path}"))
                    .with_context(|| format!("`{path}` after {option} is not an identity"))
            }
        }
    }
}

impl FromStr for Identity {
    type Err = SpiffeIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.starts_with('/') {
            return SpiffeId::parse(text).map(Self::Full);
        }
        // The domain comes later; the path can be judged now, as clap tells it best.
        SpiffeId::parse(&format!("spiffe://x{text}"))?;
        Ok(Self::Relative(text.to_owned()))
    }
}
