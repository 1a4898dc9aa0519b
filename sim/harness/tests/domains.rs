//! What a domain is shown: the final order once, with what a site's view said at submission.

use quorate::validate::world::World;
use quorate_consensus::nakamoto::{self, Nakamoto};
use quorate_consensus::qbft::{self, Qbft};
use quorate_core::{
    Arrival, Cell, Class, ClassId, Domain, Engine, EntityId, Kind, Ledger, Level, Load, Measure,
    NodeId, Ordered, Shown, Span, State, Tell, Time, Unit, Verdict,
};
use quorate_kernel::{Report, Simulation};
use std::cell::RefCell;
use std::rc::Rc;

/// Packs that are handed out at given instants: (ms, site, pack).
struct Dispenses(std::vec::IntoIter<(u64, u16, u32)>);

impl Load for Dispenses {
    fn classes(&self) -> &[Class] {
        const CLASSES: [Class; 2] = [
            Class {
                name: "dispense",
                kind: Kind::Write,
                expiry: None,
                tells: "",
            },
            Class {
                name: "note",
                kind: Kind::Write,
                expiry: None,
                tells: "",
            },
        ];
        &CLASSES
    }

    fn sites(&self) -> u32 {
        2
    }

    fn next(&mut self) -> Option<Arrival> {
        let (ms, site, pack) = self.0.next()?;
        Some(Arrival {
            at: at(ms),
            key: EntityId::new(pack),
            operand: 0,
            bytes: 100,
            exec_us: 0,
            site,
            class: ClassId(u8::from(pack == NOTE)),
            action: 0,
        })
    }
}

/// The key of transactions of the other class.
const NOTE: u32 = 9;

/// A pack is handed out once.
struct Once;

impl Ledger for Once {
    fn reasons(&self) -> &[&'static str] {
        &["dispensed before"]
    }

    fn preload(&self, _: EntityId) -> Cell {
        0
    }

    fn preloaded(&self) -> u32 {
        0
    }

    fn apply(&self, tx: &Arrival, _: Time, state: &mut dyn State) -> Verdict {
        if state.get(tx.key) != 0 {
            return Verdict::Rejected(0);
        }
        state.set(tx.key, 1);
        assert_eq!(state.get(tx.key), 1, "a rule reads what it wrote");
        Verdict::Valid
    }
}

/// One that was shown: when submitted, when ordered, the view's verdict and the final one.
type Entry = (Time, Time, Option<Verdict>, Verdict);
type Log = Rc<RefCell<Vec<Entry>>>;

struct Logged {
    log: Log,
    shown: [Shown; 2],
}

const RACES: [Measure; 2] = [
    Measure {
        name: "race_lost",
        what: "allowed on the view, refused in the end",
        unit: Unit::Share,
        source: "test",
        moved_by: "delay",
    },
    Measure {
        name: "ordered_after_ms",
        what: "from submission until the block that has it",
        unit: Unit::Time,
        source: "test",
        moved_by: "delay",
    },
];

impl Domain for Logged {
    fn measures(&self) -> &'static [Measure] {
        &RACES
    }

    fn shown(&self, class: ClassId) -> Shown {
        self.shown[class.index()]
    }

    fn ordered(&mut self, next: &Ordered<'_>, tell: &mut dyn Tell) {
        let (at, view) = (next.tx.at, next.view);
        let logged = (at, next.block_at, view, next.verdict);
        self.log.borrow_mut().push(logged);
        let lost = view == Some(Verdict::Valid) && next.verdict != Verdict::Valid;
        tell.case(0, at, lost);
        tell.time(1, at, next.block_at.since(at));
    }

    fn end(&mut self, tell: &mut dyn Tell) {
        tell.case(0, Time::ZERO, true);
    }
}

const fn at(ms: u64) -> Time {
    Time::from_ns(ms * 1_000_000)
}

fn run<E: Engine>(
    world: World,
    config: &E::Config,
    txs: Vec<(u64, u16, u32)>,
    shown: [Shown; 2],
) -> (Report, Vec<Entry>) {
    let load = Box::new(Dispenses(txs.into_iter()));
    let mut sim = Simulation::<E>::new(config, world.setup, load, &Once);
    let log = Log::default();
    sim.show(Box::new(Logged {
        log: Rc::clone(&log),
        shown,
    }));
    sim.run();
    let report = sim.finish();
    let log = log.take();
    (report, log)
}

