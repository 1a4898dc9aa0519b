//! Latency histograms that take memory for what was recorded only: a run keeps thousands of them.

use hdrhistogram::Histogram;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::iter::repeat_n;

/// Latencies in microseconds with three significant digits, in the buckets of an HDR histogram:
/// 2,048 of width one, and from there 1,024 for each doubling.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LatencyHistogram {
    /// Counts by bucket. The last page has a count.
    pages: Vec<Option<Box<Page>>>,
    len: u64,
    /// The largest value.
    max: u64,
}

/// Counts of neighbouring buckets.
type Page = [u32; PAGE];
const PAGE: usize = 64;

/// Buckets for each doubling, as a power of two.
const MAGNITUDE: u32 = 10;

/// By how many bits values of a magnitude are shortened.
#[inline]
const fn shift(value: u64) -> u32 {
    (value >> MAGNITUDE | 1).ilog2()
}

#[inline]
fn bucket(value: u64) -> usize {
    let shift = shift(value);
    ((u64::from(shift) << MAGNITUDE) + (value >> shift)) as usize
}

/// The lowest and the highest value in a bucket.
const fn range(bucket: usize) -> (u64, u64) {
    let shift = ((bucket >> MAGNITUDE) as u32).saturating_sub(1);
    let low = (bucket as u64 - ((shift as u64) << MAGNITUDE)) << shift;
    (low, low + (1 << shift) - 1)
}

impl LatencyHistogram {
    /// Adds one value in microseconds.
    #[inline]
    pub(crate) fn record(&mut self, us: u64) {
        let bucket = bucket(us);
        match self.pages.get_mut(bucket / PAGE) {
            Some(Some(page)) => page[bucket % PAGE] += 1,
            _ => self.page(bucket / PAGE)[bucket % PAGE] += 1,
        }
        self.len += 1;
        self.max = self.max.max(us);
    }

    #[inline(never)]
    fn page(&mut self, place: usize) -> &mut Page {
        if self.pages.len() <= place {
            let more = place + 1 - self.pages.len();
            self.pages.reserve_exact(more);
            self.pages.extend(repeat_n(None, more));
        }
        self.pages[place].get_or_insert_with(|| Box::new([0; PAGE]))
    }

    /// Adds all values of another.
    pub fn add(&mut self, other: &Self) {
        self.checked_add(other)
            .expect("a bucket holds fewer than 2^32");
    }

    /// The same; `None` where a bucket would hold too many.
    pub fn checked_add(&mut self, other: &Self) -> Option<()> {
        // The last page first, so that the list of them grows once.
        if let Some(last) = other.pages.len().checked_sub(1) {
            self.page(last);
        }
        for (place, page) in other.pages.iter().enumerate() {
            if let Some(page) = page {
                let own = self.page(place);
                for (count, more) in own.iter_mut().zip(&**page) {
                    *count = count.checked_add(*more)?;
                }
            }
        }
        self.len += other.len;
        self.max = self.max.max(other.max);
        Some(())
    }

    /// How many values were recorded.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether none were.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The highest value of the largest one's bucket; 0 when empty.
    pub fn max(&self) -> u64 {
        range(bucket(self.max)).1
    }

    /// Buckets with their counts, lowest first.
    fn counts(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        let pages = self.pages.iter().enumerate();
        let pages = pages.filter_map(|(place, page)| Some((place * PAGE, page.as_ref()?)));
        let counts = pages.flat_map(|(first, page)| (first..).zip(page.iter().copied()));
        counts.filter(|c| c.1 > 0)
    }

    /// The mean of the middles of the buckets; 0 when empty.
    pub fn mean(&self) -> f64 {
        let share = |(bucket, count): (usize, u32)| {
            let (low, high) = range(bucket);
            (low + (high - low).div_ceil(2)) as f64 * f64::from(count) / self.len as f64
        };
        self.counts().map(share).fold(0.0, |sum, x| sum + x)
    }

