//! `callgate check --explain CG012`: what the handbook says of a code.

use anyhow::Context as _;
use callgate_policy::document::Code;
use serde_json::json;

use super::CheckFormat;

/// The page that readers of the repository see; a test writes it, so it is whole.
const HANDBOOK: &str = include_str!("../../../docs/errors.md");

/// Reads the name of a code.
pub(crate) fn code(text: &str) -> Result<Code, String> {
    Code::named(&text.to_ascii_uppercase()).ok_or_else(|| {
        "there is no such code: they look like `CG012`, and stand in the findings".to_owned()
    })
}

/// What `code` means, with an example.
pub(super) fn show(code: Code, format: CheckFormat) -> anyhow::Result<String> {
    let page = section(code).with_context(|| format!("there is no page about {code}"))?;
    Ok(match format {
        CheckFormat::Human => format!("{code} ({})\n\n{}", code.severity(), plain(page)),
        _ => {
            let page =
                json!({"code": code.as_str(), "severity": code.severity().as_str(), "page": page});
            serde_json::to_string_pretty(&page)? + "\n"
        }
    })
}

/// The section about `code`, without its heading.
fn section(code: Code) -> Option<&'static str> {
    let heading = format!("\n## {code}\n");
    let (_, rest) = HANDBOOK.split_once(&heading)?;
    Some(rest.split("\n## ").next().unwrap_or(rest).trim())
}

/// Markdown as far as the handbook has it, for a terminal: examples indented.
fn plain(page: &str) -> String {
    let mut text = String::new();
    for (index, part) in page.split("```").enumerate() {
        if index % 2 == 0 {
            text.push_str(part.trim_matches('\n'));
            text.push_str("\n\n");
        } else {
            for line in part.trim_matches('\n').lines() {
                text.push_str(format!("    {line}").trim_end());
                text.push('\n');
            }
        }
    }
    text.trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_page() {
        for &code in Code::ALL {
            let page = show(code, CheckFormat::Human).unwrap();
            assert!(page.contains(code.meaning()), "{page}");
            assert!(
                page.contains(&format!("    {}[{code}]", code.severity())),
                "{page}"
            );
        }
    }

    #[test]
    fn codes_are_found_however_they_are_written() {
        assert_eq!(code("cg012"), Ok(Code::Empty));
        assert!(code("CG0505").unwrap_err().contains("they look like"));
    }
}
