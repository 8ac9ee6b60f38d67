//! From an expression to what is worked out for each request: every name is known, and
//! every value has a type that fits.

mod call;
mod field;
mod literal;
mod operator;

use std::ops::Range;

use super::{
    ConditionFinding as Finding, ConditionFindingKind as Kind,
    node::Node,
    syntax::{Expr, ExprKind, too_costly},
    types::Type,
};

/// Steps of one condition. A step takes some 20 ns, so the worst condition stays within
/// half a millisecond; one that compares a few headers has ten.
const MOST_STEPS: u64 = 20_000;

/// Checks an expression that is to be a condition.
pub(super) fn check(expression: &Expr) -> Result<Checked, Vec<Finding>> {
    let mut checker = Checker::default();
    let checked = checker.parts(expression);
    if checker.findings.is_empty() {
        checker.bound(expression, &checked);
    }
    match checker.findings.is_empty() {
        true => Ok(Checked {
            parts: checked,
            captures: checker.captures,
        }),
        false => Err(checker.findings),
    }
}

/// A condition in order.
pub(super) struct Checked {
    /// What has to hold, each with its place in the text.
    pub(super) parts: Vec<(Node, Range<usize>)>,
    /// Every capture that it reads, and where first.
    pub(super) captures: Vec<(String, Range<usize>)>,
}

/// A node and its type; nothing if a finding was made of it.
type Typed = Option<(Node, Type)>;

#[derive(Default)]
struct Checker {
    findings: Vec<Finding>,
    captures: Vec<(String, Range<usize>)>,
    /// The variables of the macros around, outermost first.
    locals: Vec<(String, Type)>,
}

impl Checker {
    /// The operands of `&&` apart, because people ask which of them it was.
    fn parts(&mut self, expression: &Expr) -> Vec<(Node, Range<usize>)> {
        let parts = match &expression.kind {
            ExprKind::Logic("&&", operands) => operands.as_slice(),
            _ => std::slice::from_ref(expression),
        };
        let mut checked = Vec::with_capacity(parts.len());
        for part in parts {
            if let Some((node, of)) = self.expression(part) {
                if of != Type::Bool {
                    self.not_boolean(part, &of);
                }
                checked.push((node, part.range.clone()));
            }
        }
        checked
    }

    fn not_boolean(&mut self, part: &Expr, of: &Type) {
        let message = format!("a condition is true or false, but this is {of}");
        let finding = Finding::new(Kind::Type, part.range.clone(), message);
        self.findings.push(match of {
            Type::Text => finding.help("compare it with something: `… == \"value\"`"),
            _ => finding,
        });
    }

    fn bound(&mut self, expression: &Expr, parts: &[(Node, Range<usize>)]) {
        let steps = parts.iter().map(|(node, _)| node.cost());
        let steps = steps.fold(0, u64::saturating_add);
        if steps > MOST_STEPS {
            let message =
                format!("the condition may take {steps} steps; {MOST_STEPS} are the most");
            self.findings
                .push(too_costly(expression.range.clone(), message));
        }
        for (node, range) in parts {
            if !node.reads() {
                let message = "this reads nothing of the request, so it is always the same";
                self.findings
                    .push(Finding::new(Kind::Constant, range.clone(), message));
            }
        }
    }

    fn expression(&mut self, expression: &Expr) -> Typed {
        match &expression.kind {
            ExprKind::Name(name) => self.name(name, &expression.range),
            ExprKind::Bool(value) => Some((Node::Bool(*value), Type::Bool)),
            ExprKind::Int(value) => Some((Node::Int(*value), Type::Int)),
            ExprKind::Text(text) => Some((Node::Text(text.as_str().into()), Type::Text)),
            ExprKind::Foreign(what) => self.foreign(what, &expression.range),
            ExprKind::List(elements) => self.list(elements),
            ExprKind::Select(operand, name) => self.select(operand, name, &expression.range),
            ExprKind::Index(parts) => {
                let [operand, key] = &**parts;
                self.index(operand, key)
            }
            ExprKind::Call {
                target,
                function,
                arguments,
            } => self.call(target.as_deref(), function, arguments),
            ExprKind::Unary(sign, operand) => self.unary(sign, operand),
            ExprKind::Binary(sign, operands) => self.binary(sign, operands),
            ExprKind::Logic(sign, operands) => self.logic(sign, operands),
            ExprKind::If(parts) => self.choice(parts),
        }
    }

    /// An expression of the type `wanted`; `what` says of whom it is.
    fn typed(&mut self, expression: &Expr, wanted: &Type, what: &str) -> Option<Node> {
        let (node, of) = self.expression(expression)?;
        if of == *wanted {
            return Some(node);
        }
        let message = format!("{what} takes {wanted}, but this is {of}");
        let finding = Finding::new(Kind::Type, expression.range.clone(), message);
        self.findings.push(match (wanted, &of) {
            (Type::Int, Type::Text) => finding.help("`int(…)` makes a number of a text"),
            (Type::Text, Type::Int) => finding.help("`string(…)` makes a text of a number"),
            _ => finding,
        });
        None
    }

    fn refuse<T>(&mut self, finding: Finding) -> Option<T> {
        self.findings.push(finding);
        None
    }

    fn unknown<T>(
        &mut self,
        range: &Range<usize>,
        message: String,
        help: Option<String>,
    ) -> Option<T> {
        let finding = Finding::new(Kind::Unknown, range.clone(), message);
        self.refuse(match help {
            Some(help) => finding.help(help),
            None => finding,
        })
    }

    fn foreign(&mut self, what: &str, range: &Range<usize>) -> Typed {
        let message = format!("conditions have no values such as {what}");
        let finding = Finding::new(Kind::Type, range.clone(), message);
        self.refuse(match what {
            "null" => finding.help("what is absent reads as \"\"; `\"x-name\" in request.headers` says whether a header is there"),
            "a uint" | "a double" => finding.help("write a whole number"),
            _ => finding.help("write a text"),
        })
    }
}
