//! What the daemon's loop and the routes tell each other of cameras.

use std::collections::BTreeMap;
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, bounded};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::oneshot;
use utoipa::ToSchema;

use crate::config::{Preview, Resolved, Written};
use crate::detect::Mode;
use crate::fault::Problem;
use crate::mask::{self, Audit, Who};
use crate::source::Trial;

/// Wishes that wait for the loop. Full: whoever comes with another one is told to come back.
const WAITING: usize = 16;

/// A wish for a camera to be another one, or to be gone.
pub struct CameraWish {
    /// Whose.
    pub id: String,
    /// What.
    pub change: CameraChange,
    /// Takes what comes of it.
    pub answer: CameraAnswer,
}

/// What is to become of a camera.
pub enum CameraChange {
    /// To be as this table says, whether it was there before or not.
    Put(Value),
    /// To have these tables of zones, and to be as it is in all else.
    Zones(Map<String, Value>),
    /// To be gone.
    Remove,
}

/// A wish to know whether a camera would work, without there being one.
pub struct CameraTrial {
    /// What it would be called.
    pub id: String,
    /// Its table of the configuration.
    pub table: Value,
    /// Takes what comes of it: what the source gave, or why it gave nothing.
    pub answer: oneshot::Sender<Result<Result<Trial, String>, CameraRefusal>>,
}

/// Takes what came of a wish.
pub type CameraAnswer = oneshot::Sender<Result<CameraDone, CameraRefusal>>;

/// A wish that was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CameraDone {
    /// There is a camera more.
    Added,
    /// It is another one now.
    Changed,
    /// It is gone.
    Removed,
}

/// A wish that was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CameraRefusal {
    /// The configuration's file names the camera, and wins.
    Named,
    /// There is no such camera.
    Unknown,
    /// The settings are wrong.
    Problems(Vec<Problem>),
    /// They could not be taken on.
    Failed(String),
}

impl CameraWish {
    /// What `written` becomes by this wish, and what that is called.
    ///
    /// # Errors
    /// The camera is not to be changed from here.
    pub fn granted(&self, written: &Written) -> Result<(Written, CameraDone), CameraRefusal> {
        let (id, known, named) = (self.id.as_str(), written.has_added(&self.id), written.names(&self.id));
        match &self.change {
            CameraChange::Zones(zones) if named || known => {
                Ok((written.clone().drawn(id, zones.clone()), CameraDone::Changed))
            }
            CameraChange::Zones(_) => Err(CameraRefusal::Unknown),
            _ if named => Err(CameraRefusal::Named),
            CameraChange::Put(table) => {
                let done = if known { CameraDone::Changed } else { CameraDone::Added };
                Ok((written.clone().with(id, table.clone()), done))
            }
            CameraChange::Remove if known => Ok((written.clone().without(id), CameraDone::Removed)),
            CameraChange::Remove => Err(CameraRefusal::Unknown),
        }
    }
}

/// Wishes for cameras on their way to the daemon's loop, and what the routes say of the settings in use.
pub struct CameraBook {
    wishes: (Sender<CameraWish>, Receiver<CameraWish>),
    trials: (Sender<CameraTrial>, Receiver<CameraTrial>),
    facts: ArcSwap<BTreeMap<String, Facts>>,
}

impl Default for CameraBook {
    fn default() -> Self {
        Self { wishes: bounded(WAITING), trials: bounded(WAITING), facts: ArcSwap::default() }
    }
}

impl CameraBook {
    /// Wishes to be granted, one after the other.
    pub fn wishes(&self) -> &Receiver<CameraWish> {
        &self.wishes.1
    }

    /// Cameras to be tried.
    pub fn trials(&self) -> &Receiver<CameraTrial> {
        &self.trials.1
    }

    /// Puts up what the settings in use say.
    pub fn show(&self, settings: &Resolved, written: &Written) {
        let policies = settings.policies();
        let address =
            |path: &str| Some(settings.restream.as_ref()?).map(|restream| restream.url(restream.listen, path));
        let facts = settings.cameras.iter().map(|(id, camera)| {
            let table = written.table(id).unwrap_or_default();
            let zones = |list: &str| table.get(list).cloned().map(serde_json::from_value).and_then(Result::ok);
            let origin = if written.has_added(id) { Origin::Http } else { Origin::File };
            let mask = camera.masking.as_ref();
            let prefix = format!("cameras.{id}.");
            let shows = policies.iter().filter_map(|policy| Some(policy.strip_prefix(&prefix)?.to_owned()));
            let analysis_fps = (100.0 / camera.analysis_period.as_secs_f64()).round() / 100.0;
            let facts = Facts {
                origin,
                source: camera.source.display.clone(),
                analysis_fps,
                expected_fps: (camera.detect.detect == Mode::Always).then_some(analysis_fps),
                masked: mask.is_some(),
                hold_ms: mask.map(|masking| millis(masking.hold)),
                preview: !matches!(camera.preview, Preview::Off(_)),
                shows: shows.collect(),
                mask: mask.map(|masking| Masks::of(&masking.mask)),
                restream: camera.restream.as_ref().and_then(|mount| address(&mount.path)),
                zones: zones("zones").unwrap_or_default(),
                privacy_zones: zones("privacy_zones").unwrap_or_default(),
            };
            (id.clone(), facts)
        });
        self.facts.store(facts.collect::<BTreeMap<_, _>>().into());
    }

