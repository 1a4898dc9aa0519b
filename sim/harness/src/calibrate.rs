//! What this machine's work costs, measured: the only place that reads a clock for its figures.
//!
//! Each figure is the median over batches of about a quarter of a millisecond, which other programs
//! seldom interrupt, with half the distance between the quartiles as its spread. What is measured is what
//! deployed software runs: libsecp256k1 is that of Bitcoin Core and Besu, blst that of Ethereum's
//! clients.

#![expect(clippy::disallowed_types, reason = "it measures")]

use crate::costs::{CostFile, Execution, Hashing, Scheme, Validation};
use crate::error::{Error, exit};
use quorate_core::{Arrival, Cell, EntityId, Kind, Ledger, Seed, State};
use quorate_workloads::{Rate, Setup, WorkloadKind};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::hint::black_box;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// A text of the size of a vote or a header.
const TEXT: [u8; 256] = [7; 256];

/// Bytes of a transaction in a block that is validated.
// assumption: about the mean of the workloads that put hashes on the ledger.
const TX_BYTES: usize = 256;

/// Bytes of a block that is validated.
// assumption: large enough that the time for a block is nothing beside the time for its bytes.
const BLOCK_BYTES: usize = 1 << 20;

/// The same in units of 1,024 bytes.
const KIB: f64 = (BLOCK_BYTES / 1_024) as f64;

/// Bytes of a block's header.
// assumption: as `HEADER_BYTES` of the engines, which are 80 to 1,000.
const HEADER_BYTES: usize = 512;

/// Signers of an aggregate.
// assumption: a large committee of the studies here.
const SIGNERS: u32 = 64;

/// A batch lasts at least so long.
// assumption: far below the milliseconds after which a busy machine turns to another program.
const BATCH: Duration = Duration::from_micros(250);

/// How long each figure is measured.
#[derive(Clone, Copy)]
struct Effort {
    span: Duration,
    writes: usize,
}

impl Effort {
    const FULL: Self = Self {
        span: Duration::from_secs(1),
        writes: 200_000,
    };
    const QUICK: Self = Self {
        span: Duration::from_millis(50),
        writes: 10_000,
    };
}

/// A figure, ns.
#[derive(Clone, Copy)]
struct Figure {
    median: f64,
    spread: f64,
}

impl Figure {
    /// Of the times of batches.
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let at = |quarter: usize| times[(times.len() - 1) * quarter / 4];
        Self {
            median: at(2),
            spread: (at(3) - at(1)) / 2.0,
        }
    }

    /// One of so many equal parts.
    fn part(self, of: f64) -> Self {
        Self {
            median: self.median / of,
            spread: self.spread / of,
        }
    }

    /// The difference; 0 where noise makes it negative.
    fn minus(self, other: Self) -> Self {
        Self {
            median: (self.median - other.median).max(0.0),
            spread: self.spread + other.spread,
        }
    }
}

/// Measures all figures, prints them beside the reference set and writes them to a cost file.
///
/// # Errors
/// When the file exists or cannot be written.
pub(crate) fn run(out: &Path, quick: bool) -> Result<String, Error> {
    let unwritable = |e: &io::Error| Error {
        message: format!("cannot write {}: {e}", out.display()),
        hint: "name a file that does not exist yet by --out, in a folder that can be written"
            .to_owned(),
        code: exit::IO,
    };
    // Found out before the time is spent.
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(out);
    let mut file = file.map_err(|e| unwritable(&e))?;
    let effort = if quick { Effort::QUICK } else { Effort::FULL };
    let costs = measure(effort);
    file.write_all(text(&costs).as_bytes())
        .map_err(|e| unwritable(&e))?;
    let mut page = table(&costs, &CostFile::reference());
    let name = out.display();
    let _ = writeln!(
        page,
        "\nwrote {name}; a plan beside it uses it by: [node] costs = \"{name}\""
    );
    Ok(page)
}

/// The figures with their spreads, collected under their keys.
struct Bench {
    effort: Effort,
    spread: toml::Table,
}

impl Bench {
    /// Measures what `work` does once in each call; ns.
    fn time(&mut self, what: &str, mut work: impl FnMut()) -> Figure {
        let _ = writeln!(io::stderr(), "measuring {what}");
        let started = Instant::now();
        work();
        let once = started.elapsed().max(Duration::from_nanos(10));
        let calls = (BATCH.as_nanos() / once.as_nanos()).clamp(1, 100_000) as u32;
        let mut times = Vec::new();
        let started = Instant::now();
        // assumption: quartiles of fewer than eight batches say nothing.
        while started.elapsed() < self.effort.span || times.len() < 8 {
            let batch = Instant::now();
            for _ in 0..calls {
                work();
            }
            times.push(batch.elapsed().as_nanos() as f64 / f64::from(calls));
        }
        Figure::of(times)
    }

