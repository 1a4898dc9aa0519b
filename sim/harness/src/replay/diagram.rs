//! The space-time diagram of a trace: nodes are lines, time runs to the right, messages cross.
//!
//! Spans in which nothing happens are cut short, with a break in the lines: a block takes milliseconds where the
//! next one comes in seconds or minutes. All places are whole numbers of tenths of a pixel, computed from nanoseconds: the same trace is the same
//! picture everywhere.

use super::events::level_name;
use crate::plots::escape;
use quorate_core::{FaultKind, Level, NodeId, Time};
use quorate_kernel::{Event, Record, What};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Sizes in tenths of a pixel.
const LEFT: u64 = 900;
const WIDTH: u64 = 10_000;
const RIGHT: u64 = 300;
const TOP: u64 = 700;
const ROW: u64 = 420;
const LEGEND_ROW: u64 = 180;
/// What a span without events is cut to.
const BREAK: u64 = 180;
/// Labels of ticks closer than this would touch.
const LABEL: u64 = 520;

/// More lines than this cannot be told apart.
// assumption: 40 lines of nodes fill two screens, 4,000 arrows already look grey.
const MOST_NODES: usize = 40;
const MOST_ARROWS: usize = 4_000;

/// Okabe and Ito's colours, as in the figures of results.
const COLOURS: [&str; 7] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000",
];
/// Kinds of message beyond the colours differ by these.
const DASHES: [&str; 3] = ["", "6 3", "2 3"];

/// What is drawn where.
struct Plane<'a> {
    record: &'a Record,
    rows: Vec<NodeId>,
    from: u64,
    until: u64,
    /// Spans in which something happens, in order, with the place of their left end.
    busy: Vec<Busy>,
    /// Kinds of message in the order in which they first appear.
    kinds: Vec<&'static str>,
}

/// A span that is drawn to scale.
struct Busy {
    from: u64,
    until: u64,
    left: u64,
    width: u64,
}

impl Plane<'_> {
    /// Instants between two busy spans are in the middle of the break.
    fn x(&self, at: u64) -> u64 {
        let at = at.clamp(self.from, self.until);
        let after = self.busy.partition_point(|b| b.until < at);
        let Some(busy) = self.busy.get(after) else {
            return LEFT + WIDTH;
        };
        if at < busy.from {
            return busy.left.saturating_sub(BREAK / 2).max(LEFT);
        }
        let span = u128::from((busy.until - busy.from).max(1));
        busy.left + (u128::from(at - busy.from) * u128::from(busy.width) / span) as u64
    }

    fn y(&self, node: NodeId) -> Option<u64> {
        let row = self.rows.iter().position(|&n| n == node)?;
        Some(TOP + row as u64 * ROW)
    }

    fn foot(&self) -> u64 {
        TOP + self.rows.len() as u64 * ROW
    }

    /// Colour and dash of a kind of message.
    fn look(&self, kind: &str) -> (usize, usize) {
        let place = self.kinds.iter().position(|k| *k == kind).unwrap_or(0);
        (place % COLOURS.len(), place / COLOURS.len() % DASHES.len())
    }
}

/// Tenths of a pixel as SVG reads them.
fn px(tenths: u64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// The picture of a unit on so many machines.
pub(super) fn draw(unit: &str, machines: u32, record: &Record) -> String {
    let plane = plane(machines, record);
    let legend = plane.kinds.len() as u64 / 4 * LEGEND_ROW + 3 * LEGEND_ROW;
    let (width, height) = (LEFT + WIDTH + RIGHT, plane.foot() + 550 + legend);
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" role=\"img\" \
         font-family=\"sans-serif\" font-size=\"11\" fill=\"#222\">",
        px(width),
        px(height)
    );
    let _ = writeln!(svg, "<title>{}</title>", escape(unit));
    let _ = writeln!(
        svg,
        "<desc>Space-time diagram: a line for each node, time to the right, a slanted line for each message from its \
         sending to its arrival.</desc>"
    );
    let _ = writeln!(svg, "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>");
    text(
        &mut svg,
        (LEFT, 250),
        "font-size=\"14\" font-weight=\"bold\"",
        unit,
    );
    faults(&mut svg, &plane);
    axes(&mut svg, &plane);
    let hidden = arrows(&mut svg, &plane);
    marks(&mut svg, &plane);
    notes(&mut svg, &plane, (machines, hidden));
    svg.push_str("</svg>\n");
    svg
}

