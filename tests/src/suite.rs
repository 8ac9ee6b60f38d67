//! Test programs whose tests share one gate.
//!
//! An Envoy takes a second or two to start, so the tests of one file share it; and
//! it must end with the file, which a `static` would not see to. So these files
//! have a `main` of their own: it starts what is shared, runs the named tests, and
//! drops it.

use std::{future::Future, process::ExitCode, sync::Arc};

use anyhow::Result;
use libtest_mimic::{Arguments, Conclusion, Failed, Trial};
use tokio::runtime::{Handle, Runtime};

/// The tests of one file, over a shared `G`.
pub struct Suite<G> {
    runtime: Handle,
    gate: Arc<G>,
    trials: Vec<Trial>,
}

impl<G> std::fmt::Debug for Suite<G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Suite")
            .field("trials", &self.trials.len())
            .finish_non_exhaustive()
    }
}

impl<G: Send + Sync + 'static> Suite<G> {
    /// Adds a test.
    pub fn test<F>(&mut self, name: impl Into<String>, test: fn(Arc<G>) -> F)
    where
        F: Future<Output = Result<()>> + 'static,
    {
        self.case(name, test);
    }

    /// Adds a test that is a closure, as the rows of a table are.
    pub fn case<F>(
        &mut self,
        name: impl Into<String>,
        test: impl FnOnce(Arc<G>) -> F + Send + 'static,
    ) where
        F: Future<Output = Result<()>> + 'static,
    {
        let (runtime, gate) = (self.runtime.clone(), Arc::clone(&self.gate));
        self.trials.push(Trial::test(name, move || {
            runtime
                .block_on(test(gate))
                .map_err(|error| Failed::from(format!("{error:#}")))
        }));
    }
}

/// Starts the gate, runs the tests, and ends the gate whatever they do; `report`
/// gives what to show of it when a test fails.
#[must_use]
pub fn run<G, S>(
    start: impl FnOnce() -> S,
    add: impl FnOnce(&mut Suite<G>),
    report: impl FnOnce(&G) -> String,
) -> ExitCode
where
    G: Send + Sync + 'static,
    S: Future<Output = Result<G>>,
{
    let arguments = Arguments::from_args();
    match conclude(&arguments, start, add, report) {
        Ok(conclusion) => conclusion.exit_code(),
        Err(error) => {
            eprintln!("the tests could not start: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn conclude<G, S>(
    arguments: &Arguments,
    start: impl FnOnce() -> S,
    add: impl FnOnce(&mut Suite<G>),
    report: impl FnOnce(&G) -> String,
) -> Result<Conclusion>
where
    G: Send + Sync + 'static,
    S: Future<Output = Result<G>>,
{
    let runtime = Runtime::new()?;
    let gate = Arc::new(runtime.block_on(start())?);
    let mut suite = Suite {
        runtime: runtime.handle().clone(),
        gate: Arc::clone(&gate),
        trials: Vec::new(),
    };
    add(&mut suite);
    let conclusion = libtest_mimic::run(arguments, suite.trials);
    if conclusion.has_failed() {
        eprintln!("{}", report(&gate));
    }
    Ok(conclusion)
}
