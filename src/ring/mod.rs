//! Frames cross from child to brain in sealed shared memory.

mod environment;

pub use environment::{ENVIRONMENT, INHERITED};
