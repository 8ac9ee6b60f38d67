//! Findings as SARIF 2.1.0 (OASIS), which code scanning takes.

use callgate_policy::document::{Code, Diagnostic, Place};
use serde_json::{Value, json};

pub(super) fn print(found: &[Diagnostic]) -> anyhow::Result<String> {
    let mut codes: Vec<Code> = found.iter().map(|one| one.code).collect();
    codes.sort();
    codes.dedup();
    let results: Vec<Value> = found.iter().map(|one| result(one, &codes)).collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "callgate",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": codes.iter().map(rule).collect::<Vec<_>>(),
            }},
            // Ours are characters, not the UTF-16 units of the default.
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    Ok(serde_json::to_string_pretty(&log)? + "\n")
}

fn rule(code: &Code) -> Value {
    json!({
        "id": code.as_str(),
        "fullDescription": {"text": code.meaning()},
        "defaultConfiguration": {"level": code.severity().as_str()},
    })
}

fn result(found: &Diagnostic, codes: &[Code]) -> Value {
    let mut message = found.message.clone();
    if let Some(help) = &found.help {
        message = format!("{message}\n{help}");
    }
    let related = found.related.iter().map(|(place, label)| {
        let mut location = location(place);
        if let Some(location) = location.as_object_mut() {
            location.insert("message".to_owned(), json!({"text": label}));
        }
        location
    });
    json!({
        "ruleId": found.code.as_str(),
        "ruleIndex": codes.binary_search(&found.code).ok(),
        "level": found.severity().as_str(),
        "message": {"text": message},
        "locations": [location(&found.place)],
        "relatedLocations": related.collect::<Vec<_>>(),
    })
}

fn location(place: &Place) -> Value {
    json!({"physicalLocation": {
        "artifactLocation": {"uri": uri(&place.file)},
        "region": {
            "startLine": place.start.line,
            "startColumn": place.start.column,
            "endLine": place.end.line,
            "endColumn": place.end.column,
        },
    }})
}

/// A path as a reference (RFC 3986): relative ones stay relative to where the command ran,
/// which in a pipeline is the repository.
fn uri(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let path = path.strip_prefix("./").unwrap_or(path);
    let mut uri = if path.starts_with('/') {
        "file://".to_owned()
    } else {
        String::new()
    };
    for byte in path.bytes() {
        if is_plain(byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_references() {
        assert_eq!(uri("./policies/a b.yaml"), "policies/a%20b.yaml");
        assert_eq!(uri("/etc/ü.yaml"), "file:///etc/%C3%BC.yaml");
        assert_eq!(uri("a:b%.yaml"), "a%3Ab%25.yaml");
    }
}
