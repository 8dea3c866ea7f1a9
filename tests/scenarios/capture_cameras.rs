//! The capture child on real RTSP, served by the simulated camera.
#![cfg(feature = "media")]

use std::collections::{BTreeSet, VecDeque};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use visor::frame::ClockSource;
use visor::geometry::Size;
use visor::restream::child::SimulatedCamera;
use visor::ring::wire::{CaptureSettings, FailReason, Pace, Transport};

use crate::support::capture_child::{CaptureChild, Said, settings};

/// A camera whose size RTP's JPEG can say: it counts in blocks of eight pixels.
fn camera(arguments: &[&str]) -> SimulatedCamera {
    let always = ["--mount", "front=test:smpte", "--size", "320x176", "--fps", "15"];
    SimulatedCamera::start(Path::new(env!("CARGO_BIN_EXE_visor")), &[&always, arguments].concat()).unwrap()
}

fn at(url: &str) -> CaptureSettings {
    settings(url, Pace::Live)
}

/// A user's address: that of the mount with these credentials.
fn with_credentials(camera: &SimulatedCamera, credentials: &str) -> CaptureSettings {
    at(&camera.url("front").unwrap().replace("rtsp://", &format!("rtsp://{credentials}@")))
}

#[test]
fn each_codec_comes_over_tcp_and_udp() {
    for codec in ["h264", "h265", "mjpeg"] {
        let camera = camera(&["--codec", codec]);
        for transport in [Transport::Tcp, Transport::Udp] {
            let mut child = CaptureChild::start(CaptureSettings { transport, ..at(camera.url("front").unwrap()) });
            let info = child.opened();
            let case = format!("{codec} over {transport:?}: {info:?}");
            assert_eq!((info.size, info.live), (Size::new(320, 176), true), "{case}");
            assert_eq!(info.codec.as_str(), if codec == "mjpeg" { "jpeg" } else { codec }, "{case}");
            let mut last = None;
            for _ in 0..10 {
                let shot = child.frame();
                assert!(shot.luma(0.05, 0.1) > 150 && shot.luma(0.95, 0.1) < 60, "{case}: a wrong picture");
                assert!(last < Some(shot.header.pts_ns), "{case}: time stood still");
                last = Some(shot.header.pts_ns);
                assert!(shot.header.decode_ns.is_some(), "{case}");
            }
            child.stop();
            assert!(child.ended_within(Duration::from_secs(5)).is_some(), "{case}: it stays after stop");
        }
    }
}

#[test]
fn a_camera_s_pictures_are_the_same_whether_the_decoder_writes_them_into_the_ring_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("clip.mp4");
    // of such a height the last macroblocks are seen in part, and each picture is predicted from the one before
    let text = format!(
        "videotestsrc num-buffers=20 pattern=ball ! video/x-raw,format=I420,width=320,height=180 ! \
         x264enc tune=zerolatency ! qtmux ! filesink location={}",
        clip.display()
    );
    let made = Command::new("gst-launch-1.0").arg("-q").args(text.split_whitespace()).status();
    assert!(made.is_ok_and(|status| status.success()), "gst-launch-1.0 makes no clip");
    let mount = format!("ball={}", clip.display());
    let camera = SimulatedCamera::start(Path::new(env!("CARGO_BIN_EXE_visor")), &["--mount", &mount]).unwrap();
    let copied =
        include_str!("../../pipelines/frames.launch").replace("appsink", "identity drop-allocation=true ! appsink");
    std::fs::write(folder.path().join("frames.launch"), copied).unwrap();
    let pictures = |pipelines: Option<&Path>| -> BTreeSet<Vec<u8>> {
        let pipelines = pipelines.map(Path::to_owned);
        let mut child = CaptureChild::start(CaptureSettings { pipelines, ..at(camera.url("ball").unwrap()) }).slots(8);
        child.opened();
        // the clip twice over, some of it held while the child goes on
        let mut held = VecDeque::new();
        let mut seen = BTreeSet::new();
        for _ in 0..40 {
            let shot = child.frame();
            seen.insert(shot.bytes());
            held.push_back((shot.bytes(), shot));
            if held.len() > 3 {
                let (then, shot) = held.pop_front().unwrap();
                assert!(shot.bytes() == then, "a picture changed while it was held");
            }
        }
        seen
    };
    let (in_place, copied) = (pictures(None), pictures(Some(folder.path())));
    assert_eq!((in_place.len(), copied.len()), (20, 20));
    assert!(in_place == copied, "pictures differ");
}

