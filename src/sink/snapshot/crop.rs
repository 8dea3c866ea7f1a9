//! A part of a picture, kept in small.

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use zeroize::Zeroize;

use super::super::jpeg;
use crate::frame::{Colorimetry, ColourMatrix, ColourRange, Picture, PixelFormat};
use crate::geometry::{Point, Polygon, Rect, Size};

/// Most pixels on a side of a best shot.
pub(super) const BEST_SHOT: u32 = 640;

/// Quality of the JPEG, 0 to 100.
const QUALITY: u8 = 85;
const QUICK_QUALITY: u8 = 78;

/// What is shown around a face's box, in its widths and heights: whole head and shoulders.
const ASIDE: f32 = 1.0;
const ABOVE: f32 = 0.6;
const BELOW: f32 = 1.4;

/// The part of a frame in which the face at `rect` has its head and shoulders.
pub(super) fn around(rect: Rect) -> Rect {
    let (x, y) = (rect.x - rect.w * ASIDE, rect.y - rect.h * ABOVE);
    Rect::new(x, y, rect.w * (1.0 + 2.0 * ASIDE), rect.h * (1.0 + ABOVE + BELOW))
}

/// A part of a picture in planes of luma and halved chroma. Its pixels are overwritten with zeros when it goes.
pub(in crate::sink) struct Crop {
    size: Size,
    colour: Colorimetry,
    planes: [Vec<u8>; 3],
    /// Where its first pixel is in the frame.
    origin: (u32, u32),
    /// Frame pixels a pixel, across and down.
    step: u32,
    frame: Size,
}

impl Drop for Crop {
    fn drop(&mut self) {
        self.planes.iter_mut().for_each(Zeroize::zeroize);
    }
}

