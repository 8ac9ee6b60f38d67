//! SPIFFE IDs and trust domains.

use anyhow::{Result, ensure};
use callgate_policy::{SpiffeId, TrustDomain};

/// What is taken for a SPIFFE ID is one by the standard, comes back as it was, and stops
/// being one with anything that the standard forbids.
///
/// # Errors
/// When the parser is wrong.
pub fn spiffe_id(bytes: &[u8]) -> Result<()> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Ok(());
    };
    let parsed = SpiffeId::parse(text);
    ensure!(parsed.is_ok() == is_spiffe_id(text), "`{text}`: {parsed:?}");
    let domain = TrustDomain::parse(text);
    ensure!(
        domain.is_ok() == is_trust_domain(text),
        "`{text}`: {domain:?}"
    );

    let Ok(id) = parsed else { return Ok(()) };
    ensure!(
        id.as_str() == text && id.to_string() == text,
        "`{text}` became `{id}`"
    );
    let parts = format!("spiffe://{}{}", id.trust_domain(), id.path());
    ensure!(parts == text, "`{text}` fell apart into `{parts}`");
    let segments: Vec<&str> = id.segments().collect();
    ensure!(
        format!("/{}", segments.join("/")) == id.path(),
        "segments {segments:?} of `{text}`"
    );
    for (before, after) in [
        ("", "/"),
        ("", "?"),
        ("", "#x"),
        ("", "/.."),
        ("", "%41"),
        (" ", ""),
    ] {
        let broken = format!("{before}{text}{after}");
        ensure!(SpiffeId::parse(&broken).is_err(), "`{broken}`");
    }
    ensure!(
        SpiffeId::parse(&text.replacen("spiffe", "Spiffe", 1)).is_err(),
        "`{text}`"
    );
    Ok(())
}

/// SPIFFE-ID standard, section 2, of a workload.
fn is_spiffe_id(text: &str) -> bool {
    let Some((domain, path)) = text
        .strip_prefix("spiffe://")
        .and_then(|rest| rest.split_once('/'))
    else {
        return false;
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let segment = |s: &str| !["", ".", ".."].contains(&s) && s.chars().all(allowed);
    text.len() <= 2048 && is_trust_domain(domain) && path.split('/').all(segment)
}

/// SPIFFE-ID standard, section 2.1.
fn is_trust_domain(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
    (1..=255).contains(&text.len()) && text.chars().all(allowed)
}
