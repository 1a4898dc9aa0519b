//! Attacks: how often they succeed, what they cost, what they do to the hospitals, and what theory
//! says. `quorate attack NAME`, or a plan of kind `attack`.
//!
//! Two kinds of plan: a race of two branches (`[sm1]`, `[double_spend]`, `[balance]`), which needs no network; and
//! any plan of a simulation with a table `[attack]`, which names the game whose success is counted,
//! and its cases, each a list of overrides. Who lies and what is cut is said by the plan's `[[corrupt]]`
//! and `[[faults]]`, so that every attack can be changed, or replaced, without touching the program.

mod games;
pub(crate) mod race;
pub(crate) mod simulated;

use crate::error::Error;
use crate::output::{self, column, key};
use crate::plan::Source;
use crate::plots::{self, Curve};
use crate::results::{Folder, Kind, Value, sha256_hex};
use crate::stats::{self, Interval};
use crate::words;
pub use games::Game;
use race::RacePlan;
use simulated::Simulated;
pub use simulated::{AttackPlan, CasePlan};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A built-in attack.
pub struct BuiltIn {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Who described it.
    pub source: &'static str,
    /// What it takes.
    pub needs: &'static str,
    /// What to look for in the results.
    pub look: &'static str,
    /// The plan.
    pub text: &'static str,
}

/// All built-in attacks.
pub const BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        name: "sm1",
        about: "Selfish mining: a pool keeps its blocks back so that others waste their work",
        source: "Eyal and Sirer, FC 2014",
        needs: "a share of the work above (1−γ)/(3−2γ), and patience until the first retarget",
        look: "share_of_chain above the share of the work; time_to_profit; stale_share, which slows all",
        text: include_str!("../attacks/sm1.toml"),
    },
    BuiltIn {
        name: "double-spend",
        about: "Double spend: a secret branch overtakes the one that a merchant has accepted",
        source: "Rosenfeld 2014; Nakamoto 2008 as context",
        needs: "a share of the work, and one block mined in advance",
        look: "success by confirmations, and own_blocks_lost for each attempt: what it must be worth",
        text: include_str!("../attacks/double-spend.toml"),
    },
    BuiltIn {
        name: "balance",
        about: "Balance attack on LMD-GHOST: votes kept back hold two branches level for an epoch",
        source: "Neu, Tas and Tse, IEEE S&P 2021; Buterin 2020 for the boost",
        needs: "a small share of the keys, and messages that reach one half of the honest first",
        look: "success by share: near one without a boost, near none with 40 %",
        text: include_str!("../attacks/balance.toml"),
    },
    BuiltIn {
        name: "balance-twins",
        about: "The same by equivocation on the whole protocol, whose proofs of it take the votes away",
        source: "Bano et al., \"Twins\", 2021; consensus-specs, on_attester_slashing",
        needs: "liars that run twice, one self to each half",
        look: "forked_heights and evidence; success stays none, with the boost and without",
        text: include_str!("../attacks/balance-twins.toml"),
    },
    BuiltIn {
        name: "sm1-network",
        about: "Selfish mining on a network, where γ is not given but comes out",
        source: "Eyal and Sirer, FC 2014",
        needs: "a share of the work; nodes that are heard of first raise γ",
        look: "share_of_chain against the closed form at the gamma that was measured",
        text: include_str!("../attacks/sm1-network.toml"),
    },
    BuiltIn {
        name: "private-reorg",
        about: "A long private branch against finality by depth, with work and with stake",
        source: "Rosenfeld 2014; Blum, Kiayias, Moore, Quader and Russell 2020",
        needs: "more of the work or stake than finality was chosen against",
        look: "success by confirmations, own_blocks_lost, and reversed_txs once these reach the depth",
        text: include_str!("../attacks/private-reorg.toml"),
    },
    BuiltIn {
        name: "cloning",
        about: "The attack of the clones: a signer runs twice, once on each side of a partition",
        source: "Ekparinya, Gramoli and Jourjon, NDSS 2020",
        needs: "one authority and a partition; a committee takes more clones than it bears",
        look: "success by clones, conflicting_finals, reversed_txs",
        text: include_str!("../attacks/cloning.toml"),
    },
    BuiltIn {
        name: "eclipse",
        about: "Eclipse: one hospital's node hears liars only",
        source: "Heilman, Kendler, Zohar and Goldberg, USENIX Security 2015",
        needs: "all links of the victim, and work or clones of one's own",
        look: "success where work decides; never_final where a committee halts instead",
        text: include_str!("../attacks/eclipse.toml"),
    },
    BuiltIn {
        name: "long-delay",
        about: "Long delay on Praos: whoever owns the network slows the chain",
        source: "David, Gaži, Kiayias and Russell, EUROCRYPT 2018",
        needs: "messages that wait for Δ slots",
        look: "growth against little more than f/(1 + fΔ), and blocks_lost",
        text: include_str!("../attacks/long-delay.toml"),
    },
    BuiltIn {
        name: "delayed-reorg",
        about: "A private branch on Praos while the others' messages take long",
        source: "David, Gaži, Kiayias and Russell, EUROCRYPT 2018; Blum et al. 2020",
        needs: "a pool, and messages that wait for Δ slots",
        look: "success by delay, and reversed_txs",
        text: include_str!("../attacks/delayed-reorg.toml"),
    },
    BuiltIn {
        name: "clique-spam",
        about: "Clique: signers that do not wait for their turn",
        source: "EIP-225, whose wiggle nobody can check; own counting",
        needs: "one authority",
        look: "forked_heights, reorganisations, and that nothing final is reversed",
        text: include_str!("../attacks/clique-spam.toml"),
    },
];

