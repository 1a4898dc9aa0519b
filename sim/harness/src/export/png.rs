//! Figures as PNG, for where SVG cannot go. The font is built in and the rasteriser is software, so that
//! a picture does not depend on what a machine has installed.

use super::several_bytes;
use crate::error::{Error, exit};
use crate::saved::Saved;
use epaint_default_fonts::{HACK_REGULAR, UBUNTU_LIGHT};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb::Database};
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// Pixels of the picture for one of the drawing's: about 300 dpi at the width of a column.
const SCALE: f32 = 2.0;

/// The fonts; the second has what the first lacks.
static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut fonts = Database::new();
    fonts.load_font_data(UBUNTU_LIGHT.to_vec());
    fonts.load_font_data(HACK_REGULAR.to_vec());
    let first = fonts.faces().next().map(|face| face.families[0].0.clone());
    fonts.set_sans_serif_family(first.expect("it was just loaded"));
    Arc::new(fonts)
});

/// Draws every figure of a folder.
pub(super) fn write(saved: &Saved, folder: &Path) -> Result<String, Error> {
    let mut files = Vec::new();
    for file in saved.sums.keys() {
        let Some(name) = file.strip_prefix("plots/") else {
            continue;
        };
        let (Some(name), Some(svg)) = (name.strip_suffix(".svg"), saved.text(file)?) else {
            continue;
        };
        files.push((format!("{name}.png"), png(&svg)?));
    }
    several_bytes(folder, files)
}

/// A picture of ours as PNG.
///
/// # Errors
/// A bug: what we draw is sound.
fn png(svg: &str) -> Result<Vec<u8>, Error> {
    let options = Options {
        fontdb: FONTS.clone(),
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options).map_err(|e| bug(&e.to_string()))?;
    let size = tree.size().to_int_size();
    let scaled = size.scale_by(SCALE).ok_or_else(|| bug("no size"))?;
    let mut pixels = Pixmap::new(scaled.width(), scaled.height()).ok_or_else(|| bug("no size"))?;
    let scale = Transform::from_scale(SCALE, SCALE);
    resvg::render(&tree, scale, &mut pixels.as_mut());
    pixels.encode_png().map_err(|e| bug(&e.to_string()))
}

fn bug(why: &str) -> Error {
    Error {
        message: format!("a figure cannot be drawn as PNG: {why}"),
        hint: "the SVG beside it is whole; please report this with the plan".to_owned(),
        code: exit::BUG,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plots::{self, Curve};

    /// Text is drawn, with the superscripts that our ticks have, and twice the same.
    #[test]
    fn a_picture_has_its_words() {
        let titled = |title: &str| {
            let curve = Curve {
                title: title.to_owned(),
                ..Curve::default()
            };
            png(&plots::draw(&curve)).expect("a sound picture")
        };
        let with = titled("10⁻⁶");
        assert!(with.starts_with(b"\x89PNG"));
        assert_eq!(with, titled("10⁻⁶"));
        assert_ne!(with, titled(""));
        assert_ne!(with, titled("10"));
    }
}
