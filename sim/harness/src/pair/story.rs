//! What happens on the two ledgers: the loads that react, the rules, and what is counted.

use quorate_core::{
    Arrival, Cell, Class, ClassId, Draws, EntityId, Kind, Ledger, Load, Outcome, Seed, Span, State,
    Time, Verdict, dist,
};
use quorate_kernel::{Coupling, News, Run};
use std::cell::RefCell;
use std::rc::Rc;

/// The place of the ledger of consents and records.
pub(super) const HEALTH: usize = 0;
/// The place of the ledger of payments.
pub(super) const TOKEN: usize = 1;

/// Classes on the health ledger.
const GRANT: u8 = 0;
const ACCESS: u8 = 1;
const ANCHOR: u8 = 2;
const ERX: u8 = 3;
const HEALTH_CLASSES: [&str; 4] = [
    "consent.grant",
    "access.record",
    "record.anchor",
    "erx.issue",
];

/// Classes on the token ledger.
const ESCROW: u8 = 0;
const RELEASE: u8 = 1;
const REFUND: u8 = 2;
const PAY: u8 = 3;
const OTHERS: u8 = 4;
const TOKEN_CLASSES: [&str; 5] = [
    "token.escrow",
    "token.release",
    "token.refund",
    "token.pay",
    "others",
];

/// What a transaction of the health ledger takes. assumption: a hash, identifiers and a signature.
const RECORD_BYTES: u16 = 300;

/// A transaction that a story wants submitted: where, when, which class, at which clinic, about what.
pub(super) struct Wish {
    ledger: usize,
    at: Time,
    class: u8,
    clinic: u16,
    key: u32,
    operand: u32,
    bytes: u16,
}

/// What happens: requests that come by themselves, and what follows from what is final.
pub(super) trait Story {
    /// The requests in order of time, all on the health ledger.
    fn requests(&mut self) -> Vec<Wish>;
    /// A transaction is final at its clinic's node.
    fn told(&mut self, ledger: usize, outcome: &Outcome, wishes: &mut Vec<Wish>);
    /// A transaction of the token ledger that was final is not any more.
    fn reversed(&mut self, tx: &Arrival, now: Time, wishes: &mut Vec<Wish>);
    /// How long a consent holds.
    fn consent(&self) -> Span;
    /// What came of it.
    fn figures(&self) -> Vec<Figure>;
}

/// A number of a replication.
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) about: &'static str,
    pub(super) value: Option<f64>,
}

fn figure(
    (name, unit): (&'static str, &'static str),
    about: &'static str,
    value: impl Into<Option<f64>>,
) -> Figure {
    Figure {
        name,
        unit,
        about,
        value: value.into(),
    }
}

/// What both ledgers' loads share.
struct World {
    story: Box<dyn Story>,
    wishes: Vec<Wish>,
    /// Requests not submitted yet, and transactions whose outcome is not known.
    open: u64,
}

type Shared = Rc<RefCell<World>>;

/// The load of one ledger.
struct Side {
    ledger: usize,
    classes: Vec<Class>,
    sites: u32,
    world: Shared,
    requests: std::vec::IntoIter<Wish>,
    others: Option<Others>,
    /// The site of the first clinic.
    first_clinic: u32,
}

/// Other people's transactions: Poisson arrivals at all nodes.
pub(super) struct Others {
    pub(super) per_s: f64,
    pub(super) bytes: u16,
    /// They are submitted at so many nodes.
    pub(super) nodes: u32,
    pub(super) draws: Draws,
    pub(super) at: Time,
}

impl Others {
    fn next(&mut self) -> Arrival {
        self.at += Span::from_s_f64(dist::exponential(1.0 / self.per_s, &mut self.draws));
        Arrival {
            at: self.at,
            key: EntityId::new(0),
            operand: 0,
            bytes: self.bytes,
            exec_us: 0,
            site: self.draws.below(u64::from(self.nodes)) as u16,
            class: ClassId(OTHERS),
            action: 0,
        }
    }
}

impl Side {
    fn arrival(first_clinic: u32, wish: &Wish) -> Arrival {
        Arrival {
            at: wish.at,
            key: EntityId::new(wish.key),
            operand: wish.operand,
            bytes: wish.bytes,
            exec_us: 0,
            site: (first_clinic + u32::from(wish.clinic)) as u16,
            class: ClassId(wish.class),
            action: 0,
        }
    }
}

