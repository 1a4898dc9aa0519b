//! Execution before the order: what endorsing takes, and what is ordered in vain.

use quorate::validate::world::World;
use quorate_consensus::qbft::{self, Qbft};
use quorate_consensus::raft::{self, Raft};
use quorate_core::{
    Arrival, Cell, Class, ClassId, Costs, Draws, Engine, EntityId, Kind, Ledger, Level, Load, Seed,
    Span, State, Time, Verdict, dist, math,
};
use quorate_kernel::{Endorse, NetworkConfig, Report, Simulation};

const MS: fn(u64) -> Span = Span::from_ms;

/// Writes at given milliseconds: when, at which site, of which key.
#[derive(Clone)]
struct Given {
    writes: Vec<(u64, u16, u32)>,
    sites: u32,
    exec_us: u16,
}

impl Load for Given {
    fn classes(&self) -> &[Class] {
        &[Class {
            name: "write",
            kind: Kind::Write,
            expiry: None,
            tells: "",
        }]
    }

    fn sites(&self) -> u32 {
        self.sites
    }

    fn next(&mut self) -> Option<Arrival> {
        (!self.writes.is_empty()).then(|| {
            let (at_ms, site, key) = self.writes.remove(0);
            Arrival {
                at: Time::ZERO + MS(at_ms),
                key: EntityId::new(key),
                operand: 0,
                bytes: 100,
                exec_us: self.exec_us,
                site,
                class: ClassId(0),
                action: 0,
            }
        })
    }
}

/// Counts the writes of each key; refuses the key 13.
struct Counter;

impl Ledger for Counter {
    fn reasons(&self) -> &[&'static str] {
        &["thirteen"]
    }

    fn preload(&self, _: EntityId) -> Cell {
        0
    }

    fn preloaded(&self) -> u32 {
        0
    }

    fn apply(&self, tx: &Arrival, _: Time, state: &mut dyn State) -> Verdict {
        if tx.key.get() == 13 {
            return Verdict::Rejected(0);
        }
        let count = state.get(tx.key);
        state.set(tx.key, count + 1);
        Verdict::Valid
    }
}

fn world(n: u32, needed: Option<u32>) -> World {
    let mut world = World::new(n, MS(10), Span::from_s(60)).offered(0.0, n);
    world.setup.endorse = needed.map(|needed| Endorse {
        needed,
        peers: n,
        bytes: 900,
    });
    world
}

fn run<E: Engine>(world: &World, config: &E::Config, load: &Given) -> Report {
    let load = Box::new(load.clone());
    let ledger: &dyn Ledger = &Counter;
    let mut sim = Simulation::<E>::new(config, world.setup.clone(), load, ledger);
    sim.run();
    sim.finish()
}

/// A block each second.
fn qbft(world: &World, writes: &[(u64, u16, u32)]) -> Report {
    let load = Given {
        writes: writes.to_vec(),
        sites: world.setup.serving.len() as u32,
        exec_us: 0,
    };
    run::<Qbft>(world, &qbft::Config::default(), &load)
}

fn counts(report: &Report) -> (u64, u64, u64) {
    let class = &report.probe.classes[0];
    let place = report.endorsed.map_or(0, |e| e.mvcc_invalid);
    (class.valid, class.rejected[0], class.rejected[place])
}

#[test]
fn of_several_writers_of_a_key_in_one_block_one_is_valid() {
    let same = [(200, 0, 7), (300, 1, 7), (400, 2, 7)];
    let apart = [(200, 0, 7), (300, 1, 8), (400, 2, 9)];
    let late = [(200, 0, 7), (2_500, 1, 7), (4_500, 2, 7)];
    let endorsed = world(4, Some(3));
    assert_eq!(counts(&qbft(&endorsed, &same)), (1, 0, 2));
    assert_eq!(counts(&qbft(&endorsed, &apart)), (3, 0, 0));
    assert_eq!(counts(&qbft(&endorsed, &late)), (3, 0, 0));
    // Executed in the order, each builds on the one before.
    assert_eq!(counts(&qbft(&world(4, None), &same)), (3, 0, 0));
}

#[test]
fn what_endorsers_refuse_is_never_ordered() {
    let report = qbft(&world(4, Some(3)), &[(200, 0, 13), (300, 1, 7)]);
    assert_eq!(counts(&report), (1, 1, 0));
    let endorsed = report.endorsed.expect("it is on");
    assert_eq!((endorsed.proposed, endorsed.refused), (2, 1));
    // One latency to a block and to final: that of what was ordered.
    assert_eq!(
        report.probe.classes[0].latency[Level::Final as usize].len(),
        1
    );
    let c = report.conservation;
    assert_eq!((c.submitted, c.valid, c.rejected, c.pending), (2, 1, 1, 0));
}

