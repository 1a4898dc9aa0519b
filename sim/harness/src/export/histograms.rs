//! The latency histograms of a folder, for `HdrHistogram`'s tools.

use crate::error::Error;
use crate::saved::Saved;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const FILE: &str = "latency.hlog";

/// The interval log as it stands.
pub(super) fn hlog(saved: &Saved) -> Result<String, Error> {
    saved.text(FILE)?.ok_or_else(|| {
        let message = format!("{} has no {FILE}", saved.path.display());
        Error::data(
            message,
            "attacks and plans of two ledgers measure no latencies",
        )
    })
}

/// Percentiles of each cell over all of its replications, as text by file name.
pub(super) fn hgrm(saved: &Saved) -> Result<Vec<(String, String)>, Error> {
    let cells = by_tag(&hlog(saved)?).map_err(|why| {
        let message = format!("{}: {why}", saved.path.join(FILE).display());
        Error::data(message, "run the plan again")
    })?;
    let file = |(tag, histogram): (String, Histogram<u64>)| {
        (format!("{tag}.hgrm"), percentiles(&histogram))
    };
    Ok(cells.into_iter().map(file).collect())
}

/// The histograms of a log, added up by tag.
fn by_tag(log: &str) -> Result<BTreeMap<String, Histogram<u64>>, String> {
    let mut cells: BTreeMap<String, Histogram<u64>> = BTreeMap::new();
    let mut deserializer = Deserializer::new();
    for entry in IntervalLogIterator::new(log.as_bytes()) {
        let LogEntry::Interval(interval) = entry.map_err(|e| format!("{e:?}"))? else {
            continue;
        };
        let tag = interval.tag().map_or("all", |tag| tag.as_str()).to_owned();
        let bytes = base64(interval.encoded_histogram())?;
        let histogram = deserializer
            .deserialize(&mut bytes.as_slice())
            .map_err(|e| e.to_string())?;
        match cells.get_mut(&tag) {
            None => {
                cells.insert(tag, histogram);
            }
            Some(sum) => {
                sum.auto(true);
                sum.add(&histogram).map_err(|e| e.to_string())?;
            }
        }
    }
    Ok(cells)
}

/// Bytes from base64, as interval logs have them.
fn base64(text: &str) -> Result<Vec<u8>, String> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => Ok(u32::from(c - b'A')),
        b'a'..=b'z' => Ok(u32::from(c - b'a') + 26),
        b'0'..=b'9' => Ok(u32::from(c - b'0') + 52),
        b'+' => Ok(62),
        b'/' => Ok(63),
        _ => Err(format!("{:?} is not base64", char::from(c))),
    };
    let mut bytes = Vec::new();
    let plain = text.trim_end_matches('=').as_bytes();
    for group in plain.chunks(4) {
        let mut bits = 0;
        for &c in group {
            bits = (bits << 6) | value(c)?;
        }
        bits <<= 6 * (4 - group.len());
        let all = bits.to_be_bytes();
        bytes.extend(&all[1..group.len()]);
    }
    Ok(bytes)
}

/// The text that `HdrHistogram`'s plotter reads; microseconds become milliseconds.
// source: HdrHistogram, outputPercentileDistribution, with five ticks a half distance.
fn percentiles(histogram: &Histogram<u64>) -> String {
    const TICKS: u32 = 5;
    let ms = |us: f64| us / 1e3;
    let mut text = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut count = 0;
    for step in histogram.iter_quantiles(TICKS) {
        count += step.count_since_last_iteration();
        let quantile = step.quantile_iterated_to();
        let value = ms(step.value_iterated_to() as f64);
        let _ = write!(text, "{value:>12.3} {quantile:>14.12} {count:>10}");
        // The last line has no such number.
        let _ = if quantile < 1.0 {
            writeln!(text, " {:>14.2}", 1.0 / (1.0 - quantile))
        } else {
            writeln!(text)
        };
    }
    let (mean, deviation) = (ms(histogram.mean()), ms(histogram.stdev()));
    let (max, total) = (ms(histogram.max() as f64), histogram.len());
    let _ = writeln!(
        text,
        "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]"
    );
    let _ = writeln!(
        text,
        "#[Max     = {max:>12.3}, Total count    = {total:>12}]"
    );
    // The first bucket has all of its sub-buckets, each further one the upper half.
    let buckets = usize::from(histogram.buckets());
    let sub = 2 * histogram.distinct_values() / (buckets + 1);
    let _ = writeln!(
        text,
        "#[Buckets = {buckets:>12}, SubBuckets     = {sub:>12}]"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_with_and_without_padding() {
        assert_eq!(base64("aGVsbG8=").expect("valid"), b"hello");
        assert_eq!(base64("aGVsbG8h").expect("valid"), b"hello!");
        assert_eq!(base64("aGVs").expect("valid"), b"hel");
        assert!(base64("a*==").is_err());
    }

    #[test]
    fn percentiles_end_at_the_largest_and_count_all() {
        let mut histogram = Histogram::<u64>::new(3).expect("three digits");
        for us in 1..=1_000_u64 {
            histogram += us * 1_000;
        }
        let text = percentiles(&histogram);
        let last = text
            .lines()
            .rfind(|l| !l.starts_with('#'))
            .expect("a last line");
        let fields: Vec<&str> = last.split_whitespace().collect();
        assert_eq!(fields[1..], ["1.000000000000", "1000"]);
        assert!(text.contains("Total count    =         1000"), "{text}");
    }
}
