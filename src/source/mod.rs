//! The brain's side of a capture child: start, watch, restart.
//!
//! Whoever wants pictures holds something that gives [`Frames`] and calls [`Frames::next`] in a loop; all the work is
//! done in that call, on that thread. [`Source`] is a camera or a file behind a capture child; [`Replay`] gives frames from memory.
//! A child that crashes, hangs, lies or falls silent is killed and started again, and what happened is told as
//! [`SourceEvent::Changed`]; nothing here ever gives up.

use crate::clock::Monotonic;
use crate::frame::Frame;
pub use crate::ring::wire::StreamInfo;

mod backoff;
mod bell;
mod camera;
mod config;
mod failure;
mod probe;
mod replay;
#[cfg(test)]
mod script;
mod session;
mod spawner;
#[cfg(test)]
mod tests;
mod timeline;
mod trial;
mod uri;
mod watch;

pub use backoff::Backoff;
pub use bell::Bell;
pub use camera::Source;
pub use config::{Config, FilePace, Limits, Settings, USUAL_FPS, rate_factor};
pub use replay::Replay;
pub use spawner::Spawner;
pub use trial::Trial;
pub use uri::{Scheme, Target, Uri};

/// Something that gives frames.
pub trait Frames: Send {
    /// What happens next; blocks at most until `until`, and then says [`SourceEvent::Idle`]. Must be called regularly, as
    /// all watching happens in it.
    fn next(&mut self, until: Monotonic) -> SourceEvent;

    /// What went wrong so far.
    fn losses(&self) -> Losses;
}

/// What a source has lost since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Frames that found no free slot in the ring.
    pub frames: u64,
    /// Children that had to be started again, whether or not they ever opened the source.
    pub children: u64,
}

/// What came out of a source.
#[derive(Debug)]
pub enum SourceEvent {
    /// A picture.
    Frame(Frame),
    /// The source was opened, or opened again.
    Opened(StreamInfo),
    /// The source's state is a new one.
    Changed(SourceState),
    /// Nothing happened in time.
    Idle,
    /// There will be no more frames; every later call says so again.
    Ended,
}

/// How a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// Nothing has come yet since the start.
    Connecting,
    /// Frames come.
    Online,
    /// Frames stopped coming, or the child hangs: it is being replaced.
    Stalled {
        /// For people; never holds a credential.
        reason: String,
    },
    /// No frames until the child has been started again.
    Offline {
        /// For people; never holds a credential.
        reason: String,
        /// When it will be tried again at the latest. `None`: as soon as the camera answers.
        retry_in: Option<std::time::Duration>,
    },
}
