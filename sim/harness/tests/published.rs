//! The validation presets against published figures: propagation and stale blocks of other people's
//! simulators, from the built-in plans of those names.
//!
//! `sim/harness/src/published.csv` says for each figure which plan with which overrides gives it, and
//! the band it should be in. Nothing is fitted: a figure outside its band has its cause in the last
//! column, and where the cause can be varied, a test here varies it. `scripts/published.sh` runs all.

use quorate::plan::{Plan, Source};
use quorate::study::Study;
use quorate::unit::{self, Key, Tweak};
use quorate::validate::logged::{self, All, Note, What};
use quorate::validate::world::{Offered, World, moments};
use quorate_consensus::Presets as _;
use quorate_consensus::nakamoto::{Config, Nakamoto};
use quorate_core::math::sqrt;
use quorate_core::{Seed, Span, Time};
use quorate_kernel::Report;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::io::Write as _;

const TABLE: &str = include_str!("../src/published.csv");

/// A published figure, and how to get it.
#[derive(Clone, serde::Deserialize)]
struct Row {
    id: String,
    quantity: String,
    expected: f64,
    lower: f64,
    upper: f64,
    /// A built-in plan.
    plan: String,
    measure: String,
    /// As for `-s`, with semicolons between them.
    overrides: String,
    blocks: u32,
    replications: u32,
    explanation: String,
}

fn rows() -> Vec<Row> {
    let mut reader = csv::Reader::from_reader(TABLE.as_bytes());
    let rows: Result<Vec<Row>, _> = reader.deserialize().collect();
    rows.expect("the table is well-formed")
}

fn row(id: &str) -> Row {
    let mut all = rows().into_iter();
    all.find(|row| row.id == id).expect("a row of the table")
}

/// So many pools instead of 16, each of the 16 split into equal ones. The followers' connections do
/// not suffice for 750 at each of 256.
fn split_pools(miners: usize) -> Vec<String> {
    let gervais = Config::preset("gervais-2016").expect("a preset");
    let pools = gervais.hash_shares;
    let copies = miners / pools.len();
    let shares = pools.repeat(copies);
    let nodes: Vec<usize> = (0..miners).collect();
    vec![
        format!("scale.committee={miners}"),
        format!("engines.0.config.hash_shares={shares:?}"),
        format!("network.classes.0.nodes={nodes:?}"),
        "network.classes.0.outbound=250".to_owned(),
    ]
}

/// The named plan with overrides, lasting so many blocks.
fn plan(name: &str, overrides: &str, blocks: u32) -> (Study, Config) {
    let source = Source::open(name).expect("a built-in plan");
    let mut list: Vec<String> = Vec::new();
    for item in overrides.split(';').filter(|o| !o.is_empty()) {
        match item.strip_prefix("miners=") {
            Some(miners) => list.extend(split_pools(miners.parse().expect("a number"))),
            None => list.push(item.to_owned()),
        }
    }
    let plan: Plan = source.plan(&list).expect("the plan is sound");
    let mut study = Study::open(&source, plan).expect("the plan can be opened");
    let part = &mut study.parts[0];
    let resolved = part.sheets[0].resolved.clone();
    let config: Config = resolved.try_into().expect("a configuration");
    part.plan.load.duration_s = config.block_interval_s * f64::from(blocks);
    (study, config)
}

/// The plan's world, in which nothing is submitted.
fn world(study: &Study, replication: u32) -> World {
    let part = &study.parts[0];
    let key = Key {
        engine: 0,
        offered_tps: part.plan.load.offered_tps.first().copied(),
        replication,
        tweak: Tweak::None,
    };
    let horizon = part.workload.horizon(&part.plan, key);
    let seed = Seed::new(part.plan.seed, replication);
    let finality = part.sheets[0]
        .finality
        .clone()
        .expect("blocks become final");
    let mut setup = unit::setup(&part.plan, key, finality, &part.workload, horizon, seed);
    setup.may_cut = false;
    World {
        setup,
        offered: Offered::NOTHING,
        register: false,
    }
}

fn stale(report: &Report) -> f64 {
    let chain = &report.chain;
    (chain.built - chain.height) as f64 / chain.built as f64
}

/// Median over blocks of the time until half (0) or nine tenths (1) of the nodes have checked one.
fn propagation_ms(report: &Report, share: usize) -> f64 {
    report.propagation[share].value_at_quantile(0.5) as f64 / 1e3
}

/// Median over nodes of the mean time until a node adopts a block, s.
fn node_median_s(log: &[Note], nodes: usize) -> f64 {
    let mut built: BTreeMap<u32, Time> = BTreeMap::new();
    let mut sums = vec![(Span::ZERO, 0_u32); nodes];
    for note in log {
        match note.what {
            What::Built => {
                built.insert(note.block.get(), note.at);
            }
            What::Adopted => {
                let (sum, n) = &mut sums[note.node.index()];
                *sum += note.at.since(built[&note.block.get()]);
                *n += 1;
            }
            What::Committed => {}
        }
    }
    let seen = sums.iter().filter(|(_, n)| *n > 0);
    let mut means: Vec<f64> = seen.map(|(sum, n)| sum.as_s() / f64::from(*n)).collect();
    means.sort_by(f64::total_cmp);
    means[means.len() / 2]
}

