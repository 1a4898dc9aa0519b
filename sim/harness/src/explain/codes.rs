//! The exit codes, each with what it means and what to do.

use crate::catalogue::Entry;

/// An exit code.
pub(crate) struct Code {
    pub(crate) number: u8,
    /// A name for `explain`.
    pub(crate) name: &'static str,
    /// In a few words, for the help.
    pub(crate) short: &'static str,
    about: &'static str,
    remedy: &'static str,
}

impl Code {
    pub(super) fn entry(&self, name: impl Into<String>) -> Entry {
        Entry::new(
            name,
            format!("Exit code {}: {}. {}", self.number, self.short, self.about),
        )
        .with(
            "how to read",
            "scripts read the code; the last lines on stderr say what happened",
        )
        .with("what to do", self.remedy)
        .with(
            "source",
            "sysexits.h for 65 to 78; 3 and 99 as other gates use them; 20 to 22 are quorate's own",
        )
    }
}

const fn code(
    code: u8,
    name: &'static str,
    short: &'static str,
    about: &'static str,
    remedy: &'static str,
) -> Code {
    Code {
        number: code,
        name,
        short,
        about,
        remedy,
    }
}

/// All exit codes.
pub(crate) const CODES: &[Code] = &[
    code(
        0,
        "ok",
        "ok",
        "The command did what it says. A verdict of `fails` is an answer, and ends so too.",
        "nothing",
    ),
    code(
        1,
        "bug",
        "a bug",
        "The program broke a rule of its own; the message holds the command that repeats it.",
        "report it with that command",
    ),
    code(
        2,
        "usage",
        "usage",
        "The command line is wrong: an unknown option, command or name.",
        "`quorate help COMMAND`",
    ),
    code(
        3,
        "regression",
        "regression, or results moved",
        "Two results that were held against each other differ by more than was allowed.",
        "look at the rows that are named; if the change is wanted, accept the new baseline",
    ),
    code(
        4,
        "incomplete",
        "incomplete",
        "Units are missing: a run or some of its shares did not end.",
        "run the command again that the message names; what is done is kept",
    ),
    code(
        5,
        "model",
        "results of another model_version",
        "Two folders were written by versions whose model differs: their figures may differ, and nothing is wrong.",
        "CHANGELOG.md says which results moved and why; run the older one again",
    ),
    code(
        20,
        "safety",
        "a protocol broke its promise",
        "Two nodes called different blocks final although no more members lied or failed than the protocol bears.",
        "the message names the seed; run it alone and read the trace",
    ),
    code(
        21,
        "validation",
        "a law was missed",
        "`validate` got a value outside the band of a law (tier A).",
        "`quorate validate --id ROW` repeats the row",
    ),
    code(
        22,
        "liveness",
        "a protocol did not recover",
        "All faults were over, and what was submitted did not become final.",
        "the message names the seed; `fuzz` writes a smaller plan",
    ),
    code(
        65,
        "data",
        "corrupt or foreign input",
        "A file of records, a journal or a results folder is not what it should be.",
        "the message names file, line and column; mend the row, or leave it out",
    ),
    code(
        66,
        "no-input",
        "missing input",
        "A file is not there or cannot be read.",
        "paths in a plan are relative to the plan; paths on the command line to where it is called",
    ),
    code(
        70,
        "nondeterminism",
        "results are not reproducible",
        "The same unit gave two different results. This is always a bug or broken hardware.",
        "repeat it with `--self-check`; test the memory; report it",
    ),
    code(
        74,
        "io",
        "results cannot be written",
        "A disk is full, a folder is read-only or its name is taken. Nothing half-written is left.",
        "`quorate doctor` says which; or name another folder with --out",
    ),
    code(
        75,
        "locked",
        "locked, try later",
        "Another process works on the same results.",
        "wait for it, or end it",
    ),
    code(
        78,
        "config",
        "wrong plan",
        "A plan, or an override with -s, cannot be run.",
        "the message names file, line and key, and shows the line; `quorate init` writes a plan with every key explained",
    ),
    code(
        99,
        "threshold",
        "a threshold failed",
        "A service level that was to be kept is not.",
        "`quorate explain margin` says how to read by how much",
    ),
    code(
        130,
        "interrupted",
        "interrupted",
        "Stopped by Ctrl-C or SIGTERM.",
        "run the same command again",
    ),
];

/// The codes in one line, for the help.
pub(crate) fn line() -> String {
    let all: Vec<String> = CODES
        .iter()
        .map(|c| format!("{} {}", c.number, c.short))
        .collect();
    format!("Exit codes: {}", all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::exit;

    #[test]
    fn every_code_of_the_program_is_explained() {
        let codes = [
            exit::OK,
            exit::BUG,
            exit::USAGE,
            exit::MOVED,
            exit::INCOMPLETE,
            exit::MODEL,
            exit::NONDETERMINISM,
            exit::LOCKED,
            exit::THRESHOLD,
            exit::SAFETY,
            exit::VALIDATION,
            exit::LIVENESS,
            exit::DATA,
            exit::NO_INPUT,
            exit::IO,
            exit::CONFIG,
            exit::INTERRUPTED,
        ];
        for code in codes {
            assert!(
                CODES.iter().any(|c| c.number == code),
                "{code} is not explained"
            );
        }
    }
}
