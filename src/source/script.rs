//! A capture child for tests: a thread that follows a script.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::spawner::{Job, Launch, Running};
use super::*;
use crate::frame::{ClockSource, Colorimetry, ColourMatrix, ColourRange, Layout, PixelFormat};
use crate::geometry::Size;
use crate::ring::wire::{ChildEnd, FrameHeader, Received, SendError, ToBrain, ToChild};
use crate::ring::{Slot, Writer};

pub(super) const SOON: Duration = Duration::from_secs(10);

pub(super) fn soon() -> Monotonic {
    Monotonic::now().plus(SOON)
}

pub(super) fn layout(width: u32, height: u32) -> Layout {
    let colour = Colorimetry { matrix: ColourMatrix::Bt709, range: ColourRange::Limited };
    Layout::packed(Size::new(width, height), PixelFormat::I420, colour)
}

/// Slots of every ring here: the fewest that there are.
pub(super) const SLOTS: u32 = 5;

/// Plays a capture child; the script is told the how many-eth child it is.
pub(super) struct Stage<F> {
    script: Arc<F>,
    runs: AtomicUsize,
    ends: Sender<Duration>,
}

impl<F: Fn(usize, Player) + Send + Sync + 'static> Launch for Stage<F> {
    fn launch(&self, job: Job) -> Box<dyn Running> {
        let (run, script) = (self.runs.fetch_add(1, Ordering::Relaxed), Arc::clone(&self.script));
        std::thread::spawn(move || script(run, Player::new(job.socket)));
        Box::new(Ending(self.ends.clone()))
    }
}

pub(super) struct Ending(Sender<Duration>);

impl Running for Ending {
    fn end(self: Box<Self>, grace: Duration) {
        let _ = self.0.send(grace);
    }
}

/// A child's lines.
pub(super) struct Player {
    pub(super) channel: ChildEnd,
    pub(super) writer: Option<Writer>,
    pub(super) pts: u64,
}

impl Player {
    pub(super) fn new(channel: ChildEnd) -> Self {
        let first = channel.recv(soon());
        assert!(matches!(first, Received::Message { msg: ToChild::Settings(_), .. }), "{first:?}");
        Self { channel, writer: None, pts: 0 }
    }

    pub(super) fn say(&self, msg: &ToBrain) -> bool {
        self.channel.send_until(msg, None, soon()).is_ok()
    }

    pub(super) fn want(&mut self, layout: Layout) {
        self.say(&ToBrain::Want { layout, fps: None });
        loop {
            match self.channel.recv(soon()) {
                Received::Message { msg: ToChild::Ring { id, slots, slot_bytes }, fd: Some(fd) } => {
                    self.writer = Some(Writer::map(fd, id, slots, slot_bytes).unwrap());
                    return;
                }
                Received::Message { msg: ToChild::Release { .. }, .. } => {}
                _ => return,
            }
        }
    }

    /// The announcement of a frame in a slot of its own, filled with the frame's number, or in the first where there is none.
    pub(super) fn header(&mut self, layout: Layout) -> FrameHeader {
        let number = (self.pts / 40_000_000) as u8;
        self.pts += 40_000_000;
        let filled = |mut slot: Slot| {
            slot.as_mut().fill(number);
            slot.lend()
        };
        let writer = self.writer.as_ref();
        let (ring, slot) = writer.map_or((1, 0), |writer| (writer.id(), writer.free_slot().map_or(0, filled)));
        FrameHeader {
            ring,
            slot,
            layout,
            pts_ns: self.pts,
            arrived_ns: Monotonic::now().as_nanos(),
            decode_ns: None,
            captured_unix_ns: 0,
            clock: ClockSource::Arrival,
            dropped_total: 0,
        }
    }

    pub(super) fn frame(&mut self, layout: Layout) -> bool {
        let header = self.header(layout);
        self.say(&ToBrain::Frame(header))
    }

    pub(super) fn show(&mut self, frames: usize) {
        self.want(layout(8, 8));
        for _ in 0..frames {
            self.frame(layout(8, 8));
        }
    }

    /// Alive, until it is told to stop or left alone.
    pub(super) fn live(self) {
        self.live_and(|| {});
    }

    pub(super) fn live_and(self, mut then: impl FnMut()) {
        loop {
            match self.channel.recv(Monotonic::now().plus(Duration::from_millis(5))) {
                Received::Message { msg: ToChild::Stop, .. } => return then(),
                Received::Message { .. } => {}
                Received::TimedOut if self.channel.send(&ToBrain::Alive, None) != Err(SendError::Closed) => {}
                _ => return,
            }
        }
    }

    /// Says nothing, and is there.
    pub(super) fn hang(self) {
        while !matches!(self.channel.recv(soon()), Received::Closed | Received::TimedOut) {}
    }
}

pub(super) fn settings(uri: &str) -> Settings {
    let mut settings = Config::new(uri.into()).resolve(SLOTS - 1).unwrap();
    settings.peer = None;
    settings.limits.backoff_least = Duration::from_millis(1);
    settings
}

pub(super) fn stage<F: Fn(usize, Player) + Send + Sync + 'static>(script: F) -> (Stage<F>, Receiver<Duration>) {
    let (ends, ended) = unbounded();
    (Stage { script: Arc::new(script), runs: AtomicUsize::new(0), ends }, ended)
}

pub(super) fn play(
    settings: Settings,
    script: impl Fn(usize, Player) + Send + Sync + 'static,
) -> (Source, Receiver<Duration>) {
    let (stage, ended) = stage(script);
    (Source::with("test", settings, Box::new(stage)), ended)
}

pub(super) fn told(event: &SourceEvent) -> Option<String> {
    Some(match event {
        SourceEvent::Frame(frame) => format!("frame {}", frame.number),
        SourceEvent::Opened(info) => format!("opened {}", info.decoder),
        SourceEvent::Changed(SourceState::Connecting) => "connecting".to_owned(),
        SourceEvent::Changed(SourceState::Online) => "online".to_owned(),
        SourceEvent::Changed(SourceState::Stalled { reason }) => format!("stalled: {reason}"),
        SourceEvent::Changed(SourceState::Offline { reason, .. }) => format!("offline: {reason}"),
        SourceEvent::Ended => "ended".to_owned(),
        SourceEvent::Idle => return None,
    })
}

/// Compares what a source tells with what it should, frames being let go of at once.
pub(super) fn check_source(source: &mut Source, expected: &[&str]) {
    let mut got = Vec::new();
    let until = soon();
    while got.len() < expected.len() && Monotonic::now() < until {
        got.extend(told(&source.next(until)));
    }
    assert_eq!(got, expected);
}
