//! The known numbers: every row is sound, the fast ones hold, laws hold at drawn parameters too, and
//! the command does what its help says.

use quorate::validate::run::{self, Verdict, Wanted};
use quorate::validate::world::{moments, within};
use quorate::validate::{FAMILIES, Kind, Params, Tier, attacks};
use quorate_core::Seed;
use quorate_core::finality::reversal_risk;
use quorate_core::math::sqrt;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

// ---- the tables -----------------------------------------------------------------------------

#[test]
fn every_row_is_sound() {
    let mut ids = BTreeSet::new();
    for job in run::known().expect("tables are well-formed") {
        let case = &job.case;
        let id = &case.id;
        assert!(ids.insert(id.clone()), "{id} is there twice");
        let of = [case.lower, case.expected, case.upper];
        assert!(of.iter().all(|x| x.is_finite()), "{id}");
        assert!(
            of.is_sorted(),
            "{id}: the band does not hold what is expected"
        );
        for text in [&case.protocol, &case.quantity, &case.source] {
            assert!(!text.trim().is_empty(), "{id}");
        }
        let params = Params::parse(&case.parameters);
        assert!(params.is_ok(), "{id}: {params:?}");
        if job.check.is_none() {
            assert_eq!((case.tier, case.parameters.as_str()), (Tier::D, ""), "{id}");
        }
        // A law is never only reported.
        let law = case.kind != Kind::System;
        assert!(!law || case.tier <= Tier::B, "{id}");
    }
}

#[test]
fn names_are_unique_and_tables_have_rows() {
    let mut families = BTreeSet::new();
    for family in FAMILIES {
        assert!(families.insert(family.name), "{}", family.name);
        let names: BTreeSet<&str> = family.checks.iter().map(|c| c.name).collect();
        assert_eq!(names.len(), family.checks.len(), "{}", family.name);
        assert!(!family.cases().expect("a table").is_empty());
    }
}

