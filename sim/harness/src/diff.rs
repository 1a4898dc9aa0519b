//! `quorate diff A B`: what moved between two results folders. A simulator has no noise of its own: the same
//! plan gives the same bytes, so the gate is equality. What is not equal is named by cell, metric and size,
//! the largest first; then paired intervals across replications say which moves are more than chance.

mod accept;
mod moves;
mod tell;

use crate::error::{Error, exit};
use crate::saved::Saved;
use crate::terminal;
use moves::Moved;
use std::path::PathBuf;

/// What is compared, and how it is told.
#[derive(clap::Args)]
pub(crate) struct Wanted {
    /// The baseline: a results folder, of which a part may be kept only
    a: PathBuf,
    /// What is held against it: a results folder
    b: PathBuf,
    /// Print a comment for a pull request
    #[arg(long)]
    markdown: bool,
    /// Make B the baseline: after what moved is printed, A is replaced, whole or not at all
    #[arg(long)]
    accept: bool,
    /// Look only at moves whose line is like this, such as `*qbft*latency_final*` or `replications.csv*`
    #[arg(long, value_name = "GLOB")]
    only: Option<String>,
    /// Compare results of different plans, cell by cell where both have one
    #[arg(long)]
    across_plans: bool,
    /// Print so many moves; 0 for all of them
    #[arg(long, value_name = "N", default_value_t = 20)]
    most: usize,
}

/// What a comparison came to.
struct Difference {
    /// The folders.
    paths: [String; 2],
    /// The versions that made them; `None` where the plan is not kept.
    versions: [Option<u32>; 2],
    /// Keys of the plans that differ, each with both values.
    keys: Vec<String>,
    /// How many deterministic files are equal.
    equal: usize,
    /// Files whose bytes differ.
    differ: Vec<String>,
    /// Files of one folder only.
    lone: Vec<String>,
    /// Files that differ but are not kept on one side, so that nothing more can be said of them.
    unkept: Vec<String>,
    /// What moved inside the tables.
    moved: Moved,
    /// What the changelog says of the versions between.
    changelog: Vec<String>,
    /// The confidence of the paired intervals before the correction.
    confidence: f64,
}

impl Difference {
    fn is_equal(&self) -> bool {
        self.differ.is_empty() && self.lone.is_empty()
    }

    fn is_other_model(&self) -> bool {
        matches!(self.versions, [Some(a), Some(b)] if a != b)
    }

    /// The exit code; under `--only` what is not looked at moves nothing.
    fn code(&self, only: bool) -> u8 {
        if self.is_equal() || only && self.moved.is_empty() {
            exit::OK
        } else if self.is_other_model() {
            exit::MODEL
        } else {
            exit::MOVED
        }
    }
}

/// Compares; what to print, and the exit code.
pub(crate) fn run(wanted: &Wanted) -> Result<(String, u8), Error> {
    let b = Saved::whole(&wanted.b)?;
    if wanted.accept && !wanted.a.exists() {
        let line = accept::replace(&wanted.a, &b)?;
        return Ok((line, exit::OK));
    }
    let a = Saved::open(&wanted.a)?;
    let difference = compare(wanted, &a, &b)?;
    if !difference.keys.is_empty() && !wanted.across_plans {
        return Err(other_plan(&difference));
    }
    let mut text = if terminal::manner().json {
        tell::as_json(&difference, wanted.only.is_some())
    } else if wanted.markdown {
        tell::as_markdown(&difference, wanted.most)
    } else {
        tell::as_text(&difference, wanted.most, wanted.only.is_some())
    };
    if !wanted.accept {
        return Ok((text, difference.code(wanted.only.is_some())));
    }
    if !difference.is_equal() {
        let line = accept::replace_saved(&a, &b)?;
        if !terminal::manner().json {
            text.push_str(&line);
        }
    }
    Ok((text, exit::OK))
}

fn compare(wanted: &Wanted, a: &Saved, b: &Saved) -> Result<Difference, Error> {
    let plans = (a.plan()?, b.plan()?);
    let keys = match &plans {
        (Some(a), Some(b)) => keys_that_differ(a, b),
        _ => Vec::new(),
    };
    let has = |saved: &Saved, file: &str| saved.sums.contains_key(file);
    let both = || a.sums.iter().filter(|(file, _)| has(b, file));
    let differ: Vec<String> = both()
        .filter(|(file, sum)| b.sums[*file] != **sum)
        .map(|(file, _)| file.clone())
        .collect();
    let only_a = a
        .sums
        .keys()
        .filter(|f| !has(b, f))
        .map(|f| format!("{f} (only in the baseline)"));
    let only_b = b
        .sums
        .keys()
        .filter(|f| !has(a, f))
        .map(|f| format!("{f} (new)"));
    let unkept = differ.iter().filter(|f| !a.has(f)).cloned().collect();
    let versions = [a.model_version()?, b.model_version()?];
    let confidence = plans
        .1
        .as_ref()
        .and_then(|p| p.get("confidence")?.as_float());
    let confidence = confidence.unwrap_or(0.95);
    let mut moved = Moved::between(a, b, &differ, confidence)?;
    if let Some(glob) = &wanted.only {
        moved.keep(glob);
    }
    let shown = |saved: &Saved| saved.path.display().to_string();
    Ok(Difference {
        paths: [shown(a), shown(b)],
        versions,
        keys,
        equal: both().count() - differ.len(),
        lone: only_a.chain(only_b).collect(),
        unkept,
        moved,
        differ,
        changelog: match versions {
            [Some(a), Some(b)] if a != b => changelog(CHANGELOG, a, b),
            _ => Vec::new(),
        },
        confidence,
    })
}

