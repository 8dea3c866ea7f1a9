//! The written settings against the schema: every unknown key, missing key, wrong type and wrong range at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use super::document::is_too_large;
use super::path::KeyPath;
use super::schema;
use crate::fault::{Fault, Problem};
use crate::infer::InputSize;
use crate::telemetry::redact;
use crate::units::Period;

/// Says what is wrong with a text.
type Judge = fn(&str) -> Result<(), String>;

/// Texts of a form of their own: the name in the schema, and who judges them.
const FORMATS: &[(&str, Judge)] =
    &[("period", |text| text.parse::<Period>().map(drop)), ("input-size", |text| text.parse::<InputSize>().map(drop))];

/// Checks `root` against the schema, and takes out of it what is wrong, so that the rest can be judged by its meaning.
pub(super) fn check(root: &mut Value) -> Vec<Problem> {
    let validator = match validator(root) {
        Ok(validator) => validator,
        Err(fault) => return vec![Problem::new("", fault.to_string())],
    };
    let (mut problems, mut spoilt) = (Vec::new(), Vec::new());
    for error in validator.iter_errors(root) {
        let path = KeyPath::of_pointer(error.instance_path.as_str(), root);
        for (problem, wrong) in explain(&error, &path) {
            problems.push(problem);
            spoilt.push(wrong.outside_lists());
        }
    }
    for path in &spoilt {
        if let Some(value) = path.find_mut(root) {
            *value = Value::Null;
        }
    }
    sweep(root);
    let mut seen = BTreeSet::new();
    problems.retain(|p| seen.insert((p.key.clone(), p.what.clone())));
    problems
}

/// Knows the sections that `root` has: to read the whole schema takes a tenth of a second, and most commands need little of it.
fn validator(root: &Value) -> Result<Arc<Validator>, Fault> {
    static VALIDATORS: Mutex<BTreeMap<Vec<&str>, Arc<Validator>>> = Mutex::new(BTreeMap::new());
    let sections: Vec<&str> = schema::keys(schema()).filter(|section| root.get(section).is_some()).collect();
    let mut validators = VALIDATORS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(validator) = validators.get(&sections) {
        return Ok(Arc::clone(validator));
    }
    let mut written = schema().clone();
    if let Some(properties) = written.get_mut("properties").and_then(Value::as_object_mut) {
        properties.retain(|section, _| sections.contains(&section.as_str()));
    }
    let mut options = jsonschema::options();
    for (name, judge) in FORMATS {
        options = options.with_format(*name, |text| judge(text).is_ok());
    }
    let validator = Arc::new(
        options
            .should_validate_formats(true)
            .build(&written)
            .map_err(|error| Fault::internal(format!("the configuration's own schema is wrong: {error}")))?,
    );
    validators.insert(sections, Arc::clone(&validator));
    Ok(validator)
}

/// Takes out what was marked as wrong; an emptied root is an empty table.
fn sweep(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(sweep);
        }
        Value::Null => *value = Value::Object(serde_json::Map::new()),
        _ => {}
    }
}

/// A validation error in the user's terms, each with the path of what must go before the rest can be read.
fn explain(error: &ValidationError<'_>, path: &KeyPath) -> Vec<(Problem, KeyPath)> {
    use ValidationErrorKind as Kind;
    let here = schema::at(schema(), path).unwrap_or(&Value::Null);
    let at = |path: &KeyPath, what: String| Problem::new(path.to_string(), what);
    let what = match &error.kind {
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let unknown = unexpected.iter().filter(|key| !schema::keys(here).any(|known| known == *key));
            return unknown.map(|key| (unknown_key(path, key, here), path.key(key))).collect();
        }
        Kind::Required { property } => {
            let missing = path.key(property.as_str().unwrap_or_default());
            return vec![(at(&missing, "is missing".to_owned()), path.clone())];
        }
        Kind::OneOfNotValid { .. } | Kind::AnyOf { .. } | Kind::Enum { .. } if !options(here).is_empty() => {
            return vec![(not_an_option(path, &error.instance, &options(here)), path.clone())];
        }
        Kind::Type { .. } if error.instance.as_str().is_some_and(is_too_large) => "is too large a number".to_owned(),
        Kind::Type { kind } => format!("is {}, must be {}", type_of(&error.instance), types(kind)),
        Kind::Minimum { limit } => format!("is {}, must be at least {limit}", error.instance),
        Kind::Maximum { limit } => format!("is {}, must be at most {limit}", error.instance),
        Kind::ExclusiveMinimum { limit } => format!("is {}, must be more than {limit}", error.instance),
        Kind::ExclusiveMaximum { limit } => format!("is {}, must be less than {limit}", error.instance),
        Kind::MinItems { limit } => format!("has {} items, must have at least {limit}", count(&error.instance)),
        Kind::MaxItems { limit } => format!("has {} items, must have at most {limit}", count(&error.instance)),
        Kind::MinLength { limit: 1 } => "is empty".to_owned(),
        Kind::AdditionalItems { limit } => format!("has {} items, must have {limit}", count(&error.instance)),
        Kind::Format { format } => complaint(format, &error.instance),
        _ => redact(&error.masked().to_string()),
    };
    vec![(at(path, what), path.clone())]
}

