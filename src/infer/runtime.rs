//! The loaded runtime, and the `[models]` settings it starts from.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::{AutoDevicePolicy, GraphOptimizationLevel, SessionBuilder};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tracing::info;

use super::library;
use super::manifest::{self, Manifest};
use super::model::Model;
use super::provider::Provider;
use super::store;
use crate::fault::Fault;
use crate::geometry::Size;

/// The models folder of an installed Visor.
const INSTALLED: &str = "/usr/share/visor/models";

/// `[models]`: which models run, where their files are, and on what device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Folder with the models' files and with manifests of your own. Default: `models/store` of the checkout that visor was built
    /// in, `/usr/share/visor/models` where there is none.
    pub folder: Option<PathBuf>,
    /// ONNX Runtime's shared library. Default: `libonnxruntime.so` in `folder`.
    pub library: Option<PathBuf>,
    /// Name of the face detector; `visor models list` shows them.
    pub detector: String,
    /// The detector's input, width x height in pixels, such as `"640x384"`: larger finds smaller faces and takes longer in
    /// proportion. Default: the model's own.
    pub input: Option<InputSize>,
    /// Name of the model that tells people apart; `visor models list` shows them. `"none"` switches recognition off.
    /// Default: `face-reid-0095`, or `dlib-resnet` where the folder has only that; with neither, recognition is off.
    pub embedder: Option<String>,
    /// Device that models run on. One that is not there is an error: nothing else is used instead.
    pub provider: Provider,
    /// Models (or licences) with terms against commercial use that may run, by name.
    pub accept_licences: Vec<String>,
    /// Calls of a model at once, one thread each. Default: the number of cores less one, at least 1.
    pub sessions: Option<NonZeroUsize>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            folder: None,
            library: None,
            detector: store::DEFAULT_DETECTOR.into(),
            input: None,
            embedder: None,
            provider: Provider::Cpu,
            accept_licences: Vec::new(),
            sessions: None,
        }
    }
}

impl Config {
    /// The models folder that is used.
    pub fn folder(&self) -> PathBuf {
        self.folder.clone().unwrap_or_else(|| checkout_store().unwrap_or_else(|| INSTALLED.into()))
    }

    /// The library that is used.
    pub fn library(&self) -> PathBuf {
        self.library.clone().unwrap_or_else(|| self.folder().join("libonnxruntime.so"))
    }

    /// Whether `other` means another library, device or number of sessions: for every model, whichever it is.
    pub fn runtime_differs(&self, other: &Self) -> bool {
        let of = |config: &Self| (config.folder(), config.library(), config.provider, config.sessions());
        of(self) != of(other)
    }

    /// The number of sessions of a model.
    pub fn sessions(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.sessions.map_or(cores.saturating_sub(1).max(1), NonZeroUsize::get)
    }
}

/// `models/store` of the checkout whose `target` folder holds this program.
fn checkout_store() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let target = program.ancestors().find(|folder| folder.file_name().is_some_and(|name| name == "target"))?;
    let models = target.parent()?.join("models");
    models.join("yunet-n.toml").exists().then(|| models.join("store"))
}

/// A width and height in pixels as people write them: `"640x384"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputSize(pub Size);

impl FromStr for InputSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let side = |text: &str| text.trim().parse::<u32>().ok().filter(|side| (1..=8192).contains(side));
        text.split_once(['x', '×'])
            .and_then(|(width, height)| Some(Self(Size::new(side(width)?, side(height)?))))
            .ok_or_else(|| format!("\"{text}\" is not a width and height such as \"640x384\""))
    }
}

impl fmt::Display for InputSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.0.width, self.0.height)
    }
}

impl<'de> Deserialize<'de> for InputSize {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for InputSize {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl JsonSchema for InputSize {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "InputSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "input-size", "description": "width x height in pixels: \"640x384\"" })
    }
}

/// ONNX Runtime, loaded; opens models.
#[derive(Clone, Debug)]
pub struct Runtime {
    environment: Environment,
    config: Config,
}

impl Runtime {
    /// Loads the library that the settings name. A process has one: asking for another later is an error.
    pub fn load(config: &Config) -> Result<Self, Fault> {
        Ok(Self { environment: library::load(&config.library())?, config: config.clone() })
    }

