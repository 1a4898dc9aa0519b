//! The ledger rules of the hospital workload.
//!
//! Every transaction reads and writes the one record that its key names. A record is 16 bytes: a
//! tag that says what it is, then the fields of its kind, with their widths in bits:
//!
//! | record | fields |
//! |---|---|
//! | consent of a patient to one grantee | active 1, changes 16, accesses 31, violations 32, break-glass 8; and what [`full`] adds |
//! | prescription | fills allowed 8, fills dispensed as a set 32, cancelled 1 |
//! | document | head version 32 |
//! | report | none |
//! | claim | stage 4 |
//! | identity | none |
//! | visit | stage 4, entries 32 |
//! | submitter of roots | last round 32 |
//!
//! The identifiers that exist before the first block lie in disjoint ranges, see [`Layout`]; new
//! records follow in the order in which they are submitted, whatever their kind.

pub mod full;

use crate::field::Field;
use core::ops::Range;
use full::Full;
use quorate_core::{Arrival, Cell, EntityId, Ledger, State, Time, Verdict, open01_at};

/// What a transaction does; [`Arrival::action`] and the class index of the hospital workload.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Action {
    /// Asks the local view whether a grantee may see a patient's records; changes nothing.
    AccessCheck,
    /// Records an access. Without an active consent it is kept as a violation, never dropped.
    AccessRecord,
    /// Records an emergency access, which needs no consent.
    BreakGlass,
    /// A patient allows a grantee to see the records.
    ConsentGrant,
    /// A patient ends that.
    ConsentRevoke,
    /// Anchors the first version of a document.
    RecordAnchor,
    /// Replaces the head version, which the operand names.
    RecordAmend,
    /// Issues the final report of an order.
    ReportIssue,
    /// Issues a prescription; the operand is how many fills it allows.
    ErxIssue,
    /// Cancels a prescription.
    ErxCancel,
    /// Dispenses the fill that the operand names, from 0.
    ErxDispense,
    /// Asks another organisation for a patient's records; needs an active consent.
    ExchangeRequest,
    /// Submits a claim.
    ClaimSubmit,
    /// Decides a claim: the operand is [`DECIDED_APPROVE`] and, on appeal, [`DECIDED_APPEAL`].
    ClaimAdjudicate,
    /// Pays an approved claim.
    ClaimPay,
    /// Registers a patient's identity.
    IdentityRegister,
    /// Opens a visit or an admission; the operand is the patient.
    VisitOpen,
    /// Changes what is known of an open visit.
    VisitUpdate,
    /// Ends a visit.
    VisitClose,
    /// Orders something during a visit.
    OrderPlace,
    /// Reports a result of a visit, also after its end.
    ResultPost,
    /// Gives a drug during a visit.
    DoseGive,
    /// Records a procedure or a condition during a visit.
    ProcedureRecord,
    /// Records an immunisation during a visit.
    ImmunizationRecord,
    /// Charges for a visit, also after its end.
    ChargePost,
    /// Files a note of a visit, also after its end.
    NoteFile,
    /// Anchors the root over a submitter's records; the operand is the round, from 1.
    AnchorBatch,
    /// Lets a proxy sign for a patient, or ends that.
    ConsentDelegate,
    /// Reviews an emergency access.
    AccessReview,
    /// Answers a request of another organisation.
    ExchangeRespond,
    /// Orders a report.
    ReportOrder,
    /// Corrects a final report.
    ReportCorrect,
    /// Says that an identity is another one's as well.
    IdentityLink,
    /// Takes that back.
    IdentityUnlink,
}

/// Bit of a decision's operand: approved.
pub const DECIDED_APPROVE: u32 = 1;
/// Bit of a decision's operand: the second decision, after a denial.
pub const DECIDED_APPEAL: u32 = 2;

