//! The engines that a plan may name: those of the registry, and any that a program brings along.

use crate::anchor::tier::{Anchored, Rules, Settings};
use crate::anchor::{self, Anchor};
use crate::plan::Plan;
use crate::unit::{self, EngineSheet, Tweak};
use crate::validate::world::Accept;
use quorate_consensus::registry::{EngineKind, EngineVisitor};
use quorate_core::{
    Adversary, Committee, Domain, Engine, Facts, Family, Finality, Invalid, Ledger, Load, NodeId,
    Promises, Standing, Time, Wait,
};
use quorate_kernel::{Report, Run, Setup, Simulation};
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
    /// Whether it can be deployed with one of its presets.
    fn standing(&self, preset: &str) -> Standing {
        let _ = preset;
        self.facts().standing
    }
    /// The family of those who build the ledger's own blocks, under a checked table of settings.
    fn builders(&self, config: &toml::Table) -> Family {
        let _ = config;
        self.facts().family
    }
    /// A checked table of settings with every default spelled out.
    fn resolved(&self, config: &toml::Table) -> toml::Table;
    /// Its settings with their defaults.
    fn defaults(&self) -> toml::Table {
        self.resolved(&toml::Table::new())
    }
    /// Whether a table of settings can be read.
    ///
    /// # Errors
    /// What serde says of it.
    fn reads(&self, config: &toml::Table) -> Result<(), String>;
    /// Refuses a table of settings that cannot work with the plan's nodes.
    ///
    /// # Errors
    /// The key within the table, what is wrong and what to do.
    fn check(&self, plan: &Plan, config: &toml::Table) -> Result<(), Invalid>;
    /// What it is under a checked plan.
    fn sheet(&self, plan: &Plan, config: &toml::Table) -> EngineSheet;
    /// The probability of a reversal after a wait, see [`Engine::reversal_risk`].
    fn reversal_risk(&self, config: &toml::Table, nodes: u32, corrupt: u32, wait: &Wait) -> f64;
    /// See [`Engine::promises`].
    fn promises(&self, config: &toml::Table, nodes: u32) -> Promises;
    /// See [`Engine::committee`].
    fn committee(&self, config: &toml::Table, nodes: u32) -> Committee;
    /// How its blocks become final, see [`Engine::finality`].
    ///
    /// # Errors
    /// Why they never do.
    fn finality(&self, config: &toml::Table, adversary: &Adversary) -> Result<Finality, String>;
    /// A checked table with a counterfactual applied.
    fn tweaked(&self, config: &toml::Table, tweak: Tweak) -> toml::Table;
    /// Runs one unit, against the adversary of the engine's sheet; the domain is shown the final order.
    fn run(
        &self,
        config: &toml::Table,
        adversary: &Adversary,
        setup: Setup,
        load: Box<dyn Load>,
        rules: (&dyn Ledger, Option<Box<dyn Domain>>),
    ) -> Report;
    /// Who leads a unit just before an instant, see [`Simulation::leader`].
    fn leader_at(
        &self,
        config: &toml::Table,
        adversary: &Adversary,
        setup: Setup,
        load: Box<dyn Load>,
        ledger: &dyn Ledger,
        at: Time,
    ) -> Option<NodeId>;
    /// A run as one of several ledgers.
    fn open<'a>(
        &self,
        config: &toml::Table,
        setup: Setup,
        load: Box<dyn Load + 'a>,
        ledger: &'a dyn Ledger,
    ) -> Box<dyn Run + 'a>;
    /// A run as the local ledger of an anchor.
    fn lower<'a>(&self, config: &toml::Table, tier: Lower<'a>) -> Box<dyn Run + 'a>;
    /// A run as the public chain of an anchor, on a ledger that accepts everything: it tells when
    /// transactions of the `followed` sites are final.
    fn upper(
        &self,
        config: &toml::Table,
        setup: Setup,
        load: Box<dyn Load>,
        followed: &[u32],
    ) -> Box<dyn Run>;
}

/// A run as the local ledger of an anchor.
pub struct Lower<'a> {
    /// How it is anchored.
    pub rules: Rules,
    /// Its own finality is that of the anchor's sheet.
    pub setup: Setup,
    /// What arrives.
    pub load: Box<dyn Load + 'a>,
    /// Its rules.
    pub ledger: &'a dyn Ledger,
    /// Whom the final order is shown.
    pub domain: Option<Box<dyn Domain>>,
}

