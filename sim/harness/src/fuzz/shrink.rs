//! From a plan that breaks a promise to a smaller one that breaks it too: delta debugging over the plan
//! as a table (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002). Every step
//! is run again; the order of the steps is fixed, so that the same plan always ends in the same one.

use super::judge::{Breach, Promise};
use crate::plan::{FaultPlan, Plan, Source};
use crate::unit;
use toml::{Table, Value};

/// No more runs than these.
// assumption: some ten seconds to a minute; what is left then is small enough to be read.
const MOST_RUNS: u32 = 400;

/// A smaller plan.
#[derive(Debug)]
pub struct Shrunk {
    /// The plan, without what is the default anyway.
    pub text: String,
    /// How many were tried.
    pub runs: u32,
}

/// Shrinks a plan of kind `check` as long as `breaks` says that the same promise is broken.
pub fn shrink(plan: &Plan, breaks: &mut dyn FnMut(&Plan) -> bool) -> Shrunk {
    let table = Table::try_from(plan).expect("a plan is a table");
    let mut state = State {
        table,
        runs: 0,
        breaks,
    };
    let passes: [fn(&Table) -> Vec<Table>; 8] = [
        |t| fewer_entries(t, "faults"),
        |t| fewer_entries(t, "corrupt"),
        plain_engine,
        plain_network,
        fewer_nodes,
        less_load,
        smaller_lists,
        shorter_windows,
    ];
    // A later pass may make room for an earlier one.
    let mut helped = true;
    while helped {
        helped = false;
        for pass in passes {
            helped |= state.exhaust(pass);
        }
    }
    Shrunk {
        text: toml::to_string(&compact(&state.table)).expect("a plan is a table"),
        runs: state.runs,
    }
}

struct State<'a> {
    table: Table,
    runs: u32,
    breaks: &'a mut dyn FnMut(&Plan) -> bool,
}

impl State<'_> {
    /// Takes steps of a pass until none helps; whether one did.
    fn exhaust(&mut self, pass: fn(&Table) -> Vec<Table>) -> bool {
        let mut helped = false;
        while let Some(smaller) = pass(&self.table).into_iter().find(|t| self.still_breaks(t)) {
            self.table = smaller;
            helped = true;
        }
        helped
    }

    fn still_breaks(&mut self, table: &Table) -> bool {
        if self.runs >= MOST_RUNS {
            return false;
        }
        let Some(plan) = parsed(table).filter(is_fair) else {
            return false;
        };
        self.runs += 1;
        (self.breaks)(&plan)
    }
}

/// The plan of a table, if it is sound.
fn parsed(table: &Table) -> Option<Plan> {
    let text = toml::to_string(table).ok()?;
    Source::new("a smaller plan", text).plan(&[]).ok()
}

/// Whether the plan's promise may be asked of it: what is promised under conditions holds nothing
/// without them.
pub(super) fn is_fair(plan: &Plan) -> bool {
    let sheet = unit::sheet(plan, 0);
    let latency = plan.network.one_way_ms.unwrap_or(0.0);
    let Ok(_) = sheet.finality else { return false };
    if latency > super::most_latency_ms(&sheet) + 1e-9 {
        return false;
    }
    let heals = |f: &FaultPlan| {
        let end = plan.load.duration_s / 2.0 + 1.0;
        f.until_s.is_some_and(|until| until <= end)
    };
    match plan.promise {
        Some(Promise::Still) => {
            let down = |f: &FaultPlan| f.until_s.is_none() && f.from_s == Some(0.0);
            let members = |f: &FaultPlan| {
                let member = |n: &&u32| sheet.committee.iter().any(|m| m.get() == **n);
                f.crash.iter().filter(member).count() as u32
            };
            let most = plan.faults.iter().filter(|f| down(f)).map(members).max();
            super::halts(&sheet) && most.is_some_and(|m| m > sheet.promises.crashed)
        }
        promise => {
            let outnumbered = super::liars::count(plan) > sheet.promises.byzantine;
            plan.faults.iter().all(heals) && (promise == Some(Promise::Counted)) == outnumbered
        }
    }
}

/// Without a part of the entries of a list: halves first, then quarters, down to single ones.
fn fewer_entries(table: &Table, key: &str) -> Vec<Table> {
    let Some(Value::Array(all)) = table.get(key) else {
        return Vec::new();
    };
    parts(all.len())
        .map(|(from, to)| {
            let mut kept = all.clone();
            kept.drain(from..to);
            with(table, &[], key, Value::Array(kept))
        })
        .collect()
}

