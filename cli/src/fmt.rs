//! `callgate fmt`: documents in one form.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail, ensure};
use callgate_analysis::format::{FormatError, format};
use callgate_policy::document::{Limits, Source};
use clap::Args;
use serde::Serialize;

use crate::{
    output::{Format, colour, counted, print},
    sources::gather_all,
};

/// `callgate fmt`.
#[derive(Debug, Args)]
#[command(
    after_help = "Comments, and the order of everything, stay. A file that cannot be \
read, or would not say the same, is left as it is.\n\nExit code 0: every file is in the \
one form now; 1: some cannot be, or with --check are not; 2: there was nothing to format, \
or it could not be read or written."
)]
pub(crate) struct FmtArgs {
    /// Directories and files, tests of policies too; `-` is standard input, to standard
    /// output
    #[arg(value_name = "PATH", default_value = "policies")]
    paths: Vec<PathBuf>,

    /// Write nothing, and say which files are not in the one form
    #[arg(long)]
    check: bool,

    /// How it is told
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What became of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Outcome {
    /// It was in the one form.
    Unchanged,
    /// It was written anew.
    Formatted,
    /// It would be.
    Differs,
    /// It stays as it is.
    Refused,
}

#[derive(Serialize)]
struct Told<'a> {
    file: &'a str,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(crate) fn run(args: &FmtArgs) -> anyhow::Result<ExitCode> {
    if args.paths.iter().any(|path| path.as_os_str() == "-") {
        ensure!(
            args.paths.len() == 1,
            "`-` stands alone: standard input is one file"
        );
        return filter(args.check);
    }
    let sources = gather_all(&args.paths)?;
    if sources.is_empty() {
        let paths: Vec<String> = args
            .paths
            .iter()
            .map(|path| format!("`{}`", path.display()))
            .collect();
        bail!("there is no document in {}", paths.join(", "));
    }
    let mut told = Vec::new();
    for source in &sources {
        let (outcome, error) = one(source, args.check)?;
        if let Some(error) = &error
            && args.format == Format::Human
        {
            eprint!("{}", refusal(source, error));
        }
        told.push(Told {
            file: source.name(),
            outcome,
            error: error.map(|error| error.to_string()),
        });
    }
    print(&report(&told, args)?)?;
    let is_fine = |told: &Told<'_>| matches!(told.outcome, Outcome::Unchanged | Outcome::Formatted);
    Ok(if told.iter().all(is_fine) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// An editor's way: text in, text out, and nothing out if there is a fault.
fn filter(check: bool) -> anyhow::Result<ExitCode> {
    let limits = Limits::default();
    let mut bytes = Vec::new();
    io::stdin()
        .take(limits.file_bytes as u64 + 1)
        .read_to_end(&mut bytes)
        .context("cannot read standard input")?;
    let source = Source::new("<stdin>", bytes);
    match format(&source, &limits) {
        Ok(text) if check => Ok(if text == source.text() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }),
        Ok(text) => {
            print(&text)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            eprint!("{}", refusal(&source, &error));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn one(source: &Source, check: bool) -> anyhow::Result<(Outcome, Option<FormatError>)> {
    let text = match format(source, &Limits::default()) {
        Ok(text) => text,
        Err(error) => return Ok((Outcome::Refused, Some(error))),
    };
    let path = Path::new(source.name());
    // Not the text that was read: that lacks a byte order mark.
    let written = fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    if text.as_bytes() == written {
        return Ok((Outcome::Unchanged, None));
    }
    if check {
        return Ok((Outcome::Differs, None));
    }
    ensure!(
        source.text().as_bytes() == written.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&written),
        "`{}` changes while it is formatted",
        path.display()
    );
    replace(path, &text).with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok((Outcome::Formatted, None))
}

/// Writes the file whole or not at all, with the permissions that it had; a link stays one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Readers of the directory pass over what begins with a dot.
    let aside = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = File::create_new(&aside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.set_permissions(fs::metadata(&path)?.permissions())?;
        file.sync_all()?;
        fs::rename(&aside, &path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&aside);
    }
    written
}

fn refusal(source: &Source, error: &FormatError) -> String {
    match error {
        FormatError::Findings(findings) => findings.render(std::slice::from_ref(source), colour()),
        other => format!("{}: left as it is: {other}\n\n", source.name()),
    }
}

fn report(told: &[Told<'_>], args: &FmtArgs) -> anyhow::Result<String> {
    if args.format == Format::Json {
        return Ok(serde_json::to_string_pretty(told)? + "\n");
    }
    let mut text = String::new();
    let of = |outcome| told.iter().filter(move |told| told.outcome == outcome);
    for one in of(Outcome::Formatted).chain(of(Outcome::Differs)) {
        text.push_str(&format!("{}\n", one.file));
    }
    let mut parts = vec![counted(told.len(), "file")];
    for (outcome, word) in [
        (Outcome::Formatted, "formatted"),
        (Outcome::Differs, "not in the one form"),
        (Outcome::Refused, "left as they are, because of the above"),
    ] {
        let n = of(outcome).count();
        if n > 0 {
            parts.push(format!("{n} {word}"));
        }
    }
    if parts.len() == 1 {
        parts.push("nothing to change".to_owned());
    }
    Ok(format!("{text}{}\n", parts.join(", ")))
}
