//! Attacks as races of two branches block by block: no network, no transactions, and exact laws.

use super::{Estimate, Law, Row};
use crate::error::Error;
use crate::plan::{Kind, Source, check, set};
use crate::plots::{Bound, Curve, Line, Point, PointStatus, Series};
use crate::run::STOP;
use quorate_consensus::attacks::{
    Balance, Income, Kept, Spends, double_spend_law, double_spends, selfish_income, selfish_law,
    selfish_mining, selfish_profit_law, selfish_stale_law, selfish_threshold_law,
    tilted_double_spends,
};
use quorate_core::Seed;
use quorate_core::finality::{nakamoto_risk, reversal_risk};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering;

/// A plan of kind `attack` that needs nothing but whose block or vote comes next. Exactly one of `sm1`,
/// `double_spend` and `balance`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RacePlan {
    /// Names the results folder.
    pub name: String,
    /// `attack`.
    pub kind: Kind,
    /// Master seed of all streams.
    #[serde(default = "one")]
    pub seed: u64,
    /// Independent replications.
    pub replications: u32,
    /// Confidence of the intervals.
    #[serde(default = "usual")]
    pub confidence: f64,
    /// Overrides of the smaller form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quick: Vec<String>,
    /// Selfish mining.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sm1: Option<Selfish>,
    /// Double spends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub double_spend: Option<DoubleSpends>,
    /// Branches of LMD-GHOST that are kept level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<Balances>,
}

const fn one() -> u64 {
    1
}

const fn usual() -> f64 {
    0.95
}

/// Selfish mining against γ of the others in ties.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Selfish {
    /// The attacker's shares of the work, each between 0 and 1/2.
    pub shares: Vec<f64>,
    /// The others' shares that extend its branch in a tie, each from 0 to 1.
    pub gammas: Vec<f64>,
    /// Blocks of a replication.
    pub blocks: u64,
    /// Blocks of the chain between retargets.
    pub retarget_blocks: u64,
    /// Retargets that it waits for its profit.
    pub patience: u32,
}

/// Double spends with one block mined in advance.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DoubleSpends {
    /// The attacker's shares of the work, each between 0 and 1/2.
    pub shares: Vec<f64>,
    /// Blocks that the merchant waits for.
    pub confirmations: Vec<u32>,
    /// Blocks behind, after the merchant has accepted, beyond which it gives up.
    pub give_up: u32,
    /// Attempts of a replication.
    pub attempts: u64,
}

/// Branches that are kept level over an epoch.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Balances {
    /// Keys of the attacker among those that vote in a slot.
    pub liars: Vec<u32>,
    /// The proposer's boosts, per cent of a slot's keys.
    pub boost_percent: Vec<u32>,
    /// Keys that vote in a slot.
    pub keys: u32,
    /// Slots of an epoch.
    pub slots: u32,
    /// Epochs of a replication.
    pub epochs: u64,
}

const RACES: [&str; 3] = ["sm1", "double_spend", "balance"];

/// Whether a plan is a race, by its tables; anything else is left to the plans of simulations.
pub(super) fn is_race(table: &toml::Table) -> bool {
    RACES.iter().any(|race| table.contains_key(*race))
}

impl RacePlan {
    /// The plan in a text, with overrides as for `-s`.
    ///
    /// # Errors
    /// The first thing that is wrong, with its file, line and key.
    pub(super) fn open(source: &Source, overrides: &[String], quick: bool) -> Result<Self, Error> {
        let base: Self = toml::from_str(&source.text).map_err(|e| source.at_line(&e))?;
        let mut table: toml::Table = toml::from_str(&source.text).expect("it was parsed above");
        let small: &[String] = if quick { &base.quick } else { &[] };
        for text in small.iter().chain(overrides) {
            set(&mut table, text)?;
        }
        let plan = Self::deserialize(table).map_err(|e| {
            let why = e.message().lines().collect::<Vec<_>>().join(" ");
            Error::config(
                format!("-s {}: {why}", overrides.join(" -s ")),
                "keys are those of the plan, such as -s seed=7",
            )
        })?;
        plan.check(&source.overridden(overrides))?;
        Ok(plan)
    }

