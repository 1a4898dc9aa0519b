#!/usr/bin/env bash
# A checker that never fires proves nothing: breaks one rule after another on purpose, and sees whether the
# swarm finds out within its seeds.
#
#   scripts/mutants.sh [SEEDS]    about five minutes on two cores, and a build of its own
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
failed=0
while read -r name rule; do
    if "$MUTANTS" fuzz --mutant "$name" --seeds "$seeds" --out "${OUT:-$scratch}/$name" \
        >"$scratch/found.txt" 2>/dev/null; then
        echo "FAIL $name: not caught. $rule"
        failed=1
    elif found=$(grep -m 1 '^seed ' "$scratch/found.txt"); then
        echo "PASS $name: $found"
    else
        echo "FAIL $name: the swarm did not run"
        failed=1
    fi
done < <("$MUTANTS" fuzz --mutant list)
exit $failed
