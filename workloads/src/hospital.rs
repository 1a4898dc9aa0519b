//! Hospitals, practices, pharmacies and payers of a population: consent, records, prescriptions,
//! exchange and claims, at document granularity.
//!
//! Each class is a Poisson process with a clock of its own. What a transaction refers to was
//! submitted long before it ([`Config::settle_s`]) or exists before the first block, because
//! consensus may take minutes and the generator knows no outcome. Exceptions are deliberate: the
//! racers, which come within seconds, usually at another site.

mod batches;
mod cases;
mod catalogue;
pub(crate) mod classes;
mod config;
mod domain;
mod granularity;
mod people;
mod shapes;

pub use catalogue::Catalogue;
pub use config::{Config, Mix, Preset};
pub use granularity::Granularity;
pub use shapes::{Backlog, ClosedLoop, Storm};

use crate::arrivals::{Clock, Merged, named};
use crate::registry::{Built, Setup, Spec};
use crate::rules::full::approves;
use crate::rules::{
    Action, DECIDED_APPEAL, DECIDED_APPROVE, Layout, Records, fills, lot, starts_active,
};
use crate::{Error, Rate};
use batches::Batches;
use cases::{Case, Cases, Standing, Visits};
use catalogue::More;
use classes::{facts, full_bytes, vocabulary};
use domain::Care;
use people::People;
use quorate_core::{
    Arrival, Class, ClassId, Domain, Draws, EntityId, Kind, Load, Outcome, Seed, Span, Time,
};
use shapes::{Look, Replay, Surge, Users};

const CLASSES: usize = Action::ALL.len();

/// The class of an action that does not occur.
const NO_CLASS: ClassId = ClassId(u8::MAX);

/// What a transaction is about.
#[derive(Clone, Copy, Default)]
struct Content {
    key: u32,
    operand: u32,
    site: u16,
}

/// The generator.
pub struct Hospital {
    classes: Vec<Class>,
    /// The place of each action among the classes.
    ids: [ClassId; CLASSES],
    bytes: [u16; CLASSES],
    /// When who looks comes.
    reads: Clock,
    /// The writes that occur, and when.
    writes: Vec<Action>,
    /// Of those that are entries about visits, all that they have in common.
    entries: Vec<Option<Arrival>>,
    times: Merged,
    /// What each class draws besides its times.
    draws: Vec<Draws>,
    config: Config,
    settle: Span,
    mean_fills: f64,
    people: People,
    standing: Standing,
    layout: Layout,
    next_entity: u32,
    prescriptions: Cases,
    cancellable: Cases,
    documents: Cases,
    open_claims: Cases,
    approved_claims: Cases,
    visits: Visits,
    batches: Option<Batches>,
    /// What the whole catalogue needs, if it is on.
    more: Option<More>,
    /// The classes with deadlines.
    due: Vec<ClassId>,
    /// The classes on visits.
    local: Vec<ClassId>,
    surge: Option<Surge>,
    replay: Option<Replay>,
    users: Option<Users>,
    /// Whether anything comes that no class's clock tells.
    extras: bool,
    /// Follow-ups within seconds, latest first.
    racers: Vec<Arrival>,
    unsettled: u64,
}

