//! Findings as a compiler shows them.

use std::ops::Range;

use annotate_snippets::{
    Annotation, AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet,
};

use super::{Diagnostic, Findings, Place, Severity, Source};

/// Bytes of one line that an excerpt shows. A longer line was not written by hand, and
/// a caret in the middle of it would help nobody.
const LONGEST_LINE: usize = 4_096;

/// Lines between two places that are still shown as one excerpt.
const NEAR: u32 = 200;

impl Findings {
    /// Every finding with file, line, column, excerpt, and what to do.
    ///
    /// `sources` are those that were loaded; without them there are no excerpts.
    /// `colour` adds ANSI escapes: a matter for a terminal.
    #[must_use]
    pub fn render(&self, sources: &[Source], colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let mut text = String::new();
        for diagnostic in self.diagnostics() {
            text.push_str(&renderer.render(&[group(diagnostic, sources)]));
            text.push_str("\n\n");
        }
        if self.omitted() > 0 {
            let more = format!("{} more findings are not shown", self.omitted());
            let title = self.level().primary_title(more);
            text.push_str(&renderer.render(&[Group::with_title(title)]));
            text.push_str("\n\n");
        }
        text
    }

    /// That of the worst which is kept.
    fn level(&self) -> Level<'static> {
        let severities = self.diagnostics().iter().map(Diagnostic::severity);
        severities.max().map_or(Level::ERROR, level)
    }
}

const fn level(severity: Severity) -> Level<'static> {
    match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    }
}

fn group<'a>(diagnostic: &'a Diagnostic, sources: &'a [Source]) -> Group<'a> {
    let title = level(diagnostic.severity())
        .primary_title(&diagnostic.message)
        .id(diagnostic.code.as_str());
    let group = Group::with_title(title).elements(excerpts(diagnostic, sources));
    match &diagnostic.help {
        Some(help) => group.element(Level::HELP.message(help)),
        None => group,
    }
}

/// The finding's own place with those beside it, then one excerpt for each other.
fn excerpts<'a>(diagnostic: &'a Diagnostic, sources: &'a [Source]) -> Vec<Element<'a>> {
    let (near, far): (Vec<_>, Vec<_>) = diagnostic
        .related
        .iter()
        .partition(|(place, _)| is_near(place, &diagnostic.place));
    let own = (
        &diagnostic.place,
        diagnostic.label.as_str(),
        AnnotationKind::Primary,
    );
    let context =
        |(place, label): &'a (Place, String)| (place, label.as_str(), AnnotationKind::Context);
    let mut first = vec![own];
    first.extend(near.into_iter().map(context));
    let mut elements = vec![excerpt(&first, sources)];
    elements.extend(far.into_iter().map(|one| excerpt(&[context(one)], sources)));
    elements
}

fn is_near(a: &Place, b: &Place) -> bool {
    a.span.file == b.span.file && a.start.line.abs_diff(b.start.line) <= NEAR
}

/// Places in one file, the most important first.
fn excerpt<'a>(
    places: &[(&'a Place, &'a str, AnnotationKind)],
    sources: &'a [Source],
) -> Element<'a> {
    let Some((first, ..)) = places.first() else {
        return Origin::path("").into();
    };
    let lines = places.iter().map(|(place, ..)| place.start.line);
    let range = lines.clone().min().unwrap_or(1)..lines.max().unwrap_or(1).saturating_add(1);
    let Some(window) = sources
        .get(first.span.file as usize)
        .and_then(|one| window(one, range))
    else {
        let origin = Origin::path(first.file.as_ref()).line(first.start.line as usize);
        return origin.char_column(first.start.column as usize).into();
    };
    let annotations = places
        .iter()
        .map(|(place, label, kind)| annotation(place, label, *kind, &window));
    Snippet::source(window.text)
        .path(first.file.as_ref())
        .line_start(window.first_line as usize)
        .annotations(annotations.collect::<Vec<_>>())
        .into()
}

/// Some whole lines of a source.
struct Window<'a> {
    text: &'a str,
    first_line: u32,
    /// The byte of the source at which `text` begins.
    start: usize,
}

/// The lines of `range`, unless one is too long to be shown.
fn window(source: &Source, range: Range<u32>) -> Option<Window<'_>> {
    let bytes = source.lines(range.clone())?;
    let text = source.text().get(bytes.clone())?;
    let readable = text.lines().all(|line| line.len() <= LONGEST_LINE);
    readable.then_some(Window {
        text,
        first_line: range.start,
        start: bytes.start,
    })
}

fn annotation<'a>(
    place: &Place,
    label: &'a str,
    kind: AnnotationKind,
    window: &Window<'_>,
) -> Annotation<'a> {
    let within = |at: u32| {
        (at as usize)
            .saturating_sub(window.start)
            .min(window.text.len())
    };
    let annotation = kind.span(within(place.span.start)..within(place.span.end));
    if label.is_empty() {
        annotation
    } else {
        annotation.label(label)
    }
}
