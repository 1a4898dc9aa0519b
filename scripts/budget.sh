#!/usr/bin/env bash
# Instruction counts of fixed jobs against benches/budgets.toml, under two minutes after the build.
#
#   scripts/budget.sh [--accept] [--require-perf]
#
# --accept makes the counts of now the budgets of this compiler. Where there is nothing to count with, or
# no budget of this compiler, it says `SKIPPED perf (reason)` and passes; --require-perf makes that a
# failure. FEATURES names features of the benches, see scripts/slower.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
require=0
options=()
for option in "$@"; do
    if [ "$option" = --require-perf ]; then require=1; else options+=("$option"); fi
done
skipped() {
    echo "SKIPPED perf ($*)"
    exit "$require"
}
if ! command -v valgrind >/dev/null; then
    skipped "valgrind is not installed (Debian: apt-get install valgrind)"
fi
if ! command -v cargo >/dev/null || ! command -v rustc >/dev/null; then
    skipped "there is no Rust toolchain to build the jobs with"
fi
cargo build --release --locked --quiet -p quorate-benches --bin budget ${FEATURES:+--features "$FEATURES"}
# The C library copies memory in ways that depend on the processor.
cpu=$(awk -F': ' '/^vendor_id/ { v = $2 } /^flags/ { a = /avx512f/ ? "avx512" : "no avx512" } END { print v ? v ", " a : "unknown processor" }' /proc/cpuinfo 2>/dev/null || echo "unknown processor")
compiler="$(rustc --version) $(rustc -vV | sed -n 's/^host: //p') $cpu"
if [ "$require" = 1 ]; then options+=(--require); fi
exec "${CARGO_TARGET_DIR:-target}/release/budget" --budgets benches/budgets.toml --compiler "$compiler" ${options[@]+"${options[@]}"}
