//! What it takes to keep an engine running for a year: energy, storage, traffic and, where prices are
//! given, money; the table `[cost]`.
//!
//! All of it is derived: simulated rates are carried on for a year, and watts, joules and prices are
//! published figures with their ranges. Nothing here is part of a run; the table moves no result but
//! `cost.csv` and its section of the page.

use crate::error::Error;
use crate::output::{Ran, column, key};
use crate::plan::{Kind as PlanKind, Plan, Source, VoteChecks};
use crate::results::{Folder, Kind, Value};
use crate::run::Cell;
use crate::study::{Part, Study};
use crate::summary;
use crate::unit::{Done, EngineSheet};
use quorate_core::Family;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The table `[cost]`: what replaces the published figures, whose ranges then no longer count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CostPlan {
    /// What an idle node draws, W.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_w: Option<f64>,
    /// What a node draws with all cores busy, W.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_w: Option<f64>,
    /// Power of the whole site over that of its machines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pue: Option<f64>,
    /// Power of a stored terabyte, W.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_w_per_tb: Option<f64>,
    /// Energy of a gigabyte sent, kWh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic_kwh_per_gb: Option<f64>,
    /// What a block stores besides its transactions, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_bytes: Option<f64>,
    /// Hash rate of each miner, TH/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_ths: Option<f64>,
    /// Energy of 10¹² hashes, J.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joules_per_th: Option<f64>,
    /// Price of a kilowatt-hour; absent means that energy has no price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_per_kwh: Option<f64>,
    /// Price of a gigabyte sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_per_gb_sent: Option<f64>,
    /// Price of a gigabyte kept for a year.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_per_gb_year: Option<f64>,
    /// What prices are in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

impl CostPlan {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// A key's override.
    fn given(&self, key: &str) -> Option<f64> {
        let numbers = self.numbers();
        numbers.into_iter().find(|n| n.0 == key).and_then(|n| n.1)
    }

    const fn numbers(&self) -> [(&'static str, Option<f64>); 11] {
        [
            ("idle_w", self.idle_w),
            ("peak_w", self.peak_w),
            ("pue", self.pue),
            ("storage_w_per_tb", self.storage_w_per_tb),
            ("traffic_kwh_per_gb", self.traffic_kwh_per_gb),
            ("block_bytes", self.block_bytes),
            ("hash_ths", self.hash_ths),
            ("joules_per_th", self.joules_per_th),
            ("price_per_kwh", self.price_per_kwh),
            ("price_per_gb_sent", self.price_per_gb_sent),
            ("price_per_gb_year", self.price_per_gb_year),
        ]
    }

    /// Whether anything has a price.
    pub(crate) const fn is_priced(&self) -> bool {
        self.price_per_kwh.is_some()
            || self.price_per_gb_sent.is_some()
            || self.price_per_gb_year.is_some()
    }
}

/// Checks the table.
pub(crate) fn check(source: &Source, plan: &Plan) -> Result<(), Error> {
    let cost = &plan.cost;
    for (key, value) in cost.numbers() {
        if let Some(value) = value.filter(|v| !(v.is_finite() && *v >= 0.0)) {
            let hint = "give a number that is not negative, or leave it out";
            return Err(source.at_key(&format!("cost.{key}"), &format!("is {value}"), hint));
        }
    }
    if let Some(pue) = cost.pue.filter(|&pue| pue < 1.0) {
        let why = format!("is {pue}, but a site draws at least what its machines draw");
        return Err(source.at_key("cost.pue", &why, "give 1 or more, such as 1.56"));
    }
    if let (Some(idle), Some(peak)) = (cost.idle_w, cost.peak_w)
        && idle > peak
    {
        let why = format!("is {idle}, above cost.peak_w = {peak}");
        return Err(source.at_key("cost.idle_w", &why, "a busy node draws no less"));
    }
    if cost.currency.is_some() && !cost.is_priced() {
        let hint = "add a price, such as cost.price_per_kwh = 0.25";
        return Err(source.at_key("cost.currency", "is given, but nothing has a price", hint));
    }
    Ok(())
}

/// A figure with its range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranged {
    /// What is reckoned with.
    pub value: f64,
    /// Where all that it rests on is at its low end.
    pub low: f64,
    /// The same at the high end.
    pub high: f64,
}

impl Ranged {
    /// The same arithmetic at each end.
    fn of(at: impl Fn(End) -> f64) -> Self {
        Self {
            value: at(End::Value),
            low: at(End::Low),
            high: at(End::High),
        }
    }

    const fn at(self, end: End) -> f64 {
        match end {
            End::Value => self.value,
            End::Low => self.low,
            End::High => self.high,
        }
    }
}

#[derive(Clone, Copy)]
enum End {
    Value,
    Low,
    High,
}

/// A published figure.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its key in `[cost]`.
    pub key: &'static str,
    /// What it is, with its unit.
    pub about: &'static str,
    /// The figure and its range.
    pub ranged: Ranged,
    /// Where from.
    pub source: &'static str,
}

