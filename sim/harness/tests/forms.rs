//! Every shortcut of the kernel against its naive form, over random configurations.

use quorate::validate::world::{Accept, Offered, Register, World};
use quorate_consensus::central::{self, Central};
use quorate_consensus::nakamoto::{self, Nakamoto, Refresh, RelayRule};
use quorate_consensus::praos::{self, Praos};
use quorate_consensus::qbft::{self, Qbft, RoundTimer};
use quorate_consensus::raft::{self, Raft, Timeouts};
use quorate_consensus::tendermint::{self, RoundSkip, Tendermint};
use quorate_core::{
    Adversary, Cell, ClassId, Costs, Domain, Draws, Engine, EntityId, Fault, FaultKind, Finality,
    Ledger, Level, Measure, NodeId, Ordered, Seed, Shown, Span, State, Tell, Time, Unit, Verdict,
    hash,
};
use quorate_kernel::{
    Endorse, Fees, Forms, GossipForm, Jitter, MempoolConfig, NetworkConfig, OverlayConfig, Report,
    SlowStart, Status, TxRelay, ViewAge, VoteChecks, WhenStale,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// Which engine, with what.
#[derive(Debug)]
enum Chosen {
    Qbft(qbft::Config),
    Nakamoto(nakamoto::Config),
    Central(central::Config),
    Tendermint(tendermint::Config),
    Praos(praos::Config),
    Raft(raft::Config),
    /// An engine of [`DRAWN`].
    Other(Box<dyn Candidate>),
}

/// A drawn configuration of an engine.
trait Candidate: Debug {
    fn run(&self, world: &World) -> Report;
    fn validate(&self, nodes: u32);
    fn finality(&self) -> Finality;
}

struct Of<E: Engine>(E::Config);

impl<E: Engine> Debug for Of<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl<E: Engine> Candidate for Of<E> {
    fn run(&self, world: &World) -> Report {
        world.run::<E>(&self.0)
    }

    fn validate(&self, nodes: u32) {
        assert_eq!(E::validate(&self.0, nodes), Ok(()), "{self:?}");
    }

    fn finality(&self) -> Finality {
        let adversary = Adversary {
            share: 0.1,
            risk: 1e-2,
            safe_risk: 1e-1,
            delay: Span::ZERO,
        };
        E::finality(&self.0, &adversary).expect("a weak adversary")
    }
}

/// The first number whose configuration is of an engine in [`DRAWN`]; those below keep theirs.
const DRAWN_FROM: u64 = 10_000;

type Drawn = fn(&mut Draws, u32) -> (Box<dyn Candidate>, Span);

/// How configurations of further engines are drawn: for so many nodes, with the length of the run. A new
/// engine is a function and an entry at the end.
const DRAWN: &[Drawn] = &[
    drawn_raft,
    drawn_ethash,
    drawn_ibft2,
    drawn_voting,
    drawn_powers,
    drawn_clique,
    drawn_aura,
    drawn_gasper,
    drawn_hotstuff,
    drawn_ksi,
];

impl Chosen {
    fn run(&self, world: &World) -> Report {
        match self {
            Self::Qbft(config) => world.run::<Qbft>(config),
            Self::Nakamoto(config) => world.run::<Nakamoto>(config),
            Self::Central(config) => world.run::<Central>(config),
            Self::Tendermint(config) => world.run::<Tendermint>(config),
            Self::Praos(config) => world.run::<Praos>(config),
            Self::Raft(config) => world.run::<Raft>(config),
            Self::Other(candidate) => candidate.run(world),
        }
    }

    fn validate(&self, nodes: u32) {
        let checked = match self {
            Self::Qbft(config) => Qbft::validate(config, nodes),
            Self::Nakamoto(config) => Nakamoto::validate(config, nodes),
            Self::Central(config) => Central::validate(config, nodes),
            Self::Tendermint(config) => Tendermint::validate(config, nodes),
            Self::Praos(config) => Praos::validate(config, nodes),
            Self::Raft(config) => Raft::validate(config, nodes),
            Self::Other(candidate) => return candidate.validate(nodes),
        };
        assert_eq!(checked, Ok(()), "{self:?}");
    }
}

fn pick<T: Clone>(draws: &mut Draws, of: &[T]) -> T {
    of[draws.below(of.len() as u64) as usize].clone()
}

/// A configuration with every knob drawn from its number.
fn configuration(number: u64) -> (World, Chosen) {
    let d = &mut Seed::new(number, 0).stream("swarm", 0);
    let n = pick(d, &[1, 2, 3, 4, 4, 5, 6, 7, 7, 9, 13]);
    let (mut chosen, horizon) = match d.below(10) {
        _ if number >= DRAWN_FROM => {
            let draw = DRAWN[(number % DRAWN.len() as u64) as usize];
            let (candidate, horizon) = draw(d, n);
            (Chosen::Other(candidate), horizon)
        }
        0 | 1 => draw_qbft(d, n),
        2 | 3 => draw_nakamoto(d, n),
        4..=6 => draw_tendermint(d, n),
        7 => draw_praos(d, n),
        8 => draw_raft(d, n),
        _ => draw_central(d),
    };
    let n = if matches!(chosen, Chosen::Central(_)) {
        n.max(2)
    } else {
        n
    };
    let mut world = World::new(n, Span::ZERO, horizon);
    draw_network(d, n, &mut world);
    if let Chosen::Tendermint(config) = &mut chosen {
        // Where nothing takes time, heights would follow each other without end.
        let latency = world.setup.network.mean_latency();
        config.skip_timeout_commit &= !latency.is_zero();
    }
    let setup = &mut world.setup;
    setup.seed = Seed::new(number, 1);
    setup.drain = pick(d, &[Span::ZERO, Span::from_s(2), Span::from_s(60)]);
    setup.may_cut = d.chance(0.5);
    setup.cores = pick(d, &[1, 2, 4]);
    setup.costs = pick(
        d,
        &[
            Costs::FREE,
            Costs::REFERENCE,
            // Slow enough that checks queue.
            Costs::new(Span::from_ms(1), Span::from_ms(5), Span::from_us(100)),
            // Aggregates, validation and slow execution.
            Costs {
                verify_next: Span::from_us(10),
                block: Span::from_ms(3),
                block_kib: Span::from_us(50),
                exec_permille: 2_500,
                ..Costs::REFERENCE
            },
            // In step with the network, so that things coincide.
            Costs::new(Span::ZERO, Span::from_ms(10), Span::ZERO),
        ],
    );
    setup.vote_checks = pick(
        d,
        &[VoteChecks::OwnCore, VoteChecks::OwnCore, VoteChecks::Shared],
    );
    setup.limits.pending = pick(d, &[usize::MAX, usize::MAX, 100]);
    let fin = pick(d, &[1, 3, 6]);
    setup.finality = match &chosen {
        Chosen::Other(candidate) => candidate.finality(),
        Chosen::Nakamoto(_) | Chosen::Praos(_) => Finality::Depth {
            safe: 1 + d.below(u64::from(fin)) as u32,
            fin,
        },
        _ => Finality::Commit,
    };
    setup.read_level = pick(d, &Level::ALL);
    draw_faults(d, n, horizon, &mut world.setup.faults);
    draw_load(d, n, &mut world);
    draw_mempool(number, &mut world.setup.mempool);
    world.offered.local = Seed::new(13, 0).stream("local", number).chance(0.5);
    world.setup.view_age = draw_view_age(number);
    chosen.validate(n);
    (world, chosen)
}

fn draw_qbft(d: &mut Draws, n: u32) -> (Chosen, Span) {
    let period_ms = pick(d, &[200, 500, 1_000]);
    let spec = d.chance(0.25);
    let config = qbft::Config {
        period_ms,
        request_timeout_ms: period_ms * if spec { 2 } else { 1 + d.below(2) },
        validators: if d.chance(0.3) {
            1 + d.below(u64::from(n)) as u32
        } else {
            0
        },
        whole_second_timestamps: period_ms == 1_000 && d.chance(0.5),
        timer: if spec {
            RoundTimer::Spec
        } else {
            RoundTimer::Besu
        },
        early_round_change: d.chance(0.5),
        empty_blocks: spec || d.chance(0.6),
        block_bytes: pick(d, &[5_000, 50_000, 10_000_000]),
        block_txs: pick(d, &[0, 1, 20]),
        block_exec_ms: pick(d, &[0, 2, 100]),
        ..qbft::Config::default()
    };
    (Chosen::Qbft(config), Span::from_s(10 + d.below(30)))
}

fn draw_nakamoto(d: &mut Draws, n: u32) -> (Chosen, Span) {
    let config = nakamoto::Config {
        block_interval_s: pick(d, &[0.5, 2.0, 10.0]),
        retarget_blocks: pick(d, &[0, 0, 10]),
        miners: if d.chance(0.3) {
            1 + d.below(u64::from(n)) as u32
        } else {
            0
        },
        relay: pick(
            d,
            &[
                RelayRule::Inv,
                RelayRule::Inv,
                RelayRule::Compact,
                RelayRule::Push,
                RelayRule::Direct,
                RelayRule::SqrtPush,
            ],
        ),
        template_refresh_s: pick(
            d,
            &[
                Refresh::AtFind,
                Refresh::Never,
                Refresh::Every(Span::from_s(3)),
            ],
        ),
        validation: pick(
            d,
            &[nakamoto::Validation::Bytes, nakamoto::Validation::Execution],
        ),
        block_bytes: pick(d, &[5_000, 1_000_000]),
        block_txs: pick(d, &[0, 1, 20]),
        compact_users_permille: pick(d, &[700, 1_000]),
        compact_failure_permille: 300,
        compact_missing_permille: vec![10, 100],
        ..nakamoto::Config::default()
    };
    (Chosen::Nakamoto(config), Span::from_s(60 + d.below(240)))
}

fn draw_central(d: &mut Draws) -> (Chosen, Span) {
    let config = central::Config {
        ttl_s: 3,
        loop_wait_s: 1,
        fsync_ms: pick(d, &[0.0, 2.0, 10.0]),
        block_txs: pick(d, &[0, 20]),
        ..central::Config::default()
    };
    (Chosen::Central(config), Span::from_s(10 + d.below(40)))
}

fn draw_tendermint(d: &mut Draws, n: u32) -> (Chosen, Span) {
    // In step with the network, so that things coincide.
    let wait = |d: &mut Draws, of: &[u64]| pick(d, of);
    let timeout_propose_ms = wait(d, &[100, 400, 3_000]);
    let validators = if d.chance(0.3) {
        1 + d.below(u64::from(n)) as u32
    } else {
        n
    };
    let power = match d.below(3) {
        0 => 1,
        1 => 4,
        _ => 1_000_000_000,
    };
    let config = tendermint::Config {
        timeout_propose_ms,
        timeout_propose_delta_ms: wait(d, &[0, 100, 500]),
        timeout_prevote_ms: wait(d, &[0, 100, 1_000]),
        timeout_prevote_delta_ms: wait(d, &[0, 100, 500]),
        timeout_precommit_ms: wait(d, &[0, 100, 1_000]),
        timeout_precommit_delta_ms: wait(d, &[0, 100, 500]),
        timeout_commit_ms: wait(d, &[100, 300, 1_000]),
        skip_timeout_commit: validators > 1 && d.chance(0.4),
        nil_precommits_wait: d.chance(0.5),
        round_skip: pick(d, &[RoundSkip::TwoThirds, RoundSkip::Third]),
        validators,
        voting_power: if d.chance(0.6) {
            (0..validators).map(|_| 1 + d.below(power)).collect()
        } else {
            Vec::new()
        },
        power_changes: Vec::new(),
        empty_blocks: d.chance(0.7),
        block_bytes: pick(d, &[5_000, 50_000, 10_000_000]),
        block_txs: pick(d, &[0, 1, 20]),
        block_exec_ms: pick(d, &[0, 2, 100]),
    };
    (Chosen::Tendermint(config), Span::from_s(5 + d.below(15)))
}

fn draw_praos(d: &mut Draws, n: u32) -> (Chosen, Span) {
    let config = praos::Config {
        slot_ms: pick(d, &[200, 1_000]),
        active_slot_coefficient: pick(d, &[0.05, 0.3]),
        security_blocks: pick(d, &[5, 50, 2_160]),
        vrf_window_slots: pick(d, &[0, 5, 100]),
        pools: 0,
        stake_shares: if d.chance(0.5) {
            (0..n).map(|_| (1 + d.below(5)) as f64).collect()
        } else {
            Vec::new()
        },
        block_bytes: pick(d, &[5_000, 1_000_000]),
        block_txs: pick(d, &[0, 1, 20]),
        ..praos::Config::default()
    };
    (Chosen::Praos(config), Span::from_s(30 + d.below(120)))
}

fn draw_raft(d: &mut Draws, n: u32) -> (Chosen, Span) {
    let config = raft::Config {
        tick_ms: pick(d, &[50, 100]),
        timeouts: pick(d, &[Timeouts::Ticks, Timeouts::Continuous]),
        pre_vote: d.chance(0.5),
        check_quorum: d.chance(0.5),
        campaign_at_start: d.chance(0.5),
        orderers: if d.chance(0.5) {
            1 + d.below(u64::from(n)) as u32
        } else {
            0
        },
        max_inflight_blocks: pick(d, &[1, 5]),
        snapshot_bytes: pick(d, &[20_000, 16_000_000]),
        fsync_ms: pick(d, &[0.0, 2.0, 10.0]),
        batch_timeout_ms: pick(d, &[0, 200, 2_000]),
        block_txs: pick(d, &[1, 20, 500]),
        preferred_bytes: pick(d, &[2_000, 60_000]),
        ..raft::Config::default()
    };
    (Chosen::Raft(config), Span::from_s(10 + d.below(30)))
}

/// Tendermint whose validators come, go and change their power.
fn drawn_powers(d: &mut Draws, n: u32) -> (Box<dyn Candidate>, Span) {
    let (Chosen::Tendermint(mut config), horizon) = draw_tendermint(d, n) else {
        unreachable!("it draws Tendermint");
    };
    // Where latencies are drawn to be none, heights would follow each other without end.
    config.skip_timeout_commit = false;
    let mut there: Vec<u32> = (0..config.validators).collect();
    for height in 1..30 {
        let validator = d.below(u64::from(n)) as u32;
        let place = there.iter().position(|&i| i == validator);
        let (leaves, changes) = (d.chance(0.4), d.chance(0.4));
        let power = match place {
            _ if !changes => continue,
            Some(place) if leaves && there.len() > 1 => {
                there.remove(place);
                0
            }
            Some(_) => 1 + d.below(9),
            None => {
                there.push(validator);
                1 + d.below(9)
            }
        };
        config.power_changes.push(tendermint::PowerChange {
            height,
            validator,
            power,
        });
    }
    (Box::new(Of::<Tendermint>(config)), horizon)
}

fn drawn_gasper(d: &mut Draws, n: u32) -> (Box<dyn Candidate>, Span) {
    use quorate_consensus::gasper::{Config, Gasper, RelayRule};
    // Short slots and epochs, so that late blocks are dropped and something is final.
    let slot_ms = pick(d, &[300, 1_000, 2_000]);
    let slots_per_epoch = pick(d, &[3, 4, 8]);
    let most = pick(d, &[8, 40]);
    let config = Config {
        slot_ms,
        slots_per_epoch,
        boost_percent: pick(d, &[0, 40]),
        reorg_head_percent: pick(d, &[0, 20, 100]),
        target_committee: pick(d, &[4, 128]),
        target_aggregators: pick(d, &[2, 16]),
        max_attestations: pick(d, &[1, 8]),
        stakes: (0..n)
            .map(|_| slots_per_epoch + d.below(most) as u32)
            .collect(),
        all_subnets: d.chance(0.5),
        relay: pick(d, &[RelayRule::Push, RelayRule::Direct]),
        block_bytes: pick(d, &[5_000, 50_000, 10_000_000]),
        block_txs: pick(d, &[0, 1, 20]),
        block_exec_ms: pick(d, &[0, 2, 100]),
        ..Config::default()
    };
    let epochs = 6 + d.below(8);
    let horizon = Span::from_ms(slot_ms) * u64::from(slots_per_epoch) * epochs;
    (Box::new(Of::<Gasper>(config)), horizon)
}

fn drawn_clique(d: &mut Draws, n: u32) -> (Box<dyn Candidate>, Span) {
    use quorate_consensus::clique::{Clique, Config, RelayRule, Tie, Wiggle, Wish};
    let wish = |d: &mut Draws| Wish {
        from_s: d.below(40) as f64,
        signers: (0..n).filter(|_| d.chance(0.7)).collect(),
        candidate: d.below(u64::from(n)) as u32,
        add: d.chance(0.6),
    };
    let config = Config {
        period_s: pick(d, &[1, 2, 5]),
        epoch_blocks: pick(d, &[5, 30, 30_000]),
        signers: if d.chance(0.3) {
            1 + d.below(u64::from(n)) as u32
        } else {
            0
        },
        wiggle: pick(d, &[Wiggle::Geth, Wiggle::Besu, Wiggle::Eip]),
        tie: pick(d, &[Tie::Geth, Tie::Eip3436]),
        relay: pick(
            d,
            &[RelayRule::Push, RelayRule::Direct, RelayRule::SqrtPush],
        ),
        template_refresh_s: pick(d, &[0, 0, 1, 3]),
        safe_depth: pick(d, &[0, 0, 1, 2, 9]),
        votes: (0..d.below(4)).map(|_| wish(d)).collect(),
        block_bytes: pick(d, &[5_000, 50_000, 10_000_000]),
        block_txs: pick(d, &[0, 1, 20]),
        block_exec_ms: pick(d, &[0, 2, 100]),
        spammers: Vec::new(),
    };
    (
        Box::new(Of::<Clique>(config)),
        Span::from_s(30 + d.below(60)),
    )
}

fn drawn_hotstuff(d: &mut Draws, n: u32) -> (Box<dyn Candidate>, Span) {
    use quorate_consensus::hotstuff::{CommitRule, Config, HotStuff, Rotation, Variant};
    let variant = pick(d, &[Variant::Chained, Variant::Chained, Variant::Basic]);
    let validators = if d.chance(0.3) {
        1 + d.below(u64::from(n)) as u32
    } else {
        0
    };
    let config = Config {
        variant,
        commit_rule: match variant {
            Variant::Chained => pick(d, &[CommitRule::ThreeChain, CommitRule::TwoChain]),
            Variant::Basic => CommitRule::ThreeChain,
        },
        rotation: pick(d, &[Rotation::EveryView, Rotation::OnTimeout]),
        view_timeout_ms: pick(d, &[200, 1_000, 5_000]),
        timeout_growth: pick(d, &[1.0, 1.5, 2.0]),
        validators,
        qc_bytes: pick(d, &[0, 96]),
        batch_bytes: pick(d, &[0, 2_000]),
        batch_delay_ms: pick(d, &[0, 0, 100]),
        empty_blocks: d.chance(0.3),
        block_bytes: pick(d, &[5_000, 50_000, 10_000_000]),
        block_txs: pick(d, &[0, 1, 20]),
        block_exec_ms: pick(d, &[0, 2, 100]),
    };
    (
        Box::new(Of::<HotStuff>(config)),
        Span::from_s(5 + d.below(20)),
    )
}

fn drawn_ksi(d: &mut Draws, _: u32) -> (Box<dyn Candidate>, Span) {
    use quorate_consensus::ksi::{Config, Drawn, Ksi, Offset};
    let config = Config {
        core: pick(d, &[1, 3, 4, 5]),
        levels: pick(d, &[1, 2, 3]),
        fan_out: pick(d, &[2, 4]),
        round_ms: pick(d, &[200, 1_000, 2_000]),
        offset_ms: pick(
            d,
            &[
                Offset::Drawn(Drawn::Random),
                Offset::Each(0),
                Offset::Each(150),
            ],
        ),
        ..Config::default()
    };
    (Box::new(Of::<Ksi>(config)), Span::from_s(20 + d.below(40)))
}

fn drawn_aura(d: &mut Draws, n: u32) -> (Box<dyn Candidate>, Span) {
    use quorate_consensus::aura::{Aura, Config, Majority};
    use quorate_consensus::clique::RelayRule;
    let config = Config {
        step_s: pick(d, &[1, 2, 5]),
        validators: if d.chance(0.3) {
            1 + d.below(u64::from(n)) as u32
        } else {
            0
        },
        finality: pick(d, &[Majority::Half, Majority::TwoThirds]),
        maximum_empty_steps: pick(d, &[0, 0, 1, 4]),
        relay: pick(
            d,
            &[RelayRule::Push, RelayRule::Direct, RelayRule::SqrtPush],
        ),
        block_bytes: pick(d, &[5_000, 50_000, 10_000_000]),
        block_txs: pick(d, &[0, 1, 20]),
        block_exec_ms: pick(d, &[0, 2, 100]),
    };
    (Box::new(Of::<Aura>(config)), Span::from_s(30 + d.below(60)))
}

fn drawn_raft(d: &mut Draws, n: u32) -> (Box<dyn Candidate>, Span) {
    match draw_raft(d, n) {
        (Chosen::Raft(config), horizon) => (Box::new(Of::<Raft>(config)), horizon),
        (other, _) => unreachable!("{other:?}"),
    }
}

/// Validators who vote each other in and out.
fn draw_wishes(d: &mut Draws, n: u32) -> Vec<qbft::Wish> {
    let wish = |d: &mut Draws| qbft::Wish {
        from_s: d.below(20) as f64,
        validators: (0..n).filter(|_| d.chance(0.9)).chain([0]).collect(),
        candidate: d.below(u64::from(n)) as u32,
        add: d.chance(0.5),
    };
    (0..d.below(5)).map(|_| wish(d)).collect()
}

fn draw_gossip(d: &mut Draws) -> qbft::Gossip {
    use qbft::Gossip;
    pick(d, &[Gossip::Direct, Gossip::BesuFlood, Gossip::Flood])
}

fn drawn_ibft2(d: &mut Draws, n: u32) -> (Box<dyn Candidate>, Span) {
    use quorate_consensus::ibft2::{Config, Ibft2};
    let period_ms = pick(d, &[200, 500, 1_000]);
    let config = Config {
        period_ms,
        request_timeout_ms: period_ms * 3 / 2,
        validators: if d.chance(0.3) {
            1 + d.below(u64::from(n)) as u32
        } else {
            0
        },
        whole_second_timestamps: period_ms == 1_000 && d.chance(0.5),
        block_bytes: pick(d, &[5_000, 50_000, 10_000_000]),
        block_txs: pick(d, &[0, 1, 20]),
        block_exec_ms: pick(d, &[0, 2, 100]),
        gossip: draw_gossip(d),
        votes: draw_wishes(d, n),
        epoch_blocks: pick(d, &[5, 30, 30_000]),
    };
    (
        Box::new(Of::<Ibft2>(config)),
        Span::from_s(10 + d.below(30)),
    )
}

fn drawn_voting(d: &mut Draws, n: u32) -> (Box<dyn Candidate>, Span) {
    let (Chosen::Qbft(mut config), horizon) = draw_qbft(d, n) else {
        unreachable!("it is QBFT")
    };
    config.gossip = draw_gossip(d);
    config.votes = draw_wishes(d, n);
    config.epoch_blocks = pick(d, &[5, 30, 30_000]);
    (Box::new(Of::<Qbft>(config)), horizon)
}

fn drawn_ethash(d: &mut Draws, n: u32) -> (Box<dyn Candidate>, Span) {
    use quorate_consensus::ethash::{Config, DifficultyRule, Ethash, ForkChoice, RelayRule};
    let rules = [
        DifficultyRule::Fixed,
        DifficultyRule::Frontier,
        DifficultyRule::Homestead,
        DifficultyRule::Byzantium,
    ];
    let relays = [
        RelayRule::SqrtPush,
        RelayRule::Push,
        RelayRule::Inv,
        RelayRule::Direct,
    ];
    let refreshes = [
        Refresh::AtFind,
        Refresh::Never,
        Refresh::Every(Span::from_s(3)),
    ];
    let config = Config {
        block_interval_s: pick(d, &[0.5, 2.0, 10.0]),
        difficulty: pick(d, &rules),
        whole_second_timestamps: d.chance(0.5),
        fork_choice: pick(d, &[ForkChoice::Td, ForkChoice::Td, ForkChoice::Ghost]),
        uncles: d.below(3) as u32,
        miners: if d.chance(0.3) {
            1 + d.below(u64::from(n)) as u32
        } else {
            0
        },
        relay: pick(d, &relays),
        template_refresh_s: pick(d, &refreshes),
        gas_limit: pick(d, &[0, 21_000, 420_000]),
        block_bytes: pick(d, &[0, 5_000]),
        block_exec_ms: pick(d, &[0, 2, 100]),
        ..Config::default()
    };
    let horizon = Span::from_s(60 + d.below(240));
    (Box::new(Of::<Ethash>(config)), horizon)
}

fn draw_network(d: &mut Draws, n: u32, world: &mut World) {
    let net = &mut world.setup.network;
    let regions = 1 + d.below(3) as usize;
    net.region_of = (0..n).map(|_| d.below(regions as u64) as u8).collect();
    let base = pick(d, &[0, 0, 10, 10, 40, 300]);
    net.one_way = (0..regions)
        .map(|a| {
            (0..regions)
                .map(|b| Span::from_ms(base * if a == b { 1 } else { 1 + (a + b) as u64 }))
                .collect()
        })
        .collect();
    net.jitter = Jitter::Exponential {
        permille: pick(d, &[0, 0, 100, 1_000]),
    };
    net.uplink_bps
        .fill(pick(d, &[0, 0, 1_000_000, 100_000_000]));
    net.downlink_bps
        .fill(pick(d, &[0, 0, 500_000, 100_000_000]));
    net.mtu_bytes = pick(d, &[0, 100, 1_500, 1_500, 1_500]);
    net.overlay = if d.chance(0.7) {
        OverlayConfig::Mesh
    } else {
        OverlayConfig::Random {
            outbound: 2 + d.below(3) as u32,
        }
    };
    if d.chance(0.5) {
        draw_links(d, n, net);
    }
}

/// What links do besides delaying alike.
fn draw_links(d: &mut Draws, n: u32, net: &mut NetworkConfig) {
    let permille = pick(d, &[50, 500]);
    let (sigma, shape) = (pick(d, &[0.5, 2.0]), pick(d, &[1.2, 3.0]));
    let spread = Span::from_ms(5);
    let laws = [
        net.jitter,
        net.jitter,
        Jitter::LogNormal { permille, sigma },
        Jitter::Gamma { permille, shape },
        Jitter::Pareto { permille, shape },
        Jitter::ParetoMean { permille },
        Jitter::ParetoSpread { spread },
    ];
    net.jitter = pick(d, &laws);
    net.jitter_per_link = d.chance(0.2);
    net.small_skip_downlink = d.chance(0.8);
    if d.chance(0.4) {
        for bps in net.uplink_bps.iter_mut().chain(&mut net.downlink_bps) {
            *bps = pick(d, &[0, 1_000_000, 8_000_000, 100_000_000]);
        }
    }
    net.loss.ppm = pick(d, &[0, 0, 1_000, 50_000, 300_000]);
    net.loss.timeout = pick(d, &[Span::from_ms(10), Span::from_ms(200)]);
    net.slow_start = d.chance(0.4).then(|| SlowStart {
        initial_packets: pick(d, &[1, 10]),
        idle: net.loss.timeout,
    });
    let outbound = 1 + d.below(3) as u32;
    let some = |d: &mut Draws| (0..n).filter(|_| d.chance(0.3)).map(NodeId::new).collect();
    let (own, meshed): (Vec<NodeId>, _) = (some(d), some(d));
    let overlays = [
        net.overlay.clone(),
        net.overlay.clone(),
        OverlayConfig::SmallWorld {
            degree: 2 * outbound,
            rewire_permille: 300,
        },
        OverlayConfig::Degrees {
            cumulative_permille: vec![300, 300, 1_000],
            own: own.into_iter().map(|node| (node, 4)).collect(),
            meshed,
        },
        OverlayConfig::Star {
            hubs: outbound,
            links: 1 + d.below(u64::from(outbound)) as u32,
        },
    ];
    net.overlay = pick(d, &overlays);
}

/// From a stream of its own, so that all else stays as it was.
fn draw_mempool(number: u64, pool: &mut MempoolConfig) {
    let d = &mut Seed::new(11, 0).stream("mempool", number);
    pool.capacity_txs = pick(d, &[u32::MAX, u32::MAX, u32::MAX, 30]);
    pool.capacity_bytes = pick(d, &[u64::MAX, u64::MAX, u64::MAX, 20_000]);
    pool.expire_after = d.chance(0.2).then(|| Span::from_s(1 + d.below(4)));
    pool.fees = match d.below(6) {
        0 => Fees::ByClass(vec![0, 2, 0]),
        1 => Fees::Drawn(vec![4, 1]),
        _ => Fees::None,
    };
    pool.gossip.relay = pick(d, &[TxRelay::Push, TxRelay::Push, TxRelay::Announce]);
    pool.gossip.check = Span::from_us(pick(d, &[0, 0, 30]));
    if d.chance(0.25) {
        pool.gossip.form = GossipForm::Explicit;
    }
}

/// The same.
fn draw_view_age(number: u64) -> Option<ViewAge> {
    let d = &mut Seed::new(12, 0).stream("view age", number);
    let most = Span::from_ms(pick(d, &[200, 1_500, 10_000]));
    let when_stale = pick(
        d,
        &[WhenStale::Allow, WhenStale::Deny, WhenStale::BreakGlass],
    );
    d.chance(0.5).then_some(ViewAge { most, when_stale })
}

/// Windows that begin and end on multiples of 10 ms, when messages arrive too.
fn draw_faults(d: &mut Draws, n: u32, horizon: Span, faults: &mut Vec<Fault>) {
    let ms = horizon.ns() / 1_000_000;
    let mut instant = || Time::from_ns(d.below(ms / 10) * 10_000_000);
    let mut windows: Vec<(Time, Time)> = (0..4).map(|_| (instant(), instant())).collect();
    // Short ones lie within the life of one ballot.
    for (i, window) in windows.iter_mut().enumerate() {
        if i % 2 == 1 {
            window.1 = window.0 + Span::from_ms(10 * (1 + d.below(30)));
        }
    }
    for (a, b) in windows.into_iter().take(d.below(5) as usize) {
        let nodes: Vec<u32> = (0..n).filter(|_| d.chance(0.3)).collect();
        let until = if d.chance(0.1) { Time::NEVER } else { a.max(b) };
        faults.push(Fault {
            from: a.min(b),
            until,
            what: draw_fault(d, n, nodes),
        });
    }
}

fn draw_fault(d: &mut Draws, n: u32, nodes: Vec<u32>) -> FaultKind {
    match d.below(12) {
        0..=2 => FaultKind::Crash(nodes),
        3 | 4 => FaultKind::Partition(nodes),
        5 => FaultKind::OneWay {
            from: nodes,
            to: (0..n).filter(|_| d.chance(0.5)).collect(),
        },
        6 => FaultKind::WanCut(nodes),
        7 | 8 => FaultKind::Clog {
            nodes,
            // In step with the network, so that things coincide.
            delay: pick(d, &[None, Some(10), Some(35), Some(1_000)]).map(Span::from_ms),
        },
        9 => FaultKind::Loss {
            nodes,
            ppm: pick(d, &[1_000, 100_000, 500_000]),
        },
        10 => FaultKind::Slow {
            nodes,
            permille: pick(d, &[1, 100, 333, 500]),
        },
        _ => FaultKind::Clock {
            nodes,
            offset_ns: pick(d, &[-3_000, -10, 0, 10, 500, 30_000]) * 1_000_000,
            drift_ppm: pick(d, &[-100_000, -3_000, 0, 50, 100_000]),
        },
    }
}

fn draw_load(d: &mut Draws, n: u32, world: &mut World) {
    let sites = 1 + d.below(5) as u32;
    world.setup.serving = (0..sites)
        .map(|_| NodeId::new(d.below(u64::from(n)) as u32))
        .collect();
    world.setup.tolerated = d.below(2) as u32;
    world.register = d.chance(0.8);
    world.offered = Offered {
        rate: pick(d, &[0.0, 1.0, 10.0, 60.0]),
        sites,
        watched: pick(d, &[0, 20, 300]),
        reads: pick(d, &[0, 200, 600]),
        keys: pick(d, &[1, 5, 1_000]),
        bytes: pick(d, &[100, 1_000]),
        exec_us: pick(d, &[0, 300]),
        expiry: d.chance(0.3).then(|| Span::from_s(2)),
        reacts: d.chance(0.3),
        local: false,
    };
}

/// The first thing in which two reports differ.
fn difference(a: &Report, b: &Report) -> Option<String> {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers pass what they just made"
    )]
    fn differ<T: PartialEq + Debug>(what: &str, a: T, b: T) -> Option<String> {
        (a != b).then(|| format!("{what}: {a:?} and {b:?}"))
    }
    let text = |x: &dyn Debug| format!("{x:?}");
    let mut found = vec![
        differ("status", a.status, b.status),
        differ("violation", &a.violation, &b.violation),
        differ("inputs", a.inputs, b.inputs),
        differ("digest", a.digest, b.digest),
        differ("chain", text(&a.chain), text(&b.chain)),
        differ("ended", a.ended, b.ended),
        differ("reads", a.reads, b.reads),
        differ("traffic", &a.traffic, &b.traffic),
        differ("lost", a.lost, b.lost),
        differ("conservation", a.conservation, b.conservation),
        differ("incidents", &a.incidents, &b.incidents),
        differ("reversed", &a.reversed_classes, &b.reversed_classes),
        differ("uplink_busy", &a.uplink_busy, &b.uplink_busy),
        differ("cpu_busy", &a.cpu_busy, &b.cpu_busy),
        differ("vote_busy", &a.vote_busy, &b.vote_busy),
        differ("adopt_delay", a.adopt_delay, b.adopt_delay),
        differ("propagation", &a.propagation, &b.propagation),
        differ("backlog", &a.probe.backlog, &b.probe.backlog),
        differ("finished", &a.probe.finished, &b.probe.finished),
        differ("offered", &a.probe.offered, &b.probe.offered),
        differ("quorum_final", &a.probe.quorum_final, &b.probe.quorum_final),
        differ("all_final", &a.probe.all_final, &b.probe.all_final),
        differ("domain", &a.probe.domain, &b.probe.domain),
    ];
    for (x, y) in a.probe.classes.iter().zip(&b.probe.classes) {
        let counts = |c: &quorate_kernel::probe::ClassCounts| {
            (c.submitted, c.valid, c.rejected.clone(), c.expired)
        };
        found.push(differ("class", counts(x), counts(y)));
        found.push(differ("latency", &x.latency, &y.latency));
    }
    for (x, y) in a.probe.exposure.iter().zip(&b.probe.exposure) {
        found.push(differ("exposure.open", x.open, y.open));
        found.push(differ("exposure.longest", &x.longest, &y.longest));
        found.push(differ("exposure.mean", &x.mean, &y.mean));
        found.push(differ("exposure.half", &x.half, &y.half));
    }
    found.into_iter().flatten().next()
}

