//! The masked half of `cam-<id>`: frames go into the delay line, reports of `see-<id>` come in beside them, and what is released is
//! painted and handed on. The clock decides; nothing here waits for an analysis.

use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use metrics::{Histogram, histogram};

use super::Control;
use super::report::{Gone, Report, Reports};
use super::shutter::Shutter;
use crate::clock::Monotonic;
use crate::frame::Frame;
use crate::infer::Trials;
use crate::mask::{Cause, Cut, Cuts, Evidence, Line, MaskedFrame, Painter, Policy, Release, out_layout};
use crate::metrics::{FRAME_AGE, MASK_HOLD};
use crate::sink::restream::{Outlet, OutletSlot};
use crate::sink::{Screen, VideoTaker};
use crate::source::{Bell, SourceState, StreamInfo, rate_factor};

/// The generation of frames that the line has not taken: none of its own.
const NOT_HELD: u64 = u64::MAX;

/// Where a masked camera's frames go.
#[derive(Default)]
pub struct Exits {
    /// To whoever watches over RTSP. Nobody else uses it but the threads of the same camera that are to be replaced.
    pub outlet: Option<Arc<Mutex<Outlet>>>,
    /// To whoever looks at them here.
    pub takers: Vec<Box<dyn VideoTaker>>,
}

/// A camera's delay line, and everything behind it.
pub struct Masking {
    line: Line,
    /// Told of all that the line is told of, for a check that does not rest on the line.
    evidence: Evidence,
    cuts: Cuts,
    /// Whether the frame that was taken in last is analysed.
    last_chosen: bool,
    /// Frames that it holds at most, of a stream of the usual rate.
    capacity: usize,
    painter: Painter,
    exits: Exits,
    reports: Reports,
    shutter: Shutter,
    /// What the line was shut for.
    shut: Option<Cause>,
    /// Whether there has been a frame.
    begun: bool,
    epoch: u64,
    /// Whether faces are masked, as the switch was when it was looked at last.
    masks: bool,
    /// Those of the model that looks for it.
    trials: Option<Arc<Trials>>,
    /// How often one of them was found blind, as far as is known here.
    failures: u64,
    /// Who looks, where frames are masked only while somebody does.
    screen: Option<Arc<Screen>>,
    /// Frames for takers alone are painted here.
    memory: Vec<u8>,
    age: Histogram,
    hold: Histogram,
}

impl Masking {
    /// Masking of `camera` by `policy`, as `painter` was told.
    pub fn new(camera: &str, policy: Policy, painter: Painter, exits: Exits, reports: Reports) -> Self {
        let label = || camera.to_owned();
        Self {
            capacity: policy.capacity,
            line: Line::new(policy),
            evidence: Evidence::new(camera),
            cuts: Cuts::default(),
            last_chosen: false,
            painter,
            exits,
            reports,
            shutter: Shutter::new(),
            shut: None,
            begun: false,
            epoch: 0,
            masks: true,
            trials: None,
            failures: 0,
            screen: None,
            memory: Vec::new(),
            age: histogram!(FRAME_AGE, "camera" => label(), "stage" => "masked"),
            hold: histogram!(MASK_HOLD, "camera" => label()),
        }
    }

    /// The same, of which nothing is asked while nobody looks at `screen`: only frames that are analysed are held then, and
    /// only until they are.
    #[must_use]
    pub fn seen_on(self, screen: Arc<Screen>) -> Self {
        Self { screen: Some(screen), ..self }
    }

    /// Rings when there is something to do.
    pub fn bell(&self) -> &Bell {
        self.reports.bell()
    }

    /// Whether there is a cut before a frame that is about to be taken in; to be asked of each.
    pub(super) fn cut(&mut self, frame: &Frame) -> Option<Cut> {
        if self.screen.as_ref().is_some_and(|screen| !screen.is_watched()) {
            return None;
        }
        let cut = self.cuts.look(frame.stamp.pts, frame.picture())?;
        self.line.cut(frame.number);
        self.evidence.cut();
        Some(cut)
    }

    /// The frame that was taken in last, where it was not chosen for analysis, and the generation that its analysis is to be of.
    pub(super) fn last_left_out(&self) -> Option<(Frame, u64)> {
        let (frame, generation) = self.line.last_open().filter(|_| !self.last_chosen)?;
        Some((frame.clone(), generation))
    }

