//! Documents as text, with what they rest on as comments.

use std::{collections::BTreeSet, fmt::Write as _};

use callgate_policy::SpiffeId;

use super::{
    Service,
    rules::{Rule, rules},
    template::places,
};
use crate::figure::counted;

/// So many callers with equal access are a group of their own.
const GROUP: usize = 5;
/// Columns of a comment above a document.
const WIDTH: usize = 88;
/// Where comments beside lines begin at most.
const FARTHEST: usize = 64;

/// Names that are taken, over all documents of one run.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<String>);

/// A document with its groups.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) text: String,
    pub(super) rules: usize,
}

/// A `CallerGroup` to be written.
struct Group {
    name: String,
    members: Vec<String>,
}

pub(super) fn document(
    id: &SpiffeId,
    service: &Service,
    names: &mut Names,
    source: &str,
) -> Written {
    let rules = rules(&places(service), &service.callers);
    let name = names.take(&object_name(id));
    let mut text = head(id, service, source);
    let _ = write!(
        text,
        "apiVersion: callgate.dev/v1alpha1\nkind: ServicePolicy\nmetadata: {{name: {}}}\nspec:\n  \
         services:\n    - {id}\n  owner: TODO\n  enforcement: Shadow\n{}  allow:\n",
        quoted(&name),
        paths(service),
    );
    let (mut own, mut groups) = (Names::default(), Vec::new());
    for rule in &rules {
        let group = (rule.from.len() >= GROUP).then(|| Group {
            name: names.take(&format!("{name}-callers")),
            members: rule.from.clone(),
        });
        let rule_name = own.take(&match &group {
            Some(group) => group.name.clone(),
            None => rule_name(&rule.from),
        });
        write_rule(&mut text, rule, &rule_name, group.as_ref());
        groups.extend(group);
    }
    groups
        .iter()
        .for_each(|group| write_group(&mut text, group));
    Written {
        text,
        rules: rules.len(),
    }
}

fn head(id: &SpiffeId, service: &Service, source: &str) -> String {
    let mut paragraphs = Vec::new();
    let time = service
        .span
        .map_or_else(String::new, |(from, to)| format!(", {from} to {to}"));
    paragraphs.push(format!(
        "Generated from {source}: {} to {id} by {}{time}. It allows the calls that passed, \
         with any value where a capture stands; what nobody called in that time is not in it.",
        counted(service.calls, "call"),
        counted(service.callers.ids.len() as u64, "caller"),
    ));
    if service.unproven > 0 {
        paragraphs.push(format!(
            "{} recorded without mutual TLS between proxy and server: whoever could reach the \
             server may have made them up.",
            match service.unproven {
                1 => "1 call was".to_owned(),
                n => format!("{} were", counted(n, "call")),
            }
        ));
    }
    let mut lines: Vec<String> = paragraphs.iter().flat_map(|one| wrapped(one)).collect();
    if !service.left_out.is_empty() {
        lines.extend([String::new(), "Left out:".to_owned()]);
        let left_out = service.left_out.iter();
        lines.extend(left_out.map(|(why, count)| format!("  {}", why.counted(*count))));
    }
    lines.push(String::new());
    lines.extend(wrapped(
        "Read it, say whose it is, replay the log against it, then enforce it.",
    ));
    let lines = lines.iter().map(|line| format!("# {line}"));
    lines
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

/// `text` in lines of at most [`WIDTH`] columns, as far as its words allow.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH - 2 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// `spec.paths`, where calls that passed had such paths.
fn paths(service: &Service) -> String {
    let options = service.options;
    let kept = [
        (options.keep_encoded_slash, "encodedSlash: Keep"),
        (options.keep_parameters, "parameters: Keep"),
    ];
    let kept: Vec<&str> = kept
        .into_iter()
        .filter_map(|(keeps, text)| keeps.then_some(text))
        .collect();
    if kept.is_empty() {
        return String::new();
    }
    format!("  paths: {{{}}}\n", kept.join(", "))
}

fn write_rule(text: &mut String, rule: &Rule, name: &str, group: Option<&Group>) {
    let _ = writeln!(text, "    - name: {name}");
    match group {
        Some(group) => {
            let _ = writeln!(text, "      from: [{}]", group.name);
        }
        None => {
            text.push_str("      from:\n");
            for id in &rule.from {
                let _ = writeln!(text, "        - {id}");
            }
        }
    }
    text.push_str("      to:\n");
    let lines: Vec<String> = rule.to.iter().map(|line| quoted(&line.text)).collect();
    let widths = lines.iter().map(|line| line.chars().count());
    let width = widths.filter(|width| *width <= FARTHEST).max().unwrap_or(0);
    for (line, told) in lines.iter().zip(&rule.to) {
        let _ = writeln!(text, "        - {line:width$}  # {}", told.evidence);
    }
}

fn write_group(text: &mut String, group: &Group) {
    let _ = write!(
        text,
        "---\napiVersion: callgate.dev/v1alpha1\nkind: CallerGroup\nmetadata: {{name: {}}}\n\
         spec:\n  owner: TODO\n  members:\n",
        quoted(&group.name)
    );
    for member in &group.members {
        let _ = writeln!(text, "    - {member}");
    }
}

/// A name for the service's document: DNS labels, as Kubernetes has them.
fn object_name(id: &SpiffeId) -> String {
    let last = id.segments().last().unwrap_or_default();
    let name: String = last
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() => c,
            _ => '-',
        })
        .collect();
    let name: String = name.trim_matches('-').chars().take(200).collect();
    match name.trim_matches('-') {
        "" => "service".to_owned(),
        name => name.to_owned(),
    }
}

/// A name for a rule, after its callers.
fn rule_name(from: &[String]) -> String {
    let first = from.first().map(String::as_str).unwrap_or_default();
    let first = first.rsplit('/').next().unwrap_or_default();
    let first: String = first.chars().take(100).collect();
    match from.len() {
        0 | 1 => format!("{first}-calls"),
        n => format!("{first}-and-{}-more", n - 1),
    }
}

/// A text as YAML has it: plain where every reader of YAML takes it for the same text.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/{}-._~!$&'()*+,;=:@% ".contains(c);
    let word = text.to_ascii_lowercase();
    let other = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let safe = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(plain)
        && !text.ends_with(':')
        && !text.contains(": ")
        && !other.contains(&&*word);
    if safe {
        text.to_owned()
    } else {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

impl Names {
    /// `wanted`, or the same with a number that makes it another.
    fn take(&mut self, wanted: &str) -> String {
        let numbered = (2..).map(|n| format!("{wanted}-{n}"));
        let mut names = std::iter::once(wanted.to_owned()).chain(numbered);
        let name = names.find(|name| !self.0.contains(name));
        let name = name.unwrap_or_else(|| wanted.to_owned());
        self.0.insert(name.clone());
        name
    }
}
