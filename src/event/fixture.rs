//! Events for tests of what comes after.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Draft, Event, EventType, Fractions, LatencyMs, Models, SCHEMA};
use crate::frame::ClockSource;
use crate::recognise::Identity;

/// A plain event of `camera` with the number `seq`.
pub(crate) fn event(camera: &str, seq: u64) -> Arc<Event> {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    Arc::new(Event {
        schema: SCHEMA,
        kind: EventType::Started,
        boot_id: "boot".into(),
        seq,
        boot_seq: seq,
        camera: camera.into(),
        track: Some(format!("{camera}-{seq}").into()),
        captured_at: at,
        clock: ClockSource::Arrival,
        published_at: at,
        rect: Fractions { x: 0.41, y: 0.22, w: 0.05, h: 0.09 },
        score: 0.93,
        quality: None,
        zones: vec!["porch".into()],
        identity: (&Identity::OFF).into(),
        first_seen: at - Duration::from_millis(3200),
        last_seen: at,
        latency_ms: LatencyMs { total: Some(38.5), ..LatencyMs::default() },
        models: Models { detector: "yunet-n".into(), embedder: None },
    })
}

/// The same of a known person.
pub(crate) fn draft_of(camera: &str, person: &str) -> Draft {
    let (person, name) = (person.into(), person.into());
    let identity = Identity::Known { person, name, score: 0.7, margin: None };
    Draft::new(Event { identity: (&identity).into(), ..event(camera, 0).as_ref().clone() }, None)
}

/// A draft of a plain event of `camera`.
pub(crate) fn draft(camera: &str) -> Draft {
    Draft::new(event(camera, 0).as_ref().clone(), None)
}
