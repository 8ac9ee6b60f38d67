use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use super::*;
use crate::mint::Authority;

fn jwk(root: &Authority) -> Value {
    root.jwk()
}

fn x5c(root: &Authority) -> Value {
    root.jwk()["x5c"][0].clone()
}

fn parse(text: &str) -> Result<TrustBundle, BundleError> {
    TrustBundle::parse(domain("example.org"), text)
}

fn parse_keys(keys: Value) -> Result<TrustBundle, BundleError> {
    parse(&json!({ "keys": keys }).to_string())
}

#[test]
fn pem_and_jwks_of_the_same_roots_are_the_same_bundle() {
    let (one, two) = (Authority::root("one"), Authority::root("two"));
    let pem = one.certificate.pem() + &two.certificate.pem();
    let pem = parse(&pem).unwrap();
    let jwks = json!({
        "spiffe_sequence": 7, "spiffe_refresh_hint": 60, "other": {"member": null},
        "keys": [jwk(&two), jwk(&one), jwk(&two)],
    });
    let jwks = parse(&format!("\n {jwks}")).unwrap();
    assert_eq!(pem, jwks);
    assert_eq!(pem.digest(), jwks.digest());
    assert_eq!(jwks.len(), 2);
    assert_eq!(jwks.sequence(), Some(7));
    assert_eq!(jwks.refresh_hint(), Some(Duration::from_secs(60)));
    let elsewhere = TrustBundle::from_der(domain("other.example"), &[one.der(), two.der()]);
    assert_ne!(elsewhere.unwrap(), pem);
}

#[test]
fn what_clients_must_ignore_is_ignored() {
    let root = Authority::root("root");
    let with = |name: &str, value: Value| {
        let mut key = jwk(&root);
        key[name] = value;
        key
    };
    let without = |name: &str| {
        let mut key = jwk(&root);
        key.as_object_mut().unwrap().remove(name);
        key
    };
    for (name, key) in [
        ("another use", with("use", json!("jwt-svid"))),
        ("use in upper case", with("use", json!("X509-SVID"))),
        (
            "an unknown use, junk in it",
            json!({"use": "wit-svid", "x5c": 7}),
        ),
        ("no use", without("use")),
        ("an unknown key type", with("kty", json!("AKP"))),
        ("a symmetric key", with("kty", json!("oct"))),
        ("no x5c", without("x5c")),
        ("an empty x5c", with("x5c", json!([]))),
    ] {
        let bundle = parse_keys(json!([key, jwk(&root)])).expect(name);
        assert_eq!(bundle.len(), 1, "{name}");
        let bundle = parse_keys(json!([key])).expect(name);
        assert!(bundle.is_empty(), "{name}");
        assert_eq!(bundle.not_after(), None);
    }
    // X509-SVID section 6.2: all but the first certificate is ignored.
    let second = with("x5c", json!([x5c(&root), "junk"]));
    assert_eq!(parse_keys(json!([second])).unwrap().len(), 1);
    // All keys revoked (SPIFFE Trust Domain and Bundle, section 4.1.3).
    assert!(parse_keys(json!([])).unwrap().is_empty());
}

