//! Settings of the hospital workload, every default with its source.

use super::catalogue::Catalogue;
use super::classes::{full_bytes, shape};
use super::granularity::{Density, Granularity};
use super::shapes::{Backlog, ClosedLoop, Storm};
use crate::arrivals::Rate;
use crate::rules::{Action, Layout, MOST_FILLS};
use crate::{Error, Growth, Payload};
use serde::{Deserialize, Serialize};

const CLASSES: usize = Action::ALL.len();
// source: Julian year.
const YEAR_S: f64 = 365.25 * 86_400.0;

/// A population and the number of sites that serve it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// A group practice: 10,000 people, 4 sites, 0.03 writes a second.
    Clinic,
    /// The catchment of a 500-bed hospital: 250,000 people, 7 sites, 0.8 writes a second.
    #[default]
    Hospital,
    /// A regional exchange: 3 million people, 25 sites, 10 writes a second.
    Region,
    /// A country such as the United Kingdom: 67 million people, 50 sites, 218 writes a second.
    Nation,
}

impl Preset {
    /// All presets, from small to large.
    pub const ALL: [Self; 4] = [Self::Clinic, Self::Hospital, Self::Region, Self::Nation];

    // assumption: round populations, the largest about that of the United Kingdom; sites are the
    // organisations that run a validator.
    const fn size(self) -> (u64, u16) {
        match self {
            Self::Clinic => (10_000, 4),
            Self::Hospital => (250_000, 7),
            Self::Region => (3_000_000, 25),
            Self::Nation => (67_000_000, 50),
        }
    }
}

/// Events per person and year. What follows from others (amendments, cancellations, decisions,
/// payments) is derived, so that no queue of open cases grows.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mix {
    /// Accesses to a record, break-glass included.
    pub access_record: f64,
    /// Consents granted.
    pub consent_grant: f64,
    /// Consents revoked.
    pub consent_revoke: f64,
    /// Documents anchored.
    pub record_anchor: f64,
    /// Reports issued.
    pub report_issue: f64,
    /// Prescriptions issued.
    pub erx_issue: f64,
    /// Fills dispensed.
    pub erx_dispense: f64,
    /// Documents asked for across organisations.
    pub exchange_request: f64,
    /// Claims submitted.
    pub claim_submit: f64,
    /// Identities registered.
    pub identity_register: f64,
}

impl Default for Mix {
    fn default() -> Self {
        Self {
            // source: 3.82 visits a year (CDC NHSR no. 8) and 0.49 bed-days;
            // assumption: 3 accesses a visit, 30 a bed-day.
            access_record: 26.2,
            // assumption: one consent a year, and one in twenty revoked.
            consent_grant: 1.0,
            consent_revoke: 0.05,
            // source: CDC NHSR no. 8 (visits); 5.1 documents a bed-day in clinosim 0.6.5.
            record_anchor: 6.3,
            // source: 22.4 laboratory tests (CDC, 6.8 bn a year), 10.5 tests a report (Turkish
            // Journal of Biochemistry, tjb-2023-0099).
            report_issue: 2.1,
            // source: 1.91 bn US e-prescriptions in 2018 (Surescripts, national progress report).
            erx_issue: 5.8,
            // source: 6.9 bn US retail prescriptions in 2023 (IQVIA).
            erx_dispense: 20.6,
            // source: Carequality, 350 M documents a month (2023).
            exchange_request: 12.5,
            // source: Premier survey of 2023 data: about 3 bn US medical claims a year.
            claim_submit: 9.0,
            // assumption: births, movers and corrections.
            identity_register: 0.1,
        }
    }
}

impl Mix {
    /// What every granularity but roots has.
    fn consents(&self, action: Action) -> f64 {
        match action {
            Action::ConsentGrant => self.consent_grant,
            Action::ConsentRevoke => self.consent_revoke,
            Action::IdentityRegister => self.identity_register,
            _ => 0.0,
        }
    }