impl Hospital {
    /// A generator; the same arguments give the same arrivals.
    ///
    /// # Errors
    /// When a setting is out of its range; the error names it.
    pub fn new(config: &Config, rate: Rate, seed: Seed) -> Result<Self, Error> {
        config.check()?;
        rate.check()?;
        let layout = config.layout(rate)?;
        let mut clocks = clocks(config, rate, seed);
        let reads = clocks.remove(Action::AccessCheck.index());
        let occurs = |(_, clock): &(Action, Clock)| clock.at() != Time::NEVER;
        let writes = Action::ALL[1..].iter().copied().zip(clocks);
        let (writes, clocks) = writes.filter(occurs).unzip();
        let (classes, ids) = classes(config, rate);
        let mut all = Self {
            classes,
            ids,
            bytes: Action::ALL.map(|action| match action {
                // A local read is on no wire.
                Action::AccessCheck => 0,
                _ => config.payload.bytes(full_bytes(action, config.granularity)),
            }),
            reads,
            writes,
            entries: Vec::new(),
            times: Merged::new(clocks),
            draws: Action::ALL
                .map(|a| seed.stream("content", named(facts(a).name)))
                .into(),
            settle: Span::from_s_f64(config.settle_s),
            mean_fills: config.mean_fills(),
            people: People::new(config, layout.patients),
            standing: Standing::new(layout.consents().end, starts_active),
            next_entity: layout.end(),
            prescriptions: Cases::preloaded(layout.prescriptions(), 0),
            cancellable: Cases::preloaded(layout.cancellable(), 0),
            documents: Cases::preloaded(layout.documents(), 1),
            open_claims: Cases::preloaded(layout.open_claims(), 0),
            approved_claims: Cases::preloaded(layout.approved_claims(), 0),
            visits: Visits::preloaded(layout.visits(), config.leaving(rate)),
            batches: batches(config, rate, seed),
            more: config
                .catalogue
                .map(|settings| More::new(settings, config, &layout, seed)),
            due: config
                .catalogue
                .iter()
                .map(|_| ids[Action::AccessReview.index()])
                .collect(),
            local: (Action::ALL.iter())
                .filter(|action| action.is_on_visit())
                .map(|action| ids[action.index()])
                .filter(|&id| id != NO_CLASS)
                .collect(),
            surge: config
                .storm
                .map(|storm| Surge::new(storm, config.people(), seed)),
            replay: config
                .backlog
                .map(|backlog| Replay::new(backlog, &layout, seed)),
            users: config.closed_loop.map(|users| Users::new(users, seed)),
            extras: config.catalogue.is_some()
                || config.storm.is_some()
                || config.closed_loop.is_some(),
            racers: Vec::with_capacity(1024),
            unsettled: 0,
            layout,
            config: config.clone(),
        };
        let entry = |&write: &Action| {
            (write.is_entry()).then(|| all.arrival(write, Time::ZERO, Content::default()))
        };
        all.entries = all.writes.iter().map(entry).collect();
        Ok(all)
    }

    /// The rules of the ledger that these arrivals belong to.
    pub fn rules(&self) -> Records {
        let rules = Records::new(self.layout, self.mean_fills);
        match &self.config.catalogue {
            Some(catalogue) => rules.with_full(catalogue.rules(&self.config)),
            None => rules,
        }
    }

    /// What care wants to know of the final order of these arrivals.
    pub fn domain(&self) -> impl Domain + use<> {
        let within = self.config.catalogue.map(|c| c.review_within_s);
        Care::new(&self.classes, within.map(Span::from_s_f64))
    }

    /// Dependents so far that came sooner after their parent than [`Config::settle_s`], because no
    /// older case was open.
    pub const fn unsettled(&self) -> u64 {
        self.unsettled
    }

    #[inline]
    fn arrival(&self, action: Action, at: Time, content: Content) -> Arrival {
        let Content { key, operand, site } = content;
        Arrival {
            at,
            key: EntityId::new(key),
            operand,
            bytes: self.bytes[action.index()],
            exec_us: match action {
                Action::AccessCheck => self.config.read_us,
                _ => self.config.exec_us,
            },
            site,
            class: self.ids[action.index()],
            action: action as u8,
        }
    }

    /// What the next write of a class is about.
    fn write(&mut self, action: Action, at: Time) -> Content {
        match action {
            Action::AccessCheck => self.check(),
            Action::AccessRecord
            | Action::BreakGlass
            | Action::ConsentGrant
            | Action::ConsentRevoke
            | Action::ExchangeRequest => self.consented(action, at),
            Action::ReportIssue if self.more.is_some() => self.dependent(action, at),
            Action::RecordAnchor
            | Action::ReportIssue
            | Action::ReportOrder
            | Action::ErxIssue
            | Action::ClaimSubmit
            | Action::IdentityRegister => self.created(action, at),
            Action::ConsentDelegate => self.delegate(at),
            Action::RecordAmend
            | Action::ErxCancel
            | Action::ErxDispense
            | Action::ClaimAdjudicate
            | Action::ClaimPay => self.dependent(action, at),
            Action::VisitOpen => {
                let patient = self.people.patient(&mut self.draws[action.index()]);
                let visit = self.next_entity;
                self.next_entity += 1;
                self.visits.begin(visit, at + self.settle);
                self.visited(Some(visit), patient)
            }
            Action::VisitClose => {
                let visit = self.visits.end(at);
                self.visited(visit, 0)
            }
            Action::AnchorBatch
            | Action::AccessReview
            | Action::ExchangeRespond
            | Action::ReportCorrect
            | Action::IdentityLink
            | Action::IdentityUnlink => unreachable!("{action:?} has no clock"),
            // Behind something else that comes at the same instant.
            _ => {
                let visit = self.visits.any(at, &mut self.draws[action.index()]);
                self.visited(visit, 0)
            }
        }
    }

