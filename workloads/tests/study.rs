//! The trial load: each rule, distributions beyond their means, causality, the rush before a lock,
//! and the pinned first arrivals of each preset.

mod common;

use common::{Book, digest, execute, take};
use quorate_core::math::{exp, ln, sqrt};
use quorate_core::{Arrival, ClassId, EntityId, Kind, Ledger, Load, Seed, Span, Time, Verdict};
use quorate_workloads::study::{
    Action, Config, Granularity, Preset, Studies, Trials, consent_to, late_reports, serious,
};
use quorate_workloads::{Payload, Profile, Rate, Shape, Weekday, WorkloadKind};
use std::collections::BTreeMap;

const FLAT: Rate = Rate::Flat { per_s: 100.0 };
const DAYS: Rate = Rate::Profile {
    mean_per_s: None,
    start: Weekday::Monday,
    day_cv: 0.0,
};

fn trials(config: &Config, rate: Rate) -> Trials {
    Trials::new(config, rate, Seed::new(7, 0)).unwrap()
}

fn first(config: &Config, rate: Rate, n: usize) -> Vec<Arrival> {
    take(&mut trials(config, rate), n)
}

fn is(arrival: &Arrival, action: Action) -> bool {
    arrival.class.index() == action.index()
}

/// Without bursts: no uploads, no locks, no reads.
fn calm() -> Config {
    Config {
        lab_share: 0.0,
        locks_per_day: Some(0.0),
        reads_per_write: 0.0,
        rechecks_per_withdrawal: 0.0,
        ..Config::default()
    }
}

/// A ledger with its state, asked one transaction at a time.
struct Desk {
    ledger: Studies,
    book: Book,
    /// Who signs.
    site: u16,
}

impl Desk {
    /// One study, 0, at version 1; its lists have 96 slots.
    fn new() -> Self {
        let config = Config {
            amended_share: 0.0,
            ..Config::preset(Preset::Phase3)
        };
        Self::with(&config)
    }

    /// The same, where signatures are checked.
    fn strict() -> Self {
        let config = Config {
            amended_share: 0.0,
            signatures: true,
            sites: Some(40),
            sites_per_study: 10.0,
            matches_per_consent: 1.0,
            ..Config::preset(Preset::Phase3)
        };
        Self::with(&config)
    }

    fn with(config: &Config) -> Self {
        let ledger = trials(config, FLAT).rules();
        let book = Book::new(&ledger);
        let site = 0;
        Self { ledger, book, site }
    }

    /// The fate of a transaction that is submitted and executed at `at_s`.
    fn tx(&mut self, action: Action, key: u32, operand: u32, at_s: u64) -> &'static str {
        self.late_tx(action, key, operand, at_s, at_s)
    }

    fn late_tx(
        &mut self,
        action: Action,
        key: u32,
        operand: u32,
        at: u64,
        now: u64,
    ) -> &'static str {
        let at = Time::ZERO + Span::from_s(at);
        let tx = Arrival {
            at,
            key: EntityId::new(key),
            operand,
            bytes: 0,
            exec_us: 0,
            site: self.site,
            class: ClassId(action as u8),
            action: action as u8,
        };
        let before = self.book.0.clone();
        match self
            .ledger
            .apply(&tx, Time::ZERO + Span::from_s(now), &mut self.book)
        {
            Verdict::Valid => "valid",
            Verdict::Expired => "expired",
            Verdict::Rejected(why) => {
                assert!(self.book.0 == before, "a refused {action:?} wrote");
                self.ledger.reasons()[usize::from(why)]
            }
        }
    }

    /// Every step must meet its fate, in order.
    #[track_caller]
    fn script(&mut self, steps: &[(Action, u32, u32, &str)]) {
        for (i, &(action, key, operand, fate)) in steps.iter().enumerate() {
            let got = self.tx(action, key, operand, 1_000 + i as u64);
            assert_eq!(got, fate, "step {i}: {action:?} {key} {operand}");
        }
    }
}

/// New identifiers, far from the preloaded ones.
const STUDY: u32 = 400_000;
const ANNA: u32 = 400_001;
const BEN: u32 = 400_002;
const PAGE: u32 = 400_003;
const PAGE2: u32 = 400_004;
const OK: &str = "valid";

#[test]
fn versions_follow_one_another() {
    Desk::new().script(&[
        (Action::Amend, STUDY, 2, "unknown study"),
        (Action::Register, STUDY, 0, OK),
        (Action::Register, STUDY, 0, "study already registered"),
        (Action::Amend, STUDY, 3, "version is not the next"),
        (Action::Amend, STUDY, 1, "version is not the next"),
        (Action::Amend, STUDY, 2, OK),
        (Action::Amend, STUDY, 2, "version is not the next"),
    ]);
}

#[test]
fn consent_is_to_the_current_form_and_comes_first() {
    Desk::new().script(&[
        (Action::Screen, ANNA, 1, "no consent"),
        (Action::Capture, PAGE, ANNA, "no consent"),
        (Action::Withdraw, ANNA, 0, "no consent"),
        (Action::Consent, ANNA, consent_to(STUDY, 1), "unknown study"),
        (
            Action::Consent,
            ANNA,
            consent_to(0, 2),
            "consent form not current",
        ),
        (Action::Consent, ANNA, consent_to(0, 1), OK),
        (Action::Consent, ANNA, consent_to(0, 1), "already consented"),
        (Action::Amend, 0, 2, OK),
        (
            Action::Consent,
            BEN,
            consent_to(0, 1),
            "consent form not current",
        ),
        (Action::Screen, ANNA, 1, OK),
        (Action::Amend, 0, 3, OK),
        (Action::Randomise, 20, ANNA, "consent out of date"),
        (Action::Consent, ANNA, consent_to(0, 3), OK),
        (Action::Screen, ANNA, 1, "already screened"),
        (Action::Register, STUDY, 0, OK),
        // One subject, one study.
        (Action::Consent, ANNA, consent_to(STUDY, 1), "no consent"),
    ]);
}

#[test]
fn nothing_is_done_after_withdrawal() {
    let mut desk = Desk::new();
    let layout = desk.ledger.layout().clone();
    let list = layout.strata().start + 4;
    desk.script(&[
        (Action::Consent, ANNA, consent_to(0, 1), OK),
        (Action::Screen, ANNA, 1, OK),
        (Action::Randomise, list, ANNA, OK),
        (Action::Capture, PAGE, ANNA, OK),
        (Action::Withdraw, ANNA, 0, OK),
        (Action::Withdraw, ANNA, 0, "subject withdrawn"),
        (Action::Capture, PAGE2, ANNA, "subject withdrawn"),
        (Action::Consent, ANNA, consent_to(0, 1), "subject withdrawn"),
        // What was recorded stays, is corrected, signed for, and safety reports go on.
        (Action::Correct, PAGE, 1, OK),
        (Action::AdverseEvent, ANNA, 0, OK),
        (Action::Sign, ANNA, 0, OK),
        (Action::Consent, BEN, consent_to(0, 1), OK),
        (Action::Withdraw, BEN, 0, OK),
        (Action::Screen, BEN, 1, "subject withdrawn"),
    ]);
    let cell = |id: u32| desk.book.0[id as usize];
    let allows = |id| desk.ledger.allows(cell(id), Time::ZERO);
    assert!(!allows(ANNA) && allows(layout.subjects().start));
    assert!(!desk.ledger.allows(0, Time::ZERO));
}

