//! What there is: engines, workloads, plans, attacks, regions and metrics, as `list` and `explain` say it.

use crate::engines::AnyEngine;
use crate::plan::{BUILT_IN, BuiltIn, Source};
use crate::{analysis, attack, engines, pair, places, question, told};
use quorate_core::Guarantee;
use quorate_workloads::WorkloadKind;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// What can be listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum What {
    Engines,
    Workloads,
    /// Built-in plans
    #[value(alias = "scenarios")]
    Plans,
    Attacks,
    Regions,
    Metrics,
}

impl What {
    /// All, in the order in which they are listed.
    pub(crate) const ALL: [Self; 6] = [
        Self::Engines,
        Self::Workloads,
        Self::Plans,
        Self::Attacks,
        Self::Regions,
        Self::Metrics,
    ];

    /// The heading.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Engines => "engines",
            Self::Workloads => "workloads",
            Self::Plans => "plans",
            Self::Attacks => "attacks",
            Self::Regions => "regions",
            Self::Metrics => "metrics",
        }
    }

    /// What one of them is called.
    pub(crate) const fn one(self) -> &'static str {
        match self {
            Self::Engines => "engine",
            Self::Workloads => "workload",
            Self::Plans => "plan",
            Self::Attacks => "attack",
            Self::Regions => "regions",
            Self::Metrics => "metric",
        }
    }
}

/// Something that has a name.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The name.
    pub(crate) name: String,
    /// What it is.
    pub(crate) about: String,
    /// What is known about it: what, and the answer.
    pub(crate) facts: Vec<(String, String)>,
    /// Its keys in a plan, with what they are when left out.
    pub(crate) settings: toml::Table,
}

impl Entry {
    pub(crate) fn new(name: impl Into<String>, about: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            about: about.into(),
            facts: Vec::new(),
            settings: toml::Table::new(),
        }
    }

    /// The same with one more fact.
    pub(crate) fn with(mut self, what: impl Into<String>, answer: impl Into<String>) -> Self {
        self.facts.push((what.into(), answer.into()));
        self
    }

    /// The lines under its name.
    fn lines(&self) -> String {
        let facts = self.facts.iter().map(|(what, answer)| {
            if what.is_empty() {
                answer.clone()
            } else {
                format!("{what}: {answer}")
            }
        });
        let settings = self.settings.iter().map(|(k, v)| format!("{k} = {v}"));
        let mut text = self.about.clone();
        for line in facts.chain(settings) {
            let _ = write!(text, "\n      {line}");
        }
        text
    }

    pub(crate) fn json(&self) -> Value {
        let facts = self.facts.iter();
        let facts: Map<_, _> = facts.map(|(k, v)| (k.clone(), v.as_str().into())).collect();
        json!({
            "name": self.name,
            "about": self.about,
            "facts": facts,
            "settings": self.settings,
        })
    }
}

/// All of a kind.
pub(crate) fn entries(what: What) -> Vec<Entry> {
    match what {
        What::Engines => engines::all().into_iter().map(engine).collect(),
        What::Workloads => WorkloadKind::ALL.iter().map(|&k| workload(k)).collect(),
        What::Plans => {
            let pairs = pair::BUILT_IN.iter();
            let pairs = pairs.map(|p| Entry::new(p.name, p.about));
            BUILT_IN.iter().map(scenario).chain(pairs).collect()
        }
        What::Attacks => attack::BUILT_IN.iter().map(attack).collect(),
        What::Regions => places::TABLES.iter().map(regions).collect(),
        What::Metrics => told::list(),
    }
}

/// The list on the screen.
pub(crate) fn text(what: Option<What>) -> String {
    let mut text = String::new();
    for what in wanted(what) {
        let entries = entries(what);
        let width = entries.iter().map(|e| e.name.len()).max().unwrap_or(0);
        let _ = writeln!(text, "{}", what.name());
        for entry in &entries {
            let _ = writeln!(text, "  {:width$}  {}", entry.name, entry.lines());
        }
        text.push('\n');
    }
    text
}

/// The same as a document.
pub(crate) fn json(what: Option<What>) -> Value {
    let of = |what: What| {
        let entries: Vec<Value> = entries(what).iter().map(Entry::json).collect();
        (what.name().to_owned(), entries.into())
    };
    wanted(what).map(of).collect::<Map<_, _>>().into()
}

