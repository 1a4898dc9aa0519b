//! The importers and the ledgers of what they import, through the public readers.

mod common;

use common::{Book, digest, execute, take};
use proptest::prelude::*;
use quorate_core::{Arrival, ClassId, EntityId, Kind, Ledger, Load, Seed, Time, Verdict};
use quorate_workloads::register::{self, Register};
use quorate_workloads::sdtm::{self, Study};
use quorate_workloads::trace::{Imported, Trace};
use quorate_workloads::trial::{Action, Trial};
use quorate_workloads::{Error, Payload, Rate, Setup, WorkloadKind};
use std::io;

const DAY_S: f64 = 86_400.0;

fn arrivals(text: &str) -> Result<Imported, Error> {
    register::read(text.as_bytes(), "arrivals.csv", DAY_S)
}

#[test]
fn a_table_of_arrivals_is_read_by_column_name() {
    let imported = arrivals(
        "site,note,class,at_s,key,action,operand,bytes\n\
         2,x,lab,100.5,a,,,\n\
         0,,lab,90,b,update,0,700\n\
         1,,stop,100.5,a,revoke,,\n\
         1,,look,120,a,read,,\n",
    )
    .unwrap();
    assert_eq!(imported.sites, 3);
    let names: Vec<_> = imported.classes.iter().map(|c| (c.name, c.kind)).collect();
    let want = [
        ("lab", Kind::Write),
        ("stop", Kind::WatchedWrite),
        ("look", Kind::Read),
    ];
    assert_eq!(names, want);
    let seen: Vec<_> = imported
        .arrivals
        .iter()
        .map(|a| {
            (
                a.at.as_s(),
                a.class.0,
                a.site,
                a.key.get(),
                a.bytes,
                a.exec_us,
            )
        })
        .collect();
    let want = [
        (0.0, 0, 0, 1, 700, 50),
        (10.5, 0, 2, 0, 300, 50),
        (10.5, 1, 1, 0, 300, 50),
        (30.0, 2, 1, 0, 300, 50),
    ];
    assert_eq!(seen, want);
    assert_eq!((imported.account.rows, imported.account.arrivals), (4, 4));
}

#[test]
fn a_shorter_day_compresses_the_trace() {
    let text = "at_s,class,site,key\n0,w,0,a\n86400,w,0,b\n";
    let imported = register::read(text.as_bytes(), "t.csv", 60.0).unwrap();
    assert_eq!(imported.arrivals[1].at.ns(), 60_000_000_000);
    assert!(register::read(text.as_bytes(), "t.csv", 0.0).is_err());
}

#[track_caller]
fn unusable(text: &str, parts: &[&str]) {
    let error = arrivals(text).unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

#[test]
fn errors_name_file_line_column_value_and_remedy() {
    let good = "at_s,class,site,key,action\n1,w,0,a,\n";
    let row = |row: &str| format!("{good}{row}\n");
    unusable(
        &row("x,w,0,a,"),
        &["arrivals.csv, line 3, column `at_s`: `x`", "hint: seconds"],
    );
    unusable(&row("-1,w,0,a,"), &["column `at_s`: `-1`"]);
    unusable(&row("NaN,w,0,a,"), &["column `at_s`: `NaN`"]);
    unusable(&row("1,w,70000,a,"), &["column `site`: `70000`", "65535"]);
    unusable(
        &row("1,w,0,a,drop"),
        &["column `action`: `drop`", "put, update, revoke or read"],
    );
    unusable(&row("1,w,0,a,read"), &["column `class`: `w`", "apart"]);
    unusable(&row("1,,0,a,"), &["column `class`", "a name"]);
    unusable(&row("1,w,0,,"), &["column `key`"]);
    unusable(
        &row("1,w,0"),
        &["arrivals.csv is not readable as CSV", "line: 3"],
    );
    unusable("at_s,class,site\n", &["no column `key`", "at_s,class,site"]);
    unusable("at_s,class,site,key\n", &["holds no arrival"]);
    unusable("", &["no column `at_s`"]);
}

/// A transaction for a ledger under test.
fn tx(action: u8, key: u32, operand: u32) -> Arrival {
    Arrival {
        at: Time::ZERO,
        key: EntityId::new(key),
        operand,
        bytes: 300,
        exec_us: 50,
        site: 0,
        class: ClassId(0),
        action,
    }
}

/// Applies transactions to an empty state; the fate of each.
fn fates(ledger: &dyn Ledger, txs: &[Arrival]) -> Vec<&'static str> {
    let mut book = Book::new(ledger);
    let reasons: Vec<&'static str> = ledger
        .reasons()
        .iter()
        .map(|r| &*String::leak((*r).to_owned()))
        .collect();
    txs.iter()
        .map(|tx| match ledger.apply(tx, tx.at, &mut book) {
            Verdict::Valid => "valid",
            Verdict::Rejected(reason) => reasons[usize::from(reason)],
            Verdict::Expired => "expired",
        })
        .collect()
}

