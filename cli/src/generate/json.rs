//! What was generated, for programs.

use std::collections::BTreeMap;

use callgate_analysis::{
    generate::{Documents, Generated, LeftOut},
    log::OddLines,
};
use serde_json::{Value, json};

pub(super) fn show(documents: &Documents, odd: &OddLines) -> serde_json::Result<String> {
    let empty = documents.empty.iter();
    let empty =
        empty.map(|(service, why)| json!({"service": service.as_str(), "leftOut": left_out(why)}));
    let text = serde_json::to_string_pretty(&json!({
        "documents": documents.documents.iter().map(document).collect::<Vec<_>>(),
        "empty": empty.collect::<Vec<_>>(),
        "elsewhere": documents.elsewhere,
        "beyond": documents.beyond,
        "oddLines": odd.count(),
    }))?;
    Ok(text + "\n")
}

fn document(document: &Generated) -> Value {
    json!({
        "service": document.service.as_str(),
        "calls": document.calls,
        "callers": document.callers,
        "rules": document.rules,
        "unproven": document.unproven,
        "leftOut": left_out(&document.left_out),
        "document": document.text,
    })
}

fn left_out(left_out: &BTreeMap<LeftOut, u64>) -> Vec<Value> {
    let left_out = left_out.iter();
    left_out
        .map(|(why, count)| json!({"why": why.to_string(), "count": count}))
        .collect()
}
