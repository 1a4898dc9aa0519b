//! The laws of proof of work at parameters that no table lists, drawn anew for each number.

use quorate::validate::{Case, Family, Tier, ethash, work};
use quorate_consensus::ethash::DifficultyRule;
use quorate_core::math::{exp, ln, pow, sqrt};
use quorate_core::{Draws, Seed};

/// A check under drawn parameters.
#[track_caller]
fn got(family: &Family, check: &str, params: &str) -> f64 {
    let got = family.got(check, params);
    got.unwrap_or_else(|why| panic!("{check} under {params}: {why}"))
}

#[track_caller]
fn within(what: &str, got: f64, want: f64, band: f64) {
    assert!(
        (got - want).abs() <= band,
        "{what}: {got} is not {want} ± {band}"
    );
}

/// Draws for one case of a law.
fn cases(law: &str, number: u64) -> impl Iterator<Item = (u64, Draws)> + '_ {
    (0..number).map(move |case| (case, Seed::new(case, 0).stream(law, 0)))
}

/// Between two numbers, evenly in the logarithm.
fn spread(d: &mut Draws, low: f64, high: f64) -> f64 {
    low * pow(high / low, d.open01())
}

/// 4 standard errors of a share.
fn share_band(p: f64, n: f64) -> f64 {
    4.0 * sqrt(p * (1.0 - p) / n)
}

/// The rows of tiers A and B, in their bands.
fn rows_hold(wanted: fn(&Case) -> bool) {
    for family in [&work::FAMILY, &ethash::FAMILY] {
        for case in family.cases().expect("a table") {
            let judged = matches!(case.tier, Tier::A | Tier::B) && wanted(&case);
            if !judged || case.check.is_empty() {
                continue;
            }
            let got = got(family, &case.check, &case.parameters);
            assert!(case.holds(got), "{}: {got}", case.id);
        }
    }
}

#[test]
fn the_fast_rows_hold() {
    rows_hold(|case| case.fast);
}

#[test]
#[ignore = "takes minutes: what `quorate validate` runs"]
fn the_slow_rows_hold() {
    rows_hold(|case| !case.fast);
}

#[test]
fn what_a_check_does_not_know_is_refused() {
    for family in [&work::FAMILY, &ethash::FAMILY] {
        for check in family.checks {
            let got = check.got("none=1");
            assert!(got.is_err(), "{}", check.name);
        }
    }
}

/// source: the exponential law of memoryless mining, at any interval.
#[test]
fn intervals_are_exponential() {
    for (case, mut d) in cases("intervals", 6) {
        let (t, blocks) = (spread(&mut d, 1.0, 5_000.0), 30_000.0);
        let miners = 1 + d.below(5);
        let p = 0.05 + 0.9 * d.open01();
        let run = format!("T={t};blocks={blocks};miners={miners};seed={case}");
        let mean = got(&work::FAMILY, "interval_mean", &run);
        within("mean", mean, t, 4.0 * t / sqrt(blocks));
        let at = got(&work::FAMILY, "interval_quantile", &format!("{run};p={p}"));
        // The density at the quantile is (1 − p)/T.
        let band = share_band(p, blocks) * t / (1.0 - p);
        within("quantile", at, -t * ln(1.0 - p), band);
        let s = 2.0 * t * d.open01();
        let over = got(&work::FAMILY, "interval_exceeds", &format!("{run};s={s}"));
        let want = exp(-s / t);
        within("exceeds", over, want, share_band(want, blocks));
        let cv = got(&work::FAMILY, "interval_variation", &run);
        within("variation", cv, 1.0, 4.0 / sqrt(blocks));
    }
}

/// source: `x/(1+x)` of all blocks, `x = (D/T)(1 − 1/m)`, growth `1/(T+D)` of many: a first-order model,
/// which is allowed 2 %, and for few miners the square of the value, which is what rivals of rivals
/// come to.
#[test]
fn stale_blocks_follow_delay_and_number_of_miners() {
    for (case, mut d) in cases("stale", 40) {
        let (t, x) = (spread(&mut d, 1.0, 1_000.0), spread(&mut d, 0.001, 0.3));
        let (miners, blocks) = (2 + d.below(200), 200_000.0);
        let delay = x * t;
        let run = format!("D={delay};T={t};miners={miners};blocks={blocks};seed={case}");
        let x = x * (1.0 - 1.0 / miners as f64);
        let want = x / (1.0 + x);
        let few = want * want / miners as f64;
        let stale = got(&work::FAMILY, "stale", &run);
        let band = share_band(want, blocks) + 0.02 * want + few;
        within(&run, stale, want, band);
        let growth = got(&work::FAMILY, "growth", &run) * t;
        let want = 1.0 / (1.0 + x);
        within(&run, growth, want, 4.0 / sqrt(blocks) + 0.02 * x + few);
    }
}

