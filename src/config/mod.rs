//! Composes each part's own settings; names every problem at once.
//!
//! What is written ([`Config`], in a file and in variables of the environment) becomes what is needed ([`Resolved`]):
//! everything parsed, every file read, every name found. After that nothing returns a configuration error, and a reload
//! is the difference of two resolved settings.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::event::ZoneConfig;
use crate::fault::{Fault, FaultKind, Problem};
use crate::units::Period;
use crate::{detect, http, infer, mask, recognise, sink, source, track};

mod check;
mod diff;
mod document;
#[cfg(test)]
mod files_tests;
mod masking;
#[cfg(test)]
mod masking_tests;
mod models;
mod notes;
mod path;
mod resolve;
mod schema;
#[cfg(test)]
mod tests;
mod written;

pub use diff::{Changes, diff};
use document::Document;

pub use document::ENV_PREFIX;
pub use masking::{Masking, Preview};
pub use resolve::{Camera, Resolved};
pub use schema::schema;
pub use written::Written;

/// The file that is read where none is named.
pub const DEFAULT_FILE: &str = "/etc/visor/visor.toml";

/// The configuration as it is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct Config {
    /// Which models run, and on what device.
    pub models: infer::Config,
    /// The broker that events go to. Without this table nothing is sent to any broker.
    pub mqtt: Option<sink::mqtt::Config>,
    /// Addresses that events go to over HTTP, one table `[[webhooks]]` each.
    pub webhooks: Vec<sink::webhook::Config>,
    /// What is logged beside the daemon's own doings.
    pub log: sink::log::Config,
    /// Who is known, and how sure Visor must be.
    pub gallery: recognise::Config,
    /// Address for health, metrics and version.
    pub http: http::Config,
    /// Where masked video is served, of the cameras that have a table `restream`.
    pub restream: sink::restream::Config,
    /// The cameras, each under an id of its own: `[a-z0-9][a-z0-9_-]{0,62}`, without `__`.
    pub cameras: BTreeMap<String, CameraConfig>,
}

/// `[cameras.<id>]`: one camera.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct CameraConfig {
    /// Whether the camera is opened at all. Default true.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// Where its pictures come from.
    #[serde(flatten)]
    pub source: source::Config,
    /// What is looked for in them.
    #[serde(flatten)]
    pub detect: detect::Config,
    /// Frames analysed a second, at most; 0.5 to 120. Default 10.
    #[serde(default = "analysis_fps")]
    #[schemars(range(min = 0.5, max = 120.0))]
    pub analysis_fps: f64,
    /// Least time between two `updated` events of one track. A length of time; default `1s`.
    #[serde(default = "update_interval")]
    pub update_interval: Period,
    /// How faces are followed.
    #[serde(default)]
    pub track: track::Config,
    /// Named areas of the picture: an event says in which of them a face is.
    #[serde(default)]
    pub zones: Vec<ZoneConfig>,
    /// Whose faces are hidden, and how, in whatever shows the camera's pictures. Without this table everyone's are, solidly.
    #[serde(default)]
    pub mask: Option<mask::Config>,
    /// Parts of the picture that are always covered, in whatever shows it.
    #[serde(default)]
    pub privacy_zones: Vec<ZoneConfig>,
    /// Masked video over RTSP. Without this table the camera's video goes nowhere.
    #[serde(default)]
    pub restream: Option<sink::restream::CameraConfig>,
    /// Whether the camera can be looked at over HTTP, masked as the table `mask` says: `snapshot.jpg` and `live.mjpeg`. Default:
    /// where nothing speaks against it, such as `detect = "motion"`.
    #[serde(default)]
    pub preview: Option<bool>,
    /// Best shot of each track over MQTT: `off` (default), `masked`, or `clear`, which shows the face.
    #[serde(default)]
    pub snapshots: sink::Snapshots,
    /// Where the camera is, `[latitude, longitude]` in degrees: people's appearances are found by how near they were. Default:
    /// none.
    #[serde(default)]
    pub location: Option<[f64; 2]>,
}

