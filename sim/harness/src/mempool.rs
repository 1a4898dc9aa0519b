//! The table `[mempool]`: limits of the nodes' pools, the order of blocks, and how transactions spread.

use crate::error::Error;
use crate::plan::{Plan, Source};
use crate::study::Part;
use crate::unit::Key;
use crate::workload::Workload;
use quorate_core::{Agreement, Span};
use quorate_kernel::{Fees, GossipConfig, GossipForm, MempoolConfig, Offered, TxRelay};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The nodes' pools of pending transactions.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MempoolPlan {
    /// Most transactions pending at a node; absent means no limit. What is submitted at a full node is
    /// dropped.
    // assumption: none, as the plan's other limits; Bitcoin Core has 300 MB, Besu 4,096 transactions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_txs: Option<u32>,
    /// Most bytes of them; absent means no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_bytes: Option<u64>,
    /// How long a node keeps a transaction that is in no block, s; absent means for ever. Blocks pass
    /// over older ones, which are dropped.
    // source: Bitcoin Core `-mempoolexpiry`, 336 hours: longer than any run here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expire_s: Option<f64>,
    /// How blocks are filled.
    pub order: Order,
    /// Fee levels by class, 0 being the lowest and that of classes left out.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fee_levels: BTreeMap<String, u8>,
    /// Or shares of the levels, the lowest first; each transaction's is drawn.
    // assumption: a payer's choice does not depend on the class or on the queue.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fee_shares: Vec<f64>,
    /// Whether every hop of a transaction is an event.
    pub gossip: Form,
    /// What travels along a connection.
    pub relay: Relay,
    /// Checking a transaction at a node that it reaches, µs on the reference core.
    // assumption: 0, because engines' blocks are charged for signatures where they are executed; see
    // `node.verify_us` for what a check takes.
    pub check_us: f64,
    /// Above this share of the smallest uplink that gossip takes at the busiest node, `auto` is
    /// `explicit`.
    // assumption: a server with a tenth more load has waits that are longer by a tenth or less.
    pub explicit_share: f64,
}

impl Default for MempoolPlan {
    fn default() -> Self {
        Self {
            capacity_txs: None,
            capacity_bytes: None,
            expire_s: None,
            order: Order::FirstIn,
            fee_levels: BTreeMap::new(),
            fee_shares: Vec::new(),
            gossip: Form::Auto,
            // assumption: the committees' way; proof-of-work and stake networks announce.
            relay: Relay::Push,
            check_us: 0.0,
            explicit_share: 0.1,
        }
    }
}

/// How blocks are filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// In the order seen.
    FirstIn,
    /// The highest fee level first, in the order seen within a level. Slower: every site counts once
    /// for each level.
    Fee,
}

/// Whether every hop of a transaction is an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// None is: a transaction takes the shortest path and occupies no link. Fast.
    Visibility,
    /// Every one is: slow.
    Explicit,
    /// Explicit above `explicit_share`, where transactions are passed on: not where one node leads,
    /// as clients submit to that.
    Auto,
}

/// What travels along a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Relay {
    /// The transaction itself: one latency a hop.
    Push,
    /// Announcement, request and transaction: three.
    Announce,
}

/// Checks the table by itself.
pub(crate) fn check(source: &Source, plan: &Plan) -> Result<(), Error> {
    let pool = &plan.mempool;
    let refuse = |key: &str, why: String, hint: &str| {
        Err(source.at_key(&format!("mempool.{key}"), &why, hint))
    };
    if pool.capacity_txs == Some(0) || pool.capacity_bytes == Some(0) {
        let key = if pool.capacity_txs == Some(0) {
            "capacity_txs"
        } else {
            "capacity_bytes"
        };
        return refuse(key, "is 0".to_owned(), "leave it out for no limit");
    }
    if let Some(s) = pool.expire_s.filter(|s| !(*s > 0.0 && *s < 1e9)) {
        return refuse("expire_s", format!("is {s}"), "give seconds above 0");
    }
    if !(0.0..=1e9).contains(&pool.check_us) {
        let why = format!("is {}", pool.check_us);
        return refuse("check_us", why, "give microseconds");
    }
    if !(0.0..=1.0).contains(&pool.explicit_share) {
        let why = format!("is {}", pool.explicit_share);
        return refuse("explicit_share", why, "use a share such as 0.1");
    }
    fees(source, pool)
}

