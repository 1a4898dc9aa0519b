//! A CSV export of Synthea as arrivals. Tables and columns go by name, in any order; others are ignored.
//!
//! Rows become what [`crate::care`] says:
//!
//! | table | becomes |
//! |---|---|
//! | `patients` | patients; none is dispensed to after `DEATHDATE` |
//! | `encounters` | encounters by `ENCOUNTERCLASS`, at `ORGANIZATION` |
//! | `medications` | `erx.issue` at `START` with `DISPENSES` fills, and these, 30 days apart, up to `STOP` |
//! | `observations` of category laboratory | one `report.issue` for each encounter and date |
//! | `claims` | `claim.submit` on `SERVICEDATE`; `claim.adjudicate` on `LASTBILLEDDATE1` if insured |
//! | `claims_transactions` of type PAYMENT | `claim.pay`, the first of each claim |
//! | `payer_transitions` | coverage by `PAYER`, unless that is nobody (`payers`) |
//!
//! `patients` and `encounters` must be there. Of the tables that have no transaction of their own the rows
//! are counted.
// source: headers as in CSVConstants.java of synthetichealth/synthea at 7b4ae17.

use crate::care::{Care, Event, NONE, Setting, Settings, Visit, decision, record_name};
use crate::dates::{self, Stamp};
use crate::rules::{Action, MOST_FILLS};
use crate::table::{Column, Table};
use crate::trace::{Imported, Open, input};
use crate::{Error, json::When};
use quorate_core::Seed;
use std::collections::BTreeSet;
use std::io::Read;

/// Tables without a transaction of their own, and why.
const OTHERS: [(&str, &[&str]); 2] = [
    (
        "part of a document, not a transaction of its own",
        &[
            "allergies",
            "careplans",
            "conditions",
            "devices",
            "imaging_studies",
            "immunizations",
            "patient_expenses",
            "procedures",
            "supplies",
        ],
    ),
    (
        "it only names things",
        &["organizations", "payers", "providers"],
    ),
];

type Input = Table<Box<dyn Read>>;
type ReadTable = fn(&mut Reading, Input) -> Result<(), Error>;

/// Reads the tables of the folder.
///
/// # Errors
/// When `patients.csv` or `encounters.csv` is missing, or a table is malformed: with file, line and
/// column.
pub fn read(settings: &Settings, seed: Seed, open: Open<'_>) -> Result<Imported, Error> {
    let folder = &settings.path;
    let mut reading = Reading {
        care: Care::new(folder),
        deaths: Vec::new(),
        nobody: BTreeSet::new(),
    };
    let table = |open: Open<'_>, name: &str| {
        let file = format!("{folder}/{name}.csv");
        input(open, &file).and_then(|input| Table::new(file, input))
    };
    reading.patients(table(open, "patients")?)?;
    reading.encounters(table(open, "encounters")?)?;
    let mut optional = |name: &str| match table(open, name) {
        Err(Error::Open { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(None)
        }
        found => found.map(Some),
    };
    if let Some(table) = optional("payers")? {
        reading.payers(table)?;
    }
    let tables: [(&str, ReadTable); 5] = [
        ("medications", Reading::medications),
        ("observations", Reading::observations),
        ("claims", Reading::claims),
        ("claims_transactions", Reading::payments),
        ("payer_transitions", Reading::coverage),
    ];
    for (name, read) in tables {
        if let Some(table) = optional(name)? {
            read(&mut reading, table)?;
        }
    }
    for (why, names) in OTHERS {
        for name in names {
            if let Some(mut table) = optional(name)? {
                while table.advance()? {
                    reading.leave(name, why);
                }
            }
        }
    }
    reading.care.finish(settings, seed)
}

struct Reading {
    care: Care,
    /// By patient; those who live have none.
    deaths: Vec<i64>,
    /// Payers that are none.
    nobody: BTreeSet<String>,
}

/// The instant, or the error that it must be there.
fn needed<R: Read>(table: &Table<R>, column: Column) -> Result<Stamp, Error> {
    let hint = "a date, or an instant such as 2019-05-31T14:05:06Z";
    table
        .when(column)?
        .map_err(|_| table.unusable(column, hint))
}

