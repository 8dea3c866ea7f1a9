//! A file decoded as the capture child decodes it, and its pictures let go of: what `visor bench` compares with.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;

pub use super::codec::Spread;
use super::codec::{self, Codec};
use super::{Failure, PLUGINS, slots};
use crate::fault::Fault;
use crate::gst::{Memory, confine, start, text};
use crate::ring::wire::Decoder;

/// What came out of the decoder.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub struct Decoded {
    /// Pictures.
    pub frames: u64,
    /// From the first picture to the last.
    pub seconds: f64,
}

#[derive(Default)]
struct Count {
    frames: u64,
    first_and_last: Option<(Instant, Instant)>,
    failure: Option<Failure>,
}

type Shared = Arc<Mutex<Count>>;

fn with<R>(count: &Shared, change: impl FnOnce(&mut Count) -> R) -> R {
    change(&mut count.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Decodes the first video stream of `file` with the decoder that the capture child would choose, as fast as it goes.
///
/// # Errors
/// Where the file cannot be decoded.
pub fn decode(file: &Path) -> Result<Decoded, Fault> {
    confine(Memory::CAPTURE)?;
    start(PLUGINS)?;
    run(file, Spread::Any, play)
}

/// The same at the file's own pace, as of a live camera, again and again for so long, over threads of such a `spread`.
///
/// # Errors
/// Where the file cannot be decoded.
pub fn decode_live(file: &Path, time: Duration, spread: Spread) -> Result<Decoded, Fault> {
    confine(Memory::CAPTURE)?;
    start(PLUGINS)?;
    run(file, spread, |pipeline| play_again(pipeline, time))
}

fn run(file: &Path, spread: Spread, play: impl FnOnce(&gst::Pipeline) -> Result<(), String>) -> Result<Decoded, Fault> {
    let count = Shared::default();
    let pipeline = build(file, spread, &count).map_err(|failure| Fault::unavailable(failure.text))?;
    let ended = play(&pipeline);
    let _ = pipeline.set_state(gst::State::Null);
    let (frames, first_and_last, failure) = with(&count, |c| (c.frames, c.first_and_last, c.failure.take()));
    match failure.map(|failure| failure.text).or(ended.err()) {
        Some(text) => Err(Fault::unavailable(format!("{}: {text}", file.display()))),
        None => {
            let seconds = first_and_last.map_or(0.0, |(first, last)| (last - first).as_secs_f64());
            Ok(Decoded { frames, seconds })
        }
    }
}

fn build(file: &Path, spread: Spread, count: &Shared) -> Result<gst::Pipeline, Failure> {
    let description = text("file", None, &[])?;
    let bin = gst::parse::bin_from_description(&description, false).map_err(Failure::from_parsing)?;
    let missing = || Failure::internal("the text of a file lacks an element");
    let (source, streams) = (bin.by_name("source"), bin.by_name("streams"));
    source.ok_or_else(missing)?.set_property("location", file);
    let (weak, count) = (bin.downgrade(), Arc::clone(count));
    streams.ok_or_else(missing)?.connect_pad_added(move |_, pad| {
        let Some(bin) = weak.upgrade() else { return };
        if let Err(failure) = take(&bin, pad, spread, &count) {
            with(&count, |c| c.failure = Some(failure));
        }
    });
    let pipeline = gst::Pipeline::new();
    pipeline.add(&bin).map_err(|error| Failure::internal(&error.to_string()))?;
    Ok(pipeline)
}

/// Decodes the stream at `pad`, if it is video and the first.
fn take(bin: &gst::Bin, pad: &gst::Pad, spread: Spread, count: &Shared) -> Result<(), Failure> {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let Some(codec) = Codec::of(&caps).filter(|_| bin.by_name("decoder").is_none()) else { return Ok(()) };
    let chosen = codec::choose(&codec, Decoder::Auto)?;
    let decoder = chosen.as_ref().map_or("identity", |chosen| &chosen.element);
    let mut parts = Vec::new();
    for name in &codec.texts {
        parts.push(text(name, None, &[("decoder", decoder)])?);
    }
    let live = spread != Spread::Any;
    parts.push(format!("fakesink name=end sync={live} enable-last-sample=false"));
    let tail = gst::parse::bin_from_description(&parts.join(" ! "), true).map_err(Failure::from_parsing)?;
    if let Some(decoder) = tail.by_name("decoder") {
        codec::tune(&decoder, spread);
    }
    let end = tail.by_name("end").and_then(|end| end.static_pad("sink"));
    count_pictures(&end.ok_or_else(|| Failure::internal("a sink without a pad"))?, count);
    let failed = |error: &dyn std::fmt::Display| Failure::internal(&format!("cannot link the decoder: {error}"));
    bin.add(&tail).map_err(|error| failed(&error))?;
    let sink = tail.static_pad("sink").ok_or_else(|| failed(&"it has no input"))?;
    pad.link(&sink).map_err(|error| failed(&error))?;
    tail.sync_state_with_parent().map_err(|error| failed(&error))
}

fn count_pictures(pad: &gst::Pad, count: &Shared) {
    slots::accept_strides(pad);
    let count = Arc::clone(count);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let now = Instant::now();
        with(&count, |c| {
            c.frames += 1;
            c.first_and_last.get_or_insert((now, now)).1 = now;
        });
        gst::PadProbeReturn::Ok
    });
}

/// Plays from the beginning whenever the end has come, until the time is over.
fn play_again(pipeline: &gst::Pipeline, time: Duration) -> Result<(), String> {
    let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
    let _ = pipeline.set_state(gst::State::Playing);
    let (began, kinds) = (Instant::now(), [gst::MessageType::Eos, gst::MessageType::Error]);
    loop {
        let left = gst::ClockTime::try_from(time.saturating_sub(began.elapsed())).unwrap_or_default();
        match bus.timed_pop_filtered(left, &kinds).as_ref().map(|message| message.view()) {
            None => return Ok(()),
            Some(gst::MessageView::Error(error)) => return Err(error.error().to_string()),
            Some(_) => pipeline
                .seek_simple(gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT, gst::ClockTime::ZERO)
                .map_err(|e| e.to_string())?,
        }
    }
}

/// Plays to the end.
fn play(pipeline: &gst::Pipeline) -> Result<(), String> {
    let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
    // the bus has the reason where this fails
    let _ = pipeline.set_state(gst::State::Playing);
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(gst::ClockTime::NONE, &kinds).ok_or("the pipeline stopped")?;
    match message.view() {
        gst::MessageView::Error(error) => Err(error.error().to_string()),
        _ => Ok(()),
    }
}
