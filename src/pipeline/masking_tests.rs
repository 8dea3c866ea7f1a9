//! The masked half of `cam-` with frames from memory, and a `see-` that does what a test says.

use metrics_exporter_prometheus::PrometheusBuilder;

use super::report::Report;
use super::*;
use crate::infer::{Trial, Trials};
use crate::mask::{Analysis, Cause, Hold, Line, Lookahead, Outcome, Ruling};
use crate::sink::Previews;

mod rig;

use rig::{APART, HOLD, Out, Rig, frame, judged, masking, policy};

#[test]
fn each_frame_comes_out_once_in_order_and_masked() {
    let mut rig = Rig::held();
    rig.sees();
    (0..20).for_each(|_| rig.feed_and_see());
    let out = rig.end();
    assert_eq!(out, vec![Ok(()); 20]);
}

#[test]
fn frames_are_masked_only_while_somebody_looks() {
    let screen = Previews::default().open("test");
    let hold = Hold::new(Duration::ZERO, HOLD, Duration::ZERO);
    let mut rig = Rig::with(Lookahead::Own(hold), |masking| masking.seen_on(Arc::clone(&screen)));
    rig.sees();
    (0..5).for_each(|_| rig.feed_and_see());
    let viewer = screen.watch();
    (5..10).for_each(|_| rig.feed_and_see());
    rig.wait_for("each frame that somebody looks at", |out| out.len() >= 5);
    let out = rig.out.lock().unwrap().clone();
    assert!(out.iter().map(|(number, ..)| *number).eq(5..10), "{out:?}");
    assert!(out.iter().all(|(_, outcome, shows)| judged(*outcome, *shows).is_ok()), "{out:?}");
    drop(viewer);
    assert!(screen.is_watched(), "for a while, in case another one comes");
}

#[test]
fn frames_between_two_analyses_are_shown_and_none_after_the_last() {
    let mut rig = Rig::held();
    rig.sees();
    for n in 0..20 {
        let job = rig.feed().unwrap();
        if n % 5 == 0 && n > 0 {
            rig.saw(&job, job.generation);
        }
    }
    let out = rig.end();
    let expected = (0..20).map(|n| match n {
        0..5 => Err(Cause::Starting),
        5..=15 => Ok(()),
        _ => Err(Cause::Ended),
    });
    assert_eq!(out, expected.collect::<Vec<_>>());
}

#[test]
fn a_see_thread_that_stalls_covers_by_the_clock() {
    let mut rig = Rig::held();
    rig.sees();
    (0..4).for_each(|_| rig.feed_and_see());
    // its reports do not come any more, and it takes no jobs
    let last = (0..20).map(|_| rig.feed()).filter(Option::is_some).count();
    assert_eq!(last, 20);
    rig.wait_for("released though nothing is reported", |out| out.len() >= 5);
    // the fourth has its own analysis, but none after it
    assert!(rig.out.lock().unwrap()[3..].iter().all(|(_, outcome, _)| *outcome == Outcome::Covered(Cause::Late)));
    let out = rig.end();
    assert_eq!(out[..3], [Ok(()); 3]);
    assert!(out[3..].iter().all(|out| matches!(out, Err(Cause::Late | Cause::Ended))), "{out:?}");
}

#[test]
fn a_failed_analysis_covers_what_lies_around_it() {
    let mut rig = Rig::held();
    rig.sees();
    for n in 0..12 {
        let job = rig.feed().unwrap();
        if n == 6 {
            rig.tell(Report::Failed(job.frame.number, job.generation));
        } else if n % 2 == 0 {
            rig.saw(&job, job.generation);
        }
    }
    let out = rig.end();
    let failed = out.iter().enumerate().filter(|(_, out)| **out == Err(Cause::Failed)).map(|(n, _)| n);
    assert_eq!(failed.collect::<Vec<_>>(), [5, 6, 7]);
    assert!(out[..5].iter().chain(&out[8..11]).all(Result::is_ok), "{out:?}");
}

#[test]
fn an_analysis_of_an_older_generation_proves_nothing() {
    let mut rig = Rig::held();
    rig.sees();
    (0..3).for_each(|_| rig.feed_and_see());
    let old = rig.feed().unwrap();
    rig.control.forget();
    let (_, next) = (rig.feed(), rig.feed().unwrap());
    assert!(next.generation > old.generation && next.epoch > old.epoch);
    rig.saw(&next, old.generation);
    let out = rig.end();
    assert_eq!(out[..3], [Ok(()); 3]);
    assert!(out[3..].iter().all(Result::is_err), "{out:?}");
}

