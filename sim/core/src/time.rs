//! Simulated time in two newtypes that never mix: an instant [`Time`] and a length [`Span`].
//!
//! Both count integer nanoseconds. Arithmetic is checked: an overflow is a bug and panics.

use core::fmt;
use core::ops::{Add, AddAssign, Mul, Sub};
use serde::{Deserialize, Serialize};

/// An instant: nanoseconds since the start of the replication.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Time(u64);

/// A length of time in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Span(u64);

const NS_PER_US: u64 = 1_000;
const NS_PER_MS: u64 = 1_000_000;
const NS_PER_S: u64 = 1_000_000_000;

impl Time {
    /// The start of the replication.
    pub const ZERO: Self = Self(0);
    /// Later than anything that is simulated: "never".
    pub const NEVER: Self = Self(u64::MAX);

    /// The instant `ns` nanoseconds after the start.
    pub const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since the start.
    pub const fn ns(self) -> u64 {
        self.0
    }

    /// Seconds since the start, for reports only.
    pub fn as_s(self) -> f64 {
        self.0 as f64 / NS_PER_S as f64
    }

    /// The length since `earlier`; panics when `earlier` is later.
    #[inline]
    pub fn since(self, earlier: Self) -> Span {
        Span(self.0.checked_sub(earlier.0).expect("time runs backwards"))
    }

    /// The length since `earlier`, or zero when `earlier` is later.
    pub const fn saturating_since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// The instant `span` earlier, or the start.
    pub const fn saturating_sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// The instant `span` later, or [`Time::NEVER`].
    pub const fn saturating_add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// Longer than any run.
    pub const MAX: Self = Self(u64::MAX);

    /// From nanoseconds.
    pub const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// From microseconds.
    pub const fn from_us(us: u64) -> Self {
        Self(us * NS_PER_US)
    }

    /// From milliseconds.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms * NS_PER_MS)
    }

    /// From seconds.
    pub const fn from_s(s: u64) -> Self {
        Self(s * NS_PER_S)
    }

    /// From a non-negative number of seconds, rounded down to the nanosecond, clipped to the range.
    pub fn from_s_f64(s: f64) -> Self {
        assert!(s >= 0.0, "a span cannot be negative or undefined: {s} s");
        // `as` saturates, so that an absurdly long draw becomes the longest span.
        Self((s * NS_PER_S as f64) as u64)
    }

    /// From a non-negative number of milliseconds, rounded down to the nanosecond.
    pub fn from_ms_f64(ms: f64) -> Self {
        Self::from_s_f64(ms / 1_000.0)
    }

    /// Nanoseconds.
    pub const fn ns(self) -> u64 {
        self.0
    }

    /// Seconds, for reports and rates.
    pub fn as_s(self) -> f64 {
        self.0 as f64 / NS_PER_S as f64
    }

    /// Milliseconds, for reports.
    pub fn as_ms(self) -> f64 {
        self.0 as f64 / NS_PER_MS as f64
    }

    /// Whether the span is empty.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// `self · numerator / denominator`, exact in 128 bits, rounded down.
    pub fn scale(self, numerator: u64, denominator: u64) -> Self {
        // Where 64 bits do they are much faster.
        if let Some(product) = self.0.checked_mul(numerator) {
            return Self(product / denominator);
        }
        let scaled = u128::from(self.0) * u128::from(numerator) / u128::from(denominator);
        Self(u64::try_from(scaled).expect("scaled span out of range"))
    }

    /// The longer of two spans, or zero when `other` is longer: `self − other`.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add<Span> for Time {
    type Output = Self;
    #[inline]
    fn add(self, span: Span) -> Self {
        Self(
            self.0
                .checked_add(span.0)
                .expect("simulated time out of range"),
        )
    }
}

impl AddAssign<Span> for Time {
    #[inline]
    fn add_assign(&mut self, span: Span) {
        *self = *self + span;
    }
}

impl Add for Span {
    type Output = Self;
    #[inline]
    fn add(self, other: Self) -> Self {
        Self(self.0.checked_add(other.0).expect("span out of range"))
    }
}

impl AddAssign for Span {
    #[inline]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Span {
    type Output = Self;
    #[inline]
    fn sub(self, other: Self) -> Self {
        Self(self.0.checked_sub(other.0).expect("negative span"))
    }
}

impl Mul<u64> for Span {
    type Output = Self;
    #[inline]
    fn mul(self, n: u64) -> Self {
        Self(self.0.checked_mul(n).expect("span out of range"))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.as_s())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.as_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_and_spans_meet_only_in_checked_ways() {
        let t = Time::ZERO + Span::from_s(2);
        assert_eq!(t.since(Time::from_ns(500_000_000)), Span::from_ms(1_500));
        assert_eq!(Time::ZERO.saturating_since(t), Span::ZERO);
        assert_eq!(Span::from_s(3).scale(2, 3), Span::from_s(2));
        assert_eq!(Span::from_s_f64(0.25), Span::from_ms(250));
    }

    #[test]
    #[should_panic(expected = "time runs backwards")]
    fn time_does_not_run_backwards() {
        let _ = Time::ZERO.since(Time::from_ns(1));
    }
}
