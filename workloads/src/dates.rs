//! Civil dates and instants, as ISO 8601 writes them.

/// Milliseconds of a day.
pub(crate) const DAY_MS: i64 = 86_400_000;

pub(crate) const PARTIAL: &str = "partial date";
pub(crate) const MISSING: &str = "missing date";
pub(crate) const UNREADABLE: &str = "unreadable date";

/// Days since 1970-01-01, or the reason why not. A time of day is dropped.
pub(crate) fn day(text: &str) -> Result<i64, &'static str> {
    let date = text.split('T').next().unwrap_or("");
    let mut parts = date
        .split('-')
        .map(|part| (part.len(), part.parse::<i64>().ok()));
    let (year, month, day) = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        _ if date.is_empty() => return Err(MISSING),
        (Some((4, Some(y))), Some((2, Some(m))), Some((2, Some(d))), None) => (y, m, d),
        (Some((4, Some(_))), None, ..) => return Err(PARTIAL),
        (Some((4, Some(_))), Some((2, Some(1..=12))), None, _) => return Err(PARTIAL),
        _ => return Err(UNREADABLE),
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        1..=12 => 31,
        _ => return Err(UNREADABLE),
    };
    if !(1..=length).contains(&day) {
        return Err(UNREADABLE);
    }
    // source: the Gregorian calendar; years begin in March, so that the leap day is the last.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let before = y * 365 + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400);
    Ok(before + (153 * m + 2) / 5 + day - 1 - 719_468)
}

/// An instant as a file states it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    /// Milliseconds since 1970-01-01T00:00Z.
    pub(crate) ms: i64,
    /// How far the clock on its wall is ahead of that, in milliseconds.
    pub(crate) ahead_ms: i64,
    /// Whether it has a time of day; if not, `ms` is the midnight that begins it.
    pub(crate) timed: bool,
}

impl Stamp {
    /// Reads `2019-05-31`, `2019-05-31T14:05Z`, `2019-05-31T14:05:06.25+02:00`; without a zone it is
    /// UTC.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let midnight = day(text)? * DAY_MS;
        let Some((_, clock)) = text.split_once('T') else {
            return Ok(Self {
                ms: midnight,
                ahead_ms: 0,
                timed: false,
            });
        };
        let (clock, ahead_ms) = zone(clock).ok_or(UNREADABLE)?;
        Ok(Self {
            ms: midnight + time_of_day(clock).ok_or(UNREADABLE)? - ahead_ms,
            ahead_ms,
            timed: true,
        })
    }
}

/// Splits a zone off: the rest, and how far it is ahead of UTC.
fn zone(clock: &str) -> Option<(&str, i64)> {
    if let Some(rest) = clock.strip_suffix('Z') {
        return Some((rest, 0));
    }
    let Some(at) = clock.rfind(['+', '-']) else {
        return Some((clock, 0));
    };
    let (rest, zone) = clock.split_at(at);
    let ahead = time_of_day(&zone[1..])?;
    Some((rest, if zone.starts_with('-') { -ahead } else { ahead }))
}

/// Milliseconds of `14:05`, `14:05:06` or `14:05:06.25`.
fn time_of_day(clock: &str) -> Option<i64> {
    let two = |text: &str, most: i64| {
        let number = text.parse::<i64>().ok()?;
        (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()) && number <= most)
            .then_some(number)
    };
    let mut parts = clock.splitn(3, ':');
    let hour = two(parts.next()?, 23)?;
    let minute = two(parts.next()?, 59)?;
    let (second, fraction) = parts.next().map_or(Some(("00", "")), |text| {
        Some(text.split_once('.').unwrap_or((text, "")))
    })?;
    // A leap second is told as the last of its minute.
    let second = two(second, 60)?.min(59);
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let ms = fraction
        .bytes()
        .chain(*b"000")
        .take(3)
        .fold(0, |ms, digit| ms * 10 + i64::from(digit - b'0'));
    Some(((hour * 60 + minute) * 60 + second) * 1_000 + ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> Result<i64, &'static str> {
        Stamp::parse(text).map(|stamp| stamp.ms)
    }

    #[test]
    fn instants_are_read_with_their_zone() {
        assert_eq!(ms("1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(ms("1970-01-01"), Ok(0));
        // 2005-04-03T20:33:31.116-06:00 is 2005-04-04T02:33:31.116Z.
        assert_eq!(
            ms("2005-04-03T20:33:31.116000-06:00"),
            ms("2005-04-04T02:33:31.116Z")
        );
        assert_eq!(ms("2000-03-01T00:00Z"), Ok(951_868_800_000));
        assert_eq!(ms("2019-09-18T14:05:06.5+02:00"), Ok(1_568_808_306_500));
        assert_eq!(ms("2019-09-18T14:05:06"), ms("2019-09-18T14:05:06Z"));
    }

    #[test]
    fn what_is_no_instant_says_why() {
        assert_eq!(ms(""), Err(MISSING));
        assert_eq!(ms("2019"), Err(PARTIAL));
        assert_eq!(ms("2019-05"), Err(PARTIAL));
        for text in [
            "x",
            "2019-02-29",
            "2019-05-31T",
            "2019-05-31T25:00Z",
            "2019-05-31T1:00Z",
            "2019-05-31T10:00:00.x",
            "2019-05-31T10:00:00+2:00",
            "2019-05-31T10:00:00+",
            "2019-05-31T-1:00",
        ] {
            assert_eq!(ms(text), Err(UNREADABLE), "{text}");
        }
    }
}
