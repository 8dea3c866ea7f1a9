//! ONNX Runtime: the library, model manifests, sessions and tensors. The only module that names `ort`.
//!
//! [`Runtime::load`] loads the library, [`Runtime::open`] checks a model's file against its [`Manifest`] and makes a pool
//! of sessions of it, [`Model::run`] runs a batch on whichever session is free before a deadline. Sessions have one
//! thread each, the caller's: a machine is filled by calling from several threads, which costs less per picture
//! than sharing one picture among cores.

mod convert;
mod digest;
mod fetch;
mod library;
pub mod manifest;
mod model;
mod pool;
mod provider;
mod runtime;
pub mod source;
pub mod store;
mod tensor;
#[cfg(test)]
pub(crate) mod tests;
mod trials;

pub use fetch::Fetcher;
pub use library::{Uploader, uploader, version as library_version};
pub use manifest::Manifest;
pub use model::{InferError, Model, Seat};
pub use provider::Provider;
pub use runtime::{Config, InputSize, Runtime};
pub use tensor::{Input, Outputs, TensorView, Values};
pub use trials::{Standing, Trial, Trials};
