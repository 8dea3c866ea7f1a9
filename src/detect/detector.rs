//! The detector: owns all memory that an analysis needs, so that a warm one allocates nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Detection;
use super::config::Settings;
use super::family::{self, FAMILIES, Family};
use super::found::Found;
use super::input::{InputMap, Sampler, View};
use crate::fault::Fault;
use crate::geometry::Size;
use crate::infer::{InferError, Model, Outputs, Seat};

/// How long the parts of one analysis took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Planes to the model's input.
    pub input: Duration,
    /// The model, with waiting for a free session.
    pub model: Duration,
    /// Outputs to faces.
    pub decode: Duration,
}

impl Timings {
    /// All parts together.
    pub fn total(self) -> Duration {
        self.input + self.model + self.decode
    }
}

/// Finds faces with a model; one for each thread that analyses, the model shared.
pub struct Detector {
    model: Arc<Model>,
    family: &'static Family,
    settings: Settings,
    sampler: Sampler,
    outputs: Outputs,
    found: Found,
    faces: Vec<Detection>,
    timings: Timings,
}

impl Detector {
    /// A detector on `model`, whose family must be known.
    pub fn new(model: Arc<Model>, settings: Settings) -> Result<Self, Fault> {
        let manifest = model.manifest();
        let family = family::find(&manifest.family).ok_or_else(|| {
            let known: Vec<_> = FAMILIES.iter().map(|family| family.name).collect();
            Fault::config(format!("model {}: no family is named \"{}\"", manifest.name, manifest.family))
                .remedy(format!("known: {}", known.join(", ")))
        })?;
        let sampler = Sampler::new(&manifest.input, model.input_shape());
        let (outputs, found) = (Outputs::new(), Found::new(settings.low_score));
        Ok(Self { model, family, settings, sampler, outputs, found, faces: Vec::new(), timings: Timings::default() })
    }

    /// The faces of one picture, strongest first: boxes in its pixels, scores down to the low score. A model that
    /// gives what is not a finite number has failed: a face could have been there.
    pub fn detect<'a>(&mut self, view: impl Into<View<'a>>, deadline: Instant) -> Result<&[Detection], InferError> {
        self.detect_after(view, deadline, |_| {})
    }

    /// The same, after `check` has had the session that is going to look.
    pub fn detect_after<'a>(
        &mut self,
        view: impl Into<View<'a>>,
        deadline: Instant,
        check: impl FnOnce(&mut Seat<'_>),
    ) -> Result<&[Detection], InferError> {
        let view = view.into();
        let start = Instant::now();
        let (input, map) = self.sampler.fill(view);
        let filled = Instant::now();
        let mut seat = self.model.seat(deadline)?;
        let seated = Instant::now();
        check(&mut seat);
        let checked = Instant::now();
        seat.run(input, &mut self.outputs)?;
        drop(seat);
        let ran = Instant::now();
        self.decode(view.size(), map)?;
        let model = (seated - filled) + (ran - checked);
        self.timings = Timings { input: filled - start, model, decode: ran.elapsed() };
        Ok(&self.faces)
    }

    /// The faces of one picture, by a certain session of the model.
    pub fn detect_on<'a>(
        &mut self,
        seat: &mut Seat<'_>,
        view: impl Into<View<'a>>,
    ) -> Result<&[Detection], InferError> {
        let view = view.into();
        let (input, map) = self.sampler.fill(view);
        seat.run(input, &mut self.outputs)?;
        self.decode(view.size(), map)?;
        Ok(&self.faces)
    }

    /// How long the parts of the last successful [`Detector::detect`] took.
    pub fn timings(&self) -> Timings {
        self.timings
    }

    /// A number for what the model gave at the last [`Detector::detect`]: the same only for outputs that are the same bit for bit.
    pub fn mark(&self) -> u64 {
        self.outputs.mark()
    }

    /// What it works with.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Size of the model's input.
    pub fn size(&self) -> Size {
        self.sampler.size()
    }

    /// Where a picture of size `frame` lies in the model's input.
    pub fn map(&self, frame: Size) -> InputMap {
        InputMap::new(frame, self.sampler.size(), self.model.manifest().input.resize)
    }

    /// The model it runs.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    fn decode(&mut self, frame: Size, map: InputMap) -> Result<(), InferError> {
        let name = &self.model.manifest().name;
        if self.outputs.are_constant() {
            return Err(InferError::Failed(format!("model {name}: its outputs are empty or all the same")));
        }
        self.found.clear();
        (self.family.decode)(&self.outputs, self.sampler.size(), &mut self.found)
            .map_err(|e| InferError::Shape(format!("model {name}, family {}: {e}", self.family.name)))?;
        match self.found.unsound() {
            0 => {}
            n => return Err(InferError::Failed(format!("model {name}: {n} faces are not made of finite numbers"))),
        }
        let faces = self.found.suppress(self.settings.nms).iter().map(|face| in_frame(face, map));
        self.faces.clear();
        self.faces.extend(faces.filter(|face| {
            let rect = face.rect;
            rect.w.min(rect.h) >= self.settings.min_face_px && rect.clamped(frame).area() > 0.0
        }));
        Ok(())
    }
}

/// A face in frame pixels instead of the model's.
fn in_frame(face: &Detection, map: InputMap) -> Detection {
    Detection {
        rect: map.rect(face.rect),
        score: face.score,
        landmarks: face.landmarks.map(|points| points.map(|p| map.point(p))),
    }
}
