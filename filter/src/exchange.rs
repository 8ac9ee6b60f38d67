//! One request's way through the filter.
//!
//! ```text
//! request_headers ─► Fresh ──ask──► Asking ──answered──► Over {goes on | refused}
//!                      │             │  ▲ │
//!                      │     failed (14)│ └──failed──► Over
//!                      │             └─►┘ asked again while time is left: once after a
//!                      │                  failure, once with headers that are wanted
//!                      └─ cannot ask ─► Over
//! ```
//!
//! Pure: all it does goes through [`Host`]. Only an [`Allow`] that was read from
//! an answer with status OK, or `danger_allow_on_error` on an unreachable or slow
//! server, lets a request go on; every other way ends in a reply, and where even
//! that fails the request stays paused.

use std::{rc::Rc, time::Duration};

use callgate_policy::Reason;
use callgate_wire::envoy::service::auth::v3::CheckRequest;
use prost::Message as _;

use crate::{
    Allow, Answer, Ask, CallId, Counter, Deny, Flow, Host, Level, Plugin, Section,
    answer::AnswerFault,
    refusal::Fault,
    request::{Passage, Seen, look_for},
    rewrite::{rewrite, strip_trailers},
};

/// gRPC's UNAVAILABLE: what a proxy reports when nothing answered, in time or at all.
const UNAVAILABLE: u32 = 14;

/// The first Check and one more.
const MAX_ATTEMPTS: u8 = 2;

/// What the server may want to know besides, and once more after a change of rules.
const MAX_COMPLETIONS: u8 = 2;

/// What the proxy's own timer gets on top: it may fire a little early, and an
/// early one would be taken for an unreachable server.
const TIMER_SLACK: Duration = Duration::from_millis(1);

/// One request and its answer.
#[derive(Debug)]
pub struct Exchange {
    plugin: Rc<Plugin>,
    state: State,
}

#[derive(Debug)]
enum State {
    Fresh,
    Asking(Box<Asking>),
    Over {
        /// What the trailers of a request that goes on may carry; `None` for one
        /// that does not go on.
        keep_overrides: Option<bool>,
    },
}

/// A Check that is under way, and what it is for.
#[derive(Debug)]
struct Asking {
    call: CallId,
    attempts: u8,
    /// How often it was given headers that the server wanted.
    completions: u8,
    deadline: Duration,
    message: Vec<u8>,
    traceparent: Option<String>,
    passage: Passage,
}

/// What one step comes to.
enum Step {
    Wait,
    GoOn,
    Stop,
}

const REFUSED: State = State::Over {
    keep_overrides: None,
};

impl Exchange {
    /// A request that has not shown its headers yet.
    #[must_use]
    pub fn new(plugin: Rc<Plugin>) -> Self {
        Self {
            plugin,
            state: State::Fresh,
        }
    }

    /// What it began with.
    pub(crate) fn plugin(&self) -> &Rc<Plugin> {
        &self.plugin
    }

    /// The Check that is under way, if one is.
    #[must_use]
    pub fn call(&self) -> Option<CallId> {
        match &self.state {
            State::Asking(asking) => Some(asking.call),
            State::Fresh | State::Over { .. } => None,
        }
    }

    /// The request's headers are here.
    pub fn request_headers<H: Host>(&mut self, host: &mut H) -> Flow {
        if !matches!(self.state, State::Fresh) {
            // Headers come once; a second time would go around the first answer.
            return Flow::Pause;
        }
        self.state = REFUSED;
        match self.begin(host) {
            Step::GoOn => Flow::Continue,
            Step::Wait | Step::Stop => Flow::Pause,
        }
    }

    /// The request's trailers are here: the names that the headers may not carry,
    /// they may not either, as a service may read both alike (RFC 9110 section 6.5).
    pub fn request_trailers<H: Host>(&mut self, host: &mut H) -> Flow {
        let State::Over {
            keep_overrides: Some(keep),
        } = self.state
        else {
            return Flow::Pause;
        };
        match strip_trailers(host, keep) {
            Ok(()) => Flow::Continue,
            Err(error) => {
                let line = format!("a request stays paused at its trailers: {error}");
                self.plugin.warn(host, &line);
                Flow::Pause
            }
        }
    }

