//! The files in `config/`: the annotated default, the examples, the generated schema.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

fn annotated() -> String {
    std::fs::read_to_string(folder().join("visor.toml")).unwrap()
}

/// The annotated default with some of its commented lines in force; the rest stays a comment.
fn in_force(choose: impl Fn(&str) -> Option<&str>) -> Document {
    let text: String = annotated().lines().map(|line| format!("{}\n", choose(line).unwrap_or(line))).collect();
    Document::parse(&text).unwrap_or_else(|problems| panic!("{problems:?} in\n{text}"))
}

fn is_setting(text: &&str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase() || c == '[')
}

#[test]
fn the_annotated_default_changes_nothing() {
    let annotated = resolve_text(&annotated(), &[]).unwrap();
    assert_eq!(annotated, resolve_text("", &[]).unwrap());
}

#[test]
fn the_annotated_defaults_are_those_of_the_code() {
    let document = in_force(|line| {
        let default = line.strip_prefix('#').filter(is_setting);
        let needed =
            line.strip_prefix("##").filter(|l| l.starts_with("uri") || l.starts_with('[') && !l.starts_with("[["));
        default.or(needed)
    });
    let uri = &document.value["cameras"]["front"]["uri"];
    let code = serde_json::json!({ "mqtt": {}, "cameras": { "front": { "uri": uri, "mask": {}, "restream": {} } } });
    let code = serde_json::to_value(read(code).unwrap()).unwrap();
    assert_eq!(serde_json::to_value(read(document.value).unwrap()).unwrap(), code);
}

#[test]
fn the_annotated_default_names_every_key() {
    let mut document = in_force(|line| {
        let setting = line.strip_prefix("##").or_else(|| line.strip_prefix('#'));
        setting.filter(is_setting)
    });
    let mut named = BTreeSet::new();
    collect(&document.value, schema(), &mut named);
    let mut known = BTreeSet::new();
    collect_known(schema(), "", &mut known);
    assert_eq!(named, known);
    assert_eq!(check::check(&mut document.value), []);
}

/// The schema's paths of all keys in `value`; a table of tables by id is walked at its first.
fn collect(value: &Value, schema: &Value, named: &mut BTreeSet<String>) {
    collect_at(value, schema, "", named);
}

fn collect_at(value: &Value, schema: &Value, path: &str, named: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let (step, inner) = match schema["properties"].get(key) {
                    Some(inner) => (key.as_str(), inner),
                    None => ("*", &schema["additionalProperties"]),
                };
                let path = format!("{path}.{step}");
                named.insert(path.clone());
                collect_at(value, inner, &path, named);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_at(item, &schema["items"], path, named)),
        _ => {}
    }
}

fn collect_known(schema: &Value, path: &str, known: &mut BTreeSet<String>) {
    let by_id = schema.get("additionalProperties").filter(|s| s.is_object()).map(|s| ("*", s));
    let keys = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    for (key, inner) in keys.map(|(key, inner)| (key.as_str(), inner)).chain(by_id) {
        let path = format!("{path}.{key}");
        known.insert(path.clone());
        collect_known(inner, &path, known);
    }
    if let Some(items) = schema.get("items") {
        collect_known(items, path, known);
    }
}

#[test]
fn the_examples_are_sound() {
    let mut seen = 0;
    for entry in std::fs::read_dir(folder().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let resolved = resolve_text(&text, &[]).unwrap_or_else(|problems| panic!("{}: {problems:#?}", path.display()));
        assert!(!resolved.cameras.is_empty());
        seen += 1;
    }
    assert!(seen >= 3);
}

/// The schema is a promise to editors and to those who generate configurations.
#[test]
fn the_schema_is_as_committed() {
    let path = folder().join("schema.json");
    let generated = serde_json::to_string_pretty(schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(committed == generated, "config/schema.json is out of date: run UPDATE_EXPECT=1 cargo test --lib config");
}
