#!/usr/bin/env bash
# Acceptance of "experiments that hold up", one PASS | FAIL | SKIP (reason) line each, with its figure. Run it in a fresh
# clone; it takes about forty minutes on two cores. TESTS=0 leaves out the tests that `cargo test` runs anyway, KILLS is
# how often runs are killed (100), SLOW=0 leaves out what builds the program again.
set -uo pipefail
cd "$(dirname "$0")/../.."
source scripts/accept/lib.sh
small=(--engines 'qbft,raft,central' -s load.duration_s=20 -s replications=3 -s 'profiles=["deployed"]')
code() { "$@" >"$scratch/out.txt" 2>"$scratch/err.txt"; echo $?; }
expect() { # exit code, what, command: passes if it ends so, with the first line that it prints
    local want=$1 what=$2 got start
    shift 2
    start=$(seconds)
    got=$(code "$@")
    if [ "$got" = "$want" ]; then
        pass "$what: exit $got, $(since "$start") s${show:+, $(grep -m 1 -E "$show" "$scratch/out.txt" "$scratch/err.txt" -h | head -n 1 | sed 's/^ *//')}"
    else
        fail "$what: exit $got for $want: $(head -n 1 "$scratch/err.txt")"
    fi
}
show=
lines() { if grep -q "^\(FAIL\|SKIP\|SKIPPED\|PASS\)" "$scratch/out.txt"; then grep "^\(FAIL\|SKIP\|SKIPPED\|PASS\)" "$scratch/out.txt"; grep -q '^FAIL' "$scratch/out.txt" && failed=1; fi; }

# ---- statistics ---------------------------------------------------------------------------------------
if scripts/coverage.sh --page >/dev/null 2>&1 && git diff --quiet docs; then pass "docs/statistics.md is what its tables say"; else fail "docs/statistics.md differs from its tables"; fi
pass "coverage at ten replications, 1,000 seeds: $(awk -F, 'NR > 1' docs/coverage.csv | head -n 2 | tr '\n' ' ')"
tests "nominal 95 % covers 93 to 97 %; bootstrap, Wilcoxon, paired t" -p quorate --test statistics
show='precis' expect 0 "--precision 20 %, at most 20 replications" "$quorate" compare "${small[@]}" --precision 20% --replications-max 20 --out "$scratch/precise"
if [ -s "$(only "$scratch/precise")/compare.csv" ]; then pass "compare.csv: $(($(wc -l <"$(only "$scratch/precise")/compare.csv") - 1)) paired differences"; else fail "no compare.csv"; fi

# ---- designs ------------------------------------------------------------------------------------------
expect 0 "sweep -P network.nodes=4:12:x2 -L engines" "$quorate" sweep compare -P network.nodes=4:8:x2 -L engines=qbft,raft -s load.duration_s=20 -s replications=2 -s 'profiles=["deployed"]' --out "$scratch/sweep"
expect 0 "sweep, built in: a grid with a zip" "$quorate" sweep --out "$scratch/sweep2" --quick
expect 0 "compare --tune" "$quorate" compare "${small[@]}" --tune --out "$scratch/tune"
expect 0 "sensitivity" "$quorate" sensitivity "${small[@]}" --out "$scratch/sens"
expect 0 "capacity" "$quorate" capacity --quick --out "$scratch/capacity"
[ -s "$(only "$scratch/capacity")/capacity.csv" ] && pass "capacity: $(head -n 2 "$(only "$scratch/capacity")/capacity.csv" | tail -n 1)"
expect 0 "curve with its knee" "$quorate" run curve --quick --engines qbft,raft --out "$scratch/curve"

