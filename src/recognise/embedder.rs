//! From a face in a picture to an embedding.

use std::sync::Arc;
use std::time::Instant;

use super::align::{self, Affine, Template};
use super::embedding::Embedding;
use super::families::{self, EMBEDDERS, Family};
use super::warp::Warper;
use crate::detect::{Landmarks, ToChannels, View, Writer};
use crate::fault::Fault;
use crate::infer::manifest::EmbeddingSpec;
use crate::infer::{InferError, Input, Model, Outputs, Provider, Values};

/// Faces that a device computes at once. A session on the processor has one thread: there a batch gains nothing and
/// its first face would wait for its last.
const DEVICE_BATCH: usize = 8;

/// Makes embeddings with a model; one for each thread, the model shared. Owns the memory for its input.
pub struct Embedder {
    model: Arc<Model>,
    family: &'static Family,
    template: &'static Template,
    spec: EmbeddingSpec,
    warper: Warper,
    input: Input,
    outputs: Outputs,
}

impl Embedder {
    /// An embedder on `model`, whose family and template must be known.
    pub fn new(model: Arc<Model>) -> Result<Self, Fault> {
        let manifest = model.manifest();
        let wrong = |what: String| Fault::config(format!("model {}: {what}", manifest.name));
        let spec = manifest.embedding.clone().ok_or_else(|| {
            wrong("is no embedder".into()).remedy("models.embedder names one of task embed: visor models list")
        })?;
        let family = families::find(&manifest.family).ok_or_else(|| {
            let known: Vec<_> = EMBEDDERS.iter().map(|family| family.name).collect();
            wrong(format!("no embedder family is named \"{}\"", manifest.family))
                .remedy(format!("known: {}", known.join(", ")))
        })?;
        let template = align::find(&spec.template).ok_or_else(|| {
            wrong(format!("no template is named \"{}\"", spec.template))
                .remedy(format!("known: {}", align::names().join(", ")))
        })?;
        let size = manifest.input.size_of(model.input_shape());
        if (size.width, size.height) != (template.side, template.side) {
            return Err(wrong(format!(
                "its input is {}x{}, but template {} is for {}x{}",
                size.width, size.height, template.name, template.side, template.side
            )));
        }
        let input = Input { shape: model.input_shape(), values: Values::none(manifest.input.kind) };
        Ok(Self { family, template, spec, warper: Warper::default(), input, outputs: Outputs::new(), model })
    }

    /// The model it runs.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// How many numbers an embedding has.
    pub fn dimension(&self) -> usize {
        self.spec.dimension
    }

    /// What its numbers are worth.
    pub fn spec(&self) -> &EmbeddingSpec {
        &self.spec
    }

    /// Cosine similarity from which the model's makers, or measurements, take two pictures for one person.
    pub fn threshold(&self) -> f32 {
        self.spec.threshold
    }

    /// One embedding for each of `faces`, given by their landmarks in pixels of the picture, in the same order. Waits for
    /// a free session until the deadline. A model that gives what is not a finite number has failed.
    pub fn embed<'a>(
        &mut self,
        view: impl Into<View<'a>>,
        faces: &[Landmarks],
        deadline: Instant,
    ) -> Result<Vec<Embedding>, InferError> {
        let view = view.into();
        let mut embeddings = Vec::with_capacity(faces.len());
        for faces in faces.chunks(batch(self.model.provider())) {
            self.fill(view, faces);
            self.model.run(&self.input, deadline, &mut self.outputs)?;
            let read = self.read(faces.len(), &mut embeddings);
            self.outputs.wipe();
            read?;
        }
        Ok(embeddings)
    }

    /// The model's input for `faces`; a benchmark runs the bare session on it.
    pub fn fill(&mut self, view: View<'_>, faces: &[Landmarks]) -> &Input {
        let spec = &self.model.manifest().input;
        let size = spec.size_of(self.input.shape);
        // Few different batches: a device prepares itself for each anew.
        self.input.shape[0] = faces.len().next_power_of_two();
        self.input.values.resize(self.input.shape.iter().product());
        let colour = ToChannels::new(view, spec);
        for (item, face) in faces.iter().enumerate() {
            let place = Affine::to_template(face, &self.template.points);
            self.warper.fill(view, &place, &colour, Writer::new(spec, size, &mut self.input.values, item));
        }
        &self.input
    }

    fn read(&mut self, faces: usize, embeddings: &mut Vec<Embedding>) -> Result<(), InferError> {
        let (name, dimension) = (&self.model.manifest().name, self.spec.dimension);
        let values = self.outputs.first_mut();
        if values.len() < faces * dimension || !values.len().is_multiple_of(dimension) {
            return Err(InferError::Shape(format!(
                "model {name}: expected {dimension} numbers a face, found {} for {faces}",
                values.len()
            )));
        }
        for values in values.chunks_mut(dimension).take(faces) {
            if !values.iter().all(|value| value.is_finite()) {
                return Err(InferError::Failed(format!("model {name}: an embedding is not made of finite numbers")));
            }
            (self.family.finish)(values);
            embeddings.push(Embedding::new(values));
        }
        Ok(())
    }
}

/// Faces that go into one call.
fn batch(provider: Provider) -> usize {
    match provider {
        Provider::Cpu => 1,
        _ => DEVICE_BATCH,
    }
}
