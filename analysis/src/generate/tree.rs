//! Every path that was called, as a tree of segments in which ids become captures.
//!
//! ```text
//!  /orders/7          orders ─┬─ {digits: 7, 8, …} ─┬─ GET    checkout: 31,007
//!  /orders/8/items            └─ search             └─ items ─ GET  web: 12
//!  /orders/search
//! ```
//!
//! It stays small while the log is long: ids become captures with the first few of them,
//! words when there are more than anybody would write down, and what does not fit into
//! [`MAX_NODES`] is refused and counted.

use std::collections::BTreeMap;

use super::{
    token::{Kind, Token},
    values::Values,
};

/// Segments of all paths of a service; each takes some 300 bytes.
pub(super) const MAX_NODES: usize = 100_000;
/// Words in one place until they become a capture at once, whatever they have in common.
const MOST_WORDS: usize = 1_000;

/// A place in the paths: what was called there, and what comes below.
#[derive(Debug, Default)]
pub(super) struct Node {
    literals: BTreeMap<Box<str>, Child>,
    /// By what they look like, never words.
    captures: BTreeMap<Token, Capture>,
    ends: Ends,
}

/// How a path ends that was called: which way, by whom, how often.
pub(super) type Ends = BTreeMap<End, BTreeMap<u32, u64>>;

/// How a path was called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct End {
    /// It ends in `/`.
    pub(super) slash: bool,
    pub(super) verb: Verb,
}

/// What stands before a path in a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verb {
    /// A method.
    Method(Box<str>),
    /// A method that no rule can name: any of them.
    Any,
    /// An upgrade.
    WebSocket,
    /// A gRPC method, which is no path in the tree.
    Grpc,
}

#[derive(Debug)]
struct Child {
    token: Token,
    node: Node,
}

#[derive(Debug, Default)]
struct Capture {
    node: Node,
    values: Values,
}

/// One segment of a template.
#[derive(Clone, Debug)]
pub(super) enum Piece<'t> {
    Literal(&'t str, &'t Token),
    Capture {
        prefix: &'t str,
        suffix: &'t str,
        values: &'t Values,
    },
}

/// There are too many different paths.
#[derive(Clone, Copy, Debug)]
pub(super) struct Full;

