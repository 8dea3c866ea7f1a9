//! `visor demo`: a complete system on this machine with nothing configured.

use super::Outcome;
use crate::fault::Fault;

/// Arguments of `visor demo`.
#[derive(clap::Args, Debug)]
pub struct DemoArgs {}

/// Runs the command.
pub fn run(_args: &DemoArgs) -> Outcome {
    Err(Fault::internal("visor demo is not built yet"))
}
