//! The machines, links and loads that the simulations of the benches share.

use crate::Outcome;
use quorate::places::{self, CLOUD_REGIONS, WORLD_REGIONS};
use quorate_core::hash::fold_all;
use quorate_core::math::ln_each;
use quorate_core::{
    Arrival, Cell, Class, ClassId, Costs, Domain, Draws, Engine, EntityId, Finality, Kind, Ledger,
    Level, Load, NodeId, Seed, Span, State, Time, Verdict, byzantine_bound,
};
use quorate_kernel::{
    Forms, Jitter, MempoolConfig, NetworkConfig, OverlayConfig, Report, RunLimits, Setup,
    Simulation, Status, VoteChecks,
};

/// The seed of every bench.
pub(crate) const SEED: Seed = Seed::new(1, 0);

/// Where the nodes are.
#[derive(Clone, Copy)]
pub(crate) enum Map {
    /// Three cloud regions of one country, 1 Gbit/s, everybody with everybody.
    Country,
    /// The same at 10 Gbit/s: twenty thousand hashes a second to fifty others are more than 1 Gbit/s.
    Backbone,
    /// Six regions of the world, 100 Mbit/s, eight outbound connections a node.
    World,
}

impl Map {
    fn network(self, nodes: u64) -> NetworkConfig {
        let (regions, bps, overlay) = match self {
            Self::Country => (&CLOUD_REGIONS[..3], 1_000_000_000, OverlayConfig::Mesh),
            Self::Backbone => (&CLOUD_REGIONS[..3], 10_000_000_000, OverlayConfig::Mesh),
            Self::World => {
                let overlay = OverlayConfig::Random { outbound: 8 };
                (&WORLD_REGIONS[..], 100_000_000, overlay)
            }
        };
        let names: Vec<String> = regions.iter().map(|&name| name.to_owned()).collect();
        let region_of = (0..nodes).map(|i| (i % names.len() as u64) as u8).collect();
        let one_way = places::latencies(&names).expect("the names are of one table");
        NetworkConfig {
            jitter: Jitter::Exponential { permille: 50 },
            overlay,
            ..NetworkConfig::alike(region_of, one_way, bps, bps)
        }
    }

    /// Nodes of the reference core with no faults, measured for `span` and no longer.
    pub(crate) fn setup(self, nodes: u64, sites: u32, span: Span, finality: Finality) -> Setup {
        let n = nodes as u32;
        Setup {
            network: self.network(nodes),
            cores: 4,
            cpu_speed: 1,
            costs: Costs::REFERENCE,
            vote_checks: VoteChecks::OwnCore,
            mempool: MempoolConfig::UNLIMITED,
            endorse: None,
            faults: Vec::new(),
            corrupt: Vec::new(),
            finality,
            tolerated: byzantine_bound(n),
            serving: (0..sites).map(|site| NodeId::new(site % n)).collect(),
            horizon: Time::ZERO + span,
            drain: Span::ZERO,
            may_cut: false,
            read_level: Level::Final,
            view_age: None,
            limits: RunLimits {
                events: u64::MAX,
                pending: usize::MAX,
            },
            forms: Forms::FAST,
            trace: None,
            seed: SEED,
        }
    }
}

/// Runs a simulation and checks that it ended as it should.
pub(crate) fn simulate<E: Engine>(
    config: &E::Config,
    setup: Setup,
    load: Box<dyn Load>,
    ledger: &dyn Ledger,
    domain: Option<Box<dyn Domain>>,
) -> Report {
    let nodes = setup.network.region_of.len() as u32;
    assert_eq!(E::validate(config, nodes), Ok(()));
    let mut simulation = Simulation::<E>::new(config, setup, load, ledger);
    if let Some(domain) = domain {
        simulation.show(domain);
    }
    simulation.run();
    let report = simulation.finish();
    assert_eq!(report.status, Status::Ok, "{:?}", report.violation);
    report
}

/// Messages of the kinds that `counts` picks.
pub(crate) fn messages(report: &Report, counts: impl Fn(&str) -> bool) -> u64 {
    let kinds = report.traffic.iter().filter(|(kind, _)| counts(kind));
    kinds.map(|(_, traffic)| traffic.messages).sum()
}

/// The outcome of a report: its trace, chain, traffic, and what became of the transactions.
pub(crate) fn outcome(work: u64, report: &Report) -> Outcome {
    let sent = &report.conservation;
    let bytes = report.traffic.iter().map(|(_, traffic)| traffic.bytes);
    let words = [
        report.ended.ns(),
        report.chain.built,
        report.chain.height,
        report.chain.final_height,
        messages(report, |_| true),
        bytes.sum(),
        sent.submitted,
        sent.valid,
        sent.rejected,
        sent.pending,
        report.reads.served,
        report.reads.stale.iter().sum(),
    ];
    Outcome {
        work,
        hash: fold_all(report.digest, &words),
        events: report.events,
    }
}

