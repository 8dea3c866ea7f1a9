//! The child's end of the socket and of the ring.
//!
//! Three threads use it: the main loop says that it is alive, GStreamer's streaming thread delivers pictures, and the
//! control thread listens to the brain. The last one depends on nothing that GStreamer does, so that a source that
//! hangs cannot keep the process: it exits when told to, or when the brain is gone.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Monotonic;
use crate::frame::Layout;
use crate::ring::wire::{
    CaptureSettings, ChildEnd, FailReason, FrameHeader, NoticeLevel, Received, SendError, ToBrain, ToChild,
};
use crate::ring::{Writer, slot_bytes};

use super::Failure;

/// How long closing the source politely (RTSP's TEARDOWN) may take once the brain says stop.
const FAREWELL: Duration = Duration::from_millis(350);
/// How long the first message may take.
const GREETING: Duration = Duration::from_secs(10);
/// How long the brain may take to read, or to make a ring, before a live picture is given up.
const PATIENCE: Duration = Duration::from_millis(250);

/// Whether a picture without a free slot waits for one (a file) or is dropped (a camera).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhenFull {
    Wait,
    Drop,
}

/// A picture's times, as its header will carry them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub pts_ns: u64,
    pub arrived: Monotonic,
    pub decode: Option<Duration>,
    pub captured_unix_ns: u64,
    pub clock: crate::frame::ClockSource,
}

/// The child's connection to the brain.
pub(super) struct Link {
    channel: ChildEnd,
    slots: Mutex<Slots>,
    slots_changed: Condvar,
    dropped: AtomicU64,
    stopping: AtomicBool,
}

#[derive(Default)]
struct Slots {
    writer: Option<Writer>,
    /// The layout that a ring has been asked for and not come yet.
    wanted: Option<Layout>,
}

impl Link {
    pub fn new(channel: ChildEnd) -> Self {
        let slots = Mutex::new(Slots::default());
        let (slots_changed, dropped, stopping) = Default::default();
        Self { channel, slots, slots_changed, dropped, stopping }
    }

    /// The first message; `None` where the brain sends something else, or goes away.
    pub fn settings(&self) -> Option<CaptureSettings> {
        match self.channel.recv(Monotonic::now().plus(GREETING)) {
            Received::Message { msg: ToChild::Settings(settings), .. } => Some(settings),
            _ => None,
        }
    }

    /// The control thread: listens until the process ends.
    pub fn listen(&self) {
        loop {
            match self.channel.recv(Monotonic::now().plus(Duration::from_secs(3600))) {
                Received::Message { msg: ToChild::Ring { id, slots, slot_bytes }, fd: Some(fd) } => {
                    match Writer::map(fd, id, slots, slot_bytes) {
                        Ok(writer) => self.renew(writer),
                        Err(error) => self.fail(&Failure::new(FailReason::Internal, format!("no ring: {error}"))),
                    }
                }
                Received::Message { msg: ToChild::Release { ring, slot }, .. } => self.release(ring, slot),
                Received::Message { msg: ToChild::Stop, .. } => {
                    self.stopping.store(true, Ordering::Release);
                    self.slots_changed.notify_all();
                    std::thread::sleep(FAREWELL);
                    std::process::exit(0);
                }
                Received::Message { .. } | Received::TimedOut => {}
                // nobody is left to deliver to
                Received::Closed | Received::Garbage(_) => std::process::exit(0),
            }
        }
    }

    /// Whether the brain said stop.
    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Says something; exits where nobody listens any more. What a brain that does not read misses, it misses.
    pub fn say(&self, message: &ToBrain) {
        if self.channel.send_until(message, None, Monotonic::now().plus(PATIENCE)) == Err(SendError::Closed) {
            std::process::exit(0);
        }
    }

    /// Counts a picture that was not delivered.
    pub fn dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// A line for the brain's log. Never a credential.
    pub fn notice(&self, level: NoticeLevel, text: &str) {
        self.say(&ToBrain::Notice { level, text: text.into() });
    }

