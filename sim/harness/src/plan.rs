//! Plans: what to run, in TOML. Unknown keys are refused; every error names file, line and key.

pub use crate::attack::AttackPlan;
pub use crate::corrupt::{CorruptPlan, ReorgPlan};
use crate::costs::{self, Executed, Signature};
use crate::engines::{self, AnyEngine};
use crate::error::Error;
use crate::excerpt;
pub use crate::execution::ExecutionPlan;
pub use crate::faults::FaultPlan;
use crate::fuzz::Promise;
use crate::level::{Level, LevelConfig, Metric};
use crate::mempool::MempoolPlan;
pub use crate::network::NetworkPlan;
use crate::outages::{self, OutagePlan};
use crate::resilience::{self, ResiliencePlan};
use crate::schema::Table;
use crate::sensitivity::SensitivityPlan;
use crate::study;
use crate::sweep::SweepPlan;
pub use crate::upkeep::CostPlan;
use quorate_core::Span;
use quorate_kernel::ViewAge;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::Path;

/// An experiment.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Names the results folder.
    pub name: String,
    /// What is made of the cells.
    pub kind: Kind,
    /// What the plan asks, and each engine's answer: a sentence with figures in braces, such as
    /// `{consent.revoke:exposure:p(99)}` or `{reversed_txs}`. Workloads may have both of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// See `question`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// What every run of a plan of kind `check` must keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promise: Option<Promise>,
    /// Master seed of all streams.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// Independent replications of every cell; at least 2, at least 10 for a verdict.
    pub replications: u32,
    /// Confidence of the intervals, before the correction for several comparisons.
    #[serde(default = "default_confidence")]
    pub confidence: f64,
    /// How intervals are made; a verdict's are always Student's, see [`crate::verdict`].
    #[serde(default, skip_serializing_if = "IntervalMethod::is_default")]
    pub interval: IntervalMethod,
    /// Half of an interval over its mean, as a share, at which a cell has replications enough; absent
    /// means that every cell has `replications`. See [`crate::precision`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<f64>,
    /// The most replications that a cell gets for the sake of `precision`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replications_max: Option<u32>,
    /// Nodes and links.
    pub network: NetworkPlan,
    /// The machines.
    #[serde(default)]
    pub node: NodePlan,
    /// Their pools of pending transactions.
    #[serde(default)]
    pub mempool: MempoolPlan,
    /// Whether transactions are executed before or after they are ordered.
    #[serde(default, skip_serializing_if = "ExecutionPlan::is_default")]
    pub execution: ExecutionPlan,
    /// The adversary that finality is held against.
    #[serde(default)]
    pub adversary: AdversaryPlan,
    /// What arrives: `name`, the workload's own keys, and `label`, its name in the results where
    /// that is not `name`.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    #[schemars(with = "Table")]
    pub workload: toml::Table,
    /// How much of it, for how long.
    #[serde(default)]
    pub load: LoadPlan,
    /// Several workloads instead of one: each as `workload`, with `load` (whose missing keys are
    /// those of the plan's own) and `levels` of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Table>")]
    pub workloads: Vec<toml::Table>,
    /// Which settings of the engines are run.
    #[serde(default = "default_profiles")]
    pub profiles: Vec<Profile>,
    /// What grows in a plan of kind `scale`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<ScalePlan>,
    /// Keys that take several values each, see [`crate::sweep`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<SweepPlan>,
    /// Which inputs are varied in a plan of kind `sensitivity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitivity: Option<SensitivityPlan>,
    /// Whether a comparison looks for the smallest interval between blocks at which each engine
    /// meets the levels.
    #[serde(default, skip_serializing_if = "is_false")]
    pub tune: bool,
    /// Overrides, as for `-s`, that make a smaller plan of it under `--quick`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quick: Vec<String>,
    /// What is compared.
    pub engines: Vec<EnginePlan>,
    /// What must hold.
    #[serde(default)]
    pub levels: Vec<LevelConfig>,
    /// What is attacked in a plan of kind `attack`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attack: Option<AttackPlan>,
    /// What goes wrong.
    #[serde(default)]
    pub faults: Vec<FaultPlan>,
    /// Who lies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub corrupt: Vec<CorruptPlan>,
    /// The same as an architect says it: which site, region or leader loses what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outages: Vec<OutagePlan>,
    /// What a comparison says of bad days.
    #[serde(default, skip_serializing_if = "ResiliencePlan::is_default")]
    pub resilience: ResiliencePlan,
    /// Watts, joules and prices of a year; no run depends on them.
    #[serde(default, skip_serializing_if = "CostPlan::is_default")]
    pub cost: CostPlan,
    /// When a unit is given up.
    #[serde(default)]
    pub limits: LimitsPlan,
}

impl Plan {
    /// The name of the workload in the results: its `label`, or else its `name`.
    pub fn workload_label(&self) -> String {
        let text = |key: &str| self.workload.get(key).and_then(toml::Value::as_str);
        text("label")
            .or_else(|| text("name"))
            .unwrap_or_default()
            .to_owned()
    }

    /// Measured span of an engine's units, s.
    pub fn span_s(&self, engine: usize) -> f64 {
        let own = self.engines[engine].duration_s;
        own.unwrap_or(self.load.duration_s)
    }

    /// Nodes, and behind them the second selves of liars that run twice.
    pub fn machines(&self) -> u32 {
        let twins = self.corrupt.iter().filter(|c| !c.twin.is_empty());
        let mut twice: Vec<u32> = twins.flat_map(|c| c.nodes.iter().copied()).collect();
        twice.sort_unstable();
        twice.dedup();
        self.network.nodes + twice.len() as u32
    }

    /// Whether load is offered at given rates; a replay takes the workload as it is.
    pub fn is_swept(&self) -> bool {
        match self.kind {
            Kind::Replay => false,
            Kind::Scenario => !self.load.offered_tps.is_empty(),
            _ => true,
        }
    }

