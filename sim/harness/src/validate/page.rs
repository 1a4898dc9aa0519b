//! The page about a validation: the counts, the misses with their reasons, simulated against
//! expected by family, and every row. It needs nothing else and holds no time.

use super::run::{Count, KINDS, Row, Verdict, band, count, misses, number};
use super::{FAMILIES, Kind, Tier};
use crate::plots::{self, Bound, Curve, Line, Marks, Point, PointStatus, Series};
use crate::report::STYLE;
use crate::report::html::{Table, element, tag, text};

/// Bands that a figure reaches to; what is farther off is drawn at its edge.
const REACH: f64 = 2.0;

/// The page.
pub(super) fn page(rows: &[Row]) -> String {
    let families = families(rows);
    let main = answer(rows) + &overview(rows) + &details(&families) + &method();
    let head = [
        "<meta charset=\"utf-8\">".to_owned(),
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">".to_owned(),
        "<meta name=\"color-scheme\" content=\"light dark\">".to_owned(),
        tag("title", "Validation: quorate"),
        element("style", &[], STYLE),
    ];
    let skip = element(
        "a",
        &[("class", "skip"), ("href", "#main")],
        "To the answer",
    );
    let body = skip + &contents(&families) + &element("main", &[("id", "main")], &main);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n{}\n</head>\n{}\n</html>\n",
        head.join("\n"),
        element("body", &[], &body)
    )
}

/// The figures by the names of their files.
pub(super) fn figures(rows: &[Row]) -> Vec<(String, Curve)> {
    let mut all = vec![("all".to_owned(), against(rows))];
    for (name, of) in families(rows) {
        if let Some(curve) = deviations(name, &of) {
            all.push((name.to_owned(), curve));
        }
    }
    all
}

/// Rows by family, in the order of the families.
fn families(rows: &[Row]) -> Vec<(&'static str, Vec<&Row>)> {
    let of = |name| rows.iter().filter(move |r| r.family == name).collect();
    let all = FAMILIES.iter().map(|f| (f.name, of(f.name)));
    all.filter(|(_, rows): &(_, Vec<&Row>)| !rows.is_empty())
        .collect()
}

