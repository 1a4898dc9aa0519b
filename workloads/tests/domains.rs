//! Domain measures: each in a constructed final order whose figures are known.

mod told;

use quorate_core::{Arrival, EntityId, Inversions, Ledger, Load, Seed, Verdict};
use quorate_workloads::pharma::{Pharma, Tracking};
use quorate_workloads::study::{Studies, Trials, consent_to, serious};
use quorate_workloads::{Rate, custody, pharma, study};
use std::collections::BTreeMap;
use told::{Story, tx};

const FLAT: Rate = Rate::Flat { per_s: 100.0 };
const OK: Verdict = Verdict::Valid;

/// The verdict for a reason.
fn no(ledger: &dyn Ledger, why: &str) -> Verdict {
    let place = ledger.reasons().iter().position(|&reason| reason == why);
    Verdict::Rejected(place.unwrap_or_else(|| panic!("no reason `{why}`")) as u8)
}

mod trade {
    use super::*;
    use custody::{Action, Custody};

    fn load() -> Pharma {
        let config = pharma::Config {
            tracking: Tracking::Anyone,
            ..pharma::Config::default()
        };
        Pharma::new(&config, FLAT, Seed::new(7, 0)).unwrap()
    }

    struct Case {
        story: Story,
        rules: Custody,
    }

    impl Case {
        fn new() -> Self {
            let load = load();
            Self {
                story: Story::new(Box::new(load.domain())),
                rules: load.rules(),
            }
        }

        fn next(&mut self, what: Action, key: u32, times: [u64; 2], view: &str, fate: &str) {
            self.with(what, key, 0, times, view, fate);
        }

        /// `times`: submission and block in ms; `-` is no view; an empty fate is valid.
        fn with(
            &mut self,
            what: Action,
            key: u32,
            operand: u32,
            times: [u64; 2],
            view: &str,
            fate: &str,
        ) {
            let verdict = |why: &str| {
                if why.is_empty() {
                    OK
                } else {
                    no(&self.rules, why)
                }
            };
            let view = (view != "-").then(|| verdict(view));
            let tx = tx(what as u8, key, operand, times[0]);
            self.story.next(tx, view, verdict(fate), times[1]);
        }

        fn pack(&self) -> u32 {
            self.rules.chain().stock().start
        }
    }

    const SOLD: &str = "already dispensed";

    #[test]
    fn races_are_lost_by_those_who_handed_out_in_vain() {
        let mut case = Case::new();
        let pack = case.pack();
        // Dispensed here; there in vain; a third site saw it in time; a fourth had no node.
        case.next(Action::Dispense, pack, [1_000, 2_000], "", "");
        case.next(Action::Dispense, pack, [1_500, 2_000], "", SOLD);
        case.next(Action::Dispense, pack, [2_500, 3_000], SOLD, SOLD);
        case.next(Action::Dispense, pack, [1_600, 3_000], "-", SOLD);
        // Refused for another reason, although handed out: no race.
        case.next(
            Action::Dispense,
            pack + 1,
            [1_600, 3_000],
            "",
            "lot recalled",
        );
        let story = &mut case.story;
        story.end();
        assert_eq!(story.share("packs_dispensed_twice"), (1, 3));
        assert_eq!(story.share("races_lost"), (1, 3));
    }

    #[test]
    fn copies_are_sold_until_something_raises_an_alert() {
        let mut case = Case::new();
        let pack = case.pack();
        // Scans at 1, 1.5, 1.6, 2.5, 2.6 s; the block of 2 s refuses the second, the till of 2.5 s
        // knows already; at 2.6 s a site still has an old view.
        case.next(Action::Dispense, pack, [1_000, 2_000], "", "");
        case.next(Action::Dispense, pack, [1_600, 2_000], "", SOLD);
        case.next(Action::Dispense, pack, [1_500, 2_000], "", SOLD);
        case.next(Action::Dispense, pack, [2_500, 4_000], SOLD, SOLD);
        case.next(Action::Dispense, pack, [2_600, 4_000], "", SOLD);
        // No copy of this one: it goes back and is dispensed again.
        case.next(Action::Dispense, pack + 1, [1_000, 2_000], "", "");
        case.next(Action::Undo, pack + 1, [9_000, 10_000], "-", "");
        case.next(Action::Dispense, pack + 1, [19_000, 20_000], "", "");
        let story = &mut case.story;
        assert!(story.times("copy_detection_ms").is_empty());
        story.end();
        assert_eq!(story.times("copy_detection_ms"), [500]);
        assert_eq!(story.share("copies_sold"), (2, 4));
    }

