//! Whether a track's box still shows the same face, told without any model.
//!
//! A tracker follows places. Where two people cross, where a picture is cut, or where somebody comes back after a
//! while, the place may be another person's. Each of these puts the identity in doubt until an embedding says that the
//! face is the same; a false alarm costs one embedding.

use std::time::Duration;

use crate::frame::Picture;
use crate::geometry::Rect;
use crate::track::motion::{shape_change, size_of};

/// Samples on each side of a box.
const SIDE: usize = 8;
/// Two looks at one face within a fraction of a second correlate more than this; those of two people rarely do.
const SAME_LOOK: f32 = 0.75;
/// Not seen for this long, the face may be anybody's.
const GAP: Duration = Duration::from_millis(500);
/// A face is not expected to be further than this from where its movement leads, in its own sizes.
const JUMP: f64 = 0.6;
/// A face that also looks different is less far from there, if it is the same.
const JUMP_WITH_LOOK: f64 = 0.3;
/// A face that also looks different does not change its shape by more between two analyses (see [`shape_change`]).
const RESHAPED: f64 = 0.25;
/// Boxes closer than this share of the smaller one's size, the way of both since the last analysis included, may have
/// been exchanged.
const NEAR: f64 = 0.1;
/// A doubt that faces which cannot be used leave open for this long is one that counts.
const PATIENCE: Duration = Duration::from_secs(1);

/// Luma of a box in small, without brightness and contrast.
#[derive(Clone, Copy, Debug)]
pub struct Look([f32; SIDE * SIDE]);

impl Look {
    /// The look of `rect`; beyond the picture's edge its border goes on.
    pub fn of(picture: Picture<'_>, rect: Rect) -> Self {
        let (size, stride, luma) = (picture.size(), picture.layout().planes[0].stride, picture.plane(0));
        let column = |x: f32| (x.max(0.0) as usize).min(size.width as usize - 1);
        let row = |y: f32| (y.max(0.0) as usize).min(size.height as usize - 1);
        // Four samples a cell: a mean over all of its pixels tells no more.
        let at = |cell: usize, part: usize| (cell as f32 + 0.25 + 0.5 * part as f32) / SIDE as f32;
        let mut samples = [0.0; SIDE * SIDE];
        for (index, sample) in samples.iter_mut().enumerate() {
            for part in 0..4 {
                let x = column(rect.x + rect.w * at(index % SIDE, part % 2));
                let y = row(rect.y + rect.h * at(index / SIDE, part / 2));
                *sample += f32::from(luma[y * stride + x]);
            }
        }
        Self(normalised(samples))
    }

    /// Correlation with another look, -1 to 1; 0 where one of them is flat.
    fn correlation(&self, other: &Self) -> f32 {
        self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum()
    }
}

#[cfg(test)]
impl Look {
    /// The look of somebody by number.
    pub fn of_somebody(number: u64) -> Self {
        let (mut samples, mut rng) = ([0.0; SIDE * SIDE], fastrand::Rng::with_seed(number));
        samples.iter_mut().for_each(|sample| *sample = rng.f32());
        Self(normalised(samples))
    }
}

fn normalised(mut samples: [f32; SIDE * SIDE]) -> [f32; SIDE * SIDE] {
    let mean = samples.iter().sum::<f32>() / samples.len() as f32;
    samples.iter_mut().for_each(|sample| *sample -= mean);
    let length = samples.iter().map(|sample| sample * sample).sum::<f32>().sqrt();
    samples.iter_mut().for_each(|sample| *sample /= length.max(f32::MIN_POSITIVE));
    samples
}

/// One detection of a track.
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    /// Stream time.
    pub at: Duration,
    /// Its box, in frame pixels.
    pub rect: Rect,
    /// What is in the box.
    pub look: Look,
    /// Whether another face was so near that the two may have been exchanged.
    pub crossing: bool,
}

/// Why a face may be another than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// Another face is, or was, in the way: the tracker's best guess stands for a while.
    Crossing,
    /// It looks different: light, a turn of the head, or another face.
    Look,
    /// It was away, or is where nobody expected it: nothing speaks for the tracker's guess.
    Break,
}

/// What one track's detections say of its being one face.
#[derive(Debug, Default)]
pub struct Continuity {
    last: Option<(Sighting, Step)>,
    doubt: Option<(Doubt, Duration)>,
    /// More gave reason for doubt than that another face is near.
    alarmed: bool,
}