fn plane(machines: u32, record: &Record) -> Plane<'_> {
    let wanted = &record.window.nodes;
    let mut rows: Vec<NodeId> = (0..machines).map(NodeId::new).collect();
    if !wanted.is_empty() {
        // Those that they talk to as well: an arrow has two ends.
        let mut talking: BTreeSet<NodeId> = wanted.iter().copied().collect();
        for event in &record.events {
            talking.insert(event.node);
            if let What::Sent { to, .. } = event.what {
                talking.insert(to);
            }
        }
        rows.retain(|node| talking.contains(node));
    }
    rows.truncate(MOST_NODES);
    let mut kinds: Vec<&'static str> = Vec::new();
    for event in &record.events {
        if let What::Sent { message, .. } = event.what
            && !kinds.contains(&message)
        {
            kinds.push(message);
        }
    }
    let from = record.window.from.ns();
    let last = |event: &Event| match event.what {
        What::Sent {
            arrives: Some(at), ..
        } => at.ns(),
        _ => event.at.ns(),
    };
    let until = match record.window.until {
        Time::NEVER => record.events.iter().map(last).max().unwrap_or(from),
        until => until.ns(),
    };
    let until = until.max(from + 1);
    let spans: Vec<(u64, u64)> = record
        .events
        .iter()
        .filter(|e| is_shown(e))
        .map(|e| (e.at.ns(), last(e)))
        .collect();
    Plane {
        record,
        rows,
        from,
        until,
        busy: busy(spans, (from, until)),
        kinds,
    }
}

/// Whether an event leaves anything in the picture.
fn is_shown(event: &Event) -> bool {
    !matches!(
        event.what,
        What::Handled { .. } | What::Evidence { .. } | What::Elected { .. }
    )
}

/// Joins spans that are near each other, and gives each a share of the width.
fn busy(mut spans: Vec<(u64, u64)>, (from, until): (u64, u64)) -> Vec<Busy> {
    /// More than this would be breaks and nothing else.
    // assumption: each is then as wide as three of them.
    const MOST: usize = 12;
    spans.sort_unstable();
    let joined = |gap: u64| {
        let mut joined: Vec<(u64, u64)> = Vec::new();
        for &(a, b) in &spans {
            match joined.last_mut() {
                Some(last) if a <= last.1.saturating_add(gap) => last.1 = last.1.max(b),
                _ => joined.push((a, b)),
            }
        }
        joined
    };
    let took = |list: &[(u64, u64)]| list.iter().map(|(a, b)| b - a).sum::<u64>();
    // A gap worth cutting is longer than a tenth of what happens; what is joined happens, too.
    let mut list = joined(0);
    loop {
        let gap = took(&list) / 10;
        let next = joined(gap);
        if next.len() == list.len() {
            break;
        }
        list = next;
    }
    if list.is_empty() || list.len() > MOST {
        list = vec![(from, until)];
    }
    // Some room around each, but not into the next.
    let room = (took(&list) / list.len() as u64 / 10).max(1);
    for i in 0..list.len() {
        let before = if i == 0 { from } else { list[i - 1].1 };
        let after = list.get(i + 1).map_or(until, |next| next.0);
        let (a, b) = list[i];
        list[i] = (
            a.saturating_sub(room).max(before),
            b.saturating_add(room).min(after).max(a + 1),
        );
    }
    let whole = u128::from(took(&list).max(1));
    let width = u128::from(WIDTH - (list.len() as u64 - 1) * BREAK);
    let mut left = LEFT;
    let busy = list.into_iter().map(|(from, until)| {
        let width = (u128::from(until - from) * width / whole) as u64;
        let busy = Busy {
            from,
            until,
            left,
            width,
        };
        left += width + BREAK;
        busy
    });
    busy.collect()
}

fn text(svg: &mut String, (x, y): (u64, u64), style: &str, words: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" {style}>{}</text>",
        px(x),
        px(y),
        escape(words)
    );
}

