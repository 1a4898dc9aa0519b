//! The inputs that a sensitivity study varies, and how.

use crate::network::Rate;
use crate::plan::{Plan, keys};
use crate::unit::{self, INTERVAL_KEYS, SPACE_KEYS};
use crate::words::short;
use crate::{costs, plan};
use quorate_core::byzantine_bound;
use serde::Deserialize as _;

/// New over old; `None` where that is no number.
type Ratio = Option<f64>;

/// What can be varied by name.
pub(crate) struct Input {
    pub(crate) name: &'static str,
    /// Scales it, or says why there is nothing to scale.
    vary: fn(&mut Plan, f64) -> Result<Ratio, String>,
}

/// All of them, in the order in which they are shown.
pub(crate) const ALL: [Input; 12] = [
    Input {
        name: "load",
        vary: load,
    },
    Input {
        name: "payload",
        vary: payload,
    },
    Input {
        name: "latency",
        vary: latency,
    },
    Input {
        name: "jitter",
        vary: jitter,
    },
    Input {
        name: "loss",
        vary: loss,
    },
    Input {
        name: "bandwidth",
        vary: bandwidth,
    },
    Input {
        name: "cpu",
        vary: cpu,
    },
    Input {
        name: "execution",
        vary: execution,
    },
    Input {
        name: "interval",
        vary: interval,
    },
    Input {
        name: "block-space",
        vary: space,
    },
    Input {
        name: "nodes",
        vary: nodes,
    },
    Input {
        name: "corrupt",
        vary: corrupt,
    },
];

/// What is wrong with the name of an input.
pub(crate) struct NoInput {
    pub(crate) why: String,
    pub(crate) hint: String,
}

/// Scales an input: one of [`ALL`], or a key of the plan. The inner error says why there is nothing to
/// scale.
///
/// # Errors
/// If it is neither.
pub(crate) fn vary(
    plan: &mut Plan,
    input: &str,
    factor: f64,
) -> Result<Result<Ratio, String>, NoInput> {
    match ALL.iter().find(|i| i.name == input) {
        Some(known) => Ok((known.vary)(plan, factor)),
        None => number(plan, input, factor),
    }
}

/// Scales a number of the plan by its key.
fn number(plan: &mut Plan, path: &str, factor: f64) -> Result<Result<Ratio, String>, NoInput> {
    let names: Vec<&str> = ALL.iter().map(|i| i.name).collect();
    let refuse = |why: &str| NoInput {
        why: format!("names {path:?}, which is {why}"),
        hint: format!(
            "inputs: {}; or a key with a number, such as network.uplink_mbps",
            names.join(", ")
        ),
    };
    let table = toml::Table::try_from(&*plan).expect("a plan is a table");
    let mut root = toml::Value::Table(table);
    let keys = keys(path);
    let Some(old) = value(plan, &root, &keys) else {
        return Err(refuse("no number that the plan gives"));
    };
    let (value, ratio) = match old {
        toml::Value::Integer(0) => return Ok(Err("it is 0".to_owned())),
        toml::Value::Float(x) if x.to_bits() << 1 == 0 => return Ok(Err("it is 0".to_owned())),
        toml::Value::Integer(i) => {
            let new = whole(i as f64, factor);
            (toml::Value::Integer(new as i64), new / i as f64)
        }
        toml::Value::Float(x) => (toml::Value::Float(x * factor), factor),
        _ => return Err(refuse("no number")),
    };
    plan::put(&mut root, &keys, value).ok_or_else(|| refuse("no key of the plan"))?;
    *plan = Plan::deserialize(root).map_err(|e| refuse(&format!("wrong: {}", e.message())))?;
    Ok(Ok(Some(ratio)))
}

/// The value at a path: as the plan gives it, or of an engine's key its default.
fn value(plan: &Plan, root: &toml::Value, keys: &[&str]) -> Option<toml::Value> {
    let given = plan::get(root, keys);
    given.cloned().or_else(|| match *keys {
        ["engines", which, "config", own] => {
            let list = root.get("engines")?.as_array()?;
            let entry = &plan.engines[plan::place(list, which)?];
            entry.engine().resolved(&entry.config).get(own).cloned()
        }
        _ => None,
    })
}

/// A whole number scaled, by at least one.
fn whole(old: f64, factor: f64) -> f64 {
    let new = (old * factor).round();
    if (new - old).abs() >= 1.0 {
        new
    } else {
        old + if factor > 1.0 { 1.0 } else { -1.0 }
    }
}

fn load(plan: &mut Plan, factor: f64) -> Result<Ratio, String> {
    let old = plan.load.decide_at_tps.ok_or("no load is judged")?;
    plan.load.decide_at_tps = Some(old * factor);
    plan.load.offered_tps = vec![old * factor];
    Ok(Some(factor))
}

/// Hashes instead of whole records, or the other way round: sizes have no other dial.
fn payload(plan: &mut Plan, factor: f64) -> Result<Ratio, String> {
    let full = plan.workload.get("payload").and_then(toml::Value::as_str) == Some("full");
    match (full, factor > 1.0) {
        (true, false) => plan.workload.insert("payload".to_owned(), "hash".into()),
        (false, true) => plan.workload.insert("payload".to_owned(), "full".into()),
        (true, true) => return Err("whole records are on the ledger already".to_owned()),
        (false, false) => return Err("only hashes are on the ledger already".to_owned()),
    };
    Ok(None)
}

