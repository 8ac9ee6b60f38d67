//! Why a server does not start.

use std::{fmt, io, path::PathBuf};

use callgate_policy::TrustDomain;

use super::listen::Listen;
use crate::{
    bundle::{BundleFileError, EndpointsError},
    identity::{CredentialFileError, NoIdentity},
};

/// Why a server does not start. Whatever it is, nothing was started.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// A listener that others than this machine can reach, without TLS.
    Plaintext {
        /// Its option.
        option: &'static str,
        /// Its address.
        address: Listen,
    },
    /// An address that cannot be bound.
    Bind {
        /// Its option.
        option: &'static str,
        /// The address.
        address: Listen,
        /// What the system said.
        error: io::Error,
    },
    /// The directory of policies is not there, or no directory. What is in it may
    /// still be put right while the server runs.
    Policies {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// No trust bundle, so nobody could ever be verified.
    NoTrustBundle,
    /// An identity, and no proxy that may connect.
    NoProxyId,
    /// Proxies are named, and without an identity of its own the server cannot ask
    /// them for theirs.
    ProxyIdWithoutIdentity,
    /// The Workload API gave no identity to start with.
    NoIdentity(NoIdentity),
    /// The server's own certificate cannot be used.
    OwnFiles(CredentialFileError),
    /// TLS cannot be set up.
    Tls(rustls::Error),
    /// A trust bundle that cannot be used.
    TrustBundle(BundleFileError),
    /// A trust domain with more than one endpoint: whose word should count?
    TwoEndpoints(TrustDomain),
    /// Bundle endpoints that cannot be polled.
    BundleEndpoints(EndpointsError),
    /// The decision log cannot be opened.
    DecisionLog {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The system gives no thread.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plaintext { option, address } => write!(
                f,
                "`{option} {address}` can be reached from other machines and has no TLS: \
                 {}, or say `--danger-plaintext` where the network itself is trusted",
                if *option == "--listen" {
                    "give the server an identity (`--workload-api`, or `--svid` and \
                     `--svid-key`), use a loopback address or a unix socket"
                } else {
                    "use a loopback address or a unix socket"
                }
            ),
            Self::Bind {
                option,
                address,
                error,
            } => write!(f, "`{option} {address}`: cannot listen: {error}"),
            Self::Policies { path, error } => {
                write!(f, "`--policies {}`: {error}", path.display())
            }
            Self::NoTrustBundle => {
                f.write_str("no source of trust bundles: without one no caller can be verified; ")?;
                f.write_str("give `--trust-bundle`, `--bundle-endpoint` or `--workload-api`")
            }
            Self::NoProxyId => {
                f.write_str("no `--proxy-id`: over mutual TLS only proxies that one covers may ask")
            }
            Self::ProxyIdWithoutIdentity => f.write_str(
                "`--proxy-id` without an identity of the server's own (`--workload-api`, or \
                 `--svid` and `--svid-key`): proxies show theirs over mutual TLS only",
            ),
            Self::NoIdentity(error) => error.fmt(f),
            Self::OwnFiles(error) => error.fmt(f),
            Self::Tls(error) => write!(f, "cannot set up TLS: {error}"),
            Self::TrustBundle(error) => error.fmt(f),
            Self::TwoEndpoints(domain) => {
                write!(f, "`--bundle-endpoint` of `{domain}`: given twice")
            }
            Self::BundleEndpoints(error) => error.fmt(f),
            Self::DecisionLog { path, error } => write!(
                f,
                "`--decision-log {}`: cannot open it: {error}",
                path.display()
            ),
            Self::Thread(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { error, .. }
            | Self::Policies { error, .. }
            | Self::DecisionLog { error, .. }
            | Self::Thread(error) => Some(error),
            Self::TrustBundle(error) => Some(error),
            Self::BundleEndpoints(error) => Some(error),
            Self::NoIdentity(error) => Some(error),
            Self::OwnFiles(error) => Some(error),
            Self::Tls(error) => Some(error),
            Self::Plaintext { .. }
            | Self::NoTrustBundle
            | Self::TwoEndpoints(_)
            | Self::NoProxyId
            | Self::ProxyIdWithoutIdentity => None,
        }
    }
}
