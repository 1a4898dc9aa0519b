//! The whole catalogue: what its further transactions and rules need, and when they come.

use super::config::Config;
use super::{Action, Content, Granularity, Hospital};
use crate::Error;
use crate::rules::full::{
    self, CLINICIAN, ConsentTerms, Full, Purpose, RULES, STEWARD, has_proxy, is_covered,
    patient_of, payer_of,
};
use crate::rules::{DECIDED_APPEAL, Layout};
use quorate_core::dist::exponential;
use quorate_core::{Arrival, Outcome, Seed, Span, Time, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

use super::cases::{Case, Cases, Standing};

/// Settings of the whole catalogue; the table switches it on.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Catalogue {
    /// Share of patients for whom a proxy signs.
    pub proxy_share: f64,
    /// Delegations begun or ended per consent granted.
    pub delegate_share: f64,
    /// Share of grants for research.
    pub research_share: f64,
    /// Share of grants that end by themselves.
    pub expiry_share: f64,
    /// … after so many minutes.
    pub expiry_min: u32,
    /// Share of emergency accesses that are reviewed at all.
    pub review_share: f64,
    /// Mean seconds until the review of an emergency access that is on record, exponential.
    pub review_mean_s: f64,
    /// Seconds within which a review is due.
    pub review_within_s: f64,
    /// Share of exchange requests that are answered.
    pub answer_share: f64,
    /// Mean seconds until the answer to a request that is on record, exponential.
    pub answer_mean_s: f64,
    /// Share of answers that a second organisation gives as well.
    pub racing_answer_share: f64,
    /// Share of reports corrected later.
    pub correct_share: f64,
    /// Share of sites with an accredited laboratory, the largest.
    pub lab_share: f64,
    /// Share of amendments that another author races.
    pub racing_amend_share: f64,
    /// Share of registrations of somebody known already, linked later.
    pub duplicate_share: f64,
    /// Share of links that are taken back.
    pub wrong_link_share: f64,
    /// Share of registrations that another site makes as well.
    pub racing_register_share: f64,
    /// Share of patients whom no insurer covers.
    pub uninsured_share: f64,
    /// Payers, each with an account.
    pub payers: u32,
    /// What each account holds before the first block, in cents.
    pub payer_balance_cents: u64,
    /// Share of payments sent twice.
    pub racing_pay_share: f64,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self {
            // assumption: children and patients under guardianship.
            proxy_share: 0.2,
            // assumption.
            delegate_share: 0.02,
            // assumption: one grant in ten is for research.
            research_share: 0.1,
            // assumption: a third of consents are for one course of treatment, 30 days.
            expiry_share: 0.3,
            expiry_min: 43_200,
            // assumption: reviews are sampled where there are many, and all are due within three days.
            review_share: 0.98,
            review_mean_s: 86_400.0,
            review_within_s: 259_200.0,
            // assumption: most requests find a document, and machines answer.
            answer_share: 0.95,
            answer_mean_s: 2.0,
            // assumption.
            racing_answer_share: 0.01,
            // assumption.
            correct_share: 0.01,
            // assumption: half of the sites, among them all large ones.
            lab_share: 0.5,
            // assumption: two clinicians with one record open.
            racing_amend_share: 0.05,
            // source: as few as half of the patients are matched across organisations (Pew);
            // assumption: one registration in five is of somebody known.
            duplicate_share: 0.2,
            // assumption.
            wrong_link_share: 0.05,
            // assumption: admitted at one site while referred to another.
            racing_register_share: 0.02,
            // assumption: about the share of people without insurance in the US.
            uninsured_share: 0.08,
            // assumption: a market with a few large payers, each funded for longer than a run.
            payers: 8,
            payer_balance_cents: 100_000_000_000_000,
            // assumption.
            racing_pay_share: 0.001,
        }
    }
}

