#!/usr/bin/env bash
# Acceptance of "a faithful network and node model, close to the machine's limit", one PASS | FAIL |
# SKIP (reason) line each, with its figure. Run it in a fresh clone, on a machine at rest.
set -uo pipefail
cd "$(dirname "$0")/../.."
source scripts/accept/lib.sh

# ---- a small plan, and what each key does to it ---------------------------------------------------
cat >"$scratch/plan.toml" <<'TOML'
name = "kernel"
kind = "curve"
replications = 2
[network]
nodes = 8
regions = ["us-east-1", "us-west-2"]
[workload]
name = "hospital"
preset = "region"
sites = 8
most_patients = 20000
[load]
offered_tps = [20.0]
duration_s = 120.0
knee_within = 10.0
[[engines]]
name = "qbft"
[[engines]]
name = "nakamoto"
label = "nakamoto-15s"
config = { preset = "private-15s" }
TOML
runs=0
run() { # arguments: runs the plan with them; sets $folder and $digests
    runs=$((runs + 1))
    "$quorate" run "$scratch/plan.toml" --out "$scratch/$runs" "$@" >"$scratch/run.txt" 2>"$scratch/run.err" || return 1
    folder=$(only "$scratch/$runs")
    digests=$(column "$folder/replications.csv" digest | tr '\n' ' ')
}
if run; then base=$digests; pass "the plan as it is: $(wc -w <<<"$base") units"; else fail "the plan as it is: $(head -n 1 "$scratch/run.err")"; exit 1; fi
moves() { # what, arguments: a key that must change results
    local what=$1
    shift
    if ! run "$@"; then fail "$what: $(head -n 1 "$scratch/run.err")"; return; fi
    local changed=0 total=0 i a b
    read -ra a <<<"$base"
    read -ra b <<<"$digests"
    for i in "${!a[@]}"; do total=$((total + 1)); [ "${a[i]}" != "${b[i]:-}" ] && changed=$((changed + 1)); done
    if [ "$changed" -gt 0 ]; then pass "$what: $changed of $total units differ"; else fail "$what: changes nothing"; fi
}
stays() { # what, arguments: a key that must change nothing
    local what=$1
    shift
    if ! run "$@"; then fail "$what: $(head -n 1 "$scratch/run.err")"; return; fi
    if [ "$digests" = "$base" ]; then pass "$what: nothing differs"; else fail "$what: units differ"; fi
}

"$quorate" list regions >"$scratch/regions.txt"
pass "list regions: $(grep -cE '^  [a-z]' "$scratch/regions.txt") latency tables"
for table in 'cloud-2017 "us-east-1","eu-west-1"' 'world-2015 "europe","japan"' 'world-2019 "europe","japan"' 'gervais-2016 "europe","japan"' 'ethereum-2020 "europe","japan"' 'hospital-wan "berlin-campus","berlin","munich"'; do
    moves "latency table ${table%% *}" -s "network.latency_table=\"${table%% *}\"" -s "network.regions=[${table#* }]"
done
for law in log-normal gamma pareto; do
    moves "jitter $law" -s "network.jitter=\"$law\"" -s network.jitter_shape=1.5
done
moves "jitter pareto-mean, one draw a link" -s 'network.jitter="pareto-mean"' -s network.jitter_spread_ms=5.0 -s network.jitter_per_link=true
moves "bandwidth by region" -s 'network.region_uplink_mbps=[10.0,[1.0,50.0]]'
moves "bandwidth class of two sites" -s 'network.classes=[{nodes=[1,2],uplink_mbps=2.0,downlink_mbps=10.0}]'
moves "loss of 2 % with retransmission" -s network.loss_permille=20.0
moves "slow start after idle" -s network.slow_start=true -s network.uplink_mbps=50.0 -s network.downlink_mbps=50.0
moves "small messages queue too" -s network.queue_small_messages=true -s network.downlink_mbps=1.0
moves "overlay random" -s network.outbound=2
moves "overlay small-world" -s 'network.overlay="small-world"' -s network.neighbours=4 -s network.rewire_permille=100
moves "overlay of Bitcoin's degrees" -s 'network.overlay="degrees"' -s 'network.outbound_degrees="bitcoin-2015"'
moves "overlay star through two hubs" -s 'network.overlay="star"' -s network.hubs=2
for relay in push inv direct sqrt-push unsolicited; do
    moves "relay $relay" -s "engines.1.config.relay=\"$relay\"" -s network.outbound=3
done

