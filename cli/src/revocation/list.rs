//! `callgate revocations`: what there is, and whether it has effect.

use std::{path::PathBuf, process::ExitCode};

use callgate_policy::{
    Timestamp, TrustDomain,
    document::{Revocation, Revoked},
};
use callgate_server::clock;
use clap::Args;
use serde::Serialize;

use super::{Own, read};
use crate::{
    args::time,
    output::{Format, columns, print},
};

/// `callgate revocations`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 0: every revocation is in order; 1: something is wrong with \
some, which then have no effect, while the others have; 2: the directory could not be read."
)]
pub(crate) struct RevocationsArgs {
    /// Directory of documents
    #[arg(long, value_name = "DIR", default_value = "policies")]
    policies: PathBuf,

    /// The moment to tell of, in RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,

    /// What relative identities belong to, if no MeshPolicy says so
    #[arg(long, value_name = "DOMAIN", value_parser = TrustDomain::parse)]
    trust_domain: Option<TrustDomain>,

    /// How they are printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &RevocationsArgs) -> anyhow::Result<ExitCode> {
    let files = read(&args.policies)?;
    let own = Own::of(&args.policies, args.trust_domain.as_ref());
    let at = args.at.unwrap_or_else(clock::now);
    let mut rows: Vec<Row<'_>> = files
        .revocations()
        .map(|one| Row::of(one, own.domain(), at))
        .collect();
    // What has effect first, then by name.
    rows.sort_by_key(|row| (!row.active, row.name, row.location));
    print(&match args.format {
        Format::Human => table(&rows),
        Format::Json => serde_json::to_string_pretty(&rows)? + "\n",
    })?;
    let mut faults = files.faults();
    faults.extend(rows.iter().find_map(|row| without_domain(row, &own)));
    for fault in &faults {
        eprintln!("{fault}");
    }
    Ok(if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A revocation as it is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    name: &'a str,
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_sha256: Option<String>,
    reason: &'a str,
    revoked_by: &'a str,
    expires: Option<String>,
    /// `file:line`.
    policy: String,
    #[serde(skip)]
    location: (&'a str, u32),
}

impl<'a> Row<'a> {
    fn of(one: &'a Revocation, own: Option<&TrustDomain>, at: Timestamp) -> Self {
        let (id, certificate_sha256) = match &one.revoked {
            Revoked::Certificate(sha256) => (None, Some(hex(sha256))),
            Revoked::Identity(_) | Revoked::OwnIdentity(_) => {
                let full = one.identity(own).map(|id| id.to_string());
                (full.or_else(|| Some(one.revoked.to_string())), None)
            }
        };
        Self {
            name: &one.name,
            active: one.is_active(at),
            id,
            certificate_sha256,
            reason: &one.reason,
            revoked_by: &one.revoked_by,
            expires: one.expires.map(|at| at.to_string()),
            policy: format!("{}:{}", one.file, one.line),
            location: (&one.file, one.line),
        }
    }

    fn cells(&self) -> [String; 7] {
        let certificate = self.certificate_sha256.as_ref();
        let certificate = certificate.map(|sha256| format!("sha256:{sha256}"));
        [
            if self.active { "active" } else { "lapsed" }.to_owned(),
            self.name.to_owned(),
            self.id.clone().or(certificate).unwrap_or_default(),
            self.expires.clone().unwrap_or_else(|| "never".to_owned()),
            one_line(self.revoked_by),
            one_line(self.reason),
            self.policy.clone(),
        ]
    }
}

/// A relative identity of which nothing says where it belongs has no effect.
fn without_domain(row: &Row<'_>, own: &Own) -> Option<String> {
    let id = row.id.as_ref().filter(|id| id.starts_with('/'))?;
    match own {
        Own::Domain(_) => None,
        Own::Nowhere => Some(format!(
            "{}: nothing says which trust domain `{id}` belongs to: set `spec.trustDomain` \
             in a MeshPolicy, or give --trust-domain",
            row.policy
        )),
        Own::Unknown(why) => Some(format!(
            "{}: which trust domain `{id}` belongs to is not known here, because the \
             policies do not load: {why}",
            row.policy
        )),
    }
}

fn table(rows: &[Row<'_>]) -> String {
    if rows.is_empty() {
        return "nobody is revoked\n".to_owned();
    }
    let head = [
        "STATE", "NAME", "REVOKED", "EXPIRES", "BY", "REASON", "WHERE",
    ];
    columns(head, rows.iter().map(Row::cells))
}

/// A reason may be a paragraph; documents hold no other characters that move a cursor.
fn one_line(text: &str) -> String {
    text.split('\n').collect::<Vec<_>>().join(" ")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
