//! What is wished of strangers, and of everybody at once.

use std::sync::Arc;

use tracing::info;

use super::desk::Desk;
use crate::pipeline::Recognition;
use crate::recognise::gallery::{Enrolment, PersonId, Profile, Refusal, Rejection};
use crate::recognise::{Gallery, People};
use crate::sink::{Erased, Forgotten, PersonAnswer, Who};

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

    /// Two strangers are one, or a stranger is somebody who is known.
    pub(super) fn merge(&self, alias: &str, into: &Who, people: &People) -> PersonAnswer {
        let alike = match into {
            Who::Stranger(alike) => alike,
            Who::Person(person) => return self.join(alias, person, people),
        };
        let merged = people.strangers.merge(alias, alike);
        if merged {
            self.hub.appearances().rename(&Who::Stranger(alias.into()), into);
        }
        PersonAnswer::Done(merged)
    }

    fn join(&self, alias: &str, person: &str, people: &People) -> PersonAnswer {
        let id = if people.gallery.holds(person) { PersonId::new(person).ok() } else { None };
        match id {
            Some(id) => self.name(alias, (Some(id), Profile::default()), people),
            None => {
                let detail = format!("there is no person {person:?}");
                PersonAnswer::Refused(Rejection::new(Refusal::UnknownPerson, detail))
            }
        }
    }

    /// Nobody, or somebody again, wants to hear of a stranger.
    pub(super) fn ignore(&self, alias: &str, ignored: bool, People { strangers, .. }: &People) -> PersonAnswer {
        let there = strangers.ignore(alias, ignored);
        if there && ignored {
            self.hub.appearances().forget(&Who::Stranger(alias.into()));
        }
        PersonAnswer::Done(there)
    }

    /// Everybody is forgotten, and all that was seen of them; also where recognition is off, and nobody is known.
    pub(super) fn erase(&mut self, known: Option<&People>) -> PersonAnswer {
        self.give_up(Forgotten::Everybody);
        self.before.iter().for_each(Gallery::forget_all);
        let mut erased = Erased::default();
        if let Some(People { gallery, strangers }) = known {
            (erased.people, erased.faces) = (gallery.size(), gallery.references());
            gallery.forget_all();
            erased.strangers = strangers.clear();
        }
        erased.strangers += self.begin_anew();
        (erased.appearances, erased.kept) = self.hub.forget_everybody();
        let Erased { people, faces, strangers, appearances, .. } = erased;
        info!(people, faces, strangers, appearances, "everybody is forgotten");
        PersonAnswer::Erased(erased)
    }

    /// Cameras go on with the same models and people, and let go of the faces and names of whom they follow, or followed a
    /// moment ago. Gives how many strangers were left whom only they knew, of a gallery that another one is to replace.
    fn begin_anew(&self) -> usize {
        let Some(now) = self.recognition.load_full() else { return 0 };
        let Recognition { models, people } = &*now;
        let left = people.strangers.clear();
        let anew = Recognition { models: models.clone(), people: people.clone() };
        self.recognition.store(Some(Arc::new(anew)));
        left
    }
}

fn no_stranger(alias: &str) -> Rejection {
    Rejection::new(Refusal::UnknownPerson, format!("there is no stranger {alias:?}"))
}