fn complaint(format: &str, given: &Value) -> String {
    let judge = FORMATS.iter().find(|(name, _)| *name == format).map(|(_, judge)| judge);
    let verdict = judge.zip(given.as_str()).map(|(judge, text)| judge(text));
    match verdict {
        Some(Err(what)) => redact(&what),
        _ => format!("is not of the form \"{format}\""),
    }
}

fn unknown_key(table: &KeyPath, key: &str, schema: &Value) -> Problem {
    let path = table.key(key);
    let known: Vec<&str> = schema::keys(schema).collect();
    let problem = Problem::new(path.to_string(), "is not a key of visor's");
    match nearest(key, &known) {
        Some(near) => problem.remedy(format!("did you mean {near}?")),
        None => problem.remedy(format!("the keys here are {}", known.join(", "))),
    }
}

/// The words that the key may be: a list, or one form for each where they are described one by one.
fn options(schema: &Value) -> Vec<&str> {
    let list = |keyword: &str| schema.get(keyword).and_then(Value::as_array).into_iter().flatten();
    let single = list("oneOf").chain(list("anyOf")).filter_map(|form| form.get("const"));
    let grouped = list("oneOf").filter_map(|form| form.get("enum").and_then(Value::as_array)).flatten();
    list("enum").chain(single).chain(grouped).filter_map(Value::as_str).collect()
}

fn not_an_option(path: &KeyPath, given: &Value, options: &[&str]) -> Problem {
    let problem =
        Problem::new(path.to_string(), format!("{} is none of {}", redact(&given.to_string()), options.join(", ")));
    if options.contains(&given.to_string().as_str()) {
        // a number, where the same as a text would do
        return problem.remedy(format!("put it in quotes: \"{given}\""));
    }
    match given.as_str().and_then(|given| nearest(given, options)) {
        Some(near) => problem.remedy(format!("did you mean \"{near}\"?")),
        None => problem,
    }
}

/// The word that a typing mistake was probably meant to be.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |known: &str| strsim::damerau_levenshtein(&word.to_ascii_lowercase(), known);
    let best = known.iter().copied().min_by_key(|k| distance(k))?;
    let close = distance(best) <= 1 + word.chars().count() / 4;
    close.then_some(best)
}

fn count(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len)
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(n) if n.is_f64() => "a number",
        Value::Number(_) => "an integer",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

fn types(kind: &TypeKind) -> String {
    let name = |json: &str| match json {
        "boolean" => "true or false",
        "integer" => "an integer",
        "number" => "a number",
        "string" => "text",
        "array" => "a list",
        _ => "a table",
    };
    match kind {
        TypeKind::Single(json) => name(&json.to_string()).to_owned(),
        TypeKind::Multiple(set) => {
            let names: Vec<&str> = set.iter().map(|json| name(&json.to_string())).collect();
            names.join(" or ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_judged_alike_whatever_else_is_written() {
        let known: Vec<&str> = schema::keys(schema()).collect();
        for section in &known {
            let wrong = serde_json::json!({ (*section): 7, "camera": {} });
            let alone = check(&mut wrong.clone());
            let keys: Vec<&str> = alone.iter().map(|problem| problem.key.as_str()).collect();
            assert_eq!(keys.len(), 2, "{alone:?}");
            assert!(keys.contains(section) && keys.contains(&"camera"), "{alone:?}");
            let mut all = wrong;
            for other in known.iter().filter(|other| *other != section) {
                all[*other] =
                    if *other == "webhooks" { Value::Array(Vec::new()) } else { Value::Object(Default::default()) };
            }
            let beside = check(&mut all);
            assert!(alone.iter().all(|problem| beside.contains(problem)), "{alone:?} {beside:?}");
        }
        assert_eq!(check(&mut Value::Object(Default::default())), []);
    }
}
