//! Certificates, as PEM and as DER.

use std::{
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, ensure};
use callgate_policy::{Timestamp, TrustDomain};
use callgate_server::{
    bundle::TrustBundle,
    svid::{PeerCertificate, SvidError, Verifier},
};
use callgate_tests::pki::{Defect, Pki, TRUST_DOMAIN};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::Corpus;

/// Text that is taken for a certificate is the same one however it is written, and never
/// two; and whatever is done to the bytes of a certificate, only the very certificate that
/// was signed identifies anybody.
///
/// # Errors
/// When the reader or the verifier is wrong.
pub fn certificate(bytes: &[u8]) -> Result<()> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        pem(text)?;
    }
    let fixture = fixture()?;
    fixture.der(bytes.to_vec())?;
    fixture.der(fixture.corpus.mutant(bytes))
}

fn pem(text: &str) -> Result<()> {
    let Ok(certificate) = PeerCertificate::from_pem(text) else {
        return Ok(());
    };
    let encoded = utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    // What is encoded already is not encoded again, and encoding may exceed the bound.
    if !text.contains('%') && encoded.len() <= 32 * 1024 {
        let again = PeerCertificate::from_pem(&encoded);
        ensure!(
            again.as_ref() == Ok(&certificate),
            "percent-encoded: {again:?}"
        );
    }
    let twice = PeerCertificate::from_pem(&format!("{text}\n{text}"));
    ensure!(twice.is_err(), "twice: {twice:?}");
    Ok(())
}

struct Fixture {
    verifier: Verifier,
    corpus: Corpus,
    /// Every certificate that identifies somebody, now or once.
    signed: Vec<Vec<u8>>,
    now: Timestamp,
}

impl Fixture {
    fn mint() -> Result<Self> {
        let pki = Pki::new()?;
        let id = "/ns/shop/sa/checkout";
        let (good, expired) = (pki.svid(id)?, pki.mint(Defect::Expired, id)?);
        let mut seeds = Vec::new();
        for defect in [Defect::TwoUriSans, Defect::LeafIsCa, Defect::ForeignCa] {
            seeds.extend(pki.mint(defect, id)?.chain);
        }
        let signed: Vec<Vec<u8>> = good
            .chain
            .into_iter()
            .chain(expired.chain)
            .map(|der| der.to_vec())
            .collect();
        let seeds = seeds
            .iter()
            .map(|der| der.to_vec())
            .chain(signed.iter().cloned());
        let bundle = TrustBundle::parse(TrustDomain::parse(TRUST_DOMAIN)?, &pki.root.bundle_pem())?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
        Ok(Self {
            verifier: Verifier::new([bundle]),
            corpus: Corpus::of(seeds.collect())?,
            signed,
            now: Timestamp::from_secs(since.as_secs().cast_signed()),
        })
    }

    fn der(&self, der: Vec<u8>) -> Result<()> {
        let known = self.signed.contains(&der);
        let leaf = PeerCertificate::from_der(der);
        let verified = self.verifier.verify(&leaf, Vec::new, self.now);
        let believed = matches!(verified, Ok(_) | Err(SvidError::Expired(_)));
        ensure!(believed == known, "{verified:?} of {}", leaf.sha256());
        Ok(())
    }
}

fn fixture() -> Result<&'static Fixture> {
    static FIXTURE: OnceLock<Option<Fixture>> = OnceLock::new();
    FIXTURE
        .get_or_init(|| Fixture::mint().ok())
        .as_ref()
        .context("no certificates")
}
