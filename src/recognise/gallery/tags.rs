//! Tags that the settings give people: words that policies refer to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::person::{Person, PersonId};
use super::store::{Gallery, LONGEST_TAG};
use crate::fault::Problem;

/// People's ids by tag, whether or not they are enrolled. Clones share it.
pub type Tags = Arc<BTreeMap<String, BTreeSet<String>>>;

/// What is wrong with tags as they were written.
pub fn problems(tags: &Tags) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (tag, people) in tags.iter() {
        if tag.is_empty() || tag.len() > LONGEST_TAG {
            problems.push(Problem::new("tags", format!("\"{tag}\" is no tag: 1 to {LONGEST_TAG} bytes")));
        }
        for rejection in people.iter().filter_map(|id| PersonId::new(id).err()) {
            problems.push(
                Problem::new("tags", rejection.detail)
                    .remedy("name people by their ids: visor gallery list shows them"),
            );
        }
    }
    problems
}

impl Gallery {
    /// The person's own tags, and those of the settings.
    pub fn tags_of(&self, person: &Person) -> BTreeSet<String> {
        let given = self.settings().tags.iter().filter(|(_, people)| people.contains(&*person.id));
        person.tags.iter().cloned().chain(given.map(|(tag, _)| tag.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{enrol, gallery};
    use super::*;

    fn tags(written: &[(&str, &[&str])]) -> Tags {
        let people = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        Arc::new(written.iter().map(|(tag, ids)| ((*tag).to_owned(), people(ids))).collect())
    }

    #[test]
    fn people_have_the_tags_that_the_settings_give_their_ids() {
        let gallery = gallery();
        enrol(&gallery, "Alice", &[1]);
        let before = gallery.revision();
        let tagged = gallery.retuned(None, None, tags(&[("staff", &["alice", "bob"]), ("guest", &["cara"])]));
        let of = |gallery: &Gallery| gallery.tags_of(&gallery.person("alice").unwrap());
        assert_eq!(of(&tagged), BTreeSet::from(["staff".to_owned()]));
        assert!(of(&gallery).is_empty());
        assert!(tagged.revision() > before, "who rests on the old tags looks again");
    }

    #[test]
    fn each_wrong_tag_and_id_is_named() {
        assert_eq!(problems(&tags(&[("staff", &["alice"])])), []);
        let texts = problems(&tags(&[("", &["Alice B"])])).into_iter().map(|problem| problem.what);
        let texts: Vec<_> = texts.collect();
        assert_eq!(texts[0], "\"\" is no tag: 1 to 63 bytes");
        assert!(texts[1].starts_with("\"Alice B\" is not an id"), "{texts:?}");
    }
}