fn other_plan(difference: &Difference) -> Error {
    const SHOWN: usize = 12;
    let keys = &difference.keys;
    let mut list = keys
        .iter()
        .take(SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n  ");
    if keys.len() > SHOWN {
        list = format!("{list}\n  … and {} more", keys.len() - SHOWN);
    }
    let [a, b] = &difference.paths;
    let message = format!("{a} and {b} are results of different plans:\n  {list}");
    let hint = "compare results of one plan, or say --across-plans";
    Error::data(message, hint)
}

/// Keys of two plans that differ, with both values. The name only names folders.
fn keys_that_differ(a: &toml::Table, b: &toml::Table) -> Vec<String> {
    let flat = |table: &toml::Table| {
        let mut keys = Vec::new();
        flatten("", &toml::Value::Table(table.clone()), &mut keys);
        keys.into_iter()
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let (a, b) = (flat(a), flat(b));
    let all: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let shown = |side: Option<&String>| side.map_or("not set", String::as_str).to_owned();
    all.into_iter()
        .filter(|key| *key != "name" && a.get(*key) != b.get(*key))
        .map(|key| format!("{key}: {} -> {}", shown(a.get(key)), shown(b.get(key))))
        .collect()
}

fn flatten(path: &str, value: &toml::Value, keys: &mut Vec<(String, String)>) {
    let under = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                flatten(&under(key), value, keys);
            }
        }
        toml::Value::Array(list) if list.iter().any(toml::Value::is_table) => {
            for (i, value) in list.iter().enumerate() {
                flatten(&under(&i.to_string()), value, keys);
            }
        }
        value => keys.push((path.to_owned(), value.to_string())),
    }
}

const CHANGELOG: &str = include_str!("../../../CHANGELOG.md");

/// What the changelog says of the versions after the smaller one, up to the larger: items of lists and
/// paragraphs that name them.
fn changelog(text: &str, a: u32, b: u32) -> Vec<String> {
    let versions = a.min(b) + 1..=a.max(b);
    let entries = entries(text);
    let of = |version: u32| {
        let named = entries.iter().filter(|e| names(e, version)).cloned();
        let found: Vec<String> = named.collect();
        if found.is_empty() {
            let missing = format!(
                "model_version {version}: the changelog that this program was built with does not say"
            );
            return vec![missing];
        }
        found
    };
    versions.flat_map(of).collect()
}

/// Items and paragraphs, each on one line.
fn entries(text: &str) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in text.lines() {
        let plain = line.trim();
        let is_item = plain.starts_with("- ") || plain.starts_with("* ");
        if plain.is_empty() || plain.starts_with('#') {
            is_open = false;
        } else if is_open && !is_item {
            let entry = entries.last_mut().expect("one is open");
            entry.push(' ');
            entry.push_str(plain);
        } else {
            entries.push(plain.trim_start_matches(['-', '*', ' ']).to_owned());
            is_open = true;
        }
    }
    entries
}

/// Whether an entry names a version: `model_version` 5, or model version 5.
fn names(entry: &str, version: u32) -> bool {
    let plain = entry
        .to_ascii_lowercase()
        .replace(['`', '*', '='], " ")
        .replace('_', " ");
    let words: Vec<&str> = plain.split_whitespace().collect();
    let is =
        |word: &str| word.trim_end_matches(|c: char| !c.is_ascii_digit()) == version.to_string();
    words
        .windows(3)
        .any(|w| w[0].ends_with("model") && w[1] == "version" && is(w[2]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_changelog_is_searched_by_version() {
        let text = "# Changelog\n\n## Unreleased\n\n### Results changed\n\n\
            - `model_version` 5: reads are\n  served later.\n- model_version = 15: other.\n\n\
            Since model_version 6, all is new.\n";
        let found = changelog(text, 4, 6);
        assert_eq!(
            found,
            [
                "`model_version` 5: reads are served later.",
                "Since model_version 6, all is new."
            ]
        );
        assert_eq!(changelog(text, 6, 4), found);
        assert!(changelog(text, 6, 7)[0].contains("does not say"));
    }

    #[test]
    fn keys_are_named_by_path() {
        let table = |text: &str| toml::from_str::<toml::Table>(text).expect("TOML");
        let a = table(
            "name = \"a\"\nseed = 1\n[[engines]]\nname = \"qbft\"\n[load]\noffered_tps = [1.0]\n",
        );
        let b = table(
            "name = \"b\"\nseed = 2\n[[engines]]\nname = \"raft\"\n[load]\noffered_tps = [1.0]\n",
        );
        assert_eq!(
            keys_that_differ(&a, &b),
            ["engines.0.name: \"qbft\" -> \"raft\"", "seed: 1 -> 2"]
        );
    }
}
