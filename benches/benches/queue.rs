//! `cargo bench -p quorate-benches --bench queue`; see `quorate_benches::queue`.

mod driver;

use quorate_benches::{Scale, queue};

fn main() {
    driver::measure(queue::cases(Scale::Real));
}