    /// Whether the workload measures what the trade asks of the final order: where it is replayed or a scenario,
    /// where an answer may name what it measures, and where a service level does. Trying the rules at every submission costs half of the time of a run
    /// with a large state, which the many cells of a sweep would all pay.
    pub fn is_measured(&self) -> bool {
        let told = |l: &LevelConfig| {
            Level::parse(&l.expect).is_ok_and(|level| level.metric == Metric::Told)
        };
        matches!(self.kind, Kind::Replay | Kind::Scenario)
            || self.answer.is_some()
            || self.levels.iter().any(told)
    }

    /// The load that stands for the plan: the one that is judged, else the first; `None` where the
    /// workload comes as it is.
    pub fn judged_tps(&self) -> Option<f64> {
        let first = self.load.offered_tps.first().copied();
        let at = self.load.decide_at_tps.or(first);
        at.filter(|_| self.is_swept())
    }
}

const fn default_seed() -> u64 {
    1
}

const fn default_confidence() -> f64 {
    0.95
}

fn default_profiles() -> Vec<Profile> {
    vec![Profile::Deployed]
}

/// How an interval is made from one sample a replication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IntervalMethod {
    /// Student's t.
    #[default]
    Student,
    /// The bootstrap, corrected for bias and skew.
    Bootstrap,
}

impl IntervalMethod {
    /// The name in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Student => "student",
            Self::Bootstrap => "bootstrap_bca",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Which settings the engines have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Each engine's `config`: what is deployed.
    Deployed,
    /// The keys of `matched` on top: alike in block space and mean interval.
    Matched,
}

impl Profile {
    /// The name in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deployed => "deployed",
            Self::Matched => "matched",
        }
    }
}

/// What grows in a plan of kind `scale`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScalePlan {
    /// What the values count.
    pub axis: Axis,
    /// One cell for each of them and each offered load.
    pub values: Vec<u32>,
    /// Members of the committee where it does not grow; absent means the plan's nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committee: Option<u32>,
}

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// Nodes, all of which vote or lead.
    Committee,
    /// Sites that submit, each with a node; the committee stays.
    Sites,
    /// Nodes that only relay and follow; committee and sites stay.
    Nodes,
}

impl Axis {
    /// The label of the axis in figures.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Committee => "members of the committee",
            Self::Sites => "sites",
            Self::Nodes => "nodes",
        }
    }
}

/// What is made of the cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A verdict against service levels, with what limits each engine, and the curves.
    Compare,
    /// Goodput and latency against offered load, with the knee located.
    Curve,
    /// Goodput, latency and traffic against the size of the network.
    Scale,
    /// Goodput and latency of every combination of the factors of `[sweep]`.
    Sweep,
    /// The largest load at which the service levels hold, see [`crate::capacity`].
    Capacity,
    /// Which inputs move the margins of the service levels, see [`crate::sensitivity`].
    Sensitivity,
    /// One pass over the workload as it is; no load is offered.
    Replay,
    /// A `question` about some minutes or hours, from first to last: nothing is cut off. At one load, or
    /// the workload as it is; answered by every engine, and judged against service levels.
    Scenario,
    /// Nothing but whether each run keeps its `promise`: no folder, the exit code is the answer.
    Check,
    /// How often an attack succeeds, see [`crate::attack`].
    Attack,
}

/// The machines.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NodePlan {
    /// Cores of each node.
    pub cores: u32,
    /// Whether votes are checked on a core of their own (`own-core`) or behind all else (`shared`).
    pub vote_checks: VoteChecks,
    /// Where the figures below are from unless they are given: a cost file beside the plan, or
    /// `reference`, the set that ships. Absent means signing, checking and hashing of that set,
    /// while validating a block costs nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub costs: Option<String>,
    /// Which scheme's figures are taken.
    // assumption: ed25519 everywhere, so that engines differ by their messages alone.
    #[serde(skip_serializing_if = "Signature::is_default")]
    pub signature: Signature,
    /// What execution takes: as `declared`, or times what was `measured` in `costs`.
    #[serde(skip_serializing_if = "Executed::is_default")]
    pub execution: Executed,
    /// Making a signature, µs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_us: Option<f64>,
    /// Checking a signature, µs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify_us: Option<f64>,
    /// Checking each further signature of a certificate, µs; absent means `verify_us`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify_next_us: Option<f64>,
    /// Hashing 1,024 bytes, ns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_kib_ns: Option<u64>,
    /// Validating a block, besides signatures, hashing and execution, µs; absent means 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_us: Option<f64>,
    /// The same for each 1,024 bytes of it, ns; absent means 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_kib_ns: Option<u64>,
    /// What execution takes, in thousandths of what transactions declare; absent means 1,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec_permille: Option<u32>,
    /// Which view readers are served from.
    pub read_level: ReadLevel,
    /// The oldest view that answers readers, by the time since the block that it ends in was built, ms;
    /// absent means that any does. With an engine that builds no empty blocks a view ages while nothing
    /// is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_view_age_ms: Option<f64>,
    /// What becomes of a read on an older one: `allow`, which is the default, `deny` or `break-glass`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_stale: Option<WhenStale>,
}

impl NodePlan {
    /// When a view is too old to be read; `None` where none is.
    pub(crate) fn view_age(&self) -> Option<ViewAge> {
        let most = Span::from_s_f64(self.max_view_age_ms? / 1e3);
        let when_stale = match self.when_stale.unwrap_or(WhenStale::Allow) {
            WhenStale::Allow => quorate_kernel::WhenStale::Allow,
            WhenStale::Deny => quorate_kernel::WhenStale::Deny,
            WhenStale::BreakGlass => quorate_kernel::WhenStale::BreakGlass,
        };
        Some(ViewAge { most, when_stale })
    }

    fn check_view_age(&self, source: &Source) -> Result<(), Error> {
        let hint = "give the largest age in ms, such as node.max_view_age_ms = 5000";
        match (self.max_view_age_ms, self.when_stale) {
            (Some(ms), _) if !(ms.is_finite() && ms > 0.0) => {
                let why = format!("is {ms}, which is no age");
                Err(source.at_key("node.max_view_age_ms", &why, hint))
            }
            (None, Some(_)) => {
                let why = "says what to do with an old view, but no view is too old";
                Err(source.at_key("node.when_stale", why, hint))
            }
            _ => Ok(()),
        }
    }
}

