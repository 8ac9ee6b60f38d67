//! Patterns by their segments: which of many may stand for a list of texts.
//!
//! Every literal text has a number, so an edge is a pair of numbers and a text is
//! hashed once however many patterns begin like it.

use std::{collections::HashMap, ops::Range};

use foldhash::fast::FixedState;
use smallvec::SmallVec;

use super::{candidates::Candidates, find::Found, ids};
use crate::BuildError;

/// How many nodes a refusal may look at for patterns that are only similar.
const NEAR: usize = 256;

/// The texts that are looked up; twelve without allocation.
type Texts<'a> = SmallVec<[&'a str; 12]>;

/// A node and a symbol.
type Edge = (u32, u32);

/// One segment of a pattern.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'p> {
    Literal(&'p str),
    Any,
    /// Some text between these two.
    Partial(&'p str, &'p str),
}

/// Patterns, each with a number; immutable.
#[derive(Debug, Default)]
pub(super) struct SegmentTrie {
    symbols: HashMap<Box<str>, u32, FixedState>,
    edges: HashMap<Edge, u32, FixedState>,
    nodes: Box<[Node]>,
    partials: Box<[Partial]>,
    /// What the ranges of nodes are ranges of.
    patterns: Box<[u32]>,
}

/// Where patterns that begin alike stand.
#[derive(Debug)]
struct Node {
    /// The child for any text.
    any: Option<u32>,
    /// The children for partly literal texts. They are tried one by one: a place in
    /// a path with many different ones is not worth an index of its own.
    partials: Range<u32>,
    /// Patterns that end here.
    here: Range<u32>,
    /// Patterns that go on with `/**`.
    tail: Range<u32>,
    /// The first pattern that goes through here.
    sample: u32,
}

#[derive(Debug)]
struct Partial {
    prefix: Box<str>,
    suffix: Box<str>,
    child: u32,
}

/// A trie while it grows.
#[derive(Debug, Default)]
pub(super) struct TrieBuilder {
    symbols: HashMap<Box<str>, u32, FixedState>,
    edges: HashMap<Edge, u32, FixedState>,
    nodes: Vec<Growing>,
}

#[derive(Debug)]
struct Growing {
    any: Option<u32>,
    partials: Vec<Partial>,
    here: Vec<u32>,
    tail: Vec<u32>,
    sample: u32,
}

impl SegmentTrie {
    pub(super) const fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// How many patterns there are.
    pub(super) const fn len(&self) -> usize {
        self.patterns.len()
    }

    /// The patterns that `texts` may fit: all that do, and those that would but for
    /// a capture that repeats.
    pub(super) fn lookup<'a>(&self, texts: impl Iterator<Item = &'a str>) -> Candidates<'_> {
        let mut found = Candidates::default();
        let texts = &texts.collect::<Texts<'_>>();
        self.walk(texts, usize::MAX, |node, depth| {
            found.push(self.patterns(&node.tail), Found::ByPattern);
            if depth == texts.len() {
                found.push(self.patterns(&node.here), Found::ByPattern);
            }
        });
        found
    }

    /// One pattern for each way to begin as `texts` do, the longest ways last; not all
    /// of them where there are very many.
    pub(super) fn near<'a>(&self, texts: impl Iterator<Item = &'a str>) -> Vec<u32> {
        let mut reached = Vec::new();
        let texts = &texts.collect::<Texts<'_>>();
        self.walk(texts, NEAR, |node, depth| {
            reached.push((depth, node.sample));
        });
        reached.sort_by_key(|(depth, _)| *depth);
        reached.into_iter().map(|(_, sample)| sample).collect()
    }

    /// Visits the nodes that some leading part of `texts` leads to, `limit` at most.
    fn walk<'s>(
        &'s self,
        texts: &[&str],
        mut limit: usize,
        mut visit: impl FnMut(&'s Node, usize),
    ) {
        let symbols: SmallVec<[Option<u32>; 12]> = texts
            .iter()
            .map(|text| self.symbols.get(*text).copied())
            .collect();
        let mut open = SmallVec::<[(u32, usize); 16]>::new();
        open.push((0, 0));
        while let Some((id, depth)) = open.pop() {
            let Some(node) = self.nodes.get(ids::index(id)) else {
                continue;
            };
            if limit == 0 {
                return;
            }
            limit -= 1;
            visit(node, depth);
            let (Some(text), Some(symbol)) = (texts.get(depth), symbols.get(depth)) else {
                continue;
            };
            let partials = self.partials.get(ids::range(&node.partials));
            for partial in partials.unwrap_or_default() {
                if partial.stands_for(text) {
                    open.push((partial.child, depth + 1));
                }
            }
            open.extend(node.any.map(|child| (child, depth + 1)));
            let literal = symbol.and_then(|symbol| self.edges.get(&(id, symbol)));
            open.extend(literal.map(|child| (*child, depth + 1)));
        }
    }

    fn patterns(&self, range: &Range<u32>) -> &[u32] {
        self.patterns.get(ids::range(range)).unwrap_or_default()
    }
}