impl Action {
    /// All actions, in the order of their numbers.
    pub const ALL: [Self; 34] = [
        Self::AccessCheck,
        Self::AccessRecord,
        Self::BreakGlass,
        Self::ConsentGrant,
        Self::ConsentRevoke,
        Self::RecordAnchor,
        Self::RecordAmend,
        Self::ReportIssue,
        Self::ErxIssue,
        Self::ErxCancel,
        Self::ErxDispense,
        Self::ExchangeRequest,
        Self::ClaimSubmit,
        Self::ClaimAdjudicate,
        Self::ClaimPay,
        Self::IdentityRegister,
        Self::VisitOpen,
        Self::VisitUpdate,
        Self::VisitClose,
        Self::OrderPlace,
        Self::ResultPost,
        Self::DoseGive,
        Self::ProcedureRecord,
        Self::ImmunizationRecord,
        Self::ChargePost,
        Self::NoteFile,
        Self::AnchorBatch,
        Self::ConsentDelegate,
        Self::AccessReview,
        Self::ExchangeRespond,
        Self::ReportOrder,
        Self::ReportCorrect,
        Self::IdentityLink,
        Self::IdentityUnlink,
    ];

    /// Whether it is an entry about a visit that began before.
    #[inline]
    pub(crate) const fn is_entry(self) -> bool {
        matches!(
            self,
            Self::VisitUpdate
                | Self::OrderPlace
                | Self::ResultPost
                | Self::DoseGive
                | Self::ProcedureRecord
                | Self::ImmunizationRecord
                | Self::ChargePost
                | Self::NoteFile
        )
    }

    /// Whether it is about a visit.
    pub(crate) const fn is_on_visit(self) -> bool {
        self.is_entry() || matches!(self, Self::VisitOpen | Self::VisitClose)
    }

    /// The action as an index and as [`Arrival::action`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Why a transaction is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Reason {
    AlreadyGranted,
    NoActiveConsent,
    AlreadyExists,
    UnknownDocument,
    ChangedMeanwhile,
    UnknownPrescription,
    Cancelled,
    AlreadyDispensed,
    NoFillsLeft,
    UnknownClaim,
    NotOpen,
    NotApproved,
    AlreadyPaid,
    UnknownVisit,
    VisitEnded,
    UnknownSubmitter,
    RoundOutOfOrder,
    UnknownOrganisation,
    UnknownPurpose,
    NoDelegation,
    AlreadyDelegated,
    ExpiryPassed,
    NonceUsed,
    NotClinician,
    NotOnDuty,
    Unexplained,
    NothingToReview,
    UnknownRequest,
    AlreadyAnswered,
    UnknownOrder,
    AlreadyFinal,
    NotFinal,
    NotAccredited,
    NothingPrescribed,
    UnknownPatient,
    UnknownIdentity,
    AlreadyLinked,
    LinkedInCircle,
    NotLinked,
    NotSteward,
    NotCovered,
    OldRules,
    WrongPayer,
    BalanceTooLow,
    NotInForce,
}

/// In the order of [`Reason`].
const REASONS: [&str; 45] = [
    "consent already active",
    "no active consent",
    "record already exists",
    "unknown document",
    "document changed meanwhile",
    "unknown prescription",
    "prescription cancelled",
    "fill already dispensed",
    "no fills left",
    "unknown claim",
    "claim not open",
    "claim not approved",
    "claim already paid",
    "unknown visit",
    "visit ended",
    "unknown submitter",
    "round out of order",
    "organisation not authorised",
    "unknown purpose",
    "no delegation",
    "already delegated",
    "expiry has passed",
    "nonce already used",
    "not a clinician",
    "not on duty",
    "no reason given",
    "nothing to review",
    "unknown request",
    "request already answered",
    "unknown order",
    "report already final",
    "report not final",
    "laboratory not accredited",
    "nothing prescribed",
    "unknown patient",
    "unknown identity",
    "identity already linked",
    "link closes a circle",
    "identities not linked",
    "not the steward of identities",
    "patient not covered",
    "old rules of the payer",
    "not the claim's payer",
    "payer's balance too low",
    "rule not in force",
];

const TAG: Field = Field::at(0, 4);
const CONSENT: u32 = 1;
const PRESCRIPTION: u32 = 2;
const DOCUMENT: u32 = 3;
const REPORT: u32 = 4;
const CLAIM: u32 = 5;
const IDENTITY: u32 = 6;
const VISIT: u32 = 7;
const SUBMITTER: u32 = 8;

const ACTIVE: Field = Field::at(4, 1);
const CHANGES: Field = Field::at(5, 16);
const ACCESSES: Field = Field::at(32, 31);
const VIOLATIONS: Field = Field::at(64, 32);
const EMERGENCIES: Field = Field::at(96, 8);

const FILLS: Field = Field::at(4, 8);
const DISPENSED: Field = Field::at(16, 32);
const VOID: Field = Field::at(12, 1);

