//! The ledger rules of the drug supply chain: who holds which pack, and may it be dispensed?
//!
//! A record is 16 bytes: what it is 4, state 4, custodian 17, destination of an open shipment 17,
//! lot 32, second of the last dispense 32 (bits). Sites are stored as number + 1; 0 is none.
//!
//! | record | state | custodian |
//! |---|---|---|
//! | lot | 0, or the class of its recall | its manufacturer |
//! | pallet | – | whoever holds it |
//! | case | – | none: its pallet's |
//! | pack | available, quarantined, dispensed | none: its case's, or its pallet's |
//!
//! A case that is shipped alone has a custodian of its own from then on, and so has a pack that is
//! dispensed or returned. The signer of a transaction is the site that submits it.

mod chain;
mod trade;

pub(crate) use chain::Stage;
pub use chain::{Chain, Layout, Packing};
pub use trade::Trade;

use quorate_core::{Arrival, Cell, EntityId, Ledger, Span, State, Time, Verdict};
use std::sync::Arc;

/// What a transaction does; [`Arrival::action`] and the class index of the pharma workload.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Action {
    /// Asks the local view whether a pack, or a lot, may be dispensed; changes nothing.
    Verify,
    /// Commissions a case with all its serials, or one pack; the operand is the lot.
    Commission,
    /// Ships a pallet, a case or a pack; the operand is the destination.
    Ship,
    /// Receives it there.
    Receive,
    /// Dispenses a pack.
    Dispense,
    /// Takes that back.
    Undo,
    /// A wholesaler takes a pack back from the site that the operand names.
    Return,
    /// Puts a pack into quarantine.
    Suspect,
    /// Ends that.
    Clear,
    /// Recalls a lot; the operand is the class, 1 to 3.
    Recall,
}

impl Action {
    /// All actions, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Verify,
        Self::Commission,
        Self::Ship,
        Self::Receive,
        Self::Dispense,
        Self::Undo,
        Self::Return,
        Self::Suspect,
        Self::Clear,
        Self::Recall,
    ];

    /// The action as an index and as [`Arrival::action`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Why a transaction is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Reason {
    UnknownLot,
    NotTheManufacturer,
    AlreadyExists,
    PalletClosed,
    UnknownItem,
    UnknownPack,
    NotTheCustodian,
    InTransit,
    NoOpenShipment,
    NotTheDestination,
    AlreadyDispensed,
    Quarantined,
    LotRecalled,
    NotDispensed,
    UndoTooLate,
    NotQuarantined,
    NotAuthorised,
    AlreadyRecalled,
}

/// In the order of [`Reason`].
const REASONS: [&str; 18] = [
    "unknown lot",
    "not the manufacturer",
    "serial already exists",
    "pallet closed",
    "unknown item",
    "unknown pack",
    "not the custodian",
    "in transit",
    "no open shipment",
    "not the destination",
    "already dispensed",
    "pack in quarantine",
    "lot recalled",
    "pack not dispensed",
    "undo too late",
    "pack not in quarantine",
    "neither manufacturer nor regulator",
    "lot already recalled",
];

// assumption: Delegated Regulation (EU) 2016/161 allows ten days.
const UNDO_WITHIN: Span = Span::from_s(10 * 86_400);

/// What a record is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum What {
    Nothing,
    Lot,
    Pallet,
    Case,
    Pack,
}

const AVAILABLE: u8 = 0;
const QUARANTINED: u8 = 1;
const DISPENSED: u8 = 2;

/// A record, unpacked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Record {
    what: What,
    state: u8,
    custodian: Option<u16>,
    destination: Option<u16>,
    lot: u32,
    dispensed_s: u32,
}

const SITE: Cell = (1 << 17) - 1;

impl Record {
    const fn new(what: What, lot: u32) -> Self {
        Self {
            what,
            state: AVAILABLE,
            custodian: None,
            destination: None,
            lot,
            dispensed_s: 0,
        }
    }

    const fn held_by(self, site: u16) -> Self {
        Self {
            custodian: Some(site),
            ..self
        }
    }

    const fn sent_to(self, site: u16) -> Self {
        Self {
            destination: Some(site),
            ..self
        }
    }

    const fn read(cell: Cell) -> Self {
        const fn site(bits: Cell) -> Option<u16> {
            match bits & SITE {
                0 => None,
                n => Some((n - 1) as u16),
            }
        }
        Self {
            what: match cell & 15 {
                1 => What::Lot,
                2 => What::Pallet,
                3 => What::Case,
                4 => What::Pack,
                _ => What::Nothing,
            },
            state: (cell >> 4 & 15) as u8,
            custodian: site(cell >> 8),
            destination: site(cell >> 25),
            lot: (cell >> 64) as u32,
            dispensed_s: (cell >> 96) as u32,
        }
    }