#[test]
fn whatever_else_is_wrong_refuses_the_bundle() {
    let (root, other) = (Authority::root("root"), Authority::root("other"));
    let good = jwk(&root).to_string();
    let with = |name: &str, value: Value| {
        let mut key = jwk(&root);
        key[name] = value;
        format!(r#"{{"keys": [{key}]}}"#)
    };
    let leaf = STANDARD.encode(root.leaf(|_| {}).der());
    let x = jwk(&root)["x"].clone();
    for (name, text, expected) in [
        (
            "no keys",
            r#"{"spiffe_sequence": 1}"#.to_owned(),
            "missing field `keys`",
        ),
        ("keys null", r#"{"keys": null}"#.to_owned(), "null"),
        (
            "keys no list",
            format!(r#"{{"keys": {good}}}"#),
            "invalid type",
        ),
        (
            "a key that is none",
            r#"{"keys": ["x"]}"#.to_owned(),
            "invalid type",
        ),
        ("cut short", r#"{"keys": ["#.to_owned(), "EOF"),
        ("more behind", r#"{"keys": []} {}"#.to_owned(), "trailing"),
        (
            "keys twice",
            r#"{"keys": [], "keys": []}"#.to_owned(),
            "duplicate field",
        ),
        (
            "use twice",
            r#"{"keys": [{"use": "jwt-svid", "use": "x509-svid"}]}"#.to_owned(),
            "duplicate field",
        ),
        (
            "sequence below zero",
            r#"{"keys": [], "spiffe_sequence": -1}"#.to_owned(),
            "invalid value",
        ),
        (
            "sequence not whole",
            r#"{"keys": [], "spiffe_sequence": 1.5}"#.to_owned(),
            "invalid type",
        ),
        (
            "sequence over 64 bits",
            r#"{"keys": [], "spiffe_sequence": 18446744073709551616}"#.to_owned(),
            "invalid type",
        ),
        (
            "hint in words",
            r#"{"keys": [], "spiffe_refresh_hint": "60"}"#.to_owned(),
            "invalid type",
        ),
        (
            "hint null",
            r#"{"keys": [], "spiffe_refresh_hint": null}"#.to_owned(),
            "null",
        ),
        ("no kty", with("kty", Value::Null), "no `kty`"),
        ("kty a number", with("kty", json!(1)), "key 1: `kty`"),
        ("x5c in words", with("x5c", json!("x")), "key 1: `x5c`"),
        ("x5c of numbers", with("x5c", json!([1])), "key 1: `x5c`"),
        ("x5c no base64", with("x5c", json!(["!"])), "not base64"),
        ("x5c base64url", with("x5c", json!(["_-8="])), "not base64"),
        (
            "x5c no certificate",
            with("x5c", json!(["AAAA"])),
            "certificate 1: not a",
        ),
        ("x5c of a leaf", with("x5c", json!([leaf])), "key"),
        (
            "x5c of another key",
            with("x5c", json!([x5c(&other)])),
            "another key",
        ),
        ("kty of another", with("kty", json!("RSA")), "another key"),
        ("no x", with("x", Value::Null), "`x`"),
        ("y is x", with("y", x), "another key"),
        ("an unknown curve", with("crv", json!("P-1")), "`crv`"),
    ] {
        let error = parse(&text).expect_err(name).to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
    let mut many = r#"{"keys": ["#.to_owned();
    many.push_str(&[good.as_str(); 257].join(","));
    many.push_str("]}");
    assert_eq!(parse(&many), Err(BundleError::TooMany));
    let large = format!(r#"{{"keys": [], "x": "{}"}}"#, "x".repeat(MAX_BYTES));
    assert_eq!(parse(&large), Err(BundleError::TooLarge));
}

/// A key of which there is no private half; nobody needs one here.
struct Public(Vec<u8>, &'static rcgen::SignatureAlgorithm);

impl rcgen::PublicKeyData for Public {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.1
    }
}

#[test]
fn every_kind_of_key_is_compared() {
    let root = Authority::root("root");
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let certificate = |key: &dyn Fn() -> Public| {
        let der = root.cross_signed(&key());
        json!([STANDARD.encode(der)])
    };
    // RSAPublicKey: a modulus whose first bit is set, so DER puts a zero before it.
    let modulus = [0xf1_u8; 256];
    let rsa = || {
        let mut der = vec![0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00];
        der.extend_from_slice(&modulus);
        der.extend_from_slice(&[0x02, 0x03, 0x01, 0x00, 0x01]);
        Public(der, &rcgen::PKCS_RSA_SHA256)
    };
    let rsa = json!({
        "use": "x509-svid", "kty": "RSA", "e": "AQAB", "n": text(&modulus),
        "x5c": certificate(&rsa),
    });
    let okp = json!({
        "use": "x509-svid", "kty": "OKP", "crv": "Ed25519", "x": text(&[7; 32]),
        "x5c": certificate(&|| Public(vec![7; 32], &rcgen::PKCS_ED25519)),
    });
    for (key, member) in [(rsa, "n"), (okp, "x")] {
        assert_eq!(parse_keys(json!([key])).unwrap().len(), 1, "{member}");
        let mut other = key.clone();
        other[member] = json!(text(&[8; 32]));
        let error = parse_keys(json!([other])).unwrap_err();
        assert!(
            error.to_string().contains("another key"),
            "{member}: {error}"
        );
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in r#"\{?("(keys|use|kty|x5c|x509-svid|EC|n|spiffe_sequence)"|[\[\]{}:,0-9]|null|\PC){0,40}"#) {
        let _ = parse(&text);
    }
}