/// What becomes of a read that finds its site's view too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WhenStale {
    /// The view decides all the same.
    Allow,
    /// It is refused.
    Deny,
    /// The reader takes an emergency access.
    BreakGlass,
}

impl Default for NodePlan {
    fn default() -> Self {
        Self {
            // assumption: a small server.
            cores: 4,
            vote_checks: VoteChecks::OwnCore,
            costs: None,
            signature: Signature::default(),
            execution: Executed::default(),
            sign_us: None,
            verify_us: None,
            verify_next_us: None,
            hash_kib_ns: None,
            block_us: None,
            block_kib_ns: None,
            exec_permille: None,
            // assumption: refusing access on an unfinal revocation harms nobody for long.
            read_level: ReadLevel::Included,
            max_view_age_ms: None,
            when_stale: None,
        }
    }
}

/// Where votes are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VoteChecks {
    /// On a core of their own.
    OwnCore,
    /// On the node's cores.
    Shared,
}

/// Which view readers are served from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReadLevel {
    /// The head.
    Included,
    /// What is safe.
    Safe,
    /// What is final.
    Final,
}

/// The adversary that finality is held against.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdversaryPlan {
    /// Corrupt organisations; absent means the most that a Byzantine committee bears, ⌊(n−1)/3⌋.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrupt: Option<u32>,
    /// Reversal risk at which a block counts as final.
    pub final_risk: f64,
    /// Reversal risk at which a block counts as safe.
    pub safe_risk: f64,
}

impl Default for AdversaryPlan {
    fn default() -> Self {
        // assumption: one reversal in a million final blocks; one in a thousand for "safe".
        Self {
            corrupt: None,
            final_risk: 1e-6,
            safe_risk: 1e-3,
        }
    }
}

/// How much arrives, for how long.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadPlan {
    /// Offered writes per second, one cell each.
    #[serde(default)]
    pub offered_tps: Vec<f64>,
    /// The offered load at which service levels are judged; one of `offered_tps`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decide_at_tps: Option<f64>,
    /// Measured span, s.
    #[serde(default = "default_duration")]
    pub duration_s: f64,
    /// How long the run then waits for what was submitted in it, s.
    #[serde(default = "default_drain")]
    pub drain_s: f64,
    /// How closely a curve locates the knee: the smallest load that is not carried is at most so
    /// much larger than the largest that is.
    #[serde(default = "default_knee")]
    pub knee_within: f64,
}

impl Default for LoadPlan {
    fn default() -> Self {
        Self {
            offered_tps: Vec::new(),
            decide_at_tps: None,
            duration_s: default_duration(),
            drain_s: default_drain(),
            knee_within: default_knee(),
        }
    }
}

const fn default_knee() -> f64 {
    0.03
}

const fn default_duration() -> f64 {
    600.0
}

const fn default_drain() -> f64 {
    1_800.0
}

/// One engine of the comparison.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnginePlan {
    /// Name in the registry.
    pub name: String,
    /// Name in the results; absent means `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Measured span for this engine, s, instead of the load's: slow finality needs longer ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<f64>,
    /// The engine's own keys; `preset` starts from a named set.
    #[serde(default)]
    #[schemars(with = "Table")]
    pub config: toml::Table,
    /// Keys on top of `config` in the profile `matched`.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    #[schemars(with = "Table")]
    pub matched: toml::Table,
    /// Whether it is left out unless `--engines` asks for it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
}

/// The engines of a plan, and others of the registry, that a list asks for.
fn choose(of: &[EnginePlan], list: &str) -> Result<Vec<EnginePlan>, Error> {
    let absent = |name: &str| of.iter().all(|e| e.name != name);
    let by_itself = |name: &str| EnginePlan {
        name: name.to_owned(),
        label: None,
        duration_s: None,
        config: toml::Table::new(),
        matched: toml::Table::new(),
        optional: false,
    };
    if list == "all" {
        let all = engines::all().into_iter().map(AnyEngine::name);
        let others = all.filter(|name| absent(name)).map(by_itself);
        return Ok(of.iter().cloned().chain(others).collect());
    }
    let mut chosen: Vec<EnginePlan> = Vec::new();
    for asked in list.split(',').map(str::trim) {
        let named = |e: &&EnginePlan| e.label() == asked || e.name == asked;
        let before = chosen.len();
        chosen.extend(of.iter().filter(named).cloned());
        if chosen.len() > before {
            continue;
        }
        if engines::find(asked).is_none() {
            let all: Vec<&str> = engines::all().into_iter().map(AnyEngine::name).collect();
            return Err(Error::config(
                format!("--engines {list}: no engine `{asked}`"),
                format!("use all, or some of: {}", all.join(", ")),
            ));
        }
        chosen.push(by_itself(asked));
    }
    Ok(chosen)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl EnginePlan {
    /// The name in the results.
    pub fn label(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.name)
    }

    /// The engine; the plan was checked.
    pub fn engine(&self) -> &'static dyn AnyEngine {
        engines::find(&self.name).expect("the plan was checked")
    }
}

/// When a unit is given up.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsPlan {
    /// Events executed.
    pub events: u64,
    /// Transactions pending at once.
    pub pending: u64,
}

impl Default for LimitsPlan {
    fn default() -> Self {
        // assumption: far beyond any plan here; they stop a plan that would eat the machine.
        Self {
            events: 2_000_000_000,
            pending: 20_000_000,
        }
    }
}

