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
    /// What the standards of the trade call it.
    pub(super) vocabulary: &'static str,
}

// source: 105 B a value (domain, test, result, unit) in CDISC pilot study 01; Consent 968 and
// AuditEvent 1,666 (HL7 FHIR R4 4.0.1 examples, median, without narrative), Provenance 724 (same);
// DocumentReference 3,403 (smart-on-fhir/sample-bulk-fhir-datasets, n = 1,215).
// assumption: a protocol version is anchored as a DocumentReference, a lock is an AuditEvent, a
// signature or approval a Provenance; an adverse event has ten values, screening, allocation, match,
// query and answer three each.
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
        Action::Approve => ("trial.approve", 724),
        Action::Permit => ("trial.permit", 968),
        Action::Revoke => ("trial.revoke", 968),
        Action::Match => ("trial.match", 315),
    };
    Facts {
        name,
        kind: match action {
            Action::Check => Kind::Read,
            Action::Withdraw | Action::Revoke => Kind::WatchedWrite,
            _ => Kind::Write,
        },
        full,
        per_value: matches!(action, Action::Capture | Action::Correct),
        tells: match action {
            Action::Withdraw => "procedures after withdrawal",
            Action::Sign | Action::Lock => "audit completeness at lock",
            Action::Capture => "time to irrevocable",
            Action::Revoke => "matches on revoked consent",
            _ => "",
        },
        vocabulary: vocabulary(action),
    }
}

// source: resources, codes and states: HL7 FHIR R4 4.0.1; TransactionType, AuditRecord and Signature:
// CDISC ODM. Which of them belongs to a class is an assumption where neither names it.
const fn vocabulary(action: Action) -> &'static str {
    match action {
        Action::Check => "FHIR Consent search",
        Action::Register => "FHIR ResearchStudy create, in-review or active",
        Action::Amend => "FHIR ResearchStudy update; ODM MetaDataVersion",
        Action::Consent => "FHIR Consent create, scope research, active",
        Action::Withdraw => "FHIR Consent update, scope research, inactive",
        Action::Screen => "FHIR ResearchSubject update, eligible or ineligible",
        Action::Randomise => "FHIR ResearchSubject update, on-study",
        Action::Capture => "ODM ItemData Insert, AuditRecord",
        Action::Correct => "ODM ItemData Update, AuditRecord, ReasonForChange",
        Action::AdverseEvent => "FHIR AdverseEvent create, Non-serious",
        Action::SeriousEvent => "FHIR AdverseEvent create, Serious",
        Action::Query => "ODM Annotation Insert, DataManagement",
        Action::Answer => "ODM Annotation Update, DataManagement",
        Action::Sign => "ODM Signature",
        Action::Lock => "ODM AuditRecord, study locked",
        Action::Unlock => "ODM AuditRecord, study unlocked",
        Action::Approve => "FHIR ResearchStudy update, approved; ODM Signature",
        Action::Permit => "FHIR Consent create, HRESCH, active",
        Action::Revoke => "FHIR Consent update, HRESCH, inactive",
        Action::Match => "FHIR ResearchSubject create, candidate",
    }
}
