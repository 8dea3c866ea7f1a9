//! How fit a face is for recognition, told without running a model: what a person sees at a glance.
//!
//! Each measure is taken where recognition looks, in the aligned crop and at the scale that it needs, so that a large face
//! a little out of focus is as good as a small one that is sharp.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::align::{self, Affine};
use super::identity::{Quality, Reason};
use super::warp::Warper;
use crate::detect::{Detection, Landmarks, View};
use crate::frame::ColourRange;
use crate::geometry::{Point, Rect, Size};

/// The nose's height above the plane of eyes and mouth, as a share of the distance between the eyes.
const NOSE: f32 = 0.55;

/// Where the nose tip is between the eyes and the mouth of a face that looks straight ahead.
const NOSE_LEVEL: f32 = 0.55;

/// Distance between the eyes in the crop that is looked at, at most: finer detail is not needed.
const EYES_PX: f32 = 24.0;

/// From which face a picture is good enough for recognition.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Least distance between the eyes, in pixels of the picture, as it would be if the face looked straight ahead; else
    /// `too_small`. Default: 7.
    pub min_eyes_px: f32,
    /// Most degrees to the left or right, else `turned_away`. Default: 55.
    pub max_yaw: f32,
    /// Most degrees up or down, else `turned_away`. Default: 45.
    pub max_pitch: f32,
    /// Least sharpness, 0 (no detail at the scale that recognition needs) to 1; else `too_blurred`. Default: 0.14.
    pub min_sharpness: f32,
    /// Least difference between light and dark parts of the face (standard deviation of luma as a share of white), else
    /// `badly_exposed`. Default: 0.01.
    pub min_contrast: f32,
    /// Most of the face that may be plain black or plain white, as a share, else `badly_exposed`. Default: 0.7.
    pub max_clipped: f32,
    /// Most of the face that may be behind another or beyond the picture's edge, as a share, else `occluded`. Default: 0.3.
    pub max_hidden: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            min_eyes_px: 7.0,
            max_yaw: 55.0,
            max_pitch: 45.0,
            min_sharpness: 0.14,
            min_contrast: 0.01,
            max_clipped: 0.7,
            max_hidden: 0.3,
        }
    }
}

/// What was measured of a face.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measures {
    /// The detector's score.
    pub score: f32,
    /// Distance between the eyes in pixels of the picture, as it would be if the face looked straight ahead.
    pub eyes_px: f32,
    /// Degrees to the viewer's right (positive) or left.
    pub yaw: f32,
    /// Degrees down (positive) or up.
    pub pitch: f32,
    /// Degrees clockwise; alignment takes it out, so nothing is refused for it.
    pub roll: f32,
    /// 0 to 1.
    pub sharpness: f32,
    /// Standard deviation of luma as a share of white.
    pub contrast: f32,
    /// Share of pixels that are plain black or plain white.
    pub clipped: f32,
    /// Share of the face behind others or beyond the picture's edge.
    pub hidden: f32,
}

/// How fit `face` of a picture is. `others` are the picture's faces; `face` may be among them.
pub fn assess<'a>(view: impl Into<View<'a>>, face: &Detection, others: &[Detection], config: &Config) -> Quality {
    Measures::take(view.into(), face, others).judge(config)
}

impl Measures {
    /// Measures a face. One without landmarks is taken to look straight ahead.
    pub fn take(view: View<'_>, face: &Detection, others: &[Detection]) -> Self {
        let landmarks = face.landmarks.unwrap_or_else(|| typical_landmarks(face.rect));
        let template = &align::TEMPLATES[0];
        let [left, right, ..] = template.points;
        let place = Affine::to_template(&landmarks, &template.points);
        let eyes_px = (right.x - left.x) * place.steps().0;
        let (yaw, pitch) = pose(&landmarks);
        let light = Light::look(view, &place, eyes_px, template.side as f32);
        Self {
            score: face.score,
            eyes_px,
            yaw,
            pitch,
            roll: place.across.y.atan2(place.across.x).to_degrees(),
            sharpness: light.sharpness,
            contrast: light.contrast,
            clipped: light.clipped,
            hidden: hidden(view.size(), face, &landmarks, others),
        }
    }

    /// Refuses or grades.
    pub fn judge(&self, config: &Config) -> Quality {
        let refused = [
            (self.eyes_px < config.min_eyes_px, Reason::TooSmall),
            (self.hidden > config.max_hidden, Reason::Occluded),
            (self.yaw.abs() > config.max_yaw || self.pitch.abs() > config.max_pitch, Reason::TurnedAway),
            (self.contrast < config.min_contrast || self.clipped > config.max_clipped, Reason::BadlyExposed),
            (self.sharpness < config.min_sharpness, Reason::TooBlurred),
        ];
        let reason = refused.into_iter().find_map(|(refused, reason)| refused.then_some(reason));
        Quality { score: self.grade(), reason }
    }