#[test]
fn the_register_keeps_versions() {
    let [put, update, revoke, read] = [0, 1, 2, 3];
    let got = fates(
        &Register,
        &[
            tx(revoke, 0, 0),
            tx(update, 0, 0),
            tx(update, 0, 0),
            tx(put, 0, 0),
            tx(update, 0, 2),
            tx(revoke, 0, 0),
            tx(revoke, 0, 0),
            tx(read, 0, 0),
            tx(put, 0, 0),
        ],
    );
    let stale = "version changed meanwhile";
    let nothing = "nothing to revoke";
    let valid = "valid";
    let want = [
        nothing, valid, stale, valid, valid, valid, nothing, valid, valid,
    ];
    assert_eq!(got, want);
}

#[test]
fn a_revoked_record_is_not_allowed() {
    let mut book = Book::new(&Register);
    let allowed = |book: &Book| Register.allows(book.0[0], Time::ZERO);
    let _ = Register.apply(&tx(0, 0, 0), Time::ZERO, &mut book);
    assert!(allowed(&book));
    let _ = Register.apply(&tx(2, 0, 0), Time::ZERO, &mut book);
    assert!(!allowed(&book));
}

const DM: &str = "USUBJID,SITEID,RFICDTC,DMDTC\n\
    s1,701,,2013-12-26\n\
    s2,702,2014-01-03T09:30,\n\
    s3,701,2014-01,\n\
    s4,701,,\n\
    s1,701,,2013-12-26\n";
const DS: &str = "USUBJID,DSSEQ,DSDECOD,DSCAT,DSSTDTC\n\
    s1,1,RANDOMIZED,PROTOCOL MILESTONE,2014-01-02\n\
    s1,2,FINAL LAB VISIT,OTHER EVENT,2014-03-01\n\
    s1,3,COMPLETED,DISPOSITION EVENT,2014-03-01\n\
    s2,1,SCREEN FAILURE,DISPOSITION EVENT,2014-01-03\n\
    s9,1,RANDOMIZED,PROTOCOL MILESTONE,2014-01-02\n";
const SV: &str = "USUBJID,VISITNUM,SVSTDTC\n\
    s1,1,2013-12-27\n\
    s1,3,2014-01-02\n\
    s1,4,2014-01-16\n\
    s2,1,2014-01-03\n\
    s2,2,2014-02\n\
    s1,5,\n\
    s1,6,2014-02-30\n";
const AE: &str = "USUBJID,AESEQ,AESER,AEDTC,AESTDTC\n\
    s1,1,N,2014-01-16,2014-01\n\
    s1,2,Y,,2014-01-20\n\
    s1,3,N,,2014\n\
    s1,1,N,2014-01-17,2014-01-03\n";

fn study(day_s: f64, payload: Payload, seed: Seed) -> Imported {
    let [dm, ds, sv, ae] = [DM, DS, SV, AE].map(str::as_bytes);
    let name = "study";
    sdtm::read(
        Study {
            name,
            dm,
            ds,
            sv,
            ae,
        },
        day_s,
        payload,
        seed,
    )
    .unwrap()
}

#[test]
fn every_row_of_a_study_is_imported_or_counted() {
    let imported = study(DAY_S, Payload::Hash, Seed::new(1, 0));
    let account = &imported.account;
    let skipped: Vec<_> = account.skipped().into_iter().collect();
    let want = [
        ("missing date", 2),
        ("partial date", 3),
        ("subject not in dm", 1),
        ("subject twice in dm", 1),
        ("unreadable date", 1),
    ];
    assert_eq!(skipped, want);
    assert_eq!(account.rows, 21);
    assert_eq!(
        account.rows,
        account.arrivals + account.skipped().values().sum::<u64>()
    );
    assert_eq!(account.arrivals as usize, imported.arrivals.len());
    assert_eq!(imported.sites, 2);
}

