//! FHIR R4 as arrivals: bundles (`*.json`) and bulk exports of lines (`*.ndjson`), a file or a folder of
//! them.
//!
//! Resources become what [`crate::care`] says. References are taken by what stands last in them, so that
//! `Patient/1`, `urn:uuid:1`, `Patient?identifier=system|1` and an absolute address are the same. They
//! may be told in any order, in any file.
//!
//! | resource | becomes |
//! |---|---|
//! | `Encounter`, not planned, cancelled or entered in error | encounter by `class`, `period`, `serviceProvider` |
//! | `DocumentReference` | `record.anchor` of its encounter; `record.amend` where it replaces another |
//! | `DiagnosticReport`, final or later | `report.issue` |
//! | `MedicationRequest`, an order | `erx.issue` with `numberOfRepeatsAllowed` + 1 fills |
//! | `MedicationDispense`, completed | `erx.dispense` of its prescription, in the order told |
//! | `Claim` of use `claim` | `claim.submit` |
//! | `ExplanationOfBenefit`, `ClaimResponse` | `claim.adjudicate`; the former, where it pays, `claim.pay` |
//! | `PaymentReconciliation` | `claim.pay` of the first claim that it lists |
//! | `Consent` of a patient | `consent.grant`, or `consent.revoke` where it is inactive or denies |
//! | `Coverage` | coverage by its payor |
//! | `AuditEvent` on a patient | `access.record`, or `access.breakglass` for purpose ETREAT or BTG |
//!
//! Other resources are part of documents, or only name things; they are counted and left out.

use crate::care::{Care, Event, NONE, Setting, Settings, Visit, decision, record_name};
use crate::json::{self, Node, Shape, When};
use crate::rules::Action;
use crate::trace::{Imported, Open, files, input};
use crate::{Error, dates::Stamp};
use quorate_core::Seed;
use std::collections::BTreeMap;

const BUNDLE: Shape = Shape {
    kind: ("resourceType", &["Bundle"]),
    through: &[],
    list: "entry",
};

const NO_PATIENT: &str = "it names no patient";
const NO_REFERENCE: &str = "it names no record that it changes";
const STATUS: &str = "its status says that it does not count";

/// Reads bundles and lines.
///
/// # Errors
/// When there is no such file, or one is malformed: with file, place and field.
pub fn read(settings: &Settings, seed: Seed, open: Open<'_>) -> Result<Imported, Error> {
    let mut reading = Reading {
        care: Care::new(&settings.path),
        fills: BTreeMap::new(),
    };
    for file in files(open, &settings.path, &[".json", ".ndjson"])? {
        let input = input(open, &file)?;
        if file.to_ascii_lowercase().ends_with(".ndjson") {
            json::lines(input, &file, &mut |node| reading.resource(node, ""))?;
        } else {
            json::entries(input, &file, BUNDLE, &mut |node| {
                node.within("resource", &mut |inner| {
                    reading.resource(inner, node.code("fullUrl")?)
                })
            })?;
        }
    }
    reading.care.finish(settings, seed)
}

struct Reading {
    care: Care,
    /// Fills told so far, by prescription.
    fills: BTreeMap<u32, u32>,
}

/// The name of what a reference refers to.
fn name(reference: &str) -> Option<&str> {
    let last = reference.rsplit(['/', '|']).next().unwrap_or("");
    let last = last.strip_prefix("urn:uuid:").unwrap_or(last);
    // What is contained in the resource is named nowhere else.
    (!last.is_empty() && !last.starts_with('#')).then_some(last)
}

impl Reading {
    fn leave(&mut self, what: &str, why: &'static str) {
        self.care.account.leave(what, why);
    }

    fn resource(&mut self, node: &Node<'_>, full_url: &str) -> Result<(), Error> {
        self.care.account.rows += 1;
        let what = node.code("resourceType")?;
        // Lines have no address; in bundles it may be all that references use.
        let id = name(node.code("id")?).or_else(|| name(full_url));
        let Some(id) = id else {
            return Err(node.unusable("id", "", "every resource has an id"));
        };
        let why = match what {
            "Patient" => self.patient(node, id)?,
            "Encounter" => self.encounter(node, id)?,
            "DocumentReference" => self.document(node, id)?,
            "DiagnosticReport" => self.report(node, id)?,
            "MedicationRequest" => self.prescription(node, id)?,
            "MedicationDispense" => self.dispense(node)?,
            "Claim" => self.claim(node, id)?,
            "ExplanationOfBenefit" => self.decision(node, "claim.reference")?,
            "ClaimResponse" => self.decision(node, "request.reference")?,
            "PaymentReconciliation" => self.payment(node)?,
            "Consent" => self.consent(node)?,
            "Coverage" => self.coverage(node)?,
            "AuditEvent" => self.access(node)?,
            "Organization" | "Practitioner" | "PractitionerRole" | "Location" | "Device"
            | "Medication" | "HealthcareService" | "RelatedPerson" => Some("it only names things"),
            "" => {
                return Err(node.unusable(
                    "resourceType",
                    "",
                    "the resource's type, such as Patient",
                ));
            }
            _ => Some("part of a document, not a transaction of its own"),
        };
        if let Some(why) = why {
            self.leave(what, why);
        }
        Ok(())
    }

