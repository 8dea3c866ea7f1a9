//! What commands that recognise people in pictures share: their options, the models, and the face of a picture.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::settings::{self, ModelSource, may_run};
use crate::config::Resolved;
use crate::detect::{self, Detection, Detector, Landmarks, View, still};
use crate::fault::Fault;
use crate::infer::store::{self, LANDMARKER, State};
use crate::infer::{Config, InferError, Manifest, Model, Runtime};
use crate::recognise::gallery::{self, Enroller};
use crate::recognise::{self, Closeup, Embedder, Embedding, Gallery, Landmarker, LookError, Portrait};

/// How long one picture may wait for a model; nothing but this command uses it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Options for the models.
#[derive(clap::Args, Debug)]
pub struct ModelArgs {
    /// Model that tells people apart; `visor models list` shows them.
    #[arg(long, value_name = "NAME")]
    embedder: Option<String>,
    /// Model that finds the faces.
    #[arg(long, value_name = "NAME")]
    detector: Option<String>,
    #[command(flatten)]
    source: ModelSource,
}

impl ModelArgs {
    /// `[gallery]` of the configuration.
    pub fn gallery(&self) -> Result<recognise::Config, Fault> {
        Ok(settings::resolved(self.source.config.as_deref())?.gallery)
    }
}

/// The models, loaded.
pub struct Models {
    detector: Arc<Model>,
    landmarker: Option<Arc<Model>>,
    embedder: Arc<Model>,
    sessions: usize,
}

impl Models {
    /// Loads what the options and the configuration lead to, with at most `sessions` calls at once.
    pub fn load(args: &ModelArgs, sessions: usize) -> Result<Self, Fault> {
        let Resolved { models, detector, input, embedder, .. } = args.source.resolved()?;
        let runtime = Runtime::load(&models)?;
        let (detector, input) = match &args.detector {
            Some(name) => (runtime.manifest(name)?, None),
            None => (detector, Some(input)),
        };
        let embedder = match &args.embedder {
            Some(name) => runtime.manifest(name)?,
            None => chosen(&models, embedder)?,
        };
        let sessions = sessions.min(models.sessions());
        let open = |manifest: &Manifest, size| {
            may_run(manifest, &models)?;
            runtime.open(manifest, sessions, manifest.input.shape(1, manifest.size(size)?))
        };
        let landmarker = runtime.manifest(LANDMARKER)?;
        let landmarker = match store::state(&models.folder(), &landmarker) {
            State::Ready => Some(open(&landmarker, None)?),
            State::Missing | State::Wrong(_) => None,
        };
        Ok(Self { detector: open(&detector, input)?, landmarker, embedder: open(&embedder, None)?, sessions })
    }

    /// How many may look at pictures at once.
    pub fn sessions(&self) -> usize {
        self.sessions
    }

    /// One who enrols pictures into a gallery of its own.
    pub fn enroller(&self, config: &recognise::Config) -> Result<Enroller, Fault> {
        let (detector, landmarker) = self.eyes()?;
        let embedder = Embedder::new(Arc::clone(&self.embedder))?;
        let settings = gallery::Settings {
            threshold: config.threshold,
            margin: config.margin,
            tags: config.tags.clone(),
            ..gallery::Settings::of(&embedder)
        };
        Enroller::new(detector, landmarker, embedder, Gallery::new(settings))
    }

    /// One who looks at pictures.
    pub fn viewer(&self) -> Result<Viewer, Fault> {
        let (detector, landmarker) = self.eyes()?;
        Ok(Viewer { eyes: Closeup::new(detector, landmarker), embedder: Embedder::new(Arc::clone(&self.embedder))? })
    }

    fn eyes(&self) -> Result<(Detector, Option<Landmarker>), Fault> {
        let thresholds = detect::Settings::new(&detect::Config::default(), self.detector.manifest())?;
        let detector = Detector::new(Arc::clone(&self.detector), thresholds)?;
        let landmarker = self.landmarker.as_ref().map(|model| Landmarker::new(Arc::clone(model))).transpose()?;
        Ok((detector, landmarker))
    }
}

/// The embedder of the configuration; where that names none, the best that is in the folder.
fn chosen(models: &Config, resolved: Option<Manifest>) -> Result<Manifest, Fault> {
    let folder = models.folder();
    let found = match &models.embedder {
        Some(_) => resolved,
        None => store::best_embedder(&folder)?,
    };
    found.ok_or_else(|| match &models.embedder {
        Some(_) => {
            Fault::config("recognition is switched off (models.embedder)").remedy("name a model with --embedder")
        }
        None => Fault::unavailable(format!("no model that tells people apart in {}", folder.display()))
            .remedy("fetch one: visor models pull"),
    })
}

/// Looks at pictures, one after the other.
pub struct Viewer {
    eyes: Closeup,
    embedder: Embedder,
}

impl Viewer {
    /// The model's own threshold for a pair.
    pub fn threshold(&self) -> f32 {
        self.embedder.threshold()
    }

    /// The largest face of a picture file; `None` where there is none.
    pub fn look(&mut self, path: &Path) -> Result<Option<Portrait>, Fault> {
        let Some(still) = still::open(path)? else {
            return Err(Fault::input(format!("{}: not a picture", path.display())));
        };
        let portrait = self.eyes.portrait(&mut self.embedder, still.view(), Instant::now() + PATIENCE);
        portrait.map_err(|error| match error {
            LookError::Infer(error) => Fault::internal(format!("{}: {error}", path.display())),
            LookError::NoLandmarks => no_landmarks(),
        })
    }

    /// The faces of a picture, largest first.
    pub fn faces(&mut self, view: View<'_>) -> Result<Vec<Detection>, InferError> {
        self.eyes.faces(view, Instant::now() + PATIENCE)
    }

    /// The face with these landmarks as numbers.
    pub fn embed(&mut self, view: View<'_>, landmarks: &Landmarks) -> Result<Embedding, InferError> {
        let mut embeddings = self.embedder.embed(view, &[*landmarks], Instant::now() + PATIENCE)?;
        embeddings.pop().ok_or_else(|| InferError::Shape("no embedding for a face".into()))
    }
}

/// The landmarks of a face; without them it cannot be aligned.
pub fn landmarks(face: &Detection) -> Result<Landmarks, Fault> {
    face.landmarks.ok_or_else(no_landmarks)
}

fn no_landmarks() -> Fault {
    Fault::unavailable(LookError::NoLandmarks.to_string()).remedy(format!("fetch it: visor models pull {LANDMARKER}"))
}
