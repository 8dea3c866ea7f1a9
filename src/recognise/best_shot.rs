//! The best pictures of a track's face, in small: an early one for whoever cannot wait, and the best one of all.

use std::time::{Duration, SystemTime};

use zeroize::Zeroize;

use crate::frame::{Layout, Picture, PixelFormat, PlaneLayout, Stamp};
use crate::geometry::{Rect, Size};

/// The early shot is the best one of this long after the track's first face.
const EARLY: Duration = Duration::from_millis(300);
/// A face must be better than the best shot by this much to take its place: each shot is a copy of pixels.
const GAIN: f32 = 0.03;
/// What is shown around the box, as a share of its size on each side.
const AROUND: f32 = 0.35;
/// Most pixels on a side of a shot: of a larger crop only every second, third … is kept.
const LONGEST: u32 = 384;

/// A face cut out of one frame: I420, and no more than some hundred kilobytes. Its pixels are overwritten with zeros when it goes.
pub struct Shot {
    /// Fitness of the face, 0 to 1.
    pub quality: f32,
    /// Stream time.
    pub at: Duration,
    /// Wall clock.
    pub captured_at: SystemTime,
    /// The face within the shot, in its pixels.
    pub face: Rect,
    layout: Layout,
    pixels: Vec<u8>,
}

impl std::fmt::Debug for Shot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shot").field("quality", &self.quality).field("size", &self.layout.size).finish_non_exhaustive()
    }
}

impl Drop for Shot {
    fn drop(&mut self) {
        self.pixels.zeroize();
    }
}

impl Shot {
    /// Cuts the face at `rect` out of a picture. `None` where nothing of it is inside.
    pub fn cut(picture: Picture<'_>, rect: Rect, quality: f32, stamp: &Stamp) -> Option<Self> {
        let area = rect.grown(AROUND).clamped(picture.size());
        // Chroma has half the rows and columns: the cut begins on an even one.
        let (x, y) = (area.x as u32 & !1, area.y as u32 & !1);
        let (w, h) = ((area.right() as u32).saturating_sub(x), (area.bottom() as u32).saturating_sub(y));
        let step = w.max(h).div_ceil(LONGEST).max(1);
        let size = Size::new(w / step, h / step);
        if size.pixels() == 0 {
            return None;
        }
        let source = picture.layout();
        let layout = Layout { sar: source.sar, ..Layout::packed(size, PixelFormat::I420, source.colour) };
        let mut pixels = Vec::with_capacity(layout.end()?);
        let cut = Cut { x, y, step, size };
        cut.plane(picture, &mut pixels, Channel { plane: 0, halved: 1, stride: 1, offset: 0 });
        for channel in 0..2 {
            let from = match source.pixel {
                PixelFormat::I420 => Channel { plane: 1 + channel, halved: 2, stride: 1, offset: 0 },
                PixelFormat::Nv12 => Channel { plane: 1, halved: 2, stride: 2, offset: channel },
            };
            cut.plane(picture, &mut pixels, from);
        }
        let scale = 1.0 / step as f32;
        let face = Rect::new(rect.x - x as f32, rect.y - y as f32, rect.w, rect.h);
        let face = Rect::new(face.x * scale, face.y * scale, face.w * scale, face.h * scale);
        Some(Self { quality, at: stamp.pts, captured_at: stamp.captured_at, face, layout, pixels })
    }

    /// The picture.
    pub fn picture(&self) -> Option<Picture<'_>> {
        Picture::new(&self.layout, &self.pixels)
    }
}

/// Which part of a picture is copied.
struct Cut {
    x: u32,
    y: u32,
    step: u32,
    size: Size,
}

/// Where one channel of a picture lies.
struct Channel {
    plane: usize,
    /// 2 where it has half the rows and columns.
    halved: u32,
    /// Bytes from one sample to the next.
    stride: usize,
    /// Bytes before the first sample.
    offset: usize,
}

impl Cut {
    fn plane(&self, picture: Picture<'_>, out: &mut Vec<u8>, from: Channel) {
        let PlaneLayout { stride, .. } = picture.layout().planes[from.plane];
        let bytes = picture.plane(from.plane);
        for row in 0..self.size.height.div_ceil(from.halved) {
            let y = (self.y / from.halved + row * self.step) as usize;
            let columns = (0..self.size.width.div_ceil(from.halved))
                .map(|column| (self.x / from.halved + column * self.step) as usize * from.stride + from.offset);
            out.extend(columns.map(|column| bytes[y * stride + column]));
        }
    }
}

/// The shots of one track.
#[derive(Debug, Default)]
pub struct BestShots {
    born: Option<Duration>,
    /// The best one of the first moments.
    early: Option<Shot>,
    /// A better one than that, since.
    later: Option<Shot>,
    is_early: bool,
}

