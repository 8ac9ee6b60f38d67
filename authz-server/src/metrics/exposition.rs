//! The page itself: counters as they are, and the state of the rest when it is asked.

use std::{fmt, sync::Arc};

use callgate_policy::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use super::Metrics;
use crate::{
    bundle::{BundleState, Bundles},
    clock,
    health::{Health, Readiness},
    live::Live,
    record::Recorder,
    svid,
};

/// Callers that have series of their own. Prometheus keeps each series that it ever saw.
const MAX_CALLERS: usize = 100;
/// How long ago a caller may have been seen last.
const RECENT_MILLIS: i64 = 600_000;

/// Everything that can be shown.
#[derive(Debug)]
pub struct Exposition {
    registry: Registry,
}

impl Exposition {
    /// Shows `metrics`, and what the others have to say when they are asked.
    #[must_use]
    pub fn new(
        metrics: &Metrics,
        live: Arc<Live>,
        bundles: Arc<Bundles>,
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
            "incomplete_checks",
            "Checks that were asked again, with headers that a condition reads",
            metrics.incomplete.clone(),
        );
        registry.register(
            "candidate_differences",
            "Checks that the candidate decides differently, by caller and rule",
            metrics.differences.counts(),
        );
        registry.register(
            "refused_proxies",
            "Proxies that got no answer, in the handshake or to a Check, by cause",
            metrics.refused_proxies.clone(),
        );
        registry.register(
            "svid_failures",
            "Client certificates that identify nobody, by what is wrong with them",
            metrics.svid_failures.clone(),
        );
        registry.register(
            "check_duration_seconds",
            "Time to decide one Check, network not included",
            metrics.latency.clone(),
        );
        registry.register(
            "leases_granted",
            "Answers by which the proxy may decide a caller's other calls itself",
            metrics.leases.clone(),
        );
        registry.register(
            "leased_decisions",
            "Decisions that proxies made by leases and told, by verdict and reason",
            metrics.leased.clone(),
        );
        registry.register(
            "leased_records_dropped",
            "Decisions by leases that proxies could not tell, by verdict",
            metrics.leased_dropped.clone(),
        );
        registry.register(
            "lease_disagreements",
            "Decisions by leases that this server would have made otherwise",
            metrics.disagreements.clone(),
        );
        registry.register(
            "watchers",
            "Proxies' streams that are told of revisions",
            metrics.watchers.clone(),
        );
        registry.register(
            "announcements",
            "Times that a stream was told a revision",
            metrics.announcements.clone(),
        );
        registry.register_collector(Box::new(State {
            live,
            bundles,
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
    bundles: Arc<Bundles>,
    health: Arc<Health>,
    recorder: Recorder,
}

impl Collector for State {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut shown = Shown(&mut encoder);
        self.readiness(&mut shown)?;
        self.policies(&mut shown)?;
        self.candidate(&mut shown)?;
        self.revocations(&mut shown)?;
        self.bundles(&mut shown)?;
        self.identity(&mut shown)?;
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
            "1 if older documents or bundles decide than those that are there, or soon nothing can",
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

    fn candidate(&self, shown: &mut Shown<'_, '_>) -> fmt::Result {
        let snapshot = self.live.current();
        let counts = snapshot.candidate().map(|candidate| candidate.counts);
        shown.gauge(
            "candidate_rules",
            "Rules of the candidate that is tried now",
            count(counts.map_or(0, |counts| counts.rules)),
        )?;
        let loads = self.health.condition().candidate;
        shown.gauge(
            "candidate_faulty",
            "1 if something is wrong with the candidate, so that an older one is tried, or none",
            i64::from(loads.fault.is_some()),
        )
    }

    fn revocations(&self, shown: &mut Shown<'_, '_>) -> fmt::Result {
        let (snapshot, now) = (self.live.current(), clock::now());
        let all = snapshot.revocations().all();
        let active = all.iter().filter(|one| one.is_active(now)).count();
        let states = [("active", active), ("lapsed", all.len() - active)];
        shown.gauges(
            "revocations",
            "Revocation documents that have effect, and those that had until they expired",
            states.map(|(state, n)| ([("state", state)], count(n))),
        )?;
        let loads = self.health.condition().revocations;
        shown.counter(
            "revocation_load_failures",
            "Times that something was wrong with revocations while the rest had effect",
            loads.failed,
        )?;
        shown.gauge(
            "revocation_faulty",
            "1 if something is wrong with revocations now",
            i64::from(loads.fault.is_some()),
        )?;
        shown.gauge(
            "revocation_last_scan_timestamp_seconds",
            "When revocations were last compared with the disk",
            seconds(self.health.last_revocation_scan()),
        )
    }

    fn bundles(&self, shown: &mut Shown<'_, '_>) -> fmt::Result {
        let states = self.bundles.states();
        let of = |state: &BundleState| [("trust_domain", state.trust_domain.as_str().to_owned())];
        let roots = |state: &BundleState| (of(state), count(state.roots.unwrap_or(0)));
        shown.gauges(
            "trust_bundle_anchors",
            "Roots of a trust domain",
            states.iter().map(roots),
        )?;
        shown.gauges(
            "trust_bundle_not_after_timestamp_seconds",
            "When the last root of a trust domain expires",
            states
                .iter()
                .map(|state| (of(state), seconds(state.not_after))),
        )?;
        let now = clock::now();
        shown.gauges(
            "trust_bundle_age_seconds",
            "Time since a source last said that this is a trust domain's bundle",
            states.iter().filter_map(|state| {
                let age = now.as_millis() - state.confirmed?.as_millis();
                Some((of(state), age.max(0) / 1_000))
            }),
        )?;
        let failed = self.health.condition().bundles.into_values();
        shown.counter(
            "trust_bundle_load_failures",
            "Trust bundles that were refused while the last good one stayed",
            failed.map(|loads| loads.failed).sum(),
        )
    }

    /// Nothing without an identity: a zero would read as one that has expired.
    fn identity(&self, shown: &mut Shown<'_, '_>) -> fmt::Result {
        let Some(own) = self.health.condition().identity else {
            return Ok(());
        };
        shown.gauge(
            "identity_not_after_timestamp_seconds",
            "When the server's own certificate expires",
            seconds(own.not_after),
        )?;
        shown.gauge(
            "identity_remaining_seconds",
            "How long the server's own certificate is still valid; negative once it is not",
            seconds(own.not_after) - seconds(Some(clock::now())),
        )?;
        shown.counter(
            "identity_renewals",
            "Certificates of the server's own that were taken, the first included",
            own.loads.succeeded,
        )?;
        shown.counter(
            "identity_renewal_failures",
            "Certificates of the server's own that could not be taken while the last good one stayed",
            own.loads.failed,
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
        )?;
        shown.counter(
            "svid_rotations",
            "Certificates that end later than any of their caller before",
            figures.rotations,
        )?;
        self.callers(shown)
    }

    /// One series for each of the callers that have the least left: what is to be
    /// feared is among them, and their number is bounded.
    fn callers(&self, shown: &mut Shown<'_, '_>) -> fmt::Result {
        let since = clock::now().as_millis().saturating_sub(RECENT_MILLIS);
        let leaves = self
            .live
            .current()
            .verifier()
            .shown(Timestamp::from_millis(since));
        let overdue = leaves.iter().filter(|leaf| leaf.is_overdue()).count();
        let lives = svid::lives(&leaves);
        shown.gauge(
            "callers",
            "Callers seen in the last ten minutes",
            count(lives.len()),
        )?;
        shown.gauge(
            "svids_overdue",
            "Certificates seen in the last ten minutes with less than a fifth of their life left",
            count(overdue),
        )?;
        let series = lives.iter().take(MAX_CALLERS).flat_map(|life| {
            let labels = |of: &str| [("caller", life.caller.to_string()), ("of", of.to_owned())];
            [
                (labels("min"), life.min_millis.div_euclid(1_000)),
                (labels("p50"), life.p50_millis.div_euclid(1_000)),
            ]
        });
        shown.gauges(
            "caller_svid_remaining_seconds",
            "What a caller's certificates had left when they were last seen, of the 100 callers with the least",
            series,
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

fn seconds(at: Option<Timestamp>) -> i64 {
    at.map_or(0, |at| at.as_millis() / 1_000)
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
