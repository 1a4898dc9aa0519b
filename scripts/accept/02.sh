#!/usr/bin/env bash
# Acceptance of "three families, three workloads, three kinds of curve", one PASS | FAIL | SKIP
# (reason) line each, with its figure. Run it in a fresh clone.
set -uo pipefail
cd "$(dirname "$0")/../.."
source scripts/accept/lib.sh
# A column of a CSV file without quoted commas before it, by name.
cut_column() { awk -F, -v name="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i; next } { print $c }' "$1"; }

# ---- the comparison, whole and quick ------------------------------------------------------------
compare() { # name, most seconds, parts, arguments
    local name=$1 most=$2 parts=$3 start took folder rows reasons
    shift 3
    start=$(seconds)
    if ! "$quorate" compare "$@" --out "$scratch/$name" >"$scratch/$name.txt" 2>"$scratch/$name.err"; then
        fail "compare $*: $(head -n 1 "$scratch/$name.err")"
        return
    fi
    took=$(since "$start")
    folder=$(only "$scratch/$name")
    rows=$(python3 - "$folder/verdict.csv" <<'PY'
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1], newline="")))
parts = {(r["profile"], r["workload"]) for r in rows}
engines = {r["engine"] for r in rows}
mute = sum(not r["reason"] for r in rows)
answers = {a: sum(r["answer"] == a for r in rows) for a in ("holds", "fails", "undecided")}
print(len(parts), len(engines), len(rows), mute, *answers.values())
PY
    )
    read -r got engines n mute holds fails undecided <<<"$rows"
    what="compare $*: $took s (at most $most), $got parts, $engines engines, $n verdicts ($holds hold, $fails fail, $undecided undecided), $mute without a reason"
    if at_most "$took" "$most" && [ "$got" = "$parts" ] && [ "$engines" -ge 6 ] && [ "$mute" = 0 ]; then pass "$what"; else fail "$what"; fi
    if (cd "$folder" && sha256sum --check --quiet SHA256SUMS); then pass "  SHA256SUMS of $(wc -l <"$folder/SHA256SUMS") files hold"; else fail "  SHA256SUMS"; fi
}
compare quick 30 3 --quick
compare whole 60 6

# ---- the report ---------------------------------------------------------------------------------
page=$(only "$scratch/whole")/report.html
if [ -f "$page" ]; then
    bytes=$(wc -c <"$page")
    outside=$(grep -cE '(src|href)="?(https?:)?//' "$page")
    figures=$(grep -o '<svg' "$page" | wc -l)
    what="report.html: $bytes B (at most 2 MB), $figures figures, $outside links to the outside"
    if [ "$bytes" -le 2000000 ] && [ "$outside" = 0 ] && [ "$figures" -ge 8 ]; then pass "$what"; else fail "$what"; fi
    browser=$(command -v chromium || command -v google-chrome || true)
    if [ -n "$browser" ]; then
        "$browser" --headless --no-sandbox --disable-gpu --disable-background-networking --user-data-dir="$scratch/browser" \
            --window-size=1280,2400 --screenshot="$scratch/report.png" "file://$page" >/dev/null 2>&1
        if [ "$(head -c 4 "$scratch/report.png" 2>/dev/null | tail -c 3)" = PNG ]; then pass "  a browser draws it: $(wc -c <"$scratch/report.png") B"; else fail "  no picture"; fi
    else
        skip "no browser here" "  report.html as a picture"
    fi
else
    fail "report.html is missing"
fi

# ---- curves -------------------------------------------------------------------------------------
for plan in curve scale-committee scale-sites scale-nodes; do
    start=$(seconds)
    if "$quorate" run $plan --out "$scratch/$plan" >"$scratch/$plan.txt" 2>"$scratch/$plan.err"; then
        folder=$(only "$scratch/$plan")
        cells=$(($(wc -l <"$folder/plan.csv") - 1))
        what="run $plan: $(since "$start") s, $cells cells, $(find "$folder/plots" -name '*.svg' | wc -l) figure files"
        [ $plan = curve ] && what="$what, knees located for $(cut_column "$folder/knees.csv" lost_tps | grep -c .) engines"
        pass "$what"
    else
        fail "run $plan: $(head -n 1 "$scratch/$plan.err")"
    fi
done

# ---- an engine from outside ---------------------------------------------------------------------
own=sim/harness/examples/own-engine
if cargo run --release --quiet --locked --manifest-path $own/Cargo.toml --target-dir "$scratch/own" -- list engines >"$scratch/own.txt" 2>"$scratch/own.err"; then
    name=$(sed -n 's/^name = "\(.*\)"/\1/p' $own/plan.toml | sed -n 3p)
    if grep -qE "^  $name " "$scratch/own.txt"; then pass "own engine: listed as $name beside $(grep -cE '^  [a-z]+ ' "$scratch/own.txt") engines"; else fail "own engine is not listed"; fi
    if "$scratch/own/release/$(sed -n 's/^name = "\(.*\)"/\1/p' $own/Cargo.toml | head -n 1)" run $own/plan.toml --out "$scratch/own-out" >"$scratch/own.txt" 2>"$scratch/own.err"; then
        pass "own engine: $(($(wc -l <"$(only "$scratch/own-out")/verdict.csv") - 1)) verdicts beside the others"
    else
        fail "own engine: $(head -n 1 "$scratch/own.err")"
    fi
else
    fail "own engine: $(tail -n 1 "$scratch/own.err")"
fi

# ---- the reference ------------------------------------------------------------------------------
if scripts/reproduce.sh >"$scratch/reproduce.txt" 2>&1; then pass "$(tail -n 1 "$scratch/reproduce.txt")"; else fail "reproduce: $(tail -n 1 "$scratch/reproduce.txt")"; fi

# ---- tests --------------------------------------------------------------------------------------
cargo test --workspace --locked --no-run --quiet 2>"$scratch/err.txt" || fail "tests do not build"
start=$(seconds)
if cargo test --workspace --locked >"$scratch/test.txt" 2>&1; then
    total=$(awk '/^test result: ok/ { n += $4 } END { print n }' "$scratch/test.txt")
    pass "cargo test --workspace: $total tests in $(since "$start") s"
    for group in closed_forms closed_forms_praos closed_forms_tendermint closed_forms_raft knees studies report forms determinism; do
        line=$(awk -v g="tests/$group.rs" '$1 == "Running" { on = $2 == g } on && /^test result:/ { print; exit }' "$scratch/test.txt")
        if [ -n "$line" ]; then pass "  $group: $line"; else fail "  $group did not run"; fi
    done
else
    fail "cargo test --workspace: $(grep -m 3 -E '^test .* FAILED|panicked' "$scratch/test.txt" | tr '\n' ' ')"
fi
exit $failed
