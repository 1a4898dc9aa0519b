//! `quorate explain`: what an engine, metric, scenario, error or exit code is, and how to read it.

pub(crate) mod codes;
mod faults;
mod notes;

use crate::catalogue::{self, Entry, What};
use crate::error::{Error, exit};
use crate::{output, terminal, told};
use codes::CODES;
use faults::FAULTS;
use notes::{NOTES, Note, WORDS};
use quorate_workloads::WorkloadKind;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What is to be explained.
#[derive(clap::Args)]
pub(crate) struct Wanted {
    /// An engine, metric, column, workload, scenario, attack, word of a verdict, exit code, or an error message
    #[arg(required = true, value_name = "NAME")]
    name: Vec<String>,
}

/// Something with everything that can be said of it.
struct Topic {
    kind: &'static str,
    entry: Entry,
}

/// Explains; all that has the name.
///
/// # Errors
/// When nothing has it: what is spelled like it.
pub(crate) fn run(wanted: &Wanted) -> Result<u8, Error> {
    let asked = wanted.name.join(" ");
    let found = find(&asked);
    if found.is_empty() {
        return Err(unknown(&asked));
    }
    let text: String = found.iter().map(text).collect();
    let documents = || {
        let one = |t: &Topic| {
            let mut value = t.entry.json();
            value["kind"] = t.kind.into();
            value
        };
        let all: Vec<Value> = found.iter().map(one).collect();
        json!({ "asked": asked, "topics": all })
    };
    terminal::end(&text, documents, text.trim_end());
    Ok(exit::OK)
}

fn text(topic: &Topic) -> String {
    let Topic { kind, entry } = topic;
    // assumption: lines of more than a hundred letters are hard to read.
    let width = terminal::width().unwrap_or(100).clamp(40, 100);
    let mut text = format!("{} ({kind})\n", entry.name);
    for line in terminal::wrap(&entry.about, width - 2) {
        let _ = writeln!(text, "  {line}");
    }
    let facts = entry.facts.iter().filter(|(what, _)| !what.is_empty());
    let longest = facts.clone().map(|(what, _)| what.chars().count()).max();
    let column = longest.unwrap_or(0).min(24);
    for (what, answer) in facts {
        // Names of classes and presets are the longest.
        let gap = column.max(what.chars().count());
        let lines = terminal::wrap(answer, (width - column - 4).max(20));
        for (i, line) in lines.iter().enumerate() {
            let what = if i == 0 { what.as_str() } else { "" };
            let gap = if i == 0 { gap } else { column };
            let _ = writeln!(text, "  {what:gap$}  {line}");
        }
    }
    if !entry.settings.is_empty() {
        let _ = writeln!(text, "  keys, with what they are when left out:");
        for (key, value) in &entry.settings {
            let _ = writeln!(text, "    {key} = {value}");
        }
    }
    text.push('\n');
    text
}

/// Names are the same whatever stands between their words.
fn plain(name: &str) -> String {
    let same = |c: char| match c {
        '-' | '_' => ' ',
        c => c.to_ascii_lowercase(),
    };
    name.trim().chars().map(same).collect()
}

fn find(asked: &str) -> Vec<Topic> {
    let asked = plain(asked);
    let mut found: Vec<Topic> = all()
        .into_iter()
        .filter(|t| names(t).any(|n| n == asked))
        .collect();
    if found.is_empty() {
        let of = FAULTS.iter().filter(|f| f.is_said_by(&asked));
        found.extend(of.map(|f| topic("error", f.entry())));
    }
    found
}

/// What a topic answers to.
fn names(topic: &Topic) -> impl Iterator<Item = String> + '_ {
    // `dispense_gap (pharma)` and `quorum_final, all_final` are listed so.
    let name = topic.entry.name.split(" (").next().unwrap_or_default();
    name.split(", ").map(plain)
}

fn topic(kind: &'static str, entry: Entry) -> Topic {
    Topic { kind, entry }
}

