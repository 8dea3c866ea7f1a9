//! The commands. Each is a file with its arguments and a `run`; errors go to standard error with an exit status by meaning.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::fault::{Fault, FaultKind};
use crate::telemetry;

mod bench;
#[cfg(feature = "media")]
mod camera;
#[cfg(feature = "media")]
mod capture;
mod check;
mod compare;
#[cfg(feature = "media")]
mod daemon;
#[cfg(feature = "media")]
mod demo;
mod detect;
#[cfg(feature = "media")]
mod encode;
mod eval;
mod faces;
mod gallery;
mod mask;
mod models;
mod people;
#[cfg(feature = "media")]
mod processor;
#[cfg(feature = "media")]
mod restream;
#[cfg(feature = "media")]
mod run;
mod schema;
mod settings;
mod track;

/// The clip that `make demo` makes; relative to the checkout.
#[cfg(feature = "media")]
const SAMPLE: &str = ".cache/sample/people.mp4";

/// What a command ends with.
pub type Outcome = Result<ExitCode, Fault>;

/// Watches cameras: finds each face, follows it, and says over MQTT what it sees.
#[derive(Parser, Debug)]
#[command(name = "visor", version, about, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// What to log: a level such as debug, or a list such as visor=debug,warn; goes before RUST_LOG.
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// The daemon.
    #[cfg(feature = "media")]
    Run(run::RunArgs),
    /// Name every problem of a configuration, and print what will be used.
    Check(check::CheckArgs),
    /// A complete system on this machine with nothing configured.
    #[cfg(feature = "media")]
    Demo(demo::DemoArgs),
    /// List, fetch and verify models.
    Models(models::ModelsArgs),
    /// Faces in pictures, or in every frame of a video.
    Detect(detect::DetectArgs),
    /// Whether two pictures show one person.
    Compare(compare::CompareArgs),
    /// Measure recognition on pictures whose people are known.
    Eval(eval::EvalArgs),
    /// Hide the faces of pictures, videos, or folders of them.
    Mask(mask::MaskArgs),
    /// Tracks of a file or URI, or of detections in MOT format.
    Track(track::TrackArgs),
    /// Who is in the gallery's folder, and how well they can be told apart.
    Gallery(gallery::GalleryArgs),
    /// Each stage against the bare decoder and runtime, in one run.
    Bench(bench::BenchArgs),
    /// Print the JSON schema of the configuration.
    Schema(schema::SchemaArgs),
    /// A simulated RTSP camera.
    #[cfg(feature = "media")]
    #[command(hide = true)]
    Camera(Box<camera::CameraArgs>),
    /// The child that reads a camera.
    #[cfg(feature = "media")]
    #[command(hide = true)]
    Capture(capture::CaptureArgs),
    /// The child that encodes masked frames.
    #[cfg(feature = "media")]
    #[command(hide = true)]
    Encode(encode::EncodeArgs),
    /// The child that serves masked video.
    #[cfg(feature = "media")]
    #[command(hide = true)]
    Restream(restream::RestreamArgs),
}

impl Command {
    /// The daemon tells what it does; a command that answers a question speaks of trouble alone.
    const fn default_log(&self) -> &'static str {
        match self {
            // ONNX Runtime warns of each weight of a model that an old exporter wrote: hundreds of lines about nothing.
            #[cfg(feature = "media")]
            Self::Run(_) => "info,ort=error",
            // They say themselves why a file cannot be read, and no camera is waited for.
            Self::Detect(_) | Self::Track(_) | Self::Mask(_) => "warn,ort=error,visor::source=error",
            _ => "warn,ort=error",
        }
    }
}

/// Parses the command line, runs the command, and says on standard error what went wrong.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { FaultKind::Usage.exit_code() } else { 0 });
        }
    };
    let command =
        || telemetry::init(cli.log.as_deref(), cli.command.default_log()).and_then(|()| run_command(&cli.command));
    with_status(command)
}

/// Runs a command and gives the status that it ends with; of one that panics, that of a bug.
fn with_status(command: impl FnOnce() -> Outcome) -> ExitCode {
    // the hook has said where
    let Ok(outcome) = catch_unwind(AssertUnwindSafe(command)) else {
        return ExitCode::from(FaultKind::Internal.exit_code());
    };
    outcome.unwrap_or_else(|fault: Fault| {
        complain(&fault);
        ExitCode::from(fault.kind.exit_code())
    })
}

fn run_command(command: &Command) -> Outcome {
    match command {
        #[cfg(feature = "media")]
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(args),
        #[cfg(feature = "media")]
        Command::Demo(args) => demo::run(args),
        Command::Mask(args) => mask::run(args),
        Command::Models(args) => models::run(args),
        Command::Detect(args) => detect::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Track(args) => track::run(args),
        Command::Gallery(args) => gallery::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Schema(args) => schema::run(args),
        #[cfg(feature = "media")]
        Command::Camera(args) => camera::run(args),
        #[cfg(feature = "media")]
        Command::Capture(args) => capture::run(args),
        #[cfg(feature = "media")]
        Command::Encode(args) => encode::run(args),
        #[cfg(feature = "media")]
        Command::Restream(args) => restream::run(args),
    }
}

/// Says on standard error what is wrong. Where nobody reads it, nobody misses it: `eprintln` would panic.
fn complain(what: &dyn std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "visor: {what}");
}

/// Writes an answer to standard output. A reader that has read enough (`| head`) is no error.
fn print(text: &str) -> Result<(), Fault> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Fault::input(format!("standard output: {e}"))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_ends_with_the_status_of_what_went_wrong_also_by_a_bug() {
        let status = |command: fn() -> Outcome| format!("{:?}", with_status(command));
        let expected = |code: u8| format!("{:?}", ExitCode::from(code));
        assert_eq!(status(|| Ok(ExitCode::SUCCESS)), expected(0));
        assert_eq!(status(|| Err(Fault::unavailable("there is no model"))), expected(69));
        assert_eq!(status(|| panic!("a bug")), expected(70));
    }
}
