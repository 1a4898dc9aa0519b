//! Factors: the table `[sweep]` of a plan says which of its keys take which values. Each combination
//! is a plan of its own, and a part of the study.
//!
//! - `grid`: every value of a key with every value of all others;
//! - `zip`: a list of tables; the keys of one table change together, value by value;
//! - `list`: tables that are combinations themselves.
//!
//! Grid, each table of `zip`, and `list` are crossed. Keys are paths as for `-s`: `network.nodes`,
//! `engines.qbft.period_ms`. The values of `grid.engines` choose engines, as `--engines` does: all
//! parts have the same.

use crate::error::Error;
use crate::output::{Ran, column, key};
use crate::plan::{self, Kind as PlanKind, Plan, Source};
use crate::results::{Column, Kind, Value};
use crate::run::Cell;
use crate::schema::Table;
use crate::study::Part;
use crate::unit::Done;
use crate::{summary, words};
use quorate_core::Level;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most combinations of a plan.
// assumption: ten thousand parts of some hundred units each are a million units, more than a machine
// does in a day.
const MOST: usize = 10_000;

/// The table `[sweep]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, from = "Written")]
pub struct SweepPlan {
    /// For each key the list of its values.
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    #[schemars(with = "Table")]
    grid: toml::Table,
    /// Tables of keys with lists of equal length.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Table>")]
    zip: Vec<toml::Table>,
    /// Tables of keys with one value each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Table>")]
    list: Vec<toml::Table>,
}

/// The same as it may be written: `grid.network.nodes = …` without quotes makes tables in tables.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    /// For each key the list of its values.
    #[serde(default)]
    #[schemars(with = "Table")]
    grid: toml::Table,
    /// Tables of keys with lists of equal length.
    #[serde(default)]
    #[schemars(with = "Vec<Table>")]
    zip: Vec<toml::Table>,
    /// Tables of keys with one value each.
    #[serde(default)]
    #[schemars(with = "Vec<Table>")]
    list: Vec<toml::Table>,
}

impl From<Written> for SweepPlan {
    fn from(written: Written) -> Self {
        let all = |tables: Vec<toml::Table>| tables.into_iter().map(flat).collect();
        Self {
            grid: flat(written.grid),
            zip: all(written.zip),
            list: all(written.list),
        }
    }
}

/// Keys of inner tables behind a dot.
fn flat(table: toml::Table) -> toml::Table {
    let mut flattened = toml::Table::new();
    for (key, value) in table {
        if let toml::Value::Table(inner) = value {
            let inner = flat(inner).into_iter();
            flattened.extend(inner.map(|(rest, value)| (format!("{key}.{rest}"), value)));
        } else {
            flattened.insert(key, value);
        }
    }
    flattened
}

/// The key of `grid` whose values choose engines.
const ENGINES: &str = "engines";

impl SweepPlan {
    /// Engines that are chosen, as for `--engines`.
    ///
    /// # Errors
    /// When they are no list of names.
    pub(crate) fn engines(&self, source: &Source) -> Result<Option<String>, Error> {
        let Some(values) = self.grid.get(ENGINES) else {
            return Ok(None);
        };
        let names = values.as_array().map(|list| {
            let names = list.iter().map(|v| v.as_str().map(str::to_owned));
            names.collect::<Option<Vec<String>>>()
        });
        match names.flatten() {
            Some(names) if !names.is_empty() => Ok(Some(names.join(","))),
            _ => Err(source.at_keys(
                &["sweep", "grid", ENGINES],
                "`sweep.grid.engines` is no list of names",
                "name engines of the plan or of the registry, such as engines = [\"qbft\", \"raft\"]",
            )),
        }
    }
}

/// Values that change together.
type Row = Vec<(String, toml::Value)>;

/// Rows of which every combination has one.
struct Group {
    /// Where they stand in the text.
    place: Vec<String>,
    rows: Vec<Row>,
}

/// One value for each factor.
#[derive(Clone, Default)]
pub(crate) struct Combination {
    /// Place in the study.
    pub(crate) index: usize,
    /// Key and value, with where they stand.
    values: Vec<(String, toml::Value, Vec<String>)>,
}

