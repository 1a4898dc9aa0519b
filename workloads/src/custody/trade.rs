//! What the trade wants to know of the final order: packs handed out twice, copies, recalls, returns,
//! quarantine, and how goods pass from hand to hand.
//!
//! A pharmacist hands a pack out when the view of the own site accepts the dispense. Waits end when
//! the block that ends them says; until it is final at a site, the latency of the class is to be
//! added there.

use super::{Action, Chain, Reason};
use crate::lookback::{Deed, Lookback};
use quorate_core::{ClassId, Domain, Measure, Ordered, Shown, Span, Tell, Time, Unit, Verdict};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

const DISPENSED_TWICE: usize = 0;
const RACES_LOST: usize = 1;
const COPIES_SOLD: usize = 2;
const COPY_DETECTION: usize = 3;
const UNITS_AFTER_RECALL: usize = 4;
const ACCEPTED_AFTER_RECALL: usize = 5;
const RETURN_TO_RESALE: usize = 6;
const FALSE_QUARANTINE: usize = 7;
const CUSTODY_GAP: usize = 8;
const EARLY_RECEIPTS: usize = 9;

// source: the rules are those of this ledger; what they are measured for is, where it is law, named.
const MEASURES: [Measure; 10] = [
    Measure {
        name: "packs_dispensed_twice",
        what: "packs handed out on the own view, those that another site had dispensed before",
        unit: Unit::Share,
        source: "Delegated Regulation (EU) 2016/161, art. 25: verified and decommissioned when supplied",
        moved_by: "time until a dispense is in every site's view",
    },
    Measure {
        name: "races_lost",
        what: "dispenses refused as already dispensed, those whose pack had been handed out all the same",
        unit: Unit::Share,
        source: "Delegated Regulation (EU) 2016/161, art. 25: verified and decommissioned when supplied",
        moved_by: "time until a dispense is in every site's view, against the delay between the two",
    },
    Measure {
        name: "copies_sold",
        what: "further scans of a serial, those that handed a pack out before anything raised an alert",
        unit: Unit::Share,
        source: "Delegated Regulation (EU) 2016/161, art. 36 (b): alerts on possible falsification",
        moved_by: "time until a dispense is in every site's view",
    },
    Measure {
        name: "copy_detection_ms",
        what: "from the second scan of a serial to the first alert: a refusal at the till itself, which takes no time, or in a block",
        unit: Unit::Time,
        source: "Delegated Regulation (EU) 2016/161, art. 36 (b): alerts on possible falsification",
        moved_by: "time to included",
    },
    Measure {
        name: "units_after_recall",
        what: "dispenses of a lot asked for after its recall was submitted, those handed out",
        unit: Unit::Share,
        source: "MHRA defective medicines: class 1 takes effect at once, out of hours too",
        moved_by: "time until the recall is in every site's view",
    },
    Measure {
        name: "accepted_after_recall",
        what: "the same, those that the ledger accepts, because its order puts the recall behind them",
        unit: Unit::Share,
        source: "MHRA defective medicines: class 1 takes effect at once, out of hours too",
        moved_by: "order within and between blocks",
    },
    Measure {
        name: "return_to_resale_ms",
        what: "from the submission of a return to the block that makes the pack saleable again",
        unit: Unit::Time,
        source: "DSCSA, sec. 582 (c)(4)(D): saleable returns are verified before resale",
        moved_by: "time to included, twice where returns are verified",
    },
    Measure {
        name: "false_quarantine_ms",
        what: "from the submission of a suspicion or a quarantine that is cleared later to the block that clears it",
        unit: Unit::Time,
        source: "securPharm: nearly all alerts are false",
        moved_by: "time to included; most of it is people at work",
    },
    Measure {
        name: "custody_gap_ms",
        what: "from the block that ships goods to the block that receives them: nobody answers for them",
        unit: Unit::Time,
        source: "EPCIS 2.0: shipping and receiving are two events",
        moved_by: "time to included; most of it is transport",
    },
    Measure {
        name: "early_receipts",
        what: "receipts that the order puts before their shipment, and are refused",
        unit: Unit::Share,
        source: "EPCIS 2.0: shipping and receiving are two events",
        moved_by: "order within and between blocks",
    },
];

