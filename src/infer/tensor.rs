//! Input and output tensors: buffers that live as long as their owner, so that a warm loop allocates nothing.

use zeroize::Zeroize;

use super::manifest::Kind;

/// Values that go into a model.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// Bytes, for models that do their own preprocessing.
    U8(Vec<u8>),
}

impl Values {
    /// Of this type, none yet.
    pub fn none(kind: Kind) -> Self {
        match kind {
            Kind::F32 => Self::F32(Vec::new()),
            Kind::U8 => Self::U8(Vec::new()),
        }
    }

    /// Makes it `count` values; new ones are 0.
    pub fn resize(&mut self, count: usize) {
        match self {
            Self::F32(values) => values.resize(count, 0.0),
            Self::U8(values) => values.resize(count, 0),
        }
    }
}

/// One input tensor, batch first.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Dimensions, in the model's own order (NCHW or NHWC).
    pub shape: [usize; 4],
    /// `shape[0] * shape[1] * shape[2] * shape[3]` values.
    pub values: Values,
}

/// The output tensors of one run, in the order of the manifest's `outputs`, reused from run to run.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    tensors: Vec<OwnedTensor>,
}

#[derive(Clone, Debug, Default)]
struct OwnedTensor {
    shape: Vec<usize>,
    data: Vec<f32>,
}

/// Of so many values one counts for [`Outputs::mark`]: pictures that differ at all differ in most of them.
const MARK_STEP: usize = 7;

/// Of the hash FNV-1a.
const MARK_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const MARK_PRIME: u64 = 0x0000_0100_0000_01b3;

/// A borrowed output tensor.
#[derive(Clone, Copy, Debug)]
pub struct TensorView<'a> {
    /// Dimensions, batch first.
    pub shape: &'a [usize],
    /// Values, row-major.
    pub data: &'a [f32],
}

impl Outputs {
    /// Empty; filled by the first run.
    pub fn new() -> Self {
        Self::default()
    }

    /// A number that is the same for the same outputs, bit for bit, and hardly ever for others.
    pub fn mark(&self) -> u64 {
        let values = self.tensors.iter().flat_map(|tensor| tensor.data.iter().step_by(MARK_STEP));
        values.fold(MARK_BASIS, |mark, value| (mark ^ u64::from(value.to_bits())).wrapping_mul(MARK_PRIME))
    }

    /// Number of tensors of the last run.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether nothing was run yet.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// Tensor `index` in the manifest's order.
    pub fn get(&self, index: usize) -> Option<TensorView<'_>> {
        self.tensors.get(index).map(|t| TensorView { shape: &t.shape, data: &t.data })
    }

    /// The values of the first tensor, to be worked on; empty where there is none.
    pub fn first_mut(&mut self) -> &mut [f32] {
        self.tensors.first_mut().map_or(&mut [], |tensor| &mut tensor.data)
    }

    /// Overwrites the last run's values and forgets them: they may be personal.
    pub fn wipe(&mut self) {
        self.tensors.iter_mut().for_each(|tensor| tensor.data.zeroize());
        self.clear();
    }

    /// Whether every tensor is one value again and again, or has none: no model says that of a picture.
    pub fn are_constant(&self) -> bool {
        let constant = |tensor: &OwnedTensor| tensor.data.windows(2).all(|pair| pair[0].to_bits() == pair[1].to_bits());
        self.tensors.iter().all(constant)
    }

    /// Forgets the last run's values, not their memory.
    pub(super) fn clear(&mut self) {
        for tensor in &mut self.tensors {
            tensor.shape.clear();
            tensor.data.clear();
        }
    }

    /// Adds the items of a tensor to those of place `index`, which has the same dimensions but for the batch.
    pub(super) fn append(&mut self, index: usize, shape: &[i64], data: &[f32]) {
        if self.tensors.len() <= index {
            self.tensors.resize_with(index + 1, OwnedTensor::default);
        }
        let place = &mut self.tensors[index];
        match (place.shape.first_mut(), shape.first()) {
            (Some(batch), Some(&more)) => *batch += more as usize,
            _ => place.shape.extend(shape.iter().map(|&n| n as usize)),
        }
        place.data.extend_from_slice(data);
    }

    /// Copies a tensor in, reusing the place's memory. Also the way in for recorded tensors in tests.
    pub fn set(&mut self, index: usize, shape: &[usize], data: &[f32]) {
        if self.tensors.len() <= index {
            self.tensors.resize_with(index + 1, OwnedTensor::default);
        }
        let place = &mut self.tensors[index];
        place.shape.clear();
        place.shape.extend_from_slice(shape);
        place.data.clear();
        place.data.extend_from_slice(data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_tells_outputs_apart() {
        let outputs = |values: &[f32]| {
            let mut outputs = Outputs::new();
            outputs.append(0, &[1, values.len() as i64], values);
            outputs.mark()
        };
        let values: Vec<f32> = (0..70).map(|n| n as f32 / 7.0).collect();
        let other: Vec<f32> = values.iter().map(|value| value + 1e-6).collect();
        assert_eq!(outputs(&values), outputs(&values));
        assert_ne!(outputs(&values), outputs(&other));
        assert_ne!(outputs(&[0.0; 70]), outputs(&[0.0; 140]));
    }
}
