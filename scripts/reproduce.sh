#!/usr/bin/env bash
# Runs the built-in comparison again and checks every byte against results/reference/compare.
#
#   scripts/reproduce.sh            check
#   scripts/reproduce.sh --update   replace the reference (when results changed on purpose)
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cargo build --release --locked --quiet
quorate=${CARGO_TARGET_DIR:-target}/release/quorate
"$quorate" compare --out "$out" >"$out/screen.txt"
folder=$(find "$out" -mindepth 1 -maxdepth 1 -type d)
reference=results/reference/compare
if [ "${1:-}" = --update ]; then
    mkdir -p "$reference"
    cp "$folder"/{SHA256SUMS,verdict.csv,report.html} "$folder"/plots/{load-deployed-hospital,risk-deployed}.svg "$reference/"
    grep -v '^results: ' "$out/screen.txt" >"$reference/screen.txt"
    echo "updated $reference from $(basename "$folder")"
    exit
fi
"$quorate" verify "$folder" --units 0
"$quorate" diff "$reference" "$folder"
diff "$reference/screen.txt" <(grep -v '^results: ' "$out/screen.txt")
echo "reproduced: $(wc -l <"$reference/SHA256SUMS") files equal the reference"