    /// Takes a frame in, `chosen` for analysis or not; the generation that its analysis is to be of.
    pub(super) fn take(&mut self, frame: &Frame, chosen: bool, control: &Control) -> u64 {
        self.hear(control);
        self.settle(control);
        if self.screen.as_ref().is_some_and(|screen| !chosen || !screen.is_watched()) {
            return NOT_HELD;
        }
        (self.begun, self.last_chosen) = (true, chosen);
        self.evidence.frame(frame);
        if let Some(release) = self.line.push(frame.clone()) {
            self.hand_over(&release, control);
        }
        self.hold.record(self.line.hold());
        self.line.generation()
    }

    /// Whether the source, a file, must wait until frames have left.
    pub(super) fn is_full(&self) -> bool {
        self.line.is_full()
    }

    /// When something may have to be released, if nothing happens until then.
    pub(super) fn next_due(&self) -> Option<Monotonic> {
        self.line.next_due()
    }

    /// Takes in what `see-<id>` reports and what is switched, and releases what may leave now.
    pub(super) fn keep_up(&mut self, control: &Control) {
        self.hear(control);
        self.settle(control);
        while let Some(release) = self.line.poll(Monotonic::now()) {
            self.hand_over(&release, control);
            // painting takes time, and meanwhile everything may have to be covered
            self.settle(control);
        }
    }

    /// The source has been opened, perhaps once more, and says so of its stream.
    pub(super) fn opened(&mut self, info: &StreamInfo) {
        self.interrupted();
        self.line.limit((self.capacity as f64 * rate_factor(info.fps)).ceil() as usize);
        let Some(hz) = info.fps else { return };
        self.line.expect(hz);
        self.exits.outlet.as_ref().and_then(|outlet| take(outlet)).iter().for_each(|outlet| outlet.expect(hz));
    }

    /// The source is another one than before, as far as its pictures go.
    fn interrupted(&mut self) {
        if self.begun {
            self.shutter.rests(Cause::SourceLost);
            self.interrupt(Cause::SourceLost);
        }
    }

    fn interrupt(&mut self, cause: Cause) {
        self.evidence.interrupted();
        self.line.interrupt(cause);
    }

    /// Covers everything, or no longer does.
    fn shut(&mut self, cause: Option<Cause>) {
        self.shut = cause;
        self.evidence.shut(cause.is_some());
        match cause {
            Some(cause) => self.line.shut(cause),
            None => self.line.reopen(),
        }
    }

    /// The source has another state.
    pub(super) fn changed(&mut self, state: &SourceState) {
        if *state != SourceState::Online {
            self.interrupted();
        }
    }

    /// Releases what is left once the source has ended: no later than it would have been.
    pub(super) fn finish(&mut self, control: &Control, tick: Duration) {
        while self.line.held() > 0 && !control.stopped() {
            let tick = Monotonic::now().plus(tick);
            self.reports.bell().wait(self.line.next_due().map_or(tick, |due| due.min(tick)));
            self.keep_up(control);
        }
    }

    fn hear(&mut self, control: &Control) {
        self.reports.bell().hush();
        loop {
            match self.reports.next() {
                Ok(Some(report)) => self.learn(report),
                Ok(None) => return,
                Err(Gone) if control.ended() => return self.line.end(),
                Err(Gone) => return self.shutter.gone(),
            }
        }
    }

    fn learn(&mut self, report: Report) {
        match report {
            Report::Analysed(analysis, arrived_at) => {
                self.evidence.analysed(&analysis);
                self.line.analysed(&analysis, arrived_at.elapsed());
            }
            Report::Failed(number, generation) => {
                self.evidence.failed(number);
                self.line.failed(number, generation);
            }
            Report::Sees { at, trials } => self.sees(at, trials),
            Report::Blind => self.blind(),
        }
    }

