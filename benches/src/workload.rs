//! The hospital workload alone, without an engine: its arrivals, and the rules of its ledger.
//!
//! Goal: none of its own. Documents measured: 11–18 M arrivals/s, and 24–42 M judged writes/s, the copy of
//! 16 MB of state included.
//!
//! Non-goals: traces, and the shapes of days and weeks.

use crate::world::SEED;
use crate::{Case, Outcome, Scale, stir};
use quorate_core::{Arrival, Cell, EntityId, Ledger, Load, State, Verdict};
use quorate_workloads::Rate;
use quorate_workloads::hospital::{Config, Hospital, Preset};

/// Writes per second: the busiest hour of a region.
const RATE: Rate = Rate::Flat { per_s: 33.0 };

/// The catchment of a hospital: 250,000 patients, 64 bytes of state each.
fn open(reads_per_write: f64) -> Hospital {
    let config = Config {
        reads_per_write,
        ..Config::preset(Preset::Hospital)
    };
    Hospital::new(&config, RATE, SEED).expect("the preset is in range")
}

fn generate(load: &mut Hospital, arrivals: u64, hash: &mut u64) -> Outcome {
    for arrival in (0..arrivals).map_while(|_| load.next()) {
        let where_to = u64::from(arrival.key.get()) << 32 | u64::from(arrival.operand);
        *hash = stir(
            stir(*hash, arrival.at.ns()),
            where_to ^ u64::from(arrival.site) << 24,
        );
    }
    Outcome {
        work: arrivals,
        hash: *hash,
        events: 0,
    }
}

/// Generates so many arrivals, one read a write. One unit of work is one arrival.
pub fn hospital(arrivals: u64) -> Outcome {
    generate(&mut open(1.0), arrivals, &mut 0)
}

/// A state that is one row of records.
struct Dense(Vec<Cell>);

impl State for Dense {
    fn get(&self, entity: EntityId) -> Cell {
        self.0.get(entity.index()).copied().unwrap_or(0)
    }

    fn set(&mut self, entity: EntityId, cell: Cell) {
        if entity.index() >= self.0.len() {
            self.0.resize(entity.index() + 1, 0);
        }
        self.0[entity.index()] = cell;
    }
}

/// Writes in the order of submission, the state before them, and the rules.
pub struct Docket {
    writes: Vec<Arrival>,
    preloaded: Vec<Cell>,
    rules: Box<dyn Ledger>,
}

impl Docket {
    /// So many writes.
    pub fn new(writes: u64) -> Self {
        let mut load = open(0.0);
        let rules = load.rules();
        let records = (0..rules.preloaded()).map(|id| rules.preload(EntityId::new(id)));
        Self {
            preloaded: records.collect(),
            writes: (0..writes).map_while(|_| load.next()).collect(),
            rules: Box::new(rules),
        }
    }

    /// Copies the state and applies all writes. One unit of work is one write.
    pub fn judge(&self) -> Outcome {
        let mut state = Dense(self.preloaded.clone());
        let verdict = |hash, tx: &Arrival| {
            let verdict = match self.rules.apply(tx, tx.at, &mut state) {
                Verdict::Valid => 1,
                Verdict::Expired => 2,
                Verdict::Rejected(reason) => 3 + u64::from(reason),
            };
            stir(hash, verdict)
        };
        Outcome {
            work: self.writes.len() as u64,
            hash: self.writes.iter().fold(0, verdict),
            events: 0,
        }
    }
}

/// Judges so many writes.
pub fn judge(writes: u64) -> Outcome {
    Docket::new(writes).judge()
}

/// Cases of the workload.
pub fn cases(scale: Scale) -> Vec<Case> {
    let arrivals = scale.of(2_000, 500_000);
    let (mut opened, mut hash) = (None, 0);
    let hospital = move || {
        let load = opened.get_or_insert_with(|| open(1.0));
        generate(load, arrivals, &mut hash)
    };
    let writes = scale.of(2_000, 1_000_000);
    let mut docket = None;
    let judge = move || docket.get_or_insert_with(|| Docket::new(writes)).judge();
    vec![
        Case::new(
            "workload::hospital",
            format!("arrivals={arrivals}"),
            hospital,
        ),
        Case::new("workload::judge", format!("writes={writes}"), judge),
    ]
}
