//! Keyed, counter-addressed randomness and content hashes.
//!
//! A draw for one message is a function of (key, content, edge), so that a message which need not
//! be simulated moves no other draw.

/// Mixes 64 bits (the finaliser of splitmix64, a bijection with full avalanche).
pub const fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Folds `word` into `state`; order matters.
pub const fn fold(state: u64, word: u64) -> u64 {
    // Mixing between the folds keeps structured counters (rounds, heights, ids) apart.
    mix(state.rotate_left(23) ^ word.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Folds a sequence of words, starting from `key`.
#[inline]
pub fn fold_all(key: u64, words: &[u64]) -> u64 {
    words
        .iter()
        .fold(mix(key), |state, &word| fold(state, word))
}

/// The trace digest: a running hash over the inputs that engines handled and the effects that they
/// emitted, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Digest(u64);

impl Digest {
    /// The digest of an empty trace.
    pub const fn new() -> Self {
        Self(0x5155_4f52_4154_4531)
    }

    /// Folds one word.
    pub const fn add(&mut self, word: u64) {
        self.0 = fold(self.0, word);
    }

    /// The value so far.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structured_counters_spread_evenly() {
        // 65,536 keys (edge × counter) into 256 bins: chi-square with 255 degrees of freedom has
        // mean 255 and standard deviation 22.6; five standard deviations are allowed.
        let mut bins = [0_u32; 256];
        for edge in 0..256 {
            for counter in 0..256 {
                bins[(fold_all(7, &[edge, counter]) >> 56) as usize] += 1;
            }
        }
        let chi: f64 = bins
            .iter()
            .map(|&b| (f64::from(b) - 256.0) * (f64::from(b) - 256.0) / 256.0)
            .sum();
        assert!((chi - 255.0).abs() < 113.0, "chi-square {chi}");
    }

    #[test]
    fn order_matters() {
        assert_ne!(fold_all(1, &[2, 3]), fold_all(1, &[3, 2]));
        assert_ne!(fold_all(1, &[0]), fold_all(1, &[0, 0]));
    }
}
