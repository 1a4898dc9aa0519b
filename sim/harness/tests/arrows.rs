//! Dependencies point one way: words, then engines, workloads and kernel, then harness, then
//! benches. This fails when a crate gains an arrow that the architecture does not have.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Every crate with the crates of this workspace that it may depend on, in any section.
const ARROWS: [(&str, &str, &[&str]); 6] = [
    ("sim/core", "quorate-core", &[]),
    ("sim/kernel", "quorate-kernel", &["quorate-core"]),
    ("consensus", "quorate-consensus", &["quorate-core"]),
    ("workloads", "quorate-workloads", &["quorate-core"]),
    (
        "sim/harness",
        "quorate",
        &[
            "quorate-consensus",
            "quorate-core",
            "quorate-kernel",
            "quorate-workloads",
        ],
    ),
    (
        "benches",
        "quorate-benches",
        &[
            "quorate",
            "quorate-consensus",
            "quorate-core",
            "quorate-kernel",
            "quorate-workloads",
        ],
    ),
];

fn manifest(folder: &str) -> toml::Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(folder)
        .join("Cargo.toml");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.parse()
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn no_crate_has_gained_an_arrow() {
    let known: BTreeSet<&str> = ARROWS.iter().map(|a| a.1).collect();
    for (folder, name, allowed) in ARROWS {
        let manifest = manifest(folder);
        assert_eq!(manifest["package"]["name"].as_str(), Some(name));
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(section) = manifest.get(section).and_then(|s| s.as_table()) else {
                continue;
            };
            for dependency in section.keys().filter(|d| known.contains(d.as_str())) {
                assert!(
                    allowed.contains(&dependency.as_str()),
                    "{name} must not depend on {dependency}"
                );
            }
        }
    }
}

#[test]
fn every_member_is_known_and_keeps_the_workspace_lints() {
    let root = manifest("");
    let members = root["workspace"]["members"].as_array().expect("a list");
    let members: BTreeSet<&str> = members.iter().filter_map(|m| m.as_str()).collect();
    assert_eq!(members, ARROWS.iter().map(|a| a.0).collect());
    let lints: BTreeMap<&str, bool> = ARROWS
        .iter()
        .map(|a| {
            (
                a.1,
                manifest(a.0)["lints"]["workspace"].as_bool() == Some(true),
            )
        })
        .collect();
    assert!(lints.values().all(|&l| l), "{lints:?}");
}
