//! How a condition fared, in words.

use super::{
    Account, Input, InputPart, Scene,
    calendar::part_of_time,
    compiled::Part,
    evaluate,
    node::{Field, Node, TimePart},
    value::Value,
};
use crate::{Timestamp, nearest::told};

/// Parts of the request that are told; who wants more reads the record.
const TOLD: usize = 4;

/// Tells of the first part that does not hold, or else of all.
pub(super) fn tell(parts: &[Part], scene: &Scene<'_>) -> Account {
    let mut failed = None;
    for part in parts {
        match evaluate::holds(&part.node, scene) {
            Ok(true) => {}
            Ok(false) => {
                failed = Some((part, None));
                break;
            }
            Err(fault) => {
                failed.get_or_insert((part, Some(fault)));
            }
        }
    }
    match failed {
        Some((part, fault)) => Account {
            passed: false,
            expected: part.text.to_string(),
            actual: match fault {
                Some(fault) => format!("it has no result: {fault}"),
                None => seen(std::slice::from_ref(part), scene),
            },
        },
        None => Account {
            passed: true,
            expected: parts
                .iter()
                .map(|part| &*part.text)
                .collect::<Vec<_>>()
                .join(" && "),
            actual: seen(parts, scene),
        },
    }
}

/// What there is of what the parts read.
fn seen(parts: &[Part], scene: &Scene<'_>) -> String {
    let mut words: Vec<String> = Vec::new();
    for part in parts {
        part.node.visit(&mut |node| {
            let word = word(node, scene);
            words.extend(word.filter(|word| !words.contains(word)));
        });
    }
    let more = words.len().saturating_sub(TOLD);
    words.truncate(TOLD);
    match more {
        0 => words.join(", "),
        more => format!("{} and {more} more", words.join(", ")),
    }
}

fn word(node: &Node, scene: &Scene<'_>) -> Option<String> {
    Some(match node {
        Node::Header(name) | Node::HasHeader(name) => {
            input(InputPart::Header, name, scene.header(name).ok(), scene)
        }
        Node::Query(name) | Node::HasQuery(name) => {
            input(InputPart::Query, name, scene.query(name).ok(), scene)
        }
        Node::Capture(name) => {
            format!(
                "captures.{name} is \"{}\"",
                told(scene.capture(name).as_text())
            )
        }
        Node::Field(Field::Time) => {
            let day = part_of_time(TimePart::DayOfWeek, scene.now.as_millis());
            format!("request.time is {}, a {}", scene.now, weekday(day))
        }
        Node::Field(field) => format!("{} is {}", field.name(), shown(&scene.field(*field))),
        _ => return None,
    })
}

/// Of a header or a parameter, whether it is there and what it is.
fn input(part: InputPart, name: &str, value: Option<Value<'_>>, scene: &Scene<'_>) -> String {
    let inputs = scene.notes.inputs.borrow();
    match (inputs.found(part, name), value) {
        (Some(Input::Unreadable(why)), _) => format!("{part} {name} {why}"),
        (Some(Input::Text(_)), Some(value)) => {
            format!("{part} {name} is \"{}\"", told(value.as_text()))
        }
        _ => format!("{part} {name} is absent"),
    }
}

fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Text(text) => told(text),
        Value::List(list) => {
            let texts: Vec<String> = list.iter().map(|one| told(one.as_text())).collect();
            format!("[{}]", texts.join(", "))
        }
        Value::Time(millis) => Timestamp::from_millis(*millis).to_string(),
        Value::Int(number) | Value::Duration(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
    }
}

const fn weekday(day: i64) -> &'static str {
    match day {
        0 => "Sunday",
        1 => "Monday",
        2 => "Tuesday",
        3 => "Wednesday",
        4 => "Thursday",
        5 => "Friday",
        _ => "Saturday",
    }
}
