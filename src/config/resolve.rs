//! From what was written to what is needed: everything parsed, read and found, or every problem named.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{CameraConfig, Config, Masking, Preview, masking, models};
use crate::event::{Zone, ZoneConfig};
use crate::fault::Problem;
use crate::geometry::Size;
use crate::infer::manifest::Manifest;
use crate::sink::Snapshots;
use crate::sink::restream::Mount;
use crate::source::Scheme;
use crate::{detect, http, infer, recognise, sink, source, track};

/// Ids that are words of MQTT's topics.
const RESERVED: [&str; 3] = ["people", "stats", "status"];

/// Live: one frame is being analysed, the newest one waits. Of a file, as many are analysed as there are sessions, and as
/// many wait for an earlier one.
const LIVE_ANALYSES: u32 = 2;
/// Being written, on its way, and two to even out what is uneven.
const SLOTS_BESIDE_ANALYSES: u32 = 4;

/// What the daemon starts from. Nothing that it is made of can turn out to be a configuration error any more.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// Library, models folder and provider.
    pub models: infer::Config,
    /// The face detector.
    pub detector: Manifest,
    /// The detector's input, in pixels.
    pub input: Size,
    /// The model that tells people apart; `None` where recognition is off.
    pub embedder: Option<Manifest>,
    /// Who is known.
    pub gallery: recognise::Config,
    /// The broker; `None` for no MQTT.
    pub mqtt: Option<Broker>,
    /// Who else gets events, over HTTP.
    pub webhooks: Vec<sink::webhook::Settings>,
    /// Whether each event is logged.
    pub log: sink::log::Config,
    /// Where health, metrics and version are served, and to whom.
    pub http: http::Settings,
    /// Where masked video is served; `None` where no camera's is.
    pub restream: Option<sink::restream::Settings>,
    /// The cameras by id.
    pub cameras: BTreeMap<String, Camera>,
}

/// The broker's settings, which two reloads can compare.
#[derive(Clone)]
pub struct Broker {
    /// As written; shows no secret.
    pub written: sink::mqtt::Config,
    /// Digest of the files that it names: a renewed certificate or password is a change.
    files: [u8; 32],
    settings: sink::mqtt::Settings,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}

impl PartialEq for Broker {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written && self.files == other.files
    }
}

impl Resolved {
    /// What the sinks start from.
    pub fn sinks(&self) -> sink::Settings {
        sink::Settings {
            log: self.log.events,
            mqtt: self.mqtt.as_ref().map(|broker| broker.settings.clone()),
            webhooks: self.webhooks.clone(),
        }
    }
}

/// One camera, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Camera {
    /// Whether it is opened at all.
    pub enabled: bool,
    /// Where its pictures come from, with the credentials.
    pub source: source::Settings,
    /// When frames are analysed, and thresholds: what is not set here is the model's own, whichever model looks.
    pub detect: detect::Config,
    /// Least time between two analyses.
    pub analysis_period: Duration,
    /// Least time between two `updated` events of one track.
    pub update_interval: Duration,
    /// How faces are followed.
    pub track: track::Config,
    /// Named areas of the picture.
    pub zones: Vec<Zone>,
    /// How its pictures are masked; `None` where nobody gets to see any.
    pub masking: Option<Masking>,
    /// How its masked video goes out; `None` where it does not.
    pub restream: Option<Mount>,
    /// How it can be looked at over HTTP.
    pub preview: Preview,
    /// Whether best shots are published.
    pub snapshots: Snapshots,
    /// Where it is: degrees of latitude and longitude.
    pub location: Option<[f64; 2]>,
}

/// Problems as they are found, and the results of what has none.
#[derive(Default)]
struct Findings(Vec<Problem>);

impl Findings {
    fn take<T>(&mut self, within: &str, part: Result<T, Vec<Problem>>) -> Option<T> {
        part.map_err(|problems| self.0.extend(problems.into_iter().map(|p| p.within(within)))).ok()
    }
}

