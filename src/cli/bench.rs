//! `visor bench`: each stage against the bare decoder and runtime, in one run.

use super::Outcome;
use crate::fault::Fault;

/// Arguments of `visor bench`.
#[derive(clap::Args, Debug)]
pub struct BenchArgs {}

/// Runs the command.
pub fn run(_args: &BenchArgs) -> Outcome {
    Err(Fault::internal("visor bench is not built yet"))
}
