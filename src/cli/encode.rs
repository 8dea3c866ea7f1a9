//! `visor encode`: the child that turns masked frames into a file. Started by `visor mask`, never by hand.

use std::path::PathBuf;

use super::Outcome;
use crate::restream::{encode, join};
use crate::ring::out::Container;

/// Frames come over its standard input's socket and shared memory; the file is its standard output.
#[derive(clap::Args, Debug)]
pub struct EncodeArgs {
    /// Put the video of MASKED and the sound of SOURCE together instead.
    #[arg(long, num_args = 2, value_names = ["MASKED", "SOURCE"])]
    join: Option<Vec<PathBuf>>,
    /// Write Matroska, not MP4, where --join is given.
    #[arg(long, requires = "join")]
    mkv: bool,
}

/// Runs the child to its end.
pub fn run(args: &EncodeArgs) -> Outcome {
    match args.join.as_deref() {
        Some([masked, source]) => join::run(masked, source, if args.mkv { Container::Mkv } else { Container::Mp4 }),
        _ => encode::run(),
    }
}
