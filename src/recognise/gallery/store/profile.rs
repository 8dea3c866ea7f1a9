//! What is said of people beside what they look like: names, tags, external ids, metadata, expiry.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Map, Value};

use super::enrolment::MOST_PEOPLE;
use super::{Gallery, full};
use crate::recognise::gallery::person::{Person, PersonId};
use crate::recognise::gallery::rejection::{Refusal, Rejection};
use crate::recognise::gallery::snapshot::Snapshot;

/// Tags of one person, and the bytes of one.
const MOST_TAGS: usize = 64;
pub(in crate::recognise::gallery) const LONGEST_TAG: usize = 63;

/// Bytes of a name, and of what another system calls a person.
const LONGEST_NAME: usize = 200;

/// Bytes of a person's metadata, as JSON.
const LONGEST_METADATA: usize = 4096;

/// What is said of a person as they come, or come again; what is not said stays as it was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// The name to show; empty: the one that the person has, or else the id.
    pub name: String,
    /// What another system calls the person.
    pub external_id: Option<String>,
    /// Added to the person's tags.
    pub tags: Vec<String>,
    /// Takes the place of the person's metadata.
    pub metadata: Option<Map<String, Value>>,
    /// When the person goes by itself.
    pub expires: Option<SystemTime>,
}

/// What is to be said of a person from now on; `None` leaves what was said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Amendment {
    /// The name to show.
    pub name: Option<String>,
    /// What another system calls the person; `Some(None)`: nothing any more.
    pub external_id: Option<Option<String>>,
    /// All tags.
    pub tags: Option<Vec<String>>,
    /// All metadata.
    pub metadata: Option<Map<String, Value>>,
    /// When the person goes by itself; `Some(None)`: not any more.
    pub expires: Option<Option<SystemTime>>,
}

impl Profile {
    /// Nothing but a name.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Whether it can be kept, whoever it is said of.
    ///
    /// # Errors
    /// It cannot, for the reason given.
    pub fn check(&self) -> Result<(), Rejection> {
        self.amendment(&BTreeSet::new()).check()
    }

    /// The same as a change of somebody who has `tags` already.
    fn amendment(&self, tags: &BTreeSet<String>) -> Amendment {
        let given = |name: &String| (!name.is_empty()).then(|| name.clone());
        Amendment {
            name: given(&self.name),
            external_id: self.external_id.clone().map(Some),
            tags: (!self.tags.is_empty()).then(|| tags.iter().chain(&self.tags).cloned().collect()),
            metadata: self.metadata.clone(),
            expires: self.expires.map(Some),
        }
    }

    /// Says it of `person`, who is about to be put into `next`.
    pub(super) fn put_on(&self, person: &mut Person, next: &Snapshot) -> Result<(), Rejection> {
        let amendment = self.amendment(&person.tags);
        amendment.put_on(person, next)
    }
}