/// Movement in pixels a second, as the last two sightings have it.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    x: f32,
    y: f32,
}

impl Continuity {
    /// Takes in a detection.
    pub fn see(&mut self, now: Sighting) {
        let Some((before, step)) = self.last else {
            self.last = Some((now, Step::default()));
            return;
        };
        let changed = change(&before, step, &now);
        self.alarmed |= changed.is_some() || before.crossing && !now.crossing;
        let crossing = now.crossing.then_some(Doubt::Crossing);
        if let Some(doubt) = changed.filter(|change| !now.crossing || *change == Doubt::Break).or(crossing) {
            self.raise(doubt, now.at);
        }
        let dt = now.at.saturating_sub(before.at).as_secs_f32().max(0.001);
        let (from, to) = (before.rect.centre(), now.rect.centre());
        self.last = Some((now, Step { x: (to.x - from.x) / dt, y: (to.y - from.y) / dt }));
    }

    /// A graver doubt replaces a lesser one; a crossing counts from its end.
    fn raise(&mut self, doubt: Doubt, at: Duration) {
        let graver = |old: Doubt| doubt == Doubt::Break || old == Doubt::Look && doubt == Doubt::Crossing;
        match self.doubt {
            Some((Doubt::Crossing, _)) if doubt == Doubt::Crossing => self.doubt = Some((doubt, at)),
            Some((old, _)) if old == doubt || !graver(old) => {}
            _ => self.doubt = Some((doubt, at)),
        }
    }

    /// The identity is in doubt for a reason that is not to be seen in the picture.
    pub fn suspect(&mut self, at: Duration) {
        self.alarmed = true;
        self.raise(Doubt::Crossing, at);
    }

    /// An embedding says that it is the same face, or that all begins anew.
    pub fn settle(&mut self) {
        self.doubt = None;
        self.alarmed = false;
    }

    /// Whether the face may be another than before.
    pub fn is_doubtful(&self) -> bool {
        self.doubt.is_some()
    }

    /// Whether the face should be verified at once: faces that only stay near each other can wait a little.
    pub fn is_urgent(&self) -> bool {
        self.doubt.is_some_and(|(doubt, _)| self.alarmed || doubt != Doubt::Crossing)
    }

    /// Whether too much speaks against its being the same face to let a name stand unverified.
    pub fn is_broken(&self, now: Duration) -> bool {
        self.doubt.is_some_and(|(doubt, since)| doubt == Doubt::Break || now.saturating_sub(since) > PATIENCE)
    }
}

/// What changed from one sighting to the next that would not if both were the same face.
fn change(before: &Sighting, step: Step, now: &Sighting) -> Option<Doubt> {
    let away = now.at.saturating_sub(before.at);
    if away >= GAP {
        return Some(Doubt::Break);
    }
    let dt = away.as_secs_f32();
    let (from, to) = (before.rect.centre(), now.rect.centre());
    let off = f64::from((to.x - from.x - step.x * dt).hypot(to.y - from.y - step.y * dt));
    let still = f64::from((to.x - from.x).hypot(to.y - from.y));
    // Somebody who stops, and a track that has no speed yet, are off their way only by it.
    let jump = off.min(still) / size_of(before.rect);
    let same_look = before.look.correlation(&now.look) >= SAME_LOOK;
    let reshaped = shape_change(before.rect, now.rect) > RESHAPED;
    match (same_look, now.crossing) {
        (true, false) => (jump > JUMP).then_some(Doubt::Break),
        // The boxes of faces that cover each other jump and are of any shape.
        (true, true) => None,
        (false, true) => Some(if jump > JUMP { Doubt::Break } else { Doubt::Look }),
        (false, false) if jump > JUMP_WITH_LOOK || reshaped => Some(Doubt::Break),
        (false, false) => Some(Doubt::Look),
    }
}

