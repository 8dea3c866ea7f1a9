//! People as a listing shows them: no numbers of any face.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::{Map, Value};

use super::rejection::{Refusal, Rejection};

/// Longest id, in bytes.
const LONGEST_ID: usize = 63;

/// Longest display name, in bytes.
const LONGEST_NAME: usize = 200;

/// Ids that are words of MQTT's topics.
const RESERVED: [&str; 3] = ["people", "stats", "status"];

/// A person's id: `[a-z0-9][a-z0-9_-]{0,62}` without `__`, a level of an MQTT topic. Clones share the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct PersonId(Arc<str>);

impl PersonId {
    /// Takes `id` as it is.
    ///
    /// # Errors
    /// It is not an id.
    pub fn new(id: &str) -> Result<Self, Rejection> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let mut bytes = id.bytes();
        let starts = bytes.next().is_some_and(plain);
        let wrong = |why: &str| Err(Rejection::new(Refusal::BadName, format!("{id:?} is not an id: {why}")));
        if !starts || !bytes.all(|b| plain(b) || matches!(b, b'_' | b'-')) || id.len() > LONGEST_ID {
            return wrong("a-z or 0-9, then up to 62 of a-z, 0-9, _ and -");
        }
        if id.contains("__") {
            return wrong("it holds \"__\"");
        }
        if RESERVED.contains(&id) {
            return wrong("the word is reserved");
        }
        Ok(Self(id.into()))
    }

    /// The id of a display name: lower case in Latin letters without accents, anything that is neither letter nor digit a
    /// `-` (`_` stays). `Zoë Müller` is `zoe-muller`, `Ольга` is `olga`.
    ///
    /// # Errors
    /// Nothing is left of the name, or the id would be a reserved word.
    pub fn of_name(name: &str) -> Result<Self, Rejection> {
        let wrong = |why: &str| Rejection::new(Refusal::BadName, format!("the name {:?} {why}", shortened(name)));
        if name.len() > LONGEST_NAME {
            return Err(wrong(&format!("is longer than {LONGEST_NAME} bytes")));
        }
        let slug = slug(name);
        if slug.is_empty() {
            return Err(wrong("has no letter and no digit to make an id of"));
        }
        Self::new(&slug).map_err(|_| wrong(&format!("gives the id \"{slug}\", which is a reserved word")))
    }

    /// The text, shared.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl Deref for PersonId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for PersonId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in deunicode::deunicode(name).to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            // Apostrophes belong to a word: O'Neil, D’Arcy.
            '\'' => {}
            // One separator between two words, and none at the ends.
            _ if slug.is_empty() || slug.ends_with(['-', '_']) => {}
            '_' => slug.push('_'),
            _ => slug.push('-'),
        }
    }
    slug.truncate(LONGEST_ID);
    slug.truncate(slug.trim_end_matches(['-', '_']).len());
    slug
}

fn shortened(name: &str) -> String {
    name.chars().take(40).collect()
}

/// One picture of a person, as a listing shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reference {
    /// Unique in the gallery's life.
    pub id: u64,
    /// Fitness for recognition, 0 to 1.
    pub quality: f32,
    /// Where it came from: a file's path, or the name of an interface.
    pub source: Arc<str>,
    /// When it came.
    pub created_at: SystemTime,
}

impl Reference {
    /// Whether it came out of a file of the gallery's folder, which can be read again.
    pub fn is_of_folder(&self) -> bool {
        self.source.contains('/')
    }
}

/// Somebody in the gallery.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Person {
    /// The id.
    pub id: PersonId,
    /// The name to show.
    pub name: Arc<str>,
    /// Words that policies refer to.
    pub tags: BTreeSet<String>,
    /// The model whose numbers stand for the references.
    pub model: Arc<str>,
    /// What the person looks like, oldest first.
    pub references: Vec<Reference>,
    /// What the person is not: a probe nearer to one of these than to any reference is somebody else.
    pub anchors: Vec<Reference>,
    /// From then on nobody is this person any more.
    pub expires: Option<SystemTime>,
    /// What another system calls the person; unique in the gallery.
    pub external_id: Option<Arc<str>>,
    /// What else another system wants to know of the person; never looked at here.
    pub metadata: Arc<Map<String, Value>>,
    /// When the person came.
    pub created_at: SystemTime,
    /// When the person, or a reference, was last changed.
    pub updated_at: SystemTime,
    /// Was made by name alone, and so stays without a reference.
    pub declared: bool,
    /// References that were lost with the model before, whose numbers say nothing to this one, until there is a new one.
    pub lost: usize,
}

impl Person {
    /// Somebody of whom nothing is known but the id, which is the name as well.
    pub(super) fn new(id: PersonId, model: &Arc<str>, now: SystemTime) -> Self {
        Self {
            name: id.shared(),
            id,
            tags: BTreeSet::new(),
            model: Arc::clone(model),
            references: Vec::new(),
            anchors: Vec::new(),
            expires: None,
            external_id: None,
            metadata: Arc::default(),
            created_at: now,
            updated_at: now,
            declared: false,
            lost: 0,
        }
    }

    /// Whether the person's time is over.
    pub fn has_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_id(name: &str, expected: &str) {
        assert_eq!(&*PersonId::of_name(name).unwrap(), expected, "{name}");
    }

    #[test]
    fn a_name_becomes_an_id() {
        check_id("Alice", "alice");
        check_id("Mary  Ann", "mary-ann");
        check_id("Arnold_Schwarzenegger", "arnold_schwarzenegger");
        check_id("Zoë Müller", "zoe-muller");
        check_id("Ольга", "olga");
        check_id("O'Neil, Jr.", "oneil-jr");
        check_id("__x__y--z__", "x_y-z");
        check_id("7 of 9", "7-of-9");
        check_id(&"ab-".repeat(40), &"ab-".repeat(21)[..62]);
    }

    #[test]
    fn a_name_that_gives_no_id_is_refused_with_the_reason() {
        for (name, expected) in
            [("", "no letter"), ("…!", "no letter"), ("Status", "reserved word"), (&*"n".repeat(201), "longer than")]
        {
            let rejection = PersonId::of_name(name).unwrap_err();
            assert_eq!(rejection.reason, Refusal::BadName);
            assert!(rejection.detail.contains(expected), "{rejection}");
        }
    }

    #[test]
    fn an_id_is_taken_only_as_the_contract_has_it() {
        assert!(PersonId::new("a-b_c9").is_ok());
        for wrong in ["", "-a", "_a", "A", "a__b", "a b", "people", "é", &"a".repeat(64)] {
            assert!(PersonId::new(wrong).is_err(), "{wrong}");
        }
    }
}
