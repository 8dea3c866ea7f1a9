//! A capture child and the least of a brain: starts the real process, gives it a ring and reads what it says.
#![cfg(feature = "media")]

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use visor::clock::Monotonic;
use visor::frame::{Layout, Picture, PixelBuffer};
use visor::ring::wire::{
    BrainEnd, CaptureSettings, Channel, Decoder, FailReason, FrameHeader, Pace, Received, Rotate, StreamInfo, ToBrain,
    ToChild, Transport, Trust,
};
use visor::ring::{ENVIRONMENT, Lease, Ring};

/// How long a child may say nothing at all.
const SILENCE: Duration = Duration::from_secs(15);

/// What a camera is opened with where the test does not mind.
pub fn settings(uri: impl Into<String>, pace: Pace) -> CaptureSettings {
    CaptureSettings {
        uri: SecretString::from(uri.into()),
        transport: Transport::Tcp,
        latency: Duration::from_millis(100),
        connect_timeout: Duration::from_secs(5),
        trust: Trust::default(),
        rotate: Rotate::Auto,
        pace,
        decoder: Decoder::Auto,
        pipelines: None,
    }
}

/// The folder of sample media. `None`, aloud, where there is none.
pub fn assets() -> Option<PathBuf> {
    let folder = std::env::var_os("VISOR_ASSETS").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: VISOR_ASSETS is not set");
    }
    folder
}

/// What a file is opened with, as fast as it can be read.
pub fn file(path: &Path) -> CaptureSettings {
    settings(url::Url::from_file_path(path).unwrap().to_string(), Pace::Fast)
}

/// What a child said, but for signs of life.
#[derive(Debug)]
pub enum Said {
    Opened(StreamInfo),
    Frame(Shot),
    Failed(FailReason, String),
    EndOfStream,
    Closed,
}

/// A picture in the ring; dropping it gives the slot back.
pub struct Shot {
    pub header: FrameHeader,
    lease: Lease,
}

impl Shot {
    /// Luma at a place given in fractions of the picture.
    pub fn luma(&self, x: f64, y: f64) -> u8 {
        let (size, stride) = (self.layout().size, self.layout().planes[0].stride);
        let at = |fraction: f64, n: u32| (fraction * f64::from(n)) as usize;
        self.picture().plane(0)[at(y, size.height) * stride + at(x, size.width)]
    }

    /// What is seen, plane by plane and row by row.
    pub fn bytes(&self) -> Vec<u8> {
        let rows = |plane| {
            let (rows, bytes) = self.layout().plane_extent(plane);
            let (data, stride) = (self.picture().plane(plane), self.layout().planes[plane].stride);
            (0..rows).flat_map(move |row| data[row * stride..][..bytes].iter().copied()).collect::<Vec<u8>>()
        };
        (0..self.layout().pixel.planes()).flat_map(rows).collect()
    }

    pub fn layout(&self) -> &Layout {
        &self.header.layout
    }

    pub fn picture(&self) -> Picture<'_> {
        Picture::new(&self.header.layout, self.lease.bytes()).expect("the ring has checked it")
    }
}

impl std::fmt::Debug for Shot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.header.fmt(f)
    }
}

/// A running `visor capture`. Dropping it kills the process.
pub struct CaptureChild {
    process: Option<Child>,
    channel: Arc<BrainEnd>,
    ring: Option<Ring>,
    rings: u32,
    slots: u32,
    pub notices: Vec<String>,
}

impl CaptureChild {
    pub fn start(settings: CaptureSettings) -> Self {
        Self::start_as(Command::new(env!("CARGO_BIN_EXE_visor")), settings)
    }

    /// Starts it by `command`, which may wrap it (`strace … visor`).
    pub fn start_as(mut command: Command, settings: CaptureSettings) -> Self {
        let (ours, theirs) = Channel::<ToChild, ToBrain>::pair().unwrap();
        let theirs: OwnedFd = theirs.into_fd();
        command.arg("capture").env_clear().envs(ENVIRONMENT.iter().copied()).stdin(Stdio::from(theirs));
        let process = command.spawn().unwrap();
        drop(command);
        ours.send(&ToChild::Settings(settings), None).unwrap();
        Self { process: Some(process), channel: Arc::new(ours), ring: None, rings: 0, slots: 4, notices: Vec::new() }
    }

