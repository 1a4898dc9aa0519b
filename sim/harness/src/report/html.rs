//! Elements of a page: closed as they are opened, and with every text escaped.

use std::fmt::Write as _;

/// Text as it stands in a page.
pub(crate) fn text(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

/// An element with attributes around content that is markup already.
pub(crate) fn element(name: &str, attributes: &[(&str, &str)], content: &str) -> String {
    let mut open = String::from(name);
    for (key, value) in attributes {
        // Writing to a string cannot fail.
        let _ = write!(open, " {key}=\"{}\"", text(value));
    }
    format!("<{open}>{content}</{name}>")
}

/// An element around text.
pub(crate) fn tag(name: &str, content: &str) -> String {
    element(name, &[], &text(content))
}

/// An element of a class around markup.
pub(super) fn class(name: &str, class: &str, content: &str) -> String {
    element(name, &[("class", class)], content)
}

/// A value whose interval follows in brackets: neither is broken over lines.
pub(super) fn measured(value: &str) -> String {
    let part = |name: &str, part: &str| element(name, &[("class", "value")], &text(part));
    match value.split_once(" (") {
        Some((mean, interval)) => {
            part("span", mean) + " " + &part("small", &format!("({interval}"))
        }
        None => text(value),
    }
}

/// What a service level says, broken over lines between its parts only.
pub(super) fn expected(level: &str) -> String {
    let parts = text(level).replace(':', ":<wbr>");
    element(
        "code",
        &[],
        &parts
            .replace("&lt;", "<wbr>&lt;")
            .replace("&gt;", "<wbr>&gt;"),
    )
}

/// A list of items that are markup already.
pub(super) fn list(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|i| element("li", &[], i)).collect();
    element("ul", &[], &items.concat())
}

/// A table. Its first column names the rows.
pub(crate) struct Table {
    /// What it shows.
    pub(crate) caption: String,
    /// Names of the columns.
    pub(crate) head: Vec<String>,
    /// Cells, which are markup already.
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows; the cells of the head are text.
    pub(crate) fn new(caption: impl Into<String>, head: &[&str]) -> Self {
        Self {
            caption: caption.into(),
            head: head.iter().map(|h| text(h)).collect(),
            rows: Vec::new(),
        }
    }

    /// The table as markup, in a box of its own that scrolls where the page is too narrow.
    pub(crate) fn markup(&self) -> String {
        let head = self.head.iter();
        let head = head.map(|h| element("th", &[("scope", "col")], h));
        let head = element("tr", &[], &head.collect::<String>());
        let rows = self.rows.iter().map(|row| {
            let cells = row.iter().enumerate().map(|(i, cell)| match i {
                0 => element("th", &[("scope", "row")], cell),
                _ => element("td", &[], cell),
            });
            element("tr", &[], &cells.collect::<String>())
        });
        let content = tag("caption", &self.caption)
            + &element("thead", &[], &head)
            + &element("tbody", &[], &rows.collect::<String>());
        let table = element("table", &[], &content);
        // A region that scrolls must be reachable by keyboard.
        let about = [
            ("class", "scroll"),
            ("tabindex", "0"),
            ("role", "region"),
            ("aria-label", self.caption.as_str()),
        ];
        element("div", &about, &table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_attributes_are_escaped() {
        let got = element("a", &[("title", "\"<&")], &text("1 < 2 & 3"));
        assert_eq!(got, "<a title=\"&quot;&lt;&amp;\">1 &lt; 2 &amp; 3</a>");
    }

    #[test]
    fn a_value_stands_before_its_interval() {
        let got = measured("2 s (1 s to 3 s)");
        let want = "<span class=\"value\">2 s</span> <small class=\"value\">(1 s to 3 s)</small>";
        assert_eq!(got, want);
        assert_eq!(measured("too few"), "too few");
    }

    #[test]
    fn the_first_column_names_the_rows() {
        let mut table = Table::new("c", &["a", "b"]);
        table.rows.push(vec!["1".into(), "2".into()]);
        let markup = table.markup();
        assert!(markup.contains("<tr><th scope=\"row\">1</th><td>2</td></tr>"));
        assert!(markup.contains("<caption>c</caption>"));
    }
}