    fn sees(&mut self, at: Monotonic, trials: Arc<Trials>) {
        self.heed_failures();
        let (failures, failed_at) = trials.failures();
        let is_new = self.trials.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &trials));
        if is_new && self.trials.replace(trials).is_some() {
            self.interrupt(Cause::ModelChanged);
        }
        // what was seen before a session was found blind is no news
        match at > failed_at {
            true => self.shutter.sees(at),
            false if is_new => self.blind(),
            false => {}
        }
        if is_new {
            self.failures = failures;
        }
    }

    /// Covers everything where a session was found blind, whichever camera it was tested for: this one's `see-` may be busy.
    fn heed_failures(&mut self) {
        let failures = self.trials.as_ref().map_or(0, |trials| trials.failures().0);
        if std::mem::replace(&mut self.failures, failures) != failures {
            self.blind();
        }
    }

    /// A session was found blind.
    fn blind(&mut self) {
        self.shutter.blind();
        // at once: it may see again by the next report, and what was held meanwhile is not proven by that
        self.shut(Some(Cause::Blind));
    }

    /// Brings the line to where the switches and the clock say.
    fn settle(&mut self, control: &Control) {
        let masks = control.masks();
        self.line.mask_nobody(!masks);
        if std::mem::replace(&mut self.masks, masks) != masks {
            self.exits.takers.iter_mut().for_each(|taker| taker.policy_changed());
        }
        if self.screen.as_ref().is_some_and(|screen| !screen.is_watched()) {
            self.shutter.rests(Cause::Starting);
        }
        let epoch = control.epoch();
        if std::mem::replace(&mut self.epoch, epoch) != epoch {
            self.interrupt(Cause::ModelChanged);
        }
        if !control.detects() {
            self.shutter.rests(Cause::DetectOff);
        }
        self.heed_failures();
        let cause = self.shutter.cause(control, Monotonic::now());
        if cause != self.shut {
            self.shut(cause);
        }
    }

    /// Paints a frame, once, where it is wanted: into the outlet's memory, where somebody watches and that has room.
    pub(super) fn hand_over(&mut self, Release { frame, ruling }: &Release, control: &Control) {
        // threads that were slow to end have left their place to others by now, whose settings hold
        if control.stopped() {
            return;
        }
        let ruling = &*self.evidence.check(frame, ruling);
        let Exits { outlet, takers } = &mut self.exits;
        let mut wanted = false;
        for taker in takers.iter_mut() {
            wanted |= taker.wants(&frame.stamp);
        }
        let layout = out_layout(frame.layout());
        let outlet = outlet.as_ref().filter(|_| control.restreams());
        // those of before are ending: this frame is one of the past
        let mut outlet = outlet.and_then(|outlet| take(outlet));
        let unwatched = outlet.as_mut().is_some_and(|outlet| !outlet.is_watched());
        if let Some(outlet) = outlet.as_mut().filter(|_| unwatched) {
            outlet.pass(&layout, frame.stamp.pts);
        }
        if let Some(slot) = outlet.as_mut().filter(|_| !unwatched).and_then(|outlet| outlet.slot(&layout)) {
            let Ok(masked) = self.painter.paint(frame, ruling, slot) else { return };
            control.tally.handed_out(masked.outcome());
            show(takers, wanted, &masked);
            OutletSlot::send(masked);
        } else if wanted {
            let mut memory = std::mem::take(&mut self.memory);
            memory.resize(layout.end().unwrap_or(0), 0);
            let Ok(masked) = self.painter.paint(frame, ruling, memory) else { return };
            control.tally.handed_out(masked.outcome());
            show(takers, wanted, &masked);
            self.memory = masked.into_pixels();
        } else if unwatched {
            control.tally.handed_out(self.painter.judge(frame, ruling));
        } else {
            return;
        }
        self.age.record(frame.stamp.arrived_at.elapsed());
    }
}

/// The outlet, unless others have it. Where a thread has panicked over it, the frame of then is lost and nothing else.
fn take(outlet: &Mutex<Outlet>) -> Option<MutexGuard<'_, Outlet>> {
    match outlet.try_lock() {
        Ok(outlet) => Some(outlet),
        Err(TryLockError::WouldBlock) => None,
        Err(TryLockError::Poisoned(poisoned)) => {
            outlet.clear_poison();
            Some(poisoned.into_inner())
        }
    }
}

fn show<B: AsRef<[u8]>>(takers: &mut [Box<dyn VideoTaker>], wanted: bool, frame: &MaskedFrame<B>) {
    if wanted {
        takers.iter_mut().for_each(|taker| taker.take(&frame.view()));
    }
}
