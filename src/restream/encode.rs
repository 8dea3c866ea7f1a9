//! The child that encodes: masked frames out of the ring into a file. It gets nothing else: not the source, nor a frame
//! that has not been masked.

use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;
use gstreamer_video as gst_video;

use super::{broken, raw};
use crate::clock::Monotonic;
use crate::fault::{Fault, FaultKind};
use crate::frame::Layout;
use crate::gst::{Memory, confine, start, text};
use crate::ring::out::{Container, EncodeSettings, FromOutput, OutMemory, OutputEnd, ToOutput};
use crate::ring::wire::{Received, SendError};

/// What writing files takes beyond every role's plugins. Decoders are not among it, which take longest to load.
const PLUGINS: &[&str] = &["x264", "isomp4", "matroska"];

/// Slots that are left to the brain. How many frames an encoder keeps is its own business, and the ring must not run dry over it.
const LEFT: u32 = 4;

/// How long the brain may take to read what is said.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the first message may take, and any other: the brain waits for its own analysis meanwhile.
const SILENCE: Duration = Duration::from_secs(3600);

/// The child's whole life. Standard input must be the socket to the brain, standard output the file.
///
/// # Errors
/// It was not started by Visor itself, or the file cannot be made.
pub fn run() -> Result<ExitCode, Fault> {
    let channel = OutputEnd::inherited()
        .map_err(|_| Fault::new(FaultKind::Usage, "visor encode is started by visor itself, not by hand"))?;
    let link = Arc::new(Link { channel, kept: AtomicU32::new(0) });
    let ended = confine(Memory::OUTPUT).and_then(|_| start(PLUGINS)).and_then(|()| encode(&link));
    let last = match ended {
        Ok(true) => FromOutput::Done,
        // the brain is gone
        Ok(false) => return Ok(ExitCode::SUCCESS),
        Err(fault) => FromOutput::Failed { text: fault.to_string().into() },
    };
    link.say(&last);
    Ok(ExitCode::SUCCESS)
}

struct Link {
    channel: OutputEnd,
    /// Slots that the encoder reads from.
    kept: AtomicU32,
}

impl Link {
    fn say(&self, message: &FromOutput) {
        let until = Monotonic::now().plus(PATIENCE);
        if let Err(SendError::Closed | SendError::Full) = self.channel.send_until(message, None, until) {
            std::process::exit(0);
        }
    }

    /// The next message, with the memory where it is a ring. `None` once the brain is gone.
    fn hear(&self) -> Option<(ToOutput, Option<OwnedFd>)> {
        match self.channel.recv(Monotonic::now().plus(SILENCE)) {
            Received::Message { msg, fd } => Some((msg, fd)),
            Received::TimedOut | Received::Closed | Received::Garbage(_) => None,
        }
    }
}

/// The ring, as far as it is known here.
struct Ring {
    id: u32,
    slots: u32,
    memory: Arc<OutMemory>,
}

impl Ring {
    fn map(id: u32, slots: u32, slot_bytes: u64, fd: Option<OwnedFd>) -> Result<Self, Fault> {
        let fd = fd.ok_or_else(|| Fault::internal("a ring without its memory"))?;
        let memory = OutMemory::map(fd, slots, slot_bytes).map_err(|e| Fault::internal(format!("no ring: {e}")))?;
        Ok(Self { id, slots, memory: Arc::new(memory) })
    }

    /// The frame in a slot: where it lies, as long as enough others are left to the brain, and else copied.
    fn frame(&self, slot: u32, link: &Arc<Link>) -> Kept {
        let kept = Kept { link: Arc::clone(link), memory: Arc::clone(&self.memory), ring: self.id, slot, copy: None };
        match link.kept.fetch_add(1, Ordering::AcqRel) + LEFT < self.slots {
            true => kept,
            false => kept.copied(),
        }
    }
}

/// A frame that the encoder has; the brain gets its slot back when it is dropped.
struct Kept {
    link: Arc<Link>,
    memory: Arc<OutMemory>,
    ring: u32,
    slot: u32,
    /// Its bytes, where the slot is the brain's again.
    copy: Option<Vec<u8>>,
}

impl Kept {
    fn copied(mut self) -> Self {
        let copy = self.memory.slot(self.slot).to_vec();
        self.release();
        self.copy = Some(copy);
        self
    }

    fn release(&self) {
        self.link.kept.fetch_sub(1, Ordering::AcqRel);
        self.link.say(&FromOutput::Release { ring: self.ring, slot: self.slot });
    }
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        self.copy.as_deref().unwrap_or_else(|| self.memory.slot(self.slot))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.copy.is_none() {
            self.release();
        }
    }
}