/// The same in the kernel, and by kernel and shortcut alike.
#[test]
fn the_kernel_has_the_same_forks() {
    for (case, mut d) in cases("kernel", 6) {
        let (delay, miners) = (1.0 + d.below(30) as f64, 2 + d.below(20));
        let run = format!("D={delay};T=100;miners={miners};blocks=5000;seed={case}");
        let shortcut = got(&work::FAMILY, "stale", &run);
        let kernel = got(&work::FAMILY, "stale", &format!("{run};by=kernel"));
        within(&run, kernel, shortcut, 0.0);
        let x = delay / 100.0 * (1.0 - 1.0 / miners as f64);
        let want = 1.0 - exp(-x);
        let forked = got(&work::FAMILY, "forked_heights", &run);
        let band = share_band(want, 5_000.0) + 0.05 * want;
        within(&run, forked, want, band);
    }
}

/// source: first order, `x(1 − Σh²)`: less than the exact value's square is what it leaves out.
#[test]
fn concentration_lowers_the_stale_rate() {
    for (case, mut d) in cases("pools", 10) {
        let pools: Vec<u64> = (0..2 + d.below(12)).map(|_| 1 + d.below(40)).collect();
        let total: u64 = pools.iter().sum();
        let squares: f64 = pools
            .iter()
            .map(|&h| pow(h as f64 / total as f64, 2.0))
            .sum();
        let x = spread(&mut d, 0.002, 0.05);
        let list: Vec<String> = pools.iter().map(u64::to_string).collect();
        let list = list.join("/");
        let run = format!("shares={list};D={x};T=1;blocks=400000;pool=0;per=all;seed={case}");
        let want = x * (1.0 - squares);
        let band = share_band(want, 400_000.0) + 1.5 * x * want;
        within(&run, got(&work::FAMILY, "pool_stale", &run), want, band);
    }
}

/// source: `r_a = 1/(D + 1/r_h)`: `a = (1 − a)/(1 + (1 − a)x)`.
#[test]
fn delay_lowers_the_critical_share() {
    for (case, mut d) in cases("critical", 3) {
        let x = spread(&mut d, 0.02, 1.5);
        let run = format!("x={x};miners=400;blocks=60000;seed={case}");
        // The root of x·a² − (2 + x)·a + 1.
        let want = ((2.0 + x) - sqrt((2.0 + x) * (2.0 + x) - 4.0 * x)) / (2.0 * x);
        let found = got(&work::FAMILY, "critical_share", &run);
        within(&run, found, want, 0.012 * want);
    }
}

/// The steady interval of a period of N blocks: `S/(N−2)` where the timespan covers N − 1 gaps, `S/(N−1)`
/// where it covers N; and one period in ten strays by more than 1.6 deviations.
#[test]
fn retargeting_settles_where_its_timespan_says() {
    for (rule, gaps) in [("bitcoin", 2_015.0), ("litecoin", 2_016.0)] {
        let run = format!("T=150;periods=300;rule={rule}");
        let want = 150.0 * 2_016.0 / (gaps - 1.0);
        let deviation = want / sqrt(gaps - 2.0);
        let mean = got(&work::FAMILY, "retarget_mean", &run);
        within(rule, mean, want, 4.0 * deviation / sqrt(300.0));
        let sd = got(&work::FAMILY, "retarget_deviation", &run);
        within(rule, sd, deviation, 4.0 * deviation / sqrt(600.0));
    }
    for (times, want) in [(3.0, 3.0), (0.5, 0.5), (6.0, 4.0)] {
        let run = format!("T=600;times={times}");
        // Unless clamped, one period's deviation is 2.2 %, and so is that of the one before.
        let band = if want < times {
            0.0
        } else {
            4.0 * 0.032 * want
        };
        let step = got(&work::FAMILY, "retarget_step", &run);
        within(&run, step, want, band);
    }
}

