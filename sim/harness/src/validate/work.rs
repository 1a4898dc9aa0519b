//! Proof of work: intervals between blocks, retargeting, confirmations, forks, and waiting for a place in a
//! block.

use super::logged::{self, All, Note, Reader, What};
use super::world::{World, mean_latency, moments, quantile};
use super::{Check, Family, Params, shared};
use quorate_consensus::miners::{Forks, MinersOnly};
use quorate_consensus::nakamoto::{self, Config, Nakamoto, Refresh, RelayRule, RetargetRule};
use quorate_consensus::qbft::{self, Qbft};
use quorate_core::{Block, Level, Seed, Span, Time};
use std::sync::Arc;

/// Intervals, forks and queues of mined blocks.
pub const FAMILY: Family = Family {
    name: "work",
    known: include_str!("known/work.csv"),
    checks: &[
        Check {
            name: "interval_mean",
            run: |params| Ok(intervals(params)?.mean),
        },
        Check {
            name: "interval_variation",
            run: |params| intervals(params).map(|i| i.deviation / i.mean),
        },
        Check {
            name: "interval_quantile",
            run: interval_quantile,
        },
        Check {
            name: "interval_exceeds",
            run: interval_exceeds,
        },
        Check {
            name: "retarget_mean",
            run: |params| Ok(retargeting(params)?.0),
        },
        Check {
            name: "retarget_deviation",
            run: |params| Ok(retargeting(params)?.1),
        },
        Check {
            name: "retarget_step",
            run: retarget_step,
        },
        Check {
            name: "confirmation_quantile",
            run: confirmation_quantile,
        },
        Check {
            name: "ceiling",
            run: ceiling,
        },
        Check {
            name: "stale",
            run: |params| forks(params).map(|f| f.stale as f64 / f.found as f64),
        },
        Check {
            name: "fork_rate",
            run: |params| forks(params).map(|f| f.stale as f64 / f.height as f64),
        },
        Check {
            name: "growth",
            run: |params| forks(params).map(|f| f.height as f64 / f.seconds),
        },
        Check {
            name: "forked_heights",
            run: forked_heights,
        },
        Check {
            name: "time_scale",
            run: time_scale,
        },
        Check {
            name: "pool_stale",
            run: pool_stale,
        },
        Check {
            name: "critical_share",
            run: critical_share,
        },
        Check {
            name: "inclusion",
            run: inclusion,
        },
        Check {
            name: "inclusion_periodic",
            run: inclusion_periodic,
        },
        Check {
            name: "effective_rate",
            run: effective_rate,
        },
    ],
};

/// Fixed difficulty, transactions chosen when a block is found, no limits.
fn mining(interval_s: f64) -> Config {
    Config {
        block_interval_s: interval_s,
        retarget_blocks: 0,
        relay: RelayRule::Direct,
        template_refresh_s: Refresh::AtFind,
        block_bytes: u64::MAX,
        ..Config::default()
    }
}

/// A positive number.
pub(super) fn positive(params: &Params, key: &str) -> Result<f64, String> {
    let value = params.f64(key)?;
    if value > 0.0 && value.is_finite() {
        Ok(value)
    } else {
        Err(format!("`{key} = {value}` is not positive"))
    }
}

/// At least this many.
pub(super) fn at_least(params: &Params, key: &str, least: u64) -> Result<u64, String> {
    let value = params.number(key)?;
    if value >= least {
        Ok(value)
    } else {
        Err(format!("`{key} = {value}` is less than {least}"))
    }
}

/// A probability strictly between 0 and 1.
fn probability(params: &Params, key: &str) -> Result<f64, String> {
    let value = params.f64(key)?;
    if 0.0 < value && value < 1.0 {
        Ok(value)
    } else {
        Err(format!("`{key} = {value}` is not between 0 and 1"))
    }
}

/// `blocks` intervals of `interval_s`.
pub(super) fn lasting(blocks: u64, interval_s: f64) -> Span {
    Span::from_s_f64(blocks as f64 * interval_s)
}

