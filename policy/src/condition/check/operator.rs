//! Operators and the types that they take.

use super::{
    super::{
        ConditionFinding as Finding, ConditionFindingKind as Kind,
        node::{Arithmetic, Comparison, Node},
        syntax::{Expr, ExprKind, Sign},
        types::Type,
    },
    Checker, Typed,
};

impl Checker {
    pub(super) fn logic(&mut self, sign: &str, operands: &[Expr]) -> Typed {
        let what = format!("`{sign}`");
        let nodes: Vec<Option<Node>> = operands
            .iter()
            .map(|operand| self.typed(operand, &Type::Bool, &what))
            .collect();
        let nodes = nodes.into_iter().collect::<Option<Box<[Node]>>>()?;
        let node = match sign {
            "&&" => Node::And(nodes),
            _ => Node::Or(nodes),
        };
        Some((node, Type::Bool))
    }

    pub(super) fn unary(&mut self, sign: &str, operand: &Expr) -> Typed {
        match sign {
            "!" => {
                let node = self.typed(operand, &Type::Bool, "`!`")?;
                Some((Node::Not(Box::new(node)), Type::Bool))
            }
            _ => {
                let node = self.typed(operand, &Type::Int, "`-`")?;
                Some((Node::Negate(Box::new(node)), Type::Int))
            }
        }
    }

    pub(super) fn choice(&mut self, parts: &[Expr; 3]) -> Typed {
        let [condition, then, otherwise] = parts;
        let sides = then.range.start..otherwise.range.end;
        let condition = self.typed(condition, &Type::Bool, "`?`");
        let (then, otherwise) = (self.expression(then), self.expression(otherwise));
        let (condition, (then, of), (otherwise, other)) = (condition?, then?, otherwise?);
        if !of.goes_with(&other) {
            let message = format!("one side of `:` is {of}, the other is {other}");
            return self.refuse(Finding::new(Kind::Type, sides, message));
        }
        Some((Node::If(Box::new([condition, then, otherwise])), of))
    }

    pub(super) fn list(&mut self, elements: &[Expr]) -> Typed {
        let mut nodes = Vec::with_capacity(elements.len());
        let mut of = Type::Nothing;
        for element in elements {
            let (node, other) = self.expression(element)?;
            if !of.goes_with(&other) {
                let message = format!("a list is of one type: after {of}, this is {other}");
                return self.refuse(Finding::new(Kind::Type, element.range.clone(), message));
            }
            if of == Type::Nothing {
                of = other;
            }
            nodes.push(node);
        }
        Some((Node::List(nodes.into()), Type::list(of)))
    }

    pub(super) fn binary(&mut self, sign: &Sign, operands: &[Expr; 2]) -> Typed {
        let [left, right] = operands;
        if sign.text == "in" {
            return self.membership(left, right);
        }
        if sign.text == "-" && self.hyphenated(left, right) {
            return None;
        }
        let (left_typed, right_typed) = (self.expression(left), self.expression(right));
        let ((a, of), (b, other)) = (left_typed?, right_typed?);
        match comparison(sign.text) {
            Some(comparison) => {
                let fits = of.goes_with(&other)
                    && (matches!(comparison, Comparison::Equal | Comparison::NotEqual)
                        || (of.is_ordered() && other.is_ordered()));
                if !fits {
                    return self.cannot_compare(sign, &of, &other, operands);
                }
                self.never_compared(&a, &b, left, right);
                Some((Node::Compare(comparison, Box::new([a, b])), Type::Bool))
            }
            None => match result(sign.text, &of, &other) {
                Some((operator, result)) => {
                    Some((Node::Arithmetic(operator, Box::new([a, b])), result))
                }
                None => {
                    let message =
                        format!("`{}` has no meaning between {of} and {other}", sign.text);
                    self.refuse(Finding::new(Kind::Type, sign.range.clone(), message))
                }
            },
        }
    }

    /// `request.headers.x-tenant` is a subtraction to CEL.
    fn hyphenated(&mut self, left: &Expr, right: &Expr) -> bool {
        let ExprKind::Select(operand, name) = &left.kind else {
            return false;
        };
        if self.map(operand).is_none() || left.range.end + 1 != right.range.start {
            return false;
        }
        let ExprKind::Name(rest) = &right.kind else {
            return false;
        };
        let range = name.range.start..right.range.end;
        let message = format!("`{}-{rest}` reads as a subtraction", name.text);
        let finding = Finding::new(Kind::Unknown, range, message);
        self.findings.push(finding.help(format!(
            "write `[\"{}-{rest}\"]` instead of `.{0}-{rest}`",
            name.text
        )));
        true
    }

