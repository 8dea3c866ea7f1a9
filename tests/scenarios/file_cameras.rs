//! Files in the place of cameras.
#![cfg(feature = "media")]

use std::process::Command;

use super::support::daemon::{Daemon, models, sample, visor};

#[test]
fn a_file_with_pauses_longer_than_the_stall_timeout_is_played_through() {
    let Some(clip) = sample() else { return };
    let folder = tempfile::tempdir().unwrap();
    let slow = folder.path().join("slow.mp4");
    let mut made = Command::new(visor());
    made.args(["camera", "--size", "320x180", "--fps", "1", "--transcode"]);
    assert!(made.args([&clip, &slow]).status().unwrap().success());
    let file = format!("[cameras.slow]\nuri = \"file://{}\"\nstall_timeout = \"500ms\"\n", slow.display());
    let daemon = Daemon::start(&(models().to_owned() + &file));
    daemon.wait_for_frames("slow", 5.0);
    assert_eq!(daemon.metric("visor_camera_restarts_total", &[]), 0.0);
    assert!(daemon.stop().success());
}

/// What the demo says on standard error, and its status.
fn demo(arguments: &[&str]) -> Option<(i32, String)> {
    sample()?;
    if !Command::new("mosquitto").arg("-h").output().is_ok_and(|output| !output.stdout.is_empty()) {
        eprintln!("skipped: mosquitto is not installed");
        return None;
    }
    Some(run_demo(arguments, &[]))
}

fn run_demo(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let mut demo = Command::new(visor());
    let output = demo.arg("demo").args(arguments).envs(variables.iter().copied()).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_demo_takes_its_models_from_where_the_environment_says() {
    for (variable, value, expected, status) in [
        ("VISOR__MODELS__FOLDER", "/nonexistent/models", "no face detector in /nonexistent/models", 69),
        ("VISOR__MODELS__DETECTOR", "yunet-x", "models.detector: ", 2),
        ("VISOR__MODELS__INPUT", "wide", "models.input (VISOR__MODELS__INPUT): ", 2),
    ] {
        let (code, told) = run_demo(&["--seconds", "1", "--source", "test:"], &[(variable, value)]);
        assert!(code == status && told.contains(expected), "{variable}: {code}: {told}");
    }
}

#[test]
fn a_demo_of_a_camera_that_is_not_there_fails() {
    let Some((status, told)) = demo(&["--seconds", "2", "--source", "rtsp://127.0.0.1:9/"]) else { return };
    assert!(status == 69 && told.contains("not a picture came from rtsp://127.0.0.1:9/"), "{status}: {told}");
    let Some((status, told)) = demo(&["--source", "test:foo"]) else { return };
    assert!(status == 2 && told.contains("pinwheel"), "{status}: {told}");
    let Some((status, told)) = demo(&["--json", "--source", "test:?size=320x240&frames=20"]) else { return };
    assert_eq!(status, 0, "{told}");
}
