//! Shows a verifier many leaves, each for the first time, and weighs what it remembers.
//! A binary of its own, because counting costs time at every allocation.

use anyhow::Context as _;
use callgate_bench_identity::Authority;
use callgate_server::clock;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// `identity-memory LEAVES` prints `{"leaves", "entries", "bytes", "most_bytes"}`.
fn main() -> anyhow::Result<()> {
    let leaves: usize = std::env::args()
        .nth(1)
        .context("a number of leaves wanted")?
        .parse()?;
    let authority = Authority::new(false)?;
    let verifier = authority.verifier()?;
    let before = ALLOCATED.current_usage();
    let mut most = 0;
    for number in 0..leaves {
        {
            let leaf = authority.leaf(number)?;
            let peer = verifier.read(&leaf.pem)?;
            verifier.verify(&peer, Vec::new, clock::now())?;
        }
        most = most.max(ALLOCATED.current_usage().saturating_sub(before));
    }
    let bytes = ALLOCATED.current_usage().saturating_sub(before);
    let entries = verifier.cache().entries;
    println!(
        "{}",
        serde_json::json!({
            "leaves": leaves, "entries": entries, "bytes": bytes, "most_bytes": most,
        })
    );
    Ok(())
}
