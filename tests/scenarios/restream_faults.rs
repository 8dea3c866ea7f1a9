//! What becomes of masked video when its child, an encoder or a player fails.
#![cfg(feature = "media")]

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rstest::rstest;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use visor::sink::restream::{CameraConfig, Mount, Restream};

use super::support::daemon::checkout;
use super::support::film::Film;
use super::support::player::{SIZE, alone, metric, mount, open_to_all, play, serve, there_is_one, try_to_play};
use super::support::rtsp::Client;
use super::support::wait::eventually;

/// How soon after a fault players can watch again.
const BACK: Duration = Duration::from_secs(3);

/// What taking a frame over may cost the camera's thread, on a machine with much else to do. A child that is stopped stays so
/// for longer.
const NEVER_LONGER: Duration = Duration::from_secs(1);

fn check_not_held_up(film: &Film) {
    let slowest = Duration::from_micros(film.scenery.slowest_us.load(Ordering::Acquire).into());
    assert!(slowest < NEVER_LONGER, "handing a frame over took {slowest:?}");
}

#[derive(Clone, Copy)]
enum Harm {
    Signal(Signal),
    /// It may take less memory than it has.
    Memory,
}

impl Harm {
    fn done_to(self, child: Pid) {
        let bound = Rlimit { current: Some(2 << 20), maximum: Some(2 << 20) };
        match self {
            Self::Signal(signal) => kill_process(child, signal).unwrap(),
            Self::Memory => assert!(prlimit(Some(child), Resource::Data, bound).is_ok()),
        }
    }
}

#[rstest]
#[case::killed("killed", Harm::Signal(Signal::KILL))]
#[case::stopped("stopped", Harm::Signal(Signal::STOP))]
#[case::too_large("too-large", Harm::Memory)]
fn soak_a_child_that_crashes_or_hangs_or_grows_is_replaced(#[case] camera: &str, #[case] harm: Harm) {
    if !there_is_one() {
        return;
    }
    let (restream, film, url) = alone(camera);
    let other = url.clone();
    let watching = std::thread::spawn(move || try_to_play(&other, "tcp", 10_000));
    play(&url, "tcp", 5);
    // one after the other, as soon as there is one
    let times = if std::env::var_os("VISOR_SOAK_SECONDS").is_some() { 10 } else { 2 };
    let back: Vec<_> = (0..times).map(|_| time_back(&restream, &url, harm)).collect();
    println!("{camera} {times} times: back after {back:.2?}");
    assert!(back.iter().all(|back| *back < BACK), "{back:?}");
    play(&url, "tcp", 5);
    check_not_held_up(&film);
    // a player that was cut off has noticed
    drop(watching.join().unwrap());
}

/// How long it takes after that harm until another child gives a player what it has encoded.
fn time_back(restream: &Restream, url: &str, harm: Harm) -> Duration {
    let before = restream.id();
    let harmed = Instant::now();
    harm.done_to(Pid::from_raw(before.unwrap() as i32).unwrap());
    eventually("another child", || (restream.id() != before && restream.listening().is_some()).then_some(()));
    eventually("its video", || packet(url).ok());
    harmed.elapsed()
}

/// The first packet of a stream.
fn packet(url: &str) -> io::Result<()> {
    let mut client = Client::connect(url)?;
    for status in [client.describe()?, client.set_up(false)?, client.ask("PLAY", "")?] {
        if status != 200 {
            return Err(io::Error::other(format!("status {status}")));
        }
    }
    client.packet()
}

/// Where an encoder hangs.
#[derive(Clone, Copy)]
enum Hangs {
    /// Its first frame takes it half a minute.
    AtWork,
    /// It never comes to its first frame: whoever opens a pipe that nobody writes to waits for ever.
    AsItStarts,
}

impl Hangs {
    /// A pipeline's text, and what it needs, in `folder`.
    fn laid_in(self, folder: &Path) {
        let text = std::fs::read_to_string(checkout("pipelines/out.launch")).unwrap();
        let hangs = match self {
            Self::AtWork => text.replace("{encoder} !", "{encoder} ! identity name=hang sleep-time=30000000 !"),
            Self::AsItStarts => {
                let pipe = folder.join("pipe");
                mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
                format!("{text}\nfilesrc location={} ! fakesink\n", pipe.display())
            }
        };
        assert_ne!(hangs, text);
        std::fs::write(folder.join("out.launch"), hangs).unwrap();
    }
}

#[rstest]
#[case::at_work("stuck", Hangs::AtWork)]
#[case::as_it_starts("unstarted", Hangs::AsItStarts)]
fn an_encoder_that_hangs_loses_its_own_mount_alone(#[case] camera: &'static str, #[case] hangs: Hangs) {
    if !there_is_one() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    hangs.laid_in(folder.path());
    visor::metrics::install().unwrap();
    let restream = serve(&open_to_all());
    let (_steady, steady) = mount(&restream, "steady", &CameraConfig::default());
    let config = CameraConfig::default().resolve(camera).unwrap();
    let config = Mount { pipelines: Some(folder.path().to_owned()), ..config };
    let stuck = Film::start(restream.mount(camera, config), SIZE, 25);
    let before = restream.id();
    let watching = std::thread::spawn(move || play(&steady, "tcp", 200));
    let url = format!("rtsp://{}/{camera}", restream.listening().unwrap());
    let player = std::thread::spawn(move || try_to_play(&url, "tcp", 1));
    eventually("the mount to be lost", || {
        (metric("visor_restream_interruptions_total", "camera", camera) > 0.0).then_some(())
    });
    watching.join().unwrap();
    assert!(!player.join().unwrap().status.success());
    assert_eq!(restream.id(), before, "one encoder that hangs is no reason to start anew");
    check_not_held_up(&stuck);
}
