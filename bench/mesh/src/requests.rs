//! Requests, each with the answer that the rules give it when they are read one by
//! one.

use fastrand::Rng;

use crate::{
    TRUST_DOMAIN,
    rule::{Callers, Effect, Mesh, Operation, Rule, Segment, Service, Verb},
};

/// A call and its right answer.
#[derive(Clone, Debug)]
pub struct Request {
    /// The caller's SPIFFE ID.
    pub caller: String,
    /// The called service's SPIFFE ID.
    pub service: String,
    /// The HTTP method.
    pub method: &'static str,
    /// The path.
    pub path: String,
    /// Whether the content type is `application/grpc`.
    pub grpc: bool,
    /// What the rules say.
    pub answer: Answer,
}

/// The answer to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An allow rule matches and no deny rule does.
    Allow,
    /// A deny rule matches.
    DenyRule,
    /// No rule matches.
    NoRule,
}

/// Which requests are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// Those that match a rule: an allow rule, or (one in ten) a deny rule.
    Hit,
    /// Those that some allow rule lets go on.
    Allowed,
    /// Those that no rule matches, though one nearly does: the wrong method, a path
    /// that does not exist, or another caller, in turn.
    NearMiss,
}

/// Draws `count` requests over every service.
#[must_use]
pub fn requests(mesh: &Mesh, sample: Sample, count: usize) -> Vec<Request> {
    let mut rng = Rng::with_seed(0x5eed + sample as u64);
    let mut drawn = Vec::with_capacity(count);
    while drawn.len() < count {
        let Some(service) = rng.choice(&mesh.services) else {
            break;
        };
        let turn = drawn.len();
        drawn.extend(draw(service, sample, turn, &mut rng));
    }
    drawn
}

/// One request, or none if the rule that was drawn does not give one of `sample`.
fn draw(service: &Service, sample: Sample, turn: usize, rng: &mut Rng) -> Option<Request> {
    let rule = rng.choice(&service.rules)?;
    let mut call = call(rule, rng)?;
    if sample == Sample::NearMiss {
        call.spoil(turn, rng);
    }
    let answer = call.answer(&service.rules);
    let wanted = match sample {
        Sample::Hit => answer != Answer::NoRule,
        Sample::Allowed => answer == Answer::Allow,
        Sample::NearMiss => answer == Answer::NoRule,
    };
    wanted.then(|| Request {
        caller: format!(
            "spiffe://{TRUST_DOMAIN}/ns/{}/sa/{}",
            call.namespace, call.account
        ),
        service: service.id.clone(),
        method: call.method,
        path: format!("/{}", call.segments.join("/")),
        grpc: call.grpc,
        answer,
    })
}

struct Call {
    namespace: String,
    account: String,
    method: &'static str,
    segments: Vec<String>,
    grpc: bool,
}

/// A call that `rule` matches.
fn call(rule: &Rule, rng: &mut Rng) -> Option<Call> {
    let (namespace, account) = match rng.choice(&rule.from)? {
        Callers::One { namespace, account } => (namespace.clone(), account.clone()),
        Callers::Namespace(namespace) => (namespace.clone(), format!("job-{}", rng.u16(..))),
    };
    let operation = rng.choice(&rule.to)?;
    Some(Call {
        namespace,
        account,
        method: rng
            .choice(operation.verb.methods().unwrap_or(&["PATCH"]))
            .copied()?,
        segments: segments(operation, rng),
        grpc: operation.verb == Verb::Grpc,
    })
}

fn segments(operation: &Operation, rng: &mut Rng) -> Vec<String> {
    let mut segments: Vec<String> = operation
        .path
        .iter()
        .map(|segment| match segment {
            Segment::Literal(text) => text.clone(),
            Segment::Capture(_) => format!("{:08x}", rng.u32(..)),
        })
        .collect();
    if operation.rest {
        segments.extend((0..rng.usize(..3)).map(|n| format!("part-{n}")));
    }
    segments
}

impl Call {
    fn spoil(&mut self, turn: usize, rng: &mut Rng) {
        match turn % 3 {
            0 => self.method = "PATCH",
            1 => self.segments.push("nothing-here".into()),
            _ => self.account = format!("stranger-{}", rng.u16(..)),
        }
    }

    fn answer(&self, rules: &[Rule]) -> Answer {
        let segments: Vec<&str> = self.segments.iter().map(String::as_str).collect();
        let covers = |effect| {
            rules.iter().filter(|r| r.effect == effect).any(|r| {
                r.covers(
                    (&self.namespace, &self.account),
                    (self.method, &segments, self.grpc),
                )
            })
        };
        if covers(Effect::Deny) {
            Answer::DenyRule
        } else if covers(Effect::Allow) {
            Answer::Allow
        } else {
            Answer::NoRule
        }
    }
}