    /// Copies turn up within a minute here, so that after an hour and a minute nobody waits for more.
    #[test]
    fn a_scan_is_forgotten_in_time() {
        let mut case = Case::new();
        let pack = case.pack();
        case.next(Action::Dispense, pack, [1_000, 2_000], "", "");
        case.next(Action::Dispense, pack, [1_500, 2_000], "", SOLD);
        let hour = 3_660_000;
        case.next(Action::Dispense, pack + 1, [hour, hour + 2_000], "", "");
        assert_eq!(case.story.share("copies_sold"), (0, 0));
        // Another minute for the second pack; the first is settled, and scanned for the first time.
        case.next(Action::Dispense, pack, [hour, hour + 2_001], SOLD, SOLD);
        assert_eq!(case.story.share("copies_sold"), (1, 1));
        assert_eq!(case.story.times("copy_detection_ms"), [500]);
        case.story.end();
        assert_eq!(case.story.share("copies_sold"), (1, 1));
    }

    #[test]
    fn a_copy_that_is_elsewhere_is_found_at_the_till() {
        let mut case = Case::new();
        let pack = case.pack();
        let elsewhere = "not the custodian";
        case.next(Action::Dispense, pack, [1_000, 8_000], "", "");
        case.next(Action::Dispense, pack, [1_200, 8_000], elsewhere, SOLD);
        case.next(Action::Undo, pack, [9_000, 10_000], "-", "");
        assert_eq!(case.story.times("copy_detection_ms"), [0]);
        assert_eq!(case.story.share("copies_sold"), (0, 1));
    }

    #[test]
    fn units_after_a_recall_are_those_handed_out_on_an_old_view() {
        let mut case = Case::new();
        let stock = case.rules.chain().stock();
        let lot = |case: &Case, pack: u32| (case.rules.preload(EntityId::new(pack)) >> 64) as u32;
        let recalled = lot(&case, stock.start);
        let others: Vec<u32> = stock
            .clone()
            .filter(|&p| lot(&case, p) == recalled)
            .take(5)
            .collect();
        let elsewhere = stock.clone().find(|&p| lot(&case, p) != recalled).unwrap();
        // Before the recall; after it, but ordered before; in another lot; after it in both.
        case.next(Action::Dispense, others[0], [900, 2_000], "", "");
        case.next(Action::Dispense, others[1], [1_100, 2_000], "", "");
        case.next(Action::Dispense, others[4], [1_150, 2_000], "-", "");
        case.next(Action::Dispense, elsewhere, [1_100, 2_000], "", "");
        case.next(Action::Recall, recalled, [1_000, 3_000], "-", "");
        let late = "lot recalled";
        case.next(Action::Dispense, others[2], [1_200, 3_000], "", late);
        case.next(Action::Dispense, others[3], [4_000, 5_000], late, late);
        case.next(Action::Dispense, elsewhere + 1, [950, 5_000], "", "");
        assert_eq!(case.story.share("units_after_recall"), (2, 4));
        assert_eq!(case.story.share("accepted_after_recall"), (2, 4));
    }

    /// Packs that were made during the run belong to the lot of their pallet.
    #[test]
    fn new_packs_are_recalled_with_their_lot() {
        let mut case = Case::new();
        let chain = case.rules.chain();
        let case_id = chain.end() + 1;
        let pack = chain.packs(case_id).start;
        case.with(Action::Commission, case_id, 9, [10, 20], "-", "");
        case.next(Action::Recall, 9, [1_000, 2_000], "-", "");
        case.next(Action::Dispense, pack, [1_500, 3_000], "", "lot recalled");
        assert_eq!(case.story.share("units_after_recall"), (1, 1));
        assert_eq!(case.story.share("accepted_after_recall"), (0, 1));
        // A recall that is refused recalls nothing.
        case.next(
            Action::Recall,
            8,
            [1_000, 2_000],
            "-",
            "lot already recalled",
        );
        assert_eq!(case.story.share("units_after_recall"), (1, 1));
    }

