//! Weeks that are not ordinary, and what a ledger grows by: closed forms and constructed cases.

mod common;

use common::{digest, execute, take};
use quorate_core::math::sqrt;
use quorate_core::{Arrival, Load, Outcome, Seed, Span, Time, Verdict};
use quorate_workloads::hospital::{
    Backlog, Catalogue, ClosedLoop, Config, Granularity, Hospital, Preset, Storm,
};
use quorate_workloads::rules::Action;
use quorate_workloads::{Growth, Payload, Rate};
use std::collections::BTreeMap;

const FLAT: Rate = Rate::Flat { per_s: 10.0 };

fn hospital(config: &Config) -> Hospital {
    Hospital::new(config, FLAT, Seed::new(7, 0)).unwrap()
}

fn until(load: &mut Hospital, until_s: f64) -> Vec<Arrival> {
    let mut all = Vec::new();
    while let Some(tx) = load.next().filter(|tx| tx.at.as_s() < until_s) {
        all.push(tx);
    }
    assert!(all.is_sorted_by_key(|a| a.at));
    all
}

fn is(action: Action) -> impl Fn(&&Arrival) -> bool {
    move |a| a.action == action as u8
}

fn stormy() -> Config {
    Config {
        people: Some(200_000),
        most_patients: 200_000,
        rechecks_per_revoke: 0.0,
        racing_access_share: 0.0,
        reads_per_write: 0.0,
        storm: Some(Storm {
            from_s: 100.0,
            until_s: 700.0,
            revocations_per_person: 0.05,
            last_day_factor: 10.0,
        }),
        ..Config::default()
    }
}

/// 10,000 revocations within 30 parts of 20 s: 29 at 1/39 of them each, the last at 10/39.
#[test]
fn a_storm_has_its_size_and_its_last_day() {
    let arrivals = until(&mut hospital(&stormy()), 1_000.0);
    let times: Vec<f64> = arrivals
        .iter()
        .filter(is(Action::ConsentRevoke))
        .map(|a| a.at.as_s())
        .collect();
    let within =
        |from: f64, until: f64| times.iter().filter(|t| (from..until).contains(*t)).count() as f64;
    // Besides it come 0.05 of 102 writes: 5 in 1,000 s at 10 a second.
    assert!(within(0.0, 100.0) < 10.0 && within(700.0, 1_000.0) < 15.0);
    assert!((within(100.0, 700.0) - 10_000.0).abs() < 4.0 * 100.0);
    let last = 10_000.0 * 10.0 / 39.0;
    assert!((within(680.0, 700.0) - last).abs() < 4.0 * sqrt(last));
    let part = 10_000.0 * 10.0 / 39.0;
    assert!((within(100.0, 300.0) - part).abs() < 4.0 * sqrt(part));
    // England's month: 1.34 million of 56 million people.
    let england = toml::from_str::<Storm>("from_s = 0.0\nuntil_s = 2_592_000.0").unwrap();
    let all = england.revocations_per_person * 56e6;
    assert!((all / 1_339_862.0 - 1.0).abs() < 1e-4, "{all}");
}

/// It moves nothing else, and finds consents to revoke.
#[test]
fn a_storm_comes_on_top() {
    let calm = Config {
        storm: None,
        ..stormy()
    };
    let without = until(&mut hospital(&calm), 500.0);
    let with = until(&mut hospital(&stormy()), 500.0);
    let rest = |all: &[Arrival]| {
        let others: Vec<Arrival> = all
            .iter()
            .filter(|a| !is(Action::ConsentRevoke)(a))
            .copied()
            .collect();
        // Whoever is revoked is not looked at afterwards: times and classes stay, some patients move.
        others.iter().map(|a| (a.at, a.class)).collect::<Vec<_>>()
    };
    assert_eq!(rest(&without), rest(&with));
    let mut load = hospital(&stormy());
    let rules = load.rules();
    let (_, fates) = execute(&mut load, &rules, 17_500);
    let n = |fate: &str| {
        fates
            .get(&("consent.revoke", fate.to_owned()))
            .copied()
            .unwrap_or(0)
    };
    assert!(
        n("valid") > 9_500 && n("no active consent") < 40,
        "{fates:?}"
    );
}

fn offline() -> Config {
    Config {
        sites: Some(4),
        settle_s: 20.0,
        backlog: Some(Backlog {
            sites: 2,
            from_s: 50.0,
            least_s: 100.0,
            most_s: 200.0,
            per_s: 20.0,
        }),
        ..Config::preset(Preset::Clinic)
    }
}

