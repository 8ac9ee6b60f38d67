//! The story as a table, a line as soon as its step is done.

use callgate_tests::caller::Answer;
use serde_json::Value;

/// What a step is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// In a few words.
    pub(crate) title: &'static str,
    /// Who calls, as a newcomer would say it.
    pub(crate) caller: &'static str,
    /// Method and path.
    pub(crate) call: &'static str,
    /// The status to be answered.
    pub(crate) status: u16,
    /// The reason of the decision, or of the filter.
    pub(crate) reason: &'static str,
    /// The rule that decides, if one does.
    pub(crate) rule: Option<&'static str>,
}

/// Prints rows and counts them.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: usize,
}

impl Table {
    /// How many rows there are.
    pub(crate) fn steps(&self) -> usize {
        self.rows
    }

    /// One row; `record` is the decision's, where there is one.
    pub(crate) fn row(&mut self, step: &Step, answer: &Answer, record: Option<&Value>) {
        if self.rows == 0 {
            line(
                ["", "step", "caller", "call", "answer", "reason", "rule"],
                "ms",
            );
            let rule = |width| "-".repeat(width);
            line(WIDTHS.map(rule).each_ref().map(String::as_str), "------");
        }
        self.rows += 1;
        let (number, status) = (self.rows.to_string(), answer.status.to_string());
        let milliseconds = format!("{:.1}", answer.took.as_secs_f64() * 1e3);
        let reason = reason(answer, record);
        let rule = record.and_then(|r| text(r, "/rule")).unwrap_or("-");
        line(
            [
                &number,
                step.title,
                step.caller,
                step.call,
                &status,
                reason,
                rule,
            ],
            &milliseconds,
        );
        if let Some(miss) = record.and_then(nearest_miss) {
            self.note(&miss);
        }
    }

    /// A remark on the row above.
    pub(crate) fn note(&self, text: &str) {
        println!("   {text}");
    }
}

/// Why it was answered so: the filter's own word, or the record's.
pub(crate) fn reason<'a>(answer: &'a Answer, record: Option<&'a Value>) -> &'a str {
    answer
        .reason()
        .or_else(|| record.and_then(|r| text(r, "/reason")))
        .unwrap_or("-")
}

/// A field of a record.
pub(crate) fn text<'a>(record: &'a Value, field: &str) -> Option<&'a str> {
    record.pointer(field).and_then(Value::as_str)
}

const WIDTHS: [usize; 7] = [2, 38, 8, 16, 6, 17, 22];

fn line(cells: [&str; 7], last: &str) {
    let mut text = String::new();
    for (cell, width) in cells.iter().zip(WIDTHS) {
        text.push_str(&format!("{cell:<width$} "));
    }
    println!("{text}{last:>6}");
}

fn nearest_miss(record: &Value) -> Option<String> {
    let field = |name: &str| text(record, &format!("/nearestMiss/{name}"));
    Some(format!(
        "nearest: {} ({}): {} wants {}, saw {}",
        field("rule")?,
        field("policy")?,
        field("clause")?,
        field("expected")?,
        field("actual")?,
    ))
}
