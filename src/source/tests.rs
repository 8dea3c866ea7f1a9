//! Sources whose child is a thread that follows a script.

use std::net::TcpListener;
use std::time::Duration;

use crossbeam_channel::unbounded;

use super::script::{Player, SLOTS, SOON, check_source, layout, play, settings, soon, told};
use super::*;
use crate::geometry::Size;
use crate::ring::wire::{FailReason, FrameHeader, ToBrain};

const CAMERA: &str = "rtsp://viewer:hunter2@camera.test/live";

#[test]
fn a_child_that_crashes_is_started_again() {
    let (mut source, ended) = play(settings(CAMERA), |run, mut child| {
        child.show(1);
        if run > 0 {
            child.live();
        }
    });
    let crash = "offline: the capture child crashed";
    check_source(&mut source, &["connecting", "online", "frame 0", crash, "online", "frame 1"]);
    assert_eq!(ended.try_recv(), Ok(Duration::ZERO), "what is left of a crashed child is killed");
}

#[test]
fn a_child_that_hangs_is_replaced() {
    let mut settings = settings(CAMERA);
    settings.limits.hang = Duration::from_millis(100);
    let (mut source, ended) = play(settings, |run, mut child| {
        child.show(1);
        if run > 0 { child.live() } else { child.hang() }
    });
    let hang = "stalled: the capture child hangs";
    check_source(&mut source, &["connecting", "online", "frame 0", hang, "online", "frame 1"]);
    assert_eq!(ended.try_recv(), Ok(Duration::ZERO));
}

#[test]
fn a_child_that_never_says_a_word_is_replaced() {
    let mut settings = settings(CAMERA);
    settings.limits.startup = Duration::from_millis(100);
    let (mut source, _ended) = play(settings, |run, mut child| {
        if run == 0 {
            return child.hang();
        }
        child.show(1);
        child.live();
    });
    let late = "offline: the capture child did not start in time";
    check_source(&mut source, &["connecting", late, "online", "frame 0"]);
}

#[test]
fn a_camera_that_falls_silent_is_opened_again() {
    let mut settings = settings(CAMERA);
    settings.limits.stall = Duration::from_millis(100);
    let (mut source, _ended) = play(settings, |_, mut child| {
        child.show(1);
        child.live();
    });
    let stall = "stalled: pictures stopped coming";
    check_source(&mut source, &["connecting", "online", "frame 0", stall, "online", "frame 1"]);
}

#[test]
fn garbage_on_the_socket_costs_the_child() {
    let (mut source, _ended) = play(settings(CAMERA), |run, mut child| {
        if run == 0 {
            rustix::net::send(&child.channel, b"\xff{junk", rustix::net::SendFlags::empty()).unwrap();
            return child.hang();
        }
        child.show(1);
        child.live();
    });
    let until = soon();
    let lost = std::iter::repeat_with(|| source.next(until)).find_map(|event| match event {
        SourceEvent::Changed(SourceState::Offline { reason, .. }) => Some(reason),
        _ => None,
    });
    assert!(lost.is_some_and(|reason| reason.starts_with("the capture child broke the protocol: no message")));
    check_source(&mut source, &["online", "frame 0"]);
}

/// A child that announces what `lie` makes of a good header, and is then replaced.
fn check_lie(lie: impl Fn(&mut FrameHeader) + Send + Sync + 'static, told: &str) {
    let (mut source, _ended) = play(settings(CAMERA), move |run, mut child| {
        child.show(1);
        if run == 0 {
            let mut header = child.header(layout(8, 8));
            lie(&mut header);
            child.say(&ToBrain::Frame(header));
            return child.hang();
        }
        child.live();
    });
    // the first frame is held: its slot must not be given out again
    assert_eq!(told_next(&mut source), "connecting");
    assert_eq!(told_next(&mut source), "online");
    let _held = source.next(soon());
    check_source(
        &mut source,
        &[&format!("offline: the capture child broke the protocol: {told}"), "online", "frame 1"],
    );
}