/// A factor's value in a part. All parts of a study have the same keys in the same order.
#[derive(Clone, Debug, PartialEq)]
pub struct Factor {
    /// The key, as for `-s`.
    pub key: String,
    /// What all its values are.
    pub kind: Kind,
    /// Its value; `None` where a combination leaves it as planned.
    pub value: Option<toml::Value>,
}

impl Factor {
    /// The value in words.
    pub fn text(&self) -> String {
        self.value.as_ref().map_or_else(String::new, shown)
    }

    /// The value as a number, where it is one.
    pub fn number(&self) -> Option<f64> {
        number(self.value.as_ref()?)
    }
}

fn number(value: &toml::Value) -> Option<f64> {
    let whole = value.as_integer().map(|i| i as f64);
    whole.or_else(|| value.as_float())
}

/// A value as one reads it: text without quotes.
fn shown(value: &toml::Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// The combinations that a plan comes to; without factors the plan as it is.
///
/// # Errors
/// An empty list, lists of unequal length, a key or a value twice, too many combinations.
pub(crate) fn combinations(source: &Source, plan: &Plan) -> Result<Vec<Combination>, Error> {
    let Some(sweep) = &plan.sweep else {
        return Ok(vec![Combination::default()]);
    };
    let groups = groups(source, sweep)?;
    for (i, group) in groups.iter().enumerate() {
        refuse_twice(source, group, &groups[..i])?;
    }
    let lengths = groups.iter().map(|g| g.rows.len());
    let all = lengths.fold(1_usize, usize::saturating_mul);
    if all > MOST {
        let lengths: Vec<String> = groups.iter().map(|g| g.rows.len().to_string()).collect();
        return Err(source.at_keys(
            &["sweep"],
            &format!(
                "`sweep` comes to {} = {all} combinations",
                lengths.join(" × ")
            ),
            &format!(
                "at most {MOST}: use wider steps, zip keys that change together, or several plans"
            ),
        ));
    }
    Ok((0..all).map(|index| combination(&groups, index)).collect())
}

/// The first group varies slowest.
fn combination(groups: &[Group], index: usize) -> Combination {
    let mut rest = index;
    let mut values = Vec::new();
    for group in groups.iter().rev() {
        let row = &group.rows[rest % group.rows.len()];
        rest /= group.rows.len();
        let row = row.iter().rev();
        values.extend(row.map(|(key, value)| (key.clone(), value.clone(), group.place.clone())));
    }
    values.reverse();
    Combination { index, values }
}

fn groups(source: &Source, sweep: &SweepPlan) -> Result<Vec<Group>, Error> {
    let mut groups = Vec::new();
    for (key, values) in sweep.grid.iter().filter(|(key, _)| *key != ENGINES) {
        let place = ["sweep", "grid", key].map(str::to_owned).to_vec();
        let rows = list(source, &place, key, values)?;
        let rows = rows.iter().map(|v| vec![(key.clone(), v.clone())]);
        groups.push(Group {
            place,
            rows: rows.collect(),
        });
    }
    for (i, table) in sweep.zip.iter().enumerate() {
        groups.push(zipped(source, i, table)?);
    }
    if !sweep.list.is_empty() {
        let rows = sweep.list.iter();
        let rows = rows.map(|t| t.iter().map(|(k, v)| (k.clone(), v.clone())).collect());
        groups.push(Group {
            place: ["sweep", "list"].map(str::to_owned).to_vec(),
            rows: rows.collect(),
        });
    }
    let chosen = sweep.grid.contains_key(ENGINES);
    if !chosen && groups.iter().all(|g| g.rows.iter().all(Vec::is_empty)) {
        let hint = "for example grid = { \"network.nodes\" = [4, 7, 10] }";
        return Err(source.at_keys(&["sweep"], "`sweep` has no factor", hint));
    }
    Ok(groups)
}

/// A key's values.
fn list<'a>(
    source: &Source,
    place: &[String],
    key: &str,
    values: &'a toml::Value,
) -> Result<&'a [toml::Value], Error> {
    let why = match values.as_array() {
        Some(list) if !list.is_empty() => return Ok(list),
        Some(_) => "has no values",
        None => "is no list of values",
    };
    let hint = format!("for example \"{key}\" = [1, 2, 4]");
    Err(source.at_factor(place, &format!("factor `{key}` {why}"), &hint))
}

