//! The line that a message is about, with carets under the place.

use quorate_workloads::Error as Wrong;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::ops::Range;
use std::path::Path;

/// Letters of a line that are shown.
// assumption: what fits a terminal beside the line number.
const ROOM: usize = 100;

/// The line of a text in which a range begins, the rest of the range in that line marked.
pub(crate) fn of(text: &str, at: &Range<usize>) -> String {
    let start = at.start.min(text.len());
    let first = text[..start].rfind('\n').map_or(0, |n| n + 1);
    let line = text[first..].lines().next().unwrap_or_default();
    let number = text[..start].matches('\n').count() + 1;
    let within = start - first..at.end.max(start).saturating_sub(first);
    marked(number as u64, line, &within)
}

/// A line with its number, and carets under a range of its bytes.
fn marked(number: u64, line: &str, at: &Range<usize>) -> String {
    let line = line.trim_end();
    let count = |upto: usize| {
        let upto = (0..=upto.min(line.len())).rev();
        let edge = upto.into_iter().find(|&i| line.is_char_boundary(i));
        line[..edge.unwrap_or(0)].chars().count()
    };
    let (from, until) = (count(at.start), count(at.end));
    let letters: Vec<char> = line
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    // A window around the place, where the line is long.
    let skipped = if letters.len() <= ROOM {
        0
    } else {
        from.saturating_sub(ROOM / 2).min(letters.len() - ROOM)
    };
    let shown: String = letters.iter().skip(skipped).take(ROOM).collect();
    let number = number.to_string();
    let gap = " ".repeat(number.len());
    let before = " ".repeat(from - skipped);
    let carets = until.clamp(from + 1, skipped.max(from) + ROOM) - from;
    let carets = "^".repeat(carets.min(ROOM - (from - skipped).min(ROOM - 1)));
    format!("\n{gap} |\n{number} | {shown}\n{gap} | {before}{carets}")
}

/// What a workload's file has where it is wrong; nothing where no line can be shown. `folder` is what the
/// names of files are relative to.
pub(crate) fn of_data(folder: &Path, error: &Wrong) -> String {
    let shown = match error {
        Wrong::Value {
            file, line, column, ..
        } => cell(&folder.join(file), *line, column),
        Wrong::Csv { file, source } => {
            let number = source.position().map(csv::Position::line);
            number.and_then(|n| whole(&folder.join(file), n))
        }
        Wrong::Column { file, .. } => whole(&folder.join(file), 1),
        Wrong::Json { file, place, why } => {
            let (number, column) = (after(why, "line "), after(why, "column "));
            // A reader of one line counts from that line.
            let number = after(place, "line ").or(number);
            let at = column.unwrap_or(1).saturating_sub(1) as usize;
            let path = folder.join(file);
            let shown = number.and_then(|n| Some(marked(n, &line_of(&path, n)?, &(at..at + 1))));
            // A document that breaks off does so behind its last line.
            shown.or_else(|| whole(&path, number?.checked_sub(1)?))
        }
        Wrong::Document { file, key, .. } => {
            let path = folder.join(file);
            found(&path, &format!("\"{key}\"")).or_else(|| whole(&path, 1))
        }
        Wrong::Field {
            file, place, value, ..
        } => {
            let path = folder.join(file);
            match after(place, "line ") {
                Some(number) => line_of(&path, number).map(|line| {
                    let at = line.find(value.as_str()).unwrap_or(0);
                    marked(number, &line, &(at..at + value.len()))
                }),
                None => found(&path, value),
            }
        }
        Wrong::Empty { file, .. } => whole(&folder.join(file), 1),
        Wrong::Setting { .. } | Wrong::Open { .. } | Wrong::TooMany { .. } => None,
    };
    shown.unwrap_or_default()
}

/// The line of a text that a message names as `line: N`.
pub(crate) fn of_message(text: &str, message: &str) -> String {
    let number = after(message, "line: ").or_else(|| after(message, "line "));
    let line = number.and_then(|n| {
        let place = usize::try_from(n.checked_sub(1)?).ok()?;
        Some((n, text.lines().nth(place)?))
    });
    line.map_or_else(String::new, |(n, line)| marked(n, line, &(0..line.len())))
}

/// How a file begins; nothing for a folder.
pub(crate) fn of_start(path: &Path) -> String {
    whole(path, 1).unwrap_or_default()
}

/// The word that was meant by an unknown one, where a message lists what there is.
pub(crate) fn meant(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("unknown ")?;
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let asked = quoted.next()?;
    let likeness = |word: &&str| strsim::jaro_winkler(asked, word);
    let best = quoted.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    // assumption: what is less alike is not what was meant.
    (likeness(&best) > 0.8).then_some(best)
}

