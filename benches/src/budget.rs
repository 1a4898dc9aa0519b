//! Fixed jobs whose executed instructions are counted, see the binary `budget`. They are the cases
//! of the other modules at a size that Valgrind does in seconds. Instructions do not depend on what
//! else the machine does; time does.

use crate::queue::{self, Law};
use crate::{Case, end_to_end, engines, network, workload};

/// The jobs, in the order in which they are run.
pub fn jobs() -> Vec<Case> {
    let case = |operation, parameters: &str, run: fn() -> crate::Outcome| {
        Case::new(operation, parameters.to_owned(), run)
    };
    vec![
        case(
            "queue::hold",
            "law=mixed pending=10000 holds=1000000",
            || queue::hold(10_000, 1_000_000, Law::Mixed),
        ),
        case("network::flood", "nodes=1000 blocks=50", || {
            network::flood(1_000, 50)
        }),
        case("engines::qbft", "n=64 blocks=200", || {
            engines::qbft(64, 200)
        }),
        case(
            "end_to_end::qbft_hospital",
            "tps=1000 seconds=100 reads_per_write=0",
            || end_to_end::qbft_hospital(1_000, 100, 0),
        ),
        case("workload::hospital", "arrivals=500000", || {
            workload::hospital(500_000)
        }),
    ]
}
