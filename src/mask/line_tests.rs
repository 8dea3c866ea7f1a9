//! The delay line, by example; and, in `interleavings`, against a model of what is proven.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

mod interleavings;

use super::hold::Hold;
use super::line::Line;
use super::policy::{Analysis, Lookahead, Policy, Release};
use super::ruling::{Bracket, Cause, Ruling};
use super::sighting::Sighting;
use super::strands::Margins;
use crate::clock::Monotonic;
use crate::frame::{ClockSource, Colorimetry, ColourMatrix, ColourRange, Frame, Layout, PixelFormat, Stamp};
use crate::geometry::{Point, Rect, Size};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn at(n: u64) -> Monotonic {
    Monotonic::default().plus(ms(1000 + n))
}

/// Frame `number`, taken and arrived at `now` milliseconds.
fn frame(number: u64, now: u64, width: u32) -> Frame {
    let colour = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full };
    let layout = Layout::packed(Size::new(width, 2), PixelFormat::I420, colour);
    let stamp = Stamp {
        pts: ms(now),
        arrived_at: at(now),
        decode: None,
        captured_at: SystemTime::UNIX_EPOCH,
        clock: ClockSource::Arrival,
    };
    Frame::new(number, stamp, layout, Arc::new(vec![0; layout.end().unwrap()])).unwrap()
}

fn line(lookahead: Lookahead) -> Line {
    Line::new(Policy { lookahead, capacity: 12, margins: Margins::HEAD, nobody: false })
}

fn live() -> Line {
    line(Lookahead::Held(Hold::new(ms(200), ms(100), ms(20))))
}

fn own() -> Line {
    line(Lookahead::Own(Hold::new(ms(0), ms(40), ms(20))))
}

fn file() -> Line {
    line(Lookahead::File(ms(200)))
}

fn analysis(line: &Line, number: u64) -> Analysis {
    Analysis { number, at: ms(number * 40), generation: line.generation(), sightings: Vec::new(), withdrawn: false }
}

/// A frame's number, with its bracket or the cause that covers it.
type Ruled = (u64, Result<(u64, u64), Cause>);

/// Everything that leaves until `now`.
fn drain(line: &mut Line, now: u64) -> Vec<Ruled> {
    std::iter::from_fn(|| line.poll(at(now))).map(|release| ruled(&release)).collect()
}

fn ruled(release: &Release) -> Ruled {
    let outcome = match &release.ruling {
        Ruling::Masked(plan) => Ok((plan.bracket().from, plan.bracket().to)),
        Ruling::Covered(cause) => Err(*cause),
    };
    (release.frame.number, outcome)
}

/// Frames 0 to `count`, 40 ms apart.
fn push(line: &mut Line, numbers: std::ops::Range<u64>) {
    for number in numbers {
        assert!(line.push(frame(number, number * 40, 8)).is_none());
    }
}

#[test]
fn frames_are_shown_between_two_analyses_and_after_the_hold() {
    let mut line = live();
    push(&mut line, 0..5);
    for number in [0, 2, 4] {
        line.analysed(&analysis(&line, number), ms(20));
    }
    assert_eq!(drain(&mut line, 199), []);
    assert_eq!(drain(&mut line, 200), [(0, Ok((0, 0)))]);
    assert_eq!(drain(&mut line, 280), [(1, Ok((0, 2))), (2, Ok((2, 2)))]);
    assert_eq!(drain(&mut line, 320), [(3, Ok((2, 4)))]);
    push(&mut line, 5..7);
    line.analysed(&analysis(&line, 6), ms(20));
    assert_eq!(drain(&mut line, 360), [(4, Ok((4, 4)))]);
}

#[test]
fn an_analysed_frame_is_shown_only_once_the_next_one_was_looked_at_too() {
    let mut line = live();
    push(&mut line, 0..5);
    for number in [0, 2] {
        line.analysed(&analysis(&line, number), ms(20));
    }
    assert_eq!(drain(&mut line, 240), [(0, Ok((0, 0))), (1, Ok((0, 2)))]);
    assert_eq!(drain(&mut line, 320), [(2, Err(Cause::Late)), (3, Err(Cause::Late))]);
    line.analysed(&analysis(&line, 4), ms(160));
    line.failed(5, line.generation());
    assert_eq!(drain(&mut line, 999), [(4, Err(Cause::Late))], "what failed has not looked");
}

