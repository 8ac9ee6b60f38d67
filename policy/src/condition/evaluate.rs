//! Working a condition out, as the CEL specification has it: what an error stands beside
//! may still settle `&&` and `||`.

use std::borrow::Cow;

use super::{
    ConditionFault as Fault, Scene,
    calendar::part_of_time,
    node::{Arithmetic, Macro, Node, Search},
    value::Value,
};

/// Bytes of a text that is put together.
const LONGEST_TEXT: usize = 16_384;

/// Characters of a text that an error repeats.
const TOLD: usize = 64;

type Result<T> = std::result::Result<T, Fault>;

/// The variables of macros, innermost first.
#[derive(Clone, Copy)]
struct Locals<'l, 'v> {
    value: &'l Value<'v>,
    outer: Option<&'l Locals<'l, 'v>>,
}

/// Works out a condition, whose result is a boolean.
pub(super) fn holds<'v>(node: &'v Node, scene: &Scene<'v>) -> Result<bool> {
    value(node, scene, None).map(|value| value.as_bool())
}

fn value<'v>(
    node: &'v Node,
    scene: &Scene<'v>,
    locals: Option<&Locals<'_, 'v>>,
) -> Result<Value<'v>> {
    let of = |node: &'v Node| value(node, scene, locals);
    let both = |[left, right]: &'v [Node; 2]| Ok((of(left)?, of(right)?));
    Ok(match node {
        Node::Bool(value) => Value::Bool(*value),
        Node::Int(value) => Value::Int(*value),
        Node::Text(text) => Value::Text(Cow::Borrowed(text)),
        Node::Time(millis) => Value::Time(*millis),
        Node::Duration(millis) => Value::Duration(*millis),
        Node::Field(field) => scene.field(*field),
        Node::Header(name) => scene.header(name)?,
        Node::HasHeader(name) => scene.has_header(name)?,
        Node::Query(name) => scene.query(name)?,
        Node::HasQuery(name) => scene.has_query(name)?,
        Node::Capture(name) => scene.capture(name),
        Node::Local(depth) => local(*depth, locals),
        Node::List(nodes) => Value::List(nodes.iter().map(of).collect::<Result<_>>()?),
        Node::Not(node) => Value::Bool(!of(node)?.as_bool()),
        Node::And(nodes) => Value::Bool(settle(false, nodes.iter().map(|node| bool_of(of(node))))?),
        Node::Or(nodes) => Value::Bool(settle(true, nodes.iter().map(|node| bool_of(of(node))))?),
        Node::If(nodes) => {
            let [condition, then, otherwise] = &**nodes;
            of(if of(condition)?.as_bool() {
                then
            } else {
                otherwise
            })?
        }
        Node::Compare(comparison, nodes) => {
            let (left, right) = both(nodes)?;
            Value::Bool(left.compare(*comparison, &right))
        }
        Node::In(nodes) => {
            let [element, list] = &**nodes;
            Value::Bool(is_in(&of(element)?, list, of)?)
        }
        Node::Index(nodes) => {
            let (list, index) = both(nodes)?;
            element(list.into_list(), index.as_int())?
        }
        Node::Arithmetic(operator, nodes) => {
            let (left, right) = both(nodes)?;
            calculate(*operator, &left, &right)?
        }
        Node::Negate(node) => Value::Int(of(node)?.as_int().checked_neg().ok_or(Fault::Overflow)?),
        Node::Size(node) => Value::Int(size(&of(node)?)),
        Node::Search(search, nodes) => {
            let (text, part) = both(nodes)?;
            Value::Bool(finds(*search, text.as_text(), part.as_text()))
        }
        Node::Matches(node, regex) => Value::Bool(regex.is_match(of(node)?.as_text())),
        Node::ToInt(node) => Value::Int(number(of(node)?.as_text())?),
        Node::ToText(node) => Value::Text(Cow::Owned(of(node)?.as_int().to_string())),
        Node::TimePart(part, node, offset) => {
            let millis = of(node)?.as_int().checked_add(*offset);
            Value::Int(part_of_time(*part, millis.ok_or(Fault::Overflow)?))
        }
        Node::Macro(kind, nodes) => {
            let [list, body] = &**nodes;
            let list = of(list)?.into_list();
            run(*kind, list, |element| {
                let inner = Locals {
                    value: element,
                    outer: locals,
                };
                bool_of(value(body, scene, Some(&inner)))
            })?
        }
    })
}