    /// The patient that a resource is about.
    fn subject(&mut self, node: &Node<'_>) -> Result<Option<u32>, Error> {
        let subject = match node.text("subject.reference")? {
            None => node.text("patient.reference")?,
            found => found,
        };
        Ok(subject.and_then(name).map(|name| self.care.patient(name)))
    }

    fn visit(&mut self, node: &Node<'_>, path: &'static str) -> Result<u32, Error> {
        let visit = node.text(path)?.and_then(name);
        Ok(visit.map_or(NONE, |visit| self.care.visit_named(visit)))
    }

    /// The organisation that a reference names; people and devices are none.
    fn site(&mut self, node: &Node<'_>, path: &'static str) -> Result<Option<u16>, Error> {
        let of_one = |reference: &&str| {
            let kinds = ["Organization/", "Organization?", "urn:uuid:"];
            kinds.iter().any(|kind| reference.contains(kind))
        };
        let site = node.text(path)?.filter(of_one).and_then(name);
        site.map(|site| self.care.site(site)).transpose()
    }

    fn record(
        &mut self,
        node: &Node<'_>,
        kind: &str,
        path: &'static str,
    ) -> Result<Option<u32>, Error> {
        let record = node.text(path)?.and_then(name);
        Ok(record.map(|record| self.care.record(&record_name(kind, record))))
    }