/// A parameter that may be left out: the master seed.
pub(super) fn seed(params: &Params) -> Result<u64, String> {
    params.number_or("seed", 1)
}

// ---- intervals -----------------------------------------------------------------------------

/// What intervals come to, s.
struct Intervals {
    mean: f64,
    deviation: f64,
    sorted: Vec<f64>,
}

/// `T`, s; `blocks`; `miners` (1), equal and without delay.
fn intervals(params: &Params) -> Result<Arc<Intervals>, String> {
    let (t, blocks) = (positive(params, "T")?, at_least(params, "blocks", 100)?);
    let (miners, seed) = (params.number_or("miners", 1_u32)?.max(1), seed(params)?);
    let key = format!("{t} {blocks} {miners} {seed}");
    Ok(shared("work.intervals", &key, || {
        let world = World::new(miners, Span::ZERO, lasting(blocks, t));
        let world = world.depth(1, 6).seed(seed);
        let (_, log) = logged::run::<Nakamoto, All>(&world, &mining(t));
        let built = log.iter().filter(|n| n.what == What::Built);
        let times: Vec<Time> = built.map(|n| n.at).collect();
        let gaps = times.windows(2).map(|w| w[1].since(w[0]).as_s());
        let mut sorted: Vec<f64> = gaps.collect();
        let (mean, deviation) = moments(&sorted);
        sorted.sort_by(f64::total_cmp);
        Intervals {
            mean,
            deviation,
            sorted,
        }
    }))
}

/// And `p`.
fn interval_quantile(params: &Params) -> Result<f64, String> {
    let p = probability(params, "p")?;
    Ok(quantile(&intervals(params)?.sorted, p))
}

/// And `s`, seconds.
fn interval_exceeds(params: &Params) -> Result<f64, String> {
    let s = params.f64("s")?;
    let intervals = intervals(params)?;
    let longer = intervals.sorted.iter().filter(|&&gap| gap > s).count();
    Ok(longer as f64 / intervals.sorted.len() as f64)
}

// ---- retargeting ---------------------------------------------------------------------------

/// The difficulty of the last block before the next change.
struct Periods<const N: u32>;

impl<const N: u32> Reader<Nakamoto> for Periods<N> {
    fn word(block: &Block<nakamoto::Header>) -> Option<u64> {
        (block.height % N == N - 1).then_some(block.header.difficulty)
    }
}

/// Bitcoin's and Litecoin's period.
const PERIOD: u32 = 2_016;

fn retargeted(t: f64, rule: RetargetRule) -> Config {
    Config {
        retarget_blocks: PERIOD,
        retarget_rule: rule,
        ..mining(t)
    }
}

/// Mean and deviation over the periods of the interval that the difficulty stands for, s. `T`, s;
/// `periods`; `rule` (`bitcoin`, or `litecoin`).
fn retargeting(params: &Params) -> Result<Arc<(f64, f64)>, String> {
    let (t, periods) = (positive(params, "T")?, at_least(params, "periods", 3)?);
    let rule = match params.maybe("rule") {
        None | Some("bitcoin") => RetargetRule::Bitcoin,
        Some("litecoin") => RetargetRule::Litecoin,
        Some(other) => return Err(format!("`rule = {other}` is neither bitcoin nor litecoin")),
    };
    let seed = seed(params)?;
    let key = format!("{t} {periods} {rule:?} {seed}");
    Ok(shared("work.retargeting", &key, || {
        let world = World::new(1, Span::ZERO, lasting(u64::from(PERIOD) * periods, t));
        let world = world.depth(1, 6).seed(seed);
        let config = retargeted(t, rule);
        let (_, log) = logged::run::<Nakamoto, Periods<PERIOD>>(&world, &config);
        // Without the first period, whose difficulty is given, and the second, whose timespan begins
        // with the genesis block.
        let built = log.iter().filter(|n| n.what == What::Built).skip(2);
        let genesis = <Nakamoto as quorate_core::Engine>::genesis(&config).difficulty;
        let intervals: Vec<f64> = built.map(|n| t * n.word as f64 / genesis as f64).collect();
        moments(&intervals)
    }))
}

