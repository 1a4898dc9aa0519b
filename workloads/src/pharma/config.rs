//! Settings of the pharma workload, every default with its source.

use super::classes::facts;
use super::hours::{Hours, lead, peak};
use crate::arrivals::Rate;
use crate::custody::{Action, Chain, Layout, Packing};
use crate::skew::Sites;
use crate::{Error, Payload};
use serde::{Deserialize, Serialize};

const CLASSES: usize = Action::ALL.len();
// source: Julian year.
const YEAR_S: f64 = 365.25 * 86_400.0;

/// People who are supplied, and the sites that supply them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// One pharmacy: 4,500 people, 4 sites, 0.004 scans a second.
    Pharmacy,
    /// A hospital and its wholesaler's centre: 250,000 people, 7 sites, 0.23 scans a second.
    Hospital,
    /// A region: 3 million people, 12 sites, 2.7 scans a second.
    #[default]
    Region,
    /// Germany: 83 million people, 25 sites, 76 scans a second.
    NationDe,
    /// The United States: 335 million people, 50 sites, 306 scans a second.
    NationUs,
    /// The European Union: 450 million people, 50 sites, 411 scans a second.
    Eu,
    /// A region of a low- or middle-income country, where one pack in ten is falsified.
    Lmic,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 7] = [
        Self::Pharmacy,
        Self::Hospital,
        Self::Region,
        Self::NationDe,
        Self::NationUs,
        Self::Eu,
        Self::Lmic,
    ];

    // source: 18,461 pharmacies for 83 million people in Germany (securPharm, 2022); 335 and 450
    // million people in the US and the EU.
    // assumption: the other populations; sites are the organisations that run a validator.
    const fn size(self) -> (u64, u16) {
        match self {
            Self::Pharmacy => (4_500, 4),
            Self::Hospital => (250_000, 7),
            Self::Region | Self::Lmic => (3_000_000, 12),
            Self::NationDe => (83_000_000, 25),
            Self::NationUs => (335_000_000, 50),
            Self::Eu => (450_000_000, 50),
        }
    }

    const fn clone_share(self) -> f64 {
        match self {
            // source: WHO 2017: 10.5 % of 48,218 samples substandard or falsified.
            // assumption: all of them carry a copied serial.
            Self::Lmic => 0.105,
            // source: European Commission: 0.005 % of packs falsified before serialisation.
            // assumption: all of them carry a copied serial.
            _ => 0.000_05,
        }
    }
}

/// What one transaction moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Granularity {
    /// Commissioned by the case, shipped by the pallet and at last by the case.
    #[default]
    Aggregated,
    /// Commissioned, shipped and received pack by pack.
    Unit,
}

/// How the ledger knows what is packed in what.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregation {
    /// Commissioning packs; what leaves alone was unpacked.
    #[default]
    Implied,
    /// By `drug.aggregate` and `drug.disaggregate`, one for each case and each pallet.
    Recorded,
}

/// Who may dispense a pack.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tracking {
    /// Its custodian only, as under track and trace: of two sites only one has a chance.
    #[default]
    Custodian,
    /// Any site, as under point-of-dispense verification: the first in the ledger's order wins.
    Anyone,
}