# ---- durable runs ---------------------------------------------------------------------------------------
sums() { cat "$1"/*/SHA256SUMS; }
"$quorate" compare "${small[@]}" --out "$scratch/one" >/dev/null 2>&1
for threads in 1 2; do
    for n in 1 3 8; do
        out=$scratch/t$threads-n$n
        for i in $(seq "$n"); do
            if [ "$n" = 1 ]; then "$quorate" compare "${small[@]}" --threads $threads --out "$out" >/dev/null 2>&1
            else "$quorate" compare "${small[@]}" --threads $threads --shard "$i/$n" --out "$out" >/dev/null 2>&1; fi
        done
        [ "$n" = 1 ] || "$quorate" merge "$out"/*.journal --clean >/dev/null 2>"$scratch/err.txt"
        if cmp -s <(sums "$out") <(sums "$scratch/one"); then pass "threads $threads, shards $n: equal checksums"; else fail "threads $threads, shards $n: $(head -n 1 "$scratch/err.txt")"; fi
    done
done
QUORATE=$quorate scripts/kills.sh "${KILLS:-100}" >"$scratch/kills.txt" 2>&1 && pass "kills: $(tail -n 1 "$scratch/kills.txt")" || fail "kills: $(tail -n 1 "$scratch/kills.txt")"
"$quorate" compare "${small[@]}" --shard 1/3 --out "$scratch/part" >/dev/null 2>&1
show='.' expect 4 "status of a third" "$quorate" status "$scratch"/part/*.journal
show='.' expect 4 "merge of a third" "$quorate" merge "$scratch"/part/*.journal
show='.' expect 4 "--time-limit 1s" "$quorate" compare -s load.duration_s=600 --time-limit 1s --out "$scratch/limit"
show='.' expect 78 "--memory-limit 10MB" "$quorate" compare --memory-limit 10MB --out "$scratch/limit2"
start=$(seconds)
"$quorate" compare -s load.duration_s=3000 --out "$scratch/stopped" >/dev/null 2>"$scratch/err.txt" &
pid=$!
sleep 3
start=$(seconds)
kill -INT $pid
wait $pid
got=$? took=$(since "$start")
if [ "$got" = 130 ] && at_most "$took" 2.5; then pass "Ctrl-C: exit 130 after $took s, $(find "$scratch/stopped" -name '*.journal' -type f | wc -l) journal kept"; else fail "Ctrl-C: exit $got after $took s"; fi
tests "journals truncated at every byte, foreign plans, locks, full disks" -p quorate --test durable
if [ "${TESTS:-1}" != 0 ]; then
    cargo build --locked --quiet -p quorate && "${CARGO_TARGET_DIR:-target}/debug/quorate" compare "${small[@]}" --out "$scratch/debug" >/dev/null 2>&1
    if cmp -s <(sums "$scratch/debug") <(sums "$scratch/one"); then pass "debug = release: equal checksums"; else fail "debug differs from release"; fi
else skip "TESTS=0" "debug = release"; fi
cargo run --release --locked --quiet -p quorate-benches --bin sweep >"$scratch/out.txt" 2>&1
overhead=$(grep -o 'efficiency.*' "$scratch/out.txt" | tail -n 1 | grep -o '[0-9.]*' | head -n 1)
if at_most 95 "${overhead:-0}"; then pass "1,000 units: $(tr -s ' ' <"$scratch/out.txt" | tr '\n' ';')"; else fail "1,000 units: $(tr -s ' ' <"$scratch/out.txt" | tr '\n' ';')"; fi

# ---- beyond one machine -----------------------------------------------------------------------------------
expect 0 "plan" "$quorate" plan compare
for launcher in slurm hq parallel; do
    expect 0 "plan --emit $launcher" "$quorate" plan compare --emit $launcher --shards 8
    cp "$scratch/out.txt" "$scratch/$launcher.sh"
    bash -n "$scratch/$launcher.sh" || fail "plan --emit $launcher: not a script"
done
for script in slurm parallel; do
    start=$(seconds)
    QUORATE=$quorate timeout 900 scripts/$script.sh >"$scratch/out.txt" 2>"$scratch/err.txt" || fail "scripts/$script.sh: $(tail -n 1 "$scratch/err.txt")"
    lines
done

# ---- gates ------------------------------------------------------------------------------------------------
one=$(only "$scratch/one")
show='.' expect 99 "check: a level that fails" "$quorate" check "$one" --level 'consent.revoke:exposure:p(99)<1ms' --junit "$scratch/junit.xml"
[ -s "$scratch/junit.xml" ] && pass "JUnit: $(grep -c '<testcase' "$scratch/junit.xml") cases, $(grep -c '<failure' "$scratch/junit.xml") failures"
show='.' expect 0 "diff of equals" "$quorate" diff "$one" "$one"
"$quorate" compare "${small[@]}" -s network.uplink_mbps=20.0 --out "$scratch/two" >/dev/null 2>&1
two=$(only "$scratch/two")
expect 65 "diff of other plans" "$quorate" diff "$one" "$two"
show='%' expect 3 "diff: a parameter moved" "$quorate" diff "$one" "$two" --across-plans
cp -r "$one" "$scratch/moved"
python3 - "$scratch/moved" <<'PY'
import csv, hashlib, pathlib, sys
folder = pathlib.Path(sys.argv[1])
rows = list(csv.reader(open(folder / "summary.csv", newline="")))
value = rows[0].index("value")
row = next(r for r in rows[1:] if r[value] and float(r[value]) > 0)
row[value] = repr(float(row[value]) * 1.01)
with open(folder / "summary.csv", "w", newline="") as file:
    csv.writer(file, lineterminator="\n").writerows(rows)
sums = folder / "SHA256SUMS"
lines = [l.split("  ", 1)[1] for l in sums.read_text().splitlines()]
sums.write_text("".join(f"{hashlib.sha256((folder / n).read_bytes()).hexdigest()}  {n}\n" for n in lines))
PY
show='%' expect 3 "diff: one number moved by 1 %" "$quorate" diff "$one" "$scratch/moved"
cp -r "$one" "$scratch/base"
expect 0 "diff --accept" "$quorate" diff "$scratch/base" "$scratch/moved" --accept
expect 0 "diff after --accept" "$quorate" diff "$scratch/base" "$scratch/moved"
show='.' expect 0 "verify, five units again" "$quorate" verify "$one" --units 5
show='equal' expect 0 "reproduce" "$quorate" reproduce "$one"
for to in bmf gh-action hgrm hlog; do expect 0 "export --to $to" "$quorate" export "$one" --to $to --out "$scratch/export-$to"; done
if [ "${SLOW:-1}" != 0 ]; then
    CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/parquet cargo run --release --locked --quiet -p quorate --features parquet -- export "$one" --to parquet --out "$scratch/parquet" >/dev/null 2>"$scratch/err.txt" \
        && pass "export --to parquet: $(find "$scratch/parquet" -type f | wc -l) files" || fail "export --to parquet: $(tail -n 1 "$scratch/err.txt")"
    scripts/slower.sh >"$scratch/out.txt" 2>&1 && pass "slower, not other: $(tr '\n' ';' <"$scratch/out.txt")" || fail "slower.sh: $(tail -n 1 "$scratch/out.txt")"
else
    expect 2 "export --to parquet says how to build it" "$quorate" export "$one" --to parquet --out "$scratch/parquet"
    skip "SLOW=0" "export --to parquet; slower.sh"
fi
show='.' expect 0 "replay of a unit with events and a diagram" "$quorate" replay "$one" --cell 0 --replication 1 --events "$scratch/events.jsonl" --diagram "$scratch/diagram.svg"
if [ -s "$scratch/events.jsonl" ] && [ -s "$scratch/diagram.svg" ]; then pass "replay: $(wc -l <"$scratch/events.jsonl") events, a diagram of $(wc -c <"$scratch/diagram.svg") bytes"; else fail "replay left nothing"; fi

# ---- contracts ----------------------------------------------------------------------------------------------
"$quorate" schema >"$scratch/schema.json"
if cmp -s "$scratch/schema.json" docs/plan.schema.json; then pass "schema: $(wc -c <"$scratch/schema.json") bytes, as committed"; else fail "schema differs from docs/plan.schema.json"; fi
scripts/frictionless.sh "$one" >"$scratch/out.txt" 2>&1 || fail "frictionless: $(tail -n 1 "$scratch/out.txt")"
lines
tests "gates" -p quorate --test gates
tests "model_version, schema, replay" -p quorate --test model_version --test schema --test replay
# Without valgrind: everything else that the script needs, and nothing more.
mkdir -p "$scratch/bin"
for tool in bash env cargo rustc awk sed grep cat dirname date mktemp rm cc ld head tail cut tr sort; do ln -sf "$(command -v $tool)" "$scratch/bin/$tool"; done
show='SKIPPED' expect 0 "budget.sh without valgrind" env PATH="$scratch/bin" scripts/budget.sh
expect 1 "budget.sh --require-perf without valgrind" env PATH="$scratch/bin" scripts/budget.sh --require-perf
show='.' expect 0 "budget.sh" scripts/budget.sh
scripts/reproduce.sh >"$scratch/out.txt" 2>&1 && pass "the committed comparison, byte by byte: $(tail -n 1 "$scratch/out.txt")" || fail "reproduce.sh: $(tail -n 1 "$scratch/out.txt")"
[ -s docs/ci/quorate.yml ] && [ -s .github/workflows/ci.yml ] && pass "workflows: one to copy, one of the project" || fail "no workflow"
exit "$failed"
