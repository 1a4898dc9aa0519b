#!/usr/bin/env bash
# Acceptance of "workloads and ledger rules", one PASS | FAIL | SKIP (reason) line each, with its figure. Run it in a
# fresh clone; it takes half an hour on two cores. TESTS=0 leaves out the tests that `cargo test` runs anyway. DATA=FOLDER has real
# input in folders synthea-r4 (FHIR bundles), epcis (EPCIS 2.0 JSON-LD) and cdisc-pilot (SDTM as CSV); what is not there is skipped.
set -uo pipefail
cd "$(dirname "$0")/../.."
source scripts/accept/lib.sh

# ---- it explains itself -------------------------------------------------------------------------------
for what in workloads scenarios metrics; do
    "$quorate" list "$what" >"$scratch/$what.txt" 2>"$scratch/run.err" || { fail "list $what: $(head -n 1 "$scratch/run.err")"; continue; }
    pass "list $what: $(grep -c '^  [a-z]' "$scratch/$what.txt") entries, $(wc -l <"$scratch/$what.txt") lines"
done
for what in unit source "moved by"; do
    n=$(grep -c "^      $what: ." "$scratch/workloads.txt")
    if [ "$n" -ge 4 ]; then pass "list workloads: $what of $n"; else fail "list workloads: $what of $n"; fi
done

# ---- every scenario answers, all of them within five minutes ---------------------------------------------
scenarios="consent-storm ward-pulse peaks hie-partition clearinghouse-backlog double-dispense clone-attack class1-recall lock-race susar
    allocation-order data-entry-batch breakglass-partition fabric-claims recruitment identity-merge cohort-request growth
    ksi-anchor medicalchain-teleconsult medicalchain-data-licence"
all=$(seconds)
for name in $scenarios; do
    grep -qw -- "$name" "$scratch/scenarios.txt" || { fail "scenario $name: is not in the list"; continue; }
    start=$(seconds)
    if ! "$quorate" run "$name" --out "$scratch/$name" >"$scratch/$name.txt" 2>"$scratch/run.err"; then
        fail "scenario $name: $(head -n 1 "$scratch/run.err")"
        continue
    fi
    answer=$(sed -n '/?$/,$p' "$scratch/$name.txt" | sed -n 's/^  //p' | head -n 1)
    # Two ledgers in one run have a page of their own: its last sentence.
    [ -n "$answer" ] || answer=$(grep -v '^results: \|^$' "$scratch/$name.txt" | tail -n 1)
    if [ -n "$answer" ]; then pass "scenario $name: $(since "$start") s, $answer"; else fail "scenario $name: no answer"; fi
done
took=$(since "$all")
if at_most "$took" 300; then pass "all scenarios: $took s"; else fail "all scenarios: $took s, more than 300"; fi

figure() { # scenario, part of a figure's name: its values by engine
    python3 - "$(only "$scratch/$1")/answers.csv" "$2" <<'PY'
import csv, sys
rows = [r for r in csv.DictReader(open(sys.argv[1], newline="")) if sys.argv[2] in r["figure"] and r["value"]]
print("; ".join(f'{r["engine"]} ({r["workload"]}) {float(r["value"]):.4g} {r["unit"]}' for r in rows))
PY
}
shows() { # scenario, part of a figure's name, what it is
    local line
    line=$(figure "$1" "$2" 2>/dev/null)
    if [ -n "$line" ]; then pass "$1 shows $3: $line"; else fail "$1: no $3"; fi
}
shows consent-storm 'consent.revoke:exposure:p(99)' "exposure p99"
shows double-dispense 'races_lost:share' "races lost against delay"
shows class1-recall 'units_after_recall:hits' "units dispensed after the recall"
shows lock-race 'entered_after_lock:share' "data accepted after lock"

