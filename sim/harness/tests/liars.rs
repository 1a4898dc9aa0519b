//! Liars in full runs: what each conduct does to each kind of engine, that up to a protocol's bound
//! nothing contradicts, and that beyond it something does.

use quorate::validate::world::World;
use quorate_consensus::central::Central;
use quorate_consensus::clique::Clique;
use quorate_consensus::hotstuff::HotStuff;
use quorate_consensus::ibft2::Ibft2;
use quorate_consensus::nakamoto::{self, Nakamoto};
use quorate_consensus::qbft::Qbft;
use quorate_consensus::raft::Raft;
use quorate_consensus::tendermint::Tendermint;
use quorate_core::{Conduct, Corrupt, Engine, Span, Time};
use quorate_kernel::{Lies, Report, Status};

fn liars(nodes: &[u32], conduct: Conduct) -> Corrupt {
    Corrupt {
        nodes: nodes.to_vec(),
        from: Time::ZERO,
        until: Time::NEVER,
        conduct,
    }
}

/// `n` nodes 20 ms apart, of which each has a site, for three minutes.
fn world(n: u32, corrupt: Vec<Corrupt>) -> World {
    let mut world = World::new(n, Span::from_ms(20), Span::from_s(180)).offered(2.0, n);
    world.setup.drain = Span::from_s(120);
    world.setup.corrupt = corrupt;
    world
}

fn run<E: Engine>(n: u32, corrupt: Vec<Corrupt>) -> (Report, Lies)
where
    E::Config: Default,
{
    let report = world(n, corrupt).run::<E>(&E::Config::default());
    let lies = *report.lies.clone().expect("somebody lies");
    (report, lies)
}

/// Twins among `n` validators, half of the honest on each side, and the sides cut off from each other
/// for the second minute: how often two nodes' commits conflict.
fn conflicts<E: Engine>(n: u32, twins: u32) -> u64
where
    E::Config: Default,
{
    let nodes: Vec<u32> = (0..twins).collect();
    let side: Vec<u32> = (twins + (n - twins) / 2..n).collect();
    // The second selves stand behind the nodes.
    let apart: Vec<u32> = side.iter().copied().chain(n..n + twins).collect();
    let world = world(n, vec![liars(&nodes, Conduct::Twin(side))]);
    let world = world.partition(&apart, Span::from_s(60), Span::from_s(120));
    let report = world.run::<E>(&E::Config::default());
    assert_ne!(
        report.status,
        Status::SafetyViolation,
        "{:?}",
        report.violation
    );
    report.chain.conflicting_finals
}

#[test]
fn twins_break_no_committee_within_its_bound_and_do_beyond() {
    for (n, f) in [(4, 1), (7, 2)] {
        let within = [
            conflicts::<Qbft>(n, f),
            conflicts::<Ibft2>(n, f),
            conflicts::<Tendermint>(n, f),
            conflicts::<HotStuff>(n, f),
        ];
        assert_eq!(within, [0; 4], "{f} of {n}");
        let beyond = [
            conflicts::<Qbft>(n, f + 1),
            conflicts::<Ibft2>(n, f + 1),
            conflicts::<Tendermint>(n, f + 1),
            conflicts::<HotStuff>(n, f + 1),
        ];
        assert!(
            beyond.iter().all(|&c| c > 0),
            "{} of {n}: {beyond:?}",
            f + 1
        );
    }
}

/// What bears no liar is broken by one.
#[test]
fn one_twin_breaks_a_leaders_log() {
    assert!(conflicts::<Raft>(5, 1) > 0);
}

#[test]
fn a_silent_validator_costs_rounds_and_nothing_else() {
    let honest = world(4, Vec::new()).run::<Qbft>(&quorate_consensus::qbft::Config::default());
    let (silent, lies) = run::<Qbft>(4, vec![liars(&[0], Conduct::Silent)]);
    assert_eq!(honest.chain.round_changes, 0);
    assert!(
        silent.chain.round_changes > 0 && silent.chain.final_height < honest.chain.final_height
    );
    assert_eq!(
        (silent.status, silent.conservation.pending),
        (Status::Ok, 0)
    );
    // It builds blocks that nobody gets.
    assert_eq!(lies.on_chain, [silent.chain.final_height, 0]);
}

#[test]
fn invalid_blocks_are_refused_by_who_checks_and_taken_by_who_trusts() {
    let bad = || vec![liars(&[0], Conduct::InvalidBlocks)];
    let (report, lies) = run::<Qbft>(4, bad());
    assert!(lies.invalid_blocks > 0 && report.chain.round_changes > 0);
    assert_eq!(
        lies.refused,
        3 * lies.invalid_blocks,
        "each of the others refuses each"
    );
    assert_eq!((lies.invalid_final, lies.on_chain[1]), (0, 0));
    let (_, lies) = run::<Clique>(5, bad());
    assert!(lies.invalid_blocks > 0);
    assert_eq!((lies.invalid_final, lies.on_chain[1]), (0, 0));
    // Followers of a leader's log copy it.
    let (_, lies) = run::<Raft>(4, bad());
    assert_eq!(lies.refused, 0);
    assert_eq!(lies.invalid_final, lies.invalid_blocks);
    assert!(lies.invalid_final > 0);
}

