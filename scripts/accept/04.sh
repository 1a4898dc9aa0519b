#!/usr/bin/env bash
# Acceptance of "every engine, true to its specification, and quorate validate", one PASS | FAIL | SKIP
# (reason) line each, with its figure. Run it in a fresh clone; it takes an hour on two cores. SEEDS=A..B
# is the swarm's range; TESTS=0 leaves out the tests that `cargo test` runs anyway, FULL=0 the long rows.
set -uo pipefail
cd "$(dirname "$0")/../.."
source scripts/accept/lib.sh
seeds=${SEEDS:-0..10000}

# ---- engines and their presets ---------------------------------------------------------------------
"$quorate" list engines >"$scratch/engines.txt"
engines=$(sed -n 's/^  \([a-z0-9][a-z0-9]*\)  .*/\1/p' "$scratch/engines.txt" | tr '\n' ' ')
pass "list engines: $(wc -w <<<"$engines") engines: $engines"
for what in family "fault bound" quorum "messages a block" "best-case latency" final source; do
    n=$(grep -c "^      $what: ." "$scratch/engines.txt")
    if [ "$n" -eq "$(wc -w <<<"$engines")" ]; then pass "list engines: $what of each"; else fail "list engines: $what of $n"; fi
done
for engine in nakamoto ethash gasper praos tendermint clique aura ibft2 qbft raft hotstuff central ksi anchor; do
    grep -qw "$engine" <<<"$engines" || fail "engine $engine: is not there"
done
for preset in bitcoin litecoin dogecoin ethereum-pow ethereum-pos cardano cosmos besu-qbft besu-clique goquorum-raft fabric-raft private-15s; do
    line=$(grep -m 1 "      preset $preset: " "$scratch/engines.txt")
    if [ -n "$line" ]; then pass "preset $preset:${line##*:}"; else fail "preset $preset: is not there"; fi
done

# ---- each engine on real input: a hospital's load, a crash and a restart -----------------------------
cat >"$scratch/plan.toml" <<'TOML'
name = "each"
kind = "curve"
replications = 2
[network]
nodes = 7
regions = ["us-east-1", "us-west-2"]
[workload]
name = "hospital"
preset = "clinic"
sites = 7
most_patients = 2000
[load]
offered_tps = [2.0]
duration_s = 1800.0
drain_s = 360000.0
knee_within = 10.0
[[faults]]
from_s = 300.0
until_s = 600.0
crash = [3]
[[engines]]
name = "qbft"
TOML
for engine in $engines; do
    extra=()
    case $engine in
    nakamoto) extra=(-s 'engines.0.config.preset="private-15s"') ;;
    gasper) extra=(-s 'engines.0.config.preset="private"') ;;
    esac
    if "$quorate" run "$scratch/plan.toml" -s "engines.0.name=\"$engine\"" "${extra[@]}" --out "$scratch/$engine" >"$scratch/run.txt" 2>"$scratch/run.err"; then
        folder=$(only "$scratch/$engine")
        states=$(column "$folder/replications.csv" status | sort | uniq -c | tr -s ' \n' ' ')
        height=$(column "$folder/replications.csv" height | sort -n | head -n 1)
        if grep -qE 'safety|no_commit|limit' <<<"$states"; then fail "$engine, one node down for 5 min:$states"; else pass "$engine, one node down for 5 min:$states(height ${height:-?})"; fi
    else
        fail "$engine: $(head -n 1 "$scratch/run.err")"
    fi
done

# ---- validator sets that change ----------------------------------------------------------------------
members() { # what, engine, config: a set that changes must change results and stay safe
    local base changed
    "$quorate" run "$scratch/plan.toml" -s "engines.0.name=\"$2\"" --out "$scratch/m0-$1" >/dev/null 2>&1
    if ! "$quorate" run "$scratch/plan.toml" -s "engines.0.name=\"$2\"" -s "$3" --out "$scratch/m1-$1" >/dev/null 2>"$scratch/run.err"; then
        fail "$1: $(head -n 1 "$scratch/run.err")"
        return
    fi
    base=$(column "$(only "$scratch/m0-$1")/replications.csv" digest | tr '\n' ' ')
    changed=$(column "$(only "$scratch/m1-$1")/replications.csv" digest | tr '\n' ' ')
    if [ "$base" != "$changed" ]; then pass "$1: results move, no promise broken"; else fail "$1: changes nothing"; fi
}
members clique-votes clique 'engines.0.config.votes=[{ from_s = 60.0, signers = [0, 1, 2, 4], candidate = 6, add = false }]'
members qbft-votes qbft 'engines.0.config.votes=[{ from_s = 60.0, validators = [0, 1, 2, 4], candidate = 6, add = false }]'
members ibft2-votes ibft2 'engines.0.config.votes=[{ from_s = 60.0, validators = [0, 1, 2, 4], candidate = 6, add = false }]'
members tendermint-power tendermint 'engines.0.config.power_changes=[{ height = 50, validator = 6, power = 0 }]'

