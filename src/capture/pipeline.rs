//! Builds the pipeline: a source text by kind of address, and, once the source shows what it has, the texts that decode
//! it and take its frames.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gst_base::prelude::*;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_base as gst_base;
use secrecy::ExposeSecret;

use crate::address::TestPicture;
use crate::gst::text;
use crate::ring::wire::{CaptureSettings, Decoder, FailReason, Pace, Rotate, Transport};

use super::Failure;
use super::codec::{self, Codec, Spread};
use super::complaints::Complaints;
use super::frames::{Arrivals, Frames, MAX_LAG, Stream, watch_coded};
use super::link::{Link, WhenFull};
use super::origin::{Origin, Remote};
use super::{jitter, trust, webcam};

/// One attempt to show an origin.
pub(super) struct Session {
    pub link: Arc<Link>,
    pub settings: CaptureSettings,
    pub origin: Origin,
    /// Pictures that came out of the decoder.
    pub showed: Arc<AtomicU64>,
    /// Whether the decoder is hardware.
    pub hardware: AtomicBool,
    /// Software decoders only: the user's wish, or hardware has failed before.
    software: bool,
    /// A video stream has been taken; what else the source has is left alone.
    taken: AtomicBool,
    /// The source offers something that is no video.
    other: AtomicBool,
    /// What went wrong on one of GStreamer's threads.
    failure: Mutex<Option<Failure>>,
    /// What parsebin's elements complain of.
    pub complaints: Complaints,
}

impl Session {
    pub fn new(link: Arc<Link>, settings: CaptureSettings, origin: Origin, software: bool) -> Arc<Self> {
        let (showed, hardware, taken, other, failure, complaints) = Default::default();
        Arc::new(Self { link, settings, origin, showed, hardware, software, taken, other, failure, complaints })
    }

    /// Whether pictures come at a pace that cannot be held up.
    pub fn live(&self) -> bool {
        match self.origin {
            Origin::File(_) => false,
            Origin::Test(_) => self.settings.pace != Pace::Fast,
            Origin::Rtsp(_) | Origin::Http(_) | Origin::V4l2 { .. } => true,
        }
    }

    /// Whether pictures are held back until their time has come.
    pub fn paced(&self) -> bool {
        !self.live() && self.settings.pace != Pace::Fast
    }

    /// Whether an end of it is a fault.
    pub fn endless(&self) -> bool {
        !matches!(self.origin, Origin::File(_) | Origin::Test(TestPicture { frames: Some(_), .. }))
    }

    /// Whether a video stream has been taken.
    pub fn opened(&self) -> bool {
        self.taken.load(Ordering::Acquire)
    }

    /// Whether the source has been seen to offer other things than video, and no video.
    pub fn lacks_video(&self) -> bool {
        self.other.load(Ordering::Acquire) && !self.taken.load(Ordering::Acquire)
    }

    /// What went wrong first, if anything did.
    pub fn failure(&self) -> Option<Failure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note(&self, failure: Failure) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
    }

    /// What no user wrote: safe to stand in a pipeline text.
    fn source_text(&self) -> Result<String, Failure> {
        let settings = &self.settings;
        let folder = settings.pipelines.as_deref();
        let fill = |name, values: &[(&str, &str)]| text(name, folder, values).map_err(Failure::from);
        let seconds = settings.connect_timeout.as_secs().clamp(1, 3600).to_string();
        let micros = settings.connect_timeout.as_micros().to_string();
        match &self.origin {
            Origin::Rtsp(_) => {
                let latency = jitter::latency(settings).as_millis().to_string();
                let values = [("transport", transport(settings)), ("latency_ms", &latency), ("timeout_us", &micros)];
                fill("rtsp", &values)
            }
            Origin::Http(_) => fill("http", &[("timeout_s", &seconds)]),
            Origin::File(_) => fill("file", &[]),
            Origin::V4l2 { .. } => fill("v4l2", &[]),
            Origin::Test(picture) => {
                let frames = picture.frames.map_or("-1".to_owned(), |frames| frames.to_string());
                fill("test", &[("live", if self.live() { "true" } else { "false" }), ("frames", &frames)])
            }
        }
    }
}

