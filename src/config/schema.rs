//! The JSON schema of the configuration, generated from the parts' own settings.

use std::sync::LazyLock;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::transform_subschemas;
use serde_json::Value;

use super::path::{KeyPath, Step};

/// The schema: draft 2020-12, without references, and without nulls, which TOML does not have.
pub fn schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(generate);
    &SCHEMA
}

fn generate() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|s| {
        s.inline_subschemas = true;
        s.transforms.push(Box::new(as_toml));
    });
    let mut schema = settings.into_generator().into_root_schema_for::<super::Config>();
    schema.insert("title".to_owned(), "Configuration of Visor".into());
    schema.to_value()
}

/// Takes out what an `Option` adds, and rounds defaults that were written as 32-bit floats.
fn as_toml(schema: &mut Schema) {
    transform_subschemas(&mut as_toml, schema);
    let Some(object) = schema.as_object_mut() else { return };
    let is_null = |value: &Value| value.is_null() || value == "null" || value["type"] == "null";
    for keyword in ["anyOf", "enum", "type"] {
        if let Some(Value::Array(choices)) = object.get_mut(keyword) {
            choices.retain(|choice| !is_null(choice));
        }
    }
    if let Some(Value::Array(types)) = object.get_mut("type")
        && types.len() == 1
    {
        object["type"] = types.remove(0);
    }
    if let Some(Value::Array(choices)) = object.get_mut("anyOf")
        && choices.len() == 1
        && let Value::Object(only) = choices.remove(0)
    {
        object.remove("anyOf");
        for (keyword, value) in only {
            object.entry(keyword).or_insert(value);
        }
    }
    // A table's default is that of its keys, each of which says its own.
    if object.get("default").is_some_and(|default| default.is_null() || default.is_object()) {
        object.remove("default");
    }
    round_default(object);
}

/// `0.6_f32` must not read as 0.6000000238418579.
fn round_default(object: &mut serde_json::Map<String, Value>) {
    let single = object.get("format").is_some_and(|f| f == "float");
    if let Some(default) = object.get_mut("default")
        && single
        && let Some(shortest) = default.as_f64().and_then(|n| (n as f32).to_string().parse::<f64>().ok())
    {
        *default = shortest.into();
    }
}

/// The part of `schema` that governs the key at `path`.
pub(super) fn at<'a>(schema: &'a Value, path: &KeyPath) -> Option<&'a Value> {
    path.steps().iter().try_fold(schema, |here, step| match step {
        Step::Key(key) => here.get("properties").and_then(|p| p.get(key)).or_else(|| here.get("additionalProperties")),
        Step::Index(index) => here.get("prefixItems").and_then(|p| p.get(index)).or_else(|| here.get("items")),
    })
}

/// The keys that a table governed by `schema` may have.
pub(super) fn keys(schema: &Value) -> impl Iterator<Item = &str> {
    schema.get("properties").and_then(Value::as_object).into_iter().flat_map(|p| p.keys()).map(String::as_str)
}
