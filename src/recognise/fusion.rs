//! What a track's faces say together.
//!
//! Embeddings are summed as the model gave them, longer ones counting more, weighted by quality and score: the sum's
//! direction is far steadier than that of any single face. The sums are kept in a few buckets by pose and time, and
//! none weighs more than a few faces, so that a minute of one profile does not drown the moment in which somebody
//! faced the camera, and what is long past goes.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroize;

use super::{Embedding, Impression};
use crate::detect::Landmarks;

/// A bucket takes in faces for this long.
const SLOT: Duration = Duration::from_secs(10);
/// Buckets kept for each pose, the newest.
const SLOTS: usize = 2;
/// A bucket that holds more than this weight counts no more than that; a face's own weight is at most 1.
const HEAVIEST: f32 = 4.0;
/// A nose this far off the middle of the eyes, as a share of their distance, is a face turned to one side.
const TURNED: f32 = 0.18;

/// Which way a face looks, as a viewer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pose {
    /// To the image's left.
    Left,
    /// To the camera.
    Frontal,
    /// To the image's right.
    Right,
}

impl Pose {
    /// Told by the place of the nose between the eyes.
    pub fn of(landmarks: &Landmarks) -> Self {
        let [left, right, nose, ..] = *landmarks;
        let (dx, dy) = (right.x - left.x, right.y - left.y);
        let along = (nose.x - (left.x + right.x) / 2.0) * dx + (nose.y - (left.y + right.y) / 2.0) * dy;
        let turn = along / (dx * dx + dy * dy).max(f32::MIN_POSITIVE);
        match turn {
            turn if turn < -TURNED => Self::Left,
            turn if turn > TURNED => Self::Right,
            _ => Self::Frontal,
        }
    }
}

/// One face that was embedded.
#[derive(Clone, Debug)]
pub struct Crop {
    /// What the model says.
    pub embedding: Embedding,
    /// Fitness for recognition, 0 to 1.
    pub quality: f32,
    /// The detector's score, 0 to 1.
    pub score: f32,
    /// Which way it looks.
    pub pose: Pose,
    /// Stream time.
    pub at: Duration,
}

impl Crop {
    fn weight(&self) -> f32 {
        (self.quality * self.score).clamp(0.01, 1.0)
    }
}

/// Faces of one person, as far as is known, of one track. Bounded: two buckets a pose.
#[derive(Debug, Default)]
pub struct Evidence {
    buckets: Vec<Bucket>,
    fused: Option<Arc<Embedding>>,
    crops: u32,
    first: Duration,
    last: Duration,
    best: f32,
}

struct Bucket {
    pose: Pose,
    began: Duration,
    sum: Vec<f32>,
    weight: f32,
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bucket").field("pose", &self.pose).field("weight", &self.weight).finish_non_exhaustive()
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.sum.zeroize();
    }
}

impl Evidence {
    /// Takes in one more face.
    pub fn add(&mut self, crop: &Crop) {
        if self.crops == 0 {
            self.first = crop.at;
        }
        self.crops = self.crops.saturating_add(1);
        self.last = crop.at;
        self.best = self.best.max(crop.quality);
        let open = self.buckets.iter_mut().rev().find(|b| b.pose == crop.pose);
        match open.filter(|bucket| crop.at.saturating_sub(bucket.began) < SLOT) {
            Some(bucket) => bucket.add(crop),
            None => {
                let sum = vec![0.0; crop.embedding.values().len()];
                let mut bucket = Bucket { pose: crop.pose, began: crop.at, sum, weight: 0.0 };
                bucket.add(crop);
                self.buckets.push(bucket);
            }
        }
        self.settle();
    }

    /// Takes over what was known of the same person before: a track that was lost and is back under another number.
    pub fn absorb(&mut self, mut earlier: Self) {
        // Its own clock may be another one: a camera that was started again counts from zero.
        let span = earlier.last.saturating_sub(earlier.first);
        self.first = self.first.min(self.last.saturating_sub(span));
        self.crops = self.crops.saturating_add(earlier.crops);
        self.best = self.best.max(earlier.best);
        for bucket in &mut earlier.buckets {
            bucket.began = self.first;
        }
        self.buckets.splice(0..0, earlier.buckets.drain(..));
        self.settle();
    }

    /// Drops the oldest buckets, and adds up the others.
    fn settle(&mut self) {
        for pose in [Pose::Left, Pose::Frontal, Pose::Right] {
            while self.buckets.iter().filter(|b| b.pose == pose).count() > SLOTS
                && let Some(oldest) = self.buckets.iter().position(|b| b.pose == pose)
            {
                self.buckets.remove(oldest);
            }
        }
        let Some(first) = self.buckets.first() else { return };
        let mut total = vec![0.0; first.sum.len()];
        for bucket in &self.buckets {
            let share = HEAVIEST.min(bucket.weight) / bucket.weight;
            total.iter_mut().zip(&bucket.sum).for_each(|(total, value)| *total += share * value);
        }
        self.fused = Some(Arc::new(Embedding::new(&total)));
        total.zeroize();
    }

