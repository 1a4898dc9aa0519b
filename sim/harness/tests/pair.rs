//! Two ledgers in one run: closed forms of waiting, and what is conserved.

#![expect(clippy::float_cmp, reason = "whole numbers in columns of numbers")]

use quorate::pair::{Pair, Ran};
use quorate::plan::Source;
use quorate::validate::world::within;
use quorate_core::math;

/// Consults on a committee's ledger with a block a second and a token ledger of blocks each ten
/// seconds; a message takes 10 ms.
const CONSULTS: &str = r#"
name = "small"
kind = "two-ledgers"
replications = 2
warm_up_s = 60.0
duration_s = 2000.0
drain_s = 2000.0
clinics = 4

[health]
engine = "qbft"
config = { period_ms = 1000 }
network = { nodes = 4, regions = ["here"], one_way_ms = 10.0, jitter_permille = 0 }

[token]
engine = "qbft"
config = { period_ms = 10000, request_timeout_ms = 20000 }
network = { nodes = 4, regions = ["here"], one_way_ms = 10.0, jitter_permille = 0 }

[teleconsult]
requests_per_h = 3600.0
consent_min = 30.0
consult_min = 1.0
accesses = 3
"#;

const LICENCE: &str = r"
[licence]
patients = 1000
accept = 0.6
answer_h = 1.0
consent_days = 365.0
batch = 1
base_bytes = 136
payee_bytes = 64
base_weight = 21000.0
payee_weight = 26000.0
price = 10.0
coin = 1e9
";

