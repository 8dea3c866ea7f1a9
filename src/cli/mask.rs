//! `visor mask`: the faces of pictures and videos hidden, by the same path that cameras take.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use serde::Serialize;

use super::{Outcome, complain, print};
use crate::detect::still;
use crate::fault::{Fault, FaultKind};
use crate::infer::InputSize;
use crate::mask::{Config, KINDS, Settings, Shape, Who};

#[cfg(feature = "media")]
mod encoder;
mod engine;
#[cfg(feature = "media")]
mod eyes;
#[cfg(feature = "media")]
mod looks;
mod people;
mod picture;
#[cfg(feature = "media")]
mod video;

use engine::Loading;

/// How far a video's masks look ahead.
const LOOKAHEAD_MS: u64 = 1000;

/// What becomes of a video's sound.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Audio {
    /// It is left out: voices, too, are known.
    Drop,
    /// It is taken over as it is.
    Keep,
}

/// Arguments of `visor mask`.
#[derive(clap::Args, Debug)]
pub struct MaskArgs {
    /// A picture, a video, or a folder of them.
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The file to write, or a folder: for a folder of files, or for the same name in another place.
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// What takes a face's place; blur can be undone in part.
    #[arg(long, default_value = KINDS[0].name, value_parser = KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>())]
    kind: String,
    /// Who is masked.
    #[arg(long, value_enum, default_value = "everyone")]
    who: Who,
    /// A person, by id, or a tag whose people are not masked; may be given several times.
    #[arg(long, value_name = "NAME")]
    exempt: Vec<String>,
    /// Folder with a folder of pictures for each person who is known. Default: the configuration's gallery.folder.
    #[arg(long, value_name = "FOLDER")]
    gallery: Option<PathBuf>,
    /// The form of a mask.
    #[arg(long, value_enum, default_value = "box")]
    shape: Shape,
    /// Hide the face alone, from forehead to chin, and not the whole head.
    #[arg(long)]
    face_only: bool,
    /// Colour of solid masks.
    #[arg(long, value_name = "#RRGGBB", default_value = "#000000")]
    colour: String,
    /// Picture for --kind image.
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// What becomes of a video's sound.
    #[arg(long, value_enum, default_value = "drop")]
    audio: Audio,
    /// Replace files that are there already.
    #[arg(long)]
    overwrite: bool,
    /// Print a line of JSON for each file.
    #[arg(long)]
    json: bool,
    /// The detector's input in pixels, such as 1280x736: larger finds smaller faces.
    #[arg(long, value_name = "WxH")]
    size: Option<InputSize>,
    /// Configuration to take the models' settings from.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// A line of `--json`.
#[derive(Serialize)]
struct Line {
    file: String,
    frames: u64,
    /// Faces of a picture; different faces that were followed through a video.
    faces: u64,
    seconds: f64,
    fps: f64,
}

/// What was done with one file.
struct Done {
    frames: u64,
    faces: u64,
    /// Frames that could not be proven, and of which nothing is shown.
    covered: u64,
}

/// Runs the command.
pub fn run(args: &MaskArgs) -> Outcome {
    let settings = settings(args)?;
    let files = files(args)?;
    let engine = Loading::new(args)?;
    std::thread::scope(|scope| {
        // whoever needs it first waits for it, and says what is wrong with it
        scope.spawn(|| engine.engine().is_ok());
        all(args, &engine, &settings, files)
    })
}

/// Masks one file after the other.
fn all(args: &MaskArgs, engine: &Loading<'_>, settings: &Settings, files: Vec<(PathBuf, PathBuf)>) -> Outcome {
    let mut failed = None;
    for (input, output) in files {
        let began = Instant::now();
        let masked = check_output(args, &input, &output).and_then(|()| mask(args, engine, settings, (&input, &output)));
        engine.engine()?;
        match masked {
            Ok(done) => report(args, &input, &done, began)?,
            // the others may be masked all the same
            Err(fault) => {
                complain(&fault);
                failed.get_or_insert(fault.kind);
            }
        }
    }
    Ok(failed.map_or(ExitCode::SUCCESS, |kind| ExitCode::from(kind.exit_code())))
}

fn settings(args: &MaskArgs) -> Result<Settings, Fault> {
    let config = Config {
        who: args.who,
        exempt: args.exempt.clone(),
        kind: args.kind.clone(),
        shape: args.shape,
        colour: args.colour.clone(),
        image: args.image.clone(),
        whole_head: !args.face_only,
        lookahead_ms: LOOKAHEAD_MS,
        ..Config::default()
    };
    config.resolve(Vec::new()).map_err(|problems| {
        let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
        Fault::usage(texts.join("; "))
    })
}

/// Pairs of what is read and what is written.
fn files(args: &MaskArgs) -> Result<Vec<(PathBuf, PathBuf)>, Fault> {
    let MaskArgs { input, output, .. } = args;
    if !input.is_dir() {
        let name = input.file_name().unwrap_or_default();
        let output = if output.is_dir() { output.join(name) } else { output.clone() };
        return Ok(vec![(input.clone(), output)]);
    }
    let unreadable = |e: std::io::Error| Fault::input(format!("{}: {e}", input.display()));
    let same = |path: &Path| path.canonicalize().ok();
    if same(input).is_some() && same(input) == same(output) {
        return Err(Fault::usage("IN and OUT are the same folder").remedy("name another folder for the masked files"));
    }
    std::fs::create_dir_all(output).map_err(|e| Fault::input(format!("{}: {e}", output.display())))?;
    let mut names = Vec::new();
    for entry in input.read_dir().map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if entry.path().is_file() {
            names.push(entry.file_name());
        }
    }
    names.sort();
    Ok(names.into_iter().map(|name| (input.join(&name), writable(output.join(&name)))).collect())
}