/// The identifier, or the error that it must be there.
fn id<R: Read>(table: &Table<R>, column: Column) -> Result<&str, Error> {
    match table.text(column) {
        "" => Err(table.unusable(column, "an identifier")),
        id => Ok(id),
    }
}

impl Reading {
    fn leave(&mut self, what: &str, why: &'static str) {
        self.care.account.rows += 1;
        self.care.account.leave(what, why);
    }

    /// A row that is used, or only part of another's.
    const fn used(&mut self) {
        self.care.account.rows += 1;
    }

    fn patients(&mut self, mut table: Input) -> Result<(), Error> {
        let name = table.required("Id")?;
        let death = table.optional("DEATHDATE");
        while table.advance()? {
            self.used();
            let patient = self.care.patient(id(&table, name)?);
            self.deaths.resize(patient as usize + 1, i64::MAX);
            if let Ok(at) = table.when(death)? {
                self.care.died(patient, at.ms);
                self.deaths[patient as usize] = at.ms;
            }
        }
        Ok(())
    }

    fn encounters(&mut self, mut table: Input) -> Result<(), Error> {
        let [name, patient] = [table.required("Id")?, table.required("PATIENT")?];
        let [start, stop] = [table.required("START")?, table.optional("STOP")];
        let organisation = table.required("ORGANIZATION")?;
        let class = table.required("ENCOUNTERCLASS")?;
        while table.advance()? {
            self.used();
            let setting = match table.text(class).to_ascii_lowercase().as_str() {
                "emergency" => Setting::Emergency,
                "inpatient" | "hospice" | "snf" => Setting::Stay,
                "ambulatory" | "wellness" | "urgentcare" | "outpatient" | "home" | "virtual" => {
                    Setting::Booked
                }
                _ => {
                    let hint = "ambulatory, emergency, inpatient, wellness, urgentcare, outpatient, \
                                home, hospice, snf or virtual";
                    return Err(table.unusable(class, hint));
                }
            };
            let start = needed(&table, start)?;
            let stop: When = table.when(stop)?;
            let visit = Visit {
                patient: self.care.patient(id(&table, patient)?),
                site: self.care.site(id(&table, organisation)?)?,
                setting,
                start,
                stop: stop.ok().map(|stop| stop.ms),
            };
            self.care.visit(id(&table, name)?, &visit);
        }
        Ok(())
    }

    fn payers(&mut self, mut table: Input) -> Result<(), Error> {
        let [payer, name] = [table.required("Id")?, table.required("NAME")?];
        while table.advance()? {
            if table.text(name).eq_ignore_ascii_case("NO_INSURANCE") {
                self.nobody.insert(table.text(payer).to_owned());
            }
        }
        Ok(())
    }

    fn medications(&mut self, mut table: Input) -> Result<(), Error> {
        let [start, stop] = [table.required("START")?, table.optional("STOP")];
        let [patient, visit] = [table.required("PATIENT")?, table.required("ENCOUNTER")?];
        let dispenses = table.optional("DISPENSES");
        while table.advance()? {
            self.used();
            let patient = self.care.patient(id(&table, patient)?);
            let fills: u32 = table.value(dispenses, Some(1), "how many times it was dispensed")?;
            let stop = table.when(stop)?.map_or(i64::MAX, |stop| stop.ms);
            let death = self.deaths.get(patient as usize).copied();
            let issue = Event {
                from: "medications",
                action: Action::ErxIssue,
                at: needed(&table, start)?,
                patient,
                visit: self.care.visit_named(id(&table, visit)?),
                site: None,
                key: self.care.new_record(),
                operand: fills.clamp(1, MOST_FILLS),
                apart: false,
            };
            self.care.push(&issue);
            self.care
                .fills(&issue, fills, stop.min(death.unwrap_or(i64::MAX)));
        }
        Ok(())
    }

