//! A tornado: for each input the change of a margin when the input is made smaller and larger, the
//! longest bar on top. Blocks stand below each other, each on a scale of its own.

use super::{Canvas, SOLID, Type, WHITE, escape, shorten, write_dashes};
use plotters::prelude::{FontStyle, RGBColor};
use plotters::style::text_anchor::HPos;
use std::fmt::Write as _;

/// One input.
pub(crate) struct Bar {
    /// What it is called.
    pub(crate) input: String,
    /// How it was changed, the relative change of the margin, and whether the answer became another.
    pub(crate) ends: Vec<(String, f64, bool)>,
}

impl Bar {
    /// The largest change of the margin, whichever way.
    pub(crate) fn reach(&self) -> f64 {
        self.ends.iter().map(|e| e.1.abs()).fold(0.0, f64::max)
    }
}

/// The bars of one margin.
pub(crate) struct Block {
    pub(crate) title: String,
    pub(crate) bars: Vec<Bar>,
}

const WIDTH: f64 = 760.0;
const LEFT: f64 = 130.0;
const RIGHT: f64 = 20.0;
const TITLE: f64 = 34.0;
const ROW: f64 = 22.0;
const FOOT: f64 = 40.0;
/// A change beyond this is drawn as this, and written out.
// assumption: a margin that doubles is far enough to the right.
const MOST: f64 = 1.0;
const INK: RGBColor = RGBColor(40, 40, 40);
const GREY: RGBColor = RGBColor(150, 150, 150);
/// Vermilion and blue of Okabe and Ito: a smaller and a larger margin.
const WORSE: RGBColor = RGBColor(213, 94, 0);
const BETTER: RGBColor = RGBColor(0, 114, 178);

/// The blocks as SVG text.
pub(crate) fn draw(blocks: &[Block]) -> String {
    let rows: usize = blocks.iter().map(|b| b.bars.len()).sum();
    let height = blocks.len() as f64 * TITLE + rows as f64 * ROW + FOOT;
    let mut body = String::new();
    let mut canvas = Canvas::new(&mut body, WIDTH, height);
    canvas.polygon(
        &[(0.0, 0.0), (WIDTH, 0.0), (WIDTH, height), (0.0, height)],
        WHITE,
    );
    let mut top = 0.0;
    for block in blocks {
        top = draw_block(&mut canvas, block, top);
    }
    let note = "Change of the margin that decides each engine. Blue: more margin; orange: less. ! another answer.";
    canvas.text(note, (8.0, top + FOOT / 2.0), Type::new(11.0, INK));
    drop(canvas);
    finish(&body, height, blocks)
}

fn draw_block(canvas: &mut Canvas<'_>, block: &Block, top: f64) -> f64 {
    let heading = Type::new(12.5, INK).weighing(FontStyle::Bold);
    let title = shorten(&block.title, 12.5, WIDTH - 16.0);
    canvas.text(&title, (8.0, top + TITLE * 0.6), heading);
    let reach = block.bars.iter().map(Bar::reach).fold(0.0, f64::max);
    let scale = reach.clamp(0.01, MOST);
    let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
    // Room for the words at both ends.
    let half = (WIDTH - RIGHT - LEFT) / 2.0 - 105.0;
    let bottom = top + TITLE + block.bars.len() as f64 * ROW;
    canvas.line(&[(middle, top + TITLE), (middle, bottom)], GREY, 1.0, SOLID);
    for (i, bar) in block.bars.iter().enumerate() {
        let y = top + TITLE + (i as f64 + 0.5) * ROW;
        let name = shorten(&bar.input, 11.5, LEFT - 16.0);
        let right = Type::new(11.5, INK).aligned(HPos::Right);
        canvas.text(&name, (LEFT - 8.0, y), right);
        draw_bar(canvas, bar, (middle, y), half / scale);
    }
    bottom
}

fn draw_bar(canvas: &mut Canvas<'_>, bar: &Bar, (middle, y): (f64, f64), scale: f64) {
    let mut taken = [false; 2];
    for (change, moved, flips) in &bar.ends {
        let drawn = moved.clamp(-MOST, MOST) * scale;
        let (low, high) = (y - ROW * 0.32, y + ROW * 0.32);
        let end = middle + drawn;
        let colour = if *moved < 0.0 { WORSE } else { BETTER };
        let corners = [(middle, low), (end, low), (end, high), (middle, high)];
        canvas.polygon(&corners, colour);
        let flag = if *flips { " !" } else { "" };
        let text = format!("{change}: {:+.0} %{flag}", 100.0 * moved);
        // Two ends of one side would hide each other's words: the second goes to the other side.
        let side = usize::from(*moved >= 0.0);
        let side = if taken[side] { 1 - side } else { side };
        taken[side] = true;
        let own = (side == 1) == (*moved >= 0.0);
        let from = if own { end } else { middle };
        let style = Type::new(10.5, INK);
        if side == 1 {
            canvas.text(&text, (from + 5.0, y), style);
        } else {
            canvas.text(&text, (from - 5.0, y), style.aligned(HPos::Right));
        }
    }
}

/// Our own opening tag, with a description, in place of the backend's.
fn finish(body: &str, height: f64, blocks: &[Block]) -> String {
    let mut svg = String::new();
    let units = super::UNITS;
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {} {}\" role=\"img\">",
        WIDTH * units,
        height * units,
    );
    let titles: Vec<&str> = blocks.iter().map(|b| b.title.as_str()).collect();
    let _ = writeln!(svg, "<title>Which inputs move the margins</title>");
    let _ = writeln!(
        svg,
        "<desc>Bars by input for {}.</desc>",
        escape(&titles.join("; "))
    );
    let content = body.split_once('\n').map_or("", |(_, content)| content);
    write_dashes(&mut svg, &content.replace(" opacity=\"1\"", ""));
    svg
}
