//! The rule as it stands in its document, with the lines that matter marked, and the line
//! that would help where it belongs.

use callgate_policy::{Addition, document::Source, spec::RuleSpec};

use super::{
    super::explanation::{Explainer, Explanation},
    painted,
};

/// Lines of a rule that are shown without leaving any out.
const WHOLE: u32 = 14;

/// Characters of a line; a longer one was not written to be read.
const LONGEST: usize = 140;

/// What is shown of a rule.
struct Shown<'a> {
    source: &'a Source,
    rule: &'a RuleSpec,
    /// Lines to look at.
    marked: Vec<u32>,
    added: Option<Added>,
}

/// A line that would help.
struct Added {
    /// The line before it.
    after: u32,
    text: String,
    /// It stands in the place of that line.
    replaces: bool,
}

/// The excerpt; empty if no rule is near.
pub(super) fn lines(
    explainer: &Explainer<'_>,
    told: &Explanation<'_>,
    colour: bool,
) -> Vec<String> {
    let shown = of_decision(explainer, told).or_else(|| of_miss(explainer, told));
    shown.map_or_else(Vec::new, |shown| shown.lines(colour))
}

fn of_decision<'a>(explainer: &Explainer<'a>, told: &Explanation<'a>) -> Option<Shown<'a>> {
    let trial = told.decided_by.as_ref()?;
    let mut marked = trial.told.as_ref().map_or_else(
        || vec![trial.placed.rule.line],
        |one| vec![one.from.0, one.to.0],
    );
    // Of an exception that has ended, its end is what matters.
    let failed = trial.told.as_ref().and_then(|one| one.failed);
    marked.extend(failed.map(|(_, line)| line));
    Some(Shown {
        source: explainer.source(trial.placed.file)?,
        rule: trial.placed.rule,
        marked,
        added: None,
    })
}

fn of_miss<'a>(explainer: &Explainer<'a>, told: &Explanation<'a>) -> Option<Shown<'a>> {
    let miss = told.decision.nearest_miss.as_deref()?;
    let placed = explainer.rules.find(&miss.rule)?;
    let source = explainer.source(placed.file)?;
    let addition = told
        .story
        .as_ref()
        .and_then(|story| story.addition.as_ref());
    Some(Shown {
        source,
        rule: placed.rule,
        marked: vec![miss.location.line],
        added: addition.and_then(|addition| {
            let (after, key, text) = match addition {
                Addition::From(text) => (miss.from.location.line, "from: [", text),
                Addition::To(text) => (miss.to.location.line, "to: [", text),
            };
            added(source.line(after)?, after, key, text)
        }),
    })
}

/// `text` as one more entry of the list that `line` belongs to.
fn added(line: &str, after: u32, key: &str, text: &str) -> Option<Added> {
    if let Some(indent) = indent_of_entry(line) {
        return Some(Added {
            after,
            text: format!("{indent}- {text}"),
            replaces: false,
        });
    }
    let list = line.trim_start().strip_prefix(key)?.trim_end();
    // A bracket within means quotes or a comment, where only a parser knows its way.
    let entries = list.strip_suffix(']').filter(|one| !one.contains(']'))?;
    let entry = if text.contains(['{', '}', '[', ']', ',']) {
        format!("\"{text}\"")
    } else {
        text.to_owned()
    };
    let indent = line.get(..line.len() - line.trim_start().len())?;
    Some(Added {
        after,
        text: format!("{indent}{key}{entries}, {entry}]"),
        replaces: true,
    })
}

/// The indentation of an entry that has a line of its own: below it there is place for
/// another one.
fn indent_of_entry(line: &str) -> Option<&str> {
    let rest = line.trim_start_matches(' ');
    rest.starts_with("- ")
        .then(|| line.get(..line.len() - rest.len()))?
        // The first entry of a rule is its name.
        .filter(|_| !rest.starts_with("- name:"))
}

impl Shown<'_> {
    fn lines(&self, colour: bool) -> Vec<String> {
        let numbers = self.numbers();
        let width = numbers.last().map_or(1, |last| last.to_string().len());
        let indent = self.indent(&numbers);
        let text = |line: &str| -> String {
            let rest = line.get(indent..).unwrap_or_default();
            let mut text: String = rest.chars().take(LONGEST).collect();
            if rest.chars().nth(LONGEST).is_some() {
                text.push('…');
            }
            text
        };
        let mut lines = vec![format!("  {}", self.source.name())];
        let mut before = None;
        for number in numbers {
            if before.is_some_and(|before| before + 1 < number) {
                lines.push(format!("    {:width$} …", ""));
            }
            before = Some(number);
            let content = text(self.source.line(number).unwrap_or_default());
            let added = self.added.as_ref().filter(|added| added.after == number);
            let mark = match added {
                Some(added) if added.replaces => '-',
                _ if self.marked.contains(&number) => '>',
                _ => ' ',
            };
            let line = format!("  {mark} {number:width$} |  {content}");
            lines.push(line.trim_end().to_owned());
            if let Some(added) = added {
                let line = format!("  + {:width$} |  {}", "", text(&added.text));
                lines.push(painted(&line, "32", colour));
            }
        }
        lines
    }

    /// Which lines are shown: the rule, or of a long one its beginning and what is near
    /// the marks.
    fn numbers(&self) -> Vec<u32> {
        let rule = self.rule;
        let from = rule.from.iter().map(|entry| entry.line);
        let to = rule.to.iter().map(|entry| entry.line);
        let exception = rule.exception.iter().map(|exception| exception.line);
        let when = rule.when.iter().map(|when| self.end_of_block(when.line));
        let all = from
            .chain(to)
            .chain(exception)
            .chain(when)
            .chain([rule.line]);
        let (first, last) = all.fold((rule.line, rule.line), |(first, last), line| {
            (first.min(line), last.max(line))
        });
        if last - first < WHOLE {
            return (first..=last).collect();
        }
        let near = |line: u32| self.marked.iter().any(|mark| mark.abs_diff(line) <= 1);
        (first..=last)
            .filter(|line| *line <= first + 1 || near(*line))
            .collect()
    }

    /// The last line of a text that begins at `line`, as after `when: >-`.
    fn end_of_block(&self, line: u32) -> u32 {
        let depth = |text: &str| text.len() - text.trim_start_matches(' ').len();
        let Some(key) = self.source.line(line).map(depth) else {
            return line;
        };
        let below = (line + 1..).map_while(|number| Some((number, self.source.line(number)?)));
        let within = below.take_while(|(_, text)| !text.trim().is_empty() && depth(text) > key);
        within.last().map_or(line, |(number, _)| number)
    }

    /// The spaces that all of them begin with.
    fn indent(&self, numbers: &[u32]) -> usize {
        let lines = numbers
            .iter()
            .filter_map(|number| self.source.line(*number));
        let written = lines.filter(|line| !line.trim().is_empty());
        let indents = written.map(|line| line.len() - line.trim_start_matches(' ').len());
        indents.min().unwrap_or(0)
    }
}
