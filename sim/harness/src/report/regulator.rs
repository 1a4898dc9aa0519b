//! The section for a regulator: what bears on which obligation, and what is not assessed.

use super::html::{Table, class, element, list, tag, text};
use super::part_name;
use crate::output::Ran;
use crate::plan::EnginePlan;
use crate::regulator::{self, FIXED, OBLIGATIONS};
use crate::study::Study;
use crate::words::short;
use crate::{question, words};

/// Obligations and holdings of the first part of each workload.
pub(super) fn section(study: &Study, ran: &[Ran<'_>]) -> String {
    let mut seen: Vec<&str> = Vec::new();
    let mut body = tag("h2", "For the regulator");
    body += &class("div", "limits", &list(&FIXED.map(|s| tag("strong", s))));
    let warnings = regulator::warnings(study);
    if !warnings.is_empty() {
        let lines: Vec<String> = warnings.iter().map(|w| text(w)).collect();
        body += &list(&lines);
    }
    for one in ran {
        if !seen.contains(&one.part.label.as_str()) {
            seen.push(&one.part.label);
            body += &tag("h3", &part_name(study, one.part));
            body += &obligations(one);
            body += &holdings(one);
        }
    }
    element("section", &[("id", "regulator")], &body)
}

fn obligations(ran: &Ran<'_>) -> String {
    let plan = &ran.part.plan;
    let mut head = vec!["obligation", "what bears on it"];
    head.extend(plan.engines.iter().map(EnginePlan::label));
    head.push("not assessed");
    let caption = format!(
        "Obligations, and what this run says about them{}",
        words::at(plan)
    );
    let mut table = Table::new(caption, &head);
    for obligation in OBLIGATIONS {
        let law = tag("strong", obligation.law) + &text(&format!(": {}", obligation.asks));
        let told: Vec<_> = obligation
            .evidence
            .iter()
            .filter_map(|evidence| question::figures(ran, evidence))
            .collect();
        if told.is_empty() {
            let why = if obligation.evidence.is_empty() {
                "the ledger as such"
            } else {
                "nothing in this workload"
            };
            let mut row = vec![law, text(why)];
            row.extend(plan.engines.iter().map(|_| text("-")));
            row.push(text(obligation.left_out));
            table.rows.push(row);
            continue;
        }
        for (i, (about, values)) in told.into_iter().enumerate() {
            let first = i == 0;
            let mut row = vec![if first { law.clone() } else { String::new() }];
            row.push(text(&about));
            row.extend(values.iter().map(|v| text(v)));
            row.push(if first {
                text(obligation.left_out)
            } else {
                String::new()
            });
            table.rows.push(row);
        }
    }
    table.markup()
}

/// What lies where, for good.
fn holdings(ran: &Ran<'_>) -> String {
    let part = ran.part;
    let held = regulator::holdings(part);
    let forms: Vec<&str> = held
        .first()
        .map(|h| h.bytes_per_year.iter().map(|b| b.0).collect())
        .unwrap_or_default();
    let bytes: Vec<String> = forms
        .iter()
        .map(|f| format!("a year, payload {f}"))
        .collect();
    let mut head = vec!["class", "about", "writes a year"];
    head.extend(bytes.iter().map(String::as_str));
    head.push("most under one key");
    let mut table = Table::new("What each class leaves on every copy, computed", &head);
    let mut sums = vec![0.0; forms.len()];
    for one in &held {
        let mut row = vec![text(one.class), text(one.whose), short(one.writes_per_year)];
        for (sum, (_, bytes)) in sums.iter_mut().zip(&one.bytes_per_year) {
            row.push(text(&regulator::volume(*bytes)));
            if one.person {
                *sum += bytes;
            }
        }
        row.push(format!("{} of {}", one.linked.0, one.linked.1));
        table.rows.push(row);
    }
    let mut row = vec![tag("strong", "about people"), String::new(), String::new()];
    row.extend(sums.iter().map(|s| tag("strong", &regulator::volume(*s))));
    row.push(String::new());
    table.rows.push(row);
    let places: Vec<String> = regulator::jurisdictions(&part.plan)
        .into_iter()
        .map(|(place, nodes)| format!("{nodes} in {place}"))
        .collect();
    let items = [
        format!(
            "Copies: every node keeps the whole ledger, {} of them: {}. Every class lies in every one of these \
             places. An engine that only keeps roots (ksi), and the public chain of an anchor, hold no record.",
            part.plan.network.nodes,
            places.join(", ")
        ),
        "Linkable: class, site, time and key of a transaction are in clear whatever the payload; all that share a \
         key are about the same record or person. The last column is the most that shared one among the writes \
         looked at."
            .to_owned(),
        "Bytes are those of transactions at the load shown; votes, headers, indices and state come on top."
            .to_owned(),
    ];
    table.markup() + &list(&items.map(|item| text(&item)))
}
