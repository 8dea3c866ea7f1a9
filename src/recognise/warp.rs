//! A crop of a face straight from a picture's planes: turned, scaled, converted and normalised in one go.
//!
//! Where a crop pixel covers several of a plane, their area counts, not the nearest ones: the part of the plane under
//! the crop is first averaged in whole blocks of about the step's size, then the blocks are blended. Chroma does so at
//! its own resolution. Beyond the picture all is black, as it was when the models were trained.

use pulp::Arch;

use super::align::Affine;
use super::patch::{FIXED, Patch, Samples};
use crate::detect::{ToChannels, View, Writer};
use crate::geometry::Size;

/// Makes crops; keeps its memory.
pub struct Warper {
    arch: Arch,
    patches: [Patch; 3],
    rows: [Vec<u16>; 3],
}

impl Default for Warper {
    fn default() -> Self {
        Self { arch: Arch::new(), patches: Default::default(), rows: Default::default() }
    }
}

impl Warper {
    /// Fills the crop that `writer` writes, whose pixels lie in the picture as `place` says.
    pub fn fill(&mut self, view: View<'_>, place: &Affine, colour: &ToChannels, mut writer: Writer<'_>) {
        let (size, patches, rows) = (writer.size(), &mut self.patches, &mut self.rows);
        self.arch.dispatch(
            #[inline(always)]
            || {
                for (component, (patch, samples)) in patches.iter_mut().zip(&mut *rows).enumerate() {
                    gather(patch, view, component, (place, size));
                    samples.resize(size.width as usize, 0);
                }
                for row in 0..size.height as usize {
                    for (patch, samples) in patches.iter().zip(&mut *rows) {
                        patch.row(row, samples);
                    }
                    writer.row(row, colour, rows.each_ref().map(Vec::as_slice));
                }
            },
        );
    }

    /// The crop's luma alone, 0 to 255; of an RGB picture its green.
    pub fn luma(&mut self, view: View<'_>, place: &Affine, size: Size, out: &mut Vec<f32>) {
        let component = match view {
            View::Frame(_) => 0,
            View::Rgb { .. } => 1,
        };
        gather(&mut self.patches[component], view, component, (place, size));
        out.clear();
        let samples = &mut self.rows[component];
        samples.resize(size.width as usize, 0);
        for row in 0..size.height as usize {
            self.patches[component].row(row, samples);
            out.extend(samples.iter().map(|value| f32::from(*value) / FIXED));
        }
    }
}

