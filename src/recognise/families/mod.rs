//! Embedder families: what a model's numbers mean, one file a family, one line each in [`EMBEDDERS`].
//!
//! How a picture becomes the model's input is not theirs: the manifest says it (channels, mean, scale, template), as
//! two exports of one network may differ in it.

mod arcface;
mod dlib_resnet;
mod facenet;
mod openvino_reid;
mod sface;

/// Embedders that share the meaning of their output.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The name in manifests.
    pub name: &'static str,
    /// Turns a model's output for one face into numbers whose cosine tells people apart.
    pub finish: fn(&mut [f32]),
}

/// All families; a new one is a file and a line here.
pub const EMBEDDERS: &[Family] = &[
    Family { name: "openvino-reid", finish: openvino_reid::finish },
    Family { name: "dlib-resnet", finish: dlib_resnet::finish },
    Family { name: "arcface", finish: arcface::finish },
    Family { name: "sface", finish: sface::finish },
    Family { name: "facenet", finish: facenet::finish },
];

/// The family of this name.
pub fn find(name: &str) -> Option<&'static Family> {
    EMBEDDERS.iter().find(|family| family.name == name)
}
