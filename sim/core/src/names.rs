//! Names that programs hold as constants, read back from bytes.
//!
//! A report names its messages and measures by constants. Read back, each name is kept once for the rest
//! of the process: there are a few hundred in all.

use serde::{Deserialize, Deserializer};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// A constant. (Written out, `serde` would ask for bytes that live as long.)
pub type Name = &'static str;

/// The one copy of a name.
pub fn kept(text: &str) -> Name {
    static ALL: Mutex<BTreeSet<Name>> = Mutex::new(BTreeSet::new());
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(name) = all.get(text) {
        return name;
    }
    let name: Name = Box::leak(Box::from(text));
    all.insert(name);
    name
}

/// Reads a name.
///
/// # Errors
/// What the format refuses.
pub fn one<'de, D: Deserializer<'de>>(from: D) -> Result<Name, D::Error> {
    String::deserialize(from).map(|text| kept(&text))
}

/// Reads a list of names.
///
/// # Errors
/// What the format refuses.
pub fn list<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Name>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    Ok(texts.iter().map(|text| kept(text)).collect())
}

/// Reads a list of names with something to each.
///
/// # Errors
/// What the format refuses.
pub fn pairs<'de, D, T>(from: D) -> Result<Vec<(Name, T)>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let pairs = Vec::<(String, T)>::deserialize(from)?;
    let name = |(text, with): (String, T)| (kept(&text), with);
    Ok(pairs.into_iter().map(name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once() {
        let text = String::from("prepare");
        let first = kept(&text);
        assert_eq!(first, "prepare");
        assert!(std::ptr::eq(first, kept("prepare")));
        assert_ne!(first, kept("commit"));
    }
}
