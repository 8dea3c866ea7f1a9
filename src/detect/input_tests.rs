//! The sampler against arithmetic in floats, over odd sizes, strides, formats, colours and layouts.

use proptest::prelude::*;

use super::{InputMap, Sampler, View};
use crate::frame::{Colorimetry, ColourMatrix, ColourRange, Layout, Picture, PixelFormat, PlaneLayout};
use crate::geometry::{Point, Size};
use crate::infer::Values;
use crate::infer::manifest::{Channels, InputSpec, Kind, Layout as TensorLayout, Resize};
use crate::simd::channels::Avx512;

fn spec(layout: TensorLayout, kind: Kind, resize: Resize) -> InputSpec {
    InputSpec {
        name: "input".into(),
        layout,
        channels: Channels::Rgb,
        kind,
        mean: [0.0; 3],
        scale: [1.0; 3],
        size: [64, 32],
        multiple_of: Some(1),
        resize,
    }
}

/// A layout whose planes have `pad` bytes between rows, and soft pixels for it: gradients with a wave, so that
/// neighbours differ as they do in pictures.
fn soft_picture(size: Size, pixel: PixelFormat, colour: Colorimetry, pad: usize) -> (Layout, Vec<u8>) {
    let mut layout = Layout::packed(size, pixel, colour);
    let mut offset = 3;
    for index in 0..pixel.planes() {
        let (rows, bytes) = layout.plane_extent(index);
        layout.planes[index] = PlaneLayout { offset, stride: bytes + pad };
        offset += rows * (bytes + pad);
    }
    let mut data = vec![0xAA; offset];
    for index in 0..pixel.planes() {
        let (rows, bytes) = layout.plane_extent(index);
        for row in 0..rows {
            for column in 0..bytes {
                let wave = (row as f32 * 0.05 + column as f32 * 0.03 + index as f32).sin();
                data[layout.planes[index].offset + row * layout.planes[index].stride + column] =
                    (128.0 + 100.0 * wave) as u8;
            }
        }
    }
    (layout, data)
}

/// Mean of the plane over a box in its own pixels, edges weighted by what lies inside; bilinear below one pixel.
fn float_sample(at: &dyn Fn(usize, usize) -> f32, extent: (usize, usize), centre: (f64, f64), step: (f64, f64)) -> f64 {
    let weights = |len: usize, centre: f64, step: f64| -> Vec<(usize, f64)> {
        let half = step.max(1.0) / 2.0;
        let share = |i: usize| {
            if step < 1.0 {
                let inside = centre.clamp(0.5, len as f64 - 0.5);
                return (1.0 - (i as f64 + 0.5 - inside).abs()).max(0.0);
            }
            let right = if i + 1 == len { f64::INFINITY } else { i as f64 + 1.0 };
            ((centre + half).min(right) - (centre - half).max(i as f64)).max(0.0)
        };
        (0..len).map(|i| (i, share(i))).filter(|(_, w)| *w > 0.0).collect()
    };
    let (columns, rows) = (weights(extent.1, centre.0, step.0), weights(extent.0, centre.1, step.1));
    let mut sum = (0.0, 0.0);
    for (y, wy) in &rows {
        for (x, wx) in &columns {
            sum = (sum.0 + wx * wy * f64::from(at(*x, *y)), sum.1 + wx * wy);
        }
    }
    sum.0 / sum.1
}

/// R, G and B of the model's pixel (`x`, `y`), in floats.
fn float_pixel(picture: Picture<'_>, map: &InputMap, x: usize, y: usize) -> [f64; 3] {
    let layout = picture.layout();
    let component = |index: usize| {
        let (plane_index, offset, by, shrink) = match (layout.pixel, index) {
            (_, 0) => (0, 0, 1, 1.0),
            (PixelFormat::I420, n) => (n, 0, 1, 2.0),
            (PixelFormat::Nv12, n) => (1, n - 1, 2, 2.0),
        };
        let (rows, bytes) = layout.plane_extent(plane_index);
        let (data, stride) = (picture.plane(plane_index), layout.planes[plane_index].stride);
        let at = move |column: usize, row: usize| f32::from(data[row * stride + column * by + offset]);
        let one = map.point(Point::new(1.0, 1.0));
        let step = (f64::from(one.x) / shrink, f64::from(one.y) / shrink);
        float_sample(&at, (rows, bytes / by), ((x as f64 + 0.5) * step.0, (y as f64 + 0.5) * step.1), step)
    };
    let [luma, blue, red] = [component(0), component(1), component(2)];
    let (kr, kb) = match layout.colour.matrix {
        ColourMatrix::Bt601 => (0.299, 0.114),
        ColourMatrix::Bt709 => (0.2126, 0.0722),
    };
    let (luma, chroma) = match layout.colour.range {
        ColourRange::Full => (luma, 1.0),
        ColourRange::Limited => ((luma - 16.0) * 255.0 / 219.0, 255.0 / 224.0),
    };
    let (blue, red) = ((blue - 128.0) * chroma, (red - 128.0) * chroma);
    let (r, b) = (luma + 2.0 * (1.0 - kr) * red, luma + 2.0 * (1.0 - kb) * blue);
    let g = (luma - kr * r - kb * b) / (1.0 - kr - kb);
    [r, g, b].map(|v| v.clamp(0.0, 255.0))
}