    /// What all of them say together; `None` before the first.
    pub fn fused(&self) -> Option<&Embedding> {
        self.fused.as_deref()
    }

    /// The same, to be kept.
    pub fn impression(&self) -> Option<Impression> {
        Some(Impression { face: Arc::clone(self.fused.as_ref()?), quality: self.best })
    }

    /// How many faces were taken in.
    pub fn crops(&self) -> u32 {
        self.crops
    }

    /// Time from the first face to the last.
    pub fn span(&self) -> Duration {
        self.last.saturating_sub(self.first)
    }

    /// Fitness of the best of them, 0 to 1.
    pub fn best(&self) -> f32 {
        self.best
    }

    /// Whether faces looking this way are there already.
    pub fn has(&self, pose: Pose) -> bool {
        self.buckets.iter().any(|bucket| bucket.pose == pose)
    }
}

impl Bucket {
    fn add(&mut self, crop: &Crop) {
        let weight = crop.weight();
        self.weight += weight;
        self.sum.iter_mut().zip(crop.embedding.values()).for_each(|(sum, value)| *sum += weight * value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Point;

    fn crop(values: &[f32], quality: f32, pose: Pose, at: u64) -> Crop {
        Crop { embedding: Embedding::new(values), quality, score: 1.0, pose, at: Duration::from_millis(at) }
    }

    fn direction(evidence: &Evidence) -> [f32; 2] {
        let fused = evidence.fused().unwrap();
        [0, 1].map(|i| fused.values()[i] / fused.norm())
    }

    #[test]
    fn a_better_face_and_a_longer_embedding_weigh_more() {
        let mut evidence = Evidence::default();
        assert!(evidence.fused().is_none());
        evidence.add(&crop(&[1.0, 0.0], 0.6, Pose::Frontal, 0));
        evidence.add(&crop(&[0.0, 2.0], 0.4, Pose::Frontal, 200));
        assert_eq!(direction(&evidence), [0.6, 0.8]);
        assert_eq!((evidence.crops(), evidence.span()), (2, Duration::from_millis(200)));
    }

    #[test]
    fn a_long_profile_does_not_drown_a_short_look_at_the_camera() {
        let mut evidence = Evidence::default();
        for at in 0..8 {
            evidence.add(&crop(&[0.0, 1.0], 1.0, Pose::Frontal, at * 100));
        }
        for at in 8..80 {
            evidence.add(&crop(&[1.0, 0.0], 1.0, Pose::Left, at * 100));
        }
        assert!((direction(&evidence)[0] - 0.5f32.sqrt()).abs() < 1e-3, "{:?}", direction(&evidence));
    }

    #[test]
    fn what_is_long_past_goes() {
        let mut evidence = Evidence::default();
        evidence.add(&crop(&[0.0, 1.0], 1.0, Pose::Frontal, 0));
        for at in 1..100 {
            evidence.add(&crop(&[1.0, 0.0], 1.0, Pose::Frontal, at * 1000));
            assert!(evidence.buckets.len() <= SLOTS);
        }
        assert_eq!(direction(&evidence), [1.0, 0.0]);
    }

    #[test]
    fn a_track_that_came_back_goes_on_where_it_was() {
        let (mut before, mut back) = (Evidence::default(), Evidence::default());
        (0..4).for_each(|at| before.add(&crop(&[0.0, 1.0], 1.0, Pose::Frontal, 90_000 + at * 500)));
        back.add(&crop(&[1.0, 0.0], 1.0, Pose::Frontal, 2000));
        back.absorb(before);
        assert_eq!((back.crops(), back.span()), (5, Duration::from_millis(1500)));
        assert!(direction(&back)[1] > 0.9);
    }

    #[test]
    fn the_nose_tells_the_pose() {
        let face = |nose: f32| {
            Pose::of(&[(0.0, 0.0), (40.0, 0.0), (nose, 20.0), (5.0, 40.0), (35.0, 40.0)].map(|(x, y)| Point::new(x, y)))
        };
        assert_eq!(
            [face(4.0), face(20.0), face(24.0), face(36.0)],
            [Pose::Left, Pose::Frontal, Pose::Frontal, Pose::Right]
        );
        assert_eq!(Pose::of(&[Point::default(); 5]), Pose::Frontal);
    }
}
