//! What counts as success, what it costs, what it does to the hospitals, and what theory says: one
//! function a game.

use super::{Estimate, Law, Row};
use crate::plan::Plan;
use crate::unit::{self, Done, EngineSheet};
use quorate_consensus::clique::{Wiggle, limit, spam_law};
use quorate_core::Family;
use quorate_core::math::{exp, ln, ln_gamma, pow};
use serde::{Deserialize, Serialize};

/// What an attack is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Game {
    /// Votes are held in balance, so that nothing is justified.
    Balance,
    /// Blocks come late, so that the chain grows slower.
    LongDelay,
    /// Signers do not wait for their turn.
    Spam,
    /// Signers run twice, on both sides of a partition.
    Cloning,
    /// A site hears liars only.
    Eclipse,
}

impl Game {
    /// The number that answers it: the first of each case.
    pub(super) const fn headline(self) -> &'static str {
        match self {
            Self::LongDelay => "growth",
            Self::Spam => "forked_heights",
            Self::Balance | Self::Cloning | Self::Eclipse => "success",
        }
    }

    /// The engines that have its rules; none means all.
    pub(super) const fn engines(self) -> &'static [&'static str] {
        match self {
            Self::Balance => &["gasper"],
            Self::LongDelay => &["praos"],
            Self::Spam => &["clique"],
            Self::Cloning | Self::Eclipse => &[],
        }
    }

    /// Title, x and y of its figure.
    pub(super) const fn labels(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Balance => (
                "Balance attack: is anything justified?",
                "proposer's boost (% of a slot's committees)",
                "runs without finality",
            ),
            Self::LongDelay => (
                "Long delay: how fast does the chain grow?",
                "delay of each message (slots)",
                "blocks per slot",
            ),
            Self::Spam => (
                "Out-of-turn spam: how many heights are forked?",
                "signers that do not wait",
                "heights with a rival (share)",
            ),
            Self::Cloning => (
                "Cloning: is anything final reversed?",
                "signers that run twice",
                "runs in which it is",
            ),
            Self::Eclipse => (
                "Eclipse: does the victim call final what it leaves?",
                "case",
                "runs in which it does",
            ),
        }
    }
}

/// The units of an engine in a case.
pub(super) struct Ran<'a> {
    pub(super) case: usize,
    pub(super) parameters: &'a str,
    pub(super) plan: &'a Plan,
    pub(super) sheet: &'a EngineSheet,
    pub(super) engine: usize,
    pub(super) units: &'a [Done],
}

impl Ran<'_> {
    fn row(&self, metric: &'static str, unit: &'static str, estimate: Estimate) -> Row {
        Row {
            case: self.case,
            engine: self.plan.engines[self.engine].label().to_owned(),
            parameters: self.parameters.to_owned(),
            metric,
            unit,
            estimate,
            law: None,
        }
    }

    /// One value a replication.
    fn samples(&self, of: impl Fn(&Done) -> f64) -> Estimate {
        let values: Vec<f64> = self
            .units
            .iter()
            .map(of)
            .filter(|x| x.is_finite())
            .collect();
        if values.is_empty() {
            Estimate::Missing
        } else {
            Estimate::Samples(values)
        }
    }

    /// The replications in which something happened.
    fn count(&self, of: impl Fn(&Done) -> bool) -> Estimate {
        let won = self.units.iter().filter(|u| of(u)).count() as u64;
        Estimate::count(won, self.units.len())
    }

    fn setting(&self, key: &str) -> f64 {
        let value = self.sheet.resolved.get(key);
        let float = value.and_then(toml::Value::as_float);
        let whole = value.and_then(toml::Value::as_integer).map(|i| i as f64);
        float.or(whole).expect("the engine has this setting")
    }

    fn members(&self) -> u32 {
        self.sheet.committee.len() as u32
    }

    /// The length of a unit, s.
    fn seconds(unit: &Done) -> f64 {
        unit.report.ended.as_s()
    }
}

/// Everything about a case: the game's own numbers, the answer first, then what it did to the ledger.
pub(super) fn rows(game: Game, ran: &Ran<'_>) -> Vec<Row> {
    let mut rows = match game {
        Game::Balance => balance(ran),
        Game::LongDelay => long_delay(ran),
        Game::Spam => spam(ran),
        Game::Cloning => cloning(ran),
        Game::Eclipse => eclipse(ran),
    };
    rows.extend(harm(ran));
    rows
}

/// What every attack does or does not do to the hospitals.
fn harm(ran: &Ran<'_>) -> Vec<Row> {
    let wasted = |u: &Done| 1.0 - u.report.chain.height as f64 / u.report.chain.built as f64;
    let chain = |of: fn(&quorate_kernel::probe::ChainCounts) -> u64| {
        ran.samples(move |u| of(&u.report.chain) as f64)
    };
    let open = |u: &Done| u.report.probe.exposure.iter().map(|e| e.open).sum::<u64>() as f64;
    let pending = |u: &Done| {
        let classes = &u.report.probe.classes;
        let submitted: u64 = classes.iter().map(|c| c.submitted).sum();
        let settled: u64 = classes.iter().map(unit::settled).sum();
        submitted.saturating_sub(settled) as f64 / submitted as f64
    };
    vec![
        ran.row("blocks_lost", "share of blocks", ran.samples(wasted)),
        ran.row("reversed_blocks", "blocks", chain(|c| c.reversed_blocks)),
        ran.row("reversed_txs", "transactions", chain(|c| c.reversed_txs)),
        ran.row(
            "conflicting_finals",
            "blocks",
            chain(|c| c.conflicting_finals),
        ),
        ran.row("evidence", "proofs", chain(|c| c.evidence)),
        ran.row("never_final", "share of writes", ran.samples(pending)),
        ran.row("exposure_open", "watched writes", ran.samples(open)),
    ]
}

