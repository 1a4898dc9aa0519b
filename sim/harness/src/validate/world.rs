//! A small world for tests of the kernel with real engines: constant delay, free CPU, unlimited
//! bandwidth, Poisson arrivals and a ledger that accepts.

use quorate_core::{
    Arrival, Cell, Class, ClassId, Costs, Domain, Draws, Engine, EntityId, Finality, Kind, Ledger,
    Level, Load, NodeId, Seed, Span, State, Time, Verdict, dist, math,
};
use quorate_kernel::probe::{Probe, SLICES};
use quorate_kernel::{
    Forms, MempoolConfig, NetworkConfig, Report, RunLimits, Setup, Simulation, VoteChecks,
};

/// Arrivals of a run.
#[derive(Clone, Copy, Debug)]
pub struct Offered {
    /// All arrivals per second; 0 for none.
    pub rate: f64,
    /// Sites, which submit at random.
    pub sites: u32,
    /// Of 1,000 arrivals, how many are watched writes.
    pub watched: u64,
    /// Of 1,000 arrivals, how many are reads.
    pub reads: u64,
    /// How many entities are written and read.
    pub keys: u64,
    /// Bytes of one transaction.
    pub bytes: u16,
    /// Microseconds of its execution.
    pub exec_us: u16,
    /// When a transaction is too old.
    pub expiry: Option<Span>,
    /// Whether every transaction that is accepted has a consequence.
    pub reacts: bool,
    /// Whether all that is written to an entity comes from one site.
    pub local: bool,
}

impl Offered {
    /// No arrivals.
    pub const NOTHING: Self = Self {
        rate: 0.0,
        sites: 1,
        watched: 0,
        reads: 0,
        keys: 1,
        bytes: 250,
        exec_us: 0,
        expiry: None,
        reacts: false,
        local: false,
    };
}

/// Poisson arrivals at random sites.
pub struct Poisson {
    offered: Offered,
    classes: [Class; 3],
    draws: Draws,
    at: Time,
}

impl Poisson {
    /// The arrivals under a seed.
    pub fn new(offered: Offered, seed: Seed) -> Self {
        let class = |name, kind| Class {
            name,
            kind,
            expiry: offered.expiry,
            tells: "",
        };
        Self {
            offered,
            classes: [
                class("write", Kind::Write),
                class("watched", Kind::WatchedWrite),
                class("read", Kind::Read),
            ],
            draws: seed.stream("arrivals", 0),
            at: Time::ZERO,
        }
    }
}

impl Load for Poisson {
    fn classes(&self) -> &[Class] {
        &self.classes
    }

    fn sites(&self) -> u32 {
        self.offered.sites
    }

    fn next(&mut self) -> Option<Arrival> {
        if self.offered.rate <= 0.0 {
            return None;
        }
        let gap = dist::exponential(1.0 / self.offered.rate, &mut self.draws);
        self.at += Span::from_s_f64(gap);
        let word = self.draws.bits();
        let kind = word % 1_000;
        let class = match kind {
            k if k < self.offered.watched => 1,
            k if k < self.offered.watched + self.offered.reads => 2,
            _ => 0,
        };
        let key = (word >> 10) % self.offered.keys;
        let site = if self.offered.local && class != 2 {
            key
        } else {
            word >> 32
        };
        Some(Arrival {
            at: self.at,
            key: EntityId::new(key as u32),
            operand: (word >> 40) as u32,
            bytes: self.offered.bytes,
            exec_us: self.offered.exec_us,
            site: (site % u64::from(self.offered.sites)) as u16,
            class: ClassId(class),
            action: 0,
        })
    }

    fn local(&self) -> &[ClassId] {
        if self.offered.local {
            &[ClassId(0), ClassId(1)]
        } else {
            &[]
        }
    }

    fn reacts(&self) -> bool {
        self.offered.reacts
    }

    fn react(&mut self, outcome: &quorate_core::Outcome, arrivals: &mut Vec<Arrival>) {
        // One consequence a second later, itself without one.
        if outcome.arrival.action == 0 && outcome.verdict == Verdict::Valid {
            arrivals.push(Arrival {
                at: outcome.final_at + Span::from_ms(u64::from(outcome.arrival.operand % 4) * 500),
                action: 1,
                ..outcome.arrival
            });
        }
    }
}

/// Accepts everything and keeps nothing.
pub struct Accept;

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

/// One record for each entity, whose content depends on the order of all writes; refuses some.
pub struct Register;

impl Ledger for Register {
    fn reasons(&self) -> &[&'static str] {
        &["even record", "odd operand"]
    }

    fn preload(&self, entity: EntityId) -> Cell {
        Cell::from(entity.get() + 1)
    }

    fn preloaded(&self) -> u32 {
        8
    }

    fn apply(&self, tx: &Arrival, now: Time, state: &mut dyn State) -> Verdict {
        match self.step(tx, now, state.get(tx.key)) {
            Ok(cell) => state.set(tx.key, cell),
            Err(reason) => return Verdict::Rejected(reason),
        }
        Verdict::Valid
    }

    fn is_alone(&self) -> bool {
        true
    }

    fn step(&self, tx: &Arrival, _: Time, cell: Cell) -> Result<Cell, u8> {
        if cell.is_multiple_of(7) && tx.operand.is_multiple_of(3) {
            return Err(u8::from(tx.operand % 2 == 1));
        }
        Ok(cell.wrapping_mul(31).wrapping_add(Cell::from(tx.operand)))
    }

