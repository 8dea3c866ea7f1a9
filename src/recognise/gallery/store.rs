//! The handle: search, and how a change comes to be the present state; enrolment and removal are in modules of their own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwap;

use super::calibration::Calibration;
use super::person::Person;
use super::rejection::{Refusal, Rejection};
use super::search::{self, Hit, Leader, Query, Ranking};
use super::snapshot::Snapshot;
use super::tags::Tags;
use super::vector::Vector;
use crate::metrics::{GALLERY_FACES, GALLERY_SEARCH_SECONDS};
use crate::recognise::{Embedder, Embedding};

mod enrolment;
mod likeness;
mod listing;
mod profile;
mod removal;

pub use enrolment::{Enrolment, LookAlike, Receipt};
pub use listing::{Filter, Page};
pub(super) use profile::LONGEST_TAG;
pub use profile::{Amendment, Profile};

/// What a gallery is made for.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The embedder whose numbers it holds.
    pub model: Arc<str>,
    /// How many numbers an embedding has.
    pub dimension: usize,
    /// Least cosine of a known person; `None`: by the gallery's size.
    pub threshold: Option<f32>,
    /// Least distance to the second person; `None`: by the gallery's size.
    pub margin: Option<f32>,
    /// What strangers score with this model.
    pub calibration: Calibration,
    /// Tags beside those that people were enrolled with.
    pub tags: Tags,
}

impl Settings {
    /// For the numbers of this embedder; threshold and margin by the gallery's size.
    pub fn of(embedder: &Embedder) -> Self {
        Self {
            model: embedder.model().manifest().name.as_str().into(),
            dimension: embedder.dimension(),
            threshold: None,
            margin: None,
            calibration: Calibration::of(embedder.spec()),
            tags: Tags::default(),
        }
    }
}

/// The people whom Visor knows. Clones are handles to the same gallery.
#[derive(Clone)]
pub struct Gallery(Arc<Shared>);

struct Shared {
    settings: Settings,
    current: ArcSwap<Snapshot>,
    writer: Mutex<Writer>,
}

/// What only changes need; one change at a time.
#[derive(Default)]
struct Writer {
    references_ever: u64,
    /// Snapshots that a search may still see. Kept here so that freeing and overwriting them is never a search's work.
    retired: Vec<Arc<Snapshot>>,
}

impl Writer {
    /// Frees what no search sees any more.
    fn bury(&mut self) {
        self.retired.retain(|snapshot| Arc::strong_count(snapshot) > 1);
    }
}

