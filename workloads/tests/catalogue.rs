//! The whole catalogue of the hospital: what follows what, at which rates, and what the rules refuse.

mod common;

use common::{Book, digest, execute, take};
use quorate_core::math::sqrt;
use quorate_core::{Arrival, Kind, Ledger, Load, Outcome, Seed, Span, Time, Verdict};
use quorate_workloads::Rate;
use quorate_workloads::hospital::{Catalogue, Config, Granularity, Hospital, Preset};
use quorate_workloads::rules::Action;
use std::collections::BTreeMap;

const FLAT: Rate = Rate::Flat { per_s: 100.0 };

fn full(change: impl Fn(&mut Catalogue)) -> Config {
    let mut catalogue = Catalogue::default();
    change(&mut catalogue);
    Config {
        catalogue: Some(catalogue),
        most_patients: 100_000,
        ..Config::preset(Preset::Region)
    }
}

fn hospital(config: &Config) -> Hospital {
    Hospital::new(config, FLAT, Seed::new(7, 0)).unwrap()
}

/// How many met each fate, by class.
type Fates = BTreeMap<(&'static str, &'static str), u32>;

/// Executes in the order of submission, with reactions five seconds later.
fn run(config: &Config, until_s: f64) -> (Fates, Vec<Arrival>) {
    let mut load = hospital(config);
    let rules = load.rules();
    let names: Vec<&'static str> = load.classes().iter().map(|c| c.name).collect();
    let kinds: Vec<Kind> = load.classes().iter().map(|c| c.kind).collect();
    let mut book = Book::new(&rules);
    let (mut fates, mut all) = (Fates::new(), Vec::new());
    let mut reactions = BTreeMap::new();
    let mut next = load.next();
    while let Some(tx) = next.filter(|tx| tx.at.as_s() < until_s) {
        let first = reactions
            .first_key_value()
            .map(|(k, _): (&(Time, usize), _)| *k);
        let tx = match first {
            Some(key) if key.0 < tx.at => reactions.remove(&key).unwrap(),
            _ => {
                next = load.next();
                tx
            }
        };
        if kinds[tx.class.index()] == Kind::Read {
            continue;
        }
        let verdict = rules.apply(&tx, tx.at, &mut book);
        let fate = match verdict {
            Verdict::Rejected(reason) => {
                // The layout names it, not its place.
                *rules.reasons().get(usize::from(reason)).unwrap()
            }
            _ => "valid",
        };
        *fates.entry((names[tx.class.index()], fate)).or_insert(0) += 1;
        all.push(tx);
        let mut more = Vec::new();
        let outcome = Outcome {
            arrival: tx,
            final_at: tx.at + Span::from_s(5),
            verdict,
        };
        load.react(&outcome, &mut more);
        for arrival in more {
            assert!(arrival.at >= outcome.final_at);
            reactions.insert((arrival.at, reactions.len() + all.len()), arrival);
        }
    }
    assert_eq!(load.unsettled(), 0);
    (fates, all)
}

/// In order, only what races and what meets by chance is refused.
#[test]
fn everything_that_is_referred_to_exists() {
    let config = full(|_| {});
    let (fates, all) = run(&config, 1_500.0);
    let expected = [
        ("erx.dispense", "fill already dispensed"),
        ("erx.dispense", "prescription cancelled"),
        ("claim.submit", "record already exists"),
        ("identity.register", "record already exists"),
        ("record.amend", "document changed meanwhile"),
        ("exchange.respond", "request already answered"),
        ("claim.pay", "claim already paid"),
    ];
    let by_chance = [
        ("consent.grant", "consent already active"),
        ("consent.revoke", "no active consent"),
        ("consent.delegate", "already delegated"),
        ("exchange.request", "no active consent"),
    ];
    for (key, n) in &fates {
        let chance = by_chance.contains(key) && *n < 60;
        assert!(
            key.1 == "valid" || expected.contains(key) || chance,
            "{fates:?}"
        );
    }
    for class in hospital(&config)
        .classes()
        .iter()
        .filter(|c| c.kind != Kind::Read)
    {
        let seen = fates.contains_key(&(class.name, "valid"));
        // A review takes a day; so rare a thing as taking a link back may not come in this time.
        let rare = ["access.review", "identity.unlink"].contains(&class.name);
        assert!(seen || rare, "{}: {fates:?}", class.name);
    }
    // What follows within the replication is part of the offered rate, once it has settled.
    let late = all.iter().filter(|a| a.at.as_s() > 700.0).count() as f64;
    assert!((late / 80_000.0 - 1.0).abs() < 0.02, "{late}");
}

