//! A day of one service: a thousand callers, a hundred templates of paths, few of either
//! called often (Zipf), every path another one.

use std::{fmt::Write as _, net::SocketAddr, time::Instant};

use anyhow::{Context as _, Result, ensure};
use callgate_tests::{
    caller::{Caller, Http},
    callgate::Callgate,
    pki::Pki,
};
use fastrand::Rng;
use tokio::task::JoinSet;

use crate::{calls::Target, kept::Kept};

/// Who is called.
pub const CALLEE: &str = "/ns/shop/sa/orders";
/// Workloads that call.
pub const CALLERS: usize = 1_000;
/// Templates that rules have.
pub const TEMPLATES: usize = 100;
/// Templates come in areas, a rule each.
const AREAS: usize = 10;
/// Areas that each caller may call.
const AREAS_EACH: usize = 3;
/// Of a thousand calls, those of any template, allowed or not.
const ASTRAY: u32 = 20;
/// Calls at once.
const AT_ONCE: usize = 32;

/// The calls, in their order, each by its caller.
#[derive(Debug)]
pub struct Trace {
    areas: Vec<[usize; AREAS_EACH]>,
    calls: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    caller: usize,
    template: usize,
    id: u32,
}

impl Trace {
    /// `count` calls; the same ones each time.
    #[must_use]
    pub fn new(count: usize) -> Self {
        let mut rng = Rng::with_seed(0x7ace);
        let areas: Vec<_> = (0..CALLERS).map(|_| three_of(&mut rng)).collect();
        let (callers, templates) = (Zipf::of(CALLERS), Zipf::of(AREAS_EACH * TEMPLATES / AREAS));
        let mut calls = Vec::with_capacity(count);
        for _ in 0..count {
            let caller = callers.draw(&mut rng);
            let rank = templates.draw(&mut rng);
            let own = areas.get(caller).copied().unwrap_or_default();
            let area = own.get(rank % AREAS_EACH).copied().unwrap_or_default();
            let astray = rng.u32(..1_000) < ASTRAY;
            calls.push(Entry {
                caller,
                template: if astray {
                    rng.usize(..TEMPLATES)
                } else {
                    area + AREAS * (rank / AREAS_EACH)
                },
                id: rng.u32(..),
            });
        }
        Self { areas, calls }
    }

    /// The rules that say the same: an area is a rule, its callers are a group.
    #[must_use]
    pub fn policy(&self) -> String {
        let mut text = String::from(
            "kind: MeshPolicy\nmetadata: {name: mesh}\nspec: {trustDomain: example.org}\n",
        );
        for area in 0..AREAS {
            let members = (0..CALLERS).filter(|&caller| self.may(caller, area));
            let members: Vec<String> = members.map(id).collect();
            let _ = write!(
                text,
                "---\nkind: CallerGroup\nmetadata: {{name: area-{area}}}\n\
                 spec:\n  owner: team-orders\n  members: [{}]\n",
                members.join(", ")
            );
        }
        let _ = write!(
            text,
            "---\nkind: ServicePolicy\nmetadata: {{name: orders}}\n\
             spec:\n  services: [{CALLEE}]\n  owner: team-orders\n  allow:\n"
        );
        for area in 0..AREAS {
            let _ = write!(text, "    - name: area-{area}\n      from: [area-{area}");
            // Somebody whom the trace does not know; see `one_template`.
            let _ = writeln!(text, ", {FRESH}]\n      to:");
            for template in (area..TEMPLATES).step_by(AREAS) {
                let _ = writeln!(text, "        - GET {}", path(template, "{id}"));
            }
        }
        text
    }