impl Amendment {
    fn put_on(&self, person: &mut Person, next: &Snapshot) -> Result<(), Rejection> {
        self.check()?;
        if let Some(Some(external)) = &self.external_id
            && let Some(other) = next.people.of_external(external)
            && *other != person.id
        {
            let detail = format!("the external id is that of person \"{other}\"; it names one person only");
            return Err(Rejection::new(Refusal::ExternalIdTaken, detail));
        }
        if let Some(name) = &self.name {
            person.name = name.as_str().into();
        }
        if let Some(external) = &self.external_id {
            person.external_id = external.as_deref().map(Arc::from);
        }
        if let Some(tags) = &self.tags {
            person.tags = tags.iter().cloned().collect();
        }
        if let Some(metadata) = &self.metadata {
            person.metadata = Arc::new(metadata.clone());
        }
        person.expires = self.expires.unwrap_or(person.expires);
        if person.tags.len() > MOST_TAGS {
            return Err(full(format!("\"{}\" would have more than {MOST_TAGS} tags", person.id)));
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Rejection> {
        let text = |what: &str, text: &str, longest: usize| {
            if text.trim().is_empty() || text.len() > longest || text.chars().any(char::is_control) {
                let detail = format!("{what} has 1 to {longest} bytes, none of them a control character");
                return Err(Rejection::new(Refusal::BadProfile, detail));
            }
            Ok(())
        };
        self.name.iter().try_for_each(|name| text("a name", name, LONGEST_NAME))?;
        self.external_id.iter().flatten().try_for_each(|id| text("an external id", id, LONGEST_NAME))?;
        self.tags.iter().flatten().try_for_each(|tag| text("a tag", tag, LONGEST_TAG))?;
        let bytes = self.metadata.as_ref().map_or(0, |metadata| Value::from(metadata.clone()).to_string().len());
        if bytes > LONGEST_METADATA {
            let detail = format!("metadata of {bytes} bytes as JSON; {LONGEST_METADATA} are kept at most");
            return Err(Rejection::new(Refusal::BadProfile, detail));
        }
        Ok(())
    }
}

impl Gallery {
    /// Makes a person of whom there is no reference yet.
    ///
    /// # Errors
    /// Somebody has the id, or nothing was made for another reason.
    pub fn declare(&self, id: Option<PersonId>, profile: &Profile) -> Result<Arc<Person>, Rejection> {
        let id = id.map_or_else(|| PersonId::of_name(&profile.name), Ok)?;
        let mut writer = self.lock();
        let mut next = Snapshot::clone(&self.0.current.load());
        if let Some(known) = next.people.get(&id) {
            let detail =
                format!("there is a person \"{id}\" already, called \"{}\"; change them, or say an id", known.name);
            return Err(Rejection::new(Refusal::NameTaken, detail));
        }
        if next.people.len() >= MOST_PEOPLE {
            return Err(full(format!("the gallery is full with {MOST_PEOPLE} people")));
        }
        let mut person = Person::new(id, &self.0.settings.model, SystemTime::now());
        person.declared = true;
        profile.put_on(&mut person, &next)?;
        let person = Arc::new(person);
        next.put(Arc::clone(&person));
        self.publish(&mut writer, next);
        Ok(person)
    }

    /// Takes over what is said of somebody out of a gallery of another model, and that so many references are `lost`. What
    /// the person has here already stays.
    ///
    /// # Errors
    /// The gallery is full, or somebody else has the external id here.
    pub fn inherit(&self, heir: &Person, lost: usize) -> Result<(), Rejection> {
        let mut writer = self.lock();
        let mut next = Snapshot::clone(&self.0.current.load());
        let known = next.people.get(&heir.id).map(|known| Person::clone(known));
        if known.is_none() && next.people.len() >= MOST_PEOPLE {
            return Err(full(format!("the gallery is full with {MOST_PEOPLE} people")));
        }
        let is_new = known.is_none();
        let mut person = known.unwrap_or_else(|| Person::new(heir.id.clone(), &self.0.settings.model, heir.created_at));
        let amendment = Amendment {
            name: (is_new && *heir.name != *heir.id).then(|| heir.name.to_string()),
            external_id: heir.external_id.as_deref().map(|external| Some(external.to_owned())),
            tags: Some(person.tags.union(&heir.tags).cloned().collect()),
            metadata: (!heir.metadata.is_empty()).then(|| Map::clone(&heir.metadata)),
            expires: heir.expires.map(Some),
        };
        amendment.put_on(&mut person, &next)?;
        person.declared |= is_new || heir.declared;
        person.lost = lost;
        person.updated_at = SystemTime::now();
        next.put(Arc::new(person));
        self.publish(&mut writer, next);
        Ok(())
    }

    /// Changes what is said of a person.
    ///
    /// # Errors
    /// There is no such person, or the change is not one that can be kept.
    pub fn amend(&self, id: &str, amendment: &Amendment) -> Result<Arc<Person>, Rejection> {
        let mut writer = self.lock();
        let mut next = Snapshot::clone(&self.0.current.load());
        let known = next.people.get(id);
        let known = known.ok_or_else(|| Rejection::new(Refusal::UnknownPerson, "there is no such person"))?;
        let mut person = Person::clone(known);
        amendment.put_on(&mut person, &next)?;
        person.updated_at = SystemTime::now();
        let person = Arc::new(person);
        next.put(Arc::clone(&person));
        self.publish(&mut writer, next);
        Ok(person)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recognise::gallery::Filter;
    use crate::recognise::gallery::tests::{enrol, gallery};

    fn profile(name: &str, external: &str) -> Profile {
        Profile { external_id: Some(external.to_owned()), ..Profile::named(name) }
    }

    fn called(gallery: &Gallery, external: &str) -> Option<String> {
        gallery.check_invariants();
        gallery.of_external(external).map(|person| person.id.to_string())
    }

    #[test]
    fn who_is_known_stays_so_in_a_gallery_of_another_model() {
        let (old, new) = (gallery(), gallery());
        enrol(&old, "Alice", &[1, 2]);
        let said = Amendment { external_id: Some(Some("hr-7".to_owned())), ..Amendment::default() };
        let alice = old.amend("alice", &said).unwrap();
        new.inherit(&alice, 2).unwrap();
        new.check_invariants();
        let heir = new.of_external("hr-7").unwrap();
        assert_eq!((&*heir.name, heir.references.len(), heir.lost), ("Alice", 0, 2));
        assert_eq!(heir.created_at, alice.created_at);
        let added = enrol(&new, "Alice", &[3]).added;
        assert_eq!(new.person("alice").unwrap().lost, 0, "known by a face again");
        new.remove(&added);
        assert!(new.holds("alice"));

        enrol(&old, "Bob", &[4]);
        let bob = old.amend("bob", &Amendment { name: Some("Robert".to_owned()), ..said }).unwrap_err();
        assert_eq!(bob.reason, Refusal::ExternalIdTaken);
        enrol(&new, "Bob", &[5]);
        new.inherit(&old.person("bob").unwrap(), 1).unwrap();
        let bob = new.person("bob").unwrap();
        assert_eq!((bob.references.len(), bob.lost, bob.declared), (1, 1, false), "what is here stays");
    }

    #[test]
    fn who_is_made_by_name_stays_without_a_face_and_who_came_with_one_does_not() {
        let gallery = gallery();
        let alice = gallery.declare(None, &Profile::named("Alice")).unwrap();
        assert_eq!((&*alice.id, alice.references.len()), ("alice", 0));
        assert_eq!(gallery.declare(None, &Profile::named("Alice")).unwrap_err().reason, Refusal::NameTaken);
        let added = [enrol(&gallery, "Alice", &[1]).added, enrol(&gallery, "Bob", &[2]).added].concat();
        assert_eq!(gallery.owner_of(added[1]).map(|owner| owner.id.to_string()).as_deref(), Some("bob"));
        assert_eq!(gallery.remove(&added), 2);
        gallery.check_invariants();
        assert!(gallery.holds("alice") && !gallery.holds("bob"));
        assert!(gallery.forget("alice") && !gallery.holds("alice"));
    }

    #[test]
    fn an_external_id_is_one_person_s_and_goes_with_them() {
        let gallery = gallery();
        gallery.declare(None, &profile("Alice", "7")).unwrap();
        let taken = gallery.declare(None, &profile("Bob", "7")).unwrap_err();
        assert_eq!(taken.reason, Refusal::ExternalIdTaken);
        gallery.declare(None, &profile("Bob", "8")).unwrap();
        let to = |external: Option<&str>| Amendment {
            external_id: Some(external.map(str::to_owned)),
            ..Amendment::default()
        };
        assert_eq!(gallery.amend("bob", &to(Some("7"))).unwrap_err().reason, Refusal::ExternalIdTaken);
        gallery.amend("alice", &to(None)).unwrap();
        gallery.amend("bob", &to(Some("7"))).unwrap();
        assert_eq!((called(&gallery, "7").as_deref(), called(&gallery, "8")), (Some("bob"), None));
        gallery.forget("bob");
        assert_eq!(called(&gallery, "7"), None);
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let gallery = gallery();
        let until = SystemTime::now() + std::time::Duration::from_secs(3600);
        let whole = Profile { tags: vec!["staff".to_owned()], expires: Some(until), ..profile("Alice", "7") };
        gallery.declare(None, &whole).unwrap();
        let rename = Amendment { name: Some("Alice B.".to_owned()), ..Amendment::default() };
        let alice = gallery.amend("alice", &rename).unwrap();
        assert_eq!((&*alice.name, alice.external_id.as_deref(), alice.expires), ("Alice B.", Some("7"), Some(until)));
        let clear = Amendment { tags: Some(Vec::new()), expires: Some(None), ..Amendment::default() };
        let alice = gallery.amend("alice", &clear).unwrap();
        assert!(alice.tags.is_empty() && alice.expires.is_none() && &*alice.name == "Alice B.");
        assert_eq!(gallery.amend("nobody", &clear).unwrap_err().reason, Refusal::UnknownPerson);
        // A picture of the folder gives the folder's name again.
        enrol(&gallery, "Alice", &[1]);
        assert_eq!(&*gallery.person("alice").unwrap().name, "Alice");
    }

    #[test]
    fn what_is_too_much_or_no_text_is_refused() {
        let gallery = gallery();
        let name = |name: &str| Profile::named(name);
        let tag = |tag: &str| Profile { tags: vec![tag.to_owned()], ..name("Bob") };
        let metadata = |bytes: usize| Profile {
            metadata: Some(Map::from_iter([("note".to_owned(), Value::from("x".repeat(bytes)))])),
            ..name("Bob")
        };
        for wrong in [name("a\nb"), tag(""), tag(&"t".repeat(64)), metadata(4096), profile("Bob", " ")] {
            let rejection = gallery.declare(None, &wrong).unwrap_err();
            assert_eq!(rejection.reason, Refusal::BadProfile, "{wrong:?}");
        }
        let many = Profile { tags: (0..65).map(|n| n.to_string()).collect(), ..name("Bob") };
        assert_eq!(gallery.declare(None, &many).unwrap_err().reason, Refusal::GalleryFull);
        gallery.declare(None, &metadata(4000)).unwrap();
    }

    #[test]
    fn a_list_is_read_page_by_page_and_filtered() {
        let gallery = gallery();
        for n in 0..25 {
            let tags = if n % 5 == 0 { vec!["staff".to_owned()] } else { Vec::new() };
            gallery.declare(None, &Profile { tags, ..Profile::named(&format!("Person {n:02}")) }).unwrap();
        }
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = gallery.page(&Filter::default(), after.as_deref(), 10);
            assert!(page.people.len() <= 10);
            found.extend(page.people.iter().map(|person| person.id.to_string()));
            after = found.last().cloned();
            if !page.more {
                break;
            }
        }
        assert!(found.is_sorted() && found.len() == 25);
        let count = |filter: Filter| gallery.page(&filter, None, 100).people.len();
        assert_eq!(count(Filter { tag: Some("staff".to_owned()), text: None }), 5);
        assert_eq!(count(Filter { tag: None, text: Some("PERSON 1".to_owned()) }), 10);
    }
}
