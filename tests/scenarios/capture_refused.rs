//! Files that are no video: the capture child says what is wrong with them.
#![cfg(feature = "media")]

use std::path::Path;
use std::time::Duration;

use visor::ring::wire::FailReason;

use crate::support::capture_child::{CaptureChild, assets, file};

#[test]
fn a_file_that_is_no_video_is_refused_with_its_reason() {
    let check = |path: &Path, expected: &[FailReason]| {
        let mut child = CaptureChild::start(file(path));
        let (reason, text) = child.failure();
        eprintln!("{}: {reason:?}: {text}", path.display());
        assert!(expected.contains(&reason), "{}: {reason:?}: {text}", path.display());
        let status = child.ended_within(Duration::from_secs(5)).expect("it stays after failing");
        assert_eq!(status.code(), Some(1), "{status}");
    };
    check(Path::new("/nowhere.mp4"), &[FailReason::NotFound]);
    check(Path::new("/"), &[FailReason::Unreachable, FailReason::NotFound]);
    let Some(assets) = assets() else { return };
    let odd = assets.join("media/odd");
    check(&odd.join("gen/empty.mp4"), &[FailReason::Broken, FailReason::EndedEarly]);
    check(&odd.join("gen/truncated_no_moov.mp4"), &[FailReason::Broken, FailReason::EndedEarly]);
    check(&odd.join("gen/random_bytes.jpg"), &[FailReason::Broken]);
    check(&odd.join("gen/text_named.jpg"), &[FailReason::Broken, FailReason::Unsupported]);
    check(&odd.join("audio_only.m4a"), &[FailReason::Unsupported]);
}

/// Parsebin keeps an error to itself where its element is quick to have it: one time in some tens.
#[test]
fn what_is_wrong_with_a_file_is_said_every_time_and_not_that_it_took_too_long() {
    let Some(assets) = assets() else { return };
    let odd = assets.join("media/odd");
    let check = |name: &str, expected: FailReason| {
        for _ in 0..6 {
            let (reason, text) = CaptureChild::start(file(&odd.join(name))).failure();
            assert_eq!(reason, expected, "{name}: {text}");
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| check("gen/truncated_no_moov.mp4", FailReason::Broken));
            scope.spawn(|| check("audio_only.m4a", FailReason::Unsupported));
        }
    });
}
