//! What one transaction of the hospital workload stands for: rates, mixes, sizes, shapes and rules of
//! each granularity against the published figures.

mod common;

use common::{digest, execute, take};
use quorate_core::math::sqrt;
use quorate_core::{Arrival, Load, Seed};
use quorate_workloads::hospital::{Config, Granularity, Hospital, Preset};
use quorate_workloads::rules::Action;
use quorate_workloads::{Payload, Profile, Rate, Shape, Weekday, WorkloadKind};
use std::collections::BTreeMap;

const FLAT: Rate = Rate::Flat { per_s: 100.0 };

fn config(granularity: Granularity) -> Config {
    Config {
        granularity,
        ..Config::default()
    }
}

fn hospital(config: &Config, rate: Rate) -> Hospital {
    Hospital::new(config, rate, Seed::new(11, 0)).unwrap()
}

fn writes(config: &Config, rate: Rate, n: usize) -> Vec<Arrival> {
    let config = Config {
        reads_per_write: 0.0,
        rechecks_per_revoke: 0.0,
        ..config.clone()
    };
    take(&mut hospital(&config, rate), n)
}

/// Share of each action.
fn shares(arrivals: &[Arrival]) -> BTreeMap<u8, f64> {
    let mut shares = BTreeMap::new();
    for a in arrivals {
        *shares.entry(a.action).or_insert(0.0) += 1.0 / arrivals.len() as f64;
    }
    shares
}

/// source: the published ladder; means in writes a second of clinic, hospital, region and nation.
#[test]
fn the_ladder_has_the_published_means() {
    for (granularity, means) in [
        (Granularity::Document, [0.0325, 0.813, 9.76, 217.9]),
        (Granularity::Resource, [0.04, 1.0, 12.0, 268.0]),
        (Granularity::Message, [0.54, 13.5, 162.0, 3_615.0]),
    ] {
        for (preset, mean) in Preset::ALL.into_iter().zip(means) {
            let got = Config {
                granularity,
                ..Config::preset(preset)
            }
            .mean_per_s();
            // They are given to two or three digits.
            assert!(
                (got / mean - 1.0).abs() < 0.012,
                "{granularity:?} {preset:?}: {got}, not {mean}"
            );
        }
    }
}

/// Events per person and year of each kind, computed by hand from the published densities: 0.49
/// bed-days, 0.46 emergency visits, 3.36 others; 15.9 and 16.4 resources of a visit besides its own.
#[test]
fn resources_have_the_published_mix() {
    let visits = (0.46 * 15.9 + 3.36 * 16.4) / 20.61;
    let contacts = 3.82 + 0.49 / 4.44;
    let yearly = [
        (Action::VisitOpen, contacts),
        (Action::VisitClose, contacts),
        (Action::ResultPost, 0.49 * 74.5 + 12.9 * visits),
        (Action::DoseGive, 0.49 * 15.7),
        (Action::OrderPlace, 0.49 * 11.8),
        (Action::ReportIssue, 0.49 * 1.5 + 0.9 * visits),
        (Action::RecordAnchor, 0.49 * 5.1),
        (
            Action::ProcedureRecord,
            0.49 * 5.4 - 2.0 * 0.49 / 4.44 + 2.36 * visits,
        ),
        (Action::ImmunizationRecord, 1.06 * visits),
        (Action::ErxIssue, 0.46 * visits),
        (Action::ClaimSubmit, 2.93 * visits),
        (Action::ConsentGrant, 1.0),
        (Action::ConsentRevoke, 0.05),
        (Action::IdentityRegister, 0.1),
    ];
    holds(
        &writes(&config(Granularity::Resource), FLAT, 300_000),
        &yearly,
    );
}

#[test]
fn messages_are_433_for_each_visit() {
    let contacts = 3.82 + 0.49 / 4.44;
    let of = |share: f64| share * 431.0 * contacts;
    let yearly = [
        (Action::VisitOpen, contacts),
        (Action::VisitClose, contacts),
        (Action::VisitUpdate, of(0.15)),
        (Action::OrderPlace, of(0.2)),
        (Action::ResultPost, of(0.4)),
        (Action::DoseGive, of(0.1)),
        (Action::ChargePost, of(0.1)),
        (Action::NoteFile, of(0.05)),
        (Action::ConsentGrant, 1.0),
        (Action::ConsentRevoke, 0.05),
        (Action::IdentityRegister, 0.1),
    ];
    holds(
        &writes(&config(Granularity::Message), FLAT, 300_000),
        &yearly,
    );
}

