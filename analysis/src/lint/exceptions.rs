//! Exceptions that have ended, and that are about to.

use callgate_policy::document::{Code, Finding};

use super::{LintOptions, Remarks, set::Set};

const DAY: i64 = 24 * 60 * 60 * 1_000;
const HOUR: i64 = 60 * 60 * 1_000;

pub(super) fn check(set: &Set<'_>, options: &LintOptions, remarks: &mut Remarks) {
    for rule in set.rules().flat_map(|rules| &rules.allow) {
        let Some(exception) = rule.spec.exception else {
            continue;
        };
        let (name, ends) = (&rule.spec.name, exception.expires);
        let span = rule.expires.unwrap_or(rule.name);
        let left = ends.as_millis().saturating_sub(options.now.as_millis());
        if left <= 0 {
            let message =
                format!("the exception of `{name}` has ended: the rule no longer matches");
            let finding = Finding::new(Code::ExpiredException, span, message);
            remarks.found.push(
                finding
                    .label(format!("{} ago", length(left.saturating_neg())))
                    .help("remove the rule, or have it approved anew"),
            );
        } else if left <= options.expiring_within {
            let message =
                format!("the exception of `{name}` is about to end: then its callers are refused");
            let finding = Finding::new(Code::ExpiringException, span, message);
            remarks
                .found
                .push(finding.label(format!("in {}", length(left))));
        } else {
            remarks.dormant.push((Code::ExpiringException, span));
            remarks.dormant.push((Code::ExpiredException, span));
        }
    }
}

/// A length of time in the unit that a person would take.
fn length(millis: i64) -> String {
    let (n, unit) = match millis {
        m if m >= 2 * DAY => (m / DAY, "days"),
        m if m >= 2 * HOUR => (m / HOUR, "hours"),
        m => (m / 60_000, "minutes"),
    };
    format!("{n} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_in_units_of_which_there_are_two() {
        let cases = [
            (0, "0 minutes"),
            (2 * HOUR - 1, "119 minutes"),
            (2 * HOUR, "2 hours"),
            (2 * DAY - 1, "47 hours"),
            (5 * DAY + HOUR, "5 days"),
        ];
        for (millis, expected) in cases {
            assert_eq!(length(millis), expected);
        }
    }
}
