//! The event queue in the hold model: pop the first of `pending` entries, push one a random
//! distance later. One unit of work is one hold, the draw and the hash (about 3 ns) included.
//!
//! Goals: at least 40 M holds/s at up to 10^4 pending and 28 M at 10^6. Measured, in M holds/s:
//!
//! | law | pending | queue | standard heap | ratio |
//! |---|---|---|---|---|
//! | exponential | 10^2 | 28–43 | 20–33 | 1.1–1.4 |
//! | exponential | 10^4 | 32–51 | 13–20 | 2.4–2.6 |
//! | exponential | 10^6 | 18–32 | 1.1–3.9 | 8–17 |
//! | constant | 10^2 | 36–52 | 33–49 | 0.8–1.1 |
//! | constant | 10^4 | 29–48 | 18–30 | 1.5–2.3 |
//! | constant | 10^6 | 17–28 | 1.1–2.7 | 9–16 |
//! | mixed | 10^2 | 42–64 | 29–44 | 1.5 |
//! | mixed | 10^4 | 26–50 | 11–18 | 2.3–2.8 |
//! | mixed | 10^6 | 21–36 | 0.9–2.7 | 12–23 |
//!
//! Reached in every row by the best of the runs, by none of them in all rows at once.
//!
//! Non-goals: bursts, ties and floods; the queue's own tests and [`crate::network`] have those.

use crate::{Case, Outcome, Scale, stir};
use core::fmt;
use quorate_core::dist::Quantiles;
use quorate_core::hash::mix;
use quorate_kernel::queue::{Entry, Queue};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;

/// How far ahead entries are pushed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Law {
    /// Exponential, mean 50 ms.
    Exponential,
    /// 50 ms ± 1 %.
    Constant,
    /// Network and timers: 90 % 5 to 300 ms, 8 % 1 to 10 s, 2 % exponential, mean 600 s.
    Mixed,
}

impl Law {
    /// All laws.
    pub const ALL: [Self; 3] = [Self::Exponential, Self::Constant, Self::Mixed];
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exponential => "exponential",
            Self::Constant => "constant",
            Self::Mixed => "mixed",
        })
    }
}

/// A priority queue of entries.
pub trait Pending: Default {
    /// Adds an entry.
    fn push(&mut self, entry: Entry);
    /// Removes the least entry.
    fn pop(&mut self) -> Option<Entry>;
}

impl Pending for Queue {
    fn push(&mut self, entry: Entry) {
        Self::push(self, entry);
    }

    fn pop(&mut self) -> Option<Entry> {
        Self::pop(self)
    }
}

/// The standard heap at its best: 16 bytes that compare as one integer.
#[derive(Default)]
pub struct StdHeap(BinaryHeap<Reverse<u128>>);

impl Pending for StdHeap {
    fn push(&mut self, entry: Entry) {
        let rank = u128::from(entry.time_ns) << 64 | u128::from(entry.key);
        self.0.push(Reverse(rank));
    }

    fn pop(&mut self) -> Option<Entry> {
        let Reverse(rank) = self.0.pop()?;
        Some(Entry {
            time_ns: (rank >> 64) as u64,
            key: rank as u64,
        })
    }
}

/// Distances by counter.
struct Distances {
    law: Law,
    short: Quantiles,
    long: Quantiles,
    counter: u64,
}

impl Distances {
    fn new(law: Law) -> Self {
        Self {
            law,
            short: Quantiles::exponential((50 * MS) as f64),
            long: Quantiles::exponential((600 * S) as f64),
            counter: 0,
        }
    }

    /// A distance, and a key that tells entries apart.
    fn next(&mut self) -> (u64, u64) {
        self.counter += 1;
        let raw = mix(self.counter.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let uniform = |from: u64, to: u64| from + (((raw >> 32) * ((to - from) >> 8)) >> 24);
        // The tables have 1,024 steps; the low bits keep entries off each other's nanosecond.
        let smear = raw & 0xffff;
        let distance = match (self.law, raw % 100) {
            (Law::Exponential, _) => self.short.at(raw) + smear,
            (Law::Constant, _) => uniform(99 * MS / 2, 101 * MS / 2),
            (Law::Mixed, 0..90) => uniform(5 * MS, 300 * MS),
            (Law::Mixed, 90..98) => uniform(S, 10 * S),
            (Law::Mixed, _) => self.long.at(raw) + smear,
        };
        (distance, raw)
    }
}

/// A filled queue.
pub struct Hold<Q> {
    queue: Q,
    distances: Distances,
    hash: u64,
}

impl<Q: Pending> Hold<Q> {
    /// A queue with `pending` entries, as far ahead as the law says.
    pub fn new(pending: u64, law: Law) -> Self {
        let mut hold = Self {
            queue: Q::default(),
            distances: Distances::new(law),
            hash: 0,
        };
        for _ in 0..pending {
            hold.push(0);
        }
        hold
    }

    fn push(&mut self, now: u64) {
        let (distance, key) = self.distances.next();
        let time_ns = now + distance;
        self.queue.push(Entry { time_ns, key });
    }

    /// Pops and pushes `ops` times; the hash is of all pops so far, in their order.
    pub fn run(&mut self, ops: u64) -> Outcome {
        for _ in 0..ops {
            let first = self.queue.pop().expect("a hold never empties the queue");
            self.hash = stir(self.hash, first.time_ns ^ first.key);
            self.push(first.time_ns);
        }
        Outcome {
            work: ops,
            hash: self.hash,
            events: 0,
        }
    }
}

/// Fills a queue of the kernel and holds.
pub fn hold(pending: u64, ops: u64, law: Law) -> Outcome {
    Hold::<Queue>::new(pending, law).run(ops)
}

/// The same with the standard heap.
pub fn std_heap_hold(pending: u64, ops: u64, law: Law) -> Outcome {
    Hold::<StdHeap>::new(pending, law).run(ops)
}

/// Cases of the queue, each beside the standard heap.
pub fn cases(scale: Scale) -> Vec<Case> {
    let mut cases = Vec::new();
    for law in Law::ALL {
        for (smoke, real) in [(10, 100), (100, 10_000), (1_000, 1_000_000)] {
            let pending = scale.of(smoke, real);
            let ops = scale.of(5_000, 500_000);
            cases.push(case::<Queue>("queue::hold", pending, ops, law));
            cases.push(case::<StdHeap>("queue::std_heap_hold", pending, ops, law));
        }
    }
    cases
}

/// Holds on a queue that lasts; only the first run also fills it.
fn case<Q: Pending + 'static>(operation: &'static str, pending: u64, ops: u64, law: Law) -> Case {
    let mut filled: Option<Hold<Q>> = None;
    Case::new(
        operation,
        format!("law={law} pending={pending}"),
        move || {
            filled
                .get_or_insert_with(|| Hold::new(pending, law))
                .run(ops)
        },
    )
}
