//! Clinical trials of a sponsor: consent, allocation, data capture, safety reports and the lock of
//! the database, by form or by value.
//!
//! Each class is a Poisson process with a clock of its own, except what comes in bursts: weekly
//! uploads of laboratories, and the rush before a lock. Studies under way, in all their phases, are
//! a steady stream; studies whose lock is near are apart and see only their last signatures, items,
//! corrections and answers. The signatures that came before the rush are not arrivals, so the share
//! of valid `trial.sign` is the completeness of what was signed last.
//!
//! What a transaction refers to was submitted long before it ([`Config::settle_s`]) or exists before
//! the first block. Exceptions are deliberate: racers within seconds at other sites, and the rush.
//! Not modelled: forms of one visit entered in one sitting, and matching of patients to studies.

mod classes;
mod cohort;
mod config;
mod layout;
mod oversight;
mod rules;

pub use config::{Config, Granularity, Preset};
pub use layout::Layout;
pub use oversight::Oversight;
pub use rules::{Action, FATAL_CLOCK, SERIOUS_CLOCK, Studies, consent_to, late_reports, serious};

use crate::arrivals::{Clock, named};
use crate::registry::{Built, Setup, Spec};
use crate::{Error, Rate};
use classes::facts;
use cohort::{Case, Cases, Cohort, Planned, Upload, Uploads};
use config::{CLASSES, RUSH, office};
use layout::{Places, lot};
use quorate_core::math::{ln, pow};
use quorate_core::{Arrival, Class, ClassId, Draws, EntityId, Kind, Load, Seed, Span, Time};

/// The source of uploads, after one for each class.
const UPLOADS: usize = CLASSES;
const SOURCES: usize = CLASSES + 1;

/// The code of a correction's reason.
// assumption: what it says does not matter, only that it is there.
const TRANSCRIPTION: u32 = 1;

/// What a transaction is about.
#[derive(Clone, Copy, Default)]
struct Content {
    key: u32,
    operand: u32,
    site: u16,
}

/// The generator.
pub struct Trials {
    classes: [Class; CLASSES],
    bytes: [u16; CLASSES],
    clocks: Vec<Clock>,
    /// When each source comes next; the lock's, when it becomes known.
    times: [Time; SOURCES],
    /// The source that comes next, reads aside.
    source: usize,
    /// What each source draws besides its times.
    draws: Vec<Draws>,
    config: Config,
    settle: Span,
    notice: Span,
    upload_gap: Span,
    corrected: f64,
    reconsents: f64,
    layout: Layout,
    sites: Places,
    cohort: Cohort,
    consented: Cases,
    eligible: Cases,
    corrections: Cases,
    queries: Cases,
    answers: Cases,
    /// Free slots of each list.
    free: Vec<u16>,
    uploads: Uploads,
    planned: Planned,
    next_entity: u32,
    locks: u64,
    /// When each closing study is locked, the last time so far.
    locked: Vec<Time>,
    unsettled: u64,
}