const fn parameter(
    key: &'static str,
    about: &'static str,
    [low, value, high]: [f64; 3],
    source: &'static str,
) -> Parameter {
    Parameter {
        key,
        about,
        ranged: Ranged { value, low, high },
        source,
    }
}

/// What all engines share. Sources stand in the last column, which the page prints.
const MACHINES: [Parameter; 6] = [
    // assumption: a small server of one's own; source of the ends: eight virtual cores of a cloud
    // (0.71 W each when idle, 3.5 W when busy), and a server of two sockets.
    parameter(
        "idle_w",
        "an idle node, W",
        [6.0, 60.0, 160.0],
        "assumption between eight vCPUs (Cloud Carbon Footprint, AWS and GCP: 0.71 W each) and half \
         of a server's peak (Fan, Weber and Barroso 2007)",
    ),
    parameter(
        "peak_w",
        "a node with all cores busy, W; between both, power is linear in utilisation",
        [28.0, 120.0, 321.0],
        "assumption between eight vCPUs (Cloud Carbon Footprint, AWS: 3.5 W each) and a server under \
         full load (SPECpower_ssj2008: 321 W); linear as in Fan, Weber and Barroso 2007",
    ),
    parameter(
        "pue",
        "power of the site over that of its machines",
        [1.1, 1.56, 2.0],
        "Uptime Institute, Global Data Center Survey 2024: 1.56 on average; low: Google; high: assumption \
         of a hospital's server room",
    ),
    parameter(
        "storage_w_per_tb",
        "a stored terabyte, W",
        [0.65, 1.2, 1.2],
        "Cloud Carbon Footprint: SSD 1.2 Wh, HDD 0.65 Wh per terabyte-hour",
    ),
    parameter(
        "traffic_kwh_per_gb",
        "a gigabyte sent, kWh",
        [0.001, 0.01, 0.06],
        "Aslan et al. 2018: 0.06 in 2015, halved every two years (0.01 in 2020); low: Cloud Carbon \
         Footprint",
    ),
    parameter(
        "block_bytes",
        "what a block stores besides its transactions, bytes",
        [80.0, 1_000.0, 4_000.0],
        "low: Bitcoin's header; value: Ethereum's header of about 500 bytes and seals of 65 bytes of a \
         committee of eight; high: assumption",
    ),
];

/// What a miner of Bitcoin's hash has.
const SHA256: [Parameter; 2] = [
    parameter(
        "hash_ths",
        "hash rate of each miner, TH/s",
        [13.5, 200.0, 234.0],
        "one machine an organisation: Bitmain Antminer S21; low: S9; high: S21 Pro. A private chain is \
         worth what an attacker cannot rent",
    ),
    parameter(
        "joules_per_th",
        "energy of 10¹² hashes, J",
        [15.0, 17.5, 98.0],
        "Bitmain Antminer S21; low: S21 Pro; high: S9",
    ),
];

