//! Two ledgers in one run, coupled through the load alone: what is final on one lets the next step
//! happen on the other. `quorate run medicalchain-teleconsult`, or any plan of kind `two-ledgers`.
//!
//! source: Medicalchain: access rights and hashes on a permissioned ledger, payments in a token on a
//! public chain; a patient decides who sees what and for how long.
//!
//! - **Teleconsult**: a patient grants consent, which expires; once that is final, the price goes into
//!   escrow on the token ledger; once the escrow is final at the clinic's node there, before the grant has
//!   expired, the consult begins: accesses, and at its end a note and a prescription. When these are final,
//!   the escrow is released. Where the grant has expired first, or the escrow is reversed before it was
//!   released, the clinic pays it back.
//! - **Data licence**: a researcher asks patients for their data. Consents that are final are paid for in
//!   batches on the token ledger; data are released when the payment is final.
//!
//! Deviations: a clinic has a node of its own on both ledgers, or shares one, and no way between them;
//! nobody lies; a released escrow that is reversed is not asked for again.

mod story;

use crate::analysis;
use crate::anchor;
use crate::costs;
use crate::engines::{self, AnyEngine};
use crate::error::{Error, exit};
use crate::network::{self, NetworkPlan};
use crate::output::{self, column, key};
use crate::plan::{BuiltIn, EnginePlan, FaultPlan, Plan, Source, check, set};
use crate::results::{Folder, Kind as ColumnKind, Value, sha256_hex};
use crate::run::STOP;
use crate::stats;
use crate::unit::Tweak;
use crate::words;
use quorate_core::{Adversary, Finality, Level, NodeId, Seed, Span, Time};
use quorate_kernel::{Forms, MempoolConfig, Report, RunLimits, Setup, Status, Unit, VoteChecks};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use story::{Consults, Figure, Health, Licences, Others, Story, Token};

/// The built-in plans.
pub const BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        name: "medicalchain-teleconsult",
        about: "consent on one ledger, escrow on another: when does a consult start, what expires first?",
        text: include_str!("../scenarios/medicalchain-teleconsult.toml"),
    },
    BuiltIn {
        name: "medicalchain-data-licence",
        about: "patients paid for their data: what do batches of micro-payments save, what do they cost?",
        text: include_str!("../scenarios/medicalchain-data-licence.toml"),
    },
];

/// A plan of kind `two-ledgers`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PairPlan {
    /// Names the results folder.
    pub name: String,
    /// `two-ledgers`.
    pub kind: Kind,
    /// Master seed of all streams.
    #[serde(default = "one")]
    pub seed: u64,
    /// Independent replications of every case.
    pub replications: u32,
    /// Confidence of the intervals.
    #[serde(default = "usual")]
    pub confidence: f64,
    /// Overrides of the smaller form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quick: Vec<String>,
    /// When requests begin, s: until then queues of the ledgers become what they always are.
    pub warm_up_s: f64,
    /// How long requests come, s.
    pub duration_s: f64,
    /// How long the run then waits for what is open, s.
    pub drain_s: f64,
    /// Clinics; clinic `c` has the node `c mod nodes` of each ledger.
    pub clinics: u32,
    /// The ledger of consents and records.
    pub health: LedgerPlan,
    /// The ledger of payments.
    pub token: LedgerPlan,
    /// Consults over the wire. Exactly one of this and `licence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teleconsult: Option<Teleconsult>,
    /// Licences of data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<Licence>,
    /// What is varied; none for the plan as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cases: Vec<CasePlan>,
}

/// The word in plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Two ledgers in one run.
    TwoLedgers,
}

const fn one() -> u64 {
    1
}

const fn usual() -> f64 {
    0.95
}

/// One case.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CasePlan {
    /// What it is called in the results.
    pub name: String,
    /// Overrides of the plan, as for `-s`.
    pub set: Vec<String>,
}