impl Trials {
    /// A generator; the same arguments give the same arrivals.
    ///
    /// # Errors
    /// When a setting is out of its range; the error names it.
    pub fn new(config: &Config, rate: Rate, seed: Seed) -> Result<Self, Error> {
        rate.check()?;
        config.check(rate)?;
        let layout = config.layout(rate)?;
        let enrolling = (1.0 - config.unopened_share) * (1.0 - config.idle_share);
        let sites = Places::new(
            config.sites(),
            config.site_sigma,
            config.sites_per_study,
            enrolling,
        );
        let subject = |entity: u32| case_of(&layout, &sites, entity, layout.study_of(entity));
        let item = |entity: u32| {
            let owner = layout.subject_of(entity);
            let case = case_of(&layout, &sites, owner, layout.study_of(owner));
            Case { entity, ..case }
        };
        let free = |list| (layout.slots() - layout.used(list)) as u16;
        let lists = layout.strata().len() as u32;
        let mut trials = Self {
            classes: Action::ALL.map(|action| class(action, config)),
            bytes: Action::ALL.map(|action| config.bytes(action)),
            clocks: clocks(config, rate, seed),
            times: [Time::NEVER; SOURCES],
            source: UPLOADS,
            draws: (0..SOURCES)
                .map(|source| seed.stream("content", named(source_name(source))))
                .collect(),
            settle: Span::from_s_f64(config.settle_s),
            notice: Span::from_s_f64(config.notice_s()),
            upload_gap: Span::from_s_f64(1.0 / config.upload_per_s),
            corrected: config.corrected_items(),
            reconsents: config.reconsent_share(),
            cohort: Cohort::new(&layout, &sites),
            consented: Cases::preloaded(layout.consented().map(subject)),
            eligible: Cases::preloaded(layout.eligible().map(subject)),
            corrections: Cases::preloaded(layout.corrections().map(item)),
            queries: Cases::preloaded(layout.queries().map(item)),
            answers: Cases::preloaded(layout.answers().map(item)),
            free: (0..lists).map(free).collect(),
            uploads: Uploads::default(),
            planned: Planned::default(),
            next_entity: layout.end(),
            locks: 0,
            locked: vec![Time::ZERO; layout.closing().len()],
            unsettled: 0,
            config: config.clone(),
            sites,
            layout,
        };
        for source in 0..SOURCES {
            trials.times[source] = trials.due(source);
        }
        trials.find_source();
        Ok(trials)
    }

    /// The rules of the ledger that these arrivals belong to.
    pub fn rules(&self) -> Studies {
        Studies::new(self.layout.clone())
    }

    /// What these arrivals are counted for.
    pub fn domain(&self) -> Oversight {
        Oversight::new(self.layout.clone())
    }

    /// Transactions so far that came sooner after what they refer to than [`Config::settle_s`], or
    /// that found nothing to refer to.
    pub const fn unsettled(&self) -> u64 {
        self.unsettled
    }

    /// The study of a subject on study before the first block, the subject's site in it, and how
    /// many sites of the study enrol.
    pub fn study_site(&self, subject: EntityId) -> (u32, u32, u32) {
        let study = self.layout.study_of(subject.get());
        let size = self.layout.size(study);
        let site = self.sites.study_site(size, subject.get());
        (study, site, self.sites.enrolling(size))
    }

    /// When a source comes next. A lock is known before it comes.
    fn due(&self, source: usize) -> Time {
        let at = self.clocks[source].at();
        if source == Action::Lock.index() && at != Time::NEVER {
            at.saturating_sub(self.notice)
        } else {
            at
        }
    }

    /// Moves a source on to its next arrival.
    fn advance(&mut self, source: usize) {
        self.clocks[source].advance();
        self.times[source] = self.due(source);
    }

    fn find_source(&mut self) {
        let mut first = UPLOADS;
        for source in 1..UPLOADS {
            if self.times[source] < self.times[first] {
                first = source;
            }
        }
        self.source = first;
    }

    fn arrival(&self, action: Action, at: Time, content: Content) -> Arrival {
        let Content { key, operand, site } = content;
        Arrival {
            at,
            key: EntityId::new(key),
            operand,
            bytes: self.bytes[action.index()],
            exec_us: match action {
                Action::Check => self.config.read_us,
                _ => self.config.exec_us,
            },
            site,
            class: ClassId(action as u8),
            action: action as u8,
        }
    }

    fn create(&mut self) -> u32 {
        let entity = self.next_entity;
        self.next_entity += 1;
        entity
    }

    /// What the next write of a class is about.
    fn write(&mut self, action: Action, at: Time) -> Content {
        self.cohort.settle(at);
        match action {
            Action::Register => self.register(),
            Action::Amend => self.amend(at),
            Action::Consent => self.consent(at),
            Action::Withdraw => self.withdraw(at),
            Action::Screen => self.screen(at),
            Action::Randomise => self.randomise(at),
            Action::Capture => self.capture(at),
            Action::AdverseEvent | Action::SeriousEvent => self.report(action),
            Action::Correct | Action::Query | Action::Answer => self.on_item(action, at),
            // These come by the plan of a lock.
            Action::Check | Action::Sign | Action::Lock | Action::Unlock => {
                unreachable!("no clock")
            }
        }
    }

