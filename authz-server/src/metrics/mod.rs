//! What `/metrics` shows (OpenMetrics, which Prometheus reads).

mod exposition;

use callgate_policy::{Reason, Verdict};
use prometheus_client::metrics::{
    counter::Counter, family::Family, gauge::Gauge, histogram::Histogram,
};

pub use exposition::Exposition;

use crate::{candidate::Differences, identity::ProxyFault, svid::SvidError};

/// Seconds; a decision takes microseconds, one that verifies a new certificate a few
/// hundred of them.
const LATENCY_BUCKETS: [f64; 12] = [
    5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 0.1,
];

/// Counters that decisions touch, ready to be touched without a look-up.
#[derive(Debug)]
pub struct Metrics {
    checks: Family<Labels, Counter>,
    by_reason: [Counter; Reason::ALL.len()],
    unenforced: Counter,
    invalid: Counter,
    incomplete: Counter,
    differences: Differences,
    refused_proxies: Family<CauseLabel, Counter>,
    svid_failures: Family<CauseLabel, Counter>,
    latency: Histogram,
    leases: Counter,
    leased: Family<Labels, Counter>,
    leased_by_reason: [Counter; Reason::ALL.len()],
    leased_dropped: Family<VerdictLabel, Counter>,
    disagreements: Counter,
    watchers: Gauge,
    announcements: Counter,
}

/// The cause of a text that holds no certificate at all.
pub(crate) const NOT_PEM: &str = "not-pem";

type Labels = [(&'static str, &'static str); 2];
type CauseLabel = [(&'static str, &'static str); 1];
type VerdictLabel = [(&'static str, &'static str); 1];

impl Default for Metrics {
    fn default() -> Self {
        let checks = Family::<Labels, Counter>::default();
        let by_reason = counters(&checks, |reason| !is_filters_own(reason));
        let leased = Family::<Labels, Counter>::default();
        let leased_by_reason = counters(&leased, is_leased);
        let leased_dropped = Family::<VerdictLabel, Counter>::default();
        for verdict in [Verdict::Allow, Verdict::Deny] {
            drop(leased_dropped.get_or_create(&[("verdict", word(verdict))]));
        }
        let refused_proxies = Family::<CauseLabel, Counter>::default();
        let svid_failures = Family::<CauseLabel, Counter>::default();
        for cause in SvidError::CAUSES.into_iter().chain([NOT_PEM]) {
            drop(svid_failures.get_or_create(&[("cause", cause)]));
        }
        for cause in ProxyFault::CAUSES {
            // Shown as 0 until there is one.
            drop(refused_proxies.get_or_create(&[("cause", cause)]));
        }
        Self {
            checks,
            by_reason,
            unenforced: Counter::default(),
            invalid: Counter::default(),
            incomplete: Counter::default(),
            differences: Differences::default(),
            refused_proxies,
            svid_failures,
            latency: Histogram::new(LATENCY_BUCKETS),
            leases: Counter::default(),
            leased,
            leased_by_reason,
            leased_dropped,
            disagreements: Counter::default(),
            watchers: Gauge::default(),
            announcements: Counter::default(),
        }
    }
}

impl Metrics {
    /// Counts one decision; `enforced` is false for one that Shadow let pass.
    pub(crate) fn count(&self, reason: Reason, enforced: bool) {
        count(&self.by_reason, reason);
        if !enforced {
            self.unenforced.inc();
        }
    }

    /// Counts one lease.
    pub(crate) fn count_lease(&self) {
        self.leases.inc();
    }

    /// Counts one decision that a proxy made by a lease.
    pub(crate) fn count_leased(&self, reason: Reason) {
        count(&self.leased_by_reason, reason);
    }

    /// Counts such decisions that were never recorded.
    pub(crate) fn count_dropped_leased(&self, verdict: Verdict, dropped: u64) {
        if dropped > 0 {
            let labels = [("verdict", word(verdict))];
            self.leased_dropped.get_or_create(&labels).inc_by(dropped);
        }
    }

