//! The handle: enrol, forget, expire, search.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;

use super::calibration::{Calibration, Own};
use super::person::{Person, PersonId, Reference};
use super::rejection::{Refusal, Rejection};
use super::search::{self, Hit, Leader, Query, Ranking};
use super::segment::{Label, Row};
use super::snapshot::Snapshot;
use super::tags::Tags;
use super::vector::{Vector, cosine};
use crate::metrics::{GALLERY_FACES, GALLERY_SEARCH_SECONDS};
use crate::recognise::{Embedder, Embedding};

/// People in one gallery.
const MOST_PEOPLE: usize = 200_000;

/// References of one person, and as many anchors.
const MOST_REFERENCES: usize = 1000;

/// References in one gallery.
const MOST_ROWS: usize = 2_000_000;

/// Tags of one person, and the bytes of one.
const MOST_TAGS: usize = 64;
pub(super) const LONGEST_TAG: usize = 63;

/// From this cosine on two references of a person are the same picture: another says nothing new.
const SAME_PICTURE: f32 = 0.999;

/// How many other people are named that a new reference looks like.
const MOST_LOOK_ALIKES: usize = 3;

/// How long a removal waits for searches that still see what goes; the next change or sweep looks again.
const LAST_READERS: Duration = Duration::from_millis(200);

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

/// References of one person, on their way in.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// The person; `None`: the slug of `name`.
    pub id: Option<PersonId>,
    /// The name to show; empty: the one that the person has, or else the id.
    pub name: String,
    /// Added to the person's tags.
    pub tags: Vec<String>,
    /// What the person looks like, and how good each is, 0 to 1.
    pub references: Vec<(Embedding, f32)>,
    /// When the person goes by itself; `None` leaves what was said before.
    pub expires: Option<SystemTime>,
    /// These are of somebody whom the person must not be taken for.
    pub negative: bool,
    /// Where they come from, as listings show it.
    pub source: Arc<str>,
}

/// Another person who looks much like a new reference.
#[derive(Clone, Debug, PartialEq)]
pub struct LookAlike {
    /// Who.
    pub person: PersonId,
    /// The person's name.
    pub name: Arc<str>,
    /// Their cosine.
    pub score: f32,
    /// The other person's reference.
    pub reference: u64,
}

/// What became of an enrolment.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    /// Whose references they are.
    pub person: PersonId,
    /// Ids of those that were added.
    pub added: Vec<u64>,
    /// How many were there already.
    pub duplicates: usize,
    /// Other people who score at the threshold or above, nearest first.
    pub look_alikes: Vec<LookAlike>,
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

/// A reference that has been looked at and may come in.
struct Candidate {
    vector: Vector,
    quality: f32,
    own: Own,
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
        let Settings { threshold, calibration, .. } = &self.0.settings;
        threshold.unwrap_or_else(|| calibration.threshold_for(snapshot.people.chances(), snapshot.own))
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

    /// Adds references to a person, who is made where there is none of the id.
    ///
    /// # Errors
    /// Nothing was added: an embedding of another model or of no use, a name that gives no id or that of somebody else, or
    /// a limit was reached.
    pub fn enrol(&self, enrolment: Enrolment) -> Result<Receipt, Rejection> {
        let id = enrolment.id.clone().map_or_else(|| PersonId::of_name(&enrolment.name), Ok)?;
        let mut receipt = Receipt { person: id, added: Vec::new(), duplicates: 0, look_alikes: Vec::new() };
        // Without the lock: looking takes longer than adding, and forgetting must not wait for it.
        let candidates = self.look_at(&enrolment, &mut receipt)?;
        let mut writer = self.lock();
        let mut next = Snapshot::clone(&self.0.current.load());
        let mut person = person_for(&next, &receipt.person, &enrolment, &self.0.settings.model)?;
        let list = if enrolment.negative { &mut person.anchors } else { &mut person.references };
        if list.len() + candidates.len() > MOST_REFERENCES {
            return Err(full(format!(
                "\"{}\" has {} references, the most are {MOST_REFERENCES}",
                person.id,
                list.len()
            )));
        }
        if next.references.len() + next.anchors.len() + candidates.len() > MOST_ROWS {
            return Err(full(format!("the gallery is full with {MOST_ROWS} references")));
        }
        receipt.added = (writer.references_ever..).take(candidates.len()).collect();
        writer.references_ever += candidates.len() as u64;
        let references = receipt.added.iter().zip(&candidates).map(|(&id, candidate)| Reference {
            id,
            quality: candidate.quality,
            source: Arc::clone(&enrolment.source),
        });
        list.extend(references);
        let rows = receipt.added.iter().zip(&candidates).map(|(&reference, candidate)| {
            Row::new(&candidate.vector, Label { owner: receipt.person.clone(), reference, own: candidate.own })
        });
        let side = if enrolment.negative { &mut next.anchors } else { &mut next.references };
        *side = side.with(self.0.settings.dimension, rows.collect()).map_err(no_memory)?;
        next.own = candidates.iter().fold(next.own, |own, candidate| own.plus(candidate.own));
        next.put(Arc::new(person));
        self.publish(&mut writer, next);
        Ok(receipt)
    }

