//! How blocks travel: messages by kind, and how long until everybody has one.

use quorate::validate::world::World;
use quorate_consensus::nakamoto::{Config, Nakamoto, RelayRule};
use quorate_core::Span;
use quorate_kernel::Report;

/// Everybody with everybody.
const NODES: u32 = 17;
const DELAY: Span = Span::from_ms(50);

/// One miner, a block a minute in the mean.
fn blocks_by(relay: RelayRule) -> Config {
    Config {
        block_interval_s: 60.0,
        retarget_blocks: 0,
        miners: 1,
        relay,
        ..Config::default()
    }
}

fn run(config: &Config) -> Report {
    let report = World::new(NODES, DELAY, Span::from_s(6_000))
        .depth(1, 1)
        .run::<Nakamoto>(config);
    let everywhere = report.propagation[2].len();
    assert!(everywhere > 50 && everywhere == report.chain.built);
    report
}

/// Messages and bytes of a kind.
fn sent(report: &Report, kind: &str) -> (u64, u64) {
    let found = report.traffic.iter().find(|(name, _)| *name == kind);
    let traffic = found.expect("a kind of message").1;
    (traffic.messages, traffic.bytes)
}

/// Every node pushes each block to ⌊√16⌋ = 4 of its neighbours and announces it to the other 12;
/// whoever asks gets it besides.
#[test]
fn the_root_of_the_degree_is_pushed_and_the_rest_announced() {
    let report = run(&blocks_by(RelayRule::SqrtPush));
    let nodes = u64::from(NODES);
    let relays = nodes * report.chain.built;
    let (asked, _) = sent(&report, "relay.getdata");
    assert_eq!(sent(&report, "relay.inv").0, 12 * relays);
    assert_eq!(sent(&report, "relay.block").0, 4 * relays + asked);
    // Announced by the finder, most get it pushed by others before.
    assert_eq!(asked, 12 * report.chain.built);
}

/// A push needs one crossing; an announced block three.
#[test]
fn propagation_is_the_delay_times_the_crossings() {
    for (relay, crossings) in [(RelayRule::Direct, 1), (RelayRule::Inv, 3)] {
        let report = run(&blocks_by(relay));
        for times in &report.propagation {
            let us = times.value_at_quantile(0.5) as f64;
            let want = (DELAY * crossings).as_ms() * 1e3;
            // The histogram's width.
            assert!((us / want - 1.0).abs() < 1e-3, "{relay:?}: {us} {want}");
        }
    }
}

/// An injected failure costs another round trip and its share of the block.
#[test]
fn compact_blocks_fail_as_often_and_lack_as_much_as_injected() {
    let background = 500_000;
    let config = |failure, users| Config {
        background_bytes: background,
        background_txs: 3_000,
        high_bandwidth_peers: 0,
        compact_users_permille: users,
        compact_failure_permille: failure,
        compact_missing_permille: if failure > 0 { vec![100] } else { Vec::new() },
        ..blocks_by(RelayRule::Compact)
    };
    let copies = |report: &Report| u64::from(NODES - 1) * report.chain.built;

    let always = run(&config(1_000, 1_000));
    let compact = sent(&always, "relay.compact");
    // source: BIP 152: six bytes a transaction, and 367 for the rest.
    assert_eq!(
        compact,
        (copies(&always), copies(&always) * (6 * 3_000 + 367))
    );
    let (messages, bytes) = sent(&always, "relay.blocktxn");
    let each = (background + 104) / 10 + 57;
    assert_eq!((messages, bytes), (copies(&always), copies(&always) * each));

    let third = run(&config(300, 1_000));
    let share = sent(&third, "relay.blocktxn").0 as f64 / copies(&third) as f64;
    // About 1,600 draws: five standard errors are 0.057.
    assert!((share - 0.3).abs() < 0.057, "{share}");

    let never = run(&config(0, 1_000));
    assert_eq!(sent(&never, "relay.blocktxn").0, 0);
    let nobody = run(&config(0, 0));
    assert_eq!(sent(&nobody, "relay.compact").0, 0);
    assert_eq!(sent(&nobody, "relay.block").0, copies(&nobody));
}
