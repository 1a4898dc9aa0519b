# What the acceptance scripts share; sourced from the root of the repository.
export CARGO_TERM_COLOR=never RUST_BACKTRACE=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
target=${CARGO_TARGET_DIR:-$PWD/target}
quorate=$target/release/quorate
failed=0
pass() { printf 'PASS  %s\n' "$*"; }
fail() { printf 'FAIL  %s\n' "$*"; failed=1; }
skip() { printf 'SKIP (%s)  %s\n' "$1" "$2"; }
only() { find "$1" -mindepth 1 -maxdepth 1 -type d | head -n 1; }
seconds() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(seconds)" 'BEGIN { printf "%.1f", b - a }'; }
at_most() { awk -v t="$1" -v m="$2" 'BEGIN { exit !(t <= m) }'; }
column() { # file, name: the values of a column
    python3 -c 'import csv, sys
for row in csv.DictReader(open(sys.argv[1], newline="")): print(row[sys.argv[2]])' "$1" "$2"
}
tests() { # what, arguments of cargo test
    local what=$1 line
    shift
    if [ "${TESTS:-1}" = 0 ]; then skip "TESTS=0" "$what"; return; fi
    line=$(cargo test --locked --quiet "$@" 2>&1 | awk '/^test result/ { p += $4; f += $6 } END { print p " passed, " f + 0 " failed" }')
    if [[ $line == *", 0 failed" && $line != "0 "* && $line != " passed"* ]]; then pass "$what: $line"; else fail "$what: $line"; fi
}
cargo build --release --locked --quiet || { fail "cargo build --release"; exit 1; }