#[test]
fn allocation_needs_screening_and_a_slot() {
    let mut desk = Desk::new();
    let list = desk.ledger.layout().strata().start + 4;
    desk.script(&[
        (Action::Consent, ANNA, consent_to(0, 1), OK),
        (Action::Randomise, list, ANNA, "not screened"),
        (Action::Screen, ANNA, 1, OK),
        (Action::Capture, PAGE, ANNA, "subject not on study"),
        (Action::AdverseEvent, ANNA, 0, "subject not on study"),
        (Action::SeriousEvent, ANNA, 0, "subject not on study"),
        (Action::Sign, ANNA, 0, "subject not on study"),
        (Action::Randomise, 0, ANNA, "unknown stratum"),
        (Action::Randomise, list, ANNA, OK),
        (Action::Randomise, list, ANNA, "already randomised"),
        (Action::Randomise, list + 1, ANNA, "already randomised"),
        (Action::Consent, BEN, consent_to(0, 1), OK),
        (Action::Screen, BEN, 0, OK),
        (Action::Randomise, list, BEN, "screen failure"),
        (Action::Randomise, list, 399_999, "no consent"),
    ]);
    // A list of another study.
    let other = 500_000;
    desk.script(&[
        (Action::Register, STUDY, 0, OK),
        (Action::Consent, other, consent_to(STUDY, 1), OK),
        (Action::Screen, other, 1, OK),
        (Action::Randomise, list, other, "unknown stratum"),
    ]);
}

/// Slots go in the order of the blocks, and no further than the list.
#[test]
fn a_list_ends_and_stays_balanced() {
    let mut desk = Desk::new();
    let list = desk.ledger.layout().strata().start + 4;
    let mut arms = Vec::new();
    for subject in 500_000..500_097 {
        desk.tx(Action::Consent, subject, consent_to(0, 1), 1);
        desk.tx(Action::Screen, subject, 1, 1);
        let want = if subject < 500_096 {
            OK
        } else {
            "stratum is full"
        };
        assert_eq!(desk.tx(Action::Randomise, list, subject, 1), want);
        arms.push(desk.book.0[subject as usize] >> 40 & 1);
    }
    assert!(
        arms[..96]
            .chunks(4)
            .all(|block| block.iter().sum::<u128>() == 2)
    );
    assert_ne!(arms[0..4], arms[4..8], "blocks are permuted");
}

#[test]
fn an_arm_has_a_cap() {
    let mut desk = Desk::new();
    let list = desk.ledger.layout().strata().start + 4;
    // The cap is the last field of the stratum: 48 of 96 slots; now 0.
    desk.book.0[list as usize] &= !(0xffff_u128 << 92);
    desk.script(&[
        (Action::Consent, ANNA, consent_to(0, 1), OK),
        (Action::Screen, ANNA, 1, OK),
        (Action::Randomise, list, ANNA, "arm is full"),
    ]);
}

#[test]
fn items_are_captured_once_and_corrected_for_a_reason() {
    let mut desk = Desk::new();
    let subject = desk.ledger.layout().subjects().start;
    desk.script(&[
        (Action::Correct, PAGE, 1, "unknown item"),
        (Action::Query, PAGE, 0, "unknown item"),
        (Action::Answer, PAGE, 0, "unknown item"),
        (Action::Capture, PAGE, subject, OK),
        (Action::Capture, PAGE, subject, "already captured"),
        (Action::Correct, PAGE, 0, "no reason given"),
        (Action::Correct, PAGE, 1, OK),
        (Action::Answer, PAGE, 0, "no open query"),
        (Action::Query, PAGE, 0, OK),
        (Action::Query, PAGE, 0, "query already open"),
        (Action::Answer, PAGE, 0, OK),
        (Action::Answer, PAGE, 0, "no open query"),
    ]);
}

#[test]
fn a_lock_needs_answers_and_ends_entry() {
    let mut desk = Desk::new();
    let layout = desk.ledger.layout().clone();
    let study = layout.closing().start;
    let (subject, item) = (layout.casebooks().start, layout.late_items().start);
    desk.script(&[
        (Action::Lock, STUDY, 0, "unknown study"),
        (Action::Unlock, study, 0, "study not locked"),
        (Action::Query, item, 0, OK),
        (Action::Lock, study, 0, "open queries"),
        (Action::Answer, item, 0, OK),
        (Action::Sign, subject, 0, OK),
        (Action::Sign, subject, 0, "casebook already signed"),
        (Action::Lock, study, 0, OK),
        (Action::Lock, study, 0, "study locked"),
        (Action::Capture, PAGE, subject, "study locked"),
        (Action::Correct, item, 1, "study locked"),
        (Action::Query, item, 0, "study locked"),
        (Action::Sign, subject, 0, "study locked"),
        (Action::Consent, ANNA, consent_to(study, 1), "study locked"),
        // Safety reports and withdrawals know no lock.
        (Action::SeriousEvent, subject, 0, OK),
        (Action::Unlock, study, 0, OK),
        (Action::Capture, PAGE, subject, OK),
        (Action::Sign, subject, 0, OK),
        (Action::Lock, study, 0, OK),
        (Action::Withdraw, subject, 0, OK),
    ]);
}

/// What was submitted before the lock and executed after it, against what came later.
#[test]
fn a_lock_overtakes_what_came_before_it() {
    let mut desk = Desk::new();
    let layout = desk.ledger.layout().clone();
    let study = layout.closing().start;
    let (subject, item) = (layout.casebooks().start, layout.late_items().start);
    assert_eq!(desk.late_tx(Action::Lock, study, 0, 500, 510), OK);
    for (action, key, operand) in [
        (Action::Sign, subject, 0),
        (Action::Capture, PAGE, subject),
        (Action::Correct, item, 1),
    ] {
        let fate = |desk: &mut Desk, at| desk.late_tx(action, key, operand, at, 520);
        assert_eq!(fate(&mut desk, 499), "overtaken by the lock");
        assert_eq!(fate(&mut desk, 500), "study locked");
        assert_eq!(fate(&mut desk, 505), "study locked");
    }
}

/// Sponsor and ethics committee sign; a version is in force when both have.
#[test]
fn studies_and_amendments_need_two_signatures() {
    let mut desk = Desk::strict();
    let (sponsor, committee) = desk.ledger.signers(STUDY).unwrap();
    assert_ne!(sponsor, committee);
    let form = |version| consent_to(STUDY, version);
    let mut by = |site, steps: &[(Action, u32, u32, &str)]| {
        desk.site = site;
        desk.script(steps);
    };
    by(
        committee,
        &[(Action::Register, STUDY, 0, "not the sponsor")],
    );
    by(sponsor, &[(Action::Register, STUDY, 0, OK)]);
    by(
        sponsor,
        &[
            (Action::Approve, STUDY, 1, "not the ethics committee"),
            (Action::Consent, ANNA, form(1), "awaits approval"),
            (Action::Consent, ANNA, form(0), "awaits approval"),
            (Action::Amend, STUDY, 2, "awaits approval"),
        ],
    );
    by(
        committee,
        &[
            (Action::Approve, STUDY, 2, "version is not the next"),
            (Action::Approve, STUDY, 1, OK),
            (Action::Approve, STUDY, 1, "nothing to approve"),
            (Action::Consent, ANNA, form(1), OK),
            (Action::Amend, STUDY, 2, "not the sponsor"),
        ],
    );
    by(
        sponsor,
        &[
            (Action::Amend, STUDY, 3, "version is not the next"),
            (Action::Amend, STUDY, 2, OK),
            (Action::Amend, STUDY, 2, "awaits approval"),
            // The old form is signed until the new one is approved.
            (Action::Consent, BEN, form(2), "consent form not current"),
            (Action::Consent, BEN, form(1), OK),
        ],
    );
    by(
        committee,
        &[
            (Action::Approve, STUDY, 2, OK),
            (Action::Consent, ANNA, form(2), OK),
        ],
    );
    // Without signatures nobody waits for an approval.
    Desk::new().script(&[
        (Action::Approve, 0, 2, "nothing to approve"),
        (Action::Approve, STUDY, 2, "unknown study"),
    ]);
    assert_eq!(Desk::new().ledger.signers(0), None);
}

