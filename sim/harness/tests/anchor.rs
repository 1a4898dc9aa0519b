//! The two-tier anchor: the rules of its lower tier one by one, then both tiers together against closed
//! forms.

use quorate::anchor::tier::{Anchored, Clients, Rules, Settings};
use quorate::anchor::{Config, figures};
use quorate::engines;
use quorate::plan::Source;
use quorate::study::Study;
use quorate::unit::{Done, Key, Tweak, UnitStatus};
use quorate::validate::world::{Accept, Poisson, World, within};
use quorate::{run, summary, unit};
use quorate_consensus::{nakamoto, raft};
use quorate_core::{Engine, Finality, Level, NodeId, Span, Time, Wait};
use quorate_kernel::probe::LatencyHistogram;
use quorate_kernel::{News, Report, Simulation};

// ---- the lower tier by itself ----------------------------------------------------------------------

const RULES: Rules = Rules {
    every_ns: 10_000_000_000,
    gateways: 2,
    clients: Clients::Gateway,
    depth: 0,
    proof_bytes: 1_000,
    proof_check_ns: 0,
};

/// Four nodes with a site each.
fn world(rate: f64) -> World {
    World::new(4, Span::from_ms(20), Span::from_s(60)).offered(rate, 4)
}

/// Runs a local ledger and tells it things at their times; what it told, and its report.
fn drive<E: Engine>(
    world: &World,
    local: E::Config,
    rules: Rules,
    told: &[(u64, u32, u64)],
) -> (Vec<(f64, u32, u64)>, Report) {
    let load = Poisson::new(world.offered, world.setup.seed);
    let settings = Settings { local, rules };
    let mut setup = world.setup.clone();
    setup.drain = Span::from_s(60);
    let mut sim = Simulation::<Anchored<E>>::new(&settings, setup, Box::new(load), &Accept);
    sim.measure_gaps();
    let mut told = told.iter().peekable();
    let mut heard = Vec::new();
    while let Some(next) = sim.next_time() {
        while let Some(&&(at_s, node, word)) = told.peek()
            && Time::ZERO + Span::from_s(at_s) <= next
        {
            let (at, node) = (Time::ZERO + Span::from_s(at_s), NodeId::new(node));
            sim.hear(News { at, node, word });
            told.next();
        }
        sim.advance();
        while let Some(news) = sim.news() {
            heard.push((news.at.as_s(), news.node.get(), news.word));
        }
    }
    (heard, sim.finish())
}

fn raft_run(
    world: &World,
    rules: Rules,
    told: &[(u64, u32, u64)],
) -> (Vec<(f64, u32, u64)>, Report) {
    drive::<raft::Raft>(world, raft::Config::default(), rules, told)
}

/// So many of a gateway's roots are final.
const fn seen(gateway: u64, count: u64) -> u64 {
    gateway << 32 | count
}

fn at(report: &Report, level: Level) -> u64 {
    let classes = report.probe.classes.iter();
    classes.map(|c| c.latency[level as usize].len()).sum()
}

#[test]
fn gateways_publish_in_turns_and_count_their_own_roots() {
    let (told, _) = raft_run(&world(20.0), RULES, &[]);
    let whole: Vec<(u64, u32, u64)> = told
        .iter()
        .map(|n| (n.0.round() as u64, n.1, n.2))
        .collect();
    assert!(
        told.iter()
            .all(|n| n.0 >= n.0.floor() && n.0 - n.0.floor() < 0.01)
    );
    let first = [
        (10, 0, 0),
        (20, 1, 0),
        (30, 0, 1),
        (40, 1, 1),
        (50, 0, 2),
        (60, 1, 2),
    ];
    assert_eq!(whole[..6], first);
}

#[test]
fn without_new_transactions_there_is_no_root() {
    let mut quiet = world(0.0);
    quiet.setup.horizon = Time::ZERO + Span::from_s(60);
    let (told, _) = raft_run(&quiet, RULES, &[]);
    assert_eq!(told, []);
}

