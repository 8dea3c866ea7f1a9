//! `visor eval`: how well recognition does on pictures whose people are known.

use super::Outcome;

mod pairs;
mod tracks;

/// Arguments of `visor eval`.
#[derive(clap::Args, Debug)]
pub struct EvalArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    /// Verification: whether pairs of pictures show one person.
    Pairs(pairs::PairsArgs),
    /// Identification: what several small faces of one person say together, against the best of them alone.
    Tracks(tracks::TracksArgs),
}

/// Runs the command.
pub fn run(args: &EvalArgs) -> Outcome {
    match &args.what {
        What::Pairs(args) => pairs::run(args),
        What::Tracks(args) => tracks::run(args),
    }
}
