//! `visor detect`: faces in pictures, or in every frame of a video.

use super::Outcome;
use crate::fault::Fault;

/// Arguments of `visor detect`.
#[derive(clap::Args, Debug)]
pub struct DetectArgs {}

/// Runs the command.
pub fn run(_args: &DetectArgs) -> Outcome {
    Err(Fault::internal("visor detect is not built yet"))
}