impl std::fmt::Debug for Crop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crop").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Crop {
    /// Cuts what lies in `area` out of a picture, with `longest` pixels on a side at most: of a larger part blocks of pixels
    /// become one. `None` where nothing of it is inside.
    pub(in crate::sink) fn cut(picture: Picture<'_>, area: Rect, longest: u32) -> Option<Self> {
        let area = area.clamped(picture.size());
        // chroma has half the rows and columns
        let (x, y) = (area.x as u32 & !1, area.y as u32 & !1);
        let (w, h) = ((area.right() as u32).saturating_sub(x), (area.bottom() as u32).saturating_sub(y));
        let step = w.max(h).div_ceil(longest).max(1);
        let size = Size::new(w / step, h / step);
        if size.pixels() == 0 {
            return None;
        }
        let channel = |index: usize| Channel::of(picture, index).means((x, y), step as usize, size);
        let planes = [channel(0), channel(1), channel(2)];
        let (colour, frame) = (picture.layout().colour, picture.size());
        Some(Self { size, colour, planes, origin: (x, y), step, frame })
    }

    /// Blackens what lies in one of `zones`, which are in fractions of the frame.
    pub(super) fn hide(&mut self, zones: &[Polygon]) {
        let (w, h) = (self.frame.width as f32, self.frame.height as f32);
        let step = self.step as f32;
        let Size { width, height } = self.size;
        for row in 0..height {
            for column in 0..width {
                // any corner inside will do: the zone's edge goes through the block
                let inside = |dx: f32, dy: f32| {
                    let x = (self.origin.0 as f32 + (column as f32 + dx) * step) / w;
                    let y = (self.origin.1 as f32 + (row as f32 + dy) * step) / h;
                    zones.iter().any(|zone| zone.contains(Point::new(x, y)))
                };
                if [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.5, 0.5)]
                    .into_iter()
                    .any(|(dx, dy)| inside(dx, dy))
                {
                    self.blacken(row as usize, column as usize);
                }
            }
        }
    }

    fn blacken(&mut self, row: usize, column: usize) {
        let width = self.size.width as usize;
        let black = if self.colour.range == ColourRange::Limited { 16 } else { 0 };
        self.planes[0][row * width + column] = black;
        for plane in &mut self.planes[1..] {
            plane[row / 2 * width.div_ceil(2) + column / 2] = 128;
        }
    }

    /// The picture as a JPEG. `None` where it cannot be encoded.
    pub(in crate::sink) fn jpeg(&self) -> Option<Vec<u8>> {
        let mut rgb = self.rgb();
        let mut jpeg = Vec::new();
        let encoded = JpegEncoder::new_with_quality(&mut jpeg, QUALITY).encode(
            &rgb,
            self.size.width,
            self.size.height,
            ExtendedColorType::Rgb8,
        );
        rgb.zeroize();
        encoded.ok().map(|()| jpeg)
    }

    /// The same several times as fast and with half the colour, as it is shown many times a second.
    pub(in crate::sink) fn quick_jpeg(&self) -> Option<Vec<u8>> {
        let mut planes = self.jfif();
        let jpeg = jpeg::encode(self.size, &planes, QUICK_QUALITY);
        planes.iter_mut().for_each(Zeroize::zeroize);
        jpeg.ok()
    }

    /// The planes as JFIF has them: BT.601 in full range.
    fn jfif(&self) -> [Vec<u8>; 3] {
        let (black, luma, chroma) = match self.colour.range {
            ColourRange::Limited => (16.0, 255.0 / 219.0, 255.0 / 224.0),
            ColourRange::Full => (0.0, 1.0, 1.0),
        };
        // of BT.709's two differences: what goes into luma, and into either difference
        let (into_y, into_u, into_v) = match self.colour.matrix {
            ColourMatrix::Bt601 => ([0.0, 0.0], [1.0, 0.0], [0.0, 1.0]),
            ColourMatrix::Bt709 => ([0.101_58, 0.196_08], [0.989_85, -0.110_65], [-0.072_45, 0.983_38]),
        };
        let [y, u, v] = &self.planes;
        let mixed = |[by_u, by_v]: [f32; 2]| {
            let mix =
                move |(u, v): (&u8, &u8)| chroma * (by_u * (f32::from(*u) - 128.0) + by_v * (f32::from(*v) - 128.0));
            u.iter().zip(v).map(mix)
        };
        let width = self.size.width as usize;
        let added: Vec<f32> = mixed(into_y).collect();
        let lines = y.chunks_exact(width.max(1)).enumerate();
        let lines = lines.map(|(row, line)| (line, &added[row / 2 * width.div_ceil(2)..][..width.div_ceil(2)]));
        let mut bright = Vec::with_capacity(y.len());
        for (line, added) in lines {
            let pairs = line.chunks(2).zip(added);
            bright.extend(pairs.flat_map(|(pair, more)| {
                pair.iter().map(move |y| ((f32::from(*y) - black) * luma + more + 0.5) as u8)
            }));
        }
        let differences = [into_u, into_v].map(|into| mixed(into).map(|value| (value + 128.5) as u8).collect());
        let [u, v] = differences;
        [bright, u, v]
    }

    fn rgb(&self) -> Vec<u8> {
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        let [y, u, v] = &self.planes;
        let mut rgb = Vec::with_capacity(3 * width * height);
        for row in 0..height {
            for column in 0..width {
                let chroma = row / 2 * width.div_ceil(2) + column / 2;
                rgb.extend(colour(self.colour, [y[row * width + column], u[chroma], v[chroma]]));
            }
        }
        rgb
    }
}

/// Red, green and blue of a sample (ITU-R BT.601, BT.709).
fn colour(of: Colorimetry, [y, u, v]: [u8; 3]) -> [u8; 3] {
    let (black, luma, chroma) = match of.range {
        ColourRange::Limited => (16.0, 255.0 / 219.0, 255.0 / 224.0),
        ColourRange::Full => (0.0, 1.0, 1.0),
    };
    let (y, u, v) = ((f32::from(y) - black) * luma, (f32::from(u) - 128.0) * chroma, (f32::from(v) - 128.0) * chroma);
    let (red, green_u, green_v, blue) = match of.matrix {
        ColourMatrix::Bt601 => (1.402, -0.344_136, -0.714_136, 1.772),
        ColourMatrix::Bt709 => (1.5748, -0.187_324, -0.468_124, 1.8556),
    };
    // a cast from a float stays within a byte's bounds
    [y + red * v, y + green_u * u + green_v * v, y + blue * u].map(|value| value.round() as u8)
}

