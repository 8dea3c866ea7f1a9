//! What is said beside a picture: in the query, in a form's fields or in JSON, and read the same way.

use std::collections::BTreeMap;

use serde::de::value::{MapDeserializer, StringDeserializer};
use serde::de::{self, DeserializeOwned, IntoDeserializer, Visitor};
use serde_json::{Map, Value};

/// A field as it came.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Field {
    /// As text, which stands for whatever is expected.
    Text(String),
    /// As text more than once, as forms and queries say lists: all of it to a list, and the last to anything else.
    Again(Vec<String>),
    /// With a type of its own.
    Json(Value),
}

/// The fields by their names; one that is said again counts as it was said last, unless it is a list in a query or a form.
#[derive(Debug, Default)]
pub(super) struct Fields(BTreeMap<String, Field>);

impl Fields {
    /// The fields of a query.
    pub(super) fn of_query(query: Option<&str>) -> Self {
        let mut fields = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            fields.put(name.into_owned(), Field::Text(value.into_owned()));
        }
        fields
    }

    pub(super) fn put(&mut self, name: String, field: Field) {
        let field = match (self.take(&name), field) {
            (Some(Field::Text(first)), Field::Text(next)) => Field::Again(vec![first, next]),
            (Some(Field::Again(mut all)), Field::Text(next)) => {
                all.push(next);
                Field::Again(all)
            }
            (_, field) => field,
        };
        self.0.insert(name, field);
    }

    pub(super) fn put_all(&mut self, object: Map<String, Value>) {
        object.into_iter().for_each(|(name, value)| self.put(name, Field::Json(value)));
    }

    /// Takes in all of `others`, which count where both say something.
    pub(super) fn put_over(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Takes a field out.
    pub(super) fn take(&mut self, name: &str) -> Option<Field> {
        self.0.remove(name)
    }

    /// Takes all of these names out.
    pub(super) fn split_off(&mut self, names: &[&str]) -> Self {
        let (gone, kept) =
            std::mem::take(&mut self.0).into_iter().partition(|(name, _)| names.contains(&name.as_str()));
        self.0 = kept;
        Self(gone)
    }

    /// All of them as `T`; the error names the field that is wrong.
    pub(super) fn read<T: DeserializeOwned>(self) -> Result<T, String> {
        let named = self.0.into_iter().map(|(name, field)| (name.clone(), Named { name, field }));
        T::deserialize(MapDeserializer::new(named)).map_err(|e: Wrong| short(e.0))
    }
}

/// What is wrong, without all of what was sent: that may be a picture.
pub(super) fn short(mut text: String) -> String {
    const MOST: usize = 300;
    if text.len() > MOST {
        let end = (0..=MOST).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        text.truncate(end);
        text.push('…');
    }
    text
}

impl Field {
    /// Its text; `None` where it is none.
    pub(super) fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) | Self::Json(Value::String(text)) => Some(text),
            Self::Again(mut all) => all.pop(),
            Self::Json(_) => None,
        }
    }

    /// What it is where no list is expected: as it was said last.
    fn last(self) -> Self {
        match self {
            Self::Again(mut all) => Self::Text(all.pop().unwrap_or_default()),
            once => once,
        }
    }
}

/// What is wrong with the fields.
#[derive(Debug)]
struct Wrong(String);

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let known = expected.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        Self(format!("unknown field `{field}`, expected a picture (`image` or `url`) and any of {known}"))
    }
}

struct Named {
    name: String,
    field: Field,
}

impl<'de> IntoDeserializer<'de, Wrong> for Named {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl Named {
    /// Text as JSON where it parses as what is expected, and as text where it does not.
    fn parsed<'de, V: Visitor<'de>>(
        self,
        visitor: V,
        read: impl FnOnce(Value, V) -> Result<V::Value, serde_json::Error>,
    ) -> Result<V::Value, Wrong> {
        let Self { name, field } = self;
        let value = match field.last() {
            Field::Json(value) => value,
            text => {
                let text = text.into_text().unwrap_or_default();
                serde_json::from_str(text.trim()).unwrap_or(Value::String(text))
            }
        };
        read(value, visitor).map_err(|e| Wrong(format!("{name}: {e}")))
    }
}

macro_rules! parsed {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            self.parsed(visitor, |value, visitor| de::Deserializer::$method(value, visitor))
        })*
    };
}

impl<'de> de::Deserializer<'de> for Named {
    type Error = Wrong;

