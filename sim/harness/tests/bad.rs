//! A corpus of bad plans and inputs. Each ends with file, line and key or column, the line itself with carets
//! under the place, a hint, and its exit code; the whole message is a snapshot.

use std::path::{Path, PathBuf};
use std::process::Command;

fn corpus(ending: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let entries = std::fs::read_dir(folder).expect("the corpus is there");
    let files = entries.map(|e| e.expect("readable").path());
    let mut files: Vec<PathBuf> = files
        .filter(|f| f.extension().is_some_and(|e| e == ending))
        .collect();
    files.sort();
    files
}

/// What the command says of a file, called beside it; nothing may be left behind.
fn complaint(file: &Path, command: &str) -> (i32, String) {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let name = file.file_name().expect("a file").to_str().expect("UTF-8");
    std::fs::copy(file, scratch.path().join(name)).expect("copied");
    let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args([command, name])
        .current_dir(scratch.path())
        .output()
        .expect("the binary runs");
    assert!(output.stdout.is_empty(), "{name}: something is on stdout");
    let left = |name: std::ffi::OsString| name == "arrivals.csv" || name == "import.csv";
    let mut entries = std::fs::read_dir(scratch.path()).expect("readable");
    let is_left = entries.any(|e| left(e.expect("readable").file_name()));
    assert!(!is_left, "{name}: something is left behind");
    let code = output.status.code().expect("not killed");
    (code, String::from_utf8(output.stderr).expect("UTF-8"))
}

/// Whether a line of the message is an excerpt of the file, with carets below.
fn shows_the_line(text: &str, file: &Path) -> bool {
    let bad = std::fs::read_to_string(file).expect("readable");
    let shown: Vec<&str> = text.lines().collect();
    shown.windows(2).any(|pair| {
        let Some((number, line)) = pair[0].split_once(" | ") else {
            return false;
        };
        let number: Option<usize> = number.trim().parse().ok();
        let there = number.and_then(|n| bad.lines().nth(n - 1)).unwrap_or("");
        number.is_some() && there.trim_end() == line.trim_end() && pair[1].contains('^')
    })
}

fn check(file: &Path, command: &str, expected: i32) {
    let name = file.file_name().and_then(|n| n.to_str()).expect("UTF-8");
    let (code, text) = complaint(file, command);
    assert_eq!(code, expected, "{name}: {text}");
    assert!(
        text.starts_with(&format!("error: {name}")),
        "{name} is not named: {text}"
    );
    assert!(text.contains("\n\nhint: "), "{name}: no hint: {text}");
    assert!(
        shows_the_line(&text, file),
        "{name}: the line is not shown: {text}"
    );
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("bad/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, format!("exit {code}\n{text}")));
}

#[test]
fn plans() {
    let files = corpus("toml");
    for file in &files {
        check(file, "run", 78);
    }
    assert!(
        files.len() >= 40,
        "the corpus has only {} plans",
        files.len()
    );
}

#[test]
fn inputs() {
    for ending in ["csv", "json"] {
        for file in corpus(ending) {
            check(&file, "import", 65);
        }
    }
}
