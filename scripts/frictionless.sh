#!/usr/bin/env bash
# Validates a results folder's tables against its datapackage.json with Frictionless, in a virtual
# environment of its own that is kept for the next time.
#
#   scripts/frictionless.sh RESULTS_FOLDER
#   VENV   where the environment is, target/frictionless when left out
set -euo pipefail
if [ $# != 1 ] || [ ! -f "$1/datapackage.json" ]; then
    echo "usage: scripts/frictionless.sh RESULTS_FOLDER (one with datapackage.json)" >&2
    exit 2
fi
folder=$(realpath "$1")
cd "$(dirname "$0")/.."
venv=${VENV:-${CARGO_TARGET_DIR:-target}/frictionless}
if ! command -v python3 >/dev/null; then
    echo "SKIP (no Python)  frictionless validate"
    exit 0
fi
if [ ! -x "$venv/bin/frictionless" ]; then
    if ! { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check frictionless==5.21.0; } >/dev/null 2>&1; then
        rm -rf "$venv"
        echo "SKIP (frictionless cannot be installed)  frictionless validate"
        exit 0
    fi
fi
# What Frictionless does not ask for: a description for every column, and a unit wherever the name ends in one.
python3 - "$folder" <<'PYTHON'
import json, sys
UNITS = ("_s", "_ms", "_us", "_ns", "_tps", "_bytes", "_mbps", "_txs", "_km", "_per_year")
package = json.load(open(sys.argv[1] + "/datapackage.json"))
columns = [(t["path"], f) for t in package["resources"] for f in t["schema"]["fields"]]
bare = [f"{path}: {f['name']}" for path, f in columns if not f.get("description")]
bare += [f"{path}: {f['name']}" for path, f in columns if f["name"].endswith(UNITS) and not f.get("unit")]
if bare:
    sys.exit("FAIL  columns without a description or unit: " + ", ".join(bare))
units = sum(1 for _, f in columns if f.get("unit"))
print(f"PASS  {len(columns)} columns of {len(package['resources'])} tables are described, {units} have units and the others none")
PYTHON
if "$venv/bin/frictionless" validate "$folder/datapackage.json" >"$venv/report.txt" 2>&1; then
    echo "PASS  frictionless validate $(basename "$folder")"
else
    echo "FAIL  frictionless validate $(basename "$folder")"
    tail -n 30 "$venv/report.txt"
    exit 1
fi