/// Everything there is.
fn all() -> Vec<Topic> {
    let mut all = Vec::new();
    for what in What::ALL {
        let entries = catalogue::entries(what).into_iter();
        all.extend(entries.map(|entry| topic(kind(what, &entry), noted(what, entry))));
    }
    let columns = output::figures().map(|(column, table)| {
        let unit = if column.unit.is_empty() {
            "a count, or text"
        } else {
            column.unit
        };
        let entry = Entry::new(column.name, sentence(column.description))
            .with("unit", unit)
            .with("where", format!("a column of {table}: one value a replication"))
            .with("source", "definition, see ARCHITECTURE.md, \"The model\"")
            .with("moved by", moved(column.name))
            .with("how to read", "compare engines at the same load; its mean and interval over replications stand in summary.csv")
            .with("related", "quorate explain status, cost, replications");
        topic("column", entry)
    });
    all.extend(columns);
    all.extend(WORDS.iter().map(|w| topic("word", w.entry())));
    all.extend(FAULTS.iter().map(|f| topic("error", f.entry())));
    for code in CODES {
        all.push(topic("exit code", code.entry(code.number.to_string())));
        all.push(topic("exit code", code.entry(code.name)));
        all.push(topic(
            "exit code",
            code.entry(format!("exit {}", code.number)),
        ));
    }
    all
}

fn moved(column: &str) -> &'static str {
    let shared = told::moved_by("cost").unwrap_or_default();
    told::moved_by(column).unwrap_or(shared)
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

/// A plan that asks something is a scenario.
fn kind(what: What, entry: &Entry) -> &'static str {
    let asks = entry.facts.iter().any(|(what, _)| what == "asks");
    if what == What::Plans && asks {
        "scenario"
    } else {
        what.one()
    }
}

/// An entry of the list with what else is to be known: formula, what moves it, how to read it.
fn noted(what: What, mut entry: Entry) -> Entry {
    let name = entry.name.clone();
    let short = name.split(" (").next().unwrap_or_default();
    if let Some(note) = NOTES.iter().find(|n| n.what == what && n.name == short) {
        for (key, answer) in note.facts() {
            if !answer.is_empty() {
                entry = entry.with(key, answer);
            }
        }
        return entry;
    }
    let share = entry.facts.iter().any(|(k, v)| k == "unit" && v == "share");
    match what {
        What::Metrics if share => entry
            .with("formula", "hits / cases, both counted in each replication; mean and interval over replications")
            .with("how to read", "less is better unless the name says otherwise; `no case` means that nothing of the kind happened; \
                 hits and cases stand beside the share")
            .with("related", "domain.csv; a service level: NAME:share<0.1%"),
        What::Metrics => entry
            .with("formula", "length of each case; percentiles in each replication, mean and interval over replications")
            .with("how to read", "`too few` means that the sample does not support the percentile")
            .with("related", "domain.csv; a service level: NAME:p(99)<2s"),
        What::Plans => {
            let read = if entry.facts.is_empty() {
                "`quorate init --from NAME` writes it with comments"
            } else {
                "each engine answers in a sentence; figures have intervals; a level is judged by its interval"
            };
            entry.with("how to read", read).with("related", format!(
                "quorate run {name}; quorate init --from {name}; docs/claims.md"
            ))
        }
        What::Attacks => entry
            .with("how to read", "a success beside its law: `exact` must lie in the interval, `at most` bounds it")
            .with("related", format!("quorate attack {name}")),
        What::Workloads => {
            let kind = WorkloadKind::ALL.iter().find(|k| k.name() == name);
            let measures = kind.map_or(&[][..], |k| told::measures(*k));
            let names: Vec<&str> = measures.iter().map(|m| m.name).collect();
            entry
                .with("formula", "arrivals are drawn class by class, each from a stream of its own; engines see the same ones")
                .with("how to read", "a level names a class: CLASS:final:p(99)<2s")
                .with("related", if names.is_empty() { "its classes' workload".to_owned() } else { format!("measures: {}", names.join(", ")) })
        }
        What::Regions => {
            let list: String = entry.facts.iter().map(|(_, list)| list.as_str()).collect();
            entry
                .with("regions", list)
                .with("unit", "ms one way, between and within regions")
                .with("how to read", "`network.latency_table` names the table, `network.regions` some of its regions")
        }
        What::Engines => entry,
    }
}

