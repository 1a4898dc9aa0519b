//! The plan's liars: one table an entry, each of one conduct.

use crate::faults::{instant, invalid};
use quorate_core::{Conduct, Corrupt, Family, Invalid, Span, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nodes that lie. Exactly one conduct: `silent`, `twin`, `withhold_votes`, `delay_votes_ms`,
/// `withhold_blocks`, `invalid_blocks`, `censor_site`, `favour_site`, `selfish` or `reorg`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the plan")]
pub struct CorruptPlan {
    /// Who lies; they act as one.
    pub nodes: Vec<u32>,
    /// When they begin, s; from the start, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_s: Option<f64>,
    /// The same as hours and minutes since the start of the run: `"10:00"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// When they are honest again, s; never, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_s: Option<f64>,
    /// The same as hours and minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// They hear everything and send nothing but their clients' transactions.
    #[serde(default, skip_serializing_if = "is_false")]
    pub silent: bool,
    /// Each runs twice under one identity: its second self talks to these nodes and to the other liars'
    /// second selves, its first to everybody else. For the whole run. The second selves are numbered
    /// behind the nodes, in order, and faults may name them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub twin: Vec<u32>,
    /// They send no votes.
    #[serde(default, skip_serializing_if = "is_false")]
    pub withhold_votes: bool,
    /// How much later their votes leave, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_votes_ms: Option<f64>,
    /// They never send a block of their own.
    #[serde(default, skip_serializing_if = "is_false")]
    pub withhold_blocks: bool,
    /// Their blocks do not execute: whoever checks one refuses it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub invalid_blocks: bool,
    /// Their blocks leave out what this site submits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub censor_site: Option<u32>,
    /// Their blocks take this site's transactions before all others of their fee level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub favour_site: Option<u32>,
    /// They keep their blocks back and publish them by their lead.
    #[serde(default, skip_serializing_if = "is_false")]
    pub selfish: bool,
    /// They extend a private branch, and publish it as the longer one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reorg: Option<ReorgPlan>,
}

/// A private branch.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReorgPlan {
    /// Blocks that the others have above the fork before the branch is published.
    pub confirmations: u32,
    /// Blocks that the branch may be behind before it is given up.
    pub give_up: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_false(on: &bool) -> bool {
    !*on
}

const CONDUCTS: &str = "silent, twin, withhold_votes, delay_votes_ms, withhold_blocks, invalid_blocks, censor_site, favour_site, selfish, reorg";

/// The longest delay, ms.
// assumption: eleven days; whatever is longer is a slip of units.
const LONGEST_MS: f64 = 1e9;

/// What the plan's liars are held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct World {
    /// Nodes of the network.
    pub nodes: u32,
    /// Sites of the workload.
    pub sites: u32,
}

impl CorruptPlan {
    /// The entry, in a network of so many nodes and sites.
    ///
    /// # Errors
    /// The key, what is wrong with it and what to do.
    pub(crate) fn corrupt(&self, world: World) -> Result<Corrupt, Invalid> {
        if self.nodes.is_empty() {
            return invalid("nodes", "names nobody", "list the nodes that lie");
        }
        self.check_nodes(world.nodes)?;
        let from = instant(("from_s", self.from_s), ("from", self.from.as_deref()))?;
        let until = instant(("until_s", self.until_s), ("until", self.until.as_deref()))?;
        let from = from.unwrap_or(0.0);
        if until.is_some_and(|until| until <= from) {
            let key = if self.until.is_some() {
                "until"
            } else {
                "until_s"
            };
            return invalid(key, "does not come after the start", "let it end later");
        }
        let conduct = self.conduct(world)?;
        if matches!(conduct, Conduct::Twin(_)) && (from > 0.0 || until.is_some()) {
            let key = if self.until.is_some() || self.until_s.is_some() {
                "until_s"
            } else {
                "from_s"
            };
            let hint = "leave the times out: who runs twice does so for the whole run";
            return invalid(key, "stands beside twin", hint);
        }
        Ok(Corrupt {
            nodes: self.nodes.clone(),
            from: Time::ZERO + Span::from_s_f64(from),
            until: until.map_or(Time::NEVER, |s| Time::ZERO + Span::from_s_f64(s)),
            conduct,
        })
    }

