//! Small pictures as JPEG with halved chroma, straight from planes of luma and chroma.
//!
//! The image crate's encoder takes RGB and keeps chroma whole: of planes that is two conversions and twice the blocks. A wall of
//! cameras makes some eighty pictures a second, so that this matters; best shots and whole pictures stay with that crate.

use jpeg_encoder::{Encoder, EncodingError, ImageBuffer, JpegColorType, SamplingFactor};

use crate::geometry::Size;

/// Three packed planes; of the second and third half the rows and columns, rounded up. Full range, BT.601, as JFIF has it.
pub(super) type Planes = [Vec<u8>; 3];

/// A JPEG of `size` in this quality, 1 to 100. An error where a side is 0 or above 65,535.
pub(super) fn encode(size: Size, planes: &Planes, quality: u8) -> Result<Vec<u8>, EncodingError> {
    let mut jpeg = Vec::with_capacity(size.pixels() as usize / 4);
    let mut encoder = Encoder::new(&mut jpeg, quality);
    // it takes the first of four samples, which are all the same
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.encode_image(Halved { size, planes })?;
    Ok(jpeg)
}

/// Planes as the encoder asks for them: rows of a whole picture, of which it halves the chroma again.
struct Halved<'a> {
    size: Size,
    planes: &'a Planes,
}

impl ImageBuffer for Halved<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }

    fn width(&self) -> u16 {
        self.size.width.try_into().unwrap_or(0)
    }

    fn height(&self) -> u16 {
        self.size.height.try_into().unwrap_or(0)
    }

    fn fill_buffers(&self, y: u16, rows: &mut [Vec<u8>; 4]) {
        let (row, width) = (usize::from(y), self.size.width as usize);
        let [luma, chroma @ ..] = self.planes;
        rows[0].extend_from_slice(&luma[row * width..][..width]);
        let halved = width.div_ceil(2);
        for (plane, out) in chroma.iter().zip(&mut rows[1..]) {
            let line = &plane[row / 2 * halved..][..halved];
            out.extend(line.iter().flat_map(|sample| [*sample; 2]).take(width));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture with soft and hard edges and some colour.
    fn planes(size: Size) -> Planes {
        let (w, h) = (size.width as usize, size.height as usize);
        let luma = (0..w * h).map(|i| {
            let (x, y) = (i % w, i / w);
            if (x / 20 + y / 20) % 3 == 0 { 200 } else { (60 + (x + y) % 120) as u8 }
        });
        let chroma = |mean: u8| {
            let (w, h) = (w.div_ceil(2), h.div_ceil(2));
            (0..w * h).map(move |i| mean + (i % w / 16) as u8).collect()
        };
        [luma.collect(), chroma(115), chroma(125)]
    }

    /// Mean squared error of what `image` decodes from the JPEG, against the luma that went in.
    fn error(size: Size, quality: u8) -> f64 {
        let planes = planes(size);
        let jpeg = encode(size, &planes, quality).unwrap();
        let decoded = image::load_from_memory(&jpeg).unwrap().into_rgb8();
        assert_eq!(decoded.dimensions(), (size.width, size.height));
        let luma = |p: &image::Rgb<u8>| 0.299 * f64::from(p[0]) + 0.587 * f64::from(p[1]) + 0.114 * f64::from(p[2]);
        let squares = decoded.pixels().zip(&planes[0]).map(|(p, y)| (luma(p) - f64::from(*y)).powi(2));
        squares.sum::<f64>() / f64::from(size.width * size.height)
    }

    #[test]
    fn what_is_decoded_is_what_went_in_whatever_its_size() {
        for (w, h) in [(64, 48), (480, 270), (1, 1), (17, 9), (33, 50)] {
            let error = error(Size::new(w, h), 90);
            assert!(error < 60.0, "{w}x{h}: {error}");
        }
        assert!(error(Size::new(480, 270), 95) < error(Size::new(480, 270), 50));
    }

    #[test]
    fn extremes_do_not_overflow() {
        let size = Size::new(32, 32);
        let luma: Vec<u8> = (0..32 * 32).map(|i| if (i ^ (i / 32)) & 1 == 0 { 0 } else { 255 }).collect();
        for quality in [1, 50, 100] {
            let jpeg = encode(size, &[luma.clone(), vec![0; 256], vec![255; 256]], quality).unwrap();
            assert!(image::load_from_memory(&jpeg).is_ok());
        }
    }
}