/// Nothing has that name: what is spelled like it.
fn unknown(asked: &str) -> Error {
    let wanted = plain(asked);
    let mut near: Vec<(f64, String)> = Vec::new();
    for topic in all() {
        for name in names(&topic) {
            let likeness = strsim::jaro_winkler(&wanted, &name);
            let within = wanted.len() > 2 && name.contains(&wanted);
            // assumption: what is less alike is not what was meant.
            if (likeness > 0.82 || within) && !near.iter().any(|(_, n)| plain(n) == name) {
                let name = topic.entry.name.split(" (").next().unwrap_or_default();
                near.push((likeness, name.to_owned()));
            }
        }
    }
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    near.truncate(5);
    let names: Vec<&str> = near.iter().map(|(_, n)| n.as_str()).collect();
    let hint = match names.as_slice() {
        [] => "`quorate list` shows what has a name; exit codes and messages of errors are explained too".to_owned(),
        [one] => format!("did you mean `{one}`?"),
        many => format!("did you mean one of: {}?", many.join(", ")),
    };
    Error {
        message: format!("explain {asked}: nothing has that name"),
        hint,
        code: exit::USAGE,
    }
}

impl Note {
    fn facts(&self) -> [(&'static str, &'static str); 4] {
        [
            ("formula", self.formula),
            ("moved by", self.moved_by),
            ("how to read", self.read),
            ("related", self.related),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_and_metric_says_how_to_read_it() {
        for what in What::ALL {
            for entry in catalogue::entries(what) {
                let name = entry.name.clone();
                let noted = noted(what, entry);
                let says = |key: &str| noted.facts.iter().any(|(k, v)| k == key && !v.is_empty());
                assert!(says("how to read"), "{name} does not say how to read it");
                if what == What::Metrics || what == What::Engines {
                    for key in ["formula", "source", "moved by", "related"] {
                        assert!(says(key), "{name} has no {key}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_note_is_about_something() {
        for note in NOTES {
            let entries = catalogue::entries(note.what);
            let has = entries
                .iter()
                .any(|e| e.name.split(" (").next() == Some(note.name));
            assert!(has, "nothing is called {}", note.name);
        }
    }

    #[test]
    fn names_are_found_however_they_are_written() {
        for (asked, kind) in [
            ("qbft", "engine"),
            ("consent-storm", "scenario"),
            ("final", "metric"),
            ("all_final", "metric"),
            ("78", "exit code"),
            ("exit 78", "exit code"),
            ("goodput_tps", "column"),
            ("margin", "word"),
            ("not-steady", "word"),
            ("hospital", "workload"),
            ("cloning", "attack"),
        ] {
            let found = find(asked);
            assert!(found.iter().any(|t| t.kind == kind), "{asked} is no {kind}");
        }
    }

    #[test]
    fn a_message_finds_its_error() {
        let message = "error: plan.toml:4: unknown field `replikations`, expected one of `name`";
        let found = find(message);
        assert_eq!(found[0].kind, "error");
        assert_eq!(found[0].entry.name, "unknown-key");
    }

    #[test]
    fn a_slip_is_answered_with_what_was_meant() {
        let error = unknown("qbtf");
        assert!(error.hint.contains("qbft"), "{error}");
        assert_eq!(error.code, exit::USAGE);
        assert!(unknown("xyzzy").hint.contains("quorate list"));
    }
}
