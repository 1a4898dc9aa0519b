//! A clinical study as arrivals: the domains dm, ds, sv and ae of CDISC SDTM, as CSV.
//!
//! Every row is one transaction at the subject's site, or is skipped for a named reason:
//!
//! | row | transaction | on |
//! |---|---|---|
//! | dm | `trial.consent` | `RFICDTC`, else the subject's first visit, else `DMDTC` |
//! | ds, `RANDOMIZED` | `trial.randomise` | `DSSTDTC` |
//! | ds, category `DISPOSITION EVENT` | `trial.disposition` | `DSSTDTC` |
//! | ds, others | `trial.milestone` | `DSSTDTC` |
//! | sv before the subject's randomisation | `trial.screen` | `SVSTDTC` |
//! | sv from then on | `trial.capture` | `SVSTDTC` |
//! | ae | `trial.ae`, or `trial.sae` when `AESER` is `Y` | `AEDTC`, else `AESTDTC` |
//!
//! An adverse event arrives when it was reported; its onset is data. Dates are kept and times of
//! day drawn: recorded ones are mostly missing, and synthetic ones have no shape. The draw hangs on
//! the row's content, and a subject's transactions of one day follow their cause.

use crate::arrivals::named;
use crate::dates::{MISSING, day};
use crate::table::{Column, Table};
use crate::trace::{EXEC_US, Imported, Rules, per_day};
use crate::trial::Action;
use crate::{Error, Import, Payload, Profile};
use quorate_core::{Arrival, ClassId, EntityId, Seed, Span, Time, open01_at};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

/// The files of a study.
pub struct Study<'a, R> {
    /// The folder, for messages.
    pub name: &'a str,
    /// Demographics.
    pub dm: R,
    /// Disposition.
    pub ds: R,
    /// Subject visits.
    pub sv: R,
    /// Adverse events.
    pub ae: R,
}

const UNKNOWN: &str = "subject not in dm";
const TWICE: &str = "subject twice in dm";

/// A subject of dm.
struct Subject {
    id: u32,
    site: String,
    /// The candidates for the day of consent.
    informed: Result<i64, &'static str>,
    collected: Result<i64, &'static str>,
    first_visit: Option<i64>,
    randomised: Option<i64>,
}

/// A row of another domain that can be used.
struct Event {
    subject: u32,
    day: i64,
    domain: &'static str,
    sequence: String,
    action: Action,
}

/// The study so far.
#[derive(Default)]
struct Reading {
    subjects: Vec<Subject>,
    by_name: BTreeMap<String, u32>,
    events: Vec<Event>,
    account: Import,
}

/// Reads a study. A day of the study takes `day_s` simulated seconds.
///
/// # Errors
/// When a file is no table or lacks a column, and when no row can be used. Rows that cannot be used
/// are counted, with the reason.
pub fn read<R: Read>(
    study: Study<'_, R>,
    day_s: f64,
    payload: Payload,
    seed: Seed,
) -> Result<Imported, Error> {
    let scale = per_day(day_s)?;
    let mut reading = Reading::default();
    let name = study.name;
    let table = |domain: &str, input| Table::new(format!("{name}/{domain}.csv"), input);
    reading.demographics(table("dm", study.dm)?)?;
    reading.disposition(table("ds", study.ds)?)?;
    reading.visits(table("sv", study.sv)?)?;
    reading.adverse_events(table("ae", study.ae)?)?;
    reading.consents();
    if reading.events.is_empty() {
        let hint = format!(
            "{} rows, skipped: {:?}",
            reading.account.rows,
            reading.account.skipped()
        );
        return Err(Error::Empty {
            file: name.to_owned(),
            hint,
        });
    }
    Ok(reading.arrivals(scale * 86_400.0, payload, seed.key("trial times")))
}

impl Reading {
    fn skip(&mut self, domain: &'static str, reason: &'static str) {
        self.account.leave(domain, reason);
    }

