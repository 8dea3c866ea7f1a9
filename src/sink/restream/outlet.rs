//! One camera's way out.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics::counter;

use crate::clock::Monotonic;
use crate::frame::Layout;
use crate::geometry::Size;
use crate::mask::{MaskedFrame, Outcome};
use crate::metrics::FRAMES_DROPPED;
use crate::ring::out::{FromOutput, OutEnd, OutRing, OutSlot, ToOutput};
use crate::ring::wire::Received;

/// Frames that the child may have at once: one that is encoded, two that wait for it, and one that is written here, with
/// one to spare.
pub const SLOTS: u32 = 5;

/// Where whoever minds the child leaves the ends of its channels for the outlet.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    /// The newest one; what it replaces was of a child that is gone.
    pub end: Option<OutEnd>,
    /// The size that the camera's video keeps, also in the next child.
    pub size: Option<Size>,
    /// Frames a second, as the camera's stream said: for the next child, so that it need not guess until it has measured.
    pub fps: Option<f64>,
}

/// Something to be done when the outlet is dropped.
pub(super) type Farewell = Box<dyn FnOnce() + Send>;

/// The way of one camera's masked frames to whoever watches. Dropping it ends the mount.
pub struct Outlet {
    camera: String,
    mailbox: Arc<Mutex<Mailbox>>,
    end: Option<OutEnd>,
    ring: Option<OutRing>,
    rings: u32,
    /// Whether somebody watches, for all that the child has said.
    watched: bool,
    /// Whether the frame before was covered; `None` before the first one.
    covered: Option<bool>,
    farewell: Option<Farewell>,
}

/// A place for one masked frame. Dropped without being sent it means nothing.
pub struct OutletSlot<'a> {
    slot: OutSlot<'a>,
    end: &'a OutEnd,
    covered: &'a mut Option<bool>,
    camera: &'a str,
}

impl Outlet {
    pub(super) fn new(camera: &str, mailbox: Arc<Mutex<Mailbox>>, farewell: Farewell) -> Self {
        let farewell = Some(farewell);
        let (end, ring, covered) = Default::default();
        Self { camera: camera.to_owned(), mailbox, end, ring, rings: 0, watched: true, covered, farewell }
    }

    /// Whether a frame should be painted for whoever watches; where that is not known, it should.
    pub fn is_watched(&mut self) -> bool {
        self.collect();
        self.watched
    }

    /// The stream says of itself how many frames a second it has.
    pub fn expect(&self, hz: f64) {
        if let Ok(mut mailbox) = self.mailbox.lock() {
            mailbox.fps = Some(hz);
        }
    }

    /// Tells the child of a frame that nobody watches, in place of the frame: it knows the stream's size, rate and life by it.
    pub fn pass(&mut self, layout: &Layout, pts: Duration) {
        self.remember(layout.size);
        let Some(end) = &self.end else { return };
        // one that does not read is replaced before long
        let _ = end.send(&ToOutput::Passed { layout: *layout, pts_ns: pts.as_nanos() as u64 }, None);
    }

    /// A place for a frame of this layout, which [`crate::mask::out_layout`] gave. Never waits: `None` where the child is
    /// away or has all places, and the frame counts as dropped.
    pub fn slot(&mut self, layout: &Layout) -> Option<OutletSlot<'_>> {
        self.collect();
        if !self.offer(layout) {
            dropped(&self.camera, "output_away");
            return None;
        }
        let Self { camera, end: Some(end), ring: Some(ring), covered, .. } = self else { return None };
        let Some(slot) = ring.slot() else {
            dropped(camera, "output_full");
            return None;
        };
        Some(OutletSlot { slot, end, covered, camera })
    }

    /// Takes a new child's channel over, and slots back.
    fn collect(&mut self) {
        // while it is being filled, the next frame is early enough
        let end = self.mailbox.try_lock().ok().and_then(|mut mailbox| mailbox.end.take());
        if let Some(end) = end {
            self.renew(end);
        }
        let Some(end) = &self.end else { return };
        loop {
            match end.recv(Monotonic::default()) {
                Received::Message { msg: FromOutput::Release { ring: of, slot }, .. } => {
                    self.ring.iter_mut().for_each(|ring| ring.released(of, slot));
                }
                Received::Message { msg: FromOutput::Watched { by_somebody }, .. } => self.watched = by_somebody,
                Received::Message { .. } => {}
                Received::TimedOut => return,
                Received::Closed | Received::Garbage(_) => break,
            }
        }
        (self.end, self.watched) = (None, true);
    }

    fn renew(&mut self, end: OutEnd) {
        (self.end, self.watched) = (Some(end), true);
        self.covered = None;
        let Some(ring) = &mut self.ring else { return };
        self.rings += 1;
        ring.renew(self.rings);
        self.introduce();
    }

    /// Has a ring for frames of this layout at the child; false where there is none.
    fn offer(&mut self, layout: &Layout) -> bool {
        if self.end.is_some() && self.ring.as_ref().is_none_or(|ring| !ring.fits(layout)) {
            self.rings += 1;
            self.ring = OutRing::create(self.rings, layout, SLOTS)
                .inspect_err(|error| tracing::warn!(camera = self.camera, %error, "no memory for masked video"))
                .ok();
            self.introduce();
            self.remember(layout.size);
        }
        self.end.is_some() && self.ring.is_some()
    }

    /// Hands the ring to the child.
    fn introduce(&mut self) {
        let (Some(end), Some(ring)) = (&self.end, &self.ring) else { return };
        if end.send(&ring.offer(), Some(ring.fd())).is_err() {
            self.end = None;
        }
    }

    fn remember(&self, size: Size) {
        if let Ok(mut mailbox) = self.mailbox.lock() {
            mailbox.size.get_or_insert(size);
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        if let Some(farewell) = self.farewell.take() {
            farewell();
        }
    }
}

impl OutletSlot<'_> {
    /// Hands a frame over that was painted into this slot. A keyframe is asked for where frames begin or cease to be
    /// covered, so that nothing of the one kind is needed to decode the other.
    pub fn send(frame: MaskedFrame<OutletSlot<'_>>) {
        let (layout, pts) = (*frame.layout(), frame.stamp().pts);
        let covers = matches!(frame.outcome(), Outcome::Covered(_));
        let OutletSlot { slot, end, covered, camera } = frame.into_pixels();
        let key = *covered != Some(covers);
        match slot.send(&layout, pts.as_nanos() as u64, key, end) {
            Ok(()) => *covered = Some(covers),
            Err(_) => dropped(camera, "output_away"),
        }
    }
}

impl AsRef<[u8]> for OutletSlot<'_> {
    fn as_ref(&self) -> &[u8] {
        self.slot.as_ref()
    }
}

impl AsMut<[u8]> for OutletSlot<'_> {
    fn as_mut(&mut self) -> &mut [u8] {
        self.slot.as_mut()
    }
}

impl std::fmt::Debug for Outlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outlet").field("camera", &self.camera).finish_non_exhaustive()
    }
}

fn dropped(camera: &str, reason: &'static str) {
    counter!(FRAMES_DROPPED, "camera" => camera.to_owned(), "reason" => reason).increment(1);
}