    /// The highest value of the bucket in which the share `quantile` of all values, and at least one,
    /// is reached; 0 when empty.
    pub fn value_at_quantile(&self, quantile: f64) -> u64 {
        let wanted = (quantile.min(1.0) * self.len as f64).ceil() as u64;
        let mut sum = 0;
        let found = self.counts().find(|&(_, count)| {
            sum += u64::from(count);
            sum >= wanted.max(1)
        });
        found.map_or(0, |(bucket, _)| range(bucket).1)
    }

    /// The same as an HDR histogram.
    pub fn to_hdr(&self) -> Histogram<u32> {
        let high = self.max().max(2);
        let mut hdr = Histogram::new_with_bounds(1, high, 3).expect("three digits are supported");
        for (bucket, count) in self.counts() {
            let middle = range(bucket).0;
            hdr.record_n(middle, count).expect("it is within bounds");
        }
        hdr
    }
}

/// Latencies while they are recorded: one row of counts, which is faster to add to than pages are, and
/// takes 220 KB at the most.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recording {
    /// Counts of the buckets below that of the largest value.
    counts: Vec<u32>,
    /// How many are in that one.
    highest: u32,
    max: u64,
}

/// [`bucket`], by the exponent and the first digits that a floating-point number has anyway.
#[inline]
fn bucket_by_float(value: u64) -> usize {
    // Above, numbers would be rounded.
    const EXACT: u64 = 1 << f64::MANTISSA_DIGITS;
    const LINEAR: u64 = 2 << MAGNITUDE;
    const DIGITS: u32 = f64::MANTISSA_DIGITS - 1;
    const BIAS: u64 = (f64::MAX_EXP as u64 - 2 + MAGNITUDE as u64) << MAGNITUDE;
    if value.wrapping_sub(LINEAR) < EXACT - LINEAR {
        ((value.cast_signed() as f64).to_bits() >> (DIGITS - MAGNITUDE)).wrapping_sub(BIAS) as usize
    } else {
        bucket(value)
    }
}

impl Recording {
    /// Adds one value in microseconds.
    #[inline]
    pub(crate) fn record(&mut self, us: u64) {
        let bucket = bucket_by_float(us);
        match self.counts.get_mut(bucket) {
            Some(count) => *count += 1,
            None => self.record_high(us),
        }
    }

    /// One in the highest bucket, or above.
    #[inline(never)]
    fn record_high(&mut self, us: u64) {
        let old = self.counts.len();
        if bucket(us) > old {
            self.counts.resize(bucket(us), 0);
            self.counts[old] = core::mem::take(&mut self.highest);
        }
        self.highest += 1;
        self.max = self.max.max(us);
    }

    /// Adds all to a histogram.
    pub(crate) fn close(self, into: &mut LatencyHistogram) {
        if self.highest == 0 {
            return;
        }
        // The last page first, so that the list of them grows once.
        into.page(self.counts.len() / PAGE);
        let counts = self.counts.iter().copied().chain([self.highest]);
        for (bucket, count) in counts.enumerate().filter(|&(_, count)| count > 0) {
            into.page(bucket / PAGE)[bucket % PAGE] += count;
            into.len += u64::from(count);
        }
        into.max = into.max.max(self.max);
    }
}

/// A histogram as it is stored: buckets that hold something, each by its distance from the one before,
/// with their counts; and the largest value.
#[derive(Serialize, Deserialize)]
#[serde(rename = "LatencyHistogram")]
struct Stored {
    counts: Vec<(u32, u32)>,
    max: u64,
}

impl Serialize for LatencyHistogram {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut last = 0;
        let counts = self.counts().map(|(bucket, count)| {
            let gap = bucket - std::mem::replace(&mut last, bucket);
            (gap as u32, count)
        });
        let counts = counts.collect();
        let max = self.max;
        Stored { counts, max }.serialize(to)
    }
}

impl<'de> Deserialize<'de> for LatencyHistogram {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Stored { counts, max } = Stored::deserialize(from)?;
        Self::restored(&counts, max).ok_or_else(|| serde::de::Error::custom("no histogram"))
    }
}