#[test]
fn pictures_that_travel_out_of_order_keep_their_times() {
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("clip.mkv");
    // each picture comes up to three tenths of a second later than its time says
    let text = format!(
        "videotestsrc num-buffers=60 ! video/x-raw,format=I420,width=160,height=120,framerate=10/1 ! x264enc bframes=3 \
         b-adapt=false b-pyramid=true key-int-max=20 ! h264parse ! matroskamux ! filesink location={}",
        clip.display()
    );
    if !Command::new("gst-launch-1.0").arg("-q").args(text.split_whitespace()).status().is_ok_and(|made| made.success())
    {
        eprintln!("skipped: gst-launch-1.0 or an encoder is not installed");
        return;
    }
    let mount = format!("late={}", clip.display());
    let camera = camera(&["--mount", &mount]);
    for transport in [Transport::Tcp, Transport::Udp] {
        let mut child = CaptureChild::start(CaptureSettings { transport, ..at(camera.url("late").unwrap()) });
        // the camera's clock is still being told from the way's delays
        (0..20).for_each(|_| drop(child.frame()));
        let times: Vec<_> = (0..40).map(|_| child.frame().header.pts_ns).collect();
        let steps = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0]) / 1_000_000);
        let uneven: Vec<_> = steps.filter(|ms| !(80..=120).contains(ms)).collect();
        assert!(uneven.len() <= 8, "{transport:?}: not a tenth of a second from picture to picture: {uneven:?}");
    }
}

#[test]
fn the_cameras_own_clock_is_used_once_it_is_known() {
    let camera = camera(&["--codec", "h264"]);
    let mut child = CaptureChild::start(at(camera.url("front").unwrap()));
    let began = Instant::now();
    let shot = loop {
        let shot = child.frame();
        if shot.header.clock == ClockSource::Rtcp {
            break shot;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "no sender report was understood");
    };
    eprintln!("the first frame with the camera's clock came after {:?}", began.elapsed());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let age = now.abs_diff(Duration::from_nanos(shot.header.captured_unix_ns));
    assert!(age < Duration::from_secs(5), "both clocks are this machine's, but they differ by {age:?}");
}

#[test]
fn a_password_opens_and_a_wrong_one_is_refused_unsaid() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "ge@heim\n").unwrap();
    for scheme in ["digest", "basic"] {
        let password = ["--user", "anna", "--password-file", file.to_str().unwrap(), "--scheme", scheme];
        let camera = camera(&[&["--codec", "mjpeg"], &password[..]].concat());
        drop(CaptureChild::start(with_credentials(&camera, "anna:ge%40heim")).frame());
        for credentials in ["anna:falsch", "berta:ge%40heim"] {
            let mut child = CaptureChild::start(with_credentials(&camera, credentials));
            let (reason, text) = child.failure();
            assert_eq!(reason, FailReason::Unauthorised, "{scheme}, {credentials}: {text}");
            assert!(["anna", "berta", "falsch", "heim"].iter().all(|secret| !text.contains(secret)), "{text}");
        }
        let (reason, text) = CaptureChild::start(at(camera.url("front").unwrap())).failure();
        assert_eq!(reason, FailReason::Unauthorised, "{scheme}, no user: {text}");
    }
}

