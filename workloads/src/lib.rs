//! Workloads: what arrives at the ledger of a healthcare network, and the rules of that ledger.
//!
//! A workload is a pure generator of arrivals ([`quorate_core::Load`]) with the rules that judge
//! them ([`quorate_core::Ledger`]). It knows no engine. One file and one line in [`registry`] make
//! a new one available by name. Nothing here opens a file: importers take [`std::io::Read`].

pub mod arrivals;
pub mod care;
pub mod custody;
pub mod epcis;
pub mod fhir;
pub mod hospital;
pub mod items;
pub mod pharma;
pub mod register;
pub mod registry;
pub mod rules;
pub mod sdtm;
pub mod study;
pub mod synthea;
pub mod trace;
pub mod trial;

mod dates;
mod error;
mod field;
mod json;
mod lookback;
mod payload;
mod skew;
mod table;

pub use arrivals::{Profile, Rate, Shape, Weekday};
pub use error::Error;
pub use payload::{Growth, Payload};
pub use registry::{Built, Import, Setup, Spec, Workload, WorkloadKind};