/// Greatest distance between the sampler and floats, over every filled value; checks that the rest is black.
fn greatest_error(picture: Picture<'_>, spec: &InputSpec, input: Size) -> f64 {
    let mut sampler = Sampler::new(spec, spec.shape(1, input));
    let (tensor, map) = sampler.fill(picture);
    let (width, area) = (input.width as usize, input.pixels() as usize);
    let value = |place: usize, x: usize, y: usize| {
        let index = match spec.layout {
            TensorLayout::Nchw => place * area + y * width + x,
            TensorLayout::Nhwc => (y * width + x) * 3 + place,
        };
        match &tensor.values {
            Values::F32(values) => f64::from(values[index]),
            Values::U8(values) => f64::from(values[index]),
        }
    };
    let mut worst: f64 = 0.0;
    for y in 0..input.height as usize {
        for x in 0..width {
            let filled = x < map.filled().width as usize && y < map.filled().height as usize;
            let wanted = if filled { float_pixel(picture, &map, x, y) } else { [0.0; 3] };
            for (place, wanted) in wanted.into_iter().enumerate() {
                worst = worst.max((value(place, x, y) - wanted).abs());
            }
        }
    }
    worst
}

fn colours() -> impl Strategy<Value = Colorimetry> {
    let matrix = prop_oneof![Just(ColourMatrix::Bt601), Just(ColourMatrix::Bt709)];
    let range = prop_oneof![Just(ColourRange::Full), Just(ColourRange::Limited)];
    (matrix, range).prop_map(|(matrix, range)| Colorimetry { matrix, range })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn agrees_with_floats(
        (width, height) in (1u32..400, 1u32..300),
        nv12 in any::<bool>(),
        stretch in any::<bool>(),
        interleaved in any::<bool>(),
        colour in colours(),
        pad in 0usize..40,
    ) {
        let pixel = if nv12 { PixelFormat::Nv12 } else { PixelFormat::I420 };
        let (layout, data) = soft_picture(Size::new(width, height), pixel, colour, pad);
        let picture = Picture::new(&layout, &data).unwrap();
        let resize = if stretch { Resize::Stretch } else { Resize::Letterbox };
        let order = if interleaved { TensorLayout::Nhwc } else { TensorLayout::Nchw };
        let error = greatest_error(picture, &spec(order, Kind::F32, resize), Size::new(64, 32));
        prop_assert!(error < 2.5, "{width}x{height}: off by {error}");
    }

    #[test]
    fn boxes_come_back_where_they_were(width in 1u32..5000, height in 1u32..5000, x in 0f32..640.0, y in 0f32..384.0) {
        let map = InputMap::new(Size::new(width, height), Size::new(640, 384), Resize::Letterbox);
        let p = map.point(Point::new(x, y));
        let back = (p.x / width as f32 * map.filled().width as f32, p.y / height as f32 * map.filled().height as f32);
        prop_assert!((back.0 - x).abs() < 0.01 && (back.1 - y).abs() < 0.01);
        prop_assert!(map.filled().width <= 640 && map.filled().height <= 384);
        prop_assert!(map.filled().width == 640 || map.filled().height == 384);
    }
}

#[test]
fn full_hd_is_shrunk_to_a_level() {
    let colour = Colorimetry { matrix: ColourMatrix::Bt709, range: ColourRange::Limited };
    let (layout, data) = soft_picture(Size::new(1920, 1080), PixelFormat::I420, colour, 0);
    let error = greatest_error(
        Picture::new(&layout, &data).unwrap(),
        &spec(TensorLayout::Nchw, Kind::F32, Resize::Letterbox),
        Size::new(64, 32),
    );
    assert!(error < 1.5, "off by {error}");
}