/// Of Litecoin's and Dogecoin's.
const SCRYPT: [Parameter; 2] = [
    parameter(
        "hash_ths",
        "hash rate of each miner, TH/s",
        [0.000_504, 0.009_5, 0.016],
        "one machine an organisation: Bitmain Antminer L7; low: L3+; high: L9",
    ),
    parameter(
        "joules_per_th",
        "energy of 10¹² hashes, J",
        [210_000.0, 360_000.0, 1_600_000.0],
        "Bitmain Antminer L7; low: L9; high: L3+",
    ),
];

/// Of Ethereum's before 2022.
const ETHASH: [Parameter; 2] = [
    parameter(
        "hash_ths",
        "hash rate of each miner, TH/s",
        [0.000_1, 0.002_4, 0.003_68],
        "one machine an organisation: Bitmain Antminer E9; low: a graphics card; high: E9 Pro",
    ),
    parameter(
        "joules_per_th",
        "energy of 10¹² hashes, J",
        [600_000.0, 800_000.0, 2_300_000.0],
        "Bitmain Antminer E9; low: E9 Pro; high: a graphics card",
    ),
];

/// What an engine is reckoned with: those of machines, and where members mine those of miners.
pub fn parameters(part: &Part, engine: usize) -> Vec<Parameter> {
    let own = if mines(&part.sheets[engine]) {
        let entry = &part.plan.engines[engine];
        let preset = entry.config.get("preset").and_then(toml::Value::as_str);
        match (entry.name.as_str(), preset) {
            ("ethash", _) => &ETHASH[..],
            (_, Some("litecoin" | "dogecoin")) => &SCRYPT[..],
            _ => &SHA256[..],
        }
    } else {
        &[]
    };
    let all = MACHINES.iter().chain(own);
    all.map(|&one| given(&part.plan.cost, one)).collect()
}

/// The parameter, or what the plan says instead.
fn given(cost: &CostPlan, one: Parameter) -> Parameter {
    cost.given(one.key).map_or(one, |value| Parameter {
        ranged: Ranged::of(|_| value),
        source: "the plan",
        ..one
    })
}

/// Whether the members search for blocks themselves: an anchor's public chain is mined anyway.
fn mines(sheet: &EngineSheet) -> bool {
    sheet.facts.family == Family::Work && !sheet.resolved.contains_key("local_config")
}

/// What was simulated, and is carried on for a year.
#[derive(Clone, Copy, Debug)]
struct Rates {
    /// Share of all cores that is busy.
    cpu: f64,
    /// Bytes a second that all nodes send, gossip of transactions included.
    sent: f64,
    /// Valid transactions a second.
    valid: f64,
    /// Bytes of transactions a second that blocks take up.
    stored: f64,
    /// Blocks a second on the chain.
    blocks: f64,
}

fn rates(part: &Part, cell: &Cell) -> Option<Rates> {
    let mean = |of: &dyn Fn(&Done) -> f64| summary::mean(&part.plan, cell, |u| Some(of(u))).mean;
    let node = &part.plan.node;
    let votes = u32::from(node.vote_checks == VoteChecks::OwnCore);
    let cores = f64::from(part.plan.network.nodes * (node.cores + votes));
    let bytes = part.workload.mean_write().0;
    Some(Rates {
        cpu: mean(&|u| {
            let busy = u.report.cpu_busy.iter().chain(&u.report.vote_busy);
            let busy: f64 = busy.map(|s| s.as_s()).sum();
            (busy / (cores * u.report.ended.as_s())).min(1.0)
        })?,
        sent: mean(&|u| {
            let all = u.report.traffic.iter().chain(&u.report.gossip.traffic);
            let bytes: u64 = all.map(|t| t.1.bytes).sum();
            bytes as f64 / u.report.ended.as_s()
        })?,
        valid: mean(&summary::goodput_tps)?,
        stored: mean(&|u| summary::included_tps(u) * bytes)?,
        blocks: mean(&|u| u.report.chain.height as f64 / u.report.ended.as_s())?,
    })
}