    fn register(&mut self) -> Content {
        let key = self.create();
        let site = self.sites.sponsor(key);
        Content {
            key,
            operand: 0,
            site,
        }
    }

    fn amend(&mut self, at: Time) -> Content {
        let draws = &mut self.draws[Action::Amend.index()];
        let (study, free, version) = self.cohort.amend(at, self.settle, draws);
        self.unsettled += u64::from(!free);
        if draws.chance(self.config.racing_consent_share) {
            let subject = self.create();
            let size = self.layout.size(study);
            let site = self.sites.study_site(size, subject);
            let content = Content {
                key: subject,
                operand: consent_to(study, u32::from(version) - 1),
                site: self.sites.host(study, site),
            };
            self.race(Action::Consent, Action::Amend, content, at);
        }
        Content {
            key: study,
            operand: version.into(),
            site: self.sites.sponsor(study),
        }
    }

    /// A subject consents, for the first time or again.
    fn consent(&mut self, at: Time) -> Content {
        let draws = &mut self.draws[Action::Consent.index()];
        // No more than the share: first consents must keep up with screening.
        let again = draws.chance(self.reconsents);
        if again && let Some(place) = self.cohort.renewed(at) {
            let version = self.cohort.version(place.study);
            return Content {
                key: place.subject,
                operand: consent_to(place.study, version.into()),
                site: place.site,
            };
        }
        let settled = self.cohort.settled_study(at, draws);
        self.unsettled += u64::from(settled.is_none());
        let (study, version) = settled.unwrap_or_else(|| {
            let study = self.cohort.study(draws);
            (study, self.cohort.version(study))
        });
        let entity = self.create();
        let case = case_of(&self.layout, &self.sites, entity, study);
        let ready = at + self.settle;
        self.consented.add(Case {
            ready,
            version,
            ..case
        });
        Content {
            key: entity,
            operand: consent_to(study, version.into()),
            site: case.site,
        }
    }

    /// A subject tells the own site; the others do not know yet.
    fn withdraw(&mut self, at: Time) -> Content {
        let draws = &mut self.draws[Action::Withdraw.index()];
        let Some(place) = self.cohort.withdraw(draws) else {
            self.unsettled += 1;
            return Content::default();
        };
        let elsewhere = self.sites.other(place.site, draws.bits());
        let captured = draws.chance(self.config.racing_capture_share);
        let mean = self.config.rechecks_per_withdrawal;
        let checks = mean as u32 + u32::from(draws.chance(mean - mean.floor()));
        if captured {
            let item = Content {
                key: self.create(),
                operand: place.subject,
                site: elsewhere,
            };
            self.race(Action::Capture, Action::Withdraw, item, at);
        }
        let check = Content {
            key: place.subject,
            operand: 0,
            site: elsewhere,
        };
        for _ in 0..checks {
            self.race(Action::Check, Action::Withdraw, check, at);
        }
        Content {
            site: place.site,
            ..check
        }
    }

    fn screen(&mut self, at: Time) -> Content {
        let case = self.consented.take();
        let Some(case) = self.open_case(case, at) else {
            return Content::default();
        };
        let eligible = lot(case.entity, 1) >= self.config.screen_failure_share;
        if eligible {
            let ready = at + self.settle;
            self.eligible.add(Case { ready, ..case });
        }
        Content {
            key: case.entity,
            operand: eligible.into(),
            site: case.site,
        }
    }

    /// The case, counted if it has not settled.
    fn open_case(&mut self, case: Option<Case>, at: Time) -> Option<Case> {
        self.unsettled += u64::from(case.is_none_or(|case| case.ready > at));
        case
    }

    fn randomise(&mut self, at: Time) -> Content {
        let case = self.eligible.take();
        let Some(case) = self.open_case(case, at) else {
            return Content::default();
        };
        let mut list = self.layout.list(case.study, case.entity);
        if self.free[list as usize] == 0 {
            list += self.layout.spare();
        }
        let content = Content {
            key: self.layout.strata().start + list,
            operand: case.entity,
            site: case.site,
        };
        let free = &mut self.free[list as usize];
        match *free {
            // Recruitment is over; the ledger refuses it.
            0 => self.unsettled += 1,
            1 => self.last_slot(list, content, at),
            _ => {}
        }
        let free = &mut self.free[list as usize];
        *free = free.saturating_sub(1);
        let ready = at + self.settle;
        self.cohort.join(Case { ready, ..case });
        let repeated =
            self.draws[Action::Randomise.index()].chance(self.config.racing_randomise_share);
        if repeated {
            self.race_elsewhere(Action::Randomise, Action::Randomise, content, at);
        }
        content
    }