#[test]
fn bytes_are_rounded_floats() {
    let colour = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full };
    let (layout, data) = soft_picture(Size::new(100, 60), PixelFormat::I420, colour, 0);
    let error = greatest_error(
        Picture::new(&layout, &data).unwrap(),
        &spec(TensorLayout::Nhwc, Kind::U8, Resize::Letterbox),
        Size::new(64, 32),
    );
    assert!(error < 3.0, "off by {error}");
}

#[test]
fn unscaled_rgb_arrives_as_it_is_and_normalised() {
    let size = Size::new(4, 2);
    let bytes: Vec<u8> = (0..24).map(|i| i * 10).collect();
    let mut bgr = spec(TensorLayout::Nchw, Kind::F32, Resize::Letterbox);
    bgr.channels = Channels::Bgr;
    bgr.mean = [100.0, 0.0, 0.0];
    bgr.scale = [0.5, 1.0, 2.0];
    let mut sampler = Sampler::new(&bgr, [1, 3, 4, 4]);
    let (tensor, map) = sampler.fill(View::Rgb { size, bytes: &bytes });
    let Values::F32(values) = &tensor.values else { panic!("floats were asked for") };
    let close = |a: f32, b: f32| assert!((a - b).abs() < 0.01, "{a}, not {b}");
    for i in 0..8 {
        let [r, g, b] = [0, 1, 2].map(|c| f32::from(bytes[3 * i + c]));
        close(values[i], (b - 100.0) * 0.5);
        close(values[16 + i], g);
        close(values[32 + i], r * 2.0);
    }
    close(values[15], -50.0);
    assert_eq!(map.filled(), size);
}

#[test]
fn a_new_size_leaves_nothing_of_the_old_picture() {
    let white = vec![255; 64 * 32 * 3];
    let shape = spec(TensorLayout::Nchw, Kind::F32, Resize::Letterbox);
    let mut sampler = Sampler::new(&shape, [1, 3, 32, 64]);
    sampler.fill(View::Rgb { size: Size::new(64, 32), bytes: &white });
    let (tensor, map) = sampler.fill(View::Rgb { size: Size::new(16, 32), bytes: &white });
    let Values::F32(values) = &tensor.values else { panic!("floats were asked for") };
    assert_eq!(map.filled(), Size::new(16, 32));
    assert_eq!(values.iter().filter(|v| **v > 0.0).count(), 3 * 16 * 32);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_short_way_gives_the_same_as_the_long_one(
        (width, height) in prop_oneof![
            (1u32..700, 1u32..300),
            Just((128, 64)),
            Just((192, 96)),
            Just((256, 128)),
            Just((384, 192)),
            Just((64, 32)),
        ],
        kind in 0u8..3,
        (stretch, unit, bgr) in any::<(bool, bool, bool)>(),
        colour in colours(),
        pad in 0usize..40,
        seed: u64,
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        let size = Size::new(width, height);
        let pixel = if kind == 0 { PixelFormat::Nv12 } else { PixelFormat::I420 };
        let (layout, mut data) = soft_picture(size, pixel, colour, pad);
        let mut rgb = vec![0; 3 * size.pixels() as usize];
        data.iter_mut().chain(&mut rgb).for_each(|byte| *byte = random.u8(..));
        let view = match kind {
            2 => View::Rgb { size, bytes: &rgb },
            _ => View::Frame(Picture::new(&layout, &data).unwrap()),
        };
        let resize = if stretch { Resize::Stretch } else { Resize::Letterbox };
        let mut spec = spec(TensorLayout::Nchw, Kind::F32, resize);
        spec.channels = if bgr { Channels::Bgr } else { Channels::Rgb };
        if !unit {
            (spec.mean, spec.scale) = ([0.0, 127.5, 104.0], [1.0, 0.017, 1.0]);
        }
        let mut sampler = Sampler::new(&spec, spec.shape(1, Size::new(64, 32)));
        let bits = |values: &Values| match values {
            Values::F32(values) => values.iter().map(|value| value.to_bits()).collect(),
            Values::U8(_) => Vec::new(),
        };
        let short = bits(&sampler.fill(view).0.values);
        let is_usual = kind != 2 && [(128, 64), (192, 96), (256, 128), (64, 32)].contains(&(width, height));
        prop_assert!(!is_usual || sampler.goes_the_short_way() == Avx512::detect().is_some(), "{width}x{height}");
        sampler.go_the_long_way();
        prop_assert_eq!(bits(&sampler.fill(view).0.values), short);
    }
}
