//! Which cameras are masked, what that asks of the rest of their settings, and how many frames it holds.

use std::time::Duration;

use super::CameraConfig;
use crate::detect::{self, Mode};
use crate::fault::Problem;
use crate::geometry::Polygon;
use crate::infer::Manifest;
use crate::mask::{self, hold};
use crate::sink::Snapshots;
use crate::source::{FilePace, USUAL_FPS};

/// Room for a hold that grows under load: beyond that, frames are covered.
const ROOM: f64 = 2.0;

/// Frames of a fast file that may be under way to their analyses and back, beside those that are looked ahead at.
const ANALYSED_AT_ONCE: u32 = 8;

/// How a camera's pictures are masked, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Masking {
    /// Who is masked, and how.
    pub mask: mask::Settings,
    /// How long a frame is held until it was seen how long analyses take.
    pub hold: Duration,
    /// Frames that are held at most; each has a slot of the capture ring. In proportion more where the stream says that it gives
    /// more than [`USUAL_FPS`] a second.
    pub capacity: u32,
}

/// How a camera can be looked at over HTTP.
#[derive(Clone, Debug, PartialEq)]
pub enum Preview {
    /// Not at all: why, and what to do.
    Off(String),
    /// Its pictures are masked while somebody looks, in this way.
    Asked(Box<mask::Settings>),
    /// As all that is shown of it, which is masked all the time.
    Masked,
}

/// How a camera can be looked at whose pictures are masked all the time in this way, or are not.
pub(super) fn preview(
    camera: &CameraConfig,
    masking: Option<&Masking>,
    detector: &Manifest,
) -> Result<Preview, Vec<Problem>> {
    let against = if masking.is_some() { Vec::new() } else { blindfolds(camera, detector) };
    match (camera.preview, masking) {
        (Some(false), _) => {
            Ok(Preview::Off("the camera has preview = false; set it to true, or take it out".to_owned()))
        }
        (_, Some(_)) => Ok(Preview::Masked),
        (Some(true), None) if !against.is_empty() => Err(against),
        (None, None) if !against.is_empty() => {
            let why: Vec<String> = against.iter().map(ToString::to_string).collect();
            Ok(Preview::Off(format!("the camera cannot be masked for it: {}", why.join("; "))))
        }
        _ => Ok(Preview::Asked(Box::new(mask::Config::default().resolve(Vec::new())?))),
    }
}

/// The masking of a camera with these privacy zones; `None` where nothing shows its pictures.
pub(super) fn resolve(
    camera: &CameraConfig,
    zones: Vec<Polygon>,
    detector: &Manifest,
) -> Result<Option<Masking>, Vec<Problem>> {
    let shown = camera.restream.is_some() || camera.snapshots == Snapshots::Masked;
    if !shown && camera.mask.is_none() && zones.is_empty() {
        return Ok(None);
    }
    let mut problems = blindfolds(camera, detector);
    let mask = camera.mask.clone().unwrap_or_default().resolve(zones);
    let mask = mask.map_err(|wrong| problems.extend(wrong.into_iter().map(|p| p.within("mask")))).ok();
    match mask {
        Some(mask) if problems.is_empty() => {
            let hold = hold::hold(mask.lookahead, period(camera, &mask), hold::EXPECTED_P99);
            let capacity = match camera.source.pace {
                FilePace::Fast => (hold::FILE_LOOKAHEAD.as_secs_f64() * USUAL_FPS).ceil() as u32 + ANALYSED_AT_ONCE,
                FilePace::Realtime => (hold.mul_f64(ROOM).min(hold::MOST).as_secs_f64() * USUAL_FPS).ceil() as u32,
            };
            Ok(Some(Masking { mask, hold, capacity }))
        }
        _ => Err(problems),
    }
}

/// Time between two analyses. Without look-ahead each frame is to be analysed.
fn period(camera: &CameraConfig, mask: &mask::Settings) -> Duration {
    let fps = if mask.lookahead.is_zero() { USUAL_FPS.max(camera.analysis_fps) } else { camera.analysis_fps };
    Duration::from_secs_f64(1.0 / fps)
}

/// Settings that would keep faces from the mask.
fn blindfolds(camera: &CameraConfig, detector: &Manifest) -> Vec<Problem> {
    let mut problems = Vec::new();
    if camera.detect.detect == Mode::Motion {
        problems.push(
            Problem::new(
                "detect",
                "a camera that is masked must be analysed always: a face may appear without a motion",
            )
            .remedy("set detect = \"always\", or take out mask, privacy_zones, restream, snapshots and preview"),
        );
    }
    if camera.detect.min_face_px > 0.0 {
        let what = format!("faces smaller than {} pixels would not be masked", camera.detect.min_face_px);
        problems.push(Problem::new("min_face_px", what).remedy("take it out of a camera that is masked"));
    }
    problems.extend(faint_faces(camera, detector));
    let period = Duration::from_secs_f64(1.0 / camera.analysis_fps);
    if period + hold::EXPECTED_P99 + hold::RESERVE > hold::MOST {
        let what = format!("{} is too few for a mask: frames would wait {period:?} for theirs", camera.analysis_fps);
        problems.push(Problem::new("analysis_fps", what).remedy("set it to 1 or more; 10 is a good rate"));
    }
    problems
}

/// A mask wants every face that the model believes in at all.
fn faint_faces(camera: &CameraConfig, detector: &Manifest) -> Option<Problem> {
    let low_score = |config: &detect::Config| Some(detect::Settings::new(config, detector).ok()?.low_score);
    let (wanted, own) = (low_score(&camera.detect)?, low_score(&detect::Config::default())?);
    (wanted > own).then(|| {
        let what = format!(
            "faces that score less than {wanted} would not be masked, and {} finds fainter ones",
            detector.name
        );
        Problem::new("low_score", what).remedy(format!("set low_score = {own}, which new tracks are not made of"))
    })
}
