//! Documents.

use anyhow::{Result, bail, ensure};
use callgate_policy::{
    Caller, IdentityFault, NoHeaders, PolicySet, Request, SpiffeId, Timestamp,
    document::{Findings, LoadError, LoadOptions, Loaded, Source, load, load_revocations},
};

/// A revocation, which nothing that stands before or behind it holds back.
const REVOKED: &str = "kind: Revocation\nmetadata: {name: only-here}\nspec:\n  \
    id: spiffe://only.here/service\n  reason: a test\n  revokedBy: nobody\n";

/// A document that is whole by itself and has nothing to do with any other.
const OTHER: &str = "kind: ServicePolicy\nmetadata: {name: only-here}\nspec:\n  \
    services: [\"spiffe://only.here/service\"]\n";

/// What loads does so again with a comment behind it and not beside itself; whatever it
/// allows, it never lets pass a caller without an identity as verified, a revoked one or
/// an ambiguous path. What does not load says where, twice the same, and another document
/// does not hide it.
///
/// # Errors
/// When the loader is wrong.
pub fn document(bytes: &[u8]) -> Result<()> {
    never_holds_back(bytes)?;
    match loaded(&[bytes]) {
        Ok(first) => {
            ensure!(
                first.counts.documents > 0,
                "loaded, but there is no document"
            );
            let commented = [bytes, b"\n# the end\n"].concat();
            match loaded(&[&commented]) {
                Ok(again) => ensure!(again.counts == first.counts, "{:?}", again.counts),
                Err(error) => bail!("does not load with a comment: {error}"),
            }
            ensure!(loaded(&[bytes, bytes]).is_err(), "loads beside itself");
            never_lets_pass(&first.policies)
        }
        Err(LoadError::NoDocuments) => {
            let other = loaded(&[bytes, OTHER.as_bytes()]);
            ensure!(
                other.is_ok(),
                "no document, but one beside it does not load"
            );
            Ok(())
        }
        Err(LoadError::Findings(findings)) => {
            ensure!(
                loaded(&[bytes, OTHER.as_bytes()]).is_err(),
                "another document hides it"
            );
            let again = loaded(&[bytes]).err();
            ensure!(
                again == Some(LoadError::Findings(findings.clone())),
                "says something else"
            );
            tells_where(bytes, &findings)
        }
    }
}

/// Revocations are read whatever stands beside them, and what of them does not load as
/// a part of the whole set is told.
fn never_holds_back(bytes: &[u8]) -> Result<()> {
    let read =
        |text: Vec<u8>| load_revocations(&Source::new("0.yaml", text), &LoadOptions::default());
    let alone = read(bytes.to_vec());
    if loaded(&[bytes]).is_ok() {
        ensure!(alone.findings.is_empty(), "{:?}", alone.findings);
    }
    let own = |text: Vec<u8>| {
        let revocations = read(text).revocations;
        revocations.iter().any(|one| one.name == "only-here")
    };
    ensure!(
        own([bytes, b"\n---\n", REVOKED.as_bytes()].concat()),
        "held back by what stands before it"
    );
    ensure!(
        own([REVOKED.as_bytes(), b"---\n", bytes].concat()),
        "held back by what stands behind it"
    );
    Ok(())
}

fn loaded(texts: &[&[u8]]) -> Result<Loaded, LoadError> {
    let named = texts.iter().enumerate();
    let sources: Vec<Source> = named
        .map(|(index, text)| Source::new(format!("{index}.yaml"), text.to_vec()))
        .collect();
    load(&sources, &LoadOptions::default())
}

fn tells_where(bytes: &[u8], findings: &Findings) -> Result<()> {
    let source = Source::new("0.yaml", bytes.to_vec());
    ensure!(
        !findings.diagnostics().is_empty(),
        "refused without a finding"
    );
    for found in findings.diagnostics() {
        let place = &found.place;
        ensure!(&*place.file == "0.yaml", "found in `{}`", place.file);
        ensure!(place.start <= place.end, "`{found}` ends before it begins");
        let line = source.line(place.start.line);
        let columns = line.map(|line| line.chars().count() + 1);
        let column = usize::try_from(place.start.column)?;
        ensure!(
            columns.is_some_and(|columns| (1..=columns).contains(&column)),
            "`{found}` is nowhere"
        );
        ensure!(!found.message.is_empty(), "`{found}` says nothing");
    }
    let shown = findings.render(&[source], false);
    ensure!(shown.contains("0.yaml:"), "shown without a place: {shown}");
    Ok(())
}

fn never_lets_pass(policies: &PolicySet) -> Result<()> {
    let caller = SpiffeId::parse("spiffe://example.org/ns/shop/sa/checkout")?;
    for service in [
        "spiffe://example.org/ns/shop/sa/orders",
        "spiffe://example.org/a",
    ] {
        let service = SpiffeId::parse(service)?;
        let call = |caller, path| {
            let request = Request {
                caller,
                service: Some(&service),
                method: "GET",
                path,
                upgrade: None,
                content_type: None,
                host: None,
                headers: &NoHeaders,
            };
            let decision = policies.decide(&request, Timestamp::from_secs(0));
            (decision.permit().is_some(), decision.enforced)
        };
        let missing = call(Caller::Unverified(IdentityFault::Missing), "/a");
        // Only a Shadow setting lets pass one without a name, and that is not enforced.
        ensure!(missing != (true, true), "allowed without an identity");
        ensure!(
            !call(Caller::Unverified(IdentityFault::Revoked), "/a").0,
            "allowed while revoked"
        );
        ensure!(
            !call(Caller::Verified(&caller), "/a//b").0,
            "an ambiguous path allowed"
        );
    }
    Ok(())
}