/// New over old difficulty after a period in which the work was `times` what the difficulty was for:
/// that many equal miners of whom all but one are away at first, or leave.
fn retarget_step(params: &Params) -> Result<f64, String> {
    let (t, times) = (positive(params, "T")?, positive(params, "times")?);
    let miners = if times >= 1.0 { times } else { 1.0 / times };
    if !(2.0..=50.0).contains(&miners) || (miners - miners.round()).abs() > 1e-9 {
        return Err(format!(
            "`times = {times}` is neither a small number nor one over it"
        ));
    }
    let n = miners.round() as u32;
    let others: Vec<u32> = (1..n).collect();
    // Alone it takes n times as long at first, and a quarter of that after each change, until the
    // difficulty has followed; then eight more periods.
    let periods = 1.4 * f64::from(n) + 10.0;
    let horizon = lasting(u64::from(PERIOD), t * periods);
    let periods = |until: Option<Span>| {
        let world = World::new(n, Span::ZERO, horizon).depth(1, 6);
        let world = world.crash(&others, Span::ZERO, until);
        let config = retargeted(t, RetargetRule::Bitcoin);
        let (_, log) = logged::run::<Nakamoto, Periods<PERIOD>>(&world, &config);
        let built = log.iter().filter(|n| n.what == What::Built);
        let mut ends: Vec<&Note> = built.collect();
        // Who comes back may build beside the chain at first.
        ends.dedup_by_key(|n| n.height);
        ends.iter()
            .map(|n| (n.word as f64, n.at))
            .collect::<Vec<_>>()
    };
    let alone = periods(None);
    // The first change follows a period that was mined at one n-th of the rate.
    let step = |of: &[(f64, Time)], period: usize| {
        let pair = of.get(period).zip(of.get(period + 1));
        pair.map(|(a, b)| b.0 / a.0)
            .ok_or_else(|| format!("only {} periods", of.len()))
    };
    if times < 1.0 {
        return step(&alone, 0);
    }
    // By the sixth period it has followed the one miner; then the others come.
    let back = alone.get(5).ok_or("too few periods")?.1.since(Time::ZERO) + Span::from_ns(1);
    step(&periods(Some(back)), 6)
}

// ---- confirmations -------------------------------------------------------------------------

/// Minutes from submission to the `k`-th confirmation at quantile `p`; `T`, s, and `samples`.
fn confirmation_quantile(params: &Params) -> Result<f64, String> {
    let (t, p) = (positive(params, "T")?, probability(params, "p")?);
    let k = at_least(params, "k", 1)?.min(100) as u32;
    let (samples, seed) = (at_least(params, "samples", 100)?, seed(params)?);
    let key = format!("{t} {k} {samples} {seed}");
    let latencies = shared("work.confirmations", &key, || {
        // So far apart that samples are independent.
        let apart = 6 * u64::from(k) + 4;
        let world = World::new(1, Span::ZERO, lasting(apart * samples, t))
            .depth(k, k)
            .offered(1.0 / (apart as f64 * t), 1)
            .seed(seed);
        let report = world.run::<Nakamoto>(&mining(t));
        report.probe.classes[0].latency[Level::Final as usize].clone()
    });
    Ok(latencies.value_at_quantile(p) as f64 / 60e6)
}

// ---- capacity ------------------------------------------------------------------------------

/// How many transactions are in a block.
struct Filled;

impl Reader<Nakamoto> for Filled {
    fn word(block: &Block<nakamoto::Header>) -> Option<u64> {
        Some(u64::from(block.txs))
    }
}

