//! The importers of care and goods, through the public settings: what becomes of what, in which order, and
//! what they say to files that they cannot use.

#[allow(dead_code, reason = "each test uses a part")]
mod common;

use common::{digest, execute};
use proptest::prelude::*;
use quorate_core::{Arrival, Ledger, Load, Seed};
use quorate_workloads::trace::{Config, Imported, Rules, Trace};
use quorate_workloads::{Error, Setup, WorkloadKind, register};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read};

/// Files by name; folders read as the names in them.
struct Files(Vec<(&'static str, String)>);

impl Files {
    fn open(&self, path: &str) -> io::Result<Box<dyn Read>> {
        if let Some((_, text)) = self.0.iter().find(|(name, _)| *name == path) {
            return Ok(Box::new(io::Cursor::new(text.clone())));
        }
        let inside = self
            .0
            .iter()
            .filter_map(|(name, _)| name.strip_prefix(path)?.strip_prefix('/'));
        let mut names: Vec<&str> = inside.collect();
        names.sort_unstable();
        if names.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Box::new(io::Cursor::new(names.join("\n"))))
    }

    fn import(&self, settings: toml::Table) -> Result<Imported, Error> {
        let config = settings.try_into::<Config>().expect("settings");
        config.import(Seed::new(1, 0), &mut |path| self.open(path))
    }

    #[track_caller]
    fn complaint(&self, settings: toml::Table) -> String {
        self.import(settings).expect_err("unusable").to_string()
    }
}

fn one(name: &'static str, text: impl Into<String>) -> Files {
    Files(vec![(name, text.into())])
}

/// A bundle of these resources.
fn bundle(resources: &[&str]) -> String {
    let entries: Vec<String> = resources
        .iter()
        .map(|r| format!("{{\"resource\":{r}}}"))
        .collect();
    format!(
        "{{\"resourceType\":\"Bundle\",\"type\":\"transaction\",\"entry\":[{}]}}",
        entries.join(",\n")
    )
}

/// Hours since the first arrival, class, site, record, operand.
type Line = (f64, &'static str, u16, u32, u32);

fn lines(imported: &Imported) -> Vec<Line> {
    let line = |a: &Arrival| {
        let class = imported.classes[a.class.index()].name;
        (a.at.as_s() / 3_600.0, class, a.site, a.key.get(), a.operand)
    };
    imported.arrivals.iter().map(line).collect()
}

/// How many of each class.
fn classes(imported: &Imported) -> BTreeMap<&'static str, u32> {
    let mut classes = BTreeMap::new();
    for line in lines(imported) {
        *classes.entry(line.1).or_insert(0) += 1;
    }
    classes
}

/// Executes a trace in its order; the fates that are not `valid`.
fn refused(imported: &Imported) -> Vec<(&'static str, String)> {
    let mut text = Vec::new();
    register::write(imported, &mut text).unwrap();
    let files = one("a.csv", String::from_utf8(text).unwrap());
    let trace = toml::toml! { format = "arrivals" path = "a.csv" };
    let built = WorkloadKind::Trace
        .parse(trace)
        .unwrap()
        .build(Setup {
            rate: None,
            seed: Seed::new(1, 0),
            open: &mut |path| files.open(path),
        })
        .unwrap();
    let ledger: &dyn Ledger = &*built.ledger;
    let (_, fates) = execute(&mut Trace::new(imported.clone()), ledger, usize::MAX);
    fates
        .into_keys()
        .filter(|(_, fate)| fate != "valid")
        .collect()
}

const PATIENT: &str = r#"{"resourceType":"Patient","id":"p1"}"#;
const VISIT: &str = r#"{"resourceType":"Encounter","id":"e1","status":"finished","class":{"code":"AMB"},
    "subject":{"reference":"Patient/p1"},"serviceProvider":{"reference":"Organization/o1"},
    "period":{"start":"2019-05-06T10:00:00Z","end":"2019-05-06T10:30:00Z"}}"#;
const REPORT: &str = r#"{"resourceType":"DiagnosticReport","id":"r1","status":"final",
    "subject":{"reference":"Patient/p1"},"encounter":{"reference":"Encounter/e1"},
    "issued":"2019-05-06T12:00:00Z"}"#;
const PRESCRIPTION: &str = r#"{"resourceType":"MedicationRequest","id":"m1","status":"active",
    "intent":"order","subject":{"reference":"Patient/p1"},"encounter":{"reference":"Encounter/e1"},
    "authoredOn":"2019-05-06T10:20:00Z","dispenseRequest":{"numberOfRepeatsAllowed":2}}"#;
const FILL: &str = r#"{"resourceType":"MedicationDispense","id":"d1","status":"completed",
    "subject":{"reference":"Patient/p1"},"whenHandedOver":"2019-05-06T16:00:00Z",
    "authorizingPrescription":[{"reference":"MedicationRequest/m1"}],
    "performer":[{"actor":{"reference":"Organization/pharmacy"}}]}"#;
const CLAIM: &str = r#"{"resourceType":"Claim","id":"c1","status":"active","use":"claim",
    "patient":{"reference":"Patient/p1"},"created":"2019-05-06T10:10:00Z",
    "item":[{"encounter":[{"reference":"Encounter/e1"}]}]}"#;
const ANSWER: &str = r#"{"resourceType":"ExplanationOfBenefit","id":"x1","outcome":"complete",
    "contained":[{"resourceType":"Coverage","id":"coverage"}],
    "patient":{"reference":"Patient/p1"},"claim":{"reference":"Claim/c1"},
    "created":"2019-05-06T09:00:00Z","payment":{"amount":{"value":125.5},"date":"2019-05-20"}}"#;
const OBSERVATION: &str = r#"{"resourceType":"Observation","id":"n1","status":"final"}"#;

const CARE: [&str; 8] = [
    PATIENT,
    VISIT,
    REPORT,
    PRESCRIPTION,
    FILL,
    CLAIM,
    ANSWER,
    OBSERVATION,
];

fn source() -> toml::Table {
    toml::toml! { format = "fhir" path = "export" clock = "source" }
}

