//! `visor track`: tracks of a file or URI, or of detections in MOT format.

use super::Outcome;
use crate::fault::Fault;

/// Arguments of `visor track`.
#[derive(clap::Args, Debug)]
pub struct TrackArgs {}

/// Runs the command.
pub fn run(_args: &TrackArgs) -> Outcome {
    Err(Fault::internal("visor track is not built yet"))
}
