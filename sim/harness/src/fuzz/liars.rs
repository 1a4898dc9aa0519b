//! Who lies in a seed's run, how, and until when.

use super::{Draw, Faults, Promise, pick, some};
use crate::plan::{CorruptPlan, Plan, ReorgPlan};
use crate::unit::EngineSheet;
use quorate_core::{Draws, Family, Guarantee};

/// How many nodes lie.
pub(super) fn count(plan: &Plan) -> u32 {
    let mut all: Vec<u32> = plan.corrupt.iter().flat_map(|c| c.nodes.clone()).collect();
    all.sort_unstable();
    all.dedup();
    all.len() as u32
}

/// Lets some members lie, in a third of the runs.
pub(super) fn add(draw: &mut Draw, sheet: &EngineSheet, d: &mut Draws) {
    let members: Vec<u32> = sheet.committee.iter().map(|m| m.get()).collect();
    let bound = sheet.promises.byzantine;
    let most = members.len() as u32 - 1;
    if draw.faults == Faults::Beyond || most == 0 || !d.chance(1.0 / 3.0) {
        return;
    }
    let within = bound > 0 && d.chance(0.7);
    let count = if within {
        1 + d.below(u64::from(bound)) as u32
    } else if bound < most {
        bound + 1 + d.below(u64::from(most - bound)) as u32
    } else {
        return;
    };
    let liars = some(&members, count as usize, d);
    if draw.faults == Faults::Within {
        leave_room(&mut draw.plan, &liars, bound);
    }
    draw.plan.corrupt = conduct(&draw.plan, &liars, sheet, d);
    (draw.faults, draw.plan.promise) = if within {
        (Faults::Lied, Some(promise(&draw.plan, sheet)))
    } else {
        (Faults::Outnumbered, Some(Promise::Counted))
    };
    if draw.plan.promise != Some(Promise::Live) {
        // Nobody waits for what need not come.
        draw.plan.load.drain_s = draw.plan.load.duration_s;
    }
}

/// Only so many members are down or cut off that these and the liars are no more than the bound.
fn leave_room(plan: &mut Plan, liars: &[u32], bound: u32) {
    let mut out = liars.to_vec();
    plan.faults.retain(|fault| {
        let stopped = [
            &fault.crash,
            &fault.partition,
            &fault.wan_cut,
            &fault.one_way_from,
        ];
        let mut with = out.clone();
        with.extend(stopped.into_iter().flatten());
        with.sort_unstable();
        with.dedup();
        let fits = with.len() as u32 <= bound;
        if fits {
            out = with;
        }
        fits
    });
}

/// What may be expected of a run with no more liars than the protocol bears: everything, if they end or do
/// what crashes do. Who runs twice cuts itself in two, so that its own site may wait for ever.
fn promise(plan: &Plan, sheet: &EngineSheet) -> Promise {
    let ends = |c: &CorruptPlan| c.until_s.is_some() || c.silent;
    if plan.corrupt.iter().all(ends) && !sheet.may_stall {
        Promise::Live
    } else {
        Promise::Safe
    }
}

/// The entries: one conduct for all, or one each.
fn conduct(plan: &Plan, liars: &[u32], sheet: &EngineSheet, d: &mut Draws) -> Vec<CorruptPlan> {
    let alone = d.chance(0.3);
    let groups: Vec<Vec<u32>> = if alone {
        liars.iter().map(|&liar| vec![liar]).collect()
    } else {
        vec![liars.to_vec()]
    };
    let honest: Vec<u32> = (0..plan.network.nodes)
        .filter(|node| !liars.contains(node))
        .collect();
    let entry = |nodes: Vec<u32>, d: &mut Draws| entry(plan, nodes, &honest, sheet, d);
    groups.into_iter().map(|nodes| entry(nodes, d)).collect()
}

fn entry(
    plan: &Plan,
    nodes: Vec<u32>,
    honest: &[u32],
    sheet: &EngineSheet,
    d: &mut Draws,
) -> CorruptPlan {
    let length = plan.load.duration_s;
    let from = (length * 0.3 * d.open01()).round();
    let until = (from + 1.0 + length * 0.2 * d.open01()).round();
    let window = CorruptPlan {
        nodes: nodes.clone(),
        from_s: Some(from),
        // Two in three end, so that what comes after is seen too.
        until_s: (!d.chance(1.0 / 3.0)).then_some(until),
        ..CorruptPlan::default()
    };
    let site = d.below(u64::from(plan.network.nodes)) as u32;
    let side = some(honest, 1 + d.below(honest.len() as u64) as usize, d);
    let depth = 1 + d.below(8) as u32;
    let entry = &plan.engines[0];
    let works = entry.engine().builders(&entry.config) == Family::Work;
    let votes = sheet.facts.guarantee == Guarantee::Commit;
    match d.below(12) {
        0..=3 if !works => CorruptPlan {
            nodes,
            twin: side,
            ..CorruptPlan::default()
        },
        4 if votes => CorruptPlan {
            withhold_votes: true,
            ..window
        },
        5 if votes => CorruptPlan {
            delay_votes_ms: Some(pick(d, &[5.0, 100.0, 2_000.0])),
            ..window
        },
        0 | 1 | 4 if !votes => CorruptPlan {
            selfish: true,
            ..window
        },
        2 | 3 | 5 if !votes => CorruptPlan {
            reorg: Some(ReorgPlan {
                confirmations: depth,
                give_up: 2 * depth,
            }),
            ..window
        },
        6 | 7 => CorruptPlan {
            withhold_blocks: true,
            ..window
        },
        8 => CorruptPlan {
            invalid_blocks: true,
            ..window
        },
        9 => CorruptPlan {
            censor_site: Some(site),
            ..window
        },
        10 => CorruptPlan {
            favour_site: Some(site),
            ..window
        },
        _ => CorruptPlan {
            silent: true,
            ..window
        },
    }
}