    fn cell(self) -> Cell {
        let site = |site: Option<u16>| site.map_or(0, |s| Cell::from(s) + 1);
        self.what as Cell
            | Cell::from(self.state) << 4
            | site(self.custodian) << 8
            | site(self.destination) << 25
            | Cell::from(self.lot) << 64
            | Cell::from(self.dispensed_s) << 96
    }
}

/// The ledger of the supply chain.
#[derive(Clone, Debug)]
pub struct Custody {
    chain: Arc<Chain>,
    /// Whether only a pack's custodian may dispense it.
    tracked: bool,
}

impl Custody {
    pub(crate) const fn new(chain: Arc<Chain>, tracked: bool) -> Self {
        Self { chain, tracked }
    }

    /// Identifiers and who holds what before the first block.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }
}

impl Ledger for Custody {
    fn reasons(&self) -> &[&'static str] {
        &REASONS
    }

    fn preload(&self, entity: EntityId) -> Cell {
        let (id, chain) = (entity.get(), &*self.chain);
        let record = if id < chain.lots().end {
            Record::new(What::Lot, id).held_by(chain.maker(id))
        } else if id < chain.base() {
            let state = if id < chain.stock().end {
                AVAILABLE
            } else if id < chain.dispensed().end {
                DISPENSED
            } else {
                QUARANTINED
            };
            Record {
                state,
                ..Record::new(What::Pack, chain.lot(id)).held_by(chain.dispenser(id))
            }
        } else if id < chain.end() {
            travelling(chain, id)
        } else {
            return 0;
        };
        record.cell()
    }

    fn preloaded(&self) -> u32 {
        self.chain.end()
    }

    fn apply(&self, tx: &Arrival, now: Time, state: &mut dyn State) -> Verdict {
        let step = Step {
            chain: &self.chain,
            tracked: self.tracked,
            signer: tx.site,
            operand: tx.operand,
            now,
        };
        match step.apply(Action::ALL[usize::from(tx.action)], tx.key.get(), state) {
            Ok(()) => Verdict::Valid,
            Err(reason) => Verdict::Rejected(reason as u8),
        }
    }

    /// Whether a pack is neither dispensed nor in quarantine, or a lot is not recalled.
    fn allows(&self, cell: Cell, _now: Time) -> bool {
        let record = Record::read(cell);
        record.what != What::Nothing && record.state == AVAILABLE
    }
}

/// The record of a pallet, or of what lies on it, before the first block.
fn travelling(chain: &Chain, id: u32) -> Record {
    let pallet = chain.pallet(id);
    let whole = chain.packing().case == 0;
    let lot = chain.lot(pallet);
    let case = !whole && id != pallet && chain.case(id) == id;
    let record = match (whole || (id != pallet && !case), case) {
        (true, _) => Record::new(What::Pack, lot),
        (_, true) => Record::new(What::Case, lot),
        _ => Record::new(What::Pallet, lot),
    };
    match chain.stage(pallet) {
        Stage::ToShip if id == pallet => record.held_by(chain.sender(pallet)),
        Stage::Shipped if id == pallet => record
            .held_by(chain.sender(pallet))
            .sent_to(chain.wholesaler(pallet)),
        Stage::Distributed if case || whole => record
            .held_by(chain.distributor(pallet))
            .sent_to(chain.dispenser(id)),
        Stage::ToDistribute | Stage::Distributed if id == pallet => {
            record.held_by(chain.distributor(pallet))
        }
        _ => record,
    }
}

/// One transaction on its way through the rules.
struct Step<'a> {
    chain: &'a Chain,
    tracked: bool,
    signer: u16,
    operand: u32,
    now: Time,
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

