//! `report.html`: the results as one page that needs nothing else. The answer stands on top, then
//! what it rests on, then how it was made and what it leaves out.
//!
//! The page is a function of plan and model version, like all other files of a result: it holds no
//! time and no host. It reads without its script, which only shows one profile and workload at a
//! time.

mod answer;
mod detail;
pub(crate) mod html;
mod method;
mod regulator;

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
        detail::section(study, ran),
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
    let body = skip
        + &contents(study)
        + &element("main", &[("id", "main")], &main.concat())
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
    let links = [
        ("#answer", first),
        ("#detail", "What it rests on"),
        ("#regulator", "For the regulator"),
        ("#engines", "Engines"),
        ("#method", "Method"),
        ("#limits", "Scope and limits"),
    ];
    let links = links.map(|(to, name)| element("a", &[("href", to)], &text(name)));
    element("nav", &[("aria-label", "Contents")], &links.concat())
}

/// A part's name, as far as a study needs one.
fn part_name(study: &Study, part: &Part) -> String {
    let mut name = part.label.clone();
    if study.has_profiles() {
        name += &format!(", {} settings", part.profile.name());
    }
    if !part.factors.is_empty() {
        name += &format!(", {}", crate::sweep::label(part));
    }
    name
}

/// A figure: SVG text as it stands in the files of plots, in a scalable frame.
fn figure(curve: &crate::plots::Curve) -> String {
    let svg = crate::plots::draw(curve);
    element("figure", &[], &svg)
}
