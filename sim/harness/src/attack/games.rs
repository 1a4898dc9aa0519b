//! What counts as success, what it costs, what it does to the hospitals, and what theory says: one
//! function a game.

use super::{Estimate, Law, Row};
use crate::plan::Plan;
use crate::unit::{self, Done, EngineSheet};
use quorate_consensus::attacks::{double_spend_law, selfish_law};
use quorate_consensus::clique::{Wiggle, limit, spam_law};
use quorate_core::math::{exp, ln, ln_gamma, pow};
use quorate_core::settlement::settlement_risk;
use quorate_core::{Adversary, Family, Finality};
use quorate_kernel::{Lies, Report};
use serde::{Deserialize, Serialize};

/// What an attack is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Game {
    /// Blocks are kept back, so that others waste theirs.
    Selfish,
    /// A private branch is published when it is longer and what it replaces was accepted.
    Reorg,
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
            Self::Selfish => "share_of_chain",
            Self::LongDelay => "growth",
            Self::Spam => "forked_heights",
            Self::Reorg | Self::Balance | Self::Cloning | Self::Eclipse => "success",
        }
    }

    /// The engines that have its rules; none means all.
    pub(super) const fn engines(self) -> &'static [&'static str] {
        match self {
            Self::Balance => &["gasper"],
            Self::LongDelay => &["praos"],
            Self::Spam => &["clique"],
            Self::Selfish => &["nakamoto"],
            Self::Reorg => &["nakamoto", "ethash", "praos"],
            Self::Cloning | Self::Eclipse => &[],
        }
    }

    /// Title, x and y of its figure.
    pub(super) const fn labels(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Selfish => (
                "Selfish mining on a network: what share of the chain it gets",
                "attacker's share of the work",
                "share of the chain",
            ),
            Self::Reorg => (
                "Private branch against finality by depth",
                "blocks that the others wait for",
                "chance of success",
            ),
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

    /// One value a replication, of what the liars did.
    fn lies(&self, of: impl Fn(&Lies) -> f64) -> Estimate {
        self.samples(|u| lies(u).map_or(f64::NAN, &of))
    }

    /// Over all replications.
    fn sum(&self, of: impl Fn(&Lies) -> u64) -> u64 {
        self.units.iter().filter_map(lies).map(of).sum()
    }

    /// A node's share of what makes blocks: work, stake, or seats.
    fn share_of(&self, node: u32) -> f64 {
        let list = ["hash_shares", "stake_shares"].iter().find_map(|key| {
            let list = self.sheet.resolved.get(*key)?.as_array()?;
            (!list.is_empty()).then_some(list)
        });
        let Some(list) = list else {
            let member = self.sheet.committee.iter().any(|m| m.get() == node);
            return f64::from(u8::from(member)) / f64::from(self.members());
        };
        let number = |v: &toml::Value| v.as_float().or(v.as_integer().map(|i| i as f64));
        let all: f64 = list.iter().filter_map(number).sum();
        list.get(node as usize).and_then(number).unwrap_or(0.0) / all
    }

    /// That of all who lie.
    fn liars_share(&self) -> f64 {
        let mut liars: Vec<u32> = self
            .plan
            .corrupt
            .iter()
            .flat_map(|c| c.nodes.clone())
            .collect();
        liars.sort_unstable();
        liars.dedup();
        liars.into_iter().map(|node| self.share_of(node)).sum()
    }

    /// Slots in which a block cannot be built upon, as measured, rounded up.
    fn delay_slots(&self) -> u32 {
        let slot = self.setting("slot_ms") / 1e3;
        let of =
            |u: &Done| (u.report.adopt_delay.1 > 0).then(|| u.report.adopt_delay.0.as_s() / slot);
        let delays: Vec<f64> = self.units.iter().filter_map(of).collect();
        (delays.iter().sum::<f64>() / delays.len().max(1) as f64).ceil() as u32
    }

    fn members(&self) -> u32 {
        self.sheet.committee.len() as u32
    }

    /// The length of a unit, s.
    fn seconds(unit: &Done) -> f64 {
        unit.report.ended.as_s()
    }
}

fn lies(unit: &Done) -> Option<&Lies> {
    unit.report.lies.as_deref()
}

