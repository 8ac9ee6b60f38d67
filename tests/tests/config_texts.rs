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

/// The server takes them off the request, and can only take what it sees.
#[test]
fn the_native_variant_shows_every_header_that_overrides_and_no_secret() {
    let config = parse(Host::Native).unwrap();
    let gate = &config.pointer(FILTERS).unwrap()[0]["typed_config"];
    let shown = gate["allowed_headers"]["patterns"].as_array().unwrap();
    for name in headers::OVERRIDES {
        let name = std::str::from_utf8(name).unwrap();
        assert!(
            shown.iter().any(|pattern| pattern["exact"] == name),
            "`{name}` is not shown"
        );
    }
    for secret in ["authorization", "cookie", "proxy-authorization"] {
        assert!(
            !shown.iter().any(|pattern| pattern["exact"] == secret),
            "`{secret}` is shown"
        );
    }
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
