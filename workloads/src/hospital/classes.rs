//! The classes: names, kinds, sizes and shapes of the day.

use super::granularity::{Density, Granularity};
use crate::rules::Action;
use crate::{Payload, Profile, Shape};
use quorate_core::Kind;

/// What is fixed about a class.
pub(super) struct Facts {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Size of the record in bytes.
    pub(super) full: u16,
    pub(super) shape: &'static [(Profile, f64)],
}

// assumption: business hours, as for messages of pharmacies.
const OFFICE: &[(Profile, f64)] = &[(Profile::Outpatient, 1.0)];
// source: shares of the accesses behind `Mix::access_record`; one visit in eight is to an emergency
// department (CDC NHAMCS 2019: 0.46 of 3.82).
const CARE: &[(Profile, f64)] = &[
    (Profile::Outpatient, 0.38),
    (Profile::Ed, 0.06),
    (Profile::WardMar, 0.56),
];
// source: shares of the documents behind `Mix::record_anchor`.
const NOTES: &[(Profile, f64)] = &[
    (Profile::Outpatient, 0.53),
    (Profile::Ed, 0.07),
    (Profile::WardMar, 0.40),
];
// source: 1.5 reports a bed-day (clinosim 0.6.5), 0.49 bed-days, 2.1 reports.
const REPORTS: &[(Profile, f64)] = &[(Profile::Outpatient, 0.65), (Profile::WardLab, 0.35)];
// source: one visit in eight is to an emergency department.
const VISITS: &[(Profile, f64)] = &[(Profile::Outpatient, 0.88), (Profile::Ed, 0.12)];
// assumption: emergencies break glasses.
const EMERGENCY: &[(Profile, f64)] = &[(Profile::Ed, 1.0)];

// Medians of minified JSON:
// source: AuditEvent 1,666, MedicationDispense 1,723, Consent 968 without narrative, Patient 681:
// HL7 FHIR R4 4.0.1 examples.
// source: Claim 1,364, DiagnosticReport 1,354, MedicationRequest 748, ClaimResponse 2,314: Synthea
// R4 (smart-on-fhir/generated-sample-data).
// source: DocumentReference 3,403: smart-on-fhir/sample-bulk-fhir-datasets, n = 1,215.
// assumption: a payment is as large as a ClaimResponse; an exchange request is an AuditEvent.
// source: Encounter 754, Observation 816, Procedure 685, Immunization 601: Synthea R4;
// MedicationAdministration 1,209: clinosim 0.6.5.
// assumption: an order is as large as a MedicationRequest, a charge as a Claim, a note as a document;
// a root with its round is no larger than a hash with its framing.
pub(super) const fn facts(action: Action) -> Facts {
    let (name, full, shape) = match action {
        Action::AccessCheck => ("access.check", 0, CARE),
        Action::AccessRecord => ("access.record", 1_666, CARE),
        Action::BreakGlass => ("access.breakglass", 1_666, EMERGENCY),
        Action::ConsentGrant => ("consent.grant", 968, OFFICE),
        Action::ConsentRevoke => ("consent.revoke", 968, OFFICE),
        Action::RecordAnchor => ("record.anchor", 3_403, NOTES),
        Action::RecordAmend => ("record.amend", 3_403, NOTES),
        Action::ReportIssue => ("report.issue", 1_354, REPORTS),
        Action::ErxIssue => ("erx.issue", 748, OFFICE),
        Action::ErxCancel => ("erx.cancel", 748, OFFICE),
        Action::ErxDispense => ("erx.dispense", 1_723, OFFICE),
        Action::ExchangeRequest => ("exchange.request", 1_666, VISITS),
        Action::ClaimSubmit => ("claim.submit", 1_364, OFFICE),
        Action::ClaimAdjudicate => ("claim.adjudicate", 2_314, OFFICE),
        Action::ClaimPay => ("claim.pay", 2_314, OFFICE),
        Action::IdentityRegister => ("identity.register", 681, OFFICE),
        Action::VisitOpen => ("visit.open", 754, CARE),
        Action::VisitUpdate => ("visit.update", 754, CARE),
        Action::VisitClose => ("visit.close", 754, CARE),
        Action::OrderPlace => ("order.place", 748, CARE),
        Action::ResultPost => ("result.post", 816, CARE),
        Action::DoseGive => ("dose.give", 1_209, CARE),
        Action::ProcedureRecord => ("procedure.record", 685, CARE),
        Action::ImmunizationRecord => ("immunization.record", 601, CARE),
        Action::ChargePost => ("charge.post", 1_364, CARE),
        Action::NoteFile => ("note.file", 3_403, CARE),
        Action::AnchorBatch => ("anchor.batch", Payload::HASH_BYTES, CARE),
        Action::ConsentDelegate => ("consent.delegate", 968, OFFICE),
        Action::AccessReview => ("access.review", 1_666, OFFICE),
        Action::ExchangeRespond => ("exchange.respond", 1_666, VISITS),
        Action::ReportOrder => ("report.order", 748, REPORTS),
        Action::ReportCorrect => ("report.correct", 1_354, OFFICE),
        Action::IdentityLink => ("identity.link", 681, OFFICE),
        Action::IdentityUnlink => ("identity.unlink", 681, OFFICE),
    };
    let kind = match action {
        Action::AccessCheck => Kind::Read,
        Action::ConsentRevoke => Kind::WatchedWrite,
        _ => Kind::Write,
    };
    Facts {
        name,
        kind,
        full,
        shape,
    }
}