    /// Whether all that differs from the defaults has a meaning at a granularity.
    fn fits(&self, granularity: Granularity) -> bool {
        let mut usual = Self::default();
        match granularity {
            Granularity::Document => return true,
            Granularity::AnchorBatch => return *self == usual,
            Granularity::Audit => {
                usual.access_record = self.access_record;
                usual.exchange_request = self.exchange_request;
            }
            Granularity::Resource | Granularity::Message => {}
        }
        usual.consent_grant = self.consent_grant;
        usual.consent_revoke = self.consent_revoke;
        usual.identity_register = self.identity_register;
        *self == usual
    }
}

/// The same setting.
fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits()
}

/// The hospital workload.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where `people` and `sites` come from unless given.
    pub preset: Preset,
    /// People served.
    pub people: Option<u64>,
    /// Sites that submit.
    pub sites: Option<u16>,
    /// What one transaction stands for.
    pub granularity: Granularity,
    /// Factor on the accesses that granularity `audit` records: 1, 10 or 100.
    pub accesses_times: u32,
    /// Seconds between two roots of a site at granularity `anchor-batch`, unless the load says how many
    /// arrive.
    pub batch_s: f64,
    /// What goes on the ledger.
    pub payload: Payload,
    /// The table of the whole catalogue of documents, with contracts between records; left out, sixteen
    /// classes with rules of one record each.
    pub catalogue: Option<Catalogue>,
    /// Many revocations within a month, on top of all else; left out, none.
    pub storm: Option<Storm>,
    /// Sites that are offline and replay what they noted; left out, none.
    pub backlog: Option<Backlog>,
    /// Users who wait for the ledger, on top of the open load; left out, none.
    pub closed_loop: Option<ClosedLoop>,
    /// Events per person and year.
    pub per_person_year: Mix,
    /// Reads (`access.check`) per write.
    pub reads_per_write: f64,
    /// Patients that are told apart; a larger population is folded onto them, which overstates
    /// conflicts on one patient and bounds memory to 64 B of state each.
    pub most_patients: u32,
    /// Standard deviation of the logarithm of a patient's events.
    pub patient_sigma: f64,
    /// Standard deviation of the logarithm of a site's size.
    pub site_sigma: f64,
    /// Share of a patient's events that happen at the home site.
    pub home_share: f64,
    /// Share of accesses that break the glass.
    pub break_glass_share: f64,
    /// Share of document versions that are amended.
    pub amend_share: f64,
    /// Share of prescriptions that are cancelled before the first fill.
    pub cancel_share: f64,
    /// Share of claims denied at first.
    pub denial_share: f64,
    /// Share of denials overturned on appeal.
    pub overturn_share: f64,
    /// Share of fills that a second pharmacy dispenses as well.
    pub racing_dispense_share: f64,
    /// Share of cancellations that a pharmacy races.
    pub racing_cancel_share: f64,
    /// Share of claims submitted twice.
    pub racing_claim_share: f64,
    /// Share of revocations that an access by the same grantee races.
    pub racing_access_share: f64,
    /// Racers come within this many seconds, uniformly.
    pub race_s: f64,
    /// Reads by the grantee after a revocation, in the mean.
    pub rechecks_per_revoke: f64,
    /// Those reads come within this many seconds, uniformly.
    pub recheck_s: f64,
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
            people: None,
            sites: None,
            granularity: Granularity::default(),
            accesses_times: 1,
            // assumption: an hour's work is provable within minutes.
            batch_s: 600.0,
            payload: Payload::default(),
            catalogue: None,
            storm: None,
            backlog: None,
            closed_loop: None,
            per_person_year: Mix::default(),
            // assumption: ten look-ups for each change.
            reads_per_write: 10.0,
            // assumption: 64 MB of state.
            most_patients: 1_000_000,
            // source: between spending (MEPS 2022: the top 1 % cause 21.7 %, σ 1.6) and encounter
            // counts (Synthea R4 sample: the top 5 % cause 23.3 %, σ 0.9).
            patient_sigma: 1.2,
            // source: CDISC pilot study 01: 17 sites of 1 to 51 subjects, mean 18, deviation 13.7;
            // σ = √ln(1 + (13.7 / 18)²).
            site_sigma: 0.68,
            // assumption: care is mostly local.
            home_share: 0.8,
            // assumption: rare, although counts as high as 5 % are told.
            break_glass_share: 0.005,
            // assumption.
            amend_share: 0.03,
            // assumption.
            cancel_share: 0.01,
            // source: 11.8 % initial denials at 2,100 US hospitals in 2024 (Kodiak).
            denial_share: 0.118,
            // source: 54 to 70 % of denials are overturned (Premier survey of 2023 data).
            overturn_share: 0.62,
            // assumption: a forged or copied prescription.
            racing_dispense_share: 0.001,
            // assumption: the patient is on the way to the pharmacy.
            racing_cancel_share: 0.1,
            // assumption: a resubmission by a second office.
            racing_claim_share: 0.005,
            // assumption: consent is revoked while care is under way.
            racing_access_share: 0.1,
            // assumption.
            race_s: 10.0,
            // assumption: the grantee looks once more.
            rechecks_per_revoke: 1.0,
            // assumption.
            recheck_s: 60.0,
            // assumption: longer than six blocks of a 15-second chain and most committees' delays.
            settle_s: 600.0,
            expiry_s: None,
            // assumption: two state accesses and the rule, without signatures.
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

    /// People served.
    pub fn people(&self) -> u64 {
        self.people.unwrap_or(self.preset.size().0)
    }

    /// Sites that submit.
    pub fn sites(&self) -> u16 {
        self.sites.unwrap_or(self.preset.size().1)
    }

    /// Mean writes per second that the people cause, racers included.
    pub fn mean_per_s(&self) -> f64 {
        self.people() as f64 * self.writes_per_person_year() / YEAR_S
    }

    /// Mean number of fills that a prescription allows.
    pub(super) fn mean_fills(&self) -> f64 {
        let mix = &self.per_person_year;
        mix.erx_dispense / (mix.erx_issue * (1.0 - self.cancel_share)).max(f64::MIN_POSITIVE)
    }

    /// Events per person and year by class, without racers and reads.
    fn rates(&self) -> [f64; CLASSES] {
        let mix = &self.per_person_year;
        match self.granularity {
            Granularity::Document => self.documents(),
            Granularity::Audit => Action::ALL.map(|action| match action {
                // An exchange is recorded by who asks and by who answers. A broken glass is one act,
                // however many accesses follow it.
                Action::AccessRecord => {
                    let mended = mix.access_record * (1.0 - self.break_glass_share);
                    mended * f64::from(self.accesses_times) + 2.0 * mix.exchange_request
                }
                Action::BreakGlass => mix.access_record * self.break_glass_share,
                _ => mix.consents(action),
            }),
            Granularity::Resource | Granularity::Message => Action::ALL
                .map(|action| Density::of(action, self.granularity).total() + mix.consents(action)),
            Granularity::AnchorBatch => Action::ALL.map(|action| match action {
                Action::AnchorBatch => {
                    f64::from(self.sites()) * YEAR_S / self.batch_s / self.people() as f64
                }
                _ => 0.0,
            }),
        }
    }

    fn documents(&self) -> [f64; CLASSES] {
        let mix = &self.per_person_year;
        let overturned = self.denial_share * self.overturn_share;
        Action::ALL.map(|action| match action {
            Action::AccessCheck => 0.0,
            Action::AccessRecord => mix.access_record * (1.0 - self.break_glass_share),
            Action::BreakGlass => mix.access_record * self.break_glass_share,
            Action::ConsentGrant => mix.consent_grant,
            Action::ConsentRevoke => mix.consent_revoke,
            Action::RecordAnchor => mix.record_anchor,
            // An amended version may be amended again.
            Action::RecordAmend => mix.record_anchor * self.amend_share / (1.0 - self.amend_share),
            Action::ReportIssue => mix.report_issue,
            Action::ErxIssue => mix.erx_issue,
            Action::ErxCancel => mix.erx_issue * self.cancel_share,
            Action::ErxDispense => mix.erx_dispense,
            Action::ExchangeRequest => mix.exchange_request,
            Action::ClaimSubmit => mix.claim_submit,
            Action::ClaimAdjudicate => mix.claim_submit * (1.0 + self.denial_share),
            Action::ClaimPay => mix.claim_submit * (1.0 - self.denial_share + overturned),
            Action::IdentityRegister => mix.identity_register,
            Action::ReportOrder if self.catalogue.is_some() => mix.report_issue,
            Action::ConsentDelegate => self
                .catalogue
                .map_or(0.0, |more| mix.consent_grant * more.delegate_share),
            _ => 0.0,
        })
    }

    /// What the ledger of the people takes in at its mean rate: without what blocks add of their own,
    /// votes and headers, and without storms.
    pub fn growth(&self) -> Growth {
        let rates = self.rates();
        let per_year: f64 = self.people() as f64 * self.writes_per_person_year();
        let size = |action: Action| match action {
            Action::AccessCheck => 0.0,
            _ => f64::from(self.payload.bytes(full_bytes(action, self.granularity))),
        };
        // What races and what follows is small, and as large in the mean as the rest.
        let bytes: f64 = Action::ALL
            .iter()
            .map(|&action| rates[action.index()] * size(action))
            .sum();
        Growth::of(per_year / YEAR_S, bytes / rates.iter().sum::<f64>())
    }

    fn writes_per_person_year(&self) -> f64 {
        self.with_racers(&self.rates())
    }

    fn with_racers(&self, rates: &[f64; CLASSES]) -> f64 {
        let racing_access = if self.granularity.has_accesses() {
            self.racing_access_share
        } else {
            0.0
        };
        let racers = rates[Action::ErxDispense.index()] * self.racing_dispense_share
            + rates[Action::ErxCancel.index()] * self.racing_cancel_share
            + rates[Action::ClaimSubmit.index()] * self.racing_claim_share
            + rates[Action::ConsentRevoke.index()] * racing_access;
        let follow = self
            .catalogue
            .map_or(0.0, |more| more.follow(|action| rates[action.index()]));
        rates.iter().sum::<f64>() + racers + follow
    }

    /// Reads per person and year: people look as often, whatever goes on the ledger, as long as consents
    /// do.
    fn reads_per_person_year(&self) -> f64 {
        match self.granularity {
            Granularity::AnchorBatch => 0.0,
            _ => self.with_racers(&self.documents()) * self.reads_per_write,
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let whole =
            |key, n: u64, most: u64, hint| Error::unless((1..=most).contains(&n), key, &n, hint);
        whole("people", self.people(), 1 << 34, "between 1 and 17 billion")?;
        whole(
            "sites",
            u64::from(self.sites()),
            65_535,
            "between 1 and 65,535",
        )?;
        whole(
            "most_patients",
            self.most_patients.into(),
            1 << 26,
            "between 1 and 67 million",
        )?;
        for (key, share) in [
            ("home_share", self.home_share),
            ("break_glass_share", self.break_glass_share),
            ("denial_share", self.denial_share),
            ("overturn_share", self.overturn_share),
            ("racing_dispense_share", self.racing_dispense_share),
            ("racing_cancel_share", self.racing_cancel_share),
            ("racing_claim_share", self.racing_claim_share),
            ("racing_access_share", self.racing_access_share),
        ] {
            let fits = (0.0..=1.0).contains(&share);
            Error::unless(fits, key, &share, "a share lies between 0 and 1")?;
        }
        for (key, share) in [
            ("amend_share", self.amend_share),
            ("cancel_share", self.cancel_share),
        ] {
            let fits = (0.0..=0.9).contains(&share);
            Error::unless(
                fits,
                key,
                &share,
                "between 0 and 0.9: something must be left over",
            )?;
        }
        for (key, amount, most) in [
            ("reads_per_write", self.reads_per_write, 1e6),
            ("patient_sigma", self.patient_sigma, 3.0),
            ("site_sigma", self.site_sigma, 2.0),
            ("race_s", self.race_s, 86_400.0),
            ("rechecks_per_revoke", self.rechecks_per_revoke, 1000.0),
            ("recheck_s", self.recheck_s, 86_400.0),
            ("settle_s", self.settle_s, 864_000.0),
            ("expiry_s", self.expiry_s.unwrap_or(0.0), 1e9),
        ] {
            let fits = (0.0..=most).contains(&amount);
            Error::unless(
                fits,
                key,
                &amount,
                "a number of at least 0, and not absurdly large",
            )?;
        }
        self.check_granularity()?;
        if let Some(catalogue) = &self.catalogue {
            catalogue.check(self.granularity)?;
        }
        self.check_shapes()?;
        self.check_mix()
    }

    fn check_shapes(&self) -> Result<(), Error> {
        if let Some(storm) = &self.storm {
            storm.check()?;
            let fits = self.granularity != Granularity::AnchorBatch;
            let hint = "roots hold no consents that could be revoked";
            Error::unless(fits, "storm", &self.granularity.name(), hint)?;
        }
        if let Some(backlog) = &self.backlog {
            backlog.check(self.sites())?;
        }
        if let Some(users) = &self.closed_loop {
            users.check()?;
            let fits = self.granularity.has_accesses();
            let hint = "only granularities `document` and `audit` have accesses";
            Error::unless(fits, "closed_loop", &self.granularity.name(), hint)?;
        }
        Ok(())
    }

    /// What a granularity would ignore is refused.
    fn check_granularity(&self) -> Result<(), Error> {
        let is = |granularity| self.granularity == granularity;
        let fits = matches!(self.accesses_times, 1 | 10 | 100);
        let fits = fits && (self.accesses_times == 1 || is(Granularity::Audit));
        let hint = "1, 10 or 100, and only with `granularity = \"audit\"`";
        Error::unless(fits, "accesses_times", &self.accesses_times, hint)?;
        let usual = Self::default();
        let fits = (0.1..=864_000.0).contains(&self.batch_s)
            && (is(Granularity::AnchorBatch) || same(self.batch_s, usual.batch_s));
        let hint = "0.1 s to 10 days, and only with `granularity = \"anchor-batch\"`";
        Error::unless(fits, "batch_s", &self.batch_s, hint)?;
        for (key, share, usual) in [
            ("amend_share", self.amend_share, usual.amend_share),
            ("cancel_share", self.cancel_share, usual.cancel_share),
            ("denial_share", self.denial_share, usual.denial_share),
            ("overturn_share", self.overturn_share, usual.overturn_share),
            (
                "racing_dispense_share",
                self.racing_dispense_share,
                usual.racing_dispense_share,
            ),
            (
                "racing_cancel_share",
                self.racing_cancel_share,
                usual.racing_cancel_share,
            ),
            (
                "racing_claim_share",
                self.racing_claim_share,
                usual.racing_claim_share,
            ),
        ] {
            let fits = is(Granularity::Document) || same(share, usual);
            Error::unless(
                fits,
                key,
                &share,
                "only `granularity = \"document\"` has it",
            )?;
        }
        for (key, share, usual) in [
            (
                "break_glass_share",
                self.break_glass_share,
                usual.break_glass_share,
            ),
            (
                "racing_access_share",
                self.racing_access_share,
                usual.racing_access_share,
            ),
        ] {
            let fits = self.granularity.has_accesses() || same(share, usual);
            let hint = "only granularities `document` and `audit` have accesses";
            Error::unless(fits, key, &share, hint)?;
        }
        let fits = self.per_person_year.fits(self.granularity);
        let hint = "this granularity has a mix of its own: leave out what it has not";
        Error::unless(fits, "per_person_year", &"for another granularity", hint)
    }

    fn check_mix(&self) -> Result<(), Error> {
        let total = self.writes_per_person_year();
        let each = self.rates().iter().all(|rate| *rate >= 0.0);
        let fits = each && total.is_finite() && total > 0.0;
        Error::unless(
            fits,
            "per_person_year",
            &total,
            "rates of at least 0, one above it",
        )?;
        let fills = self.mean_fills();
        let dispenses = self.per_person_year.erx_dispense > 0.0;
        let fits = !dispenses || (1.0..=f64::from(MOST_FILLS)).contains(&fills);
        Error::unless(
            fits,
            "erx_dispense",
            &fills,
            "1 to 32 times the prescriptions not cancelled",
        )
    }
}

