//! EPCIS 2.0 documents (JSON-LD) as arrivals: what their events say of goods becomes transactions of the
//! ledger of traced goods ([`crate::items`]).
//!
//! An event about n items is n transactions, because a transaction changes one record. Each is judged by
//! the step, by the name with or without its vocabulary:
//!
//! | event | step (`bizStep`) or `disposition` | transaction on each item |
//! |---|---|---|
//! | any, observed | disposition `recalled` | `drug.recall`; also on lots (LGTIN) |
//! | `ObjectEvent`, output of a `TransformationEvent` | `commissioning` | `drug.commission`, of the lot in `ilmd` |
//! | `AggregationEvent` ADD | any | `drug.aggregate` of each child into the parent |
//! | `AggregationEvent` DELETE | any | `drug.disaggregate` |
//! | observed | `shipping`, `departing` | `drug.ship` to the first destination |
//! | observed | `receiving`, `arriving`, `accepting` | `drug.receive`, or `drug.return` with disposition `returned` |
//! | observed | `inspecting` | `drug.verify` |
//! | observed | `dispensing`, `retail_selling`, `decommissioning`, `destroying` | `drug.dispense` |
//! | observed | `holding` with disposition `non_sellable_other`, `stolen`, `unknown`, `mismatch_instance` | `drug.suspect` |
//!
//! An `AggregationEvent` that only observes is one about its parent. Who submits is the party that runs the
//! place: the company of a GLN as URN, the whole GLN of a Digital Link. Times are `eventTime`; what
//! is dated before its item was commissioned moves there. Events that an error declaration withdraws
//! are left out.

use crate::arrivals::named;
use crate::care::digest;
use crate::items::{Action, NONE};
use crate::json::{self, Node, Shape};
use crate::trace::{Dated, Imported, Open, Rules, files, in_order, input};
use crate::{Error, Import, Payload};
use quorate_core::EntityId;
use serde_json::Value;
use std::collections::BTreeMap;

const DOCUMENT: Shape = Shape {
    kind: ("type", &["EPCISDocument", "EPCISQueryDocument"]),
    through: &["epcisBody", "queryResults", "resultsBody"],
    list: "eventList",
};

// source: EPCIS 2.0 ObjectEvents in minified JSON, constructed: 330 + 49 n bytes for n serialised
// identifiers.
const FULL_BYTES: u16 = 379;

/// Reads documents.
///
/// # Errors
/// When there is no such file, or one is malformed: with file, place and field.
pub fn read(path: &str, day_s: f64, payload: Payload, open: Open<'_>) -> Result<Imported, Error> {
    let mut reading = Reading {
        file: path.to_owned(),
        items: BTreeMap::new(),
        sites: BTreeMap::new(),
        dated: Vec::new(),
        bytes: payload.bytes(FULL_BYTES),
        account: Import::default(),
    };
    for file in files(open, path, &[".jsonld", ".json"])? {
        let input = input(open, &file)?;
        json::entries(input, &file, DOCUMENT, &mut |node| reading.event(node))?;
    }
    if reading.dated.is_empty() {
        let (rows, skipped) = (reading.account.rows, reading.account.skipped());
        let hint = format!("{rows} events, skipped: {skipped:?}");
        let file = reading.file;
        return Err(Error::Empty { file, hint });
    }
    reading.causes();
    let note = "time of day as in the source: what devices scanned";
    reading.account.notes.push(note.to_owned());
    in_order(reading.dated, Rules::Goods, day_s, reading.account)
}

struct Reading {
    file: String,
    /// Numbers of items and lots, and of parties, by the hash of their names.
    items: BTreeMap<(u64, u64), u32>,
    sites: BTreeMap<u64, u16>,
    dated: Vec<Dated>,
    bytes: u16,
    account: Import,
}

/// A name without its vocabulary: `shipping` of `urn:epcglobal:cbv:bizstep:shipping` and of
/// `https://ref.gs1.org/cbv/BizStep-shipping`.
fn bare(name: &str) -> &str {
    let last = name.rsplit([':', '/']).next().unwrap_or("");
    let known = ["BizStep-", "Disp-"];
    known
        .iter()
        .find_map(|prefix| last.strip_prefix(prefix))
        .unwrap_or(last)
}

/// Who runs a place.
fn party(place: &str) -> &str {
    for kind in ["urn:epc:id:sgln:", "urn:epc:id:pgln:"] {
        if let Some(numbers) = place.strip_prefix(kind) {
            return numbers.split('.').next().unwrap_or("");
        }
    }
    // `…/414/0614141073467`, and an extension behind `/254/`.
    let after = |key: &str| place.split_once(key)?.1.split('/').next();
    after("/414/").or_else(|| after("/417/")).unwrap_or(place)
}

