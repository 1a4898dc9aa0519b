//! Every bench at its smallest: it runs, and its hash depends on nothing but its parameters.

use quorate_benches::{Scale, all, end_to_end, engines, network, queue, workload};
use std::collections::BTreeSet;

#[test]
fn every_case_runs_and_repeats() {
    for (mut one, mut two) in all(Scale::Smoke).into_iter().zip(all(Scale::Smoke)) {
        let (first, second) = (one.run(), two.run());
        assert!(first.work > 0, "{} does nothing", one.name());
        assert_eq!(first, second, "{}", one.name());
        assert_eq!(
            one.run().work,
            first.work,
            "{} changes its work",
            one.name()
        );
    }
}

#[test]
fn names_are_unique_and_well_formed() {
    for scale in [Scale::Smoke, Scale::Real] {
        let names: Vec<String> = all(scale).iter().map(quorate_benches::Case::name).collect();
        for name in &names {
            assert!(is_well_formed(name), "{name}");
        }
        let unique: BTreeSet<&String> = names.iter().collect();
        assert_eq!(unique.len(), names.len(), "{names:?}");
    }
}

/// Whether it is `module::operation/key=value key=value`.
fn is_well_formed(name: &str) -> bool {
    let word = |s: &str| {
        let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        !s.is_empty() && s.chars().all(is_part)
    };
    let pair = |s: &str| s.split_once('=').is_some_and(|(k, v)| word(k) && word(v));
    let Some((operation, parameters)) = name.split_once('/') else {
        return false;
    };
    operation.split("::").all(word)
        && operation.split("::").count() == 2
        && parameters.split(' ').all(pair)
}

#[test]
fn the_queue_pops_as_the_standard_heap_does() {
    for law in queue::Law::ALL {
        for pending in [1, 100, 3_000] {
            let heap = queue::std_heap_hold(pending, 20_000, law);
            assert_eq!(queue::hold(pending, 20_000, law), heap, "{law} {pending}");
        }
    }
}

#[test]
fn forms_have_the_same_result() {
    assert_eq!(
        network::flood(60, 10).hash,
        network::flood_events(60, 10).hash
    );
    assert_eq!(engines::qbft(7, 20).hash, engines::qbft_events(7, 20).hash);
}

#[test]
fn parameters_matter() {
    let apart = |a: quorate_benches::Outcome, b: quorate_benches::Outcome| {
        assert_ne!(a.hash, b.hash);
    };
    apart(network::flood(60, 10), network::flood(61, 10));
    apart(engines::qbft(7, 20), engines::qbft(8, 20));
    apart(engines::nakamoto_mesh(5, 20), engines::nakamoto_mesh(6, 20));
    apart(engines::central(3, 20), engines::central(4, 20));
    apart(workload::hospital(1_000), workload::hospital(1_001));
    apart(workload::judge(1_000), workload::judge(1_001));
    apart(
        end_to_end::qbft_hospital(20, 5, 1),
        end_to_end::qbft_hospital(20, 5, 0),
    );
}
