//! Settings of the trial workload, every default with its source.

use super::classes::facts;
use super::layout::{Layout, Sizes};
use super::rules::Action;
use crate::arrivals::Rate;
use crate::{Error, Payload, Profile, Shape};
use quorate_core::math::{ln, pow};
use serde::{Deserialize, Serialize};

pub(super) const CLASSES: usize = Action::ALL.len();
// source: Julian year, a twelfth of it.
const MONTH_S: f64 = 365.25 * 86_400.0 / 12.0;
const DAY_S: f64 = 86_400.0;
const WEEK_S: f64 = 7.0 * DAY_S;
/// Late transactions come at most this many times `rush_s` before the lock.
// assumption: all but e⁻⁶ = 0.25 % of an exponential.
pub(super) const RUSH: f64 = 6.0;

/// How many studies run at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// One phase III study, 4 network sites.
    Phase3,
    /// The portfolio of a sponsor or contract research organisation: 100 studies, 12 sites.
    #[default]
    Portfolio,
    /// A registry: 5,000 studies at a time, 25 sites.
    Registry,
}

impl Preset {
    /// All presets, from small to large.
    pub const ALL: [Self; 3] = [Self::Phase3, Self::Portfolio, Self::Registry];

    // assumption: studies at a time, and organisations that run a validator.
    const fn size(self) -> (u32, u16) {
        match self {
            Self::Phase3 => (1, 4),
            Self::Portfolio => (100, 12),
            Self::Registry => (5_000, 25),
        }
    }
}

/// What one transaction captures.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Granularity {
    /// A form of `values_per_form` values.
    #[default]
    Form,
    /// A single value.
    Value,
}

