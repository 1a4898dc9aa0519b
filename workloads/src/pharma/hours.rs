//! Hours of pharmacies and warehouses, and clocks that follow them.

use crate::arrivals::{Clock, Rate, Weekday};
use crate::{Profile, Shape};
use quorate_core::dist::gamma;
use quorate_core::{Seed, Time};

const HOUR_NS: u64 = 3_600_000_000_000;

/// Who is at work when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hours {
    /// Pharmacies and what supplies them: all of Monday to Saturday, a little on Sundays.
    Trade,
    /// Marketing authorisation holders: weekdays.
    Office,
    /// Recalls: offices, and those of class I at any hour.
    Recall,
}

/// Percent of a pharmacy's day by hour, from midnight.
// source: securPharm: 6.2 M verifications a day in 11.5 business hours, 150 a second against a mean
// of 72, 2.1 times.
// assumption: flat from 8 to 20 h, such that these hours have 2.1 times the mean of the week.
const PHARMACY: [f64; 24] = [
    0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.32, 2.2, 7.69, 7.69, 7.69, 7.69, 7.69, 7.69, 7.69, 7.69, 7.69,
    7.69, 7.69, 7.69, 2.2, 1.0, 0.5, 0.3,
];
// assumption: emergency service only; a Saturday is like a weekday.
const SUNDAY: f64 = 0.15;

impl Hours {
    /// Relative rate by hour of the week, from Monday midnight; the mean is 1.
    pub(super) fn week(self, class_one: f64) -> [f64; 168] {
        let office = Shape::blend(&[(Profile::Outpatient, 1.0)]);
        let day = |h: usize| if h / 24 == 6 { SUNDAY } else { 1.0 };
        let pharmacy = |h: usize| day(h) * PHARMACY[h % 24];
        let total: f64 = (0..168).map(pharmacy).sum();
        core::array::from_fn(|h| match self {
            Self::Trade => pharmacy(h) / total * 168.0,
            Self::Office => office.at(h),
            Self::Recall => (1.0 - class_one) * office.at(h) + class_one,
        })
    }
}

/// The most by which one shape runs ahead of another within the week, in hours of the mean rate.
pub(super) fn lead(ahead: &[f64; 168], behind: &[f64; 168]) -> f64 {
    let mut sum = 0.0;
    let (mut low, mut high) = (0.0_f64, 0.0_f64);
    for (a, b) in ahead.iter().zip(behind) {
        sum += a - b;
        (low, high) = (low.min(sum), high.max(sum));
    }
    // From the lowest to the highest, whichever comes first: weeks follow one another.
    high - low
}

/// The highest of the relative rates.
pub(super) fn peak(week: &[f64; 168]) -> f64 {
    week.iter().copied().fold(0.0, f64::max)
}

/// Arrival times of one class: a homogeneous clock, whose time passes as fast as the class works.
pub(super) struct Times {
    clock: Clock,
    week: Option<Week>,
    at: Time,
}

/// Working time spent up to an hour of the replication.
struct Week {
    relative: [f64; 168],
    seed: Seed,
    start: Weekday,
    day_cv: f64,
    /// Factor on the first day.
    first_day: f64,
    /// Today's factor.
    factor: f64,
    hour: u64,
    /// Working time per real time in this hour.
    speed: f64,
    /// Working time at the start and the end of this hour.
    from_ns: u64,
    until_ns: u64,
}

impl Times {
    /// `per_s` arrivals a second over the week. The class's own `name` keys its stream.
    pub(super) fn new(
        rate: Rate,
        per_s: f64,
        relative: &[f64; 168],
        first_day: f64,
        seed: Seed,
        name: &str,
    ) -> Self {
        // A flat clock draws nothing for shapes and ignores its own.
        let flat = Shape::blend(&[(Profile::Ed, 1.0)]);
        let week = match rate {
            Rate::Flat { .. } => None,
            Rate::Profile { start, day_cv, .. } => Some(Week {
                relative: *relative,
                seed,
                start,
                day_cv,
                first_day,
                factor: 1.0,
                hour: 0,
                speed: 0.0,
                from_ns: 0,
                until_ns: 0,
            }),
        };
        let mut times = Self {
            clock: Clock::new(Rate::Flat { per_s }, per_s, flat, seed, name),
            week,
            at: Time::ZERO,
        };
        if let Some(week) = &mut times.week {
            week.enter(0);
        }
        times.look();
        times
    }

    /// The next arrival; [`Time::NEVER`] when there is none.
    pub(super) const fn at(&self) -> Time {
        self.at
    }

    /// Moves on to the arrival after this one.
    pub(super) fn advance(&mut self) {
        self.clock.advance();
        self.look();
    }

    fn look(&mut self) {
        let at = self.clock.at();
        self.at = match &mut self.week {
            Some(week) if at != Time::NEVER => week.real(at.ns()),
            _ => at,
        };
    }
}