    fn patient(&mut self, node: &Node<'_>, id: &str) -> Result<Option<&'static str>, Error> {
        let patient = self.care.patient(id);
        if let Ok(death) = node.when(&["deceasedDateTime"])? {
            self.care.died(patient, death.ms);
        }
        Ok(None)
    }

    fn encounter(&mut self, node: &Node<'_>, id: &str) -> Result<Option<&'static str>, Error> {
        if matches!(
            node.code("status")?,
            "planned" | "cancelled" | "entered-in-error"
        ) {
            return Ok(Some(STATUS));
        }
        let Some(patient) = self.subject(node)? else {
            return Ok(Some(NO_PATIENT));
        };
        let start = match node.when(&["period.start"])? {
            Ok(start) => start,
            Err(why) => return Ok(Some(why)),
        };
        let setting = match node.code("class.code")? {
            "EMER" => Setting::Emergency,
            "IMP" | "ACUTE" | "NONAC" | "SS" | "OBSENC" => Setting::Stay,
            _ => Setting::Booked,
        };
        let stop = node.when(&["period.end"])?.ok().map(|stop| stop.ms);
        let site = self.site(node, "serviceProvider.reference")?;
        let visit = Visit {
            patient,
            site: site.unwrap_or(u16::MAX),
            setting,
            start,
            stop,
        };
        self.care.visit(id, &visit);
        Ok(None)
    }

    fn push(&mut self, from: &'static str, action: Action, at: Stamp, of: (u32, u32, u32)) {
        let (patient, visit, key) = of;
        self.care.push(&Event {
            from,
            action,
            at,
            patient,
            visit,
            site: None,
            key,
            operand: 0,
            apart: false,
        });
    }

    fn document(&mut self, node: &Node<'_>, id: &str) -> Result<Option<&'static str>, Error> {
        if node.code("status")? == "entered-in-error" {
            return Ok(Some(STATUS));
        }
        let Some(patient) = self.subject(node)? else {
            return Ok(Some(NO_PATIENT));
        };
        let visit = self.visit(node, "context.encounter.reference")?;
        let at = match node.when(&["date", "context.period.end", "context.period.start"])? {
            Ok(at) => at,
            Err(why) => return Ok(Some(why)),
        };
        self.care.documented(visit);
        let replaces = node.code("relatesTo.code")? == "replaces";
        let old = self.record(node, "document", "relatesTo.target.reference")?;
        let (action, key) = match old.filter(|_| replaces) {
            Some(old) => {
                self.care.later_version(&record_name("document", id), old);
                (Action::RecordAmend, old)
            }
            None => (
                Action::RecordAnchor,
                self.care.record(&record_name("document", id)),
            ),
        };
        self.push("DocumentReference", action, at, (patient, visit, key));
        Ok(None)
    }

    /// What an encounter's resource creates, or why it does not.
    fn created(
        &mut self,
        node: &Node<'_>,
        (from, action): (&'static str, Action),
        (encounter, dates): (&'static str, &[&'static str]),
        id: &str,
    ) -> Result<Result<Event, &'static str>, Error> {
        let Some(patient) = self.subject(node)? else {
            return Ok(Err(NO_PATIENT));
        };
        let visit = self.visit(node, encounter)?;
        let at = match node.when(dates)? {
            Ok(at) => at,
            Err(why) => return Ok(Err(why)),
        };
        Ok(Ok(Event {
            from,
            action,
            at,
            patient,
            visit,
            site: None,
            key: self.care.record(&record_name(from, id)),
            operand: 0,
            apart: false,
        }))
    }

    fn report(&mut self, node: &Node<'_>, id: &str) -> Result<Option<&'static str>, Error> {
        if !matches!(
            node.code("status")?,
            "final" | "amended" | "corrected" | "appended"
        ) {
            return Ok(Some("a report that is not final"));
        }
        let dates = &["issued", "effectiveDateTime", "effectivePeriod.start"];
        let what = ("DiagnosticReport", Action::ReportIssue);
        Ok(
            match self.created(node, what, ("encounter.reference", dates), id)? {
                Ok(event) => {
                    self.care.push(&event);
                    None
                }
                Err(why) => Some(why),
            },
        )
    }

    fn prescription(&mut self, node: &Node<'_>, id: &str) -> Result<Option<&'static str>, Error> {
        if matches!(
            node.code("status")?,
            "draft" | "entered-in-error" | "unknown"
        ) {
            return Ok(Some(STATUS));
        }
        if !matches!(
            node.code("intent")?,
            "order" | "original-order" | "instance-order" | ""
        ) {
            return Ok(Some("a prescription that is not an order"));
        }
        let what = ("MedicationRequest", Action::ErxIssue);
        let place = ("encounter.reference", &["authoredOn"] as &[_]);
        let mut event = match self.created(node, what, place, id)? {
            Ok(event) => event,
            Err(why) => return Ok(Some(why)),
        };
        let repeats = node.at("dispenseRequest.numberOfRepeatsAllowed");
        let repeats = match repeats {
            None => 0,
            Some(number) => number.as_u64().ok_or_else(|| {
                let hint = "a whole number of refills";
                node.unusable(
                    "dispenseRequest.numberOfRepeatsAllowed",
                    &number.to_string(),
                    hint,
                )
            })?,
        };
        event.operand = repeats.saturating_add(1).min(u64::from(u32::MAX)) as u32;
        self.care.push(&event);
        Ok(None)
    }

    fn dispense(&mut self, node: &Node<'_>) -> Result<Option<&'static str>, Error> {
        if node.code("status")? != "completed" {
            return Ok(Some("a dispense that is not completed"));
        }
        let Some(patient) = self.subject(node)? else {
            return Ok(Some(NO_PATIENT));
        };
        let path = "authorizingPrescription.reference";
        let Some(key) = self.record(node, "MedicationRequest", path)? else {
            return Ok(Some(NO_REFERENCE));
        };
        let at = match node.when(&["whenHandedOver", "whenPrepared"])? {
            Ok(at) => at,
            Err(why) => return Ok(Some(why)),
        };
        let site = self.site(node, "performer.actor.reference")?;
        let fill = self.fills.entry(key).or_insert(0);
        let operand = *fill;
        *fill += 1;
        self.care.push(&Event {
            from: "MedicationDispense",
            action: Action::ErxDispense,
            at,
            patient,
            visit: NONE,
            site,
            key,
            operand,
            apart: true,
        });
        Ok(None)
    }

    fn claim(&mut self, node: &Node<'_>, id: &str) -> Result<Option<&'static str>, Error> {
        if !matches!(node.code("use")?, "claim" | "") {
            return Ok(Some("a question before treatment, not a claim"));
        }
        if matches!(
            node.code("status")?,
            "cancelled" | "draft" | "entered-in-error"
        ) {
            return Ok(Some(STATUS));
        }
        let what = ("Claim", Action::ClaimSubmit);
        let place = (
            "item.encounter.reference",
            &["created", "billablePeriod.end"] as &[_],
        );
        Ok(match self.created(node, what, place, id)? {
            Ok(event) => {
                self.care.push(&event);
                None
            }
            Err(why) => Some(why),
        })
    }

    /// A payer's answer to a claim.
    fn decision(
        &mut self,
        node: &Node<'_>,
        of: &'static str,
    ) -> Result<Option<&'static str>, Error> {
        let Some(patient) = self.subject(node)? else {
            return Ok(Some(NO_PATIENT));
        };
        let Some(key) = self.record(node, "Claim", of)? else {
            return Ok(Some(NO_REFERENCE));
        };
        let at = match node.when(&["created"])? {
            Ok(at) => at,
            Err(why) => return Ok(Some(why)),
        };
        let approved = match node.code("outcome")? {
            "complete" | "partial" => true,
            "error" => false,
            _ => return Ok(Some("a claim that is not decided yet")),
        };
        let from = if of.starts_with("claim") {
            "ExplanationOfBenefit"
        } else {
            "ClaimResponse"
        };
        let event = Event {
            from,
            action: Action::ClaimAdjudicate,
            at,
            patient,
            visit: NONE,
            site: None,
            key,
            operand: decision(approved),
            apart: false,
        };
        self.care.push(&event);
        let paid = node
            .at("payment.amount.value")
            .and_then(serde_json::Value::as_f64);
        if approved && paid.is_some_and(|paid| paid > 0.0) {
            let paid_at: When = node.when(&["payment.date"])?;
            self.care.push(&Event {
                action: Action::ClaimPay,
                at: paid_at.unwrap_or(at),
                operand: 0,
                ..event
            });
        }
        Ok(None)
    }

    fn payment(&mut self, node: &Node<'_>) -> Result<Option<&'static str>, Error> {
        let Some(key) = self.record(node, "Claim", "detail.request.reference")? else {
            return Ok(Some(NO_REFERENCE));
        };
        let at = match node.when(&["paymentDate", "created"])? {
            Ok(at) => at,
            Err(why) => return Ok(Some(why)),
        };
        // It names no patient: the claim does.
        self.push(
            "PaymentReconciliation",
            Action::ClaimPay,
            at,
            (NONE, NONE, key),
        );
        Ok(None)
    }

    fn consent(&mut self, node: &Node<'_>) -> Result<Option<&'static str>, Error> {
        let Some(patient) = self.subject(node)? else {
            return Ok(Some(NO_PATIENT));
        };
        let action = match (node.code("status")?, node.code("provision.type")?) {
            ("active", "deny") | ("inactive", _) => Action::ConsentRevoke,
            ("active", _) => Action::ConsentGrant,
            _ => return Ok(Some(STATUS)),
        };
        let to = match node.text("provision.actor.reference.reference")? {
            None => node.text("organization.reference")?,
            found => found,
        };
        let Some(to) = to.and_then(name) else {
            return Ok(Some("it names nobody to whom consent is given"));
        };
        let at = match node.when(&["dateTime", "provision.period.start"])? {
            Ok(at) => at,
            Err(why) => return Ok(Some(why)),
        };
        let grantee = self.care.grantee(to);
        self.push("Consent", action, at, (patient, NONE, grantee));
        Ok(None)
    }

    fn coverage(&mut self, node: &Node<'_>) -> Result<Option<&'static str>, Error> {
        if matches!(
            node.code("status")?,
            "cancelled" | "draft" | "entered-in-error"
        ) {
            return Ok(Some(STATUS));
        }
        let Some(patient) = node.text("beneficiary.reference")?.and_then(name) else {
            return Ok(Some(NO_PATIENT));
        };
        let Some(payer) = node.text("payor.reference")?.and_then(name) else {
            return Ok(Some("it names no payor"));
        };
        let from = match node.when(&["period.start"])? {
            Ok(from) => from.ms,
            Err(why) => return Ok(Some(why)),
        };
        let until = node.when(&["period.end"])?.ok().map(|until| until.ms);
        let (patient, payer) = (self.care.patient(patient), self.care.grantee(payer));
        self.care.cover(patient, payer, from, until);
        Ok(None)
    }

    fn access(&mut self, node: &Node<'_>) -> Result<Option<&'static str>, Error> {
        let patient = node
            .each("entity")
            .filter_map(|entity| json::find(entity, "what.reference")?.as_str())
            .find(|reference| reference.contains("Patient/"))
            .and_then(name);
        let Some(patient) = patient else {
            return Ok(Some(NO_PATIENT));
        };
        let at = match node.when(&["recorded"])? {
            Ok(at) => at,
            Err(why) => return Ok(Some(why)),
        };
        let action = match node.code("purposeOfEvent.coding.code")? {
            "ETREAT" | "BTG" => Action::BreakGlass,
            _ => Action::AccessRecord,
        };
        let site = self.site(node, "source.observer.reference")?;
        let patient = self.care.patient(patient);
        self.care.push(&Event {
            from: "AuditEvent",
            action,
            at,
            patient,
            visit: NONE,
            site,
            key: 0,
            operand: 0,
            apart: true,
        });
        Ok(None)
    }
}