/// Settings; a study's counts are those of a study of mean size.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where `studies` and `sites` come from when they are left out.
    pub preset: Preset,
    /// Studies under way.
    pub studies: Option<u32>,
    /// Network sites that submit; they host the studies' sites.
    pub sites: Option<u16>,
    /// Databases locked a day, whatever the offered rate; left out, what the studies' ends cause.
    pub locks_per_day: Option<f64>,
    /// Hash or record on the ledger.
    pub payload: Payload,
    /// What one transaction captures.
    pub granularity: Granularity,
    /// Subjects that a study randomises.
    pub participants: f64,
    /// Sites of a study.
    pub sites_per_study: f64,
    /// Months of recruitment.
    pub recruit_months: f64,
    /// Months of treatment of a subject.
    pub treatment_months: f64,
    /// Days from the last visit to the lock.
    pub lock_after_days: f64,
    /// Visits of a subject, drop-outs included.
    pub visits: f64,
    /// Values captured at a visit.
    pub values_per_visit: f64,
    /// Values of a form.
    pub values_per_form: u16,
    /// Standard deviation of the logarithm of a study's size.
    pub study_sigma: f64,
    /// Standard deviation of the logarithm of a study site's enrolment.
    pub site_sigma: f64,
    /// Share of a study's sites that never open.
    pub unopened_share: f64,
    /// Share of the open sites that enrol nobody.
    pub idle_share: f64,
    /// Share of the screened who are not eligible.
    pub screen_failure_share: f64,
    /// Share of the randomised who withdraw.
    pub withdraw_share: f64,
    /// Adverse events per subject and month.
    pub events_per_month: f64,
    /// Share of the events that are serious.
    pub serious_share: f64,
    /// Share of the serious events that are fatal or life-threatening.
    pub fatal_share: f64,
    /// Share of the values that are corrected; a form is, once, when one of its values is.
    pub correct_share: f64,
    /// Share of the forms, or values, that are queried.
    pub query_share: f64,
    /// Amendments of a study.
    pub amendments: f64,
    /// Share of studies that were amended just before the first block.
    pub amended_share: f64,
    /// Share of the values that a laboratory uploads, one batch a week and study.
    pub lab_share: f64,
    /// Largest batch over smallest; between them, sizes are log-uniform.
    pub lab_spread: f64,
    /// Transactions per second of an upload.
    pub upload_per_s: f64,
    /// Strata of a study, each with a randomisation list.
    pub strata: u32,
    /// Share of the casebooks that are signed in the rush before the lock; the rest was before.
    pub late_share: f64,
    /// Corrections in the rush, per late casebook.
    pub late_correct_share: f64,
    /// New items in the rush, per late casebook.
    pub late_capture_share: f64,
    /// Share of the late corrections and items that come after the lock.
    pub straggler_share: f64,
    /// Share of locks before which a last query is answered in the rush.
    pub late_answer_share: f64,
    /// Mean seconds before the lock at which late transactions come, exponential up to six times.
    pub rush_s: f64,
    /// Share of withdrawals that a capture at another site races.
    pub racing_capture_share: f64,
    /// Share of allocations that another site repeats for the same subject.
    pub racing_randomise_share: f64,
    /// Share of amendments that a consent to the old form races.
    pub racing_consent_share: f64,
    /// Share of items that are entered twice.
    pub racing_entry_share: f64,
    /// Whether sponsor and ethics committee must sign, and only open sites allocate.
    pub signatures: bool,
    /// Candidates found (`trial.match`) per subject who consents for the first time.
    pub matches_per_consent: f64,
    /// Research consents revoked per match.
    pub revoke_share: f64,
    /// Share of these that a match at another site races.
    pub racing_match_share: f64,
    /// Share of first consents whose screening follows within `race_s` instead of long after.
    pub hasty_screen_share: f64,
    /// Share of the serious reports that come in the last `last_minute_s` seconds of their clock.
    pub last_minute_share: f64,
    /// How long that is.
    pub last_minute_s: f64,
    /// Second at which a suspected unexpected serious reaction is reported by the sites of the largest
    /// study; left out, none.
    pub susar_at_s: Option<f64>,
    /// Reports of it.
    pub susar_reports: u32,
    /// They come within this many seconds, uniformly.
    pub susar_s: f64,
    /// Second at which the largest study is amended, besides the others; left out, not at all.
    pub amend_at_s: Option<f64>,
    /// Forms, or values, that are entered in one sitting.
    pub forms_per_sitting: u32,
    /// Seconds from one of them to the next.
    pub sitting_gap_s: f64,
    /// Further allocations of the same list at other sites, within `race_s` of each.
    pub rush_allocations: u32,
    /// Racers come within this many seconds, uniformly.
    pub race_s: f64,
    /// Reads at another site after a withdrawal, in the mean.
    pub rechecks_per_withdrawal: f64,
    /// Those reads come within this many seconds, uniformly.
    pub recheck_s: f64,
    /// Reads (`trial.check`) per write.
    pub reads_per_write: f64,
    /// Seconds that a dependent stays behind what it refers to, while there is enough of it.
    pub settle_s: f64,
    /// Seconds after which a write is too old to execute; left out, never.
    pub expiry_s: Option<f64>,
    /// Execution of a write on the reference core, in microseconds.
    pub exec_us: u16,
    /// Answering a read on the reference core, in microseconds.
    pub read_us: u16,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            preset: Preset::default(),
            studies: None,
            sites: None,
            locks_per_day: None,
            payload: Payload::default(),
            granularity: Granularity::default(),
            // source: 64 sites of 6 subjects, 18 months (medians of industry phase III studies of
            // 2016 to 2019: PLoS ONE 17(7) e0271819, table 2); here means.
            participants: 384.0,
            sites_per_study: 64.0,
            recruit_months: 18.0,
            // assumption.
            treatment_months: 12.0,
            // source: 36 days in the mean (Tufts–Veeva EDC survey).
            lock_after_days: 36.0,
            // source: 13.8 visits a subject in CDISC pilot study 01.
            visits: 14.0,
            // source: 5.96 million values a phase III protocol (TransCelerate and Tufts, 2025) over
            // 384 × 14 visits; CDISC pilot study 01 had 63.
            values_per_visit: 1_125.0,
            // assumption.
            values_per_form: 20,
            // source: quartiles of 30 and 118 sites (PLoS ONE 17(7) e0271819):
            // σ = ln(118 / 30) / 1.349.
            study_sigma: 1.015,
            // source: quartiles of 4 and 10 subjects a site (same): ln(10 / 4) / 1.349 = 0.68; CDISC
            // pilot study 01, 17 sites of mean 18 and deviation 13.7: 0.68.
            site_sigma: 0.68,
            // source: one site in ten is never activated (Tufts, globenewswire.com 2018-03-07).
            unopened_share: 0.10,
            // source: 11 % of sites enrol nobody (Tufts, same).
            idle_share: 0.11,
            // assumption: between 17 % (CDISC pilot study 01) and 65 % (auto-immune studies).
            screen_failure_share: 0.30,
            // source: drop-out of 30 % (remdavis.com); assumption: all of it as withdrawn consent,
            // which was 27 of 254 in CDISC pilot study 01.
            withdraw_share: 0.30,
            // source: CDISC pilot study 01.
            events_per_month: 0.96,
            // assumption: 3 of 961 in CDISC pilot study 01.
            serious_share: 0.01,
            // assumption.
            fatal_share: 0.3,
            // assumption.
            correct_share: 0.03,
            // assumption.
            query_share: 0.05,
            // assumption.
            amendments: 2.0,
            // assumption: subjects take some weeks to consent again.
            amended_share: 0.1,
            // assumption: with weekly batches of 10³ to 10⁵ values, mean 21,500, of 45,700 a week.
            lab_share: 0.47,
            lab_spread: 100.0,
            // assumption: an interface that sends one record after the other, 20 ms each.
            upload_per_s: 50.0,
            // assumption: two factors of two levels.
            strata: 4,
            // assumption: the last casebook of each site's six.
            late_share: 1.0 / 6.0,
            // assumption.
            late_correct_share: 0.25,
            // assumption.
            late_capture_share: 0.25,
            // assumption.
            straggler_share: 0.05,
            // assumption.
            late_answer_share: 0.2,
            // assumption: data management has the sites on the telephone and waits for them.
            rush_s: 30.0,
            // assumption: samples are analysed while the subject withdraws.
            racing_capture_share: 0.1,
            // assumption: site and pharmacy both ask.
            racing_randomise_share: 0.01,
            // assumption: some site has not read its mail.
            racing_consent_share: 0.5,
            // assumption: two coordinators.
            racing_entry_share: 0.001,
            // assumption: registered and amended by the sponsor alone, as registries take it.
            signatures: false,
            // assumption: subjects are found by their doctors. Ten would be one of ten candidates.
            matches_per_consent: 0.0,
            // assumption.
            revoke_share: 0.05,
            // assumption: somebody looks while the patient says no.
            racing_match_share: 0.5,
            // assumption: the next visit.
            hasty_screen_share: 0.0,
            // assumption: at any time of the clock.
            last_minute_share: 0.0,
            // assumption.
            last_minute_s: 60.0,
            susar_at_s: None,
            // source: 64 sites a study (PLoS ONE 17(7) e0271819): each of them.
            susar_reports: 64,
            // assumption: the sponsor's letter is read within an hour.
            susar_s: 3_600.0,
            amend_at_s: None,
            // assumption: each form by itself.
            forms_per_sitting: 1,
            // assumption.
            sitting_gap_s: 30.0,
            // assumption: sites do not wait for each other.
            rush_allocations: 0,
            // assumption.
            race_s: 10.0,
            // assumption: imaging or the laboratory looks once more.
            rechecks_per_withdrawal: 1.0,
            // assumption.
            recheck_s: 60.0,
            // assumption: a look before each entry.
            reads_per_write: 1.0,
            // assumption: longer than six blocks of a 15-second chain and most committees' delays.
            settle_s: 600.0,
            expiry_s: None,
            // assumption: three state accesses and the rule, without signatures.
            exec_us: 50,
            // assumption: one cached state access.
            read_us: 5,
        }
    }
}

