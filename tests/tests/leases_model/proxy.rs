//! The proxy around one worker's filter: it shows what Envoy shows, notes what it is told,
//! and objects to what would harm Envoy.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use callgate_filter::{
    Ask, Attribute, CallId, Counter, Host, HostError, Level, Reply, Root, Section, TICK,
};
use callgate_policy::Timestamp;

use crate::callers::{CALLERS, Callers, Made};

/// One request that passes.
#[derive(Debug)]
pub(crate) struct Passing {
    pub(crate) made: Made,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) stands: Stands,
    /// Checks that were sent for it.
    pub(crate) asked: usize,
}

/// Where a request stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stands {
    Waiting,
    WentOn,
    Refused(Reply),
    /// After it had gone on.
    Ended(Reply),
}

/// What the filter sends.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) call: u32,
    pub(crate) what: Outgoing,
}

#[derive(Clone, Debug)]
pub(crate) enum Outgoing {
    Check {
        context: u32,
        message: Vec<u8>,
        timeout: Duration,
    },
    Watch(Vec<u8>),
    Record {
        message: Vec<u8>,
        timeout: Duration,
    },
    Cancel,
}

/// One worker's proxy.
pub(crate) struct Proxy {
    pub(crate) now: Duration,
    pub(crate) wall: Timestamp,
    /// The context that is acted for.
    pub(crate) current: u32,
    pub(crate) passing: BTreeMap<u32, Passing>,
    pub(crate) sent: Vec<Sent>,
    /// Whether it calls the plugin from time to time.
    pub(crate) ticks: bool,
    /// Whether it may end the plugin, once it wants to.
    pub(crate) ends: Option<bool>,
    pub(crate) counted: BTreeMap<String, u64>,
    calls: u32,
    /// Of this worker, and how often it was asked for.
    seed: [u8; 16],
    random: u8,
    callers: Arc<Callers>,
}

impl Proxy {
    pub(crate) fn new(worker: u64, callers: Arc<Callers>) -> Self {
        Self {
            now: Duration::ZERO,
            wall: Timestamp::from_millis(0),
            current: 0,
            passing: BTreeMap::new(),
            sent: Vec::new(),
            ticks: false,
            ends: None,
            counted: BTreeMap::new(),
            calls: 0,
            seed: (u128::from(worker + 1) << 64).to_be_bytes(),
            random: 0,
            callers,
        }
    }

    fn request(&mut self) -> &mut Passing {
        let current = self.current;
        self.passing
            .get_mut(&current)
            .unwrap_or_else(|| panic!("context {current} is no request"))
    }

    fn send(&mut self, what: Outgoing) -> CallId {
        self.calls += 1;
        self.sent.push(Sent {
            call: self.calls,
            what,
        });
        CallId(self.calls)
    }
}

impl Host for Proxy {
    fn attribute(&mut self, attribute: Attribute) -> Result<Option<Vec<u8>>, HostError> {
        let made = self.request().made;
        let shown = self.callers.shown(made.caller);
        Ok(Some(match attribute {
            // Everybody has one connection to each listener.
            Attribute::ConnectionId => {
                let number = made.callee * CALLERS + made.caller;
                u64::try_from(number).unwrap().to_le_bytes().to_vec()
            }
            Attribute::PeerFingerprint => shown.sha256.clone().into_bytes(),
            Attribute::PeerCertificate => shown.pem.clone().into_bytes(),
            Attribute::LocalUriSan => made.callee().as_str().as_bytes().to_vec(),
            Attribute::Protocol => b"HTTP/2".to_vec(),
        }))
    }

    fn fields(
        &mut self,
        section: Section,
        see: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), HostError> {
        if section == Section::Headers {
            let fields = &self.request().fields;
            fields
                .iter()
                .for_each(|(name, value)| see(name.as_bytes(), value));
        }
        Ok(())
    }

    fn remove(&mut self, _: Section, name: &[u8]) -> Result<(), HostError> {
        let request = self.request();
        assert_eq!(request.stands, Stands::Waiting, "edited after it went on");
        request.fields.retain(|(it, _)| it.as_bytes() != name);
        Ok(())
    }

    fn set_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), HostError> {
        self.remove(Section::Headers, name)?;
        self.append_header(name, value)
    }

    fn append_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), HostError> {
        let request = self.request();
        assert_eq!(request.stands, Stands::Waiting, "edited after it went on");
        let name = String::from_utf8(name.to_vec()).unwrap();
        request.fields.push((name, value.to_vec()));
        Ok(())
    }

    fn ask(&mut self, ask: &Ask<'_>) -> Result<CallId, HostError> {
        let request = self.request();
        request.asked += 1;
        let context = self.current;
        Ok(self.send(Outgoing::Check {
            context,
            message: ask.message.to_vec(),
            timeout: ask.timeout,
        }))
    }

    fn cancel(&mut self, call: CallId) {
        self.sent.push(Sent {
            call: call.0,
            what: Outgoing::Cancel,
        });
    }

    fn reply(&mut self, reply: &Reply) -> Result<(), HostError> {
        let request = self.request();
        request.stands = match request.stands {
            Stands::Waiting => Stands::Refused(reply.clone()),
            Stands::WentOn => Stands::Ended(reply.clone()),
            // Envoy would end here, and everybody's requests with it.
            ref other => panic!("a second reply: {other:?}, {reply:?}"),
        };
        Ok(())
    }

    fn resume(&mut self) -> Result<(), HostError> {
        let request = self.request();
        assert_eq!(request.stands, Stands::Waiting, "resumed");
        request.stands = Stands::WentOn;
        Ok(())
    }

    fn monotonic_now(&mut self) -> Duration {
        self.now
    }

    fn wall_now(&mut self) -> Duration {
        Duration::from_millis(u64::try_from(self.wall.as_millis()).unwrap())
    }

    fn random(&mut self) -> [u8; 16] {
        self.random = self.random.wrapping_add(1);
        let mut random = self.seed;
        random[15] ^= self.random;
        random
    }

    fn count(&mut self, counter: Counter) {
        *self.counted.entry(counter.name()).or_default() += 1;
    }

    fn log(&mut self, _: Level, _: &str) {}
}

impl Root for Proxy {
    fn act_for(&mut self, request: u32) -> Result<(), HostError> {
        if !self.passing.contains_key(&request) {
            return Err(HostError {
                call: "act_for",
                status: 1,
            });
        }
        self.current = request;
        Ok(())
    }

    fn watch(&mut self, _: &str, message: &[u8]) -> Result<CallId, HostError> {
        Ok(self.send(Outgoing::Watch(message.to_vec())))
    }

    fn record(&mut self, _: &str, message: &[u8], timeout: Duration) -> Result<CallId, HostError> {
        Ok(self.send(Outgoing::Record {
            message: message.to_vec(),
            timeout,
        }))
    }

    fn done(&mut self) {
        assert_eq!(self.ends, Some(false), "it did not wait for that");
        self.ends = Some(true);
    }

    fn tick_every(&mut self, period: Duration) -> Result<(), HostError> {
        assert_eq!(period, TICK);
        self.ticks = true;
        Ok(())
    }
}
