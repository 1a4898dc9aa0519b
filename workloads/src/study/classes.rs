//! The classes: names, kinds, sizes, and what their figures tell.

use super::rules::Action;
use quorate_core::Kind;

/// What is fixed about a class.
pub(super) struct Facts {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Size of the record in bytes; of one value where `per_value`.
    pub(super) full: u16,
    /// Whether the record grows with the values that a document holds.
    pub(super) per_value: bool,
    pub(super) tells: &'static str,
}

// source: 105 B a value (domain, test, result, unit) in CDISC pilot study 01; Consent 968 and
// AuditEvent 1,666 (HL7 FHIR R4 4.0.1 examples, median, without narrative), Provenance 724 (same);
// DocumentReference 3,403 (smart-on-fhir/sample-bulk-fhir-datasets, n = 1,215).
// assumption: a protocol version is anchored as a DocumentReference, a lock is an AuditEvent, a
// signature a Provenance; an adverse event has ten values, screening, allocation, query and answer
// three each.
pub(super) const fn facts(action: Action) -> Facts {
    let (name, full) = match action {
        Action::Check => ("trial.check", 0),
        Action::Register => ("trial.register", 3_403),
        Action::Amend => ("trial.amend", 3_403),
        Action::Consent => ("trial.consent", 968),
        Action::Withdraw => ("trial.withdraw", 968),
        Action::Screen => ("trial.screen", 315),
        Action::Randomise => ("trial.randomise", 315),
        Action::Capture => ("trial.capture", 105),
        Action::Correct => ("trial.correct", 105),
        Action::AdverseEvent => ("trial.ae", 1_050),
        Action::SeriousEvent => ("trial.sae", 1_050),
        Action::Query => ("trial.query", 315),
        Action::Answer => ("trial.answer", 315),
        Action::Sign => ("trial.sign", 724),
        Action::Lock => ("trial.lock", 1_666),
        Action::Unlock => ("trial.unlock", 1_666),
    };
    Facts {
        name,
        kind: match action {
            Action::Check => Kind::Read,
            Action::Withdraw => Kind::WatchedWrite,
            _ => Kind::Write,
        },
        full,
        per_value: matches!(action, Action::Capture | Action::Correct),
        tells: match action {
            Action::Withdraw => "procedures after withdrawal",
            Action::Sign | Action::Lock => "audit completeness at lock",
            Action::Capture => "time to irrevocable",
            _ => "",
        },
    }
}