#[test]
fn only_open_sites_allocate() {
    let mut desk = Desk::strict();
    let list = desk.ledger.layout().strata().start + 4;
    desk.script(&[
        (Action::Consent, ANNA, consent_to(0, 1), OK),
        (Action::Screen, ANNA, 1, OK),
    ]);
    let (mut open, mut closed) = (0, 0);
    for site in 0..40 {
        desk.site = site;
        // Refused for what comes next, or for the site.
        match desk.tx(Action::Randomise, list, BEN, 10) {
            "site not open" => closed += 1,
            "no consent" => open += 1,
            other => panic!("{other}"),
        }
    }
    // 8 of 10 sites enrol, on 40 hosts; some share one.
    assert!((5..=8).contains(&open), "{open} of {}", open + closed);
    let fates: Vec<&str> = (0..40)
        .map(|site| {
            desk.site = site;
            desk.tx(Action::Randomise, list, ANNA, 11)
        })
        .collect();
    let count = |fate| fates.iter().filter(|&&f| f == fate).count();
    assert_eq!((count(OK), count("site not open")), (1, closed));
}

#[test]
fn matches_need_a_standing_consent_and_the_present_criteria() {
    let mut desk = Desk::new();
    let of = |study, version| consent_to(study, version);
    desk.script(&[
        (Action::Match, ANNA, of(0, 1), "no research consent"),
        (Action::Revoke, ANNA, 0, "no research consent"),
        (Action::Permit, ANNA, 0, OK),
        (Action::Permit, ANNA, 0, "research consent already given"),
        (Action::Match, ANNA, of(STUDY, 1), "unknown study"),
        (
            Action::Match,
            ANNA,
            of(0, 2),
            "eligibility by an old version",
        ),
        (Action::Match, ANNA, of(0, 1), OK),
        (Action::Match, ANNA, of(0, 1), "already a candidate"),
        (Action::Register, STUDY, 0, OK),
        (Action::Match, ANNA, of(STUDY, 1), OK),
        (Action::Amend, 0, 2, OK),
        (
            Action::Match,
            ANNA,
            of(0, 1),
            "eligibility by an old version",
        ),
        (Action::Match, ANNA, of(0, 2), OK),
        (Action::Revoke, ANNA, 0, OK),
        (Action::Revoke, ANNA, 0, "research consent revoked"),
        (
            Action::Match,
            ANNA,
            of(STUDY, 1),
            "research consent revoked",
        ),
        (Action::Permit, ANNA, 0, OK),
        (Action::Match, ANNA, of(STUDY, 1), OK),
        // Study and patient are not the same.
        (Action::Permit, 0, 0, "no research consent"),
        (Action::Consent, BEN, consent_to(0, 2), OK),
        (Action::Match, BEN, of(0, 2), "no research consent"),
    ]);
    let layout = desk.ledger.layout().clone();
    let closing = layout.closing().start;
    desk.script(&[
        (Action::Lock, closing, 0, OK),
        (Action::Match, ANNA, of(closing, 1), "study locked"),
    ]);
    let allows = |desk: &Desk, id: u32| desk.ledger.allows(desk.book.0[id as usize], Time::ZERO);
    assert!(allows(&desk, ANNA));
    desk.script(&[(Action::Revoke, ANNA, 0, OK)]);
    assert!(!allows(&desk, ANNA));
}

#[test]
fn serious_events_have_a_clock() {
    let mut desk = Desk::new();
    let subject = desk.ledger.layout().subjects().start;
    let day = 86_400;
    let mut late = |fatal, known_s, delay_s: u64| {
        let operand = serious(fatal, known_s);
        let fate = desk.late_tx(Action::SeriousEvent, subject, operand, 100, 100 + delay_s);
        assert_eq!(fate, OK, "a late report is kept");
        late_reports(desk.book.0[subject as usize])
    };
    assert_eq!(late(true, 7 * day, 0), 0);
    assert_eq!(late(true, 7 * day, 1), 1);
    assert_eq!(late(false, 15 * day - 60, 60), 1);
    assert_eq!(late(false, 15 * day - 60, 61), 2);
    assert_eq!(late(false, 8 * day, 0), 2);
}

/// Transactions of a study, as the defaults should give them: 384 subjects, 14 visits of 1,125
/// values, 20 to a form, 30 months of which a subject is on study for 12.
const PER_STUDY: [(Action, f64); 12] = [
    (Action::Register, 1.0),
    (Action::Amend, 2.0),
    (Action::Consent, 384.0 / 0.7 + 2.0 * 153.6 + 2.0 * 0.5),
    (Action::Withdraw, 115.2),
    (Action::Screen, 384.0 / 0.7),
    (Action::Randomise, 384.0 * 1.01),
    (Action::Capture, 302_400.0 * 1.001 + 115.2 * 0.1),
    // 1 − 0.97²⁰.
    (Action::Correct, 302_400.0 * 0.456_205_6),
    (Action::AdverseEvent, 384.0 * 12.0 * 0.96 * 0.99),
    (Action::SeriousEvent, 384.0 * 12.0 * 0.96 * 0.01),
    (Action::Query, 302_400.0 * 0.05),
    (Action::Answer, 302_400.0 * 0.05),
];

#[test]
fn class_shares_are_those_of_a_study() {
    let arrivals = first(&calm(), FLAT, 500_000);
    let total: f64 = PER_STUDY.iter().map(|(_, n)| n).sum();
    let n = arrivals.len() as f64;
    for (action, count) in PER_STUDY {
        let p = count / total;
        let got = arrivals.iter().filter(|a| is(a, action)).count() as f64;
        // Four binomial deviations; rivals for last slots are at most one in twenty allocations.
        let rivals = f64::from(u8::from(action == Action::Randomise)) * 0.05 * n * p;
        let room = 4.0 * sqrt(n * p * (1.0 - p)) + rivals + 1.0;
        assert!(
            (got - n * p).abs() < room,
            "{action:?}: {got}, not {}",
            n * p
        );
    }
    let span_s = arrivals.last().unwrap().at.as_s();
    assert!(
        (n / span_s / 100.0 - 1.0).abs() < 0.004,
        "{n} in {span_s} s"
    );
}

