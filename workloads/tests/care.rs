//! What the hospital's domain tells, each measure by a constructed case.

use quorate_core::{
    Arrival, ClassId, Domain, EntityId, Ledger, Load, Ordered, Seed, Shown, Span, State, Tell,
    Time, Unit, Verdict,
};
use quorate_workloads::Rate;
use quorate_workloads::hospital::{Catalogue, Config, Hospital};
use quorate_workloads::rules::full::emergency;
use quorate_workloads::rules::{Action, Layout};
use std::collections::BTreeMap;

/// A ledger of two views: what is final, and what a site serves, which lags until it is caught up.
struct World {
    load: Hospital,
    final_view: Book,
    served: Book,
    order: Vec<Told>,
    told: Collected,
}

/// A transaction with what its site's view said of it.
struct Told {
    tx: Arrival,
    view: Option<Verdict>,
}

#[derive(Clone, Default)]
struct Book(BTreeMap<u32, u128>);

struct Seen<'a>(&'a mut Book, &'a dyn Ledger);

impl State for Seen<'_> {
    fn get(&self, entity: EntityId) -> u128 {
        let known = self.0.0.get(&entity.get());
        known.copied().unwrap_or_else(|| self.1.preload(entity))
    }

    fn set(&mut self, entity: EntityId, cell: u128) {
        self.0.0.insert(entity.get(), cell);
    }
}

/// Cases and lengths by the name of the measure.
#[derive(Default)]
struct Collected {
    names: Vec<&'static str>,
    cases: BTreeMap<&'static str, Vec<bool>>,
    times: BTreeMap<&'static str, Vec<u64>>,
}

impl Tell for Collected {
    fn case(&mut self, measure: usize, _submitted: Time, hit: bool) {
        let name = self.names[measure];
        self.cases.entry(name).or_default().push(hit);
    }

    fn time(&mut self, measure: usize, _submitted: Time, length: Span) {
        let name = self.names[measure];
        let ms = length.ns() / 1_000_000;
        self.times.entry(name).or_default().push(ms);
    }
}

fn world(config: &Config) -> World {
    let load = Hospital::new(config, Rate::Flat { per_s: 1.0 }, Seed::new(1, 0)).unwrap();
    let names = load.domain().measures().iter().map(|m| m.name).collect();
    World {
        load,
        final_view: Book::default(),
        served: Book::default(),
        order: Vec::new(),
        told: Collected {
            names,
            ..Collected::default()
        },
    }
}

impl World {
    fn tx(&self, action: Action, key: u32, operand: u32, at_s: u64) -> Arrival {
        let name = self.load.classes();
        let of = |class: &quorate_core::Class| {
            class.name.replace('.', "") == format!("{action:?}").to_lowercase()
                || (action == Action::BreakGlass && class.name == "access.breakglass")
        };
        let class = name.iter().position(of).expect("the class occurs");
        Arrival {
            at: Time::from_ns(at_s * 1_000_000_000),
            key: EntityId::new(key),
            operand,
            bytes: 300,
            exec_us: 50,
            site: 0,
            class: ClassId(class as u8),
            action: action as u8,
        }
    }

    /// Submits: the site's view says what it thinks, and the transaction takes its place in the order.
    fn submit(&mut self, action: Action, key: u32, operand: u32, at_s: u64) -> Verdict {
        let tx = self.tx(action, key, operand, at_s);
        let rules = self.load.rules();
        let mut trial = self.served.clone();
        let view = rules.advise(&tx, tx.at, &mut Seen(&mut trial, &rules));
        self.order.push(Told {
            tx,
            view: Some(view),
        });
        view
    }

    /// The site's view catches up with all that was submitted.
    fn catch_up(&mut self) {
        let rules = self.load.rules();
        self.served = Book::default();
        for told in &self.order {
            rules.apply(&told.tx, told.tx.at, &mut Seen(&mut self.served, &rules));
        }
    }

