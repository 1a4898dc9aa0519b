//! Same plan, same bytes: for any number of threads, and as committed.
//!
//! `scripts/accept/01.sh` compares debug and release builds as well.

use std::path::{Path, PathBuf};
use std::process::Command;

fn run(out: &Path, threads: &str, more: &[&str]) -> PathBuf {
    let plan = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden.toml");
    let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(["run", plan.to_str().expect("UTF-8"), "--threads", threads])
        .args(["--out", out.to_str().expect("UTF-8")])
        .args(more)
        .output()
        .expect("the binary runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut folders = std::fs::read_dir(out)
        .expect("readable")
        .map(|e| e.expect("readable").path());
    let folder = folders.next().expect("one result");
    assert!(folders.next().is_none(), "one result");
    folder
}

fn sums(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("SHA256SUMS")).expect("every result has checksums")
}

#[test]
fn threads_change_no_byte_and_the_seed_changes_many() {
    let scratch = || tempfile::tempdir().expect("a temporary folder");
    let (a, b, c) = (scratch(), scratch(), scratch());
    let one = run(a.path(), "1", &[]);
    let two = run(b.path(), "2", &[]);
    assert_eq!(sums(&one), sums(&two));
    assert_eq!(one.file_name(), two.file_name());
    assert_eq!(
        quorate::results::verify(&one).expect("checksums hold"),
        sums(&one).lines().count()
    );
    let other = run(c.path(), "2", &["-s", "seed=2"]);
    assert_ne!(sums(&one), sums(&other));
}

/// The traces themselves. When this snapshot changes, results change: raise `MODEL_VERSION` and say
/// in the changelog which results moved and why.
#[test]
fn golden_digests() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let folder = run(out.path(), "2", &[]);
    let mut table = csv::Reader::from_path(folder.join("replications.csv")).expect("a table");
    let headers = table.headers().expect("a header").clone();
    let place = |name: &str| {
        headers
            .iter()
            .position(|h| h == name)
            .expect("the column exists")
    };
    let wanted = [
        "engine",
        "offered_tps",
        "replication",
        "status",
        "height",
        "valid",
        "digest",
    ];
    let places = wanted.map(place);
    let mut text = format!(
        "model version {}\n{}\n",
        quorate::output::MODEL_VERSION,
        wanted.join(" ")
    );
    for row in table.records() {
        let row = row.expect("a row");
        let cells: Vec<&str> = places.iter().map(|&p| &row[p]).collect();
        text.push_str(&cells.join(" "));
        text.push('\n');
    }
    insta::assert_snapshot!(text);
}