const FORMS: [(&str, Forms); 8] = [
    ("naive", Forms::NAIVE),
    (
        "no cursor",
        Forms {
            cursor: false,
            ..Forms::FAST
        },
    ),
    (
        "no tally",
        Forms {
            tally: false,
            ..Forms::FAST
        },
    ),
    (
        "no pruning",
        Forms {
            pruned: false,
            ..Forms::FAST
        },
    ),
    (
        "no counted reads",
        Forms {
            reads: false,
            ..Forms::FAST
        },
    ),
    (
        "no shared execution",
        Forms {
            shared: false,
            ..Forms::FAST
        },
    ),
    (
        "no bulk",
        Forms {
            bulk: false,
            ..Forms::FAST
        },
    ),
    ("fast again", Forms::FAST),
];

fn cut(mut report: Report) -> Report {
    report.probe.cut(10);
    report
}

/// Executes what it is shown again, from the start: the verdicts must be those that it is shown, so that
/// order and completeness are. Tells how it was, so that reports differ where that does.
struct Replay<L> {
    ledger: L,
    records: Records,
    shown: BTreeSet<(Time, u16, u32, u8)>,
    story: u64,
}

#[derive(Default)]
struct Records(BTreeMap<EntityId, Cell>);

impl State for Records {
    fn get(&self, entity: EntityId) -> Cell {
        let first = Register.preload(entity);
        let first = if entity.get() < Register.preloaded() {
            first
        } else {
            0
        };
        self.0.get(&entity).copied().unwrap_or(first)
    }