impl Load for Side {
    fn classes(&self) -> &[Class] {
        &self.classes
    }

    fn sites(&self) -> u32 {
        self.sites
    }

    fn next(&mut self) -> Option<Arrival> {
        if let Some(others) = &mut self.others {
            return Some(others.next());
        }
        let wish = self.requests.next()?;
        Some(Self::arrival(self.first_clinic, &wish))
    }

    fn reacts(&self) -> bool {
        true
    }

    fn react(&mut self, outcome: &Outcome, _: &mut Vec<Arrival>) {
        if self.ledger == TOKEN && outcome.arrival.class == ClassId(OTHERS) {
            return;
        }
        let world = &mut *self.world.borrow_mut();
        world.open -= 1;
        world.story.told(self.ledger, outcome, &mut world.wishes);
    }

    fn reversed(&mut self, tx: &Arrival, now: Time) {
        if self.ledger == TOKEN && tx.class != ClassId(OTHERS) {
            let world = &mut *self.world.borrow_mut();
            world.story.reversed(tx, now, &mut world.wishes);
        }
    }
}

/// Carries what the story wants from one ledger to the other.
pub(super) struct Carrier {
    world: Shared,
    first_clinic: [u32; 2],
}

impl Coupling for Carrier {
    fn carry(&mut self, _: usize, _: News, _: &mut [Box<dyn Run + '_>]) {}

    fn settle(&mut self, ledgers: &mut [Box<dyn Run + '_>]) -> bool {
        let world = &mut *self.world.borrow_mut();
        let any = !world.wishes.is_empty();
        for wish in world.wishes.drain(..) {
            world.open += 1;
            let arrival = Side::arrival(self.first_clinic[wish.ledger], &wish);
            ledgers[wish.ledger].submit_at(arrival);
        }
        any
    }

    fn is_over(&self) -> bool {
        self.world.borrow().open == 0
    }
}

impl Carrier {
    /// What the story came to, and how many of its transactions are still open.
    pub(super) fn figures(&self) -> (Vec<Figure>, u64) {
        let world = self.world.borrow();
        (world.story.figures(), world.open)
    }
}

/// The loads of both ledgers, and what carries between them. `sites` counts those of each before the
/// clinics' own.
pub(super) fn open(
    mut story: Box<dyn Story>,
    clinics: u32,
    others: [Option<Others>; 2],
) -> ([Box<dyn Load>; 2], Carrier) {
    let requests = story.requests();
    let world = Rc::new(RefCell::new(World {
        story,
        wishes: Vec::new(),
        open: requests.len() as u64,
    }));
    let first_clinic = [0, 1].map(|l: usize| others[l].as_ref().map_or(0, |o| o.nodes));
    let class = |&name: &&'static str| Class {
        name,
        kind: Kind::Write,
        expiry: None,
        tells: "",
    };
    let mut requests = Some(requests);
    let mut others = others.into_iter();
    let sides = [&HEALTH_CLASSES[..], &TOKEN_CLASSES[..]];
    let side = |ledger: usize| -> Box<dyn Load> {
        Box::new(Side {
            ledger,
            classes: sides[ledger].iter().map(class).collect(),
            sites: first_clinic[ledger] + clinics,
            world: Rc::clone(&world),
            requests: requests.take().unwrap_or_default().into_iter(),
            others: others.next().expect("one for each ledger"),
            first_clinic: first_clinic[ledger],
        })
    };
    let loads = [HEALTH, TOKEN].map(side);
    (
        loads,
        Carrier {
            world,
            first_clinic,
        },
    )
}

// ---- rules ---------------------------------------------------------------------------------

/// Consents that expire, and what needs them. An access without one is on record, as a violation.
pub(super) struct Health {
    pub(super) consent: Span,
}

impl Ledger for Health {
    fn reasons(&self) -> &[&'static str] {
        &["violation: no active consent", "no consent was ever given"]
    }

    fn preload(&self, _: EntityId) -> Cell {
        0
    }

    fn preloaded(&self) -> u32 {
        0
    }

    fn apply(&self, tx: &Arrival, now: Time, state: &mut dyn State) -> Verdict {
        let until = state.get(tx.key);
        match tx.class.0 {
            GRANT => {
                state.set(tx.key, Cell::from((tx.at + self.consent).ns()));
                Verdict::Valid
            }
            ACCESS if Cell::from(now.ns()) > until => Verdict::Rejected(0),
            _ if until == 0 => Verdict::Rejected(1),
            _ => Verdict::Valid,
        }
    }
}

/// Wallets that hold the price of one consult, and escrows.
pub(super) struct Token;

/// States of an escrow.
const HELD: Cell = 1;
const RELEASED: Cell = 2;
const REFUNDED: Cell = 3;

const fn wallet(number: u32) -> EntityId {
    EntityId::new(2 * number)
}

const fn escrow(number: u32) -> u32 {
    2 * number + 1
}

impl Ledger for Token {
    fn reasons(&self) -> &[&'static str] {
        &["the wallet is empty", "nothing is held"]
    }

    fn preload(&self, _: EntityId) -> Cell {
        0
    }

    fn preloaded(&self) -> u32 {
        0
    }

    fn apply(&self, tx: &Arrival, _: Time, state: &mut dyn State) -> Verdict {
        match tx.class.0 {
            ESCROW if state.get(wallet(tx.operand)) != 0 => return Verdict::Rejected(0),
            ESCROW => {
                state.set(wallet(tx.operand), 1);
                state.set(tx.key, HELD);
            }
            RELEASE | REFUND if state.get(tx.key) != HELD => return Verdict::Rejected(1),
            RELEASE => state.set(tx.key, RELEASED),
            REFUND => {
                state.set(wallet(tx.operand), 0);
                state.set(tx.key, REFUNDED);
            }
            _ => {}
        }
        Verdict::Valid
    }
}

// ---- consults ------------------------------------------------------------------------------

/// A consult over the wire, paid from an escrow.
#[derive(Clone, Copy)]
struct Consult {
    at: Time,
    clinic: u16,
    wallet: u32,
    started: Option<Time>,
    /// Of note and prescription, how many are not final.
    records: u8,
    released: bool,
    refunding: Option<Why>,
}

/// Why money goes back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Expired,
    Reversed,
}

/// How consults come and go.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub(super) clinics: u32,
    pub(super) per_s: f64,
    pub(super) consent: Span,
    pub(super) length: Span,
    pub(super) accesses: u32,
    pub(super) double_bookings: f64,
    pub(super) rebook: Span,
    pub(super) escrow_bytes: u16,
}

