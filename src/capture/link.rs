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
use crate::ring::{Slot, Writer, slot_bytes};

use super::Failure;

/// How long closing the source politely (RTSP's TEARDOWN) may take once the brain says stop.
const FAREWELL: Duration = Duration::from_millis(350);
/// How long the first message may take.
const GREETING: Duration = Duration::from_secs(10);
/// How long the brain may take to read, or to make a ring, before a live picture is given up.
const PATIENCE: Duration = Duration::from_millis(250);

/// Slots, at most, that pictures in the making and on their way to the sink have, with the one that the sink still holds. A decoder
/// that keeps its pictures to predict from would take all slots from the brain.
const MOST_AHEAD: usize = 3;

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

/// A picture that is to cross the ring.
#[derive(Clone, Copy)]
pub(super) struct Picture<'a> {
    pub layout: &'a Layout,
    pub times: &'a Times,
    pub full: WhenFull,
    /// Where it lies in `layout` already, from its first byte on: perhaps in a slot.
    pub lies: Option<&'a [u8]>,
}

/// What a slot is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// A picture that is there.
    Now,
    /// A picture to come, which can be made elsewhere.
    Ahead,
}

/// Why a picture did not get into a slot.
enum NotCopied {
    NoSlot,
    Unreadable,
}

/// The child's connection to the brain.
pub(super) struct Link {
    channel: ChildEnd,
    slots: Mutex<Slots>,
    slots_changed: Condvar,
    dropped: AtomicU64,
    stopping: AtomicBool,
    /// Nominal thousandths of a frame a second; 0 where the source tells none.
    rate: AtomicU64,
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
        let (slots_changed, dropped, stopping, rate) = Default::default();
        Self { channel, slots, slots_changed, dropped, stopping, rate }
    }

    /// So many frames a second will come, by what the source tells.
    pub fn expect(&self, fps: Option<f64>) {
        self.rate.store((fps.unwrap_or(0.0) * 1e3) as u64, Ordering::Relaxed);
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
                Received::Message { msg: ToChild::Release { ring, slots }, .. } => self.release(ring, &slots),
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

    /// Announces a picture: the slot that it lies in, or a free one into which `fill` copies it. A ring is asked for where
    /// none fits.
    pub fn deliver(&self, picture: &Picture<'_>, fill: impl FnOnce(&mut [u8]) -> bool) {
        let Picture { layout, times, full, lies } = *picture;
        let place = lies.and_then(|bytes| self.lend_at(bytes)).map_or_else(|| self.copied(layout, full, fill), Ok);
        let (ring, slot) = match place {
            Ok(place) => place,
            Err(NotCopied::NoSlot) => return self.dropped(),
            Err(NotCopied::Unreadable) => return,
        };
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
            self.release(ring, &[slot]);
        });
    }

    /// Ring and number of the slot that begins with these bytes, which is the brain's from now on.
    fn lend_at(&self, bytes: &[u8]) -> Option<(u32, u32)> {
        let slots = self.lock();
        let writer = slots.writer.as_ref()?;
        Some((writer.id(), writer.lend_at(bytes)?))
    }

    /// Ring and number of a slot that was free, and is the brain's from now on.
    fn copied(
        &self,
        layout: &Layout,
        full: WhenFull,
        fill: impl FnOnce(&mut [u8]) -> bool,
    ) -> Result<(u32, u32), NotCopied> {
        let (ring, mut slot) = self.free_slot(layout, full, Need::Now).ok_or(NotCopied::NoSlot)?;
        if !fill(slot.as_mut()) {
            return Err(NotCopied::Unreadable);
        }
        Ok((ring, slot.lend()))
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

    /// A slot for a picture that is about to be made, so that it need not be copied later. `None` where none is to be had: the
    /// picture is then made elsewhere.
    pub fn slot_ahead(&self, layout: &Layout, full: WhenFull) -> Option<Slot> {
        self.free_slot(layout, full, Need::Ahead).map(|(_, slot)| slot)
    }

    /// The ring's number, and a slot of it that a picture of `layout` fits into.
    fn free_slot(&self, layout: &Layout, full: WhenFull, need: Need) -> Option<(u32, Slot)> {
        let give_up = Monotonic::now().plus(PATIENCE);
        let mut slots = self.lock();
        while !self.stopping() {
            let fits = |writer: &&Writer| layout.end().is_some_and(|end| end <= writer.slot_bytes());
            if let Some(writer) = slots.writer.as_ref().filter(fits) {
                let taken = if need == Need::Ahead { writer.taken() } else { 0 };
                if let Some(slot) = (taken < MOST_AHEAD).then(|| writer.free_slot()).flatten() {
                    return Some((writer.id(), slot));
                }
                if full == WhenFull::Drop || (need == Need::Ahead && !writer.all_lent()) {
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
            self.fail(&Failure::too_large(layout.size));
        }
        slots.wanted = Some(*layout);
        let rate = self.rate.load(Ordering::Relaxed);
        self.say(&ToBrain::Want { layout: *layout, fps: (rate > 0).then_some(rate as f64 / 1e3) });
    }

    fn renew(&self, writer: Writer) {
        let mut slots = self.lock();
        slots.writer = Some(writer);
        slots.wanted = None;
        self.slots_changed.notify_all();
    }

    fn release(&self, ring: u32, released: &[u32]) {
        let mut slots = self.lock();
        if let Some(writer) = slots.writer.as_mut().filter(|writer| writer.id() == ring) {
            released.iter().for_each(|slot| writer.released(*slot));
            self.slots_changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