/// Keys that change together.
fn zipped(source: &Source, i: usize, table: &toml::Table) -> Result<Group, Error> {
    let place = |key: &str| ["sweep", "zip", &i.to_string(), key].map(str::to_owned);
    let mut rows: Vec<Row> = Vec::new();
    let mut first: Option<(&String, usize)> = None;
    for (key, values) in table {
        let values = list(source, &place(key), key, values)?;
        let (name, n) = *first.get_or_insert((key, values.len()));
        if values.len() != n {
            let why = format!(
                "factor `{key}` has {} values, and `{name}`, which changes with it, {n}",
                values.len()
            );
            let hint = "give both as many, or move one to grid to cross them";
            return Err(source.at_factor(&place(key), &why, hint));
        }
        rows.resize_with(n, Vec::new);
        for (row, value) in rows.iter_mut().zip(values) {
            row.push((key.clone(), value.clone()));
        }
    }
    if rows.is_empty() {
        let why = format!("`sweep.zip` has a table without keys, number {i}");
        let hint =
            "for example zip = [{ \"network.nodes\" = [4, 7], \"adversary.corrupt\" = [1, 2] }]";
        return Err(source.at_keys(&["sweep", "zip"], &why, hint));
    }
    let place = ["sweep", "zip", &i.to_string()].map(str::to_owned).to_vec();
    Ok(Group { place, rows })
}

/// Keys that are no factors: what makes the study one.
// The engines are those of all parts; statistics hold for all of them.
const FIXED: [&str; 14] = [
    "name",
    "kind",
    "quick",
    "sweep",
    "scale",
    "sensitivity",
    "tune",
    "engines",
    "profiles",
    "question",
    "answer",
    "promise",
    "replications",
    "confidence",
];

/// Refuses keys that cannot be factors, keys of other groups, and equal rows.
fn refuse_twice(source: &Source, group: &Group, earlier: &[Group]) -> Result<(), Error> {
    let keys = |g: &Group| -> Vec<String> {
        let all = g.rows.iter().flatten().map(|(key, _)| key.clone());
        let mut keys: Vec<String> = all.collect();
        keys.sort();
        keys.dedup();
        keys
    };
    for key in keys(group) {
        let refuse = |why: &str, hint: &str| {
            let why = format!("factor `{key}` {why}");
            Err(source.at_factor(&group.place, &why, hint))
        };
        let names = matches!(
            plan::keys(&key)[..],
            ["engines", _, "name" | "label" | "optional"]
        );
        let size = key == "network.nodes" && is_scale(source);
        if FIXED.contains(&key.as_str()) || names || size {
            let hint = "it belongs to the study as a whole: use several plans; engines are chosen by \
                        grid.engines";
            return refuse("cannot vary", hint);
        }
        if earlier.iter().any(|g| keys(g).contains(&key)) {
            return refuse("stands twice", "give it in one place of [sweep]");
        }
    }
    let text = |row: &Row| format!("{row:?}");
    for (i, row) in group.rows.iter().enumerate() {
        if group.rows[..i].iter().any(|r| text(r) == text(row)) {
            let why = format!("{} stands twice", told(row));
            return Err(source.at_factor(&group.place, &why, "give each value once"));
        }
    }
    Ok(())
}

/// A plan of kind `scale` sets the nodes itself.
fn is_scale(source: &Source) -> bool {
    source
        .parse()
        .is_ok_and(|plan| plan.kind == PlanKind::Scale)
}

fn told(row: &Row) -> String {
    let each = row.iter().map(|(k, v)| format!("{k} = {}", shown(v)));
    each.collect::<Vec<_>>().join(", ")
}

impl Source {
    /// A message about a factor; where it was written with dots, its key is several.
    fn at_factor(&self, place: &[String], why: &str, hint: &str) -> Error {
        let keys: Vec<&str> = place.iter().map(String::as_str).collect();
        self.at_keys(&keys, why, hint)
    }
}

