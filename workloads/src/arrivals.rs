//! When things arrive: published shapes of the day and the week, and clocks that follow them.

use crate::Error;
use quorate_core::dist::gamma;
use quorate_core::math::ln_each;
use quorate_core::{Draws, Seed, Span, Time, hash};
use serde::{Deserialize, Serialize};

const HOUR_NS: u64 = 3_600_000_000_000;
const HOURS_A_WEEK: u64 = 168;

/// For ever: three centuries, which signed numbers hold, and processors convert those at once.
const EVER_NS: u64 = i64::MAX as u64;

/// A 24-hour profile, with the week that belongs to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    /// Arrivals at an emergency department: a long day, busier on Mondays.
    Ed,
    /// Booked visits and what follows them: weekdays in business hours.
    Outpatient,
    /// Laboratory reports of wards: the draw before the morning round.
    WardLab,
    /// Medication administrations of wards: the morning pass.
    WardMar,
}

impl Profile {
    /// Percent of the day's events by hour, from midnight; the sum is about 100.
    pub const fn percent(self) -> &'static [f64; 24] {
        match self {
            // source: NHS England A&E attendances by hour (59 % between 09 and 18 h, busiest hour
            // 1.9 × and quietest 0.2 × the mean, 2021–22), fitted.
            Self::Ed => &[
                2.2, 1.9, 1.6, 1.3, 1.2, 1.2, 1.6, 2.6, 4.5, 6.4, 7.2, 7.2, 6.8, 6.6, 6.4, 6.3,
                6.2, 5.9, 5.4, 4.8, 4.1, 3.3, 2.8, 2.5,
            ],
            // assumption: surgeries in the morning and the afternoon of weekdays.
            Self::Outpatient => &[
                0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.6, 2.5, 9.0, 13.0, 13.5, 11.5, 6.5, 7.5, 11.5,
                11.0, 7.5, 3.0, 1.2, 0.5, 0.2, 0.1, 0.1, 0.1,
            ],
            // source: clinosim 0.6.5 (PyPI), measured on 900 synthetic patients over 13 months.
            Self::WardLab => &[
                1.1, 1.2, 0.8, 0.1, 1.3, 3.5, 24.7, 2.0, 3.3, 3.6, 6.2, 11.0, 5.6, 5.8, 6.7, 4.5,
                3.2, 3.5, 1.9, 4.8, 1.6, 1.2, 1.5, 0.9,
            ],
            // source: clinosim 0.6.5 (PyPI), measured on 900 synthetic patients over 13 months.
            Self::WardMar => &[
                7.2, 0.0, 0.1, 1.0, 1.9, 2.3, 4.8, 10.2, 22.8, 0.4, 0.2, 4.0, 7.7, 2.3, 4.8, 1.6,
                3.2, 2.7, 5.7, 3.7, 9.5, 0.2, 0.4, 3.3,
            ],
        }
    }

    /// Relative weight of a weekday, from Monday.
    const fn weekday(self, day: usize) -> f64 {
        match (self, day) {
            // source: NHS England: 16 % of a week's A&E attendances fall on Monday, 1.12 × a day.
            (Self::Ed, 0) => 1.12,
            (Self::Ed, _) => 0.98,
            // assumption: practices, pharmacies and payers' offices rest at weekends.
            (Self::Outpatient, 5 | 6) => 0.0,
            // source: J Hosp Med 2013;8:513–518: accesses to inpatient records on weekdays are
            // 1.76 (day), 1.52 (evening) and 1.14 (night) times those at weekends; about 1.5.
            (Self::WardLab | Self::WardMar, 0..=4) => 1.5,
            _ => 1.0,
        }
    }

    /// The part of the day, in [0, 1), at which the share `uniform` of the day's events is over.
    pub fn time_of_day(self, uniform: f64) -> f64 {
        let percent = self.percent();
        let mut left = uniform * percent.iter().sum::<f64>();
        for (hour, &share) in percent.iter().enumerate() {
            if left < share {
                return (hour as f64 + left / share) / 24.0;
            }
            left -= share;
        }
        // Rounding at the very end of the day.
        23.999_999 / 24.0
    }
}

/// Relative rate by hour of the week, from Monday midnight; the mean is 1.
#[derive(Clone, PartialEq, Debug)]
pub struct Shape(Vec<f64>);