/// The pharma workload.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where `people`, `sites` and `clone_share` come from unless given.
    pub preset: Preset,
    /// People supplied; a rate in the plan takes their place.
    pub people: Option<u64>,
    /// Sites that submit.
    pub sites: Option<u16>,
    /// Sites, the largest, that are wholesalers too.
    pub wholesalers: u16,
    /// What one transaction moves.
    pub granularity: Granularity,
    /// How the ledger knows what is packed in what.
    pub aggregation: Aggregation,
    /// Who may dispense a pack.
    pub tracking: Tracking,
    /// What goes on the ledger.
    pub payload: Payload,
    /// Packs dispensed per person and year.
    pub packs_per_person_year: f64,
    /// Scans of a pack, the dispensing one included; the others are reads (`drug.verify`).
    pub scans_per_pack: f64,
    /// Holders of a pack, from manufacturer to dispenser.
    pub hops: u32,
    /// Mean seconds that goods travel between holders, half to one and a half times it, uniformly; left
    /// out, they are received in turn with those that travel before the first block.
    pub transport_s: Option<f64>,
    /// Packs in a case, if aggregated.
    pub case: u32,
    /// Cases on a pallet, if aggregated.
    pub pallet: u32,
    /// Serialised products.
    pub products: u32,
    /// Exponent of their popularity: the share of rank k is proportional to k to the power −s.
    pub product_zipf: f64,
    /// Lots of a product that are on the market at once.
    pub lots_per_product: u32,
    /// Packs that a line makes of a lot before it changes over.
    pub lot_units: u32,
    /// Packaging lines at work at once.
    pub lines: u32,
    /// Days for which dispensers hold stock before the first block.
    pub stock_days: f64,
    /// Single packs in stock at most, which bounds memory to 16 B of state each; a larger stock is
    /// folded onto them, unless the run itself needs more.
    pub most_stock: u32,
    /// Standard deviation of the logarithm of a site's size.
    pub site_sigma: f64,
    /// Share of scans that raise an alert: the pack goes into quarantine.
    pub alert_share: f64,
    /// Share of alerts that are cleared.
    pub clear_share: f64,
    /// Mean seconds until they are, half to one and a half times it, uniformly; left out, in turn with
    /// those from before the first block, in business hours.
    pub clear_s: Option<f64>,
    /// Returned packs, as a share of those dispensed.
    pub return_share: f64,
    /// Whether a returned pack must be verified (`drug.verifyReturn`) before it is sold again.
    pub verify_returns: bool,
    /// That happens within this many seconds of the return, settled, uniformly.
    pub verify_return_s: f64,
    /// Packs that their manufacturer puts into quarantine, as a share of those dispensed.
    pub quarantine_share: f64,
    /// Share of dispensed packs that are taken back into stock.
    pub undo_share: f64,
    /// Recalls of products per person and year. Raise it for a day of recalls: 0.0365 is one a
    /// day for each 10,000 people.
    pub recalls_per_person_year: f64,
    /// Share of recalls of class I, which the regulator signs, at any hour.
    pub class_one_share: f64,
    /// Lots that one recall concerns, in one transaction each.
    pub lots_per_recall: u32,
    /// Seconds from one of these lots to the next.
    pub recall_gap_s: f64,
    /// A recall of class I at this second, besides the others; left out, none.
    pub recall_at_s: Option<f64>,
    /// Its product, by popularity from 1.
    pub recall_product: u32,
    /// Reads of a recalled lot, anywhere, in the mean.
    pub rechecks_per_recall: f64,
    /// Those reads come within this many seconds, uniformly.
    pub recheck_s: f64,
    /// Share of packs that a second site scans and dispenses as well.
    pub racing_dispense_share: f64,
    /// It does so within this many seconds, uniformly.
    pub race_s: f64,
    /// Share of packs of whose serial copies exist.
    pub clone_share: Option<f64>,
    /// Copies of such a serial, each scanned and dispensed at some other site.
    pub clone_copies: u32,
    /// They turn up within this many seconds of the original, uniformly.
    pub clone_s: f64,
    /// Seconds that a transaction stays behind what it refers to.
    pub settle_s: f64,
    /// Factor on the first day of a profile.
    pub peak_day: f64,
    /// Seconds after which a write is too old to execute; left out, never.
    pub expiry_s: Option<f64>,
    /// Execution of a write on the reference core, in microseconds.
    pub exec_us: u16,
    /// Each serial that is commissioned on top of that, in microseconds.
    pub serial_us: u16,
    /// Answering a read on the reference core, in microseconds.
    pub read_us: u16,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            preset: Preset::default(),
            people: None,
            sites: None,
            // source: three wholesalers have 94 % of US sales.
            wholesalers: 3,
            granularity: Granularity::default(),
            aggregation: Aggregation::default(),
            tracking: Tracking::default(),
            payload: Payload::default(),
            // source: 740 to 750 M packs for 83 M people in Germany (securPharm); Latvia 9.6, US 9.0.
            packs_per_person_year: 9.0,
            // source: securPharm: 46 M transactions a week for 750 M packs a year.
            scans_per_pack: 3.2,
            // source: manufacturer, wholesaler and dispenser (MediLedger report to the FDA).
            hops: 3,
            transport_s: None,
            // assumption: no distribution is published.
            case: 48,
            pallet: 40,
            // source: 63,800 products serialised in Germany (securPharm, March 2024).
            products: 63_800,
            // assumption.
            product_zipf: 1.0,
            // assumption: a few lots of a product sell beside each other.
            lots_per_product: 4,
            // assumption: the middle, by magnitude, of 10⁴ to 10⁵.
            lot_units: 30_000,
            // assumption: two for each site of a region.
            lines: 24,
            // assumption: a month.
            stock_days: 30.0,
            // assumption: 32 MB of state.
            most_stock: 2_000_000,
            // source: as for hospitals: CDISC pilot study 01, σ = √ln(1 + (13.7 / 18)²).
            site_sigma: 0.68,
            // source: about 0.2 % of scans in Germany, once the system was settled (2020), and in
            // the EU (2021: 0.21 %).
            alert_share: 0.002,
            // source: up to 20,000 alerts a day in Germany's first year, one true falsification.
            clear_share: 1.0,
            clear_s: None,
            // source: 59 to 60 M saleable returns a year are 2 % of US sales (TraceLink).
            return_share: 0.02,
            // assumption: European rules; the DSCSA asks for it.
            verify_returns: false,
            // assumption: at the wholesaler's goods-in; DSCSA gives manufacturers 24 hours to answer.
            verify_return_s: 3_600.0,
            // assumption: packs are withheld by those who have them.
            quarantine_share: 0.0,
            // assumption.
            undo_share: 0.005,
            // source: about 1,300 products a year (FDA, since 2012) for 335 M people.
            recalls_per_person_year: 3.88e-6,
            // source: FDA-TRACK, CDER, 2017: 75 products of class I of some 1,300.
            class_one_share: 0.06,
            // assumption: one.
            lots_per_recall: 1,
            // assumption: one notice names them all.
            recall_gap_s: 0.0,
            recall_at_s: None,
            // assumption: the worst case.
            recall_product: 1,
            // assumption: each of a region's sites looks once.
            rechecks_per_recall: 12.0,
            // assumption.
            recheck_s: 60.0,
            // assumption: one pack in a thousand is scanned at a second till.
            racing_dispense_share: 0.001,
            // assumption.
            race_s: 10.0,
            clone_share: None,
            // assumption.
            clone_copies: 5,
            // assumption: the copies of one batch reach their pharmacies together.
            clone_s: 60.0,
            // assumption: longer than six blocks of a 15-second chain and most committees' delays.
            settle_s: 600.0,
            // assumption: an ordinary day. 1.39 makes it the busiest of a year (securPharm: 8.6 M
            // on 17 December against 6.2 M).
            peak_day: 1.0,
            expiry_s: None,
            // assumption: two to four state accesses and the rule, without signatures.
            exec_us: 50,
            // assumption: one cached state access.
            serial_us: 5,
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

    /// People supplied.
    pub fn people(&self) -> u64 {
        self.people.unwrap_or(self.preset.size().0)
    }

    /// Sites that submit.
    pub fn sites(&self) -> u16 {
        self.sites.unwrap_or(self.preset.size().1)
    }

    /// Share of packs of whose serial copies exist.
    pub fn clone_share(&self) -> f64 {
        self.clone_share.unwrap_or(self.preset.clone_share())
    }

    /// Mean writes per second that the people cause, racers included.
    pub fn mean_per_s(&self) -> f64 {
        self.packs_per_s(Rate::profile()) * self.writes_per_pack()
    }

    /// Mean scans per second that the people cause: reads, and packs dispensed.
    pub fn scans_per_s(&self) -> f64 {
        self.packs_per_s(Rate::profile()) * self.scans_per_pack
    }

    fn packing(&self) -> Packing {
        match self.granularity {
            Granularity::Aggregated => Packing {
                case: self.case,
                pallet: self.pallet,
            },
            Granularity::Unit => Packing { case: 0, pallet: 1 },
        }
    }

    /// Journeys per pack as a pallet and as a case.
    pub(super) fn journeys(&self) -> [f64; 2] {
        let packing = self.packing();
        let case = f64::from(packing.case.max(1));
        let pallets = f64::from(self.hops - 2);
        [pallets / (case * f64::from(packing.pallet)), 1.0 / case]
    }

    /// Execution of a commission.
    pub(super) fn commission_us(&self, serials: u32) -> u32 {
        u32::from(self.exec_us) + serials * u32::from(self.serial_us)
    }

    /// Racing packs per pack dispensed.
    fn racers(&self) -> f64 {
        self.racing_dispense_share + self.clone_share() * f64::from(self.clone_copies)
    }

    /// Whether packing and unpacking are transactions.
    pub(super) fn is_recorded(&self) -> bool {
        self.aggregation == Aggregation::Recorded
    }

    /// Packings, unpackings, verified returns, and what comes after a named time, per pack dispensed:
    /// they follow other transactions.
    fn follow_ups(&self) -> f64 {
        let [pallets, cases] = self.journeys();
        let received = self.transport_s.map_or(0.0, |_| pallets + cases);
        let cleared = self.clear_s.map_or(0.0, |_| self.cleared());
        let packed = if self.is_recorded() {
            // Each case and each pallet once, however often it travels.
            2.0 * (cases + pallets / f64::from((self.hops - 2).max(1)))
        } else {
            0.0
        };
        let verified = if self.verify_returns {
            self.return_share
        } else {
            0.0
        };
        packed + verified + received + cleared
    }

    /// Packs that leave quarantine, per pack dispensed.
    fn cleared(&self) -> f64 {
        (self.alert_share * self.scans_per_pack + self.quarantine_share) * self.clear_share
    }

    /// Events per pack dispensed by class, without racers, reads and what follows others.
    fn per_pack(&self) -> [f64; CLASSES] {
        let [pallets, cases] = self.journeys();
        let alerts = self.alert_share * self.scans_per_pack;
        Action::ALL.map(|action| match action {
            Action::Verify => 0.0,
            Action::Commission => cases,
            Action::Receive if self.transport_s.is_some() => 0.0,
            Action::Ship | Action::Receive => pallets + cases,
            Action::Dispense => 1.0,
            Action::Undo => self.undo_share,
            Action::Return => self.return_share,
            Action::Suspect => alerts,
            Action::Clear if self.clear_s.is_some() => 0.0,
            Action::Clear => self.cleared(),
            Action::Recall => self.recalls_per_person_year / self.packs_per_person_year,
            Action::Quarantine => self.quarantine_share,
            Action::Aggregate | Action::Disaggregate | Action::VerifyReturn => 0.0,
        })
    }

    fn writes_per_pack(&self) -> f64 {
        let per_pack = self.per_pack();
        let more_lots = f64::from(self.lots_per_recall - 1);
        per_pack.iter().sum::<f64>()
            + per_pack[Action::Recall.index()] * more_lots
            + self.racers()
            + self.follow_ups()
    }

    fn packs_per_s(&self, rate: Rate) -> f64 {
        rate.mean_per_s().map_or(
            self.people() as f64 * self.packs_per_person_year / YEAR_S,
            |per_s| per_s / self.writes_per_pack(),
        )
    }

    /// Mean arrivals per second by class. Racers are part of the offered writes; their scans, and
    /// reads after a recall, are part of the reads.
    pub(super) fn rates_per_s(&self, rate: Rate) -> [f64; CLASSES] {
        let packs = self.packs_per_s(rate);
        let mut per_s = self.per_pack().map(|each| each * packs);
        let lots = per_s[Action::Recall.index()] * f64::from(self.lots_per_recall);
        let deliberate = lots * self.rechecks_per_recall + packs * self.racers();
        let scans = packs * (self.scans_per_pack - 1.0);
        per_s[Action::Verify.index()] = (scans - deliberate).max(0.0);
        per_s
    }

    pub(super) fn check(&self, rate: Rate) -> Result<(), Error> {
        let wholes = [
            ("people", self.people(), 1, 1 << 34),
            ("sites", self.sites().into(), 1, 65_535),
            (
                "wholesalers",
                self.wholesalers.into(),
                1,
                self.sites().into(),
            ),
            ("hops", self.hops.into(), 2, 9),
            ("case", self.case.into(), 1, 1_000),
            ("pallet", self.pallet.into(), 1, 1_000),
            ("products", self.products.into(), 1, 1 << 22),
            ("lots_per_product", self.lots_per_product.into(), 1, 64),
            ("lot_units", self.lot_units.into(), 1, 1 << 30),
            ("lines", self.lines.into(), 1, 65_535),
            ("most_stock", self.most_stock.into(), 1, 1 << 27),
            (
                "lots_per_recall",
                self.lots_per_recall.into(),
                1,
                self.lots_per_product.into(),
            ),
            ("clone_copies", self.clone_copies.into(), 0, 1_000),
            (
                "recall_product",
                self.recall_product.into(),
                1,
                self.products.into(),
            ),
        ];
        for (key, n, least, most) in wholes {
            let hint = "a whole number, and not absurdly large; \
                wholesalers are sites, and a recall's lots are of one product";
            Error::unless((least..=most).contains(&n), key, &n, hint)?;
        }
        let shares = [
            ("alert_share", self.alert_share),
            ("clear_share", self.clear_share),
            ("return_share", self.return_share),
            ("quarantine_share", self.quarantine_share),
            ("undo_share", self.undo_share),
            ("class_one_share", self.class_one_share),
            ("racing_dispense_share", self.racing_dispense_share),
            ("clone_share", self.clone_share()),
        ];
        for (key, share) in shares {
            let fits = (0.0..=1.0).contains(&share);
            Error::unless(fits, key, &share, "a share lies between 0 and 1")?;
        }
        self.check_amounts()?;
        let packs = self.granularity == Granularity::Aggregated || !self.is_recorded();
        let hint =
            "packs that travel one by one are packed in nothing: `granularity = \"aggregated\"`";
        Error::unless(packs, "aggregation", &"recorded", hint)?;
        let most = match self.aggregation {
            Aggregation::Implied => self.packing().case.max(1),
            Aggregation::Recorded => self.case.max(self.pallet),
        };
        let us = self.commission_us(most);
        let hint = "a case takes at most 65,535 us: lower it, or `exec_us`, or `case`";
        Error::unless(
            u16::try_from(us).is_ok(),
            "serial_us",
            &self.serial_us,
            hint,
        )?;
        let fits =
            matches!(rate, Rate::Profile { .. }) || self.peak_day.to_bits() == 1_f64.to_bits();
        let hint = "a flat rate has no days: leave it at 1, or use a profile";
        Error::unless(fits, "peak_day", &self.peak_day, hint)
    }

    fn check_amounts(&self) -> Result<(), Error> {
        for (key, amount, least, most) in [
            (
                "packs_per_person_year",
                self.packs_per_person_year,
                1e-6,
                1e6,
            ),
            ("scans_per_pack", self.scans_per_pack, 1.0, 1e6),
            ("product_zipf", self.product_zipf, 0.0, 5.0),
            ("stock_days", self.stock_days, 0.0, 3_660.0),
            ("site_sigma", self.site_sigma, 0.0, 2.0),
            (
                "recalls_per_person_year",
                self.recalls_per_person_year,
                0.0,
                1e6,
            ),
            ("rechecks_per_recall", self.rechecks_per_recall, 0.0, 1e4),
            ("recheck_s", self.recheck_s, 0.0, 86_400.0),
            ("recall_gap_s", self.recall_gap_s, 0.0, 86_400.0),
            ("recall_at_s", self.recall_at_s.unwrap_or(0.0), 0.0, 1e9),
            ("verify_return_s", self.verify_return_s, 0.0, 864_000.0),
            (
                "transport_s",
                self.transport_s.unwrap_or(0.0),
                0.0,
                864_000.0,
            ),
            ("clear_s", self.clear_s.unwrap_or(0.0), 0.0, 864_000.0),
            ("race_s", self.race_s, 0.0, 86_400.0),
            ("clone_s", self.clone_s, 0.0, 86_400.0),
            ("settle_s", self.settle_s, 0.0, 864_000.0),
            ("peak_day", self.peak_day, 1e-3, 100.0),
            ("expiry_s", self.expiry_s.unwrap_or(0.0), 0.0, 1e9),
        ] {
            let fits = (least..=most).contains(&amount);
            let hint = "a number, not negative and not absurdly large; the last scan dispenses";
            Error::unless(fits, key, &amount, hint)?;
        }
        Ok(())
    }

    /// By how much clearing may run ahead of alerts within the week, in seconds of the mean rate.
    fn office_lag_s(&self, rate: Rate) -> f64 {
        match rate {
            Rate::Flat { .. } => 0.0,
            Rate::Profile { .. } => {
                let week = |hours: Hours| hours.week(self.class_one_share);
                3_600.0 * lead(&week(Hours::Office), &week(Hours::Trade))
            }
        }
    }

    /// The chain before the first block: what is used up while the first transactions settle, twice
    /// over, in the busiest hour, and a reserve for chance.
    pub(super) fn chain(&self, rate: Rate) -> Result<Chain, Error> {
        // assumption: several deviations of the difference of two Poisson counts of a million; for
        // pallets, of a thousand, which are two million packs.
        const RESERVE: f64 = 4096.0;
        const PALLETS: f64 = 128.0;
        let packing = self.packing();
        let packs = self.packs_per_s(rate);
        let per_s = self.rates_per_s(rate);
        let [pallets, cases] = self.journeys().map(|each| each * packs);
        let need = |per_s: f64, action: Action, reserve: f64| {
            let peak = match rate {
                Rate::Flat { .. } => 1.0,
                Rate::Profile { .. } => {
                    peak(&facts(action).hours.week(self.class_one_share)) * self.peak_day.max(1.0)
                }
            };
            // Packing and unpacking settle as well, three times at most before goods move on.
            let steps = if self.is_recorded() { 3.0 } else { 1.0 };
            2.0 * per_s * peak * self.settle_s * steps + reserve
        };
        let whole = if packing.case == 0 { RESERVE } else { PALLETS };
        let moved = need(pallets, Action::Ship, whole) * f64::from(u8::from(self.hops > 2));
        let loose = need(cases, Action::Ship, RESERVE) / f64::from(packing.pallet) + 1.0;
        let used = need(per_s[Action::Dispense.index()], Action::Dispense, RESERVE);
        let held = (packs * 86_400.0 * self.stock_days).min(f64::from(self.most_stock));
        let stock = used.max(held);
        let dispensed = need(per_s[Action::Undo.index()], Action::Undo, RESERVE);
        let cleared = per_s[Action::Clear.index()];
        let quarantined = need(cleared, Action::Clear, RESERVE) + cleared * self.office_lag_s(rate);
        let ids =
            2.0 * (moved + loose) * f64::from(packing.ids()) + stock + dispensed + quarantined;
        // Each takes 16 bytes in the ledger.
        let hint = "lower it, or the rate, or the size of cases and pallets";
        Error::unless(ids < 2e8, "settle_s", &self.settle_s, hint)?;
        let layout = Layout {
            products: self.products,
            lots: self.lots_per_product,
            stock: stock as u32,
            dispensed: dispensed as u32,
            quarantined: quarantined as u32,
            to_ship: moved as u32,
            shipped: moved as u32,
            to_distribute: loose as u32,
            distributed: loose as u32,
        };
        let sites = Sites::log_normal(self.sites(), self.site_sigma);
        let wholesalers = Sites::log_normal(self.wholesalers, self.site_sigma);
        let zipf = self.product_zipf;
        Ok(Chain::new(
            layout,
            packing,
            self.hops,
            zipf,
            sites,
            wholesalers,
        ))
    }
}
