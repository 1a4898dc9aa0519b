//! Figures: measured curves with intervals, analytic bounds and direct labels, as SVG text.
//!
//! The same curve gives the same bytes on every machine: logarithms come from `quorate_core::math`,
//! ticks and their labels are ours (those of plotters use platform maths), and coordinates are
//! rounded to a hundredth of a pixel. What cannot be drawn is named below the picture, not dropped.
//!
//! Colours are those of Okabe and Ito, which colour-blind readers tell apart; marker and dash vary
//! with them, so that a figure survives a black-and-white printer.

pub(crate) mod tornado;

use std::cmp::Ordering;
use std::fmt::Write as _;

use plotters::prelude::{
    Color, DrawingBackend, FontStyle, IntoFont, RGBColor, SVGBackend, TextStyle,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use quorate_core::math;

/// One figure: series over a common pair of axes.
#[derive(Debug, Clone, Default)]
pub struct Curve {
    /// Says what is seen.
    pub title: String,
    /// Quantity and unit of x: `offered load (tx/s)`.
    pub x_label: String,
    /// Quantity and unit of y.
    pub y_label: String,
    /// Whether x is on a logarithmic scale.
    pub x_log: bool,
    /// Whether y is on a logarithmic scale.
    pub y_log: bool,
    /// Whether x counts things, so that only whole numbers have ticks.
    pub x_whole: bool,
    /// Where y has ticks, both ends included; absent means everywhere. What is drawn beyond stands
    /// for the end, in a lane of its own, so that lines that coincide can be told apart.
    pub y_ticks: Option<(f64, f64)>,
    /// Whether a line joins the points of a series.
    pub marks: Marks,
    /// What was measured.
    pub series: Vec<Series>,
    /// What could at best be.
    pub bounds: Vec<Bound>,
    /// Printed below the figure: what the bars mean, how many replications.
    pub note: String,
}

/// How a series is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Marks {
    /// A line through the points.
    #[default]
    Line,
    /// A marker for each point, which stands for itself. The note says what hollow means.
    Dots,
}

/// Measured points in the order in which a line joins them.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// Stands at the end of the line.
    pub label: String,
    /// Which colour, marker and dash: one number for one engine in all figures.
    pub look: usize,
    /// 0 for the main line of a look; higher ones are thinner (percentiles of one engine).
    pub variant: usize,
    /// The points.
    pub points: Vec<Point>,
}

/// One measured value.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    /// In the unit of the x axis.
    pub x: f64,
    /// In the unit of the y axis.
    pub y: f64,
    /// Lower end of the interval of y.
    pub low: Option<f64>,
    /// Upper end of the interval of y.
    pub high: Option<f64>,
    /// Whether to trust it as steady.
    pub status: PointStatus,
}

/// Whether a point came from steady units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointStatus {
    /// Steady.
    Ok,
    /// Saturated or not steady; drawn hollow.
    Flagged,
}

/// A line that was computed, not measured.
#[derive(Debug, Clone)]
pub struct Bound {
    /// What limits; empty where another bound of the figure says it.
    pub label: String,
    /// Where.
    pub line: Line,
}

/// The course of a bound.
#[derive(Debug, Clone)]
pub enum Line {
    /// At this y.
    Horizontal(f64),
    /// At this x.
    Vertical(f64),
    /// y = x, such as goodput that equals the offered load.
    Diagonal,
    /// Through these points (x, y).
    Path(Vec<(f64, f64)>),
}

/// Width of a figure in pixels.
const WIDTH: f64 = 660.0;
/// Least height of the plotted area in pixels.
const AREA_HEIGHT: f64 = 300.0;
/// Figures in one row of a panel; more would be unreadable on paper.
const PANEL_COLUMNS: usize = 2;
/// Drawing units in a pixel: the backend knows whole numbers only.
const UNITS: f64 = 100.0;

const TITLE_SIZE: f64 = 15.0;
const LABEL_SIZE: f64 = 12.0;
const TICK_SIZE: f64 = 11.0;
const NOTE_SIZE: f64 = 11.0;
/// Distance between lines of text that are as high as a label.
const LINE_STEP: f64 = 16.0;
/// Width that a label on the right is cut to.
const LONGEST_LABEL: f64 = 260.0;
/// Distance from a tick's label to the axis.
const TICK_GAP: f64 = 8.0;
/// Space around a figure.
const MARGIN: f64 = 14.0;

const WHITE: RGBColor = RGBColor(255, 255, 255);
const INK: RGBColor = RGBColor(34, 34, 34);
const SOFT_INK: RGBColor = RGBColor(90, 90, 90);
const AXIS: RGBColor = RGBColor(120, 120, 120);
const GRID: RGBColor = RGBColor(224, 224, 224);
const FINE_GRID: RGBColor = RGBColor(242, 242, 242);

/// Okabe and Ito's colours in an order of falling difference, without the yellow, which white
/// paper swallows.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(0, 0, 0),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// How a line is broken, as an index into [`DASHES`].
type Dash = usize;
const SOLID: Dash = 0;
/// The dashes of series. Their number shares no factor with that of the colours, nor with that of
/// the markers: 210 looks differ.
const SERIES_DASHES: [Dash; 5] = [SOLID, 1, 2, 3, 4];
const BOUND_DASH: Dash = 5;
const LEADER_DASH: Dash = 6;
/// Lengths of dash, gap, dash, gap, … in drawing units.
const DASHES: [&str; 7] = [
    "",
    "900 400",
    "300 300",
    "1200 400 300 400",
    "1800 500",
    "600 400",
    "100 300",
];

