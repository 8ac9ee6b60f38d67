//! `CallerGroup`: callers under one name.

use super::{
    super::{
        finding::Sink,
        raw::{Group, Written},
        yaml::Node,
    },
    Fields, Shape, What,
    service::OWNER_CHARACTERS,
    values::{prose, texts},
};

pub(super) const SHAPE: Shape = Shape {
    name: "a `CallerGroup`",
    known: &["owner", "members"],
    required: &["members"],
};

/// Reads `spec`.
pub(super) fn read<'s>(name: Option<Written<'s>>, spec: Node<'s>, sink: &mut Sink) -> Group<'s> {
    let what = What::Field("spec");
    let mut members = Vec::new();
    if let Some(mut fields) = Fields::open(spec, what, &SHAPE, sink) {
        if let Some(entry) = fields.take("owner") {
            prose(entry.value, What::Field("owner"), OWNER_CHARACTERS, sink);
        }
        if let Some(entry) = fields.take("members") {
            members = texts(entry.value, "members", sink);
        }
    }
    Group { name, members }
}
