//! The test of whether a detector sees at all: an empty result cannot be told from an empty scene.
//!
//! What is tested is each session that looks at cameras' frames, once for all cameras that it looks for: before it does so first,
//! and again a second after a test, once it has looked for any of them since. All cameras hear of one that is blind.

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
    /// From what score on a face is one to the camera, where that is more than to the model.
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

    /// Tests those of the model's sessions that are due for it and that nobody uses just now, or any where none was tested; and tells
    /// what is known of them.
    pub fn test(&mut self, model: &Arc<Model>) {
        let trials = model.trials();
        if trials.standing().is_none() {
            // none is free: the first frame's is tested
            let seat = model.seat(Instant::now() + LIVE_DEADLINE).ok();
            if let Some(mut seat) = seat.filter(|seat| trials.last(seat.session()).is_none()) {
                self.show(model, &mut seat);
            }
        }
        let mut tested = false;
        for session in 0..model.sessions() {
            // one at a time, so that no frame waits for several, unless it is late; somebody else may just have done it
            let is_next = |session| self.is_due(trials, session, if tested { TEST_LATE } else { Duration::ZERO });
            let seat = Some(session).filter(|session| is_next(*session)).and_then(|session| model.seat_at(session));
            if let Some(mut seat) = seat.filter(|seat| is_next(seat.session())) {
                self.show(model, &mut seat);
                tested = true;
            }
        }
        // nobody looks at anything: so that a frame that comes in the end is not the first to tell whether they see
        let rests = trials.standing().is_some_and(|standing| standing.at.elapsed() >= TEST_EVERY);
        if let Some(mut seat) = trials.latest().filter(|_| rests).and_then(|session| model.seat_at(session)) {
            self.show(model, &mut seat);
        }
        self.tell(model);
    }

    /// Whether a session has been due for a test for so long: one that was relied on, or that does not see the test face; to this
    /// camera, which may ask for more than others.
    fn is_due(&self, trials: &Trials, session: usize, late: Duration) -> bool {
        let fails_here = |trial: &Trial| !self.counts(trial.score) && trial.at.elapsed() >= TEST_EVERY + late;
        trials.is_due(session, TEST_EVERY + late, TEST_BLIND_EVERY + late)
            || trials.last(session).as_ref().is_some_and(fails_here)
    }

    /// Another frame is going to be looked at.
    pub fn begin(&mut self) {
        self.vouched = None;
    }

    /// Sees to it that the session which is about to look at a frame was tested of late. Waits for nobody, since others may wait for
    /// the session.
    pub fn vouch(&mut self, model: &Arc<Model>, seat: &mut Seat<'_>) {
        let (trials, session) = (model.trials(), seat.session());
        let is_old = |trial: Trial| trial.at.elapsed() >= TEST_EVERY + TEST_LATE;
        if trials.last(session).is_none_or(is_old) || trials.is_due(session, Duration::MAX, TEST_BLIND_EVERY) {
            self.show(model, seat);
        }
        trials.rely_on(session);
        self.vouched = trials.last(session);
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
            Ok((score.filter(|score| *score >= tester.settings().score), tester.mark()))
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
    pub fn tell(&mut self, model: &Arc<Model>) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::tests::runtime;
    use crate::pipeline::report::{Reports, reports};

    /// A real model of two sessions, and the sight of a camera to which a face is one from `score` on.
    fn rig(score: f32) -> Option<(Arc<Model>, Sight, Reports)> {
        let (runtime, manifest) = runtime("yunet-n")?;
        let model = runtime.open(&manifest, 2, manifest.input.shape(1, manifest.size(None).unwrap())).unwrap();
        let config = Config { score: Some(score), ..Config::default() };
        let settings = Settings::new(&config, &manifest).unwrap();
        let (reporter, told) = reports().unwrap();
        Some((model, Sight::new(reporter, settings), told))
    }

    /// What the camera was told: whether all sees.
    fn told(reports: &Reports) -> Vec<bool> {
        let next = || reports.next().ok().flatten();
        std::iter::from_fn(next).map(|report| matches!(report, Report::Sees { .. })).collect()
    }

    fn seat(model: &Model) -> Seat<'_> {
        model.seat(Instant::now() + LIVE_DEADLINE).unwrap()
    }

    fn failed() -> Trial {
        Trial { at: Monotonic::now(), score: None, mark: 0 }
    }

    #[test]
    fn a_session_is_tested_before_it_looks_and_no_other_is() {
        let Some((model, mut sight, reports)) = rig(0.6) else { return };
        assert!(!sight.attests(&model));
        let mut looks = seat(&model);
        let session = looks.session();
        sight.vouch(&model, &mut looks);
        drop(looks);
        let trial = model.trials().last(session).unwrap();
        assert!(trial.score.is_some_and(|score| score >= 0.6) && model.trials().last(1 - session).is_none());
        assert!(!sight.attests(&model), "the camera has not heard of it");
        sight.tell(&model);
        assert!(sight.attests(&model));
        sight.vouch(&model, &mut seat(&model));
        sight.tell(&model);
        assert_eq!((model.trials().last(session), told(&reports)), (Some(trial), vec![true]), "that was just now");
        sight.begin();
        assert!(!sight.attests(&model));
    }

    #[test]
    fn one_session_that_fails_is_told_of_and_tested_again_wherever_it_is() {
        let Some((model, mut sight, reports)) = rig(0.6) else { return };
        sight.test(&model);
        let tested = model.trials().latest().unwrap();
        model.trials().note(1 - tested, failed());
        sight.vouch(&model, &mut model.seat_at(tested).unwrap());
        sight.tell(&model);
        assert_eq!(told(&reports), [true, false]);
        assert!(!sight.attests(&model), "the other one, which sees, is not enough");
        std::thread::sleep(TEST_BLIND_EVERY);
        sight.test(&model);
        assert!(model.trials().last(1 - tested).unwrap().score.is_some());
        assert_eq!(told(&reports), [true]);
        assert!(sight.attests(&model));
    }

    #[test]
    fn a_camera_that_asks_for_more_is_blind_alone() {
        let Some((model, mut sight, reports)) = rig(1.0) else { return };
        let Some((_, mut other, others)) = rig(0.6) else { return };
        sight.vouch(&model, &mut seat(&model));
        sight.tell(&model);
        assert!(!sight.attests(&model));
        other.vouch(&model, &mut seat(&model));
        other.tell(&model);
        assert!(other.attests(&model));
        assert_eq!((told(&reports), told(&others)), (vec![false], vec![true]));
        assert_eq!(model.trials().failures().0, 0);
    }

    #[test]
    fn a_model_that_answers_everything_alike_is_noticed() {
        let Some((model, mut sight, _reports)) = rig(0.6) else { return };
        sight.vouch(&model, &mut seat(&model));
        let mut detector = crate::pipeline::eyes::detector(Arc::clone(&model), &Config::default()).unwrap();
        detector.detect(TestFace::new().view(), Instant::now() + LIVE_DEADLINE).unwrap();
        assert!(sight.is_stuck_in(&detector), "it was shown what the test shows");
        let black = vec![0; 3 * 64 * 64];
        let black = crate::detect::View::Rgb { size: crate::geometry::Size::new(64, 64), bytes: &black };
        detector.detect(black, Instant::now() + LIVE_DEADLINE).unwrap();
        assert!(!sight.is_stuck_in(&detector));
    }
}
