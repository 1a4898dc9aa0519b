//! From a plan as written to the plans that are run: one for each profile, workload and size.

use crate::engines;
use crate::error::Error;
use crate::mempool;
use crate::outages;
use crate::plan::{Axis, Kind, LoadPlan, Plan, Profile, Source, check};
use crate::sweep::{self, Factor};
use crate::unit::{self, EngineSheet};
use crate::workload::Workload;
use crate::{results, sensitivity, verdict};
use quorate_core::hash::fold_all;
use serde::Deserialize as _;

/// One plan to run: one profile, one workload, one size.
pub struct Part {
    /// Which settings the engines have.
    pub profile: Profile,
    /// The plan with that profile, workload and size filled in.
    pub plan: Plan,
    /// The name of the workload in the results.
    pub label: String,
    /// Its workload.
    pub workload: Workload,
    /// What each engine is under it.
    pub sheets: Vec<EngineSheet>,
    /// Answers that the study gives, for which intervals are corrected.
    pub(crate) comparisons: usize,
    /// Which combination of the plan's factors it is, from 0.
    pub combination: usize,
    /// Their values; empty in a plan without.
    pub factors: Vec<Factor>,
    /// Digest of everything but the engines: equal in parts that differ in nothing else.
    pub(crate) world: String,
    /// See [`crate::risk::reversal`].
    pub(crate) risks: std::sync::OnceLock<Vec<crate::risk::Risk>>,
}

/// A plan as written, and what it comes to.
pub struct Study {
    /// Where the plan's file is, as an absolute path; the name of a built-in plan.
    pub origin: String,
    /// As written, overrides applied.
    pub plan: Plan,
    /// In the order of profiles, then workloads, then sizes.
    pub parts: Vec<Part>,
}

impl Study {
    /// Expands a checked plan and builds its workloads once.
    ///
    /// # Errors
    /// An unusable workload; see [`Workload::open_plan`].
    pub fn open(source: &Source, plan: Plan) -> Result<Self, Error> {
        let mut parts = Vec::new();
        for one in expand(source, &plan)? {
            let source = source.within(one.prefix.as_deref());
            let workload = Workload::open_plan(&source, &one.plan)?;
            let sheets = (0..one.plan.engines.len()).map(|e| unit::sheet(&one.plan, e));
            parts.push(Part {
                profile: one.profile,
                label: one.label,
                sheets: sheets.collect(),
                workload,
                comparisons: 0,
                combination: one.combination,
                factors: one.factors,
                world: world(&one.plan),
                plan: one.plan,
                risks: std::sync::OnceLock::new(),
            });
        }
        mempool::check_classes(source, &plan, &parts)?;
        outages::check_sites(source, &plan, &parts)?;
        let origin = source.absolute_origin();
        let mut study = Self {
            origin,
            plan,
            parts,
        };
        let comparisons = verdict::comparisons(&study);
        for part in &mut study.parts {
            part.comparisons = comparisons;
        }
        Ok(study)
    }

    /// A hash of what the plan's input files hold; the same for all plans without any.
    pub fn inputs(&self) -> u64 {
        let parts = self.parts.iter();
        parts.fold(0, |hash, part| {
            fold_all(hash, &[part.workload.inputs(part.plan.seed)])
        })
    }

    /// Whether its only part is the plan as written.
    pub(crate) fn is_one_plan(&self) -> bool {
        let Plan {
            scale,
            sweep,
            sensitivity,
            ..
        } = &self.plan;
        self.parts.len() == 1 && scale.is_none() && sweep.is_none() && sensitivity.is_none()
    }

    /// Whether parts differ in factors.
    pub fn has_factors(&self) -> bool {
        self.parts.iter().any(|p| !p.factors.is_empty())
    }

    /// Whether several profiles stand side by side.
    pub fn has_profiles(&self) -> bool {
        self.plan.profiles.len() > 1
    }
}

/// See [`Part::world`].
fn world(plan: &Plan) -> String {
    let alone = Plan {
        engines: Vec::new(),
        profiles: Vec::new(),
        ..plan.clone()
    };
    let text = toml::to_string(&alone).expect("a plan is a table");
    results::sha256_hex(text.as_bytes())
}

/// A plan to run, and where in the text its workload stands.
pub(crate) struct One {
    profile: Profile,
    label: String,
    pub(crate) plan: Plan,
    pub(crate) prefix: Option<String>,
    combination: usize,
    factors: Vec<Factor>,
}

/// The plans that a plan comes to.
///
/// # Errors
/// What is wrong with the tables that are merged here.
pub(crate) fn expand(source: &Source, plan: &Plan) -> Result<Vec<One>, Error> {
    let mut list = Vec::new();
    let combinations = sweep::combinations(source, plan)?;
    let keys = sweep::factor_keys(&combinations);
    for combination in &combinations {
        let with = combination.of(source, plan)?;
        let ones = expand_one(source, &with).map_err(|e| combination.blame(source, e))?;
        let factored = |one| One {
            combination: combination.index,
            factors: combination.factors(&keys),
            ..one
        };
        if keys.is_empty() {
            list.extend(ones);
        } else {
            list.extend(ones.into_iter().map(factored));
        }
    }
    if list.len() > 1 {
        // The smaller form is that of the whole.
        for one in &mut list {
            one.plan.quick.clear();
        }
    }
    Ok(list)
}

