//! Rego, data-indexed: `index.rego` finds the caller's rules at the service, and
//! among them the exact path or the patterns of its length, by key. Run by regorus
//! as a program of its virtual machine, which is reused.

use std::collections::BTreeMap;

use anyhow::Context as _;
use callgate_bench_mesh::{
    Callers, Effect, Mesh, Operation, Request, Segment, Service, TRUST_DOMAIN, Verb,
};
use regorus::{Engine as Interpreter, Rc, Value, languages::rego::compiler::Compiler, rvm::RegoVM};
use serde_json::{Map, json};

use crate::{Engine, Said};

const POLICY: &str = include_str!("index.rego");
const ENTRY: &str = "data.callgate.allow";

/// The rules as JSON.
pub(crate) struct Data(String);

impl Data {
    pub(crate) fn of(mesh: &Mesh) -> Self {
        let services: Map<_, _> = mesh
            .services
            .iter()
            .map(|service| (service.id.clone(), slices(service)))
            .collect();
        Self(json!({ "services": services }).to_string())
    }
}

fn slices(service: &Service) -> serde_json::Value {
    let (mut callers, mut namespaces) = (Map::new(), Map::new());
    for each in service.rules.iter().flat_map(|rule| &rule.from) {
        match each {
            Callers::One { namespace, account } => {
                let id = format!("spiffe://{TRUST_DOMAIN}/ns/{namespace}/sa/{account}");
                let takes = |from: &Callers| from.contains(namespace, account);
                callers.entry(id).or_insert_with(|| slice(service, takes));
            }
            Callers::Namespace(namespace) => {
                namespaces
                    .entry(namespace)
                    .or_insert_with(|| slice(service, |from| from == each));
            }
        }
    }
    json!({ "callers": callers, "namespaces": namespaces })
}

/// What one caller may (and may never) do: effect, key, then path.
fn slice(service: &Service, takes: impl Fn(&Callers) -> bool) -> serde_json::Value {
    let mut slice = json!({});
    for rule in service.rules.iter().filter(|r| r.from.iter().any(&takes)) {
        let effect = match rule.effect {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        };
        for operation in &rule.to {
            keys(operation.verb)
                .iter()
                .for_each(|key| insert(&mut slice, effect, key, operation));
        }
    }
    slice
}

/// What a request asks for by its method, or because it is gRPC, or always.
fn keys(verb: Verb) -> &'static [&'static str] {
    match verb {
        Verb::Grpc => &["GRPC"],
        verb => verb.methods().unwrap_or(&["ANY"]),
    }
}

#[expect(
    clippy::indexing_slicing,
    reason = "indexing a JSON value by name makes the entry, and panics for no object"
)]
fn insert(slice: &mut serde_json::Value, effect: &str, key: &str, operation: &Operation) {
    let index = &mut slice[effect][key];
    let literals: Vec<_> = operation
        .path
        .iter()
        .enumerate()
        .filter_map(|(at, segment)| match segment {
            Segment::Literal(text) => Some(json!({ "at": at, "text": text })),
            Segment::Capture(_) => None,
        })
        .collect();
    let length = operation.path.len();
    if operation.rest {
        push(
            &mut index["rest"],
            json!({ "length": length, "literals": literals }),
        );
    } else if literals.len() == length {
        let path: String = literals
            .iter()
            .filter_map(|literal| Some(format!("/{}", literal["text"].as_str()?)))
            .collect();
        index["exact"][path] = json!(true);
    } else {
        push(
            &mut index["lengths"][length.to_string()],
            json!({ "literals": literals }),
        );
    }
}

fn push(list: &mut serde_json::Value, item: serde_json::Value) {
    match list {
        serde_json::Value::Array(items) => items.push(item),
        other => *other = json!([item]),
    }
}

impl crate::Source for Data {
    fn load(&self) -> anyhow::Result<Box<dyn Engine>> {
        let mut interpreter = Interpreter::new();
        interpreter.add_policy("index.rego".into(), POLICY.into())?;
        let policy = interpreter.compile_with_entrypoint(&Rc::from(ENTRY))?;
        let program = Compiler::compile_from_policy(&policy, &[ENTRY])
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        let mut machine = RegoVM::new();
        machine.load_program(program);
        machine
            .set_data(Value::from_json_str(&self.0).context("data")?)
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(Box::new(Rego {
            machine,
            names: Names::new(),
        }))
    }
}

/// The names of `input`, made once.
struct Names {
    service: Value,
    caller: Value,
    namespace: Value,
    keys: Value,
    path: Value,
    segments: Value,
    length: Value,
    number: Value,
}

impl Names {
    fn new() -> Self {
        Self {
            service: "service".into(),
            caller: "caller".into(),
            namespace: "namespace".into(),
            keys: "keys".into(),
            path: "path".into(),
            segments: "segments".into(),
            length: "length".into(),
            number: "number".into(),
        }
    }

    fn input(&self, request: &Request) -> Option<Value> {
        let path = request
            .caller
            .strip_prefix("spiffe://")?
            .strip_prefix(TRUST_DOMAIN)?
            .strip_prefix("/ns/")?;
        let (namespace, _) = path.split_once("/sa/")?;
        let mut keys = vec![Value::from(request.method), Value::from("ANY")];
        if request.grpc && request.method == "POST" {
            keys.push("GRPC".into());
        }
        let segments: Vec<Value> = request.path.split('/').skip(1).map(Value::from).collect();
        Some(Value::from(BTreeMap::from([
            (self.service.clone(), request.service.as_str().into()),
            (self.caller.clone(), request.caller.as_str().into()),
            (self.namespace.clone(), namespace.into()),
            (self.keys.clone(), keys.into()),
            (self.path.clone(), request.path.as_str().into()),
            (self.length.clone(), segments.len().to_string().into()),
            (self.number.clone(), segments.len().into()),
            (self.segments.clone(), segments.into()),
        ])))
    }
}

struct Rego {
    machine: RegoVM,
    names: Names,
}

impl Engine for Rego {
    fn name(&self) -> &'static str {
        "regorus"
    }

    fn decide(&mut self, request: &Request) -> Said {
        let Some(input) = self.names.input(request) else {
            return Said::Nonsense;
        };
        self.machine.set_input(input);
        match self.machine.execute() {
            Ok(Value::Bool(true)) => Said::Allow,
            Ok(Value::Bool(false)) => Said::Deny,
            Ok(_) | Err(_) => Said::Nonsense,
        }
    }
}
