//! One configured instance of the filter: what all its requests share.

use std::{
    cell::{Cell, RefCell, RefMut},
    rc::Rc,
    time::Duration,
};

use crate::{
    CallId, Config, ConfigError, Host, Level, Root,
    callee::Callee,
    contexts::TICK,
    id::DecisionIds,
    lease::{ROOM, make_room},
    refusal::Fault,
    request::{Reading, Readings, Seen},
    watch::{MAX_CALLEES, News, Watches},
};

/// The most lines that refused requests may write to the proxy's log in a second.
/// A server that is down refuses every request, and Envoy's log is not a queue.
const LINES_PER_SECOND: u32 = 8;

/// A configured filter. A configuration that cannot be used makes a plugin too:
/// one that refuses every request.
#[derive(Debug)]
pub struct Plugin {
    config: Result<Config, ConfigError>,
    lines: LineBudget,
    ids: DecisionIds,
    /// Names this plugin, while it lives, to whom it sends records.
    worker: Cell<Option<[u8; 16]>>,
    callees: RefCell<Vec<Rc<Callee>>>,
    client_certs: RefCell<Readings>,
    watches: RefCell<Watches>,
    /// Whether the host calls it from time to time.
    ticks: Cell<bool>,
}

impl Plugin {
    /// Reads the configuration; see [`Config::parse`].
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let config = Config::parse(bytes);
        let max_stale = config.as_ref().map_or(Duration::ZERO, Config::max_stale);
        Self {
            config,
            lines: LineBudget::default(),
            ids: DecisionIds::default(),
            worker: Cell::default(),
            callees: RefCell::default(),
            client_certs: RefCell::default(),
            watches: RefCell::new(Watches::new(max_stale)),
            ticks: Cell::new(false),
        }
    }

    /// The configuration, or what is wrong with it.
    ///
    /// # Errors
    /// When every request is refused with `filter-misconfigured`.
    pub fn config(&self) -> Result<&Config, &ConfigError> {
        self.config.as_ref()
    }

    /// Ids for decisions that the filter makes by itself.
    pub(crate) fn ids(&self) -> &DecisionIds {
        &self.ids
    }

    /// What is known of a service. Beyond [`MAX_CALLEES`], nothing is remembered of more.
    pub(crate) fn callee(&self, host: &mut impl Host, name: &str) -> Rc<Callee> {
        let mut callees = self.callees.borrow_mut();
        if let Some(known) = callees.iter().find(|callee| callee.name() == name) {
            return Rc::clone(known);
        }
        let worker = self.worker.get().unwrap_or_else(|| host.random());
        self.worker.set(Some(worker));
        let callee = Rc::new(Callee::new(name, worker));
        if callees.len() < MAX_CALLEES {
            callees.push(Rc::clone(&callee));
        }
        callee
    }

    /// What the client certificate's header of a request comes to.
    pub(crate) fn client_cert(&self, seen: &Seen) -> Rc<Reading> {
        self.client_certs.borrow_mut().of(seen.client_cert_text())
    }

    /// Every service about which something is remembered.
    #[must_use]
    pub fn callees(&self) -> Vec<Rc<Callee>> {
        self.callees.borrow().clone()
    }

    /// Whether decisions wait to be recorded.
    pub(crate) fn has_records(&self) -> bool {
        let callees = self.callees.borrow();
        callees.iter().any(|callee| callee.ledger().size() > 0)
    }

    /// Whether a request goes on although this is wrong.
    pub(crate) fn lets_pass(&self, fault: &Fault) -> bool {
        let in_danger = self
            .config
            .as_ref()
            .is_ok_and(Config::danger_allow_on_error);
        in_danger && fault.is_absence()
    }

    /// Drops leases until there is room for all of them.
    pub(crate) fn make_room_for_leases(&self) {
        make_room(&self.callees.borrow(), ROOM);
    }

    /// What the server announces of the services that this plugin stands in front of. Not
    /// to be held while a host is called.
    pub(crate) fn watches(&self) -> RefMut<'_, Watches> {
        self.watches.borrow_mut()
    }

    /// After the first request for a service: its Watch is to be opened. A VM that sees no
    /// request, such as that of the proxy's main thread, does not get here.
    pub(crate) fn begins_to_watch(&self, host: &mut impl Root) -> bool {
        if !self.watches().take_new() {
            return false;
        }
        if self.watches().is_unseeded() {
            let [a, b, c, d, e, f, g, h, ..] = host.random();
            self.watches()
                .seed(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
        }
        if !self.ticks.get() {
            match host.tick_every(TICK) {
                Ok(()) => self.ticks.set(true),
                Err(error) => host.log(Level::Error, &format!("nothing is watched: {error}")),
            }
        }
        true
    }

    /// A message of a Watch. After a change the leases of the service are gone; after nonsense
    /// the Watch is over.
    pub(crate) fn announced(&self, host: &mut impl Root, call: CallId, message: &[u8]) -> News {
        let now = host.monotonic_now();
        let news = self.watches().announced_by(call, message, now);
        match &news {
            News::Same | News::Nobody => {}
            News::Changed(service) => self.drop_leases(service),
            News::Nonsense(service) => {
                let line = format!("the Watch of `{service}` announces no revision");
                self.warn(host, &line);
            }
        }
        news
    }

    /// A Watch ended.
    pub(crate) fn watch_ended(&self, host: &mut impl Root, call: CallId, grpc_status: u32) {
        let now = host.monotonic_now();
        let ended = self.watches().closed(call, now);
        if let Some(service) = ended {
            let line = format!("the Watch of `{service}` ended with gRPC status {grpc_status}");
            // It is opened again, as when a server goes and another one comes.
            self.tell(host, Level::Info, &line);
        }
    }

    fn drop_leases(&self, service: &str) {
        let callees = self.callees.borrow();
        if let Some(callee) = callees.iter().find(|callee| callee.name() == service) {
            callee.drop_leases();
        }
    }

    /// Gives the Watches that have been silent for too long, to be given up.
    pub(crate) fn look_after_watches(&self, host: &mut impl Root) -> Vec<CallId> {
        let now = host.monotonic_now();
        let silent = self.watches().silent(now);
        let expired = self.watches().expired(now);
        for service in &expired {
            self.drop_leases(service);
            let line =
                format!("nothing heard of `{service}` for too long: every call is asked about");
            self.warn(host, &line);
        }
        silent.into_iter().map(|(call, _)| call).collect()
    }

    /// Logs a refused request or the like, unless too many were within this second.
    pub(crate) fn warn(&self, host: &mut impl Host, line: &str) {
        self.tell(host, Level::Warn, line);
    }

    fn tell(&self, host: &mut impl Host, level: Level, line: &str) {
        let now = host.monotonic_now();
        match self.lines.take(now) {
            None => {}
            Some(0) => host.log(level, line),
            Some(dropped) => {
                host.log(
                    level,
                    &format!("{line} ({dropped} lines before it left out)"),
                );
            }
        }
    }
}

/// Counts the lines of the running second.
#[derive(Debug, Default)]
struct LineBudget {
    since: Cell<Duration>,
    written: Cell<u32>,
    dropped: Cell<u64>,
}

impl LineBudget {
    /// Whether a line may be written, and how many were not before it.
    fn take(&self, now: Duration) -> Option<u64> {
        if now.saturating_sub(self.since.get()) >= Duration::from_secs(1) {
            self.since.set(now);
            self.written.set(0);
        }
        if self.written.get() >= LINES_PER_SECOND {
            self.dropped.set(self.dropped.get().saturating_add(1));
            return None;
        }
        self.written.set(self.written.get().saturating_add(1));
        Some(self.dropped.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_what_is_left_out_is_said() {
        let budget = LineBudget::default();
        let at = Duration::from_millis;
        for _ in 0..LINES_PER_SECOND {
            assert_eq!(budget.take(at(10)), Some(0));
        }
        assert_eq!(budget.take(at(10)), None);
        assert_eq!(budget.take(at(999)), None);
        assert_eq!(budget.take(at(1_000)), Some(2));
        assert_eq!(budget.take(at(1_001)), Some(0));
    }
}
