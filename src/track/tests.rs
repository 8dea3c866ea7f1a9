//! What any good tracker does, as data: paths of faces in, identities out.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{ALGORITHMS, Algorithm, Analysis, Config, Thumbnail, Track, TrackState, Tracker};
use crate::detect::Detection;
use crate::geometry::{Rect, Size};
use proptest::prelude::*;

const FRAME: Size = Size::new(1280, 720);

fn face(x: f32, y: f32, width: f32) -> Detection {
    Detection { rect: Rect::new(x, y, width, width * 1.2), score: 0.92, landmarks: None }
}

/// A made-up scene: the faces that are seen at a time, in seconds.
type Fixture = fn(f64) -> Vec<Detection>;

fn update(tracker: &mut dyn Tracker, at: f64, detections: &[Detection]) {
    tracker.update(Analysis { at: Duration::from_secs_f64(at), frame_size: FRAME, detections, thumbnail: None });
    check_invariants(tracker);
}

fn check_invariants(tracker: &dyn Tracker) {
    let mut ids = BTreeSet::new();
    for track in tracker.tracks().iter().chain(tracker.ended()) {
        assert!(ids.insert(track.id) && track.id > 0, "ids are unique: {track:?}");
        let numbers = [track.rect.x, track.rect.y, track.rect.w, track.rect.h, track.velocity.x, track.velocity.y];
        assert!(numbers.iter().all(|n| n.is_finite()), "{track:?}");
        assert!(track.first_seen <= track.last_seen && track.hits > 0, "{track:?}");
        assert!(track.state != TrackState::Confirmed || track.detection.is_some(), "{track:?}");
    }
}

/// Runs the default tracker for `seconds` and gives each announced track's id and x at the end, by x.
fn follow(fixture: Fixture, fps: f64, seconds: f64) -> Vec<(u64, i32)> {
    let mut tracker = Config::default().build();
    for step in 0..=(seconds * fps) as u32 {
        let at = f64::from(step) / fps;
        update(tracker.as_mut(), at, &fixture(at));
    }
    let confirmed = tracker.tracks().iter().filter(|t| t.state == TrackState::Confirmed);
    let mut places: Vec<_> = confirmed.map(|t| (t.id, t.rect.x.round() as i32)).collect();
    places.sort_by_key(|place| place.1);
    places
}

/// At 5, 10 and 30 analyses a second alike, the announced tracks at the end must be these, left to right.
fn check_track(fixture: Fixture, seconds: f64, expected: &[u64]) {
    for fps in [5.0, 10.0, 30.0] {
        let places = follow(fixture, fps, seconds);
        assert_eq!(places.iter().map(|p| p.0).collect::<Vec<_>>(), expected, "at {fps} fps: {places:?}");
    }
}

#[test]
fn two_who_cross_keep_their_names() {
    check_track(
        |t| vec![face(100.0 + 200.0 * t as f32, 200.0, 60.0), face(900.0 - 200.0 * t as f32, 230.0, 60.0)],
        3.0,
        &[2, 1],
    );
}

#[test]
fn a_second_behind_a_pillar_is_the_same_face() {
    check_track(
        |t| if (1.0..1.8).contains(&t) { vec![] } else { vec![face(300.0 + 20.0 * t as f32, 200.0, 80.0)] },
        3.0,
        &[1],
    );
}

#[test]
fn who_walks_out_and_back_in_is_the_same_face() {
    let path = |t: f64| if t < 2.0 { 1000.0 + 160.0 * t as f32 } else { 1320.0 - 160.0 * (t as f32 - 2.0) };
    check_track_at_edge(path);
}

fn check_track_at_edge(path: fn(f64) -> f32) {
    for fps in [5.0, 10.0, 30.0] {
        let mut tracker = Config::default().build();
        for step in 0..(4.0 * fps) as u32 {
            let at = f64::from(step) / fps;
            let seen = Some(face(path(at), 300.0, 80.0)).filter(|face| face.rect.x < 1220.0);
            update(tracker.as_mut(), at, seen.as_slice());
        }
        let ids: Vec<u64> = tracker.tracks().iter().map(|t| t.id).collect();
        assert_eq!(ids, [1], "at {fps} fps");
    }
}

#[test]
fn two_widths_between_two_analyses_are_followed() {
    let mut tracker = Config::default().build();
    for step in 0..8u32 {
        update(tracker.as_mut(), f64::from(step) * 0.2, &[face(50.0 + 120.0 * step as f32, 300.0, 60.0)]);
    }
    assert_eq!(tracker.tracks().iter().map(|t| (t.id, t.state)).collect::<Vec<_>>(), [(1, TrackState::Confirmed)]);
}

#[test]
fn one_face_seen_twice_opens_one_track() {
    check_track(|_| vec![face(100.0, 100.0, 80.0), face(103.0, 101.0, 80.0)], 1.0, &[1]);
}

#[test]
fn a_low_score_continues_a_track_and_opens_none() {
    let dim = |x: f32, score: f32| Detection { score, ..face(x, 100.0, 80.0) };
    let mut tracker = Config::default().build();
    for step in 0..20u32 {
        let score = if step == 15 { 0.4 } else { 0.92 };
        update(tracker.as_mut(), f64::from(step) * 0.1, &[dim(100.0, score), dim(600.0, 0.4)]);
    }
    let seen: Vec<_> = tracker.tracks().iter().map(|t| (t.id, t.hits)).collect();
    assert_eq!(seen, [(1, 20)]);
}

#[test]
fn a_face_that_is_seen_is_not_lost_however_weakly() {
    let dim = |score: f32| Detection { score, ..face(100.0, 100.0, 80.0) };
    let mut tracker = Config::default().build();
    for step in 0..40u32 {
        update(tracker.as_mut(), f64::from(step) * 0.1, &[dim(if step < 10 { 0.92 } else { 0.72 })]);
        assert!(step < 5 || tracker.tracks()[0].state == TrackState::Confirmed, "at step {step}");
    }
}