    /// A figure in its unit with its spread noted under its key; three digits that count.
    fn note(&mut self, table: &str, key: &str, figure: Figure) -> f64 {
        let unit = if key.ends_with("_us") { 1e3 } else { 1.0 };
        let spread = digits(figure.spread / unit);
        let empty = || toml::Value::Table(toml::Table::new());
        let entry = self.spread.entry(table).or_insert_with(empty);
        if let toml::Value::Table(entry) = entry {
            entry.insert(key.to_owned(), spread.into());
        }
        digits(figure.median / unit)
    }
}

/// Rounded to three digits that count.
fn digits(x: f64) -> f64 {
    format!("{x:.2e}").parse().expect("it is a number")
}

fn measure(effort: Effort) -> CostFile {
    let mut bench = Bench {
        effort,
        spread: toml::Table::new(),
    };
    let ed25519 = ed25519(&mut bench);
    let secp256k1 = secp256k1(&mut bench);
    let bls = bls(&mut bench);
    let flat = hash(&mut bench);
    let sha256 = Hashing {
        kib_ns: bench.note("sha256", "kib_ns", flat),
    };
    let block = validation(&mut bench, flat);
    let mut execution = |kind: WorkloadKind| {
        let figure = ledger(&mut bench, kind);
        bench.note("ledger", &format!("{}_ns", kind.name()), figure)
    };
    let ledger = Execution {
        hospital_ns: execution(WorkloadKind::Hospital),
        trial_ns: execution(WorkloadKind::Trial),
        pharma_ns: execution(WorkloadKind::Pharma),
    };
    CostFile {
        ed25519,
        secp256k1,
        bls,
        sha256,
        block,
        ledger,
        spread: bench.spread,
    }
}

fn ed25519(bench: &mut Bench) -> Scheme {
    use ed25519_dalek::{Signer as _, SigningKey, Verifier as _};
    let key = SigningKey::from_bytes(&[3; 32]);
    let (public, signature) = (key.verifying_key(), key.sign(&TEXT));
    let sign = bench.time("ed25519, signing", || {
        black_box(key.sign(black_box(&TEXT)));
    });
    let verify = bench.time("ed25519, checking", || {
        let verified = public.verify(black_box(&TEXT), black_box(&signature));
        verified.expect("the signature is right");
    });
    Scheme {
        sign_us: bench.note("ed25519", "sign_us", sign),
        verify_us: bench.note("ed25519", "verify_us", verify),
        verify_next_us: None,
    }
}

fn secp256k1(bench: &mut Bench) -> Scheme {
    use secp256k1::{Message, PublicKey, SecretKey, ecdsa};
    let key = SecretKey::from_secret_bytes([3; 32]).expect("it is in range");
    let public = PublicKey::from_secret_key(&key);
    let digest = || Message::from_digest(Sha256::digest(black_box(&TEXT)).into());
    let signature = ecdsa::sign(digest(), &key);
    let sign = bench.time("secp256k1, signing", || {
        black_box(ecdsa::sign(digest(), &key));
    });
    let verify = bench.time("secp256k1, checking", || {
        let verified = ecdsa::verify(black_box(&signature), digest(), &public);
        verified.expect("the signature is right");
    });
    Scheme {
        sign_us: bench.note("secp256k1", "sign_us", sign),
        verify_us: bench.note("secp256k1", "verify_us", verify),
        verify_next_us: None,
    }
}

