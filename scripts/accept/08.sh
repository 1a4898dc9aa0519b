#!/usr/bin/env bash
# Acceptance of "a report that people act on", one PASS | FAIL | SKIP (reason) line each, with its figure. Run it in a fresh clone.
# TESTS=0 leaves out the tests that `cargo test` runs anyway, SLOW=0 what builds the program again, LIMIT is how long a command of a page may take (120 s).
set -uo pipefail
cd "$(dirname "$0")/../.."
began=$(date +%s)
source scripts/accept/lib.sh

# ---- from a clone to a verdict page ---------------------------------------------------------------------
"$quorate" compare --quick --out "$scratch/first" >"$scratch/first.txt" 2>"$scratch/run.err" || fail "compare --quick: $(head -n 1 "$scratch/run.err")"
page=$(only "$scratch/first")/report.html
took=$(($(date +%s) - began))
if [ "$took" -le 300 ] && [ -s "$page" ]; then pass "from a clone to a verdict page: $took s, the build included"; else fail "from a clone to a verdict page: $took s"; fi
(cd "$scratch" && "$quorate" init mine.toml >/dev/null 2>run.err) || fail "init: $(head -n 1 "$scratch/run.err")"
if "$quorate" run "$scratch/mine.toml" -s network.nodes=12 -s 'profiles=["deployed"]' -s load.duration_s=20 -s replications=2 --engines qbft,central --out "$scratch/mine" >/dev/null 2>"$scratch/run.err"; then
    pass "a plan of one's own: $(grep -c . "$scratch/mine.toml") lines, $(only "$scratch/mine" | xargs basename)"
else
    fail "a plan of one's own: $(head -n 1 "$scratch/run.err")"
fi

# ---- the page ---------------------------------------------------------------------------------------------
for file in "$page" results/reference/compare/report.html; do
    bytes=$(wc -c <"$file")
    if [ "$bytes" -le 2097152 ]; then pass "weight of $(basename "$(dirname "$file")"): $bytes bytes"; else fail "weight of $(basename "$(dirname "$file")"): $bytes bytes"; fi
done
script=$(wc -c <sim/harness/src/report/script.js)
if [ "$script" -le 61440 ]; then pass "script: $script bytes"; else fail "script: $script bytes"; fi
for file in "$page" results/reference/compare/report.html; do
    scripts/browser.sh "$file" "$scratch/shots" >"$scratch/out.txt" 2>&1
    grep -E '^(PASS|FAIL|SKIP)' "$scratch/out.txt" | sed 's/^\(PASS\|FAIL\)  */\1  /'
    if grep -q '^FAIL' "$scratch/out.txt"; then failed=1; fi
done
rows=$(grep -c ',derived' "$(only "$scratch/first")/cost.csv")
if [ "$rows" -gt 0 ]; then pass "cost.csv: $rows derived rows"; else fail "cost.csv: no derived row"; fi
tests "pages: weights, labels, no address but its own, cost by hand" -p quorate --test report

if [ "${SLOW:-1}" != 0 ]; then
    CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/png cargo run --release --locked --quiet -p quorate --features png -- export "$(only "$scratch/first")" --to png --out "$scratch/png" >/dev/null 2>"$scratch/run.err"
    drawn=$(find "$scratch/png" -name '*.png' 2>/dev/null | wc -l)
    if [ "$drawn" = "$(find "$(only "$scratch/first")/plots" -name '*.svg' | wc -l)" ]; then pass "export --to png: $drawn pictures, one a figure"; else fail "export --to png: $drawn pictures: $(tail -n 1 "$scratch/run.err")"; fi
else skip "SLOW=0" "export --to png"; fi

# ---- the command line -------------------------------------------------------------------------------------
for name in qbft final consent-storm unknown-key 78; do
    if "$quorate" explain "$name" --json 2>/dev/null | python3 -c 'import json, sys; sys.exit(not json.load(sys.stdin)["topics"])'; then pass "explain $name"; else fail "explain $name"; fi
done
"$quorate" explain qbtf >"$scratch/out.txt" 2>&1
if grep -q 'did you mean `qbft`' "$scratch/out.txt"; then pass "explain: did you mean"; else fail "explain: no did you mean"; fi
if "$quorate" doctor --out "$scratch/r" >"$scratch/out.txt" 2>&1; then pass "doctor: $(grep -ci '^ *\(ok\|warn\)' "$scratch/out.txt") checks"; else fail "doctor: $(tail -n 1 "$scratch/out.txt")"; fi
for shell in bash zsh fish; do
    if [ "$("$quorate" completions "$shell" | wc -l)" -gt 50 ]; then pass "completions $shell"; else fail "completions $shell"; fi
done
if "$quorate" man --out "$scratch/man" -q >/dev/null; then pass "man: $(find "$scratch/man" -type f | wc -l) pages"; else fail "man"; fi
for command in "list engines" "explain qbft" "doctor --out $scratch/r" "plan compare" "fuzz --seeds 0..2" "check $(only "$scratch/first") --undecided passes" "diff $(only "$scratch/first") $(only "$scratch/first")"; do
    # shellcheck disable=SC2086 # words are wanted
    "$quorate" $command --json >"$scratch/out.txt" 2>/dev/null # a gate that is red has an exit code of its own
    if python3 -c 'import json, sys; json.load(sys.stdin)' <"$scratch/out.txt" 2>/dev/null; then pass "--json: ${command%% *}"; else fail "--json: ${command%% *}"; fi
done
n=$(find sim/harness/tests/bad -name '*.toml' -o -name '*.csv' -o -name '*.json' | wc -l)
if [ "$n" -ge 40 ]; then pass "bad plans and inputs: $n files"; else fail "bad plans and inputs: $n files"; fi
tests "bad plans and inputs; commands and links of the pages" -p quorate --test bad --test docs

# ---- docs ---------------------------------------------------------------------------------------------------
lines=$(wc -l <README.md)
if [ "$lines" -lt 200 ]; then pass "README: $lines lines"; else fail "README: $lines lines"; fi
if figures=$(scripts/figures.py --check 2>&1); then pass "figures of the pages: $figures"; else fail "figures of the pages: $figures"; fi
QUORATE=$quorate LIMIT=${LIMIT:-120} scripts/docs.sh >"$scratch/out.txt" 2>&1 || failed=1
grep -E '^(PASS|FAIL|SKIP)' "$scratch/out.txt"
exit "$failed"