impl Config {
    /// The defaults of a preset.
    pub fn preset(preset: Preset) -> Self {
        Self {
            preset,
            ..Self::default()
        }
    }

    /// Studies under way.
    pub fn studies(&self) -> u32 {
        self.studies.unwrap_or(self.preset.size().0)
    }

    /// Network sites that submit.
    pub fn sites(&self) -> u16 {
        self.sites.unwrap_or(self.preset.size().1)
    }

    /// Months from a study's first subject to the last one's last visit.
    fn months(&self) -> f64 {
        self.recruit_months + self.treatment_months
    }

    /// Locks a day.
    pub fn locks_per_day(&self) -> f64 {
        let life_days = self.months() * MONTH_S / DAY_S + self.lock_after_days;
        self.locks_per_day
            .unwrap_or(f64::from(self.studies()) / life_days)
    }

    /// Mean writes per second that the studies cause, racers and locks included.
    pub fn mean_per_s(&self) -> f64 {
        self.natural_per_s() * self.writes_per_study() + self.closing_per_s()
    }

    /// Values that one transaction captures.
    pub(super) fn values(&self) -> u16 {
        match self.granularity {
            Granularity::Form => self.values_per_form,
            Granularity::Value => 1,
        }
    }

    /// Share of the items that are corrected: those with a corrected value.
    pub(super) fn corrected_items(&self) -> f64 {
        1.0 - pow(1.0 - self.correct_share, f64::from(self.values()))
    }