    /// Gives rings of so many slots from the next on.
    pub fn slots(mut self, slots: u32) -> Self {
        self.slots = slots;
        self
    }

    /// How many rings it has been given.
    pub fn rings(&self) -> u32 {
        self.rings
    }

    /// The next thing it says; signs of life and notices are passed over, rings are given.
    pub fn next(&mut self) -> Said {
        self.next_within(SILENCE).expect("the child fell silent")
    }

    fn next_within(&mut self, patience: Duration) -> Option<Said> {
        let until = Monotonic::now().plus(patience);
        loop {
            match self.channel.recv(until) {
                Received::Message { msg: ToBrain::Alive | ToBrain::Waiting, .. } => {}
                Received::Message { msg: ToBrain::Notice { text, .. }, .. } => self.notices.push(text.to_string()),
                Received::Message { msg: ToBrain::Want { layout, .. }, .. } => self.give_ring(&layout),
                Received::Message { msg: ToBrain::Opened(info), .. } => return Some(Said::Opened(info)),
                Received::Message { msg: ToBrain::Frame(header), .. } => {
                    let lease = self.ring.as_mut().expect("a frame before a ring").lease(&header).unwrap();
                    return Some(Said::Frame(Shot { header, lease }));
                }
                Received::Message { msg: ToBrain::Failed { reason, text }, .. } => {
                    return Some(Said::Failed(reason, text.to_string()));
                }
                Received::Message { msg: ToBrain::EndOfStream, .. } => return Some(Said::EndOfStream),
                Received::Closed => return Some(Said::Closed),
                Received::Garbage(text) => panic!("garbage: {text}"),
                Received::TimedOut => return None,
            }
        }
    }

    fn give_ring(&mut self, layout: &Layout) {
        self.rings += 1;
        let ring = Ring::create(self.rings, layout, self.slots, &self.channel).unwrap();
        self.channel.send(&ring.offer(), Some(ring.fd())).unwrap();
        self.ring = Some(ring);
    }

    /// The next picture; anything but it and the opening is a failure of the test.
    pub fn frame(&mut self) -> Shot {
        loop {
            match self.next() {
                Said::Frame(shot) => return shot,
                Said::Opened(_) => {}
                other => panic!("no frame but {other:?}"),
            }
        }
    }

    pub fn opened(&mut self) -> StreamInfo {
        match self.next() {
            Said::Opened(info) => info,
            other => panic!("not opened but {other:?}"),
        }
    }

    /// Why it gave up; pictures before that are passed over.
    pub fn failure(&mut self) -> (FailReason, String) {
        loop {
            match self.next() {
                Said::Failed(reason, text) => return (reason, text),
                Said::Frame(_) | Said::Opened(_) => {}
                other => panic!("no failure but {other:?}"),
            }
        }
    }

    /// All pictures up to the end of the stream, each looked at and given back.
    pub fn play(&mut self, mut look: impl FnMut(&Shot)) -> u64 {
        let mut frames = 0;
        loop {
            match self.next() {
                Said::Frame(shot) => {
                    look(&shot);
                    frames += 1;
                }
                Said::Opened(_) => {}
                Said::EndOfStream => return frames,
                other => panic!("after {frames} frames {other:?}"),
            }
        }
    }

    pub fn id(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    pub fn stop(&self) {
        self.channel.send(&ToChild::Stop, None).unwrap();
    }

    /// Waits for the process to end; `None` where it does not in time.
    pub fn ended_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        ended_within(self.process.as_mut().unwrap(), patience)
    }

    /// Closes the brain's end; the process is left to itself.
    pub fn abandon(mut self) -> Orphan {
        Orphan(self.process.take().unwrap())
    }
}

/// A child whose brain is gone.
pub struct Orphan(Child);

impl Orphan {
    pub fn ended_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        ended_within(&mut self.0, patience)
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ended_within(process: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < patience {
        if let Some(status) = process.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

impl Drop for CaptureChild {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
