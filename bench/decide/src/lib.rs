//! Three engines behind one door: each is given the same rules in its own language,
//! and answers the same requests.
//!
//! The peers are given every help that their users would give them: the rules that
//! can matter for a caller at a service are found by hash map, and only those are
//! evaluated.

mod callgate;
mod cedar;
mod measure;
mod rego;

use callgate_bench_mesh::{Answer, Mesh, Request};

pub use measure::{Round, interleaved};

/// Callgate among the engines.
pub const CALLGATE: &str = "callgate";

/// Callgate with a condition on every rule.
pub const CONDITIONAL: &str = "callgate, each rule with `when`";

/// A policy engine, loaded.
pub trait Engine {
    /// Its name in tables.
    fn name(&self) -> &'static str;

    /// Decides one request, from the strings as a proxy sends them.
    fn decide(&mut self, request: &Request) -> Said;
}

/// What an engine says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// The call may go on.
    Allow,
    /// It may not; this engine does not tell deny rules from the absence of rules.
    Deny,
    /// A deny rule matches.
    DenyRule,
    /// No rule matches.
    NoRule,
    /// The engine failed or gave a reason that no request of a benchmark should see.
    Nonsense,
}

impl Said {
    /// Whether this is the right answer.
    #[must_use]
    pub fn agrees(self, answer: Answer) -> bool {
        match answer {
            Answer::Allow => self == Self::Allow,
            Answer::DenyRule => matches!(self, Self::Deny | Self::DenyRule),
            Answer::NoRule => matches!(self, Self::Deny | Self::NoRule),
        }
    }
}

/// The rules in one engine's language: loading it is what is timed and weighed.
pub trait Source {
    /// Parses and indexes the rules.
    ///
    /// # Errors
    /// Rules that the engine does not take.
    fn load(&self) -> anyhow::Result<Box<dyn Engine>>;
}

/// The rules of `mesh` for every engine; Callgate first.
#[must_use]
pub fn sources(mesh: &Mesh) -> Vec<Box<dyn Source>> {
    vec![
        Box::new(callgate::Documents::of(mesh)),
        Box::new(callgate::Documents::with_conditions(mesh)),
        Box::new(cedar::Policies::of(mesh)),
        Box::new(rego::Data::of(mesh)),
    ]
}

/// Decides every request with every engine.
///
/// # Errors
/// The first answer that is not the right one: figures for different answers would
/// mean nothing.
pub fn agree(engines: &mut [Box<dyn Engine>], requests: &[Request]) -> anyhow::Result<()> {
    for request in requests {
        for engine in &mut *engines {
            let said = engine.decide(request);
            anyhow::ensure!(
                said.agrees(request.answer),
                "{} says {said:?} to {request:?}",
                engine.name()
            );
        }
    }
    Ok(())
}