#[test]
fn what_the_local_ledger_commits_is_safe_and_nothing_is_final_untold() {
    let (_, report) = raft_run(&world(20.0), RULES, &[]);
    assert!(at(&report, Level::Safe) > 1_000);
    assert_eq!(at(&report, Level::Final), 0);
    // The same ledger without an anchor: safe at the same instants as committed there.
    let alone = world(20.0).run::<raft::Raft>(&raft::Config::default());
    let latency =
        |report: &Report, level: Level| report.probe.classes[0].latency[level as usize].mean();
    let gap = latency(&report, Level::Safe) - latency(&alone, Level::Final);
    assert!(gap.abs() < 1e-6, "{gap} µs");
}

#[test]
fn a_final_root_makes_final_what_it_covers_everywhere() {
    // The first root is of second 10, and its gateway is told in second 15.
    let (_, report) = raft_run(&world(20.0), RULES, &[(15, 0, seen(0, 1))]);
    let finals = at(&report, Level::Final);
    assert!(
        (150..=220).contains(&finals),
        "{finals}: ten seconds of twenty a second"
    );
    for class in &report.probe.classes {
        let latest = class.latency[Level::Final as usize].max();
        assert!(latest <= 15_200_000, "{latest} µs: all within second 15");
    }
}

#[test]
fn a_later_root_covers_what_earlier_ones_did() {
    // Gateway 1's first root is of second 20, and covers what gateway 0's of second 10 does.
    let (_, report) = raft_run(&world(20.0), RULES, &[(25, 1, seen(1, 1))]);
    let finals = at(&report, Level::Final);
    assert!(
        (340..=430).contains(&finals),
        "{finals}: twenty seconds of twenty a second"
    );
    // Being told of the earlier one afterwards changes nothing.
    let both = [(25, 1, seen(1, 1)), (26, 0, seen(0, 1))];
    assert_eq!(
        at(&raft_run(&world(20.0), RULES, &both).1, Level::Final),
        finals
    );
}

#[test]
fn a_light_client_believes_only_what_it_hears_itself() {
    let light = Rules {
        clients: Clients::LightClient,
        ..RULES
    };
    let (_, gateway) = raft_run(&world(20.0), RULES, &[(15, 0, seen(0, 1))]);
    let (_, one) = raft_run(&world(20.0), light, &[(15, 3, seen(0, 1))]);
    let all: Vec<(u64, u32, u64)> = (0..4).map(|node| (15, node, seen(0, 1))).collect();
    let (_, four) = raft_run(&world(20.0), light, &all);
    let finals = at(&gateway, Level::Final);
    assert_eq!(at(&four, Level::Final), finals);
    let own = at(&one, Level::Final);
    assert!(
        0 < own && own < finals / 2,
        "{own} of {finals}: its own site's"
    );
    // Nobody sends it on.
    let sent = |report: &Report| {
        let kinds = report.traffic.iter();
        kinds
            .filter(|k| k.0 == "anchor.final")
            .map(|k| k.1.messages)
            .sum::<u64>()
    };
    assert_eq!((sent(&gateway), sent(&four)), (3, 0));
}

#[test]
fn who_is_told_before_the_root_is_known_here_waits_for_it() {
    // Site 3 hears in second 5 that one root is final; it learns in second 10 what that covers.
    let light = Rules {
        clients: Clients::LightClient,
        ..RULES
    };
    let (_, early) = raft_run(&world(20.0), light, &[(5, 3, seen(0, 1))]);
    let (_, late) = raft_run(&world(20.0), light, &[(15, 3, seen(0, 1))]);
    let finals = at(&early, Level::Final);
    assert!(finals > 30 && finals == at(&late, Level::Final), "{finals}");
}

#[test]
fn a_gateway_that_is_down_misses_its_turns_and_then_takes_them_again() {
    let down = world(20.0).crash(&[1], Span::from_s(15), Some(Span::from_s(45)));
    let (told, _) = raft_run(&down, RULES, &[]);
    // It asks for what it missed, and its next turn is at 60 s.
    let ask = told.iter().find(|n| n.2 == u64::MAX).expect("it asks");
    assert_eq!((ask.0.round() as u64, ask.1), (45, 1));
    let turns: Vec<(u64, u32)> = told
        .iter()
        .filter(|n| n.2 != u64::MAX)
        .map(|n| (n.0.round() as u64, n.1))
        .collect();
    assert_eq!(turns[..4], [(10, 0), (30, 0), (50, 0), (60, 1)]);
}

