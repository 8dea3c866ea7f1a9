//! `visor track`: tracks of a file or URI, or of detections in MOT format.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::Outcome;
use crate::fault::{Fault, FaultKind};
use crate::infer::InputSize;
use crate::track::mot::{self, BadLine, FrameBoxes};
use crate::track::{ALGORITHMS, Algorithm, Config, Tracker};

#[cfg(feature = "media")]
mod source;

/// Bad lines that are named before the rest is only counted.
const NAMED_LINES: usize = 20;

/// How tracks are printed.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `frame,id,x,y,w,h,score,-1,-1,-1`: confirmed tracks that were seen, frames from 1.
    Mot,
    /// A line of JSON for each frame, with all tracks.
    Json,
}

/// Arguments of `visor track`.
#[derive(clap::Args, Debug)]
pub struct TrackArgs {
    /// A video file, or a URI such as a camera has in the configuration.
    #[arg(value_name = "SOURCE", required_unless_present = "detections", conflicts_with = "detections")]
    source: Option<String>,
    /// How to print.
    #[arg(long, value_enum, default_value = "mot", conflicts_with = "detections")]
    format: Format,
    /// Detector to use; `visor models list` shows them. Default: the configuration's.
    #[arg(long, value_name = "NAME", conflicts_with = "detections")]
    model: Option<String>,
    /// The model's input in pixels, such as 1280x736: larger finds smaller faces.
    #[arg(long, value_name = "WxH", conflicts_with = "detections")]
    input: Option<InputSize>,
    /// Configuration whose models are used. Default: /etc/visor/visor.toml where that is there.
    #[arg(long, value_name = "FILE", conflicts_with = "detections")]
    config: Option<PathBuf>,
    /// Folder with a folder of pictures for each person: says in `--format json` who each track is.
    #[arg(long, value_name = "FOLDER", conflicts_with = "detections")]
    gallery: Option<PathBuf>,
    /// The tracker alone, on detections in MOT format: frame,id,x,y,w,h[,score,…] in pixels, frames from 1.
    #[arg(long, value_name = "FILE", requires = "fps")]
    detections: Option<PathBuf>,
    /// Frames a second of the detections.
    #[arg(long, value_name = "N", requires = "detections")]
    fps: Option<f64>,
    /// Tracking algorithm.
    #[arg(long, value_name = "NAME", value_parser = ALGORITHMS.iter().map(|a| a.name).collect::<Vec<_>>())]
    algorithm: Option<String>,
}

impl TrackArgs {
    #[cfg(feature = "media")]
    fn algorithm(&self) -> String {
        self.algorithm.clone().unwrap_or_else(|| Config::default().algorithm)
    }
}

/// Runs the command.
pub fn run(args: &TrackArgs) -> Outcome {
    match (&args.source, &args.detections) {
        (_, Some(detections)) => on_detections(detections, args),
        #[cfg(feature = "media")]
        (Some(source), None) => source::run(source, args),
        _ => Err(Fault::unavailable("this visor was built without media: it cannot open a source")
            .remedy("build it with default features, or give --detections")),
    }
}

fn on_detections(detections: &Path, args: &TrackArgs) -> Outcome {
    let fps = args.fps.filter(|fps| *fps >= 0.001 && *fps <= 1000.0);
    let fps = fps.ok_or_else(|| Fault::new(FaultKind::Usage, "--fps must be a number from 0.001 to 1000"))?;
    let frames = read(detections)?;
    let mut tracker = tracker(args.algorithm.as_deref())?;
    match print_tracks(tracker.as_mut(), &frames, fps) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Fault::unavailable(format!("cannot write the tracks: {error}")))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn tracker(name: Option<&str>) -> Result<Box<dyn Tracker>, Fault> {
    let config = Config::default();
    let name = name.unwrap_or(&config.algorithm);
    let algorithm = Algorithm::by_name(name).ok_or_else(|| {
        let known: Vec<&str> = ALGORITHMS.iter().map(|a| a.name).collect();
        Fault::new(FaultKind::Usage, format!("there is no tracking algorithm \"{name}\""))
            .remedy(format!("choose one of {}", known.join(", ")))
    })?;
    Ok(algorithm.build(&config))
}

fn read(path: &Path) -> Result<Vec<FrameBoxes>, Fault> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Fault::input(format!("cannot read the detections {}: {error}", path.display())))?;
    mot::parse(&text).map_err(|bad| {
        Fault::input(format!("{}: {}", path.display(), listed(&bad)))
            .remedy("each line must be frame,id,x,y,w,h[,score,…] with frames from 1 and boxes in pixels")
    })
}

fn listed(bad: &[BadLine]) -> String {
    let mut names: Vec<String> = bad.iter().take(NAMED_LINES).map(BadLine::to_string).collect();
    if bad.len() > NAMED_LINES {
        names.push(format!("and {} more lines", bad.len() - NAMED_LINES));
    }
    names.join("; ")
}

fn print_tracks(tracker: &mut dyn Tracker, frames: &[FrameBoxes], fps: f64) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut lines = String::new();
    let mut outcome = Ok(());
    mot::replay(tracker, frames, fps, |frame, tracks| {
        lines.clear();
        mot::write_frame(&mut lines, frame, tracks);
        if outcome.is_ok() {
            outcome = out.write_all(lines.as_bytes());
        }
    });
    outcome.and_then(|()| out.flush())
}
