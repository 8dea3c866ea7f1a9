//! Where faces may be between analyses.

use std::time::Duration;

use super::shape::Region;
use super::sighting::Sighting;
use super::strand::Between;
use super::strands::{Margins, Strands};
use crate::geometry::{Point, Rect, Size};

const NONE: Margins = Margins { side: 0.0, top: 0.0, bottom: 0.0 };

const SIZE: Size = Size::new(1280, 720);

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn face(track: Option<u64>, x: f32) -> Sighting {
    let rect = Rect::new(x, 100.0, 40.0, 50.0);
    Sighting { track, rect, velocity: Point::default(), seen: true, firm: true, exempt: false, verified: false }
}

/// The strands of these analyses, by milliseconds.
fn strands(analyses: &[(u64, &[Sighting])]) -> Strands {
    let mut strands = Strands::default();
    analyses.iter().for_each(|(at, sightings)| strands.take((ms(*at), 0), SIZE, sightings));
    strands.check_invariants();
    strands
}

fn regions(strands: &Strands, at: u64, from: u64, to: u64) -> Vec<Region> {
    strands.regions(ms(at), Between { from: ms(from), to: ms(to), shot: 0 }, NONE)
}

/// Whether `rect` is hidden to its last pixel.
fn hides(regions: &[Region], rect: Rect) -> bool {
    let boxes = || regions.iter().flat_map(|region| &region.boxes);
    (0..rect.w as u32 * rect.h as u32).all(|n| {
        let (x, y) = (rect.x + (n % rect.w as u32) as f32 + 0.5, rect.y + (n / rect.w as u32) as f32 + 0.5);
        boxes().any(|hidden| (hidden.x..hidden.right()).contains(&x) && (hidden.y..hidden.bottom()).contains(&y))
    })
}

#[test]
fn the_way_between_two_sights_is_hidden_and_where_it_may_have_been_elsewhere_all_of_it() {
    let alone = strands(&[(0, &[face(Some(1), 0.0)]), (100, &[face(Some(1), 40.0)])]);
    let far = strands(&[(0, &[face(Some(1), 0.0)]), (100, &[face(Some(1), 90.0)])]);
    let near = face(Some(2), 60.0);
    let crowded = strands(&[(0, &[face(Some(1), 0.0), near]), (100, &[face(Some(1), 40.0), near])]);
    for at in [1, 30, 50, 99] {
        let found = regions(&alone, at, 0, 100);
        assert_eq!(found.len(), 1, "one face");
        assert!(hides(&found, face(None, at as f32 * 0.4).rect), "at {at} ms");
        for x in [0.0, 20.0, 45.0, 90.0] {
            assert!(hides(&regions(&far, at, 0, 100), face(None, x).rect), "far, at {at} ms, {x}");
        }
        for x in [0.0, 20.0, 40.0] {
            assert!(hides(&regions(&crowded, at, 0, 100), face(None, x).rect), "crowded, at {at} ms, {x}");
        }
    }
    let itself = regions(&far, 100, 100, 100);
    assert!(
        hides(&itself, face(None, 90.0).rect) && !hides(&itself, face(None, 0.0).rect),
        "its own analysis is enough"
    );
}

#[test]
fn a_face_that_something_hides_in_part_is_as_large_as_it_was() {
    let part = Sighting { rect: Rect::new(60.0, 105.0, 20.0, 40.0), ..face(Some(1), 50.0) };
    let strands = strands(&[(0, &[face(Some(1), 50.0)]), (100, &[part])]);
    assert!(hides(&regions(&strands, 100, 100, 100), face(None, 50.0).rect.grown(-0.02)));
}

#[test]
fn a_face_first_seen_is_hidden_before() {
    let strands = strands(&[(0, &[]), (100, &[face(Some(1), 50.0)])]);
    for (at, from, to) in [(60, 0, 100), (0, 0, 0)] {
        assert!(hides(&regions(&strands, at, from, to), face(None, 53.0).rect), "at {at} ms, and a little aside");
    }
}

/// Analyses for a second, ten of them, that find a face at `x`.
fn known(x: f32) -> Strands {
    let mut strands = Strands::default();
    (0..=10).for_each(|n| strands.take((ms(n * 100), 0), SIZE, &[face(Some(1), x)]));
    strands
}