/// One of the ledgers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LedgerPlan {
    /// Its engine.
    pub engine: String,
    /// The engine's settings.
    #[serde(default)]
    #[schemars(with = "crate::schema::Table")]
    pub config: toml::Table,
    /// Its network, with the keys of a plan's `[network]`.
    pub network: NetworkPlan,
    /// Blocks after which a transaction counts as final, its own included, where depth decides; absent
    /// means those of `adversary_share` at `final_risk`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmations: Option<u32>,
    /// Share of the work or stake that an adversary has, where depth decides.
    // source: Nakamoto 2008, §11, the example of 10 %.
    #[serde(default = "tenth")]
    pub adversary_share: f64,
    /// Reversal risk at which a block counts as final.
    // assumption: as in other plans.
    #[serde(default = "millionth")]
    pub final_risk: f64,
    /// Share of the blocks' space that other people's transactions ask for.
    #[serde(default)]
    pub occupancy: f64,
    /// Bytes of one of these.
    // assumption: a transfer with its signature.
    #[serde(default = "transfer")]
    pub tx_bytes: u16,
    /// What goes wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultPlan>,
}

const fn tenth() -> f64 {
    0.1
}

const fn millionth() -> f64 {
    1e-6
}

const fn transfer() -> u16 {
    200
}

/// Consults over the wire.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Teleconsult {
    /// Requests an hour, at all clinics together, Poisson.
    pub requests_per_h: f64,
    /// How long a grant holds, from the request on, min.
    pub consent_min: f64,
    /// How long a consult takes, min.
    pub consult_min: f64,
    /// Accesses to the record during a consult, evenly from its start.
    pub accesses: u32,
    /// Share of requests that are made at a second clinic too, with money for one.
    #[serde(default)]
    pub double_bookings: f64,
    /// How much later, s.
    #[serde(default)]
    pub rebook_s: f64,
    /// Bytes of escrow, release and refund.
    #[serde(default = "transfer")]
    pub escrow_bytes: u16,
}

/// Licences of data.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Licence {
    /// Patients asked.
    pub patients: u32,
    /// Share of them that accept.
    pub accept: f64,
    /// Mean time until they answer, h, exponential.
    pub answer_h: f64,
    /// How long their consent holds, days.
    pub consent_days: f64,
    /// Patients that one transaction pays; the last one pays who is left.
    pub batch: u32,
    /// Bytes of a payment, besides its payees.
    pub base_bytes: u16,
    /// Bytes for each payee.
    pub payee_bytes: u16,
    /// What the fee is charged for, besides payees: gas or bytes.
    pub base_weight: f64,
    /// The same for each payee.
    pub payee_weight: f64,
    /// Fee for a unit of weight, in the chain's smallest unit.
    pub price: f64,
    /// How many of these its native unit has.
    pub coin: f64,
}

