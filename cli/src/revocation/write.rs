//! `callgate revoke`: one more document, whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail, ensure};
use callgate_policy::{
    SpiffeId, Timestamp, TrustDomain,
    document::{LoadOptions, Revocation, Source, load_revocations},
};
use callgate_server::{clock, svid::PeerCertificate};
use clap::Args;
use serde::Serialize;

use super::{Own, read};
use crate::{
    args::time,
    explain::Identity,
    output::{Format, print},
};

/// Bytes of a certificate file that are read; a chain has a few kilobytes.
const MAX_CERTIFICATE_BYTES: u64 = 1_048_576;
/// Characters of the identity that a name is made of.
const NAME_CHARACTERS: usize = 60;

/// `callgate revoke`.
#[derive(Debug, Args)]
#[command(
    after_help = "An identity is refused with every certificate that it has or gets. A \
certificate alone is refused with that certificate: for a key that leaked, while the \
workload goes on with a new one.\n\nExit code 0: the document is written, and servers \
that read the directory act on it within a second; 2: it is not.\n\nTo lift it, remove \
the file."
)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    revoked: What,

    /// Why, for those who read it later
    #[arg(long, value_name = "TEXT")]
    reason: String,

    /// Who decided it
    #[arg(long, value_name = "WHO")]
    by: String,

    /// When it lapses, in RFC 3339 [default: never]
    #[arg(long, value_name = "TIME", value_parser = time)]
    expires: Option<Timestamp>,

    /// The document's name [default: of the identity and the time]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Directory of documents
    #[arg(long, value_name = "DIR", default_value = "policies")]
    policies: PathBuf,

    /// What a relative identity belongs to, if no MeshPolicy says so
    #[arg(long, value_name = "DOMAIN", value_parser = TrustDomain::parse)]
    trust_domain: Option<TrustDomain>,

    /// How the answer is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What to revoke.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// A SPIFFE ID, or the path of one in the mesh's own trust domain
    #[arg(value_name = "ID")]
    id: Option<Identity>,

    /// A certificate, by its SHA-256: 64 hexadecimal digits
    #[arg(long, value_name = "HEX")]
    certificate_sha256: Option<String>,

    /// A certificate, by a PEM file; the first one in it
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
}

/// The one field that says what is revoked.
enum Target {
    Id(String),
    Certificate(String),
}

pub(crate) fn run(args: &RevokeArgs) -> anyhow::Result<ExitCode> {
    let existing = read(&args.policies)?;
    let now = clock::now();
    if let Some(expires) = args.expires {
        ensure!(
            expires > now,
            "--expires {expires} is past: it would have no effect"
        );
    }
    let target = target(args)?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => default_name(&target, now),
    };
    if let Some(same) = existing.revocations().find(|one| one.name == name) {
        bail!(
            "there is a Revocation `{name}` already, in {}:{}",
            same.file,
            same.line
        );
    }
    let file = format!("revocation-{name}.yaml");
    let text = document(&name, &target, args, now);
    let revocation = checked(&file, &text)?;
    for same in existing.revocations() {
        if same.revoked == revocation.revoked && same.is_active(now) {
            eprintln!(
                "note: already revoked by `{}`, {}:{}",
                same.name, same.file, same.line
            );
        }
    }
    let path = args.policies.join(&file);
    create(&args.policies, &file, &text)
        .with_context(|| format!("cannot write `{}`", path.display()))?;
    print(&told(&target, &name, &path, args.format)?)?;
    Ok(ExitCode::SUCCESS)
}

fn target(args: &RevokeArgs) -> anyhow::Result<Target> {
    if let Some(sha256) = &args.revoked.certificate_sha256 {
        return Ok(Target::Certificate(sha256.to_ascii_lowercase()));
    }
    if let Some(path) = &args.revoked.certificate {
        return fingerprint(path).map(Target::Certificate);
    }
    let id = args.revoked.id.as_ref().context("nothing to revoke")?;
    let own = match id {
        Identity::Full(id) => return Ok(Target::Id(id.to_string())),
        Identity::Relative(_) => Own::of(&args.policies, args.trust_domain.as_ref()),
    };
    if let (Identity::Relative(path), Own::Unknown(why)) = (id, &own) {
        // Nobody's slip in a policy may keep a leaked key alive.
        eprintln!(
            "note: `{path}` is written as it is, because the policies do not load: {why}; \
             each server takes it for one of the trust domain that it knows as its own"
        );
        return Ok(Target::Id(path.clone()));
    }
    let id: SpiffeId = id.resolve("`revoke`", own.domain())?;
    Ok(Target::Id(id.to_string()))
}