    fn set(&mut self, entity: EntityId, cell: Cell) {
        self.0.insert(entity, cell);
    }
}

fn replay<L: Ledger + 'static>(ledger: L) -> Box<dyn Domain> {
    Box::new(Replay {
        ledger,
        records: Records::default(),
        shown: BTreeSet::new(),
        story: 0,
    })
}

const TOLD: [Measure; 2] = [told("shown", Unit::Share), told("story_ms", Unit::Time)];

const fn told(name: &'static str, unit: Unit) -> Measure {
    Measure {
        name,
        what: "",
        unit,
        source: "",
        moved_by: "",
    }
}

impl<L: Ledger> Domain for Replay<L> {
    fn measures(&self) -> &'static [Measure] {
        &TOLD
    }

    fn shown(&self, class: ClassId) -> Shown {
        [Shown::Ordered, Shown::Acted, Shown::Nothing][class.index()]
    }

    fn ordered(&mut self, next: &Ordered<'_>, tell: &mut dyn Tell) {
        let tx = next.tx;
        let new = self.shown.insert((tx.at, tx.site, tx.operand, tx.action));
        assert!(new, "shown twice: {tx:?}");
        if next.verdict != Verdict::Expired {
            let again = self.ledger.apply(tx, next.block_at, &mut self.records);
            assert_eq!(again, next.verdict, "{tx:?}");
        }
        assert!(next.view.is_none() || tx.class == ClassId(1), "{tx:?}");
        let words = format!("{next:?}").into_bytes();
        let words = words.iter().map(|&b| u64::from(b));
        self.story = words.fold(self.story, hash::fold);
        tell.case(0, tx.at, next.view == Some(next.verdict));
        tell.time(1, tx.at, Span::from_us(self.story >> 40));
    }

    fn end(&mut self, tell: &mut dyn Tell) {
        tell.time(1, Time::ZERO, Span::from_us(self.story >> 44));
    }
}

