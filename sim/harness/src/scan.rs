//! `quorate sweep`: factors from the command line, in the words of hyperfine. They stand for a table
//! `[sweep]` in the plan, and give the same bytes.

use crate::error::{Error, exit};

/// Factors instead of the plan's own.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Wanted {
    /// A key that takes numbers: `KEY MIN MAX`, or `KEY=MIN:MAX:STEP`, where a step of `x2` doubles;
    /// may be repeated, all are crossed
    #[arg(short = 'P', long = "parameter-scan", value_name = "KEY", num_args = 1..=3, allow_negative_numbers = true)]
    scan: Vec<String>,
    /// The step of each `-P KEY MIN MAX` in turn: a number, or `x2`; 1 when left out
    #[arg(short = 'D', long = "parameter-step-size", value_name = "STEP")]
    step: Vec<String>,
    /// A key that takes listed values: `KEY=a,b`, or `KEY a,b`; `engines=qbft,raft` chooses engines
    #[arg(short = 'L', long = "parameter-list", value_name = "KEY", num_args = 1..=2)]
    list: Vec<String>,
}

impl Wanted {
    /// The override that says the same as the factors; `None` without any.
    ///
    /// # Errors
    /// A range or list that is none, a key twice, a step too many.
    pub(crate) fn sweep(&self) -> Result<Option<String>, Error> {
        let mut grid = toml::Table::new();
        let mut steps = self.step.iter();
        for words in phrases(&self.scan, 3) {
            let (key, values) = scanned(words, &mut steps)?;
            add(&mut grid, "-P", key, values)?;
        }
        if let Some(step) = steps.next() {
            return Err(usage(
                format!("-D {step}: no -P KEY MIN MAX is left for it"),
                "give one -D for each -P that has a minimum and a maximum",
            ));
        }
        for words in phrases(&self.list, 2) {
            let (key, values) = listed(words)?;
            add(&mut grid, "-L", key, values)?;
        }
        if grid.is_empty() {
            return Ok(None);
        }
        let sweep = toml::Table::from_iter([("grid".to_owned(), toml::Value::Table(grid))]);
        Ok(Some(format!("sweep={}", toml::Value::Table(sweep))))
    }
}

/// The words of each `-P` or `-L`: one that holds `=`, or a key with what follows it, up to `most`.
fn phrases(words: &[String], most: usize) -> Vec<&[String]> {
    let mut rest = words;
    let mut list = Vec::new();
    while let Some(first) = rest.first() {
        let ranged = rest.get(1).is_some_and(|w| w.contains(':'));
        let n = match first.contains('=') {
            true => 1,
            false if ranged => 2,
            false => most,
        };
        let (phrase, behind) = rest.split_at(n.min(rest.len()));
        list.push(phrase);
        rest = behind;
    }
    list
}

fn usage(message: String, hint: &str) -> Error {
    Error {
        message,
        hint: hint.to_owned(),
        code: exit::USAGE,
    }
}

fn add(
    grid: &mut toml::Table,
    option: &str,
    key: &str,
    values: Vec<toml::Value>,
) -> Result<(), Error> {
    if grid
        .insert(key.to_owned(), toml::Value::Array(values))
        .is_some()
    {
        let message = format!("{option} {key}: the key stands twice");
        return Err(usage(message, "give each key once"));
    }
    Ok(())
}

/// One `-P`.
fn scanned<'a>(
    words: &'a [String],
    steps: &mut std::slice::Iter<'_, String>,
) -> Result<(&'a str, Vec<toml::Value>), Error> {
    let wrong = || {
        let message = format!("-P {}: not a range", words.join(" "));
        usage(
            message,
            "for example -P network.nodes 4 64 -D 4, or -P network.nodes=4:64:x2; the plan stands before it",
        )
    };
    let (key, range): (&str, Vec<&str>) = match words {
        [one] => {
            let (key, range) = one.split_once('=').ok_or_else(wrong)?;
            (key, range.split(':').collect())
        }
        [key, range] if range.contains(':') => (key, range.split(':').collect()),
        [key, min, max] => (key, vec![min, max]),
        _ => return Err(wrong()),
    };
    let (min, max, step) = match range[..] {
        [min, max, step] => (min, max, step),
        [min, max] => (min, max, steps.next().map_or("1", String::as_str)),
        _ => return Err(wrong()),
    };
    let values = values(min, max, step).ok_or_else(wrong)?;
    Ok((key, values))
}

/// Most values of a range; far beyond what can be run.
const MOST: usize = 100_000;