impl BestShots {
    /// Takes in the face at `rect`. Copies nothing unless it is the best one so far.
    pub fn see(&mut self, picture: Picture<'_>, rect: Rect, quality: f32, stamp: &Stamp) {
        let born = *self.born.get_or_insert(stamp.pts);
        self.is_early = stamp.pts.saturating_sub(born) <= EARLY;
        if self.best().is_some_and(|best| quality <= best.quality + GAIN) {
            return;
        }
        if let Some(shot) = Shot::cut(picture, rect, quality, stamp) {
            let place = if self.is_early { &mut self.early } else { &mut self.later };
            *place = Some(shot);
        }
    }

    /// The best one of the first moments, once these are over.
    pub fn early(&self) -> Option<&Shot> {
        self.early.as_ref().filter(|_| !self.is_early)
    }

    /// The best one so far.
    pub fn best(&self) -> Option<&Shot> {
        self.later.as_ref().or(self.early.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Monotonic;
    use crate::frame::{ClockSource, Colorimetry, ColourMatrix, ColourRange};

    const COLOUR: Colorimetry = Colorimetry { matrix: ColourMatrix::Bt709, range: ColourRange::Limited };

    fn stamp(ms: u64) -> Stamp {
        let pts = Duration::from_millis(ms);
        let (arrived_at, captured_at) = (Monotonic::from_nanos(0), SystemTime::UNIX_EPOCH + pts);
        Stamp { pts, arrived_at, decode: None, captured_at, clock: ClockSource::Media }
    }

    /// Luma tells the place; U is 60 and V 200.
    fn frame(size: Size, pixel: PixelFormat) -> (Layout, Vec<u8>) {
        let layout = Layout::packed(size, pixel, COLOUR);
        let mut bytes = vec![0; layout.end().unwrap()];
        let (w, h) = (size.width as usize, size.height as usize);
        (0..w * h).for_each(|i| bytes[i] = (i % w / 2 + i / w / 2) as u8);
        let chroma = &mut bytes[w * h..];
        let half = chroma.len() / 2;
        for (i, value) in chroma.iter_mut().enumerate() {
            let u = if pixel == PixelFormat::I420 { i < half } else { i % 2 == 0 };
            *value = if u { 60 } else { 200 };
        }
        (layout, bytes)
    }

    #[test]
    fn a_shot_is_the_face_with_what_is_around_it() {
        for pixel in [PixelFormat::I420, PixelFormat::Nv12] {
            let (layout, bytes) = frame(Size::new(200, 120), pixel);
            let rect = Rect::new(50.0, 40.0, 40.0, 40.0);
            let shot = Shot::cut(Picture::new(&layout, &bytes).unwrap(), rect, 0.7, &stamp(0)).unwrap();
            assert_eq!((shot.layout.size, shot.face), (Size::new(68, 68), Rect::new(14.0, 14.0, 40.0, 40.0)));
            let picture = shot.picture().unwrap();
            assert_eq!(picture.plane(0)[68 * 10 + 20], ((36 + 20) / 2 + (26 + 10) / 2) as u8);
            assert!(picture.plane(1).iter().all(|u| *u == 60) && picture.plane(2).iter().all(|v| *v == 200));
        }
    }

    #[test]
    fn a_large_face_is_kept_in_small_and_one_outside_not_at_all() {
        let (layout, bytes) = frame(Size::new(1921, 1081), PixelFormat::I420);
        let picture = Picture::new(&layout, &bytes).unwrap();
        let shot = Shot::cut(picture, Rect::new(1200.0, 300.0, 700.0, 781.0), 0.7, &stamp(0)).unwrap();
        assert!(shot.layout.size.width.max(shot.layout.size.height) <= LONGEST, "{:?}", shot.layout.size);
        assert!(shot.picture().is_some());
        assert!(shot.pixels.len() < 230_000);
        assert!(Shot::cut(picture, Rect::new(5000.0, 0.0, 50.0, 50.0), 0.7, &stamp(0)).is_none());
    }

    #[test]
    fn the_early_one_is_of_the_first_moments_and_the_best_one_of_all() {
        let (layout, bytes) = frame(Size::new(200, 120), PixelFormat::I420);
        let (mut shots, rect) = (BestShots::default(), Rect::new(50.0, 40.0, 40.0, 40.0));
        let mut see = |ms: u64, quality: f32| {
            shots.see(Picture::new(&layout, &bytes).unwrap(), rect, quality, &stamp(ms));
            (shots.early().map(|s| s.quality), shots.best().map(|s| s.quality))
        };
        assert_eq!(see(1000, 0.3), (None, Some(0.3)));
        assert_eq!(see(1300, 0.5), (None, Some(0.5)));
        assert_eq!(see(1400, 0.4), (Some(0.5), Some(0.5)));
        assert_eq!(see(1500, 0.8), (Some(0.5), Some(0.8)));
        assert_eq!(see(1600, 0.81), (Some(0.5), Some(0.8)), "hardly better");
    }
}