#[test]
fn a_bundle_becomes_what_the_catalogue_says() {
    let files = one("export/a.json", bundle(&CARE));
    let imported = files.import(source()).unwrap();
    let got = lines(&imported);
    // The payment has a date only; its time of day is drawn.
    let (paid, rest) = got.split_last().unwrap();
    assert_eq!((paid.1, paid.2, paid.3), ("claim.pay", 0, 4));
    assert!((13.0 * 24.0..15.0 * 24.0).contains(&paid.0), "{}", paid.0);
    let want = [
        (0.0, "identity.register", 0, 0, 0),
        (0.0, "consent.grant", 0, 1, 0),
        (0.0, "access.record", 0, 1, 0),
        (1.0 / 3.0, "erx.issue", 0, 2, 3),
        (0.5, "record.anchor", 0, 3, 0),
        // Not before its encounter is on record; and decided not before it is submitted.
        (0.5, "claim.submit", 0, 4, 0),
        (0.5, "claim.adjudicate", 0, 4, 1),
        (2.0, "report.issue", 0, 5, 0),
        (6.0, "erx.dispense", 1, 2, 0),
    ];
    let want: Vec<Line> = want.to_vec();
    let order: Vec<&str> = rest.iter().map(|line| line.1).collect();
    assert_eq!(order, want.iter().map(|line| line.1).collect::<Vec<_>>());
    for (got, want) in rest.iter().zip(&want) {
        assert!((got.0 - want.0).abs() < 1e-9, "{got:?} is not {want:?}");
        assert_eq!((got.2, got.3, got.4), (want.2, want.3, want.4), "{got:?}");
    }
    assert_eq!(imported.rules, Rules::Hospital);
    assert_eq!(refused(&imported), []);
    let account = &imported.account;
    assert_eq!((account.rows, account.used(), account.arrivals), (8, 7, 10));
    let left: Vec<_> = account.left_out.iter().collect();
    let why = "part of a document, not a transaction of its own";
    assert_eq!(left, [(&("Observation".to_owned(), why), &1)]);
    assert_eq!(account.mapped[&("encounter", "consent.grant")], 1);
    assert!(account.notes[0].starts_with("time of day as in the source"));
}

#[test]
fn lines_in_any_order_and_any_file_are_the_same_as_a_bundle() {
    let whole = one("export/a.json", bundle(&CARE));
    let line = |text: &str| text.replace('\n', " ") + "\n";
    let mut reversed: Vec<String> = CARE.iter().map(|r| line(r)).collect();
    reversed.reverse();
    let (first, rest) = reversed.split_at(3);
    let parts = Files(vec![
        ("export/Claim.ndjson", first.concat()),
        ("export/Patient.ndjson", rest.join("\n")),
        ("export/readme.txt", "not read".to_owned()),
    ]);
    for clock in ["source", "profile"] {
        let mut settings = source();
        settings.insert("clock".to_owned(), clock.into());
        let [a, b] = [&whole, &parts].map(|files| files.import(settings.clone()).unwrap());
        assert_eq!(lines(&a), lines(&b));
    }
}

#[test]
fn references_are_the_same_in_every_form() {
    let plain = one("export/a.json", bundle(&CARE))
        .import(source())
        .unwrap();
    for form in [
        "urn:uuid:",
        "https://example.org/fhir/X/",
        "X?identifier=https://example.org|",
    ] {
        let mut text = bundle(&CARE);
        for kind in ["Patient/", "Encounter/", "Claim/", "MedicationRequest/"] {
            text = text.replace(kind, form);
        }
        let other = one("export/a.json", text).import(source()).unwrap();
        assert_eq!(digest(&plain.arrivals), digest(&other.arrivals), "{form}");
    }
    // Without an id of its own a resource is what its entry is called.
    let text = bundle(&CARE).replace(
        r#"{"resource":{"resourceType":"Claim","id":"c1","#,
        r#"{"fullUrl":"urn:uuid:c1","resource":{"resourceType":"Claim","#,
    );
    let other = one("export/a.json", text).import(source()).unwrap();
    assert_eq!(digest(&plain.arrivals), digest(&other.arrivals));
}

#[test]
fn what_changes_a_record_that_is_not_there_is_left_out() {
    let files = one("export/a.json", bundle(&[PATIENT, VISIT, FILL, ANSWER]));
    let imported = files.import(source()).unwrap();
    assert_eq!(classes(&imported).len(), 4);
    let why = "its record is not in the export";
    let left = &imported.account.left_out;
    assert_eq!(left[&("MedicationDispense".to_owned(), why)], 1);
    assert_eq!(left[&("ExplanationOfBenefit".to_owned(), why)], 1);
    assert_eq!((imported.account.rows, imported.account.used()), (4, 2));
}

#[test]
fn documents_are_amended_along_their_chain() {
    let document = |id: &str, hour: u32, replaces: &str| {
        let target = format!(r#""target":{{"reference":"DocumentReference/{replaces}"}}"#);
        let relates = match replaces {
            "" => String::new(),
            _ => format!(r#""relatesTo":[{{"code":"replaces",{target}}}],"#),
        };
        format!(
            r#"{{"resourceType":"DocumentReference","id":"{id}","status":"current",{relates}
            "subject":{{"reference":"Patient/p1"}},"date":"2019-05-06T{hour}:00:00Z",
            "context":{{"encounter":[{{"reference":"Encounter/e1"}}]}}}}"#
        )
    };
    let [a, b, c] = [
        document("a", 11, ""),
        document("b", 12, "a"),
        document("c", 13, "b"),
    ];
    // The encounter has documents of its own, so that none is made up for it.
    let want: Vec<Line> = vec![
        (1.0, "record.anchor", 0, 2, 0),
        (2.0, "record.amend", 0, 2, 1),
        (3.0, "record.amend", 0, 2, 2),
    ];
    for order in [[&a, &b, &c], [&c, &b, &a], [&b, &c, &a]] {
        let [x, y, z] = order.map(String::as_str);
        let files = one("export/a.json", bundle(&[x, PATIENT, y, VISIT, z]));
        let imported = files.import(source()).unwrap();
        let got: Vec<Line> = lines(&imported).split_off(3);
        assert_eq!(got, want);
        assert_eq!(refused(&imported), []);
    }
}

