//! Who is asked, in this process.

use callgate_policy::{SpiffeId, Timestamp, TrustDomain};
use callgate_server::{
    bundle::TrustBundle,
    clock,
    svid::{PeerCertificate, Verifier, chain_hints},
};
use rcgen::KeyPair;
use serde::Deserialize;
use spiffe::X509Svid;

use super::{AllAnswers, Minted, TRUST_DOMAIN, Vectors};
use crate::pki::pem;

/// An implementation of the standards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Subject {
    /// What the server uses.
    #[serde(rename = "callgate")]
    Callgate,
    /// The crate of rust-spiffe.
    #[serde(rename = "spiffe")]
    Crate,
    /// go-spiffe v2.
    #[serde(rename = "go-spiffe")]
    Go,
}

/// What Callgate says to everything.
#[must_use]
pub fn answers_of_callgate(vectors: &Vectors) -> AllAnswers {
    let now = clock::now();
    let roots = |document: &String| {
        let domain = TrustDomain::parse(TRUST_DOMAIN).ok()?;
        TrustBundle::parse_jwks(domain, document).ok()
    };
    AllAnswers {
        ids: each(&vectors.texts, |id| validity(SpiffeId::parse(id).is_ok())),
        svids: each(&vectors.minted, |minted| {
            validity(verifies(minted, now).is_some())
        }),
        bundles: each(&vectors.documents, |document| match roots(document) {
            None => "Refused".to_owned(),
            Some(bundle) if bundle.len() == 1 => "1 root".to_owned(),
            Some(bundle) => format!("{} roots", bundle.len()),
        }),
    }
}

/// What the crate `spiffe` says. It verifies no signatures and reads no bundles of this
/// format.
///
/// # Errors
/// If no key can be made for it; it wants to see one.
pub fn answers_of_the_crate(vectors: &Vectors) -> anyhow::Result<AllAnswers> {
    let key = KeyPair::generate()?.serialize_der();
    Ok(AllAnswers {
        ids: each(&vectors.texts, |id| {
            validity(spiffe::SpiffeId::new(id).is_ok())
        }),
        svids: each(&vectors.minted, |minted| {
            validity(X509Svid::parse_from_der(&minted.chain.concat(), &key).is_ok())
        }),
        bundles: super::Answers::new(),
    })
}

/// The whole way of a caller's certificate, as it comes from a proxy.
fn verifies(minted: &Minted, now: Timestamp) -> Option<()> {
    let bundles = minted.bundles.iter().map(|(domain, roots)| {
        let domain = TrustDomain::parse(domain).ok()?;
        TrustBundle::from_der(domain, roots).ok()
    });
    let verifier = Verifier::new(bundles.collect::<Option<Vec<_>>>()?);
    let leaf = PeerCertificate::from_der(minted.chain.first()?.clone());
    let chain: String = minted
        .chain
        .iter()
        .map(|der| pem("CERTIFICATE", der))
        .collect();
    let hints = || chain_hints(&chain, &leaf);
    verifier.verify(&leaf, hints, now).ok().map(drop)
}

fn each<T>(
    vectors: &std::collections::BTreeMap<String, T>,
    answer: impl Fn(&T) -> String,
) -> super::Answers {
    let answers = vectors.iter().map(|(name, it)| (name.clone(), answer(it)));
    answers.collect()
}

fn validity(valid: bool) -> String {
    if valid { "Valid" } else { "Invalid" }.to_owned()
}