fn fees(source: &Source, pool: &MempoolPlan) -> Result<(), Error> {
    let refuse =
        |key: &str, why: &str, hint: &str| Err(source.at_key(&format!("mempool.{key}"), why, hint));
    let (levels, shares) = (!pool.fee_levels.is_empty(), !pool.fee_shares.is_empty());
    match (pool.order, levels, shares) {
        (Order::FirstIn, true, _) | (Order::FirstIn, _, true) => {
            let key = if levels { "fee_levels" } else { "fee_shares" };
            return refuse(
                key,
                "is there, but blocks are first-in",
                "set order = \"fee\"",
            );
        }
        (Order::Fee, false, false) => {
            let hint = "set mempool.fee_levels by class, or mempool.fee_shares";
            return refuse("order", "is \"fee\", but nobody pays", hint);
        }
        (Order::Fee, true, true) => {
            let hint = "give levels by class or drawn shares, not both";
            return refuse("fee_shares", "stands beside fee_levels", hint);
        }
        _ => {}
    }
    if let Some((class, level)) = pool.fee_levels.iter().find(|l| *l.1 > MOST_LEVEL) {
        let why = format!("is {level}, above the highest level");
        let hint = format!("levels are 0 to {MOST_LEVEL}");
        return refuse(&format!("fee_levels.{class}"), &why, &hint);
    }
    let sound = |s: &f64| *s > 0.0 && s.is_finite();
    let sum: f64 = pool.fee_shares.iter().sum();
    let adds_up = (sum - 1.0).abs() < 1e-6 && pool.fee_shares.len() <= usize::from(MOST_LEVEL) + 1;
    if shares && !(pool.fee_shares.iter().all(sound) && adds_up) {
        let why = "does not hold up to 16 shares above 0 that add up to 1";
        return refuse("fee_shares", why, "for example [0.7, 0.2, 0.1]");
    }
    Ok(())
}

/// The highest fee level. assumption: more would be a price, not a level; each costs memory and time.
const MOST_LEVEL: u8 = 15;

/// Checks that the classes of `fee_levels` exist in some workload of the study.
pub(crate) fn check_classes(source: &Source, plan: &Plan, parts: &[Part]) -> Result<(), Error> {
    let known: Vec<&str> = parts.iter().flat_map(|p| p.workload.classes()).collect();
    let unknown = plan.mempool.fee_levels.keys();
    match unknown.into_iter().find(|c| !known.contains(&c.as_str())) {
        None => Ok(()),
        Some(class) => {
            let path = format!("mempool.fee_levels.{class}");
            let mut names: Vec<&str> = known;
            names.sort_unstable();
            names.dedup();
            let hint = format!("classes: {}", names.join(", "));
            Err(source.at_key(&path, "names no class of the workload", &hint))
        }
    }
}