impl LedgerPlan {
    fn engine(&self) -> &'static dyn AnyEngine {
        engines::find(&self.engine).expect("the plan was checked")
    }

    /// A plan whose only engine this is, for what checks ask of plans.
    fn plan(&self) -> Plan {
        const BARE: &str = "name = \"ledger\"\nkind = \"replay\"\nreplications = 2\nengines = []\n\
                            [network]\nnodes = 1\nregions = [\"here\"]\none_way_ms = 0.0";
        let mut plan: Plan = toml::from_str(BARE).expect("it is well-formed");
        plan.network = self.network.clone();
        plan.adversary.corrupt = Some(0);
        plan.engines = vec![EnginePlan {
            name: self.engine.clone(),
            label: None,
            duration_s: None,
            config: self.config.clone(),
            matched: toml::Table::new(),
            optional: false,
        }];
        plan
    }

    fn finality(&self) -> Result<Finality, String> {
        let network = self.network.config(Tweak::None, Seed::new(0, 0));
        let mean = network.mean_latency();
        let adversary = Adversary {
            share: self.adversary_share,
            risk: self.final_risk,
            safe_risk: 1e-3_f64.max(self.final_risk),
            delay: mean.scale(1_000 + u64::from(network.jitter.permille()), 1_000),
        };
        let finality = self.engine().finality(&self.config, &adversary)?;
        Ok(match (finality, self.confirmations) {
            (Finality::Depth { .. }, Some(fin)) => Finality::Depth { safe: 1, fin },
            (finality, _) => finality,
        })
    }

    /// Other people's transactions a second.
    fn others_per_s(&self) -> f64 {
        let engine = self.engine();
        let resolved = engine.resolved(&self.config);
        let room = analysis::block_txs(&resolved, f64::from(self.tx_bytes), 0.0);
        let interval = engine.promises(&self.config, self.network.nodes).interval;
        self.occupancy * room / interval.as_s()
    }

    fn check(&self, source: &Source, table: &str) -> Result<(), Error> {
        let refuse = |key: &str, why: &str, hint: &str| {
            Err(source.at_key(&format!("{table}.{key}"), why, hint))
        };
        if self.engine == anchor::NAME || engines::find(&self.engine).is_none() {
            let names: Vec<&str> = engines::ledgers().iter().map(|e| e.name()).collect();
            let why = format!("is {:?}, which is no ledger's engine", self.engine);
            return refuse("engine", &why, &format!("engines: {}", names.join(", ")));
        }
        network::check(&self.network)
            .map_err(|w| source.at_key(&format!("{table}.network.{}", w.key), &w.why, &w.hint))?;
        self.engine()
            .check(&self.plan(), &self.config)
            .map_err(|w| {
                let path = format!("{table}.config.{}", w.key);
                source.at_key(path.trim_end_matches('.'), &w.why, &w.hint)
            })?;
        for (i, fault) in self.faults.iter().enumerate() {
            fault.fault(self.network.nodes).map_err(|w| {
                source.at_key(&format!("{table}.faults.{i}.{}", w.key), &w.why, &w.hint)
            })?;
        }
        let shares = [
            ("adversary_share", self.adversary_share, 0.5),
            ("occupancy", self.occupancy, 10.0),
            ("final_risk", self.final_risk, 1.0),
        ];
        for (key, value, below) in shares {
            let least = if key == "final_risk" {
                f64::MIN_POSITIVE
            } else {
                0.0
            };
            if !(least..below).contains(&value) {
                let why = format!("is {value}");
                return refuse(
                    key,
                    &why,
                    &format!("give a number from 0 on and below {below}"),
                );
            }
        }
        if self.occupancy > 0.0 && !(self.others_per_s().is_finite() && self.tx_bytes > 0) {
            let why = format!("is a share of blocks that {} does not limit", self.engine);
            return refuse("occupancy", &why, "set a limit in config, or leave it out");
        }
        let finality = self.finality();
        if let Err(why) = finality {
            let why = format!("is never final: {why}");
            return refuse("engine", &why, "take another, or a smaller adversary_share");
        }
        match self.confirmations {
            Some(0) => refuse(
                "confirmations",
                "is 0",
                "a block is its own first confirmation",
            ),
            Some(_) if !matches!(finality, Ok(Finality::Depth { .. })) => {
                let why = format!("is there, but {} says itself what is final", self.engine);
                refuse("confirmations", &why, "leave it out")
            }
            _ => Ok(()),
        }
    }

    /// The kernel's setup; the first sites are for other people's transactions.
    fn setup(&self, plan: &PairPlan, seed: Seed) -> Setup {
        let n = self.network.nodes;
        let ledger = self.plan();
        let others = if self.occupancy > 0.0 { n } else { 0 };
        let clinics = (0..plan.clinics).map(|c| NodeId::new(c % n));
        let fault = |f: &FaultPlan| f.fault(n).expect("the plan was checked");
        Setup {
            network: self.network.config(Tweak::None, seed),
            cores: ledger.node.cores,
            cpu_speed: 1,
            costs: costs::of(&ledger.node),
            vote_checks: VoteChecks::OwnCore,
            mempool: MempoolConfig::UNLIMITED,
            endorse: None,
            faults: self.faults.iter().map(fault).collect(),
            corrupt: Vec::new(),
            finality: self.finality().expect("the plan was checked"),
            tolerated: 0,
            serving: (0..others).map(NodeId::new).chain(clinics).collect(),
            horizon: plan.end(),
            drain: Span::ZERO,
            may_cut: false,
            read_level: Level::Final,
            view_age: None,
            limits: RunLimits {
                events: ledger.limits.events,
                pending: ledger.limits.pending as usize,
            },
            forms: Forms::FAST,
            trace: None,
            seed,
        }
    }

    fn others(&self, seed: Seed) -> Option<Others> {
        (self.occupancy > 0.0).then(|| Others {
            per_s: self.others_per_s(),
            bytes: self.tx_bytes,
            nodes: self.network.nodes,
            draws: seed.stream("other people", 0),
            at: Time::ZERO,
        })
    }
}

