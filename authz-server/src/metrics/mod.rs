//! What `/metrics` shows (OpenMetrics, which Prometheus reads).

mod exposition;

use callgate_policy::Reason;
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
    watchers: Gauge,
    announcements: Counter,
}

/// The cause of a text that holds no certificate at all.
pub(crate) const NOT_PEM: &str = "not-pem";

type Labels = [(&'static str, &'static str); 2];
type CauseLabel = [(&'static str, &'static str); 1];

impl Default for Metrics {
    fn default() -> Self {
        let checks = Family::<Labels, Counter>::default();
        let by_reason = Reason::ALL.map(|reason| {
            if is_filters_own(reason) {
                return Counter::default();
            }
            let verdict = if reason == Reason::Allow {
                "Allow"
            } else {
                "Deny"
            };
            checks.get_or_create_owned(&[("verdict", verdict), ("reason", reason.as_str())])
        });
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
            watchers: Gauge::default(),
            announcements: Counter::default(),
        }
    }
}

impl Metrics {
    /// Counts one decision; `enforced` is false for one that Shadow let pass.
    pub(crate) fn count(&self, reason: Reason, enforced: bool) {
        let counter = Reason::ALL.iter().zip(&self.by_reason);
        for (_, counter) in counter.filter(|(known, _)| **known == reason) {
            counter.inc();
        }
        if !enforced {
            self.unenforced.inc();
        }
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