#[test]
fn consents_accesses_and_coverage_of_the_source_are_taken() {
    let consent = |status: &str, at: &str| {
        format!(
            r#"{{"resourceType":"Consent","id":"{status}","status":"{status}","dateTime":"{at}",
            "patient":{{"reference":"Patient/p1"}},
            "organization":[{{"reference":"Organization/o1"}}]}}"#
        )
    };
    let given = consent("active", "2019-05-06T08:00:00Z");
    let ended = consent("inactive", "2019-05-07T08:00:00Z");
    let audit = |id: &str, purpose: &str| {
        format!(
            r#"{{"resourceType":"AuditEvent","id":"{id}","recorded":"2019-05-08T08:00:00Z",
            "purposeOfEvent":[{{"coding":[{{"code":"{purpose}"}}]}}],
            "source":{{"observer":{{"reference":"Organization/o1"}}}},
            "entity":[{{"what":{{"reference":"Patient/p1"}}}}]}}"#
        )
    };
    let (read, broken) = (audit("1", "TREAT"), audit("2", "ETREAT"));
    let covered = r#"{"resourceType":"Coverage","id":"v1","status":"active",
        "beneficiary":{"reference":"Patient/p1"},"payor":[{"reference":"Organization/payer"}],
        "period":{"start":"2019-05-06"}}"#;
    let all = [PATIENT, VISIT, &given, &ended, &read, &broken, covered];
    let imported = one("export/a.json", bundle(&all)).import(source()).unwrap();
    let want = [
        ("access.breakglass", 1),
        ("access.record", 2),
        // The patient's own, and the payer's; none is made up for the first visit.
        ("consent.grant", 2),
        ("consent.revoke", 1),
        ("identity.register", 1),
        ("record.anchor", 1),
    ];
    assert_eq!(classes(&imported), BTreeMap::from(want));
    assert_eq!(lines(&imported)[0].1, "identity.register");
    assert_eq!(refused(&imported), []);
    let of = |class: &str| -> Vec<u32> {
        let all = lines(&imported).into_iter();
        all.filter(|line| line.1 == class)
            .map(|line| line.3)
            .collect()
    };
    // All of one consent, but for the payer's.
    let own = of("consent.revoke")[0];
    assert!(
        of("access.record")
            .iter()
            .chain(&of("access.breakglass"))
            .all(|&key| key == own)
    );
    let mut granted = of("consent.grant");
    granted.retain(|&key| key != own);
    assert_eq!(granted.len(), 1);
}

/// So many encounters of one patient on days that follow each other, at these hours.
fn visits(n: usize, class: &str, hour: impl Fn(usize) -> usize) -> String {
    let visit = |i: usize| {
        let date = format!("2019-{:02}-{:02}T{:02}", 1 + i / 28, 1 + i % 28, hour(i));
        VISIT
            .replace("\"e1\"", &format!("\"e{i}\""))
            .replace("AMB", class)
            .replace("2019-05-06T10:00", &format!("{date}:00"))
            .replace("2019-05-06T10:30", &format!("{date}:45"))
    };
    let visits: Vec<String> = (0..n).map(visit).collect();
    let all: Vec<&str> = std::iter::once(PATIENT)
        .chain(visits.iter().map(String::as_str))
        .collect();
    bundle(&all)
}

/// Hours of the arrivals of a class.
fn hours(imported: &Imported, class: &str) -> Vec<f64> {
    let all = lines(imported).into_iter();
    all.filter(|line| line.1 == class)
        .map(|line| line.0)
        .collect()
}

fn automatic() -> toml::Table {
    toml::toml! { format = "fhir" path = "a.json" }
}

#[test]
fn a_clock_that_is_none_is_drawn_anew_and_dates_are_kept() {
    let files = one("a.json", visits(240, "AMB", |i| i % 24));
    let flat = files.import(automatic()).unwrap();
    let note = &flat.account.notes[0];
    assert!(
        note.contains("drawn anew by the seed, dates kept: 42 % of 240"),
        "{note}"
    );
    let starts = hours(&flat, "access.record");
    // Each on its own day: relative to the first, less than a day off.
    for (i, start) in starts.iter().enumerate() {
        let months = [31, 28, 31, 30, 31, 30, 31, 31];
        let days: usize = months[..i / 28].iter().sum::<usize>() + i % 28;
        assert!((start - 24.0 * days as f64).abs() < 24.0, "{i}: {start}");
    }
    // Ends move along.
    let ends = hours(&flat, "record.anchor");
    let stays = starts.iter().zip(&ends).map(|(a, b)| b - a);
    assert!(stays.into_iter().all(|stay| (stay - 0.75).abs() < 1e-9));
    // The seed moves them.
    let again = |seed| {
        let config: Config = automatic().try_into().unwrap();
        let imported = config
            .import(Seed::new(seed, 0), &mut |path| files.open(path))
            .unwrap();
        digest(&imported.arrivals)
    };
    assert_eq!(again(1), digest(&flat.arrivals));
    assert_ne!(again(1), again(2));
}

#[test]
fn a_clock_that_is_one_is_kept() {
    let kept = one("a.json", visits(240, "AMB", |i| 9 + i % 8))
        .import(automatic())
        .unwrap();
    assert!(kept.account.notes[0].contains("as in the source: 100 %"));
    assert!((hours(&kept, "access.record")[1] - 25.0).abs() < 1e-9);
    // Emergencies at all hours are nothing strange.
    let night = one("a.json", visits(240, "EMER", |i| i % 24))
        .import(automatic())
        .unwrap();
    assert!(night.account.notes[0].contains("as in the source"));
    assert!((hours(&night, "access.record")[1] - 25.0).abs() < 1e-9);
}

#[test]
fn visits_of_one_day_keep_their_order() {
    let visit = |i: usize| {
        let text = VISIT.replace("\"e1\"", &format!("\"e{i}\""));
        text.replace("T10:00", &format!("T{i:02}:00"))
            .replace("T10:30", &format!("T{i:02}:05"))
    };
    let visits: Vec<String> = (0..20).map(visit).collect();
    let reports: Vec<String> = (0..20)
        .map(|i| {
            let report = REPORT.replace("\"r1\"", &format!("\"r{i}\""));
            report
                .replace("/e1", &format!("/e{i}"))
                .replace("T12:00", &format!("T{i:02}:03"))
        })
        .collect();
    let all = visits.iter().chain(&reports).map(String::as_str);
    let mut settings = automatic();
    settings.insert("clock".to_owned(), "profile".into());
    let text = bundle(&all.collect::<Vec<_>>());
    let imported = one("a.json", text).import(settings).unwrap();
    // The report of each visit lies between its start and its end; so the n-th of each belong together.
    let [start, report, end] =
        ["access.record", "report.issue", "record.anchor"].map(|class| hours(&imported, class));
    for n in 0..20 {
        assert!((report[n] - start[n] - 0.05).abs() < 1e-9, "{n}");
        assert!((end[n] - start[n] - 5.0 / 60.0).abs() < 1e-9, "{n}");
    }
}