/// The same name where files of that kind can be written; a video's otherwise.
fn writable(path: PathBuf) -> PathBuf {
    const KEPT: [&str; 10] = ["jpg", "jpeg", "png", "webp", "bmp", "gif", "mp4", "m4v", "mov", "mkv"];
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    if KEPT.contains(&extension.as_str()) { path } else { path.with_extension("mp4") }
}

fn check_output(args: &MaskArgs, input: &Path, output: &Path) -> Result<(), Fault> {
    if !output.exists() {
        return Ok(());
    }
    if input.canonicalize().ok() == output.canonicalize().ok() {
        return Err(Fault::usage(format!("{} would be written over itself", input.display())));
    }
    match args.overwrite {
        true => Ok(()),
        false => {
            Err(Fault::usage(format!("{} is there already", output.display())).remedy("add --overwrite to replace it"))
        }
    }
}

fn mask(
    args: &MaskArgs,
    engine: &Loading<'_>,
    settings: &Settings,
    (input, output): (&Path, &Path),
) -> Result<Done, Fault> {
    match still::open(input)? {
        Some(still) => picture::mask(engine.engine()?, settings, &still, output),
        None => video(args, engine, settings, (input, output)),
    }
}

#[cfg(feature = "media")]
fn video(args: &MaskArgs, engine: &Loading<'_>, settings: &Settings, files: (&Path, &Path)) -> Result<Done, Fault> {
    video::mask(engine, settings, files, args.audio == Audio::Keep)
}

#[cfg(not(feature = "media"))]
fn video(args: &MaskArgs, _: &Loading<'_>, _: &Settings, (input, _): (&Path, &Path)) -> Result<Done, Fault> {
    let sound = if args.audio == Audio::Keep { " and no sound" } else { "" };
    Err(Fault::input(format!("{}: not a picture", input.display()))
        .remedy(format!("this build reads pictures only{sound}")))
}

fn report(args: &MaskArgs, input: &Path, done: &Done, began: Instant) -> Result<(), Fault> {
    let seconds = began.elapsed().as_secs_f64();
    let Done { frames, faces, covered } = *done;
    let rounded = |value: f64| (value * 1e3).round() / 1e3;
    let fps = rounded(frames as f64 / seconds.max(1e-3));
    let file = input.display().to_string();
    if covered > 0 {
        complain(&format!(
            "{file}: {covered} of {frames} frames are wholly covered, as nothing proves what is in them"
        ));
    }
    if args.json {
        let line = Line { file, frames, faces, seconds: rounded(seconds), fps };
        let json = serde_json::to_string(&line).map_err(|e| Fault::internal(e.to_string()))?;
        return print(&format!("{json}\n"));
    }
    let plural = |count: u64, one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
    let (frames, faces) = (plural(frames, "frame"), plural(faces, "face"));
    let what = if args.who == Who::Everyone && args.exempt.is_empty() { "masked" } else { "found" };
    print(&format!("{file}: {frames}, {faces} {what}, {seconds:.1} s, {fps:.0} frames/s\n"))
}

/// A file that is written under another name until it is whole, and removed where it never is.
struct Unfinished {
    path: PathBuf,
    target: PathBuf,
}

impl Unfinished {
    fn new(target: &Path) -> Self {
        let mut name = std::ffi::OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(".part");
        Self { path: target.with_file_name(name), target: target.to_owned() }
    }

    fn create(&self) -> Result<std::fs::File, Fault> {
        std::fs::File::options()
            .write(true)
            .read(true)
            .create(true)
            .truncate(true)
            .open(&self.path)
            .map_err(|e| self.fault(&e))
    }

    fn fault(&self, error: &dyn std::fmt::Display) -> Fault {
        Fault::new(FaultKind::Input, format!("cannot write {}: {error}", self.target.display()))
    }

    fn finish(self) -> Result<(), Fault> {
        std::fs::rename(&self.path, &self.target).map_err(|e| self.fault(&e))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // after a rename there is none of that name
        let _ = std::fs::remove_file(&self.path);
    }
}
