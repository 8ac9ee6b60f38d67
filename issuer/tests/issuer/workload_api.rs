//! The Workload API, asked by the `spiffe` crate and by bare gRPC.

use std::time::Duration;

use crate::stage::{ORDERS, Stage, domain, start, workload};
use callgate_issuer::{
    Config, Issuer,
    api::workload::{
        JwtsvidRequest, X509svidRequest, spiffe_workload_api_client::SpiffeWorkloadApiClient,
    },
};
use spiffe::{SpiffeId, TrustDomain, WorkloadApiClient, X509Source};
use tonic::{
    Code, Request,
    transport::{Channel, Endpoint},
};

fn endpoint(issuer: &Issuer) -> String {
    format!("unix:{}", issuer.socket("orders").unwrap().display())
}

async fn source(stage: &Stage) -> X509Source {
    let builder = X509Source::builder().endpoint(endpoint(&stage.issuer));
    builder.build().await.unwrap()
}

async fn bare(issuer: &Issuer) -> SpiffeWorkloadApiClient<Channel> {
    let channel = Endpoint::from_shared(endpoint(issuer)).unwrap();
    SpiffeWorkloadApiClient::new(channel.connect().await.unwrap())
}

/// Holds the leaf against the bundle as any verifier would.
fn verify(chain: &[spiffe::cert::Certificate], roots: &[spiffe::cert::Certificate]) {
    use rustls_pki_types::{CertificateDer, UnixTime};
    let der = |c: &spiffe::cert::Certificate| CertificateDer::from(c.as_bytes().to_vec());
    let roots: Vec<_> = roots.iter().map(der).collect();
    let anchors: Vec<_> = roots
        .iter()
        .map(|root| webpki::anchor_from_trusted_cert(root).unwrap())
        .collect();
    let (leaf, above) = chain.split_first().unwrap();
    let (leaf, above) = (der(leaf), above.iter().map(der).collect::<Vec<_>>());
    let leaf = webpki::EndEntityCert::try_from(&leaf).unwrap();
    leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &anchors,
        &above,
        UnixTime::now(),
        webpki::KeyUsage::client_auth(),
        None,
        None,
    )
    .unwrap();
}

#[tokio::test]
async fn a_source_gets_an_svid_that_verifies_and_every_bundle() {
    for intermediates in [0, 2] {
        let edit = |config: &mut Config| config.domains[0].intermediates = intermediates;
        let stage = start(edit).await;
        let source = source(&stage).await;
        let svid = source.svid().unwrap();
        assert_eq!(svid.spiffe_id(), &SpiffeId::new(ORDERS).unwrap());
        assert_eq!(svid.cert_chain().len(), usize::from(intermediates) + 1);
        let own = TrustDomain::new("example.org").unwrap();
        let bundles = source.bundle_set().unwrap();
        verify(svid.cert_chain(), bundles.get(&own).unwrap().authorities());
        let partner = TrustDomain::new("partner.example").unwrap();
        assert_eq!(bundles.get(&partner).unwrap().authorities().len(), 1);
    }
}

#[tokio::test]
async fn a_source_follows_renewals_and_new_roots() {
    let stage = start(|_| {}).await;
    let source = source(&stage).await;
    let mut updates = source.updated();
    let first = source.svid().unwrap();

    stage.issuer.renew().unwrap();
    updates.changed().await.unwrap();
    let second = source.svid().unwrap();
    assert_ne!(first.leaf(), second.leaf());

    stage.issuer.rotate_root("example.org").unwrap();
    updates.changed().await.unwrap();
    let own = TrustDomain::new("example.org").unwrap();
    let (third, bundles) = (source.svid().unwrap(), source.bundle_set().unwrap());
    let roots = bundles.get(&own).unwrap();
    assert_eq!(roots.authorities().len(), 2);
    verify(second.cert_chain(), roots.authorities());
    verify(third.cert_chain(), roots.authorities());
}

