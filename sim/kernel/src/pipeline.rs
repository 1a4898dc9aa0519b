//! The way of transactions through the parts of the kernel without an engine: pool, block, state,
//! histogram. For measurements of these parts; [`crate::Simulation`] is what runs.

use crate::book::Book;
use crate::classes::Classes;
use crate::faults::Faults;
use crate::pending::take_plain;
use crate::pool::{MempoolConfig, Place, Pool};
use crate::probe::{Levels, Probe, SLICES};
use crate::views::Expiry;
use quorate_core::{
    Arrival, Block, BlockKey, Blocks, Class, ClassId, Ledger, Limits, NodeId, Seed, Span, Time,
};

/// One producer, whose blocks are final when they are made.
pub struct Pipeline<'a> {
    classes: Vec<Class>,
    all: Classes,
    pool: Pool,
    book: Option<Book<'a>>,
    probe: Probe,
    blocks: Blocks<()>,
    faults: Faults,
    /// Up to where the last block goes, and the next one, by site.
    marks: [Vec<u32>; 2],
    order: Vec<Place>,
    /// Slices that are over, and the end of the next one.
    slices: usize,
    slice_end: Time,
}

impl<'a> Pipeline<'a> {
    /// For writes of these classes before `horizon`, which the producer sees after the delay of their site.
    /// With a `ledger`, whose rules must be alone and refuse nothing, blocks are put in order and executed.
    pub fn new(
        classes: &[Class],
        delays: Vec<Span>,
        horizon: Time,
        ledger: Option<&'a dyn Ledger>,
    ) -> Self {
        let serving: Vec<NodeId> = (0..delays.len() as u32).map(NodeId::new).collect();
        let sites = serving.len();
        let known = (delays, None);
        let unlimited = &MempoolConfig::UNLIMITED;
        let probe = Probe::new(classes, 0, horizon, false);
        Self {
            all: Classes::of((0..classes.len() as u8).map(ClassId)),
            classes: classes.to_vec(),
            pool: Pool::new(&serving, 1, unlimited, Seed::new(0, 0), known),
            book: ledger.map(|ledger| Book::new(ledger, true)),
            slice_end: probe.slice_end(0),
            probe,
            blocks: Blocks::new(()),
            faults: Faults::new(Vec::new()),
            marks: [vec![0; sites], vec![0; sites]],
            order: Vec::new(),
            slices: 0,
        }
    }

    /// Takes in what arrives next, in order.
    pub fn take_in(&mut self, mut arrivals: &[Arrival]) {
        while let Some(first) = arrivals.first() {
            while first.at >= self.slice_end {
                self.slices += 1;
                self.slice_end = match self.slices {
                    SLICES.. => Time::NEVER,
                    slice => self.probe.slice_end(slice),
                };
            }
            let until = (Time::NEVER, self.slice_end);
            let parts = (&mut self.probe, &mut self.pool);
            arrivals = &arrivals[take_plain(arrivals, &self.all, until, parts)..];
        }
    }

    /// Makes a block of what the producer has seen by `now` and what fits, first in, first out; how many
    /// transactions that are.
    pub fn cut(&mut self, now: Time, limits: &Limits) -> u32 {
        let [from, to] = &mut self.marks;
        let (sum, _) = (self.pool).fill(&self.faults, to, NodeId::new(0), now, limits);
        let parent = self.blocks.last();
        let height = self.blocks.get(parent).height + 1;
        let block = self.blocks.push(Block {
            key: BlockKey {
                creator: NodeId::new(0),
                sequence: height,
            },
            parent: Some(parent),
            height,
            timestamp: now,
            header: (),
            bytes: sum.bytes,
            txs: sum.txs,
            exec: Span::from_us(sum.exec_us),
        });
        if let Some(book) = &mut self.book {
            let (pool, expiry) = (&mut self.pool, Expiry::of(&self.classes));
            pool.order(&self.faults, (from, to), NodeId::new(0), &mut self.order);
            book.execute(&self.blocks, pool, block, &self.order, expiry);
            assert!(!book.has_refused(block), "rules that refuse something");
            book.settle(&self.blocks, block, |_, _| {});
        }
        for (site, (from, to)) in (0..).zip(from.iter_mut().zip(to.iter())) {
            for txs in self.pool.slices(site, *from, *to) {
                self.probe.latencies((Levels::ALL, true), txs, now);
            }
            self.pool.retire(site, *to, now);
            *from = *to;
        }
        self.probe.valid(u64::from(sum.txs), now);
        self.blocks.retire_before(parent);
        sum.txs
    }

