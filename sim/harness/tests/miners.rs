//! The shortcut for miners without a network of nodes against the kernel: the same streams, and the
//! same chain to the block.

use quorate::validate::logged::{All, Note, What, run};
use quorate::validate::world::World;
use quorate_consensus::miners::{Forks, MinersOnly};
use quorate_consensus::nakamoto::{Config, Nakamoto, RelayRule, Validation};
use quorate_core::{Draws, Seed, Span, Time};
use quorate_kernel::NetworkConfig;

/// What the kernel's run comes to.
fn forks(notes: &[Note], miners: usize) -> Forks {
    let built: Vec<&Note> = notes.iter().filter(|n| n.what == What::Built).collect();
    let mut found = vec![0; miners];
    for block in &built {
        found[block.node.index()] += 1;
    }
    let height = built.iter().map(|b| b.height).max().unwrap_or(0);
    let mut kept = vec![0; miners];
    let mut above = built.iter().find(|b| b.height == height);
    while let Some(block) = above {
        kept[block.node.index()] += 1;
        above = built.iter().find(|b| Some(b.block) == block.parent);
    }
    Forks {
        height: u64::from(height),
        found,
        kept,
    }
}

struct Case {
    config: Config,
    delays: Vec<Vec<Span>>,
    horizon: Span,
    master: u64,
}

/// Miners on a line or all equally far apart, in whole milliseconds so that things coincide, with
/// delays from a thousandth of the interval to twice as long.
fn draw(master: u64) -> Case {
    let mut draws = Seed::new(master, 0).stream("cases", 0);
    let miners = 1 + draws.below(9) as usize;
    let scale_ms = [0, 1, 30, 300, 1_000, 2_000][draws.below(6) as usize];
    let places: Vec<u64> = (0..miners).map(|_| draws.below(1 + scale_ms)).collect();
    let line = draws.below(2) == 0;
    let between = |a: usize, b: usize| {
        if line {
            Span::from_ms(places[a].abs_diff(places[b]))
        } else {
            Span::from_ms(scale_ms)
        }
    };
    let delays = |a| (0..miners).map(|b| between(a, b)).collect();
    let share = |draws: &mut Draws| 1.0 + draws.below(9) as f64;
    let named = draws.below(2) == 0;
    let shares = (0..miners).filter(|_| named).map(|_| share(&mut draws));
    Case {
        delays: (0..miners).map(delays).collect(),
        config: Config {
            block_interval_s: 1.0,
            retarget_blocks: 0,
            relay: RelayRule::Direct,
            validation: Validation::Execution,
            hash_shares: shares.collect(),
            ..Config::default()
        },
        horizon: Span::from_ms(100 + draws.below(4_000_000)),
        master,
    }
}

impl Case {
    fn world(&self) -> World {
        let n = self.delays.len() as u32;
        let mut world = World::new(n, Span::ZERO, self.horizon).depth(1, 2);
        let regions = (0..n as u8).collect();
        world.setup.network = NetworkConfig::alike(regions, self.delays.clone(), 0, 0);
        world.seed(self.master)
    }
}

#[test]
fn the_shortcut_is_the_kernel_to_the_block() {
    let mut stale = 0;
    for master in 0..120 {
        let case = draw(master);
        let (report, notes) = run::<Nakamoto, All>(&case.world(), &case.config);
        let horizon = Time::ZERO + case.horizon;
        let seed = Seed::new(master, 0);
        let got = Nakamoto::mine(&case.config, &case.delays, horizon, seed);
        let got = got.expect("it is what the shortcut can do");
        assert_eq!(got, forks(&notes, case.delays.len()), "case {master}");
        assert_eq!(got.height, report.chain.height, "case {master}");
        assert_eq!(
            got.found.iter().sum::<u64>(),
            report.chain.built,
            "case {master}"
        );
        stale += got.stale();
    }
    assert!(stale > 10_000, "only {stale} stale blocks say little");
}
