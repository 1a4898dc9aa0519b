//! An import keeps numbers, not rows: its memory grows with arrivals and identifiers only.

use allocation_counter::measure;
use quorate_core::Seed;
use quorate_workloads::trace::Config;
use std::io::{self, Read};

/// Lines that are made when they are read.
struct Lines {
    line: fn(u64) -> String,
    next: u64,
    n: u64,
    rest: io::Cursor<Vec<u8>>,
}

impl Lines {
    fn open(n: u64, line: fn(u64) -> String) -> Box<dyn Read> {
        Box::new(Self {
            line,
            next: 0,
            n,
            rest: io::Cursor::default(),
        })
    }
}

impl Read for Lines {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.rest.read(into)?;
        if read > 0 || self.next == self.n {
            return Ok(read);
        }
        self.rest = io::Cursor::new((self.line)(self.next).into_bytes());
        self.next += 1;
        self.rest.read(into)
    }
}

/// A report of a kilobyte, most of which nobody needs; before them a patient and an encounter.
fn resource(n: u64) -> String {
    let text = "x".repeat(700);
    let about = "\"subject\":{\"reference\":\"Patient/p\"}";
    match n {
        0 => format!(
            "{{\"resourceType\":\"Encounter\",\"id\":\"e\",{about},\"period\":{{\"start\":\"2019-05-06T10:00:00Z\"}}}}\n"
        ),
        _ => format!(
            "{{\"resourceType\":\"DiagnosticReport\",\"id\":\"00000000-0000-0000-0000-{n:012}\",\
             \"status\":\"final\",{about},\"encounter\":{{\"reference\":\"Encounter/e\"}},\
             \"issued\":\"2019-05-06T{:02}:{:02}:00Z\",\"text\":{{\"div\":\"{text}\"}}}}\n",
            10 + n / 60 % 12,
            n % 60
        ),
    }
}

fn row(n: u64) -> String {
    match n {
        0 => "at_s,class,site,key,note\n".to_owned(),
        _ => format!(
            "{n}.5,w,{},a record named {n},{}\n",
            n % 40,
            "x".repeat(900)
        ),
    }
}

/// Most bytes in use at a time for each of `n` rows, beyond what few rows need.
fn bytes_a_row(format: &str, path: &str, line: fn(u64) -> String) -> f64 {
    let mut settings = toml::Table::new();
    settings.insert("format".to_owned(), format.into());
    settings.insert("path".to_owned(), path.into());
    let config: Config = settings.try_into().unwrap();
    let peak = |n: u64| {
        let used = measure(|| {
            let mut open = |_: &str| Ok(Lines::open(n, line));
            let imported = config.import(Seed::new(1, 0), &mut open).unwrap();
            assert!(imported.arrivals.len() as u64 >= n - 1);
        });
        used.bytes_max
    };
    let (few, many) = (1_000, 33_000);
    (peak(many) - peak(few)) as f64 / (many - few) as f64
}

/// A resource of a kilobyte takes a fifth of it, at the worst instant: its number by a hash of 16 bytes, and
/// its row before, while and after it is put in order.
#[test]
fn a_bulk_export_takes_two_hundred_bytes_a_resource() {
    let bytes = bytes_a_row("fhir", "a.ndjson", resource);
    assert!((50.0..250.0).contains(&bytes), "{bytes}");
}

/// Its records keep their names until it is read.
#[test]
fn a_table_of_arrivals_takes_two_hundred_bytes_a_row() {
    let bytes = bytes_a_row("arrivals", "a.csv", row);
    assert!((50.0..250.0).contains(&bytes), "{bytes}");
}
