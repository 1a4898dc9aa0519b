//! The ledger rules of a clinical trial.
//!
//! A subject's record says how far the subject is: consented, screened, randomised, off study (one
//! bit each). A transaction on another record (a visit, an adverse event) names its subject in the
//! operand and is refused when the record exists or the subject is not far enough. Follow-up after
//! the study is recorded as any visit, because protocols ask for it.

use quorate_core::{Arrival, Cell, Class, EntityId, Kind, Ledger, State, Time, Verdict};

/// What a transaction does; [`Arrival::action`] and the class index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Action {
    /// Informed consent: the first transaction of a subject.
    Consent,
    /// A visit before randomisation.
    Screen,
    /// Allocation to an arm.
    Randomise,
    /// A visit from randomisation on.
    Capture,
    /// An adverse event.
    AdverseEvent,
    /// A serious adverse event.
    SeriousEvent,
    /// Another milestone, such as the final laboratory visit.
    Milestone,
    /// The end of participation: completed, screen failure, withdrawal.
    Disposition,
}

impl Action {
    /// All actions in the order of a subject's day: what comes later needs what comes earlier.
    pub const ALL: [Self; 8] = [
        Self::Consent,
        Self::Screen,
        Self::Randomise,
        Self::Capture,
        Self::AdverseEvent,
        Self::SeriousEvent,
        Self::Milestone,
        Self::Disposition,
    ];

    /// The class of the action.
    pub const fn class(self) -> Class {
        let name = match self {
            Self::Consent => "trial.consent",
            Self::Screen => "trial.screen",
            Self::Randomise => "trial.randomise",
            Self::Capture => "trial.capture",
            Self::AdverseEvent => "trial.ae",
            Self::SeriousEvent => "trial.sae",
            Self::Milestone => "trial.milestone",
            Self::Disposition => "trial.disposition",
        };
        Class {
            name,
            kind: Kind::Write,
            expiry: None,
            tells: "",
        }
    }

    /// Size of the whole record in bytes.
    pub const fn full_bytes(self) -> u16 {
        match self {
            // source: Consent without narrative, HL7 FHIR R4 4.0.1 examples, median.
            Self::Consent => 968,
            // source: CDISC pilot study 01: 63 values a visit of about 105 B each.
            Self::Screen | Self::Capture => 6_615,
            // source: 105 B a value in CDISC pilot study 01; assumption: ten values.
            Self::AdverseEvent | Self::SeriousEvent => 1_050,
            // source: 105 B a value in CDISC pilot study 01; assumption: three values.
            Self::Randomise | Self::Milestone | Self::Disposition => 315,
        }
    }
}

const CONSENTED: Cell = 1;
const SCREENED: Cell = 1 << 1;
const RANDOMISED: Cell = 1 << 2;
const OFF_STUDY: Cell = 1 << 3;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Reason {
    AlreadyConsented,
    NoConsent,
    NotScreened,
    AlreadyRandomised,
    NotEnrolled,
    Duplicate,
    OffStudy,
}

/// In the order of [`Reason`].
const REASONS: [&str; 7] = [
    "subject already consented",
    "no consent",
    "subject not screened",
    "subject already randomised",
    "subject not enrolled",
    "duplicate record",
    "subject off study",
];

/// The ledger of a trial.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trial;

impl Ledger for Trial {
    fn reasons(&self) -> &[&'static str] {
        &REASONS
    }

    fn preload(&self, _entity: EntityId) -> Cell {
        0
    }

    fn preloaded(&self) -> u32 {
        0
    }

    fn apply(&self, tx: &Arrival, _now: Time, state: &mut dyn State) -> Verdict {
        let action = Action::ALL[usize::from(tx.action)];
        let subject = EntityId::new(tx.operand);
        let own = tx.key != subject;
        if own && state.get(tx.key) != 0 {
            return Verdict::Rejected(Reason::Duplicate as u8);
        }
        let before = state.get(subject);
        match step(action, before) {
            Ok(after) => {
                if after != before {
                    state.set(subject, after);
                }
                if own {
                    state.set(tx.key, 1);
                }
                Verdict::Valid
            }
            Err(reason) => Verdict::Rejected(reason as u8),
        }
    }
}

/// The subject's record after the action, or why it is refused.
fn step(action: Action, subject: Cell) -> Result<Cell, Reason> {
    let is = |state: Cell| subject & state != 0;
    match action {
        Action::Consent if is(CONSENTED) => Err(Reason::AlreadyConsented),
        Action::Consent => Ok(subject | CONSENTED),
        _ if !is(CONSENTED) => Err(Reason::NoConsent),
        Action::Screen if is(RANDOMISED) => Err(Reason::AlreadyRandomised),
        Action::Screen | Action::Randomise if is(OFF_STUDY) => Err(Reason::OffStudy),
        Action::Screen => Ok(subject | SCREENED),
        Action::Randomise if is(RANDOMISED) => Err(Reason::AlreadyRandomised),
        Action::Randomise if !is(SCREENED) => Err(Reason::NotScreened),
        Action::Randomise => Ok(subject | RANDOMISED),
        Action::Capture if !is(RANDOMISED) => Err(Reason::NotEnrolled),
        Action::Capture | Action::AdverseEvent | Action::SeriousEvent => Ok(subject),
        Action::Milestone => Ok(subject),
        Action::Disposition if is(OFF_STUDY) => Err(Reason::OffStudy),
        Action::Disposition => Ok(subject | OFF_STUDY),
    }
}
