//! The validation presets against published figures, shortened so that they run with every test run,
//! and the rules that these presets need. `quorate validate --tier C --full` runs the whole table.

use quorate::validate::logged::{self, All, Note, What};
use quorate::validate::published::FAMILY;
use quorate::validate::world::World;
use quorate_consensus::nakamoto::{Config, Nakamoto};
use quorate_core::Span;
use quorate_kernel::Report;

/// A row in its band, with some of its parameters replaced.
#[track_caller]
fn check(id: &str, instead: &[(&str, &str)]) {
    let mut rows = FAMILY
        .cases()
        .expect("the table is well-formed")
        .into_iter();
    let row = rows.find(|row| row.id == id).expect("a row of the table");
    let replaced = |part: &&str| {
        let key = part.split('=').next();
        !instead.iter().any(|(k, _)| Some(*k) == key)
    };
    let kept = row
        .parameters
        .split(';')
        .filter(replaced)
        .map(str::to_owned);
    let new = instead.iter().map(|(key, value)| format!("{key}={value}"));
    let parameters: Vec<String> = kept.chain(new).collect();
    let got = FAMILY
        .got(&row.check, &parameters.join(";"))
        .expect("a check with its parameters");
    assert!(
        row.holds(got),
        "{id}: {got} is not in {}..{}",
        row.lower,
        row.upper
    );
}

/// source: rows PB-SIM-3, -4 and PB-NAG-2.
#[test]
fn simblock_spreads_blocks_as_published() {
    for id in ["PB-SIM-3", "PB-SIM-4", "PB-NAG-2"] {
        check(id, &[("blocks", "60"), ("replications", "2")]);
    }
}

/// source: rows PB-GER-std-1s and PB-GER-stdmed-1s. Blocks of 890 bytes load no link, so that fewer
/// followers do.
#[test]
fn gervais_with_tiny_blocks_is_as_published() {
    let fewer = [
        ("blocks", "300"),
        ("scale.values", "[1000]"),
        ("network.classes.0.outbound", "125"),
    ];
    for id in ["PB-GER-std-1s", "PB-GER-stdmed-1s"] {
        check(id, &fewer);
    }
}

#[test]
fn what_is_wrong_with_a_plan_is_said() {
    let refuses = |parameters: &str, what: &str| {
        let why = FAMILY.got("stale", parameters).expect_err(what);
        assert!(why.contains(what), "{why}");
    };
    refuses("plan=none;blocks=1;replications=1", "none");
    refuses(
        "plan=simblock-2019;blocks=1;replications=1;load.nonsense=1",
        "nonsense",
    );
    refuses(
        "plan=simblock-2019;blocks=1;replications=1;miners=17",
        "miners = 17",
    );
}

/// Four nodes a second apart, all connected, two of which mine; seconds from the building of each
/// block until every other node adopts it, by node.
fn adoptions(config: &Config) -> (Report, Vec<(u32, f64)>) {
    let world = World::new(4, Span::from_s(1), Span::from_s(200_000)).depth(1, 6);
    let config = Config {
        miners: 2,
        block_interval_s: 1_000.0,
        retarget_blocks: 0,
        ..config.clone()
    };
    let (report, log) = logged::run::<Nakamoto, All>(&world, &config);
    let built = |of: &Note| {
        log.iter()
            .find(|n| n.block == of.block)
            .map(|n| (n.node, n.at))
    };
    let adopted = log.iter().filter(|n| n.what == What::Adopted);
    let others = adopted.filter_map(|n| {
        let (creator, at) = built(n)?;
        (creator != n.node).then(|| (n.node.get(), n.at.since(at).as_s()))
    });
    (report, others.collect())
}

fn bytes_each(report: &Report, kind: &str) -> u64 {
    let (_, of) = report.traffic.iter().find(|t| t.0 == kind).expect("a kind");
    of.bytes.checked_div(of.messages).unwrap_or(0)
}

/// An announced block crosses three times, one sent unasked once, and the relay network once, but to
/// miners only. Background fills what is sent, and counts in the short form.
#[test]
fn rules_of_relay_and_background() {
    use quorate_consensus::nakamoto::RelayRule::{Inv, Unsolicited};
    let config = |relay, relay_network| Config {
        relay,
        relay_network,
        background_bytes: 10_000,
        background_txs: 20,
        ..Config::default()
    };
    let most = |all: &[(u32, f64)], followers: bool| {
        let some = all.iter().filter(|(node, _)| (*node >= 2) == followers);
        some.map(|(_, s)| *s).fold(0.0, f64::max)
    };
    let (report, inv) = adoptions(&config(Inv, false));
    assert!(report.chain.height > 150);
    assert_eq!(bytes_each(&report, "relay.block"), 10_000 + 104);
    let (_, unsolicited) = adoptions(&config(Unsolicited, false));
    let (report, fast) = adoptions(&config(Inv, true));
    // A header of 81 bytes in an envelope of 90, and two bytes for each of 20 transactions.
    assert_eq!(bytes_each(&report, "relay-network"), 171 + 40);
    // Checking costs the hash of ten kilobytes.
    let about = |s: f64, want: f64| (want..want + 0.01).contains(&s);
    assert!(about(most(&inv, false), 3.0) && about(most(&inv, true), 3.0));
    assert!(about(most(&unsolicited, false), 1.0) && about(most(&unsolicited, true), 1.0));
    assert!(about(most(&fast, false), 1.0) && about(most(&fast, true), 3.0));
}
