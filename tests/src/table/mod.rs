//! The table of cases: what every level must answer, written once.
//!
//! `tests/cases/*.yaml` hold the rows, one topic a file; `tests/cases/policies/` the
//! documents that they are decided by, one directory a [`World`]; `workloads.yaml` who
//! the rows name. A level turns a [`Row`] into a [`Got`] in its own way, and
//! [`Row::judge`] says what is wrong with it.
//!
//! Texts of requests are Latin-1: one character is one byte, so that `"\xff"` is the byte
//! FF and a row can hold what no UTF-8 text can. `{{a*9000}}` stands for 9,000 `a`.

mod check;
mod envoy;
mod expect;
mod got;
mod http2;
mod judge;
mod place;
mod proxy;
mod raw;
mod records;
mod report;
mod request;
mod row;
mod service;
mod via;
mod wallet;
mod workloads;

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};

pub use check::{answered, native_check};
pub use envoy::{AUTHORITY, Callers};
pub use expect::{Answer, Bare, Expect, Miss};
pub use got::{Decided, Forwarded, Got, Headers, Parties, Refusal};
pub use place::{Form, Level, Place, Protocol};
pub use proxy::Proxy;
pub use records::Records;
pub use report::Report;
pub use request::{Call, Kind};
pub use row::{Row, World};
pub use service::Service;
pub use via::{Said, Via};
pub use wallet::{Shown, Wallet, url_encoded};
pub use workloads::{CallerSpec, Fault, Sent, Workloads};

/// The rows, and who they name.
#[derive(Debug)]
pub struct Table {
    /// In the order of files and lines.
    pub rows: Vec<Row>,
    /// Every caller and callee that a row may name.
    pub workloads: Workloads,
}

impl Table {
    /// Reads `tests/cases/`.
    ///
    /// # Errors
    /// When a file is not as this module says; the error names file and row.
    pub fn load() -> Result<Self> {
        let workloads = Workloads::read(&directory().join("workloads.yaml"))?;
        let mut rows: Vec<Row> = Vec::new();
        for path in files()? {
            let file = raw::File::read(&path).with_context(|| path.display().to_string())?;
            for row in file.rows(&workloads)? {
                let twice = rows
                    .iter()
                    .any(|r| r.file == row.file && r.name == row.name);
                ensure!(!twice, "{}: `{}` names two rows", row.file, row.name);
                rows.push(row);
            }
        }
        Ok(Self { rows, workloads })
    }

    /// The rows of `world`.
    pub fn of(&self, world: World) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.world == world)
    }
}

/// Where the table is.
#[must_use]
pub fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cases")
}

fn files() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory())? {
        let path = entry?.path();
        let is_rows = path.extension().is_some_and(|e| e == "yaml")
            && path
                .file_name()
                .is_some_and(|name| name != "workloads.yaml");
        if is_rows {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use callgate_policy::Reason;

    use super::*;

    fn places() -> Vec<Place> {
        let forms = [Form::Ours, Form::Native];
        let protocols = [Protocol::Http1, Protocol::Http2];
        let envoys = forms
            .into_iter()
            .flat_map(|f| protocols.map(|p| Place::envoy(f, p)));
        let servers = forms.into_iter().map(Place::server);
        [Place::DECIDE, Place::FILTER]
            .into_iter()
            .chain(servers)
            .chain(envoys)
            .collect()
    }

    #[test]
    fn there_are_rows_for_every_answer() {
        let table = Table::load().unwrap();
        assert!(table.rows.len() >= 400, "{}", table.rows.len());
        for reason in Reason::ALL {
            let found = table.rows.iter().any(
                |row| matches!(&row.expect, Expect::Answer(answer) if answer.reason == reason),
            );
            assert!(found, "{reason}");
        }
    }

    #[test]
    fn everyone_listed_is_in_some_row() {
        let table = Table::load().unwrap();
        for (name, _) in table.workloads.callees() {
            assert!(
                table.rows.iter().any(|row| row.to == name),
                "callee `{name}`"
            );
        }
        for name in table.workloads.callers() {
            assert!(
                table
                    .rows
                    .iter()
                    .any(|row| row.caller == name || row.peer() == name),
                "caller `{name}`"
            );
        }
    }

    #[test]
    fn no_two_differences_are_equally_close() {
        for row in Table::load().unwrap().rows {
            for place in places() {
                let mut closeness: Vec<usize> = row
                    .differs
                    .iter()
                    .filter_map(|d| d.scope.closeness(place))
                    .collect();
                closeness.sort_unstable();
                closeness.reverse();
                let tie = closeness.get(..2).is_some_and(|two| two[0] == two[1]);
                assert!(!tie, "{}:{}: `{}` at {place}", row.file, row.line, row.name);
            }
        }
    }

    #[test]
    fn every_difference_applies_somewhere() {
        for row in Table::load().unwrap().rows {
            for difference in &row.differs {
                let applies = places()
                    .into_iter()
                    .any(|p| difference.scope.closeness(p).is_some());
                assert!(applies, "{}:{}: `{}`", row.file, row.line, row.name);
            }
        }
    }
}
