//! The capture child: the one process that reads a camera's bytes.
//!
//! It opens what the brain names, decodes it, and puts 8-bit I420 or NV12 pictures, upright, into the ring. It holds
//! nothing but a socket and the ring's memory, can write no file, and ends with its parent. Whatever goes wrong here is
//! said once ([`ToBrain::Failed`]) and ends the process; whether and when to try again is the brain's business.
//!
//! Times: a picture's `pts` is its running time in the pipeline. For a file this is the position in it; for a live
//! stream the time since the start, from RTP's timestamps corrected for the drift between the two clocks.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

use crate::clock::Monotonic;
use crate::fault::{Fault, FaultKind};
use crate::geometry::Size;
use crate::gst::{Memory, confine, meaning, on_abort, start};
use crate::ring::MAX_SIDE;
use crate::ring::wire::{ALIVE_EVERY, ChildEnd, Decoder, FailReason, NoticeLevel, ToBrain};

pub mod bare;
mod codec;
mod complaints;
mod frames;
mod jitter;
mod link;
mod origin;
mod pipeline;
mod slots;
mod trust;
mod webcam;

use link::Link;
use pipeline::{Session, build};

/// Plugins by short name: sources, demuxers, parsers, decoders. Those that are not installed are passed over.
const PLUGINS: &[&str] = &[
    // sources
    "rtsp",
    "rtp",
    "rtpmanager",
    "udp",
    "tcp",
    "soup",
    "multipart",
    "video4linux2",
    // containers
    "playback",
    "typefindfunctions",
    "isomp4",
    "matroska",
    "avi",
    "flv",
    "mpegtsdemux",
    "mpegpsdemux",
    "ogg",
    "asf",
    "y4mdec",
    "jpegformat",
    "ivfparse",
    "id3demux",
    // decoders in software
    "libav",
    "jpeg",
    "openh264",
    "de265",
    "vpx",
    "dav1d",
    "aom",
    "theora",
    // decoders in hardware
    "va",
    "nvcodec",
    "v4l2codecs",
    "qsv",
    "msdk",
    "vaapi",
    "omx",
];

/// How long the main loop sleeps, at most, before it looks whether it should stop.
const TICK: Duration = Duration::from_millis(100);

/// What an element that has the same time-out is given to say itself what is wrong.
const GRACE: Duration = Duration::from_millis(500);

/// Why there is no picture, for the brain and its log. Never a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    reason: FailReason,
    text: String,
}

impl Failure {
    fn new(reason: FailReason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into() }
    }

    fn internal(text: &str) -> Self {
        Self::new(FailReason::Internal, text)
    }

    fn no_video() -> Self {
        Self::new(FailReason::Unsupported, "there is no video in it")
    }

    fn too_large(Size { width, height }: Size) -> Self {
        let text = format!("pictures of {width}x{height} are larger than {MAX_SIDE}x{MAX_SIDE}");
        Self::new(FailReason::Unsupported, text)
    }

    /// Why a pipeline text could not be made into elements.
    fn from_parsing(error: glib::Error) -> Self {
        Self::new(FailReason::Unsupported, format!("the pipeline cannot be built: {}", error.message()))
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let reason = if fault.kind == FaultKind::Internal { FailReason::Internal } else { FailReason::Unsupported };
        Self::new(reason, fault.to_string())
    }
}

/// How a session ended, unless it failed.
enum End {
    /// The brain said stop.
    Stopped,
    /// The source has no more pictures.
    Finished,
    /// The hardware decoder failed before the first picture.
    HardwareFailed(Failure),
}

/// The child's whole life. Standard input must be the socket to the brain.
///
/// # Errors
/// Where it was not started by the daemon.
pub fn run() -> Result<ExitCode, Fault> {
    let channel = ChildEnd::inherited()
        .map_err(|_| Fault::new(FaultKind::Usage, "visor capture is started by visor itself, not by hand"))?;
    let link = Arc::new(Link::new(channel));
    // on this thread and before any other exists: all of them inherit it
    match confine(Memory::CAPTURE) {
        Ok(confinement) => {
            if let Some(text) = confinement.notice() {
                link.notice(NoticeLevel::Machine, text);
            }
        }
        Err(fault) => link.fail(&fault.into()),
    }
    let Some(settings) = link.settings() else { return Ok(ExitCode::SUCCESS) };
    let listener = Arc::clone(&link);
    std::thread::Builder::new()
        .name("control".to_owned())
        .spawn(move || listener.listen())
        .map_err(|error| Fault::internal(format!("cannot start a thread: {error}")))?;
    let teller = Arc::clone(&link);
    on_abort(move |text| {
        let reason = if text.contains("failed to allocate") { FailReason::Memory } else { FailReason::Internal };
        teller.fail(&Failure::new(reason, text))
    });
    start(PLUGINS).unwrap_or_else(|fault| link.fail(&fault.into()));
    let mut software = settings.decoder == Decoder::Software;
    loop {
        let origin =
            origin::parse(&settings.uri).unwrap_or_else(|text| link.fail(&Failure::new(FailReason::Unsupported, text)));
        let session = Session::new(Arc::clone(&link), settings.clone(), origin, software);
        match show(&session).unwrap_or_else(|failure| link.fail(&failure)) {
            End::Stopped => return Ok(ExitCode::SUCCESS),
            End::Finished => linger(&link),
            End::HardwareFailed(failure) => {
                let text = format!("the hardware decoder failed, going on in software: {}", failure.text);
                link.notice(NoticeLevel::Warn, &text);
                software = true;
            }
        }
    }
}

