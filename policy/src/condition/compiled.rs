//! A condition that was read and checked.

use std::{
    hash::{Hash, Hasher},
    ops::Range,
};

use super::{
    Account, ConditionFault as Fault, ConditionFinding, Notes, Scene, account, check, evaluate,
    node::{Field, Node},
    syntax,
};

/// The condition of a rule, `when`: an expression of CEL over one request, checked and
/// bounded. Made of a text by [`Condition::parse`].
#[derive(Clone, Debug)]
pub struct Condition {
    /// All of them have to hold. None at all, if it is for others to decide.
    parts: Box<[Part]>,
    captures: Box<[(String, Range<usize>)]>,
}

/// An operand of the outermost `&&`, or all there is.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) node: Node,
    /// As written, on one line.
    pub(super) text: Box<str>,
}

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// Everything that is wrong with it, with its place in `text`; of what is not CEL, the
    /// first.
    pub fn parse(text: &str) -> Result<Self, Vec<ConditionFinding>> {
        let expression = syntax::parse(text).map_err(|finding| vec![finding])?;
        let checked = check::check(&expression)?;
        let parts = checked.parts.into_iter().map(|(node, range)| Part {
            node,
            text: on_one_line(text.get(range).unwrap_or_default()),
        });
        Ok(Self {
            parts: parts.collect(),
            captures: checked.captures.into(),
        })
    }

    /// A condition that is for others to decide, who have it; it reads these captures.
    pub(crate) fn elsewhere(captures: impl Iterator<Item = String>) -> Self {
        Self {
            parts: Box::default(),
            captures: captures.map(|name| (name, 0..0)).collect(),
        }
    }

    /// The captures that it reads, each with where it stands first in the text.
    #[must_use]
    pub const fn captures(&self) -> &[(String, Range<usize>)] {
        &self.captures
    }

    /// The headers that it may read, each once.
    #[must_use]
    pub fn headers(&self) -> Vec<&str> {
        self.names(|node| match node {
            Node::Header(name) | Node::HasHeader(name) => Some(name),
            _ => None,
        })
    }

    /// The parameters of the query that it may read, each once.
    #[must_use]
    pub fn parameters(&self) -> Vec<&str> {
        self.names(|node| match node {
            Node::Query(name) | Node::HasQuery(name) => Some(name),
            _ => None,
        })
    }

    /// Whether the same call may be decided differently at another time.
    #[must_use]
    pub fn reads_time(&self) -> bool {
        let mut reads = false;
        for part in &self.parts {
            part.node
                .visit(&mut |node| reads |= matches!(node, Node::Field(Field::Time)));
        }
        reads
    }

    pub(crate) const fn uses_captures(&self) -> bool {
        !self.captures.is_empty()
    }

    /// Whether it holds; `None` if that is for others to decide. As with `&&`, a part that
    /// does not hold settles it, whatever errors the others have.
    pub(crate) fn holds(&self, scene: &Scene<'_>) -> Option<Result<bool, Fault>> {
        if self.parts.is_empty() {
            return None;
        }
        let mut fault = None;
        for part in &self.parts {
            match evaluate::holds(&part.node, scene) {
                Ok(false) => return Some(Ok(false)),
                Ok(true) => {}
                Err(error) => {
                    fault.get_or_insert(error);
                }
            }
        }
        Some(fault.map_or(Ok(true), Err))
    }

    /// Tells how it fared, with what was there: of the first part that does not hold, or
    /// else of all.
    pub(crate) fn account(&self, scene: &Scene<'_>) -> Account {
        let notes = Notes::default();
        account::tell(&self.parts, &scene.noting(&notes))
    }

    fn names(&self, name: impl Fn(&Node) -> Option<&str>) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for part in &self.parts {
            part.node.visit(&mut |node| {
                if let Some(name) = name(node).filter(|name| !names.contains(name)) {
                    names.push(name);
                }
            });
        }
        names
    }
}

/// By the texts, which are all that it is made of.
impl Hash for Condition {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for part in &self.parts {
            part.text.hash(state);
        }
        self.captures.hash(state);
    }
}

fn on_one_line(text: &str) -> Box<str> {
    match text.contains(['\n', '\r']) {
        true => text.split_whitespace().collect::<Vec<_>>().join(" ").into(),
        false => text.into(),
    }
}
