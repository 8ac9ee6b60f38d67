use proptest::prelude::*;

use super::*;

fn error(json: &str) -> String {
    Config::parse(json.as_bytes()).unwrap_err().to_string()
}

#[test]
fn only_the_cluster_is_required() {
    let config = Config::parse(br#"{"cluster":"authz"}"#).unwrap();
    assert_eq!(config.cluster(), "authz");
    assert_eq!(config.timeout(), Duration::from_millis(100));
    assert_eq!(config.max_stale(), Duration::from_secs(5));
    assert!(config.leases());
    assert!(!config.danger_allow_on_error());
}

#[test]
fn every_key_is_read() {
    let config = Config::parse(
        br#"{"cluster":"a","timeout":"0.25s","leases":false,"maxStale":"2s",
             "danger_allow_on_error":true}"#,
    )
    .unwrap();
    assert_eq!(config.timeout(), Duration::from_millis(250));
    assert_eq!(config.max_stale(), Duration::from_secs(2));
    assert!(!config.leases());
    assert!(config.danger_allow_on_error());
}

#[test]
fn errors_name_what_was_seen() {
    for (json, wanted) in [
        ("", "there is none, and `cluster` is required"),
        ("{}", "missing field `cluster`"),
        (r#"{"cluster":""}"#, "`cluster` is empty"),
        (
            r#"{"cluster":"a","timout":"1s"}"#,
            "unknown field `timout`, expected one of",
        ),
        (
            r#"{"cluster":"a","timeout":null}"#,
            "invalid type: null, expected a string",
        ),
        (
            r#"{"cluster":"a","timeout":0.25}"#,
            "invalid type: floating point `0.25`",
        ),
        (
            r#"{"cluster":"a","timeout":"5 minutes"}"#,
            "`timeout`: `5 minutes` is not a duration",
        ),
        (
            r#"{"cluster":"a","timeout":"0ms"}"#,
            "`timeout`: `0ms` is not within `1ms` to `10s`",
        ),
        (
            r#"{"cluster":"a","timeout":"11s"}"#,
            "`timeout`: `11s` is not within `1ms` to `10s`",
        ),
        (
            r#"{"cluster":"a","maxStale":"61s"}"#,
            "`maxStale`: `61s` is not within",
        ),
        (
            r#"{"cluster":"a","leases":"yes"}"#,
            "invalid type: string \"yes\", expected a boolean",
        ),
        (
            r#"{"cluster":"a","cluster":"b"}"#,
            "duplicate field `cluster`",
        ),
        (r#"["authz"]"#, "expected an object, saw a list"),
        (r#""authz""#, "invalid type: string \"authz\""),
        ("\x00\x01", "expected value at line 1 column 1"),
    ] {
        let text = error(json);
        assert!(text.starts_with("filter configuration: "), "{json}: {text}");
        assert!(text.contains(wanted), "{json}: {text}");
    }
}

fn encoded(fields: &[(&str, Kind)]) -> Vec<u8> {
    let value = |kind: &Kind| prost_types::Value {
        kind: Some(kind.clone()),
    };
    let fields = fields
        .iter()
        .map(|(key, kind)| ((*key).to_owned(), value(kind)));
    Struct {
        fields: fields.collect(),
    }
    .encode_to_vec()
}

#[test]
fn a_struct_says_the_same_as_json() {
    let text = |text: &str| Kind::StringValue(text.to_owned());
    let config = Config::parse(&encoded(&[
        ("cluster", text("authz")),
        ("timeout", text("0.25s")),
        ("leases", Kind::BoolValue(false)),
    ]))
    .unwrap();
    assert_eq!(config.cluster(), "authz");
    assert_eq!(config.timeout(), Duration::from_millis(250));
    assert!(!config.leases());
    // An entry of 123 bytes begins like JSON on its second line.
    let long = "a".repeat(110);
    let bytes = encoded(&[("cluster", text(&long))]);
    assert!(bytes.starts_with(b"\n{"));
    assert_eq!(Config::parse(&bytes).unwrap().cluster(), long);
    assert_eq!(
        Config::parse(b"\n{\"cluster\":\"a\"}").unwrap().cluster(),
        "a"
    );
}

#[test]
fn a_struct_with_a_fault_is_told_so() {
    let text = |text: &str| Kind::StringValue(text.to_owned());
    let error = |fields: &[_]| Config::parse(&encoded(fields)).unwrap_err().to_string();
    let timout = error(&[("cluster", text("a")), ("timout", text("1s"))]);
    assert!(
        timout.contains("unknown field `timout`, expected one of"),
        "{timout}"
    );
    let number = error(&[("cluster", text("a")), ("timeout", Kind::NumberValue(1.5))]);
    assert!(
        number.contains("invalid type: floating point `1.5`"),
        "{number}"
    );
    let null = error(&[("cluster", Kind::NullValue(0))]);
    assert!(null.contains("invalid type: null"), "{null}");
    let nested = error(&[("cluster", Kind::StructValue(Struct::default()))]);
    assert!(nested.contains("invalid type: map"), "{nested}");
}

#[test]
fn durations() {
    for (text, nanos) in [
        ("1ms", 1_000_000),
        ("0.5ms", 500_000),
        ("0.25s", 250_000_000),
        ("007s", 7_000_000_000),
    ] {
        assert_eq!(
            parse_duration(text),
            Some(Duration::from_nanos(nanos)),
            "{text}"
        );
    }
    for text in [
        "",
        "s",
        "5",
        ".5s",
        "5.s",
        "1 s",
        "+1s",
        "-1s",
        "1m",
        "1.0000000001s",
        "1e3s",
        "99999999999999999999s",
    ] {
        assert_eq!(parse_duration(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer(json in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = Config::parse(&json);
    }

    #[test]
    fn any_text_for_a_duration_is_an_answer(text in "[0-9.ms]{0,24}") {
        let _ = parse_duration(&text);
    }
}