impl Shape {
    /// A blend of profiles with the given shares of the week's events.
    pub fn blend(parts: &[(Profile, f64)]) -> Self {
        let mut hours = vec![0.0; HOURS_A_WEEK as usize];
        for &(profile, share) in parts {
            let weight = |h: usize| profile.weekday(h / 24) * profile.percent()[h % 24];
            let total: f64 = (0..hours.len()).map(weight).sum();
            for (hour, rate) in hours.iter_mut().enumerate() {
                *rate += share * weight(hour) / total * HOURS_A_WEEK as f64;
            }
        }
        Self(hours)
    }

    /// The relative rate in an hour of the week.
    pub fn at(&self, hour_of_week: usize) -> f64 {
        self.0[hour_of_week]
    }

    /// The highest relative rate.
    pub fn peak(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }
}

/// A day of the week.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names of the days")]
pub enum Weekday {
    #[default]
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// How much arrives, and in which shape.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "regime", rename_all = "snake_case", deny_unknown_fields)]
pub enum Rate {
    /// For steady studies: a homogeneous Poisson process of writes with the workload's mix.
    Flat {
        /// Writes per second, all classes; reads come on top.
        per_s: f64,
    },
    /// For terminating studies: whole days with the shapes of day and week.
    Profile {
        /// Mean writes per second over a week; left out, what the workload's people cause.
        #[serde(default)]
        mean_per_s: Option<f64>,
        /// The weekday of the first simulated day.
        #[serde(default)]
        start: Weekday,
        /// Coefficient of variation of the Gamma factor that each day has, 0 for none.
        #[serde(default = "day_cv")]
        day_cv: f64,
    },
}

/// Days are more variable than Poisson (source: Clin Exp Emerg Med, ceemjournal.org 49: 4.67 M visits to
/// 141 emergency departments, overdispersed and skewed); the amount is an assumption.
const fn day_cv() -> f64 {
    0.15
}

impl Rate {
    /// Whole days from Monday, at the rate that the workload's people cause.
    pub const fn profile() -> Self {
        Self::Profile {
            mean_per_s: None,
            start: Weekday::Monday,
            day_cv: day_cv(),
        }
    }

    /// The mean over a week in writes per second; `None` leaves it to the workload's people.
    pub const fn mean_per_s(self) -> Option<f64> {
        match self {
            Self::Flat { per_s } => Some(per_s),
            Self::Profile { mean_per_s, .. } => mean_per_s,
        }
    }

    pub(crate) fn check(self) -> Result<(), Error> {
        let (key, value, cv) = match self {
            Self::Flat { per_s } => ("per_s", per_s, 0.0),
            Self::Profile {
                mean_per_s, day_cv, ..
            } => ("mean_per_s", mean_per_s.unwrap_or(1.0), day_cv),
        };
        let fits = value.is_finite() && value > 0.0;
        Error::unless(fits, key, &value, "a rate is a finite number above 0")?;
        let fits = (0.0..=2.0).contains(&cv);
        Error::unless(
            fits,
            "day_cv",
            &cv,
            "a coefficient of variation between 0 and 2",
        )
    }
}

/// A number for a name, so that streams hang on what a source is called, not on its place.
pub(crate) fn named(name: &str) -> u64 {
    name.bytes()
        .fold(0, |state, byte| hash::fold(state, u64::from(byte)))
}

/// The arrival times of one source, from a stream of its own.
///
/// One unit exponential a draw is spent along the cumulative rate, hour by hour: exact for rates
/// that are constant within the hour, and a change of rate moves times without moving draws.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    draws: Draws,
    /// Unit exponentials, drawn several at once, which a processor does in hardly more time than one;
    /// those from `next` on are not spent yet.
    drawn: [f64; AT_ONCE],
    next: usize,
    at_ns: u64,
    /// Mean gap at the present rate; infinite where nothing arrives.
    gap_ns: f64,
    /// When the present rate ends.
    until_ns: u64,
    week: Option<Week>,
}

/// Exponentials that are drawn at once.
// assumption: as many logarithms as a processor has under way; more gain nothing.
const AT_ONCE: usize = 16;