/// Transactions a second in the second half of `blocks` blocks of `bytes` every `T` s, when more than
/// enough of `tx_bytes` are pending.
fn ceiling(params: &Params) -> Result<f64, String> {
    let (t, bytes) = (positive(params, "T")?, at_least(params, "bytes", 1)?);
    let blocks = at_least(params, "blocks", 10)?;
    let tx_bytes = at_least(params, "tx_bytes", 1)?;
    let tx_bytes = u16::try_from(tx_bytes).map_err(|e| format!("`tx_bytes`: {e}"))?;
    let config = Config {
        block_bytes: bytes,
        ..mining(t)
    };
    let capacity = bytes as f64 / f64::from(tx_bytes) / t;
    let mut world = World::new(1, Span::ZERO, lasting(blocks, t))
        .depth(1, 1)
        .offered(3.0 * capacity, 1);
    world.offered.bytes = tx_bytes;
    world.setup.drain = Span::ZERO;
    let (_, log) = logged::run::<Nakamoto, Filled>(&world, &config);
    let built: Vec<&Note> = log.iter().filter(|n| n.what == What::Built).collect();
    let late = &built[built.len() / 2..];
    let txs: u64 = late.iter().map(|n| n.word).sum();
    Ok(txs as f64 / late.len() as f64 / t)
}

// ---- forks ---------------------------------------------------------------------------------

/// Who mines, how far apart, for how long.
struct Race {
    shares: Vec<f64>,
    t: f64,
    d: f64,
    blocks: u64,
    seed: u64,
}

/// What it comes to.
struct Outcome {
    height: u64,
    found: u64,
    stale: u64,
    seconds: f64,
}

impl Race {
    /// `miners` equal ones who hear of a block `D` s after it was found, every `T` s on average;
    /// `blocks`.
    fn read(params: &Params) -> Result<Self, String> {
        let miners = at_least(params, "miners", 1)?;
        Ok(Self {
            shares: vec![1.0; miners as usize],
            ..Self::read_times(params)?
        })
    }

    fn read_times(params: &Params) -> Result<Self, String> {
        let d = params.f64("D")?;
        if !(0.0..1e6).contains(&d) {
            return Err(format!("`D = {d}` is no delay"));
        }
        Ok(Self {
            shares: Vec::new(),
            t: positive(params, "T")?,
            d,
            blocks: at_least(params, "blocks", 1)?,
            seed: seed(params)?,
        })
    }

    fn key(&self) -> String {
        let Self {
            shares,
            t,
            d,
            blocks,
            seed,
        } = self;
        format!("{shares:?} {t} {d} {blocks} {seed}")
    }

    fn config(&self) -> Config {
        Config {
            hash_shares: self.shares.clone(),
            ..mining(self.t)
        }
    }

    /// In the kernel.
    fn world(&self) -> World {
        let miners = self.shares.len() as u32;
        World::new(
            miners,
            Span::from_s_f64(self.d),
            lasting(self.blocks, self.t),
        )
        .depth(1, 100)
        .seed(self.seed)
    }

    /// Without it.
    fn mine(&self) -> Result<Forks, String> {
        let n = self.shares.len();
        let delays = vec![vec![Span::from_s_f64(self.d); n]; n];
        let horizon = Time::ZERO + lasting(self.blocks, self.t);
        let seed = Seed::new(self.seed, 0);
        Nakamoto::mine(&self.config(), &delays, horizon, seed).map_err(|e| e.why)
    }

    fn outcome(&self) -> Result<Outcome, String> {
        let forks = self.mine()?;
        Ok(Outcome {
            height: forks.height,
            found: forks.found.iter().sum(),
            stale: forks.stale(),
            seconds: lasting(self.blocks, self.t).as_s(),
        })
    }
}