    /// Transactions on a visit, which is all at one site.
    #[inline]
    fn visited(&mut self, visit: Option<u32>, operand: u32) -> Content {
        self.unsettled += u64::from(visit.is_none());
        let key = visit.unwrap_or(0);
        Content {
            key,
            operand,
            site: self.people.home(key),
        }
    }

    /// The next root of a site.
    fn root(&mut self) -> Option<Arrival> {
        let (at, site, operand) = self.batches.as_mut()?.take();
        let key = self.layout.submitters().start + u32::from(site);
        let content = Content { key, operand, site };
        Some(self.arrival(Action::AnchorBatch, at, content))
    }

    /// A grantee asks for its consent, active or not.
    fn check(&mut self) -> Content {
        let key = self
            .people
            .consent(&mut self.draws[Action::AccessCheck.index()]);
        Content {
            key,
            operand: 0,
            site: self.people.grantee(key),
        }
    }

    /// Transactions on a consent.
    fn consented(&mut self, action: Action, at: Time) -> Content {
        let Self {
            people,
            standing,
            draws,
            ..
        } = self;
        let draws = &mut draws[action.index()];
        standing.settle(at);
        if let Some(more) = &mut self.more {
            more.expire(at, standing);
        }
        let mut key = match action {
            Action::AccessRecord => standing.find(true, || people.consent(draws)),
            Action::ExchangeRequest => standing.find(true, || people.consent_from(1, draws)),
            Action::ConsentRevoke => standing.find(true, || people.consent_from(0, draws)),
            _ => standing.find(false, || people.consent_from(0, draws)),
        };
        let mut operand = 0;
        match action {
            Action::ConsentGrant => {
                let chosen = key;
                (key, operand) = self.grant_terms(key, at);
                // Another consent, for research, lets nobody treat.
                if key == chosen {
                    self.standing.grant(key, at + self.settle);
                }
            }
            Action::ConsentRevoke => {
                standing.revoke(key);
                operand = self.revoke_terms(key);
                self.after_revoke(key, at);
            }
            _ => {}
        }
        let site = match action {
            // The patient's own act.
            Action::ConsentGrant | Action::ConsentRevoke => {
                self.people.home(key / Layout::GRANTEES)
            }
            _ => self.people.grantee(key),
        };
        let mut content = Content { key, operand, site };
        self.consented_in_full(action, &mut content, at);
        content
    }

    /// The grantee who does not know yet.
    fn after_revoke(&mut self, key: u32, at: Time) {
        let grantee = Content {
            key,
            operand: 0,
            site: self.people.grantee(key),
        };
        let draws = &mut self.draws[Action::ConsentRevoke.index()];
        let access =
            draws.chance(self.config.racing_access_share) && self.config.granularity.has_accesses();
        let mean = self.config.rechecks_per_revoke;
        let checks = mean as u32 + u32::from(draws.chance(mean - mean.floor()));
        if access {
            self.race(Action::AccessRecord, Action::ConsentRevoke, grantee, at);
        }
        for _ in 0..checks {
            self.race(Action::AccessCheck, Action::ConsentRevoke, grantee, at);
        }
    }

    /// Transactions that create a record.
    fn created(&mut self, action: Action, at: Time) -> Content {
        let draws = &mut self.draws[action.index()];
        let patient = self.people.patient(draws);
        let entity = self.next_entity;
        self.next_entity += 1;
        let mut content = Content {
            key: entity,
            operand: 0,
            site: self.people.place(patient, draws),
        };
        let ready = at + self.settle;
        let case = |step| Case {
            ready,
            entity,
            step,
        };
        match action {
            // Nothing comes of them.
            _ if self.config.granularity != Granularity::Document => {}
            Action::RecordAnchor if lot(entity, 1) < self.config.amend_share => {
                self.documents.add(case(1));
            }
            Action::ErxIssue => {
                content.operand = fills(entity, self.mean_fills);
                let cancelled = lot(entity, 1) < self.config.cancel_share;
                let cases = if cancelled {
                    &mut self.cancellable
                } else {
                    &mut self.prescriptions
                };
                cases.add(case(0));
            }
            Action::ClaimSubmit => {
                self.open_claims.add(case(0));
                let racing = draws.chance(self.config.racing_claim_share);
                self.created_in_full(action, &mut content, patient, at);
                if racing {
                    self.race_elsewhere(action, action, content, at);
                }
                return content;
            }
            _ => {}
        }
        self.created_in_full(action, &mut content, patient, at);
        content
    }

