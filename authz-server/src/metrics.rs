//! What `/metrics` shows (OpenMetrics, which Prometheus reads).

use std::{fmt, sync::Arc};

use callgate_policy::{Reason, Timestamp};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, text},
    metrics::{
        MetricType, counter::ConstCounter, counter::Counter, family::Family, gauge::ConstGauge,
        histogram::Histogram,
    },
    registry::Registry,
};

use crate::{
    bundle::TrustBundle,
    health::{Health, Readiness},
    live::Live,
    record::Recorder,
};

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
    latency: Histogram,
}

/// Everything that can be shown.
#[derive(Debug)]
pub struct Exposition {
    registry: Registry,
}

type Labels = [(&'static str, &'static str); 2];

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
        Self {
            checks,
            by_reason,
            unenforced: Counter::default(),
            invalid: Counter::default(),
            latency: Histogram::new(LATENCY_BUCKETS),
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

    /// Notes how many seconds one Check took.
    pub(crate) fn observe(&self, seconds: f64) {
        self.latency.observe(seconds);
    }
}

impl Exposition {
    /// Shows `metrics`, and what the others have to say when they are asked.
    #[must_use]
    pub fn new(
        metrics: &Metrics,
        live: Arc<Live>,
        health: Arc<Health>,
        recorder: Recorder,
    ) -> Self {
        let mut registry = Registry::with_prefix("callgate");
        registry.register(
            "checks",
            "Check calls, by verdict and reason",
            metrics.checks.clone(),
        );
        registry.register(
            "unenforced",
            "Refusals that a Shadow setting let pass",
            metrics.unenforced.clone(),
        );
        registry.register(
            "invalid_checks",
            "Messages that were no Check and got a gRPC error",
            metrics.invalid.clone(),
        );
        registry.register(
            "check_duration_seconds",
            "Time to decide one Check, network not included",
            metrics.latency.clone(),
        );
        registry.register_collector(Box::new(State {
            live,
            health,
            recorder,
        }));
        Self { registry }
    }

    /// The text of `/metrics`, of media type [`Self::MEDIA_TYPE`].
    ///
    /// # Errors
    /// Never in practice: the text is written to memory.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// OpenMetrics 1.0.
    pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
}

/// What is asked for at every scrape instead of being kept up to date.
#[derive(Debug)]
struct State {
    live: Arc<Live>,
    health: Arc<Health>,
    recorder: Recorder,
}

impl Collector for State {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut shown = Shown(&mut encoder);
        self.readiness(&mut shown)?;
        self.policies(&mut shown)?;
        self.bundles(&mut shown)?;
        self.svids(&mut shown)?;
        self.records(&mut shown)
    }
}

impl State {
    fn readiness(&self, shown: &mut Shown<'_, '_>) -> fmt::Result {
        let readiness = self.health.readiness();
        let degraded = matches!(readiness, Readiness::Degraded(_));
        shown.gauge(
            "ready",
            "1 if Checks may be sent here",
            i64::from(readiness.is_ready()),
        )?;
        shown.gauge(
            "degraded",
            "1 if older documents or bundles decide than those that are there",
            i64::from(degraded),
        )?;
        shown.gauge(
            "last_scan_timestamp_seconds",
            "When policies and bundles were last compared with the disk",
            seconds(self.health.last_scan()),
        )
    }

    fn policies(&self, shown: &mut Shown<'_, '_>) -> fmt::Result {
        let loads = self.health.condition().policies;
        shown.counter(
            "policy_loads",
            "Sets of policies that were taken",
            loads.succeeded,
        )?;
        shown.counter(
            "policy_load_failures",
            "Sets of policies that were refused while the last good one stayed",
            loads.failed,
        )?;
        shown.gauge(
            "policy_last_success_timestamp_seconds",
            "When a set of policies was last taken",
            seconds(loads.last_success),
        )?;
        let snapshot = self.live.current();
        let counts = snapshot.policies().map(|policies| policies.counts);
        let rules = counts.map_or(0, |counts| counts.rules);
        let services = counts.map_or(0, |counts| counts.services);
        shown.gauge("policy_rules", "Rules that decide now", count(rules))?;
        shown.gauge(
            "policy_services",
            "Services that have a policy",
            count(services),
        )?;
        let revision = [[("revision", snapshot.revision())]];
        shown.gauges(
            "revision_info",
            "What decides now",
            revision.map(|labels| (labels, 1)),
        )
    }

    fn bundles(&self, shown: &mut Shown<'_, '_>) -> fmt::Result {
        let snapshot = self.live.current();
        let bundles = || snapshot.verifier().bundles();
        let of =
            |bundle: &TrustBundle| [("trust_domain", bundle.trust_domain().as_str().to_owned())];
        shown.gauges(
            "trust_bundle_anchors",
            "Roots of a trust domain",
            bundles().map(|bundle| (of(bundle), count(bundle.len()))),
        )?;
        shown.gauges(
            "trust_bundle_not_after_timestamp_seconds",
            "When the last root of a trust domain expires",
            bundles().map(|bundle| (of(bundle), seconds(bundle.not_after()))),
        )?;
        let failed = self.health.condition().bundles.into_values();
        shown.counter(
            "trust_bundle_load_failures",
            "Trust bundles that were refused while the last good one stayed",
            failed.map(|loads| loads.failed).sum(),
        )
    }

    fn svids(&self, shown: &mut Shown<'_, '_>) -> fmt::Result {
        let figures = self.live.current().verifier().cache();
        shown.gauge(
            "svid_cache_entries",
            "Verified certificates that are remembered",
            count(figures.entries),
        )?;
        shown.counter(
            "svid_cache_hits",
            "Certificates that were remembered",
            figures.hits,
        )?;
        shown.counter(
            "svid_cache_misses",
            "Certificates that had to be verified",
            figures.misses,
        )
    }

    fn records(&self, shown: &mut Shown<'_, '_>) -> fmt::Result {
        let figures = self.recorder.figures();
        shown.counter(
            "records_written",
            "Decision records that were written",
            figures.written,
        )?;
        shown.counter(
            "records_dropped",
            "Decision records that were lost because the writer could not keep up",
            figures.dropped_full,
        )?;
        shown.counter(
            "records_failed",
            "Decision records that were lost because writing failed",
            figures.dropped_failed,
        )
    }
}

/// The few kinds of metrics that [`State`] has.
struct Shown<'s, 'e>(&'s mut DescriptorEncoder<'e>);

impl Shown<'_, '_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let metric = ConstCounter::new(value);
        let encoder = self
            .0
            .encode_descriptor(name, help, None, metric.metric_type())?;
        metric.encode(encoder)
    }

    fn gauge(&mut self, name: &str, help: &str, value: i64) -> fmt::Result {
        let metric = ConstGauge::new(value);
        let encoder = self
            .0
            .encode_descriptor(name, help, None, metric.metric_type())?;
        metric.encode(encoder)
    }

    fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, i64)>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
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

fn seconds(at: Option<Timestamp>) -> i64 {
    at.map_or(0, |at| at.as_millis() / 1_000)
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