impl Step<'_> {
    fn apply(&self, action: Action, id: u32, state: &mut dyn State) -> Result<(), Reason> {
        match action {
            Action::Verify => Ok(()),
            Action::Commission => self.commission(id, state),
            Action::Ship => self.ship(id, state),
            Action::Receive => self.receive(id, state),
            Action::Recall => self.recall(id, state),
            _ => {
                let pack = get(id, state);
                check(pack.what == What::Pack, Reason::UnknownPack)?;
                let pack = match action {
                    Action::Dispense => self.dispense(id, pack, state),
                    Action::Undo => self.undo(pack),
                    Action::Return => self.take_back(id, pack, state),
                    Action::Suspect => self.suspect(id, pack, state),
                    _ => self.clear(pack),
                }?;
                set(id, pack, state);
                Ok(())
            }
        }
    }

    /// The record that says who holds an item: its own, its case's or its pallet's.
    fn holder(&self, id: u32, item: Record, state: &dyn State) -> Record {
        if item.custodian.is_some() || id < self.chain.base() {
            return item;
        }
        let case = get(self.chain.case(id), state);
        if case.custodian.is_some() {
            return case;
        }
        get(self.chain.pallet(id), state)
    }

    /// The signer, or the site in the operand, must hold the item, and it must not be on its way.
    fn held(&self, by: u16, id: u32, item: Record, state: &dyn State) -> Result<(), Reason> {
        let holder = self.holder(id, item, state);
        check(holder.custodian == Some(by), Reason::NotTheCustodian)?;
        check(holder.destination.is_none(), Reason::InTransit)
    }

    fn lot_on_sale(lot: u32, state: &dyn State) -> Result<(), Reason> {
        check(get(lot, state).state == AVAILABLE, Reason::LotRecalled)
    }

    /// The site in the operand.
    fn named(&self) -> Option<u16> {
        let named = u16::try_from(self.operand).ok();
        named.filter(|&site| site < self.chain.sites())
    }

    fn commission(&self, id: u32, state: &mut dyn State) -> Result<(), Reason> {
        let lot = get(self.operand, state);
        check(lot.what == What::Lot, Reason::UnknownLot)?;
        check(
            lot.custodian == Some(self.signer),
            Reason::NotTheManufacturer,
        )?;
        check(self.chain.is_commissioned_whole(id), Reason::UnknownItem)?;
        check(get(id, state).what == What::Nothing, Reason::AlreadyExists)?;
        let pack = Record::new(What::Pack, self.operand);
        if self.chain.packing().case == 0 {
            set(id, pack.held_by(self.signer), state);
            return Ok(());
        }
        // The first case opens its pallet.
        let place = self.chain.pallet(id);
        let open = Record::new(What::Pallet, self.operand).held_by(self.signer);
        let pallet = get(place, state);
        let fits = pallet.what == What::Nothing || pallet == open;
        check(fits, Reason::PalletClosed)?;
        set(place, open, state);
        set(id, Record::new(What::Case, self.operand), state);
        for serial in self.chain.packs(id) {
            set(serial, pack, state);
        }
        Ok(())
    }

    fn ship(&self, id: u32, state: &mut dyn State) -> Result<(), Reason> {
        let item = get(id, state);
        let known = matches!(item.what, What::Pallet | What::Case | What::Pack);
        check(known, Reason::UnknownItem)?;
        check(item.state != DISPENSED, Reason::AlreadyDispensed)?;
        check(item.state != QUARANTINED, Reason::Quarantined)?;
        self.held(self.signer, id, item, state)?;
        let to = self.named().ok_or(Reason::NotTheDestination)?;
        set(id, item.held_by(self.signer).sent_to(to), state);
        Ok(())
    }

    fn receive(&self, id: u32, state: &mut dyn State) -> Result<(), Reason> {
        let item = get(id, state);
        // A lot has no destination either.
        check(item.what != What::Nothing, Reason::UnknownItem)?;
        let to = item.destination.ok_or(Reason::NoOpenShipment)?;
        check(to == self.signer, Reason::NotTheDestination)?;
        let received = Record {
            destination: None,
            ..item.held_by(self.signer)
        };
        set(id, received, state);
        Ok(())
    }

    fn dispense(&self, id: u32, pack: Record, state: &dyn State) -> Result<Record, Reason> {
        check(pack.state != DISPENSED, Reason::AlreadyDispensed)?;
        check(pack.state != QUARANTINED, Reason::Quarantined)?;
        Self::lot_on_sale(pack.lot, state)?;
        if self.tracked {
            self.held(self.signer, id, pack, state)?;
        }
        Ok(Record {
            state: DISPENSED,
            destination: None,
            dispensed_s: (self.now.ns() / 1_000_000_000) as u32,
            ..pack.held_by(self.signer)
        })
    }

    fn undo(&self, pack: Record) -> Result<Record, Reason> {
        check(pack.state == DISPENSED, Reason::NotDispensed)?;
        check(pack.custodian == Some(self.signer), Reason::NotTheCustodian)?;
        let dispensed = Time::ZERO + Span::from_s(u64::from(pack.dispensed_s));
        let in_time = self.now.saturating_since(dispensed) <= UNDO_WITHIN;
        check(in_time, Reason::UndoTooLate)?;
        Ok(Record {
            state: AVAILABLE,
            ..pack
        })
    }

    fn take_back(&self, id: u32, pack: Record, state: &dyn State) -> Result<Record, Reason> {
        check(pack.state != DISPENSED, Reason::AlreadyDispensed)?;
        check(pack.state != QUARANTINED, Reason::Quarantined)?;
        // What is recalled is not saleable.
        Self::lot_on_sale(pack.lot, state)?;
        let from = self.named().ok_or(Reason::NotTheCustodian)?;
        self.held(from, id, pack, state)?;
        Ok(pack.held_by(self.signer))
    }

    fn suspect(&self, id: u32, pack: Record, state: &dyn State) -> Result<Record, Reason> {
        check(pack.state != DISPENSED, Reason::AlreadyDispensed)?;
        check(pack.state != QUARANTINED, Reason::Quarantined)?;
        self.held(self.signer, id, pack, state)?;
        Ok(Record {
            state: QUARANTINED,
            ..pack
        })
    }

    fn clear(&self, pack: Record) -> Result<Record, Reason> {
        check(pack.state == QUARANTINED, Reason::NotQuarantined)?;
        self.authorised(pack.lot)?;
        Ok(Record {
            state: AVAILABLE,
            ..pack
        })
    }

    fn authorised(&self, lot: u32) -> Result<(), Reason> {
        let signs = [self.chain.maker(lot), self.chain.regulator()].contains(&self.signer);
        check(signs, Reason::NotAuthorised)
    }

    fn recall(&self, id: u32, state: &mut dyn State) -> Result<(), Reason> {
        let lot = get(id, state);
        check(lot.what == What::Lot, Reason::UnknownLot)?;
        self.authorised(id)?;
        check(lot.state == AVAILABLE, Reason::AlreadyRecalled)?;
        let class = self.operand.clamp(1, 3) as u8;
        set(
            id,
            Record {
                state: class,
                ..lot
            },
            state,
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Action as A;
    use Reason as R;
    use std::collections::BTreeMap;

    struct Book<'a>(&'a Custody, BTreeMap<EntityId, Cell>);

    impl State for Book<'_> {
        fn get(&self, entity: EntityId) -> Cell {
            let written = self.1.get(&entity).copied();
            written.unwrap_or_else(|| self.0.preload(entity))
        }

        fn set(&mut self, entity: EntityId, cell: Cell) {
            self.1.insert(entity, cell);
        }
    }

    /// What, on which record, by which site, with which operand, on which day.
    type Tx = (Action, u32, u16, u32, u64);

    fn run(
        ledger: &Custody,
        book: &mut Book<'_>,
        (action, key, site, operand, day): Tx,
    ) -> Verdict {
        let tx = Arrival {
            at: Time::ZERO,
            key: EntityId::new(key),
            operand,
            bytes: 0,
            exec_us: 0,
            site,
            class: quorate_core::ClassId(action as u8),
            action: action as u8,
        };
        let now = Time::ZERO + Span::from_s(day * 86_400);
        ledger.apply(&tx, now, book)
    }

    fn ledger(case: u32, tracked: bool) -> Custody {
        Custody::new(Arc::new(chain::tests::chain(case)), tracked)
    }

    /// All but the last step must be accepted; the last is refused for `why` and writes nothing, or
    /// is accepted if there is no `why`.
    #[track_caller]
    fn judge(ledger: &Custody, steps: &[Tx], why: Option<Reason>) {
        let mut book = Book(ledger, BTreeMap::new());
        let (last, first) = steps.split_last().unwrap();
        for &tx in first {
            assert_eq!(run(ledger, &mut book, tx), Verdict::Valid, "{tx:?}");
        }
        let before = book.1.clone();
        let verdict = run(ledger, &mut book, *last);
        let Some(why) = why else {
            return assert_eq!(verdict, Verdict::Valid, "{last:?}");
        };
        assert_eq!(verdict, Verdict::Rejected(why as u8), "{last:?}: {why:?}");
        assert_eq!(before, book.1, "a refused transaction wrote");
    }

    const LOT: u32 = 4;
    /// Wholesaler, dispenser and somebody else.
    const W: u16 = 1;
    const D: u16 = 5;
    const X: u16 = 7;

    /// A pallet made, sent to the wholesaler, and a case of it sent on to the dispenser.
    struct Goods {
        maker: u16,
        regulator: u16,
        pallet: u32,
        case: u32,
        pack: u32,
        way: Vec<Tx>,
    }

    fn goods(ledger: &Custody) -> Goods {
        let chain = ledger.chain();
        let (maker, pallet) = (chain.maker(LOT), chain.end());
        let case = chain.case_of(pallet, 1);
        let other = chain.case_of(pallet, 0);
        assert!(![W, D, X, chain.regulator()].contains(&maker), "{maker}");
        Goods {
            maker,
            regulator: chain.regulator(),
            pallet,
            case,
            pack: case + 2,
            way: vec![
                (A::Commission, case, maker, LOT, 0),
                (A::Commission, other, maker, LOT, 0),
                (A::Ship, pallet, maker, W.into(), 0),
                (A::Receive, pallet, W, 0, 0),
                (A::Ship, case, W, D.into(), 0),
                (A::Receive, case, D, 0, 0),
            ],
        }
    }

    #[test]
    fn names_match() {
        assert_eq!(REASONS[R::AlreadyRecalled as usize], "lot already recalled");
        assert_eq!(REASONS[R::AlreadyDispensed as usize], "already dispensed");
        assert_eq!(REASONS[R::NoOpenShipment as usize], "no open shipment");
        assert_eq!(REASONS[R::UndoTooLate as usize], "undo too late");
        for (i, action) in A::ALL.iter().enumerate() {
            assert_eq!(action.index(), i);
        }
    }

    #[test]
    fn records_come_back_as_they_were() {
        for what in [
            What::Nothing,
            What::Lot,
            What::Pallet,
            What::Case,
            What::Pack,
        ] {
            for (custodian, destination) in [
                (None, Some(0)),
                (Some(u16::MAX), None),
                (Some(0), Some(u16::MAX)),
            ] {
                let record = Record {
                    what,
                    state: 15,
                    custodian,
                    destination,
                    lot: u32::MAX,
                    dispensed_s: u32::MAX - 1,
                };
                assert_eq!(Record::read(record.cell()), record);
            }
        }
        assert_eq!(Record::read(0), Record::new(What::Nothing, 0));
    }

    #[test]
    fn what_is_made_is_new_of_a_lot_and_by_its_manufacturer() {
        let ledger = ledger(4, true);
        let g = goods(&ledger);
        let made = (A::Commission, g.case, g.maker, LOT, 0);
        let beside = ledger.chain().case_of(g.pallet, 2);
        let rows: &[(&[Tx], Tx, Option<Reason>)] = &[
            (&[], made, None),
            (&[made], made, Some(R::AlreadyExists)),
            (
                &[],
                (A::Commission, g.case, X, LOT, 0),
                Some(R::NotTheManufacturer),
            ),
            (
                &[],
                (A::Commission, g.case, g.maker, g.case, 0),
                Some(R::UnknownLot),
            ),
            (
                &[],
                (A::Commission, g.pack, g.maker, LOT, 0),
                Some(R::UnknownItem),
            ),
            (
                &[],
                (A::Commission, g.pallet, g.maker, LOT, 0),
                Some(R::UnknownItem),
            ),
            (
                &[],
                (A::Commission, LOT, g.maker, LOT, 0),
                Some(R::UnknownItem),
            ),
            // Of the same product and manufacturer, but another lot.
            (
                &[made],
                (A::Commission, beside, g.maker, LOT + 1, 0),
                Some(R::PalletClosed),
            ),
            (
                &g.way[..3],
                (A::Commission, beside, g.maker, LOT, 0),
                Some(R::PalletClosed),
            ),
        ];
        assert_eq!(ledger.chain().maker(LOT), ledger.chain().maker(LOT + 1));
        for (first, last, why) in rows {
            let steps: Vec<Tx> = first.iter().chain([last]).copied().collect();
            judge(&ledger, &steps, *why);
        }
    }

    #[test]
    fn goods_go_from_their_custodian_to_the_named_destination() {
        let ledger = ledger(4, true);
        let g = goods(&ledger);
        let rows: &[(usize, Tx, Option<Reason>)] = &[
            (
                0,
                (A::Ship, g.pallet, g.maker, W.into(), 0),
                Some(R::UnknownItem),
            ),
            (
                1,
                (A::Ship, LOT, g.maker, W.into(), 0),
                Some(R::UnknownItem),
            ),
            (
                2,
                (A::Ship, g.pallet, X, W.into(), 0),
                Some(R::NotTheCustodian),
            ),
            (
                2,
                (A::Ship, g.pallet, g.maker, 99, 0),
                Some(R::NotTheDestination),
            ),
            (
                3,
                (A::Ship, g.pallet, g.maker, X.into(), 0),
                Some(R::InTransit),
            ),
            // What lies on a pallet travels with it.
            (
                3,
                (A::Ship, g.case, g.maker, X.into(), 0),
                Some(R::InTransit),
            ),
            (
                3,
                (A::Receive, g.pallet, X, 0, 0),
                Some(R::NotTheDestination),
            ),
            (3, (A::Receive, g.case, W, 0, 0), Some(R::NoOpenShipment)),
            (4, (A::Receive, g.pallet, W, 0, 0), Some(R::NoOpenShipment)),
            (
                2,
                (A::Receive, g.pallet + 400, W, 0, 0),
                Some(R::UnknownItem),
            ),
            (
                4,
                (A::Ship, g.case, g.maker, D.into(), 0),
                Some(R::NotTheCustodian),
            ),
            (5, (A::Ship, g.case, W, X.into(), 0), Some(R::InTransit)),
            // The rest of the pallet stays with the wholesaler.
            (6, (A::Ship, g.pallet, W, X.into(), 0), None),
            (
                6,
                (A::Ship, g.case, W, X.into(), 0),
                Some(R::NotTheCustodian),
            ),
            (6, (A::Ship, g.pack, D, X.into(), 0), None),
        ];
        for (steps, last, why) in rows {
            let steps: Vec<Tx> = g.way[..*steps].iter().chain([last]).copied().collect();
            judge(&ledger, &steps, *why);
        }
    }

    #[test]
    fn a_pack_is_dispensed_once_by_its_custodian_while_it_may() {
        let ledger = ledger(4, true);
        let g = goods(&ledger);
        let dispense = (A::Dispense, g.pack, D, 0, 1);
        let undo = (A::Undo, g.pack, D, 0, 1);
        let suspect = (A::Suspect, g.pack, D, 0, 1);
        let recall = (A::Recall, LOT, g.maker, 1, 1);
        let ship = (A::Ship, g.pack, D, X.into(), 1);
        let rows: &[(&[Tx], Tx, Option<Reason>)] = &[
            (&[], dispense, None),
            (
                &[],
                (A::Dispense, g.pack, X, 0, 1),
                Some(R::NotTheCustodian),
            ),
            (&[], (A::Dispense, g.case, D, 0, 1), Some(R::UnknownPack)),
            (&[], (A::Dispense, LOT, D, 0, 1), Some(R::UnknownPack)),
            (
                &[],
                (A::Dispense, ledger.chain().end() + 400, D, 0, 1),
                Some(R::UnknownPack),
            ),
            (&[dispense], dispense, Some(R::AlreadyDispensed)),
            (
                &[dispense],
                (A::Dispense, g.pack, X, 0, 1),
                Some(R::AlreadyDispensed),
            ),
            (&[dispense, undo], dispense, None),
            (&[suspect], dispense, Some(R::Quarantined)),
            (&[recall], dispense, Some(R::LotRecalled)),
            (&[ship], dispense, Some(R::InTransit)),
            (&[dispense], ship, Some(R::AlreadyDispensed)),
            (&[suspect], ship, Some(R::Quarantined)),
        ];
        for (more, last, why) in rows {
            let steps: Vec<Tx> = g.way.iter().chain(*more).chain([last]).copied().collect();
            judge(&ledger, &steps, *why);
        }
        // On its way to the dispenser nobody has it.
        for (steps, site) in [(3, g.maker), (5, W), (5, D)] {
            let last = (A::Dispense, g.pack, site, 0, 0);
            let steps: Vec<Tx> = g.way[..steps].iter().chain([&last]).copied().collect();
            let why = if site == D {
                R::NotTheCustodian
            } else {
                R::InTransit
            };
            judge(&ledger, &steps, Some(why));
        }
    }

    #[test]
    fn without_custody_the_first_site_wins() {
        let ledger = ledger(4, false);
        let g = goods(&ledger);
        let elsewhere = (A::Dispense, g.pack, X, 0, 1);
        let here = (A::Dispense, g.pack, D, 0, 1);
        let with = |more: &[Tx]| g.way.iter().chain(more).copied().collect::<Vec<Tx>>();
        judge(&ledger, &with(&[elsewhere]), None);
        judge(
            &ledger,
            &with(&[elsewhere, here]),
            Some(R::AlreadyDispensed),
        );
        // Only who dispensed it may take it back.
        let undo = |site| (A::Undo, g.pack, site, 0, 2);
        judge(
            &ledger,
            &with(&[elsewhere, undo(D)]),
            Some(R::NotTheCustodian),
        );
        judge(&ledger, &with(&[elsewhere, undo(X)]), None);
    }

    #[test]
    fn what_was_dispensed_is_taken_back_within_ten_days_where_it_was() {
        let ledger = ledger(4, true);
        let g = goods(&ledger);
        let dispense = (A::Dispense, g.pack, D, 0, 3);
        let undo = |site, day| (A::Undo, g.pack, site, 0, day);
        let rows: &[(&[Tx], Tx, Option<Reason>)] = &[
            (&[], undo(D, 3), Some(R::NotDispensed)),
            (&[dispense], undo(D, 13), None),
            (&[dispense], undo(D, 14), Some(R::UndoTooLate)),
            (&[dispense], undo(X, 4), Some(R::NotTheCustodian)),
            (&[dispense, undo(D, 4)], undo(D, 4), Some(R::NotDispensed)),
        ];
        for (more, last, why) in rows {
            let steps: Vec<Tx> = g.way.iter().chain(*more).chain([last]).copied().collect();
            judge(&ledger, &steps, *why);
        }
    }

    #[test]
    fn packs_come_back_from_whoever_holds_them() {
        let ledger = ledger(4, true);
        let g = goods(&ledger);
        let back = (A::Return, g.pack, W, u32::from(D), 1);
        let rows: &[(&[Tx], Tx, Option<Reason>)] = &[
            (&[], back, None),
            (&[back], (A::Dispense, g.pack, W, 0, 1), None),
            (
                &[back],
                (A::Dispense, g.pack, D, 0, 1),
                Some(R::NotTheCustodian),
            ),
            (
                &[],
                (A::Return, g.pack, W, u32::from(X), 1),
                Some(R::NotTheCustodian),
            ),
            (&[], (A::Return, g.pack, W, 99, 1), Some(R::NotTheCustodian)),
            (
                &[(A::Dispense, g.pack, D, 0, 1)],
                back,
                Some(R::AlreadyDispensed),
            ),
            (&[(A::Suspect, g.pack, D, 0, 1)], back, Some(R::Quarantined)),
            (
                &[(A::Recall, LOT, g.maker, 2, 1)],
                back,
                Some(R::LotRecalled),
            ),
        ];
        for (more, last, why) in rows {
            let steps: Vec<Tx> = g.way.iter().chain(*more).chain([last]).copied().collect();
            judge(&ledger, &steps, *why);
        }
    }

    #[test]
    fn the_custodian_suspects_and_manufacturer_or_regulator_clears() {
        let ledger = ledger(4, true);
        let g = goods(&ledger);
        let suspect = (A::Suspect, g.pack, D, 0, 1);
        let clear = |site| (A::Clear, g.pack, site, 0, 1);
        let rows: &[(&[Tx], Tx, Option<Reason>)] = &[
            (&[], (A::Suspect, g.pack, X, 0, 1), Some(R::NotTheCustodian)),
            (&[suspect], suspect, Some(R::Quarantined)),
            (
                &[(A::Dispense, g.pack, D, 0, 1)],
                suspect,
                Some(R::AlreadyDispensed),
            ),
            (&[suspect], clear(D), Some(R::NotAuthorised)),
            (&[suspect], clear(g.maker), None),
            (&[suspect], clear(g.regulator), None),
            (&[], clear(g.maker), Some(R::NotQuarantined)),
            (
                &[suspect, clear(g.maker)],
                (A::Dispense, g.pack, D, 0, 1),
                None,
            ),
        ];
        for (more, last, why) in rows {
            let steps: Vec<Tx> = g.way.iter().chain(*more).chain([last]).copied().collect();
            judge(&ledger, &steps, *why);
        }
    }

    #[test]
    fn a_lot_is_recalled_once_by_manufacturer_or_regulator() {
        let ledger = ledger(4, true);
        let g = goods(&ledger);
        let recall = |site| (A::Recall, LOT, site, 1, 1);
        judge(&ledger, &[recall(g.maker)], None);
        judge(&ledger, &[recall(g.regulator)], None);
        judge(&ledger, &[recall(X)], Some(R::NotAuthorised));
        judge(
            &ledger,
            &[recall(g.maker), recall(g.regulator)],
            Some(R::AlreadyRecalled),
        );
        let stock = ledger.chain().stock().start;
        judge(
            &ledger,
            &[(A::Recall, stock, g.maker, 1, 1)],
            Some(R::UnknownLot),
        );
        let unknown = ledger.chain().end() + 400;
        judge(
            &ledger,
            &[(A::Recall, unknown, g.maker, 1, 1)],
            Some(R::UnknownLot),
        );
        // Another lot is not concerned.
        let mut steps = vec![(A::Recall, LOT + 1, g.maker, 1, 0)];
        steps.extend(&g.way);
        steps.push((A::Dispense, g.pack, D, 0, 1));
        judge(&ledger, &steps, None);
    }

    #[test]
    fn packs_may_travel_one_by_one() {
        let ledger = ledger(0, true);
        let (maker, pack) = (ledger.chain().maker(LOT), ledger.chain().end() + 3);
        let way = [
            (A::Commission, pack, maker, LOT, 0),
            (A::Ship, pack, maker, W.into(), 0),
            (A::Receive, pack, W, 0, 0),
            (A::Dispense, pack, W, 0, 0),
        ];
        judge(&ledger, &way, None);
        judge(&ledger, &[way[0], way[1], way[3]], Some(R::NotTheCustodian));
        let on_its_way = (A::Dispense, pack, maker, 0, 0);
        judge(&ledger, &[way[0], way[1], on_its_way], Some(R::InTransit));
        judge(&ledger, &[way[0], way[0]], Some(R::AlreadyExists));
        // The pack beside it is no part of anything.
        judge(
            &ledger,
            &[way[0], (A::Dispense, pack + 1, maker, 0, 0)],
            Some(R::UnknownPack),
        );
    }

    #[test]
    fn readers_act_on_packs_and_lots_that_may_be_sold() {
        let ledger = ledger(4, true);
        let g = goods(&ledger);
        let mut book = Book(&ledger, BTreeMap::new());
        let allows = |book: &Book<'_>, id| ledger.allows(book.get(EntityId::new(id)), Time::ZERO);
        assert!(!allows(&book, g.pack) && allows(&book, LOT));
        for tx in &g.way {
            assert_eq!(run(&ledger, &mut book, *tx), Verdict::Valid);
        }
        assert!(allows(&book, g.pack));
        let steps = [
            ((A::Suspect, g.pack, D, 0, 0), g.pack, false),
            ((A::Clear, g.pack, g.maker, 0, 0), g.pack, true),
            ((A::Dispense, g.pack, D, 0, 0), g.pack, false),
            ((A::Undo, g.pack, D, 0, 0), g.pack, true),
            ((A::Recall, LOT, g.maker, 0, 0), LOT, false),
        ];
        for (tx, id, want) in steps {
            assert_eq!(run(&ledger, &mut book, tx), Verdict::Valid);
            assert_eq!(allows(&book, id), want, "{tx:?}");
        }
    }

    /// What exists before the first block can do what its place in the chain says.
    #[test]
    fn what_exists_before_the_first_block_is_at_its_stage() {
        for case in [4, 0] {
            let ledger = ledger(case, true);
            let chain = ledger.chain();
            assert_eq!(ledger.preloaded(), chain.end());
            assert_eq!(ledger.preload(EntityId::new(chain.end())), 0);
            for id in chain.stock() {
                judge(
                    &ledger,
                    &[(A::Dispense, id, chain.dispenser(id), 0, 0)],
                    None,
                );
            }
            for id in chain.dispensed() {
                judge(&ledger, &[(A::Undo, id, chain.dispenser(id), 0, 0)], None);
            }
            for id in chain.quarantined() {
                let maker = chain.maker(chain.lot(id));
                judge(&ledger, &[(A::Clear, id, maker, 0, 0)], None);
            }
            for id in chain.pallets(Stage::ToShip) {
                judge(
                    &ledger,
                    &[(A::Ship, id, chain.sender(id), W.into(), 0)],
                    None,
                );
            }
            for id in chain.pallets(Stage::Shipped) {
                let to = chain.wholesaler(id);
                let pack = chain.packs(chain.case_of(id, 0)).start;
                let way = [(A::Receive, id, to, 0, 0), (A::Dispense, pack, to, 0, 0)];
                judge(&ledger, &way, None);
            }
            for pallet in chain.pallets(Stage::ToDistribute) {
                let id = chain.case_of(pallet, 0);
                let from = chain.distributor(pallet);
                judge(&ledger, &[(A::Ship, id, from, W.into(), 0)], None);
            }
            for pallet in chain.pallets(Stage::Distributed) {
                let id = chain.case_of(pallet, 0);
                let to = chain.dispenser(id);
                let way = [
                    (A::Receive, id, to, 0, 0),
                    (A::Dispense, chain.packs(id).start, to, 0, 0),
                ];
                judge(&ledger, &way, None);
            }
        }
    }
}
