//! How far a command has come: a bar or lines on stderr, once it has taken two seconds.

#![expect(
    clippy::disallowed_types,
    reason = "for the screen only; nothing simulated sees the time"
)]

use crate::terminal::{self, Shown};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Before that, nothing is shown; and lines come so far apart.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is counted, how much of it is done, and how long the rest will take.
pub(crate) struct Progress {
    bar: ProgressBar,
    what: &'static str,
    /// All there is; `None` where nobody knows.
    of: Option<u64>,
    form: Form,
    since: Instant,
    /// Lines that were due so far.
    told: AtomicU64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Bar,
    Lines,
    Nothing,
}

impl Form {
    fn of(shown: Shown, is_quiet: bool, is_terminal: bool) -> Self {
        match (shown, is_terminal) {
            _ if is_quiet => Self::Nothing,
            (Shown::None, _) | (Shown::Auto, false) => Self::Nothing,
            (Shown::Auto | Shown::Bar, true) => Self::Bar,
            (Shown::Bar, false) | (Shown::Counter, _) => Self::Lines,
        }
    }
}

impl Progress {
    /// Of so many, such as `units`.
    pub(crate) fn new(of: Option<u64>, what: &'static str) -> Self {
        let manner = terminal::manner();
        let template = match (of, what) {
            (Some(_), "bytes") => "{bar:30} {bytes}/{total_bytes}, {eta} left".to_owned(),
            (Some(_), _) => format!("{{bar:30}} {{pos}}/{{len}} {what}, {{eta}} left"),
            (None, _) => format!("{{elapsed}} {{pos}} {what}"),
        };
        let style = ProgressStyle::with_template(&template).expect("the templates are fixed");
        let hidden = ProgressDrawTarget::hidden();
        Self {
            bar: ProgressBar::with_draw_target(of, hidden).with_style(style),
            what,
            of,
            form: Form::of(
                manner.progress,
                manner.quiet,
                std::io::stderr().is_terminal(),
            ),
            since: Instant::now(),
            told: AtomicU64::new(0),
        }
    }

    /// So many more are done.
    pub(crate) fn inc(&self, more: u64) {
        self.bar.inc(more);
        let elapsed = self.since.elapsed();
        match self.form {
            Form::Nothing => {}
            Form::Bar => {
                if self.bar.is_hidden() && elapsed > PATIENCE {
                    self.bar.set_draw_target(ProgressDrawTarget::stderr());
                }
            }
            Form::Lines => {
                let due = elapsed.as_secs() / PATIENCE.as_secs();
                if self.told.fetch_max(due, Ordering::Relaxed) < due {
                    let line = line(self.bar.position(), self.of, self.what, elapsed);
                    let _ = writeln!(std::io::stderr(), "{line}");
                }
            }
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// A line for a log: what is done, of how much, and how long the rest takes if it goes on like this.
fn line(done: u64, of: Option<u64>, what: &str, elapsed: Duration) -> String {
    let Some(of) = of else {
        return format!("{done} {what} in {} s", elapsed.as_secs());
    };
    let left = of.saturating_sub(done) as f64;
    let rest = elapsed.as_secs_f64() * left / done.max(1) as f64;
    format!("{done}/{of} {what}, {rest:.0} s left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_takes_as_long_as_what_is_done_did() {
        let ten = Duration::from_secs(10);
        assert_eq!(line(25, Some(100), "units", ten), "25/100 units, 30 s left");
        assert_eq!(line(7, None, "seeds", ten), "7 seeds in 10 s");
    }

    #[test]
    fn silence_goes_before_all_else() {
        assert!(Form::of(Shown::Counter, true, true) == Form::Nothing);
        assert!(Form::of(Shown::Auto, false, false) == Form::Nothing);
        assert!(Form::of(Shown::Bar, false, false) == Form::Lines);
        assert!(Form::of(Shown::Auto, false, true) == Form::Bar);
    }
}
