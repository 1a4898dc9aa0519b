#!/usr/bin/env bash
# Holds the simulator against figures of real systems and of other simulators: got against band, and
# why it misses where it does.
#
#   scripts/published.sh [FOLDER] [OPTION...]    about ten minutes on two cores
#
# Fails when a row misses its band and does not say why. FOLDER gets the table and the page
# (results/published when left out); further options go to `quorate validate`, such as
# --id 'PB-SIM-*'. To vary a cause, write rows of your own: --cases FILE.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-results/published}
shift || true
mkdir -p "$(dirname "$out")"
cargo run --locked --release --quiet -p quorate -- validate --tier C --full --out "$out" "$@" |
    tee "$out.txt"
if grep -q "not explained$" "$out.txt"; then
    echo "rows miss their bands and do not say why" >&2
    exit 1
fi
