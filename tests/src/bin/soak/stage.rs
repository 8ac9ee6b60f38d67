//! Everything that runs: one gate, its server, and what is known of them.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result};
use callgate_tests::{Face, Gate, Host, Validation, artifact, callgate::Callgate};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    accounts::Accounts,
    oracle::{Oracle, World, Wrong},
};

pub(crate) const CALLEE: &str = "/ns/soak/sa/orders";
pub(crate) const FACE: Face = (Host::Filter, Validation::Spiffe);
/// Longer than a decision takes on a busy machine, so that a call that waits for longer is
/// one that waits in vain.
const TIMEOUT: &str = "2s";
/// The exception ends when this much of the run is over.
const EXCEPTION: f64 = 0.6;
/// More are counted, not kept.
const SHOWN: usize = 20;

/// What callers, events and the end of the run share.
pub(crate) struct Stage {
    pub(crate) gate: Gate,
    /// One event at a time has it.
    pub(crate) server: tokio::sync::Mutex<Callgate>,
    policies: PathBuf,
    exception: OffsetDateTime,
    oracle: Mutex<Oracle>,
    accounts: Mutex<Accounts>,
    tally: Mutex<Tally>,
    stop: AtomicBool,
}

/// What was counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) allowed: u64,
    pub(crate) refused: u64,
    /// Closed or lost, when they might be.
    pub(crate) closed: u64,
    pub(crate) certificates: u64,
    pub(crate) streams: u64,
    pub(crate) streams_cut: u64,
    pub(crate) wrong_allows: u64,
    pub(crate) wrong_refusals: u64,
    /// The first ones, in words.
    pub(crate) wrong: Vec<String>,
}

impl Tally {
    pub(crate) fn wrong(&mut self, wrong: &Wrong) {
        match wrong {
            Wrong::Allow(_) => self.wrong_allows += 1,
            Wrong::Refusal(_) => self.wrong_refusals += 1,
        }
        if self.wrong.len() < SHOWN {
            self.wrong.push(wrong.to_string());
        }
    }
}

impl Stage {
    /// Starts it, for a run of that length. `open`: with a filter that lets calls pass when
    /// nobody can decide, so that there is something to be found.
    pub(crate) async fn set(length: Duration, open: bool) -> Result<Self> {
        let exception = length.mul_f64(EXCEPTION);
        let ends = Instant::now() + exception;
        let exception = OffsetDateTime::from(SystemTime::now() + exception);
        let world = World {
            guests: true,
            ..World::default()
        };
        let mut gate = Gate::of(&[CALLEE])
            .faces(&[FACE])
            .timeout(TIMEOUT)
            .filter(artifact::trapping_filter()?)
            .policy("orders.yaml", &policy(&world, exception)?)
            .adapt(move |config| adapt(config, open))
            .start()
            .await?;
        let server = gate.server.take().context("no server")?;
        Ok(Self {
            policies: server.policies().to_owned(),
            accounts: Mutex::new(Accounts::new(server.decisions())),
            server: tokio::sync::Mutex::new(server),
            gate,
            exception,
            oracle: Mutex::new(Oracle::new(world, ends)),
            tally: Mutex::default(),
            stop: AtomicBool::new(false),
        })
    }

    pub(crate) fn oracle(&self) -> MutexGuard<'_, Oracle> {
        self.oracle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether callers are to go on.
    pub(crate) fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Acquire)
    }

    /// Callers end.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Makes this the world: the oracle hears of it, then the files have it.
    pub(crate) fn change(&self, change: impl FnOnce(&mut World)) -> Result<()> {
        let mut world = self.oracle().world();
        let before = world.clone();
        change(&mut world);
        self.oracle().change(Instant::now(), world.clone());
        for workload in before.revoked.difference(&world.revoked) {
            fs::remove_file(self.revocation(&workload.0))?;
        }
        for workload in world.revoked.difference(&before.revoked) {
            let text = format!(
                "apiVersion: callgate.dev/v1alpha1\nkind: Revocation\n\
                 metadata: {{name: {name}}}\nspec:\n  id: spiffe://example.org{id}\n  \
                 reason: the soak\n  revokedBy: soak@example.org\n",
                name = workload.0,
                id = workload.path(),
            );
            replace(&self.revocation(&workload.0), &text)?;
        }
        let text = policy(&world, self.exception)?;
        replace(&self.policies.join("orders.yaml"), &text)
    }

    fn revocation(&self, name: &str) -> PathBuf {
        self.policies.join(format!("revocation-{name}.yaml"))
    }
}

fn replace(path: &Path, text: &str) -> Result<()> {
    let aside = path.with_extension("new");
    fs::write(&aside, text)?;
    Ok(fs::rename(aside, path)?)
}

fn adapt(config: &mut Value, open: bool) -> Result<()> {
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    let manager = config.pointer_mut(manager).context("no listener")?;
    // A line for each of millions of calls helps nobody.
    if let Some(log) = manager.pointer_mut("/access_log") {
        *log = json!([]);
    }
    let value = "/http_filters/0/typed_config/config/configuration/value";
    let value = manager.pointer_mut(value).and_then(Value::as_object_mut);
    let value = value.context("no configuration")?;
    if open {
        value.insert("danger_allow_on_error".to_owned(), json!(true));
    }
    Ok(())
}

/// The rules of [`crate::oracle::Ask`].
fn policy(world: &World, exception: OffsetDateTime) -> Result<String> {
    let mut text = format!(
        "kind: MeshPolicy
metadata: {{name: mesh}}
spec: {{trustDomain: example.org}}
---
kind: ServicePolicy
metadata: {{name: orders}}
spec:
  services: [{CALLEE}]
  owner: team-orders
  help: \"#team-orders\"
  allow:
    - {{name: reads, from: [/ns/soak/sa/*], to: ['GET /orders/{{order}}', 'POST /orders']}}
    - name: reports
      from: [/ns/soak/sa/*]
      to: ['GET /reports/{{report}}']
      when: request.headers[\"x-purpose\"] == \"reporting\"
    - name: exports
      from: [/ns/soak/sa/*]
      to: [GET /exports/**]
      exception:
        reason: until the soak has gone on for a while
        ticket: SOAK-1
        approvedBy: soak@example.org
        expires: {expires}
",
        expires = exception.format(&Rfc3339)?,
    );
    if world.guests {
        text += "    - name: guests
      from: [/ns/soak/sa/*]
      to: ['GET /guests/{guest}', 'WEBSOCKET /guests/live', 'GRPC soak.Guests/*']
";
    }
    text += "  deny:
    - {name: nobody-administers, from: [/ns/soak/**], to: [ANY /admin/**]}
";
    Ok(text)
}
