//! The self-audit: at a low rate a detector looks at what went out, and finds a face only where masking has failed.
//!
//! Masks themselves may look like faces to a detector: a blurred head does, a pixelated one, the picture of a face; and hair, an
//! ear or a collar beside a mask may, a little. So what counts is a face that is not mostly hidden by masks; beside a mask, one of
//! which the detector is sure; and not that of somebody who goes unmasked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::metrics::counter;
use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, bounded};
use tracing::warn;

use super::{Control, eyes};
use crate::clock::Monotonic;
use crate::detect::{Config, Detection, Detector};
use crate::frame::Stamp;
use crate::geometry::{Point, Rect, Size};
use crate::infer::Model;
use crate::mask::{Audit, MaskedFrame, Outcome, Places, Settings};
use crate::metrics::{MASK_AUDIT_FACES, MASK_AUDITS};
use crate::sink::VideoTaker;

/// Frames that wait to be looked at. Full: the frame is let go, and the camera offers its next one.
const WAITING: usize = 2;

/// The audit waits no longer than this for a session: cameras come first.
const PATIENCE: Duration = Duration::from_secs(1);

/// Part of a found face that masks may leave open without it being one: they are larger than faces, but for their edges.
const OPEN: f32 = 0.5;

/// What is no further from a mask than this is beside it, in shares of its extent.
const BESIDE: f32 = 0.25;

/// A face this near to that of somebody who goes unmasked is theirs, in shares of its extent.
const NEAR: f32 = 0.3;

/// For so long a camera is covered after a face was found, where it is to be.
const COVER: Duration = Duration::from_secs(10);

/// Points along each side of a box at which it is asked whether it is masked.
const GRID: u32 = 12;

/// A frame to be looked at, and whose it is.
pub struct Sample {
    camera: Arc<str>,
    /// What is covered where a face is found, if anything.
    cover: Option<Arc<Control>>,
    frame: MaskedFrame<Vec<u8>>,
}

/// The way to the audit.
pub fn audits() -> (Sender<Sample>, Receiver<Sample>) {
    bounded(WAITING)
}

/// Gives the audit a frame of a camera every now and then.
pub struct Auditor {
    camera: Arc<str>,
    every: Duration,
    covers: bool,
    next: Monotonic,
    control: Arc<Control>,
    samples: Sender<Sample>,
}

impl Auditor {
    /// Gives `samples` a frame of a camera with these settings each time that its interval has passed. `None` where nobody
    /// is to look.
    pub fn new(camera: &str, settings: &Settings, control: &Arc<Control>, samples: &Sender<Sample>) -> Option<Self> {
        (settings.audit != Audit::Off).then(|| Self {
            camera: camera.into(),
            every: settings.audit_interval,
            covers: settings.audit == Audit::Cover,
            next: Monotonic::now().plus(settings.audit_interval),
            control: Arc::clone(control),
            samples: samples.clone(),
        })
    }

    /// Whether it is time to look; never while masks are off: then there are faces.
    fn is_due(&self) -> bool {
        Monotonic::now() >= self.next && self.control.masks()
    }
}

impl VideoTaker for Auditor {
    fn wants(&mut self, _: &Stamp) -> bool {
        self.is_due() && !self.samples.is_full()
    }

    fn take(&mut self, frame: &MaskedFrame<&[u8]>) {
        // others want frames, too, and all are shown them
        if !self.is_due() || matches!(frame.outcome(), Outcome::Covered(_)) {
            return;
        }
        self.next = Monotonic::now().plus(self.every);
        let cover = self.covers.then(|| Arc::clone(&self.control));
        let sample = Sample { camera: Arc::clone(&self.camera), cover, frame: frame.copied(Vec::new()) };
        // no room: the next time comes
        let _ = self.samples.try_send(sample);
    }
}

/// A frame that was looked at.
pub struct Look<'a> {
    /// The camera.
    pub camera: &'a Arc<str>,
    /// What should not be there.
    pub findings: Vec<Finding<'a>>,
}

/// A face where none should be.
pub struct Finding<'a> {
    /// The camera.
    pub camera: &'a Arc<str>,
    /// Of the frame.
    pub stamp: &'a Stamp,
    /// Of the frame.
    pub size: Size,
    /// What was found.
    pub face: &'a Detection,
    /// The model that found it.
    pub model: &'a str,
}

