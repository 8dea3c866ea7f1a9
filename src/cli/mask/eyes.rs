//! What looks at a video's frames, several at a time.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use super::engine::{Engine, PATIENCE};
use crate::detect::{Detection, Detector, Thumbnailer};
use crate::fault::Fault;
use crate::frame::Frame;
use crate::mask::TestFace;
use crate::pipeline::{THUMBNAIL, in_order};

/// How often a wait looks up.
const TICK: Duration = Duration::from_millis(500);

/// The detector is shown the test face again after so long.
const TEST_EVERY: Duration = Duration::from_secs(1);

/// What the analysis of one frame gave.
pub(super) struct Seen {
    pub frame: Frame,
    pub found: Result<Vec<Detection>, String>,
    pub thumbnail: Vec<u8>,
}

/// Analyses frames until there are no more, and says what was seen in their order.
pub(super) fn look(jobs: &Receiver<Frame>, eyes: Vec<Eyes>, seen: &Sender<Seen>) {
    let tell = |result: Option<Seen>| {
        if let Some(result) = result {
            // nobody listens any more where something failed
            let _ = seen.send(result);
        }
    };
    in_order(jobs, eyes, TICK, |frame, eyes: &mut Eyes| eyes.see(frame), tell);
}

/// What looks at frames: one for each session.
pub(super) struct Eyes {
    detector: Detector,
    thumbnailer: Thumbnailer,
    tested: Instant,
}

impl Eyes {
    pub fn new(engine: &Engine) -> Result<Self, Fault> {
        Ok(Self { detector: engine.detector()?, thumbnailer: Thumbnailer::new(THUMBNAIL), tested: Instant::now() })
    }

    fn see(&mut self, frame: Frame) -> Seen {
        let mut thumbnail = Vec::new();
        self.thumbnailer.make(frame.picture(), &mut thumbnail);
        let found = self.look(&frame);
        Seen { frame, found, thumbnail }
    }

    fn look(&mut self, frame: &Frame) -> Result<Vec<Detection>, String> {
        if self.tested.elapsed() >= TEST_EVERY {
            TestFace::prove(&mut self.detector, Instant::now() + PATIENCE).map_err(|fault| fault.to_string())?;
            self.tested = Instant::now();
        }
        let found = self.detector.detect(frame.picture(), Instant::now() + PATIENCE);
        found.map(<[_]>::to_vec).map_err(|error| error.to_string())
    }
}
