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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::geometry::{Point, Size};
    use crate::infer::{Config, Runtime};

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// An embedder of the checkout's models, where they are there.
    fn embedder(name: &str) -> Option<Embedder> {
        let config = Config {
            library: std::env::var_os("VISOR_TEST_LIBRARY").map(PathBuf::from),
            accept_licences: vec![name.into()],
            ..Config::default()
        };
        let manifest = crate::infer::manifest::find(None, name).unwrap();
        if !config.library().exists() || !config.folder().join(&manifest.file).exists() {
            eprintln!("skipped: {} or the library is not in {}", manifest.file, config.folder().display());
            return None;
        }
        let runtime = Runtime::load(&config).unwrap();
        let model = runtime.open(&manifest, 1, manifest.input.shape(1, manifest.size(None).unwrap())).unwrap();
        Some(Embedder::new(model).unwrap())
    }

    /// A picture with structure at every scale, and places in it.
    fn scene() -> (Vec<u8>, Vec<Landmarks>) {
        let bytes =
            (0..320 * 240 * 3u32).map(|i| ((i / 3 % 320) * (i / 960) / 37 + i % 3 * 40 + i / 50) as u8).collect();
        let place = |n: usize| align::TEMPLATES[0].points.map(|p| Point::new(p.x * 0.8 + 40.0 * n as f32, p.y + 20.0));
        (bytes, (0..5).map(place).collect())
    }

    #[test]
    fn alone_is_as_in_a_batch() {
        for name in ["face-reid-0095", "dlib-resnet", "mobilefacenet-y1"] {
            let Some(mut embedder) = embedder(name) else { continue };
            let (bytes, faces) = scene();
            let view = View::Rgb { size: Size::new(320, 240), bytes: &bytes };
            let alone: Vec<Embedding> =
                faces.iter().flat_map(|face| embedder.embed(view, &[*face], soon()).unwrap()).collect();
            let together = embedder.embed(view, &faces, soon()).unwrap();
            let model = Arc::clone(embedder.model());
            // What a device would be given: all of them in one call, filled up to eight.
            let (mut outputs, mut batch) = (Outputs::new(), Vec::new());
            model.run(embedder.fill(view, &faces), soon(), &mut outputs).unwrap();
            embedder.outputs = outputs;
            embedder.read(faces.len(), &mut batch).unwrap();
            assert_eq!((together.len(), batch.len()), (5, 5));
            for (i, alone) in alone.iter().enumerate() {
                assert!(alone.cosine(&together[i]) > 0.99999 && alone.cosine(&batch[i]) > 0.99999, "{name}, face {i}");
            }
            assert!(alone[0].cosine(&alone[4]) < 0.9999, "{name}: different places, different numbers");
        }
    }

    #[test]
    fn what_is_no_embedder_or_has_another_size_is_refused() {
        let Some(embedder) = embedder("face-reid-0095") else { return };
        assert_eq!((embedder.dimension(), embedder.threshold()), (256, embedder.spec.threshold));
        let runtime = Runtime::load(&Config {
            library: std::env::var_os("VISOR_TEST_LIBRARY").map(PathBuf::from),
            ..Config::default()
        })
        .unwrap();
        let check = |change: &dyn Fn(&mut EmbeddingSpec), family: &str, expected: &str| {
            let mut manifest = embedder.model.manifest().clone();
            manifest.embedding.iter_mut().for_each(change);
            manifest.family = family.into();
            let model = runtime.open(&manifest, 1, manifest.input.shape(1, manifest.size(None).unwrap())).unwrap();
            let fault = Embedder::new(model).err().unwrap().to_string();
            assert!(fault.contains(expected), "{fault}");
        };
        check(
            &|spec| spec.template = "arcface-112".into(),
            "openvino-reid",
            "128x128, but template arcface-112 is for 112x112",
        );
        check(&|spec| spec.template = "reid".into(), "openvino-reid", "no template is named \"reid\"; known: reid-128");
        check(&|_| {}, "openvino", "no embedder family is named \"openvino\"; known: openvino-reid");
    }
}
