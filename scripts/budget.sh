#!/usr/bin/env bash
# Instruction counts of fixed jobs against benches/budgets.toml, under two minutes after the build;
# `--accept` makes the counts of now the budgets of this compiler. Without valgrind: SKIP.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v valgrind >/dev/null; then
    echo "SKIP instruction budgets: valgrind is not installed (Debian: apt-get install valgrind)"
    exit 0
fi
cargo build --release --locked --quiet -p quorate-benches --bin budget
# The C library copies memory in ways that depend on the processor.
cpu=$(awk -F': ' '/^vendor_id/ { v = $2 } /^flags/ { a = /avx512f/ ? "avx512" : "no avx512" } END { print v ? v ", " a : "unknown processor" }' /proc/cpuinfo 2>/dev/null || echo "unknown processor")
compiler="$(rustc --version) $(rustc -vV | sed -n 's/^host: //p') $cpu"
exec "${CARGO_TARGET_DIR:-target}/release/budget" --budgets benches/budgets.toml --compiler "$compiler" "$@"
