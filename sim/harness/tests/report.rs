//! The page of a result: well-formed, self-contained, small, complete, and the same bytes twice.

use std::path::{Path, PathBuf};
use std::process::Command;

const PLAN: &str = r#"
name = "page"
kind = "compare"
seed = 1
replications = 2
profiles = ["deployed", "matched"]

[network]
nodes = 4
regions = ["us-east-1", "us-west-2"]

[workload]
name = "hospital"
sites = 4
most_patients = 1000

[load]
offered_tps = [2.0, 5.0]
decide_at_tps = 5.0
duration_s = 60.0
drain_s = 60.0

[[engines]]
name = "qbft"
matched = { period_ms = 2000 }

[[engines]]
name = "central"
label = "central <&> \"quoted\""

[[levels]]
expect = "consent.revoke:exposure:p(95)<2s"
standing = "contract"
source = "</script><script>alert('it must not run')</script>"

[[levels]]
expect = "all:goodput:rate>99%"
standing = "assumption"
source = "nothing may pile up"
"#;

fn run(out: &Path, more: &[&str]) -> PathBuf {
    run_plan(out, PLAN, more)
}

fn run_plan(out: &Path, text: &str, more: &[&str]) -> PathBuf {
    let plan = out.join("page.toml");
    std::fs::write(&plan, text).expect("the scratch folder can be written");
    let results = out.join("results");
    let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(["run", plan.to_str().expect("UTF-8"), "--out"])
        .arg(&results)
        .args(more)
        .output()
        .expect("the binary runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let mut folders = std::fs::read_dir(results).expect("readable");
    let folder = folders.next().expect("one result");
    folder.expect("readable").path()
}

fn page(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("report.html")).expect("every result has a page")
}

/// Elements without content; our page has no others.
const VOID: [&str; 2] = ["meta", "wbr"];
/// Elements whose content is no markup.
const RAW: [&str; 2] = ["style", "script"];

/// Checks that every element is closed where it must be; returns the opening tags.
fn parse(page: &str) -> Vec<&str> {
    let mut rest = page
        .strip_prefix("<!DOCTYPE html>")
        .expect("a document type");
    let mut open: Vec<&str> = Vec::new();
    let mut tags = Vec::new();
    while let Some(at) = rest.find('<') {
        assert!(!rest[..at].contains('>'), "a stray >: {}", &rest[..at]);
        let end = at + rest[at..].find('>').expect("every tag ends");
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closed out of turn");
            continue;
        }
        tags.push(tag);
        let name = tag.split([' ', '/', '\n']).next().expect("a name");
        assert_eq!(tag.matches('"').count() % 2, 0, "quotes of <{tag}>");
        if VOID.contains(&name) || tag.ends_with('/') {
            continue;
        }
        open.push(name);
        if RAW.contains(&name) {
            let end = rest.find(&format!("</{name}>")).expect("it is closed");
            rest = &rest[end..];
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
    tags
}

/// The content of the page's only element of this name.
fn only<'a>(page: &'a str, name: &str) -> &'a str {
    let (before, after) = (format!("<{name}>"), format!("</{name}>"));
    assert_eq!(page.matches(&before).count(), 1, "one {name}");
    let from = page.find(&before).expect("it was counted") + before.len();
    let length = page[from..].find(&after).expect("it is closed");
    &page[from..from + length]
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