/// Where a clock is in the week.
#[derive(Clone, Debug)]
struct Week {
    shape: Shape,
    seed: Seed,
    /// Mean gap over the whole week.
    gap_ns: f64,
    start: Weekday,
    day_cv: f64,
    /// Today's factor on the rate.
    factor: f64,
    /// Hours since the start of the replication.
    hour: u64,
}

impl Clock {
    /// A clock of `mean_per_s` arrivals a second over the week, which stands at its first arrival.
    ///
    /// `name` is the source's own: it keys the stream.
    pub(crate) fn new(rate: Rate, mean_per_s: f64, shape: Shape, seed: Seed, name: &str) -> Self {
        let gap_ns = 1e9 / mean_per_s;
        let mut clock = Self {
            draws: seed.stream("arrivals", named(name)),
            drawn: [0.0; AT_ONCE],
            next: AT_ONCE,
            at_ns: 0,
            gap_ns,
            until_ns: EVER_NS,
            week: None,
        };
        if mean_per_s <= 0.0 {
            clock.at_ns = Time::NEVER.ns();
            return clock;
        }
        if let Rate::Profile { start, day_cv, .. } = rate {
            let mut week = Week {
                shape,
                seed,
                gap_ns,
                start,
                day_cv,
                factor: 1.0,
                hour: 0,
            };
            clock.gap_ns = week.enter(0);
            clock.until_ns = HOUR_NS;
            clock.week = Some(week);
        }
        clock.advance();
        clock
    }

    /// The next arrival; [`Time::NEVER`] when there is none.
    pub(crate) const fn at(&self) -> Time {
        Time::from_ns(self.at_ns)
    }

    /// Moves on to the arrival after this one.
    #[inline]
    pub(crate) fn advance(&mut self) {
        if self.next == AT_ONCE {
            self.draw();
        }
        let left = self.drawn[self.next];
        self.next += 1;
        let gap_ns = left * self.gap_ns;
        if gap_ns < (self.until_ns - self.at_ns).cast_signed() as f64 {
            self.at_ns += (gap_ns as i64).cast_unsigned();
        } else {
            self.cross(left);
        }
    }

    /// Tells all arrivals before an instant, and moves on to the first after them.
    #[inline]
    fn tell_until(&mut self, until_ns: u64, mut tell: impl FnMut(u64)) {
        while self.at_ns < until_ns {
            tell(self.at_ns);
            self.advance();
        }
    }

    #[inline(never)]
    fn draw(&mut self) {
        for drawn in &mut self.drawn {
            *drawn = self.draws.open01();
        }
        ln_each(&mut self.drawn);
        for drawn in &mut self.drawn {
            *drawn = -*drawn;
        }
        self.next = 0;
    }

    /// Spends an exponential that lasts beyond the present rate.
    #[cold]
    fn cross(&mut self, mut left: f64) {
        loop {
            let room_ns = (self.until_ns - self.at_ns) as f64;
            let gap_ns = left * self.gap_ns;
            if gap_ns < room_ns {
                self.at_ns += gap_ns as u64;
                return;
            }
            self.at_ns = self.until_ns;
            let Some(week) = &mut self.week else {
                (self.at_ns, self.until_ns) = (Time::NEVER.ns(), Time::NEVER.ns());
                return;
            };
            // Rounding must not lend the next hour a negative rest.
            left = (left - room_ns / self.gap_ns).max(0.0);
            self.gap_ns = week.enter(week.hour + 1);
            self.until_ns += HOUR_NS;
        }
    }
}

/// The arrivals of several sources in order: of two at one instant that of the earlier source comes
/// first.
///
/// Sources know nothing of one another, so that each tells its arrivals of a while at once, and then they
/// are sorted: to ask again and again who is next would take longer.
#[derive(Clone, Debug)]
pub(crate) struct Merged {
    clocks: Vec<Clock>,
    /// Times since `from`, shifted to make room for the places of the sources.
    due: Vec<u64>,
    next: usize,
    from: Time,
    /// Space to sort in.
    spread: Vec<u64>,
}

/// Where arrivals are put while they are sorted.
const SLOTS: usize = 256;

/// So many sources at most have places in that room.
const SOURCES: u32 = 32;

