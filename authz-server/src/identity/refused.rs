//! Proxies that were refused: counted always, logged now and then.

use std::sync::Arc;

use super::ProxyFault;
use crate::{metrics::Metrics, seldom::Seldom};

/// Where refused proxies are noted.
#[derive(Debug)]
pub struct RefusedProxies {
    metrics: Arc<Metrics>,
    /// Whoever is refused may try again as fast as it can.
    lines: Seldom,
}

impl RefusedProxies {
    /// Counts with `metrics`.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            lines: Seldom::new(),
        }
    }

    /// Notes one.
    pub fn note(&self, fault: &ProxyFault) {
        self.metrics.count_refused_proxy(fault);
        match self.lines.may_say() {
            Some(unsaid) => tracing::warn!(unsaid, "proxy refused: {fault}"),
            None => tracing::debug!("proxy refused: {fault}"),
        }
    }
}
