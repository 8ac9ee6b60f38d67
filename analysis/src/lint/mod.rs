//! Documents that are in order, and probably do not mean what their author thinks.
//!
//! ```text
//!  Specified ──┐
//!              ├─set──► rules with their places ──each lint──► Remarks ──suppress──► warnings
//!  Sources ────┘                                                   ▲
//!              └──comments: `# callgate: allow CG505 …`────────────┘
//! ```
//!
//! What a lint says is a warning: the set loads. One that is wrong about a line is told so
//! by a comment there, with a reason; a comment that holds back nothing is told too.

mod captures;
mod carved;
mod denied;
mod exceptions;
mod groups;
mod needless;
mod never;
mod placeholder;
mod seen;
mod set;
mod suppress;
mod ways;
mod width;

use callgate_policy::{
    Timestamp,
    document::{Code, Finding, Findings, Limits, Source, Span, Specified},
};

use set::Set;
use ways::Scope;

pub use seen::{Seen, SeenError};

/// What lints may be told from outside the documents.
#[derive(Clone, Debug)]
pub struct LintOptions {
    /// When: exceptions end.
    pub now: Timestamp,
    /// How long before its end an exception is warned of, in milliseconds.
    pub expiring_within: i64,
    /// Who was seen, where a log is given.
    pub seen: Option<Seen>,
    /// How much is read and told.
    pub limits: Limits,
}

impl LintOptions {
    /// Two weeks: a sprint, and somebody's holidays.
    pub const EXPIRING_WITHIN: i64 = 14 * 24 * 60 * 60 * 1_000;
}

impl Default for LintOptions {
    fn default() -> Self {
        Self {
            now: Timestamp::default(),
            expiring_within: Self::EXPIRING_WITHIN,
            seen: None,
            limits: Limits::default(),
        }
    }
}

/// What is probably not meant in the documents that `specified` was read from.
///
/// # Errors
/// What keeps the text of `sources` from being read. Nothing does in what could be
/// specified.
pub fn lint(
    sources: &[Source],
    specified: &Specified,
    options: &LintOptions,
) -> Result<Option<Findings>, Findings> {
    let set = Set::of(sources, specified, &options.limits)?;
    let mut remarks = Remarks::default();
    placeholder::check(&set, &mut remarks);
    groups::check(&set, &mut remarks);
    width::check(&set, &mut remarks);
    exceptions::check(&set, options, &mut remarks);
    seen::check(&set, specified, options.seen.as_ref(), &mut remarks);
    never::check_revoked(&set, specified, sources, options, &mut remarks);
    for scope in Scope::all(&set) {
        never::check(&scope, &mut remarks);
        denied::check(&scope, &mut remarks);
        needless::check(&scope, &mut remarks);
        carved::check(&scope, &mut remarks);
        captures::check(&scope, &mut remarks);
    }
    let found = suppress::apply(&set, sources, remarks);
    Ok(Findings::of(found, sources, options.limits.findings.max(1)))
}

/// What lints have to say.
#[derive(Debug, Default)]
struct Remarks {
    /// Warnings, those included that a comment holds back.
    found: Vec<Finding>,
    /// Where one would be found on another day: a comment there is not idle.
    dormant: Vec<(Code, Span)>,
    /// What was not looked for, because something it needs was not given.
    did_not_run: Vec<Code>,
}
