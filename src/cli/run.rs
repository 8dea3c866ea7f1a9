//! `visor run`: the daemon.

use std::path::PathBuf;

use super::Outcome;
use super::daemon::Daemon;
use crate::config;

/// Arguments of `visor run`.
#[derive(clap::Args, Debug)]
pub struct RunArgs {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = config::DEFAULT_FILE)]
    config: PathBuf,
}

/// Runs the command.
pub fn run(args: &RunArgs) -> Outcome {
    let settings = config::load(&args.config).map_err(|problems| config::fault(&args.config, &problems))?;
    let mut daemon = Daemon::start(settings, Some(&args.config), |_| Ok(()))?;
    let end = daemon.serve(|_| false);
    Ok(daemon.shut_down(end))
}
