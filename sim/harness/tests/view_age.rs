//! Readers whose site is cut off: what a largest age of the view makes of disclosures and of care.

use quorate::validate::world::World;
use quorate_consensus::qbft::{self, Qbft};
use quorate_core::{
    Arrival, Cell, Class, ClassId, EntityId, Kind, Ledger, Level, Load, NodeId, Span, State, Time,
    Verdict,
};
use quorate_kernel::probe::Reads;
use quorate_kernel::{Forms, Report, Simulation, ViewAge, WhenStale};

/// Site 0 revokes the consent of patient 1 at `REVOKED`; site 1 reads of patients 1 and 2 in turn, four
/// times a second, at instants that no block falls on.
struct Readers {
    next: u64,
    revoked: bool,
}

const REVOKED: u64 = 11_000;
const END: u64 = 45_000;

/// The ms at which a read arrives, and of whom.
const fn read(number: u64) -> (u64, u32) {
    (100 + 250 * number, 1 + (number % 2) as u32)
}

/// Reads of a patient between two instants in ms, the first left out.
fn reads(patient: u32, after: u64, until: u64) -> u64 {
    let all = (0..).map(read).take_while(|r| r.0 <= until);
    all.filter(|r| r.0 > after && r.1 == patient).count() as u64
}

impl Load for Readers {
    fn classes(&self) -> &[Class] {
        const CLASSES: [Class; 2] = [
            Class {
                name: "revoke",
                kind: Kind::WatchedWrite,
                expiry: None,
                tells: "",
            },
            Class {
                name: "read",
                kind: Kind::Read,
                expiry: None,
                tells: "",
            },
        ];
        &CLASSES
    }

    fn sites(&self) -> u32 {
        2
    }

    fn next(&mut self) -> Option<Arrival> {
        let (ms, patient) = read(self.next);
        let revoke = !self.revoked && ms > REVOKED;
        self.revoked |= revoke;
        self.next += u64::from(!revoke);
        let ms = if revoke { REVOKED } else { ms };
        Some(Arrival {
            at: Time::from_ns(ms * 1_000_000),
            key: EntityId::new(if revoke { 1 } else { patient }),
            operand: 0,
            bytes: 100,
            exec_us: 0,
            site: u16::from(!revoke),
            class: ClassId(u8::from(!revoke)),
            action: 0,
        })
    }
}

/// A record is a revocation.
struct Consents;

impl Ledger for Consents {
    fn reasons(&self) -> &[&'static str] {
        &[]
    }

    fn preload(&self, _: EntityId) -> Cell {
        0
    }

    fn preloaded(&self) -> u32 {
        0
    }

    fn apply(&self, tx: &Arrival, _: Time, state: &mut dyn State) -> Verdict {
        state.set(tx.key, 1);
        Verdict::Valid
    }

    fn allows(&self, cell: Cell, _: Time) -> bool {
        cell == 0
    }
}

/// Four members 50 ms apart, a block on every second, empty or not; some are cut off from 10.5 s to
/// 30.5 s, the second site among them.
fn cut_off(nodes: &[u32], rule: Option<(u64, WhenStale)>, forms: Forms) -> Report {
    let ms = Span::from_ms;
    let mut world = World::new(4, ms(50), ms(END)).partition(nodes, ms(10_500), ms(30_500));
    world.setup.serving = vec![NodeId::new(0), NodeId::new(3)];
    world.setup.read_level = Level::Included;
    world.setup.forms = forms;
    world.setup.view_age = rule.map(|(most, when_stale)| ViewAge {
        most: ms(most),
        when_stale,
    });
    let config = qbft::Config {
        period_ms: 1_000,
        ..qbft::Config::default()
    };
    let load = Box::new(Readers {
        next: 0,
        revoked: false,
    });
    let mut sim = Simulation::<Qbft>::new(&config, world.setup, load, &Consents);
    sim.run();
    sim.finish()
}

fn run(rule: Option<(u64, WhenStale)>) -> Report {
    let fast = cut_off(&[3], rule, Forms::FAST);
    let naive = cut_off(&[3], rule, Forms::NAIVE);
    assert_eq!((fast.reads, fast.digest), (naive.reads, naive.digest));
    fast
}

fn stale(reads: &Reads) -> u64 {
    reads.stale.iter().sum()
}

/// When the site that was cut off knows of the revocation, ms.
fn caught_up(report: &Report) -> u64 {
    let exposure = &report.probe.exposure[0].longest[Level::Included as usize];
    REVOKED + exposure.max() / 1_000
}

/// The site's last block before the cut is of second 10. Up to an age of 5 s its view answers, and
/// discloses what was revoked at second 11; from second 15 until it has caught up nobody is answered.
#[test]
fn a_site_that_is_cut_off_discloses_up_to_the_age_and_denies_from_there() {
    let report = run(Some((5_000, WhenStale::Deny)));
    let until = caught_up(&report);
    assert!((30_500..33_000).contains(&until), "{until}");
    let got = report.reads;
    assert_eq!(stale(&got), reads(1, REVOKED, 15_000));
    assert_eq!(got.stale[3], stale(&got), "all behind the partition");
    let denied = [1, 2].map(|patient| reads(patient, 15_000, until));
    assert_eq!((got.old, got.denied), (denied[0] + denied[1], got.old));
    assert_eq!(got.care_denied, denied[1], "patient 2 has revoked nothing");
    assert_eq!(got.glass_broken, 0);
}

/// Without a rule, and with one that allows, the view answers all along.
#[test]
fn without_a_rule_it_discloses_all_along() {
    let (free, allowed) = (run(None), run(Some((5_000, WhenStale::Allow))));
    let until = caught_up(&free);
    assert_eq!(stale(&free.reads), reads(1, REVOKED, until));
    assert_eq!(free.reads.stale, allowed.reads.stale);
    assert_eq!((free.digest, free.ended), (allowed.digest, allowed.ended));
    let old: u64 = [1, 2]
        .map(|patient| reads(patient, 15_000, until))
        .iter()
        .sum();
    assert_eq!((free.reads.old, allowed.reads.old), (0, old));
    assert_eq!((allowed.reads.denied, allowed.reads.glass_broken), (0, 0));
}

#[test]
fn whoever_breaks_the_glass_is_not_denied() {
    let deny = run(Some((5_000, WhenStale::Deny))).reads;
    let glass = run(Some((5_000, WhenStale::BreakGlass))).reads;
    assert_eq!((glass.glass_broken, glass.denied), (deny.denied, 0));
    assert_eq!((glass.stale, glass.served), (deny.stale, deny.served));
}

/// Two and two: nothing becomes final for anybody, so that the truth does not know of the revocation. But
/// it is under way, and denying what was revoked is no loss.
#[test]
fn what_is_being_revoked_is_no_care_denied() {
    let got = cut_off(&[2, 3], Some((5_000, WhenStale::Deny)), Forms::FAST).reads;
    assert!(got.denied > 100, "{got:?}");
    let (one, two) = (reads(1, 15_000, 30_500), reads(2, 15_000, 30_500));
    assert_eq!(one, two);
    // Both are denied as often, up to where they catch up.
    assert!(
        got.care_denied.abs_diff(got.denied - got.care_denied) <= 1,
        "{got:?}"
    );
    assert!(got.care_denied >= two, "{got:?}");
}