/// The class of a serialised item, which its lot belongs to: `0614141.107346` of
/// `urn:epc:id:sgtin:0614141.107346.2017`.
fn product(item: &str) -> &str {
    if let Some(numbers) = item.strip_prefix("urn:epc:id:sgtin:") {
        return numbers
            .rsplit_once('.')
            .map_or(numbers, |(product, _)| product);
    }
    item.split_once("/01/")
        .and_then(|(_, rest)| rest.split('/').next())
        .unwrap_or(item)
}

/// A lot as a class of goods, such as `urn:epc:class:lgtin:4012345.012345.998877`.
fn lot_of_class(class: &str) -> Option<String> {
    if let Some(numbers) = class.strip_prefix("urn:epc:class:lgtin:") {
        let (product, lot) = numbers.rsplit_once('.')?;
        return Some(lot_name(product, lot));
    }
    let (_, rest) = class.split_once("/01/")?;
    let (product, lot) = rest.split_once("/10/")?;
    Some(lot_name(product, lot))
}

fn lot_name(product: &str, lot: &str) -> String {
    format!("lot {product} {lot}")
}

impl Reading {
    fn item(&mut self, name: &str) -> u32 {
        let next = self.items.len() as u32;
        *self.items.entry(digest(name)).or_insert(next)
    }

    fn site(&mut self, place: &str) -> Result<u16, Error> {
        let next = self.sites.len();
        if next > usize::from(u16::MAX) {
            return Err(Error::TooMany {
                file: self.file.clone(),
                what: "parties",
                most: u64::from(u16::MAX) + 1,
            });
        }
        Ok(*self.sites.entry(named(party(place))).or_insert(next as u16))
    }

    fn event(&mut self, node: &Node<'_>) -> Result<(), Error> {
        self.account.rows += 1;
        let kind = match node.code("type")? {
            "" => node.code("isA")?,
            kind => kind,
        };
        let why = match kind {
            _ if node.at("errorDeclaration").is_some() => Some("withdrawn by an error declaration"),
            "ObjectEvent" | "AggregationEvent" | "TransformationEvent" => self.goods(node, kind)?,
            "TransactionEvent" => Some("about a business document, no goods move"),
            "AssociationEvent" => Some("about a device on goods, no goods move"),
            "" => return Err(node.unusable("type", "", "the event's type, such as ObjectEvent")),
            _ => Some("an event of another standard"),
        };
        if let Some(why) = why {
            let kind = if kind.is_empty() { "event" } else { kind };
            self.account.leave(kind, why);
        }
        Ok(())
    }

