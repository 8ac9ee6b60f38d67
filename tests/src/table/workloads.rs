//! Who the rows name.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};
use callgate_policy::{IdentityFault, SpiffeId};
use serde::Deserialize;

use crate::pki::{Defect, Identity, Pki, TRUST_DOMAIN};

/// Every caller and callee, by name.
#[derive(Debug)]
pub struct Workloads {
    callers: BTreeMap<String, CallerSpec>,
    callees: BTreeMap<String, SpiffeId>,
}

/// A caller: what its certificate looks like and what that is worth.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerSpec {
    name: String,
    id: String,
    #[serde(default)]
    defect: Option<String>,
    /// What reaches the service in place of the certificate.
    #[serde(default)]
    pub sent: Sent,
    /// Why its identity is not believed.
    #[serde(default)]
    pub fault: Option<Fault>,
}

/// What reaches the service in place of a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sent {
    /// The certificate.
    #[default]
    Leaf,
    /// Base64 that is no certificate.
    Garbage,
    /// The certificate, twice.
    Twice,
}

/// Why an identity is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// No certificate.
    Missing,
    /// Not an X.509-SVID.
    Invalid,
    /// Outside its validity.
    Expired,
    /// No way to a bundle.
    Untrusted,
    /// Valid, and revoked by a document.
    Revoked,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    callers: Vec<CallerSpec>,
    callees: Vec<Callee>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Callee {
    name: String,
    id: String,
}

impl Workloads {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let file: File = serde_yaml_ng::from_str(&text)?;
        let mut callees = BTreeMap::new();
        for Callee { name, id } in file.callees {
            let id = SpiffeId::parse(&id).with_context(|| format!("callee `{name}`"))?;
            callees.insert(name, id);
        }
        let mut callers = BTreeMap::new();
        for caller in file.callers {
            caller
                .check()
                .with_context(|| format!("caller `{}`", caller.name))?;
            callers.insert(caller.name.clone(), caller);
        }
        Ok(Self { callers, callees })
    }

    /// The caller of that name; `none` has no certificate.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn caller(&self, name: &str) -> Result<Option<&CallerSpec>> {
        if name == "none" {
            return Ok(None);
        }
        self.callers
            .get(name)
            .map(Some)
            .with_context(|| format!("no caller is named `{name}`"))
    }

    /// The SPIFFE ID of the callee of that name; `none` has none.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn callee(&self, name: &str) -> Result<Option<&SpiffeId>> {
        if name == "none" {
            return Ok(None);
        }
        self.callees
            .get(name)
            .map(Some)
            .with_context(|| format!("no callee is named `{name}`"))
    }

    /// Every caller's name.
    pub fn callers(&self) -> impl Iterator<Item = &str> {
        self.callers.keys().map(String::as_str)
    }

    /// Every callee.
    pub fn callees(&self) -> impl Iterator<Item = (&str, &SpiffeId)> {
        self.callees.iter().map(|(name, id)| (name.as_str(), id))
    }
}

impl CallerSpec {
    /// The verified identity, or why there is none.
    ///
    /// # Errors
    /// When the identity is none; [`Workloads`] has checked that.
    pub fn identity(&self) -> Result<Result<SpiffeId, IdentityFault>> {
        match self.fault {
            Some(fault) => Ok(Err(fault.into())),
            None => Ok(Ok(SpiffeId::parse(&self.id)?)),
        }
    }

    /// The URI name of its certificate, or the first of several.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.id
    }

    /// The identity that its certificate claims.
    ///
    /// # Errors
    /// When that is none.
    pub fn named(&self) -> Result<SpiffeId> {
        Ok(SpiffeId::parse(&self.id)?)
    }

    /// Whether its handshake succeeds with `envoy/bundle.yaml`: a valid SVID of the
    /// trust domain. Envoy knows nothing of revocations.
    ///
    /// # Errors
    /// When the identity is none; [`Workloads`] has checked that.
    pub fn is_believed_as_shipped(&self) -> Result<bool> {
        if !matches!(self.fault, None | Some(Fault::Revoked)) {
            return Ok(false);
        }
        Ok(SpiffeId::parse(&self.id)?.trust_domain() == TRUST_DOMAIN)
    }

    /// Mints its certificate.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn mint(&self, pki: &Pki) -> Result<Identity> {
        let defect = self
            .defect
            .as_deref()
            .map_or(Ok(Defect::None), str::parse)?;
        // The partner's callers are signed by the partner.
        let partners = self.id.starts_with("spiffe://partner.example/");
        let defect = if defect == Defect::None && partners {
            Defect::OtherTrustDomain
        } else {
            defect
        };
        pki.mint(defect, &self.id)
    }

    fn check(&self) -> Result<()> {
        self.defect
            .as_deref()
            .map_or(Ok(Defect::None), str::parse)?;
        self.identity().map(|_| ())
    }
}

impl From<Fault> for IdentityFault {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Missing => Self::Missing,
            Fault::Invalid => Self::Invalid,
            Fault::Expired => Self::Expired,
            Fault::Untrusted => Self::Untrusted,
            Fault::Revoked => Self::Revoked,
        }
    }
}
