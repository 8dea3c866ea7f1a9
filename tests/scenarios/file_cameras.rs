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