    /// Shows the order to a domain, each transaction in a block that is `late_s` behind it.
    fn tell(&mut self, late_s: u64) -> &Collected {
        let rules = self.load.rules();
        let mut domain = self.load.domain();
        for told in &self.order {
            let block_at = told.tx.at + Span::from_s(late_s);
            let state = &mut Seen(&mut self.final_view, &rules);
            let verdict = rules.apply(&told.tx, block_at, state);
            let shown = domain.shown(told.tx.class);
            if shown == Shown::Nothing {
                continue;
            }
            let next = Ordered {
                tx: &told.tx,
                view: told.view.filter(|_| shown == Shown::Acted),
                verdict,
                block_at,
            };
            domain.ordered(&next, &mut self.told);
        }
        domain.end(&mut self.told);
        &self.told
    }
}

/// The patient whose consent to the home site is active before the first block, as most are.
fn consented(world: &World) -> u32 {
    let rules = world.load.rules();
    let active = |c: &u32| rules.allows(rules.preload(EntityId::new(*c)), Time::ZERO);
    let homes = rules.layout().consents();
    homes
        .step_by(Layout::GRANTEES as usize)
        .find(active)
        .unwrap()
}

#[test]
fn an_access_on_an_old_view_is_told_and_one_on_a_new_is_not() {
    let mut world = world(&Config::default());
    let consent = consented(&world);
    world.submit(Action::AccessRecord, consent, 0, 1);
    world.submit(Action::ConsentRevoke, consent, 0, 2);
    // The view has not heard of it: two accesses happen.
    world.submit(Action::AccessRecord, consent, 0, 3);
    world.submit(Action::AccessRecord, consent, 0, 4);
    world.catch_up();
    // Now it says no, and nobody looks.
    world.submit(Action::AccessRecord, consent, 0, 5);
    world.submit(Action::ConsentGrant, consent, 0, 6);
    world.submit(Action::AccessRecord, consent, 0, 7);
    let told = world.tell(1);
    assert_eq!(told.cases["accesses_after_revocation"], [true, true, false]);
}

/// Before the revocation was submitted, an access that is ordered after it did no wrong.
#[test]
fn an_access_before_the_revocation_is_none_after_it() {
    let mut world = world(&Config::default());
    let consent = consented(&world);
    world.submit(Action::ConsentRevoke, consent, 0, 9);
    world.submit(Action::AccessRecord, consent, 0, 8);
    assert!(world.tell(1).cases.is_empty());
}

#[test]
fn of_two_dispenses_of_a_fill_the_second_lost_only_if_it_could_not_know() {
    let mut world = world(&Config::default());
    let rx = world.load.rules().layout().prescriptions().start;
    world.submit(Action::ErxDispense, rx, 0, 1);
    world.submit(Action::ErxDispense, rx, 0, 2);
    world.catch_up();
    // At the counter the view refuses it: nothing is handed out.
    world.submit(Action::ErxDispense, rx, 0, 3);
    let told = world.tell(1);
    assert_eq!(told.cases["double_dispensed"], [true, false]);
}

#[test]
fn a_dispense_races_a_cancellation() {
    let mut world = world(&Config::default());
    let first = world.load.rules().layout().cancellable().start;
    for rx in [first, first + 1] {
        world.submit(Action::ErxCancel, rx, 0, 1);
    }
    world.submit(Action::ErxDispense, first, 0, 2);
    world.catch_up();
    world.submit(Action::ErxDispense, first + 1, 0, 3);
    let told = world.tell(1);
    assert_eq!(told.cases["dispensed_though_cancelled"], [true, false]);
}

#[test]
fn a_claim_and_an_identity_come_twice() {
    let mut world = world(&Config::default());
    let new = world.load.rules().layout().end();
    for (action, key) in [
        (Action::ClaimSubmit, new),
        (Action::IdentityRegister, new + 1),
    ] {
        world.submit(action, key, 0, 1);
        world.submit(action, key, 0, 2);
    }
    world.catch_up();
    world.submit(Action::ClaimSubmit, new, 0, 3);
    world.submit(Action::IdentityRegister, new + 1, 0, 3);
    let told = world.tell(1);
    assert_eq!(told.cases["duplicate_claims"], [true, false]);
    assert_eq!(told.cases["duplicate_identities"], [true, false]);
}