#[test]
fn who_is_back_in_place_where_nobody_else_moves_is_the_same_face() {
    check_track(
        |t| {
            let away = (1.0..3.2).contains(&t);
            let back = face(if t > 2.0 { 885.0 } else { 900.0 }, 205.0, 90.0);
            [face(100.0, 200.0, 90.0), back].into_iter().take(if away { 1 } else { 2 }).collect()
        },
        4.0,
        &[1, 2],
    );
}

/// A grey picture of [`FRAME`] in small, bright where the faces are that it is told of, with their luma.
fn luma(faces: &[(Detection, u8)]) -> Vec<u8> {
    let scale = 160.0 / FRAME.width as f32;
    let at = |i: usize| ((i % 160) as f32 / scale, (i / 160) as f32 / scale);
    let inside = |r: Rect, (x, y): (f32, f32)| x >= r.x && x < r.right() && y >= r.y && y < r.bottom();
    let tone = |i: usize| faces.iter().find(|(face, _)| inside(face.rect, at(i))).map_or(100, |&(_, tone)| tone);
    (0..160 * 90).map(tone).collect()
}

/// The track of a face that comes back after a second and a half, a step aside and `tone` in the picture.
fn back_as(tone: u8) -> u64 {
    let mut tracker = Config::default().build();
    for step in 0..30u32 {
        let shown = match step {
            0..10 => Some((face(500.0, 300.0, 100.0), 180)),
            10..25 => None,
            _ => Some((face(620.0, 310.0, 100.0), tone)),
        };
        let detections: Vec<_> = shown.iter().map(|shown| shown.0).collect();
        let luma = luma(shown.as_slice());
        let thumbnail = Some(Thumbnail { size: Size::new(160, 90), luma: &luma });
        let at = Duration::from_secs_f64(f64::from(step) * 0.1);
        tracker.update(Analysis { at, frame_size: FRAME, detections: &detections, thumbnail });
        check_invariants(tracker.as_ref());
    }
    tracker.tracks().iter().find(|t| t.state == TrackState::Confirmed).map_or(0, |t| t.id)
}

#[test]
fn who_is_back_a_step_aside_is_known_by_the_look() {
    assert_eq!(back_as(185), 1, "the same face");
    assert_eq!(back_as(60), 2, "somebody else");
}

#[test]
fn tracks_age_while_nothing_is_seen_and_end_once() {
    for algorithm in ALGORITHMS {
        let mut tracker = algorithm.build(&Config::default());
        (0..10).for_each(|step| update(tracker.as_mut(), f64::from(step) * 0.1, &[face(200.0, 200.0, 80.0)]));
        let mut ended = Vec::new();
        for step in 10..60 {
            update(tracker.as_mut(), f64::from(step) * 0.1, &[]);
            ended.extend(tracker.ended().iter().map(|t| (t.id, t.last_seen)));
        }
        assert_eq!(ended, [(1, Duration::from_secs_f64(0.9))], "{}", algorithm.name);
        assert!(tracker.tracks().is_empty(), "{}", algorithm.name);
    }
}

#[test]
fn a_jump_in_time_ends_what_was_followed() {
    let mut tracker = Config::default().build();
    (0..10).for_each(|step| update(tracker.as_mut(), f64::from(step) * 0.1, &[face(200.0, 200.0, 80.0)]));
    update(tracker.as_mut(), 86_400.0, &[face(200.0, 200.0, 80.0)]);
    assert_eq!(tracker.ended().iter().map(|t| t.id).collect::<Vec<_>>(), [1]);
    assert_eq!(tracker.tracks().iter().map(|t| t.id).collect::<Vec<_>>(), [2]);
}

#[test]
fn faces_that_change_places_at_once_keep_their_names() {
    let widths = [90.0, 120.0, 150.0];
    let fixture = move |t: f64| {
        let turn = usize::from(t >= 2.0);
        (0..3).map(|place| face(100.0 + 400.0 * place as f32, 200.0, widths[(place + turn) % 3])).collect::<Vec<_>>()
    };
    let mut tracker = Config::default().build();
    (0..40).for_each(|step| update(tracker.as_mut(), f64::from(step) * 0.1, &fixture(f64::from(step) * 0.1)));
    let by_width = |t: &Track| widths.iter().position(|w| (t.rect.w - w).abs() < 15.0).map(|w| w as u64 + 1);
    assert_eq!(tracker.tracks().len(), 3);
    assert!(tracker.tracks().iter().all(|t| by_width(t) == Some(t.id)), "{:?}", tracker.tracks());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_comes_the_invariants_hold(
        frames in prop::collection::vec(
            (0.0f64..3.0, prop::collection::vec((-100.0f32..1400.0, -100.0f32..800.0, 1.0f32..500.0, 0.0f32..1.0), 0..8)), 1..40)
    ) {
        for algorithm in ALGORITHMS {
            let mut tracker = algorithm.build(&Config::default());
            let mut at = 0.0;
            for (pause, boxes) in &frames {
                at += pause * pause * pause / 9.0;
                let faces: Vec<_> =
                    boxes.iter().map(|&(x, y, w, score)| Detection { score, ..face(x, y, w) }).collect();
                update(tracker.as_mut(), at, &faces);
                prop_assert!(tracker.tracks().len() <= 8 * 40);
            }
        }
    }
}

#[test]
fn algorithms_are_found_by_name() {
    assert!(ALGORITHMS.iter().all(|a| Algorithm::by_name(a.name).is_some_and(|found| found.name == a.name)));
    assert!(Algorithm::by_name("none").is_none());
}