# ---- rules, laws over ranges, an engine from outside --------------------------------------------------
tests "rules of every engine (transition tables and scenarios)" -p quorate-consensus
tests "laws at drawn parameters" -p quorate --test 'laws_*' --test validate
tests "committees that change, in every form of the kernel" -p quorate --test forms --test kernel_rules
tests "an engine in another repository" --manifest-path sim/harness/examples/own-engine/Cargo.toml

# ---- validate -----------------------------------------------------------------------------------------
start=$(seconds)
"$quorate" validate --tier A --out "$scratch/validation-a" >"$scratch/a.txt" 2>/dev/null
code=$?
took=$(since "$start")
if [ "$code" -eq 0 ]; then pass "validate --tier A: exit code 0"; else fail "validate --tier A: exit code $code"; fi
if at_most "$took" 900; then pass "validate --tier A: $took s of 900"; else fail "validate --tier A: $took s of 900"; fi
full=(--full)
[ "${FULL:-1}" = 0 ] && full=()
"$quorate" validate "${full[@]}" --out "$scratch/validation" >"$scratch/all.txt" 2>/dev/null
code=$?
counts() { # tier, verdict
    python3 -c 'import csv, sys
rows = [r for r in csv.DictReader(open(sys.argv[1], newline="")) if r["tier"] == sys.argv[2]]
print(sum(r["verdict"] == "pass" for r in rows), len(rows))' "$scratch/validation/validation.csv" "$1"
}
for tier in A B C; do
    read -r good all < <(counts "$tier")
    if [ "$good" = "$all" ] || [ "$tier" = C ]; then pass "validate${full[*]:+ ${full[*]}}, tier $tier: $good of $all"; else fail "validate${full[*]:+ ${full[*]}}, tier $tier: $good of $all"; fi
done
python3 -c 'import csv, sys
rows = [r for r in csv.DictReader(open(sys.argv[1], newline="")) if r["verdict"] == "miss"]
bare = [r["id"] for r in rows if not r["note"].strip()]
print(("FAIL  misses without an explanation: " + " ".join(bare)) if bare else f"PASS  all {len(rows)} misses are explained")' "$scratch/validation/validation.csv"
grep -E '^(real systems|laws|arithmetic)' "$scratch/all.txt" | sed 's/^/PASS  /'
"$quorate" validate --id 'CF-BTC-*' --out "$scratch/one" >"$scratch/one.txt" 2>/dev/null && pass "validate --id 'CF-BTC-*': $(grep -c '^CF-BTC' "$scratch/one.txt") rows"
for file in validation.csv index.html; do
    if [ -s "$scratch/validation/$file" ]; then pass "$file: $(wc -c <"$scratch/validation/$file") bytes"; else fail "$file: is not there"; fi
done
if [ "${FULL:-1}" = 0 ]; then skip "FULL=0" "the committed validation.csv, byte by byte"
elif cmp -s "$scratch/validation/validation.csv" results/reference/validation/validation.csv; then pass "the committed validation.csv, byte by byte"; else fail "the committed validation.csv differs"; fi

# ---- the swarm ----------------------------------------------------------------------------------------
start=$(seconds)
"$quorate" fuzz --seeds "$seeds" >"$scratch/fuzz.txt" 2>/dev/null
code=$?
line=$(grep -E '^[0-9]+ seeds' "$scratch/fuzz.txt")
if [ "$code" -eq 0 ]; then pass "fuzz --seeds $seeds: $line, $(since "$start") s"; else fail "fuzz --seeds $seeds: exit code $code, $line"; fi
sed -n '1,/ seeds, /p' "$scratch/fuzz.txt" | sed 's/^/        /'
"$quorate" fuzz --seeds 3..4 --plan >"$scratch/seed.toml" && "$quorate" run "$scratch/seed.toml" --out "$scratch/seed" >/dev/null 2>"$scratch/run.err"
if [ $? -eq 0 ]; then pass "the plan of a seed runs by itself"; else fail "the plan of a seed: $(head -n 1 "$scratch/run.err")"; fi

# ---- compare -------------------------------------------------------------------------------------------
"$quorate" compare --quick --out "$scratch/compare" >"$scratch/compare.txt" 2>"$scratch/run.err"
code=$?
folder=$(only "$scratch/compare")
if [ "$code" -eq 0 ]; then pass "compare --quick: $(column "$folder/verdict.csv" engine | sort -u | tr '\n' ' ')"; else fail "compare --quick: exit code $code"; fi
"$quorate" compare --quick --engines all --out "$scratch/compare-all" >"$scratch/compare.txt" 2>"$scratch/run.err"
code=$?
folder=$(only "$scratch/compare-all")
if [ "$code" -eq 0 ]; then pass "compare --quick --engines all: $(column "$folder/verdict.csv" engine | sort -u | wc -l) engines"; else fail "compare --engines all: exit code $code: $(tail -n 1 "$scratch/run.err")"; fi
n=$(column "$folder/risk.csv" engine | sort -u | wc -l)
if [ -s "$folder/plots/risk.svg" ]; then pass "reversal risk against corrupt organisations: $n engines, plots/risk.svg"; else fail "plots/risk.svg: is not there"; fi
if grep -q 'conditional on synchrony' "$scratch/compare.txt" "$folder/report.html"; then pass "clique and aura: conditional on synchrony"; else fail "clique and aura: no conditional label"; fi
exit "$failed"
