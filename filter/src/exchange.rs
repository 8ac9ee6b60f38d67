//! One request's way through the filter.
//!
//! ```text
//! request_headers ─► Fresh ──lease──► Open ◄──────────────┐  or Over, refused
//!                      │                                  │
//!                      └──ask──► Asking ──answered────────┘  or Over, refused
//!
//! Open ──due──► recheck: by a lease, or asked again ──► Open, nothing touched
//!                                                  └──► Over, ended by one reply
//! ```
//!
//! Pure: all it does goes through [`Host`]. Only an [`Allow`] that was read from an answer
//! with status OK, a lease that such an answer brought, or `danger_allow_on_error` on an
//! unreachable or slow server, lets a request go on; every other way ends in a reply, and
//! where even that fails the request stays paused.

mod open;
#[cfg(test)]
mod tests;

use std::{rc::Rc, time::Duration};

use callgate_policy::Reason;
use callgate_wire::headers;

use self::open::{Next, Open};
use crate::{
    Allow, Answer, CallId, Counter, Edit, Flow, Host, Level, Plugin, Reply, Section,
    answer::{Terms, timestamp},
    id::DecisionId,
    inquiry::Inquiry,
    leased::{self, Ground, Leased},
    refusal::Fault,
    request::Seen,
    rewrite::{name_caller, rewrite, strip_trailers},
};

/// One request and its answer.
#[derive(Debug)]
pub struct Exchange {
    plugin: Rc<Plugin>,
    state: State,
}

#[derive(Debug)]
enum State {
    Fresh,
    /// It waits for its answer.
    Asking(Box<Asking>),
    /// It goes on.
    Open(Box<Open>),
    /// It was refused or ended.
    Over,
}

#[derive(Debug)]
struct Asking {
    inquiry: Inquiry,
    seen: Seen,
}

/// What a lease says of a request.
enum ByLease {
    /// It goes on, by this decision; whether with headers that override; on what.
    GoesOn(DecisionId, bool, Ground),
    /// It does not.
    Stops(Step),
    /// Nothing.
    Asks,
}

/// What one step comes to.
enum Step {
    Wait,
    GoOn,
    Stop,
}

impl Exchange {
    /// A request that has not shown its headers yet.
    #[must_use]
    pub fn new(plugin: Rc<Plugin>) -> Self {
        Self {
            plugin,
            state: State::Fresh,
        }
    }

    /// The plugin that it is a request of.
    pub(crate) fn plugin(&self) -> &Rc<Plugin> {
        &self.plugin
    }

    /// The Check that is under way, if one is.
    #[must_use]
    pub fn call(&self) -> Option<CallId> {
        match &self.state {
            State::Asking(asking) => Some(asking.inquiry.call()),
            State::Open(open) => open.call(),
            State::Fresh | State::Over => None,
        }
    }

    /// The request's headers are here.
    pub fn request_headers<H: Host>(&mut self, host: &mut H) -> Flow {
        if !matches!(self.state, State::Fresh) {
            // Headers come once; a second time would go around the first answer.
            return Flow::Pause;
        }
        self.state = State::Over;
        match self.begin(host) {
            Step::GoOn => Flow::Continue,
            Step::Wait | Step::Stop => Flow::Pause,
        }
    }

    /// The request's trailers are here: the names that the headers may not carry,
    /// they may not either, as a service may read both alike (RFC 9110 section 6.5).
    pub fn request_trailers<H: Host>(&mut self, host: &mut H) -> Flow {
        let State::Open(open) = &self.state else {
            return Flow::Pause;
        };
        match strip_trailers(host, open.keeps_overrides()) {
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
        if self.call() != Some(call) {
            return;
        }
        match std::mem::replace(&mut self.state, State::Over) {
            State::Asking(asking) => {
                let step = self.decided(host, *asking, message);
                resume(host, &step);
            }
            State::Open(mut open) => {
                let next = open.answered(host, &self.plugin, message);
                self.after(host, open, next);
            }
            State::Fresh | State::Over => {}
        }
    }

    /// `call` ended without an answer. Of a call that is not under way nothing comes.
    pub fn failed<H: Host>(&mut self, host: &mut H, call: CallId, grpc_status: u32) {
        if self.call() != Some(call) {
            return;
        }
        match std::mem::replace(&mut self.state, State::Over) {
            State::Asking(asking) => {
                let Asking { inquiry, seen } = *asking;
                let inquiry = inquiry.again(host, &self.plugin, &seen, grpc_status);
                let step = self.wait(host, inquiry, seen);
                resume(host, &step);
            }
            State::Open(mut open) => {
                let next = open.failed(host, &self.plugin, grpc_status);
                self.after(host, open, next);
            }
            State::Fresh | State::Over => {}
        }
    }

    /// Whether the request, which is open, is to be decided anew: its service stands at
    /// another revision, what let it in has ended, or nobody answered a while ago. `now` and
    /// `wall` are the monotonic clock and the time since the Unix epoch.
    pub fn due(&mut self, now: Duration, wall: Duration) -> bool {
        match &mut self.state {
            State::Open(open) => open.is_due(&self.plugin, now, wall),
            State::Fresh | State::Asking(_) | State::Over => false,
        }
    }

    /// Whether the request goes on.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether it has been due for longer than `maxStale`: [`Exchange::recheck`] then asks
    /// nobody.
    #[must_use]
    pub fn overdue(&self, now: Duration) -> bool {
        match &self.state {
            State::Open(open) => open.is_overdue(&self.plugin, now),
            State::Fresh | State::Asking(_) | State::Over => false,
        }
    }

    /// Decides a request anew that is open: by a lease, or it asks. One that is still
    /// allowed feels nothing of it; one that is not is ended, by one reply.
    pub fn recheck<H: Host>(&mut self, host: &mut H) {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Open(mut open) => {
                let next = open.recheck(host, &self.plugin);
                self.after(host, open, next);
            }
            other => self.state = other,
        }
    }

