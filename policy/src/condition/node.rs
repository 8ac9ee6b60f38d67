//! A condition, compiled: what is left to do when a request comes.

use regex::Regex;

/// An expression whose type was checked.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Bool(bool),
    Int(i64),
    Text(Box<str>),
    /// Milliseconds since the Unix epoch.
    Time(i64),
    /// Milliseconds.
    Duration(i64),
    Field(Field),
    Header(Box<str>),
    HasHeader(Box<str>),
    Query(Box<str>),
    HasQuery(Box<str>),
    Capture(Box<str>),
    /// The variable of a macro, counted from the outermost.
    Local(usize),
    List(Box<[Node]>),
    Not(Box<Node>),
    And(Box<[Node]>),
    Or(Box<[Node]>),
    /// Condition, then, else.
    If(Box<[Node; 3]>),
    Compare(Comparison, Box<[Node; 2]>),
    /// An element and a list.
    In(Box<[Node; 2]>),
    /// A list and a place.
    Index(Box<[Node; 2]>),
    Arithmetic(Arithmetic, Box<[Node; 2]>),
    Negate(Box<Node>),
    Size(Box<Node>),
    Search(Search, Box<[Node; 2]>),
    Matches(Box<Node>, Regex),
    ToInt(Box<Node>),
    ToText(Box<Node>),
    /// A part of a point in time, so many milliseconds east of UTC.
    TimePart(TimePart, Box<Node>, i64),
    Macro(Macro, Box<[Node; 2]>),
}

/// A part of the request that is always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Method,
    Path,
    Host,
    Time,
    SourceId,
    SourceTrustDomain,
    SourceSegments,
    DestinationId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Search {
    Contains,
    StartsWith,
    EndsWith,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimePart {
    Year,
    Month,
    DayOfYear,
    DayOfMonth,
    Date,
    DayOfWeek,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

/// A macro over the elements of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Macro {
    All,
    Exists,
    ExistsOne,
    Filter,
}

impl Node {
    /// What it is made of.
    pub(super) fn children(&self) -> &[Self] {
        match self {
            Self::Bool(_)
            | Self::Int(_)
            | Self::Text(_)
            | Self::Time(_)
            | Self::Duration(_)
            | Self::Field(_)
            | Self::Header(_)
            | Self::HasHeader(_)
            | Self::Query(_)
            | Self::HasQuery(_)
            | Self::Capture(_)
            | Self::Local(_) => &[],
            Self::List(nodes) | Self::And(nodes) | Self::Or(nodes) => nodes,
            Self::If(nodes) => &nodes[..],
            Self::Compare(_, nodes)
            | Self::In(nodes)
            | Self::Index(nodes)
            | Self::Arithmetic(_, nodes)
            | Self::Search(_, nodes)
            | Self::Macro(_, nodes) => &nodes[..],
            Self::Not(node)
            | Self::Negate(node)
            | Self::Size(node)
            | Self::Matches(node, _)
            | Self::ToInt(node)
            | Self::ToText(node)
            | Self::TimePart(_, node, _) => std::slice::from_ref(node),
        }
    }

    /// Visits it and all that it is made of, from left to right.
    pub(super) fn visit<'n>(&'n self, see: &mut impl FnMut(&'n Self)) {
        see(self);
        for child in self.children() {
            child.visit(see);
        }
    }

    /// Whether its value depends on the request.
    pub(super) fn reads(&self) -> bool {
        let mut reads = false;
        self.visit(&mut |node| {
            reads |= matches!(
                node,
                Self::Field(_)
                    | Self::Header(_)
                    | Self::HasHeader(_)
                    | Self::Query(_)
                    | Self::HasQuery(_)
                    | Self::Capture(_)
            );
        });
        reads
    }

    /// The steps that it takes at most.
    pub(super) fn cost(&self) -> u64 {
        let of_children = self.children().iter().map(Self::cost);
        let children = of_children.fold(0, u64::saturating_add);
        match self {
            Self::Matches(..) => children.saturating_add(16),
            Self::In(nodes) => {
                let [_, list] = &**nodes;
                children.saturating_add(list.longest())
            }
            Self::Macro(_, nodes) => {
                let [list, body] = &**nodes;
                let each = body.cost().saturating_add(1);
                let all = list.longest().saturating_mul(each);
                list.cost().saturating_add(all)
            }
            _ => children.saturating_add(1),
        }
    }

    /// Of a list: how many elements it has at most.
    fn longest(&self) -> u64 {
        /// An identity has 2,048 bytes, and a segment with its slash at least two.
        const SEGMENTS: u64 = 1_024;
        match self {
            Self::List(nodes) => nodes.len() as u64,
            Self::Macro(Macro::Filter, nodes) => {
                let [list, _] = &**nodes;
                list.longest()
            }
            Self::If(nodes) => {
                let [_, then, otherwise] = &**nodes;
                then.longest().max(otherwise.longest())
            }
            _ => SEGMENTS,
        }
    }
}

impl Field {
    /// Its name in conditions.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Method => "request.method",
            Self::Path => "request.path",
            Self::Host => "request.host",
            Self::Time => "request.time",
            Self::SourceId => "source.id",
            Self::SourceTrustDomain => "source.trustDomain",
            Self::SourceSegments => "source.segments",
            Self::DestinationId => "destination.id",
        }
    }
}
