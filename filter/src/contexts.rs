//! Which request belongs to which plugin, and which call to the server to whom.
//!
//! A proxy-wasm host numbers its contexts and calls; one VM may hold several
//! plugins (listeners with different configurations) and thousands of requests.
//! Whatever number the host comes with, known or not, there is an answer to it.

mod anew;
mod records;

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use crate::{
    CallId, Callee, Exchange, Flow, Plugin, Root,
    streams::Streams,
    watch::{News, Watches},
};

/// How often a plugin looks after what is not a request: its Watches, the requests that go
/// on for long, and records. A fifth of the second within which a change takes effect.
pub const TICK: Duration = Duration::from_millis(200);

/// Every plugin and request of one VM, by the host's numbers.
#[derive(Debug)]
pub struct Contexts {
    plugins: BTreeMap<u32, Rc<Plugin>>,
    /// Plugins that were configured anew, while requests that began with them are open.
    former: Vec<(u32, Rc<Plugin>)>,
    exchanges: BTreeMap<u32, Exchange>,
    errands: BTreeMap<CallId, Errand>,
    streams: Streams,
    /// Plugins that end, and how many batches of theirs are under way.
    ending: BTreeMap<u32, usize>,
    /// Refuses everything, for a request whose plugin was never configured.
    unconfigured: Rc<Plugin>,
}

/// What a call to the server is for.
#[derive(Debug)]
enum Errand {
    /// A Check for this request.
    Check(u32),
    /// A Watch of this plugin.
    Watch(Rc<Plugin>),
    /// A batch of decisions about this service.
    Record(Rc<Plugin>, Rc<Callee>),
    /// One of the last batches of a plugin that ends.
    LastRecord(u32),
}

impl Default for Contexts {
    fn default() -> Self {
        Self {
            plugins: BTreeMap::new(),
            former: Vec::new(),
            exchanges: BTreeMap::new(),
            errands: BTreeMap::new(),
            streams: Streams::default(),
            ending: BTreeMap::new(),
            unconfigured: Rc::new(Plugin::new(b"")),
        }
    }
}