/// Of a document its head, of a submitter its last round.
const VERSION: Field = Field::at(32, 32);

const STAGE: Field = Field::at(4, 4);
const OPEN: u32 = 1;
const DENIED: u32 = 2;
const APPROVED: u32 = 3;
const PAID: u32 = 4;
const CLOSED: u32 = 5;

const ENTRIES: Field = Field::at(32, 32);

/// The most fills that one prescription may allow.
pub const MOST_FILLS: u32 = 32;

const fn fresh(tag: u32) -> Cell {
    TAG.set(0, tag)
}

/// Accesses without an active consent that a consent's record holds.
pub const fn violations(consent: Cell) -> u32 {
    if TAG.get(consent) == CONSENT {
        VIOLATIONS.get(consent)
    } else {
        0
    }
}

/// Emergency accesses that a consent's record holds.
pub const fn emergencies(consent: Cell) -> u32 {
    if TAG.get(consent) == CONSENT {
        EMERGENCIES.get(consent)
    } else {
        0
    }
}

/// How many records of each kind exist before the first block; their identifiers follow one another
/// in the order of the fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Layout {
    /// Patients, each with [`Layout::GRANTEES`] consents, active or not.
    pub patients: u32,
    /// Prescriptions with all fills left.
    pub prescriptions: u32,
    /// Prescriptions that will be cancelled.
    pub cancellable: u32,
    /// Documents in their first version.
    pub documents: u32,
    /// Claims not yet decided.
    pub open_claims: u32,
    /// Claims approved and not yet paid.
    pub approved_claims: u32,
    /// Visits that are open.
    pub visits: u32,
    /// Sites that submit roots.
    pub submitters: u32,
    /// Patients with a record of their own.
    pub people: u32,
    /// Orders without a report.
    pub orders: u32,
    /// Accounts of payers.
    pub payers: u32,
}

impl Layout {
    /// Organisations that may hold a patient's consent: the home site and three others.
    // assumption: three others, as general practice, hospital and specialist.
    pub const GRANTEES: u32 = 4;

    /// Consents, by patient and then by grantee.
    pub const fn consents(&self) -> Range<u32> {
        0..self.patients * Self::GRANTEES
    }

    /// Prescriptions with fills left.
    pub const fn prescriptions(&self) -> Range<u32> {
        after(self.consents(), self.prescriptions)
    }

    /// Prescriptions to be cancelled.
    pub const fn cancellable(&self) -> Range<u32> {
        after(self.prescriptions(), self.cancellable)
    }

    /// Documents in their first version.
    pub const fn documents(&self) -> Range<u32> {
        after(self.cancellable(), self.documents)
    }

    /// Claims to be decided.
    pub const fn open_claims(&self) -> Range<u32> {
        after(self.documents(), self.open_claims)
    }

    /// Claims to be paid.
    pub const fn approved_claims(&self) -> Range<u32> {
        after(self.open_claims(), self.approved_claims)
    }

    /// Open visits.
    pub const fn visits(&self) -> Range<u32> {
        after(self.approved_claims(), self.visits)
    }

    /// Submitters of roots, by site.
    pub const fn submitters(&self) -> Range<u32> {
        after(self.visits(), self.submitters)
    }

    /// Patients, by number.
    pub const fn people(&self) -> Range<u32> {
        after(self.submitters(), self.people)
    }

    /// Orders without a report.
    pub const fn orders(&self) -> Range<u32> {
        after(self.people(), self.orders)
    }

    /// Accounts of payers.
    pub const fn payers(&self) -> Range<u32> {
        after(self.orders(), self.payers)
    }

    /// The first identifier of a new record.
    pub const fn end(&self) -> u32 {
        self.payers().end
    }
}

const fn after(range: Range<u32>, len: u32) -> Range<u32> {
    range.end..range.end + len
}

/// A number in (0, 1) that belongs to an entity: the same for generator, ledger and replication.
pub(crate) fn lot(entity: u32, salt: u64) -> f64 {
    open01_at(salt, &[u64::from(entity)])
}

/// Whether a consent is active before the first block.
pub(crate) fn starts_active(consent: u32) -> bool {
    let share = if consent.is_multiple_of(Layout::GRANTEES) {
        // assumption: nearly all patients let their home site see their records.
        0.95
    } else {
        // assumption: half of the other relations are current.
        0.5
    };
    lot(consent, 1) < share
}

