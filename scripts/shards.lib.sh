# What the demonstrations of launchers share; sourced from the root of the repository.
#
#   QUORATE   the program; built in release when left out
#   DEMO      the plan and its changes, such as: compare --quick --engines qbft,raft
#   SHARDS    how many
pass() { printf 'PASS  %s\n' "$*"; }
fail() { printf 'FAIL  %s\n' "$*"; failed=1; }
skip() { printf 'SKIP (%s)  %s\n' "$1" "$2"; }
failed=0
SHARDS=${SHARDS:-8}
read -ra plan <<<"${DEMO:-compare --engines qbft,raft,central}"
scratch=$(mktemp -d /tmp/quorate-shards.XXXXXX)
chmod 755 "$scratch"
if [ -z "${QUORATE:-}" ]; then
    cargo build --release --locked --quiet
    QUORATE=${CARGO_TARGET_DIR:-$PWD/target}/release/quorate
fi
export QUORATE

# A field of the plan's forecast.
forecast() { "$QUORATE" plan "${plan[@]}" --json | python3 -c "import json, sys; print(json.load(sys.stdin)['$1'])"; }

# What one process makes of it.
reference() {
    "$QUORATE" run "${plan[@]}" --out "$scratch/one" >/dev/null
    results=$(forecast results)
    units=$(forecast units)
    journals=$scratch/out/$(forecast journals)
}

# Bytes that are journalled; grows with every finished unit.
journalled() { cat "$journals"/*.journal 2>/dev/null | wc -c; }

# The processes of ours that run a shard.
tasks() {
    local folder
    for folder in /proc/[0-9]*; do
        tr '\0' ' ' 2>/dev/null <"$folder/cmdline" |
            grep -q -- "^$QUORATE run .*--out $scratch/out .*--shard " && echo "${folder#/proc/}"
    done
}

# Waits until this many bytes are journalled, at most two minutes.
until_journalled() {
    for _ in $(seq 1 600); do
        [ "$(journalled)" -ge "$1" ] && return
        sleep 0.2
    done
    echo "nothing is journalled" >&2
    return 1
}

# Kills a running task, without warning; waits for one.
kill_a_task() {
    local pid
    for _ in $(seq 1 300); do
        pid=$(tasks | head -n 1)
        if [ -n "$pid" ] && kill -9 "$pid" 2>/dev/null; then return; fi
        sleep 0.1
    done
    echo "no task ran for 30 s" >&2
    return 1
}

# The merged bytes are those of one process.
compare_sums() { # what
    local files
    if diff -q "$scratch/one/$results/SHA256SUMS" "$scratch/out/$results/SHA256SUMS" >/dev/null &&
        (cd "$scratch/out/$results" && sha256sum --check --quiet SHA256SUMS); then
        files=$(wc -l <"$scratch/out/$results/SHA256SUMS")
        pass "$1: $units units in $SHARDS shards, $files files equal those of one process"
    else
        fail "$1: bytes differ from those of one process"
    fi
}