struct Registered<E> {
    name: &'static str,
    doc: &'static str,
    presets: &'static [&'static str],
    standings: fn(&str) -> Option<Standing>,
    engine: PhantomData<fn() -> E>,
}

impl<E: Engine> Registered<E> {
    fn config(config: &toml::Table) -> E::Config {
        E::Config::deserialize(config.clone()).expect("the plan was checked")
    }
}

impl<E: Engine + 'static> AnyEngine for Registered<E> {
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

    fn standing(&self, preset: &str) -> Standing {
        (self.standings)(preset).unwrap_or(E::FACTS.standing)
    }

    fn resolved(&self, config: &toml::Table) -> toml::Table {
        toml::Table::try_from(Self::config(config)).expect("a configuration is a table")
    }

    fn reads(&self, config: &toml::Table) -> Result<(), String> {
        let read = E::Config::deserialize(config.clone());
        read.map(drop).map_err(|e| e.message().to_owned())
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

    fn promises(&self, config: &toml::Table, nodes: u32) -> Promises {
        E::promises(&Self::config(config), nodes)
    }

    fn committee(&self, config: &toml::Table, nodes: u32) -> Committee {
        E::committee(&Self::config(config), nodes)
    }

    fn finality(&self, config: &toml::Table, adversary: &Adversary) -> Result<Finality, String> {
        E::finality(&Self::config(config), adversary)
    }

    fn tweaked(&self, config: &toml::Table, tweak: Tweak) -> toml::Table {
        unit::tweaked(self, config, tweak)
    }

    fn run(
        &self,
        config: &toml::Table,
        _: &Adversary,
        setup: Setup,
        load: Box<dyn Load>,
        (ledger, domain): (&dyn Ledger, Option<Box<dyn Domain>>),
    ) -> Report {
        let mut sim = Simulation::<E>::new(&Self::config(config), setup, load, ledger);
        if let Some(domain) = domain {
            sim.show(domain);
        }
        sim.run();
        sim.finish()
    }

    fn leader_at(
        &self,
        config: &toml::Table,
        _: &Adversary,
        setup: Setup,
        load: Box<dyn Load>,
        ledger: &dyn Ledger,
        at: Time,
    ) -> Option<NodeId> {
        let mut sim = Simulation::<E>::new(&Self::config(config), setup, load, ledger);
        sim.run_until(at);
        sim.leader()
    }

    fn open<'a>(
        &self,
        config: &toml::Table,
        setup: Setup,
        load: Box<dyn Load + 'a>,
        ledger: &'a dyn Ledger,
    ) -> Box<dyn Run + 'a> {
        let config = Self::config(config);
        Box::new(Simulation::<E>::new(&config, setup, load, ledger))
    }

    fn lower<'a>(&self, config: &toml::Table, tier: Lower<'a>) -> Box<dyn Run + 'a> {
        let Lower {
            rules,
            setup,
            load,
            ledger,
            domain,
        } = tier;
        let local = Self::config(config);
        let settings = Settings { local, rules };
        let mut sim = Simulation::<Anchored<E>>::new(&settings, setup, load, ledger);
        sim.measure_gaps();
        if let Some(domain) = domain {
            sim.show(domain);
        }
        Box::new(sim)
    }

    fn upper(
        &self,
        config: &toml::Table,
        setup: Setup,
        load: Box<dyn Load>,
        followed: &[u32],
    ) -> Box<dyn Run> {
        let mut sim = Simulation::<E>::new(&Self::config(config), setup, load, &Accept);
        for &site in followed {
            sim.follow(site);
        }
        Box::new(sim)
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
        standings: |_| None,
        engine: PhantomData,
    };
    // One for the life of the process, like the registry itself.
    let engine: &'static dyn AnyEngine = Box::leak(Box::new(engine));
    OWN.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(engine);
}

/// All engines in the order in which they are listed: the registry's, the anchor, which is made of
/// two of them, then the program's own.
pub fn all() -> Vec<&'static dyn AnyEngine> {
    let own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    let anchor: &'static dyn AnyEngine = &Anchor;
    let all = built_in().iter().copied().chain([anchor]);
    all.chain(own.iter().copied()).collect()
}

/// The engines that run one ledger by themselves: all but the anchor.
pub fn ledgers() -> Vec<&'static dyn AnyEngine> {
    let mut all = all();
    all.retain(|engine| engine.name() != anchor::NAME);
    all
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
                        standings: self.0.standings(),
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
