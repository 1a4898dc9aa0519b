//! The ledger rules of traced goods: packs, cases and pallets by name, as EPCIS events tell of them.
//!
//! They are the rules of [`crate::custody`] for goods whose packing is not known beforehand: an item lies
//! in what it was aggregated into, and travels with it. A record is 16 bytes: what it is 4, state 4,
//! custodian 17, destination of an open shipment 17, the item that it lies in 32, its lot 32 (bits).
//! Numbers are stored plus 1; 0 is none.
//!
//! A trace of one company begins in the middle: what exists before the first event is what the first
//! event of each item needs, in the order of submission. An item that is first shipped was with
//! its shipper, one that is first received was on its way to the receiver. One that is first
//! commissioned, or packed into, did not exist.

use quorate_core::{Arrival, Cell, EntityId, Kind, Ledger, State, Time, Verdict};

/// No lot, or any destination, in [`Arrival::operand`].
pub const NONE: u32 = u32::MAX;

/// What a transaction does; [`Arrival::action`] and the class index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Action {
    /// Asks the local view whether an item may be dispensed; changes nothing.
    Verify,
    /// Makes an item; the operand is its lot, or [`NONE`].
    Commission,
    /// Packs it into the item that the operand names.
    Aggregate,
    /// Takes it out of there.
    Disaggregate,
    /// Ships it; the operand is the site of destination, or [`NONE`].
    Ship,
    /// Receives it there.
    Receive,
    /// Receives it there as a return.
    Return,
    /// Dispenses it, or takes it off the market otherwise.
    Dispense,
    /// Puts it into quarantine.
    Suspect,
    /// Ends that.
    Clear,
    /// Recalls an item or a lot.
    Recall,
}

