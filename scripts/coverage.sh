#!/usr/bin/env bash
# Measures how often intervals cover, and what common random numbers are worth, and checks every byte of
# docs/coverage.csv, docs/pairing.csv and the tables of docs/statistics.md that are made from them.
#
#   scripts/coverage.sh            check
#   scripts/coverage.sh --update   replace them (when the statistics or the model changed on purpose)
#   scripts/coverage.sh --page     the page from the committed tables alone, without a measurement
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

measure() {
    cargo build --release --locked --quiet -p quorate -p quorate-benches --bin quorate --bin coverage
    local bin="${CARGO_TARGET_DIR:-target}/release"
    "$bin/coverage" >"$out/coverage.csv"
    # Four engines that agree by votes or by a leader, at the load that the comparison judges a hospital at.
    "$bin/quorate" run curve --engines tendermint,qbft,raft,central --out "$out/run" \
        -s 'load.offered_tps=[33.0]' -s load.duration_s=120 -s replications=20 >/dev/null
    # Metric, statistic, both engines, pairs, and the ratio of variances.
    cut -d, -f4-7,22,26 "$out"/run/*/compare.csv >"$out/pairing.csv"
}

# The page with its tables made anew: between the marks stand the lines of a table.
page() {
    awk -v coverage="$1" -v pairing="$2" '
        /^<!-- coverage -->$/ { print; table(coverage); skip = 1; next }
        /^<!-- pairing -->$/ { print; table(pairing); skip = 1; next }
        /^<!-- end -->$/ { skip = 0 }
        !skip
        function table(file,   line, n) {
            while ((getline line < file) > 0) {
                gsub(/,/, " | ", line)
                print "| " line " |"
                if (n++ == 0) { gsub(/[^|]+/, "---", line); print "|" line "|" }
            }
        }' docs/statistics.md
}

if [ "${1:-}" = --page ]; then
    page docs/coverage.csv docs/pairing.csv >"$out/statistics.md"
    diff docs/statistics.md "$out/statistics.md"
    echo "the page has the committed tables: $(wc -l <docs/coverage.csv) and $(wc -l <docs/pairing.csv) lines"
    exit
fi
measure
page "$out/coverage.csv" "$out/pairing.csv" >"$out/statistics.md"
for file in coverage.csv pairing.csv statistics.md; do
    if [ "${1:-}" = --update ]; then
        cp "$out/$file" "docs/$file"
    else
        diff "docs/$file" "$out/$file"
    fi
done
worst=$(awk -F, '$2 == "fixed" && $3 == "student" && $4 == 10 { print $7 }' docs/coverage.csv | sort | head -1)
echo "reproduced: Student's 95 % interval of 10 replications covers at least $worst"
