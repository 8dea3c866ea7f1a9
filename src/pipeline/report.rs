//! What `see-<id>` of a masked camera tells `cam-<id>`, and how it wakes it.

use std::io;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::clock::Monotonic;
use crate::infer::Trials;
use crate::mask::Analysis;
use crate::source::Bell;

/// Reports on their way. Full: `see-` waits, and what it does not analyse meanwhile is covered; a report that is lost would be worse.
const REPORTS: usize = 64;

/// What was found out about frames, or about the detector.
#[derive(Debug)]
pub(super) enum Report {
    /// A frame was analysed; it had arrived then.
    Analysed(Analysis, Monotonic),
    /// The analysis of the frame of this number and generation failed.
    Failed(u64, u64),
    /// The detector found the test face.
    Sees {
        /// When it was shown to it.
        at: Monotonic,
        /// Of whose sessions: what another model found says nothing about what this one does.
        trials: Arc<Trials>,
    },
    /// The detector did not find the test face, or failed.
    Blind,
}

/// `see-<id>`'s end.
#[derive(Clone)]
pub struct Reporter {
    sender: Sender<Report>,
    bell: Bell,
}

impl Reporter {
    pub(super) fn tell(&self, report: Report) {
        // nobody listens any more where the camera is being stopped
        if self.sender.send(report).is_ok() {
            self.bell.ring();
        }
    }
}

/// `cam-<id>`'s end.
pub struct Reports {
    receiver: Receiver<Report>,
    bell: Bell,
}

impl Reports {
    /// Rings when there is a report.
    pub fn bell(&self) -> &Bell {
        &self.bell
    }

    /// The next report. `None`: there is none now; an error: nor will there be.
    pub(super) fn next(&self) -> Result<Option<Report>, Gone> {
        match self.receiver.try_recv() {
            Ok(report) => Ok(Some(report)),
            Err(crossbeam_channel::TryRecvError::Empty) => Ok(None),
            Err(crossbeam_channel::TryRecvError::Disconnected) => Err(Gone),
        }
    }
}

/// `see-<id>` has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gone;

/// The way from `see-<id>` to `cam-<id>`.
///
/// # Errors
/// The process has no descriptor left.
pub fn reports() -> io::Result<(Reporter, Reports)> {
    let (sender, receiver) = bounded(REPORTS);
    let bell = Bell::new()?;
    Ok((Reporter { sender, bell: bell.clone() }, Reports { receiver, bell }))
}
