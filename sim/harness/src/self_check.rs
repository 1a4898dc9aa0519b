//! Runs a share of what was run again: the same plan must give the same bytes twice, in one process too.

use crate::error::{Error, exit};
use crate::run::{self, Outcome};
use crate::study::Study;
use crate::unit::Done;
use quorate_core::{Seed, open01_at};
use rayon::prelude::*;

/// The places that are run again: so many of a thousand, drawn by content, but at least one.
pub(crate) fn chosen(keys: &[u64], permille: u32) -> Vec<usize> {
    let share = f64::from(permille) / 1_000.0;
    let drawn = |key: u64| open01_at(key, &[]);
    let mut places: Vec<usize> = (0..keys.len())
        .filter(|&i| drawn(keys[i]) < share)
        .collect();
    if places.is_empty() {
        let first = (0..keys.len()).min_by(|&a, &b| drawn(keys[a]).total_cmp(&drawn(keys[b])));
        places.extend(first);
    }
    places
}

/// What is printed when all are equal.
pub(crate) fn line(again: usize, of: usize, what: &str) -> String {
    format!("self-check: {again} of {of} {what} run again, equal")
}

/// A run that ended otherwise the second time.
pub(crate) fn differs(what: &str, how: &str, command: &str) -> Error {
    Error {
        message: format!("a bug: {what} ended otherwise when it was run again: {how}"),
        hint: format!("please report it with this command: {command}"),
        code: exit::BUG,
    }
}

/// Runs so many of a thousand units of a study again, and holds them against the first time: digests
/// and whole reports.
///
/// # Errors
/// The first unit that differs; or what [`run::run`] refuses.
pub fn units(
    study: &Study,
    outcomes: &[Outcome],
    permille: u32,
    command: &str,
) -> Result<String, Error> {
    let mut all: Vec<(usize, &Done)> = Vec::new();
    for (p, outcome) in outcomes.iter().enumerate() {
        all.extend(outcome.cells.iter().flat_map(|c| &c.units).map(|u| (p, u)));
    }
    let keys: Vec<u64> = all.iter().map(|(p, unit)| key(study, *p, unit)).collect();
    let chosen = chosen(&keys, permille);
    chosen.par_iter().with_max_len(1).try_for_each(|&place| {
        let (p, first) = all[place];
        let second = run::guarded(&study.parts[p], first.key, command)?;
        difference(first, &second).map_or(Ok(()), |how| {
            Err(differs(
                &run::name(&study.parts[p], first.key),
                &how,
                command,
            ))
        })
    })?;
    Ok(line(chosen.len(), all.len(), "units"))
}

/// What a unit is, whatever its place.
fn key(study: &Study, p: usize, unit: &Done) -> u64 {
    let part = &study.parts[p];
    let seed = Seed::new(part.plan.seed, unit.key.replication);
    seed.key(&run::name(part, unit.key))
}

/// How the second run of a unit differs from the first.
fn difference(first: &Done, second: &Done) -> Option<String> {
    let (a, b) = (first.report.digest, second.report.digest);
    if a != b {
        return Some(format!("digest {a:016x}, then {b:016x}"));
    }
    // Every count and histogram, not only the trace.
    let whole = |unit: &Done| format!("{:?} {} {:?}", unit.status, unit.cut_slices, unit.report);
    let (a, b) = (whole(first), whole(second));
    let at = a.bytes().zip(b.bytes()).position(|(a, b)| a != b);
    let at = at.or((a.len() != b.len()).then(|| a.len().min(b.len())))?;
    let near = |text: &str| {
        text.chars()
            .skip(at.saturating_sub(60))
            .take(100)
            .collect::<String>()
    };
    Some(format!("…{}…, then …{}…", near(&a), near(&b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Source;

    /// A share by content: whatever the order, and never nobody.
    #[test]
    fn a_share_is_drawn_by_content() {
        let keys: Vec<u64> = (0..1_000).map(|i| Seed::new(i, 0).key("unit")).collect();
        let some = chosen(&keys, 50);
        assert!((30..75).contains(&some.len()), "{}", some.len());
        let mut turned = keys.clone();
        turned.reverse();
        let back: Vec<usize> = chosen(&turned, 50).iter().rev().map(|i| 999 - i).collect();
        assert_eq!(back, some);
        assert_eq!(chosen(&keys, 1_000).len(), 1_000);
        assert_eq!(chosen(&keys[..3], 1).len(), 1);
        assert!(chosen(&[], 50).is_empty());
    }

    /// One count that differs is enough, though the digest is the same.
    #[test]
    fn what_differs_is_a_bug() {
        let text = "name = \"t\"\nkind = \"curve\"\nreplications = 2\n[network]\nnodes = 4\n\
            regions = [\"us-east-1\"]\n[workload]\nname = \"hospital\"\nsites = 4\nmost_patients = 100\n\
            [load]\noffered_tps = [2.0]\nduration_s = 20.0\ndrain_s = 20.0\nknee_within = 1000.0\n\
            [[engines]]\nname = \"qbft\"\n";
        let source = Source::new("plan", text);
        let plan = source.plan(&[]).unwrap_or_else(|e| panic!("{e}"));
        let study = Study::open(&source, plan).unwrap_or_else(|e| panic!("{e}"));
        let mut outcomes = run::run(&study, "command").unwrap_or_else(|e| panic!("{e}"));
        let again = |outcomes: &[Outcome]| units(&study, outcomes, 1_000, "command");
        let all: usize = outcomes[0].cells.iter().map(|c| c.units.len()).sum();
        let line = again(&outcomes).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(
            line,
            format!("self-check: {all} of {all} units run again, equal")
        );
        outcomes[0].cells[0].units[1].report.chain.built += 1;
        let error = again(&outcomes).expect_err("one differs");
        assert_eq!(error.code, exit::BUG);
        assert!(error.message.contains("replication 1 of qbft"), "{error}");
        outcomes[0].cells[0].units[1].report.digest ^= 1;
        let error = again(&outcomes).expect_err("one differs");
        assert!(error.message.contains("digest"), "{error}");
    }
}