/// Resolves the whole.
pub(super) fn resolve(config: &Config) -> Result<Resolved, Vec<Problem>> {
    let mut findings = Findings::default();
    let detector = findings.take("models", models::detector(&config.models));
    let embedder = findings.take("models", models::embedder(&config.models));
    let gallery = config.gallery.problems();
    let gallery = findings.take("gallery", if gallery.is_empty() { Ok(config.gallery.clone()) } else { Err(gallery) });
    let mqtt = config.mqtt.as_ref().map(|mqtt| findings.take("mqtt", resolve_broker(mqtt)));
    let hooks = config.webhooks.iter().enumerate();
    let webhooks =
        hooks.filter_map(|(index, hook)| findings.take(&format!("webhooks[{index}]"), hook.resolve())).collect();
    let http = findings.take("http", config.http.resolve(credentials().as_deref()));
    let restream = findings.take("restream", config.restream.resolve());
    let mut cameras = BTreeMap::new();
    for (id, camera) in &config.cameras {
        let detector = detector.as_ref().map(|(manifest, _)| manifest);
        let resolved = resolve_camera(id, camera, detector, config.models.sessions());
        let resolved = findings.take(&format!("cameras.{id}"), resolved).flatten();
        cameras.extend(resolved.map(|camera| (id.clone(), camera)));
    }
    findings.0.extend(one_path_twice(config));
    match (detector, embedder, gallery, http) {
        (Some((detector, input)), Some(embedder), Some(gallery), Some(http)) if findings.0.is_empty() => {
            let (models, log, mqtt) = (config.models.clone(), config.log.clone(), mqtt.flatten());
            let restream = restream.filter(|_| cameras.values().any(|camera| camera.restream.is_some()));
            Ok(Resolved { models, detector, input, embedder, gallery, mqtt, webhooks, log, http, restream, cameras })
        }
        _ => Err(findings.0),
    }
}

/// Where systemd puts what a service may know.
fn credentials() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

fn resolve_broker(mqtt: &sink::mqtt::Config) -> Result<Broker, Vec<Problem>> {
    let credentials = credentials();
    let settings = mqtt.resolve(credentials.as_deref())?;
    let credential = credentials.map(|folder| folder.join(sink::mqtt::CREDENTIAL));
    let named = [&mqtt.password_file, &mqtt.ca_file, &mqtt.client_certificate, &mqtt.client_key, &credential];
    let mut digest = Sha256::new();
    for file in named.into_iter().flatten() {
        let content = std::fs::read(file).unwrap_or_default();
        digest.update(content.len().to_le_bytes());
        digest.update(content);
    }
    Ok(Broker { written: mqtt.clone(), files: digest.finalize().into(), settings })
}

/// Each mount is a place of its own.
fn one_path_twice(config: &Config) -> Vec<Problem> {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    let mut problems = Vec::new();
    for (id, camera) in &config.cameras {
        let Some(restream) = &camera.restream else { continue };
        let path = restream.path.as_deref().unwrap_or(id);
        if let Some(other) = owners.insert(path, id) {
            let key = format!("cameras.{id}.restream.path");
            let what = format!("\"{path}\" is where camera {other} is found already");
            problems.push(Problem::new(key, what).remedy("give each camera a path of its own"));
        }
    }
    problems
}

/// `None` where there is nothing wrong with the camera itself, but no detector to resolve it for.
fn resolve_camera(
    id: &str,
    camera: &CameraConfig,
    detector: Option<&Manifest>,
    sessions: usize,
) -> Result<Option<Camera>, Vec<Problem>> {
    let mut findings = Findings::default();
    let privacy_zones = findings.take("", zones("privacy_zones", &camera.privacy_zones)).unwrap_or_default();
    let privacy_zones = privacy_zones.into_iter().map(|zone| zone.polygon).collect();
    let masking =
        detector.map(|manifest| findings.take("", masking::resolve(camera, privacy_zones, manifest)).flatten());
    let preview = detector.zip(masking.as_ref());
    let preview =
        preview.and_then(|(manifest, masking)| findings.take("", masking::preview(camera, masking.as_ref(), manifest)));
    let held = masking.iter().flatten().map(|masking| masking.capacity).sum();
    let source = findings.take("", resolve_source(&camera.source, sessions, held));
    let restream = camera.restream.as_ref().and_then(|restream| findings.take("restream", restream.resolve(id)));
    let restream = restream.map(|mount| Mount { pipelines: camera.source.pipelines.clone(), ..mount });
    let detect = detector.and_then(|manifest| findings.take("", resolve_detect(&camera.detect, manifest)));
    let track = findings.take("track", resolve_track(&camera.track));
    let zones = findings.take("", zones("zones", &camera.zones));
    findings.take("", check_location(camera.location));
    if !findings.0.is_empty() {
        return Err(findings.0);
    }
    let (Some(source), Some(detect), Some(track), Some(zones), Some(preview)) = (source, detect, track, zones, preview)
    else {
        return Ok(None);
    };
    Ok(Some(Camera {
        enabled: camera.enabled,
        source,
        detect,
        analysis_period: Duration::from_secs_f64(1.0 / camera.analysis_fps),
        update_interval: camera.update_interval.0,
        track,
        zones,
        masking: masking.flatten(),
        restream,
        preview,
        snapshots: camera.snapshots,
        location: camera.location,
    }))
}

