//! What care wants to know of the final order: who acted on an old view, who lost a race, how late an
//! emergency is on record.

use crate::rules::{Action, Reason};
use quorate_core::{Class, ClassId, Domain, Measure, Ordered, Shown, Tell, Time, Unit, Verdict};
use std::collections::BTreeMap;

const ACCESS: usize = 0;
const DISPENSE: usize = 1;
const CANCEL: usize = 2;
const CLAIM: usize = 3;
const AMEND: usize = 4;
const IDENTITY: usize = 5;
const AUDIT_LAG: usize = 6;

const MEASURES: [Measure; 7] = [
    Measure {
        name: "accesses_after_revocation",
        what: "of accesses asked for after their consent was revoked, those that an old view allowed",
        unit: Unit::Share,
        source: "rule of access.record: a violation is stored, never dropped",
        moved_by: "time to the served view: block wait, propagation, depth, partition",
    },
    Measure {
        name: "double_dispensed",
        what: "of second dispenses of one fill, those handed out before the first was known",
        unit: Unit::Share,
        source: "rule of erx.dispense: one dispense a fill",
        moved_by: "time to the served view against the pharmacies' delay",
    },
    Measure {
        name: "dispensed_though_cancelled",
        what: "of dispenses of a cancelled prescription, those handed out before that was known",
        unit: Unit::Share,
        source: "rule of erx.dispense: not cancelled",
        moved_by: "time to the served view; order of cancellation and dispense",
    },
    Measure {
        name: "duplicate_claims",
        what: "of claims submitted again, those that the office's view took for new",
        unit: Unit::Share,
        source: "rule of claim.submit: the claim is new",
        moved_by: "time to the served view against the offices' delay",
    },
    Measure {
        name: "conflicting_amends",
        what: "of amendments, those refused although the author's view had the head they replace",
        unit: Unit::Share,
        source: "rule of record.amend: the head is the one that was read",
        moved_by: "time to the served view: optimistic concurrency",
    },
    Measure {
        name: "duplicate_identities",
        what: "of identities registered again, those that the site's view took for new",
        unit: Unit::Share,
        source: "rule of identity.register: the identifier is unused",
        moved_by: "time to the served view against the sites' delay; partition",
    },
    Measure {
        name: "break_glass_audit_lag_ms",
        what: "from an emergency access until the block that puts it on record",
        unit: Unit::Time,
        source: "Røstad and Edsberg, ACSAC 2006: exceptions are only as good as their audit",
        moved_by: "block interval and queue; partition",
    },
];

/// The hospital's view of the final order.
pub(super) struct Care {
    shown: Vec<Shown>,
    /// When the last revocation of a consent was submitted, if no grant followed.
    revoked: BTreeMap<u32, Time>,
}

impl Care {
    pub(super) fn new(classes: &[Class]) -> Self {
        Self {
            shown: classes.iter().map(|class| shown(class.name)).collect(),
            revoked: BTreeMap::new(),
        }
    }

    /// An access, on what the site's view said of the consent.
    fn accessed(&self, next: &Ordered<'_>, tell: &mut dyn Tell) {
        let asked = next.tx.at;
        let revoked = self.revoked.get(&next.tx.key.get());
        if revoked.is_some_and(|&at| at <= asked) {
            tell.case(ACCESS, asked, acted(next));
        }
    }
}

/// The submitter's view said yes.
fn acted(next: &Ordered<'_>) -> bool {
    next.view == Some(Verdict::Valid)
}

fn shown(class: &str) -> Shown {
    match class {
        "access.record" | "erx.dispense" | "claim.submit" | "record.amend"
        | "identity.register" => Shown::Acted,
        "consent.grant" | "consent.revoke" | "access.breakglass" => Shown::Ordered,
        _ => Shown::Nothing,
    }
}

fn is(verdict: Verdict, reason: Reason) -> bool {
    verdict == Verdict::Rejected(reason as u8)
}

impl Domain for Care {
    fn measures(&self) -> &'static [Measure] {
        &MEASURES
    }

    fn shown(&self, class: ClassId) -> Shown {
        self.shown[class.index()]
    }

    fn ordered(&mut self, next: &Ordered<'_>, tell: &mut dyn Tell) {
        let (tx, verdict) = (next.tx, next.verdict);
        let valid = verdict == Verdict::Valid;
        match Action::ALL[usize::from(tx.action)] {
            Action::ConsentRevoke if valid => {
                self.revoked.insert(tx.key.get(), tx.at);
            }
            Action::ConsentGrant if valid => {
                self.revoked.remove(&tx.key.get());
            }
            Action::AccessRecord if valid => self.accessed(next, tell),
            Action::BreakGlass if valid => {
                let lag = next.block_at.saturating_since(tx.at);
                tell.time(AUDIT_LAG, tx.at, lag);
            }
            Action::ErxDispense if is(verdict, Reason::AlreadyDispensed) => {
                tell.case(DISPENSE, tx.at, acted(next));
            }
            Action::ErxDispense if is(verdict, Reason::Cancelled) => {
                tell.case(CANCEL, tx.at, acted(next));
            }
            Action::ClaimSubmit if is(verdict, Reason::AlreadyExists) => {
                tell.case(CLAIM, tx.at, acted(next));
            }
            Action::IdentityRegister if is(verdict, Reason::AlreadyExists) => {
                tell.case(IDENTITY, tx.at, acted(next));
            }
            Action::RecordAmend => {
                let lost = is(verdict, Reason::ChangedMeanwhile) && acted(next);
                tell.case(AMEND, tx.at, lost);
            }
            _ => {}
        }
    }
}
