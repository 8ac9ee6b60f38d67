use callgate_policy::TrustDomain;
use rcgen::{ExtendedKeyUsagePurpose, SanType};
use rustls::RootCertStore;
use tokio::net::TcpListener;

use super::*;
use crate::{
    bundle::{
        MAX_BYTES, Taken,
        endpoint::served::{DOMAIN, SERVER, Server, answer, named, ok, on_loopback},
    },
    health::Health,
    mint::{Authority, peer, spiffe_bundle},
    svid::{PeerCertificate, Verifier},
};

/// A mesh that knows nobody yet.
struct Mesh {
    live: Arc<Live>,
    bundles: Arc<Bundles>,
}

impl Mesh {
    fn new() -> Self {
        let live = Arc::new(Live::new(Verifier::new([])));
        let bundles = Bundles::new(Arc::clone(&live), Arc::new(Health::default()));
        Self { live, bundles }
    }

    /// What an operator puts into a file to begin with.
    fn begin_with(&self, root: &Authority) {
        let feed = self.bundles.feed(&domain(), "`ca.pem`");
        feed.take(root.bundle(DOMAIN), None, clock::now());
    }

    fn poller(&self, endpoint: &BundleEndpoint) -> Poller {
        self.poller_trusting(endpoint, RootCertStore::empty())
    }

    fn poller_trusting(&self, endpoint: &BundleEndpoint, roots: RootCertStore) -> Poller {
        let config = tls::config(endpoint.profile(), &self.live, || Ok(roots)).unwrap();
        Poller::new(endpoint, config, &self.bundles)
    }

    fn verifies(&self, leaf: &PeerCertificate) -> bool {
        let snapshot = self.live.current();
        let svid = snapshot.verifier().verify(leaf, Vec::new, clock::now());
        svid.is_ok()
    }
}

fn domain() -> TrustDomain {
    TrustDomain::parse(DOMAIN).unwrap()
}

fn depot(root: &Authority) -> PeerCertificate {
    peer(&root.leaf(named("spiffe://partner.example/depot/1")))
}

/// Looks once, as the poller does between its pauses.
async fn turn(poller: &Poller) -> Result<Taken, String> {
    let bundle = poller.look().await?.bundle;
    let interval = interval_of(&bundle);
    let now = clock::now();
    Ok(poller.feed.take(bundle, Some(due(now, interval)), now))
}

#[tokio::test]
async fn a_trust_domain_rotates_its_keys_without_anybodys_help() {
    let (old, new) = (
        Authority::root_of_today("old"),
        Authority::root_of_today("new"),
    );
    let server = Server::start(
        old.leaf_and_key(named(SERVER)),
        ok(&spiffe_bundle(&[&old], 1, 60)),
    )
    .await;
    let mesh = Mesh::new();
    let poller = mesh.poller(&server.spiffe());
    let fault = turn(&poller).await.unwrap_err();
    assert!(fault.contains("no bundle for its trust domain"), "{fault}");

    mesh.begin_with(&old);
    assert_eq!(turn(&poller).await, Ok(Taken::Same));
    server.show(ok(&spiffe_bundle(&[&old, &new], 2, 60)));
    assert_eq!(turn(&poller).await, Ok(Taken::New));
    assert!(mesh.verifies(&depot(&old)) && mesh.verifies(&depot(&new)));
    // The endpoint itself changes over, and then the old key goes.
    server.be(new.leaf_and_key(named(SERVER)));
    server.show(ok(&spiffe_bundle(&[&new], 3, 60)));
    let remembered = depot(&old);
    assert!(mesh.verifies(&remembered));
    assert_eq!(turn(&poller).await, Ok(Taken::New));
    assert!(!mesh.verifies(&remembered) && mesh.verifies(&depot(&new)));
    // What is gone does not authenticate the endpoint any more.
    server.be(old.leaf_and_key(named(SERVER)));
    assert!(turn(&poller).await.unwrap_err().contains("no path"));
}

