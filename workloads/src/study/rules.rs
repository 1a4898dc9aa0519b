//! The ledger rules of the trial workload.
//!
//! A record is 16 bytes: a tag that says what it is, then the fields of its kind, with their widths
//! in bits:
//!
//! | record | fields |
//! |---|---|
//! | study | version 8, locked 1, round 15, open queries 32, awaits approval 1, lock's submission time 64 |
//! | stratum | study 24, slots used 16, slots 16, allocated per arm 16 each, arm cap 16 |
//! | subject | study 24, consent version 8, four flags, arm 1, signed round 16, events 16, serious 16, late 16 |
//! | item (form or value) | subject 32, version 16, queried 1 |
//! | patient | research consent 1, candidate of study 24, one more than the number, version 8 |
//!
//! A transaction has one key and may read the records that its own record names: an item's subject,
//! a subject's study. Versions of protocol and consent form are one number, because each amendment
//! here changes both.

use super::layout::{Layout, Places};
use crate::field::Field;
use quorate_core::{Arrival, Cell, EntityId, Ledger, Span, State, Time, Verdict, hash};

/// What a transaction does; [`Arrival::action`] and the class index of the trial workload.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Action {
    /// A site asks its local view whether a subject's consent stands; changes nothing.
    Check,
    /// Registers a study. Key: the study.
    Register,
    /// Amends protocol and consent form. Key: the study; operand: the new version.
    Amend,
    /// Consents, or consents again. Key: the subject; operand: [`consent_to`].
    Consent,
    /// Withdraws consent. Key: the subject.
    Withdraw,
    /// Completes screening. Key: the subject; operand: 1 eligible, 0 screen failure.
    Screen,
    /// Allocates the next slot of a stratum. Key: the stratum; operand: the subject.
    Randomise,
    /// Enters a form or value. Key: the new item; operand: the subject.
    Capture,
    /// Corrects an item. Key: the item; operand: the reason's code, not 0.
    Correct,
    /// Reports an adverse event. Key: the subject.
    AdverseEvent,
    /// Reports a serious adverse event. Key: the subject; operand: [`serious`].
    SeriousEvent,
    /// Queries an item. Key: the item.
    Query,
    /// Answers the query on an item. Key: the item.
    Answer,
    /// Signs a subject's casebook. Key: the subject.
    Sign,
    /// Locks a study's database. Key: the study.
    Lock,
    /// Opens it again; casebooks must be signed anew. Key: the study.
    Unlock,
    /// The ethics committee (IRB) approves a study, or its amendment. Key: the study; operand: the
    /// version.
    Approve,
    /// A patient consents to be looked for in research. Key: the patient.
    Permit,
    /// Takes that back. Key: the patient.
    Revoke,
    /// Finds a patient to be a candidate. Key: the patient; operand: [`consent_to`], the study and the
    /// version whose criteria were applied.
    Match,
}

impl Action {
    /// All actions, in the order of their numbers.
    pub const ALL: [Self; 20] = [
        Self::Check,
        Self::Register,
        Self::Amend,
        Self::Consent,
        Self::Withdraw,
        Self::Screen,
        Self::Randomise,
        Self::Capture,
        Self::Correct,
        Self::AdverseEvent,
        Self::SeriousEvent,
        Self::Query,
        Self::Answer,
        Self::Sign,
        Self::Lock,
        Self::Unlock,
        Self::Approve,
        Self::Permit,
        Self::Revoke,
        Self::Match,
    ];

