//! `visor restream`: the child that serves masked video by RTSP. Started by the daemon, never by hand.

use super::Outcome;
use crate::restream::serve;

/// What to serve comes over its standard input.
#[derive(clap::Args, Debug)]
pub struct RestreamArgs {}

/// Runs the child to its end.
pub fn run(_: &RestreamArgs) -> Outcome {
    serve::run()
}