/// Corners of the markers around their centre, at a radius of about one; no corners is a circle.
const MARKERS: [&[(f64, f64)]; 6] = [
    &[],
    &[(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
    &[(0.0, -1.15), (1.05, 0.75), (-1.05, 0.75)],
    &[(0.0, -1.25), (1.05, 0.0), (0.0, 1.25), (-1.05, 0.0)],
    &[(0.0, 1.15), (1.05, -0.75), (-1.05, -0.75)],
    &[
        (0.4, -1.0),
        (1.0, -0.4),
        (1.0, 0.4),
        (0.4, 1.0),
        (-0.4, 1.0),
        (-1.0, 0.4),
        (-1.0, -0.4),
        (-0.4, -1.0),
    ],
];
const MARKER_RADIUS: f64 = 3.8;
/// A line with more points than this has markers at some of them only.
const MAX_MARKERS: usize = 40;

/// One figure as SVG text.
pub fn draw(curve: &Curve) -> String {
    draw_panel(std::slice::from_ref(curve))
}

/// Figures side by side, two in a row, as one SVG text.
pub fn draw_panel(curves: &[Curve]) -> String {
    let mut charts: Vec<Chart> = curves.iter().map(Chart::new).collect();
    let columns = charts.len().clamp(1, PANEL_COLUMNS);
    let mut height = 0.0;
    for row in charts.chunks_mut(columns) {
        height += arrange(row, height);
    }
    let (width, height) = (WIDTH * columns as f64, height.max(1.0));
    let mut body = String::new();
    let mut canvas = Canvas::new(&mut body, width, height);
    canvas.polygon(
        &[(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)],
        WHITE,
    );
    for chart in &charts {
        chart.draw(&mut canvas);
    }
    drop(canvas);
    finish_svg(&body, width, height, curves)
}

/// Aligns the plotted areas of one row of charts below `top`; returns the row's height.
fn arrange(row: &mut [Chart], top: f64) -> f64 {
    for (column, chart) in (0_u32..).zip(&mut *row) {
        chart.place_between(f64::from(column) * WIDTH);
    }
    let most = |height: &dyn Fn(&Chart) -> f64| row.iter().map(height).fold(0.0, f64::max);
    let head = most(&|chart| chart.head());
    let area = most(&|chart| chart.area_height());
    let foot = most(&|chart| chart.foot());
    for chart in row {
        chart.top = top;
        chart.area.top = top + head;
        chart.area.bottom = top + head + area;
    }
    head + area + foot
}

/// Puts our own opening tag, with a viewport in pixels and a description, in place of the backend's.
fn finish_svg(body: &str, width: f64, height: f64, curves: &[Curve]) -> String {
    let mut svg = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {} {}\" role=\"img\">",
        width * UNITS,
        height * UNITS,
    );
    let titles: Vec<&str> = curves.iter().map(|curve| curve.title.as_str()).collect();
    let about: Vec<String> = curves.iter().map(description).collect();
    let _ = writeln!(svg, "<title>{}</title>", escape(&titles.join("; ")));
    let _ = writeln!(svg, "<desc>{}</desc>", escape(&about.join(" ")));
    let content = body.split_once('\n').map_or("", |(_, content)| content);
    // Full opacity is the default. A text cannot hold this attribute: its quotes are escaped.
    write_dashes(&mut svg, &content.replace(" opacity=\"1\"", ""));
    svg
}

/// What a figure shows, for those who do not see it.
fn description(curve: &Curve) -> String {
    let names: Vec<&str> = curve.series.iter().map(|s| s.label.as_str()).collect();
    let (title, y, x) = (&curve.title, &curve.y_label, &curve.x_label);
    format!("{title}: {y} against {x}; lines: {}.", names.join(", "))
}

/// Writes out the dashes that [`Canvas::line`] left in the last digit of each line's width.
fn write_dashes(svg: &mut String, content: &str) {
    const WIDTH: &str = " stroke-width=\"";
    let mut parts = content.split(WIDTH);
    svg.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (width, rest) = part.split_once('"').unwrap_or((part, ""));
        let units: usize = width.parse().unwrap_or_default();
        let (width, dash) = (units / 10 * 10, units % 10);
        if width > 0 {
            let _ = write!(svg, "{WIDTH}{width}\"");
        }
        if dash != SOLID {
            let _ = write!(svg, " stroke-dasharray=\"{}\"", DASHES[dash]);
        }
        svg.push_str(rest);
    }
}

