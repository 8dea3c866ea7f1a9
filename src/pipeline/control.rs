//! What is switched and counted while a camera's loops run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::Tally;
use crate::clock::Monotonic;

/// What is switched and counted while the loops run; shared with whoever controls the camera.
pub struct Control {
    stop: AtomicBool,
    ended: AtomicBool,
    detect: AtomicBool,
    recognise: AtomicBool,
    mask: AtomicBool,
    restream: AtomicBool,
    snapshots: AtomicBool,
    /// Counts up when what is being followed must be forgotten; a frame of an older epoch is not analysed.
    epoch: AtomicU64,
    /// Until when everything is covered because a face was seen in what went out, in nanoseconds.
    cover_until: AtomicU64,
    /// The camera's counters.
    pub tally: Tally,
}

impl Control {
    /// A running camera with everything on.
    pub fn new(camera: &str) -> Arc<Self> {
        let on = || AtomicBool::new(true);
        Arc::new(Self {
            stop: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            detect: on(),
            recognise: on(),
            mask: on(),
            restream: on(),
            snapshots: on(),
            epoch: AtomicU64::new(0),
            cover_until: AtomicU64::new(0),
            tally: Tally::new(camera),
        })
    }

    /// Both loops end at their next tick.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether the source has given its last frame.
    pub fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Switches detection; what was being followed ends when it goes off, and a masked camera is covered.
    pub fn detect(&self, on: bool) {
        if self.detect.swap(on, Ordering::Relaxed) && !on {
            self.forget();
        }
    }

    pub(super) fn detects(&self) -> bool {
        self.detect.load(Ordering::Relaxed)
    }

    /// Switches recognition, from the next frame on; names that were given are taken back when it goes off.
    pub fn recognise(&self, on: bool) {
        self.recognise.store(on, Ordering::Relaxed);
    }

    pub(super) fn recognises(&self) -> bool {
        self.recognise.load(Ordering::Relaxed)
    }

    /// Switches the masks of a masked camera: on from the next frame that leaves, off for all that leave later. Whether they may
    /// go off is the caller's to know.
    pub fn mask(&self, on: bool) {
        self.mask.store(on, Ordering::Release);
    }

    pub(super) fn masks(&self) -> bool {
        self.mask.load(Ordering::Acquire)
    }

    /// Switches the video that goes out.
    pub fn restream(&self, on: bool) {
        self.restream.store(on, Ordering::Relaxed);
    }

    /// Whether video goes out.
    pub fn restreams(&self) -> bool {
        self.restream.load(Ordering::Relaxed)
    }

    /// Switches stills of who is seen.
    pub fn snapshots(&self, on: bool) {
        self.snapshots.store(on, Ordering::Relaxed);
    }

    /// Whether stills go out.
    pub fn takes_snapshots(&self) -> bool {
        self.snapshots.load(Ordering::Relaxed)
    }

    /// Covers all that is held, and all to come until so much time has passed: a face was seen in what went out.
    pub fn cover_for(&self, time: Duration) {
        self.cover_until.fetch_max(Monotonic::now().plus(time).as_nanos(), Ordering::AcqRel);
    }

    /// Whether that time has not passed at `now`.
    pub fn covers(&self, now: Monotonic) -> bool {
        now.as_nanos() < self.cover_until.load(Ordering::Acquire)
    }

    /// Ends what is being followed, and begins anew with the next frame.
    pub fn forget(&self) {
        self.epoch.fetch_add(1, Ordering::Release);
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }
}
