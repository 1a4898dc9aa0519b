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
const VOID: [&str; 1] = ["meta"];
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
        assert!(link.is_none_or(|to| to.starts_with('#')), "<{tag}>");
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
        let stands = part.split("<tr>").any(|line| {
            line.starts_with(&format!("<th scope=\"row\">{engine}</th>"))
                && line.contains(&format!("<code>{level}</code>"))
                && line.contains(&format!("<td>{sites}</td>"))
                && line.contains(&format!("<b class=\"{answer}\">"))
                && line.contains(&format!("<td>{reason}</td>"))
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
    // Five for what is corrupt and offline, two load curves for each profile.
    assert_eq!(count("svg"), 2 * (5 + 2));
    assert_eq!(
        count("title"),
        count("svg") + 1,
        "of the page and of each picture"
    );
    assert_eq!(count("desc"), count("svg"));
    assert_eq!(count("caption"), count("table"));
    assert!(page.contains("scope=\"col\"") && page.contains("scope=\"row\""));
    assert_eq!(count("h1"), 1);
}

#[test]
fn same_plan_same_page() {
    let scratch = || tempfile::tempdir().expect("a temporary folder");
    let (a, b) = (scratch(), scratch());
    let small = ["-s", "load.duration_s=30"];
    let one = run(a.path(), &[&small[..], &["--threads", "1"]].concat());
    let two = run(b.path(), &[&small[..], &["--threads", "2"]].concat());
    for file in ["report.html", "risk.csv", "offline.csv"] {
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
