//! What an import tells beside the documents: what it could not translate, and why.

use std::collections::HashSet;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use callgate_policy::document::{Position, Source};

use super::document::Span;

/// Lines longer than this are not shown: an export without line breaks helps nobody.
const LONGEST_LINE: usize = 400;

/// One list of kinds: the enum, its names and what they mean cannot part ways.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal $severity:ident,)+) => {
        /// Why something is reported.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Kind {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Its name, such as `negative-match`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// What it means, for people: a line or a few.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii_start(),)+
                }
            }

            /// How grave it is.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self {
                    $(Self::$name => Severity::$severity,)+
                }
            }
        }
    };
}

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The input cannot be understood; nothing is written.
    Error,
    /// Something was not translated.
    Gap,
    /// Nothing was lost, but it should be known.
    Note,
}

kinds! {
    /// The document is not what the system takes, so nothing in it can be relied on.
    Unreadable = "unreadable" Error,
    /// An object of Kubernetes without a namespace, which `kubectl` would fill in.
    Namespace = "namespace" Error,
    /// Everything but something. Callgate has no negative matches: what a rule does not name,
    /// it does not allow.
    NegativeMatch = "negative-match" Gap,
    /// A regular expression.
    Regex = "regex" Gap,
    /// A wildcard that Callgate cannot write: an end of a path or a part of an identity.
    Wildcard = "wildcard" Gap,
    /// Callers whoever they are, perhaps without an identity. Callgate's rules name theirs.
    AnyCaller = "any-caller" Gap,
    /// An identity that is not a SPIFFE ID, or of a trust domain that is not known here.
    Identity = "identity" Gap,
    /// JSON Web Tokens. Callgate decides by the identity of the connection.
    Jwt = "jwt" Gap,
    /// IP addresses, which prove nothing about who calls.
    Address = "address" Gap,
    /// A port. A service is one identity, whatever its ports.
    Port = "port" Gap,
    /// The host of the request.
    Host = "host" Gap,
    /// A header or a query parameter that a condition cannot ask for in the same way.
    Header = "header" Gap,
    /// A path that no canonical request has, or that can be spelled in several ways.
    Path = "path" Gap,
    /// A method that a rule cannot name.
    Method = "method" Gap,
    /// Another condition on the connection or the request.
    Condition = "condition" Gap,
    /// Which services it is about is not told, or not told by their identities.
    Target = "target" Gap,
    /// The order of rules decides in a way that "deny first" cannot express.
    Precedence = "precedence" Gap,
    /// An action that is neither to allow nor to deny.
    Action = "action" Gap,
    /// The system lets in whoever nothing keeps out. Callgate keeps out whoever nothing
    /// lets in.
    Open = "open" Gap,
    /// Decides nothing, and was left out.
    WithoutEffect = "without-effect" Note,
    /// `GET` covers `HEAD` in Callgate.
    Head = "head" Note,
    /// A deny rule ignores one trailing slash.
    TrailingSlash = "trailing-slash" Note,
    /// Documents that are no policies.
    PassedOver = "passed-over" Note,
}

/// What could not be translated, or should be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Why.
    pub kind: Kind,
    /// What: lower-case, no full stop, the document's words in backticks.
    pub message: String,
    /// What became of it in the documents that were written; may be empty.
    pub effect: String,
    /// What to write instead; may be empty.
    pub instead: String,
    pub(super) span: Span,
}

/// Where a finding is. Lines and columns are counted from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place<'s> {
    /// The file, as it was named to the import.
    pub file: &'s str,
    /// The first character.
    pub start: Position,
    /// After the last character on the first line.
    pub end: Position,
}

/// Where readers put what they find.
#[derive(Debug, Default)]
pub(super) struct Report {
    findings: Vec<Finding>,
    seen: HashSet<(Span, Kind, String, String)>,
}

impl Finding {
    pub(super) fn new(kind: Kind, span: Span, message: impl Into<String>) -> Self {
        Self {
            kind,
            span,
            message: message.into(),
            effect: String::new(),
            instead: String::new(),
        }
    }

    /// Calls that the other system lets in because nothing keeps them out, as `message` says;
    /// an effect, if there is a more exact one, may follow.
    pub(super) fn open(span: Span, message: impl Into<String>) -> Self {
        Self::new(Kind::Open, span, message)
            .effect("everybody is kept out until some rule lets them in")
            .instead("add rules that allow what is to be let in")
    }

    pub(super) fn instead(mut self, instead: impl Into<String>) -> Self {
        self.instead = instead.into();
        self
    }

    pub(super) fn effect(mut self, effect: impl Into<String>) -> Self {
        self.effect = effect.into();
        self
    }