#[test]
fn a_face_that_is_not_found_any_more_is_held_and_grows() {
    let lost = |x: f32| Sighting { seen: false, ..face(Some(1), x) };
    let mut strands = known(50.0);
    strands.take((ms(1100), 0), SIZE, &[lost(60.0)]);
    strands.take((ms(1200), 0), SIZE, &[lost(65.0)]);
    strands.take((ms(1300), 0), SIZE, &[]);
    let found = regions(&strands, 1200, 1200, 1200);
    assert!(
        hides(&found, face(None, 50.0).rect) && hides(&found, face(None, 65.0).rect),
        "where it was and where it may be"
    );
    assert!(hides(&found, face(None, 46.0).rect.grown(0.05)), "grown");
    assert!(hides(&regions(&strands, 1300, 1300, 1300), face(None, 50.0).rect), "held");
    assert!(hides(&regions(&strands, 2100, 2100, 2100), face(None, 50.0).rect), "it has turned away");
    assert_eq!(regions(&strands, 3500, 3500, 3500), [], "not for ever");
}

#[test]
fn a_face_seen_once_is_not_held_for_long() {
    let strands = strands(&[(0, &[face(Some(1), 50.0)]), (100, &[])]);
    assert!(hides(&regions(&strands, 200, 200, 200), face(None, 50.0).rect));
    assert_eq!(regions(&strands, 400, 400, 400), []);
}

#[test]
fn a_face_found_by_one_of_two_analyses_far_apart_may_be_anywhere_around() {
    let strands = strands(&[(0, &[]), (600, &[face(Some(1), 300.0)])]);
    assert!(hides(&regions(&strands, 300, 0, 600), face(None, 270.0).rect));
    assert!(hides(&regions(&strands, 100, 0, 600), face(None, 220.0).rect));
}

#[test]
fn a_single_box_that_is_off_does_not_show_the_face() {
    let off = strands(&[(0, &[face(Some(1), 50.0)]), (40, &[face(Some(1), 62.0)]), (80, &[face(Some(1), 50.0)])]);
    let found = regions(&off, 40, 40, 40);
    assert!(hides(&found, face(None, 50.0).rect) && hides(&found, face(None, 62.0).rect));
    let seldom = strands(&[(0, &[face(Some(1), 50.0)]), (200, &[face(Some(1), 62.0)]), (400, &[face(Some(1), 50.0)])]);
    assert!(!hides(&regions(&seldom, 200, 200, 200), face(None, 50.0).rect), "it may have gone there");
}

#[test]
fn a_mask_of_which_there_is_enough_ends_at_the_nearest_cells() {
    let odd = Sighting { rect: Rect::new(100.3, 100.3, 40.0, 50.0), ..face(Some(1), 0.0) };
    let masks = |margins| {
        let strands = strands(&[(0, &[odd])]);
        let mut found = strands.regions(ms(0), Between { from: ms(0), to: ms(0), shot: 0 }, margins);
        found.remove(0).boxes.remove(0)
    };
    let head = masks(Margins::HEAD);
    assert_eq!([head.x, head.y, head.right(), head.bottom()].map(|edge| edge % 2.0), [0.0; 4]);
    assert!((head.x - (100.3 - Margins::HEAD.side * 40.0)).abs() <= 1.0, "{head:?}");
    let exact = Margins { side: 0.01, ..Margins::HEAD };
    assert!((masks(exact).x - (100.3 - 0.01 * 40.0)).abs() < 0.01, "no face is cut for it");
}

#[test]
fn who_goes_fast_is_not_who_stands_where_it_was_nor_who_hides_it() {
    let seen = |first: [f32; 4]| {
        let faces = |n: usize| [face(Some(1), first[n]), face(Some(2), 240.0 - 40.0 * n as f32)];
        strands(&[(0, &faces(0)), (200, &faces(1)), (400, &faces(2)), (600, &faces(3))])
    };
    // another face stands there, and the one that it is taken for has got as far as the one that comes the other way
    let taken = seen([0.0, 80.0, 90.0, 95.0]);
    assert!(hides(&regions(&taken, 500, 400, 600), face(None, 200.0).rect), "it comes out behind that one");
    let slow = seen([0.0, 20.0, 25.0, 30.0]);
    assert_eq!(regions(&slow, 500, 400, 600).len(), 2, "it is one and the same");
}