#[tokio::test]
async fn an_endpoint_must_be_the_workload_that_it_should_be() {
    let (root, foreign) = (
        Authority::root_of_today("root"),
        Authority::root_of_today("root"),
    );
    let bundle = ok(&spiffe_bundle(&[&root], 1, 60));
    let server = Server::start(root.leaf_and_key(named(SERVER)), bundle).await;
    let mesh = Mesh::new();
    mesh.begin_with(&root);
    let poller = mesh.poller(&server.spiffe());
    for (name, certificate, expected) in [
        (
            "another_workload",
            root.leaf_and_key(named("spiffe://partner.example/other")),
            "not `spiffe://partner.example/spire/server`",
        ),
        (
            "another_trust_domain",
            root.leaf_and_key(named("spiffe://other.example/spire/server")),
            "no bundle for its trust domain",
        ),
        ("forged", foreign.leaf_and_key(named(SERVER)), "no path"),
        (
            "expired",
            root.leaf_and_key(|params| {
                named(SERVER)(params);
                params.not_after = params.not_before + time::Duration::MINUTE;
            }),
            "outside its validity",
        ),
        (
            "for_clients_only",
            root.leaf_and_key(|params| {
                named(SERVER)(params);
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            }),
            "`serverAuth`",
        ),
        ("of_the_web", root.leaf_and_key(on_loopback), "no URI SAN"),
    ] {
        server.be(certificate);
        let fault = turn(&poller).await.expect_err(name);
        assert!(fault.contains(expected), "{name}: {fault}");
    }
    server.be(root.leaf_and_key(named(SERVER)));
    assert_eq!(turn(&poller).await, Ok(Taken::Same));
}

#[tokio::test]
async fn an_endpoint_may_be_a_workload_of_another_trust_domain() {
    let (own, partner) = (
        Authority::root_of_today("own"),
        Authority::root_of_today("partner"),
    );
    let id = "spiffe://example.org/spire/server";
    let bundle = ok(&spiffe_bundle(&[&partner], 1, 60));
    let server = Server::start(own.leaf_and_key(named(id)), bundle).await;
    let mesh = Mesh::new();
    let own_domain = TrustDomain::parse("example.org").unwrap();
    let feed = mesh.bundles.feed(&own_domain, "`ca.pem`");
    feed.take(own.bundle("example.org"), None, clock::now());
    let endpoint = format!("{DOMAIN}=https_spiffe,{id},{}", server.url());
    let poller = mesh.poller(&endpoint.parse().unwrap());
    assert_eq!(turn(&poller).await, Ok(Taken::New));
    assert!(mesh.verifies(&depot(&partner)));
}

#[tokio::test]
async fn an_endpoint_of_the_web_is_who_its_certificate_says() {
    let (ca, root) = (
        Authority::root_of_today("web"),
        Authority::root_of_today("root"),
    );
    let bundle = ok(&spiffe_bundle(&[&root], 1, 60));
    let server = Server::start(ca.leaf_and_key(on_loopback), bundle).await;
    let mesh = Mesh::new();
    let endpoint = format!("{DOMAIN}=https_web,{}", server.url());
    let endpoint: BundleEndpoint = endpoint.parse().unwrap();
    let trusting = |authority: &Authority| {
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate.der().clone()).unwrap();
        mesh.poller_trusting(&endpoint, roots)
    };
    let fault = turn(&trusting(&root)).await.unwrap_err();
    assert!(fault.contains("UnknownIssuer"), "{fault}");
    let poller = trusting(&ca);
    server.be(ca.leaf_and_key(|params| {
        params.subject_alt_names = vec![SanType::DnsName("other.example".try_into().unwrap())];
    }));
    let fault = turn(&poller).await.unwrap_err();
    assert!(fault.contains("not valid for name"), "{fault}");
    server.be(ca.leaf_and_key(on_loopback));
    assert_eq!(turn(&poller).await, Ok(Taken::New));
    assert!(mesh.verifies(&depot(&root)));
}

