//! The filter's configuration.

use std::time::Duration;

use anyhow::{Result, ensure};
use callgate_filter::Config;

/// A configuration that is taken keeps its bounds, means the same when its values are
/// written out, and is not taken with anything added or lost.
///
/// # Errors
/// When the parser is wrong.
pub fn filter_configuration(json: &[u8]) -> Result<()> {
    let Ok(config) = Config::parse(json) else {
        return Ok(());
    };
    ensure!(!config.cluster().is_empty(), "no cluster");
    let (timeout, stale) = (config.timeout(), config.max_stale());
    ensure!(
        (1..=10_000).contains(&timeout.as_millis()),
        "a timeout of {timeout:?}"
    );
    ensure!(
        !stale.is_zero() && stale <= Duration::from_secs(60),
        "a maxStale of {stale:?}"
    );

    let written = format!(
        r#"{{"cluster":{},"timeout":"{}","leases":{},"maxStale":"{}","danger_allow_on_error":{}}}"#,
        quoted(config.cluster()),
        seconds(timeout),
        config.leases(),
        seconds(stale),
        config.danger_allow_on_error(),
    );
    let again = Config::parse(written.as_bytes())?;
    ensure!(format!("{again:?}") == format!("{config:?}"), "{written}");

    let text = json.trim_ascii();
    let more = [text.strip_suffix(b"}").unwrap_or(text), br#","another":1}"#].concat();
    ensure!(Config::parse(&more).is_err(), "{}", more.escape_ascii());
    let less = text.split_last().map_or(text, |(_, less)| less);
    ensure!(Config::parse(less).is_err(), "{}", less.escape_ascii());
    ensure!(
        Config::parse(&[json, b"{}"].concat()).is_err(),
        "two of {}",
        json.escape_ascii()
    );
    Ok(())
}

fn seconds(duration: Duration) -> String {
    format!("{}.{:09}s", duration.as_secs(), duration.subsec_nanos())
}

/// JSON, RFC 8259 section 7.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out + "\""
}
