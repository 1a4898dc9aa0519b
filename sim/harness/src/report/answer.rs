//! The first screen: question, answer, recommendation, the central figure.

use super::chart::{figure, figures};
use super::html::{Table, class, element, expected, list, tag, text};
use super::part_name;
use crate::output::Ran;
use crate::plan::{Kind, Plan};
use crate::run::Cell;
use crate::stats::Interval;
use crate::study::{Part, Study};
use crate::unit::Tweak;
use crate::verdict::{self, Answer};
use crate::words::{self, duration, percent, short};
use crate::{capacity, figures, knee, question, risk, summary};
use quorate_core::{Agreement, Electorate, Level, byzantine_bound};

/// Everything above the details.
pub(super) fn section(study: &Study, ran: &[Ran<'_>]) -> String {
    let mut body = tag("h1", &headline(study)) + &setting(study);
    if study.plan.kind != Kind::Compare {
        body += &in_short(study, ran);
    }
    if risk::is_drawn(study) {
        let firsts = risk::by_profile(ran);
        body += &firsts
            .iter()
            .map(|first| profile(study, ran, first))
            .collect::<String>();
    }
    body += &cannot_tell();
    element("section", &[("id", "answer")], &body)
}

/// The answer under one profile, marked so that the script can show it alone.
fn profile(study: &Study, ran: &[Ran<'_>], first: &Ran<'_>) -> String {
    let same = ran.iter().filter(|r| r.part.profile == first.part.profile);
    let same: Vec<Ran<'_>> = same.copied().collect();
    let mut body = String::new();
    if study.plan.kind == Kind::Compare {
        body += &matrix(study, &same);
        body += &prices(&same);
    }
    body += &central_figure(study, first.part);
    element("div", &[("data-profile", first.part.profile.name())], &body)
}

/// Which settings a heading is about, where there are several.
fn settings(study: &Study, part: &Part) -> String {
    if study.has_profiles() {
        format!(", {} settings", part.profile.name())
    } else {
        String::new()
    }
}

fn headline(study: &Study) -> String {
    let plan = &study.plan;
    let n = plan.network.nodes;
    let regions = plan.network.regions.len();
    let s = if regions == 1 { "" } else { "s" };
    let place = format!("{n} organisations in {regions} region{s}");
    if let Some(question) = &plan.question {
        return question.clone();
    }
    match plan.kind {
        Kind::Scenario => format!("{place}: several questions"),
        Kind::Compare => format!("{place}: which consensus meets the service levels?"),
        Kind::Curve => format!("{place}: up to which load does each engine carry what arrives?"),
        Kind::Sweep => "What becomes of each engine as these settings change?".to_owned(),
        Kind::Capacity => {
            format!("{place}: up to which load does each engine meet the service levels?")
        }
        Kind::Sensitivity => format!("{place}: which inputs move the verdict?"),
        Kind::Scale => {
            let axis = plan.scale.as_ref().map_or("nodes", |s| s.axis.label());
            format!("What becomes of each engine as the number of {axis} grows?")
        }
        Kind::Replay if !plan.outages.is_empty() => {
            format!("{place}: what do these outages do, and how long until all is as before?")
        }
        Kind::Replay | Kind::Check | Kind::Attack => {
            format!("{place}: how long does each transaction of a trace take?")
        }
    }
}

/// Nodes, regions and load in plain words.
fn setting(study: &Study) -> String {
    let plan = &study.plan;
    let uplink = match plan.network.uplink_mbps {
        mbps if mbps > 0.0 => format!("uplinks of {mbps} Mbit/s"),
        _ => "unlimited uplinks".to_owned(),
    };
    let regions = plan.network.regions.join(", ");
    let mut items = vec![text(&format!(
        "One node an organisation, in {regions}; {uplink}."
    ))];
    let mut seen: Vec<&str> = Vec::new();
    for part in &study.parts {
        if !seen.contains(&part.label.as_str()) {
            seen.push(&part.label);
            items.push(text(&load(part)));
        }
    }
    if study.has_profiles() {
        items.push(text(
            "Settings: deployed are each system's documented defaults; matched are alike in block \
             space and mean interval.",
        ));
    }
    class("div", "setting", &list(&items))
}

fn load(part: &Part) -> String {
    let plan = &part.plan;
    let (label, sites) = (&part.label, part.workload.sites());
    let span = duration(1e3 * plan.load.duration_s);
    let tried = plan.load.offered_tps.iter();
    let others = tried.filter(|&&tps| Some(tps) != plan.load.decide_at_tps);
    let others: Vec<String> = others.map(ToString::to_string).collect();
    let others = others.join(", ");
    match (plan.kind, plan.load.decide_at_tps) {
        (Kind::Replay | Kind::Scenario, _)
            if !plan.is_swept() && part.workload.import().is_none() =>
        {
            format!("{label}: {span} as they come, from {sites} sites.")
        }
        (Kind::Replay | Kind::Scenario, _) if !plan.is_swept() => {
            format!("{label}: the trace as it is, from {sites} sites.")
        }
        (Kind::Compare, Some(at)) => {
            let levels = plan.levels.len();
            let also = if others.is_empty() {
                String::new()
            } else {
                format!(" Also tried: {others} writes a second.")
            };
            let s = if levels == 1 { "" } else { "s" };
            format!(
                "{label}: {sites} sites submit {at} writes a second for {span}; {levels} service \
                 level{s}.{also}"
            )
        }
        _ => format!("{label}: {sites} sites; {others} writes a second, {span} each."),
    }
}

/// Who may vote, how they agree, and what came out; of the parts of one profile.
fn matrix(study: &Study, parts: &[Ran<'_>]) -> String {
    let first = parts[0].part;
    let settings = settings(study, first);
    let facts = |e: usize| &first.sheets[e].facts;
    let engines = 0..first.plan.engines.len();
    // Rows and columns without an engine tell nothing.
    let ways: Vec<Agreement> = Agreement::ALL
        .into_iter()
        .filter(|&how| engines.clone().any(|e| facts(e).agreement == how))
        .collect();
    let mut head = vec!["who may vote \\ how they agree"];
    head.extend(ways.iter().map(|how| how.name()));
    let mut table = Table::new(format!("Engines and their answers{settings}"), &head);
    for voter in Electorate::ALL {
        if !engines.clone().any(|e| facts(e).electorate == voter) {
            continue;
        }
        let mut row = vec![text(voter.name())];
        row.extend(ways.iter().map(|&how| {
            let is_here = |e: &usize| facts(*e).electorate == voter && facts(*e).agreement == how;
            let here = engines.clone().filter(is_here);
            here.map(|e| engine_answers(parts, e)).collect()
        }));
        table.rows.push(row);
    }
    let note = class(
        "p",
        "note",
        "An engine answers for itself, not for its row or column: two engines may differ in a \
         timeout only. The worst of its service levels decides, with all sites up and with one \
         down.",
    );
    let title = tag("h2", &format!("Answer{settings}"));
    title + &sentences(parts) + &class("div", "matrix", &table.markup()) + &note
}

/// What each workload comes to, for who reads no further.
fn sentences(parts: &[Ran<'_>]) -> String {
    let say = |one: &Ran<'_>| {
        let sentence = words::recommendation(&one.part.plan, one.outcome, one.rows);
        tag("strong", &one.part.label) + &text(&format!(": {sentence}"))
    };
    list(&parts.iter().map(say).collect::<Vec<_>>())
}

/// An engine with its answer to each workload.
fn engine_answers(parts: &[Ran<'_>], engine: usize) -> String {
    let label = parts[0].part.plan.engines[engine].label();
    let lines = parts.iter().filter_map(|one| {
        let all = verdict::overall(one.rows, engine)?;
        let level = &one.part.plan.levels[all.by.level];
        let sites = if all.by.site_down {
            ", one site down"
        } else {
            ""
        };
        let by = match (all.by.margin, all.by.limit) {
            (Some(_), Some(limit)) => {
                format!("margin {}, hangs on {limit}", words::margin(all.by))
            }
            (Some(_), None) => format!("margin {}", words::margin(all.by)),
            (None, _) => all.by.reason.clone(),
        };
        let line = text(&format!("{} ", one.part.label)) + &answer(all.answer);
        let by = expected(&level.expect) + &text(&format!("{sites}: {by}"));
        let reason = element("small", &[], &by);
        Some(line + &reason)
    });
    let lines: Vec<String> = lines.collect();
    class("div", "engine", &(tag("strong", label) + &list(&lines)))
}

/// An answer as symbol and word, so that it needs no colour.
pub(super) fn answer(answer: Answer) -> String {
    let symbol = match answer {
        Answer::Holds => "✓",
        Answer::Fails => "✗",
        Answer::Undecided => "?",
        Answer::NotApplicable => "–",
    };
    let css = match answer {
        Answer::NotApplicable => "undecided",
        other => other.name(),
    };
    let symbol = element("span", &[("aria-hidden", "true")], symbol);
    class("b", css, &format!("{symbol} {}", answer.name()))
}

/// What each ledger costs over the baseline under each workload, and what it buys.
fn prices(ran: &[Ran<'_>]) -> String {
    let known: Vec<_> = ran
        .iter()
        .filter_map(|one| Some((one, words::prices(&one.part.plan, one.outcome)?)))
        .collect();
    let Some((first, price)) = known.first() else {
        return String::new();
    };
    let plan = &first.part.plan;
    let base = plan.engines[price.baseline].label();
    let mut head = vec!["engine".to_owned()];
    let over = |(one, p): &(&Ran<'_>, words::Price)| {
        format!(
            "{}: final later by (over {})",
            one.part.label,
            duration(p.base_ms)
        )
    };
    head.extend(known.iter().map(over));
    head.extend(["bears lying", "bears absent"].map(str::to_owned));
    let caption = format!("What a ledger costs over {base}, and what it buys");
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let mut table = Table::new(caption, &head);
    for (e, engine) in plan.engines.iter().enumerate() {
        if e == price.baseline {
            continue;
        }
        let mut row = vec![text(engine.label())];
        row.extend(known.iter().map(|(_, p)| {
            let longer = p.others.iter().find(|other| other.0 == e);
            text(&longer.map_or_else(|| "never".to_owned(), |other| duration(other.1)))
        }));
        let sheet = &first.part.sheets[e];
        row.push(words::bears(sheet).to_string());
        row.push(risk::offline(first.part, e).to_string());
        table.rows.push(row);
    }
    let about = format!(
        "{base} is no ledger: it trusts one operator, bears no lying one and {} absent machine.",
        risk::offline(first.part, price.baseline)
    );
    tag("p", &about) + &table.markup()
}

pub(super) fn capital(line: &str) -> String {
    let mut letters = line.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

/// The first lines about plans without a verdict.
fn in_short(study: &Study, ran: &[Ran<'_>]) -> String {
    let lines = |one: &Ran<'_>, of: &dyn Fn(usize) -> String| {
        let engines = one.part.plan.engines.iter().enumerate();
        let items = engines.map(|(e, engine)| text(&format!("{} {}", engine.label(), of(e))));
        tag("h3", &part_name(study, one.part)) + &list(&items.collect::<Vec<String>>())
    };
    let body: String = match study.plan.kind {
        Kind::Compare => String::new(),
        Kind::Curve => {
            let knee = |one: &Ran<'_>, e| words::knee(&knee::knee(one.outcome, e));
            let each = |one| lines(one, &|e| format!("{} transactions/s", knee(one, e)));
            ran.iter().map(each).collect()
        }
        Kind::Scale => {
            let groups = figures::scale_groups(ran);
            let each = groups.iter().map(|g| lines(&g[0], &|e| grown(g, e)));
            each.collect()
        }
        Kind::Scenario | Kind::Sweep | Kind::Sensitivity => String::new(),
        Kind::Capacity => capacities(study, ran),
        Kind::Replay | Kind::Check | Kind::Attack => {
            let each = |one: &Ran<'_>| lines(one, &|e| replayed(one, e));
            ran.iter().map(each).collect()
        }
    };
    let answers: String = ran.iter().map(|one| answers(study, one)).collect();
    tag("h2", "In short") + &answers + &body
}

/// What each engine carries within the service levels.
fn capacities(study: &Study, ran: &[Ran<'_>]) -> String {
    let one = |one: &Ran<'_>| {
        let lines = capacity::lines(one);
        let line = |l: &Vec<String>| {
            text(&format!(
                "{} meets all levels up to {} writes/s",
                l[0], l[1]
            ))
        };
        let items: Vec<String> = lines.iter().skip(1).map(line).collect();
        tag("h3", &part_name(study, one.part)) + &list(&items)
    };
    ran.iter().map(one).collect()
}

/// What each engine answers to the plan's question, if it has one.
fn answers(study: &Study, ran: &Ran<'_>) -> String {
    let answers = question::answers(ran);
    if answers.is_empty() {
        return String::new();
    }
    let plan = &ran.part.plan;
    let asked = match (&study.plan.question, &plan.question) {
        (None, Some(own)) => tag("p", own),
        _ => String::new(),
    };
    let few = answers.iter().any(|a| a.is_unsure);
    let items = answers.iter().map(|a| {
        let engine = plan.engines[a.engine].label();
        tag("strong", engine) + &text(&format!(": {}", a.text))
    });
    let items: Vec<String> = items.collect();
    let note = if few {
        tag("p", question::FEW_MEANS)
    } else {
        String::new()
    };
    tag("h3", &part_name(study, ran.part)) + &asked + &list(&items) + &note
}

/// What an engine carries at the smallest and at the largest size.
fn grown(group: &[Ran<'_>], engine: usize) -> String {
    let offered = &group[0].part.plan.load.offered_tps;
    let most = offered.iter().copied().fold(0.0, f64::max);
    let at = |one: &Ran<'_>| {
        let nodes = one.part.plan.network.nodes;
        let cell = one.outcome.cell(engine, Some(most), Tweak::None)?;
        let samples = summary::samples(cell, |u| Some(summary::goodput_tps(u)));
        let mean = Interval::point(&samples).mean?;
        Some(format!("{} at {nodes} nodes", short(mean)))
    };
    let ends: Vec<String> = [group.first(), group.last()]
        .into_iter()
        .filter_map(|one| at(one?))
        .collect();
    match ends.as_slice() {
        [] => "is never final".to_owned(),
        _ => format!("commits {} of {most} transactions/s", ends.join(", ")),
    }
}

/// How long the median write of a trace takes.
fn replayed(ran: &Ran<'_>, engine: usize) -> String {
    let median = |cell: &Cell| {
        let samples = summary::samples(cell, |u| {
            let h = summary::latency(u, None, Level::Final);
            (!h.is_empty()).then(|| summary::percentile_ms(h, 50.0))
        });
        Interval::point(&samples).mean
    };
    let cell = ran.outcome.cell(engine, None, Tweak::None);
    cell.and_then(median).map_or_else(
        || "is never final".to_owned(),
        |ms| format!("is final after {} in the median", duration(ms)),
    )
}

/// Reversal risk against corrupt organisations, and what still commits with some offline.
fn central_figure(study: &Study, part: &Part) -> String {
    let mut curves = risk::curves(part);
    let offline = curves.pop().expect("it is the last");
    let first = curves.remove(SHOWN_WAIT);
    let about = tag(
        "p",
        "The left end of each chart is an honest federation, the right end one that is corrupt \
         throughout. A committee's commit holds up to its bound and then not at all; a chain's \
         depth wears off gradually and gains by waiting; a leader's log and a single operator \
         trust everybody who may write it.",
    );
    let title = format!("Corrupt and absent organisations{}", settings(study, part));
    let charts = class("div", "figures", &(figure(&first) + &figure(&offline)));
    let more = tag("summary", "The other waits, and all of it as a table")
        + &about
        + &tag("p", WAIT)
        + &figures(&curves)
        + &risk_table(part);
    tag("h2", &title) + &charts + &element("details", &[], &more)
}

/// Which of the waits stands in front: ten minutes, a consultation.
const SHOWN_WAIT: usize = 2;

const WAIT: &str = "All of it is computed from the protocols' rules, not simulated. The wait \
    begins when the transaction is in a block; how long that takes is in the latencies below.";

/// The figure's numbers at the plan's adversary.
fn risk_table(part: &Part) -> String {
    let plan = &part.plan;
    let n = plan.network.nodes;
    let corrupt = adversary(plan);
    let waits = risk::WAITS_S.map(|w| format!("after {}", risk::wait_name(w)));
    let mut head = vec!["engine"];
    head.extend(waits.iter().map(String::as_str));
    head.push("commits with offline");
    let caption = format!("Reversal risk with {corrupt} of {n} organisations corrupt");
    let mut table = Table::new(caption, &head);
    for (e, engine) in plan.engines.iter().enumerate() {
        let mut row = vec![text(engine.label())];
        row.extend(risk::WAITS_S.map(|w| probability(risk::known(part, e, corrupt, w))));
        row.push(format!("up to {}", risk::offline(part, e)));
        table.rows.push(row);
    }
    table.markup()
}

/// Corrupt organisations that the plan's finality is held against.
pub(super) fn adversary(plan: &Plan) -> u32 {
    let most = byzantine_bound(plan.network.nodes);
    plan.adversary.corrupt.unwrap_or(most)
}

fn probability(risk: f64) -> String {
    match risk {
        r if r <= risk::FLOOR => "≤ 10⁻¹²".to_owned(),
        r if r >= 1.0 => "at will".to_owned(),
        r if r >= 1e-3 => percent(r),
        r => {
            let text = format!("{r:.1e}");
            let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
            format!("{digits}·10<sup>{power}</sup>")
        }
    }
}

fn cannot_tell() -> String {
    let items = [
        "It cannot tell how a product performs on your machines: protocols are simulated from \
         their rules and defaults, not run, and links and CPUs are models.",
        "It cannot tell what liars do to the latencies: unless the plan names liars, nobody lies in the \
         runs behind the service levels; what finality is worth against them is computed.",
        "It cannot tell whether you need a ledger: governance, law, cost of staff and key custody \
         are outside. What an engine costs over the baseline is said for the technology alone.",
    ];
    let items = items.map(text);
    let title = tag("h2", "What this cannot tell you");
    class("div", "limits", &(title + &list(&items)))
}
