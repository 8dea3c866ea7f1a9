//! Enrolment: what comes in, what became of it, and the judgement of new references before they come in.

use std::sync::Arc;
use std::time::SystemTime;

use super::{Gallery, Profile, full, no_memory};
use crate::recognise::Embedding;
use crate::recognise::gallery::calibration::Own;
use crate::recognise::gallery::person::{Person, PersonId, Reference};
use crate::recognise::gallery::rejection::{Refusal, Rejection};
use crate::recognise::gallery::search::{self, Leader, Query};
use crate::recognise::gallery::segment::{Label, Row};
use crate::recognise::gallery::snapshot::Snapshot;
use crate::recognise::gallery::vector::{Vector, cosine};

/// People in one gallery.
pub(super) const MOST_PEOPLE: usize = 200_000;

/// References of one person, and as many anchors.
const MOST_REFERENCES: usize = 1000;

/// References in one gallery.
const MOST_ROWS: usize = 2_000_000;

/// From this cosine on two references of a person are the same picture: another says nothing new.
const SAME_PICTURE: f32 = 0.999;

/// How many other people are named that a new reference looks like.
const MOST_LOOK_ALIKES: usize = 3;

/// References of one person, on their way in.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// The person; `None`: the slug of the profile's name.
    pub id: Option<PersonId>,
    /// What is said of the person; adds to what was said before.
    pub profile: Profile,
    /// What the person looks like, and how good each is, 0 to 1.
    pub references: Vec<(Embedding, f32)>,
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

/// A reference that has been looked at and may come in.
struct Candidate {
    vector: Vector,
    quality: f32,
    own: Own,
}

impl Gallery {
    /// Adds references to a person, who is made where there is none of the id.
    ///
    /// # Errors
    /// Nothing was added: an embedding of another model or of no use, a name that gives no id or that of somebody else, or
    /// a limit was reached.
    pub fn enrol(&self, enrolment: Enrolment) -> Result<Receipt, Rejection> {
        let id = enrolment.id.clone().map_or_else(|| PersonId::of_name(&enrolment.profile.name), Ok)?;
        let mut receipt = Receipt { person: id, added: Vec::new(), duplicates: 0, look_alikes: Vec::new() };
        // Without the lock: looking takes longer than adding, and forgetting must not wait for it.
        let candidates = self.look_at(&enrolment, &mut receipt)?;
        let mut writer = self.lock();
        let mut next = Snapshot::clone(&self.0.current.load());
        let mut person = person_for(&next, &receipt.person, &enrolment, &self.0.settings.model)?;
        let created_at = person.updated_at;
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
            created_at,
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
    let profile = &enrolment.profile;
    // Whoever was given another name since then is still the one of the id.
    let clashes = |known: &&Arc<Person>| {
        *known.name != *profile.name && PersonId::of_name(&known.name).is_ok_and(|known| known == *id)
    };
    if let Some(known) = named.filter(clashes).filter(|_| enrolment.id.is_none()) {
        let detail = format!("\"{}\" and \"{}\" both have the id \"{id}\"", profile.name, known.name);
        return Err(Rejection::new(Refusal::NameTaken, detail));
    }
    if known.is_none() && (enrolment.negative || enrolment.references.is_empty()) {
        return Err(Rejection::new(Refusal::UnknownPerson, format!("there is no person \"{id}\"")));
    }
    if known.is_none() && snapshot.people.len() >= MOST_PEOPLE {
        return Err(full(format!("the gallery is full with {MOST_PEOPLE} people")));
    }
    let now = SystemTime::now();
    let mut person = known.map_or_else(|| Person::new(id.clone(), model, now), |known| Person::clone(known));
    person.updated_at = now;
    person.lost = if enrolment.negative { person.lost } else { 0 };
    profile.put_on(&mut person, snapshot)?;
    Ok(person)
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
