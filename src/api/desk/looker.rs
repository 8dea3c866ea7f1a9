//! What a place at the desk has: the models in use, and the memory that they work in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;

use crate::clock::Laps;
use crate::detect::still::{self, Still, Unreadable};
use crate::detect::{self, Detection, Detector, Landmarks, View};
use crate::fault::Fault;
use crate::http::ProblemJson;
use crate::infer::{InferError, Model};
use crate::mask::TestFace;
use crate::pipeline::Recognition;
use crate::recognise::gallery::enroller::MOST_PIXELS;
use crate::recognise::still::{Glance, Rigour};
use crate::recognise::{Closeup, Embedder, Embedding, Landmarker, LookError, Portrait, Verdict};
use crate::supervisor::Engine;

/// How long one picture may wait for free sessions, all of its looks together.
const PATIENCE: Duration = Duration::from_secs(8);

/// Looks at pictures with the models that are in use at the moment. Belongs to one place at the desk.
pub(in crate::api) struct Looker {
    engine: Arc<Engine>,
    sight: Option<Sight>,
    /// How long the parts of the work in hand took so far.
    pub(in crate::api) laps: Laps,
}

/// Made of one set of models; made anew when these are replaced.
struct Sight {
    /// What the engine has, to see when it has another.
    detector: Arc<Model>,
    embedding: Option<Arc<Model>>,
    /// What is worked with: the same sessions, after the cameras.
    deferred: Arc<Model>,
    eyes: Closeup,
    embedder: Option<Embedder>,
    /// Whether the detector has found the built-in face: nothing is masked before.
    proven: bool,
}

impl Looker {
    pub(super) fn new(engine: &Arc<Engine>) -> Self {
        Self { engine: Arc::clone(engine), sight: None, laps: Laps::default() }
    }

    /// Who is known, and the models that know them; `None` while recognition is off.
    pub(in crate::api) fn recognition(&self) -> Option<Arc<Recognition>> {
        self.engine.recognition().load_full()
    }

    /// A picture file's content, decoded within limits, upright.
    ///
    /// # Errors
    /// It is no picture (`415`), too large a one (`413`), or a broken one (`422`).
    pub(in crate::api) fn decode(&mut self, encoded: &[u8]) -> Result<Still, ProblemJson> {
        self.laps.time("decode", || decode(encoded))
    }

    /// Does a part of the work, called `name`, and notes how long it takes.
    pub(in crate::api) fn timed<T>(&mut self, name: &'static str, work: impl FnOnce(&mut Self) -> T) -> T {
        let begun = Instant::now();
        let done = work(self);
        self.laps.add(name, begun.elapsed());
        done
    }

    /// What finds the faces of stills.
    pub(in crate::api) fn eyes(&mut self) -> Result<&mut Closeup, ProblemJson> {
        Ok(&mut self.sight()?.eyes)
    }

    /// A detector with another least score than the model's own.
    pub(in crate::api) fn detector(&mut self, score: f32) -> Result<Detector, ProblemJson> {
        let model = Arc::clone(&self.sight()?.deferred);
        let config = detect::Config { score: Some(score), ..detect::Config::default() };
        detect::Settings::new(&config, model.manifest())
            .and_then(|settings| Detector::new(model, settings))
            .map_err(|fault| ProblemJson::new(StatusCode::BAD_REQUEST, fault.what))
    }

    /// The faces of a still, largest first; looked at twice where it helps.
    pub(in crate::api) fn faces(&mut self, view: View<'_>) -> Result<Vec<Detection>, ProblemJson> {
        self.timed("detect", |looker| looker.eyes()?.faces(view, deadline()).map_err(failed))
    }

    /// The largest face of a still; `None` where there is none.
    pub(in crate::api) fn portrait(&mut self, view: View<'_>) -> Result<Option<Portrait>, ProblemJson> {
        self.sight()?.embedder.as_ref().ok_or_else(recognition_off)?;
        let faces = self.faces(view)?;
        self.timed("embed", |looker| {
            let embedder = looker.sight()?.embedder.as_mut().ok_or_else(recognition_off)?;
            Portrait::of(&faces, embedder, view, deadline()).map_err(unseen)
        })
    }

    /// A verdict for each of the first `most` of these faces, as sure as `rigour` asks.
    pub(in crate::api) fn verdicts(
        &mut self,
        view: View<'_>,
        faces: &[Detection],
        (rigour, most): (Rigour, usize),
    ) -> Result<Vec<Verdict>, ProblemJson> {
        let recognition = self.recognition().ok_or_else(recognition_off)?;
        let embedder = self.sight()?.embedder.as_mut().ok_or_else(recognition_off)?;
        let (people, deadline, laps) = (&recognition.people, deadline(), Laps::default());
        let mut glance = Glance { embedder, people, rigour, most, deadline, laps };
        let verdicts = glance.verdicts(view, faces).map_err(failed);
        let laps = glance.laps;
        self.laps.join(&laps);
        verdicts
    }

