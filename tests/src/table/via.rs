//! Rows whose caller does not call itself: a gateway does, and says for whom.

use anyhow::{Context as _, Result, bail};
use callgate_policy::{IdentityFault, SpiffeId};
use serde::Deserialize;

use super::{CallerSpec, Wallet, Workloads, url_encoded};

/// Who calls in the caller's place, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// A caller of [`Workloads`]: it makes the connection.
    pub peer: String,
    /// What it writes into `x-forwarded-client-cert`.
    pub said: Said,
}

/// What a gateway says of its caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Said {
    /// As Envoy writes it with `{uri: true, cert: true}`.
    #[default]
    Certificate,
    /// The same with `{uri: true, chain: true}`.
    Chain,
    /// The same with `{uri: true}`: there is only its word.
    Identity,
    /// With elements before it, which others wrote: they count for nothing.
    AfterOthers,
    /// Two identities.
    TwoIdentities,
    /// What another proxy said.
    AnothersWord,
    /// A certificate of somebody else.
    OtherCertificate,
    /// Text that is not of the header's grammar.
    Nonsense,
}

impl Via {
    /// For whom the call is, as far as what is said can be understood and verified.
    ///
    /// # Errors
    /// When the caller's identity is none.
    pub fn original(&self, caller: &CallerSpec) -> Result<Result<SpiffeId, IdentityFault>> {
        match self.said {
            Said::Certificate | Said::Chain | Said::AfterOthers => caller.identity(),
            Said::Identity => Ok(Ok(caller.named()?)),
            Said::TwoIdentities | Said::AnothersWord | Said::OtherCertificate | Said::Nonsense => {
                Ok(Err(IdentityFault::Invalid))
            }
        }
    }

    /// The header that the gateway sends for `caller`.
    ///
    /// # Errors
    /// When either is not a caller with a certificate.
    pub(super) fn header(
        &self,
        caller: &str,
        wallet: &Wallet,
        workloads: &Workloads,
    ) -> Result<String> {
        let Some(peer) = workloads.caller(&self.peer)? else {
            bail!("a gateway has a certificate");
        };
        let original = workloads.caller(caller)?.context("nobody to forward")?;
        let shown = |name: &str| wallet.shown(name).context("not in the wallet");
        let (gateway, shown) = (shown(&self.peer)?, shown(caller)?);
        let (by, uri) = (peer.named()?, original.named()?);
        let hash = &shown.sha256;
        let said = |pairs: &str| format!("By={by};Hash={hash};{pairs}URI={uri}");
        let cert = |pem: &str| said(&format!("Cert=\"{}\";", url_encoded(pem)));
        Ok(match self.said {
            Said::Certificate => cert(&shown.leaf),
            Said::Chain => said(&format!("Chain=\"{}\";", url_encoded(&shown.chain))),
            Said::Identity => said(""),
            Said::AfterOthers => {
                let other = "spiffe://example.org/ns/shop/sa/admin";
                format!("By={by};Hash={hash};URI={other},{}", cert(&shown.leaf))
            }
            Said::TwoIdentities => said(&format!("URI={by};")),
            Said::AnothersWord => said("").replacen(by.as_str(), uri.as_str(), 1),
            Said::OtherCertificate => cert(&gateway.leaf),
            Said::Nonsense => format!("Subject=\"{}", said("")),
        })
    }
}