    /// Items that a study captures.
    fn items(&self) -> f64 {
        self.participants * self.visits * self.values_per_visit / f64::from(self.values())
    }

    /// Smallest and largest batch, in items.
    pub(super) fn batches(&self) -> (f64, f64) {
        let weeks = self.months() * MONTH_S / WEEK_S;
        let mean = self.items() * self.lab_share / weeks;
        let spread = self.lab_spread;
        // The mean of a log-uniform size is (largest − smallest) / ln(largest / smallest).
        let least = if spread > 1.0 {
            mean * ln(spread) / (spread - 1.0)
        } else {
            mean
        };
        (least, least * spread)
    }

    /// Subjects on a study at a time, by Little's law.
    fn on_study(&self) -> f64 {
        self.participants * self.treatment_months / self.months()
    }

    /// Consents to a later form than the first.
    fn reconsents(&self) -> f64 {
        self.amendments * self.on_study()
    }

    /// Share of consents that are to a later form.
    pub(super) fn reconsent_share(&self) -> f64 {
        let first = self.participants / (1.0 - self.screen_failure_share);
        self.reconsents() / (first + self.reconsents())
    }

    /// Transactions of one study by class, without racers, reads and what belongs to the lock.
    /// What a laboratory uploads is part of the captures.
    fn per_study(&self) -> [f64; CLASSES] {
        let screened = self.participants / (1.0 - self.screen_failure_share);
        let events = self.participants * self.treatment_months * self.events_per_month;
        let items = self.items();
        Action::ALL.map(|action| match action {
            Action::Register => 1.0,
            Action::Amend => self.amendments,
            Action::Consent => screened + self.reconsents(),
            Action::Withdraw => self.participants * self.withdraw_share,
            Action::Screen => screened * (1.0 - self.hasty_screen_share),
            Action::Randomise => self.participants / (1.0 + f64::from(self.rush_allocations)),
            Action::Permit => screened * self.matches_per_consent * (1.0 + self.revoke_share),
            Action::Revoke => screened * self.matches_per_consent * self.revoke_share,
            Action::Match => screened * self.matches_per_consent,
            Action::Capture => items,
            Action::Correct => items * self.corrected_items(),
            Action::AdverseEvent => events * (1.0 - self.serious_share),
            Action::SeriousEvent => events * self.serious_share,
            Action::Query | Action::Answer => items * self.query_share,
            // These come by the plan of others.
            Action::Check | Action::Sign | Action::Lock | Action::Unlock | Action::Approve => 0.0,
        })
    }

