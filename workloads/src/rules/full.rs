//! The rules of the whole catalogue: who may sign, what must exist, and contracts between records.
//!
//! Operands, with their widths in bits from the lowest:
//!
//! | action | operand |
//! |---|---|
//! | consent.grant, consent.revoke | purpose 3, by proxy 1, nonce 8, expiry in minutes 20 (0: never) |
//! | consent.delegate | 1 begins, 0 ends |
//! | access.breakglass | reason 8, role 8, shift 16 |
//! | access.review | its deadline in seconds |
//! | exchange.request | consent 28, purpose 4 |
//! | record.anchor | patient |
//! | record.amend | head version 24, reason 8 |
//! | erx.issue | fills 6, patient 26 |
//! | identity.link, identity.unlink | the other identity |
//! | claim.submit | the document that it charges for |
//! | claim.adjudicate | decision 8 (the bit of the appeal), version of the rules 24 |
//! | claim.pay | the claim; the key is the payer's account |

use super::{
    ACCESSES, ACTIVE, APPROVED, Action, CHANGES, CLAIM, CLOSED, CONSENT, DECIDED_APPEAL,
    DECIDED_APPROVE, DENIED, DOCUMENT, EMERGENCIES, FILLS, Field, IDENTITY, Layout, MOST_FILLS,
    OPEN, PAID, PRESCRIPTION, Reason, STAGE, TAG, VERSION, VIOLATIONS, create, fresh, lot, step,
};
use quorate_core::math::ln;
use quorate_core::{Arrival, Cell, EntityId, State, Time, hash};

const ORDER: u32 = 9;
const REQUEST: u32 = 10;
const ACCOUNT: u32 = 11;

// Of a consent, besides what the first rules know of it.
const PURPOSES: Field = Field::at(21, 3);
const NONCE: Field = Field::at(24, 8);
const PROXY: Field = Field::at(63, 1);
const REVIEWS: Field = Field::at(104, 4);
const EXPIRY: Field = Field::at(108, 20);
// Of a document.
const PATIENT: Field = Field::at(64, 32);
// Of an identity: whether an insurer covers the patient, and what it is linked to, plus one.
const COVERED: Field = Field::at(8, 1);
const PARENT: Field = Field::at(32, 32);
// Of an order.
const CORRECTIONS: Field = Field::at(32, 32);
/// Stage of an order: its report is final.
const FINAL: u32 = 6;
// Of an account: the balance in cents, in two halves.
const CENTS: Field = Field::at(32, 32);
const HIGH_CENTS: Field = Field::at(64, 32);

/// Purposes of use that a consent may name.
// source: HL7 v3 PurposeOfUse; a subset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Purpose {
    /// TREAT, the one that accesses need.
    Treatment,
    /// HPAYMT.
    Payment,
    /// HRESCH.
    Research,
    /// HOPERAT.
    Operations,
}

/// The operand of a grant or a revocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConsentTerms {
    /// A [`Purpose`] as its number; others are refused.
    pub purpose: u32,
    /// Signed by a proxy, who needs a delegation.
    pub by_proxy: bool,
    /// Above the last one that the ledger saw, in the circle of 256.
    pub nonce: u8,
    /// The minute at which it ends, 0 for never.
    pub expiry_min: u32,
}

impl ConsentTerms {
    /// As an operand.
    pub const fn pack(self) -> u32 {
        (self.purpose & 7)
            | (self.by_proxy as u32) << 3
            | (self.nonce as u32) << 4
            | (self.expiry_min & 0xf_ffff) << 12
    }

    const fn unpack(operand: u32) -> Self {
        Self {
            purpose: operand & 7,
            by_proxy: operand >> 3 & 1 == 1,
            nonce: (operand >> 4) as u8,
            expiry_min: operand >> 12,
        }
    }
}

/// Bits of the operand of `access.breakglass`.
pub const CLINICIAN: u32 = 1;
/// Shifts begin every 12 hours.
// assumption: hospital wards work in two or three shifts.
const SHIFT_S: u64 = 12 * 3600;
/// The version of the payers' rules that decides claims.
pub const RULES: u32 = 1;
/// The site that keeps the index of patients, the largest; only it unlinks.
// assumption: one organisation does so for all.
pub const STEWARD: u16 = 0;

/// The operand of an emergency access.
pub fn emergency(reason: u8, role: u8, at: Time) -> u32 {
    u32::from(reason) | u32::from(role) << 8 | shift(at) << 16
}

fn shift(at: Time) -> u32 {
    (at.ns() / 1_000_000_000 / SHIFT_S) as u32 & 0xffff
}