#[test]
fn a_site_that_was_down_when_it_was_told_asks_and_catches_up() {
    let all_but_one = |crash: bool| {
        let mut world = world(20.0);
        if crash {
            world = world.crash(&[3], Span::from_s(12), Some(Span::from_s(30)));
        }
        raft_run(&world, RULES, &[(15, 0, seen(0, 1))]).1
    };
    assert_eq!(
        at(&all_but_one(true), Level::Final),
        at(&all_but_one(false), Level::Final)
    );
}

#[test]
fn a_local_ledger_without_commits_is_safe_by_depth() {
    let mining = nakamoto::Config {
        block_interval_s: 1.0,
        ..nakamoto::Config::default()
    };
    let rules = Rules { depth: 3, ..RULES };
    let mut world = world(20.0);
    world.setup.finality = Finality::Conditional;
    let (_, report) =
        drive::<nakamoto::Nakamoto>(&world, mining.clone(), rules, &[(35, 0, seen(0, 2))]);
    let by_depth = world.depth(3, 3).run::<nakamoto::Nakamoto>(&mining);
    let safe = |report: &Report| report.probe.classes[0].latency[Level::Safe as usize].mean();
    let (got, want) = (safe(&report) / 1e6, safe(&by_depth) / 1e6);
    assert!(
        (got / want - 1.0).abs() < 0.1,
        "{got} s, {want} s in the kernel"
    );
    let finals = at(&report, Level::Final);
    assert!(
        (400..=620).contains(&finals),
        "{finals}: up to the root of second 30"
    );
    assert_eq!(report.violation, None);
}

// ---- both tiers ------------------------------------------------------------------------------------

/// A public chain of four equal miners, a block every half minute, nothing else in its way.
const CHAIN: &str = r#"
chain_config = { block_interval_s = 30.0, retarget_blocks = 0, relay = "direct", template_refresh_s = 0.0, block_bytes = 100000 }
chain_network = { nodes = 4, outbound = 0, uplink_mbps = 0.0, downlink_mbps = 0.0, jitter_permille = 0 }
lead_s = 6000.0
"#;

fn study(config: &str, duration_s: f64, extra: &str) -> Study {
    let text = format!(
        "name = \"anchor\"\nkind = \"curve\"\nreplications = 2\n{extra}\n\
         [network]\nnodes = 4\nregions = [\"eu-west-1\"]\njitter_permille = 0\n\
         [workload]\nname = \"hospital\"\npreset = \"clinic\"\nsites = 4\nmost_patients = 500\n\
         [load]\noffered_tps = [0.2]\nduration_s = {duration_s:.1}\n\
         [adversary]\nfinal_risk = 1e-3\nsafe_risk = 1e-2\n\
         [[engines]]\nname = \"anchor\"\n[engines.config]\n{config}"
    );
    let source = Source::new("anchor.toml", text);
    let plan = source
        .plan(&[])
        .unwrap_or_else(|e| panic!("{}: {}", e.message, e.hint));
    Study::open(&source, plan).unwrap_or_else(|e| panic!("{}: {}", e.message, e.hint))
}

fn simulate(study: &Study, tweak: Tweak) -> Done {
    let part = &study.parts[0];
    let key = Key {
        engine: 0,
        offered_tps: Some(0.2),
        replication: 0,
        tweak,
    };
    unit::run(&part.plan, &part.workload, &part.sheets[0], key)
}

fn done(config: &str, duration_s: f64) -> Done {
    simulate(
        &study(&format!("{CHAIN}{config}"), duration_s, ""),
        Tweak::None,
    )
}

/// Mean latency to a level, s.
fn mean_s(done: &Done, level: Level) -> f64 {
    summary::mean_ms(summary::latency(done, None, level)) / 1e3
}

fn window_s(done: &Done) -> f64 {
    let window = figures::loss_window(done).expect("it is measured");
    summary::mean_ms(window) / 1e3
}