/// Takes what a crop of this place and size lies on.
#[inline(always)]
fn gather(patch: &mut Patch, view: View<'_>, component: usize, (place, size): (&Affine, Size)) {
    let samples = Samples::of(view, component);
    patch.take(samples, place.shrunk(if samples.halved { 2.0 } else { 1.0 }), size);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::{Colorimetry, ColourMatrix, ColourRange, Layout, Picture, PixelFormat};
    use crate::geometry::Point;
    use crate::infer::Values;
    use crate::infer::manifest::{Channels, InputSpec, Kind, Layout as TensorLayout, Resize};

    fn spec() -> InputSpec {
        InputSpec {
            name: "input".into(),
            layout: TensorLayout::Nchw,
            channels: Channels::Rgb,
            kind: Kind::F32,
            mean: [0.0; 3],
            scale: [1.0; 3],
            size: [16, 16],
            multiple_of: None,
            resize: Resize::Stretch,
        }
    }

    fn crop(view: View<'_>, place: &Affine, side: u32) -> Vec<f32> {
        let mut values = Values::F32(vec![-1.0; 3 * (side * side) as usize]);
        let (spec, size) = (spec(), Size::new(side, side));
        let writer = Writer::new(&spec, size, &mut values, 0);
        Warper::default().fill(view, place, &ToChannels::new(view, &spec), writer);
        let Values::F32(values) = values else { panic!("floats were asked for") };
        values
    }

    /// A picture whose three components are planes in x and y, 4:2:0 in both layouts and RGB.
    fn ramps(size: Size) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        let (w, h) = (size.width as usize, size.height as usize);
        let at = |x: f32, y: f32| (40.0 + 100.0 * x / w as f32 + 80.0 * y / h as f32) as u8;
        let luma = (0..w * h).map(|i| at((i % w) as f32 + 0.5, (i / w) as f32 + 0.5));
        let grey = vec![128; w.div_ceil(2) * h.div_ceil(2)];
        let i420: Vec<u8> = luma.chain(grey.iter().copied()).chain(grey.iter().copied()).collect();
        let nv12 = i420.clone();
        let rgb = i420[..w * h].iter().flat_map(|v| [*v; 3]).collect();
        (i420, nv12, rgb)
    }

    const FULL: Colorimetry = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full };

    #[test]
    fn a_crop_of_whole_pixels_is_those_pixels() {
        let size = Size::new(32, 24);
        let bytes: Vec<u8> = (0..32 * 24 * 3).map(|i| (i * 7 % 251) as u8).collect();
        let place = Affine { origin: Point::new(5.0, 3.0), across: Point::new(1.0, 0.0), down: Point::new(0.0, 1.0) };
        let values = crop(View::Rgb { size, bytes: &bytes }, &place, 16);
        for (i, value) in values.iter().enumerate() {
            let (component, row, column) = (i / 256, i / 16 % 16, i % 16);
            assert_eq!(*value, f32::from(bytes[((row + 3) * 32 + column + 5) * 3 + component]));
        }
    }

    #[test]
    fn a_checkerboard_that_is_shrunk_is_grey_whatever_the_angle() {
        let size = Size::new(400, 400);
        let bytes: Vec<u8> =
            (0..400 * 400).flat_map(|i| [if (i % 400 + i / 400) % 2 == 0 { 255 } else { 0 }; 3]).collect();
        for (turn, step) in [(0.0f32, 2.0f32), (0.3, 2.5), (0.8, 3.7), (1.2, 9.1), (0.1, 1.6)] {
            let (sin, cos) = (turn.sin() * step, turn.cos() * step);
            let mut place = Affine { across: Point::new(cos, sin), down: Point::new(-sin, cos), ..Affine::default() };
            let middle = place.at(8.0, 8.0);
            place.origin = Point::new(200.0 - middle.x, 200.0 - middle.y);
            let values = crop(View::Rgb { size, bytes: &bytes }, &place, 16);
            let worst = values.iter().map(|v| (v - 127.5).abs()).fold(0.0, f32::max);
            assert!(worst < 30.0, "turned by {turn}, {step} pixels to one: off by {worst}");
        }
    }

    #[test]
    fn beyond_the_picture_all_is_black() {
        let size = Size::new(8, 8);
        for (range, black, white) in [(ColourRange::Full, 0, 255), (ColourRange::Limited, 16, 235)] {
            let layout = Layout::packed(size, PixelFormat::Nv12, Colorimetry { range, ..FULL });
            let bytes: Vec<u8> = (0..96).map(|i| if i < 64 { white } else { 128 }).collect();
            let rgb = vec![255; 8 * 8 * 3];
            assert!(black < white);
            for view in [View::Frame(Picture::new(&layout, &bytes).unwrap()), View::Rgb { size, bytes: &rgb }] {
                for (origin, inside) in [(-500.0, 0), (-4.0, 16), (0.0, 64), (900.0, 0)] {
                    let right = Point::new(1.0, 0.0);
                    let place =
                        Affine { origin: Point::new(origin, origin), across: right, down: Point::new(0.0, 1.0) };
                    let values = crop(view, &place, 8);
                    let count = |wanted: f32| values.iter().filter(|value| (**value - wanted).abs() < 0.5).count();
                    assert_eq!((count(255.0), count(0.0)), (3 * inside, 3 * (64 - inside)), "{range:?} from {origin}");
                }
            }
        }
    }

    #[test]
    fn chroma_lies_where_luma_does() {
        let (size, half) = (Size::new(121, 81), (61usize, 41usize));
        let blue = |x: usize| (60.0 + 120.0 * (x as f32 + 0.5) * 2.0 / 121.0) as u8;
        let red = |y: usize| (60.0 + 120.0 * (y as f32 + 0.5) * 2.0 / 81.0) as u8;
        let places = (0..half.0 * half.1).map(|i| (i % half.0, i / half.0));
        let luma = vec![128u8; 121 * 81];
        let planes: Vec<u8> = places.clone().map(|(x, _)| blue(x)).chain(places.clone().map(|(_, y)| red(y))).collect();
        let pairs: Vec<u8> = places.flat_map(|(x, y)| [blue(x), red(y)]).collect();
        for (pixel, chroma) in [(PixelFormat::I420, planes), (PixelFormat::Nv12, pairs)] {
            let layout = Layout::packed(size, pixel, FULL);
            let bytes = [luma.as_slice(), &chroma].concat();
            let view = View::Frame(Picture::new(&layout, &bytes).unwrap());
            for step in [0.4f32, 1.0, 2.3, 4.6] {
                let (sin, cos) = (0.3f32.sin() * step, 0.3f32.cos() * step);
                let mut place =
                    Affine { across: Point::new(cos, sin), down: Point::new(-sin, cos), ..Affine::default() };
                let middle = place.at(4.0, 4.0);
                place.origin = Point::new(60.0 - middle.x, 40.0 - middle.y);
                let values = crop(view, &place, 8);
                for i in 0..64 {
                    let at = place.at((i % 8) as f32 + 0.5, (i / 8) as f32 + 0.5);
                    let wanted_blue = 128.0 + 1.772 * (59.5 + 120.0 * at.x / 121.0 - 128.0);
                    let wanted_red = 128.0 + 1.402 * (59.5 + 120.0 * at.y / 81.0 - 128.0);
                    let (found_red, found_blue) = (values[i], values[128 + i]);
                    assert!(
                        (found_blue - wanted_blue).abs() < 2.5,
                        "{pixel:?}, {step}: {found_blue}, not {wanted_blue}"
                    );
                    assert!((found_red - wanted_red).abs() < 2.5, "{pixel:?}, {step}: {found_red}, not {wanted_red}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_place_brings_it_down(
            origin in (any::<f32>(), -1e4f32..1e4), across in (any::<f32>(), -300f32..300.0), down in (-300f32..300.0, -9f32..9.0),
            nv12 in any::<bool>(),
        ) {
            let size = Size::new(33, 21);
            let (i420, _, rgb) = ramps(size);
            let layout = Layout::packed(size, if nv12 { PixelFormat::Nv12 } else { PixelFormat::I420 }, FULL);
            let place = Affine {
                origin: Point::new(origin.0, origin.1), across: Point::new(across.0, across.1), down: Point::new(down.0, down.1),
            };
            for place in [place, Affine { across: Point::new(across.1, down.1), ..place }, Affine { origin: Point::new(origin.1, 3.0), ..place }] {
                crop(View::Frame(Picture::new(&layout, &i420).unwrap()), &place, 16);
                crop(View::Rgb { size, bytes: &rgb }, &place, 16);
            }
        }

        /// On a plane area averages and bilinear samples are exact, so that every crop can be told beforehand.
        #[test]
        fn crops_of_a_ramp_are_ramps(
            turn in -3.1f32..3.1, step in 0.1f32..6.0, nv12 in any::<bool>(),
            (width, height) in (101u32..300, 101u32..200),
        ) {
            let size = Size::new(width, height);
            let (i420, nv12_bytes, rgb) = ramps(size);
            let pixel = if nv12 { PixelFormat::Nv12 } else { PixelFormat::I420 };
            let layout = Layout::packed(size, pixel, FULL);
            let picture = Picture::new(&layout, if nv12 { &nv12_bytes } else { &i420 }).unwrap();
            let (sin, cos) = (turn.sin() * step, turn.cos() * step);
            let mut place = Affine { across: Point::new(cos, sin), down: Point::new(-sin, cos), ..Affine::default() };
            let middle = place.at(4.0, 4.0);
            place.origin = Point::new(width as f32 / 2.0 - middle.x, height as f32 / 2.0 - middle.y);
            for view in [View::Frame(picture), View::Rgb { size, bytes: &rgb }] {
                for (i, value) in crop(view, &place, 8).iter().enumerate() {
                    let at = place.at((i % 8) as f32 + 0.5, (i / 8 % 8) as f32 + 0.5);
                    let wanted = 39.5 + 100.0 * at.x / width as f32 + 80.0 * at.y / height as f32;
                    prop_assert!((value - wanted).abs() < 1.2, "{i}: {value}, not {wanted}");
                }
            }
        }
    }
}