fn latency(plan: &mut Plan, factor: f64) -> Result<Ratio, String> {
    let old = f64::from(plan.network.latency_permille);
    if plan.network.latency_permille == 0 {
        return Err("there is none".to_owned());
    }
    let new = (old * factor).round();
    plan.network.latency_permille = new as u32;
    Ok(Some(new / old))
}

fn jitter(plan: &mut Plan, factor: f64) -> Result<Ratio, String> {
    if let Some(ms) = &mut plan.network.jitter_spread_ms {
        *ms *= factor;
        return Ok(Some(factor));
    }
    let old = f64::from(plan.network.jitter_permille);
    if plan.network.jitter_permille == 0 {
        return Err("there is none".to_owned());
    }
    let new = whole(old, factor);
    plan.network.jitter_permille = new as u32;
    Ok(Some(new / old))
}

fn loss(plan: &mut Plan, factor: f64) -> Result<Ratio, String> {
    if plan.network.loss_permille <= 0.0 {
        return Err("no packet is lost".to_owned());
    }
    plan.network.loss_permille *= factor;
    Ok(Some(factor))
}

fn bandwidth(plan: &mut Plan, factor: f64) -> Result<Ratio, String> {
    let net = &mut plan.network;
    let mut any = false;
    let mut scale = |mbps: &mut f64| {
        any |= *mbps > 0.0;
        *mbps *= factor;
    };
    scale(&mut net.uplink_mbps);
    scale(&mut net.downlink_mbps);
    for rate in net
        .region_uplink_mbps
        .iter_mut()
        .chain(&mut net.region_downlink_mbps)
    {
        match rate {
            Rate::One(mbps) => scale(mbps),
            Rate::Drawn(list) => list.iter_mut().for_each(&mut scale),
        }
    }
    for class in &mut net.classes {
        class.uplink_mbps.iter_mut().for_each(&mut scale);
        class.downlink_mbps.iter_mut().for_each(&mut scale);
    }
    if any {
        Ok(Some(factor))
    } else {
        Err("links are unlimited".to_owned())
    }
}

/// Everything that computing takes, faster or slower.
#[expect(clippy::unnecessary_wraps, reason = "inputs have one signature")]
fn cpu(plan: &mut Plan, factor: f64) -> Result<Ratio, String> {
    let costs = costs::of(&plan.node);
    let us = |span: quorate_core::Span| Some(span.as_ms() * 1e3 / factor);
    let ns = |span: quorate_core::Span| Some((span.ns() as f64 / factor).round() as u64);
    let node = &mut plan.node;
    node.sign_us = us(costs.sign);
    node.verify_us = us(costs.verify);
    node.verify_next_us = us(costs.verify_next);
    node.hash_kib_ns = ns(costs.hash_kib);
    node.block_us = us(costs.block);
    node.block_kib_ns = ns(costs.block_kib);
    node.exec_permille = Some((f64::from(costs.exec_permille) / factor).round() as u32);
    Ok(Some(factor))
}

fn execution(plan: &mut Plan, factor: f64) -> Result<Ratio, String> {
    let old = costs::of(&plan.node).exec_permille;
    if old == 0 {
        return Err("execution costs nothing".to_owned());
    }
    let new = (f64::from(old) * factor).round();
    plan.node.exec_permille = Some(new as u32);
    Ok(Some(new / f64::from(old)))
}

fn interval(plan: &mut Plan, factor: f64) -> Result<Ratio, String> {
    engines(plan, &INTERVAL_KEYS, factor, "no engine has an interval")
}

fn space(plan: &mut Plan, factor: f64) -> Result<Ratio, String> {
    engines(plan, &SPACE_KEYS, factor, "no engine limits its blocks")
}

/// Scales keys of all engines that have them.
fn engines(plan: &mut Plan, keys: &[&str], factor: f64, none: &str) -> Result<Ratio, String> {
    let mut any = false;
    for entry in &mut plan.engines {
        let engine = entry.engine();
        let has = engine.resolved(&entry.config);
        if keys.iter().any(|key| has.contains_key(*key)) {
            any = true;
            entry.config = unit::scaled(engine, &entry.config, keys, factor);
        }
    }
    if any {
        Ok(Some(factor))
    } else {
        Err(none.to_owned())
    }
}

#[expect(clippy::unnecessary_wraps, reason = "inputs have one signature")]
fn nodes(plan: &mut Plan, factor: f64) -> Result<Ratio, String> {
    let old = f64::from(plan.network.nodes);
    let new = whole(old, factor).max(1.0);
    plan.network.nodes = new as u32;
    Ok(Some(new / old))
}

/// Organisations that the depth of finality is held against.
fn corrupt(plan: &mut Plan, factor: f64) -> Result<Ratio, String> {
    let most = byzantine_bound(plan.network.nodes);
    let old = f64::from(plan.adversary.corrupt.unwrap_or(most));
    let new = whole(old, factor).max(0.0);
    if new > f64::from(most) {
        return Err(format!(
            "more than {} of {} is no minority of a committee",
            short(old),
            plan.network.nodes
        ));
    }
    plan.adversary.corrupt = Some(new as u32);
    if old > 0.0 {
        Ok(Some(new / old))
    } else {
        Err("nobody is corrupt".to_owned())
    }
}
