//! The classes: names, kinds, sizes and shapes of the day.

use crate::Profile;
use crate::rules::Action;
use quorate_core::Kind;

/// What is fixed about a class.
pub(crate) struct Facts {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Size of the record in bytes.
    pub(crate) full: u16,
    pub(crate) shape: &'static [(Profile, f64)],
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
pub(crate) const fn facts(action: Action) -> Facts {
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