/// Thread `audit`: looks at samples with the `current` model until nobody can give any more, and tells of each look.
pub fn run_audit(samples: &Receiver<Sample>, current: &ArcSwap<Model>, mut tell: impl FnMut(&Look<'_>)) {
    let mut detector: Option<Detector> = None;
    let mut complained = HashMap::new();
    for Sample { camera, cover, frame } in samples {
        let Some(picture) = frame.picture() else { continue };
        let model = current.load_full();
        if detector.as_ref().is_none_or(|detector| !Arc::ptr_eq(detector.model(), &model)) {
            let made = eyes::detector(Arc::clone(&model), &Config::default());
            detector = made.inspect_err(|error| warn!(%error, "masked video is not audited")).ok();
        }
        let Some(detector) = &mut detector else { continue };
        let found = match detector.detect(picture, Instant::now() + PATIENCE) {
            Ok(found) => found.to_vec(),
            Err(error) => {
                if complained.insert(Arc::clone(&camera), ()).is_none() {
                    warn!(camera = &*camera, %error, "a frame of masked video was not audited");
                }
                continue;
            }
        };
        counter!(MASK_AUDITS, "camera" => camera.to_string()).increment(1);
        let score = detector.settings().score;
        let findings = found.iter().filter(|face| should_not_be_there(face, score, frame.places())).map(|face| {
            counter!(MASK_AUDIT_FACES, "camera" => camera.to_string()).increment(1);
            cover.iter().for_each(|control| control.cover_for(COVER));
            let model = &model.manifest().name;
            Finding { camera: &camera, stamp: frame.stamp(), size: picture.size(), face, model }
        });
        tell(&Look { camera: &camera, findings: findings.collect() });
    }
}

/// Whether what was found should have been masked, where from `score` on a detection is a face.
fn should_not_be_there(found: &Detection, score: f32, places: &Places) -> bool {
    let face = found.rect;
    // half way to certainty
    let sure = (1.0 + score) / 2.0;
    let beside = places.masked.iter().any(|mask| mask.intersection(face.grown(BESIDE)).area() > 0.0);
    let near = |clear: &Rect| contains(clear.grown(NEAR), face.centre());
    found.score >= if beside { sure } else { score }
        && hidden(face, &places.masked) < 1.0 - OPEN
        && !places.clear.iter().any(near)
}

/// Share of a box that masks hide.
fn hidden(face: Rect, masks: &[Rect]) -> f32 {
    let place = |n: u32| (n as f32 + 0.5) / GRID as f32;
    let points = (0..GRID * GRID).map(|n| {
        let (x, y) = (place(n % GRID), place(n / GRID));
        Point::new(face.x + face.w * x, face.y + face.h * y)
    });
    let inside = points.filter(|point| masks.iter().any(|mask| contains(*mask, *point))).count();
    inside as f32 / (GRID * GRID) as f32
}

fn contains(rect: Rect, point: Point) -> bool {
    (rect.x..rect.right()).contains(&point.x) && (rect.y..rect.bottom()).contains(&point.y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_face_counts_where_it_is_open_and_nobodys_who_may_be_seen() {
        let rect = Rect::new(100.0, 100.0, 40.0, 50.0);
        let counts = |score: f32, masked: &[Rect], clear: &[Rect]| {
            let places = Places { masked: masked.to_vec(), clear: clear.to_vec() };
            should_not_be_there(&Detection { rect, score, landmarks: None }, 0.6, &places)
        };
        assert!(counts(0.61, &[], &[]) && !counts(0.59, &[], &[]));
        assert!(!counts(0.99, &[Rect::default(), rect.grown(0.1)], &[]), "a mask that looks like a face");
        assert!(!counts(0.99, &[Rect::new(100.0, 100.0, 30.0, 50.0)], &[]), "the edge of one");
        let narrow = Rect::new(100.0, 100.0, 15.0, 50.0);
        assert!(counts(0.81, &[narrow], &[]), "a good part of it is to be seen");
        assert!(!counts(0.79, &[narrow], &[]), "hair beside a mask");
        assert!(!counts(0.99, &[], &[Rect::new(104.0, 98.0, 40.0, 50.0)]));
        assert!(counts(0.99, &[], &[Rect::new(180.0, 98.0, 40.0, 50.0)]));
    }
}