fn contents(families: &[(&'static str, Vec<&Row>)]) -> String {
    let link = |to: &str, name: &str| element("a", &[("href", to)], &text(name));
    let mut links = vec![link("#answer", "Answer"), link("#all", "All rows at once")];
    links.extend(families.iter().map(|(f, _)| link(&format!("#{f}"), f)));
    links.push(link("#method", "Method"));
    element("nav", &[("aria-label", "Contents")], &links.concat())
}

fn section(id: &str, content: &str) -> String {
    element("section", &[("id", id)], content)
}

/// The counts, then every miss with its reason.
fn answer(rows: &[Row]) -> String {
    let broken = rows
        .iter()
        .filter(|r| r.case.tier == Tier::A && r.verdict() == Verdict::Miss)
        .count();
    let title = match broken {
        0 => "Every law holds".to_owned(),
        1 => "One law does not hold".to_owned(),
        n => format!("{n} laws do not hold"),
    };
    let counts = KINDS.map(|(kind, name)| {
        let Count { hold, judged } = count(rows, kind);
        tag("li", &format!("{name}: {hold} of {judged} in their bands"))
    });
    let missed = misses(rows);
    let reasons = if missed.is_empty() {
        tag("p", "No row misses its band.")
    } else {
        let mut table = Table::new(
            "Rows outside their bands",
            &["Id", "Tier", "Quantity", "Expected", "Band", "Got", "Why"],
        );
        for row in missed {
            let why = if row.note().is_empty() {
                "not explained"
            } else {
                row.note()
            };
            table.rows.push(vec![
                text(&row.case.id),
                format!("{:?}", row.case.tier),
                text(&row.case.quantity),
                number(row.case.expected),
                band(&row.case),
                got(row),
                text(why),
            ]);
        }
        table.markup()
    };
    let content = tag("h1", &title) + &element("ul", &[], &counts.concat()) + &reasons;
    section("answer", &content)
}

fn got(row: &Row) -> String {
    row.value().map_or_else(|| "–".to_owned(), number)
}

/// Simulated against expected, all rows in one figure.
fn overview(rows: &[Row]) -> String {
    let figure = element("figure", &[], &plots::draw(&against(rows)));
    section("all", &(tag("h2", "All rows at once") + &figure))
}

fn against(rows: &[Row]) -> Curve {
    let series = KINDS.iter().enumerate().map(|(look, (kind, name))| Series {
        label: (*name).to_owned(),
        look,
        variant: 0,
        points: points_of(rows, *kind),
    });
    Curve {
        title: "Simulated against expected".to_owned(),
        x_label: "expected (each row in its own unit)".to_owned(),
        y_label: "simulated".to_owned(),
        x_log: true,
        y_log: true,
        marks: Marks::Dots,
        series: series.filter(|s| !s.points.is_empty()).collect(),
        bounds: vec![Bound {
            label: "as expected".to_owned(),
            line: Line::Diagonal,
        }],
        note:
            "A point is a row; bars are bands around what is expected; hollow points miss theirs. \
               Rows whose expected or simulated value is zero have no place on these axes."
                .to_owned(),
        ..Curve::default()
    }
}

/// The points of a kind. The band is drawn at the height of the point's expected value.
fn points_of(rows: &[Row], kind: Kind) -> Vec<Point> {
    let of = rows.iter().filter(|r| r.case.kind == kind);
    let with = of.filter_map(|row| Some((row, row.value()?)));
    let mut points: Vec<Point> = with
        .filter(|(row, got)| row.case.expected > 0.0 && *got > 0.0)
        .map(|(row, got)| Point {
            x: row.case.expected,
            y: got,
            low: (row.case.lower > 0.0).then_some(row.case.lower),
            high: (row.case.lower > 0.0).then_some(row.case.upper),
            status: status(row),
        })
        .collect();
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    points
}

fn status(row: &Row) -> PointStatus {
    match row.verdict() {
        Verdict::Miss => PointStatus::Flagged,
        Verdict::Pass | Verdict::Context => PointStatus::Ok,
    }
}

/// A family's rows, each measured by its own band; `None` when nothing was simulated.
fn deviations(name: &str, rows: &[&Row]) -> Option<Curve> {
    let with = rows.iter().enumerate();
    let points: Vec<Point> = with
        .filter_map(|(place, row)| {
            Some(Point {
                x: (place + 1) as f64,
                y: deviation(row)?,
                low: None,
                high: None,
                status: status(row),
            })
        })
        .collect();
    if points.is_empty() {
        return None;
    }
    let edge = |label: &str, at| Bound {
        label: label.to_owned(),
        line: Line::Horizontal(at),
    };
    Some(Curve {
        title: format!("{name}: how far from expected, measured by the band"),
        x_label: "row of the table below".to_owned(),
        y_label: "distance (half bands)".to_owned(),
        x_whole: true,
        marks: Marks::Dots,
        series: vec![Series {
            label: "simulated".to_owned(),
            look: 0,
            variant: 0,
            points,
        }],
        bounds: vec![
            edge("upper", 1.0),
            edge("expected", 0.0),
            edge("lower", -1.0),
        ],
        note: format!(
            "1 and −1 are the ends of a row's band; hollow points miss it; what is farther off than \
             {REACH} stands at {REACH}. Exact rows are at 0 or at the edge."
        ),
        ..Curve::default()
    })
}

/// How far off a value is, in lengths from the expected value to that end of the band.
fn deviation(row: &Row) -> Option<f64> {
    let (case, off) = (&row.case, row.value()? - row.case.expected);
    let half = if off < 0.0 {
        case.expected - case.lower
    } else {
        case.upper - case.expected
    };
    let by = if row.verdict() == Verdict::Pass && half <= 0.0 {
        0.0
    } else {
        off / half.max(f64::MIN_POSITIVE)
    };
    Some(by.clamp(-REACH, REACH))
}

/// Each family: its figure and its table.
fn details(families: &[(&'static str, Vec<&Row>)]) -> String {
    let of = |(name, rows): &(&'static str, Vec<&Row>)| {
        let figure = deviations(name, rows).map(|c| element("figure", &[], &plots::draw(&c)));
        let content = tag("h2", name) + &figure.unwrap_or_default() + &table(name, rows).markup();
        section(name, &content)
    };
    families.iter().map(of).collect()
}

fn table(name: &str, rows: &[&Row]) -> Table {
    let head = [
        "Row", "Id", "Tier", "Quantity", "With", "Expected", "Band", "Got", "Verdict", "Source",
    ];
    let mut table = Table::new(format!("Rows of {name}"), &head);
    table.rows = rows
        .iter()
        .enumerate()
        .map(|(place, row)| {
            let case = &row.case;
            let verdict = row.verdict();
            let class = match verdict {
                Verdict::Pass => "holds",
                Verdict::Miss => "fails",
                Verdict::Context => "undecided",
            };
            vec![
                (place + 1).to_string(),
                text(&case.id),
                format!("{:?}", case.tier),
                text(&case.quantity),
                tag("code", &case.parameters.replace(';', "; ")),
                number(case.expected),
                band(case),
                got(row),
                element("b", &[("class", class)], verdict.name()),
                text(&case.source),
            ]
        })
        .collect();
    table
}

fn method() -> String {
    let tiers = [
        ("A", "a law or arithmetic: a miss is a bug."),
        (
            "B",
            "published, and given by the model without fitting: a miss is a bug or a wrong denominator.",
        ),
        (
            "C",
            "measured on a real system or by another simulator, under a preset: a miss is reported \
             with what is known about it.",
        ),
        ("D", "context: printed beside, never judged."),
    ];
    let tiers = tiers.map(|(tier, what)| {
        let line = tag("b", &format!("Tier {tier}")) + ": " + &text(what);
        element("li", &[], &line)
    });
    let words = "A statistical row allows four standard errors for its number of samples, and where \
                 the law is a first-order model, a stated share on top. Draws are fixed, so that a \
                 row that misses misses always. Nothing is fitted, and no band is widened to turn a \
                 row. What is exact is compared as it is written, in six digits. Rows of tiers C and \
                 D that take minutes are there only when they were asked for (`--full`).";
    let content = tag("h2", "Method") + &tag("p", words) + &element("ul", &[], &tiers.concat());
    section("method", &content)
}
