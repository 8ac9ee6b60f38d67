//! Decision records, read back.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::{
    Decided, Got, Miss, Parties,
    expect::{reason, verdict},
};

/// What the server recorded, by decision id.
#[derive(Debug, Default)]
pub struct Records(BTreeMap<String, Decided>);

impl Records {
    /// From a decision log.
    ///
    /// # Errors
    /// When a line is not a record, or a decision is recorded twice.
    pub fn parse(log: &str) -> Result<Self> {
        let mut records = BTreeMap::new();
        for line in log.lines() {
            let (id, decided) = record(line).with_context(|| line.to_owned())?;
            if records.insert(id, decided).is_some() {
                bail!("recorded twice: {line}");
            }
        }
        Ok(Self(records))
    }

    /// Whether there is one of this decision.
    #[must_use]
    pub fn has(&self, decision: &str) -> bool {
        self.0.contains_key(decision)
    }

    /// Adds to `got` what was recorded of it.
    ///
    /// # Errors
    /// When it names a decision and there is no record of that.
    pub fn add_to(&self, got: &mut Got) -> Result<()> {
        if let Some(id) = got.decision() {
            let record = self
                .0
                .get(id)
                .with_context(|| format!("no record of {id}"))?;
            got.recorded(record.clone());
        }
        Ok(())
    }
}

/// As much of a record as a row can be about.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    id: String,
    verdict: String,
    reason: String,
    enforced: bool,
    rule: Option<String>,
    nearest_miss: Option<NearestMiss>,
    source: Party,
    forwarder: Option<Party>,
}

#[derive(Deserialize)]
struct Party {
    id: Option<String>,
}

#[derive(Deserialize)]
struct NearestMiss {
    rule: String,
    clause: String,
}

fn record(line: &str) -> Result<(String, Decided)> {
    let record: Record = serde_json::from_str(line)?;
    let decided = Decided {
        verdict: verdict(&record.verdict)?,
        reason: reason(&record.reason)?,
        enforced: record.enforced,
        rule: record.rule,
        miss: record.nearest_miss.map(|miss| Miss {
            rule: Some(miss.rule),
            clause: miss.clause,
        }),
        parties: Some(Parties {
            source: record.source.id,
            forwarder: record.forwarder.and_then(|party| party.id),
        }),
    };
    Ok((record.id, decided))
}