/// How many fills a prescription allows, with the given mean: the two integers around it.
pub(crate) fn fills(prescription: u32, mean: f64) -> u32 {
    let more = lot(prescription, 2) < mean - mean.floor();
    (mean as u32 + u32::from(more)).clamp(1, MOST_FILLS)
}

/// The hospital ledger.
#[derive(Clone, Debug)]
pub struct Records {
    layout: Layout,
    mean_fills: f64,
    /// The rules of the whole catalogue, if they are on.
    full: Option<Full>,
}

impl Records {
    /// The ledger without any record before the first block, for what is imported.
    pub fn empty() -> Self {
        Self::new(Layout::default(), 1.0)
    }

    pub(crate) const fn new(layout: Layout, mean_fills: f64) -> Self {
        Self {
            layout,
            mean_fills,
            full: None,
        }
    }

    pub(crate) const fn with_full(mut self, full: Full) -> Self {
        self.full = Some(full);
        self
    }

    fn cell(&self, id: u32) -> Cell {
        let layout = &self.layout;
        if id < layout.consents().end {
            ACTIVE.set(fresh(CONSENT), u32::from(starts_active(id)))
        } else if id < layout.cancellable().end {
            FILLS.set(fresh(PRESCRIPTION), fills(id, self.mean_fills))
        } else if id < layout.documents().end {
            VERSION.set(fresh(DOCUMENT), 1)
        } else if id < layout.open_claims().end {
            STAGE.set(fresh(CLAIM), OPEN)
        } else if id < layout.approved_claims().end {
            STAGE.set(fresh(CLAIM), APPROVED)
        } else if id < layout.visits().end {
            STAGE.set(fresh(VISIT), OPEN)
        } else if id < layout.submitters().end {
            fresh(SUBMITTER)
        } else {
            0
        }
    }

    /// The identifiers that exist before the first block.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }
}

impl Ledger for Records {
    fn reasons(&self) -> &[&'static str] {
        &REASONS
    }

    fn preload(&self, entity: EntityId) -> Cell {
        let id = entity.get();
        let cell = self.cell(id);
        self.full
            .map_or(cell, |full| full.preload(id, &self.layout, cell))
    }

    fn preloaded(&self) -> u32 {
        self.layout.end()
    }

    /// Of a consent. Whose a prescription, a document or a claim is, it does not know.
    fn person(&self, entity: EntityId) -> Option<u32> {
        let id = entity.get();
        let consents = self.layout.consents();
        consents.contains(&id).then_some(id / Layout::GRANTEES)
    }

    fn apply(&self, tx: &Arrival, now: Time, state: &mut dyn State) -> Verdict {
        let done = if let Some(full) = &self.full {
            full.apply(&self.layout, tx, now, state)
        } else {
            let action = Action::ALL[usize::from(tx.action)];
            step(action, tx.operand, state.get(tx.key)).map(|cell| state.set(tx.key, cell))
        };
        match done {
            Ok(()) => Verdict::Valid,
            Err(reason) => Verdict::Rejected(reason as u8),
        }
    }

    fn is_alone(&self) -> bool {
        self.full.is_none()
    }

    #[inline]
    fn step(&self, tx: &Arrival, _: Time, cell: Cell) -> Result<Cell, u8> {
        let action = Action::ALL[usize::from(tx.action)];
        step(action, tx.operand, cell).map_err(|reason| reason as u8)
    }

    fn allows(&self, cell: Cell, now: Time) -> bool {
        full::holds(cell, full::Purpose::Treatment as u32, now)
    }

    /// Who is told that there is no consent does not look.
    fn advise(&self, tx: &Arrival, now: Time, state: &mut dyn State) -> Verdict {
        let looks = tx.action == Action::AccessRecord as u8;
        if looks && !self.allows(state.get(tx.key), now) {
            return Verdict::Rejected(Reason::NoActiveConsent as u8);
        }
        self.apply(tx, now, state)
    }
}

const fn is_active(cell: Cell) -> bool {
    TAG.get(cell) == CONSENT && ACTIVE.get(cell) == 1
}

