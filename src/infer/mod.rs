//! ONNX Runtime: the library, model manifests, sessions and tensors. The only module that names `ort`.

mod tensor;

pub use tensor::{Input, Outputs, TensorView, Values};
