//! A camera or a file behind a capture child that is started as often as it takes.

use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam_channel::{Receiver, never};
use metrics::{counter, gauge};
use tracing::{debug, info, warn};

use super::backoff::Backoff;
use super::bell::Bell;
use super::config::Settings;
use super::failure::Failure;
use super::probe::{Knock, Probe};
use super::session::{Heard, Session};
use super::spawner::{Launch, Spawner};
use super::timeline::Timeline;
use super::uri::Scheme;
use super::{Frames, Losses, SourceEvent, SourceState};
use crate::clock::Monotonic;
use crate::metrics::{CAMERA_RESTARTS, CAMERA_UP, FRAMES_CAPTURED, FRAMES_DROPPED};

/// A camera or a file behind a capture child. Dropping it stops the child.
pub struct Source {
    camera: Arc<str>,
    settings: Settings,
    children: Box<dyn Launch>,
    phase: Phase,
    /// Told so far.
    state: SourceState,
    /// To be told; a call of `next` adds two at most, and none while any is left.
    events: VecDeque<SourceEvent>,
    backoff: Backoff,
    /// The failure that was last spoken of: one that repeats itself is no news until the source was online again.
    spoken_of: Option<String>,
    line: Timeline,
    frames: u64,
    losses: Losses,
    captured: metrics::Counter,
    up: metrics::Gauge,
    bell: Option<Bell>,
}

enum Phase {
    Running(Box<Session>),
    Waiting(Wait),
    Ended,
}

/// Between two children.
struct Wait {
    /// When the next one is started, whatever the probe says.
    start_at: Monotonic,
    /// Why the one before ended; `None` before the first.
    after: Option<&'static str>,
    probe: Option<Probe>,
    /// A knock went unanswered: the camera is away, and an answer means that it is back.
    away: bool,
}

impl Source {
    /// A source named `camera`, whose first child is started by the first call of [`Frames::next`].
    pub fn new(camera: &str, settings: Settings, spawner: &Spawner) -> Self {
        Self::with(camera, settings, Box::new(spawner.clone()))
    }

    pub(super) fn with(camera: &str, settings: Settings, children: Box<dyn Launch>) -> Self {
        let live = settings.scheme != Scheme::File;
        let up = gauge!(CAMERA_UP, "camera" => camera.to_owned());
        up.set(0.0);
        Self {
            camera: camera.into(),
            children,
            phase: Phase::Waiting(Wait { start_at: Monotonic::default(), after: None, probe: None, away: false }),
            state: SourceState::Connecting,
            events: VecDeque::from([SourceEvent::Changed(SourceState::Connecting)]),
            backoff: Backoff::new(settings.limits.backoff_least),
            spoken_of: None,
            line: Timeline::new(live, settings.limits.clock_skew),
            frames: 0,
            losses: Losses::default(),
            captured: counter!(FRAMES_CAPTURED, "camera" => camera.to_owned()),
            up,
            settings,
            bell: None,
        }
    }

    /// From now on [`Frames::next`] says that nothing happened while `bell` rings, as far as nothing did.
    #[must_use]
    pub fn woken_by(mut self, bell: Bell) -> Self {
        self.bell = Some(bell);
        self
    }

    /// Waits for the time to start the next child, or for the camera to answer.
    fn wait(&mut self, until: Monotonic) {
        let Phase::Waiting(wait) = &mut self.phase else { return };
        let now = Monotonic::now();
        if now >= wait.start_at {
            return self.start();
        }
        let nobody: Receiver<Knock> = never();
        let knocks = wait.probe.as_ref().map_or(&nobody, |probe| &probe.knocks);
        match knocks.recv_timeout(until.min(wait.start_at).since(now)) {
            Ok(Knock::Answers) => {
                wait.probe = None;
                if wait.away {
                    self.backoff.reset();
                    wait.start_at = now;
                }
            }
            Ok(Knock::Silent(reason)) if !wait.away => {
                wait.away = true;
                // should names or routes mislead the probe, the child is tried all the same
                wait.start_at = now.plus(self.settings.limits.backoff_most);
                self.change(SourceState::Offline { reason, retry_in: None });
            }
            Ok(Knock::Silent(_)) | Err(_) => {}
        }
    }

    fn start(&mut self) {
        let Phase::Waiting(wait) = &self.phase else { return };
        if let Some(reason) = wait.after {
            self.losses.children += 1;
            counter!(CAMERA_RESTARTS, "camera" => self.camera.to_string(), "reason" => reason).increment(1);
        }
        self.line.begin(Monotonic::now());
        match Session::start(&self.camera, &self.settings, &*self.children) {
            Ok(session) => self.phase = Phase::Running(Box::new(session)),
            Err(failure) => self.fail(&failure),
        }
    }