#[test]
fn times_drawn_follow_the_profile_of_the_encounter() {
    // The first arrival has a date only, as midnight; what follows is known but for its time of day,
    // which is one number: that which fits best counts.
    let share = |class: &str, range: std::ops::Range<u64>| {
        let mut settings = automatic();
        settings.insert("clock".to_owned(), "profile".into());
        let imported = one("a.json", visits(224, class, |_| 0))
            .import(settings)
            .unwrap();
        let all = hours(&imported, "access.record");
        let count = |offset: f64| {
            let inside = |hour: &&f64| range.contains(&(((**hour + offset) as u64) % 24));
            all.iter().filter(inside).count()
        };
        let most = (0..96)
            .map(|quarter| count(f64::from(quarter) / 4.0))
            .max()
            .unwrap();
        most as f64 / all.len() as f64
    };
    // 94 % from 8 to 18 h, and 59 % from 9 to 18 h; three deviations of 224 draws, and the fit.
    let booked = share("AMB", 8..18);
    assert!((0.89..=0.99).contains(&booked), "{booked}");
    let emergency = share("EMER", 9..18);
    assert!((0.50..=0.70).contains(&emergency), "{emergency}");
}

#[test]
fn files_that_are_no_fhir_are_refused_with_their_place() {
    let broken = |text: &str| one("a.json", text).complaint(automatic());
    let with = |resource: &str| broken(&bundle(&[PATIENT, resource]));
    let open = "{\"resourceType\":\"Bundle\"";
    for (got, want) in [
        (
            broken(&format!("{open},\n\"entry\":[{{]}}")),
            "a.json is not readable as JSON: ",
        ),
        (
            broken(&format!("{open},\n\"entry\":[{{]}}")),
            " at line 2 column ",
        ),
        (
            broken("{\"resourceType\":\"Patient\"}"),
            "a.json: `resourceType` is \"Patient\"\nhint: it should be Bundle",
        ),
        (broken(&format!("{open}}}")), "a.json: `entry` is \"\""),
        (
            broken(&format!("{open},\"entry\":{{}}}}")),
            "a list under `entry`",
        ),
        (
            broken(&format!("{open},\"entry\":[{{}}]}}")),
            "a.json, entry 1, field `resource`",
        ),
        (
            broken(&format!("{open},\"entry\":[]}} x")),
            "trailing characters",
        ),
        (
            with(&VISIT.replace("2019-05-06T10:00:00Z", "06.05.2019")),
            "a.json, entry 2, field `period.start`: `06.05.2019` is unusable\nhint: a date",
        ),
        (
            with(&VISIT.replace("\"2019-05-06T10:00:00Z\"", "7")),
            "entry 2, field `period.start`: `7` is unusable\nhint: a text",
        ),
        (
            with(&VISIT.replace("\"id\":\"e1\",", "")),
            "entry 2, field `id`",
        ),
        (
            with(&PRESCRIPTION.replace("Allowed\":2", "Allowed\":-1")),
            "numberOfRepeatsAllowed`: `-1`",
        ),
        (with("{\"id\":\"x\"}"), "field `resourceType`"),
        (
            with(OBSERVATION),
            "a.json holds no arrival\nhint: 2 rows, skipped: {\"part of a document",
        ),
    ] {
        assert!(got.contains(want), "`{want}` is not in: {got}");
    }
    let export = || toml::toml! { format = "fhir" path = "x" };
    let text = format!("{PATIENT}\n\n{{\"resourceType\" 1}}\n");
    let got = one("x/a.ndjson", text).complaint(export());
    assert!(
        got.starts_with("x/a.ndjson, line 3, is not readable as JSON: "),
        "{got}"
    );
    let got = one("x/a.xml", "").complaint(export());
    assert!(
        got.contains("x holds no arrival\nhint: a file or a folder with files named *.json"),
        "{got}"
    );
    let got = one("y/a.json", "").complaint(export());
    assert!(got.starts_with("cannot open x"), "{got}");
}