/// A built-in plan.
pub struct BuiltIn {
    /// Its name.
    pub name: &'static str,
    /// What it asks.
    pub about: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// A built-in plan whose question stands in its text.
macro_rules! scenario {
    ($name:literal, $about:literal) => {
        BuiltIn {
            name: $name,
            about: $about,
            text: include_str!(concat!("../scenarios/", $name, ".toml")),
        }
    };
}

/// All built-in plans.
pub const BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        name: "compare",
        about: "12 hospitals in 3 regions: which engine meets the service levels?",
        text: include_str!("../scenarios/compare.toml"),
    },
    BuiltIn {
        name: "curve",
        about: "12 hospitals in 3 regions: how much does each engine carry, and what stops it?",
        text: include_str!("../scenarios/curve.toml"),
    },
    BuiltIn {
        name: "capacity",
        about: "12 hospitals in 3 regions: up to which load does each engine meet the service levels?",
        text: include_str!("../scenarios/capacity.toml"),
    },
    BuiltIn {
        name: "sweep",
        about: "4 to 31 organisations, block intervals of 250 ms to 4 s: what do size and pace cost?",
        text: include_str!("../scenarios/sweep.toml"),
    },
    BuiltIn {
        name: "scale-committee",
        about: "4 to 100 organisations that all vote or lead: how do committees grow?",
        text: include_str!("../scenarios/scale-committee.toml"),
    },
    BuiltIn {
        name: "scale-sites",
        about: "12 to 200 sites that submit to a committee of 12",
        text: include_str!("../scenarios/scale-sites.toml"),
    },
    BuiltIn {
        name: "scale-nodes",
        about: "12 to 10,000 nodes that follow the chains of 12 organisations",
        text: include_str!("../scenarios/scale-nodes.toml"),
    },
    BuiltIn {
        name: "simblock-2019",
        about: "validation: SimBlock's Bitcoin of 2019, compact blocks, 600 nodes",
        text: include_str!("../scenarios/simblock-2019.toml"),
    },
    BuiltIn {
        name: "simblock-2019-legacy",
        about: "validation: the same without compact blocks",
        text: include_str!("../scenarios/simblock-2019-legacy.toml"),
    },
    BuiltIn {
        name: "simblock-2015",
        about: "validation: SimBlock's Bitcoin of 2015, 600 nodes",
        text: include_str!("../scenarios/simblock-2015.toml"),
    },
    BuiltIn {
        name: "gervais-standard",
        about: "validation: Gervais et al. 2016, 6,000 nodes, blocks announced and fetched",
        text: include_str!("../scenarios/gervais-standard.toml"),
    },
    BuiltIn {
        name: "gervais-unsolicited",
        about: "validation: the same, blocks sent unasked by their finders",
        text: include_str!("../scenarios/gervais-unsolicited.toml"),
    },
    BuiltIn {
        name: "gervais-relay",
        about: "validation: the same with a relay network of the pools",
        text: include_str!("../scenarios/gervais-relay.toml"),
    },
    BuiltIn {
        name: "anchor",
        about: "12 hospitals whose ledger puts its roots on Bitcoin or Ethereum: how late, how dear?",
        text: include_str!("../scenarios/anchor.toml"),
    },
    BuiltIn {
        name: "bad-day",
        about: "12 hospitals in 3 regions: one region is cut off for two hours, then a site loses power",
        text: include_str!("../scenarios/bad-day.toml"),
    },
    scenario!(
        "consent-storm",
        "the last day of a wave of opt-outs: how long does a revoked consent go on to open records?"
    ),
    scenario!(
        "ward-pulse",
        "a hospital's night and morning: do the draw of six and the round of eight pile up?"
    ),
    scenario!(
        "peaks",
        "holiday-peak, monday-ed and false-alert-wave: which peak does a ledger notice?"
    ),
    scenario!(
        "hie-partition",
        "an exchange loses a region for two hours: what do readers not know, what is taken back?"
    ),
    scenario!(
        "double-dispense",
        "two pharmacies, one pack, a delay between them: how often is it handed out twice?"
    ),
    scenario!(
        "clone-attack",
        "copies of serial numbers: how many are sold before the first alert?"
    ),
    scenario!(
        "class1-recall",
        "a class I recall in business hours and on a Sunday night: how many packs are handed out after it?"
    ),
    scenario!(
        "lock-race",
        "trial databases lock: which data did sites believe to be in?"
    ),
    scenario!(
        "susar",
        "a region is cut off for four hours: what of the 7- and 15-day clocks of serious events?"
    ),
    scenario!(
        "allocation-order",
        "a third of the proposers put one site first: how many allocations change places?"
    ),
    scenario!(
        "data-entry-batch",
        "laboratories upload their week: do entries by hand wait behind it?"
    ),
    scenario!(
        "fabric-claims",
        "a clearinghouse of 50 million transactions a day: who carries it, when is a payment final?"
    ),
    scenario!(
        "breakglass-partition",
        "a hospital is cut off for an hour: when is each emergency access on record?"
    ),
    scenario!(
        "cohort-request",
        "precision medicine asks for a cohort: how long until a request stands, how many find a consent revoked?"
    ),
    scenario!(
        "clearinghouse-backlog",
        "a quarter of the providers is offline for a day: how long until its claims are worked off?"
    ),
    scenario!(
        "identity-merge",
        "two sites register one patient: how often does the second believe to be the first?"
    ),
    scenario!(
        "recruitment",
        "trials look for participants: how many are matched although they have said no?"
    ),
    scenario!(
        "growth",
        "ten years of a hospital: what does every copy hold, by what a transaction stands for?"
    ),
    BuiltIn {
        name: "ksi-anchor",
        about: "hashes by the ten and by the hundred thousand a second: how soon is a proof there?",
        text: include_str!("../scenarios/ksi-anchor.toml"),
    },
    BuiltIn {
        name: "cdisc-pilot",
        about: "replay of the CDISC pilot study from a folder of its SDTM tables",
        text: include_str!("../scenarios/cdisc-pilot.toml"),
    },
    BuiltIn {
        name: "synthea",
        about: "replay of patients from a folder of FHIR R4 bundles or lines, such as Synthea's",
        text: include_str!("../scenarios/synthea.toml"),
    },
    BuiltIn {
        name: "epcis",
        about: "replay of goods from a folder of EPCIS 2.0 documents",
        text: include_str!("../scenarios/epcis.toml"),
    },
];