fn minute(at: Time) -> u32 {
    (at.ns() / 60_000_000_000) as u32
}

/// What a claim is over, in cents: exponential, the same for generator and ledger.
// assumption: mean 500 in the currency's unit; amounts of claims are skewed.
pub fn amount(claim: u32) -> u64 {
    (-ln(lot(claim, 6)) * 50_000.0) as u64 + 1
}

/// The payer of a claim, by its place among `payers`.
pub(crate) fn payer_of(claim: u32, payers: u32) -> u32 {
    (hash::fold_all(7, &[u64::from(claim)]) % u64::from(payers)) as u32
}

/// The contract's decision on a claim: first, or on appeal.
pub(crate) fn approves(claim: u32, appeal: bool, denial_share: f64, overturn_share: f64) -> bool {
    if appeal {
        lot(claim, 2) < overturn_share
    } else {
        lot(claim, 1) >= denial_share
    }
}

/// Whether an insurer covers a patient.
pub(crate) fn is_covered(patient: u32, uninsured_share: f64) -> bool {
    lot(patient, 8) >= uninsured_share
}

/// Whether a proxy may sign for a consent before the first block.
pub(crate) fn has_proxy(consent: u32, share: f64) -> bool {
    // All consents of a patient, or none.
    lot(consent / Layout::GRANTEES, 9) < share
}

/// The patient of a document that exists before the first block.
pub(crate) fn patient_of(document: u32, patients: u32) -> u32 {
    (hash::fold_all(10, &[u64::from(document)]) % u64::from(patients)) as u32
}

/// What the rules of the whole catalogue hang on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Full {
    /// Organisations that are authorised: the sites below this number.
    pub(crate) sites: u16,
    /// Those of them with an accredited laboratory.
    pub(crate) labs: u16,
    pub(crate) denial_share: f64,
    pub(crate) overturn_share: f64,
    pub(crate) uninsured_share: f64,
    pub(crate) proxy_share: f64,
    /// What each payer's account holds before the first block, in cents.
    pub(crate) balance: u64,
}

impl Full {
    /// Completes a record that exists before the first block.
    pub(super) fn preload(&self, id: u32, layout: &Layout, cell: Cell) -> Cell {
        if id < layout.consents().end {
            return PROXY.set(cell, has_proxy(id, self.proxy_share).into());
        }
        if layout.documents().contains(&id) {
            return PATIENT.set(cell, patient_of(id, layout.patients));
        }
        if layout.people().contains(&id) {
            let patient = id - layout.people().start;
            let known = STAGE.set(fresh(IDENTITY), 1);
            return COVERED.set(known, is_covered(patient, self.uninsured_share).into());
        }
        if layout.orders().contains(&id) {
            return STAGE.set(fresh(ORDER), OPEN);
        }
        if layout.payers().contains(&id) {
            return with_cents(fresh(ACCOUNT), self.balance);
        }
        cell
    }

    pub(super) fn apply(
        &self,
        layout: &Layout,
        tx: &Arrival,
        now: Time,
        state: &mut dyn State,
    ) -> Result<(), Reason> {
        if tx.site >= self.sites {
            return Err(Reason::UnknownOrganisation);
        }
        let (cell, operand) = (state.get(tx.key), tx.operand);
        let cell = match Action::ALL[usize::from(tx.action)] {
            Action::ConsentGrant => grant(cell, ConsentTerms::unpack(operand), now)?,
            Action::ConsentRevoke => revoke(cell, ConsentTerms::unpack(operand), now)?,
            Action::ConsentDelegate => delegate(cell, operand == 1)?,
            Action::AccessRecord => access(cell, now),
            Action::BreakGlass => break_glass(cell, operand, now)?,
            Action::AccessReview => review(cell)?,
            Action::ExchangeRequest => request(cell, operand, now, state)?,
            Action::ExchangeRespond => respond(cell)?,
            Action::RecordAnchor => {
                exists(layout, operand, state)?;
                PATIENT.set(create(cell, DOCUMENT, VERSION, 1)?, operand)
            }
            Action::RecordAmend if operand >> 24 == 0 => return Err(Reason::Unexplained),
            Action::RecordAmend => step(Action::RecordAmend, operand & 0xff_ffff, cell)?,
            Action::ReportOrder => create(cell, ORDER, STAGE, OPEN)?,
            Action::ReportIssue | Action::ReportCorrect if tx.site >= self.labs => {
                return Err(Reason::NotAccredited);
            }
            Action::ReportIssue => issue(cell)?,
            Action::ReportCorrect => correct(cell)?,
            Action::ErxIssue => {
                exists(layout, operand >> 6, state)?;
                match operand & 63 {
                    0 => return Err(Reason::NothingPrescribed),
                    fills => create(cell, PRESCRIPTION, FILLS, fills.min(MOST_FILLS))?,
                }
            }
            Action::IdentityLink => link(tx.key, cell, operand, state)?,
            Action::IdentityUnlink => unlink(tx.site, cell, operand)?,
            Action::ClaimSubmit => {
                covered(layout, operand, state)?;
                create(cell, CLAIM, STAGE, OPEN)?
            }
            Action::ClaimAdjudicate => self.adjudicate(tx.key, cell, operand)?,
            Action::ClaimPay => pay(layout, tx.key, cell, operand, state)?,
            action => step(action, operand, cell)?,
        };
        state.set(tx.key, cell);
        Ok(())
    }