    fn check(&self, source: &Source) -> Result<(), Error> {
        check::head(source, &self.name, self.replications, self.confidence)?;
        let refuse = |key: &str, why: &str, hint: &str| Err(source.at_key(key, why, hint));
        let tables = [
            self.sm1.is_some(),
            self.double_spend.is_some(),
            self.balance.is_some(),
        ];
        let mut given = RACES.iter().zip(tables).filter(|(_, given)| *given);
        if let (Some((first, _)), Some((other, _))) = (given.next(), given.next()) {
            let why = format!("stands beside {first}");
            return refuse(other, &why, "write a plan for each");
        }
        match (&self.sm1, &self.double_spend, &self.balance) {
            (Some(plan), ..) => plan.check(source),
            (_, Some(plan), _) => plan.check(source),
            (.., Some(plan)) => plan.check(source),
            (None, None, None) => unreachable!("one of them makes it a race"),
        }
    }

    /// Plays all of it. A row's place does not depend on the threads.
    ///
    /// # Errors
    /// When it was interrupted.
    pub(super) fn run(&self) -> Result<Vec<Row>, Error> {
        let rows = match (&self.sm1, &self.double_spend, &self.balance) {
            (Some(plan), ..) => plan.run(self),
            (_, Some(plan), _) => plan.run(self),
            (.., Some(plan)) => plan.run(self),
            (None, None, None) => unreachable!("the plan was checked"),
        };
        if STOP.load(Ordering::Relaxed) {
            return Err(Error::interrupted());
        }
        Ok(rows)
    }

    /// The figures of the rows.
    pub(super) fn figures(&self, rows: &[Row]) -> Vec<Curve> {
        match (&self.sm1, &self.double_spend, &self.balance) {
            (Some(plan), ..) => plan.figures(self, rows),
            (_, Some(plan), _) => plan.figures(self, rows),
            (.., Some(plan)) => plan.figures(self, rows),
            (None, None, None) => unreachable!("the plan was checked"),
        }
    }

    fn seeds(&self) -> Vec<Seed> {
        let seed = |i| Seed::new(self.seed, i);
        (0..self.replications).map(seed).collect()
    }
}

/// Shares of an attacker that has less than half, each once.
fn check_shares(source: &Source, key: &str, shares: &[f64]) -> Result<(), Error> {
    if let Some(bad) = shares.iter().find(|q| !(0.0 < **q && **q < 0.5)) {
        let why = format!("holds {bad}, not a share between 0 and 1/2");
        let hint = "an attacker with half of the work always wins, and needs no race";
        return Err(source.at_key(key, &why, hint));
    }
    check_list(source, key, shares)
}

fn check_list<T: PartialEq>(source: &Source, key: &str, list: &[T]) -> Result<(), Error> {
    let twice = list.iter().enumerate().any(|(i, x)| list[..i].contains(x));
    if list.is_empty() || twice {
        let why = if twice {
            "holds a value twice"
        } else {
            "is empty"
        };
        return Err(source.at_key(key, why, "list each value once"));
    }
    Ok(())
}

fn check_count(source: &Source, key: &str, count: u64, least: u64) -> Result<(), Error> {
    if count < least {
        let hint = format!("use at least {least}");
        return Err(source.at_key(key, &format!("is {count}, too few"), &hint));
    }
    Ok(())
}

/// Fewest blocks and attempts of a replication that say anything.
// assumption: below it a share has hardly two digits.
const LEAST_DRAWS: u64 = 1_000;

