//! Which request belongs to which plugin, and which Check to which request.
//!
//! A proxy-wasm host numbers its contexts and calls; one VM may hold several
//! plugins (listeners with different configurations) and thousands of requests.
//! Whatever number the host comes with, known or not, there is an answer to it.

use std::{collections::BTreeMap, rc::Rc};

use crate::{CallId, Exchange, Flow, Host, Plugin};

/// Every plugin and request of one VM, by the host's numbers.
#[derive(Debug)]
pub struct Contexts {
    plugins: BTreeMap<u32, Rc<Plugin>>,
    exchanges: BTreeMap<u32, Exchange>,
    calls: BTreeMap<CallId, u32>,
    /// Refuses everything, for a request whose plugin was never configured.
    unconfigured: Rc<Plugin>,
}

impl Default for Contexts {
    fn default() -> Self {
        Self {
            plugins: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            calls: BTreeMap::new(),
            unconfigured: Rc::new(Plugin::new(b"")),
        }
    }
}

impl Contexts {
    /// A plugin is configured, for the first time or anew; requests under way keep
    /// the plugin they began with.
    pub fn configured(&mut self, root: u32, plugin: Plugin) {
        self.plugins.insert(root, Rc::new(plugin));
    }

    /// A context is created: a request of `root`, or a plugin if `root` is 0.
    pub fn created(&mut self, context: u32, root: u32) {
        if root != 0 {
            let plugin = self.plugins.get(&root).unwrap_or(&self.unconfigured);
            self.exchanges
                .insert(context, Exchange::new(Rc::clone(plugin)));
        }
    }

    /// A request shows its headers.
    pub fn request_headers<H: Host>(&mut self, context: u32, host: &mut H) -> Flow {
        let unconfigured = &self.unconfigured;
        let exchange = self
            .exchanges
            .entry(context)
            .or_insert_with(|| Exchange::new(Rc::clone(unconfigured)));
        let flow = exchange.request_headers(host);
        self.note_call(context);
        flow
    }

    /// A request shows its trailers.
    pub fn request_trailers<H: Host>(&mut self, context: u32, host: &mut H) -> Flow {
        let exchange = self.exchanges.get_mut(&context);
        exchange.map_or(Flow::Pause, |exchange| exchange.request_trailers(host))
    }

    /// The request that a Check is for.
    #[must_use]
    pub fn request_of(&self, call: CallId) -> Option<u32> {
        self.calls.get(&call).copied()
    }

    /// A Check is answered. `host` acts for [`Contexts::request_of`] this call.
    pub fn answered<H: Host>(&mut self, call: CallId, host: &mut H, message: &[u8]) {
        let Some(context) = self.calls.remove(&call) else {
            return;
        };
        if let Some(exchange) = self.exchanges.get_mut(&context) {
            exchange.answered(host, call, message);
            // The answer may have been that more is wanted.
            self.note_call(context);
        }
    }

    /// A Check failed. `host` acts for [`Contexts::request_of`] this call.
    pub fn failed<H: Host>(&mut self, call: CallId, host: &mut H, grpc_status: u32) {
        let Some(context) = self.calls.remove(&call) else {
            return;
        };
        if let Some(exchange) = self.exchanges.get_mut(&context) {
            exchange.failed(host, call, grpc_status);
            self.note_call(context);
        }
    }

    /// A context is gone, a request or a plugin.
    pub fn deleted<H: Host>(&mut self, context: u32, host: &mut H) {
        if let Some(mut exchange) = self.exchanges.remove(&context) {
            if let Some(call) = exchange.call() {
                self.calls.remove(&call);
            }
            exchange.ended(host);
        }
        self.plugins.remove(&context);
    }

    fn note_call(&mut self, context: u32) {
        if let Some(call) = self.exchanges.get(&context).and_then(Exchange::call) {
            self.calls.insert(call, context);
        }
    }
}

#[cfg(test)]
mod tests;
