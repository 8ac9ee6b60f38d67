//! Decisions on their way to the server's log.

use std::{rc::Rc, time::Duration};

use super::{Contexts, Errand};
use crate::{CallId, Callee, Plugin, Root};

/// How long a server may take for a batch before it is sent again.
const RECORD_TIMEOUT: Duration = Duration::from_secs(5);

/// The same when the proxy waits for it to end.
const LAST_RECORD_TIMEOUT: Duration = Duration::from_secs(1);

/// gRPC's UNAVAILABLE, for what could not even be sent.
const UNAVAILABLE: u32 = 14;

impl Contexts {
    /// Sends all that is left of a plugin that ends.
    pub(super) fn send_last_records<H: Root>(&mut self, root: u32, plugin: &Plugin, host: &mut H) {
        let Ok(config) = plugin.config() else {
            return;
        };
        let batches = plugin.callees().into_iter();
        let batches: Vec<_> = batches.flat_map(|callee| callee.ledger().drain()).collect();
        for batch in batches {
            match host.record(config.cluster(), &batch, LAST_RECORD_TIMEOUT) {
                Ok(call) => {
                    self.errands.insert(call, Errand::LastRecord(root));
                    let under_way = self.ending.entry(root).or_default();
                    *under_way = under_way.saturating_add(1);
                }
                Err(error) => {
                    plugin.warn(host, &format!("decisions are not recorded: {error}"));
                }
            }
        }
    }

    /// Sends the next batch of decisions about a service, if it is time.
    pub(super) fn send_records<H: Root>(
        &mut self,
        plugin: &Rc<Plugin>,
        callee: &Rc<Callee>,
        host: &mut H,
    ) {
        let now = host.monotonic_now();
        if !callee.ledger().is_due(now) {
            return;
        }
        let batch = callee.ledger().batch();
        let (Some(batch), Ok(config)) = (batch, plugin.config()) else {
            return;
        };
        match host.record(config.cluster(), &batch, RECORD_TIMEOUT) {
            Ok(call) => {
                callee.ledger().sent();
                let errand = Errand::Record(Rc::clone(plugin), Rc::clone(callee));
                self.errands.insert(call, errand);
            }
            Err(_) => callee.ledger().failed(UNAVAILABLE, now),
        }
    }

    /// The end of a batch, with the gRPC status of one that was not taken.
    pub(super) fn recorded<H: Root>(&mut self, call: CallId, host: &mut H, taken: Result<(), u32>) {
        match self.errands.remove(&call) {
            Some(Errand::Record(plugin, callee)) => {
                match taken {
                    Ok(()) => callee.ledger().acknowledged(),
                    Err(grpc_status) => {
                        let now = host.monotonic_now();
                        callee.ledger().failed(grpc_status, now);
                        let line = format!("decisions about `{}` wait", callee.name());
                        plugin.warn(host, &format!("{line}: gRPC status {grpc_status}"));
                    }
                }
                self.send_records(&plugin, &callee, host);
            }
            Some(Errand::LastRecord(root)) => {
                let left = self.ending.remove(&root).unwrap_or_default();
                match left.saturating_sub(1) {
                    0 => host.done(),
                    left => {
                        self.ending.insert(root, left);
                    }
                }
            }
            Some(Errand::Check(_) | Errand::Watch(_)) | None => {}
        }
    }
}