impl Selfish {
    fn check(&self, source: &Source) -> Result<(), Error> {
        check_shares(source, "sm1.shares", &self.shares)?;
        check_list(source, "sm1.gammas", &self.gammas)?;
        if let Some(bad) = self.gammas.iter().find(|g| !(0.0..=1.0).contains(*g)) {
            let why = format!("holds {bad}, no probability");
            return Err(source.at_key("sm1.gammas", &why, "use values from 0 to 1"));
        }
        check_count(source, "sm1.blocks", self.blocks, LEAST_DRAWS)?;
        check_count(source, "sm1.retarget_blocks", self.retarget_blocks, 1)?;
        check_count(source, "sm1.patience", self.patience.into(), 2)
    }

    fn run(&self, plan: &RacePlan) -> Vec<Row> {
        let cells: Vec<(f64, f64)> = self
            .gammas
            .iter()
            .flat_map(|&gamma| self.shares.iter().map(move |&alpha| (alpha, gamma)))
            .collect();
        let seeds = plan.seeds();
        let mut rows: Vec<Vec<Row>> = cells
            .par_iter()
            .enumerate()
            .map(|(case, &(alpha, gamma))| self.cell(case, alpha, gamma, &seeds))
            .collect();
        let thresholds = self.gammas.par_iter().enumerate().map(|(i, &gamma)| {
            let case = cells.len() + i;
            self.threshold(case, gamma, &seeds)
        });
        rows.push(thresholds.flatten().collect());
        rows.into_iter().flatten().collect()
    }

    fn cell(&self, case: usize, alpha: f64, gamma: f64, seeds: &[Seed]) -> Vec<Row> {
        let play = |seed: &Seed| selfish_mining(alpha, gamma, self.blocks, *seed);
        let kept: Vec<Kept> = seeds.iter().map(play).collect();
        let (share, stale) = (selfish_law(alpha, gamma), selfish_stale_law(alpha));
        let of = |f: &dyn Fn(&Kept) -> f64| Estimate::Samples(kept.iter().map(f).collect());
        let settled = |k: &Kept| (k.attacker + k.others + k.stale) as f64;
        let row = |metric, unit, estimate, law| Row {
            case,
            engine: String::new(),
            parameters: format!("alpha={alpha};gamma={gamma}"),
            metric,
            unit,
            estimate,
            law,
        };
        let pays = kept.iter().filter(|k| k.pays()).count() as u64;
        let lost = |k: &Kept| 1.0 - k.attacker as f64 / (alpha * settled(k));
        let theirs = |k: &Kept| 1.0 - k.others as f64 / ((1.0 - alpha) * settled(k));
        vec![
            row(
                "share_of_chain",
                "share",
                of(&Kept::share),
                Law::exact(share),
            ),
            row(
                "stale_share",
                "share",
                of(&Kept::stale_share),
                Law::exact(stale),
            ),
            row(
                "success",
                "probability",
                Estimate::count(pays, kept.len()),
                None,
            ),
            row(
                "own_blocks_lost",
                "share",
                of(&lost),
                Law::exact(1.0 - share * (1.0 - stale) / alpha),
            ),
            row(
                "others_blocks_lost",
                "share",
                of(&theirs),
                Law::exact(1.0 - (1.0 - share) * (1.0 - stale) / (1.0 - alpha)),
            ),
            row(
                "time_to_profit",
                "retarget periods",
                self.profit(alpha, gamma, seeds),
                selfish_profit_law(alpha, gamma)
                    .filter(|t| *t < f64::from(self.patience))
                    .and_then(Law::exact),
            ),
        ]
    }

    /// When a group of attackers together has earned as much as by honest mining, one value a group,
    /// since a single one may be ahead by luck: what it lacks at the first retarget, made up at the
    /// pace from there to the last. Missing where a group does not make it up.
    fn profit(&self, alpha: f64, gamma: f64, seeds: &[Seed]) -> Estimate {
        let run = |s: &Seed| {
            let incomes = selfish_income(alpha, gamma, self.retarget_blocks, self.patience, *s);
            [incomes[0], incomes[incomes.len() - 1]]
        };
        let runs: Vec<[Income; 2]> = seeds.iter().map(run).collect();
        let evens = |group: &[[Income; 2]]| {
            let n = group.len() as f64;
            let [first, last] = [0, 1].map(|end| {
                let time = group.iter().map(|run| run[end].time).sum::<f64>() / n;
                let blocks = group.iter().map(|run| run[end].blocks as f64).sum::<f64>() / n;
                (time, blocks - alpha * time)
            });
            let pace = (last.1 - first.1) / (last.0 - first.0);
            let time = first.0 - first.1 / pace;
            (pace > 0.0 && time <= last.0).then(|| time / self.retarget_blocks as f64)
        };
        let size = seeds.len().div_ceil(GROUPS);
        let found: Option<Vec<f64>> = runs.chunks(size).map(evens).collect();
        found.map_or(Estimate::Missing, Estimate::Samples)
    }