/// source: the published rungs: 0.0038, 0.38 and 19 forms, 0.076, 7.6 and 378 values a second, from
/// 5.96 million values a study in 30 months.
#[test]
fn the_ladder_has_the_published_rates() {
    let counted = |granularity, preset| {
        let config = Config {
            granularity,
            ..Config::preset(preset)
        };
        let calm = Config {
            granularity,
            preset,
            ..calm()
        };
        // Captures per write, from the mix, times the writes per second.
        let arrivals = first(&calm, FLAT, 200_000);
        let captures = arrivals.iter().filter(|a| is(a, Action::Capture)).count();
        calm.mean_per_s() * captures as f64 / 200_000.0 * (config.mean_per_s() / calm.mean_per_s())
    };
    for (preset, form, value) in [
        (Preset::Phase3, 0.0038, 0.076),
        (Preset::Portfolio, 0.38, 7.6),
        (Preset::Registry, 19.0, 378.0),
    ] {
        let got = counted(Granularity::Form, preset);
        assert!((got / form - 1.0).abs() < 0.03, "{preset:?}: {got} forms");
        let got = counted(Granularity::Value, preset);
        assert!((got / value - 1.0).abs() < 0.03, "{preset:?}: {got} values");
    }
}

#[test]
fn a_week_at_its_own_pace_has_the_mean_rate() {
    let config = calm();
    let mut load = trials(&config, DAYS);
    let mut n = 0.0;
    while load.next().unwrap().at.as_s() < 604_800.0 {
        n += 1.0;
    }
    let want = config.mean_per_s() * 604_800.0;
    assert!((n - want).abs() < 4.0 * sqrt(want), "{n}, not {want}");
}

/// Chi-square of captures by hour of the week against working hours.
#[test]
fn staff_work_in_business_hours() {
    let mut load = trials(&calm(), DAYS);
    let mut counts = [0.0; 168];
    let mut total = 0.0;
    loop {
        let a = load.next().unwrap();
        if a.at.as_s() >= 604_800.0 {
            break;
        }
        if is(&a, Action::Capture) {
            counts[(a.at.as_s() / 3600.0) as usize] += 1.0;
            total += 1.0;
        }
    }
    let shape = Shape::blend(&[(Profile::Outpatient, 1.0)]);
    let (mut chi, mut cells) = (0.0, 0.0);
    for (hour, &count) in counts.iter().enumerate() {
        let want: f64 = total / 168.0 * shape.at(hour);
        if hour >= 121 {
            // A racer of Friday's last minute aside, weekends are free.
            assert!(count < 0.5, "hour {hour}: {count}");
        } else if want > 0.0 {
            chi += (count - want) * (count - want) / want;
            cells += 1.0;
        }
    }
    // Chi-square: mean k, variance 2k.
    assert!(
        (chi - cells).abs() < 4.0 * sqrt(2.0 * cells),
        "{chi} for {cells}"
    );
}

/// source: peaks of 4.2 times the mean, all of a week's work in 40 business hours. Ours are a little
/// less square: the busiest hour has 4.5 times the mean, the busiest 40 hours 3.5 times.
#[test]
fn business_hours_have_four_times_the_mean() {
    let mut hours = [0.0; 168];
    let mut load = trials(&calm(), DAYS);
    let weeks = 4.0;
    loop {
        let a = load.next().unwrap();
        let hour = (a.at.as_s() / 3600.0) as usize;
        if hour >= 168 * 4 {
            break;
        }
        hours[hour % 168] += 1.0;
    }
    let mean = hours.iter().sum::<f64>() / 168.0;
    let room = 4.0 / sqrt(mean * weeks * 4.0);
    hours.sort_unstable_by(|a: &f64, b| b.total_cmp(a));
    // The five hours from 10 to 11: 13.5 % of a weekday each.
    let peak = hours[..5].iter().sum::<f64>() / 5.0 / mean;
    assert!((peak - 0.135 * 168.0 / 5.0).abs() < room + 0.05, "{peak}");
    let busy = hours[..40].iter().sum::<f64>() / 40.0 / mean;
    assert!((3.4..3.7).contains(&busy), "{busy}");
    assert!(busy < 4.2 && 4.2 < peak, "{busy} {peak}");
}

/// Subjects by study site: published quartiles of 4 and 10 are a ratio of 2.5; one site in five
/// enrols nobody.
#[test]
fn sites_enrol_unequally() {
    let config = Config {
        studies: Some(1),
        participants: 100_000.0,
        ..Config::default()
    };
    let load = trials(&config, FLAT);
    let rules = load.rules();
    let mut counts = vec![0.0_f64; 64];
    for subject in rules.layout().subjects() {
        let (study, site, enrolling) = load.study_site(EntityId::new(subject));
        assert_eq!((study, enrolling), (0, 51), "64 × 0.9 × 0.89");
        counts[site as usize] += 1.0;
    }
    assert!(counts[51..].iter().all(|&n| n < 0.5));
    assert!(counts[..51].iter().all(|&n| n > 0.5));
    // The places of the quartiles of 51 sites, the busiest first.
    let ratio = counts[12] / counts[38];
    assert!((ratio / 2.5 - 1.0).abs() < 0.15, "{ratio}");
    // The busiest tenth has the share Φ(Φ⁻¹(0.1) + 0.68) = 0.274; 5 of 51 are 0.098.
    let top: f64 = counts[..5].iter().sum::<f64>() / 40_000.0;
    assert!((top - 0.270).abs() < 0.012, "{top}");
}

/// source: quartiles of 30 and 118 sites a study.
#[test]
fn studies_differ_in_size() {
    let load = trials(&Config::preset(Preset::Registry), FLAT);
    let rules = load.rules();
    let mut sizes = BTreeMap::new();
    for subject in rules.layout().subjects() {
        let study = load.study_site(EntityId::new(subject)).0;
        *sizes.entry(study).or_insert(0.0) += 1.0;
    }
    let mut sizes: Vec<f64> = sizes.into_values().collect();
    assert_eq!(sizes.len(), 5_000);
    sizes.sort_unstable_by(f64::total_cmp);
    let ratio = sizes[3_750] / sizes[1_250];
    assert!((ratio / (118.0 / 30.0) - 1.0).abs() < 0.03, "{ratio}");
}

/// Variance over mean of the writes per minute.
fn dispersion(config: &Config) -> f64 {
    let mut counts = vec![0.0; 1_000];
    let mut load = trials(config, Rate::Flat { per_s: 5.0 });
    loop {
        let minute = (load.next().unwrap().at.as_s() / 60.0) as usize;
        let Some(count) = counts.get_mut(minute) else {
            break;
        };
        *count += 1.0;
    }
    let n = counts.len() as f64;
    let mean = counts.iter().sum::<f64>() / n;
    counts.iter().map(|c| (c - mean) * (c - mean)).sum::<f64>() / (n - 1.0) / mean
}

#[test]
fn uploads_make_bursts_of_a_poisson_stream() {
    let calm = calm();
    let flat = dispersion(&calm);
    // The index of 1,000 Poisson counts deviates by √(2 / 999).
    assert!((flat - 1.0).abs() < 4.0 * sqrt(2.0 / 999.0), "{flat}");
    let bursts = dispersion(&Config {
        lab_share: 0.47,
        ..calm
    });
    // A minute holds 3,000 records of a batch of a thousand and more: hundreds.
    assert!((100.0..3_000.0).contains(&bursts), "{bursts}");
}