#[test]
fn what_may_be_a_face_is_held_only_until_it_is_known_to_be_none() {
    let weak = Sighting { firm: false, ..face(Some(1), 50.0) };
    let mut strands = strands(&[(0, &[weak]), (40, &[])]);
    assert!(hides(&regions(&strands, 40, 40, 40), weak.rect), "it may be found again");
    strands.take((ms(80), 0), SIZE, &[]);
    strands.take((ms(120), 0), SIZE, &[]);
    assert_eq!(regions(&strands, 40, 40, 40), [], "it was not");
    assert!(hides(&regions(&strands, 20, 0, 40), weak.rect), "between the analysis that found it and the next");
    strands.take((ms(160), 0), SIZE, &[face(Some(1), 50.0)]);
    assert!(hides(&regions(&strands, 40, 40, 40), weak.rect), "it was one all the time");
}

/// Analyses of a face that walks to the right, five a second, by the numbers that a tracker gives it.
fn walking(numbers: &[Option<u64>], shot_of: impl Fn(usize) -> u64) -> Strands {
    let mut strands = Strands::default();
    for (n, number) in numbers.iter().enumerate() {
        let found: Vec<Sighting> = number.iter().map(|number| face(Some(*number), n as f32 * 60.0)).collect();
        strands.take((ms(n as u64 * 200), shot_of(n)), SIZE, &found);
    }
    strands.check_invariants();
    strands
}

#[test]
fn a_face_that_the_tracker_gives_a_new_number_is_still_the_same() {
    let strands = walking(&[Some(1), Some(1), Some(1), Some(2), Some(2)], |_| 0);
    let found = regions(&strands, 500, 400, 600);
    assert_eq!(found.len(), 1, "nobody is lost and nobody comes");
    assert!(hides(&found, face(None, 150.0).rect));
    assert!(!hides(&found, Rect::new(150.0, 80.0, 40.0, 20.0)), "its way is known");
    assert_eq!(regions(&strands, 700, 600, 800).len(), 1);
}

#[test]
fn a_face_that_is_found_again_under_another_number_is_hidden_on_the_way_and_held_no_longer() {
    let strands = walking(&[Some(1), Some(1), Some(1), None, Some(2), Some(2)], |_| 0);
    for (at, from, to) in [(500, 400, 600), (700, 600, 800)] {
        assert!(hides(&regions(&strands, at, from, to), face(None, at as f32 * 0.3).rect), "at {at} ms");
    }
    assert_eq!(regions(&strands, 900, 800, 1000).len(), 1);
}

#[test]
fn no_face_goes_on_as_another_track_over_a_cut_or_in_the_size_of_somebody_else() {
    let cut = walking(&[Some(1), Some(1), Some(1), Some(2)], |n| u64::from(n == 3));
    assert_eq!(regions(&cut, 600, 600, 600).len(), 2, "one is held, one was found");
    let mut strands = walking(&[Some(1), Some(1), Some(1)], |_| 0);
    let large = Sighting { rect: Rect::new(160.0, 85.0, 80.0, 80.0), ..face(Some(2), 0.0) };
    strands.take((ms(600), 0), SIZE, &[large]);
    assert_eq!(regions(&strands, 600, 600, 600).len(), 2);
}

#[test]
fn of_two_whom_the_tracker_takes_for_each_other_both_go_on_and_nobody_goes_unmasked_for_the_other() {
    let known = |x: f32, y: f32| Sighting {
        rect: Rect::new(x, y, 40.0, 50.0),
        exempt: true,
        verified: true,
        ..face(Some(1), 0.0)
    };
    let other = |x: f32, y: f32| Sighting { track: Some(2), exempt: false, verified: false, ..known(x, y) };
    let mut strands = Strands::default();
    for n in 0..3 {
        let x = n as f32 * 60.0;
        strands.take((ms(n * 200), 0), SIZE, &[known(x, 100.0), other(300.0 - x, 300.0)]);
    }
    assert_eq!(regions(&strands, 300, 200, 400).len(), 1, "one goes unmasked");
    strands.take((ms(600), 0), SIZE, &[other(180.0, 100.0), known(120.0, 300.0)]);
    let found = regions(&strands, 500, 400, 600);
    assert_eq!(found.len(), 2);
    assert!(hides(&found, Rect::new(150.0, 100.0, 40.0, 50.0)) && hides(&found, Rect::new(150.0, 300.0, 40.0, 50.0)));
    assert!(!hides(&found, Rect::new(150.0, 200.0, 40.0, 50.0)), "no way leads from one to the other");
}

#[test]
fn a_face_that_went_out_of_the_picture_is_held_for_a_moment() {
    let strands = known(2.0);
    assert!(hides(&regions(&strands, 1300, 1300, 1300), face(None, 2.0).rect));
    assert_eq!(regions(&strands, 1700, 1700, 1700), []);
}

