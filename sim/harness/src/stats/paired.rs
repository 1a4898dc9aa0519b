//! Whether two systems under the same random numbers differ: the tests of paired differences, and
//! their correction for how many there are.

use super::{check_finite, incomplete_beta, mean, variance};
use quorate_core::math::normal_cdf;

/// The two-sided p-value of Student's t with `df` degrees of freedom.
pub fn student_p(t: f64, df: f64) -> f64 {
    let x = df / (df + t * t);
    match x {
        _ if x >= 1.0 => 1.0,
        _ if x <= 0.0 => 0.0,
        _ => incomplete_beta(x, df / 2.0, 0.5),
    }
}

/// The two-sided p-value of the paired t test: how often independent normal differences with mean 0
/// are so far from it. `None` below two pairs.
///
/// # Panics
///
/// If a difference is not finite.
pub fn paired_t_p(differences: &[f64]) -> Option<f64> {
    check_finite(differences);
    let n = differences.len();
    let error = (variance(differences)? / n as f64).sqrt();
    let centre = mean(differences);
    Some(match (centre, error) {
        (0.0, _) => 1.0,
        (_, 0.0) => 0.0,
        _ => student_p(centre / error, (n - 1) as f64),
    })
}

/// Up to so many pairs the signed-rank test counts every assignment of signs.
// source: `scipy.stats.wilcoxon` switches there as well.
const EXACT: usize = 50;

/// The two-sided p-value of Wilcoxon's signed-rank test, which asks for no normal law: how often
/// differences that are symmetric around 0 have so uneven rank sums. Differences of 0 are left out
/// and equal ones share their ranks; the law is exact, given the ranks, up to 50 differences, and
/// normal with the variance corrected for ties above. `None` without a difference.
///
/// source: Wilcoxon, "Individual comparisons by ranking methods", 1945; Hollander, Wolfe and Chicken,
/// *Nonparametric Statistical Methods*, §3.1.
///
/// # Panics
///
/// If a difference is not finite.
pub fn wilcoxon_p(differences: &[f64]) -> Option<f64> {
    check_finite(differences);
    if differences.is_empty() {
        return None;
    }
    let mut moved: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    if moved.is_empty() {
        return Some(1.0);
    }
    moved.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let ranks = twice_the_ranks(&moved);
    let all = moved.iter().zip(&ranks);
    let plus: usize = all.filter(|(d, _)| **d > 0.0).map(|(_, r)| r).sum();
    Some(if moved.len() <= EXACT {
        exact_p(&ranks, plus)
    } else {
        normal_p(&ranks, plus)
    })
}

/// Ranks of values that are sorted by size, doubled so that shared ones stay whole.
fn twice_the_ranks(sorted: &[f64]) -> Vec<usize> {
    let mut ranks = Vec::with_capacity(sorted.len());
    while ranks.len() < sorted.len() {
        let first = ranks.len();
        let size = sorted[first].abs();
        let ties = sorted[first..].iter().take_while(|d| d.abs() <= size);
        let ties = ties.count();
        // The mean of first + 1 … first + ties.
        ranks.extend(std::iter::repeat_n(2 * first + ties + 1, ties));
    }
    ranks
}

/// Twice the smaller tail of the sum of ranks with fair signs.
fn exact_p(ranks: &[usize], plus: usize) -> f64 {
    let all: usize = ranks.iter().sum();
    let mut chance = vec![0.0_f64; all + 1];
    chance[0] = 1.0;
    let mut reached = 0;
    for &rank in ranks {
        for sum in (0..=reached).rev() {
            chance[sum] *= 0.5;
            chance[sum + rank] += chance[sum];
        }
        reached += rank;
    }
    let tail = |sums: &[f64]| sums.iter().sum::<f64>();
    let smaller = tail(&chance[..=plus]).min(tail(&chance[plus..]));
    (2.0 * smaller).min(1.0)
}

