//! What the statistics of a study promise: flagged cells are never averaged as if steady, differences
//! are paired, cells get the replications that their precision asks for.

use quorate::output::{self, Ran};
use quorate::plan::Source;
use quorate::run::{self, Outcome};
use quorate::study::Study;
use quorate::unit::{Tweak, UnitStatus};
use quorate::verdict::{self, Answer};
use quorate::{stats, summary};
use quorate_core::Level;
use std::path::Path;

/// Two engines on four nodes; `more` are keys of the top level.
fn plan(kind: &str, more: &str) -> String {
    format!(
        r#"name = "case"
kind = "{kind}"
{more}
[network]
nodes = 4
regions = ["here"]
one_way_ms = 5.0
[workload]
name = "hospital"
sites = 4
most_patients = 1000
[load]
offered_tps = [20.0]
decide_at_tps = 20.0
duration_s = 30.0
drain_s = 60.0
[[engines]]
name = "raft"
[[engines]]
name = "central"
[[levels]]
expect = "all:final:p(50)<5s"
standing = "assumption"
source = "a test"
"#
    )
}

fn study(text: &str) -> Study {
    let source = Source::new("case", text);
    let plan = source.plan(&[]).unwrap_or_else(|e| panic!("{e}"));
    Study::open(&source, plan).unwrap_or_else(|e| panic!("{e}"))
}

fn ran(study: &Study) -> Vec<Outcome> {
    run::run(study, "cargo test").unwrap_or_else(|e| panic!("{e}"))
}

/// The rows of a table of results, as maps from column to cell.
struct Rows {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Rows {
    fn read(file: &Path) -> Self {
        let text =
            std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let line = |l: &str| l.split(',').map(str::to_owned).collect::<Vec<String>>();
        let mut lines = text.lines().map(line);
        let head = lines.next().expect("a header");
        Self {
            head,
            rows: lines.collect(),
        }
    }

    fn place(&self, column: &str) -> usize {
        let place = self.head.iter().position(|c| c == column);
        place.unwrap_or_else(|| panic!("no column {column}"))
    }

    /// One column of the rows that have these values.
    fn of(&self, column: &str, with: &[(&str, &str)]) -> Vec<&str> {
        let fits = |row: &&Vec<String>| with.iter().all(|(c, v)| row[self.place(c)] == *v);
        let rows = self.rows.iter().filter(fits);
        rows.map(|row| row[self.place(column)].as_str()).collect()
    }

