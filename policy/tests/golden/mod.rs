//! A folder of cases: documents, and beside each how it is shown.
//!
//! `NAME.yaml`, or the files of `NAME/`, render as `NAME.txt`. After a change on purpose,
//! `UPDATE=1 cargo test` writes the renderings anew, and the difference is what a reviewer
//! reads. A first line `# given: KEY=VALUE …` sets options.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use callgate_policy::document::{Code, Severity, Source};

/// Cases, by their names.
pub(crate) type Cases = BTreeMap<String, Vec<Source>>;

/// Every case is shown as it is written.
pub(crate) fn all_as_written(folder: &Path, show: impl Fn(&str, &[Source]) -> String) {
    let mut wrong = Vec::new();
    for (name, sources) in cases(folder) {
        let shown = show(&name, &sources);
        let path = folder.join(format!("{name}.txt"));
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &shown).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != shown {
            wrong.push(format!(
                "{name}: expected {}, but\n\n{shown}",
                path.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every code of `severity`, which is shown as `word`, has cases that are named by it.
pub(crate) fn all_codes_shown(
    folder: &Path,
    (severity, word): (Severity, &str),
    show: impl Fn(&str, &[Source]) -> String,
) {
    let cases = cases(folder);
    for code in Code::ALL.iter().filter(|code| code.severity() == severity) {
        let prefix = code.as_str().to_lowercase();
        let own: Vec<_> = cases
            .iter()
            .filter(|(name, _)| name.starts_with(&prefix))
            .collect();
        assert!(!own.is_empty(), "no case for {code}");
        for (name, sources) in own {
            let shown = show(name, sources);
            assert!(
                shown.contains(&format!("{word}[{code}]")),
                "{name}: {shown}"
            );
        }
    }
}

/// No rendering is left without its case.
pub(crate) fn none_left_over(folder: &Path) {
    let cases = cases(folder);
    for path in entries(folder) {
        assert!(cases.contains_key(&stem(&path)), "{}", path.display());
    }
}

/// What the first line of a case sets.
pub(crate) fn given(sources: &[Source]) -> Vec<(&str, &str)> {
    let first = sources.first().and_then(|source| source.line(1));
    let settings = first.and_then(|line| line.strip_prefix("# given: "));
    let settings = settings.unwrap_or_default().split_whitespace();
    settings
        .map(|setting| setting.split_once('=').expect("KEY=VALUE"))
        .collect()
}

fn cases(folder: &Path) -> Cases {
    let mut cases = Cases::new();
    for path in entries(folder) {
        if path.is_dir() {
            let sources = entries(&path).iter().map(|path| source(path)).collect();
            cases.insert(stem(&path), sources);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            cases.insert(stem(&path), vec![source(&path)]);
        }
    }
    cases
}

fn source(path: &Path) -> Source {
    let name = path.file_name().unwrap().to_str().unwrap();
    Source::new(name, fs::read(path).unwrap())
}

/// What is in a folder, in order.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

/// The name of the case that a file belongs to.
pub(crate) fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}