impl PairPlan {
    fn window(&self) -> (Time, Time) {
        let from = Time::ZERO + Span::from_s_f64(self.warm_up_s);
        (from, from + Span::from_s_f64(self.duration_s))
    }

    fn end(&self) -> Time {
        self.window().1 + Span::from_s_f64(self.drain_s)
    }

    fn check(&self, source: &Source) -> Result<(), Error> {
        check::head(source, &self.name, self.replications, self.confidence)?;
        self.health.check(source, "health")?;
        self.token.check(source, "token")?;
        let refuse = |key: &str, why: &str, hint: &str| Err(source.at_key(key, why, hint));
        let times = [
            ("warm_up_s", self.warm_up_s, 0.0),
            ("duration_s", self.duration_s, f64::MIN_POSITIVE),
            ("drain_s", self.drain_s, 0.0),
        ];
        for (key, value, least) in times {
            if !(least..1e9).contains(&value) {
                return refuse(key, &format!("is {value}"), "give seconds");
            }
        }
        if !(1..=10_000).contains(&self.clinics) {
            return refuse(
                "clinics",
                &format!("is {}", self.clinics),
                "name 1 to 10,000",
            );
        }
        match (&self.teleconsult, &self.licence) {
            (Some(t), None) => t.check(source),
            (None, Some(l)) => l.check(source),
            _ => {
                let hint = "a plan has exactly one of [teleconsult] and [licence]";
                refuse("kind", "is of two ledgers, with no story or with two", hint)
            }
        }
    }

    fn story(&self, seed: Seed) -> Box<dyn Story> {
        let minutes = |m: f64| Span::from_s_f64(60.0 * m);
        if let Some(t) = &self.teleconsult {
            let rules = story::Rules {
                clinics: self.clinics,
                per_s: t.requests_per_h / 3_600.0,
                consent: minutes(t.consent_min),
                length: minutes(t.consult_min),
                accesses: t.accesses,
                double_bookings: t.double_bookings,
                rebook: Span::from_s_f64(t.rebook_s),
                escrow_bytes: t.escrow_bytes,
            };
            return Box::new(Consults::new(rules, self.window(), seed));
        }
        let l = self.licence.as_ref().expect("the plan was checked");
        let terms = story::Terms {
            clinics: self.clinics,
            patients: l.patients,
            accept: l.accept,
            answer_s: 3_600.0 * l.answer_h,
            consent: minutes(1_440.0 * l.consent_days),
            batch: l.batch,
            base_bytes: l.base_bytes,
            payee_bytes: l.payee_bytes,
            base_weight: l.base_weight,
            payee_weight: l.payee_weight,
            price: l.price / l.coin,
        };
        Box::new(Licences::new(terms, self.window().0, seed))
    }

    /// One replication.
    fn unit(&self, replication: u32) -> Done {
        let seed = Seed::new(self.seed, replication);
        // Each ledger has a network and a lottery of its own.
        let apart = |name: &str| Seed::new(seed.key(name), 0);
        let (health_seed, token_seed) = (apart("health ledger"), apart("token ledger"));
        let story = self.story(seed);
        let rules = Health {
            consent: story.consent(),
        };
        let others = [
            self.health.others(health_seed),
            self.token.others(token_seed),
        ];
        let ([health_load, token_load], mut carrier) = story::open(story, self.clinics, others);
        let health = self.health.setup(self, health_seed);
        let token = self.token.setup(self, token_seed);
        let unit = Unit::new(vec![
            self.health
                .engine()
                .open(&self.health.config, health, health_load, &rules),
            self.token
                .engine()
                .open(&self.token.config, token, token_load, &Token),
        ]);
        let reports = unit.run_coupled(&mut carrier);
        let (figures, open) = carrier.figures();
        Done {
            figures,
            open,
            reports,
        }
    }
}

