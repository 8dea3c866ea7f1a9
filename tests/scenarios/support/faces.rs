//! A camera without a camera: observations made up, events as a real one gives them.

use std::time::{Duration, SystemTime};

use visor::clock::Monotonic;
use visor::detect::Detection;
use visor::event::{Journal, Latency, Models, Observation, Settings};
use visor::frame::{ClockSource, Stamp};
use visor::geometry::{Point, Rect, Size};
use visor::sink::{CameraStatus, Hub, Switch};
use visor::track::{Track, TrackState};

/// One face that is always there; each look at it is one event.
pub struct Camera {
    id: &'static str,
    hub: Hub,
    journal: Journal,
    looks: u64,
}

impl Camera {
    /// A camera that `hub` knows and that is online.
    pub fn new(hub: &Hub, id: &'static str) -> Self {
        hub.add_camera(id, &[(Switch::Detect, true)]);
        hub.camera_status(id, CameraStatus::Online, "");
        let models = Models { detector: "yunet-n".into(), embedder: None };
        let settings = Settings { zones: Vec::new(), update_interval: Duration::ZERO, models };
        Self { id, hub: hub.clone(), journal: Journal::new(id, settings, hub.track_numbers(id)), looks: 0 }
    }

    /// Events so far.
    pub fn published(&self) -> u64 {
        self.looks
    }

    /// Publishes `events` more events.
    pub fn publish(&mut self, events: u64) {
        for _ in 0..events {
            self.looks += 1;
            let at = Duration::from_millis(self.looks * 40);
            let stamp = Stamp {
                pts: at,
                arrived_at: Monotonic::now(),
                decode: None,
                captured_at: SystemTime::now(),
                clock: ClockSource::Arrival,
            };
            let tracks = [face(at)];
            let latency = Latency::default();
            let frame_size = Size::new(640, 480);
            let drafts = self.journal.observe(&Observation {
                number: 0,
                stamp,
                frame_size,
                tracks: &tracks,
                ended: &[],
                identities: &[],
                embedder: None,
                latency,
            });
            assert_eq!(drafts.len(), 1);
            self.hub.publish(drafts);
            self.hub.faces(self.id, self.journal.faces());
        }
    }
}

fn face(at: Duration) -> Track {
    let rect = Rect::new(100.0, 100.0, 50.0, 60.0);
    Track {
        id: 1,
        rect,
        velocity: Point::default(),
        state: TrackState::Confirmed,
        detection: Some(Detection { rect, score: 0.9, landmarks: None }),
        score: 0.9,
        first_seen: Duration::ZERO,
        last_seen: at,
        hits: 3,
    }
}