/// What is known about a quantity besides what was simulated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Law {
    value: f64,
    side: Side,
}

/// How a law binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Exact,
    AtMost,
}

impl Side {
    const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::AtMost => "at most",
        }
    }
}

impl Law {
    /// A law that holds exactly; none where there is no number.
    fn exact(value: f64) -> Option<Self> {
        let side = Side::Exact;
        value.is_finite().then_some(Self { value, side })
    }

    /// A bound from above.
    const fn at_most(value: f64) -> Self {
        let side = Side::AtMost;
        Self { value, side }
    }
}

/// What was simulated.
#[derive(Clone, Debug, PartialEq)]
pub enum Estimate {
    /// Successes in independent trials.
    Count {
        /// Successes.
        won: u64,
        /// Trials.
        trials: u64,
    },
    /// One value a replication.
    Samples(Vec<f64>),
    /// A number without chance.
    Number(f64),
    /// Nothing was observed.
    Missing,
}

impl Estimate {
    fn count(won: u64, trials: usize) -> Self {
        let trials = trials as u64;
        Self::Count { won, trials }
    }

    fn maybe(value: Option<f64>) -> Self {
        value.map_or(Self::Missing, Self::Number)
    }

    /// The value with its interval.
    pub fn interval(&self, confidence: f64) -> Interval {
        match self {
            Self::Count { won, trials } => stats::wilson_interval(*won, *trials, confidence),
            Self::Samples(samples) => stats::student_interval(samples, confidence),
            Self::Number(value) => Interval {
                mean: Some(*value),
                ..stats::student_interval(&[], confidence)
            },
            Self::Missing => stats::student_interval(&[], confidence),
        }
    }

    /// The value.
    pub fn value(&self) -> Option<f64> {
        self.interval(0.5).mean
    }

    fn trials(&self) -> Option<u64> {
        match self {
            Self::Count { trials, .. } => Some(*trials),
            Self::Samples(samples) => Some(samples.len() as u64),
            Self::Number(_) | Self::Missing => None,
        }
    }
}

/// One number of a result.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which case.
    pub case: usize,
    /// Label of the engine; empty in a race.
    pub engine: String,
    /// What differs between cases, as `q=0.1;n=6`.
    pub parameters: String,
    /// What is measured.
    pub metric: &'static str,
    /// In what.
    pub unit: &'static str,
    /// What came out.
    pub estimate: Estimate,
    /// What theory says.
    pub law: Option<Law>,
}

/// Whether a number is what theory says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The interval holds the law, and is narrow.
    Agrees,
    /// It does not hold it.
    Differs,
    /// It holds it, and much else.
    Undecided,
}

impl Verdict {
    const fn name(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Differs => "differs",
            Self::Undecided => "undecided",
        }
    }
}

/// Half an interval as a share of the law beyond which it does not say that the law holds.
// assumption: an agreement worth the name is one to better than a fifth.
const NARROW: f64 = 0.2;