#[tokio::test]
async fn redirects_are_followed_by_the_same_rules() {
    let root = Authority::root_of_today("root");
    let bundle = ok(&spiffe_bundle(&[&root], 1, 60));
    let there = Server::start(root.leaf_and_key(named(SERVER)), bundle).await;
    let here = Server::start(root.leaf_and_key(named(SERVER)), Vec::new()).await;
    let mesh = Mesh::new();
    mesh.begin_with(&root);
    let poller = mesh.poller(&here.spiffe());
    let redirect = |to: &str| {
        answer(
            "307 Temporary Redirect",
            &format!("location: {to}\r\n"),
            b"",
        )
    };
    here.show(redirect(&there.url()));
    assert_eq!(turn(&poller).await, Ok(Taken::Same));
    there.be(root.leaf_and_key(named("spiffe://partner.example/cdn")));
    let fault = turn(&poller).await.unwrap_err();
    assert!(fault.contains("spiffe://partner.example/cdn"), "{fault}");
    for (name, shown, expected) in [
        ("in a circle", redirect("/bundle"), "more than 3 times"),
        ("without TLS", redirect("http://127.0.0.1/"), "`https://`"),
        (
            "with a password",
            redirect("https://a:b@127.0.0.1/"),
            "a password",
        ),
        ("to nowhere", answer("302 Found", "", b""), "not a URL"),
    ] {
        here.show(shown);
        let fault = turn(&poller).await.expect_err(name);
        assert!(fault.contains(expected), "{name}: {fault}");
    }
}

#[tokio::test]
async fn what_is_no_newer_bundle_is_a_fault() {
    let (root, other) = (
        Authority::root_of_today("root"),
        Authority::root_of_today("other"),
    );
    let good = || ok(&spiffe_bundle(&[&root], 7, 60));
    let server = Server::start(root.leaf_and_key(named(SERVER)), good()).await;
    let mesh = Mesh::new();
    mesh.begin_with(&root);
    let poller = mesh.poller(&server.spiffe());
    assert_eq!(turn(&poller).await, Ok(Taken::Same));
    let large = format!(r#"{{"keys": [], "x": "{}"}}"#, "x".repeat(MAX_BYTES));
    for (name, shown, expected) in [
        (
            "an older one",
            ok(&spiffe_bundle(&[&root, &other], 6, 60)),
            "`spiffe_sequence` 6 is older than 7",
        ),
        ("PEM", ok(&root.certificate.pem()), "not a SPIFFE bundle"),
        ("a page", ok("<html>"), "not a SPIFFE bundle"),
        ("not text", answer("200 OK", "", b"\xff"), "not UTF-8"),
        ("too much", ok(&large), "more than 1048576 bytes"),
        (
            "too much, and who knows how much",
            [b"HTTP/1.1 200 OK\r\n\r\n", large.as_bytes()].concat(),
            "more than 1048576 bytes",
        ),
        ("not there", answer("404 Not Found", "", b""), "404"),
        ("no content", answer("204 No Content", "", b""), "204"),
        ("not HTTP", b"nonsense\r\n\r\n".to_vec(), "HTTP"),
        ("nothing", Vec::new(), "closed"),
        ("cut short", good()[..200].to_vec(), "end of file"),
    ] {
        server.show(shown);
        let fault = turn(&poller).await.expect_err(name);
        assert!(fault.contains(expected), "{name}: {fault}");
        assert!(
            mesh.verifies(&depot(&root)),
            "{name}: the last good one stays"
        );
    }
    // All keys revoked: that is an answer, not a fault.
    server.show(ok(&spiffe_bundle(&[], 8, 60)));
    let remembered = depot(&root);
    assert!(mesh.verifies(&remembered));
    assert_eq!(turn(&poller).await, Ok(Taken::New));
    assert!(!mesh.verifies(&remembered));
}

#[tokio::test]
async fn nobody_there_is_a_fault() {
    let root = Authority::root_of_today("root");
    let server = Server::start(root.leaf_and_key(named(SERVER)), Vec::new()).await;
    let (mesh, endpoint) = (Mesh::new(), server.spiffe());
    mesh.begin_with(&root);
    drop(server);
    tokio::task::yield_now().await;
    let fault = turn(&mesh.poller(&endpoint)).await.unwrap_err();
    assert!(
        fault.contains("refused") || fault.contains("reset"),
        "{fault}"
    );
}

#[tokio::test]
async fn an_endpoint_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let endpoint = format!("{DOMAIN}=https_spiffe,{SERVER},{url}");
    let mut poller = Mesh::new().poller(&endpoint.parse().unwrap());
    poller.patience = Duration::from_millis(1);
    assert_eq!(turn(&poller).await, Err("no answer within 1ms".to_owned()));
}

