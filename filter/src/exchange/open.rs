//! A request that goes on, and is decided anew when what let it in no longer stands.

use std::time::Duration;

use super::keep_lease;
use crate::{
    Answer, CallId, Config, Counter, Host, Plugin, Reply, Revision,
    id::DecisionId,
    inquiry::Inquiry,
    leased::{self, Ground, Leased},
    refusal::Fault,
    request::Seen,
};

/// Between two attempts at deciding one request anew.
const PAUSE: Duration = Duration::from_secs(1);

/// gRPC's UNAVAILABLE: a refusal for want of policies is no decision about this request.
const UNAVAILABLE: u32 = 14;

/// An open request.
#[derive(Debug)]
pub(super) struct Open {
    seen: Seen,
    keep_overrides: bool,
    /// Of the decision that let it in.
    id: Option<DecisionId>,
    ground: Ground,
    /// Since when it is due, by the monotonic clock.
    due_since: Option<Duration>,
    /// Not again before this moment, unless another revision is announced than then.
    rest: Option<(Duration, Option<Revision>)>,
    /// What was announced when it was last decided anew, or that began.
    asked_under: Option<Revision>,
    /// The Check that is under way.
    inquiry: Option<Inquiry>,
}

/// What becomes of an open request.
#[derive(Debug)]
pub(super) enum Next {
    /// It goes on, and feels nothing.
    Stays,
    /// It is ended, by this reply.
    Ends(Reply),
    /// It is ended, because nobody could say.
    Fails(Fault),
}

impl Open {
    pub(super) fn new(
        seen: Seen,
        keep_overrides: bool,
        id: Option<DecisionId>,
        ground: Ground,
    ) -> Self {
        Self {
            seen,
            keep_overrides,
            id,
            ground,
            due_since: None,
            rest: None,
            asked_under: None,
            inquiry: None,
        }
    }

    pub(super) fn call(&self) -> Option<CallId> {
        self.inquiry.as_ref().map(Inquiry::call)
    }

    pub(super) fn keeps_overrides(&self) -> bool {
        self.keep_overrides
    }

    pub(super) fn is_grpc(&self) -> bool {
        self.seen.is_grpc()
    }

    /// Whether it is to be decided anew now.
    pub(super) fn is_due(&mut self, plugin: &Plugin, now: Duration, wall: Duration) -> bool {
        if self.inquiry.is_some() {
            return false;
        }
        let announced = self.announced(plugin, now);
        if let Some((until, then)) = self.rest
            && now < until
            && announced == then
        {
            return false;
        }
        if self.due_since.is_none() && self.stands_no_more(announced, now, wall) {
            self.due_since = Some(now);
        }
        self.due_since.is_some()
    }

    /// Whether nobody has said for too long whether it may go on.
    pub(super) fn is_overdue(&self, plugin: &Plugin, now: Duration) -> bool {
        self.limit(plugin).is_some_and(|limit| now >= limit)
    }

    /// Until when somebody has to have said it, since it is due.
    fn limit(&self, plugin: &Plugin) -> Option<Duration> {
        let most = plugin.config().map_or(Duration::ZERO, Config::max_stale);
        let for_ever = plugin.lets_pass(&Fault::Undecided);
        let limit = self.due_since?.saturating_add(most);
        (!for_ever).then_some(limit)
    }

    pub(super) fn recheck<H: Host>(&mut self, host: &mut H, plugin: &Plugin) -> Next {
        if self.inquiry.is_some() {
            return Next::Stays;
        }
        let now = host.monotonic_now();
        self.due_since.get_or_insert(now);
        self.asked_under = self.announced(plugin, now);
        host.count(Counter::Recheck);
        let id = self.id;
        let id = id.as_ref().map(DecisionId::as_str);
        match leased::decide(host, plugin, &self.seen, id) {
            Some(Leased::Allowed { ground, .. }) => return self.stands(host, plugin, ground),
            Some(Leased::Refused { reply, .. }) => return Next::Ends(reply),
            None => {}
        }
        if self.is_overdue(plugin, now) {
            return self.unanswered(host, plugin);
        }
        match Inquiry::begin(host, plugin, &self.seen, id) {
            Ok(inquiry) => self.wait(inquiry),
            Err(_) => self.unanswered(host, plugin),
        }
    }

    pub(super) fn answered<H: Host>(
        &mut self,
        host: &mut H,
        plugin: &Plugin,
        message: &[u8],
    ) -> Next {
        let Some(inquiry) = self.inquiry.take() else {
            return Next::Stays;
        };
        match Answer::parse(message) {
            Ok(Answer::Allow(allow)) => {
                let terms = allow.terms.as_ref();
                keep_lease(host, plugin, &self.seen, terms, &inquiry);
                let ground = Ground::of(terms, |decided_at| inquiry.clocks(decided_at));
                self.stands(host, plugin, ground)
            }
            Ok(Answer::Deny(deny)) if deny.reply.grpc_status != UNAVAILABLE => {
                let terms = deny.terms.as_ref();
                keep_lease(host, plugin, &self.seen, terms, &inquiry);
                Next::Ends(deny.reply)
            }
            Ok(Answer::Incomplete(names)) => {
                match inquiry.complete(host, plugin, &mut self.seen, names) {
                    Ok(inquiry) => self.wait(inquiry),
                    Err(_) => self.unanswered(host, plugin),
                }
            }
            Ok(Answer::Deny(_)) | Err(_) => self.unanswered(host, plugin),
        }
    }

    pub(super) fn failed<H: Host>(
        &mut self,
        host: &mut H,
        plugin: &Plugin,
        grpc_status: u32,
    ) -> Next {
        let Some(inquiry) = self.inquiry.take() else {
            return Next::Stays;
        };
        match inquiry.again(host, plugin, &self.seen, grpc_status) {
            Ok(inquiry) => self.wait(inquiry),
            Err(_) => self.unanswered(host, plugin),
        }
    }

    fn wait(&mut self, inquiry: Inquiry) -> Next {
        self.inquiry = Some(inquiry);
        Next::Stays
    }

    /// It is still allowed. Where that was said by a server that is behind, or ahead of the
    /// one that announces, it is asked about again later; where something else was announced
    /// meanwhile, at once.
    fn stands<H: Host>(&mut self, host: &mut H, plugin: &Plugin, ground: Ground) -> Next {
        self.ground = ground;
        self.due_since = None;
        let (now, wall) = (host.monotonic_now(), host.wall_now());
        let announced = self.announced(plugin, now);
        let again = self.stands_no_more(announced, now, wall);
        self.rest = again.then_some((now.saturating_add(PAUSE), self.asked_under));
        Next::Stays
    }

    /// Nobody said whether it may go on: it is asked about again, but not for ever.
    fn unanswered<H: Host>(&mut self, host: &mut H, plugin: &Plugin) -> Next {
        let now = host.monotonic_now();
        if self.is_overdue(plugin, now) {
            return Next::Fails(Fault::Undecided);
        }
        let again = now.saturating_add(PAUSE);
        let again = self.limit(plugin).map_or(again, |limit| limit.min(again));
        self.rest = Some((again, self.asked_under));
        Next::Stays
    }

    fn announced(&self, plugin: &Plugin, now: Duration) -> Option<Revision> {
        plugin.watches().told(self.seen.callee().name(), now)
    }

    fn stands_no_more(&self, announced: Option<Revision>, now: Duration, wall: Duration) -> bool {
        let changed = match (announced, self.ground.revision) {
            (Some(announced), Some(own)) => announced != own,
            (None, _) | (_, None) => false,
        };
        changed || self.ground.has_ended(now, wall)
    }
}
