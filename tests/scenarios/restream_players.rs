//! Players as people use them, for as long as a minute, on a camera whose frames come unevenly.
#![cfg(feature = "media")]

use std::process::{Command, Output};
use std::sync::atomic::Ordering;

use rstest::rstest;
use visor::sink::restream::Restream;

use super::support::film::Film;
use super::support::player::{alone, there_is_one};
use super::support::wait::eventually;

/// How long each player plays: a minute in the soak, eight seconds in the tests.
fn length() -> u64 {
    if std::env::var_os("VISOR_SOAK_SECONDS").is_some() { 60 } else { 8 }
}

/// Pictures a second of the made-up camera.
const FPS: u64 = 25;

/// Bytes of a picture that GStreamer's players hand on.
const SMALL: usize = 64 * 36;

/// Whether there is GStreamer's player; says so aloud where there is none.
fn gstreamer_is_installed() -> bool {
    let there = Command::new("gst-launch-1.0").arg("--version").output().is_ok();
    if !there {
        eprintln!("skipped: gst-launch-1.0 is not installed (apt install gstreamer1.0-tools)");
    }
    there
}

fn seconds() -> String {
    length().to_string()
}

/// A camera whose frames come unevenly, and now and then together.
fn jittering(camera: &str) -> (Restream, Film, String) {
    let (restream, film, url) = alone(camera);
    film.scenery.jitters.store(true, Ordering::Release);
    // its rate is known by then
    eventually("frames", || (film.scenery.sent.load(Ordering::Acquire) > 40).then_some(()));
    (restream, film, url)
}

/// Whatever a player says is a complaint.
fn check_silent(output: &Output) {
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(complaints.is_empty(), "{complaints}");
}

#[rstest]
fn soak_ffmpeg_plays_without_complaint(#[values("tcp", "udp")] transport: &str) {
    if !there_is_one() {
        return;
    }
    let (_restream, _film, url) = jittering("ffmpeg");
    let input = ["-v", "warning", "-rtsp_transport", transport, "-i", &url];
    let played = Command::new("ffmpeg").args(input).args(["-t", &seconds(), "-f", "null", "-"]).output().unwrap();
    check_silent(&played);
    assert!(played.status.success());
}

#[rstest]
fn soak_ffprobe_sees_every_packet_at_a_time_of_its_own(#[values("tcp", "udp")] transport: &str) {
    if !there_is_one() {
        return;
    }
    let (_restream, _film, url) = jittering("ffprobe");
    let input = ["-v", "warning", "-rtsp_transport", transport, "-read_intervals", &format!("%+{}", length())];
    let asked = ["-show_entries", "packet=dts", "-of", "csv=p=0", &url];
    let probed = Command::new("ffprobe").args(input).args(asked).output().unwrap();
    check_silent(&probed);
    let listed = String::from_utf8_lossy(&probed.stdout).into_owned();
    let times: Vec<i64> = listed.lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    assert!(times.len() as u64 > length() * FPS / 2, "only {} packets", times.len());
}

#[rstest]
#[case::tcp("rtspsrc protocols=tcp", "!")]
#[case::udp("rtspsrc protocols=udp", "!")]
#[case::playbin("playbin", "")]
fn soak_gstreamer_plays_without_complaint(#[case] source: &str, #[case] link: &str) {
    if !gstreamer_is_installed() {
        return;
    }
    let (_restream, _film, url) = jittering("gstreamer");
    let small = "videoconvert ! videoscale ! video/x-raw,format=GRAY8,width=64,height=36 ! fdsink";
    let pipeline = match link {
        "" => format!("{source} uri={url} video-sink=\"{small}\""),
        link => format!("{source} location={url} {link} decodebin {link} {small}"),
    };
    // it plays until it is told to stop
    let mut command = Command::new("timeout");
    command.args(["--signal=INT", "--kill-after=20", &seconds(), "gst-launch-1.0", "-q"]);
    let played = command.args(pipeline.split(' ')).output().unwrap();
    check_silent(&played);
    assert_eq!(played.status.code(), Some(124), "it stopped by itself");
    let shown = (played.stdout.len() / SMALL) as u64;
    assert!(shown > length() * FPS / 2, "only {shown} pictures");
}
