//! What was written: the file's text and the environment as one tree of values, with where each key stands.

use std::collections::BTreeMap;
use std::num::IntErrorKind;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::path::KeyPath;
use super::schema;
use crate::fault::Problem;

/// What every overriding variable begins with: `VISOR__MQTT__URL` is `mqtt.url`.
pub const ENV_PREFIX: &str = "VISOR__";

/// How TOML begins numbers that are not decimal.
const RADIXES: [(&str, u32); 3] = [("0x", 16), ("0o", 8), ("0b", 2)];

/// The written settings before anything is known of their meaning.
#[derive(Debug)]
pub(super) struct Document {
    /// Values by key; never holds a null.
    pub(super) value: Value,
    /// Where a key was written, by its path: `line 12` or a variable's name.
    origins: BTreeMap<String, String>,
}

impl Document {
    /// Reads TOML.
    ///
    /// # Errors
    /// Each mistake in the text, with its line; never the line's text, which may hold a password.
    pub(super) fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let mut problems: Vec<Problem> = errors.iter().map(|e| syntax_problem(text, e)).collect();
            problems.sort_by_key(|p| position(&p.origin));
            problems.dedup_by(|later, earlier| later.origin == earlier.origin);
            return Err(problems);
        }
        let mut reader = Reader { text, origins: BTreeMap::new() };
        let value = reader.table(table.get_ref(), &KeyPath::default());
        Ok(Self { value, origins: reader.origins })
    }

    /// Lays the environment's settings over the file's. Text becomes what the schema asks for at that key.
    pub(super) fn overlay(&mut self, variables: &[(String, String)]) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (name, text) in variables {
            let Some(tail) = name.strip_prefix(ENV_PREFIX) else { continue };
            let parts: Vec<String> = tail.split("__").map(str::to_ascii_lowercase).collect();
            match set(&mut self.value, &parts, text) {
                Ok(path) => self.note_origin(&path, name),
                Err(what) => {
                    let mut problem = Problem::new(parts.join("."), what);
                    problem.origin.clone_from(name);
                    problems.push(problem);
                }
            }
        }
        problems
    }

    /// The problems with where each was written, in the order of the file's lines.
    pub(super) fn located(&self, mut problems: Vec<Problem>) -> Vec<Problem> {
        for problem in problems.iter_mut().filter(|p| p.origin.is_empty()) {
            self.origin(&problem.key).clone_into(&mut problem.origin);
        }
        problems.sort_by_key(|p| position(&p.origin));
        problems
    }

    /// Notes that the key at `path`, and each table around it that the file has not, stands in variable `name`.
    fn note_origin(&mut self, path: &KeyPath, name: &str) {
        for around in path.around() {
            self.origins.entry(around.to_string()).or_insert_with(|| name.to_owned());
        }
        self.origins.insert(path.to_string(), name.to_owned());
    }

    /// Where `key`, or the nearest table around it, was written; empty where nowhere.
    fn origin(&self, key: &str) -> &str {
        let mut key = key;
        loop {
            if let Some(origin) = self.origins.get(key) {
                return origin;
            }
            match key.rfind(['.', '[']) {
                Some(end) => key = &key[..end],
                None => return "",
            }
        }
    }
}

fn syntax_problem(text: &str, error: &toml::de::Error) -> Problem {
    let mut problem =
        Problem::new("", crate::telemetry::redact(error.message())).remedy("the file is TOML, see toml.io");
    if let Some(span) = error.span() {
        problem.origin = line(text, span.start);
    }
    problem
}

fn line(text: &str, offset: usize) -> String {
    format!("line {}", text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1)
}

/// The order in which problems are told: by line, then what has none.
fn position(origin: &str) -> usize {
    origin.strip_prefix("line ").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX)
}

struct Reader<'a> {
    text: &'a str,
    origins: BTreeMap<String, String>,
}