/// A plan with the text it came from, for messages.
#[derive(Clone)]
pub struct Source {
    /// File name, or `built-in plan NAME`.
    pub origin: String,
    /// The text.
    pub text: String,
    /// Where the workload that is looked at stands, such as `workloads.1`.
    within: Option<String>,
    /// What overrides the text, as on the command line.
    overrides: Vec<String>,
}

impl Source {
    /// A plan file, or a built-in plan by name.
    ///
    /// # Errors
    /// When neither exists, or the file cannot be read.
    pub fn open(name: &str) -> Result<Self, Error> {
        let all = || BUILT_IN.iter().chain(crate::pair::BUILT_IN);
        if let Some(plan) = all().find(|p| p.name == name) {
            return Ok(Self::new(format!("built-in plan {name}"), plan.text));
        }
        let names: Vec<&str> = all().map(|p| p.name).collect();
        Self::file(
            name,
            &format!("give a file, or a built-in plan: {}", names.join(", ")),
        )
    }

    /// A plan file.
    ///
    /// # Errors
    /// When it cannot be read; the hint says what else there is.
    pub(crate) fn file(name: &str, hint: &str) -> Result<Self, Error> {
        let text = std::fs::read_to_string(Path::new(name))
            .map_err(|e| Error::missing(format!("cannot read plan {name}: {e}"), hint))?;
        Ok(Self::new(name, text))
    }

    /// Applies `key.path=value` overrides and checks everything; leaves out optional engines.
    ///
    /// # Errors
    /// The first thing that is wrong, with its file, line and key.
    pub fn plan(&self, overrides: &[String]) -> Result<Plan, Error> {
        self.plan_with(overrides, None)
    }

    /// The same with the engines that are asked for: `all`, or labels and names with commas between
    /// them. What the plan does not name runs with its defaults.
    ///
    /// # Errors
    /// The first thing that is wrong, with its file, line and key.
    pub fn plan_with(&self, overrides: &[String], asked: Option<&str>) -> Result<Plan, Error> {
        let mut plan = self.whole(overrides)?;
        let swept = plan.sweep.as_ref().map(|s| s.engines(self)).transpose()?;
        let swept = swept.flatten();
        let asked = asked.or(swept.as_deref());
        plan.engines = match asked {
            None => plan.engines.into_iter().filter(|e| !e.optional).collect(),
            Some(list) => choose(&plan.engines, list)?,
        };
        for engine in &mut plan.engines {
            engine.optional = false;
        }
        if plan.engines.is_empty() {
            let hint = "take `optional = true` from one, or ask for one with --engines";
            return Err(self.at_key("engines", "are all optional: nothing is left", hint));
        }
        if asked.is_some() {
            check::all(&self.overridden(overrides), &plan)?;
        }
        Ok(plan)
    }

    /// The plan with all its engines.
    fn whole(&self, overrides: &[String]) -> Result<Plan, Error> {
        // The file is read on its own first, so that its errors point at its own lines.
        let mut base = self.parse()?;
        if overrides.is_empty() {
            costs::settle(self, &mut base.node)?;
            check::all(self, &base)?;
            return Ok(base);
        }
        let mut table: toml::Table = toml::from_str(&self.text).expect("it was parsed above");
        for text in overrides {
            set(&mut table, text)?;
        }
        let mut plan = Plan::deserialize(table).map_err(|e| {
            Error::config(
                format!("-s {}: {}", overrides.join(" -s "), one_line(e.message())),
                "keys are those of the plan, such as -s network.nodes=7",
            )
        })?;
        let source = self.overridden(overrides);
        costs::settle(&source, &mut plan.node)?;
        check::all(&source, &plan)?;
        Ok(plan)
    }

    /// A plan from elsewhere than a file; `origin` stands for its name in messages, and files that
    /// it names are looked for beside it.
    pub fn new(origin: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            origin: origin.into(),
            text: text.into(),
            within: None,
            overrides: Vec::new(),
        }
    }

    /// The file's absolute path, so that what it names is found from elsewhere; the name of a built-in plan.
    pub(crate) fn absolute_origin(&self) -> String {
        let path = Path::new(&self.origin);
        let absolute = std::path::absolute(path).ok().filter(|_| path.is_file());
        let absolute = absolute.and_then(|p| p.to_str().map(str::to_owned));
        absolute.unwrap_or_else(|| self.origin.clone())
    }

    /// Keys of a plan's only workload stand in the table of that workload where there are several.
    fn full_path(&self, path: &str) -> String {
        let first = path.split('.').next().unwrap_or_default();
        match &self.within {
            Some(within) if first == "workload" => path.replacen("workload", within, 1),
            Some(within) if ["load", "levels", "question", "answer"].contains(&first) => {
                format!("{within}.{path}")
            }
            _ => path.to_owned(),
        }
    }

    /// The plan as it stands in the text, not checked further.
    ///
    /// # Errors
    /// What is wrong with the text, with its line.
    pub fn parse(&self) -> Result<Plan, Error> {
        toml::from_str(&self.text).map_err(|e| self.at_line(&e))
    }

    /// The same text under overrides, so that messages point at these and not at what they replace.
    pub(crate) fn overridden(&self, overrides: &[String]) -> Self {
        Self {
            overrides: overrides.to_vec(),
            ..self.clone()
        }
    }

    /// A message about the text itself.
    pub(crate) fn at_line(&self, error: &toml::de::Error) -> Error {
        let hint = "`quorate init` writes a plan with every key and its meaning";
        self.at_line_saying(error, "", hint)
    }

    /// The same with more to say.
    pub(crate) fn at_line_saying(&self, error: &toml::de::Error, more: &str, hint: &str) -> Error {
        let span = error.span().unwrap_or(0..0);
        let line = line_of(&self.text, span.start);
        let message = one_line(error.message());
        let shown = excerpt::of(&self.text, &span);
        let hint = excerpt::hinted(&message, hint);
        Error::config(
            format!("{}:{line}: {message}{more}{shown}", self.origin),
            hint,
        )
    }

    /// File and line of a range of the text, and the line itself.
    fn place(&self, span: Option<Range<usize>>) -> (String, String) {
        let Some(span) = span else {
            return (self.origin.clone(), String::new());
        };
        let line = line_of(&self.text, span.start);
        let shown = excerpt::of(&self.text, &span);
        (format!("{}:{line}", self.origin), shown)
    }

    /// The override of a key, or of a table that it is in.
    fn override_of(&self, path: &str) -> Option<&str> {
        let sets = |text: &&String| {
            let key = text.split('=').next().unwrap_or_default();
            let rest = path.strip_prefix(key);
            !key.is_empty() && rest.is_some_and(|r| r.is_empty() || r.starts_with('.'))
        };
        self.overrides.iter().rev().find(sets).map(String::as_str)
    }

    /// The same text, with one of its workloads looked at.
    pub(crate) fn within(&self, path: Option<&str>) -> Self {
        Self {
            within: path.map(str::to_owned),
            ..self.clone()
        }
    }

    /// A message about a place of the plan that is given key by key, as keys may hold dots.
    pub(crate) fn at_keys(&self, keys: &[&str], why: &str, hint: &str) -> Error {
        let (span, _) = find(&self.text, keys.iter().copied());
        let (place, shown) = self.place(span);
        Error::config(format!("{place}: {why}{shown}"), excerpt::hinted(why, hint))
    }

    /// A message about a key of the plan. A key that a workload leaves to the plan is the plan's.
    pub(crate) fn at_key(&self, path: &str, why: &str, hint: &str) -> Error {
        let full = self.full_path(path);
        if let Some(set) = self.override_of(&full).or_else(|| self.override_of(path)) {
            return Error::config(format!("-s {set}: `{full}` {why}"), hint);
        }
        let (span, is_there) = find_key(&self.text, &full);
        let (common, is_common) = find_key(&self.text, path);
        let inherited = !is_there && is_common;
        let (path, span) = if inherited {
            (path, common)
        } else {
            (&*full, span)
        };
        // What is wrong within a table that was read as a whole.
        let within = unknown_field(why).map(|key| find_key(&self.text, &format!("{path}.{key}")));
        let span = within.filter(|w| w.1).map_or(span, |w| w.0);
        let (place, shown) = self.place(span);
        let hint = excerpt::hinted(why, hint);
        Error::config(format!("{place}: `{path}` {why}{shown}"), hint)
    }
}