    /// The least share that pays, by bisection to 1/4096 in each replication; all shares meet the same
    /// draws, and the share of the chain is held against that of the blocks found. Where every share
    /// pays there is nothing to find; where hardly a block is lost, as for γ near one, what a run earns
    /// is luck and the share is missing.
    fn threshold(&self, case: usize, gamma: f64, seeds: &[Seed]) -> Option<Row> {
        let law = selfish_threshold_law(gamma);
        let mine = |alpha, seed| selfish_mining(alpha, gamma, self.blocks, seed);
        let least = |seed: &Seed| {
            let (mut low, mut high) = (0.0, 0.5);
            while high - low > 1.0 / 4_096.0 {
                let mid = f64::midpoint(low, high);
                if mine(mid, *seed).pays() {
                    high = mid;
                } else {
                    low = mid;
                }
            }
            let kept = mine(high, *seed);
            (kept.attacker_found - kept.attacker >= FEWEST_LOST).then(|| f64::midpoint(low, high))
        };
        let found: Option<Vec<f64>> = seeds.iter().map(least).collect();
        (law > 0.0).then(|| Row {
            case,
            engine: String::new(),
            parameters: format!("gamma={gamma}"),
            metric: "threshold",
            unit: "share",
            estimate: found.map_or(Estimate::Missing, Estimate::Samples),
            law: Law::exact(law),
        })
    }

    fn figures(&self, plan: &RacePlan, rows: &[Row]) -> Vec<Curve> {
        let panel = |metric: &str, law: &dyn Fn(f64, f64) -> Option<f64>| {
            let mut curve = Curve {
                x_label: "attacker's share of the work".to_owned(),
                note: note(plan, "Dashed: the closed form for each γ."),
                ..Curve::default()
            };
            for (look, &gamma) in self.gammas.iter().enumerate() {
                let of = |row: &&Row| {
                    row.metric == metric && row.parameters.ends_with(&format!(";gamma={gamma}"))
                };
                let points = rows.iter().filter(of).zip(&self.shares);
                let points = points
                    .filter_map(|(row, &alpha)| point(row, alpha, plan.confidence))
                    .collect();
                curve
                    .series
                    .push(series(format!("γ = {gamma}"), look, points));
                let fine = (1..100).map(|i| 0.005 * f64::from(i));
                let most = self.shares.iter().fold(0.0_f64, |a, b| a.max(*b));
                let path = fine.filter(|x| *x <= most);
                let path = path.filter_map(|x| Some((x, law(x, gamma)?))).collect();
                curve.bounds.push(Bound {
                    label: if look == 0 {
                        "closed form".to_owned()
                    } else {
                        String::new()
                    },
                    line: Line::Path(path),
                });
            }
            curve
        };
        let mut share = panel("share_of_chain", &|a, g| Some(selfish_law(a, g)));
        "Selfish mining: what share of the chain it gets".clone_into(&mut share.title);
        "share of the chain".clone_into(&mut share.y_label);
        share.bounds.push(Bound {
            label: "fair".to_owned(),
            line: Line::Diagonal,
        });
        let patience = f64::from(self.patience);
        let mut time = panel("time_to_profit", &|a, g| {
            selfish_profit_law(a, g).filter(|t| *t < patience)
        });
        "Selfish mining: how long until it pays".clone_into(&mut time.title);
        "time to profit (retarget periods)".clone_into(&mut time.y_label);
        time.y_log = true;
        vec![share, time]
    }
}

