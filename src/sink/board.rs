//! The cameras as they are now. Only the last value of each thing counts, so nothing here can pile up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use super::presence::{PersonState, Roster};
use super::vitals::{Chart, Vitals};
use super::{Switch, lock};

/// Whether a camera works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CameraStatus {
    /// Frames come.
    Online,
    /// It is connected, but no frame came for the stall time-out.
    Stalled,
    /// It cannot be reached, or was not yet.
    #[default]
    Offline,
    /// Switched off in the configuration.
    Disabled,
}

impl CameraStatus {
    /// The word for it in topics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Stalled => "stalled",
            Self::Offline => "offline",
            Self::Disabled => "disabled",
        }
    }
}

/// Counts since the camera was started, for `<prefix>/stats`: a reload that changes it begins anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct CameraStats {
    /// Frames received.
    pub frames_captured_total: u64,
    /// Frames that went through detection and tracking.
    pub frames_analysed_total: u64,
    /// Frames not analysed.
    pub frames_dropped_total: u64,
    /// Tracks that were confirmed.
    pub tracks_total: u64,
    /// How often a track was given a person's name.
    pub identified_known_total: u64,
    /// How often a track was given a stranger's alias.
    pub identified_stranger_total: u64,
    /// Capture processes started again.
    pub restarts_total: u64,
    /// Masked frames that were handed out.
    pub frames_masked_total: u64,
    /// Frames that were handed out wholly covered, since they could not be proven.
    pub frames_covered_total: u64,
}

/// How large the gallery is, for `<prefix>/stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GalleryStats {
    /// People who are known.
    pub people: usize,
    /// Pictures that they are known by.
    pub references: usize,
}

/// What is known of one camera.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CameraState {
    /// Whether it works.
    pub status: CameraStatus,
    /// Why it does not; empty while it does.
    pub reason: Arc<str>,
    /// Since when its status has been what it is; `None` before the first one.
    pub since: Option<SystemTime>,
    /// Confirmed faces now.
    pub faces: usize,
    /// Where it is: degrees of latitude and longitude.
    pub location: Option<[f64; 2]>,
    /// Its switches' positions; one that is not here does not exist.
    pub switches: BTreeMap<Switch, bool>,
    /// Wishes for its switches that were refused: sinks say again where these stand.
    pub refusals: u64,
    /// Its counts.
    pub stats: CameraStats,
}

/// How often a camera's masked video was looked at, and what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audited {
    /// Looks.
    pub looks: u64,
    /// Faces that should not have been there.
    pub faces: u64,
    /// The last look.
    pub last: SystemTime,
    /// When a face was found last.
    pub last_face: Option<SystemTime>,
}

/// Every camera's state, and who is asking: the noticeboard that sinks read.
#[derive(Debug)]
pub struct Board {
    boot_id: Arc<str>,
    started: Instant,
    cameras: Mutex<BTreeMap<Arc<str>, CameraState>>,
    audits: Mutex<BTreeMap<Arc<str>, Audited>>,
    charts: Mutex<BTreeMap<Arc<str>, Chart>>,
    pub(super) roster: Mutex<Roster>,
    pub(super) gallery: Mutex<GalleryStats>,
    /// The gallery has been read: whoever is not known now is unknown.
    pub(super) people_read: AtomicBool,
    /// What became of events by MQTT, for `<prefix>/stats`: a sink that is replaced at a reload hands them on by this.
    pub(super) by_mqtt: Deliveries,
}

/// What became of events, since the daemon began.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    pub published: AtomicU64,
    pub lost: AtomicU64,
}

impl Board {
    pub(super) fn new(boot_id: Arc<str>) -> Self {
        let (cameras, audits, charts, roster, gallery, people_read, by_mqtt) = Default::default();
        Self { boot_id, started: Instant::now(), cameras, audits, charts, roster, gallery, people_read, by_mqtt }
    }

    /// Names this run of the daemon.
    pub fn boot_id(&self) -> &Arc<str> {
        &self.boot_id
    }

    /// Time since the hub was made.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// All cameras by id.
    pub fn cameras(&self) -> BTreeMap<Arc<str>, CameraState> {
        lock(&self.cameras).clone()
    }

    /// One camera, where there is such a one.
    pub fn camera(&self, id: &str) -> Option<CameraState> {
        lock(&self.cameras).get(id).cloned()
    }

    /// What the self-audit saw, by camera; of one that it has not looked at, nothing.
    pub fn audits(&self) -> BTreeMap<Arc<str>, Audited> {
        lock(&self.audits).clone()
    }

    /// A camera's masked video was looked at, and so many faces were found.
    pub(super) fn audited(&self, camera: &str, faces: usize) {
        if !self.knows(camera) {
            return;
        }
        let (faces, now) = (faces as u64, SystemTime::now());
        let mut audits = lock(&self.audits);
        let none = Audited { looks: 0, faces: 0, last: now, last_face: None };
        let audited = audits.entry(camera.into()).or_insert(none);
        (audited.looks, audited.faces, audited.last) = (audited.looks + 1, audited.faces + faces, now);
        audited.last_face = if faces > 0 { Some(now) } else { audited.last_face };
    }

    /// How a camera has been of late.
    pub fn vitals(&self, camera: &str) -> Vitals {
        lock(&self.charts).get(camera).map(|chart| chart.vitals(Instant::now())).unwrap_or_default()
    }

    /// Notes something of a known camera.
    pub(super) fn chart(&self, camera: &str, note: impl FnOnce(&mut Chart)) {
        if self.knows(camera) {
            note(lock(&self.charts).entry(camera.into()).or_default());
        }
    }

    /// The people who are shown, by id.
    pub fn people(&self) -> BTreeMap<Arc<str>, PersonState> {
        lock(&self.roster).shown()
    }

    /// How large the gallery is.
    pub fn gallery(&self) -> GalleryStats {
        *lock(&self.gallery)
    }

    /// Whether everybody who is known is known by now.
    pub fn people_read(&self) -> bool {
        self.people_read.load(Ordering::Relaxed)
    }

    /// Whether `camera` is known.
    pub fn knows(&self, camera: &str) -> bool {
        lock(&self.cameras).contains_key(camera)
    }

    /// Puts up a camera with these switches; of one that is there, switches that it has already stay where they are.
    /// Returns whether anything changed.
    pub(super) fn add(&self, camera: &str, switches: &[(Switch, bool)]) -> bool {
        let mut cameras = lock(&self.cameras);
        let Some(state) = cameras.get_mut(camera) else {
            let state = CameraState { switches: switches.iter().copied().collect(), ..CameraState::default() };
            cameras.insert(camera.into(), state);
            return true;
        };
        let put = |(switch, on): &(Switch, bool)| (*switch, *state.switches.get(switch).unwrap_or(on));
        let switches: BTreeMap<_, _> = switches.iter().map(put).collect();
        let changed = state.switches != switches;
        state.switches = switches;
        changed
    }

    /// Takes a camera down. Returns whether it was there.
    pub(super) fn remove(&self, camera: &str) -> bool {
        lock(&self.audits).remove(camera);
        lock(&self.charts).remove(camera);
        lock(&self.cameras).remove(camera).is_some()
    }

    /// Changes a known camera's state. Returns whether it is another one now; an unknown camera stays unknown, so
    /// that the last words of a camera's threads do not bring it back after it was taken down.
    pub(super) fn change(&self, camera: &str, change: impl FnOnce(&mut CameraState)) -> bool {
        let mut cameras = lock(&self.cameras);
        let Some(state) = cameras.get_mut(camera) else { return false };
        let before = state.clone();
        change(state);
        *state != before
    }
}