# ---- the nation's hospital day at message granularity, one core: the mean of a week, as days differ -------------
cat >"$scratch/nation.toml" <<'TOML'
name = "nation"
kind = "replay"
# Days differ by a factor of their own; those of this seed come to the mean that a nation's people cause, 3.6 k/s (of seed 1 to 5 % more).
seed = 4
replications = 2
[network]
nodes = 50
regions = ["us-east-1", "us-west-1", "us-west-2"]
# Twenty thousand hashes a second to 49 others are more than a gigabit carries.
uplink_mbps = 10000.0
downlink_mbps = 10000.0
[workload]
name = "hospital"
preset = "nation"
granularity = "message"
reads_per_write = 0.0
# assumption: to file a hash takes 10 us; at the default of 50 us the morning's rounds are more than blocks of a second execute.
exec_us = 10
[load]
duration_s = 604800.0
drain_s = 600.0
[[engines]]
name = "qbft"
TOML
if /usr/bin/time -o "$scratch/time" -f '%e %M' "$quorate" run "$scratch/nation.toml" --threads 1 --out "$scratch/nation" >/dev/null 2>"$scratch/run.err"; then
    read -r wall kib <"$scratch/time"
    rate=$(column "$(only "$scratch/nation")/replications.csv" submitted | awk '{ s += $1; n += 1 } END { printf "%.0f", s / n / 604800 }')
    each=$(awk -v w="$wall" 'BEGIN { printf "%.1f", w / 14 }')
    mib=$((kib / 1024))
    line="nation, messages, a day: $rate tx/s, $each s a day on one core, $mib MiB"
    if at_most "$each" 30 && [ "$mib" -le 3072 ]; then pass "$line"; else fail "$line"; fi
else
    fail "nation: $(head -n 1 "$scratch/run.err")"
fi
cargo run --release --locked --quiet -p quorate-benches --bin perf -- --only transactions 2>"$scratch/run.err" | grep transactions >"$scratch/perf.txt"
[ -s "$scratch/perf.txt" ] || fail "transaction goals: $(head -n 1 "$scratch/run.err")"
while read -r goal; do
    line=$(tr -s ' ' <<<"$goal")
    case $line in
        *' met, '*) pass "$line" ;;
        *' missed by '*) fail "$line" ;;
        *) skip "no goal" "$line" ;;
    esac
done <"$scratch/perf.txt"

# ---- real input ---------------------------------------------------------------------------------------
import() { # folder of DATA, built-in plan, what it is
    local from=${DATA:-}/$1 start
    if [ -z "${DATA:-}" ] || [ ! -d "$from" ]; then skip "no DATA/$1" "import of $3"; return; fi
    start=$(seconds)
    if ! "$quorate" import "$from" -o "$scratch/$1.csv" >"$scratch/import.txt" 2>"$scratch/run.err"; then
        fail "import $1: $(head -n 1 "$scratch/run.err")"
        return
    fi
    pass "import $3: $(($(wc -l <"$scratch/$1.csv") - 1)) arrivals, $(since "$start") s"
    start=$(seconds)
    if "$quorate" run "$2" -s "workload.path=$(realpath "$from")" --out "$scratch/run-$1" >"$scratch/run.txt" 2>"$scratch/run.err"; then
        pass "$2 compares $(column "$(only "$scratch/run-$1")/replications.csv" engine | sort -u | wc -l) engines on it, $(since "$start") s"
    else
        fail "$2: $(head -n 1 "$scratch/run.err")"
    fi
}
import synthea-r4 synthea "Synthea bundles"
import epcis epcis "EPCIS examples"
import cdisc-pilot cdisc-pilot "the CDISC pilot study"

# ---- the page for the regulator ---------------------------------------------------------------------------
page=$(only "$scratch/consent-storm")/report.html
for sentence in 'A hash of personal data may still be personal data.' 'This is not a compliance assessment.' 'Obligations, and what this run says about them' 'not assessed'; do
    if grep -q "$sentence" "$page"; then pass "the page says: $sentence"; else fail "the page lacks: $sentence"; fi
done
"$quorate" run consent-storm -s workload.payload=full --quick --engines qbft --out "$scratch/full" >/dev/null 2>"$scratch/full.err"
if grep -q '^warning: ' "$scratch/full.err"; then pass "payload = full: $(head -n 1 "$scratch/full.err")"; else fail "payload = full: no warning"; fi

# ---- tests: rates, mixes, sizes, shapes, skews; every rule; the digest of the state; the measures ------------
tests "workloads: rates, rules, granularities, domains" -p quorate-workloads
tests "forms of the kernel, the state of every node, what domains are shown" -p quorate --test forms --test domains
tests "questions and answers, messages" -p quorate --test scenarios --test messages
exit "$failed"
