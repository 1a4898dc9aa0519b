//! `cargo bench -p quorate-benches --bench workload`; see `quorate_benches::workload`,
//! `quorate_benches::pipeline` and `quorate_benches::end_to_end`.

mod driver;

use quorate_benches::{Scale, end_to_end, pipeline, workload};

fn main() {
    driver::measure(workload::cases(Scale::Real));
    driver::measure(pipeline::cases(Scale::Real));
    driver::measure(end_to_end::cases(Scale::Real));
}