/// The kernel's pool under a plan.
pub(crate) fn config(plan: &Plan, workload: &Workload, key: Key) -> MempoolConfig {
    let pool = &plan.mempool;
    let (bytes, per_s) = workload.offered(key.offered_tps);
    // Where one node leads, clients submit to it, and nobody passes a transaction on.
    let agreement = plan.engines[key.engine].engine().facts().agreement;
    let is_led = matches!(agreement, Agreement::LeaderLog | Agreement::Primary);
    MempoolConfig {
        capacity_txs: pool.capacity_txs.unwrap_or(u32::MAX),
        capacity_bytes: pool.capacity_bytes.unwrap_or(u64::MAX),
        expire_after: pool.expire_s.map(Span::from_s_f64),
        fees: match pool.order {
            Order::FirstIn => Fees::None,
            Order::Fee if pool.fee_shares.is_empty() => {
                let level = |class: &str| pool.fee_levels.get(class).copied().unwrap_or(0);
                Fees::ByClass(workload.classes().into_iter().map(level).collect())
            }
            Order::Fee => {
                let weight = |share: &f64| (share * 1e6) as u32;
                Fees::Drawn(pool.fee_shares.iter().map(weight).collect())
            }
        },
        gossip: GossipConfig {
            form: match pool.gossip {
                Form::Visibility => GossipForm::Visibility,
                Form::Explicit => GossipForm::Explicit,
                Form::Auto if is_led => GossipForm::Visibility,
                Form::Auto => GossipForm::Auto,
            },
            relay: match pool.relay {
                Relay::Push => TxRelay::Push,
                Relay::Announce => TxRelay::Announce,
            },
            check: Span::from_ms_f64(pool.check_us / 1e3),
            offered: Offered { per_s, bytes },
            most_ppm: (pool.explicit_share * 1e6) as u64,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key {
        engine: 0,
        offered_tps: Some(33.0),
        replication: 0,
        tweak: crate::unit::Tweak::None,
    };

    fn plan(overrides: &[&str]) -> Result<Plan, Error> {
        let overrides: Vec<String> = overrides.iter().map(|&o| o.to_owned()).collect();
        Source::open("compare")
            .expect("it is built in")
            .plan(&overrides)
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (overrides, key) in [
            (&["mempool.capacity_txs=0"][..], "mempool.capacity_txs"),
            (&["mempool.capacity_bytes=0"], "mempool.capacity_bytes"),
            (&["mempool.expire_s=0.0"], "mempool.expire_s"),
            (&["mempool.check_us=-1.0"], "mempool.check_us"),
            (&["mempool.explicit_share=2.0"], "mempool.explicit_share"),
            (&["mempool.order=fee"], "mempool.order"),
            (&["mempool.fee_shares=[1.0]"], "mempool.fee_shares"),
            (
                &["mempool.order=fee", "mempool.fee_shares=[0.5,0.4]"],
                "mempool.fee_shares",
            ),
            (
                &["mempool.order=fee", "mempool.fee_shares=[1.0,0.0]"],
                "mempool.fee_shares",
            ),
            (
                &["mempool.order=fee", "mempool.fee_levels={a=16}"],
                "mempool.fee_levels",
            ),
        ] {
            let refused = plan(overrides).err().map(|e| e.to_string());
            let names_it = refused.as_ref().is_some_and(|text| text.contains(key));
            assert!(names_it, "{overrides:?}: {refused:?}");
        }
    }

    #[test]
    fn fee_levels_are_of_classes_that_exist() {
        let open = |levels: &str| {
            let levels = format!("mempool.fee_levels={levels}");
            let source = Source::open("compare").expect("it is built in");
            let plan = plan(&["mempool.order=fee", &levels]).expect("it is sound");
            crate::study::Study::open(&source, plan)
        };
        let study = open("{\"consent.revoke\"=2}").map_err(|e| e.to_string());
        let study = study.expect("the class exists");
        let part = &study.parts[0];
        let config = config(&part.plan, &part.workload, KEY);
        let Fees::ByClass(levels) = config.fees else {
            panic!("by class")
        };
        let place = part
            .workload
            .classes()
            .iter()
            .position(|&c| c == "consent.revoke");
        assert_eq!(levels[place.expect("it exists")], 2);
        assert_eq!(
            levels.iter().map(|&l| usize::from(l == 0)).sum::<usize>(),
            levels.len() - 1
        );
        let refused = open("{\"no.such\"=2}").err().map(|e| e.to_string());
        assert!(refused.is_some_and(|text| text.contains("no.such")));
    }

    #[test]
    fn every_setting_arrives() {
        let overrides = [
            "mempool.capacity_txs=5",
            "mempool.capacity_bytes=6",
            "mempool.expire_s=7.0",
            "mempool.order=fee",
            "mempool.fee_shares=[0.75,0.25]",
            "mempool.gossip=explicit",
            "mempool.relay=announce",
            "mempool.check_us=8.0",
            "mempool.explicit_share=0.2",
        ];
        let source = Source::open("compare").expect("it is built in");
        let plan = plan(&overrides).expect("it is sound");
        let study = crate::study::Study::open(&source, plan).map_err(|e| e.to_string());
        let part = &study.expect("it opens").parts[0];
        let pool = config(&part.plan, &part.workload, KEY);
        assert_eq!((pool.capacity_txs, pool.capacity_bytes), (5, 6));
        assert_eq!(pool.expire_after, Some(Span::from_s(7)));
        assert_eq!(pool.fees, Fees::Drawn(vec![750_000, 250_000]));
        let gossip = pool.gossip;
        assert_eq!(gossip.form, GossipForm::Explicit);
        assert_eq!(gossip.relay, TxRelay::Announce);
        assert_eq!((gossip.check, gossip.most_ppm), (Span::from_us(8), 200_000));
        assert!(gossip.offered.bytes > 50.0 && (gossip.offered.per_s - 33.0).abs() < 1e-9);
    }
}