pub(crate) fn escape(text: &str) -> String {
    let text = printable(text);
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// XML has no way to write most control characters.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A place on the canvas in pixels.
type Place = (f64, f64);

/// The plotted area, in pixels.
#[derive(Debug, Clone, Copy, Default)]
struct Area {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

/// A figure being laid out.
struct Chart<'a> {
    curve: &'a Curve,
    x_axis: Axis,
    y_axis: Axis,
    title: Vec<String>,
    note: Vec<String>,
    /// Where the figure begins.
    top: f64,
    area: Area,
}

impl<'a> Chart<'a> {
    fn new(curve: &'a Curve) -> Self {
        let points: Vec<&Point> = curve
            .series
            .iter()
            .flat_map(|s| drawable(curve, s))
            .collect();
        let xs: Vec<f64> = points.iter().map(|p| p.x).collect();
        let ends = points.iter().flat_map(|p| [Some(p.y), p.low, p.high]);
        let ys: Vec<f64> = ends.flatten().collect();
        let lines = || curve.bounds.iter().map(|bound| &bound.line);
        let verticals: Vec<f64> = lines().filter_map(vertical).collect();
        let horizontals: Vec<f64> = lines().filter_map(horizontal).collect();
        let mut x_axis = Axis::new(curve.x_log, false, &xs, &verticals);
        let mut y_axis = Axis::new(curve.y_log, true, &ys, &horizontals);
        if curve.x_whole {
            x_axis.ticks = whole_ticks(x_axis.low, x_axis.high);
        }
        if let Some(ends) = curve.y_ticks {
            y_axis.keep_ticks(ends);
        }
        let note = notes(curve, &x_axis, &y_axis);
        let line = WIDTH - 2.0 * MARGIN;
        Self {
            curve,
            x_axis,
            y_axis,
            title: wrap(&curve.title, TITLE_SIZE * 1.1, line),
            note: wrap(&note, NOTE_SIZE, line),
            top: 0.0,
            area: Area::default(),
        }
    }

    /// Sets the sides of the plotted area for a figure that begins at `left`.
    fn place_between(&mut self, left: f64) {
        self.area.left = left + MARGIN + self.y_axis.label_width() + TICK_GAP;
        self.area.right = left + WIDTH - MARGIN - self.label_width();
    }

    /// Height above the plotted area, whose sides are known.
    fn head(&self) -> f64 {
        let lines = self.title.len() + 1 + self.flag_rows();
        MARGIN + lines as f64 * LINE_STEP + 12.0
    }

    /// Height of the plotted area: enough for the labels on its right.
    fn area_height(&self) -> f64 {
        let labels = self.curve.series.len() + self.curve.bounds.len();
        AREA_HEIGHT.max(labels as f64 * LINE_STEP)
    }

    /// Height below the plotted area.
    fn foot(&self) -> f64 {
        MARGIN + 42.0 + self.note.len() as f64 * LINE_STEP
    }

    /// Width of the column of labels on the right.
    fn label_width(&self) -> f64 {
        let series = self.curve.series.iter().map(|series| &series.label);
        let beside = |bound: &&Bound| vertical(&bound.line).is_none();
        let bounds = self.curve.bounds.iter().filter(beside);
        let labels = series.chain(bounds.map(|bound| &bound.label));
        let widths = labels.map(|label| text_width(label, LABEL_SIZE));
        widths.fold(0.0, f64::max).min(LONGEST_LABEL) + 36.0
    }

    fn draw(&self, canvas: &mut Canvas) {
        self.draw_grid(canvas);
        self.draw_axes(canvas);
        self.draw_words(canvas);
        let mut labels = self.draw_bounds(canvas);
        self.draw_flags(canvas);
        for series in &self.curve.series {
            self.draw_line(canvas, series);
        }
        for series in &self.curve.series {
            labels.extend(self.draw_points(canvas, series));
        }
        self.draw_labels(canvas, labels);
    }

    fn draw_grid(&self, canvas: &mut Canvas) {
        let Area {
            left,
            right,
            top,
            bottom,
        } = self.area;
        for (fine, colour) in [(true, FINE_GRID), (false, GRID)] {
            for tick in self
                .x_axis
                .ticks
                .iter()
                .filter(|tick| tick.is_fine() == fine)
            {
                let x = self.x(tick.at);
                canvas.line(&[(x, bottom), (x, top)], colour, 1.0, SOLID);
            }
            for tick in self
                .y_axis
                .ticks
                .iter()
                .filter(|tick| tick.is_fine() == fine)
            {
                let y = self.y(tick.at);
                canvas.line(&[(left, y), (right, y)], colour, 1.0, SOLID);
            }
        }
    }

    fn draw_axes(&self, canvas: &mut Canvas) {
        let Area {
            left,
            right,
            bottom,
            ..
        } = self.area;
        canvas.line(&[(left, bottom), (right, bottom)], AXIS, 1.2, SOLID);
        let style = Type::new(TICK_SIZE, SOFT_INK);
        for (tick, label) in self.x_axis.labels() {
            let x = self.x(tick.at);
            canvas.line(&[(x, bottom), (x, bottom + 4.0)], AXIS, 1.2, SOLID);
            canvas.text(label, (x, bottom + 13.0), style.aligned(HPos::Center));
        }
        for (tick, label) in self.y_axis.labels() {
            let place = (left - TICK_GAP + 2.0, self.y(tick.at));
            canvas.text(label, place, style.aligned(HPos::Right));
        }
    }

    /// Title, names of the axes, and notes.
    fn draw_words(&self, canvas: &mut Canvas) {
        let Area {
            left,
            right,
            top,
            bottom,
        } = self.area;
        let edge = left - self.y_axis.label_width() - TICK_GAP;
        for (y, line) in lines_from(self.top + MARGIN + 6.0).zip(&self.title) {
            canvas.text(
                line,
                (edge, y),
                Type::new(TITLE_SIZE, INK).weighing(FontStyle::Bold),
            );
        }
        let style = Type::new(LABEL_SIZE, INK);
        let above = top - 12.0 - self.flag_rows() as f64 * LINE_STEP;
        canvas.text(&self.curve.y_label, (edge, above), style);
        let below = (right, bottom + 32.0);
        canvas.text(&self.curve.x_label, below, style.aligned(HPos::Right));
        for (y, line) in lines_from(bottom + 54.0).zip(&self.note) {
            canvas.text(line, (edge, y), Type::new(NOTE_SIZE, SOFT_INK));
        }
        if self
            .curve
            .series
            .iter()
            .all(|series| drawable(self.curve, series).next().is_none())
        {
            let centre = (f64::midpoint(left, right), f64::midpoint(top, bottom));
            canvas.text("no data", centre, style.aligned(HPos::Center));
        }
    }

    /// Draws the bounds; returns the labels of those that are not vertical.
    fn draw_bounds(&self, canvas: &mut Canvas) -> Vec<Label<'_>> {
        let mut labels = Vec::new();
        for bound in &self.curve.bounds {
            let runs = clip(&self.course(&bound.line), &self.area);
            for run in &runs {
                canvas.line(run, SOFT_INK, 1.3, BOUND_DASH);
            }
            let end = runs.last().and_then(|run| run.last()).copied();
            if let Some(end) = end.filter(|_| vertical(&bound.line).is_none()) {
                // One label may serve several lines.
                if bound.label.is_empty() {
                    continue;
                }
                labels.push(Label {
                    text: &bound.label,
                    end,
                    look: None,
                });
            }
        }
        labels
    }

    /// Labels vertical bounds above the area, each beside its line.
    fn draw_flags(&self, canvas: &mut Canvas) {
        let style = Type::new(LABEL_SIZE, SOFT_INK).weighing(FontStyle::Italic);
        for flag in self.flags() {
            let y = self.area.top - 9.0 - flag.row as f64 * LINE_STEP;
            canvas.line(
                &[(flag.x, self.area.top), (flag.x, y - 5.0)],
                SOFT_INK,
                1.3,
                SOLID,
            );
            let (side, align) = if flag.leftward {
                (-4.0, HPos::Right)
            } else {
                (4.0, HPos::Left)
            };
            canvas.text(flag.text, (flag.x + side, y), style.aligned(align));
        }
    }

    /// Labels of the vertical bounds, each in the lowest row where no text meets a text or a line.
    fn flags(&self) -> Vec<Flag<'_>> {
        let mut flags: Vec<Flag> = Vec::new();
        let edge = self.area.right + self.label_width();
        for bound in &self.curve.bounds {
            let at = vertical(&bound.line).filter(|&x| self.x_axis.shows(x));
            let Some(x) = at.map(|x| self.x(self.x_axis.scale(x))) else {
                continue;
            };
            let width = text_width(&bound.label, LABEL_SIZE) + 8.0;
            flags.push(Flag {
                x,
                text: &bound.label,
                width,
                leftward: x + width > edge,
                row: 0,
            });
        }
        // Right to left, and those with the text on the left then left to right: so each text can
        // rise above the lines that it crosses.
        let order = |flag: &Flag| {
            if flag.leftward {
                (true, flag.x)
            } else {
                (false, -flag.x)
            }
        };
        flags.sort_by(|a, b| {
            let (a, b) = (order(a), order(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        });
        for i in 1..flags.len() {
            let (placed, rest) = flags.split_at_mut(i);
            let free = |row: usize| placed.iter().all(|other| !rest[0].meets(row, other));
            rest[0].row = (0..i).find(|&row| free(row)).unwrap_or(i);
        }
        flags
    }

    fn flag_rows(&self) -> usize {
        self.flags()
            .iter()
            .map(|flag| flag.row + 1)
            .max()
            .unwrap_or(0)
    }

    /// The course of a bound, also where it leaves the area.
    fn course(&self, line: &Line) -> Vec<Place> {
        let Area {
            left,
            right,
            top,
            bottom,
        } = self.area;
        match line {
            Line::Horizontal(y) => {
                let y = self.y(self.y_axis.scale(*y));
                vec![(left, y), (right, y)]
            }
            Line::Vertical(x) => {
                let x = self.x(self.x_axis.scale(*x));
                vec![(x, bottom), (x, top)]
            }
            Line::Diagonal => self
                .x_axis
                .samples()
                .map(|value| self.place(value, value))
                .collect(),
            Line::Path(points) => points.iter().map(|&(x, y)| self.place(x, y)).collect(),
        }
    }

    /// Where the values x and y meet.
    fn place(&self, x: f64, y: f64) -> Place {
        (self.x(self.x_axis.scale(x)), self.y(self.y_axis.scale(y)))
    }

    /// The pixel of an x in its axis's scale.
    fn x(&self, at: f64) -> f64 {
        self.area.left + self.x_axis.share(at) * (self.area.right - self.area.left)
    }

    /// The pixel of a y in its axis's scale.
    fn y(&self, at: f64) -> f64 {
        self.area.bottom - self.y_axis.share(at) * (self.area.bottom - self.area.top)
    }

    /// Draws the line of a series, broken where a point cannot be drawn.
    fn draw_line(&self, canvas: &mut Canvas, series: &Series) {
        if self.curve.marks == Marks::Dots {
            return;
        }
        let look = Look::of(series);
        for run in series.points.split(|point| !is_drawable(self.curve, point)) {
            let places: Vec<Place> = run
                .iter()
                .map(|point| self.place(point.x, point.y))
                .collect();
            canvas.line(&places, look.colour, look.width, look.dash);
        }
    }

    /// Draws intervals and markers; returns the label, unless there was nothing to draw.
    fn draw_points<'s>(&self, canvas: &mut Canvas, series: &'s Series) -> Option<Label<'s>> {
        let look = Look::of(series);
        let points: Vec<&Point> = drawable(self.curve, series).collect();
        for point in &points {
            self.draw_interval(canvas, point, &look);
        }
        let step = if is_dense(series) && self.curve.marks == Marks::Line {
            points.len().div_ceil(MAX_MARKERS / 2).max(1)
        } else {
            1
        };
        for point in points.iter().step_by(step) {
            let hollow = point.status == PointStatus::Flagged;
            canvas.marker(self.place(point.x, point.y), &look, hollow);
        }
        // The label belongs to the right-most end of the line.
        let last = points.iter().max_by(|a, b| a.x.total_cmp(&b.x))?;
        let end = self.place(last.x, last.y);
        Some(Label {
            text: &series.label,
            end,
            look: Some(look),
        })
    }

    fn draw_interval(&self, canvas: &mut Canvas, point: &Point, look: &Look) {
        let (Some(low), Some(high)) = (point.low, point.high) else {
            return;
        };
        if !(low.is_finite() && is_drawable(self.curve, &Point { y: high, ..*point })) {
            return;
        }
        let (x, bottom) = self.place(point.x, low);
        let (_, top) = self.place(point.x, high);
        // On a logarithmic scale an interval that reaches zero has no lower end in the picture.
        let end = bottom.min(self.area.bottom);
        canvas.line(&[(x, end), (x, top)], look.colour, 1.2, SOLID);
        for y in [top, bottom].into_iter().filter(|&y| y <= self.area.bottom) {
            canvas.line(&[(x - 3.0, y), (x + 3.0, y)], look.colour, 1.2, SOLID);
        }
    }

    /// Writes the labels in a column on the right, each as near to the end of its line as the
    /// others allow.
    fn draw_labels(&self, canvas: &mut Canvas, mut labels: Vec<Label<'_>>) {
        labels.sort_by(|a, b| a.end.1.total_cmp(&b.end.1));
        let wanted: Vec<f64> = labels.iter().map(|label| label.end.1).collect();
        let heights = spread(&wanted, LINE_STEP, self.area.top + 4.0, self.area.bottom);
        for (label, y) in labels.iter().zip(heights) {
            label.draw(canvas, (self.area.right + 10.0, y));
        }
    }
}

