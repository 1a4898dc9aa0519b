//! A finished unit as bytes and back, exactly.

use crate::unit::{Done, Key, Tweak, UnitStatus};
use quorate_kernel::Report;
use serde::{Deserialize, Serialize};

/// Which unit of a study; in the order of parts, engines and loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Id {
    /// Place of its part in the study.
    pub part: u32,
    engine: u32,
    /// The bits of a positive number, which order as it does.
    offered_tps: Option<u64>,
    tweak: Tweak,
    replication: u32,
}

impl Id {
    /// The unit with this key of a part.
    pub fn new(part: usize, key: Key) -> Self {
        Self {
            part: part as u32,
            engine: key.engine as u32,
            offered_tps: key.offered_tps.map(f64::to_bits),
            tweak: key.tweak,
            replication: key.replication,
        }
    }

    /// Its key in its part.
    pub fn key(self) -> Key {
        Key {
            engine: self.engine as usize,
            offered_tps: self.offered_tps.map(f64::from_bits),
            replication: self.replication,
            tweak: self.tweak,
        }
    }
}

/// What is stored of a unit. Latencies of all classes together follow from the report.
#[derive(Serialize)]
struct Written<'a>(Id, UnitStatus, u64, &'a Report);

#[derive(Deserialize)]
struct Read(Id, UnitStatus, u64, Report);

/// The bytes of a finished unit of a part.
pub fn encode(part: usize, done: &Done) -> Vec<u8> {
    let id = Id::new(part, done.key);
    let written = Written(id, done.status, done.cut_slices as u64, &done.report);
    postcard::to_allocvec(&written).expect("memory takes all that a report holds")
}

/// The unit that bytes are of; `None` where they are no unit's.
pub fn id(bytes: &[u8]) -> Option<Id> {
    postcard::take_from_bytes(bytes).ok().map(|(id, _)| id)
}

/// What [`encode`] was given; `None` where the bytes are nothing that it makes.
pub fn decode(bytes: &[u8]) -> Option<(Id, Done)> {
    let (read, rest) = postcard::take_from_bytes::<Read>(bytes).ok()?;
    let Read(id, status, cut_slices, report) = read;
    let done = Done::read(id.key(), status, cut_slices as usize, report)?;
    rest.is_empty().then_some((id, done))
}
