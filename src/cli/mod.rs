//! The commands. Each is a file with its arguments and a `run`; errors go to standard error with an exit status by meaning.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::fault::{Fault, FaultKind};

mod bench;
#[cfg(feature = "media")]
mod camera;
mod check;
mod demo;
mod detect;
mod models;
mod run;
mod schema;
mod settings;
mod track;

/// What a command ends with.
pub type Outcome = Result<ExitCode, Fault>;

/// Watches cameras: finds each face, follows it, and tells the world over MQTT.
#[derive(Parser, Debug)]
#[command(name = "visor", version, about, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// The daemon.
    Run(run::RunArgs),
    /// Name every problem of a configuration, and print what will be used.
    Check(check::CheckArgs),
    /// A complete system on this machine with nothing configured.
    Demo(demo::DemoArgs),
    /// List, fetch and verify models.
    Models(models::ModelsArgs),
    /// Faces in pictures, or in every frame of a video.
    Detect(detect::DetectArgs),
    /// Tracks of a file or URI, or of detections in MOT format.
    Track(track::TrackArgs),
    /// Each stage against the bare decoder and runtime, in one run.
    Bench(bench::BenchArgs),
    /// Print the JSON schema of the configuration.
    Schema(schema::SchemaArgs),
    /// A simulated RTSP camera.
    #[cfg(feature = "media")]
    #[command(hide = true)]
    Camera(Box<camera::CameraArgs>),
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
    let outcome = match &cli.command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Models(args) => models::run(args),
        Command::Detect(args) => detect::run(args),
        Command::Track(args) => track::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Schema(args) => schema::run(args),
        #[cfg(feature = "media")]
        Command::Camera(args) => camera::run(args),
    };
    outcome.unwrap_or_else(|fault: Fault| {
        eprintln!("visor: {fault}");
        ExitCode::from(fault.kind.exit_code())
    })
}