    fn cannot_compare(
        &mut self,
        sign: &Sign,
        of: &Type,
        other: &Type,
        operands: &[Expr; 2],
    ) -> Typed {
        let message = match of.goes_with(other) {
            true => format!("`{}` has no meaning between {of} and {other}", sign.text),
            false => format!("`{}` between {of} and {other} can never hold", sign.text),
        };
        let [left, right] = operands;
        let range = left.range.start..right.range.end;
        let finding = Finding::new(Kind::Type, range, message);
        self.refuse(match (of, other) {
            (Type::Text, Type::Int) | (Type::Int, Type::Text) => match sign.text {
                "==" | "!=" => finding
                    .help("put the number in quotes: headers, parameters and captures are texts"),
                _ => finding.help("`int(…)` makes a number of a text"),
            },
            (Type::Time, Type::Text) | (Type::Text, Type::Time) => {
                finding.help("write the time as `timestamp(\"2027-01-01T00:00:00Z\")`")
            }
            (Type::Text, Type::Bool) | (Type::Bool, Type::Text) => finding.help(
                "put `true` or `false` in quotes: headers, parameters and captures are texts",
            ),
            _ => finding,
        })
    }

    fn never_compared(&mut self, a: &Node, b: &Node, left: &Expr, right: &Expr) {
        if let Node::Text(text) = b {
            self.never_equal(a, text, &right.range);
        }
        if let Node::Text(text) = a {
            self.never_equal(b, text, &left.range);
        }
    }

    /// `element in list`, `"name" in map`.
    fn membership(&mut self, left: &Expr, right: &Expr) -> Typed {
        if let Some(map) = self.map(right) {
            let name = self.literal_name(left)?;
            return self.presence(map, &name, &left.range);
        }
        let (element, list) = (self.expression(left), self.expression(right));
        let ((element, of), (list, of_list)) = (element?, list?);
        let Type::List(elements) = &of_list else {
            let message = format!("`in` takes a list, but this is {of_list}");
            let finding = Finding::new(Kind::Type, right.range.clone(), message);
            return self.refuse(match of_list {
                Type::Text => finding.help("`text.contains(\"part\")` looks for a part of a text"),
                _ => finding,
            });
        };
        if !of.goes_with(elements) {
            let message = format!("{of} is never in a list whose elements are each {elements}");
            let range = left.range.start..right.range.end;
            return self.refuse(Finding::new(Kind::Type, range, message));
        }
        if let (Node::List(nodes), ExprKind::List(written)) = (&list, &right.kind) {
            for (node, written) in nodes.iter().zip(written) {
                if let Node::Text(text) = node {
                    self.never_equal(&element, text, &written.range);
                }
            }
            if nodes.is_empty() {
                let finding = Finding::new(
                    Kind::Constant,
                    right.range.clone(),
                    "nothing is in an empty list",
                );
                return self.refuse(finding);
            }
        }
        Some((Node::In(Box::new([element, list])), Type::Bool))
    }
}

fn comparison(sign: &str) -> Option<Comparison> {
    Some(match sign {
        "==" => Comparison::Equal,
        "!=" => Comparison::NotEqual,
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        ">" => Comparison::Greater,
        ">=" => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

/// The operator and the type of its result.
fn result(sign: &str, left: &Type, right: &Type) -> Option<(Arithmetic, Type)> {
    use Type::{Duration, Int, Text, Time};
    let operator = match sign {
        "+" => Arithmetic::Add,
        "-" => Arithmetic::Subtract,
        "*" => Arithmetic::Multiply,
        "/" => Arithmetic::Divide,
        _ => Arithmetic::Remainder,
    };
    let of = match (operator, left, right) {
        (_, Int, Int) => Int,
        (Arithmetic::Add, Text, Text) => Text,
        (Arithmetic::Add, Time, Duration) | (Arithmetic::Add, Duration, Time) => Time,
        (Arithmetic::Subtract, Time, Duration) => Time,
        (Arithmetic::Subtract, Time, Time) => Duration,
        (Arithmetic::Add | Arithmetic::Subtract, Duration, Duration) => Duration,
        _ => return None,
    };
    Some((operator, of))
}