/// A year of an engine.
#[derive(Clone, Copy, Debug)]
pub struct Year {
    /// Share of all cores that is busy.
    pub cpu: f64,
    /// Power of all nodes, of the miners among them and of their sites, W.
    pub power_w: Ranged,
    /// The same, storage and traffic over a year, kWh.
    pub energy_kwh: Ranged,
    /// Energy of a valid transaction, Wh; `None` where none is valid.
    pub write_wh: Option<Ranged>,
    /// What a node keeps more after a year, bytes.
    pub kept_bytes: Ranged,
    /// What all nodes send in a year, bytes.
    pub sent_bytes: f64,
    /// The price of all of it, where something has one.
    pub price: Option<Ranged>,
}

const HOURS: f64 = 365.25 * 24.0;
const SECONDS: f64 = HOURS * 3_600.0;

/// A year of an engine at the load that is judged; `None` where nothing was simulated.
pub fn year(ran: &Ran<'_>, engine: usize) -> Option<Year> {
    let cell = summary::decisive(ran, engine).filter(|c| !c.units.is_empty())?;
    let rates = rates(ran.part, cell)?;
    let list = parameters(ran.part, engine);
    let of = |key: &str, end| {
        let found = list.iter().find(|p| p.key == key);
        found.map_or(0.0, |p| p.ranged.at(end))
    };
    let nodes = f64::from(ran.part.plan.network.nodes);
    let miners = ran.part.sheets[engine].committee.len() as f64;
    let power_w = Ranged::of(|end| {
        let (idle, peak) = (of("idle_w", end), of("peak_w", end));
        let servers = nodes * (idle + (peak - idle).max(0.0) * rates.cpu);
        // Who does not mine has no hash rate.
        let search = miners * of("hash_ths", end) * of("joules_per_th", end);
        (servers + search) * of("pue", end)
    });
    let kept = |end| (rates.stored + rates.blocks * of("block_bytes", end)) * SECONDS;
    let sent_bytes = rates.sent * SECONDS;
    let energy = |end| {
        // Over the first year the disks hold half of it on average.
        let disks = nodes * kept(end) / 2e12 * of("storage_w_per_tb", end) * of("pue", end);
        let network = sent_bytes / 1e9 * of("traffic_kwh_per_gb", end);
        (power_w.at(end) + disks) * HOURS / 1e3 + network
    };
    let cost = &ran.part.plan.cost;
    let price = |end| {
        energy(end) * cost.price_per_kwh.unwrap_or(0.0)
            + sent_bytes / 1e9 * cost.price_per_gb_sent.unwrap_or(0.0)
            + nodes * kept(end) / 2e9 * cost.price_per_gb_year.unwrap_or(0.0)
    };
    let writes = rates.valid * SECONDS;
    Some(Year {
        cpu: rates.cpu,
        power_w,
        energy_kwh: Ranged::of(energy),
        write_wh: (writes > 0.0).then(|| Ranged::of(|end| energy(end) * 1e3 / writes)),
        kept_bytes: Ranged::of(kept),
        sent_bytes,
        price: cost.is_priced().then(|| Ranged::of(price)),
    })
}

/// Whether a study has a year to tell: of combinations of factors there are too many.
pub(crate) fn is_told(study: &Study) -> bool {
    !matches!(study.plan.kind, PlanKind::Check | PlanKind::Attack) && !study.has_factors()
}

