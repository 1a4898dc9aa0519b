//! No key is dead: changing any one changes what some run does.
//!
//! What a run does are its effects and the cost of checking its bodies; timers that are set do not
//! count, since one that never matters would make every key look alive. A new key without a line
//! here fails the test.

use crate::driver::{World, at_ms};
use quorate_consensus::{EngineKind, EngineVisitor};
use quorate_core::{Engine, Seed, Span};
use serde_json::{Value, json};

/// What happens in a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scene {
    /// Nothing but transactions.
    Calm,
    /// Crashes, partitions, loss and delays that differ.
    Rough,
    /// The same, of which only the number of messages and their bytes are looked at.
    Weight,
}

use Scene::{Calm, Rough, Weight};

/// For each key another value, and where it matters. Keys marked `Rough` change nothing in a run
/// without faults, which is tested too.
type Keys = [(&'static str, Value, Scene)];

struct Run(Scene);

impl EngineVisitor for Run {
    type Output = Vec<String>;

    fn visit<E: Engine>(self, config: E::Config) -> Self::Output {
        // Slow enough that headers in whole seconds differ from the clock.
        let mut net: World<E> = World::new(&config, 5, Span::from_ms(400), 0);
        net.trace = Some(Vec::new());
        match self.0 {
            Calm => calm(&mut net),
            Rough | Weight => rough(&mut net),
        }
        match self.0 {
            Weight => vec![format!("{:?}", net.messages)],
            Calm | Rough => net.trace.take().expect("it was asked for"),
        }
    }
}

fn calm<E: Engine>(net: &mut World<E>) {
    net.start();
    for s in 1..120 {
        // A pause, in which nothing is pending.
        if s % 20 < 15 {
            net.submit();
        }
        net.run_until(at_ms(1_000 * s + 300));
    }
}

fn rough<E: Engine>(net: &mut World<E>) {
    net.reorder(Span::from_ms(300), Seed::new(0, 0).stream("jitter", 0));
    let mut dice = Seed::new(0, 0).stream("loss", 0);
    net.lose(move |packet| packet.sent < at_ms(60_000) && dice.chance(0.2));
    net.start();
    for s in 1..300 {
        match s {
            20 => net.crash(&[0]),
            90 => net.restart(0),
            100 => net.partition(&[1]),
            150 => net.partition(&[]),
            // Two that come back, one after the other, when the rest has long tried without them.
            160 => net.crash(&[2, 3]),
            190 => net.restart(2),
            200 => net.restart(3),
            _ => {}
        }
        net.submit();
        net.run_until(at_ms(1_000 * s));
    }
}

fn run(kind: EngineKind, config: &Value, scene: Scene) -> Vec<String> {
    kind.visit(config.clone(), Run(scene))
        .expect("the table fits the engine")
}

/// The engine's default, fully resolved, so that no key follows from another, and what a test makes
/// of it.
fn resolved(kind: EngineKind, overrides: Value) -> Value {
    struct Resolve;
    impl EngineVisitor for Resolve {
        type Output = Value;

        fn visit<E: Engine>(self, config: E::Config) -> Value {
            serde_json::to_value(&config).expect("plain data")
        }
    }
    kind.visit(overrides, Resolve)
        .expect("the table fits the engine")
}

fn assert_alive(kind: EngineKind, base: Value, keys: &Keys) {
    let base = resolved(kind, base);
    let names: Vec<&str> = base
        .as_object()
        .expect("a table")
        .keys()
        .map(String::as_str)
        .collect();
    // What relays and builders do in the kernel is tested there, in `tests/relays.rs` of the harness.
    let kernels = |name: &&str| {
        ["background_", "compact_", "high_bandwidth_"]
            .iter()
            .any(|part| name.starts_with(part))
    };
    let names: Vec<&str> = names.into_iter().filter(|name| !kernels(name)).collect();
    let listed: Vec<&str> = keys.iter().map(|k| k.0).collect();
    assert_eq!(names, listed, "{}", kind.name());
    let before = |scene| run(kind, &base, scene);
    let (calm, rough) = (before(Calm), before(Rough));
    assert!(calm.len() > 100 && rough.len() > 100);
    for (key, value, scene) in keys {
        let mut changed = base.clone();
        assert_ne!(&changed[key], value, "{key} is not changed");
        changed[key] = value.clone();
        let matters = run(kind, &changed, Calm) != calm;
        assert_eq!(
            matters,
            *scene == Calm,
            "{}.{key} in a calm run",
            kind.name()
        );
        let weighs = || run(kind, &changed, Weight) != before(Weight);
        let matters =
            matters || run(kind, &changed, Rough) != rough || *scene == Weight && weighs();
        assert!(matters, "{}.{key} does nothing", kind.name());
    }
}

#[test]
fn no_key_of_qbft_is_dead() {
    let keys = [
        ("period_ms", json!(2_000), Calm),
        ("request_timeout_ms", json!(5_000), Rough),
        ("validators", json!(4), Calm),
        ("whole_second_timestamps", json!(false), Calm),
        ("timer", json!("spec"), Rough),
        ("early_round_change", json!(true), Rough),
        ("empty_blocks", json!(false), Calm),
        ("block_bytes", json!(1), Calm),
        ("block_txs", json!(1), Calm),
        ("block_exec_ms", json!(1), Calm),
        ("gossip", json!("besu-flood"), Calm),
        ("votes", json!([]), Calm),
        ("epoch_blocks", json!(2), Calm),
    ];
    assert_alive(
        EngineKind::Qbft,
        json!({ "request_timeout_ms": 4_000, "votes": votes() }),
        &keys,
    );
}

/// Three validators who wish the last one gone.
fn votes() -> Value {
    json!([{ "from_s": 20.0, "validators": [0, 1, 2], "candidate": 4, "add": false }])
}

#[test]
fn no_key_of_ibft2_is_dead() {
    let keys = [
        ("period_ms", json!(2_000), Calm),
        ("request_timeout_ms", json!(5_000), Rough),
        ("validators", json!(4), Calm),
        ("whole_second_timestamps", json!(false), Calm),
        ("block_bytes", json!(1), Calm),
        ("block_txs", json!(1), Calm),
        ("block_exec_ms", json!(1), Calm),
        ("gossip", json!("flood"), Calm),
        ("votes", json!([]), Calm),
        ("epoch_blocks", json!(2), Calm),
    ];
    assert_alive(
        EngineKind::Ibft2,
        json!({ "request_timeout_ms": 4_000, "votes": votes() }),
        &keys,
    );
}

#[test]
fn no_key_of_nakamoto_is_dead() {
    let base = json!({
        "block_interval_s": 10.0,
        "retarget_blocks": 4,
        "template_refresh_s": 5,
    });
    let keys = [
        ("block_interval_s", json!(20.0), Calm),
        ("retarget_blocks", json!(3), Calm),
        ("retarget_rule", json!("litecoin"), Calm),
        ("miners", json!(2), Calm),
        ("hash_shares", json!([2.0, 1.0]), Calm),
        ("relay", json!("direct"), Calm),
        ("relay_network", json!(true), Calm),
        ("template_refresh_s", json!("never"), Calm),
        ("validation", json!("bytes"), Calm),
        ("block_bytes", json!(1), Calm),
        ("block_txs", json!(1), Calm),
        ("block_exec_ms", json!(1), Calm),
    ];
    assert_alive(EngineKind::Nakamoto, base, &keys);
}

#[test]
fn no_key_of_praos_is_dead() {
    let keys = [
        ("slot_ms", json!(2_000), Calm),
        ("active_slot_coefficient", json!(0.25), Calm),
        ("security_blocks", json!(1), Rough),
        ("vrf_window_slots", json!(0), Calm),
        ("pools", json!(2), Calm),
        ("stake_shares", json!([2.0, 1.0]), Calm),
        ("block_bytes", json!(1), Calm),
        ("block_txs", json!(1), Calm),
        ("block_exec_ms", json!(1), Calm),
    ];
    // Often enough that slots follow each other closer than blocks travel.
    let base = json!({ "active_slot_coefficient": 0.5 });
    assert_alive(EngineKind::Praos, base, &keys);
}

#[test]
fn no_key_of_central_is_dead() {
    let keys = [
        ("ttl_s", json!(20), Rough),
        ("loop_wait_s", json!(5), Calm),
        ("promote_ms", json!(4_000), Rough),
        ("fsync_ms", json!(9.0), Calm),
        ("block_bytes", json!(1), Calm),
        ("block_txs", json!(1), Calm),
        ("block_exec_ms", json!(1), Calm),
    ];
    assert_alive(EngineKind::Central, json!({}), &keys);
}

#[test]
fn no_key_of_tendermint_is_dead() {
    let keys = [
        ("timeout_propose_ms", json!(2_000), Rough),
        ("timeout_propose_delta_ms", json!(900), Rough),
        ("timeout_prevote_ms", json!(300), Rough),
        ("timeout_prevote_delta_ms", json!(900), Rough),
        ("timeout_precommit_ms", json!(300), Rough),
        ("timeout_precommit_delta_ms", json!(900), Rough),
        ("timeout_commit_ms", json!(2_000), Calm),
        ("skip_timeout_commit", json!(true), Calm),
        ("nil_precommits_wait", json!(false), Rough),
        ("round_skip", json!("third"), Rough),
        ("validators", json!(4), Calm),
        ("voting_power", json!([1, 1, 2, 1, 1]), Calm),
        (
            "power_changes",
            json!([{ "height": 2, "validator": 1, "power": 5 }]),
            Calm,
        ),
        ("empty_blocks", json!(false), Calm),
        ("block_bytes", json!(1), Calm),
        ("block_txs", json!(1), Calm),
        ("block_exec_ms", json!(1), Calm),
    ];
    assert_alive(EngineKind::Tendermint, json!({}), &keys);
}

#[test]
fn no_key_of_raft_is_dead() {
    let keys = [
        ("tick_ms", json!(400), Calm),
        ("election_ticks", json!(5), Rough),
        ("heartbeat_ticks", json!(2), Calm),
        ("timeouts", json!("continuous"), Calm),
        ("pre_vote", json!(true), Calm),
        ("check_quorum", json!(false), Rough),
        ("campaign_at_start", json!(false), Calm),
        ("orderers", json!(3), Calm),
        ("max_inflight_blocks", json!(1), Calm),
        ("snapshot_bytes", json!(1), Rough),
        ("fsync_ms", json!(9.0), Calm),
        ("batch_timeout_ms", json!(1_000), Calm),
        ("mint_interval_ms", json!(9_000), Calm),
        ("block_txs", json!(1), Calm),
        ("preferred_bytes", json!(70_000), Calm),
        ("block_bytes", json!(5_000_000), Calm),
    ];
    // After a pre-vote nobody asks a follower whose leader lives, which `check_quorum` is about.
    let base = json!({ "pre_vote": false });
    assert_alive(EngineKind::Raft, base, &keys);
}

#[test]
fn no_key_of_ethash_is_dead() {
    let keys = [
        ("block_interval_s", json!(3.0), Calm),
        ("difficulty", json!("homestead"), Calm),
        ("whole_second_timestamps", json!(false), Calm),
        ("fork_choice", json!("ghost"), Calm),
        ("uncles", json!(1), Calm),
        ("miners", json!(2), Calm),
        ("hash_shares", json!([2.0, 1.0]), Calm),
        ("relay", json!("direct"), Calm),
        ("template_refresh_s", json!("never"), Calm),
        ("gas_limit", json!(30_000), Calm),
        ("tx_gas", json!(42_000), Calm),
        ("block_bytes", json!(1), Calm),
        ("block_exec_ms", json!(1), Calm),
    ];
    // Often enough that blocks meet, and some are named by two and more.
    let base = json!({ "block_interval_s": 1.0 });
    assert_alive(EngineKind::Ethash, base, &keys);
}

#[test]
fn no_key_of_clique_is_dead() {
    let keys = [
        ("period_s", json!(3), Calm),
        ("epoch_blocks", json!(2), Calm),
        ("signers", json!(4), Calm),
        ("wiggle", json!("eip"), Calm),
        ("tie", json!("geth"), Calm),
        ("relay", json!("push"), Calm),
        ("template_refresh_s", json!(1), Calm),
        ("safe_depth", json!(1), Calm),
        ("votes", json!([]), Calm),
        ("block_bytes", json!(1), Calm),
        ("block_txs", json!(1), Calm),
        ("block_exec_ms", json!(1), Calm),
    ];
    // Once somebody is dropped, turns fall on who signed lately: others tie.
    let wish = json!({ "from_s": 20.0, "signers": [0, 1, 2], "candidate": 4, "add": false });
    let base = json!({ "period_s": 2, "relay": "direct", "votes": [wish] });
    assert_alive(EngineKind::Clique, base, &keys);
}

#[test]
fn no_key_of_hotstuff_is_dead() {
    let keys = [
        ("variant", json!("basic"), Calm),
        ("commit_rule", json!("two-chain"), Calm),
        ("rotation", json!("every-view"), Calm),
        ("view_timeout_ms", json!(5_000), Rough),
        ("timeout_growth", json!(1.0), Rough),
        ("validators", json!(4), Calm),
        ("qc_bytes", json!(96), Weight),
        ("batch_bytes", json!(1_000), Weight),
        ("batch_delay_ms", json!(300), Calm),
        ("empty_blocks", json!(true), Calm),
        ("block_bytes", json!(1), Calm),
        ("block_txs", json!(1), Calm),
        ("block_exec_ms", json!(1), Calm),
    ];
    // A view takes a second or so.
    let base = json!({ "view_timeout_ms": 4_000 });
    assert_alive(EngineKind::Hotstuff, base, &keys);
}

#[test]
fn no_key_of_ksi_is_dead() {
    let keys = [
        ("core", json!(3), Calm),
        ("levels", json!(1), Calm),
        ("fan_out", json!(2), Calm),
        ("round_ms", json!(2_000), Calm),
        ("offset_ms", json!(300), Calm),
        ("signature_bytes", json!(1), Weight),
    ];
    assert_alive(EngineKind::Ksi, json!({}), &keys);
}

#[test]
fn no_key_of_gasper_is_dead() {
    let keys = [
        ("slot_ms", json!(3_000), Calm),
        ("slots_per_epoch", json!(6), Calm),
        ("attest_bps", json!(5_000), Calm),
        ("aggregate_bps", json!(8_000), Calm),
        ("boost_percent", json!(0), Rough),
        ("reorg_head_percent", json!(0), Rough),
        ("reorg_parent_percent", json!(250), Rough),
        ("reorg_max_epochs", json!(100), Rough),
        ("target_committee", json!(128), Calm),
        ("max_committees", json!(1), Calm),
        ("target_aggregators", json!(4), Calm),
        ("max_attestations", json!(1), Rough),
        ("validators", json!(90), Calm),
        ("stakes", json!([100, 100, 100, 100, 101]), Calm),
        ("all_subnets", json!(true), Calm),
        ("relay", json!("direct"), Calm),
        ("block_bytes", json!(1), Calm),
        ("block_txs", json!(1), Calm),
        ("block_exec_ms", json!(1), Calm),
    ];
    let base = json!({ "slot_ms": 1_500, "slots_per_epoch": 4, "target_committee": 20 });
    assert_alive(EngineKind::Gasper, base, &keys);
}

#[test]
fn no_key_of_aura_is_dead() {
    let keys = [
        ("step_s", json!(3), Calm),
        ("validators", json!(4), Calm),
        ("finality", json!("two-thirds"), Calm),
        ("maximum_empty_steps", json!(1), Calm),
        ("relay", json!("push"), Calm),
        ("block_bytes", json!(1), Calm),
        ("block_txs", json!(1), Calm),
        ("block_exec_ms", json!(1), Calm),
    ];
    let base = json!({ "step_s": 1, "relay": "direct", "maximum_empty_steps": 3 });
    assert_alive(EngineKind::Aura, base, &keys);
}