    /// Another site wants the list's last slot, for a subject of its own.
    fn last_slot(&mut self, list: u32, mut content: Content, at: Time) {
        content.operand = self.layout.rivals().start + list;
        self.race_elsewhere(Action::Randomise, Action::Randomise, content, at);
    }

    fn capture(&mut self, at: Time) -> Content {
        let draws = &mut self.draws[Action::Capture.index()];
        let Some(place) = self.cohort.any(draws) else {
            self.unsettled += 1;
            return Content::default();
        };
        let twice = draws.chance(self.config.racing_entry_share);
        let content = Content {
            key: self.item(place, at),
            operand: place.subject,
            site: place.site,
        };
        if twice {
            self.race_elsewhere(Action::Capture, Action::Capture, content, at);
        }
        content
    }

    /// A new item; some will be corrected, some queried.
    fn item(&mut self, place: cohort::Place, at: Time) -> u32 {
        let entity = self.create();
        let case = Case {
            ready: at + self.settle,
            entity,
            study: place.study,
            version: 0,
            site: place.site,
        };
        if lot(entity, 2) < self.corrected {
            self.corrections.add(case);
        }
        if lot(entity, 3) < self.config.query_share {
            self.queries.add(case);
        }
        entity
    }

    /// The next item of the upload that is due.
    fn uploaded(&mut self, at: Time) -> Option<Arrival> {
        let study = self.uploads.take(self.upload_gap)?;
        self.cohort.settle(at);
        let place = self.cohort.of(study, &mut self.draws[UPLOADS]);
        self.unsettled += u64::from(place.is_none());
        let content = place.map_or_else(Content::default, |place| Content {
            key: self.item(place, at),
            operand: place.subject,
            site: self.sites.laboratory(study),
        });
        Some(self.arrival(Action::Capture, at, content))
    }

    /// A laboratory has a batch of log-uniform size.
    fn begin_upload(&mut self, at: Time) {
        let draws = &mut self.draws[UPLOADS];
        let (least, most) = self.config.batches();
        let size = least * pow(most / least, draws.open01());
        let upload = Upload {
            next: at,
            study: self.cohort.study(draws),
            left: (size + 0.5).max(1.0) as u32,
        };
        self.uploads.add(upload);
    }

    fn report(&mut self, action: Action) -> Content {
        let draws = &mut self.draws[action.index()];
        let Some(place) = self.cohort.any(draws) else {
            self.unsettled += 1;
            return Content::default();
        };
        let operand = if action == Action::SeriousEvent {
            let fatal = draws.chance(self.config.fatal_share);
            let clock = if fatal { FATAL_CLOCK } else { SERIOUS_CLOCK };
            // assumption: reports come at any time of the clock.
            serious(fatal, (draws.open01() * clock.as_s()) as u32)
        } else {
            0
        };
        Content {
            key: place.subject,
            operand,
            site: place.site,
        }
    }

    /// Transactions on an earlier item.
    fn on_item(&mut self, action: Action, at: Time) -> Content {
        let cases = match action {
            Action::Correct => &mut self.corrections,
            Action::Query => &mut self.queries,
            _ => &mut self.answers,
        };
        let case = cases.take();
        let Some(case) = self.open_case(case, at) else {
            return Content::default();
        };
        let mut content = Content {
            key: case.entity,
            operand: 0,
            site: case.site,
        };
        if action == Action::Query {
            let ready = at + self.settle;
            self.answers.add(Case { ready, ..case });
            content.site = self.sites.sponsor(case.study);
        }
        if action == Action::Correct {
            content.operand = TRANSCRIPTION;
        }
        content
    }