    fn demographics<R: Read>(&mut self, mut table: Table<R>) -> Result<(), Error> {
        let [name, site] = [table.required("USUBJID")?, table.required("SITEID")?];
        let [informed, collected] = ["RFICDTC", "DMDTC"].map(|column| table.optional(column));
        while table.advance()? {
            self.account.rows += 1;
            let id = self.subjects.len() as u32;
            let subject = Subject {
                id,
                site: table.text(site).to_owned(),
                informed: day(table.text(informed)),
                collected: day(table.text(collected)),
                first_visit: None,
                randomised: None,
            };
            if self.by_name.contains_key(table.text(name)) {
                self.skip("dm", TWICE);
                continue;
            }
            self.by_name.insert(table.text(name).to_owned(), id);
            self.subjects.push(subject);
        }
        Ok(())
    }

    /// The subject and the day of the present row, unless it has to be skipped.
    fn place<R: Read>(
        &mut self,
        table: &Table<R>,
        domain: &'static str,
        name: Column,
        dates: &[Column],
    ) -> Option<(u32, i64)> {
        self.account.rows += 1;
        let Some(&subject) = self.by_name.get(table.text(name)) else {
            self.skip(domain, UNKNOWN);
            return None;
        };
        let date = dates
            .iter()
            .map(|&column| table.text(column))
            .find(|text| !text.is_empty());
        match day(date.unwrap_or("")) {
            Ok(day) => Some((subject, day)),
            Err(reason) => {
                self.skip(domain, reason);
                None
            }
        }
    }

    fn disposition<R: Read>(&mut self, mut table: Table<R>) -> Result<(), Error> {
        let [name, sequence] = [table.required("USUBJID")?, table.required("DSSEQ")?];
        let [what, date] = [table.required("DSDECOD")?, table.required("DSSTDTC")?];
        let category = table.optional("DSCAT");
        while table.advance()? {
            let Some((subject, day)) = self.place(&table, "ds", name, &[date]) else {
                continue;
            };
            let action = match (table.text(what), table.text(category)) {
                ("RANDOMIZED", _) => Action::Randomise,
                (_, "DISPOSITION EVENT") => Action::Disposition,
                _ => Action::Milestone,
            };
            if action == Action::Randomise {
                self.subjects[subject as usize]
                    .randomised
                    .get_or_insert(day);
            }
            let sequence = table.text(sequence).to_owned();
            self.events.push(Event {
                subject,
                day,
                domain: "ds",
                sequence,
                action,
            });
        }
        Ok(())
    }

    fn visits<R: Read>(&mut self, mut table: Table<R>) -> Result<(), Error> {
        let [name, visit] = [table.required("USUBJID")?, table.required("VISITNUM")?];
        let date = table.required("SVSTDTC")?;
        while table.advance()? {
            let Some((subject, day)) = self.place(&table, "sv", name, &[date]) else {
                continue;
            };
            let who = &mut self.subjects[subject as usize];
            who.first_visit = Some(who.first_visit.map_or(day, |first| first.min(day)));
            let enrolled = who.randomised.is_some_and(|randomised| randomised <= day);
            let action = if enrolled {
                Action::Capture
            } else {
                Action::Screen
            };
            let sequence = table.text(visit).to_owned();
            self.events.push(Event {
                subject,
                day,
                domain: "sv",
                sequence,
                action,
            });
        }
        Ok(())
    }

    fn adverse_events<R: Read>(&mut self, mut table: Table<R>) -> Result<(), Error> {
        let [name, sequence] = [table.required("USUBJID")?, table.required("AESEQ")?];
        let serious = table.required("AESER")?;
        let onset = table.required("AESTDTC")?;
        let reported = table.optional("AEDTC");
        while table.advance()? {
            let dates = [reported, onset];
            let Some((subject, day)) = self.place(&table, "ae", name, &dates) else {
                continue;
            };
            let action = match table.text(serious) {
                "Y" => Action::SeriousEvent,
                _ => Action::AdverseEvent,
            };
            let sequence = table.text(sequence).to_owned();
            self.events.push(Event {
                subject,
                day,
                domain: "ae",
                sequence,
                action,
            });
        }
        Ok(())
    }