    #[test]
    fn a_return_that_is_verified_is_saleable_then() {
        let config = pharma::Config {
            verify_returns: true,
            ..pharma::Config::default()
        };
        let load = Pharma::new(&config, FLAT, Seed::new(7, 0)).unwrap();
        let mut case = Case {
            story: Story::new(Box::new(load.domain())),
            rules: load.rules(),
        };
        let pack = case.pack();
        case.next(Action::Return, pack, [1_000, 1_800], "-", "");
        case.next(Action::VerifyReturn, pack, [5_000, 5_500], "-", "");
        assert_eq!(case.story.times("return_to_resale_ms"), [4_500]);
    }

    #[test]
    fn waits_are_from_submission_to_the_block_that_ends_them() {
        let mut case = Case::new();
        let pack = case.pack();
        case.next(Action::Return, pack, [1_000, 1_800], "-", "");
        assert_eq!(case.story.times("return_to_resale_ms"), [800]);
        case.next(Action::Suspect, pack, [2_000, 2_400], "-", "");
        case.next(
            Action::Clear,
            pack,
            [9_000, 9_500],
            "-",
            "pack not in quarantine",
        );
        case.next(Action::Clear, pack, [10_000, 11_000], "-", "");
        // One in quarantine from before the run has no beginning.
        let held = case.rules.chain().quarantined().start;
        case.next(Action::Clear, held, [10_000, 11_000], "-", "");
        assert_eq!(case.story.times("false_quarantine_ms"), [9_000]);
        case.next(Action::Ship, pack, [12_000, 12_500], "-", "");
        case.next(Action::Receive, pack, [20_000, 21_000], "-", "");
        assert_eq!(case.story.times("custody_gap_ms"), [8_500]);
        case.next(
            Action::Receive,
            pack + 1,
            [20_000, 21_000],
            "-",
            "no open shipment",
        );
        case.next(
            Action::Receive,
            pack + 1,
            [20_000, 21_000],
            "-",
            "not the destination",
        );
        assert_eq!(case.story.share("early_receipts"), (1, 3));
    }
}

mod oversight {
    use super::*;
    use study::Action;

    struct Case {
        story: Story,
        rules: Studies,
    }

    impl Case {
        fn new() -> Self {
            let load = Trials::new(&study::Config::default(), FLAT, Seed::new(7, 0)).unwrap();
            assert_eq!(load.classes().len(), Action::ALL.len());
            Self {
                story: Story::new(Box::new(load.domain())),
                rules: load.rules(),
            }
        }

        /// `times`: submission and block in ms; `-` is no view; an empty fate is valid.
        fn next(
            &mut self,
            what: Action,
            [key, operand]: [u32; 2],
            times: [u64; 2],
            view: &str,
            fate: &str,
        ) {
            let verdict = |why: &str| {
                if why.is_empty() {
                    OK
                } else {
                    no(&self.rules, why)
                }
            };
            let view = (view != "-").then(|| verdict(view));
            let tx = tx(what as u8, key, operand, times[0]);
            self.story.next(tx, view, verdict(fate), times[1]);
        }
    }

    const NEW: u32 = 4_000_000;
    const SHUT: &str = "study locked";
    const LATE: &str = "overtaken by the lock";

