//! What is known of each session of a model: whether it was tried of late, and found to do what it should.
//!
//! What a trial is the callers know. They share what comes of it: a session is tried once for all who use it, and all hear of one
//! that has failed.

use std::cmp::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Monotonic;

/// One trial of a session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// When it began.
    pub at: Monotonic,
    /// How sure the model was of what it had to find; `None` where it did not find it, or failed.
    pub score: Option<f32>,
    /// [Of](super::Outputs::mark) what the model gave.
    pub mark: u64,
}

/// The last trial of each session.
#[derive(Debug)]
pub struct Trials(Mutex<State>);

#[derive(Debug)]
struct State {
    sessions: Vec<Session>,
    failures: u64,
    /// When the last of them was noted.
    failed_at: Monotonic,
}

#[derive(Clone, Copy, Debug, Default)]
struct Session {
    last: Option<Trial>,
    /// Somebody has relied on it since.
    relied_on: bool,
}

/// How it stands with a model's sessions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// When the latest trial began.
    pub at: Monotonic,
    /// The least score of any session's last trial; `None` where one failed.
    pub score: Option<f32>,
}

impl Session {
    fn is_due(&self, every: Duration, again: Duration) -> bool {
        self.last.is_some_and(|last| match last.score {
            Some(_) => self.relied_on && last.at.elapsed() >= every,
            None => last.at.elapsed() >= again,
        })
    }
}

impl Trials {
    /// Of so many sessions, of which nothing is known.
    pub fn of(sessions: usize) -> Self {
        let sessions = vec![Session::default(); sessions];
        Self(Mutex::new(State { sessions, failures: 0, failed_at: Monotonic::default() }))
    }

    /// The last trial of a session.
    pub fn last(&self, session: usize) -> Option<Trial> {
        self.lock().sessions.get(session)?.last
    }

    /// What came of a trial.
    pub fn note(&self, session: usize, trial: Trial) {
        let mut state = self.lock();
        if trial.score.is_none() {
            state.failures += 1;
            state.failed_at = Monotonic::now();
        }
        if let Some(session) = state.sessions.get_mut(session) {
            *session = Session { last: Some(trial), relied_on: false };
        }
    }

    /// Somebody is about to rely on a session.
    pub fn rely_on(&self, session: usize) {
        if let Some(session) = self.lock().sessions.get_mut(session) {
            session.relied_on = true;
        }
    }

    /// Whether a session is to be tried: one that somebody has relied on since, so long after its last trial, and one that
    /// failed after `again`.
    pub fn is_due(&self, session: usize, every: Duration, again: Duration) -> bool {
        self.lock().sessions.get(session).is_some_and(|session| session.is_due(every, again))
    }

    /// The session that was tried last.
    pub fn latest(&self) -> Option<usize> {
        let state = self.lock();
        let at = |session: &usize| state.sessions[*session].last.map(|trial| trial.at);
        (0..state.sessions.len()).max_by_key(at).filter(|session| at(session).is_some())
    }

    /// How it stands with all that were tried; `None` where none was.
    pub fn standing(&self) -> Option<Standing> {
        let state = self.lock();
        let tried = || state.sessions.iter().filter_map(|session| session.last);
        let at = tried().map(|trial| trial.at).max()?;
        let score = tried().map(|trial| trial.score).min_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal))?;
        Some(Standing { at, score })
    }

    /// How many trials have failed so far, and when the last of them was found to.
    pub fn failures(&self) -> (u64, Monotonic) {
        let state = self.lock();
        (state.failures, state.failed_at)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn trial(score: Option<f32>) -> Trial {
        Trial { at: Monotonic::now(), score, mark: 1 }
    }

    #[test]
    fn a_session_is_tried_again_once_somebody_has_relied_on_it() {
        let trials = Trials::of(3);
        assert!(!trials.is_due(1, Duration::ZERO, Duration::ZERO));
        assert_eq!((trials.standing(), trials.latest()), (None, None));
        trials.note(1, trial(Some(0.9)));
        assert!(!trials.is_due(1, Duration::ZERO, Duration::ZERO), "nobody uses it");
        trials.rely_on(1);
        assert!(trials.is_due(1, Duration::ZERO, LONG) && !trials.is_due(1, LONG, Duration::ZERO));
        trials.note(1, trial(Some(0.8)));
        assert!(!trials.is_due(1, Duration::ZERO, LONG));
        assert_eq!((trials.last(1).unwrap().score, trials.latest()), (Some(0.8), Some(1)));
        trials.note(0, trial(Some(0.9)));
        assert_eq!(trials.latest(), Some(0));
    }

    #[test]
    fn one_that_fails_is_told_of_and_tried_again_until_it_passes() {
        let trials = Trials::of(2);
        trials.note(0, trial(Some(0.9)));
        trials.note(1, trial(None));
        let (failures, at) = trials.failures();
        assert_eq!((failures, trials.standing().unwrap().score), (1, None));
        assert!(at >= trials.last(1).unwrap().at);
        assert!(trials.is_due(1, LONG, Duration::ZERO), "whoever relies on it or not");
        let passed = trial(Some(0.7));
        trials.note(1, passed);
        assert_eq!((trials.failures().0, trials.standing()), (1, Some(Standing { at: passed.at, score: Some(0.7) })));
    }
}