/// Batches come 20 ms by 20 ms and are log-uniform between 50 and 5,000 forms: 10³ to 10⁵ values.
#[test]
fn batch_sizes_are_log_uniform() {
    let config = Config {
        locks_per_day: Some(0.0),
        reads_per_write: 0.0,
        rechecks_per_withdrawal: 0.0,
        ..Config::preset(Preset::Phase3)
    };
    let mut load = trials(&config, Rate::Flat { per_s: 0.05 });
    let mut ends: BTreeMap<u64, f64> = BTreeMap::new();
    let mut all = 0.0;
    for _ in 0..1_200_000 {
        let a = load.next().unwrap();
        if is(&a, Action::Capture) {
            let before = a.at.ns().checked_sub(20_000_000);
            let length = before.and_then(|t| ends.remove(&t)).unwrap_or(0.0);
            ends.insert(a.at.ns(), length + 1.0);
            all += 1.0;
        }
    }
    let mut sizes: Vec<f64> = ends.into_values().filter(|&n| n > 1.5).collect();
    sizes.sort_unstable_by(f64::total_cmp);
    let n = sizes.len() as f64;
    assert!(n > 200.0, "{n}");
    let distance = sizes
        .iter()
        .enumerate()
        .map(|(i, size)| (ln(size / 50.0) / ln(100.0) - (i as f64 + 0.5) / n).abs())
        .fold(0.0, f64::max);
    // The 0.1 % critical value of Kolmogorov and Smirnov; the share follows from the mean.
    assert!(distance < 1.95 / sqrt(n) + 0.01, "{distance} of {n}");
    let share = sizes.iter().sum::<f64>() / all;
    assert!((share - 0.47).abs() < 4.0 * 1.0 / sqrt(n), "{share}");
}

/// In order, only racers and what comes after a lock are refused: everything else refers to what
/// exists.
#[test]
fn dependents_are_valid_from_the_first_second() {
    const EXPECTED: [(&str, &str); 6] = [
        ("trial.randomise", "stratum is full"),
        ("trial.randomise", "already randomised"),
        ("trial.capture", "subject withdrawn"),
        ("trial.capture", "already captured"),
        ("trial.consent", "consent form not current"),
        ("", "study locked"),
    ];
    let locks = Some(900.0);
    for (preset, rate, locks_per_day, n) in [
        (Preset::Portfolio, FLAT, locks, 3_000_000),
        (
            Preset::Registry,
            Rate::Flat { per_s: 2_000.0 },
            locks,
            3_000_000,
        ),
        (Preset::Portfolio, Rate::profile(), None, 500_000),
        (Preset::Phase3, DAYS, None, 50_000),
    ] {
        let config = Config {
            locks_per_day,
            ..Config::preset(preset)
        };
        let mut load = trials(&config, rate);
        let rules = load.rules();
        let (_, fates) = execute(&mut load, &rules, n);
        for ((class, fate), count) in &fates {
            let expected = EXPECTED
                .iter()
                .any(|(c, f)| f == fate && (c.is_empty() || c == class));
            assert!(expected || fate == OK, "{preset:?} {class} {fate}: {count}");
        }
        assert_eq!(load.unsettled(), 0, "{preset:?} {fates:?}");
        let count = |class, fate: &str| fates.get(&(class, fate.to_owned())).copied().unwrap_or(0);
        assert_eq!(count("trial.sign", "study locked"), 0, "{fates:?}");
        if locks_per_day.is_some() {
            assert!(count("trial.lock", OK) > 2, "{fates:?}");
            assert!(count("trial.capture", "already captured") > 10, "{fates:?}");
            assert!(count("trial.capture", "subject withdrawn") > 0, "{fates:?}");
            assert!(count("trial.randomise", "stratum is full") > 0, "{fates:?}");
        }
    }
}

/// All that the settings add, at once: it refers to what exists, and the rate is that asked for.
#[test]
fn additions_are_valid_and_part_of_the_rate() {
    const EXPECTED: [(&str, &str); 9] = [
        ("trial.randomise", "stratum is full"),
        ("trial.randomise", "already randomised"),
        ("trial.randomise", "site not open"),
        ("trial.capture", "subject withdrawn"),
        ("trial.capture", "already captured"),
        ("trial.consent", "consent form not current"),
        ("trial.match", "research consent revoked"),
        // Of a sitting that a withdrawal cut short.
        ("trial.correct", "unknown item"),
        ("", "study locked"),
    ];
    let config = Config {
        signatures: true,
        matches_per_consent: 5.0,
        revoke_share: 0.2,
        hasty_screen_share: 0.3,
        last_minute_share: 0.5,
        susar_at_s: Some(500.0),
        amend_at_s: Some(400.0),
        forms_per_sitting: 8,
        sitting_gap_s: 3.0,
        rush_allocations: 3,
        amendments: 6.0,
        values_per_visit: 20.0,
        lab_share: 0.0,
        locks_per_day: Some(0.0),
        settle_s: 60.0,
        ..Config::default()
    };
    let rate = Rate::Flat { per_s: 200.0 };
    let mut load = trials(&config, rate);
    let rules = load.rules();
    let (_, fates) = execute(&mut load, &rules, 400_000);
    for ((class, fate), count) in &fates {
        let expected = EXPECTED
            .iter()
            .any(|(c, f)| f == fate && (c.is_empty() || c == class));
        assert!(expected || fate == OK, "{class} {fate}: {count}");
    }
    assert_eq!(load.unsettled(), 0, "{fates:?}");
    let of = |class| {
        let rows = fates.iter().filter(|((c, _), _)| *c == class);
        rows.map(|(_, n)| f64::from(*n)).sum::<f64>()
    };
    let ok = |class| f64::from(fates[&(class, OK.to_owned())]);
    let near = |got: f64, want: f64| {
        assert!(
            (got - want).abs() < 5.0 * sqrt(want) + 30.0,
            "{got}, not {want}"
        );
    };
    // Half of the revocations are raced by a match, which comes too late.
    near(
        of("trial.match") - ok("trial.match"),
        of("trial.revoke") / 2.0,
    );
    near(of("trial.revoke"), 0.2 * ok("trial.match"));
    near(of("trial.permit"), ok("trial.match") + of("trial.revoke"));
    near(
        of("trial.approve"),
        of("trial.amend") + of("trial.register"),
    );
    let writes: f64 = fates.values().map(|&n| f64::from(n)).sum();
    let span_s = load.next().unwrap().at.as_s();
    // Sittings of eight: the deviation is √8 times that of a Poisson count.
    let room = 4.0 * sqrt(8.0 / writes) + 0.002;
    assert!(
        (writes / span_s / 200.0 - 1.0).abs() < room,
        "{writes} in {span_s} s"
    );
}

/// Forms of one sitting belong to one subject and site, a gap apart; counts of a long time have
/// the variance of bursts of so many.
#[test]
fn forms_of_a_sitting_come_together() {
    let config = Config {
        forms_per_sitting: 12,
        sitting_gap_s: 2.0,
        correct_share: 0.0,
        query_share: 0.0,
        racing_entry_share: 0.0,
        ..calm()
    };
    let mut last: BTreeMap<u32, (Time, u16, u32)> = BTreeMap::new();
    let mut runs: BTreeMap<u32, u32> = BTreeMap::new();
    for a in first(&config, Rate::Flat { per_s: 1.0 }, 60_000) {
        if !is(&a, Action::Capture) {
            continue;
        }
        let gap = Span::from_s(2);
        let run = match last.get(&a.operand) {
            Some(&(at, site, run)) if a.at.since(at) == gap && run < 12 => {
                assert_eq!(site, a.site);
                run + 1
            }
            _ => 1,
        };
        last.insert(a.operand, (a.at, a.site, run));
        *runs.entry(run).or_insert(0) += 1;
    }
    let full = runs[&12];
    assert!(full > 4_000, "{runs:?}");
    assert!(
        runs.values().all(|n| n.abs_diff(full) < full / 100 + 10),
        "{runs:?}"
    );
    // 60 s hold most of the 22 s of a sitting of 12.
    let index = dispersion(&Config {
        lab_share: 0.0,
        ..config
    });
    assert!((7.0..12.5).contains(&index), "{index}");
}