/// The record after the action, or why it is refused.
#[inline]
fn step(action: Action, operand: u32, cell: Cell) -> Result<Cell, Reason> {
    if action.is_entry() {
        return entry(action, cell);
    }
    other_step(action, operand, cell)
}

#[inline(never)]
fn other_step(action: Action, operand: u32, cell: Cell) -> Result<Cell, Reason> {
    match action {
        Action::AccessCheck => Ok(cell),
        Action::AccessRecord => Ok(access(cell)),
        Action::BreakGlass => Ok(EMERGENCIES.increment(TAG.set(cell, CONSENT))),
        Action::ConsentGrant => set_consent(cell, true, Reason::AlreadyGranted),
        Action::ConsentRevoke => set_consent(cell, false, Reason::NoActiveConsent),
        Action::RecordAnchor => create(cell, DOCUMENT, VERSION, 1),
        Action::RecordAmend => amend(cell, operand),
        Action::ReportIssue => create(cell, REPORT, STAGE, 1),
        Action::ErxIssue => create(cell, PRESCRIPTION, FILLS, operand.min(MOST_FILLS)),
        Action::ErxCancel => cancel(cell),
        Action::ErxDispense => dispense(cell, operand),
        Action::ExchangeRequest if is_active(cell) => Ok(ACCESSES.increment(cell)),
        Action::ExchangeRequest => Err(Reason::NoActiveConsent),
        Action::ClaimSubmit => create(cell, CLAIM, STAGE, OPEN),
        Action::ClaimAdjudicate => adjudicate(cell, operand),
        Action::ClaimPay => pay(cell),
        Action::IdentityRegister => create(cell, IDENTITY, STAGE, 1),
        Action::VisitOpen => create(cell, VISIT, STAGE, OPEN),
        Action::VisitClose => Ok(STAGE.set(open_visit(cell)?, CLOSED)),
        Action::AnchorBatch => root(cell, operand),
        // Only the whole catalogue has them, with rules of its own.
        Action::ConsentDelegate
        | Action::AccessReview
        | Action::ExchangeRespond
        | Action::ReportOrder
        | Action::ReportCorrect
        | Action::IdentityLink
        | Action::IdentityUnlink => Err(Reason::NotInForce),
        _ => entry(action, cell),
    }
}

/// An entry about a visit; some come also after its end.
#[inline]
const fn entry(action: Action, cell: Cell) -> Result<Cell, Reason> {
    let later = matches!(
        action,
        Action::ResultPost | Action::ChargePost | Action::NoteFile
    );
    let cell = match visit(cell) {
        Ok(cell) => cell,
        Err(reason) => return Err(reason),
    };
    if STAGE.get(cell) != OPEN && !later {
        return Err(Reason::VisitEnded);
    }
    Ok(cell)
}

/// One entry more for a visit, whether or not it has ended.
const fn visit(cell: Cell) -> Result<Cell, Reason> {
    if TAG.get(cell) != VISIT {
        return Err(Reason::UnknownVisit);
    }
    Ok(ENTRIES.increment(cell))
}

fn open_visit(cell: Cell) -> Result<Cell, Reason> {
    let cell = visit(cell)?;
    if STAGE.get(cell) != OPEN {
        return Err(Reason::VisitEnded);
    }
    Ok(cell)
}

/// A root follows the submitter's last one.
fn root(cell: Cell, round: u32) -> Result<Cell, Reason> {
    if TAG.get(cell) != SUBMITTER {
        return Err(Reason::UnknownSubmitter);
    }
    if round != VERSION.get(cell) + 1 {
        return Err(Reason::RoundOutOfOrder);
    }
    Ok(VERSION.set(cell, round))
}

/// Stores an access, and that it was a violation when no consent was active at its place in the
/// final order.
const fn access(cell: Cell) -> Cell {
    let cell = ACCESSES.increment(TAG.set(cell, CONSENT));
    if is_active(cell) {
        cell
    } else {
        VIOLATIONS.increment(cell)
    }
}

fn set_consent(cell: Cell, active: bool, otherwise: Reason) -> Result<Cell, Reason> {
    if is_active(cell) == active {
        return Err(otherwise);
    }
    let cell = CHANGES.increment(TAG.set(cell, CONSENT));
    Ok(ACTIVE.set(cell, u32::from(active)))
}

fn create(cell: Cell, tag: u32, field: Field, value: u32) -> Result<Cell, Reason> {
    if cell != 0 {
        return Err(Reason::AlreadyExists);
    }
    Ok(field.set(fresh(tag), value))
}