    /// The contract decides; the operand only asks.
    fn adjudicate(&self, claim: EntityId, cell: Cell, operand: u32) -> Result<Cell, Reason> {
        if operand >> 8 != RULES {
            return Err(Reason::OldRules);
        }
        let appeal = operand & DECIDED_APPEAL;
        let approves = approves(
            claim.get(),
            appeal != 0,
            self.denial_share,
            self.overturn_share,
        );
        let decision = appeal | (u32::from(approves) * DECIDED_APPROVE);
        step(Action::ClaimAdjudicate, decision, cell)
    }
}

/// Whether a consent holds for a purpose now.
pub(super) fn holds(cell: Cell, purpose: u32, now: Time) -> bool {
    TAG.get(cell) == CONSENT && !is_over(cell, now) && has(cell, purpose)
}

const fn has(cell: Cell, purpose: u32) -> bool {
    match purpose {
        0 => ACTIVE.get(cell) == 1,
        1..=3 => PURPOSES.get(cell) >> (purpose - 1) & 1 == 1,
        _ => false,
    }
}

const fn with(cell: Cell, purpose: u32, held: bool) -> Cell {
    if purpose == 0 {
        return ACTIVE.set(cell, held as u32);
    }
    let bit = 1 << (purpose - 1);
    let others = PURPOSES.get(cell) & !bit;
    PURPOSES.set(cell, others | if held { bit } else { 0 })
}

fn is_over(cell: Cell, now: Time) -> bool {
    let expiry = EXPIRY.get(cell);
    expiry != 0 && minute(now) >= expiry
}

fn signed(cell: Cell, terms: ConsentTerms) -> Result<(), Reason> {
    if terms.by_proxy && PROXY.get(cell) == 0 {
        return Err(Reason::NoDelegation);
    }
    if terms.purpose > Purpose::Operations as u32 {
        return Err(Reason::UnknownPurpose);
    }
    Ok(())
}

fn grant(cell: Cell, terms: ConsentTerms, now: Time) -> Result<Cell, Reason> {
    signed(cell, terms)?;
    if terms.expiry_min != 0 && terms.expiry_min <= minute(now) {
        return Err(Reason::ExpiryPassed);
    }
    // source: RFC 1982, serial number arithmetic.
    if (terms.nonce.wrapping_sub(NONCE.get(cell) as u8) as i8) <= 0 {
        return Err(Reason::NonceUsed);
    }
    if holds(cell, terms.purpose, now) {
        return Err(Reason::AlreadyGranted);
    }
    let mut cell = TAG.set(cell, CONSENT);
    if is_over(cell, now) {
        cell = PURPOSES.set(ACTIVE.set(cell, 0), 0);
    }
    let cell = NONCE.set(cell, terms.nonce.into());
    let cell = EXPIRY.set(with(cell, terms.purpose, true), terms.expiry_min);
    Ok(CHANGES.increment(cell))
}

fn revoke(cell: Cell, terms: ConsentTerms, now: Time) -> Result<Cell, Reason> {
    signed(cell, terms)?;
    if !holds(cell, terms.purpose, now) {
        return Err(Reason::NoActiveConsent);
    }
    Ok(CHANGES.increment(with(cell, terms.purpose, false)))
}

fn delegate(cell: Cell, begins: bool) -> Result<Cell, Reason> {
    match (begins, PROXY.get(cell) == 1) {
        (true, true) => Err(Reason::AlreadyDelegated),
        (false, false) => Err(Reason::NoDelegation),
        _ => Ok(PROXY.set(TAG.set(cell, CONSENT), begins.into())),
    }
}

