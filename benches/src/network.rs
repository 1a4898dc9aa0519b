//! Blocks that flood a random overlay (degree 16 in the mean): announced, fetched, checked,
//! announced again, with a queue at every uplink and downlink. Blocks of 50 kB are found by the 16
//! pools of Gervais et al. 2016 every ten minutes in the mean; the nodes are in six regions.
//!
//! Goals: at least 8 / 7 / 2.8 M node-blocks/s at 10^3 / 10^4 / 10^5 nodes for the kernel, and
//! 4 M from end to end at 10^4; as events at least 15 M messages/s at 10^4. Measured is the form from
//! end to end, engine, metrics and setting up included, on a quiet machine by `scripts/perf.sh`: 2.8 / 1.7
//! / 0.56 M node-blocks/s, and 15 / 11 / 3.4 M messages/s as events; 4,660 instructions a node-block at
//! 10^4 nodes (callgrind, the difference of 20 and 60 blocks). **All missed**, the flood by a factor of 2.8 to
//! 5. No function stands out in the instructions; in the time those do that first touch a queued message,
//! an engine or a link: what is left are cache misses, about a dozen a node-block.
//!
//! Non-goals: other relays than inv, faults, and chains that fork often.

use crate::world::{Accept, Drip, Map, messages, outcome, simulate};
use crate::{Case, Outcome, Scale};
use quorate_consensus::Presets;
use quorate_consensus::nakamoto::{Config, Nakamoto};
use quorate_core::{Finality, Span};
use quorate_kernel::{Forms, Report};

/// source: bitcoin/bitcoin@0083e01 `chainparams.cpp`.
const INTERVAL: Span = Span::from_s(600);
const BLOCK_BYTES: u16 = 50_000;

fn simulation(nodes: u64, blocks: u64, others: u64, forms: Forms) -> Report {
    let config = Config {
        background_bytes: others,
        ..Config::preset("gervais-2016").expect("it is among the presets")
    };
    let finality = Finality::Depth { safe: 1, fin: 2 };
    let span = INTERVAL.scale(blocks, 1);
    let mut setup = Map::World.setup(nodes, 1, span, finality);
    setup.forms = forms;
    let load = Box::new(Drip::new(INTERVAL, BLOCK_BYTES));
    simulate::<Nakamoto>(&config, setup, load, &Accept, None)
}

/// About `blocks` blocks with the kernel's shortcuts. One unit of work is a node-block: one block
/// that one node fetched.
pub fn flood(nodes: u64, blocks: u64) -> Outcome {
    let report = simulation(nodes, blocks, 0, Forms::FAST);
    outcome(messages(&report, |kind| kind == "relay.block"), &report)
}

/// The same with blocks of 1 MB, filled up by transactions of others.
pub fn flood_1mb(nodes: u64, blocks: u64) -> Outcome {
    let others = 1_000_000 - u64::from(BLOCK_BYTES);
    let report = simulation(nodes, blocks, others, Forms::FAST);
    outcome(messages(&report, |kind| kind == "relay.block"), &report)
}

/// The same with every message an event. One unit of work is one message; the hash is that of
/// [`flood`].
pub fn flood_events(nodes: u64, blocks: u64) -> Outcome {
    let report = simulation(nodes, blocks, 0, Forms::NAIVE);
    outcome(messages(&report, |_| true), &report)
}

/// Cases of the network.
pub fn cases(scale: Scale) -> Vec<Case> {
    let mut cases = Vec::new();
    for (nodes, blocks) in [(1_000, 200), (10_000, 50), (100_000, 10)] {
        let (nodes, blocks) = (scale.of(nodes / 500 + 30, nodes), scale.of(6, blocks));
        let parameters = format!("nodes={nodes} blocks={blocks}");
        cases.push(Case::new("network::flood", parameters, move || {
            flood(nodes, blocks)
        }));
    }
    for (nodes, blocks) in [(1_000, 50), (10_000, 10)] {
        let (nodes, blocks) = (scale.of(nodes / 500 + 30, nodes), scale.of(6, blocks));
        let parameters = format!("nodes={nodes} blocks={blocks}");
        let run = move || flood_events(nodes, blocks);
        cases.push(Case::new("network::flood_events", parameters, run));
    }
    cases
}