#[test]
fn every_access_may_be_counted_a_hundredfold() {
    for times in [1, 10, 100] {
        let config = Config {
            accesses_times: times,
            ..config(Granularity::Audit)
        };
        let racing = 0.05 * 0.1;
        let yearly = [
            (
                Action::AccessRecord,
                26.2 * 0.995 * f64::from(times) + 25.0 + racing,
            ),
            (Action::BreakGlass, 26.2 * 0.005),
            (Action::ConsentGrant, 1.0),
            (Action::ConsentRevoke, 0.05),
            (Action::IdentityRegister, 0.1),
        ];
        holds(&writes(&config, FLAT, 100_000), &yearly);
        let total: f64 = yearly.iter().map(|y| y.1).sum();
        let per_s = total * 250_000.0 / (365.25 * 86_400.0);
        assert!((config.mean_per_s() / per_s - 1.0).abs() < 1e-9);
    }
}

/// Four binomial deviations, and nothing that is not listed.
#[track_caller]
fn holds(arrivals: &[Arrival], yearly: &[(Action, f64)]) {
    let total: f64 = yearly.iter().map(|(_, rate)| rate).sum();
    let mut got = shares(arrivals);
    for &(action, rate) in yearly {
        let p = rate / total;
        let got = got.remove(&(action as u8)).unwrap_or(0.0);
        let room = 4.0 * sqrt(p * (1.0 - p) / arrivals.len() as f64);
        assert!((got - p).abs() < room, "{action:?}: {got}, not {p}");
    }
    assert!(got.is_empty(), "{got:?}");
    let per_s = arrivals.len() as f64 / arrivals.last().unwrap().at.as_s();
    assert!((per_s / 100.0 - 1.0).abs() < 0.015, "{per_s} a second");
}

/// Nothing that the generator refers to is missing, and nothing comes after a visit's end.
#[test]
fn everything_refers_to_what_exists() {
    for granularity in [
        Granularity::Resource,
        Granularity::Audit,
        Granularity::Message,
    ] {
        for rate in [FLAT, Rate::profile()] {
            let config = Config {
                granularity,
                settle_s: 60.0,
                ..Config::preset(Preset::Region)
            };
            let mut load = hospital(&config, rate);
            let rules = load.rules();
            let (_, fates) = execute(&mut load, &rules, 300_000);
            let refused: u32 = fates
                .iter()
                .filter(|((_, fate), _)| fate != "valid")
                .map(|(_, n)| n)
                .sum();
            let natural: u32 = [
                ("consent.grant", "consent already active"),
                ("consent.revoke", "no active consent"),
            ]
            .iter()
            .filter_map(|(class, why)| fates.get(&(*class, (*why).to_owned())))
            .sum();
            assert_eq!(refused, natural, "{granularity:?}: {fates:?}");
            assert!(f64::from(natural) < 0.002 * 300_000.0, "{fates:?}");
            assert_eq!(load.unsettled(), 0, "{granularity:?}");
        }
    }
}

#[test]
fn classes_are_those_that_occur() {
    let count = |granularity| hospital(&config(granularity), FLAT).classes().len();
    assert_eq!(Granularity::ALL.map(count), [1, 16, 15, 6, 12]);
    for granularity in Granularity::ALL {
        let mut load = hospital(&config(granularity), FLAT);
        let names: Vec<&str> = load.classes().iter().map(|c| c.name).collect();
        for a in take(&mut load, 20_000) {
            let action = Action::ALL[usize::from(a.action)];
            let name = names[a.class.index()];
            let want = format!("{action:?}").to_lowercase();
            let fits = match action {
                Action::BreakGlass => name == "access.breakglass",
                _ => name.replace('.', "") == want,
            };
            assert!(fits, "{name} is {action:?}");
        }
    }
}

#[test]
fn every_class_has_its_name_in_the_standard() {
    for granularity in Granularity::ALL {
        let table = toml::toml! { reads_per_write = 1.0 };
        let mut table = table;
        table.insert("granularity".into(), granularity.name().into());
        let workload = WorkloadKind::Hospital.parse(table).unwrap();
        let load = hospital(&config(granularity), FLAT);
        let names: Vec<&str> = load.classes().iter().map(|c| c.name).collect();
        let terms = workload.vocabulary();
        assert_eq!(terms.iter().map(|t| t.0).collect::<Vec<_>>(), names);
        assert!(terms.iter().all(|(_, term)| !term.is_empty()));
        let result = terms.iter().find(|(name, _)| *name == "result.post");
        match granularity {
            Granularity::Message => assert_eq!(result.unwrap().1, "ORU^R01"),
            Granularity::Resource => assert_eq!(result.unwrap().1, "Observation create, final"),
            _ => assert_eq!(result, None),
        }
    }
}