/// Groups of replications whose means are samples.
// assumption: enough for an interval, few enough that a mean is calm.
const GROUPS: usize = 5;

/// Blocks that an attacker must have lost before what it earned is more than luck.
// assumption: their count then varies by a tenth.
const FEWEST_LOST: u64 = 100;

impl DoubleSpends {
    fn check(&self, source: &Source) -> Result<(), Error> {
        check_shares(source, "double_spend.shares", &self.shares)?;
        check_list(source, "double_spend.confirmations", &self.confirmations)?;
        let few = self.confirmations.iter().min().copied().unwrap_or_default();
        check_count(source, "double_spend.confirmations", few.into(), 1)?;
        let key = "double_spend.give_up";
        if self.give_up > MOST_PATIENCE {
            let why = format!("is {}", self.give_up);
            let hint = format!("use at most {MOST_PATIENCE}: beyond it nobody ever gives up");
            return Err(source.at_key(key, &why, &hint));
        }
        check_count(source, "double_spend.attempts", self.attempts, LEAST_DRAWS)
    }

    fn run(&self, plan: &RacePlan) -> Vec<Row> {
        let cells: Vec<(f64, u32)> = self
            .shares
            .iter()
            .flat_map(|&q| self.confirmations.iter().map(move |&n| (q, n)))
            .collect();
        let seeds = plan.seeds();
        let rows: Vec<Vec<Row>> = cells
            .par_iter()
            .enumerate()
            .map(|(case, &(q, n))| self.cell(case, q, n, &seeds))
            .collect();
        rows.into_iter().flatten().collect()
    }

    fn cell(&self, case: usize, q: f64, n: u32, seeds: &[Seed]) -> Vec<Row> {
        let play = |seed: &Seed| double_spends(q, n, self.give_up, self.attempts, *seed);
        let runs: Vec<Spends> = seeds.iter().map(play).collect();
        let row = |metric, unit, estimate, law| Row {
            case,
            engine: String::new(),
            parameters: format!("q={q};n={n}"),
            metric,
            unit,
            estimate,
            law,
        };
        let wasted = runs.iter().map(|r| r.wasted as f64 / r.attempts as f64);
        let wasted: Vec<f64> = wasted.collect();
        let won: u64 = runs.iter().map(|r| r.won).sum();
        let reversed: u64 = runs.iter().map(|r| r.reversed).sum();
        let chance = self.chance(q, n, &runs, seeds);
        let law = double_spend_law(q, n, self.give_up);
        let each = wasted.iter().sum::<f64>() / wasted.len() as f64;
        let breaks_even = chance.value().filter(|c| *c > 0.0).map(|c| each / c);
        let reversed = (won > 0).then(|| reversed as f64 / won as f64);
        vec![
            row("success", "probability", chance, Law::exact(law)),
            row(
                "success_without_end",
                "probability",
                Estimate::Number(reversal_risk(q, n)),
                None,
            ),
            row(
                "nakamoto_formula",
                "probability",
                Estimate::Number(nakamoto_risk(q, n)),
                None,
            ),
            row(
                "own_blocks_lost",
                "blocks per attempt",
                Estimate::Samples(wasted),
                None,
            ),
            row(
                "breaks_even",
                "block rewards",
                Estimate::maybe(breaks_even),
                None,
            ),
            row(
                "blocks_reversed",
                "blocks per success",
                Estimate::maybe(reversed),
                None,
            ),
        ]
    }

    /// Counted where there were enough successes, else by importance sampling: one mean a replication.
    fn chance(&self, q: f64, n: u32, runs: &[Spends], seeds: &[Seed]) -> Estimate {
        let won: u64 = runs.iter().map(|r| r.won).sum();
        if won >= ENOUGH {
            return Estimate::Count {
                won,
                trials: runs.iter().map(|r| r.attempts).sum(),
            };
        }
        let mean = |seed: &Seed| {
            let weights = tilted_double_spends(q, n, self.give_up, self.attempts, *seed);
            weights.sum::<f64>() / self.attempts as f64
        };
        Estimate::Samples(seeds.iter().map(mean).collect())
    }