/// The plans that one without factors comes to.
fn expand_one(source: &Source, plan: &Plan) -> Result<Vec<One>, Error> {
    let mut list = Vec::new();
    for &profile in &plan.profiles {
        for (prefix, with) in workloads(source, plan)? {
            for size in sizes(plan) {
                let mut plan = with.clone();
                plan.profiles = vec![profile];
                if let Some(size) = size {
                    resize(source, &mut plan, size)?;
                }
                match_engines(source, &mut plan, profile)?;
                check::one(&source.within(prefix.as_deref()), &plan)?;
                let label = plan.workload_label();
                let varied = sensitivity::vary(source, plan)?.into_iter().enumerate();
                list.extend(varied.map(|(combination, (plan, factors))| One {
                    profile,
                    label: label.clone(),
                    plan,
                    prefix: prefix.clone(),
                    combination,
                    factors,
                }));
            }
        }
    }
    Ok(list)
}

/// Puts the keys of `matched` on top in the profile of that name, and says so where they are wrong.
fn match_engines(source: &Source, plan: &mut Plan, profile: Profile) -> Result<(), Error> {
    for i in 0..plan.engines.len() {
        let matched = std::mem::take(&mut plan.engines[i].matched);
        let exists = engines::find(&plan.engines[i].name).is_some();
        if profile != Profile::Matched || !exists {
            continue;
        }
        // Alike in interval, they need no spans of their own.
        plan.engines[i].duration_s = None;
        let sound = unit::check_engine(plan, i).is_ok();
        plan.engines[i].config.extend(matched);
        if let (true, Err(invalid)) = (sound, unit::check_engine(plan, i)) {
            let path = format!("engines.{i}.matched.{}", invalid.key);
            let path = path.trim_end_matches('.');
            return Err(source.at_key(path, &invalid.why, &invalid.hint));
        }
    }
    Ok(())
}

/// The plan with each of its workloads, and the path of that workload in the text.
fn workloads(source: &Source, plan: &Plan) -> Result<Vec<(Option<String>, Plan)>, Error> {
    if plan.workloads.is_empty() {
        label(source, "workload", plan, &[])?;
        return Ok(vec![(None, plan.clone())]);
    }
    let mut list: Vec<(Option<String>, Plan)> = Vec::new();
    for (i, table) in plan.workloads.iter().enumerate() {
        let mut table = table.clone();
        let path = format!("workloads.{i}");
        let wrong = |key: &str, e: &toml::de::Error| {
            let why = format!(
                "is wrong: {}",
                e.message().lines().collect::<Vec<_>>().join(" ")
            );
            source.at_key(&format!("{path}.{key}"), &why, "see `quorate init`")
        };
        let mut one = plan.clone();
        one.workloads = Vec::new();
        if let Some(load) = table.remove("load") {
            let load = toml::Table::deserialize(load).map_err(|e| wrong("load", &e))?;
            let mut merged = toml::Table::try_from(&plan.load).expect("a load is a table");
            merged.extend(load);
            one.load = LoadPlan::deserialize(merged).map_err(|e| wrong("load", &e))?;
        }
        for (key, own) in [("question", &mut one.question), ("answer", &mut one.answer)] {
            if let Some(text) = table.remove(key) {
                *own = Some(String::deserialize(text).map_err(|e| wrong(key, &e))?);
            }
        }
        if let Some(levels) = table.remove("levels") {
            one.levels = Vec::deserialize(levels).map_err(|e| wrong("levels", &e))?;
        }
        one.workload = table;
        label(source, &path, &one, &list)?;
        list.push((Some(path), one));
    }
    Ok(list)
}

/// A label names rows and files: it is plain, and stands once.
fn label(
    source: &Source,
    path: &str,
    one: &Plan,
    earlier: &[(Option<String>, Plan)],
) -> Result<(), Error> {
    let label = one.workload_label();
    let refuse = |why: &str, hint: &str| {
        let key = format!("{path}.label");
        Err(source.at_key(&key, &format!("is {label:?}{why}"), hint))
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !label.chars().all(plain) || one.workload.get("label").is_some_and(|l| !l.is_str()) {
        return refuse("", "it names files: use letters, digits, - and _");
    }
    if !label.is_empty() && earlier.iter().any(|(_, e)| e.workload_label() == label) {
        return refuse(", as that of another workload", "give each its own label");
    }
    Ok(())
}

fn sizes(plan: &Plan) -> Vec<Option<u32>> {
    match (&plan.scale, plan.kind) {
        (Some(scale), Kind::Scale) => scale.values.iter().copied().map(Some).collect(),
        _ => vec![None],
    }
}

/// Keys of engines that say how many of the first nodes vote or lead; 0 means all.
pub(crate) const COMMITTEE_KEYS: [&str; 5] =
    ["validators", "miners", "pools", "orderers", "signers"];

/// Fills in one size of a scalability study.
fn resize(source: &Source, plan: &mut Plan, size: u32) -> Result<(), Error> {
    let scale = plan.scale.as_mut().expect("sizes come from it");
    // What is left is a plan of that size alone, to be run by itself.
    scale.values = vec![size];
    let nodes = std::mem::replace(&mut plan.network.nodes, size);
    if scale.axis == Axis::Sites {
        plan.workload
            .insert("sites".to_owned(), i64::from(size).into());
    }
    if scale.axis == Axis::Committee {
        return Ok(());
    }
    let fixed = *scale.committee.get_or_insert(nodes);
    if fixed > size {
        return Err(source.at_key(
            "scale.values",
            &format!("holds {size}, fewer nodes than the committee of {fixed}"),
            "raise the value, or set scale.committee",
        ));
    }
    for engine in &mut plan.engines {
        let defaults = engines::find(&engine.name)
            .map(engines::AnyEngine::defaults)
            .unwrap_or_default();
        let keys = COMMITTEE_KEYS.iter().filter(|k| defaults.contains_key(**k));
        for key in keys {
            engine
                .config
                .entry(*key)
                .or_insert_with(|| i64::from(fixed).into());
        }
    }
    Ok(())
}
