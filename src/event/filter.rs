//! Which events somebody wants.

use std::collections::BTreeSet;

use super::{Event, EventType};

/// Which events somebody wants: those that each list which is not empty has a word for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Ids of cameras.
    pub cameras: BTreeSet<String>,
    /// What happened.
    pub types: Vec<EventType>,
    /// Ids of people, or aliases of strangers.
    pub people: BTreeSet<String>,
}

impl Filter {
    /// Whether `event` is wanted.
    pub fn passes(&self, event: &Event) -> bool {
        let identity = &event.identity;
        let shown = || identity.person.iter().chain(&identity.alias).any(|who| self.people.contains(&**who));
        (self.cameras.is_empty() || self.cameras.contains(&*event.camera))
            && (self.types.is_empty() || self.types.contains(&event.kind))
            && (self.people.is_empty() || shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::fixture;
    use crate::recognise::Identity;

    fn set(words: &[&str]) -> BTreeSet<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn every_list_that_is_given_has_to_agree() {
        let front = fixture::event("front", 1);
        let stranger = Identity::Stranger { alias: "stranger-3".into(), score: None };
        let known = Identity::Known { person: "alice".into(), name: "Alice".into(), score: 0.7, margin: None };
        let seen = |who: &Identity| Event { identity: who.into(), ..front.as_ref().clone() };
        let (cameras, types) = (set(&["front", "yard"]), vec![EventType::Started]);
        let passes = |people: &[&str], event: &Event| {
            Filter { cameras: cameras.clone(), types: types.clone(), people: set(people) }.passes(event)
        };
        assert!(Filter::default().passes(&front) && passes(&[], &front));
        assert!(!Filter { cameras: set(&["yard"]), ..Filter::default() }.passes(&front));
        assert!(!Filter { types: vec![EventType::Ended], ..Filter::default() }.passes(&front));
        assert!(passes(&["alice"], &seen(&known)) && passes(&["bob", "stranger-3"], &seen(&stranger)));
        assert!(!passes(&["alice"], &front) && !passes(&["alice"], &seen(&stranger)));
    }
}