    fn figures(&self, plan: &RacePlan, rows: &[Row]) -> Vec<Curve> {
        let about = format!(
            "Dashed: the exact law for an attacker who gives up beyond {} blocks; Nakamoto's formula \
             is no law of this attack.",
            self.give_up
        );
        let mut curve = Curve {
            title: "Double spend with one block in advance".to_owned(),
            x_label: "confirmations that the merchant waits for".to_owned(),
            y_label: "chance of success".to_owned(),
            x_whole: true,
            y_log: true,
            note: note(plan, &about),
            ..Curve::default()
        };
        for (look, &q) in self.shares.iter().enumerate() {
            let of = |row: &&Row| {
                row.metric == "success" && row.parameters.starts_with(&format!("q={q};"))
            };
            let points = rows.iter().filter(of).zip(&self.confirmations);
            let points = points
                .filter_map(|(row, &n)| point(row, n.into(), plan.confidence))
                .collect();
            curve.series.push(series(format!("q = {q}"), look, points));
            let law = |n| double_spend_law(q, n, self.give_up);
            curve.bounds.push(self.line(String::new(), &law));
        }
        // One of them, from the middle, shows how far off it is.
        let q = self.shares[self.shares.len() / 2];
        let formula = |n| nakamoto_risk(q, n);
        curve
            .bounds
            .push(self.line(format!("Nakamoto's formula, q = {q}"), &formula));
        vec![curve]
    }
}

impl DoubleSpends {
    fn line(&self, label: String, law: &dyn Fn(u32) -> f64) -> Bound {
        let points = self.confirmations.iter().map(|&n| (f64::from(n), law(n)));
        Bound {
            label,
            line: Line::Path(points.collect()),
        }
    }
}

/// Successes from which a count is an estimate by itself.
// assumption: a relative error of about 3 %.
const ENOUGH: u64 = 1_000;
/// The longest give-up rule.
// assumption: the chance to come back from 1,000 behind is below 1e-10 with 49 % of the work.
const MOST_PATIENCE: u32 = 1_000;

impl Balances {
    fn check(&self, source: &Source) -> Result<(), Error> {
        check_list(source, "balance.liars", &self.liars)?;
        check_list(source, "balance.boost_percent", &self.boost_percent)?;
        let refuse = |key: &str, why: &str, hint: &str| Err(source.at_key(key, why, hint));
        if !(2..=MOST_KEYS).contains(&self.keys) {
            let hint = format!("use 2 to {MOST_KEYS}: the law is summed over all their votes");
            return refuse("balance.keys", &format!("is {}", self.keys), &hint);
        }
        if let Some(bad) = self.liars.iter().find(|l| **l >= self.keys) {
            let why = format!("holds {bad} of {} keys", self.keys);
            return refuse("balance.liars", &why, "leave some keys to the honest");
        }
        if let Some(bad) = self.boost_percent.iter().find(|b| **b > 1_000) {
            let why = format!("holds {bad}");
            return refuse("balance.boost_percent", &why, "40 is Ethereum's");
        }
        if !(1..=MOST_SLOTS).contains(&self.slots) {
            let hint = format!("use 1 to {MOST_SLOTS}; 32 is Ethereum's");
            return refuse("balance.slots", &format!("is {}", self.slots), &hint);
        }
        check_count(source, "balance.epochs", self.epochs, 100)
    }

    fn of(&self, liars: u32, boost_percent: u32) -> Balance {
        Balance {
            keys: self.keys,
            liars,
            boost_percent,
            slots: self.slots,
        }
    }

