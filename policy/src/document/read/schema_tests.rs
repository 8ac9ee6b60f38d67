//! `docs/schema.json` is for editors: it knows the fields that are read, and no others.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    Shape, exception, expectation, group, guardrails, mesh, metadata, policy_test, revocation,
    rules, service, trust,
};

const SCHEMA: &str = include_str!("../../../../docs/schema.json");

#[test]
fn every_mapping_has_its_fields_in_the_schema() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let cases: [(&str, &Shape); 17] = [
        ("", &super::SHAPE),
        ("metadata", &metadata::SHAPE),
        ("servicePolicy", &service::SHAPE),
        ("paths", &service::PATHS),
        ("allowRule", &rules::SHAPE),
        ("denyRule", &rules::SHAPE),
        ("exception", &exception::SHAPE),
        ("callerGroup", &group::SHAPE),
        ("meshPolicy", &mesh::SHAPE),
        ("alias", &trust::ALIAS),
        ("gateway", &trust::GATEWAY),
        ("forwarder", &trust::FORWARDER),
        ("guardrails", &guardrails::SHAPE),
        ("author", &guardrails::AUTHOR),
        ("revocation", &revocation::SHAPE),
        ("policyTest", &policy_test::SHAPE),
        ("testCase", &policy_test::CASE),
    ];
    let expectation = ("expectation", &expectation::SHAPE);
    for (name, shape) in cases.into_iter().chain([expectation]) {
        let object = match name {
            "" => &schema,
            name => &schema["$defs"][name],
        };
        let Some(properties) = object["properties"].as_object() else {
            panic!("the schema lacks `{name}`");
        };
        let mut known: BTreeSet<&str> = shape.known.iter().copied().collect();
        if name == "denyRule" {
            known.remove("exception");
        }
        let listed: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
        assert_eq!(listed, known, "{name}");
        assert_eq!(object["additionalProperties"], false, "{name}");
        let required = object["required"].as_array();
        let required: Vec<&str> = required
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        for field in shape.required {
            assert!(
                required.contains(field),
                "{name}: `{field}` is not required"
            );
        }
        for (field, value) in properties {
            let is_described = value["description"].is_string()
                || value["$ref"].is_string()
                || value["oneOf"].is_array();
            assert!(is_described, "{name}: nothing is said of `{field}`");
        }
    }
}