    fn observations(&mut self, mut table: Input) -> Result<(), Error> {
        let [date, patient] = [table.required("DATE")?, table.required("PATIENT")?];
        let [visit, category] = [table.required("ENCOUNTER")?, table.optional("CATEGORY")];
        while table.advance()? {
            if !table.text(category).eq_ignore_ascii_case("laboratory") {
                let why = if category.exists() {
                    "not a laboratory result"
                } else {
                    "the table does not say which are laboratory results"
                };
                self.leave("observations", why);
                continue;
            }
            self.used();
            let name = format!("{} {}", table.text(visit), table.text(date));
            let before = self.care.records();
            let key = self.care.record(&record_name("report", &name));
            if (key as usize) < before {
                continue;
            }
            let event = Event {
                from: "observations",
                action: Action::ReportIssue,
                at: needed(&table, date)?,
                patient: self.care.patient(id(&table, patient)?),
                visit: match table.text(visit) {
                    "" => NONE,
                    visit => self.care.visit_named(visit),
                },
                site: None,
                key,
                operand: 0,
                apart: false,
            };
            self.care.push(&event);
        }
        Ok(())
    }

    fn claims(&mut self, mut table: Input) -> Result<(), Error> {
        let [name, patient] = [table.required("Id")?, table.required("PATIENTID")?];
        let [visit, service] = [
            table.optional("APPOINTMENTID"),
            table.required("SERVICEDATE")?,
        ];
        let [insurer, billed] =
            ["PRIMARYPATIENTINSURANCEID", "LASTBILLEDDATE1"].map(|c| table.optional(c));
        while table.advance()? {
            self.used();
            let submit = Event {
                from: "claims",
                action: Action::ClaimSubmit,
                at: needed(&table, service)?,
                patient: self.care.patient(id(&table, patient)?),
                visit: match table.text(visit) {
                    "" => NONE,
                    visit => self.care.visit_named(visit),
                },
                site: None,
                key: self.care.record(&record_name("claim", id(&table, name)?)),
                operand: 0,
                apart: false,
            };
            self.care.push(&submit);
            let insured = !matches!(table.text(insurer), "" | "0");
            if let (true, Ok(at)) = (insured, table.when(billed)?) {
                self.care.push(&Event {
                    action: Action::ClaimAdjudicate,
                    at,
                    // Synthea denies none.
                    operand: decision(true),
                    ..submit
                });
            }
        }
        Ok(())
    }

    fn payments(&mut self, mut table: Input) -> Result<(), Error> {
        let [claim, patient] = [table.required("CLAIMID")?, table.required("PATIENTID")?];
        let [what, from] = [table.required("TYPE")?, table.required("FROMDATE")?];
        let mut paid = BTreeSet::new();
        while table.advance()? {
            if !table.text(what).eq_ignore_ascii_case("PAYMENT") {
                self.leave("claims_transactions", "not a payment");
                continue;
            }
            let key = self.care.record(&record_name("claim", id(&table, claim)?));
            if !paid.insert(key) {
                self.leave("claims_transactions", "a further payment of a claim");
                continue;
            }
            self.used();
            let event = Event {
                from: "claims_transactions",
                action: Action::ClaimPay,
                at: needed(&table, from)?,
                patient: self.care.patient(id(&table, patient)?),
                visit: NONE,
                site: None,
                key,
                operand: 0,
                apart: false,
            };
            self.care.push(&event);
        }
        Ok(())
    }

    fn coverage(&mut self, mut table: Input) -> Result<(), Error> {
        let [patient, payer] = [table.required("PATIENT")?, table.required("PAYER")?];
        // Until 2022 the columns were called years, and held such.
        let either = |new: &'static str, old: &'static str| {
            let column = table.optional(new);
            if column.exists() {
                Ok(column)
            } else {
                table.required(old)
            }
        };
        let from = either("START_DATE", "START_YEAR")?;
        let until = either("END_DATE", "END_YEAR")?;
        while table.advance()? {
            if self.nobody.contains(table.text(payer)) {
                self.leave("payer_transitions", "no insurance");
                continue;
            }
            self.used();
            let at = |column| -> Result<Option<i64>, Error> {
                Ok(match table.when(column)? {
                    Ok(at) => Some(at.ms),
                    Err(dates::PARTIAL) => {
                        let year = format!("{}-01-01", &table.text(column)[..4]);
                        Stamp::parse(&year).ok().map(|at| at.ms)
                    }
                    Err(_) => None,
                })
            };
            let Some(from) = at(from)? else {
                return Err(table.unusable(from, "a date"));
            };
            let until = at(until)?;
            let patient = self.care.patient(id(&table, patient)?);
            let payer = self.care.grantee(id(&table, payer)?);
            self.care.cover(patient, payer, from, until);
        }
        Ok(())
    }
}
