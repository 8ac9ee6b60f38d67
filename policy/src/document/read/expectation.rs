//! `expect`: what a call of a test must come to.

use super::{
    super::{
        Code,
        finding::{Finding, Quoted, Sink},
        raw::Expect,
        source::Span,
        suggest::one_of,
        yaml::{Entry, Node},
    },
    Fields, Shape, What,
    rules::name,
    values::{unquoted, word},
};
use crate::{Reason, Verdict};

pub(super) const SHAPE: Shape = Shape {
    name: "`expect`",
    known: &["verdict", "reason", "rule", "enforced"],
    required: &["verdict"],
};

/// What a call of a test can come to: its caller is verified, and somebody decides.
const REASONS: [Reason; 7] = [
    Reason::Allow,
    Reason::NoRule,
    Reason::DenyRule,
    Reason::NoPolicy,
    Reason::ExceptionExpired,
    Reason::PathAmbiguous,
    Reason::IdentityUntrusted,
];

/// Reads `expect` of a case.
pub(super) fn read(entry: Entry<'_>, sink: &mut Sink) -> Option<Expect> {
    let verdicts = [("Allow", Verdict::Allow), ("Deny", Verdict::Deny)];
    let booleans = [("true", true), ("false", false)];
    let what = What::Field("expect");
    let mut fields = Fields::open(entry.value, what, &SHAPE, sink)?;
    let verdict = fields.take("verdict");
    let verdict = verdict.and_then(|entry| word(entry.value, "verdict", &verdicts, sink));
    let reason = fields.take("reason").and_then(|entry| {
        let span = entry.value.span;
        Some((reason(entry.value, sink)?, span))
    });
    let rule = fields.take("rule").and_then(|entry| {
        let span = entry.value.span;
        Some((name(entry.value, sink)?.text.into_owned(), span))
    });
    let enforced = fields.take("enforced").and_then(|entry| {
        let span = entry.value.span;
        let written = unquoted(entry.value, What::Field("enforced"), sink)?;
        let found = booleans.iter().find(|(word, _)| *word == written.text);
        if found.is_none() {
            let message = format!("`enforced` cannot be `{}`", Quoted(&written.text));
            let finding = Finding::new(Code::UnknownValue, span, message);
            sink.push(finding.help(format!("it is {}", one_of(&["true", "false"]))));
        }
        found.map(|(_, value)| (*value, span))
    });
    let expect = Expected {
        verdict: verdict?,
        reason,
        rule,
        enforced,
    };
    expect.refuse_impossible(sink);
    Some(Expect {
        span: entry.key_span,
        verdict: expect.verdict,
        reason: expect.reason.map(|(reason, _)| reason),
        rule: expect.rule.map(|(rule, _)| rule),
        enforced: expect.enforced.map(|(enforced, _)| enforced),
    })
}

fn reason(node: Node<'_>, sink: &mut Sink) -> Option<Reason> {
    let span = node.span;
    let words = Reason::ALL.map(|reason| (reason.as_str(), reason));
    let reason = word(node, "reason", &words, sink)?;
    if REASONS.contains(&reason) {
        return Some(reason);
    }
    let message = format!("no test comes to `{reason}`");
    let finding = Finding::new(Code::ImpossibleExpectation, span, message);
    sink.push(finding.help(format!(
        "the callers of a test are verified and not revoked, and somebody decides: the reason is {}",
        one_of(&REASONS.map(Reason::as_str))
    )));
    None
}

/// `expect`, with the places of its parts.
struct Expected {
    verdict: Verdict,
    reason: Option<(Reason, Span)>,
    rule: Option<(String, Span)>,
    enforced: Option<(bool, Span)>,
}

impl Expected {
    /// Such a case would fail whatever the policies say.
    fn refuse_impossible(&self, sink: &mut Sink) {
        let mut refuse = |span, message: String| {
            sink.push(Finding::new(Code::ImpossibleExpectation, span, message));
        };
        let reason = self.reason.map(|(reason, _)| reason);
        if let Some((reason, span)) = self.reason
            && (reason == Reason::Allow) != (self.verdict == Verdict::Allow)
        {
            let verdict = match self.verdict {
                Verdict::Allow => "Allow",
                Verdict::Deny => "Deny",
            };
            refuse(span, format!("`{verdict}` never has the reason `{reason}`"));
        } else if let (Some((_, span)), Some(reason)) = (&self.rule, reason)
            && !matches!(
                reason,
                Reason::Allow | Reason::DenyRule | Reason::ExceptionExpired
            )
        {
            refuse(*span, format!("no rule decides a `{reason}`"));
        }
        if let (Verdict::Allow, Some((false, span))) = (self.verdict, self.enforced) {
            refuse(span, "only refusals go unenforced".to_owned());
        }
    }
}