    /// The face with these landmarks as numbers, and the name of their model.
    pub(in crate::api) fn numbers(
        &mut self,
        view: View<'_>,
        landmarks: Landmarks,
    ) -> Result<(Embedding, Arc<str>), ProblemJson> {
        self.timed("embed", |looker| {
            let embedder = looker.sight()?.embedder.as_mut().ok_or_else(recognition_off)?;
            let numbers = embedder.embed(view, &[landmarks], deadline()).map_err(failed)?.pop();
            let numbers = numbers.ok_or_else(|| failed(InferError::Shape("no embedding for a face".to_owned())))?;
            Ok((numbers, embedder.model().manifest().name.as_str().into()))
        })
    }

    /// All that a proven detector finds in a still down to its low score, for masks; and the score of a face by itself.
    pub(in crate::api) fn suspects(&mut self, view: View<'_>) -> Result<(Vec<Detection>, f32), ProblemJson> {
        let deadline = deadline();
        self.timed("detect", |looker| looker.sight()?.suspects(view, deadline))
    }

    /// The models in use.
    fn sight(&mut self) -> Result<&mut Sight, ProblemJson> {
        let detector = self.engine.detector().load_full();
        let recognition = self.engine.recognition().load_full();
        let current = self.sight.take().filter(|sight| sight.is_of(&detector, recognition.as_deref()));
        let sight = match current {
            Some(sight) => sight,
            None => Sight::new(detector, recognition.as_deref(), &self.engine)
                .map_err(|fault| ProblemJson::new(StatusCode::SERVICE_UNAVAILABLE, fault.to_string()))?,
        };
        Ok(self.sight.insert(sight))
    }
}

impl Sight {
    fn new(detector: Arc<Model>, recognition: Option<&Recognition>, engine: &Engine) -> Result<Self, Fault> {
        let deferred = |model: &Arc<Model>| {
            let model = Arc::new(model.deferred());
            engine.watch(&model);
            model
        };
        let settings = detect::Settings::new(&detect::Config::default(), detector.manifest())?;
        let eye = deferred(&detector);
        let models = recognition.map(|recognition| &recognition.models);
        let landmarker = models.and_then(|models| models.landmarker.as_ref());
        let landmarker = landmarker.map(|model| Landmarker::new(deferred(model))).transpose()?;
        let embedder = models.map(|models| Embedder::new(deferred(&models.embedder))).transpose()?;
        Ok(Self {
            embedding: models.map(|models| Arc::clone(&models.embedder)),
            eyes: Closeup::new(Detector::new(Arc::clone(&eye), settings)?, landmarker),
            detector,
            deferred: eye,
            embedder,
            proven: false,
        })
    }

    fn suspects(&mut self, view: View<'_>, deadline: Instant) -> Result<(Vec<Detection>, f32), ProblemJson> {
        let Self { eyes, proven, .. } = self;
        let detector = eyes.detector();
        if !*proven {
            TestFace::prove(detector, deadline)
                .map_err(|fault| ProblemJson::new(StatusCode::SERVICE_UNAVAILABLE, fault.to_string()))?;
            *proven = true;
        }
        let found = detector.detect(view, deadline).map_err(failed)?.to_vec();
        Ok((found, detector.settings().score))
    }

    fn is_of(&self, detector: &Arc<Model>, recognition: Option<&Recognition>) -> bool {
        let embedder = recognition.map(|recognition| Arc::as_ptr(&recognition.models.embedder));
        Arc::ptr_eq(&self.detector, detector) && self.embedding.as_ref().map(Arc::as_ptr) == embedder
    }
}

fn decode(encoded: &[u8]) -> Result<Still, ProblemJson> {
    still::read(encoded, MOST_PIXELS).map_err(|unreadable| match unreadable {
        Unreadable::NoPicture => ProblemJson::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "this is no picture that can be read here; send a JPEG, PNG, WebP, BMP or GIF",
        )
        .because("unreadable"),
        Unreadable::TooLarge(what) => {
            ProblemJson::new(StatusCode::PAYLOAD_TOO_LARGE, format!("{what}; send a smaller picture"))
                .because("too_large")
        }
        Unreadable::Broken(what) => {
            let detail = format!("the picture is broken: {}", what.trim_end());
            ProblemJson::new(StatusCode::UNPROCESSABLE_ENTITY, detail).because("unreadable")
        }
    })
}

/// When a look that begins now has to have its session.
pub(in crate::api) fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

/// A model failed, or had no time.
pub(in crate::api) fn failed(error: InferError) -> ProblemJson {
    match error {
        InferError::DeadlinePassed => {
            ProblemJson::new(StatusCode::SERVICE_UNAVAILABLE, "the models are busy with cameras; try again")
                .because("busy")
                .retry_after(1)
        }
        InferError::Shape(_) | InferError::Failed(_) => {
            tracing::error!(%error, "a model failed on a picture");
            ProblemJson::new(StatusCode::INTERNAL_SERVER_ERROR, "a model failed on this picture; the log says how")
        }
    }
}

/// Nothing here can tell people apart.
pub(in crate::api) fn recognition_off() -> ProblemJson {
    let detail = "recognition is off: there is no embedder (visor models pull fetches one), or the gallery is still \
                  being read; GET /readyz says which";
    ProblemJson::new(StatusCode::SERVICE_UNAVAILABLE, detail).because("recognition_off").retry_after(1)
}

fn unseen(error: LookError) -> ProblemJson {
    match error {
        LookError::Infer(error) => failed(error),
        LookError::NoLandmarks => {
            let detail = format!("{error}; fetch it: visor models pull");
            ProblemJson::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        }
    }
}
