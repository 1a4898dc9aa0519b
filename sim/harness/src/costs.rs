//! What the machines' work costs: cost files, and how a plan's `[node]` comes to figures.
//!
//! `quorate calibrate` writes a cost file; one reference set ships. A plan names one by
//! `node.costs`, picks a signature scheme and may set single figures, which go first. All of it is
//! settled into figures when the plan is read, so that they, and no file's name, are what is run,
//! hashed and written to the results.

use crate::error::Error;
use crate::plan::{NodePlan, Source};
use quorate_core::{Costs, Span};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The set that ships, as it stands in its file.
pub const REFERENCE: &str = include_str!("../costs/reference.toml");

/// The value of `node.costs` that names it.
const REFERENCE_NAME: &str = "reference";

/// Costs on one core.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostFile {
    /// Ed25519, as of `CometBFT` and Cardano.
    pub ed25519: Scheme,
    /// ECDSA over secp256k1, as of Bitcoin and Besu.
    pub secp256k1: Scheme,
    /// BLS12-381, aggregating signatures, as of Ethereum.
    pub bls: Scheme,
    /// SHA-256.
    pub sha256: Hashing,
    /// Validation of a block besides signatures, the hash of its bytes, and execution.
    pub block: Validation,
    /// Execution of the rules of the ledgers that ship, by transaction.
    pub ledger: Execution,
    /// Half the distance between the quartiles of each figure; for readers.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub spread: toml::Table,
}

/// Costs of a signature scheme over 256 bytes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scheme {
    /// Making a signature, µs.
    pub sign_us: f64,
    /// Checking one, µs.
    pub verify_us: f64,
    /// Checking each further one of an aggregate over one text, µs; absent where a certificate is a
    /// list of signatures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify_next_us: Option<f64>,
}

/// Costs of hashing.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hashing {
    /// 1,024 bytes, ns.
    pub kib_ns: f64,
}

/// Costs of validation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validation {
    /// A block, µs.
    pub block_us: f64,
    /// 1,024 bytes of it, ns.
    pub kib_ns: f64,
}

/// Costs of execution.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Execution {
    /// A write of the workload `hospital`, ns.
    pub hospital_ns: f64,
    /// A write of the workload `trial`, ns.
    pub trial_ns: f64,
    /// A write of the workload `pharma`, ns.
    pub pharma_ns: f64,
}

/// Whose signatures the engines make.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Signature {
    /// Ed25519.
    #[default]
    Ed25519,
    /// ECDSA over secp256k1.
    Secp256k1,
    /// BLS12-381; certificates are aggregates. The sizes of messages stay those of the engine.
    Bls,
}

impl Signature {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "the form that serde asks for"
    )]
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What execution takes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Executed {
    /// What transactions declare.
    #[default]
    Declared,
    /// That, times the ratio of the ledgers' execution in `costs` to the reference set's.
    Measured,
}

impl Executed {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "the form that serde asks for"
    )]
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl CostFile {
    /// The set that ships.
    pub fn reference() -> Self {
        toml::from_str(REFERENCE).expect("the reference set is sound")
    }

    /// Reads a cost file.
    ///
    /// # Errors
    /// What is wrong, with file, line and key.
    pub fn parse(origin: &str, text: &str) -> Result<Self, Error> {
        let source = Source::new(origin, text);
        let file: Self = toml::from_str(text).map_err(|e| {
            let before = e.span().and_then(|at| text.get(..at.start));
            let line = before.and_then(|t| t.lines().next_back());
            let key = line.and_then(|l| l.split_once('='));
            // A message about an unknown or missing key names it already.
            let key = key.filter(|_| !e.message().contains('`'));
            let key = key.map_or(String::new(), |(key, _)| format!(" for `{}`", key.trim()));
            source.at_line_saying(&e, &key, "`quorate calibrate` writes such a file")
        })?;
        for (key, value) in file.figures() {
            // Ratios to it are taken; the others may be free.
            let least = if key.starts_with("ledger.") {
                1e-3
            } else {
                0.0
            };
            if !(least..=1e9).contains(&value) {
                let why = format!("is {value}");
                let hint = "the key's last letters are the unit; costs lie between 0 and 1e9";
                return Err(source.at_key(&key, &why, hint));
            }
        }
        Ok(file)
    }

    /// All figures by key, such as `ed25519.sign_us`, in the order of the file.
    pub fn figures(&self) -> Vec<(String, f64)> {
        let mut figures = Vec::new();
        let mut add = |table: &str, key: &str, value: f64| {
            figures.push((format!("{table}.{key}"), value));
        };
        for (table, scheme) in [
            ("ed25519", &self.ed25519),
            ("secp256k1", &self.secp256k1),
            ("bls", &self.bls),
        ] {
            add(table, "sign_us", scheme.sign_us);
            add(table, "verify_us", scheme.verify_us);
            if let Some(next) = scheme.verify_next_us {
                add(table, "verify_next_us", next);
            }
        }
        add("sha256", "kib_ns", self.sha256.kib_ns);
        add("block", "block_us", self.block.block_us);
        add("block", "kib_ns", self.block.kib_ns);
        add("ledger", "hospital_ns", self.ledger.hospital_ns);
        add("ledger", "trial_ns", self.ledger.trial_ns);
        add("ledger", "pharma_ns", self.ledger.pharma_ns);
        figures
    }

    const fn scheme(&self, signature: Signature) -> &Scheme {
        match signature {
            Signature::Ed25519 => &self.ed25519,
            Signature::Secp256k1 => &self.secp256k1,
            Signature::Bls => &self.bls,
        }
    }

    /// How much longer the ledgers' execution takes than in another set, in thousandths: the median
    /// of the three ledgers.
    fn exec_permille(&self, other: &Self) -> u32 {
        let (a, b) = (&self.ledger, &other.ledger);
        let mut ratios = [
            a.hospital_ns / b.hospital_ns,
            a.trial_ns / b.trial_ns,
            a.pharma_ns / b.pharma_ns,
        ];
        ratios.sort_by(f64::total_cmp);
        (ratios[1] * 1e3).round() as u32
    }
}

