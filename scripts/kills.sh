#!/usr/bin/env bash
# Kills runs with SIGKILL, N times (100 when left out) at random moments, as a whole and in three shards,
# and compares the bytes of what they come to with those of a run that nobody kills.
#   QUORATE=target/release/quorate scripts/kills.sh 100
set -euo pipefail
cd "$(dirname "$0")/.."
kills=${1:-100}
quorate=${QUORATE:-target/release/quorate}
plan=${PLAN:-sim/harness/tests/golden.toml}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

sums() { cat "$1"/*/SHA256SUMS; }

began=$(date +%s%N)
"$quorate" run "$plan" --out "$out/straight" >/dev/null 2>&1
took_ms=$((($(date +%s%N) - began) / 1000000))
sums "$out/straight" >"$out/want"

done_kills=0 rounds=0 resumed=0
# Runs a command until it ends by itself; kills it before as long as kills are left.
until_done() {
    local lives=0
    while true; do
        "$@" >"$out/log" 2>&1 &
        local pid=$!
        if [ "$done_kills" -lt "$kills" ] && [ "$lives" -lt 25 ]; then
            # Up to a third of the whole run: some die before their first unit, some while writing results.
            sleep "$(awk -v r=$RANDOM -v t="$took_ms" 'BEGIN { printf "%.3f", r / 32768 * t / 3000 + 0.01 }')"
            lives=$((lives + 1))
            if kill -9 "$pid" 2>/dev/null; then
                done_kills=$((done_kills + 1))
                wait "$pid" 2>/dev/null || true
                continue
            fi
        fi
        wait "$pid" || { cat "$out/log"; echo "FAIL: a resumed run ended with $?"; exit 1; }
        if grep -q '^resumed' "$out/log"; then resumed=$((resumed + 1)); fi
        return
    done
}

while [ "$done_kills" -lt "$kills" ]; do
    rm -rf "$out/whole" "$out/shards"
    until_done "$quorate" run "$plan" --out "$out/whole"
    cmp "$out/want" <(sums "$out/whole") || { echo "FAIL: a whole run differs"; exit 1; }
    for i in 1 2 3; do
        until_done "$quorate" run "$plan" --out "$out/shards" --shard "$i/3"
    done
    "$quorate" merge "$out/shards" --clean >/dev/null
    cmp "$out/want" <(sums "$out/shards") || { echo "FAIL: merged shards differ"; exit 1; }
    rounds=$((rounds + 1))
done
echo "PASS: $done_kills kills in $rounds rounds, $resumed runs resumed to their end, equal checksums"
