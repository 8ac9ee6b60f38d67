//! The engines must answer alike, or their figures cannot be compared.

use callgate_bench_decide::{agree, sources};
use callgate_bench_mesh::{Sample, mesh, requests};

#[test]
fn every_engine_gives_the_right_answers() {
    let mesh = mesh(3, 40);
    let mut engines: Vec<_> = sources(&mesh)
        .iter()
        .map(|source| source.load().expect("rules load"))
        .collect();
    for sample in [Sample::Hit, Sample::Allowed, Sample::NearMiss] {
        agree(&mut engines, &requests(&mesh, sample, 500)).expect("right answers");
    }
}