/// Everything about a case: the game's own numbers, the answer first, then what it did to the ledger.
pub(super) fn rows(game: Game, ran: &Ran<'_>) -> Vec<Row> {
    let mut rows = match game {
        Game::Selfish => selfish(ran),
        Game::Reorg => reorg(ran),
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
    let reversed = |of: fn(&Report) -> u64| ran.samples(move |u| of(&u.report) as f64);
    let classes = |r: &Report| r.reversed_classes.iter().filter(|c| c.txs > 0).count() as u64;
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
        ran.row(
            "reversed_txs",
            "different transactions",
            reversed(|r| r.reversed.txs),
        ),
        ran.row(
            "reversed_records",
            "different records",
            reversed(|r| r.reversed.records),
        ),
        ran.row(
            "reversed_people",
            "different people",
            reversed(|r| r.reversed.people),
        ),
        ran.row("reversed_classes", "classes", reversed(classes)),
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

/// How many blocks a slot the longest chain grows by, when a block reaches others Δ slots late.
///
/// Whoever has made a block at the new height builds on it at once: with `k` makers among `n` pools of
/// equal stake, the next leader is one of them with probability `k/n`, and otherwise makes one more.
/// After Δ slots everybody knows the first. For large `n` that is `f/(1 + fΔ)`.
///
/// source: own counting; the limit is the renewal rate of David, Gaži, Kiayias and Russell 2018, section 5 (an
/// active slot counts if the Δ before it are empty).
fn delayed_growth(f: f64, delay_slots: u64, pools: u32) -> f64 {
    let n = pools as usize;
    let mut makers = vec![0.0; n + 1];
    makers[1] = 1.0;
    let mut mean = 0.0;
    for _ in 0..delay_slots {
        mean += makers.iter().sum::<f64>();
        for k in (1..=n).rev() {
            let (here, below) = (makers[k], makers[k - 1]);
            let joins = f * (n - k + 1) as f64 / n as f64;
            makers[k] = here * (1.0 - f) + below * joins;
        }
    }
    1.0 / (mean + makers.iter().sum::<f64>() / f)
}

/// The growth is that of [`delayed_growth`], at the delay that was measured.
fn long_delay(ran: &Ran<'_>) -> Vec<Row> {
    let slot = ran.setting("slot_ms") / 1e3;
    let f = ran.setting("active_slot_coefficient");
    let growth = |u: &Done| u.report.chain.height as f64 / (Ran::seconds(u) / slot);
    let delay = |u: &Done| {
        let (mean, n) = u.report.adopt_delay;
        if n == 0 { f64::NAN } else { mean.as_s() / slot }
    };
    let delays = ran.samples(delay);
    let mut grows = ran.row("growth", "blocks per slot", ran.samples(growth));
    let slots = delays.value();
    grows.law = slots.and_then(|d| Law::exact(delayed_growth(f, d as u64, ran.members())));
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
    answer.law = intersection(ran);
    vec![answer]
}

/// One, if second selves and those whom they talk to are a quorum, and first selves and the others too;
/// zero, if not; `None` where nobody runs twice.
fn intersection(ran: &Ran<'_>) -> Option<Law> {
    let twins: Vec<_> = ran
        .plan
        .corrupt
        .iter()
        .filter(|c| !c.twin.is_empty())
        .collect();
    let signs = |node: &u32| ran.sheet.committee.iter().any(|m| m.get() == *node);
    let count = |list: &mut dyn Iterator<Item = &u32>| list.filter(|n| signs(n)).count() as u32;
    let liars = count(&mut twins.iter().flat_map(|c| &c.nodes));
    // One list for all of them, as the plan's partition has it.
    let second = liars + count(&mut twins.first()?.twin.iter());
    let first = ran.members() + liars - second;
    let both = first.min(second) >= ran.sheet.promises.quorum;
    Law::exact(f64::from(u8::from(both)))
}

/// In an eclipse of work, the cut-off side finds as many blocks as its victim calls final: Poisson. A
/// committee's victim hears no quorum but by twins, and halts.
///
/// source: Heilman, Kendler, Zohar and Goldberg 2015, section 1 (n-confirmation double spending).
fn eclipse(ran: &Ran<'_>) -> Vec<Row> {
    let mut answer = ran.row("success", "probability", ran.count(reverses));
    answer.law = match ran.sheet.finality {
        Ok(Finality::Depth { fin, .. }) => {
            cut_off(ran).and_then(|blocks| Law::exact(poisson_tail(blocks, fin)))
        }
        _ => intersection(ran),
    };
    vec![answer]
}

/// Blocks that the side of the plan's first partition finds in its time, on average.
fn cut_off(ran: &Ran<'_>) -> Option<f64> {
    let fault = ran.plan.faults.iter().find(|f| !f.partition.is_empty())?;
    let span = fault.until_s? - fault.from_s?;
    let share: f64 = fault.partition.iter().map(|n| ran.share_of(*n)).sum();
    Some(share * span / ran.sheet.promises.interval.as_s())
}

/// SM1 with the γ that the network gives: the share of honest blocks that, while two branches were equally
/// long, were built on the attacker's.
fn selfish(ran: &Ran<'_>) -> Vec<Row> {
    let alpha = ran.liars_share();
    let share = |l: &Lies| l.on_chain[1] as f64 / l.on_chain[0] as f64;
    let lost = |l: &Lies| 1.0 - l.on_chain[1] as f64 / l.withheld_blocks as f64;
    let ties = ran.sum(|l| l.ties[0]);
    let all = ties + ran.sum(|l| l.ties[1]);
    let gamma = Estimate::count(ties, all as usize);
    let mut answer = ran.row("share_of_chain", "share", ran.lies(share));
    let measured = gamma.value().unwrap_or_default();
    answer.law = Law::exact(selfish_law(alpha, measured));
    let bound = |gamma| Estimate::Number(selfish_law(alpha, gamma));
    let pays = ran.count(|u| lies(u).is_some_and(|l| share(l) > alpha));
    vec![
        answer,
        ran.row("success", "probability", pays),
        ran.row("gamma", "share of honest blocks", gamma),
        ran.row("share_if_gamma_0", "share", bound(0.0)),
        ran.row("share_if_gamma_1", "share", bound(1.0)),
        ran.row("own_blocks_lost", "share", ran.lies(lost)),
    ]
}

/// A private branch, again and again: the race with one block in advance where work decides; where stake
/// does, the settlement bound, which counts every way to win.
///
/// source: `double_spend_law`; `quorate_core::settlement`.
fn reorg(ran: &Ran<'_>) -> Vec<Row> {
    let won = ran.sum(|l| l.branches[1]);
    let tried = won + ran.sum(|l| l.branches[2]);
    let mut answer = ran.row(
        "success",
        "probability",
        Estimate::count(won, tried as usize),
    );
    let plan = ran.plan.corrupt.iter().find_map(|c| c.reorg);
    answer.law = plan.and_then(|plan| {
        let (n, give_up) = (plan.confirmations, plan.give_up);
        let q = ran.liars_share();
        if ran.sheet.facts.family == Family::Work {
            // Giving up is considered before the others have accepted too: then the law is another.
            let adversary = Adversary {
                share: q,
                ..ran.sheet.adversary
            };
            let q = adversary.effective_share(ran.sheet.promises.interval);
            let law = || double_spend_law(q, n, give_up);
            return (give_up + 1 >= n).then(law).and_then(Law::exact);
        }
        let f = ran.setting("active_slot_coefficient");
        let bound = settlement_risk(q, f, ran.delay_slots(), n);
        // A bound of one says nothing, and would agree with everything.
        (bound < 1.0).then(|| Law::at_most(bound))
    });
    let lost = |l: &Lies| {
        let ended = l.branches[1] + l.branches[2];
        l.withheld_blocks.saturating_sub(l.on_chain[1]) as f64 / ended as f64
    };
    vec![
        answer,
        ran.row("own_blocks_lost", "blocks per attempt", ran.lies(lost)),
        ran.row("reversing_runs", "probability", ran.count(reverses)),
    ]
}

/// The chance of at least `k` of a Poisson number.
fn poisson_tail(mean: f64, k: u32) -> f64 {
    let term = |i: u32| exp(f64::from(i) * ln(mean) - mean - ln_gamma(f64::from(i) + 1.0));
    1.0 - (0..k).map(term).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_without_delay_is_that_of_active_slots_and_with_many_pools_the_published_one() {
        assert!((delayed_growth(0.05, 0, 12) - 0.05).abs() < 1e-12);
        // Alone nobody waits.
        assert!((delayed_growth(0.05, 30, 1) - 0.05).abs() < 1e-12);
        let published = 0.05 / (1.0 + 0.05 * 30.0);
        assert!((delayed_growth(0.05, 30, 100_000) - published).abs() < 1e-6);
        assert!(delayed_growth(0.05, 30, 12) > published);
    }
}
