//! `quorate schema`: what a plan may hold, as a JSON Schema for editors and validators.
//!
//! The plan's own tables are described by their types. The tables of engines and workloads are described by
//! asking what reads them: which keys it names when it is given one that it does not know, and which values
//! it takes. So whatever the registry has is in the schema, with the defaults that it would use.

use crate::attack::race::RacePlan;
use crate::engines::{self, AnyEngine};
use crate::pair::PairPlan;
use crate::plan::Plan;
use quorate_workloads::WorkloadKind;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// A table whose keys another part of the program knows.
pub(crate) type Table = Map<String, Value>;

/// The file that `quorate init` puts beside a plan, whose first line names it for editors.
pub(crate) const FILE: &str = "plan.schema.json";

/// Any plan that `quorate run` takes.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "a list of types")]
enum AnyPlan {
    Cells(Box<Plan>),
    TwoLedgers(Box<PairPlan>),
    Race(Box<RacePlan>),
}

/// The schema as it is printed.
pub(crate) fn text() -> String {
    let text = serde_json::to_string_pretty(&plan()).expect("text and numbers");
    text + "\n"
}

fn plan() -> Value {
    let generator = SchemaSettings::draft07().into_generator();
    let mut schema = generator.into_root_schema_for::<AnyPlan>().to_value();
    schema["title"] = json!("A plan of quorate");
    let definitions = definitions(&mut schema);
    let engine = definitions.get("EnginePlan").cloned().unwrap_or_default();
    let plan = definitions.get_mut("Plan").expect("it is the first plan");
    plan["properties"]["workload"] =
        described(plan, "workload", json!({"$ref": "#/definitions/Workload"}));
    plan["properties"]["workloads"] = described(
        plan,
        "workloads",
        json!({"type": "array", "items": {"$ref": "#/definitions/WorkloadWithLoad"}}),
    );
    let mut tables = Vec::new();
    let one_of = engines::all().into_iter().map(|e| {
        let name = format!("engine.{}", e.name());
        tables.push((name.clone(), engine_table(e)));
        engine_plan(&engine, e, &name)
    });
    let engines =
        json!({"description": engine["description"], "oneOf": one_of.collect::<Vec<_>>()});
    definitions.insert("EnginePlan".to_owned(), engines);
    definitions.extend(tables);
    let own = load_and_levels(definitions);
    definitions.insert("Workload".to_owned(), workloads(&Map::new()));
    definitions.insert("WorkloadWithLoad".to_owned(), workloads(&own));
    schema
}

fn definitions(schema: &mut Value) -> &mut Map<String, Value> {
    let definitions = schema.get_mut("definitions").and_then(Value::as_object_mut);
    definitions.expect("a schema of several types has definitions")
}

/// Another schema for a property, with its description.
fn described(plan: &Value, key: &str, mut schema: Value) -> Value {
    schema["description"] = plan["properties"][key]["description"].clone();
    if schema.get("$ref").is_some() {
        // In draft 7 nothing beside a reference counts.
        return json!({"description": schema["description"], "allOf": [{"$ref": schema["$ref"]}]});
    }
    schema
}

/// An entry of `[[engines]]` for one engine.
fn engine_plan(entry: &Value, engine: &dyn AnyEngine, table: &str) -> Value {
    let mut entry = entry.clone();
    entry["description"] = json!(engine.doc());
    entry["properties"]["name"] = json!({"const": engine.name(), "description": engine.doc()});
    for key in ["config", "matched"] {
        let about = entry["properties"][key]["description"].clone();
        let reference = format!("#/definitions/{table}");
        entry["properties"][key] = json!({"description": about, "allOf": [{"$ref": reference}]});
    }
    entry
}

/// The settings of an engine.
fn engine_table(engine: &dyn AnyEngine) -> Value {
    let reads = |value: toml::Value| match value {
        toml::Value::Table(table) => engine.reads(&table),
        _ => Err("invalid type".to_owned()),
    };
    let mut table = table(&reads, &engine.defaults(), 0);
    table["description"] = json!(engine.doc());
    let presets = engine.presets();
    if !presets.is_empty() {
        table["properties"]["preset"] = json!({
            "description": "The named set of settings that the other keys override.",
            "enum": presets,
            "default": presets[0],
        });
    }
    table
}

/// Any of the workloads, with further keys of the plan's own.
fn workloads(own: &Map<String, Value>) -> Value {
    let one_of = WorkloadKind::ALL.iter().map(|&kind| {
        let mut workload = workload(kind);
        let label = json!({"type": "string", "description": "Its name in the results, where that is not `name`."});
        let properties = workload["properties"].as_object_mut().expect("a table has properties");
        properties.insert("label".to_owned(), label);
        properties.extend(own.clone());
        workload
    });
    json!({"oneOf": one_of.collect::<Vec<_>>()})
}

/// The keys that an entry of `[[workloads]]` has besides those of its workload.
fn load_and_levels(definitions: &Map<String, Value>) -> Map<String, Value> {
    let plan = &definitions["Plan"]["properties"];
    let mut own = Map::new();
    for key in ["question", "answer", "levels"] {
        own.insert(key.to_owned(), plan[key].clone());
    }
    // What is missing here is that of the plan.
    own.insert("load".to_owned(), plan["load"].clone());
    own
}

