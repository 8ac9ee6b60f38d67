//! `callgate dev issuer` as a process, and what a workload does with its socket.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use spiffe::{X509Source, X509Svid};
use tokio::task::JoinHandle;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use crate::{
    artifact,
    pki::{Identity, TRUST_DOMAIN},
    process::{Process, eventually},
};

/// It starts in milliseconds; a busy machine may take longer.
const START_LIMIT: Duration = Duration::from_secs(15);
/// What it says last.
const READY: &str = "issuer ready";

/// A running development issuer and its directory.
#[derive(Debug)]
pub struct DevIssuer {
    process: Process,
    directory: PathBuf,
}

/// Files that follow a workload's identity, until dropped.
#[derive(Debug)]
pub struct Kept(JoinHandle<()>);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl DevIssuer {
    /// Starts it for `workloads`, names and IDs, in a directory below `parent`.
    ///
    /// # Errors
    /// When it does not get ready; the error has the end of its log.
    pub async fn start(parent: &Path, workloads: &[(&str, &str)], svid_ttl: u64) -> Result<Self> {
        let directory = parent.join("mesh");
        let mut args = vec![
            "dev".to_owned(),
            "issuer".to_owned(),
            format!("--trust-domain={TRUST_DOMAIN}"),
            format!("--dir={}", directory.display()),
            format!("--svid-ttl={svid_ttl}"),
        ];
        args.extend(
            workloads
                .iter()
                .map(|(name, id)| format!("--workload={name}={id}")),
        );
        let log = parent.join("issuer.log");
        let mut process = Process::start("dev issuer", &artifact::callgate()?, &args, &log)?;
        let ready = eventually(START_LIMIT, "callgate dev issuer to be ready", async || {
            process.alive()?;
            Ok(process
                .log()
                .lines()
                .any(|line| line == READY)
                .then_some(()))
        })
        .await;
        ready.with_context(|| process.tail())?;
        Ok(Self { process, directory })
    }

    /// A workload's socket.
    #[must_use]
    pub fn socket(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.sock"))
    }

    /// The trust domain's roots, PEM.
    #[must_use]
    pub fn bundle_pem(&self) -> PathBuf {
        self.directory.join(format!("{TRUST_DOMAIN}.pem"))
    }

    /// The process, for its log and for signals.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// What a workload is given now; whoever asks does not renew it.
    ///
    /// # Errors
    /// When it is given none.
    pub async fn svid(&self, name: &str) -> Result<Identity> {
        identity(&*source(&self.socket(name)).await?.svid()?)
    }

    /// Writes a workload's identity into `directory`, now and whenever it is renewed.
    ///
    /// # Errors
    /// When there is none, or it cannot be written.
    pub async fn keep(&self, name: &str, directory: &Path) -> Result<Kept> {
        fs::create_dir_all(directory)?;
        let (source, directory) = (source(&self.socket(name)).await?, directory.to_owned());
        let mut updates = source.updated();
        identity(&*source.svid()?)?.write_to(&directory)?;
        Ok(Kept(tokio::spawn(async move {
            while updates.changed().await.is_ok() {
                let renewed = source.svid().map_err(anyhow::Error::from);
                let written = renewed
                    .and_then(|svid| identity(&svid))
                    .and_then(|own| own.write_to(&directory));
                if let Err(error) = written {
                    eprintln!("cannot renew `{}`: {error:#}", directory.display());
                }
            }
        })))
    }
}

async fn source(socket: &Path) -> Result<X509Source> {
    let endpoint = format!("unix:{}", socket.display());
    Ok(X509Source::builder().endpoint(endpoint).build().await?)
}

fn identity(svid: &X509Svid) -> Result<Identity> {
    let chain = svid.cert_chain().iter();
    let key = svid.private_key().as_bytes().to_vec();
    let (_, leaf) = X509Certificate::from_der(svid.leaf().as_bytes())?;
    Ok(Identity {
        chain: chain
            .map(|der| CertificateDer::from(der.as_bytes().to_vec()))
            .collect(),
        key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key)),
        not_after: leaf.validity().not_after.to_datetime(),
    })
}
