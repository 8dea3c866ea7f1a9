//! `visor track` on videos whose identities are known, through decoder, detector and tracker. Skipped, aloud, without
//! assets or models.
#![cfg(feature = "media")]

use assert_cmd::Command;

use super::detect::media;
use super::support::daemon::sample;
use super::support::mot::{self, Score};

/// Tracks a sequence as a user would and scores what is printed.
fn score(sequence: &str) -> Option<Score> {
    let folder = media(&format!("tracking/{sequence}"))?;
    let video = folder.join(format!("{sequence}.mp4"));
    let output = Command::cargo_bin("visor").unwrap().arg("track").arg(video).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let truth = std::fs::read_to_string(folder.join("gt/gt.txt")).unwrap();
    let given = String::from_utf8(output.stdout).unwrap();
    Some(mot::score(&mot::read(&truth, true), &mot::read(&given, false)))
}

#[test]
fn five_heads_that_cross_keep_their_names() {
    let Some(score) = score("synth_cross5") else { return };
    assert!(score.idf1() >= 90.0, "IDF1 {}", score.idf1());
    assert!(score.switches <= 1, "but for the one who is away for longer than a track is kept: {}", score.switches);
}

#[test]
fn a_video_call_that_rearranges_its_faces_keeps_their_names() {
    let Some(score) = score("synth_grid4") else { return };
    assert!(score.idf1() >= 95.0, "IDF1 {}", score.idf1());
    assert_eq!(score.switches, 0, "one camera goes off and on, then all change places");
}

#[test]
fn what_is_wrong_shows_in_the_exit_status() {
    if sample().is_none() {
        return;
    }
    let cases: [(&[&str], i32, &str); 6] = [
        (&["/dev/video987"], 69, "/dev/video987"),
        (&["rtsp://127.0.0.1:9/none"], 69, "cannot be reached"),
        (&["/nonexistent.mp4"], 1, "no such stream, file or device"),
        (&["test:foo"], 2, "pinwheel"),
        (&["test:?frames=2", "--model", "nope"], 2, "nope"),
        (&["test:?frames=2", "--input", "7x7"], 2, "7x7"),
    ];
    for (arguments, status, told) in cases {
        let output = Command::cargo_bin("visor").unwrap().arg("track").args(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        // Where the default model could not be had, that is said before anything else is looked at.
        if output.status.code() == Some(69) && errors.contains("visor models pull") {
            eprintln!("skipped: no model to look with, {arguments:?}");
            continue;
        }
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {errors}");
        assert!(errors.contains(told), "{arguments:?}: {errors}");
    }
}
