//! Masked video from end to end: a clip with truth served over RTSP, masked by the daemon, received over RTSP, and compared
//! pixel by pixel. Skipped, aloud, without assets, models, broker or ffmpeg.
#![cfg(feature = "media")]

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rstest::rstest;
use visor::restream::child::SimulatedCamera;
use visor::source::{Source, Spawner};

use super::support::broker::Broker;
use super::support::composed::{self, Composed, SIZE, Scale, compose, compose_endless};
use super::support::daemon::{Daemon, models, visor};
use super::support::leaks::{self, Report, Shot};

/// Smallest true face that must be hidden, by its shorter side.
const LEAST: f32 = 24.0;

/// A green that no skin has.
const GREEN: &str = "#00ff00";

/// Between two frames whose masked area is measured.
const MEASURED_EVERY: u64 = 5;

/// What was received.
#[derive(Debug, Default)]
pub struct Received {
    pub report: Report,
    covered: usize,
    /// Frames of the source that never came, or came covered.
    missing: u64,
}

/// The source's frames, again and again.
struct Original<'a> {
    clip: &'a Composed,
    spawner: Spawner,
    source: Source,
    /// The frame that was read last, from 1.
    number: u64,
}

impl<'a> Original<'a> {
    fn open(clip: &'a Composed) -> Self {
        let spawner = Spawner::start_with(visor()).unwrap();
        let source = leaks::open(&clip.video, &spawner);
        Self { clip, spawner, source, number: 0 }
    }

    fn frame(&mut self, number: u64) -> Shot {
        if number <= self.number {
            (self.source, self.number) = (leaks::open(&self.clip.video, &self.spawner), 0);
        }
        loop {
            let frame = leaks::next(&mut self.source).expect("the clip is shorter than what was received of it");
            self.number += 1;
            if self.number == number {
                return Shot::of(&frame);
            }
        }
    }
}

/// Longest time for which is waited for frames that are not covered, in seconds.
const PATIENCE: &str = "90";

pub fn receive(url: &str) -> Child {
    let input = ["-v", "error", "-rtsp_transport", "tcp", "-i", url, "-t", PATIENCE];
    let output = ["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"];
    Command::new("ffmpeg").args(input).args(output).stdout(Stdio::piped()).spawn().unwrap()
}

/// Masks the clip live and compares so many frames of what comes out; `mask` are lines of the camera's mask.
fn watch(clip: &Composed, analysis_fps: u32, mask: &str, frames: usize) -> Option<Received> {
    watch_until(clip, analysis_fps, (mask, ""), |report| report.frames >= frames)
}

/// Likewise until enough has come; with further tables of the configuration.
pub fn watch_until(
    clip: &Composed,
    analysis_fps: u32,
    (mask, tables): (&str, &str),
    enough: impl Fn(&Report) -> bool,
) -> Option<Received> {
    let broker = Broker::open()?;
    let camera = SimulatedCamera::start(visor(), &["--mount", &mount(&clip.video)]).unwrap();
    let daemon = Daemon::start(&format!(
        "{}{tables}[mqtt]\nurl = {:?}\n[restream]\nlisten = \"127.0.0.1:0\"\n[cameras.front]\nuri = {:?}\n\
         analysis_fps = {analysis_fps}\n[cameras.front.mask]\ncolour = {GREEN:?}\n{mask}\n\
         [cameras.front.restream]\nbitrate_kbps = 12000\nwidth = {}\nheight = {}\n",
        models(),
        broker.url(),
        camera.url("front").unwrap(),
        // or it would be as large as what is shown until the camera's first frame
        SIZE.width,
        SIZE.height,
    ));
    let address = daemon.wait_for_log("serves masked video", |_| true)["address"].as_str().unwrap().to_owned();
    let mut player = receive(&format!("rtsp://{address}/front"));
    let mut video = player.stdout.take().unwrap();
    let (mut picture, mut original) = (vec![0; composed::bytes()], Original::open(clip));
    let mut received = Received::default();
    while !enough(&received.report) && video.read_exact(&mut picture).is_ok() {
        received.take(&picture, &mut original);
    }
    player.kill().unwrap();
    player.wait().unwrap();
    assert_eq!(daemon.metric("visor_mask_unproven_frames_total", &[]), 0.0);
    assert!(daemon.stop().success());
    Some(received)
}