    #[test]
    fn a_lock_counts_what_it_left_out_and_what_sites_took() {
        let mut case = Case::new();
        let layout = case.rules.layout().clone();
        let (study, book) = (layout.closing().start, layout.casebooks().start);
        let item = layout.late_items().start;
        case.next(Action::Sign, [book, 0], [1_000, 2_000], "-", "");
        case.next(Action::Correct, [item, 1], [1_100, 2_000], "", "");
        // Submitted after the lock, ordered before it: nobody misses it.
        case.next(Action::Capture, [NEW, book], [1_600, 2_000], "", "");
        case.next(Action::Lock, [study, 0], [1_500, 2_000], "-", "");
        case.next(Action::Sign, [book + 1, 0], [1_400, 3_000], "-", LATE);
        case.next(Action::Capture, [NEW + 1, book], [1_450, 3_000], "", LATE);
        case.next(Action::Capture, [NEW + 2, book], [1_700, 3_000], "", SHUT);
        case.next(Action::Correct, [item, 1], [5_000, 6_000], SHUT, SHUT);
        assert_eq!(case.story.share("on_record_at_lock"), (2, 4));
        assert_eq!(case.story.share("entered_after_lock"), (2, 3));
        // The next round begins anew; another study's lock is its own.
        case.next(Action::Unlock, [study, 0], [7_000, 8_000], "-", "");
        case.next(Action::Sign, [book, 0], [8_000, 9_000], "-", "");
        case.next(Action::Lock, [study + 1, 0], [8_500, 9_500], "-", "");
        case.next(
            Action::Lock,
            [study, 0],
            [9_000, 9_500],
            "-",
            "open queries",
        );
        assert_eq!(case.story.share("on_record_at_lock"), (2, 4));
        case.next(Action::Lock, [study, 0], [9_800, 9_900], "-", "");
        assert_eq!(case.story.share("on_record_at_lock"), (3, 5));
    }

    #[test]
    fn an_amendment_counts_data_and_forms_of_the_old_version() {
        let mut case = Case::new();
        let layout = case.rules.layout().clone();
        let subject = layout.subjects().start;
        let study = layout.studies().start;
        let other = layout.subjects().end - 1;
        case.next(Action::Capture, [NEW, subject], [900, 2_000], "", "");
        case.next(Action::Capture, [NEW + 1, subject], [1_100, 2_000], "", "");
        case.next(Action::Capture, [NEW + 2, other], [1_100, 2_000], "", "");
        case.next(Action::Amend, [study, 2], [1_000, 3_000], "-", "");
        case.next(Action::Capture, [NEW + 3, subject], [2_500, 3_000], "", "");
        assert_eq!(case.story.share("captured_by_old_protocol"), (1, 2));
        let form = [NEW + 9, consent_to(study, 1)];
        let old = "consent form not current";
        case.next(Action::Consent, form, [2_600, 4_000], "", old);
        case.next(Action::Consent, form, [5_000, 6_000], old, old);
        let form = [NEW + 9, consent_to(study, 2)];
        case.next(Action::Consent, form, [7_000, 8_000], "", "");
        assert_eq!(case.story.share("old_forms_signed"), (1, 2));
    }

    #[test]
    fn screening_comes_after_the_block_of_the_consent() {
        let mut case = Case::new();
        let old = case.rules.layout().consented().start;
        let consent = consent_to(0, 1);
        case.next(Action::Consent, [NEW, consent], [1_000, 2_000], "", "");
        case.next(Action::Screen, [NEW, 1], [1_500, 3_000], "-", "");
        case.next(
            Action::Screen,
            [NEW + 1, 1],
            [1_500, 3_000],
            "-",
            "no consent",
        );
        case.next(Action::Consent, [NEW + 2, consent], [1_000, 2_000], "", "");
        case.next(Action::Screen, [NEW + 2, 1], [2_000, 3_000], "-", "");
        case.next(Action::Screen, [old, 1], [2_000, 3_000], "-", "");
        assert_eq!(case.story.share("screened_before_consent"), (2, 4));
    }

    #[test]
    fn reports_are_late_by_their_clock() {
        let mut case = Case::new();
        let subject = case.rules.layout().subjects().start;
        let week = 7 * 86_400;
        for (fatal, known_s, block_ms) in [
            (true, week - 10, 11_000),
            (true, week - 10, 11_001),
            (false, week, 11_001),
            (false, 15 * 86_400, 1_001),
        ] {
            let report = [subject, serious(fatal, known_s)];
            case.next(Action::SeriousEvent, report, [1_000, block_ms], "-", "");
        }
        assert_eq!(case.story.share("late_safety_reports"), (2, 4));
    }