/// Whom a fault strikes, and what it is called.
fn struck(what: &FaultKind) -> (&[u32], &'static str) {
    match what {
        FaultKind::Crash(nodes) => (nodes, "down"),
        FaultKind::Partition(nodes) => (nodes, "partition"),
        FaultKind::OneWay { from, .. } => (from, "not heard"),
        FaultKind::WanCut(nodes) => (nodes, "cut off"),
        FaultKind::Clog { nodes, .. } => (nodes, "clogged"),
        FaultKind::Loss { nodes, .. } => (nodes, "loss"),
        FaultKind::Slow { nodes, .. } => (nodes, "slow"),
        FaultKind::Clock { nodes, .. } => (nodes, "clock off"),
    }
}

fn faults(svg: &mut String, plane: &Plane<'_>) {
    for fault in &plane.record.faults {
        let (from, until) = (fault.from.ns(), fault.until.ns());
        if from >= plane.until || until <= plane.from {
            continue;
        }
        let (nodes, name) = struck(&fault.what);
        let fill = if name == "down" { "#c8c8c8" } else { "#e8e8e8" };
        let (left, right) = (plane.x(from), plane.x(until));
        for y in nodes.iter().filter_map(|&n| plane.y(NodeId::new(n))) {
            let _ = writeln!(
                svg,
                "<rect class=\"fault\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{fill}\"/>",
                px(left),
                px(y - ROW / 2),
                px(right - left),
                px(ROW)
            );
            text(
                svg,
                (left + 30, y - 90),
                "font-size=\"9\" fill=\"#5a5a5a\"",
                name,
            );
        }
    }
}

/// The nodes' lines, and ticks of time.
fn axes(svg: &mut String, plane: &Plane<'_>) {
    for (&node, y) in plane.rows.iter().zip((TOP..).step_by(ROW as usize)) {
        for busy in &plane.busy {
            let _ = writeln!(
                svg,
                "<line x1=\"{}\" y1=\"{2}\" x2=\"{}\" y2=\"{2}\" stroke=\"#787878\"/>",
                px(busy.left),
                px(busy.left + busy.width),
                px(y)
            );
        }
        let name = format!("node {}", node.get());
        text(svg, (LEFT - 60, y + 40), "text-anchor=\"end\"", &name);
    }
    for pair in plane.busy.windows(2) {
        let x = pair[1].left - BREAK / 2;
        for y in (TOP..plane.foot()).step_by(ROW as usize) {
            text(
                svg,
                (x, y + 40),
                "text-anchor=\"middle\" fill=\"#787878\"",
                "//",
            );
        }
    }
    let foot = plane.foot();
    let took = plane.busy.iter().map(|b| b.until - b.from).sum();
    let (step, (unit_ns, unit)) = (step(took), unit(plane.until - plane.from));
    let mut free = LEFT;
    for busy in &plane.busy {
        // Counted from the start of the window.
        let first = (busy.from - plane.from).div_ceil(step) * step;
        for at in (first..=busy.until - plane.from).step_by(step as usize) {
            let x = plane.x(plane.from + at);
            let _ = writeln!(
                svg,
                "<line x1=\"{0}\" y1=\"{1}\" x2=\"{0}\" y2=\"{2}\" stroke=\"#e0e0e0\"/>",
                px(x),
                px(TOP - ROW / 2),
                px(foot)
            );
            if x >= free {
                text(
                    svg,
                    (x, foot + 150),
                    "text-anchor=\"middle\"",
                    &decimal(at, unit_ns),
                );
                free = x + LABEL;
            }
        }
    }
    let start = decimal(plane.from, 1_000_000_000);
    let label = format!("{unit} since {start} s of simulated time");
    text(svg, (LEFT, foot + 320), "", &label);
}

/// A round step that gives five to twelve ticks.
fn step(span: u64) -> u64 {
    let mut power = 1_u64;
    loop {
        for digit in [1, 2, 5] {
            if span / (power * digit) <= 10 {
                return power * digit;
            }
        }
        power *= 10;
    }
}

const fn unit(span: u64) -> (u64, &'static str) {
    match span {
        0..20_000 => (1, "ns"),
        20_000..20_000_000 => (1_000, "µs"),
        20_000_000..20_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    }
}

