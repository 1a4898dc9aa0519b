//! README and docs are true: their commands are understood, the quick ones run, their links lead somewhere, and
//! their figures are those of the committed results.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn pages() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("docs")).expect("docs is there");
    let files = entries.map(|e| e.expect("readable").path());
    let is_page = |f: &PathBuf| f.extension().is_some_and(|e| e == "md");
    let mut pages: Vec<PathBuf> = files.filter(is_page).collect();
    pages.push(root().join("README.md"));
    pages.sort();
    pages
}

/// The commands of a page: lines of its blocks marked `sh` that call quorate, without what comes after `#`.
fn commands(page: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(page).expect("readable");
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line.starts_with("```sh") && !inside;
            continue;
        }
        let line = line.split(" #").next().unwrap_or_default().trim();
        let call = line
            .strip_prefix("quorate ")
            .or_else(|| line.strip_prefix("cargo run --release -- "));
        if let Some(call) = call.filter(|_| inside) {
            found.push(words(call));
        }
    }
    found
}

/// Words as a shell splits them; single quotes hold one together.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().expect("one is there").push(c),
        }
    }
    words.retain(|w| !w.is_empty());
    words
}

fn quorate(args: &[String], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(args)
        .current_dir(folder)
        .output()
        .expect("the binary runs")
}

/// Those that take no time.
const QUICK: [&str; 7] = [
    "explain",
    "list",
    "doctor",
    "completions",
    "man",
    "init",
    "help",
];

#[test]
fn commands_are_understood_and_quick_ones_run() {
    let mut count = 0;
    for page in pages() {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        for args in commands(&page) {
            count += 1;
            let shown = format!("{}: quorate {}", page.display(), args.join(" "));
            if QUICK.contains(&args[0].as_str()) {
                let output = quorate(&args, scratch.path());
                let error = String::from_utf8_lossy(&output.stderr);
                assert_eq!(output.status.code(), Some(0), "{shown}: {error}");
                assert!(!output.stdout.is_empty(), "{shown} says nothing");
                continue;
            }
            // Options are read before the help is asked for.
            let asked = [&args[..], &["--help".to_owned()]].concat();
            let output = quorate(&asked, scratch.path());
            let error = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{shown}: {error}");
        }
    }
    assert!(count > 30, "only {count} commands were found");
}

#[test]
fn links_lead_somewhere() {
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("readable");
        let folder = page.parent().expect("a folder");
        for link in text.split("](").skip(1) {
            let target = link.split(')').next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            assert!(
                folder.join(file).exists(),
                "{}: {target} is not there",
                page.display()
            );
        }
    }
}

/// The checksum beside each figure is that of the committed table.
#[test]
fn figures_are_those_of_committed_results() {
    let mut count = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("readable");
        for marker in text.split("<!-- figures: ").skip(1) {
            let marker = marker.split(" -->").next().unwrap_or_default();
            let parts: Vec<&str> = marker.split(", ").collect();
            let [_, from, sum] = parts.as_slice() else {
                panic!("{}: {marker}: run scripts/figures.py", page.display());
            };
            let table = root().join(from.trim_start_matches("from "));
            let bytes = std::fs::read(&table).expect("the table is committed");
            let digest = quorate::results::sha256_hex(&bytes);
            let stale = format!("{}: {marker}: run scripts/figures.py", page.display());
            assert_eq!(sum.trim_start_matches("sha256 "), digest, "{stale}");
            count += 1;
        }
    }
    assert!(count >= 3, "only {count} figures were found");
}

#[test]
fn shells_split_words_so() {
    assert_eq!(
        words("run a.toml  -s 'x = 1'"),
        ["run", "a.toml", "-s", "x = 1"]
    );
}