fn normal_p(ranks: &[usize], plus: usize) -> f64 {
    let all: usize = ranks.iter().sum();
    // The ranks are doubled; so are their deviations here.
    let variance: f64 = ranks.iter().map(|&r| (r * r) as f64).sum::<f64>() / 4.0;
    let off = (plus as f64 - all as f64 / 2.0).abs();
    (2.0 * normal_cdf(-off / variance.sqrt())).min(1.0)
}

/// p-values corrected for their number: no true hypothesis among them is refused but with the chance
/// that one is compared with.
///
/// source: Holm, "A simple sequentially rejective multiple test procedure", 1979.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut corrected = vec![0.0; p.len()];
    let mut largest: f64 = 0.0;
    for (left, &i) in (1..=p.len()).rev().zip(&order) {
        largest = largest.max(p[i] * left as f64).min(1.0);
        corrected[i] = largest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-6 * want, "{got}, not {want}");
    }

    /// Darwin's fifteen pairs of maize, eighths of an inch, as in the documentation of
    /// `scipy.stats.wilcoxon`.
    const DARWIN: [f64; 15] = [
        6.0, 8.0, 14.0, 16.0, 23.0, 24.0, 28.0, 29.0, 41.0, -48.0, 49.0, 56.0, 60.0, -67.0, 75.0,
    ];
    /// Hours of sleep gained, Student 1908: a tie and a zero.
    const SLEEP: [f64; 10] = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4];

    /// `scipy.stats.wilcoxon` of scipy 1.17.1; with ties by its `PermutationMethod`.
    #[test]
    fn signed_ranks_match_scipy() {
        close(wilcoxon_p(&DARWIN).unwrap(), 0.041_259_765_625);
        close(wilcoxon_p(&SLEEP).unwrap(), 0.003_906_25);
        let every_third: Vec<f64> = (0..60)
            .map(|i| f64::from(i + 1) * if i % 3 == 0 { -1.0 } else { 1.0 })
            .collect();
        close(wilcoxon_p(&every_third).unwrap(), 0.016_733_071_607_703);
        let tied = [-2.0, 1.0, 3.0, 3.0, -1.0, 5.0].map(|d| [d; 10]).concat();
        close(wilcoxon_p(&tied).unwrap(), 3.663_997_435_377_7e-5);
    }

    /// `scipy.stats.ttest_1samp`, `ttest_rel` and `2 * t.sf` of scipy 1.17.1.
    #[test]
    fn t_tests_match_scipy() {
        close(paired_t_p(&DARWIN).unwrap(), 0.049_702_944_021_800_866);
        close(paired_t_p(&SLEEP).unwrap(), 0.002_832_890_197_384_273);
        close(student_p(2.262_157, 9.0), 0.050_000_013_304);
        close(student_p(1.0, 3.0), 0.391_002_218_955_77);
        close(student_p(12.0, 19.0), 2.590_894_637_222_2e-10);
    }

    #[test]
    fn equal_systems_do_not_differ_and_constant_ones_do() {
        assert_eq!(paired_t_p(&[0.0; 5]), Some(1.0));
        assert_eq!(wilcoxon_p(&[0.0; 5]), Some(1.0));
        assert_eq!(paired_t_p(&[2.0; 5]), Some(0.0));
        // All of 2⁵ assignments but two are less uneven.
        assert_eq!(wilcoxon_p(&[2.0; 5]), Some(0.0625));
        assert_eq!((paired_t_p(&[1.0]), wilcoxon_p(&[])), (None, None));
    }

    /// The example of Holm's procedure with four hypotheses: 0.01·4, 0.02·3, 0.03·2, 0.04·1, never
    /// falling.
    #[test]
    fn holm_corrects_step_by_step() {
        let got = holm(&[0.04, 0.01, 0.03, 0.02]);
        for (got, want) in got.into_iter().zip([0.06, 0.04, 0.06, 0.06]) {
            close(got, want);
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    }
}