impl Teleconsult {
    fn check(&self, source: &Source) -> Result<(), Error> {
        let refuse = |key: &str, value: f64, hint: &str| {
            let path = format!("teleconsult.{key}");
            Err(source.at_key(&path, &format!("is {value}"), hint))
        };
        for (key, value) in [
            ("requests_per_h", self.requests_per_h),
            ("consent_min", self.consent_min),
            ("consult_min", self.consult_min),
        ] {
            if !(value > 0.0 && value < 1e7) {
                return refuse(key, value, "give a number above 0");
            }
        }
        if !(0.0..=1.0).contains(&self.double_bookings) {
            return refuse(
                "double_bookings",
                self.double_bookings,
                "give a share of the requests",
            );
        }
        if !(0.0..1e7).contains(&self.rebook_s) {
            return refuse("rebook_s", self.rebook_s, "give seconds");
        }
        if !(1..=1_000).contains(&self.accesses) {
            return refuse("accesses", f64::from(self.accesses), "name 1 to 1,000");
        }
        Ok(())
    }
}

impl Licence {
    fn check(&self, source: &Source) -> Result<(), Error> {
        let refuse = |key: &str, value: f64, hint: &str| {
            let path = format!("licence.{key}");
            Err(source.at_key(&path, &format!("is {value}"), hint))
        };
        for (key, value) in [
            ("answer_h", self.answer_h),
            ("consent_days", self.consent_days),
            ("coin", self.coin),
        ] {
            if !(value > 0.0 && value.is_finite()) {
                return refuse(key, value, "give a number above 0");
            }
        }
        for (key, value) in [
            ("base_weight", self.base_weight),
            ("payee_weight", self.payee_weight),
            ("price", self.price),
        ] {
            if !(0.0..f64::INFINITY).contains(&value) {
                return refuse(key, value, "give a number of at least 0");
            }
        }
        if !(0.0..=1.0).contains(&self.accept) {
            return refuse("accept", self.accept, "give a share of the patients");
        }
        if !(1..=10_000_000).contains(&self.patients) {
            return refuse("patients", f64::from(self.patients), "name 1 to 10,000,000");
        }
        let bytes =
            f64::from(self.base_bytes) + f64::from(self.payee_bytes) * f64::from(self.batch);
        if self.batch == 0 || bytes > f64::from(u16::MAX) {
            let hint = "a payment counts up to 65,535 bytes: pay at least one patient, and not more than fit";
            return refuse("batch", f64::from(self.batch), hint);
        }
        Ok(())
    }
}

/// A replication that is over.
struct Done {
    figures: Vec<Figure>,
    open: u64,
    reports: Vec<Report>,
}

impl Done {
    /// How it ended, the worse of the two ledgers.
    fn status(&self) -> &'static str {
        let any = |status: Status| self.reports.iter().any(|r| r.status == status);
        if any(Status::SafetyViolation) {
            "safety_violation"
        } else if any(Status::Saturated) {
            "saturated"
        } else if any(Status::Limit) {
            "limit"
        } else if self.open > 0 {
            "cut_short"
        } else {
            "ok"
        }
    }
}

/// A plan with its cases.
pub struct Pair {
    plan: PairPlan,
    cases: Vec<(String, PairPlan)>,
}

impl Pair {
    /// Whether a text is a plan of kind `two-ledgers`, as far as it can be read.
    pub fn is_one(source: &Source) -> bool {
        let table: Result<toml::Table, _> = toml::from_str(&source.text);
        let kind = table.ok().and_then(|t| t.get("kind").cloned());
        kind.is_some_and(|k| k.as_str() == Some("two-ledgers"))
    }

    /// Reads and checks it.
    ///
    /// # Errors
    /// The first thing that is wrong, with its file, line and key.
    pub fn open(source: &Source, overrides: &[String], quick: bool) -> Result<Self, Error> {
        let base: PairPlan = toml::from_str(&source.text).map_err(|e| source.at_line(&e))?;
        let mut all: Vec<String> = if quick { base.quick } else { Vec::new() };
        all.extend(overrides.iter().cloned());
        let plan = read(source, &all)?;
        plan.check(&source.overridden(&all))?;
        let mut cases = Vec::new();
        for case in &plan.cases {
            // What is asked for goes before what a case says.
            let with: Vec<String> = case.set.iter().chain(&all).cloned().collect();
            let plan = read(source, &with)?;
            plan.check(source)?;
            cases.push((case.name.clone(), plan));
        }
        if cases.is_empty() {
            cases.push(("as planned".to_owned(), plan.clone()));
        }
        Ok(Self { plan, cases })
    }

