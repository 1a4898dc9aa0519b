//! Benchmarks of quorate.
