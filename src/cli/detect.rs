//! `visor detect`: faces in pictures, or in every frame of a video.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Outcome;
use super::settings::{ModelSource, input_size, may_run};
use crate::config;
use crate::detect::{Config, Detector, Settings, View, still};
use crate::fault::{Fault, FaultKind};
use crate::infer::{InputSize, Runtime};
use crate::recognise::GradedFace;
use crate::recognise::grading::grade;

#[cfg(feature = "media")]
mod video;

/// How long one picture may wait for the model; nothing else uses it here.
const PATIENCE: Duration = Duration::from_secs(60);

/// Arguments of `visor detect`.
#[derive(clap::Args, Debug)]
pub struct DetectArgs {
    /// Pictures (JPEG, PNG, WebP, BMP, GIF, PNM), videos, or folders of them.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print a line of JSON for each picture or frame.
    #[arg(long)]
    json: bool,
    /// Detector to use; `visor models list` shows them.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// The model's input in pixels, such as 1280x736: larger finds smaller faces.
    #[arg(long, value_name = "WxH")]
    input: Option<InputSize>,
    /// Least score of a face, 0 to 1.
    #[arg(long, value_parser = score)]
    score: Option<f32>,
    #[command(flatten)]
    source: ModelSource,
}

fn score(text: &str) -> Result<f32, String> {
    let within = text.parse().ok().filter(|score| (0.0..=1.0).contains(score));
    within.ok_or_else(|| "must be a number from 0 to 1".to_owned())
}

/// Runs the command.
pub fn run(args: &DetectArgs) -> Outcome {
    let mut detector = detector(args)?;
    let mut printer = Printer { json: args.json, out: std::io::stdout().lock(), unread: false };
    let mut failed = false;
    for path in args.files.iter().flat_map(|path| expand(path)) {
        let done = path.and_then(|path| file(&path, &mut detector, &mut printer));
        match done {
            _ if printer.unread => break,
            Err(fault) if fault.kind == FaultKind::Input => {
                failed = true;
                super::complain(&fault);
            }
            other => other?,
        }
    }
    Ok(if failed { ExitCode::from(FaultKind::Input.exit_code()) } else { ExitCode::SUCCESS })
}

fn detector(args: &DetectArgs) -> Result<Detector, Fault> {
    let config::Resolved { models, detector, input, .. } = args.source.resolved()?;
    let runtime = Runtime::load(&models)?;
    let (manifest, size) = match &args.model {
        Some(name) => (runtime.manifest(name).map_err(Fault::from_command_line)?, None),
        None => (detector, Some(input)),
    };
    may_run(&manifest, &models)?;
    let size = input_size(&manifest, args.input, size)?;
    let thresholds = Settings::new(&Config { score: args.score, ..Config::default() }, &manifest)?;
    let model = runtime.open(&manifest, 1, manifest.input.shape(1, size))?;
    Detector::new(model, thresholds)
}

/// The file itself, or the files in a folder by name.
fn expand(path: &Path) -> Vec<Result<PathBuf, Fault>> {
    if !path.is_dir() {
        return vec![Ok(path.to_owned())];
    }
    let unreadable = |e: std::io::Error| Fault::input(format!("{}: {e}", path.display()));
    let entries = match path.read_dir() {
        Ok(entries) => entries,
        Err(e) => return vec![Err(unreadable(e))],
    };
    let mut files: Vec<_> = entries.map(|entry| entry.map(|e| e.path()).map_err(unreadable)).collect();
    files.retain(|file| file.as_ref().map_or(true, |file| file.is_file()));
    files.sort_by(|a, b| a.as_ref().ok().cmp(&b.as_ref().ok()));
    files
}

/// Detects in a picture, or in each frame of what is none.
fn file(path: &Path, detector: &mut Detector, printer: &mut Printer<impl Write>) -> Result<(), Fault> {
    match still::open(path)? {
        Some(still) => analyse(still.view(), Place { file: path, frame: None, time: None }, detector, printer),
        None => frames(path, detector, printer),
    }
}

#[cfg(feature = "media")]
fn frames(path: &Path, detector: &mut Detector, printer: &mut Printer<impl Write>) -> Result<(), Fault> {
    video::each_frame(path, |frame, number| {
        let place = Place { file: path, frame: Some(number), time: Some(frame.stamp.pts) };
        analyse(frame.picture().into(), place, detector, printer)
    })
}

#[cfg(not(feature = "media"))]
fn frames(path: &Path, _: &mut Detector, _: &mut Printer<impl Write>) -> Result<(), Fault> {
    Err(Fault::input(format!("{}: not a picture", path.display())).remedy("this build reads pictures only"))
}

/// Where a picture comes from: a file, or a frame of it at a time.
#[derive(Clone, Copy)]
struct Place<'a> {
    file: &'a Path,
    frame: Option<u64>,
    time: Option<Duration>,
}

/// Detects in one picture or frame and prints what was found.
fn analyse(
    view: View<'_>,
    place: Place<'_>,
    detector: &mut Detector,
    printer: &mut Printer<impl Write>,
) -> Result<(), Fault> {
    let faces = grade(view, detector, Instant::now() + PATIENCE)
        .map_err(|e| Fault::internal(format!("{}: {e}", place.file.display())))?;
    let size = view.size();
    printer.print(&Line {
        file: place.file.display().to_string(),
        frame: place.frame,
        time: place.time.map(|time| time.as_secs_f64()),
        width: size.width,
        height: size.height,
        faces,
    })
}

/// What is printed for one picture or frame.
#[derive(Serialize)]
struct Line {
    file: String,
    frame: Option<u64>,
    time: Option<f64>,
    width: u32,
    height: u32,
    faces: Vec<GradedFace>,
}

struct Printer<W> {
    json: bool,
    out: W,
    /// The reader has read enough (`| head`), which is no error: the rest is not worth the work.
    unread: bool,
}

impl<W: Write> Printer<W> {
    fn print(&mut self, line: &Line) -> Result<(), Fault> {
        let text = if self.json { json(line)? } else { table(line) };
        writeln!(self.out, "{text}").map_err(|e| {
            self.unread = e.kind() == std::io::ErrorKind::BrokenPipe;
            Fault::input(format!("standard output: {e}"))
        })
    }
}

fn json(line: &Line) -> Result<String, Fault> {
    serde_json::to_string(line).map_err(|e| Fault::internal(format!("{}: {e}", line.file)))
}

/// For people: a heading, and a row a face.
fn table(line: &Line) -> String {
    let faces = match line.faces.len() {
        1 => "1 face".to_owned(),
        n => format!("{n} faces"),
    };
    let frame = line.frame.zip(line.time).map_or(String::new(), |(n, time)| format!(", frame {n} at {time:.3} s"));
    let mut text = format!("{}{frame}: {}x{}, {faces}", line.file, line.width, line.height);
    for face in &line.faces {
        let [x, y, w, h] = face.rect;
        let reason = face.reason.map_or(String::new(), |reason| format!(", {}", reason.name()));
        text += &format!("\n  {w:>7.1} x {h:<7.1} at {x:>7.1},{y:<7.1}  score {:.3}", face.score);
        text += &format!("  quality {:.2}{reason}", face.quality);
    }
    text
}