/// Size of the record in bytes.
// source: HL7 v2 samples (simple-hl7 3.3.0): ADT 433, ORM 342, ORU 832 bytes; scaled so that their mean
// by `MESSAGE_SHARES` is 16 kB, as in a health system's feed of 1 M messages and 16 GB a day
// (healthcaredata.substack.com, a weak source).
// assumption: administrations are as orders, charges as ADT, notes as results.
pub(super) const fn full_bytes(action: Action, granularity: Granularity) -> u16 {
    match (granularity, action) {
        (
            Granularity::Message,
            Action::VisitOpen | Action::VisitUpdate | Action::VisitClose | Action::ChargePost,
        ) => 11_838,
        (Granularity::Message, Action::OrderPlace | Action::DoseGive) => 9_350,
        (Granularity::Message, Action::ResultPost | Action::NoteFile) => 22_746,
        _ => facts(action).full,
    }
}

/// The relative rate over the week.
pub(super) fn shape(action: Action, granularity: Granularity) -> Shape {
    let density = Density::of(action, granularity);
    if density.total() > 0.0 {
        density.shape(action)
    } else {
        Shape::blend(facts(action).shape)
    }
}

/// What the standards call it: resource, interaction and status of FHIR R4, or type and trigger of HL7
/// v2 messages.
// source: HL7 FHIR R4 4.0.1; HL7 v2.5.1 chapters 3, 4, 6, 7 and 9.
pub(super) const fn vocabulary(action: Action, granularity: Granularity) -> &'static str {
    if matches!(granularity, Granularity::Message)
        && let Some(message) = message(action)
    {
        return message;
    }
    match action {
        Action::AccessCheck => "Consent search",
        Action::AccessRecord => "AuditEvent create, action R, C or U",
        Action::BreakGlass => "AuditEvent create, purpose ETREAT",
        Action::ConsentGrant => "Consent create, active, provision permit",
        Action::ConsentRevoke => "Consent update, inactive",
        Action::RecordAnchor => "DocumentReference create, current",
        Action::RecordAmend => "DocumentReference update, superseded",
        Action::ReportIssue => "DiagnosticReport create, final",
        Action::ErxIssue => "MedicationRequest create, active",
        Action::ErxCancel => "MedicationRequest update, cancelled",
        Action::ErxDispense => "MedicationDispense create, completed",
        Action::ExchangeRequest => "DocumentReference search, 2 AuditEvent create",
        Action::ClaimSubmit => "Claim create, use claim",
        Action::ClaimAdjudicate => "ClaimResponse create, complete or error",
        Action::ClaimPay => "PaymentReconciliation create, complete",
        Action::IdentityRegister => "Patient create",
        Action::VisitOpen => "Encounter create, in-progress",
        Action::VisitUpdate => "Encounter update",
        Action::VisitClose => "Encounter update, finished",
        Action::OrderPlace => "ServiceRequest create, active",
        Action::ResultPost => "Observation create, final",
        Action::DoseGive => "MedicationAdministration create, completed",
        Action::ProcedureRecord => "Procedure or Condition create",
        Action::ImmunizationRecord => "Immunization create, completed",
        Action::ChargePost => "ChargeItem create, billable",
        Action::NoteFile => "Composition create, final",
        Action::AnchorBatch => "Merkle root of hashes; no FHIR resource",
        Action::ConsentDelegate => "RelatedPerson create or update, active",
        Action::AccessReview => "AuditEvent create, purpose HOPERAT",
        Action::ExchangeRespond => "DocumentReference read, 2 AuditEvent create",
        Action::ReportOrder => "ServiceRequest create, active",
        Action::ReportCorrect => "DiagnosticReport update, corrected",
        Action::IdentityLink => "Patient update, link added",
        Action::IdentityUnlink => "Patient update, link removed",
    }
}

const fn message(action: Action) -> Option<&'static str> {
    Some(match action {
        Action::VisitOpen => "ADT^A01 or ADT^A04",
        Action::VisitUpdate => "ADT^A08",
        Action::VisitClose => "ADT^A03",
        Action::OrderPlace => "ORM^O01",
        Action::ResultPost => "ORU^R01",
        Action::DoseGive => "RAS^O17",
        Action::ChargePost => "DFT^P03",
        Action::NoteFile => "MDM^T02",
        _ => return None,
    })
}