    /// Transactions of a study that are planned when another arrives, racers aside.
    fn followers(&self, counts: &[f64; CLASSES]) -> f64 {
        let of = |action: Action| counts[action.index()];
        let hasty = self.participants / (1.0 - self.screen_failure_share) * self.hasty_screen_share;
        let rush = of(Action::Randomise) * f64::from(self.rush_allocations);
        let approved = if self.signatures {
            of(Action::Register) + of(Action::Amend)
        } else {
            0.0
        };
        hasty + rush + approved + of(Action::Revoke) * self.racing_match_share
    }

    fn writes_per_study(&self) -> f64 {
        let counts = self.per_study();
        let of = |action: Action| counts[action.index()];
        let racers = of(Action::Withdraw) * self.racing_capture_share
            // One rival for each list's last slot.
            + of(Action::Randomise) * (self.racing_randomise_share + 1.0 / self.slots())
            + of(Action::Amend) * self.racing_consent_share
            + self.entered() * self.racing_entry_share;
        counts.iter().sum::<f64>() + racers + self.followers(&counts)
    }

    /// Items of a study that are entered by hand.
    fn entered(&self) -> f64 {
        self.items() * (1.0 - self.lab_share)
    }

    /// Slots of a stratum's list: a whole number of blocks of four.
    fn slots(&self) -> f64 {
        let slots = self.participants / f64::from(self.strata);
        ((slots / 4.0) as u32 * 4).max(4).into()
    }

    /// Late casebooks of a closing study.
    fn casebooks(&self) -> f64 {
        (self.participants * self.late_share).max(1.0).floor()
    }

    /// Writes per second around locks.
    fn closing_per_s(&self) -> f64 {
        let late = 1.0 + self.late_correct_share + self.late_capture_share;
        let writes = 1.0 + self.casebooks() * late + 2.0 * self.late_answer_share;
        self.locks_per_day() / DAY_S * writes
    }

    /// Studies ended and begun per second.
    fn natural_per_s(&self) -> f64 {
        f64::from(self.studies()) / (self.months() * MONTH_S)
    }

    /// Seconds before a lock in which something belongs to it: the end of the lock before, then a
    /// last query, then the rush, with time to settle between them.
    pub(super) fn notice_s(&self) -> f64 {
        2.0 * self.settle_s + RUSH * self.rush_s
    }

    /// Mean arrivals per second of each source: a class, [`Action::Lock`] for what belongs to locks,
    /// and [`Action::Capture`] without what laboratories upload; then batches per second.
    pub(super) fn rates_per_s(&self, rate: Rate) -> ([f64; CLASSES], f64) {
        let (yields, closing) = (self.writes_per_study(), self.closing_per_s());
        // Without a given rate no class depends on the others' rates, to the bit.
        let studies = rate
            .mean_per_s()
            .map_or(self.natural_per_s(), |per_s| (per_s - closing) / yields);
        let mut per_s = self.per_study().map(|n| n * studies);
        let offered = yields * studies + closing;
        let withdrawn = per_s[Action::Withdraw.index()];
        let rechecks = withdrawn * self.rechecks_per_withdrawal;
        per_s[Action::Check.index()] = (offered * self.reads_per_write - rechecks).max(0.0);
        let sittings = self.entered() / f64::from(self.forms_per_sitting);
        per_s[Action::Capture.index()] = sittings * studies;
        per_s[Action::Lock.index()] = self.locks_per_day() / DAY_S;
        let (least, most) = self.batches();
        let mean = if most > least {
            (most - least) / ln(most / least)
        } else {
            least
        };
        let batches = self.items() * self.lab_share * studies / mean.max(1.0);
        (per_s, batches)
    }
}