/// Consults, and what became of them.
pub(super) struct Consults {
    rules: Rules,
    list: Vec<Consult>,
    waits_ms: Vec<f64>,
    granted: u64,
    expired: u64,
    refused: u64,
    reversed: u64,
    refunds: [u64; 2],
    lost: u64,
    paid: u64,
    accesses: u64,
    audited: u64,
    violations: u64,
}

impl Consults {
    /// Poisson requests from one instant to another. Of the double bookings each asks another clinic
    /// with the same wallet.
    pub(super) fn new(rules: Rules, (from, until): (Time, Time), seed: Seed) -> Self {
        let mut draws = seed.stream("consults", 0);
        let mut at = from;
        let mut list: Vec<Consult> = Vec::new();
        let mut wallets = 0;
        loop {
            at += Span::from_s_f64(dist::exponential(1.0 / rules.per_s, &mut draws));
            if at >= until {
                break;
            }
            let clinic = draws.below(u64::from(rules.clinics)) as u16;
            let one = Consult {
                at,
                clinic,
                wallet: wallets,
                started: None,
                records: 0,
                released: false,
                refunding: None,
            };
            list.push(one);
            if draws.chance(rules.double_bookings) {
                let other = 1 + draws.below(u64::from(rules.clinics.max(2) - 1)) as u16;
                list.push(Consult {
                    at: at + rules.rebook,
                    clinic: (clinic + other) % rules.clinics as u16,
                    ..one
                });
            }
            wallets += 1;
        }
        list.sort_by_key(|c| c.at);
        Self {
            rules,
            list,
            waits_ms: Vec::new(),
            granted: 0,
            expired: 0,
            refused: 0,
            reversed: 0,
            refunds: [0; 2],
            lost: 0,
            paid: 0,
            accesses: 0,
            audited: 0,
            violations: 0,
        }
    }

