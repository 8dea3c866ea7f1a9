//! `visor capture`: the child that reads a camera. Started by the daemon, never by hand.

use super::Outcome;

/// It has no arguments: what to open comes over its standard input.
#[derive(clap::Args, Debug)]
pub struct CaptureArgs {}

/// Runs the child to its end.
pub fn run(_: &CaptureArgs) -> Outcome {
    crate::capture::run()
}