    fn check_nodes(&self, nodes: u32) -> Result<(), Invalid> {
        for (key, list) in [("nodes", &self.nodes), ("twin", &self.twin)] {
            if let Some(bad) = list.iter().find(|&&n| n >= nodes) {
                let hint = format!("nodes are 0 to {}", nodes - 1);
                return invalid(key, format!("names node {bad}"), hint);
            }
            if let Some(twice) = (1..list.len()).find(|&i| list[..i].contains(&list[i])) {
                let why = format!("names node {} twice", list[twice]);
                return invalid(key, why, "list each node once");
            }
        }
        if let Some(both) = self.twin.iter().find(|n| self.nodes.contains(n)) {
            let why = format!("names node {both}, which lies itself");
            let hint = "list the honest nodes that the second selves talk to";
            return invalid("twin", why, hint);
        }
        Ok(())
    }

    /// The one conduct that is given.
    fn conduct(&self, world: World) -> Result<Conduct, Invalid> {
        let given = [
            ("silent", self.silent.then_some(Conduct::Silent)),
            (
                "twin",
                (!self.twin.is_empty()).then(|| Conduct::Twin(self.twin.clone())),
            ),
            (
                "withhold_votes",
                self.withhold_votes.then_some(Conduct::WithholdVotes),
            ),
            ("delay_votes_ms", self.delayed()?),
            (
                "withhold_blocks",
                self.withhold_blocks.then_some(Conduct::WithholdBlocks),
            ),
            (
                "invalid_blocks",
                self.invalid_blocks.then_some(Conduct::InvalidBlocks),
            ),
            ("censor_site", self.censor_site.map(Conduct::Censor)),
            ("favour_site", self.favour_site.map(Conduct::Favour)),
            ("selfish", self.selfish.then_some(Conduct::Selfish)),
            ("reorg", self.reorganisation()?),
        ];
        let mut given = given.into_iter().filter_map(|(key, c)| Some((key, c?)));
        let Some((key, conduct)) = given.next() else {
            let hint = format!("give one of {CONDUCTS}");
            return invalid("nodes", "lie, but it is not said how", hint);
        };
        if let Some((other, _)) = given.next() {
            let hint = "write a [[corrupt]] table for each conduct";
            return invalid(other, format!("stands beside {key} in one entry"), hint);
        }
        if let Conduct::Censor(site) | Conduct::Favour(site) = conduct
            && site >= world.sites
        {
            let hint = format!("sites are 0 to {}", world.sites - 1);
            return invalid(key, format!("names site {site}"), hint);
        }
        Ok(conduct)
    }

    fn delayed(&self) -> Result<Option<Conduct>, Invalid> {
        match self.delay_votes_ms {
            None => Ok(None),
            Some(ms) if ms > 0.0 && ms <= LONGEST_MS => {
                Ok(Some(Conduct::DelayVotes(Span::from_ms_f64(ms))))
            }
            Some(ms) => invalid(
                "delay_votes_ms",
                format!("is {ms}"),
                "give milliseconds above 0",
            ),
        }
    }

    fn reorganisation(&self) -> Result<Option<Conduct>, Invalid> {
        match self.reorg {
            None => Ok(None),
            Some(plan) if plan.confirmations > 0 => Ok(Some(Conduct::Reorg {
                confirmations: plan.confirmations,
                give_up: plan.give_up,
            })),
            Some(_) => invalid(
                "reorg.confirmations",
                "is 0: nobody waits for nothing",
                "give the blocks after which the others call a block final",
            ),
        }
    }
}

