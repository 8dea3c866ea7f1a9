//! Which moment of a track is worth a picture.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::album::Photo;
use super::crop::{self, BEST_SHOT, Crop};
use super::photographer::{Orders, Photographer, Want};
use super::studio::Studio;
use crate::frame::Frame;
use crate::geometry::{Polygon, Size};
use crate::sink::{Hub, lock};
use crate::track::{Track, TrackState};

/// How much better than the best one so far a face must be.
const GAIN: f32 = 1.15;

/// Between two pictures of one track: each is a copy of pixels.
const PAUSE: Duration = Duration::from_millis(250);

/// A face this large shows all that a picture of this size can, in pixels of its shorter side.
const LARGE: f32 = 160.0;

/// A face at the frame's edge is cut off; by so much it counts less.
const CUT_OFF: f32 = 0.5;

/// How pictures are taken.
enum How {
    /// Out of the masked frame with the same number.
    Masked(Arc<Mutex<Orders>>),
    /// Out of the frame itself; these parts of it stay black.
    Clear(Vec<Polygon>),
}

/// One camera's: for the thread that analyses.
pub struct Lens {
    camera: Arc<str>,
    studio: Arc<Studio>,
    how: How,
    /// The best moment of each track so far, and when it was.
    best: BTreeMap<Arc<str>, (f32, Duration)>,
}

impl Lens {
    /// For pictures out of masked frames, which the photographer takes.
    pub fn masked(camera: &str, studio: &Arc<Studio>, hub: &Hub) -> (Self, Photographer) {
        let orders = Arc::<Mutex<Orders>>::default();
        let lens = Self::new(camera, studio, How::Masked(Arc::clone(&orders)));
        let photographer = Photographer::new(Arc::clone(&lens.camera), orders, Arc::clone(studio), hub.clone());
        (lens, photographer)
    }

    /// For pictures that show faces, but nothing in one of `zones`.
    pub fn clear(camera: &str, studio: &Arc<Studio>, zones: Vec<Polygon>) -> Self {
        Self::new(camera, studio, How::Clear(zones))
    }

    fn new(camera: &str, studio: &Arc<Studio>, how: How) -> Self {
        let camera: Arc<str> = camera.into();
        studio.open(&camera);
        Self { camera, studio: Arc::clone(studio), how, best: BTreeMap::new() }
    }

    /// Judges the faces of an analysed frame: each under its track's name. To be called before the analysis may lead to the
    /// frame's release.
    pub fn look(&mut self, frame: &Frame, faces: &[(Arc<str>, &Track)]) {
        if let How::Masked(orders) = &self.how {
            for track in lock(orders).failed() {
                self.best.remove(&track);
            }
        }
        self.best.retain(|track, _| faces.iter().any(|(name, _)| name == track));
        let at = frame.stamp.pts;
        for (name, track) in faces {
            let fitness = fitness(track, frame.size());
            let known = self.best.get(name);
            let better = known.is_none_or(|(best, then)| fitness > best * GAIN && at.saturating_sub(*then) >= PAUSE);
            if better && fitness > 0.0 {
                self.best.insert(Arc::clone(name), (fitness, at));
                self.take(frame, name, track, fitness);
            }
        }
    }

    /// No pictures are to be taken for now, nor those that were asked for.
    pub fn rest(&mut self) {
        self.best.clear();
        if let How::Masked(orders) = &self.how {
            *lock(orders) = Orders::default();
        }
    }

    fn take(&self, frame: &Frame, name: &Arc<str>, track: &Track, fitness: f32) {
        let area = crop::around(track.detection.map_or(track.rect, |detection| detection.rect));
        let (track, at) = (Arc::clone(name), frame.stamp.pts);
        match &self.how {
            How::Masked(orders) => lock(orders).want(Want { number: frame.number, at, track, area, fitness }),
            How::Clear(zones) => {
                let Some(mut crop) = Crop::cut(frame.picture(), area, BEST_SHOT) else { return };
                crop.hide(zones);
                let captured_at = frame.stamp.captured_at;
                self.studio.put(&self.camera, Photo { track, fitness, captured_at, crop });
            }
        }
    }
}

/// How much there is to see of a face, 0 to 1: it is large, certain, whole and still.
fn fitness(track: &Track, size: Size) -> f32 {
    let Some(detection) = track.detection.filter(|_| track.state == TrackState::Confirmed) else { return 0.0 };
    let rect = detection.rect;
    let large = (rect.w.min(rect.h) / LARGE).clamp(0.0, 1.0);
    let whole = if rect.clamped(size).area() >= 0.98 * rect.area() { 1.0 } else { CUT_OFF };
    let widths_a_second = track.velocity.x.hypot(track.velocity.y) / rect.w.max(1.0);
    detection.score.clamp(0.0, 1.0) * large * whole / (1.0 + 0.5 * widths_a_second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Detection;
    use crate::geometry::{Point, Rect};

    const SIZE: Size = Size::new(1280, 720);

    fn track(rect: Rect, velocity: f32) -> Track {
        Track {
            id: 1,
            rect,
            velocity: Point::new(velocity, 0.0),
            state: TrackState::Confirmed,
            detection: Some(Detection { rect, score: 0.9, landmarks: None }),
            score: 0.9,
            first_seen: Duration::ZERO,
            last_seen: Duration::ZERO,
            hits: 5,
        }
    }

    #[test]
    fn a_large_whole_and_still_face_is_the_fittest() {
        let best = fitness(&track(Rect::new(400.0, 300.0, 100.0, 120.0), 0.0), SIZE);
        let lost = Track { state: TrackState::Lost, ..track(Rect::new(400.0, 300.0, 100.0, 120.0), 0.0) };
        for worse in [
            track(Rect::new(400.0, 300.0, 50.0, 60.0), 0.0),
            track(Rect::new(-40.0, 300.0, 100.0, 120.0), 0.0),
            track(Rect::new(400.0, 300.0, 100.0, 120.0), 300.0),
            lost,
        ] {
            assert!(fitness(&worse, SIZE) < 0.9 * best, "{worse:?}");
        }
    }
}