#[test]
fn nothing_is_shown_before_the_test_face_was_seen_and_what_is_held_is_covered_when_it_is_not() {
    let mut rig = Rig::held();
    (0..3).for_each(|_| rig.feed_and_see());
    rig.wait_for("covered", |out| out.len() == 3);
    rig.sees();
    (0..3).for_each(|_| rig.feed_and_see());
    rig.tell(Report::Blind);
    // it sees again at once, and that proves nothing of what was held
    rig.sees();
    let out = rig.end();
    assert!(out[..3].iter().all(|out| *out == Err(Cause::Starting)), "{out:?}");
    assert!(out[3..].iter().all(|out| *out == Err(Cause::Blind)), "{out:?}");
}

#[test]
fn a_session_that_is_found_blind_for_another_camera_covers_what_is_held_here() {
    let mut rig = Rig::held();
    rig.sees();
    (0..3).for_each(|_| rig.feed_and_see());
    rig.wait_for("shown", |out| !out.is_empty());
    let before = Monotonic::now();
    rig.trials.note(0, Trial { at: before, score: None, mark: 0 });
    // told by a thread that had not heard of it
    rig.tell(Report::Sees { at: before, trials: Arc::clone(&rig.trials) });
    (0..3).for_each(|_| rig.feed_and_see());
    rig.wait_for("covered", |out| out.len() == 6);
    rig.sees();
    (0..3).for_each(|_| rig.feed_and_see());
    let out = rig.end();
    assert_eq!(out[0], Ok(()));
    assert!(out[3..6].iter().all(|out| *out == Err(Cause::Blind)), "{out:?}");
    assert_eq!(out[6..], [Ok(()); 3], "all sessions see again");
}

#[test]
fn another_model_proves_nothing_together_with_the_one_before() {
    let mut rig = Rig::held();
    rig.sees();
    (0..3).for_each(|_| rig.feed_and_see());
    drop((rig.feed(), rig.feed()));
    rig.trials = Arc::new(Trials::of(1));
    rig.sees();
    (0..3).for_each(|_| rig.feed_and_see());
    let changed = Err(Cause::ModelChanged);
    assert_eq!(rig.end(), [Ok(()), Ok(()), Ok(()), changed, changed, Ok(()), Ok(()), Ok(())]);
}

#[test]
fn a_see_thread_that_ends_covers_what_comes_after() {
    let mut rig = Rig::held();
    rig.sees();
    (0..3).for_each(|_| rig.feed_and_see());
    rig.reporter = None;
    rig.bell.ring();
    (0..5).for_each(|_| drop(rig.feed()));
    let out = rig.end();
    assert!(out[4..].iter().all(|out| *out == Err(Cause::Failed)), "{out:?}");
}

#[test]
fn detection_that_is_switched_off_covers_what_is_held_until_it_is_on_again() {
    let mut rig = Rig::held();
    rig.sees();
    (0..3).for_each(|_| rig.feed_and_see());
    rig.control.detect(false);
    rig.wait_for("covered", |out| out.len() == 3);
    assert!(rig.out.lock().unwrap().iter().all(|(_, outcome, _)| *outcome == Outcome::Covered(Cause::DetectOff)));
    rig.control.detect(true);
    (0..3).for_each(|_| rig.feed_and_see());
    let out = rig.end();
    assert_eq!(out[3..], [Ok(()); 3], "{out:?}");
}

#[test]
fn a_face_that_was_seen_in_what_went_out_covers_for_a_while() {
    let mut rig = Rig::held();
    rig.sees();
    (0..3).for_each(|_| rig.feed_and_see());
    rig.control.cover_for(HOLD + APART);
    rig.wait_for("covered", |out| out.len() == 3);
    assert!(rig.out.lock().unwrap().iter().all(|(_, outcome, _)| *outcome == Outcome::Covered(Cause::FaceSeen)));
    let covered = |rig: &Rig| rig.control.covers(Monotonic::now());
    while covered(&rig) {
        rig.feed_and_see();
    }
    let open = rig.fed as usize;
    (0..3).for_each(|_| rig.feed_and_see());
    let counts = Arc::clone(&rig.control);
    let out = rig.end();
    assert!(out[..open - 1].iter().all(|out| *out == Err(Cause::FaceSeen)), "{out:?}");
    assert!(out[open..].iter().all(Result::is_ok), "{out:?}");
    let Counts { masked, covered, .. } = counts.tally.counts();
    assert_eq!((masked + covered) as usize, out.len());
}