#[test]
fn analyses_far_apart_prove_nothing_in_between() {
    let mut line = Line::new(Policy {
        lookahead: Lookahead::Held(Hold::new(ms(1200), ms(100), ms(20))),
        capacity: 60,
        margins: Margins::HEAD,
        nobody: false,
    });
    push(&mut line, 0..15);
    for number in [0, 6, 13, 14] {
        line.analysed(&analysis(&line, number), ms(20));
    }
    let ruled: Vec<_> = drain(&mut line, 9999).into_iter().map(|(_, outcome)| outcome).collect();
    assert_eq!(ruled[1], Ok((0, 6)), "240 ms apart");
    assert_eq!(ruled[6], Ok((6, 6)));
    assert!(ruled[7..13].iter().all(|outcome| *outcome == Err(Cause::Late)), "280 ms apart: {ruled:?}");
    assert_eq!(ruled[13], Ok((13, 13)));
}

#[test]
fn a_frame_whose_time_stands_still_is_not_shown_by_its_time() {
    let mut line = live();
    for (number, time) in [0, 40, 44, 48, 52, 200, 240].into_iter().enumerate() {
        assert!(line.push(frame(number as u64, time, 8)).is_none());
    }
    let at = |number, time| Analysis { at: ms(time), ..analysis(&line, number) };
    let ends = [at(0, 0), at(5, 200), at(6, 240)];
    ends.iter().for_each(|end| line.analysed(end, ms(20)));
    let jumped = Err(Cause::ClockJumped);
    let ruled: Vec<_> = drain(&mut line, 9999).into_iter().map(|(_, outcome)| outcome).collect();
    assert_eq!(ruled[..6], [Ok((0, 0)), Ok((0, 5)), Ok((0, 5)), jumped, jumped, Ok((5, 5))]);
}

#[test]
fn nothing_leads_across_a_cut() {
    let cut_at = |analysed: &[u64]| {
        let mut line = live();
        push(&mut line, 0..3);
        line.cut(3);
        push(&mut line, 3..8);
        for number in analysed.iter().chain(&[7]) {
            line.analysed(&analysis(&line, *number), ms(20));
        }
        let ruled = drain(&mut line, 999).into_iter().map(|(_, outcome)| outcome.map_err(|cause| cause.name()));
        ruled.take(7).collect::<Vec<_>>()
    };
    let cut = Err("cut");
    assert_eq!(cut_at(&[0, 5, 6]), [Ok((0, 0)), cut, cut, cut, cut, Ok((5, 5)), Ok((6, 6))]);
    assert_eq!(cut_at(&[0, 3, 6]), [Ok((0, 0)), cut, cut, Ok((3, 3)), Ok((3, 6)), Ok((3, 6)), Ok((6, 6))]);
    assert_eq!(
        cut_at(&[0, 2, 3, 6]),
        [Ok((0, 0)), Ok((0, 2)), Ok((2, 2)), Ok((3, 3)), Ok((3, 6)), Ok((3, 6)), Ok((6, 6))]
    );
}

#[test]
fn the_last_frame_is_open_until_something_is_known_of_it() {
    let mut line = live();
    assert!(line.last_open().is_none());
    push(&mut line, 0..2);
    assert_eq!(line.last_open().map(|(frame, generation)| (frame.number, generation)), Some((1, line.generation())));
    line.analysed(&analysis(&line, 1), ms(20));
    assert!(line.last_open().is_none());
    push(&mut line, 2..3);
    line.interrupt(Cause::SourceLost);
    assert!(line.last_open().is_none(), "its analysis would count for nothing");
}

#[test]
fn a_failed_analysis_proves_nothing_around_it() {
    let mut line = live();
    push(&mut line, 0..6);
    line.analysed(&analysis(&line, 0), ms(20));
    line.failed(2, line.generation());
    line.analysed(&analysis(&line, 4), ms(20));
    line.analysed(&analysis(&line, 5), ms(20));
    let failed = Err(Cause::Failed);
    assert_eq!(drain(&mut line, 399), [(0, Ok((0, 0))), (1, failed), (2, failed), (3, failed), (4, Ok((4, 4)))]);
}

