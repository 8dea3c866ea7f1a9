//! What is wished of strangers, and of everybody at once.

use std::sync::Arc;

use tracing::info;

use super::desk::Desk;
use crate::recognise::People;
use crate::recognise::gallery::{Enrolment, PersonId, Profile, Refusal, Rejection};
use crate::sink::{Erased, PersonAnswer, Who};

/// Where references come from that a stranger had.
const MET: &str = "camera";

impl Desk {
    /// A stranger is somebody from now on, known by the faces that cameras saw.
    pub(super) fn name(
        &self,
        alias: &str,
        (id, profile): (Option<PersonId>, Profile),
        People { gallery, strangers }: &People,
    ) -> PersonAnswer {
        let Some(references) = strangers.faces(alias) else { return PersonAnswer::Refused(no_stranger(alias)) };
        let enrolment = Enrolment { id, profile, references, negative: false, source: MET.into() };
        let answer = self.enrolled(gallery.enrol(enrolment), gallery);
        if let PersonAnswer::Enrolled(receipt) = &answer {
            let person = Who::Person(receipt.person.shared());
            self.hub.appearances().rename(&Who::Stranger(alias.into()), &person);
            strangers.forget(alias);
        }
        answer
    }

    /// Two strangers are one.
    pub(super) fn merge(&self, alias: &str, into: &Arc<str>, People { strangers, .. }: &People) -> PersonAnswer {
        let merged = strangers.merge(alias, into);
        if merged {
            self.hub.appearances().rename(&Who::Stranger(alias.into()), &Who::Stranger(Arc::clone(into)));
        }
        PersonAnswer::Done(merged)
    }

    /// Nobody, or somebody again, wants to hear of a stranger.
    pub(super) fn ignore(&self, alias: &str, ignored: bool, People { strangers, .. }: &People) -> PersonAnswer {
        let there = strangers.ignore(alias, ignored);
        if there && ignored {
            self.hub.appearances().forget(&Who::Stranger(alias.into()));
        }
        PersonAnswer::Done(there)
    }

    /// Everybody is forgotten, and all that was seen of them.
    pub(super) fn erase(&self, People { gallery, strangers }: &People) -> PersonAnswer {
        let people = gallery.people();
        let faces = gallery.references();
        self.before.iter().for_each(crate::recognise::Gallery::forget_all);
        gallery.forget_all();
        let appearances = self.hub.appearances().clear();
        people.iter().for_each(|person| self.hub.forget(&person.id));
        self.hub.look_after_people(|_| false);
        let erased = Erased { people: people.len(), faces, strangers: strangers.clear(), appearances };
        info!(people = erased.people, faces, strangers = erased.strangers, appearances, "everybody is forgotten");
        PersonAnswer::Erased(erased)
    }
}

fn no_stranger(alias: &str) -> Rejection {
    Rejection::new(Refusal::UnknownPerson, format!("there is no stranger {alias:?}"))
}
