//! What can go wrong, and where.

use std::{fmt, io, net::SocketAddr, path::PathBuf};

use callgate_policy::TrustDomain;

use crate::{bundle::BundleError, config::ConfigError};

/// Why an issuer does not start.
#[derive(Debug)]
pub enum StartError {
    /// It was asked for something it does not do.
    Config(ConfigError),
    /// Others could put sockets of their own into the directory.
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// The path of a socket is longer than the system takes.
    SocketPath {
        /// That path.
        path: PathBuf,
        /// How long it may be, in bytes.
        limit: usize,
    },
    /// A file or socket cannot be made.
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A bundle endpoint's address cannot be had.
    Listen {
        /// That address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// A foreign trust domain's bundle cannot be read.
    Foreign {
        /// Whose.
        domain: TrustDomain,
        /// Why.
        error: BundleError,
    },
    /// Nothing can be signed.
    Issuer(IssuerError),
}

/// Why nothing can be signed.
#[derive(Debug)]
pub enum IssuerError {
    /// A key or a certificate cannot be made.
    Signing(rcgen::Error),
    /// Roots do not make a bundle.
    Bundle(BundleError),
    /// No such trust domain.
    Domain(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Directory { path } => write!(
                f,
                "`{}` is not a directory that only its owner may write to",
                path.display()
            ),
            Self::SocketPath { path, limit } => write!(
                f,
                "`{}` is too long for a socket: at most {limit} bytes",
                path.display()
            ),
            Self::File { path, error } => write!(f, "`{}`: {error}", path.display()),
            Self::Listen { address, error } => write!(f, "cannot listen at `{address}`: {error}"),
            Self::Foreign { domain, error } => {
                write!(f, "the bundle of `{}`: {error}", domain.as_str())
            }
            Self::Issuer(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for IssuerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signing(error) => write!(f, "cannot sign: {error}"),
            Self::Bundle(error) => error.fmt(f),
            Self::Domain(name) => write!(f, "trust domain `{name}` is not issued for"),
        }
    }
}

impl std::error::Error for StartError {}
impl std::error::Error for IssuerError {}

impl From<ConfigError> for StartError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<IssuerError> for StartError {
    fn from(error: IssuerError) -> Self {
        Self::Issuer(error)
    }
}

impl From<rcgen::Error> for IssuerError {
    fn from(error: rcgen::Error) -> Self {
        Self::Signing(error)
    }
}

impl From<BundleError> for IssuerError {
    fn from(error: BundleError) -> Self {
        Self::Bundle(error)
    }
}