/// Without faults and reversals all that is final at its site is shown, and nothing else that is measured
/// once all of that is final.
fn shows_all(world: &World, report: &Report) -> bool {
    let disturbed = !world.setup.faults.is_empty() || report.reversed.txs + report.chain.apart > 0;
    if disturbed || world.domain.is_none() {
        return true;
    }
    let classes = &report.probe.classes;
    let settled = |c: &quorate_kernel::probe::ClassCounts| {
        c.valid + c.expired + c.rejected.iter().sum::<u64>()
    };
    let sum = |of: &dyn Fn(&quorate_kernel::probe::ClassCounts) -> u64| {
        classes.iter().map(of).sum::<u64>()
    };
    let (ordered, submitted) = (sum(&settled), sum(&|c| c.submitted - c.dropped));
    let shown = report.probe.domain[0].cases;
    shown == ordered || shown > ordered && ordered < submitted
}

/// Without faults and forks every node that serves a site has a state of its own, and it is that of the
/// run: the kernel ends with a violation where it is another.
fn has_replicas(world: &World, report: &Report) -> bool {
    let commits = world.setup.finality == Finality::Commit;
    let disturbed = !world.setup.faults.is_empty() || !commits || report.chain.apart > 0;
    let mut serving = world.setup.serving.clone();
    serving.sort_unstable();
    serving.dedup();
    let nothing = report.chain.final_height == 0;
    nothing || disturbed || report.replicas >= serving.len() as u64
}