    /// Runs it.
    ///
    /// # Errors
    /// When it was interrupted, or a unit hit a bug; the message holds the command that repeats it.
    pub fn run(&self, command: &str) -> Result<Ran<'_>, Error> {
        let replications = 0..self.plan.replications;
        let tasks: Vec<(usize, u32)> = (0..self.cases.len())
            .flat_map(|case| replications.clone().map(move |r| (case, r)))
            .collect();
        let run = |&(case, replication): &(usize, u32)| {
            if STOP.load(Ordering::Relaxed) {
                return Err(Error::interrupted());
            }
            let (name, plan) = &self.cases[case];
            catch_unwind(AssertUnwindSafe(|| plan.unit(replication))).map_err(|_| Error {
                message: format!("a bug: replication {replication} of {name} panicked, see above"),
                hint: format!("please report it with this command: {command}"),
                code: exit::BUG,
            })
        };
        let done: Result<Vec<Done>, Error> = tasks.par_iter().with_max_len(1).map(run).collect();
        Ok(Ran {
            pair: self,
            tasks,
            done: done?,
        })
    }
}

fn read(source: &Source, overrides: &[String]) -> Result<PairPlan, Error> {
    let mut table: toml::Table = toml::from_str(&source.text).map_err(|e| source.at_line(&e))?;
    for text in overrides {
        set(&mut table, text)?;
    }
    PairPlan::deserialize(table).map_err(|e| {
        let why = e.message().lines().collect::<Vec<_>>().join(" ");
        Error::config(
            format!("-s {}: {why}", overrides.join(" -s ")),
            "keys are those of the plan, such as -s token.engine=praos",
        )
    })
}

/// Everything that a plan came to.
pub struct Ran<'a> {
    pair: &'a Pair,
    /// Case and replication, as in `done`.
    tasks: Vec<(usize, u32)>,
    done: Vec<Done>,
}

