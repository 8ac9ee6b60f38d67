//! What to issue, and the limits of it.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use callgate_policy::{SpiffeId, TrustDomain};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// One machine's mesh is smaller.
const MAX_WORKLOADS: usize = 256;
const MAX_DOMAINS: usize = 8;
/// A chain carries at most four certificates above the leaf, as Callgate reads it.
const MAX_INTERMEDIATES: u8 = 3;
/// A file name, with room for what is put after it.
const MAX_NAME_BYTES: usize = 64;
/// Certificates count whole seconds, and half of a life is the time to rotate.
const MIN_SVID_TTL: Duration = Duration::from_secs(2);
/// What lives longer than that is not there to rotate, and tempts to be kept.
const MAX_SVID_TTL: Duration = Duration::from_secs(3_600);
/// An SVID ends with its authority: a shorter-lived one would cut lives short.
const MIN_CA_LIVES: u32 = 6;
const MAX_CA_TTL: Duration = Duration::from_secs(7 * 24 * 3_600);

/// What an issuer issues.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where sockets and bundles are: a directory that nobody else may write to.
    /// Created, for its owner only, if it is not there.
    pub directory: PathBuf,
    /// The trust domains it signs for, at most 8. They federate with each other.
    pub domains: Vec<Domain>,
    /// Trust domains of others that its workloads believe as well, at most 8.
    pub foreign: Vec<Foreign>,
    /// Who gets an SVID, at most 256.
    pub workloads: Vec<Workload>,
    /// Life of an SVID, 2 s to an hour; it is renewed when half of that is over.
    pub svid_ttl: Duration,
    /// Life of a root, at least six times that of an SVID, at most a week.
    pub ca_ttl: Duration,
}

/// A trust domain that an issuer signs for.
#[derive(Clone, Debug)]
pub struct Domain {
    /// Its name.
    pub name: TrustDomain,
    /// Certificates between a root and its leaves, at most 3.
    pub intermediates: u8,
    /// What signs first, if somebody else made it: tests sign broken certificates with
    /// the same key. Not to be had from the command line.
    pub root: Option<SigningRoot>,
    /// Roots in its bundle that somebody else signs with.
    pub also_trusted: Vec<CertificateDer<'static>>,
    /// Where its bundle endpoint listens, on loopback.
    pub endpoint: Option<SocketAddr>,
}

/// A root with its key.
pub struct SigningRoot {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// A trust domain of somebody else.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// Its name.
    pub name: TrustDomain,
    /// Its SPIFFE bundle (JSON), read again when it changes.
    pub bundle: PathBuf,
}

/// A workload and its socket, `DIRECTORY/NAME.sock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Lower-case letters, digits, `-`, `_` and `.`; at most 64.
    pub name: String,
    /// Its identity, in one of the issuer's trust domains.
    pub id: SpiffeId,
}

/// Why there is nothing to issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// No trust domain, or more than 8 own or foreign ones.
    Domains,
    /// A trust domain is named twice.
    DomainTwice(TrustDomain),
    /// More intermediates than a chain may hold.
    Intermediates(u8),
    /// A bundle endpoint that other machines could reach.
    NotLoopback(SocketAddr),
    /// More than 256 workloads.
    Workloads,
    /// A workload's name is no file name.
    Name(String),
    /// A workload is named twice.
    NameTwice(String),
    /// A workload belongs to a trust domain that is not the issuer's.
    NotOurs(SpiffeId),
    /// SVIDs live too short or too long.
    SvidTtl(Duration),
    /// Roots live too short or too long.
    CaTtl(Duration),
}