    /// Says why, and ends the process.
    pub fn fail(&self, failure: &Failure) -> ! {
        self.say(&ToBrain::Failed { reason: failure.reason, text: failure.text.as_str().into() });
        std::process::exit(1);
    }

    /// Copies a picture into a free slot by `fill` and announces it. A ring is asked for where none fits.
    pub fn deliver(&self, layout: &Layout, times: &Times, full: WhenFull, fill: impl FnOnce(&mut [u8]) -> bool) {
        let Some((mut slots, slot)) = self.free_slot(layout, full) else {
            self.dropped();
            return;
        };
        let Some(writer) = slots.writer.as_mut() else { return };
        let ring = writer.id();
        if !fill(writer.slot_mut(slot)) {
            writer.released(slot);
            return;
        }
        // the control thread needs the slots while the brain makes room for the announcement
        drop(slots);
        let header = FrameHeader {
            ring,
            slot,
            layout: *layout,
            pts_ns: times.pts_ns,
            arrived_ns: times.arrived.as_nanos(),
            decode_ns: times.decode.map(|decode| decode.as_nanos() as u64),
            captured_unix_ns: times.captured_unix_ns,
            clock: times.clock,
            dropped_total: self.dropped.load(Ordering::Relaxed),
        };
        self.announce(&ToBrain::Frame(header), full).unwrap_or_else(|_| {
            self.dropped();
            self.release(ring, slot);
        });
    }

    /// Tells of a picture; a file's waits until the brain reads.
    fn announce(&self, frame: &ToBrain, full: WhenFull) -> Result<(), SendError> {
        loop {
            let until = match full {
                WhenFull::Wait => Monotonic::now().plus(PATIENCE),
                WhenFull::Drop => Monotonic::default(),
            };
            match self.channel.send_until(frame, None, until) {
                Err(SendError::Closed) => std::process::exit(0),
                Err(SendError::Full) if full == WhenFull::Wait && !self.stopping() => {}
                outcome => return outcome,
            }
        }
    }

    /// A slot that a picture of `layout` fits into.
    fn free_slot(&self, layout: &Layout, full: WhenFull) -> Option<(MutexGuard<'_, Slots>, u32)> {
        let give_up = Monotonic::now().plus(PATIENCE);
        let mut slots = self.lock();
        while !self.stopping() {
            let fits = layout.end().is_some_and(|end| slots.writer.as_ref().is_some_and(|w| end <= w.slot_bytes()));
            if fits {
                if let Some(slot) = slots.writer.as_mut().and_then(Writer::free_slot) {
                    return Some((slots, slot));
                }
                if full == WhenFull::Drop {
                    return None;
                }
            } else {
                self.want(&mut slots, layout);
                if full == WhenFull::Drop && Monotonic::now() >= give_up {
                    return None;
                }
            }
            let waited = self.slots_changed.wait_timeout(slots, PATIENCE);
            slots = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        None
    }

    /// Asks for a ring, once for each layout.
    fn want(&self, slots: &mut Slots, layout: &Layout) {
        if slots.wanted.as_ref() == Some(layout) {
            return;
        }
        if slot_bytes(layout).is_none() {
            let (width, height) = (layout.size.width, layout.size.height);
            let text = format!("pictures of {width}x{height} are larger than {0}x{0}", crate::ring::MAX_SIDE);
            self.fail(&Failure::new(FailReason::Unsupported, text));
        }
        slots.wanted = Some(*layout);
        self.say(&ToBrain::Want { layout: *layout });
    }

    fn renew(&self, writer: Writer) {
        let mut slots = self.lock();
        slots.writer = Some(writer);
        slots.wanted = None;
        self.slots_changed.notify_all();
    }

    fn release(&self, ring: u32, slot: u32) {
        let mut slots = self.lock();
        if let Some(writer) = slots.writer.as_mut().filter(|writer| writer.id() == ring) {
            writer.released(slot);
            self.slots_changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
