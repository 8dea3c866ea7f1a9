//! `visor mask` as a user calls it, on real videos and pictures. Skipped, aloud, without assets or models.

use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;
#[cfg(feature = "media")]
use visor::{
    clock::Monotonic,
    frame::{Colorimetry, ColourMatrix, ColourRange, Layout, PixelFormat},
    geometry::Size,
    ring::ENVIRONMENT,
    ring::out::{Container, EncodeSettings, FromOutput, OutEnd, OutRing, ToOutput},
    ring::wire::Received,
};

use super::detect::media;
#[cfg(feature = "media")]
use super::support::{
    composed::{Scale, compose},
    daemon::visor,
    leaks, mot,
    wait::PATIENCE,
};

fn mask(input: &Path, output: &Path, arguments: &[&str]) -> Output {
    Command::cargo_bin("visor").unwrap().arg("mask").args([input, output]).args(arguments).output().unwrap()
}

#[cfg(feature = "media")]
fn line(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A green that no skin has, so that a mask over dark hair is seen to be one.
#[cfg(feature = "media")]
const GREEN: &str = "#00ff00";

#[cfg(feature = "media")]
fn check_sequence(name: &str) {
    let Some(folder) = media(&format!("tracking/{name}")) else { return };
    let (video, out) = (folder.join(format!("{name}.mp4")), tempfile::tempdir().unwrap());
    let masked = out.path().join("masked.mp4");
    let line = line(&mask(&video, &masked, &["--json", "--colour", GREEN]));
    let truth = mot::read(&std::fs::read_to_string(folder.join("gt/gt.txt")).unwrap(), true);
    let report = leaks::compare(&video, &masked, &truth, 24.0);
    assert_eq!(Some(report.frames as u64), line["frames"].as_u64());
    assert!(report.faces > 500 && report.leaks.is_empty(), "{:?}", report.leaks);
}

#[cfg(feature = "media")]
#[rstest::rstest]
#[case::half(Scale::Half)]
#[case::third(Scale::Third)]
fn no_face_further_away_is_to_be_seen(#[case] scale: Scale) {
    for name in ["synth_cross5", "synth_grid4"] {
        let (Some(clip), out) = (compose(name, scale), tempfile::tempdir().unwrap()) else { return };
        let masked = out.path().join("masked.mp4");
        line(&mask(&clip.video, &masked, &["--json", "--colour", GREEN]));
        let report = leaks::compare(&clip.video, &masked, &clip.truth, 24.0);
        println!("{name} {scale:?}: {} faces, {:?}", report.faces, report.leaks);
        assert!(report.faces > 500 && report.leaks.is_empty(), "{name}: {:?}", report.leaks);
    }
}

#[cfg(feature = "media")]
#[test]
fn no_face_of_five_that_cross_is_to_be_seen() {
    check_sequence("synth_cross5");
}

#[cfg(feature = "media")]
#[test]
fn no_face_of_a_video_call_is_to_be_seen() {
    check_sequence("synth_grid4");
}

/// Boxes of 32 pixels and more that another detector found in real videos.
#[cfg(feature = "media")]
#[test]
fn no_face_of_real_videos_is_to_be_seen() {
    let (mut faces, mut leaks) = (0, Vec::new());
    for name in [
        "facenet_video",
        "face-demographics-walking-and-pause",
        "head-pose-face-detection-female",
        "head-pose-face-detection-male",
    ] {
        let (Some(video), out) = (media(&format!("video/real/{name}.mp4")), tempfile::tempdir().unwrap()) else {
            return;
        };
        let Some(truth) = media(&format!("tracking/pseudo_gt/{name}.gt.txt")) else { return };
        let masked = out.path().join("masked.mp4");
        line(&mask(&video, &masked, &["--json", "--colour", GREEN]));
        let report = leaks::compare(&video, &masked, &mot::read(&std::fs::read_to_string(truth).unwrap(), true), 32.0);
        println!("{name}: {} frames, {} faces, {:?}", report.frames, report.faces, report.leaks);
        faces += report.faces;
        leaks.extend(report.leaks);
    }
    assert!(faces > 500 && leaks.len() * 1000 <= faces, "{} of {faces}: {leaks:?}", leaks.len());
}

/// Many frames are looked at, at once, and all that are looked ahead to wait for them.
#[cfg(feature = "media")]
#[test]
fn no_frame_is_covered_on_a_machine_of_many_cores() {
    let (Some(folder), out) = (media("tracking/synth_grid4"), tempfile::tempdir().unwrap()) else { return };
    let mut visor = Command::cargo_bin("visor").unwrap();
    let video = [folder.join("synth_grid4.mp4"), out.path().join("masked.mp4")];
    let output = visor.env("VISOR__MODELS__SESSIONS", "24").arg("mask").args(video).arg("--json").output().unwrap();
    assert_eq!(line(&output)["frames"], 200);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "it would say what is covered");
}