/// The first certificate's: a chain begins with its leaf.
fn fingerprint(path: &Path) -> anyhow::Result<String> {
    use io::Read as _;

    const END: &str = "-----END CERTIFICATE-----";
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_CERTIFICATE_BYTES).read_to_string(&mut text))
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    let first = text.find("-----BEGIN CERTIFICATE-----").and_then(|start| {
        let end = start + text.get(start..)?.find(END)? + END.len();
        text.get(start..end)
    });
    let first = first.with_context(|| format!("no certificate in `{}`", path.display()))?;
    let certificate = PeerCertificate::from_pem(first)
        .with_context(|| format!("the first certificate in `{}`", path.display()))?;
    Ok(certificate.sha256())
}

/// `checkout-20261122t101500z`.
fn default_name(target: &Target, now: Timestamp) -> String {
    let what = match target {
        Target::Id(id) => id.rsplit('/').next().unwrap_or_default(),
        Target::Certificate(sha256) => sha256.get(..12).unwrap_or(sha256),
    };
    let kept = what.chars().map(|c| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9') => c,
        _ => '-',
    });
    let kept: String = kept.take(NAME_CHARACTERS).collect();
    let seconds = now.as_millis().div_euclid(1_000);
    let time = Timestamp::from_secs(seconds).to_string().to_lowercase();
    let time: String = time.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let what = Some(kept.trim_matches('-')).filter(|kept| !kept.is_empty());
    format!("{}-{time}", what.unwrap_or("identity"))
}

/// Quoted texts are JSON's, which YAML reads as they are.
fn document(name: &str, target: &Target, args: &RevokeArgs, now: Timestamp) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let (field, value) = match target {
        Target::Id(id) => ("id", id),
        Target::Certificate(sha256) => ("certificateSha256", sha256),
    };
    let mut text = format!(
        "# Written by `callgate revoke`, {now}. To lift it, remove this file.\n\
         apiVersion: callgate.dev/v1alpha1\nkind: Revocation\nmetadata:\n  name: {}\nspec:\n  \
         {field}: {}\n  reason: {}\n  revokedBy: {}\n",
        quoted(name),
        quoted(value),
        quoted(&args.reason),
        quoted(&args.by),
    );
    if let Some(expires) = args.expires {
        text.push_str(&format!("  expires: {expires}\n"));
    }
    text
}

/// What servers will read; whatever is wrong with it is said before it is written.
fn checked(file: &str, text: &str) -> anyhow::Result<Revocation> {
    let loaded = load_revocations(&Source::new(file, text), &LoadOptions::default());
    if let Some(finding) = loaded.findings.first() {
        let help = finding.help.as_ref().map(|help| format!("; {help}"));
        bail!("{}{}", finding.message, help.unwrap_or_default());
    }
    let mut revocations = loaded.revocations;
    revocations.pop().context("the document says nothing")
}

/// Writes a file that is not there yet; who reads the directory sees all of it or none.
fn create(directory: &Path, file: &str, text: &str) -> io::Result<()> {
    let path = directory.join(file);
    // Names with a dot before them are nobody's documents.
    let aside = directory.join(format!(".{file}.{}", std::process::id()));
    let write = || {
        let mut new = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&aside)?;
        new.write_all(text.as_bytes())?;
        new.sync_all()?;
        // Takes the name, so that a rename cannot replace what somebody else writes.
        drop(
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&path)?,
        );
        fs::rename(&aside, &path)?;
        File::open(directory)?.sync_all()
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&aside);
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_sha256: Option<&'a str>,
    file: String,
}

fn told(target: &Target, name: &str, path: &Path, format: Format) -> anyhow::Result<String> {
    let file = path.display().to_string();
    let (id, certificate_sha256) = match target {
        Target::Id(id) => (Some(id.as_str()), None),
        Target::Certificate(sha256) => (None, Some(sha256.as_str())),
    };
    Ok(match format {
        Format::Json => {
            let told = Told {
                name,
                id,
                certificate_sha256,
                file,
            };
            serde_json::to_string_pretty(&told)? + "\n"
        }
        Format::Human => {
            let certificate = certificate_sha256.map(|sha256| format!("sha256:{sha256}"));
            let what = id.map(str::to_owned).or(certificate).unwrap_or_default();
            format!("revoked {what}\n{file}\n")
        }
    })
}