/// The pipeline of `session`, not yet started. Streams are taken as they appear.
pub(super) fn build(session: &Arc<Session>) -> Result<gst::Pipeline, Failure> {
    // Parsed as a bin: a text of one element that is a bin itself, as rtspsrc is, would come back bare.
    let text = session.source_text()?;
    let bin = gst::parse::bin_from_description_full(&text, false, None, gst::ParseFlags::FATAL_ERRORS);
    let bin = bin.map_err(Failure::from_parsing)?;
    let bin = bin.downcast::<gst::Bin>().map_err(|_| Failure::internal("a source text is no bin"))?;
    let source = named(&bin, "source")?;
    match &session.origin {
        Origin::Rtsp(remote) => {
            locate(&source, remote);
            let owner = Arc::clone(session);
            trust::of_rtsp(&source, &session.settings.trust, move |failure| owner.note(failure))?;
            source.set_property("add-reference-timestamp-meta", true);
            select_video(&source);
            jitter::tune(&source, &session.settings, &session.link);
            follow(&source, &bin, session);
        }
        Origin::Http(remote) => {
            locate(&source, remote);
            trust::of_http(&source, &session.settings.trust)?;
            follow_parsed(&bin, session)?;
        }
        Origin::File(path) => {
            source.set_property("location", path);
            follow_parsed(&bin, session)?;
        }
        Origin::V4l2 { device, wish } => {
            source.set_property("device", device.to_string_lossy().as_ref());
            let caps = webcam::best(&source, wish)?;
            take_filtered(&bin, &caps, session)?;
        }
        Origin::Test(picture) => {
            source.set_property_from_str("pattern", picture.pattern);
            take_filtered(&bin, &test_caps(picture), session)?;
        }
    }
    let pipeline = gst::Pipeline::new();
    pipeline.add(&bin).map_err(|error| Failure::internal(&error.to_string()))?;
    Ok(pipeline)
}

fn transport(settings: &CaptureSettings) -> &'static str {
    match settings.transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    }
}

fn named(bin: &gst::Bin, name: &str) -> Result<gst::Element, Failure> {
    let missing = || Failure::new(FailReason::Internal, format!("the pipeline text has no element named {name}"));
    bin.by_name(name).ok_or_else(missing)
}

/// Address and credentials go in as properties: no text is parsed, and no address with a password is kept or logged.
fn locate(source: &gst::Element, remote: &Remote) {
    source.set_property("location", &remote.location);
    if let Some(user) = &remote.user {
        source.set_property("user-id", user);
    }
    if let Some(password) = &remote.password {
        source.set_property("user-pw", password.expose_secret());
    }
}

/// Has rtspsrc set up the first video stream only: no sound, no metadata.
fn select_video(source: &gst::Element) {
    let chosen = AtomicBool::new(false);
    source.connect("select-stream", false, move |args| {
        // Caps straight from the SDP: they become application/x-rtp only once the transport is known.
        let caps = args.get(2).and_then(|caps| caps.get::<gst::Caps>().ok());
        let media = caps.as_ref().and_then(|caps| caps.structure(0)).and_then(|media| media.get::<&str>("media").ok());
        Some((media == Some("video") && !chosen.swap(true, Ordering::AcqRel)).to_value())
    });
}

/// Takes the first video stream that parsebin comes to offer, and hears what its elements complain of.
fn follow_parsed(bin: &gst::Bin, session: &Arc<Session>) -> Result<(), Failure> {
    let streams = named(bin, "streams")?;
    if let Some(streams) = streams.downcast_ref::<gst::Bin>() {
        session.complaints.hear(streams);
    }
    follow(&streams, bin, session);
    Ok(())
}

/// Takes the first video stream that `element` comes to offer.
fn follow(element: &gst::Element, bin: &gst::Bin, session: &Arc<Session>) {
    let (weak, owner) = (bin.downgrade(), Arc::clone(session));
    element.connect_pad_added(move |_, pad| {
        let Some(bin) = weak.upgrade() else { return };
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        if let Err(failure) = take(&owner, &bin, pad, &caps) {
            owner.note(failure);
        }
    });
    let owner = Arc::clone(session);
    element.connect_no_more_pads(move |_| {
        if !owner.taken.load(Ordering::Acquire) {
            owner.note(Failure::no_video());
        }
    });
}

/// Takes the stream of a source with one fixed pad, whose caps are ours to say.
fn take_filtered(bin: &gst::Bin, caps: &gst::Caps, session: &Arc<Session>) -> Result<(), Failure> {
    let streams = named(bin, "streams")?;
    streams.set_property("caps", caps);
    let pad = streams.static_pad("src").ok_or_else(|| Failure::internal("the source has no pad"))?;
    take(session, bin, &pad, caps)
}

