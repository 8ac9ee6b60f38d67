//! A table: clauses, and vectors that show what each means.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, de::DeserializeOwned};

use super::{Answers, Subject};

/// What the standard says where it says nothing.
const OPEN: &str = "Open";

/// One standard.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Table<I> {
    /// Its name.
    pub standard: String,
    /// Each clause in a few words.
    pub clauses: BTreeMap<String, String>,
    /// Implementations that make no claim about some clauses, and which.
    #[serde(default)]
    pub not_asked: BTreeMap<Subject, Vec<String>>,
    /// What shows them.
    pub vectors: Vec<Vector<I>>,
}

/// One consequence of a clause.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Vector<I> {
    /// Unique in its table.
    pub name: String,
    /// Whose consequence.
    pub clause: String,
    /// What is put in.
    pub input: I,
    /// The answer, or `Open`.
    pub expect: String,
    /// Who answers otherwise, and why.
    #[serde(default)]
    pub differs: BTreeMap<Subject, Difference>,
}

/// What an implementation answers instead.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// The answer.
    pub answer: String,
    /// Why.
    pub reason: String,
}

/// A text to be read as a SPIFFE ID.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum IdInput {
    /// As it stands.
    Text(String),
    /// `begin`, then `fill` until there are `bytes` of it, then `end`.
    Filled {
        /// The beginning.
        begin: String,
        /// One character.
        fill: char,
        /// How many bytes `begin` and the filling have.
        bytes: usize,
        /// What follows.
        #[serde(default)]
        end: String,
    },
}

impl IdInput {
    /// The text.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Filled {
                begin,
                fill,
                bytes,
                end,
            } => {
                let mut text = begin.clone();
                while text.len() < *bytes {
                    text.push(*fill);
                }
                text + end
            }
        }
    }
}

impl<I: DeserializeOwned> Table<I> {
    /// Reads a table, and holds it against itself.
    ///
    /// # Errors
    /// If a clause has no vector, or a vector no clause; if two vectors have one name; if
    /// a difference is none, or has no reason.
    pub fn parse(text: &str) -> Result<Self> {
        let table: Self = serde_yaml_ng::from_str(text)?;
        let shown: BTreeSet<&str> = table.vectors.iter().map(|v| v.clause.as_str()).collect();
        for clause in table.clauses.keys() {
            ensure!(
                shown.contains(clause.as_str()),
                "no vector shows `{clause}`"
            );
        }
        let mut names = BTreeSet::new();
        for vector in &table.vectors {
            let name = &vector.name;
            ensure!(names.insert(name), "two vectors are named `{name}`");
            let clause = &vector.clause;
            ensure!(
                table.clauses.contains_key(clause),
                "`{name}`: no clause `{clause}`"
            );
            for (subject, difference) in &vector.differs {
                ensure!(
                    difference.answer != vector.expect && difference.reason.len() > 10,
                    "`{name}`: {subject:?} does not differ, or nobody says why"
                );
            }
        }
        for clause in table.not_asked.values().flatten() {
            ensure!(table.clauses.contains_key(clause), "no clause `{clause}`");
        }
        Ok(table)
    }
}

impl<I> Table<I> {
    /// `of` every input, by the vector's name.
    pub(super) fn each<T>(&self, of: impl Fn(&I) -> Result<T>) -> Result<BTreeMap<String, T>> {
        let each = self.vectors.iter().map(|vector| {
            let made = of(&vector.input).with_context(|| vector.name.clone())?;
            Ok((vector.name.clone(), made))
        });
        each.collect()
    }

    /// What of `answers` is not as it should be: one line each.
    pub(super) fn judge(&self, subject: Subject, answers: &Answers) -> Vec<String> {
        let not_asked = self.not_asked.get(&subject);
        let asked = |vector: &&Vector<I>| !not_asked.is_some_and(|c| c.contains(&vector.clause));
        let wrong = self.vectors.iter().filter(asked).filter_map(|vector| {
            let answer = answers.get(&vector.name).map_or("nothing", String::as_str);
            let complaint = vector.complaint(subject, answer)?;
            let (standard, clause) = (&self.standard, &vector.clause);
            Some(format!(
                "{standard} {clause}, `{}`: {subject:?} answers {answer}; {complaint}",
                vector.name
            ))
        });
        wrong.collect()
    }
}

impl<I> Vector<I> {
    fn complaint(&self, subject: Subject, answer: &str) -> Option<String> {
        match self.differs.get(&subject) {
            Some(known) if known.answer == answer => None,
            Some(known) if self.expect == answer => Some(format!(
                "it used to answer {}: the difference has healed, remove it",
                known.answer
            )),
            Some(known) => Some(format!("it used to answer {}", known.answer)),
            None if self.expect == OPEN => {
                Some("the standard is open: say in `differs` what it answers, and why".to_owned())
            }
            None if self.expect == answer => None,
            None => Some(format!("the standard says {}", self.expect)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r"
standard: S
clauses: {c: something}
vectors:
  - {name: a, clause: c, input: x, expect: Valid}
  - name: b
    clause: c
    input: {begin: x, fill: y, bytes: 3, end: z}
    expect: Valid
    differs: {callgate: {answer: Invalid, reason: because of something}}
";

    fn judged(a: &str, b: &str) -> Vec<String> {
        let table: Table<IdInput> = Table::parse(TABLE).unwrap();
        assert_eq!(table.vectors[1].input.text(), "xyyz");
        let answers = [("a", a), ("b", b)].map(|(n, a)| (n.to_owned(), a.to_owned()));
        table.judge(Subject::Callgate, &answers.into())
    }

    #[test]
    fn what_is_not_as_the_table_says_is_told() {
        assert_eq!(judged("Valid", "Invalid"), Vec::<String>::new());
        let wrong = judged("Invalid", "Valid");
        assert!(wrong[0].contains("the standard says Valid"), "{wrong:?}");
        assert!(wrong[1].contains("has healed"), "{wrong:?}");
    }

    #[test]
    fn a_table_that_contradicts_itself_is_refused() {
        for (name, from, to) in [
            (
                "a clause without a vector",
                "{c: something}",
                "{c: s, d: s}",
            ),
            (
                "an unknown clause",
                "clause: c, input: x",
                "clause: d, input: x",
            ),
            ("two of one name", "name: b", "name: a"),
            (
                "a difference that is none",
                "answer: Invalid",
                "answer: Valid",
            ),
            ("no reason", "because of something", "no"),
        ] {
            let text = TABLE.replace(from, to);
            assert_ne!(text, TABLE, "{name}");
            Table::<IdInput>::parse(&text).expect_err(name);
        }
    }
}
