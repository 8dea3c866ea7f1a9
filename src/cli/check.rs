//! `visor check`: name every problem of a configuration, and print what will be used.

use super::Outcome;
use crate::fault::Fault;

/// Arguments of `visor check`.
#[derive(clap::Args, Debug)]
pub struct CheckArgs {}

/// Runs the command.
pub fn run(_args: &CheckArgs) -> Outcome {
    Err(Fault::internal("visor check is not built yet"))
}
