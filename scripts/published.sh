#!/usr/bin/env bash
# Holds the validation presets against published figures and prints the table: got against band.
#
#   scripts/published.sh [FILE]    about ten minutes on two cores; FILE gets the table as CSV
#
# PUBLISHED_ROWS=PB-SIM runs only rows with that in their names; PUBLISHED_SET="key=value;…" adds
# overrides, to vary a cause; PUBLISHED_BLOCKS=200 shortens every run.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -gt 0 ]; then
    PUBLISHED_OUT=$(realpath "$1")
    export PUBLISHED_OUT
fi
cargo test --locked --quiet -p quorate --test published -- --ignored --nocapture --exact table
