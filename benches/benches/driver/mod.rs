//! Hands cases to Criterion.

use criterion::{Criterion, SamplingMode, Throughput};
use quorate_benches::Case;
use std::time::Duration;

/// Measures each case after one run of it, whose hash is printed.
#[expect(
    clippy::print_stdout,
    reason = "the hash stands beside Criterion's figures"
)]
pub(crate) fn measure(cases: Vec<Case>) {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for mut case in cases {
        let first = case.run();
        println!("{} hash={:016x}", case.name(), first.hash);
        let mut group = criterion.benchmark_group(case.operation);
        group.sampling_mode(SamplingMode::Flat);
        group.throughput(Throughput::Elements(first.work));
        group.bench_function(case.parameters.clone(), |bencher| {
            bencher.iter(|| case.run());
        });
        group.finish();
    }
    criterion.final_summary();
}
