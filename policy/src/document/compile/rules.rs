//! Rules: what, and whether captures bind.

use super::{
    super::{
        finding::{Finding, Quoted},
        raw::{Rule, When, Written},
        yaml::quote,
    },
    Code, Compiler, Side,
};
use crate::{
    BindingError, Condition, ConditionFindingKind, Operation, PathOptions, PatternError,
    PatternErrorKind, check_captures,
    spec::{ExceptionSpec, RuleSpec, ToSpec, WhenSpec},
};

impl<'a> Compiler<'a, '_> {
    pub(super) fn rules(
        &mut self,
        rules: &'a [Rule<'a>],
        paths: PathOptions,
        side: Side,
    ) -> Vec<RuleSpec> {
        let rules = rules.iter();
        rules.map(|rule| self.rule(rule, paths, side)).collect()
    }

    fn rule(&mut self, rule: &'a Rule<'a>, paths: PathOptions, side: Side) -> RuleSpec {
        // Entries that are refused are left out here, so each keeps its place beside it.
        let from = rule
            .from
            .iter()
            .filter_map(|one| Some((self.caller(one)?, one)));
        let (from, from_written): (Vec<_>, Vec<_>) = from.unzip();
        let to = rule
            .to
            .iter()
            .filter_map(|one| Some((self.operation(one, paths)?, one)));
        let (to, to_written): (Vec<_>, Vec<_>) = to.unzip();
        let spec = RuleSpec {
            name: rule
                .name
                .as_ref()
                .map_or_else(String::new, |name| name.text.to_string()),
            line: self.line(rule.span),
            from,
            to,
            when: rule.when.as_ref().and_then(|when| self.when(when)),
            enforcement: rule.enforcement,
            exception: rule.exception.map(|exception| ExceptionSpec {
                line: self.line(exception.span),
                expires: exception.expires,
            }),
        };
        for (from, written) in spec.from.iter().zip(&from_written) {
            self.guard_from(written, &from.callers, side);
        }
        if side == Side::ServiceAllow
            && let Some(exception) = rule.exception
        {
            self.guard_exception(exception);
        }
        for error in check_captures(&spec).err().unwrap_or_default() {
            self.unbound(&error, rule, &from_written, &to_written);
        }
        spec
    }

    fn operation(&mut self, written: &Written<'_>, paths: PathOptions) -> Option<ToSpec> {
        match Operation::parse(&written.text, paths) {
            Ok(operation) => Some(ToSpec {
                line: self.line(written.span),
                text: written.text.to_string(),
                operation,
            }),
            Err(error) => {
                let finding = self.invalid_operation(written, &error);
                self.sink.push(finding);
                None
            }
        }
    }

    fn invalid_operation(&self, written: &Written<'_>, error: &PatternError) -> Finding {
        let message = format!("`{}` is not an operation: {error}", Quoted(&written.text));
        let place = written.part(self.sources, error.span());
        let finding = Finding::new(Code::InvalidOperation, place, message);
        if error.kind() == PatternErrorKind::NoPath
            && let Some(whole) = self.cut_by_commas(written)
        {
            return finding.help(format!(
                "in brackets a comma separates entries; quote the operation: `{}`",
                quote(whole)
            ));
        }
        match error.suggestion() {
            Some(meant) => finding.help(format!("did you mean `{}`?", Quoted(meant))),
            None => finding,
        }
    }

    /// The whole operation of which `[POST,PUT /orders]` makes two entries.
    fn cut_by_commas(&self, written: &Written<'_>) -> Option<&str> {
        let source = self.sources.get(written.span.file as usize)?;
        let rest = source.text().get(written.span.start as usize..)?;
        let line = rest.lines().next()?;
        let slash = line.find('/')?;
        let end = line.get(slash..)?.find([',', ']'])?.saturating_add(slash);
        let whole = line.get(..end)?;
        let methods = whole.get(..slash)?;
        let is_list = methods.contains(',')
            && methods
                .bytes()
                .all(|b| b.is_ascii_uppercase() || matches!(b, b',' | b' '));
        is_list.then(|| whole.trim_end())
    }

    /// A condition that is not in order is left out: its findings are told.
    fn when(&mut self, when: &When<'_>) -> Option<WhenSpec> {
        match Condition::parse(&when.written.text) {
            Ok(condition) => Some(WhenSpec {
                line: self.line(when.key),
                text: when.written.text.to_string(),
                condition,
            }),
            Err(findings) => {
                for finding in findings {
                    let place = when.written.folded_part(self.sources, finding.range);
                    let told = Finding::new(when_code(finding.kind), place, finding.message);
                    self.sink.push(match finding.help {
                        Some(help) => told.help(help),
                        None => told,
                    });
                }
                None
            }
        }
    }

    fn unbound(
        &mut self,
        error: &BindingError,
        rule: &Rule<'_>,
        from: &[&Written<'_>],
        to: &[&Written<'_>],
    ) {
        let span = |list: &[&Written<'_>], entry: usize| list.get(entry).map(|one| one.span);
        let (place, captured, help) = match error {
            BindingError::From {
                entry,
                captured_by,
                capture,
            } => (
                span(from, *entry),
                span(from, *captured_by),
                format!(
                    "capture `{{{capture}}}` in every entry of `from`, or make this a rule of its own"
                ),
            ),
            BindingError::To { entry, capture } => {
                let by = format!("{{{capture}}}");
                (
                    span(to, *entry),
                    from.iter()
                        .find(|one| one.text.contains(&by))
                        .map(|one| one.span),
                    format!("use `{by}` in every line of `to`, or write `*` in `from`"),
                )
            }
            BindingError::When {
                capture,
                range,
                line,
            } => {
                let written = rule.when.as_ref().map(|when| &when.written);
                let place = written.map(|one| one.folded_part(self.sources, range.clone()));
                (
                    place,
                    span(to, *line),
                    format!(
                        "capture `{{{capture}}}` in every line of `to`, or in every entry of `from`"
                    ),
                )
            }
            // Found, and told, where the group is defined.
            BindingError::Group { .. } => return,
        };
        let Some(place) = place else { return };
        let finding = Finding::new(Code::UnboundCapture, place, error.to_string()).help(help);
        self.sink.push(match captured {
            Some(captured) if matches!(error, BindingError::When { .. }) => {
                finding.related(captured, "not captured here")
            }
            Some(captured) => finding.related(captured, "captured here"),
            None => finding,
        });
    }
}

const fn when_code(kind: ConditionFindingKind) -> Code {
    match kind {
        ConditionFindingKind::Syntax => Code::WhenSyntax,
        ConditionFindingKind::Unknown => Code::WhenUnknown,
        ConditionFindingKind::Type => Code::WhenType,
        ConditionFindingKind::Header => Code::WhenHeader,
        ConditionFindingKind::Constant => Code::WhenConstant,
        ConditionFindingKind::TooCostly => Code::WhenTooCostly,
    }
}
