//! The network as a map: regions where they lie, nodes around them, links with their latency.

use super::{
    AXIS, COLOURS, Canvas, GRID, INK, LABEL_SIZE, Look, MARGIN, NOTE_SIZE, Place, SOFT_INK, SOLID,
    TICK_SIZE, TITLE_SIZE, Type, WHITE, WIDTH, short_number, text_width,
};
use plotters::style::FontStyle;
use plotters::style::text_anchor::HPos;
use quorate_core::math;
use std::fmt::Write as _;

/// A region of a network.
#[derive(Clone, Debug)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// Latitude and longitude, degrees north and east; without those of all, regions stand in a ring.
    pub at: Option<(f64, f64)>,
    /// Nodes in it.
    pub nodes: u32,
}

/// A network of regions.
#[derive(Clone, Debug)]
pub struct Map {
    /// Says what is seen.
    pub title: String,
    /// In the order of the plan.
    pub regions: Vec<Region>,
    /// One-way latency from region to region, ms.
    pub one_way_ms: Vec<Vec<f64>>,
    /// Printed below.
    pub note: String,
}

const HEIGHT: f64 = 380.0;
/// Nodes that are drawn one by one; more are a number only.
const DRAWN: u32 = 24;
const RING: f64 = 17.0;

/// The map as SVG text.
pub fn draw(map: &Map) -> String {
    let mut canvas = Canvas::new(WIDTH, HEIGHT);
    canvas.polygon(
        &[(0.0, 0.0), (WIDTH, 0.0), (WIDTH, HEIGHT), (0.0, HEIGHT)],
        WHITE,
    );
    let bold = Type::new(TITLE_SIZE, INK).weighing(FontStyle::Bold);
    canvas.text(&map.title, (MARGIN, MARGIN + 6.0), bold);
    let places = places(map);
    links(&mut canvas, map, &places);
    for (region, &place) in map.regions.iter().zip(&places) {
        draw_region(&mut canvas, region, place);
    }
    let note = Type::new(NOTE_SIZE, SOFT_INK);
    canvas.text(&map.note, (MARGIN, HEIGHT - MARGIN), note);
    let names: Vec<String> = map.regions.iter().map(count).collect();
    canvas.finish(&map.title, &format!("{}.", names.join(", ")))
}

/// The links as CSV.
pub fn rows(map: &Map) -> String {
    let mut text = "from,to,one_way_ms\n".to_owned();
    for (a, from) in map.regions.iter().enumerate() {
        for (b, to) in map.regions.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{},{},{}", from.name, to.name, map.one_way_ms[a][b]);
        }
    }
    text
}

fn count(region: &Region) -> String {
    format!("{} ({})", region.name, region.nodes)
}

/// Where regions stand: as on a map that shows them all, with what would overlap pushed apart.
fn places(map: &Map) -> Vec<Place> {
    let known: Option<Vec<(f64, f64)>> = map.regions.iter().map(|r| r.at).collect();
    let n = map.regions.len();
    let raw: Vec<Place> = known.map_or_else(
        || (0..n).map(|i| on_ring(i, n, 1.0)).collect(),
        |list| list.iter().map(|&(lat, lon)| (lon, -lat)).collect(),
    );
    let (left, right, top, bottom) = (90.0, WIDTH - 90.0, 75.0, HEIGHT - 85.0);
    let fit = |values: Vec<f64>, low: f64, high: f64| -> Vec<f64> {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let fit = |v: f64| match most - least {
            span if span > 0.0 => low + (v - least) / span * (high - low),
            _ => f64::midpoint(low, high),
        };
        values.into_iter().map(fit).collect()
    };
    let xs = fit(raw.iter().map(|p| p.0).collect(), left, right);
    let ys = fit(raw.iter().map(|p| p.1).collect(), top, bottom);
    let mut places: Vec<Place> = xs.into_iter().zip(ys).collect();
    apart(&mut places, (left, right, top, bottom));
    places
}

/// Moves regions that are too near each other to be told apart, a little at a time.
fn apart(places: &mut [Place], (left, right, top, bottom): (f64, f64, f64, f64)) {
    const NEAR: f64 = 84.0;
    for _ in 0..60 {
        for a in 0..places.len() {
            for b in 0..a {
                let (dx, dy) = (places[a].0 - places[b].0, places[a].1 - places[b].1);
                let far = (dx * dx + dy * dy).sqrt();
                if far >= NEAR {
                    continue;
                }
                let (ux, uy) = if far > 0.0 {
                    (dx / far, dy / far)
                } else {
                    (0.0, 1.0)
                };
                let push = (NEAR - far) / 2.0;
                places[a] = (places[a].0 + ux * push, places[a].1 + uy * push);
                places[b] = (places[b].0 - ux * push, places[b].1 - uy * push);
            }
        }
        for place in &mut *places {
            *place = (place.0.clamp(left, right), place.1.clamp(top, bottom));
        }
    }
}

