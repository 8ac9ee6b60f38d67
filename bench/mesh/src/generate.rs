//! Makes the services and their rules.

use fastrand::Rng;

use crate::{
    TRUST_DOMAIN,
    rule::{Callers, Effect, Mesh, Operation, Rule, Segment, Service, Verb},
};

/// Workloads that call, over the whole mesh.
const CALLERS: usize = 2_000;
/// Rules that one caller has at one service, about.
const RULES_PER_CALLER: usize = 5;
/// Callers of one service: a gateway of 10,000 rules has this many, 100 rules each.
const MAX_CALLERS_PER_SERVICE: usize = 100;

/// `services` services with `rules_each` rules each.
#[must_use]
pub fn mesh(services: usize, rules_each: usize) -> Mesh {
    let mut rng = Rng::with_seed(0x0ca1_16a7_e000);
    Mesh {
        services: (0..services)
            .map(|n| service(n, rules_each, &mut rng))
            .collect(),
    }
}

fn service(number: usize, rules: usize, rng: &mut Rng) -> Service {
    let name = format!("svc-{number}");
    let pool = (rules / RULES_PER_CALLER).clamp(2, MAX_CALLERS_PER_SERVICE);
    let first = rng.usize(..CALLERS);
    Service {
        id: format!("spiffe://{TRUST_DOMAIN}/ns/shop/sa/{name}"),
        name,
        rules: (0..rules)
            .map(|n| rule(n, || caller(first + rng.usize(..pool))))
            .collect(),
    }
}

/// Every tenth rule denies, every tenth is for a whole namespace, every tenth for
/// two callers; the others are for one. Each resource is shared by three rules.
fn rule(number: usize, mut caller: impl FnMut() -> Callers) -> Rule {
    let resource = format!("resource-{}", number / 3);
    if number % 10 == 9 {
        return Rule {
            name: format!("never-{number}"),
            effect: Effect::Deny,
            from: vec![Callers::Namespace("batch".into())],
            to: vec![operation(Verb::Any, &["admin", &resource], true)],
        };
    }
    let from = match (number % 10, caller()) {
        (4, Callers::One { namespace, .. }) => vec![Callers::Namespace(namespace)],
        (7, first) => {
            let second = caller();
            if first == second {
                vec![first]
            } else {
                vec![first, second]
            }
        }
        (_, one) => vec![one],
    };
    Rule {
        name: format!("rule-{number}"),
        effect: Effect::Allow,
        from,
        to: operations(number, &resource),
    }
}

fn caller(number: usize) -> Callers {
    let number = number % CALLERS;
    Callers::One {
        namespace: format!("team-{}", number / 10),
        account: format!("caller-{number}"),
    }
}

fn operations(number: usize, resource: &str) -> Vec<Operation> {
    let item = ["v1", resource, "{id}"];
    match number % 5 {
        0 => vec![
            operation(Verb::Get, &["v1", resource], false),
            operation(Verb::Get, &item, false),
        ],
        1 => vec![
            operation(Verb::Post, &["v1", resource], false),
            operation(Verb::Delete, &item, false),
        ],
        2 => vec![operation(
            Verb::Get,
            &["v1", resource, "{id}", "files"],
            true,
        )],
        3 => {
            let grpc = format!("bench.v1.Service{number}");
            vec![
                operation(Verb::Grpc, &[&grpc, "Read"], false),
                operation(Verb::Grpc, &[&grpc, "Write"], false),
            ]
        }
        _ => vec![
            operation(Verb::Put, &item, false),
            operation(Verb::Get, &["v1", resource, "{id}", "status"], false),
        ],
    }
}

fn operation(verb: Verb, path: &[&str], rest: bool) -> Operation {
    let segment = |text: &&str| match *text {
        "{id}" => Segment::Capture("id"),
        literal => Segment::Literal(literal.into()),
    };
    Operation {
        verb,
        path: path.iter().map(segment).collect(),
        rest,
    }
}
