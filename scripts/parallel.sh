#!/usr/bin/env bash
# Shows that shards under GNU parallel (and HyperQueue, where `hq` is) merge into the bytes of one process,
# though tasks and the launcher are killed half way. Leaves nothing behind.
#
#   scripts/parallel.sh        see scripts/shards.lib.sh for QUORATE, DEMO and SHARDS
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/shards.lib.sh
. scripts/shards.lib.sh
server=
# shellcheck disable=SC2317 # the trap calls it
cleanup() {
    for pid in $(tasks) $server; do kill -9 "$pid" 2>/dev/null || true; done
    rm -rf "$scratch"
}
trap cleanup EXIT

with_parallel() {
    if ! command -v parallel >/dev/null && [ "$(id -u)" = 0 ]; then
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends parallel >/dev/null 2>&1 || true
    fi
    if ! command -v parallel >/dev/null; then
        skip "GNU parallel is not here and cannot be installed" "GNU parallel"
        return
    fi
    "$QUORATE" plan "${plan[@]}" --out "$scratch/out" --emit parallel --shards "$SHARDS" >"$scratch/job.sh"
    local launcher code=0
    JOBS=2 setsid bash "$scratch/job.sh" >"$scratch/first.log" 2>&1 &
    launcher=$!
    until_journalled 2000
    kill_a_task && echo "killed a task"
    until_journalled 20000
    # The launcher dies, its tasks go on and hold their journals.
    kill -9 $(pgrep -s "$(ps -o sid= -p "$launcher" | tr -d ' ')" -x parallel) "$launcher" && echo "killed GNU parallel"
    wait "$launcher" 2>/dev/null || true
    echo "left behind: $(tasks | wc -l) tasks; started again"
    JOBS=2 bash "$scratch/job.sh" >"$scratch/second.log" 2>&1 || code=$?
    if [ "$code" = 0 ]; then
        compare_sums "GNU parallel, a task and the launcher killed"
    else
        fail "GNU parallel: exit $code: $(tail -n 3 "$scratch/second.log")"
    fi
}

with_hq() {
    if ! command -v hq >/dev/null; then
        skip "no hq on this machine" "HyperQueue"
        return
    fi
    rm -rf "$scratch/out"
    export HQ_SERVER_DIR=$scratch/hq
    "$QUORATE" plan "${plan[@]}" --out "$scratch/out" --emit hq --shards "$SHARDS" >"$scratch/hq.sh"
    hq server start >"$scratch/server.log" 2>&1 &
    server=$!
    for _ in $(seq 1 50); do hq server info >/dev/null 2>&1 && break; sleep 0.2; done
    hq worker start --cpus 2 >"$scratch/worker.log" 2>&1 &
    local worker=$! code=0 launcher
    server="$server $worker"
    bash "$scratch/hq.sh" >"$scratch/hq.log" 2>&1 &
    launcher=$!
    until_journalled 2000
    kill_a_task && echo "killed a task"
    until_journalled 20000
    kill -9 "$worker" && echo "killed the worker"
    hq worker start --cpus 2 >"$scratch/worker2.log" 2>&1 &
    server="$server $!"
    wait "$launcher" || code=$?
    # A task that was killed has failed for good; what it left is resumed.
    if [ "$code" = 4 ]; then bash "$scratch/hq.sh" >"$scratch/hq2.log" 2>&1 && code=0; fi
    hq server stop >/dev/null 2>&1 || true
    if [ "$code" = 0 ]; then compare_sums "HyperQueue, a task and a worker killed"; else fail "HyperQueue: exit $code"; fi
}

reference
with_parallel
with_hq
exit "$failed"
