//! One state of the gallery, which never changes; the next one shares most of it.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::SystemTime;

use super::calibration::{Own, chances};
use super::person::{Person, PersonId};
use super::segment::Rows;

/// A change copies one shard of the people.
const SHARDS: usize = 256;

type Shard = HashMap<PersonId, Arc<Person>>;

/// People by id; a clone shares everything.
#[derive(Clone)]
pub(super) struct People {
    shards: Vec<Arc<Shard>>,
    /// Ids by what other systems call people.
    externals: Vec<Arc<HashMap<Arc<str>, PersonId>>>,
    len: usize,
    chances: f64,
}

impl Default for People {
    fn default() -> Self {
        let (shards, externals) = (vec![Arc::default(); SHARDS], vec![Arc::default(); SHARDS]);
        Self { shards, externals, len: 0, chances: 0.0 }
    }
}

impl People {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, id: &str) -> Option<&Arc<Person>> {
        self.shards[shard(id)].get(id)
    }

    /// How many independent references these are for a stranger, see [`chances`].
    pub(super) fn chances(&self) -> f64 {
        self.chances.max(0.0)
    }

    /// Whom another system calls `external`.
    pub(super) fn of_external(&self, external: &str) -> Option<&PersonId> {
        self.externals[shard(external)].get(external)
    }

    pub(super) fn insert(&mut self, person: Arc<Person>) {
        let shard = Arc::make_mut(&mut self.shards[shard(&person.id)]);
        self.chances += chances(person.references.len());
        let called = person.external_id.clone().map(|external| (external, person.id.clone()));
        let before = shard.insert(person.id.clone(), person);
        match &before {
            Some(before) => self.chances -= chances(before.references.len()),
            None => self.len += 1,
        }
        before.iter().for_each(|before| self.drop_external(before));
        if let Some((external, id)) = called {
            Arc::make_mut(&mut self.externals[self::shard(&external)]).insert(external, id);
        }
    }

    fn drop_external(&mut self, person: &Person) {
        if let Some(external) = &person.external_id {
            Arc::make_mut(&mut self.externals[shard(external)]).remove(external);
        }
    }

    pub(super) fn remove(&mut self, id: &str) {
        let index = shard(id);
        if !self.shards[index].contains_key(id) {
            return;
        }
        if let Some(gone) = Arc::make_mut(&mut self.shards[index]).remove(id) {
            self.chances -= chances(gone.references.len());
            self.len -= 1;
            self.drop_external(&gone);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Person>> {
        self.shards.iter().flat_map(|shard| shard.values())
    }
}

fn shard(id: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish() as usize % SHARDS
}

/// What searches see.
#[derive(Clone, Default)]
pub(super) struct Snapshot {
    /// Goes up by one with each change.
    pub(super) revision: u64,
    pub(super) people: People,
    pub(super) references: Rows,
    /// References of what people are not.
    pub(super) anchors: Rows,
    /// When the first person expires.
    pub(super) soonest: Option<SystemTime>,
    /// How the people score against each other.
    pub(super) own: Own,
}

impl Snapshot {
    /// Whom a search at `now` must not name.
    pub(super) fn expired(&self, now: SystemTime) -> Vec<PersonId> {
        if self.soonest.is_none_or(|soonest| soonest > now) {
            return Vec::new();
        }
        self.people.iter().filter(|person| person.has_expired(now)).map(|person| person.id.clone()).collect()
    }

    /// Adds a person, or puts them in the place of the one of their id.
    pub(super) fn put(&mut self, person: Arc<Person>) {
        let before = self.people.get(&person.id).and_then(|known| known.expires);
        let expires = person.expires;
        self.people.insert(person);
        if before.is_none() {
            self.soonest = self.soonest.into_iter().chain(expires).min();
        } else {
            self.note_expiry();
        }
    }

    /// To be called once people have gone.
    pub(super) fn note_expiry(&mut self) {
        self.soonest = self.people.iter().filter_map(|person| person.expires).min();
    }

    /// What holds at any time.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        use std::collections::BTreeSet;
        let listed = |of: fn(&Person) -> &[super::person::Reference]| -> BTreeSet<_> {
            self.people.iter().flat_map(|p| of(p).iter().map(|r| (p.id.clone(), r.id)).collect::<Vec<_>>()).collect()
        };
        let stored = |rows: &Rows| -> BTreeSet<_> {
            rows.check_invariants();
            rows.labels().map(|label| (label.owner.clone(), label.reference)).collect()
        };
        assert_eq!(listed(|p| &p.references), stored(&self.references));
        assert_eq!(listed(|p| &p.anchors), stored(&self.anchors));
        assert_eq!(self.people.iter().count(), self.people.len());
        let called: Vec<_> = self.people.iter().filter_map(|p| Some((p.external_id.as_ref()?, &p.id))).collect();
        assert_eq!(called.len(), self.people.externals.iter().map(|shard| shard.len()).sum::<usize>());
        assert!(called.iter().all(|(external, id)| self.people.of_external(external) == Some(*id)));
        let expected: f64 = self.people.iter().map(|person| chances(person.references.len())).sum();
        assert!((self.people.chances() - expected).abs() < 1e-6);
        assert_eq!(self.soonest, self.people.iter().filter_map(|person| person.expires).min());
    }
}
