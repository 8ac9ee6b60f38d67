use proptest::prelude::*;

use super::*;

const ENVOY: &str = "By=spiffe://example.org/ns/shop/sa/orders;Hash=ab12;\
     Chain=\"-----BEGIN%20CERTIFICATE-----%0AMII%3D%0A\";URI=spiffe://example.org/ns/shop/sa/web";

#[test]
fn takes_the_chain_of_the_last_element() {
    let header = format!("Chain=\"first\";By=a,{ENVOY}");
    let xfcc = Xfcc::parse(&header).unwrap();
    assert_eq!(
        xfcc.chain().unwrap(),
        "-----BEGIN%20CERTIFICATE-----%0AMII%3D%0A"
    );
    assert_eq!(xfcc.elements().len(), 2);
    assert_eq!(Xfcc::parse("Chain=\"first\",By=a").unwrap().chain(), None);
}

#[test]
fn writes_the_header_back_without_any_chain() {
    for (header, wanted) in [
        (
            ENVOY,
            Some(
                "By=spiffe://example.org/ns/shop/sa/orders;Hash=ab12;\
                 URI=spiffe://example.org/ns/shop/sa/web",
            ),
        ),
        ("chain=x;A=1,CHAIN=\"y\",B=2", Some("A=1,B=2")),
        (
            "Subject=\"CN=a\\\"b\\\\\";Chain=\";,\\\"=\"",
            Some("Subject=\"CN=a\\\"b\\\\\""),
        ),
        ("Chain=only", None),
    ] {
        assert_eq!(
            without_chains(Xfcc::parse(header).unwrap().elements()).as_deref(),
            wanted,
            "{header}"
        );
    }
}

#[test]
fn the_last_element_is_ours_and_the_one_before_it_the_peers() {
    let of = |header: &'static str| {
        let xfcc = Xfcc::parse(header).unwrap();
        let forwarded = xfcc.forwarded().map(Element::to_text);
        (xfcc.own().map(Element::to_text), forwarded)
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(of("A=1"), (text("A=1"), None));
    assert_eq!(
        of("A=1 , B=\"2;,\" ; C=3"),
        (text("B=\"2;,\";C=3"), text("A=1"))
    );
    assert_eq!(of("A=1,B=2,C=3"), (text("C=3"), text("B=2")));
}

#[test]
fn a_key_may_have_several_values() {
    let xfcc = Xfcc::parse("URI=a;DNS=x;uri=\"b\";URI=").unwrap();
    let element = xfcc.own().unwrap();
    assert_eq!(element.values("URI").collect::<Vec<_>>(), ["a", "b", ""]);
    assert_eq!(element.values("By").count(), 0);
}

#[test]
fn what_stands_for_an_unreadable_header_is_unreadable() {
    assert!(Xfcc::parse(UNREADABLE).is_err());
}

#[test]
fn values_lose_their_quotes_and_escapes() {
    let xfcc = Xfcc::parse("Subject=\"/C=US,\\\"x\\\";y=\\\\\";URI=;DNS=a=b").unwrap();
    let element = &xfcc.elements()[0];
    assert_eq!(element.value("subject").unwrap(), "/C=US,\"x\";y=\\");
    assert_eq!(element.value("uri").unwrap(), "");
    assert_eq!(element.value("dns").unwrap(), "a=b");
    assert_eq!(element.value("hash"), None);
}

#[test]
fn says_where_a_header_leaves_the_grammar() {
    for (header, wanted) in [
        ("", XfccError::MissingKey { at: 0 }),
        (",A=1", XfccError::MissingKey { at: 0 }),
        ("A=1,", XfccError::MissingKey { at: 4 }),
        ("A=1;;B=2", XfccError::MissingKey { at: 4 }),
        ("=1", XfccError::MissingKey { at: 0 }),
        ("A", XfccError::MissingValue { at: 1 }),
        ("A;B=1", XfccError::MissingValue { at: 1 }),
        ("A=, B = 2", XfccError::MissingValue { at: 5 }),
        ("A=\"1", XfccError::UnclosedQuote { at: 2 }),
        ("A=\"1\\\"", XfccError::UnclosedQuote { at: 2 }),
        ("A=\"1\\", XfccError::UnclosedQuote { at: 2 }),
        ("A=1\"2\"", XfccError::Unexpected { at: 3 }),
        ("A=\"1\"2", XfccError::Unexpected { at: 5 }),
        ("A=\"1\"é", XfccError::Unexpected { at: 5 }),
        ("Chain=a;By=b;chain=c", XfccError::TwoChains),
    ] {
        assert_eq!(Xfcc::parse(header), Err(wanted), "{header}");
    }
}

/// A value as a proxy would write it: bare where it can be, else quoted.
fn written(value: &str) -> String {
    if value.contains(['"', ',', ';', '=', '\\', ' ', '\t']) {
        format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        value.to_owned()
    }
}

proptest! {
    #[test]
    fn any_text_is_an_answer_and_never_a_panic(text in any::<String>()) {
        let _ = Xfcc::parse(&text);
    }

    #[test]
    fn text_of_the_grammar_s_own_letters_never_panics(text in "[A-c=,;\"\\\\ é]{0,24}") {
        if let Ok(xfcc) = Xfcc::parse(&text) {
            let written = without_chains(xfcc.elements()).unwrap_or_default();
            prop_assert!(written.is_empty() || Xfcc::parse(&written).is_ok());
        }
    }

    #[test]
    fn every_value_comes_back_and_only_chains_go(
        elements in prop::collection::vec(
            prop::collection::vec(("[A-Z][a-z]{0,5}", "[ -~é]{0,12}"), 1..4), 1..4),
        chain in prop::option::of("[ -~]{0,12}"),
    ) {
        prop_assume!(elements.iter().flatten().all(|(key, _)| key != "Chain"));
        let text = |pairs: &[(String, String)]| {
            pairs.iter().map(|(key, value)| format!("{key}={}", written(value)))
                .collect::<Vec<_>>().join(";")
        };
        let plain = elements.iter().map(|pairs| text(pairs)).collect::<Vec<_>>().join(",");
        let header = chain.as_ref().map_or_else(
            || plain.clone(), |chain| format!("{plain};Chain={}", written(chain)));

        let xfcc = Xfcc::parse(&header).unwrap();
        prop_assert_eq!(xfcc.chain().map(Cow::into_owned), chain);
        prop_assert_eq!(without_chains(xfcc.elements()), Some(plain));
        let written: Vec<String> = xfcc.elements().iter().map(Element::to_text).collect();
        prop_assert_eq!(&written.join(","), &header);
        for (element, pairs) in xfcc.elements().iter().zip(&elements) {
            let (key, value) = &pairs[0];
            prop_assert_eq!(element.value(key).unwrap(), value.as_str());
        }
    }
}
