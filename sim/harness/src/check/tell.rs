//! The answers on screen, as JSON and as JUnit.

use super::{Check, Undecided, fails};
use crate::screen::table;
use crate::verdict::Answer;
use crate::words;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::json;
use std::fmt::Write as _;
use std::path::Path;

fn shown(check: &Check) -> String {
    if check.share {
        words::interval(&check.value, words::percent)
    } else {
        words::interval(&check.value, words::duration)
    }
}

pub(super) fn as_text(folder: &Path, checks: &[Check], undecided: Undecided) -> String {
    let mut text = format!("{}\n", folder.display());
    let head = [
        "engine",
        "profile",
        "workload",
        "service level",
        "situation",
        "answer",
        "value (interval)",
        "margin",
        "because",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for check in checks {
        let margin = check.margin.map(|m| format!("{}×", words::short(m)));
        rows.push(vec![
            check.engine.clone(),
            check.profile.clone(),
            check.workload.clone(),
            check.level.clone(),
            check.situation.clone(),
            check.answer.name().to_owned(),
            shown(check),
            margin.unwrap_or_else(|| "-".to_owned()),
            check.reason.clone(),
        ]);
    }
    table(&mut text, &rows);
    let count = |answer| checks.iter().filter(|c| c.answer == answer).count();
    let unclear = match undecided {
        Undecided::Fails => "undecided, which fails (--undecided passes lets it pass)",
        Undecided::Passes => "undecided, which passes",
    };
    let _ = writeln!(
        text,
        "{} checks: {} hold, {} fail, {} {unclear}, {} n/a",
        checks.len(),
        count(Answer::Holds),
        count(Answer::Fails),
        count(Answer::Undecided),
        count(Answer::NotApplicable),
    );
    text
}

pub(super) fn as_json(folder: &Path, checks: &[Check], code: u8) -> String {
    let one = |c: &Check| {
        json!({
            "engine": c.engine,
            "profile": c.profile,
            "workload": c.workload,
            "situation": c.situation,
            "level": c.level,
            "answer": c.answer.name(),
            "value": c.value.mean,
            "ci_low": c.value.low,
            "ci_high": c.value.high,
            "unit": if c.share { "share" } else { "ms" },
            "margin": c.margin,
            "reason": c.reason,
        })
    };
    let document = json!({
        "folder": folder.display().to_string(),
        "exit_code": code,
        "checks": checks.iter().map(one).collect::<Vec<_>>(),
    });
    format!("{document:#}\n")
}

pub(super) fn junit(folder: &Path, checks: &[Check], undecided: Undecided) -> String {
    let mut report = Report::new("quorate check");
    let suite = |c: &Check| format!("{} {} {}", c.engine, c.profile, c.workload);
    let mut names: Vec<String> = Vec::new();
    for check in checks {
        if !names.contains(&suite(check)) {
            names.push(suite(check));
        }
    }
    for name in names {
        let mut tests = TestSuite::new(name.as_str());
        tests.add_property(("folder", folder.display().to_string().as_str()));
        for check in checks.iter().filter(|c| suite(c) == name) {
            tests.add_test_case(test_case(check, undecided));
        }
        report.add_test_suite(tests);
    }
    report.to_string().expect("memory takes it")
}

fn test_case(check: &Check, undecided: Undecided) -> TestCase {
    let said = format!("{}: {}", check.answer.name(), shown(check));
    let said = match check.reason.as_str() {
        "" => said,
        reason => format!("{said}; {reason}"),
    };
    let status = if fails(check, undecided) {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status
            .set_message(said.as_str())
            .set_type(check.answer.name());
        status
    } else if check.answer == Answer::Holds {
        TestCaseStatus::success()
    } else {
        let mut status = TestCaseStatus::skipped();
        status.set_message(said.as_str());
        status
    };
    let name = format!("{} ({})", check.level, check.situation);
    let mut case = TestCase::new(name, status);
    case.set_classname(check.engine.as_str())
        .set_system_out(said);
    case
}