#[test]
fn a_reaction_and_an_amendment_come_when_they_are_asked_for() {
    let config = Config {
        susar_at_s: Some(300.0),
        susar_reports: 40,
        susar_s: 100.0,
        amend_at_s: Some(200.0),
        racing_consent_share: 0.0,
        events_per_month: 0.0,
        amendments: 0.0,
        ..calm()
    };
    let mut load = trials(&config, FLAT);
    let rules = load.rules();
    let layout = rules.layout();
    let arrivals = take(&mut load, 60_000);
    let amended: Vec<&Arrival> = arrivals.iter().filter(|a| is(a, Action::Amend)).collect();
    let [amendment] = amended[..] else {
        panic!("{amended:?}");
    };
    assert_eq!(amendment.at, Time::ZERO + Span::from_s(200));
    let study = amendment.key.get();
    let subjects = |study| {
        let of = |s: &u32| load.study_site(EntityId::new(*s)).0 == study;
        layout.subjects().filter(of).count()
    };
    let most = subjects(study);
    assert!(layout.studies().all(|other| subjects(other) <= most));
    let reports: Vec<&Arrival> = arrivals
        .iter()
        .filter(|a| is(a, Action::SeriousEvent))
        .collect();
    assert_eq!(reports.len(), 40);
    for report in &reports {
        let after = report.at.since(Time::ZERO + Span::from_s(300));
        assert!(after <= Span::from_s(100));
        // Known since the sponsor's letter, and fatal.
        assert_eq!(
            report.operand,
            serious(true, (after.ns() / 1_000_000_000) as u32)
        );
        assert_eq!(load.study_site(report.key).0, study);
    }
    let sites: std::collections::BTreeSet<u16> = reports.iter().map(|a| a.site).collect();
    assert!(sites.len() > 5, "{sites:?}");
}

/// Reports of the last minute are uniform over it.
#[test]
fn some_reports_come_in_the_last_minute() {
    let config = Config {
        last_minute_share: 0.4,
        last_minute_s: 600.0,
        serious_share: 1.0,
        events_per_month: 1_000.0,
        ..calm()
    };
    let (mut n, mut late, mut sum) = (0.0, 0.0, 0.0);
    for a in first(&config, FLAT, 100_000) {
        if !is(&a, Action::SeriousEvent) {
            continue;
        }
        let fatal = a.operand >> 31 == 1;
        let clock = if fatal { 7.0 } else { 15.0 } * 86_400.0;
        let left = clock - f64::from(a.operand & 0x7fff_ffff);
        n += 1.0;
        if left <= 600.0 {
            late += 1.0;
            sum += left;
        }
    }
    assert!(n > 30_000.0, "{n}");
    let room = 4.0 * sqrt(0.4 * 0.6 / n) + 0.001;
    assert!((late / n - 0.4).abs() < room, "{late} of {n}");
    assert!(
        (sum / late - 300.0).abs() < 4.0 * 600.0 / sqrt(12.0 * late) + 1.0,
        "{sum}"
    );
}

/// Every class has its name in the standards.
#[test]
fn classes_are_named_as_the_standards_name_them() {
    let workload = WorkloadKind::Trial.parse(toml::Table::new()).unwrap();
    let names = workload.vocabulary();
    let load = trials(&Config::default(), FLAT);
    assert_eq!(names.len(), load.classes().len());
    for ((class, standard), have) in names.into_iter().zip(load.classes()) {
        assert_eq!(class, have.name);
        let known = ["FHIR ", "ODM "].iter().any(|s| standard.starts_with(s));
        assert!(known, "{class}: {standard}");
    }
}

/// Each step of a subject and of an item comes long after the one before.
#[test]
fn dependents_come_long_after_their_parents() {
    // Few values, so that subjects are many.
    let config = Config {
        values_per_visit: 1.0,
        values_per_form: 1,
        settle_s: 120.0,
        query_share: 0.5,
        correct_share: 0.5,
        racing_randomise_share: 0.0,
        ..Config::preset(Preset::Registry)
    };
    let mut latest: BTreeMap<(Action, u32), Time> = BTreeMap::new();
    let mut seen: BTreeMap<Action, u32> = BTreeMap::new();
    let mut load = trials(&config, FLAT);
    let settle = Span::from_s(120);
    for _ in 0..3_000_000 {
        let a = load.next().unwrap();
        let action = Action::ALL[a.class.index()];
        let key = match action {
            Action::Randomise | Action::Capture => a.operand,
            _ => a.key.get(),
        };
        let parent = match action {
            Action::Screen => Action::Consent,
            Action::Randomise => Action::Screen,
            Action::Capture | Action::AdverseEvent | Action::Withdraw => Action::Randomise,
            Action::Correct | Action::Query => Action::Check,
            Action::Answer => Action::Query,
            _ => action,
        };
        if action == Action::Capture {
            // Stands for the item; a second entry is a racer.
            latest.entry((Action::Check, a.key.get())).or_insert(a.at);
        }
        if parent != action
            && let Some(&at) = latest.get(&(parent, key))
        {
            assert!(a.at.since(at) >= settle, "{action:?} {key} at {:?}", a.at);
            *seen.entry(action).or_insert(0) += 1;
        }
        if action != Action::Check {
            latest.insert((action, key), a.at);
        }
    }
    for action in [
        Action::Screen,
        Action::Randomise,
        Action::Capture,
        Action::Withdraw,
        Action::Correct,
        Action::Query,
        Action::Answer,
    ] {
        assert!(seen.get(&action).is_some_and(|&n| n > 10), "{seen:?}");
    }
}

#[test]
fn racers_come_within_seconds_and_elsewhere() {
    let config = Config {
        racing_capture_share: 1.0,
        ..Config::default()
    };
    let mut withdrawn = BTreeMap::new();
    let (mut captures, mut checks) = (0, 0);
    for a in first(&config, Rate::Flat { per_s: 2_000.0 }, 4_000_000) {
        if is(&a, Action::Withdraw) {
            withdrawn.insert(a.key.get(), (a.at, a.site));
        }
        let (subject, within_s) = match Action::ALL[a.class.index()] {
            Action::Capture => (a.operand, 10),
            Action::Check => (a.key.get(), 60),
            _ => continue,
        };
        let Some(&(at, site)) = withdrawn.get(&subject) else {
            continue;
        };
        assert!(a.at.since(at) <= Span::from_s(within_s));
        assert_ne!(a.site, site);
        captures += u32::from(is(&a, Action::Capture));
        checks += u32::from(is(&a, Action::Check));
    }
    let n = withdrawn.len() as u32;
    assert!(n > 200 && captures.abs_diff(n) < 5 && checks.abs_diff(n) < 60);
}

