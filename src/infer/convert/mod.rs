//! How the file in the store is made from what a source gives, where that is another format. Pure functions of bytes: the
//! same bytes give the same model on every machine, so that both sides can be pinned by their hashes.
//!
//! | module | what happens there |
//! |---|---|
//! | [`dynamic`] | an ONNX graph's fixed picture size becomes any |
//! | [`ir`] [`openvino`] | OpenVINO's XML and weights → ONNX |
//! | [`face_api`] | face-api's weights of dlib's network → ONNX |
//! | [`onnx`] [`protobuf`] | writing a model, reading and writing its wire format |

mod dynamic;
mod face_api;
mod ir;
mod onnx;
mod openvino;
mod protobuf;
#[cfg(test)]
mod tests;

use super::manifest::Manifest;
use super::source::Transform;
use protobuf::Malformed;

/// A file that a source gave.
pub(super) struct Part {
    /// What to call it in an error.
    pub name: String,
    pub bytes: Vec<u8>,
}

/// What the outside of a model is called.
struct Shape<'a> {
    input: &'a str,
    output: &'a str,
}

/// The model's file made of `parts`; an error names the part, what was expected and what was found.
pub(super) fn apply(transform: Transform, parts: &[Part], manifest: &Manifest) -> Result<Vec<u8>, Malformed> {
    let shape = Shape { input: &manifest.input.name, output: manifest.outputs.first().map_or("", |spec| &spec.name) };
    match (transform, parts) {
        (Transform::DynamicNchw, [model]) => {
            dynamic::dynamic_nchw(&model.bytes, shape.input).map_err(|why| format!("{}: {why}", model.name))
        }
        (Transform::OpenvinoIr, [xml, bin]) => openvino::convert(xml, bin, &shape),
        (Transform::FaceApi, [manifest, weights]) => face_api::convert(manifest, weights, &shape),
        _ => Err(format!("expected {} files, found {}", transform.parts(), parts.len())),
    }
}