fn told_next(source: &mut Source) -> String {
    told(&source.next(soon())).unwrap_or_default()
}

#[test]
fn lying_headers_cost_the_child() {
    check_lie(|header| header.slot = SLOTS, "a frame in a slot that does not exist");
    check_lie(|header| header.slot = u32::MAX, "a frame in a slot that does not exist");
    check_lie(|header| header.slot = 0, "a frame in a slot that is still held");
    check_lie(|header| header.ring = 2, "a frame in a ring that does not exist");
    check_lie(|header| header.layout = layout(640, 480), "a frame that reaches past its slot");
    check_lie(|header| header.layout.planes[2].offset = 4090, "a frame that reaches past its slot");
    check_lie(|header| header.layout.planes[0].stride = 7, "a frame of impossible size");
    check_lie(|header| header.layout.size.width = 0, "a frame of impossible size");
    check_lie(|header| header.layout.sar = (0, 1), "a frame of impossible size");
}

#[test]
fn a_frame_before_any_ring_and_one_in_a_stale_ring_are_lies() {
    let (mut source, _ended) = play(settings(CAMERA), |run, mut child| {
        if run == 1 {
            child.want(layout(8, 8));
            let stale = child.header(layout(8, 8));
            child.want(layout(16, 16));
            child.say(&ToBrain::Frame(stale));
        } else {
            child.frame(layout(8, 8));
        }
        child.hang();
    });
    let lie = "offline: the capture child broke the protocol: a frame in a ring that does not exist";
    check_source(&mut source, &["connecting", lie, lie, lie]);
}

#[test]
fn pictures_may_change_their_size_while_old_ones_are_held() {
    let (mut source, _ended) = play(settings(CAMERA), |_, mut child| {
        for size in [8, 100, 33] {
            child.want(layout(size, size));
            let header = child.header(layout(size, size));
            child.say(&ToBrain::Frame(header));
        }
        child.live();
    });
    let mut held = Vec::new();
    let until = soon();
    while held.len() < 3 && Monotonic::now() < until {
        if let SourceEvent::Frame(frame) = source.next(until) {
            held.push(frame);
        }
    }
    for (n, (frame, size)) in held.iter().zip([8, 100, 33]).enumerate() {
        assert_eq!(frame.size(), Size::new(size, size));
        assert!(frame.picture().plane(0).iter().all(|byte| *byte == n as u8));
    }
    assert_eq!(held.len(), 3);
}

#[test]
fn a_child_that_wants_ring_after_ring_is_replaced() {
    let (mut source, _ended) = play(settings(CAMERA), |_, mut child| {
        for _ in 0..20 {
            child.show(1);
        }
    });
    let mut held = Vec::new();
    let until = soon();
    let reason = loop {
        match source.next(until) {
            SourceEvent::Frame(frame) => held.push(frame),
            SourceEvent::Changed(SourceState::Offline { reason, .. }) => break reason,
            _ => {}
        }
        assert!(held.len() < 20);
    };
    assert_eq!(reason, "the capture child broke the protocol: asks for one ring after another");
}

fn two_frames_and_the_end(_: usize, mut child: Player) {
    child.show(2);
    child.say(&ToBrain::EndOfStream);
    child.live();
}

#[test]
fn a_cameras_end_is_a_failure_and_a_files_end_is_the_end() {
    let (mut source, _ended) = play(settings(CAMERA), two_frames_and_the_end);
    let end = "offline: the stream ended";
    check_source(&mut source, &["connecting", "online", "frame 0", "frame 1", end, "online", "frame 2"]);

    let (mut source, ended) = play(settings("file:///clip.mp4"), two_frames_and_the_end);
    check_source(&mut source, &["connecting", "online", "frame 0", "frame 1", "ended", "ended"]);
    assert_eq!(ended.try_recv(), Ok(Limits::default().stop), "it may end by itself");
}

