//! Clique: rivals of the block in turn, waits for an absent signer, and the limit.

use super::logged::{self, All, Note, Reader, What};
use super::world::World;
use super::{Check, Family, Params};
use quorate_consensus::clique::{Clique, Config, Header, RelayRule, Wiggle};
use quorate_core::{Block, Finality, Span};
use std::collections::{BTreeMap, BTreeSet};

/// Clique.
pub const FAMILY: Family = Family {
    name: "clique",
    known: include_str!("known/clique.csv"),
    checks: &[
        Check {
            name: "rivals",
            run: rivals,
        },
        Check {
            name: "extra_delay_s",
            run: extra_delay_s,
        },
        Check {
            name: "signer_limit",
            run: signer_limit,
        },
        Check {
            name: "blocks_until_halt",
            run: blocks_until_halt,
        },
        Check {
            name: "fewest_live",
            run: fewest_live,
        },
    ],
};

/// Period of the simulated networks, s: longer than any wiggle and delay together, which no law here
/// depends on.
const PERIOD: u64 = 15;

fn config(wiggle: Wiggle) -> Config {
    Config {
        period_s: PERIOD,
        wiggle,
        // The laws are about a block that is everywhere one delay after it was signed.
        relay: RelayRule::Direct,
        ..Config::default()
    }
}

fn wiggle(params: &Params) -> Result<Wiggle, String> {
    match params.text("wiggle")? {
        "geth" => Ok(Wiggle::Geth),
        "besu" => Ok(Wiggle::Besu),
        "eip" => Ok(Wiggle::Eip),
        other => Err(format!("`wiggle = {other}` is not geth, besu or eip")),
    }
}

/// Signers, of whom so many at least.
fn signers(params: &Params, least: u32) -> Result<u32, String> {
    match params.u32("n")? {
        n if (least..=200).contains(&n) => Ok(n),
        n => Err(format!("`n = {n}` is not between {least} and 200")),
    }
}

/// Blocks that count.
fn blocks(params: &Params) -> Result<u32, String> {
    match params.u32("blocks")? {
        0 => Err("`blocks = 0` measures nothing".to_owned()),
        blocks => Ok(blocks),
    }
}

/// The time of the header of a block that is not in turn; others are left out.
struct OutOfTurn;

impl Reader<Clique> for OutOfTurn {
    fn word(block: &Block<Header>) -> Option<u64> {
        (block.header.difficulty == 1).then_some(block.header.time_s)
    }
}

fn log<R: Reader<Clique>>(world: &World, config: &Config) -> Vec<Note> {
    logged::run::<Clique, R>(world, config).1
}

/// A world of so many heights.
fn world(n: u32, delay: Span, heights: u64, seed: u64) -> World {
    let horizon = Span::from_s(PERIOD * heights) + Span::from_s(PERIOD / 2);
    let mut world = World::new(n, delay, horizon).seed(seed);
    world.setup.finality = Finality::Conditional;
    world
}

/// The share of heights at which somebody who is not in turn signs before the block in turn arrives.
/// The first heights are left out, at which fewer have signed lately.
fn rivals(params: &Params) -> Result<f64, String> {
    let n = signers(params, 2)?;
    let delay = params.f64("delay_s")?;
    let config = config(wiggle(params)?);
    if !(0.0..=2.0).contains(&delay) {
        return Err(format!("`delay_s = {delay}` is not between 0 and 2"));
    }
    let (heights, seed) = (blocks(params)?, params.number("seed")?);
    let heights_in_all = u64::from(n) + u64::from(heights);
    let world = world(n, Span::from_s_f64(delay), heights_in_all, seed);
    let log = log::<OutOfTurn>(&world, &config);
    let built = log.iter().filter(|note| note.what == What::Built);
    let contested: BTreeSet<u32> = built.map(|note| note.height).filter(|h| *h > n).collect();
    Ok(contested.len() as f64 / f64::from(heights))
}

/// How much later than its time a block is signed, on average, when the signer in turn is away.
fn extra_delay_s(params: &Params) -> Result<f64, String> {
    let n = signers(params, 3)?;
    let config = config(wiggle(params)?);
    let (count, seed) = (blocks(params)?, params.number("seed")?);
    // Node 0, whose turn is at multiples of n; once more for the first, which are left out.
    let heights = u64::from(n) * (u64::from(count) + 1);
    let world = world(n, Span::ZERO, heights, seed).crash(&[0], Span::from_ns(1), None);
    let mut first: BTreeMap<u32, f64> = BTreeMap::new();
    for note in log::<OutOfTurn>(&world, &config) {
        if note.what == What::Built && note.height > n && note.height.is_multiple_of(n) {
            let late = note.at.as_s() - note.word as f64;
            let least = first.entry(note.height).or_insert(late);
            *least = least.min(late);
        }
    }
    if first.is_empty() {
        return Err("nobody signed in its turn".to_owned());
    }
    Ok(first.values().sum::<f64>() / first.len() as f64)
}