impl Ran<'_> {
    /// Evidence that a protocol broke its promise.
    pub fn broken(&self) -> Option<&str> {
        let mut reports = self.done.iter().flat_map(|d| &d.reports);
        reports.find_map(|r| r.violation.as_deref())
    }

    /// The value of a figure in each replication of a case.
    pub fn samples(&self, case: usize, name: &str) -> Vec<f64> {
        let of = self
            .tasks
            .iter()
            .zip(&self.done)
            .filter(|(t, _)| t.0 == case);
        let value = |done: &Done| done.figures.iter().find(|f| f.name == name)?.value;
        of.filter_map(|(_, done)| value(done)).collect()
    }

    /// How each replication of a case ended.
    pub fn statuses(&self, case: usize) -> Vec<&'static str> {
        let of = self
            .tasks
            .iter()
            .zip(&self.done)
            .filter(|(t, _)| t.0 == case);
        of.map(|(_, done)| done.status()).collect()
    }

    /// The trace digests of both ledgers, by case and replication.
    pub fn digests(&self) -> Vec<u64> {
        let reports = self.done.iter().flat_map(|d| &d.reports);
        reports.map(|r| r.digest).collect()
    }

    /// Writes `two-ledgers.csv` and the plan; returns the folder.
    ///
    /// # Errors
    /// When the folder cannot be written; nothing half-written is left.
    pub fn write(&self, parent: &Path) -> Result<PathBuf, Error> {
        let plan = &self.pair.plan;
        let mut resolved = plan.clone();
        for ledger in [&mut resolved.health, &mut resolved.token] {
            ledger.config = ledger.engine().resolved(&ledger.config);
        }
        let config = output::with_version(&resolved);
        let hash = sha256_hex(config.as_bytes());
        let mut folder = Folder::create(parent, &format!("{}-{}", plan.name, &hash[..8]))?;
        folder.text("config.resolved.toml", &config)?;
        let mut columns = vec![
            key("case", ColumnKind::String, "name of the case"),
            key(
                "replication",
                ColumnKind::Integer,
                "number of the replication",
            ),
            column(
                "health",
                ColumnKind::String,
                "",
                "engine of the ledger of consents and records",
            ),
            column(
                "token",
                ColumnKind::String,
                "",
                "engine of the ledger of payments",
            ),
            column(
                "status",
                ColumnKind::String,
                "",
                "ok, cut_short (something was open at the end), or what broke",
            ),
        ];
        let figures = self.done.first().map(|d| d.figures.as_slice());
        for f in figures.unwrap_or_default() {
            columns.push(column(f.name, ColumnKind::Number, f.unit, f.about));
        }
        let rows = self
            .tasks
            .iter()
            .zip(&self.done)
            .map(|(&(case, replication), done)| {
                let (name, plan) = &self.pair.cases[case];
                let mut row: Vec<Value> = vec![
                    name.as_str().into(),
                    replication.into(),
                    plan.health.engine.as_str().into(),
                    plan.token.engine.as_str().into(),
                    done.status().into(),
                ];
                row.extend(done.figures.iter().map(|f| Value::from(f.value)));
                row
            });
        folder.csv("two-ledgers.csv", &columns, rows)?;
        Ok(folder.finish()?)
    }

    /// The answer: a sentence for each case.
    pub fn report(&self, folder: &Path) -> String {
        let mut text = String::new();
        for (case, (name, plan)) in self.pair.cases.iter().enumerate() {
            let engines = format!("{} with {}", plan.health.engine, plan.token.engine);
            let _ = writeln!(
                text,
                "{name} ({engines}, {} replications)",
                plan.replications
            );
            let _ = if plan.teleconsult.is_some() {
                writeln!(text, "  {}", self.consults(case, plan))
            } else {
                writeln!(text, "  {}", self.licences(case))
            };
            let bad = self.statuses(case).into_iter().filter(|s| *s != "ok");
            let bad: Vec<&str> = bad.collect();
            if let Some(status) = bad.first() {
                let _ = writeln!(text, "  {} replications ended as {status}", bad.len());
            }
        }
        let _ = writeln!(text, "results: {}", folder.display());
        text
    }

    fn mean(&self, case: usize, name: &str, show: impl Fn(f64) -> String) -> String {
        let samples = self.samples(case, name);
        let interval = stats::student_interval(&samples, self.pair.plan.confidence);
        interval
            .mean
            .map_or_else(|| "-".to_owned(), |_| words::interval(&interval, show))
    }

    /// The same for a share, which no interval takes beyond nothing and all.
    fn share(&self, case: usize, name: &str) -> String {
        let samples = self.samples(case, name);
        let mut interval = stats::student_interval(&samples, self.pair.plan.confidence);
        interval.low = interval.low.map(|low| low.max(0.0));
        interval.high = interval.high.map(|high| high.min(1.0));
        match interval.mean {
            Some(_) => words::interval(&interval, words::percent),
            None => "-".to_owned(),
        }
    }

    fn sum(&self, case: usize, name: &str) -> f64 {
        self.samples(case, name).iter().sum()
    }

    fn consults(&self, case: usize, plan: &PairPlan) -> String {
        let s = |s: f64| words::duration(1e3 * s);
        let minutes = plan.teleconsult.as_ref().map_or(0.0, |t| t.consent_min);
        // Of few consults no percentile is known.
        let tail = match self.samples(case, "start_p90_s").len() {
            0 => String::new(),
            _ => format!(
                ", {} at the 90th percentile",
                self.mean(case, "start_p90_s", s)
            ),
        };
        format!(
            "a consult starts {} after its request in the median{}; \
             {} of the grants of {minutes} min expire before the escrow is final; of {} escrows of \
             consults begun {} were reversed, {} paid back for it, {} lost; {} of the accesses are on \
             record when the consult ends, {} after the grant had expired",
            self.mean(case, "start_p50_s", s),
            tail,
            self.share(case, "expired_share"),
            self.sum(case, "started"),
            self.sum(case, "escrows_reversed"),
            self.sum(case, "refunds_after_reversal"),
            self.sum(case, "nothing_held"),
            self.share(case, "audited_share"),
            self.sum(case, "violations"),
        )
    }

    fn licences(&self, case: usize) -> String {
        let s = |s: f64| words::duration(1e3 * s);
        format!(
            "{} payments for {} of {} patients, {} bytes and a fee of {} each, {} after their consent in \
             the mean, {} at the 99th percentile",
            self.mean(case, "payments", words::short),
            self.mean(case, "consented", words::short),
            self.mean(case, "asked", words::short),
            self.mean(case, "payment_bytes_each", words::short),
            self.mean(case, "fee_each", |fee| format!("{fee:.2e}")),
            self.mean(case, "paid_mean_s", s),
            self.mean(case, "paid_p99_s", s),
        )
    }
}
