//! Names, presets and overrides.

use quorate_consensus::{EngineKind, EngineVisitor};
use quorate_core::{Engine, Family};

/// The resolved configuration as JSON, and what `validate` says for seven nodes.
struct Resolved;

impl EngineVisitor for Resolved {
    type Output = (serde_json::Value, bool);

    fn visit<E: Engine>(self, config: E::Config) -> Self::Output {
        let valid = E::validate(&config, 16).is_ok();
        (serde_json::to_value(&config).expect("plain data"), valid)
    }
}

fn resolve(kind: EngineKind, toml: &str) -> Result<(serde_json::Value, bool), String> {
    let table = toml::Deserializer::parse(toml).map_err(|e| e.to_string())?;
    kind.visit(table, Resolved).map_err(|e| e.to_string())
}

#[test]
fn every_engine_has_a_name_a_line_and_presets() {
    let names: Vec<_> = EngineKind::ALL.iter().map(|k| k.name()).collect();
    let all = [
        "nakamoto",
        "qbft",
        "central",
        "praos",
        "tendermint",
        "raft",
        "ethash",
        "ibft2",
        "clique",
        "hotstuff",
        "ksi",
        "gasper",
        "aura",
    ];
    assert_eq!(names, all);
    for &kind in EngineKind::ALL {
        assert_eq!(EngineKind::from_name(kind.name()), Some(kind));
        assert!(kind.doc().ends_with('.') && !kind.doc().starts_with(' '));
        for preset in kind.presets() {
            let by_name = kind.preset(preset, Resolved).expect("listed presets exist");
            let by_key = resolve(kind, &format!("preset = \"{preset}\""));
            assert!(by_name.1, "{preset} is not valid");
            assert_eq!(by_key, Ok(by_name));
        }
        assert_eq!(
            resolve(kind, ""),
            Ok(kind.preset(kind.presets()[0], Resolved).unwrap())
        );
        assert!(kind.preset("none such", Resolved).is_none());
    }
    assert_eq!(EngineKind::from_name("qbtf"), None);
    assert_eq!(EngineKind::Qbft.facts().family, Family::Authority);
}

#[test]
fn keys_override_the_preset_and_what_follows_from_them_follows() {
    let (config, _) = resolve(EngineKind::Qbft, "period_ms = 250").unwrap();
    assert_eq!(config["block_exec_ms"], 187);
    assert_eq!(config["whole_second_timestamps"], false);
    assert_eq!(config["request_timeout_ms"], 2_000);
    let toml = "preset = \"private-15s\"\nrelay = \"inv\"\ntemplate_refresh_s = \"never\"";
    let (config, _) = resolve(EngineKind::Nakamoto, toml).unwrap();
    assert_eq!(
        (&config["block_interval_s"], &config["relay"]),
        (&15.0.into(), &"inv".into())
    );
    assert_eq!(config["template_refresh_s"], "never");
}

#[test]
fn what_is_serialised_reads_back_the_same() {
    for &kind in EngineKind::ALL {
        let resolved = kind.preset(kind.presets()[0], Resolved).unwrap();
        let again = kind
            .visit(resolved.0.clone(), Resolved)
            .expect("fully resolved");
        assert_eq!(again, resolved);
    }
}

#[test]
fn mistakes_are_named() {
    let error = |kind, toml| resolve(kind, toml).unwrap_err();
    let unknown = error(EngineKind::Qbft, "perid_ms = 5");
    assert!(
        unknown.contains("unknown field `perid_ms`, expected one of"),
        "{unknown}"
    );
    let preset = error(EngineKind::Nakamoto, "preset = \"likecoin\"");
    assert!(
        preset.contains("unknown preset `likecoin`") && preset.contains("bitcoin"),
        "{preset}"
    );
    let refresh = error(EngineKind::Nakamoto, "template_refresh_s = -1");
    assert!(
        refresh.contains("seconds of at least 0, or \"never\""),
        "{refresh}"
    );
    assert!(error(EngineKind::Central, "ttl_s = \"long\"").contains("invalid type"));
}

#[test]
fn configurations_that_cannot_work_are_refused() {
    for (kind, toml) in [
        (EngineKind::Qbft, "validators = 17"),
        (
            EngineKind::Qbft,
            "period_ms = 1500\nwhole_second_timestamps = true",
        ),
        (
            EngineKind::Qbft,
            "timer = \"spec\"\nrequest_timeout_ms = 1000",
        ),
        (EngineKind::Qbft, "timer = \"spec\"\nempty_blocks = false"),
        (EngineKind::Nakamoto, "block_interval_s = 0.0"),
        (EngineKind::Nakamoto, "retarget_blocks = 1"),
        (EngineKind::Nakamoto, "miners = 17"),
        (EngineKind::Nakamoto, "hash_shares = [1.0, -1.0]"),
        (EngineKind::Nakamoto, "hash_shares = [1.0, 2.0]\nminers = 3"),
        (EngineKind::Raft, "orderers = 17"),
        (EngineKind::Raft, "tick_ms = 0"),
        (EngineKind::Raft, "heartbeat_ticks = 0"),
        (EngineKind::Raft, "heartbeat_ticks = 10"),
        (EngineKind::Raft, "max_inflight_blocks = 0"),
        (EngineKind::Raft, "snapshot_bytes = 0"),
        (EngineKind::Raft, "fsync_ms = -1.0"),
        (EngineKind::Raft, "block_txs = 0"),
        (EngineKind::Raft, "preferred_bytes = 0"),
        (EngineKind::Raft, "preferred_bytes = 20000000"),
        (
            EngineKind::Raft,
            "preferred_bytes = 1000\nblock_bytes = 65534",
        ),
        (EngineKind::Central, "loop_wait_s = 30"),
        (EngineKind::Tendermint, "validators = 17"),
        (EngineKind::Tendermint, "voting_power = [1, 2, 3]"),
        (
            EngineKind::Tendermint,
            "validators = 2\nvoting_power = [1, 0]",
        ),
        (
            EngineKind::Tendermint,
            "validators = 2\nvoting_power = [1, 1152921504606846975]",
        ),
        (EngineKind::Tendermint, "timeout_propose_ms = 0"),
        (
            EngineKind::Tendermint,
            "validators = 1\ntimeout_commit_ms = 0",
        ),
        (
            EngineKind::Tendermint,
            "validators = 1\nskip_timeout_commit = true",
        ),
        (EngineKind::Central, "fsync_ms = -1.0"),
    ] {
        assert!(!resolve(kind, toml).unwrap().1, "{toml} is accepted");
    }
}
