//! The planes that masks and slates are painted on: those of a frame, or the one of a still picture.

pub(crate) mod slate;

use crate::frame::{Colorimetry, ColourMatrix, ColourRange, Layout, PixelFormat};
use crate::geometry::Size;

/// Width and height in pixels of the cells that are masked as a whole: one sample of chroma, so that no colour of what is
/// masked reaches beyond the mask.
pub(crate) const CELL: usize = 2;

/// What a pixel is made of: Y, U, V of a frame, or R, G, B of a still picture.
pub(crate) type Colour = [u8; 3];

/// One plane of bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plane {
    pub offset: usize,
    pub stride: usize,
    /// Pixels a sample, across and down, as a power of two.
    pub shift: usize,
    /// The first component that is in it.
    pub first: usize,
    /// Components in it, interleaved: bytes a sample.
    pub components: usize,
}

/// How a picture lies in its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Canvas {
    pub size: Size,
    planes: [Plane; 3],
    count: usize,
    colours: Option<Colorimetry>,
}

impl Canvas {
    /// The planes of a frame.
    pub fn of(layout: &Layout) -> Self {
        let plane = |index: usize| {
            let (shift, components) = match (index, layout.pixel) {
                (0, _) => (0, 1),
                (_, PixelFormat::I420) => (1, 1),
                (_, PixelFormat::Nv12) => (1, 2),
            };
            let place = layout.planes[index];
            Plane { offset: place.offset, stride: place.stride, shift, first: index, components }
        };
        let count = layout.pixel.planes();
        Self { size: layout.size, planes: [0, 1, 2].map(plane), count, colours: Some(layout.colour) }
    }

    /// Rows of R, G and B bytes without padding.
    pub fn rgb(size: Size) -> Self {
        let plane = Plane { stride: size.width as usize * 3, components: 3, ..Plane::default() };
        Self { size, planes: [plane; 3], count: 1, colours: None }
    }

    pub fn planes(&self) -> &[Plane] {
        &self.planes[..self.count]
    }

    /// Samples a row and rows of a plane.
    pub fn extent(&self, plane: &Plane) -> (usize, usize) {
        let samples = |pixels: u32| (pixels as usize).div_ceil(1 << plane.shift);
        (samples(self.size.width), samples(self.size.height))
    }

    /// One past the last byte.
    pub fn end(&self) -> usize {
        let end = |plane: &Plane| {
            let (columns, rows) = self.extent(plane);
            plane.offset + plane.stride * rows.saturating_sub(1) + columns * plane.components
        };
        self.planes().iter().map(end).max().unwrap_or(0)
    }

    /// A colour of the screen (sRGB) in this picture's components.
    pub fn colour(&self, rgb: [u8; 3]) -> Colour {
        let Some(colours) = self.colours else { return rgb };
        let [r, g, b] = rgb.map(f32::from);
        let (kr, kb) = match colours.matrix {
            ColourMatrix::Bt601 => (0.299, 0.114),
            ColourMatrix::Bt709 => (0.2126, 0.0722),
        };
        let y = kr * r + (1.0 - kr - kb) * g + kb * b;
        let (u, v) = ((b - y) / (2.0 - 2.0 * kb), (r - y) / (2.0 - 2.0 * kr));
        let (black, luma, chroma) = match colours.range {
            ColourRange::Limited => (16.0, 219.0 / 255.0, 224.0 / 255.0),
            ColourRange::Full => (0.0, 1.0, 1.0),
        };
        [black + y * luma, 128.0 + u * chroma, 128.0 + v * chroma].map(|value| value.round().clamp(0.0, 255.0) as u8)
    }

    /// Mean colour of the pixels from (`left`, `top`) up to (`right`, `bottom`), those inside the picture; `None` where
    /// there are none. `bytes` must hold the picture.
    pub fn mean(&self, bytes: &[u8], [left, top, right, bottom]: [i32; 4]) -> Option<Colour> {
        let within = |value: i32, most: u32| value.clamp(0, most as i32) as usize;
        let (left, right) = (within(left, self.size.width), within(right, self.size.width));
        let (top, bottom) = (within(top, self.size.height), within(bottom, self.size.height));
        if left >= right || top >= bottom {
            return None;
        }
        let mut mean = [0; 3];
        for plane in self.planes() {
            let last = |from: usize, to: usize| (to.div_ceil(1 << plane.shift)).max((from >> plane.shift) + 1);
            let (columns, rows) = (left >> plane.shift..last(left, right), top >> plane.shift..last(top, bottom));
            // A mean over some hundred samples is as good as one over all, and costs the same for any size.
            let (across, down) = ((columns.len() / 16).max(1), (rows.len() / 16).max(1));
            let (mut sums, mut count) = ([0_u32; 3], 0);
            for row in rows.step_by(down) {
                let start = plane.offset + row * plane.stride;
                for column in columns.clone().step_by(across) {
                    let sample = start + column * plane.components;
                    for (sum, byte) in sums.iter_mut().zip(&bytes[sample..sample + plane.components]) {
                        *sum += u32::from(*byte);
                    }
                    count += 1;
                }
            }
            for component in 0..plane.components {
                mean[plane.first + component] = (sums[component] / count) as u8;
            }
        }
        Some(mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(pixel: PixelFormat) -> Canvas {
        let colours = Colorimetry { matrix: ColourMatrix::Bt709, range: ColourRange::Limited };
        Canvas::of(&Layout::packed(Size::new(5, 3), pixel, colours))
    }

    #[test]
    fn black_and_white_are_what_the_range_says() {
        let canvas = frame(PixelFormat::I420);
        assert_eq!(canvas.colour([0; 3]), [16, 128, 128]);
        assert_eq!(canvas.colour([255; 3]), [235, 128, 128]);
        assert_eq!(Canvas::rgb(Size::new(1, 1)).colour([1, 2, 3]), [1, 2, 3]);
    }

    #[test]
    fn canvases_end_where_their_layouts_do() {
        assert_eq!(frame(PixelFormat::I420).end(), 15 + 6 + 6);
        assert_eq!(frame(PixelFormat::Nv12).end(), 15 + 12);
        assert_eq!(Canvas::rgb(Size::new(5, 3)).end(), 45);
    }

    #[test]
    fn a_mean_knows_each_component() {
        let canvas = frame(PixelFormat::Nv12);
        let mut bytes = vec![100; 15];
        bytes.extend([[7_u8, 9]; 6].concat());
        assert_eq!(canvas.mean(&bytes, [1, 1, 5, 3]), Some([100, 7, 9]));
        assert_eq!(canvas.mean(&bytes, [5, 0, 9, 3]), None, "outside");
    }
}
