//! What one transaction stands for, and how many of each kind a person causes.

use crate::rules::Action;
use crate::{Profile, Shape};
use serde::{Deserialize, Serialize};

/// What goes on the ledger. Each has a mix, classes, sizes and rules of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Granularity {
    /// One root per site and round over whatever came: grows with time, not with care.
    AnchorBatch,
    /// Documents, prescriptions, claims, consents and the accesses to them.
    #[default]
    Document,
    /// Each FHIR resource that care creates, with the consents.
    Resource,
    /// Each access to a record, with the consents.
    Audit,
    /// Each HL7 v2 message, with the consents.
    Message,
}

impl Granularity {
    /// All of them, from coarse to fine.
    pub const ALL: [Self; 5] = [
        Self::AnchorBatch,
        Self::Document,
        Self::Resource,
        Self::Audit,
        Self::Message,
    ];

    /// The name in plans.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AnchorBatch => "anchor-batch",
            Self::Document => "document",
            Self::Resource => "resource",
            Self::Audit => "audit",
            Self::Message => "message",
        }
    }

    /// Whether accesses to records are transactions.
    pub(super) const fn has_accesses(self) -> bool {
        matches!(self, Self::Document | Self::Audit)
    }
}

// source: 381.9 ambulatory visits a year and 100 persons, emergencies included (CDC NHSR no. 8, 2006).
const VISITS: f64 = 3.82;
// source: 150.6 M visits to emergency departments in the US (CDC NHAMCS 2019), 328 M people.
const EMERGENCIES: f64 = 0.46;
// source: derived: 916,752 staffed beds for 335 M people (AHA); assumption: half of them occupied.
const BED_DAYS: f64 = 0.49;
// source: mean stay in clinosim 0.6.5.
const STAY_DAYS: f64 = 4.44;
// source: HL7 v2 at Mayo Rochester in 2007: 660 M messages a year for 1.5 M visits and admissions.
const MESSAGES: f64 = 433.0;
// source: FHIR resources per bed-day, emergency visit and other visit in clinosim 0.6.5, 900 patients.
const A_BED_DAY: f64 = 114.0;
const AN_EMERGENCY: f64 = 17.9;
const AN_OFFICE_VISIT: f64 = 18.4;
/// A visit's own resource is written when it begins and when it ends.
const OWN: f64 = 2.0;

/// Resources of a kind in a bed-day, and in a year of a person's visits in the Synthea sample.
struct Resources {
    action: Action,
    bed_day: f64,
    visits: f64,
}

const fn resources(action: Action, bed_day: f64, visits: f64) -> Resources {
    Resources {
        action,
        bed_day,
        visits,
    }
}

// source: bed-days: clinosim 0.6.5; visits: Synthea R4 sample (smart-on-fhir/generated-sample-data),
// 490 patients, 2016 to 2018: only the shares are taken from it, the amount from clinosim.
// assumption: what clinosim does not tell apart of a bed-day are conditions and procedures.
const RESOURCES: [Resources; 9] = [
    resources(Action::ResultPost, 74.5, 12.9),
    resources(Action::DoseGive, 15.7, 0.0),
    resources(Action::OrderPlace, 11.8, 0.0),
    resources(Action::ReportIssue, 1.5, 0.90),
    resources(Action::RecordAnchor, 5.1, 0.0),
    resources(Action::ProcedureRecord, 5.4 - OWN / STAY_DAYS, 2.36),
    resources(Action::ImmunizationRecord, 0.0, 1.06),
    resources(Action::ErxIssue, 0.0, 0.46),
    resources(Action::ClaimSubmit, 0.0, 2.93),
];

// assumption: results and orders make up most of the traffic of an interface engine; no published split
// was found.
const MESSAGE_SHARES: [(Action, f64); 6] = [
    (Action::VisitUpdate, 0.15),
    (Action::OrderPlace, 0.20),
    (Action::ResultPost, 0.40),
    (Action::DoseGive, 0.10),
    (Action::ChargePost, 0.10),
    (Action::NoteFile, 0.05),
];

/// Events per person and year, by where care happens.
#[derive(Clone, Copy, Default)]
pub(super) struct Density {
    ward: f64,
    emergency: f64,
    office: f64,
}

impl Density {
    /// Resources or messages of a kind; nothing at other granularities, which have tables of rates.
    pub(super) fn of(action: Action, granularity: Granularity) -> Self {
        let fine = matches!(granularity, Granularity::Resource | Granularity::Message);
        match (granularity, action) {
            (_, Action::VisitOpen | Action::VisitClose) if fine => Self {
                ward: BED_DAYS / STAY_DAYS,
                emergency: EMERGENCIES,
                office: VISITS - EMERGENCIES,
            },
            (Granularity::Resource, _) => RESOURCES
                .iter()
                .find(|row| row.action == action)
                .map_or_else(Self::default, Self::resources),
            (Granularity::Message, _) => MESSAGE_SHARES
                .iter()
                .find(|(of, _)| *of == action)
                .map_or_else(Self::default, |(_, share)| Self::messages(*share)),
            _ => Self::default(),
        }
    }

    fn resources(row: &Resources) -> Self {
        let visits: f64 = RESOURCES.iter().map(|row| row.visits).sum();
        let per_visit = |all: f64| row.visits / visits * (all - OWN);
        Self {
            ward: BED_DAYS * row.bed_day,
            emergency: EMERGENCIES * per_visit(AN_EMERGENCY),
            office: (VISITS - EMERGENCIES) * per_visit(AN_OFFICE_VISIT),
        }
    }

    /// A share of the messages that are not a beginning or an end.
    fn messages(share: f64) -> Self {
        let contacts = VISITS + BED_DAYS / STAY_DAYS;
        // assumption: as many messages for a resource everywhere.
        let all = Self {
            ward: BED_DAYS * A_BED_DAY,
            emergency: EMERGENCIES * AN_EMERGENCY,
            office: (VISITS - EMERGENCIES) * AN_OFFICE_VISIT,
        };
        let factor = share * (MESSAGES - OWN) * contacts / all.total();
        Self {
            ward: all.ward * factor,
            emergency: all.emergency * factor,
            office: all.office * factor,
        }
    }

    pub(super) fn total(self) -> f64 {
        self.ward + self.emergency + self.office
    }

    /// Each place's own day, in proportion.
    pub(super) fn shape(self, action: Action) -> Shape {
        // assumption: orders are as the reports that they ask for.
        let ward = match action {
            Action::ResultPost | Action::ReportIssue | Action::OrderPlace => Profile::WardLab,
            _ => Profile::WardMar,
        };
        let share = |part: f64| part / self.total().max(f64::MIN_POSITIVE);
        Shape::blend(&[
            (ward, share(self.ward)),
            (Profile::Ed, share(self.emergency)),
            (Profile::Outpatient, share(self.office)),
        ])
    }
}
