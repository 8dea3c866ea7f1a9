//! The test of whether a detector sees at all: an empty result cannot be told from an empty scene.
//!
//! What is tested is each session that looks at cameras' frames, once for all cameras that it looks for: before it does so first,
//! and a second after its last test, whether it was used again or not. All cameras hear of one that is blind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{error, info};

use super::report::{Report, Reporter};
use super::{LIVE_DEADLINE, TICK};
use crate::clock::Monotonic;
use crate::detect::{Config, Detector, Settings};
use crate::infer::{Model, Seat, Trial, Trials};
use crate::mask::TestFace;

/// A session that sees is tested again after so long.
pub(super) const TEST_EVERY: Duration = Duration::from_secs(1);

/// One that did not is, after so long.
const TEST_BLIND_EVERY: Duration = Duration::from_millis(250);

/// A test that has been due for so long cannot wait until no frame does.
const TEST_LATE: Duration = TICK;

/// Shows the test face to the sessions that look at a camera's frames, and tells the camera whether they see it.
pub(super) struct Sight {
    reporter: Reporter,
    face: TestFace,
    /// From what score on a face is one to the camera.
    settings: Settings,
    /// What shows it to them, with the model's own thresholds.
    tester: Option<Detector>,
    /// What the camera was told last: of which sessions, and since when all of them see, if they do.
    told: Option<(Arc<Trials>, Option<Monotonic>)>,
    /// The last test of the session that looked last.
    vouched: Option<Trial>,
}

impl Sight {
    /// Tells `reporter` whether faces are seen as a detector with these settings sees them.
    pub fn new(reporter: Reporter, settings: Settings) -> Self {
        Self { reporter, face: TestFace::new(), settings, tester: None, told: None, vouched: None }
    }

    /// Faces of another score, or of another size, are to be seen from now on.
    pub fn look_for(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Tests a session of the model that is due for it and that nobody uses just now, or any where none was tested; and tells what
    /// is known of them.
    pub fn test(&mut self, model: &Arc<Model>) {
        let trials = model.trials();
        if trials.standing().is_none() {
            // none is free: the first frame's is tested
            let seat = model.seat(Instant::now() + LIVE_DEADLINE).ok();
            if let Some(mut seat) = seat.filter(|seat| trials.last(seat.session()).is_none()) {
                self.show(model, &mut seat);
            }
        }
        let is_due = |session: usize| trials.is_due(session, TEST_EVERY, TEST_BLIND_EVERY);
        let due = (0..model.sessions()).filter(|session| is_due(*session)).find_map(|session| model.seat_at(session));
        // somebody else may just have done it
        if let Some(mut seat) = due.filter(|seat| is_due(seat.session())) {
            self.show(model, &mut seat);
        }
        self.tell(model);
    }

    /// Sees to it that the session which is about to look at a frame was tested of late.
    pub fn vouch(&mut self, model: &Arc<Model>, seat: &mut Seat<'_>) {
        let (trials, session) = (model.trials(), seat.session());
        let is_old = |trial: Trial| trial.at.elapsed() >= TEST_EVERY + TEST_LATE;
        if trials.last(session).is_none_or(is_old) || trials.is_due(session, Duration::MAX, TEST_BLIND_EVERY) {
            self.show(model, seat);
        }
        trials.rely_on(session);
        self.vouched = trials.last(session);
        self.tell(model);
    }

    /// Whether the session that looked last sees, and the camera knows which model it is of.
    pub fn attests(&self, model: &Arc<Model>) -> bool {
        let knows =
            |(told, sees): &(Arc<Trials>, Option<Monotonic>)| Arc::ptr_eq(told, model.trials()) && sees.is_some();
        self.told.as_ref().is_some_and(knows) && self.vouched.is_some_and(|trial| self.counts(trial.score))
    }

    /// Whether the session that looked last gave this detector the very outputs that it gave for the test face: then the model gives
    /// one answer to everything, and finds the test face wherever it looks.
    pub fn is_stuck_in(&self, detector: &Detector) -> bool {
        self.vouched.is_some_and(|trial| trial.score.is_some() && trial.mark == detector.mark())
    }

    fn counts(&self, score: Option<f32>) -> bool {
        score.is_some_and(|score| self.face.counts(score, &self.settings))
    }

    /// Shows the test face to a session, and notes what comes of it.
    fn show(&mut self, model: &Arc<Model>, seat: &mut Seat<'_>) {
        let (at, trials, session) = (Monotonic::now(), model.trials(), seat.session());
        let seen = self.tester(model).and_then(|tester| {
            let score = TestFace::new().score_on(seat, tester).map_err(|error| error.to_string())?;
            Ok((score, tester.mark()))
        });
        let failed_before = trials.last(session).is_some_and(|trial| trial.score.is_none());
        if let Err(error) = seen.as_ref().map_err(|error| error.as_str())
            && !failed_before
        {
            error!(model = model.manifest().name, %error, "the detector fails on the test face");
        }
        let (score, mark) = seen.unwrap_or((None, 0));
        trials.note(session, Trial { at, score, mark });
    }

    /// One for this model.
    fn tester(&mut self, model: &Arc<Model>) -> Result<&mut Detector, String> {
        let known = self.tester.take().filter(|tester| Arc::ptr_eq(tester.model(), model));
        let tester = known.map_or_else(|| super::eyes::detector(Arc::clone(model), &Config::default()), Ok);
        Ok(self.tester.insert(tester.map_err(|fault| fault.to_string())?))
    }

    /// Tells the camera how it stands with the model's sessions, where that is news.
    fn tell(&mut self, model: &Arc<Model>) {
        let trials = model.trials();
        let Some(standing) = trials.standing() else { return };
        let sees = self.counts(standing.score).then_some(standing.at);
        let before = self.told.replace((Arc::clone(trials), sees)).filter(|(told, _)| Arc::ptr_eq(told, trials));
        let (name, before) = (&model.manifest().name, before.map(|(_, sees)| sees));
        match sees {
            _ if before == Some(sees) => return,
            Some(_) if before == Some(None) => info!(model = name, "the detector sees the test face again"),
            None => error!(model = name, "the detector does not see the test face: everything is covered"),
            Some(_) => {}
        }
        let trials = Arc::clone(trials);
        self.reporter.tell(sees.map_or(Report::Blind, |at| Report::Sees { at, trials }));
    }
}
