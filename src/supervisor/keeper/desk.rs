//! Whoever comes to the gallery's thread with a wish.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use crossbeam_channel::Receiver;
use tracing::info;

use super::{Engine, Kept};
use crate::clock::Monotonic;
use crate::pipeline::Recognition;
use crate::recognise::gallery::enroller;
use crate::recognise::gallery::{Person, PersonId, Profile, Receipt, Rejection};
use crate::recognise::{Gallery, People};
use crate::sink::{Forgotten, GalleryStats, Hub, Looked, PersonAnswer, PersonCommand, PersonWish, Who};

/// Pictures that wait while the folder is being read; more are refused, and whoever asked is told.
const WAITING: usize = 32;

/// Where references come from that were sent in.
const SENT_IN: &str = "mqtt";

/// Hears wishes, and grants them.
pub(super) struct Desk {
    pub(super) hub: Hub,
    pub(super) wishes: Receiver<PersonCommand>,
    /// What came while the folder was being read.
    pub(super) waiting: VecDeque<PersonCommand>,
    /// What cameras use while the folder is read, where that is not the gallery it is read into.
    pub(super) before: Option<Gallery>,
    /// What cameras recognise with, whatever it is at the moment.
    pub(super) recognition: Arc<ArcSwapOption<Recognition>>,
    pub(super) stop: Arc<AtomicBool>,
}

pub(super) fn recognition_off() -> PersonAnswer {
    PersonAnswer::NotNow("recognition_off", "there is no embedder, or the gallery is still being made".to_owned())
}

fn busy() -> PersonAnswer {
    PersonAnswer::NotNow("busy", "the gallery's folder is being read; try again".to_owned())
}

fn forgotten() -> PersonAnswer {
    PersonAnswer::NotNow("forgotten", "whoever this is of was forgotten meanwhile".to_owned())
}

impl Desk {
    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// What need not wait until the folder has been read, and to see who has left.
    pub(super) fn attend(&mut self, people: &People) {
        let commands: Vec<_> = self.wishes.try_iter().take(WAITING).collect();
        for PersonCommand { person, wish, answer } in commands {
            let is_other = self.before.as_ref().is_some_and(|before| !before.is(&people.gallery));
            match wish {
                PersonWish::Enrol(_) if self.waiting.len() < WAITING => {
                    self.waiting.push_back(PersonCommand { person, wish, answer });
                }
                PersonWish::Enrol(_) => answer(busy()),
                // what cameras use would not have it
                PersonWish::Declare(..)
                | PersonWish::Amend(_)
                | PersonWish::Add(_)
                | PersonWish::RemoveReference(_)
                | PersonWish::NameStranger(..)
                | PersonWish::MergeStranger(Who::Person(_))
                    if is_other =>
                {
                    answer(busy());
                }
                wish => answer(self.grant(&person, wish, people)),
            }
        }
        self.look_after(Some(people));
    }

    /// Does what needs no model.
    pub(super) fn grant(&mut self, person: &str, wish: PersonWish, people: &People) -> PersonAnswer {
        let gallery = &people.gallery;
        match wish {
            PersonWish::Forget => self.forget(person, gallery),
            PersonWish::Add(looked) => self.add(*looked, gallery),
            PersonWish::RemoveReference(id) => self.remove(id, gallery),
            PersonWish::Declare(id, profile) => self.stands(gallery.declare(id, &profile)),
            PersonWish::Amend(amendment) => self.stands(gallery.amend(person, &amendment)),
            PersonWish::NameStranger(id, profile) => self.name(person, (id, profile), people),
            PersonWish::MergeStranger(into) => self.merge(person, &into, people),
            PersonWish::IgnoreStranger(ignored) => self.ignore(person, ignored, people),
            PersonWish::ForgetAll => self.erase(Some(people)),
            PersonWish::Enrol(_) => busy(),
        }
    }

    /// Shows a person as they are now.
    fn stands(&self, outcome: Result<Arc<Person>, Rejection>) -> PersonAnswer {
        match outcome {
            Ok(person) => {
                self.show(Some(&person));
                PersonAnswer::Stands(person)
            }
            Err(rejection) => PersonAnswer::Refused(rejection),
        }
    }

