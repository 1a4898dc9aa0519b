//! A drug supply chain: packs with serials, cases and pallets from manufacturer to dispenser,
//! verification at the counter, and what goes wrong: alerts, copies, returns and recalls.
//!
//! Each class is a Poisson process with a clock of its own. Goods pass through queues, and what a
//! transaction refers to was submitted at least [`Config::settle_s`] before or exists before the
//! first block: the generator knows no outcome. A tick that finds no such goods passes without an
//! arrival. Exceptions are deliberate: a second site that dispenses the same pack, copies of a
//! serial, and packs of a lot whose recall not everybody knows.
//!
//! A read names one record. Ordinary reads name the pack; while a recall of its lot settles they
//! name the lot, whose record then decides.

mod classes;
mod config;
mod hours;
mod stock;

pub use config::{Aggregation, Config, Granularity, Preset, Tracking};

use crate::arrivals::named;
use crate::custody::{Action, Chain, Custody, Terms, Trade};
use crate::registry::{Built, Setup, Spec};
use crate::{Error, Rate};
use classes::{Size, facts};
use core::cmp::Reverse;
use hours::Times;
use quorate_core::{Arrival, Class, ClassId, Draws, EntityId, Kind, Load, Seed, Span, Time};
use std::collections::BinaryHeap;
use std::sync::Arc;
use stock::{Goods, Line, Pack, Queue, Recalls, Stock, Transit};

const CLASSES: usize = Action::ALL.len();

/// So many more draws find a lot that is not recalled yet; the ledger refuses the rest.
// assumption: recalls concern few lots in all, and any as likely as any other.
const MORE_DRAWS: u32 = 15;

/// What a transaction is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Content {
    key: u32,
    operand: u32,
    site: u16,
}

/// The generator.
pub struct Pharma {
    classes: [Class; CLASSES],
    bytes: [u16; CLASSES],
    exec_us: [u16; CLASSES],
    clocks: Vec<Times>,
    /// When each class comes next, beside the clocks for the sake of the search.
    times: [Time; CLASSES],
    /// The write that comes next.
    write: Action,
    /// What each class draws besides its times.
    draws: Vec<Draws>,
    config: Config,
    clone_share: f64,
    /// Share of shipments that are pallets.
    pallet_share: f64,
    settle: Span,
    chain: Arc<Chain>,
    stock: Stock,
    transit: Transit,
    lines: Vec<Line>,
    next_pallet: u32,
    undoable: Queue,
    quarantined: Queue,
    recalls: Recalls,
    /// When the recall comes that the settings name.
    recall_at: Time,
    /// Follow-ups within seconds, the earliest on top; equals in the order of their numbers.
    racers: BinaryHeap<Reverse<(Time, u64, Action, Content)>>,
    raced: u64,
    idle: u64,
}

impl Pharma {
    /// A generator; the same arguments give the same arrivals.
    ///
    /// # Errors
    /// When a setting is out of its range; the error names it.
    pub fn new(config: &Config, rate: Rate, seed: Seed) -> Result<Self, Error> {
        config.check(rate)?;
        rate.check()?;
        let chain = Arc::new(config.chain(rate)?);
        let clocks = clocks(config, rate, seed);
        let serials = chain.packing().case.max(1);
        let [pallets, cases] = config.journeys();
        let mut pharma = Self {
            classes: Action::ALL.map(|action| class(action, config)),
            bytes: Action::ALL.map(|action| bytes(action, config, serials)),
            exec_us: Action::ALL.map(|action| exec_us(action, config, serials)),
            times: core::array::from_fn(|class| clocks[class].at()),
            clocks,
            write: Action::Commission,
            draws: Action::ALL
                .map(|a| seed.stream("content", named(facts(a).name)))
                .into(),
            clone_share: config.clone_share(),
            pallet_share: pallets / (pallets + cases),
            settle: Span::from_s_f64(config.settle_s),
            stock: Stock::preloaded(&chain),
            transit: Transit::preloaded(&chain),
            lines: Vec::new(),
            next_pallet: chain.end(),
            undoable: singles(&chain, chain.dispensed()),
            quarantined: singles(&chain, chain.quarantined()),
            recalls: Recalls::new(chain.lots().end),
            recall_at: match config.recall_at_s {
                Some(at_s) => Time::ZERO + Span::from_s_f64(at_s),
                None => Time::NEVER,
            },
            racers: BinaryHeap::with_capacity(1024),
            raced: 0,
            idle: 0,
            chain,
            config: config.clone(),
        };
        pharma.set_up_lines(seed);
        pharma.find_write();
        Ok(pharma)
    }

