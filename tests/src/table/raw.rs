//! A file of rows, as written.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, bail, ensure};
use callgate_policy::Timestamp;
use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Call, Protocol, Row, Said, Via, Workloads, World, expect::RawExpect};

pub(super) struct File {
    name: String,
    world: World,
    rows: Vec<(usize, RawRow)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    world: World,
    rows: Vec<RawRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRow {
    name: String,
    world: Option<World>,
    caller: String,
    via: Option<String>,
    said: Option<Said>,
    to: String,
    request: String,
    #[serde(default)]
    headers: BTreeMap<String, RawValue>,
    over: Option<Vec<RawProtocol>>,
    at: Option<String>,
    expect: RawExpect,
    #[serde(default)]
    differs: BTreeMap<String, RawExpect>,
}

/// A header's value, its values, or that it is left out.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawValue {
    Absent(()),
    One(String),
    Many(Vec<String>),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawProtocol {
    H1,
    H2,
}

impl File {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)?;
        let raw: RawFile = serde_yaml_ng::from_str(&text)?;
        let lines = lines_of_rows(&text);
        // The parser gives no positions; a row is an item at the list's own indent.
        ensure!(
            lines.len() == raw.rows.len(),
            "rows begin with two spaces and a dash"
        );
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Ok(Self {
            name,
            world: raw.world,
            rows: lines.into_iter().zip(raw.rows).collect(),
        })
    }

    pub(super) fn rows(self, workloads: &Workloads) -> Result<Vec<Row>> {
        let (file, world) = (self.name, self.world);
        let rows = self.rows.into_iter();
        rows.map(|(line, raw)| {
            let context = format!("{file}:{line}: `{}`", raw.name);
            raw.row(&file, line, world, workloads).context(context)
        })
        .collect()
    }
}

fn lines_of_rows(text: &str) -> Vec<usize> {
    let numbered = text.lines().zip(1..);
    numbered
        .filter(|(line, _)| line.starts_with("  - "))
        .map(|(_, number)| number)
        .collect()
}

impl RawRow {
    fn row(self, file: &str, line: usize, world: World, workloads: &Workloads) -> Result<Row> {
        workloads.caller(&self.caller)?;
        let via = match (self.via, self.said) {
            (None, Some(_)) => bail!("nobody says so: `said` belongs to `via`"),
            (None, None) => None,
            (Some(peer), said) => {
                workloads.caller(&peer)?;
                let said = said.unwrap_or_default();
                Some(Via { peer, said })
            }
        };
        workloads.callee(&self.to)?;
        let headers = self
            .headers
            .into_iter()
            .flat_map(|(name, value)| value.values(name));
        let call = Call::parse(&self.request, headers.collect())?;
        let over = match self.over {
            Some(over) => over.into_iter().map(RawProtocol::protocol).collect(),
            None => call.usual_protocols(),
        };
        let expect = self.expect.main()?;
        let differs = self.differs.into_iter();
        let differs = differs
            .map(|(scope, raw)| raw.difference(&scope, &expect))
            .collect::<Result<_>>()?;
        Ok(Row {
            name: self.name,
            file: file.to_owned(),
            line,
            world: self.world.unwrap_or(world),
            caller: self.caller,
            via,
            to: self.to,
            call,
            over,
            at: self.at.as_deref().map(timestamp).transpose()?,
            expect,
            differs,
        })
    }
}

impl RawValue {
    fn values(self, name: String) -> Vec<(String, Option<String>)> {
        match self {
            Self::Absent(()) => vec![(name, None)],
            Self::One(value) => vec![(name, Some(value))],
            Self::Many(values) => values
                .into_iter()
                .map(|value| (name.clone(), Some(value)))
                .collect(),
        }
    }
}

impl RawProtocol {
    const fn protocol(self) -> Protocol {
        match self {
            Self::H1 => Protocol::Http1,
            Self::H2 => Protocol::Http2,
        }
    }
}

fn timestamp(text: &str) -> Result<Timestamp> {
    Ok(Timestamp::from_secs(
        OffsetDateTime::parse(text, &Rfc3339)?.unix_timestamp(),
    ))
}
