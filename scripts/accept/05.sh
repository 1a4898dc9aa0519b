#!/usr/bin/env bash
# Acceptance of "bad days", one PASS | FAIL | SKIP (reason) line each, with its figure. Run it in a fresh
# clone; it takes three quarters of an hour on two cores. SEEDS=A..B is the swarm's range; TESTS=0 leaves out the
# tests that `cargo test` runs anyway, MUTANTS=0 the build with rules that can be broken.
set -uo pipefail
cd "$(dirname "$0")/../.."
source scripts/accept/lib.sh
seeds=${SEEDS:-0..10000}

# ---- attacks against theory ---------------------------------------------------------------------------
"$quorate" list attacks >"$scratch/attacks.txt"
for attack in sm1 double-spend sm1-network private-reorg balance balance-twins long-delay delayed-reorg clique-spam cloning eclipse; do
    grep -qw "$attack" "$scratch/attacks.txt" || fail "attack $attack: is not in the list"
    start=$(seconds)
    if "$quorate" attack "$attack" --out "$scratch/$attack" >"$scratch/$attack.txt" 2>"$scratch/run.err"; then
        folder=$(only "$scratch/$attack")
        line=$(python3 - "$folder/attack.csv" <<'PY'
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1], newline="")))
held = [r for r in rows if r["law"]]
count = lambda verdict: sum(r["verdict"] == verdict for r in held)
wrong = [f'{r["engine"]} {r["metric"]} {r["parameters"]}' for r in held if r["verdict"] == "differs"]
print(f'{len(rows)} figures, of {len(held)} with a law {count("agrees")} agree, {count("undecided")} undecided, {len(wrong)} differ' + "".join(f"; {w}" for w in wrong[:3]))
PY
)
        plots=$(find "$folder/plots" -name '*.svg' 2>/dev/null | wc -l)
        what="attack $attack: $line, $plots plots, $(since "$start") s"
        if [[ $line == *", 0 differ" ]]; then pass "$what"; else fail "$what"; fi
    else
        fail "attack $attack: $(head -n 1 "$scratch/run.err")"
    fi
done

# ---- the checker fires beyond the bound, and only there -------------------------------------------------
cat >"$scratch/liars.toml" <<'TOML'
name = "liars"
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
offered_tps = [1.0]
duration_s = 300.0
drain_s = 600.0
knee_within = 10.0
[[engines]]
name = "qbft"
[[corrupt]]
nodes = [0, 1]
twin = [4, 5, 6]
[[faults]]
from_s = 60.0
until_s = 180.0
partition = [4, 5, 6, 7, 8]
TOML
beyond=(-s 'corrupt.0.nodes=[0, 1, 2]' -s 'corrupt.0.twin=[5, 6]' -s 'faults.0.partition=[5, 6, 7, 8, 9]')
conflicts() { # folder, arguments: commits that contradict another node's
    local out=$1
    shift
    "$quorate" run "$scratch/liars.toml" "$@" --out "$scratch/$out" >/dev/null 2>"$scratch/run.err" || { head -n 1 "$scratch/run.err"; return; }
    column "$(only "$scratch/$out")/replications.csv" conflicting_finals | awk '{ s += $1 } END { print s + 0 }'
}
for engine in qbft ibft2 tendermint hotstuff; do
    within=$(conflicts "w-$engine" -s "engines.0.name=\"$engine\"")
    above=$(conflicts "b-$engine" -s "engines.0.name=\"$engine\"" "${beyond[@]}")
    if [ "$within" = 0 ] && [ "$above" -gt 0 ] 2>/dev/null; then pass "$engine, twins and a partition: 2 of 7 lie, $within conflicting commits; 3 of 7, $above"; else fail "$engine: within $within, beyond $above"; fi
done
raft=$(conflicts "b-raft" -s 'engines.0.name="raft"' -s 'corrupt.0.nodes=[0]' -s 'faults.0.partition=[4, 5, 6, 7]')
if [ "$raft" -gt 0 ] 2>/dev/null; then pass "raft, one twin of 7: $raft conflicting commits"; else fail "raft, one twin: $raft"; fi

# ---- every conduct does something ---------------------------------------------------------------------
for conduct in 'silent=true' 'withhold_votes=true' 'delay_votes_ms=1500.0' 'withhold_blocks=true' 'invalid_blocks=true' 'censor_site=2' 'favour_site=0'; do
    cat >"$scratch/conduct.toml" <<TOML
