//! Masked video out over RTSP: the real child, and players as people use them.
#![cfg(feature = "media")]

use std::sync::atomic::Ordering;
use std::time::Duration;

use rstest::rstest;
use visor::geometry::Size;
use visor::sink::restream::{CameraConfig, Codec};

use super::support::film::Film;
use super::support::player::{
    SIZE, alone, clients, keyframes, mount, open_to_all, play, probe, serve, there_is_one, try_to_play,
};
use super::support::wait::eventually;

/// Bytes of a decoded picture of this size.
const fn bytes(size: Size) -> u32 {
    size.width * size.height * 3 / 2
}

#[rstest]
fn players_see_what_was_masked(#[values("tcp", "udp")] transport: &str) {
    if !there_is_one() {
        return;
    }
    let (_restream, _film, url) = alone("seen");
    assert_eq!(probe(&url, transport), "h264,640,360");
    let shown = play(&url, transport, 50);
    assert!(shown.iter().all(|picture| picture.bytes == bytes(SIZE)));
    let moved = shown.windows(2).filter(|pair| pair[0].digest != pair[1].digest).count();
    assert!(moved > 40, "of 50 pictures only {moved} differ from the one before");
}

#[test]
fn frames_are_painted_only_while_somebody_watches() {
    if !there_is_one() {
        return;
    }
    let (_restream, film, url) = alone("idle");
    let passed = || film.scenery.passed.load(Ordering::Acquire);
    let pass_on = || {
        let more = passed() + 25;
        eventually("frames that nobody watches", || (passed() >= more).then_some(()));
    };
    pass_on();
    for transport in ["tcp", "udp"] {
        let (before, sent) = (passed(), film.scenery.sent.load(Ordering::Acquire));
        play(&url, transport, 50);
        let (passed, sent) = (passed() - before, film.scenery.sent.load(Ordering::Acquire) - sent);
        assert!(sent >= passed + 50, "of {sent} frames {passed} were passed by");
        pass_on();
    }
}

#[test]
fn video_can_be_h265() {
    if !there_is_one() {
        return;
    }
    let restream = serve(&open_to_all());
    let (_film, url) = mount(&restream, "front", &CameraConfig { codec: Codec::H265, ..CameraConfig::default() });
    assert_eq!(probe(&url, "tcp"), "hevc,640,360");
    play(&url, "tcp", 25);
}

#[test]
fn several_watch_at_once_and_each_begins_with_a_keyframe() {
    if !there_is_one() {
        return;
    }
    visor::metrics::install().unwrap();
    let (_restream, _film, url) = alone("shared");
    let other = url.clone();
    let first = std::thread::spawn(move || play(&other, "tcp", 250));
    eventually("the first", || (clients("shared") > 0.0).then_some(()));
    for transport in ["tcp", "udp", "tcp"] {
        let keys = keyframes(&url, transport, 12);
        // on a busy machine a frame or two that were on their way come before it
        assert!(keys[..3].contains(&true) && keys.iter().filter(|key| **key).count() <= 2, "{transport}: {keys:?}");
    }
    first.join().unwrap();
    eventually("the last to leave", || (clients("shared") == 0.0).then_some(()));
}

#[test]
fn a_camera_that_is_away_or_changes_its_size_keeps_its_players() {
    if !there_is_one() {
        return;
    }
    let (_restream, film, url) = alone("away");
    let watching = std::thread::spawn(move || play(&url, "tcp", 60));
    eventually("frames", || (film.scenery.sent.load(Ordering::Acquire) > 30).then_some(()));
    film.scenery.away.store(true, Ordering::Release);
    std::thread::sleep(Duration::from_secs(3));
    film.resize(Size::new(320, 320));
    film.scenery.away.store(false, Ordering::Release);
    let shown = watching.join().unwrap();
    assert!(shown.iter().all(|picture| picture.bytes == bytes(SIZE)), "{shown:?}");
}

#[test]
fn who_watches_before_the_camera_comes_sees_it_in_its_own_size() {
    if !there_is_one() {
        return;
    }
    let restream = serve(&open_to_all());
    let path = CameraConfig::default().resolve("early").unwrap();
    let url = format!("rtsp://{}/{}", restream.listening().unwrap(), path.path);
    let outlet = restream.mount("early", path);
    let watched = url.clone();
    let watching = std::thread::spawn(move || try_to_play(&watched, "tcp", 150));
    eventually("a player of the slate", || (clients("early") == 1.0).then_some(()));
    assert_eq!(probe(&url, "tcp"), "h264,1280,720");
    let _film = Film::start(outlet, SIZE, 25);
    eventually("the camera's size", || (probe(&url, "tcp") == "h264,640,360").then_some(()));
    let played = watching.join().unwrap();
    assert!(played.status.success(), "{}", String::from_utf8_lossy(&played.stderr));
}
