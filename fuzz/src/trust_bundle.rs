//! SPIFFE bundles, as files and endpoints hold them.

use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};
use callgate_policy::TrustDomain;
use callgate_server::bundle::TrustBundle;
use callgate_tests::conformance::{TRUST_DOMAIN, Vectors};
use serde_json::{Value, json};

/// What stands for the element of a root in an input.
const ROOT: &str = "ROOT";

/// A document that is read as a bundle is JSON with `keys`; has no more roots than
/// elements that could be one; says the same when it is written anew; and is not changed
/// by an element that nobody knows. With another root in front it has one more.
///
/// # Errors
/// When the parser is wrong.
pub fn trust_bundle(bytes: &[u8]) -> Result<()> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Ok(());
    };
    let [root, other] = roots()?;
    let text = text.replace(ROOT, root);
    let Ok(bundle) = parse(&text) else {
        return Ok(());
    };
    // A member that nobody knows is skipped, and may hold what is no text once it is
    // unescaped: half of a surrogate pair.
    let Ok(document) = serde_json::from_str::<Value>(&text) else {
        return Ok(());
    };
    let keys = document.get("keys").and_then(Value::as_array);
    let keys = keys.context("no `keys`")?;
    let fit = keys.iter().filter(|key| {
        let is_text = key.pointer("/x5c/0").is_some_and(Value::is_string);
        is_text
            && key
                .get("use")
                .is_some_and(|used_for| used_for == "x509-svid")
    });
    ensure!(bundle.len() <= fit.count(), "more roots than elements");
    ensure!(bundle.is_empty() == bundle.not_after().is_none());
    let number = |name: &str| document.get(name).and_then(Value::as_u64);
    ensure!(bundle.sequence() == number("spiffe_sequence"));
    let hint = bundle.refresh_hint().map(|hint| hint.as_secs());
    ensure!(hint == number("spiffe_refresh_hint"));

    let again = parse(&document.to_string())?;
    ensure!(again == bundle, "`{document}` is another bundle");
    let with = |element: Value| {
        let mut document = document.clone();
        let keys = document.get_mut("keys").and_then(Value::as_array_mut);
        keys.context("no `keys`")?.insert(0, element);
        parse(&document.to_string())
    };
    let unknown = with(json!({"kty": "AKP", "use": "x509-svid", "x5c": 7}))?;
    ensure!(unknown == bundle, "an unknown key changes `{document}`");
    let more = with(serde_json::from_str(other)?)?;
    ensure!(
        more.len() == bundle.len() + 1,
        "a root is lost in `{document}`"
    );
    Ok(())
}

fn parse(text: &str) -> Result<TrustBundle> {
    Ok(TrustBundle::parse_jwks(
        TrustDomain::parse(TRUST_DOMAIN)?,
        text,
    )?)
}

/// Two elements, minted once.
fn roots() -> Result<&'static [String; 2]> {
    static ROOTS: OnceLock<[String; 2]> = OnceLock::new();
    if let Some(roots) = ROOTS.get() {
        return Ok(roots);
    }
    let vectors = Vectors::mint()?;
    let two = vectors.documents.get("two").context("no such vector")?;
    let document: Value = serde_json::from_str(two)?;
    let root = |at: &str| document.pointer(at).map(ToString::to_string);
    let two = root("/keys/0").zip(root("/keys/1")).context("no two")?;
    Ok(ROOTS.get_or_init(|| two.into()))
}