/// source: k confirmations are Erlang(k).
#[test]
fn confirmations_are_a_sum_of_intervals() {
    for (case, mut d) in cases("erlang", 4) {
        let (k, p) = (1 + d.below(8), 0.1 + 0.8 * d.open01());
        let t = spread(&mut d, 10.0, 900.0);
        let n = 8_000.0;
        let run = format!("T={t};k={k};p={p};samples={n};seed={case}");
        let term = |x: f64, i: u64| {
            let factorial: f64 = (1..=i).map(|j| j as f64).product();
            pow(x, i as f64) * exp(-x) / factorial
        };
        let below = |x: f64| 1.0 - (0..k).map(|i| term(x, i)).sum::<f64>();
        let (mut low, mut high) = (0.0, 100.0);
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if below(middle) < p {
                low = middle;
            } else {
                high = middle;
            }
        }
        // Arrivals are Poisson: their number varies, and a thousandth is lost to the histogram.
        let band = 1.05 * share_band(p, n) / term(low, k - 1) + 0.002 * low;
        let minutes = got(&work::FAMILY, "confirmation_quantile", &run);
        within(&run, minutes * 60.0 / t, low, band);
    }
}

/// source: M/M^B/1 with partial batches: with the root r of λ = μ r(1 − r^B)/(1 − r) the delay is
/// r/(λ(1 − r)).
#[test]
fn waiting_for_a_block_is_the_batch_queue() {
    for (case, mut d) in cases("queue", 5) {
        let (limit, rho) = (1 + d.below(30), 0.1 + 0.6 * d.open01());
        let t = spread(&mut d, 1.0, 600.0);
        let lambda = rho * limit as f64 / t;
        let rate = |r: f64| r * (1.0 - pow(r, limit as f64)) / (1.0 - r) / t;
        let (mut low, mut high) = (0.0, 1.0 - 1e-12);
        for _ in 0..200 {
            let middle = f64::midpoint(low, high);
            if rate(middle) < lambda {
                low = middle;
            } else {
                high = middle;
            }
        }
        let want = low / (lambda * (1.0 - low));
        let run = format!(
            "lambda={lambda};mu={};B={limit};template=found;blocks=200000;seed={case}",
            1.0 / t
        );
        // Correlated over 2/(1 − ρ)² blocks.
        let blocks = 200_000.0 * (1.0 - rho) * (1.0 - rho) / 2.0;
        let wait = got(&work::FAMILY, "inclusion", &run);
        within(&run, wait, want, 4.0 * want / sqrt(blocks));
    }
}

/// What fits is what there is room for, at any size.
#[test]
fn the_ceiling_is_arithmetic() {
    for (_, mut d) in cases("ceiling", 5) {
        let (bytes, tx) = (50_000 + d.below(1_000_000), 100 + d.below(2_000));
        let t = spread(&mut d, 5.0, 900.0);
        let run = format!("bytes={bytes};tx_bytes={tx};T={t};blocks=60");
        let want = (bytes / tx) as f64 / t;
        within(&run, got(&work::FAMILY, "ceiling", &run), want, 1e-9 * want);
    }
}

/// Where the difficulty settles, by each rule: the deviation of a mean over n blocks is about 1.9 % of
/// `√(2·corr/n)`, correlated over some 1,500 blocks, under frontier 3,000.
#[test]
fn difficulty_settles_where_its_rule_says() {
    for (name, rule, blocks) in [
        ("frontier", DifficultyRule::Frontier, 160_000.0),
        ("homestead", DifficultyRule::Homestead, 80_000.0),
        ("byzantium", DifficultyRule::Byzantium, 80_000.0),
    ] {
        for whole in [false, true] {
            let run = format!("rule={name};whole_seconds={whole};blocks={blocks};seed=5");
            let want = rule.equilibrium(whole, 0.0).expect("it follows");
            let mean = got(&ethash::FAMILY, "settled_interval", &run);
            within(&run, mean, want, 0.016 * want);
        }
    }
    for uncles in [0.03, 0.12] {
        let run = format!("rule=byzantium;whole_seconds=false;uncles={uncles};blocks=80000;seed=3");
        let want = DifficultyRule::Byzantium.equilibrium(false, uncles);
        let want = want.expect("it follows");
        let mean = got(&ethash::FAMILY, "settled_interval_with_uncles", &run);
        within(&run, mean, want, 0.018 * want);
    }
}

/// source: `(U + 8 − B)/8` of the base reward, and 1/32 for who names it.
#[test]
fn uncles_earn_less_the_older_they_are() {
    for depth in 1..=6 {
        let reward = got(&ethash::FAMILY, "uncle_reward", &format!("depth={depth}"));
        within("uncle", reward, f64::from(8 - depth) / 8.0, 0.0);
    }
    within(
        "nephew",
        got(&ethash::FAMILY, "nephew_reward", ""),
        1.0 / 32.0,
        0.0,
    );
}
