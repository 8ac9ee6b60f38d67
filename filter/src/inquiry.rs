//! One question to the server, until it is answered or its time is up.
//!
//! ```text
//! begin ──► under way ──answered──► (its owner reads the answer)
//!             ▲    └─── failed (14), or more is wanted
//!             └─ again ◄┘ while time is left: once after a failure, and with the headers
//!                         that are wanted
//! ```

use std::time::Duration;

use callgate_policy::Timestamp;
use prost::Message as _;

use crate::{
    Ask, CallId, Config, Host, Plugin,
    answer::{AnswerFault, Clocks},
    refusal::Fault,
    request::Seen,
};

/// gRPC's UNAVAILABLE: what a proxy reports when nothing answered, in time or at all.
const UNAVAILABLE: u32 = 14;

/// The first Check and one more.
const MAX_ATTEMPTS: u8 = 2;

/// What the server may want to know besides, and once more after a change of rules.
const MAX_COMPLETIONS: u8 = 2;

/// What the proxy's own timer gets on top, as it counts whole milliseconds.
pub(crate) const TIMER_SLACK: Duration = Duration::from_millis(1);

/// With less than this part of the timeout left it is up: too little for another answer. And
/// a proxy's timer comes early by as long as its event loop was busy when it was set, which
/// is not to be taken for an unreachable server.
const TOO_LITTLE: u32 = 16;

/// A Check that is under way.
#[derive(Debug)]
pub(crate) struct Inquiry {
    call: CallId,
    attempts: u8,
    /// How often it was given headers that the server wanted.
    completions: u8,
    deadline: Duration,
    /// When it was last sent.
    dispatched: Duration,
    message: Vec<u8>,
    /// Of a request that is open: the id of the decision that let it in.
    rechecks: Option<String>,
}

impl Inquiry {
    /// Asks about a request.
    ///
    /// # Errors
    /// Why nobody was asked.
    pub(crate) fn begin(
        host: &mut impl Host,
        plugin: &Plugin,
        seen: &Seen,
        rechecks: Option<&str>,
    ) -> Result<Self, Fault> {
        let config = plugin.config().map_err(|_| Fault::Misconfigured)?;
        let check = seen.check(host, rechecks, config.leases());
        let check = check.map_err(Fault::Host)?;
        let now = host.monotonic_now();
        let inquiry = Self {
            call: CallId(0),
            attempts: 0,
            completions: 0,
            deadline: now.saturating_add(config.timeout()),
            dispatched: now,
            message: check.encode_to_vec(),
            rechecks: rechecks.map(str::to_owned),
        };
        inquiry.send(host, config, seen, now)
    }

    /// The call that is under way.
    pub(crate) fn call(&self) -> CallId {
        self.call
    }

    /// The clocks, if it was answered at `decided_at`.
    pub(crate) fn clocks(&self, decided_at: Timestamp) -> Clocks {
        Clocks {
            dispatched: self.dispatched,
            decided_at,
        }
    }

    /// When it was last sent.
    pub(crate) fn dispatched(&self) -> Duration {
        self.dispatched
    }

    /// It ended without an answer.
    ///
    /// # Errors
    /// Why it is not asked again.
    pub(crate) fn again(
        self,
        host: &mut impl Host,
        plugin: &Plugin,
        seen: &Seen,
        grpc_status: u32,
    ) -> Result<Self, Fault> {
        if grpc_status != UNAVAILABLE {
            return Err(Fault::GrpcStatus(grpc_status));
        }
        let config = plugin.config().map_err(|_| Fault::Misconfigured)?;
        let now = host.monotonic_now();
        self.send(host, config, seen, now)
    }

    /// Asks again, with the headers that the decision reads. The names are those of all
    /// decisions about the service, so once is enough, unless its rules change meanwhile.
    /// It is no retry: something answered.
    ///
    /// # Errors
    /// Why it is not asked again.
    pub(crate) fn complete(
        mut self,
        host: &mut impl Host,
        plugin: &Plugin,
        seen: &mut Seen,
        names: Vec<String>,
    ) -> Result<Self, Fault> {
        let config = plugin.config().map_err(|_| Fault::Misconfigured)?;
        let names = seen.callee().want(names);
        if self.completions >= MAX_COMPLETIONS {
            return Err(Fault::Answer(AnswerFault::AskedInCircles));
        }
        self.completions = self.completions.saturating_add(1);
        self.attempts = self.attempts.saturating_sub(1);
        seen.look_for(host, names).map_err(Fault::Host)?;
        let check = seen.check(host, self.rechecks.as_deref(), config.leases());
        self.message = check.map_err(Fault::Host)?.encode_to_vec();
        let now = host.monotonic_now();
        self.send(host, config, seen, now)
    }

    /// Sends it, or sends it again, or gives up.
    fn send(
        mut self,
        host: &mut impl Host,
        config: &Config,
        seen: &Seen,
        now: Duration,
    ) -> Result<Self, Fault> {
        let left = self.deadline.saturating_sub(now);
        let after = config.timeout();
        if left <= after.checked_div(TOO_LITTLE).unwrap_or_default() {
            return Err(Fault::Timeout { after });
        }
        self.dispatched = now;
        while self.attempts < MAX_ATTEMPTS {
            self.attempts = self.attempts.saturating_add(1);
            let sent = host.ask(&Ask {
                cluster: config.cluster(),
                message: &self.message,
                traceparent: seen.traceparent(),
                timeout: left.saturating_add(TIMER_SLACK),
            });
            // A proxy that has nowhere to send it says so at once.
            if let Ok(call) = sent {
                self.call = call;
                return Ok(self);
            }
        }
        Err(Fault::Unreachable {
            attempts: self.attempts,
        })
    }
}
