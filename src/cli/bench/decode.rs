//! The bare decoder, and how fast frames come.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::figure::millis;
use crate::capture::bare::Decoded;
use crate::cli::processor::ProcessorTime;
use crate::fault::Fault;

/// How long a child that was told to end may take to be gone.
const BURIAL: Duration = Duration::from_secs(2);

/// Frames counted from the first to the last, so that starting costs nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    frames: u64,
    since: Option<Instant>,
    span: Duration,
}

impl Rate {
    /// A frame is here.
    pub(super) fn count(&mut self) {
        self.frames += 1;
        self.span = self.since.get_or_insert_with(Instant::now).elapsed();
    }

    /// Milliseconds from one frame to the next.
    pub(super) fn millis(&self) -> Result<f64, Fault> {
        match self.frames {
            0 | 1 => Err(Fault::unavailable(format!("{} frames came out of the clip", self.frames))),
            frames => Ok(millis(self.span) / (frames - 1) as f64),
        }
    }
}

/// What a frame costs, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    /// From one frame to the next.
    pub(super) wall: f64,
    /// Of processors, the start of the processes included.
    pub(super) processor: f64,
}

/// Measures what all frames of a file cost, by `work`, which starts one child and gives the rate of its frames.
pub(super) fn cost(work: impl FnOnce() -> Result<Rate, Fault>) -> Result<Cost, Fault> {
    let before = ProcessorTime::now();
    let rate = work()?;
    // a child's time is known once it is buried, which another thread does
    let deadline = Instant::now() + BURIAL;
    while ProcessorTime::now().children == before.children && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    let processor = ProcessorTime::now().total().saturating_sub(before.total());
    Ok(Cost { wall: rate.millis()?, processor: millis(processor) / rate.frames as f64 })
}

/// How fast frames of `clip` come in a process that decodes them and lets go of the pictures.
pub(super) fn bare(clip: &Path) -> Result<Rate, Fault> {
    let failed = |e: &dyn std::fmt::Display| Fault::unavailable(format!("the bare decoder failed: {e}"));
    let output = Command::new("/proc/self/exe")
        .args(["capture", "--bare"])
        .arg(clip)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| failed(&e))?;
    if !output.status.success() {
        return Err(failed(&output.status));
    }
    let decoded: Decoded = serde_json::from_slice(&output.stdout).map_err(|e| failed(&e))?;
    Ok(Rate { frames: decoded.frames, span: Duration::from_secs_f64(decoded.seconds), since: None })
}
