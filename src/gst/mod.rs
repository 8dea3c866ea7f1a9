//! What both child roles share: confinement, the plugins they load, pipeline texts, caps, and what errors mean.
//!
//! The environment that a child is started with is part of this: see [`crate::ring::ENVIRONMENT`].

pub mod caps;
mod confine;
pub mod meaning;
mod memory;
mod plugins;
mod text;
mod threads;

pub use confine::{Confinement, confine};
pub use memory::{Memory, on_abort};
pub use plugins::start;
pub use text::text;
pub use threads::{USUAL_FPS, threads};