    /// The request is gone: nobody waits for its Check any more.
    pub fn ended<H: Host>(&mut self, host: &mut H) {
        if let Some(call) = self.call() {
            host.cancel(call);
        }
        self.state = State::Over;
    }

    fn begin<H: Host>(&mut self, host: &mut H) -> Step {
        let seen = match Seen::read(host, &self.plugin) {
            Ok(seen) => seen,
            Err(unseen) => return self.refuse(host, unseen.grpc, &Fault::Host(unseen.error)),
        };
        #[cfg(feature = "test-trap")]
        if seen.trap() {
            std::process::abort();
        }
        if let Err(fault) = self.prepare(host, &seen) {
            return self.refuse(host, seen.is_grpc(), &fault);
        }
        if seen.leaf().is_some() {
            match self.by_lease(host, &seen) {
                ByLease::GoesOn(id, keep_overrides, ground) => {
                    return self.open(Open::new(seen, keep_overrides, Some(id), ground));
                }
                ByLease::Stops(step) => return step,
                ByLease::Asks => host.count(Counter::LeaseMiss),
            }
        }
        let inquiry = Inquiry::begin(host, &self.plugin, &seen, None);
        self.wait(host, inquiry, seen)
    }

    /// Cleans the request.
    fn prepare<H: Host>(&self, host: &mut H, seen: &Seen) -> Result<(), Fault> {
        self.plugin.config().map_err(|_| Fault::Misconfigured)?;
        let mut forged = seen.forged();
        forged.try_for_each(|name| host.remove(Section::Headers, name).map_err(Fault::Host))
    }

    /// Does what a lease decides, if one does.
    fn by_lease<H: Host>(&self, host: &mut H, seen: &Seen) -> ByLease {
        match leased::decide(host, &self.plugin, seen, None) {
            None => ByLease::Asks,
            Some(Leased::Refused { reply, reason }) => {
                host.count(Counter::LeaseHit);
                host.count(Counter::Outcome(reason));
                ByLease::Stops(send(host, &reply))
            }
            Some(Leased::Allowed {
                id,
                lease,
                keep_overrides,
                ground,
            }) => {
                host.count(Counter::LeaseHit);
                let names = (lease.caller().as_str(), id.as_str());
                let named = name_caller(host, seen, keep_overrides, names);
                if let Err(error) = named {
                    let fault = Fault::Host(error);
                    return ByLease::Stops(self.refuse(host, seen.is_grpc(), &fault));
                }
                host.count(Counter::Outcome(Reason::Allow));
                ByLease::GoesOn(id, keep_overrides, ground)
            }
        }
    }

    /// Does what the server decided.
    fn decided<H: Host>(&mut self, host: &mut H, asking: Asking, message: &[u8]) -> Step {
        let Asking { inquiry, mut seen } = asking;
        match Answer::parse(message) {
            Ok(Answer::Allow(allow)) => {
                let terms = allow.terms.as_ref();
                keep_lease(host, &self.plugin, &seen, terms, &inquiry);
                let ground = Ground::of(terms, |decided_at| inquiry.clocks(decided_at));
                self.go_on(host, seen, &allow, ground)
            }
            Ok(Answer::Deny(deny)) => {
                let terms = deny.terms.as_ref();
                keep_lease(host, &self.plugin, &seen, terms, &inquiry);
                host.count(deny.reason.map_or(Counter::DeniedOther, Counter::Outcome));
                send(host, &deny.reply)
            }
            Ok(Answer::Incomplete(names)) => {
                let inquiry = inquiry.complete(host, &self.plugin, &mut seen, names);
                self.wait(host, inquiry, seen)
            }
            Err(fault) => self.refuse(host, seen.is_grpc(), &Fault::Answer(fault)),
        }
    }