/// Says that the stream has ended, and stays until told to stop: the brain may still be reading.
fn linger(link: &Link) -> ! {
    link.say(&ToBrain::EndOfStream);
    loop {
        link.say(&ToBrain::Alive);
        std::thread::sleep(ALIVE_EVERY);
    }
}

/// Plays one session to its end.
fn show(session: &Arc<Session>) -> Result<End, Failure> {
    let pipeline = build(session)?;
    let bus = pipeline.bus().ok_or_else(|| Failure::internal("a pipeline without a bus"))?;
    // the bus has the reason where this fails
    let _ = pipeline.set_state(gst::State::Playing);
    let end = watch(session, &bus).unwrap_or_else(|failure| session.link.fail(&failure));
    // lets an RTSP camera know; may hang, and then the control thread ends the process
    let _ = pipeline.set_state(gst::State::Null);
    Ok(end)
}

/// The main loop: says that it is alive, and waits for the end.
fn watch(session: &Session, bus: &gst::Bus) -> Result<End, Failure> {
    let mut alive_at = Monotonic::default();
    let give_up = Monotonic::now().plus(session.settings.connect_timeout + GRACE);
    loop {
        if session.link.stopping() {
            return Ok(End::Stopped);
        }
        if !session.opened() {
            let complaint = session.complaints.unanswered();
            if let Some(gst::MessageView::Error(error)) = complaint.as_ref().map(|message| message.view()) {
                return failed(session, error);
            }
            if Monotonic::now() >= give_up {
                return Err(Failure::new(FailReason::Timeout, "it showed no stream in time"));
            }
        }
        if alive_at.elapsed() >= ALIVE_EVERY {
            alive_at = Monotonic::now();
            session.link.say(&ToBrain::Alive);
        }
        if let Some(text) = Memory::CAPTURE.exceeded() {
            return Err(Failure::new(FailReason::Memory, text));
        }
        let message = bus.timed_pop(gst::ClockTime::from_mseconds(TICK.as_millis() as u64));
        // what a thread of ours noted explains the error that GStreamer makes of it
        if let Some(failure) = session.failure() {
            return Err(failure);
        }
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Eos(_)) => return ended(session),
            Some(gst::MessageView::Error(error)) => return failed(session, error),
            _ => {}
        }
    }
}

/// What an end of stream means.
fn ended(session: &Session) -> Result<End, Failure> {
    if session.showed.load(Ordering::Acquire) == 0 {
        return Err(Failure::new(FailReason::EndedEarly, "it ended before the first picture"));
    }
    if session.endless() {
        return Err(Failure::new(FailReason::Unreachable, "the camera ended the stream"));
    }
    Ok(End::Finished)
}

/// What an error means.
fn failed(session: &Session, error: &gst::message::Error) -> Result<End, Failure> {
    if session.lacks_video() {
        // nobody took the sound, which is an error to GStreamer
        return Err(Failure::no_video());
    }
    let element = error.src().map(|source| source.name()).unwrap_or_default();
    let (reason, text) = meaning::meaning(&error.error(), &error.debug().unwrap_or_default(), &element);
    let hint = session.origin.hint(reason).filter(|_| session.showed.load(Ordering::Acquire) == 0);
    let failure = Failure::new(reason, session.origin.without_secrets(&text) + hint.unwrap_or_default());
    let by_hardware = element == "decoder" && session.hardware.load(Ordering::Acquire);
    if by_hardware && session.showed.load(Ordering::Acquire) == 0 {
        return Ok(End::HardwareFailed(failure));
    }
    Err(failure)
}
