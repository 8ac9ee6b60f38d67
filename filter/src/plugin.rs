//! One configured instance of the filter: what all its requests share.

use std::{
    cell::{Cell, RefCell, RefMut},
    rc::Rc,
    time::Duration,
};

use crate::{
    Attribute, CallId, Config, ConfigError, Host, HostError, Level, Root,
    callee::Callee,
    connection::{Connection, ConnectionId, Connections},
    contexts::TICK,
    id::DecisionIds,
    lease::{self, Fingerprint, ROOM, make_room},
    refusal::Fault,
    request::text,
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
    connections: RefCell<Connections>,
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
            connections: RefCell::default(),
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

    /// The connection of the current request.
    ///
    /// # Errors
    /// When the proxy fails to say what there is to know of it.
    pub(crate) fn connection(&self, host: &mut impl Host) -> Result<Rc<Connection>, HostError> {
        let id = host.attribute(Attribute::ConnectionId)?;
        let id = id.and_then(|id| ConnectionId::try_from(id).ok());
        let known = id.and_then(|id| self.connections.borrow().find(&id));
        if let Some(known) = known {
            return Ok(known);
        }
        let callee = host.attribute(Attribute::LocalUriSan)?;
        let callee = self.callee(host, &text(&callee.unwrap_or_default()));
        let leaf = self.leaf(host)?;
        let connection = Rc::new(Connection::new(Rc::clone(&callee), leaf));
        if let Some(id) = id
            && self.remembers(&callee)
        {
            let mut connections = self.connections.borrow_mut();
            connections.add(id, Rc::clone(&connection));
        }
        Ok(connection)
    }

    /// The caller's certificate, where leases are kept.
    fn leaf(&self, host: &mut impl Host) -> Result<Option<Fingerprint>, HostError> {
        if !self.config.as_ref().is_ok_and(Config::leases) {
            return Ok(None);
        }
        let leaf = host.attribute(Attribute::PeerFingerprint)?;
        Ok(leaf.and_then(|leaf| lease::fingerprint(&leaf)))
    }

    /// What is known of a service, which is watched from now on. Beyond [`MAX_CALLEES`],
    /// nothing is remembered of more.
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
            self.watches().want(name);
        }
        callee
    }

    fn remembers(&self, callee: &Rc<Callee>) -> bool {
        let callees = self.callees.borrow();
        callees.iter().any(|known| Rc::ptr_eq(known, callee))
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
    use crate::fake::FakeHost;

    const LEAF: &str = "-----BEGIN CERTIFICATE-----";

    #[test]
    fn of_a_connection_the_proxy_is_asked_once() {
        let plugin = Plugin::new(br#"{"cluster":"authz"}"#);
        let mut host = FakeHost::new();
        let first = plugin.connection(&mut host).unwrap();
        let all = [
            Attribute::ConnectionId,
            Attribute::LocalUriSan,
            Attribute::PeerFingerprint,
        ];
        assert_eq!(host.asked, all);
        assert_eq!(first.leaf(), Some(&[0xaa; 32]));
        let again = plugin.connection(&mut host).unwrap();
        assert!(Rc::ptr_eq(&first, &again));
        assert_eq!(host.asked.split_off(3), [Attribute::ConnectionId]);
        for _ in 0..2 {
            assert_eq!(first.certificate(&mut host).unwrap(), LEAF);
        }
        assert_eq!(host.asked.split_off(3), [Attribute::PeerCertificate]);
        // Somebody else, who comes by another.
        host.connection = Some(vec![2; 8]);
        host.fingerprint = Some(vec![b'b'; 64]);
        host.callee = Some(b"spiffe://example.org/other".to_vec());
        let other = plugin.connection(&mut host).unwrap();
        assert_eq!(other.leaf(), Some(&[0xbb; 32]));
        assert_eq!(other.callee().name(), "spiffe://example.org/other");
        assert_eq!(
            first.callee().name(),
            "spiffe://example.org/ns/shop/sa/orders"
        );
    }

    #[test]
    fn of_a_connection_without_a_number_it_is_asked_each_time() {
        let plugin = Plugin::new(br#"{"cluster":"authz"}"#);
        let mut host = FakeHost::new();
        for number in [None, Some(vec![]), Some(vec![1; 9])] {
            host.connection = number;
            for leaf in [b'a', b'b'] {
                host.fingerprint = Some(vec![leaf; 64]);
                let connection = plugin.connection(&mut host).unwrap();
                assert_eq!(
                    connection.leaf().map(|it| it[0]),
                    Some((leaf - b'a') * 17 + 0xaa)
                );
            }
        }
    }

    #[test]
    fn what_the_proxy_fails_to_say_is_not_remembered() {
        let plugin = Plugin::new(br#"{"cluster":"authz"}"#);
        let mut host = FakeHost::new();
        host.broken.push("attribute");
        assert!(plugin.connection(&mut host).is_err());
        host.broken.clear();
        let connection = plugin.connection(&mut host).unwrap();
        host.broken.push("attribute");
        assert!(connection.certificate(&mut host).is_err());
        host.broken.clear();
        assert_eq!(connection.certificate(&mut host).unwrap(), LEAF);
    }

    /// What is known of such a service is not recorded, so nothing may be decided by it.
    #[test]
    fn a_connection_to_one_service_too_many_is_not_remembered() {
        let plugin = Plugin::new(br#"{"cluster":"authz"}"#);
        let mut host = FakeHost::new();
        for number in 0..=MAX_CALLEES {
            host.connection = Some(u64::try_from(number).unwrap().to_le_bytes().to_vec());
            host.callee = Some(format!("spiffe://example.org/{number}").into_bytes());
            let first = plugin.connection(&mut host).unwrap();
            let again = plugin.connection(&mut host).unwrap();
            assert_eq!(Rc::ptr_eq(&first, &again), number < MAX_CALLEES);
        }
        assert_eq!(plugin.callees().len(), MAX_CALLEES);
    }

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
