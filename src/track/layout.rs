//! Pictures that change place: a video call or a camera wall puts its faces elsewhere from one frame to the next.
//!
//! Overlap then joins each place to its new face, and every identity is wrong at once. What gives it away is the shape
//! of the boxes: staying put, most faces would have changed theirs within one frame, while changing places, none has.

use super::cascade::Cascade;

/// With fewer faces than this the shapes may agree by chance.
const MIN_FACES: usize = 3;
/// A face changes its shape by less than this between two frames (see [`super::motion::shape_change`]); the boxes of
/// different faces mostly differ by more.
const KEPT_SHAPE: f64 = 0.2;
/// All changes of shape together must be this many times smaller after changing places.
const MIN_ADVANTAGE: f64 = 4.0;

/// Finds rearrangements; keeps its memory.
#[derive(Debug, Default)]
pub struct Rearrangement {
    trial: Cascade,
}

impl Rearrangement {
    /// Looks at what `cascade` assigned by place to the `followed` tracks. Where the shapes say that all of them changed
    /// places, replaces the assignment by that of the shapes, and says so.
    pub fn resolve(
        &mut self,
        cascade: &mut Cascade,
        followed: impl Fn(usize) -> bool,
        sure: impl Fn(usize) -> bool,
        change: impl Fn(usize, usize) -> f64,
    ) -> bool {
        let (tracks, detections) = (cascade.tracks(), cascade.detections());
        let faces = (0..tracks).filter(|&track| followed(track)).count();
        let total = |cascade: &Cascade| cascade.pairs().map(|(track, detection)| change(track, detection)).sum::<f64>();
        let changed = cascade.pairs().filter(|&(track, detection)| change(track, detection) > KEPT_SHAPE).count();
        if faces < MIN_FACES || 2 * changed < faces {
            return false;
        }
        self.trial.begin(tracks, detections);
        self.trial.pass(followed, sure, |track, detection| KEPT_SHAPE - change(track, detection));
        if self.trial.pairs().count() < faces || total(cascade) < MIN_ADVANTAGE * total(&self.trial) {
            return false;
        }
        std::mem::swap(cascade, &mut self.trial);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `change[track][detection]`, each track assigned to the detection of its own number.
    fn resolve(change: &[&[f64]]) -> (bool, Vec<(usize, usize)>) {
        let mut cascade = Cascade::default();
        cascade.begin(change.len(), change[0].len());
        cascade.pass(|_| true, |_| true, |t, d| if t == d { 1.0 } else { 0.0 });
        let found = Rearrangement::default().resolve(&mut cascade, |_| true, |_| true, |t, d| change[t][d]);
        (found, cascade.pairs().collect())
    }

    #[test]
    fn three_faces_that_all_find_their_shape_elsewhere_have_moved() {
        let (found, pairs) = resolve(&[&[0.4, 0.05, 0.3], &[0.3, 0.4, 0.03], &[0.02, 0.5, 0.3]]);
        assert!(found);
        assert_eq!(pairs, [(0, 1), (1, 2), (2, 0)]);
    }

    #[test]
    fn one_face_without_a_match_leaves_all_in_place() {
        let (found, pairs) = resolve(&[&[0.4, 0.05, 0.3], &[0.3, 0.4, 0.03], &[0.5, 0.5, 0.3]]);
        assert!(!found);
        assert_eq!(pairs, [(0, 0), (1, 1), (2, 2)]);
    }

    #[test]
    fn shapes_that_fit_in_place_are_not_looked_for_elsewhere() {
        assert!(!resolve(&[&[0.05, 0.01, 0.3], &[0.01, 0.05, 0.3], &[0.3, 0.3, 0.05]]).0);
        assert!(!resolve(&[&[0.25, 0.15, 0.3], &[0.15, 0.25, 0.3], &[0.3, 0.3, 0.05]]).0, "too little is gained");
    }
}
