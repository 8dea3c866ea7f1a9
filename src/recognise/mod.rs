//! A track becomes a person: aligned embeddings, a gallery in memory, and an identity that holds over time.
//!
//! | module | what happens there |
//! |---|---|
//! | [`embedding`] | what a model says of a face |
//! | [`identity`] | who a track is, and why not |
//! | [`align`] [`warp`] | a face as a model wants it, straight from the planes |
//! | [`landmarks`] | landmarks for detectors that give none |
//! | [`quality`] | how fit a face is for recognition |
//! | [`families`] [`embedder`] | aligned face → embedding |
//! | [`gallery`] | the people who are known, in memory only |

pub mod align;
mod config;
pub mod embedder;
pub mod embedding;
pub mod families;
pub mod gallery;
pub mod identity;
pub mod landmarks;
pub mod quality;
pub mod warp;

pub use config::Config;
pub use embedder::Embedder;
pub use embedding::Embedding;
pub use gallery::Gallery;
pub use identity::{Change, Identity, Quality, Reason, Verdict};
pub use landmarks::Landmarker;
