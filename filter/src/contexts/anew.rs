//! Open requests that are decided anew.

use std::rc::Rc;

use super::Contexts;
use crate::{Plugin, Root};

/// The most requests that are ended within one callback: a proxy takes a connection on which
/// too much ends at once for an attack.
const MAX_ENDS: usize = 256;

impl Contexts {
    /// Finds the requests of a plugin that are to be decided anew, and goes about it.
    pub(super) fn look_after_streams<H: Root>(&mut self, plugin: &Rc<Plugin>, host: &mut H) {
        let (now, wall) = (host.monotonic_now(), host.wall_now());
        for (context, exchange) in &mut self.exchanges {
            if Rc::ptr_eq(exchange.plugin(), plugin) && exchange.due(now, wall) {
                self.streams.add(*context, exchange.overdue(now));
            }
        }
        self.recheck(host);
    }

    /// Decides anew those that wait for it, as many as may be under way.
    pub(super) fn recheck<H: Root>(&mut self, host: &mut H) {
        let (now, wall) = (host.monotonic_now(), host.wall_now());
        let mut ended: usize = 0;
        while ended < MAX_ENDS
            && let Some(context) = self.streams.next()
        {
            let Some(exchange) = self.exchanges.get_mut(&context) else {
                continue;
            };
            // What waited may have been asked about since.
            if !exchange.due(now, wall) {
                continue;
            }
            if host.act_for(context).is_err() {
                self.request_ended(context, host);
                continue;
            }
            exchange.recheck(host);
            if !exchange.is_open() {
                ended = ended.saturating_add(1);
            }
            if self.note_call(context) {
                self.streams.asked(context);
            }
        }
    }
}
