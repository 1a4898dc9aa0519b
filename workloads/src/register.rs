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
//! | `action` | optional: `put` (the default), `update`, `revoke` or `read`, where a class has one kind; or a class of the catalogue, see below |
//! | `operand` | optional: the version that an `update` expects, 0 for a new record |
//! | `bytes` | optional: size on the wire, 300 when empty |
//! | `exec_us` | optional: execution on the reference core in microseconds, 50 when empty |
//!
//! `put` writes the next version whatever the last was: the last write wins. `update` does so only
//! at the expected version. `revoke` ends a record, and is watched until every site has seen it;
//! a later `put` revives it. `read` asks the local view and changes nothing.
//!
//! A row whose `action` is a class of the catalogue, such as `erx.dispense`, is judged by the rules of
//! that class; its `class` is then the same. All rows of a table are judged by one ledger: the
//! register, the hospital's, that of traced goods, or the trial's. The `operand` is what the rule
//! asks for:
//!
//! | action | operand |
//! |---|---|
//! | `erx.issue` | fills allowed |
//! | `erx.dispense` | the fill, from 0 |
//! | `record.amend` | the version that it replaces |
//! | `claim.adjudicate` | 1 approved, 0 denied; 2 more on appeal |
//! | `drug.commission` | the key of the lot, or empty |
//! | `drug.aggregate`, `drug.disaggregate` | the key of what it is packed into |
//! | `drug.ship` | the index of the site that it goes to, or empty |
//! | `trial.*` | the key of the subject |

use crate::items::NONE;
use crate::table::{Column, Table};
use crate::trace::{EXEC_US, Imported, Operand, Rules, per_day};
use crate::{Error, Import, Payload};
use quorate_core::{
    Arrival, Cell, Class, ClassId, EntityId, Kind, Ledger, Span, State, Time, Verdict,
};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};

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
    let rules = rows.rules.unwrap_or(Rules::Register);
    let mut account = Import {
        rows: arrivals.len() as u64,
        ..Import::default()
    };
    let mut sites = 1;
    for arrival in &arrivals {
        account.map("row", rows.classes[arrival.class.index()].name);
        sites = sites.max(u32::from(arrival.site) + 1);
        let other = arrival.operand;
        if rules.operand(arrival.action) == Operand::Site && other != NONE {
            sites = sites.max(other + 1);
        }
    }
    Ok(Imported {
        sites,
        arrivals,
        classes: rows.classes,
        rules,
        account,
    })
}

/// Writes arrivals as a table that [`read`] takes, to the microsecond. Records have numbers for names.
///
/// # Errors
/// Those of `out`.
pub fn write(imported: &Imported, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "at_s,class,site,key,action,operand,bytes,exec_us")?;
    for arrival in &imported.arrivals {
        let class = imported.classes[arrival.class.index()].name;
        let action = match imported.rules {
            Rules::Register => ACTIONS[usize::from(arrival.action)],
            _ => class,
        };
        let us = (arrival.at.ns() + 500) / 1_000;
        write!(out, "{}.{:06},", us / 1_000_000, us % 1_000_000)?;
        write!(
            out,
            "{},{},{},{action},",
            quoted(class),
            arrival.site,
            arrival.key.get()
        )?;
        match imported.rules.operand(arrival.action) {
            Operand::Site | Operand::MaybeRecord if arrival.operand == NONE => {}
            _ => write!(out, "{}", arrival.operand)?,
        }
        writeln!(out, ",{},{}", arrival.bytes, arrival.exec_us)?;
    }
    Ok(())
}

/// A text as a field of CSV.
fn quoted(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\"")).into()
    } else {
        text.into()
    }
}

/// The classes that have rules of their own: these, and their actions.
fn catalogue() -> BTreeMap<&'static str, (Rules, u8)> {
    let of = |rules: Rules| {
        let classes = rules.classes().into_iter().enumerate();
        classes.map(move |(action, class)| (class.name, (rules, action as u8)))
    };
    Rules::CATALOGUE.into_iter().flat_map(of).collect()
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
    /// The ledger that judges the rows so far.
    rules: Option<Rules>,
    /// The classes of the catalogue.
    catalogue: BTreeMap<&'static str, (Rules, u8)>,
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
            rules: None,
            catalogue: catalogue(),
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
        let whole = "a whole number from 0 to 65535";
        let (bytes, exec_us) = (Some(Payload::HASH_BYTES), Some(EXEC_US));
        let (bytes, exec_us) = (
            table.value(self.bytes, bytes, whole)?,
            table.value(self.exec_us, exec_us, whole)?,
        );
        let site = table.value(self.site, None, "a site's index, from 0 to 65535")?;
        let (rules, action) = self.judged()?;
        let arrival = Arrival {
            at: Time::ZERO,
            bytes,
            exec_us,
            site,
            class: match rules {
                Rules::Register => self.class(action)?,
                _ => ClassId(action),
            },
            key: self.entity(self.key)?,
            operand: self.operand(rules.operand(action))?,
            action,
        };
        Ok((at_s, arrival))
    }

    /// The rules and the number of the action; they are the same for all rows.
    fn judged(&mut self) -> Result<(Rules, u8), Error> {
        let text = match self.table.text(self.action) {
            "" => "put",
            text => text,
        };
        let own = ACTIONS.iter().position(|name| *name == text);
        let found = match own {
            Some(action) => Some((Rules::Register, action as u8)),
            None => self.catalogue.get(text).copied(),
        };
        let Some((rules, action)) = found else {
            let hint = "put, update, revoke or read; or a class of the catalogue, such as \
                        consent.grant";
            return Err(self.table.unusable(self.action, hint));
        };
        if rules != Rules::Register && self.table.text(self.class) != text {
            let hint = "a class that is judged by its own rule is named as its action";
            return Err(self.table.unusable(self.class, hint));
        }
        if self.rules.is_some_and(|before| before != rules) {
            let hint = "the rows before are judged by another ledger: one table, one ledger";
            return Err(self.table.unusable(self.action, hint));
        }
        if self.rules.is_none() {
            self.classes = rules.classes();
        }
        self.rules = Some(rules);
        Ok((rules, action))
    }

    fn operand(&mut self, kind: Operand) -> Result<u32, Error> {
        let column = self.operand;
        match kind {
            Operand::MaybeRecord | Operand::Site if self.table.text(column).is_empty() => Ok(NONE),
            Operand::MaybeRecord | Operand::Record => Ok(self.entity(column)?.get()),
            Operand::Site => {
                let hint = "a site's index, from 0 to 65535, or nothing";
                self.table.value::<u16>(column, None, hint).map(u32::from)
            }
            Operand::Number => self.table.value(column, Some(0), "a whole number"),
        }
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

    fn entity(&mut self, column: Column) -> Result<EntityId, Error> {
        let key = self.table.text(column);
        if key.is_empty() {
            return Err(self.table.unusable(column, "a name for the record"));
        }
        if let Some(&id) = self.entities.get(key) {
            return Ok(EntityId::new(id));
        }
        let id = self.entities.len() as u32;
        self.entities.insert(key.to_owned(), id);
        Ok(EntityId::new(id))
    }
}

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