    fn wish(&self, ledger: usize, class: u8, number: u32, at: Time) -> Wish {
        let consult = &self.list[number as usize];
        let on_token = ledger == TOKEN;
        Wish {
            ledger,
            at,
            class,
            clinic: consult.clinic,
            key: if on_token { escrow(number) } else { number },
            operand: consult.wallet,
            bytes: if on_token {
                self.rules.escrow_bytes
            } else {
                RECORD_BYTES
            },
        }
    }

    fn start(&mut self, number: u32, now: Time, wishes: &mut Vec<Wish>) {
        let (length, accesses) = (self.rules.length, self.rules.accesses);
        let consult = &mut self.list[number as usize];
        consult.started = Some(now);
        consult.records = 2;
        self.waits_ms.push(now.since(consult.at).ns() as f64 / 1e6);
        self.accesses += u64::from(accesses);
        for i in 0..accesses {
            let at = now + length.scale(u64::from(i), u64::from(accesses));
            wishes.push(self.wish(HEALTH, ACCESS, number, at));
        }
        for class in [ANCHOR, ERX] {
            wishes.push(self.wish(HEALTH, class, number, now + length));
        }
    }

    fn refund(&mut self, number: u32, why: Why, now: Time, wishes: &mut Vec<Wish>) {
        self.list[number as usize].refunding = Some(why);
        wishes.push(self.wish(TOKEN, REFUND, number, now));
    }

    /// An escrow is final at the clinic, or refused.
    fn escrowed(&mut self, number: u32, outcome: &Outcome, wishes: &mut Vec<Wish>) {
        let now = outcome.final_at;
        if outcome.verdict != Verdict::Valid {
            self.refused += 1;
        } else if now > self.list[number as usize].at + self.rules.consent {
            self.expired += 1;
            self.refund(number, Why::Expired, now, wishes);
        } else {
            self.start(number, now, wishes);
        }
    }
}

impl Story for Consults {
    fn requests(&mut self) -> Vec<Wish> {
        let each = |number: usize| {
            let number = number as u32;
            self.wish(HEALTH, GRANT, number, self.list[number as usize].at)
        };
        (0..self.list.len()).map(each).collect()
    }

    fn told(&mut self, ledger: usize, outcome: &Outcome, wishes: &mut Vec<Wish>) {
        let (tx, now) = (&outcome.arrival, outcome.final_at);
        let valid = outcome.verdict == Verdict::Valid;
        let key = tx.key.get();
        let number = if ledger == TOKEN { key / 2 } else { key };
        let consult = self.list[number as usize];
        match (ledger, tx.class.0) {
            (HEALTH, GRANT) => {
                self.granted += 1;
                wishes.push(self.wish(TOKEN, ESCROW, number, now));
            }
            (HEALTH, ACCESS) => {
                let ends = consult.started.expect("before any access") + self.rules.length;
                self.audited += u64::from(now <= ends);
                self.violations += u64::from(!valid);
            }
            (HEALTH, _) => {
                let consult = &mut self.list[number as usize];
                consult.records -= 1;
                if consult.records == 0 && consult.refunding.is_none() {
                    consult.released = true;
                    wishes.push(self.wish(TOKEN, RELEASE, number, now));
                }
            }
            (_, ESCROW) => self.escrowed(number, outcome, wishes),
            (_, RELEASE) if valid => self.paid += 1,
            (_, REFUND) if valid => {
                let why = consult.refunding.expect("it was asked for");
                self.refunds[usize::from(why == Why::Reversed)] += 1;
            }
            _ => self.lost += 1,
        }
    }

    fn reversed(&mut self, tx: &Arrival, now: Time, wishes: &mut Vec<Wish>) {
        let number = tx.key.get() / 2;
        let consult = self.list[number as usize];
        if tx.class.0 != ESCROW || consult.started.is_none() {
            return;
        }
        self.reversed += 1;
        if !consult.released && consult.refunding.is_none() {
            self.refund(number, Why::Reversed, now, wishes);
        }
    }

    fn consent(&self) -> Span {
        self.rules.consent
    }

