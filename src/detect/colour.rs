//! Sampled components (YCbCr or RGB) to the values a model wants: one affine map a channel.

use super::input::View;
use crate::frame::{Colorimetry, ColourMatrix, ColourRange};
use crate::infer::manifest::{Channels, InputSpec};
use crate::simd::channels::{Avx512, Columns};
use crate::simd::scale::{Affine, Avx2};

/// Sampled values arrive times this.
const FIXED: f32 = 256.0;

/// Makes a model's three channels from scaled Y, U and V, or R, G and B.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ToChannels {
    channels: [Affine; 3],
}

impl ToChannels {
    /// For the samples of `view`, in the order and normalisation of `spec`.
    pub fn new(view: View<'_>, spec: &InputSpec) -> Self {
        match view {
            View::Frame(picture) => Self::from_yuv(picture.layout().colour, spec),
            View::Rgb { .. } => Self::from_rgb(spec),
        }
    }

    /// For Y, U and V of `colour`, in the order and normalisation of `spec`.
    pub(super) fn from_yuv(colour: Colorimetry, spec: &InputSpec) -> Self {
        Self::with(rgb_factors(colour), spec)
    }

    /// For R, G and B.
    pub(super) fn from_rgb(spec: &InputSpec) -> Self {
        let k = 1.0 / FIXED;
        Self::with([([k, 0.0, 0.0], 0.0), ([0.0, k, 0.0], 0.0), ([0.0, 0.0, k], 0.0)], spec)
    }

    fn with(rgb: [([f32; 3], f32); 3], spec: &InputSpec) -> Self {
        let channels = std::array::from_fn(|place| {
            let (factors, offset) = match spec.channels {
                Channels::Rgb => rgb[place],
                Channels::Bgr => rgb[2 - place],
            };
            let scale = spec.scale[place];
            Affine { factors, offset, scale, shift: -spec.mean[place] * scale }
        });
        Self { channels }
    }

    /// What black is in channel `place`.
    pub(super) fn black(&self, place: usize) -> f32 {
        self.channels[place].shift
    }

    /// Writes a row of each channel.
    pub(super) fn rows(&self, samples: [&[u16]; 3], outs: [&mut [f32]; 3]) {
        match Avx2::detect() {
            Some(avx2) => avx2.convert(&self.channels, samples, outs),
            None => {
                (0..3).zip(outs).for_each(|(place, out)| self.spread(place, samples, out.iter_mut(), |value| value))
            }
        }
    }

    /// Writes a row of each channel, of rows that are not scaled across yet.
    pub(super) fn straight(&self, avx512: Avx512, columns: [&Columns; 3], rows: [&[u8]; 3], outs: [&mut [f32]; 3]) {
        avx512.channels(&self.channels, columns, rows, outs);
    }

    /// Writes a row of channel `place`, perhaps to places that are not next to each other or not floats.
    pub(super) fn spread<'a, T: 'a>(
        &self,
        place: usize,
        samples: [&[u16]; 3],
        outs: impl Iterator<Item = &'a mut T>,
        to: impl Fn(f32) -> T,
    ) {
        let channel = &self.channels[place];
        let [a, b, c] = samples;
        for (((out, a), b), c) in outs.zip(a).zip(b).zip(c) {
            *out = to(channel.of([*a, *b, *c]));
        }
    }
}

/// Factors of Y, U and V, and an offset, for R, G and B of 0 to 255 (ITU-R BT.601, BT.709).
fn rgb_factors(colour: Colorimetry) -> [([f32; 3], f32); 3] {
    let (kr, kb) = match colour.matrix {
        ColourMatrix::Bt601 => (0.299, 0.114),
        ColourMatrix::Bt709 => (0.2126, 0.0722),
    };
    let kg = 1.0 - kr - kb;
    let (black, luma, chroma) = match colour.range {
        ColourRange::Full => (0.0, 1.0, 1.0),
        ColourRange::Limited => (16.0, 255.0 / 219.0, 255.0 / 224.0),
    };
    let (red, blue) = (2.0 * (1.0 - kr) * chroma, 2.0 * (1.0 - kb) * chroma);
    let channel = |u: f32, v: f32| ([luma, u, v].map(|k| k / FIXED), -luma * black - 128.0 * (u + v));
    [channel(0.0, red), channel(-blue * kb / kg, -red * kr / kg), channel(blue, 0.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rgb(colour: Colorimetry, yuv: [u16; 3]) -> [f32; 3] {
        rgb_factors(colour).map(|(factors, offset)| {
            let sum: f32 = factors.iter().zip(yuv).map(|(k, v)| k * f32::from(v) * FIXED).sum();
            (sum + offset).clamp(0.0, 255.0)
        })
    }

    #[test]
    fn black_white_and_primaries_are_what_the_recommendations_say() {
        let limited = Colorimetry { matrix: ColourMatrix::Bt709, range: ColourRange::Limited };
        let full = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full };
        let check = |colour, yuv: [u16; 3], want: [f32; 3]| {
            let got = rgb(colour, yuv);
            assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1.5), "{yuv:?}: {got:?}, not {want:?}");
        };
        check(limited, [16, 128, 128], [0.0; 3]);
        check(limited, [235, 128, 128], [255.0; 3]);
        check(limited, [63, 102, 240], [255.0, 0.0, 0.0]);
        check(limited, [173, 42, 26], [0.0, 255.0, 0.0]);
        check(full, [0, 128, 128], [0.0; 3]);
        check(full, [255, 128, 128], [255.0; 3]);
        check(full, [76, 85, 255], [254.0, 0.0, 0.0]);
        check(full, [29, 255, 107], [0.0, 0.0, 254.0]);
        check(full, [0, 0, 0], [0.0, 135.0, 0.0]);
    }
}