/// A day with locks: late signatures, exponential before the lock; a ledger that executes locks 5 s
/// too early loses the share 1 − e^(−5/30) of them, all as overtaken.
#[test]
fn an_early_lock_costs_its_share_of_signatures() {
    let config = Config {
        locks_per_day: Some(960.0),
        reads_per_write: 0.0,
        ..Config::default()
    };
    let rate = Rate::Flat { per_s: 33.0 };
    let mut load = trials(&config, rate);
    let mut arrivals = Vec::new();
    loop {
        let a = load.next().unwrap();
        if a.at.as_s() > 3.0 * 3600.0 {
            break;
        }
        let early = u64::from(is(&a, Action::Lock)) * 5_000_000_000;
        arrivals.push((a.at.ns().saturating_sub(early), a));
    }
    let n = arrivals.len() as f64;
    assert!((n / 33.0 / 10_800.0 - 1.0).abs() < 0.1, "{n}");
    arrivals.sort_by_key(|(order, _)| *order);
    let rules = load.rules();
    let mut book = Book::new(&rules);
    let mut fates: BTreeMap<(Action, &str), f64> = BTreeMap::new();
    for (_, a) in &arrivals {
        let fate = match rules.apply(a, a.at, &mut book) {
            Verdict::Rejected(why) => rules.reasons()[usize::from(why)],
            _ => OK,
        };
        *fates
            .entry((Action::ALL[a.class.index()], fate))
            .or_insert(0.0) += 1.0;
    }
    let count = |action, fate| fates.get(&(action, fate)).copied().unwrap_or(0.0);
    let locks = count(Action::Lock, OK) + count(Action::Lock, "open queries");
    assert!((locks - 120.0).abs() < 44.0, "{locks}");
    // A lock that an answer has not reached yet is refused, and loses nothing.
    let held = count(Action::Lock, OK) / locks;
    assert!((0.9..1.0).contains(&held), "{held}");
    let signed = count(Action::Sign, OK) + count(Action::Sign, "overtaken by the lock");
    assert!((signed / locks / 64.0 - 1.0).abs() < 0.03, "{signed}");
    let lost = count(Action::Sign, "overtaken by the lock") / signed / held;
    let want = 1.0 - exp(-5.0 / 30.0);
    let room = 4.0 * sqrt(want * (1.0 - want) / signed);
    assert!((lost - want).abs() < room + 0.005, "{lost}, not {want}");
    assert!(count(Action::Sign, "study locked") < 0.5);
    assert!(count(Action::Correct, "study locked") > 0.5);
    assert!(count(Action::Correct, "overtaken by the lock") > 0.5);
    assert!(count(Action::Capture, "overtaken by the lock") > 0.5);
}

/// Each closing study's second lock follows an unlock, and its casebooks are signed anew.
#[test]
fn closing_studies_are_opened_again() {
    let config = Config {
        locks_per_day: Some(40.0),
        ..calm()
    };
    let mut load = trials(&config, Rate::Flat { per_s: 2.0 });
    let rules = load.rules();
    let (_, fates) = execute(&mut load, &rules, 800_000);
    let count = |class, fate: &str| fates.get(&(class, fate.to_owned())).copied().unwrap_or(0);
    assert!(count("trial.unlock", OK) > 50, "{fates:?}");
    let (locks, signs) = (count("trial.lock", OK), count("trial.sign", OK));
    assert!(signs.abs_diff(locks * 64) < 130, "{fates:?}");
    let refused = |class| fates.keys().any(|(c, fate)| *c == class && fate != OK);
    assert!(!refused("trial.sign") && !refused("trial.unlock") && !refused("trial.lock"));
    assert_eq!(load.unsettled(), 0);
}

#[test]
fn the_same_seed_gives_the_same_arrivals_and_another_does_not() {
    let config = Config::default();
    let run = |seed| {
        let mut load = Trials::new(&config, FLAT, seed).unwrap();
        digest(&take(&mut load, 10_000))
    };
    assert_eq!(run(Seed::new(1, 0)), run(Seed::new(1, 0)));
    assert_ne!(run(Seed::new(1, 0)), run(Seed::new(1, 1)));
    assert_ne!(run(Seed::new(1, 0)), run(Seed::new(2, 0)));
}

#[test]
fn sites_and_payload_move_no_time_and_no_subject() {
    let base = first(&Config::default(), FLAT, 50_000);
    let changes: [fn(&mut Config); 3] = [
        |c| c.sites = Some(40),
        |c| c.payload = Payload::Full,
        |c| c.exec_us = 500,
    ];
    for change in changes {
        let mut config = Config::default();
        change(&mut config);
        let other = first(&config, FLAT, 50_000);
        let same = |(a, b): (&Arrival, &Arrival)| (a.at, a.key, a.class) == (b.at, b.key, b.class);
        assert!(base.iter().zip(&other).all(same));
        assert_ne!(digest(&base), digest(&other));
    }
}

/// A class that no longer arrives moves no other.
#[test]
fn classes_have_streams_of_their_own() {
    let mut config = calm();
    let with = first(&config, Rate::profile(), 50_000);
    config.events_per_month = 0.0;
    let without = first(&config, Rate::profile(), 40_000);
    let events = |a: &&Arrival| is(a, Action::AdverseEvent) || is(a, Action::SeriousEvent);
    assert!(with.iter().any(|a| events(&a)));
    let mut rest = with.iter().filter(|a| !events(a));
    for b in &without {
        let a = rest.next().unwrap();
        assert_eq!((a.at, a.class, a.site), (b.at, b.class, b.site));
    }
}

type Change = fn(&mut Config);
const CHANGES: [(&str, Change); 63] = [
    ("preset", |c| c.preset = Preset::Registry),
    ("studies", |c| c.studies = Some(7)),
    ("sites", |c| c.sites = Some(3)),
    ("locks_per_day", |c| c.locks_per_day = Some(1_000.0)),
    ("payload", |c| c.payload = Payload::Full),
    ("granularity", |c| c.granularity = Granularity::Value),
    ("participants", |c| c.participants = 100.0),
    ("sites_per_study", |c| c.sites_per_study = 10.0),
    ("recruit_months", |c| c.recruit_months = 6.0),
    ("treatment_months", |c| c.treatment_months = 3.0),
    ("visits", |c| c.visits = 5.0),
    ("values_per_visit", |c| c.values_per_visit = 63.0),
    ("values_per_form", |c| c.values_per_form = 7),
    ("study_sigma", |c| c.study_sigma = 0.0),
    ("site_sigma", |c| c.site_sigma = 0.0),
    ("unopened_share", |c| c.unopened_share = 0.9),
    ("idle_share", |c| c.idle_share = 0.9),
    ("screen_failure_share", |c| c.screen_failure_share = 0.6),
    ("withdraw_share", |c| c.withdraw_share = 1.0),
    ("events_per_month", |c| c.events_per_month = 9.0),
    ("serious_share", |c| c.serious_share = 0.5),
    ("fatal_share", |c| c.fatal_share = 1.0),
    ("correct_share", |c| c.correct_share = 0.1),
    ("query_share", |c| c.query_share = 0.3),
    ("amendments", |c| c.amendments = 50.0),
    ("amended_share", |c| c.amended_share = 0.9),
    ("lab_share", |c| c.lab_share = 0.1),
    ("lab_spread", |c| c.lab_spread = 2.0),
    ("upload_per_s", |c| c.upload_per_s = 7.0),
    ("strata", |c| c.strata = 9),
    ("late_share", |c| c.late_share = 0.5),
    ("late_correct_share", |c| c.late_correct_share = 1.0),
    ("late_capture_share", |c| c.late_capture_share = 1.0),
    ("straggler_share", |c| c.straggler_share = 0.9),
    ("late_answer_share", |c| c.late_answer_share = 1.0),
    ("rush_s", |c| c.rush_s = 5.0),
    ("racing_capture_share", |c| c.racing_capture_share = 1.0),
    ("racing_randomise_share", |c| c.racing_randomise_share = 1.0),
    ("racing_consent_share", |c| c.racing_consent_share = 1.0),
    ("racing_entry_share", |c| c.racing_entry_share = 0.5),
    ("race_s", |c| c.race_s = 1.0),
    ("signatures", |c| c.signatures = true),
    ("matches_per_consent", |c| c.matches_per_consent = 9.0),
    ("revoke_share", |c| c.revoke_share = 0.5),
    ("racing_match_share", |c| c.racing_match_share = 1.0),
    ("hasty_screen_share", |c| c.hasty_screen_share = 0.5),
    ("last_minute_share", |c| c.last_minute_share = 0.9),
    ("last_minute_s", |c| c.last_minute_s = 5.0),
    ("susar_at_s", |c| c.susar_at_s = Some(90.0)),
    ("susar_reports", |c| c.susar_reports = 3),
    ("susar_s", |c| c.susar_s = 5.0),
    ("amend_at_s", |c| c.amend_at_s = Some(100.0)),
    ("forms_per_sitting", |c| c.forms_per_sitting = 5),
    ("sitting_gap_s", |c| c.sitting_gap_s = 1.0),
    ("rush_allocations", |c| c.rush_allocations = 2),
    ("rechecks_per_withdrawal", |c| {
        c.rechecks_per_withdrawal = 9.0;
    }),
    ("recheck_s", |c| c.recheck_s = 5.0),
    ("reads_per_write", |c| c.reads_per_write = 3.0),
    ("settle_s", |c| c.settle_s = 60.0),
    ("expiry_s", |c| c.expiry_s = Some(30.0)),
    ("exec_us", |c| c.exec_us = 51),
    ("read_us", |c| c.read_us = 6),
    // Moves the rate of locks that follows from the studies' length, nothing at a given one.
    ("lock_after_days", |c| {
        c.lock_after_days = 1.0;
        c.locks_per_day = None;
    }),
];