/// Writes `cost.csv`.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write(folder: &mut Folder, study: &Study, ran: &[Ran<'_>]) -> Result<(), Error> {
    if !is_told(study) {
        return Ok(());
    }
    let columns = [
        key(
            "profile",
            Kind::String,
            "settings of the engines: deployed or matched",
        ),
        key("workload", Kind::String, "name of the workload"),
        key("nodes", Kind::Integer, "nodes of the network"),
        key("engine", Kind::String, "label of the engine"),
        key("quantity", Kind::String, "what it takes"),
        column("unit", Kind::String, "", "unit of value, low and high"),
        column(
            "value",
            Kind::Number,
            "",
            "with the parameters as they are, in `unit`",
        ),
        column(
            "low",
            Kind::Number,
            "",
            "with every parameter at its low end",
        ),
        column(
            "high",
            Kind::Number,
            "",
            "with every parameter at its high end",
        ),
        column(
            "basis",
            Kind::String,
            "",
            "derived: by published parameters; simulated: carried on from the run for a year",
        ),
    ];
    let mut rows = Vec::new();
    for one in ran {
        for engine in 0..one.part.plan.engines.len() {
            for (quantity, unit, ranged, basis) in quantities(one, engine) {
                rows.push(vec![
                    Value::from(one.part.profile.name()),
                    Value::from(one.part.label.as_str()),
                    Value::from(u64::from(one.part.plan.network.nodes)),
                    Value::from(one.part.plan.engines[engine].label()),
                    Value::from(quantity),
                    Value::from(unit.as_str()),
                    Value::from(ranged.value),
                    Value::from(ranged.low),
                    Value::from(ranged.high),
                    Value::from(basis),
                ]);
            }
        }
    }
    Ok(folder.csv("cost.csv", &columns, rows)?)
}

type Quantity = (&'static str, String, Ranged, &'static str);

fn quantities(ran: &Ran<'_>, engine: usize) -> Vec<Quantity> {
    let Some(year) = year(ran, engine) else {
        return Vec::new();
    };
    let (derived, simulated) = ("derived", "simulated");
    let same = |value: f64| Ranged::of(|_| value);
    let nodes = f64::from(ran.part.plan.network.nodes);
    let all = Ranged::of(|end| nodes * year.kept_bytes.at(end));
    let mut list = vec![
        (
            "cpu_utilisation",
            "share".to_owned(),
            same(year.cpu),
            simulated,
        ),
        ("power", "W".to_owned(), year.power_w, derived),
        ("energy", "kWh/year".to_owned(), year.energy_kwh, derived),
        (
            "kept_by_a_node",
            "bytes/year".to_owned(),
            year.kept_bytes,
            derived,
        ),
        ("kept_by_all", "bytes/year".to_owned(), all, derived),
        (
            "sent_by_all",
            "bytes/year".to_owned(),
            same(year.sent_bytes),
            simulated,
        ),
    ];
    if let Some(wh) = year.write_wh {
        list.push(("energy_of_a_write", "Wh".to_owned(), wh, derived));
    }
    if let Some(price) = year.price {
        let currency = ran.part.plan.cost.currency.as_deref();
        let unit = format!("{}/year", currency.unwrap_or("unit of price"));
        list.push(("price", unit, price, derived));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_lies_in_its_range_and_has_a_source() {
        let all = MACHINES.iter().chain(&SHA256).chain(&SCRYPT).chain(&ETHASH);
        for one in all {
            let Ranged { value, low, high } = one.ranged;
            assert!(low <= value && value <= high, "{}", one.key);
            assert!(!one.source.is_empty(), "{}", one.key);
            // Each is a key of the table.
            let keys = CostPlan::default().numbers();
            assert!(keys.iter().any(|k| k.0 == one.key), "{}", one.key);
        }
    }

    /// What the plan says has no range.
    #[test]
    fn an_override_replaces_figure_and_range() {
        let cost = CostPlan {
            idle_w: Some(40.0),
            ..CostPlan::default()
        };
        let idle = given(&cost, MACHINES[0]);
        assert_eq!(idle.ranged, Ranged::of(|_| 40.0));
        assert_eq!(idle.source, "the plan");
        assert_eq!(given(&cost, MACHINES[1]).ranged, MACHINES[1].ranged);
    }
}
