//! Batches of records, as bytes from a proxy.

use std::{
    io::{self, Cursor, Write},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use callgate_analysis::log;
use callgate_policy::{Reason, SpiffeId};
use callgate_server::{
    clock,
    gate::Gate,
    identity::Asker,
    live::{Live, Policies},
    metrics::Metrics,
    record::{Recorder, Sink},
    svid::Verifier,
};
use callgate_tests::table::World;
use callgate_wire::callgate::v1::{Caller, Decided, RecordRequest, Rule};
use prost::Message as _;

use crate::Corpus;

const ORDERS: &str = "spiffe://example.org/ns/shop/sa/orders";
const CHECKOUT: &str = "spiffe://example.org/ns/shop/sa/checkout";

/// How long a few lines in memory may take to be written.
const PATIENCE: Duration = Duration::from_secs(10);

/// A message that decodes is a batch, or is said to be none. Of a batch each decision is
/// one record, in order, as the proxy made it; of what is none there is no record; and the
/// same again leaves nothing more.
///
/// # Errors
/// When the gate is wrong.
pub fn record_request(bytes: &[u8]) -> Result<()> {
    static CORPUS: OnceLock<Option<Corpus>> = OnceLock::new();
    let corpus = CORPUS.get_or_init(|| corpus().ok());
    hold(bytes)?;
    hold(&corpus.as_ref().context("no corpus")?.mutant(bytes))
}

fn hold(bytes: &[u8]) -> Result<()> {
    let Ok(request) = RecordRequest::decode(bytes) else {
        return Ok(());
    };
    let kept = Kept::default();
    let recorder = Recorder::start(Sink::stream(kept.clone()))?;
    let metrics = Arc::new(Metrics::default());
    let gate = Gate::new(Arc::clone(live()?), recorder.clone(), metrics);
    let taken = gate.record(Asker::Unnamed, &request, clock::now());
    let again = gate.record(Asker::Unnamed, &request, clock::now());
    ensure!(taken == again, "first {taken:?}, then {again:?}");
    ensure!(recorder.close(PATIENCE), "records are not written");
    let expected: &[Decided] = match taken {
        Ok(()) => &request.decisions,
        Err(_) => &[],
    };
    told(&kept.bytes(), expected)
}

/// What is read of the log is what was decided.
fn told(log: &[u8], expected: &[Decided]) -> Result<()> {
    let (mut same, mut lines) = (true, 0);
    log::read(Cursor::new(log.to_vec()), |line| {
        let decided: Option<&Decided> = expected.get(lines);
        lines += 1;
        same &= match (line.content, decided) {
            (Ok(record), Some(decided)) => {
                record.leased
                    && record.id == decided.id
                    && record.method == decided.method
                    && Some(record.reason) == Reason::of_word(&decided.reason)
                    && record.rechecks.as_deref() == decided.rechecks.as_deref()
                    && !record.path.contains('?')
            }
            _ => false,
        };
    })?;
    ensure!(same, "something else is recorded than was decided");
    ensure!(lines == expected.len(), "{lines} records of {expected:?}");
    Ok(())
}

fn live() -> Result<&'static Arc<Live>> {
    static LIVE: OnceLock<Option<Arc<Live>>> = OnceLock::new();
    let live = LIVE.get_or_init(|| {
        let loaded = World::Strict.load().ok()??;
        let live = Live::new(Verifier::new([]));
        live.set_policies(Policies {
            set: loaded.policies,
            counts: loaded.counts,
            trust_domain: loaded.trust_domain,
            digest: String::new(),
        });
        Some(Arc::new(live))
    });
    live.as_ref().context("no documents")
}

/// By the revision that decides, and by another one.
fn corpus() -> Result<Corpus> {
    let service = SpiffeId::parse(ORDERS)?;
    let current = live()?.current().service_revision(Some(&service));
    Corpus::of(vec![
        batch(&current).encode_to_vec(),
        batch(&[0; 32]).encode_to_vec(),
    ])
}

fn batch(revision: &[u8]) -> RecordRequest {
    let decided = |call: (&str, &str), reason: &str, rule| Decided {
        id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned(),
        time_ms: 1_800_000_000_000,
        reason: reason.to_owned(),
        rule,
        revision: revision.to_vec(),
        method: call.0.to_owned(),
        path: call.1.to_owned(),
        host: "orders".to_owned(),
        ..Decided::default()
    };
    RecordRequest {
        service: ORDERS.to_owned(),
        worker: vec![7; 16],
        sequence: 1,
        callers: vec![Caller {
            id: CHECKOUT.to_owned(),
            certificate_sha256: "ab".repeat(32),
            issuer: "O=SPIRE".to_owned(),
            ..Caller::default()
        }],
        rules: vec![Rule {
            name: "places".to_owned(),
            policy: "orders".to_owned(),
            file: "orders.yaml".to_owned(),
            line: 7,
        }],
        decisions: vec![
            decided(("GET", "/orders/7"), "allow", 1),
            decided(("DELETE", "/orders"), "no-rule", 0),
        ],
        dropped_allowed: 1,
        dropped_denied: 1,
    }
}

/// What was written.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn bytes(&self) -> Vec<u8> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clone()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