/// The places of all of a list, its halves, quarters and so on.
fn parts(len: usize) -> impl Iterator<Item = (usize, usize)> {
    let sizes = std::iter::successors(Some(len), |&size| (size > 1).then_some(size.div_ceil(2)));
    sizes.filter(|&size| size > 0).flat_map(move |size| {
        let starts = (0..len).step_by(size);
        starts.map(move |from| (from, (from + size).min(len)))
    })
}

/// Without the engine's settings, or without one of them.
fn plain_engine(table: &Table) -> Vec<Table> {
    let Some(engine) = table.get("engines").and_then(|e| e.as_array()?.first()) else {
        return Vec::new();
    };
    let Some(config) = engine.get("config").and_then(Value::as_table) else {
        return Vec::new();
    };
    let configured = |config: Table| {
        let mut engine = engine.clone();
        if let Value::Table(engine) = &mut engine {
            engine.insert("config".to_owned(), Value::Table(config));
        }
        with(table, &[], "engines", Value::Array(vec![engine]))
    };
    let none = (!config.is_empty()).then(Table::new);
    let one = config.keys().map(|key| {
        let mut config = config.clone();
        config.remove(key);
        config
    });
    none.into_iter().chain(one).map(configured).collect()
}

/// With links that are alike, fast and without loss or jitter.
fn plain_network(table: &Table) -> Vec<Table> {
    let plain: [(&str, Option<Value>); 6] = [
        ("jitter_permille", Some(0.into())),
        ("uplink_mbps", Some(0.0.into())),
        ("downlink_mbps", Some(0.0.into())),
        ("loss_permille", None),
        ("outbound", None),
        ("one_way_ms", Some(1.0.into())),
    ];
    let network = |key: &str| table.get("network").and_then(|n| n.get(key));
    let changed = plain.into_iter().filter(|(k, v)| network(k) != v.as_ref());
    changed
        .map(|(key, value)| match value {
            Some(value) => with(table, &["network"], key, value),
            None => without(table, &["network"], key),
        })
        .collect()
}

/// With fewer nodes: what is left names its own, and a site each.
fn fewer_nodes(table: &Table) -> Vec<Table> {
    let nodes = table.get("network").and_then(|n| n.get("nodes"));
    let Some(old) = nodes.and_then(Value::as_integer) else {
        return Vec::new();
    };
    let fewer = |new: i64| {
        let mut table = with(table, &["network"], "nodes", new.into());
        table = with(&table, &["workload"], "sites", new.into());
        for key in ["faults", "corrupt"] {
            let Some(Value::Array(entries)) = table.get_mut(key) else {
                continue;
            };
            for entry in entries.iter_mut() {
                renumber(entry, old, new);
            }
            // Who names nobody any more does nothing.
            entries.retain(names_nodes);
        }
        table
    };
    [old / 2, old - 1]
        .into_iter()
        .filter(|n| *n > 0)
        .map(fewer)
        .collect()
}

/// Takes the nodes from `new` up to `old` out of an entry's lists; second selves follow the nodes.
fn renumber(entry: &mut Value, old: i64, new: i64) {
    let Value::Table(entry) = entry else { return };
    for (_, value) in entry.iter_mut() {
        let Value::Array(list) = value else { continue };
        list.retain(|n| n.as_integer().is_none_or(|n| n < new || n >= old));
        for n in list.iter_mut() {
            if let Some(second) = n.as_integer().filter(|n| *n >= old) {
                *n = (second - old + new).into();
            }
        }
    }
    entry.retain(|_, value| value.as_array().is_none_or(|list| !list.is_empty()));
}

fn names_nodes(entry: &Value) -> bool {
    let table = entry.as_table();
    table.is_some_and(|t| t.values().any(Value::is_array))
}