    /// `message` is the encoded answer to `call`. Of a call that is not under way
    /// nothing comes.
    pub fn answered<H: Host>(&mut self, host: &mut H, call: CallId, message: &[u8]) {
        let Some(asking) = self.take(call) else {
            return;
        };
        let step = match Answer::parse(message) {
            Ok(Answer::Allow(allow)) => self.go_on(host, &asking.passage, &allow),
            Ok(Answer::Deny(deny)) => deny_with(host, &deny),
            Ok(Answer::Incomplete(names)) => self.complete(host, asking, names),
            Err(fault) => self.refuse(host, asking.passage.grpc, &Fault::Answer(fault)),
        };
        resume(host, &step);
    }

    /// `call` ended without an answer. Of a call that is not under way nothing comes.
    pub fn failed<H: Host>(&mut self, host: &mut H, call: CallId, grpc_status: u32) {
        let Some(asking) = self.take(call) else {
            return;
        };
        let step = if grpc_status == UNAVAILABLE {
            let now = host.monotonic_now();
            self.ask(host, asking, now)
        } else {
            self.refuse(host, asking.passage.grpc, &Fault::GrpcStatus(grpc_status))
        };
        resume(host, &step);
    }

    /// The request is gone: nobody waits for its Check any more.
    pub fn ended<H: Host>(&mut self, host: &mut H) {
        if let State::Asking(asking) = std::mem::replace(&mut self.state, REFUSED) {
            host.cancel(asking.call);
        }
    }

    /// Asks again, with the headers that the decision reads. The names are those of all
    /// decisions about the service, so once is enough, unless its rules change meanwhile.
    /// It is no retry: something answered.
    fn complete<H: Host>(
        &mut self,
        host: &mut H,
        mut asking: Box<Asking>,
        names: Vec<String>,
    ) -> Step {
        let names = asking.passage.callee.want(names);
        if asking.completions >= MAX_COMPLETIONS {
            let fault = Fault::Answer(AnswerFault::AskedInCircles);
            return self.refuse(host, asking.passage.grpc, &fault);
        }
        asking.completions = asking.completions.saturating_add(1);
        asking.attempts = asking.attempts.saturating_sub(1);
        // It was encoded here.
        let mut check = CheckRequest::decode(asking.message.as_slice()).unwrap_or_default();
        if let Err(error) = look_for(host, names, &mut check) {
            return self.refuse(host, asking.passage.grpc, &Fault::Host(error));
        }
        asking.message = check.encode_to_vec();
        let now = host.monotonic_now();
        self.ask(host, asking, now)
    }

    fn begin<H: Host>(&mut self, host: &mut H) -> Step {
        let seen = match Seen::read(host, &self.plugin) {
            Ok(seen) => seen,
            Err(error) => return self.refuse(host, false, &Fault::Host(error)),
        };
        #[cfg(feature = "test-trap")]
        if seen.trap() {
            std::process::abort();
        }
        let grpc = seen.is_grpc();
        match self.prepare(host, seen) {
            Ok((asking, now)) => self.ask(host, asking, now),
            Err(fault) => self.refuse(host, grpc, &fault),
        }
    }

    /// Cleans the request and writes its Check.
    fn prepare<H: Host>(&self, host: &mut H, seen: Seen) -> Result<(Box<Asking>, Duration), Fault> {
        let config = self.plugin.config().map_err(|_| Fault::Misconfigured)?;
        for name in seen.forged() {
            host.remove(Section::Headers, name).map_err(Fault::Host)?;
        }
        let now = host.monotonic_now();
        let traceparent = seen.traceparent();
        let (check, passage) = seen.into_check(host).map_err(Fault::Host)?;
        self.plugin.watches().want(passage.callee.name());
        let asking = Asking {
            call: CallId(0),
            attempts: 0,
            completions: 0,
            deadline: now.saturating_add(config.timeout()),
            message: check.encode_to_vec(),
            traceparent,
            passage,
        };
        Ok((Box::new(asking), now))
    }

