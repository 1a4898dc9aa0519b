//! Figures on the page: the picture, and what it was drawn from to take away.

use super::html::{class, element, text};
use crate::plots::{self, Curve, map};
use std::fmt::Write as _;

/// A curve in a scalable frame, with its rows.
pub(super) fn figure(curve: &Curve) -> String {
    framed(&curve.title, &plots::draw(curve), &plots::rows(curve))
}

/// Curves beside each other.
pub(super) fn figures(curves: &[Curve]) -> String {
    class(
        "div",
        "figures",
        &curves.iter().map(figure).collect::<String>(),
    )
}

/// A map, with its links.
pub(super) fn network(of: &map::Map) -> String {
    framed(&of.title, &map::draw(of), &map::rows(of))
}

/// A picture that was drawn from a table, with that.
pub(super) fn drawn(title: &str, svg: &str, lines: &[Vec<String>]) -> String {
    let mut writer = csv::WriterBuilder::new()
        .flexible(true)
        .from_writer(Vec::new());
    for line in lines {
        writer.write_record(line).expect("memory takes all");
    }
    let bytes = writer.into_inner().expect("memory takes all");
    framed(title, svg, &String::from_utf8_lossy(&bytes))
}

/// A picture and its rows. The link needs no script; the picture's own is added by it.
fn framed(title: &str, svg: &str, rows: &str) -> String {
    let file = slug(title);
    let data = format!("data:text/csv;charset=utf-8,{}", encoded(rows));
    let name = format!("{file}.csv");
    let about = format!("Rows of “{title}” as CSV");
    let marks = [
        ("download", name.as_str()),
        ("href", data.as_str()),
        ("aria-label", about.as_str()),
    ];
    let link = element("a", &marks, &text("CSV"));
    let caption = element("figcaption", &[], &link);
    element(
        "figure",
        &[("data-file", &file)],
        &(svg.to_owned() + &caption),
    )
}

/// A title as the name of a file.
fn slug(title: &str) -> String {
    let letters = title.chars().map(|c| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            ' '
        }
    });
    let letters: String = letters.collect();
    letters.split_whitespace().collect::<Vec<&str>>().join("-")
}

/// Text as it stands in an address; letters, digits and what CSV is made of stay.
fn encoded(rows: &str) -> String {
    let mut out = String::with_capacity(rows.len() + rows.len() / 8);
    for byte in rows.bytes() {
        match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b','
            | b'.'
            | b'-'
            | b'_'
            | b'/'
            | b'('
            | b')' => {
                out.push(char::from(byte));
            }
            // Writing to a string cannot fail.
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_an_address() {
        assert_eq!(encoded("a,1\n\"é\""), "a,1%0A%22%C3%A9%22");
        assert_eq!(slug("Goodput at 5.5 writes/s"), "goodput-at-5-5-writes-s");
    }
}
