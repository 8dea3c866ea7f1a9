//! Who may go unmasked is verified all the time: the name of a track rests on all of its faces, an exemption on the last one.

use std::sync::Arc;
use std::time::Duration;

use super::decide::Bar;
use super::gallery::{Gallery, Hit, Ranking};
use super::{Embedding, Identity};

/// Whose identity has to be verified all the time.
#[derive(Clone, Debug, PartialEq)]
pub struct Vigil {
    /// Everybody of the gallery.
    pub known: bool,
    /// People with one of these tags.
    pub tags: Vec<String>,
    /// Strangers.
    pub strangers: bool,
    /// Time between two embeddings of one track.
    pub every: Duration,
}

impl Vigil {
    /// How often the face of somebody has to be embedded; `None` for whom it does not matter.
    pub fn over(&self, identity: &Identity, gallery: &Gallery) -> Option<Duration> {
        let tagged = |person: &str| {
            let person = if self.tags.is_empty() { None } else { gallery.person(person) };
            person.is_some_and(|person| gallery.tags_of(&person).iter().any(|tag| self.tags.contains(tag)))
        };
        let watched = match identity {
            Identity::Undecided { .. } => false,
            Identity::Known { person, .. } => self.known || tagged(person),
            Identity::Stranger { .. } => self.strangers,
        };
        watched.then_some(self.every)
    }
}

/// What one face said by itself.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    /// The person, first of the gallery by a margin; `None`: nobody of the gallery.
    person: Option<Arc<str>>,
    /// The person's tags.
    pub tags: Arc<[String]>,
    /// Stream time.
    pub at: Duration,
    /// Of the gallery that was searched.
    revision: u64,
}

impl Proof {
    /// What `face`, seen at `at`, says; nothing where it is near to somebody, but not near enough, or to two.
    pub fn of(face: &Embedding, at: Duration, gallery: &Gallery, bar: &Bar) -> Option<Self> {
        let Ranking { first, second, revision } = gallery.search(face);
        let ahead = |first: &Hit| second.as_ref().is_none_or(|second| first.score - second.score >= bar.margin);
        let proof = |person, tags| Some(Self { person, tags, at, revision });
        match first {
            Some(first) if bar.keeps(first.score) => {
                let certain = bar.agrees(first.score) && ahead(&first);
                let tags = gallery.tags_of(&first.person).into_iter().collect();
                certain.then(|| proof(Some(first.person.id.shared()), tags)).flatten()
            }
            _ => proof(None, Arc::default()),
        }
    }

    /// Whether it is of a person of the gallery.
    pub fn names_somebody(&self) -> bool {
        self.person.is_some()
    }

    /// Whether it speaks for `identity`, by the gallery as it is.
    pub fn is_for(&self, identity: &Identity, revision: u64) -> bool {
        let same = match identity {
            Identity::Undecided { .. } => false,
            Identity::Known { person, .. } => self.person.as_ref() == Some(person),
            Identity::Stranger { .. } => self.person.is_none(),
        };
        same && self.revision == revision
    }
}
