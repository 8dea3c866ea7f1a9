//! From a picture to a reference: decoded within limits, one face found, graded, aligned, embedded, enrolled.
//!
//! The one way in: the folder, MQTT and HTTP all come through here.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::person::PersonId;
use super::rejection::{Refusal, Rejection};
use super::store::{Enrolment, Gallery, Profile, Receipt};
use crate::detect::still::{self, Still, Unreadable};
use crate::detect::{Detection, Detector};
use crate::fault::Fault;
use crate::infer::InferError;
use crate::recognise::identity::{Quality, Reason};
use crate::recognise::quality;
use crate::recognise::{Closeup, Embedder, Embedding, Landmarker};

/// Bytes of one picture file.
pub const MOST_BYTES: u64 = 32 << 20;

/// Pixels of one picture: it is decoded to three bytes each, and one at a time.
pub const MOST_PIXELS: u64 = 40_000_000;

/// Another face of at least this share of the largest one's height may just as well be meant.
const RIVAL: f32 = 0.65;

/// How long one picture may wait for a free session of a model.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whom a picture is of.
#[derive(Clone, Debug)]
pub struct Who {
    /// The person; `None`: the slug of the profile's name.
    pub id: Option<PersonId>,
    /// What is said of the person.
    pub profile: Profile,
    /// The picture is of somebody whom the person must not be taken for.
    pub negative: bool,
    /// Where the picture comes from, as listings show it.
    pub source: Arc<str>,
}

/// What a picture shows.
pub struct Face {
    /// The face as numbers.
    pub embedding: Embedding,
    /// How fit it is.
    pub quality: Quality,
}

/// Enrols pictures; one for each thread that does, models and gallery shared.
pub struct Enroller {
    eyes: Closeup,
    embedder: Embedder,
    gallery: Gallery,
    quality: quality::Config,
}

impl Enroller {
    /// An enroller into `gallery`. The landmarker is for detectors that give no landmarks.
    ///
    /// # Errors
    /// The gallery is not made for the embedder's model.
    pub fn new(
        detector: Detector,
        landmarker: Option<Landmarker>,
        embedder: Embedder,
        gallery: Gallery,
    ) -> Result<Self, Fault> {
        let (model, settings) = (&embedder.model().manifest().name, gallery.settings());
        if **model != *settings.model || embedder.dimension() != settings.dimension {
            let what =
                format!("the gallery holds numbers of {}, which those of {model} do not compare to", settings.model);
            return Err(Fault::config(what).remedy("enrol again with the new model"));
        }
        let eyes = Closeup::new(detector, landmarker);
        Ok(Self { eyes, embedder, gallery, quality: quality::Config::default() })
    }

    /// The same with other demands on a picture's quality.
    #[must_use]
    pub fn with_quality(self, quality: quality::Config) -> Self {
        Self { quality, ..self }
    }

    /// Where it enrols.
    pub fn gallery(&self) -> &Gallery {
        &self.gallery
    }

    /// Enrols a picture file's content.
    ///
    /// # Errors
    /// Nothing was enrolled, for the reason given.
    pub fn enrol(&mut self, who: &Who, picture: &[u8]) -> Result<Receipt, Rejection> {
        // A name that will be refused is not worth a model's time.
        let id = who.id.clone().map_or_else(|| PersonId::of_name(&who.profile.name), Ok)?;
        let face = self.look(picture)?;
        let enrolment = Enrolment {
            id: who.id.as_ref().map(|_| id),
            profile: who.profile.clone(),
            references: vec![(face.embedding, face.quality.score)],
            negative: who.negative,
            source: Arc::clone(&who.source),
        };
        self.gallery.enrol(enrolment)
    }

    /// [`Enroller::enrol`] for a file.
    ///
    /// # Errors
    /// Nothing was enrolled, for the reason given.
    pub fn enrol_file(&mut self, who: &Who, path: &Path) -> Result<Receipt, Rejection> {
        self.enrol(who, &read_file(path)?)
    }

