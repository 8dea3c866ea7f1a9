//! A made-up gallery of any size, for benchmarks.

use std::sync::Arc;
use std::time::SystemTime;

use super::calibration::{Calibration, Own};
use super::person::{Person, PersonId, Reference};
use super::rejection::Rejection;
use super::segment::{Label, Row};
use super::snapshot::Snapshot;
use super::store::{Gallery, Settings};
use super::vector::Vector;
use crate::infer::manifest::Impostors;
use crate::recognise::Embedding;

/// Rows that are taken over at once.
const BATCH: usize = 1 << 14;

/// References of each person.
pub const EACH: usize = 5;

/// A gallery of these embeddings, in this order: each [`EACH`] of them a person `p0`, `p1` and so on. Nobody looks whether
/// two are alike, which takes a search for each.
///
/// # Errors
/// One is no embedding of `dimension` numbers, or there is no memory for all.
pub fn gallery(dimension: usize, faces: impl Iterator<Item = Embedding>) -> Result<Gallery, Rejection> {
    let impostors = Impostors { cosine: 0.4, rate: 2.6e-4, scale: 0.04 };
    let calibration = Calibration { pair: 0.4, impostors };
    let settings = Settings {
        model: "synthetic".into(),
        dimension,
        threshold: None,
        margin: None,
        calibration,
        tags: Default::default(),
    };
    let gallery = Gallery::new(settings);
    let mut snapshot = Snapshot::default();
    let mut faces = faces.peekable();
    let mut first = 0;
    while faces.peek().is_some() {
        let vectors: Vec<_> = faces
            .by_ref()
            .take(BATCH)
            .map(|face| Vector::new(&face, dimension).ok_or_else(|| gallery.useless(&face)))
            .collect::<Result<_, _>>()?;
        let labels = (first..).map(|row: usize| -> Result<_, Rejection> {
            let owner = PersonId::new(&format!("p{}", row / EACH))?;
            Ok(Label { owner, reference: row as u64, own: Own::default() })
        });
        let labels = labels.take(vectors.len()).collect::<Result<Vec<_>, _>>()?;
        first += vectors.len();
        let rows = vectors.iter().zip(&labels).map(|(vector, label)| Row::new(vector, label.clone())).collect();
        snapshot.references = snapshot.references.with(dimension, rows).map_err(super::store::no_memory)?;
        labels.into_iter().for_each(|label| list(&mut snapshot, label));
    }
    gallery.replace(snapshot);
    Ok(gallery)
}

/// Adds the reference to its person.
fn list(snapshot: &mut Snapshot, label: Label) {
    let known = snapshot.people.get(&label.owner).map(|known| Person::clone(known));
    let now = SystemTime::UNIX_EPOCH;
    let mut person = known.unwrap_or_else(|| Person::new(label.owner, &"synthetic".into(), now));
    let (id, source) = (label.reference, "synthetic".into());
    person.references.push(Reference { id, quality: 1.0, source, created_at: now });
    snapshot.put(Arc::new(person));
}

/// Random directions, the same for each seed.
pub fn faces(dimension: usize, count: usize, seed: u64) -> impl Iterator<Item = Embedding> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(move |_| {
        let values: Vec<f32> = (0..dimension).map(|_| random.f32() - 0.5).collect();
        Embedding::new(&values)
    })
}