/// One replication of a measure, and the number of blocks behind it.
fn measure(measure: &str, study: &Study, config: &Config, replication: u32) -> (f64, u64) {
    let world = world(study, replication);
    if measure == "node_median_s" {
        let (report, log) = logged::run::<Nakamoto, All>(&world, config);
        let nodes = world.setup.network.region_of.len();
        return (node_median_s(&log, nodes), report.chain.built);
    }
    let report = world.run::<Nakamoto>(config);
    let got = match measure {
        "stale" => stale(&report),
        "p50_ms" => propagation_ms(&report, 0),
        "p90_ms" => propagation_ms(&report, 1),
        other => panic!("no measure {other}"),
    };
    (got, report.chain.built)
}

/// What came out.
struct Got {
    mean: f64,
    /// Standard error: of a share of blocks binomial, else from the replications.
    error: f64,
    blocks: u64,
}

fn got(row: &Row) -> Got {
    if let Some(before) = row.measure.strip_prefix("reduction_from:") {
        let of = |plan: &str| {
            got(&Row {
                plan: plan.to_owned(),
                measure: "p50_ms".to_owned(),
                ..row.clone()
            })
        };
        let (before, after) = (of(before), of(&row.plan));
        let left = after.mean / before.mean;
        let relative = |g: &Got| g.error / g.mean;
        let (a, b) = (relative(&before), relative(&after));
        return Got {
            mean: 1.0 - left,
            error: left * sqrt(a * a + b * b),
            blocks: before.blocks + after.blocks,
        };
    }
    let (study, config) = plan(&row.plan, &row.overrides, row.blocks);
    let runs: Vec<(f64, u64)> = (0..row.replications)
        .map(|r| measure(&row.measure, &study, &config, r))
        .collect();
    let values: Vec<f64> = runs.iter().map(|r| r.0).collect();
    let blocks = runs.iter().map(|r| r.1).sum();
    let (mean, sd) = moments(&values);
    let error = match row.measure.as_str() {
        "stale" => sqrt(mean * (1.0 - mean) / blocks as f64),
        _ => sd / sqrt(values.len() as f64),
    };
    Got {
        mean,
        error,
        blocks,
    }
}

fn is_in_band(row: &Row, value: f64) -> bool {
    (row.lower..=row.upper).contains(&value)
}

/// Shortened rows, so that they run with every test run: in their bands.
#[track_caller]
fn check(id: &str, shorten: impl Fn(&mut Row)) {
    let mut row = row(id);
    shorten(&mut row);
    let got = got(&row);
    assert!(
        is_in_band(&row, got.mean),
        "{id}: {} ± {} ({} blocks) is not in {}..{}",
        got.mean,
        got.error,
        got.blocks,
        row.lower,
        row.upper
    );
}

/// Every row is sound: its plan exists, its overrides apply, its band holds its figure.
#[test]
fn rows_are_sound() {
    let rows = rows();
    assert_eq!(rows.len(), 34);
    for row in &rows {
        assert!(is_in_band(row, row.expected), "{}", row.id);
        let (study, _) = plan(&row.plan, &row.overrides, row.blocks);
        assert_eq!(study.parts.len(), 1, "{}", row.id);
    }
}

/// source: rows PB-SIM-3, -4 and PB-NAG-2.
#[test]
fn simblock_spreads_blocks_as_published() {
    for id in ["PB-SIM-3", "PB-SIM-4", "PB-NAG-2"] {
        check(id, |row| {
            row.blocks = 60;
            row.replications = 2;
        });
    }
}

/// source: rows PB-GER-std-1s and PB-GER-stdmed-1s. Blocks of 890 bytes load no link, so that fewer
/// followers do.
#[test]
fn gervais_with_tiny_blocks_is_as_published() {
    for id in ["PB-GER-std-1s", "PB-GER-stdmed-1s"] {
        check(id, |row| {
            row.overrides += ";scale.values=[1000];network.classes.0.outbound=125";
            row.blocks = 300;
        });
    }
}

/// The rows that are asked for: `PUBLISHED_ROWS` is a part of their names. To vary a cause,
/// `PUBLISHED_SET` adds overrides to each, and `PUBLISHED_BLOCKS` replaces their numbers of blocks.
#[allow(
    clippy::disallowed_methods,
    reason = "what is asked for, not what comes out"
)]
fn asked() -> Vec<Row> {
    let env = |name| std::env::var(name).unwrap_or_default();
    let (part, set, blocks) = (
        env("PUBLISHED_ROWS"),
        env("PUBLISHED_SET"),
        env("PUBLISHED_BLOCKS"),
    );
    let mut rows = rows();
    rows.retain(|row| row.id.contains(&part));
    for row in &mut rows {
        row.overrides = format!("{};{set}", row.overrides);
        row.blocks = blocks.parse().unwrap_or(row.blocks);
    }
    rows
}