/// The label of a vertical bound, above the area.
struct Flag<'a> {
    x: f64,
    text: &'a str,
    width: f64,
    /// Whether the text stands on the left of its line, for want of room on the right.
    leftward: bool,
    /// Counted from the area upwards.
    row: usize,
}

impl Flag<'_> {
    /// Whether the text takes up this x.
    fn covers(&self, x: f64) -> bool {
        let left = if self.leftward {
            self.x - self.width
        } else {
            self.x
        };
        (left..=left + self.width).contains(&x)
    }

    /// Whether this flag in `row` would meet another: text on text, or a line through a text.
    fn meets(&self, row: usize, other: &Self) -> bool {
        let (crosses, is_crossed) = (other.covers(self.x), self.covers(other.x));
        match row.cmp(&other.row) {
            Ordering::Greater => crosses,
            Ordering::Less => is_crossed,
            Ordering::Equal => crosses || is_crossed || self.reaches(other) || other.reaches(self),
        }
    }

    /// Whether the far end of this text lies in the other.
    fn reaches(&self, other: &Self) -> bool {
        other.covers(if self.leftward {
            self.x - self.width
        } else {
            self.x + self.width
        })
    }
}

/// A label beside the end of its line.
struct Label<'a> {
    text: &'a str,
    /// The end of the line.
    end: Place,
    /// Whose marker stands before the text; a bound has none.
    look: Option<Look>,
}

impl Label<'_> {
    fn draw(&self, canvas: &mut Canvas, (x, y): Place) {
        let text = shorten(self.text, LABEL_SIZE, LONGEST_LABEL);
        let from = (self.end.0 + MARKER_RADIUS + 2.0, self.end.1);
        let place = (x + 17.0, y);
        if let Some(look) = &self.look {
            canvas.line(&[from, (x, y)], look.colour, 0.9, LEADER_DASH);
            canvas.marker((x + 7.0, y), look, false);
            canvas.text(&text, place, Type::new(LABEL_SIZE, INK));
        } else {
            canvas.line(&[from, (x, y)], SOFT_INK, 0.9, LEADER_DASH);
            canvas.line(&[(x + 1.0, y), (x + 13.0, y)], SOFT_INK, 1.3, BOUND_DASH);
            let style = Type::new(LABEL_SIZE, SOFT_INK).weighing(FontStyle::Italic);
            canvas.text(&text, place, style);
        }
    }
}

/// How a series is drawn.
struct Look {
    colour: RGBColor,
    dash: Dash,
    marker: &'static [(f64, f64)],
    width: f64,
    radius: f64,
}

impl Look {
    fn of(series: &Series) -> Self {
        let i = series.look;
        let (width, scale) = match series.variant {
            0 => (2.2, 1.0),
            1 => (1.4, 0.8),
            _ => (0.9, 0.65),
        };
        // In a dense zigzag dashes are noise: there, colour, markers and label must do.
        let dash = if is_dense(series) {
            SOLID
        } else {
            SERIES_DASHES[i % SERIES_DASHES.len()]
        };
        Self {
            colour: COLOURS[i % COLOURS.len()],
            dash,
            marker: MARKERS[i % MARKERS.len()],
            width: if is_dense(series) { width / 2.0 } else { width },
            radius: MARKER_RADIUS * scale,
        }
    }
}

fn horizontal(line: &Line) -> Option<f64> {
    if let Line::Horizontal(y) = line {
        Some(*y)
    } else {
        None
    }
}

fn vertical(line: &Line) -> Option<f64> {
    if let Line::Vertical(x) = line {
        Some(*x)
    } else {
        None
    }
}

/// Whether a point has a place: it is finite, and positive where the axis is logarithmic.
fn is_drawable(curve: &Curve, point: &Point) -> bool {
    let fits = |value: f64, log: bool| value.is_finite() && (!log || value > 0.0);
    fits(point.x, curve.x_log) && fits(point.y, curve.y_log)
}

/// The points of a series that have a place.
fn drawable<'a>(curve: &Curve, series: &'a Series) -> impl Iterator<Item = &'a Point> {
    series
        .points
        .iter()
        .filter(|point| is_drawable(curve, point))
}

/// Whether a series has too many points for a marker on each.
fn is_dense(series: &Series) -> bool {
    series.points.len() > MAX_MARKERS
}

/// The caller's note, and what the figure must add to be honest.
fn notes(curve: &Curve, x_axis: &Axis, y_axis: &Axis) -> String {
    let flagged = |point: &Point| point.status == PointStatus::Flagged;
    let hollow = curve
        .series
        .iter()
        .any(|series| drawable(curve, series).any(flagged));
    let empty = curve
        .series
        .iter()
        .filter(|series| series.points.is_empty());
    let notes = [
        Some(curve.note.trim().to_owned()),
        (hollow && curve.marks == Marks::Line)
            .then(|| "Hollow: saturated or not steady.".to_owned()),
        enumeration(
            "No points",
            empty.map(|series| series.label.clone()).collect(),
        ),
        enumeration("Not drawn, without a place on the scale", skipped(curve)),
        enumeration("Off the scale", off_scale(&curve.bounds, x_axis, y_axis)),
    ];
    let notes: Vec<String> = notes.into_iter().flatten().collect();
    notes.join(" ")
}

/// The points that have no place.
fn skipped(curve: &Curve) -> Vec<String> {
    let mut names = Vec::new();
    for series in &curve.series {
        for point in series
            .points
            .iter()
            .filter(|point| !is_drawable(curve, point))
        {
            let (x, y) = (short_number(point.x), short_number(point.y));
            names.push(format!("{} ({x}, {y})", series.label));
        }
    }
    names
}

