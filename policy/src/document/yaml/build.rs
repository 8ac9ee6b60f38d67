//! From the parser's events to nodes.

use std::borrow::Cow;

use saphyr_parser::{Event, ScalarStyle};

use super::{
    Node, Parsed, Style, Text, Value,
    events::{Events, Spanned},
    plain, refusal,
};
use crate::document::{
    Code, Limits, Source,
    finding::{Finding, Sink},
    source::Span,
};

/// Reads every document of a text that consists of allowed characters.
pub(super) fn documents<'s>(
    file: u32,
    source: &'s Source,
    limits: &Limits,
    sink: &mut Sink,
) -> Parsed<'s> {
    let mut builder = Builder {
        events: Events::new(file, source),
        source,
        depth_left: limits.depth,
        nodes_left: limits.nodes,
        limits: *limits,
        sink,
    };
    let mut documents = Vec::new();
    let whole = builder.stream(&mut documents).is_ok();
    Parsed { documents, whole }
}

/// The file cannot be read on; the finding has been made.
pub(super) struct Stopped;

pub(super) struct Builder<'s, 'k> {
    events: Events<'s>,
    pub(super) source: &'s Source,
    depth_left: usize,
    nodes_left: usize,
    limits: Limits,
    pub(super) sink: &'k mut Sink,
}

impl<'s> Builder<'s, '_> {
    fn stream(&mut self, documents: &mut Vec<Node<'s>>) -> Result<(), Stopped> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(()),
                (Event::DocumentStart(_), _) => documents.extend(self.document()?),
                _ => {}
            }
        }
    }

    /// A document; `None` if there is nothing in it, as after a last `---`.
    fn document(&mut self) -> Result<Option<Node<'s>>, Stopped> {
        let first = self.next()?;
        if is_nothing(&first.0) {
            return Ok(None);
        }
        if let (Event::Scalar(text, ScalarStyle::Plain, 0, None), span) = &first
            && plain::is_null(text)
        {
            let finding = Finding::new(Code::Null, *span, "the document is null");
            self.sink.push(finding.help("remove it, with its `---`"));
            return Ok(None);
        }
        self.node(first, None).map(Some)
    }

    /// The value that begins with `first`, whose key, if it has one, is `key`.
    pub(super) fn node(
        &mut self,
        (event, span): Spanned<'s>,
        key: Option<(&str, Span)>,
    ) -> Result<Node<'s>, Stopped> {
        self.count(span)?;
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_anchor(anchor, span);
                if tag.is_some() {
                    self.sink
                        .push(refusal::tag(self.source, span, key.map(|(key, _)| key)));
                    return Ok(Node {
                        span,
                        value: Value::Refused,
                    });
                }
                if anchor > 0 && text.is_empty() {
                    return Ok(Node {
                        span,
                        value: Value::Refused,
                    });
                }
                Ok(self.scalar(text, style, span, key))
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_properties(anchor, tag.is_some(), span, key);
                self.nested(span, |builder| builder.list(span))
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_properties(anchor, tag.is_some(), span, key);
                self.nested(span, |builder| builder.map(span))
            }
            // An alias; other events do not begin a value.
            _ => {
                self.sink.push(refusal::alias(span));
                Ok(Node {
                    span,
                    value: Value::Refused,
                })
            }
        }
    }

    fn scalar(
        &mut self,
        text: Cow<'s, str>,
        style: ScalarStyle,
        span: Span,
        key: Option<(&str, Span)>,
    ) -> Node<'s> {
        let style = match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
            ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
        };
        if style == Style::Plain && plain::is_null(&text) {
            self.sink.push(refusal::null(self.source, &text, span, key));
            return Node {
                span,
                value: Value::Refused,
            };
        }
        Node {
            span,
            value: Value::Text(Text { text, style }),
        }
    }

    fn list(&mut self, start: Span) -> Result<Node<'s>, Stopped> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                let last = items.last().map(|node: &Node<'_>| node.span);
                return Ok(Node {
                    span: whole(start, last, span),
                    value: Value::List(items),
                });
            }
            items.push(self.node((event, span), None)?);
        }
    }

    fn refuse_anchor(&mut self, anchor: usize, span: Span) {
        if anchor > 0 {
            self.sink.push(refusal::anchor(span));
        }
    }

    fn refuse_properties(
        &mut self,
        anchor: usize,
        tagged: bool,
        span: Span,
        key: Option<(&str, Span)>,
    ) {
        self.refuse_anchor(anchor, span);
        if tagged {
            self.sink
                .push(refusal::tag(self.source, span, key.map(|(key, _)| key)));
        }
    }

    fn nested(
        &mut self,
        span: Span,
        build: impl FnOnce(&mut Self) -> Result<Node<'s>, Stopped>,
    ) -> Result<Node<'s>, Stopped> {
        let Some(left) = self.depth_left.checked_sub(1) else {
            let message = format!(
                "more than {} lists and mappings within each other",
                self.limits.depth
            );
            return Err(self.stop(Finding::new(Code::NestedTooDeep, span, message)));
        };
        self.depth_left = left;
        let node = build(self);
        self.depth_left = self.depth_left.saturating_add(1);
        node
    }

    fn count(&mut self, span: Span) -> Result<(), Stopped> {
        let Some(left) = self.nodes_left.checked_sub(1) else {
            let message = format!("more than {} values in one file", self.limits.nodes);
            let finding = Finding::new(Code::TooManyValues, span, message);
            return Err(self
                .stop(finding.help("split the file: documents of one set may be in many files")));
        };
        self.nodes_left = left;
        Ok(())
    }

    pub(super) fn next(&mut self) -> Result<Spanned<'s>, Stopped> {
        self.events.next().map_err(|finding| {
            let source = self.source;
            let line = source.line_at(finding.span.start);
            // A parser that lost its way sees nulls before it notices.
            self.sink.retract(|one| {
                one.code == Code::Null
                    && one.span.file == finding.span.file
                    && source.line_at(one.span.start) == line
            });
            self.stop(finding)
        })
    }

    pub(super) fn stop(&mut self, finding: Finding) -> Stopped {
        self.sink.push(finding);
        Stopped
    }
}

/// The place of a collection: to its closing bracket, else to its last value.
pub(super) fn whole(start: Span, last: Option<Span>, end: Span) -> Span {
    if end.end > end.start {
        start.to(end)
    } else {
        start.to(last.unwrap_or(start))
    }
}

/// What the parser makes of a document in which there is nothing.
fn is_nothing(event: &Event<'_>) -> bool {
    matches!(event, Event::Scalar(text, ScalarStyle::Plain, 0, None) if text.is_empty())
}