/// The numbers from `min` to `max`; whole ones where all three are.
fn values(min: &str, max: &str, step: &str) -> Option<Vec<toml::Value>> {
    let times = step.strip_prefix(['x', '×']);
    let step = times.unwrap_or(step);
    let whole = [min, max, step].iter().all(|t| t.parse::<i64>().is_ok());
    let number = |text: &str| text.parse::<f64>().ok().filter(|x| x.is_finite());
    let (min, max, step) = (number(min)?, number(max)?, number(step)?);
    let grows = if times.is_some() {
        step > 1.0 && min > 0.0
    } else {
        step > 0.0
    };
    if !grows || min > max {
        return None;
    }
    let mut list = Vec::new();
    let mut at = min;
    // The last value may miss the maximum by rounding.
    while at <= max * (1.0 + 1e-12) || at <= max {
        if list.len() == MOST {
            return None;
        }
        list.push(if whole {
            toml::Value::Integer(at as i64)
        } else {
            toml::Value::Float(clean(at))
        });
        at = match times {
            Some(_) => at * step,
            None => min + step * list.len() as f64,
        };
    }
    Some(list)
}

/// Without what binary fractions add: 0.30000000000000004 is 0.3.
fn clean(x: f64) -> f64 {
    format!("{x:.11e}").parse().expect("it was just written")
}

/// One `-L`.
fn listed(words: &[String]) -> Result<(&str, Vec<toml::Value>), Error> {
    let (key, list) = match words {
        [one] => one.split_once('=').unwrap_or((one, "")),
        [key, list] => (&**key, &**list),
        _ => ("", ""),
    };
    if key.is_empty() || list.is_empty() {
        let message = format!("-L {}: not a list of values", words.join(" "));
        return Err(usage(
            message,
            "for example -L engines=qbft,raft; the plan stands before it",
        ));
    }
    let parsed: Result<toml::Table, _> = toml::from_str(&format!("value = [{list}]"));
    let parsed = parsed.ok().and_then(|mut t| t.remove("value"));
    if let Some(toml::Value::Array(values)) = parsed {
        return Ok((key, values));
    }
    let value = |text: &str| {
        let text = text.trim();
        let parsed: Result<toml::Table, _> = toml::from_str(&format!("value = {text}"));
        let parsed = parsed.ok().and_then(|mut t| t.remove("value"));
        parsed.unwrap_or_else(|| toml::Value::String(text.to_owned()))
    };
    Ok((key, list.split(',').map(value).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(all: &[&str]) -> Vec<String> {
        all.iter().map(|&s| s.to_owned()).collect()
    }

    fn sweep(scan: &[&[&str]], step: &[&str], list: &[&[&str]]) -> String {
        let wanted = Wanted {
            scan: owned(&scan.concat()),
            step: owned(step),
            list: owned(&list.concat()),
        };
        match wanted.sweep() {
            Ok(sweep) => sweep.unwrap_or_default(),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn ranges_and_lists_become_factors() {
        type Words<'a> = &'a [&'a [&'a str]];
        let cases: [(Words<'_>, &[&str], Words<'_>, &str); 7] = [
            (
                &[&["a.b", "1", "3"]],
                &[],
                &[],
                r#"sweep={ grid = { "a.b" = [1, 2, 3] } }"#,
            ),
            (
                &[&["a", "0", "0.3"]],
                &["0.1"],
                &[],
                "sweep={ grid = { a = [0.0, 0.1, 0.2, 0.3] } }",
            ),
            (
                &[&["a=4:40:x2"]],
                &[],
                &[],
                "sweep={ grid = { a = [4, 8, 16, 32] } }",
            ),
            (
                &[&["a", "4:24:10"]],
                &[],
                &[],
                "sweep={ grid = { a = [4, 14, 24] } }",
            ),
            (
                &[],
                &[],
                &[&["e=qbft,raft"]],
                r#"sweep={ grid = { e = ["qbft", "raft"] } }"#,
            ),
            (
                &[],
                &[],
                &[&["l", "[1.0, 2.0],[3.0]"]],
                "sweep={ grid = { l = [[1.0, 2.0], [3.0]] } }",
            ),
            (&[], &[], &[], ""),
        ];
        for (scan, step, list, wanted) in cases {
            assert_eq!(
                sweep(scan, step, list),
                wanted,
                "{scan:?} {step:?} {list:?}"
            );
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        let wrong = [
            sweep(&[&["a"]], &[], &[]),
            sweep(&[&["a", "3", "1"]], &[], &[]),
            sweep(&[&["a", "1", "3"]], &["0"], &[]),
            sweep(&[&["a=1:3:x1"]], &[], &[]),
            sweep(&[&["a=1:3", "plan.toml"]], &[], &[]),
            sweep(&[&["a=1:1e9:1"]], &[], &[]),
            sweep(&[&["a=1:3:1"]], &["2"], &[]),
            sweep(&[&["a=1:3:1"]], &[], &[&["a=7"]]),
            sweep(&[], &[], &[&["a"]]),
        ];
        insta::assert_snapshot!(wrong.join("\n"));
    }
}