const fn enabled() -> bool {
    true
}

const fn analysis_fps() -> f64 {
    10.0
}

const fn update_interval() -> Period {
    Period(crate::event::DEFAULT_UPDATE_INTERVAL)
}

/// Reads `file`, lays the environment over it and resolves the whole. Starts nothing.
///
/// # Errors
/// Every problem there is.
pub fn load(file: &Path) -> Result<Resolved, Vec<Problem>> {
    Written::read(file)?.resolve()
}

/// What the environment alone leads to.
///
/// # Errors
/// Every problem there is.
pub fn load_environment() -> Result<Resolved, Vec<Problem>> {
    resolve_text("", &variables())
}

/// `[models]` alone, of `file` (of none: the defaults) with the environment over it: what a camera's section holds does
/// not matter to who fetches a model.
///
/// # Errors
/// Every problem of that section, or of a text that is not TOML.
pub fn models(file: Option<&Path>) -> Result<infer::Config, Vec<Problem>> {
    models_of(&file.map_or_else(|| Ok(Zeroizing::default()), read_file)?, &variables())
}

fn models_of(text: &str, variables: &[(String, String)]) -> Result<infer::Config, Vec<Problem>> {
    const SECTION: &str = "models";
    let mut document = Document::parse(text)?;
    let within = |key: &str| key.strip_prefix(SECTION).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let mut problems = document.overlay(variables);
    problems.retain(|problem| within(&problem.key));
    if let Some(sections) = document.value.as_object_mut() {
        sections.retain(|section, _| section == SECTION);
    }
    let mut value = std::mem::take(&mut document.value);
    problems.extend(check::check(&mut value));
    match read(value) {
        Ok(config) if problems.is_empty() => Ok(config.models),
        Ok(_) => Err(document.located(problems)),
        Err(unread) => {
            problems.extend(unread);
            Err(document.located(problems))
        }
    }
}

/// The text goes out of memory with its passwords once it was parsed.
fn read_file(file: &Path) -> Result<Zeroizing<String>, Vec<Problem>> {
    std::fs::read_to_string(file).map(Zeroizing::new).map_err(|e| {
        if e.kind() == ErrorKind::InvalidData {
            let problem = Problem::new("", format!("{} is not text in UTF-8", file.display()));
            return vec![problem.remedy("save it in that encoding")];
        }
        let problem = Problem::new("", format!("cannot read {}: {e}", file.display()));
        vec![problem.remedy("name a file with --config; the annotated default is config/visor.toml")]
    })
}

fn variables() -> Vec<(String, String)> {
    let variables = std::env::vars_os().filter_map(|(name, text)| Some((name.into_string().ok()?, text)));
    variables
        .filter(|(name, _)| name.starts_with(ENV_PREFIX))
        .map(|(name, text)| (name, text.to_string_lossy().into_owned()))
        .collect()
}

/// All problems as one fault, a line each.
pub fn fault(file: &Path, problems: &[Problem]) -> Fault {
    let lines: String = problems.iter().map(|p| format!("\n  {p}")).collect();
    let count = match problems.len() {
        1 => "1 problem".to_owned(),
        n => format!("{n} problems"),
    };
    Fault::new(FaultKind::Config, format!("{}: {count}{lines}", file.display()))
}

/// The settings that `text` and `variables` (name, value) lead to.
///
/// # Errors
/// Every problem there is; of a text that is not TOML only where it breaks.
pub fn resolve_text(text: &str, variables: &[(String, String)]) -> Result<Resolved, Vec<Problem>> {
    Written::of(text.to_owned()).under(variables).resolve()
}

/// What passed the schema, as the parts' own settings.
fn read(value: Value) -> Result<Config, Vec<Problem>> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let key = match error.path().to_string() {
            root if root == "." => String::new(),
            key => key,
        };
        vec![Problem::new(key, crate::telemetry::redact(&error.inner().to_string()))]
    })
}
