//! A worker: the real filter, whole, in a proxy of the model.

use std::{sync::Arc, time::Duration};

use callgate_filter::{CallId, Contexts, Flow, Plugin};
use callgate_policy::Timestamp;

use crate::{
    callers::{Callers, Made},
    proxy::{Passing, Proxy, Sent, Stands},
};

/// The plugin's context.
const ROOT: u32 = 1;
const CONFIG: &[u8] = br#"{"cluster": "callgate", "timeout": "100ms", "maxStale": "2s"}"#;

pub(crate) struct Worker {
    pub(crate) number: u64,
    contexts: Contexts,
    pub(crate) proxy: Proxy,
    requests: u32,
}

impl Worker {
    pub(crate) fn new(number: u64, callers: Arc<Callers>) -> Self {
        let mut contexts = Contexts::default();
        contexts.created(ROOT, 0);
        contexts.configured(ROOT, Plugin::new(CONFIG));
        Self {
            number,
            contexts,
            proxy: Proxy::new(number, callers),
            requests: ROOT,
        }
    }

    pub(crate) fn clocks(&mut self, now: Duration, wall: Timestamp) {
        self.proxy.now = now;
        self.proxy.wall = wall;
    }

    /// A request shows its headers; its context.
    pub(crate) fn request(&mut self, made: Made) -> u32 {
        self.requests += 1;
        let context = self.requests;
        let passing = Passing {
            made,
            fields: made.fields(),
            stands: Stands::Waiting,
            asked: 0,
        };
        self.proxy.passing.insert(context, passing);
        self.proxy.current = context;
        self.contexts.created(context, ROOT);
        let flow = self.contexts.request_headers(context, &mut self.proxy);
        if let (Flow::Continue, Some(passing)) = (flow, self.proxy.passing.get_mut(&context)) {
            assert_eq!(passing.stands, Stands::Waiting, "goes on as well");
            passing.stands = Stands::WentOn;
        }
        context
    }

    pub(crate) fn answered(&mut self, call: u32, message: &[u8]) {
        self.proxy.current = ROOT;
        self.contexts
            .answered(CallId(call), &mut self.proxy, message);
    }

    pub(crate) fn failed(&mut self, call: u32, status: u32) {
        self.proxy.current = ROOT;
        self.contexts.failed(CallId(call), &mut self.proxy, status);
    }

    pub(crate) fn tick(&mut self) {
        if self.proxy.ticks {
            self.proxy.current = ROOT;
            self.contexts.tick(ROOT, &mut self.proxy);
        }
    }

    /// The proxy wants to end.
    pub(crate) fn end(&mut self) {
        self.proxy.current = ROOT;
        self.proxy.ends = Some(false);
        if self.contexts.done(ROOT, &mut self.proxy) {
            self.proxy.ends = Some(true);
        }
    }

    /// The request is over, and gone from the proxy.
    pub(crate) fn over(&mut self, context: u32) {
        self.proxy.current = context;
        assert!(self.contexts.done(context, &mut self.proxy));
        self.proxy.passing.remove(&context);
    }

    /// What the filter sent since this was last asked.
    pub(crate) fn sent(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.proxy.sent)
    }
}