    /// Judges the new references against each other and against those that are there.
    fn look_at(&self, enrolment: &Enrolment, receipt: &mut Receipt) -> Result<Vec<Candidate>, Rejection> {
        let snapshot = self.0.current.load();
        let threshold = self.threshold_of(&snapshot);
        let known = snapshot.people.get(&receipt.person).map_or(0, |person| person.references.len());
        let others = (snapshot.references.len() - known) as u64;
        let mut candidates: Vec<Candidate> = Vec::with_capacity(enrolment.references.len().min(MOST_REFERENCES));
        for (embedding, quality) in &enrolment.references {
            let vector = self.vector(embedding).ok_or_else(|| self.useless(embedding))?;
            let probe = vector.probe();
            let again = |candidate: &Candidate| cosine(&candidate.vector.exact, &vector.exact) >= SAME_PICTURE;
            let rows = if enrolment.negative { &snapshot.anchors } else { &snapshot.references };
            let near = search::nearest(rows, Query { probe: &probe, most: MOST_LOOK_ALIKES + 1, skip: &[] });
            let there = |near: &Leader| near.owner == receipt.person && near.score >= SAME_PICTURE;
            if candidates.iter().any(again) || near.iter().any(there) {
                receipt.duplicates += 1;
                continue;
            }
            let mut own = Own::default();
            if !enrolment.negative {
                let high = self.0.settings.calibration.impostors.cosine;
                own.pairs = others;
                own.high = search::count_high(&snapshot.references, &probe, &receipt.person, high);
                near.into_iter()
                    .filter(|near| near.owner != receipt.person && near.score >= threshold)
                    .for_each(|near| note_look_alike(&snapshot, near, &mut receipt.look_alikes));
            }
            drop(probe);
            candidates.push(Candidate { vector, quality: *quality, own });
        }
        receipt.look_alikes.sort_by(|a, b| b.score.total_cmp(&a.score));
        Ok(candidates)
    }

    /// Removes the person and everything of theirs. Once this returns no new search sees them, and their numbers are
    /// overwritten unless a search that began before takes very long. `false`: there was nobody of this id.
    pub fn forget(&self, person: &str) -> bool {
        let mut writer = self.lock();
        let mut next = Snapshot::clone(&self.0.current.load());
        let known = next.people.get(person).is_some();
        if known {
            self.drop_people(&mut next, &BTreeSet::from([person]));
            self.publish(&mut writer, next);
            wait_for_readers(&mut writer);
        }
        known
    }

    /// Removes everybody.
    pub fn forget_all(&self) {
        let mut writer = self.lock();
        let revision = self.0.current.load().revision;
        self.publish(&mut writer, Snapshot { revision, ..Snapshot::default() });
        wait_for_readers(&mut writer);
    }

    /// Removes single references or anchors; a person who has no reference left goes as a whole. Gives how many there were.
    pub fn remove(&self, references: &[u64]) -> usize {
        let gone: BTreeSet<u64> = references.iter().copied().collect();
        let mut writer = self.lock();
        let mut next = Snapshot::clone(&self.0.current.load());
        let listed = |list: &[Reference]| list.iter().filter(|reference| gone.contains(&reference.id)).count();
        let touched: Vec<_> =
            next.people.iter().filter(|p| listed(&p.references) + listed(&p.anchors) > 0).cloned().collect();
        let removed = touched.iter().map(|p| listed(&p.references) + listed(&p.anchors)).sum();
        if removed == 0 {
            return 0;
        }
        let mut empty = BTreeSet::new();
        for person in &touched {
            let mut rest = Person::clone(person);
            rest.references.retain(|reference| !gone.contains(&reference.id));
            rest.anchors.retain(|anchor| !gone.contains(&anchor.id));
            if rest.references.is_empty() {
                empty.insert(&*person.id);
            }
            next.put(Arc::new(rest));
        }
        self.drop_rows(&mut next, |label| gone.contains(&label.reference));
        if !empty.is_empty() {
            self.drop_people(&mut next, &empty);
        }
        self.publish(&mut writer, next);
        wait_for_readers(&mut writer);
        removed
    }