fn access(cell: Cell, now: Time) -> Cell {
    let seen = ACCESSES.increment(TAG.set(cell, CONSENT));
    if holds(cell, Purpose::Treatment as u32, now) {
        seen
    } else {
        VIOLATIONS.increment(seen)
    }
}

fn break_glass(cell: Cell, operand: u32, now: Time) -> Result<Cell, Reason> {
    if operand >> 8 & 0xff != CLINICIAN {
        return Err(Reason::NotClinician);
    }
    if operand.to_le_bytes()[0] == 0 {
        return Err(Reason::Unexplained);
    }
    // Who hands over may still write down what happened.
    let rostered = operand >> 16;
    if shift(now) != rostered && shift(now) != (rostered + 1) & 0xffff {
        return Err(Reason::NotOnDuty);
    }
    Ok(REVIEWS.increment(EMERGENCIES.increment(TAG.set(cell, CONSENT))))
}

fn review(cell: Cell) -> Result<Cell, Reason> {
    match REVIEWS.get(cell) {
        0 => Err(Reason::NothingToReview),
        open => Ok(REVIEWS.set(cell, open - 1)),
    }
}

fn request(cell: Cell, operand: u32, now: Time, state: &mut dyn State) -> Result<Cell, Reason> {
    let (consent, purpose) = (EntityId::new(operand & 0xfff_ffff), operand >> 28);
    if purpose > Purpose::Operations as u32 {
        return Err(Reason::UnknownPurpose);
    }
    let terms = state.get(consent);
    if !holds(terms, purpose, now) {
        return Err(Reason::NoActiveConsent);
    }
    let request = create(cell, REQUEST, STAGE, OPEN)?;
    state.set(consent, ACCESSES.increment(terms));
    Ok(request)
}

fn respond(cell: Cell) -> Result<Cell, Reason> {
    match (TAG.get(cell), STAGE.get(cell)) {
        (REQUEST, OPEN) => Ok(STAGE.set(cell, CLOSED)),
        (REQUEST, _) => Err(Reason::AlreadyAnswered),
        _ => Err(Reason::UnknownRequest),
    }
}

fn issue(cell: Cell) -> Result<Cell, Reason> {
    match (TAG.get(cell), STAGE.get(cell)) {
        (ORDER, OPEN) => Ok(STAGE.set(cell, FINAL)),
        (ORDER, _) => Err(Reason::AlreadyFinal),
        _ => Err(Reason::UnknownOrder),
    }
}

fn correct(cell: Cell) -> Result<Cell, Reason> {
    match (TAG.get(cell), STAGE.get(cell)) {
        (ORDER, FINAL) => Ok(CORRECTIONS.increment(cell)),
        (ORDER, _) => Err(Reason::NotFinal),
        _ => Err(Reason::UnknownOrder),
    }
}

/// A patient of this number is registered.
fn exists(layout: &Layout, patient: u32, state: &dyn State) -> Result<Cell, Reason> {
    let cell = if patient < layout.patients {
        state.get(EntityId::new(layout.people().start + patient))
    } else {
        0
    };
    if TAG.get(cell) == IDENTITY {
        Ok(cell)
    } else {
        Err(Reason::UnknownPatient)
    }
}

/// The encounter is on record, and somebody pays for its patient.
fn covered(layout: &Layout, document: u32, state: &dyn State) -> Result<(), Reason> {
    let document = state.get(EntityId::new(document));
    if TAG.get(document) != DOCUMENT {
        return Err(Reason::UnknownDocument);
    }
    let patient = exists(layout, PATIENT.get(document), state)?;
    if COVERED.get(patient) == 0 {
        return Err(Reason::NotCovered);
    }
    Ok(())
}

/// Hangs an identity below another; links form trees.
fn link(key: EntityId, cell: Cell, other: u32, state: &dyn State) -> Result<Cell, Reason> {
    let mut above = other;
    let mut known = state.get(EntityId::new(above));
    if TAG.get(cell) != IDENTITY || TAG.get(known) != IDENTITY {
        return Err(Reason::UnknownIdentity);
    }
    if PARENT.get(cell) != 0 {
        return Err(Reason::AlreadyLinked);
    }
    loop {
        if above == key.get() {
            return Err(Reason::LinkedInCircle);
        }
        match PARENT.get(known) {
            0 => return Ok(PARENT.set(cell, other + 1)),
            parent => above = parent - 1,
        }
        known = state.get(EntityId::new(above));
    }
}