    fn number(&self, column: &str, with: &[(&str, &str)]) -> f64 {
        let cells = self.of(column, with);
        assert_eq!(cells.len(), 1, "{column} with {with:?}");
        cells[0]
            .parse()
            .unwrap_or_else(|_| panic!("{column}: {:?}", cells[0]))
    }
}

/// Writes the results of a study with one part and gives the folder.
fn written(study: &Study, outcome: &Outcome, into: &Path) -> std::path::PathBuf {
    let part = &study.parts[0];
    let rows = verdict::judge(part, outcome, verdict::comparisons(study));
    let ran = [Ran {
        part,
        outcome,
        rows: &rows,
    }];
    output::write(into, study, &ran).unwrap_or_else(|e| panic!("{e}"))
}

/// One unit of ten that was not like the others takes the interval, the difference and the ratio of its
/// cell away, and the answer that rests on them; what is shown is that unit alone.
#[test]
fn one_flagged_unit_of_ten_leaves_no_steady_figure() {
    let study = study(&plan("compare", "replications = 10"));
    let mut outcomes = ran(&study);
    let outcome = &mut outcomes[0];
    let place = |o: &Outcome, engine| {
        let same = |c: &run::Cell| c.engine == engine && c.tweak == Tweak::None;
        o.cells.iter().position(same).expect("it was planned")
    };
    let cell = place(outcome, 0);
    let whole = summary::status(&outcome.cells[cell]);
    assert_eq!(whole, UnitStatus::Ok, "nothing is wrong to begin with");
    for (status, answer) in [
        (UnitStatus::Saturated, Answer::Fails),
        (UnitStatus::NotSteady, Answer::Undecided),
        (UnitStatus::Limit, Answer::Undecided),
    ] {
        outcome.cells[cell].units[3].status = status;
        let folder = tempfile::tempdir().expect("a folder");
        let results = written(&study, outcome, folder.path());

        let table = Rows::read(&results.join("summary.csv"));
        let of = |column| {
            let with = [("engine", "raft"), ("changed", "as planned")];
            table.of(column, &with)
        };
        assert!(of("status").iter().all(|s| *s == status.name()));
        for column in [
            "ci_low",
            "ci_high",
            "ci_level",
            "ci_method",
            "rel_halfwidth",
        ] {
            assert!(
                of(column).iter().all(|c| c.is_empty()),
                "{status:?}: {column}"
            );
        }
        assert!(of("n_reps").iter().all(|n| *n == "1"));
        let p50 = [
            ("engine", "raft"),
            ("changed", "as planned"),
            ("class", "all"),
            ("metric", "latency_final"),
            ("stat", "p50"),
        ];
        let alone = summary::latency(&outcome.cells[cell].units[3], None, Level::Final);
        let alone = summary::percentile_ms(alone, 50.0);
        assert!((table.number("value", &p50) - alone).abs() < 1e-9);

        let pairs = Rows::read(&results.join("compare.csv"));
        for column in [
            "diff",
            "diff_ci_low",
            "ratio",
            "p_t",
            "p_wilcoxon",
            "variance_ratio",
        ] {
            assert!(
                pairs.of(column, &[]).iter().all(|c| c.is_empty()),
                "{column}"
            );
        }
        assert!(
            pairs
                .of("status_a", &[])
                .iter()
                .all(|s| *s == status.name())
        );

        let part = &study.parts[0];
        let rows = verdict::judge(part, outcome, verdict::comparisons(&study));
        let row = rows.iter().find(|r| r.engine == 0 && !r.site_down);
        let row = row.expect("it is judged");
        assert_eq!(
            (row.answer, row.value.low),
            (answer, None),
            "{}",
            row.reason
        );

        // In the figure its point has no interval; that of the other engine has one.
        let svg = std::fs::read_to_string(results.join("plots/load.svg")).expect("a figure");
        assert!(
            svg.contains("Hollow: "),
            "a legend says what a flagged point is"
        );
        outcome.cells[cell].units[3].status = UnitStatus::Ok;
    }
}

/// What every replication says by itself needs no steady mean: outside in all is outside, and what is shown
/// is the best of them.
#[test]
fn what_every_replication_misses_is_missed() {
    let text = plan("compare", "replications = 10").replace("p(50)<5s", "p(50)<1ms");
    let study = study(&text);
    let mut outcomes = ran(&study);
    let outcome = &mut outcomes[0];
    let same = |c: &run::Cell| c.engine == 0 && c.tweak == Tweak::None;
    let cell = outcome.cells.iter().position(same).expect("planned");
    outcome.cells[cell].units[3].status = UnitStatus::NotSteady;
    let rows = verdict::judge(&study.parts[0], outcome, verdict::comparisons(&study));
    let row = rows.iter().find(|r| r.engine == 0 && !r.site_down);
    let row = row.expect("it is judged");
    assert_eq!(
        (row.answer, row.value.low),
        (Answer::Fails, None),
        "{}",
        row.reason
    );
    let medians = outcome.cells[cell].units.iter().map(|u| {
        let latency = summary::latency(u, None, Level::Final);
        summary::percentile_ms(latency, 50.0)
    });
    assert_eq!(row.value.mean, medians.reduce(f64::min));
}

/// The difference of two engines is the mean over the replications that both have, not the difference of
/// their means, and says what pairing is worth.
#[test]
fn differences_pair_replications() {
    let study = study(&plan("compare", "replications = 4"));
    let mut outcomes = ran(&study);
    let outcome = &mut outcomes[0];
    let find = |o: &Outcome, e| o.cells.iter().position(|c| c.engine == e).expect("a cell");
    let (raft, central) = (find(outcome, 0), find(outcome, 1));
    // The second engine lacks replication 0.
    outcome.cells[central].units.remove(0);
    let folder = tempfile::tempdir().expect("a folder");
    let results = written(&study, outcome, folder.path());
    let table = Rows::read(&results.join("compare.csv"));
    let with = [("metric", "latency_final"), ("stat", "mean")];
    let means = |place: usize| -> Vec<f64> {
        let units = outcome.cells[place].units.iter();
        let mean = |u| summary::mean_ms(summary::latency(u, None, Level::Final));
        units.map(mean).collect()
    };
    let (a, b) = (means(raft), means(central));
    let want = stats::paired_difference(&a[1..], &b, 0.95);
    let close = |column, want: f64| {
        let got = table.number(column, &with);
        assert!(
            (got - want).abs() < 1e-9 * want.abs(),
            "{column}: {got}, not {want}"
        );
    };
    close("diff", want.mean.unwrap());
    close("diff_ci_low", want.low.unwrap());
    close("diff_ci_high", want.high.unwrap());
    close("value_a", stats::student_interval(&a, 0.95).mean.unwrap());
    close("ratio", a[1..].iter().sum::<f64>() / b.iter().sum::<f64>());
    assert_eq!(table.of("n", &with), ["3"]);
    let apart = stats::variance(&a[1..]).unwrap() + stats::variance(&b).unwrap();
    let differences: Vec<f64> = a[1..].iter().zip(&b).map(|(a, b)| a - b).collect();
    close(
        "variance_ratio",
        apart / stats::variance(&differences).unwrap(),
    );
    // Holm never makes a probability smaller.
    for (p, holm) in table.of("p_t", &[]).iter().zip(table.of("p_t_holm", &[])) {
        assert!(p.is_empty() || p.parse::<f64>().unwrap() <= holm.parse::<f64>().unwrap());
    }
}

fn replications(outcome: &Outcome, engine: usize) -> usize {
    let planned = |c: &&run::Cell| c.engine == engine && c.tweak == Tweak::None;
    outcome
        .cells
        .iter()
        .find(planned)
        .expect("a cell")
        .units
        .len()
}

/// Cells have replications in blocks of twice as many, each decided by itself, and all of them are the
/// same as in a longer plan.
#[test]
fn cells_have_the_replications_that_precision_asks_for() {
    let keys = "replications = 2\nreplications_max = 12\nprecision = 0.01";
    let text = plan("curve", keys).replace("decide_at_tps = 20.0\n", "");
    let both = ran(&study(&text));
    let counts = [replications(&both[0], 0), replications(&both[0], 1)];
    assert!(
        counts.iter().all(|n| [2, 4, 8, 12].contains(n)),
        "{counts:?}"
    );
    assert!(
        counts[0] != 2 || counts[1] != 2,
        "none needed more: {counts:?}"
    );

    // Alone, an engine's cell gets as many: it looks at nothing else.
    let raft = text.replace("[[engines]]\nname = \"central\"\n", "");
    assert_eq!(replications(&ran(&study(&raft))[0], 0), counts[0]);

    // It stopped at the first block that was precise enough.
    let study = study(&text);
    for (engine, &count) in counts.iter().enumerate() {
        let cell = both[0]
            .cells
            .iter()
            .find(|c| c.engine == engine)
            .expect("a cell");
        let wide = |n: usize| {
            let samples = summary::samples(cell, |u| {
                let h = summary::latency(u, None, Level::Final);
                Some(summary::percentile_ms(h, 50.0))
            });
            let interval = stats::student_interval(&samples[..n], 0.95);
            interval.relative().is_none_or(|half| half > 0.01)
        };
        let mut n = 2;
        while wide(n) && n < 12 {
            n = (2 * n).min(12);
        }
        assert_eq!(count, n);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let results = written(&study, &both[0], folder.path());
    let table = Rows::read(&results.join("summary.csv"));
    let reached = table.of("precision_reached", &[("engine", "raft")]);
    assert!(reached.iter().all(|r| ["true", "false"].contains(r)));
}

/// A plan without a precision leaves the column empty; the regime of a sweep is steady, that of a
/// scenario and of a bad day terminating.
#[test]
fn regimes_and_samples_are_named() {
    let study = study(&plan("compare", "replications = 2"));
    let outcomes = ran(&study);
    let folder = tempfile::tempdir().expect("a folder");
    let results = written(&study, &outcomes[0], folder.path());
    let table = Rows::read(&results.join("summary.csv"));
    assert!(
        table
            .of("precision_reached", &[])
            .iter()
            .all(|c| c.is_empty())
    );
    assert!(table.of("regime", &[]).iter().all(|r| *r == "steady"));
    let with = |metric| {
        [
            ("engine", "raft"),
            ("changed", "as planned"),
            ("class", "all"),
            ("metric", metric),
            ("stat", if metric == "goodput" { "rate" } else { "mean" }),
        ]
    };
    assert_eq!(
        table.of("n_effective_unit", &with("goodput")),
        ["replications"]
    );
    // A block every two seconds at most: far fewer than transactions.
    assert_eq!(
        table.of("n_effective_unit", &with("latency_final")),
        ["blocks"]
    );
    let blocks = table.number("n_effective", &with("latency_final"));
    assert!((20.0..=30.0).contains(&blocks), "{blocks}");

    let asked = "replications = 2\nquestion = \"How long?\"\nanswer = \"{all:final:p(50)}\"";
    let text = plan("scenario", asked).replace("decide_at_tps = 20.0\n", "");
    let scenario = self::study(&text);
    let outcomes = ran(&scenario);
    let results = written(&scenario, &outcomes[0], folder.path());
    let plan = Rows::read(&results.join("plan.csv"));
    assert!(plan.of("regime", &[]).iter().all(|r| *r == "terminating"));
}

/// The bootstrap moves intervals and nothing else: neither values nor verdicts.
#[test]
fn the_bootstrap_replaces_intervals_only() {
    let of = |method: &str| {
        let keys = format!("replications = 10\ninterval = \"{method}\"");
        let study = study(&plan("compare", &keys));
        let outcomes = ran(&study);
        let folder = tempfile::tempdir().expect("a folder");
        let results = written(&study, &outcomes[0], folder.path());
        let verdict = std::fs::read_to_string(results.join("verdict.csv")).expect("a verdict");
        (Rows::read(&results.join("summary.csv")), verdict)
    };
    let (student, verdict) = of("student");
    let (bootstrap, same) = of("bootstrap");
    assert_eq!(verdict, same);
    assert_eq!(student.of("value", &[]), bootstrap.of("value", &[]));
    let methods = bootstrap.of("ci_method", &[("n_reps", "10"), ("status", "ok")]);
    assert!(methods.iter().all(|m| *m == "bootstrap_bca"));
    let goodput = [
        ("engine", "raft"),
        ("changed", "as planned"),
        ("metric", "goodput"),
    ];
    let width = |t: &Rows| t.number("ci_high", &goodput) - t.number("ci_low", &goodput);
    let (wide, narrow) = (width(&student), width(&bootstrap));
    // Of ten replications the bootstrap's is narrower, by the table of docs/statistics.md.
    assert!(narrow < wide && narrow > 0.5 * wide, "{narrow}, {wide}");
}

/// Keys that cannot be are refused, with what to do.
#[test]
fn impossible_precisions_are_refused() {
    for (keys, why) in [
        ("precision = 0.0", "`precision` is 0"),
        ("precision = 1.5", "`precision` is 1.5"),
        ("replications_max = 20", "precision, which is not set"),
        (
            "precision = 0.05\nreplications_max = 4",
            "fewer than replications",
        ),
    ] {
        let text = plan("compare", &format!("replications = 10\n{keys}"));
        let error = Source::new("case", text).plan(&[]).expect_err(keys);
        assert!(error.to_string().contains(why), "{keys}: {error}");
        assert_eq!(error.code, 78);
    }
}
