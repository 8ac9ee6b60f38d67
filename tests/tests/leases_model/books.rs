//! Every decision that the worker made by itself, and what the servers' logs have of them.

use std::collections::BTreeSet;

use callgate_wire::callgate::v1::{RecordRequest, RecordResponse};
use prost::Message as _;

/// The books of a run.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// Of whatever was decided, anywhere.
    ids: BTreeSet<String>,
    /// Decided by leases, in the worker that runs.
    leased: BTreeSet<String>,
    /// In the log of a server.
    recorded: BTreeSet<String>,
    /// The batches that each server took, of each worker and service.
    taken: BTreeSet<(usize, Vec<u8>, String, u64)>,
    dropped: u64,
}

impl Books {
    /// A decision reached somebody.
    pub(crate) fn decided(&mut self, id: Vec<u8>, leased: bool) {
        let id = String::from_utf8(id).unwrap();
        assert_eq!(id.len(), 26, "{id}");
        assert!(self.ids.insert(id.clone()), "{id} is given twice");
        if leased {
            self.leased.insert(id);
        }
    }

    /// The worker fell over: what it had not sent yet is lost.
    pub(crate) fn fell_over(&mut self) {
        self.leased.clear();
    }

    /// A batch is at a server.
    pub(crate) fn record(&mut self, server: usize, message: &[u8]) -> Vec<u8> {
        let batch = RecordRequest::decode(message).unwrap();
        let dropped = batch.dropped_allowed + batch.dropped_denied;
        self.dropped = self.dropped.max(dropped);
        // Some may overtake others; one that is sent again is taken once.
        let batch_id = (server, batch.worker, batch.service, batch.sequence);
        if self.taken.insert(batch_id) {
            for decided in batch.decisions {
                let seen = self.ids.contains(&decided.id) || decided.rechecks.is_some();
                assert!(seen, "nobody saw {decided:?}");
                assert!(
                    usize::try_from(decided.caller).unwrap() < batch.callers.len(),
                    "{decided:?}"
                );
                self.recorded.insert(decided.id);
            }
        }
        RecordResponse::default().encode_to_vec()
    }

    /// How many were recorded, once every one should be.
    pub(crate) fn balance(&self) -> usize {
        assert_eq!(self.dropped, 0, "there was room");
        let missing: Vec<_> = self.leased.difference(&self.recorded).collect();
        assert!(missing.is_empty(), "not recorded: {missing:?}");
        self.recorded.len()
    }
}