    fn figures(&self) -> Vec<Figure> {
        let count = |n: u64| Some(n as f64);
        let share = |n: u64, of: u64| (of > 0).then(|| n as f64 / of as f64);
        let wait = |p: f64| percentile(&self.waits_ms, p).map(|ms| ms / 1e3);
        let n = self.waits_ms.len() as u64;
        vec![
            figure(
                ("requests", ""),
                "consults asked for",
                count(self.list.len() as u64),
            ),
            figure(("started", ""), "of these, begun", count(n)),
            figure(
                ("start_p50_s", "s"),
                "from the request until the consult starts, median",
                wait(0.5),
            ),
            figure(("start_p90_s", "s"), "the same, 90th percentile", wait(0.9)),
            figure(
                ("start_p99_s", "s"),
                "the same, 99th percentile",
                wait(0.99),
            ),
            figure(
                ("expired_share", "share"),
                "of the grants on record, those that expire before the escrow is final",
                share(self.expired, self.granted),
            ),
            figure(
                ("refused", ""),
                "escrows refused: the wallet was empty",
                count(self.refused),
            ),
            figure(
                ("escrows_reversed", ""),
                "escrows that were final at the clinic, of consults begun, and then were not",
                count(self.reversed),
            ),
            figure(
                ("refunds_after_expiry", ""),
                "paid back because the grant had expired",
                count(self.refunds[0]),
            ),
            figure(
                ("refunds_after_reversal", ""),
                "paid back because the escrow was reversed",
                count(self.refunds[1]),
            ),
            figure(
                ("nothing_held", ""),
                "releases and refunds refused: the escrow was lost",
                count(self.lost),
            ),
            figure(("paid", ""), "consults paid for", count(self.paid)),
            figure(
                ("audited_share", "share"),
                "of the accesses, those on record and final when the consult ends",
                share(self.audited, self.accesses),
            ),
            figure(
                ("violations", ""),
                "accesses on record after the grant had expired",
                count(self.violations),
            ),
        ]
    }
}

/// The value at a percentile, if enough samples lie beyond it.
fn percentile(samples: &[f64], p: f64) -> Option<f64> {
    // assumption: as for latencies: ten samples beyond, except for the median.
    let enough = p <= 0.5 && !samples.is_empty() || (1.0 - p) * samples.len() as f64 >= 10.0;
    if !enough {
        return None;
    }
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    Some(sorted[((p * sorted.len() as f64) as usize).min(sorted.len() - 1)])
}

// ---- licences ------------------------------------------------------------------------------

/// How a licence is asked for and paid.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    pub(super) clinics: u32,
    pub(super) patients: u32,
    pub(super) accept: f64,
    pub(super) answer_s: f64,
    pub(super) consent: Span,
    pub(super) batch: u32,
    pub(super) base_bytes: u16,
    pub(super) payee_bytes: u16,
    pub(super) base_weight: f64,
    pub(super) payee_weight: f64,
    /// Of the native unit, for a unit of weight.
    pub(super) price: f64,
}

/// A researcher asks patients for their data and pays those who consent.
pub(super) struct Licences {
    terms: Terms,
    /// When and at which clinic each patient who accepts consents.
    grants: Vec<(Time, u16)>,
    granted_at: Vec<Time>,
    /// Consents on record that are not paid for yet.
    queue: Vec<u32>,
    on_record: u32,
    batches: Vec<Vec<u32>>,
    paid_ms: Vec<f64>,
    released: u64,
    violations: u64,
    payment_bytes: u64,
}

impl Licences {
    /// All are asked at one instant; who accepts answers after an exponential time.
    pub(super) fn new(terms: Terms, from: Time, seed: Seed) -> Self {
        let mut grants = Vec::new();
        for patient in 0..terms.patients {
            let mut draws = seed.stream("licence", u64::from(patient));
            if draws.chance(terms.accept) {
                let after = dist::exponential(terms.answer_s, &mut draws);
                let clinic = draws.below(u64::from(terms.clinics)) as u16;
                grants.push((from + Span::from_s_f64(after), clinic));
            }
        }
        grants.sort_unstable();
        Self {
            granted_at: vec![Time::ZERO; grants.len()],
            terms,
            grants,
            queue: Vec::new(),
            on_record: 0,
            batches: Vec::new(),
            paid_ms: Vec::new(),
            released: 0,
            violations: 0,
            payment_bytes: 0,
        }
    }