#[test]
fn a_file_that_repeats_begins_again_in_silence() {
    let again = Settings { repeat: true, ..settings("file:///clip.mp4") };
    let (mut source, _ended) = play(again, two_frames_and_the_end);
    check_source(&mut source, &["connecting", "online", "frame 0", "frame 1", "frame 2", "frame 3", "frame 4"]);
}

#[test]
fn frames_that_are_held_for_long_are_no_stall() {
    let mut settings = settings("file:///clip.mp4");
    let stall = Duration::from_millis(100);
    settings.limits.stall = stall;
    let (mut source, _ended) = play(settings, |_, mut child| {
        child.show(SLOTS as usize);
        child.live();
    });
    let mut held = Vec::new();
    let began = Monotonic::now();
    while held.len() < SLOTS as usize || began.elapsed() < 3 * stall {
        match source.next(Monotonic::now().plus(stall / 4)) {
            SourceEvent::Frame(frame) => held.push(frame),
            SourceEvent::Changed(SourceState::Stalled { reason }) => panic!("{reason}"),
            _ => {}
        }
        assert!(began.elapsed() < SOON);
    }
    held.clear();
    check_source(&mut source, &["stalled: pictures stopped coming"]);
}

#[test]
fn no_credential_comes_out_of_what_a_child_says() {
    let (mut source, _ended) = play(settings(CAMERA), |_, child| {
        let text = format!("cannot open {CAMERA}: viewer:hunter2 refused, hunter2!").into();
        child.say(&ToBrain::Failed { reason: FailReason::Unauthorised, text });
        child.hang();
    });
    check_source(
        &mut source,
        &["connecting", "offline: cannot open rtsp://camera.test/live: viewer:*** refused, ***!"],
    );
}

#[test]
fn a_camera_that_was_away_is_opened_as_soon_as_it_answers() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut settings = settings(CAMERA);
    settings.peer = Some(("127.0.0.1".to_owned(), port));
    settings.limits.probe_every = Duration::from_millis(1);
    settings.limits.backoff_least = Duration::from_secs(3600);
    settings.limits.backoff_most = Duration::from_secs(3600);
    let (mut source, _ended) = play(settings, |run, mut child| {
        if run == 0 {
            child.say(&ToBrain::Failed { reason: FailReason::Unreachable, text: "no route".into() });
            return child.hang();
        }
        child.show(1);
        child.live();
    });
    check_source(&mut source, &["connecting", "offline: no route"]);
    let SourceEvent::Changed(SourceState::Offline { reason, retry_in: None }) = source.next(soon()) else {
        panic!("nobody answers")
    };
    assert!(reason.starts_with(&format!("127.0.0.1:{port} does not answer")), "{reason}");
    let _camera = TcpListener::bind(("127.0.0.1", port)).unwrap();
    check_source(&mut source, &["online", "frame 0"]);
}

#[test]
fn next_comes_back_in_time_whatever_the_child_does() {
    let (mut source, _ended) = play(settings(CAMERA), |_, child| while child.say(&ToBrain::Alive) {});
    assert!(matches!(source.next(soon()), SourceEvent::Changed(SourceState::Connecting)));
    for _ in 0..20 {
        let until = Monotonic::now().plus(Duration::from_millis(2));
        assert!(matches!(source.next(until), SourceEvent::Idle));
        assert!(until.elapsed() < Duration::from_secs(2), "a flood of words keeps nobody");
    }
}

#[test]
fn a_source_that_is_dropped_stops_its_child() {
    let (stopped, told_to_stop) = unbounded();
    let (mut source, ended) = play(settings(CAMERA), move |_, mut child| {
        child.show(1);
        let stopped = stopped.clone();
        child.live_and(move || stopped.send(()).unwrap());
    });
    check_source(&mut source, &["connecting", "online", "frame 0"]);
    drop(source);
    assert_eq!(told_to_stop.recv_timeout(SOON), Ok(()));
    assert_eq!(ended.recv_timeout(SOON), Ok(Limits::default().stop));
}