/// A Synthea export of two patients; `change` may replace a table.
fn synthea(change: (&'static str, &str)) -> Files {
    let tables = [
        (
            "s/patients.csv",
            "Id,BIRTHDATE,DEATHDATE,SSN\np1,1950-01-01,2019-08-01,x\np2,1980-01-01,,y\n",
        ),
        (
            "s/encounters.csv",
            "PATIENT,Id,START,STOP,ORGANIZATION,ENCOUNTERCLASS,COST\n\
             p1,e1,2019-05-06T10:00:00Z,2019-05-06T10:30:00Z,o1,ambulatory,1\n\
             p1,e2,2019-06-06T10:00:00Z,,o2,emergency,1\n\
             p2,e3,2019-05-07T10:00:00Z,2019-05-09T11:00:00Z,o1,inpatient,1\n",
        ),
        (
            "s/medications.csv",
            "START,STOP,PATIENT,PAYER,ENCOUNTER,CODE,DISPENSES\n\
             2019-05-06T10:30:00Z,,p1,x,e1,7,5\n\
             2019-05-07T12:00:00Z,2019-07-01T00:00:00Z,p2,x,e3,7,3\n",
        ),
        (
            "s/observations.csv",
            "DATE,PATIENT,ENCOUNTER,CATEGORY,CODE,VALUE\n\
             2019-05-06T10:10:00Z,p1,e1,laboratory,1,2\n\
             2019-05-06T10:10:00Z,p1,e1,laboratory,2,2\n\
             2019-05-06T10:10:00Z,p1,e1,vital-signs,2,2\n\
             2019-05-07T10:10:00Z,p2,e3,laboratory,2,2\n\
             2019-05-06T10:10:00Z,p1,e1,laboratory,3,2\n",
        ),
        (
            "s/claims.csv",
            "Id,PATIENTID,PRIMARYPATIENTINSURANCEID,APPOINTMENTID,SERVICEDATE,LASTBILLEDDATE1\n\
             c1,p1,i1,e1,2019-05-06T10:30:00Z,2019-05-07T10:30:00Z\n\
             c2,p2,0,e3,2019-05-07T10:00:00Z,\n",
        ),
        (
            "s/claims_transactions.csv",
            "ID,CLAIMID,PATIENTID,TYPE,AMOUNT,FROMDATE\n\
             1,c1,p1,CHARGE,5,2019-05-06T10:30:00Z\n\
             2,c1,p1,PAYMENT,5,2019-05-08T10:30:00Z\n\
             3,c1,p1,PAYMENT,5,2019-05-09T10:30:00Z\n\
             4,c2,p2,PAYMENT,5,2019-05-09T10:30:00Z\n",
        ),
        (
            "s/payers.csv",
            "Id,NAME\ni1,Aetna\nnone,NO_INSURANCE\ni2,Cigna\n",
        ),
        (
            "s/payer_transitions.csv",
            "PATIENT,MEMBERID,START_DATE,END_DATE,PAYER\n\
             p1,,2000-01-01T00:00:00Z,2010-01-01T00:00:00Z,i2\n\
             p1,,2010-01-01T00:00:00Z,2018-12-31T00:00:00Z,i1\n\
             p1,,2019-01-01T00:00:00Z,2019-05-20T00:00:00Z,i1\n\
             p1,,2019-05-20T00:00:00Z,2029-01-01T00:00:00Z,i2\n\
             p2,,2000-01-01T00:00:00Z,2029-01-01T00:00:00Z,none\n",
        ),
        ("s/conditions.csv", "START,STOP,PATIENT\n2019-05-06,,p1\n"),
    ];
    let (name, text) = change;
    let own = |table: (&'static str, &str)| {
        let text = if table.0 == name { text } else { table.1 };
        (table.0, text.to_owned())
    };
    Files(tables.map(own).into())
}

fn synthea_source() -> toml::Table {
    toml::toml! { format = "synthea" path = "s" clock = "source" }
}

#[test]
fn an_export_of_synthea_becomes_what_the_catalogue_says() {
    let imported = synthea(("", "")).import(synthea_source()).unwrap();
    let want = [
        ("access.record", 3),
        ("claim.adjudicate", 1),
        ("claim.pay", 1),
        ("claim.submit", 2),
        // Three by first encounters; two by payers, of which one covers the first patient twice in a row.
        ("consent.grant", 5),
        ("consent.revoke", 1),
        // Three up to the death, two up to the stop.
        ("erx.dispense", 5),
        ("erx.issue", 2),
        ("identity.register", 2),
        ("record.anchor", 2),
        ("report.issue", 2),
    ];
    assert_eq!(classes(&imported), BTreeMap::from(want));
    assert_eq!(refused(&imported), []);
    let account = &imported.account;
    let left = |what: &str, why| account.left_out[&(what.to_owned(), why)];
    assert_eq!(left("observations", "not a laboratory result"), 1);
    assert_eq!(left("claims_transactions", "not a payment"), 1);
    assert_eq!(
        left("claims_transactions", "a further payment of a claim"),
        1
    );
    assert_eq!(left("claims_transactions", "no decision on the claim"), 1);
    assert_eq!(left("payer_transitions", "no insurance"), 1);
    assert_eq!(left("coverage", "before the first encounter"), 2);
    assert_eq!(
        left(
            "conditions",
            "part of a document, not a transaction of its own"
        ),
        1
    );
    assert_eq!((account.rows, account.used()), (27, 16));
    let late = account
        .notes
        .iter()
        .any(|note| note.starts_with("3 fills left out"));
    assert!(late, "{:?}", account.notes);
    // 30 days apart.
    let fills = lines(&imported)
        .into_iter()
        .filter(|line| line.1 == "erx.dispense");
    let fills: Vec<(f64, u32)> = fills.map(|line| (line.0, line.4)).collect();
    let zero = fills[0].0;
    let month = |fill: &&(f64, u32)| (fill.0 - zero) % 720.0 < 1e-6;
    let of_one: Vec<(f64, u32)> = fills.iter().filter(month).copied().collect();
    assert_eq!(of_one, [(zero, 0), (zero + 720.0, 1), (zero + 1_440.0, 2)]);
    assert_eq!(imported.sites, 2);
}

#[test]
fn older_exports_lack_columns_and_call_years_what_are_dates() {
    let older = "PATIENT,START_YEAR,END_YEAR,PAYER\np1,2000,2010,i2\np1,2010,2030,i1\n";
    let imported = synthea(("s/payer_transitions.csv", older))
        .import(synthea_source())
        .unwrap();
    assert_eq!(classes(&imported)["consent.grant"], 4);
    let without = "DATE,PATIENT,ENCOUNTER,CODE\n2019-05-06T10:10:00Z,p1,e1,1\n";
    let imported = synthea(("s/observations.csv", without))
        .import(synthea_source())
        .unwrap();
    let why = "the table does not say which are laboratory results";
    assert_eq!(
        imported.account.left_out[&("observations".to_owned(), why)],
        1
    );
}

#[test]
fn tables_that_cannot_be_used_are_refused_with_their_place() {
    let complaint =
        |table: &'static str, text: &str| synthea((table, text)).complaint(synthea_source());
    let header = "Id,PATIENT,START,STOP,ORGANIZATION,ENCOUNTERCLASS\n";
    let row = |row: &str| format!("{header}{row}\n");
    let encounters = "s/encounters.csv";
    for (table, text, want) in [
        (
            encounters,
            row("e,p1,soon,,o,wellness"),
            "s/encounters.csv, line 2, column `START`: `soon`",
        ),
        (
            encounters,
            row("e,p1,,,o,wellness"),
            "column `START`: `` is unusable",
        ),
        (
            encounters,
            row("e,p1,2019-05-06,,o,visit"),
            "column `ENCOUNTERCLASS`: `visit`",
        ),
        (
            encounters,
            row("e,,2019-05-06,,o,wellness"),
            "column `PATIENT`: ``",
        ),
        (encounters, row("e,p1"), "line: 2"),
        (
            encounters,
            "Id,PATIENT\n".to_owned(),
            "s/encounters.csv has no column `START`",
        ),
        (
            "s/medications.csv",
            "START,PATIENT,ENCOUNTER,DISPENSES\n2019-05-06,p1,e1,many\n".to_owned(),
            "column `DISPENSES`: `many`",
        ),
        (
            "s/payer_transitions.csv",
            "PATIENT,PAYER,START_DATE\n".to_owned(),
            "no column `END_YEAR`",
        ),
    ] {
        let got = complaint(table, &text);
        assert!(got.contains(want), "`{want}` is not in: {got}");
    }
    let files = one("s/patients.csv", "Id\np1\n");
    assert!(
        files
            .complaint(synthea_source())
            .starts_with("cannot open s/encounters.csv")
    );
}

#[test]
fn scaled_rates_are_the_published_ones() {
    let mut encounters = "Id,PATIENT,START,STOP,ORGANIZATION,ENCOUNTERCLASS\n".to_owned();
    let mut medications = "START,PATIENT,ENCOUNTER\n".to_owned();
    let mut claims = "Id,PATIENTID,SERVICEDATE,APPOINTMENTID\n".to_owned();
    for i in 0..2_000 {
        let class = if i % 4 == 0 {
            "emergency"
        } else {
            "ambulatory"
        };
        writeln!(encounters, "e{i},p1,2019-05-06T10:00:00Z,,o1,{class}").expect("a string grows");
        writeln!(medications, "2019-05-06T10:00:00Z,p1,e{i}").expect("a string grows");
        writeln!(claims, "c{i},p1,2019-05-06T10:00:00Z,e{i}").expect("a string grows");
    }
    let files = Files(vec![
        ("s/patients.csv", "Id\np1\n".to_owned()),
        ("s/encounters.csv", encounters),
        ("s/medications.csv", medications),
        ("s/claims.csv", claims),
    ]);
    let plain = files.import(synthea_source()).unwrap();
    assert_eq!(classes(&plain)["access.record"], 2_000);
    let mut settings = synthea_source();
    settings.insert("scale".to_owned(), true.into());
    let scaled = files.import(settings).unwrap();
    let of = |class: &str| f64::from(classes(&scaled)[class]) / 2_000.0;
    // The number of copies is one of two that follow each other, so that the mean over 2,000 has a deviation
    // of at most 0.011.
    for (class, want) in [
        ("access.record", 0.75 * 1.55 + 0.25 * 3.9),
        ("erx.issue", 12.6),
        ("erx.dispense", 12.6),
        ("claim.submit", 3.1),
    ] {
        assert!(
            (of(class) - want).abs() < 0.045,
            "{class}: {} is not {want}",
            of(class)
        );
    }
    assert_eq!(refused(&scaled), []);
    // Copies come on the same weekday.
    assert!(
        hours(&scaled, "access.record")
            .iter()
            .all(|hour| hour % 168.0 < 1e-6)
    );
}

const MADE: &str = r#"{"type":"ObjectEvent","action":"ADD",
    "bizStep":"urn:epcglobal:cbv:bizstep:commissioning","epcList":[
    "urn:epc:id:sgtin:0614141.107346.1","urn:epc:id:sgtin:0614141.107346.2"],
    "eventTime":"2019-05-01T10:00:00Z","readPoint":{"id":"urn:epc:id:sgln:0614141.07346.0"},
    "ilmd":{"cbvmda:lotNumber":"L7"}}"#;