$(sed '/^\[\[corrupt\]\]/,$d' "$scratch/liars.toml")
[[corrupt]]
nodes = [0, 1]
${conduct/=/ = }
TOML
    if "$quorate" run "$scratch/conduct.toml" --out "$scratch/c-$conduct" >/dev/null 2>"$scratch/run.err"; then
        line=$(python3 - "$(only "$scratch/c-$conduct")" <<'PY'
import csv, sys
row = next(csv.DictReader(open(sys.argv[1] + "/liars.csv", newline="")))
run = next(csv.DictReader(open(sys.argv[1] + "/replications.csv", newline="")))
print(f'height {run["height"]}, {run["round_changes"]} new rounds; ' + ", ".join(f"{k} {v}" for k, v in list(row.items())[9:] if v not in ("", "0")))
PY
)
        pass "qbft, 2 of 7 with $conduct: $line"
    else
        fail "$conduct: $(head -n 1 "$scratch/run.err")"
    fi
done

# ---- recovery: a two-hour region partition and a site down, every engine ---------------------------------
start=$(seconds)
if "$quorate" run bad-day --engines all --quick --out "$scratch/bad-day" >"$scratch/bad-day.txt" 2>"$scratch/run.err"; then
    folder=$(only "$scratch/bad-day")
    python3 - "$folder/incidents.csv" <<'PY'
import csv, sys
from collections import defaultdict
rows = defaultdict(list)
for r in csv.DictReader(open(sys.argv[1], newline="")):
    rows[r["engine"]].append(r)
for engine, list_ in rows.items():
    figures = "; ".join(f'{r["causes"]}: first final {r["first_final_after_ms"] or "never"} ms, back {r["back_ms"] or "never"} ms, {r["delayed_txs"]} late, {r["stale_reads"]} stale reads' for r in list_[:2])
    print(("PASS  " if len(list_) >= 2 else "FAIL  ") + f"{engine}: {figures}")
PY
    pass "run bad-day --engines all --quick: $(column "$folder/incidents.csv" engine | sort -u | wc -l) engines, $(since "$start") s"
else
    fail "run bad-day: $(head -n 1 "$scratch/run.err")"
fi

# ---- resilience in the verdict ------------------------------------------------------------------------
start=$(seconds)
if "$quorate" compare --quick --faults site-down,partition,byzantine --out "$scratch/resilience" >"$scratch/resilience.txt" 2>"$scratch/run.err"; then
    folder=$(only "$scratch/resilience")
    rows=$(column "$folder/resilience.csv" engine | wc -l)
    pass "compare --quick --faults site-down,partition,byzantine: $rows rows of $(column "$folder/resilience.csv" engine | sort -u | wc -l) engines, $(since "$start") s"
else
    fail "compare --faults: $(head -n 1 "$scratch/run.err")"
fi
start=$(seconds)
if "$quorate" compare --quick --out "$scratch/default" >"$scratch/default.txt" 2>"$scratch/run.err"; then
    if grep -qi 'reverse' "$scratch/default.txt"; then pass "compare --quick says what a partition reverses after final, $(since "$start") s"; else fail "compare --quick: nothing about reversals"; fi
else
    fail "compare --quick: $(head -n 1 "$scratch/run.err")"
fi

# ---- a share of a sweep is run again --------------------------------------------------------------------
"$quorate" run "$scratch/liars.toml" --self-check=1000 --out "$scratch/again" >"$scratch/again.txt" 2>"$scratch/again.err"
line=$(grep -h 'self-check' "$scratch/again.txt" "$scratch/again.err" | tail -n 1)
if [ -n "$line" ]; then pass "run --self-check=1000: $line"; else fail "run --self-check: $(head -n 1 "$scratch/again.err")"; fi

# ---- the swarm ----------------------------------------------------------------------------------------
start=$(seconds)
"$quorate" fuzz --budget 20s --out "$scratch/budget" >"$scratch/budget.txt" 2>/dev/null
pass "fuzz --budget 20s: $(grep -E '^[0-9]+ seeds' "$scratch/budget.txt"), $(since "$start") s"
start=$(seconds)
"$quorate" fuzz --seeds "$seeds" --out "$scratch/swarm" >"$scratch/fuzz.txt" 2>/dev/null
code=$?
line=$(grep -E '^[0-9]+ seeds' "$scratch/fuzz.txt")
if [ "$code" -eq 0 ]; then pass "fuzz --seeds $seeds: $line, $(since "$start") s"; else fail "fuzz --seeds $seeds: exit code $code, $line"; fi
if [ "${MUTANTS:-1}" = 0 ]; then skip "MUTANTS=0" "broken rules are caught"; else scripts/mutants.sh || failed=1; fi

# ---- tests ----------------------------------------------------------------------------------------------
tests "liars, attacks, outages and the swarm" -p quorate --test liars --test attacks --test outages --test fuzz
exit "$failed"