    parsed! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16
        deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 deserialize_map deserialize_unit
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.field {
            Field::Json(value) => de::Deserializer::deserialize_any(value, visitor),
            text => {
                let text = text.into_text().unwrap_or_default();
                de::Deserializer::deserialize_any(StringDeserializer::<serde_json::Error>::new(text), visitor)
            }
        }
        .map_err(|e| Wrong(format!("{}: {e}", self.name)))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.field {
            Field::Json(Value::Null) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    /// A list as text is JSON, has commas between its parts, or is said part by part.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let value = match self.field {
            Field::Text(text) => Value::Array(list(&text)),
            Field::Again(all) => Value::Array(all.iter().flat_map(|text| list(text)).collect()),
            Field::Json(value) => value,
        };
        de::Deserializer::deserialize_seq(value, visitor).map_err(|e| Wrong(format!("{}: {e}", self.name)))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let value = match self.field {
            Field::Json(value) => value,
            text => Value::String(text.into_text().unwrap_or_default()),
        };
        de::Deserializer::deserialize_enum(value, name, variants, visitor)
            .map_err(|e| Wrong(format!("{}: {e}", self.name)))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.deserialize_map(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf identifier ignored_any unit_struct tuple tuple_struct
    }
}

/// The parts of a list in text.
fn list(text: &str) -> Vec<Value> {
    if let Ok(Value::Array(parts)) = serde_json::from_str(text.trim()) {
        return parts;
    }
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(part).collect()
}

/// A part of a list in text: a number where it is one.
fn part(text: &str) -> Value {
    text.parse::<u64>().map_or_else(|_| Value::String(text.to_owned()), Value::from)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Shape {
        #[default]
        Box,
        Ellipse,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default, deny_unknown_fields)]
    struct Options {
        name: String,
        score: Option<f32>,
        most: usize,
        whole: bool,
        shape: Shape,
        faces: Vec<usize>,
        tags: Vec<String>,
        metadata: Option<BTreeMap<String, Value>>,
    }

    #[test]
    fn text_and_json_say_the_same() {
        let expected = Options {
            name: "12".into(),
            score: Some(0.5),
            most: 3,
            whole: true,
            shape: Shape::Ellipse,
            faces: vec![0, 2],
            tags: vec!["a".into(), "b c".into()],
            metadata: Some([("k".to_owned(), json!([1]))].into()),
        };
        let query = "name=12&score=0.5&most=3&whole=true&shape=ellipse&faces=0,2&tags=a,b+c&metadata={\"k\":[1]}";
        assert_eq!(Fields::of_query(Some(query)).read::<Options>().unwrap(), expected);
        let object = json!({"name": "12", "score": 0.5, "most": 3, "whole": true, "shape": "ellipse", "faces": [0, 2],
            "tags": ["a", "b c"], "metadata": {"k": [1]}});
        let mut fields = Fields::of_query(Some("most=9"));
        fields.put_all(object.as_object().unwrap().clone());
        assert_eq!(fields.read::<Options>().unwrap(), expected, "the body counts, not the query");
        assert_eq!(Fields::default().read::<Options>().unwrap(), Options::default());
    }

    #[test]
    fn a_list_may_be_said_part_by_part_and_nothing_else() {
        let query = "tags=a&name=1&tags=b,c&faces=2&name=x&most=1&tags=[\"d,e\"]&most=4&shape=box&shape=ellipse";
        let read = Fields::of_query(Some(query)).read::<Options>().unwrap();
        assert_eq!((read.tags, read.faces), (["a", "b", "c", "d,e"].map(str::to_owned).to_vec(), vec![2]));
        assert_eq!((&*read.name, read.most, read.shape), ("x", 4, Shape::Ellipse));
        let mut fields = Fields::of_query(Some("tags=a&tags=b"));
        fields.put_all(json!({"tags": ["c"]}).as_object().unwrap().clone());
        assert_eq!(fields.read::<Options>().unwrap().tags, ["c"], "the body counts, not the query");
        let mut fields = Fields::of_query(Some("tags=a&name=x"));
        fields.put_over(Fields::of_query(Some("tags=b&tags=c")));
        let read = fields.read::<Options>().unwrap();
        assert_eq!((read.tags, &*read.name), (["b", "c"].map(str::to_owned).to_vec(), "x"), "nor where it is a form");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (query, expected) in [
            ("scores=1", "unknown field `scores`, expected a picture (`image` or `url`) and any of `name`, `score`"),
            ("score=high", "score: invalid type: string \"high\", expected f32"),
            ("most=-1", "most: invalid value: integer `-1`, expected usize"),
            ("shape=star", "shape: unknown variant `star`, expected `box` or `ellipse`"),
            ("whole=1", "whole: invalid type: integer `1`, expected a boolean"),
            ("faces=0,x", "faces: invalid type: string \"x\", expected usize"),
        ] {
            let error = Fields::of_query(Some(query)).read::<Options>().unwrap_err();
            assert!(error.starts_with(expected), "{query}: {error}");
        }
        let long = Fields::of_query(Some(&format!("score={}", "ä".repeat(5000)))).read::<Options>().unwrap_err();
        assert!(long.len() < 310 && long.ends_with('…'), "{} bytes", long.len());
    }
}
