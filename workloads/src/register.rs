//! Arrivals from a plain table, `arrivals.csv`, and the register of versions that they change.
//!
//! One row is one arrival. Columns go by name, in any order; others are ignored.
//!
//! | column | |
//! |---|---|
//! | `at_s` | seconds, at least 0, in any order; the earliest becomes the start of the run |
//! | `class` | name in results; at most 255 |
//! | `site` | index of the submitting site, from 0 |
//! | `key` | any text: the record that it changes, and its conflict key |
//! | `action` | optional: `put` (the default), `update`, `revoke` or `read`; a class has one kind |
//! | `operand` | optional: the version that an `update` expects, 0 for a new record |
//! | `bytes` | optional: size on the wire, 300 when empty |
//! | `exec_us` | optional: execution on the reference core in microseconds, 50 when empty |
//!
//! `put` writes the next version whatever the last was: the last write wins. `update` does so only
//! at the expected version. `revoke` ends a record, and is watched until every site has seen it;
//! a later `put` revives it. `read` asks the local view and changes nothing.

use crate::table::{Column, Table};
use crate::trace::{Imported, per_day};
use crate::{Error, Import, Payload};
use quorate_core::{
    Arrival, Cell, Class, ClassId, EntityId, Kind, Ledger, Span, State, Time, Verdict,
};
use std::collections::BTreeMap;
use std::io::Read;

const PUT: u8 = 0;
const UPDATE: u8 = 1;
const REVOKE: u8 = 2;
const READ: u8 = 3;
const ACTIONS: [&str; 4] = ["put", "update", "revoke", "read"];

/// Reads `arrivals.csv`. A day of the table takes `day_s` simulated seconds.
///
/// # Errors
/// On the first value that cannot be used, with file, line and column; and when there is no row.
pub fn read(input: impl Read, name: &str, day_s: f64) -> Result<Imported, Error> {
    let mut rows = Rows::new(Table::new(name.to_owned(), input)?)?;
    let mut timed: Vec<(f64, Arrival)> = Vec::new();
    while rows.table.advance()? {
        timed.push(rows.row()?);
    }
    let Some(first) = timed.iter().map(|row| row.0).min_by(f64::total_cmp) else {
        let hint = "it has a header but no row".to_owned();
        return Err(Error::Empty {
            file: name.to_owned(),
            hint,
        });
    };
    let scale = per_day(day_s)?;
    for (at_s, arrival) in &mut timed {
        arrival.at = Time::ZERO + Span::from_s_f64((*at_s - first) * scale);
    }
    let mut arrivals: Vec<Arrival> = timed.into_iter().map(|(_, arrival)| arrival).collect();
    // Stable: rows of the same time keep their order.
    arrivals.sort_by_key(|arrival| arrival.at);
    let n = arrivals.len() as u64;
    Ok(Imported {
        sites: arrivals
            .iter()
            .map(|a| u32::from(a.site) + 1)
            .max()
            .unwrap_or(1),
        arrivals,
        classes: rows.classes,
        account: Import {
            rows: n,
            arrivals: n,
            skipped: BTreeMap::new(),
        },
    })
}

/// The columns, and the names met so far.
struct Rows<R> {
    table: Table<R>,
    at_s: Column,
    class: Column,
    site: Column,
    key: Column,
    action: Column,
    operand: Column,
    bytes: Column,
    exec_us: Column,
    classes: Vec<Class>,
    entities: BTreeMap<String, u32>,
}

impl<R: Read> Rows<R> {
    fn new(table: Table<R>) -> Result<Self, Error> {
        Ok(Self {
            at_s: table.required("at_s")?,
            class: table.required("class")?,
            site: table.required("site")?,
            key: table.required("key")?,
            action: table.optional("action"),
            operand: table.optional("operand"),
            bytes: table.optional("bytes"),
            exec_us: table.optional("exec_us"),
            table,
            classes: Vec::new(),
            entities: BTreeMap::new(),
        })
    }

