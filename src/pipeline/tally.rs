//! What one camera counted since it started: for metrics, for statistics and for the demo's summary.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::event::{Latency, Status};
use crate::mask::Outcome;
use crate::metrics as names;
use crate::source::Losses;

/// Why a frame was not analysed although it was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// A newer frame came before the analysis was free.
    Superseded,
    /// It had waited longer than its age limit.
    Stale,
    /// The model gave no answer in time, or failed.
    Failed,
}

impl DropReason {
    const ALL: [Self; 3] = [Self::Superseded, Self::Stale, Self::Failed];

    const fn label(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::Stale => "stale",
            Self::Failed => "failed",
        }
    }
}

/// Counters of one camera; shared by its two loops and read by whoever reports.
pub struct Tally {
    captured: AtomicU64,
    analysed: AtomicU64,
    dropped: [AtomicU64; DropReason::ALL.len()],
    tracks: AtomicU64,
    known: AtomicU64,
    strangers: AtomicU64,
    masked: AtomicU64,
    covered: AtomicU64,
    lost_frames: AtomicU64,
    lost_children: AtomicU64,
    exported: Exported,
}

/// The same numbers as metrics; handles are made once, so that counting is an atomic add.
struct Exported {
    analysed: Counter,
    dropped: [Counter; DropReason::ALL.len()],
    detect: Histogram,
    track: Histogram,
    recognise: Histogram,
    age: Histogram,
    active: Gauge,
    identities: [Counter; Status::ALL.len()],
}

/// A reading of a [`Tally`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Frames received.
    pub captured: u64,
    /// Frames that went through detection and tracking.
    pub analysed: u64,
    /// Frames that were due and not analysed, or found no slot on their way in.
    pub dropped: u64,
    /// Tracks that were confirmed.
    pub tracks: u64,
    /// How often a track was given a person's name.
    pub known: u64,
    /// How often a track was given a stranger's alias.
    pub strangers: u64,
    /// How often the capture process was started again.
    pub restarts: u64,
    /// Masked frames that were handed out.
    pub masked: u64,
    /// Frames that were handed out wholly covered.
    pub covered: u64,
}

impl Tally {
    /// Counters labelled with the camera's id.
    pub fn new(camera: &str) -> Self {
        let camera = || camera.to_owned();
        let stage = |stage| histogram!(names::STAGE_SECONDS, "camera" => camera(), "stage" => stage);
        let dropped =
            |reason: DropReason| counter!(names::FRAMES_DROPPED, "camera" => camera(), "reason" => reason.label());
        Self {
            captured: AtomicU64::new(0),
            analysed: AtomicU64::new(0),
            dropped: Default::default(),
            tracks: AtomicU64::new(0),
            known: AtomicU64::new(0),
            strangers: AtomicU64::new(0),
            masked: AtomicU64::new(0),
            covered: AtomicU64::new(0),
            lost_frames: AtomicU64::new(0),
            lost_children: AtomicU64::new(0),
            exported: Exported {
                analysed: counter!(names::FRAMES_ANALYSED, "camera" => camera()),
                dropped: DropReason::ALL.map(dropped),
                detect: stage("detect"),
                track: stage("track"),
                recognise: stage("recognise"),
                age: histogram!(names::FRAME_AGE, "camera" => camera(), "stage" => "observe"),
                identities: Status::ALL
                    .map(|status| counter!(names::IDENTITIES, "camera" => camera(), "status" => status.name())),
                active: gauge!(names::TRACKS_ACTIVE, "camera" => camera()),
            },
        }
    }

    /// A frame arrived.
    pub fn captured(&self) {
        self.captured.fetch_add(1, Ordering::Relaxed);
    }

    /// A frame that was due will not be analysed.
    pub fn dropped(&self, reason: DropReason) {
        self.dropped[reason as usize].fetch_add(1, Ordering::Relaxed);
        self.exported.dropped[reason as usize].increment(1);
    }

    /// A frame was analysed: where its time went, and how old it was at the end.
    pub fn analysed(&self, latency: &Latency, age: Duration) {
        self.analysed.fetch_add(1, Ordering::Relaxed);
        self.exported.analysed.increment(1);
        self.exported.detect.record(latency.detect);
        self.exported.track.record(latency.track);
        if let Some(recognise) = latency.recognise {
            self.exported.recognise.record(recognise);
        }
        self.exported.age.record(age);
    }

    /// So many tracks are confirmed now.
    pub fn faces(&self, confirmed: usize) {
        self.exported.active.set(confirmed as f64);
    }

    /// So many tracks were confirmed just now.
    pub fn started(&self, tracks: usize) {
        self.tracks.fetch_add(tracks as u64, Ordering::Relaxed);
    }

    /// A track was told to be somebody.
    pub fn identified(&self, status: Status) {
        match status {
            Status::Known => self.known.fetch_add(1, Ordering::Relaxed),
            Status::Stranger => self.strangers.fetch_add(1, Ordering::Relaxed),
            Status::Undecided => 0,
        };
        self.exported.identities[status as usize].increment(1);
    }

    /// A frame of a masked camera was handed out. (Its painter exports that itself.)
    pub fn handed_out(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Masked { .. } => &self.masked,
            Outcome::Covered(_) => &self.covered,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// What the source has lost so far, which it exports itself.
    pub fn lost(&self, losses: Losses) {
        self.lost_frames.store(losses.frames, Ordering::Relaxed);
        self.lost_children.store(losses.children, Ordering::Relaxed);
    }

    /// The present numbers.
    pub fn counts(&self) -> Counts {
        Counts {
            captured: self.captured.load(Ordering::Relaxed),
            analysed: self.analysed.load(Ordering::Relaxed),
            dropped: self.dropped.iter().chain([&self.lost_frames]).map(|d| d.load(Ordering::Relaxed)).sum(),
            tracks: self.tracks.load(Ordering::Relaxed),
            known: self.known.load(Ordering::Relaxed),
            strangers: self.strangers.load(Ordering::Relaxed),
            restarts: self.lost_children.load(Ordering::Relaxed),
            masked: self.masked.load(Ordering::Relaxed),
            covered: self.covered.load(Ordering::Relaxed),
        }
    }
}