/// A whole number of nanoseconds in another unit, without superfluous zeros.
fn decimal(ns: u64, unit_ns: u64) -> String {
    let (whole, rest) = (ns / unit_ns, ns % unit_ns);
    if rest == 0 {
        return whole.to_string();
    }
    let digits = unit_ns.ilog10() as usize;
    let rest = format!("{rest:0digits$}");
    format!("{whole}.{}", rest.trim_end_matches('0'))
}

/// Draws messages; how many there was no room for.
fn arrows(svg: &mut String, plane: &Plane<'_>) -> usize {
    let mut drawn = 0;
    let mut hidden = 0;
    for event in &plane.record.events {
        let What::Sent {
            message,
            to,
            arrives,
            ..
        } = &event.what
        else {
            continue;
        };
        let (Some(y1), Some(y2)) = (plane.y(event.node), plane.y(*to)) else {
            continue;
        };
        if drawn == MOST_ARROWS {
            hidden += 1;
            continue;
        }
        drawn += 1;
        let x1 = plane.x(event.at.ns());
        let Some(at) = arrives.map(Time::ns) else {
            lost(svg, (x1, y1, y2));
            continue;
        };
        // What arrives beyond the edge is cut where it crosses it.
        let (flight, shown) = (at - event.at.ns(), at.min(plane.until) - event.at.ns());
        let down = |y: u64| (u128::from(y) * u128::from(shown) / u128::from(flight.max(1))) as u64;
        let y2 = if at <= plane.until {
            y2
        } else if y2 > y1 {
            y1 + down(y2 - y1)
        } else {
            y1 - down(y1 - y2)
        };
        let (colour, dash) = plane.look(message);
        let dash = match DASHES[dash] {
            "" => String::new(),
            dash => format!(" stroke-dasharray=\"{dash}\""),
        };
        let _ = writeln!(
            svg,
            "<line class=\"sent\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"{}\" stroke-width=\"0.8\" opacity=\"0.7\"{dash}/>",
            px(x1),
            px(y1),
            px(plane.x(at)),
            px(y2),
            COLOURS[colour]
        );
        if at <= plane.until {
            let _ = writeln!(
                svg,
                "<circle cx=\"{}\" cy=\"{}\" r=\"1.6\" fill=\"{}\"/>",
                px(plane.x(at)),
                px(y2),
                COLOURS[colour]
            );
        }
    }
    hidden
}

/// A message that never arrives: a stub with a cross.
fn lost(svg: &mut String, (x, y1, y2): (u64, u64, u64)) {
    let end = if y2 > y1 { y1 + ROW / 3 } else { y1 - ROW / 3 };
    let _ = writeln!(
        svg,
        "<line class=\"lost\" x1=\"{0}\" y1=\"{1}\" x2=\"{0}\" y2=\"{2}\" stroke=\"#000\" stroke-dasharray=\"2 2\"/>\
         <text x=\"{0}\" y=\"{2}\" text-anchor=\"middle\" font-size=\"9\">×</text>",
        px(x),
        px(y1),
        px(end)
    );
}

/// What happened at the nodes.
fn marks(svg: &mut String, plane: &Plane<'_>) {
    for event in &plane.record.events {
        let Some(y) = plane.y(event.node) else {
            continue;
        };
        let x = plane.x(event.at.ns());
        match &event.what {
            What::Built {
                block, height, txs, ..
            } => {
                let _ = writeln!(
                    svg,
                    "<rect class=\"built\" x=\"{}\" y=\"{}\" width=\"9\" height=\"9\"><title>block {} at height {height}, {txs} \
                     transactions</title></rect>",
                    px(x - 45),
                    px(y - 45),
                    block.get()
                );
                let label = format!("{height}");
                text(
                    svg,
                    (x, y - 70),
                    "text-anchor=\"middle\" font-weight=\"bold\"",
                    &label,
                );
            }
            What::Reached { level, about } => reached(svg, (x, y), *level, about.height),
            What::RoundChange { round } => {
                let _ = writeln!(
                    svg,
                    "<path class=\"round\" d=\"M{} {}l4 8h-8z\" fill=\"#fff\" stroke=\"#000\"><title>round {round}</title></path>",
                    px(x),
                    px(y - 40)
                );
            }
            _ => {}
        }
    }
}