#[cfg(feature = "media")]
#[test]
fn sound_is_dropped_unless_it_is_asked_for() {
    let Some(video) = media("video/real/facenet_video.mp4") else { return };
    let out = tempfile::tempdir().unwrap();
    let clip = out.path().join("clip.mp4");
    let cut = ["-v", "error", "-t", "1", "-i"];
    let made = std::process::Command::new("ffmpeg").args(cut).arg(&video).args(["-c", "copy"]).arg(&clip).status();
    if !made.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: no ffmpeg to cut a clip with");
    }
    let streams = |file: &str, arguments: &[&str]| {
        let file = out.path().join(file);
        let masked = mask(&clip, &file, arguments);
        assert!(masked.status.success(), "{}", String::from_utf8_lossy(&masked.stderr));
        let probe = ["-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0"];
        let probed = std::process::Command::new("ffprobe").args(probe).arg(&file).output().unwrap();
        let mut kinds: Vec<_> = String::from_utf8(probed.stdout).unwrap().lines().map(str::to_owned).collect();
        kinds.sort();
        kinds
    };
    assert_eq!(streams("quiet.mp4", &[]), ["video"]);
    assert_eq!(streams("loud.mp4", &["--audio", "keep"]), ["audio", "video"]);
    assert_eq!(streams("loud.mkv", &["--audio", "keep"]), ["audio", "video"]);
    let mute = mask(&out.path().join("quiet.mp4"), &out.path().join("mute.mkv"), &["--audio", "keep"]);
    assert!(!mute.status.success(), "sound that is not there cannot be kept");
    let said = String::from_utf8_lossy(&mute.stderr).into_owned();
    assert!(said.contains("there is none"), "{said}");
}

/// A video of ten frames of this size, as `ffv1` can hold any.
#[cfg(feature = "media")]
fn tiny(path: &Path, (width, height): (usize, usize)) -> bool {
    let raw = path.with_extension("raw");
    std::fs::write(&raw, vec![100; 3 * width * height * 10]).unwrap();
    let size = format!("{width}x{height}");
    let mut ffmpeg = std::process::Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", &size, "-r", "10", "-i"]).arg(raw);
    ffmpeg.args(["-c:v", "ffv1"]).arg(path).status().is_ok_and(|status| status.success())
}

#[cfg(feature = "media")]
#[test]
fn a_video_that_is_too_small_for_its_file_is_told_as_such() {
    // models are needed, as for the others
    if media("video").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let sizes = [(1, 1), (2, 1), (3, 3), (15, 40), (16, 16)].map(|size| (size, "mp4"));
    for ((width, height), kind) in sizes.into_iter().chain([((1, 1), "mkv"), ((2, 2), "mkv")]) {
        let input = folder.path().join(format!("{width}x{height}.mkv"));
        let output = input.with_extension(format!("masked.{kind}"));
        if !tiny(&input, (width, height)) {
            return eprintln!("skipped: no ffmpeg to make a clip with");
        }
        let masked = mask(&input, &output, &[]);
        let said = String::from_utf8_lossy(&masked.stderr).into_owned();
        let fits = kind == "mkv" || width >= 16;
        assert_eq!((masked.status.success(), output.exists()), (fits, fits), "{width}x{height} {kind}: {said}");
        assert!(fits || said.contains("write it to a file that ends in .mkv"), "{said}");
    }
}