/// Whether two boxes, which may have moved by `ways` pixels since the last analysis, may have been exchanged.
pub fn is_near(a: Rect, b: Rect, ways: f64) -> bool {
    let apart = |a: f32, a_end: f32, b: f32, b_end: f32| f64::from((b - a_end).max(a - b_end));
    let gap = apart(a.x, a.right(), b.x, b.right()).max(apart(a.y, a.bottom(), b.y, b.bottom()));
    gap < ways - NEAR * size_of(a).min(size_of(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Colorimetry, ColourMatrix, ColourRange, Layout, PixelFormat};
    use crate::geometry::Size;

    const HOME: Rect = Rect::new(100.0, 100.0, 60.0, 80.0);

    fn at(ms: u64, x: f32) -> Sighting {
        let rect = Rect { x, ..HOME };
        Sighting { at: Duration::from_millis(ms), rect, look: Look::of_somebody(1), crossing: false }
    }

    /// Doubtful, and broken, after these sightings.
    fn seen(sightings: &[Sighting]) -> (bool, bool) {
        let mut continuity = Continuity::default();
        sightings.iter().for_each(|sighting| continuity.see(*sighting));
        (continuity.is_doubtful(), continuity.is_broken(sightings.last().unwrap().at))
    }

    #[test]
    fn a_walk_raises_no_doubt_and_a_jump_does() {
        let walk: Vec<_> = (0..10).map(|i| at(i * 100, 40.0 * i as f32)).collect();
        assert_eq!(seen(&walk), (false, false));
        assert_eq!(seen(&[&walk[..], &[at(1000, 360.0)]].concat()), (false, false), "who stops is no other");
        assert_eq!(seen(&[&walk[..], &[at(1000, 480.0)]].concat()), (true, true));
    }

    #[test]
    fn what_was_away_may_be_another() {
        assert_eq!(seen(&[at(0, 0.0), at(400, 5.0)]), (false, false));
        assert_eq!(seen(&[at(0, 0.0), at(600, 5.0)]), (true, true));
    }

    #[test]
    fn another_look_is_verified_and_another_shape_with_it_is_a_break() {
        let other = Sighting { look: Look::of_somebody(2), ..at(100, 0.0) };
        assert_eq!(seen(&[at(0, 0.0), other]), (true, false));
        let reshaped = Sighting { rect: Rect::new(0.0, 100.0, 80.0, 60.0), ..other };
        assert_eq!(seen(&[at(0, 0.0), reshaped]), (true, true));
    }

    #[test]
    fn a_crossing_counts_from_its_end_and_only_so_long() {
        let mut continuity = Continuity::default();
        let crossing = |ms| Sighting { crossing: true, ..at(ms, 0.0) };
        (0..30).for_each(|i| continuity.see(crossing(i * 100)));
        assert!(continuity.is_doubtful() && !continuity.is_broken(Duration::from_millis(2900)));
        assert!(!continuity.is_urgent(), "they only stay near each other");
        continuity.see(at(3000, 0.0));
        assert!(continuity.is_urgent(), "it is over");
        (31..45).for_each(|i| continuity.see(at(i * 100, 0.0)));
        assert!(continuity.is_broken(Duration::from_millis(4400)));
        continuity.settle();
        continuity.see(at(4500, 0.0));
        assert!(!continuity.is_doubtful());
    }

    #[test]
    fn near_is_what_could_meet_in_between() {
        let (a, b) = (Rect::new(0.0, 0.0, 50.0, 50.0), Rect::new(70.0, 10.0, 50.0, 50.0));
        assert!(!is_near(a, b, 0.0) && is_near(a, b, 40.0));
        assert!(!is_near(a, Rect::new(0.0, 200.0, 50.0, 50.0), 40.0));
        assert!(is_near(a, Rect::new(40.0, 0.0, 50.0, 50.0), 0.0));
        assert!(!is_near(a, Rect::new(48.0, 0.0, 50.0, 50.0), 0.0), "side by side");
    }

    #[test]
    fn a_look_is_that_of_the_box_without_brightness() {
        let colour = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full };
        let layout = Layout::packed(Size::new(64, 64), PixelFormat::I420, colour);
        let texture = |scale: usize, shift: usize| {
            let mut bytes = vec![128u8; layout.end().unwrap()];
            (0..64 * 64).for_each(|i| bytes[i] = ((i % 64 / 8 * 37 + i / 64 / 8 * 53) % 100 / scale + shift) as u8);
            bytes
        };
        let look =
            |bytes: &[u8], x: f32| Look::of(Picture::new(&layout, bytes).unwrap(), Rect::new(x, 0.0, 32.0, 32.0));
        let (bright, dark) = (texture(1, 100), texture(2, 20));
        assert!(look(&bright, 0.0).correlation(&look(&dark, 0.0)) > 0.98);
        assert!(look(&bright, 0.0).correlation(&look(&bright, 30.0)) < SAME_LOOK);
        let _beyond_the_edge = look(&bright, -20.0);
        assert_eq!(look(&vec![9; layout.end().unwrap()], 0.0).correlation(&look(&bright, 0.0)), 0.0);
    }
}
