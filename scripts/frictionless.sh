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
    if ! { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check frictionless==5.18.1; } >/dev/null 2>&1; then
        rm -rf "$venv"
        echo "SKIP (frictionless cannot be installed)  frictionless validate"
        exit 0
    fi
fi
# What Frictionless does not ask for: a description for every column, and a unit, or none by name.
python3 - "$folder" <<'PYTHON'
import json, sys
package = json.load(open(sys.argv[1] + "/datapackage.json"))
bare = [
    f"{table['path']}: {field['name']}"
    for table in package["resources"]
    for field in table.get("schema", {}).get("fields", [])
    if not field.get("description") or "unit" not in field
]
if bare:
    sys.exit("FAIL  columns without unit or description: " + ", ".join(bare))
fields = sum(len(t.get("schema", {}).get("fields", [])) for t in package["resources"])
print(f"PASS  every one of {fields} columns of {len(package['resources'])} tables has a unit and a description")
PYTHON
if "$venv/bin/frictionless" validate "$folder/datapackage.json" >"$venv/report.txt" 2>&1; then
    echo "PASS  frictionless validate $(basename "$folder")"
else
    echo "FAIL  frictionless validate $(basename "$folder")"
    tail -n 30 "$venv/report.txt"
    exit 1
fi
