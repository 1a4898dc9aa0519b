//! What care wants to know of the final order: who acted on an old view, who lost a race, how late an
//! emergency is on record.

use crate::rules::{Action, Reason};
use quorate_core::{
    Class, ClassId, Domain, Measure, Ordered, Shown, Span, Tell, Time, Unit, Verdict,
};
use std::collections::{BTreeMap, VecDeque};

const ACCESS: usize = 0;
const DISPENSE: usize = 1;
const CANCEL: usize = 2;
const CLAIM: usize = 3;
const AMEND: usize = 4;
const IDENTITY: usize = 5;
const AUDIT_LAG: usize = 6;

const UNREVIEWED: usize = 7;
const EXCHANGE: usize = 8;
const PAID: usize = 9;

const MEASURES: [Measure; 10] = [
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
    Measure {
        name: "break_glass_unreviewed",
        what: "of emergency accesses whose review was due, those without one on record by then",
        unit: Unit::Share,
        source: "Røstad and Edsberg, ACSAC 2006; rule of access.review",
        moved_by: "audit lag and the review's own; partition",
    },
    Measure {
        name: "exchange_time_ms",
        what: "from a request for documents until the block that puts the answer on record",
        unit: Unit::Time,
        source: "rule of exchange.respond: an answer follows a request on record",
        moved_by: "time to final, twice",
    },
    Measure {
        name: "double_paid",
        what: "of payments sent again, those that the payer's view took for due",
        unit: Unit::Share,
        source: "rule of claim.pay: approved and unpaid",
        moved_by: "time to the served view: settlement finality",
    },
];

/// The hospital's view of the final order.
pub(super) struct Care {
    shown: Vec<Shown>,
    /// When the last revocation of a consent was submitted, if no grant followed.
    revoked: BTreeMap<u32, Time>,
    /// Within which a review is due; `None` where nobody reviews.
    review: Option<Span>,
    /// Emergency accesses without a review, oldest first, by consent.
    unreviewed: BTreeMap<u32, VecDeque<Time>>,
    /// When a request was submitted that is not answered.
    requests: BTreeMap<u32, Time>,
    /// The latest block.
    now: Time,
}

impl Care {
    /// `review`: within which an emergency access must be reviewed, in the whole catalogue.
    pub(super) fn new(classes: &[Class], review: Option<Span>) -> Self {
        let shown = |class: &Class| shown(class.name, review.is_some());
        Self {
            shown: classes.iter().map(shown).collect(),
            revoked: BTreeMap::new(),
            review,
            unreviewed: BTreeMap::new(),
            requests: BTreeMap::new(),
            now: Time::ZERO,
        }
    }

    fn broke_glass(&mut self, next: &Ordered<'_>, tell: &mut dyn Tell) {
        let lag = next.block_at.saturating_since(next.tx.at);
        tell.time(AUDIT_LAG, next.tx.at, lag);
        if self.review.is_some() {
            let open = self.unreviewed.entry(next.tx.key.get()).or_default();
            open.push_back(next.tx.at);
        }
    }

    /// A review settles the oldest emergency access of its consent.
    fn reviewed(&mut self, next: &Ordered<'_>, tell: &mut dyn Tell) {
        let key = next.tx.key.get();
        let (Some(open), Some(within)) = (self.unreviewed.get_mut(&key), self.review) else {
            return;
        };
        if let Some(at) = open.pop_front() {
            tell.case(UNREVIEWED, at, next.block_at > at + within);
        }
        if open.is_empty() {
            self.unreviewed.remove(&key);
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

fn shown(class: &str, full: bool) -> Shown {
    match class {
        "claim.pay" if full => Shown::Acted,
        "exchange.request" if full => Shown::Ordered,
        "exchange.respond" | "access.review" => Shown::Ordered,
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
        self.now = self.now.max(next.block_at);
        let valid = verdict == Verdict::Valid;
        match Action::ALL[usize::from(tx.action)] {
            Action::ConsentRevoke if valid => {
                self.revoked.insert(tx.key.get(), tx.at);
            }
            Action::ConsentGrant if valid => {
                self.revoked.remove(&tx.key.get());
            }
            Action::AccessRecord if valid => self.accessed(next, tell),
            Action::BreakGlass if valid => self.broke_glass(next, tell),
            Action::AccessReview if valid => self.reviewed(next, tell),
            Action::ExchangeRequest if valid => {
                self.requests.insert(tx.key.get(), tx.at);
            }
            Action::ExchangeRespond if valid => {
                if let Some(at) = self.requests.remove(&tx.key.get()) {
                    tell.time(EXCHANGE, at, next.block_at.saturating_since(at));
                }
            }
            Action::ClaimPay if is(verdict, Reason::AlreadyPaid) => {
                tell.case(PAID, tx.at, acted(next));
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

    /// What was due and did not come; what is not due yet says nothing.
    fn end(&mut self, tell: &mut dyn Tell) {
        let Some(within) = self.review else { return };
        for open in self.unreviewed.values() {
            for &at in open.iter().filter(|&&at| at + within <= self.now) {
                tell.case(UNREVIEWED, at, true);
            }
        }
    }
}
