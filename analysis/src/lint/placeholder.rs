//! `owner: TODO`: texts that were to be replaced.

use callgate_policy::document::{
    Code, Finding,
    syntax::{Node, Value},
};

use super::{
    Remarks,
    set::{Set, entries, items},
};

/// Fields that name somebody or give a reason, in whatever document.
const FIELDS: [&str; 6] = [
    "owner",
    "help",
    "reason",
    "ticket",
    "approvedBy",
    "revokedBy",
];

/// What people write until they know.
const WORDS: [&str; 9] = [
    "todo",
    "fixme",
    "tbd",
    "xxx",
    "changeme",
    "change-me",
    "replaceme",
    "nobody",
    "unknown",
];

pub(super) fn check(set: &Set<'_>, remarks: &mut Remarks) {
    set.documents().for_each(|node| look(node, remarks));
}

fn look(node: &Node<'_>, remarks: &mut Remarks) {
    items(node).iter().for_each(|item| look(item, remarks));
    for entry in entries(node) {
        match &entry.value.value {
            Value::Text(text) if FIELDS.contains(&&*entry.key) && is_placeholder(&text.text) => {
                let message = format!("`{}` says `{}`", entry.key, text.text.trim());
                let finding = Finding::new(Code::Placeholder, entry.value.span, message);
                remarks
                    .found
                    .push(finding.label("to be replaced").help(help(&entry.key)));
            }
            _ => look(&entry.value, remarks),
        }
    }
}

fn help(field: &str) -> &'static str {
    match field {
        "owner" | "help" => "say who answers for it: callers who are refused are told to ask there",
        _ => "say it, so that whoever finds it later knows whether it still holds",
    }
}

/// `TODO`, `todo: find out`, `?`.
fn is_placeholder(text: &str) -> bool {
    let word = text.trim().to_ascii_lowercase();
    let is_word = |known: &str| {
        let rest = word.strip_prefix(known);
        rest.is_some_and(|rest| {
            rest.is_empty()
                || (known == "todo" && !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-'))
        })
    };
    WORDS.into_iter().any(is_word)
        || (!word.is_empty() && word.bytes().all(|b| matches!(b, b'?' | b'.' | b'-')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_words_of_their_own() {
        for text in [
            "TODO",
            "todo",
            " ToDo: ask Dana",
            "TODO(dana)",
            "?",
            "???",
            "tbd",
            "...",
        ] {
            assert!(is_placeholder(text), "{text}");
        }
        for text in [
            "team-orders",
            "todos",
            "todo-app",
            "todo-list team",
            "unknown-services",
            "#tbd",
        ] {
            assert!(!is_placeholder(text), "{text}");
        }
    }
}
