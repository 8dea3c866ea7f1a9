//! A mount's encoder: raw frames in, coded ones to the fan.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks, AppSrc};
use gstreamer_video as gst_video;

use super::codec;
use super::fan::Fan;
use super::pace::per_second;
use crate::clock::Monotonic;
use crate::fault::Fault;
use crate::frame::Layout;
use crate::gst::{text, threads};
use crate::restream::clip::first_error;
use crate::restream::{broken, raw};
use crate::ring::server::Codec;

const DOING: &str = "cannot encode";

/// Frames that wait for the encoder. When there are more it is too slow, and the newest is dropped: each holds a slot.
const WAITING: u64 = 2;

/// How long the encoder may take for one frame before it counts as hung.
const HUNG: Duration = Duration::from_secs(3);

/// What is to come out.
#[derive(Clone, Debug)]
pub(super) struct Recipe<'a> {
    pub codec: Codec,
    pub bitrate_kbps: u32,
    /// Pictures of this layout are not scaled, but for odd sides; others are fitted into it.
    pub form: Layout,
    /// Frames a second, as players are told.
    pub rate: gst::Fraction,
    /// No hardware.
    pub software: bool,
    pub pipelines: Option<&'a Path>,
}

/// Why a frame is to be a keyframe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Nothing of the frames before may be needed for it.
    Own,
    /// A player waits for one: any that is under way will do.
    Asked,
}

/// A running encoder. Dropping it does not wait for it.
pub(super) struct Encoder {
    pub chosen: &'static codec::Encoder,
    pipeline: gst::Pipeline,
    frames: AppSrc,
    rate: gst::Fraction,
    caps: Option<(Layout, gst_video::VideoInfo)>,
    progress: Arc<Progress>,
}

/// What went in and came out.
#[derive(Default)]
struct Progress {
    pushed: AtomicU64,
    coded: AtomicU64,
    /// When it last came nearer to having coded all.
    at_ns: AtomicU64,
    /// A keyframe is asked for and has not come.
    key: AtomicBool,
}

