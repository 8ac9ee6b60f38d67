//! The configurations as texts: what an operator reads must be what is there.

use std::{collections::BTreeSet, fs};

use callgate_tests::{
    Host,
    envoy::{Template, config_path},
};
use callgate_wire::headers;
use serde_json::Value;

const FILES: [&str; 9] = [
    "sidecar.yaml",
    "native-ext-authz.yaml",
    "client.yaml",
    "gateway.yaml",
    "probes.yaml",
    "agent.yaml",
    "svid.yaml",
    "bundle.yaml",
    "bundle-optional.yaml",
];

/// Where the gate is in both variants.
const FILTERS: &str =
    "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters";

#[test]
fn every_name_is_explained_and_every_explained_name_is_used() {
    for file in FILES {
        let text = fs::read_to_string(config_path(file)).unwrap();
        let used: BTreeSet<&str> = text
            .split("${")
            .skip(1)
            .filter_map(|rest| rest.split('}').next())
            .collect();
        let explained: BTreeSet<&str> = text
            .lines()
            .take_while(|line| line.is_empty() || line.starts_with('#'))
            .filter_map(|line| line.strip_prefix("#   "))
            .flat_map(names)
            .collect();
        assert_eq!(used, explained, "{file}");
    }
}

#[test]
fn the_native_variant_differs_in_the_gate_only() {
    let (mut filter, mut native) = (parse(Host::Filter).unwrap(), parse(Host::Native).unwrap());
    for config in [&mut filter, &mut native] {
        let gate = config
            .pointer_mut(FILTERS)
            .unwrap()
            .as_array_mut()
            .unwrap()
            .remove(0);
        assert_eq!(gate["name"], "callgate");
    }
    assert_eq!(filter, native);
}

/// Conditions read any header, and the server takes overriding ones off the request: it can
/// only do with what it sees.
#[test]
fn the_native_variant_shows_every_header_but_the_secrets() {
    let config = parse(Host::Native).unwrap();
    let gate = &config.pointer(FILTERS).unwrap()[0]["typed_config"];
    assert!(gate["allowed_headers"].is_null());
    let kept_back = gate["disallowed_headers"]["patterns"].as_array().unwrap();
    let kept_back: Vec<_> = kept_back.iter().map(|pattern| &pattern["exact"]).collect();
    let secrets = headers::SECRETS
        .iter()
        .map(|name| std::str::from_utf8(name).unwrap());
    // The server reads the chain in it; nothing else does.
    let secrets: Vec<&str> = secrets
        .filter(|name| *name != headers::CLIENT_CERT)
        .collect();
    assert_eq!(kept_back, secrets);
}

/// What a line explains: its first word, or the words that commas join to it.
fn names(line: &str) -> impl Iterator<Item = &str> {
    let mut last = false;
    line.split_ascii_whitespace()
        .take_while(move |word| !std::mem::replace(&mut last, !word.ends_with(',')))
        .map(|word| word.trim_end_matches(','))
        .filter(|word| {
            word.bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        })
}

/// The file with a stand-in for every name.
fn parse(host: Host) -> anyhow::Result<Value> {
    let names = [
        "NODE",
        "SERVICE",
        "INBOUND_ADDRESS",
        "CALLGATE_ADDRESS",
        "CALLGATE_ID",
        "CALLGATE_BUNDLE",
        "CALLGATE_TIMEOUT",
        "CALLGATE_FILTER",
        "SVID_SDS",
        "BUNDLE_SDS",
    ];
    let ports = ["ADMIN_PORT", "INBOUND_PORT", "APP_PORT", "CALLGATE_PORT"];
    let names = names
        .into_iter()
        .fold(Template::new(), |all, name| all.with(name, "x"));
    let names = ports.into_iter().fold(names, |all, name| all.with(name, 1));
    names.parse(&host.config())
}