/// The mean window is Δ/2 until the next root, and depth · T until it is final, which is the memoryless
/// race to so many blocks; what links and messages take is below a second.
#[test]
fn the_loss_window_is_half_a_period_and_the_depth_of_the_chain() {
    for (every_s, interval_s, share) in [(240.0, 30.0, 0.1), (60.0, 30.0, 0.1), (120.0, 15.0, 0.2)]
    {
        let duration_s = 240_000.0;
        let config = format!(
            "{}anchor_every_s = {every_s:.1}\nadversary_share = {share}\noccupancy = 0.05\n",
            CHAIN.replace("30.0", &format!("{interval_s:.1}"))
        );
        let study = study(&config, duration_s, "");
        let part = &study.parts[0];
        let read = Config::read(&part.plan.engines[0].config).expect("it was checked");
        let finality = read.upper_finality(&part.sheets[0].adversary);
        let Ok(Finality::Depth { fin, .. }) = finality else {
            panic!("{finality:?}");
        };
        let done = simulate(&study, Tweak::None);
        assert_eq!(done.status, UnitStatus::Ok);
        let depth_s = f64::from(fin) * interval_s;
        let error = depth_s / (duration_s / interval_s).sqrt();
        let id = format!("Δ {every_s} T {interval_s} n {fin}");
        within(
            &id,
            window_s(&done),
            every_s / 2.0 + depth_s,
            4.0 * error + 1.0,
        );
        // From its submission, a root needs one block, and then the others of the depth.
        let of = |level| figures::root_ms(&done, level).expect("roots") / 1e3;
        let spread = 4.0 * interval_s / (duration_s / every_s).sqrt();
        within("included", of(Level::Included), interval_s, spread + 1.0);
        within("final", of(Level::Final), depth_s, 4.0 * error + 1.0);
    }
}

#[test]
fn the_loss_window_is_the_time_from_safe_to_final() {
    let done = done("anchor_every_s = 60.0\n", 20_000.0);
    let window = figures::loss_window(&done).expect("it is measured");
    assert_eq!(window.len(), done.all[Level::Final as usize].len());
    let gap = mean_s(&done, Level::Final) - mean_s(&done, Level::Safe);
    assert!((window_s(&done) / gap - 1.0).abs() < 1e-3, "{gap} s");
    // And what is safe is what the local ledger by itself commits.
    assert!(mean_s(&done, Level::Safe) < 5.0);
}

/// A root that bids little waits behind all who bid more, the longer the fuller the blocks are.
#[test]
fn fuller_blocks_are_later_and_higher_fees_earlier() {
    let included = |occupancy: f64, bid: u8| {
        let config = format!("anchor_every_s = 60.0\noccupancy = {occupancy:?}\nbid = {bid}\n");
        let done = done(&config, 40_000.0);
        figures::root_ms(&done, Level::Included).expect("roots") / 1e3
    };
    let by_occupancy = [0.5, 0.8, 0.95].map(|occupancy| included(occupancy, 0));
    assert!(
        by_occupancy.is_sorted_by(|a, b| b > &(a * 1.2)),
        "{by_occupancy:?}"
    );
    let by_bid = [0, 1, 2, 3].map(|bid| included(0.95, bid));
    assert!(by_bid.is_sorted_by(|a, b| a >= b), "{by_bid:?}");
    assert!(by_bid[0] > 3.0 * by_bid[3], "{by_bid:?}");
    // The highest bid is hardly delayed: one block of 30 s.
    assert!((25.0..40.0).contains(&by_bid[3]), "{by_bid:?}");
}

/// Other people's transactions fill as much of the blocks as they are said to.
#[test]
fn public_blocks_are_as_full_as_planned() {
    for share in [0.3, 0.7] {
        let config = format!("anchor_every_s = 600.0\noccupancy = {share}\n");
        let done = done(&config, 60_000.0);
        let chain = &done.report.anchoring.as_deref().expect("a chain").chain;
        let height = chain.chain.height as f64;
        let txs: u64 = chain.probe.classes[..4].iter().map(|c| c.valid).sum();
        // Taken from what became final, whatever the blocks' intervals were.
        let run_s = chain.ended.as_s().min(done.report.ended.as_s() + 6_000.0);
        let per_s = txs as f64 / run_s;
        within(
            "others",
            per_s,
            share * 100_000.0 / 250.0 / 30.0,
            0.02 * per_s,
        );
        assert!(height > 1_500.0);
        let used = figures::occupancy(&done).expect("blocks");
        // Nothing is lost: what asks for space gets it, in the mean over blocks.
        within("occupancy", used, share, 0.1 * share);
    }
}