    /// The action as an index and as [`Arrival::action`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// The operand of a consent: to which version of which study.
pub const fn consent_to(study: u32, version: u32) -> u32 {
    study << 8 | version
}

const FATAL: u32 = 1 << 31;
/// source: 21 CFR 312.32(c): 7 calendar days for fatal or life-threatening events.
pub const FATAL_CLOCK: Span = Span::from_s(7 * 86_400);
/// source: 21 CFR 312.32(c): 15 calendar days for other serious and unexpected events.
pub const SERIOUS_CLOCK: Span = Span::from_s(15 * 86_400);

/// The operand of a serious event: whether it is fatal or life-threatening, and for how many seconds
/// the sponsor had known of it at submission.
pub const fn serious(fatal: bool, known_s: u32) -> u32 {
    known_s & !FATAL | if fatal { FATAL } else { 0 }
}

/// Why a transaction is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Reason {
    UnknownStudy,
    AlreadyRegistered,
    NotNextVersion,
    OldConsentForm,
    AlreadyConsented,
    NoConsent,
    ConsentOutOfDate,
    Withdrawn,
    AlreadyScreened,
    NotScreened,
    ScreenFailure,
    AlreadyRandomised,
    UnknownStratum,
    StratumFull,
    ArmFull,
    NotOnStudy,
    AlreadyCaptured,
    UnknownItem,
    Unexplained,
    QueryOpen,
    NoQuery,
    AlreadySigned,
    OpenQueries,
    NotLocked,
    Locked,
    Overtaken,
    NotTheSponsor,
    NotTheCommittee,
    AwaitsApproval,
    NothingToApprove,
    SiteNotOpen,
    AlreadyPermitted,
    NoResearchConsent,
    ResearchRevoked,
    OldCriteria,
    AlreadyCandidate,
}

/// In the order of [`Reason`].
const REASONS: [&str; 36] = [
    "unknown study",
    "study already registered",
    "version is not the next",
    "consent form not current",
    "already consented",
    "no consent",
    "consent out of date",
    "subject withdrawn",
    "already screened",
    "not screened",
    "screen failure",
    "already randomised",
    "unknown stratum",
    "stratum is full",
    "arm is full",
    "subject not on study",
    "already captured",
    "unknown item",
    "no reason given",
    "query already open",
    "no open query",
    "casebook already signed",
    "open queries",
    "study not locked",
    "study locked",
    "overtaken by the lock",
    "not the sponsor",
    "not the ethics committee",
    "awaits approval",
    "nothing to approve",
    "site not open",
    "research consent already given",
    "no research consent",
    "research consent revoked",
    "eligibility by an old version",
    "already a candidate",
];

const TAG: Field = Field::at(0, 4);
const STUDY: u32 = 1;
const STRATUM: u32 = 2;
const SUBJECT: u32 = 3;
const ITEM: u32 = 4;
const PATIENT: u32 = 5;

/// Of a study.
const VERSION: Field = Field::at(4, 8);
const LOCKED: Field = Field::at(12, 1);
const ROUND: Field = Field::at(13, 15);
const QUERIES: Field = Field::at(28, 32);
const PENDING: Field = Field::at(60, 1);
const LOCKED_AT: u32 = 64;

/// Of a stratum and a subject.
const OF_STUDY: Field = Field::at(4, 24);

/// Of a stratum.
const USED: Field = Field::at(28, 16);
const SLOTS: Field = Field::at(44, 16);
const ARMS: [Field; 2] = [Field::at(60, 16), Field::at(76, 16)];
const ARM_CAP: Field = Field::at(92, 16);

/// Of a subject.
const CONSENT: Field = Field::at(28, 8);
const SCREENED: Field = Field::at(36, 1);
const ELIGIBLE: Field = Field::at(37, 1);
const RANDOMISED: Field = Field::at(38, 1);
const WITHDRAWN: Field = Field::at(39, 1);
const ARM: Field = Field::at(40, 1);
/// One more than the round in which the casebook was last signed.
const SIGNED: Field = Field::at(41, 16);
const EVENTS: Field = Field::at(57, 16);
const SERIOUS: Field = Field::at(73, 16);
const LATE: Field = Field::at(89, 16);

/// Of an item.
const OF_SUBJECT: Field = Field::at(4, 32);
const EDITION: Field = Field::at(36, 16);
const QUERIED: Field = Field::at(52, 1);

/// Of a patient.
const RESEARCH: Field = Field::at(4, 1);
const CANDIDATE: Field = Field::at(5, 25);
const CRITERIA: Field = Field::at(30, 8);

/// A patient who consented to be looked for.
pub(super) const fn patient() -> Cell {
    RESEARCH.set(TAG.set(0, PATIENT), 1)
}

/// A study with this version and this many open queries.
pub(super) const fn study(version: u32, queries: u32) -> Cell {
    QUERIES.set(VERSION.set(TAG.set(0, STUDY), version), queries)
}

/// A stratum's list, of which the first `used` slots are allocated.
pub(super) fn stratum(id: u32, study: u32, slots: u32, used: u32) -> Cell {
    let cell = OF_STUDY.set(TAG.set(0, STRATUM), study);
    let cell = ARM_CAP.set(SLOTS.set(cell, slots), slots.div_ceil(2));
    (0..used).fold(cell, |cell, slot| {
        ARMS[arm(id, slot) as usize].increment(USED.increment(cell))
    })
}