    /// Where it is, among the sources that were imported.
    #[must_use]
    pub fn place<'s>(&self, sources: &'s [Source]) -> Option<Place<'s>> {
        let source = sources.get(self.span.file)?;
        let end = self.end(source);
        let position = |at| source.position(u32::try_from(at).unwrap_or(u32::MAX));
        Some(Place {
            file: source.name(),
            start: position(self.span.start),
            end: position(end),
        })
    }

    /// One line: `gateway.yaml:9:5: gap[regex]: …`.
    #[must_use]
    pub fn line(&self, sources: &[Source]) -> String {
        let (severity, kind) = (self.kind.severity().as_str(), self.kind.as_str());
        let place = self.place(sources).map_or_else(String::new, |place| {
            format!(
                "{}:{}:{}: ",
                place.file, place.start.line, place.start.column
            )
        });
        format!("{place}{severity}[{kind}]: {}", self.message)
    }

    /// The end of the place, on its first line: a caret under a whole document tells
    /// nothing.
    fn end(&self, source: &Source) -> usize {
        let text = source.text().get(self.span.start..self.span.end);
        let line = text
            .and_then(|text| text.lines().next())
            .unwrap_or_default();
        self.span.start.saturating_add(line.trim_end().len())
    }

    fn group<'a>(&'a self, sources: &'a [Source]) -> Group<'a> {
        let level = match self.kind.severity() {
            Severity::Error => Level::ERROR,
            Severity::Gap => Level::WARNING.with_name("gap"),
            Severity::Note => Level::NOTE,
        };
        let title = level.primary_title(&self.message).id(self.kind.as_str());
        let mut group = Group::with_title(title);
        if let Some(source) = sources.get(self.span.file) {
            group = self.excerpt(group, source);
        }
        if !self.effect.is_empty() {
            group = group.element(Level::NOTE.with_name("effect").message(&self.effect));
        }
        if !self.instead.is_empty() {
            group = group.element(Level::HELP.with_name("instead").message(&self.instead));
        }
        group
    }

    fn excerpt<'a>(&self, group: Group<'a>, source: &'a Source) -> Group<'a> {
        let start = source.position(u32::try_from(self.span.start).unwrap_or(u32::MAX));
        let line = source.line(start.line).unwrap_or_default();
        if line.len() > LONGEST_LINE || line.trim().is_empty() {
            let origin = Origin::path(source.name()).line(start.line as usize);
            return group.element(origin.char_column(start.column as usize));
        }
        let before: usize = line
            .chars()
            .take(start.column as usize - 1)
            .map(char::len_utf8)
            .sum();
        // At least one character, or there is nothing to point at.
        let first = line.get(before..).and_then(|rest| rest.chars().next());
        let length = self.end(source).saturating_sub(self.span.start);
        let length = length.max(first.map_or(0, char::len_utf8));
        let end = before.saturating_add(length).min(line.len());
        group.element(
            Snippet::source(line)
                .path(source.name())
                .line_start(start.line as usize)
                .annotation(AnnotationKind::Primary.span(before..end.max(before))),
        )
    }
}

impl Severity {
    /// Its name: `error`, `gap` or `note`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Gap => "gap",
            Self::Note => "note",
        }
    }
}

impl Report {
    /// Adds a finding, once.
    pub(super) fn push(&mut self, finding: Finding) {
        let key = (
            finding.span,
            finding.kind,
            finding.message.clone(),
            finding.effect.clone(),
        );
        if self.seen.insert(key) {
            self.findings.push(finding);
        }
    }

    /// Whether something could not be understood.
    pub(super) fn is_unreadable(&self) -> bool {
        let unreadable = |finding: &Finding| finding.kind.severity() == Severity::Error;
        self.findings.iter().any(unreadable)
    }

    /// What could not be understood, alone: the rest may be wrong because of it.
    pub(super) fn into_errors(mut self) -> Vec<Finding> {
        self.findings
            .retain(|finding| finding.kind.severity() == Severity::Error);
        self.into_findings()
    }

    /// The gravest first, then by place.
    pub(super) fn into_findings(mut self) -> Vec<Finding> {
        let order = |finding: &Finding| (finding.kind.severity(), finding.span, finding.kind);
        self.findings.sort_by_key(order);
        self.findings
    }
}

/// The findings with their lines, for people. `colour` adds ANSI escapes.
#[must_use]
pub fn render(findings: &[Finding], sources: &[Source], colour: bool) -> String {
    let renderer = if colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut text = String::new();
    for finding in findings {
        text.push_str(&renderer.render(&[finding.group(sources)]));
        text.push_str("\n\n");
    }
    text
}
