//! What becomes of masked video when its child, an encoder or a player fails.
#![cfg(feature = "media")]

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rstest::rstest;
use rustix::process::{Pid, Signal, kill_process};
use visor::sink::restream::{CameraConfig, Mount};

use super::support::daemon::checkout;
use super::support::film::Film;
use super::support::growth::Held;
use super::support::player::{SIZE, alone, metric, mount, open_to_all, play, serve, there_is_one, try_to_play};
use super::support::wait::{eventually, soak_time};

/// How soon after a fault players can watch again.
const BACK: Duration = Duration::from_secs(3);

/// What taking a frame over may cost the camera's thread, on a machine with much else to do. A child that is stopped stays so
/// for longer.
const NEVER_LONGER: Duration = Duration::from_secs(1);

fn check_not_held_up(film: &Film) {
    let slowest = Duration::from_micros(film.scenery.slowest_us.load(Ordering::Acquire).into());
    assert!(slowest < NEVER_LONGER, "handing a frame over took {slowest:?}");
}

#[rstest]
#[case::killed("killed", Signal::KILL)]
#[case::stopped("stopped", Signal::STOP)]
fn a_child_that_crashes_or_hangs_is_replaced(#[case] camera: &str, #[case] signal: Signal) {
    if !there_is_one() {
        return;
    }
    let (restream, film, url) = alone(camera);
    let other = url.clone();
    let watching = std::thread::spawn(move || try_to_play(&other, "tcp", 10_000));
    play(&url, "tcp", 5);
    let before = restream.id();
    let harmed = Instant::now();
    kill_process(Pid::from_raw(before.unwrap() as i32).unwrap(), signal).unwrap();
    let sent = loop {
        let sent = film.scenery.sent.load(Ordering::Acquire);
        if restream.id() != before && restream.listening().is_some() {
            break sent;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    eventually("frames to reach the new child", || (film.scenery.sent.load(Ordering::Acquire) > sent).then_some(()));
    let back = harmed.elapsed();
    assert!(back < BACK, "{back:?}");
    play(&url, "tcp", 5);
    check_not_held_up(&film);
    // a player that was cut off has noticed
    drop(watching.join().unwrap());
}

#[test]
fn soak_connects_leave_nothing_behind() {
    if !there_is_one() {
        return;
    }
    let (restream, _film, url) = alone("many");
    let began = Instant::now();
    let mut rounds = 0;
    let held = || Held::by(restream.id().unwrap()).unwrap();
    let mut first = None;
    while began.elapsed() < soak_time() || rounds < 40 {
        let players: Vec<_> = ["tcp", "udp", "tcp"]
            .map(|transport| {
                let url = url.clone();
                std::thread::spawn(move || play(&url, transport, 3))
            })
            .into();
        players.into_iter().for_each(|player| drop(player.join().unwrap()));
        rounds += 3;
        // what is loaded and cached once is there by now
        if rounds == 21 {
            first = Some(held());
        }
    }
    let first = first.unwrap();
    let last = eventually("the descriptors to be closed", || {
        let held = held();
        (held.descriptors <= first.descriptors).then_some(held)
    });
    let growth = last.own - first.own;
    eprintln!("{rounds} connects: {first:?} -> {last:?}");
    assert!(growth < 8.0, "{rounds} connects: {first:?} -> {last:?}");
}

#[test]
fn an_encoder_that_hangs_loses_its_own_mount_alone() {
    if !there_is_one() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(checkout("pipelines/out.launch")).unwrap();
    // its first frame takes it half a minute
    let hangs = text.replace("{encoder} !", "{encoder} ! identity name=hang sleep-time=30000000 !");
    std::fs::write(folder.path().join("out.launch"), hangs).unwrap();
    visor::metrics::install().unwrap();
    let restream = serve(&open_to_all());
    let (_steady, steady) = mount(&restream, "steady", &CameraConfig::default());
    let config = CameraConfig::default().resolve("stuck").unwrap();
    let config = Mount { pipelines: Some(folder.path().to_owned()), ..config };
    let stuck = Film::start(restream.mount("stuck", config), SIZE, 25);
    let before = restream.id();
    let watching = std::thread::spawn(move || play(&steady, "tcp", 200));
    let url = format!("rtsp://{}/stuck", restream.listening().unwrap());
    let player = std::thread::spawn(move || try_to_play(&url, "tcp", 1));
    eventually("the mount to be lost", || {
        (metric("visor_restream_interruptions_total", "camera", "stuck") > 0.0).then_some(())
    });
    watching.join().unwrap();
    assert!(!player.join().unwrap().status.success());
    assert_eq!(restream.id(), before, "one encoder that hangs is no reason to start anew");
    check_not_held_up(&stuck);
}