    /// An event about goods, or why it is left out.
    fn goods(&mut self, node: &Node<'_>, kind: &str) -> Result<Option<&'static str>, Error> {
        let from = match kind {
            "ObjectEvent" => "ObjectEvent",
            "AggregationEvent" => "AggregationEvent",
            _ => "TransformationEvent",
        };
        let Ok(at) = node.when(&["eventTime"])? else {
            let hint = "an instant such as 2019-05-31T14:05:06Z";
            return Err(node.unusable("eventTime", "", hint));
        };
        let Some(place) = node.text("bizLocation.id")?.or(node.text("readPoint.id")?) else {
            return Ok(Some("it names no place"));
        };
        let adds = node.code("action")?;
        let parent = node.text("parentID")?;
        let items = match (from, adds) {
            ("TransformationEvent", _) => node.texts("outputEPCList")?,
            ("AggregationEvent", "ADD" | "DELETE") => node.texts("childEPCs")?,
            ("AggregationEvent", _) => parent.into_iter().collect(),
            _ => node.texts("epcList")?,
        };
        let action = match (from, adds, parent) {
            ("TransformationEvent", ..) => Action::Commission,
            ("AggregationEvent", "ADD" | "DELETE", None) => {
                return Ok(Some("a packing without its parent"));
            }
            ("AggregationEvent", "ADD", _) => Action::Aggregate,
            ("AggregationEvent", "DELETE", _) => Action::Disaggregate,
            _ => match step(node)? {
                Some(action) => action,
                None => return Ok(Some("a step without a transaction of the catalogue")),
            },
        };
        let lots: Vec<String> = match action {
            Action::Recall => node
                .each("quantityList")
                .filter_map(|q| lot_of_class(q.get("epcClass")?.as_str()?))
                .collect(),
            _ => Vec::new(),
        };
        if items.is_empty() && lots.is_empty() {
            return Ok(Some("quantities without serial numbers"));
        }
        let site = self.site(place)?;
        let whole = match action {
            Action::Ship => destination(node)
                .map(|to| self.site(to))
                .transpose()?
                .map(u32::from),
            Action::Aggregate | Action::Disaggregate => parent.map(|parent| self.item(parent)),
            _ => None,
        };
        let batch = lot_in(node);
        for item in items.into_iter().chain(lots.iter().map(String::as_str)) {
            let lot = batch.filter(|_| action == Action::Commission);
            let lot = lot.map(|lot| self.item(&lot_name(product(item), lot)));
            let seq = self.dated.len() as u32;
            let mut dated = Dated::new(at.ms, seq, action as u8, self.bytes);
            dated.arrival.site = site;
            dated.arrival.key = EntityId::new(self.item(item));
            dated.arrival.operand = match action {
                Action::Commission => lot.unwrap_or(NONE),
                Action::Ship | Action::Aggregate | Action::Disaggregate => whole.unwrap_or(NONE),
                _ => 0,
            };
            self.dated.push(dated);
            self.account.map(from, action.class().0);
        }
        Ok(None)
    }

    /// Nothing happens to an item before it was made.
    fn causes(&mut self) {
        let mut made: BTreeMap<u32, i64> = BTreeMap::new();
        for d in &self.dated {
            if d.arrival.action == Action::Commission as u8 {
                made.insert(d.arrival.key.get(), d.ms);
            }
        }
        let mut moved = 0_u64;
        for d in &mut self.dated {
            let Some(&made) = made.get(&d.arrival.key.get()) else {
                continue;
            };
            if d.ms < made {
                d.ms = made;
                moved += 1;
            }
            d.rank = u8::from(d.arrival.action != Action::Commission as u8);
        }
        if moved > 0 {
            let note = format!("{moved} transactions moved to when their item was commissioned");
            self.account.notes.push(note);
        }
    }
}

/// What the step of an event that observes goods comes to.
fn step(node: &Node<'_>) -> Result<Option<Action>, Error> {
    let disposition = bare(node.code("disposition")?);
    let lasting = json_texts(node, "persistentDisposition.set");
    if disposition == "recalled" || lasting.iter().any(|d| bare(d) == "recalled") {
        return Ok(Some(Action::Recall));
    }
    Ok(match (bare(node.code("bizStep")?), disposition) {
        ("commissioning", _) => Some(Action::Commission),
        ("shipping" | "departing", _) => Some(Action::Ship),
        ("receiving" | "arriving" | "accepting", "returned") => Some(Action::Return),
        ("receiving" | "arriving" | "accepting", _) => Some(Action::Receive),
        ("inspecting", _) => Some(Action::Verify),
        ("dispensing" | "retail_selling" | "decommissioning" | "destroying", _) => {
            Some(Action::Dispense)
        }
        ("holding", "non_sellable_other" | "stolen" | "unknown" | "mismatch_instance") => {
            Some(Action::Suspect)
        }
        _ => None,
    })
}

/// The texts of a list at a path, none where it is something else.
fn json_texts<'a>(node: &Node<'a>, path: &str) -> Vec<&'a str> {
    let Some((outer, inner)) = path.split_once('.') else {
        return Vec::new();
    };
    let list = node
        .at(outer)
        .and_then(|value| value.get(inner)?.as_array());
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// Where a shipment goes: a place rather than an owner.
fn destination<'a>(node: &Node<'a>) -> Option<&'a str> {
    let of = |kind: &str| {
        node.each("destinationList")
            .find(|d| {
                d.get("type")
                    .and_then(Value::as_str)
                    .is_some_and(|t| bare(t) == kind)
            })
            .and_then(|d| d.get("destination")?.as_str())
    };
    of("location")
        .or_else(|| of("possessing_party"))
        .or_else(|| of("owning_party"))
}

/// The lot that an event's master data name, whatever their prefix.
fn lot_in<'a>(node: &Node<'a>) -> Option<&'a str> {
    let Some(Value::Object(data)) = node.at("ilmd") else {
        return None;
    };
    let named =
        |key: &str| ["lotNumber", "batch", "lot"].contains(&key.rsplit(':').next().unwrap_or(key));
    data.iter()
        .find(|(key, _)| named(key))
        .and_then(|(_, lot)| lot.as_str())
}