#[test]
fn the_page_is_whole_needs_nothing_else_and_says_all_answers() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let folder = run(scratch.path(), &[]);
    let page = page(&folder);
    let tags = parse(&page);

    // Nothing is fetched: no address but the name of SVG itself, no import.
    for tag in &tags {
        assert!(!tag.contains(" src="), "<{tag}>");
        let link = tag.split(" href=\"").nth(1);
        let is_within = |to: &str| to.starts_with('#') || to.starts_with("data:text/csv;");
        assert!(link.is_none_or(is_within), "<{tag}>");
        assert!(
            !tag.starts_with("link") && !tag.starts_with("img"),
            "<{tag}>"
        );
    }
    let svg = "xmlns=\"http://www.w3.org/2000/svg\"";
    assert!(!page.replace(svg, "").contains("http"), "an address");
    let style = only(&page, "style");
    assert!(!style.contains("url(") && !style.contains("@import"));
    let script = only(&page, "script");
    assert!(!script.contains("fetch") && !script.contains("import("));
    assert!(script.len() <= 60 << 10, "{} bytes of script", script.len());
    assert!(page.len() <= 2 << 20, "{} bytes", page.len());
    assert!(!page.contains("<script>alert"), "a text became markup");

    every_answer_stands(&folder, &page);
    pictures_and_tables_are_named(&page, &tags);
    let sums = std::fs::read_to_string(folder.join("SHA256SUMS")).expect("checksums");
    assert!(sums.contains("report.html") && sums.contains("risk.csv"));
}

/// Every row of `verdict.csv` is a row of the page.
fn every_answer_stands(folder: &Path, page: &str) {
    let mut table = csv::Reader::from_path(folder.join("verdict.csv")).expect("a table");
    let headers = table.headers().expect("a header").clone();
    let place = |name: &str| headers.iter().position(|h| h == name).expect("a column");
    let names = [
        "profile",
        "workload",
        "engine",
        "level",
        "situation",
        "answer",
        "reason",
    ];
    let places = names.map(place);
    let mut count = 0;
    for row in table.records() {
        let row = row.expect("a row");
        let [profile, workload, engine, level, situation, answer, reason] =
            places.map(|p| escaped(&row[p]));
        let mark = format!("data-profile=\"{profile}\" data-workload=\"{workload}\">");
        let part = page.split(&mark).nth(1).expect("the part stands");
        let part = part.split("class=\"part\"").next().expect("its own text");
        let sites = if situation.starts_with("one") {
            "one down"
        } else {
            "all up"
        };
        // Where a line may break is no part of what it says.
        let part = part.replace("<wbr>", "");
        let stands = part.split("<tr>").any(|line| {
            line.starts_with(&format!("<th scope=\"row\">{engine}</th>"))
                && line.contains(&format!("<code>{level}</code>"))
                && line.contains(&format!("<td>{sites}</td>"))
                && line.contains(&format!("<b class=\"{answer}\">"))
                && (reason.is_empty() || line.contains(&reason[1..]))
        });
        assert!(stands, "{row:?}");
        count += 1;
    }
    assert_eq!(
        count,
        2 * 2 * 2 * 2,
        "profiles, engines, levels, situations"
    );
}

fn pictures_and_tables_are_named(page: &str, tags: &[&str]) {
    let count = |start: &str| {
        let is = |t: &&&str| **t == start || t.starts_with(&format!("{start} "));
        tags.iter().filter(is).count()
    };
    // Five for what is corrupt and offline, at least two load curves for each profile, and the map.
    assert!(count("svg") > 2 * (5 + 2), "{}", count("svg"));
    assert_eq!(
        count("desc"),
        count("svg"),
        "each picture says what it shows"
    );
    assert_eq!(
        page.matches("role=\"img\">\n<title>").count(),
        count("svg"),
        "and has a name"
    );
    assert_eq!(count("figure"), count("svg"));
    let rows = "<figcaption><a download=\"";
    assert_eq!(
        page.matches(rows).count(),
        count("figure"),
        "rows to take away"
    );
    let points = page.matches("<g><title>").count();
    assert!(points > 100, "{points} values under the pointer");
    assert_eq!(count("caption"), count("table"));
    assert!(page.contains("scope=\"col\"") && page.contains("scope=\"row\""));
    assert_eq!(count("h1"), 1);
}

