//! What a face looks like in the small grey picture: a few samples of its luma, taken without any model.
//!
//! Where the picture has at least four pixels across a face, this tells most pairs of people in one scene apart for a
//! second or two: of two boxes within reach of a track, the one that looks like it. It is no identity: with light,
//! pose and background it changes, so it counts as one term among others and is forgotten within seconds.

use super::Thumbnail;
use crate::geometry::{Rect, Size};

/// Samples on each side of a box.
const SIDE: usize = 5;
/// A box must be this many pixels of the small picture wide and high.
const MIN_PIXELS: f32 = 4.0;

/// The luma of a box relative to the whole picture's, so that a change of exposure is none of the look. Unknown where
/// there is no picture, or too small a one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look(Option<[f32; SIDE * SIDE]>);

/// The small picture that looks are taken from.
#[derive(Clone, Copy, Debug)]
pub struct Mirror<'a> {
    picture: Thumbnail<'a>,
    mean: f32,
    scale: (f32, f32),
}

impl<'a> Mirror<'a> {
    /// `picture` of a frame of size `frame`; `None` where its bytes are not what its size says.
    pub fn new(picture: Thumbnail<'a>, frame: Size) -> Option<Self> {
        let Size { width, height } = picture.size;
        if picture.luma.len() as u64 != picture.size.pixels() || width < 2 || height < 2 {
            return None;
        }
        let total: u64 = picture.luma.iter().map(|&luma| u64::from(luma)).sum();
        let scale = (width as f32 / frame.width.max(1) as f32, height as f32 / frame.height.max(1) as f32);
        Some(Self { picture, mean: total as f32 / picture.luma.len() as f32, scale })
    }

    /// The look of the box `rect` of the frame.
    pub fn look(&self, rect: Rect) -> Look {
        let (x, y) = (rect.x * self.scale.0, rect.y * self.scale.1);
        let (w, h) = (rect.w * self.scale.0, rect.h * self.scale.1);
        if !(w >= MIN_PIXELS && h >= MIN_PIXELS) {
            return Look(None);
        }
        let at = |step: usize| (step as f32 + 0.5) / SIDE as f32;
        let sample = |i: usize| self.sample(x + w * at(i % SIDE) - 0.5, y + h * at(i / SIDE) - 0.5) - self.mean;
        Look(Some(std::array::from_fn(sample)))
    }

    /// Luma at a place between pixels, by the four around it; the border's beyond the border.
    fn sample(&self, x: f32, y: f32) -> f32 {
        let (width, height) = (self.picture.size.width as usize, self.picture.size.height as usize);
        let (x, y) = (x.clamp(0.0, width as f32 - 1.0), y.clamp(0.0, height as f32 - 1.0));
        let (column, row) = ((x as usize).min(width - 2), (y as usize).min(height - 2));
        let (right, down) = (x - column as f32, y - row as f32);
        let luma = |dx: usize, dy: usize| f32::from(self.picture.luma[(row + dy) * width + column + dx]);
        let along = |dy: usize| luma(0, dy) * (1.0 - right) + luma(1, dy) * right;
        along(0) * (1.0 - down) + along(1) * down
    }
}

impl Look {
    /// Whether there was picture enough.
    pub fn is_known(&self) -> bool {
        self.0.is_some()
    }

    /// Mean difference of the samples, in grey levels of 255; `None` where either is unknown.
    pub fn difference(&self, other: &Self) -> Option<f64> {
        let (Self(Some(a)), Self(Some(b))) = (self, other) else { return None };
        let total: f32 = a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum();
        Some(f64::from(total) / (SIDE * SIDE) as f64)
    }

    /// Takes in a newer look, of which `share` (0 to 1) is kept of the old one.
    pub fn renew(&mut self, newer: &Self, share: f32) {
        match (&mut self.0, newer.0) {
            (Some(old), Some(new)) => {
                old.iter_mut().zip(new).for_each(|(old, new)| *old += (1.0 - share) * (new - *old))
            }
            (old @ None, new) => *old = new,
            (Some(_), None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Size = Size::new(160, 90);
    const FRAME: Size = Size::new(1280, 720);

    /// A grey picture with a face at `x`, `y` in the frame: dark hair above, bright below, `tone` brighter.
    fn picture(x: usize, y: usize, tone: u8, light: u8) -> Vec<u8> {
        let mut luma = vec![90 + light; SMALL.pixels() as usize];
        for row in y / 8..y / 8 + 12 {
            for column in x / 8..x / 8 + 10 {
                luma[row * 160 + column] = if row < y / 8 + 5 { 30 } else { 120 + tone } + light;
            }
        }
        luma
    }

    fn look(luma: &[u8], x: f32, y: f32, w: f32) -> Look {
        Mirror::new(Thumbnail { size: SMALL, luma }, FRAME).unwrap().look(Rect::new(x, y, w, w * 1.2))
    }

    #[test]
    fn a_face_looks_alike_elsewhere_and_in_another_light() {
        let here = look(&picture(80, 80, 0, 0), 80.0, 80.0, 80.0);
        let there = look(&picture(640, 320, 0, 0), 640.0, 320.0, 80.0);
        let brighter = look(&picture(80, 80, 0, 40), 80.0, 80.0, 80.0);
        let other = look(&picture(80, 80, 60, 0), 80.0, 80.0, 80.0);
        assert!(here.difference(&there).unwrap() < 0.1);
        assert!(here.difference(&brighter).unwrap() < 0.1);
        assert!(here.difference(&other).unwrap() > 25.0);
    }

    #[test]
    fn too_small_a_face_has_no_look_and_a_box_over_the_border_has_one() {
        let luma = picture(80, 80, 0, 0);
        assert!(look(&luma, 80.0, 80.0, 20.0).0.is_none());
        assert!(look(&luma, -60.0, -60.0, 80.0).0.is_some());
        assert!(look(&luma, 1260.0, 700.0, 80.0).0.is_some());
        assert!(look(&luma, f32::NAN, 0.0, f32::NAN).0.is_none());
        assert!(Mirror::new(Thumbnail { size: SMALL, luma: &[] }, FRAME).is_none());
    }

    #[test]
    fn a_look_follows_slowly_and_outlasts_what_is_unknown() {
        let (old, new) =
            (look(&picture(80, 80, 0, 0), 80.0, 80.0, 80.0), look(&picture(80, 80, 60, 0), 80.0, 80.0, 80.0));
        let mut kept = old;
        kept.renew(&new, 0.75);
        assert!(kept.difference(&old).unwrap() < kept.difference(&new).unwrap());
        kept.renew(&Look::default(), 0.0);
        assert!(kept.difference(&old).is_some());
    }
}