/// The straight bounds that lie too far from the points to be shown with them.
fn off_scale(bounds: &[Bound], x_axis: &Axis, y_axis: &Axis) -> Vec<String> {
    let at = |bound: &Bound| match bound.line {
        Line::Horizontal(y) => (!y_axis.shows(y)).then_some(y),
        Line::Vertical(x) => (!x_axis.shows(x)).then_some(x),
        Line::Diagonal | Line::Path(_) => None,
    };
    let name = |bound: &Bound| Some(format!("{} ({})", bound.label, short_number(at(bound)?)));
    bounds.iter().filter_map(name).collect()
}

/// `what: first, second, … and 3 more.`, or nothing for no items.
fn enumeration(what: &str, items: Vec<String>) -> Option<String> {
    const SHOWN: usize = 6;
    let more = match items.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let shown: Vec<String> = items.into_iter().take(SHOWN).collect();
    (!shown.is_empty()).then(|| format!("{what}: {}{more}.", shown.join(", ")))
}

/// One axis in its own scale: the value, or its decimal logarithm.
struct Axis {
    log: bool,
    low: f64,
    high: f64,
    ticks: Vec<Tick>,
}

/// A grid line, and its label unless it is a fine one.
struct Tick {
    /// In the axis's scale.
    at: f64,
    label: Option<String>,
}

impl Tick {
    fn is_fine(&self) -> bool {
        self.label.is_none()
    }
}

impl Axis {
    /// The axis that shows all `values`, and those `bounds` that are not far from them. With
    /// `from_zero` a linear axis of values that are not negative begins at zero.
    fn new(log: bool, from_zero: bool, values: &[f64], bounds: &[f64]) -> Self {
        let (low, high) = (f64::INFINITY, f64::NEG_INFINITY);
        let mut axis = Self {
            log,
            low,
            high,
            ticks: Vec::new(),
        };
        for &value in values {
            axis.include(value);
        }
        if axis.low > axis.high {
            (axis.low, axis.high) = (0.0, 1.0);
        }
        let span = axis.high - axis.low;
        let reach = if log {
            1.0
        } else {
            span.max(axis.high.abs() / 2.0)
        };
        let near = axis.low - reach..=axis.high + reach;
        for &bound in bounds {
            if near.contains(&axis.scale(bound)) {
                axis.include(bound);
            }
        }
        axis.pad(from_zero);
        let ticks = if log { log_ticks } else { linear_ticks };
        axis.ticks = ticks(axis.low, axis.high);
        axis
    }

    /// A value in the axis's scale.
    fn scale(&self, value: f64) -> f64 {
        match (self.log, value > 0.0) {
            (false, _) => value,
            (true, true) => math::log10(value),
            // Far below every axis, yet finite: whatever leads there leaves through the bottom.
            (true, false) => -400.0,
        }
    }

    fn include(&mut self, value: f64) {
        if value.is_finite() && (!self.log || value > 0.0) {
            self.low = self.low.min(self.scale(value));
            self.high = self.high.max(self.scale(value));
        }
    }

    /// Leaves air around the values.
    fn pad(&mut self, from_zero: bool) {
        let is_small = from_zero || self.low < self.high / 3.0;
        let starts_at_zero = !self.log && self.low >= 0.0 && is_small;
        if starts_at_zero {
            self.low = 0.0;
        }
        let size = self.low.abs().max(self.high.abs());
        let least = match self.log {
            // A logarithmic axis needs 0.8 decades to show two of 1, 2 and 5.
            true => 0.8,
            false if size > 0.0 => size * 0.1,
            false => 1.0,
        };
        let span = self.high - self.low;
        let air = 0.04 * span + 0.5 * (least - span).max(0.0);
        if !starts_at_zero {
            self.low -= air;
        }
        self.high += air;
    }

    /// Drops the ticks outside of two values.
    fn keep_ticks(&mut self, (low, high): (f64, f64)) {
        // Ticks are sums of logarithms: an end may miss its tick by a rounding error.
        const NEAR: f64 = 1e-9;
        let kept = self.scale(low) - NEAR..=self.scale(high) + NEAR;
        self.ticks.retain(|tick| kept.contains(&tick.at));
    }

    /// How far along the axis a value in its scale lies, from 0 to 1.
    fn share(&self, at: f64) -> f64 {
        (at - self.low) / (self.high - self.low)
    }

    fn shows(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&self.scale(value))
    }

    /// Values in equal steps along the axis.
    fn samples(&self) -> impl Iterator<Item = f64> {
        const STEPS: u32 = 64;
        let (log, low, step) = (
            self.log,
            self.low,
            (self.high - self.low) / f64::from(STEPS),
        );
        (0..=STEPS).map(move |i| {
            let at = low + f64::from(i) * step;
            if log { math::pow(10.0, at) } else { at }
        })
    }

    fn labels(&self) -> impl Iterator<Item = (&Tick, &str)> {
        self.ticks
            .iter()
            .filter_map(|tick| Some((tick, tick.label.as_deref()?)))
    }

    fn label_width(&self) -> f64 {
        self.labels()
            .map(|(_, label)| text_width(label, TICK_SIZE))
            .fold(0.0, f64::max)
    }
}

/// Ticks of a logarithmic axis from 10^`low` to 10^`high`.
fn log_ticks(low: f64, high: f64) -> Vec<Tick> {
    let span = high - low;
    let (first, last) = (low.floor() as i32, high.ceil() as i32);
    // Decades between labels, so that at most about eight are written.
    let stride = (span / 8.0).ceil().max(1.0) as i32;
    let mut ticks = Vec::new();
    for exponent in first..=last {
        for digit in 1..=9_i32 {
            let at = f64::from(exponent) + math::log10(f64::from(digit));
            let labelled = match digit {
                1 => exponent.rem_euclid(stride) == 0,
                2 | 5 => span < 2.0,
                _ => false,
            };
            let fine = span < 5.0 || (digit == 1 && span < 30.0);
            if (low..=high).contains(&at) && (labelled || fine) {
                let label = labelled.then(|| decimal(i64::from(digit), exponent));
                ticks.push(Tick { at, label });
            }
        }
    }
    ticks
}

/// Ticks of a linear axis: five to ten, at multiples of 1, 2 or 5 times a power of ten.
fn linear_ticks(low: f64, high: f64) -> Vec<Tick> {
    let rough = (high - low) / 6.0;
    let mut exponent = math::log10(rough).floor() as i32;
    let leading = rough / math::pow(10.0, f64::from(exponent));
    let mut digit = [1_i64, 2, 5]
        .into_iter()
        .find(|&digit| leading <= digit as f64)
        .unwrap_or(10);
    if digit == 10 {
        (digit, exponent) = (1, exponent + 1);
    }
    let step = digit as f64 * math::pow(10.0, f64::from(exponent));
    let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
    (first..=last)
        .map(|i| Tick {
            at: i as f64 * step,
            label: Some(decimal(i * digit, exponent)),
        })
        .collect()
}

/// Ticks of a linear axis of counts: every whole number, or every so many that about 16 are written.
fn whole_ticks(low: f64, high: f64) -> Vec<Tick> {
    let (first, last) = (low.ceil().max(0.0) as i64, high.floor() as i64);
    let stride = [1, 2, 5, 10, 20, 50, 100, 200, 500]
        .into_iter()
        .find(|stride| (last - first) / stride <= 16)
        .unwrap_or(1_000);
    (first..=last)
        .filter(|i| i % stride == 0)
        .map(|i| Tick {
            at: i as f64,
            label: Some(decimal(i, 0)),
        })
        .collect()
}

