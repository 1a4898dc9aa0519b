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
compiler="$(rustc --version) $(rustc -vV | sed -n 's/^host: //p')"
exec "${CARGO_TARGET_DIR:-target}/release/budget" --budgets benches/budgets.toml --compiler "$compiler" "$@"
