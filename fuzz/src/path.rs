//! Request paths.

use anyhow::{Result, ensure};
use callgate_policy::{CanonicalPath, PathOptions};
use percent_encoding::percent_decode_str;

/// The first byte says what the service keeps, the rest is the request target. What is
/// canonical stays so in its one spelling; where nothing is kept, readers that differ in
/// every way known to us see the same segments; and what is refused is refused by a
/// reference too.
///
/// # Errors
/// When the parser is wrong.
pub fn path(bytes: &[u8]) -> Result<()> {
    let Some((first, target)) = bytes.split_first() else {
        return Ok(());
    };
    let Ok(target) = std::str::from_utf8(target) else {
        return Ok(());
    };
    let options = PathOptions {
        keep_encoded_slash: first & 1 != 0,
        keep_parameters: first & 2 != 0,
        ignore_trailing_slash: first & 4 != 0,
    };
    let parsed = CanonicalPath::parse(target, options);
    let expected = naive(target, options);
    ensure!(
        parsed.is_ok() == expected.is_some(),
        "`{target}` {options:?}: {parsed:?}"
    );

    let (Ok(parsed), Some((segments, slash))) = (parsed, expected) else {
        return Ok(());
    };
    ensure!(
        parsed.segments().eq(&segments),
        "`{target}`: {segments:?} by the reference"
    );
    ensure!(
        parsed.has_trailing_slash() == slash,
        "the trailing slash of `{target}`"
    );
    stays(&parsed, options)?;
    if !options.keep_encoded_slash && !options.keep_parameters {
        every_reader_agrees(target, &parsed)?;
    }
    Ok(())
}

/// The one spelling is a fixed point.
fn stays(path: &CanonicalPath<'_>, options: PathOptions) -> Result<()> {
    // A kept `/` within a segment would be spelled as a separator.
    if path.segments().any(|segment| segment.contains('/')) {
        return Ok(());
    }
    let spelled = path.to_string();
    let spelled = if spelled.is_empty() {
        "/".to_owned()
    } else {
        spelled
    };
    let again = CanonicalPath::parse(&spelled, options);
    ensure!(
        again.as_ref().map(ToString::to_string) == Ok(path.to_string()),
        "`{spelled}`: {again:?}"
    );
    let same = again.is_ok_and(|again| again.segments().eq(path.segments()));
    ensure!(same, "`{spelled}` has other segments");
    Ok(())
}

/// What servers, routers and proxies are known to do to a path, each on its own.
fn every_reader_agrees(target: &str, path: &CanonicalPath<'_>) -> Result<()> {
    let raw = target.split('?').next().unwrap_or_default();
    let readings: [(&str, String); 6] = [
        ("decodes before it splits", decoded(raw)),
        ("decodes twice", decoded(&decoded(raw))),
        ("takes `\\` for `/`", decoded(raw).replace('\\', "/")),
        ("merges slashes", merged(&decoded(raw))),
        ("cuts parameters", cut(&decoded(raw))),
        (
            "ends at NUL",
            decoded(raw)
                .split('\0')
                .next()
                .unwrap_or_default()
                .to_owned(),
        ),
    ];
    for (reader, text) in readings {
        let segments: Vec<&str> = text.split('/').skip(1).collect();
        let kept = match segments.split_last() {
            Some((&"", kept)) => kept,
            _ => &segments,
        };
        ensure!(
            path.segments().eq(kept.iter().copied()),
            "`{target}` to one that {reader}: {kept:?}"
        );
        let resolved = !kept.iter().any(|segment| ["", ".", ".."].contains(segment));
        ensure!(
            resolved,
            "`{target}` to one that {reader} and resolves: {kept:?}"
        );
    }
    Ok(())
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn merged(text: &str) -> String {
    let mut out = text.to_owned();
    while out.contains("//") {
        out = out.replace("//", "/");
    }
    out
}

fn cut(text: &str) -> String {
    let segments: Vec<&str> = text
        .split('/')
        .map(|s| s.split(';').next().unwrap_or(s))
        .collect();
    segments.join("/")
}

/// The rules of the policy language, one by one.
fn naive(target: &str, options: PathOptions) -> Option<(Vec<String>, bool)> {
    let raw = target.split('?').next()?;
    let refused = |b: u8| b <= b' ' || b == 0x7f || b == b'\\';
    if target.contains('#') || !raw.starts_with('/') || raw.bytes().any(refused) {
        return None;
    }
    if raw.contains(';') && !options.keep_parameters {
        return None;
    }
    let mut segments: Vec<&str> = raw.split('/').skip(1).collect();
    let slash = segments.last().is_some_and(|last| last.is_empty());
    if slash {
        segments.pop();
    }
    let segments = segments.into_iter().map(|raw| naive_segment(raw, options));
    Some((segments.collect::<Option<_>>()?, slash))
}

fn naive_segment(raw: &str, options: PathOptions) -> Option<String> {
    let plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@";
    let hex = |text: &str| {
        let two = text
            .get(..2)
            .filter(|two| two.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u8::from_str_radix(two, 16).ok()
    };
    for (at, _) in raw.match_indices('%') {
        let after = raw.get(at + 1..)?;
        let value = char::from(hex(after)?);
        let twice = value == '%' && after.get(2..).and_then(hex).is_some();
        let slash = value == '/' && !options.keep_encoded_slash;
        if plain.contains(value)
            || value == '\\'
            || value < ' '
            || value == '\x7f'
            || slash
            || twice
        {
            return None;
        }
    }
    let text = percent_decode_str(raw).decode_utf8().ok()?.into_owned();
    if text.chars().any(char::is_control) || text.is_empty() {
        return None;
    }
    // Whatever a reader splits off behind a kept character must be a name, too.
    let names: Vec<&str> = if options.keep_encoded_slash || options.keep_parameters {
        let pieces = text.split('/').filter(|piece| !piece.is_empty());
        pieces
            .map(|piece| piece.split(';').next().unwrap_or(piece))
            .collect()
    } else {
        vec![&text]
    };
    let resolves = names.iter().any(|name| ["", ".", ".."].contains(name));
    (!resolves).then_some(text)
}
