//! The 1080p clip that everything with video is measured on.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::SAMPLE;
use crate::fault::Fault;

/// Where the clip is kept, relative to the checkout.
const MADE: &str = ".cache/bench/1080p30-6000k.mp4";

/// Its bits a second in thousands: what cameras of this size are commonly set to. An enlarged clip is smooth and would do with a
/// third, and decode in a fraction of the time.
const KBPS: &str = "6000";

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
            None => made()?,
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

fn made() -> Result<PathBuf, Fault> {
    let made = PathBuf::from(MADE);
    if made.is_file() {
        return Ok(made);
    }
    if !Path::new(SAMPLE).is_file() {
        return Err(Fault::unavailable(format!("there is no sample clip at {SAMPLE}"))
            .remedy("make it with scripts/setup in a checkout, or name a 1080p clip with --clip"));
    }
    let failed = |e: &dyn std::fmt::Display| Fault::unavailable(format!("cannot make {MADE}: {e}"));
    made.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(|e| failed(&e))?;
    eprintln!("making a clip of 1920x1080 at 30 pictures and {KBPS} kbit a second out of the sample: {MADE}");
    // GStreamer stays in a process of its own here, too.
    let status = Command::new("/proc/self/exe")
        .args(["camera", "--size", "1920x1080", "--fps", "30", "--kbps", KBPS, "--transcode", SAMPLE, MADE])
        .status()
        .map_err(|e| failed(&e))?;
    if status.success() { Ok(made) } else { Err(failed(&status)) }
}
