//! The capture child as a real process, on pictures that it makes itself and on files.
#![cfg(feature = "media")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use visor::frame::{ClockSource, ColourMatrix, ColourRange, PixelFormat};
use visor::geometry::Size;
use visor::ring::wire::{CaptureSettings, FailReason, Pace, Rotate};

use crate::support::capture_child::{CaptureChild, Said, Shot, assets, file, settings};
use crate::support::wait::eventually;

#[test]
fn a_test_picture_arrives_whole_and_in_order() {
    let mut child = CaptureChild::start(settings("test:?size=1281x721&frames=50", Pace::Fast));
    let info = child.opened();
    assert_eq!((info.size, info.codec.as_str(), info.live), (Size::new(1281, 721), "raw", false));
    let mut last = None;
    let frames = child.play(|shot| {
        assert_eq!((shot.layout().size, shot.layout().pixel), (Size::new(1281, 721), PixelFormat::I420));
        assert_eq!(shot.header.clock, ClockSource::Media);
        assert!(last < Some(shot.header.pts_ns), "time stood still at {last:?}");
        last = Some(shot.header.pts_ns);
    });
    assert_eq!(frames, 50, "a file's frames are never dropped");
    assert_eq!(last, Some(49 * 1_000_000_000 / 30));
}

#[test]
fn what_is_not_planar_420_is_converted() {
    for (format, expected) in [("YUY2", PixelFormat::I420), ("RGB", PixelFormat::I420), ("NV12", PixelFormat::Nv12)] {
        let uri = format!("test:?size=320x240&frames=2&format={format}");
        let mut child = CaptureChild::start(settings(uri, Pace::Fast));
        let frames = child.play(|shot| {
            assert_eq!(shot.layout().pixel, expected, "{format}");
            assert!(shot.luma(0.02, 0.1) > 150 && shot.luma(0.98, 0.1) < 60, "{format}: grey left, blue right");
        });
        assert_eq!(frames, 2);
    }
}

#[test]
fn a_camera_without_a_free_slot_drops() {
    let mut child = CaptureChild::start(settings("test:?size=160x120&fps=60", Pace::Live)).slots(3);
    let held = [child.frame(), child.frame(), child.frame()];
    assert_eq!(held[2].header.clock, ClockSource::Arrival);
    // nothing can come while all slots are held: the next picture was taken after this
    let began = Instant::now();
    let waited = eventually("two frames' time to pass", || Some(began.elapsed()).filter(|t| t.as_millis() > 100));
    drop(held);
    let next = child.frame();
    assert!(next.header.dropped_total > 0, "nothing was dropped in {waited:?}");
}

#[test]
fn a_file_in_real_time_takes_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = made(folder.path(), "x264enc tune=zerolatency ! qtmux") else { return };
    let mut child = CaptureChild::start(CaptureSettings { pace: Pace::Realtime, ..file(&path) });
    let first = child.frame().header.arrived_ns;
    let mut last = first;
    child.play(|shot| last = shot.header.arrived_ns);
    let took = Duration::from_nanos(last - first);
    assert!(took > Duration::from_millis(500), "two thirds of a second went by in {took:?}");
}

#[test]
fn a_file_in_real_time_waits_for_a_free_slot() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = made(folder.path(), "x264enc tune=zerolatency ! qtmux") else { return };
    let frames = CaptureChild::start(file(&path)).play(|_| {});
    let mut child = CaptureChild::start(CaptureSettings { pace: Pace::Realtime, ..file(&path) }).slots(3);
    let held = [child.frame(), child.frame(), child.frame()];
    let began = Instant::now();
    eventually("several frames' time to pass", || Some(began.elapsed()).filter(|t| t.as_millis() > 200));
    drop(held);
    let mut dropped = 0;
    let rest = child.play(|shot| dropped = shot.header.dropped_total);
    assert_eq!((3 + rest, dropped), (frames, 0));
}

