//! Care as arrivals: what FHIR and Synthea tell of patients, encounters, prescriptions and claims becomes
//! transactions of the hospital's ledger ([`crate::rules`]).
//!
//! | source | transactions |
//! |---|---|
//! | a patient's first event | `identity.register` |
//! | first encounter with an organisation | `consent.grant`, unless the source has its own |
//! | encounter, start | `access.record` |
//! | encounter, end | `record.anchor`, unless it has documents of its own |
//! | prescription | `erx.issue`; the operand is its fills |
//! | dispense | `erx.dispense`; the operand is its place among them |
//! | report | `report.issue` |
//! | claim | `claim.submit`, `claim.adjudicate`, `claim.pay` |
//! | coverage | `consent.grant` to the payer at its start, `consent.revoke` at its end |
//!
//! **Causes come first.** Nothing happens before its patient's registration, its consent, its encounter
//! or the record that it changes; what is dated earlier moves to that instant. What changes a
//! record that the export does not hold is left out.
//!
//! **Time of day.** Dates are kept. Where booked visits start at all hours, as in Synthea, each encounter
//! gets a time of day from the profile of its kind, and all that belongs to it moves along; fills after
//! the first get their own. The draw hangs on the encounter's name, and visits of a patient on one
//! day keep their order.
//!
//! **Scale** multiplies to published rates: each record comes back on other days, `factor - 1` times in
//! the mean, as a record of its own.

use crate::arrivals::named;
use crate::dates::{DAY_MS, Stamp};
use crate::rules::{Action, DECIDED_APPROVE, MOST_FILLS};
use crate::trace::{Dated, Imported, Rules, day_s, in_order};
use crate::{Error, Import, Payload, Profile, hospital::classes::facts};
use quorate_core::{EntityId, Seed, hash, open01_at};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How care is imported.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file or the folder.
    pub path: String,
    /// Simulated seconds for each day of the trace: 86,400 replays it in its own time.
    #[serde(default = "day_s")]
    pub day_s: f64,
    /// The longest time without an arrival, in simulated seconds; longer ones shrink to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_s: Option<f64>,
    /// What goes on the ledger.
    #[serde(default)]
    pub payload: Payload,
    /// Whose time of day.
    #[serde(default)]
    pub clock: Clock,
    /// Whether rates are scaled to published ones.
    #[serde(default)]
    pub scale: bool,
}

/// Whose time of day an imported trace has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The source's, unless its booked visits start at all hours.
    #[default]
    Auto,
    /// The source's.
    Source,
    /// Drawn from the profiles of the day.
    Profile,
}

// source: rates of published statistics over those of Synthea R4 2016–18 (smart-on-fhir sample, 490
// patients): 3.82 visits a person-year (CDC NHAMCS) over 2.47.
const VISITS: f64 = 1.55;
// source: 0.46 emergency visits a person-year (CDC NHAMCS 2019) over 0.12.
const EMERGENCIES: f64 = 3.9;
// source: 9.0 claims a person-year (Premier survey, 3 bn in the US) over 2.93.
const CLAIMS: f64 = 3.1;
// source: 22.4 laboratory tests a person-year (CDC) over 12.9 observations, which include vital signs:
// a floor.
const REPORTS: f64 = 1.7;
// source: 5.8 electronic prescriptions a person-year (Surescripts 2018) over 0.46.
const PRESCRIPTIONS: f64 = 12.6;
/// Copies come so many weeks later at most, on the same weekday.
// assumption: half a year, so that seasons stay roughly where they are.
const COPY_WEEKS: f64 = 26.0;

/// Below this share of booked visits that start from 8 to 18 h the source's clock is no clock.
// source: a flat day has 10/24 = 42 %, the outpatient profile 94 %; assumption: halfway.
const BOOKED_BY_DAY: f64 = 0.68;

/// Days between the fills of a prescription whose dates are not told.
// source: Synthea's DISPENSES are monthly fills.
pub(crate) const FILL_DAYS: i64 = 30;

/// No encounter.
pub(crate) const NONE: u32 = u32::MAX;
const NO_SITE: u16 = u16::MAX;

/// Numbers for names. Names are kept as 128-bit hashes.
#[derive(Default)]
struct Ids {
    of: BTreeMap<(u64, u64), u32>,
    next: u32,
}

/// 128 bits for a name.
pub(crate) fn digest(name: &str) -> (u64, u64) {
    let first = named(name);
    let byte = |state, byte| hash::fold(state, !u64::from(byte));
    (first, name.bytes().fold(first, byte))
}