    fn run(&self, plan: &RacePlan) -> Vec<Row> {
        let cells: Vec<(u32, u32)> = self
            .boost_percent
            .iter()
            .flat_map(|&boost| self.liars.iter().map(move |&liars| (liars, boost)))
            .collect();
        let seeds = plan.seeds();
        let rows: Vec<Vec<Row>> = cells
            .par_iter()
            .enumerate()
            .map(|(case, &(liars, boost))| self.cell(case, liars, boost, &seeds))
            .collect();
        rows.into_iter().flatten().collect()
    }

    fn cell(&self, case: usize, liars: u32, boost: u32, seeds: &[Seed]) -> Vec<Row> {
        let balance = self.of(liars, boost);
        let play = |seed: &Seed| {
            let mut draws = seed.stream("balance", 0);
            let held = (0..self.epochs).map(|_| balance.play(&mut draws));
            held.fold((0, 0), |(won, slots), held| {
                (won + u64::from(held == self.slots), slots + u64::from(held))
            })
        };
        let runs: Vec<(u64, u64)> = seeds.iter().map(play).collect();
        let row = |metric, unit, estimate, law| Row {
            case,
            engine: String::new(),
            parameters: format!("liars={liars};boost={boost}"),
            metric,
            unit,
            estimate,
            law,
        };
        let won = runs.iter().map(|r| r.0).sum();
        let held = runs.iter().map(|r| r.1 as f64 / self.epochs as f64);
        let exposed = f64::from(liars) / f64::from(self.keys);
        vec![
            row(
                "success",
                "probability",
                Estimate::Count {
                    won,
                    trials: self.epochs * seeds.len() as u64,
                },
                Law::exact(balance.law()),
            ),
            row(
                "slots_held",
                "slots",
                Estimate::Samples(held.collect()),
                None,
            ),
            row(
                "votes_late",
                "share of all votes",
                Estimate::Number(exposed),
                None,
            ),
        ]
    }

    fn figures(&self, plan: &RacePlan, rows: &[Row]) -> Vec<Curve> {
        let mut curve = Curve {
            title: "Balance attack: is an epoch kept from being justified?".to_owned(),
            x_label: "attacker's share of the keys".to_owned(),
            y_label: "chance that the balance holds".to_owned(),
            note: note(plan, "Dashed: the exact law for each boost."),
            ..Curve::default()
        };
        for (look, &boost) in self.boost_percent.iter().enumerate() {
            let of = |row: &&Row| {
                row.metric == "success" && row.parameters.ends_with(&format!(";boost={boost}"))
            };
            let share = |liars: u32| f64::from(liars) / f64::from(self.keys);
            let points = rows.iter().filter(of).zip(&self.liars);
            let points = points
                .filter_map(|(row, &liars)| point(row, share(liars), plan.confidence))
                .collect();
            curve
                .series
                .push(series(format!("boost {boost} %"), look, points));
            let law = self
                .liars
                .iter()
                .map(|&l| (share(l), self.of(l, boost).law()));
            curve.bounds.push(Bound {
                label: if look == 0 {
                    "exact law".to_owned()
                } else {
                    String::new()
                },
                line: Line::Path(law.collect()),
            });
        }
        vec![curve]
    }
}

/// The most keys of a slot, and slots of an epoch: the law sums over all states.
// assumption: some seconds; committees of Ethereum are larger, where a still smaller share suffices.
const MOST_KEYS: u32 = 1_000;
const MOST_SLOTS: u32 = 64;

fn series(label: String, look: usize, points: Vec<Point>) -> Series {
    Series {
        label,
        look,
        variant: 0,
        points,
    }
}

fn point(row: &Row, x: f64, confidence: f64) -> Option<Point> {
    let interval = row.estimate.interval(confidence);
    Some(Point {
        x,
        y: interval.mean?,
        low: interval.low.filter(|l| *l > 0.0),
        high: interval.high,
        status: PointStatus::Ok,
    })
}

fn note(plan: &RacePlan, about: &str) -> String {
    format!(
        "Points: simulated, with {:.0} % intervals from {} replications. {about}",
        100.0 * plan.confidence,
        plan.replications
    )
}