/// The gate: every row that is fast and of tier A or B. Those of tier C may miss if they say why.
#[test]
fn the_fast_subset_holds() {
    let (mut jobs, _) = run::jobs(&Wanted::default()).expect("tables are well-formed");
    jobs.retain(|job| job.case.fast);
    assert!(jobs.len() > 50);
    let rows = run::run(jobs).expect("not interrupted");
    let mut broken = Vec::new();
    for row in &rows {
        let must = row.case.tier <= Tier::B || row.note().is_empty();
        if row.verdict() == Verdict::Miss && must {
            broken.push(format!("{}: {:?}, {}", row.case.id, row.got, row.note()));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// A parameter that a check does not know is refused, not ignored: one fast row of each check.
#[test]
fn unknown_parameters_are_refused() {
    let mut seen = BTreeSet::new();
    for job in run::known().expect("tables are well-formed") {
        let Some(check) = job.check.filter(|_| job.case.fast) else {
            continue;
        };
        if seen.insert((job.family, check.name)) {
            let got = check.got(&format!("{};nonsense=1", job.case.parameters));
            let why = got.expect_err("it knows no such parameter");
            assert!(why.contains("nonsense"), "{}: {why}", job.case.id);
        }
    }
}

#[test]
fn a_missing_or_wrong_parameter_is_named() {
    let refuses = |check: &str, parameters: &str, what: &str| {
        let why = attacks::FAMILY.got(check, parameters).expect_err(what);
        assert!(why.contains(what), "{why}");
    };
    refuses("nakamoto_risk", "q=0.1", "z");
    refuses("nakamoto_risk", "q=0.6;z=1", "q = 0.6");
    refuses("nakamoto_risk", "q=0.1;z=some", "z = some");
    refuses("nakamoto_risk", "q=0.1;q=0.1;z=2", "twice");
    refuses("nakamoto_risk", "q", "key=value");
    refuses(
        "selfish_share",
        "alpha=0.2;gamma=2;blocks=5000",
        "gamma = 2",
    );
    refuses("nothing", "q=0.1", "no check `nothing`");
}

// ---- laws at drawn parameters ---------------------------------------------------------------

#[track_caller]
fn got(check: &str, parameters: &str) -> f64 {
    let got = attacks::FAMILY.got(check, parameters);
    got.expect("a check with its parameters")
}

/// source: Rosenfeld 2014, equation 1: simulated double spends for drawn q and n, within four and a
/// half standard errors.
#[test]
fn double_spends_succeed_as_often_as_the_race_says() {
    let mut draws = Seed::new(21, 0).stream("test", 0);
    for seed in 0..60 {
        let q = 0.02 + 0.42 * draws.open01();
        let n = 1 + draws.below(9) as u32;
        let won = got(
            "double_spends",
            &format!("q={q};n={n};give_up=80;attempts=20000;seed={seed}"),
        );
        let law = reversal_risk(q, n);
        let band = 4.5 * sqrt(law * (1.0 - law) / 20_000.0);
        within("double spend", won, law, band.max(1.0 / 20_000.0));
    }
}

/// Eyal and Sirer 2014, equation 8.
fn revenue(a: f64, g: f64) -> f64 {
    let top = a * (1.0 - a) * (1.0 - a) * (4.0 * a + g * (1.0 - 2.0 * a)) - a * a * a;
    top / (1.0 - a * (1.0 + (2.0 - a) * a))
}

/// The same paper, section 4: the states' probabilities; all blocks of others found while the attacker
/// is two or more ahead are stale, and one block of each tie.
fn wasted(a: f64) -> f64 {
    let one = (a - 2.0 * a * a) / (2.0 * a * a * a - 4.0 * a * a + 1.0);
    let more = one * a / (1.0 - 2.0 * a);
    (1.0 - a) * (more + one)
}

/// For drawn α and γ, by 24 runs each: the mean within five of its own standard errors.
#[test]
fn selfish_mining_pays_and_wastes_what_the_paper_says() {
    let mut draws = Seed::new(22, 0).stream("test", 0);
    for _ in 0..16 {
        let alpha = 0.02 + 0.44 * draws.open01();
        let gamma = draws.open01();
        for (check, law) in [
            ("selfish_share", revenue(alpha, gamma)),
            ("selfish_stale", wasted(alpha)),
        ] {
            let one = |seed| {
                let of = format!("alpha={alpha};gamma={gamma};blocks=50000;seed={seed}");
                got(check, &of)
            };
            let runs: Vec<f64> = (0..24).map(one).collect();
            let (mean, sd) = moments(&runs);
            within(check, mean, law, 5.0 * sd / sqrt(24.0) + 1e-5);
        }
    }
}

/// The same: it pays above (1 − γ)/(3 − 2γ), for drawn γ.
#[test]
fn selfish_mining_pays_above_the_threshold() {
    let mut draws = Seed::new(23, 0).stream("test", 0);
    for _ in 0..6 {
        let gamma = draws.open01();
        let law = (1.0 - gamma) / (3.0 - 2.0 * gamma);
        let found = got(
            "selfish_threshold",
            &format!("gamma={gamma};blocks=1000000"),
        );
        within("threshold", found, law, 0.006);
    }
}

// ---- the command ----------------------------------------------------------------------------

fn quorate(args: &[&str], out: &Path) -> (Output, PathBuf) {
    let out = out.join("validation");
    let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .arg("validate")
        .args(args)
        .args(["--out", out.to_str().expect("UTF-8")])
        .output()
        .expect("the binary runs");
    (output, out)
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[test]
fn any_number_of_threads_writes_the_same_bytes() {
    let (a, b) = (scratch(), scratch());
    let sums = |threads: &str, at: &Path| {
        let (output, folder) = quorate(&["--id", "CF-NAK*", "--threads", threads], at);
        assert!(output.status.success());
        let screen = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(screen.contains("arithmetic: 12 of 12"), "{screen}");
        assert!(folder.join("index.html").exists());
        quorate::results::verify(&folder).expect("checksums hold");
        std::fs::read_to_string(folder.join("SHA256SUMS")).expect("checksums")
    };
    assert_eq!(sums("1", a.path()), sums("2", b.path()));
}

const HEAD: &str = "id,tier,kind,protocol,quantity,check,parameters,expected,lower,upper,fast,\
                    source,note\n";

#[test]
fn rows_of_one_s_own_are_run_and_the_exit_code_tells_what_misses() {
    let at = scratch();
    let file = at.path().join("own.csv");
    let run = |rows: &str| {
        std::fs::write(&file, format!("{HEAD}{rows}")).expect("written");
        let (output, _) = quorate(&["--cases", file.to_str().expect("UTF-8")], at.path());
        let all = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&all).into_owned(),
        )
    };
    let row = |tier, check, band| {
        format!(
            "X-1,{tier},law,p,q,{check},q=0.2;n=2;give_up=60;attempts=9000,0.208,{band},true,s,why not\n"
        )
    };
    let (code, text) = run(&row("A", "double_spends", "0.19,0.23"));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("laws: 1 of 1"), "{text}");
    let (code, text) = run(&row("A", "attacks.double_spends", "0.208,0.208"));
    assert_eq!(code, Some(21), "{text}");
    assert!(text.contains("X-1 (tier A) misses: why not"), "{text}");
    // A miss of a lower tier is said, and no failure.
    assert_eq!(run(&row("C", "double_spends", "0.208,0.208")).0, Some(0));
    let (code, text) = run(&row("A", "double_spend", "0.19,0.23"));
    assert_eq!(code, Some(65), "{text}");
    assert!(text.contains("no check `double_spend`"), "{text}");
    let (code, text) = run("X-1,A\n");
    assert_eq!(code, Some(65), "{text}");
}

#[test]
fn a_selection_without_rows_is_an_error() {
    let at = scratch();
    let (output, folder) = quorate(&["--id", "NO-*"], at.path());
    assert_eq!(output.status.code(), Some(78));
    assert!(!folder.exists());
    let (output, _) = quorate(&["--tier", "E"], at.path());
    assert_eq!(output.status.code(), Some(2));
}
