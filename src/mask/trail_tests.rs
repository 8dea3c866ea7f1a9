//! What the pixels of the frames between two analyses say of where a face was.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::hold::Hold;
use super::line::Line;
use super::policy::{Analysis, Lookahead, Policy};
use super::ruling::Ruling;
use super::sighting::Sighting;
use super::strands::{MOST_FOLLOWED, Margins, Strands};
use crate::clock::Monotonic;
use crate::frame::{ClockSource, Colorimetry, ColourMatrix, ColourRange, Frame, Layout, PixelFormat, Stamp};
use crate::geometry::{Point, Rect, Size};

const SIZE: Size = Size::new(640, 180);
const FRAME: Duration = Duration::from_millis(40);
/// Frames from one analysis to the next.
const ROUND: u64 = 5;

fn rect(x: f32) -> Rect {
    Rect::new(x, 60.0, 40.0, 50.0)
}

fn sighting(track: u64, x: f32) -> Sighting {
    let velocity = Point::default();
    Sighting { track: Some(track), rect: rect(x), velocity, seen: true, firm: true, exempt: false, verified: false }
}

/// Plain ground and on it faces that differ, at these places; the later ones hide the others.
fn frame(number: u64, faces: &[(u64, f32)]) -> Frame {
    let colour = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full };
    let layout = Layout::packed(SIZE, PixelFormat::I420, colour);
    let mut pixels = vec![60; layout.end().unwrap()];
    for (who, x) in faces {
        for (row, levels) in pixels.chunks_exact_mut(SIZE.width as usize).skip(60).take(50).enumerate() {
            let left = x.max(0.0) as usize;
            let right = (left + 40).min(SIZE.width as usize);
            for (column, level) in levels[left..right].iter_mut().enumerate() {
                let (across, down, own) = (column as f32, row as f32, *who as f32);
                let waves =
                    [(across / (4.0 + own)).sin(), (down / 7.0 + own).sin(), ((across + 2.0 * down) / 12.0).cos()];
                *level = (130.0 + 30.0 * waves.iter().sum::<f32>()) as u8;
            }
        }
    }
    let pts = FRAME * number as u32;
    let arrived_at = Monotonic::default().plus(pts);
    let captured_at = SystemTime::UNIX_EPOCH;
    let stamp = Stamp { pts, arrived_at, decode: None, captured_at, clock: ClockSource::Arrival };
    Frame::new(number, stamp, layout, Arc::new(pixels)).unwrap()
}

/// The masks of all frames but the last few of a live camera with five analyses a second: what is to be seen in frame `n`, and
/// what an analysis of it finds.
fn masks(seen: impl Fn(u64) -> Vec<(u64, f32)>, found: impl Fn(u64) -> Vec<Sighting>, count: u64) -> Vec<Vec<Rect>> {
    let ms = Duration::from_millis;
    let lookahead = Lookahead::Held(Hold::new(ms(200), ms(200), ms(20)));
    let margins = Margins { side: 0.0, top: 0.0, bottom: 0.0 };
    let mut line = Line::new(Policy { lookahead, capacity: 40, margins, nobody: false });
    let mut masks = Vec::new();
    for number in 0..count {
        let frame = frame(number, &seen(number));
        let now = frame.stamp.arrived_at;
        assert!(line.push(frame).is_none());
        if number % ROUND == 0 {
            let (at, generation) = (FRAME * number as u32, line.generation());
            let analysis = Analysis { number, at, generation, sightings: found(number), withdrawn: false };
            line.analysed(&analysis, ms(10));
        }
        while let Some(release) = line.poll(now) {
            let Ruling::Masked(plan) = &release.ruling else { panic!("{:?}", release.ruling) };
            masks.push(plan.regions().iter().flat_map(|region| &region.boxes).copied().collect());
        }
        line.check_invariants();
    }
    masks
}

/// Columns that these boxes hide, at the height of the faces.
fn columns(masks: &[Rect]) -> Vec<bool> {
    let hidden = |x: f32| masks.iter().any(|mask| (mask.x..mask.right()).contains(&x));
    (0..SIZE.width).map(|x| hidden(x as f32 + 0.5)).collect()
}

/// How much of the face at `x` shows, in pixels across, and how much else is hidden.
fn shows(masks: &[Rect], x: f32) -> (usize, usize) {
    let hidden = columns(masks);
    let inside = |at: usize| (x..x + 40.0).contains(&(at as f32 + 0.5));
    let count = |face: bool, is: bool| (0..hidden.len()).filter(|at| inside(*at) == face && hidden[*at] == is).count();
    (count(true, false), count(false, true))
}

#[test]
fn a_face_that_jerks_is_hidden_where_it_is_and_not_all_along_the_way() {
    // it stands still, and then gets nearly twice its size further before the next analysis
    let place = |n: u64| 100.0 + 16.0 * n.saturating_sub(10).min(5) as f32;
    let masks = masks(|n| vec![(1, place(n))], |n| vec![sighting(1, place(n))], 30);
    for (n, masks) in (0..).zip(&masks).skip(1) {
        let (shown, more) = shows(masks, place(n));
        assert!(shown <= 1 && more <= 24, "frame {n}: {shown} of 40 show, {more} more hidden: {masks:?}");
    }
}

