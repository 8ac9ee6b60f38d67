use callgate_policy::{
    Caller, NoHeaders, PolicySet, Request,
    document::{LoadOptions, Source, load},
};

use super::*;

const ORDERS: &str = "spiffe://example.org/ns/shop/sa/orders";

fn set(enforcement: &str, rules: &str) -> PolicySet {
    let text = format!(
        "kind: ServicePolicy\nmetadata: {{name: orders}}\nspec:\n  services: [{ORDERS}]\n  enforcement: {enforcement}\n{rules}"
    );
    let sources = [Source::new("orders.yaml", text)];
    load(&sources, &LoadOptions::default()).unwrap().policies
}

fn reads(caller: &str) -> String {
    format!("  allow:\n  - {{name: reads, from: ['{caller}'], to: [GET /orders]}}\n")
}

/// Notes one request by `caller`, and says whether it is sampled.
fn note(differences: &Differences, sets: [&PolicySet; 2], caller: &str, secs: i64) -> bool {
    let (caller, service) = (
        SpiffeId::parse(caller).unwrap(),
        SpiffeId::parse(ORDERS).unwrap(),
    );
    let request = Request {
        caller: Caller::Verified(&caller),
        service: Some(&service),
        method: "GET",
        path: "/orders",
        upgrade: None,
        content_type: None,
        host: None,
        headers: &NoHeaders,
    };
    let now = Timestamp::from_secs(secs);
    let [enforced, candidate] = sets.map(|set| set.decide(&request, now));
    differences.note(Some(&caller), &enforced, &candidate, now)
}

fn counted(differences: &Differences, labels: [&str; 4]) -> u64 {
    let names = ["caller", "rule", "enforced", "candidate"];
    let mut labels = names.into_iter().zip(labels);
    let labels = names.map(|_| {
        let (name, value) = labels.next().unwrap();
        (name, value.to_owned())
    });
    differences.counts.get_or_create(&labels).get()
}

#[test]
fn differences_are_counted_by_caller_and_rule_and_sampled_once_a_minute() {
    let web = "spiffe://example.org/web";
    let (old, new) = (
        set("Enforce", &reads(web)),
        set("Enforce", &reads("spiffe://example.org/api")),
    );
    let shadow = set("Shadow", &reads("spiffe://example.org/api"));
    let differences = Differences::default();
    assert!(!note(&differences, [&old, &old], web, 0), "both agree");
    assert!(note(&differences, [&old, &new], web, 0));
    assert!(!note(&differences, [&old, &new], web, 59));
    assert!(note(&differences, [&old, &new], web, 60));
    assert!(
        note(&differences, [&old, &shadow], web, 60),
        "another difference"
    );
    assert!(
        note(&differences, [&new, &old], web, 60),
        "the other way round"
    );
    for (labels, count) in [
        ([web, "orders/reads", "Allow", "Deny"], 3),
        ([web, "orders/reads", "Allow", "Shadow"], 1),
        ([web, "orders/reads", "Deny", "Allow"], 1),
    ] {
        assert_eq!(counted(&differences, labels), count, "{labels:?}");
    }
}

#[test]
fn the_number_of_series_is_bounded() {
    let (old, new) = (
        set("Enforce", &reads("spiffe://example.org/**")),
        set("Enforce", ""),
    );
    let differences = Differences::default();
    for n in 0..MOST_SERIES + 10 {
        note(
            &differences,
            [&old, &new],
            &format!("spiffe://example.org/{n}"),
            0,
        );
    }
    let known = differences.sampled.lock().unwrap().len();
    assert_eq!(known, MOST_SERIES + 1, "and the others");
    assert_eq!(counted(&differences, [OTHERS, OTHERS, "Allow", "Deny"]), 10);
    assert!(
        !note(&differences, [&old, &new], "spiffe://example.org/x", 1),
        "sampled together"
    );
}
