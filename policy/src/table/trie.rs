//! Patterns by their segments: which of many may stand for a list of texts.
//!
//! Every literal text has a number, so an edge is a pair of numbers and a text is
//! hashed once however many patterns begin like it.

use std::{collections::HashMap, ops::Range};

use foldhash::fast::FixedState;
use smallvec::{SmallVec, smallvec};

use super::{allocated, ids};
use crate::BuildError;

/// How many nodes a refusal may look at for patterns that are only similar.
const NEAR: usize = 256;

/// What is looked up; twelve segments without allocation, which few identities and
/// routes exceed.
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

/// Numbers of patterns in a few ascending lists.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hits<'i>(SmallVec<[&'i [u32]; 8]>);

impl<'i> Hits<'i> {
    fn push(&mut self, list: &'i [u32]) {
        if !list.is_empty() {
            self.0.push(list);
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.iter().map(|list| list.len()).sum()
    }

    /// The lists, each ascending; no number is in two of them.
    pub(crate) fn lists(&self) -> impl Iterator<Item = &'i [u32]> {
        self.0.iter().copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        self.lists().flatten().copied()
    }
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
    /// The patterns that `texts` may fit: all that do, and those that would but for
    /// a capture that repeats.
    pub(super) fn lookup<'a>(&self, texts: impl Iterator<Item = &'a str>) -> Hits<'_> {
        let mut hits = Hits::default();
        let texts = &texts.collect::<Texts<'_>>();
        self.walk(texts, usize::MAX, |node, depth| {
            hits.push(self.patterns(&node.tail));
            if depth == texts.len() {
                hits.push(self.patterns(&node.here));
            }
        });
        hits
    }

    /// One pattern for each way to begin as `texts` do, the longest ways last; not all
    /// of them where there are very many.
    pub(super) fn near<'a>(&self, texts: impl Iterator<Item = &'a str>) -> Vec<u32> {
        let mut samples = Vec::new();
        let texts = &texts.collect::<Texts<'_>>();
        self.walk(texts, NEAR, |node, _| samples.push(node.sample));
        samples
    }

    /// Visits the nodes that some leading part of `texts` leads to, `limit` at most,
    /// the shortest first.
    fn walk<'s>(&'s self, texts: &[&str], limit: usize, mut visit: impl FnMut(&'s Node, usize)) {
        let mut visited = 0;
        let mut level: SmallVec<[u32; 16]> = smallvec![0];
        for depth in 0..=texts.len() {
            let nodes = level
                .iter()
                .filter_map(|id| self.nodes.get(ids::index(*id)));
            for node in nodes.take(limit - visited) {
                visit(node, depth);
                visited += 1;
            }
            let Some(text) = texts.get(depth).filter(|_| visited < limit) else {
                return;
            };
            level = self.children(&level, text);
            if level.is_empty() {
                return;
            }
        }
    }

    fn children(&self, level: &[u32], text: &str) -> SmallVec<[u32; 16]> {
        let mut children = SmallVec::new();
        let symbol = self.symbols.get(text);
        for id in level {
            let Some(node) = self.nodes.get(ids::index(*id)) else {
                continue;
            };
            let partials = self.partials.get(ids::range(&node.partials));
            let partials = partials.unwrap_or_default().iter();
            let partials = partials.filter(|partial| partial.stands_for(text));
            children.extend(partials.map(|partial| partial.child));
            children.extend(node.any);
            let literal = symbol.and_then(|symbol| self.edges.get(&(*id, *symbol)));
            children.extend(literal.copied());
        }
        children
    }

    /// About how many bytes it takes beyond its own size.
    pub(super) fn footprint(&self) -> usize {
        // A map holds up to twice as many places as entries, with a byte each.
        let places = |entries: usize, one: usize| allocated((entries * 2 + 8) * (one + 1));
        let symbols = self.symbols.keys().map(|text| allocated(text.len()));
        let partials = self.partials.iter();
        let partials =
            partials.map(|one| allocated(one.prefix.len()) + allocated(one.suffix.len()));
        let lists = [
            size_of_val(&*self.nodes),
            size_of_val(&*self.partials),
            size_of_val(&*self.patterns),
        ];
        places(self.symbols.len(), size_of::<(Box<str>, u32)>())
            + places(self.edges.len(), size_of::<(Edge, u32)>())
            + symbols.chain(partials).sum::<usize>()
            + lists.into_iter().map(allocated).sum::<usize>()
            + allocated(size_of::<Self>())
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
