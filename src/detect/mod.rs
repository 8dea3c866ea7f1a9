//! Faces in one picture: input from the planes, a model run, a decoder per model family, non-maximum suppression.

use crate::geometry::{Point, Rect};

mod centerface;
mod colour;
mod config;
#[cfg(test)]
mod decoder_tests;
mod detector;
mod family;
mod found;
mod input;
#[cfg(test)]
mod input_tests;
pub mod motion;
mod packed;
mod retinaface;
mod scale;
mod scrfd;
mod ssd;
pub mod still;
mod straight;
mod thumbnail;
mod ultraface;
mod yunet;

pub use colour::ToChannels;
pub use config::{Config, Mode, Settings};
pub use detector::{Detector, Timings};
pub use family::{FAMILIES, Family, Mismatch};
pub use found::Found;
pub use input::{InputMap, Sampler, View, Writer};
pub use thumbnail::Thumbnailer;

/// Five landmarks in frame pixels: image-left eye, image-right eye, nose tip, image-left and image-right mouth corner.
pub type Landmarks = [Point; 5];

/// One face found in one picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// The face's box, in frame pixels; may reach past the frame's edge.
    pub rect: Rect,
    /// The model's confidence, 0 to 1.
    pub score: f32,
    /// Landmarks, for the families that give them.
    pub landmarks: Option<Landmarks>,
}