    /// Takes a wish, if there is room.
    pub(super) fn ask(&self, wish: CameraWish) -> Result<(), CameraRefusal> {
        self.wishes.0.try_send(wish).map_err(|_| busy())
    }

    /// Takes a camera to be tried, if there is room.
    pub(super) fn ask_for_trial(&self, trial: CameraTrial) -> Result<(), CameraRefusal> {
        self.trials.0.try_send(trial).map_err(|_| busy())
    }

    /// Settings by which a camera's faces may show.
    pub(in crate::api) fn shows(&self, camera: &str) -> Vec<String> {
        self.facts.load().get(camera).map(|facts| facts.shows.clone()).unwrap_or_default()
    }

    pub(super) fn facts(&self, camera: &str) -> Option<Facts> {
        self.facts.load().get(camera).cloned()
    }
}

fn busy() -> CameraRefusal {
    CameraRefusal::Failed("other changes are waiting already; try again in a second".to_owned())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Where a camera's settings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Origin {
    /// In the configuration's file, or in the environment.
    File,
    /// Nowhere: it came over HTTP, and lives until a restart.
    Http,
}

/// What a camera's settings say.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Facts {
    /// Where they are written: `file`, or `http`, which lives until a restart.
    origin: Origin,
    /// Where pictures come from, without credentials.
    source: String,
    /// Frames analysed a second, at most.
    analysis_fps: f64,
    /// The same where so many are to be expected: with `detect = "motion"` there are as many as something moves.
    #[serde(skip)]
    pub(super) expected_fps: Option<f64>,
    /// Whether all of its pictures are masked, all the time.
    masked: bool,
    /// How long frames are held for that at first, in milliseconds.
    hold_ms: Option<u64>,
    /// Whether it can be looked at.
    preview: bool,
    /// Settings by which faces may show.
    shows: Vec<String>,
    /// How its pictures are masked; null where they are masked only while somebody looks.
    mask: Option<Masks>,
    /// Where its masked video is served by RTSP; null where it is not.
    restream: Option<String>,
    /// Its named areas.
    zones: Vec<Area>,
    /// What is always covered.
    privacy_zones: Vec<Area>,
}

/// How a camera's pictures are masked.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Masks {
    /// Whose faces: `everyone`, `strangers`, `known` or `nobody`.
    #[schema(value_type = String)]
    who: Who,
    /// In which way: `solid`, `pixelate`, `image` or `blur`.
    kind: &'static str,
    /// Whether the switch `mask` may be put to off.
    switchable: bool,
    /// What comes of a face in what goes out: `report`, `cover` or `off`, where nobody looks.
    #[schema(value_type = String)]
    audit: Audit,
}

impl Masks {
    fn of(mask: &mask::Settings) -> Self {
        Self { who: mask.who, kind: mask.kind.name, switchable: mask.switchable, audit: mask.audit }
    }
}

/// An area of a camera's picture.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Area {
    /// Its name, an id.
    name: String,
    /// Its corners in fractions of the picture, three at least.
    polygon: Vec<[f64; 2]>,
}

impl Area {
    /// As the configuration writes it.
    pub(super) fn table(&self) -> Value {
        serde_json::json!({ "name": self.name, "polygon": self.polygon })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn analyses_are_expected_where_they_are_made_whatever_moves() {
        let expected = |rest: &str| {
            let text =
                format!("models.embedder = \"none\"\n[cameras.front]\nuri = \"test:\"\nanalysis_fps = 5\n{rest}\n");
            let (book, written) = (CameraBook::default(), Written::of(text));
            book.show(&written.resolve().unwrap(), &written);
            book.facts("front").unwrap().expected_fps
        };
        assert_eq!((expected(""), expected("detect = \"motion\"")), (Some(5.0), None));
    }
}
