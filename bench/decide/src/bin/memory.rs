//! Weighs each engine's rules: bytes that live once they are loaded. A binary of its
//! own, because counting costs time at every allocation.

use std::collections::BTreeMap;

use anyhow::Context as _;
use callgate_bench_decide::sources;
use callgate_bench_mesh::mesh;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// `memory SERVICES RULES_EACH` prints `{"engine": bytes, …}`.
fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = || -> anyhow::Result<usize> {
        Ok(arguments.next().context("two numbers wanted")?.parse()?)
    };
    let mesh = mesh(number()?, number()?);
    let mut bytes = BTreeMap::new();
    for source in sources(&mesh) {
        let before = ALLOCATED.current_usage();
        let engine = source.load()?;
        let after = ALLOCATED.current_usage();
        bytes.insert(engine.name(), after.saturating_sub(before));
    }
    println!("{}", serde_json::to_string(&bytes)?);
    Ok(())
}
