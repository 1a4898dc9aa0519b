//! What can be said of a placement before anything is simulated.

use crate::costs;
use crate::plan::Plan;
use crate::study::Part;
use crate::unit::EngineSheet;
use quorate_core::{Execution, Family, Finality, Seed, Span};

/// What a placement tolerates, by arithmetic alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Nodes that vote or lead.
    pub members: u32,
    /// Members that may lie.
    pub byzantine: u32,
    /// Members that may be down.
    pub crashed: u32,
    /// Members that must agree.
    pub quorum: u32,
    /// The fewest sites whose loss halts it.
    pub halting_sites: u32,
    /// The fewest regions whose loss halts it, with an example; `None` if no set does, or if
    /// members are not alike.
    pub halting_regions: Option<Vec<String>>,
    /// Confirmations for safe and final, where finality is by depth.
    pub depths: Option<(u32, u32)>,
}

/// Analyses one engine's placement.
pub fn placement(plan: &Plan, sheet: &EngineSheet) -> Placement {
    let promises = &sheet.promises;
    let regions = &plan.network.regions;
    let region_of = plan.network.region_of();
    let mut members = vec![0_u32; regions.len()];
    for node in &sheet.committee {
        members[usize::from(region_of[node.index()])] += 1;
    }
    // Only where members are alike does their number per region say what a region's loss does.
    let alike = promises.quorum + promises.crashed == sheet.committee.len() as u32;
    let mut order: Vec<usize> = (0..regions.len()).collect();
    order.sort_by_key(|&r| std::cmp::Reverse(members[r]));
    let mut lost = 0;
    let mut names = Vec::new();
    for r in order {
        if lost > promises.crashed {
            break;
        }
        lost += members[r];
        names.push(regions[r].clone());
    }
    Placement {
        members: sheet.committee.len() as u32,
        byzantine: promises.byzantine,
        crashed: promises.crashed,
        quorum: promises.quorum,
        halting_sites: promises.crashed + 1,
        halting_regions: (alike && lost > promises.crashed).then_some(names),
        depths: match sheet.finality {
            Ok(Finality::Depth { safe, fin }) => Some((safe, fin)),
            _ => None,
        },
    }
}

/// What bounds an engine's throughput by arithmetic alone, in transactions a second: the smallest of
/// block space, execution and the uplink of a block's builder. `None` where nothing bounds it.
pub fn ceiling(part: &Part, engine: usize) -> Option<(&'static str, f64)> {
    let sheet = &part.sheets[engine];
    let (bytes, exec_s) = part.workload.mean_write();
    let permille = costs::of(&part.plan.node).exec_permille;
    let taken_s = exec_s * (f64::from(permille) / 1e3);
    let interval_s = sheet.least_interval.map_or(0.0, Span::as_s);
    let seed = Seed::new(part.plan.seed, 0);
    let slowest = part.plan.network.slowest_uplink_bps(seed);
    let uplink = slowest.map_or(0.0, |bps| bps as f64 / 8.0);
    let copies = f64::from(sheet.copies);
    let bounds = [
        (
            "block space",
            block_txs(local(sheet), bytes, exec_s) / interval_s,
        ),
        ("execution", executed_per_s(&part.plan, sheet) / taken_s),
        ("the builder's uplink", uplink / (bytes * copies)),
    ];
    let usable = bounds.into_iter().filter(|b| b.1.is_finite() && b.1 > 0.0);
    usable.min_by(|a, b| a.1.total_cmp(&b.1))
}

/// The settings of the ledger that takes the workload: of an anchor, those of its local one.
fn local(sheet: &EngineSheet) -> &toml::Table {
    let local = sheet.resolved.get("local_config");
    local
        .and_then(toml::Value::as_table)
        .unwrap_or(&sheet.resolved)
}

/// Transactions of this size that a block holds under an engine's settings.
pub(crate) fn block_txs(resolved: &toml::Table, bytes: f64, exec_s: f64) -> f64 {
    let limit = |key: &str| {
        let value = resolved.get(key)?;
        let number = value
            .as_float()
            .or_else(|| value.as_integer().map(|i| i as f64))?;
        (number > 0.0).then_some(number)
    };
    let limits = [
        limit("block_bytes").map(|b| b / bytes),
        limit("block_txs"),
        limit("block_exec_ms").map(|ms| ms / 1e3 / exec_s),
    ];
    limits.into_iter().flatten().fold(f64::INFINITY, f64::min)
}

/// Seconds of execution that fit into a second; infinite where none is charged.
fn executed_per_s(plan: &Plan, sheet: &EngineSheet) -> f64 {
    let members = sheet.committee.len() as f64;
    match sheet.execution {
        Execution::Free => f64::INFINITY,
        // Some member executes all blocks but its own, at most one in `members`.
        Execution::Beside => f64::from(plan.node.cores) / (1.0 - 1.0 / members),
        Execution::InTurn(times) => 1.0 / f64::from(times),
    }
}

/// Who may vote and how they agree, in words.
pub const fn family_name(family: Family) -> &'static str {
    match family {
        Family::Work => "proof of work",
        Family::Stake => "proof of stake",
        Family::Authority => "proof of authority",
        Family::Reference => "crash-fault reference",
        Family::Baseline => "no ledger",
        Family::Integrity => "proofs of integrity",
    }
}
