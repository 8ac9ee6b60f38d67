//! Tables that read well on a terminal and are Markdown as they stand.

use std::fmt;

use serde::Serialize;

/// A table with a title.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(title: impl Into<String>, columns: &[&str]) -> Self {
        Self {
            title: title.into(),
            columns: columns.iter().map(|&c| c.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, one cell a column.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    fn widths(&self) -> Vec<usize> {
        let lines = || std::iter::once(&self.columns).chain(&self.rows);
        let width = |column: usize| {
            lines()
                .filter_map(|line| line.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        (0..self.columns.len()).map(width).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        write!(f, "{}\n\n{}", self.title, line(&self.columns, &widths))?;
        let rule: Vec<String> = widths.iter().map(|&w| "-".repeat(w)).collect();
        write!(f, "\n{}", line(&rule, &widths))?;
        self.rows
            .iter()
            .try_for_each(|row| write!(f, "\n{}", line(row, &widths)))
    }
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let cells: Vec<String> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:<width$}"))
        .collect();
    format!("| {} |", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new("t", &["engine", "p50"]);
        table.row(vec!["a".into(), "0.25 µs".into()]);
        assert_eq!(
            table.to_string(),
            "t\n\n| engine | p50     |\n| ------ | ------- |\n| a      | 0.25 µs |"
        );
    }
}
