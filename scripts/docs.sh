#!/usr/bin/env bash
# Runs the commands of README.md and docs/*.md in scratch folders, each page in one of its own. A line each:
# PASS, FAIL, or SKIP (reason).
#
#   scripts/docs.sh               all pages
#   scripts/docs.sh architect.md  these pages
#   LIMIT=600 scripts/docs.sh     seconds that a command may take (120 when left out); longer ones are skipped
#
# Commands are the lines of blocks marked `sh` that begin with `quorate` or `cargo run --release --`.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
limit=${LIMIT:-120}
quorate=${QUORATE:-}
if [ -z "$quorate" ]; then
    cargo build --release --locked --quiet
    quorate=${CARGO_TARGET_DIR:-$root/target}/release/quorate
fi
pages=("$@")
[ ${#pages[@]} -gt 0 ] || pages=(README.md docs/*.md)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/bin"
ln -s "$(realpath "$quorate")" "$scratch/bin/quorate"
failed=0
passed=0
# Commands that read what only the reader has.
needs_own='FOLDER|plans/ledger|results/ledger|baseline/|arrivals\.csv'

commands() { # page: its command lines without comments
    awk '/^```/ { inside = ($0 ~ /^```sh/ && !inside); next } inside' "$1" |
        sed -e 's/[[:space:]]#.*$//' -e 's/[[:space:]]*$//' |
        sed -n -e 's/^cargo run --release -- /quorate /' -e '/^quorate /p'
}

for page in "${pages[@]}"; do
    file=$page
    [ -f "$file" ] || file=docs/$page
    place=$scratch/${page//\//-}
    mkdir -p "$place"
    while IFS= read -r line; do
        name=$(awk '{ print $2 }' <<<"$line")
        if [[ $line =~ $needs_own ]]; then
            printf 'SKIP (needs files of your own)  %s: %s\n' "$page" "$line"
            continue
        fi
        if [ "$name" != help ] && ! "$quorate" help "$name" >/dev/null 2>&1; then
            printf 'SKIP (this build has no command %s)  %s: %s\n' "$name" "$page" "$line"
            continue
        fi
        # A folder of the page is the one that was written last.
        mkdir -p "$place/results"
        last=$(cd "$place" && find results -mindepth 1 -maxdepth 1 -type d ! -name '*.journal' -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)
        if [[ $line == *results/paper* && -z $last ]]; then
            printf 'SKIP (the run before it was skipped)  %s: %s\n' "$page" "$line"
            continue
        fi
        run=${line//results\/paper/$last}
        began=$SECONDS
        code=0
        (cd "$place" && PATH=$scratch/bin:$PATH timeout "$limit" bash -c "$run") >"$scratch/out" 2>&1 </dev/null || code=$?
        if [ "$code" = 0 ]; then
            printf 'PASS  %s: %s (%s s)\n' "$page" "$line" $((SECONDS - began))
            passed=$((passed + 1))
        elif [ "$code" = 124 ]; then
            printf 'SKIP (longer than %s s)  %s: %s\n' "$limit" "$page" "$line"
        else
            printf 'FAIL  %s: %s (exit %s: %s)\n' "$page" "$line" "$code" "$(grep -m1 '^error' "$scratch/out" | cut -c1-200)"
            failed=1
        fi
    done < <(commands "$file")
done
[ "$passed" -gt 0 ] || { echo 'FAIL  no command was run'; failed=1; }
exit "$failed"