#[test]
fn what_an_analysis_found_is_hidden_until_the_next_however_long_that_takes() {
    let weak = Sighting { firm: false, ..face(None, 50.0) };
    let strands = strands(&[(0, &[weak]), (900, &[])]);
    assert!(hides(&regions(&strands, 880, 0, 900), weak.rect));
    assert_eq!(regions(&strands, 900, 900, 900), []);
}

#[test]
fn a_face_lost_between_two_sights_is_hidden_along_the_way() {
    let lost = Sighting { seen: false, ..face(Some(1), 0.0) };
    let strands =
        strands(&[(0, &[face(Some(1), 0.0)]), (100, &[lost]), (200, &[lost]), (300, &[face(Some(1), 120.0)])]);
    assert!(hides(&regions(&strands, 150, 100, 200), face(None, 60.0).rect));
}

#[test]
fn an_exemption_needs_every_analysis_from_the_one_before() {
    let known = Sighting { exempt: true, verified: true, ..face(Some(1), 0.0) };
    let trusted = Sighting { verified: false, ..known };
    let plain = face(Some(1), 0.0);
    let shown = |analyses: &[(u64, &[Sighting])], at, from, to| regions(&strands(analyses), at, from, to).is_empty();
    assert!(shown(&[(0, &[known]), (100, &[known])], 50, 0, 100));
    assert!(!shown(&[(0, &[plain]), (100, &[known])], 50, 0, 100), "masked before");
    assert!(!shown(&[(0, &[known]), (100, &[plain])], 50, 0, 100), "masked after");
    assert!(!shown(&[(0, &[known]), (100, &[known]), (200, &[plain])], 50, 0, 100), "masked while the frame is held");
    assert!(!shown(&[(0, &[known]), (100, &[])], 50, 0, 100), "gone after");
    assert!(!shown(&[(0, &[known]), (100, &[Sighting { seen: false, ..known }])], 50, 0, 100), "not seen after");
    assert!(shown(&[(0, &[plain]), (100, &[known]), (200, &[known])], 150, 100, 200));
    assert!(!shown(&[(0, &[known]), (100, &[trusted])], 50, 0, 100), "not verified after");
    assert!(shown(&[(0, &[known]), (100, &[trusted]), (200, &[known])], 50, 0, 100), "verified while it is held");
    assert!(!shown(&[(0, &[known]), (100, &[trusted]), (200, &[])], 50, 0, 100), "never verified after");
}

#[test]
fn an_exemption_that_is_withdrawn_masks_what_is_held() {
    let known = Sighting { exempt: true, verified: true, ..face(Some(1), 0.0) };
    let mut strands = strands(&[(0, &[known]), (100, &[known])]);
    assert!(regions(&strands, 50, 0, 100).is_empty());
    strands.withdraw();
    assert!(!regions(&strands, 50, 0, 100).is_empty());
}

#[test]
fn faces_that_all_change_places_are_no_way_across_the_picture() {
    let strands = strands(&[
        (0, &[face(Some(1), 0.0), face(Some(2), 600.0)]),
        (100, &[face(Some(2), 0.0), face(Some(1), 600.0)]),
    ]);
    let found = regions(&strands, 50, 0, 100);
    assert!(hides(&found, face(None, 0.0).rect) && hides(&found, face(None, 600.0).rect));
    assert!(!found.iter().flat_map(|region| &region.boxes).any(|hidden| (250.0..400.0).contains(&hidden.centre().x)));
}

#[test]
fn what_no_frame_needs_is_forgotten() {
    let mut strands = Strands::default();
    for n in 0..1000 {
        strands.take((ms(n * 40), 0), SIZE, &[face(Some(n / 10), (n % 10) as f32 * 3.0)]);
        strands.forget_before(ms((n * 40).saturating_sub(200)));
        strands.check_invariants();
    }
    assert!(strands.knots() < 100, "{}", strands.knots());
}

#[test]
fn who_is_lost_when_a_tracker_takes_another_for_them_is_held_where_they_were_going() {
    let at = |x: f32, y: f32| Sighting { rect: Rect::new(x, y, 40.0, 50.0), ..face(Some(1), x) };
    // on its way to the right, until somebody comes up above who is taken for it
    let mut analyses: Vec<(u64, Vec<Sighting>)> = (0..5).map(|n| (n * 200, vec![at(n as f32 * 20.0, 100.0)])).collect();
    analyses.push((1000, vec![at(100.0, 50.0)]));
    let taken: Vec<_> = analyses.iter().map(|(at, found)| (*at, &found[..])).collect();
    let hidden = |strands: &Strands| regions(strands, 1100, 1000, 1200);
    assert!(hides(&hidden(&strands(&taken)), Rect::new(110.0, 100.0, 40.0, 50.0)), "it goes on");
    // it was found where it should be: nobody is lost
    let both = [at(100.0, 50.0), Sighting { track: Some(2), ..at(101.0, 100.0) }];
    let found: Vec<_> = taken[..5].iter().copied().chain([(1000, &both[..])]).collect();
    assert_eq!(regions(&strands(&found), 1000, 1000, 1000).len(), 2);
}

