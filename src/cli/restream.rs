//! `visor restream`: the child that serves masked video by RTSP. Started by the daemon, never by hand.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::Outcome;
use crate::restream::{bare, serve};

/// What to serve comes over its standard input.
#[derive(clap::Args, Debug)]
pub struct RestreamArgs {
    /// Encode the first pictures of this file instead, at 30 a second, again and again, and let go of what comes out: for the
    /// benchmark.
    #[arg(long, value_name = "FILE", requires = "live")]
    bare: Option<PathBuf>,
    /// With --bare: for so many seconds.
    #[arg(long, value_name = "N")]
    live: Option<u64>,
    /// With --bare: with as many threads as the encoder likes.
    #[arg(long, requires = "bare")]
    own_threads: bool,
}

/// Runs the child to its end.
pub fn run(args: &RestreamArgs) -> Outcome {
    let (Some(file), Some(seconds)) = (&args.bare, args.live) else { return serve::run() };
    bare::encode_live(file, Duration::from_secs(seconds), args.own_threads)?;
    Ok(ExitCode::SUCCESS)
}