const PACKED: &str = r#"{"type":"AggregationEvent","action":"ADD","bizStep":"packing",
    "parentID":"urn:epc:id:sscc:0614141.1","childEPCs":[
    "urn:epc:id:sgtin:0614141.107346.1","urn:epc:id:sgtin:0614141.107346.2"],
    "eventTime":"2019-05-02T10:00:00Z","readPoint":{"id":"urn:epc:id:sgln:0614141.07346.0"}}"#;
const SHIPPED: &str = r#"{"type":"ObjectEvent","action":"OBSERVE","bizStep":"shipping",
    "epcList":["urn:epc:id:sscc:0614141.1"],"eventTime":"2019-05-03T10:00:00+02:00",
    "readPoint":{"id":"urn:epc:id:sgln:0614141.07346.1234"},"destinationList":[
    {"type":"owning_party","destination":"urn:epc:id:pgln:999.1"},
    {"type":"location","destination":"urn:epc:id:sgln:0012345.11111.0"}]}"#;
const RECEIVED: &str = r#"{"type":"AggregationEvent","action":"OBSERVE",
    "bizStep":"https://ref.gs1.org/cbv/BizStep-receiving","parentID":"urn:epc:id:sscc:0614141.1",
    "eventTime":"2019-05-04T10:00:00Z","bizLocation":{"id":"urn:epc:id:sgln:0012345.11111.0"}}"#;
const UNPACKED: &str = r#"{"type":"AggregationEvent","action":"DELETE","bizStep":"unpacking",
    "parentID":"urn:epc:id:sscc:0614141.1","childEPCs":["urn:epc:id:sgtin:0614141.107346.1"],
    "eventTime":"2019-05-05T10:00:00Z","bizLocation":{"id":"urn:epc:id:sgln:0012345.22222.0"}}"#;
const DISPENSED: &str = r#"{"type":"ObjectEvent","action":"OBSERVE","bizStep":"dispensing",
    "epcList":["urn:epc:id:sgtin:0614141.107346.1"],"eventTime":"2019-05-06T10:00:00Z",
    "bizLocation":{"id":"urn:epc:id:sgln:0012345.22222.0"}}"#;
const RECALLED: &str = r#"{"type":"ObjectEvent","action":"OBSERVE","bizStep":"holding",
    "disposition":"recalled","quantityList":[
    {"epcClass":"urn:epc:class:lgtin:0614141.107346.L7"}],
    "eventTime":"2019-05-07T10:00:00Z","readPoint":{"id":"urn:epc:id:sgln:0614141.07346.0"}}"#;

fn document(events: &[&str]) -> String {
    let events = events.join(",");
    format!(
        r#"{{"@context":[],"type":"EPCISDocument","epcisBody":{{"eventList":[{events}]}},
        "sender":{{"type":"someone"}}}}"#
    )
}

fn goods() -> toml::Table {
    toml::toml! { format = "epcis" path = "g" }
}

fn goods_of(events: &[&str]) -> Imported {
    one("g/1.json", document(events)).import(goods()).unwrap()
}