impl Catalogue {
    pub(super) fn check(&self, granularity: Granularity) -> Result<(), Error> {
        let fits = granularity == Granularity::Document;
        let hint = "the whole catalogue is one of documents: leave `granularity` out";
        Error::unless(fits, "catalogue", &granularity.name(), hint)?;
        for (key, share) in [
            ("catalogue.proxy_share", self.proxy_share),
            ("catalogue.delegate_share", self.delegate_share),
            ("catalogue.research_share", self.research_share),
            ("catalogue.expiry_share", self.expiry_share),
            ("catalogue.review_share", self.review_share),
            ("catalogue.answer_share", self.answer_share),
            ("catalogue.racing_answer_share", self.racing_answer_share),
            ("catalogue.correct_share", self.correct_share),
            ("catalogue.lab_share", self.lab_share),
            ("catalogue.racing_amend_share", self.racing_amend_share),
            ("catalogue.duplicate_share", self.duplicate_share),
            ("catalogue.wrong_link_share", self.wrong_link_share),
            (
                "catalogue.racing_register_share",
                self.racing_register_share,
            ),
            ("catalogue.racing_pay_share", self.racing_pay_share),
        ] {
            let fits = (0.0..=1.0).contains(&share);
            Error::unless(fits, key, &share, "a share lies between 0 and 1")?;
        }
        let fits = (0.0..=0.9).contains(&self.uninsured_share);
        let hint = "between 0 and 0.9: somebody must pay";
        Error::unless(
            fits,
            "catalogue.uninsured_share",
            &self.uninsured_share,
            hint,
        )?;
        for (key, s) in [
            ("catalogue.review_mean_s", self.review_mean_s),
            ("catalogue.review_within_s", self.review_within_s),
            ("catalogue.answer_mean_s", self.answer_mean_s),
        ] {
            let fits = (0.0..=1e7).contains(&s);
            Error::unless(fits, key, &s, "seconds between 0 and 10 million")?;
        }
        let fits = (1..=500_000).contains(&self.expiry_min);
        let hint = "minutes between 1 and 500,000";
        Error::unless(fits, "catalogue.expiry_min", &self.expiry_min, hint)?;
        let fits = (1..=1024).contains(&self.payers);
        Error::unless(
            fits,
            "catalogue.payers",
            &self.payers,
            "between 1 and 1,024",
        )
    }

    /// Events of a class per event of another: those that follow within a replication.
    pub(super) fn follow(&self, rate: impl Fn(Action) -> f64) -> f64 {
        let registered = rate(Action::IdentityRegister);
        let links = registered * self.duplicate_share;
        rate(Action::BreakGlass) * self.review_share
            + rate(Action::ExchangeRequest) * self.answer_share * (1.0 + self.racing_answer_share)
            + rate(Action::ReportIssue) * self.correct_share
            + rate(Action::RecordAmend) * self.racing_amend_share
            + links * (1.0 + self.wrong_link_share)
            + registered * self.racing_register_share
            + rate(Action::ClaimPay) * self.racing_pay_share
    }

    /// The rules that go with it.
    pub(super) fn rules(&self, config: &Config) -> Full {
        Full {
            sites: config.sites(),
            labs: self.labs(config.sites()),
            denial_share: config.denial_share,
            overturn_share: config.overturn_share,
            uninsured_share: self.uninsured_share,
            proxy_share: self.proxy_share,
            balance: self.payer_balance_cents,
        }
    }

    fn labs(&self, sites: u16) -> u16 {
        ((f64::from(sites) * self.lab_share) as u16).max(1)
    }
}

/// What the generator of the whole catalogue remembers.
pub(super) struct More {
    pub(super) settings: Catalogue,
    seed: Seed,
    labs: u16,
    /// How often each consent was granted, modulo 256.
    nonces: Vec<u8>,
    /// Grants that end by themselves: when, which, and by which grant.
    expiring: VecDeque<(Time, u32, u8)>,
    research: Standing,
    delegates: Standing,
    pub(super) orders: Cases,
    /// Documents of patients with an insurer, oldest first.
    billable: VecDeque<Case>,
    /// Follow-ups in order of time, and of what led to them.
    later: BTreeMap<(Time, u64), Arrival>,
    planned: u64,
}

/// Latest documents that claims may be for.
// assumption: more than a region creates while something settles.
const BILLABLE: usize = 8192;

impl More {
    pub(super) fn new(settings: Catalogue, config: &Config, layout: &Layout, seed: Seed) -> Self {
        let consents = layout.consents().end;
        let (proxy, uninsured) = (settings.proxy_share, settings.uninsured_share);
        let covered =
            |document: &u32| is_covered(patient_of(*document, layout.patients), uninsured);
        Self {
            seed,
            labs: settings.labs(config.sites()),
            nonces: vec![0; consents as usize],
            expiring: VecDeque::new(),
            research: Standing::new(consents, |_| false),
            delegates: Standing::new(consents, |consent| has_proxy(consent, proxy)),
            orders: Cases::preloaded(layout.orders(), 0),
            billable: layout
                .documents()
                .filter(covered)
                .take(BILLABLE)
                .map(|entity| Case {
                    ready: Time::ZERO,
                    entity,
                    step: 0,
                })
                .collect(),
            later: BTreeMap::new(),
            planned: 0,
            settings,
        }
    }

    /// When the next follow-up is due.
    pub(super) fn at(&self) -> Time {
        self.later
            .first_key_value()
            .map_or(Time::NEVER, |(k, _)| k.0)
    }

    pub(super) fn take(&mut self) -> Option<Arrival> {
        self.later.pop_first().map(|(_, arrival)| arrival)
    }

    pub(super) fn plan(&mut self, arrival: Arrival) {
        self.later.insert((arrival.at, self.planned), arrival);
        self.planned += 1;
    }