    /// The rules of the ledger that these arrivals belong to.
    pub fn rules(&self) -> Custody {
        let terms = Terms {
            tracked: self.config.tracking == Tracking::Custodian,
            recorded: self.config.is_recorded(),
            verified: self.config.verify_returns,
        };
        Custody::new(Arc::clone(&self.chain), terms)
    }

    /// What these arrivals are counted for.
    pub fn domain(&self) -> Trade {
        let within_s = self.config.race_s.max(self.config.clone_s);
        let within = Span::from_s_f64(within_s);
        Trade::new(Arc::clone(&self.chain), self.config.verify_returns, within)
    }

    /// Ticks so far that found no settled goods.
    pub const fn idle(&self) -> u64 {
        self.idle
    }

    /// Lines are found in the midst of their work.
    fn set_up_lines(&mut self, seed: Seed) {
        let mut draws = seed.stream("content", named("packaging line"));
        let (cases, each) = (self.cases_per_lot(), self.chain.packing().ids());
        self.lines = (0..self.config.lines)
            .map(|_| {
                let pallet = self.next_pallet;
                self.next_pallet += each;
                Line {
                    lot: self.chain.popular_lot(draws.open01(), draws.bits()),
                    left: 1 + draws.below(u64::from(cases)) as u32,
                    pallet,
                    filled: 0,
                }
            })
            .collect();
    }

    fn cases_per_lot(&self) -> u32 {
        self.config
            .lot_units
            .div_ceil(self.chain.packing().case.max(1))
    }

    /// Moves a class on to its next arrival.
    fn advance(&mut self, action: Action) {
        let class = action.index();
        self.clocks[class].advance();
        self.times[class] = self.clocks[class].at();
    }

    fn find_write(&mut self) {
        let mut first = Action::Commission;
        for &action in &Action::ALL[2..] {
            if self.times[action.index()] < self.times[first.index()] {
                first = action;
            }
        }
        self.write = first;
    }

    fn arrival(&self, action: Action, at: Time, content: Content) -> Arrival {
        let Content { key, operand, site } = content;
        let (bytes, exec_us) = self.costs(action, operand);
        Arrival {
            at,
            key: EntityId::new(key),
            operand,
            bytes,
            exec_us,
            site,
            class: ClassId(action as u8),
            action: action as u8,
        }
    }

    /// Size in bytes and execution in microseconds.
    fn costs(&self, action: Action, operand: u32) -> (u16, u16) {
        let (bytes, exec_us) = (self.bytes[action.index()], self.exec_us[action.index()]);
        let packing_us = || self.config.commission_us(operand) as u16;
        match action {
            Action::Aggregate => {
                let full = Size::Serials.bytes(operand);
                (self.config.payload.bytes(full), packing_us())
            }
            Action::Disaggregate => (bytes, packing_us()),
            _ => (bytes, exec_us),
        }
    }

    /// What the next arrival of a class is about; `None` if there are no goods for it.
    fn content(&mut self, action: Action, at: Time) -> Option<Content> {
        self.recalls.settle(at);
        match action {
            Action::Verify => self.verify(at),
            Action::Commission => Some(self.commission(at)),
            Action::Ship => self.ship(at),
            Action::Receive => self.receive(at),
            Action::Dispense => self.dispense(at),
            Action::Undo => self.undo(at),
            Action::Return => self.take_back(at),
            Action::Suspect => self.suspect(at),
            Action::Clear => self.clear(at),
            Action::Recall => Some(self.recall(at)),
            Action::Quarantine => self.quarantine(at),
            // These follow others.
            Action::Aggregate | Action::Disaggregate | Action::VerifyReturn => None,
        }
    }

