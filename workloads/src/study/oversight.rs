//! What a sponsor and an inspector want to know of the final order: data behind the lock, what is on
//! record at it, old protocols, consent that came too late, and the order of allocations.
//!
//! A site does what the view of its own node accepts. A transaction is on record when its block says.

use super::layout::Layout;
use super::rules::{Action, Reason, is_late};
use crate::lookback::{Deed, Lookback};
use quorate_core::{ClassId, Domain, Measure, Ordered, Shown, Tell, Time, Unit, Verdict};
use std::collections::BTreeMap;

const ENTERED_AFTER_LOCK: usize = 0;
const ON_RECORD_AT_LOCK: usize = 1;
const CAPTURED_BY_OLD_PROTOCOL: usize = 2;
const OLD_FORMS_SIGNED: usize = 3;
const SCREENED_BEFORE_CONSENT: usize = 4;
const LATE_SAFETY_REPORTS: usize = 5;
const ALLOCATION_INVERSIONS: usize = 6;

const MEASURES: [Measure; 7] = [
    Measure {
        name: "entered_after_lock",
        what: "entries that the lock keeps out, those that the own site's view had taken",
        unit: Unit::Share,
        source: "21 CFR 11.10 (e); ICH E6 (R2) 5.5.3: who changes locked data leaves a trace",
        moved_by: "time until the lock is in every site's view",
    },
    Measure {
        name: "on_record_at_lock",
        what: "entries and signatures submitted before the lock, those that its order puts before it",
        unit: Unit::Share,
        source: "21 CFR 11.10 (e): audit trail; a locked database is complete",
        moved_by: "time to included, and order between sites",
    },
    Measure {
        name: "captured_by_old_protocol",
        what: "data of a study submitted after an amendment, those that the order puts before it",
        unit: Unit::Share,
        source: "21 CFR 312.30: a protocol change is in force once submitted and approved",
        moved_by: "order within and between blocks",
    },
    Measure {
        name: "old_forms_signed",
        what: "consents that the own site's view took, those refused because the form was replaced",
        unit: Unit::Share,
        source: "21 CFR 50.27: consent to the form approved at the time",
        moved_by: "time until an amendment is in every site's view",
    },
    Measure {
        name: "screened_before_consent",
        what: "screenings, those submitted before the block that has their subject's consent",
        unit: Unit::Share,
        source: "21 CFR 50.20: consent comes before any procedure",
        moved_by: "time to included",
    },
    Measure {
        name: "late_safety_reports",
        what: "serious adverse events on record after their 7 or 15 calendar days",
        unit: Unit::Share,
        source: "21 CFR 312.32 (c)",
        moved_by: "time to included, and outages, for reports of the last minute",
    },
    Measure {
        name: "allocation_inversions",
        what: "pairs of allocations of a list that the order turns round: Kendall's distance",
        unit: Unit::Share,
        source: "ICH E9 2.3.2: the next subject gets the next slot, foreseen by nobody",
        moved_by: "who proposes blocks, and order within them",
    },
];

/// A trial's own view of the final order.
pub struct Oversight {
    layout: Layout,
    /// Study of each subject that consented during the run, and when the block of that says.
    consents: BTreeMap<u32, (u32, Time)>,
    amendments: Lookback,
    /// Of each closing study: when what is on record since it was last locked was submitted.
    entries: BTreeMap<u32, Vec<Time>>,
    /// Of each list: when its allocations were submitted, in ascending order.
    allocated: BTreeMap<u32, Vec<Time>>,
}

impl Oversight {
    pub(super) fn new(layout: Layout) -> Self {
        Self {
            layout,
            consents: BTreeMap::new(),
            amendments: Lookback::default(),
            entries: BTreeMap::new(),
            allocated: BTreeMap::new(),
        }
    }

    fn study(&self, subject: u32) -> Option<u32> {
        if subject < self.layout.end() {
            return Some(self.layout.study_of(subject));
        }
        self.consents.get(&subject).map(|&(study, _)| study)
    }

    /// Entries and signatures around a lock; `subject` is whose they are.
    fn entry(&mut self, subject: u32, next: &Ordered<'_>, tell: &mut dyn Tell) {
        let at = next.tx.at;
        match next.verdict {
            Verdict::Valid => {
                let study = self.study(subject);
                let closing = study.filter(|study| self.layout.closing().contains(study));
                if let Some(study) = closing {
                    self.entries.entry(study).or_default().push(at);
                }
            }
            verdict if verdict == refused(Reason::Overtaken) => {
                tell.case(ON_RECORD_AT_LOCK, at, false);
            }
            _ => {}
        }
    }