/// Also `by` (`miners`, or `kernel` for the same through the kernel).
fn forks(params: &Params) -> Result<Outcome, String> {
    let race = Race::read(params)?;
    match params.maybe("by") {
        None | Some("miners") => race.outcome(),
        Some("kernel") => {
            let chain = race.world().run::<Nakamoto>(&race.config()).chain;
            Ok(Outcome {
                height: chain.height,
                found: chain.built,
                stale: chain.built - chain.height,
                seconds: lasting(race.blocks, race.t).as_s(),
            })
        }
        Some(other) => Err(format!("`by = {other}` is neither miners nor kernel")),
    }
}

/// The share of heights with more than one block, in the kernel.
fn forked_heights(params: &Params) -> Result<f64, String> {
    let race = Race::read(params)?;
    let chain = race.world().run::<Nakamoto>(&race.config()).chain;
    Ok(chain.forked_heights as f64 / chain.height as f64)
}

/// How many more blocks are stale, or fewer, when every time is `times` as long; in the kernel, with
/// announcements.
fn time_scale(params: &Params) -> Result<f64, String> {
    let times = at_least(params, "times", 1)?;
    let race = Race::read(params)?;
    let stale = |times: u64| {
        let mut world = race.world();
        let long = |span: Span| Span::from_ns(span.ns() * times);
        for row in &mut world.setup.network.one_way {
            for delay in row {
                *delay = long(*delay);
            }
        }
        world.setup.horizon = Time::ZERO + long(lasting(race.blocks, race.t));
        let config = Config {
            block_interval_s: race.t * times as f64,
            relay: RelayRule::Inv,
            ..race.config()
        };
        let chain = world.run::<Nakamoto>(&config).chain;
        (chain.built - chain.height) as i64
    };
    match stale(1) {
        0 => Err("nothing is stale: that says nothing".to_owned()),
        before => Ok((stale(times) - before) as f64),
    }
}

/// Stale blocks of pools with `shares`: of `pool`, counted from 1, or of all (`pool = 0`), by blocks
/// on the chain (`per = best`) or by all (`per = all`). One run for all pools.
fn pool_stale(params: &Params) -> Result<f64, String> {
    let list = params.text("shares")?.split('/');
    let shares: Result<Vec<f64>, _> = list.map(str::parse).collect();
    let race = Race {
        shares: shares.map_err(|e| format!("`shares`: {e}"))?,
        ..Race::read_times(params)?
    };
    let pool = params.u32("pool")? as usize;
    let per_best = match params.text("per")? {
        "best" => true,
        "all" => false,
        other => return Err(format!("`per = {other}` is neither best nor all")),
    };
    let run = shared("work.pools", &race.key(), || race.mine());
    let forks = run.as_ref().as_ref().map_err(Clone::clone)?;
    let of = |counts: &[u64]| match pool {
        0 => Some(counts.iter().sum::<u64>()),
        _ => counts.get(pool - 1).copied(),
    };
    let (found, kept) = of(&forks.found)
        .zip(of(&forks.kept))
        .ok_or_else(|| format!("there is no pool {pool}"))?;
    let whole = if per_best { kept } else { found };
    Ok((found - kept) as f64 / whole as f64)
}

