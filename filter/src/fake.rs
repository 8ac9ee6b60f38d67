//! A scripted proxy for the tests of this crate.

use std::{collections::VecDeque, time::Duration};

use crate::{Ask, Attribute, CallId, Counter, Host, HostError, Level, Reply, Root, Section};

type Fields = Vec<(String, Vec<u8>)>;

/// A Check as it was sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) message: Vec<u8>,
    pub(crate) traceparent: Option<String>,
    pub(crate) timeout: Duration,
}

/// A proxy whose every answer is set by the test, and which keeps what it was told.
#[derive(Debug, Default)]
pub(crate) struct FakeHost {
    pub(crate) headers: Fields,
    pub(crate) trailers: Fields,
    /// The connection's number; without one nothing of it is remembered.
    pub(crate) connection: Option<Vec<u8>>,
    pub(crate) leaf: Option<Vec<u8>>,
    pub(crate) fingerprint: Option<Vec<u8>>,
    pub(crate) callee: Option<Vec<u8>>,
    /// Attributes that were asked for.
    pub(crate) asked: Vec<Attribute>,
    pub(crate) now: Duration,
    pub(crate) wall: Duration,
    pub(crate) random: [u8; 16],
    /// Calls that may fail, as they came.
    pub(crate) calls: Vec<&'static str>,
    /// Calls that fail from now on.
    pub(crate) broken: Vec<&'static str>,
    /// For each Check in turn, whether it can be sent; after these all can.
    pub(crate) sendable: VecDeque<bool>,
    pub(crate) sent: Vec<Sent>,
    /// Watches that were opened, and their messages.
    pub(crate) watches: Vec<(CallId, Vec<u8>)>,
    /// The requests that it was told to act for.
    pub(crate) acted_for: Vec<u32>,
    /// Batches that were sent.
    pub(crate) records: Vec<(CallId, Vec<u8>)>,
    pub(crate) done: usize,
    pub(crate) ticks: Option<Duration>,
    pub(crate) cancelled: Vec<CallId>,
    pub(crate) replies: Vec<Reply>,
    pub(crate) resumed: usize,
    pub(crate) counted: Vec<Counter>,
    pub(crate) lines: Vec<(Level, String)>,
}

impl FakeHost {
    /// A caller with a certificate, and a plain request.
    pub(crate) fn new() -> Self {
        let mut host = Self {
            connection: Some(vec![1; 8]),
            leaf: Some(b"-----BEGIN CERTIFICATE-----".to_vec()),
            fingerprint: Some(vec![b'a'; 64]),
            callee: Some(b"spiffe://example.org/ns/shop/sa/orders".to_vec()),
            now: Duration::from_secs(7),
            ..Self::default()
        };
        for (name, value) in [
            (":authority", "orders"),
            (":path", "/orders/7?x=y"),
            (":method", "GET"),
            (":scheme", "https"),
            ("x-request-id", "r-1"),
            ("authorization", "Bearer secret"),
            ("cookie", "secret"),
        ] {
            host.header(name, value);
        }
        host
    }

    /// Adds a header.
    pub(crate) fn header(&mut self, name: &str, value: &str) -> &mut Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Every value of a header.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        let all = self.headers.iter().filter(|(it, _)| it == name);
        all.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    fn works(&mut self, call: &'static str) -> Result<(), HostError> {
        self.calls.push(call);
        if self.broken.contains(&call) {
            Err(HostError { call, status: 10 })
        } else {
            Ok(())
        }
    }

    fn section(&mut self, section: Section) -> &mut Fields {
        match section {
            Section::Headers => &mut self.headers,
            Section::Trailers => &mut self.trailers,
        }
    }
}