/// How far a subject is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Consented,
    Eligible,
    OnStudy,
}

/// A subject of a study who consented to this version.
pub(super) const fn subject(study: u32, version: u32, stage: Stage) -> Cell {
    let cell = CONSENT.set(OF_STUDY.set(TAG.set(0, SUBJECT), study), version);
    let screened = ELIGIBLE.set(SCREENED.set(cell, 1), 1);
    match stage {
        Stage::Consented => cell,
        Stage::Eligible => screened,
        Stage::OnStudy => RANDOMISED.set(screened, 1),
    }
}

/// A subject's first edition of an item.
pub(super) const fn item(subject: u32, queried: bool) -> Cell {
    let cell = EDITION.set(OF_SUBJECT.set(TAG.set(0, ITEM), subject), 1);
    QUERIED.set(cell, queried as u32)
}

/// The arm of a slot: the list is made of permuted blocks of four for two arms, two of each.
pub(super) fn arm(stratum: u32, slot: u32) -> u32 {
    // assumption: blocks of four, 1 : 1.
    const BLOCKS: [[u8; 4]; 6] = [
        [0, 0, 1, 1],
        [0, 1, 0, 1],
        [0, 1, 1, 0],
        [1, 0, 0, 1],
        [1, 0, 1, 0],
        [1, 1, 0, 0],
    ];
    let block = hash::fold_all(1, &[u64::from(stratum), u64::from(slot / 4)]) % 6;
    u32::from(BLOCKS[block as usize][slot as usize % 4])
}

/// Serious events that were reported later than their clock allows, of those a subject's record
/// counts.
pub const fn late_reports(subject: Cell) -> u32 {
    if TAG.get(subject) == SUBJECT {
        LATE.get(subject)
    } else {
        0
    }
}

/// The ledger.
#[derive(Clone, Debug)]
pub struct Studies {
    layout: Layout,
    /// Who must have signed, where signatures are checked.
    signers: Option<Places>,
}

impl Studies {
    pub(super) const fn new(layout: Layout, signers: Option<Places>) -> Self {
        Self { layout, signers }
    }

    /// Who signs for a study, where signatures are checked: its sponsor, and its ethics committee.
    pub fn signers(&self, study: u32) -> Option<(u16, u16)> {
        let places = self.signers.as_ref()?;
        Some((places.sponsor(study), places.committee(study)))
    }

    /// Sponsor and ethics committee sign for their parts, and only open sites allocate.
    fn signed(&self, tx: &Arrival, state: &dyn State) -> Result<(), Reason> {
        let Some(places) = &self.signers else {
            return Ok(());
        };
        let key = tx.key.get();
        match Action::ALL[usize::from(tx.action)] {
            Action::Register | Action::Amend if tx.site != places.sponsor(key) => {
                Err(Reason::NotTheSponsor)
            }
            Action::Approve if tx.site != places.committee(key) => Err(Reason::NotTheCommittee),
            Action::Randomise => {
                let study = OF_STUDY.get(state.get(tx.key));
                let open = places.is_open(study, self.layout.size(study), tx.site);
                if open {
                    Ok(())
                } else {
                    Err(Reason::SiteNotOpen)
                }
            }
            _ => Ok(()),
        }
    }

    /// Who and what exists before the first block.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }
}

impl Ledger for Studies {
    fn reasons(&self) -> &[&'static str] {
        &REASONS
    }

    fn preload(&self, entity: EntityId) -> Cell {
        self.layout.preload(entity.get())
    }

    fn preloaded(&self) -> u32 {
        self.layout.end()
    }

    fn apply(&self, tx: &Arrival, now: Time, state: &mut dyn State) -> Verdict {
        let approval = self.signers.is_some();
        let step = self
            .signed(tx, state)
            .and_then(|()| step(tx, now, approval, state));
        match step {
            Ok(()) => Verdict::Valid,
            Err(reason) => Verdict::Rejected(reason as u8),
        }
    }

    /// Whether a site that sees this consent goes on with a procedure, or looks for the patient.
    fn allows(&self, cell: Cell, _now: Time) -> bool {
        match TAG.get(cell) {
            SUBJECT => WITHDRAWN.get(cell) == 0,
            PATIENT => RESEARCH.get(cell) == 1,
            _ => false,
        }
    }
}

