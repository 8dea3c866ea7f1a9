//! What a decoder has found so far, and the suppression of boxes that are the same face.

use super::{Detection, Landmarks};
use crate::geometry::{Point, Rect};

/// Candidates that are kept before suppression, the strongest first; as OpenCV's detector has it.
const MOST_CANDIDATES: usize = 5000;

/// Faces that are kept in one picture.
const MOST_FACES: usize = 1000;

/// Collects a decoder's faces, in pixels of the model's input. Keeps its memory from picture to picture.
#[derive(Debug)]
pub struct Found {
    floor: f32,
    candidates: Vec<Detection>,
    kept: Vec<Detection>,
    unsound: usize,
}

impl Found {
    /// Collects faces of a score of at least `floor`.
    pub fn new(floor: f32) -> Self {
        Self { floor, candidates: Vec::new(), kept: Vec::new(), unsound: 0 }
    }

    /// Forgets the last picture.
    pub fn clear(&mut self) {
        self.candidates.clear();
        self.kept.clear();
        self.unsound = 0;
    }

    /// Whether a cell of this score is worth decoding. Counts a score that is no number.
    pub fn wants(&mut self, score: f32) -> bool {
        self.must_be_number(score);
        score >= self.floor
    }

    /// Counts a value that is no number.
    pub fn must_be_number(&mut self, value: f32) {
        self.unsound += usize::from(value.is_nan());
    }

    /// Adds a face. Empty boxes are left out; what is not finite is left out and counted.
    pub fn push(&mut self, rect: Rect, score: f32, landmarks: Option<Landmarks>) {
        let finite = |p: &Point| p.x.is_finite() && p.y.is_finite();
        let numbers = [rect.x, rect.y, rect.right(), rect.bottom(), rect.area(), score];
        if !numbers.iter().all(|v| v.is_finite()) || !landmarks.iter().flatten().all(finite) {
            self.unsound += 1;
        } else if score >= self.floor && rect.is_sound() {
            self.candidates.push(Detection { rect, score: score.min(1.0), landmarks });
        }
    }

    /// How many faces were not made of finite numbers: a model that gives such cannot be relied on.
    pub fn unsound(&self) -> usize {
        self.unsound
    }

    /// The strongest box of each group that overlaps by more than `iou`, strongest first.
    pub fn suppress(&mut self, iou: f32) -> &[Detection] {
        self.candidates.sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
        self.candidates.truncate(MOST_CANDIDATES);
        self.kept.clear();
        for candidate in &self.candidates {
            if self.kept.len() == MOST_FACES {
                break;
            }
            if self.kept.iter().all(|kept| kept.rect.iou(candidate.rect) <= iou) {
                self.kept.push(*candidate);
            }
        }
        &self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_of_a_group_stays() {
        let mut found = Found::new(0.3);
        found.push(Rect::new(0.0, 0.0, 10.0, 10.0), 0.5, None);
        found.push(Rect::new(1.0, 0.0, 10.0, 10.0), 0.9, None);
        found.push(Rect::new(50.0, 0.0, 10.0, 10.0), 0.4, None);
        found.push(Rect::new(80.0, 0.0, 10.0, 10.0), 0.2, None);
        let scores: Vec<_> = found.suppress(0.3).iter().map(|d| d.score).collect();
        assert_eq!(scores, [0.9, 0.4]);
    }

    #[test]
    fn what_is_not_finite_is_counted_and_left_out() {
        let mut found = Found::new(0.3);
        assert!(!found.wants(f32::NAN));
        found.push(Rect::new(f32::NAN, 0.0, 1.0, 1.0), 0.9, None);
        found.push(Rect::new(0.0, 0.0, f32::INFINITY, 1.0), 0.9, None);
        found.push(Rect::new(0.0, 0.0, 1.0, 1.0), 0.9, Some([Point::new(f32::NAN, 0.0); 5]));
        found.push(Rect::new(0.0, 0.0, 0.0, 1.0), 0.9, None);
        assert_eq!((found.unsound(), found.suppress(0.3).len()), (4, 0));
        found.clear();
        assert_eq!(found.unsound(), 0);
    }

    #[test]
    fn garbage_by_the_thousand_is_bounded() {
        let mut found = Found::new(0.0);
        for i in 0..20_000_u16 {
            found.push(Rect::new(f32::from(i) * 2.0, 0.0, 1.0, 1.0), 1.0, None);
        }
        assert_eq!(found.suppress(0.5).len(), MOST_FACES);
    }
}