pub(crate) mod check {
    use super::{
        Axis, Error, Kind, Level, Plan, ScalePlan, Source, costs, engines as known, outages,
        resilience, study,
    };
    use crate::unit;

    /// Checks a plan as written, through the plans that it comes to.
    pub(super) fn all(source: &Source, plan: &Plan) -> Result<(), Error> {
        head(source, &plan.name, plan.replications, plan.confidence)?;
        crate::precision::check(source, plan)?;
        shape(source, plan)?;
        study::expand(source, plan).map(|_| ())
    }

    /// What a plan as written may hold.
    fn shape(source: &Source, plan: &Plan) -> Result<(), Error> {
        if plan.profiles.is_empty() {
            return Err(source.at_key("profiles", "is empty", "name deployed, matched or both"));
        }
        if !plan.workloads.is_empty() && !plan.workload.is_empty() {
            let hint = "use [workload] for one workload or [[workloads]] for several";
            return Err(source.at_key("workload", "stands beside workloads", hint));
        }
        let asks = |table: &toml::Table| table.contains_key("question");
        let asked = plan.question.is_some() || plan.workloads.iter().all(asks);
        if plan.kind == Kind::Scenario
            && (!asked || plan.workloads.is_empty() && plan.question.is_none())
        {
            let hint = "add a question and an answer to the plan, or to each of its workloads";
            return Err(source.at_key("kind", "is \"scenario\", but nothing is asked", hint));
        }
        if (plan.kind == Kind::Check) != plan.promise.is_some() {
            let hint = "say promise = \"live\", \"safe\", \"still\" or \"counted\" with kind = \"check\", and only there";
            let why = "and kind = \"check\" go together";
            return Err(source.at_key("promise", why, hint));
        }
        crate::attack::simulated::check(source, plan)?;
        crate::sweep::check(source, plan)?;
        crate::capacity::check(source, plan)?;
        crate::sensitivity::check(source, plan)?;
        crate::tune::check(source, plan)?;
        let wrong = match (plan.kind == Kind::Scale, &plan.scale) {
            (true, None) => Some(("kind", "is \"scale\", but there is no table [scale]")),
            (false, Some(_)) => Some(("scale", "goes with kind = \"scale\" only")),
            _ => None,
        };
        if let Some((key, why)) = wrong {
            return Err(source.at_key(key, why, "add or remove the table [scale]"));
        }
        plan.scale.as_ref().map_or(Ok(()), |s| scale(source, s))
    }

    fn scale(source: &Source, scale: &ScalePlan) -> Result<(), Error> {
        let refuse = |key, why, hint| Err(source.at_key(key, why, hint));
        let values = &scale.values;
        if values.is_empty() || values.contains(&0) {
            return refuse(
                "scale.values",
                "is empty or holds 0",
                "list sizes of 1 or more",
            );
        }
        if values
            .iter()
            .enumerate()
            .any(|(i, v)| values[..i].contains(v))
        {
            return refuse("scale.values", "holds a size twice", "list each size once");
        }
        if scale.axis == Axis::Committee && scale.committee.is_some() {
            let why = "is fixed, but the committee is what grows";
            return refuse("scale.committee", why, "leave it out, or set scale.axis");
        }
        Ok(())
    }

    /// Checks one of the plans that are run.
    pub(crate) fn one(source: &Source, plan: &Plan) -> Result<(), Error> {
        network(source, plan)?;
        node(source, plan)?;
        crate::mempool::check(source, plan)?;
        crate::execution::check(source, plan)?;
        adversary(source, plan)?;
        crate::upkeep::check(source, plan)?;
        load(source, plan)?;
        engines(source, plan)?;
        levels(source, plan)?;
        crate::question::check(source, plan)?;
        faults(source, plan)?;
        outages::check(source, plan)?;
        // Sites are known once the workload is open, and checked then.
        super::check_liars(source, plan, u32::MAX)?;
        engines_of_liars(source, plan)?;
        resilience::check(plan).map_err(|wrong| {
            let path = format!("resilience.{}", wrong.key);
            source.at_key(&path, &wrong.why, &wrong.hint)
        })
    }