impl Config {
    /// Mean arrivals per second by class. Racers are part of the offered writes, and reads after a
    /// revocation part of the reads.
    pub(super) fn rates_per_s(&self, rate: Rate) -> [f64; CLASSES] {
        let yearly = self.writes_per_person_year();
        // Without a given rate no class depends on the others' rates, to the bit.
        let people = rate
            .mean_per_s()
            .map_or(self.people() as f64 / YEAR_S, |per_s| per_s / yearly);
        let mut per_s = self.rates().map(|rate| rate * people);
        let rechecks = per_s[Action::ConsentRevoke.index()] * self.rechecks_per_revoke;
        let reads = match self.granularity {
            Granularity::Document => people * yearly * self.reads_per_write,
            _ => people * self.reads_per_person_year(),
        };
        per_s[Action::AccessCheck.index()] = (reads - rechecks).max(0.0);
        per_s
    }

    /// Sizes what exists before the first block: twice what dependents use up while the first
    /// parents settle, in the busiest hour, and a reserve for chance.
    pub(super) fn layout(&self, rate: Rate) -> Result<Layout, Error> {
        // assumption: several deviations of the difference of two Poisson counts of a million.
        const RESERVE: f64 = 4096.0;
        let per_s = self.rates_per_s(rate);
        let cases = |action: Action| {
            let peak = match rate {
                Rate::Flat { .. } => 1.0,
                Rate::Profile { .. } => shape(action, self.granularity).peak(),
            };
            2.0 * per_s[action.index()] * peak * self.settle_s + RESERVE
        };
        let visits = if per_s[Action::VisitOpen.index()] > 0.0 {
            // As many again may not end while an entry is on its way, and a reserve for days.
            2.0 * cases(Action::VisitOpen) + 4.0 * RESERVE
        } else {
            0.0
        };
        let submitters = match self.granularity {
            Granularity::AnchorBatch => self.sites().into(),
            _ => 0,
        };
        let sizes = [
            cases(Action::ErxDispense),
            cases(Action::ErxCancel),
            cases(Action::RecordAmend),
            cases(Action::ClaimAdjudicate),
            cases(Action::ClaimPay),
            visits,
            self.catalogue.map_or(0.0, |_| cases(Action::ReportIssue)),
        ];
        // Each takes 16 bytes in the ledger and 16 in the generator.
        let fits = sizes.iter().sum::<f64>() < 2e8;
        Error::unless(fits, "settle_s", &self.settle_s, "lower it, or the rate")?;
        let [
            prescriptions,
            cancellable,
            documents,
            open_claims,
            approved_claims,
            visits,
            orders,
        ] = sizes.map(|size| size as u32);
        let patients = self.people().min(self.most_patients.into()) as u32;
        Ok(Layout {
            patients,
            people: self.catalogue.map_or(0, |_| patients),
            orders,
            payers: self.catalogue.map_or(0, |more| more.payers),
            prescriptions,
            cancellable,
            documents,
            open_claims,
            approved_claims,
            visits,
            submitters,
        })
    }

    /// How many visits may end while something settles.
    pub(super) fn leaving(&self, rate: Rate) -> usize {
        let per_s = self.rates_per_s(rate)[Action::VisitClose.index()];
        let peak = match rate {
            Rate::Flat { .. } => 1.0,
            Rate::Profile { .. } => shape(Action::VisitClose, self.granularity).peak(),
        };
        (2.0 * per_s * peak * self.settle_s) as usize
    }
}