#[test]
fn events_become_transactions_on_items() {
    // In two documents, in no order.
    let files = Files(vec![
        (
            "g/1.jsonld",
            document(&[DISPENSED, RECALLED, MADE, SHIPPED]),
        ),
        ("g/2.json", document(&[UNPACKED, PACKED, RECEIVED])),
    ]);
    let imported = files.import(goods()).unwrap();
    let want: Vec<Line> = vec![
        (0.0, "drug.commission", 0, 0, 1),
        (0.0, "drug.commission", 0, 2, 1),
        (24.0, "drug.aggregate", 0, 0, 3),
        (24.0, "drug.aggregate", 0, 2, 3),
        // In its own zone; to a place rather than to an owner.
        (46.0, "drug.ship", 0, 3, 1),
        (72.0, "drug.receive", 1, 3, 0),
        (96.0, "drug.disaggregate", 1, 0, 3),
        (120.0, "drug.dispense", 1, 0, 0),
        (144.0, "drug.recall", 0, 1, 0),
    ];
    assert_eq!(lines(&imported), want);
    assert_eq!(refused(&imported), []);
    assert_eq!((imported.account.rows, imported.account.used()), (7, 7));
    // What was recalled before is not dispensed, also where it is still packed.
    let early = RECALLED.replace("05-07", "05-05");
    let out = DISPENSED.replace("346.1", "346.2");
    let imported = goods_of(&[MADE, PACKED, SHIPPED, RECEIVED, &early, &out]);
    assert_eq!(
        refused(&imported),
        [("drug.dispense", "lot recalled".to_owned())]
    );
}

#[test]
fn events_without_goods_are_left_out_for_a_reason() {
    let withdrawn = SHIPPED.replace(
        "\"action\"",
        "\"errorDeclaration\":{\"reason\":\"x\"},\"action\"",
    );
    let business = r#"{"type":"TransactionEvent","eventTime":"2019-05-06T10:00:00Z"}"#;
    let bulk = DISPENSED.replace("\"epcList\"", "\"x\"");
    let nowhere = DISPENSED.replace("bizLocation", "x");
    let stored = DISPENSED.replace("dispensing", "storing");
    let imported = goods_of(&[DISPENSED, &withdrawn, business, &bulk, &nowhere, &stored]);
    let left: Vec<_> = imported.account.skipped().into_iter().collect();
    let want = [
        ("a step without a transaction of the catalogue", 1),
        ("about a business document, no goods move", 1),
        ("it names no place", 1),
        ("quantities without serial numbers", 1),
        ("withdrawn by an error declaration", 1),
    ];
    assert_eq!(left, want);
    assert_eq!((imported.account.rows, imported.account.used()), (6, 1));
}

#[test]
fn each_step_has_its_transaction() {
    let returned = RECEIVED.replace("\"action\"", "\"disposition\":\"returned\",\"action\"");
    let suspect = DISPENSED.replace("dispensing", "holding");
    let suspect = suspect.replace(
        "\"action\"",
        "\"disposition\":\"non_sellable_other\",\"action\"",
    );
    for (event, class) in [
        (returned.as_str(), "drug.return"),
        (&suspect, "drug.suspect"),
        (
            &DISPENSED.replace("dispensing", "inspecting"),
            "drug.verify",
        ),
        (
            &DISPENSED.replace("dispensing", "decommissioning"),
            "drug.dispense",
        ),
        (&DISPENSED.replace("dispensing", "departing"), "drug.ship"),
        (
            &DISPENSED.replace(
                "\"OBSERVE\"",
                "\"OBSERVE\",\"persistentDisposition\":{\"set\":[\"recalled\"]}",
            ),
            "drug.recall",
        ),
    ] {
        assert_eq!(lines(&goods_of(&[event]))[0].1, class);
    }
}

#[test]
fn nothing_happens_to_an_item_before_it_is_made() {
    let early = DISPENSED
        .replace("05-06", "04-06")
        .replace("0012345.22222", "0614141.07346");
    let imported = goods_of(&[&early, MADE]);
    let order: Vec<_> = lines(&imported).iter().map(|line| line.1).collect();
    assert_eq!(
        order,
        ["drug.commission", "drug.commission", "drug.dispense"]
    );
    assert_eq!(refused(&imported), []);
    let note = &imported.account.notes[0];
    assert!(note.starts_with("1 transactions moved"), "{note}");
}

#[test]
fn digital_links_name_items_lots_and_parties() {
    let gtin = "https://id.gs1.org/01/10614141073464";
    let link = |text: &str| {
        text.replace("urn:epc:id:sgtin:0614141.107346.", &format!("{gtin}/21/"))
            .replace(
                "urn:epc:class:lgtin:0614141.107346.",
                &format!("{gtin}/10/"),
            )
            .replace(
                "urn:epc:id:sgln:0614141.07346.0",
                "https://id.gs1.org/414/0614141073467",
            )
            .replace(
                "urn:epc:id:sgln:0012345.22222.0",
                "https://id.gs1.org/414/0012345222228/254/32a",
            )
    };
    let events = [MADE, DISPENSED, RECALLED];
    let links = events.map(link);
    let linked = goods_of(&links.each_ref().map(String::as_str));
    assert_eq!(
        digest(&goods_of(&events).arrivals),
        digest(&linked.arrivals)
    );
}

#[test]
fn documents_that_are_no_epcis_are_refused_with_their_place() {
    let broken = |text: &str| one("g/1.jsonld", text).complaint(goods());
    let with = |event: &str| broken(&document(&[SHIPPED, event]));
    for (got, want) in [
        (broken("{"), "g/1.jsonld is not readable as JSON: EOF"),
        (
            broken("{\"type\":\"Bundle\",\"epcisBody\":{\"eventList\":[]}}"),
            "g/1.jsonld: `type` is \"Bundle\"",
        ),
        (
            broken("{\"type\":\"EPCISDocument\"}"),
            "`eventList` is \"\"",
        ),
        (
            broken("{\"type\":\"EPCISDocument\",\"epcisBody\":[]}"),
            "an object",
        ),
        (
            with(&MADE.replace("2019-05-01T10", "2019-05-01T99")),
            "entry 2, field `eventTime`: `2019-05-01T99:00:00Z`",
        ),
        (
            with(&MADE.replace("eventTime", "x")),
            "entry 2, field `eventTime`: ``",
        ),
        (
            with(&MADE.replace("\"epcList\":[", "\"epcList\":[7,")),
            "entry 2, field `epcList`: `7`",
        ),
        (with("{}"), "entry 2, field `type`"),
        (
            broken(&document(&[&SHIPPED.replace("readPoint", "x")])),
            "g holds no arrival\nhint: 1 events, skipped: {\"it names no place\": 1}",
        ),
    ] {
        assert!(got.contains(want), "`{want}` is not in: {got}");
    }
}

