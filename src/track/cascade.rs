//! Association in passes: each pass assigns what the passes before it left over.

use super::assign::Assigner;

/// Which detection belongs to which track in the analysis in hand.
#[derive(Debug, Default)]
pub struct Cascade {
    assigner: Assigner,
    track_of: Vec<Option<usize>>,
    detection_of: Vec<Option<usize>>,
    open_tracks: Vec<usize>,
    open_detections: Vec<usize>,
}

impl Cascade {
    /// Begins an analysis in which nothing is assigned yet.
    pub fn begin(&mut self, tracks: usize, detections: usize) {
        self.detection_of.clear();
        self.detection_of.resize(tracks, None);
        self.track_of.clear();
        self.track_of.resize(detections, None);
    }

    /// Assigns those of the open tracks and detections that take part, so that the sum of `gain(track, detection)` is
    /// greatest. Pairs without a positive gain are never made.
    pub fn pass(
        &mut self,
        track_takes_part: impl Fn(usize) -> bool,
        detection_takes_part: impl Fn(usize) -> bool,
        gain: impl Fn(usize, usize) -> f64,
    ) {
        let open = |assigned: &[Option<usize>], index: &usize| assigned[*index].is_none();
        self.open_tracks.clear();
        let tracks = (0..self.detection_of.len()).filter(|t| open(&self.detection_of, t) && track_takes_part(*t));
        self.open_tracks.extend(tracks);
        self.open_detections.clear();
        let detections = (0..self.track_of.len()).filter(|d| open(&self.track_of, d) && detection_takes_part(*d));
        self.open_detections.extend(detections);
        if self.open_tracks.is_empty() || self.open_detections.is_empty() {
            return;
        }
        self.assigner.begin(self.open_tracks.len());
        for &detection in &self.open_detections {
            self.assigner.row();
            for (column, &track) in self.open_tracks.iter().enumerate() {
                self.assigner.candidate(column, gain(track, detection));
            }
        }
        self.assigner.solve();
        for (row, &detection) in self.open_detections.iter().enumerate() {
            if let Some(column) = self.assigner.column_of(row) {
                self.track_of[detection] = Some(self.open_tracks[column]);
                self.detection_of[self.open_tracks[column]] = Some(detection);
            }
        }
    }

    /// Number of tracks of the analysis in hand.
    pub fn tracks(&self) -> usize {
        self.detection_of.len()
    }

    /// Number of detections of the analysis in hand.
    pub fn detections(&self) -> usize {
        self.track_of.len()
    }

    /// The track that a detection was assigned to.
    pub fn track_of(&self, detection: usize) -> Option<usize> {
        self.track_of[detection]
    }

    /// The detection that was assigned to a track; `None` also for a track opened since [`Cascade::begin`].
    pub fn detection_of(&self, track: usize) -> Option<usize> {
        self.detection_of.get(track).copied().flatten()
    }

    /// All pairs made so far, as (track, detection).
    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.detection_of.iter().enumerate().filter_map(|(track, detection)| detection.map(|d| (track, d)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_pass_gets_only_what_is_left() {
        let mut cascade = Cascade::default();
        cascade.begin(2, 2);
        cascade.pass(|t| t == 0, |_| true, |_, d| if d == 1 { 1.0 } else { 0.5 });
        cascade.pass(|_| true, |_| true, |_, _| 1.0);
        assert_eq!(cascade.pairs().collect::<Vec<_>>(), [(0, 1), (1, 0)]);
        assert_eq!((cascade.track_of(0), cascade.detection_of(7)), (Some(1), None));
    }
}