/// Has the child that encodes write `count` pictures, made by `paint`, to `out`; what it says in the end.
#[cfg(feature = "media")]
fn encode(out: std::fs::File, size: Size, count: u64, paint: &mut dyn FnMut(&mut [u8])) -> FromOutput {
    let (channel, theirs) = OutEnd::pair().unwrap();
    let mut encoder = std::process::Command::new(visor());
    encoder.arg("encode").env_clear().envs(ENVIRONMENT.iter().copied()).stdin(theirs.into_fd()).stdout(out);
    let mut child = encoder.spawn().unwrap();
    let settings = EncodeSettings { container: Container::Mkv, fps: Some(25.0) };
    channel.send(&ToOutput::Encode(settings), None).unwrap();
    let colour = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Limited };
    let layout = Layout::packed(size, PixelFormat::I420, colour);
    let mut ring = OutRing::create(1, &layout, 4).unwrap();
    channel.send(&ring.offer(), Some(ring.fd())).unwrap();
    let mut frames = (0..count).map(|number| number * 40_000_000);
    let (deadline, mut released) = (Monotonic::now().plus(PATIENCE), 0);
    let said = loop {
        while let Some(mut slot) = ring.slot() {
            let Some(at) = frames.next() else { break };
            paint(slot.as_mut());
            // it may end at any time
            let _ = channel.send(&slot.announce(&layout, at), None);
        }
        match channel.recv(deadline) {
            Received::Message { msg: FromOutput::Release { ring: of, slot }, .. } => {
                ring.released(of, slot);
                released += 1;
                if released == count {
                    channel.send(&ToOutput::End, None).unwrap();
                }
            }
            Received::Message { msg: said @ (FromOutput::Failed { .. } | FromOutput::Done), .. } => break said,
            _ => panic!("it says nothing in the end"),
        }
    };
    child.wait().unwrap();
    said
}

#[cfg(feature = "media")]
#[test]
fn an_encoder_that_cannot_write_says_so_and_keeps_nobody_waiting() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let FromOutput::Failed { text } = encode(full, Size::new(64, 48), u64::MAX, &mut |_| {}) else {
        panic!("it says nothing of a file that takes nothing")
    };
    assert!(text.as_str().contains("cannot encode"), "{}", text.as_str());
    eprintln!("{}", text.as_str());
}

/// An encoder that is to keep to a bit rate would spoil what is large or restless.
#[cfg(feature = "media")]
#[test]
fn a_picture_gets_the_bits_that_it_needs() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut noise = 1_u32;
    let mut paint = |picture: &mut [u8]| {
        for byte in picture {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (noise >> 24) as u8;
        }
    };
    let said = encode(file.reopen().unwrap(), Size::new(640, 480), 25, &mut paint);
    assert_eq!(said, FromOutput::Done);
    let bits = file.as_file().metadata().unwrap().len() * 8;
    assert!(bits > 20_000_000, "{bits} bits for a second of noise");
}

#[test]
fn a_folder_of_pictures_is_masked_without_their_metadata() {
    let Some(photo) = media("odd/gen/exif_orientation6_8faces.jpg") else { return };
    let has_exif = |bytes: &[u8]| bytes.windows(4).any(|four| four == b"Exif");
    assert!(has_exif(&std::fs::read(&photo).unwrap()), "the test needs a picture with metadata");
    let (input, output) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::copy(&photo, input.path().join("photo.jpg")).unwrap();
    std::fs::write(input.path().join("notes.txt"), "no picture").unwrap();
    let done = mask(input.path(), &output.path().join("new"), &["--json"]);
    assert_eq!(done.status.code(), Some(1), "one of the two cannot be masked");
    let written: Value = serde_json::from_slice(&done.stdout).unwrap();
    let keys: Vec<_> = written.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["faces", "file", "fps", "frames", "seconds"]);
    assert_eq!(written["faces"], 8);
    assert!(!has_exif(&std::fs::read(output.path().join("new/photo.jpg")).unwrap()), "metadata went along");
    let names: Vec<_> = std::fs::read_dir(output.path().join("new")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["photo.jpg"], "nothing half-made is left");
}

#[test]
fn what_is_there_already_is_not_replaced_unasked() {
    let Some(photo) = media("odd/gen/gray_8faces.jpg") else { return };
    let out = tempfile::tempdir().unwrap();
    let target = out.path().join("there.png");
    std::fs::write(&target, "mine").unwrap();
    let refused = mask(&photo, &target, &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--overwrite"));
    assert_eq!(std::fs::read(&target).unwrap(), b"mine");
    assert!(mask(&photo, &target, &["--overwrite"]).status.success());
    assert!(std::fs::read(&target).unwrap().starts_with(b"\x89PNG"));
}