#[test]
fn what_cannot_be_reached_is_told_apart() {
    let camera = camera(&["--codec", "mjpeg"]);
    let missing = camera.url("front").unwrap().replace("front", "nowhere");
    let (reason, text) = CaptureChild::start(at(&missing)).failure();
    assert_eq!(reason, FailReason::NotFound, "{text}");
    // a port that nobody listens at any more
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for scheme in ["rtsp", "http"] {
        let (reason, text) = CaptureChild::start(at(&format!("{scheme}://{closed}/"))).failure();
        assert_eq!(reason, FailReason::Unreachable, "{scheme}: {text}");
    }
    // one that takes the connection and never answers
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rtsp://{}/", silent.local_addr().unwrap());
    let settings = CaptureSettings { connect_timeout: Duration::from_secs(1), ..at(&url) };
    let began = Instant::now();
    let (reason, text) = CaptureChild::start(settings).failure();
    assert_eq!(reason, FailReason::Timeout, "{text}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn a_camera_that_never_answers_does_not_keep_the_child() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut child = CaptureChild::start(at(&format!("rtsp://{}/", silent.local_addr().unwrap())));
    let _connected = silent.accept().unwrap();
    child.stop();
    let asked = Instant::now();
    let status = child.ended_within(Duration::from_secs(4)).expect("it waits for the camera");
    eprintln!("ended {:?} after stop", asked.elapsed());
    assert!(status.success(), "{status}");
}

#[test]
fn what_a_web_camera_refuses_is_told_apart() {
    let check = |answer: &'static str, expected| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://anna:geheim@{}/video.mjpg", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let _ = stream.read(&mut [0; 4096]);
                let head = "Content-Length: 0\r\nConnection: close\r\nWWW-Authenticate: Basic realm=\"x\"";
                let _ = write!(stream, "HTTP/1.1 {answer}\r\n{head}\r\n\r\n");
            }
        });
        let (reason, text) = CaptureChild::start(at(&url)).failure();
        assert_eq!(reason, expected, "{answer}: {text}");
        assert!(!text.contains("anna") && !text.contains("geheim"), "{text}");
    };
    check("401 Unauthorized", FailReason::Unauthorised);
    check("403 Forbidden", FailReason::Unauthorised);
    check("404 Not Found", FailReason::NotFound);
    check("503 Service Unavailable", FailReason::Unreachable);
}

#[test]
fn a_camera_that_goes_away_is_a_failure() {
    let camera = camera(&["--codec", "mjpeg"]);
    let mut child = CaptureChild::start(at(camera.url("front").unwrap()));
    drop(child.frame());
    drop(camera);
    let (reason, text) = child.failure();
    assert_eq!(reason, FailReason::Unreachable, "{text}");
}

#[test]
fn a_camera_that_changes_its_size_is_followed() {
    let sizes = ["--mount", "front=test:smpte", "--codec", "h264", "--sizes", "320x180,640x360", "--every", "1s"];
    let camera = SimulatedCamera::start(Path::new(env!("CARGO_BIN_EXE_visor")), &sizes).unwrap();
    let mut child = CaptureChild::start(at(camera.url("front").unwrap()));
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let shot = child.frame();
        if seen.last() != Some(&shot.layout().size) {
            seen.push(shot.layout().size);
        }
    }
    assert!(seen[0] != seen[1] && seen[0] == seen[2], "{seen:?}");
}

/// Serves one JPEG again and again, as web cameras do.
fn serve_jpeg(listener: &TcpListener, jpeg: &[u8]) -> std::io::Result<()> {
    let (mut stream, _) = listener.accept()?;
    let mut request = [0; 4096];
    let _ = stream.read(&mut request)?;
    stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n")?;
    loop {
        let head = format!("--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len());
        stream.write_all(head.as_bytes())?;
        stream.write_all(jpeg)?;
        stream.write_all(b"\r\n")?;
        std::thread::park_timeout(Duration::from_millis(40));
    }
}

#[test]
fn motion_jpeg_comes_over_http() {
    let mut jpeg = Vec::new();
    let grey = image::GrayImage::from_fn(200, 100, |x, _| image::Luma([if x < 100 { 250 } else { 5 }]));
    grey.write_to(&mut std::io::Cursor::new(&mut jpeg), image::ImageFormat::Jpeg).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/video.mjpg", listener.local_addr().unwrap());
    std::thread::spawn(move || serve_jpeg(&listener, &jpeg));
    let mut child = CaptureChild::start(at(&url));
    let info = child.opened();
    assert_eq!((info.codec.as_str(), info.size, info.live), ("jpeg", Size::new(200, 100), true));
    for _ in 0..5 {
        let shot = child.frame();
        assert!(shot.luma(0.1, 0.5) > 240 && shot.luma(0.9, 0.5) < 15);
        assert_eq!(shot.header.clock, ClockSource::Arrival);
    }
    assert!(matches!(child.next(), Said::Frame(_)));
}