    /// 0 to 1: a product, as one bad property spoils a picture whatever the others are. Each factor follows how far the
    /// similarity to other pictures of the person fell with `face-reid-0095` when good pictures were spoilt in this one way.
    fn grade(&self) -> f32 {
        let legible = 1.0 - (-(self.eyes_px - 3.2) / 4.4).exp();
        let size = legible.max(0.0) * (0.85 + 0.15 * rise(self.eyes_px, 10.0, 40.0));
        let turned = (self.yaw / 60.0).powi(2) + (self.pitch / 60.0).powi(2);
        let facing = (1.0 - 0.8 * turned).clamp(0.05, 1.0);
        let sharp = rise(self.sharpness, 0.04, 0.26);
        let contrasty = 1.0 - (-(self.contrast - 0.003) / 0.0045).exp();
        let lit = contrasty.max(0.0) * (1.0 - self.clipped.powf(2.5));
        let sure = rise(self.score, 0.2, 0.8).sqrt();
        let open = (1.0 - self.hidden).powi(2);
        (size * facing * sharp * lit * sure * open).clamp(0.0, 1.0)
    }
}

/// From 0 to 1 while `value` goes from `low` to `high`.
fn rise(value: f32, low: f32, high: f32) -> f32 {
    ((value - low) / (high - low)).clamp(0.0, 1.0)
}

/// Where the landmarks of a face in `rect` usually are.
fn typical_landmarks(rect: Rect) -> Landmarks {
    [(0.30, 0.40), (0.70, 0.40), (0.50, 0.59), (0.34, 0.77), (0.66, 0.77)]
        .map(|(x, y)| Point::new(rect.x + x * rect.w, rect.y + y * rect.h))
}

/// Yaw and pitch in degrees, from how far the nose tip is off the middle of eyes and mouth: it stands out of the face, so
/// it moves against them when the head turns.
fn pose([left, right, nose, left_mouth, right_mouth]: &Landmarks) -> (f32, f32) {
    let middle = |a: &Point, b: &Point| Point::new((a.x + b.x) / 2.0, (a.y + b.y) / 2.0);
    let (eyes, mouth) = (middle(left, right), middle(left_mouth, right_mouth));
    let (down_x, down_y) = (mouth.x - eyes.x, mouth.y - eyes.y);
    let height = down_x.hypot(down_y).max(1e-3);
    let width = (right.x - left.x).hypot(right.y - left.y).max(1e-3);
    let (x, y) = (nose.x - eyes.x, nose.y - eyes.y);
    let along = (x * down_x + y * down_y) / height;
    let aside = (x * down_y - y * down_x) / height;
    let yaw = (aside / width / NOSE).atan();
    let pitch = ((along / height - NOSE_LEVEL) / NOSE).atan();
    (yaw.to_degrees(), pitch.to_degrees())
}

/// The share of the face's features that is beyond the picture's edge or behind a nearer face. Of two faces that overlap
/// the larger one is nearer.
fn hidden(picture: Size, face: &Detection, landmarks: &Landmarks, others: &[Detection]) -> f32 {
    let core = core(landmarks);
    if !core.is_sound() {
        return 1.0;
    }
    let outside = 1.0 - core.clamped(picture).area() / core.area();
    let nearer = others.iter().filter(|other| {
        other.rect != face.rect && other.rect.area() > 0.8 * face.rect.area() && other.rect.iou(face.rect) < 0.6
    });
    let behind = nearer.map(|other| core.intersection(other.rect).area() / core.area()).fold(0.0, f32::max);
    (outside + behind).min(1.0)
}

/// The box around eyes, nose and mouth, with the cheeks and brows.
fn core(landmarks: &Landmarks) -> Rect {
    let [first, rest @ ..] = landmarks;
    let (mut low, mut high) = (*first, *first);
    for p in rest {
        (low.x, low.y) = (low.x.min(p.x), low.y.min(p.y));
        (high.x, high.y) = (high.x.max(p.x), high.y.max(p.y));
    }
    Rect::from_corners(low.x, low.y, high.x, high.y).grown(0.25)
}

/// What the light on a face shows.
struct Light {
    sharpness: f32,
    contrast: f32,
    clipped: f32,
}