/// The whole table: `scripts/published.sh`. Fails if a row outside its band is not explained.
#[test]
#[ignore = "minutes; scripts/published.sh runs it"]
#[allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "the table is what it is run for, and may go to a file"
)]
fn table() {
    let wanted = asked();
    let finished = |row: &Row| {
        let got = got(row);
        println!("{} {:.4} ± {:.4}", row.id, got.mean, got.error);
        got
    };
    let all: Vec<Got> = wanted.par_iter().map(finished).collect();
    let mut out = csv::Writer::from_writer(Vec::new());
    let head = [
        "id",
        "quantity",
        "expected",
        "lower",
        "upper",
        "got",
        "error",
        "blocks",
        "verdict",
        "explanation",
    ];
    out.write_record(head).expect("written to memory");
    let mut unexplained = Vec::new();
    println!(
        "{:<18} {:>9} {:>9}..{:<9} {:>9} {:>8} {:>6}  verdict",
        "id", "published", "", "", "got", "±", "blocks"
    );
    for (row, got) in wanted.iter().zip(&all) {
        let good = is_in_band(row, got.mean);
        let verdict = if good { "in band" } else { "outside" };
        if !good && row.explanation.is_empty() {
            unexplained.push(row.id.clone());
        }
        let explanation = if good { "" } else { row.explanation.as_str() };
        println!(
            "{:<18} {:>9} {:>9}..{:<9} {:>9.4} {:>8.4} {:>6}  {verdict} {explanation}",
            row.id, row.expected, row.lower, row.upper, got.mean, got.error, got.blocks
        );
        let figures = [row.expected, row.lower, row.upper].map(|x| x.to_string());
        let (mean, error) = (format!("{:.5}", got.mean), format!("{:.5}", got.error));
        let [expected, lower, upper] = figures;
        let fields = [
            row.id.clone(),
            row.quantity.clone(),
            expected,
            lower,
            upper,
            mean,
            error,
            got.blocks.to_string(),
            verdict.to_owned(),
            explanation.to_owned(),
        ];
        out.write_record(&fields).expect("written to memory");
    }
    if let Ok(path) = std::env::var("PUBLISHED_OUT") {
        let bytes = out.into_inner().expect("written to memory");
        let mut file = std::fs::File::create(path).expect("the folder exists");
        file.write_all(&bytes).expect("there is space");
    }
    assert!(
        unexplained.is_empty(),
        "outside and not explained: {unexplained:?}"
    );
}

/// Four nodes a second apart, all connected, two of which mine; seconds from the building of each
/// block until every other node adopts it, by node.
fn adoptions(config: &Config) -> (Report, Vec<(u32, f64)>) {
    let world = World::new(4, Span::from_s(1), Span::from_s(200_000)).depth(1, 6);
    let config = Config {
        miners: 2,
        block_interval_s: 1_000.0,
        retarget_blocks: 0,
        ..config.clone()
    };
    let (report, log) = logged::run::<Nakamoto, All>(&world, &config);
    let built = |of: &Note| {
        log.iter()
            .find(|n| n.block == of.block)
            .map(|n| (n.node, n.at))
    };
    let adopted = log.iter().filter(|n| n.what == What::Adopted);
    let others = adopted.filter_map(|n| {
        let (creator, at) = built(n)?;
        (creator != n.node).then(|| (n.node.get(), n.at.since(at).as_s()))
    });
    (report, others.collect())
}

fn bytes_each(report: &Report, kind: &str) -> u64 {
    let (_, of) = report.traffic.iter().find(|t| t.0 == kind).expect("a kind");
    of.bytes.checked_div(of.messages).unwrap_or(0)
}

/// An announced block crosses three times, one sent unasked once, and the relay network once, but to
/// miners only. Background fills what is sent, and counts in the short form.
#[test]
fn rules_of_relay_and_background() {
    use quorate_consensus::nakamoto::RelayRule::{Inv, Unsolicited};
    let config = |relay, relay_network| Config {
        relay,
        relay_network,
        background_bytes: 10_000,
        background_txs: 20,
        ..Config::default()
    };
    let most = |all: &[(u32, f64)], followers: bool| {
        let some = all.iter().filter(|(node, _)| (*node >= 2) == followers);
        some.map(|(_, s)| *s).fold(0.0, f64::max)
    };
    let (report, inv) = adoptions(&config(Inv, false));
    assert!(report.chain.height > 150);
    assert_eq!(bytes_each(&report, "relay.block"), 10_000 + 104);
    let (_, unsolicited) = adoptions(&config(Unsolicited, false));
    let (report, fast) = adoptions(&config(Inv, true));
    // A header of 81 bytes in an envelope of 90, and two bytes for each of 20 transactions.
    assert_eq!(bytes_each(&report, "relay-network"), 171 + 40);
    // Checking costs the hash of ten kilobytes.
    let about = |s: f64, want: f64| (want..want + 0.01).contains(&s);
    assert!(about(most(&inv, false), 3.0) && about(most(&inv, true), 3.0));
    assert!(about(most(&unsolicited, false), 1.0) && about(most(&unsolicited, true), 1.0));
    assert!(about(most(&fast, false), 1.0) && about(most(&fast, true), 3.0));
}