impl Config {
    /// Nobody yet, in `directory`: SVIDs of a minute, roots of an hour.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            domains: Vec::new(),
            foreign: Vec::new(),
            workloads: Vec::new(),
            svid_ttl: Duration::from_secs(60),
            ca_ttl: Duration::from_secs(3_600),
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.check_domains()?;
        if self.workloads.len() > MAX_WORKLOADS {
            return Err(ConfigError::Workloads);
        }
        for (at, workload) in self.workloads.iter().enumerate() {
            let before = self.workloads.iter().take(at);
            self.check_workload(workload, before)?;
        }
        if self.svid_ttl < MIN_SVID_TTL || self.svid_ttl > MAX_SVID_TTL {
            return Err(ConfigError::SvidTtl(self.svid_ttl));
        }
        if self.ca_ttl < self.svid_ttl * MIN_CA_LIVES || self.ca_ttl > MAX_CA_TTL {
            return Err(ConfigError::CaTtl(self.ca_ttl));
        }
        Ok(())
    }

    fn check_domains(&self) -> Result<(), ConfigError> {
        let (own, foreign) = (self.domains.len(), self.foreign.len());
        if own == 0 || own > MAX_DOMAINS || foreign > MAX_DOMAINS {
            return Err(ConfigError::Domains);
        }
        let own = self.domains.iter().map(|domain| &domain.name);
        let names: Vec<_> = own.chain(self.foreign.iter().map(|f| &f.name)).collect();
        for (at, name) in names.iter().enumerate() {
            if names.iter().take(at).any(|other| other == name) {
                return Err(ConfigError::DomainTwice((*name).clone()));
            }
        }
        for domain in &self.domains {
            if domain.intermediates > MAX_INTERMEDIATES {
                return Err(ConfigError::Intermediates(domain.intermediates));
            }
            match domain.endpoint {
                Some(address) if !address.ip().to_canonical().is_loopback() => {
                    return Err(ConfigError::NotLoopback(address));
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(crate) fn check_workload<'a>(
        &self,
        workload: &Workload,
        mut others: impl Iterator<Item = &'a Workload>,
    ) -> Result<(), ConfigError> {
        let name = &workload.name;
        if !is_name(name) {
            return Err(ConfigError::Name(name.clone()));
        }
        if others.any(|other| other.name == *name) {
            return Err(ConfigError::NameTwice(name.clone()));
        }
        let domain = workload.id.trust_domain();
        if !self.domains.iter().any(|own| own.name.as_str() == domain) {
            return Err(ConfigError::NotOurs(workload.id.clone()));
        }
        Ok(())
    }
}

impl Domain {
    /// One whose roots sign leaves themselves, without a bundle endpoint.
    #[must_use]
    pub const fn new(name: TrustDomain) -> Self {
        Self {
            name,
            intermediates: 0,
            root: None,
            also_trusted: Vec::new(),
            endpoint: None,
        }
    }
}

impl SigningRoot {
    /// A CA certificate and its key; P-256 or P-384.
    #[must_use]
    pub const fn new(certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> Self {
        Self { certificate, key }
    }
}

impl Clone for SigningRoot {
    fn clone(&self) -> Self {
        Self::new(self.certificate.clone(), self.key.clone_key())
    }
}

impl fmt::Debug for SigningRoot {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningRoot").finish_non_exhaustive()
    }
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= MAX_NAME_BYTES
        && name.bytes().next().is_some_and(plain)
        && name
            .bytes()
            .all(|byte| plain(byte) || b"-_.".contains(&byte))
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domains => write!(f, "1 to {MAX_DOMAINS} trust domains can be issued for"),
            Self::DomainTwice(domain) => {
                write!(f, "trust domain `{}` is given twice", domain.as_str())
            }
            Self::Intermediates(given) => {
                write!(
                    f,
                    "{given} intermediates; at most {MAX_INTERMEDIATES} fit into a chain"
                )
            }
            Self::NotLoopback(address) => write!(
                f,
                "`{address}` is not on loopback, and this issuer is for development only"
            ),
            Self::Workloads => write!(f, "more than {MAX_WORKLOADS} workloads"),
            Self::Name(name) => write!(
                f,
                "`{name}` is no name for a socket: lower-case letters, digits, `-`, `_` and `.`, \
                 at most {MAX_NAME_BYTES}"
            ),
            Self::NameTwice(name) => write!(f, "workload `{name}` is given twice"),
            Self::NotOurs(id) => write!(
                f,
                "`{}` is in none of the trust domains that are issued for",
                id.as_str()
            ),
            Self::SvidTtl(ttl) => write!(
                f,
                "an SVID cannot live {ttl:?}: {MIN_SVID_TTL:?} to {MAX_SVID_TTL:?}"
            ),
            Self::CaTtl(ttl) => write!(
                f,
                "a root cannot live {ttl:?}: {MIN_CA_LIVES} times as long as an SVID, at most {MAX_CA_TTL:?}"
            ),
        }
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(name: &str) -> Domain {
        Domain::new(TrustDomain::parse(name).unwrap())
    }

    fn workload(name: &str, id: &str) -> Workload {
        Workload {
            name: name.to_owned(),
            id: SpiffeId::parse(id).unwrap(),
        }
    }

    fn config() -> Config {
        let mut config = Config::new("/nowhere".into());
        config.domains = vec![domain("example.org")];
        config.workloads = vec![workload("orders", "spiffe://example.org/orders")];
        config
    }

    #[test]
    fn a_usual_one_is_taken() {
        assert_eq!(config().check(), Ok(()));
    }

    /// Spoils a usual configuration.
    type Spoil = fn(&mut Config);

    #[test]
    fn each_limit_is_held() {
        let cases: Vec<(&str, Spoil)> = vec![
            ("no domain", |c| c.domains.clear()),
            ("a domain twice", |c| c.domains.push(domain("example.org"))),
            ("foreign and own", |c| {
                let (name, bundle) = (c.domains[0].name.clone(), "/b".into());
                c.foreign.push(Foreign { name, bundle });
            }),
            ("too deep", |c| c.domains[0].intermediates = 4),
            ("reachable", |c| {
                c.domains[0].endpoint = "0.0.0.0:0".parse().ok();
            }),
            ("mapped", |c| {
                c.domains[0].endpoint = "[::ffff:10.0.0.1]:0".parse().ok();
            }),
            ("a path as a name", |c| c.workloads[0].name = "../x".into()),
            ("an empty name", |c| c.workloads[0].name.clear()),
            ("a hidden name", |c| c.workloads[0].name = ".x".into()),
            ("a long name", |c| c.workloads[0].name = "x".repeat(65)),
            ("a name twice", |c| c.workloads.push(c.workloads[0].clone())),
            ("too many", |c| {
                c.workloads = vec![c.workloads[0].clone(); 257];
            }),
            ("not ours", |c| {
                c.workloads[0] = workload("orders", "spiffe://other.example/orders");
            }),
            ("short", |c| c.svid_ttl = Duration::from_secs(1)),
            ("long", |c| c.svid_ttl = Duration::from_secs(3_601)),
            ("a root too short", |c| c.ca_ttl = Duration::from_secs(359)),
            ("a root too long", |c| c.ca_ttl = MAX_CA_TTL + MIN_SVID_TTL),
        ];
        for (name, spoil) in cases {
            let mut config = config();
            spoil(&mut config);
            assert!(config.check().is_err(), "{name}");
        }
    }

    #[test]
    fn loopback_is_loopback_in_every_spelling() {
        for address in [
            "127.0.0.1:0",
            "127.9.9.9:0",
            "[::1]:0",
            "[::ffff:127.0.0.1]:0",
        ] {
            let mut config = config();
            config.domains[0].endpoint = address.parse().ok();
            assert_eq!(config.check(), Ok(()), "{address}");
        }
    }
}
