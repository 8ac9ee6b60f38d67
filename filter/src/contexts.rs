//! Which request belongs to which plugin, and which call to the server to whom.
//!
//! A proxy-wasm host numbers its contexts and calls; one VM may hold several
//! plugins (listeners with different configurations) and thousands of requests.
//! Whatever number the host comes with, known or not, there is an answer to it.

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

/// How long a server may take for a batch before it is sent again.
const RECORD_TIMEOUT: Duration = Duration::from_secs(5);

/// The same when the proxy waits for it to end.
const LAST_RECORD_TIMEOUT: Duration = Duration::from_secs(1);

/// The most requests that are ended within one callback: a proxy takes a connection on which
/// too much ends at once for an attack.
const MAX_ENDS: usize = 256;

/// gRPC's UNAVAILABLE, for what could not even be sent.
const UNAVAILABLE: u32 = 14;

impl Default for Contexts {
    fn default() -> Self {
        Self {
            plugins: BTreeMap::new(),
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
        let Some(plugin) = self.plugins.get(&root) else {
            return;
        };
        let plugin = Rc::clone(plugin);
        for call in plugin.look_after_watches(host) {
            self.errands.remove(&call);
            host.cancel(call);
        }
        self.open_watches(&plugin, host);
        self.look_after_streams(&plugin, host);
        for callee in plugin.callees() {
            self.send_records(&plugin, &callee, host);
        }
    }

    /// A context is about to end. False for a plugin that has decisions left to hand over:
    /// [`Root::done`] follows when it has.
    pub fn done<H: Root>(&mut self, context: u32, host: &mut H) -> bool {
        let Some(plugin) = self.plugins.get(&context) else {
            return true;
        };
        let plugin = Rc::clone(plugin);
        let Ok(config) = plugin.config() else {
            return true;
        };
        let batches = plugin.callees().into_iter();
        let batches: Vec<_> = batches.flat_map(|callee| callee.ledger().drain()).collect();
        let mut under_way: usize = 0;
        for batch in batches {
            match host.record(config.cluster(), &batch, LAST_RECORD_TIMEOUT) {
                Ok(call) => {
                    self.errands.insert(call, Errand::LastRecord(context));
                    under_way = under_way.saturating_add(1);
                }
                Err(error) => plugin.warn(host, &format!("decisions are not recorded: {error}")),
            }
        }
        if under_way > 0 {
            self.ending.insert(context, under_way);
        }
        under_way == 0
    }

    /// A context is gone, a request or a plugin.
    pub fn deleted<H: Root>(&mut self, context: u32, host: &mut H) {
        if let Some(mut exchange) = self.exchanges.remove(&context) {
            if let Some(call) = exchange.call() {
                self.errands.remove(&call);
            }
            exchange.ended(host);
            // A place for another; the next tick gives it away.
            self.streams.over(context);
        }
        if let Some(plugin) = self.plugins.remove(&context) {
            for call in plugin.watches().close_all() {
                self.errands.remove(&call);
                host.cancel(call);
            }
        }
    }

    /// Sends the next batch of decisions about a service, if it is time.
    fn send_records<H: Root>(&mut self, plugin: &Rc<Plugin>, callee: &Rc<Callee>, host: &mut H) {
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
    fn recorded<H: Root>(&mut self, call: CallId, host: &mut H, taken: Result<(), u32>) {
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
            self.deleted(context, host);
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

    /// Finds the requests of a plugin that are to be decided anew, and goes about it.
    fn look_after_streams<H: Root>(&mut self, plugin: &Rc<Plugin>, host: &mut H) {
        let (now, wall) = (host.monotonic_now(), host.wall_now());
        for (context, exchange) in &mut self.exchanges {
            if Rc::ptr_eq(exchange.plugin(), plugin) && exchange.due(now, wall) {
                self.streams.add(*context, exchange.overdue(now));
            }
        }
        self.recheck(host);
    }

    /// Decides anew those that wait for it, as many as may be under way.
    fn recheck<H: Root>(&mut self, host: &mut H) {
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
                self.deleted(context, host);
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