impl Partial {
    fn stands_for(&self, text: &str) -> bool {
        let rest = text.strip_prefix(&*self.prefix);
        let inner = rest.and_then(|rest| rest.strip_suffix(&*self.suffix));
        inner.is_some_and(|inner| !inner.is_empty())
    }
}

impl TrieBuilder {
    /// Numbers have to come in ascending order.
    pub(super) fn insert<'p>(
        &mut self,
        steps: impl Iterator<Item = Step<'p>>,
        tail: bool,
        pattern: u32,
    ) -> Result<(), BuildError> {
        let mut node = match self.nodes.is_empty() {
            true => self.grow(pattern)?,
            false => 0,
        };
        for step in steps {
            node = self.child(node, step, pattern)?;
        }
        if let Some(node) = self.node(node) {
            let list = if tail { &mut node.tail } else { &mut node.here };
            // A group may hold one pattern twice.
            if list.last() != Some(&pattern) {
                list.push(pattern);
            }
        }
        Ok(())
    }

    fn child(&mut self, node: u32, step: Step<'_>, pattern: u32) -> Result<u32, BuildError> {
        let (known, edge) = match step {
            Step::Any => (self.node(node).and_then(|node| node.any), None),
            Step::Literal(text) => self.edge(node, text)?,
            // No segment has a control character, so this is no literal's text.
            Step::Partial(prefix, suffix) => self.edge(node, &format!("{prefix}\0{suffix}"))?,
        };
        if let Some(child) = known {
            return Ok(child);
        }
        let child = self.grow(pattern)?;
        self.edges.extend(edge.map(|edge| (edge, child)));
        if let Some(node) = self.node(node) {
            node.add(step, child);
        }
        Ok(child)
    }

    fn node(&mut self, id: u32) -> Option<&mut Growing> {
        self.nodes.get_mut(ids::index(id))
    }

    fn edge(&mut self, node: u32, text: &str) -> Result<(Option<u32>, Option<Edge>), BuildError> {
        let edge = (node, self.symbol(text)?);
        Ok((self.edges.get(&edge).copied(), Some(edge)))
    }

    fn symbol(&mut self, text: &str) -> Result<u32, BuildError> {
        if let Some(symbol) = self.symbols.get(text) {
            return Ok(*symbol);
        }
        let symbol = ids::next(self.symbols.len())?;
        self.symbols.insert(text.into(), symbol);
        Ok(symbol)
    }

    fn grow(&mut self, sample: u32) -> Result<u32, BuildError> {
        let id = ids::next(self.nodes.len())?;
        self.nodes.push(Growing {
            any: None,
            partials: Vec::new(),
            here: Vec::new(),
            tail: Vec::new(),
            sample,
        });
        Ok(id)
    }

    pub(super) fn finish(self) -> Result<SegmentTrie, BuildError> {
        let (mut partials, mut patterns) = (Vec::new(), Vec::new());
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for node in self.nodes {
            nodes.push(Node {
                any: node.any,
                partials: append(&mut partials, node.partials)?,
                here: append(&mut patterns, node.here)?,
                tail: append(&mut patterns, node.tail)?,
                sample: node.sample,
            });
        }
        let (mut symbols, mut edges) = (self.symbols, self.edges);
        symbols.shrink_to_fit();
        edges.shrink_to_fit();
        Ok(SegmentTrie {
            symbols,
            edges,
            nodes: nodes.into(),
            partials: partials.into(),
            patterns: patterns.into(),
        })
    }
}

/// Moves `items` to the end of `all`, and says where they are now.
fn append<T>(all: &mut Vec<T>, items: Vec<T>) -> Result<Range<u32>, BuildError> {
    let start = ids::next(all.len())?;
    all.extend(items);
    Ok(start..ids::next(all.len())?)
}

impl Growing {
    fn add(&mut self, step: Step<'_>, child: u32) {
        match step {
            Step::Literal(_) => {}
            Step::Any => self.any = Some(child),
            Step::Partial(prefix, suffix) => self.partials.push(Partial {
                prefix: prefix.into(),
                suffix: suffix.into(),
                child,
            }),
        }
    }
}
