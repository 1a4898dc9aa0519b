//! A plan as the command line asks for it: which one, with which overrides and engines.

use crate::attack::Attack;
use crate::error::Error;
use crate::pair::Pair;
use crate::plan::{Plan, Source};
use crate::study::Study;

/// A plan, and what is changed in it.
#[derive(clap::Args, Clone, Default)]
pub(crate) struct Changes {
    /// Override a key of the plan, such as `load.duration_s=60`; may be repeated
    #[arg(short = 's', long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Only these engines, by label or name with commas between them; `all` for every one there is
    #[arg(long, value_name = "LIST")]
    pub(crate) engines: Option<String>,
    /// The plan's smaller form, for a first look
    #[arg(long)]
    pub(crate) quick: bool,
}

impl Changes {
    /// The plan with its overrides; those of `--quick` go before those of the command line.
    ///
    /// # Errors
    /// What is wrong with the plan or the overrides.
    pub(crate) fn plan(&self, source: &Source) -> Result<Plan, Error> {
        let mut set = Vec::new();
        if self.quick {
            set = source.parse()?.quick;
            if set.is_empty() {
                let hint = "list overrides under the key quick, such as \"load.duration_s=60\"";
                return Err(source.at_key("quick", "is empty: the plan has no smaller form", hint));
            }
        }
        set.extend(self.set.iter().cloned());
        source.plan_with(&set, self.engines.as_deref())
    }

    /// What the plan comes to, if it is made of cells and units.
    ///
    /// # Errors
    /// As [`Changes::plan`]; or a plan of another make.
    pub(crate) fn study(&self, source: &Source) -> Result<Study, Error> {
        if Attack::is_one(source) || Pair::is_one(source) {
            let hint =
                "attacks and two ledgers have cases and settings of their own; use `quorate run`";
            return Err(source.at_key("kind", "has no cells", hint));
        }
        Study::open(source, self.plan(source)?)
    }

    /// The same as words of a command line, each with a space before it.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        for set in &self.set {
            words.extend(["-s".to_owned(), set.clone()]);
        }
        if let Some(engines) = &self.engines {
            words.extend(["--engines".to_owned(), engines.clone()]);
        }
        if self.quick {
            words.push("--quick".to_owned());
        }
        words
    }
}