#[test]
fn what_is_written_is_read_again_the_same() {
    let care =
        one("export/a.json", bundle(&CARE)).import(toml::toml! { format = "fhir" path = "export" });
    let to_anyone = goods_of(&[&SHIPPED.replace("destinationList", "x")]);
    let table =
        "at_s,class,site,key,action,operand\n1.25,\"a, b\",3,x,update,7\n0.5,c,0,y,revoke,\n";
    let plain = one("a.csv", table).import(toml::toml! { format = "arrivals" path = "a.csv" });
    let moved = goods_of(&[MADE, PACKED, SHIPPED, RECEIVED]);
    for imported in [care.unwrap(), moved, to_anyone, plain.unwrap()] {
        let mut text = Vec::new();
        register::write(&imported, &mut text).unwrap();
        let again = register::read(&text[..], "a.csv", 86_400.0).unwrap();
        let fields = |i: &Imported| {
            let all = i.arrivals.iter();
            let class = |a: &Arrival| i.classes[a.class.index()];
            all.map(|a| (a.at, a.site, class(a), a.action, a.operand, a.bytes))
                .collect::<Vec<_>>()
        };
        assert_eq!(fields(&again), fields(&imported));
        if imported.rules != Rules::Register {
            assert_eq!(again.arrivals, imported.arrivals);
            assert_eq!(
                (again.sites, &again.classes),
                (imported.sites, &imported.classes)
            );
        }
    }
}

#[test]
fn a_trace_imported_and_replayed_is_the_trace_named_in_a_plan() {
    let files = one("export/a.json", bundle(&CARE));
    let mut text = Vec::new();
    register::write(&files.import(source()).unwrap(), &mut text).unwrap();
    let mut squeezed = source();
    squeezed.insert("day_s".to_owned(), 60.0.into());
    squeezed.insert("idle_s".to_owned(), 5.0.into());
    let direct = files.import(squeezed).unwrap();
    let table = one("a.csv", String::from_utf8(text).unwrap());
    let replayed = table
        .import(toml::toml! { format = "arrivals" path = "a.csv" day_s = 60.0 idle_s = 5.0 })
        .unwrap();
    assert_eq!(direct.arrivals, replayed.arrivals);
    // 6 h are 15 s, in gaps of 5/6 s, 5/12 s, 3.75 s and 10 s; then two weeks, 840 s.
    let last = direct.arrivals.last().unwrap().at.as_s();
    assert!((last - 15.0).abs() < 1e-6, "{last}");
}

#[test]
fn rows_of_the_catalogue_say_what_their_rules_need() {
    let read = |rows: &str| {
        let text = format!("at_s,class,site,key,action,operand\n{rows}");
        register::read(text.as_bytes(), "a.csv", 86_400.0)
    };
    let good = "0,erx.issue,0,rx,erx.issue,2\n";
    assert_eq!(read(good).unwrap().rules, Rules::Hospital);
    let after = |row: &str| format!("{good}{row}");
    for (rows, want) in [
        (
            after("1,erx.refill,0,rx,erx.refill,\n"),
            "line 3, column `action`: `erx.refill`",
        ),
        (
            after("1,fill,0,rx,erx.dispense,\n"),
            "line 3, column `class`: `fill`",
        ),
        (
            after("1,trial.ae,0,x,trial.ae,s\n"),
            "column `action`: `trial.ae`",
        ),
        (after("1,w,0,x,put,\n"), "one table, one ledger"),
        (
            "0,trial.ae,0,x,trial.ae,\n".to_owned(),
            "column `operand`: ``",
        ),
        (
            "0,drug.aggregate,0,x,drug.aggregate,\n".to_owned(),
            "column `operand`: ``",
        ),
        (
            "0,drug.ship,0,x,drug.ship,70000\n".to_owned(),
            "column `operand`: `70000`",
        ),
        (
            "0,erx.issue,0,rx,erx.issue,two\n".to_owned(),
            "column `operand`: `two`",
        ),
    ] {
        let got = read(&rows).unwrap_err().to_string();
        assert!(got.contains(want), "`{want}` is not in: {got}");
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let files = one("export/a.json", bundle(&CARE));
    for (key, value) in [("idle_s", 0.0), ("idle_s", -1.0), ("day_s", 0.0)] {
        let mut settings = source();
        settings.insert(key.to_owned(), value.into());
        let got = files.complaint(settings);
        assert!(got.starts_with(&format!("`{key}` is ")), "{got}");
    }
}

#[test]
fn a_load_has_the_classes_of_its_ledger() {
    let load = Trace::new(goods_of(&[MADE]));
    assert!(
        load.classes()
            .iter()
            .any(|class| class.name == "drug.recall")
    );
}

proptest! {
    /// Whatever becomes of a document, the importers answer with arrivals or an error, and what is read
    /// can be written and read again.
    #[test]
    fn importers_never_panic(
        from in 0_usize..4_000,
        len in 0_usize..40,
        with in "[0-9a-z\":,{}T\\-]{0,12}",
        of_goods in any::<bool>(),
    ) {
        let (name, settings, mut text) = if of_goods {
            let events = [MADE, PACKED, SHIPPED, RECEIVED, UNPACKED, DISPENSED, RECALLED];
            ("g/a.json", goods(), document(&events))
        } else {
            ("export/a.json", source(), bundle(&CARE))
        };
        let from = from.min(text.len());
        let end = (from + len).min(text.len());
        text.replace_range(from..end, &with);
        if let Ok(imported) = one(name, text).import(settings) {
            prop_assert!(imported.arrivals.is_sorted_by_key(|a| a.at));
            let mut text = Vec::new();
            register::write(&imported, &mut text).unwrap();
            let again = register::read(&text[..], "a.csv", 86_400.0).unwrap();
            prop_assert_eq!(again.arrivals.len(), imported.arrivals.len());
        }
    }
}