    /// Plans what belongs to a lock that comes at `at`. What would come before the start is left out.
    fn plan_lock(&mut self, at: Time) {
        let closing = self.layout.closing();
        let place = (self.locks % closing.len() as u64) as usize;
        let again = self.locks >= closing.len() as u64;
        self.locks += 1;
        let study = closing.start + place as u32;
        let desk = Content {
            key: study,
            operand: 0,
            site: self.sites.sponsor(study),
        };
        if again {
            let opened = at.saturating_sub(self.notice);
            let soon = self.locked[place] + self.settle > opened;
            self.unsettled += u64::from(soon);
            self.plan(Action::Unlock, Some(opened), desk);
        }
        self.locked[place] = at;
        let first = place as u32 * self.layout.late_casebooks();
        for casebook in first..first + self.layout.late_casebooks() {
            self.plan_casebook(study, casebook, at);
        }
        let queried = self.draws[Action::Lock.index()].chance(self.config.late_answer_share);
        if queried {
            self.plan_answer(first, desk.site, at);
        }
        self.plan(Action::Lock, Some(at), desk);
    }

    /// A late casebook: its signature, and perhaps a correction and a new item.
    fn plan_casebook(&mut self, study: u32, casebook: u32, lock: Time) {
        let subject = self.layout.casebooks().start + casebook;
        let site = case_of(&self.layout, &self.sites, subject, study).site;
        let content = |key, operand| Content { key, operand, site };
        let signed = self.late(lock, 0.0);
        // A signature says for when the lock is announced.
        let lead = signed.map_or(Span::ZERO, |at| lock.since(at));
        self.plan(
            Action::Sign,
            signed,
            content(subject, (lead.ns() / 1_000_000) as u32),
        );
        let draws = &mut self.draws[Action::Lock.index()];
        let corrected = draws.chance(self.config.late_correct_share);
        let captured = draws.chance(self.config.late_capture_share);
        if corrected {
            let at = self.late(lock, self.config.straggler_share);
            let item = self.layout.late_items().start + casebook;
            self.plan(Action::Correct, at, content(item, TRANSCRIPTION));
        }
        if captured {
            let at = self.late(lock, self.config.straggler_share);
            let item = self.create();
            self.plan(Action::Capture, at, content(item, subject));
        }
    }

    /// A last query, and its answer in the rush.
    fn plan_answer(&mut self, casebook: u32, sponsor: u16, lock: Time) {
        let answered = self.late(lock, 0.0);
        let asked = (lock.ns() + self.settle.ns()).checked_sub(self.notice.ns());
        if asked.is_none() {
            return;
        }
        let subject = self.layout.casebooks().start + casebook;
        let study = self.layout.study_of(subject);
        let site = case_of(&self.layout, &self.sites, subject, study).site;
        let item = Content {
            key: self.layout.late_items().start + casebook,
            operand: 0,
            site: sponsor,
        };
        self.plan(Action::Query, asked.map(Time::from_ns), item);
        self.plan(Action::Answer, answered, Content { site, ..item });
    }

    /// A time in the rush before a lock or, with this chance, as long after it; `None` before the
    /// start.
    fn late(&mut self, lock: Time, after: f64) -> Option<Time> {
        let draws = &mut self.draws[Action::Lock.index()];
        let lead_s = (-ln(draws.open01())).min(RUSH) * self.config.rush_s;
        let lead = Span::from_s_f64(lead_s);
        if draws.chance(after) {
            return Some(lock + lead);
        }
        lock.ns().checked_sub(lead.ns()).map(Time::from_ns)
    }

    fn plan(&mut self, action: Action, at: Option<Time>, content: Content) {
        if let Some(at) = at {
            self.planned.add(self.arrival(action, at, content));
        }
    }

    /// Plans a racer at another site, if there is one.
    fn race_elsewhere(&mut self, what: Action, by: Action, mut content: Content, at: Time) {
        let bits = self.draws[by.index()].bits();
        content.site = self.sites.other(content.site, bits);
        self.race(what, by, content, at);
    }

    /// Plans a `what` within seconds of a transaction `by`, whose stream it draws from.
    fn race(&mut self, what: Action, by: Action, content: Content, at: Time) {
        let within_s = match what {
            Action::Check => self.config.recheck_s,
            _ => self.config.race_s,
        };
        let delay_s = self.draws[by.index()].open01() * within_s;
        self.plan(what, Some(at + Span::from_s_f64(delay_s)), content);
    }

