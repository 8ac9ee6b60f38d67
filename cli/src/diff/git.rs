//! A directory of documents as it was in a revision of git: read from the repository
//! without a checkout.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context as _, bail, ensure};
use callgate_policy::document::{Limits, Source};
use callgate_server::store::is_document_name;

use super::joined;

/// Files, and bytes of all of them: what is read of a directory too.
const MAX_FILES: usize = 10_000;
const MAX_TOTAL_BYTES: u64 = 64 * 1_048_576;

/// A file of a revision.
struct Blob {
    object: String,
    /// Relative to the directory.
    name: String,
    bytes: u64,
}

/// Every document below `directory` in `revision`, by the rules for a directory, named
/// `REVISION:directory/file`. None is no error: there may not have been one yet.
pub(super) fn read(directory: &Path, revision: &str) -> anyhow::Result<Vec<Source>> {
    ensure!(
        directory.is_dir(),
        "`{}` is not a directory",
        directory.display()
    );
    let commit = format!("{revision}^{{commit}}");
    let verify = ["rev-parse", "--verify", "--quiet", "--end-of-options"];
    let commit = git(directory, &[&verify[..], &[&commit]].concat())
        .with_context(|| format!("git knows no revision `{revision}` here"))?;
    let prefix = git(directory, &["rev-parse", "--show-prefix"])?;
    let prefix = prefix.trim_end_matches('\n');
    let mut list = vec![
        "ls-tree",
        "-r",
        "-z",
        "-l",
        "--full-tree",
        commit.trim_end(),
    ];
    if !prefix.is_empty() {
        list.extend(["--", prefix]);
    }
    let blobs = documents(&git(directory, &list)?, prefix)?;
    let texts = texts(directory, &blobs)?;
    let shown = |name: &str| format!("{revision}:{}", joined(directory, name));
    let sources = blobs.into_iter().zip(texts);
    Ok(sources
        .map(|(blob, text)| {
            let name = shown(&blob.name);
            Source::new(blob.name, text).named(name)
        })
        .collect())
}

/// What `git` prints.
fn git(directory: &Path, args: &[&str]) -> anyhow::Result<String> {
    let output = command(directory)
        .args(args)
        .output()
        .context("cannot run `git`")?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        let told = told.trim_end();
        bail!(
            "{}",
            if told.is_empty() {
                "there is none"
            } else {
                told
            }
        );
    }
    String::from_utf8(output.stdout).context("git names a file whose name is not UTF-8")
}

fn command(directory: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(directory)
        // A name is a name, not a pattern.
        .env("GIT_LITERAL_PATHSPECS", "1")
        .env("GIT_OPTIONAL_LOCKS", "0");
    command
}

/// The documents in what `git ls-tree -l -z` lists: `MODE TYPE OBJECT SIZE\tPATH`.
fn documents(list: &str, prefix: &str) -> anyhow::Result<Vec<Blob>> {
    let mut blobs = Vec::new();
    for entry in list.split_terminator('\0') {
        let (about, path) = entry
            .split_once('\t')
            .context("git lists what has no name")?;
        let name = path.strip_prefix(prefix).unwrap_or(path);
        let mut parts = name.split('/');
        if parts.clone().any(|part| part.starts_with('.'))
            || !parts
                .next_back()
                .is_some_and(|file| is_document_name(file.as_bytes()))
        {
            continue;
        }
        let [mode, kind, object, size] = *about.split_whitespace().collect::<Vec<_>>() else {
            bail!("git lists `{path}` in a form that is not known");
        };
        ensure!(
            mode != "120000",
            "`{path}` is a link in that revision: check it out, and compare two directories"
        );
        if kind != "blob" {
            continue;
        }
        let bytes: u64 = size.parse().context("git tells no size")?;
        ensure!(
            bytes <= Limits::FILE_BYTES as u64,
            "`{path}` is larger than {} bytes",
            Limits::FILE_BYTES
        );
        blobs.push(Blob {
            object: object.to_owned(),
            name: name.to_owned(),
            bytes,
        });
    }
    let total: u64 = blobs.iter().map(|blob| blob.bytes).sum();
    ensure!(
        blobs.len() <= MAX_FILES,
        "there are more than {MAX_FILES} documents"
    );
    ensure!(
        total <= MAX_TOTAL_BYTES,
        "the documents are larger than {MAX_TOTAL_BYTES} bytes together"
    );
    Ok(blobs)
}

/// The texts of `blobs`, from one `git cat-file --batch`.
fn texts(directory: &Path, blobs: &[Blob]) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut child = command(directory)
        .args(["cat-file", "--batch"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run `git`")?;
    let asked: String = blobs
        .iter()
        .map(|blob| format!("{}\n", blob.object))
        .collect();
    let stdin = child.stdin.take();
    // In a thread of its own, because git answers while it is asked.
    let asking = thread::spawn(move || match stdin {
        Some(mut stdin) => stdin.write_all(asked.as_bytes()),
        None => Ok(()),
    });
    let output = child.wait_with_output().context("cannot read from `git`")?;
    let written = asking.join().unwrap_or(Ok(()));
    ensure!(output.status.success(), "git could not read that revision");
    written.context("cannot write to `git`")?;
    let mut rest = &*output.stdout;
    blobs.iter().map(|blob| text(blob, &mut rest)).collect()
}

/// One answer: `OBJECT blob SIZE`, a line break, the text, a line break.
fn text(blob: &Blob, rest: &mut &[u8]) -> anyhow::Result<Vec<u8>> {
    let told = || format!("git does not have `{}`", blob.name);
    let end = rest
        .iter()
        .position(|byte| *byte == b'\n')
        .with_context(told)?;
    let head = format!("{} blob {}", blob.object, blob.bytes);
    ensure!(rest.get(..end) == Some(head.as_bytes()), told());
    let length = usize::try_from(blob.bytes)?;
    let start = end + 1;
    let text = rest.get(start..start + length).with_context(told)?;
    *rest = rest.get(start + length + 1..).unwrap_or_default();
    Ok(text.to_vec())
}