/// The page answers in the order in which it is read: question, answer, limits, then the rest; and no
/// heading leaves out a level.
#[test]
fn the_answer_comes_first() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let folder = run(scratch.path(), &["-s", "load.duration_s=20"]);
    let page = page(&folder);
    let at = |what: &str| page.find(what).unwrap_or_else(|| panic!("no {what}"));
    let order = [
        "class=\"skip\"",
        "<nav aria-label=\"Contents\"",
        "<h1>",
        "class=\"matrix\"",
        "What a ledger costs over central",
        "Reversal risk after 10 min",
        "Still commits with organisations offline",
        "What this cannot tell you",
        "id=\"levels\"",
        "<h4>Recommendation</h4>",
        "id=\"detail\"",
        "id=\"network\"",
        "id=\"cost\"",
        "id=\"method\"",
        "id=\"provenance\"",
    ];
    let places = order.map(at);
    assert!(
        places.is_sorted(),
        "{:?}",
        order.iter().zip(places).collect::<Vec<_>>()
    );
    let headings = page
        .match_indices("<h")
        .filter_map(|(i, _)| page.as_bytes()[i + 2].checked_sub(b'0'));
    let levels: Vec<u8> = headings.filter(|level| (1..=6).contains(level)).collect();
    assert!(
        levels.windows(2).all(|two| two[1] <= two[0] + 1),
        "{levels:?}"
    );
}

/// Every figure stands in the folder as the page has it, and by itself.
#[test]
fn figures_are_files_too() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let folder = run(scratch.path(), &["-s", "load.duration_s=20"]);
    let page = page(&folder);
    for name in [
        "load-deployed-1",
        "load-matched-2",
        "risk-deployed-5",
        "cdf-deployed",
    ] {
        let file = folder.join(format!("plots/{name}.svg"));
        let svg = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(page.contains(&svg), "{name}");
        assert!(
            svg.contains("font-family=\"sans-serif\"")
                && !svg.contains("font-family=\"sans-serif\" font-size")
        );
    }
}

/// Rows of `cost.csv` by engine and quantity: value, low, high.
fn costs(folder: &Path) -> Vec<(String, String, [f64; 3])> {
    let mut table = csv::Reader::from_path(folder.join("cost.csv")).expect("a table");
    let rows = table.records().map(|row| {
        let row = row.expect("a row");
        let number = |i: usize| row[i].parse().expect("a number");
        (row[3].to_owned(), row[4].to_owned(), [6, 7, 8].map(number))
    });
    rows.collect()
}

fn cost(folder: &Path, engine: &str, quantity: &str) -> [f64; 3] {
    let all = costs(folder);
    let found = all.iter().find(|c| c.0 == engine && c.1 == quantity);
    found
        .unwrap_or_else(|| panic!("no {quantity} of {engine}: {all:?}"))
        .2
}

/// Energy by hand: four idle nodes, and a miner in each where work decides.
#[test]
fn a_year_is_reckoned_from_what_the_plan_says() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let set = [
        "profiles=[\"deployed\"]",
        "load.offered_tps=[5.0]",
        "load.duration_s=20",
        "cost.idle_w=50",
        "cost.peak_w=50",
        "cost.pue=2",
        "cost.hash_ths=0.001",
        "cost.joules_per_th=1e6",
        "cost.storage_w_per_tb=0",
        "cost.traffic_kwh_per_gb=0",
        "cost.price_per_kwh=0.25",
        "cost.currency=EUR",
        "engines=[{name=\"qbft\"},{name=\"nakamoto\",config={preset=\"private-15s\"}}]",
    ];
    let set: Vec<&str> = set.iter().flat_map(|s| ["-s", *s]).collect();
    let folder = run(scratch.path(), &set);
    let near = |got: [f64; 3], want: f64| {
        assert!(
            got.iter().all(|g| (g / want - 1.0).abs() < 1e-9),
            "{got:?}, {want}"
        );
    };
    near(cost(&folder, "qbft", "power"), 4.0 * 50.0 * 2.0);
    near(
        cost(&folder, "nakamoto", "power"),
        4.0 * (50.0 + 1000.0) * 2.0,
    );
    near(cost(&folder, "qbft", "energy"), 0.4 * 8766.0);
    near(cost(&folder, "qbft", "price"), 0.4 * 8766.0 * 0.25);
    let kept = cost(&folder, "qbft", "kept_by_all");
    let of_one = cost(&folder, "qbft", "kept_by_a_node");
    assert!((kept[0] / of_one[0] - 4.0).abs() < 1e-9);
    assert!(
        of_one[1] < of_one[0] && of_one[0] < of_one[2],
        "blocks have a range"
    );
    assert!(page(&folder).contains("<th scope=\"col\">EUR</th>"));
}

