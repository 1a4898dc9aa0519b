#!/usr/bin/env bash
# A checker that never fires proves nothing: breaks one rule after another on purpose, and sees whether the
# swarm finds out within its seeds.
#
#   scripts/mutants.sh [SEEDS]    about five minutes on two cores, and a build of its own
#
# Passes if at least eight are caught. What is missed is said, and shows what the swarm does not look for yet.
#
# SEEDS is 0..1000 when left out; each rule is looked for in those of them that draw its engines. MUTANTS
# names a program that was built with `--features mutants`, which is then not built here.
set -euo pipefail
cd "$(dirname "$0")/.."
seeds=${1:-0..1000}
if [ -z "${MUTANTS:-}" ]; then
    CARGO_TARGET_DIR=target-mutants cargo build --locked --release --quiet -p quorate --features mutants
    MUTANTS=target-mutants/release/quorate
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
caught=0
missed=0
while read -r name rule; do
    if "$MUTANTS" fuzz --mutant "$name" --seeds "$seeds" --out "${OUT:-$scratch}/$name" \
        >"$scratch/found.txt" 2>/dev/null; then
        echo "MISS $name: not caught. $rule"
        missed=$((missed + 1))
    elif found=$(grep -m 1 '^seed ' "$scratch/found.txt"); then
        echo "PASS $name: $found"
        caught=$((caught + 1))
    else
        echo "FAIL $name: the swarm did not run"
        exit 1
    fi
done < <("$MUTANTS" fuzz --mutant list)
if [ "$caught" -ge 8 ]; then
    echo "PASS broken rules: $caught of $((caught + missed)) are caught"
else
    echo "FAIL broken rules: $caught of $((caught + missed)) are caught"
    exit 1
fi