fn mount(video: &Path) -> String {
    format!("front={}", video.display())
}

impl Received {
    fn take(&mut self, picture: &[u8], original: &mut Original<'_>) {
        let Some(number) = composed::number(picture) else {
            // what is covered before the first frame that is not is the start
            self.covered += usize::from(self.report.frames > 0);
            return;
        };
        let before = original.number;
        let (source, output) = (original.frame(number), Shot::of_bytes(SIZE, picture));
        self.missing += number.saturating_sub(before + 1) * u64::from(before > 0);
        let Composed { truth, all, .. } = original.clip;
        self.report.compare(number, (&source, &output), truth, LEAST);
        if number % MEASURED_EVERY == 0 {
            let boxes = [truth, all].map(|boxes| boxes.get(&number).map_or(&[][..], Vec::as_slice));
            self.report.measure((&source, &output), boxes);
        }
    }

    fn covered_share(&self) -> f64 {
        self.covered as f64 / (self.covered + self.report.frames).max(1) as f64
    }

    fn print(&self, what: &str) {
        let Report { frames, faces, leaks, .. } = &self.report;
        println!(
            "{what}: {frames} frames, {} covered, {} missing, {faces} faces, {} show, area {:.2}, {:.2} of all: {:?}",
            self.covered,
            self.missing,
            leaks.len(),
            self.report.area_ratio(),
            self.report.whole_ratio(),
            &leaks[..leaks.len().min(8)]
        );
    }
}

#[test]
fn no_face_shows_in_what_goes_out_over_rtsp() {
    let Some(clip) = compose_endless("synth_grid4", Scale::Half) else { return };
    let Some(received) = watch(&clip, 10, "", 150) else { return };
    received.print("synth_grid4 at a half, 10 analyses a second");
    assert!(received.report.faces > 100, "{received:?}");
    assert!(received.report.leaks.is_empty(), "{:?}", received.report.leaks);
}

#[test]
fn no_face_shows_where_the_clip_begins_again() {
    let Some(clip) = compose("synth_grid4", Scale::Half) else { return };
    // its length and a little: every head is elsewhere at once
    let length = *clip.truth.last_key_value().unwrap().0 as usize;
    let Some(received) = watch(&clip, 10, "", length + 30) else { return };
    received.print("synth_grid4 at a half, from its end to its beginning");
    assert!(received.report.faces > 100, "{received:?}");
    assert!(received.report.leaks.is_empty(), "{:?}", received.report.leaks);
}

#[test]
fn a_face_that_goes_out_unmasked_is_seen_by_the_comparison() {
    let Some(clip) = compose_endless("synth_grid4", Scale::Full) else { return };
    let Some(received) = watch(&clip, 10, "who = \"nobody\"", 50) else { return };
    received.print("nobody is masked");
    let Report { faces, leaks, .. } = &received.report;
    assert!(*faces > 50 && leaks.len() * 100 >= *faces * 95, "{} of {faces} show", leaks.len());
}

#[rstest]
fn soak_no_face_shows_at_any_size_and_rate(#[values(true, false)] endless: bool) {
    if std::env::var_os("VISOR_SOAK_SECONDS").is_none() {
        return eprintln!("skipped: make soak runs it");
    }
    // all of them are told before one fails
    let mut wrong = Vec::new();
    for name in ["synth_cross5", "synth_grid4"] {
        for scale in Scale::ALL {
            let Some(clip) = (if endless { compose_endless } else { compose })(name, scale) else { return };
            for analysis_fps in [25, 10, 5] {
                let Some(received) = watch(&clip, analysis_fps, "", 350) else { return };
                let seams = if endless { "" } else { ", cut where it begins again" };
                let what = format!("{name} {scale:?}{seams}, {analysis_fps} analyses a second");
                received.print(&what);
                let (faces, shown) = (received.report.faces, received.report.leaks.len());
                if faces <= 300 || shown > 0 || received.covered_share() > 0.005 {
                    wrong.push(format!("{what}: {shown} of {faces} show, {} covered", received.covered));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