#[test]
fn fees_of_a_year_are_those_of_its_roots() {
    let done = done("anchor_every_s = 600.0\nbid = 3\n", 30_000.0);
    // source: 52,596 periods of 600 s in a Julian year, 200 bytes at 30 satoshi.
    let want = 365.25 * 144.0 * 200.0 * 30.0 / 1e8;
    let got = figures::fee_per_year(&done).expect("roots");
    assert!((got / want - 1.0).abs() < 1e-3, "{got} instead of {want}");
    assert_eq!(figures::roots(&done), Some(49));
}

#[test]
fn a_gateway_that_is_down_costs_every_other_root() {
    let config = format!("{CHAIN}anchor_every_s = 300.0\noccupancy = 0.05\n");
    let (study_, duration_s) = (study(&config, 40_000.0, ""), 40_000.0);
    let (both, one) = (
        simulate(&study_, Tweak::None),
        simulate(&study_, Tweak::SiteDown),
    );
    assert_eq!((both.status, one.status), (UnitStatus::Ok, UnitStatus::Ok));
    let later = window_s(&one) - window_s(&both);
    within(
        "later",
        later,
        150.0,
        4.0 * 90.0 / (duration_s / 600.0_f64).sqrt(),
    );
    // With a single gateway nothing is ever final.
    let single = study(&format!("{config}gateways = 1\n"), 3_000.0, "");
    assert_eq!(single.parts[0].sheets[0].promises.crashed, 0);
    assert_eq!(
        simulate(&single, Tweak::SiteDown).all[Level::Final as usize].len(),
        0
    );
}

#[test]
fn light_clients_cost_bytes_and_hear_for_themselves() {
    let (gateway, light) = (
        done("", 9_000.0),
        done("clients = \"light-client\"\n", 9_000.0),
    );
    let traffic = |done: &Done, kind: &str| {
        let found = done.report.traffic.iter().find(|t| t.0 == kind);
        found.expect("a kind of message").1
    };
    assert_eq!(traffic(&light, "anchor.final").messages, 0);
    let (ours, theirs) = (
        traffic(&light, "anchor.proof"),
        traffic(&gateway, "anchor.proof"),
    );
    assert!(ours.messages > theirs.messages && ours.bytes > 10 * theirs.bytes);
    let (a, b) = (window_s(&gateway), window_s(&light));
    assert!((a - b).abs() < 1.0, "{a} s and {b} s: the chain decides");
}

#[test]
fn any_engine_may_be_either_tier() {
    for (local, chain) in [
        ("local = \"qbft\"", ""),
        ("local = \"tendermint\"", ""),
        ("local = \"central\"", ""),
        (
            "local = \"nakamoto\"\nlocal_config = { preset = \"private-15s\" }",
            "",
        ),
        (
            "local = \"qbft\"",
            "chain = \"tendermint\"\nchain_config = { block_bytes = 100000 }\nchain_network = { nodes = 4, outbound = 0 }\n",
        ),
        (
            "local = \"raft\"",
            "preset = \"ethereum-pos\"\nchain_network = { nodes = 4, outbound = 0 }\n",
        ),
        (
            "local = \"raft\"",
            "preset = \"cardano\"\nchain_network = { nodes = 4, outbound = 0 }\n",
        ),
    ] {
        let chain = if chain.is_empty() { CHAIN } else { chain };
        let config = format!("{chain}{local}\nanchor_every_s = 60.0\n");
        let config = if chain == CHAIN {
            config
        } else {
            format!("{config}lead_s = 600.0\n")
        };
        let done = simulate(&study(&config, 600.0, ""), Tweak::None);
        assert!(
            done.report.violation.is_none(),
            "{config}: {:?}",
            done.report.violation
        );
        let finals = done.all[Level::Final as usize].len();
        assert!(
            finals > 0 && done.status == UnitStatus::Ok,
            "{config}: {:?}",
            done.status
        );
        assert_eq!(
            figures::loss_window(&done).map(LatencyHistogram::len),
            Some(finals),
            "{config}"
        );
    }
}

