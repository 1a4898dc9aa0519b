#!/usr/bin/env bash
# Opens a report in headless Chromium and checks what only a browser can: no errors on the console, no
# request beyond the file, toggles and downloads that work, names, headings, contrast. Screenshots (light,
# dark, print, narrow, grey) are written for a person to look at.
#
#   scripts/browser.sh [REPORT.html] [FOLDER-FOR-SCREENSHOTS]
#
# One line a check: PASS, FAIL or SKIP (reason), with its figure. Exit code 0 unless something fails.
set -euo pipefail
cd "$(dirname "$0")/.."

page=${1:-results/reference/compare/report.html}
shots=${2:-target/browser}

skip() {
  echo "SKIP browser ($1)"
  exit 0
}

[ -f "$page" ] || { echo "FAIL browser (no file $page)"; exit 66; }

find_chromium() { command -v chromium || command -v chromium-browser || command -v google-chrome || true; }

# Where it is missing and can be had, it is installed.
chromium=$(find_chromium)
if [ -z "$chromium" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  { apt-get update && apt-get install -y --no-install-recommends chromium; } >/dev/null 2>&1 || true
  chromium=$(find_chromium)
fi
[ -n "$chromium" ] || skip "no Chromium, and none can be installed here"
if ! command -v node >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get install -y --no-install-recommends nodejs >/dev/null 2>&1 || true
fi
command -v node >/dev/null || skip "no node, and none can be installed here"

mkdir -p "$shots"
exec timeout 300 node scripts/browser.mjs "$chromium" "$(realpath "$page")" "$(realpath "$shots")"