    /// What was measured.
    pub fn finish(mut self) -> Probe {
        self.probe.close();
        self.probe
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_core::{Cell, EntityId, Kind, Level, State, Verdict};

    /// Counts what it is asked, in the order in which it is.
    struct Chain;

    impl Ledger for Chain {
        fn reasons(&self) -> &[&'static str] {
            &["odd"]
        }

        fn preload(&self, _: EntityId) -> Cell {
            1
        }

        fn preloaded(&self) -> u32 {
            3
        }

        fn apply(&self, tx: &Arrival, now: Time, state: &mut dyn State) -> Verdict {
            match self.step(tx, now, state.get(tx.key)) {
                Ok(cell) => {
                    state.set(tx.key, cell);
                    Verdict::Valid
                }
                Err(reason) => Verdict::Rejected(reason),
            }
        }

        fn is_alone(&self) -> bool {
            true
        }

        fn step(&self, tx: &Arrival, _: Time, cell: Cell) -> Result<Cell, u8> {
            Ok(cell.wrapping_mul(31).wrapping_add(Cell::from(tx.operand)))
        }
    }

    /// Blocks that hold seven transactions each, of sites at different distances: latencies, counts and
    /// records are those of a queue.
    #[test]
    fn it_is_a_queue() {
        let class = Class {
            name: "a",
            kind: Kind::Write,
            expiry: None,
            tells: "",
        };
        let txs: Vec<Arrival> = (0..100_u32)
            .map(|i| Arrival {
                at: Time::from_ns(u64::from(i) * 10_000_000),
                key: EntityId::new(i % 3),
                operand: i,
                bytes: 100,
                exec_us: 1,
                site: (i * 7 % 5) as u16,
                class: ClassId(0),
                action: 0,
            })
            .collect();
        let limits = Limits {
            bytes: 799,
            txs: u32::MAX,
            exec: Span::from_s(1),
        };
        let delay = |site: u16| Span::from_ms(13 * u64::from(site));
        let seen = |tx: &Arrival| tx.at + delay(tx.site);
        let end = Time::from_ns(1_000_000_000);
        let delays = (0..5).map(delay).collect();
        let mut pipeline = Pipeline::new(&[class], delays, end, Some(&Chain));
        pipeline.take_in(&txs);
        let mut txs = txs;
        txs.sort_by_key(|tx| (seen(tx), tx.site));
        let (mut want, mut cut) = (Vec::new(), 0);
        for block in 1..=15_u64 {
            let now = Time::from_ns(block * 200_000_000);
            let seen = txs.iter().filter(|tx| seen(tx) <= now).count();
            let fits = seen.min(cut + 7);
            want.extend(
                txs[cut..fits]
                    .iter()
                    .map(|tx| now.since(tx.at).ns() / 1_000),
            );
            assert_eq!(pipeline.cut(now, &limits) as usize, fits - cut);
            cut = fits;
        }
        assert_eq!(cut, txs.len());
        let book = pipeline.book.as_ref().expect("there is a ledger");
        for key in 0..3 {
            let mine = txs.iter().filter(|tx| tx.key.get() == key);
            let cell = mine.fold(1, |cell, tx| {
                Chain.step(tx, Time::ZERO, cell).expect("no rule refuses")
            });
            let head = pipeline.blocks.last();
            assert_eq!(book.read(&pipeline.blocks, head, EntityId::new(key)), cell);
        }
        let probe = pipeline.finish();
        let counts = &probe.classes[0];
        assert_eq!((counts.submitted, counts.valid), (100, 100));
        let latency = &counts.latency[Level::Final as usize];
        want.sort_unstable();
        assert_eq!(latency.len(), 100);
        assert!(latency.max().abs_diff(want[99]) <= want[99] / 1_000);
        let mean = want.iter().sum::<u64>() as f64 / 100.0;
        assert!((latency.mean() / mean - 1.0).abs() < 1e-3);
    }
}
