//! Prints `docs/coverage.csv`: how often intervals hold the mean that they are about.
//! `scripts/coverage.sh` builds and runs it.
#![expect(clippy::print_stdout, reason = "it is a program for scripts")]

fn main() {
    print!("{}", quorate::coverage::table());
}
