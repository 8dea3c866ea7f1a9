//! `visor run`: the daemon.

use std::path::PathBuf;

use super::Outcome;
use super::daemon::{Daemon, Origin};
use crate::config::{self, Written};
use crate::fault::Problem;

/// Arguments of `visor run`.
#[derive(clap::Args, Debug)]
pub struct RunArgs {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = config::DEFAULT_FILE)]
    config: PathBuf,
}

/// Runs the command.
pub fn run(args: &RunArgs) -> Outcome {
    let wrong = |problems: Vec<Problem>| config::fault(&args.config, &problems);
    let written = Written::read(&args.config).map_err(wrong)?;
    let settings = written.resolve().map_err(wrong)?;
    let mut daemon = Daemon::start(settings, Origin { written, file: Some(args.config.clone()) }, |_| Ok(()))?;
    let end = daemon.serve(|_| false);
    Ok(daemon.shut_down(end))
}
