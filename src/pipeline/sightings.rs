//! From what an analysis found, and who recognition says it is, to what the delay line is told.

use std::time::Duration;

use super::Named;
use crate::detect::Detection;
use crate::geometry::Rect;
use crate::mask::{Analysis, Exemptions, Settings, Sighting, Who, untracked};
use crate::recognise::Vigil;
use crate::track::Track;

/// Verifications are at least so much closer to each other than frames are held for: the time that an analysis takes.
const ANALYSIS: Duration = Duration::from_millis(120);

/// Longest time between two verifications of somebody who goes unmasked.
const RARELY: Duration = Duration::from_millis(250);

/// The frame that was analysed.
#[derive(Clone, Copy, Debug)]
pub struct Analysed {
    /// Its number.
    pub number: u64,
    /// Its stream time.
    pub at: Duration,
    /// The delay line's generation when it was handed to the analysis.
    pub generation: u64,
}

/// What is known of its faces.
#[derive(Clone, Copy)]
pub struct Faces<'a> {
    /// All that was found, down to the detector's low score.
    pub detections: &'a [Detection],
    /// Live tracks after it.
    pub tracks: &'a [Track],
    /// From this score on a detection is a face by itself.
    pub score: f32,
    /// Who they are; `None` while nobody is recognised.
    pub named: Option<Named<'a>>,
}

/// Says for each analysis where faces are, and who of them goes unmasked.
#[derive(Debug)]
pub struct Sightings {
    exemptions: Exemptions,
    /// Of the gallery by which people went unmasked.
    revision: Option<(u64, u64)>,
}

impl Sightings {
    /// For a camera with these settings.
    pub fn new(settings: &Settings) -> Self {
        Self { exemptions: Exemptions::new(settings.who, &settings.exempt), revision: None }
    }

    /// Whom recognition has to verify all the time for a camera with these settings; `None` where nobody can go unmasked,
    /// or everybody does. Frames are shown some time after they came, and a verification must come in between.
    pub fn vigil(settings: &Settings) -> Option<Vigil> {
        let possible = Exemptions::new(settings.who, &settings.exempt).are_possible() && settings.who != Who::Nobody;
        possible.then(|| Vigil {
            known: settings.who == Who::Strangers,
            tags: settings.exempt.clone(),
            strangers: settings.who == Who::Known,
            every: settings.lookahead.saturating_sub(ANALYSIS).min(RARELY),
        })
    }

    /// What the delay line is told of one analysis. To be called for each, in their order.
    pub fn analysis(&mut self, frame: Analysed, faces: Faces<'_>) -> Analysis {
        let Analysed { number, at, generation } = frame;
        let Faces { detections, tracks, score, named } = faces;
        if !self.exemptions.are_possible() {
            let sightings = Sighting::all(detections, tracks, score, &[]);
            return Analysis { number, at, generation, sightings, withdrawn: false };
        }
        let revision = named.map(|named| named.revision);
        let withdrawn = std::mem::replace(&mut self.revision, revision) != revision;
        let others: Vec<Rect> = untracked(detections, tracks).map(|detection| detection.rect).collect();
        let verdicts = named.map_or(&[][..], |named| named.verdicts);
        let exempt = self.exemptions.judge(at, tracks, &others, verdicts);
        let sightings = Sighting::all(detections, tracks, score, &exempt);
        Analysis { number, at, generation, sightings, withdrawn }
    }

    /// The tracker begins anew: ids will be given again.
    pub fn lost(&mut self) {
        self.exemptions.forget();
    }
}