/// What a year costs moves no simulated byte, and is refused where it makes no sense.
#[test]
fn costs_are_of_the_output_alone() {
    let scratch = || tempfile::tempdir().expect("a temporary folder");
    let small = ["-s", "load.duration_s=20", "-s", "profiles=[\"deployed\"]"];
    let (a, b, c) = (scratch(), scratch(), scratch());
    let plain = run(a.path(), &small);
    let dear = run(
        b.path(),
        &[
            &small[..],
            &["-s", "cost.idle_w=1000", "-s", "cost.peak_w=2000"],
        ]
        .concat(),
    );
    for file in ["replications.csv", "verdict.csv", "summary.csv"] {
        let of = |folder: &Path| std::fs::read(folder.join(file)).expect("it is there");
        assert_eq!(of(&plain), of(&dear), "{file}");
    }
    let power = |folder| cost(folder, "qbft", "power")[0];
    assert!(power(&dear) > 5.0 * power(&plain));
    let bad = [
        ("cost.pue=0.5", "`cost.pue` is 0.5"),
        ("cost.idle_w=-1", "`cost.idle_w` is -1"),
        ("cost.currency=EUR", "nothing has a price"),
        ("cost.watts=3", "watts"),
    ];
    for (set, says) in bad {
        let plan = c.path().join("page.toml");
        std::fs::write(&plan, PLAN).expect("the scratch folder can be written");
        let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
            .args(["run", plan.to_str().expect("UTF-8"), "-s", set])
            .output()
            .expect("the binary runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{set}: {error}");
        assert!(error.contains(says), "{set}: {error}");
    }
}

#[test]
fn same_plan_same_page() {
    let scratch = || tempfile::tempdir().expect("a temporary folder");
    let (a, b) = (scratch(), scratch());
    let small = ["-s", "load.duration_s=30"];
    let one = run(a.path(), &[&small[..], &["--threads", "1"]].concat());
    let two = run(b.path(), &[&small[..], &["--threads", "2"]].concat());
    for file in ["report.html", "risk.csv", "offline.csv", "cost.csv"] {
        let of = |folder: &Path| std::fs::read(folder.join(file)).expect("it is there");
        assert_eq!(of(&one), of(&two), "{file}");
    }
}

/// Curves, sizes and traces have no verdict; their pages are whole all the same.
#[test]
fn every_kind_of_plan_has_a_page() {
    let kinds: [(&str, &[&str]); 2] = [
        ("Knees", &["-s", "kind=\"curve\""]),
        (
            "All sizes",
            &[
                "-s",
                "kind=\"scale\"",
                "-s",
                "scale={axis=\"committee\",values=[4,7]}",
            ],
        ),
    ];
    for (says, set) in kinds {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let page = page(&run(scratch.path(), set));
        parse(&page);
        assert!(page.contains(says), "{says}");
    }

    let scratch = tempfile::tempdir().expect("a temporary folder");
    let rows = "at_s,class,site,key\n0,note,0,a\n5,note,1,b\n";
    std::fs::write(scratch.path().join("arrivals.csv"), rows).expect("it can be written");
    let page = page(&run_plan(scratch.path(), REPLAY, &[]));
    parse(&page);
    assert!(page.contains("<th scope=\"row\">note</th>"));
    assert!(page.contains("qbft is final after "));
}

const REPLAY: &str = r#"
name = "page"
kind = "replay"
replications = 2

[network]
nodes = 4
regions = ["us-east-1"]

[workload]
name = "trace"
format = "arrivals"
path = "arrivals.csv"

[[engines]]
name = "qbft"
"#;
