//! What users ask of the gallery over a sink.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::recognise::gallery::{Amendment, LookAlike, Person, PersonId, Profile, Receipt, Rejection};

/// What is asked of one person.
pub enum PersonWish {
    /// To be known from this picture: the bytes of a file.
    Enrol(Vec<u8>),
    /// To be known by name alone, for now; without an id by that which the name gives.
    Declare(Option<PersonId>, Profile),
    /// To have something else said of them.
    Amend(Amendment),
    /// To be forgotten.
    Forget,
}

/// What became of a [`PersonWish`].
#[derive(Debug)]
pub enum PersonAnswer {
    /// The picture was taken in.
    Enrolled(Receipt),
    /// The person as they are now.
    Stands(Arc<Person>),
    /// It was not done.
    Refused(Rejection),
    /// Recognition is off, not ready yet, or has too much to do: the word and a sentence.
    NotNow(&'static str, String),
    /// Whether there was such a person.
    Forgotten(bool),
}

/// A user's wish, and who waits for its answer.
pub struct PersonCommand {
    /// The person's id, as it was written; empty where the wish says who it is.
    pub person: Arc<str>,
    /// What is asked.
    pub wish: PersonWish,
    /// Takes the answer, on the gallery's thread: must not block.
    pub answer: Box<dyn FnOnce(PersonAnswer) + Send>,
}

impl PersonAnswer {
    /// The answer as JSON. Names no number of any face.
    pub fn to_json(&self, person: &str) -> Value {
        let refused =
            |reason: &str, detail: &str| json!({ "ok": false, "person": person, "reason": reason, "detail": detail });
        match self {
            Self::Enrolled(Receipt { person, added, duplicates, look_alikes }) => {
                let alike = |other: &LookAlike| {
                    let score = (f64::from(other.score) * 1e3).round() / 1e3;
                    json!({ "person": &*other.person, "name": &*other.name, "score": score })
                };
                json!({
                    "ok": true,
                    "person": &**person,
                    "added": added.len(),
                    "duplicates": duplicates,
                    "look_alikes": look_alikes.iter().map(alike).collect::<Vec<_>>(),
                })
            }
            Self::Stands(person) => json!({ "ok": true, "person": &*person.id }),
            Self::Refused(rejection) => refused(rejection.reason.word(), &rejection.detail),
            Self::NotNow(reason, detail) => refused(reason, detail),
            Self::Forgotten(true) => json!({ "ok": true, "person": person }),
            Self::Forgotten(false) => refused("unknown_person", "nobody in the gallery has this id"),
        }
    }
}