    /// Transactions on an earlier record.
    fn dependent(&mut self, action: Action, at: Time) -> Content {
        let cases = match action {
            Action::RecordAmend => &mut self.documents,
            Action::ErxCancel => &mut self.cancellable,
            Action::ErxDispense => &mut self.prescriptions,
            Action::ClaimAdjudicate => &mut self.open_claims,
            Action::ReportIssue => match &mut self.more {
                Some(more) => &mut more.orders,
                None => unreachable!("reports without orders are created"),
            },
            _ => &mut self.approved_claims,
        };
        // Without an open case there is nothing to refer to: the ledger refuses the first consent
        // as a case of any kind.
        let case = cases.take();
        self.unsettled += u64::from(case.is_none_or(|case| case.ready > at));
        let (entity, step) = case.map_or((0, 0), |case| (case.entity, case.step));
        let draws = &mut self.draws[action.index()];
        let site = self.people.place(entity, draws);
        let mut content = Content {
            key: entity,
            operand: step,
            site,
        };
        if case.is_none() {
            return content;
        }
        let case = |step| Case {
            ready: at + self.settle,
            entity,
            step,
        };
        match action {
            Action::RecordAmend if draws.chance(self.config.amend_share) => {
                self.documents.add(case(step + 1));
            }
            Action::ErxCancel if draws.chance(self.config.racing_cancel_share) => {
                self.race_elsewhere(Action::ErxDispense, action, content, at);
            }
            Action::ErxDispense => {
                if step + 1 < fills(entity, self.mean_fills) {
                    self.prescriptions.add(case(step + 1));
                }
                if draws.chance(self.config.racing_dispense_share) {
                    self.race_elsewhere(action, action, content, at);
                }
            }
            Action::ClaimAdjudicate => {
                content.operand = self.decision(entity, step);
                if content.operand & DECIDED_APPROVE != 0 {
                    self.approved_claims.add(case(0));
                } else if step == 0 {
                    self.open_claims.add(case(1));
                }
            }
            _ => {}
        }
        self.dependent_in_full(action, &mut content, at);
        content
    }

    /// The payer's decision: a function of the claim, as a contract's would be.
    fn decision(&self, claim: u32, round: u32) -> u32 {
        let appeal = round > 0;
        let (denial, overturn) = (self.config.denial_share, self.config.overturn_share);
        let approved = approves(claim, appeal, denial, overturn);
        (u32::from(appeal) * DECIDED_APPEAL) | (u32::from(approved) * DECIDED_APPROVE)
    }

    /// Appends the next arrivals, so many at most, as long as they are entries about visits: by far the most
    /// are, where there are any.
    fn next_entries(&mut self, most: usize, arrivals: &mut Vec<Arrival>) {
        // What comes unannounced may come before, and would find visits that have not settled.
        if self.extras {
            return;
        }
        let (staying, until) = self.visits.staying(self.times.first().0);
        if staying.is_empty() {
            return;
        }
        let racer = self.racers.last().map_or(Time::NEVER, |racer| racer.at);
        // No entry changes this.
        let before = self.reads.at().min(racer).min(until);
        let (first, many) = (arrivals.len(), staying.len() as u64);
        for (at, place) in self.times.known().take(most) {
            let Some(entry) = self.entries[place].as_ref().filter(|_| at < before) else {
                break;
            };
            let draws = &mut self.draws[usize::from(entry.action)];
            // Its place for now.
            let visit = staying.start + draws.below(many) as usize;
            let key = EntityId::new(visit as u32);
            arrivals.push(Arrival { at, key, ..*entry });
        }
        // By themselves, so that none waits for the memory of the one before.
        for entry in &mut arrivals[first..] {
            let visit = self.visits.at(entry.key.index());
            entry.key = EntityId::new(visit);
            entry.site = self.people.home(visit);
        }
        let told = arrivals.len() - first;
        self.times.skip(told);
    }

