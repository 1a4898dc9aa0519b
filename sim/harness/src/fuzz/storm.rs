//! Bad weather: many short cuts, crashes and delays, as long as a message or as a time-out, in any place.
//! What a lock or a quorum is for shows when a phase of votes arrives at some and not at others.

use super::{Draw, Faults, most_latency_ms, pick, some};
use crate::plan::FaultPlan;
use crate::unit::EngineSheet;
use quorate_core::{Draws, math};

/// Faults of a storm.
// assumption: one in each block or two, in the half of a run that has faults.
const FEWEST: u64 = 8;
const MOST: u64 = 48;

/// Adds a storm to a run whose faults may befall anybody.
pub(super) fn add(draw: &mut Draw, sheet: &EngineSheet, d: &mut Draws) {
    let anybody = matches!(
        draw.faults,
        Faults::Healed | Faults::Lied | Faults::Outnumbered
    );
    if !anybody || draw.plan.network.nodes < 2 || !d.chance(0.7) {
        return;
    }
    let (shortest, longest) = scales_s(draw, sheet);
    let length = draw.plan.load.duration_s;
    for _ in 0..FEWEST + d.below(MOST - FEWEST) {
        let from = length * (0.02 + 0.46 * d.open01());
        let span = shortest * math::exp(d.open01() * math::ln(longest / shortest));
        let window = (ms(from), ms((from + span).min(length / 2.0)));
        let fault = fault(draw, window, longest, d);
        draw.plan.faults.push(fault);
    }
}

/// From the time of a message to that of a few blocks or time-outs, and no less than a second; s.
fn scales_s(draw: &Draw, sheet: &EngineSheet) -> (f64, f64) {
    let latency = draw.plan.network.one_way_ms.unwrap_or(1.0) / 1e3;
    let time_out = most_latency_ms(sheet) / 100.0;
    let block = sheet.promises.interval.as_s();
    (
        latency.max(1e-3),
        (2.0 * block).max(4.0 * time_out).max(1.0),
    )
}

/// To the millisecond, and never nothing.
fn ms(seconds: f64) -> f64 {
    (seconds * 1e3).ceil() / 1e3
}

fn fault(draw: &Draw, (from, until): (f64, f64), longest: f64, d: &mut Draws) -> FaultPlan {
    let everybody: Vec<u32> = (0..draw.plan.machines()).collect();
    let nodes: Vec<u32> = (0..draw.plan.network.nodes).collect();
    let most = everybody.len() as u64 - 1;
    // Halves, a few, and anything.
    let size = match d.below(4) {
        0 | 1 => everybody.len() as u64 / 2,
        2 => 1 + d.below(most.min(2)),
        _ => 1 + d.below(most),
    };
    let side = some(&everybody, size.max(1) as usize, d);
    let few = some(&nodes, 1 + d.below(2) as usize, d);
    let fault = super::window(from, Some(until.max(from + 1e-3)));
    match d.below(8) {
        0..=2 => FaultPlan {
            partition: side,
            ..fault
        },
        3 | 4 => FaultPlan {
            one_way_from: side,
            ..fault
        },
        5 | 6 => FaultPlan {
            crash: few,
            ..fault
        },
        // Longer than what anybody waits for.
        _ => FaultPlan {
            clog: side,
            clog_ms: Some(
                (pick(d, &[0.25, 1.0, 2.0]) * longest * 1e3)
                    .round()
                    .max(1.0),
            ),
            ..fault
        },
    }
}