    /// Packing or unpacking of so many, so many steps of settling later; when that has settled.
    fn pack(
        &mut self,
        action: Action,
        at: Time,
        steps: u32,
        id: u32,
        (n, site): (u32, u16),
    ) -> Time {
        let content = Content {
            key: id,
            operand: n,
            site,
        };
        self.follow(at, self.config.settle_s * f64::from(steps), action, content);
        at + self.settle * u64::from(steps + 1)
    }

    fn goods(&self, at: Time, pack: Pack) -> Goods {
        Goods {
            ready: at + self.settle,
            id: pack.id,
            lot: pack.lot,
            site: pack.site,
            leg: 0,
            cases: 0,
        }
    }

    /// Takes a pack out of stock that may still be sold.
    fn take(&mut self, action: Action, at: Time) -> Option<Pack> {
        let draws = &mut self.draws[action.index()];
        loop {
            let pack = self.stock.take(&self.chain, at, draws)?;
            if !self.recalls.is_withdrawn(pack.lot) {
                return Some(pack);
            }
        }
    }

    fn verify(&mut self, at: Time) -> Option<Content> {
        let draws = &mut self.draws[Action::Verify.index()];
        let pack = self.stock.look(&self.chain, at, draws)?;
        let learning = self.recalls.is_recalled(pack.lot) && !self.recalls.is_withdrawn(pack.lot);
        Some(Content {
            key: if learning { pack.lot } else { pack.id },
            operand: 0,
            site: pack.site,
        })
    }

    /// A line finishes a case.
    fn commission(&mut self, at: Time) -> Content {
        let draws = &mut self.draws[Action::Commission.index()];
        let place = draws.below(self.lines.len() as u64) as usize;
        let cases = self.cases_per_lot();
        let packing = self.chain.packing();
        let line = &mut self.lines[place];
        let case = self.chain.case_of(line.pallet, line.filled);
        let (lot, pallet) = (line.lot, line.pallet);
        let site = self.chain.maker(lot);
        line.filled += 1;
        line.left -= 1;
        let filled = line.filled;
        let draws = &mut self.draws[Action::Commission.index()];
        let changes = line.left == 0;
        if changes {
            line.lot = self.chain.popular_lot(draws.open01(), draws.bits());
            line.left = cases;
        }
        // A pallet is of one lot: the last of a lot may not be full.
        if changes || filled == packing.pallet {
            line.pallet = self.next_pallet;
            line.filled = 0;
            self.next_pallet += packing.ids();
            self.send_off(at, pallet, lot, site, filled);
        }
        if self.config.is_recorded() {
            let packs = (packing.case, site);
            self.pack(Action::Aggregate, at, 1, case, packs);
        }
        Content {
            key: case,
            operand: lot,
            site,
        }
    }

    /// A pallet is complete.
    fn send_off(&mut self, at: Time, id: u32, lot: u32, site: u16, filled: u32) {
        let mut goods = Goods {
            cases: filled as u16,
            ..self.goods(at, Pack { id, site, lot })
        };
        if self.config.is_recorded() && self.chain.legs() > 1 {
            goods.ready = self.pack(Action::Aggregate, at, 2, id, (filled, site));
        } else if self.config.is_recorded() {
            // The last of its cases is packed.
            goods.ready = at + self.settle * 2;
        }
        if self.chain.legs() > 1 {
            self.transit.to_ship[0].add(goods);
        } else {
            self.unload(goods);
        }
    }

    /// Cases go on one by one.
    fn unload(&mut self, pallet: Goods) {
        for number in 0..u32::from(pallet.cases) {
            let id = self.chain.case_of(pallet.id, number);
            self.transit.to_ship[1].add(Goods { id, ..pallet });
        }
    }

    /// Which of the two a tick of shipping or receiving moves: 0 a pallet, 1 a case.
    fn size(&mut self, action: Action) -> usize {
        usize::from(!self.draws[action.index()].chance(self.pallet_share))
    }

