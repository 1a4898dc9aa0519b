//! Kinds of errors by the words of their messages.

use crate::catalogue::Entry;

/// A kind of error.
pub(super) struct Fault {
    name: &'static str,
    /// Its message has all words of one of these, small letters.
    words: &'static [&'static [&'static str]],
    about: &'static str,
    remedy: &'static str,
    code: u8,
}

impl Fault {
    /// Whether a message, with small letters, is of this kind.
    pub(super) fn is_said_by(&self, message: &str) -> bool {
        let said = |all: &&[&str]| all.iter().all(|w| message.contains(w));
        self.words.iter().any(said)
    }

    pub(super) fn entry(&self) -> Entry {
        let words = self
            .words
            .iter()
            .map(|all| format!("\"{}\"", all.join(" … ")));
        Entry::new(self.name, self.about)
            .with("said as", words.collect::<Vec<_>>().join(" or "))
            .with("what to do", self.remedy)
            .with("exit code", self.code.to_string())
            .with("related", format!("quorate explain {}", self.code))
    }
}

const fn fault(
    name: &'static str,
    words: &'static [&'static [&'static str]],
    about: &'static str,
    remedy: &'static str,
    code: u8,
) -> Fault {
    Fault {
        name,
        words,
        about,
        remedy,
        code,
    }
}

/// Hyphens and underscores of a message are spaces here.
pub(super) const FAULTS: &[Fault] = &[
    fault(
        "unknown-key",
        &[&["unknown field"], &["unknown key"]],
        "A key that no table of that name has: a slip, or a key of another table.",
        "the message lists the keys that are there; `quorate init` writes them all with their meaning",
        78,
    ),
    fault(
        "unknown-value",
        &[&["unknown variant"]],
        "A word that is none of those that the key knows.",
        "the message lists them",
        78,
    ),
    fault(
        "missing-key",
        &[&["missing field"]],
        "A key without a default was left out.",
        "add it to the table that the message points at",
        78,
    ),
    fault(
        "wrong-type",
        &[&["invalid type"], &["invalid value"]],
        "Text where a number is wanted, or the other way round; 5 where 5.0 is meant is fine.",
        "numbers without quotes, text and times with",
        78,
    ),
    fault(
        "syntax",
        &[
            &["expected", "newline"],
            &["unquoted"],
            &["invalid key"],
            &["invalid string"],
            &["duplicate key"],
            &["key with no value"],
            &["string values must be quoted"],
        ],
        "The file is no TOML.",
        "the caret stands where reading stopped; the mistake is there or shortly before",
        78,
    ),
    fault(
        "unknown-engine",
        &[&["no such engine"], &["not an engine"], &["is no engine"]],
        "An engine that is not built in.",
        "`quorate list engines`; one of your own joins through the library, see docs/contributor.md",
        78,
    ),
    fault(
        "unknown-region",
        &[&["no such region"], &["not a region"]],
        "A region that the latency table lacks.",
        "`quorate list regions`, and network.latency_table",
        78,
    ),
    fault(
        "unknown-class",
        &[&["no such class"], &["no class"], &["measures no"]],
        "A service level or an answer names a class or measure that the workload lacks.",
        "`quorate list workloads` has the classes, `quorate list metrics` the measures",
        78,
    ),
    fault(
        "too-many-liars",
        &[&["corrupt"]],
        "More members lie or are corrupt than there are, or than the protocol bears.",
        "adversary.corrupt says how many finality is held against; `quorate explain ENGINE` has each bound",
        78,
    ),
    fault(
        "bad-override",
        &[&["not key=value"], &["not key value"]],
        "An override is no key with a value.",
        "-s network.nodes=7; elements of arrays by number: -s engines.0.config.period_ms=500",
        78,
    ),
    fault(
        "no-smaller-form",
        &[&["has no smaller form"]],
        "--quick asks for the plan's smaller form, and it has none.",
        "list overrides under `quick` in the plan",
        78,
    ),
    fault(
        "wrong-kind",
        &[&["`kind` is not"]],
        "The command runs plans of another kind.",
        "`quorate run` runs every kind",
        78,
    ),
    fault(
        "unusable-value",
        &[&["is unusable"]],
        "A cell of a table, or a field of a document, cannot be used.",
        "the message names file, line and column, and what would do",
        65,
    ),
    fault(
        "no-column",
        &[&["has no column"]],
        "A table lacks a column that its format has.",
        "the hint shows the header that was found",
        65,
    ),
    fault(
        "not-a-table",
        &[&["not readable as csv"]],
        "Rows of unequal length, or text that is not UTF-8.",
        "one header line, commas, quotes around cells that hold commas",
        65,
    ),
    fault(
        "not-a-document",
        &[&["not readable as json"]],
        "A document that breaks off or is no JSON.",
        "export it again; a file of lines has one document a line",
        65,
    ),
    fault(
        "no-format",
        &[&["shows no format"]],
        "Nothing in the files says what they are.",
        "--format fhir, synthea, epcis, sdtm or arrivals",
        65,
    ),
    fault(
        "no-file",
        &[&["cannot read"], &["cannot open"], &["no such file"]],
        "A file is not there, or may not be read.",
        "paths in a plan are relative to the plan",
        66,
    ),
    fault(
        "cannot-write",
        &[
            &["cannot write"],
            &["cannot create"],
            &["no space left"],
            &["already exists"],
        ],
        "The results folder, or the file that was asked for, cannot be written.",
        "`quorate doctor --out FOLDER` says why; nothing half-written is left",
        74,
    ),
    fault(
        "broken-promise",
        &[&["broke its promise"]],
        "A protocol did what it promises never to do.",
        "the message says which nodes and blocks; the same command repeats it",
        20,
    ),
    fault(
        "a-bug",
        &[&["a bug"], &["panicked"]],
        "The program broke a rule of its own.",
        "report it with the command in the hint",
        1,
    ),
    fault(
        "stopped",
        &[&["interrupted"]],
        "A signal stopped the command before its end.",
        "run it again; the results are the same as without the interruption",
        130,
    ),
    fault(
        "unknown-command",
        &[
            &["unrecognized subcommand"],
            &["unexpected argument"],
            &["required arguments"],
        ],
        "The command line is not understood.",
        "`quorate help`, and `quorate help COMMAND`",
        2,
    ),
];
