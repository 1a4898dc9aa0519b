//! Builds with the feature `slow` work for nothing at every event: the same results from more instructions,
//! which the instruction budget must find, because no comparison of results can.

use std::hint::black_box;

/// Rounds of a multiplication whose result nobody needs.
// assumption: more than the tolerance of any budget that executes events, and little enough to wait for.
const ROUNDS: u64 = 100;

pub(crate) fn waste() {
    let mut x = 1_u64;
    for round in 0..ROUNDS {
        x = black_box(x.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(round));
    }
}