/// A hint that begins with what was meant, where that can be guessed.
pub(crate) fn hinted(message: &str, hint: &str) -> String {
    meant(message).map_or_else(
        || hint.to_owned(),
        |word| format!("did you mean `{word}`? {hint}"),
    )
}

/// The number that follows a word.
fn after(text: &str, word: &str) -> Option<u64> {
    let rest = &text[text.find(word)? + word.len()..];
    let digits = rest.find(|c: char| !c.is_ascii_digit());
    rest[..digits.unwrap_or(rest.len())].parse().ok()
}

/// A line of a file, from 1.
fn line_of(path: &Path, number: u64) -> Option<String> {
    let mut lines = BufReader::new(File::open(path).ok()?).split(b'\n');
    let bytes = lines.nth(usize::try_from(number.checked_sub(1)?).ok()?)?;
    Some(String::from_utf8_lossy(&bytes.ok()?).into_owned())
}

fn whole(path: &Path, number: u64) -> Option<String> {
    let line = line_of(path, number)?;
    Some(marked(number, &line, &(0..line.trim_end().len())))
}

/// The cell of a column, by the header in the first line.
fn cell(path: &Path, number: u64, column: &str) -> Option<String> {
    let header = line_of(path, 1)?;
    let name = |at: &Range<usize>| header[at.clone()].trim().trim_matches('"').to_owned();
    let place = cells(&header).position(|at| name(&at) == column)?;
    let line = line_of(path, number)?;
    let at = cells(&line).nth(place)?;
    Some(marked(number, &line, &at))
}

/// Where the cells of a line stand; commas within quotes are text.
fn cells(line: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let line = line.trim_end();
    let mut quoted = false;
    let mut from = 0;
    let ends = line.bytes().enumerate().filter(move |(_, b)| {
        quoted ^= *b == b'"';
        *b == b',' && !quoted
    });
    ends.map(|(i, _)| i).chain([line.len()]).map(move |end| {
        let cell = from..end;
        from = end + 1;
        cell
    })
}

/// The only line of a file that has a text.
fn found(path: &Path, text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let lines = BufReader::new(File::open(path).ok()?).split(b'\n');
    let mut hits = lines.enumerate().filter_map(|(i, bytes)| {
        let line = String::from_utf8_lossy(&bytes.ok()?).into_owned();
        let at = line.find(text)?;
        Some((i as u64 + 1, line, at))
    });
    let (number, line, at) = hits.next()?;
    let is_only = hits.next().is_none();
    is_only.then(|| marked(number, &line, &(at..at + text.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_marked_within_its_line() {
        let text = "a = 1\nnodes = \"four\"\nb = 2\n";
        assert_eq!(
            of(text, &(14..20)),
            "\n  |\n2 | nodes = \"four\"\n  |         ^^^^^^"
        );
        assert_eq!(
            of(text, &(6..21)),
            "\n  |\n2 | nodes = \"four\"\n  | ^^^^^^^^^^^^^^",
            "what is longer ends with its line"
        );
        assert_eq!(of("", &(0..0)), "\n  |\n1 | \n  | ^");
        assert_eq!(
            of("é = x", &(5..6)),
            "\n  |\n1 | é = x\n  |     ^",
            "letters count, not bytes"
        );
    }

    #[test]
    fn long_lines_are_shown_around_the_place() {
        let line = format!("{}HERE{}", "a".repeat(500), "b".repeat(500));
        let text = of(&line, &(500..504));
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[2].contains("aHEREb") && lines[2].len() < 110,
            "{text}"
        );
        assert_eq!(lines[3].find('^'), lines[2].find('H'));
        let end = of(&line, &(1_003..1_004));
        assert!(end.lines().all(|l| l.len() <= ROOM + 6), "{end}");
    }

    #[test]
    fn a_slip_is_recognised() {
        let list = "unknown field `nodez`, expected one of `name`, `nodes`, `regions`";
        assert_eq!(meant(list), Some("nodes"));
        assert_eq!(meant(&list.replace("nodez", "xyz")), None);
        assert_eq!(meant("missing field `nodes`"), None);
        assert_eq!(hinted(list, "see there"), "did you mean `nodes`? see there");
    }

    #[test]
    fn cells_stand_between_commas() {
        let at: Vec<_> = cells("a,\"b,c\",d\r\n").collect();
        assert_eq!(at, [0..1, 2..7, 8..9]);
    }
}
