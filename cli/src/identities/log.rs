//! Decision logs, line by line.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use callgate_policy::{Timestamp, document::parse_time};
use serde::Deserialize;

/// Bytes of a line. A record has some 600; its longest fields are bounded by what a
/// proxy takes as a header.
const MAX_LINE_BYTES: u64 = 1_048_576;

/// What is needed of a record.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) time: Timestamp,
    pub(super) refused: bool,
    pub(super) destination: String,
    pub(super) proxy: Option<String>,
    /// The caller, if it has a name.
    pub(super) source: Option<Seen>,
    /// Who passed the call on, if somebody did.
    pub(super) forwarder: Option<Seen>,
}

/// A caller in one record.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) id: String,
    pub(super) last_seen: Timestamp,
    pub(super) certificate_sha256: Option<String>,
    pub(super) not_before: Option<Timestamp>,
    pub(super) not_after: Option<Timestamp>,
    pub(super) issuer: Option<String>,
}

/// A record as it is written, without what is not needed here.
#[derive(Deserialize)]
struct Line {
    time: String,
    verdict: String,
    destination: String,
    proxy: Option<String>,
    source: Source,
    forwarder: Option<Source>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    id: Option<String>,
    certificate_sha256: Option<String>,
    not_before: Option<String>,
    not_after: Option<String>,
    issuer: Option<String>,
}

/// Gives every record of `path` to `take`; None for a line that is none.
pub(super) fn read(path: &Path, mut take: impl FnMut(Option<Record>)) -> io::Result<()> {
    let log: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path)?)
    };
    let mut log = BufReader::new(log);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = log
            .by_ref()
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        let is_whole = line.ends_with(b"\n");
        if is_whole || line.len() < usize::try_from(MAX_LINE_BYTES).unwrap_or(usize::MAX) {
            // The last line of a log that is being written may be half of one.
            take(serde_json::from_slice(&line).ok().and_then(Line::record));
        } else {
            take(None);
            log.skip_until(b'\n')?;
        }
    }
}

impl Line {
    fn record(self) -> Option<Record> {
        let time = parse_time(&self.time).ok()?;
        Some(Record {
            time,
            refused: self.verdict == "Deny",
            destination: self.destination,
            proxy: self.proxy,
            source: self.source.seen(time)?,
            forwarder: match self.forwarder {
                Some(forwarder) => forwarder.seen(time)?,
                None => None,
            },
        })
    }
}

impl Source {
    /// `Some(None)` for a caller without a name; None if a time in it is none.
    fn seen(self, time: Timestamp) -> Option<Option<Seen>> {
        let moment = |text: Option<String>| match text {
            Some(text) => parse_time(&text).ok().map(Some),
            None => Some(None),
        };
        let (not_before, not_after) = (moment(self.not_before)?, moment(self.not_after)?);
        Some(self.id.map(|id| Seen {
            id,
            last_seen: time,
            certificate_sha256: self.certificate_sha256,
            not_before,
            not_after,
            issuer: self.issuer,
        }))
    }
}