#[test]
fn pictures_are_the_same_whether_written_in_place_or_copied() {
    let folder = tempfile::tempdir().unwrap();
    // of these heights one is whole macroblocks and one is not, which decoders treat differently
    for height in [176, 180] {
        let tail = format!("videocrop bottom={} ! x264enc tune=zerolatency ! qtmux", 180 - height);
        let Some(path) = made(folder.path(), &tail) else { return };
        let in_place = pictures(file(&path));
        let text =
            include_str!("../../pipelines/frames.launch").replace("appsink", "identity drop-allocation=true ! appsink");
        std::fs::write(folder.path().join("frames.launch"), text).unwrap();
        let copied = pictures(CaptureSettings { pipelines: Some(folder.path().to_owned()), ..file(&path) });
        assert_eq!((in_place.len(), copied.len()), (20, 20));
        assert!(in_place == copied, "pictures of {height} rows differ");
    }
}

/// The pictures of a file, some of them held while the child goes on.
fn pictures(settings: CaptureSettings) -> Vec<Vec<u8>> {
    let mut child = CaptureChild::start(settings).slots(6);
    let held: Vec<(Shot, Vec<u8>)> = std::iter::repeat_with(|| child.frame())
        .take(3)
        .map(|shot| {
            let bytes = shot.bytes();
            (shot, bytes)
        })
        .collect();
    let mut all: Vec<Vec<u8>> = held.iter().map(|(_, bytes)| bytes.clone()).collect();
    child.play(|shot| all.push(shot.bytes()));
    assert!(held.iter().all(|(shot, then)| shot.bytes() == *then), "a picture changed while it was held");
    all
}

#[test]
fn a_folder_replaces_pipeline_texts() {
    let folder = tempfile::tempdir().unwrap();
    let with = |text: &str| {
        std::fs::write(folder.path().join("test.launch"), text).unwrap();
        let pipelines = Some(folder.path().to_owned());
        CaptureChild::start(CaptureSettings { pipelines, ..settings("test:?frames=50", Pace::Fast) })
    };
    let mut child = with("# mine\nvideotestsrc name=source num-buffers=3 is-live={live} ! capsfilter name=streams");
    assert_eq!(child.play(|_| {}), 3);
    for (text, named) in [("nonsense ! more", "nonsense"), ("videotestsrc num-buffers={many}", "{many}")] {
        let (reason, said) = with(text).failure();
        assert_eq!(reason, FailReason::Unsupported, "{said}");
        assert!(said.contains(named), "{said}");
    }
}

#[test]
fn stop_and_a_brain_that_is_gone_end_the_child() {
    let mut child = CaptureChild::start(settings("test:", Pace::Live));
    drop(child.frame());
    child.stop();
    let status = child.ended_within(Duration::from_secs(5)).expect("it stays after stop");
    assert!(status.success(), "{status}");

    let mut child = CaptureChild::start(settings("test:", Pace::Live));
    drop(child.frame());
    let mut orphan = child.abandon();
    assert!(orphan.ended_within(Duration::from_secs(5)).is_some(), "it outlives the brain");
}

#[test]
fn a_wrong_address_is_named_without_its_content() {
    for uri in ["ftp://anna:geheim@camera/", "rtsp:///geheim", "test:?size=geheim", "v4l2:///etc/geheim"] {
        let (reason, text) = CaptureChild::start(settings(uri, Pace::Live)).failure();
        assert_eq!(reason, FailReason::Unsupported, "{text}");
        assert!(!text.contains("geheim"), "{text}");
    }
    let (reason, text) = CaptureChild::start(settings("v4l2:///dev/video99", Pace::Live)).failure();
    assert_eq!(reason, FailReason::NotFound, "{text}");
}

/// Plays a file that is sound and gives its codec, size and number of frames.
fn play(path: &Path) -> (String, Size, u64) {
    let mut child = CaptureChild::start(file(path));
    let info = child.opened();
    let mut last = None;
    let frames = child.play(|shot| {
        assert_eq!(shot.layout().size, info.size);
        assert!(last < Some(shot.header.pts_ns), "{}: time stood still at {last:?}", path.display());
        last = Some(shot.header.pts_ns);
    });
    (info.codec.to_string(), info.size, frames)
}

