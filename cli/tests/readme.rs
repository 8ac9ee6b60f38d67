//! The five minutes of the README, from a first policy to one that is tested, compared and
//! replayed: run as they stand there, in one shell, and compared with what is shown.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "in a test, a panic is the report"
)]

mod run;

use std::{env, fs, path::Path, process::Command};

use run::directory;

/// Something that a reader types, and what is shown of the answer.
struct Step {
    command: String,
    shown: Vec<String>,
}

#[test]
fn the_five_minutes_are_as_shown() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let steps = steps(&fs::read_to_string(path).unwrap());
    assert!(steps.len() >= 10, "{} steps", steps.len());
    let answers = session(&steps);
    assert_eq!(answers.len(), steps.len());
    for (step, answer) in steps.iter().zip(&answers) {
        let answer: Vec<&str> = answer.lines().map(str::trim_end).collect();
        let shown: Vec<&str> = step.shown.iter().map(|line| line.trim_end()).collect();
        assert!(
            fits(&shown, &answer),
            "$ {}\n--- the README shows\n{}\n--- but it is\n{}",
            step.command,
            shown.join("\n"),
            answer.join("\n")
        );
    }
}

/// What is typed in blocks of `console`: after `$ `, and after `> ` where it goes on.
fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in text.split("```console\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                steps.push(Step {
                    command: command.to_owned(),
                    shown: Vec::new(),
                });
                continue;
            }
            let step = steps
                .last_mut()
                .unwrap_or_else(|| panic!("an answer before a question: {line}"));
            match line.strip_prefix("> ").filter(|_| step.shown.is_empty()) {
                Some(more) => step.command.push_str(&format!("\n{more}")),
                None => step.shown.push(line.to_owned()),
            }
        }
    }
    steps
}

/// Runs all steps in one shell; its answers, each with what it says on standard error.
fn session(steps: &[Step]) -> Vec<String> {
    const MARK: &str = "=== the next step ===";
    let mut script = String::from("exec 2>&1\n");
    for step in steps {
        script.push_str(&format!("echo '{MARK}'\n{}\n", step.command));
    }
    let dir = directory(&[("session", &script)]);
    let program = Path::new(env!("CARGO_BIN_EXE_callgate")).parent().unwrap();
    let path = format!("{}:{}", program.display(), env::var("PATH").unwrap());
    let outcome = Command::new("bash")
        .arg("session")
        .current_dir(dir.path())
        .env("PATH", path)
        .env("HOME", dir.path())
        .envs([
            ("GIT_AUTHOR_NAME", "dana"),
            ("GIT_AUTHOR_EMAIL", "dana@example.org"),
            ("GIT_COMMITTER_NAME", "dana"),
            ("GIT_COMMITTER_EMAIL", "dana@example.org"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
        ])
        .output()
        .unwrap();
    let told = String::from_utf8(outcome.stdout).unwrap();
    told.split(&format!("{MARK}\n"))
        .skip(1)
        .map(str::to_owned)
        .collect()
}

/// Whether `answer` has the lines that are shown; `...` stands for any number of them.
fn fits(shown: &[&str], answer: &[&str]) -> bool {
    match (shown.split_first(), answer.split_first()) {
        (None, None) => true,
        (Some((&"...", rest)), _) => {
            (0..=answer.len()).any(|skipped| fits(rest, answer.get(skipped..).unwrap_or_default()))
        }
        (Some((a, shown)), Some((b, answer))) => a == b && fits(shown, answer),
        _ => false,
    }
}

#[test]
fn dots_stand_for_lines() {
    assert!(fits(&["a", "...", "d"], &["a", "b", "c", "d"]));
    assert!(fits(&["..."], &[]));
    assert!(!fits(&["a", "...", "d"], &["a", "b"]));
    assert!(!fits(&["a"], &["a", "b"]));
}

/// Every `callgate` that docs/ci.md runs is a command that there is, with options that there
/// are.
#[test]
fn the_commands_of_a_pipeline_are_understood() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ci.md");
    let text = fs::read_to_string(path).unwrap();
    let mut commands = 0;
    for (at, _) in text.match_indices("callgate ") {
        let is_command = text[..at].ends_with(['`', ' ', '\n']) && !text[..at].ends_with("- ");
        let rest = &text[at + "callgate ".len()..];
        let command = rest
            .split(['\n', '`', '>', '|', '&', ';'])
            .next()
            .unwrap()
            .trim();
        if !is_command || command.starts_with("check.") || command.is_empty() {
            continue;
        }
        let args: Vec<&str> = command
            .split_whitespace()
            .map(|word| word.trim_matches('"'))
            .collect();
        // Not from a directory with policies, so the answer is that there are none.
        let dir = directory(&[]);
        let outcome = run::callgate(dir.path(), &args);
        assert_eq!(
            (outcome.code, &*outcome.stdout),
            (Some(2), ""),
            "callgate {command}"
        );
        for misunderstood in [
            "Usage:",
            "unexpected argument",
            "invalid value",
            "unrecognized",
        ] {
            assert!(
                !outcome.stderr.contains(misunderstood),
                "callgate {command}: {}",
                outcome.stderr
            );
        }
        commands += 1;
    }
    assert!(commands >= 10, "{commands}");
}