impl LatencyHistogram {
    /// What was stored; `None` where nothing can have been.
    fn restored(counts: &[(u32, u32)], max: u64) -> Option<Self> {
        let (mut all, mut last) = (Self::default(), 0_usize);
        for (i, &(gap, count)) in counts.iter().enumerate() {
            last += gap as usize;
            if count == 0 || (gap == 0 && i > 0) || last > bucket(max) {
                return None;
            }
            all.page(last / PAGE)[last % PAGE] = count;
            all.len += u64::from(count);
        }
        all.max = max;
        let is_sound = if counts.is_empty() {
            max == 0
        } else {
            last == bucket(max)
        };
        is_sound.then_some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// It says what an HDR histogram with three digits says, to the bit.
        #[test]
        fn equals_hdr(
            values in prop::collection::vec((0_u64..40, any::<u64>()), 0..300),
            quantiles in prop::collection::vec(1e-9..=1.0, 5), split in 0_usize..300,
        ) {
            let mut hdr = Histogram::<u32>::new(3).expect("three digits");
            let (mut a, mut b) = (LatencyHistogram::default(), LatencyHistogram::default());
            // What is in pages already, and a row.
            let (mut recorded, mut row) = (LatencyHistogram::default(), Recording::default());
            for (i, &(bits, value)) in values.iter().enumerate() {
                let value = value & ((1 << bits) - 1);
                if i % 3 == 0 { recorded.record(value) } else { row.record(value) }
            }
            row.close(&mut recorded);
            for (i, (bits, value)) in values.into_iter().enumerate() {
                let value = value & ((1 << bits) - 1);
                hdr.record(value).expect("it grows");
                if i < split { a.record(value) } else { b.record(value) }
            }
            a.add(&b);
            prop_assert_eq!(&recorded, &a);
            prop_assert_eq!((a.len(), a.is_empty(), a.max()), (hdr.len(), hdr.is_empty(), hdr.max()));
            prop_assert_eq!(a.mean().to_bits(), hdr.mean().to_bits());
            for q in quantiles.into_iter().chain([0.01, 0.5, 0.95, 0.999, 1.0]) {
                prop_assert_eq!(a.value_at_quantile(q), hdr.value_at_quantile(q));
            }
            prop_assert_eq!(a.to_hdr(), hdr);
        }

        /// What is stored comes back; what nobody stored is refused or sound, and never a panic.
        #[test]
        fn comes_back(
            values in prop::collection::vec((0_u64..64, any::<u64>()), 0..50),
            counts in prop::collection::vec((0_u32..5, 0_u32..3), 0..5), max in 0_u64..12,
        ) {
            let mut all = LatencyHistogram::default();
            for (bits, value) in &values {
                all.record(value & ((1 << bits) - 1));
            }
            let stored: Vec<(usize, u32)> = all.counts().collect();
            let mut last = 0;
            let gaps = stored.iter().map(|&(bucket, count)| {
                ((bucket - std::mem::replace(&mut last, bucket)) as u32, count)
            });
            let gaps: Vec<(u32, u32)> = gaps.collect();
            prop_assert_eq!(LatencyHistogram::restored(&gaps, all.max), Some(all));
            if let Some(odd) = LatencyHistogram::restored(&counts, max) {
                prop_assert_eq!(odd.max(), odd.value_at_quantile(1.0));
            }
        }
    }

    #[test]
    fn buckets_are_the_same_by_float() {
        for bit in 0..u64::BITS {
            for near in 0..3 {
                for value in [(1 << bit) - 1 + near, u64::MAX >> bit, 3 << bit >> 1] {
                    assert_eq!(bucket_by_float(value), bucket(value), "{value}");
                }
            }
        }
    }

    #[test]
    fn it_is_as_small_as_what_it_holds() {
        let empty = LatencyHistogram::default();
        assert_eq!(
            (empty.len(), empty.max(), empty.value_at_quantile(0.5)),
            (0, 0, 0)
        );
        assert_eq!(empty.mean().to_bits(), 0);
        let mut one = LatencyHistogram::default();
        one.record(600_000_000);
        assert_eq!(one.pages.iter().flatten().count(), 1);
    }
}