/// Whether something was final and then left, or final beside something else.
fn reverses(unit: &Done) -> bool {
    let chain = &unit.report.chain;
    chain.reversed_blocks > 0 || chain.conflicting_finals > 0
}

fn balance(ran: &Ran<'_>) -> Vec<Row> {
    let forked = |u: &Done| u.report.chain.forked_heights as f64 / u.report.chain.height as f64;
    vec![
        ran.row(
            "success",
            "probability",
            ran.count(|u| u.report.chain.final_height == 0),
        ),
        ran.row(
            "final_height",
            "blocks",
            ran.samples(|u| u.report.chain.final_height as f64),
        ),
        ran.row("forked_heights", "share", ran.samples(forked)),
    ]
}

/// The chain grows by `f/(1 + fΔ)` a slot when a block cannot be built upon for Δ slots. A pool builds on
/// its own at once, so that Δ is the delay times the chance that the next leader is another.
///
/// source: David, Gaži, Kiayias and Russell 2018, section 5 (characteristic strings under delay: an
/// active slot counts if the Δ before it are empty); the growth is its renewal rate.
fn long_delay(ran: &Ran<'_>) -> Vec<Row> {
    let slot = ran.setting("slot_ms") / 1e3;
    let f = ran.setting("active_slot_coefficient");
    let growth = |u: &Done| u.report.chain.height as f64 / (Ran::seconds(u) / slot);
    let delay = |u: &Done| {
        let (mean, n) = u.report.adopt_delay;
        if n == 0 { f64::NAN } else { mean.as_s() / slot }
    };
    let delays = ran.samples(delay);
    let others = 1.0 - 1.0 / f64::from(ran.members());
    let mut grows = ran.row("growth", "blocks per slot", ran.samples(growth));
    let slots = delays.value();
    grows.law = slots.and_then(|d| Law::exact(f / (1.0 + f * d * others)));
    vec![grows, ran.row("delay", "slots", delays)]
}

/// Every height at which a spammer may sign has a rival, and of the others those at which a wiggle was
/// shorter than the delay: `1 − (1 − d/W)^m` with `m` signers that may.
///
/// source: own counting from EIP-225; see `quorate_consensus::clique::spam_law`.
fn spam(ran: &Ran<'_>) -> Vec<Row> {
    let spammers = ran
        .sheet
        .resolved
        .get("spammers")
        .and_then(toml::Value::as_array);
    let spammers: Vec<u32> = spammers
        .map(|list| list.iter().filter_map(toml::Value::as_integer))
        .map(|list| list.map(|i| i as u32).collect())
        .unwrap_or_default();
    let forked = |u: &Done| u.report.chain.forked_heights as f64 / u.report.chain.height as f64;
    let reorgs = |u: &Done| {
        let all: u64 = u.report.chain.reorgs.iter().sum();
        all as f64 / u.report.chain.height as f64
    };
    let n = ran.members();
    let may = f64::from(n - limit(n));
    let wiggle: Wiggle = ran.sheet.resolved["wiggle"]
        .clone()
        .try_into()
        .expect("a wiggle");
    let wiggle = wiggle.longest(n).as_s();
    let delay = ran.sheet.adversary.delay.as_s();
    let spam = spam_law(n, &spammers);
    let luck = 1.0 - pow(1.0 - (delay / wiggle).min(1.0), may);
    let mut answer = ran.row("forked_heights", "share", ran.samples(forked));
    answer.law = Law::exact(spam + (1.0 - spam) * luck);
    vec![
        answer,
        ran.row("success", "probability", ran.count(reverses)),
        ran.row(
            "reorganisations",
            "per block of the chain",
            ran.samples(reorgs),
        ),
    ]
}

/// Twins complete a quorum on both sides of a partition, or they do not.
///
/// source: Ekparinya, Gramoli and Jourjon 2020, section IV; for committees: quorum intersection.
fn cloning(ran: &Ran<'_>) -> Vec<Row> {
    let mut answer = ran.row("success", "probability", ran.count(reverses));
    answer.law = sides(ran).map(|sides| {
        let quorum = ran.sheet.promises.quorum;
        let both = sides.iter().all(|members| *members >= quorum);
        Law::exact(f64::from(u8::from(both))).expect("finite")
    });
    vec![answer]
}

/// Signers on each side, those that run twice on both; `None` where nobody does.
fn sides(ran: &Ran<'_>) -> Option<[u32; 2]> {
    let _ = ran;
    None
}

/// In an eclipse of work, the victim's side finds as many blocks as it calls final: Poisson. A committee's
/// victim hears no quorum, and halts.
fn eclipse(ran: &Ran<'_>) -> Vec<Row> {
    let mut answer = ran.row("success", "probability", ran.count(reverses));
    answer.law = (ran.sheet.facts.family != Family::Work)
        .then(|| Law::exact(0.0))
        .flatten();
    vec![answer]
}

/// The chance of at least `k` of a Poisson number.
fn poisson_tail(mean: f64, k: u32) -> f64 {
    let term = |i: u32| exp(f64::from(i) * ln(mean) - mean - ln_gamma(f64::from(i) + 1.0));
    1.0 - (0..k).map(term).sum::<f64>()
}
