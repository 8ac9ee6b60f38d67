//! Calls through a proxy over mutual TLS on connections that are kept, each caller one
//! at a time: as many as are answered.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Result;
use callgate_bench_report::Latencies;
use callgate_tests::caller::{Caller, Http};
use tokio::task::JoinSet;

use crate::kept::Kept;

/// Whom requests are addressed to.
pub const AUTHORITY: &str = "orders.shop.svc.cluster.local";
/// Calls on a new connection that are not counted: the first ones pay for it.
const WARM_UP: usize = 50;

/// What is called: a GET without a body.
#[derive(Clone, Debug)]
pub struct Target {
    /// Who calls.
    pub caller: Caller,
    /// Where.
    pub address: SocketAddr,
    /// By which version.
    pub http: Http,
    /// Path and query.
    pub path: String,
    /// Besides the one that says whom.
    pub headers: Vec<(&'static str, String)>,
}

/// Headers as services send them: a token for somebody else, tracing.
#[must_use]
pub fn usual_headers() -> Vec<(&'static str, String)> {
    let token = format!("Bearer {}", "0123456789abcdef".repeat(50));
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    vec![
        ("user-agent", "checkout/4.2".to_owned()),
        ("accept", "application/json".to_owned()),
        ("authorization", token),
        ("traceparent", trace.to_owned()),
        ("x-tenant", "a-shop".to_owned()),
    ]
}

/// One connection, calls one after the other, `count` of them or as many as fit into
/// `time`: how long each took.
///
/// # Errors
/// A connection that breaks, or an answer other than 200.
pub async fn latencies(target: &Target, count: usize, time: Duration) -> Result<Latencies> {
    let mut connection = Kept::open(target).await?;
    for _ in 0..WARM_UP {
        connection.call(&target.path).await?;
    }
    let mut nanos = Vec::with_capacity(count);
    let end = Instant::now() + time;
    while nanos.len() < count && Instant::now() < end {
        let start = Instant::now();
        connection.call(&target.path).await?;
        nanos.push(u64::try_from(start.elapsed().as_nanos())?);
    }
    Ok(Latencies::new(nanos))
}

/// `connections` callers at once for `time`: calls a second, handshakes not counted.
///
/// # Errors
/// A connection that breaks, or an answer other than 200.
pub async fn throughput(target: &Target, connections: usize, time: Duration) -> Result<f64> {
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        let mut connection = Kept::open(target).await?;
        connection.call(&target.path).await?;
        open.push(connection);
    }
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for connection in open {
        callers.spawn(keep_calling(connection, target.path.clone(), start + time));
    }
    let mut calls = 0;
    while let Some(called) = callers.join_next().await {
        calls += called??;
    }
    Ok(f64::from(calls) / start.elapsed().as_secs_f64())
}

async fn keep_calling(mut connection: Kept, path: String, end: Instant) -> Result<u32> {
    let mut calls = 0;
    while Instant::now() < end {
        connection.call(&path).await?;
        calls += 1;
    }
    Ok(calls)
}