impl Action {
    /// All actions, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Verify,
        Self::Commission,
        Self::Aggregate,
        Self::Disaggregate,
        Self::Ship,
        Self::Receive,
        Self::Return,
        Self::Dispense,
        Self::Suspect,
        Self::Clear,
        Self::Recall,
    ];

    /// Name and kind of its class.
    pub const fn class(self) -> (&'static str, Kind) {
        match self {
            Self::Verify => ("drug.verify", Kind::Read),
            Self::Commission => ("drug.commission", Kind::Write),
            Self::Aggregate => ("drug.aggregate", Kind::Write),
            Self::Disaggregate => ("drug.disaggregate", Kind::Write),
            Self::Ship => ("drug.ship", Kind::Write),
            Self::Receive => ("drug.receive", Kind::Write),
            Self::Return => ("drug.return", Kind::Write),
            Self::Dispense => ("drug.dispense", Kind::WatchedWrite),
            Self::Suspect => ("drug.suspect", Kind::Write),
            Self::Clear => ("drug.clear", Kind::Write),
            Self::Recall => ("drug.recall", Kind::WatchedWrite),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Reason {
    AlreadyExists,
    NotTheManufacturer,
    UnknownItem,
    NotTheCustodian,
    InTransit,
    AlreadyPacked,
    NotPackedThere,
    Circular,
    PackedInside,
    NoOpenShipment,
    NotTheDestination,
    AlreadyDispensed,
    Quarantined,
    Recalled,
    NotQuarantined,
    NotAuthorised,
    AlreadyRecalled,
}

/// In the order of [`Reason`].
const REASONS: [&str; 17] = [
    "serial already exists",
    "not the manufacturer",
    "unknown item",
    "not the custodian",
    "in transit",
    "already packed",
    "not packed there",
    "packed into itself",
    "still packed",
    "no open shipment",
    "not the destination",
    "already dispensed",
    "pack in quarantine",
    "lot recalled",
    "pack not in quarantine",
    "not the manufacturer of the lot",
    "already recalled",
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum What {
    Nothing,
    Item,
    Lot,
}

const AVAILABLE: u8 = 0;
const QUARANTINED: u8 = 1;
const DISPENSED: u8 = 2;
const RECALLED: u8 = 3;

/// How deep items may lie in one another.
// assumption: pack, bundle, case, pallet, container, and some to spare.
const DEEPEST: usize = 8;

const SITE: Cell = (1 << 17) - 1;
/// A destination that nobody named.
const ANYWHERE: Cell = SITE;

/// A record, unpacked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Record {
    what: What,
    state: u8,
    custodian: Option<u16>,
    destination: Option<To>,
    within: Option<u32>,
    lot: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum To {
    Site(u16),
    Anywhere,
}

const ABSENT: Record = Record {
    what: What::Nothing,
    state: AVAILABLE,
    custodian: None,
    destination: None,
    within: None,
    lot: None,
};

impl Record {
    const fn of(what: What, holder: u16) -> Self {
        Self {
            what,
            custodian: Some(holder),
            ..ABSENT
        }
    }

    fn read(cell: Cell) -> Self {
        let number = |bits: Cell| bits.checked_sub(1).map(|n| n as u32);
        Self {
            what: match cell & 15 {
                1 => What::Item,
                2 => What::Lot,
                _ => What::Nothing,
            },
            state: (cell >> 4 & 15) as u8,
            custodian: number(cell >> 8 & SITE).map(|n| n as u16),
            destination: match cell >> 25 & SITE {
                0 => None,
                ANYWHERE => Some(To::Anywhere),
                site => Some(To::Site((site - 1) as u16)),
            },
            within: number(cell >> 42 & 0xffff_ffff),
            lot: number(cell >> 74 & 0xffff_ffff),
        }
    }

    fn cell(self) -> Cell {
        let site = |site: Option<u16>| site.map_or(0, |s| Cell::from(s) + 1);
        let number = |n: Option<u32>| n.map_or(0, |n| Cell::from(n) + 1);
        let destination = match self.destination {
            None => 0,
            Some(To::Anywhere) => ANYWHERE,
            Some(To::Site(to)) => Cell::from(to) + 1,
        };
        self.what as Cell
            | Cell::from(self.state) << 4
            | site(self.custodian) << 8
            | destination << 25
            | number(self.within) << 42
            | number(self.lot) << 74
    }
}

/// The ledger of traced goods.
#[derive(Clone, Debug, Default)]
pub struct Items {
    before: Vec<Cell>,
}

impl Items {
    /// The ledger of a trace, with what exists before its first event.
    pub fn of(trace: &[Arrival]) -> Self {
        let most = trace.iter().map(|tx| {
            let other = Some(tx.operand).filter(|&o| names_a_record(tx.action) && o != NONE);
            tx.key.get().max(other.unwrap_or(0)) as usize + 1
        });
        let size = most.max().unwrap_or(0);
        let (mut before, mut met) = (vec![0; size], vec![false; size]);
        let mut meet = |id: u32, record: Option<Record>| {
            let first = !std::mem::replace(&mut met[id as usize], true);
            if let Some(record) = record.filter(|_| first) {
                before[id as usize] = record.cell();
            }
        };
        for tx in trace {
            let held = Record::of(What::Item, tx.site);
            let (key, other) = (tx.key.get(), tx.operand);
            match Action::ALL[usize::from(tx.action)] {
                // Whoever asks about an unknown pack may hold a counterfeit.
                Action::Verify => {}
                Action::Commission => {
                    meet(key, None);
                    if other != NONE {
                        meet(other, None);
                    }
                }
                Action::Aggregate => {
                    meet(key, Some(held));
                    meet(other, None);
                }
                Action::Disaggregate => {
                    let inside = Record {
                        custodian: None,
                        within: Some(other),
                        ..held
                    };
                    meet(key, Some(inside));
                    meet(other, Some(held));
                }
                Action::Receive | Action::Return => {
                    let coming = Record {
                        custodian: None,
                        destination: Some(To::Site(tx.site)),
                        ..held
                    };
                    meet(key, Some(coming));
                }
                Action::Clear => {
                    let state = QUARANTINED;
                    meet(key, Some(Record { state, ..held }));
                }
                Action::Recall => meet(key, Some(Record::of(What::Lot, tx.site))),
                Action::Ship | Action::Dispense | Action::Suspect => meet(key, Some(held)),
            }
        }
        Self { before }
    }
}

/// Whether the operand of an action is a record.
pub(crate) const fn names_a_record(action: u8) -> bool {
    action == Action::Commission as u8
        || action == Action::Aggregate as u8
        || action == Action::Disaggregate as u8
}

impl Ledger for Items {
    fn reasons(&self) -> &[&'static str] {
        &REASONS
    }

    fn preload(&self, entity: EntityId) -> Cell {
        self.before.get(entity.index()).copied().unwrap_or(0)
    }

    fn preloaded(&self) -> u32 {
        self.before.len() as u32
    }

    fn apply(&self, tx: &Arrival, _now: Time, state: &mut dyn State) -> Verdict {
        match step(tx, state) {
            Ok(()) => Verdict::Valid,
            Err(reason) => Verdict::Rejected(reason as u8),
        }
    }

    /// Whether an item or a lot is neither dispensed, quarantined nor recalled.
    fn allows(&self, cell: Cell, _now: Time) -> bool {
        let record = Record::read(cell);
        record.what != What::Nothing && record.state == AVAILABLE
    }
}

fn get(id: u32, state: &dyn State) -> Record {
    Record::read(state.get(EntityId::new(id)))
}

fn set(id: u32, record: Record, state: &mut dyn State) {
    state.set(EntityId::new(id), record.cell());
}

const fn check(holds: bool, otherwise: Reason) -> Result<(), Reason> {
    if holds { Ok(()) } else { Err(otherwise) }
}

/// What an item lies in at last.
fn outermost(item: Record, state: &dyn State) -> Result<Record, Reason> {
    let mut item = item;
    for _ in 0..DEEPEST {
        let Some(within) = item.within else {
            return Ok(item);
        };
        item = get(within, state);
    }
    Err(Reason::Circular)
}

/// The site must hold the item, or what it lies in, and it must not be on its way.
fn held(by: u16, item: Record, state: &dyn State) -> Result<(), Reason> {
    let holder = outermost(item, state)?;
    check(holder.destination.is_none(), Reason::InTransit)?;
    check(holder.custodian == Some(by), Reason::NotTheCustodian)
}

fn step(tx: &Arrival, state: &mut dyn State) -> Result<(), Reason> {
    let (id, by) = (tx.key.get(), tx.site);
    let action = Action::ALL[usize::from(tx.action)];
    let item = get(id, state);
    match action {
        Action::Verify => return Ok(()),
        Action::Commission => return commission(id, by, tx.operand, state),
        Action::Recall => {
            check(item.what != What::Nothing, Reason::UnknownItem)?;
            check(item.state != RECALLED, Reason::AlreadyRecalled)?;
            authorised(by, item, state)?;
            let state_now = RECALLED;
            set(
                id,
                Record {
                    state: state_now,
                    ..item
                },
                state,
            );
            return Ok(());
        }
        _ => check(item.what == What::Item, Reason::UnknownItem)?,
    }
    let after = match action {
        Action::Aggregate => aggregate(id, item, by, tx.operand, state),
        Action::Disaggregate => disaggregate(item, by, tx.operand, state),
        Action::Ship => ship(item, by, tx.operand, state),
        Action::Receive | Action::Return => receive(item, by),
        Action::Dispense => dispense(item, by, state),
        Action::Suspect => {
            saleable(item)?;
            held(by, item, state)?;
            let state = QUARANTINED;
            Ok(Record { state, ..item })
        }
        _ => {
            check(item.state == QUARANTINED, Reason::NotQuarantined)?;
            authorised(by, item, state)?;
            let state = AVAILABLE;
            Ok(Record { state, ..item })
        }
    }?;
    set(id, after, state);
    Ok(())
}

/// Neither dispensed nor in quarantine.
fn saleable(item: Record) -> Result<(), Reason> {
    check(item.state != DISPENSED, Reason::AlreadyDispensed)?;
    check(item.state != QUARANTINED, Reason::Quarantined)
}

/// Who made the lot signs for it; where the lot is not known, whoever holds the item.
fn authorised(by: u16, item: Record, state: &dyn State) -> Result<(), Reason> {
    let maker = match (item.what, item.lot) {
        (What::Item, Some(lot)) => get(lot, state).custodian,
        (What::Lot, _) => item.custodian,
        _ => outermost(item, state)?.custodian,
    };
    check(maker == Some(by), Reason::NotAuthorised)
}

fn commission(id: u32, by: u16, lot: u32, state: &mut dyn State) -> Result<(), Reason> {
    check(get(id, state).what == What::Nothing, Reason::AlreadyExists)?;
    let lot = Some(lot).filter(|&lot| lot != NONE);
    if let Some(lot) = lot {
        match get(lot, state) {
            // The first to name a lot is its manufacturer.
            record if record.what == What::Nothing => set(lot, Record::of(What::Lot, by), state),
            record => {
                let own = record.what == What::Lot && record.custodian == Some(by);
                check(own, Reason::NotTheManufacturer)?;
            }
        }
    }
    let item = Record {
        lot,
        ..Record::of(What::Item, by)
    };
    set(id, item, state);
    Ok(())
}

fn aggregate(
    id: u32,
    item: Record,
    by: u16,
    into: u32,
    state: &mut dyn State,
) -> Result<Record, Reason> {
    check(item.within.is_none(), Reason::AlreadyPacked)?;
    held(by, item, state)?;
    let place = get(into, state);
    let deep = |at: &Record| at.within;
    let above = core::iter::successors(Some(place), |at| deep(at).map(|up| get(up, state)));
    let mut up = above.take(DEEPEST).filter_map(|at| at.within);
    check(into != id && !up.any(|up| up == id), Reason::Circular)?;
    drop(up);
    match place.what {
        // An empty case exists from what is first put into it.
        What::Nothing => set(into, Record::of(What::Item, by), state),
        What::Item => held(by, place, state)?,
        What::Lot => return Err(Reason::UnknownItem),
    }
    Ok(Record {
        within: Some(into),
        custodian: None,
        ..item
    })
}

fn disaggregate(item: Record, by: u16, from: u32, state: &dyn State) -> Result<Record, Reason> {
    check(item.within == Some(from), Reason::NotPackedThere)?;
    held(by, item, state)?;
    Ok(Record {
        within: None,
        custodian: Some(by),
        ..item
    })
}

fn ship(item: Record, by: u16, to: u32, state: &dyn State) -> Result<Record, Reason> {
    saleable(item)?;
    check(item.within.is_none(), Reason::PackedInside)?;
    held(by, item, state)?;
    let to = u16::try_from(to).map_or(To::Anywhere, To::Site);
    Ok(Record {
        destination: Some(to),
        ..item
    })
}

fn receive(item: Record, by: u16) -> Result<Record, Reason> {
    let to = item.destination.ok_or(Reason::NoOpenShipment)?;
    let here = to == To::Anywhere || to == To::Site(by);
    check(here, Reason::NotTheDestination)?;
    Ok(Record {
        destination: None,
        custodian: Some(by),
        ..item
    })
}

fn dispense(item: Record, by: u16, state: &dyn State) -> Result<Record, Reason> {
    saleable(item)?;
    let recalled = |id: u32| get(id, state).state == RECALLED;
    let off = item.state == RECALLED || item.lot.is_some_and(recalled);
    check(!off, Reason::Recalled)?;
    held(by, item, state)?;
    Ok(Record {
        state: DISPENSED,
        within: None,
        custodian: Some(by),
        ..item
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Action as A;
    use Reason as R;
    use quorate_core::{ClassId, Time};

    type Tx = (Action, u32, u16, u32);

    const CASE: u32 = 1;
    const PALLET: u32 = 2;
    const LOT: u32 = 3;
    const M: u16 = 0;
    const W: u16 = 1;
    const D: u16 = 2;

    struct Book(Vec<Cell>);

    impl State for Book {
        fn get(&self, entity: EntityId) -> Cell {
            self.0.get(entity.index()).copied().unwrap_or(0)
        }

        fn set(&mut self, entity: EntityId, cell: Cell) {
            let size = self.0.len().max(entity.index() + 1);
            self.0.resize(size, 0);
            self.0[entity.index()] = cell;
        }
    }

    fn tx((action, key, site, operand): Tx) -> Arrival {
        Arrival {
            at: Time::ZERO,
            key: EntityId::new(key),
            operand,
            bytes: 300,
            exec_us: 50,
            site,
            class: ClassId(action as u8),
            action: action as u8,
        }
    }

    /// All but the last are accepted; what becomes of the last.
    #[track_caller]
    fn judge(steps: &[Tx], want: Option<Reason>) {
        let mut book = Book(Vec::new());
        let (last, before) = steps.split_last().unwrap();
        for step in before {
            let got = Items::default().apply(&tx(*step), Time::ZERO, &mut book);
            assert_eq!(got, Verdict::Valid, "{step:?}");
        }
        let kept = book.0.clone();
        let got = Items::default().apply(&tx(*last), Time::ZERO, &mut book);
        match want {
            None => assert_eq!(got, Verdict::Valid),
            Some(reason) => {
                assert_eq!(
                    got,
                    Verdict::Rejected(reason as u8),
                    "{}",
                    REASONS[reason as usize]
                );
                assert_eq!(kept, book.0, "what is refused writes nothing");
            }
        }
    }

    const MADE: Tx = (A::Commission, 0, M, LOT);
    const IN_CASE: Tx = (A::Aggregate, 0, M, CASE);
    const ON_PALLET: Tx = (A::Aggregate, CASE, M, PALLET);
    const SHIPPED: Tx = (A::Ship, PALLET, M, W as u32);
    const RECEIVED: Tx = (A::Receive, PALLET, W, 0);

    #[test]
    fn records_survive_their_packing() {
        let record = Record {
            what: What::Item,
            state: RECALLED,
            custodian: Some(u16::MAX),
            destination: Some(To::Anywhere),
            within: Some(u32::MAX - 1),
            lot: Some(0),
        };
        assert_eq!(Record::read(record.cell()), record);
        assert_eq!((Record::read(0), ABSENT.cell()), (ABSENT, 0));
    }

    #[test]
    fn serials_are_new_and_lots_belong_to_who_made_them() {
        judge(&[MADE], None);
        judge(&[MADE, MADE], Some(R::AlreadyExists));
        judge(
            &[MADE, (A::Commission, 9, W, LOT)],
            Some(R::NotTheManufacturer),
        );
        judge(&[MADE, (A::Commission, 9, M, LOT)], None);
        judge(&[(A::Commission, 9, W, NONE)], None);
        judge(
            &[MADE, (A::Commission, LOT, M, NONE)],
            Some(R::AlreadyExists),
        );
    }

    #[test]
    fn what_is_packed_travels_with_its_pallet() {
        let way = [MADE, IN_CASE, ON_PALLET, SHIPPED, RECEIVED];
        let at =
            |n: usize, last: Tx| -> Vec<Tx> { way[..n].iter().copied().chain([last]).collect() };
        judge(&way, None);
        judge(&at(1, (A::Aggregate, 0, W, CASE)), Some(R::NotTheCustodian));
        judge(&at(2, (A::Aggregate, 0, M, PALLET)), Some(R::AlreadyPacked));
        judge(&at(3, (A::Aggregate, PALLET, M, 0)), Some(R::Circular));
        judge(&at(3, (A::Aggregate, PALLET, M, PALLET)), Some(R::Circular));
        judge(&at(1, (A::Aggregate, 0, M, LOT)), Some(R::UnknownItem));
        judge(&at(3, (A::Ship, CASE, M, 1)), Some(R::PackedInside));
        judge(&at(4, SHIPPED), Some(R::InTransit));
        judge(
            &at(4, (A::Receive, PALLET, D, 0)),
            Some(R::NotTheDestination),
        );
        judge(&at(4, (A::Receive, CASE, W, 0)), Some(R::NoOpenShipment));
        judge(&at(4, (A::Dispense, 0, W, 0)), Some(R::InTransit));
        judge(&at(5, (A::Dispense, 0, M, 0)), Some(R::NotTheCustodian));
        judge(&at(5, (A::Dispense, 0, W, 0)), None);
        judge(
            &at(5, (A::Disaggregate, 0, W, PALLET)),
            Some(R::NotPackedThere),
        );
        judge(
            &at(5, (A::Disaggregate, 0, M, CASE)),
            Some(R::NotTheCustodian),
        );
        judge(&at(5, (A::Disaggregate, CASE, W, PALLET)), None);
        judge(&at(0, (A::Ship, 7, M, 1)), Some(R::UnknownItem));
        judge(&at(3, (A::Ship, PALLET, W, 1)), Some(R::NotTheCustodian));
        // Nobody said where it goes.
        judge(&[MADE, (A::Ship, 0, M, NONE), (A::Return, 0, D, 0)], None);
    }

    #[test]
    fn an_item_is_dispensed_once_while_it_may() {
        let dispense = (A::Dispense, 0, M, 0);
        let suspect = (A::Suspect, 0, M, 0);
        judge(&[MADE, dispense], None);
        judge(&[MADE, dispense, dispense], Some(R::AlreadyDispensed));
        judge(&[MADE, suspect, dispense], Some(R::Quarantined));
        judge(&[MADE, (A::Suspect, 0, W, 0)], Some(R::NotTheCustodian));
        judge(
            &[MADE, suspect, (A::Clear, 0, W, 0)],
            Some(R::NotAuthorised),
        );
        judge(&[MADE, (A::Clear, 0, M, 0)], Some(R::NotQuarantined));
        judge(&[MADE, suspect, (A::Clear, 0, M, 0), dispense], None);
        for recalled in [LOT, 0] {
            let recall = (A::Recall, recalled, M, 0);
            judge(&[MADE, recall, dispense], Some(R::Recalled));
            judge(&[MADE, recall, recall], Some(R::AlreadyRecalled));
            judge(&[MADE, (A::Recall, recalled, W, 0)], Some(R::NotAuthorised));
        }
        judge(&[(A::Recall, LOT, M, 0)], Some(R::UnknownItem));
    }

    #[test]
    fn a_trace_that_begins_in_the_middle_finds_what_it_needs() {
        let steps = [
            (A::Ship, 10, M, 1),
            (A::Receive, 10, W, 0),
            (A::Receive, 11, W, 0),
            (A::Disaggregate, 12, W, 11),
            (A::Dispense, 12, W, 0),
            (A::Commission, 13, M, LOT),
            (A::Aggregate, 14, M, 15),
            (A::Clear, 16, W, 0),
            (A::Recall, 17, M, 0),
            (A::Verify, 18, M, 0),
        ];
        let trace: Vec<Arrival> = steps.map(tx).into();
        let ledger = Items::of(&trace);
        let ids = 0..ledger.preloaded();
        let mut book = Book(ids.map(|id| ledger.preload(EntityId::new(id))).collect());
        for tx in &trace {
            let got = ledger.apply(tx, Time::ZERO, &mut book);
            assert_eq!(got, Verdict::Valid, "{tx:?}");
        }
        let exists = |id| ledger.preload(EntityId::new(id)) != 0;
        assert!(exists(10) && exists(11) && exists(14));
        assert!(!exists(13) && !exists(15) && !exists(18) && !exists(LOT));
        // The second event is judged as any other.
        let twice = [steps[4], steps[4]].map(tx);
        let ledger = Items::of(&twice);
        let ids = 0..ledger.preloaded();
        let mut book = Book(ids.map(|id| ledger.preload(EntityId::new(id))).collect());
        let fates = twice.map(|tx| ledger.apply(&tx, Time::ZERO, &mut book));
        assert_eq!(fates[1], Verdict::Rejected(R::AlreadyDispensed as u8));
    }
}
