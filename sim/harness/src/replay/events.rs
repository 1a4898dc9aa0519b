//! The events of a trace as lines of JSON.

use quorate_core::{BlockId, Level, NodeId, Time};
use quorate_kernel::{About, Event, Record, What};
use serde::Serialize;

/// The word for a level in a view's progress.
pub(super) const fn level_name(level: Level) -> &'static str {
    match level {
        Level::Included => "head",
        Level::Safe => "safe",
        Level::Final => "final",
    }
}

/// A line. What does not apply is left out.
#[derive(Clone, Copy, Default, Serialize)]
struct Line<'a> {
    t_ns: u64,
    node: u32,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arrives_ns: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    lost: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    round: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    block: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    txs: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

/// The first line says what is told, the last whether that is all.
#[derive(Serialize)]
struct Head<'a> {
    kind: &'static str,
    unit: &'a str,
    digest: String,
    from_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    until_ns: Option<u64>,
    nodes: Vec<u32>,
}

#[derive(Serialize)]
struct Tail {
    kind: &'static str,
    events: usize,
    left_out: u64,
    truncated: bool,
}

/// All events, with a head and a tail.
pub(super) fn lines(unit: &str, digest: u64, record: &Record) -> String {
    let window = &record.window;
    let mut text = String::new();
    let never = Time::NEVER;
    line(
        &mut text,
        &Head {
            kind: "trace",
            unit,
            digest: format!("{digest:016x}"),
            from_ns: window.from.ns(),
            until_ns: (window.until < never).then(|| window.until.ns()),
            nodes: window.nodes.iter().map(|n| n.get()).collect(),
        },
    );
    for event in &record.events {
        line(&mut text, &of(event));
    }
    line(
        &mut text,
        &Tail {
            kind: "end",
            events: record.events.len(),
            left_out: record.left_out,
            truncated: record.left_out > 0,
        },
    );
    text
}

fn line(text: &mut String, value: &impl Serialize) {
    text.push_str(&serde_json::to_string(value).expect("numbers and text"));
    text.push('\n');
}

fn of(event: &Event) -> Line<'_> {
    let base = Line {
        t_ns: event.at.ns(),
        node: event.node.get(),
        ..Line::default()
    };
    match &event.what {
        What::Sent {
            message,
            to,
            bytes,
            arrives,
            about,
        } => Line {
            kind: "sent",
            message: Some(message),
            to: Some(to.get()),
            bytes: Some(*bytes),
            arrives_ns: arrives.map(Time::ns),
            lost: arrives.is_none(),
            ..on(base, about)
        },
        What::Handled {
            input,
            message,
            from,
            about,
            detail,
        } => Line {
            kind: input,
            message: *message,
            from: from.map(NodeId::get),
            detail: detail.as_deref(),
            ..on(base, about)
        },
        What::Built {
            block,
            parent,
            height,
            txs,
            bytes,
        } => Line {
            kind: "block",
            height: Some(*height),
            block: Some(block.get()),
            parent: Some(parent.get()),
            txs: Some(*txs),
            bytes: Some(*bytes),
            ..base
        },
        What::Reached { level, about } => Line {
            kind: "reached",
            level: Some(level_name(*level)),
            ..on(base, about)
        },
        What::RoundChange { round } => Line {
            kind: "round_change",
            round: Some(*round),
            ..base
        },
        What::Evidence { against } => Line {
            kind: "evidence",
            to: Some(against.get()),
            ..base
        },
        What::Elected {
            height,
            member,
            weight,
        } => Line {
            kind: "elected",
            height: Some(*height),
            to: Some(member.get()),
            weight: Some(*weight),
            ..base
        },
    }
}

fn on<'a>(line: Line<'a>, about: &About) -> Line<'a> {
    Line {
        height: about.height,
        round: about.round,
        block: about.block.map(BlockId::get),
        ..line
    }
}
