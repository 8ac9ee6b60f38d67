//! `callgate init`: a directory with a policy, a test of it, and something to try them on.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use callgate_policy::TrustDomain;
use clap::Args;
use serde_json::json;

use crate::{
    output::{Format, columns, print},
    schema::SCHEMA,
};

/// `callgate init`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 0: the files are there; 2: one of them was there before, and \
nothing was written, or it could not be."
)]
pub(crate) struct InitArgs {
    /// Where; it is made if it is not there
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,

    /// The trust domain of your mesh: the first part of its SPIFFE IDs
    #[arg(long, value_name = "DOMAIN", default_value = "example.org", value_parser = TrustDomain::parse)]
    trust_domain: TrustDomain,

    /// How it is told
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The name of a file, what it is for, and what is in it.
type File = (&'static str, &'static str, &'static str);

const FILES: [File; 5] = [
    (
        "policies/mesh.yaml",
        "what holds for every service",
        include_str!("template/policies/mesh.yaml"),
    ),
    (
        "policies/orders.yaml",
        "who may call orders",
        include_str!("template/policies/orders.yaml"),
    ),
    (
        "policies/orders_test.yaml",
        "what must be so, and stay so",
        include_str!("template/policies/orders_test.yaml"),
    ),
    (
        "decisions.jsonl",
        "a few recorded calls, to try `replay` on",
        include_str!("template/decisions.jsonl"),
    ),
    ("callgate.schema.json", "for your editor", SCHEMA),
];

/// What stands for the mesh's trust domain in the templates.
const DOMAIN: &str = "example.org";

pub(crate) fn run(args: &InitArgs) -> anyhow::Result<ExitCode> {
    let there = FILES.iter().map(|(name, ..)| args.directory.join(name));
    if let Some(path) = there
        .into_iter()
        .find(|path| path.symlink_metadata().is_ok())
    {
        bail!("`{}` is there already; nothing was written", path.display());
    }
    for (name, _, template) in FILES {
        let path = args.directory.join(name);
        let text = match name {
            "callgate.schema.json" => template.to_owned(),
            _ => template.replace(DOMAIN, args.trust_domain.as_str()),
        };
        create(&path, &text).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    print(&told(args)?)?;
    Ok(ExitCode::SUCCESS)
}

fn create(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}

fn told(args: &InitArgs) -> anyhow::Result<String> {
    let path = |name: &str| args.directory.join(name).display().to_string();
    if args.format == Format::Json {
        let files: Vec<_> = FILES
            .iter()
            .map(|(name, purpose, _)| json!({"file": path(name), "purpose": purpose}))
            .collect();
        return Ok(serde_json::to_string_pretty(&files)? + "\n");
    }
    let rows = FILES
        .iter()
        .map(|(name, purpose, _)| [path(name), (*purpose).to_owned()]);
    let enter = if args.directory == Path::new(".") {
        String::new()
    } else {
        format!("  cd {}\n", args.directory.display())
    };
    let rows = columns(["FILE", "WHAT IT IS FOR"], rows);
    Ok(format!(
        "{rows}\nNext:\n{enter}  callgate check\n  callgate test\n  callgate explain --from /ns/shop/sa/web \
--to /ns/shop/sa/orders 'GET /orders/7'\n"
    ))
}
