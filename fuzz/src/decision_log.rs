//! Decision logs: whatever is in one, it is read, replayed and made into rules.

use std::io::Cursor;

use anyhow::{Result, bail, ensure};
use callgate_analysis::{
    generate::{GenerateOptions, Generator, LeftOut},
    log,
    replay::{Direction, Replay, Window},
};
use callgate_policy::{
    PolicySet,
    document::{LoadOptions, Source, load},
};
use serde_json::Value;

/// What begins a log that is compressed; there, damage is an error.
const PACKED: [&[u8]; 2] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd]];

/// Every line that has text is told once, in order; a record is JSON with the method and
/// the path that it tells. Rules that are generated from it load, and refuse nothing that
/// passed and was not left out.
///
/// # Errors
/// When that is wrong.
pub fn decision_log(bytes: &[u8]) -> Result<()> {
    if PACKED.iter().any(|magic| bytes.starts_with(magic)) {
        // Lines of what could be unpacked, or an error.
        let _ = log::read(Cursor::new(bytes.to_vec()), |_| ());
        return Ok(());
    }
    read(bytes)?;
    generate(bytes)
}

fn read(bytes: &[u8]) -> Result<()> {
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let (mut told, mut last, mut wrong) = (0, 0, None);
    log::read(Cursor::new(bytes.to_vec()), |line| {
        told += 1;
        let index = usize::try_from(line.number).unwrap_or(usize::MAX);
        let text = lines.get(index.wrapping_sub(1)).copied();
        let Ok(record) = &line.content else {
            last = line.number;
            return;
        };
        let json: Value = serde_json::from_slice(text.unwrap_or_default()).unwrap_or_default();
        let is = |field: &str, value: &str| json.get(field).is_some_and(|it| it == value);
        let same = is("method", &record.method) && is("path", &record.path);
        if line.number <= last || !same {
            wrong = Some(line.number);
        }
        last = line.number;
    })?;
    if let Some(line) = wrong {
        bail!("line {line} is told out of order, or otherwise than it is");
    }
    let texts = lines.iter().filter(|line| !line.trim_ascii().is_empty());
    ensure!(told == texts.count(), "{told} lines are told");
    Ok(())
}

fn generate(bytes: &[u8]) -> Result<()> {
    let mut generator = Generator::new(GenerateOptions {
        services: Vec::new(),
        words: 3,
        mesh: None,
    });
    // Who is believed to call for others, a MeshPolicy says, and there is none.
    let mut forwarded = 0;
    log::read(Cursor::new(bytes.to_vec()), |line| {
        if let Ok(record) = line.content {
            forwarded += u64::from(record.forwarder.is_some());
            generator.add(&record);
        }
    })?;
    let documents = generator.finish("a log");
    if documents.documents.is_empty() {
        return Ok(());
    }
    let sources = (0..).zip(&documents.documents).map(|(n, one): (u32, _)| {
        let text = one
            .text
            .replace("enforcement: Shadow", "enforcement: Enforce");
        Source::new(format!("{n}.yaml"), text)
    });
    let sources: Vec<Source> = sources.collect();
    let loaded = match load(&sources, &LoadOptions::default()) {
        Ok(loaded) => loaded,
        Err(error) => bail!("what is generated does not load: {error}"),
    };
    let allowance = |why: &LeftOut| !matches!(why, LeftOut::Refused(_));
    let left_out = documents.documents.iter().map(|one| &one.left_out);
    let left_out: u64 = left_out
        .chain(documents.empty.iter().map(|(_, why)| why))
        .flat_map(|why| why.iter().filter(|(why, _)| allowance(why)))
        .map(|(_, count)| count)
        .sum();
    let narrowed = narrowed(&loaded.policies, bytes)?;
    ensure!(
        narrowed <= left_out + documents.beyond + forwarded,
        "{narrowed} calls are refused that passed, and {left_out} were left out"
    );
    Ok(())
}

fn narrowed(set: &PolicySet, bytes: &[u8]) -> Result<u64> {
    let mut replay = Replay::new(set, Window::default());
    replay.read(Cursor::new(bytes.to_vec()))?;
    let counts = replay.finish().counts.into_iter();
    let narrowed = counts.filter(|(change, _)| change.direction() == Direction::Narrowed);
    Ok(narrowed.map(|(_, count)| count).sum())
}