/// One site wanted to dispense a pack.
#[derive(Clone, Copy)]
struct Scan {
    at: Time,
    handed: bool,
    alert: Time,
}

/// The supply chain's own view of the final order.
pub struct Trade {
    chain: Arc<Chain>,
    /// Whether a returned pack is saleable only when it has been verified.
    verified: bool,
    /// The lot of each pallet that was begun during the run.
    made: BTreeMap<u32, u32>,
    recalls: Lookback,
    /// The first scan of each pack since it was last in stock, and those after it.
    first: BTreeMap<u32, Scan>,
    further: BTreeMap<u32, Vec<Scan>>,
    /// For how long a further scan is waited for.
    patience: Span,
    /// First scans with the time of their block, oldest first.
    waiting: VecDeque<(Time, u32, Time)>,
    /// When the block of an open shipment says; when an open return, or suspicion, was submitted.
    shipped: BTreeMap<u32, Time>,
    returned: BTreeMap<u32, Time>,
    suspected: BTreeMap<u32, Time>,
}

impl Trade {
    /// Copies of a serial turn up `within` this time.
    pub(crate) fn new(chain: Arc<Chain>, verified: bool, within: Span) -> Self {
        Self {
            chain,
            verified,
            // assumption: another hour for what is ordered late.
            patience: within + Span::from_s(3_600),
            waiting: VecDeque::new(),
            made: BTreeMap::new(),
            recalls: Lookback::default(),
            first: BTreeMap::new(),
            further: BTreeMap::new(),
            shipped: BTreeMap::new(),
            returned: BTreeMap::new(),
            suspected: BTreeMap::new(),
        }
    }

    fn lot(&self, pack: u32) -> Option<u32> {
        let chain = &*self.chain;
        if pack < chain.base() {
            return Some(chain.lot(pack));
        }
        let pallet = chain.pallet(pack);
        if pack < chain.end() {
            return Some(chain.lot(pallet));
        }
        self.made.get(&pallet).copied()
    }

    fn dispense(&mut self, next: &Ordered<'_>, tell: &mut dyn Tell) {
        let (at, pack) = (next.tx.at, next.tx.key.get());
        let handed = next.view == Some(Verdict::Valid);
        let raced = next.verdict == refused(Reason::AlreadyDispensed);
        if handed {
            tell.case(DISPENSED_TWICE, at, raced);
        }
        if raced {
            tell.case(RACES_LOST, at, handed);
        }
        self.forget(next.block_at, tell);
        self.scan(pack, scan(next), next.block_at);
        let deed = Deed {
            at,
            acted: handed,
            valid: next.verdict == Verdict::Valid,
        };
        if let Some(lot) = self.lot(pack)
            && let Some(deed) = self.recalls.deed(lot, deed, next.block_at)
        {
            after_recall(deed, tell);
        }
    }

    /// No further scan of the oldest is waited for.
    fn forget(&mut self, now: Time, tell: &mut dyn Tell) {
        while let Some(&(since, pack, at)) = self.waiting.front()
            && since + self.patience < now
        {
            self.waiting.pop_front();
            // Another dispense, if it was back in stock meanwhile.
            if self.first.get(&pack).is_some_and(|scan| scan.at == at) {
                self.settle(pack, tell);
            }
        }
    }

    fn scan(&mut self, pack: u32, scan: Scan, block_at: Time) {
        if let Entry::Vacant(place) = self.first.entry(pack) {
            place.insert(scan);
            self.waiting.push_back((block_at, pack, scan.at));
        } else {
            self.further.entry(pack).or_default().push(scan);
        }
    }

    /// A pack's scans are over: it is in stock again, or the run ends.
    fn settle(&mut self, pack: u32, tell: &mut dyn Tell) {
        let first = self.first.remove(&pack);
        let further = self.further.remove(&pack).unwrap_or_default();
        let mut scans: Vec<Scan> = first.into_iter().chain(further).collect();
        // As they came to the tills, not to the ledger.
        scans.sort_by_key(|scan| scan.at);
        let alert = scans.iter().map(|scan| scan.alert).min();
        let (Some(alert), Some(second)) = (alert, scans.get(1)) else {
            return;
        };
        if alert != Time::NEVER {
            tell.time(COPY_DETECTION, second.at, alert.saturating_since(second.at));
        }
        for scan in &scans[1..] {
            tell.case(COPIES_SOLD, scan.at, scan.handed && scan.at < alert);
        }
    }

