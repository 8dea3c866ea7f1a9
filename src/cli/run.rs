//! `visor run`: the daemon.

use super::Outcome;
use crate::fault::Fault;

/// Arguments of `visor run`.
#[derive(clap::Args, Debug)]
pub struct RunArgs {}

/// Runs the command.
pub fn run(_args: &RunArgs) -> Outcome {
    Err(Fault::internal("visor run is not built yet"))
}