    /// The next arrival, whatever its site does with it.
    fn generate(&mut self) -> Option<Arrival> {
        let read = self.reads.at();
        let (write, place) = self.times.first();
        let at = read.min(write);
        if self.extras
            && let Some(extra) = self.extra(at)
        {
            return Some(extra);
        }
        if self.racers.last().is_some_and(|racer| racer.at <= at) {
            return self.racers.pop();
        }
        if at == Time::NEVER {
            return self.root();
        }
        if read <= write {
            self.reads.advance();
            let content = self.check();
            return Some(self.arrival(Action::AccessCheck, read, content));
        }
        let action = self.writes[place];
        self.times.advance();
        let content = self.write(action, write);
        Some(self.arrival(action, write, content))
    }

    /// What comes before `at` and before any racer, and no class's clock tells.
    fn extra(&mut self, at: Time) -> Option<Arrival> {
        let before = at.min(self.racers.last().map_or(Time::NEVER, |racer| racer.at));
        let later = self.more.as_ref().map_or(Time::NEVER, More::at);
        let storm = self.surge.as_ref().map_or(Time::NEVER, |surge| surge.at);
        let user = self.users.as_ref().map_or(Time::NEVER, Users::at);
        let first = later.min(storm).min(user);
        if first > before || first == Time::NEVER {
            return None;
        }
        if first == later {
            return self.more.as_mut()?.take();
        }
        if first == storm {
            return self.stormy();
        }
        let look = self.users.as_mut()?.begin()?;
        Some(self.look(look))
    }

    /// A revocation of the storm, with draws of its own.
    fn stormy(&mut self) -> Option<Arrival> {
        const REVOKE: Action = Action::ConsentRevoke;
        let mut surge = self.surge.take()?;
        let at = surge.at;
        surge.advance();
        core::mem::swap(&mut self.draws[REVOKE.index()], &mut surge.draws);
        let content = self.consented(REVOKE, at);
        core::mem::swap(&mut self.draws[REVOKE.index()], &mut surge.draws);
        self.surge = Some(surge);
        Some(self.arrival(REVOKE, at, content))
    }

    /// An access by a user of the closed loop, whose number, from 1, is the operand.
    fn look(&self, mut look: Look) -> Arrival {
        let key = self.people.consent(&mut look.draws);
        let content = Content {
            key,
            operand: look.user + 1,
            site: self.people.grantee(key),
        };
        self.arrival(Action::AccessRecord, look.at, content)
    }

    /// Schedules a racer at another site, if there is one.
    fn race_elsewhere(&mut self, what: Action, by: Action, mut content: Content, at: Time) {
        let bits = self.draws[by.index()].bits();
        content.site = self.people.other_site(content.site, bits);
        self.race(what, by, content, at);
    }

    /// Schedules a `what` within seconds of a transaction `by`, whose stream it draws from.
    fn race(&mut self, what: Action, by: Action, content: Content, at: Time) {
        let within_s = match what {
            Action::AccessCheck => self.config.recheck_s,
            _ => self.config.race_s,
        };
        let delay_s = self.draws[by.index()].open01() * within_s;
        let racer = self.arrival(what, at + Span::from_s_f64(delay_s), content);
        let place = self.racers.partition_point(|r| r.at > racer.at);
        self.racers.insert(place, racer);
    }
}

fn class(action: Action, config: &Config) -> Class {
    let classes::Facts { name, kind, .. } = facts(action);
    let expiry = config.expiry_s.map(Span::from_s_f64);
    Class {
        name,
        kind,
        expiry: expiry.filter(|_| kind != Kind::Read),
        tells: match action {
            Action::ConsentRevoke => "revocation exposure",
            _ => "",
        },
    }
}

/// The classes that occur, and the place of each action among them. Documents have all of theirs, so
/// that a rate of 0 moves no other.
fn classes(config: &Config, rate: Rate) -> (Vec<Class>, [ClassId; CLASSES]) {
    let per_s = config.rates_per_s(rate);
    let mut ids = [NO_CLASS; CLASSES];
    let mut classes = Vec::new();
    for action in Action::ALL {
        let document =
            config.granularity == Granularity::Document && action <= Action::IdentityRegister;
        let follows = config.catalogue.is_some() && action > Action::AnchorBatch;
        // Who was revoked looks once more, even where nobody else does.
        let rechecks = action == Action::AccessCheck
            && per_s[Action::ConsentRevoke.index()] * config.rechecks_per_revoke > 0.0;
        if document || follows || rechecks || per_s[action.index()] > 0.0 {
            ids[action.index()] = ClassId(classes.len() as u8);
            classes.push(class(action, config));
        }
    }
    (classes, ids)
}

