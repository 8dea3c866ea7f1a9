//! `visor capture`: the child that reads a camera. Started by the daemon, never by hand.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::{Outcome, print};
use crate::capture::{self, bare};
use crate::fault::Fault;

/// What to open comes over its standard input.
#[derive(clap::Args, Debug)]
pub struct CaptureArgs {
    /// Decode this file instead, let go of the pictures, and print how long that took: for the benchmark.
    #[arg(long, value_name = "FILE")]
    bare: Option<PathBuf>,
    /// With --bare: at the file's own pace, again and again for so many seconds.
    #[arg(long, value_name = "N", requires = "bare")]
    live: Option<u64>,
    /// With --live: with as many threads as the decoder likes.
    #[arg(long, requires = "live")]
    own_threads: bool,
}

/// Runs the child to its end.
pub fn run(args: &CaptureArgs) -> Outcome {
    let Some(file) = &args.bare else { return capture::run() };
    let spread = if args.own_threads { bare::Spread::Parts } else { bare::Spread::Fitted };
    let decoded = match args.live {
        Some(seconds) => bare::decode_live(file, Duration::from_secs(seconds), spread)?,
        None => bare::decode(file)?,
    };
    let decoded = serde_json::to_string(&decoded).map_err(|e| Fault::internal(e.to_string()))?;
    print(&format!("{decoded}\n"))?;
    Ok(ExitCode::SUCCESS)
}
