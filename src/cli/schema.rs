//! `visor schema`: print the JSON schema of the configuration.

use super::Outcome;
use crate::fault::Fault;

/// Arguments of `visor schema`.
#[derive(clap::Args, Debug)]
pub struct SchemaArgs {}

/// Runs the command.
pub fn run(_args: &SchemaArgs) -> Outcome {
    Err(Fault::internal("visor schema is not built yet"))
}