impl Light {
    /// Looks at the inner part of the aligned crop, never finer than the picture is.
    fn look(view: View<'_>, place: &Affine, eyes_px: f32, template_side: f32) -> Self {
        let step = (eyes_px / EYES_PX).max(1.0) / place.steps().0.max(1e-3);
        // From a fifth of the template to the chin: brows, eyes, nose and mouth.
        let side = (0.6 * template_side / step).round().clamp(8.0, 64.0) as u32;
        let origin = place.at(0.2 * template_side, 0.3 * template_side);
        let scaled = |p: Point| Point::new(p.x * step, p.y * step);
        let part = Affine { origin, across: scaled(place.across), down: scaled(place.down) };
        let (size, mut luma) = (Size::new(side, side), Vec::new());
        Warper::default().luma(view, &part, size, &mut luma);
        let (black, white) = levels(view);
        luma.iter_mut().for_each(|value| *value = (*value - black) / (white - black));
        let count = luma.len() as f32;
        let mean = luma.iter().sum::<f32>() / count;
        let variance = luma.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / count;
        let plain = luma.iter().filter(|value| **value < 0.02 || **value > 0.98).count() as f32;
        Self { sharpness: sharpness(&luma, side as usize), contrast: variance.sqrt(), clipped: plain / count }
    }
}

/// Luma of black and white.
fn levels(view: View<'_>) -> (f32, f32) {
    match view {
        View::Frame(picture) if picture.layout().colour.range == ColourRange::Limited => (16.0, 235.0),
        _ => (0.0, 255.0),
    }
}

/// How much of the differences between neighbours a further blur takes away: much of a sharp picture's, little of one
/// that is blurred already (Crete et al. 2007, "The blur effect"). Does not depend on contrast.
fn sharpness(luma: &[f32], side: usize) -> f32 {
    let along_rows = lost(side, |line, i| luma[line * side + i]);
    let along_columns = lost(side, |line, i| luma[i * side + line]);
    along_rows.min(along_columns)
}

