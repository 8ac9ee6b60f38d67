//! Changes for a pull request: one table for each service.

use callgate_analysis::diff::{AccessChange, CallerChange, Direction, ServiceChange};

use super::{Shown, words};
use crate::output::printable;

pub(super) fn show(shown: &Shown<'_>) -> String {
    let diff = shown.diff;
    let mut text = format!("### Callgate: {}\n", words::summary(diff));
    for change in &diff.services {
        text.push_str(&service(change));
    }
    if !diff.settings.is_empty() {
        text.push('\n');
    }
    for setting in &diff.settings {
        text.push_str(&format!("- {}\n", escaped(&setting.text)));
    }
    if !diff.complete {
        text.push_str(&format!("\n**{}**\n", words::INCOMPLETE));
    }
    text.push_str(&format!(
        "\n<sub>{} → {}, as of {}; both versions decided each request shown</sub>\n",
        escaped(&shown.old),
        escaped(&shown.new),
        shown.at
    ));
    text
}

fn service(change: &ServiceChange) -> String {
    let services: Vec<String> = words::services(change)
        .iter()
        .map(|one| code(one))
        .collect();
    let name = change
        .policy
        .as_deref()
        .map(|name| format!("**{}** ", escaped(name)));
    let mut text = format!(
        "\n{}{}\n\n| | caller | access | for example | before | after |\n|---|---|---|---|---|---|\n",
        name.unwrap_or_default(),
        services.join(", ")
    );
    for caller in &change.callers {
        for access in &caller.accesses {
            text.push_str(&row(caller, access));
        }
    }
    text
}

fn row(caller: &CallerChange, access: &AccessChange) -> String {
    let sign = match (access.is_certain(), access.direction()) {
        (false, _) => "may differ",
        (true, Direction::Widened) => "**widens**",
        (true, Direction::Narrowed) => "narrows",
    };
    let who: Vec<String> = caller
        .who
        .iter()
        .map(|who| code(&words::who(who)))
        .collect();
    let mut what = code(words::what(access));
    if !access.except.is_empty() {
        let except: Vec<String> = access.except.iter().map(|one| code(one)).collect();
        what += &format!("<br>except {}", except.join(", "));
    }
    if let Some(when) = words::when(access) {
        what += &format!("<br>{when}");
    }
    for condition in &access.conditions {
        what += &format!("<br>when {}", code(condition));
    }
    let witness = &access.witness;
    let mut example = code(&witness.point.to_string());
    for (name, value) in &witness.headers {
        example += &format!("<br>{}", code(&format!("{name}: {value}")));
    }
    if !witness.unverified {
        example += &format!("<br>from {}", code(witness.point.caller().as_str()));
    }
    let cells = [
        sign.to_owned(),
        who.join("<br>"),
        what,
        example,
        escaped(&words::answer(&witness.old)),
        escaped(&words::answer(&witness.new)),
    ];
    format!("| {} |\n", cells.join(" | "))
}

/// Text that is shown as it is, in a cell of a table.
fn code(text: &str) -> String {
    let text = printable(text).replace('|', "\\|");
    // A fence longer than any run of backticks within.
    let runs = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(runs + 1);
    let pad = if runs > 0 { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

fn escaped(text: &str) -> String {
    let special = |c: char| matches!(c, '|' | '*' | '_' | '`' | '<' | '[' | '\\');
    let mut escaped = String::new();
    for c in printable(text).chars() {
        if special(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