/// Applies a transaction, or says why not; writes only when nothing can fail any more.
fn step(tx: &Arrival, now: Time, approval: bool, state: &mut dyn State) -> Result<(), Reason> {
    let cell = state.get(tx.key);
    let (key, after) = match Action::ALL[usize::from(tx.action)] {
        Action::Check => return Ok(()),
        Action::Register if cell != 0 => return Err(Reason::AlreadyRegistered),
        Action::Register if approval => (tx.key, PENDING.set(study(0, 0), 1)),
        Action::Register => (tx.key, study(1, 0)),
        Action::Amend => (tx.key, amend(known_study(cell)?, tx.operand, approval)?),
        Action::Approve => (tx.key, approve(known_study(cell)?, tx.operand)?),
        Action::Permit => (tx.key, permit(cell)?),
        Action::Revoke => (tx.key, RESEARCH.set(permitted(cell)?, 0)),
        Action::Match => (tx.key, candidate(cell, tx, state)?),
        Action::Lock => (tx.key, lock(known_study(cell)?, tx.at)?),
        Action::Unlock => (tx.key, unlock(known_study(cell)?)?),
        Action::Consent => (tx.key, consent(cell, tx, state)?),
        Action::Withdraw => (tx.key, withdraw(cell)?),
        Action::Screen => (tx.key, screen(cell, tx, state)?),
        Action::Randomise => return randomise(cell, tx, state),
        Action::Capture => (tx.key, capture(cell, tx, state)?),
        Action::Correct => (tx.key, correct(cell, tx, state)?),
        Action::AdverseEvent => (tx.key, EVENTS.increment(enrolled(cell)?)),
        Action::SeriousEvent => (tx.key, report(enrolled(cell)?, tx, now)),
        Action::Query => return query(cell, tx, state),
        Action::Answer => return answer(cell, tx, state),
        Action::Sign => (tx.key, sign(cell, tx, state)?),
    };
    state.set(key, after);
    Ok(())
}

fn known_study(cell: Cell) -> Result<Cell, Reason> {
    if TAG.get(cell) == STUDY {
        Ok(cell)
    } else {
        Err(Reason::UnknownStudy)
    }
}

/// The study of a subject's or stratum's record.
fn study_of(cell: Cell, state: &dyn State) -> Result<Cell, Reason> {
    known_study(state.get(EntityId::new(OF_STUDY.get(cell))))
}

/// A study that takes data. What a lock keeps out is told apart by who came first to the desk, not
/// to the ledger.
fn open(study: Cell, at: Time) -> Result<Cell, Reason> {
    if LOCKED.get(study) == 0 {
        return Ok(study);
    }
    if at.ns() < (study >> LOCKED_AT) as u64 {
        return Err(Reason::Overtaken);
    }
    Err(Reason::Locked)
}

/// The next version; where it needs an approval, the old one stays in force until then.
fn amend(study: Cell, version: u32, approval: bool) -> Result<Cell, Reason> {
    if PENDING.get(study) == 1 {
        return Err(Reason::AwaitsApproval);
    }
    if version != VERSION.get(study) + 1 {
        return Err(Reason::NotNextVersion);
    }
    Ok(if approval {
        PENDING.set(study, 1)
    } else {
        VERSION.set(study, version)
    })
}

fn approve(study: Cell, version: u32) -> Result<Cell, Reason> {
    if PENDING.get(study) == 0 {
        return Err(Reason::NothingToApprove);
    }
    if version != VERSION.get(study) + 1 {
        return Err(Reason::NotNextVersion);
    }
    Ok(PENDING.set(VERSION.set(study, version), 0))
}

/// The version that is in force.
fn in_force(study: Cell) -> Result<u32, Reason> {
    match VERSION.get(study) {
        0 => Err(Reason::AwaitsApproval),
        version => Ok(version),
    }
}

fn permit(cell: Cell) -> Result<Cell, Reason> {
    if cell == 0 {
        return Ok(patient());
    }
    if TAG.get(cell) != PATIENT {
        return Err(Reason::NoResearchConsent);
    }
    if RESEARCH.get(cell) == 1 {
        return Err(Reason::AlreadyPermitted);
    }
    Ok(RESEARCH.set(cell, 1))
}