fn workload(kind: WorkloadKind) -> Value {
    // A trace knows its keys only where it knows what is traced.
    let reads = |value: toml::Value| match value {
        toml::Value::Table(table) => match kind.parse(table) {
            Ok(_) => Ok(()),
            Err(e) => Err(e.message().to_owned()),
        },
        _ => Err("invalid type".to_owned()),
    };
    let parsed = kind.parse(toml::Table::new()).ok();
    let defaults = parsed
        .and_then(|w| toml::Table::try_from(&w).ok())
        .unwrap_or_default();
    let mut table = table(&reads, &defaults, 0);
    table["description"] = json!(kind.doc());
    table["required"] = json!(["name"]);
    table["properties"]["name"] = json!({"const": kind.name(), "description": kind.doc()});
    if !kind.presets().is_empty() {
        table["properties"]["preset"] = json!({
            "description": "The named set of settings that the other keys override.",
            "enum": kind.presets(),
        });
    }
    table
}

// ---- what a reader takes ------------------------------------------------------------------

/// Whether something reads a value; if not, what it says.
type Reads<'a> = &'a dyn Fn(toml::Value) -> Result<(), String>;

/// No key of any table.
const NOBODY: &str = "\u{1}";

/// Tables in tables in tables are as deep as settings go.
// assumption: the deepest today is two.
const DEEPEST: u32 = 4;

/// The schema of a table that is read like this.
fn table(reads: Reads<'_>, defaults: &toml::Table, depth: u32) -> Value {
    let stranger = toml::Table::from_iter([(NOBODY.to_owned(), toml::Value::Boolean(true))]);
    let complaint = reads(stranger.into()).err().unwrap_or_default();
    let Some(keys) = expected(&complaint, "unknown field") else {
        return json!({"type": "object", "properties": {}});
    };
    let mut properties = Map::new();
    for key in keys {
        let at = |value: toml::Value| {
            let table = toml::Table::from_iter([(key.clone(), value)]);
            reads(table.into())
        };
        let default = defaults.get(&key);
        let mut property = property(&at, default, depth);
        if let Some(default) = default {
            property["default"] = serde_json::to_value(default).unwrap_or_default();
        }
        properties.insert(key, property);
    }
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

/// The names after `expected` in a complaint of this kind.
fn expected(complaint: &str, kind: &str) -> Option<Vec<String>> {
    let (_, rest) = complaint.split_once(kind)?;
    let Some((_, names)) = rest.split_once("expected") else {
        return Some(Vec::new());
    };
    let quoted = names.split('`').skip(1).step_by(2);
    Some(quoted.map(str::to_owned).collect())
}

/// The schema of a value that is read like this.
fn property(reads: Reads<'_>, default: Option<&toml::Value>, depth: u32) -> Value {
    let word = reads(NOBODY.into());
    if let Some(names) = word
        .as_ref()
        .err()
        .and_then(|e| expected(e, "unknown variant"))
    {
        return json!({"enum": names});
    }
    let takes = |value: toml::Value| reads(value).map_or_else(|e| !is_of_type(&e), |()| true);
    let mut types = Vec::new();
    if takes(1.5.into()) {
        types.push("number");
    } else if takes(1.into()) {
        types.push("integer");
    }
    // Of some words only one is taken: that of the default.
    let is_word = default.is_some_and(toml::Value::is_str);
    if is_word || word.map_or_else(|e| !is_of_type(&e), |()| true) {
        types.push("string");
    }
    if takes(true.into()) {
        types.push("boolean");
    }
    let list = takes(toml::Value::Array(Vec::new()));
    let tables = takes(toml::Table::new().into());
    if list {
        types.push("array");
    }
    if tables {
        types.push("object");
    }
    match types.as_slice() {
        // What takes nothing that is tried takes something that was not thought of.
        [] => json!({}),
        ["object"] if depth < DEEPEST => {
            let own = default.and_then(toml::Value::as_table).cloned();
            table(reads, &own.unwrap_or_default(), depth + 1)
        }
        [one] => json!({"type": one}),
        some => json!({"type": some}),
    }
}

/// Whether a complaint is about the type of a value, and not about the value.
fn is_of_type(complaint: &str) -> bool {
    [
        "invalid type",
        "did not match any variant",
        "expected struct",
        "wanted exactly 1 element",
        "invalid value: map",
    ]
    .iter()
    .any(|words| complaint.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Settings {
        count: u32,
        share: Option<f64>,
        way: Way,
        names: Vec<String>,
        inner: Inner,
    }

    #[derive(serde::Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Way {
        ThisWay,
        Other,
    }

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Inner {
        on: bool,
    }

    /// Keys, types, words and tables within are what the type says.
    #[test]
    fn a_reader_tells_what_it_takes() {
        let _ = (Way::ThisWay, Way::Other);
        let reads = |value: toml::Value| {
            let settings: Result<Settings, _> = value.try_into();
            settings
                .map(drop)
                .map_err(|e: toml::de::Error| e.message().to_owned())
        };
        let defaults: toml::Table = toml::from_str("count = 3").expect("a table");
        let schema = table(&reads, &defaults, 0);
        assert_eq!(
            schema,
            json!({
                "type": "object",
                "properties": {
                    "count": {"type": "integer", "default": 3},
                    "share": {"type": "number"},
                    "way": {"enum": ["this-way", "other"]},
                    "names": {"type": "array"},
                    "inner": {
                        "type": "object",
                        "properties": {"on": {"type": "boolean"}},
                        "additionalProperties": false,
                    },
                },
                "additionalProperties": false,
            })
        );
    }
}
