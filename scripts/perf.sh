#!/usr/bin/env bash
# Goals against measurements on this machine, about a quarter of an hour; `scripts/perf.sh PART` runs the
# jobs with PART in their names. Nothing is written: speed never mixes with simulated results.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --profile bench --locked --quiet -p quorate-benches --bin perf
exec "${CARGO_TARGET_DIR:-target}/release/perf" ${1:+--only "$1"}