fn on_ring(i: usize, n: usize, radius: f64) -> Place {
    let turn = std::f64::consts::TAU * i as f64 / n.max(1) as f64;
    (radius * math::sin(turn), -radius * math::cos(turn))
}

/// A line a pair of regions, the thicker the nearer; its latency in the middle where there is room.
fn links(canvas: &mut Canvas, map: &Map, places: &[Place]) {
    let pairs: Vec<(usize, usize)> = (0..places.len())
        .flat_map(|a| (0..a).map(move |b| (a, b)))
        .collect();
    for &(a, b) in &pairs {
        canvas.line(&[places[a], places[b]], AXIS, 1.4, SOLID);
    }
    let mut taken: Vec<Place> = places.to_vec();
    for &(a, b) in &pairs {
        let says = format!("{} ms", short_number(map.one_way_ms[a][b]));
        let half = text_width(&says, TICK_SIZE) / 2.0 + 3.0;
        let along = |t: f64| {
            let ((x, y), (u, v)) = (places[a], places[b]);
            (x + t * (u - x), y + t * (v - y))
        };
        // In the first place along the link where no other text stands.
        let free = |p: &Place| {
            taken
                .iter()
                .all(|q| (p.0 - q.0).abs() > 2.0 * half || (p.1 - q.1).abs() > 18.0)
        };
        let Some(place) = [0.5, 0.4, 0.6, 0.32, 0.68]
            .map(along)
            .into_iter()
            .find(free)
        else {
            continue;
        };
        taken.push(place);
        let (x, y) = place;
        let corners = [
            (x - half, y - 8.0),
            (x + half, y - 8.0),
            (x + half, y + 8.0),
            (x - half, y + 8.0),
        ];
        canvas.polygon(&corners, WHITE);
        canvas.text(
            &says,
            place,
            Type::new(TICK_SIZE, SOFT_INK).aligned(HPos::Center),
        );
    }
}

fn draw_region(canvas: &mut Canvas, region: &Region, (x, y): Place) {
    let dot = Look {
        colour: COLOURS[0],
        dash: SOLID,
        marker: &[],
        width: 1.0,
        radius: 4.0,
    };
    let ground = Look {
        colour: GRID,
        radius: RING + 6.0,
        ..dot
    };
    canvas.open_titled(&format!("{}: {} nodes", region.name, region.nodes));
    canvas.shape((x, y), &ground, ground.radius, GRID);
    let drawn = region.nodes.min(DRAWN) as usize;
    for i in 0..drawn {
        let (dx, dy) = on_ring(i, drawn, if drawn > 1 { RING } else { 0.0 });
        canvas.marker((x + dx, y + dy), &dot, false);
    }
    let label = Type::new(LABEL_SIZE, INK).aligned(HPos::Center);
    canvas.text(&count(region), (x, y + RING + 17.0), label);
    canvas.close();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(names: &[&str]) -> Map {
        let region = |name: &&str| Region {
            name: (*name).to_owned(),
            at: crate::places::coordinates(name),
            nodes: 4,
        };
        Map {
            title: "Network".to_owned(),
            regions: names.iter().map(region).collect(),
            one_way_ms: vec![vec![10.0; names.len()]; names.len()],
            note: String::new(),
        }
    }

    /// West lies left, north above, and nothing on top of another.
    #[test]
    fn regions_lie_as_on_a_map() {
        let of = places(&map(&["us-east-1", "us-west-1", "us-west-2"]));
        assert!(of[1].0 < of[0].0 && of[2].0 < of[0].0, "{of:?}");
        assert!(of[2].1 < of[1].1, "Oregon is north of California: {of:?}");
        let all = places(&map(&crate::places::HOSPITAL_REGIONS));
        for a in 0..all.len() {
            for b in 0..a {
                let (dx, dy) = (all[a].0 - all[b].0, all[a].1 - all[b].1);
                assert!(dx * dx + dy * dy > 40.0 * 40.0, "{a} {b}: {all:?}");
            }
        }
    }

    #[test]
    fn unknown_regions_stand_in_a_ring() {
        let svg = draw(&map(&["here", "there", "elsewhere", "nowhere"]));
        assert_eq!(svg.matches(" ms").count(), 6, "a latency a link");
        assert!(svg.contains("<title>here: 4 nodes</title>") && !svg.contains("NaN"));
    }

    #[test]
    fn every_link_has_a_row() {
        assert_eq!(rows(&map(&["japan", "europe"])).lines().count(), 5);
    }
}
