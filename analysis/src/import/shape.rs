//! Sets of identities and of paths, as segments.
//!
//! One algebra for both: an identity is the segments of its trust domain and its path. It
//! holds exactly what Callgate's patterns can say of them, so that whatever comes out of it
//! can be written.

use std::fmt;

/// Identities or paths that agree with these segments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Shape {
    pub(super) segments: Vec<Segment>,
    pub(super) end: End,
}

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Segment {
    /// This text.
    Literal(String),
    /// This text and at least one character more.
    Begins(String),
    /// Any text.
    Any,
}

/// What follows the segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum End {
    /// Nothing.
    Here,
    /// A slash; identities never have one.
    Slash,
    /// Zero or more segments, and a slash or none.
    More,
}

impl Shape {
    /// Literal segments and nothing else.
    pub(super) fn exact<'t>(segments: impl IntoIterator<Item = &'t str>) -> Self {
        let literal = |text: &str| Segment::Literal(text.to_owned());
        Self {
            segments: segments.into_iter().map(literal).collect(),
            end: End::Here,
        }
    }

    /// The same segments with another end.
    pub(super) fn ending(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    /// With one more segment.
    pub(super) fn then(mut self, segment: Segment) -> Self {
        self.segments.push(segment);
        self
    }

    /// What both stand for.
    pub(super) fn meet(&self, other: &Self) -> Option<Self> {
        let (long, short) = if self.segments.len() >= other.segments.len() {
            (self, other)
        } else {
            (other, self)
        };
        let end = match (long.end, short.end) {
            (end, End::More) => end,
            _ if long.segments.len() > short.segments.len() => return None,
            (End::More, end) => end,
            (one, other) if one == other => one,
            _ => return None,
        };
        let mut segments = Vec::new();
        for (at, segment) in long.segments.iter().enumerate() {
            segments.push(match short.segments.get(at) {
                Some(other) => segment.meet(other)?,
                None => segment.clone(),
            });
        }
        Some(Self { segments, end })
    }

    /// Whether all that `other` stands for is in it.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.meet(other).as_ref() == Some(other)
    }
}

impl Segment {
    fn meet(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, segment) | (segment, Self::Any) => Some(segment.clone()),
            (Self::Literal(a), Self::Literal(b)) => (a == b).then(|| self.clone()),
            (Self::Literal(text), Self::Begins(with))
            | (Self::Begins(with), Self::Literal(text)) => {
                let fits = text.len() > with.len() && text.starts_with(with.as_str());
                fits.then(|| Self::Literal(text.clone()))
            }
            (Self::Begins(a), Self::Begins(b)) => {
                let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
                long.starts_with(short.as_str())
                    .then(|| Self::Begins(long.clone()))
            }
        }
    }
}

/// The intersection of two unions.
pub(super) fn meet(these: &[Shape], those: &[Shape]) -> Vec<Shape> {
    let pairs = these
        .iter()
        .flat_map(|this| those.iter().filter_map(|that| this.meet(that)));
    distinct(pairs)
}

/// The union of `these` without `those`; `None` if no list of shapes is exactly that.
pub(super) fn without(these: &[Shape], those: &[Shape]) -> Option<Vec<Shape>> {
    let mut kept = Vec::new();
    for this in these {
        if those.iter().any(|that| that.covers(this)) {
            continue;
        }
        if those.iter().any(|that| that.meet(this).is_some()) {
            return None;
        }
        kept.push(this.clone());
    }
    Some(kept)
}

/// A union without members that another one covers, in the given order.
pub(super) fn distinct(shapes: impl IntoIterator<Item = Shape>) -> Vec<Shape> {
    let mut kept: Vec<Shape> = Vec::new();
    for shape in shapes {
        if !kept.iter().any(|other| other.covers(&shape)) {
            kept.retain(|other| !shape.covers(other));
            kept.push(shape);
        }
    }
    kept
}

/// As Callgate writes paths. A part that is free needs a name.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = ["any", "more", "rest"].into_iter();
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::Begins(text) => {
                    write!(f, "/{text}{{{}}}", names.next().unwrap_or("other"))?;
                }
                Segment::Any => write!(f, "/{{{}}}", names.next().unwrap_or("other"))?,
            }
        }
        f.write_str(match self.end {
            End::Here => "",
            End::Slash => "/",
            End::More => "/**",
        })
    }
}