fn amend(cell: Cell, expected: u32) -> Result<Cell, Reason> {
    if TAG.get(cell) != DOCUMENT {
        return Err(Reason::UnknownDocument);
    }
    if VERSION.get(cell) != expected {
        return Err(Reason::ChangedMeanwhile);
    }
    Ok(VERSION.increment(cell))
}

fn usable_prescription(cell: Cell) -> Result<(), Reason> {
    if TAG.get(cell) != PRESCRIPTION {
        return Err(Reason::UnknownPrescription);
    }
    if VOID.get(cell) == 1 {
        return Err(Reason::Cancelled);
    }
    Ok(())
}

fn cancel(cell: Cell) -> Result<Cell, Reason> {
    usable_prescription(cell)?;
    if DISPENSED.get(cell).count_ones() >= FILLS.get(cell) {
        return Err(Reason::NoFillsLeft);
    }
    Ok(VOID.set(cell, 1))
}

fn dispense(cell: Cell, fill: u32) -> Result<Cell, Reason> {
    usable_prescription(cell)?;
    if fill >= FILLS.get(cell) {
        return Err(Reason::NoFillsLeft);
    }
    // Fills are a set, not a count: one that expired must not void the later ones.
    let dispensed = DISPENSED.get(cell);
    if dispensed >> fill & 1 == 1 {
        return Err(Reason::AlreadyDispensed);
    }
    Ok(DISPENSED.set(cell, dispensed | 1 << fill))
}

fn adjudicate(cell: Cell, decision: u32) -> Result<Cell, Reason> {
    if TAG.get(cell) != CLAIM {
        return Err(Reason::UnknownClaim);
    }
    let appeal = decision & DECIDED_APPEAL != 0;
    if STAGE.get(cell) != if appeal { DENIED } else { OPEN } {
        return Err(Reason::NotOpen);
    }
    let stage = match (decision & DECIDED_APPROVE != 0, appeal) {
        (true, _) => APPROVED,
        (false, false) => DENIED,
        (false, true) => CLOSED,
    };
    Ok(STAGE.set(cell, stage))
}