#[test]
fn a_single_box_that_is_too_large_does_not_count_for_long() {
    let large = Sighting { rect: Rect::new(40.0, 90.0, 60.0, 70.0), ..face(Some(1), 50.0) };
    let usual = face(Some(1), 50.0);
    let strands = strands(&[(0, &[usual]), (100, &[usual]), (200, &[large]), (300, &[usual]), (400, &[usual])]);
    assert!(hides(&regions(&strands, 200, 200, 200), large.rect), "but in its own frame");
    assert!(!hides(&regions(&strands, 400, 400, 400), usual.rect.grown(0.05)));
}

#[test]
fn a_face_that_is_found_moving_fast_is_hidden_back_to_where_it_may_have_come_from() {
    let found = |step: f32| {
        let mut strands = Strands::default();
        (0..4).for_each(|n| strands.take((ms(1000 + n * 100), 0), SIZE, &[face(Some(1), 300.0 + n as f32 * step)]));
        strands
    };
    let (fast, slow) = (found(20.0), found(1.0));
    assert!(hides(&regions(&fast, 800, 800, 800), face(None, 260.0).rect));
    assert_eq!(regions(&fast, 600, 600, 600), [], "it was further away than that");
    assert!(hides(&regions(&slow, 600, 600, 600), face(None, 300.0).rect));
}

#[test]
fn a_mask_that_nearly_ends_at_the_pictures_edge_goes_on_to_it() {
    let edges = strands(&[(0, &[face(Some(1), 4.0), face(Some(2), 1236.0)])]);
    let found = regions(&edges, 0, 0, 0);
    assert!(hides(&found, Rect::new(0.0, 100.0, 44.0, 50.0)));
    assert!(hides(&found, Rect::new(1236.0, 100.0, 44.0, 50.0)));
    let away = regions(&strands(&[(0, &[face(Some(1), 30.0)])]), 0, 0, 0);
    assert!(!hides(&away, Rect::new(25.0, 100.0, 5.0, 50.0)));
}

#[test]
fn a_face_cut_on_its_way_is_as_large_as_it_was_elsewhere() {
    let cut = Sighting { rect: Rect::new(210.0, 100.0, 28.0, 50.0), ..face(Some(1), 0.0) };
    let strands = strands(&[(0, &[face(Some(1), 100.0)]), (100, &[face(Some(1), 150.0)]), (200, &[cut])]);
    assert!(hides(&regions(&strands, 200, 200, 200), Rect::new(206.0, 100.0, 36.0, 50.0)));
}

#[test]
fn a_face_that_comes_from_behind_another_is_hidden_on_its_way() {
    let hider = face(Some(1), 100.0);
    let fast = Sighting { rect: Rect::new(160.0, 100.0, 40.0, 50.0), ..face(Some(2), 0.0) };
    let beside = strands(&[(0, &[hider]), (100, &[hider, fast])]);
    for x in [118.0, 140.0, 160.0] {
        assert!(hides(&regions(&beside, 20, 0, 100), face(None, x).rect), "{x}");
    }
    let alone = strands(&[(0, &[]), (100, &[fast])]);
    assert!(!hides(&regions(&alone, 20, 0, 100), face(None, 118.0).rect));
}

#[test]
fn a_fast_face_is_held_until_two_analyses_missed_it() {
    let found = |n: u64| Sighting { rect: Rect::new(n as f32 * 30.0, 100.0, 40.0, 50.0), ..face(Some(1), 0.0) };
    let mut strands = Strands::default();
    (0..=5).for_each(|n| strands.take((ms(n * 200), 0), SIZE, &[found(n)]));
    strands.take((ms(1200), 0), SIZE, &[]);
    strands.take((ms(1400), 0), SIZE, &[]);
    assert!(hides(&regions(&strands, 1340, 1200, 1400), Rect::new(190.0, 100.0, 40.0, 50.0)));
    assert_eq!(regions(&strands, 1340, 1300, 1400), [], "analyses that come more often have looked for it oftener");
}