    /// Checks what every plan has.
    pub(crate) fn head(
        source: &Source,
        name: &str,
        replications: u32,
        confidence: f64,
    ) -> Result<(), Error> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(plain) {
            return Err(source.at_key(
                "name",
                &format!("is {name:?}"),
                "it names a folder: use letters, digits, - and _",
            ));
        }
        if replications < 2 {
            return Err(source.at_key(
                "replications",
                &format!("is {replications}, too few for an interval"),
                "use at least 10",
            ));
        }
        if !(0.5..1.0).contains(&confidence) {
            return Err(source.at_key(
                "confidence",
                &format!("is {confidence}"),
                "use a share such as 0.95",
            ));
        }
        Ok(())
    }

    fn network(source: &Source, plan: &Plan) -> Result<(), Error> {
        crate::network::check(&plan.network).map_err(|wrong| {
            let path = format!("network.{}", wrong.key);
            source.at_key(&path, &wrong.why, &wrong.hint)
        })
    }

    fn node(source: &Source, plan: &Plan) -> Result<(), Error> {
        if plan.node.cores == 0 {
            return Err(source.at_key("node.cores", "is 0", "a node has at least one core"));
        }
        plan.node.check_view_age(source)?;
        costs::check(source, &plan.node)
    }

    fn adversary(source: &Source, plan: &Plan) -> Result<(), Error> {
        let adversary = &plan.adversary;
        let n = plan.network.nodes;
        if let Some(corrupt) = adversary.corrupt.filter(|&c| c > n) {
            return Err(source.at_key(
                "adversary.corrupt",
                &format!("is {corrupt} of {n} organisations"),
                "name at most as many as there are nodes",
            ));
        }
        let (fin, safe) = (adversary.final_risk, adversary.safe_risk);
        if !(fin > 0.0 && fin <= safe && safe < 1.0) {
            return Err(source.at_key(
                "adversary.final_risk",
                &format!("is {fin} and safe_risk {safe}"),
                "both lie between 0 and 1, and final is the smaller risk",
            ));
        }
        Ok(())
    }

    fn load(source: &Source, plan: &Plan) -> Result<(), Error> {
        let load = &plan.load;
        if let Some(tps) = load
            .offered_tps
            .iter()
            .find(|t| **t <= 0.0 || !t.is_finite())
        {
            return Err(source.at_key(
                "load.offered_tps",
                &format!("holds {tps}, not a positive rate"),
                "give transactions per second above 0",
            ));
        }
        let as_it_is = matches!(plan.kind, Kind::Replay | Kind::Scenario);
        if !as_it_is && load.offered_tps.is_empty() {
            return Err(source.at_key(
                "load.offered_tps",
                "is empty",
                "list the offered loads in transactions per second",
            ));
        }
        let exists = |tps: f64| load.offered_tps.iter().any(|t| (t - tps).abs() < 1e-9);
        let judged = matches!(plan.kind, Kind::Compare | Kind::Sensitivity);
        if judged && !load.decide_at_tps.is_some_and(exists) {
            return Err(source.at_key(
                "load.decide_at_tps",
                "is not one of offered_tps",
                "name the load at which the service levels are judged",
            ));
        }
        if load.knee_within.is_nan() || load.knee_within < 0.001 {
            let why = format!("is {}", load.knee_within);
            return Err(source.at_key("load.knee_within", &why, "use a share such as 0.03"));
        }
        for (key, value) in [("duration_s", load.duration_s), ("drain_s", load.drain_s)] {
            if value <= 0.0 || !value.is_finite() {
                let path = format!("load.{key}");
                return Err(source.at_key(&path, &format!("is {value}"), "give seconds above 0"));
            }
        }
        Ok(())
    }

    fn engines(source: &Source, plan: &Plan) -> Result<(), Error> {
        if plan.engines.is_empty() {
            return Err(source.at_key("engines", "is empty", "add an [[engines]] table"));
        }
        for (i, engine) in plan.engines.iter().enumerate() {
            if known::find(&engine.name).is_none() {
                let names: Vec<&str> = known::all().iter().map(|k| k.name()).collect();
                return Err(source.at_key(
                    &format!("engines.{i}.name"),
                    &format!("is {:?}, which is no engine", engine.name),
                    &format!("engines: {}", names.join(", ")),
                ));
            }
            if plan.engines[..i]
                .iter()
                .any(|e| e.label() == engine.label())
            {
                return Err(source.at_key(
                    &format!("engines.{i}.label"),
                    &format!("{:?} stands twice", engine.label()),
                    "give each its own label",
                ));
            }
            unit::check_engine(plan, i).map_err(|invalid| {
                let path = format!("engines.{i}.config.{}", invalid.key);
                let path = path.trim_end_matches('.');
                source.at_key(path, &invalid.why, &invalid.hint)
            })?;
        }
        Ok(())
    }

    fn levels(source: &Source, plan: &Plan) -> Result<(), Error> {
        for (i, level) in plan.levels.iter().enumerate() {
            Level::parse(&level.expect).map_err(|why| {
                let path = format!("levels.{i}.expect");
                source.at_key(
                    &path,
                    &format!("is {:?}: {why}", level.expect),
                    crate::level::GRAMMAR,
                )
            })?;
        }
        Ok(())
    }

    fn faults(source: &Source, plan: &Plan) -> Result<(), Error> {
        for (i, fault) in plan.faults.iter().enumerate() {
            fault.fault(plan.machines()).map_err(|invalid| {
                let path = format!("faults.{i}.{}", invalid.key);
                source.at_key(&path, &invalid.why, &invalid.hint)
            })?;
        }
        Ok(())
    }

    fn engines_of_liars(source: &Source, plan: &Plan) -> Result<(), Error> {
        for entry in &plan.engines {
            let (engine, label) = (entry.engine(), entry.engine().name());
            let family = engine.builders(&entry.config);
            crate::corrupt::fits(&plan.corrupt, label, family).map_err(|(i, invalid)| {
                let path = format!("corrupt.{i}.{}", invalid.key);
                source.at_key(&path, &invalid.why, &invalid.hint)
            })?;
        }
        Ok(())
    }
}