/// A view that moved: a tick for the head, a ring for safe, a disc for final.
fn reached(svg: &mut String, (x, y): (u64, u64), level: Level, height: Option<u32>) {
    let name = level_name(level);
    let height = height.map_or(String::new(), |h| format!(" at height {h}"));
    let shape = match level {
        Level::Included => format!("<path d=\"M{} {}v8\" stroke=\"#000\"", px(x), px(y - 40)),
        Level::Safe => format!(
            "<circle cx=\"{}\" cy=\"{}\" r=\"4.6\" fill=\"none\" stroke=\"#000\"",
            px(x),
            px(y)
        ),
        Level::Final => format!("<circle cx=\"{}\" cy=\"{}\" r=\"3.4\"", px(x), px(y)),
    };
    let element = if level == Level::Included {
        "path"
    } else {
        "circle"
    };
    let _ = writeln!(
        svg,
        "{shape} class=\"{name}\"><title>{name}{height}</title></{element}>"
    );
}

/// The legend, and what is not shown.
fn notes(svg: &mut String, plane: &Plane<'_>, (machines, hidden): (u32, usize)) {
    let mut y = plane.foot() + 550;
    for (i, kind) in plane.kinds.iter().enumerate() {
        let x = LEFT + (i as u64 % 4) * WIDTH / 4;
        let (colour, dash) = plane.look(kind);
        let _ = writeln!(
            svg,
            "<line x1=\"{}\" y1=\"{2}\" x2=\"{}\" y2=\"{2}\" stroke=\"{3}\" stroke-width=\"2\" stroke-dasharray=\"{4}\"/>",
            px(x),
            px(x + 300),
            px(y - 40),
            COLOURS[colour],
            DASHES[dash]
        );
        text(svg, (x + 360, y), "", kind);
        if i % 4 == 3 {
            y += LEGEND_ROW;
        }
    }
    y += LEGEND_ROW;
    let marks = "■ block built, with its height · | new head · ○ safe · ● final · △ round given up · × lost · // nothing happens";
    text(svg, (LEFT, y), "", marks);
    let mut left_out = Vec::new();
    let rows = plane.rows.len();
    if rows == MOST_NODES && machines as usize > MOST_NODES {
        left_out.push(format!(
            "nodes after the first {MOST_NODES}: choose with --nodes"
        ));
    }
    if hidden > 0 {
        left_out.push(format!("{hidden} messages after the first {MOST_ARROWS}"));
    }
    if plane.record.left_out > 0 {
        left_out.push(format!(
            "{} events beyond --max-events",
            plane.record.left_out
        ));
    }
    if !left_out.is_empty() {
        let words = format!("Not shown: {}.", left_out.join("; "));
        text(svg, (LEFT, y + LEGEND_ROW), "", &words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five to ten steps, whatever the span.
    #[test]
    fn ticks_are_few_and_round() {
        for span in [1, 7, 99, 1_000, 123_456, 999_999_999, 3_600_000_000_000] {
            let ticks = span / step(span);
            assert!(ticks <= 10 && (ticks >= 4 || span < 10), "{span}: {ticks}");
        }
    }

    /// Three short spans far from each other get nearly all of the width, in order.
    #[test]
    fn idle_spans_are_cut_short() {
        let spans = vec![
            (1_000, 1_100),
            (900_000, 900_100),
            (1_050, 1_080),
            (5_000_000, 5_000_100),
        ];
        let busy = busy(spans, (0, 6_000_000));
        assert_eq!(busy.len(), 3);
        assert!(busy.iter().map(|b| b.width).sum::<u64>() > WIDTH - 3 * BREAK);
        assert!(
            busy.windows(2)
                .all(|b| b[0].left + b[0].width + BREAK == b[1].left)
        );
        assert!(busy.iter().all(|b| b.until - b.from <= 120));
    }

    #[test]
    fn times_are_exact() {
        assert_eq!(decimal(1_500_000, 1_000_000), "1.5");
        assert_eq!(decimal(2_000_000_001, 1_000_000_000), "2.000000001");
        assert_eq!(decimal(3_000, 1_000), "3");
    }
}