impl Gallery {
    /// An empty gallery.
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(Shared { settings, current: ArcSwap::default(), writer: Mutex::default() }))
    }

    /// What it was made for.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The nearest person and the nearest other one, with each the best reference. Neither waits nor locks.
    pub fn search(&self, probe: &Embedding) -> Ranking {
        self.search_at(probe, SystemTime::now())
    }

    /// [`Gallery::search`] at a given time.
    pub fn search_at(&self, probe: &Embedding, now: SystemTime) -> Ranking {
        let snapshot = self.0.current.load();
        let mut hits = self.hits(&snapshot, probe, 2, now).into_iter();
        Ranking { first: hits.next(), second: hits.next(), revision: snapshot.revision }
    }

    /// The `most` nearest people, best first.
    pub fn top(&self, probe: &Embedding, most: usize) -> Vec<Hit> {
        self.hits(&self.0.current.load(), probe, most, SystemTime::now())
    }

    fn hits(&self, snapshot: &Snapshot, probe: &Embedding, most: usize, now: SystemTime) -> Vec<Hit> {
        let began = Instant::now();
        let Some(probe) = self.vector(probe) else { return Vec::new() };
        let query = Query { probe: &probe.probe(), most, skip: &snapshot.expired(now) };
        let leaders = search::nearest_unless_vetoed(&snapshot.references, &snapshot.anchors, query);
        metrics::histogram!(GALLERY_SEARCH_SECONDS).record(began.elapsed());
        leaders.into_iter().filter_map(|leader| hit(snapshot, leader)).collect()
    }

    /// Least cosine of a known person, for the gallery's present size.
    pub fn threshold(&self) -> f32 {
        self.threshold_of(&self.0.current.load())
    }

    fn threshold_of(&self, snapshot: &Snapshot) -> f32 {
        self.0.settings.threshold.unwrap_or_else(|| self.by_size(snapshot))
    }

    /// What [`Gallery::threshold`] is where no setting says another.
    pub fn threshold_by_size(&self) -> f32 {
        self.by_size(&self.0.current.load())
    }

    fn by_size(&self, snapshot: &Snapshot) -> f32 {
        self.0.settings.calibration.threshold_for(snapshot.people.chances(), snapshot.own)
    }

    /// Least distance to the second person, for the gallery's present size.
    pub fn margin(&self) -> f32 {
        let Settings { margin, calibration, .. } = &self.0.settings;
        margin.unwrap_or_else(|| calibration.margin(self.0.current.load().people.len()))
    }

    /// Goes up with each change: an identity that rests on an older one is to be checked again.
    pub fn revision(&self) -> u64 {
        self.0.current.load().revision
    }

    /// Whether it holds a person of this id, whose time is not over.
    pub fn holds(&self, person: &str) -> bool {
        self.person(person).is_some_and(|person| !person.has_expired(SystemTime::now()))
    }

    /// The person of this id.
    pub fn person(&self, id: &str) -> Option<Arc<Person>> {
        self.0.current.load().people.get(id).cloned()
    }

    /// Everybody, by id.
    pub fn people(&self) -> Vec<Arc<Person>> {
        let mut people: Vec<_> = self.0.current.load().people.iter().cloned().collect();
        people.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        people
    }

    /// How many people there are.
    pub fn size(&self) -> usize {
        self.0.current.load().people.len()
    }

    /// Whether both are handles to one gallery.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A gallery of the same people under another threshold, margin and tags; from then on each goes its own way.
    #[must_use]
    pub fn retuned(&self, threshold: Option<f32>, margin: Option<f32>, tags: Tags) -> Self {
        let settings = Settings { threshold, margin, tags, ..self.0.settings.clone() };
        let mut next = Snapshot::clone(&self.0.current.load());
        next.revision += 1;
        // read last: it must not be behind what is there
        let writer = Writer { references_ever: self.lock().references_ever, retired: Vec::new() };
        Self(Arc::new(Shared { settings, current: ArcSwap::from_pointee(next), writer: Mutex::new(writer) }))
    }

    /// References of all people together.
    pub fn references(&self) -> usize {
        self.0.current.load().references.len()
    }

    fn publish(&self, writer: &mut Writer, mut next: Snapshot) {
        next.revision += 1;
        metrics::gauge!(GALLERY_FACES).set(next.references.len() as f64);
        writer.retired.push(self.0.current.swap(Arc::new(next)));
        writer.bury();
    }

    /// The present state.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.0.current.load_full()
    }

    /// Puts a whole state in the place of the present one.
    pub(super) fn replace(&self, snapshot: Snapshot) {
        let revision = self.revision();
        let mut writer = self.lock();
        writer.references_ever = writer.references_ever.max(snapshot.references.len() as u64);
        self.publish(&mut writer, Snapshot { revision, ..snapshot });
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.0.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn vector(&self, embedding: &Embedding) -> Option<Vector> {
        Vector::new(embedding, self.0.settings.dimension)
    }

    pub(super) fn useless(&self, embedding: &Embedding) -> Rejection {
        let Settings { model, dimension, .. } = &self.0.settings;
        let (found, expected) = (embedding.values().len(), *dimension);
        if found == expected {
            return Rejection::new(Refusal::Unusable, format!("{model} gave numbers that are not finite, or all zero"));
        }
        let detail = format!("an embedding of {found} numbers is not of {model}, which gives {expected}");
        Rejection::new(Refusal::WrongModel, detail)
    }

    /// What holds at any time.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        self.0.current.load().check_invariants();
    }
}

fn hit(snapshot: &Snapshot, leader: Leader) -> Option<Hit> {
    let person = snapshot.people.get(&leader.owner).cloned()?;
    Some(Hit { person, score: leader.score, reference: leader.reference })
}

fn full(detail: String) -> Rejection {
    Rejection::new(Refusal::GalleryFull, detail)
}

pub(super) fn no_memory(error: std::io::Error) -> Rejection {
    full(format!("there is no memory for more references: {error}"))
}