impl Reader<'_> {
    fn table(&mut self, table: &DeTable<'_>, path: &KeyPath) -> Value {
        let mut map = Map::new();
        for (key, value) in table {
            let path = path.key(key.get_ref());
            self.origins.insert(path.to_string(), line(self.text, key.span().start));
            map.insert(key.get_ref().to_string(), self.value(value, &path));
        }
        Value::Object(map)
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, path: &KeyPath) -> Value {
        match value.get_ref() {
            DeValue::Table(table) => self.table(table, path),
            DeValue::Array(items) => {
                let item = |(index, item): (usize, &Spanned<DeValue<'_>>)| {
                    let path = path.index(index);
                    self.origins.insert(path.to_string(), line(self.text, item.span().start));
                    self.value(item, &path)
                };
                Value::Array(items.iter().enumerate().map(item).collect())
            }
            DeValue::String(text) => Value::String(text.to_string()),
            // What does not fit, infinity and NaN have no place in any setting: as text they fail the check for a number.
            DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix())
                .map_or_else(|_| Value::String(written(n.as_str(), n.radix())), Value::from),
            DeValue::Float(n) => {
                n.as_str().parse::<f64>().map_or_else(|_| Value::Null, Value::from).or_text(n.as_str())
            }
            DeValue::Boolean(b) => Value::Bool(*b),
            DeValue::Datetime(at) => Value::String(at.to_string()),
        }
    }
}

/// A number's digits with what says how to read them.
fn written(digits: &str, radix: u32) -> String {
    let prefix = RADIXES.iter().find(|(_, known)| *known == radix).map_or("", |(prefix, _)| prefix);
    format!("{prefix}{digits}")
}

/// Whether a text is a number, but for being too large to be one.
pub(super) fn is_too_large(text: &str) -> bool {
    let radix = RADIXES.iter().find_map(|(prefix, radix)| Some((text.strip_prefix(prefix)?, *radix)));
    let (digits, radix) = radix.unwrap_or((text, 10));
    let wrong = i64::from_str_radix(digits, radix).map_err(|wrong| *wrong.kind());
    matches!(wrong, Err(IntErrorKind::PosOverflow | IntErrorKind::NegOverflow))
        || text.parse::<f64>().is_ok_and(f64::is_infinite)
}

trait OrText {
    fn or_text(self, text: &str) -> Value;
}

impl OrText for Value {
    fn or_text(self, text: &str) -> Value {
        if self.is_null() { Value::String(text.to_owned()) } else { self }
    }
}

/// Sets the key at `parts`, makes the tables on the way, and says what its path is.
fn set(root: &mut Value, parts: &[String], text: &str) -> Result<KeyPath, String> {
    if parts.iter().any(String::is_empty) {
        return Err("is not a key: between two \"__\" stands a name".to_owned());
    }
    let mut path = KeyPath::default();
    let mut here = root;
    for part in parts {
        let Value::Object(map) = here else {
            return Err(format!("{path} is not a table; give the whole value as TOML, at {path}"));
        };
        // A variable's name cannot hold the "-" that an id may have.
        let twin = map.keys().find(|key| !map.contains_key(part) && key.replace('-', "_") == *part).cloned();
        let key = twin.unwrap_or_else(|| part.clone());
        path = path.key(&key);
        here = map.entry(key).or_insert_with(|| Value::Object(Map::new()));
    }
    *here = coerce(text, schema::at(schema(), &path));
    Ok(path)
}

/// Text as the type that the schema asks for; as it is where it cannot be, so that the check for types says so.
fn coerce(text: &str, schema: Option<&Value>) -> Value {
    let as_text = || Value::String(text.to_owned());
    let wanted = schema.and_then(|s| s.get("type")).and_then(Value::as_str).unwrap_or("string");
    match wanted {
        "boolean" => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "on" | "yes" => Value::Bool(true),
            "false" | "0" | "off" | "no" => Value::Bool(false),
            _ => as_text(),
        },
        "integer" => text.trim().parse::<i64>().map_or_else(|_| as_text(), Value::from),
        "number" => text.trim().parse::<f64>().map_or(Value::Null, Value::from).or_text(text),
        "array" | "object" => parse_value(text).unwrap_or_else(as_text),
        _ => as_text(),
    }
}

fn parse_value(text: &str) -> Option<Value> {
    let value = DeValue::parse(text.trim()).ok()?;
    Some(Reader { text, origins: BTreeMap::new() }.value(&value, &KeyPath::default()))
}