impl Combination {
    /// The plan with these values.
    ///
    /// # Errors
    /// A key that is none, a value of another type.
    pub(crate) fn of(&self, source: &Source, plan: &Plan) -> Result<Plan, Error> {
        if self.values.is_empty() {
            let sweep = None;
            return Ok(Plan {
                sweep,
                ..plan.clone()
            });
        }
        let mut table = toml::Table::try_from(plan).expect("a plan is a table");
        table.remove("sweep");
        let mut root = toml::Value::Table(table);
        for (key, value, place) in &self.values {
            let keys = plan::keys(key);
            if put(&mut root, &keys, value.clone()).is_none() {
                let why = format!("factor `{key}` is no key of this plan");
                let hint = "keys are those of the plan, as for -s; engines by label: engines.qbft.period_ms";
                return Err(source.at_factor(place, &why, hint));
            }
            if let Err(e) = Plan::deserialize(root.clone()) {
                let why = format!(
                    "factor `{key}` = {}: {}",
                    shown(value),
                    one_line(e.message())
                );
                let hint = "keys are those of the plan, as for -s";
                return Err(source.at_factor(place, &why, hint));
            }
        }
        Ok(Plan::deserialize(root).expect("it was read above"))
    }

    /// A plan's error as one of the factor that causes it: of the one that is named in it, else of
    /// the last.
    pub(crate) fn blame(&self, source: &Source, error: Error) -> Error {
        let named = |(key, ..): &&(String, toml::Value, Vec<String>)| {
            let own = key.rsplit('.').next().unwrap_or(key);
            error.message.contains(key.as_str()) || error.message.contains(own)
        };
        let culprit = self.values.iter().find(named).or(self.values.last());
        let Some((_, _, place)) = culprit else {
            return error;
        };
        let row: Row = self
            .values
            .iter()
            .map(|(k, v, _)| (k.clone(), v.clone()))
            .collect();
        // What is wrong, without the place of the value that the factor replaces.
        let what = error
            .message
            .find('`')
            .map_or(&*error.message, |at| &error.message[at..]);
        let why = format!("with {}: {what}", told(&row));
        Error {
            message: source.at_factor(place, &why, "").message,
            ..error
        }
    }

    /// Its factors, for all keys of the study.
    pub(crate) fn factors(&self, keys: &[(String, Kind)]) -> Vec<Factor> {
        let value = |key: &String| {
            let found = self.values.iter().find(|(k, ..)| k == key);
            found.map(|(_, value, _)| value.clone())
        };
        let factor = |(key, kind): &(String, Kind)| Factor {
            key: key.clone(),
            kind: *kind,
            value: value(key),
        };
        keys.iter().map(factor).collect()
    }
}

/// As [`plan::put`]; a value in place of a list stands for a list of it.
fn put(root: &mut toml::Value, keys: &[&str], value: toml::Value) -> Option<()> {
    let at = plan::get(root, keys);
    let listed = at.is_some_and(toml::Value::is_array) && !value.is_array();
    let value = if listed {
        toml::Value::Array(vec![value])
    } else {
        value
    };
    plan::put(root, keys, value)
}

fn one_line(message: &str) -> String {
    message.lines().collect::<Vec<_>>().join(" ")
}

/// The keys of all combinations, in the order in which they first stand, and what their values are.
pub(crate) fn factor_keys(all: &[Combination]) -> Vec<(String, Kind)> {
    let mut keys: Vec<(String, Kind)> = Vec::new();
    for (key, value, _) in all.iter().flat_map(|c| &c.values) {
        let kind = match value {
            toml::Value::Integer(_) => Kind::Integer,
            toml::Value::Float(_) => Kind::Number,
            _ => Kind::String,
        };
        match keys.iter_mut().find(|(k, _)| k == key) {
            Some((_, known)) => *known = common(*known, kind),
            None => keys.push((key.clone(), kind)),
        }
    }
    keys
}

/// What values of both kinds are.
fn common(a: Kind, b: Kind) -> Kind {
    match (a, b) {
        _ if a == b => a,
        (Kind::String, _) | (_, Kind::String) => Kind::String,
        _ => Kind::Number,
    }
}

