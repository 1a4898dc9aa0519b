//! What can go wrong outside the simulation, said in one line with a remedy.

use crate::results::ResultsError;
use std::fmt;

/// Exit codes of the binary.
pub mod exit {
    /// All is well.
    pub const OK: u8 = 0;
    /// A bug: the message holds the command that reproduces it.
    pub const BUG: u8 = 1;
    /// The command line is wrong.
    pub const USAGE: u8 = 2;
    /// Results are not those of the baseline, or of the folder that was rebuilt.
    pub const MOVED: u8 = 3;
    /// Units are missing; the message says how to run them.
    pub const INCOMPLETE: u8 = 4;
    /// Results of another `model_version`: figures may differ, and the changelog says why.
    pub const MODEL: u8 = 5;
    /// A protocol's promise was broken in a simulation.
    pub const SAFETY: u8 = 20;
    /// A law of `quorate validate` (tier A) does not hold.
    pub const VALIDATION: u8 = 21;
    /// A protocol did not recover when all faults were over.
    pub const LIVENESS: u8 = 22;
    /// An input file is corrupt.
    pub const DATA: u8 = 65;
    /// An input file is missing or cannot be read.
    pub const NO_INPUT: u8 = 66;
    /// What was run again ended otherwise than the results say.
    pub const NONDETERMINISM: u8 = 70;
    /// Results cannot be written.
    pub const IO: u8 = 74;
    /// Another process does the same.
    pub const LOCKED: u8 = 75;
    /// A plan is wrong.
    pub const CONFIG: u8 = 78;
    /// A service level fails.
    pub const THRESHOLD: u8 = 99;
    /// Stopped by a signal; nothing half-written is left.
    pub const INTERRUPTED: u8 = 130;
}

/// An error that ends the program.
#[derive(Clone, Debug)]
pub struct Error {
    /// What was wrong and where: file, line and key.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// The exit code, one of [`exit`].
    pub code: u8,
}

impl Error {
    /// A plan that cannot be run.
    pub fn config(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
            code: exit::CONFIG,
        }
    }

    /// An input file whose content is wrong.
    pub fn data(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
            code: exit::DATA,
        }
    }

    /// A command line that asks for what there is not.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
            code: exit::USAGE,
        }
    }

    /// A file or folder that cannot be written.
    pub fn io(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
            code: exit::IO,
        }
    }

    /// A file that is not there or cannot be read.
    pub fn missing(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
            code: exit::NO_INPUT,
        }
    }

    /// Stopped by a signal.
    pub fn interrupted() -> Self {
        Self {
            message: "interrupted".to_owned(),
            hint: "nothing was written; run the same command again".to_owned(),
            code: exit::INTERRUPTED,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        if !self.hint.is_empty() {
            write!(f, "\n\nhint: {}", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<ResultsError> for Error {
    fn from(error: ResultsError) -> Self {
        Self {
            message: error.to_string(),
            hint: error.hint().to_owned(),
            code: error.exit_code(),
        }
    }
}
