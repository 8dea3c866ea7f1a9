//! `visor track`: tracks of a file or URI, or of detections in MOT format.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::Outcome;
use crate::fault::{Fault, FaultKind};
use crate::track::mot::{self, BadLine, FrameBoxes};
use crate::track::{ALGORITHMS, Algorithm, Config, Tracker};

/// Bad lines that are named before the rest is only counted.
const NAMED_LINES: usize = 20;

/// Arguments of `visor track`.
#[derive(clap::Args, Debug)]
pub struct TrackArgs {
    /// Detections in MOT format: frame,id,x,y,w,h[,score,…] in pixels, frames from 1.
    #[arg(long, value_name = "FILE", requires = "fps")]
    detections: PathBuf,
    /// Frames a second of the detections.
    #[arg(long, value_name = "N")]
    fps: Option<f64>,
    /// Tracking algorithm.
    #[arg(long, value_name = "NAME", value_parser = ALGORITHMS.iter().map(|a| a.name).collect::<Vec<_>>())]
    algorithm: Option<String>,
}

/// Runs the command.
pub fn run(args: &TrackArgs) -> Outcome {
    let fps = args.fps.filter(|fps| *fps >= 0.001 && *fps <= 1000.0);
    let fps = fps.ok_or_else(|| Fault::new(FaultKind::Usage, "--fps must be a number from 0.001 to 1000"))?;
    let frames = read(&args.detections)?;
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