    fn receive(&mut self, next: &Ordered<'_>, tell: &mut dyn Tell) {
        let early = next.verdict == refused(Reason::NoOpenShipment);
        tell.case(EARLY_RECEIPTS, next.tx.at, early);
        if next.verdict == Verdict::Valid
            && let Some(shipped) = self.shipped.remove(&next.tx.key.get())
        {
            let gap = next.block_at.saturating_since(shipped);
            tell.time(CUSTODY_GAP, next.tx.at, gap);
        }
    }

    /// What the ledger accepted changes what is open.
    fn accepted(&mut self, action: Action, next: &Ordered<'_>, tell: &mut dyn Tell) {
        let (id, at, operand) = (next.tx.key.get(), next.tx.at, next.tx.operand);
        match action {
            Action::Commission => {
                self.made.insert(self.chain.pallet(id), operand);
            }
            Action::Ship => {
                self.shipped.insert(id, next.block_at);
            }
            Action::Undo => self.settle(id, tell),
            Action::Return if self.verified => {
                self.returned.insert(id, at);
            }
            Action::Return => {
                let wait = next.block_at.saturating_since(at);
                tell.time(RETURN_TO_RESALE, at, wait);
            }
            Action::VerifyReturn => {
                if let Some(since) = self.returned.remove(&id) {
                    let wait = next.block_at.saturating_since(since);
                    tell.time(RETURN_TO_RESALE, since, wait);
                }
            }
            Action::Suspect | Action::Quarantine => {
                self.suspected.insert(id, at);
            }
            Action::Clear => {
                if let Some(since) = self.suspected.remove(&id) {
                    let wait = next.block_at.saturating_since(since);
                    tell.time(FALSE_QUARANTINE, since, wait);
                }
            }
            Action::Recall => {
                for deed in self.recalls.change(id, at) {
                    after_recall(deed, tell);
                }
            }
            _ => {}
        }
    }
}

const fn refused(why: Reason) -> Verdict {
    Verdict::Rejected(why as u8)
}

/// A serial that is sold, or is elsewhere, raises an alert: at the till, or when the ledger says so.
fn scan(next: &Ordered<'_>) -> Scan {
    let alarming = [Reason::AlreadyDispensed, Reason::NotTheCustodian].map(refused);
    let alert = if next.view.is_some_and(|view| alarming.contains(&view)) {
        next.tx.at
    } else if alarming.contains(&next.verdict) {
        next.block_at
    } else {
        Time::NEVER
    };
    Scan {
        at: next.tx.at,
        handed: next.view == Some(Verdict::Valid),
        alert,
    }
}

fn after_recall(deed: Deed, tell: &mut dyn Tell) {
    tell.case(UNITS_AFTER_RECALL, deed.at, deed.acted);
    tell.case(ACCEPTED_AFTER_RECALL, deed.at, deed.valid);
}

impl Domain for Trade {
    fn measures(&self) -> &'static [Measure] {
        &MEASURES
    }

    fn shown(&self, class: ClassId) -> Shown {
        match Action::ALL[class.index()] {
            Action::Verify | Action::Aggregate | Action::Disaggregate => Shown::Nothing,
            Action::Dispense => Shown::Acted,
            _ => Shown::Ordered,
        }
    }

    fn ordered(&mut self, next: &Ordered<'_>, tell: &mut dyn Tell) {
        let action = Action::ALL[usize::from(next.tx.action)];
        match action {
            Action::Dispense => self.dispense(next, tell),
            Action::Receive => self.receive(next, tell),
            _ if next.verdict == Verdict::Valid => self.accepted(action, next, tell),
            _ => {}
        }
    }

    fn end(&mut self, tell: &mut dyn Tell) {
        let copied: Vec<u32> = self.further.keys().copied().collect();
        for pack in copied {
            self.settle(pack, tell);
        }
    }
}
