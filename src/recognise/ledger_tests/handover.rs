//! Who a track is when boxes cross, are cut, are lost and come back.

use super::*;

#[test]
fn tracks_that_swapped_their_faces_swap_their_names_in_the_same_analysis() {
    for strangers in [false, true] {
        let people = if strangers { people() } else { with(&[ALICE, BOB]) };
        let mut camera = Camera::new(&people);
        let (before, _) = camera.watch(&[good(1, ALICE), good(2, BOB)], 30);
        let crossing = |track, person| Shown { crossing: true, ..good(track, person) };
        camera.see(&[crossing(1, ALICE), crossing(2, BOB)]);
        let verdicts = camera.see(&[crossing(1, BOB), crossing(2, ALICE)]);
        let swapped: Vec<_> = names(&before).into_iter().rev().collect();
        assert_eq!(names(&verdicts), swapped);
        assert_eq!(changes(&verdicts), [Some(Change::Revised); 2]);
        let (last, changes) = camera.watch(&[good(1, BOB), good(2, ALICE)], 20);
        assert_eq!((names(&last), changes), (swapped, vec![]));
    }
}

#[test]
fn a_crossing_that_changes_nothing_is_not_told() {
    let mut camera = Camera::new(&with(&[ALICE, BOB]));
    camera.watch(&[good(1, ALICE), good(2, BOB)], 10);
    let crossing = |track, person| Shown { crossing: true, ..good(track, person) };
    let hidden = Shown { reason: Some(Reason::Occluded), ..crossing(1, ALICE) };
    let (_, changes) = camera.watch(&[hidden, crossing(2, BOB)], 20);
    assert_eq!(changes, []);
    assert_eq!(camera.watch(&[good(1, ALICE), good(2, BOB)], 20).1, []);
}

#[test]
fn a_name_falls_where_the_box_shows_somebody_else_after_a_cut() {
    let mut camera = Camera::new(&with(&[ALICE, BOB]));
    camera.watch(&[good(1, ALICE)], 10);
    let verdicts = camera.see(&[good(1, BOB)]);
    assert_eq!((names(&verdicts), changes(&verdicts)), (vec!["bob".into()], vec![Some(Change::Revised)]));
    let verdicts = camera.see(&[good(1, CARA)]);
    assert_eq!(changes(&verdicts), [Some(Change::Retracted)]);
    let back = camera.see(&[good(1, BOB)]);
    assert_eq!((names(&back), changes(&back)), (vec!["bob".into()], vec![Some(Change::Identified)]));
}

#[test]
fn a_swap_that_nothing_else_betrays_is_found_by_the_next_faces() {
    let mut camera = Camera::new(&with(&[ALICE, BOB]));
    camera.watch(&[good(1, ALICE)], 10);
    let unnoticed = Shown { look: ALICE as u64, ..good(1, CARA) };
    let (last, changes) = camera.watch(&[unnoticed], 40);
    assert_eq!((names(&last), changes.first()), (vec!["below_threshold".into()], Some(&Change::Retracted)));
}

#[test]
fn one_odd_face_takes_no_name_away() {
    let mut camera = Camera::new(&with(&[ALICE, BOB]));
    camera.watch(&[good(1, ALICE)], 10);
    let grimace = Shown { look: ALICE as u64, cosine: 0.1, ..good(1, ALICE) };
    let mut told = Vec::new();
    for i in 0..100 {
        told.extend(camera.see(&[if i % 31 == 0 { grimace } else { good(1, ALICE) }]).remove(0).change);
    }
    assert_eq!(told, []);
}

#[test]
fn whoever_comes_back_has_the_name_with_the_first_face() {
    for strangers in [false, true] {
        let people = if strangers { people() } else { with(&[ALICE, BOB]) };
        let mut camera = Camera::new(&people);
        let (before, _) = camera.watch(&[good(1, ALICE), good(2, BOB)], 30);
        camera.see_and_lose(&[good(2, BOB)], &[1]);
        camera.end(1);
        camera.watch(&[good(2, BOB)], 100);
        // Too poor a face for a decision of its own.
        let back = Shown { quality: 0.2, ..good(3, ALICE) };
        let verdicts = camera.see(&[good(2, BOB), back]);
        assert_eq!(names(&verdicts)[1], names(&before)[0]);
        assert_eq!(changes(&verdicts), [None, Some(Change::Identified)]);
    }
}

#[test]
fn a_new_track_takes_the_name_of_a_lost_one_which_then_has_none() {
    let mut camera = Camera::new(&with(&[ALICE, BOB]));
    camera.watch(&[good(1, ALICE)], 10);
    let verdicts = camera.see_and_lose(&[good(2, ALICE)], &[1]);
    assert_eq!(names(&verdicts), ["alice", "alice"], "the lost one was her");
    let both = camera.see(&[good(1, CARA), good(2, ALICE)]);
    assert_eq!(names(&both)[1], "alice");
    assert_ne!(names(&both)[0], "alice");
}

#[test]
fn somebody_else_in_a_lost_tracks_place_has_no_name() {
    let mut camera = Camera::new(&with(&[ALICE, BOB]));
    camera.watch(&[good(1, ALICE)], 10);
    (0..10).for_each(|_| drop(camera.see_and_lose(&[], &[1])));
    let hidden = Shown { reason: Some(Reason::TurnedAway), ..good(1, CARA) };
    assert_eq!(names(&camera.see(&[hidden])), ["turned_away"], "nothing says that it is her");
    assert_eq!(names(&camera.see(&[good(1, ALICE)])), ["alice"], "now something does");
}