#[test]
fn every_kind_of_file_gives_each_of_its_frames() {
    let Some(assets) = assets() else { return };
    let check = |name: &str, codec: &str, size, frames| {
        assert_eq!(play(&assets.join("media").join(name)), (codec.to_owned(), size, frames), "{name}");
    };
    check("video/real/people-detection.mp4", "h264", Size::new(480, 270), 23);
    check("video/real/facenet_video.mp4", "h264", Size::new(1920, 1080), 105);
    check("video/real/faceapi_test_video.mp4", "h264", Size::new(820, 460), 5);
    check("video/mot/MOT17-13-SDP-raw.h265", "h265", Size::new(960, 540), 750);
    check("odd/gen/mjpeg.avi", "jpeg", Size::new(480, 270), 62);
    check("odd/gen/odd_dims_yuv444.mp4", "h264", Size::new(479, 269), 62);
    check("odd/gen/single_frame.mp4", "h264", Size::new(480, 270), 1);
}

#[test]
fn jpeg_is_full_range() {
    let Some(assets) = assets() else { return };
    let mut child = CaptureChild::start(file(&assets.join("media/odd/gen/mjpeg.avi")));
    let colour = child.frame().layout().colour;
    assert_eq!((colour.matrix, colour.range), (ColourMatrix::Bt601, ColourRange::Full));
}

/// A clip made by gst-launch: `tail` follows the test picture. `None`, aloud, where that cannot be done here.
fn made(folder: &Path, tail: &str) -> Option<PathBuf> {
    let path = folder.join("clip");
    let text = format!("videotestsrc num-buffers=20 ! video/x-raw,format=I420,width=320,height=180 ! {tail}");
    let text = format!("{text} ! filesink location={}", path.display());
    let made = Command::new("gst-launch-1.0").arg("-q").args(text.split_whitespace()).status();
    if made.is_ok_and(|status| status.success()) {
        return Some(path);
    }
    eprintln!("skipped: gst-launch-1.0 or an encoder is not installed");
    None
}

/// Where, in fractions of the upright picture, the test picture's grey bar and its blue bar are to be found.
fn check_turned(path: &Path, rotate: Rotate, size: Size, grey: (f64, f64), blue: (f64, f64)) {
    let mut child = CaptureChild::start(CaptureSettings { rotate, ..file(path) });
    let frames = child.play(|shot| {
        assert_eq!(shot.layout().size, size, "{rotate:?}");
        let (grey, blue) = (shot.luma(grey.0, grey.1), shot.luma(blue.0, blue.1));
        assert!(grey > 150 && blue < 60, "{rotate:?}: grey is {grey}, blue is {blue}");
    });
    assert_eq!(frames, 20);
}

/// The same MP4 file, saying that its pictures are to be shown turned right by 90°, as telephones do.
fn turned_right(mut mp4: Vec<u8>) -> Vec<u8> {
    // the matrix in the track header, whose version 0 has 40 bytes in front of it (ISO/IEC 14496-12, 8.3.2)
    let matrix = [0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30].map(i32::to_be_bytes).concat();
    let header = mp4.windows(4).position(|bytes| bytes == b"tkhd").unwrap();
    mp4[header + 44..][..matrix.len()].copy_from_slice(&matrix);
    mp4
}

#[test]
fn pictures_are_turned_upright() {
    let folder = tempfile::tempdir().unwrap();
    let Some(plain) = made(folder.path(), "x264enc tune=zerolatency ! video/x-h264,profile=main ! qtmux") else {
        return;
    };
    let (wide, tall) = (Size::new(320, 180), Size::new(180, 320));
    check_turned(&plain, Rotate::Auto, wide, (0.05, 0.1), (0.95, 0.1));
    check_turned(&plain, Rotate::Cw90, tall, (0.9, 0.05), (0.9, 0.95));
    check_turned(&plain, Rotate::Cw180, wide, (0.95, 0.9), (0.05, 0.9));
    check_turned(&plain, Rotate::Cw270, tall, (0.1, 0.95), (0.1, 0.05));
    let tagged = folder.path().join("tagged");
    std::fs::write(&tagged, turned_right(std::fs::read(&plain).unwrap())).unwrap();
    check_turned(&tagged, Rotate::Auto, tall, (0.9, 0.05), (0.9, 0.95));
    check_turned(&tagged, Rotate::None, wide, (0.05, 0.1), (0.95, 0.1));
}