/// Four nodes 50 ms apart, a block a second, sites at the first two.
fn world() -> World {
    let mut world = World::new(4, Span::from_ms(50), Span::from_s(20));
    world.setup.serving = vec![NodeId::new(0), NodeId::new(1)];
    world
}

fn every_second() -> qbft::Config {
    qbft::Config {
        period_ms: 1_000,
        ..qbft::Config::default()
    }
}

const VALID: Verdict = Verdict::Valid;
const LATE: Verdict = Verdict::Rejected(0);

/// A race is lost within the block's way; later the view knows; a site that is down has none; what is
/// not asked for is not shown.
#[test]
fn a_view_says_what_its_site_knew() {
    let world = world().crash(&[1], Span::from_ms(8_500), Some(Span::from_ms(9_500)));
    let txs = vec![
        (200, 0, 1),
        (300, 1, 1),
        (400, 0, NOTE),
        (5_000, 1, 1),
        (9_000, 1, 2),
        (12_000, 0, 2),
    ];
    let (report, log) = run::<Qbft>(world, &every_second(), txs, [Shown::Acted, Shown::Nothing]);
    let verdicts: Vec<_> = log.iter().map(|l| (l.0, l.2, l.3)).collect();
    assert_eq!(
        verdicts,
        [
            (at(200), Some(VALID), VALID),
            (at(300), Some(VALID), LATE),
            (at(5_000), Some(LATE), LATE),
            (at(9_000), None, VALID),
            (at(12_000), Some(LATE), LATE),
        ]
    );
    let told = &report.probe.domain;
    // One race, and what the end tells.
    assert_eq!((told[0].cases, told[0].hits), (6, 2));
    assert_eq!(told[1].times.len(), 5);
}

/// Classes without an act have no view; what is submitted after the measured span is told and left out.
#[test]
fn only_acts_have_a_view_and_only_the_span_is_measured() {
    let txs = vec![(200, 0, 1), (400, 0, NOTE), (19_500, 1, 3), (19_700, 0, 4)];
    let mut world = world();
    world.setup.horizon = at(19_600);
    let shown = [Shown::Ordered, Shown::Acted];
    let (report, log) = run::<Qbft>(world, &every_second(), txs, shown);
    let views: Vec<_> = log.iter().map(|l| (l.0, l.2)).collect();
    let (note, last) = ((at(400), Some(VALID)), (at(19_700), None));
    assert_eq!(views, [(at(200), None), note, (at(19_500), None), last]);
    assert_eq!(report.probe.domain[1].times.len(), 3);
}

/// A domain that wants nothing is shown nothing, and none changes what happens.
#[test]
fn a_domain_only_looks() {
    let txs = || vec![(200, 0, 1), (300, 1, 1), (400, 0, NOTE)];
    let with = |shown| run::<Qbft>(world(), &every_second(), txs(), shown);
    let (none, nothing) = with([Shown::Nothing; 2]);
    let (all, everything) = with([Shown::Acted; 2]);
    assert_eq!((nothing.len(), everything.len()), (0, 3));
    assert_eq!((none.digest, none.ended), (all.digest, all.ended));
}

/// The view is that which the site serves: one node learns of its own block at once, and calls it final
/// a block later.
#[test]
fn the_view_is_the_one_that_is_served() {
    let tries: Vec<_> = (0..200).map(|i| (i * 50, 0, 1)).collect();
    let config = nakamoto::Config {
        block_interval_s: 1.0,
        ..nakamoto::Config::default()
    };
    let allowed = |level| {
        let mut world = World::new(1, Span::ZERO, Span::from_s(20)).depth(1, 2);
        world.setup.serving = vec![NodeId::new(0); 2];
        world.setup.read_level = level;
        let (_, log) = run::<Nakamoto>(world, &config, tries.clone(), [Shown::Acted; 2]);
        assert_eq!(log.len(), 200);
        log
    };
    let head = allowed(Level::Included);
    let first = head[0].1;
    for (submitted, _, view, _) in &head {
        assert_eq!(*view == Some(VALID), *submitted <= first, "{submitted}");
    }
    // Blocks with transactions follow each other here, so that the second is the next that is shown.
    let second = head.iter().map(|l| l.1).find(|&b| b > first).expect("two");
    for (submitted, _, view, _) in allowed(Level::Final) {
        assert_eq!(view == Some(VALID), submitted <= second, "{submitted}");
    }
}
