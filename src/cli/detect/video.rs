//! The frames of a video file, by the capture child that cameras use: no media parser runs in this process.

use std::path::Path;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::source::{Config, FilePace, Frames, Source, SourceEvent, SourceState, Spawner, Uri};

/// Frames that the brain holds at a time: the one that is analysed, the rest is the source's.
const HELD: u32 = 2;

/// How often a wait for the next frame looks up.
const TICK: Duration = Duration::from_secs(1);

/// Calls `take` with each frame of a file and its number, from 1. A file that cannot be opened, or that breaks off,
/// is a fault; the frames before have been taken then.
pub(super) fn each_frame(path: &Path, mut take: impl FnMut(&Frame, u64) -> Result<(), Fault>) -> Result<(), Fault> {
    let fault = |what: &str| Fault::input(format!("{}: {what}", path.display()));
    if path.metadata().map_err(|e| fault(&e.to_string()))?.len() == 0 {
        return Err(fault("the file is empty"));
    }
    let uri = Uri::from_argument(&path.to_string_lossy());
    let settings = Config { pace: FilePace::Fast, ..Config::new(uri) }.resolve(HELD).map_err(|problems| {
        let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
        fault(&texts.join("; "))
    })?;
    let spawner = Spawner::start().map_err(|e| Fault::internal(format!("no thread for children: {e}")))?;
    let mut source = Source::new("detect", settings, &spawner);
    let mut number = 0;
    loop {
        match source.next(Monotonic::now().plus(TICK)) {
            SourceEvent::Frame(frame) => {
                number += 1;
                take(&frame, number)?;
            }
            SourceEvent::Changed(SourceState::Offline { reason, .. } | SourceState::Stalled { reason }) => {
                return Err(fault(&reason));
            }
            SourceEvent::Ended if number == 0 => return Err(fault("there are no pictures in it")),
            SourceEvent::Ended => return Ok(()),
            SourceEvent::Opened(_) | SourceEvent::Changed(_) | SourceEvent::Idle => {}
        }
    }
}
