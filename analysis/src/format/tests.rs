use super::*;

fn formatted(text: &str) -> String {
    let format = |text: &str| super::format(&Source::new("a.yaml", text), &Limits::default());
    let once = format(text).unwrap();
    assert_eq!(
        format(&once).unwrap(),
        once,
        "twice is another thing than once"
    );
    once
}

#[test]
fn a_policy_in_the_one_form() {
    let text = "\
# Orders.
---
kind: 'ServicePolicy'
metadata: { name : orders }   # the name


spec:
    services:
    - '/ns/shop/sa/orders'
    owner:   \"team-orders\"
    help: \"#team-orders\"
    allow:

    # who orders
    - name: checkout-places-orders
      from: [ /ns/shop/sa/checkout, # the shop
              /ns/shop/sa/kiosk ]
      to: [POST /orders, \"GET /orders/{order}\"]
      when: request.headers[\"x-purpose\"] == \"reporting\"  # by law

      # not yet
    - name: wide
      from: [/ns/shop/sa/one, /ns/shop/sa/two, /ns/shop/sa/three, /ns/shop/sa/four, /ns/shop/sa/five]
      to:
      - GET /orders
      exception: {reason: 'it''s complicated', ticket: \"0123\", approvedBy: dana, expires: 2027-02-01T00:00:00Z}
      # nor this
    deny: []
# the end
---
kind: CallerGroup
";
    let expected = "\
# Orders.
kind: ServicePolicy
metadata: {name: orders}   # the name

spec:
  services:
    - /ns/shop/sa/orders
  owner: team-orders
  help: \"#team-orders\"
  allow:

    # who orders
    - name: checkout-places-orders
      from:
        - /ns/shop/sa/checkout # the shop
        - /ns/shop/sa/kiosk
      to: [POST /orders, \"GET /orders/{order}\"]
      when: >-  # by law
        request.headers[\"x-purpose\"] == \"reporting\"

      # not yet
    - name: wide
      from:
        - /ns/shop/sa/one
        - /ns/shop/sa/two
        - /ns/shop/sa/three
        - /ns/shop/sa/four
        - /ns/shop/sa/five
      to:
        - GET /orders
      exception:
        reason: it's complicated
        ticket: \"0123\"
        approvedBy: dana
        expires: 2027-02-01T00:00:00Z
      # nor this
  deny: []
# the end
---
kind: CallerGroup
";
    assert_eq!(formatted(text), expected);
}

#[test]
fn conditions_become_blocks() {
    let cases = [
        ("when: 'a == \"b\"'", "when: >-\n  a == \"b\"\n"),
        (
            "when: a == 1\n  && b == 2",
            "when: >-\n  a == 1\n  && b == 2\n",
        ),
        ("when: >\n  a\n  && b\n", "when: >-\n  a\n  && b\n"),
        (
            "when: |\n  a // why\n  && b\n",
            "when: |-\n  a // why\n  && b\n",
        ),
        ("when: >- # why\n  a\n", "when: >- # why\n  a\n"),
        (
            "when: request.headers['x-a'] == 'one && two' && request.headers['x-b'] == 'three' || captures.tenant == 'four'",
            "when: >-\n  request.headers['x-a'] == 'one && two'\n  && request.headers['x-b'] == 'three'\n  || captures.tenant == 'four'\n",
        ),
        ("- {when: a}", "- when: >-\n    a\n"),
    ];
    for (text, expected) in cases {
        assert_eq!(formatted(text), expected, "{text}");
    }
}

#[test]
fn quotes_stay_where_a_reader_needs_them() {
    let cases = [
        ("a: 'x'", "a: x\n"),
        ("a: 'no'", "a: \"no\"\n"),
        ("a: '0123'", "a: \"0123\"\n"),
        ("a: '2027-02-01'", "a: \"2027-02-01\"\n"),
        ("a: '#x'", "a: \"#x\"\n"),
        ("a: 'x: y'", "a: \"x: y\"\n"),
        ("a: 'x #y'", "a: \"x #y\"\n"),
        ("a: ' x'", "a: \" x\"\n"),
        ("a: '*'", "a: \"*\"\n"),
        ("a: 'GET /a/{b}'", "a: GET /a/{b}\n"),
        ("a: ['GET /a/{b}']", "a: [\"GET /a/{b}\"]\n"),
        ("a: '\"x\"'", "a: '\"x\"'\n"),
        ("a: \"x\\ty\"", "a: \"x\\ty\"\n"),
        ("a: \"\\u200b\"", "a: \"\\u200B\"\n"),
        ("a: \"ü\"", "a: ü\n"),
        ("'a b': c", "a b: c\n"),
        ("'no': c", "\"no\": c\n"),
        ("a: \"\"", "a: \"\"\n"),
        ("a: |\n   x\n    y\n\n   z\n", "a: |\n  x\n   y\n\n  z\n"),
        ("a: >\n   x\n   y\n", "a: >\n  x\n  y\n"),
        ("a:\r\n  - b # c\r\n", "a:\n  - b # c\n"),
    ];
    for (text, expected) in cases {
        assert_eq!(formatted(text), expected, "{text}");
    }
}

#[test]
fn comments_stay_where_they_are() {
    let cases = [
        "# a\n\n# b\na: b # c\n# d\n",
        "a:\n  - b\n  # in the list\n# below it\nc: d\n",
        "a:\n  - b: c\n    # in the mapping\n  # in the list\n  - d\n",
        "a: # here\n  - b # there\n",
        "a:\n  # first\n  b: c\n\n  # second\n  d: e\n",
        "a: b\n# of the first\n---\n# of the second\nc: d\n",
        "# nothing but this\n",
        "",
    ];
    for text in cases {
        assert_eq!(formatted(text), text);
    }
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let refused =
        |text: &str| super::format(&Source::new("a.yaml", text), &Limits::default()).unwrap_err();
    assert!(matches!(refused("a: !b c"), FormatError::Findings(_)));
    assert!(matches!(refused("a: &b c"), FormatError::Findings(_)));
    assert!(matches!(refused("a: b\na: c"), FormatError::Findings(_)));
    assert_eq!(
        refused("%YAML 1.2\n---\na: b"),
        FormatError::Directive { line: 1 }
    );
}
