//! `visor schema`: print the JSON schema of the configuration.

use std::process::ExitCode;

use super::Outcome;
use crate::config;
use crate::fault::Fault;

/// Arguments of `visor schema`.
#[derive(clap::Args, Debug)]
pub struct SchemaArgs {}

/// Runs the command.
pub fn run(_args: &SchemaArgs) -> Outcome {
    let text = serde_json::to_string_pretty(config::schema()).map_err(|e| Fault::internal(e.to_string()))?;
    super::print(&format!("{text}\n"))?;
    Ok(ExitCode::SUCCESS)
}
