//! Five landmarks for faces whose detector gave none.

use std::sync::Arc;
use std::time::Instant;

use super::align::Affine;
use super::warp::Warper;
use crate::detect::{Detection, Landmarks, ToChannels, View, Writer};
use crate::fault::Fault;
use crate::geometry::{Rect, Size};
use crate::infer::manifest::Task;
use crate::infer::{InferError, Input, Model, Outputs, Values};

/// Finds the landmarks in a face's box with `landmarks-regression-retail-0009` or a model like it: five pairs of x and
/// y as shares of the box. One for each thread, the model shared.
pub struct Landmarker {
    model: Arc<Model>,
    size: Size,
    warper: Warper,
    input: Input,
    outputs: Outputs,
}

impl Landmarker {
    /// A landmarker on `model`.
    pub fn new(model: Arc<Model>) -> Result<Self, Fault> {
        let manifest = model.manifest();
        if manifest.task != Task::Landmarks {
            return Err(Fault::config(format!("model {} finds no landmarks", manifest.name)));
        }
        let shape = model.input_shape();
        let mut input = Input { shape, values: Values::none(manifest.input.kind) };
        input.shape[0] = 1;
        input.values.resize(input.shape.iter().product());
        let size = manifest.input.size_of(shape);
        Ok(Self { size, warper: Warper::default(), input, outputs: Outputs::new(), model })
    }

    /// The model it runs.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Gives landmarks to those of `faces` that have none.
    pub fn complete<'a>(
        &mut self,
        view: impl Into<View<'a>>,
        faces: &mut [Detection],
        deadline: Instant,
    ) -> Result<(), InferError> {
        let view = view.into();
        for face in faces.iter_mut().filter(|face| face.landmarks.is_none()) {
            face.landmarks = Some(self.find(view, face.rect, deadline)?);
        }
        Ok(())
    }

    /// The landmarks of the face in `rect`, in pixels of the picture.
    pub fn find<'a>(
        &mut self,
        view: impl Into<View<'a>>,
        rect: Rect,
        deadline: Instant,
    ) -> Result<Landmarks, InferError> {
        let (view, spec) = (view.into(), &self.model.manifest().input);
        let place = Affine::of_rect(rect, self.size);
        let colour = ToChannels::new(view, spec);
        self.warper.fill(view, &place, &colour, Writer::new(spec, self.size, &mut self.input.values, 0));
        self.model.run(&self.input, deadline, &mut self.outputs)?;
        let name = &self.model.manifest().name;
        let shares: &[f32; 10] = (&*self.outputs.first_mut())
            .try_into()
            .map_err(|_| InferError::Shape(format!("model {name}: five landmarks are ten numbers")))?;
        if !shares.iter().all(|share| share.is_finite()) {
            return Err(InferError::Failed(format!("model {name}: a landmark is not made of finite numbers")));
        }
        let (width, height) = (self.size.width as f32, self.size.height as f32);
        Ok(std::array::from_fn(|i| place.at(shares[2 * i] * width, shares[2 * i + 1] * height)))
    }
}