fn bls(bench: &mut Bench) -> Scheme {
    use blst::BLST_ERROR::BLST_SUCCESS;
    use blst::min_pk::{AggregateSignature, SecretKey};
    // source: ethereum/consensus-specs `specs/phase0/beacon-chain.md`, BLS signatures.
    const SUITE: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
    let key = |i: u32| {
        let mut seed = [1; 32];
        seed[..4].copy_from_slice(&i.to_le_bytes());
        SecretKey::key_gen(&seed, &[]).expect("the seed is long enough")
    };
    let keys: Vec<SecretKey> = (0..SIGNERS).map(key).collect();
    let publics: Vec<_> = keys.iter().map(SecretKey::sk_to_pk).collect();
    let sign_all = keys.iter().map(|k| k.sign(&TEXT, SUITE, &[]));
    let signatures: Vec<_> = sign_all.collect();
    let all: Vec<_> = signatures.iter().collect();
    let aggregate = AggregateSignature::aggregate(&all, false).expect("there are some");
    let aggregate = aggregate.to_signature();
    let publics: Vec<_> = publics.iter().collect();
    let sign = bench.time("bls, signing", || {
        black_box(keys[0].sign(black_box(&TEXT), SUITE, &[]));
    });
    let verify = bench.time("bls, checking", || {
        let verified = signatures[0].verify(true, black_box(&TEXT), SUITE, &[], publics[0], false);
        assert_eq!(verified, BLST_SUCCESS);
    });
    // The difference of two long checks would drown in noise: what a further signer adds is the sum
    // of two points, the keys' (the signature came summed).
    let next = bench.time("bls, checking an aggregate's further signer", || {
        let sum = blst::min_pk::AggregatePublicKey::aggregate(black_box(&publics), false);
        black_box(sum.expect("there are some"));
    });
    let verified = aggregate.fast_aggregate_verify(true, &TEXT, SUITE, &publics);
    assert_eq!(verified, BLST_SUCCESS);
    let next = next.part(f64::from(SIGNERS - 1));
    Scheme {
        sign_us: bench.note("bls", "sign_us", sign),
        verify_us: bench.note("bls", "verify_us", verify),
        verify_next_us: Some(bench.note("bls", "verify_next_us", next)),
    }
}

/// 1,024 bytes.
fn hash(bench: &mut Bench) -> Figure {
    let text = vec![1; BLOCK_BYTES];
    let all = bench.time("sha256", || {
        black_box(Sha256::digest(black_box(&text)));
    });
    all.part(KIB)
}

/// A block of transactions, each behind its length, is decoded, and its Merkle root is made; what a
/// flat hash of its bytes takes is charged as hashing already.
fn validation(bench: &mut Bench, flat: Figure) -> Validation {
    let mut body = Vec::with_capacity(BLOCK_BYTES);
    while body.len() + TX_BYTES <= BLOCK_BYTES {
        let length = (TX_BYTES - 4) as u32;
        body.extend_from_slice(&length.to_le_bytes());
        body.extend_from_slice(&[5; TX_BYTES - 4]);
    }
    let mut hashes = Vec::new();
    let full = bench.time("validation of a block's bytes", || {
        black_box(merkle_root(black_box(&body), &mut hashes));
    });
    let header = [9; HEADER_BYTES];
    let empty = bench.time("validation of an empty block", || {
        black_box(Sha256::digest(black_box(&header)));
        black_box(merkle_root(black_box(&[]), &mut hashes));
    });
    let kib = full.part(KIB).minus(flat);
    Validation {
        block_us: bench.note("block", "block_us", empty),
        kib_ns: bench.note("block", "kib_ns", kib),
    }
}

/// The root over the hashes of a body's transactions. source: bitcoin/bitcoin `consensus/merkle.cpp`
/// for the pairing of an odd last hash with itself.
fn merkle_root(body: &[u8], hashes: &mut Vec<[u8; 32]>) -> [u8; 32] {
    hashes.clear();
    let mut rest = body;
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let (tx, behind) = behind.split_at(u32::from_le_bytes(*length) as usize);
        hashes.push(Sha256::digest(tx).into());
        rest = behind;
    }
    while hashes.len() > 1 {
        for pair in 0..hashes.len().div_ceil(2) {
            let left = hashes[2 * pair];
            let right = hashes.get(2 * pair + 1).unwrap_or(&left);
            hashes[pair] = Sha256::digest([left, *right].as_flattened()).into();
        }
        hashes.truncate(hashes.len().div_ceil(2));
    }
    hashes.first().copied().unwrap_or_default()
}

/// A state that is one row of records.
struct Dense(Vec<Cell>);

impl State for Dense {
    fn get(&self, entity: EntityId) -> Cell {
        self.0.get(entity.index()).copied().unwrap_or(0)
    }

    fn set(&mut self, entity: EntityId, cell: Cell) {
        if entity.index() >= self.0.len() {
            self.0.resize(entity.index() + 1, 0);
        }
        self.0[entity.index()] = cell;
    }
}

/// One write of a workload with its default settings. Writes are applied in their order, a batch
/// after the other, and from the first state again when they end.
fn ledger(bench: &mut Bench, kind: WorkloadKind) -> Figure {
    /// Writes in a batch.
    const BATCH: usize = 1_000;
    let _ = writeln!(io::stderr(), "measuring execution, {}", kind.name());
    let (writes, rules) = writes(kind, bench.effort.writes);
    let first: Vec<Cell> = (0..rules.preloaded())
        .map(|id| rules.preload(EntityId::new(id)))
        .collect();
    let mut times = Vec::new();
    let started = Instant::now();
    while times.is_empty() || started.elapsed() < bench.effort.span {
        let mut state = Dense(first.clone());
        for writes in writes.chunks(BATCH) {
            let batch = Instant::now();
            for tx in writes {
                black_box(rules.apply(black_box(tx), tx.at, &mut state));
            }
            times.push(batch.elapsed().as_nanos() as f64 / writes.len() as f64);
        }
    }
    Figure::of(times)
}

