//! Every engine against every service level, and what that recommends.

use super::answer::{answer, capital};
use super::html::{Table, element, expected, list, measured, tag, text};
use super::part_name;
use crate::analysis;
use crate::output::Ran;
use crate::plan::Kind;
use crate::study::{Part, Study};
use crate::verdict;
use crate::words;

/// The table and the recommendation of each part that is judged.
pub(super) fn section(study: &Study, ran: &[Ran<'_>]) -> String {
    let judged = ran.iter().filter(|one| !one.rows.is_empty());
    let parts: String = judged.map(|one| part(study, one)).collect();
    if parts.is_empty() {
        return parts;
    }
    let title = match study.plan.kind {
        Kind::Compare => "Service levels and recommendation",
        _ => "Service levels",
    };
    element("section", &[("id", "levels")], &(tag("h2", title) + &parts))
}

fn part(study: &Study, ran: &Ran<'_>) -> String {
    let mut body = tag("h3", &part_name(study, ran.part));
    body += &answers(ran);
    if study.plan.kind == Kind::Compare {
        body += &recommendation(ran);
    }
    body += &sources(ran.part);
    let marks = [
        ("class", "part"),
        ("data-profile", ran.part.profile.name()),
        ("data-workload", ran.part.label.as_str()),
    ];
    element("section", &marks, &body)
}

/// Every engine against every level.
fn answers(ran: &Ran<'_>) -> String {
    let plan = &ran.part.plan;
    let head = [
        "engine",
        "service level",
        "standing",
        "sites",
        "answer",
        "value (interval)",
        "margin",
        "hangs on",
        "why",
    ];
    let mut table = Table::new(format!("Answers{}", words::at(plan)), &head);
    for row in ran.rows {
        let level = &plan.levels[row.level];
        table.rows.push(vec![
            text(plan.engines[row.engine].label()),
            expected(&level.expect),
            text(&level.standing.to_string()),
            text(if row.site_down { "one down" } else { "all up" }),
            answer(row.answer),
            measured(&words::value(row, words::is_share(level))),
            text(&words::margin(row)),
            text(row.limit.unwrap_or("-")),
            text(&capital(&words::why(row, level))),
        ]);
    }
    table.markup()
}

/// What the levels rest on.
pub(super) fn sources(part: &Part) -> String {
    let head = ["service level", "standing", "source"];
    let mut table = Table::new("Service levels and what they rest on", &head);
    for level in &part.plan.levels {
        table.rows.push(vec![
            expected(&level.expect),
            text(&level.standing.to_string()),
            text(&level.source),
        ]);
    }
    table.markup()
}

/// A sentence, and under which conditions it holds for each engine.
fn recommendation(ran: &Ran<'_>) -> String {
    let plan = &ran.part.plan;
    let sentence = words::recommendation(plan, ran.outcome, ran.rows);
    let good = words::recommended(plan, ran.outcome, ran.rows).unwrap_or_default();
    let each = good.iter().map(|&engine| {
        let label = plan.engines[engine].label();
        let conditions: Vec<String> = conditions(ran, engine).iter().map(|c| text(c)).collect();
        tag("strong", label) + &list(&conditions)
    });
    let each: Vec<String> = each.collect();
    tag("h4", "Recommendation") + &tag("p", &sentence) + &list(&each)
}

/// How far an engine's answers reach.
fn conditions(ran: &Ran<'_>, engine: usize) -> Vec<String> {
    let plan = &ran.part.plan;
    let sheet = &ran.part.sheets[engine];
    let place = analysis::placement(plan, sheet);
    let mut list: Vec<String> = words::reach(plan, ran.outcome, engine)
        .into_iter()
        .collect();
    let members = place.members;
    list.push(format!(
        "fails if {} of {members} members are down{}",
        place.halting_sites,
        words::regions(&place)
    ));
    list.push(match words::bears(sheet) {
        0 => "fails if one organisation lies".to_owned(),
        most => format!("bears {most} lying organisations, and not one more"),
    });
    list.push(format!("is final only if {}", sheet.facts.final_holds_if));
    if let Some(all) = verdict::overall(ran.rows, engine) {
        let level = &plan.levels[all.by.level].expect;
        let sites = if all.by.site_down {
            ", one site down"
        } else {
            ""
        };
        if all.by.margin.is_some() {
            let margin = words::margin(all.by);
            list.push(format!(
                "its tightest level is {level}{sites}, with a margin of {margin}"
            ));
        }
    }
    list.iter().map(|line| capital(line)).collect()
}