    fn ship(&mut self, at: Time) -> Option<Content> {
        let size = self.size(Action::Ship);
        let bits = self.draws[Action::Ship.index()].bits();
        let goods = self.transit.to_ship[size].take(at)?;
        let to = if size == 0 {
            self.chain.any_wholesaler(bits)
        } else {
            self.chain.site(bits)
        };
        let sent = Goods {
            ready: at + self.settle,
            site: to,
            ..goods
        };
        if let Some(mean_s) = self.config.transport_s {
            let delay_s = self.about(Action::Receive, mean_s);
            let content = self.arrive(at + Span::from_s_f64(delay_s), size, sent);
            self.follow(at, delay_s, Action::Receive, content);
        } else {
            self.transit.to_receive[size].add(sent);
        }
        Some(Content {
            key: goods.id,
            operand: u32::from(to),
            site: goods.site,
        })
    }

    /// From half to one and a half times a mean.
    fn about(&mut self, action: Action, mean_s: f64) -> f64 {
        mean_s * (0.5 + self.draws[action.index()].open01())
    }

    fn receive(&mut self, at: Time) -> Option<Content> {
        let size = self.size(Action::Receive);
        let goods = self.transit.to_receive[size].take(at)?;
        Some(self.arrive(at, size, goods))
    }

    /// Goods come to whom they were sent.
    fn arrive(&mut self, at: Time, size: usize, goods: Goods) -> Content {
        let mut received = Goods {
            ready: at + self.settle,
            leg: goods.leg + 1,
            ..goods
        };
        let last = u32::from(received.leg) + 1 >= self.chain.legs();
        if self.config.is_recorded() && (size == 1 || last) {
            let n = if size == 1 {
                self.chain.packing().case
            } else {
                u32::from(goods.cases)
            };
            received.ready = self.pack(Action::Disaggregate, at, 1, goods.id, (n, goods.site));
        }
        if size == 1 {
            self.stock.add(self.chain.packs(goods.id), received);
        } else if u32::from(received.leg) < self.chain.legs() - 1 {
            self.transit.to_ship[0].add(received);
        } else {
            self.unload(received);
        }
        Content {
            key: goods.id,
            operand: 0,
            site: goods.site,
        }
    }

    fn dispense(&mut self, at: Time) -> Option<Content> {
        let pack = self.take(Action::Dispense, at)?;
        let draws = &mut self.draws[Action::Dispense.index()];
        let undone = draws.chance(self.config.undo_share);
        let raced = draws.chance(self.config.racing_dispense_share);
        let cloned = draws.chance(self.clone_share);
        if undone {
            let goods = self.goods(at, pack);
            self.undoable.add(goods);
        }
        if raced {
            self.race(at, pack, self.config.race_s);
        }
        if cloned {
            for _ in 0..self.config.clone_copies {
                self.race(at, pack, self.config.clone_s);
            }
        }
        Some(Content {
            key: pack.id,
            operand: 0,
            site: pack.site,
        })
    }

    /// Another site scans the same serial, and dispenses.
    fn race(&mut self, at: Time, pack: Pack, within_s: f64) {
        let draws = &mut self.draws[Action::Dispense.index()];
        let content = Content {
            key: pack.id,
            operand: 0,
            site: self.chain.other_site(pack.site, draws.bits()),
        };
        let delay_s = draws.open01() * within_s;
        let scan_s = draws.open01() * delay_s;
        self.follow(at, scan_s, Action::Verify, content);
        self.follow(at, delay_s, Action::Dispense, content);
    }

    fn follow(&mut self, at: Time, delay_s: f64, action: Action, content: Content) {
        let at = at + Span::from_s_f64(delay_s);
        self.racers.push(Reverse((at, self.raced, action, content)));
        self.raced += 1;
    }

    /// A pack that was dispensed goes back into stock.
    fn undo(&mut self, at: Time) -> Option<Content> {
        let goods = self.undoable.take(at)?;
        Some(self.restock(at, goods, goods.site, goods.site))
    }

    /// A pack in quarantine goes back into stock.
    fn clear(&mut self, at: Time) -> Option<Content> {
        let goods = self.quarantined.take(at)?;
        Some(self.cleared(at, goods))
    }

    fn cleared(&mut self, at: Time, goods: Goods) -> Content {
        self.restock(at, goods, goods.site, self.chain.maker(goods.lot))
    }

    /// A pack that somebody will clear.
    fn withhold(&mut self, at: Time, pack: Pack) {
        let goods = self.goods(at, pack);
        if let Some(mean_s) = self.config.clear_s {
            let delay_s = self.about(Action::Clear, mean_s);
            let content = self.cleared(at + Span::from_s_f64(delay_s), goods);
            self.follow(at, delay_s, Action::Clear, content);
        } else {
            self.quarantined.add(goods);
        }
    }

