//! A changed configuration file, without any signal.
#![cfg(feature = "media")]

use crate::support::daemon::{Daemon, checkout, models};
use crate::support::wait::eventually;

/// A picture that shows no face, from no camera.
const CAMERA: &str = "[cameras.front]\nuri = \"test:\"\nanalysis_fps = 2\n";

#[test]
fn a_changed_file_is_taken_in_and_a_wrong_one_is_named_and_left() {
    if !checkout("models/store/libonnxruntime.so").is_file() {
        eprintln!("skipped: models/store/libonnxruntime.so is missing (scripts/setup makes it)");
        return;
    }
    let config = |rest: &str| format!("[http]\nlisten = \"127.0.0.1:0\"\n{}{CAMERA}{rest}", models());
    let mut daemon = Daemon::start(&config(""));
    let file = daemon.dir.path().join("visor.toml");
    daemon.wait_ready();
    daemon.wait_for_frames("front", 1.0);

    std::fs::write(&file, config("[cameras.back]\nurl = \"rtsp://admin:hunter2@cam\"\n")).unwrap();
    let refused = daemon.wait_for_log("configuration not reloaded; everything goes on as it was", |_| true);
    let error = refused["error"].as_str().unwrap();
    assert!(error.contains("cameras.back.uri") && error.contains("did you mean uri?"), "{error}");
    assert_eq!(daemon.get("/readyz").unwrap().0, 200);
    daemon.wait_for_frames("front", 1.0);

    std::fs::write(&file, config("[cameras.back]\nuri = \"test:\"\n")).unwrap();
    let reloaded = daemon.wait_for_log("configuration reloaded", |_| true);
    assert_eq!(reloaded["changes"], "added back");
    daemon.wait_for_frames("back", 1.0);
    assert_eq!(daemon.metric("visor_config_reloads_total", &["refused"]), 1.0);

    daemon.signal(rustix::process::Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(daemon.log().iter().all(|entry| !entry.to_string().contains("hunter2")));
}

/// A webcam that is unplugged for a year should not fill a journal.
#[test]
fn a_source_that_stays_away_is_spoken_of_once() {
    if !checkout("models/store/libonnxruntime.so").is_file() {
        eprintln!("skipped: models/store/libonnxruntime.so is missing (scripts/setup makes it)");
        return;
    }
    let daemon = Daemon::start(&format!("{}[cameras.cam]\nuri = \"v4l2:///dev/video97\"\n", models()));
    daemon.wait_ready();
    eventually("the child to be started again", || {
        (daemon.metric("visor_camera_restarts_total", &["cam"]) >= 3.0).then_some(())
    });
    let spoken_of = daemon.log().iter().filter(|entry| entry["message"] == "source lost").count();
    assert_eq!(spoken_of, 1);
}
