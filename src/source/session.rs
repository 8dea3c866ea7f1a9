//! One capture child from its start to its end: what it says, checked and turned into frames.

use std::os::fd::AsFd;
use std::sync::{Arc, Once};
use std::time::{Duration, SystemTime};

use tracing::{debug, info, warn};

use super::bell::Bell;
use super::config::Settings;
use super::failure::Failure;
use super::spawner::{Job, Launch, Running};
use super::timeline::{Complaint, Timeline};
use super::watch::Watch;
use crate::clock::Monotonic;
use crate::frame::{Frame, Layout};
use crate::geometry::Size;
use crate::ring::wire::{BrainEnd, FrameHeader, NoticeLevel, Received, StreamInfo, Text, ToBrain, ToChild};
use crate::ring::{self, Ring};

/// Rings that frames still hold when another is asked for. More are a child that eats memory.
const OLD_RINGS: usize = 4;

/// Lines that one child may have in the log.
const NOTICES: u32 = 100;

/// What is wrong with the machine has been said. A property of the process, as the machine is.
static TOLD: Once = Once::new();

/// One capture child. Dropping it kills the child.
pub(super) struct Session {
    camera: Arc<str>,
    channel: Arc<BrainEnd>,
    child: Option<Box<dyn Running>>,
    ring: Option<Ring>,
    old_rings: Vec<Ring>,
    rings: u32,
    watch: Watch,
    notices: u32,
    complained: [bool; 2],
    dropped: u64,
    pub(super) first_frame: Option<Monotonic>,
}

/// What a child's message comes to.
pub(super) enum Heard {
    /// Nothing for outside.
    Nothing,
    /// A picture, and how many the child has dropped since the one before.
    Frame(Frame, u64),
    /// The source is open.
    Opened(StreamInfo),
    /// There are no more frames.
    End,
}

impl Session {
    pub(super) fn start(camera: &Arc<str>, settings: &Settings, children: &dyn Launch) -> Result<Self, Failure> {
        let (ours, theirs) = BrainEnd::pair().map_err(|e| Failure::Here(format!("no socket can be made: {e}")))?;
        ours.send(&ToChild::Settings(settings.capture.clone()), None).map_err(|e| Failure::Here(e.to_string()))?;
        let job = Job { camera: Arc::clone(camera), socket: theirs, scrub: settings.scrub.clone() };
        Ok(Self {
            camera: Arc::clone(camera),
            channel: Arc::new(ours),
            child: Some(children.launch(job)),
            ring: None,
            old_rings: Vec::new(),
            rings: 0,
            watch: Watch::new(settings.limits, Monotonic::now()),
            notices: 0,
            complained: [false; 2],
            dropped: 0,
            first_frame: None,
        })
    }

    /// The child's next message, or what it has failed to do; `None` where neither happens until `until`, or until the
    /// bell rings.
    pub(super) fn recv(&mut self, until: Monotonic, bell: Option<&Bell>) -> Option<Result<ToBrain, Failure>> {
        self.settle();
        if self.ring.as_ref().is_some_and(Ring::is_full) {
            // it waits for us, not for its source
            self.watch.held_up(Monotonic::now());
        }
        let received = self.channel.recv_or(until.min(self.watch.deadline()), bell.map(AsFd::as_fd));
        let now = Monotonic::now();
        match received {
            Received::Message { msg, .. } => {
                self.watch.heard(now);
                Some(Ok(msg))
            }
            Received::Closed => Some(Err(Failure::Crashed)),
            Received::Garbage(what) => Some(Err(Failure::Lied(what))),
            Received::TimedOut => self.watch.overdue(now).map(|overdue| Err(Failure::Overdue(overdue))),
        }
    }

    /// Checks a message and does what it asks for.
    pub(super) fn take(
        &mut self,
        msg: ToBrain,
        settings: &Settings,
        line: &mut Timeline,
        number: u64,
    ) -> Result<Heard, Failure> {
        match msg {
            ToBrain::Want { layout, fps } => self.offer(&layout, settings.slots_at(fps)).map(|()| Heard::Nothing),
            ToBrain::Frame(header) => self.frame(&header, line, number),
            ToBrain::Opened(info) => Ok(Heard::Opened(self.opened(info, settings))),
            ToBrain::Alive => Ok(Heard::Nothing),
            ToBrain::Waiting => {
                self.watch.waits();
                Ok(Heard::Nothing)
            }
            ToBrain::Notice { level, text } => {
                self.notice(level, &settings.scrub.text(text.as_str()));
                Ok(Heard::Nothing)
            }
            ToBrain::Failed { reason, text } => Err(Failure::GaveUp(reason, settings.scrub.text(text.as_str()))),
            ToBrain::EndOfStream => Ok(Heard::End),
        }
    }