/// Nothing is lost, each site's order stays, and what refers to a held record waits for it.
#[test]
fn a_backlog_is_replayed_in_order() {
    let usual = Config {
        backlog: None,
        ..offline()
    };
    let writes = |all: &[Arrival]| -> Vec<Arrival> {
        all.iter()
            .filter(|a| !is(Action::AccessCheck)(a))
            .copied()
            .collect()
    };
    let plain = writes(&until(&mut hospital(&usual), 400.0));
    let all = until(&mut hospital(&offline()), 1_000.0);
    let held = writes(&all);
    let of = |all: &[Arrival], site: u16| -> Vec<(u32, u8, u32)> {
        let of_site = all.iter().filter(|a| a.site == site);
        of_site
            .map(|a| (a.key.get(), a.action, a.operand))
            .collect()
    };
    for site in 0..2 {
        let (before, after) = (of(&plain, site), of(&held, site));
        // The site's own writes in their order; those of others that it holds are elsewhere.
        assert_eq!(before, after[..before.len()], "site {site}");
        let quiet = |a: &&Arrival| a.site == site && (50.0..150.0).contains(&a.at.as_s());
        assert_eq!(all.iter().find(quiet), None);
        // Back after 100 to 200 s, then 20 a second until it has caught up.
        let back = held
            .iter()
            .filter(|a| a.site == site && a.at.as_s() >= 150.0);
        let times: Vec<f64> = back.map(|a| a.at.as_s()).collect();
        assert!((150.0..250.0).contains(&times[0]), "{}", times[0]);
        assert!(
            times[..20]
                .windows(2)
                .all(|w| (w[1] - w[0] - 0.05).abs() < 0.06)
        );
    }
    let first = |site: u16| {
        let back = held.iter().find(|a| a.site == site && a.at.as_s() > 60.0);
        back.unwrap().at
    };
    assert_ne!(first(0), first(1));
}