    #[test]
    fn a_match_after_the_revocation_counts_if_its_view_allowed_it() {
        let mut case = Case::new();
        let revoked = "research consent revoked";
        let look = [NEW, consent_to(0, 1)];
        case.next(Action::Match, look, [900, 2_000], "", "");
        case.next(Action::Match, look, [1_100, 2_000], "", "");
        case.next(Action::Revoke, [NEW, 0], [1_000, 3_000], "-", "");
        case.next(Action::Match, look, [1_500, 3_000], "", revoked);
        case.next(Action::Match, look, [4_000, 5_000], revoked, revoked);
        case.next(Action::Match, [NEW + 1, 0], [4_000, 5_000], "", "");
        assert_eq!(case.story.share("matched_after_revocation"), (2, 3));
    }

    /// Where an ethics committee approves, the old protocol is in force until it has.
    #[test]
    fn an_amendment_is_in_force_when_it_is_approved() {
        let config = study::Config {
            signatures: true,
            ..study::Config::default()
        };
        let load = Trials::new(&config, FLAT, Seed::new(7, 0)).unwrap();
        let mut case = Case {
            story: Story::new(Box::new(load.domain())),
            rules: load.rules(),
        };
        let (subject, study) = (case.rules.layout().subjects().start, 0);
        case.next(Action::Amend, [study, 2], [1_000, 3_000], "-", "");
        case.next(Action::Capture, [NEW, subject], [3_500, 4_000], "", "");
        case.next(Action::Capture, [NEW + 1, subject], [5_500, 6_000], "", "");
        case.next(Action::Approve, [study, 2], [5_000, 7_000], "-", "");
        case.next(Action::Capture, [NEW + 2, subject], [7_500, 8_000], "", "");
        assert_eq!(case.story.share("captured_by_old_protocol"), (1, 2));
    }

    /// A rush for the slots of a list: in the order of submission nothing is turned round; a
    /// proposer who takes one site first turns round what it overtakes.
    #[test]
    fn a_proposer_who_favours_a_site_shows_in_the_order_of_allocations() {
        let config = study::Config {
            rush_allocations: 7,
            race_s: 5.0,
            values_per_visit: 20.0,
            racing_randomise_share: 0.0,
            lab_share: 0.0,
            reads_per_write: 0.0,
            ..study::Config::default()
        };
        let mut load = Trials::new(&config, FLAT, Seed::new(7, 0)).unwrap();
        let all = (0..300_000).map_while(|_| load.next());
        let arrivals: Vec<Arrival> = all
            .filter(|a| usize::from(a.action) == Action::Randomise.index())
            .collect();
        let n = arrivals.len();
        assert!(n > 1_000, "{n}");
        let inverted = |favour: Option<u16>| {
            // Blocks of 12 s; within one, the favoured site goes first.
            let mut order: Vec<&Arrival> = arrivals.iter().collect();
            order.sort_by_key(|a| {
                let block = a.at.ns() / 12_000_000_000;
                (block, favour.is_some_and(|site| a.site != site), a.at)
            });
            let mut story = Story::new(Box::new(load.domain()));
            let mut lists: BTreeMap<EntityId, Inversions> = BTreeMap::new();
            for a in order {
                story.next(*a, None, OK, a.at.ns() / 1_000_000);
                lists.entry(a.key).or_default().ordered(a.at);
            }
            let counts = lists.values().map(Inversions::count);
            let (turned, of) = counts.fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
            let told = story.share("allocation_inversions");
            assert_eq!((u64::from(told.0), u64::from(told.1)), (turned, of));
            told
        };
        let (fair, of) = inverted(None);
        assert!(fair == 0 && of > 2_000, "{fair} of {of}");
        // Within a rush of 8 the site's own, one in twelve, overtake half of the others.
        let (turned, _) = inverted(Some(3));
        assert!(turned > 100, "{turned} of {of}");
    }

    /// 3 1 2 in one list: two of three pairs are turned round; another list is in order.
    #[test]
    fn allocations_are_compared_with_their_submission_within_a_list() {
        let mut case = Case::new();
        let list = case.rules.layout().strata().start;
        for (list, at) in [
            (list, 3),
            (list + 1, 1),
            (list, 1),
            (list, 2),
            (list + 1, 2),
        ] {
            case.next(Action::Randomise, [list, NEW], [at, 1_000], "-", "");
        }
        case.next(
            Action::Randomise,
            [list, NEW],
            [0, 1_000],
            "-",
            "stratum is full",
        );
        assert_eq!(case.story.share("allocation_inversions"), (2, 4));
    }
}