    /// Consents that have ended by themselves.
    pub(super) fn expire(&mut self, now: Time, standing: &mut Standing) {
        while let Some(&(at, consent, nonce)) = self.expiring.front()
            && at <= now
        {
            self.expiring.pop_front();
            if self.nonces[consent as usize] == nonce {
                standing.revoke(consent);
                self.research.revoke(consent);
            }
        }
        self.research.settle(now);
        self.delegates.settle(now);
    }

    /// A document whose patient is covered, not always another.
    fn bill(&mut self, at: Time) -> u32 {
        if self.billable.get(1).is_some_and(|next| next.ready <= at) {
            self.billable.pop_front();
        }
        self.billable.front().map_or(0, |case| case.entity)
    }

    /// A document that claims may be for.
    pub(super) fn anchored(&mut self, patient: u32, case: Case) {
        if is_covered(patient, self.settings.uninsured_share) {
            self.billable.push_back(case);
            if self.billable.len() > BILLABLE {
                self.billable.pop_front();
            }
        }
    }
}

fn minute_after(at: Time, minutes: u32) -> u32 {
    (at.ns() / 60_000_000_000) as u32 + minutes
}

impl Hospital {
    /// The operand of a grant, and its consent, which for research is another.
    pub(super) fn grant_terms(&mut self, key: u32, at: Time) -> (u32, u32) {
        let Some(more) = &mut self.more else {
            return (key, 0);
        };
        let draws = &mut self.draws[Action::ConsentGrant.index()];
        let research = draws.chance(more.settings.research_share);
        let people = &self.people;
        let key = if research {
            more.research.find(false, || people.consent_from(0, draws))
        } else {
            key
        };
        let nonce = &mut more.nonces[key as usize];
        *nonce = nonce.wrapping_add(1);
        let nonce = *nonce;
        let mut expiry_min = 0;
        if draws.chance(more.settings.expiry_share) {
            expiry_min = minute_after(at, more.settings.expiry_min);
            let end = Time::from_ns(u64::from(expiry_min) * 60_000_000_000);
            // It is not used any more when it is about to end.
            let end = end.saturating_sub(self.settle).max(at);
            more.expiring.push_back((end, key, nonce));
        }
        let purpose = if research {
            Purpose::Research
        } else {
            Purpose::Treatment
        };
        if research {
            more.research.grant(key, at + self.settle);
        }
        let terms = ConsentTerms {
            purpose: purpose as u32,
            by_proxy: more.delegates.is_active(key),
            nonce,
            expiry_min,
        };
        (key, terms.pack())
    }

    pub(super) fn revoke_terms(&self, key: u32) -> u32 {
        self.more.as_ref().map_or(0, |more| {
            let terms = ConsentTerms {
                purpose: Purpose::Treatment as u32,
                by_proxy: more.delegates.is_active(key),
                nonce: 0,
                expiry_min: 0,
            };
            terms.pack()
        })
    }

    /// A patient names a proxy for a consent, or ends that.
    pub(super) fn delegate(&mut self, at: Time) -> Content {
        let draws = &mut self.draws[Action::ConsentDelegate.index()];
        let key = self.people.consent_from(0, draws);
        let mut content = Content {
            key,
            operand: 0,
            site: self.people.home(key / Layout::GRANTEES),
        };
        if let Some(more) = &mut self.more {
            more.delegates.settle(at);
            if more.delegates.is_active(key) {
                more.delegates.revoke(key);
            } else {
                content.operand = 1;
                more.delegates.grant(key, at + self.settle);
            }
        }
        content
    }

    /// The operands that the whole catalogue asks for, of a transaction that creates a record.
    pub(super) fn created_in_full(
        &mut self,
        action: Action,
        content: &mut Content,
        patient: u32,
        at: Time,
    ) {
        let Some(more) = &mut self.more else { return };
        let case = Case {
            ready: at + self.settle,
            entity: content.key,
            step: 0,
        };
        let settings = more.settings;
        match action {
            Action::RecordAnchor => {
                content.operand = patient;
                more.anchored(patient, case);
            }
            Action::ErxIssue => content.operand |= patient << 6,
            Action::ReportOrder => more.orders.add(case),
            Action::ClaimSubmit => content.operand = more.bill(at),
            Action::IdentityRegister => {
                let draws = &mut self.draws[action.index()];
                let (racing, known, wrong) = (
                    draws.chance(settings.racing_register_share),
                    draws.chance(settings.duplicate_share),
                    draws.chance(settings.wrong_link_share),
                );
                if racing {
                    self.race_elsewhere(action, action, *content, at);
                }
                if known {
                    self.link(*content, patient, wrong, at);
                }
            }
            _ => {}
        }
    }