impl Host for FakeHost {
    fn attribute(&mut self, attribute: Attribute) -> Result<Option<Vec<u8>>, HostError> {
        self.works("attribute")?;
        self.asked.push(attribute);
        Ok(match attribute {
            Attribute::ConnectionId => self.connection.clone(),
            Attribute::PeerCertificate => self.leaf.clone(),
            Attribute::PeerFingerprint => self.fingerprint.clone(),
            Attribute::LocalUriSan => self.callee.clone(),
            Attribute::Protocol => Some(b"HTTP/2".to_vec()),
        })
    }

    fn fields(
        &mut self,
        section: Section,
        see: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), HostError> {
        self.works("fields")?;
        self.section(section)
            .iter()
            .for_each(|(name, value)| see(name.as_bytes(), value));
        Ok(())
    }

    fn remove(&mut self, section: Section, name: &[u8]) -> Result<(), HostError> {
        self.works("remove")?;
        self.section(section)
            .retain(|(it, _)| it.as_bytes() != name);
        Ok(())
    }

    fn set_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), HostError> {
        self.works("set_header")?;
        self.headers.retain(|(it, _)| it.as_bytes() != name);
        let name = String::from_utf8(name.to_owned()).unwrap();
        self.headers.push((name, value.to_owned()));
        Ok(())
    }

    fn append_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), HostError> {
        self.works("append_header")?;
        self.headers.push((
            String::from_utf8(name.to_owned()).unwrap(),
            value.to_owned(),
        ));
        Ok(())
    }

    fn ask(&mut self, ask: &Ask<'_>) -> Result<CallId, HostError> {
        let id = u32::try_from(self.sent.len()).unwrap() + 1;
        self.sent.push(Sent {
            message: ask.message.to_owned(),
            traceparent: ask.traceparent.map(str::to_owned),
            timeout: ask.timeout,
        });
        if self.sendable.pop_front() == Some(false) {
            return Err(HostError {
                call: "ask",
                status: 10,
            });
        }
        Ok(CallId(id))
    }

    fn cancel(&mut self, call: CallId) {
        self.cancelled.push(call);
    }

    fn reply(&mut self, reply: &Reply) -> Result<(), HostError> {
        self.works("reply")?;
        self.replies.push(reply.clone());
        Ok(())
    }

    fn resume(&mut self) -> Result<(), HostError> {
        self.works("resume")?;
        self.resumed += 1;
        Ok(())
    }

    fn monotonic_now(&mut self) -> Duration {
        self.now
    }

    fn wall_now(&mut self) -> Duration {
        self.wall
    }

    fn random(&mut self) -> [u8; 16] {
        self.random
    }

    fn count(&mut self, counter: Counter) {
        self.counted.push(counter);
    }

    fn log(&mut self, level: Level, message: &str) {
        self.lines.push((level, message.to_owned()));
    }
}

/// Watches are numbered from here, to be told from Checks.
pub(crate) const FIRST_WATCH: u32 = 1_000_000;
/// And batches from here.
pub(crate) const FIRST_RECORD: u32 = 2_000_000;

impl Root for FakeHost {
    fn act_for(&mut self, request: u32) -> Result<(), HostError> {
        self.works("act_for")?;
        self.acted_for.push(request);
        Ok(())
    }

    fn watch(&mut self, _: &str, message: &[u8]) -> Result<CallId, HostError> {
        self.works("watch")?;
        let id = CallId(FIRST_WATCH + u32::try_from(self.watches.len()).unwrap());
        self.watches.push((id, message.to_owned()));
        Ok(id)
    }

    fn record(&mut self, _: &str, message: &[u8], _: Duration) -> Result<CallId, HostError> {
        self.works("record")?;
        let id = CallId(FIRST_RECORD + u32::try_from(self.records.len()).unwrap());
        self.records.push((id, message.to_owned()));
        Ok(id)
    }

    fn done(&mut self) {
        self.done += 1;
    }

    fn tick_every(&mut self, period: Duration) -> Result<(), HostError> {
        self.works("tick_every")?;
        self.ticks = Some(period);
        Ok(())
    }
}