/// One component of a picture.
struct Channel<'a> {
    bytes: &'a [u8],
    stride: usize,
    /// Bytes from one sample to the next.
    pitch: usize,
    columns: usize,
    rows: usize,
    /// 2 where it has half the rows and columns.
    halved: usize,
}

impl<'a> Channel<'a> {
    fn of(picture: Picture<'a>, index: usize) -> Self {
        let layout = picture.layout();
        let (plane, pitch, first) = match (layout.pixel, index) {
            (PixelFormat::Nv12, 1..) => (1, 2, index - 1),
            _ => (index, 1, 0),
        };
        let (rows, row_bytes) = layout.plane_extent(plane);
        let halved = if index == 0 { 1 } else { 2 };
        let bytes = &picture.plane(plane)[first..];
        Self { bytes, stride: layout.planes[plane].stride, pitch, columns: row_bytes / pitch, rows, halved }
    }

    /// Means of blocks of `step` by `step` samples from `origin` on, for a picture of `size`.
    fn means(&self, origin: (u32, u32), step: usize, size: Size) -> Vec<u8> {
        let (x, y) = (origin.0 as usize / self.halved, origin.1 as usize / self.halved);
        let (columns, rows) =
            ((size.width as usize).div_ceil(self.halved), (size.height as usize).div_ceil(self.halved));
        let mut out = Vec::with_capacity(columns * rows);
        if step == 1 && self.pitch == 1 && x + columns <= self.columns && y + rows <= self.rows {
            let lines = (y..y + rows).map(|row| &self.bytes[row * self.stride + x..][..columns]);
            lines.for_each(|line| out.extend_from_slice(line));
            return out;
        }
        for row in 0..rows {
            for column in 0..columns {
                let mut sum = 0;
                for dy in 0..step {
                    let line = (y + row * step + dy).min(self.rows - 1) * self.stride;
                    for dx in 0..step {
                        let sample = (x + column * step + dx).min(self.columns - 1) * self.pitch;
                        sum += usize::from(self.bytes[line + sample]);
                    }
                }
                out.push((sum / (step * step)) as u8);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Layout;

    /// A frame whose left half is dark and whose right half is light, in one hue.
    fn frame(size: Size, pixel: PixelFormat, colour: Colorimetry) -> (Layout, Vec<u8>) {
        let layout = Layout::packed(size, pixel, colour);
        let mut bytes = vec![128; layout.end().unwrap()];
        let (w, h) = (size.width as usize, size.height as usize);
        (0..w * h).for_each(|i| bytes[i] = if i % w < w / 2 { 50 } else { 180 });
        (layout, bytes)
    }

    const JPEG: Colorimetry = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full };

    #[test]
    fn a_face_is_shown_with_head_and_shoulders() {
        assert_eq!(around(Rect::new(100.0, 100.0, 40.0, 50.0)), Rect::new(60.0, 70.0, 120.0, 150.0));
    }

    #[test]
    fn a_part_becomes_a_picture_that_looks_like_it() {
        for pixel in [PixelFormat::I420, PixelFormat::Nv12] {
            let (layout, bytes) = frame(Size::new(201, 121), pixel, JPEG);
            let picture = Picture::new(&layout, &bytes).unwrap();
            let jpeg = Crop::cut(picture, Rect::new(61.0, 31.0, 80.0, 50.0), BEST_SHOT).unwrap().jpeg().unwrap();
            let decoded = image::load_from_memory(&jpeg).unwrap().into_rgb8();
            assert_eq!(decoded.dimensions(), (81, 51));
            let near = |x: u32, grey: u8| decoded.get_pixel(x, 20).0.iter().all(|c| c.abs_diff(grey) < 6);
            assert!(near(10, 50) && near(70, 180));
        }
    }

    #[test]
    fn a_large_part_is_kept_in_small_and_one_outside_not_at_all() {
        let (layout, bytes) = frame(Size::new(1921, 1081), PixelFormat::I420, JPEG);
        let picture = Picture::new(&layout, &bytes).unwrap();
        let crop = Crop::cut(picture, Rect::new(-50.0, -50.0, 5000.0, 5000.0), BEST_SHOT).unwrap();
        assert_eq!(crop.size, Size::new(480, 270));
        assert!(crop.jpeg().is_some());
        assert!(Crop::cut(picture, Rect::new(3000.0, 0.0, 50.0, 50.0), BEST_SHOT).is_none());
    }

    #[test]
    fn colours_are_those_of_the_stream() {
        let limited = |matrix| Colorimetry { matrix, range: ColourRange::Limited };
        assert_eq!(colour(limited(ColourMatrix::Bt709), [235, 128, 128]), [255; 3]);
        assert_eq!(colour(limited(ColourMatrix::Bt601), [16, 128, 128]), [0; 3]);
        // pure red in both (BT.709: 63, 102, 240; BT.601: 81, 90, 240)
        for (matrix, sample) in [(ColourMatrix::Bt709, [63, 102, 240]), (ColourMatrix::Bt601, [81, 90, 240])] {
            let [r, g, b] = colour(limited(matrix), sample);
            assert!(r >= 253 && g <= 2 && b <= 2, "{matrix:?}: {r} {g} {b}");
        }
    }

    #[test]
    fn both_ways_to_a_jpeg_show_the_same() {
        for (matrix, range) in [
            (ColourMatrix::Bt601, ColourRange::Full),
            (ColourMatrix::Bt601, ColourRange::Limited),
            (ColourMatrix::Bt709, ColourRange::Limited),
            (ColourMatrix::Bt709, ColourRange::Full),
        ] {
            let (layout, mut bytes) = frame(Size::new(201, 121), PixelFormat::I420, Colorimetry { matrix, range });
            let [u, v] = [1, 2].map(|plane| layout.planes[plane].offset);
            bytes[u..v].fill(100);
            bytes[v..].fill(150);
            let picture = Picture::new(&layout, &bytes).unwrap();
            let crop = Crop::cut(picture, Rect::new(0.0, 0.0, 201.0, 121.0), BEST_SHOT).unwrap();
            let [slow, quick] = [crop.jpeg(), crop.quick_jpeg()].map(Option::unwrap).map(|jpeg| {
                let decoded = image::load_from_memory(&jpeg).unwrap().into_rgb8();
                [decoded.get_pixel(30, 60).0, decoded.get_pixel(170, 60).0]
            });
            let near = slow.iter().flatten().zip(quick.iter().flatten()).all(|(a, b)| a.abs_diff(*b) < 6);
            assert!(near, "{matrix:?} {range:?}: {slow:?} {quick:?}");
        }
    }

    #[test]
    fn zones_are_black_in_it() {
        let (layout, bytes) = frame(Size::new(2000, 1000), PixelFormat::I420, JPEG);
        let mut crop =
            Crop::cut(Picture::new(&layout, &bytes).unwrap(), Rect::new(1000.0, 0.0, 1000.0, 1000.0), BEST_SHOT)
                .unwrap();
        let corner = |x, y| Point::new(x, y);
        let right =
            Polygon::new(vec![corner(0.75, 0.0), corner(1.0, 0.0), corner(1.0, 1.0), corner(0.75, 1.0)]).unwrap();
        crop.hide(&[right]);
        let width = crop.size.width as usize;
        let row = &crop.planes[0][width * 100..width * 101];
        assert!(row[..width / 2 - 1].iter().all(|y| *y == 180) && row[width / 2..].iter().all(|y| *y == 0), "{row:?}");
    }
}