#[test]
fn a_source_that_is_lost_covers_what_was_not_proven() {
    let mut rig = Rig::held();
    rig.sees();
    (0..3).for_each(|_| rig.feed_and_see());
    drop((rig.feed(), rig.feed()));
    rig.event(SourceEvent::Changed(SourceState::Stalled { reason: "test".to_owned() }));
    (0..3).for_each(|_| rig.feed_and_see());
    let out = rig.end();
    let lost = Err(Cause::SourceLost);
    assert_eq!(out, [Ok(()), Ok(()), Ok(()), lost, lost, Ok(()), Ok(()), Ok(())]);
}

#[test]
fn masks_that_are_switched_on_are_on_in_what_is_held() {
    let mut rig = Rig::held();
    rig.control.mask(false);
    rig.sees();
    (0..20).for_each(|_| rig.feed_and_see());
    rig.wait_for("one without masks", |out| !out.is_empty());
    rig.control.mask(true);
    rig.feed_and_see();
    rig.wait_for("the others", |out| out.len() >= 20);
    let masked: Vec<bool> = {
        let out = rig.out.lock().unwrap();
        out[..20].iter().map(|(_, outcome, _)| matches!(outcome, Outcome::Masked { regions: 1, .. })).collect()
    };
    assert!(!masked[0] && masked[19] && masked.is_sorted(), "{masked:?}");
}

#[test]
fn without_look_ahead_a_frame_leaves_as_soon_as_it_is_analysed() {
    let bound = Duration::from_secs(1);
    let mut rig = Rig::new(Lookahead::Own(Hold::new(bound, Duration::ZERO, Duration::ZERO)));
    rig.sees();
    for n in 0..10 {
        rig.feed_and_see();
        let asked = Instant::now();
        rig.wait_for("the frame", |out| out.len() == n + 1);
        assert!(asked.elapsed() < bound / 2, "it waits for its time");
    }
    let (_, _) = (rig.feed(), rig.feed_and_see());
    let out = rig.end();
    assert_eq!(out[10..], [Err(Cause::NotAnalysed), Ok(())]);
    assert!(out[..10].iter().all(Result::is_ok), "{out:?}");
}

#[test]
fn what_a_line_lets_go_without_a_report_is_covered_and_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let exporter = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let own = || policy(Lookahead::Own(Hold::new(HOLD, Duration::ZERO, Duration::ZERO)));
        let (out, control) = (Out::default(), Control::new("test"));
        let (mut masking, _reporter) = masking(own(), &out);
        // a line that believes in an analysis of which `see-` has said nothing
        let mut mistaken = Line::new(own());
        let frame = frame(0);
        let (number, at, generation) = (frame.number, frame.stamp.pts, mistaken.generation());
        mistaken.push(frame);
        let analysis = Analysis { number, at, generation, sightings: Vec::new(), withdrawn: false };
        mistaken.analysed(&analysis, Duration::ZERO);
        let release = mistaken.poll(Monotonic::now()).unwrap();
        assert!(matches!(release.ruling, Ruling::Masked(_)));
        masking.hand_over(&release, &control);
        assert_eq!(*out.lock().unwrap(), [(0, Outcome::Covered(Cause::Unproven), false)]);
        let page = exporter.render();
        assert!(page.contains("visor_mask_unproven_frames_total{camera=\"test\"} 1"), "{page}");
    });
}

#[test]
fn a_camera_that_was_told_to_stop_shows_nothing_more() {
    let (out, control) = (Out::default(), Control::new("test"));
    let (mut masking, _reporter) = masking(policy(Lookahead::Own(Hold::new(HOLD, HOLD, HOLD))), &out);
    let release = crate::mask::Release { frame: frame(0), ruling: Ruling::Covered(Cause::Late) };
    masking.hand_over(&release, &control);
    control.stop();
    masking.hand_over(&release, &control);
    assert_eq!(out.lock().unwrap().len(), 1);
}
