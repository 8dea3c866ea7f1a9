//! The event as the outside reads it. Every field is always there; one whose part is absent or off is null.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::{EventType, Latency, rfc3339};
use crate::clock::Monotonic;
use crate::detect::Detection;
use crate::frame::{ClockSource, Stamp};
use crate::geometry::{Rect, Size};
use crate::recognise;

/// Version of the event's shape; goes up when a field changes its meaning or goes away.
pub const SCHEMA: u32 = 1;

/// One thing that happened, to one track but for [`EventType::FaceSeen`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// Names this run of the daemon (UUID).
    pub boot_id: Arc<str>,
    /// Counts up by one per boot and camera, from 1.
    pub seq: u64,
    /// Counts up by one per boot, from 1.
    pub boot_seq: u64,
    /// The camera's id.
    pub camera: Arc<str>,
    /// `<camera>-<n>`; unique within a boot. Null where no track is meant.
    pub track: Option<Arc<str>>,
    /// When the frame was taken.
    #[serde(serialize_with = "as_rfc3339")]
    pub captured_at: SystemTime,
    /// Where `captured_at` comes from.
    pub clock: ClockSource,
    /// When the event got its numbers, just before it went to the sinks.
    #[serde(serialize_with = "as_rfc3339")]
    pub published_at: SystemTime,
    /// Where the face was last seen.
    #[serde(rename = "box")]
    pub rect: Fractions,
    /// The detector's confidence when the face was last seen, 0 to 1.
    #[serde(serialize_with = "as_thousandths")]
    pub score: f32,
    /// Fitness for recognition when the face was last looked at, 0 to 1; null before, and while recognition is off.
    #[serde(serialize_with = "as_maybe_thousandths")]
    pub quality: Option<f32>,
    /// Zones that hold the box's centre, in the configuration's order.
    pub zones: Vec<Arc<str>>,
    /// Who it is.
    pub identity: Identity,
    /// Wall-clock time of the track's first detection; the same in all events of a track.
    #[serde(serialize_with = "as_rfc3339")]
    pub first_seen: SystemTime,
    /// Wall-clock time of the track's last detection.
    #[serde(serialize_with = "as_rfc3339")]
    pub last_seen: SystemTime,
    /// Where the time went, in milliseconds.
    pub latency_ms: LatencyMs,
    /// Which models looked.
    pub models: Models,
}

/// A box in fractions of the frame, cut at its edges; four decimals.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Fractions {
    /// Left edge.
    pub x: f64,
    /// Top edge.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

impl Fractions {
    /// `rect`, in pixels of a frame of `size`, as fractions of that frame.
    pub fn of(rect: Rect, size: Size) -> Self {
        let rect = rect.clamped(size);
        let part = |v: f32, whole: u32| rounded(f64::from(v) / f64::from(whole.max(1)), 1e4);
        Self {
            x: part(rect.x, size.width),
            y: part(rect.y, size.height),
            w: part(rect.w, size.width),
            h: part(rect.h, size.height),
        }
    }
}

/// Whether it is decided who a track is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not, or not yet.
    Undecided,
    /// A person of the gallery.
    Known,
    /// Nobody of the gallery.
    Stranger,
}

impl Status {
    /// Each of them, in the order of its number.
    pub const ALL: [Self; 3] = [Self::Undecided, Self::Known, Self::Stranger];

    /// The word for it in events and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Undecided => "undecided",
            Self::Known => "known",
            Self::Stranger => "stranger",
        }
    }
}

/// Who a track is. Without recognition: undecided, and the reason says so.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Identity {
    /// Whether it is decided.
    pub status: Status,
    /// Id of the enrolled person.
    pub person: Option<Arc<str>>,
    /// That person's display name.
    pub name: Option<Arc<str>>,
    /// What a stranger is called.
    pub alias: Option<Arc<str>>,
    /// Cosine similarity to the person, or a stranger's to the most similar one; null where there is none to compare
    /// with.
    #[serde(serialize_with = "as_maybe_thousandths")]
    pub score: Option<f32>,
    /// Distance of `score` to the next person's; null in a gallery of one.
    #[serde(serialize_with = "as_maybe_thousandths")]
    pub margin: Option<f32>,
    /// Why it is undecided.
    pub reason: Option<&'static str>,
}

impl Event {
    /// Whether it shows this person.
    pub fn shows(&self, person: &str) -> bool {
        self.identity.person.as_deref() == Some(person)
    }

    /// The same event, which shows nobody any more.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        let nobody = recognise::Identity::Undecided { reason: None };
        Self { identity: (&nobody).into(), ..self.clone() }
    }
}

