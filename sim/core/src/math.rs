//! The only transcendental functions that simulated paths may use.
//!
//! `std` leaves the last bits of `ln`, `exp` and friends to the platform; measured on two million
//! inputs, the system's functions differ from `libm` in 3 to 10 % of cases. `libm` is the same
//! everywhere. `+ − × ÷` and `sqrt` are exact by IEEE 754 and need no wrapper.

/// Natural logarithm.
pub fn ln(x: f64) -> f64 {
    libm::log(x)
}

/// [`ln`] of several numbers, to the bit, at half the cost of one after the other: nothing branches, so
/// that processors work on two or more at once. All must be positive, finite and not subnormal.
// source: FreeBSD msun `e_log.c`, as `libm::log` has it: the same operations in the same order.
#[inline]
pub fn ln_each<const N: usize>(numbers: &mut [f64; N]) {
    const TOP: u64 = 0x3ff0_0000_0000_0000;
    // High half of √2 / 2.
    const LEAST: u64 = 0x3fe6_a09e_0000_0000;
    const DIGITS: u64 = (1 << 52) - 1;
    // 2⁵², to whose bits an exponent is added, and what that comes to at exponent 0.
    const EXPONENT: u64 = 0x4330_0000_0000_0000;
    const ZERO: f64 = 4_503_599_627_370_496.0 + 1023.0;
    const LN2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];
    const LG: [f64; 7] = [
        6.666_666_666_666_735e-1,
        3.999_999_999_940_942e-1,
        2.857_142_874_366_239e-1,
        2.222_219_843_214_978_4e-1,
        1.818_357_216_161_805e-1,
        1.531_383_769_920_937_3e-1,
        1.479_819_860_511_658_6e-1,
    ];
    debug_assert!(numbers.iter().all(|x| x.is_normal() && *x > 0.0));
    for x in numbers {
        let bits = x.to_bits().wrapping_add(TOP - LEAST);
        let exponent = f64::from_bits(EXPONENT | bits >> 52) - ZERO;
        let f = f64::from_bits((bits & DIGITS).wrapping_add(LEAST)) - 1.0;
        let half_square = 0.5 * f * f;
        let s = f / (2.0 + f);
        let z = s * s;
        let w = z * z;
        let even = w * (LG[1] + w * (LG[3] + w * LG[5]));
        let odd = z * (LG[0] + w * (LG[2] + w * (LG[4] + w * LG[6])));
        let rest = s * (half_square + (odd + even));
        *x = rest + exponent * LN2[1] - half_square + f + exponent * LN2[0];
    }
}

/// Natural logarithm of `1 + x`, accurate near zero.
pub fn ln_1p(x: f64) -> f64 {
    libm::log1p(x)
}

/// Logarithm to base 10.
pub fn log10(x: f64) -> f64 {
    libm::log10(x)
}

/// The exponential function.
pub fn exp(x: f64) -> f64 {
    libm::exp(x)
}

/// `base` to the power `exponent`.
pub fn pow(base: f64, exponent: f64) -> f64 {
    libm::pow(base, exponent)
}

/// Square root.
pub fn sqrt(x: f64) -> f64 {
    libm::sqrt(x)
}

/// Sine of an angle in radians.
pub fn sin(x: f64) -> f64 {
    libm::sin(x)
}

/// Cosine of an angle in radians.
pub fn cos(x: f64) -> f64 {
    libm::cos(x)
}

/// Logarithm of the gamma function.
pub fn ln_gamma(x: f64) -> f64 {
    libm::lgamma(x)
}

/// The error function.
pub fn erf(x: f64) -> f64 {
    libm::erf(x)
}

/// The standard normal distribution function.
pub fn normal_cdf(x: f64) -> f64 {
    0.5 * (1.0 + erf(x / core::f64::consts::SQRT_2))
}

/// The standard normal quantile, by bisection: for set-up and statistics, not for draws.
pub fn normal_quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-9.0, 9.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if normal_cdf(middle) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits, not tolerances: a changed bit changes every result.
    #[test]
    fn pinned_bits() {
        let bits = [ln(0.3), exp(0.7), pow(1.1, 2.3), log10(42.0), ln_gamma(4.5)].map(f64::to_bits);
        assert_eq!(
            bits,
            [
                13_831_473_067_500_349_217,
                4_611_716_986_771_507_591,
                4_608_286_237_417_822_948,
                4_609_989_284_072_012_319,
                4_612_707_742_353_073_099,
            ]
        );
    }

    #[test]
    fn several_logarithms_are_those_of_each() {
        let mut draws = crate::Seed::new(1, 0).stream("logarithms", 0);
        let near = [
            1.0,
            f64::MIN_POSITIVE,
            f64::MAX,
            0.5,
            2.0,
            f64::from_bits(0x3fe6_a09e_0000_0000),
        ];
        for i in 0..200_000 {
            let numbers: [f64; 8] = core::array::from_fn(|place| {
                let bits = draws.bits();
                let around = near[place % near.len()].to_bits();
                match (i + place) % 3 {
                    0 => crate::seed::open01(bits),
                    1 => f64::from_bits(around.wrapping_add(bits % 9).wrapping_sub(4)),
                    _ => f64::from_bits(bits >> 1),
                }
            });
            let numbers = numbers.map(|x| if x.is_normal() { x } else { 0.75 });
            let mut all = numbers;
            ln_each(&mut all);
            let wanted = numbers.map(ln).map(f64::to_bits);
            assert_eq!(all.map(f64::to_bits), wanted, "{numbers:?}");
        }
    }

    #[test]
    fn quantiles_invert() {
        for p in [0.001, 0.2, 0.5, 0.9, 0.999] {
            assert!((normal_cdf(normal_quantile(p)) - p).abs() < 1e-12);
        }
        // Textbook value.
        assert!((normal_quantile(0.975) - 1.959_963_984_540_054).abs() < 1e-9);
    }
}