fn clocks(config: &Config, rate: Rate, seed: Seed) -> Vec<Clock> {
    let mut per_s = config.rates_per_s(rate);
    // Roots come at fixed times.
    per_s[Action::AnchorBatch.index()] = 0.0;
    let clock = |action: Action| {
        let shape = classes::shape(action, config.granularity);
        Clock::new(rate, per_s[action.index()], shape, seed, facts(action).name)
    };
    Action::ALL.map(clock).into()
}

fn batches(config: &Config, rate: Rate, seed: Seed) -> Option<Batches> {
    let per_s = config.rates_per_s(rate)[Action::AnchorBatch.index()];
    (per_s > 0.0).then(|| Batches::new(config.sites(), per_s, seed))
}

impl Load for Hospital {
    fn classes(&self) -> &[Class] {
        &self.classes
    }

    fn sites(&self) -> u32 {
        u32::from(self.people.sites())
    }

    /// A visit is all at one site. An entry that found none names a consent, which refuses it whatever else
    /// happens to it.
    fn local(&self) -> &[ClassId] {
        &self.local
    }

    fn deadlines(&self) -> &[ClassId] {
        &self.due
    }

    /// A review's is part of it.
    fn deadline(&self, tx: &Arrival) -> Option<Time> {
        Self::review_due(tx)
    }

    fn reacts(&self) -> bool {
        self.more.is_some() || self.users.is_some()
    }

    fn react(&mut self, outcome: &Outcome, arrivals: &mut Vec<Arrival>) {
        self.follow_up(outcome, arrivals);
        let look = self.users.as_ref().and_then(|users| users.again(outcome));
        arrivals.extend(look.map(|look| self.look(look)));
    }

    fn next_some(&mut self, arrivals: &mut Vec<Arrival>) {
        // assumption: enough to do this many in one go, and few enough to stay in the nearest cache.
        const SOME: usize = 64;
        if self.reacts() || self.replay.is_some() {
            return arrivals.extend(self.next());
        }
        let enough = arrivals.len() + SOME;
        arrivals.reserve(SOME);
        while arrivals.len() < enough {
            self.next_entries(enough - arrivals.len(), arrivals);
            if arrivals.len() < enough {
                let Some(next) = self.generate() else { return };
                arrivals.push(next);
            }
        }
    }

    /// Never ends; the plan says for how long it is asked.
    fn next(&mut self) -> Option<Arrival> {
        let Some(mut replay) = self.replay.take() else {
            return self.generate();
        };
        let next = replay.next(|| self.generate());
        self.replay = Some(replay);
        next
    }
}

/// What care wants to know of the final order of arrivals of these classes.
pub(crate) fn domain_of(classes: &[Class]) -> impl Domain + use<> {
    Care::new(classes, None)
}

impl Spec for Config {
    const PRESETS: &'static [&'static str] = &["clinic", "hospital", "region", "nation"];

    fn settle(&mut self) {
        self.people = Some(self.people());
        self.sites = Some(self.sites());
    }

    fn warning(&self) -> Option<&'static str> {
        self.closed_loop.map(|_| ClosedLoop::WARNING)
    }

    fn vocabulary(&self) -> Vec<(&'static str, &'static str)> {
        let granularity = self.granularity;
        let name = |action| (facts(action).name, vocabulary(action, granularity));
        let (_, ids) = classes(self, Rate::profile());
        let occurs = |action: &Action| ids[action.index()].0 < u8::MAX;
        Action::ALL.into_iter().filter(occurs).map(name).collect()
    }

    fn build(&self, setup: Setup<'_>) -> Result<Built, Error> {
        let rate = setup.rate.unwrap_or_else(Rate::profile);
        let load = Hospital::new(self, rate, setup.seed)?;
        Ok(Built {
            domain: Some(Box::new(load.domain())),
            ledger: Box::new(load.rules()),
            load: Box::new(load),
            import: None,
        })
    }
}