/// Adds what decodes the stream at `pad` and takes its frames, unless it is no video or another one has been taken.
fn take(session: &Arc<Session>, bin: &gst::Bin, pad: &gst::Pad, caps: &gst::Caps) -> Result<(), Failure> {
    let Some(codec) = Codec::of(caps) else {
        session.other.store(true, Ordering::Release);
        return Ok(());
    };
    if session.taken.swap(true, Ordering::AcqRel) {
        return Ok(());
    }
    let allowed = if session.software { Decoder::Software } else { session.settings.decoder };
    let chosen = codec::choose(&codec, allowed)?;
    let decoder = chosen.as_ref().map_or("none", |chosen| &chosen.element);
    let hardware = chosen.as_ref().is_some_and(|chosen| chosen.hardware);
    session.hardware.store(hardware, Ordering::Release);
    let stream = Stream {
        codec: codec.name.clone(),
        decoder: decoder.to_owned(),
        hardware,
        live: session.live(),
        paced: session.paced(),
        transport: matches!(session.origin, Origin::Rtsp(_)).then(|| transport(&session.settings)),
        full: if session.live() { WhenFull::Drop } else { WhenFull::Wait },
    };
    let tail = tail(session, &codec, decoder)?;
    prepare(session, &tail, stream)?;
    let failed = |error: &dyn std::fmt::Display| Failure::internal(&format!("cannot link the decoder: {error}"));
    bin.add(&tail).map_err(|error| failed(&error))?;
    let sink = tail.static_pad("sink").ok_or_else(|| failed(&"it has no input"))?;
    pad.link(&sink).map_err(|error| failed(&error))?;
    tail.sync_state_with_parent().map_err(|error| failed(&error))
}

/// The texts from a coded stream to the frames' sink, as one bin with one input.
fn tail(session: &Session, codec: &Codec, decoder: &str) -> Result<gst::Bin, Failure> {
    let folder = session.settings.pipelines.as_deref();
    let mut parts = Vec::new();
    for name in &codec.texts {
        let values: &[_] = if name.starts_with("rtp-") { &[] } else { &[("decoder", decoder)] };
        parts.push(text(name, folder, values)?);
    }
    parts.push(text("frames", folder, &[("sync", if session.paced() { "true" } else { "false" })])?);
    gst::parse::bin_from_description(&parts.join(" ! "), true).map_err(Failure::from_parsing)
}

/// Sets what is no text's business: rotation, threads, and where coded and decoded pictures are looked at.
fn prepare(session: &Arc<Session>, tail: &gst::Bin, stream: Stream) -> Result<(), Failure> {
    let arrivals = Arc::new(Arrivals::default());
    if let Some(decoder) = tail.by_name("decoder") {
        codec::tune(&decoder, if stream.live { Spread::Fitted } else { Spread::Any });
        let most_lag = stream.live.then(|| MAX_LAG + session.settings.latency);
        watch_coded(&decoder, most_lag, Arc::clone(&arrivals), Arc::clone(&session.link));
    }
    let direction = match session.settings.rotate {
        Rotate::Auto => "auto",
        Rotate::None => "identity",
        Rotate::Cw90 => "90r",
        Rotate::Cw180 => "180",
        Rotate::Cw270 => "90l",
    };
    let orient = named(tail, "orient")?;
    orient.set_property_from_str("video-direction", direction);
    // a file's decoder, which works ahead, could take all slots that the brain leaves it for pictures that are not the next
    if stream.live && matches!(session.settings.rotate, Rotate::Auto | Rotate::None) {
        copy_once(tail, &orient);
    }
    let sink = named(tail, "frames")?;
    let sink = sink.downcast::<gst_app::AppSink>().map_err(|_| Failure::internal("frames must be an appsink"))?;
    Frames::new(Arc::clone(&session.link), stream, arrivals, Arc::clone(&session.showed)).attach(&sink);
    Ok(())
}

/// Has pictures that need not be turned copied once on their way into the ring, by the decoder.
fn copy_once(tail: &gst::Bin, orient: &gst::Element) {
    let is_videoflip = orient.factory().is_some_and(|factory| factory.name() == "videoflip");
    if let Some(orient) = orient.downcast_ref::<gst_base::BaseTransform>().filter(|_| is_videoflip) {
        // it copies each picture as it is, until a stream has said for the first time which way is up; then it sets this itself
        orient.set_passthrough(true);
    }
    // a picture made in others' memory that the decoder goes on to predict from is copied before anybody may see it, and would
    // be once more into the ring
    if let Some(decoder) = tail.by_name("decoder").filter(|decoder| decoder.has_property("direct-rendering")) {
        decoder.set_property("direct-rendering", false);
    }
}

fn test_caps(picture: &TestPicture) -> gst::Caps {
    gst::Caps::builder("video/x-raw")
        .field("format", picture.format)
        .field("width", picture.size.width as i32)
        .field("height", picture.size.height as i32)
        .field("framerate", gst::Fraction::new(picture.fps as i32, 1))
        .build()
}