    /// Removes people whose time is over, and frees what searches have let go of. Meant to be called once a second.
    pub fn sweep(&self, now: SystemTime) -> Vec<PersonId> {
        let mut writer = self.lock();
        writer.bury();
        let snapshot = self.0.current.load();
        let expired = snapshot.expired(now);
        if !expired.is_empty() {
            let mut next = Snapshot::clone(&snapshot);
            drop(snapshot);
            self.drop_people(&mut next, &expired.iter().map(|id| &**id).collect());
            self.publish(&mut writer, next);
            wait_for_readers(&mut writer);
        }
        expired
    }

    fn drop_people(&self, next: &mut Snapshot, gone: &BTreeSet<&str>) {
        self.drop_rows(next, |label| gone.contains(&*label.owner));
        gone.iter().for_each(|person| next.people.remove(person));
        next.note_expiry();
    }

    fn drop_rows(&self, next: &mut Snapshot, gone: impl Fn(&Label) -> bool) {
        let dimension = self.0.settings.dimension;
        let dropped = next.references.labels().filter(|label| gone(label));
        next.own = dropped.fold(next.own, |own, label| own.minus(label.own));
        next.references = next.references.without(dimension, &gone);
        next.anchors = next.anchors.without(dimension, &gone);
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

/// The person as they will be, without the new references.
fn person_for(
    snapshot: &Snapshot,
    id: &PersonId,
    enrolment: &Enrolment,
    model: &Arc<str>,
) -> Result<Person, Rejection> {
    let known = snapshot.people.get(id);
    // Whoever came without a name is called by the id, which is no name that another could clash with.
    let named = known.filter(|known| *known.name != **id);
    if let Some(known) = named.filter(|known| enrolment.id.is_none() && *known.name != *enrolment.name) {
        let detail = format!("\"{}\" and \"{}\" both have the id \"{id}\"", enrolment.name, known.name);
        return Err(Rejection::new(Refusal::NameTaken, detail));
    }
    if known.is_none() && (enrolment.negative || enrolment.references.is_empty()) {
        return Err(Rejection::new(Refusal::UnknownPerson, format!("there is no person \"{id}\"")));
    }
    if known.is_none() && snapshot.people.len() >= MOST_PEOPLE {
        return Err(full(format!("the gallery is full with {MOST_PEOPLE} people")));
    }
    let mut person = known.map_or_else(
        || Person {
            id: id.clone(),
            name: id.shared(),
            tags: BTreeSet::new(),
            model: Arc::clone(model),
            references: Vec::new(),
            anchors: Vec::new(),
            expires: None,
        },
        |known| Person::clone(known),
    );
    if !enrolment.name.is_empty() {
        person.name = enrolment.name.as_str().into();
    }
    person.expires = enrolment.expires.or(person.expires);
    person.tags.extend(enrolment.tags.iter().filter(|tag| tag.len() <= LONGEST_TAG).cloned());
    if person.tags.len() > MOST_TAGS {
        return Err(full(format!("\"{id}\" would have more than {MOST_TAGS} tags")));
    }
    Ok(person)
}

fn full(detail: String) -> Rejection {
    Rejection::new(Refusal::GalleryFull, detail)
}

pub(super) fn no_memory(error: std::io::Error) -> Rejection {
    full(format!("there is no memory for more references: {error}"))
}

fn note_look_alike(snapshot: &Snapshot, near: Leader, found: &mut Vec<LookAlike>) {
    if let Some(known) = found.iter_mut().find(|known| known.person == near.owner) {
        if near.score > known.score {
            (known.score, known.reference) = (near.score, near.reference);
        }
    } else if let Some(person) = snapshot.people.get(&near.owner) {
        let name = Arc::clone(&person.name);
        found.push(LookAlike { person: near.owner, name, score: near.score, reference: near.reference });
    }
}

fn wait_for_readers(writer: &mut Writer) {
    let deadline = Instant::now() + LAST_READERS;
    writer.bury();
    while !writer.retired.is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
        writer.bury();
    }
}