# ---- faults ---------------------------------------------------------------------------------------
fault() { moves "fault: $1" -s "faults=[{$2}]"; }
fault "crash and restart" 'from_s=20,until_s=50,crash=[1]'
fault "partition" 'from_s=20,until_s=50,partition=[0,2,4]'
fault "one way" 'from_s=20,until_s=50,one_way_from=[3],one_way_to=[0,1,2]'
fault "a site's wide-area network" 'from="00:00",until="00:01",wan_cut=[3]'
fault "clogged links" 'from_s=20,until_s=50,clog=[2],clog_ms=400'
fault "held until the end" 'from_s=20,until_s=50,clog=[2]'
fault "a burst of loss" 'from_s=20,until_s=50,loss=[0,1],loss_permille=200'
fault "slow CPUs" 'from_s=20,until_s=50,slow_cpu=[0,1,2],speed_permille=20'
fault "clocks" 'from_s=20,until_s=50,clock=[1,2],offset_ms=1500,drift_ppm=50'
stays "a fault after the run" -s 'faults=[{from_s=90000,until_s=90010,crash=[1]}]'

# ---- mempool --------------------------------------------------------------------------------------
moves "gossip hop by hop" -s 'mempool.gossip="explicit"' -s 'mempool.relay="announce"' -s network.uplink_mbps=5.0
run -s 'mempool.gossip="explicit"' && pass "  $(column "$folder/replications.csv" gossip_messages | sed -n 1p) messages of gossip, form $(column "$folder/replications.csv" gossip_form | sed -n 1p)"
moves "blocks by fee" -s 'mempool.order="fee"' -s 'mempool.fee_shares=[0.8,0.2]' -s engines.0.config.block_txs=15
moves "capacity of 10 transactions" -s mempool.capacity_txs=10
pass "  dropped: $(column "$folder/replications.csv" run_dropped | tr '\n' ' ')"
moves "expiry after 3 s" -s mempool.expire_s=3.0
moves "a limit of gas" -s engines.0.config.block_exec_ms=1
for refresh in '"never"' 5.0; do moves "templates renewed: $refresh" -s "engines.1.config.template_refresh_s=$refresh"; done

# ---- presets of other simulators ------------------------------------------------------------------
for plan in simblock-2019 simblock-2019-legacy simblock-2015 gervais-standard gervais-unsolicited gervais-relay; do
    start=$(seconds)
    if "$quorate" run $plan --quick --out "$scratch/$plan" >"$scratch/run.txt" 2>"$scratch/run.err"; then
        pass "run $plan --quick: $(since "$start") s, propagation p50 $(column "$(only "$scratch/$plan")/replications.csv" propagation_p50_ms | sed -n 1p) ms"
    else
        fail "run $plan: $(head -n 1 "$scratch/run.err")"
    fi
done
start=$(seconds)
if scripts/published.sh >"$scratch/published.txt" 2>"$scratch/published.err"; then
    pass "published.sh: $(since "$start") s"
    sed 's/^/      /' "$scratch/published.txt"
else
    fail "published.sh: $(tail -n 1 "$scratch/published.err")"
fi

# ---- costs of this machine ------------------------------------------------------------------------
start=$(seconds)
if "$quorate" calibrate --quick --out "$scratch/costs.toml" >"$scratch/calibrate.txt" 2>"$scratch/calibrate.err"; then
    pass "calibrate: $(since "$start") s, $(grep -c = "$scratch/costs.toml") figures"
    moves "  a plan that names the file" -s "node.costs=\"$scratch/costs.toml\""
else
    fail "calibrate: $(head -n 1 "$scratch/calibrate.err")"
fi

# ---- proofs ---------------------------------------------------------------------------------------
cargo test --workspace --locked --no-run --quiet 2>"$scratch/err.txt" || fail "tests do not build"
start=$(seconds)
if cargo test --workspace --locked >"$scratch/test.txt" 2>&1; then
    total=$(awk '/^test result: ok/ { n += $4 } END { print n }' "$scratch/test.txt")
    pass "cargo test --workspace: $total tests in $(since "$start") s"
    for group in forms metamorphic faults published alloc determinism; do
        line=$(awk -v g="tests/$group.rs" '$1 == "Running" { on = $2 == g } on && /^test result:/ { print; exit }' "$scratch/test.txt")
        if [ -n "$line" ]; then pass "  $group: $line"; else fail "  $group did not run"; fi
    done
else
    fail "cargo test --workspace: $(grep -m 3 -E '^test .* FAILED|panicked' "$scratch/test.txt" | tr '\n' ' ')"
fi
if scripts/budget.sh >"$scratch/budget.txt" 2>&1; then pass "budget.sh: $(tail -n 1 "$scratch/budget.txt")"; else fail "budget.sh: $(tail -n 2 "$scratch/budget.txt" | tr '\n' ' ')"; fi

# ---- goals ----------------------------------------------------------------------------------------
if scripts/perf.sh >"$scratch/perf.txt" 2>&1; then
    head -n 1 "$scratch/perf.txt"
    while IFS= read -r line; do
        case $line in
        *" missed by "*) fail "$line" ;;
        *" met, "* | *efficiency*) pass "$line" ;;
        *" M/s "*) printf '      %s\n' "$line" ;;
        esac
    done <"$scratch/perf.txt"
else
    fail "perf.sh: $(tail -n 1 "$scratch/perf.txt")"
fi
exit $failed