/// One transaction of the given size at every tick, from one site.
pub(crate) struct Drip {
    classes: [Class; 1],
    every: Span,
    next: Arrival,
}

impl Drip {
    pub(crate) fn new(every: Span, bytes: u16) -> Self {
        Self {
            classes: [Class {
                name: "drip",
                kind: Kind::Write,
                expiry: None,
                tells: "",
            }],
            every,
            next: Arrival {
                at: Time::ZERO,
                key: EntityId::new(0),
                operand: 0,
                bytes,
                exec_us: 50,
                site: 0,
                class: ClassId(0),
                action: 0,
            },
        }
    }
}

impl Load for Drip {
    fn classes(&self) -> &[Class] {
        &self.classes
    }

    fn sites(&self) -> u32 {
        1
    }

    fn next(&mut self) -> Option<Arrival> {
        self.next.at += self.every;
        Some(self.next)
    }
}

/// Poisson arrivals about any of some records, from any of some sites.
pub(crate) struct Stream {
    classes: [Class; 1],
    draws: Draws,
    /// Those that are drawn, the last first.
    drawn: Vec<Arrival>,
    at: Time,
    mean_ns: f64,
    sites: u32,
    records: u32,
}

impl Stream {
    pub(crate) fn new(tps: f64, sites: u32, records: u32) -> Self {
        Self {
            classes: [Class {
                name: "write",
                kind: Kind::Write,
                expiry: None,
                tells: "",
            }],
            draws: SEED.stream("stream", 0),
            drawn: Vec::new(),
            at: Time::ZERO,
            mean_ns: 1e9 / tps,
            sites,
            records,
        }
    }

    /// Appends the next sixteen.
    fn draw(&mut self, arrivals: &mut Vec<Arrival>) {
        let mut gaps = [0.0; 16];
        for gap in &mut gaps {
            *gap = self.draws.open01();
        }
        ln_each(&mut gaps);
        let any = |bits: u64, of: u32| (bits * u64::from(of)) >> 32;
        for gap in gaps {
            let what = self.draws.bits();
            self.at += Span::from_ns((-gap * self.mean_ns) as u64);
            let low = what & u64::from(u32::MAX);
            arrivals.push(Arrival {
                at: self.at,
                key: EntityId::new(any(what >> 32, self.records) as u32),
                operand: 1,
                bytes: 200 + (low % 256) as u16,
                exec_us: 5,
                site: any(low, self.sites) as u16,
                class: ClassId(0),
                action: 0,
            });
        }
    }
}

impl Load for Stream {
    fn classes(&self) -> &[Class] {
        &self.classes
    }

    fn sites(&self) -> u32 {
        self.sites
    }

    fn next(&mut self) -> Option<Arrival> {
        if self.drawn.is_empty() {
            let mut drawn = core::mem::take(&mut self.drawn);
            self.draw(&mut drawn);
            drawn.reverse();
            self.drawn = drawn;
        }
        self.drawn.pop()
    }

    fn next_some(&mut self, arrivals: &mut Vec<Arrival>) {
        arrivals.extend(self.drawn.drain(..).rev());
        for _ in 0..4 {
            self.draw(arrivals);
        }
    }
}

/// Counts in so many records; what they hold depends on the order.
pub(crate) struct Tally(pub(crate) u32);

impl Ledger for Tally {
    fn reasons(&self) -> &[&'static str] {
        &[]
    }

    fn preload(&self, _: EntityId) -> Cell {
        1
    }

    fn preloaded(&self) -> u32 {
        self.0
    }

    fn apply(&self, tx: &Arrival, now: Time, state: &mut dyn State) -> Verdict {
        if let Ok(cell) = self.step(tx, now, state.get(tx.key)) {
            state.set(tx.key, cell);
        }
        Verdict::Valid
    }

    fn is_alone(&self) -> bool {
        true
    }

    #[inline]
    fn step(&self, tx: &Arrival, _: Time, cell: Cell) -> Result<Cell, u8> {
        Ok(cell.wrapping_mul(31).wrapping_add(Cell::from(tx.operand)))
    }
}

/// Accepts everything and keeps nothing.
pub(crate) struct Accept;

impl Ledger for Accept {
    fn reasons(&self) -> &[&'static str] {
        &[]
    }

    fn preload(&self, _: EntityId) -> Cell {
        0
    }

    fn preloaded(&self) -> u32 {
        0
    }

    fn apply(&self, _: &Arrival, _: Time, _: &mut dyn State) -> Verdict {
        Verdict::Valid
    }
}