/// One configuration in all forms; also whether it committed anything.
fn check(number: u64) -> Result<u64, String> {
    let (mut world, chosen) = configuration(number);
    world.domain = Some(if world.register {
        || replay(Register)
    } else {
        || replay(Accept)
    });
    check_in(number, (world, chosen))
}

/// The same where transactions are executed before they are ordered.
fn check_endorsed(number: u64) -> Result<u64, String> {
    let (mut world, chosen) = configuration(number);
    let d = &mut Seed::new(number, 0).stream("endorsers", 0);
    let nodes = world.setup.network.region_of.len() as u64;
    let peers = 1 + d.below(nodes.min(12)) as u32;
    world.setup.endorse = Some(Endorse {
        needed: 1 + d.below(u64::from(peers)) as u32,
        peers,
        bytes: pick(d, &[0, 900]),
    });
    check_in(number, (world, chosen))
}

fn check_in(number: u64, (world, chosen): (World, Chosen)) -> Result<u64, String> {
    let run = |forms| {
        let mut world = world.clone();
        world.setup.forms = forms;
        cut(chosen.run(&world))
    };
    let shown = || format!("configuration {number}: {world:#?} {chosen:?}");
    let fast = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(Forms::FAST)))
        .map_err(|_| format!("a panic in {}", shown()))?;
    if fast.status == Status::SafetyViolation {
        return Err(format!("{:?} in {}", fast.violation, shown()));
    }
    if !shows_all(&world, &fast) {
        return Err(format!("not all was shown in {}", shown()));
    }
    for (name, forms) in FORMS {
        let other = run(forms);
        if let Some(difference) = difference(&fast, &other) {
            return Err(format!(
                "fast and {name} differ in {difference}; {}",
                shown()
            ));
        }
        if !forms.shared && !has_replicas(&world, &other) {
            let states = other.replicas;
            return Err(format!(
                "{name}: {states} nodes have the state of the run in {}",
                shown()
            ));
        }
    }
    Ok(fast.chain.final_height)
}

