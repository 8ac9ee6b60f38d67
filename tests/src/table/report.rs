//! What a level prints: one line a failing row.

use std::fmt;

use super::{Got, Place, Row, Workloads};

/// The outcome of a level.
#[derive(Debug, Default)]
pub struct Report {
    ran: usize,
    cannot: usize,
    failures: Vec<String>,
}

impl Report {
    /// Counts a row that was run, and keeps what is wrong with it.
    pub fn judge(&mut self, workloads: &Workloads, row: &Row, place: Place, got: &Got) {
        match got {
            Got::Cannot => self.cannot += 1,
            _ => self.ran += 1,
        }
        if let Err(error) = row.judge(workloads, place, got) {
            self.fail(row, place, &error);
        }
    }

    /// Counts a row that could not even be run.
    pub fn broken(&mut self, row: &Row, place: Place, error: &anyhow::Error) {
        self.ran += 1;
        self.fail(row, place, error);
    }

    fn fail(&mut self, row: &Row, place: Place, error: &anyhow::Error) {
        let Row {
            file, line, name, ..
        } = row;
        self.failures.push(format!(
            "tests/cases/{file}:{line}: {place}: `{name}`: {error:#}"
        ));
    }

    /// Ends the level.
    ///
    /// # Panics
    /// When a row failed, or fewer than `least` were run: a level that lost its rows
    /// must not pass.
    #[expect(clippy::panic, reason = "this is how a test reports")]
    pub fn finish(self, least: usize) {
        println!("{self}");
        assert!(
            self.ran >= least,
            "only {} rows were run, {least} are to be",
            self.ran
        );
        if !self.failures.is_empty() {
            panic!("{} of {} rows failed", self.failures.len(), self.ran);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for failure in &self.failures {
            writeln!(f, "{failure}")?;
        }
        let Self {
            ran,
            cannot,
            failures,
        } = self;
        write!(
            f,
            "{ran} run, {} failed, {cannot} that cannot be asked here",
            failures.len()
        )
    }
}