    /// Sends the Check, or sends it again, or gives up.
    fn ask<H: Host>(&mut self, host: &mut H, mut asking: Box<Asking>, now: Duration) -> Step {
        let plugin = Rc::clone(&self.plugin);
        let Ok(config) = plugin.config() else {
            return self.refuse(host, asking.passage.grpc, &Fault::Misconfigured);
        };
        let left = asking.deadline.saturating_sub(now);
        while asking.attempts < MAX_ATTEMPTS && !left.is_zero() {
            asking.attempts = asking.attempts.saturating_add(1);
            let sent = host.ask(&Ask {
                cluster: config.cluster(),
                message: &asking.message,
                traceparent: asking.traceparent.as_deref(),
                timeout: left.saturating_add(TIMER_SLACK),
            });
            // A proxy that has nowhere to send it says so at once.
            if let Ok(call) = sent {
                asking.call = call;
                self.state = State::Asking(asking);
                return Step::Wait;
            }
        }
        let fault = if left.is_zero() {
            Fault::Timeout {
                after: config.timeout(),
            }
        } else {
            Fault::Unreachable {
                attempts: asking.attempts,
            }
        };
        if config.danger_allow_on_error() {
            return self.go_on_in_danger(host, &asking.passage, &fault);
        }
        self.refuse(host, asking.passage.grpc, &fault)
    }

    /// The Check that `call` names, which is then over.
    fn take(&mut self, call: CallId) -> Option<Box<Asking>> {
        match std::mem::replace(&mut self.state, REFUSED) {
            State::Asking(asking) if asking.call == call => Some(asking),
            other => {
                self.state = other;
                None
            }
        }
    }

    fn go_on<H: Host>(&mut self, host: &mut H, passage: &Passage, allow: &Allow) -> Step {
        if let Err(error) = rewrite(host, passage, allow) {
            return self.refuse(host, passage.grpc, &Fault::Host(error));
        }
        host.count(Counter::Outcome(Reason::Allow));
        self.state = State::Over {
            keep_overrides: Some(allow.keep_overrides),
        };
        Step::GoOn
    }

    /// `danger_allow_on_error`: on, but as nobody, since nobody verified the caller.
    fn go_on_in_danger<H: Host>(&mut self, host: &mut H, passage: &Passage, fault: &Fault) -> Step {
        if let Err(error) = rewrite(host, passage, &Allow::default()) {
            return self.refuse(host, passage.grpc, &Fault::Host(error));
        }
        host.count(Counter::Outcome(fault.reason()));
        host.count(Counter::DangerAllowed);
        let reason = fault.reason();
        let line = format!("{reason}, let through by danger_allow_on_error: {fault}");
        self.plugin.warn(host, &line);
        self.state = State::Over {
            keep_overrides: Some(false),
        };
        Step::GoOn
    }

    fn refuse<H: Host>(&self, host: &mut H, grpc: bool, fault: &Fault) -> Step {
        let wall = host.wall_now();
        let (reason, decision) = (fault.reason(), self.plugin.ids().mint(host, wall));
        let decision = decision.as_str();
        host.count(Counter::Outcome(reason));
        self.plugin
            .warn(host, &format!("{reason}, decision {decision}: {fault}"));
        reply(host, &fault.reply(grpc, decision))
    }
}

fn deny_with<H: Host>(host: &mut H, deny: &Deny) -> Step {
    host.count(deny.reason.map_or(Counter::DeniedOther, Counter::Outcome));
    reply(host, &deny.reply)
}

fn reply<H: Host>(host: &mut H, reply: &crate::Reply) -> Step {
    if let Err(error) = host.reply(reply) {
        host.log(
            Level::Error,
            &format!("a request stays unanswered: {error}"),
        );
    }
    Step::Stop
}

fn resume<H: Host>(host: &mut H, step: &Step) {
    if let Step::GoOn = step
        && let Err(error) = host.resume()
    {
        host.log(Level::Error, &format!("a request stays paused: {error}"));
    }
}

#[cfg(test)]
mod tests;