#[test]
fn withheld_and_late_votes_are_not_missed_up_to_the_bound() {
    let honest = world(4, Vec::new()).run::<Qbft>(&quorate_consensus::qbft::Config::default());
    for conduct in [Conduct::WithholdVotes, Conduct::DelayVotes(Span::from_s(3))] {
        let (report, lies) = run::<Qbft>(4, vec![liars(&[0], conduct)]);
        assert_eq!(report.chain.final_height, honest.chain.final_height);
        assert_eq!(report.chain.round_changes, 0);
        assert!(lies.withheld_votes + lies.late_votes > 0);
    }
    // Two of four are too many.
    let (report, _) = run::<Qbft>(4, vec![liars(&[0, 1], Conduct::WithholdVotes)]);
    assert_eq!(
        (report.status, report.chain.final_height),
        (Status::NoCommit, 0)
    );
}

/// Where who proposes rotates, a liar delays one block in four; where one leads, it decides.
#[test]
fn a_censored_site_waits_for_the_next_proposer_or_for_ever() {
    let censored = || vec![liars(&[0], Conduct::Censor(2))];
    let (report, lies) = run::<Qbft>(4, censored());
    assert_eq!(report.conservation.pending, 0);
    let [named, others] = lies
        .to_included
        .each_ref()
        .map(|h| h.value_at_quantile(0.99));
    assert!(named > others, "{named} µs after {others} µs");
    let (report, lies) = run::<Central>(4, censored());
    assert!(lies.to_included[0].is_empty() && !lies.to_included[1].is_empty());
    assert!(report.conservation.pending > 0);
}

#[test]
fn a_favoured_site_overtakes_others_within_blocks_and_none_is_lost() {
    let (report, lies) = run::<Qbft>(4, vec![liars(&[0], Conduct::Favour(3))]);
    assert!(lies.overtaken_txs > 0);
    assert_eq!(report.conservation.pending, 0);
    let honest = world(4, Vec::new()).run::<Qbft>(&quorate_consensus::qbft::Config::default());
    assert_eq!(report.conservation.submitted, honest.conservation.submitted);
    assert_eq!(report.conservation.valid, honest.conservation.valid);
}

fn mining() -> nakamoto::Config {
    nakamoto::Config {
        block_interval_s: 10.0,
        retarget_blocks: 0,
        ..nakamoto::Config::default()
    }
}

/// Eight miners, the first few of which lie, for so many blocks; the honest find out 1 ms later.
fn mine(nodes: &[u32], conduct: Conduct, blocks: u64, seed: u64) -> Lies {
    let mut world = World::new(8, Span::from_ms(1), Span::from_s(10 * blocks))
        .depth(1, 6)
        .offered(0.001, 1)
        .seed(seed);
    // A site of an honest node.
    world.setup.serving = vec![quorate_core::NodeId::new(7)];
    world.setup.corrupt = vec![liars(nodes, conduct)];
    let report = world.run::<Nakamoto>(&mining());
    *report.lies.expect("somebody lies")
}

/// source: Eyal and Sirer 2014, equation 8; γ is what the network made of it.
fn selfish_share(a: f64, gamma: f64) -> f64 {
    let b = 1.0 - a;
    (a * b * b * (4.0 * a + gamma * (1.0 - 2.0 * a)) - a * a * a)
        / (1.0 - a * (1.0 + (2.0 - a) * a))
}

#[test]
fn selfish_miners_get_the_share_of_the_closed_form_at_the_gamma_that_emerges() {
    let blocks = 40_000;
    let lies = mine(&[0, 1, 2], Conduct::Selfish, blocks, 1);
    let share = lies.on_chain[1] as f64 / lies.on_chain[0] as f64;
    let gamma = lies.ties[0] as f64 / (lies.ties[0] + lies.ties[1]) as f64;
    let law = selfish_share(3.0 / 8.0, gamma);
    // Branches are of a few blocks: five standard errors of as many independent ones.
    let error = (law * (1.0 - law) / (lies.branches[0] as f64)).sqrt();
    assert!(
        (share - law).abs() < 5.0 * error,
        "{share} where {law} ± {error} at γ = {gamma}"
    );
    assert!(share > 3.0 / 8.0 + 5.0 * error, "it pays: {share}");
}

#[test]
fn private_branches_win_as_often_as_the_race_says() {
    let reorg = Conduct::Reorg {
        confirmations: 2,
        give_up: 40,
    };
    let lies = mine(&[0, 1], reorg, 60_000, 2);
    let [_, won, lost] = lies.branches.map(|n| n as f64);
    // source: Rosenfeld 2014, equation 1, q = 1/4, two confirmations.
    let (share, law) = (won / (won + lost), 0.3125);
    let error = (law * (1.0 - law) / (won + lost)).sqrt();
    assert!(
        (share - law).abs() < 5.0 * error,
        "{share} where {law} ± {error}"
    );
}

/// Silent for a while only: everything is final in the end.
#[test]
fn liars_may_become_honest() {
    let mut entry = liars(&[0, 1], Conduct::Silent);
    entry.from = Time::ZERO + Span::from_s(30);
    entry.until = Time::ZERO + Span::from_s(60);
    let (report, _) = run::<Qbft>(4, vec![entry]);
    assert_eq!(
        (report.status, report.conservation.pending),
        (Status::Ok, 0)
    );
}