    /// Takes one message from the child.
    fn listen(&mut self, until: Monotonic) {
        let Phase::Running(session) = &mut self.phase else { return };
        let heard = match session.recv(until, self.bell.as_ref()) {
            None => return,
            Some(Ok(msg)) => session.take(msg, &self.settings, &mut self.line, self.frames),
            Some(Err(failure)) => Err(failure),
        };
        match heard {
            Ok(Heard::Nothing) => {}
            Ok(Heard::Frame(frame, dropped)) => {
                let first = session.first_frame;
                if first.is_some_and(|first| first.elapsed() >= self.settings.limits.healthy) {
                    self.backoff.reset();
                }
                self.frames += 1;
                self.captured.increment(1);
                if dropped > 0 {
                    self.losses.frames += dropped;
                    let labels = [("camera", self.camera.to_string()), ("reason", "no_slot".to_owned())];
                    counter!(FRAMES_DROPPED, &labels).increment(dropped);
                }
                self.change(SourceState::Online);
                self.events.push_back(SourceEvent::Frame(frame));
            }
            Ok(Heard::Opened(info)) => self.events.push_back(SourceEvent::Opened(info)),
            Ok(Heard::End) => self.end_of_stream(),
            Err(failure) => self.fail(&failure),
        }
    }

    fn end_of_stream(&mut self) {
        let Phase::Running(session) = &self.phase else { return };
        // a test picture ends only where it was asked to
        if !matches!(self.settings.scheme, Scheme::File | Scheme::Test) {
            return self.fail(&Failure::Ended);
        }
        // an empty file would begin again as fast as processes start
        let repeat = self.settings.repeat && session.first_frame.is_some();
        let next = if repeat {
            Phase::Waiting(Wait { start_at: Monotonic::now(), after: None, probe: None, away: false })
        } else {
            self.up.set(0.0);
            info!(camera = &*self.camera, source = self.settings.display, "the file has ended");
            Phase::Ended
        };
        self.leave(next);
    }

    /// Replaces the child after a pause.
    fn fail(&mut self, failure: &Failure) {
        let limits = self.settings.limits;
        let pause = self.backoff.pause(failure.longest_pause(limits.backoff_most));
        let retry_in_ms = pause.as_millis() as u64;
        let (camera, reason) = (&*self.camera, failure.label());
        let error = failure.to_string();
        if self.spoken_of.as_ref() == Some(&error) {
            debug!(camera, source = self.settings.display, reason, error, retry_in_ms, "source still lost");
        } else {
            warn!(camera, source = self.settings.display, reason, error, retry_in_ms, "source lost");
            self.spoken_of = Some(error);
        }
        let knock_at = self.settings.peer.clone();
        let probe = knock_at.and_then(|peer| {
            let started = Probe::start(&self.camera, peer, limits.probe_every);
            started.inspect_err(|error| warn!(camera, %error, "no probe")).ok()
        });
        let start_at = Monotonic::now().plus(pause);
        // dropping the session kills its child at once: what failed gets no grace
        self.phase = Phase::Waiting(Wait { start_at, after: Some(reason), probe, away: false });
        self.change(failure.state(pause));
    }

    /// Leaves a child that has done nothing wrong.
    fn leave(&mut self, next: Phase) {
        if let Phase::Running(session) = std::mem::replace(&mut self.phase, next) {
            session.stop(self.settings.limits.stop);
        }
    }

    fn change(&mut self, state: SourceState) {
        if self.state == state {
            return;
        }
        self.up.set(if state == SourceState::Online { 1.0 } else { 0.0 });
        if state == SourceState::Online {
            info!(camera = &*self.camera, source = self.settings.display, "source online");
            self.spoken_of = None;
        }
        self.state = state.clone();
        self.events.push_back(SourceEvent::Changed(state));
    }
}

impl Frames for Source {
    fn next(&mut self, until: Monotonic) -> SourceEvent {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            match self.phase {
                Phase::Running(_) => self.listen(until),
                Phase::Waiting(_) => self.wait(until),
                Phase::Ended => return SourceEvent::Ended,
            }
            let woken = || self.bell.as_ref().is_some_and(Bell::rings) || Monotonic::now() >= until;
            if self.events.is_empty() && !matches!(self.phase, Phase::Ended) && woken() {
                return SourceEvent::Idle;
            }
        }
    }

    fn losses(&self) -> Losses {
        self.losses
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.up.set(0.0);
        self.leave(Phase::Ended);
    }
}