impl Config {
    pub(super) fn check(&self, rate: Rate) -> Result<(), Error> {
        let whole =
            |key, n: u32, most: u32, hint| Error::unless((1..=most).contains(&n), key, &n, hint);
        whole("studies", self.studies(), 100_000, "between 1 and 100,000")?;
        whole("sites", self.sites().into(), 65_535, "between 1 and 65,535")?;
        whole("strata", self.strata, 64, "between 1 and 64")?;
        whole(
            "values_per_form",
            self.values_per_form.into(),
            600,
            "between 1 and 600",
        )?;
        let hint = "between 1 and 10,000";
        whole("forms_per_sitting", self.forms_per_sitting, 10_000, hint)?;
        whole(
            "susar_reports",
            self.susar_reports,
            100_000,
            "between 1 and 100,000",
        )?;
        let fits = self.rush_allocations <= 1_000;
        let hint = "between 0 and 1,000";
        Error::unless(fits, "rush_allocations", &self.rush_allocations, hint)?;
        self.check_shares()?;
        self.check_amounts()?;
        let wanted = rate.mean_per_s().unwrap_or(f64::INFINITY);
        Error::unless(
            wanted > self.closing_per_s(),
            "locks_per_day",
            &self.locks_per_day(),
            "what comes before the locks exceeds the offered rate: lower it, or offer more",
        )
    }

    fn check_shares(&self) -> Result<(), Error> {
        for (key, share, most) in [
            ("unopened_share", self.unopened_share, 0.99),
            ("idle_share", self.idle_share, 0.99),
            ("screen_failure_share", self.screen_failure_share, 0.99),
            ("withdraw_share", self.withdraw_share, 1.0),
            ("serious_share", self.serious_share, 1.0),
            ("fatal_share", self.fatal_share, 1.0),
            ("correct_share", self.correct_share, 1.0),
            ("query_share", self.query_share, 1.0),
            ("amended_share", self.amended_share, 1.0),
            ("lab_share", self.lab_share, 1.0),
            ("late_share", self.late_share, 1.0),
            ("late_correct_share", self.late_correct_share, 1.0),
            ("late_capture_share", self.late_capture_share, 1.0),
            ("straggler_share", self.straggler_share, 1.0),
            ("late_answer_share", self.late_answer_share, 1.0),
            ("racing_capture_share", self.racing_capture_share, 1.0),
            ("racing_randomise_share", self.racing_randomise_share, 1.0),
            ("racing_consent_share", self.racing_consent_share, 1.0),
            ("racing_entry_share", self.racing_entry_share, 1.0),
            ("revoke_share", self.revoke_share, 1.0),
            ("racing_match_share", self.racing_match_share, 1.0),
            ("hasty_screen_share", self.hasty_screen_share, 1.0),
            ("last_minute_share", self.last_minute_share, 1.0),
        ] {
            let fits = (0.0..=most).contains(&share);
            Error::unless(fits, key, &share, "a share lies between 0 and 1")?;
        }
        Ok(())
    }

    fn check_amounts(&self) -> Result<(), Error> {
        for (key, amount, least, most) in [
            ("participants", self.participants, 4.0, 1e5),
            ("sites_per_study", self.sites_per_study, 1.0, 1e4),
            ("recruit_months", self.recruit_months, 0.1, 1e3),
            ("treatment_months", self.treatment_months, 0.1, 1e3),
            ("lock_after_days", self.lock_after_days, 0.0, 1e4),
            ("visits", self.visits, 1.0, 1e3),
            ("values_per_visit", self.values_per_visit, 1.0, 1e5),
            ("study_sigma", self.study_sigma, 0.0, 2.0),
            ("site_sigma", self.site_sigma, 0.0, 2.0),
            ("events_per_month", self.events_per_month, 0.0, 1e3),
            ("amendments", self.amendments, 0.0, 100.0),
            ("lab_spread", self.lab_spread, 1.0, 1e6),
            ("upload_per_s", self.upload_per_s, 1e-3, 1e6),
            ("locks_per_day", self.locks_per_day(), 0.0, 1e6),
            ("rush_s", self.rush_s, 0.0, 86_400.0),
            ("race_s", self.race_s, 0.0, 86_400.0),
            (
                "rechecks_per_withdrawal",
                self.rechecks_per_withdrawal,
                0.0,
                1e3,
            ),
            ("recheck_s", self.recheck_s, 0.0, 86_400.0),
            ("matches_per_consent", self.matches_per_consent, 0.0, 1e6),
            ("last_minute_s", self.last_minute_s, 0.0, 604_800.0),
            ("susar_at_s", self.susar_at_s.unwrap_or(0.0), 0.0, 1e9),
            ("susar_s", self.susar_s, 0.0, 864_000.0),
            ("amend_at_s", self.amend_at_s.unwrap_or(0.0), 0.0, 1e9),
            ("sitting_gap_s", self.sitting_gap_s, 0.0, 86_400.0),
            ("reads_per_write", self.reads_per_write, 0.0, 1e6),
            ("settle_s", self.settle_s, 0.0, 864_000.0),
            ("expiry_s", self.expiry_s.unwrap_or(0.0), 0.0, 1e9),
        ] {
            let fits = (least..=most).contains(&amount);
            let hint = "out of range: too small to mean anything, or absurdly large";
            Error::unless(fits, key, &amount, hint)?;
        }
        Ok(())
    }