/// Refuses conducts that an engine of this family cannot have.
///
/// # Errors
/// The number of the entry, the key, what is wrong and what to do.
pub(crate) fn fits(
    plans: &[CorruptPlan],
    engine: &str,
    family: Family,
) -> Result<(), (usize, Invalid)> {
    let twin = plans.iter().position(|plan| !plan.twin.is_empty());
    let Some(entry) = twin.filter(|_| family == Family::Work) else {
        return Ok(());
    };
    let refused = invalid(
        "twin",
        format!("does not go with {engine}: work cannot be done in two places"),
        "leave the engine out, or use selfish or reorg",
    );
    refused.map_err(|invalid| (entry, invalid))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corrupt(text: &str) -> Result<Corrupt, Invalid> {
        let plan: CorruptPlan = toml::from_str(text).expect("known keys");
        plan.corrupt(World { nodes: 4, sites: 8 })
    }

    #[test]
    fn every_conduct_and_its_units() {
        let what = |text: &str| corrupt(&format!("nodes = [0]\n{text}")).map(|c| c.conduct);
        assert_eq!(what("silent = true"), Ok(Conduct::Silent));
        assert_eq!(what("twin = [2, 3]"), Ok(Conduct::Twin(vec![2, 3])));
        assert_eq!(what("withhold_votes = true"), Ok(Conduct::WithholdVotes));
        let late = Conduct::DelayVotes(Span::from_us(1_500));
        assert_eq!(what("delay_votes_ms = 1.5"), Ok(late));
        assert_eq!(what("withhold_blocks = true"), Ok(Conduct::WithholdBlocks));
        assert_eq!(what("invalid_blocks = true"), Ok(Conduct::InvalidBlocks));
        assert_eq!(what("censor_site = 7"), Ok(Conduct::Censor(7)));
        assert_eq!(what("favour_site = 0"), Ok(Conduct::Favour(0)));
        assert_eq!(what("selfish = true"), Ok(Conduct::Selfish));
        let reorg = Conduct::Reorg {
            confirmations: 6,
            give_up: 20,
        };
        assert_eq!(
            what("reorg = { confirmations = 6, give_up = 20 }"),
            Ok(reorg)
        );
    }

    #[test]
    fn times_are_those_of_faults() {
        let got = corrupt("nodes = [1]\nfrom = \"00:01\"\nuntil_s = 90.0\nsilent = true");
        let got = got.expect("it is sound");
        let s = |s| Time::ZERO + Span::from_s(s);
        assert_eq!((got.from, got.until), (s(60), s(90)));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_key() {
        for (text, key) in [
            ("nodes = []\nsilent = true", "nodes"),
            ("nodes = [4]\nsilent = true", "nodes"),
            ("nodes = [1, 1]\nsilent = true", "nodes"),
            ("nodes = [0]", "nodes"),
            ("nodes = [0]\ntwin = [0]", "twin"),
            ("nodes = [0]\ntwin = [1]\nuntil_s = 5.0", "until_s"),
            ("nodes = [0]\nsilent = true\nselfish = true", "selfish"),
            ("nodes = [0]\ncensor_site = 8", "censor_site"),
            ("nodes = [0]\ndelay_votes_ms = 0.0", "delay_votes_ms"),
            (
                "nodes = [0]\nreorg = { confirmations = 0, give_up = 1 }",
                "reorg.confirmations",
            ),
            (
                "nodes = [0]\nsilent = true\nfrom_s = 9.0\nuntil_s = 9.0",
                "until_s",
            ),
        ] {
            assert_eq!(corrupt(text).map_err(|e| e.key), Err(key), "{text}");
        }
        let twin: CorruptPlan = toml::from_str("nodes = [0]\ntwin = [1]").expect("known keys");
        assert!(fits(std::slice::from_ref(&twin), "nakamoto", Family::Work).is_err());
        assert!(fits(&[twin], "clique", Family::Authority).is_ok());
    }
}