#[test]
fn a_study_keeps_dates_and_causes() {
    for replication in 0..50 {
        let imported = study(DAY_S, Payload::Full, Seed::new(1, replication));
        let mut load = Trace::new(imported);
        let arrivals = take(&mut load.clone(), 100);
        assert_eq!(arrivals[0].at, Time::ZERO);
        let last = arrivals.last().unwrap();
        // 65 days from the first visit to the end of participation, within a day.
        assert!((last.at.as_s() / DAY_S - 64.0).abs() < 1.0, "{}", last.at);
        assert_eq!(last.action, Action::Disposition as u8);
        let (_, fates) = execute(&mut load, &Trial, 100);
        let refused: Vec<_> = fates.iter().filter(|(k, _)| k.1 != "valid").collect();
        // The adverse event that the table holds twice.
        assert_eq!(
            refused,
            [(&("trial.ae", "duplicate record".to_owned()), &1)]
        );
        assert_eq!(fates.values().sum::<u32>(), 13);
    }
}

#[test]
fn times_of_day_hang_on_the_row() {
    let base = study(DAY_S, Payload::Hash, Seed::new(1, 0));
    assert_eq!(
        digest(&base.arrivals),
        digest(&study(DAY_S, Payload::Hash, Seed::new(1, 0)).arrivals)
    );
    assert_ne!(
        digest(&base.arrivals),
        digest(&study(DAY_S, Payload::Hash, Seed::new(2, 0)).arrivals)
    );
    let full = study(DAY_S, Payload::Full, Seed::new(1, 0));
    assert!(
        base.arrivals
            .iter()
            .zip(&full.arrivals)
            .all(|(a, b)| a.at == b.at && a.bytes < b.bytes)
    );
    let fast = study(864.0, Payload::Hash, Seed::new(1, 0));
    for (a, b) in base.arrivals.iter().zip(&fast.arrivals) {
        assert!((a.at.as_s() - 100.0 * b.at.as_s()).abs() < 1e-5);
    }
}

#[test]
fn studies_without_the_columns_or_rows_are_refused() {
    let read = |dm: &'static str| {
        let (ds, sv, ae) = (
            "USUBJID,DSSEQ,DSDECOD,DSSTDTC\n",
            "USUBJID,VISITNUM,SVSTDTC\n",
            AE,
        );
        let [dm, ds, sv, ae] = [dm, ds, sv, ae].map(str::as_bytes);
        let study = Study {
            name: "pilot",
            dm,
            ds,
            sv,
            ae,
        };
        sdtm::read(study, DAY_S, Payload::Hash, Seed::new(1, 0))
            .unwrap_err()
            .to_string()
    };
    let error = read("USUBJID,SITE\n");
    assert!(
        error.starts_with("pilot/dm.csv has no column `SITEID`"),
        "{error}"
    );
    let error = read("USUBJID,SITEID\n");
    assert!(
        error.contains("pilot holds no arrival") && error.contains("not in dm"),
        "{error}"
    );
}

#[test]
fn trial_rules_accept_the_order_of_a_protocol_and_nothing_else() {
    use Action as A;
    let subject = |action: A| tx(action as u8, 0, 0);
    let record = |action: A, key| tx(action as u8, key, 0);
    let check = |steps: &[Arrival], last: &str| {
        let got = fates(&Trial, steps);
        let (end, before) = got.split_last().unwrap();
        assert!(before.iter().all(|f| *f == "valid"), "{got:?}");
        assert_eq!(*end, last);
    };
    let (consent, screen) = (subject(A::Consent), record(A::Screen, 1));
    let (randomise, visit) = (subject(A::Randomise), record(A::Capture, 2));
    let end = subject(A::Disposition);
    let sae = record(A::SeriousEvent, 3);
    check(
        &[
            consent,
            screen,
            randomise,
            visit,
            sae,
            end,
            record(A::Capture, 4),
        ],
        "valid",
    );
    check(&[consent, record(A::Milestone, 5)], "valid");
    check(&[consent, consent], "subject already consented");
    for first in [
        screen,
        randomise,
        visit,
        sae,
        end,
        record(A::AdverseEvent, 6),
    ] {
        check(&[first], "no consent");
    }
    check(&[consent, randomise], "subject not screened");
    check(
        &[consent, screen, randomise, randomise],
        "subject already randomised",
    );
    check(
        &[consent, screen, randomise, record(A::Screen, 7)],
        "subject already randomised",
    );
    check(&[consent, screen, visit], "subject not enrolled");
    check(&[consent, screen, screen], "duplicate record");
    check(&[consent, screen, end, randomise], "subject off study");
    check(&[consent, end, screen], "subject off study");
    check(&[consent, end, end], "subject off study");
}

