//! The machines, links and loads that the simulations of the benches share.

use crate::Outcome;
use quorate::places::{self, CLOUD_REGIONS, WORLD_REGIONS};
use quorate_core::hash::fold_all;
use quorate_core::math::{exp, ln};
use quorate_core::{
    Arrival, Cell, Class, ClassId, Costs, Domain, Draws, Engine, EntityId, Finality, Kind, Ledger,
    Level, Load, NodeId, Seed, Span, State, Time, Verdict, byzantine_bound, open01,
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
    gaps: Ziggurat,
    /// Those that are drawn, the last first.
    drawn: Vec<Arrival>,
    at: Time,
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
            gaps: Ziggurat::new(1e9 / tps),
            drawn: Vec::new(),
            at: Time::ZERO,
            sites,
            records,
        }
    }

    /// Appends so many.
    fn draw(&mut self, arrivals: &mut Vec<Arrival>, n: usize) {
        let any = |bits: u64, of: u32| (bits * u64::from(of)) >> 32;
        arrivals.extend((0..n).map(|_| {
            self.at += Span::from_ns(self.gaps.draw(&mut self.draws) as u64);
            let what = self.draws.bits();
            let low = what & u64::from(u32::MAX);
            Arrival {
                at: self.at,
                key: EntityId::new(any(what >> 32, self.records) as u32),
                operand: 1,
                bytes: 200 + (low % 256) as u16,
                exec_us: 5,
                site: any(low, self.sites) as u16,
                class: ClassId(0),
                action: 0,
            }
        }));
    }
}

/// Exponential draws from boxes of equal area below the density, without a logarithm 98 times in a hundred.
// source: Marsaglia and Tsang, "The Ziggurat Method for Generating Random Variables", J. Stat. Software 5(8),
// 2000: 256 boxes.
struct Ziggurat {
    mean: f64,
    /// Where the boxes end, the lowest first; behind the last, zero.
    ends: [f64; 257],
    /// How high the density is there.
    heights: [f64; 257],
}

impl Ziggurat {
    /// Where the tail begins, and the area of a box.
    const TAIL: f64 = 7.697_117_470_131_05;
    const AREA: f64 = 0.003_949_659_822_581_557;

    fn new(mean: f64) -> Self {
        let mut ends = [0.0; 257];
        (ends[0], ends[1]) = (Self::AREA / exp(-Self::TAIL), Self::TAIL);
        for i in 2..256 {
            ends[i] = -ln(Self::AREA / ends[i - 1] + exp(-ends[i - 1]));
        }
        Self {
            mean,
            heights: ends.map(|end| exp(-end)),
            ends,
        }
    }

    #[inline]
    fn draw(&self, draws: &mut Draws) -> f64 {
        let bits = draws.bits();
        let place = usize::from(bits as u8);
        let x = open01(bits) * self.ends[place];
        if x < self.ends[place + 1] {
            return x * self.mean;
        }
        self.above(place, x, draws) * self.mean
    }

    /// Outside the part of a box that lies below the density whatever its height.
    #[cold]
    fn above(&self, mut place: usize, mut x: f64, draws: &mut Draws) -> f64 {
        loop {
            if x < self.ends[place + 1] {
                return x;
            }
            if place == 0 {
                return Self::TAIL - ln(draws.open01());
            }
            let (low, high) = (self.heights[place], self.heights[place + 1]);
            if low + (high - low) * draws.open01() < exp(-x) {
                return x;
            }
            let bits = draws.bits();
            place = usize::from(bits as u8);
            x = open01(bits) * self.ends[place];
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
            self.draw(&mut drawn, 16);
            drawn.reverse();
            self.drawn = drawn;
        }
        self.drawn.pop()
    }

    fn next_some(&mut self, arrivals: &mut Vec<Arrival>) {
        arrivals.extend(self.drawn.drain(..).rev());
        self.draw(arrivals, 64);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Shares above some values, each within four standard errors, tail included.
    #[test]
    fn gaps_are_exponential() {
        const N: u32 = 1_000_000;
        let (gaps, mut draws) = (Ziggurat::new(1.0), SEED.stream("test", 0));
        let drawn: Vec<f64> = (0..N).map(|_| gaps.draw(&mut draws)).collect();
        for above in [0.01, 0.1, 0.5, 1.0, 2.0, 4.0, 7.0, 8.0, 9.0] {
            let want = exp(-above) * f64::from(N);
            let got = drawn.iter().filter(|gap| **gap > above).count() as f64;
            assert!(
                (got - want).abs() < 4.0 * want.sqrt(),
                "{got} above {above}, not {want}"
            );
        }
    }
}