#[test]
fn nothing_that_was_offline_is_refused_for_it() {
    for catalogue in [None, Some(Catalogue::default())] {
        let config = Config {
            catalogue,
            racing_dispense_share: 0.0,
            racing_claim_share: 0.0,
            racing_cancel_share: 0.0,
            most_patients: 5_000,
            ..offline()
        };
        let config = Config {
            people: Some(250_000),
            ..config
        };
        let mut load = hospital(&config);
        let rules = load.rules();
        let (_, fates) = execute(&mut load, &rules, 60_000);
        let unknown: Vec<_> = fates
            .keys()
            .filter(|(_, fate)| fate.starts_with("unknown") || fate.contains("not open"))
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}

/// Users that wait: with a ledger that takes L to be final and T to think, N users look N / (L + T) times a
/// second.
#[test]
fn a_closed_loop_has_the_throughput_of_littles_law() {
    let config = Config {
        closed_loop: Some(ClosedLoop {
            users: 50,
            think_s: 4.0,
        }),
        reads_per_write: 0.0,
        ..Config::default()
    };
    let mut load = hospital(&config);
    assert!(load.reacts());
    let mut reactions: BTreeMap<(Time, u64), Arrival> = BTreeMap::new();
    let (mut looks, mut n, mut next) = (0.0, 0, load.next());
    loop {
        let first = reactions.first_key_value().map(|(k, _)| *k);
        let at = next.map_or(Time::NEVER, |tx| tx.at);
        let tx = match first {
            Some(key) if key.0 < at => reactions.remove(&key).unwrap(),
            _ => next.take().unwrap(),
        };
        if next.is_none() {
            next = load.next();
        }
        if tx.at.as_s() > 1_000.0 {
            break;
        }
        looks += f64::from(u8::from(tx.operand > 0 && is(Action::AccessRecord)(&&tx)));
        let mut more = Vec::new();
        let outcome = Outcome {
            arrival: tx,
            final_at: tx.at + Span::from_s(6),
            verdict: Verdict::Valid,
        };
        load.react(&outcome, &mut more);
        for arrival in more {
            n += 1;
            reactions.insert((arrival.at, n), arrival);
        }
    }
    // 50 users, 10 s a round: 5 a second; 5,000 in all, of which the first round comes sooner.
    assert!((looks / 5_000.0 - 1.0).abs() < 0.04, "{looks}");
}

/// The open load is the same beside it.
#[test]
fn a_closed_loop_moves_no_open_arrival() {
    let config = Config {
        closed_loop: Some(ClosedLoop {
            users: 7,
            think_s: 1.0,
        }),
        ..Config::default()
    };
    let open = take(&mut hospital(&Config::default()), 5_000);
    let both = take(&mut hospital(&config), 5_007);
    let theirs = |a: &Arrival| is(Action::AccessRecord)(&a) && a.operand > 0;
    let rest: Vec<Arrival> = both.iter().filter(|a| !theirs(a)).copied().collect();
    assert_eq!(digest(&rest), digest(&open));
}

/// source: 217 documents a second of a nation: 0.37 MB/s and 11.6 TB a year of records, 2.1 TB of hashes.
/// The sizes of payments, for which none is published, make it 1.81 kB instead of 1.70.
#[test]
fn a_nation_grows_by_terabytes_a_year() {
    let of = |granularity, payload| {
        let config = Config {
            granularity,
            payload,
            ..Config::preset(Preset::Nation)
        };
        config.growth()
    };
    let near = |got: f64, want: f64, band: f64| {
        assert!((got / want - 1.0).abs() < band, "{got}, not {want}");
    };
    let hash = of(Granularity::Document, Payload::Hash);
    near(hash.bytes_per_year(), 2.1e12, 0.03);
    near(hash.write_bytes, 300.0, 1e-12);
    let full = of(Granularity::Document, Payload::Full);
    near(full.write_bytes, 1_812.0, 0.002);
    near(full.bytes_per_s(), 0.37e6 * 1_812.0 / 1_700.0, 0.01);
    near(full.bytes_per_year(), 11.6e12 * 1_812.0 / 1_700.0, 0.01);
    let messages = of(Granularity::Message, Payload::Full);
    near(messages.bytes_per_s(), 3_615.0 * 16_000.0, 0.01);
    // Roots: 50 sites, one in ten minutes each, 300 bytes: 0.79 GB a year.
    let roots = of(Granularity::AnchorBatch, Payload::Full);
    near(
        roots.bytes_per_year(),
        50.0 / 600.0 * 300.0 * 31_557_600.0,
        1e-9,
    );
    near(Growth::of(2.0, 500.0).bytes_per_s(), 1_000.0, 1e-12);
}

#[test]
fn a_closed_loop_warns() {
    let parse = |text: &str| {
        let table: toml::Table = text.parse().unwrap();
        quorate_workloads::WorkloadKind::Hospital
            .parse(table)
            .unwrap()
    };
    assert_eq!(parse("").warning(), None);
    let users = parse("closed_loop = { users = 5, think_s = 1.0 }");
    assert!(users.warning().unwrap().contains("coordinated omission"));
}

#[test]
fn settings_out_of_range_are_named() {
    type Change = fn(&mut Config);
    let changes: &[(&str, Change)] = &[
        ("storm.until_s", |c| c.storm.as_mut().unwrap().until_s = 1.0),
        ("storm.last_day_factor", |c| {
            c.storm.as_mut().unwrap().last_day_factor = 0.0;
        }),
        ("storm.revocations_per_person", |c| {
            c.storm.as_mut().unwrap().revocations_per_person = f64::NAN;
        }),
        ("storm", |c| c.granularity = Granularity::AnchorBatch),
        ("backlog.sites", |c| c.backlog.as_mut().unwrap().sites = 9),
        ("backlog.least_s", |c| {
            c.backlog.as_mut().unwrap().least_s = 1e7;
        }),
        ("backlog.per_s", |c| c.backlog.as_mut().unwrap().per_s = 0.0),
        ("closed_loop.users", |c| {
            c.closed_loop.as_mut().unwrap().users = 0;
        }),
        ("closed_loop.think_s", |c| {
            c.closed_loop.as_mut().unwrap().think_s = 0.0;
        }),
        ("closed_loop", |c| {
            c.storm = None;
            c.granularity = Granularity::Message;
        }),
    ];
    for (key, change) in changes {
        let mut config = Config {
            storm: stormy().storm,
            backlog: offline().backlog,
            closed_loop: Some(ClosedLoop {
                users: 1,
                think_s: 1.0,
            }),
            ..Config::default()
        };
        change(&mut config);
        let error = Hospital::new(&config, FLAT, Seed::new(1, 0)).err().unwrap();
        assert!(
            error.to_string().starts_with(&format!("`{key}` is ")),
            "{key}: {error}"
        );
    }
}