    /// Dates the consents, which needs the visits.
    fn consents(&mut self) {
        for at in 0..self.subjects.len() {
            let who = &self.subjects[at];
            let visit = who.first_visit.ok_or(MISSING);
            let day = who.informed.or(visit).or(who.collected);
            // What was there, though unusable, explains more than what was not.
            let reasons = [who.informed.err(), who.collected.err()];
            let reason = reasons
                .into_iter()
                .flatten()
                .find(|&r| r != MISSING)
                .unwrap_or(MISSING);
            match day {
                Ok(day) => self.events.push(Event {
                    subject: who.id,
                    day,
                    domain: "dm",
                    sequence: String::new(),
                    action: Action::Consent,
                }),
                Err(_) => self.skip("dm", reason),
            }
        }
    }

    /// Sites in the order of their names.
    fn sites(&self) -> Vec<&str> {
        let names: BTreeSet<&str> = self.subjects.iter().map(|s| s.site.as_str()).collect();
        names.into_iter().collect()
    }

    fn arrivals(mut self, day_s: f64, payload: Payload, key: u64) -> Imported {
        let names: Vec<u64> = {
            let mut names = vec![0; self.subjects.len()];
            self.by_name
                .iter()
                .for_each(|(name, &id)| names[id as usize] = named(name));
            names
        };
        self.events.sort_by_key(|e| (e.subject, e.day, e.action));
        let first = self.events.iter().map(|e| e.day).min().unwrap_or(0);
        let sites = self.sites();
        let mut records = Records {
            next: self.subjects.len() as u32,
            known: BTreeMap::new(),
        };
        let mut arrivals = Vec::with_capacity(self.events.len());
        let mut mapped = Vec::with_capacity(self.events.len());
        for today in self
            .events
            .chunk_by(|a, b| (a.subject, a.day) == (b.subject, b.day))
        {
            let subject = &self.subjects[today[0].subject as usize];
            let site = sites.binary_search(&subject.site.as_str()).unwrap_or(0) as u16;
            let draw = |e: &Event| {
                let words = [
                    names[e.subject as usize],
                    named(e.domain),
                    named(&e.sequence),
                ];
                Profile::Outpatient.time_of_day(open01_at(key, &words))
            };
            let mut times: Vec<f64> = today.iter().map(draw).collect();
            // The earliest time goes to the cause.
            times.sort_unstable_by(f64::total_cmp);
            for (event, time) in today.iter().zip(times) {
                let days = (event.day - first) as f64 + time;
                mapped.push((event.domain, event.action.class().name));
                arrivals.push(Arrival {
                    at: Time::ZERO + Span::from_s_f64(days * day_s),
                    key: records.entity(event),
                    operand: event.subject,
                    bytes: payload.bytes(event.action.full_bytes()),
                    exec_us: EXEC_US,
                    site,
                    class: ClassId(event.action as u8),
                    action: event.action as u8,
                });
            }
        }
        arrivals.sort_by_key(|arrival| arrival.at);
        let start = arrivals.first().map_or(Time::ZERO, |arrival| arrival.at);
        for arrival in &mut arrivals {
            arrival.at = Time::ZERO + arrival.at.since(start);
        }
        let sites = sites.len() as u32;
        for (domain, class) in mapped {
            self.account.map(domain, class);
        }
        let note =
            "time of day drawn anew by the seed: dates of a study have none, or synthetic ones";
        self.account.notes.push(note.to_owned());
        Imported {
            rules: Rules::Trial,
            sites,
            arrivals,
            classes: Action::ALL.map(Action::class).into(),
            account: self.account,
        }
    }
}

/// Identifiers of the records that are not subjects, by what names them in the study.
struct Records {
    next: u32,
    known: BTreeMap<(u32, &'static str, String), u32>,
}

impl Records {
    /// The record that an event writes. A row that occurs twice has one record, which the ledger
    /// refuses the second time.
    fn entity(&mut self, event: &Event) -> EntityId {
        let of_subject = [Action::Consent, Action::Randomise, Action::Disposition];
        if of_subject.contains(&event.action) {
            return EntityId::new(event.subject);
        }
        let name = (event.subject, event.domain, event.sequence.clone());
        let next = self.next;
        let id = *self.known.entry(name).or_insert(next);
        self.next += u32::from(id == next);
        EntityId::new(id)
    }
}
