//! The engines that a plan may name: those of the registry, and any that a program brings along.

use crate::plan::Plan;
use crate::unit::{self, EngineSheet};
use quorate_consensus::registry::{EngineKind, EngineVisitor};
use quorate_core::{Engine, Facts, Invalid, Ledger, Load, Wait};
use quorate_kernel::{Report, Setup, Simulation};
use serde::Deserialize as _;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

/// An engine without its type: what the harness asks of every one.
pub trait AnyEngine: Sync {
    /// The name in plans and results.
    fn name(&self) -> &'static str;
    /// What it is, in one line.
    fn doc(&self) -> &'static str;
    /// What it is, for tables and verdicts.
    fn facts(&self) -> Facts;
    /// The names that its `preset` key takes, the default first; none for a program's own.
    fn presets(&self) -> &'static [&'static str];
    /// A checked table of settings with every default spelled out.
    fn resolved(&self, config: &toml::Table) -> toml::Table;
    /// Its settings with their defaults.
    fn defaults(&self) -> toml::Table {
        self.resolved(&toml::Table::new())
    }
    /// Refuses a table of settings that cannot work with the plan's nodes.
    ///
    /// # Errors
    /// The key within the table, what is wrong and what to do.
    fn check(&self, plan: &Plan, config: &toml::Table) -> Result<(), Invalid>;
    /// What it is under a checked plan.
    fn sheet(&self, plan: &Plan, config: &toml::Table) -> EngineSheet;
    /// The probability of a reversal after a wait, see [`Engine::reversal_risk`].
    fn reversal_risk(&self, config: &toml::Table, nodes: u32, corrupt: u32, wait: &Wait) -> f64;
    /// Runs one unit.
    fn run(
        &self,
        config: &toml::Table,
        setup: Setup,
        load: Box<dyn Load>,
        ledger: &dyn Ledger,
    ) -> Report;
}

struct Registered<E> {
    name: &'static str,
    doc: &'static str,
    presets: &'static [&'static str],
    engine: PhantomData<fn() -> E>,
}

impl<E: Engine> Registered<E> {
    fn config(config: &toml::Table) -> E::Config {
        E::Config::deserialize(config.clone()).expect("the plan was checked")
    }
}

impl<E: Engine> AnyEngine for Registered<E> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn doc(&self) -> &'static str {
        self.doc
    }

    fn facts(&self) -> Facts {
        E::FACTS
    }

    fn presets(&self) -> &'static [&'static str] {
        self.presets
    }

    fn resolved(&self, config: &toml::Table) -> toml::Table {
        toml::Table::try_from(Self::config(config)).expect("a configuration is a table")
    }

    fn check(&self, plan: &Plan, config: &toml::Table) -> Result<(), Invalid> {
        let config = E::Config::deserialize(config.clone()).map_err(|e| Invalid {
            key: "",
            why: format!(
                "is wrong: {}",
                e.message().lines().collect::<Vec<_>>().join(" ")
            ),
            hint: format!(
                "`quorate list engines` shows the keys of {} with their defaults",
                self.name
            ),
        })?;
        unit::check::<E>(plan, &config)
    }

    fn sheet(&self, plan: &Plan, config: &toml::Table) -> EngineSheet {
        unit::sheet_of::<E>(plan, &Self::config(config))
    }

    fn reversal_risk(&self, config: &toml::Table, nodes: u32, corrupt: u32, wait: &Wait) -> f64 {
        E::reversal_risk(&Self::config(config), nodes, corrupt, wait)
    }

    fn run(
        &self,
        config: &toml::Table,
        setup: Setup,
        load: Box<dyn Load>,
        ledger: &dyn Ledger,
    ) -> Report {
        let mut sim = Simulation::<E>::new(&Self::config(config), setup, load, ledger);
        sim.run();
        sim.finish()
    }
}

/// Engines that a program brings along, see [`crate::cli::Program::with_engine`].
static OWN: Mutex<Vec<&'static dyn AnyEngine>> = Mutex::new(Vec::new());

/// Adds an engine for the rest of the process.
pub(crate) fn add<E: Engine + 'static>(name: &'static str, doc: &'static str) {
    let engine = Registered::<E> {
        name,
        doc,
        presets: &[],
        engine: PhantomData,
    };
    // One for the life of the process, like the registry itself.
    let engine: &'static dyn AnyEngine = Box::leak(Box::new(engine));
    OWN.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(engine);
}

/// All engines in the order in which they are listed: the registry's, then the program's own.
pub fn all() -> Vec<&'static dyn AnyEngine> {
    let own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    built_in().iter().chain(own.iter()).copied().collect()
}

/// The engine of this name; a program's own goes before one of the registry.
pub fn find(name: &str) -> Option<&'static dyn AnyEngine> {
    all().into_iter().rev().find(|e| e.name() == name)
}

/// The place of an engine in [`all`], which is its colour in figures.
pub fn place(name: &str) -> usize {
    all().iter().position(|e| e.name() == name).unwrap_or(0)
}

fn built_in() -> &'static [&'static dyn AnyEngine] {
    static LIST: std::sync::LazyLock<Vec<&'static dyn AnyEngine>> =
        std::sync::LazyLock::new(|| {
            struct Register(EngineKind);
            impl EngineVisitor for Register {
                type Output = &'static dyn AnyEngine;
                fn visit<E: Engine + 'static>(self, _: E::Config) -> Self::Output {
                    Box::leak(Box::new(Registered::<E> {
                        name: self.0.name(),
                        doc: self.0.doc(),
                        presets: self.0.presets(),
                        engine: PhantomData,
                    }))
                }
            }
            let entry = |kind: &EngineKind| {
                let first = kind.presets()[0];
                kind.preset(first, Register(*kind))
                    .expect("the first preset exists")
            };
            EngineKind::ALL.iter().map(entry).collect()
        });
    &LIST
}
