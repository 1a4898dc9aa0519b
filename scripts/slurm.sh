#!/usr/bin/env bash
# Shows on a Slurm of one machine that an array of shards merges into the bytes of one process, though a task
# and the controller are killed half way. Debian's packages, loopback only; everything it starts ends with it.
#
#   scripts/slurm.sh           see scripts/shards.lib.sh for QUORATE, DEMO and SHARDS
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(id -u)" != 0 ]; then
    echo "SKIP (not root: daemons cannot be started)  Slurm"
    exit 0
fi
policy=/usr/sbin/policy-rc.d
if ! command -v slurmctld slurmd munged >/dev/null; then
    # Packages must not start daemons of their own.
    made=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        made=1
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge \
        >/dev/null 2>&1 || true
    [ -z "$made" ] || rm -f "$policy"
fi
if ! command -v slurmctld >/dev/null || ! command -v slurmd >/dev/null || ! command -v munged >/dev/null; then
    echo "SKIP (Slurm's packages cannot be had)  Slurm"
    exit 0
fi
# shellcheck source=scripts/shards.lib.sh
. scripts/shards.lib.sh
dir=$scratch/slurm
export SLURM_CONF=$dir/slurm.conf

pid_of() { cat "$dir/$1.pid" 2>/dev/null || true; }
# shellcheck disable=SC2317 # the trap calls it
cleanup() {
    scancel --user root >/dev/null 2>&1 || true
    for pid in $(tasks) $(pid_of slurmd) $(pid_of slurmctld) $(pid_of munged); do
        kill "$pid" 2>/dev/null || true
    done
    # Steps that outlive the daemon: their commands name this scratch folder.
    for _ in $(seq 1 50); do
        [ -n "$(tasks)" ] || break
        for pid in $(tasks); do kill -9 "$pid" 2>/dev/null || true; done
        sleep 0.1
    done
    rm -rf "$scratch"
}
trap cleanup EXIT

start_slurm() {
    local host
    host=$(hostname -s)
    mkdir -p "$dir"/{state,spool,munge,log}
    dd if=/dev/urandom of="$dir/munge/key" bs=1024 count=1 status=none
    chown -R munge: "$dir/munge"
    chmod 700 "$dir/munge/key"
    chmod 755 "$dir/munge"
    cat >"$SLURM_CONF" <<CONF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
# Without the second, the controller listens on all addresses.
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPort=26817
SlurmdPort=26818
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket
SlurmUser=root
SlurmdUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/log/slurmctld
SlurmdLogFile=$dir/log/slurmd
SlurmctldTimeout=5
SchedulerParameters=sched_interval=2,bf_interval=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 CoresPerSocket=2 RealMemory=4000
PartitionName=all Nodes=$host Default=YES MaxTime=60 State=UP
CONF
    runuser -u munge -- munged --key-file="$dir/munge/key" --socket="$dir/munge/socket" --num-threads=1 \
        --pid-file="$dir/munge/pid" --log-file="$dir/munge/log" --seed-file="$dir/munge/seed" --force 2>/dev/null
    cp "$dir/munge/pid" "$dir/munged.pid"
    slurmctld -f "$SLURM_CONF"
    slurmd -f "$SLURM_CONF"
    wait_for_slurm
}

wait_for_slurm() {
    for _ in $(seq 1 150); do
        sinfo -h -o %T 2>/dev/null | grep -qE 'idle|mixed|allocated' && return
        sleep 0.2
    done
    echo "Slurm does not come up: $(tail -n 3 "$dir"/log/slurm* 2>/dev/null)" >&2
    return 1
}

# An empty queue, as far as the controller knows. One that was killed may not know that a task has ended.
wait_for_queue() {
    local idle=0 running
    for _ in $(seq 1 600); do
        [ -z "$(squeue -h 2>/dev/null || echo unknown)" ] && return
        running=$(squeue -h -t R -o %i 2>/dev/null || true)
        if [ -n "$running" ] && [ -z "$(tasks)" ]; then idle=$((idle + 1)); else idle=0; fi
        if [ "$idle" = 30 ]; then
            echo "the controller holds $running for running, and nothing runs: cancelled"
            # shellcheck disable=SC2086 # a list of jobs
            scancel $running
            idle=0
        fi
        sleep 0.5
    done
    return 1
}

reference
if ! start_slurm; then
    fail "Slurm does not start here"
    exit 1
fi
cd "$scratch"
"$QUORATE" plan "${plan[@]}" --out "$scratch/out" --emit slurm --shards "$SHARDS" >"$scratch/job.sh"
id=$(bash "$scratch/job.sh" | sed -n 's/^submitted //p')
echo "submitted $id"
until_journalled 2000
kill_a_task && echo "killed a task"
until_journalled 20000
kill -9 "$(pid_of slurmctld)" && echo "killed the controller"
sleep 1
slurmctld -f "$SLURM_CONF"
wait_for_slurm
wait_for_queue
# The queue is empty, and yet the shard of the killed task is not whole: merge says so.
code=0
"$QUORATE" merge "$journals" >"$scratch/merge.log" 2>&1 || code=$?
echo "the queue is empty; merge exits with $code"
if [ "$code" = 4 ]; then
    # One task alone: Slurm says that there is one, the script that there are $SHARDS.
    for i in $(seq 1 "$SHARDS"); do
        [ "$(scontrol show job "${id}_$i" 2>/dev/null | grep -c 'JobState=COMPLETED')" = 1 ] && continue
        sbatch --parsable --array="$i" "$scratch/job.sh" >/dev/null && echo "submitted shard $i alone"
    done
    wait_for_queue
    code=0
    "$QUORATE" merge "$journals" >"$scratch/merge.log" 2>&1 || code=$?
fi
if [ "$code" = 0 ]; then
    compare_sums "Slurm, a task and the controller killed"
else
    fail "Slurm: merge exits with $code: $(tail -n 3 "$scratch/merge.log")"
fi
exit "$failed"