    /// A wholesaler takes a pack back.
    fn take_back(&mut self, at: Time) -> Option<Content> {
        let pack = self.take(Action::Return, at)?;
        let bits = self.draws[Action::Return.index()].bits();
        let to = self.chain.any_wholesaler(bits);
        let goods = self.goods(at, pack);
        let content = if self.config.verify_returns {
            let within_s = self.config.verify_return_s;
            let draws = &mut self.draws[Action::VerifyReturn.index()];
            let delay_s = self.config.settle_s + draws.open01() * within_s;
            let verified = at + Span::from_s_f64(delay_s);
            let content = self.restock(verified, goods, to, to);
            self.follow(at, delay_s, Action::VerifyReturn, content);
            content
        } else {
            self.restock(at, goods, to, to)
        };
        Some(Content {
            operand: u32::from(pack.site),
            ..content
        })
    }

    /// A pack is in stock at `site` once the transaction that `signer` signs has settled.
    fn restock(&mut self, at: Time, goods: Goods, site: u16, signer: u16) -> Content {
        let packs = goods.id..goods.id + 1;
        let ready = at + self.settle;
        self.stock.add(
            packs,
            Goods {
                ready,
                site,
                ..goods
            },
        );
        Content {
            key: goods.id,
            operand: 0,
            site: signer,
        }
    }

    fn suspect(&mut self, at: Time) -> Option<Content> {
        let pack = self.take(Action::Suspect, at)?;
        let draws = &mut self.draws[Action::Suspect.index()];
        if draws.chance(self.config.clear_share) {
            self.withhold(at, pack);
        }
        Some(Content {
            key: pack.id,
            operand: 0,
            site: pack.site,
        })
    }

    /// A manufacturer withholds a pack.
    fn quarantine(&mut self, at: Time) -> Option<Content> {
        let pack = self.take(Action::Quarantine, at)?;
        if self.draws[Action::Quarantine.index()].chance(self.config.clear_share) {
            self.withhold(at, pack);
        }
        Some(Content {
            key: pack.id,
            operand: 0,
            site: self.chain.maker(pack.lot),
        })
    }

    /// A recall of any product.
    fn recall(&mut self, at: Time) -> Content {
        let draws = &mut self.draws[Action::Recall.index()];
        let mut lot = draws.below(u64::from(self.chain.lots().end)) as u32;
        for _ in 0..MORE_DRAWS {
            if !self.recalls.is_recalled(lot) {
                break;
            }
            lot = draws.below(u64::from(self.chain.lots().end)) as u32;
        }
        let class_one = draws.chance(self.config.class_one_share);
        self.withdraw(at, lot, class_one)
    }

    /// A recall of neighbouring lots of a product; all but the first follow, a gap apart.
    fn withdraw(&mut self, at: Time, lot: u32, class_one: bool) -> Content {
        let lots = self.config.lots_per_product;
        let signer = if class_one {
            self.chain.regulator()
        } else {
            self.chain.maker(lot)
        };
        let content = |key| Content {
            key,
            operand: if class_one { 1 } else { 2 },
            site: signer,
        };
        let first = lot / lots * lots;
        for next in 0..self.config.lots_per_recall {
            let key = first + (lot - first + next) % lots;
            if next > 0 && self.recalls.is_recalled(key) {
                continue;
            }
            let gap_s = self.config.recall_gap_s * f64::from(next);
            let named = at + Span::from_s_f64(gap_s);
            self.recalls.add(key, named + self.settle);
            if next > 0 {
                self.follow(at, gap_s, Action::Recall, content(key));
            }
            self.recheck(named, key);
        }
        content(lot)
    }

    /// Sites look whether they may still sell packs of the lot.
    fn recheck(&mut self, at: Time, lot: u32) {
        let mean = self.config.rechecks_per_recall;
        let class = Action::Recall.index();
        let more = self.draws[class].chance(mean - mean.floor());
        for _ in 0..mean as u32 + u32::from(more) {
            let draws = &mut self.draws[class];
            let content = Content {
                key: lot,
                operand: 0,
                site: self.chain.site(draws.bits()),
            };
            let delay_s = draws.open01() * self.config.recheck_s;
            self.follow(at, delay_s, Action::Verify, content);
        }
    }
}

