use proptest::prelude::*;

use super::*;
use crate::document::Code;

fn parsed<'s>(source: &'s Source) -> (Parsed<'s>, Sink) {
    let mut sink = Sink::default();
    let parsed = parse(0, source, &Limits::default(), &mut sink);
    (parsed, sink)
}

/// A node without its places, to be compared.
fn plain_text(node: &Node<'_>) -> String {
    match &node.value {
        Value::Text(text) => format!("{:?}", text.text),
        Value::List(items) => {
            format!(
                "[{}]",
                items.iter().map(plain_text).collect::<Vec<_>>().join(" ")
            )
        }
        Value::Map(entries) => {
            let field = |entry: &Entry<'_>| format!("{}={}", entry.key, plain_text(&entry.value));
            format!(
                "{{{}}}",
                entries.iter().map(field).collect::<Vec<_>>().join(" ")
            )
        }
        Value::Refused => "!".to_owned(),
    }
}

fn codes(text: &str) -> Vec<Code> {
    let source = Source::new("a.yaml", text);
    let (_, sink) = parsed(&source);
    let findings = sink.into_findings(std::slice::from_ref(&source), 100);
    findings
        .iter()
        .flat_map(|all| all.diagnostics().iter().map(|one| one.code))
        .collect()
}

#[test]
fn values_keep_their_text() {
    let cases = [
        ("a: b", r#"{a="b"}"#),
        ("a: [b, 'c d', \"e\\tf\"]", r#"{a=["b" "c d" "e\tf"]}"#),
        ("- a\n- b: c\n  d: e", r#"["a" {b="c" d="e"}]"#),
        (
            "a: >-\n  folded\n  text\nb: |\n  kept\n",
            r#"{a="folded text" b="kept\n"}"#,
        ),
        (
            "a: yes\nb: 1\nc: 2027-02-01",
            r#"{a="yes" b="1" c="2027-02-01"}"#,
        ),
        ("'yes': \"\"", r#"{yes=""}"#),
        ("a: plain # comment", r#"{a="plain"}"#),
        ("{}", "{}"),
    ];
    for (text, expected) in cases {
        let source = Source::new("a.yaml", text);
        let (parsed, sink) = parsed(&source);
        assert!(sink.is_empty(), "{text}");
        let shown: Vec<_> = parsed.documents.iter().map(plain_text).collect();
        assert_eq!(shown, [expected], "{text}");
    }
}

#[test]
fn files_hold_several_documents_and_empty_ones_do_not_count() {
    let cases = [
        ("", 0),
        ("# nothing\n", 0),
        ("---\n", 0),
        ("---\n---\n", 0),
        ("a: b\n---\nc: d\n", 2),
        ("# license\n---\na: b\n---\n# the end\n", 1),
        ("a: b\n...\n---\nc: d\n...\n", 2),
        ("\u{feff}a: b", 1),
        ("%YAML 1.2\n---\na: b", 1),
    ];
    for (text, expected) in cases {
        let source = Source::new("a.yaml", text);
        let (parsed, sink) = parsed(&source);
        assert!(sink.is_empty() && parsed.whole, "{text:?}");
        assert_eq!(parsed.documents.len(), expected, "{text:?}");
    }
}

#[test]
fn what_could_mean_something_else_is_refused() {
    let cases = [
        ("a: !x b", Code::Tag),
        ("a: !!str 1", Code::Tag),
        ("!x\na: b", Code::Tag),
        ("a: !<tag:x> b", Code::Tag),
        ("a: &x b", Code::Alias),
        ("a: &x", Code::Alias),
        ("a: *x", Code::Alias),
        ("&x a: b", Code::Alias),
        ("<<: {a: b}", Code::Alias),
        ("a: b\na: c", Code::DuplicateKey),
        ("a: b\n\"a\": c", Code::DuplicateKey),
        ("1: a", Code::KeyNotString),
        ("on: a", Code::KeyNotString),
        (": a", Code::KeyNotString),
        ("? [a]\n: b", Code::KeyNotString),
        ("a:", Code::Null),
        ("a: ~", Code::Null),
        ("a: null", Code::Null),
        ("{a}", Code::Null),
        ("- ", Code::Null),
        ("[a, ~]", Code::Null),
        ("~", Code::Null),
        ("a: b\u{0}", Code::HiddenCharacter),
        ("a: b\rc: d", Code::HiddenCharacter),
        ("a: b # \u{202e}", Code::HiddenCharacter),
        ("a: b\n\u{feff}c: d", Code::HiddenCharacter),
        ("a: [", Code::Syntax),
    ];
    for (text, expected) in cases {
        assert_eq!(codes(text), [expected], "{text:?}");
    }
}

#[test]
fn a_key_is_found_again_among_many() {
    let mut text: String = (0..100).map(|n| format!("k{n}: v\n")).collect();
    assert!(codes(&text).is_empty());
    text.push_str("k3: v\nk99: v\n");
    assert_eq!(codes(&text), [Code::DuplicateKey; 2]);
}

#[test]
fn limits_end_the_file() {
    let limits = Limits {
        depth: 2,
        nodes: 5,
        ..Limits::default()
    };
    let cases = [
        ("[[a]]", None),
        ("[[[a]]]", Some(Code::NestedTooDeep)),
        ("[a, a, a, a]", None),
        ("[a, a, a, a, a]", Some(Code::TooManyValues)),
    ];
    for (text, expected) in cases {
        let source = Source::new("a.yaml", text);
        let mut sink = Sink::default();
        let parsed = parse(0, &source, &limits, &mut sink);
        assert_eq!(parsed.whole, expected.is_none(), "{text}");
        let findings = sink.into_findings(std::slice::from_ref(&source), 9);
        let code = findings.map(|all| all.diagnostics()[0].code);
        assert_eq!(code, expected, "{text}");
    }
}

#[test]
fn nesting_without_end_is_no_overflow() {
    for open in ["[", "{a: ", "- ", "? "] {
        let text = open.repeat(100_000);
        assert!(!codes(&text).is_empty(), "{open}");
    }
}

fn check_places(source: &Source, node: &Node<'_>) {
    match &node.value {
        Value::Text(text) if text.style == Style::Plain && !text.text.contains('\n') => {
            let written = source.slice(node.span);
            if !written.contains('\n') {
                // An anchor, which was refused, stands before its text.
                assert!(written.ends_with(&*text.text), "{written:?}: {text:?}");
            }
        }
        Value::List(items) => items.iter().for_each(|item| check_places(source, item)),
        Value::Map(entries) => {
            for entry in entries {
                assert!(node.span.start <= entry.key_span.start);
                check_places(source, &entry.value);
            }
        }
        _ => {}
    }
}

/// Pieces that make documents, and what breaks them.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("a: "),
        Just("- "),
        Just("\n"),
        Just("  "),
        Just("["),
        Just("]"),
        Just("{"),
        Just("}"),
        Just(", "),
        Just(": "),
        Just("? "),
        Just("'"),
        Just("\""),
        Just("#"),
        Just(" # c"),
        Just("---\n"),
        Just("...\n"),
        Just("!x "),
        Just("&x "),
        Just("*x"),
        Just("~"),
        Just("|\n"),
        Just(">-\n"),
        Just("\t"),
        Just("ü€😀"),
        Just("yes"),
        Just("0x1"),
        Just("<<"),
        Just("\\"),
        Just("%YAML 1.2\n"),
        Just("@"),
        Just("`"),
        Just("\r\n"),
        Just("\u{85}"),
        Just("{{"),
        Just("GET /a/{b}"),
        Just("name"),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_is_too_much(text in prop_oneof![pieces(), any::<String>()]) {
        let source = Source::new("a.yaml", text);
        let (parsed, sink) = parsed(&source);
        prop_assert!(parsed.whole || !sink.is_empty());
        for document in &parsed.documents {
            check_places(&source, document);
        }
        if let Some(findings) = sink.into_findings(std::slice::from_ref(&source), 100) {
            let _shown = findings.render(std::slice::from_ref(&source), true);
        }
    }

    #[test]
    fn no_bytes_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let source = Source::new("a.yaml", bytes);
        let (_, sink) = parsed(&source);
        if let Some(findings) = sink.into_findings(std::slice::from_ref(&source), 100) {
            let _shown = findings.render(std::slice::from_ref(&source), false);
        }
    }

    #[test]
    fn a_quoted_text_is_read_back(text in "[ -~äöü€😀]{0,40}") {
        let yaml = format!("key: {}\n", double_quoted(&text));
        let source = Source::new("a.yaml", yaml);
        let (parsed, sink) = parsed(&source);
        prop_assert!(sink.is_empty());
        let Value::Map(entries) = &parsed.documents[0].value else { panic!("a mapping") };
        let Value::Text(read) = &entries[0].value.value else { panic!("a text") };
        prop_assert_eq!(&read.text, &text);
    }

    /// What is advised is what was meant.
    #[test]
    fn advice_on_quoting_is_right(text in "[ -~äöü]{1,40}") {
        let source = Source::new("a.yaml", format!("key: {}\n", quote(&text)));
        let (parsed, sink) = parsed(&source);
        prop_assert!(sink.is_empty(), "{}", source.text());
        let Value::Map(entries) = &parsed.documents[0].value else { panic!("a mapping") };
        let Value::Text(read) = &entries[0].value.value else { panic!("a text") };
        prop_assert_eq!(&read.text, &text);
    }
}

fn double_quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[test]
fn findings_of_a_lost_parser_are_taken_back() {
    let source = Source::new("a.yaml", "a:\nto: [GET /a/{b}:cancel]");
    let (_, sink) = parsed(&source);
    let findings = sink
        .into_findings(std::slice::from_ref(&source), 9)
        .unwrap();
    let codes: Vec<_> = findings.diagnostics().iter().map(|one| one.code).collect();
    assert_eq!(codes, [Code::Null, Code::Syntax]);
}
