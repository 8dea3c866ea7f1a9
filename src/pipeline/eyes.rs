//! What looks at a frame.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tracing::warn;

use super::sight::Sight;
use super::{Control, DropReason, Job, Reporter, THUMBNAIL};
use crate::detect::{Config, Detection, Detector, Settings, Thumbnailer};
use crate::fault::Fault;
use crate::frame::{Frame, Picture};
use crate::infer::{Model, Seat};
use crate::sink::Screen;

/// A frame whose faces are known.
pub struct Seen {
    pub(super) epoch: u64,
    pub(super) generation: u64,
    /// Whether the session that looked sees, as far as is known; of a camera that is not masked nobody asks.
    pub(super) attested: bool,
    /// From this score on a detection is a face by itself.
    pub(super) score: f32,
    /// The frame itself; keeps its slot until all that look at it have done so.
    pub frame: Frame,
    /// Its faces, down to the detector's low score.
    pub detections: Vec<Detection>,
    pub(super) thumbnail: Vec<u8>,
    pub(super) detect_time: Duration,
}

/// What looks at a frame: a detector, and the maker of its thumbnail. One for each thread that analyses.
pub struct Eyes {
    /// The model in use, whichever it is at the moment.
    current: Arc<ArcSwap<Model>>,
    config: Config,
    detector: Detector,
    thumbnailer: Thumbnailer,
    sight: Option<Sight>,
    /// Who looks, where the sight is of interest only while somebody does.
    screen: Option<Arc<Screen>>,
}

impl Eyes {
    /// Eyes that look with the `current` model, and take on another one between two frames.
    pub fn new(current: Arc<ArcSwap<Model>>, config: Config) -> Result<Self, Fault> {
        let detector = detector(current.load_full(), &config)?;
        Ok(Self { current, config, detector, thumbnailer: Thumbnailer::new(THUMBNAIL), sight: None, screen: None })
    }

    /// Eyes whose sight is tested at the start, with each model that they take on, and every second; `reporter` hears of it.
    #[must_use]
    pub fn tested(mut self, reporter: Reporter) -> Self {
        self.sight = Some(Sight::new(reporter, self.detector.settings()));
        self
    }

    /// Eyes that are tested only while somebody looks at `screen`.
    #[must_use]
    pub fn seen_on(self, screen: Option<Arc<Screen>>) -> Self {
        Self { screen, ..self }
    }

    /// Tests whether they see, where that is due.
    pub(super) fn test(&mut self) {
        if self.renew().is_ok()
            && let Some(sight) = self.sight.as_mut().filter(|_| is_watched(self.screen.as_ref()))
        {
            sight.test(self.detector.model());
        }
    }

    /// The frame in small.
    pub(super) fn glance(&mut self, job: &Job) -> Vec<u8> {
        let mut thumbnail = Vec::new();
        self.thumbnailer.make(job.frame.picture(), &mut thumbnail);
        thumbnail
    }

    /// Finds the faces of one frame. `None` where the model failed or had no time: the frame counts as dropped.
    pub(super) fn see(&mut self, job: Job, thumbnail: Vec<u8>, patience: Duration, control: &Control) -> Option<Seen> {
        let began = Instant::now();
        match self.look(job.frame.picture(), began + patience) {
            Ok(detections) => {
                let Job { epoch, generation, frame, .. } = job;
                let (detect_time, score) = (began.elapsed(), self.detector.settings().score);
                let attested = self.sight.as_ref().is_some_and(|sight| sight.attests(self.detector.model()));
                Some(Seen { epoch, generation, attested, score, frame, detections, thumbnail, detect_time })
            }
            Err(error) => {
                control.tally.dropped(DropReason::Failed);
                warn!(%error, "frame not analysed");
                None
            }
        }
    }

    fn look(&mut self, picture: Picture<'_>, deadline: Instant) -> Result<Vec<Detection>, String> {
        self.renew()?;
        let (model, watched) = (Arc::clone(self.detector.model()), is_watched(self.screen.as_ref()));
        let mut sight = self.sight.as_mut();
        sight.iter_mut().for_each(|sight| sight.begin());
        let check = |seat: &mut Seat<'_>| {
            sight.iter_mut().filter(|_| watched).for_each(|sight| sight.vouch(&model, seat));
        };
        let found = self.detector.detect_after(picture, deadline, check).map(<[_]>::to_vec);
        // once the session is free again: the camera may take its time to hear
        sight.into_iter().for_each(|sight| sight.tell(&model));
        let found = found.map_err(|error| error.to_string())?;
        if self.sight.as_ref().is_some_and(|sight| sight.is_stuck_in(&self.detector)) {
            return Err("the model gave for a frame what it gave for the test face: it no longer looks".to_owned());
        }
        Ok(found)
    }

    /// Takes on the model that is in use now.
    fn renew(&mut self) -> Result<(), String> {
        let current = self.current.load();
        if !Arc::ptr_eq(&current, self.detector.model()) {
            self.detector = detector(Arc::clone(&current), &self.config).map_err(|fault| fault.to_string())?;
            self.sight.iter_mut().for_each(|sight| sight.look_for(self.detector.settings()));
        }
        Ok(())
    }
}

fn is_watched(screen: Option<&Arc<Screen>>) -> bool {
    screen.is_none_or(|screen| screen.is_watched())
}

/// A detector with the model's own thresholds where the settings have none.
pub(super) fn detector(model: Arc<Model>, config: &Config) -> Result<Detector, Fault> {
    let settings = Settings::new(config, model.manifest())?;
    Detector::new(model, settings)
}
