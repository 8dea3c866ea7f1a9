//! Lists of people, a page at a time.

use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::SystemTime;

use super::Gallery;
use crate::recognise::gallery::person::{Person, PersonId};

/// Whom a list shows; all that is asked must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those who have this tag, by themselves or by the settings.
    pub tag: Option<String>,
    /// Those whose name or id holds this, whatever its case.
    pub text: Option<String>,
}

/// Part of a list, by id.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The people.
    pub people: Vec<Arc<Person>>,
    /// Whether there are more after them.
    pub more: bool,
}

/// Somebody by id, so that the largest of a heap is the last of a page.
struct ById(Arc<Person>);

impl ById {
    fn id(&self) -> &PersonId {
        &self.0.id
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for ById {}

impl PartialOrd for ById {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ById {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.id().cmp(other.id())
    }
}

impl Gallery {
    /// At most `most` of the people that `filter` lets through, by id, from the first one behind `after` on. Whoever's
    /// time is over is left out.
    pub fn page(&self, filter: &Filter, after: Option<&str>, most: usize) -> Page {
        let snapshot = self.0.current.load();
        let (now, text) = (SystemTime::now(), filter.text.as_ref().map(|text| text.to_lowercase()));
        let mut first: BinaryHeap<ById> = BinaryHeap::with_capacity(most + 2);
        for person in snapshot.people.iter() {
            let is_behind = after.is_none_or(|after| &*person.id > after);
            let is_early = first.len() <= most || first.peek().is_some_and(|last| person.id < *last.id());
            if !is_behind || !is_early || person.has_expired(now) || !self.lets_through(filter, text.as_deref(), person)
            {
                continue;
            }
            first.push(ById(Arc::clone(person)));
            if first.len() > most + 1 {
                first.pop();
            }
        }
        let more = first.len() > most;
        let mut people: Vec<_> = first.into_sorted_vec().into_iter().map(|ById(person)| person).collect();
        people.truncate(most);
        Page { people, more }
    }

    fn lets_through(&self, filter: &Filter, text: Option<&str>, person: &Person) -> bool {
        let tagged = |tag: &String| self.tags_of(person).contains(tag);
        let holds = |text: &str| person.id.contains(text) || person.name.to_lowercase().contains(text);
        filter.tag.as_ref().is_none_or(tagged) && text.is_none_or(holds)
    }

    /// The person whom another system calls `external`.
    pub fn of_external(&self, external: &str) -> Option<Arc<Person>> {
        let snapshot = self.0.current.load();
        snapshot.people.get(snapshot.people.of_external(external)?).cloned()
    }

    /// The person whose reference or anchor this is.
    pub fn owner_of(&self, reference: u64) -> Option<Arc<Person>> {
        let snapshot = self.0.current.load();
        let mut labels = snapshot.references.labels().chain(snapshot.anchors.labels());
        let owner = labels.find(|label| label.reference == reference)?;
        snapshot.people.get(&owner.owner).cloned()
    }
}