impl Contexts {
    /// A plugin is configured, for the first time or anew; requests under way keep
    /// the plugin they began with.
    pub fn configured(&mut self, root: u32, plugin: Plugin) {
        let former = self.plugins.insert(root, Rc::new(plugin));
        self.former.extend(former.map(|former| (root, former)));
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
    pub fn request_headers<H: Root>(&mut self, context: u32, host: &mut H) -> Flow {
        let unconfigured = &self.unconfigured;
        let exchange = self
            .exchanges
            .entry(context)
            .or_insert_with(|| Exchange::new(Rc::clone(unconfigured)));
        let flow = exchange.request_headers(host);
        let plugin = Rc::clone(exchange.plugin());
        self.note_call(context);
        if plugin.begins_to_watch(host) {
            self.open_watches(&plugin, host);
        }
        flow
    }

    /// A request shows its trailers.
    pub fn request_trailers<H: Root>(&mut self, context: u32, host: &mut H) -> Flow {
        let exchange = self.exchanges.get_mut(&context);
        exchange.map_or(Flow::Pause, |exchange| exchange.request_trailers(host))
    }

    /// Whether anybody waits for what comes of this call.
    #[must_use]
    pub fn awaits(&self, call: CallId) -> bool {
        self.errands.contains_key(&call)
    }

    /// A call is answered, or a stream has a message. `host` acts for the plugin.
    pub fn answered<H: Root>(&mut self, call: CallId, host: &mut H, message: &[u8]) {
        match self.errands.get(&call) {
            None => {}
            Some(Errand::Check(_)) => self.checked(call, host, |exchange, host| {
                exchange.answered(host, call, message);
            }),
            Some(Errand::Watch(plugin)) => {
                let plugin = Rc::clone(plugin);
                match plugin.announced(host, call, message) {
                    News::Same => {}
                    News::Changed(_) => self.look_after_streams(&plugin, host),
                    News::Nonsense(_) | News::Nobody => {
                        self.errands.remove(&call);
                        host.cancel(call);
                    }
                }
            }
            Some(Errand::Record(..) | Errand::LastRecord(_)) => self.recorded(call, host, Ok(())),
        }
    }

    /// A call failed, or a stream ended. `host` acts for the plugin.
    pub fn failed<H: Root>(&mut self, call: CallId, host: &mut H, grpc_status: u32) {
        match self.errands.get(&call) {
            None => {}
            Some(Errand::Check(_)) => self.checked(call, host, |exchange, host| {
                exchange.failed(host, call, grpc_status);
            }),
            Some(Errand::Watch(plugin)) => {
                plugin.watch_ended(host, call, grpc_status);
                self.errands.remove(&call);
            }
            Some(Errand::Record(..) | Errand::LastRecord(_)) => {
                self.recorded(call, host, Err(grpc_status));
            }
        }
    }

    /// Time passes for a plugin, each [`TICK`].
    pub fn tick<H: Root>(&mut self, root: u32, host: &mut H) {
        if let Some(plugin) = self.plugins.get(&root) {
            let plugin = Rc::clone(plugin);
            self.look_after(&plugin, host);
        }
        for (of, plugin) in std::mem::take(&mut self.former) {
            let mut open = self.exchanges.values();
            let is_needed =
                open.any(|exchange| Rc::ptr_eq(exchange.plugin(), &plugin)) || plugin.has_records();
            match (of == root, is_needed) {
                (true, false) => self.close_watches(&plugin, host),
                (true, true) => {
                    self.look_after(&plugin, host);
                    self.former.push((of, plugin));
                }
                (false, _) => self.former.push((of, plugin)),
            }
        }
    }

    fn look_after<H: Root>(&mut self, plugin: &Rc<Plugin>, host: &mut H) {
        for call in plugin.look_after_watches(host) {
            self.errands.remove(&call);
            host.cancel(call);
        }
        self.open_watches(plugin, host);
        self.look_after_streams(plugin, host);
        for callee in plugin.callees() {
            self.send_records(plugin, &callee, host);
        }
    }

    /// A context ends, a request or a plugin. False for a plugin that has decisions left to
    /// hand over: [`Root::done`] follows when it has.
    pub fn done<H: Root>(&mut self, context: u32, host: &mut H) -> bool {
        if self.request_ended(context, host) {
            return true;
        }
        let plugin = self.plugins.remove(&context);
        let former = self.former.extract_if(.., |(root, _)| *root == context);
        let former: Vec<_> = former.map(|(_, plugin)| plugin).collect();
        for plugin in plugin.into_iter().chain(former) {
            self.close_watches(&plugin, host);
            self.send_last_records(context, &plugin, host);
        }
        !self.ending.contains_key(&context)
    }

    /// Whether there was such a request, of which nothing is left.
    fn request_ended<H: Root>(&mut self, context: u32, host: &mut H) -> bool {
        let Some(mut exchange) = self.exchanges.remove(&context) else {
            return false;
        };
        if let Some(call) = exchange.call() {
            self.errands.remove(&call);
        }
        exchange.ended(host);
        // A place for another; the next tick gives it away.
        self.streams.over(context);
        true
    }

    fn close_watches<H: Root>(&mut self, plugin: &Plugin, host: &mut H) {
        let open = plugin.watches().close_all();
        for call in open {
            self.errands.remove(&call);
            host.cancel(call);
        }
    }

    /// The end of a Check: `act` tells the request, for which `host` acts then.
    fn checked<H: Root>(
        &mut self,
        call: CallId,
        host: &mut H,
        act: impl FnOnce(&mut Exchange, &mut H),
    ) {
        let Some(Errand::Check(context)) = self.errands.remove(&call) else {
            return;
        };
        if host.act_for(context).is_err() {
            self.request_ended(context, host);
            return;
        }
        if let Some(exchange) = self.exchanges.get_mut(&context) {
            act(exchange, host);
            // It may ask again.
            if self.note_call(context) {
                return;
            }
        }
        if self.streams.over(context) {
            self.recheck(host);
        }
    }

    /// Whether the request asks, the call of which is noted then.
    fn note_call(&mut self, context: u32) -> bool {
        let call = self.exchanges.get(&context).and_then(Exchange::call);
        if let Some(call) = call {
            self.errands.insert(call, Errand::Check(context));
        }
        call.is_some()
    }

    fn open_watches<H: Root>(&mut self, plugin: &Rc<Plugin>, host: &mut H) {
        let Ok(config) = plugin.config() else {
            return;
        };
        let now = host.monotonic_now();
        loop {
            // Not in the condition of a `while let`, where it would stay borrowed.
            let due = plugin.watches().to_open(now);
            let Some(service) = due else {
                return;
            };
            match host.watch(config.cluster(), &Watches::request(&service)) {
                Ok(call) => {
                    plugin.watches().opened(&service, call, now);
                    self.errands.insert(call, Errand::Watch(Rc::clone(plugin)));
                }
                Err(error) => {
                    plugin.watches().not_opened(&service, now);
                    plugin.warn(host, &format!("no Watch of `{service}`: {error}"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
