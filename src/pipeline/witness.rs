//! What an analysis proves to the delay line of a masked camera.

use std::time::Duration;

use super::report::{Report, Reporter};
use super::{Analysed, Faces, Named, Seen, Sightings};
use crate::mask::Settings;
use crate::track::Track;

/// Turns analyses into reports; one for each masked camera, in its `see-<id>`.
pub struct Witness {
    reporter: Reporter,
    sightings: Sightings,
    asks_for_names: bool,
    /// How long names may take at most.
    patience: Duration,
}

/// Names are waited for no longer than this, since frames are held for them, or for the analysis after …
const NAMING: Duration = Duration::from_millis(60);

/// … nor longer than this where the very next frame is to be analysed, too.
const HURRIED_NAMING: Duration = Duration::from_millis(10);

impl Witness {
    /// One that reports to `reporter` what a camera with these settings must know.
    pub fn new(reporter: Reporter, settings: &Settings) -> Self {
        let asks_for_names = Sightings::vigil(settings).is_some();
        let hurries = settings.lookahead.is_zero() && !asks_for_names;
        let patience = if hurries { HURRIED_NAMING } else { NAMING };
        Self { reporter, sightings: Sightings::new(settings), asks_for_names, patience }
    }

    /// The same where no frame waits for names, nor for the analysis after.
    #[must_use]
    pub fn patient(self) -> Self {
        Self { patience: Duration::MAX, ..self }
    }

    /// How long names may take, where `patience` would do without masks.
    pub(super) fn patience(&self, patience: Duration) -> Duration {
        patience.min(self.patience)
    }

    /// Whether it must know who the tracks are before it can say anything.
    pub(super) fn asks_for_names(&self) -> bool {
        self.asks_for_names
    }

    /// Reports what was found in a frame.
    pub(super) fn analysed(&mut self, seen: &Seen, tracks: &[Track], named: Option<Named<'_>>) {
        let (frame, stamp) = (&seen.frame, seen.frame.stamp);
        if !seen.attested {
            return self.failed(frame.number, seen.generation);
        }
        let analysed = Analysed { number: frame.number, at: stamp.pts, generation: seen.generation };
        let faces = Faces { detections: &seen.detections, tracks, score: seen.score, named };
        self.reporter.tell(Report::Analysed(self.sightings.analysis(analysed, faces), stamp.arrived_at));
    }

    /// Reports that a frame's analysis failed.
    pub(super) fn failed(&self, number: u64, generation: u64) {
        self.reporter.tell(Report::Failed(number, generation));
    }

    /// The tracks are gone.
    pub(super) fn lost(&mut self) {
        self.sightings.lost();
    }
}