impl Ids {
    fn of(&mut self, name: &str) -> u32 {
        let id = *self.of.entry(digest(name)).or_insert(self.next);
        self.next += u32::from(id == self.next);
        id
    }

    /// A number without a name.
    const fn fresh(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }

    const fn len(&self) -> usize {
        self.next as usize
    }
}

/// What an encounter is to the day's profile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Setting {
    Booked,
    Emergency,
    /// A stay in hospital.
    Stay,
}

/// An encounter.
#[derive(Clone, Copy)]
pub(crate) struct Visit {
    pub(crate) patient: u32,
    pub(crate) site: u16,
    pub(crate) setting: Setting,
    pub(crate) start: Stamp,
    pub(crate) stop: Option<i64>,
}

/// What is known of an encounter; until it is defined only that something refers to it.
#[derive(Clone, Copy)]
struct Kept {
    name: u64,
    start: i64,
    /// `i64::MIN` when it has no end.
    stop: i64,
    patient: u32,
    /// How far the wall's clock is ahead, in minutes.
    ahead_min: i16,
    site: u16,
    setting: Setting,
    timed: bool,
    defined: bool,
    documented: bool,
}

/// What happens, and to what.
#[derive(Clone, Copy)]
pub(crate) struct Event {
    pub(crate) from: &'static str,
    pub(crate) action: Action,
    pub(crate) at: Stamp,
    /// The patient; [`NONE`] where the record's is meant.
    pub(crate) patient: u32,
    /// The encounter, or [`NONE`].
    pub(crate) visit: u32,
    /// Who submits, where it is not who had the encounter.
    pub(crate) site: Option<u16>,
    /// The record; for consents the grantee.
    pub(crate) key: u32,
    pub(crate) operand: u32,
    /// Whether it has a time of day of its own, such as a later fill.
    pub(crate) apart: bool,
}

/// The same, packed: there are millions.
#[derive(Clone, Copy)]
struct Row {
    at: i64,
    patient: u32,
    visit: u32,
    key: u32,
    operand: u32,
    ahead_min: i16,
    site: u16,
    action: Action,
    from: u8,
    timed: bool,
    apart: bool,
}

const _: () = assert!(size_of::<Row>() == 32);

/// A stretch of time in which a payer covers a patient.
struct Covered {
    patient: u32,
    payer: u32,
    from: i64,
    until: Option<i64>,
}

/// What was read so far.
pub(crate) struct Care {
    file: String,
    patients: Ids,
    deaths: Vec<i64>,
    visits: Ids,
    kept: Vec<Kept>,
    grantees: Ids,
    sites: Ids,
    records: Ids,
    /// Records that are later versions of others.
    versions: BTreeMap<u32, u32>,
    /// Fills that nobody could fetch any more.
    late_fills: u64,
    sources: Vec<&'static str>,
    rows: Vec<Row>,
    covered: Vec<Covered>,
    pub(crate) account: Import,
}

/// Names that no two records share, whatever their kind.
pub(crate) fn record_name(kind: &str, id: &str) -> String {
    format!("{kind} {id}")
}