impl From<&recognise::Identity> for Identity {
    fn from(identity: &recognise::Identity) -> Self {
        use recognise::Identity::{Known, Stranger, Undecided};
        let nobody = Self {
            status: Status::Undecided,
            person: None,
            name: None,
            alias: None,
            score: None,
            margin: None,
            reason: None,
        };
        match identity {
            Undecided { reason } => Self { reason: reason.map(recognise::Reason::name), ..nobody },
            Known { person, name, score, margin } => Self {
                status: Status::Known,
                person: Some(Arc::clone(person)),
                name: Some(Arc::clone(name)),
                score: Some(*score),
                margin: *margin,
                ..nobody
            },
            Stranger { alias, score } => {
                Self { status: Status::Stranger, alias: Some(Arc::clone(alias)), score: *score, ..nobody }
            }
        }
    }
}

/// Time spent on the frame behind an event, in milliseconds with two decimals; null where a stage had no part in it.
/// An event that no frame caused (its camera went away) has no latencies at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LatencyMs {
    /// Coded picture's arrival to decoded frame.
    pub decode: Option<f64>,
    /// Detection, from the planes to boxes.
    pub detect: Option<f64>,
    /// Association.
    pub track: Option<f64>,
    /// Embedding and search.
    pub recognise: Option<f64>,
    /// Coded picture's arrival (decoded frame's, where that is not known) to `published_at`.
    pub total: Option<f64>,
}

impl LatencyMs {
    /// The stages' times; `total` follows when the event is published.
    pub fn of(latency: &Latency) -> Self {
        Self {
            decode: latency.decode.map(millis),
            detect: Some(millis(latency.detect)),
            track: Some(millis(latency.track)),
            recognise: latency.recognise.map(millis),
            total: None,
        }
    }
}

/// Which models an event rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Models {
    /// Name of the detector's manifest.
    pub detector: Arc<str>,
    /// Name of the embedder's manifest; null while recognition is off.
    pub embedder: Option<Arc<str>>,
}

/// The numbers that an event gets once, before it goes to any sink.
#[derive(Clone, Debug)]
pub struct Number {
    /// Names this run of the daemon.
    pub boot_id: Arc<str>,
    /// Place among the camera's events.
    pub seq: u64,
    /// Place among all events.
    pub boot_seq: u64,
}

/// An event that has no number yet. Nobody but a hub can send it anywhere.
#[derive(Clone, Debug)]
pub struct Draft {
    event: Event,
    /// What `latency_ms.total` counts from; `None` where no frame caused the event.
    caused_by: Option<(Monotonic, Option<Duration>)>,
}

impl Draft {
    /// A draft of `event`, whose numbers and `published_at` are still meaningless, caused by the frame of `stamp`.
    pub(super) fn new(event: Event, stamp: Option<&Stamp>) -> Self {
        Self { event, caused_by: stamp.map(|s| (s.arrived_at, s.decode)) }
    }

    /// A detector found `face` in masked video, in the frame of `stamp` and `size`.
    pub fn face_seen(camera: &Arc<str>, stamp: &Stamp, face: &Detection, size: Size, models: Models) -> Self {
        let event = Event {
            schema: SCHEMA,
            kind: EventType::FaceSeen,
            boot_id: "".into(),
            seq: 0,
            boot_seq: 0,
            camera: Arc::clone(camera),
            track: None,
            captured_at: stamp.captured_at,
            clock: stamp.clock,
            published_at: SystemTime::UNIX_EPOCH,
            rect: Fractions::of(face.rect, size),
            score: face.score,
            quality: None,
            zones: Vec::new(),
            identity: (&recognise::Identity::Undecided { reason: None }).into(),
            first_seen: stamp.captured_at,
            last_seen: stamp.captured_at,
            latency_ms: LatencyMs::default(),
            models,
        };
        Self::new(event, Some(stamp))
    }

    /// The camera that it is about.
    pub fn camera(&self) -> &Arc<str> {
        &self.event.camera
    }

    /// What happened.
    pub fn kind(&self) -> EventType {
        self.event.kind
    }

    /// Who it is about.
    pub fn identity(&self) -> &Identity {
        &self.event.identity
    }

    /// The event, published now under `number`.
    pub fn publish(self, number: Number) -> Event {
        let total =
            self.caused_by.map(|(arrived, decode)| millis(arrived.elapsed() + decode.unwrap_or(Duration::ZERO)));
        let mut event = self.event;
        event.boot_id = number.boot_id;
        event.seq = number.seq;
        event.boot_seq = number.boot_seq;
        event.published_at = SystemTime::now();
        event.latency_ms.total = total;
        event
    }
}

fn rounded(v: f64, steps: f64) -> f64 {
    (v * steps).round() / steps
}

fn millis(d: Duration) -> f64 {
    rounded(d.as_secs_f64() * 1e3, 1e2)
}

fn as_rfc3339<S: Serializer>(at: &SystemTime, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&rfc3339(*at))
}

fn as_thousandths<S: Serializer>(v: &f32, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_f64(rounded(f64::from(*v), 1e3))
}

fn as_maybe_thousandths<S: Serializer>(v: &Option<f32>, s: S) -> Result<S::Ok, S::Error> {
    v.map(|v| rounded(f64::from(v), 1e3)).serialize(s)
}