    fn show(&self, person: Option<&Person>) {
        let shown = person.map(|person| (person.id.shared(), Arc::clone(&person.name)));
        self.hub.enrolled(shown.iter().map(|(id, name)| (id, name)));
    }

    /// Takes in faces that were looked at.
    fn add(&self, looked: Looked, gallery: &Gallery) -> PersonAnswer {
        let Looked { enrolment, model, given_up, only_known } = looked;
        let is_gone = only_known && !enrolment.id.as_deref().is_some_and(|id| gallery.holds(id));
        if given_up.load(Ordering::Relaxed) || is_gone {
            return forgotten();
        }
        if *model != *gallery.settings().model {
            let detail = "the embedder was replaced while the picture was looked at; try again".to_owned();
            return PersonAnswer::NotNow("busy", detail);
        }
        self.enrolled(gallery.enrol(enrolment), gallery)
    }

    /// Takes out a reference; who has none left may go with it.
    fn remove(&self, reference: u64, gallery: &Gallery) -> PersonAnswer {
        let owner = gallery.owner_of(reference);
        let removed = gallery.remove(&[reference]) > 0;
        for owner in owner.iter().filter(|owner| !gallery.holds(&owner.id)) {
            self.hub.forget(&owner.id);
            info!("somebody is forgotten with the last picture");
        }
        PersonAnswer::Forgotten(removed)
    }

    /// Says what became of it, and shows the person.
    pub(super) fn enrolled(&self, outcome: Result<Receipt, Rejection>, gallery: &Gallery) -> PersonAnswer {
        match outcome {
            Ok(receipt) => {
                self.show(gallery.person(&receipt.person).as_deref());
                info!(added = receipt.added.len(), duplicates = receipt.duplicates, "enrolled");
                PersonAnswer::Enrolled(receipt)
            }
            Err(rejection) => {
                info!(reason = rejection.reason.word(), "not enrolled");
                PersonAnswer::Refused(rejection)
            }
        }
    }

    /// Pictures that wait are not taken in of whoever is forgotten meanwhile.
    pub(super) fn give_up(&mut self, whom: Forgotten<'_>) {
        let waiting = std::mem::take(&mut self.waiting);
        let (gone, kept) = waiting.into_iter().partition(|command| whom.has(Some(&*command.person)));
        self.waiting = kept;
        let gone: VecDeque<PersonCommand> = gone;
        gone.into_iter().for_each(|command| (command.answer)(forgotten()));
    }

    fn forget(&mut self, person: &str, gallery: &Gallery) -> PersonAnswer {
        self.give_up(Forgotten::Person(person));
        let before = self.before.as_ref().is_some_and(|before| before.forget(person));
        let known = gallery.forget(person) || before;
        self.hub.forget(person);
        info!(known, "somebody is forgotten");
        PersonAnswer::Forgotten(known)
    }

    pub(super) fn enrol(&self, person: &str, picture: &[u8], kept: &mut Kept, engine: &Engine) -> PersonAnswer {
        let enrolled = PersonId::new(person).and_then(|id| {
            let source = SENT_IN.into();
            let who = enroller::Who { id: Some(id), profile: Profile::default(), negative: false, source };
            kept.keep_up(engine);
            kept.enroller.enrol(&who, picture)
        });
        self.enrolled(enrolled, &kept.people.gallery)
    }

    /// Ends whose time is over.
    pub(super) fn look_after(&self, people: Option<&People>) {
        let Some(People { gallery, strangers }) = people else {
            self.hub.gallery_stats(GalleryStats::default());
            return self.hub.look_after_people(|_| false);
        };
        for person in gallery.sweep(SystemTime::now()) {
            self.hub.forget(&person);
            info!("somebody is forgotten: the time is over");
        }
        strangers.sweep(Monotonic::now());
        self.hub.gallery_stats(GalleryStats { people: gallery.size(), references: gallery.references() });
        self.hub.look_after_people(|person| gallery.holds(person));
    }
}