/// source: 16 kB a message in production; 1.70 kB a document in the mean, without a size for payments,
/// which take 2,314 here and make up the difference of 112.
#[test]
fn whole_records_have_the_published_sizes() {
    for (granularity, mean, band) in [
        (Granularity::Message, 16_000.0, 0.005),
        (Granularity::Document, 1_812.0, 0.005),
        (Granularity::Audit, 1_666.0, 0.02),
        // Medians of Observation and others, by their shares.
        (Granularity::Resource, 930.0, 0.05),
    ] {
        let full = Config {
            payload: Payload::Full,
            ..config(granularity)
        };
        let arrivals = writes(&full, FLAT, 100_000);
        let bytes: f64 = arrivals.iter().map(|a| f64::from(a.bytes)).sum();
        let got = bytes / arrivals.len() as f64;
        assert!((got / mean - 1.0).abs() < band, "{granularity:?}: {got}");
        let hashes = writes(&config(granularity), FLAT, 1_000);
        assert!(hashes.iter().all(|a| a.bytes == Payload::HASH_BYTES));
    }
}

/// Arrivals by hour of the week, from Monday, over whole weeks.
fn week(config: &Config, mean_per_s: f64, weeks: u32, only: Option<Action>) -> Vec<f64> {
    let rate = Rate::Profile {
        mean_per_s: Some(mean_per_s),
        start: Weekday::Monday,
        day_cv: 0.0,
    };
    let config = Config {
        reads_per_write: 0.0,
        rechecks_per_revoke: 0.0,
        ..config.clone()
    };
    let mut load = hospital(&config, rate);
    let mut hours = vec![0.0; 168];
    loop {
        let a = load.next().unwrap();
        if a.at.as_s() >= f64::from(weeks) * 604_800.0 {
            return hours;
        }
        if only.is_none_or(|action| a.action == action as u8) {
            hours[(a.at.as_s() / 3600.0) as usize % 168] += 1.0;
        }
    }
}

fn peak_to_mean(hours: &[f64]) -> f64 {
    let mean = hours.iter().sum::<f64>() / hours.len() as f64;
    hours.iter().copied().fold(0.0, f64::max) / mean
}

/// source: the ladder's business hours are 3.4 times the mean of documents. The busiest hour of all is a
/// little above it, at 10 h, where the profile of visits has its peak.
#[test]
fn the_busiest_hour_is_that_of_the_ladder() {
    let documents = week(&Config::default(), 1.0, 1, None);
    let ratio = peak_to_mean(&documents);
    assert!((ratio / 3.66 - 1.0).abs() < 0.02, "{ratio}");
    let mean = documents.iter().sum::<f64>() / 168.0;
    let morning: f64 = (0..5)
        .flat_map(|d| &documents[d * 24 + 9..d * 24 + 12])
        .sum();
    assert!(
        (morning / 15.0 / mean / 3.4 - 1.0).abs() < 0.05,
        "{}",
        morning / 15.0 / mean
    );
    // Roots take no notice of the hour.
    let roots = Config {
        batch_s: 60.0,
        ..config(Granularity::AnchorBatch)
    };
    let ratio = peak_to_mean(&week(&roots, 1.0, 1, None));
    assert!((ratio - 1.0).abs() < 0.002, "{ratio}");
}

/// source: 16 % of a week's emergencies come on Mondays; the busiest hour 1.9 and the quietest 0.2
/// times the mean.
#[test]
fn emergencies_have_their_mondays_and_nights() {
    let emergencies = Config {
        break_glass_share: 1.0,
        ..config(Granularity::Audit)
    };
    let hours = week(&emergencies, 1.0, 2, Some(Action::BreakGlass));
    let all: f64 = hours.iter().sum();
    let monday: f64 = hours[..24].iter().sum();
    assert!((monday / all - 0.16).abs() < 0.003, "{}", monday / all);
    assert!((peak_to_mean(&hours) - 1.9).abs() < 0.1);
    let quietest = hours.iter().copied().fold(f64::MAX, f64::min) * 168.0 / all;
    assert!((0.2..0.35).contains(&quietest), "{quietest}");
    let day: f64 = (0..7)
        .map(|d| hours[d * 24 + 9..d * 24 + 18].iter().sum::<f64>())
        .sum();
    assert!((day / all - 0.6).abs() < 0.02, "{}", day / all);
}

