#!/usr/bin/env python3
"""Writes the figures of README.md and docs/*.md from committed results, each with the checksum of its table.

  scripts/figures.py            write
  scripts/figures.py --check    fail where a page differs from its table, or a table from its SHA256SUMS
"""
import csv
import hashlib
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "results/reference"


def rows(path):
    """The rows of a committed table, whose checksum must be the folder's."""
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    sums = dict(reversed(line.split("  ", 1)) for line in (path.parent / "SHA256SUMS").read_text().splitlines())
    if sums.get(path.name) != digest:
        sys.exit(f"{path}: not the file that SHA256SUMS names")
    return list(csv.DictReader(data.decode().splitlines())), digest


def table(head, lines):
    text = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for line in lines:
        text.append("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |")
    return "\n".join(text)


def number(text, digits=3):
    return f"{float(text):.{digits}g}" if text else "-"


def verdict_hospital(verdict, columns=None):
    """Each engine by its worst row, as on the screen: fails, undecided, holds; then the smallest margin."""
    order = ["fails", "undecided", "holds", "n/a"]
    wanted = [r for r in verdict if r["workload"] == "hospital" and r["profile"] == "deployed"]
    lines = []
    for engine in dict.fromkeys(r["engine"] for r in wanted):
        of = [r for r in wanted if r["engine"] == engine]
        worst = min(of, key=lambda r: order.index(r["answer"]))["answer"]
        met = sum(r["answer"] == "holds" for r in of)
        # A share that holds cannot do so by much: its margin says nothing.
        is_share = lambda r: r["level"].split("<")[0].split(">")[0].endswith((":rate", ":share"))
        deciding = [r for r in of if r["answer"] == worst and not (worst == "holds" and is_share(r))]
        margin = lambda r: float(r["margin"]) if r["margin"] else 0.0
        by = min(deciding, key=margin)
        lines.append([f"`{engine}`", worst, f"{met} of {len(of)}", f"`{by['level']}`", by["situation"], f"{number(by['margin'])}×" if by["margin"] else by["reason"].split(";")[0], by["reason"]])
    head = ["engine", "answer", "rows that hold", "decided by", "sites", "margin", "because"]
    kept = [head.index(column) for column in columns or head]
    return table([head[i] for i in kept], [[line[i] for i in kept] for line in lines])


def verdict_short(verdict):
    return verdict_hospital(verdict, ["engine", "answer", "decided by", "sites", "margin"])


def validation_counts(known):
    """Real systems first: laws are easier."""
    kinds = {"system": "figures of real systems and of other simulators", "law": "laws", "arithmetic": "sums of the literature"}
    lines = []
    for kind, what in kinds.items():
        judged = [r for r in known if r["kind"] == kind and r["verdict"] != "context"]
        lines.append([what, f"{sum(r['verdict'] == 'pass' for r in judged)} of {len(judged)}"])
    return table(["known numbers", "inside their bands"], lines)


def validation(known):
    lines = []
    for protocol in sorted({r["protocol"] for r in known}):
        of = [r for r in known if r["protocol"] == protocol]

        def share(kinds):
            judged = [r for r in of if r["kind"] in kinds and r["verdict"] != "context"]
            held = sum(r["verdict"] == "pass" for r in judged)
            return f"{held} of {len(judged)}" if judged else "none"

        context = sum(r["verdict"] == "context" for r in of)
        lines.append([protocol, share({"law", "arithmetic"}), share({"system"}), str(context)])
    return table(["protocol", "laws and sums that hold", "published figures met", "context rows"], lines)


def misses(known):
    lines = []
    for r in known:
        if r["verdict"] == "miss":
            band = f"{number(r['lower'])} to {number(r['upper'])}"
            lines.append([f"`{r['id']}`", r["protocol"], r["quantity"], band, number(r["got"]), r["note"] or "not explained"])
    return table(["row", "protocol", "what", "band", "here", "why"], lines)


FIGURES = {
    "verdict-hospital": (REFERENCE / "compare/verdict.csv", verdict_hospital),
    "verdict-short": (REFERENCE / "compare/verdict.csv", verdict_short),
    "validation-counts": (REFERENCE / "validation/validation.csv", validation_counts),
    "validation": (REFERENCE / "validation/validation.csv", validation),
    "misses": (REFERENCE / "validation/validation.csv", misses),
}
MARKER = re.compile(r"<!-- figures: ([a-z-]+)[^>]*-->\n.*?<!-- end -->", re.S)


def filled(match):
    path, make = FIGURES[match[1]]
    lines, digest = rows(path)
    origin = f"<!-- figures: {match[1]}, from {path.relative_to(ROOT)}, sha256 {digest} -->"
    return f"{origin}\n{make(lines)}\n<!-- end -->"


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    moved, count = [], 0
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = page.read_text()
        count += len(MARKER.findall(text))
        new = MARKER.sub(filled, text)
        if new != text:
            moved.append(page.name)
            if not check:
                page.write_text(new)
    if check and moved:
        sys.exit(f"differs from the committed results: {', '.join(moved)}; run scripts/figures.py")
    print(f"{count} figures {'equal' if check else 'written, changed in: ' + (', '.join(moved) or 'none')}")


main()