/// `digits` × 10^`exponent` in few characters: 0.05, 1, 250, 1.5k, 10M, 10⁻⁶.
fn decimal(mut digits: i64, mut exponent: i32) -> String {
    if digits == 0 {
        return "0".to_owned();
    }
    while digits % 10 == 0 {
        (digits, exponent) = (digits / 10, exponent + 1);
    }
    let sign = if digits < 0 { "−" } else { "" };
    let text = digits.unsigned_abs().to_string();
    // The power of ten of the first digit.
    let order = exponent + text.len() as i32 - 1;
    match order {
        -3..=2 => format!("{sign}{}", positional(&text, exponent)),
        3..=14 => {
            let group = order / 3;
            let unit = [' ', 'k', 'M', 'G', 'T'][group as usize];
            format!("{sign}{}{unit}", positional(&text, exponent - 3 * group))
        }
        _ if text == "1" => format!("{sign}10{}", superscript(order)),
        _ => {
            let mantissa = positional(&text, 1 - text.len() as i32);
            format!("{sign}{mantissa}·10{}", superscript(order))
        }
    }
}

/// Decimal digits with the point moved by `exponent`.
fn positional(digits: &str, exponent: i32) -> String {
    let width = usize::try_from(-exponent).unwrap_or(0);
    if width == 0 {
        return format!("{digits}{}", "0".repeat(exponent as usize));
    }
    let padded = format!("{digits:0>length$}", length = width + 1);
    let (whole, fraction) = padded.split_at(padded.len() - width);
    format!("{whole}.{fraction}")
}

fn superscript(exponent: i32) -> String {
    let raise = |c| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '0' => '⁰',
        // 4 to 9 follow each other.
        digit => char::from_u32('⁴' as u32 + digit as u32 - '4' as u32).unwrap_or(digit),
    };
    exponent.to_string().chars().map(raise).collect()
}

/// A number to three digits, written as ticks are.
fn short_number(value: f64) -> String {
    let text = format!("{value:.2e}");
    let parts = text.split_once('e').and_then(|(mantissa, exponent)| {
        let digits: i64 = mantissa.replace('.', "").parse().ok()?;
        Some(decimal(digits, exponent.parse::<i32>().ok()? - 2))
    });
    // Only NaN and the infinities have no exponent.
    parts.unwrap_or(text)
}

/// Positions at least `gap` apart, in the order of `wanted` (sorted) and close to it, between `low`
/// and `high` as far as they fit.
fn spread(wanted: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    // Neighbours that are too close join a cluster, which stands around its members' mean.
    let mut clusters: Vec<(usize, f64)> = Vec::new();
    let start = |&(count, sum): &(usize, f64)| {
        let length = (count - 1) as f64 * gap;
        (sum / count as f64 - length / 2.0)
            .min(high - length)
            .max(low)
    };
    for &want in wanted {
        let mut cluster = (1, want);
        while let Some(last) = clusters.last() {
            if start(last) + last.0 as f64 * gap <= start(&cluster) {
                break;
            }
            cluster = (cluster.0 + last.0, cluster.1 + last.1);
            clusters.pop();
        }
        clusters.push(cluster);
    }
    let places = |cluster: &(usize, f64)| {
        let first = start(cluster);
        (0..cluster.0).map(move |i| first + i as f64 * gap)
    };
    clusters.iter().flat_map(places).collect()
}

/// The parts of a course that lie inside the area.
fn clip(course: &[Place], area: &Area) -> Vec<Vec<Place>> {
    let mut runs: Vec<Vec<Place>> = Vec::new();
    for pair in course.windows(2) {
        let Some((from, to)) = clip_segment(pair[0], pair[1], area) else {
            continue;
        };
        match runs.last_mut() {
            Some(run) if run.last() == Some(&from) => run.push(to),
            _ => runs.push(vec![from, to]),
        }
    }
    runs
}

/// The part of a segment inside the area (Liang and Barsky); none of one without a place.
fn clip_segment(from: Place, to: Place, area: &Area) -> Option<(Place, Place)> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    if !(dx.is_finite() && dy.is_finite()) {
        return None;
    }
    let sides = [
        (-dx, from.0 - area.left),
        (dx, area.right - from.0),
        (-dy, from.1 - area.top),
        (dy, area.bottom - from.1),
    ];
    let (mut enter, mut leave) = (0.0_f64, 1.0_f64);
    for (speed, room) in sides {
        if speed < 0.0 {
            enter = enter.max(room / speed);
        } else if speed > 0.0 {
            leave = leave.min(room / speed);
        } else if room < 0.0 {
            return None;
        }
    }
    let at = |t: f64| (from.0 + t * dx, from.1 + t * dy);
    let end = |t: f64, whole: f64, place| {
        if t.total_cmp(&whole).is_eq() {
            place
        } else {
            at(t)
        }
    };
    (enter < leave).then(|| (end(enter, 0.0, from), end(leave, 1.0, to)))
}

/// About how wide a text is in a common sans-serif font; rather too wide, so that nothing overlaps.
fn text_width(text: &str, size: f64) -> f64 {
    let widths = text.chars().map(|c| match c {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '|' | '!' | '\'' | ' ' => 0.36,
        'f' | 'r' | 't' | '(' | ')' | '[' | ']' | '/' | '-' => 0.42,
        'm' | 'w' | 'M' | 'W' | '%' | '@' | '→' | '≥' | '≤' => 0.98,
        'A'..='Z' => 0.74,
        '⁰'..='⁹' | '¹' | '²' | '³' => 0.42,
        '\u{1100}'.. => 1.0,
        _ => 0.63,
    });
    widths.sum::<f64>() * size
}

/// Breaks a text into lines of at most `width` pixels at spaces.
fn wrap(text: &str, size: f64, width: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if text_width(line, size) + text_width(word, size) + size < width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A text cut to `width` pixels.
fn shorten(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        short.push(c);
        if text_width(&short, size) > width - size {
            break;
        }
    }
    short + "…"
}

/// Heights of lines of text below each other.
fn lines_from(first: f64) -> impl Iterator<Item = f64> {
    (0_u32..).map(move |i| first + f64::from(i) * LINE_STEP)
}

/// How a text is set.
#[derive(Clone, Copy)]
struct Type {
    size: f64,
    colour: RGBColor,
    across: HPos,
    weight: FontStyle,
}

impl Type {
    fn new(size: f64, colour: RGBColor) -> Self {
        let (across, weight) = (HPos::Left, FontStyle::Normal);
        Self {
            size,
            colour,
            across,
            weight,
        }
    }

    fn aligned(self, across: HPos) -> Self {
        Self { across, ..self }
    }

    fn weighing(self, weight: FontStyle) -> Self {
        Self { weight, ..self }
    }
}

/// The drawing surface, in pixels.
struct Canvas<'a> {
    backend: SVGBackend<'a>,
}

/// Why the canvas trusts its backend.
const NO_FAILURE: &str = "drawing into a string cannot fail";

impl<'a> Canvas<'a> {
    fn new(text: &'a mut String, width: f64, height: f64) -> Self {
        let (width, height) = units((width, height));
        let size = (width.unsigned_abs(), height.unsigned_abs());
        Self {
            backend: SVGBackend::with_string(text, size),
        }
    }