fn check_location(location: Option<[f64; 2]>) -> Result<(), Vec<Problem>> {
    let is_place = |[latitude, longitude]: [f64; 2]| latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
    if location.is_none_or(is_place) {
        return Ok(());
    }
    let what = "is [latitude, longitude] in degrees: -90 to 90, and -180 to 180";
    Err(vec![Problem::new("location", what)])
}

/// `held` frames wait for their release beside those that are being analysed.
fn resolve_source(source: &source::Config, sessions: usize, held: u32) -> Result<source::Settings, Vec<Problem>> {
    let live = source.uri.target().is_ok_and(|target| target.scheme != Scheme::File);
    let in_file = || u32::try_from(sessions).unwrap_or(u32::MAX).saturating_mul(2).saturating_add(1);
    let in_flight = if live { LIVE_ANALYSES } else { in_file() };
    let settings = source.resolve(in_flight.saturating_add(SLOTS_BESIDE_ANALYSES).saturating_add(held));
    settings.map(|settings| settings.holding(held))
}

/// The schema has judged each threshold alone; what is left is how they stand to each other.
fn resolve_detect(config: &detect::Config, manifest: &Manifest) -> Result<detect::Config, Vec<Problem>> {
    detect::Settings::new(config, manifest)
        .map(|_| config.clone())
        .map_err(|fault| vec![Problem::new("low_score", fault.what).remedy(fault.remedy)])
}

fn resolve_track(config: &track::Config) -> Result<track::Config, Vec<Problem>> {
    if track::Algorithm::by_name(&config.algorithm).is_some() {
        let disorder = scores_out_of_order(config);
        return if disorder.is_empty() { Ok(config.clone()) } else { Err(disorder) };
    }
    let names: Vec<&str> = track::ALGORITHMS.iter().map(|a| a.name).collect();
    let what = format!("\"{}\" is none of {}", config.algorithm, names.join(", "));
    let mut problem = Problem::new("algorithm", what);
    if let Some(near) = super::check::nearest(&config.algorithm, &names) {
        problem.remedy = format!("did you mean \"{near}\"?");
    }
    Err(vec![problem])
}

/// `low_score` ≤ `high_score` ≤ `sure_score`, of those that are written.
fn scores_out_of_order(config: &track::Config) -> Vec<Problem> {
    let scores =
        [("low_score", config.low_score), ("high_score", config.high_score), ("sure_score", config.sure_score)];
    let written: Vec<_> = scores.into_iter().filter_map(|(key, score)| Some((key, score?))).collect();
    let pairs = written.windows(2).filter(|pair| pair[0].1 > pair[1].1);
    pairs
        .map(|pair| {
            let [(lower, low), (upper, high)] = [pair[0], pair[1]];
            Problem::new(lower, format!("{lower} = {low} is greater than {upper} = {high}"))
        })
        .collect()
}

fn zones(list: &str, written: &[ZoneConfig]) -> Result<Vec<Zone>, Vec<Problem>> {
    let (mut zones, mut problems, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (index, zone) in written.iter().enumerate() {
        let key = |key: &str| format!("{list}[{index}].{key}");
        if let Err(what) = check_id(&zone.name) {
            problems.push(Problem::new(key("name"), what));
        } else if !names.insert(&zone.name) {
            problems.push(Problem::new(key("name"), format!("there are two zones named \"{}\"", zone.name)));
        }
        match zone.resolve() {
            Ok(zone) => zones.push(zone),
            Err(what) => problems.push(Problem::new(key("polygon"), what)),
        }
    }
    if problems.is_empty() { Ok(zones) } else { Err(problems) }
}

/// Judges the ids of all cameras, also of those whose settings cannot be read.
pub(super) fn check_ids(root: &Value) -> Vec<Problem> {
    let ids = root.get("cameras").and_then(Value::as_object).into_iter().flat_map(|cameras| cameras.keys());
    let judge = |id: &String| {
        let path = super::path::KeyPath::default().key("cameras").key(id);
        check_id(id).err().map(|what| Problem::new(path.to_string(), what))
    };
    ids.filter_map(judge).collect()
}

/// An id is a level of an MQTT topic, a word of a `unique_id` and a part of a variable's name.
fn check_id(id: &str) -> Result<(), String> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut bytes = id.bytes();
    let sound =
        bytes.next().is_some_and(plain) && bytes.all(|b| plain(b) || matches!(b, b'_' | b'-')) && id.len() <= 63;
    if !sound {
        return Err(format!("{id:?} is not an id: a-z or 0-9, then up to 62 of a-z, 0-9, _ and -"));
    }
    if id.contains("__") {
        return Err(format!("{id:?} holds \"__\", which separates levels in names of variables"));
    }
    if RESERVED.contains(&id) {
        return Err(format!("{id:?} is reserved"));
    }
    Ok(())
}
