//! JSON documents, one entry of their list at a time, and errors that say where.

use crate::Error;
use crate::dates::{self, Stamp};
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;
use std::fmt;
use std::io::{BufRead, BufReader, Read};

/// An entry, and where it stands.
pub(crate) struct Node<'a> {
    file: &'a str,
    /// `entry 12` of a document or `line 12` of a file of lines.
    place: (&'static str, u64),
    value: &'a Value,
}

/// An instant, or why there is none that could be used.
pub(crate) type When = Result<Stamp, &'static str>;

impl<'a> Node<'a> {
    /// An object within, such as the resource of an entry.
    pub(crate) fn within(&self, path: &'static str, each: Each<'_>) -> Result<(), Error> {
        match self.value.get(path) {
            Some(value @ Value::Object(_)) => each(&Node { value, ..*self }),
            other => {
                let value = other.map_or_else(String::new, Value::to_string);
                Err(self.unusable(path, &value, "an object"))
            }
        }
    }

    /// What stands at a path such as `item.encounter.reference`; of a list the first.
    pub(crate) fn at(&self, path: &str) -> Option<&'a Value> {
        find(self.value, path)
    }

    /// The text there.
    pub(crate) fn text(&self, path: &'static str) -> Result<Option<&'a str>, Error> {
        match self.at(path) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.unusable(path, &other.to_string(), "a text in quotes")),
        }
    }

    /// The text of a code that need not be there.
    pub(crate) fn code(&self, path: &'static str) -> Result<&'a str, Error> {
        Ok(self.text(path)?.unwrap_or(""))
    }

    /// The instant at the first of the paths where there is one.
    pub(crate) fn when(&self, paths: &[&'static str]) -> Result<When, Error> {
        for &path in paths {
            let Some(text) = self.text(path)? else {
                continue;
            };
            match Stamp::parse(text) {
                Err(dates::UNREADABLE) => {
                    let hint = "a date, or an instant such as 2019-05-31T14:05:06Z";
                    return Err(self.unusable(path, text, hint));
                }
                found => return Ok(found),
            }
        }
        Ok(Err(dates::MISSING))
    }

    /// The texts of a list, such as `epcList`.
    pub(crate) fn texts(&self, path: &'static str) -> Result<Vec<&'a str>, Error> {
        let hint = "a list of texts in quotes";
        let Some(found) = self.value.get(path) else {
            return Ok(Vec::new());
        };
        let wrong = |value: &Value| self.unusable(path, &value.to_string(), hint);
        let list = found.as_array().ok_or_else(|| wrong(found))?;
        list.iter()
            .map(|value| value.as_str().ok_or_else(|| wrong(value)))
            .collect()
    }

    /// The entries of a list within, such as `destinationList`.
    pub(crate) fn each(&self, path: &str) -> impl Iterator<Item = &'a Value> {
        let list = self.value.get(path).and_then(Value::as_array);
        list.into_iter().flatten()
    }

    /// The error for the value at a path.
    pub(crate) fn unusable(&self, field: &'static str, value: &str, hint: &'static str) -> Error {
        // The rest of a large value explains nothing.
        let value = value.chars().take(60).collect();
        Error::Field {
            file: self.file.to_owned(),
            place: format!("{} {}", self.place.0, self.place.1),
            field,
            value,
            hint,
        }
    }
}

/// What stands at a path in a value; of a list the first.
pub(crate) fn find<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let first = |value: &'a Value| match value {
        Value::Array(list) => list.first(),
        other => Some(other),
    };
    path.split('.')
        .try_fold(value, |value, name| first(value)?.get(name))
        .and_then(first)
}

type Each<'a> = &'a mut dyn FnMut(&Node<'_>) -> Result<(), Error>;

/// Reads a file of lines, each a document of its own (NDJSON).
pub(crate) fn lines(input: impl Read, file: &str, each: Each<'_>) -> Result<(), Error> {
    let mut input = BufReader::new(input);
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        let read = input.read_until(b'\n', &mut text);
        let wrong = |why: String| Error::Json {
            file: file.to_owned(),
            place: format!(", line {line},"),
            why,
        };
        if read.map_err(|e| wrong(e.to_string()))? == 0 {
            break;
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        let value =
            serde_json::from_slice(text.trim_ascii()).map_err(|e| wrong(without_line(&e)))?;
        each(&Node {
            file,
            place: ("line", line),
            value: &value,
        })?;
    }
    Ok(())
}

/// The reader's reason without its own count of lines.
fn without_line(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column", ", column")
}

/// Where the list of a document stands.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// The key that says what kind of document it is, and the kinds that are taken.
    pub(crate) kind: (&'static str, &'static [&'static str]),
    /// Keys that lead to the list.
    pub(crate) through: &'static [&'static str],
    /// Its key.
    pub(crate) list: &'static str,
}

/// Reads a document whose entries stand in a list: one is in memory at a time.
pub(crate) fn entries(
    input: impl Read,
    file: &str,
    shape: Shape,
    each: Each<'_>,
) -> Result<(), Error> {
    let mut state = State {
        file,
        shape,
        each,
        kind: None,
        found: false,
        failed: None,
    };
    let mut reader = serde_json::Deserializer::from_reader(BufReader::new(input));
    let read = Walk(&mut state)
        .deserialize(&mut reader)
        .and_then(|()| reader.end());
    if let Some(error) = state.failed {
        return Err(error);
    }
    read.map_err(|e| Error::Json {
        file: file.to_owned(),
        place: String::new(),
        why: e.to_string(),
    })?;
    let kinds = shape.kind.1;
    let kind = state.kind.unwrap_or_default();
    if !kinds.contains(&kind.as_str()) {
        return Err(Error::Document {
            file: file.to_owned(),
            key: shape.kind.0,
            value: kind,
            hint: format!("it should be {}", kinds.join(" or ")),
        });
    }
    if !state.found {
        return Err(Error::Document {
            file: file.to_owned(),
            key: shape.list,
            value: String::new(),
            hint: format!(
                "a {} has its content in the list `{}`",
                kinds[0], shape.list
            ),
        });
    }
    Ok(())
}

struct State<'a> {
    file: &'a str,
    shape: Shape,
    each: Each<'a>,
    kind: Option<String>,
    found: bool,
    failed: Option<Error>,
}

/// An object on the way to the list.
struct Walk<'a, 'b>(&'a mut State<'b>);

impl<'de> DeserializeSeed<'de> for Walk<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let shape = self.0.shape;
            if key == shape.list {
                self.0.found = true;
                map.next_value_seed(List(&mut *self.0))?;
            } else if shape.through.contains(&key.as_str()) {
                map.next_value_seed(Walk(&mut *self.0))?;
            } else if key == shape.kind.0 {
                // The outermost says it.
                let kind = map.next_value::<Value>()?;
                let kind = kind.as_str().unwrap_or_default().to_owned();
                self.0.kind.get_or_insert(kind);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// The list itself.
struct List<'a, 'b>(&'a mut State<'b>);

impl<'de> DeserializeSeed<'de> for List<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list under `{}`", self.0.shape.list)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut entry = 0;
        while let Some(value) = list.next_element::<Value>()? {
            entry += 1;
            let node = Node {
                file: self.0.file,
                place: ("entry", entry),
                value: &value,
            };
            if let Err(error) = (self.0.each)(&node) {
                self.0.failed = Some(error);
                return Err(A::Error::custom("an entry is unusable"));
            }
        }
        Ok(())
    }
}
