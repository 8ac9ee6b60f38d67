//! `callgate serve` takes a partner's bundle from the partner's endpoint, which
//! `callgate dev issuer` serves, while keys rotate there and while it is away.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tempfile::TempDir;

/// The issuer asks for a poll every 5 seconds; a busy machine may take longer.
const LIMIT: Duration = Duration::from_secs(60);
const ANCHORS: &str = r#"callgate_trust_bundle_anchors{trust_domain="partner.example"} "#;

/// Ended with the test.
struct Running {
    child: Child,
    /// What it said until it was there, the last line included.
    said: Vec<String>,
}

impl Running {
    fn start(dir: &Path, args: &[&str], there: &str) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_callgate"))
            .args(args)
            .current_dir(dir)
            .env_clear()
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut running = Self {
            child,
            said: Vec::new(),
        };
        let mut lines = BufReader::new(running.child.stderr.take().unwrap()).lines();
        while !running.said.iter().any(|line| line.contains(there)) {
            let line = lines.next();
            assert!(line.is_some(), "`{args:?}` ended: {:?}", running.said);
            running.said.push(line.unwrap().unwrap());
        }
        // Somebody has to read on, or it waits with a full pipe.
        std::thread::spawn(move || lines.count());
        running
    }

    /// What stands behind `name=` in what it said.
    fn value(&self, name: &str) -> &str {
        let words = self.said.iter().flat_map(|line| line.split(' '));
        let mut values = words.filter_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        values.next_back().unwrap()
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(told.success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A root that nobody has any more.
fn retired() -> String {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().pem()
}

fn page(admin: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(admin).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Asks for `path` until the answer is as `wanted`.
#[track_caller]
fn until(admin: &str, path: &str, wanted: impl Fn(&str) -> bool) -> String {
    let end = Instant::now() + LIMIT;
    loop {
        let text = page(admin, path);
        if wanted(&text) {
            return text;
        }
        assert!(Instant::now() < end, "{text}");
        sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_partners_endpoint_is_followed() {
    let mesh = "kind: MeshPolicy\nmetadata: {name: mesh}\nspec: {trustDomain: example.org}\n";
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("policies")).unwrap();
    fs::write(dir.path().join("policies/mesh.yaml"), mesh).unwrap();
    let partner = [
        "dev",
        "issuer",
        "--trust-domain=partner.example",
        "--dir=partner",
        "--workload=depot=/depot",
        "--bundle-endpoint=partner.example=127.0.0.1:0",
    ];
    let issuer = Running::start(dir.path(), &partner, "issuer ready");
    // What the partner sent long ago, when it had another root besides; its issuer goes
    // on writing files of its own.
    let sent = dir.path().join("partner/partner.example.pem");
    let replace = |text: String| {
        fs::write(dir.path().join("next.pem"), text).unwrap();
        fs::rename(dir.path().join("next.pem"), dir.path().join("first.pem")).unwrap();
    };
    replace(fs::read_to_string(&sent).unwrap() + &retired());
    let endpoint = format!(
        "--bundle-endpoint=partner.example=https_spiffe,{},{}",
        issuer.value("id"),
        issuer.value("endpoint"),
    );
    let serve = [
        "serve",
        "--trust-bundle=partner.example=first.pem",
        &endpoint,
        "--listen=127.0.0.1:0",
        "--admin=127.0.0.1:0",
    ];
    let server = Running::start(dir.path(), &serve, "listening ");
    let admin = server.value("admin");
    let roots = |n: usize| {
        let line = format!("{ANCHORS}{n}\n");
        move |text: &str| text.contains(&line)
    };
    until(admin, "/metrics", roots(1));
    until(admin, "/readyz", |text| text.ends_with("\r\nready\n"));

    // Who signs with a root that was not published before locks everybody out, perhaps
    // his own endpoint too; a new file lets them in again.
    let before = fs::read_to_string(&sent).unwrap();
    issuer.signal("-HUP");
    let end = Instant::now() + LIMIT;
    while fs::read_to_string(&sent).unwrap() == before {
        assert!(Instant::now() < end);
        sleep(Duration::from_millis(100));
    }
    replace(fs::read_to_string(&sent).unwrap());
    until(admin, "/metrics", roots(2));
    until(admin, "/readyz", |text| text.ends_with("\r\nready\n"));

    drop(issuer);
    let text = until(admin, "/readyz", |text| text.contains("degraded"));
    assert!(text.contains("trust bundle of `partner.example`"), "{text}");
    assert!(
        text.contains("HTTP/1.1 200"),
        "the last good one stays: {text}"
    );
    until(admin, "/metrics", roots(2));
}