    fn allows(&self, cell: Cell, _: Time) -> bool {
        !cell.is_multiple_of(3)
    }
}

/// What a test varies.
#[derive(Clone, Debug)]
pub struct World {
    /// Everything the kernel is told.
    pub setup: Setup,
    /// What arrives.
    pub offered: Offered,
    /// Whether the ledger keeps a record for each entity and refuses some writes.
    pub register: bool,
    /// Makes the domain that is shown the final order.
    pub domain: Option<fn() -> Box<dyn Domain>>,
}

impl World {
    /// `n` nodes that are `delay` apart, one site at node 0, nothing submitted.
    pub fn new(n: u32, delay: Span, horizon: Span) -> Self {
        let network = NetworkConfig::alike(vec![0; n as usize], vec![vec![delay]], 0, 0);
        let setup = Setup {
            network,
            cores: 1,
            cpu_speed: 1,
            costs: Costs::FREE,
            vote_checks: VoteChecks::OwnCore,
            mempool: MempoolConfig::UNLIMITED,
            endorse: None,
            faults: Vec::new(),
            corrupt: Vec::new(),
            finality: Finality::Commit,
            tolerated: 0,
            serving: vec![NodeId::new(0)],
            horizon: Time::ZERO + horizon,
            drain: Span::from_s(1_000_000_000),
            may_cut: false,
            read_level: Level::Final,
            view_age: None,
            limits: RunLimits {
                events: u64::MAX,
                pending: usize::MAX,
            },
            forms: Forms::FAST,
            trace: None,
            seed: Seed::new(1, 0),
        };
        Self {
            setup,
            offered: Offered::NOTHING,
            register: false,
            domain: None,
        }
    }

    /// Blocks are final under so many blocks.
    pub fn depth(mut self, safe: u32, fin: u32) -> Self {
        self.setup.finality = Finality::Depth { safe, fin };
        self
    }

    /// One site at each of the first `sites` nodes, together `rate` transactions per second.
    pub fn offered(mut self, rate: f64, sites: u32) -> Self {
        self.offered = Offered {
            rate,
            sites,
            ..self.offered
        };
        self.setup.serving = (0..sites).map(NodeId::new).collect();
        self
    }

    /// Under another seed.
    pub fn seed(mut self, master: u64) -> Self {
        self.setup.seed = Seed::new(master, 0);
        self
    }

    /// Something is wrong for a while.
    pub fn fault(mut self, fault: quorate_core::Fault) -> Self {
        self.setup.faults.push(fault);
        self
    }

    /// Nodes are down from one instant to another, or for good.
    pub fn crash(mut self, nodes: &[u32], from: Span, until: Option<Span>) -> Self {
        self.setup.faults.push(quorate_core::Fault {
            from: Time::ZERO + from,
            until: until.map_or(Time::NEVER, |u| Time::ZERO + u),
            what: quorate_core::FaultKind::Crash(nodes.to_vec()),
        });
        self
    }

    /// Nodes are cut off from the others for a while.
    pub fn partition(mut self, nodes: &[u32], from: Span, until: Span) -> Self {
        self.setup.faults.push(quorate_core::Fault {
            from: Time::ZERO + from,
            until: Time::ZERO + until,
            what: quorate_core::FaultKind::Partition(nodes.to_vec()),
        });
        self
    }

    /// Runs an engine in it.
    pub fn run<E: Engine>(&self, config: &E::Config) -> Report {
        let load = Poisson::new(self.offered, self.setup.seed);
        let ledger: &dyn Ledger = if self.register { &Register } else { &Accept };
        let mut sim = Simulation::<E>::new(config, self.setup.clone(), Box::new(load), ledger);
        if let Some(domain) = self.domain {
            sim.show(domain());
        }
        sim.run();
        sim.finish()
    }
}

/// Mean final latency in seconds over all arrivals but the first tenth, and its standard error by
/// the means of 18 batches.
pub fn mean_latency(probe: &Probe) -> (f64, f64) {
    let series = probe.latency_series_us();
    let weigh = |slices: &[usize]| {
        let n: u64 = slices.iter().map(|&i| probe.offered[i]).sum();
        let sum: f64 = slices
            .iter()
            .map(|&i| series[i] * probe.offered[i] as f64)
            .sum();
        sum / n as f64 / 1e6
    };
    let kept: Vec<usize> = (SLICES / 10..SLICES).collect();
    let means: Vec<f64> = kept.chunks(kept.len() / 18).map(weigh).collect();
    let (_, sd) = moments(&means);
    (weigh(&kept), sd / math::sqrt(means.len() as f64))
}

/// Mean and standard deviation.
pub fn moments(samples: &[f64]) -> (f64, f64) {
    let n = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / n;
    let var = samples.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0);
    (mean, math::sqrt(var))
}

/// The value at a quantile of sorted samples.
pub fn quantile(sorted: &[f64], p: f64) -> f64 {
    sorted[(p * sorted.len() as f64) as usize]
}

/// Asserts `got` in `want ± band`, and shows the figures of a run with `--nocapture`.
#[track_caller]
#[allow(
    clippy::print_stderr,
    reason = "the figures are what such a test is read for"
)]
pub fn within(id: &str, got: f64, want: f64, band: f64) {
    eprintln!(
        "{id:<14} got {got:<14.7} want {want:<14.7} ± {band:<12.6} {:+.2} σ",
        4.0 * (got - want) / band.max(f64::MIN_POSITIVE)
    );
    assert!(
        (got - want).abs() <= band,
        "{id}: {got} is not {want} ± {band}"
    );
}
