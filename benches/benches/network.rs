//! `cargo bench -p quorate-benches --bench network`; see `quorate_benches::network`.

mod driver;

use quorate_benches::{Scale, network};

fn main() {
    driver::measure(network::cases(Scale::Real));
}