#[test]
fn of_two_amendments_of_a_head_one_is_lost() {
    let mut world = world(&Config::default());
    let document = world.load.rules().layout().documents().start;
    world.submit(Action::RecordAmend, document, 1, 1);
    world.submit(Action::RecordAmend, document, 1, 2);
    world.catch_up();
    world.submit(Action::RecordAmend, document, 2, 3);
    // The author looks at an old page: the view itself says no.
    world.submit(Action::RecordAmend, document, 1, 4);
    let told = world.tell(1);
    assert_eq!(
        told.cases["conflicting_amends"],
        [false, true, false, false]
    );
}

#[test]
fn an_emergency_is_on_record_with_its_block() {
    let mut world = world(&Config::default());
    world.submit(Action::BreakGlass, 0, 0, 10);
    world.submit(Action::BreakGlass, 0, 0, 20);
    let told = world.tell(7);
    assert_eq!(told.times["break_glass_audit_lag_ms"], [7_000, 7_000]);
}

fn full() -> Config {
    Config {
        catalogue: Some(Catalogue {
            review_within_s: 100.0,
            ..Catalogue::default()
        }),
        ..Config::default()
    }
}

/// Three emergencies with a review due 100 s later: one in time, one late, one that never comes; and one
/// that is not due yet when the run ends.
#[test]
fn an_emergency_without_a_review_by_its_deadline_is_told() {
    let mut world = world(&full());
    let glass = |at_s: u64| emergency(1, 1, Time::from_ns(at_s * 1_000_000_000));
    for (consent, at_s) in [(0, 10), (4, 20), (8, 30)] {
        world.submit(Action::BreakGlass, consent, glass(at_s), at_s);
    }
    world.submit(Action::AccessReview, 0, 110, 109);
    world.submit(Action::AccessReview, 4, 120, 120);
    world.submit(Action::BreakGlass, 12, glass(130), 130);
    // A second review has nothing to review and settles nothing.
    world.submit(Action::AccessReview, 0, 110, 131);
    let told = world.tell(1);
    assert_eq!(told.cases["break_glass_unreviewed"], [false, true, true]);
    assert_eq!(told.times["break_glass_audit_lag_ms"].len(), 4);
}

#[test]
fn an_exchange_takes_until_its_answer_is_on_record() {
    let mut world = world(&full());
    let (consent, new) = (consented(&world), world.load.rules().layout().end());
    world.submit(Action::ExchangeRequest, new, consent, 10);
    world.submit(Action::ExchangeRespond, new, 0, 18);
    world.submit(Action::ExchangeRespond, new, 0, 19);
    // Without consent there is no exchange.
    world.submit(Action::ConsentRevoke, consent, 0, 20);
    world.submit(Action::ExchangeRequest, new + 1, consent, 21);
    world.submit(Action::ExchangeRespond, new + 1, 0, 30);
    let told = world.tell(4);
    assert_eq!(told.times["exchange_time_ms"], [12_000]);
}

#[test]
fn a_claim_is_paid_twice_only_by_a_payer_who_does_not_know() {
    let mut world = world(&full());
    let layout = *world.load.rules().layout();
    let claim = layout.approved_claims().start;
    let pay =
        |world: &mut World, account, at_s| world.submit(Action::ClaimPay, account, claim, at_s);
    let mut accounts = layout.payers();
    let payer = accounts
        .find(|&account| pay(&mut world, account, 1) == Verdict::Valid)
        .unwrap();
    pay(&mut world, payer, 2);
    world.catch_up();
    pay(&mut world, payer, 3);
    let told = world.tell(1);
    assert_eq!(told.cases["double_paid"], [true, false]);
}

#[test]
fn measures_explain_themselves() {
    let world = world(&Config::default());
    let domain = world.load.domain();
    for measure in domain.measures() {
        assert!(!measure.what.is_empty() && !measure.source.is_empty());
        assert!(!measure.moved_by.is_empty());
        assert_eq!(measure.name.ends_with("_ms"), measure.unit == Unit::Time);
    }
    // What nobody asks for is not shown, and costs nothing.
    let shown = |name: &str| {
        let class = world.load.classes().iter().position(|c| c.name == name);
        domain.shown(ClassId(class.unwrap() as u8))
    };
    assert_eq!(shown("report.issue"), Shown::Nothing);
    assert_eq!(shown("consent.revoke"), Shown::Ordered);
    assert_eq!(shown("erx.dispense"), Shown::Acted);
}
