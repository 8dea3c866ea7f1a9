//! What an analysis proves to the delay line of a masked camera.

use super::report::{Report, Reporter};
use super::{Analysed, Faces, Named, Seen, Sightings};
use crate::mask::Settings;
use crate::track::Track;

/// Turns analyses into reports; one for each masked camera, in its `see-<id>`.
pub struct Witness {
    reporter: Reporter,
    sightings: Sightings,
    asks_for_names: bool,
}

impl Witness {
    /// One that reports to `reporter` what a camera with these settings must know.
    pub fn new(reporter: Reporter, settings: &Settings) -> Self {
        let asks_for_names = Sightings::vigil(settings).is_some();
        Self { reporter, sightings: Sightings::new(settings), asks_for_names }
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
