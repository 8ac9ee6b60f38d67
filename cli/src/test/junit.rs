//! The results as CI systems read them: the XML that JUnit made common. A document is a
//! suite, a case is a case.

use std::fmt;

use callgate_analysis::suite::CaseReport;

use super::{Judged, human};
use crate::explain::Explainer;

pub(super) fn show(judged: &Judged<'_>) -> String {
    let report = judged.report;
    let explainer = human::explainer(judged);
    let coverage = judged.args.fail_under.is_some();
    let (tests, failures) = (
        report.cases.len() + usize::from(coverage),
        report.failed() + usize::from(!judged.covers_enough()),
    );
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"callgate\" tests=\"{tests}\" failures=\"{failures}\">\n"
    );
    for cases in report.cases.chunk_by(|a, b| std::ptr::eq(a.test, b.test)) {
        text.push_str(&suite(&explainer, cases));
    }
    if coverage {
        text.push_str(&covered(judged));
    }
    text.push_str("</testsuites>\n");
    text
}

/// The cases of one document.
fn suite(explainer: &Explainer<'_>, cases: &[CaseReport<'_>]) -> String {
    let failures = cases.iter().filter(|case| !case.passed()).count();
    let Some(first) = cases.first() else {
        return String::new();
    };
    let (name, file) = (Escaped(&first.test.name), Escaped(&first.test.file));
    let mut text = format!(
        "  <testsuite name=\"{name}\" file=\"{file}\" tests=\"{}\" failures=\"{failures}\">\n",
        cases.len()
    );
    for report in cases {
        let (case, line) = (Escaped(&report.case.name), report.case.line);
        text.push_str(&format!(
            "    <testcase classname=\"{name}\" name=\"{case}\" file=\"{file}\" line=\"{line}\""
        ));
        if report.passed() {
            text.push_str("/>\n");
        } else {
            let message = human::complaint(report);
            let told: Vec<String> = report
                .failures
                .iter()
                .take(human::EXPLAINED)
                .map(|failure| human::explained(explainer, report.case, failure, false))
                .collect();
            text.push_str(&format!(
                ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>\n",
                Escaped(&message),
                Escaped(told.join("\n").trim_end())
            ));
        }
    }
    text.push_str("  </testsuite>\n");
    text
}

/// Whether enough was covered, as a case.
fn covered(judged: &Judged<'_>) -> String {
    let lines = judged.report.coverage.lines();
    let wanted = judged.args.fail_under.unwrap_or_default();
    let enough = judged.covers_enough();
    let failure = if enough {
        "/>\n".to_owned()
    } else {
        format!(
            ">\n      <failure message=\"{} of {} lines of `to` were met: {} %\"/>\n    </testcase>\n",
            lines.met,
            lines.of,
            lines.percent()
        )
    };
    format!(
        "  <testsuite name=\"coverage\" tests=\"1\" failures=\"{}\">\n    \
         <testcase classname=\"coverage\" name=\"at least {wanted} % of the lines\"{failure}  </testsuite>\n",
        usize::from(!enough)
    )
}

/// Text within XML. What XML 1.0 (section 2.2) has no way to write becomes U+FFFD.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\n' | '\t' => write!(f, "{c}")?,
                '\u{fffe}' | '\u{ffff}' => f.write_str("\u{fffd}")?,
                c if c.is_control() => f.write_str("\u{fffd}")?,
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Escaped;

    #[test]
    fn text_stays_text() {
        let told = Escaped("a < b & \"c\" > d\u{1b}[1m\n").to_string();
        assert_eq!(told, "a &lt; b &amp; &quot;c&quot; &gt; d\u{fffd}[1m\n");
    }
}
