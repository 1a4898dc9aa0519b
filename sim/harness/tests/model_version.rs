//! Results that move raise the model version: the golden digests are those that its last raise recorded.

use quorate::output::{GOLDEN, MODEL_VERSION};
use quorate::results::sha256_hex;
use std::path::Path;

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Of the golden plan and its digests, whatever the version and the tool that wrote them.
fn checksum() -> String {
    let digests = read("tests/snapshots/determinism__golden_digests.snap");
    let (_, rows) = digests
        .split_once("engine offered_tps")
        .expect("the snapshot has a header");
    sha256_hex(format!("{}{rows}", read("tests/golden.toml")).as_bytes())
}

#[test]
fn golden_digests_move_with_the_model_version_alone() {
    let &(version, recorded) = GOLDEN.last().expect("there is one");
    let now = checksum();
    assert_eq!(
        now,
        recorded,
        "\n\nThe golden digests, or their plan, are not those of model version {version}: results have moved.\n\
         1. Raise MODEL_VERSION in src/output.rs to {}, unless this branch has done so.\n\
         2. Add ({}, \"{now}\") to GOLDEN beside it; change no entry that was released.\n\
         3. Say in CHANGELOG.md under \"Results changed\" which results moved, by how much and why.\n",
        version + 1,
        version + 1,
    );
    assert!(
        version <= MODEL_VERSION,
        "GOLDEN knows version {version}, MODEL_VERSION is {MODEL_VERSION}"
    );
}

/// Every raise has its own checksum, in order.
#[test]
fn the_record_is_only_added_to() {
    let in_order = GOLDEN
        .windows(2)
        .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1);
    assert!(in_order, "{GOLDEN:?}");
}

/// A reader of results of this version finds what became of those of the one before.
#[test]
fn the_changelog_tells_of_the_version() {
    let log = read("../../CHANGELOG.md");
    let sections = log.split("### Results changed").skip(1);
    let version = format!("`model_version` {MODEL_VERSION}");
    assert!(
        sections.into_iter().any(|s| s
            .split("\n### ")
            .next()
            .is_some_and(|s| s.contains(&version))),
        "CHANGELOG.md has no \"{version}\" under \"Results changed\""
    );
}
