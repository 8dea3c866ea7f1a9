//! A source and its real capture child, which is killed and stopped.
#![cfg(feature = "media")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use visor::clock::Monotonic;
use visor::frame::Frame;
use visor::source::{Config, FilePace, Frames, Source, SourceEvent, SourceState, Spawner, Uri};

const SOON: Duration = Duration::from_secs(30);

/// A source whose child's process id can be known.
struct Watched {
    source: Source,
    folder: tempfile::TempDir,
}

fn watch(config: &Config, slots: u32) -> Watched {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("visor");
    let visor = env!("CARGO_BIN_EXE_visor");
    let script = format!("#!/bin/sh\necho $$ > {}/pid\nexec {visor} \"$@\"\n", folder.path().display());
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o700)).unwrap();
    let spawner = Spawner::start_with(&program).unwrap();
    let source = Source::new("test", config.resolve(slots).unwrap(), &spawner);
    Watched { source, folder }
}

impl Watched {
    fn pid(&self) -> i32 {
        std::fs::read_to_string(self.folder.path().join("pid")).unwrap().trim().parse().unwrap()
    }

    /// Waits for the first frame, all other events being told to `told`.
    fn frame(&mut self, mut told: impl FnMut(&SourceEvent)) -> Frame {
        let until = Monotonic::now().plus(SOON);
        loop {
            match self.source.next(until) {
                SourceEvent::Frame(frame) => return frame,
                event => told(&event),
            }
            assert!(Monotonic::now() < until, "no frame");
        }
    }
}

/// Does something to a running child, and expects the next frame of another one soon. Why the first one went.
fn check_recovery(harm: impl FnOnce(Pid)) -> String {
    let mut watched = watch(&Config::new(Uri::from("test:?size=320x240&fps=30")), 6);
    let before = watched.frame(|_| {});
    let pid = watched.pid();
    harm(Pid::from_raw(pid).unwrap());
    let harmed = Instant::now();
    let mut state = String::new();
    // frames that were under way come first
    let after = loop {
        let frame = watched.frame(|event| {
            if let SourceEvent::Changed(SourceState::Stalled { reason } | SourceState::Offline { reason, .. }) = event {
                state.clone_from(reason);
            }
        });
        if !state.is_empty() {
            break frame;
        }
        assert!(harmed.elapsed() < SOON, "nobody noticed");
    };
    eprintln!("{state}: another child's frame after {:?}", harmed.elapsed());
    assert!(after.number > before.number && after.stamp.pts > before.stamp.pts);
    assert_ne!(watched.pid(), pid);
    let process = PathBuf::from(format!("/proc/{pid}"));
    let until = Instant::now() + SOON;
    while process.exists() {
        assert!(Instant::now() < until, "the old child is still there");
        let _ = watched.frame(|_| {});
    }
    state
}

#[test]
fn a_capture_child_that_is_killed_is_replaced() {
    assert_eq!(check_recovery(|pid| kill_process(pid, Signal::KILL).unwrap()), "the capture child crashed");
}

#[test]
fn a_capture_child_that_is_stopped_is_replaced() {
    assert_eq!(check_recovery(|pid| kill_process(pid, Signal::STOP).unwrap()), "the capture child hangs");
}

#[test]
fn a_capture_child_that_takes_too_much_memory_says_so_and_is_replaced() {
    // of this one, less than it has already
    let bound = Rlimit { current: Some(4 << 20), maximum: Some(4 << 20) };
    let why = check_recovery(|pid| assert!(prlimit(Some(pid), Resource::Data, bound).is_ok()));
    assert!(why.starts_with("it takes ") && why.ends_with("MiB of memory, and may take 3"), "{why}");
}

#[test]
fn a_source_that_goes_takes_its_child_along() {
    let mut watched = watch(&Config::new(Uri::from("test:")), 6);
    watched.frame(|_| {});
    let process = PathBuf::from(format!("/proc/{}", watched.pid()));
    assert!(process.exists());
    drop(watched.source);
    let until = Instant::now() + SOON;
    while process.exists() {
        assert!(Instant::now() < until, "the child is still there");
        std::thread::yield_now();
    }
}

#[test]
fn a_file_gives_every_frame_and_ends() {
    let Some(assets) = std::env::var_os("VISOR_ASSETS") else {
        eprintln!("skipped: VISOR_ASSETS is not set");
        return;
    };
    let clip = Path::new(&assets).join("media/video/real/one-by-one-person-detection.mp4");
    let config = Config { pace: FilePace::Fast, ..Config::new(Uri::from_argument(&clip.display().to_string())) };
    let mut watched = watch(&config, 6);
    let first = watched.frame(|_| {});
    let (begun, mut frames, mut last) = (Instant::now(), 1u64, first);
    let until = Monotonic::now().plus(SOON);
    loop {
        match watched.source.next(until) {
            SourceEvent::Frame(frame) => {
                assert_eq!(frame.number, last.number + 1);
                assert!(frame.stamp.pts > last.stamp.pts);
                frames += 1;
                last = frame;
            }
            SourceEvent::Ended => break,
            event => assert!(!matches!(event, SourceEvent::Idle | SourceEvent::Changed(_)), "{event:?}"),
        }
    }
    eprintln!("{frames} frames, {} s long, in {:?}", last.stamp.pts.as_secs_f64(), begun.elapsed());
    assert!(frames > 100);
}