/// The least distance of two blocks of one signer on the chain, when as few as possible live.
fn signer_limit(params: &Params) -> Result<f64, String> {
    let n = signers(params, 3)?;
    let down: Vec<u32> = (1..=(n - 1) / 2).collect();
    let world = world(n, Span::ZERO, 40 * u64::from(n), 1).crash(&down, Span::from_ns(1), None);
    let log = log::<All>(&world, &config(Wiggle::Geth));
    let mut chain: BTreeMap<u32, u32> = BTreeMap::new();
    // Of those that the first node adopts at a height, the last stays.
    for note in log
        .iter()
        .filter(|n| n.what == What::Adopted && n.node.get() == 0)
    {
        chain.insert(note.height, note.creator.get());
    }
    let mut last: BTreeMap<u32, u32> = BTreeMap::new();
    let distance = |(height, signer): (&u32, &u32)| Some(height - last.insert(*signer, *height)?);
    let least = chain.iter().filter_map(distance).min();
    least
        .map(f64::from)
        .ok_or_else(|| "nobody signed twice".to_owned())
}

/// The most heights that are won after some signers crash, over all pairs of neighbours in turn and
/// moments within a round.
fn blocks_until_halt(params: &Params) -> Result<f64, String> {
    let n = signers(params, 2)?;
    let crashed = params.u32("crashed")?;
    if crashed == 0 || crashed >= n {
        return Err(format!("`crashed = {crashed}` of {n} leaves all or none"));
    }
    let horizon = 100 * u64::from(n);
    let mut most = 0;
    for first in 0..n {
        let down: Vec<u32> = (0..crashed).map(|i| (first + i) % n).collect();
        let witness = (first + crashed) % n;
        for moment in 0..n {
            // Between two blocks.
            let at = Span::from_s(PERIOD * u64::from(10 + moment)) + Span::from_s(PERIOD / 2);
            let world = world(n, Span::from_ms(10), horizon, 1).crash(&down, at, None);
            let log = log::<All>(&world, &config(Wiggle::Geth));
            let adopted = log
                .iter()
                .filter(|note| note.what == What::Adopted && note.node.get() == witness);
            let height = adopted.map(|note| note.height).max().unwrap_or(0);
            most = most.max(height - (10 + moment));
        }
    }
    if u64::from(most) > horizon / 2 {
        return Err(format!("{n} signers without {crashed} do not halt"));
    }
    Ok(f64::from(most))
}

/// The fewest signers with which a chain still grows after more blocks than all could sign once.
fn fewest_live(params: &Params) -> Result<f64, String> {
    let n = signers(params, 1)?;
    let heights = 20 * n;
    for live in 1..=n {
        let down: Vec<u32> = (live..n).collect();
        let at = Span::from_ns(1);
        let world = world(n, Span::from_ms(10), u64::from(heights), 1).crash(&down, at, None);
        let log = log::<All>(&world, &config(Wiggle::Geth));
        if log.iter().any(|note| note.height > heights / 2) {
            return Ok(f64::from(live));
        }
    }
    Err(format!("not even {n} signers go on"))
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "whole numbers, exactly")]
mod tests {
    use super::*;
    use quorate_core::math;

    fn got(run: fn(&Params) -> Result<f64, String>, params: &str) -> f64 {
        run(&Params::parse(params).expect("well-formed")).expect("a value")
    }

    /// `1 − (1 − d/W)^m`, at parameters that no row has.
    #[test]
    fn rivals_follow_the_law() {
        for (n, wiggle, longest, delay) in [
            (3, "geth", 1.0, 0.25),
            (6, "geth", 2.0, 0.4),
            (9, "besu", 2.75, 0.2),
            (5, "eip", 2.5, 1.0),
            (2, "geth", 1.0, 0.5),
        ] {
            let law = 1.0 - math::pow(1.0 - delay / longest, f64::from(n - n / 2 - 1));
            let blocks = 4_000.0;
            let params = format!("n={n};wiggle={wiggle};delay_s={delay};blocks={blocks};seed=1");
            let error = math::sqrt(law * (1.0 - law) / blocks);
            let got = got(rivals, &params);
            assert!(
                (got - law).abs() <= 4.0 * error,
                "{params}: {got}, not {law}"
            );
        }
    }

    /// `W/(m + 1)`, with the standard error of the least of `m` uniform waits.
    #[test]
    fn absent_signers_cost_the_least_wait() {
        for (n, wiggle, longest) in [(3, "geth", 1.0), (6, "eip", 3.0), (8, "besu", 2.5)] {
            let m = f64::from(n - n / 2 - 1);
            let (law, blocks) = (longest / (m + 1.0), 2_000.0);
            let sd = law * math::sqrt(m / (m + 2.0));
            let params = format!("n={n};wiggle={wiggle};blocks={blocks};seed=1");
            let got = got(extra_delay_s, &params);
            let band = 4.0 * sd / math::sqrt(blocks) + 0.001;
            assert!((got - law).abs() <= band, "{params}: {got}, not {law}");
        }
    }

    #[test]
    fn limits_are_half_and_one() {
        for n in [3, 4, 5, 9, 12] {
            let half_and_one = f64::from(n / 2 + 1);
            assert_eq!(got(signer_limit, &format!("n={n}")), half_and_one);
            assert_eq!(got(fewest_live, &format!("n={n}")), half_and_one);
        }
        // As many as live, if none of them signed lately: at most the limit less one.
        assert_eq!(got(blocks_until_halt, "n=5;crashed=3"), 2.0);
        assert_eq!(got(blocks_until_halt, "n=6;crashed=3"), 3.0);
        let goes_on = Params::parse("n=5;crashed=2").expect("well-formed");
        assert!(blocks_until_halt(&goes_on).is_err());
    }
}