fn unlink(site: u16, cell: Cell, other: u32) -> Result<Cell, Reason> {
    if site != STEWARD {
        return Err(Reason::NotSteward);
    }
    if TAG.get(cell) != IDENTITY || PARENT.get(cell) != other + 1 {
        return Err(Reason::NotLinked);
    }
    Ok(PARENT.set(cell, 0))
}

fn cents(account: Cell) -> u64 {
    u64::from(HIGH_CENTS.get(account)) << 32 | u64::from(CENTS.get(account))
}

const fn with_cents(account: Cell, cents: u64) -> Cell {
    HIGH_CENTS.set(CENTS.set(account, cents as u32), (cents >> 32) as u32)
}

/// Debits the payer and closes the claim.
fn pay(
    layout: &Layout,
    key: EntityId,
    account: Cell,
    claim: u32,
    state: &mut dyn State,
) -> Result<Cell, Reason> {
    let id = EntityId::new(claim);
    let record = state.get(id);
    let paid = step(Action::ClaimPay, 0, record)?;
    let payers = layout.payers();
    let payer = payers.start + payer_of(claim, payers.len() as u32);
    if TAG.get(account) != ACCOUNT || payer != key.get() {
        return Err(Reason::WrongPayer);
    }
    let rest = cents(account).checked_sub(amount(claim));
    let Some(rest) = rest else {
        return Err(Reason::BalanceTooLow);
    };
    state.set(id, paid);
    Ok(with_cents(account, rest))
}

