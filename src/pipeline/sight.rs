//! The test of whether a detector sees at all: an empty result cannot be told from an empty scene.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{error, info};

use super::LIVE_DEADLINE;
use super::report::{Report, Reporter};
use crate::clock::Monotonic;
use crate::detect::Detector;
use crate::infer::Model;
use crate::mask::TestFace;

/// A detector that sees is tested again after so long.
pub(super) const TEST_EVERY: Duration = Duration::from_secs(1);

/// One that did not is, after so long.
const TEST_BLIND_EVERY: Duration = Duration::from_millis(250);

/// Shows the test face to a detector of its own, on the sessions that look at the camera's frames.
pub(super) struct Sight {
    reporter: Reporter,
    face: TestFace,
    tested: Option<Tested>,
}

struct Tested {
    detector: Detector,
    at: Instant,
    sees: bool,
    /// Of what the model gave for the test face.
    mark: u64,
}

impl Sight {
    pub fn new(reporter: Reporter) -> Self {
        Self { reporter, face: TestFace::new(), tested: None }
    }

    /// Whether it was this model that was tested last.
    pub fn is_of(&self, model: &Arc<Model>) -> bool {
        self.tested.as_ref().is_some_and(|tested| Arc::ptr_eq(tested.detector.model(), model))
    }

    /// Whether what this detector was given last gave the very outputs that the test face did: then the model gives one answer to
    /// everything, and finds the test face wherever it looks.
    pub fn is_stuck_in(&self, detector: &Detector) -> bool {
        self.tested.as_ref().is_some_and(|tested| tested.sees && tested.mark == detector.mark())
    }

    /// Whether a test of this model has been due for `slack`.
    pub fn is_due(&self, model: &Arc<Model>, slack: Duration) -> bool {
        let Some(tested) = &self.tested else { return true };
        let every = if tested.sees { TEST_EVERY } else { TEST_BLIND_EVERY };
        !self.is_of(model) || tested.at.elapsed() >= every + slack
    }

    /// Tests a model, with a detector made by `detector` where another one was tested before; reports what comes of it.
    pub fn test(&mut self, model: &Arc<Model>, detector: impl FnOnce() -> Result<Detector, String>) {
        let (at, clock) = (Instant::now(), Monotonic::now());
        let before = self.tested.take();
        let known = before.filter(|tested| Arc::ptr_eq(tested.detector.model(), model));
        let saw = known.as_ref().map(|tested| tested.sees);
        let mut detector = match known.map_or_else(detector, |tested| Ok(tested.detector)) {
            Ok(detector) => detector,
            Err(error) => {
                error!(model = model.manifest().name, %error, "detector not tested: everything is covered");
                return self.reporter.tell(Report::Blind);
            }
        };
        let outcome = self.face.is_seen_by(&mut detector, at + LIVE_DEADLINE);
        let sees = matches!(outcome, Ok(true));
        let name = &model.manifest().name;
        match outcome {
            Ok(true) if saw == Some(false) => info!(model = name, "the detector sees the test face again"),
            Ok(false) if saw != Some(false) => {
                error!(model = name, "the detector does not see the test face: everything is covered");
            }
            Err(error) if saw != Some(false) => {
                error!(model = name, %error, "the detector fails on the test face: everything is covered");
            }
            _ => {}
        }
        self.tested = Some(Tested { mark: detector.mark(), detector, at, sees });
        let model = Arc::as_ptr(model).addr();
        self.reporter.tell(if sees { Report::Sees { at: clock, model } } else { Report::Blind });
    }
}