/// What is due some time after an instant, and the place of its source.
#[inline]
fn at_place(from: Time, due: u64) -> (Time, usize) {
    let since = Span::from_ns(due / u64::from(SOURCES));
    (from + since, due as usize % SOURCES as usize)
}

impl Merged {
    /// Merges at most 32 sources.
    pub(crate) fn new(clocks: Vec<Clock>) -> Self {
        assert!(clocks.len() <= SOURCES as usize, "a place needs five bits");
        let mut merged = Self {
            clocks,
            due: Vec::new(),
            next: 0,
            from: Time::ZERO,
            spread: Vec::new(),
        };
        merged.refill();
        merged
    }

    /// The next arrival and the place of its source; at [`Time::NEVER`] when there is none.
    #[inline]
    pub(crate) fn first(&self) -> (Time, usize) {
        let Some(&due) = self.due.get(self.next) else {
            return (Time::NEVER, 0);
        };
        at_place(self.from, due)
    }

    /// Moves on to the arrival after this one.
    #[inline]
    pub(crate) fn advance(&mut self) {
        self.skip(1);
    }

    /// The next arrivals, as many as are known.
    #[inline]
    pub(crate) fn known(&self) -> impl Iterator<Item = (Time, usize)> {
        let from = self.from;
        self.due[self.next..]
            .iter()
            .map(move |&due| at_place(from, due))
    }

    /// Moves on beyond so many of those that are known.
    #[inline]
    pub(crate) fn skip(&mut self, arrivals: usize) {
        self.next += arrivals;
        if self.next >= self.due.len() {
            self.refill();
        }
    }

    #[inline(never)]
    fn refill(&mut self) {
        /// Arrivals in a while.
        // assumption: enough to make up for the work of a while, few enough for the nearest cache.
        const SOME: f64 = 192.0;
        self.next = 0;
        self.due.clear();
        let Some(from) = self.clocks.iter().map(|c| c.at_ns).min() else {
            return;
        };
        if from >= EVER_NS {
            return;
        }
        let per_ns: f64 = self.clocks.iter().fold(0.0, |sum, c| sum + 1.0 / c.gap_ns);
        // The rates of now; those of the next hour may bring more or fewer.
        let while_ns = (SOME / per_ns).min((EVER_NS - from) as f64) as u64;
        let until = from + while_ns.max(1);
        self.from = Time::from_ns(from);
        for (place, clock) in (0..).zip(&mut self.clocks) {
            clock.tell_until(until, |at_ns| {
                self.due.push((at_ns - from) * u64::from(SOURCES) + place);
            });
        }
        self.sort(until - from);
    }

    /// Sorts what is due within a span: first to where it belongs if spread evenly, which is nearly right.
    fn sort(&mut self, span_ns: u64) {
        let bits = span_ns.ilog2() + 1 + SOURCES.ilog2();
        let shift = bits.saturating_sub(SLOTS.ilog2());
        let slot = |due: u64| (due >> shift) as usize % SLOTS;
        let mut ends = [0_u32; SLOTS];
        for &due in &self.due {
            ends[slot(due)] = ends[slot(due)].wrapping_add(1);
        }
        let mut sum = 0_u32;
        for end in &mut ends {
            sum = sum.wrapping_add(core::mem::replace(end, sum));
        }
        self.spread.resize(self.due.len(), 0);
        for &due in &self.due {
            let end = &mut ends[slot(due)];
            self.spread[*end as usize] = due;
            *end = end.wrapping_add(1);
        }
        core::mem::swap(&mut self.due, &mut self.spread);
        // Only neighbours are in a wrong order now.
        let mut last = 0;
        for i in 0..self.due.len() {
            let due = self.due[i];
            if due < last {
                let place = self.due[..i].iter().rposition(|&before| before <= due);
                self.due[place.map_or(0, |p| p + 1)..=i].rotate_right(1);
            } else {
                last = due;
            }
        }
    }
}