fn pay(cell: Cell) -> Result<Cell, Reason> {
    if TAG.get(cell) != CLAIM {
        return Err(Reason::UnknownClaim);
    }
    match STAGE.get(cell) {
        APPROVED => Ok(STAGE.set(cell, PAID)),
        PAID => Err(Reason::AlreadyPaid),
        _ => Err(Reason::NotApproved),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Action as A;
    use Reason as R;

    /// Applies the steps to an absent record; all must be accepted.
    fn after_all(steps: &[(A, u32)]) -> Cell {
        steps.iter().fold(0, |cell, &(action, operand)| {
            step(action, operand, cell).unwrap()
        })
    }

    #[track_caller]
    fn refused(steps: &[(A, u32)], last: (A, u32), why: Reason) {
        assert_eq!(step(last.0, last.1, after_all(steps)), Err(why));
    }

    #[test]
    fn names_match() {
        assert_eq!(REASONS[R::AlreadyPaid as usize], "claim already paid");
        assert_eq!(
            REASONS[R::UnknownPrescription as usize],
            "unknown prescription"
        );
        for (i, action) in A::ALL.iter().enumerate() {
            assert_eq!(action.index(), i);
        }
    }

    #[test]
    fn consent_is_granted_once_and_revoked_once() {
        let granted = after_all(&[(A::ConsentGrant, 0)]);
        assert!(is_active(granted));
        let revoked = step(A::ConsentRevoke, 0, granted).unwrap();
        assert!(!is_active(revoked) && revoked != 0);
        assert!(is_active(step(A::ConsentGrant, 0, revoked).unwrap()));
        assert_eq!(step(A::ConsentGrant, 0, granted), Err(R::AlreadyGranted));
        assert_eq!(step(A::ConsentRevoke, 0, revoked), Err(R::NoActiveConsent));
        refused(&[], (A::ConsentRevoke, 0), R::NoActiveConsent);
    }

    #[test]
    fn access_without_consent_is_kept_as_a_violation() {
        let cell = after_all(&[
            (A::AccessRecord, 0),
            (A::ConsentGrant, 0),
            (A::AccessRecord, 0),
            (A::ConsentRevoke, 0),
            (A::AccessRecord, 0),
        ]);
        assert_eq!((violations(cell), ACCESSES.get(cell)), (2, 3));
        assert_eq!(violations(after_all(&[(A::RecordAnchor, 0)])), 0);
    }

    #[test]
    fn an_emergency_needs_no_consent_and_gives_none() {
        let cell = after_all(&[(A::BreakGlass, 0), (A::BreakGlass, 0)]);
        assert_eq!((emergencies(cell), violations(cell)), (2, 0));
        assert!(!is_active(cell));
    }

    #[test]
    fn a_check_changes_nothing() {
        assert_eq!(step(A::AccessCheck, 0, 77), Ok(77));
    }

    #[test]
    fn exchange_needs_consent() {
        let cell = after_all(&[(A::ConsentGrant, 0), (A::ExchangeRequest, 0)]);
        assert_eq!((ACCESSES.get(cell), violations(cell)), (1, 0));
        refused(&[], (A::ExchangeRequest, 0), R::NoActiveConsent);
    }

    #[test]
    fn documents_are_amended_at_their_head() {
        let cell = after_all(&[
            (A::RecordAnchor, 0),
            (A::RecordAmend, 1),
            (A::RecordAmend, 2),
        ]);
        assert_eq!(VERSION.get(cell), 3);
        refused(&[], (A::RecordAmend, 1), R::UnknownDocument);
        let first = (A::RecordAnchor, 0);
        refused(
            &[first, (A::RecordAmend, 1)],
            (A::RecordAmend, 1),
            R::ChangedMeanwhile,
        );
        refused(&[first], first, R::AlreadyExists);
    }

    #[test]
    fn reports_and_identities_exist_once() {
        for action in [A::ReportIssue, A::IdentityRegister] {
            refused(&[(action, 0)], (action, 0), R::AlreadyExists);
        }
        refused(
            &[(A::ReportIssue, 0)],
            (A::IdentityRegister, 0),
            R::AlreadyExists,
        );
    }

    #[test]
    fn each_fill_is_dispensed_once() {
        let issue = (A::ErxIssue, 2);
        // In any order, because an expired fill must not void the next.
        let cell = after_all(&[issue, (A::ErxDispense, 1), (A::ErxDispense, 0)]);
        assert_eq!(step(A::ErxCancel, 0, cell), Err(R::NoFillsLeft));
        refused(
            &[issue, (A::ErxDispense, 0)],
            (A::ErxDispense, 0),
            R::AlreadyDispensed,
        );
        refused(&[issue], (A::ErxDispense, 2), R::NoFillsLeft);
        refused(
            &[issue, (A::ErxCancel, 0)],
            (A::ErxDispense, 0),
            R::Cancelled,
        );
        refused(&[issue, (A::ErxCancel, 0)], (A::ErxCancel, 0), R::Cancelled);
        refused(&[], (A::ErxDispense, 0), R::UnknownPrescription);
        refused(
            &[(A::ReportIssue, 0)],
            (A::ErxCancel, 0),
            R::UnknownPrescription,
        );
        refused(&[issue], issue, R::AlreadyExists);
        // The largest prescription keeps its last fill apart.
        let cell = after_all(&[(A::ErxIssue, 99), (A::ErxDispense, MOST_FILLS - 1)]);
        assert_eq!(FILLS.get(cell), MOST_FILLS);
        assert_eq!(step(A::ErxDispense, 31, cell), Err(R::AlreadyDispensed));
    }

    #[test]
    fn claims_are_decided_at_most_twice_and_paid_once() {
        let submit = (A::ClaimSubmit, 0);
        let approve = (A::ClaimAdjudicate, DECIDED_APPROVE);
        let deny = (A::ClaimAdjudicate, 0);
        let overturn = (A::ClaimAdjudicate, DECIDED_APPEAL | DECIDED_APPROVE);
        let uphold = (A::ClaimAdjudicate, DECIDED_APPEAL);
        let pay = (A::ClaimPay, 0);
        after_all(&[submit, approve, pay]);
        after_all(&[submit, deny, overturn, pay]);
        refused(&[submit], submit, R::AlreadyExists);
        refused(&[submit, approve], approve, R::NotOpen);
        refused(&[submit], overturn, R::NotOpen);
        refused(&[submit, deny, uphold], overturn, R::NotOpen);
        refused(&[submit, deny, uphold], pay, R::NotApproved);
        refused(&[submit], pay, R::NotApproved);
        refused(&[submit, approve, pay], pay, R::AlreadyPaid);
        refused(&[], pay, R::UnknownClaim);
        refused(&[], approve, R::UnknownClaim);
    }

    #[test]
    fn a_visit_takes_entries_until_it_ends_and_results_after_it() {
        let (open, close) = ((A::VisitOpen, 7), (A::VisitClose, 0));
        let during = [
            A::VisitUpdate,
            A::OrderPlace,
            A::DoseGive,
            A::ProcedureRecord,
            A::ImmunizationRecord,
            A::VisitClose,
        ];
        for action in during {
            after_all(&[open, (action, 0)]);
            refused(&[], (action, 0), R::UnknownVisit);
            refused(&[open, close], (action, 0), R::VisitEnded);
        }
        for action in [A::ResultPost, A::ChargePost, A::NoteFile] {
            let cell = after_all(&[open, (A::OrderPlace, 0), close, (action, 0)]);
            assert_eq!(ENTRIES.get(cell), 3);
            refused(&[], (action, 0), R::UnknownVisit);
            refused(&[(A::RecordAnchor, 0)], (action, 0), R::UnknownVisit);
        }
        refused(&[open], open, R::AlreadyExists);
    }

    #[test]
    fn roots_follow_one_another() {
        let first = step(A::AnchorBatch, 1, fresh(SUBMITTER)).unwrap();
        assert!(step(A::AnchorBatch, 2, first).is_ok());
        assert_eq!(step(A::AnchorBatch, 1, first), Err(R::RoundOutOfOrder));
        assert_eq!(step(A::AnchorBatch, 3, first), Err(R::RoundOutOfOrder));
        refused(&[], (A::AnchorBatch, 1), R::UnknownSubmitter);
    }

    #[test]
    fn preloaded_records_are_of_their_kind() {
        let layout = Layout {
            patients: 100,
            prescriptions: 50,
            cancellable: 5,
            documents: 7,
            open_claims: 3,
            approved_claims: 2,
            visits: 6,
            submitters: 4,
            ..Layout::default()
        };
        let ledger = Records::new(layout, 3.5);
        let cell = |id| ledger.preload(EntityId::new(id));
        let active = layout.consents().filter(|&id| is_active(cell(id))).count();
        // Binomial around 100 · 0.95 + 300 · 0.5, deviation 8.9.
        assert!((210..=280).contains(&active), "{active}");
        // A patient has four consents; whose a prescription is, nobody says.
        let person = |id| ledger.person(EntityId::new(id));
        assert_eq!(
            [person(0), person(3), person(4)],
            [Some(0), Some(0), Some(1)]
        );
        assert_eq!(layout.prescriptions().find_map(person), None);
        let fills: u32 = layout.prescriptions().map(|id| FILLS.get(cell(id))).sum();
        assert!((150..=200).contains(&fills), "{fills}");
        assert!(
            layout
                .cancellable()
                .all(|id| step(A::ErxCancel, 0, cell(id)).is_ok())
        );
        assert!(
            layout
                .documents()
                .all(|id| step(A::RecordAmend, 1, cell(id)).is_ok())
        );
        assert!(
            layout
                .open_claims()
                .all(|id| step(A::ClaimAdjudicate, 0, cell(id)).is_ok())
        );
        assert!(
            layout
                .approved_claims()
                .all(|id| step(A::ClaimPay, 0, cell(id)).is_ok())
        );
        assert!(
            layout
                .visits()
                .all(|id| step(A::VisitClose, 0, cell(id)).is_ok())
        );
        assert!(
            layout
                .submitters()
                .all(|id| step(A::AnchorBatch, 1, cell(id)).is_ok())
        );
        assert_eq!((ledger.preloaded(), cell(layout.end())), (477, 0));
    }

    #[test]
    fn fields_saturate_and_keep_their_neighbours() {
        let full = ACCESSES.set(CHANGES.set(0, 7), u32::MAX);
        assert_eq!(ACCESSES.increment(full), full);
        assert_eq!(CHANGES.get(CHANGES.set(full, 1 << 20)), 0xffff);
        assert_eq!(VIOLATIONS.get(full), 0);
    }
}
