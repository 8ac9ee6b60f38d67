//! What a benchmark shows: its figures as a table on the terminal, as JSON and as a
//! plot, and whether they meet the targets. A target that is missed is said, never
//! made an error: a shared machine is slow for reasons of its own.

mod machine;
mod plot;
mod stats;
mod table;
mod target;

use std::{fs, path::Path};

use anyhow::Context as _;
use serde::Serialize;

pub use machine::Machine;
pub use plot::{Bar, Plot};
pub use stats::{Latencies, differences, median, ratios};
pub use table::Table;
pub use target::{Limit, Target};

/// The result of one benchmark.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Its name, and that of the files, such as `decide`.
    pub name: &'static str,
    /// Where it ran.
    pub machine: Machine,
    /// The figures, for people.
    pub tables: Vec<Table>,
    /// The figures that matter most, against what is asked of them.
    pub targets: Vec<Target>,
    /// The figures as measured, for programs.
    pub figures: serde_json::Value,
    /// The figures at a glance, one below the other.
    #[serde(skip)]
    pub plots: Vec<Plot>,
}

impl Report {
    /// Prints the tables and the targets, and writes `NAME.md`, `NAME.json` and
    /// `NAME.svg` into `directory`, which is made if need be.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn publish(&self, directory: &Path) -> anyhow::Result<()> {
        let text = self.text();
        println!("\n{text}");
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make `{}`", directory.display()))?;
        let name = self.name;
        let page = format!("{text}\n\n![the figures as bars]({name}.svg)\n");
        self.write(directory, "md", &page)?;
        self.write(directory, "json", &serde_json::to_string_pretty(self)?)?;
        self.write(directory, "svg", &plot::svg(&self.plots))
    }

    /// Markdown that reads well on a terminal.
    fn text(&self) -> String {
        let head = format!("# {}\n\nOn {}.", self.name, self.machine);
        let tables = self.tables.iter().map(ToString::to_string);
        let parts: Vec<String> = std::iter::once(head)
            .chain(tables)
            .chain([target::table(&self.targets).to_string()])
            .collect();
        parts.join("\n\n")
    }

    fn write(&self, directory: &Path, kind: &str, text: &str) -> anyhow::Result<()> {
        let path = directory.join(format!("{}.{kind}", self.name));
        fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
        println!("wrote {}", path.display());
        Ok(())
    }
}