impl Week {
    /// Enters an hour since the start; the mean gap in it.
    fn enter(&mut self, hour: u64) -> f64 {
        self.hour = hour;
        if hour.is_multiple_of(24) && self.day_cv > 0.0 {
            // Keyed by the day alone: a busy day is busy for every class.
            let mut draws = self.seed.stream("day factor", hour / 24);
            self.factor = gamma(1.0, self.day_cv, &mut draws);
        }
        let hour_of_week = (self.start as u64 * 24 + hour) % HOURS_A_WEEK;
        self.gap_ns / (self.factor * self.shape.at(hour_of_week as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_core::math::exp;

    fn times(rate: Rate, per_s: f64, profile: Profile, until_s: f64, seed: Seed) -> Vec<f64> {
        let mut clock = Clock::new(rate, per_s, Shape::blend(&[(profile, 1.0)]), seed, "test");
        let mut times = Vec::new();
        while clock.at().as_s() < until_s {
            times.push(clock.at().as_s());
            clock.advance();
        }
        times
    }

    const DAYS: Rate = Rate::Profile {
        mean_per_s: None,
        start: Weekday::Monday,
        day_cv: 0.0,
    };

    #[test]
    fn profiles_are_whole_days() {
        for p in [
            Profile::Ed,
            Profile::Outpatient,
            Profile::WardLab,
            Profile::WardMar,
        ] {
            let sum: f64 = p.percent().iter().sum();
            assert!((sum - 100.0).abs() < 0.6, "{p:?} sums to {sum}");
            let shape = Shape::blend(&[(p, 1.0)]);
            let mean = (0..168).map(|h| shape.at(h)).sum::<f64>() / 168.0;
            assert!((mean - 1.0).abs() < 1e-12);
        }
        // 13.5 % in an hour of five days: 13.5 % × 24 × 7/5.
        assert!((Shape::blend(&[(Profile::Outpatient, 1.0)]).peak() - 4.536).abs() < 0.01);
    }

    /// Chi-square of arrivals by hour of the week against the shape.
    #[test]
    fn hours_of_the_week_follow_the_shape() {
        for profile in [
            Profile::Ed,
            Profile::Outpatient,
            Profile::WardLab,
            Profile::WardMar,
        ] {
            let weeks = 10.0;
            let times = times(DAYS, 0.1, profile, weeks * 604_800.0, Seed::new(3, 0));
            let shape = Shape::blend(&[(profile, 1.0)]);
            let mut counts = [0_u32; 168];
            for t in &times {
                counts[(t / 3600.0) as usize % 168] += 1;
            }
            let (mut chi, mut cells) = (0.0, 0.0);
            for (hour, &count) in counts.iter().enumerate() {
                let want = 0.1 * 3600.0 * weeks * shape.at(hour);
                if want < 1e-9 {
                    assert_eq!(count, 0, "{profile:?} in hour {hour}");
                    continue;
                }
                chi += (f64::from(count) - want) * (f64::from(count) - want) / want;
                cells += 1.0;
            }
            // Chi-square with k degrees of freedom: mean k, variance 2k; four deviations.
            let limit = 4.0 * quorate_core::math::sqrt(2.0 * cells);
            assert!(
                (chi - cells).abs() < limit,
                "{profile:?}: {chi} for {cells}"
            );
        }
    }

    #[test]
    fn weekdays_only_and_busy_mondays() {
        let saturday = Rate::Profile {
            mean_per_s: None,
            start: Weekday::Saturday,
            day_cv: 0.0,
        };
        let first = times(
            saturday,
            1.0,
            Profile::Outpatient,
            3.0 * 86_400.0,
            Seed::new(1, 0),
        )[0];
        assert!((172_800.0..177_000.0).contains(&first), "{first}");
        let ed = times(DAYS, 0.2, Profile::Ed, 20.0 * 604_800.0, Seed::new(1, 0));
        let mondays = ed.iter().filter(|t| *t % 604_800.0 < 86_400.0).count();
        let share = mondays as f64 / ed.len() as f64;
        assert!((share - 0.16).abs() < 0.004, "{share}");
    }

    /// Kolmogorov–Smirnov distance of flat gaps from the exponential distribution.
    #[test]
    fn flat_gaps_are_exponential() {
        let flat = Rate::Flat { per_s: 50.0 };
        let times = times(flat, 50.0, Profile::Ed, 400.0, Seed::new(11, 0));
        let mut gaps: Vec<f64> = times.windows(2).map(|w| w[1] - w[0]).collect();
        gaps.sort_unstable_by(f64::total_cmp);
        let n = gaps.len() as f64;
        let distance = gaps
            .iter()
            .enumerate()
            .map(|(i, gap)| (1.0 - exp(-50.0 * gap) - (i as f64 + 0.5) / n).abs())
            .fold(0.0, f64::max);
        // The 0.1 % critical value of the test.
        assert!(
            distance < 1.95 / quorate_core::math::sqrt(n),
            "{distance}, {n}"
        );
    }

    #[test]
    fn days_are_overdispersed_as_asked() {
        let rate = Rate::Profile {
            mean_per_s: None,
            start: Weekday::Monday,
            day_cv: 0.15,
        };
        let days = 700;
        let until = f64::from(days) * 86_400.0;
        let times = times(rate, 0.02, Profile::WardLab, until, Seed::new(21, 0));
        let shape = Shape::blend(&[(Profile::WardLab, 1.0)]);
        let mut ratios = vec![0.0; days as usize];
        for t in times {
            let day = (t / 86_400.0) as usize;
            let share: f64 = (0..24).map(|h| shape.at(day % 7 * 24 + h)).sum();
            ratios[day] += 1.0 / (0.02 * 3600.0 * share);
        }
        let n = f64::from(days);
        let mean = ratios.iter().sum::<f64>() / n;
        let var = ratios.iter().map(|r| (r - mean) * (r - mean)).sum::<f64>() / (n - 1.0);
        // Gamma-mixed Poisson: cv² + 1 / (events a day); about 1/1728.
        let want = 0.0225 + 1.0 / 1728.0;
        assert!((mean - 1.0).abs() < 0.024, "mean {mean}");
        assert!(
            (var / want - 1.0).abs() < 0.25,
            "variance {var}, not {want}"
        );
    }

    /// Asking again and again who comes next.
    #[test]
    fn merged_sources_come_in_order() {
        let quiet = Rate::Flat { per_s: 1.0 };
        let source = |n: usize| {
            let profile = [Profile::Ed, Profile::Outpatient, Profile::WardMar][n % 3];
            let (rate, per_s) = match n {
                0 => (quiet, 0.0),
                1..4 => (quiet, 40.0),
                4 => (quiet, 1e-9),
                _ => (DAYS, [0.001, 0.2, 3.0][n % 3]),
            };
            let shape = Shape::blend(&[(profile, 1.0)]);
            Clock::new(rate, per_s, shape, Seed::new(9, 0), ["a", "b"][n % 2])
        };
        for sources in [0, 1, 3, 7, 11] {
            let mut clocks: Vec<Clock> = (0..sources).map(source).collect();
            let mut merged = Merged::new(clocks.clone());
            for _ in 0..200_000 {
                let first = clocks
                    .iter()
                    .enumerate()
                    .min_by_key(|(_, clock)| clock.at_ns);
                let Some((place, at)) = first
                    .map(|(p, c)| (p, c.at()))
                    .filter(|f| f.1 < Time::NEVER)
                else {
                    assert_eq!(merged.first().0, Time::NEVER);
                    break;
                };
                assert_eq!(merged.first(), (at, place));
                clocks[place].advance();
                merged.advance();
            }
        }
    }

    #[test]
    fn twice_the_rate_halves_the_times() {
        let at = |per_s| {
            times(
                Rate::Flat { per_s },
                per_s,
                Profile::Ed,
                50.0,
                Seed::new(2, 0),
            )
        };
        let (slow, fast) = (at(10.0), at(20.0));
        for (a, b) in slow.iter().zip(&fast) {
            assert!((a - 2.0 * b).abs() < 1e-5, "{a} and {b}");
        }
    }

    #[test]
    fn times_of_day_invert_the_profile() {
        assert!(Profile::Outpatient.time_of_day(1e-9) < 0.001);
        let noon = Profile::Outpatient.time_of_day(0.51);
        assert!((11.0 / 24.0..13.0 / 24.0).contains(&noon), "{noon}");
        assert!(Profile::Outpatient.time_of_day(1.0 - 1e-16) < 1.0);
    }

    #[test]
    fn rates_that_make_no_sense_are_refused() {
        for per_s in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Rate::Flat { per_s }.check().is_err());
        }
        assert!(Rate::profile().check().is_ok());
    }
}