#[test]
fn a_new_model_begins_anew_and_what_the_old_one_says_counts_for_nothing() {
    let mut line = live();
    push(&mut line, 0..3);
    line.analysed(&analysis(&line, 0), ms(20));
    let old = analysis(&line, 2);
    line.interrupt(Cause::ModelChanged);
    line.analysed(&old, ms(20));
    push(&mut line, 3..8);
    line.analysed(&analysis(&line, 4), ms(20));
    line.analysed(&analysis(&line, 5), ms(20));
    let changed = Err(Cause::ModelChanged);
    let expected = [(0, Ok((0, 0))), (1, changed), (2, changed), (3, changed), (4, Ok((4, 4))), (5, Err(Cause::Late))];
    assert_eq!(drain(&mut line, 439), expected);
}

#[test]
fn blindness_covers_what_is_proven_too() {
    let mut line = live();
    push(&mut line, 0..3);
    line.analysed(&analysis(&line, 0), ms(20));
    line.analysed(&analysis(&line, 2), ms(20));
    line.shut(Cause::Blind);
    push(&mut line, 3..4);
    line.analysed(&analysis(&line, 3), ms(20));
    line.reopen();
    push(&mut line, 4..6);
    line.analysed(&analysis(&line, 4), ms(20));
    line.analysed(&analysis(&line, 5), ms(20));
    let blind = Err(Cause::Blind);
    assert_eq!(drain(&mut line, 399), [(0, blind), (1, blind), (2, blind), (3, blind), (4, Ok((4, 4)))]);
}

#[test]
fn another_size_and_a_jump_of_the_clock_break_the_bracket() {
    for (second, cause) in [(frame(1, 40, 10), Cause::SizeChanged), (frame(1, 9000, 8), Cause::ClockJumped)] {
        let mut line = live();
        let time = second.stamp.pts;
        let third = frame(2, time.as_millis() as u64 + 40, second.size().width);
        line.push(frame(0, 0, 8));
        line.push(second);
        line.push(third);
        for (number, at) in [(1, time), (2, time + ms(40))] {
            let generation = line.generation();
            line.analysed(&Analysis { number, at, generation, sightings: Vec::new(), withdrawn: false }, ms(20));
        }
        assert_eq!(drain(&mut line, 9999)[..2], [(0, Err(cause)), (1, Ok((1, 1)))]);
    }
}

#[test]
fn a_proven_frame_keeps_its_masks_when_the_next_is_of_another_size() {
    let mut line = live();
    line.push(frame(0, 0, 8));
    let face = Sighting {
        track: None,
        rect: Rect::new(1.0, 0.0, 2.0, 2.0),
        velocity: Point::default(),
        seen: true,
        firm: true,
        exempt: false,
        verified: false,
    };
    line.analysed(&Analysis { sightings: vec![face], ..analysis(&line, 0) }, ms(20));
    line.push(frame(1, 40, 10));
    line.check_invariants();
    let release = line.poll(at(999)).unwrap();
    assert!(matches!(release.ruling, Ruling::Masked(plan) if plan.regions().len() == 1));
}

#[test]
fn without_look_ahead_each_frame_rests_on_its_own_analysis() {
    let mut line = own();
    push(&mut line, 0..4);
    line.analysed(&analysis(&line, 0), ms(20));
    assert_eq!(drain(&mut line, 20), [(0, Ok((0, 0)))], "at once");
    line.analysed(&analysis(&line, 2), ms(20));
    assert_eq!(drain(&mut line, 100), [(1, Err(Cause::NotAnalysed)), (2, Ok((2, 2)))]);
    assert_eq!(drain(&mut line, 999), [(3, Err(Cause::Late))]);
}

#[test]
fn a_full_line_lets_its_oldest_frame_go_covered() {
    let mut line = live();
    push(&mut line, 0..12);
    let forced = line.push(frame(12, 480, 8)).unwrap();
    assert_eq!(ruled(&forced), (0, Err(Cause::QueueFull)));
    line.check_invariants();
}

#[test]
fn a_file_waits_for_what_comes_later_and_for_nothing_after_its_end() {
    let mut line = file();
    push(&mut line, 0..9);
    (0..5).for_each(|number| line.analysed(&analysis(&line, number), ms(20)));
    assert_eq!(drain(&mut line, 99_999), [], "nothing 200 ms later yet");
    line.analysed(&analysis(&line, 5), ms(20));
    assert_eq!(drain(&mut line, 0), [(0, Ok((0, 0)))]);
    line.end();
    let rest: Vec<_> = drain(&mut line, 0).into_iter().map(|(_, outcome)| outcome.is_ok()).collect();
    assert_eq!(rest, [true, true, true, true, true, false, false, false]);
}
