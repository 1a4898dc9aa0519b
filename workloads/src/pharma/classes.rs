//! The classes: names, kinds, sizes and hours.

use super::hours::Hours;
use crate::custody::Action;
use quorate_core::Kind;

/// What is fixed about a class.
pub(super) struct Facts {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Size of the event in bytes, as a function of its serials.
    pub(super) full: Size,
    pub(super) hours: Hours,
    /// What its figures mean to the trade.
    pub(super) tells: &'static str,
    /// What the standards of the trade call it.
    pub(super) vocabulary: &'static str,
}

/// Size of an EPCIS event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Size {
    Fixed(u16),
    /// An event that lists serials.
    Serials,
}

impl Size {
    pub(super) const fn bytes(self, serials: u32) -> u16 {
        match self {
            Self::Fixed(bytes) => bytes,
            // source: EPCIS 2.0 ObjectEvents in minified JSON, constructed: 330 + 49 n bytes for n
            // serialised identifiers (n = 48: 2,682).
            Self::Serials => (330 + 49 * serials) as u16,
        }
    }
}

// source: names of EPCIS 2.0 and CBV 2.0: commissioning, shipping, receiving, dispensing, returned,
// recalled.
// source: a dispensing event of one pack takes 329 bytes, constructed like the others.
// assumption: unpacking names its parent only, which EPCIS reads as all of its children.
// assumption: a recall is as large as the median ObjectEvent of the examples in gs1/EPCIS, 657.
// assumption: plants, wholesalers and pharmacies work at the same hours, so that no weekend's stock
// must be held; alerts are cleared, and most recalls signed, at offices.
pub(super) const fn facts(action: Action) -> Facts {
    let (name, full, hours) = match action {
        Action::Verify => ("drug.verify", Size::Fixed(0), Hours::Trade),
        Action::Commission => ("drug.commission", Size::Serials, Hours::Trade),
        Action::Ship => ("drug.ship", Size::Serials, Hours::Trade),
        Action::Receive => ("drug.receive", Size::Serials, Hours::Trade),
        Action::Dispense => ("drug.dispense", Size::Fixed(329), Hours::Trade),
        Action::Undo => ("drug.undo", Size::Serials, Hours::Trade),
        Action::Return => ("drug.return", Size::Serials, Hours::Trade),
        Action::Suspect => ("drug.suspect", Size::Serials, Hours::Trade),
        Action::Clear => ("drug.clear", Size::Serials, Hours::Office),
        Action::Recall => ("drug.recall", Size::Fixed(657), Hours::Recall),
        Action::Aggregate => ("drug.aggregate", Size::Serials, Hours::Trade),
        Action::Disaggregate => ("drug.disaggregate", Size::Serials, Hours::Trade),
        Action::VerifyReturn => ("drug.verifyReturn", Size::Serials, Hours::Trade),
        Action::Quarantine => ("drug.quarantine", Size::Serials, Hours::Office),
    };
    let (kind, tells) = match action {
        Action::Verify => (Kind::Read, "pack verification"),
        Action::Dispense => (Kind::WatchedWrite, "double-dispense window"),
        Action::Recall => (Kind::WatchedWrite, "recall propagation"),
        _ => (Kind::Write, ""),
    };
    Facts {
        name,
        kind,
        full,
        hours,
        tells,
        vocabulary: vocabulary(action),
    }
}

// source: types of events, bizStep and disposition: EPCIS 2.0 and CBV 2.0 (gs1/EPCIS, JSON-LD
// context). Which of them belongs to a class that the standard does not name is an assumption.
const fn vocabulary(action: Action) -> &'static str {
    match action {
        Action::Verify => "GS1 verification of GTIN, serial, lot and expiry",
        Action::Commission => "EPCIS ObjectEvent ADD, commissioning, active",
        Action::Ship => "EPCIS ObjectEvent OBSERVE, shipping, in_transit",
        Action::Receive => "EPCIS ObjectEvent OBSERVE, receiving, in_progress",
        Action::Dispense => "EPCIS ObjectEvent OBSERVE, dispensing, dispensed",
        Action::Undo => "EPCIS ObjectEvent with errorDeclaration of the dispensing",
        Action::Return => "EPCIS ObjectEvent OBSERVE, receiving, returned",
        Action::Suspect => "EPCIS ObjectEvent OBSERVE, holding, non_sellable_other",
        Action::Clear => "EPCIS ObjectEvent OBSERVE, inspecting, sellable_accessible",
        Action::Recall => "EPCIS ObjectEvent OBSERVE of a lot, holding, recalled",
        Action::Aggregate => "EPCIS AggregationEvent ADD, packing",
        Action::Disaggregate => "EPCIS AggregationEvent DELETE, unpacking",
        Action::VerifyReturn => "EPCIS ObjectEvent OBSERVE, inspecting, sellable_accessible",
        Action::Quarantine => "EPCIS ObjectEvent OBSERVE, holding, non_sellable_other",
    }
}