impl Care {
    pub(crate) fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            patients: Ids::default(),
            deaths: Vec::new(),
            visits: Ids::default(),
            kept: Vec::new(),
            grantees: Ids::default(),
            sites: Ids::default(),
            records: Ids::default(),
            versions: BTreeMap::new(),
            late_fills: 0,
            sources: Vec::new(),
            rows: Vec::new(),
            covered: Vec::new(),
            account: Import::default(),
        }
    }

    /// The patient of that name.
    pub(crate) fn patient(&mut self, name: &str) -> u32 {
        let id = self.patients.of(name);
        self.deaths.resize(self.patients.len(), i64::MAX);
        id
    }

    pub(crate) fn died(&mut self, patient: u32, at: i64) {
        self.deaths[patient as usize] = at;
    }

    /// The encounter of that name, which may be told later.
    pub(crate) fn visit_named(&mut self, name: &str) -> u32 {
        let id = self.visits.of(name);
        let undefined = Kept {
            name: named(name),
            start: 0,
            stop: i64::MIN,
            patient: 0,
            ahead_min: 0,
            site: NO_SITE,
            setting: Setting::Booked,
            timed: false,
            defined: false,
            documented: false,
        };
        self.kept
            .resize(self.visits.len().max(self.kept.len()), undefined);
        id
    }

    /// Tells an encounter.
    pub(crate) fn visit(&mut self, name: &str, visit: &Visit) {
        let id = self.visit_named(name);
        let kept = &mut self.kept[id as usize];
        *kept = Kept {
            start: visit.start.ms,
            stop: visit.stop.map_or(i64::MIN, |stop| stop.max(visit.start.ms)),
            patient: visit.patient,
            ahead_min: (visit.start.ahead_ms / 60_000) as i16,
            site: visit.site,
            setting: visit.setting,
            timed: visit.start.timed,
            defined: true,
            ..*kept
        };
    }

    /// An encounter has documents of its own.
    pub(crate) fn documented(&mut self, visit: u32) {
        if visit != NONE {
            self.kept[visit as usize].documented = true;
        }
    }

    /// The site of an organisation.
    pub(crate) fn site(&mut self, name: &str) -> Result<u16, Error> {
        let id = self.sites.of(name);
        // The last number means that there is none.
        if id >= u32::from(NO_SITE) {
            return Err(Error::TooMany {
                file: self.file.clone(),
                what: "organisations",
                most: u64::from(NO_SITE),
            });
        }
        self.grantees.of(name);
        Ok(id as u16)
    }

    /// Who may be given consent: an organisation or a payer.
    pub(crate) fn grantee(&mut self, name: &str) -> u32 {
        self.grantees.of(name)
    }

    /// The record of that name.
    pub(crate) fn record(&mut self, name: &str) -> u32 {
        self.records.of(name)
    }

    /// The record of that name is a later version of another.
    pub(crate) fn later_version(&mut self, name: &str, of: u32) {
        let own = self.records.of(name);
        self.versions.insert(own, of);
    }

    /// How many records there are.
    pub(crate) const fn records(&self) -> usize {
        self.records.len()
    }

    /// A record that nothing else refers to by name.
    pub(crate) const fn new_record(&mut self) -> u32 {
        self.records.fresh()
    }

    pub(crate) fn push(&mut self, event: &Event) {
        let known = self.sources.iter().position(|&from| from == event.from);
        let from = known.unwrap_or_else(|| {
            self.sources.push(event.from);
            self.sources.len() - 1
        });
        self.rows.push(Row {
            at: event.at.ms,
            patient: event.patient,
            visit: event.visit,
            key: event.key,
            operand: event.operand,
            ahead_min: (event.at.ahead_ms / 60_000) as i16,
            site: event.site.unwrap_or(NO_SITE),
            action: event.action,
            from: from as u8,
            timed: event.at.timed,
            apart: event.apart,
        });
    }

    /// A prescription's first fill at its issue and the others a month apart, up to `last`.
    pub(crate) fn fills(&mut self, issue: &Event, fills: u32, last: i64) {
        for fill in 0..fills.min(MOST_FILLS) {
            let ms = issue.at.ms + i64::from(fill) * FILL_DAYS * DAY_MS;
            if ms > last {
                self.late_fills += 1;
                continue;
            }
            self.push(&Event {
                action: Action::ErxDispense,
                at: Stamp { ms, ..issue.at },
                operand: fill,
                apart: fill > 0,
                ..*issue
            });
        }
    }

    pub(crate) fn cover(&mut self, patient: u32, payer: u32, from: i64, until: Option<i64>) {
        self.covered.push(Covered {
            patient,
            payer,
            from,
            until,
        });
    }

    /// Everything in order.
    ///
    /// # Errors
    /// When there is nothing, or a setting is out of its range.
    pub(crate) fn finish(mut self, settings: &Settings, seed: Seed) -> Result<Imported, Error> {
        if self.sites.len() == 0 {
            self.site("")?;
        }
        let drawn = self.clock(settings.clock);
        self.refer();
        self.drop_orphans();
        if settings.scale {
            self.copy(seed.key("trace copies"));
        }
        let shifts = self.shifts(drawn, seed.key("trace times"));
        self.coverage();
        let key = seed.key("trace fills");
        let mut placed = self.place(&shifts, drawn, key);
        chain(&mut placed);
        let next = self.consents(&mut placed);
        registrations(&mut placed, self.patients.len(), next);
        if self.late_fills > 0 {
            let late = self.late_fills;
            let note = format!(
                "{late} fills left out: after the prescription's end or the patient's death"
            );
            self.account.notes.push(note);
        }
        if placed.is_empty() {
            let rows = self.account.rows;
            let hint = format!("{rows} rows, skipped: {:?}", self.account.skipped());
            let file = self.file;
            return Err(Error::Empty { file, hint });
        }
        let mut dated = Vec::with_capacity(placed.len());
        for p in placed {
            let action = p.action;
            self.account.map(p.from, facts(action).name);
            let bytes = settings.payload.bytes(facts(action).full);
            let mut d = Dated::new(p.at, dated.len() as u32, action as u8, bytes);
            d.rank = rank(action);
            d.arrival.key = EntityId::new(p.key);
            d.arrival.operand = p.operand;
            d.arrival.site = p.site;
            dated.push(d);
        }
        in_order(dated, Rules::Hospital, settings.day_s, self.account)
    }

    /// Whether times of day are drawn, with a note that says why.
    fn clock(&mut self, clock: Clock) -> bool {
        let booked = |v: &&Kept| v.defined && v.timed && v.setting == Setting::Booked;
        let by_day = |v: &&Kept| {
            let wall = v.start + i64::from(v.ahead_min) * 60_000;
            (8..18).contains(&(wall.rem_euclid(DAY_MS) / 3_600_000))
        };
        let all = self.kept.iter().filter(booked).count();
        let day = self.kept.iter().filter(booked).filter(by_day).count();
        let share = day as f64 / all.max(1) as f64;
        let drawn = match clock {
            Clock::Source => false,
            Clock::Profile => true,
            Clock::Auto => all > 0 && share < BOOKED_BY_DAY,
        };
        let what = if drawn {
            "drawn anew by the seed, dates kept"
        } else {
            "as in the source"
        };
        self.account.notes.push(format!(
            "time of day {what}: {:.0} % of {all} booked visits start from 8 to 18 h, in practices 94 %",
            100.0 * share
        ));
        drawn
    }

    /// What changes a record belongs to the encounter and the patient of the record where it names none
    /// itself; encounters that are not in the export are none.
    fn refer(&mut self) {
        let mut of = vec![NONE; self.records.len()];
        let mut owner = of.clone();
        let mut unknown = 0;
        for row in &mut self.rows {
            // Those who replace a version replace the head of its chain; no chain is longer than all.
            if row.action == Action::RecordAmend {
                let older = |key: &u32| self.versions.get(key).copied();
                let chain = std::iter::successors(Some(row.key), older);
                row.key = chain
                    .take(self.versions.len() + 1)
                    .last()
                    .unwrap_or(row.key);
            }
            if row.visit != NONE && !self.kept[row.visit as usize].defined {
                row.visit = NONE;
                unknown += 1;
            }
            if creates(row.action) {
                of[row.key as usize] = row.visit;
                owner[row.key as usize] = row.patient;
            }
        }
        for row in &mut self.rows {
            if row.visit == NONE && changes(row.action) {
                row.visit = of[row.key as usize];
            }
            if row.patient == NONE {
                row.patient = owner[row.key as usize];
            }
        }
        if unknown > 0 {
            let note = format!("{unknown} events of encounters that the export does not hold");
            self.account.notes.push(note);
        }
    }

    /// Leaves out what changes a record that the export does not hold, and payments of claims that nobody
    /// decided.
    fn drop_orphans(&mut self) {
        let mut created = vec![false; self.records.len()];
        let mut decided = created.clone();
        for row in &self.rows {
            if creates(row.action) {
                created[row.key as usize] = true;
            }
            if row.action == Action::ClaimAdjudicate {
                decided[row.key as usize] = true;
            }
        }
        let (account, sources) = (&mut self.account, &self.sources);
        self.rows.retain(|row| {
            let from = sources[usize::from(row.from)];
            let why = match row.action {
                _ if !changes(row.action) => None,
                _ if !created[row.key as usize] => Some("its record is not in the export"),
                Action::ClaimPay if !decided[row.key as usize] => Some("no decision on the claim"),
                _ => None,
            };
            // Its decision stands in the same row, and was counted.
            let same_row = row.action == Action::ClaimPay && from == "ExplanationOfBenefit";
            if let Some(why) = why.filter(|_| !same_row) {
                account.leave(from, why);
            }
            why.is_none()
        });
    }

    /// Adds copies, so that rates are published ones.
    fn copy(&mut self, key: u64) {
        let copies = |words: &[u64], factor: f64| {
            let more = factor - 1.0;
            more as u64 + u64::from(open01_at(key, words) < more - more.floor())
        };
        let later = |words: &[u64]| {
            let weeks = (open01_at(key, words) * COPY_WEEKS) as i64 + 1;
            weeks * 7 * DAY_MS
        };
        for at in 0..self.kept.len() {
            let visit = self.kept[at];
            let factor = match visit.setting {
                Setting::Emergency => EMERGENCIES,
                _ => VISITS,
            };
            let defined = u64::from(visit.defined);
            for n in 0..defined * copies(&[1, visit.name], factor) {
                let after = later(&[2, visit.name, n]);
                self.kept.push(Kept {
                    name: hash::fold(visit.name, n + 1),
                    start: visit.start + after,
                    stop: if visit.stop == i64::MIN {
                        visit.stop
                    } else {
                        visit.stop + after
                    },
                    documented: false,
                    ..visit
                });
            }
        }
        let mut of = BTreeMap::new();
        for at in 0..self.rows.len() {
            let row = self.rows[at];
            let factor = match row.action {
                Action::ErxIssue | Action::ErxDispense | Action::ErxCancel => PRESCRIPTIONS,
                Action::ReportIssue => REPORTS,
                Action::ClaimSubmit | Action::ClaimAdjudicate | Action::ClaimPay => CLAIMS,
                _ => continue,
            };
            let name = u64::from(row.key);
            for n in 0..copies(&[3, name], factor) {
                let fresh = || self.records.fresh();
                let record = *of.entry((row.key, n)).or_insert_with(fresh);
                self.rows.push(Row {
                    at: row.at + later(&[4, name, n]),
                    key: record,
                    ..row
                });
            }
        }
        self.account.notes.push(
            "rates scaled to published ones: visits 1.55, emergencies 3.9, claims 3.1, reports 1.7, \
             prescriptions 12.6 times"
                .to_owned(),
        );
    }

    /// How far each encounter moves.
    fn shifts(&self, drawn: bool, key: u64) -> Vec<i64> {
        let mut shifts = vec![0; self.kept.len()];
        let midnight = |v: &Kept| {
            let wall = v.start + i64::from(v.ahead_min) * 60_000;
            v.start - wall.rem_euclid(DAY_MS)
        };
        let moves = |v: &Kept| v.defined && (drawn || !v.timed);
        let mut order: Vec<u32> = (0..self.kept.len() as u32)
            .filter(|&at| moves(&self.kept[at as usize]))
            .collect();
        let by = |&at: &u32| {
            let v = &self.kept[at as usize];
            (v.patient, midnight(v), v.start, at)
        };
        order.sort_unstable_by_key(by);
        let same_day = |a: &u32, b: &u32| {
            let (a, b) = (&self.kept[*a as usize], &self.kept[*b as usize]);
            (a.patient, midnight(a)) == (b.patient, midnight(b))
        };
        for day in order.chunk_by(same_day) {
            let mut times: Vec<i64> = day
                .iter()
                .map(|&at| {
                    let v = &self.kept[at as usize];
                    of_day(v.setting, open01_at(key, &[v.name]))
                })
                .collect();
            // The earlier visit stays the earlier.
            times.sort_unstable();
            for (&at, time) in day.iter().zip(times) {
                let v = &self.kept[at as usize];
                shifts[at as usize] = midnight(v) + time - v.start;
            }
        }
        shifts
    }

    /// A payer's view begins with coverage, or with the first encounter, and ends when another payer's
    /// begins, or when it runs out before the trace does.
    fn coverage(&mut self) {
        let mut covered = std::mem::take(&mut self.covered);
        covered.sort_by_key(|c| (c.patient, c.from));
        let mut first = vec![i64::MAX; self.patients.len()];
        let mut end = i64::MIN;
        for v in self.kept.iter().filter(|v| v.defined) {
            let first = &mut first[v.patient as usize];
            *first = v.start.min(*first);
            end = end.max(v.start);
        }
        let stamp = |ms| Stamp {
            ms,
            ahead_ms: 0,
            timed: false,
        };
        let mut push = |action, c: &Covered, ms: i64| {
            self.push(&Event {
                from: "coverage",
                action,
                at: stamp(ms),
                patient: c.patient,
                visit: NONE,
                site: None,
                key: c.payer,
                operand: 0,
                apart: true,
            });
        };
        let mut early = 0;
        for of_one in covered.chunk_by(|a, b| a.patient == b.patient) {
            let known_from = first[of_one[0].patient as usize];
            let mut open: Option<(&Covered, Option<i64>)> = None;
            for c in of_one {
                if c.until.is_some_and(|until| until < known_from) || known_from == i64::MAX {
                    early += 1;
                    continue;
                }
                let goes_on = open.is_some_and(|(before, until)| {
                    let gap = until.map_or(0, |until| c.from - until);
                    before.payer == c.payer && gap <= DAY_MS
                });
                if goes_on {
                    open = open.map(|(before, _)| (before, c.until));
                    continue;
                }
                if let Some((before, until)) = open {
                    let over = until.unwrap_or(c.from).min(c.from).max(known_from);
                    push(Action::ConsentRevoke, before, over);
                }
                push(Action::ConsentGrant, c, c.from.max(known_from));
                open = Some((c, c.until));
            }
            if let Some((last, Some(until))) = open.filter(|o| o.1.is_some_and(|u| u <= end)) {
                push(Action::ConsentRevoke, last, until);
            }
        }
        for _ in 0..early {
            self.account.leave("coverage", "before the first encounter");
        }
    }

    /// Times and sites of all rows, and what encounters give themselves.
    fn place(&mut self, shifts: &[i64], drawn: bool, key: u64) -> Vec<Placed> {
        let rows = std::mem::take(&mut self.rows);
        let mut home = vec![(i64::MAX, 0_u16); self.patients.len()];
        for v in self.kept.iter().filter(|v| v.defined && v.site != NO_SITE) {
            let home = &mut home[v.patient as usize];
            *home = (*home).min((v.start, v.site));
        }
        let mut placed = Vec::with_capacity(rows.len() + 2 * self.kept.len());
        for row in rows {
            let visit = (row.visit != NONE).then(|| &self.kept[row.visit as usize]);
            let named = Some(row.site).filter(|&s| s != NO_SITE);
            let site = named.or(visit.map(|v| v.site).filter(|&s| s != NO_SITE));
            let wall = row.at + i64::from(row.ahead_min) * 60_000;
            let midnight = row.at - wall.rem_euclid(DAY_MS);
            let alone = visit.is_none() || row.apart;
            let at = if alone && (drawn || !row.timed) {
                let words = [u64::from(row.key), row.action as u64, row.at as u64];
                midnight + of_day(Setting::Booked, open01_at(key, &words))
            } else {
                let shift = visit.map_or(0, |_| shifts[row.visit as usize]);
                row.at + if row.timed { shift } else { 0 }
            };
            let start = visit.map_or(i64::MIN, |v| match row.action {
                // The encounter must be on record.
                Action::ClaimSubmit => v.start.max(v.stop) + shifts[row.visit as usize],
                _ => v.start + shifts[row.visit as usize],
            });
            if row.action == Action::ErxDispense && row.at > self.deaths[row.patient as usize] {
                self.late_fills += 1;
                continue;
            }
            placed.push(Placed {
                at: at.max(start),
                patient: row.patient,
                key: row.key,
                operand: row.operand,
                site: site.unwrap_or(home[row.patient as usize].1),
                action: row.action,
                from: self.sources[usize::from(row.from)],
            });
        }
        for (v, shift) in self.kept.iter().zip(shifts).filter(|(v, _)| v.defined) {
            let own = v.site != NO_SITE;
            let site = if own {
                v.site
            } else {
                home[v.patient as usize].1
            };
            let access = Placed {
                at: v.start + shift,
                patient: v.patient,
                // The grantee; see `consents`.
                key: u32::from(site),
                operand: 0,
                site,
                action: Action::AccessRecord,
                from: "encounter",
            };
            placed.push(access);
            if v.stop != i64::MIN && !v.documented {
                placed.push(Placed {
                    at: v.stop + shift,
                    key: self.records.fresh(),
                    action: Action::RecordAnchor,
                    ..access
                });
            }
        }
        placed
    }

    /// Gives consents their records, and each patient's first encounter with an organisation its
    /// consent. The first number that is free.
    fn consents(&mut self, placed: &mut Vec<Placed>) -> u32 {
        /// A patient's consent to one grantee.
        struct Pair {
            id: u32,
            first: Option<Placed>,
            granted: bool,
        }
        // The grantee of a site.
        let mut grantee = vec![0; self.sites.len()];
        for (name, &site) in &self.sites.of {
            grantee[site as usize] = self.grantees.of[name];
        }
        let mut pairs: BTreeMap<(u32, u32), Pair> = BTreeMap::new();
        for p in placed.iter_mut().filter(|p| on_consent(p.action)) {
            if matches!(p.action, Action::AccessRecord | Action::BreakGlass) {
                p.key = grantee[usize::from(p.site)];
            }
            let pair = pairs.entry((p.patient, p.key)).or_insert_with(|| Pair {
                id: self.records.fresh(),
                first: None,
                granted: false,
            });
            p.key = pair.id;
            pair.granted |= p.action == Action::ConsentGrant;
            let first =
                p.action == Action::AccessRecord && pair.first.is_none_or(|first| p.at < first.at);
            if first {
                pair.first = Some(*p);
            }
        }
        // A consent that the source tells is the consent, whenever it comes.
        for pair in pairs.into_values().filter(|pair| !pair.granted) {
            placed.extend(pair.first.map(|first| Placed {
                action: Action::ConsentGrant,
                ..first
            }));
        }
        self.records.next
    }
}

