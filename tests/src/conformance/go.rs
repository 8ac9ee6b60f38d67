//! go-spiffe, in a program of its own.

use std::{
    fmt,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::{AllAnswers, Answers, Vectors};

/// What go-spiffe says, or why it could not be asked.
#[derive(Debug)]
pub enum GoAnswers {
    /// Its answers.
    Answers(Box<AllAnswers>),
    /// It is not here.
    Unavailable(Unavailable),
}

/// Why nobody can ask go-spiffe here. Not a failure of anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// There is no `go` on the path.
    NoGo,
    /// Its modules cannot be fetched; what `go` said.
    NoModules(String),
}

#[derive(Deserialize)]
struct Told {
    answer: String,
}

type Answered = std::collections::BTreeMap<String, Told>;

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "spiffe-id")]
    ids: Answered,
    #[serde(rename = "x509-svid")]
    svids: Answered,
    #[serde(rename = "spiffe-bundle")]
    bundles: Answered,
}

/// Builds the program into `scratch` and asks it everything.
///
/// # Errors
/// If Go and its modules are here, and yet the program cannot be built or fails.
pub fn ask(vectors: &Vectors, scratch: &Path) -> Result<GoAnswers> {
    if !matches!(go(&["version"]).output(), Ok(output) if output.status.success()) {
        return Ok(GoAnswers::Unavailable(Unavailable::NoGo));
    }
    let modules = go(&["mod", "download"]).output()?;
    if !modules.status.success() {
        let said = String::from_utf8_lossy(&modules.stderr).into_owned();
        return Ok(GoAnswers::Unavailable(Unavailable::NoModules(said)));
    }
    let program = scratch.join("go-spiffe");
    let built = go(&["build", "-mod=readonly", "-o"])
        .arg(&program)
        .output()?;
    let said = String::from_utf8_lossy(&built.stderr);
    ensure!(built.status.success(), "go build: {said}");

    let mut asked = Command::new(&program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let question = vectors.to_json().to_string();
    let stdin = asked.stdin.take().context("no standard input")?;
    // It reads everything before it writes anything.
    { stdin }.write_all(question.as_bytes())?;
    let output = asked.wait_with_output()?;
    ensure!(output.status.success(), "go-spiffe: {}", output.status);
    let document: Document = serde_json::from_slice(&output.stdout)?;
    Ok(GoAnswers::Answers(Box::new(AllAnswers {
        ids: answers(document.ids),
        svids: answers(document.svids),
        bundles: answers(document.bundles),
    })))
}

fn go(arguments: &[&str]) -> Command {
    let directory: PathBuf = [env!("CARGO_MANIFEST_DIR"), "conformance", "go-spiffe"]
        .iter()
        .collect();
    let mut command = Command::new("go");
    command.args(arguments).current_dir(directory);
    command
}

fn answers(answered: Answered) -> Answers {
    let told = answered.into_iter();
    told.map(|(name, told)| (name, told.answer)).collect()
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoGo => f.write_str("there is no `go` on the path"),
            Self::NoModules(said) => write!(f, "its modules cannot be fetched: {said}"),
        }
    }
}
