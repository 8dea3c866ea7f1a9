//! What users ask of the gallery over a sink.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::{Value, json};

use super::appearances::Who;
use crate::event::Event;
use crate::recognise::gallery::{Amendment, Enrolment, LookAlike, Person, PersonId, Profile, Receipt, Rejection};

/// Who is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgotten<'a> {
    /// The person of this id.
    Person(&'a str),
    /// Everybody, known or not.
    Everybody,
}

impl Forgotten<'_> {
    /// Whether `event` shows them.
    pub fn is_shown(self, event: &Event) -> bool {
        match self {
            Self::Person(person) => event.shows(person),
            Self::Everybody => event.identity.person.is_some() || event.identity.alias.is_some(),
        }
    }

    /// Whether `person`, whom a picture is of, is among them.
    pub fn has(self, person: Option<&str>) -> bool {
        match self {
            Self::Person(gone) => person == Some(gone),
            Self::Everybody => true,
        }
    }

    /// Takes them out of events. Gives how many showed them.
    pub fn anonymise<'a>(self, events: impl Iterator<Item = &'a mut Arc<Event>>) -> usize {
        let about = events.filter(|event| self.is_shown(event));
        about.map(|event| *event = Arc::new(event.anonymous())).count()
    }
}

/// What is asked of one person.
pub enum PersonWish {
    /// To be known from this picture: the bytes of a file.
    Enrol(Vec<u8>),
    /// To be known by faces that were looked at already.
    Add(Box<Looked>),
    /// That a reference or an anchor goes.
    RemoveReference(u64),
    /// To be known by name alone, for now; without an id by that which the name gives.
    Declare(Option<PersonId>, Profile),
    /// To have something else said of them.
    Amend(Amendment),
    /// To be forgotten.
    Forget,
    /// That this stranger is a person, known by the faces that cameras saw.
    NameStranger(Option<PersonId>, Profile),
    /// That this stranger is somebody else who was met or is known.
    MergeStranger(Who),
    /// That nobody hears of this stranger, or does so again.
    IgnoreStranger(bool),
    /// That everybody is forgotten, known or not.
    ForgetAll,
}

/// Faces that were looked at, ready to be enrolled.
pub struct Looked {
    /// The faces, and whose they are.
    pub enrolment: Enrolment,
    /// The model whose numbers they are.
    pub model: Arc<str>,
    /// Set where nobody wants it any more: whoever it is of was forgotten meanwhile.
    pub given_up: Arc<AtomicBool>,
    /// The person was found by their looks: who is not there any more is not made anew.
    pub only_known: bool,
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
    /// Whether there was such a person, or reference.
    Forgotten(bool),
    /// Whether there was such a stranger.
    Done(bool),
    /// How much was erased.
    Erased(Erased),
}

/// What was known of everybody, and is not any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// People.
    pub people: usize,
    /// Faces that they were known by.
    pub faces: usize,
    /// Strangers.
    pub strangers: usize,
    /// Spans in which people or strangers were seen.
    pub appearances: usize,
    /// What sinks kept, by their names.
    pub kept: BTreeMap<&'static str, usize>,
}

/// A user's wish, and who waits for its answer.
pub struct PersonCommand {
    /// The person's id or the stranger's alias, as it was written; empty where the wish says who it is.
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
            Self::Forgotten(true) | Self::Done(true) | Self::Erased(_) => json!({ "ok": true, "person": person }),
            Self::Forgotten(false) | Self::Done(false) => {
                refused("unknown_person", "nobody in the gallery has this id")
            }
        }
    }
}
