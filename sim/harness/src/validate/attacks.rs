//! Attacks on the longest chain: double spends and selfish mining, played block by block, and the
//! functions that depths of finality come from.

use super::{Check, Family, Params, shared};
use quorate_consensus::attacks::{Kept, double_spends, selfish_mining};
use quorate_core::Seed;
use quorate_core::finality::{confirmations, nakamoto_risk};
use std::sync::Arc;

/// Races and attacks.
pub const FAMILY: Family = Family {
    name: "attacks",
    known: include_str!("known/attacks.csv"),
    checks: &[
        Check {
            name: "nakamoto_risk",
            run: |params| Ok(nakamoto_risk(share(params, "q")?, params.u32("z")?)),
        },
        Check {
            name: "nakamoto_blocks",
            run: nakamoto_blocks,
        },
        Check {
            name: "confirmations",
            run: least_confirmations,
        },
        Check {
            name: "double_spends",
            run: successes,
        },
        Check {
            name: "selfish_share",
            run: |params| Ok(selfish(params, share(params, "alpha")?)?.share()),
        },
        Check {
            name: "selfish_stale",
            run: |params| Ok(selfish(params, share(params, "alpha")?)?.stale_share()),
        },
        Check {
            name: "selfish_threshold",
            run: selfish_threshold,
        },
    ],
};

/// A minority's share of the work.
fn share(params: &Params, key: &str) -> Result<f64, String> {
    let share = params.f64(key)?;
    if 0.0 < share && share < 0.5 {
        Ok(share)
    } else {
        Err(format!("`{key} = {share}` is not between 0 and 1/2"))
    }
}

/// More blocks behind than anybody would wait for.
const MOST_BLOCKS: u32 = 10_000;

fn nakamoto_blocks(params: &Params) -> Result<f64, String> {
    let (q, risk) = (share(params, "q")?, params.f64("risk")?);
    let least = (0..MOST_BLOCKS).find(|z| nakamoto_risk(q, *z) < risk);
    least
        .map(f64::from)
        .ok_or_else(|| format!("{MOST_BLOCKS} blocks do not suffice"))
}

fn least_confirmations(params: &Params) -> Result<f64, String> {
    let (q, risk) = (share(params, "q")?, params.f64("risk")?);
    confirmations(q, risk)
        .map(f64::from)
        .ok_or_else(|| "no number of confirmations suffices".to_owned())
}

fn successes(params: &Params) -> Result<f64, String> {
    let q = share(params, "q")?;
    let (n, give_up) = (params.u32("n")?, params.u32("give_up")?);
    let attempts: u64 = params.number("attempts")?;
    let seed = Seed::new(params.number_or("seed", 1)?, 0);
    let spends = double_spends(q, n, give_up, attempts.max(1), seed);
    Ok(spends.won as f64 / attempts.max(1) as f64)
}

fn selfish(params: &Params, alpha: f64) -> Result<Arc<Kept>, String> {
    let gamma = params.f64("gamma")?;
    if !(0.0..=1.0).contains(&gamma) {
        return Err(format!("`gamma = {gamma}` is no probability"));
    }
    let blocks: u64 = params.number("blocks")?;
    let seed: u64 = params.number_or("seed", 1)?;
    let key = format!("{alpha} {gamma} {blocks} {seed}");
    Ok(shared("attacks.selfish", &key, || {
        selfish_mining(alpha, gamma, blocks.max(1_000), Seed::new(seed, 0))
    }))
}

/// By bisection to 1/4096. All shares meet the same draws, and the share of the chain is held against
/// the share of what was found, so that chance moves both sides alike.
fn selfish_threshold(params: &Params) -> Result<f64, String> {
    let (mut low, mut high) = (0.0, 0.5);
    if !selfish(params, high - 1e-6)?.pays() {
        return Err("not even half of the work pays".to_owned());
    }
    while high - low > 1.0 / 4_096.0 {
        let mid = f64::midpoint(low, high);
        if selfish(params, mid)?.pays() {
            high = mid;
        } else {
            low = mid;
        }
    }
    Ok(f64::midpoint(low, high))
}