/// Requests and answers, orders and reports, by their shares.
#[test]
fn what_follows_follows_in_its_share() {
    let config = full(|c| {
        c.review_mean_s = 10.0;
        c.correct_share = 0.2;
        c.duplicate_share = 0.8;
        c.wrong_link_share = 0.5;
    });
    let config = Config {
        settle_s: 30.0,
        break_glass_share: 0.1,
        ..config
    };
    let mut config = config;
    config.per_person_year.identity_register = 5.0;
    let (fates, _) = run(&config, 1_500.0);
    let n = |class| f64::from(fates.get(&(class, "valid")).copied().unwrap_or(0));
    for (class, of, share) in [
        ("exchange.respond", "exchange.request", 0.95),
        ("access.review", "access.breakglass", 0.98),
        ("report.issue", "report.order", 1.0),
        ("report.correct", "report.issue", 0.2),
        ("identity.link", "identity.register", 0.8),
        ("identity.unlink", "identity.link", 0.5),
        ("consent.delegate", "consent.grant", 0.02),
    ] {
        let (got, want) = (n(class), n(of) * share);
        // Four deviations of a count, and what is on its way at the end: 30 s of 1,500.
        let room = 4.0 * sqrt(2.0 * want) + 0.045 * want;
        assert!((got - want).abs() < room, "{class}: {got}, not {want}");
    }
}

/// A consent that ends by itself is not looked at any more, and may be granted again.
#[test]
fn consents_end_by_themselves() {
    let config = full(|c| {
        c.expiry_share = 1.0;
        c.expiry_min = 11;
        c.research_share = 0.0;
    });
    let mut config = config;
    config.settle_s = 60.0;
    config.most_patients = 20_000;
    config.per_person_year.consent_grant = 200.0;
    let (fates, all) = run(&config, 1_500.0);
    let n = |class, fate| fates.get(&(class, fate)).copied().unwrap_or(0);
    let again: BTreeMap<u32, u32> = all
        .iter()
        .filter(|a| a.action == Action::ConsentGrant as u8)
        .fold(BTreeMap::new(), |mut counts, a| {
            *counts.entry(a.key.get()).or_insert(0) += 1;
            counts
        });
    assert!(again.values().any(|&n| n > 1));
    assert!(n("consent.grant", "valid") > 5_000, "{fates:?}");
    assert_eq!(n("consent.grant", "nonce already used"), 0);
    assert_eq!(n("consent.grant", "expiry has passed"), 0);
}

#[test]
fn reviews_have_deadlines() {
    let config = full(|c| c.review_mean_s = 5.0);
    let mut load = hospital(&config);
    let [class] = load.deadlines() else {
        panic!("one class has deadlines");
    };
    assert_eq!(load.classes()[class.index()].name, "access.review");
    let glass = take(&mut load, 200_000)
        .into_iter()
        .find(|a| a.action == Action::BreakGlass as u8)
        .unwrap();
    let mut more = Vec::new();
    let outcome = Outcome {
        arrival: glass,
        final_at: glass.at + Span::from_s(1),
        verdict: Verdict::Valid,
    };
    load.react(&outcome, &mut more);
    let review = more[0];
    assert_eq!((review.key, review.site), (glass.key, glass.site));
    let due = load.deadline(&review).unwrap();
    let late = due.since(glass.at).as_s() - 259_200.0;
    assert!((0.0..=1.0).contains(&late), "{late}");
    assert_eq!(load.deadline(&glass), None);
    // The same parent has the same follow-up, whoever asks when; one that was refused has none.
    let mut again = Vec::new();
    load.react(&outcome, &mut again);
    assert_eq!(more, again);
    let refused = Outcome {
        verdict: Verdict::Rejected(0),
        ..outcome
    };
    load.react(&refused, &mut again);
    assert_eq!(again.len(), 1);
}