#[test]
fn threads_change_nothing() {
    let config = format!("{CHAIN}anchor_every_s = 60.0\n");
    let digests = |threads: usize| -> Vec<u64> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let study = study(&config, 900.0, "");
        let outcomes = pool.expect("a pool").install(|| run::run(&study, "test"));
        let outcomes = outcomes.unwrap_or_else(|e| panic!("{}", e.message));
        let cells = outcomes.iter().flat_map(|o| &o.cells);
        cells
            .flat_map(|c| &c.units)
            .map(|u| u.report.digest)
            .collect()
    };
    let one = digests(1);
    assert!(one.len() > 1 && one[0] != one[1]);
    assert_eq!(one, digests(3));
}

/// A setting that is accepted changes something that is reported.
#[test]
fn every_key_shows() {
    let base = format!("{CHAIN}clients = \"light-client\"\nanchor_every_s = 60.0\n");
    let print = |config: &str| {
        let done = simulate(&study(config, 600.0, ""), Tweak::None);
        format!("{:?} {:?}", done.report, figures::fee_per_year(&done))
    };
    let before = print(&base);
    let changes = [
        ("local", "\"qbft\""),
        ("local_config", "{ batch_timeout_ms = 500 }"),
        ("anchor_every_s", "61.0"),
        ("gateways", "1"),
        ("clients", "\"gateway\""),
        ("link_ms", "2000.0"),
        ("chain", "\"praos\""),
        (
            "chain_config",
            "{ block_interval_s = 31.0, retarget_blocks = 0, block_bytes = 100000 }",
        ),
        (
            "chain_network",
            "{ nodes = 5, outbound = 0, uplink_mbps = 0.0 }",
        ),
        ("adversary_share", "0.3"),
        ("lead_s", "5000.0"),
        ("occupancy", "0.5"),
        ("tx_bytes", "251"),
        ("tx_exec_us", "1000"),
        ("fee_shares", "[0.1, 0.2, 0.3, 0.4]"),
        ("fees", "[1.0, 3.0, 11.0, 30.0]"),
        ("bid", "0"),
        ("root_bytes", "2000"),
        ("root_exec_us", "5000"),
        ("root_weight", "201"),
        ("coin", "1000"),
        ("header_bytes", "90"),
        ("header_check_us", "90000.0"),
    ];
    let mut known: Vec<String> = engines::find("anchor")
        .expect("it exists")
        .defaults()
        .keys()
        .cloned()
        .collect();
    for (key, value) in changes {
        // Settings of another chain would be wrong.
        let replaced = |line: &&str| {
            let old = line.split(" =").next().unwrap_or("");
            old == key || (key == "chain" && old == "chain_config")
        };
        let kept = base.lines().filter(|line| !replaced(line));
        let config: Vec<&str> = kept.collect();
        let config = format!("{}\n{key} = {value}\n", config.join("\n"));
        assert!(print(&config) != before, "{key} = {value} shows nowhere");
        known.retain(|k| k != key);
    }
    assert_eq!(known, Vec::<String>::new(), "keys that nothing tries");
    let preset = "preset = \"cardano\"\nchain_network = { nodes = 4, outbound = 0 }\n";
    assert!(print(preset) != before, "preset");
}

