//! What is asked of the figures.

use serde::Serialize;

use crate::Table;

/// A figure and what is asked of it.
#[derive(Clone, Debug, Serialize)]
pub struct Target {
    what: String,
    limit: Limit,
    measured: f64,
    unit: &'static str,
    met: bool,
}

/// A bound.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Limit {
    /// Not more than this.
    AtMost(f64),
    /// Not less than this.
    AtLeast(f64),
}

impl Target {
    /// Holds `measured` against `limit`; `unit` is that of both.
    #[must_use]
    pub fn new(what: impl Into<String>, limit: Limit, measured: f64, unit: &'static str) -> Self {
        let met = match limit {
            Limit::AtMost(most) => measured <= most,
            Limit::AtLeast(least) => measured >= least,
        };
        Self {
            what: what.into(),
            limit,
            measured,
            unit,
            met,
        }
    }
}

/// Every target, a row each.
pub(crate) fn table(targets: &[Target]) -> Table {
    let mut table = Table::new("Targets", &["target", "asked", "measured", "met"]);
    for target in targets {
        let unit = target.unit;
        let asked = match target.limit {
            Limit::AtMost(most) => format!("at most {most}{unit}"),
            Limit::AtLeast(least) => format!("at least {least}{unit}"),
        };
        let met = if target.met { "yes" } else { "NO" };
        table.row(vec![
            target.what.clone(),
            asked,
            format!("{:.2}{unit}", target.measured),
            met.into(),
        ]);
    }
    table
}
