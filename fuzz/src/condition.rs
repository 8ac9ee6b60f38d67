//! Conditions.

use anyhow::{Result, ensure};
use callgate_policy::Condition;

/// Whatever the text is, it is a condition or there is something to say of it, at a place
/// that it has; and a condition reads nothing that it may not.
///
/// # Errors
/// When the reader is wrong.
pub fn condition(bytes: &[u8]) -> Result<()> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Ok(());
    };
    match Condition::parse(text) {
        Ok(condition) => {
            for name in condition.headers() {
                let secret = callgate_wire::headers::is_secret(name.as_bytes());
                ensure!(!secret, "`{text}` reads `{name}`");
                let sent = callgate_wire::wanted::may_be_read(name);
                ensure!(sent, "`{text}` reads `{name}`, which no filter tells");
            }
            for (name, range) in condition.captures() {
                let written = text.get(range.clone()).unwrap_or_default();
                ensure!(
                    written.contains(name.as_str()) || written.contains('\\'),
                    "`{text}`: `{name}` at {range:?}"
                );
            }
        }
        Err(findings) => {
            ensure!(!findings.is_empty(), "`{text}`: nothing is said");
            for finding in findings {
                let place = text.get(finding.range.clone());
                ensure!(place.is_some(), "`{text}`: {finding:?}");
            }
        }
    }
    Ok(())
}