/// A write is in vain if another has been endorsed and not yet committed: after each valid one comes
/// a dead time d until its block is the head of the endorsers, and then the next of a Poisson stream.
/// Renewals: the share of valid ones is 1 / (1 + λ·d).
#[test]
fn a_hot_key_carries_one_write_in_each_commit() {
    const RATE: f64 = 3.0;
    let mut world = world(4, Some(3));
    world.setup.horizon = Time::ZERO + Span::from_s(2_000);
    let mut draws: Draws = Seed::new(7, 0).stream("hot key", 0);
    let (mut at, mut writes) = (0.0, Vec::new());
    while at < 1_999.0 {
        at += dist::exponential(1.0 / RATE, &mut draws);
        writes.push(((at * 1e3) as u64, 0, 7));
    }
    writes.pop();
    let n = writes.len() as f64;
    let report = qbft(&world, &writes);
    let (valid, _, invalid) = counts(&report);
    assert_eq!(valid + invalid, writes.len() as u64);
    // d: from the endorsement, at 20 ms, to the block: uniform within the second of the period. A
    // write that comes in the last 20 ms of a block's way is endorsed on the old head.
    let included = &report.probe.classes[0].latency[Level::Included as usize];
    let dead = included.mean() / 1e6 - 0.020;
    let want = 1.0 / (1.0 + RATE * dead);
    let got = valid as f64 / n;
    // Valid writes come at the beginning of an interval: their dead time is longer than the mean of all.
    let longest = 1.0 / (1.0 + RATE);
    let sd = math::sqrt(want * (1.0 - want) / n);
    assert!(
        got < want + 4.0 * sd && got > longest - 4.0 * sd,
        "{longest} < {got} < {want}"
    );
    // Exactly: of the writes endorsed between two blocks one is valid, if there is any: 1 − e^(−λT) a
    // period of T = 1 s.
    let periods = 2_000.0;
    let per_period = valid as f64 / periods;
    let law = 1.0 - math::exp(-RATE);
    let sd = math::sqrt(law * (1.0 - law) / periods);
    assert!(
        (per_period - law).abs() < 4.0 * sd,
        "{per_period} is not {law} ± {sd}"
    );
}

/// From site 0, which is one of the endorsers, to the others and back.
#[test]
fn endorsing_takes_the_way_to_the_kth_endorser_and_ordering_follows() {
    let (check, sign, exec) = (MS(2), MS(1), MS(5));
    let way: Vec<Vec<Span>> = (0..4_u64)
        .map(|a: u64| (0..4_u64).map(|b| MS(10 * a.max(b))).collect())
        .collect();
    let mut endorsed_ms = Vec::new();
    for needed in 1..=4 {
        let mut world = world(4, Some(needed));
        world.setup.network = NetworkConfig::alike(vec![0, 1, 2, 3], way.clone(), 0, 0);
        world.setup.costs = Costs::new(sign, check, Span::ZERO);
        let load = |at| Given {
            writes: vec![(at, 0, 7)],
            sites: 4,
            exec_us: 5_000,
        };
        let report = run::<Raft>(&world, &raft::Config::default(), &load(20_000));
        let k = u64::from(needed);
        // Its own peer needs no way; the k-th needs 10·(k − 1) ms each way.
        let round = MS(20 * (k - 1)) + check + exec + sign;
        let want = (round + check * k + sign).ns() / 1_000;
        let got = report.probe.endorsed.max();
        assert!(
            got.abs_diff(want) <= want / 500,
            "{needed}: {got} is not {want} µs"
        );
        endorsed_ms.push(want / 1_000);
        // The same as if it had been submitted so much later, with a block that only checks signatures.
        let mut plain = world.clone();
        plain.setup.endorse = None;
        let later = Given {
            exec_us: (2_000 * needed) as u16,
            ..load(20_000 + want / 1_000)
        };
        let ordered = run::<Raft>(&plain, &raft::Config::default(), &later);
        let latency = |r: &Report| r.probe.classes[0].latency[Level::Final as usize].max();
        let (got, want) = (latency(&report), want + latency(&ordered));
        assert!(
            got.abs_diff(want) <= want / 400,
            "{needed}: final after {got}, not {want} µs"
        );
    }
    assert_eq!(endorsed_ms, [11, 33, 55, 77]);
}

#[test]
fn an_endorser_that_is_down_or_cut_off_is_waited_for() {
    let endorsed_s = |needed: u32, world: World| {
        let mut world = world;
        world.setup.endorse = world.setup.endorse.map(|e| Endorse { needed, ..e });
        let load = Given {
            writes: vec![(20_000, 0, 7)],
            sites: 5,
            exec_us: 0,
        };
        let report = run::<Raft>(&world, &raft::Config::default(), &load);
        assert_eq!(counts(&report).0, 1, "{needed}");
        report.probe.endorsed.max() as f64 / 1e6
    };
    let near =
        |got: f64, want: f64| assert!((got - want).abs() < 0.001 * want, "{got} is not {want}");
    let s = Span::from_s;
    let down = || world(5, Some(5)).crash(&[3, 4], s(10), Some(s(40)));
    near(endorsed_s(3, down()), 0.020);
    near(endorsed_s(4, down()), 20.020);
    let cut = || world(5, Some(5)).partition(&[3, 4], s(10), s(40));
    near(endorsed_s(3, cut()), 0.020);
    near(endorsed_s(4, cut()), 20.020);
    // The client's own node is down, then reaches too few; what it was about to do is not lost.
    near(
        endorsed_s(3, world(5, Some(5)).crash(&[0], s(10), Some(s(40)))),
        20.020,
    );
    near(
        endorsed_s(3, world(5, Some(5)).partition(&[0], s(10), s(40))),
        20.020,
    );
}