    /// What a lock leaves out is told when it comes; the rest now.
    fn lock(&mut self, study: u32, locked: Time, tell: &mut dyn Tell) {
        let entries = self.entries.remove(&study).unwrap_or_default();
        for at in entries.into_iter().filter(|&at| at < locked) {
            tell.case(ON_RECORD_AT_LOCK, at, true);
        }
    }

    fn capture(&mut self, next: &Ordered<'_>, tell: &mut dyn Tell) {
        data(next, tell);
        let subject = next.tx.operand;
        self.entry(subject, next, tell);
        if next.verdict != Verdict::Valid {
            return;
        }
        let deed = Deed {
            at: next.tx.at,
            acted: true,
            valid: true,
        };
        if let Some(study) = self.study(subject)
            && let Some(deed) = self.amendments.deed(study, deed, next.block_at)
        {
            tell.case(CAPTURED_BY_OLD_PROTOCOL, deed.at, false);
        }
    }

    fn correct(&mut self, next: &Ordered<'_>, tell: &mut dyn Tell) {
        data(next, tell);
        // Around locks only items from before the run are corrected.
        if self.layout.late_items().contains(&next.tx.key.get()) {
            let subject = self.layout.subject_of(next.tx.key.get());
            self.entry(subject, next, tell);
        }
    }

    fn amend(&mut self, study: u32, at: Time, tell: &mut dyn Tell) {
        for deed in self.amendments.change(study, at) {
            tell.case(CAPTURED_BY_OLD_PROTOCOL, deed.at, true);
        }
    }

    fn consent(&mut self, next: &Ordered<'_>, tell: &mut dyn Tell) {
        if next.view == Some(Verdict::Valid) {
            let old = next.verdict == refused(Reason::OldConsentForm);
            tell.case(OLD_FORMS_SIGNED, next.tx.at, old);
        }
        if next.verdict == Verdict::Valid && next.tx.key.get() >= self.layout.end() {
            let first = (next.tx.operand >> 8, next.block_at);
            self.consents.entry(next.tx.key.get()).or_insert(first);
        }
    }

    fn screen(&self, next: &Ordered<'_>, tell: &mut dyn Tell) {
        let (at, subject) = (next.tx.at, next.tx.key.get());
        if next.verdict == refused(Reason::NoConsent) {
            tell.case(SCREENED_BEFORE_CONSENT, at, true);
        } else if next.verdict == Verdict::Valid {
            let consent = self.consents.get(&subject);
            let early = consent.is_some_and(|&(_, consented)| at < consented);
            tell.case(SCREENED_BEFORE_CONSENT, at, early);
        }
    }

    fn randomise(&mut self, list: u32, at: Time, tell: &mut dyn Tell) {
        let before = self.allocated.entry(list).or_default();
        let in_order = before.partition_point(|&earlier| earlier <= at);
        for other in 0..before.len() {
            tell.case(ALLOCATION_INVERSIONS, at, other >= in_order);
        }
        before.insert(in_order, at);
    }
}

const fn refused(why: Reason) -> Verdict {
    Verdict::Rejected(why as u8)
}

/// Data that the lock keeps out: did the site take it?
fn data(next: &Ordered<'_>, tell: &mut dyn Tell) {
    if [Reason::Locked, Reason::Overtaken]
        .map(refused)
        .contains(&next.verdict)
    {
        let taken = next.view == Some(Verdict::Valid);
        tell.case(ENTERED_AFTER_LOCK, next.tx.at, taken);
    }
}

impl Domain for Oversight {
    fn measures(&self) -> &'static [Measure] {
        &MEASURES
    }

    fn shown(&self, class: ClassId) -> Shown {
        match Action::ALL[class.index()] {
            Action::Consent | Action::Capture | Action::Correct => Shown::Acted,
            Action::Amend
            | Action::Screen
            | Action::Randomise
            | Action::SeriousEvent
            | Action::Sign
            | Action::Lock => Shown::Ordered,
            _ => Shown::Nothing,
        }
    }

    fn ordered(&mut self, next: &Ordered<'_>, tell: &mut dyn Tell) {
        let (key, at) = (next.tx.key.get(), next.tx.at);
        let valid = next.verdict == Verdict::Valid;
        match Action::ALL[usize::from(next.tx.action)] {
            Action::Consent => self.consent(next, tell),
            Action::Screen => self.screen(next, tell),
            Action::Capture => self.capture(next, tell),
            Action::Correct => self.correct(next, tell),
            Action::Sign => self.entry(key, next, tell),
            Action::Amend if valid => self.amend(key, at, tell),
            Action::Lock if valid => self.lock(key, at, tell),
            Action::Randomise if valid => self.randomise(key, at, tell),
            Action::SeriousEvent if valid => {
                tell.case(LATE_SAFETY_REPORTS, at, is_late(next.tx, next.block_at));
            }
            _ => {}
        }
    }
}