/// Requests are answered in reaction to what is final, so that without finality there is no answer.
#[test]
fn without_finality_nothing_is_answered() {
    let config = full(|_| {});
    let mut load = hospital(&config);
    let rules = load.rules();
    let (_, fates) = execute(&mut load, &rules, 50_000);
    let requests = ("exchange.request", "valid".to_owned());
    assert!(fates[&requests] > 100);
    assert!(fates.keys().all(|(class, _)| *class != "exchange.respond"));
}

#[test]
fn without_the_catalogue_nothing_reacts() {
    let load = hospital(&Config::default());
    assert!(!load.reacts() && load.deadlines().is_empty());
    assert!(hospital(&full(|_| {})).reacts());
}

/// No setting is accepted and ignored.
#[test]
fn every_setting_of_the_catalogue_shows() {
    type Change = fn(&mut Catalogue);
    let changes: &[(&str, Change)] = &[
        ("proxy_share", |c| c.proxy_share = 0.9),
        ("delegate_share", |c| c.delegate_share = 0.9),
        ("research_share", |c| c.research_share = 0.9),
        ("expiry_share", |c| c.expiry_share = 0.9),
        ("expiry_min", |c| c.expiry_min = 99),
        ("review_share", |c| c.review_share = 0.1),
        ("review_mean_s", |c| c.review_mean_s = 1.0),
        ("review_within_s", |c| c.review_within_s = 1.0),
        ("answer_share", |c| c.answer_share = 0.1),
        ("answer_mean_s", |c| c.answer_mean_s = 1.0),
        ("racing_answer_share", |c| c.racing_answer_share = 0.5),
        ("correct_share", |c| c.correct_share = 0.9),
        ("lab_share", |c| c.lab_share = 0.1),
        ("racing_amend_share", |c| c.racing_amend_share = 0.9),
        ("duplicate_share", |c| c.duplicate_share = 1.0),
        ("wrong_link_share", |c| c.wrong_link_share = 1.0),
        ("racing_register_share", |c| c.racing_register_share = 1.0),
        ("uninsured_share", |c| c.uninsured_share = 0.9),
        ("payers", |c| c.payers = 3),
        ("payer_balance_cents", |c| c.payer_balance_cents = 100),
        ("racing_pay_share", |c| c.racing_pay_share = 0.5),
    ];
    let shows = |change: Change| {
        let mut config = full(change);
        config.settle_s = 20.0;
        config.most_patients = 5_000;
        config.reads_per_write = 0.0;
        config.break_glass_share = 0.05;
        config.per_person_year.identity_register = 2.0;
        let (fates, all) = run(&config, 90.0);
        (digest(&all), fates)
    };
    let base = shows(|_| {});
    // When a review comes late shows only then.
    let late = |c: &mut Catalogue| c.review_mean_s = 10.0;
    let later = shows(late);
    assert!(later != base);
    for (key, change) in changes {
        let changed = if *key == "review_within_s" {
            shows(|c| {
                c.review_mean_s = 10.0;
                c.review_within_s = 1.0;
            }) == later
        } else {
            shows(*change) == base
        };
        assert!(!changed, "`{key}` is ignored");
    }
}

#[test]
fn settings_out_of_range_are_named() {
    type Change = fn(&mut Config);
    let changes: &[(&str, Change)] = &[
        ("catalogue", |c| c.granularity = Granularity::Audit),
        ("catalogue.answer_share", |c| {
            c.catalogue.as_mut().unwrap().answer_share = 2.0;
        }),
        ("catalogue.uninsured_share", |c| {
            c.catalogue.as_mut().unwrap().uninsured_share = 1.0;
        }),
        ("catalogue.review_mean_s", |c| {
            c.catalogue.as_mut().unwrap().review_mean_s = -1.0;
        }),
        ("catalogue.expiry_min", |c| {
            c.catalogue.as_mut().unwrap().expiry_min = 0;
        }),
        ("catalogue.payers", |c| {
            c.catalogue.as_mut().unwrap().payers = 0;
        }),
    ];
    for (key, change) in changes {
        let mut config = full(|_| {});
        change(&mut config);
        let error = Hospital::new(&config, FLAT, Seed::new(1, 0)).err().unwrap();
        assert!(
            error.to_string().starts_with(&format!("`{key}` is ")),
            "{key}: {error}"
        );
    }
}
