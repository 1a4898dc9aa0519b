//! `cargo bench -p quorate-benches --bench engines`; see `quorate_benches::engines`.

mod driver;

use quorate_benches::{Scale, engines};

fn main() {
    driver::measure(engines::cases(Scale::Real));
}
