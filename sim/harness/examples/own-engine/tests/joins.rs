//! The engine joins the program: it is listed, compared, and carries on without a member.

use std::path::PathBuf;
use std::process::Command;

fn quorate(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_own-engine"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("the program runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn it_is_listed_after_the_others() {
    let text = quorate(&["list", "engines"]);
    let names: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(names.contains(&"qbft"), "{names:?}");
    assert_eq!(names.last(), Some(&"turn"));
    assert!(text.contains("patience_ms = 500"));
}

/// Seven members at one second: a block is final once three others have built on it, half a second
/// and three periods after submission in the mean; a member that is down delays that.
#[test]
fn it_is_compared_with_the_others() {
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("results");
    let _ = std::fs::remove_dir_all(&out);
    let text = quorate(&[
        "compare",
        "plan.toml",
        "--out",
        out.to_str().expect("UTF-8"),
    ]);
    assert!(text.contains("turn"), "{text}");
    let folder = std::fs::read_dir(&out)
        .expect("a result")
        .next()
        .expect("one")
        .expect("readable");
    let rows = std::fs::read_to_string(folder.path().join("summary.csv")).expect("a table");
    let value = |engine: &str, metric: &str, stat: &str| -> f64 {
        let row = rows.lines().find(|row| {
            let cells: Vec<&str> = row.split(',').collect();
            cells.contains(&engine)
                && cells.contains(&"as planned")
                && cells.contains(&"50")
                && row.contains(&format!(",all,{metric},{stat},"))
        });
        let row = row.unwrap_or_else(|| panic!("no {metric} of {engine} in {rows}"));
        let after = row
            .split(&format!(",{metric},{stat},"))
            .nth(1)
            .expect("a value");
        after
            .split(',')
            .next()
            .expect("a value")
            .parse()
            .expect("a number")
    };
    let (turn, qbft) = (
        value("turn", "latency_final", "p50"),
        value("qbft", "latency_final", "p50"),
    );
    assert!((3_400.0..4_000.0).contains(&turn), "{turn} ms");
    assert!(qbft < 1_000.0, "{qbft} ms");
    assert!(value("turn", "goodput_share", "rate") > 0.99);
    let svg = std::fs::read_to_string(folder.path().join("plots/load.svg")).expect("a figure");
    assert!(
        svg.contains(">\nturn\n") || svg.contains("turn"),
        "it has a label"
    );
}