/// The share of variation along the lines that a blur over five samples takes away.
fn lost(side: usize, at: impl Fn(usize, usize) -> f32) -> f32 {
    let (mut before, mut taken) = (0.0, 0.0);
    for line in 0..side {
        let blurred = |i: usize| (i - 2..=i + 2).map(|k| at(line, k)).sum::<f32>() / 5.0;
        for i in 3..side.saturating_sub(2) {
            let variation = (at(line, i) - at(line, i - 1)).abs();
            let left = (blurred(i) - blurred(i - 1)).abs();
            before += variation;
            taken += (variation - left).max(0.0);
        }
    }
    if before > 0.0 { taken / before } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A head's landmarks, turned by yaw and pitch and seen from afar: units are the distance between the eyes.
    fn head(yaw: f32, pitch: f32) -> Landmarks {
        let (yaw, pitch) = (yaw.to_radians(), pitch.to_radians());
        [(-0.5, -0.55, 0.0), (0.5, -0.55, 0.0), (0.0, 0.0, NOSE), (-0.4, 0.45, 0.0), (0.4, 0.45, 0.0)].map(
            |(x, y, z): (f32, f32, f32)| {
                let (x, z) = (x * yaw.cos() + z * yaw.sin(), z * yaw.cos() - x * yaw.sin());
                let y = y * pitch.cos() + z * pitch.sin();
                Point::new(200.0 + 60.0 * x, 200.0 + 60.0 * y)
            },
        )
    }

    #[test]
    fn pose_is_read_from_the_landmarks() {
        for (yaw, pitch) in [(0.0, 0.0), (20.0, 0.0), (-40.0, 0.0), (0.0, 25.0), (0.0, -25.0), (25.0, 15.0)] {
            let (found_yaw, found_pitch) = pose(&head(yaw, pitch));
            assert!(
                (found_yaw - yaw).abs() < 6.0 && (found_pitch - pitch).abs() < 6.0,
                "{yaw}, {pitch}: {found_yaw}, {found_pitch}"
            );
        }
    }

    /// Noise with as much at each scale as pictures have, blurred over `blur` pixels to each side.
    fn picture(blur: i64) -> Vec<u8> {
        const SIDE: i64 = 400;
        let noise =
            |x: i64, y: i64| (((x * 7919 + y * 104_729 + x * y * 31) * 2_654_435_761) >> 16 & 255) as f32 / 255.0 - 0.5;
        let at = |x: i64, y: i64| {
            [1, 2, 4, 8, 16, 32].map(|s| noise(x.div_euclid(s) + s, y.div_euclid(s))).iter().sum::<f32>()
        };
        let mut picture: Vec<f32> = (0..SIDE * SIDE).map(|i| at(i % SIDE, i / SIDE)).collect();
        let mean = |from: &[f32], i: i64, step: i64, place: i64| -> f32 {
            let near = (-blur..=blur).map(|d| (place + d).clamp(0, SIDE - 1) - place);
            near.map(|d| from[(i + d * step) as usize]).sum::<f32>() / (2 * blur + 1) as f32
        };
        // Three box blurs are nearly a Gaussian one.
        for _ in 0..3 {
            let rows: Vec<f32> = (0..SIDE * SIDE).map(|i| mean(&picture, i, 1, i % SIDE)).collect();
            picture = (0..SIDE * SIDE).map(|i| mean(&rows, i, SIDE, i / SIDE)).collect();
        }
        picture.iter().flat_map(|value| [(128.0 + 60.0 * value) as u8; 3]).collect()
    }

    fn face(landmarks: Landmarks) -> Detection {
        Detection { rect: core(&landmarks).grown(0.3), score: 0.9, landmarks: Some(landmarks) }
    }

    fn measure(bytes: &[u8], face: &Detection, others: &[Detection]) -> Measures {
        Measures::take(View::Rgb { size: Size::new(400, 400), bytes }, face, others)
    }

    #[test]
    fn sharpness_falls_with_blur_and_not_with_contrast() {
        let sharp: Vec<f32> =
            [0, 1, 3, 6].map(|blur| measure(&picture(blur), &face(head(0.0, 0.0)), &[]).sharpness).into();
        assert!(sharp.is_sorted_by(|a, b| a > b) && sharp[3] < 0.14, "{sharp:?}");
        let pale: Vec<u8> = picture(0).iter().map(|v| v / 4 + 90).collect();
        assert!((measure(&pale, &face(head(0.0, 0.0)), &[]).sharpness - sharp[0]).abs() < 0.03);
    }

    #[test]
    fn each_reason_has_its_cause() {
        let bytes = picture(0);
        let config = Config::default();
        let reason =
            |bytes: &[u8], face: &Detection, others: &[Detection]| measure(bytes, face, others).judge(&config).reason;
        let good = face(head(0.0, 0.0));
        assert_eq!(reason(&bytes, &good, &[good]), None);
        let small =
            face(head(0.0, 0.0).map(|p| Point::new(100.0 + (p.x - 200.0) * 0.08, 100.0 + (p.y - 200.0) * 0.08)));
        assert_eq!(reason(&bytes, &small, &[]), Some(Reason::TooSmall));
        assert_eq!(reason(&bytes, &face(head(75.0, 0.0)), &[]), Some(Reason::TurnedAway));
        assert_eq!(reason(&picture(8), &good, &[]), Some(Reason::TooBlurred));
        assert_eq!(reason(&vec![3; bytes.len()], &good, &[]), Some(Reason::BadlyExposed));
        let nearer = Detection { rect: Rect::new(150.0, 190.0, 200.0, 200.0), ..good };
        assert_eq!(reason(&bytes, &good, &[good, nearer]), Some(Reason::Occluded));
        assert_eq!(
            reason(&bytes, &nearer, &[good, nearer]),
            reason(&bytes, &nearer, &[]),
            "the nearer one is in full view"
        );
        let cut = face(head(0.0, 0.0).map(|p| Point::new(p.x - 195.0, p.y)));
        assert_eq!(reason(&bytes, &cut, &[]), Some(Reason::Occluded));
    }

    #[test]
    fn the_grade_falls_with_each_fault() {
        let best = Measures {
            score: 0.9,
            eyes_px: 60.0,
            yaw: 0.0,
            pitch: 0.0,
            roll: 0.0,
            sharpness: 0.6,
            contrast: 0.2,
            clipped: 0.0,
            hidden: 0.0,
        };
        assert!(best.grade() > 0.9, "{}", best.grade());
        let worse = [
            Measures { score: 0.4, ..best },
            Measures { eyes_px: 12.0, ..best },
            Measures { yaw: -40.0, ..best },
            Measures { pitch: 30.0, ..best },
            Measures { sharpness: 0.15, ..best },
            Measures { contrast: 0.01, ..best },
            Measures { clipped: 0.6, ..best },
            Measures { hidden: 0.2, ..best },
        ];
        for worse in worse {
            assert!(worse.grade() < best.grade() - 0.1 && worse.grade() > 0.0, "{worse:?}: {}", worse.grade());
        }
        assert_eq!(best.grade(), Measures { roll: 30.0, ..best }.grade(), "alignment takes the roll out");
    }

    #[test]
    fn a_face_without_landmarks_is_graded_by_its_box() {
        let bytes = picture(0);
        let quality = assess(
            View::Rgb { size: Size::new(400, 400), bytes: &bytes },
            &Detection { rect: Rect::new(120.0, 100.0, 150.0, 190.0), score: 0.9, landmarks: None },
            &[],
            &Config::default(),
        );
        assert!(quality.reason.is_none() && quality.score > 0.5, "{quality:?}");
    }
}