/// Only the names, a line each.
pub(crate) fn names(what: Option<What>) -> String {
    let names = wanted(what).flat_map(entries).map(|e| e.name);
    names.collect::<Vec<_>>().join("\n")
}

fn wanted(what: Option<What>) -> impl Iterator<Item = What> {
    What::ALL
        .into_iter()
        .filter(move |w| what.is_none_or(|only| only == *w))
}

/// What an engine is: its facts, its presets with their standing, and its settings.
fn engine(engine: &dyn AnyEngine) -> Entry {
    let facts = engine.facts();
    let family = format!(
        "{}; {} by {}",
        analysis::family_name(facts.family),
        facts.electorate.name(),
        facts.agreement.name()
    );
    let conditional = match facts.guarantee {
        Guarantee::Commit => String::new(),
        other => format!(" ({})", other.name()),
    };
    let final_if = format!(
        "{}{conditional}, if {}",
        facts.finality, facts.final_holds_if
    );
    let mut entry = Entry::new(engine.name(), engine.doc())
        .with("family", family)
        .with("fault bound", facts.bound)
        .with("quorum", facts.quorum)
        .with("messages a block", facts.messages)
        .with("best-case latency", facts.latency)
        .with("final", final_if)
        .with("source", facts.source);
    for preset in engine.presets() {
        entry = entry.with(format!("preset {preset}"), engine.standing(preset).name());
    }
    entry.settings = engine.defaults();
    entry
}

/// What a workload is, what one transaction of it is, where its figures are from, what of consensus moves
/// what it measures, its classes and its settings.
fn workload(kind: WorkloadKind) -> Entry {
    let [unit, source, moved_by] = match kind {
        WorkloadKind::Hospital => [
            "a document, prescription, claim, consent or access a transaction; granularity makes it a root, a FHIR \
             resource, an access or an HL7 message",
            "rates: CDC, IQVIA, Surescripts, Carequality, Premier, Kodiak, NHS; sizes: FHIR R4 examples, Synthea; hours: \
             NHS England, clinosim; each setting names its own in the source code",
            "time until a revocation, dispense or claim is in every site's view; time to final (audit); order (races)",
        ],
        WorkloadKind::Pharma => [
            "a pack, case or pallet a transaction; verifications are reads",
            "rates: securPharm, European Commission, WHO, FDA, TraceLink; sizes: EPCIS 2.0 examples; each setting names \
             its own in the source code",
            "time until a dispense or recall is in every site's view; order of two dispenses",
        ],
        WorkloadKind::Trial => [
            "a form or value, a signature, an allocation, a report a transaction; checks are reads",
            "counts: TransCelerate and Tufts 2025, PLoS ONE 17(7) e0271819, Tufts-Veeva; CDISC pilot study 01; each \
             setting names its own in the source code",
            "time to final (signatures, safety reports); order around a lock; who proposes blocks (allocation)",
        ],
        WorkloadKind::Trace => [
            "a row of a file, or what an importer makes of it",
            "the file",
            "the same as of the workload that its classes belong to",
        ],
    };
    let presets = match kind.presets() {
        [] => String::new(),
        names => format!(" Presets: {}.", names.join(", ")),
    };
    let mut entry = Entry::new(kind.name(), format!("{}{presets}", kind.doc()))
        .with("unit", unit)
        .with("source", source)
        .with("moved by", moved_by);
    // A workload that cannot do without a setting has neither classes nor defaults.
    if let Ok(workload) = kind.parse(toml::Table::new()) {
        for (class, name) in workload.vocabulary() {
            entry = entry.with(format!("class {class}"), name);
        }
        entry.settings = toml::Table::try_from(&workload).unwrap_or_default();
    }
    entry
}

/// What a built-in plan asks, which figures answer it, and what moves them.
fn scenario(plan: &BuiltIn) -> Entry {
    let parsed = Source::new(plan.name, plan.text).parse();
    let facts = parsed.map(|p| question::explain(&p)).unwrap_or_default();
    Entry {
        facts,
        ..Entry::new(plan.name, plan.about)
    }
}

fn attack(attack: &attack::BuiltIn) -> Entry {
    Entry::new(attack.name, attack.about)
        .with("source", attack.source)
        .with("needs", attack.needs)
        .with("look at", attack.look)
}

fn regions(table: &places::Table) -> Entry {
    let shares = if table.shares.is_some() {
        " Has published shares."
    } else {
        ""
    };
    Entry::new(table.name, format!("{}{shares}", table.about)).with("", table.regions.join(" "))
}