/// Single packs that wait from the start.
fn singles(chain: &Chain, ids: core::ops::Range<u32>) -> Queue {
    let mut queue = Queue::default();
    for id in ids {
        queue.add(Goods {
            ready: Time::ZERO,
            id,
            lot: chain.lot(id),
            site: chain.dispenser(id),
            leg: 0,
            cases: 0,
        });
    }
    queue
}

fn class(action: Action, config: &Config) -> Class {
    let classes::Facts {
        name, kind, tells, ..
    } = facts(action);
    let expiry = config.expiry_s.map(Span::from_s_f64);
    Class {
        name,
        kind,
        expiry: expiry.filter(|_| kind != Kind::Read),
        tells,
    }
}

fn bytes(action: Action, config: &Config, serials: u32) -> u16 {
    match action {
        // A local read is on no wire.
        Action::Verify => 0,
        Action::Commission => config.payload.bytes(facts(action).full.bytes(serials)),
        _ => config.payload.bytes(facts(action).full.bytes(1)),
    }
}

fn exec_us(action: Action, config: &Config, serials: u32) -> u16 {
    match action {
        Action::Verify => config.read_us,
        Action::Commission => config.commission_us(serials) as u16,
        _ => config.exec_us,
    }
}

fn clocks(config: &Config, rate: Rate, seed: Seed) -> Vec<Times> {
    let per_s = config.rates_per_s(rate);
    let clock = |action: Action| {
        let classes::Facts { name, hours, .. } = facts(action);
        let week = hours.week(config.class_one_share);
        let per_s = per_s[action.index()];
        Times::new(rate, per_s, &week, config.peak_day, seed, name)
    };
    Action::ALL.map(clock).into()
}

impl Load for Pharma {
    fn classes(&self) -> &[Class] {
        &self.classes
    }

    fn sites(&self) -> u32 {
        u32::from(self.chain.sites())
    }

    /// Never ends; the plan says for how long it is asked.
    fn next(&mut self) -> Option<Arrival> {
        loop {
            let read = self.times[Action::Verify.index()];
            let write = self.times[self.write.index()];
            let at = read.min(write).min(self.recall_at);
            if let Some(&Reverse((due, _, action, content))) = self.racers.peek()
                && due <= at
            {
                self.racers.pop();
                return Some(self.arrival(action, due, content));
            }
            if at == Time::NEVER {
                return None;
            }
            if self.recall_at == at {
                self.recall_at = Time::NEVER;
                self.recalls.settle(at);
                let lot = (self.config.recall_product - 1) * self.config.lots_per_product;
                let content = self.withdraw(at, lot, true);
                return Some(self.arrival(Action::Recall, at, content));
            }
            let action = if read <= write {
                Action::Verify
            } else {
                self.write
            };
            self.advance(action);
            if action != Action::Verify {
                self.find_write();
            }
            if let Some(content) = self.content(action, at) {
                return Some(self.arrival(action, at, content));
            }
            self.idle += 1;
        }
    }
}

impl Spec for Config {
    const PRESETS: &'static [&'static str] = &[
        "pharmacy",
        "hospital",
        "region",
        "nation-de",
        "nation-us",
        "eu",
        "lmic",
    ];

    fn settle(&mut self) {
        self.people = Some(self.people());
        self.sites = Some(self.sites());
        self.clone_share = Some(self.clone_share());
    }

    fn vocabulary(&self) -> Vec<(&'static str, &'static str)> {
        let facts = Action::ALL.map(facts);
        facts.map(|f| (f.name, f.vocabulary)).into()
    }

    fn build(&self, setup: Setup<'_>) -> Result<Built, Error> {
        let rate = setup.rate.unwrap_or_else(Rate::profile);
        let load = Pharma::new(self, rate, setup.seed)?;
        Ok(Built {
            domain: Some(Box::new(load.domain())),
            ledger: Box::new(load.rules()),
            load: Box::new(load),
            import: None,
        })
    }
}
