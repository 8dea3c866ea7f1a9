//! `visor models`: list, fetch and verify models.

use super::Outcome;
use crate::fault::Fault;

/// Arguments of `visor models`.
#[derive(clap::Args, Debug)]
pub struct ModelsArgs {}

/// Runs the command.
pub fn run(_args: &ModelsArgs) -> Outcome {
    Err(Fault::internal("visor models is not built yet"))
}