#[test]
fn bad_settings_are_refused_with_their_key() {
    for (config, key) in [
        ("local = \"nothing\"", "local"),
        ("local = \"anchor\"", "local"),
        ("chain = \"anchor\"", "chain"),
        ("local_config = { nonsense = 1 }", "local_config"),
        ("chain_config = { block_interval_s = 0.0 }", "chain_config"),
        ("chain_network = { nodes = 0 }", "chain_network"),
        ("gateways = 0", "gateways"),
        ("gateways = 9", "gateways"),
        ("anchor_every_s = 0.0", "anchor_every_s"),
        ("adversary_share = 0.5", "adversary_share"),
        ("occupancy = -1.0", "occupancy"),
        ("chain_config = { block_bytes = 0 }", "occupancy"),
        ("bid = 4", "bid"),
        ("fees = [1.0]", "fee_shares"),
        ("tx_bytes = 0", "tx_bytes"),
        ("lead_s = -1.0", "lead_s"),
        ("unknown = 1", ""),
        ("preset = \"unknown\"", ""),
    ] {
        let text = format!(
            "name = \"bad\"\nkind = \"curve\"\nreplications = 2\n[network]\nnodes = 4\nregions = [\"eu-west-1\"]\n\
             [workload]\nname = \"hospital\"\nsites = 4\n[load]\noffered_tps = [1.0]\n\
             [[engines]]\nname = \"anchor\"\n[engines.config]\n{config}\n"
        );
        let refused = Source::new("bad.toml", text).plan(&[]);
        let error = refused
            .err()
            .unwrap_or_else(|| panic!("{config} is accepted"));
        assert!(error.message.contains(key), "{config}: {}", error.message);
    }
}

// ---- what is said without a simulation -------------------------------------------------------------

/// Until the root is on the chain, the local bound decides; after it, the chain's adversary must win too.
#[test]
fn the_risk_is_the_local_one_until_the_root_is_on_the_chain() {
    let anchor = engines::find("anchor").expect("it exists");
    let table: toml::Table = toml::from_str("local = \"qbft\"").expect("a table");
    let risk = |corrupt: u32, waited_s: u64| {
        let wait = Wait {
            waited: Span::from_s(waited_s),
            delay: Span::from_ms(50),
        };
        anchor.reversal_risk(&table, 12, corrupt, &wait)
    };
    // Twelve validators bear three; Δ and a block are 600 s each.
    for corrupt in 0..=3 {
        assert!(
            [5, 600, 3_600, 86_400]
                .iter()
                .all(|&w| risk(corrupt, w) <= 0.0)
        );
    }
    for corrupt in 4..=12 {
        assert!([5, 60, 600, 1_199].iter().all(|&w| risk(corrupt, w) >= 1.0));
        let later = [1_200, 3_600, 7_200, 40_000].map(|w| risk(corrupt, w));
        assert!(
            later.is_sorted_by(|a, b| a > b) && later[0] < 1.0,
            "{later:?}"
        );
        assert!(later[3] < 1e-9, "{later:?}");
    }
}

#[test]
fn counterfactuals_change_the_local_ledger_and_the_period() {
    let anchor = engines::find("anchor").expect("it exists");
    let table = toml::Table::new();
    let read = |tweak| Config::read(&anchor.tweaked(&table, tweak)).expect("still sound");
    let (plain, faster, larger) = (
        read(Tweak::None),
        read(Tweak::Interval),
        read(Tweak::BlockSpace),
    );
    assert!((faster.anchor_every_s * 2.0 - plain.anchor_every_s).abs() < 1e-9);
    let local = |config: &Config, key: &str| {
        let resolved = engines::find("raft")
            .expect("it exists")
            .resolved(&config.local_config);
        resolved
            .get(key)
            .and_then(toml::Value::as_integer)
            .expect("a number")
    };
    assert_eq!(
        local(&faster, "batch_timeout_ms") * 2,
        local(&plain, "batch_timeout_ms")
    );
    assert_eq!(local(&larger, "block_txs"), local(&plain, "block_txs") * 2);
    for config in [&faster, &larger] {
        assert_eq!(config.chain_config, plain.chain_config);
    }
}

#[test]
fn replications_differ_and_seeds_repeat() {
    let study = study(&format!("{CHAIN}anchor_every_s = 60.0\n"), 600.0, "");
    let part = &study.parts[0];
    let digest = |replication| {
        let key = Key {
            engine: 0,
            offered_tps: Some(0.2),
            replication,
            tweak: Tweak::None,
        };
        unit::run(&part.plan, &part.workload, &part.sheets[0], key)
            .report
            .digest
    };
    assert_eq!(digest(0), digest(0));
    assert_ne!(digest(0), digest(1));
}