    fn pay(&mut self, now: Time, wishes: &mut Vec<Wish>) {
        let payees = core::mem::take(&mut self.queue);
        let bytes = self.terms.base_bytes + self.terms.payee_bytes * payees.len() as u16;
        self.payment_bytes += u64::from(bytes);
        wishes.push(Wish {
            ledger: TOKEN,
            at: now,
            class: PAY,
            // The researcher's own.
            clinic: 0,
            key: self.batches.len() as u32,
            operand: 0,
            bytes,
        });
        self.batches.push(payees);
    }
}

impl Story for Licences {
    fn requests(&mut self) -> Vec<Wish> {
        let each = |(number, &(at, clinic)): (usize, &(Time, u16))| Wish {
            ledger: HEALTH,
            at,
            class: GRANT,
            clinic,
            key: number as u32,
            operand: 0,
            bytes: RECORD_BYTES,
        };
        self.grants.iter().enumerate().map(each).collect()
    }

    fn told(&mut self, ledger: usize, outcome: &Outcome, wishes: &mut Vec<Wish>) {
        let (key, now) = (outcome.arrival.key.get(), outcome.final_at);
        match (ledger, outcome.arrival.class.0) {
            (HEALTH, GRANT) => {
                self.granted_at[key as usize] = now;
                self.queue.push(key);
                self.on_record += 1;
                let last = self.on_record as usize == self.grants.len();
                if self.queue.len() >= self.terms.batch as usize || last {
                    self.pay(now, wishes);
                }
            }
            (HEALTH, _) if outcome.verdict == Verdict::Valid => self.released += 1,
            (HEALTH, _) => self.violations += 1,
            _ => {
                for payee in core::mem::take(&mut self.batches[key as usize]) {
                    let waited = now.since(self.granted_at[payee as usize]);
                    self.paid_ms.push(waited.ns() as f64 / 1e6);
                    wishes.push(Wish {
                        ledger: HEALTH,
                        at: now,
                        class: ACCESS,
                        clinic: self.grants[payee as usize].1,
                        key: payee,
                        operand: 0,
                        bytes: RECORD_BYTES,
                    });
                }
            }
        }
    }

    fn reversed(&mut self, _: &Arrival, _: Time, _: &mut Vec<Wish>) {}

    fn consent(&self) -> Span {
        self.terms.consent
    }

    fn figures(&self) -> Vec<Figure> {
        let t = &self.terms;
        let (payments, payees) = (self.batches.len() as f64, self.grants.len() as f64);
        let weight = payments * t.base_weight + payees * t.payee_weight;
        let each = |sum: f64| (payees > 0.0).then(|| sum / payees);
        let count = |n: f64| Some(n);
        let wait = |p: f64| percentile(&self.paid_ms, p).map(|ms| ms / 1e3);
        let mean = self.paid_ms.iter().sum::<f64>() / self.paid_ms.len().max(1) as f64;
        let mean = (!self.paid_ms.is_empty()).then_some(mean / 1e3);
        vec![
            figure(
                ("asked", ""),
                "patients asked",
                count(f64::from(t.patients)),
            ),
            figure(("consented", ""), "of these, who consented", count(payees)),
            figure(("payments", ""), "transactions that pay", count(payments)),
            figure(
                ("payment_bytes_each", "bytes"),
                "bytes of payments for each who consented",
                each(self.payment_bytes as f64),
            ),
            figure(
                ("weight_each", "gas or bytes"),
                "weight of payments for each who consented",
                each(weight),
            ),
            figure(
                ("fee_each", "of the native unit"),
                "fees for each who consented",
                each(weight * t.price),
            ),
            figure(
                ("paid_mean_s", "s"),
                "from a consent's finality until its payment's, mean",
                mean,
            ),
            figure(("paid_p50_s", "s"), "the same, median", wait(0.5)),
            figure(("paid_p99_s", "s"), "the same, 99th percentile", wait(0.99)),
            figure(
                ("released", ""),
                "data released after payment, under a consent that held",
                count(self.released as f64),
            ),
            figure(
                ("violations", ""),
                "releases on record without an active consent",
                count(self.violations as f64),
            ),
        ]
    }
}