fn bool_of(value: Result<Value<'_>>) -> Result<bool> {
    value.map(|value| value.as_bool())
}

fn local<'v>(depth: usize, locals: Option<&Locals<'_, 'v>>) -> Value<'v> {
    let mut frame = locals;
    for _ in 0..depth {
        frame = frame.and_then(|frame| frame.outer);
    }
    frame.map_or(Value::Bool(false), |frame| frame.value.clone())
}

/// `&&` and `||` of any number of operands: one that is `settling` settles it whatever the
/// others are, errors included.
fn settle(settling: bool, operands: impl Iterator<Item = Result<bool>>) -> Result<bool> {
    let mut fault = None;
    for operand in operands {
        match operand {
            Ok(value) if value == settling => return Ok(settling),
            Ok(_) => {}
            Err(error) => {
                fault.get_or_insert(error);
            }
        }
    }
    fault.map_or(Ok(!settling), Err)
}

/// Makes no list of what is only compared.
fn is_in<'v>(
    wanted: &Value<'v>,
    list: &'v Node,
    of: impl Fn(&'v Node) -> Result<Value<'v>>,
) -> Result<bool> {
    let Node::List(nodes) = list else {
        return Ok(of(list)?.into_list().contains(wanted));
    };
    let mut found = false;
    for node in nodes {
        found |= of(node)? == *wanted;
    }
    Ok(found)
}

fn element(list: Vec<Value<'_>>, index: i64) -> Result<Value<'_>> {
    let len = list.len();
    let at = usize::try_from(index).ok();
    let element = at.and_then(|at| list.into_iter().nth(at));
    element.ok_or(Fault::NoSuchElement { index, len })
}

fn calculate<'v>(operator: Arithmetic, left: &Value<'v>, right: &Value<'v>) -> Result<Value<'v>> {
    if let (Value::Text(a), Value::Text(b)) = (left, right) {
        if a.len().saturating_add(b.len()) > LONGEST_TEXT {
            return Err(Fault::TextTooLong);
        }
        return Ok(Value::Text(Cow::Owned(format!("{a}{b}"))));
    }
    let (a, b) = (left.as_int(), right.as_int());
    let by_zero = b == 0;
    let number = match operator {
        Arithmetic::Add => a.checked_add(b),
        Arithmetic::Subtract => a.checked_sub(b),
        Arithmetic::Multiply => a.checked_mul(b),
        Arithmetic::Divide | Arithmetic::Remainder if by_zero => {
            return Err(Fault::DivisionByZero);
        }
        Arithmetic::Divide => a.checked_div(b),
        Arithmetic::Remainder => a.checked_rem(b),
    };
    let number = number.ok_or(Fault::Overflow)?;
    Ok(match (left, right) {
        (Value::Time(_), Value::Time(_)) => Value::Duration(number),
        (Value::Time(_), _) | (_, Value::Time(_)) => Value::Time(number),
        (Value::Duration(_), _) => Value::Duration(number),
        _ => Value::Int(number),
    })
}

/// Of a text, the number of its characters.
fn size(value: &Value<'_>) -> i64 {
    let size = match value {
        Value::Text(text) => text.chars().count(),
        Value::List(list) => list.len(),
        _ => 0,
    };
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn finds(search: Search, text: &str, part: &str) -> bool {
    match search {
        Search::Contains => text.contains(part),
        Search::StartsWith => text.starts_with(part),
        Search::EndsWith => text.ends_with(part),
    }
}

fn number(text: &str) -> Result<i64> {
    text.parse().map_err(|_| {
        Fault::NotANumber(
            text.chars()
                .take(TOLD)
                .flat_map(char::escape_debug)
                .collect(),
        )
    })
}

fn run<'v>(
    kind: Macro,
    list: Vec<Value<'v>>,
    test: impl Fn(&Value<'v>) -> Result<bool>,
) -> Result<Value<'v>> {
    let mut tested = list.iter().map(&test);
    Ok(Value::Bool(match kind {
        Macro::All => settle(false, tested)?,
        Macro::Exists => settle(true, tested)?,
        // Unlike the two above, every element has to have a result.
        Macro::ExistsOne => tested.try_fold(0, |n, one| Ok(n + i32::from(one?)))? == 1,
        Macro::Filter => {
            let kept = tested.collect::<Result<Vec<bool>>>()?;
            let kept = list.into_iter().zip(kept).filter(|(_, keep)| *keep);
            return Ok(Value::List(kept.map(|(value, _)| value).collect()));
        }
    }))
}
