//! How a difference is told: on screen, as a comment for a pull request, as JSON.

use super::Difference;
use super::moves::{Move, Paired};
use crate::screen::table;
use crate::words;
use serde_json::json;
use std::fmt::Write as _;

/// Lines of words that changed and of lone rows.
// assumption: who needs more reads the JSON.
const WORDS: usize = 12;

fn number(value: Option<f64>) -> String {
    value.map_or_else(
        || "none".to_owned(),
        |v| {
            let text = v.to_string();
            if text.len() > 12 {
                words::exact(v)
            } else {
                text
            }
        },
    )
}

fn signed(value: Option<f64>) -> String {
    value.map_or_else(
        || "-".to_owned(),
        |v| format!("{}{}", if v > 0.0 { "+" } else { "" }, number(Some(v))),
    )
}

fn share(value: Option<f64>) -> String {
    value.map_or_else(
        || "new or gone".to_owned(),
        |v| format!("{:+.3} %", 100.0 * v),
    )
}

fn versions(difference: &Difference) -> String {
    let version = |v: Option<u32>| v.map_or("unknown".to_owned(), |v| v.to_string());
    let [a, b] = difference.versions;
    match (a, b) {
        (a, b) if a == b => format!("model_version {}", version(a)),
        (a, b) => format!("model_version {} -> {}", version(a), version(b)),
    }
}

/// A move as the cells of a line.
fn line(m: &Move) -> Vec<String> {
    vec![
        m.cell.clone(),
        m.metric.clone(),
        number(m.old),
        number(m.new),
        signed(m.absolute()),
        share(m.relative()),
        m.unit.clone(),
        m.file.clone(),
    ]
}

const MOVES: [&str; 8] = [
    "cell", "metric", "old", "new", "move", "relative", "unit", "file",
];

fn paired(p: &Paired) -> Vec<String> {
    let d = &p.difference;
    let interval = match (d.low, d.high) {
        (Some(low), Some(high)) => format!("{} to {}", signed(Some(low)), signed(Some(high))),
        _ => "too few replications".to_owned(),
    };
    let relative = d
        .mean
        .filter(|_| p.means[0] != 0.0)
        .map(|m| m / p.means[0].abs());
    vec![
        p.cell.clone(),
        p.metric.clone(),
        number(Some(p.means[0])),
        number(Some(p.means[1])),
        signed(d.mean),
        interval,
        share(relative),
        p.unit.clone(),
        d.n.to_string(),
    ]
}

const PAIRED: [&str; 9] = [
    "cell",
    "metric",
    "old mean",
    "new mean",
    "difference",
    "interval",
    "relative",
    "unit",
    "pairs",
];

fn limited(most: usize, all: usize) -> usize {
    if most == 0 { all } else { most.min(all) }
}

fn summary(difference: &Difference) -> String {
    let d = difference;
    let all = d.equal + d.differ.len() + d.lone.len();
    if d.is_equal() {
        return format!("{all} of {all} files equal");
    }
    let names: Vec<&str> = d.differ.iter().chain(&d.lone).map(String::as_str).collect();
    format!(
        "{} of {all} files equal; not equal: {}",
        d.equal,
        names.join(", ")
    )
}

fn beyond(difference: &Difference) -> (Vec<&Paired>, String) {
    let all = &difference.moved.paired;
    let beyond: Vec<&Paired> = all.iter().filter(|p| p.is_beyond_noise()).collect();
    let line = format!(
        "{} of {} figures that moved across replications moved beyond chance ({} % intervals of paired differences, \
         corrected for {})",
        beyond.len(),
        all.len(),
        100.0 * difference.confidence,
        all.len()
    );
    (beyond, line)
}

fn meaning(difference: &Difference) -> String {
    let d = difference;
    if d.is_other_model() {
        return format!(
            "results of another model_version; the changelog says:\n  {}",
            d.changelog.join("\n  ")
        );
    }
    if !d.keys.is_empty() {
        let shown: Vec<&str> = d.keys.iter().take(WORDS).map(String::as_str).collect();
        let more = match d.keys.len() - shown.len() {
            0 => String::new(),
            n => format!("; and {n} keys more"),
        };
        return format!("the plans differ: {}{more}", shown.join("; "));
    }
    "the same plan and model_version gave other results: if that is meant, raise MODEL_VERSION, say in the changelog \
     under \"Results changed\" what moved and why, and accept the new baseline with --accept"
        .to_owned()
}