/// Settles what a plan's node costs: afterwards `costs` and `execution` are gone, and the figures
/// stand in their own keys. Doing it again changes nothing.
///
/// # Errors
/// A cost file that cannot be read or is wrong, or a key without the one that it needs.
pub(crate) fn settle(source: &Source, node: &mut NodePlan) -> Result<(), Error> {
    let reference = CostFile::reference();
    let named = node.costs.take();
    let file = match named.as_deref() {
        None | Some(REFERENCE_NAME) => reference.clone(),
        Some(name) => open(source, name)?,
    };
    let scheme = file.scheme(node.signature);
    node.sign_us.get_or_insert(scheme.sign_us);
    node.verify_us.get_or_insert(scheme.verify_us);
    node.hash_kib_ns
        .get_or_insert(file.sha256.kib_ns.round() as u64);
    node.verify_next_us = node.verify_next_us.or(scheme.verify_next_us);
    if named.is_some() {
        node.block_us.get_or_insert(file.block.block_us);
        node.block_kib_ns
            .get_or_insert(file.block.kib_ns.round() as u64);
    }
    if std::mem::take(&mut node.execution) == Executed::Measured {
        if named.is_none() {
            let why = "is \"measured\", but nothing was";
            let hint = "name a cost file by node.costs; `quorate calibrate` writes one";
            return Err(source.at_key("node.execution", why, hint));
        }
        node.exec_permille
            .get_or_insert(file.exec_permille(&reference));
    }
    Ok(())
}

/// A cost file beside the plan.
fn open(source: &Source, name: &str) -> Result<CostFile, Error> {
    let folder = Path::new(&source.origin).parent().unwrap_or(Path::new(""));
    let path = folder.join(name);
    let origin = path.display().to_string();
    let text = std::fs::read_to_string(&path).map_err(|e| {
        let key = source.at_key(
            "node.costs",
            &format!("names {origin}, which cannot be read: {e}"),
            "write one with `quorate calibrate`, or use \"reference\"",
        );
        Error::missing(key.message, key.hint)
    })?;
    CostFile::parse(&origin, &text)
}

/// Whether all figures of a node can be used.
pub(crate) fn check(source: &Source, node: &NodePlan) -> Result<(), Error> {
    let whole = |ns: Option<u64>| ns.map(|ns| ns as f64);
    for (key, value) in [
        ("sign_us", node.sign_us),
        ("verify_us", node.verify_us),
        ("verify_next_us", node.verify_next_us),
        ("block_us", node.block_us),
        ("hash_kib_ns", whole(node.hash_kib_ns)),
        ("block_kib_ns", whole(node.block_kib_ns)),
    ] {
        if !(0.0..=1e9).contains(&value.unwrap_or(0.0)) {
            let why = format!("is {}", value.unwrap_or(0.0));
            let unit = if key.ends_with("_us") {
                "give microseconds, at most 1e9"
            } else {
                "give nanoseconds, at most 1e9"
            };
            return Err(source.at_key(&format!("node.{key}"), &why, unit));
        }
    }
    if node.exec_permille.is_some_and(|p| p > 1_000_000) {
        let why = format!("is {}", node.exec_permille.unwrap_or(0));
        let hint = "1000 is what transactions declare; at most 1000000";
        return Err(source.at_key("node.exec_permille", &why, hint));
    }
    Ok(())
}

/// What the kernel charges. A plan that was not settled has the reference costs where it is silent.
pub(crate) fn of(node: &NodePlan) -> Costs {
    let us = |us: f64| Span::from_ms_f64(us / 1e3);
    let silent = Costs::REFERENCE;
    let verify = node.verify_us.map_or(silent.verify, us);
    Costs {
        sign: node.sign_us.map_or(silent.sign, us),
        verify,
        verify_next: node.verify_next_us.map_or(verify, us),
        hash_kib: node.hash_kib_ns.map_or(silent.hash_kib, Span::from_ns),
        block: node.block_us.map_or(silent.block, us),
        block_kib: node.block_kib_ns.map_or(silent.block_kib, Span::from_ns),
        exec_permille: node.exec_permille.unwrap_or(silent.exec_permille),
    }
}