    /// The time and the arrival of the present row.
    fn row(&mut self) -> Result<(f64, Arrival), Error> {
        let table = &self.table;
        let at_s: f64 = table.value(self.at_s, None, "seconds, such as 12.5")?;
        if !(0.0..=1e11).contains(&at_s) {
            return Err(table.unusable(self.at_s, "seconds of at least 0"));
        }
        let action = match table.text(self.action) {
            "" => PUT,
            text => match ACTIONS.iter().position(|name| *name == text) {
                Some(action) => action as u8,
                None => return Err(table.unusable(self.action, "put, update, revoke or read")),
            },
        };
        let whole = "a whole number from 0 to 65535";
        let (bytes, exec_us) = (Some(Payload::HASH_BYTES), Some(EXEC_US));
        let arrival = Arrival {
            at: Time::ZERO,
            operand: table.value(self.operand, Some(0), "a whole number, the version")?,
            bytes: table.value(self.bytes, bytes, whole)?,
            exec_us: table.value(self.exec_us, exec_us, whole)?,
            site: table.value(self.site, None, "a site's index, from 0 to 65535")?,
            class: self.class(action)?,
            key: self.entity()?,
            action,
        };
        Ok((at_s, arrival))
    }

    fn class(&mut self, action: u8) -> Result<ClassId, Error> {
        let name = self.table.text(self.class);
        let kind = match action {
            READ => Kind::Read,
            REVOKE => Kind::WatchedWrite,
            _ => Kind::Write,
        };
        if let Some(at) = self.classes.iter().position(|class| class.name == name) {
            if self.classes[at].kind == kind {
                return Ok(ClassId(at as u8));
            }
            let hint = "its rows before are of another kind: name reads, revocations and other \
                        writes apart";
            return Err(self.table.unusable(self.class, hint));
        }
        if name.is_empty() || self.classes.len() == 255 {
            return Err(self
                .table
                .unusable(self.class, "a name; at most 255 different ones"));
        }
        // The contract's names live as long as the program; a table has few of them.
        let name = String::leak(name.to_owned());
        self.classes.push(Class {
            name,
            kind,
            expiry: None,
            tells: "",
        });
        Ok(ClassId(self.classes.len() as u8 - 1))
    }

    fn entity(&mut self) -> Result<EntityId, Error> {
        let key = self.table.text(self.key);
        if key.is_empty() {
            return Err(self.table.unusable(self.key, "a name for the record"));
        }
        if let Some(&id) = self.entities.get(key) {
            return Ok(EntityId::new(id));
        }
        let id = self.entities.len() as u32;
        self.entities.insert(key.to_owned(), id);
        Ok(EntityId::new(id))
    }
}

// assumption: as for the hospital workload.
const EXEC_US: u16 = 50;

const PRESENT: Cell = 1 << 32;
const STALE: u8 = 0;
const NOTHING: u8 = 1;

/// The ledger of plain tables. A record is its version (32 bits) and whether it is present (1 bit).
#[derive(Clone, Copy, Debug, Default)]
pub struct Register;

impl Ledger for Register {
    fn reasons(&self) -> &[&'static str] {
        &["version changed meanwhile", "nothing to revoke"]
    }

    fn preload(&self, _entity: EntityId) -> Cell {
        0
    }

    fn preloaded(&self) -> u32 {
        0
    }

    fn apply(&self, tx: &Arrival, _now: Time, state: &mut dyn State) -> Verdict {
        let cell = state.get(tx.key);
        let version = cell as u32;
        match tx.action {
            READ => return Verdict::Valid,
            UPDATE if version != tx.operand => return Verdict::Rejected(STALE),
            REVOKE if cell & PRESENT == 0 => return Verdict::Rejected(NOTHING),
            _ => {}
        }
        let present = if tx.action == REVOKE { 0 } else { PRESENT };
        state.set(tx.key, present | Cell::from(version.wrapping_add(1)));
        Verdict::Valid
    }

    fn allows(&self, cell: Cell, _now: Time) -> bool {
        cell & PRESENT != 0
    }
}