/// Checks the plan's liars against so many sites.
pub(crate) fn check_liars(source: &Source, plan: &Plan, sites: u32) -> Result<(), Error> {
    let nodes = plan.network.nodes;
    let world = crate::corrupt::World { nodes, sites };
    for (i, corrupt) in plan.corrupt.iter().enumerate() {
        corrupt.corrupt(world).map_err(|invalid| {
            let path = format!("corrupt.{i}.{}", invalid.key);
            source.at_key(&path, &invalid.why, &invalid.hint)
        })?;
    }
    Ok(())
}

/// Sets one key of a table from `a.b.c=value`; the value is TOML, or else a string.
pub(crate) fn set(table: &mut toml::Table, text: &str) -> Result<(), Error> {
    let usage = || {
        Error::config(
            format!("-s {text}: not key=value"),
            "for example -s load.duration_s=60",
        )
    };
    let (path, value) = text.split_once('=').ok_or_else(usage)?;
    let parsed: Result<toml::Table, _> = toml::from_str(&format!("value = {value}"));
    let value = match parsed {
        Ok(mut table) => table.remove("value").expect("just parsed"),
        Err(_) => toml::Value::String(value.to_owned()),
    };
    let mut root = toml::Value::Table(std::mem::take(table));
    let done = put(&mut root, &keys(path), value);
    if let toml::Value::Table(changed) = root {
        *table = changed;
    }
    done.ok_or_else(usage)
}

/// Keys of an entry of `engines` that are not the engine's own.
const ENTRY_KEYS: [&str; 6] = [
    "name",
    "label",
    "duration_s",
    "config",
    "matched",
    "optional",
];

/// A path as keys: what stands behind an engine is its own key, `engines.qbft.period_ms`.
pub(crate) fn keys(path: &str) -> Vec<&str> {
    let mut keys: Vec<&str> = path.split('.').collect();
    if let ["engines", _, own, ..] = keys[..]
        && !ENTRY_KEYS.contains(&own)
    {
        keys.insert(2, "config");
    }
    keys
}

/// Sets a value at a path; `None` where the path leads nowhere.
pub(crate) fn put(at: &mut toml::Value, keys: &[&str], value: toml::Value) -> Option<()> {
    let (&key, rest) = keys.split_first()?;
    if key.is_empty() {
        return None;
    }
    match at {
        toml::Value::Table(table) if rest.is_empty() => {
            table.insert(key.to_owned(), value);
            Some(())
        }
        toml::Value::Table(table) => {
            let empty = || toml::Value::Table(toml::Table::new());
            put(table.entry(key).or_insert_with(empty), rest, value)
        }
        toml::Value::Array(list) if !rest.is_empty() => {
            let place = place(list, key)?;
            put(list.get_mut(place)?, rest, value)
        }
        _ => None,
    }
}

/// The value at a path.
pub(crate) fn get<'a>(at: &'a toml::Value, keys: &[&str]) -> Option<&'a toml::Value> {
    keys.iter().try_fold(at, |at, key| match at {
        toml::Value::Table(table) => table.get(*key),
        toml::Value::Array(list) => list.get(place(list, key)?),
        _ => None,
    })
}

/// An element of a list: by its number, or by its label or name.
pub(crate) fn place(list: &[toml::Value], key: &str) -> Option<usize> {
    let named = |by: &str| {
        let text = |v: &toml::Value| v.get(by).and_then(toml::Value::as_str) == Some(key);
        list.iter().position(text)
    };
    let number = key.parse().ok();
    number.or_else(|| named("label")).or_else(|| named("name"))
}

fn one_line(message: &str) -> String {
    message.lines().collect::<Vec<_>>().join(" ")
}

fn line_of(text: &str, offset: usize) -> usize {
    text[..offset.min(text.len())].matches('\n').count() + 1
}

/// The key that a message says nobody knows.
fn unknown_field(why: &str) -> Option<&str> {
    why.split_once("unknown field `")?.1.split('`').next()
}

/// Where a key such as `engines.1.config.period_ms` stands with its value, or the nearest table above it; and
/// whether the key itself is there.
fn find_key(text: &str, path: &str) -> (Option<Range<usize>>, bool) {
    find(text, path.split('.'))
}

fn find<'a>(text: &str, keys: impl Iterator<Item = &'a str>) -> (Option<Range<usize>>, bool) {
    let Ok(document) = toml::de::DeTable::parse(text) else {
        return (None, false);
    };
    let mut found = true;
    let mut span = None;
    let mut table = Some(document.get_ref());
    let mut array: Option<&toml::de::DeArray<'_>> = None;
    for part in keys {
        let value = match (table, array) {
            (Some(t), _) => t
                .iter()
                .find(|(k, _)| k.get_ref() == part)
                .map(|(k, v)| (with_value(text, k.span(), v.span()), v)),
            (None, Some(a)) => part
                .parse()
                .ok()
                .and_then(|i: usize| a.get(i))
                .map(|v| (v.span(), v)),
            (None, None) => None,
        };
        let Some((at, value)) = value else {
            found = false;
            break;
        };
        span = Some(at);
        (table, array) = match value.get_ref() {
            toml::de::DeValue::Table(t) => (Some(t), None),
            toml::de::DeValue::Array(a) => (None, Some(a)),
            _ => (None, None),
        };
    }
    (span, found)
}

/// A key with its value, where that follows it in the same line; the value of a table is elsewhere.
fn with_value(text: &str, key: Range<usize>, value: Range<usize>) -> Range<usize> {
    match text.get(key.end..value.start) {
        Some(between) if between.trim() == "=" => key.start..value.end,
        _ => key,
    }
}