    /// A site looks before a procedure.
    fn look(&mut self, at: Time) -> Arrival {
        self.cohort.settle(at);
        let draws = &mut self.draws[Action::Check.index()];
        let place = self.cohort.any(draws);
        self.unsettled += u64::from(place.is_none());
        let content = place.map_or_else(Content::default, |place| Content {
            key: place.subject,
            operand: 0,
            site: place.site,
        });
        self.arrival(Action::Check, at, content)
    }
}

/// A subject as a case that has settled.
fn case_of(layout: &Layout, sites: &Places, subject: u32, study: u32) -> Case {
    let site = sites.study_site(layout.size(study), subject);
    Case {
        ready: Time::ZERO,
        entity: subject,
        study,
        version: layout.version(study) as u16,
        site: sites.host(study, site),
    }
}

fn class(action: Action, config: &Config) -> Class {
    let classes::Facts {
        name, kind, tells, ..
    } = facts(action);
    let expiry = config.expiry_s.map(Span::from_s_f64);
    Class {
        name,
        kind,
        expiry: expiry.filter(|_| kind != Kind::Read),
        tells,
    }
}

fn source_name(source: usize) -> &'static str {
    Action::ALL
        .get(source)
        .map_or("trial.upload", |&action| facts(action).name)
}

fn clocks(config: &Config, rate: Rate, seed: Seed) -> Vec<Clock> {
    let (per_s, batches) = config.rates_per_s(rate);
    let clock = |source: usize| {
        let mean = per_s.get(source).copied().unwrap_or(batches);
        Clock::new(rate, mean, office(), seed, source_name(source))
    };
    (0..SOURCES).map(clock).collect()
}

impl Load for Trials {
    fn classes(&self) -> &[Class] {
        &self.classes
    }

    fn deadlines(&self) -> &[ClassId] {
        const SIGN: [ClassId; 1] = [ClassId(Action::Sign as u8)];
        &SIGN
    }

    /// A signature counts for the lock only if it is on record when the lock is asked for.
    fn deadline(&self, tx: &Arrival) -> Option<Time> {
        (tx.action == Action::Sign as u8).then(|| tx.at + Span::from_ms(u64::from(tx.operand)))
    }

    fn sites(&self) -> u32 {
        u32::from(self.sites.hosts())
    }

    /// Never ends; the plan says for how long it is asked.
    fn next(&mut self) -> Option<Arrival> {
        loop {
            let read = self.times[Action::Check.index()];
            let write = self.times[self.source];
            let at = read.min(write);
            let (planned, upload) = (self.planned.at(), self.uploads.at());
            if planned <= at.min(upload) && planned != Time::NEVER {
                return self.planned.take();
            }
            if upload <= at && upload != Time::NEVER {
                return self.uploaded(upload);
            }
            if at == Time::NEVER {
                return None;
            }
            if read <= write {
                self.advance(Action::Check.index());
                return Some(self.look(read));
            }
            let source = self.source;
            let lock = self.clocks[Action::Lock.index()].at();
            self.advance(source);
            self.find_source();
            match Action::ALL.get(source) {
                None => self.begin_upload(write),
                Some(Action::Lock) => self.plan_lock(lock),
                Some(&action) => {
                    let content = self.write(action, write);
                    return Some(self.arrival(action, write, content));
                }
            }
        }
    }
}

impl Spec for Config {
    const PRESETS: &'static [&'static str] = &["phase3", "portfolio", "registry"];

    fn settle(&mut self) {
        self.locks_per_day = Some(self.locks_per_day());
        self.studies = Some(self.studies());
        self.sites = Some(self.sites());
    }

    fn build(&self, setup: Setup<'_>) -> Result<Built, Error> {
        let rate = setup.rate.unwrap_or_else(Rate::profile);
        let load = Trials::new(self, rate, setup.seed)?;
        Ok(Built {
            domain: Some(Box::new(load.domain())),
            ledger: Box::new(load.rules()),
            load: Box::new(load),
            import: None,
        })
    }
}
