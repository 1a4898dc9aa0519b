#!/usr/bin/env bash
# Holds the simulator against all closed forms and published figures and writes the reference page.
#
#   scripts/validate.sh [OPTION...]    options go to `quorate validate`, such as --full
#
# Exit code 0 when every law holds (tier A), 21 when one does not.
set -euo pipefail
cd "$(dirname "$0")/.."
exec cargo run --locked --release --quiet -p quorate -- validate "$@"