pub(super) fn as_text(difference: &Difference, most: usize, only: bool) -> String {
    let d = difference;
    let [a, b] = &d.paths;
    let mut text = format!("{a} against {b}, {}\n{}\n", versions(d), summary(d));
    if d.is_equal() {
        return text;
    }
    let m = &d.moved;
    if !d.unkept.is_empty() {
        let _ = writeln!(
            text,
            "not kept in the baseline, so that no move can be named: {}",
            d.unkept.join(", ")
        );
    }
    if m.digests > 0 {
        let _ = writeln!(text, "traces of {} units differ (column digest)", m.digests);
    }
    list(&mut text, "rows of one folder only", &m.lone);
    let change = |c: &super::moves::Change| {
        format!(
            "{} {} {}: {:?} -> {:?}",
            c.file, c.cell, c.what, c.old, c.new
        )
    };
    list(
        &mut text,
        "words that changed",
        &m.changes.iter().map(change).collect::<Vec<_>>(),
    );
    if !m.moves.is_empty() {
        let shown = limited(most, m.moves.len());
        let _ = writeln!(
            text,
            "\nmoved: {} numbers; figures before single replications, of each the largest first",
            m.moves.len()
        );
        let head = MOVES.map(str::to_owned).to_vec();
        let rows: Vec<Vec<String>> = std::iter::once(head)
            .chain(m.moves[..shown].iter().map(line))
            .collect();
        table(&mut text, &rows);
        if shown < m.moves.len() {
            let _ = writeln!(
                text,
                "  … and {} more (--most 0 or --json)\n",
                m.moves.len() - shown
            );
        }
    }
    if !m.paired.is_empty() {
        let (beyond, line) = beyond(d);
        let _ = writeln!(text, "{line}");
        let shown = limited(most, beyond.len());
        let head = PAIRED.map(str::to_owned).to_vec();
        let rows: Vec<Vec<String>> = std::iter::once(head)
            .chain(beyond[..shown].iter().map(|p| paired(p)))
            .collect();
        if shown > 0 {
            table(&mut text, &rows);
        }
        if shown < beyond.len() {
            let _ = writeln!(text, "  … and {} more", beyond.len() - shown);
        }
    }
    if only {
        let _ = writeln!(
            text,
            "not looked at because of --only: {} moves",
            m.left_out
        );
    }
    let _ = writeln!(text, "{}", meaning(d));
    text
}

fn list(text: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{title}: {}", lines.len());
    for line in lines.iter().take(WORDS) {
        let _ = writeln!(text, "  {line}");
    }
    if lines.len() > WORDS {
        let _ = writeln!(text, "  … and {} more (--json)", lines.len() - WORDS);
    }
}

pub(super) fn as_markdown(difference: &Difference, most: usize) -> String {
    let d = difference;
    let [a, b] = &d.paths;
    if d.is_equal() {
        return format!(
            "### Simulated results: equal\n\n{} (`{a}` against `{b}`, {}).\n",
            summary(d),
            versions(d)
        );
    }
    let m = &d.moved;
    let title = if d.is_other_model() {
        "of another model_version"
    } else {
        "moved"
    };
    let mut text = format!(
        "### Simulated results: {title}\n\n`{a}` against `{b}`, {}. {}.\n\n{}\n",
        versions(d),
        summary(d),
        meaning(d).replace("\n  ", "\n- ")
    );
    if !m.changes.is_empty() {
        let _ = writeln!(text, "\n| what changed | old | new |\n|---|---|---|");
        for c in m.changes.iter().take(WORDS) {
            let _ = writeln!(
                text,
                "| {} | {} | {} |",
                bar(&format!("{} {}", c.cell, c.what)),
                bar(&c.old),
                bar(&c.new)
            );
        }
    }
    if !m.moves.is_empty() {
        let shown = limited(most, m.moves.len());
        let _ = writeln!(
            text,
            "\n{} numbers moved, the largest first:\n",
            m.moves.len()
        );
        rows(&mut text, &MOVES, m.moves[..shown].iter().map(line));
    }
    if !m.paired.is_empty() {
        let (beyond, line) = beyond(d);
        let _ = writeln!(text, "\n{line}.\n");
        let shown = limited(most, beyond.len());
        if shown > 0 {
            rows(
                &mut text,
                &PAIRED,
                beyond[..shown].iter().map(|p| paired(p)),
            );
        }
    }
    text
}

/// A bar would end a cell of a table.
fn bar(text: &str) -> String {
    text.replace('|', "\\|")
}

fn rows(text: &mut String, head: &[&str], lines: impl Iterator<Item = Vec<String>>) {
    let _ = writeln!(
        text,
        "| {} |\n|{}",
        head.join(" | "),
        "---|".repeat(head.len())
    );
    for line in lines {
        let cells: Vec<String> = line.iter().map(|cell| bar(cell)).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
}

pub(super) fn as_json(difference: &Difference, only: bool) -> String {
    let d = difference;
    let m = &d.moved;
    let moves = m.moves.iter().map(|m| {
        json!({
            "file": m.file, "cell": m.cell, "metric": m.metric, "unit": m.unit,
            "old": m.old, "new": m.new, "absolute": m.absolute(), "relative": m.relative(),
        })
    });
    let changes = m.changes.iter().map(
        |c| json!({ "file": c.file, "cell": c.cell, "what": c.what, "old": c.old, "new": c.new }),
    );
    let paired = m.paired.iter().map(|p| {
        json!({
            "file": p.file, "cell": p.cell, "metric": p.metric, "unit": p.unit,
            "old_mean": p.means[0], "new_mean": p.means[1], "difference": p.difference.mean,
            "ci_low": p.difference.low, "ci_high": p.difference.high, "pairs": p.difference.n,
            "beyond_noise": p.is_beyond_noise(),
        })
    });
    let document = json!({
        "a": d.paths[0],
        "b": d.paths[1],
        "model_versions": d.versions,
        "exit_code": d.code(only),
        "plan_keys": d.keys,
        "files_equal": d.equal,
        "files_differ": d.differ,
        "files_lone": d.lone,
        "digests": m.digests,
        "rows_lone": m.lone,
        "changes": changes.collect::<Vec<_>>(),
        "moves": moves.collect::<Vec<_>>(),
        "paired": paired.collect::<Vec<_>>(),
        "changelog": d.changelog,
    });
    format!("{document:#}\n")
}
