//! The network on a map.

use super::chart;
use super::html::{element, tag};
use crate::places;
use crate::plan::Plan;
use crate::plots::map::{Map, Region};
use crate::study::Study;

/// Regions, nodes and links of the plan as written.
pub(super) fn section(study: &Study) -> String {
    let body = tag("h2", "Network") + &chart::network(&map(&study.plan));
    element("section", &[("id", "network")], &body)
}

fn map(plan: &Plan) -> Map {
    let net = &plan.network;
    let mut nodes = vec![0_u32; net.regions.len()];
    for region in net.region_of() {
        nodes[usize::from(region)] += 1;
    }
    let known = net.one_way_ms.is_none();
    let region = |(name, nodes): (&String, u32)| Region {
        name: name.clone(),
        at: places::coordinates(name).filter(|_| known),
        nodes,
    };
    let ms = |row: &Vec<quorate_core::Span>| row.iter().map(|s| s.as_ms()).collect();
    let regions: Vec<Region> = net.regions.iter().zip(nodes).map(region).collect();
    let drawn = regions.iter().all(|r| r.at.is_some());
    let note = if drawn {
        "Latencies are one way between regions, without jitter. Regions that lie close together are drawn apart."
    } else {
        "Latencies are one way between regions, without jitter. Where the regions lie is not known: the ring is no map."
    };
    Map {
        title: format!("{} nodes in {} regions", net.nodes, regions.len()),
        one_way_ms: net.one_way().iter().map(ms).collect(),
        regions,
        note: note.to_owned(),
    }
}
