//! Documents of other systems.

use anyhow::{Result, bail, ensure};
use callgate_analysis::import::{ImportError, Options, Severity, System, import, render};
use callgate_policy::{SpiffeId, TrustDomain, document::Source};

/// Whatever is imported, as every system: the result is the same twice, each finding has a
/// place, every gap says what became of it, what cannot be understood comes to nothing, and what is
/// written loads (which the import itself finds out).
///
/// # Errors
/// When an import is wrong.
pub fn imported(bytes: &[u8]) -> Result<()> {
    let options = Options {
        trust_domain: Some(TrustDomain::parse("example.org")?),
        ..Options::default()
    };
    let kubernetes = || Some("shop".to_owned());
    let systems = [
        System::EnvoyRbac {
            services: vec![SpiffeId::parse("spiffe://example.org/ns/shop/sa/orders")?],
        },
        System::Istio {
            root_namespace: "istio-system".to_owned(),
            namespace: kubernetes(),
        },
        System::Linkerd {
            namespace: kubernetes(),
        },
        System::Consul {
            datacenters: vec!["dc1".to_owned()],
        },
    ];
    let sources = [Source::new("fuzz.yaml", bytes)];
    systems
        .iter()
        .try_for_each(|system| one(system, &sources, &options))
}

fn one(system: &System, sources: &[Source], options: &Options) -> Result<()> {
    let imported = match import(system, sources, options) {
        Ok(imported) => imported,
        Err(ImportError::Nothing) => return Ok(()),
        Err(error) => bail!("{error}"),
    };
    for finding in &imported.findings {
        let severity = finding.kind.severity();
        ensure!(
            finding.place(sources).is_some(),
            "`{}` is nowhere",
            finding.message
        );
        ensure!(
            severity != Severity::Gap || !finding.effect.is_empty(),
            "`{}` does not say what became of it",
            finding.message
        );
        ensure!(
            severity != Severity::Error || imported.documents.is_empty(),
            "something was written beside `{}`",
            finding.message
        );
    }
    let again = import(system, sources, options)?;
    ensure!(
        again.documents == imported.documents,
        "something else was written"
    );
    let (first, second) = (
        render(&imported.findings, sources, false),
        render(&again.findings, sources, false),
    );
    ensure!(first == second, "something else was reported");
    Ok(())
}