fn check_all(numbers: std::ops::Range<u64>) {
    let total = numbers.end - numbers.start;
    let results: Vec<(u64, Result<u64, String>)> =
        numbers.map(|number| (number, check(number))).collect();
    let failed: Vec<u64> = results
        .iter()
        .filter(|r| r.1.is_err())
        .map(|r| r.0)
        .collect();
    if let Some((_, Err(why))) = results.iter().find(|r| r.1.is_err()) {
        panic!("configurations {failed:?} fail; the first: {why}");
    }
    let committed = results.iter().filter(|r| matches!(r.1, Ok(1..))).count() as u64;
    assert!(
        committed > total / 2,
        "only {committed} runs of {total} got anywhere"
    );
}

#[test]
fn shortcuts_change_nothing_1() {
    check_all(0..100);
}

#[test]
fn shortcuts_change_nothing_when_endorsed() {
    let further = DRAWN_FROM..DRAWN_FROM + 2 * DRAWN.len() as u64;
    let checked = (0..30).chain(further).map(check_endorsed);
    let failed: Vec<String> = checked.filter_map(Result::err).collect();
    assert!(
        failed.is_empty(),
        "{} fail; the first: {}",
        failed.len(),
        failed[0]
    );
}

#[test]
fn shortcuts_change_nothing_with_further_engines() {
    check_all(DRAWN_FROM..DRAWN_FROM + 20 * DRAWN.len() as u64);
}