/// The share of the work with which one machine grows a chain as fast as the others, `miners` equal
/// ones at a delay of `x` intervals, grow theirs. `blocks` in each run, in some twenty of them.
fn critical_share(params: &Params) -> Result<f64, String> {
    let x = positive(params, "x")?;
    let miners = at_least(params, "miners", 1)?;
    let (blocks, seed) = (at_least(params, "blocks", 100)?, seed(params)?);
    // In intervals of all the work: the adversary's own growth is its share.
    let honest = |share: f64| -> Result<f64, String> {
        let race = Race {
            shares: vec![1.0; miners as usize],
            t: UNIT_S / (1.0 - share),
            d: x * UNIT_S,
            blocks,
            seed,
        };
        let outcome = race.outcome()?;
        Ok(outcome.height as f64 / outcome.seconds * UNIT_S)
    };
    let (mut low, mut high) = (0.0, 0.5);
    for _ in 0..20 {
        let middle = f64::midpoint(low, high);
        if middle < honest(middle)? {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(f64::midpoint(low, high))
}

/// Any interval does: results depend on ratios of times.
const UNIT_S: f64 = 600.0;

// ---- waiting for a block -------------------------------------------------------------------

/// Mean time in seconds until Poisson arrivals, `lambda` a second, are in a block, `mu` blocks a second
/// of at most `B`. `template` says which may be: those there when it is `found`, or when its search
/// `began`.
fn inclusion(params: &Params) -> Result<f64, String> {
    let (lambda, mu) = (positive(params, "lambda")?, positive(params, "mu")?);
    let limit = at_least(params, "B", 1)?;
    let (blocks, seed) = (at_least(params, "blocks", 1_000)?, seed(params)?);
    let config = Config {
        block_txs: u32::try_from(limit).map_err(|e| format!("`B`: {e}"))?,
        template_refresh_s: match params.text("template")? {
            "found" => Refresh::AtFind,
            "began" => Refresh::Never,
            other => return Err(format!("`template = {other}` is neither found nor began")),
        },
        ..mining(1.0 / mu)
    };
    let world = World::new(1, Span::ZERO, lasting(blocks, 1.0 / mu))
        .depth(1, 1)
        .offered(lambda, 1)
        .seed(seed);
    Ok(mean_latency(&world.run::<Nakamoto>(&config).probe).0)
}

/// The same in block periods where blocks come every second: a committee of `n`, close together, at a
/// load of `rho`.
fn inclusion_periodic(params: &Params) -> Result<f64, String> {
    let n = at_least(params, "n", 1)? as u32;
    let (limit, rho) = (at_least(params, "B", 1)?, positive(params, "rho")?);
    let (blocks, seed) = (at_least(params, "blocks", 1_000)?, seed(params)?);
    let config = qbft::Config {
        period_ms: 1_000,
        request_timeout_ms: 2_000,
        whole_second_timestamps: false,
        block_exec_ms: 0,
        block_txs: u32::try_from(limit).map_err(|e| format!("`B`: {e}"))?,
        ..qbft::Config::default()
    };
    // Three message delays are a millionth of the period.
    let world = World::new(n, Span::from_ns(300), Span::from_s(blocks))
        .offered(rho * limit as f64, 1)
        .seed(seed);
    Ok(mean_latency(&world.run::<Qbft>(&config).probe).0)
}

// ---- propagation ---------------------------------------------------------------------------

/// The rate of a link in kbit/s at which a block of `bytes` takes `seconds` from its finder to another
/// node, found by halving: blocks are pushed over an uplink without latency.
fn effective_rate(params: &Params) -> Result<f64, String> {
    let (bytes, seconds) = (at_least(params, "bytes", 1)?, positive(params, "seconds")?);
    let blocks = 20;
    let config = Config {
        miners: 1,
        background_bytes: bytes,
        background_txs: 1,
        ..mining(100.0 * seconds)
    };
    let takes = |bps: u64| {
        let horizon = lasting(blocks, 100.0 * seconds);
        let mut world = World::new(2, Span::ZERO, horizon).depth(1, 100);
        world.setup.network.uplink_bps.fill(bps);
        let (_, log) = logged::run::<Nakamoto, All>(&world, &config);
        let there = |n: &&Note| n.what == What::Adopted && n.node.get() == 1;
        let mut delays: Vec<Span> = log
            .iter()
            .filter(there)
            .filter_map(|there| {
                let built = |n: &&Note| n.what == What::Built && n.block == there.block;
                Some(there.at.since(log.iter().find(built)?.at))
            })
            .collect();
        delays.sort();
        delays.get(delays.len() / 2).copied()
    };
    let (mut low, mut high) = (1_u64, 1_000_000_000_000_u64);
    while high - low > 1 {
        let middle = low.midpoint(high);
        if takes(middle).ok_or("no block arrived")? > Span::from_s_f64(seconds) {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(high as f64 / 1e3)
}