    /// A line through `places`. The backend knows no dashes, so the last digit of the width names
    /// one, and [`write_dashes`] writes it out.
    fn line(&mut self, places: &[Place], colour: RGBColor, width: f64, dash: Dash) {
        let tenths = (width * UNITS / 10.0).round() as u32;
        let style = colour.stroke_width(tenths * 10 + dash as u32);
        let places: Vec<(i32, i32)> = places.iter().copied().map(units).collect();
        match places[..] {
            [] | [_] => {}
            [from, to] => self.backend.draw_line(from, to, &style).expect(NO_FAILURE),
            _ => self.backend.draw_path(places, &style).expect(NO_FAILURE),
        }
    }

    fn polygon(&mut self, corners: &[Place], colour: RGBColor) {
        let corners = corners.iter().copied().map(units);
        self.backend
            .fill_polygon(corners, &colour.filled())
            .expect(NO_FAILURE);
    }

    /// A marker with a white rim, which parts it from lines below; a hollow one is white inside.
    fn marker(&mut self, centre: Place, look: &Look, hollow: bool) {
        self.shape(centre, look, look.radius + 1.3, WHITE);
        self.shape(centre, look, look.radius, look.colour);
        if hollow {
            self.shape(centre, look, look.radius - 1.5, WHITE);
        }
    }

    fn shape(&mut self, (x, y): Place, look: &Look, radius: f64, colour: RGBColor) {
        if look.marker.is_empty() {
            let size = (radius * UNITS).round() as u32;
            self.backend
                .draw_circle(units((x, y)), size, &colour.filled().stroke_width(0), true)
                .expect(NO_FAILURE);
            return;
        }
        let corner = |&(dx, dy): &Place| (x + dx * radius, y + dy * radius);
        self.polygon(
            &look.marker.iter().map(corner).collect::<Vec<Place>>(),
            colour,
        );
    }

    /// Text whose middle line passes through `place`.
    fn text(&mut self, text: &str, place: Place, style: Type) {
        // The backend divides a font's size by this, to turn it into one of CSS.
        const POINTS: f64 = 1.24;
        let font = ("sans-serif", style.size * UNITS * POINTS)
            .into_font()
            .style(style.weight);
        let anchor = Pos::new(style.across, VPos::Center);
        let set = TextStyle::from(font).color(&style.colour).pos(anchor);
        self.backend
            .draw_text(&printable(text), &set, units(place))
            .expect(NO_FAILURE);
    }
}