/// The first writes of a workload, and its ledger.
fn writes(kind: WorkloadKind, most: usize) -> (Vec<Arrival>, Box<dyn Ledger>) {
    let workload = kind
        .parse(toml::Table::new())
        .expect("defaults are in range");
    let mut no_files = |_: &str| Err(io::Error::from(io::ErrorKind::NotFound));
    let built = workload.build(Setup {
        // assumption: the busiest hour of a region; the rules do not ask how fast writes come.
        rate: Some(Rate::Flat { per_s: 33.0 }),
        seed: Seed::new(1, 0),
        open: &mut no_files,
    });
    let built = built.expect("a generator needs no file");
    let mut load = built.load;
    let kinds: Vec<Kind> = load.classes().iter().map(|c| c.kind).collect();
    let all = std::iter::from_fn(|| load.next());
    let writes = all.filter(|a| kinds[a.class.index()] != Kind::Read);
    (writes.take(most).collect(), built.ledger)
}

/// The cost file's text: the same keys in the same order on every machine.
fn text(costs: &CostFile) -> String {
    let body = toml::to_string(costs).expect("figures are a table");
    format!(
        "# Costs of one core, measured by `quorate calibrate`: medians, and half the distance between\n\
         # the quartiles under `spread`. A plan names this file by `[node] costs`.\n\n{body}"
    )
}

/// The figures beside those of the reference set.
fn table(costs: &CostFile, reference: &CostFile) -> String {
    let mut page = format!(
        "{:<24} {:>10} {:>9} {:>10} {:>7}\n",
        "cost", "measured", "±", "reference", "ratio"
    );
    for ((key, value), (_, other)) in costs.figures().into_iter().zip(reference.figures()) {
        let (table, name) = key.split_once('.').expect("a key has two parts");
        let spread = costs.spread.get(table).and_then(|t| t.get(name));
        let spread = spread.and_then(toml::Value::as_float).unwrap_or(0.0);
        let _ = writeln!(
            page,
            "{key:<24} {value:>10} {spread:>9} {other:>10} {:>7.2}",
            value / other
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    /// source: the two transactions of Bitcoin's rule: an odd last hash is paired with itself.
    #[test]
    fn the_root_is_over_pairs() {
        let tx = |text: &[u8]| [&(text.len() as u32).to_le_bytes(), text].concat();
        let h = |text: &[u8]| -> [u8; 32] { Sha256::digest(text).into() };
        let pair = |a: [u8; 32], b: [u8; 32]| h(&[a, b].concat());
        let root = |txs: &[&[u8]]| {
            let body: Vec<u8> = txs.iter().flat_map(|t| tx(t)).collect();
            merkle_root(&body, &mut Vec::new())
        };
        let [a, b, c] = [b"a", b"b", b"c"].map(|t| h(t));
        assert_eq!(root(&[]), [0; 32]);
        assert_eq!(root(&[b"a"]), a);
        assert_eq!(root(&[b"a", b"b"]), pair(a, b));
        assert_eq!(root(&[b"a", b"b", b"c"]), pair(pair(a, b), pair(c, c)));
    }

    #[test]
    fn a_figure_is_a_median_with_half_the_quartiles_distance() {
        let figure = Figure::of(vec![5.0, 1.0, 2.0, 100.0, 3.0]);
        assert!((figure.median - 3.0).abs() < 1e-12);
        assert!((figure.spread - 1.5).abs() < 1e-12);
        assert!((digits(1_234.5) - 1_230.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_measured_is_read_back() {
        let effort = Effort {
            span: Duration::ZERO,
            writes: 100,
        };
        let costs = measure(effort);
        let text = text(&costs);
        assert_eq!(CostFile::parse("costs.toml", &text).expect("sound"), costs);
        let keys = |costs: &CostFile| costs.figures().into_iter().map(|f| f.0).collect::<Vec<_>>();
        assert_eq!(keys(&costs), keys(&CostFile::reference()));
        for (key, value) in costs.figures() {
            assert!(value > 0.0 || key == "block.kib_ns", "{key} is free");
        }
    }
}