impl Node {
    /// Counts a call. `room` is what is left of [`MAX_NODES`].
    pub(super) fn count<'s>(
        &mut self,
        mut segments: impl Iterator<Item = &'s str>,
        end: End,
        caller: u32,
        room: &mut usize,
    ) -> Result<(), Full> {
        let Some(segment) = segments.next() else {
            *self.ends.entry(end).or_default().entry(caller).or_default() += 1;
            return Ok(());
        };
        let token = Token::of(segment);
        let node = self.child(segment, token, room)?;
        node.count(segments, end, caller, room)
    }

    fn child(&mut self, segment: &str, token: Token, room: &mut usize) -> Result<&mut Self, Full> {
        let known = |it: &Self, token: &Token| {
            it.captures.contains_key(&it.key(token)) || it.literals.contains_key(segment)
        };
        let token = match known(self, &token) {
            true => token,
            false => token.writable(segment),
        };
        if !known(self, &token) {
            *room = room.checked_sub(1).ok_or(Full)?;
            let child = Child {
                token: token.clone(),
                node: Self::default(),
            };
            self.literals.insert(segment.into(), child);
            self.settle(&token);
        }
        if let Some(capture) = self.captures.get_mut(&self.key(&token)) {
            capture.values.add(segment, &token);
            return Ok(&mut capture.node);
        }
        let child = self.literals.get_mut(segment).ok_or(Full)?;
        Ok(&mut child.node)
    }

    /// What stands for `token` among the captures.
    fn key(&self, token: &Token) -> Token {
        match token {
            Token::Word => Token::plain(Kind::Words),
            id @ Token::Id { .. } => id.clone(),
        }
    }

    /// Makes a capture of the texts that look like `token`, if there are enough.
    fn settle(&mut self, token: &Token) {
        let alike = || self.literals.values().filter(|child| child.token == *token);
        let enough = match token {
            Token::Word => self.literals.len() > MOST_WORDS && alike().count() > MOST_WORDS,
            id @ Token::Id { .. } => alike().count() >= id.enough(),
        };
        if enough {
            self.collapse(&self.key(token), |_, child| child.token == *token);
        }
    }

    /// Makes the literals that `is_one` of one capture.
    fn collapse(&mut self, key: &Token, is_one: impl Fn(&str, &Child) -> bool) {
        let literals = std::mem::take(&mut self.literals);
        let (alike, others) = literals
            .into_iter()
            .partition(|(text, child)| is_one(text, child));
        self.literals = others;
        let alike: BTreeMap<Box<str>, Child> = alike;
        let capture = self.captures.entry(key.clone()).or_default();
        for (text, child) in alike {
            capture.values.add(&text, &child.token);
            capture.node.absorb(child.node);
        }
    }

    /// Adds what was called below another place.
    fn absorb(&mut self, other: Self) {
        for (token, capture) in other.captures {
            let key = &token;
            let is_word = token == Token::plain(Kind::Words);
            self.collapse(key, |_, child| {
                child.token == *key || is_word && child.token == Token::Word
            });
            let own = self.captures.entry(token).or_default();
            own.values.merge(capture.values);
            own.node.absorb(capture.node);
        }
        for (text, child) in other.literals {
            self.place(text, child);
        }
        for (end, callers) in other.ends {
            let own = self.ends.entry(end).or_default();
            for (caller, count) in callers {
                *own.entry(caller).or_default() += count;
            }
        }
    }

    fn place(&mut self, text: Box<str>, child: Child) {
        if let Some(capture) = self.captures.get_mut(&self.key(&child.token)) {
            capture.values.add(&text, &child.token);
            capture.node.absorb(child.node);
            return;
        }
        let token = child.token.clone();
        match self.literals.get_mut(&text) {
            Some(own) => own.node.absorb(child.node),
            None => {
                self.literals.insert(text, child);
                self.settle(&token);
            }
        }
    }

    /// What can only be said at the end: at least `words` words in one place, with the
    /// same below all of them, are a capture; captures with nothing around them are one.
    pub(super) fn finish(&mut self, words: usize) {
        for child in self.literals.values_mut() {
            child.node.finish(words);
        }
        for capture in self.captures.values_mut() {
            capture.node.finish(words);
        }
        let mut alike: BTreeMap<String, usize> = BTreeMap::new();
        let names = || {
            self.literals
                .values()
                .filter(|one| one.token == Token::Word)
        };
        if names().count() >= words {
            for child in names() {
                *alike.entry(child.node.signature()).or_default() += 1;
            }
        }
        alike.retain(|_, count| *count >= words);
        if !alike.is_empty() {
            self.collapse(&Token::plain(Kind::Words), |_, child| {
                child.token == Token::Word && alike.contains_key(&child.node.signature())
            });
        }
        self.unite(words);
    }

    /// Makes one of the captures that have nothing around them: they are the same text in
    /// a rule.
    fn unite(&mut self, words: usize) {
        let plain = |token: &Token| token.is_plain();
        let Some(first) = self.captures.keys().find(|token| plain(token)).cloned() else {
            return;
        };
        let captures = std::mem::take(&mut self.captures);
        let (united, others) = captures.into_iter().partition(|(token, _)| plain(token));
        self.captures = others;
        let united: BTreeMap<Token, Capture> = united;
        let (mut node, mut values, many) = (Self::default(), Values::default(), united.len() > 1);
        for (_, capture) in united {
            values.merge(capture.values);
            node.absorb(capture.node);
        }
        let stray = self.literals.values().any(|child| plain(&child.token));
        self.captures
            .insert(first.clone(), Capture { node, values });
        self.collapse(&first, |_, child| plain(&child.token));
        if let Some(capture) = self.captures.get_mut(&first).filter(|_| many || stray) {
            capture.node.finish(words);
        }
    }

    /// What is below, whoever calls it.
    fn signature(&self) -> String {
        let ends: Vec<&End> = self.ends.keys().collect();
        let literals = self.literals.iter();
        let literals: Vec<String> = literals
            .map(|(text, child)| format!("{text:?}({})", child.node.signature()))
            .collect();
        let captures = self.captures.iter();
        let captures: Vec<String> = captures
            .map(|(token, capture)| format!("{token:?}({})", capture.node.signature()))
            .collect();
        format!("{ends:?}{literals:?}{captures:?}")
    }

    /// Every place where something was called, in the order of paths.
    pub(super) fn each<'t>(&'t self, take: &mut impl FnMut(&[Piece<'t>], &'t Ends)) {
        self.walk(&mut Vec::new(), take);
    }

    fn walk<'t>(
        &'t self,
        path: &mut Vec<Piece<'t>>,
        take: &mut impl FnMut(&[Piece<'t>], &'t Ends),
    ) {
        if !self.ends.is_empty() {
            take(path, &self.ends);
        }
        for (text, child) in &self.literals {
            path.push(Piece::Literal(text, &child.token));
            child.node.walk(path, take);
            path.pop();
        }
        for (token, capture) in &self.captures {
            let (prefix, suffix) = match token {
                Token::Id { prefix, suffix, .. } => (&**prefix, &**suffix),
                Token::Word => ("", ""),
            };
            path.push(Piece::Capture {
                prefix,
                suffix,
                values: &capture.values,
            });
            capture.node.walk(path, take);
            path.pop();
        }
    }
}