/// Opens the texts of this file by name.
fn open(name: &str) -> io::Result<Box<dyn io::Read>> {
    let text = match name {
        "pilot/dm.csv" => DM,
        "pilot/ds.csv" => DS,
        "pilot/sv.csv" => SV,
        "pilot/ae.csv" => AE,
        "a.csv" => "at_s,class,site,key\n0,w,0,a\n",
        _ => return Err(io::ErrorKind::NotFound.into()),
    };
    Ok(Box::new(text.as_bytes()))
}

fn build(table: toml::Table, rate: Option<Rate>) -> Result<quorate_workloads::Built, Error> {
    let workload = WorkloadKind::from_name("trace")
        .unwrap()
        .parse(table)
        .unwrap();
    let seed = Seed::new(1, 0);
    workload.build(Setup {
        rate,
        seed,
        open: &mut open,
    })
}

#[test]
fn the_registry_builds_traces() {
    let mut built = build(toml::toml! { format = "sdtm" path = "pilot" }, None).unwrap();
    assert_eq!(built.import.unwrap().arrivals, 13);
    assert_eq!(take(&mut *built.load, 100).len(), 13);
    assert!(built.ledger.reasons().contains(&"no consent"));
    let built = build(
        toml::toml! { format = "arrivals" path = "a.csv" day_s = 60.0 },
        None,
    );
    assert!(
        built
            .unwrap()
            .ledger
            .reasons()
            .contains(&"nothing to revoke")
    );
}

#[test]
fn the_registry_explains_what_a_trace_lacks() {
    let table = || toml::toml! { format = "arrivals" path = "gone.csv" };
    let error = build(table(), None).err().unwrap().to_string();
    assert!(error.starts_with("cannot open gone.csv"), "{error}");
    let error = build(table(), Some(Rate::profile()))
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("leave the rate out"), "{error}");
    let wrong = toml::toml! { format = "arrivals" path = "a.csv" payload = "full" };
    let error = WorkloadKind::Trace.parse(wrong).unwrap_err().to_string();
    assert!(error.contains("unknown field `payload`"), "{error}");
}

#[test]
fn the_registry_lists_what_there_is() {
    let lines: Vec<_> = WorkloadKind::ALL
        .iter()
        .map(|k| (k.name(), k.doc()))
        .collect();
    assert_eq!(lines.len(), 4);
    assert!(
        lines
            .iter()
            .all(|(name, doc)| !doc.is_empty() && !doc.contains('\n') && !name.is_empty())
    );
    assert_eq!(WorkloadKind::Hospital.presets()[1], "hospital");
    assert!(WorkloadKind::Trace.presets().is_empty());
    assert_eq!(WorkloadKind::from_name("pharmacy"), None);
}

#[test]
fn a_trace_ends() {
    let mut load = Trace::new(arrivals("at_s,class,site,key\n5,w,0,a\n").unwrap());
    assert!(load.next().is_some());
    assert!(load.next().is_none());
}

proptest! {
    /// Whatever the bytes, the importers answer with arrivals or an error.
    #[test]
    fn importers_never_panic(
        rows in prop::collection::vec("[0-9a-z,.\"T\\-\n ]{0,40}", 0..8),
        date in "[0-9T:-]{0,12}",
    ) {
        let body = rows.join("\n");
        if let Ok(imported) = arrivals(&format!("at_s,class,site,key\n{body}")) {
            prop_assert!(imported.arrivals.is_sorted_by_key(|a| a.at));
        }
        let dm = format!("USUBJID,SITEID,DMDTC\ns1,1,{date}\n{body}");
        let sv = format!("USUBJID,VISITNUM,SVSTDTC\ns1,1,{date}\n");
        let (ds, ae) = (DS.to_owned(), AE.to_owned());
        let [dm, ds, sv, ae] = [&dm, &ds, &sv, &ae].map(String::as_bytes);
        let study = Study { name: "study", dm, ds, sv, ae };
        if let Ok(imported) = sdtm::read(study, DAY_S, Payload::Hash, Seed::new(1, 0)) {
            let account = imported.account;
            let skipped: u64 = account.skipped().values().sum();
            prop_assert_eq!(account.rows, account.arrivals + skipped);
        }
    }
}