impl Week {
    fn enter(&mut self, hour: u64) {
        self.hour = hour;
        if hour.is_multiple_of(24) {
            // Keyed by the day alone: a busy day is busy for every class, and every workload.
            let mut draws = self.seed.stream("day factor", hour / 24);
            self.factor = if self.day_cv > 0.0 {
                gamma(1.0, self.day_cv, &mut draws)
            } else {
                1.0
            };
            if hour == 0 {
                self.factor *= self.first_day;
            }
        }
        let hour_of_week = (self.start as u64 * 24 + hour) % 168;
        self.speed = self.factor * self.relative[hour_of_week as usize];
        self.from_ns = self.until_ns;
        self.until_ns += (HOUR_NS as f64 * self.speed) as u64;
    }

    /// When this much working time has passed; calls must not go back.
    fn real(&mut self, working_ns: u64) -> Time {
        while working_ns >= self.until_ns {
            self.enter(self.hour + 1);
        }
        let into = (working_ns - self.from_ns) as f64 / self.speed;
        // Rounding must not reach the next hour.
        Time::from_ns(self.hour * HOUR_NS + (into as u64).min(HOUR_NS - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn business_hours_have_twice_the_mean_and_sundays_little() {
        for hours in [Hours::Trade, Hours::Office, Hours::Recall] {
            let week = hours.week(0.06);
            assert!((week.iter().sum::<f64>() - 168.0).abs() < 1e-9, "{hours:?}");
        }
        assert!((PHARMACY.iter().sum::<f64>() - 100.0).abs() < 1e-9);
        let pharmacy = Hours::Trade.week(0.0);
        assert!((peak(&pharmacy) - 2.1).abs() < 0.002, "{}", peak(&pharmacy));
        let day = |d: usize| pharmacy[d * 24..(d + 1) * 24].iter().sum::<f64>();
        assert!((day(6) / day(2) - 0.15).abs() < 1e-12);
        let office = Hours::Office.week(0.0);
        // Trade runs ahead from Friday night to Monday morning: a Saturday, a Sunday, two hours.
        let ahead = lead(&pharmacy, &office);
        assert!((31.0..40.0).contains(&ahead), "{ahead}");
        assert!(lead(&office, &office).abs() < 1e-12);
        // A recall of class I may come on a Sunday night.
        assert!((Hours::Recall.week(0.06)[6 * 24 + 3] - 0.06).abs() < 1e-12);
        assert!(Hours::Office.week(0.0)[6 * 24 + 12].abs() < 1e-12);
    }

    fn times(rate: Rate, first_day: f64, until_s: f64) -> Vec<f64> {
        let week = Hours::Trade.week(0.0);
        let mut times = Times::new(rate, 0.2, &week, first_day, Seed::new(3, 0), "test");
        let mut all = Vec::new();
        while times.at().as_s() < until_s {
            all.push(times.at().as_s());
            times.advance();
        }
        all
    }

    const DAYS: Rate = Rate::Profile {
        mean_per_s: None,
        start: Weekday::Saturday,
        day_cv: 0.0,
    };

    /// Chi-square of arrivals by hour of the week.
    #[test]
    fn hours_of_the_week_follow_the_shape() {
        let all = times(DAYS, 1.0, 10.0 * 604_800.0);
        let week = Hours::Trade.week(0.0);
        let mut counts = [0_u32; 168];
        for t in all {
            // The first day is a Saturday.
            counts[((t / 3600.0) as usize + 120) % 168] += 1;
        }
        let chi: f64 = (0..168)
            .map(|h| {
                let want = 0.2 * 36_000.0 * week[h];
                (f64::from(counts[h]) - want) * (f64::from(counts[h]) - want) / want
            })
            .sum();
        // 168 degrees of freedom, deviation 18.3; four of them.
        assert!((chi - 168.0).abs() < 74.0, "{chi}");
    }

    #[test]
    fn a_peak_day_is_busier_and_the_next_is_not() {
        let usual = times(DAYS, 1.0, 3.0 * 86_400.0);
        let peak = times(DAYS, 1.39, 3.0 * 86_400.0);
        let day = |all: &[f64], d: f64| {
            all.iter()
                .filter(|t| **t / 86_400.0 - d < 1.0 && **t / 86_400.0 >= d)
                .count() as f64
        };
        // Some 19,700 events on that Saturday, deviation 0.7 %.
        let ratio = day(&peak, 0.0) / day(&usual, 0.0);
        assert!((ratio - 1.39).abs() < 0.06, "{ratio}");
        let ratio = day(&peak, 2.0) / day(&usual, 2.0);
        assert!((ratio - 1.0).abs() < 0.05, "{ratio}");
    }

    #[test]
    fn flat_times_are_those_of_the_clock() {
        let per_s = 0.2;
        let all = times(Rate::Flat { per_s }, 1.0, 50_000.0);
        let shape = Shape::blend(&[(Profile::Ed, 1.0)]);
        let mut clock = Clock::new(Rate::Flat { per_s }, per_s, shape, Seed::new(3, 0), "test");
        for t in all {
            assert!((t - clock.at().as_s()).abs() < 1e-12);
            clock.advance();
        }
    }
}