impl Encoder {
    /// Starts one that gives its frames to `fan`.
    ///
    /// # Errors
    /// There is no encoder, or it does not start.
    pub fn start(recipe: &Recipe<'_>, fan: &Arc<Fan>) -> Result<Self, Fault> {
        let chosen = codec::choose(recipe.codec, recipe.software)?;
        let fps = per_second(recipe.rate);
        let encoder = chosen.text(recipe.bitrate_kbps, fps, threads(recipe.form.size, Some(fps)));
        let values = [("encoder", encoder.as_str()), ("headers", chosen.headers), ("codec", codec::name(recipe.codec))];
        let description = text("out", recipe.pipelines, &values)?;
        let pipeline = gst::parse::launch(&description).map_err(|e| broken(DOING, e.message()))?;
        let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| broken(DOING, "not a pipeline"))?;
        let missing = |name: &str| broken(DOING, format!("its text has no element named {name} of the right kind"));
        let frames = pipeline.by_name("frames").and_then(|frames| frames.downcast::<AppSrc>().ok());
        let frames = frames.ok_or_else(|| missing("frames"))?;
        let coded = pipeline.by_name("coded").and_then(|coded| coded.downcast::<AppSink>().ok());
        let coded = coded.ok_or_else(|| missing("coded"))?;
        let size = pipeline.by_name("size").ok_or_else(|| missing("size"))?;
        size.set_property("caps", caps(&recipe.form, chosen.format, recipe.rate).map_err(|e| broken(DOING, e))?);
        frames.set_max_bytes(0);
        frames.set_max_buffers(0);
        let progress = Arc::new(Progress::default());
        take(&coded, &progress, fan);
        let encoder = Self { chosen, pipeline, frames, rate: recipe.rate, caps: None, progress };
        encoder.pipeline.set_state(gst::State::Playing).map_err(|e| broken(DOING, e))?;
        Ok(encoder)
    }

    /// Whether it is behind: what comes now is to be dropped.
    pub fn is_behind(&self) -> bool {
        self.frames.current_level_buffers() >= WAITING
    }

    /// Encodes a picture that is to be shown at `at`; as a keyframe where `key` says why.
    ///
    /// # Errors
    /// The encoder failed, or the picture is none.
    pub fn push<B>(&mut self, pixels: B, layout: &Layout, at: Duration, key: Option<Key>) -> Result<(), Fault>
    where
        B: AsRef<[u8]> + Send + 'static,
    {
        let info = self.info(layout)?;
        let at = gst::ClockTime::from_nseconds(at.as_nanos() as u64);
        let buffer = raw::buffer(pixels, layout, &info, at)
            .ok_or_else(|| Fault::internal("a frame that reaches past its slot"))?;
        let under_way = key.is_some() && self.progress.key.swap(true, Ordering::AcqRel);
        if key.is_some_and(|key| key == Key::Own || !under_way) {
            // Without a time, since encoders shift times and GStreamer 1.22 compares shifted ones with others. The event
            // keeps its place before this frame.
            let event = gst_video::DownstreamForceKeyUnitEvent::builder().all_headers(true).build();
            let _ = self.frames.send_event(event);
        }
        let progress = &self.progress;
        if progress.pushed.fetch_add(1, Ordering::AcqRel) == progress.coded.load(Ordering::Acquire) {
            progress.at_ns.store(Monotonic::now().as_nanos(), Ordering::Release);
        }
        self.frames.push_buffer(buffer).map(drop).map_err(|flow| self.reason(&flow.to_string()))
    }

    /// What a layout is to GStreamer; a new one changes the caps.
    fn info(&mut self, layout: &Layout) -> Result<gst_video::VideoInfo, Fault> {
        if let Some((_, info)) = self.caps.as_ref().filter(|(known, _)| known == layout) {
            return Ok(info.clone());
        }
        let info = raw::video_info(layout, self.rate).map_err(|e| broken(DOING, e))?;
        self.frames.set_caps(Some(&info.to_caps().map_err(|e| broken(DOING, e))?));
        self.caps = Some((*layout, info.clone()));
        Ok(info)
    }

    /// Whether it has given anything at all.
    pub fn has_worked(&self) -> bool {
        self.progress.coded.load(Ordering::Acquire) > 0
    }

    /// Whether it has stopped coding what it got.
    pub fn hangs(&self) -> bool {
        let Progress { pushed, coded, at_ns, .. } = &*self.progress;
        let waits = pushed.load(Ordering::Acquire) > coded.load(Ordering::Acquire);
        waits && Monotonic::from_nanos(at_ns.load(Ordering::Acquire)).elapsed() > HUNG
    }

    /// Why it has stopped, if it says so.
    pub fn failure(&self) -> Option<Fault> {
        first_error(&self.pipeline).map(|text| broken(DOING, text))
    }

    fn reason(&self, flow: &str) -> Fault {
        broken(DOING, first_error(&self.pipeline).unwrap_or_else(|| flow.to_owned()))
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        let pipeline = self.pipeline.clone();
        // One that hangs keeps this thread until the child ends, and nobody else.
        let _ = std::thread::Builder::new().name("bury".to_owned()).spawn(move || pipeline.set_state(gst::State::Null));
    }
}

/// Hands on what the encoder gives.
fn take(coded: &AppSink, progress: &Arc<Progress>, fan: &Arc<Fan>) {
    let (progress, fan, number) = (Arc::clone(progress), Arc::clone(fan), fan.begin());
    let new_sample = move |coded: &AppSink| {
        let sample = coded.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        progress.coded.fetch_add(1, Ordering::AcqRel);
        progress.at_ns.store(Monotonic::now().as_nanos(), Ordering::Release);
        let Some(buffer) = sample.buffer_owned() else { return Ok(gst::FlowSuccess::Ok) };
        if !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT) {
            progress.key.store(false, Ordering::Release);
        }
        // encoders may shift times as a whole, and say so in the segment
        let segment = sample.segment().and_then(|segment| segment.downcast_ref::<gst::ClockTime>());
        let at = buffer.pts().map(|pts| segment.and_then(|segment| segment.to_running_time(pts)).unwrap_or(pts));
        if let Some(at) = at {
            fan.deliver(number, &buffer, at);
        }
        Ok(gst::FlowSuccess::Ok)
    };
    coded.set_callbacks(AppSinkCallbacks::builder().new_sample(new_sample).build());
}

/// What every picture is made into: of even sides, as H.264 wants them.
fn caps(form: &Layout, format: &str, rate: gst::Fraction) -> Result<gst::Caps, gst::glib::BoolError> {
    let even = |side: u32| (side & !1).max(2) as i32;
    let info = raw::video_info(form, rate)?;
    Ok(gst::Caps::builder("video/x-raw")
        .field("format", format)
        .field("width", even(form.size.width))
        .field("height", even(form.size.height))
        .field("pixel-aspect-ratio", info.par())
        .build())
}