    /// Makes all calls, each caller on a connection of its own, 32 at once.
    ///
    /// # Errors
    /// A connection that breaks, or an answer that is wrong.
    pub async fn run(&self, pki: &Pki, address: SocketAddr) -> Result<Ran> {
        let mut lines: Vec<Line> = (0..AT_ONCE).map(|_| Line::default()).collect();
        for caller in 0..CALLERS {
            let kept = Kept::open(&target(pki, &id(caller), address)?).await?;
            let line = lines.get_mut(caller % AT_ONCE).context("no line")?;
            line.callers.push(kept);
        }
        for entry in &self.calls {
            let line = lines.get_mut(entry.caller % AT_ONCE).context("no line")?;
            let allowed = self.may(entry.caller, entry.template % AREAS);
            line.calls.push((entry.clone(), allowed));
        }
        let start = Instant::now();
        let mut running = JoinSet::new();
        for line in lines {
            running.spawn(line.run());
        }
        while let Some(line) = running.join_next().await {
            line??;
        }
        Ok(Ran {
            calls: self.calls.len(),
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    fn may(&self, caller: usize, area: usize) -> bool {
        self.areas
            .get(caller)
            .is_some_and(|own| own.contains(&area))
    }
}

/// The trace has run.
#[derive(Clone, Copy, Debug)]
pub struct Ran {
    /// How many.
    pub calls: usize,
    /// In how many seconds.
    pub seconds: f64,
}

/// Some callers, and their calls, one after the other.
#[derive(Default)]
struct Line {
    callers: Vec<Kept>,
    calls: Vec<(Entry, bool)>,
}

impl Line {
    async fn run(mut self) -> Result<()> {
        for (entry, allowed) in &self.calls {
            let kept = self.callers.get_mut(entry.caller / AT_ONCE);
            let path = path(entry.template, &format!("{:08x}", entry.id));
            let status = kept.context("no caller")?.status(&path).await?;
            let wanted = if *allowed { 200 } else { 403 };
            ensure!(status == wanted, "{path}: {status} in place of {wanted}");
        }
        Ok(())
    }
}

/// May call everything, and is not in the trace.
const FRESH: &str = "/ns/shop/sa/fresh";

/// Calls `count` paths of one template by a caller that has not called before.
///
/// # Errors
/// A connection that breaks, or an answer other than 200.
pub async fn one_template(pki: &Pki, address: SocketAddr, count: usize) -> Result<()> {
    let mut kept = Kept::open(&target(pki, FRESH, address)?).await?;
    for number in 0..count {
        kept.call(&path(0, &format!("n{number}"))).await?;
    }
    Ok(())
}

/// The first `callers` call once on each of so many connections, which they close: with
/// enough of them every worker of a proxy meets every caller.
///
/// # Errors
/// A connection that breaks.
pub async fn meet(
    pki: &Pki,
    address: SocketAddr,
    callers: usize,
    connections: usize,
) -> Result<()> {
    for caller in 0..callers {
        let target = target(pki, &id(caller), address)?;
        for _ in 0..connections {
            let mut kept = Kept::open(&target).await?;
            kept.status(&path(caller % TEMPLATES, "any")).await?;
        }
    }
    Ok(())
}

/// Checks that the server has answered so far.
///
/// # Errors
/// When it does not tell.
pub async fn checks(server: &Callgate) -> Result<u64> {
    let answer = server.admin("/metrics").await?;
    let text = std::str::from_utf8(&answer.body)?;
    let samples = text
        .lines()
        .filter(|line| line.starts_with("callgate_checks_total"));
    let values = samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
    Ok(values.sum())
}

fn target(pki: &Pki, id: &str, address: SocketAddr) -> Result<Target> {
    Ok(Target {
        caller: Caller::new(Some(&pki.svid(id)?))?,
        address,
        http: Http::One,
        path: String::new(),
        headers: vec![("user-agent", "trace/1".to_owned())],
    })
}

fn id(caller: usize) -> String {
    format!("/ns/team-{}/sa/caller-{caller}", caller / 20)
}

fn path(template: usize, id: &str) -> String {
    let (area, thing) = (template % AREAS, template / AREAS);
    match thing % 3 {
        0 => format!("/v1/area-{area}/things-{thing}/{id}"),
        1 => format!("/v1/area-{area}/things-{thing}/{id}/parts"),
        _ => format!("/v1/area-{area}/{id}/things-{thing}"),
    }
}

fn three_of(rng: &mut Rng) -> [usize; AREAS_EACH] {
    let mut areas: [usize; AREAS] = std::array::from_fn(|n| n);
    rng.shuffle(&mut areas);
    std::array::from_fn(|n| areas.get(n).copied().unwrap_or_default())
}

/// The n-th is drawn in proportion to 1/n.
struct Zipf(Vec<f64>);

impl Zipf {
    fn of(count: usize) -> Self {
        let mut sum = 0.0;
        let weights = (1..=u32::try_from(count).unwrap_or(u32::MAX)).map(|n| {
            sum += 1.0 / f64::from(n);
            sum
        });
        Self(weights.collect())
    }

    fn draw(&self, rng: &mut Rng) -> usize {
        let total = self.0.last().copied().unwrap_or_default();
        let point = rng.f64() * total;
        let place = self.0.partition_point(|sum| *sum < point);
        place.min(self.0.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_drawn_often() {
        let (zipf, mut rng) = (Zipf::of(1_000), Rng::with_seed(1));
        let drawn: Vec<usize> = (0..10_000).map(|_| zipf.draw(&mut rng)).collect();
        let first = drawn.iter().filter(|n| **n == 0).count();
        // One in 7.5, the sum of 1/n up to 1,000.
        assert!((1_100..1_600).contains(&first), "{first}");
        assert!(drawn.iter().any(|n| *n > 900));
    }

    #[test]
    fn most_calls_are_allowed_and_every_template_is_called() {
        let trace = Trace::new(20_000);
        let allowed = |entry: &&Entry| trace.may(entry.caller, entry.template % AREAS);
        let allowed = trace.calls.iter().filter(allowed).count();
        assert!((19_500..19_900).contains(&allowed), "{allowed}");
        for template in 0..TEMPLATES {
            assert!(trace.calls.iter().any(|entry| entry.template == template));
        }
    }
}