#[test]
fn a_face_that_is_not_found_any_more_is_hidden_where_it_is_to_be_seen() {
    // it turns round just when it is lost: nobody could tell where it goes
    let place = |n: u64| if n <= 11 { 100.0 + 8.0 * n as f32 } else { 188.0 - 8.0 * (n - 11) as f32 };
    let found = |n: u64| if n <= 10 { vec![sighting(1, place(n))] } else { Vec::new() };
    let masks = masks(|n| vec![(1, place(n))], found, 24);
    for (n, masks) in (0..).zip(&masks).take(15).skip(11) {
        let (shown, more) = shows(masks, place(n));
        assert!(shown <= 1 && more <= 24, "frame {n}: {shown} of 40 show, {more} more hidden: {masks:?}");
    }
}

#[test]
fn a_face_that_its_looks_lose_is_hidden_on_from_there() {
    // it runs off, and cannot be seen from the third frame after it was found on
    let place = |n: u64| 100.0 + 14.0 * n.saturating_sub(10) as f32;
    let seen = |n: u64| if n <= 12 { vec![(1, place(n))] } else { vec![] };
    let found = |n: u64| if n <= 10 { vec![sighting(1, place(n))] } else { Vec::new() };
    let masks = masks(seen, found, 24);
    assert_eq!(shows(&masks[13], place(13)).0, 0, "{:?}", masks[13]);
}

#[test]
fn a_face_that_would_be_behind_another_by_now_is_hidden_there() {
    // the one is lost at frame 20, and by frame 30 it would be where the other one stands
    let place = |n: u64| 100.0 + 10.0 * n as f32;
    let run = |other: f32| {
        let found =
            |n: u64| if n < 20 { vec![sighting(1, place(n)), sighting(2, other)] } else { vec![sighting(2, other)] };
        let seen = |n: u64| if n < 20 { vec![(1, place(n)), (2, other)] } else { vec![(2, other)] };
        masks(seen, found, 40)
    };
    assert_eq!(shows(&run(place(28))[27], place(27)).0, 0, "there is somebody to hide it");
    assert_eq!(shows(&run(0.0)[27], place(27)).0, 40, "there is nobody");
}

#[test]
fn a_face_that_one_analysis_found_may_come_out_again_from_behind_another() {
    // it comes from behind somebody just before frame 10, is lost behind somebody else by frame 15, and comes out for a moment at frame 21
    let place = |n: u64| 400.0 - 9.0 * n as f32;
    let other = 200.0;
    let seen = |n: u64| match n {
        7..=13 | 21 => vec![(2, other), (1, place(n))],
        _ => vec![(2, other)],
    };
    let found = |n: u64| match n {
        10 => vec![sighting(2, other), sighting(1, place(n))],
        _ => vec![sighting(2, other)],
    };
    let masks = masks(seen, found, 40);
    assert_eq!(shows(&masks[21], place(21)).0, 0, "{:?}", masks[21]);
    assert!(shows(&masks[27], place(27)).0 > 20, "it is not held for ever: {:?}", masks[27]);
}

#[test]
fn a_face_that_comes_in_over_the_edge_is_hidden_as_it_comes_into_sight() {
    // half of it is found at frame 10, and nothing after that
    let place = |n: u64| 616.0 - 6.0 * n.saturating_sub(10) as f32;
    let found = |n: u64| match n {
        10 => vec![Sighting { rect: Rect { w: 24.0, ..rect(place(n)) }, ..sighting(1, place(n)) }],
        _ => Vec::new(),
    };
    let masks = masks(|n| if n < 9 { vec![] } else { vec![(1, place(n))] }, found, 24);
    for (n, masks) in (0..).zip(&masks).take(14).skip(11) {
        let hidden = columns(masks);
        let face = place(n) as usize..(place(n) as usize + 37).min(SIZE.width as usize);
        assert!(hidden[face].iter().filter(|hidden| !**hidden).count() <= 1, "frame {n}: {masks:?}");
    }
}

#[test]
fn of_a_face_beside_another_it_is_not_enough_that_something_looks_like_it() {
    // what the analysis found has moved with the other one, and the face itself was going elsewhere
    let place = |n: u64| 100.0 + 6.0 * n as f32;
    let other = |n: u64| place(10) + 36.0 + if n > 10 { 8.0 * (n - 10) as f32 } else { 0.0 };
    let seen = |n: u64| vec![(1, if n <= 10 { place(n) } else { place(10) - 8.0 * (n - 10) as f32 })];
    let found = |n: u64| match n {
        0..=10 => vec![sighting(1, place(n)), sighting(2, other(n))],
        _ => vec![sighting(2, other(n))],
    };
    let masks = masks(seen, found, 24);
    for (n, masks) in (0..).zip(&masks).take(14).skip(11) {
        let (shown, _) = shows(masks, place(n));
        assert!(shown <= 6, "frame {n}: {shown} of 40 show: {masks:?}");
    }
}

#[test]
fn of_a_crowd_no_more_are_followed_than_there_is_time_for() {
    let count = MOST_FOLLOWED as u64 + 3;
    let seen: Vec<(u64, f32)> = (0..count).map(|who| (who, 5.0 + 15.0 * who as f32)).collect();
    let sightings: Vec<Sighting> = seen.iter().map(|(who, x)| sighting(*who, *x)).collect();
    let frames: Vec<Frame> = (0..3).map(|number| frame(number, &seen)).collect();
    let mut strands = Strands::default();
    strands.take((Duration::ZERO, 0), SIZE, &sightings);
    strands.follow(&frames.iter().take(1).collect::<Vec<_>>());
    assert_eq!(strands.followed(), MOST_FOLLOWED);
}