const _: () = assert!(DENIED != APPROVED && PAID != FINAL && CLOSED != FINAL);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Records, is_active};
    use Action as A;
    use Reason as R;
    use quorate_core::{ClassId, Ledger, Verdict};
    use std::collections::BTreeMap;

    const FULL: Full = Full {
        sites: 5,
        labs: 3,
        denial_share: 0.5,
        overturn_share: 0.5,
        uninsured_share: 0.3,
        proxy_share: 0.3,
        balance: 300_000,
    };
    const LAYOUT: Layout = Layout {
        patients: 50,
        prescriptions: 5,
        cancellable: 5,
        documents: 60,
        open_claims: 20,
        approved_claims: 20,
        visits: 0,
        submitters: 0,
        people: 50,
        orders: 4,
        payers: 2,
    };
    const NEW: u32 = LAYOUT.end();

    struct Book(Records, BTreeMap<u32, Cell>);

    impl State for Book {
        fn get(&self, entity: EntityId) -> Cell {
            let known = self.1.get(&entity.get());
            known.copied().unwrap_or_else(|| self.0.preload(entity))
        }

        fn set(&mut self, entity: EntityId, cell: Cell) {
            self.1.insert(entity.get(), cell);
        }
    }

    impl Book {
        fn new() -> Self {
            Self(Records::new(LAYOUT, 2.0).with_full(FULL), BTreeMap::new())
        }

        fn at(&mut self, minute: u64, site: u16, what: (A, u32, u32)) -> Result<(), R> {
            let now = Time::from_ns(minute * 60_000_000_000);
            let tx = Arrival {
                at: now,
                key: EntityId::new(what.1),
                operand: what.2,
                bytes: 0,
                exec_us: 0,
                site,
                class: ClassId(0),
                action: what.0 as u8,
            };
            let before = self.1.clone();
            let rules = self.0.clone();
            let done = FULL.apply(&LAYOUT, &tx, now, self);
            let verdict = rules.apply(&tx, now, &mut Self(rules.clone(), before.clone()));
            assert_eq!(verdict == Verdict::Valid, done.is_ok());
            if done.is_err() {
                assert_eq!(self.1, before, "a refusal wrote");
            }
            done
        }

        fn now(&mut self, what: (A, u32, u32)) -> Result<(), R> {
            self.at(1, 0, what)
        }
    }

    fn terms(purpose: Purpose, nonce: u8, expiry_min: u32) -> ConsentTerms {
        ConsentTerms {
            purpose: purpose as u32,
            by_proxy: false,
            nonce,
            expiry_min,
        }
    }

    /// A consent that is active before the first block, or not, with a proxy or without.
    fn consent(active: bool, proxy: bool) -> u32 {
        let rules = Records::new(LAYOUT, 2.0).with_full(FULL);
        LAYOUT
            .consents()
            .find(|&c| {
                let cell = rules.preload(EntityId::new(c));
                is_active(cell) == active && (PROXY.get(cell) == 1) == proxy
            })
            .unwrap()
    }

    #[test]
    fn only_members_write() {
        let mut book = Book::new();
        let register = (A::IdentityRegister, NEW, 0);
        assert_eq!(book.at(1, 5, register), Err(R::UnknownOrganisation));
        assert_eq!(book.at(1, 4, register), Ok(()));
        assert_eq!(book.at(1, 3, register), Err(R::AlreadyExists));
    }

    #[test]
    fn a_consent_is_for_a_purpose_and_until_a_time() {
        let mut book = Book::new();
        let c = consent(false, false);
        let grant = |t: ConsentTerms| (A::ConsentGrant, c, t.pack());
        let research = terms(Purpose::Research, 1, 30);
        assert_eq!(book.at(30, 0, grant(research)), Err(R::ExpiryPassed));
        assert_eq!(book.at(29, 0, grant(research)), Ok(()));
        // For research, not for treatment.
        let cell = book.get(EntityId::new(c));
        let at = |minute: u64| Time::from_ns(minute * 60_000_000_000);
        assert!(holds(cell, Purpose::Research as u32, at(29)));
        assert!(!holds(cell, Purpose::Treatment as u32, at(29)));
        assert!(!holds(cell, Purpose::Research as u32, at(30)));
        let again = terms(Purpose::Research, 2, 0);
        assert_eq!(book.at(29, 0, grant(again)), Err(R::AlreadyGranted));
        // Once it is over it may be granted anew, and is not revoked.
        let revoke = (A::ConsentRevoke, c, again.pack());
        assert_eq!(book.at(30, 0, revoke), Err(R::NoActiveConsent));
        assert_eq!(book.at(30, 0, grant(again)), Ok(()));
        assert_eq!(book.at(9_999, 0, revoke), Ok(()));
        let unknown = ConsentTerms {
            purpose: 4,
            ..again
        };
        assert_eq!(book.now(grant(unknown)), Err(R::UnknownPurpose));
    }

    #[test]
    fn a_grant_is_not_replayed() {
        let mut book = Book::new();
        let c = consent(false, false);
        let grant = |nonce| {
            (
                A::ConsentGrant,
                c,
                terms(Purpose::Treatment, nonce, 0).pack(),
            )
        };
        let revoke = (A::ConsentRevoke, c, terms(Purpose::Treatment, 0, 0).pack());
        assert_eq!(book.now(grant(0)), Err(R::NonceUsed));
        assert_eq!(book.now(grant(100)), Ok(()));
        assert_eq!(book.now(revoke), Ok(()));
        assert_eq!(book.now(grant(100)), Err(R::NonceUsed));
        assert_eq!(book.now(grant(99)), Err(R::NonceUsed));
        // The circle goes on beyond 255.
        assert_eq!(book.now(grant(200)), Ok(()));
        assert_eq!(book.now(revoke), Ok(()));
        assert_eq!(book.now(grant(10)), Ok(()));
    }

    #[test]
    fn a_proxy_needs_a_delegation() {
        let mut book = Book::new();
        let proxy = ConsentTerms {
            by_proxy: true,
            ..terms(Purpose::Treatment, 1, 0)
        };
        let (with, without) = (consent(true, true), consent(true, false));
        let revoke = |c| (A::ConsentRevoke, c, proxy.pack());
        assert_eq!(book.now(revoke(with)), Ok(()));
        assert_eq!(book.now(revoke(without)), Err(R::NoDelegation));
        let delegate = |begins| (A::ConsentDelegate, without, begins);
        assert_eq!(book.now(delegate(0)), Err(R::NoDelegation));
        assert_eq!(book.now(delegate(1)), Ok(()));
        assert_eq!(book.now(delegate(1)), Err(R::AlreadyDelegated));
        assert_eq!(book.now(revoke(without)), Ok(()));
        assert_eq!(book.now(delegate(0)), Ok(()));
        assert_eq!(
            book.now((A::ConsentGrant, without, proxy.pack())),
            Err(R::NoDelegation)
        );
    }

    #[test]
    fn an_access_after_the_expiry_is_a_violation() {
        let mut book = Book::new();
        let c = consent(false, false);
        let grant = (A::ConsentGrant, c, terms(Purpose::Treatment, 1, 30).pack());
        assert_eq!(book.now(grant), Ok(()));
        for minute in [29, 30] {
            assert_eq!(book.at(minute, 0, (A::AccessRecord, c, 0)), Ok(()));
        }
        let cell = book.get(EntityId::new(c));
        assert_eq!((ACCESSES.get(cell), VIOLATIONS.get(cell)), (2, 1));
    }

    #[test]
    fn an_emergency_has_a_clinician_on_duty_a_reason_and_a_review() {
        let mut book = Book::new();
        let c = consent(false, false);
        let at = |minute: u64| Time::from_ns(minute * 60_000_000_000);
        let glass = |reason, role, minute| (A::BreakGlass, c, emergency(reason, role, at(minute)));
        assert_eq!(book.now(glass(1, 2, 1)), Err(R::NotClinician));
        assert_eq!(book.now(glass(0, 1, 1)), Err(R::Unexplained));
        let review = (A::AccessReview, c, 9);
        assert_eq!(book.now(review), Err(R::NothingToReview));
        // The second shift begins at minute 720, the third at 1,440.
        assert_eq!(book.at(719, 0, glass(1, 1, 720)), Err(R::NotOnDuty));
        assert_eq!(book.at(1_439, 0, glass(1, 1, 719)), Ok(()));
        assert_eq!(book.at(1_440, 0, glass(1, 1, 719)), Err(R::NotOnDuty));
        assert_eq!(book.now(review), Ok(()));
        assert_eq!(book.now(review), Err(R::NothingToReview));
    }

    #[test]
    fn a_request_is_answered_once() {
        let mut book = Book::new();
        let (yes, no) = (consent(true, false), consent(false, false));
        let request = |c, purpose: u32| (A::ExchangeRequest, NEW, c | purpose << 28);
        let respond = (A::ExchangeRespond, NEW, 0);
        assert_eq!(book.now(request(no, 0)), Err(R::NoActiveConsent));
        assert_eq!(book.now(request(yes, 2)), Err(R::NoActiveConsent));
        assert_eq!(book.now(request(yes, 4)), Err(R::UnknownPurpose));
        assert_eq!(book.now(respond), Err(R::UnknownRequest));
        assert_eq!(book.now(request(yes, 0)), Ok(()));
        assert_eq!(book.now(request(yes, 0)), Err(R::AlreadyExists));
        assert_eq!(book.now(respond), Ok(()));
        assert_eq!(book.now(respond), Err(R::AlreadyAnswered));
        assert_eq!(ACCESSES.get(book.get(EntityId::new(yes))), 1);
    }

    #[test]
    fn a_report_follows_its_order_and_a_correction_the_report() {
        let mut book = Book::new();
        let (order, issue, correct) = (
            (A::ReportOrder, NEW, 0),
            (A::ReportIssue, NEW, 0),
            (A::ReportCorrect, NEW, 0),
        );
        assert_eq!(book.now(issue), Err(R::UnknownOrder));
        assert_eq!(book.now(order), Ok(()));
        assert_eq!(book.now(order), Err(R::AlreadyExists));
        assert_eq!(book.now(correct), Err(R::NotFinal));
        assert_eq!(book.at(1, 3, issue), Err(R::NotAccredited));
        assert_eq!(book.at(1, 2, issue), Ok(()));
        assert_eq!(book.now(issue), Err(R::AlreadyFinal));
        assert_eq!(book.now(correct), Ok(()));
        assert_eq!(book.now(correct), Ok(()));
        assert_eq!(
            book.now((A::ReportCorrect, NEW + 1, 0)),
            Err(R::UnknownOrder)
        );
        assert_eq!(book.at(1, 3, correct), Err(R::NotAccredited));
    }

    #[test]
    fn a_prescription_and_a_document_have_a_patient() {
        let mut book = Book::new();
        let issue = |fills, patient: u32| (A::ErxIssue, NEW, fills | patient << 6);
        assert_eq!(book.now(issue(0, 7)), Err(R::NothingPrescribed));
        assert_eq!(book.now(issue(3, 50)), Err(R::UnknownPatient));
        assert_eq!(book.now(issue(3, 49)), Ok(()));
        assert_eq!(book.now((A::ErxDispense, NEW, 2)), Ok(()));
        assert_eq!(book.now((A::ErxDispense, NEW, 3)), Err(R::NoFillsLeft));
        assert_eq!(
            book.now((A::RecordAnchor, NEW + 1, 50)),
            Err(R::UnknownPatient)
        );
        assert_eq!(book.now((A::RecordAnchor, NEW + 1, 0)), Ok(()));
        assert_eq!(book.now((A::RecordAmend, NEW + 1, 1)), Err(R::Unexplained));
        assert_eq!(
            book.now((A::RecordAmend, NEW + 1, 2 | 1 << 24)),
            Err(R::ChangedMeanwhile)
        );
        assert_eq!(book.now((A::RecordAmend, NEW + 1, 1 | 1 << 24)), Ok(()));
    }

    #[test]
    fn identities_are_linked_in_trees() {
        let mut book = Book::new();
        let person = |n| LAYOUT.people().start + n;
        let link = |a, b| (A::IdentityLink, person(a), person(b));
        let unlink = |a, b| (A::IdentityUnlink, person(a), person(b));
        assert_eq!(book.now(link(1, 2)), Ok(()));
        assert_eq!(book.now(link(1, 3)), Err(R::AlreadyLinked));
        assert_eq!(book.now(link(2, 1)), Err(R::LinkedInCircle));
        assert_eq!(book.now(link(2, 2)), Err(R::LinkedInCircle));
        assert_eq!(book.now(link(2, 3)), Ok(()));
        assert_eq!(book.now(link(3, 1)), Err(R::LinkedInCircle));
        assert_eq!(book.now(link(4, 1)), Ok(()));
        assert_eq!(
            book.now((A::IdentityLink, person(5), NEW)),
            Err(R::UnknownIdentity)
        );
        assert_eq!(
            book.now((A::IdentityLink, NEW, person(5))),
            Err(R::UnknownIdentity)
        );
        assert_eq!(book.at(1, 1, unlink(2, 3)), Err(R::NotSteward));
        assert_eq!(book.now(unlink(2, 1)), Err(R::NotLinked));
        assert_eq!(book.now(unlink(2, 3)), Ok(()));
        assert_eq!(book.now(link(3, 1)), Ok(()));
    }

    #[test]
    fn a_claim_is_a_contract() {
        let mut book = Book::new();
        let document = |covered: bool| {
            let fits = |d: &u32| {
                let patient = patient_of(*d, LAYOUT.patients);
                is_covered(patient, FULL.uninsured_share) == covered
            };
            LAYOUT.documents().find(fits).unwrap()
        };
        let submit = |document| (A::ClaimSubmit, NEW, document);
        assert_eq!(book.now(submit(NEW + 9)), Err(R::UnknownDocument));
        assert_eq!(book.now(submit(document(false))), Err(R::NotCovered));
        assert_eq!(book.now(submit(document(true))), Ok(()));
        assert_eq!(book.now(submit(document(true))), Err(R::AlreadyExists));
        // The contract decides by the claim, whatever the operand says of approval.
        let (rules_now, appeal) = (RULES << 8, DECIDED_APPEAL);
        let decide = |claim, bits| (A::ClaimAdjudicate, claim, bits);
        assert_eq!(book.now(decide(NEW, 2 << 8)), Err(R::OldRules));
        let claim = |first: bool, second: bool| {
            let fits = |c: &u32| {
                approves(*c, false, 0.5, 0.5) == first && approves(*c, true, 0.5, 0.5) == second
            };
            LAYOUT.open_claims().find(fits).unwrap()
        };
        let denied = claim(false, false);
        assert_eq!(
            book.now(decide(denied, rules_now | DECIDED_APPROVE)),
            Ok(())
        );
        let account = |c| LAYOUT.payers().start + payer_of(c, 2);
        let pay = |c| (A::ClaimPay, account(c), c);
        assert_eq!(book.now(pay(denied)), Err(R::NotApproved));
        assert_eq!(book.now(decide(denied, rules_now | appeal)), Ok(()));
        assert_eq!(
            book.now(decide(denied, rules_now | appeal)),
            Err(R::NotOpen)
        );
        let good = claim(true, true);
        assert_eq!(book.now(decide(good, rules_now)), Ok(()));
        let other = account(good) ^ LAYOUT.payers().start ^ (LAYOUT.payers().start + 1);
        assert_eq!(book.now((A::ClaimPay, other, good)), Err(R::WrongPayer));
        assert_eq!(book.now(pay(good)), Ok(()));
        assert_eq!(book.now(pay(good)), Err(R::AlreadyPaid));
        let left = cents(book.get(EntityId::new(account(good))));
        assert_eq!(left, FULL.balance - amount(good));
        // Claims come to more than an account holds, sooner or later.
        let refused = LAYOUT
            .approved_claims()
            .find(|&c| book.now(pay(c)).is_err());
        assert_eq!(
            refused.map(|c| book.now(pay(c))),
            Some(Err(R::BalanceTooLow))
        );
    }

    #[test]
    fn operands_keep_their_parts() {
        let all = ConsentTerms {
            purpose: 3,
            by_proxy: true,
            nonce: 255,
            expiry_min: 0xf_ffff,
        };
        assert_eq!(ConsentTerms::unpack(all.pack()), all);
        let big = with_cents(fresh(ACCOUNT), u64::MAX);
        assert_eq!((cents(big), TAG.get(big)), (u64::MAX, ACCOUNT));
    }
}