    /// Sizes what exists before the first block: twice what dependents use up while the first
    /// parents settle, in the busiest hour, and a reserve for chance.
    pub(super) fn layout(&self, rate: Rate) -> Result<Layout, Error> {
        // assumption: several deviations of the difference of two Poisson counts of a million.
        const RESERVE: f64 = 4096.0;
        // assumption: as many closing studies as are locked in a day; then each is opened again.
        const TURN_S: f64 = DAY_S;
        let per_s = self.rates_per_s(rate).0;
        let peak = match rate {
            Rate::Flat { .. } => 1.0,
            Rate::Profile { .. } => office().peak(),
        };
        let used = |action: Action| 2.0 * per_s[action.index()] * peak * self.settle_s + RESERVE;
        let turn_s = TURN_S.max(4.0 * self.notice_s());
        let closing = (per_s[Action::Lock.index()] * peak * turn_s).ceil() + 16.0;
        let studies = f64::from(self.studies());
        let patients = if self.matches_per_consent > 0.0 {
            used(Action::Match) + used(Action::Revoke)
        } else {
            0.0
        };
        // As many as a list has slots.
        let rush = if self.rush_allocations > 0 {
            self.slots()
        } else {
            0.0
        };
        let sizes = [
            (studies * self.on_study()).max(studies).round(),
            used(Action::Screen),
            used(Action::Randomise),
            closing,
            closing * self.casebooks(),
            used(Action::Correct),
            used(Action::Query),
            used(Action::Answer),
            patients,
            rush * 2.0 * f64::from(self.strata) * studies,
        ];
        let [subjects, consented, eligible, closing, _, rest @ ..] = sizes;
        // Each takes 16 bytes in the ledger and 24 in the generator.
        let fits = sizes.iter().sum::<f64>() < 1e8;
        Error::unless(fits, "settle_s", &self.settle_s, "lower it, or the rate")?;
        let fits = closing < 1e6;
        Error::unless(fits, "locks_per_day", &self.locks_per_day(), "lower it")?;
        let sizes = Sizes {
            studies: self.studies(),
            closing: closing as u32,
            strata: self.strata,
            slots: (self.slots() as u32).min(65_532),
            subjects: subjects as u32,
            consented: consented as u32,
            eligible: eligible as u32,
            casebooks: self.casebooks() as u32,
            corrections: rest[0] as u32,
            queries: rest[1] as u32,
            answers: rest[2] as u32,
            patients: patients as u32,
            rush: rush as u32,
        };
        Ok(Layout::new(sizes, self.study_sigma, self.amended_share))
    }

    /// Size of a transaction in bytes.
    pub(super) fn bytes(&self, action: Action) -> u16 {
        let facts = facts(action);
        match action {
            // A local read is on no wire.
            Action::Check => 0,
            _ if facts.per_value => self.payload.bytes(facts.full * self.values()),
            _ => self.payload.bytes(facts.full),
        }
    }
}

/// When study staff work.
pub(super) fn office() -> Shape {
    // assumption: weekdays in business hours, also for uploads; the entry of a visit follows it by
    // 5 days in the mean (Tufts–Veeva EDC survey), which moves no arrival within the day.
    Shape::blend(&[(Profile::Outpatient, 1.0)])
}