/// Each record's transactions in their order, none before its cause, and the versions of documents.
fn chain(placed: &mut [Placed]) {
    placed.sort_by_key(|p| (on_consent(p.action), p.key, rank(p.action), p.at));
    let records = placed.partition_point(|p| !on_consent(p.action));
    for of_one in placed[..records].chunk_by_mut(|a, b| a.key == b.key) {
        let (mut least, mut version) = (i64::MIN, 0);
        for p in of_one {
            p.at = p.at.max(least);
            least = p.at;
            if p.action == Action::RecordAmend {
                p.operand = version;
            }
            version += u32::from(matches!(
                p.action,
                Action::RecordAnchor | Action::RecordAmend
            ));
        }
    }
}

/// Patients are registered with their first event; their records begin with number `next`.
fn registrations(placed: &mut Vec<Placed>, patients: usize, next: u32) {
    let mut first: Vec<Option<Placed>> = vec![None; patients];
    for p in placed.iter() {
        let known = &mut first[p.patient as usize];
        if known.is_none_or(|k| (p.at, p.site) < (k.at, k.site)) {
            *known = Some(*p);
        }
    }
    for (n, first) in first.into_iter().enumerate() {
        placed.extend(first.map(|first| Placed {
            key: next + n as u32,
            operand: 0,
            action: Action::IdentityRegister,
            from: "patient",
            ..first
        }));
    }
}