    /// The request waits for its answer, unless nobody could be asked.
    fn wait<H: Host>(&mut self, host: &mut H, inquiry: Result<Inquiry, Fault>, seen: Seen) -> Step {
        match inquiry {
            Ok(inquiry) => {
                self.state = State::Asking(Box::new(Asking { inquiry, seen }));
                Step::Wait
            }
            Err(fault) if self.plugin.lets_pass(&fault) => self.go_on_in_danger(host, seen, &fault),
            Err(fault) => self.refuse(host, seen.is_grpc(), &fault),
        }
    }

    fn go_on<H: Host>(&mut self, host: &mut H, seen: Seen, allow: &Allow, ground: Ground) -> Step {
        if let Err(error) = rewrite(host, &seen, allow) {
            return self.refuse(host, seen.is_grpc(), &Fault::Host(error));
        }
        host.count(Counter::Outcome(Reason::Allow));
        self.open(Open::new(
            seen,
            allow.keep_overrides,
            decision_id(allow),
            ground,
        ))
    }

    /// `danger_allow_on_error`: on, but as nobody, since nobody verified the caller.
    fn go_on_in_danger<H: Host>(&mut self, host: &mut H, seen: Seen, fault: &Fault) -> Step {
        if let Err(error) = rewrite(host, &seen, &Allow::default()) {
            return self.refuse(host, seen.is_grpc(), &Fault::Host(error));
        }
        host.count(Counter::Outcome(fault.reason()));
        host.count(Counter::DangerAllowed);
        let reason = fault.reason();
        let line = format!("{reason}, let through by danger_allow_on_error: {fault}");
        self.plugin.warn(host, &line);
        self.open(Open::new(seen, false, None, Ground::NONE))
    }

    fn open(&mut self, open: Open) -> Step {
        self.state = State::Open(Box::new(open));
        Step::GoOn
    }

    /// What comes of an open request that was decided anew.
    fn after<H: Host>(&mut self, host: &mut H, open: Box<Open>, next: Next) {
        match next {
            Next::Stays => self.state = State::Open(open),
            Next::Ends(reply) => {
                host.count(Counter::StreamEnded);
                send(host, &reply);
            }
            Next::Fails(fault) => {
                host.count(Counter::StreamEnded);
                self.tell(host, open.is_grpc(), &fault);
            }
        }
    }

    fn refuse<H: Host>(&self, host: &mut H, grpc: bool, fault: &Fault) -> Step {
        host.count(Counter::Outcome(fault.reason()));
        self.tell(host, grpc, fault)
    }

    /// Answers that there is no decision, and says why in the proxy's log.
    fn tell<H: Host>(&self, host: &mut H, grpc: bool, fault: &Fault) -> Step {
        let time = timestamp(host.wall_now());
        let (reason, decision) = (fault.reason(), self.plugin.ids().mint(host, time));
        let decision = decision.as_str();
        self.plugin
            .warn(host, &format!("{reason}, decision {decision}: {fault}"));
        send(host, &fault.reply(grpc, decision))
    }
}

/// Keeps what an answer leases, if the service stands at the revision that was decided by:
/// an old answer may arrive after the news of a change, and servers may differ.
fn keep_lease<H: Host>(
    host: &mut H,
    plugin: &Plugin,
    seen: &Seen,
    terms: Option<&Terms>,
    inquiry: &Inquiry,
) {
    let (Some(leaf), Some(terms)) = (seen.leaf(), terms) else {
        return;
    };
    let callee = seen.callee();
    let now = host.monotonic_now();
    let announced = plugin.watches().announced(callee.name(), now);
    if announced != Some(terms.revision) || seen.client_cert().is_forwarded() {
        return;
    }
    match callee.take_lease(terms, leaf, inquiry.dispatched()) {
        Ok(true) => {
            host.count(Counter::Lease);
            plugin.make_room_for_leases();
        }
        Ok(false) => {}
        Err(error) => plugin.warn(host, &error.to_string()),
    }
}

/// The id that the server gave its decision.
fn decision_id(allow: &Allow) -> Option<DecisionId> {
    let id = allow.edits.iter().rev().find_map(|edit| match edit {
        Edit::Set(name, value) if name == headers::DECISION => Some(value),
        _ => None,
    });
    id.and_then(|id| DecisionId::read(id))
}

fn send<H: Host>(host: &mut H, reply: &Reply) -> Step {
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