impl Row {
    /// Against the law, at this confidence; `None` without one.
    pub fn verdict(&self, confidence: f64) -> Option<Verdict> {
        let law = self.law?;
        let interval = self.estimate.interval(confidence);
        let (Some(low), Some(high)) = (interval.low, interval.high) else {
            return Some(Verdict::Undecided);
        };
        // Nothing is a share of never: there the probability itself is narrow or not.
        let scale = if law.value > 0.0 { law.value } else { 1.0 };
        let narrow = (high - low) / 2.0 <= NARROW * scale;
        Some(match law.side {
            Side::Exact if law.value < low || law.value > high => Verdict::Differs,
            Side::Exact if narrow => Verdict::Agrees,
            Side::AtMost if low > law.value => Verdict::Differs,
            Side::AtMost if high <= law.value => Verdict::Agrees,
            Side::Exact | Side::AtMost => Verdict::Undecided,
        })
    }
}

/// Everything that an attack came to.
pub struct Result {
    name: String,
    confidence: f64,
    /// The plan with every default spelled out.
    config: String,
    /// The numbers.
    pub rows: Vec<Row>,
    figures: Vec<Curve>,
    /// Evidence that a protocol broke its promise within its own bound.
    pub broken: Option<String>,
}

/// A plan of kind `attack`.
pub struct Attack(What);

enum What {
    Race(Box<RacePlan>),
    Simulated(Box<Simulated>),
}

impl Attack {
    /// The plan of an attack, built in or from a file.
    ///
    /// # Errors
    /// When there is none of that name, or the first thing that is wrong with it.
    pub fn source(name: &str) -> std::result::Result<Source, Error> {
        if let Some(attack) = BUILT_IN.iter().find(|a| a.name == name) {
            return Ok(Source::new(format!("built-in attack {name}"), attack.text));
        }
        let names: Vec<&str> = BUILT_IN.iter().map(|a| a.name).collect();
        let hint = format!("give a file, or a built-in attack: {}", names.join(", "));
        Source::file(name, &hint)
    }

    /// Whether a text is a plan of kind `attack`, as far as it can be read.
    pub fn is_one(source: &Source) -> bool {
        let table: std::result::Result<toml::Table, _> = toml::from_str(&source.text);
        let kind = table.ok().and_then(|t| t.get("kind").cloned());
        kind.is_some_and(|k| k.as_str() == Some("attack"))
    }

    /// Reads and checks it.
    ///
    /// # Errors
    /// The first thing that is wrong, with its file, line and key.
    pub fn open(
        source: &Source,
        set: &[String],
        engines: Option<&str>,
        quick: bool,
    ) -> std::result::Result<Self, Error> {
        let table: toml::Table = toml::from_str(&source.text).map_err(|e| source.at_line(&e))?;
        if !race::is_race(&table) && !table.contains_key("attack") {
            return Err(simulated::nothing(source));
        }
        if !race::is_race(&table) {
            let plan = Simulated::open(source, set, engines, quick)?;
            return Ok(Self(What::Simulated(Box::new(plan))));
        }
        if engines.is_some() {
            let hint = "leave out --engines";
            return Err(source.at_key("kind", "is a race of branches, without engines", hint));
        }
        RacePlan::open(source, set, quick).map(|plan| Self(What::Race(Box::new(plan))))
    }

    /// Runs it.
    ///
    /// # Errors
    /// When it was interrupted, or a unit hit a bug; the message holds the command that repeats it.
    pub fn run(&self, command: &str) -> std::result::Result<Result, Error> {
        match &self.0 {
            What::Race(plan) => {
                let rows = plan.run()?;
                Ok(Result {
                    name: plan.name.clone(),
                    confidence: plan.confidence,
                    config: output::with_version(plan),
                    figures: plan.figures(&rows),
                    rows,
                    broken: None,
                })
            }
            What::Simulated(attack) => {
                let (rows, broken) = attack.run(command)?;
                Ok(Result {
                    name: attack.plan.name.clone(),
                    confidence: attack.plan.confidence,
                    config: attack.config(),
                    figures: attack.figures(&rows),
                    rows,
                    broken,
                })
            }
        }
    }
}

impl Result {
    /// The confidence at which each of the numbers is held against its law, so that all hold together.
    fn corrected(&self) -> f64 {
        let held = self.rows.iter().filter(|r| r.law.is_some()).count();
        stats::bonferroni(self.confidence, held)
    }

