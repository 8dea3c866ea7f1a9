//! What a painter writes: masks where the plan says, the source everywhere else, and nothing of what is hidden.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rstest::rstest;

use super::config::Config;
use super::kinds::KINDS;
use super::masked::{Outcome, out_layout};
use super::painter::{Painter, TooSmall};
use super::ruling::{Bracket, Cause, Fingerprint, Plan, Ruling};
use super::shape::{Region, Shape};
use crate::clock::Monotonic;
use crate::frame::{ClockSource, Colorimetry, ColourMatrix, ColourRange, Frame, Layout, PixelFormat, Stamp};
use crate::geometry::{Point, Polygon, Rect, Size};

/// A value that only the source's face has.
const FACE: u8 = 77;

const HIDDEN: Rect = Rect::new(21.0, 11.0, 30.0, 24.0);

fn stamp() -> Stamp {
    Stamp {
        pts: Duration::from_secs(1),
        arrived_at: Monotonic::default(),
        decode: None,
        captured_at: SystemTime::UNIX_EPOCH,
        clock: ClockSource::Media,
    }
}

/// A frame of odd size, all `FACE` inside the hidden box and 200 elsewhere, in every plane.
fn frame(pixel: PixelFormat) -> Frame {
    let colour = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Limited };
    let layout = Layout::packed(Size::new(101, 67), pixel, colour);
    let mut bytes = vec![200; layout.end().unwrap()];
    for index in 0..pixel.planes() {
        let (rows, row_bytes) = layout.plane_extent(index);
        let shift = usize::from(index > 0);
        let samples = if index > 0 && pixel == PixelFormat::Nv12 { 2 } else { 1 };
        for row in 0..rows {
            for byte in 0..row_bytes {
                let (x, y) = ((byte / samples) << shift, row << shift);
                let inside = |x: usize, y: usize| {
                    (HIDDEN.x..HIDDEN.right()).contains(&(x as f32))
                        && (HIDDEN.y..HIDDEN.bottom()).contains(&(y as f32))
                };
                if inside(x, y) || inside(x + shift, y + shift) {
                    bytes[layout.planes[index].offset + row * layout.planes[index].stride + byte] = FACE;
                }
            }
        }
    }
    Frame::new(5, stamp(), layout, Arc::new(bytes)).unwrap()
}

fn plan(frame: &Frame, boxes: &[Rect]) -> Ruling {
    let regions = vec![Region { key: 1, boxes: boxes.to_vec() }];
    Ruling::Masked(Plan::new(regions, Bracket { from: 4, to: 6 }, Fingerprint::of(frame.picture())))
}

fn painter(config: &Config, zones: Vec<Polygon>) -> Painter {
    Painter::new("test", &config.resolve(zones).unwrap()).unwrap()
}

/// Every byte of every plane.
fn samples(masked: &super::MaskedFrame<Vec<u8>>) -> Vec<u8> {
    let picture = masked.picture().unwrap();
    let rows = |index: usize| {
        let (rows, row_bytes) = picture.layout().plane_extent(index);
        let stride = picture.layout().planes[index].stride;
        (0..rows).flat_map(move |row| picture.plane(index)[row * stride..][..row_bytes].to_vec())
    };
    (0..picture.layout().pixel.planes()).flat_map(rows).collect()
}

#[rstest]
#[case(PixelFormat::I420, Shape::Box)]
#[case(PixelFormat::I420, Shape::Ellipse)]
#[case(PixelFormat::Nv12, Shape::Box)]
#[case(PixelFormat::Nv12, Shape::Ellipse)]
fn a_solid_mask_leaves_nothing_of_the_face_and_all_of_the_rest(#[case] pixel: PixelFormat, #[case] shape: Shape) {
    let frame = frame(pixel);
    let mut painter = painter(&Config { shape, ..Config::default() }, Vec::new());
    let place = vec![0; out_layout(frame.layout()).end().unwrap()];
    let masked = painter.paint(&frame, &plan(&frame, &[HIDDEN]), place).unwrap();
    let Outcome::Masked { regions: 1, share } = masked.outcome() else { panic!("{:?}", masked.outcome()) };
    let bytes = samples(&masked);
    assert!(!bytes.contains(&FACE), "some of the face shows");
    let kept = bytes.iter().filter(|&&byte| byte == 200).count() as f32 / bytes.len() as f32;
    assert!((kept - (1.0 - share)).abs() < 0.02, "{kept} kept, {share} masked");
    assert!(share < if shape == Shape::Box { 0.13 } else { 0.2 }, "{share}");
}

#[test]
fn no_kind_shows_a_pixel_of_the_source() {
    let frame = frame(PixelFormat::I420);
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("mask.png");
    image::RgbImage::from_pixel(8, 8, image::Rgb([255, 0, 0])).save(&picture).unwrap();
    for kind in KINDS {
        let config = Config { kind: kind.name.into(), image: Some(picture.clone()), ..Config::default() };
        let place = vec![0; out_layout(frame.layout()).end().unwrap()];
        let masked = painter(&config, Vec::new()).paint(&frame, &plan(&frame, &[HIDDEN.grown(0.5)]), place).unwrap();
        let same = samples(&masked).iter().filter(|&&byte| byte == FACE).count();
        // a mean may happen to be that value
        let few = if ["solid", "image"].contains(&kind.name) { 0 } else { (HIDDEN.area() * 0.8) as usize };
        assert!(same <= few, "{}: {same}", kind.name);
    }
}