/// source: wards see a quarter of their results at 06 h; half of the results of resources are theirs.
#[test]
fn results_pulse_at_the_morning_draw() {
    let hours = week(
        &config(Granularity::Resource),
        1.0,
        1,
        Some(Action::ResultPost),
    );
    // By hand: 36.505 of wards, 4.578 of emergencies and 34.49 of offices a year.
    let shape = Shape::blend(&[
        (Profile::WardLab, 36.505 / 75.57),
        (Profile::Ed, 4.578 / 75.57),
        (Profile::Outpatient, 34.487 / 75.57),
    ]);
    let total: f64 = hours.iter().sum();
    let chi: f64 = hours
        .iter()
        .enumerate()
        .map(|(hour, got)| {
            let want = total / 168.0 * shape.at(hour);
            (got - want) * (got - want) / want
        })
        .sum();
    // Mean 167, deviation 18.3: four of them.
    assert!((chi - 167.0).abs() < 74.0, "chi-square {chi}");
    let six = (0..7).map(|d| hours[d * 24 + 6]).sum::<f64>() / total;
    assert!((0.11..0.14).contains(&six), "{six}");
}

/// source: patients cause visits as skewed as their other events: the busiest 5 % cause Φ(Φ⁻¹(0.05) +
/// 1.2) = 32.8 %.
#[test]
fn visits_are_skewed_as_patients_are() {
    let arrivals = writes(&config(Granularity::Resource), FLAT, 300_000);
    let patients: Vec<u32> = arrivals
        .iter()
        .filter(|a| a.action == Action::VisitOpen as u8)
        .map(|a| a.operand)
        .collect();
    let n = patients.len() as f64;
    let top = patients.iter().filter(|&&p| p < 12_500).count() as f64 / n;
    assert!((top - 0.328).abs() < 4.0 * sqrt(0.328 * 0.672 / n), "{top}");
}

/// People look at records as often, whatever is written.
#[test]
fn reads_do_not_grow_with_the_granularity() {
    let reads_per_s = |granularity| {
        let config = Config {
            granularity,
            ..Config::preset(Preset::Region)
        };
        let rate = Rate::Flat {
            per_s: config.mean_per_s(),
        };
        let arrivals = take(&mut hospital(&config, rate), 60_000);
        let read = |a: &&Arrival| a.action == Action::AccessCheck as u8;
        arrivals.iter().filter(read).count() as f64 / arrivals.last().unwrap().at.as_s()
    };
    for granularity in [
        Granularity::Document,
        Granularity::Resource,
        Granularity::Message,
    ] {
        let got = reads_per_s(granularity);
        assert!((got / 97.6 - 1.0).abs() < 0.03, "{granularity:?}: {got}");
    }
}

#[test]
fn roots_come_at_fixed_times_in_rounds() {
    let config = Config {
        batch_s: 60.0,
        sites: Some(3),
        ..config(Granularity::AnchorBatch)
    };
    let mut load = hospital(&config, Rate::profile());
    let rules = load.rules();
    let roots = take(&mut load, 300);
    let same: Vec<&Arrival> = roots.iter().filter(|a| a.site == 1).collect();
    assert_eq!(same.len(), 100);
    for (i, root) in same.iter().enumerate() {
        assert_eq!(root.operand as usize, i + 1);
        assert!((root.at.as_s() - same[0].at.as_s() - 60.0 * i as f64).abs() < 1e-6);
    }
    assert!(same[0].at.as_s() < 60.0);
    // More people make no more roots; more sites do.
    let more = Config {
        people: Some(100_000_000),
        ..config.clone()
    };
    let others = take(&mut hospital(&more, Rate::profile()), 300);
    let what = |a: &Arrival| (a.at, a.site, a.operand);
    assert!(others.iter().map(what).eq(roots.iter().map(what)));
    assert!((config.mean_per_s() - 0.05).abs() < 1e-12);
    // A load that says how many arrive sets the interval.
    let many = take(&mut hospital(&config, FLAT), 30_000);
    assert!((many.last().unwrap().at.as_s() - 300.0).abs() < 0.1);
    let (_, fates) = execute(&mut hospital(&config, FLAT), &rules, 10_000);
    assert_eq!(fates.len(), 1, "{fates:?}");
    assert_eq!(fates[&("anchor.batch", "valid".to_owned())], 10_000);
}