    /// Counts one that this server would have made otherwise.
    pub(crate) fn count_disagreement(&self) {
        self.disagreements.inc();
    }

    /// How many leases there were.
    #[cfg(test)]
    pub(crate) fn leases(&self) -> u64 {
        self.leases.get()
    }

    /// How many decisions by leases had `reason`.
    #[cfg(test)]
    pub(crate) fn leased(&self, reason: Reason) -> u64 {
        let all = Reason::ALL.iter().zip(&self.leased_by_reason);
        let mut counters = all.filter(|(known, _)| **known == reason);
        counters.next().map_or(0, |(_, counter)| counter.get())
    }

    /// How many were dropped.
    #[cfg(test)]
    pub(crate) fn dropped_leased(&self, verdict: Verdict) -> u64 {
        let labels = [("verdict", word(verdict))];
        self.leased_dropped.get_or_create(&labels).get()
    }

    /// How many disagreed.
    #[cfg(test)]
    pub(crate) fn disagreements(&self) -> u64 {
        self.disagreements.get()
    }

    /// Counts one message that was no Check.
    pub(crate) fn count_invalid(&self) {
        self.invalid.inc();
    }

    /// Counts one Check without headers that its decision reads.
    pub(crate) fn count_incomplete(&self) {
        self.incomplete.inc();
    }

    /// Where the candidate differs.
    pub(crate) const fn differences(&self) -> &Differences {
        &self.differences
    }

    /// Counts one proxy that got no answer, in the handshake or to a Check.
    pub(crate) fn count_refused_proxy(&self, fault: &ProxyFault) {
        self.refused_proxies
            .get_or_create(&[("cause", fault.cause())])
            .inc();
    }

    /// Counts a client certificate that identifies nobody.
    pub(crate) fn count_svid_failure(&self, cause: &'static str) {
        self.svid_failures.get_or_create(&[("cause", cause)]).inc();
    }

    /// Counts one Watch stream more.
    pub(crate) fn watcher_came(&self) {
        self.watchers.inc();
    }

    /// Counts one Watch stream less.
    pub(crate) fn watcher_left(&self) {
        self.watchers.dec();
    }

    /// Counts one announcement.
    pub(crate) fn count_announcement(&self) {
        self.announcements.inc();
    }

    /// Notes how many seconds one Check took.
    pub(crate) fn observe(&self, seconds: f64) {
        self.latency.observe(seconds);
    }
}

/// A counter for each reason that `is_counted`, each shown as 0 until there is one.
fn counters(
    family: &Family<Labels, Counter>,
    is_counted: impl Fn(Reason) -> bool,
) -> [Counter; Reason::ALL.len()] {
    Reason::ALL.map(|reason| {
        if !is_counted(reason) {
            return Counter::default();
        }
        let verdict = match reason {
            Reason::Allow => Verdict::Allow,
            _ => Verdict::Deny,
        };
        family.get_or_create_owned(&[("verdict", word(verdict)), ("reason", reason.as_str())])
    })
}

fn count(counters: &[Counter], reason: Reason) {
    let counters = Reason::ALL.iter().zip(counters);
    for (_, counter) in counters.filter(|(known, _)| **known == reason) {
        counter.inc();
    }
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "Allow",
        Verdict::Deny => "Deny",
    }
}

/// Reasons that a proxy finds by itself, where it has a lease.
pub(crate) const fn is_leased(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Allow
            | Reason::PathAmbiguous
            | Reason::NoPolicy
            | Reason::NoRule
            | Reason::DenyRule
            | Reason::ExceptionExpired
    )
}

/// Reasons that no server gives.
const fn is_filters_own(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::AuthzUnreachable
            | Reason::AuthzTimeout
            | Reason::AuthzProtocol
            | Reason::FilterMisconfigured
    )
}
