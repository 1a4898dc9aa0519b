//! `report.html`: the results as one page that needs nothing else. The answer stands on top, then
//! what it rests on, then how it was made and what it leaves out.
//!
//! The page is a function of plan and model version, like all other files of a result: it holds no
//! time and no host. It reads without its script, which only shows one profile and workload at a
//! time.

mod answer;
mod chart;
mod detail;
pub(crate) mod html;
mod levels;
mod method;
mod network;
mod regulator;
mod upkeep;

use crate::output::Ran;
use crate::plan::Kind;
use crate::study::{Part, Study};
use html::{element, tag, text};

pub(crate) const STYLE: &str = include_str!("report/style.css");
const SCRIPT: &str = include_str!("report/script.js");

/// The page about a study; `config` is its resolved plan.
pub(crate) fn page(study: &Study, ran: &[Ran<'_>], config: &str) -> String {
    let main = [
        answer::section(study, ran),
        levels::section(study, ran),
        detail::section(study, ran),
        network::section(study),
        upkeep::section(study, ran),
        regulator::section(study, ran),
        method::section(study, ran, config),
    ];
    let title = format!("{}: quorate", study.plan.name);
    let head = [
        "<meta charset=\"utf-8\">".to_owned(),
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">".to_owned(),
        "<meta name=\"color-scheme\" content=\"light dark\">".to_owned(),
        tag("title", &title),
        element("style", &[], STYLE),
    ];
    let skip = element(
        "a",
        &[("class", "skip"), ("href", "#main")],
        "To the answer",
    );
    let engines = looks(ran);
    let marks = [("id", "main"), ("data-looks", engines.as_str())];
    let body = skip
        + &contents(study)
        + &element("main", &marks, &main.concat())
        + &element("script", &[], SCRIPT);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n{}\n</head>\n{}\n</html>\n",
        head.join("\n"),
        element("body", &[], &body)
    )
}

/// Where what stands.
fn contents(study: &Study) -> String {
    let first = match study.plan.kind {
        Kind::Compare => "Answer",
        _ => "In short",
    };
    let levels = study.parts.iter().any(|p| !p.plan.levels.is_empty());
    let judged = levels && matches!(study.plan.kind, Kind::Compare | Kind::Scenario);
    let links = [
        ("#answer", first),
        (if judged { "#levels" } else { "" }, "Service levels"),
        ("#detail", "Curves and figures"),
        ("#network", "Network"),
        (
            if crate::upkeep::is_told(study) {
                "#cost"
            } else {
                ""
            },
            "Cost",
        ),
        ("#regulator", "For the regulator"),
        ("#engines", "Engines"),
        ("#method", "Method"),
        ("#limits", "Scope and limits"),
    ];
    let links = links.into_iter().filter(|link| !link.0.is_empty());
    let links = links.map(|(to, name)| element("a", &[("href", to)], &text(name)));
    element(
        "nav",
        &[("aria-label", "Contents")],
        &links.collect::<String>(),
    )
}

/// A part's name, as far as a study needs one.
fn part_name(study: &Study, part: &Part) -> String {
    let profile = if study.has_profiles() {
        format!(", {} settings", part.profile.name())
    } else {
        String::new()
    };
    let factors = match crate::sweep::label(part) {
        none if none.is_empty() => none,
        some => format!(", {some}"),
    };
    format!("{}{profile}{factors}", part.label)
}

/// Each engine's look in the figures and its label, as JSON for the script that hides one.
fn looks(ran: &[Ran<'_>]) -> String {
    let mut looks: Vec<(usize, &str)> = Vec::new();
    for one in ran {
        let plan = &one.part.plan;
        for (e, engine) in plan.engines.iter().enumerate() {
            let look = (crate::figures::look(plan, e), engine.label());
            if !looks.contains(&look) {
                looks.push(look);
            }
        }
    }
    serde_json::to_string(&looks).expect("numbers and text")
}