/// Whether everything was written; false where the brain went away.
fn encode(link: &Arc<Link>) -> Result<bool, Fault> {
    let Some((ToOutput::Encode(settings), _)) = link.hear() else { return Ok(false) };
    let mut writer = Writer::start(&settings, link)?;
    let mut ring = None;
    while let Some((message, fd)) = link.hear() {
        match message {
            ToOutput::Ring { id, slots, slot_bytes } => ring = Some(Ring::map(id, slots, slot_bytes, fd)?),
            ToOutput::Frame { slot, layout, pts_ns, .. } => {
                let ring = ring.as_ref().ok_or_else(|| Fault::internal("a frame without a ring"))?;
                writer.write(ring.frame(slot, link), &layout, pts_ns)?;
            }
            ToOutput::End => return writer.finish().map(|()| true),
            ToOutput::Encode(_) | ToOutput::Passed { .. } => {}
        }
    }
    Ok(false)
}

/// The pipeline from frames to the file.
struct Writer {
    pipeline: gst::Pipeline,
    frames: AppSrc,
    fps: gst::Fraction,
    form: Option<(Layout, gst_video::VideoInfo)>,
}

const DOING: &str = "cannot encode";

impl Writer {
    fn start(settings: &EncodeSettings, link: &Arc<Link>) -> Result<Self, Fault> {
        let description = text("encode", None, &[("muxer", muxer(settings.container))])?;
        let pipeline = gst::parse::launch(&description)
            .map_err(|e| broken(DOING, e.message()).remedy("install GStreamer's x264 plugin (gst-plugins-ugly)"))?;
        let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| broken(DOING, "not a pipeline"))?;
        let frames = pipeline.by_name("frames").and_then(|frames| frames.downcast::<AppSrc>().ok());
        let frames = frames.ok_or_else(|| broken(DOING, "its text has no appsrc named frames"))?;
        let fps = settings.fps.and_then(gst::Fraction::approximate_f64).unwrap_or(gst::Fraction::new(0, 1));
        fail_at_once(&pipeline, link);
        pipeline.set_state(gst::State::Playing).map_err(|e| broken(DOING, e))?;
        Ok(Self { pipeline, frames, fps, form: None })
    }

    fn write(&mut self, frame: Kept, layout: &Layout, pts_ns: u64) -> Result<(), Fault> {
        let info = self.form(layout)?;
        let pts = gst::ClockTime::from_nseconds(pts_ns);
        let buffer = raw::buffer(frame, layout, &info, pts)
            .ok_or_else(|| Fault::internal("a frame that reaches past its slot"))?;
        self.frames.push_buffer(buffer).map(|_| ()).map_err(|flow| self.reason(&flow))
    }

    /// What a layout is to GStreamer; a new one changes the stream's caps.
    fn form(&mut self, layout: &Layout) -> Result<gst_video::VideoInfo, Fault> {
        if let Some((_, info)) = self.form.as_ref().filter(|(known, _)| known == layout) {
            return Ok(info.clone());
        }
        let info = raw::video_info(layout, self.fps).map_err(|e| broken(DOING, e))?;
        let caps = info.to_caps().map_err(|e| broken(DOING, e))?;
        if self.form.is_none() {
            // H.264 as everybody plays it needs even sides, and a size of its own for the whole file
            let even = |side: u32| (side & !1).max(2) as i32;
            let fixed = gst::Caps::builder("video/x-raw")
                .field("format", gst::List::new(["I420", "NV12"]))
                .field("width", even(info.width()))
                .field("height", even(info.height()))
                .build();
            if let Some(size) = self.pipeline.by_name("size") {
                size.set_property("caps", fixed);
            }
        }
        self.frames.set_caps(Some(&caps));
        self.form = Some((*layout, info.clone()));
        Ok(info)
    }

    /// Everything that was pushed is in the file.
    fn finish(&self) -> Result<(), Fault> {
        self.frames.end_of_stream().map_err(|flow| self.reason(&flow))?;
        let ended = super::sample::wait_for_end(&self.pipeline).map_err(|e| broken(DOING, e));
        // frames go back, and the file is closed
        let _ = self.pipeline.set_state(gst::State::Null);
        ended
    }

    fn reason(&self, flow: &gst::FlowError) -> Fault {
        broken(DOING, super::clip::first_error(&self.pipeline).unwrap_or_else(|| flow.to_string()))
    }
}

/// Ends the process with the first error, and says it: whoever pushes frames would wait for ever for room that a pipeline makes no
/// more.
fn fail_at_once(pipeline: &gst::Pipeline, link: &Arc<Link>) {
    let (Some(bus), link) = (pipeline.bus(), Arc::clone(link)) else { return };
    bus.set_sync_handler(move |_, message| {
        if let gst::MessageView::Error(error) = message.view() {
            link.say(&FromOutput::Failed { text: broken(DOING, error.error()).to_string().into() });
            std::process::exit(1);
        }
        gst::BusSyncReply::Pass
    });
}

/// The element that writes a container.
pub(super) const fn muxer(container: Container) -> &'static str {
    match container {
        Container::Mp4 => "mp4mux",
        Container::Mkv => "matroskamux",
    }
}