    /// The one face that a picture file's content shows.
    ///
    /// # Errors
    /// There is no such face, or it is not good enough.
    pub fn look(&mut self, picture: &[u8]) -> Result<Face, Rejection> {
        let still = decode(picture)?;
        let deadline = Instant::now() + PATIENCE;
        let faces = self.eyes.faces(still.view(), deadline).map_err(failed)?;
        let face = the_face(&faces)?;
        let quality = quality::assess(still.view(), &face, &faces, &self.quality);
        if let Some(reason) = quality.reason {
            return Err(unfit(reason));
        }
        let landmarks = face.landmarks.ok_or_else(|| {
            Rejection::new(Refusal::Failed, "the detector gives no landmarks and there is no model for them")
        })?;
        let mut embeddings = self.embedder.embed(still.view(), &[landmarks], deadline).map_err(failed)?;
        let embedding = embeddings.pop().ok_or_else(|| Rejection::new(Refusal::Failed, "the model gave no numbers"))?;
        Ok(Face { embedding, quality })
    }
}

/// A picture file's content, if it is a file of a sensible size.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, Rejection> {
    let unreadable =
        |what: &dyn std::fmt::Display| Rejection::new(Refusal::Unreadable, format!("cannot be read: {what}"));
    // Looked at before it is opened: opening a pipe would wait for somebody who writes.
    let metadata = path.metadata().map_err(|e| unreadable(&e))?;
    if !metadata.is_file() {
        return Err(Rejection::new(Refusal::Unreadable, "is not a file"));
    }
    let mut content = Vec::new();
    let file = File::open(path).map_err(|e| unreadable(&e))?;
    // The limit holds for a file that grows meanwhile, too.
    file.take(MOST_BYTES + 1).read_to_end(&mut content).map_err(|e| unreadable(&e))?;
    Ok(content)
}

fn decode(picture: &[u8]) -> Result<Still, Rejection> {
    if picture.len() as u64 > MOST_BYTES {
        let detail = format!("more than {} MiB are too many for a picture", MOST_BYTES >> 20);
        return Err(Rejection::new(Refusal::TooLarge, detail));
    }
    still::read(picture, MOST_PIXELS).map_err(|unreadable| match unreadable {
        Unreadable::NoPicture => Rejection::new(Refusal::Unreadable, "is no picture that can be read here"),
        Unreadable::TooLarge(what) => Rejection::new(Refusal::TooLarge, what),
        Unreadable::Broken(what) => Rejection::new(Refusal::Unreadable, format!("is broken: {}", what.trim_end())),
    })
}

/// The face that a picture is of.
///
/// # Errors
/// There is none, or another that may just as well be meant.
pub fn the_face(faces: &[Detection]) -> Result<Detection, Rejection> {
    let mut by_height: Vec<_> = faces.iter().collect();
    by_height.sort_by(|a, b| b.rect.h.total_cmp(&a.rect.h));
    let Some(largest) = by_height.first() else {
        return Err(Rejection::new(Refusal::NoFace, "shows no face that could be found"));
    };
    match by_height.iter().filter(|face| face.rect.h >= RIVAL * largest.rect.h).count() {
        1 => Ok(**largest),
        n => Err(Rejection::new(Refusal::SeveralFaces, format!("shows {n} faces; cut out the one that is meant"))),
    }
}

/// Why a face is not taken that recognition does not use.
pub fn unfit(reason: Reason) -> Rejection {
    let (reason, detail) = match reason {
        Reason::TooSmall => (Refusal::TooSmall, "shows too small a face"),
        Reason::TooBlurred => (Refusal::TooBlurred, "shows a face without fine detail"),
        Reason::TurnedAway => (Refusal::TurnedAway, "shows a face that is turned away"),
        Reason::BadlyExposed => (Refusal::BadlyExposed, "shows a face too dark or too bright to tell features"),
        Reason::Occluded => (Refusal::Occluded, "shows a face that is partly covered or cut off"),
        Reason::RecognitionOff | Reason::BelowThreshold | Reason::Ambiguous => {
            (Refusal::Failed, "shows a face that could not be used")
        }
    };
    Rejection::new(reason, detail)
}

fn failed(error: InferError) -> Rejection {
    Rejection::new(Refusal::Failed, error.to_string())
}