    /// Writes `attack.csv`, the plan and the figure; returns the folder.
    ///
    /// # Errors
    /// When the folder cannot be written; nothing half-written is left.
    pub fn write(&self, parent: &Path) -> std::result::Result<PathBuf, Error> {
        let hash = sha256_hex(self.config.as_bytes());
        let mut folder = Folder::create(parent, &format!("{}-{}", self.name, &hash[..8]))?;
        folder.text("config.resolved.toml", &self.config)?;
        folder.csv(
            "attack.csv",
            &columns(),
            self.rows.iter().map(|r| self.cells(r)),
        )?;
        folder.text("plots/attack.svg", &plots::draw_panel(&self.figures))?;
        Ok(folder.finish()?)
    }

    fn cells(&self, row: &Row) -> Vec<Value> {
        let interval = row.estimate.interval(self.confidence);
        let verdict = row.verdict(self.corrected());
        vec![
            row.case.into(),
            row.metric.into(),
            row.engine.as_str().into(),
            row.parameters.as_str().into(),
            row.unit.into(),
            interval.mean.into(),
            interval.low.into(),
            interval.high.into(),
            row.estimate.trials().into(),
            row.law.map(|l| l.value).into(),
            row.law.map(|l| l.side.name()).into(),
            verdict.map(Verdict::name).into(),
        ]
    }

    /// The answer: successes with their laws, what differs, and where the rest is.
    pub fn report(&self, folder: &Path) -> String {
        let mut text = String::new();
        let corrected = self.corrected();
        // The first number of a case is its answer.
        let first = |w: &usize| *w == 0 || self.rows[*w - 1].case != self.rows[*w].case;
        let rows: Vec<&Row> = (0..self.rows.len())
            .filter(first)
            .map(|w| &self.rows[w])
            .collect();
        let width = |of: &dyn Fn(&Row) -> usize| rows.iter().map(|r| of(r)).max().unwrap_or(0);
        let engine = width(&|r| r.engine.len());
        let parameters = width(&|r| r.parameters.len());
        for row in rows.iter().take(MOST_LINES) {
            let interval = row.estimate.interval(self.confidence);
            let law = row.law.map_or(String::new(), |law| {
                let verdict = row.verdict(corrected).map_or("", Verdict::name);
                format!("  law {}: {verdict}", digits(law.value))
            });
            let _ = writeln!(
                text,
                "{:engine$}  {:parameters$}  {:16} {}{law}",
                row.engine,
                row.parameters,
                row.metric,
                words::interval(&interval, digits),
            );
        }
        if rows.len() > MOST_LINES {
            let _ = writeln!(text, "… and {} more", rows.len() - MOST_LINES);
        }
        let count = |wanted| {
            let of = self.rows.iter().filter_map(|r| r.verdict(corrected));
            of.filter(|v| *v == wanted).count()
        };
        let _ = writeln!(
            text,
            "\n{} numbers agree with their law, {} differ, {} are undecided\nwritten to {}",
            count(Verdict::Agrees),
            count(Verdict::Differs),
            count(Verdict::Undecided),
            folder.display()
        );
        text
    }
}

/// As [`words::short`], but a small probability keeps three digits.
fn digits(x: f64) -> String {
    if x == 0.0 || x.abs() >= 0.01 {
        words::short(x)
    } else {
        format!("{x:.2e}")
    }
}

/// Lines that are printed.
const MOST_LINES: usize = 40;

fn columns() -> Vec<crate::results::Column> {
    vec![
        key("case", Kind::Integer, "place of the case in the plan"),
        key("metric", Kind::String, "what is measured"),
        column(
            "engine",
            Kind::String,
            "",
            "label of the engine; empty in a race",
        ),
        column("parameters", Kind::String, "", "what differs between cases"),
        column("unit", Kind::String, "", "unit of value, low, high and law"),
        column(
            "value",
            Kind::Number,
            "",
            "what came out; empty if it was not observed",
        ),
        column("low", Kind::Number, "", "lower end of the interval"),
        column("high", Kind::Number, "", "upper end of the interval"),
        column(
            "trials",
            Kind::Integer,
            "",
            "independent trials of a probability, or replications of a mean",
        ),
        column(
            "law",
            Kind::Number,
            "",
            "what theory says; empty where it says nothing",
        ),
        column("law_is", Kind::String, "", "exact, or at most"),
        column(
            "verdict",
            Kind::String,
            "",
            "agrees, differs, or undecided, at a confidence corrected for the number of laws",
        ),
    ]
}
