//! The clips that everything with video is measured on.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::SAMPLE;
use crate::detect::Sampler;
use crate::fault::Fault;
use crate::infer::{InputSize, Model};

/// A clip that is made of the sample.
struct Form {
    /// Where it is kept, relative to the checkout.
    file: &'static str,
    size: &'static str,
    /// Its bits a second in thousands: what cameras of this size are commonly set to. An enlarged clip is smooth and would do
    /// with a third, and decode in a fraction of the time.
    kbps: &'static str,
    /// Pictures from the sample's beginning, if not all.
    pictures: Option<&'static str>,
}

const FULL: Form = Form { file: ".cache/bench/1080p30-6000k.mp4", size: "1920x1080", kbps: "6000", pictures: None };

/// Three seconds of one scene, so that it costs the same whenever one looks at it.
const SMALL: Form =
    Form { file: ".cache/bench/720p30-3000k.mp4", size: "1280x720", kbps: "3000", pictures: Some("90") };

/// The smaller clip masked, as an encoder is given it.
const MASKED: &str = ".cache/bench/720p30-masked.mp4";

/// The clip, made when it is first needed.
pub(super) struct Clip {
    named: Option<PathBuf>,
}

impl Clip {
    /// The file `named`, or else the sample enlarged.
    pub(super) fn new(named: Option<&Path>) -> Self {
        Self { named: named.map(Path::to_owned) }
    }

    /// Its absolute path.
    pub(super) fn path(&self) -> Result<PathBuf, Fault> {
        let path = match &self.named {
            Some(path) => path.clone(),
            None => made(&FULL)?,
        };
        path.canonicalize().map_err(|e| Fault::unavailable(format!("{}: {e}", path.display())))
    }

    /// Its address as a source.
    pub(super) fn uri(&self) -> Result<String, Fault> {
        let path = self.path()?;
        let url = url::Url::from_file_path(&path);
        url.map(Into::into).map_err(|()| Fault::internal(format!("{} has no address", path.display())))
    }
}

/// The smaller clip, and the same masked by the program as it is now, with this model.
pub(super) fn small(model: &Model) -> Result<[PathBuf; 2], Fault> {
    let clip = made(&SMALL)?;
    let failed = |e: &dyn std::fmt::Display| Fault::unavailable(format!("cannot make {MASKED}: {e}"));
    eprintln!("masking {} for the encoder: {MASKED}", SMALL.file);
    let masked = Command::new("/proc/self/exe")
        .args(["mask", "--overwrite"])
        .arg(&clip)
        .arg(MASKED)
        .env("VISOR__MODELS__DETECTOR", &model.manifest().name)
        .env(
            "VISOR__MODELS__INPUT",
            InputSize(Sampler::new(&model.manifest().input, model.input_shape()).size()).to_string(),
        )
        .output();
    let masked = masked.map_err(|e| failed(&e))?;
    if !masked.status.success() {
        return Err(failed(&String::from_utf8_lossy(&masked.stderr)));
    }
    let absolute = |path: PathBuf| path.canonicalize().map_err(|e| failed(&e));
    Ok([absolute(clip)?, absolute(MASKED.into())?])
}

fn made(Form { file, size, kbps, pictures }: &Form) -> Result<PathBuf, Fault> {
    let made = PathBuf::from(file);
    if made.is_file() {
        return Ok(made);
    }
    if !Path::new(SAMPLE).is_file() {
        return Err(Fault::unavailable(format!("there is no sample clip at {SAMPLE}"))
            .remedy("make it with scripts/setup in a checkout, or name a 1080p clip with --clip"));
    }
    let failed = |e: &dyn std::fmt::Display| Fault::unavailable(format!("cannot make {file}: {e}"));
    made.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(|e| failed(&e))?;
    eprintln!("making a clip of {size} at 30 pictures and {kbps} kbit a second out of the sample: {file}");
    // GStreamer stays in a process of its own here, too.
    let status = Command::new("/proc/self/exe")
        .args(["camera", "--size", size, "--fps", "30", "--kbps", kbps, "--transcode", SAMPLE, file])
        .args(pictures.iter().flat_map(|pictures| ["--pictures", pictures]))
        .status()
        .map_err(|e| failed(&e))?;
    if status.success() { Ok(made) } else { Err(failed(&status)) }
}