#[test]
fn a_hint_counts_within_limits() {
    let root = Authority::root("root");
    for (hint, expected) in [
        (Some(60), 60),
        (Some(0), 1),
        (Some(2_419_200), 3_600),
        (Some(u64::MAX), 3_600),
        (None, 300),
    ] {
        let mut text = spiffe_bundle(&[&root], 1, hint.unwrap_or(1));
        if hint.is_none() {
            text = text.replace(r#""spiffe_refresh_hint":1"#, r#""other":1"#);
        }
        let bundle = TrustBundle::parse_jwks(domain(), &text).unwrap();
        assert_eq!(interval_of(&bundle).as_secs(), expected, "{hint:?}");
    }
    let now = Timestamp::from_secs(1_000);
    assert_eq!(
        due(now, Duration::from_secs(60)),
        Timestamp::from_secs(1_190)
    );
}

/// A server that is started with `copies`, and what an operator's file says.
fn restarted(server: &Server, copies: &Path, root: &Authority) -> (Mesh, Poller) {
    let mesh = Mesh::new();
    mesh.begin_with(root);
    let mut poller = mesh.poller(&server.spiffe());
    poller.copies = Some(Copies::open(copies).unwrap());
    poller.recall(clock::now());
    (mesh, poller)
}

#[tokio::test]
async fn a_server_that_is_started_again_remembers_what_it_fetched() {
    let [first, second, third] = ["first", "second", "third"].map(Authority::root_of_today);
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(
        first.leaf_and_key(named(SERVER)),
        ok(&spiffe_bundle(&[&first, &second], 1, 60)),
    )
    .await;
    let (mesh, mut poller) = restarted(&server, directory.path(), &first);
    assert!(!mesh.verifies(&depot(&second)), "nothing was kept before");
    poller.turn(clock::now).await.unwrap();
    server.be(second.leaf_and_key(named(SERVER)));
    server.show(ok(&spiffe_bundle(&[&second], 2, 60)));
    poller.turn(clock::now).await.unwrap();

    // The file of the first exchange is good for nothing any more.
    let (mesh, mut poller) = restarted(&server, directory.path(), &first);
    assert!(mesh.verifies(&depot(&second)) && !mesh.verifies(&depot(&first)));
    server.show(ok(&spiffe_bundle(&[&second], 1, 60)));
    let fault = poller.turn(clock::now).await.unwrap_err();
    assert!(
        fault.contains("older"),
        "not even a restart goes back: {fault}"
    );

    // An operator's new file is newer than the copy.
    let (mesh, _) = restarted(&server, directory.path(), &third);
    assert!(mesh.verifies(&depot(&third)) && !mesh.verifies(&depot(&second)));

    // A copy that is no copy is as good as none.
    let copy = poller.copies.unwrap().path(&domain());
    std::fs::write(copy, "junk").unwrap();
    let (mesh, _) = restarted(&server, directory.path(), &first);
    assert!(mesh.verifies(&depot(&first)));
}