/// With half of the time, or half of the writes.
fn less_load(table: &Table) -> Vec<Table> {
    let load = |key: &str| table.get("load")?.get(key).cloned();
    let duration = load("duration_s").and_then(|d| d.as_float());
    let offered = load("offered_tps").and_then(|o| o.as_array()?.first()?.as_float());
    let (Some(duration), Some(tps)) = (duration, offered) else {
        return Vec::new();
    };
    let mut smaller = Vec::new();
    // The drain stays: who waits as long for less is as patient.
    if duration >= 4.0 {
        let half = (duration / 2.0).round();
        smaller.push(with(table, &["load"], "duration_s", half.into()));
    }
    if tps * duration >= 2.0 {
        let half = Value::Array(vec![(tps / 2.0).into()]);
        smaller.push(with(table, &["load"], "offered_tps", half));
    }
    smaller
}

/// With a node less in one of the lists of a fault or of liars.
fn smaller_lists(table: &Table) -> Vec<Table> {
    let mut smaller = Vec::new();
    for (key, place, entry) in entries(table) {
        for (field, value) in entry {
            let list = value.as_array().filter(|list| list.len() > 1);
            for (from, to) in list.into_iter().flat_map(|l| parts(l.len()).skip(1)) {
                let mut list = list.cloned().unwrap_or_default();
                list.drain(from..to);
                smaller.push(changed(table, key, place, &[(field, Value::Array(list))]));
            }
        }
    }
    smaller
}

/// With half of a window, the first or the last.
fn shorter_windows(table: &Table) -> Vec<Table> {
    let mut smaller = Vec::new();
    for (key, place, entry) in entries(table) {
        let number = |key: &str| entry.get(key).and_then(Value::as_float);
        let (Some(from), Some(until)) = (number("from_s"), number("until_s")) else {
            continue;
        };
        let middle = f64::midpoint(from, until).round();
        if middle > from && middle < until {
            smaller.push(changed(table, key, place, &[("until_s", middle.into())]));
            smaller.push(changed(table, key, place, &[("from_s", middle.into())]));
        }
    }
    smaller
}

/// The faults and the liars, each with its list and its place there.
fn entries(table: &Table) -> Vec<(&'static str, usize, &Table)> {
    let mut all = Vec::new();
    for key in ["faults", "corrupt"] {
        let list = table.get(key).and_then(Value::as_array);
        let list = list.into_iter().flatten().enumerate();
        all.extend(list.filter_map(|(place, entry)| Some((key, place, entry.as_table()?))));
    }
    all
}

/// A copy in which fields of one entry are changed.
fn changed(table: &Table, key: &str, place: usize, fields: &[(&str, Value)]) -> Table {
    let mut table = table.clone();
    let entry = table.get_mut(key).and_then(|list| list.get_mut(place));
    if let Some(Value::Table(entry)) = entry {
        for (field, value) in fields {
            entry.insert((*field).to_owned(), value.clone());
        }
    }
    table
}

/// A copy with another value under a key of a table within.
fn with(table: &Table, path: &[&str], key: &str, value: Value) -> Table {
    let mut table = table.clone();
    if let Some(at) = descend(&mut table, path) {
        at.insert(key.to_owned(), value);
    }
    table
}

/// A copy without a key of a table within.
fn without(table: &Table, path: &[&str], key: &str) -> Table {
    let mut table = table.clone();
    if let Some(at) = descend(&mut table, path) {
        at.remove(key);
    }
    table
}

fn descend<'a>(table: &'a mut Table, path: &[&str]) -> Option<&'a mut Table> {
    path.iter()
        .try_fold(table, |at, key| at.get_mut(*key)?.as_table_mut())
}

/// The table without what says nothing: the plan is the same without it.
fn compact(table: &Table) -> Table {
    let same = |a: &Table| parsed(a).and_then(|plan| Table::try_from(plan).ok());
    let full = same(table);
    let mut small = table.clone();
    let mut paths: Vec<(Vec<&str>, &str)> = Vec::new();
    for (key, value) in table {
        paths.push((Vec::new(), key));
        let inner = value.as_table().into_iter().flat_map(Table::keys);
        paths.extend(inner.map(|k| (vec![key.as_str()], k.as_str())));
    }
    for (path, key) in paths {
        let less = without(&small, &path, key);
        if same(&less) == full {
            small = less;
        }
    }
    small
}

/// The file of a shrunk plan: what it is, then the plan.
pub(super) fn page(text: &str, title: &str, breach: Breach, why: &str, from: &str) -> String {
    let code = breach.code();
    format!(
        "# {title}\n# {why}\n#\n# `quorate run` on this file shows it, with exit code {code}. Shrunk from the plan of\n#   {from}\n\n{text}"
    )
}
