//! The encoder of a mount by itself, at the pace of a live camera: what `visor bench` compares with.

use std::path::Path;
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};
use gstreamer_video::VideoInfo;

use super::broken;
use super::clip::first_error;
use super::serve::codec;
use crate::fault::Fault;
use crate::geometry::Size;
use crate::gst::{Memory, confine, threads};
use crate::ring::server::Codec;

/// Pictures a second.
const FPS: u64 = 30;

/// A mount's bit rate where the configuration names none.
const KBPS: u32 = 4000;

/// Pictures that are held, and encoded in turns.
const PICTURES: usize = 90;

const DOING: &str = "cannot encode";

/// Encodes the first pictures of `file` again and again, 30 a second, for so long; what comes out is let go of. The encoder has as
/// many threads as a mount's, or as many as it likes.
///
/// # Errors
/// The file cannot be decoded, or there is no encoder.
pub fn encode_live(file: &Path, time: Duration, own_threads: bool) -> Result<(), Fault> {
    let _ = confine(Memory::OUTPUT)?;
    super::ready()?;
    let (pictures, caps) = pictures(file)?;
    let info = VideoInfo::from_caps(&caps).map_err(|e| broken(DOING, e))?;
    let size = Size::new(info.width(), info.height());
    let threads = if own_threads { 0 } else { threads(size, Some(FPS as f64)) };
    let encoder = codec::choose(Codec::H264, false)?.text(KBPS, FPS as f64, threads);
    let text = format!(
        "appsrc name=frames is-live=true format=time ! {encoder} ! fakesink sync=false async=false enable-last-sample=false"
    );
    let (pipeline, frames) = launch::<AppSrc>(&text, "frames")?;
    frames.set_caps(Some(&caps));
    pipeline.set_state(gst::State::Playing).map_err(|e| broken(DOING, e))?;
    let began = Instant::now();
    for (number, picture) in (0_u64..).zip(pictures.iter().cycle()) {
        let due = Duration::from_secs(1) * number as u32 / FPS as u32;
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        if due > time {
            break;
        }
        let mut picture = picture.copy();
        picture.make_mut().set_pts(gst::ClockTime::from_nseconds(due.as_nanos() as u64));
        if let Err(flow) = frames.push_buffer(picture) {
            return Err(broken(DOING, first_error(&pipeline).unwrap_or_else(|| flow.to_string())));
        }
    }
    let _ = pipeline.set_state(gst::State::Null);
    Ok(())
}

/// The first pictures, as encoders take them.
fn pictures(file: &Path) -> Result<(Vec<gst::Buffer>, gst::Caps), Fault> {
    let text = "filesrc name=file ! decodebin caps=video/x-raw(ANY) expose-all-streams=false ! videoconvert \
                ! video/x-raw,format=I420 ! appsink name=out sync=false max-buffers=4";
    let (pipeline, out) = launch::<AppSink>(text, "out")?;
    if let Some(reader) = pipeline.by_name("file") {
        reader.set_property("location", file);
    }
    pipeline.set_state(gst::State::Playing).map_err(|e| broken(DOING, e))?;
    let (mut pictures, mut caps) = (Vec::new(), None);
    while let Some(sample) = out.try_pull_sample(gst::ClockTime::from_seconds(5)).filter(|_| pictures.len() < PICTURES)
    {
        caps = sample.caps_owned().or(caps);
        // of its own: a decoder may want its memory back
        pictures.extend(sample.buffer().and_then(|buffer| buffer.copy_deep().ok()));
    }
    let error = first_error(&pipeline);
    let _ = pipeline.set_state(gst::State::Null);
    let caps = caps.filter(|_| error.is_none() && !pictures.is_empty());
    let nothing = || broken(&format!("cannot load {}", file.display()), error.unwrap_or("it has no pictures".into()));
    caps.map(|caps| (pictures, caps)).ok_or_else(nothing)
}

/// A pipeline, and its element of that name.
fn launch<T: IsA<gst::Element>>(text: &str, name: &str) -> Result<(gst::Pipeline, T), Fault> {
    let pipeline = gst::parse::launch(text).map_err(|e| broken(DOING, e.message()))?;
    let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| broken(DOING, "not a pipeline"))?;
    let element = pipeline.by_name(name).and_then(|element| element.downcast::<T>().ok());
    element.map(|element| (pipeline, element)).ok_or_else(|| broken(DOING, format!("no element named {name}")))
}