/// What a granularity would ignore is refused, and what it takes shows.
#[test]
fn settings_belong_to_granularities() {
    type Change = fn(&mut Config);
    let refused: &[(&str, Granularity, Change)] = &[
        ("accesses_times", Granularity::Document, |c| {
            c.accesses_times = 10;
        }),
        ("accesses_times", Granularity::Audit, |c| {
            c.accesses_times = 2;
        }),
        ("batch_s", Granularity::Document, |c| c.batch_s = 60.0),
        ("batch_s", Granularity::AnchorBatch, |c| c.batch_s = 0.0),
        ("amend_share", Granularity::Resource, |c| {
            c.amend_share = 0.1;
        }),
        ("break_glass_share", Granularity::Message, |c| {
            c.break_glass_share = 0.1;
        }),
        ("per_person_year", Granularity::Audit, |c| {
            c.per_person_year.erx_issue = 6.0;
        }),
        ("per_person_year", Granularity::AnchorBatch, |c| {
            c.per_person_year.consent_grant = 6.0;
        }),
    ];
    for (key, granularity, change) in refused {
        let mut config = config(*granularity);
        change(&mut config);
        let error = Hospital::new(&config, FLAT, Seed::new(1, 0)).err().unwrap();
        let text = error.to_string();
        assert!(text.starts_with(&format!("`{key}` is ")), "{text}");
    }
    let shown: &[(Granularity, Change)] = &[
        (Granularity::Audit, |c| c.accesses_times = 10),
        (Granularity::Audit, |c| c.break_glass_share = 0.1),
        (Granularity::Audit, |c| {
            c.per_person_year.access_record = 9.0;
        }),
        (Granularity::Resource, |c| {
            c.per_person_year.consent_revoke = 9.0;
        }),
        (Granularity::Message, |c| c.patient_sigma = 0.0),
        (Granularity::AnchorBatch, |c| c.sites = Some(9)),
    ];
    for (granularity, change) in shown {
        let base = config(*granularity);
        let mut changed = base.clone();
        change(&mut changed);
        let of = |config: &Config| digest(&take(&mut hospital(config, FLAT), 20_000));
        assert_ne!(of(&base), of(&changed), "{granularity:?}");
    }
}

/// Reads after a revocation have a class even where there are no other reads.
#[test]
fn every_arrival_has_a_class_without_reads() {
    for granularity in Granularity::ALL {
        let config = Config {
            reads_per_write: 0.0,
            ..config(granularity)
        };
        let mut hospital = hospital(&config, FLAT);
        let classes = hospital.classes().len();
        for arrival in take(&mut hospital, 20_000) {
            assert!(arrival.class.index() < classes, "{granularity:?}");
        }
    }
}

/// All that is submitted about a visit comes from its site, and nothing else is about visits: so the ledger
/// need not put sites in order.
#[test]
fn visits_are_local() {
    for granularity in [Granularity::Resource, Granularity::Message] {
        let mut load = hospital(&config(granularity), FLAT);
        let local = load.local().to_vec();
        assert!(local.len() > 2, "{granularity:?} has visits");
        let mut sites = BTreeMap::new();
        for _ in 0..300_000 {
            let tx = load.next().expect("it never ends");
            let found = (local.contains(&tx.class), tx.site);
            let known = *sites.entry(tx.key).or_insert(found);
            if known.0 || found.0 {
                assert_eq!(known, found, "{tx:?}");
            }
        }
        assert_eq!(load.unsettled(), 0);
    }
    assert!(
        hospital(&config(Granularity::Document), FLAT)
            .local()
            .is_empty()
    );
}

/// Some at a time are the same as one at a time.
#[test]
fn arrivals_may_be_asked_for_together() {
    for granularity in Granularity::ALL {
        for rate in [FLAT, Rate::profile()] {
            let (config, n) = (config(granularity), 20_000);
            let (mut one, mut some) = (hospital(&config, rate), hospital(&config, rate));
            let mut together = Vec::new();
            while together.len() < n {
                some.next_some(&mut together);
            }
            let singly: Vec<Arrival> = (0..together.len()).map_while(|_| one.next()).collect();
            assert_eq!(singly, together, "{granularity:?}");
        }
    }
}