fn permitted(cell: Cell) -> Result<Cell, Reason> {
    if TAG.get(cell) != PATIENT {
        return Err(Reason::NoResearchConsent);
    }
    if RESEARCH.get(cell) == 0 {
        return Err(Reason::ResearchRevoked);
    }
    Ok(cell)
}

/// A patient whose research consent stands, by the criteria of the version in force.
fn candidate(cell: Cell, tx: &Arrival, state: &dyn State) -> Result<Cell, Reason> {
    let cell = permitted(cell)?;
    let (id, version) = (tx.operand >> 8, tx.operand & 0xff);
    let study = open(known_study(state.get(EntityId::new(id)))?, tx.at)?;
    if version != in_force(study)? {
        return Err(Reason::OldCriteria);
    }
    if CANDIDATE.get(cell) == id + 1 {
        return Err(Reason::AlreadyCandidate);
    }
    Ok(CRITERIA.set(CANDIDATE.set(cell, id + 1), version))
}

fn lock(study: Cell, at: Time) -> Result<Cell, Reason> {
    if LOCKED.get(study) == 1 {
        return Err(Reason::Locked);
    }
    if QUERIES.get(study) > 0 {
        return Err(Reason::OpenQueries);
    }
    Ok(LOCKED.set(study, 1) | Cell::from(at.ns()) << LOCKED_AT)
}

/// A new round, in which no casebook is signed.
fn unlock(study: Cell) -> Result<Cell, Reason> {
    if LOCKED.get(study) == 0 {
        return Err(Reason::NotLocked);
    }
    let study = study & ((1 << LOCKED_AT) - 1);
    Ok(ROUND.increment(LOCKED.set(study, 0)))
}

fn consent(cell: Cell, tx: &Arrival, state: &dyn State) -> Result<Cell, Reason> {
    let (id, version) = (tx.operand >> 8, tx.operand & 0xff);
    let study = open(known_study(state.get(EntityId::new(id)))?, tx.at)?;
    if version != in_force(study)? {
        return Err(Reason::OldConsentForm);
    }
    if cell == 0 {
        return Ok(subject(id, version, Stage::Consented));
    }
    if TAG.get(cell) != SUBJECT || OF_STUDY.get(cell) != id {
        return Err(Reason::NoConsent);
    }
    if WITHDRAWN.get(cell) == 1 {
        return Err(Reason::Withdrawn);
    }
    if CONSENT.get(cell) == version {
        return Err(Reason::AlreadyConsented);
    }
    Ok(CONSENT.set(cell, version))
}

fn consented(cell: Cell) -> Result<Cell, Reason> {
    if TAG.get(cell) != SUBJECT {
        return Err(Reason::NoConsent);
    }
    if WITHDRAWN.get(cell) == 1 {
        return Err(Reason::Withdrawn);
    }
    Ok(cell)
}

fn withdraw(cell: Cell) -> Result<Cell, Reason> {
    Ok(WITHDRAWN.set(consented(cell)?, 1))
}

/// A subject on whom a procedure may be done: of an open study, under the current consent form or,
/// until the next amendment, the one before.
// assumption: subjects consent again at their next visit; what the old form allows goes on so long.
fn procedure(cell: Cell, at: Time, state: &dyn State) -> Result<Cell, Reason> {
    let cell = consented(cell)?;
    let study = open(study_of(cell, state)?, at)?;
    if CONSENT.get(cell) + 1 < VERSION.get(study) {
        return Err(Reason::ConsentOutOfDate);
    }
    Ok(cell)
}

fn screen(cell: Cell, tx: &Arrival, state: &dyn State) -> Result<Cell, Reason> {
    let cell = procedure(cell, tx.at, state)?;
    if SCREENED.get(cell) == 1 {
        return Err(Reason::AlreadyScreened);
    }
    Ok(ELIGIBLE.set(SCREENED.set(cell, 1), tx.operand))
}