#[test]
fn a_plan_of_another_frame_covers() {
    let frame = frame(PixelFormat::I420);
    let other = Ruling::Masked(Plan::new(Vec::new(), Bracket { from: 6, to: 9 }, Fingerprint::of(frame.picture())));
    let place = vec![0; out_layout(frame.layout()).end().unwrap()];
    let masked = painter(&Config::default(), Vec::new()).paint(&frame, &other, place).unwrap();
    assert_eq!(masked.outcome(), Outcome::Covered(Cause::SlotReused));
    assert!(!samples(&masked).iter().any(|byte| [FACE, 200].contains(byte)), "some of the frame shows");
}

#[test]
fn a_face_of_which_nobody_knows_where_it_is_covers() {
    let frame = frame(PixelFormat::I420);
    for lost in [f32::NAN, f32::INFINITY] {
        let ruling = plan(&frame, &[Rect { x: lost, ..HIDDEN }, Rect::new(0.0, 0.0, 9.0, 9.0)]);
        let place = vec![0; out_layout(frame.layout()).end().unwrap()];
        let masked = painter(&Config::default(), Vec::new()).paint(&frame, &ruling, place).unwrap();
        assert_eq!(masked.outcome(), Outcome::Covered(Cause::Failed), "{lost}");
        assert!(!samples(&masked).contains(&FACE), "{lost}: some of the face shows");
    }
}

#[test]
fn pixels_that_changed_since_are_covered() {
    let (frame, mut bytes) = (frame(PixelFormat::I420), Vec::new());
    let ruling = plan(&frame, &[HIDDEN]);
    bytes.resize(frame.picture().bytes().len(), 199);
    let reused = Frame::new(5, stamp(), *frame.layout(), Arc::new(bytes)).unwrap();
    let place = vec![0; out_layout(frame.layout()).end().unwrap()];
    let masked = painter(&Config::default(), Vec::new()).paint(&reused, &ruling, place).unwrap();
    assert_eq!(masked.outcome(), Outcome::Covered(Cause::SlotReused));
    assert!(!samples(&masked).contains(&199));
}

#[test]
fn zones_are_covered_whoever_is_there() {
    let frame = frame(PixelFormat::Nv12);
    let corners = [(0.15, 0.1), (0.6, 0.1), (0.6, 0.6), (0.15, 0.6)].map(|(x, y)| Point::new(x, y));
    let mut painter = painter(&Config::default(), vec![Polygon::new(corners.to_vec()).unwrap()]);
    for _ in 0..2 {
        let place = vec![0; out_layout(frame.layout()).end().unwrap()];
        let ruling =
            Ruling::Masked(Plan::new(Vec::new(), Bracket { from: 5, to: 5 }, Fingerprint::of(frame.picture())));
        let masked = painter.paint(&frame, &ruling, place).unwrap();
        assert!(!samples(&masked).contains(&FACE));
        assert!(samples(&masked).contains(&200));
    }
}

#[rstest]
#[case("solid")]
#[case("blur")]
#[case("pixelate")]
fn a_zone_is_black_where_a_mask_reaches_into_it_and_colours_no_mask(#[case] kind: &str) {
    // the face is in the zone, and the mask begins to the left of both
    let frame = frame(PixelFormat::I420);
    let corners = [(0.2, 0.0), (1.0, 0.0), (1.0, 1.0), (0.2, 1.0)].map(|(x, y)| Point::new(x, y));
    let config = Config { kind: kind.into(), colour: "#ffffff".into(), ..Config::default() };
    let mut painter = painter(&config, vec![Polygon::new(corners.to_vec()).unwrap()]);
    let place = vec![0; out_layout(frame.layout()).end().unwrap()];
    let mask = Rect::from_corners(2.0, 5.0, 60.0, 40.0);
    let masked = painter.paint(&frame, &plan(&frame, &[mask]), place).unwrap();
    let picture = masked.picture().unwrap();
    let stride = picture.layout().planes[0].stride;
    for row in 0..67 {
        let (left, zone) = picture.plane(0)[row * stride..][..101].split_at(21);
        assert!(zone.iter().all(|&luma| luma == 16), "row {row}: some of the zone shows: {zone:?}");
        assert!(left[..20].iter().all(|&luma| luma != FACE), "row {row}: {left:?}");
    }
}

#[test]
fn a_place_that_is_too_small_is_left_alone() {
    let frame = frame(PixelFormat::I420);
    let mut place = [3; 100];
    let refused = painter(&Config::default(), Vec::new()).paint(&frame, &plan(&frame, &[]), &mut place[..]);
    assert_eq!(refused.err(), Some(TooSmall));
    assert!(place.iter().all(|&byte| byte == 3));
}

#[test]
fn a_still_is_masked_in_its_own_colours() {
    let size = Size::new(101, 67);
    let mut rgb = vec![200; 101 * 67 * 3];
    for y in 11..35 {
        rgb[(y * 101 + 21) * 3..(y * 101 + 51) * 3].fill(FACE);
    }
    let config = Config { colour: "#ff0000".into(), ..Config::default() };
    let region = Region { key: 1, boxes: vec![HIDDEN] };
    let masked = painter(&config, Vec::new()).paint_still(size, &rgb, &[region]).unwrap();
    assert!(!masked.rgb().contains(&FACE));
    assert_eq!(masked.rgb()[(20 * 101 + 30) * 3..][..3], [255, 0, 0]);
    assert_eq!(masked.rgb()[..3], [200; 3]);
}