/// A transaction with its time and its site.
#[derive(Clone, Copy)]
struct Placed {
    at: i64,
    patient: u32,
    key: u32,
    operand: u32,
    site: u16,
    action: Action,
    from: &'static str,
}

/// Milliseconds after midnight.
fn of_day(setting: Setting, uniform: f64) -> i64 {
    // assumption: stays begin as emergencies do, most through that department.
    let profile = match setting {
        Setting::Booked => Profile::Outpatient,
        Setting::Emergency | Setting::Stay => Profile::Ed,
    };
    (profile.time_of_day(uniform) * DAY_MS as f64) as i64
}

const fn creates(action: Action) -> bool {
    matches!(
        action,
        Action::RecordAnchor | Action::ReportIssue | Action::ErxIssue | Action::ClaimSubmit
    )
}

const fn changes(action: Action) -> bool {
    matches!(
        action,
        Action::RecordAmend
            | Action::ErxDispense
            | Action::ErxCancel
            | Action::ClaimAdjudicate
            | Action::ClaimPay
    )
}

/// Whether a transaction is about a consent, not a record.
const fn on_consent(action: Action) -> bool {
    !creates(action) && !changes(action)
}

/// The order of what happens at the same time: causes first.
const fn rank(action: Action) -> u8 {
    match action {
        Action::IdentityRegister => 0,
        Action::ConsentGrant => 1,
        Action::AccessRecord | Action::BreakGlass => 2,
        _ if creates(action) && !matches!(action, Action::ClaimSubmit) => 3,
        Action::ClaimSubmit => 4,
        Action::RecordAmend | Action::ErxDispense | Action::ErxCancel => 4,
        Action::ClaimAdjudicate => 5,
        Action::ClaimPay => 6,
        // A payer's view ends after what it still may see.
        _ => 7,
    }
}

/// What a decision on a claim says to the rule.
pub(crate) const fn decision(approved: bool) -> u32 {
    if approved { DECIDED_APPROVE } else { 0 }
}
