//! Named random streams.
//!
//! Every sequential source draws from its own ChaCha8 stream, keyed by (master seed, replication,
//! purpose, entity). The engine is in no workload or network key, so every engine meets the same
//! arrivals and latencies, and one more draw in a stream moves no other.

use crate::hash;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest as _, Sha256};

/// The seed of one replication.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seed {
    master: u64,
    replication: u32,
}

impl Seed {
    /// The seed of replication `replication` under the plan's master seed.
    pub const fn new(master: u64, replication: u32) -> Self {
        Self {
            master,
            replication,
        }
    }

    /// The stream of draws for `purpose` (such as `"arrivals"`) and `entity` (a stable name or
    /// number within the purpose).
    pub fn stream(self, purpose: &str, entity: u64) -> Draws {
        Draws(ChaCha8Rng::from_seed(self.derive(purpose, entity)))
    }

    /// A key for counter-addressed draws, see [`crate::hash`].
    pub fn key(self, purpose: &str) -> u64 {
        let bytes = self.derive(purpose, 0);
        u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"))
    }

    fn derive(self, purpose: &str, entity: u64) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(b"quorate stream 1\0");
        hasher.update(self.master.to_le_bytes());
        hasher.update(self.replication.to_le_bytes());
        hasher.update(purpose.as_bytes());
        hasher.update([0]);
        hasher.update(entity.to_le_bytes());
        hasher.finalize().into()
    }
}

/// A sequential stream of random numbers.
#[derive(Clone, Debug)]
pub struct Draws(ChaCha8Rng);

impl Draws {
    /// 64 uniform bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in the open interval (0, 1), with 53 bits.
    #[inline]
    pub fn open01(&mut self) -> f64 {
        open01(self.bits())
    }

    /// Uniform among `0..n`; `n` must not be zero.
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "a choice among nothing");
        // Lemire's multiply-and-reject: exact.
        let mut product = u128::from(self.bits()) * u128::from(n);
        if (product as u64) < n {
            product = self.accept(product, n);
        }
        (product >> 64) as u64
    }

    /// The first of some products that counts; most often this one.
    #[cold]
    fn accept(&mut self, mut product: u128, n: u64) -> u128 {
        while (product as u64) < n.wrapping_neg() % n {
            product = u128::from(self.bits()) * u128::from(n);
        }
        product
    }

    /// True with probability `p`.
    #[inline]
    pub fn chance(&mut self, p: f64) -> bool {
        self.open01() < p
    }
}

/// Maps 64 bits to the open interval (0, 1); never 0 or 1, so that its logarithm is finite.
#[inline]
pub const fn open01(bits: u64) -> f64 {
    // Signed, as processors convert at once what is below 2^63; by a power of two, so that to multiply is
    // exact, too.
    ((bits >> 11).cast_signed() as f64 + 0.5) * (1.0 / (1_u64 << 53) as f64)
}

/// A uniform number in (0, 1) addressed by content rather than drawn in sequence.
#[inline]
pub fn open01_at(key: u64, words: &[u64]) -> f64 {
    open01(hash::fold_all(key, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_pinned_and_apart() {
        let seed = Seed::new(42, 0);
        assert_eq!(
            seed.stream("arrivals", 0).bits(),
            seed.stream("arrivals", 0).bits()
        );
        let firsts = [
            seed.stream("arrivals", 0).bits(),
            seed.stream("arrivals", 1).bits(),
            seed.stream("mining", 0).bits(),
            Seed::new(42, 1).stream("arrivals", 0).bits(),
            Seed::new(43, 0).stream("arrivals", 0).bits(),
        ];
        for (i, a) in firsts.iter().enumerate() {
            assert!(firsts[i + 1..].iter().all(|b| a != b));
        }
    }

    #[test]
    fn below_is_uniform_and_in_range() {
        let mut draws = Seed::new(1, 0).stream("test", 0);
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[draws.below(7) as usize] += 1;
        }
        // Binomial(70000, 1/7): standard deviation 92.6; four of them.
        assert!(
            counts
                .iter()
                .all(|&c| (f64::from(c) - 10_000.0).abs() < 371.0),
            "{counts:?}"
        );
    }
}