#[test]
fn shortcuts_change_nothing_2() {
    check_all(100..200);
}

#[test]
#[ignore = "the same for longer: after a change to the kernel"]
fn shortcuts_change_nothing_at_length() {
    check_all(200..4_000);
}

#[test]
fn another_seed_is_another_run() {
    let world = World::new(4, Span::from_ms(20), Span::from_s(20)).offered(20.0, 2);
    let digest = |seed| {
        world
            .clone()
            .seed(seed)
            .run::<Qbft>(&qbft::Config::default())
            .digest
    };
    assert_eq!(digest(1), digest(1));
    // Nothing that QBFT sees is drawn but the transactions, which it does not look at.
    let world = world.depth(1, 6);
    let config = nakamoto::Config {
        block_interval_s: 1.0,
        ..nakamoto::Config::default()
    };
    let digest = |seed| world.clone().seed(seed).run::<Nakamoto>(&config).digest;
    assert_eq!(digest(1), digest(1));
    assert_ne!(digest(1), digest(2));
}

/// Drawn at length once: a decision that was told twice, votes that were told late, and a heavier
/// chain beside what was final everywhere.
#[test]
fn configurations_that_once_failed() {
    for number in [1_019, 1_815, 2_736, 2_901, 3_211, 3_613] {
        check(number).unwrap_or_else(|why| panic!("{why}"));
    }
}