    /// What was registered is linked to the patient it belongs to, and perhaps taken back.
    fn link(&mut self, content: Content, patient: u32, wrong: bool, at: Time) {
        let operand = self.layout.people().start + patient;
        let link = Content { operand, ..content };
        self.follow(Action::IdentityLink, at + self.settle, link);
        if wrong {
            let site = STEWARD;
            let unlink = Content { site, ..link };
            let at = at + self.settle + self.settle;
            self.follow(Action::IdentityUnlink, at, unlink);
        }
    }

    fn follow(&mut self, action: Action, at: Time, content: Content) {
        let arrival = self.arrival(action, at, content);
        if let Some(more) = &mut self.more {
            more.plan(arrival);
        }
    }

    /// The same of a transaction on an earlier record.
    pub(super) fn dependent_in_full(&mut self, action: Action, content: &mut Content, at: Time) {
        let Some(more) = &mut self.more else { return };
        let settings = more.settings;
        match action {
            Action::RecordAmend => {
                // The reason is one of a list.
                content.operand |= 1 << 24;
                if self.draws[action.index()].chance(settings.racing_amend_share) {
                    self.race_elsewhere(action, action, *content, at);
                }
            }
            Action::ReportIssue => {
                let draws = &mut self.draws[action.index()];
                content.site = (draws.bits() % u64::from(more.labs)) as u16;
                if draws.chance(settings.correct_share) {
                    let later = *content;
                    self.follow(Action::ReportCorrect, at + self.settle, later);
                }
            }
            Action::ClaimAdjudicate => {
                content.operand = content.operand & DECIDED_APPEAL | RULES << 8;
            }
            Action::ClaimPay => {
                let payers = self.layout.payers();
                content.operand = content.key;
                content.key = payers.start + payer_of(content.key, payers.len() as u32);
                if self.draws[action.index()].chance(settings.racing_pay_share) {
                    self.race_elsewhere(action, action, *content, at);
                }
            }
            _ => {}
        }
    }

    /// The operand of an emergency access, and a request as a record of its own.
    pub(super) fn consented_in_full(&mut self, action: Action, content: &mut Content, at: Time) {
        if self.more.is_none() {
            return;
        }
        match action {
            Action::BreakGlass => {
                let reason = 1 + self.draws[action.index()].below(5) as u8;
                content.operand = full::emergency(reason, CLINICIAN as u8, at);
            }
            Action::ExchangeRequest => {
                content.operand = content.key | (Purpose::Treatment as u32) << 28;
                content.key = self.next_entity;
                self.next_entity += 1;
            }
            _ => {}
        }
    }

    /// By when a review is due.
    pub(super) fn review_due(tx: &Arrival) -> Option<Time> {
        let due = Time::from_ns(u64::from(tx.operand) * 1_000_000_000);
        (tx.action == Action::AccessReview as u8).then_some(due)
    }

    /// Requests that are on record are answered, emergencies reviewed.
    pub(super) fn follow_up(&self, outcome: &Outcome, arrivals: &mut Vec<Arrival>) {
        let Some(more) = self
            .more
            .as_ref()
            .filter(|_| outcome.verdict == Verdict::Valid)
        else {
            return;
        };
        let (tx, settings) = (&outcome.arrival, &more.settings);
        let action = Action::ALL[usize::from(tx.action)];
        if !matches!(action, Action::ExchangeRequest | Action::BreakGlass) {
            return;
        }
        // Keyed by the parent: one consent may see many emergencies.
        let key = u64::from(tx.key.get()) ^ tx.at.ns() << 8;
        let mut draws = more.seed.stream("hospital follow-up", key);
        let mut add = |action, at, content| arrivals.push(self.arrival(action, at, content));
        if action == Action::BreakGlass {
            if draws.chance(settings.review_share) {
                let wait_s = exponential(settings.review_mean_s, &mut draws);
                let due = tx.at + Span::from_s_f64(settings.review_within_s);
                let content = Content {
                    key: tx.key.get(),
                    operand: due.ns().div_ceil(1_000_000_000) as u32,
                    site: tx.site,
                };
                let at = outcome.final_at + Span::from_s_f64(wait_s);
                add(Action::AccessReview, at, content);
            }
            return;
        }
        if draws.chance(settings.answer_share) {
            let wait_s = exponential(settings.answer_mean_s, &mut draws);
            let at = outcome.final_at + Span::from_s_f64(wait_s);
            let consent = tx.operand & 0xfff_ffff;
            let content = Content {
                key: tx.key.get(),
                operand: 0,
                site: self.people.home(consent / Layout::GRANTEES),
            };
            add(Action::ExchangeRespond, at, content);
            if draws.chance(settings.racing_answer_share) {
                let site = self.people.other_site(content.site, draws.bits());
                let delay_s = draws.open01() * self.config.race_s;
                let at = at + Span::from_s_f64(delay_s);
                add(Action::ExchangeRespond, at, Content { site, ..content });
            }
        }
    }
}