fn with<T>(text: &str, overrides: &[&str], look: impl FnOnce(&Ran<'_>) -> T) -> T {
    let overrides: Vec<String> = overrides.iter().map(|&o| o.to_owned()).collect();
    let pair = Pair::open(&Source::new("test", text), &overrides, false);
    let pair = pair.unwrap_or_else(|e| panic!("{e}"));
    let ran = pair.run("test").unwrap_or_else(|e| panic!("{e}"));
    assert!(ran.broken().is_none());
    look(&ran)
}

fn sum(ran: &Ran<'_>, name: &str) -> f64 {
    ran.samples(0, name).iter().sum()
}

fn mean(ran: &Ran<'_>, name: &str) -> f64 {
    let samples = ran.samples(0, name);
    samples.iter().sum::<f64>() / samples.len() as f64
}

/// Every way that a consult can end, once nothing is open.
fn conserved(ran: &Ran<'_>) {
    assert!(
        ran.statuses(0).iter().all(|s| *s == "ok"),
        "{:?}",
        ran.statuses(0)
    );
    let escrowed = sum(ran, "requests") - sum(ran, "refused");
    let expired: f64 = {
        let shares = ran.samples(0, "expired_share").into_iter();
        shares
            .zip(ran.samples(0, "requests"))
            .map(|(s, n)| (s * n).round())
            .sum()
    };
    assert_eq!(escrowed, sum(ran, "started") + expired);
    let ends = [
        "paid",
        "refunds_after_expiry",
        "refunds_after_reversal",
        "nothing_held",
    ];
    assert_eq!(escrowed, ends.iter().map(|e| sum(ran, e)).sum::<f64>());
}

/// A request waits u for the block of its grant, uniform in a second; the grant is final 30 ms later,
/// and the escrow's block is D seconds off, uniform in 1 … 10, and final 30 ms after that.
#[test]
fn a_consult_starts_after_a_block_of_each_ledger() {
    with(CONSULTS, &[], |ran| {
        conserved(ran);
        let n = sum(ran, "started");
        assert!(n > 3_500.0 && sum(ran, "requests") == n);
        // The median of u + D is 6; its density there is 1/10 a second.
        let band = 4.0 * 10.0 * math::sqrt(0.25 / n);
        within("median", mean(ran, "start_p50_s"), 6.03, band);
        within("90th", mean(ran, "start_p90_s"), 10.03, band);
        assert_eq!((sum(ran, "paid"), sum(ran, "violations")), (n, 0.0));
        assert!((mean(ran, "audited_share") - 1.0).abs() < 1e-12);
    });
    // A grant of five seconds expires where u + D + 0.03 > 5: D ≥ 5, and seldom D = 4.
    with(
        CONSULTS,
        &["teleconsult.consent_min=0.08333333333"],
        |ran| {
            conserved(ran);
            let (n, share) = (sum(ran, "requests"), 0.6 + 0.1 * 0.03);
            let band = 4.0 * math::sqrt(share * (1.0 - share) / n);
            within("expired", mean(ran, "expired_share"), share, band);
            assert_eq!(sum(ran, "refunds_after_expiry"), n - sum(ran, "started"));
            // Consults outlast the grant.
            assert!(sum(ran, "violations") > 0.0);
        },
    );
}

/// The escrow is final once k blocks were found that came after it, at a mean interval T: the grant
/// expires first if fewer are found while it holds, of which there are Poisson many.
#[test]
fn grants_expire_as_often_as_blocks_are_late() {
    let overrides = [
        "health.engine=central",
        "health.config={}",
        "token.engine=nakamoto",
        "token.config={preset='private-15s'}",
        "token.confirmations=6",
        "token.network.one_way_ms=0.0",
        "teleconsult.consent_min=1.5",
        "teleconsult.requests_per_h=8.0",
        "duration_s=180000.0",
    ];
    with(CONSULTS, &overrides, |ran| {
        conserved(ran);
        // Six are expected in 90 s.
        let term = |n: i32| math::exp(-6.0) * (1..=n).map(|i| 6.0 / f64::from(i)).product::<f64>();
        let want: f64 = (0..6).map(term).sum();
        let n = sum(ran, "requests");
        let band = 4.0 * math::sqrt(want * (1.0 - want) / n);
        within("expired", mean(ran, "expired_share"), want, band);
    });
}

#[test]
fn of_two_bookings_with_money_for_one_one_is_refused() {
    let overrides = [
        "teleconsult.double_bookings=1.0",
        "teleconsult.rebook_s=3.0",
    ];
    with(CONSULTS, &overrides, |ran| {
        conserved(ran);
        assert_eq!(2.0 * sum(ran, "refused"), sum(ran, "requests"));
        assert_eq!(sum(ran, "escrows_reversed") + sum(ran, "nothing_held"), 0.0);
    });
}

/// While a partition lasts, both sides find blocks, and one confirmation is final on either. What the
/// shorter side had is reversed; of a double booking on both sides one escrow is lost.
#[test]
fn a_partition_reverses_escrows_and_loses_those_that_were_spent_twice() {
    let overrides = [
        "token.engine=nakamoto",
        "token.config={preset='private-15s'}",
        "token.confirmations=1",
        "token.faults=[{partition=[0,1],from_s=300.0,until_s=1200.0}]",
        "teleconsult.requests_per_h=360.0",
        "teleconsult.consult_min=10.0",
    ];
    let once = with(CONSULTS, &overrides, |ran| {
        conserved(ran);
        assert!(sum(ran, "escrows_reversed") > 20.0);
        assert!(sum(ran, "refunds_after_reversal") > 10.0);
        sum(ran, "nothing_held")
    });
    // A reversed escrow is in a later block again, unless its wallet is empty by then.
    assert_eq!(once, 0.0);
    let mut twice = overrides.to_vec();
    twice.push("teleconsult.double_bookings=1.0");
    with(CONSULTS, &twice, |ran| {
        conserved(ran);
        assert!(sum(ran, "nothing_held") > 5.0);
    });
    let mut whole = overrides.to_vec();
    whole[3] = "token.faults=[]";
    with(CONSULTS, &whole, |ran| {
        assert!(sum(ran, "escrows_reversed") < 10.0);
    });
}

fn licence(batch: u32, look: impl FnOnce(&Ran<'_>)) {
    let story = CONSULTS.find("[teleconsult]").expect("it is there");
    let text = format!("{}{LICENCE}", &CONSULTS[..story]);
    let batch = format!("licence.batch={batch}");
    with(
        &text,
        &[&batch, "drain_s=100000.0", "duration_s=1.0"],
        |ran| look(ran),
    );
}

#[test]
fn batches_save_what_is_paid_for_each_payment_and_cost_waiting() {
    let mut waits = Vec::new();
    for batch in [1, 7, 600] {
        licence(batch, |ran| {
            assert!(ran.statuses(0).iter().all(|s| *s == "ok"));
            let consented = ran.samples(0, "consented");
            for (i, n) in consented.iter().enumerate() {
                let payments = (n / f64::from(batch)).ceil();
                assert_eq!(ran.samples(0, "payments")[i], payments);
                let near = |name: &str, want: f64| {
                    let got = ran.samples(0, name)[i];
                    assert!(
                        (got - want).abs() < 1e-9 * want,
                        "{name}: {got} is not {want}"
                    );
                };
                near("payment_bytes_each", (136.0 * payments + 64.0 * n) / n);
                near("weight_each", (21_000.0 * payments + 26_000.0 * n) / n);
                near("fee_each", (21_000.0 * payments + 26_000.0 * n) / n * 1e-8);
                assert_eq!(ran.samples(0, "released")[i], *n);
            }
            let n: f64 = consented.iter().sum();
            within("consented", n, 1_200.0, 4.0 * math::sqrt(2_000.0 * 0.24));
            waits.push(mean(ran, "paid_mean_s"));
        });
    }
    // One by one: D of the other test.
    within("alone", waits[0], 5.53, 4.0 * 2.9 / math::sqrt(1_200.0));
    assert!(waits[0] < waits[1] && waits[1] < waits[2]);
}

#[test]
#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the method is of one lifetime, and the closure of any"
)]
fn the_same_run_is_the_same_and_another_seed_is_another() {
    let digests = |seed: &str| with(CONSULTS, &["duration_s=100.0", seed], |ran| ran.digests());
    assert_eq!(digests("seed=1"), digests("seed=1"));
    assert_ne!(digests("seed=1"), digests("seed=2"));
}
