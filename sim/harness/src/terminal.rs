//! How the program speaks: tables or one JSON document, colour, width, and how far it has come.

use crate::error::Error;
use clap::builder::FalseyValueParser;
use std::io::{IsTerminal as _, Write as _};
use std::sync::OnceLock;

/// Options of every command.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "How it speaks")]
pub(crate) struct Manner {
    /// One JSON document on stdout instead of tables
    #[arg(long, global = true, env = "QUORATE_JSON", hide_env_values = true,
        action = clap::ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(crate) json: bool,
    /// No tables, warnings or progress: only where the results lie, and what went wrong
    #[arg(short, long, global = true, env = "QUORATE_QUIET", hide_env_values = true,
        action = clap::ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(crate) quiet: bool,
    /// Colour; NO_COLOR is heeded where it is auto
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        env = "QUORATE_COLOR",
        hide_env_values = true
    )]
    pub(crate) color: When,
    /// Progress on stderr, once a command has taken two seconds; counter is lines for logs
    #[arg(
        long,
        global = true,
        value_name = "HOW",
        value_enum,
        default_value_t,
        env = "QUORATE_PROGRESS",
        hide_env_values = true
    )]
    pub(crate) progress: Shown,
}

/// When something is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum When {
    // On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    // Also in files and pipes
    Always,
    // Nowhere
    Never,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shown {
    // A bar on a terminal, nothing else
    #[default]
    Auto,
    // A bar on a terminal, lines elsewhere
    Bar,
    // Lines, for logs
    Counter,
    // Not at all
    None,
}

static MANNER: OnceLock<Manner> = OnceLock::new();

/// Fixes the manner for the rest of the process.
pub(crate) fn speak(manner: Manner) {
    let _ = MANNER.set(manner);
}

pub(crate) fn manner() -> Manner {
    MANNER.get().copied().unwrap_or_default()
}

/// Whether colour goes where `is_terminal` says.
pub(crate) fn is_coloured(color: When, is_terminal: bool) -> bool {
    match color {
        When::Always => true,
        When::Never => false,
        // https://no-color.org: set and not empty.
        When::Auto => is_terminal && variable("NO_COLOR").is_none_or(|v| v.is_empty()),
    }
}

/// A variable of the environment, where it is text.
#[expect(
    clippy::disallowed_methods,
    reason = "how results are shown, never what they are"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Columns of the terminal that stdout goes to; none where it goes to a file or a pipe.
pub(crate) fn width() -> Option<usize> {
    let is_terminal = std::io::stdout().is_terminal();
    let size = is_terminal.then(terminal_size::terminal_size).flatten();
    size.map(|(width, _)| usize::from(width.0))
}

/// Tables for a person; nothing where a document or silence is wanted.
pub(crate) fn say(text: &str) {
    let Manner {
        json, quiet, color, ..
    } = manner();
    if json || quiet {
        return;
    }
    if is_coloured(color, std::io::stdout().is_terminal()) {
        put(&paint(text));
    } else {
        put(text);
    }
}

/// What a command comes to: tables, or the document, or in silence the one line that is needed.
pub(crate) fn end(text: &str, document: impl FnOnce() -> serde_json::Value, silent: &str) {
    let Manner { json, quiet, .. } = manner();
    if json {
        put(&format!("{:#}\n", document()));
    } else if quiet {
        if !silent.is_empty() {
            put(&format!("{silent}\n"));
        }
    } else {
        say(text);
    }
}

/// Text on stdout. A closed pipe is no reason to fail.
pub(crate) fn put(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// A remark on stderr.
pub(crate) fn warn(text: &str) {
    if !manner().quiet {
        let word = on_stderr("warning:", YELLOW);
        let _ = writeln!(std::io::stderr(), "{word} {text}");
    }
}

/// What ended the program: words on stderr, and a document where one is wanted.
pub(crate) fn fail(error: &Error) {
    let text = error.to_string();
    let text = text.replacen("error:", &on_stderr("error:", RED), 1);
    let text = match text.rsplit_once("\n\nhint:") {
        Some((before, after)) => {
            format!("{before}\n\n{}{after}", on_stderr("hint:", CYAN))
        }
        None => text,
    };
    let _ = writeln!(std::io::stderr(), "{text}");
    if manner().json {
        let (message, excerpt) = match error.message.split_once('\n') {
            Some((message, excerpt)) => (message, Some(excerpt)),
            None => (error.message.as_str(), None),
        };
        let error = serde_json::json!({
            "error": message, "excerpt": excerpt, "hint": error.hint, "exit_code": error.code,
        });
        put(&format!("{error:#}\n"));
    }
}

const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";

fn styled(text: &str, style: &str) -> String {
    format!("\x1b[1;{style}m{text}\x1b[0m")
}

fn on_stderr(text: &str, style: &str) -> String {
    if is_coloured(manner().color, std::io::stderr().is_terminal()) {
        styled(text, style)
    } else {
        text.to_owned()
    }
}

/// Words that are answers in the cells of tables.
const ANSWERS: [(&str, &str); 8] = [
    ("holds", GREEN),
    ("pass", GREEN),
    ("OK", GREEN),
    ("undecided", YELLOW),
    ("WARN", YELLOW),
    ("fails", RED),
    ("miss", RED),
    ("STOP", RED),
];

/// Colours the first answer of each row. Colour has no width: columns stay where they are.
fn paint(text: &str) -> String {
    let row = |line: &str| {
        for (word, style) in ANSWERS {
            for cell in [format!("  {word} "), format!("  {word}\n")] {
                if line.contains(&cell) {
                    let painted = cell.replacen(word, &styled(word, style), 1);
                    return line.replacen(&cell, &painted, 1);
                }
            }
        }
        line.to_owned()
    };
    text.split_inclusive('\n').map(row).collect()
}

/// Breaks text at spaces into lines of at most `width` letters; a longer word stands alone.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_asked_for_or_where_a_person_looks() {
        assert!(is_coloured(When::Always, false));
        assert!(!is_coloured(When::Never, true));
        assert!(!is_coloured(When::Auto, false));
    }

    #[test]
    fn answers_are_painted_and_sentences_are_not() {
        let table = "  qbft  holds  3×\n  raft  fails\nit holds water\n";
        let painted = paint(table);
        assert_eq!(
            painted,
            "  qbft  \x1b[1;32mholds\x1b[0m  3×\n  raft  \x1b[1;31mfails\x1b[0m\nit holds water\n"
        );
    }

    #[test]
    fn lines_are_broken_at_spaces() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("incomprehensible", 5), ["incomprehensible"]);
        assert_eq!(wrap("", 5), [""]);
    }
}