#[test]
fn a_stream_that_lost_its_first_keyframe_begins_with_the_second() {
    let folder = tempfile::tempdir().unwrap();
    let encoder = "x264enc tune=zerolatency key-int-max=10 ! video/x-h264,profile=main,stream-format=byte-stream \
                   ! h264parse config-interval=-1";
    let Some(path) = made(folder.path(), encoder) else { return };
    let whole = std::fs::read(&path).unwrap();
    // from the second picture on; each begins with an access unit delimiter
    let delimiter = [0, 0, 0, 1, 9];
    let second = 1 + whole[1..].windows(5).position(|bytes| bytes == delimiter).unwrap();
    std::fs::write(&path, &whole[second..]).unwrap();
    let mut child = CaptureChild::start(file(&path));
    assert_eq!(child.play(|_| {}), 10, "nine pictures without a keyframe are none");
}

#[test]
fn a_broken_picture_is_not_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let encoder = "x264enc tune=zerolatency key-int-max=5 ! video/x-h264,profile=main,stream-format=byte-stream";
    let Some(path) = made(folder.path(), encoder) else { return };
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0x5a);
    std::fs::write(&path, &bytes).unwrap();
    let mut child = CaptureChild::start(file(&path));
    let frames = child.play(|_| {});
    assert!((10..=20).contains(&frames), "{frames} of 20 frames");
}

#[test]
fn nothing_is_written() {
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("skipped: strace is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut strace = Command::new("/usr/bin/strace");
    let calls = "open,openat,openat2,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,truncate";
    strace.args(["-f", "-qq", "-e", calls, "-o"]).arg(&log).arg(env!("CARGO_BIN_EXE_visor"));
    let clip = made(folder.path(), "x264enc tune=zerolatency ! qtmux");
    let settings = clip.map_or_else(|| settings("test:?frames=20", Pace::Fast), |clip| file(&clip));
    let mut child = CaptureChild::start_as(strace, settings);
    assert_eq!(child.play(|_| {}), 20);
    child.stop();
    child.ended_within(Duration::from_secs(10)).expect("it stays after stop");
    let log = std::fs::read_to_string(&log).unwrap();
    let harmless = |line: &&str| {
        line.contains("O_RDONLY") || line.contains("\"/dev/") || line.contains("\"/proc/") || line.contains("resumed>")
    };
    let writes: Vec<_> = log.lines().filter(|line| !harmless(line)).collect();
    let done: Vec<_> = writes.iter().filter(|line| !line.contains("= -1 ")).collect();
    assert!(log.lines().count() > 50, "strace saw nothing");
    assert!(done.is_empty(), "{done:#?}");
    eprintln!("refused, not done: {writes:#?}");
}

#[test]
fn where_memory_runs_out_a_child_goes_before_the_daemon() {
    let mut child = CaptureChild::start(settings("test:", Pace::Realtime));
    child.opened();
    let score = std::fs::read_to_string(format!("/proc/{}/oom_score_adj", child.id())).unwrap();
    assert!(score.trim().parse::<i32>().unwrap() >= 500, "{score}");
}

#[test]
fn a_source_started_by_hand_says_so() {
    let output = Command::new(env!("CARGO_BIN_EXE_visor")).arg("capture").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not by hand"));
}

#[test]
fn a_size_change_in_midstream_asks_for_a_new_ring() {
    let folder = tempfile::tempdir().unwrap();
    let encoder = "x264enc tune=zerolatency ! video/x-h264,profile=main,stream-format=byte-stream";
    let Some(small) = made(folder.path(), encoder) else { return };
    let mut bytes = std::fs::read(&small).unwrap();
    let bigger = format!("videoscale ! video/x-raw,width=642,height=362 ! {encoder}");
    let Some(large) = made(folder.path(), &bigger) else { return };
    bytes.extend(std::fs::read(&large).unwrap());
    std::fs::write(&large, bytes).unwrap();
    let mut child = CaptureChild::start(file(&large));
    let mut sizes = Vec::new();
    let mut frames = 0;
    loop {
        match child.next() {
            Said::Frame(shot) => {
                sizes.push(shot.layout().size);
                frames += 1;
            }
            Said::Opened(info) => assert_eq!(info.size, Size::new(320, 180)),
            Said::EndOfStream => break,
            other => panic!("{other:?}"),
        }
    }
    sizes.dedup();
    assert_eq!(sizes, [Size::new(320, 180), Size::new(642, 362)]);
    assert_eq!((frames, child.rings()), (40, 2));
}
