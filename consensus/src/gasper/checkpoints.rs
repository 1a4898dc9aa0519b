//! Casper FFG: what a chain has justified and finalised.

use crate::mutants::{Mutant, broken};
use quorate_core::BlockId;

/// A block as the boundary of an epoch: the last one up to the epoch's first slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// Which epoch.
    pub epoch: u32,
    /// The block.
    pub block: BlockId,
}

/// What the state of a chain says about checkpoints, as of some slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tally {
    /// The epoch that the state is in.
    pub epoch: u32,
    /// Whether the last four epochs are justified, the current one first.
    pub bits: [bool; 4],
    /// What was justified one epoch ago.
    pub previous: Checkpoint,
    /// The highest justified checkpoint.
    pub justified: Checkpoint,
    /// The highest final checkpoint.
    pub finalised: Checkpoint,
    /// The checkpoint blocks of the current and the previous epoch.
    pub targets: [BlockId; 2],
    /// Keys whose votes for them are in the chain.
    pub votes: [u64; 2],
}

impl Tally {
    /// Before any vote.
    pub const fn genesis(block: BlockId) -> Self {
        let first = Checkpoint { epoch: 0, block };
        Self {
            epoch: 0,
            bits: [false; 4],
            previous: first,
            justified: first,
            finalised: first,
            targets: [block; 2],
            votes: [0; 2],
        }
    }

    /// What the end of the epoch would justify and finalise, out of `total` keys.
    // source: consensus-specs `process_justification_and_finalization`, which leaves out the first
    // two epochs, and `weigh_justification_and_finalization`.
    pub fn weigh(&mut self, total: u64) {
        if self.epoch <= 1 {
            return;
        }
        let [old_previous, old_current] = [self.previous, self.justified];
        self.previous = self.justified;
        self.bits = [false, self.bits[0], self.bits[1], self.bits[2]];
        for ago in [1, 0] {
            if 3 * self.votes[ago] >= total * (2 - u64::from(broken(Mutant::GasperMinority))) {
                self.justified = Checkpoint {
                    epoch: self.epoch - ago as u32,
                    block: self.targets[ago],
                };
                self.bits[ago] = true;
            }
        }
        let all = |from: usize, to: usize| self.bits[from..to].iter().all(|bit| *bit);
        let rules = [
            (all(1, 4), old_previous, 3),
            (all(1, 3), old_previous, 2),
            (all(0, 3), old_current, 2),
            (all(0, 2), old_current, 1),
        ];
        for (justified, old, ago) in rules {
            if justified && old.epoch + ago == self.epoch {
                self.finalised = old;
            }
        }
    }

    /// Goes through the ends of epochs up to an epoch, with no block after `tip`.
    pub fn advance(&mut self, epoch: u32, tip: BlockId, total: u64) {
        while self.epoch < epoch {
            self.weigh(total);
            self.epoch += 1;
            self.targets = [tip, self.targets[0]];
            self.votes = [0, self.votes[0]];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Epochs 0, 1, ... whose checkpoint block is the one of their number.
    fn replay(epochs: &[(u64, u64)]) -> Tally {
        let mut state = Tally::genesis(BlockId::new(0));
        for (epoch, &(own, late)) in (0..).zip(epochs) {
            assert_eq!(state.epoch, epoch);
            // Votes for the current epoch in its own blocks, and those that came an epoch late.
            state.votes = [own, state.votes[1] + late];
            state.advance(epoch + 1, BlockId::new(epoch + 1), 96);
        }
        state
    }

    const ALL: (u64, u64) = (96, 0);
    const NONE: (u64, u64) = (0, 0);
    const LATE: (u64, u64) = (0, 96);
    const BOTH: (u64, u64) = (96, 96);

    /// source: the four cases of `weigh_justification_and_finalization`; epochs counted from 0.
    #[test]
    fn the_four_rules_of_finality() {
        type Case = (&'static str, &'static [(u64, u64)], u32, u32);
        let cases: [Case; 12] = [
            // (votes of the epoch in time, votes of the one before): justified, finalised.
            (
                "nothing is weighed in the first two epochs",
                &[ALL, ALL],
                0,
                0,
            ),
            (
                "two in a row: the source of the second",
                &[ALL, ALL, ALL, ALL],
                3,
                2,
            ),
            ("it goes on", &[ALL, ALL, ALL, ALL, ALL], 4, 3),
            (
                "a gap makes nothing final",
                &[ALL, ALL, ALL, NONE, ALL],
                4,
                0,
            ),
            ("and heals", &[ALL, ALL, ALL, NONE, ALL, ALL], 5, 4),
            (
                "the first rule, by late votes",
                &[ALL, ALL, NONE, LATE, LATE],
                3,
                1,
            ),
            ("the second rule", &[ALL, ALL, ALL, NONE, LATE], 3, 2),
            (
                "the first rule again",
                &[ALL, ALL, ALL, NONE, LATE, LATE],
                4,
                2,
            ),
            ("the third rule", &[ALL, ALL, ALL, NONE, BOTH], 4, 2),
            ("two thirds less one is nothing", &[(63, 0); 9], 0, 0),
            ("two thirds are enough", &[(64, 0); 5], 4, 3),
            ("none justifies nothing", &[NONE; 9], 0, 0),
        ];
        for (name, epochs, justified, finalised) in cases {
            let state = replay(epochs);
            let got = (state.justified.epoch, state.finalised.epoch);
            assert_eq!(got, (justified, finalised), "{name}");
            assert_eq!(state.justified.block.get(), justified, "{name}");
            assert_eq!(state.finalised.block.get(), finalised, "{name}");
        }
    }

    /// One step of each rule alone, from a state that was made by hand: the sources and which of the
    /// last epochs are justified are the only inputs.
    #[test]
    fn each_rule_alone() {
        // bits before the step (the then current first), previous and current source, votes
        // (current, previous epoch) at the end of epoch 10; finalised.
        type Row = ([bool; 4], u32, u32, [u64; 2], u32);
        let (o, x) = (false, true);
        let rows: [Row; 8] = [
            ([o, x, x, o], 7, 8, [0, 96], 7), // second, third and fourth, source three back
            ([o, o, x, o], 7, 7, [0, 96], 0), // the third is missing
            ([o, x, o, o], 8, 8, [0, 96], 8), // second and third, source two back
            ([o, x, o, o], 7, 8, [96, 96], 8), // the last three, current source two back
            ([o, x, o, o], 7, 8, [96, 0], 0), // the second is missing
            ([x, o, o, o], 6, 9, [96, 0], 9), // the last two, current source one back
            ([x, x, x, o], 7, 9, [0, 0], 7), // nothing new, yet an old source is final by the first rule
            ([o, o, o, o], 6, 6, [96, 96], 0), // the source is too old for all four
        ];
        for (bits, previous, current, votes, finalised) in rows {
            let at = |epoch| Checkpoint {
                epoch,
                block: BlockId::new(epoch),
            };
            let mut state = Tally {
                epoch: 10,
                bits,
                previous: at(previous),
                justified: at(current),
                finalised: at(0),
                targets: [BlockId::new(10), BlockId::new(9)],
                votes,
            };
            state.weigh(96);
            let row = (bits, previous, current, votes);
            assert_eq!(state.finalised.epoch, finalised, "{row:?}");
            assert_eq!(state.previous, at(current), "{row:?}");
        }
    }
}
