//! Masked video of a camera out of the running daemon: whatever happens, it is masked or covered, and it goes on.
#![cfg(feature = "media")]

use std::process::Command;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::support::broker::Broker;
use super::support::daemon::{Daemon, models, sample};
use super::support::recorder::Recorder;
use super::support::scene::{faces, signal};
use super::support::wait::{PATIENCE, eventually};

/// Frames that were handed out as masked or as covered.
fn handed_out(daemon: &Daemon, outcome: &str) -> f64 {
    daemon.metric("visor_mask_frames_total", &[&format!("outcome=\"{outcome}\"")])
}

/// Frames that were covered for a reason.
fn covered(daemon: &Daemon, reason: &str) -> f64 {
    daemon.metric("visor_mask_covered_total", &[&format!("reason=\"{reason}\"")])
}

/// Waits until `more` further frames were masked, from now on.
fn wait_for_masked(daemon: &Daemon, more: f64) {
    let before = handed_out(daemon, "masked");
    // a machine that cannot keep up covers, which is no fault
    let deadline = Instant::now() + 3 * PATIENCE;
    while handed_out(daemon, "masked") < before + more {
        assert!(Instant::now() < deadline, "waited in vain for {more} more masked frames");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn wait_for_covered(daemon: &Daemon, reason: &str) {
    eventually(&format!("frames covered for {reason}"), || (covered(daemon, reason) >= 1.0).then_some(()));
}

/// A player that takes so many frames and has nothing to complain of.
fn watch(daemon: &Daemon, frames: u32) -> JoinHandle<()> {
    let serves = daemon.wait_for_log("serves masked video", |_| true);
    let url = format!("rtsp://{}/front", serves["address"].as_str().unwrap());
    let (frames, patience) = (frames.to_string(), (3 * PATIENCE.as_secs()).to_string());
    std::thread::spawn(move || {
        let input = ["ffmpeg", "-v", "error", "-xerror", "-rtsp_transport", "tcp", "-i", &url];
        let output = ["-frames:v", &frames, "-f", "framemd5", "-"];
        let player = Command::new("timeout").arg(patience).args(input).args(output).output().unwrap();
        assert!(player.status.success() && player.stderr.is_empty(), "{}", String::from_utf8_lossy(&player.stderr));
    })
}

/// Nothing was ever shown without a proof, and no face was found in what was.
fn check_nothing_leaked(daemon: &Daemon) {
    let (_, metrics) = daemon.get("/metrics").unwrap();
    for name in ["visor_mask_unproven_frames_total", "visor_mask_audit_faces_total"] {
        assert!(metrics.contains(&format!("{name}{{camera=\"front\"}} 0")), "{name}: {metrics}");
    }
    let seen = |entry: &Value| entry["event"] == "face_seen";
    assert!(!daemon.log().iter().any(seen));
}

/// A configuration whose table `[models]` has one line more, and that has `rest` at its end.
fn config_with(uri: &str, camera: &str, (model, rest): (&str, &str)) -> String {
    format!(
        "{}{model}\n[log]\nevents = true\n[restream]\nlisten = \"127.0.0.1:0\"\n[cameras.front]\nuri = \"{uri}\"\n\
         [cameras.front.restream]\n[cameras.front.mask]\naudit_interval = \"200ms\"\n{camera}\n{rest}\n",
        models()
    )
}

fn config(uri: &str, camera: &str) -> String {
    config_with(uri, camera, ("", ""))
}

/// The mean of what a histogram counted.
fn mean(daemon: &Daemon, histogram: &str, labels: &[&str]) -> f64 {
    let part = |part: &str| daemon.metric(&format!("{histogram}_{part}"), labels);
    part("sum") / part("count")
}

#[test]
fn an_undisturbed_camera_is_masked_all_the_time() {
    let Some(camera) = faces(&[]) else { return };
    let daemon = Daemon::start(&config(camera.url("front").unwrap(), ""));
    wait_for_masked(&daemon, 10.0);
    let (masked, hidden) = (handed_out(&daemon, "masked"), handed_out(&daemon, "covered"));
    watch(&daemon, 100).join().unwrap();
    let (masked, hidden) = (handed_out(&daemon, "masked") - masked, handed_out(&daemon, "covered") - hidden);
    assert!(masked >= 100.0 && hidden <= 0.1 * masked, "{masked} frames are masked and {hidden} covered");
    eventually("an audit", || (daemon.metric("visor_mask_audits_total", &[]) >= 5.0).then_some(()));
    let hold = mean(&daemon, "visor_mask_hold_seconds", &[]);
    assert!((0.2..2.0).contains(&hold), "frames are held for {hold} s");
    check_nothing_leaked(&daemon);
    assert!(daemon.stop().success());
}

#[test]
fn what_disturbs_a_camera_covers_it_until_it_is_over_and_players_stay() {
    let (Some(camera), Some(broker)) = (faces(&[]), Broker::open()) else { return };
    let recorder = Recorder::at(broker.port);
    let rest = format!("[mqtt]\nurl = \"{}\"", broker.url());
    let uri = camera.url("front").unwrap();
    let daemon = Daemon::start(&config_with(uri, "", ("", &rest)));
    wait_for_masked(&daemon, 10.0);
    let player = watch(&daemon, 250);

    signal(*daemon.captures("front").last().unwrap(), Signal::KILL);
    eventually("another capture child", || (daemon.captures("front").len() == 2).then_some(()));
    wait_for_masked(&daemon, 10.0);

    recorder.publish("visor/front/detect/set", false, "OFF");
    wait_for_covered(&daemon, "detect_off");
    let masked = handed_out(&daemon, "masked");
    let more = covered(&daemon, "detect_off") + 20.0;
    eventually("covered frames to go on", || (covered(&daemon, "detect_off") >= more).then_some(()));
    assert_eq!(handed_out(&daemon, "masked"), masked, "nothing is shown while nobody looks");
    recorder.publish("visor/front/detect/set", false, "ON");
    wait_for_masked(&daemon, 10.0);

    daemon.reload(&config_with(uri, "", ("sessions = 1", &rest)));
    wait_for_covered(&daemon, "model_changed");
    wait_for_masked(&daemon, 10.0);

    daemon.reload(&config_with(uri, "kind = \"pixelate\"", ("sessions = 1", &rest)));
    daemon.wait_for_log("configuration reloaded", |entry| entry["changes"] == "changed front");
    wait_for_masked(&daemon, 10.0);
    player.join().unwrap();
    check_nothing_leaked(&daemon);
    assert!(daemon.stop().success());
}

#[test]
fn without_look_ahead_frames_do_not_wait_for_their_time() {
    let Some(camera) = faces(&[]) else { return };
    let daemon = Daemon::start(&config(camera.url("front").unwrap(), "lookahead_ms = 0"));
    wait_for_masked(&daemon, 100.0);
    let age = mean(&daemon, "visor_frame_age_seconds", &["stage=\"masked\""]);
    let hold = mean(&daemon, "visor_mask_hold_seconds", &[]);
    assert!(age < hold, "frames leave after {age} s, and are held for {hold} s at most");
    check_nothing_leaked(&daemon);
    assert!(daemon.stop().success());
}

#[test]
fn a_camera_whose_threads_are_replaced_is_never_shown_without_masks() {
    if sample().is_none() {
        return;
    }
    let daemon = Daemon::start(&config("test:", ""));
    wait_for_masked(&daemon, 10.0);
    for kind in ["blur", "solid", "pixelate"] {
        daemon.reload(&config("test:", &format!("kind = \"{kind}\"")));
        daemon.wait_for_log("configuration reloaded", |entry| entry["changes"] == "changed front");
        wait_for_masked(&daemon, 10.0);
    }
    check_nothing_leaked(&daemon);
    assert!(daemon.stop().success());
}
