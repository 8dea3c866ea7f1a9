//! `visor eval`: how well recognition does on pictures whose people are known.

use super::Outcome;

mod pairs;

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
}

/// Runs the command.
pub fn run(args: &EvalArgs) -> Outcome {
    match &args.what {
        What::Pairs(args) => pairs::run(args),
    }
}
