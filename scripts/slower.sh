#!/usr/bin/env bash
# What only slows the simulator down moves no result, and is found by the instruction budget instead: builds
# with the feature `slow`, which works for nothing at every event, holds results against results and
# instructions against budgets.
#
#   scripts/slower.sh    two release builds, then about three minutes
#
# Prints a line for each of the two gates; fails where the first is red or the second is green.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
target=${CARGO_TARGET_DIR:-$PWD/target}
cargo build --release --locked --quiet -p quorate
CARGO_TARGET_DIR=target-slow cargo build --release --locked --quiet -p quorate --features slow
run() { # program, folder: a small comparison
    "$1" compare --engines qbft,raft,central -s load.duration_s=20 -s replications=2 --out "$2" >/dev/null
    find "$2" -mindepth 1 -maxdepth 1 -type d
}
before=$(run "$target/release/quorate" "$scratch/before")
after=$(run target-slow/release/quorate "$scratch/after")
failed=0
if line=$("$target/release/quorate" diff "$before" "$after" | tail -n 1); then
    echo "PASS results of the slower program: $line"
else
    echo "FAIL results of the slower program: $line"
    failed=1
fi
code=0
FEATURES=slow CARGO_TARGET_DIR=target-slow scripts/budget.sh >"$scratch/budget.txt" || code=$?
if reason=$(grep -o '^SKIPPED perf .*' "$scratch/budget.txt"); then
    echo "SKIP (${reason#SKIPPED perf }) instruction budget of the slower program"
elif [ "$code" = 1 ] && over=$(grep -m 1 '^  FAIL .*(+' "$scratch/budget.txt"); then
    echo "PASS the instruction budget finds it:${over#  FAIL }"
else
    echo "FAIL the instruction budget does not find it: exit code $code"
    failed=1
fi
exit "$failed"
