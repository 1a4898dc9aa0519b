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
//! | pack | available, quarantined, dispensed, returned | none: its case's, or its pallet's |
//!
//! What has no custodian of its own is held by whoever holds what it lies in, and travels with it.
//! Where aggregation is implied, commissioning packs: a case that is shipped alone has a custodian of
//! its own from then on, and so has a pack that is dispensed or returned. Where it is recorded, all
//! that is commissioned has a custodian; packing takes it away, unpacking gives it back, and what is
//! packed does nothing of its own. A case has its own packs, a pallet its own cases, or some of them:
//! mixed pallets are left out. The signer of a transaction is the site that submits it.

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
    /// Packs so many as the operand says of a case's packs into it, or of a pallet's cases onto it.
    Aggregate,
    /// Takes all of them out again.
    Disaggregate,
    /// Verifies a returned pack, which is saleable from then on.
    VerifyReturn,
    /// Manufacturer or regulator put a pack into quarantine, wherever it is.
    Quarantine,
}

impl Action {
    /// All actions, in the order of their numbers.
    pub const ALL: [Self; 14] = [
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
        Self::Aggregate,
        Self::Disaggregate,
        Self::VerifyReturn,
        Self::Quarantine,
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
    Packed,
    NothingPacked,
    NotVerified,
    NotReturned,
}

/// In the order of [`Reason`].
const REASONS: [&str; 22] = [
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
    "packed in a case or on a pallet",
    "nothing packed in it",
    "return not verified",
    "pack not returned",
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
const RETURNED: u8 = 3;

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

/// Which rules hold besides those that always do.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Terms {
    /// Only a pack's custodian may dispense it.
    pub(crate) tracked: bool,
    /// Packing and unpacking are transactions.
    pub(crate) recorded: bool,
    /// A returned pack is saleable only when it has been verified.
    pub(crate) verified: bool,
}

/// The ledger of the supply chain.
#[derive(Clone, Debug)]
pub struct Custody {
    chain: Arc<Chain>,
    terms: Terms,
}

impl Custody {
    pub(crate) const fn new(chain: Arc<Chain>, terms: Terms) -> Self {
        Self { chain, terms }
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
            travelling(chain, id, self.terms.recorded)
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
            terms: self.terms,
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
fn travelling(chain: &Chain, id: u32, recorded: bool) -> Record {
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
        // Unpacked, as the cases that are on their way.
        Stage::ToDistribute if case && recorded => record.held_by(chain.distributor(pallet)),
        _ => record,
    }
}

/// One transaction on its way through the rules.
struct Step<'a> {
    chain: &'a Chain,
    terms: Terms,
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
            Action::Aggregate => self.aggregate(id, state),
            Action::Disaggregate => self.disaggregate(id, state),
            _ => {
                let pack = get(id, state);
                check(pack.what == What::Pack, Reason::UnknownPack)?;
                let pack = match action {
                    Action::Dispense => self.dispense(id, pack, state),
                    Action::Undo => self.undo(pack),
                    Action::Return => self.take_back(id, pack, state),
                    Action::Suspect => self.suspect(id, pack, state),
                    Action::VerifyReturn => self.verify_return(id, pack, state),
                    Action::Quarantine => self.quarantine(pack),
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
        let packed = self.terms.recorded && item.custodian.is_none();
        check(!packed, Reason::Packed)?;
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
        if self.terms.recorded {
            let case = Record::new(What::Case, self.operand);
            set(id, case.held_by(self.signer), state);
            for serial in self.chain.packs(id) {
                set(serial, pack.held_by(self.signer), state);
            }
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

    /// What may be packed into a case or onto a pallet, and what that is.
    fn contents(&self, parent: u32) -> Result<(What, Vec<u32>), Reason> {
        let (chain, packing) = (self.chain, self.chain.packing());
        check(
            parent >= chain.base() && packing.case > 0,
            Reason::UnknownItem,
        )?;
        if parent == chain.pallet(parent) {
            let cases = (0..packing.pallet).map(|number| chain.case_of(parent, number));
            return Ok((What::Case, cases.collect()));
        }
        check(parent == chain.case(parent), Reason::UnknownItem)?;
        Ok((What::Pack, chain.packs(parent).collect()))
    }

    /// The signer holds all of it, and nothing of it is packed already.
    fn aggregate(&self, id: u32, state: &mut dyn State) -> Result<(), Reason> {
        let (what, children) = self.contents(id)?;
        let parent = get(id, state);
        let begun = parent.what != What::Nothing;
        if begun {
            self.held(self.signer, id, parent, state)?;
        }
        // A case is commissioned; a pallet begins here.
        check(begun || what == What::Case, Reason::UnknownItem)?;
        let n = self.operand as usize;
        check((1..=children.len()).contains(&n), Reason::UnknownItem)?;
        for &child in &children[..n] {
            let item = get(child, state);
            check(item.what == what, Reason::UnknownItem)?;
            check(item.custodian.is_some(), Reason::Packed)?;
            check(item.state != DISPENSED, Reason::AlreadyDispensed)?;
            check(item.state != QUARANTINED, Reason::Quarantined)?;
            self.held(self.signer, child, item, state)?;
        }
        if !begun {
            let lot = get(children[0], state).lot;
            let pallet = Record::new(What::Pallet, lot).held_by(self.signer);
            set(id, pallet, state);
        }
        for &child in &children[..n] {
            let item = get(child, state);
            let packed = Record {
                custodian: None,
                ..item
            };
            set(child, packed, state);
        }
        Ok(())
    }

    /// Who holds it takes out what is packed in it.
    fn disaggregate(&self, id: u32, state: &mut dyn State) -> Result<(), Reason> {
        let (what, children) = self.contents(id)?;
        let parent = get(id, state);
        check(parent.what != What::Nothing, Reason::UnknownItem)?;
        self.held(self.signer, id, parent, state)?;
        let mut any = false;
        for child in children {
            let item = get(child, state);
            if item.what == what && item.custodian.is_none() {
                set(child, item.held_by(self.signer), state);
                any = true;
            }
        }
        check(any, Reason::NothingPacked)
    }

    fn ship(&self, id: u32, state: &mut dyn State) -> Result<(), Reason> {
        let item = get(id, state);
        let known = matches!(item.what, What::Pallet | What::Case | What::Pack);
        check(known, Reason::UnknownItem)?;
        check(item.state != DISPENSED, Reason::AlreadyDispensed)?;
        check(item.state != QUARANTINED, Reason::Quarantined)?;
        check(item.state != RETURNED, Reason::NotVerified)?;
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
        check(pack.state != RETURNED, Reason::NotVerified)?;
        Self::lot_on_sale(pack.lot, state)?;
        if self.terms.tracked {
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
        check(pack.state != RETURNED, Reason::NotVerified)?;
        // What is recalled is not saleable.
        Self::lot_on_sale(pack.lot, state)?;
        let from = self.named().ok_or(Reason::NotTheCustodian)?;
        self.held(from, id, pack, state)?;
        let state = if self.terms.verified {
            RETURNED
        } else {
            pack.state
        };
        Ok(Record {
            state,
            ..pack.held_by(self.signer)
        })
    }

    fn verify_return(&self, id: u32, pack: Record, state: &dyn State) -> Result<Record, Reason> {
        check(pack.state == RETURNED, Reason::NotReturned)?;
        Self::lot_on_sale(pack.lot, state)?;
        self.held(self.signer, id, pack, state)?;
        Ok(Record {
            state: AVAILABLE,
            ..pack
        })
    }

    fn quarantine(&self, pack: Record) -> Result<Record, Reason> {
        check(pack.state != DISPENSED, Reason::AlreadyDispensed)?;
        check(pack.state != QUARANTINED, Reason::Quarantined)?;
        self.authorised(pack.lot)?;
        Ok(Record {
            state: QUARANTINED,
            ..pack
        })
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
        let terms = Terms {
            tracked,
            ..Terms::default()
        };
        Custody::new(Arc::new(chain::tests::chain(case)), terms)
    }

    /// Packing is recorded, returns are verified.
    fn strict() -> Custody {
        let terms = Terms {
            tracked: true,
            recorded: true,
            verified: true,
        };
        Custody::new(Arc::new(chain::tests::chain(4)), terms)
    }

    /// The way of [`goods`] with packing and unpacking.
    fn recorded_way(g: &Goods) -> Vec<Tx> {
        let [made, other, ship, receive, on, there] = g.way[..] else {
            unreachable!("six steps");
        };
        vec![
            made,
            other,
            (A::Aggregate, g.case, g.maker, 4, 0),
            (A::Aggregate, g.pallet, g.maker, 2, 0),
            ship,
            receive,
            (A::Disaggregate, g.pallet, W, 0, 0),
            on,
            there,
            (A::Disaggregate, g.case, D, 0, 0),
        ]
    }

    #[test]
    fn what_is_packed_was_loose_and_held_by_who_packs_it() {
        let ledger = strict();
        let g = goods(&ledger);
        let way = recorded_way(&g);
        let third = ledger.chain().case_of(g.pallet, 2);
        let pack_case = (A::Aggregate, g.case, g.maker, 4, 0);
        let pack_pallet = (A::Aggregate, g.pallet, g.maker, 2, 0);
        let rows: &[(usize, Tx, Option<Reason>)] = &[
            (1, pack_case, None),
            (1, (A::Aggregate, g.case, g.maker, 3, 0), None),
            (0, pack_case, Some(R::UnknownItem)),
            (1, (A::Aggregate, g.case, X, 4, 0), Some(R::NotTheCustodian)),
            (
                1,
                (A::Aggregate, g.case, g.maker, 0, 0),
                Some(R::UnknownItem),
            ),
            (
                1,
                (A::Aggregate, g.case, g.maker, 5, 0),
                Some(R::UnknownItem),
            ),
            (
                1,
                (A::Aggregate, g.pack, g.maker, 1, 0),
                Some(R::UnknownItem),
            ),
            (1, (A::Aggregate, LOT, g.maker, 1, 0), Some(R::UnknownItem)),
            (3, pack_case, Some(R::Packed)),
            // Only two of its cases are made.
            (
                3,
                (A::Aggregate, g.pallet, g.maker, 3, 0),
                Some(R::UnknownItem),
            ),
            (
                3,
                (A::Aggregate, g.pallet, X, 2, 0),
                Some(R::NotTheCustodian),
            ),
            (3, pack_pallet, None),
            (4, pack_pallet, Some(R::Packed)),
            // A case on a pallet is opened there by nobody.
            (4, (A::Disaggregate, g.case, g.maker, 0, 0), Some(R::Packed)),
            (
                4,
                (A::Disaggregate, g.pallet, X, 0, 0),
                Some(R::NotTheCustodian),
            ),
            (
                5,
                (A::Disaggregate, g.pallet, g.maker, 0, 0),
                Some(R::InTransit),
            ),
            (6, way[6], None),
            (7, way[6], Some(R::NothingPacked)),
            (10, way[9], Some(R::NothingPacked)),
            (
                0,
                (A::Disaggregate, g.pallet, g.maker, 0, 0),
                Some(R::UnknownItem),
            ),
        ];
        for (steps, last, why) in rows {
            let steps: Vec<Tx> = way[..*steps].iter().chain([last]).copied().collect();
            judge(&ledger, &steps, *why);
        }
        // What was sold, or is on its way, is packed by nobody.
        let sold = (A::Dispense, g.pack, g.maker, 0, 0);
        judge(
            &ledger,
            &[way[0], sold, pack_case],
            Some(R::AlreadyDispensed),
        );
        let held = (A::Suspect, g.pack, g.maker, 0, 0);
        judge(&ledger, &[way[0], held, pack_case], Some(R::Quarantined));
        let sent = (A::Ship, g.pack, g.maker, X.into(), 0);
        judge(&ledger, &[way[0], sent, pack_case], Some(R::InTransit));
        judge(
            &ledger,
            &[way[0], way[1], (A::Aggregate, third, g.maker, 4, 0)],
            Some(R::UnknownItem),
        );
    }

    /// Custody is inferred through the tree: what is packed goes where its pallet goes, and does
    /// nothing of its own.
    #[test]
    fn what_is_packed_travels_with_what_it_is_packed_in() {
        let ledger = strict();
        let g = goods(&ledger);
        let way = recorded_way(&g);
        let dispense = |site| (A::Dispense, g.pack, site, 0, 0);
        let rows: &[(usize, Tx, Option<Reason>)] = &[
            (2, dispense(g.maker), None),
            (3, dispense(g.maker), Some(R::Packed)),
            (6, dispense(W), Some(R::Packed)),
            (4, (A::Ship, g.case, g.maker, D.into(), 0), Some(R::Packed)),
            (6, (A::Ship, g.case, W, D.into(), 0), Some(R::Packed)),
            (7, (A::Ship, g.case, W, D.into(), 0), None),
            (7, dispense(W), Some(R::Packed)),
            (9, dispense(D), Some(R::Packed)),
            (10, dispense(D), None),
            (10, dispense(W), Some(R::NotTheCustodian)),
        ];
        for (steps, last, why) in rows {
            let steps: Vec<Tx> = way[..*steps].iter().chain([last]).copied().collect();
            judge(&ledger, &steps, *why);
        }
        let mut book = Book(&ledger, BTreeMap::new());
        for tx in &way[..6] {
            assert_eq!(run(&ledger, &mut book, *tx), Verdict::Valid);
        }
        let step = Step {
            chain: ledger.chain(),
            terms: ledger.terms,
            signer: 0,
            operand: 0,
            now: Time::ZERO,
        };
        let holder = step.holder(g.pack, get(g.pack, &book), &book);
        assert_eq!(holder.custodian, Some(W), "by pallet and case");
    }

    /// Where commissioning packs, there is nothing to pack.
    #[test]
    fn implied_aggregation_is_not_recorded() {
        let ledger = ledger(4, true);
        let g = goods(&ledger);
        let pack = (A::Aggregate, g.case, g.maker, 4, 0);
        judge(&ledger, &[g.way[0], pack], Some(R::Packed));
        let whole = self::ledger(0, true);
        let item = whole.chain().end();
        let pack = (A::Aggregate, item, whole.chain().maker(LOT), 1, 0);
        judge(&whole, &[pack], Some(R::UnknownItem));
    }

    #[test]
    fn a_return_is_sold_again_when_it_is_verified() {
        let ledger = strict();
        let g = goods(&ledger);
        let back = (A::Return, g.pack, W, u32::from(D), 1);
        let verify = |site| (A::VerifyReturn, g.pack, site, 0, 1);
        let dispense = (A::Dispense, g.pack, W, 0, 1);
        let recall = (A::Recall, LOT, g.maker, 2, 1);
        let rows: &[(&[Tx], Tx, Option<Reason>)] = &[
            (&[back], dispense, Some(R::NotVerified)),
            (
                &[back],
                (A::Ship, g.pack, W, D.into(), 1),
                Some(R::NotVerified),
            ),
            (
                &[back],
                (A::Return, g.pack, X, W.into(), 1),
                Some(R::NotVerified),
            ),
            (&[back], verify(W), None),
            (&[back, verify(W)], dispense, None),
            (&[back, verify(W)], verify(W), Some(R::NotReturned)),
            (&[], verify(D), Some(R::NotReturned)),
            (&[back], verify(D), Some(R::NotTheCustodian)),
            (&[back, recall], verify(W), Some(R::LotRecalled)),
            // What fails the verification.
            (&[back], (A::Suspect, g.pack, W, 0, 1), None),
        ];
        let way = recorded_way(&g);
        for (more, last, why) in rows {
            let steps: Vec<Tx> = way.iter().chain(*more).chain([last]).copied().collect();
            judge(&ledger, &steps, *why);
        }
    }

    #[test]
    fn manufacturer_or_regulator_quarantine_a_pack_anywhere() {
        let ledger = ledger(4, true);
        let g = goods(&ledger);
        let quarantine = |site| (A::Quarantine, g.pack, site, 0, 1);
        let dispense = (A::Dispense, g.pack, D, 0, 1);
        let rows: &[(&[Tx], Tx, Option<Reason>)] = &[
            (&[], quarantine(g.maker), None),
            (&[], quarantine(g.regulator), None),
            (&[], quarantine(D), Some(R::NotAuthorised)),
            (&[quarantine(g.maker)], dispense, Some(R::Quarantined)),
            (
                &[quarantine(g.maker)],
                quarantine(g.regulator),
                Some(R::Quarantined),
            ),
            (&[dispense], quarantine(g.maker), Some(R::AlreadyDispensed)),
            (
                &[quarantine(g.maker), (A::Clear, g.pack, g.regulator, 0, 1)],
                dispense,
                None,
            ),
        ];
        for (more, last, why) in rows {
            let steps: Vec<Tx> = g.way.iter().chain(*more).chain([last]).copied().collect();
            judge(&ledger, &steps, *why);
        }
        let unknown = (A::Quarantine, ledger.chain().end() + 400, g.maker, 0, 1);
        judge(&ledger, &[unknown], Some(R::UnknownPack));
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
        assert_eq!(REASONS[R::NotReturned as usize], "pack not returned");
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
        for ledger in [ledger(4, true), ledger(0, true), strict()] {
            let chain = ledger.chain();
            let open = |id, site| {
                let packed = ledger.terms.recorded;
                packed.then_some((A::Disaggregate, id, site, 0, 0))
            };
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
                let case = chain.case_of(id, 0);
                let pack = chain.packs(case).start;
                let mut way = vec![(A::Receive, id, to, 0, 0)];
                way.extend(open(id, to).into_iter().chain(open(case, to)));
                way.push((A::Dispense, pack, to, 0, 0));
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
                let mut way = vec![(A::Receive, id, to, 0, 0)];
                way.extend(open(id, to));
                way.push((A::Dispense, chain.packs(id).start, to, 0, 0));
                judge(&ledger, &way, None);
            }
        }
    }
}