#[tokio::test]
async fn svids_rotate_by_themselves() {
    let stage = start(|config| config.svid_ttl = Duration::from_secs(2)).await;
    let source = source(&stage).await;
    let mut updates = source.updated();
    for _ in 0..2 {
        let before = source.svid().unwrap();
        updates.changed().await.unwrap();
        // Not the same and never none: the next one is there before the last ends.
        assert_ne!(source.svid().unwrap().leaf(), before.leaf());
    }
}

#[tokio::test]
async fn a_deleted_entry_withdraws_the_identity_and_a_new_one_gives_it_back() {
    let mut stage = start(|_| {}).await;
    let source = source(&stage).await;
    let mut updates = source.updated();
    assert!(stage.issuer.remove("orders"));
    updates.changed().await.unwrap();
    assert!(source.svid().is_err());
    stage.issuer.add(workload("orders", ORDERS)).unwrap();
    while source.svid().is_err() {
        updates.changed().await.unwrap();
    }
    assert!(stage.issuer.add(workload("orders/..", ORDERS)).is_err());
}

#[tokio::test]
async fn bundles_alone_can_be_had() {
    let stage = start(|_| {}).await;
    let client = WorkloadApiClient::connect_to(endpoint(&stage.issuer))
        .await
        .unwrap();
    let bundles = client.fetch_x509_bundles().await.unwrap();
    assert_eq!(bundles.len(), 2);
}

#[tokio::test]
async fn without_the_security_header_nothing_is_told() {
    let stage = start(|_| {}).await;
    let mut client = bare(&stage.issuer).await;
    let refused = client.fetch_x509svid(X509svidRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let mut request = Request::new(X509svidRequest {});
    let wrong = "false".parse().unwrap();
    request.metadata_mut().insert("workload.spiffe.io", wrong);
    let refused = client.fetch_x509svid(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn jwt_svids_are_not_implemented_and_it_says_so() {
    let stage = start(|_| {}).await;
    let mut client = bare(&stage.issuer).await;
    let mut request = Request::new(JwtsvidRequest::default());
    let header = "true".parse().unwrap();
    request.metadata_mut().insert("workload.spiffe.io", header);
    let refused = client.fetch_jwtsvid(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
}

#[tokio::test]
async fn an_issuer_that_ends_takes_its_sockets_along() {
    let stage = start(|_| {}).await;
    let socket = stage.issuer.socket("orders").unwrap().to_owned();
    assert!(socket.exists());
    let Stage { issuer, directory } = stage;
    drop(issuer);
    assert!(!socket.exists());
    drop(directory);
}

#[tokio::test]
async fn certificates_say_what_they_are_for() {
    let stage = start(|_| {}).await;
    let told = stage.issuer.snapshot("orders").unwrap();
    let all = told.svid.chain().iter().chain(told.bundle.roots());
    for der in all {
        let text = b"DEVELOPMENT ONLY";
        assert!(der.windows(text.len()).any(|bytes| bytes == text));
    }
}

#[tokio::test]
async fn two_issuers_federate_by_their_bundle_files() {
    let other = start(|config| {
        config.domains = vec![domain("other.example")];
        config.workloads.clear();
    })
    .await;
    let file = other.issuer.bundle_json("other.example");
    let stage = start(|config| {
        let name = callgate_policy::TrustDomain::parse("other.example").unwrap();
        config.foreign = vec![callgate_issuer::Foreign { name, bundle: file }];
    })
    .await;
    let source = source(&stage).await;
    let mut updates = source.updated();
    let name = TrustDomain::new("other.example").unwrap();
    let roots = |source: &X509Source| {
        let bundles = source.bundle_set().unwrap();
        bundles
            .get(&name)
            .map_or(0, |bundle| bundle.authorities().len())
    };
    assert_eq!(roots(&source), 1);
    other.issuer.rotate_root("other.example").unwrap();
    updates.changed().await.unwrap();
    assert_eq!(roots(&source), 2);
}
