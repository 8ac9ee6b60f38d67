//! The text of documents with everything that stands in it, comments too: for who rewrites
//! or points at what people wrote. What it means is found out by [`load`](super::load).

use std::ops::Range;

use super::{
    Findings, Limits, Source,
    finding::Sink,
    source::{Span, offset},
    yaml,
};

pub use yaml::{Entry, Node, Style, Text, Value, plain::read_as};

/// What one file holds.
#[derive(Debug)]
pub struct Syntax<'s> {
    /// The documents, without empty ones.
    pub documents: Vec<Node<'s>>,
    /// The comments, in the order of the text.
    pub comments: Vec<Comment<'s>>,
}

/// A comment: from its `#` to the end of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comment<'s> {
    /// Where it stands.
    pub span: Span,
    /// What it says, with its `#` and without space after it.
    pub text: &'s str,
    /// Nothing but space stands before it on its line.
    pub alone: bool,
}

impl<'s> Syntax<'s> {
    /// Reads `source`, which is the `file`th of those that are read together.
    ///
    /// # Errors
    /// Whatever keeps the text from being read in one way only: YAML's own errors, tags,
    /// aliases, keys that stand twice, nulls, characters that nobody sees.
    pub fn parse(file: usize, source: &'s Source, limits: &Limits) -> Result<Self, Findings> {
        let mut sink = Sink::default();
        let parsed = yaml::parse(offset(file), source, limits, &mut sink);
        // Spans say which of several sources; findings are shown with one.
        let mut sources = vec![Source::new("", ""); file];
        sources.push(source.clone());
        match sink.into_findings(&sources, limits.findings.max(1)) {
            Some(findings) => Err(findings),
            None => Ok(Self {
                comments: comments(file, source.text(), &parsed.documents),
                documents: parsed.documents,
            }),
        }
    }
}

/// What `#` begins outside of texts. YAML 1.2, section 6.6: a comment begins a line or
/// follows white space.
fn comments<'s>(file: usize, text: &'s str, documents: &[Node<'_>]) -> Vec<Comment<'s>> {
    let mut texts = Vec::new();
    documents.iter().for_each(|node| scalars(node, &mut texts));
    let mut comments = Vec::new();
    let mut texts = texts.into_iter().peekable();
    let mut from = 0;
    while let Some(found) = text.get(from..).and_then(|rest| rest.find('#')) {
        let at = from.saturating_add(found);
        while texts.next_if(|range| range.end <= at).is_some() {}
        if let Some(within) = texts.next_if(|range| range.start <= at) {
            from = within.end.max(at.saturating_add(1));
            continue;
        }
        let rest = text.get(at..).unwrap_or_default();
        let length = rest.find('\n').unwrap_or(rest.len());
        let before = text.get(..at).unwrap_or_default();
        if before.is_empty() || before.ends_with([' ', '\t', '\n']) {
            let comment = rest.get(..length).unwrap_or_default().trim_end();
            let line = before.rsplit('\n').next().unwrap_or_default();
            comments.push(Comment {
                span: Span::of(file, at..at.saturating_add(comment.len())),
                text: comment,
                alone: line.trim().is_empty(),
            });
            from = at.saturating_add(length);
        } else {
            from = at.saturating_add(1);
        }
    }
    comments
}

/// The bytes of all texts in order. A block's header, `>- # like this`, is not of them.
fn scalars(node: &Node<'_>, into: &mut Vec<Range<usize>>) {
    match &node.value {
        Value::Text(_) => into.push(node.span.bytes()),
        Value::List(items) => items.iter().for_each(|item| scalars(item, into)),
        Value::Map(entries) => {
            for entry in entries {
                into.push(entry.key_span.bytes());
                scalars(&entry.value, into);
            }
        }
        Value::Refused => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of a document in order, as they are written, and the comments.
    fn parts(text: &str) -> (Vec<String>, Vec<(String, bool)>) {
        let source = Source::new("a.yaml", text);
        let syntax = Syntax::parse(0, &source, &Limits::default()).unwrap();
        let mut texts = Vec::new();
        for node in &syntax.documents {
            scalars(node, &mut texts);
        }
        let texts = texts.into_iter().map(|range| text[range].to_owned());
        let comments = syntax.comments.iter();
        let comments = comments.map(|one| (one.text.to_owned(), one.alone));
        (texts.collect(), comments.collect())
    }

    #[test]
    fn a_comment_begins_where_no_text_is() {
        type Case = (
            &'static str,
            &'static [&'static str],
            &'static [(&'static str, bool)],
        );
        let cases: [Case; 10] = [
            ("a: x # c", &["a", "x"], &[("# c", false)]),
            ("a: x#y\n  z # c  ", &["a", "x#y\n  z"], &[("# c", false)]),
            ("a: 'x # y' # c", &["a", "'x # y'"], &[("# c", false)]),
            (
                "a: 'it''s # y' # c",
                &["a", "'it''s # y'"],
                &[("# c", false)],
            ),
            (
                r#"a: "x \" # y" # c"#,
                &["a", r#""x \" # y""#],
                &[("# c", false)],
            ),
            (
                "a: >- # c\n  x # y\n  # z\n# d\n",
                &["a", "x # y\n  # z\n"],
                &[("# c", false), ("# d", true)],
            ),
            (
                "a: [b, # c\n  d] # e",
                &["a", "b", "d"],
                &[("# c", false), ("# e", false)],
            ),
            ("# c\r\n\r\na: b\r\n", &["a", "b"], &[("# c", true)]),
            (
                "--- # c\na: ü # ü\n  # d",
                &["a", "ü"],
                &[("# c", false), ("# ü", false), ("# d", true)],
            ),
            ("# only", &[], &[("# only", true)]),
        ];
        for (text, texts, comments) in cases {
            let (found_texts, found_comments) = parts(text);
            assert_eq!(found_texts, texts, "{text}");
            let comments: Vec<_> = comments
                .iter()
                .map(|(c, alone)| ((*c).to_owned(), *alone))
                .collect();
            assert_eq!(found_comments, comments, "{text}");
        }
    }

    #[test]
    fn spans_are_those_of_the_source_among_others() {
        let source = Source::new("b.yaml", "# c\na: b");
        let syntax = Syntax::parse(2, &source, &Limits::default()).unwrap();
        assert_eq!(syntax.documents[0].span.file(), 2);
        assert_eq!(syntax.comments[0].span, Span::of(2, 0..3));
        let broken = Source::new("c.yaml", "a: !b c");
        let found = Syntax::parse(2, &broken, &Limits::default()).unwrap_err();
        assert_eq!(
            found.to_string(),
            "c.yaml:1:4: error[CG007]: `!b c` begins with `!`, which makes it a YAML tag"
        );
    }
}