/// No setting is accepted and ignored.
#[test]
fn every_setting_shows() {
    // Something for each setting that says how another is done.
    let base = Config {
        locks_per_day: Some(400.0),
        matches_per_consent: 5.0,
        revoke_share: 0.2,
        last_minute_share: 0.5,
        susar_at_s: Some(100.0),
        forms_per_sitting: 2,
        ..Config::default()
    };
    let natural = Config {
        locks_per_day: None,
        ..base.clone()
    };
    let shows = |config: &Config| {
        let mut load = trials(config, FLAT);
        let classes = load.classes().to_vec();
        (digest(&take(&mut load, 400_000)), classes)
    };
    let (want, want_natural) = (shows(&base), shows(&natural));
    for (key, change) in CHANGES {
        let mut config = base.clone();
        change(&mut config);
        let want = if config.locks_per_day.is_none() {
            &want_natural
        } else {
            &want
        };
        assert!(shows(&config) != *want, "`{key}` is ignored");
    }
}

#[test]
fn sizes_follow_payload_and_granularity() {
    let bytes = |payload, granularity| {
        let config = Config {
            payload,
            granularity,
            ..Config::default()
        };
        let arrivals = first(&config, FLAT, 200_000);
        let of = |action| arrivals.iter().find(|a| is(a, action)).map(|a| a.bytes);
        (of(Action::Capture), of(Action::Query), of(Action::Check))
    };
    for granularity in [Granularity::Form, Granularity::Value] {
        let hash = bytes(Payload::Hash, granularity);
        assert_eq!(hash, (Some(300), Some(300), Some(0)));
    }
    let form = bytes(Payload::Full, Granularity::Form);
    assert_eq!(form, (Some(2_100), Some(315), Some(0)));
    let value = bytes(Payload::Full, Granularity::Value);
    assert_eq!(value, (Some(105), Some(315), Some(0)));
}

#[test]
fn withdrawn_consents_are_watched_and_only_checks_are_reads() {
    let load = trials(&Config::default(), FLAT);
    for (action, class) in Action::ALL.iter().zip(load.classes()) {
        let (kind, tells) = match action {
            Action::Check => (Kind::Read, ""),
            Action::Withdraw => (Kind::WatchedWrite, "procedures after withdrawal"),
            Action::Sign | Action::Lock => (Kind::Write, "audit completeness at lock"),
            Action::Capture => (Kind::Write, "time to irrevocable"),
            Action::Revoke => (Kind::WatchedWrite, "matches on revoked consent"),
            _ => (Kind::Write, ""),
        };
        assert_eq!((class.kind, class.tells), (kind, tells), "{}", class.name);
        assert!(class.name.starts_with("trial."));
    }
}

#[test]
fn settings_are_read_and_written_whole() {
    let table = toml::Table::try_from(toml::toml! {
        preset = "phase3"
        sites = 5
        granularity = "value"
    })
    .unwrap();
    let workload = WorkloadKind::Trial.parse(table).unwrap();
    let written = toml::Value::try_from(&workload).unwrap();
    assert_eq!(written["studies"].as_integer(), Some(1));
    assert_eq!(written["sites"].as_integer(), Some(5));
    // Once in 30 months and 36 days.
    let locks = written["locks_per_day"].as_float().unwrap();
    assert!(
        (locks * (30.0 * 30.4375 + 36.0) - 1.0).abs() < 1e-9,
        "{locks}"
    );
    let again = WorkloadKind::Trial.parse(written).unwrap();
    assert_eq!(workload, again);
    let wrong = toml::toml! { site = 5 };
    let error = WorkloadKind::Trial.parse(wrong).unwrap_err().to_string();
    assert!(error.contains("unknown field `site`"), "{error}");
}

#[test]
fn settings_out_of_range_are_named() {
    let changes: [(&str, Change); 12] = [
        ("forms_per_sitting", |c| c.forms_per_sitting = 0),
        ("susar_reports", |c| c.susar_reports = 0),
        ("rush_allocations", |c| c.rush_allocations = 1_001),
        ("hasty_screen_share", |c| c.hasty_screen_share = 1.5),
        ("sites", |c| c.sites = Some(0)),
        ("studies", |c| c.studies = Some(0)),
        ("strata", |c| c.strata = 0),
        ("values_per_form", |c| c.values_per_form = 601),
        ("lab_share", |c| c.lab_share = 1.5),
        ("race_s", |c| c.race_s = f64::NAN),
        ("participants", |c| c.participants = 1.0),
        ("locks_per_day", |c| c.locks_per_day = Some(200_000.0)),
    ];
    for (key, change) in changes {
        let mut config = Config::default();
        change(&mut config);
        let error = Trials::new(&config, FLAT, Seed::new(1, 0))
            .err()
            .unwrap()
            .to_string();
        assert!(error.starts_with(&format!("`{key}` is ")), "{key}: {error}");
    }
}

/// A change here changes every result and needs a new model version.
#[test]
fn the_first_arrivals_of_each_preset_are_pinned() {
    let got: Vec<String> = Preset::ALL
        .iter()
        .flat_map(|&preset| [(preset, FLAT), (preset, Rate::profile())])
        .map(|(preset, rate)| {
            let arrivals = first(&Config::preset(preset), rate, 10_000);
            format!("{:016x}", digest(&arrivals))
        })
        .collect();
    assert_eq!(got, PINNED);
}

const PINNED: [&str; 6] = [
    "16b472de9ef90f03",
    "c0d6d02f89cad068",
    "44c311e9e803d7be",
    "494f939216916bd5",
    "53812b5c43317f97",
    "8730f96a6a400e90",
];