/// Checks that factors go with the kind of plan.
pub(crate) fn check(source: &Source, plan: &Plan) -> Result<(), Error> {
    let alone = matches!(
        plan.kind,
        PlanKind::Check | PlanKind::Attack | PlanKind::Sensitivity
    );
    if plan.sweep.is_some() && alone {
        let hint = "sweep plans of kind sweep, compare, curve, capacity, scale, scenario or replay";
        return Err(source.at_key("sweep", "does not go with this kind of plan", hint));
    }
    if plan.sweep.is_none() && plan.kind == PlanKind::Sweep {
        let hint =
            "add it, or give factors on the command line: quorate sweep PLAN -P network.nodes 4 10";
        return Err(source.at_key("kind", "is \"sweep\", but there is no table [sweep]", hint));
    }
    Ok(())
}

/// A part's factors in words: `network.nodes = 4, load.drain_s = 60.0`; empty without any.
pub fn label(part: &Part) -> String {
    let set = part.factors.iter().filter(|f| f.value.is_some());
    let each = set.map(|f| format!("{} = {}", f.key, f.text()));
    each.collect::<Vec<_>>().join(", ")
}

/// Columns that tell the combinations of a study apart: the number, and `factor.KEY` for each key.
/// Without factors there are none. Where `is_key`, the number is part of the table's key.
pub(crate) fn columns(part: &Part, is_key: bool) -> Vec<Column> {
    if part.factors.is_empty() {
        return Vec::new();
    }
    let about = "number of the combination of factors, from 0";
    let number = if is_key {
        key("combination", Kind::Integer, about)
    } else {
        column("combination", Kind::Integer, "", about)
    };
    let about = "value of this key of the plan; empty where it is as planned";
    let factors = part.factors.iter();
    let factors = factors.map(|f| column(name(&f.key), f.kind, "", about));
    std::iter::once(number).chain(factors).collect()
}

/// A column's name lives as long as the program. Studies are few, and so are their factors.
fn name(key: &str) -> &'static str {
    format!("factor.{key}").leak()
}

/// The values of [`columns`].
pub(crate) fn values(part: &Part) -> Vec<Value> {
    if part.factors.is_empty() {
        return Vec::new();
    }
    let value = |factor: &Factor| match (&factor.value, factor.kind) {
        (None, _) => Value::Missing,
        (Some(value), Kind::Integer) => Value::from(value.as_integer()),
        (Some(value), Kind::Number) => Value::from(number(value)),
        (Some(value), _) => Value::from(shown(value)),
    };
    let number = std::iter::once(Value::from(part.combination));
    number.chain(part.factors.iter().map(value)).collect()
}

/// Every part's planned cells, with a head: factors, engine, load, and what came of it.
pub(crate) fn lines(ran: &[Ran<'_>]) -> Vec<Vec<String>> {
    let Some(first) = ran.first() else {
        return Vec::new();
    };
    let own = first.part.factors.iter().map(|f| f.key.clone());
    let mut head: Vec<String> = own.collect();
    let others = [
        "workload",
        "engine",
        "offered/s",
        "status",
        "goodput/s",
        "final p50",
        "final p99",
    ];
    head.extend(others.map(str::to_owned));
    let mut rows = vec![head];
    for one in ran {
        let engines = 0..one.part.plan.engines.len();
        rows.extend(
            engines
                .flat_map(|e| one.outcome.sweep(e))
                .map(|cell| line(one, cell)),
        );
    }
    rows
}

fn line(ran: &Ran<'_>, cell: &Cell) -> Vec<String> {
    let plan = &ran.part.plan;
    let mean = |of: &dyn Fn(&Done) -> Option<f64>| summary::mean(plan, cell, of).mean;
    let latency = |p: f64| {
        let of = mean(&|u| {
            let h = summary::latency(u, None, Level::Final);
            (!h.is_empty()).then(|| summary::percentile_ms(h, p))
        });
        of.map_or_else(|| "-".to_owned(), words::duration)
    };
    let goodput = mean(&|u| Some(summary::goodput_tps(u)));
    let mut row: Vec<String> = ran.part.factors.iter().map(Factor::text).collect();
    row.extend([
        ran.part.label.clone(),
        plan.engines[cell.engine].label().to_owned(),
        cell.offered_tps
            .map_or_else(|| "-".to_owned(), |t| t.to_string()),
        summary::status(cell).name().to_owned(),
        goodput.map_or_else(|| "-".to_owned(), words::short),
        latency(50.0),
        latency(99.0),
    ]);
    row
}
