//! How the results were made: engines and placement, method, scope and limits, provenance.

use super::html::{Table, element, list, tag, text};
use crate::output::{MODEL_VERSION, Ran};
use crate::plan::{IntervalMethod, Kind, ReadLevel};
use crate::results::sha256_hex;
use crate::study::{Part, Study};
use crate::words::{self, duration, short};
use crate::{analysis, precision, risk, stats, verdict};

/// Everything below the results.
pub(super) fn section(study: &Study, ran: &[Ran<'_>], config: &str) -> String {
    engines(study, ran) + &method(study, ran) + &limits() + &provenance(study, config)
}

/// What the engines are, by arithmetic alone.
fn engines(study: &Study, ran: &[Ran<'_>]) -> String {
    let firsts = if risk::is_drawn(study) {
        risk::by_profile(ran)
    } else {
        ran.to_vec()
    };
    let tables = firsts
        .iter()
        .map(|one| engine_table(study, one.part).markup());
    let body = tag("h2", "Engines and their placement, before any simulation")
        + &tables.collect::<String>();
    element("section", &[("id", "engines")], &body)
}

fn engine_table(study: &Study, part: &Part) -> Table {
    let plan = &part.plan;
    let settings = if study.has_profiles() {
        format!(", {} settings", part.profile.name())
    } else {
        String::new()
    };
    let caption = format!(
        "{} nodes{settings}; counts are of members",
        plan.network.nodes
    );
    let head = [
        "engine",
        "family",
        "who votes",
        "agree by",
        "standing",
        "members",
        "liars borne",
        "down borne",
        "halts without",
        "final",
        "bound/s",
    ];
    let mut table = Table::new(caption, &head);
    for (e, sheet) in part.sheets.iter().enumerate() {
        let place = analysis::placement(plan, sheet);
        let bound = analysis::ceiling(part, e);
        let bound = bound.map_or_else(
            || "-".to_owned(),
            |(by, tps)| format!("{} ({by})", short(tps)),
        );
        table.rows.push(vec![
            text(plan.engines[e].label()),
            text(analysis::family_name(sheet.facts.family)),
            text(sheet.facts.electorate.name()),
            text(sheet.facts.agreement.name()),
            text(sheet.facts.standing.name()),
            place.members.to_string(),
            place.byzantine.to_string(),
            place.crashed.to_string(),
            text(&words::halting(&place)),
            text(&words::finality(&place, sheet)),
            text(&bound),
        ]);
    }
    table
}

fn method(study: &Study, ran: &[Ran<'_>]) -> String {
    let mut items = vec![regime(study), replications(study, ran)];
    let judged = study.parts.iter().any(|p| !p.plan.levels.is_empty());
    let asks = matches!(
        study.plan.kind,
        Kind::Scenario | Kind::Capacity | Kind::Sensitivity
    );
    if study.plan.kind == Kind::Compare || asks && judged {
        items.push(corrected(study));
    }
    items.push(adversary(study));
    items.extend(
        fixed(study)
            .into_iter()
            .map(|(name, about)| item(name, about)),
    );
    let body = tag("h2", "Method") + &list(&items);
    element("section", &[("id", "method")], &body)
}

fn item(name: &str, about: &str) -> String {
    tag("strong", name) + &text(&format!(": {about}"))
}

fn regime(study: &Study) -> String {
    let load = &study.plan.load;
    let about = match study.plan.kind {
        Kind::Scenario => {
            "terminating: the window runs from its first arrival to its last, and nothing \
                           is cut off"
                .to_owned()
        }
        Kind::Replay if study.parts.iter().all(|p| p.workload.import().is_none()) => {
            "terminating: the workload runs once, at its own rates by hour and day, and nothing is \
                         cut off"
                .to_owned()
        }
        Kind::Replay | Kind::Attack => {
            "terminating: the trace runs once, from its first arrival to its last, and \
                         nothing is cut off"
                .to_owned()
        }
        _ => format!(
            "steady: a flat load, by default for {} (an engine with slow finality has longer), then \
             up to {} to let it become final. The warm-up is found on the latency to included by \
             MSER-5 and cut off. A unit whose backlog grows significantly is saturated and never \
             averaged as if it were steady",
            duration(1e3 * load.duration_s),
            duration(1e3 * load.drain_s)
        ),
    };
    item("Regime", &format!("{about}."))
}

fn replications(study: &Study, ran: &[Ran<'_>]) -> String {
    let plan = &study.plan;
    let method = match plan.interval {
        IntervalMethod::Student => "Student's interval",
        IntervalMethod::Bootstrap => "the bootstrap interval, corrected for bias and skew,",
    };
    let stop = plan.precision.map_or_else(String::new, |share| {
        format!(
            " A cell has twice as many replications as long as a deciding interval's half is wider \
             than {} % of its mean.",
            100.0 * share
        )
    });
    let about = format!(
        "{} independent replications of each cell from master seed {}; counterfactuals may have \
         fewer.{stop} Every value is a mean over replications with {method} at {} %; a cell that is \
         flagged shows the mean of its flagged units alone and has no interval. A \
         percentile is shown only where at least ten independent samples lie beyond it, and \
         transactions of one block count as one. The simulated values are exact for plan, seed \
         and model version; the intervals are about other seeds.",
        precision::replications(ran),
        plan.seed,
        100.0 * plan.confidence
    );
    item("Replications and intervals", &about)
}

fn corrected(study: &Study) -> String {
    let n = verdict::comparisons(study);
    let each = stats::bonferroni(study.plan.confidence, n.max(1));
    let about = format!(
        "the answers together are right with {} %: each of the {n} comparisons has its Student \
         interval at {:.3} % (Bonferroni). holds: the whole interval is inside the bound; fails: outside; \
         undecided: the bound lies in it, or the sample does not support the statistic. The margin \
         is bound over value, or value over bound where more is better.",
        100.0 * study.plan.confidence,
        100.0 * each
    );
    item("Answers", &about)
}

fn adversary(study: &Study) -> String {
    let plan = &study.parts[0].plan;
    let about = format!(
        "one for all engines: {} of {} organisations work together against the others; of a \
         smaller committee, the most that a Byzantine one of its size bears. Where blocks are \
         final by depth, final means a reversal risk below {}, safe below {}; committees must bear \
         as many liars as the plan demands.",
        super::answer::adversary(plan),
        plan.network.nodes,
        plan.adversary.final_risk,
        plan.adversary.safe_risk
    );
    item("Adversary", &about)
}

/// What is the same for all plans of a kind.
fn fixed(study: &Study) -> Vec<(&'static str, &'static str)> {
    let mut items = vec![
        (
            "Levels",
            "included: in a block on the observer's chain; safe: the protocol's weaker notion; \
             final: by its commit, or by depth. The observer is the node of the submitting site, \
             and latency counts from the intended time of submission.",
        ),
        (
            "Common random numbers",
            "all engines meet the same arrivals, overlay, latencies and faults in each \
             replication; jitter hangs on what a message says and therefore differs.",
        ),
        ("Reads", read_level(study)),
        (
            "Bounds",
            "the smallest of block space, execution time and the uplink of a block's builder, by \
             arithmetic; no engine can do better, and none is promised to reach it.",
        ),
    ];
    match study.plan.kind {
        Kind::Compare => items.push((
            "What limits an engine",
            "the one change that moves the value most, under the same random numbers: bandwidth, \
             CPU or block space doubled, network latency or block interval halved, finality one \
             level down.",
        )),
        Kind::Curve => items.push((
            "Knee",
            "the largest load at which no backlog grows and the goodput is at least 99 % of what \
             the ledger's rules would accept; located by halving the bracket.",
        )),
        Kind::Capacity => items.push((
            "Capacity",
            "a load is met when every level holds by the rule of the answers, and fails when one \
             fails; both ends are located by bisection, and lie as close as the plan asks. What \
             limits an engine is the change that moves the deciding level most at the smallest load \
             that is not met, under common random numbers.",
        )),
        Kind::Sensitivity => items.push((
            "Sensitivity",
            "each input is made smaller and larger by the same share, one at a time, under common \
             random numbers; what inputs do together is not looked at. An elasticity is the \
             logarithm of the margin's ratio over that of the input's.",
        )),
        Kind::Scale | Kind::Sweep | Kind::Scenario | Kind::Replay | Kind::Check | Kind::Attack => {}
    }
    items
}

const fn read_level(study: &Study) -> &'static str {
    match study.plan.node.read_level {
        ReadLevel::Included => {
            "served from the head of the site's own node. A stale read is one that the view allows \
             although a watched write of its key was submitted before."
        }
        ReadLevel::Safe => {
            "served from the safe block of the site's own node. A stale read is one that the view \
             allows although a watched write of its key was submitted before."
        }
        ReadLevel::Final => {
            "served from the final block of the site's own node. A stale read is one that the view \
             allows although a watched write of its key was submitted before."
        }
    }
}

/// The same box in every report.
fn limits() -> String {
    let items = [
        "Network: a constant latency for each pair of regions from published tables plus \
         exponential jitter; first-in first-out links. Outside planned faults no message is lost, \
         and no link is asymmetric or clogged.",
        "Machines: cores behind one queue, with the costs of signing, checking, hashing and \
         executing as configured; disks, memory, garbage collection and clock skew are left out. \
         By default votes are checked on a core of their own.",
        "Adversary: corrupt organisations enter the depth of finality and the computed risks. No \
         node lies, withholds or equivocates in a run, so no latency under attack is shown.",
        "Transactions: gossip takes one network latency and no bandwidth; the pool is unlimited \
         and first-in first-out; there are no fees.",
        "Committees do not change during a run. Keys, onboarding, upgrades, law, governance, \
         staff and hardware costs, energy and storage are outside.",
        "Workloads are generated from published rates and assumptions named in their settings; no \
         patient's record is in them, and your organisation's day may differ.",
        "Protocols are simulated from their published rules and defaults. What is shown holds for \
         the model, not for a product on real hardware; take ratios and limits from it before \
         absolute values.",
    ];
    let body = tag("h2", "Scope and limits") + &list(&items.map(text));
    let marks = [("id", "limits"), ("class", "limits")];
    element("section", &marks, &body)
}

fn provenance(study: &Study, config: &str) -> String {
    let mut table = Table::new(
        "Equal lines mean equal results, byte by byte",
        &["what", "value"],
    );
    let version = MODEL_VERSION.to_string();
    let seed = study.plan.seed.to_string();
    let hash = sha256_hex(config.as_bytes());
    for (what, value) in [
        ("plan", study.plan.name.as_str()),
        ("plan hash (SHA-256)", &hash),
        ("model version", &version),
        ("seed", &seed),
    ] {
        table.rows.push(vec![text(what), tag("code", value)]);
    }
    let plan = tag("summary", "The plan") + &tag("pre", config);
    let body = tag("h2", "Provenance")
        + &table.markup()
        + &element("details", &[], &plan)
        + &tag(
            "p",
            "The tables beside this page hold every replication; datapackage.json describes their \
             columns and SHA256SUMS covers them and this page.",
        );
    element("section", &[("id", "provenance")], &body)
}