#[test]
fn blocks_cost_the_check_of_endorsements_and_not_execution() {
    let busy = |needed: Option<u32>, exec_us: u16| {
        let mut world = world(4, needed);
        world.setup.endorse = world.setup.endorse.map(|e| Endorse { peers: 2, ..e });
        world.setup.costs = Costs::new(Span::ZERO, Span::from_us(50), Span::ZERO);
        let load = Given {
            writes: (0..20).map(|i| (10_000 + 500 * i, 0, i as u32)).collect(),
            sites: 4,
            exec_us,
        };
        // Node 3 does not endorse.
        run::<Raft>(&world, &raft::Config::default(), &load).cpu_busy[3]
    };
    assert_eq!(busy(None, 900), busy(None, 0) + Span::from_us(20 * 900));
    assert_eq!(busy(Some(1), 900), busy(Some(1), 0));
    assert_eq!(busy(Some(2), 0), busy(Some(1), 0) * 2);
    // The run may end before it has the last block.
    assert!(busy(Some(1), 0) >= Span::from_us(19 * 50));
}

/// A transaction that carries endorsements is larger, wherever it goes.
#[test]
fn endorsements_take_space_in_blocks() {
    let bytes = |needed| {
        let report = qbft(&world(4, needed), &[(200, 0, 7)]);
        let blocks = report.traffic.iter().map(|(_, t)| t.bytes).sum::<u64>();
        (
            blocks,
            report
                .gossip
                .traffic
                .iter()
                .map(|(_, t)| t.bytes)
                .sum::<u64>(),
        )
    };
    let ((plain, plain_gossip), (two, two_gossip), (three, three_gossip)) =
        (bytes(None), bytes(Some(2)), bytes(Some(3)));
    assert_eq!(three_gossip - two_gossip, 3 * 900, "to three other nodes");
    assert_eq!(two_gossip - plain_gossip, 3 * 1_800);
    assert_eq!(three - two, 3 * 900, "the block");
    // Proposals to three of 100 bytes, answers of 1,000, and the block.
    assert_eq!(two - plain, 3 * 100 + 3 * 1_000 + 3 * 1_800);
}

#[test]
fn order_before_execution_is_the_default_and_untouched() {
    let report = qbft(&world(4, None), &[(200, 0, 7)]);
    assert!(report.endorsed.is_none() && report.probe.endorsed.is_empty());
    assert_eq!(
        report.probe.classes[0].rejected.len(),
        Counter.reasons().len()
    );
}

const PLAN: &str = r#"name = "small"
kind = "curve"
replications = 2

[network]
nodes = 4
regions = ["us-east-1", "us-west-1"]

[execution]
model = "execute-order-validate"

[workload]
name = "hospital"
sites = 4
most_patients = 200

[load]
offered_tps = [50.0]
duration_s = 30.0
drain_s = 60.0
knee_within = 10.0

[[engines]]
name = "raft"
"#;

/// What is ordered in vain is told by class, on screen and in a table of its own, and nowhere else.
#[test]
fn a_plan_that_executes_first_says_what_it_orders_in_vain() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let plan = folder.path().join("plan.toml");
    let run = |text: &str| {
        std::fs::write(&plan, text).expect("it can be written");
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_quorate"))
            .args(["run", "plan.toml", "--out", "results"])
            .current_dir(folder.path())
            .output()
            .expect("the binary runs");
        assert!(output.status.success(), "{output:?}");
        let printed = String::from_utf8(output.stdout).expect("UTF-8");
        let last = printed.lines().last().expect("it names the folder");
        let results = last.trim_start_matches("results: ").to_owned();
        (printed, folder.path().join(results))
    };
    let (printed, results) = run(PLAN);
    assert!(printed.contains("executed, then ordered"), "{printed}");
    let mut table = csv::Reader::from_path(results.join("endorsement.csv")).expect("a table");
    let headers = table.headers().expect("a header").clone();
    let place = |name: &str| headers.iter().position(|h| h == name).expect("a column");
    let (class, invalid) = (place("class"), place("mvcc_invalid"));
    let (mut all, mut each) = (0, 0);
    for row in table.records() {
        let row = row.expect("a row");
        let count: u64 = row[invalid].parse().expect("a number");
        *(if &row[class] == "all" {
            &mut all
        } else {
            &mut each
        }) += count;
    }
    assert!(all > 0 && all == each, "{all} and {each}");
    let (printed, results) = run(&PLAN.replace("execute-order-validate", "order-execute"));
    assert!(!printed.contains("mvcc_invalid") && !results.join("endorsement.csv").exists());
    let resolved = results.join("config.resolved.toml");
    let resolved = std::fs::read_to_string(resolved).expect("it is there");
    assert!(
        !resolved.contains("[execution]"),
        "plans as before are written as before"
    );
}