    fn frame(&mut self, header: &FrameHeader, line: &mut Timeline, number: u64) -> Result<Heard, Failure> {
        let lied = |what: &dyn std::fmt::Display| Failure::Lied(what.to_string());
        let ring = self.ring.as_mut().ok_or_else(|| lied(&ring::Lie::Ring))?;
        let lease = ring.lease(header).map_err(|lie| lied(&lie))?;
        let now = Monotonic::now();
        self.watch.frame(now);
        self.first_frame.get_or_insert(now);
        let (stamp, complaint) = line.stamp(header, now, SystemTime::now());
        if let Some(complaint) = complaint {
            self.complain(complaint);
        }
        let dropped = header.dropped_total.saturating_sub(self.dropped);
        self.dropped = header.dropped_total.max(self.dropped);
        let frame = Frame::new(number, stamp, header.layout, Arc::new(lease)).ok_or_else(|| lied(&ring::Lie::End))?;
        Ok(Heard::Frame(frame, dropped))
    }

    /// Makes a ring for pictures of this layout, and hands it to the child.
    fn offer(&mut self, layout: &Layout, slots: u32) -> Result<(), Failure> {
        self.old_rings.extend(self.ring.take());
        self.settle();
        if self.old_rings.len() > OLD_RINGS {
            return Err(Failure::Lied("asks for one ring after another".to_owned()));
        }
        let impossible = || Failure::Lied(format!("pictures of impossible size {:?}", layout.size));
        let fitting = ring::slots_that_fit(layout).ok_or_else(impossible)?.min(slots);
        if fitting < slots {
            let Size { width, height } = layout.size;
            let text = format!("pictures of {width}x{height} leave room for {fitting} slots, not {slots}");
            self.notice(NoticeLevel::Warn, &text);
        }
        self.rings += 1;
        let ring = Ring::create(self.rings, layout, fitting, &self.channel)
            .map_err(|e| Failure::Here(format!("no memory for pictures: {e}")))?;
        // where the child does not read or is gone, the watch or the socket's end says so
        let _ = self.channel.send(&ring.offer(), Some(ring.fd()));
        self.ring = Some(ring);
        Ok(())
    }

    /// Pays what is owed to the child, and lets go of rings that no frame holds any more.
    fn settle(&mut self) {
        self.old_rings.retain(|ring| ring.held() > 0);
        if let Some(ring) = &self.ring {
            ring.settle();
        }
    }

    fn opened(&self, info: StreamInfo, settings: &Settings) -> StreamInfo {
        let clean = |text: &Text| Text::from(settings.scrub.text(text.as_str()));
        StreamInfo {
            codec: clean(&info.codec),
            decoder: clean(&info.decoder),
            fps: info.fps.filter(|fps| *fps > 0.0 && *fps <= 1000.0),
            transport: info.transport.as_ref().map(clean),
            ..info
        }
    }

    fn notice(&mut self, level: NoticeLevel, text: &str) {
        self.notices += 1;
        let camera = &*self.camera;
        match level {
            _ if self.notices > NOTICES => {}
            NoticeLevel::Debug => debug!(camera, text, "capture child notes"),
            NoticeLevel::Info => info!(camera, text, "capture child notes"),
            NoticeLevel::Warn => warn!(camera, text, "capture child warns"),
            NoticeLevel::Machine => TOLD.call_once(|| warn!(text, "capture children warn")),
        }
    }

    /// Once a child and kind.
    fn complain(&mut self, complaint: Complaint) {
        let camera = &*self.camera;
        match complaint {
            Complaint::Clock(off) if !std::mem::replace(&mut self.complained[0], true) => {
                warn!(camera, off_s = off.as_secs_f64(), "the camera's clock is not believed: arrival times are used");
            }
            Complaint::Jump if !std::mem::replace(&mut self.complained[1], true) => {
                warn!(camera, "the stream's times jumped: arrival times bridge the gap");
            }
            _ => {}
        }
    }

    /// Asks the child to stop, and has it killed when it has not after `grace`.
    pub(super) fn stop(mut self, grace: Duration) {
        let _ = self.channel.send(&ToChild::Stop, None);
        if let Some(child) = self.child.take() {
            child.end(grace);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            child.end(Duration::ZERO);
        }
    }
}