    /// The settings it was loaded with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The manifest of model `name`, from the models folder or built in.
    pub fn manifest(&self, name: &str) -> Result<Manifest, Fault> {
        manifest::find(Some(&self.config.folder()), name)
    }

    /// Opens a model for inputs of dimensions `input` (the batch may differ from call to call), with `sessions` calls at
    /// once: checks licence, file, graph and provider, in this order.
    pub fn open(&self, manifest: &Manifest, sessions: usize, input: [usize; 4]) -> Result<Arc<Model>, Fault> {
        admit_licence(manifest, &self.config.accept_licences)?;
        manifest.size(Some(manifest.input.size_of(input)))?;
        let bytes = store::read(&self.config.folder(), manifest)?;
        let provider = self.config.provider;
        if provider != Provider::Cpu {
            provider.verify(self.settings()?, &bytes)?;
        }
        let sessions = (0..sessions).map(|_| self.session(manifest, &bytes)).collect::<Result<Vec<_>, _>>()?;
        let model = Model::new(manifest.clone(), provider, input, sessions)?;
        info!(model = manifest.name, provider = provider.name(), ?input, sessions = model.sessions(), "model loaded");
        Ok(Arc::new(model))
    }

    fn session(&self, manifest: &Manifest, bytes: &[u8]) -> Result<Session, Fault> {
        self.settings()?.commit_from_memory(bytes).map_err(|e| {
            Fault::unavailable(format!(
                "model {}: ONNX Runtime cannot load {}: {}",
                manifest.name,
                manifest.file,
                e.message()
            ))
        })
    }

    /// Whether the library has the provider that the settings name; what a model needs of it is told by opening one.
    pub fn provider(&self) -> Result<Provider, Fault> {
        self.settings().map(|_| self.config.provider)
    }

    pub(super) fn settings(&self) -> Result<SessionBuilder, Fault> {
        let builder = one_thread(&self.environment)
            .map_err(|e| Fault::internal(format!("ONNX Runtime refuses the session's settings: {}", e.message())))?;
        self.config.provider.add_to(builder)
    }
}

/// Settings of a session that computes on its caller's thread. `PreferCPU`: ort's own default would pick
/// whatever accelerator it finds.
fn one_thread(environment: &Environment) -> ort::Result<SessionBuilder> {
    Ok(Session::builder(environment)?
        .with_auto_device(AutoDevicePolicy::PreferCPU)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_parallel_execution(false)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?)
}

fn admit_licence(manifest: &Manifest, accepted: &[String]) -> Result<(), Fault> {
    if manifest.may_run(accepted) {
        return Ok(());
    }
    Err(Fault::config(format!("model {} may not be used commercially (licence {})", manifest.name, manifest.licence))
        .remedy(format!("if that suits you, set models.accept_licences = [\"{}\"]", manifest.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_size_reads_as_people_write_it() {
        assert_eq!("640x384".parse(), Ok(InputSize(Size::new(640, 384))));
        assert_eq!(InputSize(Size::new(320, 192)).to_string(), "320x192");
        for wrong in ["640", "640x", "0x384", "-1x3", "640x384x3", "99999x32"] {
            let why = wrong.parse::<InputSize>().unwrap_err();
            assert!(why.contains(wrong) && why.contains("such as"), "{why}");
        }
    }

    #[test]
    fn what_is_not_set_follows_the_folder_and_the_machine() {
        let config: Config = toml::from_str("folder = \"/models\"\ninput = \"1280x736\"").unwrap();
        assert_eq!(config.library(), PathBuf::from("/models/libonnxruntime.so"));
        assert_eq!(config.input, Some(InputSize(Size::new(1280, 736))));
        assert_eq!((config.detector.as_str(), config.provider), ("yunet-n", Provider::Cpu));
        assert!(config.sessions() >= 1);
        assert!(Config::default().folder().ends_with("models/store"), "this test runs in a checkout");
        assert!(toml::from_str::<Config>("provider = \"cpu0\"").is_err());
        assert!(toml::from_str::<Config>("detektor = \"yunet-n\"").is_err());
    }
}
