//! Who the faces of a still are, by one look at each: there is no second one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::decide::Standing;
use super::fusion::{Crop, Evidence, Pose};
use super::gallery::Ranking;
use super::ledger::{People, known};
use super::quality;
use super::{Embedder, Embedding, Identity, Landmarker, Quality, Reason, Verdict};
use crate::clock::{Laps, Monotonic};
use crate::detect::{Detection, View};
use crate::fault::Fault;
use crate::infer::InferError;

/// What a stranger on a still is called who was on no camera.
pub const STRANGER: &str = "stranger";

/// Says who the faces of stills are, before somebody goes unmasked for it.
pub struct Onlooker {
    embedder: Embedder,
    landmarker: Option<Landmarker>,
    people: People,
}

impl Onlooker {
    /// One who knows `people`. `landmarker` is for detectors that give no landmarks.
    ///
    /// # Errors
    /// The people were not enrolled with this embedder.
    pub fn new(embedder: Embedder, landmarker: Option<Landmarker>, people: People) -> Result<Self, Fault> {
        let (model, of) = (&embedder.model().manifest().name, &people.gallery.settings().model);
        if **model != **of {
            return Err(Fault::config(format!("the gallery is of {of}, the faces would be looked at with {model}")));
        }
        Ok(Self { embedder, landmarker, people })
    }

    /// A verdict for each of `faces`, whose track is the face's place in them. Faces that are not fit for it are undecided.
    ///
    /// # Errors
    /// A model failed, or was not done by the deadline.
    pub fn verdicts(
        &mut self,
        view: View<'_>,
        faces: &[Detection],
        deadline: Instant,
    ) -> Result<Vec<Verdict>, InferError> {
        let mut faces = faces.to_vec();
        if let Some(landmarker) = &mut self.landmarker {
            landmarker.complete(view, &mut faces, deadline)?;
        }
        let Self { embedder, people, .. } = self;
        let (rigour, most, laps) = (Rigour::Unmasks, usize::MAX, Laps::default());
        Glance { embedder, people, rigour, most, deadline, laps }.verdicts(view, &faces)
    }
}

/// What depends on who somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rigour {
    /// A name: as sure as the gallery's threshold and margin make it.
    Names,
    /// Whether a face is shown: as sure as a single look has to be for a track.
    Unmasks,
}

/// One look at each face of a still.
pub struct Glance<'a> {
    /// Makes the faces' numbers.
    pub embedder: &'a mut Embedder,
    /// Who is known; by the same embedder.
    pub people: &'a People,
    /// How sure it must be.
    pub rigour: Rigour,
    /// How many faces are looked at, the first ones; the others only stand beside them.
    pub most: usize,
    /// When the last model must have its session.
    pub deadline: Instant,
    /// Takes in how long `embed` and `search` took.
    pub laps: Laps,
}

impl Glance<'_> {
    /// A verdict for each of `faces` that is looked at, whose track is the face's place in them. Faces that are not fit for
    /// it, or have no landmarks, are undecided.
    ///
    /// # Errors
    /// A model failed, or was not done by the deadline.
    pub fn verdicts(&mut self, view: View<'_>, faces: &[Detection]) -> Result<Vec<Verdict>, InferError> {
        let mut verdicts = Vec::new();
        for (track, face) in (0..).zip(faces).take(self.most) {
            let quality = quality::assess(view, face, faces, &quality::Config::default());
            let identity = match quality.reason {
                None => self.identity(view, face, quality)?,
                reason => Identity::Undecided { reason },
            };
            let verified = (!matches!(identity, Identity::Undecided { .. })).then_some(Duration::ZERO);
            let tags = self.tags(&identity);
            let (quality, doubtful, change, impression) = (Some(quality), false, None, None);
            verdicts.push(Verdict { track, identity, quality, doubtful, change, verified, tags, impression });
        }
        Ok(verdicts)
    }

    fn identity(&mut self, view: View<'_>, face: &Detection, quality: Quality) -> Result<Identity, InferError> {
        let undecided = |reason| Ok(Identity::Undecided { reason: Some(reason) });
        let Some(landmarks) = face.landmarks else { return Ok(Identity::Undecided { reason: None }) };
        let Self { embedder, deadline, laps, .. } = self;
        let embedded = laps.time("embed", || embedder.embed(view, &[landmarks], *deadline));
        let Some(embedding) = embedded?.pop() else {
            return Err(InferError::Shape("no embedding for a face".into()));
        };
        let Ranking { first, second, .. } = laps.time("search", || self.people.gallery.search(&embedding));
        let Some(first) = first else { return Ok(self.stranger(&embedding, None)) };
        let ahead = second.map(|second| first.score - second.score);
        let bar = self.people.bar();
        let (pose, at) = (Pose::of(&landmarks), Duration::ZERO);
        let crop = Crop { embedding: embedding.clone(), quality: quality.score, score: face.score, pose, at };
        let mut evidence = Evidence::default();
        evidence.add(&crop);
        match bar.judge(first.score, ahead, &evidence) {
            Standing::Accepted => Ok(known(&first, ahead)),
            // above the threshold, and ahead of the next: there is no second look to wait for
            Standing::Open if self.rigour == Rigour::Names => Ok(known(&first, ahead)),
            Standing::Below if !bar.keeps(first.score) => Ok(self.stranger(&embedding, Some(first.score))),
            Standing::Below => undecided(Reason::BelowThreshold),
            Standing::Open | Standing::Ambiguous => undecided(Reason::Ambiguous),
        }
    }

    /// Somebody whom the gallery does not know: by the alias of cameras, where they have met them.
    fn stranger(&self, face: &Embedding, score: Option<f32>) -> Identity {
        let (likeness, asked) = self.people.strangers.find(face, &[], Monotonic::now());
        let met = likeness.filter(|likeness| likeness.score >= asked.threshold);
        Identity::Stranger { alias: met.map_or_else(|| STRANGER.into(), |likeness| likeness.alias), score }
    }

    fn tags(&self, identity: &Identity) -> Arc<[String]> {
        let Identity::Known { person, .. } = identity else { return Arc::default() };
        let person = self.people.gallery.person(person);
        person.map(|person| self.people.gallery.tags_of(&person).into_iter().collect()).unwrap_or_default()
    }
}