/// Pixels to drawing units.
fn units((x, y): Place) -> (i32, i32) {
    ((x * UNITS).round() as i32, (y * UNITS).round() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(x: f64, y: f64) -> Point {
        Point {
            x,
            y,
            low: Some(y * 0.9),
            high: Some(y * 1.1),
            status: PointStatus::Ok,
        }
    }

    fn series(label: &str, look: usize, points: &[(f64, f64)]) -> Series {
        let points = points.iter().map(|&(x, y)| point(x, y)).collect();
        Series {
            label: label.to_owned(),
            look,
            variant: 0,
            points,
        }
    }

    fn bound(label: &str, line: Line) -> Bound {
        Bound {
            label: label.to_owned(),
            line,
        }
    }

    /// Goodput of three engines over offered load.
    fn goodput() -> Curve {
        let loads = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0];
        let engine = |label, look, cap: f64| {
            series(label, look, &loads.map(|load: f64| (load, load.min(cap))))
        };
        Curve {
            title: "Goodput".to_owned(),
            x_label: "offered load (tx/s)".to_owned(),
            y_label: "goodput (tx/s)".to_owned(),
            x_log: true,
            y_log: true,
            series: vec![
                engine("qbft", 0, 820.0),
                engine("nakamoto", 1, 6.6),
                engine("central", 2, 1e9),
            ],
            bounds: vec![
                bound("offered", Line::Diagonal),
                bound("block space", Line::Horizontal(900.0)),
                bound("hospital's peak", Line::Vertical(42.0)),
                bound("region's peak", Line::Vertical(60.0)),
            ],
            note: "Bars: 95 %.".to_owned(),
            ..Curve::default()
        }
    }

    /// The value of an attribute in one element.
    fn attribute<'a>(element: &'a str, name: &str) -> &'a str {
        let start = element.find(&format!(" {name}=\"")).unwrap() + name.len() + 3;
        element[start..].split('"').next().unwrap()
    }

    /// Left, right, top and bottom of each text, by our own estimate, and the text.
    fn text_boxes(svg: &str) -> Vec<([f64; 4], String)> {
        let elements = svg.split("<text ").skip(1);
        elements
            .map(|element| {
                let element = format!(" {element}");
                let number = |name| attribute(&element, name).parse::<f64>().unwrap();
                let text = element
                    .split('>')
                    .nth(1)
                    .unwrap()
                    .split('<')
                    .next()
                    .unwrap()
                    .trim();
                let (x, y, size) = (number("x"), number("y"), number("font-size"));
                let width = text_width(text, size);
                let left = match attribute(&element, "text-anchor") {
                    "start" => x,
                    "middle" => x - width / 2.0,
                    _ => x - width,
                };
                (
                    [left, left + width, y - size * 0.5, y + size * 0.5],
                    text.to_owned(),
                )
            })
            .collect()
    }

    fn assert_no_overlap(svg: &str) {
        let boxes = text_boxes(svg);
        for (i, (a, a_text)) in boxes.iter().enumerate() {
            for (b, b_text) in &boxes[..i] {
                let apart = a[1] <= b[0] || b[1] <= a[0] || a[3] <= b[2] || b[3] <= a[2];
                assert!(apart, "{a_text:?} overlaps {b_text:?}");
            }
        }
    }

    #[test]
    fn texts_do_not_overlap() {
        let mut crowded = goodput();
        crowded.series = (0..13)
            .map(|i| series(&format!("engine {i}"), i, &[(1.0, 5.0), (100.0, 5.0)]))
            .collect();
        crowded.title = "A title that is far too long for one line ".repeat(3);
        let late = ["at night", "at the very end of a long night", "later still"];
        let times = [2400.0, 2600.0, 2900.0];
        crowded.bounds.extend(
            late.iter()
                .zip(times)
                .map(|(l, x)| bound(l, Line::Vertical(x))),
        );
        assert_no_overlap(&draw(&goodput()));
        assert_no_overlap(&draw(&crowded));
        assert_no_overlap(&draw_panel(&[goodput(), crowded, Curve::default()]));
    }

    #[test]
    fn the_same_curve_gives_the_same_bytes() {
        assert_eq!(draw(&goodput()), draw(&goodput()));
    }

    #[test]
    fn the_picture_is_one_closed_svg_in_pixels() {
        let svg = draw_panel(&[goodput(), goodput()]);
        assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1320\" "));
        assert_eq!(
            (svg.matches("<svg").count(), svg.matches("</svg>").count()),
            (1, 1)
        );
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        assert!(svg.contains("stroke-dasharray=\"900 400\""));
        // No dash number is left in a width.
        let widths = svg.split(" stroke-width=\"").skip(1);
        assert!(
            widths
                .into_iter()
                .all(|rest| rest.split('"').next().unwrap().ends_with('0'))
        );
    }

    #[test]
    fn texts_are_escaped() {
        let title = "<script> & \"quotes\" stroke-width=\"11\"\u{0}".to_owned();
        let svg = draw(&Curve { title, ..goodput() });
        assert!(!svg.contains("<script>") && !svg.contains('\u{0}'));
        assert!(
            svg.contains("&lt;script&gt; &amp; &quot;quotes&quot; stroke-width=&quot;11&quot;")
        );
    }

    #[test]
    fn what_cannot_be_drawn_is_named() {
        let mut curve = goodput();
        curve.series[0].points[1].y = 0.0;
        curve.series[1].points[2].status = PointStatus::Flagged;
        curve.series.push(Series {
            label: "raft".to_owned(),
            ..Series::default()
        });
        curve.bounds.push(bound("uplink", Line::Horizontal(9e6)));
        let chart = Chart::new(&curve);
        assert_eq!(
            chart.note.join(" "),
            "Bars: 95 %. Hollow: saturated or not steady. No points: raft. Not drawn, without a \
             place on the scale: qbft (3, 0). Off the scale: uplink (9M)."
        );
        assert!(draw(&Curve::default()).contains("no data"));
    }

    #[test]
    fn hollow_markers_have_a_white_inside() {
        let mut curve = goodput();
        let filled = draw(&curve).matches("#FFFFFF").count();
        curve.series[1].points[2].status = PointStatus::Flagged;
        assert_eq!(draw(&curve).matches("#FFFFFF").count(), filled + 1);
    }

    #[test]
    fn decimals_are_short() {
        let cases = [
            (0, 3, "0"),
            (1, 0, "1"),
            (25, 1, "250"),
            (1, 3, "1k"),
            (15, 2, "1.5k"),
            (-2, 4, "−20k"),
            (123, 4, "1.23M"),
            (5, -2, "0.05"),
            (1, -3, "0.001"),
            (1, -6, "10⁻⁶"),
            (25, -7, "2.5·10⁻⁶"),
            (10, 14, "10¹⁵"),
            (7, 12, "7T"),
        ];
        for (digits, exponent, want) in cases {
            assert_eq!(decimal(digits, exponent), want);
        }
        let numbers = [1234.5, -0.000_123_4, 0.0, f64::NAN, 1e300].map(short_number);
        assert_eq!(numbers, ["1.23k", "−1.23·10⁻⁴", "0", "NaN", "10³⁰⁰"]);
    }

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks
            .iter()
            .filter_map(|tick| tick.label.as_deref())
            .collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(&log_ticks(-0.1, 3.5)), ["1", "10", "100", "1k"]);
        assert_eq!(labels(&log_ticks(0.1, 1.3)), ["2", "5", "10"]);
        assert_eq!(
            labels(&log_ticks(-12.1, 0.1)),
            ["10⁻¹²", "10⁻¹⁰", "10⁻⁸", "10⁻⁶", "10⁻⁴", "0.01", "1"]
        );
        assert_eq!(
            labels(&linear_ticks(0.0, 1.0)),
            ["0", "0.2", "0.4", "0.6", "0.8", "1"]
        );
        assert_eq!(
            labels(&linear_ticks(-1500.0, 1500.0)),
            ["−1.5k", "−1k", "−500", "0", "500", "1k", "1.5k"]
        );
    }

    #[test]
    fn every_axis_has_at_least_two_labels() {
        for scale in [1e-12, 1e-3, 1.0, 7.0, 1e9] {
            for values in [
                vec![0.0],
                vec![scale],
                vec![scale, 1.01 * scale],
                vec![-scale, 3.0 * scale],
            ] {
                for log in [false, true] {
                    let axis = Axis::new(log, false, &values, &[]);
                    assert!(labels(&axis.ticks).len() >= 2, "{values:?} log {log}");
                    assert!(labels(&axis.ticks).len() <= 12, "{values:?} log {log}");
                }
            }
        }
    }

    #[test]
    fn spread_keeps_order_gap_and_limits() {
        let close = |got: Vec<f64>, want: &[f64]| {
            assert!(
                got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-9),
                "{got:?}, {want:?}"
            );
        };
        close(spread(&[10.0, 50.0], 16.0, 0.0, 100.0), &[10.0, 50.0]);
        close(
            spread(&[50.0, 50.0, 50.0], 16.0, 0.0, 100.0),
            &[34.0, 50.0, 66.0],
        );
        close(
            spread(&[0.0, 1.0, 99.0, 100.0], 16.0, 0.0, 100.0),
            &[0.0, 16.0, 84.0, 100.0],
        );
        close(spread(&[], 16.0, 0.0, 100.0), &[]);
    }

    #[test]
    fn clipping_keeps_what_is_inside() {
        let area = Area {
            left: 0.0,
            right: 10.0,
            top: 0.0,
            bottom: 10.0,
        };
        let across = clip(&[(-10.0, 5.0), (20.0, 5.0)], &area);
        assert_eq!(across, [vec![(0.0, 5.0), (10.0, 5.0)]]);
        let twice = clip(&[(2.0, 2.0), (2.0, 20.0), (4.0, 20.0), (4.0, 2.0)], &area);
        assert_eq!(
            twice,
            [vec![(2.0, 2.0), (2.0, 10.0)], vec![(4.0, 10.0), (4.0, 2.0)]]
        );
        assert!(clip(&[(f64::NAN, 1.0), (5.0, 5.0)], &area).is_empty());
        assert!(clip(&[(-1.0, -1.0), (-1.0, 20.0)], &area).is_empty());
    }

    #[test]
    fn counts_have_whole_ticks() {
        let labels = |low, high| -> Vec<String> {
            let ticks = whole_ticks(low, high);
            ticks.into_iter().filter_map(|tick| tick.label).collect()
        };
        assert_eq!(labels(-0.2, 3.4), ["0", "1", "2", "3"]);
        assert_eq!(labels(0.0, 12.0).len(), 13);
        assert_eq!(labels(0.0, 100.0)[1], "10");
    }

    #[test]
    fn ticks_stand_within_their_ends_only() {
        let mut axis = Axis::new(true, true, &[1e-14, 100.0], &[]);
        axis.keep_ticks((1e-12, 1.0));
        let labels: Vec<&str> = axis.labels().map(|(_, label)| label).collect();
        assert_eq!(labels, ["10⁻¹²", "10⁻⁹", "10⁻⁶", "0.001", "1"]);
        assert!(axis.shows(1e-14) && axis.shows(100.0), "the lanes stay");
    }

    #[test]
    fn a_picture_says_what_it_shows() {
        let svg = draw(&goodput());
        assert!(svg.contains("<title>Goodput</title>"));
        assert!(svg.contains("lines: qbft, nakamoto, central.</desc>"));
    }

    #[test]
    fn no_number_breaks_a_picture() {
        let odd = [
            0.0,
            -1.0,
            1.0,
            1e-300,
            1e300,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ];
        for (x_log, y_log) in [(false, false), (true, false), (false, true), (true, true)] {
            for x in odd {
                for y in odd {
                    let bounds = vec![
                        bound("h", Line::Horizontal(y)),
                        bound("v", Line::Vertical(x)),
                        bound("d", Line::Diagonal),
                        bound("p", Line::Path(vec![(x, y), (1.0, 1.0), (y, x)])),
                    ];
                    let mut series = series("s", 3, &[(1.0, 2.0), (x, y), (3.0, 4.0)]);
                    series.points[0].low = Some(x);
                    series.points[0].high = Some(y);
                    let curve = Curve {
                        x_log,
                        y_log,
                        bounds,
                        series: vec![series],
                        ..goodput()
                    };
                    let svg = draw(&curve);
                    assert!(
                        svg.ends_with("</svg>\n") && !svg.contains("2147483647"),
                        "{x} {y}"
                    );
                }
            }
        }
    }
}
