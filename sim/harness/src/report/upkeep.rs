//! What each engine takes for a year, and which figures that rests on.

use super::html::{Table, element, list, measured, tag, text};
use super::part_name;
use crate::output::Ran;
use crate::regulator::volume;
use crate::study::Study;
use crate::upkeep::{self, Ranged};
use crate::words::{self, percent, short};

/// Energy, storage and traffic of every part, and the parameters.
pub(super) fn section(study: &Study, ran: &[Ran<'_>]) -> String {
    if !upkeep::is_told(study) {
        return String::new();
    }
    let about = "Derived, not measured: simulated rates are carried on for a year at the load shown, and \
                 multiplied by published figures. Brackets are all parameters at their low and at their \
                 high end, which no one machine has together: take ratios between engines from it, and \
                 orders of magnitude. Staff, purchase and licences are left out.";
    let parts: String = ran.iter().map(|one| table(study, one)).collect();
    let body = tag("h2", "What a year takes") + &tag("p", about) + &parts + &rests_on(ran);
    element("section", &[("id", "cost")], &body)
}

fn table(study: &Study, ran: &Ran<'_>) -> String {
    let plan = &ran.part.plan;
    let mut head = vec![
        "engine",
        "busy cores",
        "power",
        "energy a year",
        "a valid write",
        "kept by a node",
        "sent by all",
    ];
    let priced = plan.cost.is_priced();
    let currency = plan.cost.currency.as_deref().unwrap_or("unit of price");
    if priced {
        head.push(currency);
    }
    let size = match study.plan.scale {
        Some(_) => format!(", {} nodes", plan.network.nodes),
        None => String::new(),
    };
    let caption = format!(
        "{}{size}: what a year takes{} (derived)",
        part_name(study, ran.part),
        words::at(plan)
    );
    let mut table = Table::new(caption, &head);
    for (e, engine) in plan.engines.iter().enumerate() {
        let mut row = vec![text(engine.label())];
        match upkeep::year(ran, e) {
            None => row.extend((1..head.len()).map(|_| text("-"))),
            Some(year) => {
                row.push(percent(year.cpu));
                row.push(ranged(year.power_w, |w| si(w, "W")));
                row.push(ranged(year.energy_kwh, |kwh| si(1e3 * kwh, "Wh")));
                row.push(
                    year.write_wh
                        .map_or_else(|| text("-"), |wh| ranged(wh, |w| si(w, "Wh"))),
                );
                row.push(ranged(year.kept_bytes, volume));
                row.push(text(&volume(year.sent_bytes)));
                row.extend(year.price.map(|price| ranged(price, short)));
            }
        }
        table.rows.push(row);
    }
    let marks = [
        ("data-profile", ran.part.profile.name()),
        ("data-workload", ran.part.label.as_str()),
    ];
    element("div", &marks, &table.markup())
}

fn ranged(value: Ranged, format: impl Fn(f64) -> String) -> String {
    let (low, high) = (format(value.low), format(value.high));
    measured(&format!("{} ({low} to {high})", format(value.value)))
}

/// A quantity with the prefix that reads best.
fn si(value: f64, unit: &str) -> String {
    let (scale, prefix) = match value.abs() {
        v if v >= 1e9 => (1e9, "G"),
        v if v >= 1e6 => (1e6, "M"),
        v if v >= 1e3 => (1e3, "k"),
        v if v >= 1.0 || v <= 0.0 => (1.0, ""),
        v if v >= 1e-3 => (1e-3, "m"),
        _ => (1e-6, "µ"),
    };
    format!("{} {prefix}{unit}", short(value / scale))
}

/// Every parameter that is reckoned with, once.
fn rests_on(ran: &[Ran<'_>]) -> String {
    let head = ["[cost]", "what", "value", "range", "source"];
    let mut table = Table::new(
        "Parameters; each can be set in the plan's table [cost]",
        &head,
    );
    for one in ran {
        for engine in 0..one.part.plan.engines.len() {
            for p in upkeep::parameters(one.part, engine) {
                let range = format!("{} to {}", p.ranged.low, p.ranged.high);
                let value = p.ranged.value.to_string();
                let mut row = vec![tag("code", p.key)];
                row.extend([p.about, &value, &range, p.source].map(text));
                if !table.rows.contains(&row) {
                    table.rows.push(row);
                }
            }
        }
    }
    let notes = [
        "Power: nodes × (idle + (peak − idle) × busy cores), plus, where members mine, hash rate × joules per \
         hash; all of it × PUE. An anchor's public chain is mined whether or not a root is in it, and is not \
         counted.",
        "Energy: power over a year, disks at half of what they hold in the end, and traffic.",
        "Kept: transactions and blocks; votes, indices and state come on top, and every node keeps all.",
        "Sent: messages and gossip over the whole run, its drain included.",
    ];
    let summary = tag("summary", "What it rests on, and how it is reckoned");
    let body = summary + &list(&notes.map(text)) + &table.markup();
    element("details", &[], &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_read_well() {
        assert_eq!(si(65_000.0, "W"), "65.0 kW");
        assert_eq!(si(0.0, "Wh"), "0.000 Wh");
        assert_eq!(si(0.002, "Wh"), "2.00 mWh");
        assert_eq!(si(5.7e9, "Wh"), "5.70 GWh");
    }
}