fn randomise(stratum: Cell, tx: &Arrival, state: &mut dyn State) -> Result<(), Reason> {
    let id = EntityId::new(tx.operand);
    let cell = procedure(state.get(id), tx.at, state)?;
    if SCREENED.get(cell) == 0 {
        return Err(Reason::NotScreened);
    }
    if ELIGIBLE.get(cell) == 0 {
        return Err(Reason::ScreenFailure);
    }
    if RANDOMISED.get(cell) == 1 {
        return Err(Reason::AlreadyRandomised);
    }
    if TAG.get(stratum) != STRATUM || OF_STUDY.get(stratum) != OF_STUDY.get(cell) {
        return Err(Reason::UnknownStratum);
    }
    let slot = USED.get(stratum);
    if slot >= SLOTS.get(stratum) {
        return Err(Reason::StratumFull);
    }
    let arm = arm(tx.key.get(), slot);
    let count = ARMS[arm as usize];
    if count.get(stratum) >= ARM_CAP.get(stratum) {
        return Err(Reason::ArmFull);
    }
    state.set(tx.key, count.increment(USED.increment(stratum)));
    state.set(id, ARM.set(RANDOMISED.set(cell, 1), arm));
    Ok(())
}

fn enrolled(cell: Cell) -> Result<Cell, Reason> {
    if TAG.get(cell) != SUBJECT || RANDOMISED.get(cell) == 0 {
        return Err(Reason::NotOnStudy);
    }
    Ok(cell)
}

fn capture(cell: Cell, tx: &Arrival, state: &dyn State) -> Result<Cell, Reason> {
    let subject = state.get(EntityId::new(tx.operand));
    enrolled(procedure(subject, tx.at, state)?)?;
    if cell != 0 {
        return Err(Reason::AlreadyCaptured);
    }
    Ok(item(tx.operand, false))
}

/// The study of an item, while it takes data.
fn open_study(cell: Cell, at: Time, state: &dyn State) -> Result<(EntityId, Cell), Reason> {
    if TAG.get(cell) != ITEM {
        return Err(Reason::UnknownItem);
    }
    let subject = state.get(EntityId::new(OF_SUBJECT.get(cell)));
    let study = open(study_of(subject, state)?, at)?;
    Ok((EntityId::new(OF_STUDY.get(subject)), study))
}

/// What was recorded before a withdrawal may still be corrected.
fn correct(cell: Cell, tx: &Arrival, state: &dyn State) -> Result<Cell, Reason> {
    open_study(cell, tx.at, state)?;
    if tx.operand == 0 {
        return Err(Reason::Unexplained);
    }
    Ok(EDITION.increment(cell))
}

fn query(cell: Cell, tx: &Arrival, state: &mut dyn State) -> Result<(), Reason> {
    let (id, study) = open_study(cell, tx.at, state)?;
    if QUERIED.get(cell) == 1 {
        return Err(Reason::QueryOpen);
    }
    state.set(tx.key, QUERIED.set(cell, 1));
    state.set(id, QUERIES.increment(study));
    Ok(())
}

fn answer(cell: Cell, tx: &Arrival, state: &mut dyn State) -> Result<(), Reason> {
    let (id, study) = open_study(cell, tx.at, state)?;
    if QUERIED.get(cell) == 0 {
        return Err(Reason::NoQuery);
    }
    state.set(tx.key, QUERIED.set(cell, 0));
    state.set(id, QUERIES.set(study, QUERIES.get(study) - 1));
    Ok(())
}

/// Whether a serious event that is recorded `now` is later than its clock allows.
pub(super) fn is_late(tx: &Arrival, now: Time) -> bool {
    let known = Span::from_s(u64::from(tx.operand & !FATAL));
    let age_ns = known.ns() + now.saturating_since(tx.at).ns();
    let clock = if tx.operand & FATAL == 0 {
        SERIOUS_CLOCK
    } else {
        FATAL_CLOCK
    };
    age_ns > clock.ns()
}

/// Counts a serious event; one that reaches the ledger too late is kept, and counted as late.
fn report(cell: Cell, tx: &Arrival, now: Time) -> Cell {
    let cell = SERIOUS.increment(cell);
    if is_late(tx, now) {
        LATE.increment(cell)
    } else {
        cell
    }
}

/// A withdrawn subject's casebook is signed as well: it holds what was recorded before.
fn sign(cell: Cell, tx: &Arrival, state: &dyn State) -> Result<Cell, Reason> {
    let cell = enrolled(cell)?;
    let study = open(study_of(cell, state)?, tx.at)?;
    let round = ROUND.get(study) + 1;
    if SIGNED.get(cell) == round {
        return Err(Reason::AlreadySigned);
    }
    Ok(SIGNED.set(cell, round))
}
